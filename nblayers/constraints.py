"""What weights are brought back to after each optimizer step (document 001, section 5)."""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nblayers import config
from nblayers.arguments import axes, number, optional
from nblayers.naming import NamesItself
from nblayers.serialization import lookup, names, serialize

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm", "min_max_norm",
           "non_neg", "serialize", "unit_norm"]

Axis = int | Sequence[int] | None


class Constraint(NamesItself):
    """The base of all constraints. Your own subclass writes `__call__(w)`, which returns a new array."""

    def __call__(self, w: Any) -> Any:
        """The weights as the constraint wants them; w itself is left alone."""
        return w

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes this constraint again."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Constraint":
        """Make a constraint from what `get_config` gave, ours or Keras'."""
        return cls(**config)


class MinMaxNorm(Constraint):
    r"""Keeps the norm of the weights of each unit between two bounds.

        n  = \sqrt{\sum w^2}                                                    along axis              (1)
        n' = rate \, clip(n, min\_value, max\_value) + (1 - rate) \, n                                  (2)
        w' = w \, n' / (n + 10^{-7})                                                                    (3)

    (The document clips each element instead.)

    Arguments:
        min_value, max_value: the bounds of the norm.
        rate: 1 sets the norm to the bound at once, a smaller one goes only so far of the way.
        axis: the axes that one norm is taken over: 0 for the matrix (in, out) of Dense, [0, 1, 2] for the kernel of Conv2D.

    Raises:
        ValueError: a bound that is negative, the upper one below the lower, a rate outside [0, 1], an axis that is no integer.

    Source: document 001.05.MinMaxNorm.
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0) -> None:
        self.min_value = number("MinMaxNorm", "min_value", min_value, 0)
        self.max_value = number("MinMaxNorm", "max_value", max_value, self.min_value, finite=False)
        self.rate = number("MinMaxNorm", "rate", rate, 0, 1)
        self.axis = optional(axes, "MinMaxNorm", "axis", axis)

    def __call__(self, w: Any) -> Any:
        n = _norm(w, self.axis)                                                                             # (1)
        wanted = self.rate * np.clip(n, self.min_value, self.max_value) + (1 - self.rate) * n               # (2)
        return w * (wanted / (n + config.epsilon()))                                                        # (3)

    def get_config(self) -> dict[str, Any]:
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


class MaxNorm(Constraint):
    """Keeps the norm of the weights of each unit from growing beyond `max_value`: w clip(n, 0, max_value) / (n + 1e-7).

    Arguments as for `MinMaxNorm`. Source: document 001.05.MaxNorm; Srivastava and others, 2014.
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value = number("MaxNorm", "max_value", max_value, 0, finite=False)
        self.axis = optional(axes, "MaxNorm", "axis", axis)

    def __call__(self, w: Any) -> Any:
        n = _norm(w, self.axis)
        return w * (np.clip(n, 0, self.max_value) / (n + config.epsilon()))

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(Constraint):
    """Gives the weights of each unit the norm 1: w / (n + 1e-7). Document 001.05.UnitNorm."""

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = optional(axes, "UnitNorm", "axis", axis)

    def __call__(self, w: Any) -> Any:
        return w / (_norm(w, self.axis) + config.epsilon())

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class NonNeg(Constraint):
    """Makes negative weights zero. Document 001.05.NonNeg."""

    def __call__(self, w: Any) -> Any:
        return np.maximum(w, 0)


def _norm(w: Any, axis: Axis) -> Any:
    """The square root of the sum of squares along `axis`, kept as an axis of size 1; a CuPy array gives a CuPy array."""
    return np.sqrt(np.sum(np.square(w), axis=axis if axis is None or isinstance(axis, int) else tuple(axis), keepdims=True))


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm

_NAMES = names(Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm)


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """The constraint for a name, configuration, class or callable.

    Raises:
        ValueError: an unknown name.
        TypeError: an identifier of another type.
    """
    return lookup(identifier, _NAMES, "constraint")


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The constraint of a configuration."""
    return lookup(config, _NAMES, "constraint", custom_objects)
