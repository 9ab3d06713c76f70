"""All axes of a sample in one."""
import math
from typing import Any

import numpy as np

from nblayers.layers import windows
from nblayers.layers.base import Layer, Record
from nblayers.layers.input_spec import InputSpec


class Flatten(Layer):
    """Lays all axes of a sample into one: between convolutions or sequences and a Dense layer. A view where possible.

    Input (batch, …), output (batch, product of the others); an input (batch,) becomes (batch, 1). Integers stay integers.

    Arguments:
        data_format: "channels_last" or "channels_first" (batch, channels, …), whose axes are put in the order of channels_last
            first, so that both give the same output. By default `nblayers.config.image_data_format()`.

    Raises:
        ValueError: another data_format.

    Source: 001.14.Flatten.
    """

    integer_inputs = True
    input_spec = InputSpec(min_ndim=1)

    class Cache(Record):
        shape: tuple[int, ...]      # of x
        is_float: bool              # integers have no gradient

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = windows.data_format(self, data_format)
        self.built = True

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs
        self.cache = self.Cache(x.shape, x.dtype.kind == "f")
        if self.data_format == "channels_first" and x.ndim > 2:
            x = self.xp.moveaxis(x, 1, -1)
        return x.reshape(len(x), math.prod(x.shape[1:]))

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        shape = self.cache.shape
        if not self.cache.is_float:
            return None
        if self.data_format == "channels_last" or len(shape) <= 2:
            return dy.reshape(shape)
        batch, channels, *places = shape
        return self.xp.ascontiguousarray(self.xp.moveaxis(dy.reshape(batch, *places, channels), -1, 1))

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *others = input_shape
        return (batch, None if None in others else math.prod(others))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"data_format": self.data_format}


__all__ = ["Flatten"]
