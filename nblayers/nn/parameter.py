"""Weights as PyTorch writes them."""
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from nblayers import parameter
from nblayers.arguments import flag
from nblayers.arrays import as_numbers


class Parameter(parameter.Parameter, NDArrayOperatorsMixin):
    """A weight that a `Module` finds by itself: set as an attribute, it is one of `parameters()`.

        self.scale = nn.Parameter(np.ones(3))
        y = self.scale * x                      # arithmetic is that of its array, `self.scale.value`
        self.scale.grad += (dy * x).sum(axis=0)

    `grad` begins with zeros, where PyTorch has None; `zero_grad` sets it to zeros again.

    Arguments:
        data: the first value, which is copied: an array, a tensor, or lists of numbers; none is an empty array, as in PyTorch.
        requires_grad: whether an optimizer may change it.

    Attributes:
        value, data: the live array; assigning to either copies into that same array.
        grad: dL/dvalue.
        requires_grad, trainable: whether an optimizer may change it.

    Raises:
        TypeError: data that hold no numbers.
        ValueError: integers or truth values that are to have a gradient.

    Source: torch.nn.Parameter.
    """

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        value = np.array(as_numbers([] if data is None else data, "Parameter", "data"), order="C")
        requires_grad = flag("Parameter", "requires_grad", requires_grad)
        if requires_grad and value.dtype.kind != "f":
            raise ValueError(f"Parameter: expected floating data, of which there is a gradient, got dtype {value.dtype}")
        super().__init__(value, trainable=requires_grad)

    data: Any = property(attrgetter("_value"), parameter.Parameter._set_value)
    requires_grad: Any = property(attrgetter("trainable"), lambda self, wanted: setattr(self, "trainable", wanted))

    def requires_grad_(self, requires_grad: bool = True) -> "Parameter":
        """Set `requires_grad`; returns the parameter."""
        self.requires_grad = flag("requires_grad_", "requires_grad", requires_grad)
        return self

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def T(self) -> Any:
        return self.value.T

    def dim(self) -> int:
        """The number of axes."""
        return self.ndim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """How many numbers it holds."""
        return int(self.value.size)

    def __getitem__(self, index: Any) -> Any:
        return self.value[index]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is None:
            return getattr(ufunc, method)(*map(_array, inputs), **kwargs)
        getattr(ufunc, method)(*map(_array, inputs), out=tuple(map(_array, out)), **kwargs)
        return out[0] if len(out) == 1 else out

    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__        # one parameter is found in a list of them

    def __repr__(self) -> str:
        return f"Parameter containing:\n{self.value!r}"


def _array(value: Any) -> Any:
    return value.value if isinstance(value, parameter.Parameter) else value
