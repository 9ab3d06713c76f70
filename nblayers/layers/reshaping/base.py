"""What the layers over sequences, images and volumes share that cut, pad and stretch them."""
from typing import Any

import numpy as np

from nblayers.layers import windows
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.spatial import SpatialLayer

Pairs = tuple[tuple[int, int], ...]


class PlaceLayer(SpatialLayer):
    """A layer that gives the axes of places other sizes and leaves the channels alone. Integers stay integers.

    The kernels need not know where the channels are: where they come first, each is a sample of one channel.
    """

    integer_inputs = True
    data_format: str = fixed()

    def __init__(self, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = windows.data_format(self, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self.built = True

    def _planes(self, x: Any) -> Any:
        """A view of an array in the layer's data format as (N, D, H, W, C), the channels where they lie."""
        if self.data_format == "channels_last":
            return windows.volume(x)
        batch, channels, *places = x.shape
        return x.reshape(batch * channels, *windows.three(tuple(places), 1), 1)

    def _resized(self, place: int, n: Any) -> Any:
        """The new size of an axis of places of size n."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Any:
        places = tuple(None if n is None else self._resized(place, n) for place, n in enumerate(self._places(input_shape)))
        return self._shape(input_shape[0], places, self._channels(input_shape))

    def _padded(self, x: Any, before: tuple[int, ...], shape: Any) -> Any:
        """x within zeros, in an array of this shape."""
        y = self.xp.empty(shape, x.dtype)
        self.kernels.reshaping.pad(self._planes(x), windows.three(before, 0), self._planes(y))
        return y

    def _inside(self, x: Any, pairs: Pairs) -> Any:
        """A view of x without so many cells in front and behind on each axis of places."""
        start = 1 if self.data_format == "channels_last" else 2
        places = tuple(slice(front, x.shape[start + place] - behind) for place, (front, behind) in enumerate(pairs))
        return x[(slice(None),) * start + places]


def pairs(layer: Any, name: str, value: Any, rank: int) -> Pairs:
    """An argument such as `padding`: how many cells in front and behind, of each axis. One integer stands for all of them,
    an integer in place of a pair for both its numbers.

    Raises:
        ValueError: anything else, or a negative number.
    """
    given = (value,) if rank == 1 else (value,) * rank if _is_size(value) else value
    found = [_pair(one) for one in given] if isinstance(given, (list, tuple, np.ndarray)) else []
    if len(found) != rank or not all(found):
        kinds = "a pair of them" if rank == 1 else f"{rank} of them or {rank} pairs"
        raise ValueError(f"{layer.described}: expected {name} as an integer that is not negative, {kinds}, got {value!r}")
    return tuple(pair for pair in found if pair)


def _is_size(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 0)


def _pair(value: Any) -> tuple[int, int] | None:
    if _is_size(value):
        return int(value), int(value)
    if isinstance(value, (list, tuple, np.ndarray)) and len(value) == 2 and all(_is_size(size) for size in value):
        return int(value[0]), int(value[1])
    return None
