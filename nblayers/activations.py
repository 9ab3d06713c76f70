"""Activation functions, each with its gradient written by hand (document 001, section 2).

    y  = activations.relu(x, negative_slope=0.1)                    # any array, list or number, of any shape
    dx = activations.relu.gradient(x, dy, negative_slope=0.1)       # dL/dx, given dy = dL/dy

The formulas stand in kernels/reference/activation.py. An activation function of your own is any function of an array; for
`backward` it needs a gradient beside it:

    def cube(x):
        return x ** 3

    cube.gradient = lambda x, dy: dy * 3 * x ** 2
"""
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import kernels
from nblayers import config, serialization
from nblayers.arguments import as_float, flag, number
from nblayers.devices import array_module, get_device

_ROWWISE = ("softmax", "log_softmax")
_FROM_OUTPUT = ("relu", "relu6", "leaky_relu", "sigmoid", "tanh", "exponential", "softmax", "log_softmax")


def evaluate(activation: Any, x: Any, device: str) -> Any:
    """y = activation(x) in the kernels of `device`; softmax along the last axis; x itself for None and `linear`."""
    if activation is None or activation is linear:
        return x
    if (name := getattr(activation, "kernel_name", None)) is None:
        return _in_dtype(activation(x), x.dtype)
    return _forward(name, activation.kernel_arguments, x, device)


def needed(activation: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """What to keep of x and y for `differentiate`: the same, or y in the place of x, or None twice."""
    if activation is None or activation is linear:
        return None, None
    return (y if getattr(activation, "kernel_name", None) in _FROM_OUTPUT else x), y


def differentiate(activation: Any, x: Any, y: Any, dy: Any, device: str) -> Any:
    """dL/dx, given x, y = evaluate(activation, x, device) and dy = dL/dy; dy itself for None and `linear`.

    x and y may be what `needed` says.

    Raises:
        RuntimeError: a function of your own that has no `gradient`.
        ValueError: its gradient has another shape than x.
    """
    if activation is None or activation is linear:
        return dy
    if (name := getattr(activation, "kernel_name", None)) is not None:
        return _backward(name, activation.kernel_arguments, x, y, dy, device)
    called = getattr(activation, "__name__", type(activation).__name__)
    if (gradient := getattr(activation, "gradient", None)) is None:
        raise RuntimeError(f"activation {called!r} has no gradient, and nothing here differentiates for you: write one, "
                           f"g(x, dy) -> dx, and attach it: {called}.gradient = g")
    dx = _in_dtype(gradient(x, dy), x.dtype)
    if dx.shape != x.shape:
        raise ValueError(f"activation {called!r}: expected its gradient to have the shape of x, {x.shape}, got {dx.shape}")
    return dx


def _kernel(device: str, name: str) -> Callable[..., None]:
    return getattr(kernels.get(device).activation, name)


def _forward(name: str, arguments: tuple[Any, ...], x: Any, device: str) -> Any:
    x = _contiguous(x)
    y = array_module(device).empty_like(x)
    if x.size:
        flat = (-1, x.shape[-1]) if name in _ROWWISE else -1
        _kernel(device, name)(x.reshape(flat), *arguments, y.reshape(flat))
    return y


def _backward(name: str, arguments: tuple[Any, ...], x: Any, y: Any, dy: Any, device: str) -> Any:
    x, y, dy = _contiguous(x), _contiguous(y), _contiguous(dy)
    dx = array_module(device).empty_like(x)
    if x.size:
        flat = (-1, x.shape[-1]) if name in _ROWWISE else -1
        _kernel(device, name + "_backward")(dy.reshape(flat), x.reshape(flat), y.reshape(flat), *arguments, dx.reshape(flat))
    return dx


def _contiguous(array: Any) -> Any:
    return array if array.flags.c_contiguous else array.copy()


def _in_dtype(result: Any, dtype: Any) -> Any:
    """What a user's function gave, as a contiguous array of the dtype that went in."""
    return _contiguous(result.astype(dtype, copy=False) if hasattr(result, "astype") else np.asarray(result, dtype))


def _elementwise(arguments_of: Callable[..., Any]) -> Any:
    """Make the activation function of the kernel of this name; `arguments_of` returns the kernel's further arguments."""
    name = arguments_of.__name__

    @functools.wraps(arguments_of)
    def activation(x: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = arguments_of(x, *args, **_without_alpha(name, kwargs))
        x, device = _to_array(x, name)
        return _forward(name, arguments, x, device)

    def gradient(x: Any, dy: Any, y: Any = None, **kwargs: Any) -> Any:
        """dL/dx, given dy = dL/dy; y = f(x) saves computing it again."""
        arguments = arguments_of(x, **_without_alpha(name, kwargs))
        x, device = _to_array(x, name)
        dy = _like(x, dy, name, device)
        y = _forward(name, arguments, x, device) if y is None else _like(x, y, name, device)
        return _backward(name, arguments, x, y, dy, device)

    return _with(activation, gradient=gradient, kernel_name=name, kernel_arguments=arguments_of(None))


def _rowwise(signature: Callable[..., Any]) -> Any:
    """The same for functions along an axis: the kernel takes rows, so the axis is brought to the end and back."""
    name = signature.__name__

    @functools.wraps(signature)
    def activation(x: Any, axis: int | Sequence[int] = -1) -> Any:
        x, device = _to_array(x, name)
        to_rows, from_rows = row_layout(x, axis, name)
        return from_rows(_forward(name, (), to_rows(x), device))

    def gradient(x: Any, dy: Any, y: Any = None, axis: int | Sequence[int] = -1) -> Any:
        """dL/dx, given dy = dL/dy; y = f(x) saves computing it again."""
        x, device = _to_array(x, name)
        to_rows, from_rows = row_layout(x, axis, name)
        rows, dy = to_rows(x), to_rows(_like(x, dy, name, device))
        y = _forward(name, (), rows, device) if y is None else to_rows(_like(x, y, name, device))
        return from_rows(_backward(name, (), rows, y, dy, device))

    return _with(activation, gradient=gradient, kernel_name=name, kernel_arguments=())


def _with(function: Callable[..., Any], **attributes: Any) -> Any:
    vars(function).update(attributes)
    return function


def row_layout(x: Any, axis: int | Sequence[int], name: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """How arrays of the shape of x become rows along `axis`, and come back.

    Raises:
        ValueError: x has no such axis, or an axis is named twice; `name` stands before it.
    """
    axes = list(np.atleast_1d(axis))
    whole = all(isinstance(a, (int, np.integer)) for a in axes)
    if not axes or not whole or any(not -x.ndim <= a < x.ndim for a in axes) or len({a % x.ndim for a in axes}) < len(axes):
        raise ValueError(f"{name}: expected axis to name axes of x, whose shape is {x.shape}, got {axis!r}")
    last = list(range(-len(axes), 0))
    moved_shape = np.moveaxis(x, axes, last).shape

    def to_rows(array: Any) -> Any:
        return np.moveaxis(array, axes, last).reshape(-1, math.prod(moved_shape[-len(axes):]) or 1)

    def from_rows(array: Any) -> Any:
        return np.moveaxis(array.reshape(moved_shape), last, axes)
    return to_rows, from_rows


def _to_array(x: Any, name: str) -> tuple[Any, str]:
    """x as a float array and the device whose kernels take it."""
    device = "cuda" if hasattr(x, "__cuda_array_interface__") else get_device()
    array = array_module(device).asarray(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected an array of numbers, got dtype {array.dtype}")
    return (array if array.dtype in (np.float32, np.float64) else array.astype(config.floatx())), device


def _like(x: Any, other: Any, name: str, device: str) -> Any:
    """dy or y as an array of the dtype and on the device of x."""
    array = array_module(device).asarray(other, x.dtype)
    if array.shape != x.shape:
        raise ValueError(f"{name}: expected dy and y of the shape of x, {x.shape}, got {array.shape}")
    return array


def _without_alpha(name: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keras 2 wrote alpha for the slope of relu and leaky_relu."""
    if name not in ("relu", "leaky_relu"):
        return kwargs
    return {"negative_slope" if key == "alpha" else key: value for key, value in kwargs.items()}


# What each body returns is what its kernel takes besides the arrays.

@_elementwise
def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """Rectified linear unit: x above the threshold, 0 (or negative_slope (x − threshold)) below it.

    Arguments:
        negative_slope: the slope below the threshold.
        max_value: the largest output; without a bound by default.
        threshold: what x must be above.

    Raises:
        ValueError: a negative max_value.

    Source: document 001.02.relu.
    """
    if max_value is not None and not as_float(max_value) >= 0:
        raise ValueError(f"relu: expected max_value to be None or not negative, got {max_value!r}")
    bound = math.inf if max_value is None else float(max_value)
    return number("relu", "negative_slope", negative_slope), bound, number("relu", "threshold", threshold)


@_elementwise
def sigmoid(x: Any) -> Any:
    """1 / (1 + e⁻ˣ), between 0 and 1. Document 001.02.sigmoid."""
    return ()


@_rowwise
def softmax(x: Any, axis: int | Sequence[int] = -1) -> Any:
    """eˣ over its sum along `axis`: positive numbers that sum to 1. Document 001.02.softmax.

    Raises:
        ValueError: x has no such axis.
    """


@_elementwise
def softplus(x: Any) -> Any:
    """log(1 + eˣ), a smooth relu. Document 001.02.softplus."""
    return ()


@_elementwise
def softsign(x: Any) -> Any:
    """x / (1 + |x|), between −1 and 1. Document 001.02.softsign."""
    return ()


@_elementwise
def tanh(x: Any) -> Any:
    """Hyperbolic tangent, between −1 and 1. Document 001.02.tanh."""
    return ()


@_elementwise
def selu(x: Any) -> Any:
    """λ elu(x, α), λ = 1.0507 and α = 1.6733: keeps mean 0 and variance 1 from layer to layer, with lecun_normal weights.

    Source: document 001.02.selu; Klambauer and others, 2017.
    """
    return ()


@_elementwise
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x above 0, alpha (eˣ − 1) below. Document 001.02.elu."""
    return (number("elu", "alpha", alpha),)


@_elementwise
def exponential(x: Any) -> Any:
    """eˣ. Document 001.02.exponential."""
    return ()


@_elementwise
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """x from 0 on, negative_slope x below. Document 001.02.leaky_relu (the LeakyReLU layer's slope is 0.3)."""
    return (number("leaky_relu", "negative_slope", negative_slope),)


@_elementwise
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6). Document 001.02.relu6."""
    return ()


@_elementwise
def silu(x: Any) -> Any:
    """x sigmoid(x), also called swish. Document 001.02.silu."""
    return ()


@_elementwise
def hard_silu(x: Any) -> Any:
    """x hard_sigmoid(x), also called hard_swish. Document 001.02.hard_silu."""
    return ()


@_elementwise
def gelu(x: Any, approximate: bool = False) -> Any:
    """x Φ(x), Φ the distribution function of a normal number; `approximate`: through tanh, as the document has it.

    Source: document 001.02.gelu; Hendrycks and Gimpel, 2016.
    """
    return (flag("gelu", "approximate", approximate),)


@_elementwise
def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6, three straight lines near the sigmoid. Document 001.02.hard_sigmoid (Keras 2's: 0.2 x + 0.5)."""
    return ()


def linear(x: Any) -> Any:
    """x itself. Document 001.02.linear."""
    return x


_with(linear, gradient=lambda x, dy, y=None: dy)


@_elementwise
def mish(x: Any) -> Any:
    """x tanh(softplus(x)). Document 001.02.mish; Misra, 2019."""
    return ()


@_rowwise
def log_softmax(x: Any, axis: int | Sequence[int] = -1) -> Any:
    """The logarithm of softmax along `axis`, exact where softmax itself would be 0. Document 001.02.log_softmax.

    Raises:
        ValueError: x has no such axis.
    """


swish, hard_swish = silu, hard_silu

_FUNCTIONS = serialization.names(relu, sigmoid, softmax, softplus, softsign, tanh, selu, elu, exponential, leaky_relu, relu6,
                                 silu, hard_silu, gelu, hard_sigmoid, linear, mish, log_softmax,
                                 swish=silu, hard_swish=hard_silu)


def get(identifier: Any) -> Callable[[Any], Any]:
    """The activation function for None (`linear`), a name, a configuration or a function.

    Raises:
        ValueError: an unknown name.
        TypeError: an identifier of another type.
    """
    return linear if identifier is None else serialization.lookup(identifier, _FUNCTIONS, "activation")


def serialize(activation: Any) -> Any:
    """The function's name if it is one of Keras', else its configuration."""
    name = getattr(activation, "__name__", None)
    return name if name is not None and _FUNCTIONS.get(name) is activation else serialization.serialize(activation)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The activation function of a name or configuration."""
    return serialization.lookup(config, _FUNCTIONS, "activation", custom_objects)
