"""Numbers that were rounded to float32 on the way, in forward or in backward."""
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.gradient_check.points import at

TINY = 1e-10                            # a change that float64 sees and float32 does not


def check_rounding(check: Any) -> None:
    """A forward in float32 has no derivatives to compare with."""
    if _forward_rounds(check):
        check.report.add("float32", "forward rounds to float32 on the way though the layer computes in float64: its output "
                                    f"does not feel a change of {TINY:g} in all its inputs and weights, and numeric "
                                    "derivatives of such a forward are worthless")
    check.subject.restore()
    check.subject.forward()


def check_precision(check: Any) -> None:
    """Numbers that do not feel a change of 1e-10 were rounded to float32 on the way, in forward or in backward."""
    if any(finding.kind in ("single_use", "stale", "ignores_dy", "dtype", "random") for finding in check.report.findings):
        return
    subject = check.subject
    names = [*subject.names, *(parameter.path for parameter in subject.weights)]
    once = check.gradients(check.dy)
    if len(once) != len(names):
        return
    finer = check.gradients([dy * (1 + TINY) for dy in check.dy])
    for name in _rounded(names, once, finer, check.gradients([dy * 1.001 for dy in check.dy])):
        _say_rounded(check, name, "in dy")
    for moved, what in ((_leaves_times, "in the inputs"), (_weights_times, "in the weights")):
        if not subject.leaves and moved is _leaves_times:
            continue
        fine, coarse = (_gradients_at(check, moved(subject, factor)) for factor in (1 + TINY, 1 + 1e-5))
        for name in _rounded(names, once, fine, coarse):
            _say_rounded(check, name, what)
    for tensor in check.tensors():
        _look_finer(check, tensor)


def _look_finer(check: Any, tensor: Any) -> None:
    """Right to seven digits and no better, at one element after the other: so are numbers that were float32 on the way."""
    report = _not_yet_rounded(check, tensor.name)
    if report is None or report.errors is None:
        return
    largest = float(np.abs(tensor.gradient).max(initial=0.0))
    suspects = [index for index in np.ndindex(report.errors.shape) if 3e-9 < report.errors[index] < 3e-5
                and abs(tensor.gradient[index]) > 1e-3 * max(largest, 1.0)]
    if len(suspects) < 3:
        return
    errors = [error for index in suspects[:12] if (error := _fine_error(check, tensor, index)) is not None]
    if len(errors) >= 3 and len(errors) >= 0.6 * min(len(suspects), 12) and max(errors) < 1e-6:
        report.add("float32", f"right to {max(errors):.0e} and no better at {len(suspects)} elements, as numbers are that "
                              f"were rounded to float32 on the way")


def _fine_error(check: Any, tensor: Any, index: Any) -> float | None:
    """The relative error against a derivative of the fourth order; None where that is not certain, or the error is none."""
    a = float(tensor.gradient[index])
    step = 1e-3 * max(1.0, abs(float(tensor.values[index])))
    slopes = [check.slopes(tensor, index, step / k).central for k in (1, 2, 4)]
    first, second = ((4 * fine - coarse) / 3 for coarse, fine in pairwise(slopes))
    error = abs(a - second)
    return error / abs(a) if abs(first - second) < 0.05 * error and error > 3e-9 * abs(a) else None


def _say_rounded(check: Any, name: str, where: str) -> None:
    if (report := _not_yet_rounded(check, name)) is not None:
        report.add("float32", f"rounded to float32 on the way: it does not feel a change of {TINY:g} {where}")


def _not_yet_rounded(check: Any, name: str) -> Any:
    """The report of this tensor, unless it says float32 already, or there is none."""
    report = next((tensor for tensor in check.report.tensors if tensor.name == name), None)
    return None if report is None or any(finding.kind == "float32" for finding in report.findings) else report


def _rounded(names: Sequence[str], once: Sequence[Any], fine: Sequence[Any], coarse: Sequence[Any]) -> list[str]:
    """Which gradients stay what they are, to the last bit, under the fine change, though they follow the coarse one."""
    found = []
    for name, a, b, c in zip(names, once, fine, coarse, strict=True):
        if a is None or b is None or c is None or not a.size or not (np.isfinite(a).all() and np.isfinite(c).all()):
            continue
        moves = (np.abs(c - a) > 1e-7 * np.abs(a)) & (np.abs(a) > 1e-7)
        jumps = np.abs(c - a) > 2e-2 * np.abs(a).max(initial=0.0)
        if moves.sum() >= 3 and not jumps.any() and np.array_equal(a[moves], b[moves]):
            found.append(name)
    return found


def _leaves_times(subject: Any, factor: float) -> Any:
    return at(subject, leaves=[leaf * factor if leaf.dtype.kind == "f" else leaf for leaf in subject.leaves])


def _weights_times(subject: Any, factor: float) -> Any:
    subject.restore()
    return at(subject, weights=[np.asarray(to_numpy(parameter.value)) * factor for parameter in subject.weights])


def _gradients_at(check: Any, there: Any) -> list[Any]:
    there.restore()
    there.forward()
    dx, dw = there.backward(check.copied_dy())
    return [*check.for_each(dx), *dw]


def _forward_rounds(check: Any) -> bool:
    """Whether (nearly) no output feels a change of 1e-10 in everything at once, though all feel a change of 1e-4."""
    subject = check.subject
    def moved(factor: float) -> list[np.ndarray]:
        subject.restore()
        values = [np.array(to_numpy(parameter.value)) * factor for parameter in subject.weights]
        there = at(subject, [leaf * factor if leaf.dtype.kind == "f" else leaf for leaf in subject.leaves], values)
        there.restore()
        return [np.asarray(y) for y in there.forward()]
    fine, coarse = moved(1 + TINY), moved(1 + 1e-4)
    subject.restore()
    felt = [np.abs(c - y) > 1e-6 * np.abs(y) for c, y in zip(coarse, check.y, strict=True)]
    changed = sum(int((a[f] != y[f]).sum()) for a, y, f in zip(fine, check.y, felt, strict=True))
    count = sum(int(f.sum()) for f in felt)
    return count >= 3 and changed <= 0.1 * count and all(np.array_equal(y, y.astype(np.float32)) for y in check.y)
