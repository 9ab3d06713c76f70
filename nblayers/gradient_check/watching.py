"""A wrong backward under the microscope."""
from typing import Any

import numpy as np

from nblayers.gradient_check.foreign import Foreign
from nblayers.gradient_check.report import Report, TensorReport
from nblayers.learn.trace import Entry
from nblayers.learn.trace.recorder import SHORT, trace

MOST = 20_000                           # numbers in inputs and weights of a layer that is recorded
GATES = {"lstm": ("i", "f", "c_tilde", "o"), "gru": ("z", "r", "h_tilde"), "gru_reset_before": ("z", "r", "h_tilde")}


def recorded(check: Any) -> trace | None:
    """One forward and backward of the layer, at the numbers that were checked; None where it would be too much or nothing."""
    subject = check.subject
    size = sum(leaf.size for leaf in subject.leaves) + sum(weight.value.size for weight in subject.weights)
    if isinstance(subject.layer, Foreign) or size > MOST:
        return None
    subject.restore()
    with trace() as found:
        subject.forward()
        subject.backward(check.copied_dy())
    return found if len(found) else None


def first_wrong(report: Report, entries: list[Entry]) -> int:
    """At which of the entries a wrong gradient is first computed, as far as the report tells; 0 where it does not."""
    from nblayers.learn.microscope.networks import kind_of
    kinds = {kind_of(entry) for entry in entries}
    wrong = [tensor for tensor in report.tensors if not tensor.passed]
    names = {f"d{SHORT.get(short, short)}" for tensor in wrong for short in [tensor.name.split("/")[-1]]}
    names |= {"dx"} if any("/" not in tensor.name for tensor in wrong) else set()
    for gates in (GATES[kind] for kind in GATES if kind in kinds):
        found = {gate for tensor in wrong for gate in _wrong_gates(tensor, gates)}
        if len(found) == 1:
            names = {f"d{found.pop()}"}
    return next((i for i, entry in enumerate(entries) if entry.phase == "backward" and entry.name in names), 0)


def _wrong_gates(tensor: TensorReport, gates: tuple[str, ...]) -> list[str]:
    """The gates in whose columns of a weight there is an error; of an input none, as all gates meet there."""
    if "/" not in tensor.name or tensor.errors is None or tensor.shape[-1] % len(gates):
        return []
    errors = np.nan_to_num(tensor.errors).reshape(-1, len(gates), tensor.shape[-1] // len(gates)).max(axis=(0, 2))
    return [gate for gate, error in zip(gates, errors, strict=True) if error > 1e-6]
