"""Activation layers."""
import numpy as np

from .drawing import Draw, Setup, call, makes

SMOOTH = ["tanh", "sigmoid", "elu", "selu", "gelu", "softplus", "softsign", "silu", "mish", "softmax", "log_softmax"]
ACTIVATIONS = [*SMOOTH, "relu", "relu6", "leaky_relu", "hard_sigmoid", "hard_silu", "exponential", "linear"]


@makes("layers.Activation")
def activation(draw: Draw, name: str) -> Setup:
    return Setup(call(name, draw.one(ACTIVATIONS), **draw.penalty()), [draw.numbers(*draw.shape(1, 3))])


ELEMENTWISE = {
    "ReLU": dict(max_value=[0.5, 2.0], negative_slope=[0.1, 0.5], threshold=[0.2, 1.0]),
    "LeakyReLU": dict(negative_slope=[0.1, 0.0]), "ELU": dict(alpha=[0.5, 2.0])}


@makes(*(f"layers.{name}" for name in ELEMENTWISE))
def elementwise(draw: Draw, name: str) -> Setup:
    options = draw.some(**ELEMENTWISE[name.split(".")[1]])
    x = draw.numbers(*draw.shape(1, 3))
    return Setup(call(name, **options, **draw.penalty()), [off_zero(x) if "negative_slope" in options else x])


def off_zero(x: np.ndarray) -> np.ndarray:
    """Without 0, where Keras' gradient of a relu with two slopes is 0 and neither of them."""
    return np.where(x == 0, 0.5, x)


@makes("layers.PReLU")
def prelu(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    shared = [axis for axis in range(1, len(shape)) if draw.chance(0.4)]
    return Setup(call(name, **({"shared_axes": shared} if shared else {})), [off_zero(draw.numbers(*shape))])


@makes("layers.Softmax")
def softmax(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    axis = draw.one([-1, 1, len(shape) - 1, list(range(1, len(shape)))])
    mask = {"mask": draw.mask(*shape)} if draw.chance() else {}
    return Setup(call(name, axis), [draw.numbers(*shape)], mask)
