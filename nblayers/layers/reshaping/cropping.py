"""Cells cut off at the edges."""
from typing import Any

import numpy as np

from nblayers.layers.base import Record
from nblayers.layers.fixed import fixed
from nblayers.layers.reshaping.base import Pairs, PlaceLayer, pairs


class Cropping(PlaceLayer):
    r"""Cuts cells off at the edges: to bring images of two branches to one size, or to drop what padding spoilt.

        y_i = x_{i + b}             (1)    b cells are cut off in front

    The output is a view of the input. Backward, a cell that was cut off gets zero.

    Input (batch, …, channels) with `rank` axes of places, output likewise, each place's axis as much shorter.

    Arguments:
        cropping: an integer: so many cells in front and behind of every axis. An integer for each axis, or a pair (in front,
            behind) for each; for sequences one pair.
        data_format: "channels_last" or "channels_first", (batch, channels, …); by default
            `nblayers.config.image_data_format()`. Sequences always have their channels last, as in Keras.

    Raises:
        ValueError: cropping is none of these; another data_format; an input of another number of axes, or of which nothing
            would be left.

    Source: 001.14.Cropping1D, 001.14.Cropping2D, 001.14.Cropping3D.
    """

    cropping: Any = fixed()

    class Cache(Record):
        shape: tuple[int, ...]      # of x
        is_float: bool              # integers have no gradient

    def __init__(self, cropping: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        found = pairs(self, "cropping", cropping, self.rank)
        self.cropping = found if self.rank > 1 else found[0]

    @property
    def _pairs(self) -> Pairs:
        return self.cropping if self.rank > 1 else (self.cropping,)

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs
        self.compute_output_shape(x.shape)                              # refuses what leaves nothing
        self.cache = self.Cache(x.shape, x.dtype.kind == "f")
        return self._inside(x, self._pairs)                             # (1)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        if not self.cache.is_float:
            return None
        return self._padded(dy, tuple(front for front, _ in self._pairs), self.cache.shape)     # from (1)

    def _resized(self, place: int, n: Any) -> Any:
        cut = sum(self._pairs[place])
        if cut >= n:
            raise ValueError(f"{self.described}: expected a size above {cut} on axis {place} of the places, as so many cells "
                             f"are cut off by cropping={self.cropping}, got {n}")
        return n - cut

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"cropping": self.cropping, "data_format": self.data_format}


class Cropping1D(Cropping):
    """Steps cut off a sequence (batch, steps, channels); formula and errors: `Cropping`.

    Arguments:
        cropping: an integer, or how many steps in front and behind.

    Source: 001.14.Cropping1D.
    """

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(cropping, "channels_last", **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]
        return config


class Cropping2D(Cropping):
    """Edges cut off an image (batch, height, width, channels); arguments and formula: `Cropping`.

    Source: 001.14.Cropping2D.
    """

    rank = 2

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(Cropping):
    """Sides cut off a volume (batch, depth, height, width, channels); arguments and formula: `Cropping`.

    Source: 001.14.Cropping3D.
    """

    rank = 3

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


__all__ = ["Cropping", "Cropping1D", "Cropping2D", "Cropping3D"]
