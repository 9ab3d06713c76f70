"""Zeros put around."""
from typing import Any

import numpy as np

from nblayers.layers.base import Record
from nblayers.layers.fixed import fixed
from nblayers.layers.reshaping.base import Pairs, PlaceLayer, pairs


class ZeroPadding(PlaceLayer):
    r"""Puts zeros around: to keep an image's size through a convolution, or to bring it to a size that divides.

        y_i = x_{i - b} \text{ where } 0 \le i - b < n, \text{ else } 0         (1)    b zeros in front, n cells

    Backward, dx is a view of dy: what fell on zeros is dropped.

    Input (batch, …, channels) with `rank` axes of places, output likewise, each place's axis as much longer.

    Arguments:
        padding: an integer: so many zeros in front and behind of every axis. An integer for each axis, or a pair (in front,
            behind) for each; for sequences one pair.
        data_format: "channels_last" or "channels_first", (batch, channels, …); by default
            `nblayers.config.image_data_format()`.

    Raises:
        ValueError: padding is none of these; another data_format; an input of another number of axes.

    Source: 001.14.ZeroPadding1D, 001.14.ZeroPadding2D, 001.14.ZeroPadding3D.
    """

    padding: Any = fixed()

    class Cache(Record):
        is_float: bool              # integers have no gradient

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        found = pairs(self, "padding", padding, self.rank)
        self.padding = found if self.rank > 1 else found[0]

    @property
    def _pairs(self) -> Pairs:
        return self.padding if self.rank > 1 else (self.padding,)

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs
        self.cache = self.Cache(x.dtype.kind == "f")
        return self._padded(x, tuple(front for front, _ in self._pairs), self.compute_output_shape(x.shape))    # (1)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        return self._inside(dy, self._pairs) if self.cache.is_float else None                                   # from (1)

    def _resized(self, place: int, n: Any) -> Any:
        return n + sum(self._pairs[place])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"padding": self.padding, "data_format": self.data_format}


class ZeroPadding1D(ZeroPadding):
    """Zeros before and after a sequence (batch, steps, channels); other arguments and formula: `ZeroPadding`.

    Arguments:
        padding: an integer, or how many zeros in front and behind.

    Source: 001.14.ZeroPadding1D.
    """

    rank = 1


class ZeroPadding2D(ZeroPadding):
    """Zeros around an image (batch, height, width, channels); arguments and formula: `ZeroPadding`.

    Source: 001.14.ZeroPadding2D.
    """

    rank = 2

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


class ZeroPadding3D(ZeroPadding):
    """Zeros around a volume (batch, depth, height, width, channels); arguments and formula: `ZeroPadding`.

    Source: 001.14.ZeroPadding3D.
    """

    rank = 3

    def __init__(self, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


__all__ = ["ZeroPadding", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"]
