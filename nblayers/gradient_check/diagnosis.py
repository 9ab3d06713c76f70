"""What the difference between two gradients says about the mistake behind it."""
import itertools
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from nblayers.gradient_check.report import Index

PROBES = 12                             # coordinates looked at where each one costs further passes


def of_returned(leaf: np.ndarray, dx: Any, takes_integers: bool) -> str:
    """What is wrong with the gradient returned for one input, before any value is looked at."""
    if leaf.dtype.kind != "f":
        return "a gradient for an integer input: None is expected" if dx is not None and takes_integers else ""
    if dx is not None and dx.shape != leaf.shape:
        hint = of_shape(dx.shape, leaf.shape)
        return f"backward returns a gradient of shape {dx.shape}" + (f": {hint}" if hint else "")
    if dx is not None and dx.dtype != np.float64:
        return f"backward returns {dx.dtype} though the layer computes in float64"
    return ""


def of_shape(shape: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """What mistake gives another shape than the one expected; empty if none that is known."""
    if shape == expected[::-1]:
        return "transposed"
    if shape and shape == expected[1:]:
        return "its batch axis is summed away"
    if shape[1:] == expected and shape:
        return "a sum over the batch is missing"
    return ""


class Evidence:
    """The coordinates of one tensor that were compared, and the means to look further."""

    def __init__(self, check: Any, tensor: Any) -> None:
        self.check, self.tensor = check, tensor
        self.right: list[Index] = []
        self.wrong: list[Index] = []
        self.numeric: dict[Index, float] = {}

    def add(self, index: Index, numeric: float, is_wrong: bool) -> None:
        self.numeric[index] = numeric
        (self.wrong if is_wrong else self.right).append(index)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.gradient.shape

    @property
    def rtol(self) -> float:
        return float(self.check.settings.rtol)

    @property
    def sizes(self) -> dict[str, int]:
        """By what a gradient may be divided or multiplied by mistake: the batch size and the like."""
        shape: tuple[int, ...] = next((leaf.shape for leaf in self.check.subject.leaves), ())
        sizes = {"the batch size": shape[0]} if shape else {}
        if len(shape) == 3:
            sizes["the number of time steps"] = shape[1]
            sizes["batch size times time steps"] = shape[0] * shape[1]
        return sizes

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

    @cached_property
    def shares(self) -> dict[Index, list[np.ndarray]]:
        """For each probe what came through each element of each output."""
        return {index: self.check.shares(self.tensor, index) for index in self.probes}


class KnownNumbers(Evidence):
    """Two arrays of one shape of which all is known: what somebody computed, and what is right."""

    def __init__(self, got: np.ndarray, want: np.ndarray, wrong: np.ndarray, sizes: dict[str, int], rtol: float) -> None:
        super().__init__(None, SimpleNamespace(gradient=got, is_weight=False, is_missing=False))
        self._sizes, self._rtol = sizes, rtol
        for index in np.ndindex(want.shape):
            self.add(index, float(want[index]), bool(wrong[index]))

    @property
    def rtol(self) -> float:
        return self._rtol

    @property
    def sizes(self) -> dict[str, int]:
        return self._sizes


def explain_numbers(got: np.ndarray, want: np.ndarray, wrong: np.ndarray, sizes: dict[str, int], rtol: float = 1e-6) -> str:
    """`explain` for two arrays of one shape that hold finite numbers; `wrong` says where they differ.

    `sizes` are numbers by which one divides or multiplies by mistake: {"the batch size": 2}.
    """
    evidence = KnownNumbers(got, want, wrong, sizes, rtol)
    what = next((text for look in (_zeros, _ratio, _layout) if (text := look(evidence))), "") if got.any() else "all zeros"
    return "; ".join(part for part in (what, _where(evidence)) if part)


def agree(value: float, other: float) -> bool:
    """Whether two numbers are close enough to see a pattern in."""
    return abs(value - other) <= 1e-5 * max(abs(value), abs(other)) + 1e-8


def explain(evidence: Evidence) -> str:
    """The mistake as far as it can be told, where it shows, and through which output it comes; empty if nothing can be told."""
    what = next((text for look in (_zeros, _ratio, _layout, _one_share, _independent) if (text := look(evidence))), "")
    parts = [part for part in (what, _where(evidence), _outputs(evidence)) if part]
    return "; ".join(parts)


def _zeros(evidence: Evidence) -> str:
    if evidence.tensor.is_missing:
        return "backward returns None for it: is `return dx` missing?"
    if evidence.tensor.gradient.any():
        return "zero there" if not any(evidence.analytic(index) for index in evidence.wrong) else ""
    return "all zeros: backward never " + ("adds to its grad" if evidence.tensor.is_weight else "fills it")


def _ratio(evidence: Evidence) -> str:
    """One factor between analytic and numeric, and where such a factor may come from."""
    largest = max(abs(evidence.numeric[index]) for index in evidence.wrong)
    if agree(largest, 0):
        return "should be zero"
    strong = [index for index in evidence.wrong if abs(evidence.numeric[index]) > 1e-3 * largest]
    ratio = float(np.median([evidence.analytic(index) / evidence.numeric[index] for index in strong]))
    if not all(agree(evidence.analytic(index), ratio * evidence.numeric[index]) for index in evidence.wrong):
        return ""
    size = abs(ratio)
    texts = ["the sign is flipped"] if ratio < 0 else []
    if abs(size - 1) > evidence.rtol / 2:
        named = {2.0: "twice as large as it should be", 0.5: "half as large as it should be"}
        exact = next((text for value, text in named.items() if agree(size, value)), "")
        origins = "".join(_origins(evidence, size))
        if math.prod(evidence.shape) == 1 and not exact and not origins:
            return ""                                   # any number is some number of times another one: that tells nothing
        the_size = "the size is " if texts else ""
        texts.append((exact or f"{the_size}{size:.7g} times what it should be") + origins)
    return " and ".join(texts)


def _origins(evidence: Evidence, size: float) -> Iterator[str]:
    names = {count: name for name, count in reversed(evidence.sizes.items())}       # one name for each size, the first
    for count, name in names.items():
        if count > 1 and agree(size, count):
            yield f" ({count} is {name}: summed over it once too often?)"
        elif count > 1 and agree(size, 1 / count):
            yield f" (1/{count}, {name}: divided by it? A layer sums, only a loss takes the mean)"


def _layout(evidence: Evidence) -> str:
    """The right numbers in other places."""
    def is_moved(move: Callable[[Index], Index]) -> bool:
        return all(agree(evidence.analytic(index), evidence.numeric_at(move(index))) for index in evidence.probes)

    shape = evidence.shape
    for i, j in itertools.combinations(range(len(shape)), 2):
        if shape[i] == shape[j] and is_moved(lambda index, i=i, j=j: _swapped(index, i, j)):        # type: ignore[misc]
            return f"transposed: axes {i} and {j} are swapped"
    for axis, size in enumerate(shape):
        if size > 1 and is_moved(lambda index, k=axis, n=size: (*index[:k], n - 1 - index[k], *index[k + 1:])):  # type: ignore[misc]
            return f"in reverse order along axis {axis}"
    return ""


def _swapped(index: Index, i: int, j: int) -> Index:
    moved = list(index)
    moved[i], moved[j] = moved[j], moved[i]
    return tuple(moved)


def _one_share(evidence: Evidence) -> str:
    """A weight's gradient that misses a sum: only one sample, or only one time step of the output, has gone into it."""
    if not evidence.tensor.is_weight:
        return ""
    outputs = evidence.check.y[:evidence.check.outputs]
    for axis, name, fits in ((0, "sample", all(y.ndim for y in outputs)), (1, "time step", all(y.ndim == 3 for y in outputs))):
        sizes = {y.shape[axis] for y in outputs} if fits else {1}
        if len(sizes) > 1 or sizes == {1}:
            continue
        for place, which in ((-1, "last"), (0, "first")):
            if all(agree(evidence.analytic(index), sum(float(np.take(share, place, axis).sum()) for share in shares))
                   for index, shares in evidence.shares.items()):
                return f"holds the share of the {which} {name} alone: `=` for `+=` in a loop, or a sum left out?"
    return ""


def _independent(evidence: Evidence) -> str:
    gradient, elsewhere = evidence.tensor.gradient, evidence.tensor.elsewhere
    if elsewhere is None or not np.array_equal(gradient, elsewhere):
        return ""
    return ("the same for other inputs, on which it should depend: backward uses what an earlier forward kept (a stale cache), "
            "or leaves a factor out")


def _where(evidence: Evidence) -> str:
    """The part of the tensor that is wrong, if it is not all of it."""
    wrong, right = evidence.wrong, evidence.right
    if not right:
        return ""
    if len(wrong) <= 3:
        return "wrong only at " + ", ".join(str(list(index)) for index in wrong)
    best: tuple[float, str] = (1.0, "")
    for axis, size in enumerate(evidence.shape):
        bad, good = {index[axis] for index in wrong}, {index[axis] for index in right}
        only_good = good - bad
        inside = sum(index[axis] in bad for index in right)
        if only_good and inside < len(wrong) and len(bad) / len(bad | good) < best[0]:
            best = len(bad) / len(bad | good), _places(evidence, axis, size, bad, only_good)
    return best[1]


def _places(evidence: Evidence, axis: int, size: int, bad: set[int], good: set[int]) -> str:
    if axis == 1 and len(evidence.shape) == 3 and not evidence.tensor.is_weight:
        if good == {size - 1}:
            return ("right at the last time step and wrong at all before it: what step t + 1 sends back to step t (a carry) is "
                    "dropped or wrong")
        if good == {0}:
            return "right at the first time step and wrong at all after it: a carry is dropped or wrong, if time runs backwards"
    return f"wrong only at {_ranges(bad)} of axis {axis} (size {size})"


def _ranges(places: set[int]) -> str:
    """{0, 1, 2, 5} as "0-2, 5"."""
    runs: list[list[int]] = []
    for place in sorted(places):
        if runs and runs[-1][1] == place - 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _outputs(evidence: Evidence) -> str:
    """Which of several outputs, or the penalties, the wrong part comes through."""
    check, tensor = evidence.check, evidence.tensor
    if len(check.y) == 1:
        return ""
    penalties = check.through(tensor, None)
    wrong = []
    for k in range(check.outputs):
        gradient = check.through(tensor, k) - penalties
        if not all(agree(float(gradient[index]), float(shares[k].sum())) for index, shares in evidence.shares.items()):
            wrong.append(k)
    if not wrong and len(check.y) > check.outputs:
        return "right but for the layer's penalties (activity regularizer, add_loss), whose gradient belongs to backward too"
    if 0 < len(wrong) < check.outputs:
        return f"only what comes through output {' and '.join(map(str, wrong))} of 0-{check.outputs - 1} is wrong"
    return ""
