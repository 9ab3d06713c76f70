"""Larger images: each cell several times, or new cells between them."""
from typing import Any

import numpy as np

from nblayers.arguments import choice
from nblayers.layers import windows
from nblayers.layers.base import Record, positive
from nblayers.layers.fixed import fixed
from nblayers.layers.reshaping.base import PlaceLayer
from nblayers.layers.reshaping.interpolation import METHODS, axis_weights, rounded


class UpSampling(PlaceLayer):
    r"""Every cell several times: a larger image without a weight, as in the way back up of a U-Net.

        y_i = x_{\lfloor i / f \rfloor}         (1)    f is the factor of the axis

    Backward, a cell collects the gradients of its copies.

    Input (batch, …, channels) with `rank` axes of places, output likewise, each place's axis f times as long.

    Arguments:
        size: f, one integer or one for each axis; of sequences one integer.
        data_format: "channels_last" or "channels_first", (batch, channels, …); by default
            `nblayers.config.image_data_format()`. Sequences always have their channels last, as in Keras.

    Raises:
        ValueError: size is not a positive integer or not as many as axes; another data_format; an input of another number
            of axes.

    Source: 001.14.UpSampling1D, 001.14.UpSampling2D, 001.14.UpSampling3D.
    """

    size: Any = fixed()

    class Cache(Record):
        shape: tuple[int, ...]      # of x
        is_float: bool              # integers have no gradient

    def __init__(self, size: Any = 2, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.size = windows.sizes(self, "size", size, self.rank) if self.rank > 1 else positive(self, "size", size)

    @property
    def _factors(self) -> tuple[int, ...]:
        return self.size if self.rank > 1 else (self.size,)

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs
        self.cache = self.Cache(x.shape, x.dtype.kind == "f")
        y = self.xp.empty(self.compute_output_shape(x.shape), x.dtype)
        self.kernels.reshaping.repeat(self._planes(x), windows.three(self._factors, 1), self._planes(y))            # (1)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        if not self.cache.is_float:
            return None
        dx = self.xp.empty(self.cache.shape, dy.dtype)
        self.kernels.reshaping.repeat_backward(self._planes(dy), windows.three(self._factors, 1), self._planes(dx))  # from (1)
        return dx

    def _resized(self, place: int, n: Any) -> Any:
        return n * self._factors[place]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size, "data_format": self.data_format}


class UpSampling1D(UpSampling):
    """Every step of a sequence (batch, steps, channels) several times; formula: `UpSampling`.

    Arguments:
        size: how many times, an integer.

    Source: 001.14.UpSampling1D.
    """

    rank = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(size, "channels_last", **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]
        return config


class UpSampling2D(UpSampling):
    r"""A larger image, by copies of its cells as `UpSampling` makes them, or with new cells between them.

        y_{ij} = \sum_k \sum_l u_{ik} v_{jl}\, x_{a_i + k,\, b_j + l}       (2)    001.14.UpSampling2D with an interpolation

    u are the weights of the rows from a_i on, v those of the cells of a row from b_j on: see `reshaping.interpolation`. Rows
    are put together first and stretched then. Backward, dy goes back along the same weights. Integers are
    rounded, half to even.

    Input (batch, height, width, channels), output likewise, height and width `size` times as large.

    Arguments:
        interpolation: "nearest" (copies), "bilinear", "bicubic", "lanczos3" or "lanczos5". What lies outside the image has no
            weight, with which a bilinear edge is PyTorch's (align_corners=False), a bicubic one is not.
        size, data_format: see `UpSampling`.

    Raises:
        ValueError: another interpolation; what `UpSampling` raises.

    Source: 001.14.UpSampling2D.
    """

    rank = 2
    interpolation: str = fixed()

    def __init__(self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest",
                 **kwargs: Any) -> None:
        super().__init__(size, data_format, **kwargs)
        lower = interpolation.lower() if isinstance(interpolation, str) else interpolation
        self.interpolation = choice(self.described, "interpolation", lower, ["nearest", *METHODS])

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        if self.interpolation == "nearest":
            return super().forward(inputs)
        self.cache = self.Cache(inputs.shape, inputs.dtype.kind == "f")
        x = inputs.astype(self.dtype, copy=False)
        y = self.xp.empty(self.compute_output_shape(x.shape), self.dtype)
        self.kernels.reshaping.interpolate(self._images(x), *self._weights(x.shape), self._images(y))               # (2)
        return y if self.cache.is_float else rounded(self.xp, y, inputs.dtype)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        if self.interpolation == "nearest" or not self.cache.is_float:
            return super().backward(dy)
        dx = self.xp.empty(self.cache.shape, self.dtype)
        self.kernels.reshaping.interpolate_backward(self._images(dy), *self._weights(dx.shape), self._images(dx))   # from (2)
        return dx

    def _images(self, x: Any) -> Any:
        """(N, H, W, C), the channels where they lie."""
        return self._planes(x)[:, 0]

    def _weights(self, shape: Any) -> list[Any]:
        """a, u, b and v of (2) for an input of this shape."""
        return [self.xp.asarray(part) for n, factor in zip(self._places(shape), self.size, strict=True)
                for part in axis_weights(n, n * factor, self.interpolation, self.dtype)]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"interpolation": self.interpolation}


class UpSampling3D(UpSampling):
    """Every cell of a volume (batch, depth, height, width, channels) several times; arguments and formula: `UpSampling`.

    Source: 001.14.UpSampling3D.
    """

    rank = 3

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(size, data_format, **kwargs)


__all__ = ["UpSampling", "UpSampling1D", "UpSampling2D", "UpSampling3D"]
