"""The Activation layer (document 001, section 6)."""
from typing import Any

import numpy as np

from nblayers import activations
from nblayers.arguments import found
from nblayers.layers.base import Layer, Record


class Activation(Layer):
    """Applies an activation function to every element: y = f(x), dx = dy f'(x).

    Arguments:
        activation: its name ("relu", "softmax", …) or a function of an array; see `nblayers.activations`.

    Raises:
        ValueError: an unknown name.

    Source: document 001.06.Activation.
    """

    class Cache(Record):
        x: np.ndarray           # the input's shape
        y: np.ndarray           # the same

    supports_masking = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = found(self.described, "activation", activations.get, activation)

    def forward(self, x: Any) -> Any:
        y = activations.evaluate(self.activation, x, self.device)
        self.cache = self.Cache(x, y)
        return y

    def backward(self, dy: Any) -> Any:
        c = self.cache
        return activations.differentiate(self.activation, c.x, c.y, dy, self.device)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}
