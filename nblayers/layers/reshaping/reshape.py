"""The axes of a sample laid out anew, in another order, or one more of them."""
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nblayers.arguments import integer
from nblayers.layers.base import Layer, Record, positive
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec


class Reshape(Layer):
    r"""The numbers of a sample, in the order in which they lie, in another shape: a flat vector as an image.

        y_{\text{flat}} = x_{\text{flat}}           (1)

    Output and gradient are views.

    Input (batch, …), output (batch, *target_shape). Integers stay integers.

    Arguments:
        target_shape: the shape of a sample, without the batch; one -1 stands for the size that is left.

    Raises:
        ValueError: sizes that are not integers of at least -1, or more than one -1; an input of another number of numbers.

    Source: 001.14.Reshape.
    """

    integer_inputs = True
    input_spec = InputSpec(min_ndim=1)
    target_shape: tuple[int, ...] = fixed()

    class Cache(Record):
        shape: tuple[int, ...]      # of x
        is_float: bool              # integers have no gradient

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = target_shape if isinstance(target_shape, (list, tuple, np.ndarray)) else (target_shape,)
        sizes = tuple(integer(self.described, "each size of target_shape", size, -1) for size in given)
        if sizes.count(-1) > 1:
            raise ValueError(f"{self.described}: expected at most one -1 in target_shape, got {sizes}")
        self.target_shape = sizes
        self.built = True

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs
        self.cache = self.Cache(x.shape, x.dtype.kind == "f")
        return x.reshape(self.compute_output_shape(x.shape))                        # (1)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        return dy.reshape(self.cache.shape) if self.cache.is_float else None        # from (1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *sizes = self._one_shape(input_shape)
        known = math.prod(size for size in self.target_shape if size != -1)
        if None in sizes:
            return (batch, *(None if size == -1 else size for size in self.target_shape))
        numbers = math.prod(sizes)
        left, over = divmod(numbers, known) if known else (0, 1)
        if (over if -1 in self.target_shape else numbers != known):
            raise ValueError(f"{self.described}: expected samples with {'a multiple of ' if -1 in self.target_shape else ''}"
                             f"{known} numbers for target_shape {self.target_shape}, got shape {tuple(input_shape)}, "
                             f"{numbers} of them")
        return (batch, *(left if size == -1 else size for size in self.target_shape))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"target_shape": self.target_shape}


class RepeatVector(Layer):
    r"""A vector as every step of a sequence: what a decoder is given that begins from an encoder's one vector.

        y_{td} = x_d                                (1)    at n steps t
        \partial L / \partial x_d = \sum_t \partial L / \partial y_{td}             (2)

    Input (batch, D), output (batch, n, D). Integers stay integers.

    Arguments:
        n: the number of steps.

    Raises:
        ValueError: n is not a positive integer; an input of another number of axes.

    Source: 001.14.RepeatVector.
    """

    integer_inputs = True
    input_spec = InputSpec(ndim=2)
    n: int = fixed()

    class Cache(Record):
        is_float: bool              # integers have no gradient

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive(self, "n", n)
        self.built = True

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs
        self.cache = self.Cache(x.dtype.kind == "f")
        y = self.xp.empty(self.compute_output_shape(x.shape), x.dtype)
        y[...] = x[:, None]                                                         # (1)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        return dy.sum(axis=1) if self.cache.is_float else None                      # (2)

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, size = self._one_shape(input_shape)
        return (batch, self.n, size)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"n": self.n}


class Permute(Layer):
    r"""The axes of a sample in another order: time and features exchanged, channels put first.

        y_{i_{p_1} … i_{p_n}} = x_{i_1 … i_n}       (1)    p is dims

    Output and gradient are views: the numbers stay where they are.

    Input (batch, …), output likewise. Integers stay integers.

    Arguments:
        dims: for each axis of the output which axis of the input it is, counted from 1: the batch axis 0 stays. (The document
            calls it `pattern`.)

    Raises:
        ValueError: dims is not an order of 1, 2, …; an input of another number of axes.

    Source: 001.14.Permute.
    """

    integer_inputs = True
    dims: tuple[int, ...] = fixed()

    class Cache(Record):
        is_float: bool              # integers have no gradient

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = dims if isinstance(dims, (list, tuple, np.ndarray)) else (dims,)
        axes = tuple(integer(self.described, "each of dims", axis) for axis in given)
        if sorted(axes) != list(range(1, len(axes) + 1)):
            raise ValueError(f"{self.described}: expected the axes from 1 to their number, each once, as dims, got {dims!r}")
        self.dims = axes
        self.input_spec = InputSpec(ndim=len(axes) + 1)
        self.built = True

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs
        self.cache = self.Cache(x.dtype.kind == "f")
        return x.transpose(0, *self.dims)                                           # (1)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        back = [1 + self.dims.index(axis) for axis in range(1, dy.ndim)]
        return dy.transpose(0, *back) if self.cache.is_float else None              # from (1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = self._one_shape(input_shape)
        return (shape[0], *(shape[axis] for axis in self.dims))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"dims": self.dims}


__all__ = ["Permute", "RepeatVector", "Reshape"]
