"""A weight of a layer, with the gradient that `backward` adds to."""
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from nblayers.devices import array_module, to_numpy


class Parameter:
    """One weight: a live array and its gradient.

    Attributes:
        name: short name, as in Keras ("kernel", "bias").
        path: the layer's name and the weight's, joined by "/" ("lstm/kernel").
        value: the live array; assigning to it copies into that same array.
        grad: dL/dvalue, of the same shape and dtype; zero until a `backward` adds to it.
        trainable: whether an optimizer may change it.
        regularizer: its penalty (`__call__(w)` and `gradient(w)`), or None.
        constraint: what is applied to it after each optimizer step (`__call__(w)`), or None.
    """

    def __init__(self, value: np.ndarray, name: str = "weight", trainable: bool = True,
                 regularizer: Any = None, constraint: Callable[[Any], Any] | None = None) -> None:
        self.name = self.path = name
        self.trainable = trainable
        self.regularizer = regularizer
        self.constraint = constraint
        self._value: Any = value
        self._grad: Any = np.zeros_like(value)

    def _set_value(self, new: Any) -> None:
        if new is not self._value:
            self.assign(new)

    def _set_grad(self, new: Any) -> None:
        if new is not self._grad:
            self._grad[...] = new

    # getters written in C, as these are read at each call
    value: Any = property(attrgetter("_value"), _set_value)
    grad: Any = property(attrgetter("_grad"), _set_grad)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._value.shape)

    @property
    def dtype(self) -> str:
        return str(self._value.dtype)

    def assign(self, new: Any) -> None:
        """Copy `new` into the live array.

        Raises:
            ValueError: `new` has another shape.
        """
        if np.shape(new) != self.shape:
            raise ValueError(f"parameter {self.path!r}: expected a value of shape {self.shape}, got {np.shape(new)}")
        if isinstance(self._value, np.ndarray):
            self._value[...] = to_numpy(new)
        else:
            self._value.set(np.asarray(to_numpy(new), self.dtype))

    def numpy(self) -> np.ndarray:
        """A copy of the value as a NumPy array."""
        return np.array(to_numpy(self._value))

    def zero_grad(self) -> None:
        """Set the gradient to zero."""
        self._grad.fill(0)

    def keep_grad_in(self, array: np.ndarray) -> None:
        """From now on the gradient lies in this array, which several weights may have parts of."""
        array[...] = self._grad
        self._grad = array

    def to(self, device: str) -> None:
        """Move the value and the gradient to the memory of `device`."""
        xp = array_module(device)
        self._value, self._grad = (xp.asarray(a if xp is not np else to_numpy(a)) for a in (self._value, self._grad))

    def astype(self, dtype: str) -> None:
        """Compute in `dtype` from now on; value and gradient become new arrays. Integers stay as they are."""
        if self._value.dtype.kind == "f":
            self._value, self._grad = self._value.astype(dtype), self._grad.astype(dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(to_numpy(self._value), dtype=dtype)

    def __repr__(self) -> str:
        return f"<Parameter {self.path}, shape={self.shape}, dtype={self.dtype}>"
