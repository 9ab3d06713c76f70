r"""The check itself: run both passes in every way that shows a mistake, and compare each gradient with the numeric one.

A random dy stands for whatever follows the layer, so that the loss is a number:

    L = \sum_k \langle dy_k, y_k \rangle + the layer's penalties        (1)    over all outputs y_k
"""
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.gradient_check import diagnosis
from nblayers.gradient_check.numeric import Slopes, derivative
from nblayers.gradient_check.report import Index, Report, TensorReport
from nblayers.gradient_check.subject import Subject, flat

EPSILON = float(np.finfo(np.float64).eps)
NO_PATTERN = "wrong in no pattern known"


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
            raise ValueError(f"gradcheck: expected max_coordinates of 1 or more, got {self.max_coordinates}: nothing would be checked")


@dataclass
class Tensor:
    """One input or weight: its values, to be changed one at a time, and its gradient as backward gave it."""

    name: str
    values: Any
    gradient: np.ndarray
    elsewhere: np.ndarray | None        # the gradient for other inputs
    position: int                       # among the inputs or among the weights
    is_weight: bool
    is_missing: bool = False            # backward returned None; `gradient` is zeros


class Check:
    """One run of `gradcheck`."""

    def __init__(self, subject: Subject, rng: np.random.Generator, settings: Settings) -> None:
        self.subject, self.rng, self.settings = subject, rng, settings
        self.report = Report(subject.layer.described)
        self.given = [leaf.copy() for leaf in subject.leaves]

    def run(self) -> Report:
        """Check everything; where a failure shows no pattern, look once more at a single time step."""
        self.check_forward()
        if self.report.problems:                        # no derivative of such a forward means anything
            return self.report
        self.outputs = len(flat(self.subject.outputs))
        self.dy = [self.rng.normal(size=y.shape) if y.dtype.kind == "f" else np.zeros(y.shape) for y in self.y[:self.outputs]]
        self.check_backward()
        self.check_second_backward()
        self.check_after_another_forward()
        for tensor in self.tensors():
            self.report.tensors.append(self.compare(tensor))
        if not self.report and self.rounds:
            self.report.problems.append("forward's numbers are float32 though the layer computes in float64: something inside "
                                        "casts them, and numeric derivatives of such a forward are worthless")
        if any(tensor.problem == NO_PATTERN for tensor in self.report.tensors):
            self.look_at_one_step()
        self.report.notes += self.subject.notes
        return self.report

    def check_forward(self) -> None:
        """Finite float64 outputs, the same twice, inputs left alone."""
        subject, problems = self.subject, self.report.problems
        subject.restore()
        self.y = subject.forward()
        self.find_changed_inputs("forward")
        for k, y in enumerate(self.y):
            if not np.isfinite(y).all():
                problems.append(f"forward's output {k} holds NaN or infinity, first at {_first(~np.isfinite(y))}")
            elif y.dtype == np.float32:
                problems.append(f"forward's output {k} is float32 though the layer computes in float64: allocate with the "
                                "input's dtype, or self.dtype")
        subject.restore()
        again = subject.forward()
        if not _same(self.y, again):
            problems.append("forward gives another output for the same input the second time: it draws random numbers or keeps "
                            "a state which gradcheck cannot put back (make it an array or a NumPy Generator in an attribute)")

    def check_backward(self) -> None:
        """The gradients to be compared; dy, inputs, outputs and weights are left alone."""
        subject, problems = self.subject, self.report.problems
        values = [parameter.numpy() for parameter in subject.weights]
        dy = self.copied_dy()
        self.dx, self.dw = subject.backward(dy)
        if not _same(dy, self.dy):
            problems.append("backward changes dy in place: work on a copy")
        if not _same([to_numpy(y) for y in flat(subject.outputs)], self.y[:self.outputs]):
            problems.append("backward changes forward's output in place: work on a copy")
        self.find_changed_inputs("backward")
        for parameter, value in zip(subject.weights, values, strict=True):
            if not np.array_equal(parameter.numpy(), value):
                problems.append(f"backward changes the value of the weight {parameter.path!r}: it may only add to its grad")

    def check_second_backward(self) -> None:
        """The same gradient again from the same cache, and twice as much in the weights' `grad`."""
        problems = self.report.problems
        if problems:                                    # what was changed above would be found here again
            return
        try:
            dx, dw = self.subject.backward(self.copied_dy())
        except Exception as error:
            problems.append("a second backward after one forward fails: backward must only read the cache "
                            f"({type(error).__name__}: {error})")
            return
        if _close(dx, [None if d is None else 2 * d for d in self.dx]) and not _close(dx, self.dx):
            problems.append("the gradient returned adds up from one backward to the next: start from zeros in each call")
        elif not _close(dx, self.dx):
            problems.append("a second backward after one forward returns another gradient: backward must only read the cache")
        for parameter, once, twice in zip(self.subject.weights, self.dw, dw, strict=True):
            if _close([twice], [once]) and not _close([once], [0 * once]):
                problems.append(f"backward replaces the grad of {parameter.path!r} (=) where it must add to it (+=)")
            elif not _close([twice], [2 * once]) and not problems:
                problems.append(f"a second backward adds something else to the grad of {parameter.path!r} than the first")

    def check_after_another_forward(self) -> None:
        """The gradient must be that of the last forward, whatever was computed before it."""
        subject = self.subject
        subject.restore()
        y = subject.forward(subject.other)
        self.rounds = all(np.array_equal(a, a.astype(np.float32)) for a in y)
        dx, dw = subject.backward(self.copied_dy())
        self.elsewhere = dx, dw
        subject.restore_weights_and_chance()
        if not _same(subject.forward(), self.y):        # a stateful layer, which is allowed to remember
            return
        dx, dw = subject.backward(self.copied_dy())
        if not _close([*dx, *dw], [*self.dx, *self.dw]):
            self.report.problems.append("after a forward on other inputs the gradient is another one: backward uses what that "
                                        "earlier forward kept (a stale cache)")

    def copied_dy(self) -> list[np.ndarray]:
        """dy as backward may have it: an array of its own for each output."""
        return [dy.copy() for dy in self.dy]

    def find_changed_inputs(self, who: str) -> None:
        for name, leaf, given in zip(self.subject.names, self.subject.handed, self.given, strict=True):
            if not _same([leaf], [given]):
                self.report.problems.append(f"{who} changes the input {name!r} in place: work on a copy")

    def check_returned(self) -> list[int]:
        """Which inputs have a gradient that can be compared: an array of the right shape, or None, which stands for zeros."""
        subject, report = self.subject, self.report
        if len(self.dx) == 1 and self.dx[0] is None:
            self.dx = [None] * len(subject.leaves)      # one None for all
        if len(self.dx) != len(subject.leaves):
            report.problems.append(f"backward returns {len(self.dx)} gradients for {len(subject.leaves)} inputs "
                                   f"({', '.join(subject.names)}): one for each is expected, None for an integer input")
            return []
        comparable = []
        for i, (name, leaf, dx) in enumerate(zip(subject.names, subject.leaves, self.dx, strict=True)):
            if problem := diagnosis.of_returned(leaf, dx, subject.layer.integer_inputs):
                report.tensors.append(TensorReport(name, leaf.shape, problem=problem))
            elif leaf.dtype.kind == "f":
                comparable.append(i)
        return comparable

    def tensors(self) -> list[Tensor]:
        """All that is to be compared: floating inputs; trainable weights, and others if they have a gradient."""
        subject, found = self.subject, []
        for i in self.check_returned():
            name, leaf, dx = subject.names[i], subject.leaves[i], self.dx[i]
            gradient, elsewhere = (np.zeros_like(leaf), None) if dx is None else (dx, self.elsewhere[0][i])
            found.append(Tensor(name, leaf, gradient, elsewhere, i, is_weight=False, is_missing=dx is None))
        trainable = [id(parameter) for parameter in subject.layer.trainable_weights]
        for i, (parameter, dw) in enumerate(zip(subject.weights, self.dw, strict=True)):
            if id(parameter) in trainable or dw.any():
                found.append(Tensor(parameter.path, parameter.value, dw, self.elsewhere[1][i], i, is_weight=True))
        return found

    def compare(self, tensor: Tensor) -> TensorReport:
        report = TensorReport(tensor.name, tensor.gradient.shape)
        finite = np.isfinite(tensor.gradient)
        if not finite.all():
            report.problem = (f"the gradient holds NaN or infinity, first at {_first(~finite)}: a division by zero, or memory "
                              "that was allocated (np.empty) and not written")
            return report
        evidence = diagnosis.Evidence(self, tensor)
        report.errors = np.full(tensor.gradient.shape, np.nan)
        for index in self.chosen(tensor.gradient.shape):
            analytic = float(tensor.gradient[index])
            numeric, noise, is_kink = self.derivative(tensor, index, analytic)
            if is_kink:
                report.kinks.append(index)
                continue
            error = self.relative_error(analytic, numeric, noise)
            evidence.add(index, numeric, error > self.settings.rtol)
            report.checked += 1
            report.errors[index] = error
            if report.index is None or error > report.relative_error:
                report.index, report.analytic, report.numeric, report.relative_error = index, analytic, numeric, error
        if evidence.wrong:
            report.problem = diagnosis.explain(evidence) or NO_PATTERN
        elif report.kinks and not report.checked:
            report.problem = "every coordinate checked lies at a kink, so that nothing is known: try other inputs"
        return report

    def look_at_one_step(self) -> None:
        """Repeat the check of a sequence on its first time step, where no mistake spreads from step to step."""
        single = self.subject.first_step()
        if single is None:
            return
        try:
            report = Check(single, self.rng, self.settings).run()
        except Exception:                               # a layer that cannot do with one step has nothing to tell here
            return
        if report:
            self.report.notes.append("with the first time step alone every gradient is right: the mistake shows only where "
                                     "one step acts on another (in a recurrent layer: in what a step hands to the next "
                                     "one, or gets back from it, a carry)")
        else:
            self.report.notes += [f"with the first time step alone, {tensor.name}: {tensor.problem}"
                                  for tensor in report.tensors if tensor.problem not in ("", NO_PATTERN)]

    def chosen(self, shape: tuple[int, ...]) -> list[Index]:
        """All indices of a tensor of this shape, or a sample in their order."""
        size, limit = int(np.prod(shape)), self.settings.max_coordinates
        places = range(size) if size <= limit else np.sort(self.rng.choice(size, limit, replace=False))
        return [tuple(int(i) for i in np.unravel_index(place, shape)) for place in places]

    def relative_error(self, analytic: float, numeric: float, noise: float = 0.0) -> float:
        floor = (self.settings.atol + noise) / self.settings.rtol
        return abs(analytic - numeric) / max(abs(analytic), abs(numeric), floor)

    def derivative(self, tensor: Tensor, index: Index, analytic: float) -> tuple[float, float, bool]:
        return derivative(lambda h: self.slopes(tensor, index, h), self.step_at(tensor, index), analytic,
                          lambda a, n, noise: self.relative_error(a, n, noise) <= self.settings.rtol)

    def step_at(self, tensor: Tensor, index: Index) -> float:
        return self.settings.step * max(1.0, abs(float(tensor.values[index])))

    def slopes(self, tensor: Tensor, index: Index, step: float) -> Slopes:
        """The slopes of (1) along one coordinate."""
        more, less = self.moved(tensor, index, step), self.moved(tensor, index, -step)
        right = left = variance = 0.0
        for k, y in enumerate(self.y):
            dy = self.dy[k] if k < self.outputs else 1.0
            right += float(np.sum(dy * (more[k] - y))) / step
            left += float(np.sum(dy * (y - less[k]))) / step
            variance += float(np.sum((dy * y * (more[k] != less[k])) ** 2))
        return Slopes(right, left, noise=4 * EPSILON * variance ** 0.5 / step)

    def moved(self, tensor: Tensor, index: Index, step: float) -> list[np.ndarray]:
        """All outputs with one coordinate moved by `step`."""
        self.subject.restore()
        tensor.values[index] = tensor.values[index] + step
        return self.subject.forward()

    def numeric(self, tensor: Tensor, index: Index) -> float:
        return self.slopes(tensor, index, self.step_at(tensor, index)).central

    def shares(self, tensor: Tensor, index: Index) -> list[np.ndarray]:
        """The numeric derivative of one coordinate, split into what came through each element of each output."""
        step = self.step_at(tensor, index)
        more, less = self.moved(tensor, index, step), self.moved(tensor, index, -step)
        self.subject.restore()
        return [dy * (a - b) / (2 * step) for dy, a, b in zip(self.dy, more, less, strict=False)]

    def through(self, tensor: Tensor, output: int | None) -> np.ndarray:
        """The gradient that backward gives where only one output has a dy, or none has."""
        self.subject.restore()
        self.subject.forward()
        dx, dw = self.subject.backward([dy * (k == output) for k, dy in enumerate(self.dy)])
        return (dw if tensor.is_weight else dx)[tensor.position]


def _first(bad: np.ndarray) -> list[int]:
    return [int(i) for i in np.argwhere(bad)[0]]


def _same(values: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    return all(a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
               for a, b in zip(values, others, strict=True))


def _close(values: Sequence[Any], others: Sequence[Any]) -> bool:
    """Equal but for the order of a parallel sum."""
    def close(a: Any, b: Any) -> bool:
        if a is None or b is None or a.shape != b.shape:
            return a is b
        largest = float(np.max(np.abs(b), initial=0, where=np.isfinite(b)))
        return np.allclose(a, b, rtol=1e-9, atol=1e-12 * largest, equal_nan=True)
    return len(values) == len(others) and all(map(close, values, others))
