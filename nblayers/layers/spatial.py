"""What layers over sequences, images and volumes share: where the channels stand, and the view that the kernels take."""
from typing import Any

from nblayers.layers import windows
from nblayers.layers.base import Layer


class SpatialLayer(Layer):
    """A layer over (batch, places…, channels) with `rank` axes of places; with data_format="channels_first" (batch, channels,
    places…). For the kernels all ranks are three: sequences and images are volumes (B, D, H, W, C) with sizes of one.
    """

    rank = 0
    data_format: str

    def _check_inputs(self, inputs: Any) -> None:
        super()._check_inputs(inputs)
        if self._channels(inputs.shape) == 0:
            raise ValueError(f"{self.described}: expected an input with channels, got shape {inputs.shape}")

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _channels(self, shape: Any) -> Any:
        """How many channels an input of this shape has."""
        return shape[self._channel_axis]

    def _places(self, shape: Any) -> tuple[Any, ...]:
        """The sizes of the axes of places, of an input of this shape."""
        places = tuple(shape[1:-1] if self.data_format == "channels_last" else shape[2:])
        if len(places) != self.rank:
            raise ValueError(f"{self.described}: expected an input of {self.rank + 2} axes, got shape {tuple(shape)}")
        return places

    def _shape(self, batch: Any, places: tuple[Any, ...], channels: Any) -> tuple[Any, ...]:
        """The shape of an array with these sizes in the layer's data format."""
        return (batch, *places, channels) if self.data_format == "channels_last" else (batch, channels, *places)

    def _volume(self, x: Any) -> Any:
        """An array in the layer's data format as (B, D, H, W, C)."""
        return windows.volume(windows.to_channels_last(self, x))

    def _image(self, x: Any) -> Any:
        """(B, D, H, W, C) with the layer's own axes, in its data format."""
        batch, *places, channels = x.shape
        return windows.from_channels_last(self, x.reshape(batch, *places[3 - self.rank:], channels))
