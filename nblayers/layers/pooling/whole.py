"""One window as large as the image: global pooling."""
from typing import Any

from nblayers.arguments import flag
from nblayers.layers import windows
from nblayers.layers.pooling.base import Pooling, Window
from nblayers.layers.windows import Three


class GlobalPooling(Pooling):
    """One number for each channel of a sample."""

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.keepdims = flag(self.described, "keepdims", keepdims)

    def compute_output_shape(self, input_shape: Any) -> Any:
        places = self._places(input_shape)
        return self._shape(input_shape[0], (1,) * len(places) if self.keepdims else (), self._channels(input_shape))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"data_format": self.data_format, "keepdims": self.keepdims}

    def _windows(self, shape: tuple[int, ...]) -> tuple[Window, Three]:
        places = shape[4 - self.rank:4]
        if 0 in places:
            raise ValueError(f"{self.described}: expected a size of at least 1 on each spatial axis, got {tuple(places)}")
        size = windows.three(tuple(places), 1)
        return Window(size, size, (0, 0, 0)), (1, 1, 1)

    def _output(self, y: Any) -> Any:
        return self._image(y) if self.keepdims else y.reshape(len(y), y.shape[-1])

    def _upstream(self, dy: Any) -> Any:
        return dy.reshape(len(dy), 1, 1, 1, -1)         # all axes but two have size 1: their order does not matter


__all__ = ["GlobalPooling"]
