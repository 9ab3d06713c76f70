r"""The check itself: run both passes in every way that shows a mistake, and compare each gradient with the numeric one.

A random dy stands for whatever follows the layer, so that the loss is a number:

    L = \sum_k \langle dy_k, y_k \rangle + the layer's penalties        (1)    over all outputs y_k
"""
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nblayers.gradient_check import conduct, diagnosis, kinks, precision, watching
from nblayers.gradient_check.evidence import Evidence
from nblayers.gradient_check.numeric import Slopes, derivative, slopes_of_loss
from nblayers.gradient_check.report import Index, Report, TensorReport
from nblayers.gradient_check.shares import Element, Shares, spread
from nblayers.gradient_check.subject import Subject, flat, present
from nblayers.gradient_check.words import NO_PATTERN

MOST_SHARES = 2_000_000                 # numbers kept for one tensor: coordinates times elements of y


@dataclass(frozen=True)
class Settings:
    """How `gradcheck` works; its docstring explains each.

    Raises:
        TypeError, ValueError: a number that is none, not finite, or out of its range.
    """

    step: float = 1e-5
    rtol: float = 1e-6
    atol: float = 1e-9
    max_coordinates: int = 200
    seconds: float = 3.0
    time_axis: int | None = None
    batch_axis: int | None = None
    dy: Any = None
    no_gradient: tuple[str, ...] = ()
    contract: bool = True

    def __post_init__(self) -> None:
        for name, least in (("step", 0.0), ("rtol", 0.0), ("seconds", 0.0), ("atol", None)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
                raise TypeError(f"gradcheck: expected a number for {name}, got {value!r}")
            if not math.isfinite(value) or value < 0 or value == least:
                raise ValueError(f"gradcheck: expected a positive, finite number for {name}, got {value!r}")
        if isinstance(self.max_coordinates, bool) or not isinstance(self.max_coordinates, (int, np.integer)):
            raise TypeError(f"gradcheck: expected a whole number for max_coordinates, got {self.max_coordinates!r}")
        if self.max_coordinates < 1:
            raise ValueError(f"gradcheck: expected max_coordinates of 1 or more, got {self.max_coordinates}: nothing would be "
                             f"checked")


@dataclass
class Tensor:
    """One input or weight: its values, to be changed one at a time, and its gradient as backward gave it."""

    name: str
    values: Any
    gradient: np.ndarray
    position: int                       # among the inputs or among the weights
    is_weight: bool
    is_missing: bool = False            # backward returned None; `gradient` is zeros


class Check:
    """One run of `gradcheck`."""

    def __init__(self, subject: Subject, rng: np.random.Generator, settings: Settings) -> None:
        self.subject, self.rng, self.settings = subject, rng, settings
        self.report = Report(subject.layer.described)
        self.given = [leaf.copy() for leaf in subject.leaves]
        self.evidence: dict[str, Evidence] = {}
        self.is_linear = True
        self.deadline = time.thread_time() + settings.seconds + 0.5 * max(0, len(subject.weights) - 4)

    def has_time(self) -> bool:
        """Whether the time allowed is not over."""
        return time.thread_time() < self.deadline

    def again(self, there: Subject, rng: np.random.Generator | None = None, coordinates: int = 12, dy: Any = None) -> "Check":
        """A check of the same kind elsewhere, on fewer coordinates, with a random dy unless one is given."""
        most = min(coordinates, self.settings.max_coordinates)
        settings = replace(self.settings, max_coordinates=most, dy=dy)
        return Check(there, np.random.default_rng(1) if rng is None else rng, settings)

    def run(self) -> Report:
        """Check everything, and look for what may be behind the differences found."""
        self.check_values()
        conduct.forgive_single_points(self)
        if self.report.passed:
            conduct.check_elsewhere(self)
        if self.evidence:
            diagnosis.of(self)
            watching.record(self)
        self.report.notes += self.subject.notes
        return self.report

    def check_values(self) -> None:
        """Everything at the numbers given, without a word about what is behind the differences."""
        conduct.check_forward(self)
        if self.report.problems:                        # no derivative of such a forward means anything
            return
        precision.check_rounding(self)
        if self.report.problems:
            return
        self.begin()
        conduct.check_backward(self)
        conduct.check_linear(self)
        if self.settings.contract:
            conduct.check_second_backward(self)
        conduct.check_after_another_forward(self)
        for tensor in self.tensors():
            self.report.tensors.append(self.compare(tensor))
        kinks.judge_pairs(self)
        precision.check_precision(self)
        if not self.report.findings and not any(t.checked or t.kinks for t in self.report.tensors):
            conduct.nothing_checked(self)

    def begin(self) -> None:
        """A random dy for the outputs of `check_forward`."""
        self.outputs = len(present(self.subject.outputs))
        if self.settings.dy is not None:
            self.dy = [np.array(dy, np.float64) for dy in flat(self.settings.dy)]
            return
        self.dy = [self.rng.normal(size=y.shape) if y.dtype.kind == "f" else np.zeros(y.shape) for y in self.y[:self.outputs]]

    def verdicts(self, where: Mapping[str, Sequence[Index]]) -> dict[str, bool]:
        """Whether these tensors' gradients are right at these indices, where there is anything to tell."""
        self.subject.restore()
        self.y = self.subject.forward()
        self.begin()
        self.dx, self.dw = self.subject.backward(self.copied_dy())
        found = {}
        for tensor in self.tensors():
            if tensor.name in where:
                shape = tensor.gradient.shape
                indices = [index for index in where[tensor.name] if all(i < n for i, n in zip(index, shape, strict=True))]
                claims = any(abs(float(tensor.gradient[index])) > 1e-6 for index in indices)
                if claims or any(abs(self.numeric(tensor, index)) > 1e-6 for index in indices):
                    is_wrong = self.is_wrong_at_any(tensor, indices)
                    if is_wrong is not None:
                        found[tensor.name] = not is_wrong
        return found

    def is_wrong_at_any(self, tensor: Tensor, indices: Sequence[Index]) -> bool | None:
        """Whether the gradient is wrong at one of these; None if all are kinks."""
        told = False
        for index in indices:
            is_wrong = self.is_wrong(tensor, index)
            if is_wrong:
                return True
            told = told or is_wrong is not None
        return False if told else None

    def is_wrong(self, tensor: Tensor, index: Index) -> bool | None:
        """Whether the gradient is wrong there; None at a kink."""
        analytic = float(tensor.gradient[index])
        numeric, noise, is_kink = self.derivative(tensor, index, analytic)
        return None if is_kink else self.relative_error(analytic, numeric, noise) > self.settings.rtol

    def copied_dy(self) -> list[np.ndarray]:
        """dy as backward may have it: an array of its own for each output."""
        return [dy.copy() for dy in self.dy]

    def gradients(self, dy: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """The gradients of all inputs, then of all weights, for this dy, after a forward of its own."""
        self.subject.restore()
        self.subject.forward()
        dx, dw = self.subject.backward([d.copy() for d in dy])
        return [*self.for_each(dx), *dw]

    def for_each(self, dx: list[Any]) -> list[Any]:
        """One None stands for one for each input."""
        return [None] * len(self.subject.leaves) if len(dx) == 1 and dx[0] is None else dx

    def gradient_of(self, tensor: Tensor, gradients: Sequence[np.ndarray | None]) -> np.ndarray:
        """One of `gradients`; zeros for None."""
        found = gradients[tensor.position + (len(gradients) - len(self.subject.weights)) * tensor.is_weight]
        return np.zeros(tensor.gradient.shape) if found is None else np.asarray(found)

    def check_returned(self) -> list[int]:
        """Which inputs have a gradient that can be compared: an array of the right shape, or None, which stands for zeros."""
        subject, report = self.subject, self.report
        self.dx = self.for_each(self.dx)
        if len(self.dx) != len(subject.leaves):
            if all(finding.kind != "shape" for finding in report.general):
                report.add("shape", f"backward returns {len(self.dx)} gradients for {len(subject.leaves)} inputs "
                                    f"({', '.join(subject.names)}): one for each is expected, None for an integer input")
            return []
        comparable = []
        for i, (name, leaf, dx) in enumerate(zip(subject.names, subject.leaves, self.dx, strict=True)):
            if finding := diagnosis.of_returned(leaf, dx, subject.layer.integer_inputs):
                if all(tensor.name != name for tensor in report.tensors):
                    report.tensors.append(TensorReport(name, leaf.shape))
                    report.tensors[-1].add(*finding)
            elif leaf.dtype.kind == "f" and not (dx is None and self.needs_none(name)):
                comparable.append(i)
        return comparable

    def needs_none(self, name: str) -> bool:
        """Whether this input is known to have no gradient."""
        return name in self.settings.no_gradient or not getattr(self.subject.layer, "input_gradient", True)

    def tensors(self) -> list[Tensor]:
        """All that is to be compared: floating inputs; trainable weights, and others if they have a gradient."""
        subject, found = self.subject, []
        for i in self.check_returned():
            name, leaf, dx = subject.names[i], subject.leaves[i], self.dx[i]
            found.append(Tensor(name, leaf, np.zeros_like(leaf) if dx is None else dx, i, is_weight=False,
                                is_missing=dx is None))
        trainable = [id(parameter) for parameter in subject.layer.trainable_weights]
        for i, (parameter, dw) in enumerate(zip(subject.weights, self.dw, strict=True)):
            named = parameter.path in self.settings.no_gradient
            if not named and (id(parameter) in trainable or parameter not in subject.layer.weights or dw.any()):
                found.append(Tensor(parameter.path, parameter.value, dw, i, is_weight=True))
        return found

    def compare(self, tensor: Tensor) -> TensorReport:
        """Each coordinate's two derivatives; what is found out on the way is kept in `evidence`."""
        report = TensorReport(tensor.name, tensor.gradient.shape)
        finite = np.isfinite(tensor.gradient)
        if not finite.all():
            report.add("nan", f"the gradient holds NaN or infinity, first at {conduct.first(~finite)}: a division by zero, or "
                              "memory that was allocated (np.empty) and not written")
            return report
        evidence = Evidence(self, tensor, report)
        report.errors = np.full(tensor.gradient.shape, np.nan)
        for index in self.chosen(tensor.gradient.shape):
            analytic = float(tensor.gradient[index])
            numeric, noise, is_kink = self.derivative(tensor, index, analytic)
            if is_kink:
                report.kinks.append(index)
                continue
            error = self.relative_error(analytic, numeric, noise)
            evidence.add(index, numeric, error > self.settings.rtol, self.latest)
            report.checked += 1
            report.errors[index] = error
            if report.index is None or error > report.relative_error:
                report.index, report.analytic, report.numeric, report.relative_error = index, analytic, numeric, error
        kinks.judge(self, tensor, report)
        if evidence.wrong:
            self.evidence[tensor.name] = evidence
            report.add("place", NO_PATTERN)
        elif report.kinks and not report.checked and report.passed:
            report.add("nothing_checked", "every coordinate checked lies at a kink, so that nothing is known: try other inputs")
        return report

    def chosen(self, shape: tuple[int, ...]) -> list[Index]:
        """All indices of a tensor of this shape, or a sample in their order."""
        size, limit = int(np.prod(shape)), self.settings.max_coordinates
        places = range(size) if size <= limit else np.sort(self.rng.choice(size, limit, replace=False))
        return [tuple(int(i) for i in np.unravel_index(place, shape)) for place in places]

    def relative_error(self, analytic: float, numeric: float, noise: float = 0.0) -> float:
        floor = (self.settings.atol + noise) / self.settings.rtol
        return abs(analytic - numeric) / max(abs(analytic), abs(numeric), floor)

    def derivative(self, tensor: Tensor, index: Index, analytic: float) -> tuple[float, float, bool]:
        """The numeric derivative, its noise, and whether there is a kink instead."""
        found = derivative(lambda h: self.slopes(tensor, index, h), self.step_at(tensor, index), analytic,
                           lambda a, n, noise: self.relative_error(a, n, noise) <= self.settings.rtol)
        error = self.relative_error(analytic, *found[:2])
        if found[2] or not self.settings.rtol < error < 1e-3:
            return found
        for times in (8, 2):                                        # with larger steps rounding counts less
            coarse, fine = (self.slopes(tensor, index, h * self.step_at(tensor, index)) for h in (2 * times, times))
            smoother = (4 * fine.central - coarse.central) / 3
            if self.relative_error(analytic, smoother) <= self.settings.rtol:
                return smoother, fine.noise, False
        return found

    def step_at(self, tensor: Tensor, index: Index) -> float:
        return self.settings.step * max(1.0, abs(float(tensor.values[index])))

    def slopes(self, tensor: Tensor, index: Index, step: float) -> Slopes:
        """The slopes of (1) along one coordinate."""
        return self.slopes_together([(tensor, index)], step)

    def slopes_together(self, coordinates: Sequence[tuple[Tensor, Index]], step: float) -> Slopes:
        """The slopes of (1) with all of these moved at once."""
        more, less = self.moved(step, *coordinates), self.moved(-step, *coordinates)
        self.latest = more, less, step
        return slopes_of_loss(self.factors, self.y, more, less, step)

    @property
    def factors(self) -> list[np.ndarray | float]:
        """What multiplies each output in (1): dy, and 1 for the penalties."""
        return [*self.dy, *[1.0] * (len(self.y) - self.outputs)]

    def moved(self, step: float, *coordinates: tuple[Tensor, Index]) -> list[np.ndarray]:
        """All outputs with these coordinates moved by `step`; they are put back."""
        self.subject.restore()
        kept = [tensor.values[index] for tensor, index in coordinates]
        for (tensor, index), value in zip(coordinates, kept, strict=True):
            tensor.values[index] = value + step
        try:
            return self.subject.forward()
        finally:
            for (tensor, index), value in zip(coordinates, kept, strict=True):
                tensor.values[index] = value

    def numeric(self, tensor: Tensor, index: Index) -> float:
        return self.slopes(tensor, index, self.step_at(tensor, index)).central

    def columns(self) -> list[Element]:
        """The elements of the outputs for which a backward of its own is affordable."""
        elements = [Element(k, index) for k, dy in enumerate(self.dy) if self.y[k].dtype.kind == "f"
                    for index in np.ndindex(dy.shape)]
        begun = time.thread_time()
        self.gradients(self.dy)
        each = max(time.thread_time() - begun, 1e-6)
        return spread(elements, max(24, min(400, int(0.3 * self.settings.seconds / each))))

    def unit(self, element: Element) -> list[np.ndarray]:
        """A dy that is 1 at one element."""
        dy = [np.zeros_like(d) for d in self.dy]
        dy[element.output][element.index] = 1.0
        return dy

    @cached_property
    def order_matters(self) -> bool:
        """Whether the last time step of y feels the order of the first two of x, as in a recurrent layer."""
        subject, axis = self.subject, self.subject.time_axis
        k = next((k for k, leaf in enumerate(subject.leaves) if leaf.ndim > max(axis, 2) and leaf.dtype.kind == "f"
                  and leaf.shape[axis] > 2), None)
        if k is None:
            return False
        subject.restore()
        values = subject.leaves[k].copy()
        ends = []
        for first, last in ((0, 1), (-1, -2)):
            subject.restore()
            order = np.arange(values.shape[axis])
            order[[first, last]] = order[[last, first]]
            subject.leaves[k][...] = np.take(values, order, axis)
            ends.append((subject.forward()[0], order[-1] == len(order) - 1))
        subject.restore()
        return any(not np.allclose(_end(y, axis, at_last), _end(self.y[0], axis, at_last), rtol=1e-6) for y, at_last in ends)

    def account(self) -> None:
        """Give each evidence its shares, from backward's gradients for unit dys. They need a backward linear in dy."""
        columns = self.columns()
        self.subject.restore()
        values = {name: np.array(evidence.tensor.values) for name, evidence in self.evidence.items()}
        idle = self.gradients([0 * dy for dy in self.dy])
        units = [self.gradients(self.unit(column)) for column in columns]
        for evidence in self.evidence.values():
            rows = list(evidence.numeric)
            if len(rows) * len(columns) > MOST_SHARES:
                continue
            tensor = evidence.tensor
            at_rest = self.gradient_of(tensor, idle)
            through = [self.gradient_of(tensor, unit) - at_rest for unit in units]
            analytic = np.array([[gradient[row] for row in rows] for gradient in through]).T
            numeric = np.array([[evidence.share(row, column) for column in columns] for row in rows])
            evidence.shares = Shares(tensor.name, tensor.gradient.shape, tensor.is_weight, rows, columns, numeric,
                                     analytic.reshape(numeric.shape), values[tensor.name], self.y)
            evidence.idle = at_rest


def _end(y: np.ndarray, axis: int, last: bool) -> np.ndarray:
    """The last place of an axis, or the first; all of it if there is no such axis."""
    return np.take(y, -1 if last else 0, axis) if y.ndim > max(axis, 2) else y

