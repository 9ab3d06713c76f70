"""What the difference between two gradients says about the mistake behind it."""
import itertools
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.gradient_check import experiments, patterns
from nblayers.gradient_check.clipping import ADVICE, SMALL
from nblayers.gradient_check.foreign import Foreign
from nblayers.gradient_check.objects import Called
from nblayers.gradient_check.points import at, masks
from nblayers.gradient_check.report import Finding, Index, TensorReport
from nblayers.gradient_check.shares import Element, Shares
from nblayers.gradient_check.words import NO_PATTERN, ranges, times

KINDS_OF_PLACES = (("mask", "mask is False"), ("one_output", "only what comes through output"), ("value", " is below 0"))
PROBES = 12                             # coordinates looked at where each one costs further passes
Found = tuple[str, str] | None


def of_returned(leaf: np.ndarray, dx: Any, takes_integers: bool) -> Found:
    """What is wrong with the gradient returned for one input, before any value is looked at."""
    if leaf.dtype.kind != "f":
        return ("shape", "a gradient for an integer input: None is expected") if dx is not None and takes_integers else None
    if dx is not None and dx.shape != leaf.shape:
        hint = of_shape(dx.shape, leaf.shape)
        return "shape", f"backward returns a gradient of shape {dx.shape}" + (f": {hint}" if hint else "")
    if dx is not None and dx.dtype != np.float64:
        return "float32", f"backward returns {dx.dtype} though the layer computes in float64"
    return None


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
        """Whether the slopes at some elements stay what they are while all others of the tensor change."""
        check, tensor = self.check, self.tensor
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


def explain_numbers(got: np.ndarray, want: np.ndarray, wrong: np.ndarray, sizes: dict[str, int], rtol: float = 1e-6) -> str:
    """What is wrong with numbers of which the right ones are known. Empty if nothing can be told.

    Both arrays have one shape and hold finite numbers. `sizes` are numbers by which one divides or multiplies by mistake:
    {"the batch size": 2}.
    """
    evidence = KnownNumbers(got, want, wrong, sizes, rtol)
    found = next((text for look in (_missing, _zeros, _ratio, _layout) if (text := look(evidence))),
                 None) if got.any() else ("zero", "all zeros")
    return "; ".join(part for part in (found[1] if found else "", _where(evidence)) if part)


def agree(value: float, other: float) -> bool:
    """Whether two numbers are close enough to see a pattern in."""
    return abs(value - other) <= 1e-5 * max(abs(value), abs(other)) + 1e-8


def of(check: Any) -> None:
    """Explain each wrong tensor of a check, as far as that can be tried out; say what is right."""
    changes_weight = any(finding.kind == "changes_weight" for finding in check.report.general)
    bounds = [finding.kind for finding in check.report.general if finding.kind in ("clipped", "not_linear")]
    small = check.gradients([SMALL * dy for dy in check.dy]) if bounds else []
    is_linear = check.is_linear and not changes_weight
    if is_linear:
        check.account()
    for evidence in check.evidence.values():
        kind, text = explain(evidence) if is_linear else (
            _missing(evidence) or _right_if_small(evidence, small, bounds) or _right_if_slow(evidence) or ("place", NO_PATTERN))
        evidence.report.findings = [finding for finding in evidence.report.findings if finding.text != NO_PATTERN]
        evidence.report.add(kind, text)
    if changes_weight:
        return
    experiments.run(check)
    right = [tensor.name.split("/")[-1] for tensor in check.report.tensors if tensor.passed]
    if right:
        check.report.notes.append(f"right: {', '.join(right)}")
    for evidence in check.evidence.values():
        told = [_with_place(finding, right) for finding in evidence.report.findings]
        evidence.report.findings = [finding for finding in told if finding.text != NO_PATTERN] or told


def _right_if_small(evidence: Evidence, small: list[Any], kinds: list[str]) -> Found:
    """Right for a dy so small that it meets no bound."""
    gradient = evidence.check.gradient_of(evidence.tensor, small) / SMALL if kinds else None
    if gradient is None or not all(agree(float(gradient[index]), evidence.numeric[index]) for index in evidence.wrong):
        return None
    return kinds[0], "right for a dy a thousandth as large: it is what happens to a larger one that makes it wrong"


def _right_if_slow(evidence: Evidence) -> Found:
    """Right with a learning rate near zero, where backward takes the step with the weights itself."""
    check = evidence.check
    if not (isinstance(check.subject.layer, Called) and check.subject.layer.has_rate) or evidence.tensor.is_weight:
        return None
    with check.subject.layer.way.at_rate(1e-9):
        gradient = check.gradient_of(evidence.tensor, check.gradients(check.dy))
    if not all(agree(float(gradient[index]), evidence.numeric[index]) for index in evidence.wrong):
        return None
    return "not_linear", ("right with a learning rate near zero: it is computed from weights that backward has changed "
                          "already. Compute it before the step")


def _with_place(finding: Finding, right: list[str]) -> Finding:
    """Where nothing is known of one gradient, the others tell where the mistake lies."""
    if not finding.text.endswith(NO_PATTERN):
        return finding
    if not right:
        return finding
    others = f"those of {', '.join(right)} are right" if len(right) > 1 else f"that of {right[0]} is right"
    return Finding(finding.kind, finding.tensor, finding.text.replace(NO_PATTERN, f"wrong all over, though {others}"))


def explain(evidence: Evidence) -> tuple[str, str]:
    """Kind and words: the mistake as far as it can be told, where it shows, and through which output it comes."""
    if penalties := _penalties(evidence):
        return "penalty", penalties
    looks = (_missing, _beside_dy, _ratio_everywhere, _clipped, _and_itself, _other_tensors, _nearly, _partly_elementwise,
             _zeros, _ratio, _layout)
    found = next((found for look in looks if (found := look(evidence))), None)
    if found is None and evidence.shares is not None:
        found = _of_shares(evidence)
    if found is not None and found[0] not in ("zero", "extra", "factor", "nearly"):
        wants_place = found[0] in ("slope", "factor_along", "missing_sum", "mask", "value")
        where = _where(evidence) if wants_place and "wrong only" not in found[1] else ""
        if not where and found[0] in ("mask", "value"):
            where = _along_an_axis(evidence)
        kind, parts = found[0], [found[1], where]
    else:
        kind, parts = (found[0], [found[1]]) if found else ("place", [])
        parts += _places(evidence, found is not None) if kind != "nearly" else []
        if not any(parts) and evidence.shares is not None and (few := patterns.few_factors(evidence.shares, _known(evidence))):
            kind, parts = few[0], [few[1]]
        if kind in ("place", "extra", "zero"):
            kind = next((name for name, piece in KINDS_OF_PLACES if any(piece in part for part in parts)), kind)
    return kind, "; ".join(part for part in parts if part) or NO_PATTERN


def _of_shares(evidence: Evidence) -> Found:
    shares = evidence.shares
    assert shares is not None
    if not shares.wrong.any():
        return None
    if shares.single_output:
        return _of_output(evidence, shares)
    outputs = sorted({shares.columns[k].output for k in shares.wrong_columns})
    found = [_of_output(evidence, shares.through(k)) for k in outputs]
    kinds = [each[0] for each in found if each]
    if not kinds:
        return None
    last = max(column.output for column in shares.columns)
    only = (f"only what comes through output {' and '.join(map(str, outputs))} of 0-{last} is wrong; "
            if len(outputs) <= last else "")
    texts = [f"through output {k}: {text}" for k, each in zip(outputs, found, strict=True)
             if (text := each[1] if each else "; ".join(patterns.places(shares.through(k))))]
    return kinds[0], only + "; ".join(texts)


def _of_output(evidence: Evidence, shares: Shares) -> Found:
    _label(evidence, shares)
    known = _known(evidence)
    return next((found for look in patterns.LOOKS if (found := look(shares, known))), None)


def _known(evidence: Evidence) -> patterns.Known:
    check = evidence.check
    check.subject.restore()                             # forward may have changed a statistic
    vectors = {parameter.path.split("/")[-1]: np.ravel(np.asarray(to_numpy(parameter.value), np.float64))
               for parameter in check.subject.weights if np.prod(parameter.shape) > 1
               and max(parameter.shape) == np.prod(parameter.shape)}
    vectors |= {name: np.ravel(leaf) for name, leaf in zip(check.subject.names, check.subject.leaves, strict=True)
                if leaf.dtype.kind == "f" and leaf.size > 1 and max(leaf.shape) == leaf.size}
    ids = next((leaf for leaf in check.subject.leaves if leaf.dtype.kind in "iu"), None)
    arrays = dict(zip(check.subject.names, check.subject.leaves, strict=True))
    is_plain = len(check.subject.leaves) == 1 and check.outputs == 1
    return patterns.Known(vectors, arrays, ids, check.subject.time_axis, is_plain, check.order_matters, evidence.is_separable)


def _places(evidence: Evidence, is_told: bool) -> list[str]:
    """Where, from the shares if there are any, and how unless that is told."""
    shares = evidence.shares
    if shares is None or not shares.wrong.any():
        return [_where(evidence)]
    _label(evidence, shares)
    texts = patterns.places(shares)
    exact = [_where(evidence)] if 0 < len(evidence.wrong) <= 3 and evidence.right else []
    texts = exact + [text for text in texts if not (exact and text.startswith("wrong only at"))]
    how = "" if is_told else patterns.one_column_each(shares)
    if texts and not is_told and not how and (few := patterns.few_factors(shares, _known(evidence))):
        return [*texts, f"there it is {few[1]}"]
    return [*texts, f"there {how}"] if how and texts else texts


def _label(evidence: Evidence, shares: Shares) -> None:
    """Attributes of rows and columns that masks and signs give."""
    check, labels = evidence.check, shares.labels
    for name, mask in masks(check.subject).items():
        if mask.dtype != bool:
            continue
        if not shares.is_weight and mask.shape == shares.shape[:mask.ndim]:
            labels[f"the {name} is False"] = ~np.array([[mask[row[:mask.ndim]]] for row in shares.rows])
        if shares.output_shape and mask.shape == shares.output_shape[:mask.ndim]:
            labels[f"y stands where the {name} is False"] = ~np.array([[mask[c.index[:mask.ndim]] for c in shares.columns]])
    if not shares.is_weight:
        x = np.array([[float(shares.values[row])] for row in shares.rows])
        labels |= {f"{evidence.name} is below 0": x < 0, f"{evidence.name} is 0": x == 0}
        labels |= _values_of_others(evidence, shares)
    if shares.single_output:
        y = np.array([[float(shares.y[c.output][c.index]) for c in shares.columns]])
        labels |= {"y is below 0": y < 0, "y is 0": y == 0}


def _values_of_others(evidence: Evidence, shares: Shares) -> dict[str, np.ndarray]:
    """ "t is 0": where another input has one of its few values."""
    found: dict[str, np.ndarray] = {}
    for name, leaf in zip(evidence.check.subject.names, evidence.check.subject.leaves, strict=True):
        values = np.unique(leaf)
        if name == evidence.name or leaf.shape != shares.shape or not 1 < len(values) < 4:
            continue
        found |= {f"{name} is {value:g}": np.array([[leaf[row] == value] for row in shares.rows]) for value in values}
    return found


def _missing(evidence: Evidence) -> Found:
    if evidence.tensor.is_missing:
        return "missing", "backward returns None for it: is `return dx` missing?"
    if not evidence.tensor.gradient.any():
        return "missing", "all zeros: backward never " + ("adds to its grad" if evidence.tensor.is_weight else "fills it")
    return None


def _zeros(evidence: Evidence) -> Found:
    largest = max(abs(evidence.numeric[index]) for index in evidence.wrong)
    if agree(largest, 0):
        leaves_out = all(agree(numeric, 0) for numeric in evidence.numeric.values())
        return "extra", "should be zero" + (": y does not depend on it" if leaves_out else "")
    if all(abs(evidence.analytic(index)) <= 1e-7 * largest for index in evidence.wrong):
        return "zero", "zero there"
    return None


def _other_tensors(evidence: Evidence) -> Found:
    """The gradient of another tensor, or the same numbers as another one's."""
    if evidence.check is None or math.prod(evidence.shape) < 2:
        return None
    check = evidence.check
    for other in check.tensors():
        if other.name == evidence.name or other.gradient.shape != evidence.shape:
            continue
        if all(agree(evidence.analytic(index), check.numeric(other, index)) for index in list(evidence.numeric)[:60]):
            back = check.evidence.get(other.name)
            is_swap = back is not None and all(agree(back.analytic(index), evidence.numeric_at(index))
                                               for index in list(back.numeric)[:60])
            return "swapped", f"holds the gradient of {other.name}" + (": the two are swapped" if is_swap else "")
        if np.array_equal(evidence.tensor.gradient, other.gradient):
            return "swapped", f"the very same numbers as the gradient of {other.name}: one is copied from the other"
    return None


def _partly_elementwise(evidence: Evidence) -> Found:
    """An elementwise layer that is right at some places: a table of slopes says more than a factor."""
    if evidence.shares is None or len(evidence.wrong) < 2 or not evidence.shares.wrong.any():
        return None
    found = patterns.elementwise(evidence.shares, _known(evidence))
    return found if found and found[0] in ("slope", "value", "moved", "rolled", "reversed", "factor_along") else None


def _beside_dy(evidence: Evidence) -> Found:
    """What is there even where dy is zero: a multiple of the weight itself, or what takes no account of dy."""
    idle = evidence.idle
    if idle is None or not np.abs(idle).max(initial=0.0) or len(evidence.check.y) > evidence.check.outputs:
        return None
    if evidence.shares is not None and not evidence.shares.analytic.any():
        return "ignores_dy", "the same for every dy, even for zeros: it does not use dy, which the layers behind it send back"
    evidence.check.subject.restore()
    value = np.asarray(to_numpy(evidence.tensor.values), np.float64)
    what = "the weight" if evidence.tensor.is_weight else evidence.name
    for words, form in ((f"{what} itself", value), (f"the sign of {what} itself", np.sign(value))):
        size = float((form * form).sum())
        factor = float((idle * form).sum()) / size if size else 0.0
        if factor and np.allclose(idle, factor * form, rtol=1e-6, atol=1e-12):
            return "decay", (f"plus {factor:.6g} times {words}, even where dy is zero: a weight decay inside of backward, "
                             "of which forward knows nothing")
    return "not_linear", "not zero where dy is zero: something is added that is not multiplied by dy"


def _ratio_everywhere(evidence: Evidence) -> Found:
    """One factor wherever there is anything."""
    return None if any(abs(evidence.numeric[index]) > 1e-9 for index in evidence.right) else _ratio(evidence)


def _ratio(evidence: Evidence) -> Found:
    """One factor between analytic and numeric, and where such a factor may come from."""
    if len(evidence.wrong) < 2 and math.prod(evidence.shape) > 1:
        return None                                     # a single number is some number of times any other
    largest = max(abs(evidence.numeric[index]) for index in evidence.wrong)
    if not largest:
        return None
    strong = [index for index in evidence.wrong if abs(evidence.numeric[index]) > 1e-3 * largest]
    ratio = float(np.median([evidence.analytic(index) / evidence.numeric[index] for index in strong]))
    floor = 1e-7 * largest
    if not all(abs(evidence.analytic(i) - ratio * evidence.numeric[i]) <= 1e-5 * abs(evidence.analytic(i)) + floor
               for i in evidence.wrong):
        return None
    if (abs(abs(ratio) - 1) <= evidence.rtol / 2 and ratio > 0) or abs(ratio) < 1e-7:
        return None
    size = abs(ratio)
    exact = any(agree(size, value) for value in (1.0, 2.0, 0.5))
    origins = "".join(_origins(evidence, size))
    if math.prod(evidence.shape) == 1 and not exact and not origins and not _same_through_all(evidence, ratio):
        return None                                     # any number is some number of times another one: that tells nothing
    near_one = abs(size - 1) < 1e-2 and not exact
    words = f"{size:.8g} times what it should be" if near_one and ratio > 0 else times(ratio, is_explained=bool(origins))
    return "factor", words + origins


def _clipped(evidence: Evidence) -> Found:
    """The right numbers but that none passes a bound: of a loss, whose dy is one number that comes to the gradients last."""
    check = evidence.check
    if check is None or len(check.dy) != 1 or check.dy[0].size != 1 or len(evidence.wrong) < 2:
        return None
    dy = abs(float(check.dy[0].reshape(())))
    bound = float(np.abs(evidence.tensor.gradient).max())
    is_held = all(agree(evidence.analytic(index), float(np.clip(numeric, -bound, bound)))
                  for index, numeric in evidence.numeric.items())
    if not is_held or {abs(evidence.analytic(index)) / bound > 1 - 1e-9 for index in evidence.wrong} != {True}:
        return None
    return "clipped", (f"clipped: right but for {len(evidence.wrong)} elements that should be larger than {bound / dy:.6g} or "
                       f"less than -{bound / dy:.6g} and are exactly that. {ADVICE}")


def _and_itself(evidence: Evidence) -> Found:
    """Some times what it should be, plus a multiple of the tensor itself: a penalty whose part is another one."""
    check = evidence.check
    if check is None or len(evidence.numeric) < 5 or len(evidence.wrong) < 4 or len(check.dy) != 1:
        return None
    check.subject.restore()
    values = np.asarray(to_numpy(evidence.tensor.values), np.float64)
    indices = list(evidence.numeric)
    basis = np.array([[evidence.numeric[index], float(values[index])] for index in indices])
    analytic = np.array([evidence.analytic(index) for index in indices])
    size = np.linalg.norm(basis, axis=0)
    if not size.all() or np.linalg.cond(basis / size) > 1e4:
        return None
    times_it, of_itself = np.linalg.lstsq(basis / size, analytic, rcond=None)[0] / size
    if not np.allclose(basis @ [times_it, of_itself], analytic, rtol=1e-5, atol=1e-7 * np.abs(analytic).max()):
        return None
    if abs(of_itself) * size[1] < 1e-3 * np.linalg.norm(analytic) or abs(times_it) < 1e-6:
        return None
    dy = float(check.dy[0].reshape(())) if check.dy[0].size == 1 else 1.0
    own = "" if abs(times_it - 1) < 1e-6 else f"{times(float(times_it))}{''.join(_origins(evidence, abs(float(times_it))))}, "
    sign = "plus" if of_itself * dy > 0 else "less"
    return "decay", (f"{own}{sign} {abs(of_itself / dy):.6g} times {evidence.name} itself: a penalty on it is not the same in "
                     f"the two passes, or its factor is not that of the rest")


def _same_through_all(evidence: Evidence, ratio: float) -> bool:
    """Whether a single number is off by one factor through each of several elements of y."""
    shares = evidence.shares
    if shares is None or (np.abs(shares.numeric) > 1e-3 * shares.scale).sum() < 4:
        return False
    return shares.all_same(shares.analytic, ratio * shares.numeric)


def _origins(evidence: Evidence, size: float) -> Iterator[str]:
    """Where a factor may come from: a size; for 2 and 1/2, which so much else is, the root of a size too; a single number."""
    names: dict[int, str] = {}
    for name, count in evidence.sizes.items():
        names.setdefault(count, name)                   # one name for each size, the first
    counts = {count: name for count, name in names.items() if count > 1}
    root = next((text for count, name in counts.items() if (text := _of_root(count, name, size))), "")
    for count, name in counts.items():
        of_root = f" Or it is {root}." if root and count == 2 else ""
        if agree(size, count):
            yield f" ({count} is {name}: summed over it once too often?{of_root.removesuffix('.')})"
            return
        if agree(size, 1 / count):
            more = f".{of_root}".removesuffix(".")
            yield f" (1/{count}, {name}: divided by it? A layer sums, only a loss takes the mean{more})"
            return
    for name, value in evidence.scalars.items():
        if agree(size, abs(1 / value)) or agree(size, abs(value)):
            left_out = agree(size, abs(1 / value))
            yield f" ({'1 / ' if left_out else ''}{name}: {'it is left out' if left_out else 'it has gone in once too often'}?)"
            return
    if root and not agree(size, 2.0) and not agree(size, 0.5):
        yield f" ({root})"


def _of_root(count: int, name: str, size: float) -> str:
    """What a factor is if it is the root of a size, or one over it."""
    if not agree(size, count ** 0.5) and not agree(size, count ** -0.5):
        return ""
    what = f"the square root of {count}" if size > 1 else f"1 / the square root of {count}"
    return f"{what}, perhaps of {name}"


def _nearly(evidence: Evidence) -> Found:
    """Right to a few digits at every place: another constant, not another formula."""
    if evidence.check is not None and any(_far_off(other) for other in evidence.check.evidence.values()):
        return None
    largest = max(abs(evidence.numeric[index]) for index in evidence.wrong)
    worst = max(abs(evidence.analytic(i) - evidence.numeric[i]) / max(abs(evidence.numeric[i]), 0.05 * largest)
                for i in evidence.wrong)
    if len(evidence.wrong) < 2 or worst > 2e-2:
        return None
    return "nearly", (f"right to within {worst:.0e}: a constant that is rounded or not the same in the two passes (an epsilon "
                      "in one of them?), or an approximation")


def _far_off(evidence: Evidence) -> bool:
    """Whether anything of it, through any output, is off by more than half a percent of the largest share."""
    shares = evidence.shares
    return shares is not None and bool(np.abs(shares.analytic - shares.numeric).max(initial=0.0) > 5e-3 * shares.scale)


def _layout(evidence: Evidence) -> Found:
    """The right numbers in other places."""
    def is_moved(move: Callable[[Index], Index]) -> bool:
        return all(agree(evidence.analytic(index), evidence.numeric_at(move(index)))
                   for index in [*evidence.probes, *evidence.right])

    shape = evidence.shape
    if len(evidence.wrong) < 2:
        return None
    for i, j in itertools.combinations(range(len(shape)), 2):
        if shape[i] == shape[j] and is_moved(lambda index, i=i, j=j: _swapped(index, i, j)):        # type: ignore[misc]
            return "transposed", f"transposed: axes {i} and {j} are swapped"
    for axis, size in enumerate(shape):
        if size > 1 and is_moved(lambda index, k=axis, n=size: (*index[:k], n - 1 - index[k],
                                                                *index[k + 1:])):  # type: ignore[misc]
            return "reversed", f"in reverse order along axis {axis}"
    return None


def _swapped(index: Index, i: int, j: int) -> Index:
    moved = list(index)
    moved[i], moved[j] = moved[j], moved[i]
    return tuple(moved)


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
            best = len(bad) / len(bad | good), f"wrong only at {ranges(bad)} of axis {axis} (size {size})"
    return best[1]


def _along_an_axis(evidence: Evidence) -> str:
    """The indices of an axis outside of which nothing is wrong."""
    for axis, size in enumerate(evidence.shape):
        bad = {index[axis] for index in evidence.wrong}
        if len(bad) < size and {index[axis] for index in evidence.numeric} == set(range(size)):
            return f"wrong only at {ranges(bad)} of axis {axis} (size {size})"
    return ""


def _penalties(evidence: Evidence) -> str:
    """Whether all that is wrong are the penalties."""
    check = evidence.check
    if check is None or len(check.y) == check.outputs or evidence.shares is None:
        return ""
    if not evidence.shares.wrong.any():
        return "right but for the layer's penalties (activity regularizer, add_loss), whose gradient belongs to backward too"
    return ""
