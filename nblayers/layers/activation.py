"""The Activation layer (document 001, section 6) and the activation functions that are layers (section 16)."""
import math
from typing import Any

import numpy as np

from nblayers import activations, constraints, initializers, regularizers
from nblayers.arguments import as_float, axes, found, integer, number
from nblayers.arrays import as_array
from nblayers.layers.base import Layer, Parameter, Record
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec


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
    input_spec = InputSpec()

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


class Elementwise(Layer):
    """The base of layers that are one activation function with settings: `kernel_name` and what its kernel takes besides x."""

    class Cache(Record):
        x: np.ndarray           # the input's shape
        y: np.ndarray           # the same

    supports_masking = True
    input_spec = InputSpec()
    kernel_name: str

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    @property
    def kernel_arguments(self) -> tuple[Any, ...]:
        """The settings, in the kernel's order."""
        return ()

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        y = activations.evaluate(self, inputs, self.device)
        self.cache = self.Cache(inputs, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        c = self.cache
        return activations.differentiate(self, c.x, c.y, dy, self.device)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class ReLU(Elementwise):
    r"""Lets through what is above a threshold: the usual activation function as a layer.

        y = \min(x, \text{max\_value})                where x > \theta      (1)
        y = \text{negative\_slope}\, (x - \theta)    where x \le \theta   (2)

    \theta is the threshold; (1) is not below 0 either where there is a max_value. At the kinks dx is what JAX gives to Keras:
    see `kernels/reference/activation.py`. Input and output have any shape.

    Arguments:
        max_value: the largest output, None for no bound.
        negative_slope: the slope below the threshold.
        threshold: \theta.

    Raises:
        ValueError: one that is negative or no number.

    Source: 001.16.ReLU.
    """

    kernel_name = "relu"
    zero_at_kinks = True

    def __init__(self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if max_value is not None:
            number(self.described, "max_value", max_value, 0, finite=False)
        number(self.described, "negative_slope", negative_slope, 0)
        number(self.described, "threshold", threshold, 0)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    @property
    def kernel_arguments(self) -> tuple[Any, ...]:
        bound = np.inf if self.max_value is None else as_float(self.max_value)
        return as_float(self.negative_slope), bound, as_float(self.threshold)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"max_value": self.max_value, "negative_slope": self.negative_slope,
                                       "threshold": self.threshold}


class LeakyReLU(Elementwise):
    r"""A ReLU that lets a part of what is below zero through, so that no unit goes dead.

        y = x                               where x \ge 0      (1)
        y = \text{negative\_slope}\, x   where x < 0         (2)

    Input and output have any shape.

    Arguments:
        negative_slope: the slope below zero, not negative. Keras 2 and the document call it `alpha`.

    Raises:
        ValueError: a slope that is negative or no number.

    Source: 001.16.LeakyReLU.
    """

    kernel_name = "leaky_relu"

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        number(self.described, "negative_slope", negative_slope, 0)
        self.negative_slope = negative_slope

    @property
    def kernel_arguments(self) -> tuple[Any, ...]:
        return (as_float(self.negative_slope),)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"negative_slope": self.negative_slope}


class ELU(Elementwise):
    r"""A ReLU that bends smoothly to -alpha below zero, by which the mean of the outputs comes nearer to zero.

        y = x                       where x > 0      (1)
        y = \alpha (e^x - 1)       where x \le 0   (2)

    Input and output have any shape.

    Arguments:
        alpha: minus the limit far below zero.

    Raises:
        ValueError: alpha is no number.

    Source: 001.16.ELU; Clevert and others, 2016.
    """

    kernel_name = "elu"

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        number(self.described, "alpha", alpha)
        self.alpha = alpha

    @property
    def kernel_arguments(self) -> tuple[Any, ...]:
        return (as_float(self.alpha),)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"alpha": self.alpha}


class LearnedSlope(Layer):
    """The base of LeakyReLUs whose slopes are a weight: each place of a sample has one, and some may share it.

    A subclass says which weight that is, and how it lies over the axes of a sample.
    """

    supports_masking = True
    input_spec = InputSpec()
    slope_at_zero = False               # whether dx at x = 0 is the slope; else it is 0
    zero_at_kinks = True

    class Cache(Record):
        x: np.ndarray           # (batch, …)

    def _slopes(self, x: Any) -> tuple[Parameter, tuple[int, ...]]:
        """The weight, and its shape with as many axes as a sample of x: 1 where its places share a slope."""
        raise NotImplementedError

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs
        alpha, rows, _ = self._spread(x)
        y = self.xp.empty_like(x)
        self.kernels.activation.prelu(x.reshape(rows), alpha, y.reshape(rows))                                  # (1), (2)
        self.cache = self.Cache(x)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x = self.cache.x
        alpha, rows, shared = self._spread(x)
        dx, dalpha = self.xp.empty_like(x), self.xp.zeros_like(alpha)
        self.kernels.activation.prelu_backward(dy.reshape(rows), x.reshape(rows), alpha, self.slope_at_zero,
                                               dx.reshape(rows), dalpha)                          # from (1), (2)
        weight, _ = self._slopes(x)
        weight.grad += dalpha.reshape(self._period(x)).sum(axis=shared).reshape(weight.shape)                  # (3)
        return dx

    def _period(self, x: Any) -> tuple[int, ...]:
        """The sizes of the last axes, after which the slopes begin anew: shared axes before the first of its own are rows."""
        own = [axis for axis, size in enumerate(self._slopes(x)[1], 1) if size > 1]
        return tuple(x.shape[own[0] if own else 1:])

    def _spread(self, x: Any) -> tuple[Any, tuple[int, int], tuple[int, ...]]:
        """The slopes of a period (n,), x as rows of periods (·, n), and the axes of a period on which slopes are shared."""
        weight, shape = self._slopes(x)
        period = self._period(x)
        shape = shape[len(shape) - len(period):]
        alpha = weight.value.reshape(shape)
        alpha = alpha if shape == period else self.xp.broadcast_to(alpha, period).copy()
        rows = math.prod(x.shape[:x.ndim - len(period)]), math.prod(period)
        return alpha.reshape(-1), rows, tuple(n for n, size in enumerate(shape) if size == 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class PReLU(LearnedSlope):
    r"""A LeakyReLU whose slope is learned, one for each feature.

        y_{bn} = x_{bn}                                                               where x_{bn} > 0      (1)
        y_{bn} = \alpha_n x_{bn}                                                     where x_{bn} \le 0   (2)
        \partial L/\partial\alpha_n = \sum_b x_{bn}\, \partial L/\partial y_{bn}    over x_{bn} < 0  (3)

    n counts all places of a sample, b the samples. Along shared axes there is one \alpha, and (3) sums over them too. At x = 0
    dx is 0, as in Keras (PyTorch: \alpha). Input and output (batch, …); weights: alpha, as the input without the batch axis,
    1 along shared axes.

    Arguments:
        alpha_initializer: what alpha starts from.
        alpha_regularizer: penalty on alpha.
        alpha_constraint: applied to alpha after each optimizer step.
        shared_axes: an axis or several, counted from 1, along which all places share one alpha: [1, 2] after a convolution of
            images gives each channel its own.

    Raises:
        ValueError: shared_axes are not whole numbers, or the input has no such axis; an input whose size is not known along an
            axis that is not shared, or of another size later.

    Source: 001.16.PReLU; He and others, 2015.
    """

    alpha: Parameter = fixed()
    shared_axes: list[int] | None = fixed()

    def __init__(self, alpha_initializer: Any = "Zeros", alpha_regularizer: Any = None, alpha_constraint: Any = None,
                 shared_axes: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = found(self.described, "alpha_initializer", initializers.get, alpha_initializer)
        self.alpha_regularizer = found(self.described, "alpha_regularizer", regularizers.get, alpha_regularizer)
        self.alpha_constraint = found(self.described, "alpha_constraint", constraints.get, alpha_constraint)
        if shared_axes is not None and not isinstance(shared_axes, (list, tuple)):
            shared_axes = [integer(self.described, "shared_axes", shared_axes)]
        self.shared_axes = None if shared_axes is None else list(axes(self.described, "shared_axes", shared_axes))

    def build(self, input_shape: Any) -> None:
        shared = self.shared_axes or []
        if any(not 1 <= axis < len(input_shape) for axis in shared):
            raise ValueError(f"{self.described}: expected shared_axes from 1 to {len(input_shape) - 1} for an input of shape "
                             f"{tuple(input_shape)}, got {self.shared_axes}")
        own = {axis: size for axis, size in enumerate(input_shape) if axis and axis not in shared}
        if not all(own.values()):
            raise ValueError(f"{self.described}: expected an input of known size, not 0, along axes that are not shared, "
                             f"got shape {tuple(input_shape)}")
        self.alpha = self.add_weight([own.get(axis, 1) for axis in range(1, len(input_shape))], self.alpha_initializer,
                                     regularizer=self.alpha_regularizer, constraint=self.alpha_constraint, name="alpha")
        self.input_spec = InputSpec(ndim=len(input_shape), axes=own)

    def _slopes(self, x: Any) -> tuple[Parameter, tuple[int, ...]]:
        return self.alpha, self.alpha.shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": constraints.serialize(self.alpha_constraint), "shared_axes": self.shared_axes}


class Softmax(Layer):
    r"""Makes shares of scores: positive numbers that sum to 1 along an axis, or over several.

        y_i = e^{x_i} / \sum_j e^{x_j}     j over the places of `axis` that are not masked     (1)

    A masked place gets 0, and all of them where there is nothing else. Input and output have any shape.

    Arguments:
        axis: along which the numbers are compared; a list of axes takes them together.

    Raises:
        ValueError: axis is no whole number or list of them, or the input has no such axis; a mask that cannot be spread over
            the input.

    Called with:
        mask: True where a number counts, in a shape that can be spread over the input's; of numbers, those above 0.5.

    Source: 001.16.Softmax.
    """

    supports_masking = True
    input_spec = InputSpec()

    class Cache(Record):
        y: np.ndarray           # as x

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axes(self.described, "axis", axis)
        self.built = True

    def forward(self, inputs: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        x = inputs
        to_rows, from_rows = activations.row_layout(x, self.axis, self.described)
        kept = None if mask is None else self._kept(mask, x)
        x = x if kept is None else self.xp.where(kept, x, x.dtype.type(-1e9))
        y = self.xp.ascontiguousarray(from_rows(activations.evaluate(activations.softmax, to_rows(x), self.device)))      # (1)
        y = y if kept is None else self.xp.where(kept, y, y.dtype.type(0))
        self.cache = self.Cache(y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        y = self.cache.y
        to_rows, from_rows = activations.row_layout(y, self.axis, self.described)
        rows = to_rows(y)                                   # softmax' slope is told by y alone: it stands for x, too
        dx = activations.differentiate(activations.softmax, rows, rows, to_rows(dy), self.device)               # from (1)
        return self.xp.ascontiguousarray(from_rows(dx))

    def _to_mask(self, value: Any) -> Any:
        if value is not None:
            value = as_array(value, self.described, "a mask")
            value = value > 0.5 if value.dtype.kind == "f" else value
        return super()._to_mask(value)

    def _kept(self, mask: Any, x: Any) -> Any:
        """The mask, checked."""
        if mask.ndim > x.ndim or any(m not in (1, n) for m, n in zip(mask.shape[::-1], x.shape[::-1], strict=False)):
            raise ValueError(f"{self.described}: expected a mask that can be spread over the input's shape {x.shape}, "
                             f"got shape {mask.shape}")
        return mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}


__all__ = ["ELU", "Activation", "LeakyReLU", "PReLU", "ReLU", "Softmax"]
