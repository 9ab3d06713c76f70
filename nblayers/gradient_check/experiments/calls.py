"""What becomes right with other calls: without a mask, with ids that occur once, with nothing kept from before."""
from collections.abc import Callable
from typing import Any

import numpy as np

from nblayers.gradient_check.experiments.lab import PROBES, Lab
from nblayers.gradient_check.objects import Object
from nblayers.gradient_check.points import at, masks, without_masks
from nblayers.gradient_check.report import Index
from nblayers.gradient_check.words import ranges


def kept_from_before(lab: Lab) -> bool:
    """Is everything right once an array that the layer keeps is forgotten? Then it is one from an earlier call."""
    check = lab.check
    where = {name: evidence.probes[:PROBES] for name, evidence in check.evidence.items()}
    holders = [layer.thing if isinstance(layer, Object) else layer for layer in check.subject.layers]
    for holder in holders:
        for name in _kept_arrays(holder, check.subject):
            for forget in (_without, _with_none):       # as with hasattr(self, name), or with self.name is None
                verdicts = lab.verdicts_at(_forgotten(check.subject, forget, holder, name), where)
                if verdicts and all(verdicts.values()):
                    _say_kept(check, name)
                    return True
    return False


def _forgotten(subject: Any, forget: Callable[[Any, str], None], holder: Any, name: str) -> Any:
    """The subject whose `restore` lets the layer forget what it keeps under this name."""
    there = at(subject)
    restore = there.restore

    def restore_and_forget() -> None:
        restore()
        forget(holder, name)

    there.restore = restore_and_forget
    return there


def _without(holder: Any, name: str) -> None:
    vars(holder).pop(name, None)


def _with_none(holder: Any, name: str) -> None:
    vars(holder)[name] = None


def _say_kept(check: Any, name: str) -> None:
    check.report.add("stale", f"everything is right once self.{name} is forgotten before the call: it is kept from an earlier "
                              "one (a stale cache)")
    for evidence in check.evidence.values():
        evidence.report.findings = []
        evidence.report.add("place", f"right once self.{name} is forgotten")


def _kept_arrays(holder: Any, subject: Any) -> list[str]:
    """The attributes with arrays that a layer has before forward is called and that are no weights."""
    subject.restore()
    weights = {id(array) for parameter in subject.weights for array in (parameter.value, parameter.grad)}
    found = []
    for name, value in getattr(holder, "__dict__", {}).items():
        values = value if isinstance(value, (list, tuple)) else [value]
        arrays = [v for v in values if isinstance(v, np.ndarray)]
        if arrays and not name.startswith("_") and not any(id(array) in weights for array in arrays):
            found.append(name)
    return found[:8]


def unique_ids(lab: Lab) -> None:
    """Is it the ids that occur more than once? Then it is right where none does."""
    check = lab.check
    claimed = [name for name, evidence in check.evidence.items()
               if any(finding.kind == "repeated_ids" for finding in evidence.report.findings)]
    if not claimed:
        return
    rows = check.evidence[claimed[0]].shape[0]
    leaves = [np.random.default_rng(0).permutation(max(rows, leaf.size))[:leaf.size].reshape(leaf.shape) % rows
              if leaf.dtype.kind in "iu" else leaf
              for leaf in check.subject.leaves]
    if any(leaf.size > rows for leaf in leaves if leaf.dtype.kind in "iu"):
        leaves = [_first_sample(leaf, rows) if leaf.dtype.kind in "iu" else leaf for leaf in check.subject.leaves]
    ids = np.unique(next(leaf for leaf in leaves if leaf.dtype.kind in "iu"))[:12]
    where = {name: [(int(row), *index[1:]) for index in lab_indices(check, name) for row in ids] for name in claimed}
    there = at(check.subject, leaves=leaves)
    right = lab.right_at(there, where)
    for name in set(claimed) - right:
        report = check.evidence[name].report
        report.findings = [f for f in report.findings if f.kind != "repeated_ids"]
        report.add("place", "wrong, where ids occur only once too" + _wrong_ids(lab, there, name))
        lab.wanted[name] = check.evidence[name].probes[:PROBES]


def _wrong_ids(lab: Lab, there: Any, name: str) -> str:
    """Which places among the ids have a wrong row."""
    ids = next(leaf for leaf in there.leaves if leaf.dtype.kind in "iu")
    if len(np.unique(ids)) != ids.size:
        return ""
    column = lab_indices(lab.check, name)[0][1:]
    bad = [place for place in np.ndindex(ids.shape) if name not in lab.right_at(there, {name: [(int(ids[place]), *column)]})]
    for axis, size in enumerate(ids.shape):
        inside = {place[axis] for place in bad}
        if 0 < len(inside) < size and len(bad) == len(inside) * ids.size // size:
            return f": in the rows of the ids at {ranges(inside)} of axis {axis}"
    return ""


def _first_sample(ids: np.ndarray, rows: int) -> np.ndarray:
    """The ids of one sample, each once; a single id where there are too many."""
    one = ids[:1] if ids.ndim else ids
    if one.size > rows:
        return ids.ravel()[:1].reshape((1,) * ids.ndim)
    return np.arange(one.size).reshape(one.shape).astype(ids.dtype)


def lab_indices(check: Any, name: str) -> list[Index]:
    """A few of the wrong coordinates."""
    return list(check.evidence[name].probes[:3])


def without_mask(lab: Lab) -> None:
    """Right without the mask: then it is the mask that forward and backward treat differently."""
    names = masks(lab.check.subject)
    if not names:
        return
    right = lab.right_at(without_masks(lab.check.subject))
    lab.tell(right, "mask", f"right without the {' and '.join(names)}: backward does not treat what is masked as forward does")


def same_elsewhere(lab: Lab) -> None:
    """The very same gradient for other inputs, though the slopes of forward are others there."""
    check = lab.check
    there = at(check.subject, leaves=[leaf[::-1] * 1.1 if leaf.dtype.kind == "f" and leaf.ndim else leaf
                                      for leaf in check.subject.leaves])
    other = check.again(there)
    same: set[str] = set()
    try:
        other.verdicts({})
        other.dy = check.dy
        gradients = other.gradients(check.dy)
        for name, where in lab.wanted.items():
            if any(finding.kind != "place" for finding in check.evidence[name].report.findings):
                continue
            tensor = check.evidence[name].tensor
            if not tensor.gradient.any() or not np.array_equal(other.gradient_of(tensor, gradients), tensor.gradient):
                continue
            moved = next(t for t in other.tensors() if t.name == name)
            if any(abs(other.numeric(moved, i) - check.evidence[name].numeric[i]) > 1e-3 * abs(check.evidence[name].numeric[i])
                   for i in where):
                same.add(name)
    except Exception:
        return
    finally:
        check.subject.restore()
    lab.tell(same, "same_elsewhere", "the same for other inputs, though forward's derivative is another one there: a factor "
                                     "that depends on the input is left out, or something constant stands in its place")


def reasoning(lab: Lab) -> None:
    """What being right somewhere tells about where it is wrong."""
    tensors = lab.check.report.tensors
    inputs = [t for t in tensors if t.name in lab.check.subject.names]
    weights = [t for t in tensors if t not in inputs]
    if inputs and weights and all(t.passed for t in inputs):
        wrong = [t.name.split("/")[-1] for t in weights if not t.passed]
        lab.check.report.notes.append("what backward returns is right, so what arrives at the weights may well be: look at "
                                      f"the line{'s' if len(wrong) > 1 else ''} that make{'' if len(wrong) > 1 else 's'} the "
                                      f"gradient of {', '.join(wrong)}")
    if inputs and weights and all(t.passed for t in weights) and not any(t.passed for t in inputs):
        lab.check.report.notes.append("the gradients of all weights are right: look at what comes after them in backward, on "
                                      f"the way to {', '.join(t.name for t in inputs)}")
