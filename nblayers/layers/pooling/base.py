"""What all pooling layers share."""
from typing import Any, NamedTuple

from nblayers.layers import windows
from nblayers.layers.base import Layer
from nblayers.layers.input_spec import InputSpec

Three = tuple[int, int, int]


class Window(NamedTuple):
    """What slides over a volume (B, D, H, W, C), as the kernels take it; a tuple of three for the three axes."""

    size: Three
    strides: Three
    padding: Three          # in front; what lies behind follows from the number of windows


class Pooling(Layer):
    """One number of each window, in each channel on its own: no weights.

    Two questions, answered apart: which number (`Maximum`, `Average`: the halves of the computation), and which windows
    (`SlidingPooling`, `GlobalPooling`: arguments and shapes). A layer inherits one answer to each and a rank; for the kernels
    all ranks are three, sequences and images being volumes with sizes of one.
    """

    rank = 0                # how many axes the window has

    def __init__(self, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = windows.data_format(self, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self.built = True

    def _windows(self, shape: tuple[int, ...]) -> tuple[Window, Three]:
        """For a volume of this shape: the window, and how many of them lie along depth, height and width."""
        raise NotImplementedError

    def _output(self, y: Any) -> Any:
        """The windows' numbers (B, OD, OH, OW, C) as the layer's output."""
        raise NotImplementedError

    def _upstream(self, dy: Any) -> Any:
        """A gradient shaped like the layer's output as (B, OD, OH, OW, C)."""
        raise NotImplementedError

    def _volume(self, x: Any) -> Any:
        """An array in the layer's data format as (B, D, H, W, C)."""
        return windows.volume(windows.to_channels_last(self, x))

    def _image(self, x: Any) -> Any:
        """(B, D, H, W, C) in the layer's data format."""
        batch, *places, channels = x.shape
        return windows.from_channels_last(self, x.reshape(batch, *places[3 - self.rank:], channels))

    def _places(self, shape: Any) -> tuple[Any, ...]:
        """The sizes of the axes that the window slides over, of an input of this shape."""
        places = tuple(shape[1:-1] if self.data_format == "channels_last" else shape[2:])
        if len(places) != self.rank:
            raise ValueError(f"{self.described}: expected an input of {self.rank + 2} axes, got shape {tuple(shape)}")
        return places

    def _shape(self, batch: Any, places: tuple[Any, ...], channels: Any) -> tuple[Any, ...]:
        return (batch, *places, channels) if self.data_format == "channels_last" else (batch, channels, *places)

    def _channels(self, shape: Any) -> Any:
        return shape[-1] if self.data_format == "channels_last" else shape[1]
