"""What the difference between two gradients says about the mistake behind it."""
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.gradient_check import experiments, looks, patterns
from nblayers.gradient_check.clipping import SMALL
from nblayers.gradient_check.evidence import Evidence, Found, KnownNumbers, agree
from nblayers.gradient_check.objects import Called
from nblayers.gradient_check.points import masks
from nblayers.gradient_check.report import Finding
from nblayers.gradient_check.shares import Shares
from nblayers.gradient_check.words import NO_PATTERN

KINDS_OF_PLACES = (("mask", "mask is False"), ("one_output", "only what comes through output"), ("value", " is below 0"))


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


def explain_numbers(got: np.ndarray, want: np.ndarray, wrong: np.ndarray, sizes: dict[str, int], rtol: float = 1e-6) -> str:
    """What is wrong with numbers of which the right ones are known. Empty if nothing can be told.

    Both arrays have one shape and hold finite numbers. `sizes` are numbers by which one divides or multiplies by mistake:
    {"the batch size": 2}.
    """
    evidence = KnownNumbers(got, want, wrong, sizes, rtol)
    found = next((text for look in (looks.missing, looks.zeros, looks.ratio, looks.layout) if (text := look(evidence))),
                 None) if got.any() else ("zero", "all zeros")
    return "; ".join(part for part in (found[1] if found else "", looks.where(evidence)) if part)


def of(check: Any) -> None:
    """Explain each wrong tensor of a check, as far as that can be tried out; say what is right."""
    changes_weight = any(finding.kind == "changes_weight" for finding in check.report.general)
    bounds = [finding.kind for finding in check.report.general if finding.kind in ("clipped", "not_linear")]
    small = check.gradients([SMALL * dy for dy in check.dy]) if bounds else []
    is_linear = check.is_linear and not changes_weight
    if is_linear:
        check.account()
    for evidence in check.evidence.values():
        kind, text = explain(evidence) if is_linear else _of_not_linear(evidence, small, bounds)
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


def _of_not_linear(evidence: Evidence, small: list[Any], kinds: list[str]) -> tuple[str, str]:
    """Kind and words where backward is not linear in dy, so that it has no shares."""
    return (looks.missing(evidence) or _right_if_small(evidence, small, kinds) or _right_if_slow(evidence)
            or looks.ratio(evidence) or ("place", NO_PATTERN))


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
    if penalties := looks.penalties(evidence):
        return "penalty", penalties
    found = next((found for look in LOOKS if (found := look(evidence))), None)
    if found is None and evidence.shares is not None:
        found = _of_shares(evidence)
    if found is not None and found[0] not in ("zero", "extra", "factor", "nearly"):
        wants_place = found[0] in ("slope", "factor_along", "missing_sum", "mask", "value")
        where = looks.where(evidence) if wants_place and "wrong only" not in found[1] else ""
        if not where and found[0] in ("mask", "value"):
            where = looks.along_an_axis(evidence)
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
        return [looks.where(evidence)]
    _label(evidence, shares)
    texts = patterns.places(shares)
    exact = [looks.where(evidence)] if 0 < len(evidence.wrong) <= 3 and evidence.right else []
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


def _partly_elementwise(evidence: Evidence) -> Found:
    """An elementwise layer that is right at some places: a table of slopes says more than a factor."""
    if evidence.shares is None or len(evidence.wrong) < 2 or not evidence.shares.wrong.any():
        return None
    found = patterns.elementwise(evidence.shares, _known(evidence))
    return found if found and found[0] in ("slope", "value", "moved", "rolled", "reversed", "factor_along") else None


LOOKS = (looks.missing, looks.beside_dy, looks.ratio_everywhere, looks.clipped, looks.and_itself, looks.other_tensors,
         looks.nearly, _partly_elementwise, looks.zeros, looks.ratio, looks.layout)                 # the most telling first
