"""What the normalization layers share: the axes, and the two weights that scale and shift what was normalized."""
import math
from typing import Any

from nblayers import constraints, initializers, regularizers
from nblayers.arguments import flag, found, number
from nblayers.layers.base import Layer, Parameter
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec


class Normalizer(Layer):
    """A layer that brings sets of numbers to mean 0 and deviation 1; output and input have one shape."""

    supports_masking = True
    input_spec = InputSpec()
    epsilon: float

    def _check_inputs(self, inputs: Any) -> None:
        super()._check_inputs(inputs)
        if 0 in inputs.shape:
            raise ValueError(f"{self.described}: expected an input with numbers, got shape {inputs.shape}")

    def _weights(self) -> tuple[Parameter | None, Parameter | None]:
        """gamma and beta."""
        raise NotImplementedError

    def _scale_and_shift(self, size: int) -> tuple[Any, Any]:
        """gamma and beta as flat arrays; ones and zeros for what the layer does not have."""
        gamma, beta = self._weights()
        return (self.xp.ones(size, self.dtype) if gamma is None else gamma.value.reshape(-1),
                self.xp.zeros(size, self.dtype) if beta is None else beta.value.reshape(-1))

    def _weight_gradients(self, size: int) -> tuple[Any, Any]:
        """What collects dL/dgamma and dL/dbeta, flat; arrays that nobody reads for what the layer does not have."""
        gamma, beta = (self.xp.zeros(size, self.dtype) if weight is None else weight.grad.reshape(-1)
                       for weight in self._weights())
        return gamma, beta

    def _normalized_axes(self, axis: Any, shape: Any) -> list[int]:
        """One axis or several, in order and counted from the front.

        Raises:
            ValueError: an axis that an input of this shape does not have, or one that is named twice.
        """
        given, ndim = (axis if isinstance(axis, list) else [axis]), len(shape)
        if not given or any(not -ndim <= each < ndim for each in given):
            raise ValueError(f"{self.described}: expected axis to name axes of the input, got {axis} for shape {tuple(shape)}")
        axes = sorted(each % ndim for each in given)
        if len(set(axes)) < len(axes):
            raise ValueError(f"{self.described}: expected every axis once, got {axis} for shape {tuple(shape)}")
        return axes

    def _known_sizes(self, axes: list[int], shape: Any) -> tuple[int, ...]:
        """The sizes of the axes that have weights."""
        sizes = tuple(shape[axis] for axis in axes)
        if any(not size for size in sizes):
            raise ValueError(f"{self.described}: expected an input whose size on axis {', '.join(map(str, axes))} is known and "
                             f"above 0, got shape {tuple(shape)}")
        return sizes

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class ScaledNormalizer(Normalizer):
    """With Keras' arguments for gamma and beta."""

    center: bool = fixed()
    scale: bool = fixed()
    gamma: Parameter | None = fixed()
    beta: Parameter | None = fixed()

    def _keep(self, epsilon: float, center: bool, scale: bool, **options: Any) -> None:
        """Keep the arguments: `options` are `gamma_initializer`, …"""
        self.epsilon = number(self.described, "epsilon", epsilon, 0)
        self.center = flag(self.described, "center", center)
        self.scale = flag(self.described, "scale", scale)
        self.gamma = self.beta = None
        for name, value in options.items():
            module = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}[name.split("_")[-1]]
            setattr(self, name, found(self.described, name, module.get, value))

    def _make(self, kind: str, shape: tuple[int, ...]) -> Parameter:
        """The weight "gamma" or "beta"."""
        return self.add_weight(shape, getattr(self, f"{kind}_initializer"), regularizer=getattr(self, f"{kind}_regularizer"),
                               constraint=getattr(self, f"{kind}_constraint"), name=kind)

    def _weights(self) -> tuple[Parameter | None, Parameter | None]:
        return self.gamma, self.beta

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {"epsilon": self.epsilon, "center": self.center, "scale": self.scale}
        for kind in ("beta", "gamma"):
            for module in (initializers, regularizers, constraints):
                name = f"{kind}_{module.__name__.split('.')[-1].removesuffix('s')}"
                config[name] = module.serialize(getattr(self, name))
        return config


def around(shape: Any, axes: list[int]) -> tuple[int, int, int]:
    """(A, K, B): how many numbers the axes in front of these have, these, and those behind them; `axes` lie side by side."""
    first, last = axes[0], axes[-1] + 1
    return math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])


def side_by_side(axes: list[int]) -> bool:
    return axes[-1] - axes[0] == len(axes) - 1


class AxesView:
    """How an array is seen as (A, K, B), K the numbers of some axes; the way back.

    A view where the axes lie side by side (and, with `at_end`, at the end); else they are brought to the end, in a copy.
    """

    def __init__(self, xp: Any, shape: tuple[int, ...], axes: list[int], at_end: bool = False) -> None:
        self.xp, self.shape, self.axes = xp, shape, axes
        self.moved = not side_by_side(axes) or (at_end and axes[-1] != len(shape) - 1)
        self.last = list(range(len(shape) - len(axes), len(shape)))
        self.turned = tuple(n for axis, n in enumerate(shape) if axis not in axes) + tuple(shape[axis] for axis in axes)
        self.sizes = around(self.turned, self.last) if self.moved else around(shape, axes)

    def of(self, x: Any) -> Any:
        if self.moved:
            x = self.xp.ascontiguousarray(self.xp.moveaxis(x, self.axes, self.last))
        return x.reshape(self.sizes)

    def back(self, y: Any) -> Any:
        if not self.moved:
            return y.reshape(self.shape)
        return self.xp.ascontiguousarray(self.xp.moveaxis(y.reshape(self.turned), self.last, self.axes))
