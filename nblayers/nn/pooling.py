"""The pooling layers as PyTorch writes them; `nblayers.nn` has their names."""
from typing import Any

import numpy as np

from nblayers.arguments import flag, integer, optional
from nblayers.layers import windows
from nblayers.layers.base import Layer, Record
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.pooling.average import Average
from nblayers.layers.pooling.base import Pooling
from nblayers.layers.pooling.maximum import Maximum
from nblayers.layers.pooling.sliding import SlidingPooling
from nblayers.nn.module import LibraryModule
from nblayers.nn.single import TakesSingle


class TorchPooling(TakesSingle, SlidingPooling, LibraryModule):
    r"""What the six share: channels come first, and the padding is a number of cells, the same in front and behind.

        length = \lfloor (n + 2 p - k) / s \rfloor + 1          (1)    rounded up with `ceil_mode`

    where a last window that begins behind the image is left out. An input may lack the batch axis: (channels, …).
    """

    ceil_mode: bool = fixed()
    size_name, strides_name = "kernel_size", "stride"

    def __init__(self, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, **kwargs: Any) -> None:
        super().__init__(kernel_size, stride, padding, data_format="channels_first", **kwargs)
        self.ceil_mode = flag(self.described, "ceil_mode", ceil_mode)
        self._given = kernel_size, kernel_size if stride is None else stride, padding       # as repr shows them
        self.input_spec = InputSpec(min_ndim=self.rank + 1, max_ndim=self.rank + 2)

    def _checked_padding(self, padding: Any) -> tuple[int, ...]:
        sizes = windows.sizes(self, "padding", padding, self.rank, smallest=0)
        if any(p > k // 2 for p, k in zip(sizes, self.pool_size, strict=True)):
            raise ValueError(f"{self.described}: expected padding of at most half of kernel_size {self.pool_size}, "
                             f"got {padding!r}")
        return sizes

    def _placed_on(self, axis: int, n: int) -> tuple[int, int]:
        k, s, p = self.pool_size[axis], self.strides[axis], self.padding[axis]
        room = n + 2 * p - k
        length = (-(-room // s) if self.ceil_mode else room // s) + 1                       # (1)
        length -= (length - 1) * s >= n + p
        if n < 1 or length < 1:
            least = max(k - 2 * p - (s - 1) * self.ceil_mode, 1)
            raise ValueError(f"{self.described}: expected a size of at least {least} on spatial axis {axis}, kernel_size being "
                             f"{self.pool_size}, stride {self.strides} and padding {self.padding}, got {n}")
        return length, p

    def get_config(self) -> dict[str, Any]:
        return Layer.get_config(self) | {                       # not SlidingPooling's: its keys are Keras'
            "kernel_size": self.pool_size, "stride": self.strides, "padding": self.padding, "ceil_mode": self.ceil_mode}

    @property
    def kernel_size(self) -> tuple[int, ...]:
        return self.pool_size

    @property
    def stride(self) -> tuple[int, ...]:
        return self.strides

    def extra_repr(self) -> str:
        kernel_size, stride, padding = self._given
        return f"kernel_size={kernel_size}, stride={stride}, padding={padding}"


class TorchMaxPooling(TorchPooling, Maximum):
    """`layers.MaxPooling` of (batch, channels, …), padded alike on both sides; what lies outside never wins.

    Arguments:
        kernel_size, stride, padding: an integer, or one for each axis; stride is kernel_size by default.
        dilation, return_indices: as in PyTorch, but only 1 and False; a layer's `cache.index` holds the winners.
        ceil_mode: keep a last window that ends outside.

    Raises:
        ValueError: sizes that are no positive integers, padding above half of kernel_size, another dilation, return_indices,
            an image smaller than the window.

    Source: 002.MaxPool.
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, return_indices: bool = False,
                 ceil_mode: bool = False, **kwargs: Any) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, **kwargs)
        if set(windows.sizes(self, "dilation", dilation, self.rank)) != {1}:
            raise ValueError(f"{self.described}: expected dilation=1, got {dilation!r}; another is not supported")
        if flag(self.described, "return_indices", return_indices):
            raise ValueError(f"{self.described}: return_indices is not supported; cache.index holds them after a forward")
        self.dilation = dilation

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class TorchAveragePooling(TorchPooling, Average):
    r"""`layers.AveragePooling` of (batch, channels, …), padded alike on both sides with zeros, which count unless told.

        \text{mean}_i = \frac{1}{|N_i|} \sum_{k \in N_i} x_k     (1)
        y_i           = \frac{|N_i|}{n_i} \text{mean}_i          (2)

    N_i are the window's cells inside the image, and n_i is what PyTorch divides by: the cells of the window with the padding
    (but not what `ceil_mode` adds), without it if count_include_pad is False, or divisor_override.

    Arguments:
        kernel_size, stride, padding: an integer, or one for each axis; stride is kernel_size by default.
        ceil_mode: keep a last window that ends outside.
        count_include_pad: whether the padding's zeros count.
        divisor_override: a number to divide by in place of the count.

    Raises:
        ValueError: sizes that are no positive integers, padding above half of kernel_size, divisor_override 0, an image
            smaller than the window.

    Source: 002.AvgPool.
    """

    class Cache(Average.Cache):
        factor: np.ndarray | None = None        # like the output's places: |N_i| / n_i

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None, **kwargs: Any) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, **kwargs)
        self.divisor_override = optional(integer, self.described, "divisor_override", divisor_override)
        if divisor_override == 0:
            raise ValueError(f"{self.described}: expected a divisor_override other than 0, got 0")
        self.count_include_pad = flag(self.described, "count_include_pad", count_include_pad)

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        mean = super().forward(inputs)                                                      # (1)
        if self.divisor_override is None and not (self.count_include_pad and any(self.padding)):
            return mean                                                                     # n_i is |N_i|
        factor = self.cache.factor = self._factor(inputs.shape[-self.rank:])
        return mean * factor                                                                # (2)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        factor = self.cache.factor
        dmean = dy if factor is None else dy * factor                                       # from (2)
        return super().backward(dmean)                                                      # from (1)

    def _factor(self, places: tuple[int, ...]) -> Any:
        """|N_i| / n_i for the windows i over an image of this size."""
        inside, counted = np.ones((2, *(1,) * self.rank))
        for axis, n in enumerate(places):
            length, p = self._placed_on(axis, n)
            start = np.arange(length) * self.strides[axis] - p
            end = np.minimum(start + self.pool_size[axis], n + p)
            along = [1] * axis + [length] + [1] * (self.rank - axis - 1)
            inside = inside * (np.minimum(end, n) - np.maximum(start, 0)).reshape(along)
            counted = counted * (end - start).reshape(along)
        if not self.count_include_pad:
            counted = inside
        return self.xp.asarray(inside / (self.divisor_override or counted), self.dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"count_include_pad": self.count_include_pad, "divisor_override": self.divisor_override}


class MaxPool1d(TorchMaxPooling):
    """`layers.MaxPooling1D` as PyTorch writes it; arguments: `TorchMaxPooling`."""

    rank = 1


class MaxPool2d(TorchMaxPooling):
    """`layers.MaxPooling2D` as PyTorch writes it; arguments: `TorchMaxPooling`."""

    rank = 2


class MaxPool3d(TorchMaxPooling):
    """`layers.MaxPooling3D` as PyTorch writes it; arguments: `TorchMaxPooling`."""

    rank = 3


class AvgPool1d(TorchAveragePooling):
    """`layers.AveragePooling1D` as PyTorch writes it; arguments: `TorchAveragePooling`."""

    rank = 1

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(TorchAveragePooling):
    """`layers.AveragePooling2D` as PyTorch writes it; arguments: `TorchAveragePooling`."""

    rank = 2


class AvgPool3d(TorchAveragePooling):
    """`layers.AveragePooling3D` as PyTorch writes it; arguments: `TorchAveragePooling`."""

    rank = 3


class AdaptiveAverage(Pooling):
    """The computation of adaptive pooling; equations in `AdaptiveAveragePooling`."""

    _sizes: tuple[int | None, ...]

    class Cache(Record):
        shape: tuple[int, ...]      # (B, D, H, W, C), of x

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = self._volume(inputs)
        y = self.xp.empty((len(x), *windows.three(self._lengths(self._places(inputs.shape)), 1), x.shape[-1]), self.dtype)
        self.kernels.pooling.adaptive_average_pool(x, y)                                        # (1), (2)
        self.cache = self.Cache(x.shape)
        return self._image(y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx = self.xp.empty(self.cache.shape, self.dtype)
        self.kernels.pooling.adaptive_average_pool_gradient(self._volume(dy), dx)               # from (2)
        return self._image(dx)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._shape(input_shape[0], self._lengths(self._places(input_shape)), self._channels(input_shape))

    def _lengths(self, places: tuple[Any, ...]) -> tuple[Any, ...]:
        if 0 in places:
            raise ValueError(f"{self.described}: expected a size of at least 1 on each spatial axis, got {tuple(places)}")
        return tuple(n if size is None else size for size, n in zip(self._sizes, places, strict=True))


class AdaptiveAveragePooling(TakesSingle, AdaptiveAverage, LibraryModule):
    r"""Average pooling into a given number of windows, whatever the size of the image.

        N_i = \{k : \lfloor i n / m \rfloor \le k < \lceil (i + 1) n / m \rceil\}     (1)    m windows over n cells
        y_{ic} = \frac{1}{|N_i|} \sum_{k \in N_i} x_{kc}                              (2)

    Where m does not divide n, windows overlap by one cell. Backward, each cell of N_i gets dy_i / |N_i|.

    Input (batch, channels, …) or (channels, …) with `rank` axes of places, which become `output_size`.

    Arguments:
        output_size: m, an integer, or one for each axis; None keeps that axis as it is.

    Raises:
        ValueError: an output_size that is neither; an input of another number of axes, or without places.

    Source: torch.nn.AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d.
    """

    output_size: Any = fixed()

    def __init__(self, output_size: Any, **kwargs: Any) -> None:
        super().__init__("channels_first", **kwargs)
        given = output_size if isinstance(output_size, (list, tuple)) else (output_size,) * self.rank
        if len(given) != self.rank:
            raise ValueError(f"{self.described}: expected an integer, None, or {self.rank} of them as output_size, "
                             f"got {output_size!r}")
        sizes = tuple(optional(integer, self.described, "output_size", size, 1) for size in given)
        self.output_size = sizes if isinstance(output_size, (list, tuple)) else output_size
        self._sizes = sizes
        self.input_spec = InputSpec(min_ndim=self.rank + 1, max_ndim=self.rank + 2)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"output_size": self.output_size}

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(AdaptiveAveragePooling):
    """`AdaptiveAveragePooling` of (batch, channels, steps)."""

    rank = 1


class AdaptiveAvgPool2d(AdaptiveAveragePooling):
    """`AdaptiveAveragePooling` of (batch, channels, height, width)."""

    rank = 2


class AdaptiveAvgPool3d(AdaptiveAveragePooling):
    """`AdaptiveAveragePooling` of (batch, channels, depth, height, width)."""

    rank = 3


__all__ = ["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "MaxPool1d",
           "MaxPool2d", "MaxPool3d"]
