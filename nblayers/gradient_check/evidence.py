"""What was found out about one tensor while its two derivatives were compared, and the means to find out more."""
import itertools
import math
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.gradient_check.foreign import Foreign
from nblayers.gradient_check.points import at
from nblayers.gradient_check.report import Index, TensorReport
from nblayers.gradient_check.shares import Element, Shares

PROBES = 12                             # coordinates looked at where each one costs further passes
Found = tuple[str, str] | None


def agree(value: float, other: float) -> bool:
    """Whether two numbers are close enough to see a pattern in."""
    return abs(value - other) <= 1e-5 * max(abs(value), abs(other)) + 1e-8


class Evidence:
    """The coordinates of one tensor that were compared, and the means to look further.

    Attributes:
        right, wrong: indices.
        numeric: the numeric derivative at each.
        shares: what each coordinate and each output element have to do with each other, once `Check.account` has found out.
        idle: the gradient where dy is zero.
    """

    def __init__(self, check: Any, tensor: Any, report: TensorReport | None = None) -> None:
        self.check, self.tensor, self.report = check, tensor, report
        self.right: list[Index] = []
        self.wrong: list[Index] = []
        self.numeric: dict[Index, float] = {}
        self.shares: Shares | None = None
        self.idle: np.ndarray | None = None
        self._moved: dict[Index, list[np.ndarray]] = {}

    def add(self, index: Index, numeric: float, is_wrong: bool,
            moved: tuple[list[np.ndarray], list[np.ndarray], float] | None = None) -> None:
        self.numeric[index] = numeric
        (self.wrong if is_wrong else self.right).append(index)
        if moved is not None and sum(y.size for y in moved[0]) <= 20_000:
            more, less, step = moved
            self._moved[index] = [(a - b) / (2 * step) for a, b in zip(more, less, strict=True)]

    def share(self, index: Index, element: Element) -> float:
        """dy_o / d theta_i, numerically."""
        if index not in self._moved:
            self.check.numeric(self.tensor, index)
            more, less, step = self.check.latest
            self._moved[index] = [(a - b) / (2 * step) for a, b in zip(more, less, strict=True)]
        return float(self._moved[index][element.output][element.index])

    @cached_property
    def is_separable(self) -> bool:
        """Whether the slopes at some elements stay what they are while all others change; only asked of weights."""
        check, tensor = self.check, self.tensor
        if not self.is_weight:
            return True
        check.subject.restore()
        values, rng = np.array(to_numpy(tensor.values), np.float64), np.random.default_rng(2)
        try:
            for index in self.probes[:2]:
                others = 1.1 * rng.permutation(values.ravel()).reshape(values.shape)
                others[index] = values[index]
                if not agree(_slope_at(check, tensor, others, index), check.numeric(tensor, index)):
                    return False
        except Exception:                               # other numbers may be none that this layer takes
            return True
        finally:
            check.subject.restore()
        return True

    @property
    def is_weight(self) -> bool:
        """Whether it is a weight, or an argument that may be one."""
        return bool(self.tensor.is_weight or self.tensor.position >= self.check.subject.first_weight)

    @property
    def name(self) -> str:
        return str(self.tensor.name)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.gradient.shape

    @property
    def rtol(self) -> float:
        return float(self.check.settings.rtol)

    @property
    def sizes(self) -> dict[str, int]:
        """By what a gradient may be divided or multiplied by mistake: the batch size, any size and product."""
        names = self.check.subject.names
        arrays = {"x" if len(names) == 1 else name: leaf.shape for name, leaf in zip(names, self.check.subject.leaves,
                                                                                   strict=True)}
        shape: tuple[int, ...] = next(iter(arrays.values()), ())
        sizes = {"the batch size": shape[0]} if shape else {}
        if len(shape) == 3:
            sizes["the number of time steps"] = shape[1]
            sizes["batch size times time steps"] = shape[0] * shape[1]
        arrays |= {f"output {k}" if self.check.outputs > 1 else "y": self.check.y[k].shape for k in range(self.check.outputs)}
        arrays |= {parameter.path: parameter.shape for parameter in self.check.subject.weights}
        if isinstance(self.check.subject.layer, Foreign):
            arrays |= self.check.subject.layer.data
        for count in (1, 2, 3, 4):
            for name, of in arrays.items():
                for axes in itertools.combinations(range(len(of)), count):
                    if min(of[axis] for axis in axes) > 1:
                        sizes.setdefault(f"{_axes_in_words(of, axes)} of {name}", math.prod(of[axis] for axis in axes))
        own = sorted({size for of in arrays.values() for size in of if size > 1})
        for count in (2, 3):
            for factors in itertools.combinations(own, count):
                sizes.setdefault(" x ".join(map(str, factors)), math.prod(factors))
        return sizes

    @property
    def scalars(self) -> dict[str, float]:
        """Weights and inputs that are a single number other than 0, 1 or -1."""
        check = self.check
        found = {parameter.path.split("/")[-1]: float(np.ravel(to_numpy(parameter.value))[0])
                 for parameter in check.subject.weights
                 if math.prod(parameter.shape) == 1}
        found |= {name: float(leaf.ravel()[0]) for name, leaf in zip(check.subject.names, check.subject.leaves, strict=True)
                  if leaf.size == 1}
        return {name: value for name, value in found.items() if abs(value) not in (0.0, 1.0) and name != self.name}

    @property
    def probes(self) -> list[Index]:
        """Those of the wrong coordinates where the numeric derivative is largest."""
        return sorted(self.wrong, key=lambda index: -abs(self.numeric[index]))[:PROBES]

    def analytic(self, index: Index) -> float:
        return float(self.tensor.gradient[index])

    def numeric_at(self, index: Index) -> float:
        """The numeric derivative, also where it was not compared."""
        if index not in self.numeric:
            self.numeric[index] = self.check.numeric(self.tensor, index)
        return self.numeric[index]


def _axes_in_words(shape: tuple[int, ...], axes: tuple[int, ...]) -> str:
    """ "the size of axis 1", or "3 x 2, sizes of axes 0, 1"."""
    if len(axes) == 1:
        return f"the size of axis {axes[0]}"
    return " x ".join(str(shape[axis]) for axis in axes) + f", sizes of axes {', '.join(map(str, axes))}"


def _slope_at(check: Any, tensor: Any, values: np.ndarray, index: Index) -> float:
    """The numeric derivative where a tensor has other values, for the same dy."""
    def chosen(count: int, is_weight: bool) -> list[np.ndarray | None]:
        return [values if k == tensor.position and is_weight == tensor.is_weight else None for k in range(count)]
    subject = check.subject
    inputs = chosen(len(subject.leaves), False)
    leaves = [leaf if new is None else new for leaf, new in zip(subject.leaves, inputs, strict=True)]
    other = check.again(at(subject, leaves, chosen(len(subject.weights), True)))
    other.verdicts({})
    other.dy = check.dy
    moved = next(t for t in other.tensors() if t.name == tensor.name)
    return float(other.numeric(moved, index))


class KnownNumbers(Evidence):
    """Two arrays of one shape of which all is known: what somebody computed, and what is right."""

    def __init__(self, got: np.ndarray, want: np.ndarray, wrong: np.ndarray, sizes: dict[str, int], rtol: float) -> None:
        super().__init__(None, SimpleNamespace(gradient=got, is_weight=False, is_missing=False, name=""))
        self._sizes, self._rtol = sizes, rtol
        for index in np.ndindex(want.shape):
            self.add(index, float(want[index]), bool(wrong[index]))

    @property
    def rtol(self) -> float:
        return self._rtol

    @property
    def sizes(self) -> dict[str, int]:
        return self._sizes

    @property
    def scalars(self) -> dict[str, float]:
        return {}
