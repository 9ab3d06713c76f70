"""One sample without a batch axis."""
from typing import Any

import numpy as np

from nblayers.layers.base import Layer


class TakesSingle(Layer):
    """Takes (batch, channels, …) with `rank` axes of places, or one sample (channels, …), and gives what it was given."""

    rank: int

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        if inputs.ndim == self.rank + 1:
            return super().forward(inputs[None])[0]
        return super().forward(inputs)

    def backward(self, dy: np.ndarray) -> Any:
        if dy.ndim == self.rank + 2:
            return super().backward(dy)
        dx = super().backward(dy[None])
        return None if dx is None else dx[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        if len(input_shape) == self.rank + 1:
            return super().compute_output_shape((1, *input_shape))[1:]
        return super().compute_output_shape(input_shape)
