"""A wrong backward under the microscope."""
from typing import Any

import numpy as np

from nblayers.gradient_check import nudging
from nblayers.gradient_check.foreign import Foreign
from nblayers.gradient_check.report import Report, TensorReport
from nblayers.learn.trace import Entry
from nblayers.learn.trace.recorder import SHORT, trace

SHARE = 0.3                             # of the seconds of a check: to look for the first wrong gradient
MOST = 20_000                           # numbers in inputs and weights of a layer that is recorded
GATES = {"lstm": ("i", "f", "c_tilde", "o"), "gru": ("z", "r", "h_tilde"), "gru_reset_before": ("z", "r", "h_tilde")}


def record(check: Any) -> None:
    """Give the report a trace of one forward and backward of the layer, at the numbers that were checked.

    Nothing is recorded where it would be too much, or nothing.
    """
    subject, report = check.subject, check.report
    size = sum(leaf.size for leaf in subject.leaves) + sum(weight.value.size for weight in subject.weights)
    if isinstance(subject.layer, Foreign) or size > MOST:
        return
    subject.restore()
    with trace() as found:
        subject.forward()
        subject.backward(check.copied_dy())
    if not len(found):
        return
    report.trace = found
    wrong_and_right = _first_wrong(check, found)
    if wrong_and_right is not None:
        report.first_wrong = wrong_and_right[0]
        report.notes.append(nudging.words(*wrong_and_right))


def _first_wrong(check: Any, found: trace) -> tuple[Entry, Entry | None] | None:
    """The first wrong gradient on backward's way, and the last right one before it."""
    subject = check.subject

    def forward() -> list[np.ndarray]:
        subject.restore()
        return subject.forward()
    fixed = [weight.value for weight in subject.weights]
    failed = {tensor.name for tensor in check.report.tensors if not tensor.passed}
    wrong = {_short(tensor.name): tensor.gradient for tensor in check.tensors() if tensor.name in failed}
    try:
        seconds = SHARE * check.settings.seconds
        search = nudging.Search(found.entries, forward, check.factors, fixed, check.settings.step, seconds, wrong)
        return search.first_wrong()
    except Exception:                                   # a forward that refuses the numbers it meets
        return None
    finally:
        subject.restore()


def opening(report: Report, entries: list[Entry]) -> int:
    """At which of the entries a wrong gradient is first computed, as far as the report tells; 0 where it does not."""
    from nblayers.learn.microscope.networks import kind_of
    wrong_one = report.first_wrong
    if wrong_one is not None:
        same = ("layer", "phase", "name", "t", "where", "line")
        found_at = [i for i, entry in enumerate(entries) if all(getattr(entry, one) == getattr(wrong_one, one) for one in same)]
        if found_at:
            return found_at[-1]
    kinds = {kind_of(entry) for entry in entries}
    wrong = [tensor for tensor in report.tensors if not tensor.passed]
    names = {_short(tensor.name) for tensor in wrong}
    names |= {"dx"} if any("/" not in tensor.name for tensor in wrong) else set()
    for gates in (GATES[kind] for kind in GATES if kind in kinds):
        found = {gate for tensor in wrong for gate in _wrong_gates(tensor, gates)}
        if len(found) == 1:
            names = {f"d{found.pop()}"}
    return next((i for i, entry in enumerate(entries) if entry.phase == "backward" and entry.name in names), 0)


def _short(name: str) -> str:
    """What a trace calls the gradient of an input or a weight."""
    last = name.split("/")[-1]
    return f"d{SHORT.get(last, last)}"


def _wrong_gates(tensor: TensorReport, gates: tuple[str, ...]) -> list[str]:
    """The gates in whose columns of a weight there is an error; of an input none, as all gates meet there."""
    if "/" not in tensor.name or tensor.errors is None or tensor.shape[-1] % len(gates):
        return []
    errors = np.nan_to_num(tensor.errors).reshape(-1, len(gates), tensor.shape[-1] // len(gates)).max(axis=(0, 2))
    return [gate for gate, error in zip(gates, errors, strict=True) if error > 1e-6]
