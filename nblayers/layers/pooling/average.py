"""Pooling layers that take the mean of each window."""
from typing import Any

import numpy as np

from nblayers.layers.base import Record
from nblayers.layers.pooling.base import Pooling, Window
from nblayers.layers.pooling.sliding import SlidingPooling
from nblayers.layers.pooling.whole import GlobalPooling


class Average(Pooling):
    """The computation of average pooling, over whichever windows; equations in `AveragePooling`."""

    class Cache(Record):
        shape: tuple[int, ...]      # (B, D, H, W, C), of x
        window: Window

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = self._volume(inputs)
        window, lengths = self._windows(x.shape)
        y = self.xp.empty((len(x), *lengths, x.shape[-1]), self.dtype)
        self.kernels.pooling.average_pool(x, *window, y)                                    # (1)
        self.cache = self.Cache(x.shape, window)
        return self._output(y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        cache = self.cache
        dx = self.xp.empty(cache.shape, self.dtype)
        self.kernels.pooling.average_pool_gradient(self._upstream(dy), *cache.window, dx)   # from (1)
        return self._image(dx)


class AveragePooling(Average, SlidingPooling):
    r"""The mean of each window: a smaller, smoother image.

        y_{ic} = \frac{1}{|N_i|} \sum_{k \in N_i} x_{i s + k - p, c}        (1)

    i is the window, N_i those of its cells k that lie inside the image, s the strides, c a channel. Backward, each cell of N_i
    gets dy_i / |N_i|; where windows overlap, a cell collects from all of them. With "same", windows at the edge divide by the
    cells that they really have, as in Keras, so that the mean of a constant image is the constant. The documents divide by
    pool_size, which in two axes is not the number of cells.

    Input (batch, …, channels) with `rank` axes between, output likewise, each axis ⌊(n - pool_size) / s⌋ + 1 long ("valid") or
    ⌈n / s⌉ ("same").

    Arguments:
        pool_size: the window's size, one integer or one for each axis.
        strides: by how much it moves; by default pool_size, so that windows do not overlap.
        padding: "valid": only whole windows. "same": windows may reach over the edge, the odd cell behind.
        data_format: "channels_last" or "channels_first", (batch, channels, …); by default
            `nblayers.config.image_data_format()`.

    Raises:
        ValueError: pool_size or strides not positive integers or not as many as axes; another padding or data_format; an
            input of another number of axes, or smaller than the window with "valid".

    Source: 001.08.AveragePooling1D, 001.08.AveragePooling2D, 001.08.AveragePooling3D; 002.AvgPool.
    """


class AveragePooling1D(AveragePooling):
    """Average pooling of sequences (batch, steps, channels); arguments and formula: `AveragePooling`.

    Source: 001.08.AveragePooling1D.
    """

    rank = 1


class AveragePooling2D(AveragePooling):
    """Average pooling of images (batch, height, width, channels); arguments and formula: `AveragePooling`.

    Source: 001.08.AveragePooling2D.
    """

    rank = 2


class AveragePooling3D(AveragePooling):
    """Average pooling of volumes (batch, depth, height, width, channels); arguments and formula: `AveragePooling`.

    Source: 001.08.AveragePooling3D.
    """

    rank = 3


class GlobalAveragePooling(Average, GlobalPooling):
    r"""The mean of each channel: what a classifier often has in place of Flatten and a large Dense layer.

        y_c = \frac{1}{N} \sum_k x_{k c}            (1)    N cells k

    It is average pooling with one window as large as the image. Backward, every cell gets dy_c / N.

    Input (batch, …, channels) with `rank` axes between, output (batch, channels).

    Arguments:
        data_format: "channels_last" or "channels_first", (batch, channels, …); by default
            `nblayers.config.image_data_format()`.
        keepdims: keep the axes, with size 1.

    Raises:
        ValueError: another data_format; an input of another number of axes, or with an axis of size 0.

    Source: 001.08.GlobalAveragePooling1D, 001.08.GlobalAveragePooling2D, 001.08.GlobalAveragePooling3D.
    """


class GlobalAveragePooling1D(GlobalAveragePooling):
    r"""The mean of each channel of a sequence, over the steps that its mask leaves.

        x'_{tc} = m_t x_{tc}                        (2)    m_t is 0 at masked steps; without a mask x' is x
        y_c = \frac{1}{T} \sum_t x'_{tc} \frac{T}{n},    n = \sum_t m_t                 (3)

    Input (batch, steps, channels), mask (batch, steps); the mask ends here: the output has no steps. Other arguments and
    errors: `GlobalAveragePooling`.

    Raises:
        ValueError: a mask of another shape, or one that leaves no step of a sample (Keras gives NaN).

    Source: 001.08.GlobalAveragePooling1D.
    """

    rank = 1
    supports_masking = masks_steps = True

    class Cache(Average.Cache):
        m: np.ndarray | None = None         # (B, T), bool
        weight: np.ndarray | None = None    # (B, 1): T / n

    def forward(self, inputs: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        if mask is None:
            return super().forward(inputs)
        weight = self._weight(mask, inputs)
        y = super().forward(self._masked(mask, inputs))                                     # (2), (3)
        self.cache.m, self.cache.weight = mask, weight
        return self._weighted(y, weight)                                                    # (3)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        m, weight = self.cache.m, self.cache.weight
        if m is None:
            return super().backward(dy)
        return self._masked(m, super().backward(self._weighted(dy, weight)))                # from (3), then (2)

    def _weight(self, mask: Any, inputs: Any) -> Any:
        steps = (len(inputs), *self._places(inputs.shape))
        if mask.shape != steps:
            raise ValueError(f"{self.described}: expected a mask of shape {steps}, got {mask.shape}")
        counts = mask.sum(axis=1, keepdims=True)
        if not counts.all():
            raise ValueError(f"{self.described}: expected the mask to leave a step of every sample, got none of sample "
                             f"{int(counts.argmin())}")
        return (steps[1] / counts).astype(self.dtype)

    def _masked(self, m: Any, x: Any) -> Any:
        volume = self._volume(x)
        kept, rows = self.xp.empty_like(volume), (m.size, volume.shape[-1])
        self.kernels.core.masking_apply(volume.reshape(rows), m.reshape(-1), kept.reshape(rows))
        return self._image(kept)

    def _weighted(self, y: Any, weight: Any) -> Any:
        return y * weight.reshape(len(y), *(1,) * (y.ndim - 1))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: the output has no steps."""
        return None


class GlobalAveragePooling2D(GlobalAveragePooling):
    """The mean of each channel of an image; arguments and formula: `GlobalAveragePooling`.

    Source: 001.08.GlobalAveragePooling2D.
    """

    rank = 2


class GlobalAveragePooling3D(GlobalAveragePooling):
    """The mean of each channel of a volume; arguments and formula: `GlobalAveragePooling`.

    Source: 001.08.GlobalAveragePooling3D.
    """

    rank = 3


__all__ = ["Average", "AveragePooling", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "GlobalAveragePooling",
           "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D"]


# Keras' short names
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D
