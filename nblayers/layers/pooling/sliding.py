"""Windows that slide over the image: pool_size, strides and padding."""
from typing import Any

from nblayers.layers import windows
from nblayers.layers.fixed import fixed
from nblayers.layers.pooling.base import Pooling, Window
from nblayers.layers.windows import Three


class SlidingPooling(Pooling):
    """A number for each place of a window of `pool_size` that moves by `strides`."""

    size_name, strides_name = "pool_size", "strides"            # what the arguments are called
    pool_size: tuple[int, ...] = fixed()
    strides: tuple[int, ...] = fixed()
    padding: Any = fixed()

    def __init__(self, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None,
                 name: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, name=name, **kwargs)
        self.pool_size = windows.sizes(self, self.size_name, pool_size, self.rank)
        self.strides = self.pool_size if strides is None else windows.sizes(self, self.strides_name, strides, self.rank)
        self.padding = self._checked_padding(padding)

    def _checked_padding(self, padding: Any) -> Any:
        return windows.padding_mode(self, padding)

    def compute_output_shape(self, input_shape: Any) -> Any:
        lengths = tuple(length for length, _ in self._placed(self._places(input_shape)))
        return self._shape(input_shape[0], lengths, self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"pool_size": self.pool_size, "padding": self.padding, "strides": self.strides,
                                       "data_format": self.data_format}

    def _windows(self, shape: tuple[int, ...]) -> tuple[Window, Three]:
        placed = self._placed(shape[4 - self.rank:4])
        lengths, before = windows.three(tuple(p[0] for p in placed), 1), windows.three(tuple(p[1] for p in placed), 0)
        return Window(windows.three(self.pool_size, 1), windows.three(self.strides, 1), before), lengths

    def _placed(self, places: tuple[Any, ...]) -> list[tuple[Any, Any]]:
        """Of each axis: how many windows it has, and how many cells are added in front; None for an axis of unknown size."""
        return [(None, None) if n is None else self._placed_on(axis, n) for axis, n in enumerate(places)]

    def _placed_on(self, axis: int, n: int) -> tuple[int, int]:
        length, before = windows.placed(n, self.pool_size[axis], self.strides[axis], 1, self.padding)
        if length < 1:
            least = 1 if self.padding == "same" else self.pool_size[axis]
            raise ValueError(f"{self.described}: expected a size of at least {least} on spatial axis {axis}, pool_size "
                             f"being {self.pool_size} and padding {self.padding!r}, got {n}")
        return length, before

    def _output(self, y: Any) -> Any:
        return self._image(y)

    def _upstream(self, dy: Any) -> Any:
        return self._volume(dy)


__all__ = ["SlidingPooling"]
