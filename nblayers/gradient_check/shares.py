r"""What each output element and each coordinate of a tensor have to do with each other: forward's account and backward's.

    N_{io} = \partial y_o / \partial \theta_i                (1)    from forward, by finite differences
    A_{io} = the gradient at i for a dy that is 1 at o       (2)    from backward, less what it gives where dy is zero

A right backward has A = N. Where it has not, the pairs (i, o) at which the two differ say what the mistake is.
"""
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from nblayers.gradient_check.report import Index

Array = np.ndarray


@dataclass(frozen=True)
class Element:
    """One element of one of the outputs."""

    output: int
    index: Index


@dataclass
class Shares:
    """(1) and (2) of one tensor.

    Attributes:
        name: the tensor's.
        shape: the tensor's.
        is_weight: whether it is one, and not an input.
        rows: coordinates of the tensor.
        columns: elements of the outputs.
        numeric, analytic: (1) and (2), of shape (rows, columns).
        values: the tensor itself.
        y: the values of the outputs.
        tolerance: relative, for two numbers to be called equal.
        labels: further attributes of rows or columns, by what to call them: (array of shape (rows, 1) or (1, columns), words).
    """

    name: str
    shape: tuple[int, ...]
    is_weight: bool
    rows: list[Index]
    columns: list[Element]
    numeric: Array
    analytic: Array
    values: Array
    y: list[Array]
    tolerance: float = 1e-5
    labels: dict[str, Array] = field(default_factory=dict)

    def through(self, output: int) -> "Shares":
        """The part that comes through one of the outputs."""
        chosen = [k for k, column in enumerate(self.columns) if column.output == output]
        return Shares(self.name, self.shape, self.is_weight, self.rows, [self.columns[k] for k in chosen],
                      self.numeric[:, chosen],
                      self.analytic[:, chosen], self.values, self.y, self.tolerance)

    @cached_property
    def scale(self) -> float:
        """The largest number of forward's account."""
        return float(np.abs(self.numeric).max(initial=0.0))

    @cached_property
    def floor(self) -> float:
        """What rounding alone may make of a zero."""
        largest = max((float(np.abs(y).max(initial=0.0)) for y in self.y), default=0.0)
        return 1e-7 * self.scale + 1e-9 * max(1.0, largest)

    def same(self, a: Any, b: Any) -> Array:
        """Where two arrays of shares agree."""
        return np.asarray(np.abs(a - b) <= self.tolerance * np.maximum(np.abs(a), np.abs(b)) + self.floor)

    def all_same(self, a: Any, b: Any) -> bool:
        return bool(self.same(a, b).all())

    @cached_property
    def wrong(self) -> Array:
        """The pairs at which the two accounts differ."""
        return ~self.same(self.analytic, self.numeric)

    @cached_property
    def support(self) -> Array:
        """The pairs that have to do with each other in one of the accounts."""
        return (np.abs(self.numeric) > self.floor) | (np.abs(self.analytic) > self.floor)

    @property
    def right(self) -> Array:
        """The pairs that have to do with each other and at which both accounts agree."""
        return self.support & ~self.wrong

    @cached_property
    def wrong_rows(self) -> Array:
        return np.flatnonzero(self.wrong.any(axis=1))

    @cached_property
    def wrong_columns(self) -> Array:
        return np.flatnonzero(self.wrong.any(axis=0))

    @cached_property
    def is_whole(self) -> bool:
        """Whether every coordinate of the tensor has a row."""
        return len(self.rows) == math.prod(self.shape)

    @cached_property
    def single_output(self) -> bool:
        return len({column.output for column in self.columns}) == 1

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the output, if there is only one; else an empty one."""
        return self.y[self.columns[0].output].shape if self.columns and self.single_output else ()

    @cached_property
    def is_square(self) -> bool:
        """Whether input and output have one shape, so that each element has a place of its own in both."""
        return not self.is_weight and self.single_output and self.output_shape == self.shape and len(self.shape) > 0

    @cached_property
    def diagonal(self) -> Array:
        """The pairs of the same place in input and output."""
        at = {column.index: k for k, column in enumerate(self.columns)}
        mask = np.zeros(self.numeric.shape, bool)
        for i, row in enumerate(self.rows):
            if row in at:
                mask[i, at[row]] = True
        return mask

    @cached_property
    def row_places(self) -> Array:
        """(rows, axes)."""
        return np.array(self.rows, int).reshape(len(self.rows), len(self.shape))

    @cached_property
    def column_places(self) -> Array:
        """(columns, axes) of the single output."""
        return np.array([column.index for column in self.columns], int).reshape(len(self.columns), len(self.output_shape))

    def grid(self, shares: Array) -> Array:
        """One account as an array of the tensor's shape with an axis of columns behind; every coordinate must have a row."""
        order = np.ravel_multi_index(tuple(self.row_places.T), self.shape) if self.shape else np.zeros(1, int)
        whole = np.empty_like(shares)
        whole[order] = shares
        return whole.reshape(*self.shape, shares.shape[1])

    def attributes(self) -> Iterator[tuple[str, str, Array]]:
        """(kind, words, values) of all by which pairs may be told apart; values of shape (rows, 1), (1, columns) or of both.

        Kinds: "row", "column", "label", "step" (how much later in y than in the tensor, along axes of one length).
        """
        for axis, size in enumerate(self.shape):
            if size > 1:
                yield "row", f"axis {axis} (size {size})", self.row_places[:, axis, None]
        if len({column.output for column in self.columns}) > 1:
            yield "output", "output", np.array([[column.output for column in self.columns]])
        for axis, size in enumerate(self.output_shape):
            if size > 1:
                yield "column", f"axis {axis} of y", self.column_places[None, :, axis]
        for words, values in self.labels.items():
            yield "label", words, values

    def steps(self) -> Iterator[tuple[int, int, Array]]:
        """(axis of the tensor, axis of y, how much later in y) for axes of one length above 1."""
        for a, size in enumerate(self.shape):
            for b, other in enumerate(self.output_shape):
                if size == other > 1:
                    yield a, b, self.column_places[None, :, b] - self.row_places[:, a, None]


def spread(values: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of them, evenly from first to last."""
    if len(values) <= count:
        return list(values)
    return [values[int(k)] for k in np.linspace(0, len(values) - 1, count)]


def permutation(a: Array, b: Array, same: Callable[[Array, Array], Array]) -> list[int] | None:
    """For each line of `a` the one line of `b` that it equals, if there is such a one-to-one order other than the given."""
    free, order = list(range(len(b))), []
    for line in a:
        found = next((k for k in free if bool(same(line, b[k]).all())), None)
        if found is None:
            return None
        free.remove(found)
        order.append(found)
    return order
