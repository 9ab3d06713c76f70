"""PyTorch's windows where Keras has none to match: padded alike in front and behind, or ending outside."""
from typing import Any

import numpy as np

from nblayers.layers import windows
from nblayers.layers.pooling.average import Average
from nblayers.layers.pooling.maximum import Maximum
from nblayers.layers.pooling.sliding import SlidingPooling


class PaddedPooling(SlidingPooling):
    r"""Windows over an image (batch, channels, …) that is `padding` cells larger on each side.

        length = \lfloor (n + 2 p - k) / s \rfloor + 1          (1)    rounded up with `ceil_mode`

    where a last window that begins behind the image is left out.
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, **kwargs: Any) -> None:
        self.rank = len(kernel_size)
        super().__init__(kernel_size, stride, data_format="channels_first", **kwargs)
        self.margins = windows.sizes(self, "padding", padding, self.rank, smallest=0)
        if any(p > k // 2 for p, k in zip(self.margins, self.pool_size, strict=True)):
            raise ValueError(f"{self.described}: expected padding of at most half of kernel_size {self.pool_size}, "
                             f"got {padding!r}")
        self.ceil_mode = bool(ceil_mode)

    def _placed_on(self, axis: int, n: int) -> tuple[int, int]:
        k, s, p = self.pool_size[axis], self.strides[axis], self.margins[axis]
        room = n + 2 * p - k
        if n < 1 or room < 0:
            raise ValueError(f"{self.described}: expected at least {max(k - 2 * p, 1)} cells on spatial axis {axis}, "
                             f"kernel_size being {self.pool_size} and padding {self.margins}, got {n}")
        length = (-(-room // s) if self.ceil_mode else room // s) + 1                       # (1)
        return length - ((length - 1) * s >= n + p), p

    def get_config(self) -> dict[str, Any]:
        settings = super().get_config()
        for name in ("pool_size", "strides", "data_format"):
            del settings[name]
        return settings | {"kernel_size": self.pool_size, "stride": self.strides, "padding": self.margins,
                           "ceil_mode": self.ceil_mode}


class PaddedMaxPooling(Maximum, PaddedPooling):
    """`nn.MaxPool1d` to `nn.MaxPool3d` with padding or ceil_mode; what lies outside never wins.

    Arguments:
        kernel_size, stride, padding: tuples with an integer for each axis of the window; stride is kernel_size by default.
        ceil_mode: keep a last window that ends outside.

    Raises:
        ValueError: sizes that are not positive integers, padding above half of kernel_size, an image smaller than the window.

    Source: 002.MaxPool.
    """


class PaddedAveragePooling(Average, PaddedPooling):
    r"""`nn.AvgPool1d` to `nn.AvgPool3d` with padding, ceil_mode or a divisor.

        y_i = \frac{|N_i|}{n_i} \text{mean}_i          (1)

    mean_i is over the |N_i| cells inside the image, and n_i what PyTorch divides by: the cells of the window with the padding
    (but not what `ceil_mode` adds), without it if count_include_pad is False, or divisor_override.

    Arguments:
        kernel_size, stride, padding: tuples with an integer for each axis of the window; stride is kernel_size by default.
        ceil_mode: keep a last window that ends outside.
        count_include_pad: whether the padding's zeros count.
        divisor_override: a number to divide by in place of the count.

    Raises:
        ValueError: sizes that are not positive integers, padding above half of kernel_size, divisor_override 0, an image
            smaller than the window.

    Source: 002.AvgPool.
    """

    class Cache(Average.Cache):
        factor: np.ndarray | None = None        # (OD, OH, OW), as many of them as axes: |N_i| / n_i

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None, **kwargs: Any) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, **kwargs)
        if divisor_override == 0:
            raise ValueError(f"{self.described}: expected a divisor_override other than 0")
        self.count_include_pad = bool(count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        mean = super().forward(inputs)
        factor = self.cache.factor = self._factor(self._places(inputs.shape))
        return mean * factor                                                                # (1)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return super().backward(dy * self.cache.factor)                                     # from (1)

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


__all__ = ["PaddedAveragePooling", "PaddedMaxPooling"]
