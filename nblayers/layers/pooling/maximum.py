"""Pooling layers that keep the largest number of each window."""
from typing import Any

import numpy as np

from nblayers.layers.base import Record
from nblayers.layers.pooling.base import Pooling, Window
from nblayers.layers.pooling.sliding import SlidingPooling
from nblayers.layers.pooling.whole import GlobalPooling


class Maximum(Pooling):
    """The computation of max pooling, over whichever windows; equations in `MaxPooling`."""

    class Cache(Record):
        index: np.ndarray           # (B, OD, OH, OW, C), int32: k*, the winner's position in its window
        shape: tuple[int, ...]      # (B, D, H, W, C), of x
        window: Window

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = self._volume(inputs)
        window, lengths = self._windows(x.shape)
        y = self.xp.empty((len(x), *lengths, x.shape[-1]), self.dtype)
        index = self.xp.empty(y.shape, np.int32)
        self.kernels.pooling.max_pool(x, *window, y, index)                                 # (1), (2)
        self.cache = self.Cache(index, x.shape, window)
        return self._output(y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        cache = self.cache
        dx = self.xp.empty(cache.shape, self.dtype)
        self.kernels.pooling.max_pool_gradient(self._upstream(dy), cache.index, *cache.window, dx)      # from (1)
        return self._image(dx)


class MaxPooling(Maximum, SlidingPooling):
    r"""The largest number of each window: a smaller image that still tells whether something was there.

        y_{ic} = \max_k x_{i s + k - p, c}                          (1)
        k^*_{ic} = the first k, in reading order, that reaches it   (2)

    i is the window, k a cell in it, s the strides, c a channel. Backward, dy_i goes to the winner k* and to no other cell;
    where windows overlap, a cell that wins several collects them all. The document writes x[i : i + pool_size]: a window
    starts at i s, and s is the pool size unless given.

    A tie goes to the first cell in reading order, whole: so do PyTorch's max_pool and Keras on JAX, and of all the valid
    subgradients it is the one that costs nothing to keep, a position and no count. Images tie often (black borders, zeros
    after a relu). A NaN is the winner of its window, the first one if there are several, so that it is seen; Keras' gradient
    would fall on another cell of that window.

    Input (batch, …, channels) with `rank` axes between, output likewise, each axis ⌊(n - pool_size) / s⌋ + 1 long ("valid") or
    ⌈n / s⌉ ("same").

    Arguments:
        pool_size: the window's size, one integer or one for each axis.
        strides: by how much it moves; by default pool_size, so that windows do not overlap.
        padding: "valid": only whole windows. "same": windows may reach over the edge, the odd cell behind; what lies outside
            counts as -inf and never wins.
        data_format: "channels_last" or "channels_first", (batch, channels, …); by default
            `nblayers.config.image_data_format()`.

    Raises:
        ValueError: pool_size or strides not positive integers or not as many as axes; another padding or data_format; an
            input of another number of axes, or smaller than the window with "valid".

    Source: 001.08.MaxPooling1D, 001.08.MaxPooling2D, 001.08.MaxPooling3D; 002.MaxPool.
    """

    def __init__(self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None,
                 name: str | None = None, **kwargs: Any) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class MaxPooling1D(MaxPooling):
    """Max pooling of sequences (batch, steps, channels); arguments and formula: `MaxPooling`. Source: 001.08.MaxPooling1D."""

    rank = 1


class MaxPooling2D(MaxPooling):
    """Max pooling of images (batch, height, width, channels); arguments and formula: `MaxPooling`.

    Source: 001.08.MaxPooling2D.
    """

    rank = 2


class MaxPooling3D(MaxPooling):
    """Max pooling of volumes (batch, depth, height, width, channels); arguments and formula: `MaxPooling`.

    Source: 001.08.MaxPooling3D.
    """

    rank = 3


class GlobalMaxPooling(Maximum, GlobalPooling):
    r"""The largest number of each channel: was it there at all, anywhere?

        y_c = \max_k x_{k c}                                        (1)
        k^*_c = the first k, in reading order, that reaches it      (2)

    It is max pooling with one window as large as the image, and a tie goes the same way: the first cell gets the whole
    gradient, as with PyTorch's adaptive_max_pool. Keras on JAX instead shares it evenly between all that tie, both rules
    being right (the gradient of a maximum at a tie is any mixture of theirs); one rule in all layers that take a maximum is
    the simpler.

    Input (batch, …, channels) with `rank` axes between, output (batch, channels).

    Arguments:
        data_format: "channels_last" or "channels_first", (batch, channels, …); by default
            `nblayers.config.image_data_format()`.
        keepdims: keep the axes, with size 1.

    Raises:
        ValueError: another data_format; an input of another number of axes, or with an axis of size 0.

    Source: 001.08.GlobalMaxPooling1D, 001.08.GlobalMaxPooling2D, 001.08.GlobalMaxPooling3D.
    """


class GlobalMaxPooling1D(GlobalMaxPooling):
    """The maximum of each channel of a sequence; arguments and formula: `GlobalMaxPooling`.

    Source: 001.08.GlobalMaxPooling1D.
    """

    rank = 1


class GlobalMaxPooling2D(GlobalMaxPooling):
    """The maximum of each channel of an image; arguments and formula: `GlobalMaxPooling`. Source: 001.08.GlobalMaxPooling2D."""

    rank = 2


class GlobalMaxPooling3D(GlobalMaxPooling):
    """The maximum of each channel of a volume; arguments and formula: `GlobalMaxPooling`. Source: 001.08.GlobalMaxPooling3D."""

    rank = 3


__all__ = ["GlobalMaxPooling", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "MaxPooling", "MaxPooling1D",
           "MaxPooling2D", "MaxPooling3D", "Maximum"]


# Keras' short names
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
