"""What becomes right if something is made simpler: weights with a symmetry, no mask, fewer time steps, one sample.

Each hypothesis is tried: it is told only where the gradient is right with the change, and wrong with a change of the same
size that has no such symmetry.
"""
from typing import Any

from nblayers.gradient_check.experiments.calls import kept_from_before, reasoning, same_elsewhere, unique_ids, without_mask
from nblayers.gradient_check.experiments.lab import PROBES, Lab
from nblayers.gradient_check.experiments.smaller import fewer_samples, fewer_steps, narrower, one_of_each
from nblayers.gradient_check.experiments.weights import (
    equal,
    left_out,
    little_weights,
    one_for_other,
    one_tap,
    palindromic,
    symmetric,
    way_around,
)

OPEN = ("place", "slope", "missing_sum", "factor_along", "moved", "value", "mixing")      # kinds that leave the cause open
LOOKS = (unique_ids, way_around, without_mask, fewer_steps, narrower, fewer_samples, one_of_each, symmetric, palindromic, equal,
         one_for_other, left_out, one_tap, little_weights, same_elsewhere, reasoning)      # the most telling first


def run(check: Any) -> None:
    """Try the hypotheses for those tensors whose finding leaves the cause open."""
    wanted = {name: evidence.probes[:PROBES] for name, evidence in check.evidence.items()
              if all(finding.kind in OPEN and "which is" not in finding.text for finding in evidence.report.findings)}
    claims_ids = any(f.kind == "repeated_ids" for evidence in check.evidence.values() for f in evidence.report.findings)
    check.subject.restore()
    lab = Lab(check, wanted)
    if kept_from_before(lab) or not (wanted or claims_ids) or not check.is_linear:
        return
    for look in LOOKS:
        if (lab.wanted or claims_ids) and check.has_time():
            look(lab)
