"""What becomes right if something is made simpler: weights with a symmetry, no mask, fewer time steps, one sample.

Each hypothesis is tried: it is told only where the gradient is right with the change, and wrong with a change of the same size that
has no such symmetry.
"""
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.gradient_check.points import at, masks, without_masks
from nblayers.gradient_check.report import Index
from nblayers.gradient_check.shares import spread
from nblayers.gradient_check.words import ranges

PROBES = 8                              # coordinates of each tensor that are looked at
OPEN = ("place", "slope", "missing_sum", "factor_along", "moved", "value", "mixing")      # kinds that leave the cause open
Make = Callable[[np.ndarray], np.ndarray]


def run(check: Any) -> None:
    """Try the hypotheses for those tensors whose finding leaves the cause open."""
    wanted = {name: evidence.probes[:PROBES] for name, evidence in check.evidence.items()
              if all(finding.kind in OPEN and "which is" not in finding.text for finding in evidence.report.findings)}
    claims_ids = any(f.kind == "repeated_ids" for evidence in check.evidence.values() for f in evidence.report.findings)
    check.subject.restore()
    lab = Lab(check, wanted)
    if kept_from_before(lab) or not (wanted or claims_ids) or not check.is_linear:
        return
    for look in (unique_ids, way_around, without_mask, fewer_steps, one_sample, little_weights, symmetric, palindromic, equal, left_out, narrower,
                  same_elsewhere, reasoning):
        if (lab.wanted or claims_ids) and check.has_time():
            look(lab)


class Lab:
    """A check that failed, and the tensors that are still to be explained."""

    def __init__(self, check: Any, wanted: dict[str, list[Index]]) -> None:
        self.check, self.wanted = check, dict(wanted)
        self.values = [np.array(to_numpy(parameter.value), np.float64) for parameter in check.subject.weights]
        self.names = [parameter.path.split("/")[-1] for parameter in check.subject.weights]

    def right_at(self, there: Any, where: Mapping[str, Sequence[Index]] | None = None) -> set[str]:
        """Which of the wanted tensors are right there."""
        return {name for name, is_right in self.verdicts_at(there, where).items() if is_right}

    def verdicts_at(self, there: Any, where: Mapping[str, Sequence[Index]] | None = None) -> dict[str, bool]:
        """Whether each of the wanted tensors is right there, without those of which nothing can be told."""
        from nblayers.gradient_check.check import again
        check = again(there, np.random.default_rng(1), self.check.settings)
        try:
            return check.verdicts(self.wanted if where is None else where)
        except Exception:                               # a layer that cannot do with it has nothing to tell here
            return {}
        finally:
            self.check.subject.restore()

    def all_wrong(self) -> dict[str, list[Index]]:
        """All wrong coordinates of the wanted tensors, the largest first."""
        evidence = self.check.evidence
        return {name: sorted(evidence[name].wrong, key=lambda i, e=evidence[name]: -abs(e.numeric[i]))[:40] for name in self.wanted}    # type: ignore[misc]

    def mostly_wrong(self, least: float = 0.5) -> dict[str, list[Index]]:
        """The wanted tensors of which so large a part is wrong: where little is, other numbers may hide it by chance."""
        evidence = self.check.evidence
        return {name: where for name, where in self.wanted.items()
                if len(evidence[name].wrong) >= least * len(evidence[name].numeric)}

    def with_weights(self, chosen: Iterable[int], make: Make) -> Any:
        chosen = set(chosen)
        return at(self.check.subject, weights=[make(v) if k in chosen else None for k, v in enumerate(self.values)])

    def only_zero(self, chosen: int, seed: int) -> Any:
        """One weight zero, the others with other numbers and signs."""
        rng = np.random.default_rng(seed)
        return at(self.check.subject, weights=[0 * v if k == chosen else rng.normal(size=v.shape) * np.abs(v).mean()
                                               for k, v in enumerate(self.values)])

    def tell(self, names: Iterable[str], kind: str, text: str) -> None:
        """A finding for each of these tensors, in front of what was known; they need no other."""
        for name in sorted(names):
            report = self.check.evidence[name].report
            report.add(kind, text)
            report.findings.insert(0, report.findings.pop())
            self.wanted.pop(name, None)


def kept_from_before(lab: Lab) -> bool:
    """Is everything right once an array that the layer keeps is forgotten? Then it is one from an earlier call."""
    check = lab.check
    where = {name: evidence.probes[:PROBES] for name, evidence in check.evidence.items()}
    for layer in check.subject.layers:
        for name in _kept_arrays(layer, check.subject):
            there = at(check.subject)
            restore = there.restore

            def forget(layer: Any = layer, name: str = name, restore: Callable[[], None] = restore) -> None:
                restore()
                vars(layer).pop(name, None)

            there.restore = forget
            verdicts = lab.verdicts_at(there, where)
            if verdicts and all(verdicts.values()):
                check.report.add("stale", f"everything is right once self.{name} is forgotten before the call: it is kept from an earlier one (a stale "
                                          "cache)")
                return True
    return False


def _kept_arrays(layer: Any, subject: Any) -> list[str]:
    """The attributes with arrays that the layer has before forward is called and that are no weights."""
    subject.restore()
    weights = {id(array) for parameter in subject.weights for array in (parameter.value, parameter.grad)}
    found = []
    for name, value in vars(layer).items():
        values = value if isinstance(value, (list, tuple)) else [value]
        arrays = [v for v in values if isinstance(v, np.ndarray)]
        if arrays and not name.startswith("_") and not any(id(array) in weights for array in arrays):
            found.append(name)
    return found[:8]


def way_around(lab: Lab) -> None:
    """With all matrices zero y depends on x by a way around them only: does backward know it?"""
    check = lab.check
    matrices = [k for k, v in enumerate(lab.values) if v.ndim > 1 and min(v.shape) > 1]
    inputs = [name for name in lab.wanted if not check.evidence[name].tensor.is_weight]
    if not matrices or not inputs:
        return
    from nblayers.gradient_check.check import again
    other = again(lab.with_weights(matrices, np.zeros_like), np.random.default_rng(1), check.settings)
    try:
        other.verdicts({})
        found = [tensor.name for tensor in other.tensors() if tensor.name in inputs and np.abs(tensor.gradient).max(initial=0.0) < 1e-12
                 and max(abs(other.numeric(tensor, index)) for index in lab.wanted[tensor.name]) > 1e-3]
    except Exception:
        return
    finally:
        check.subject.restore()
    lab.tell(found, "way_around", "with all weight matrices zero it is all zeros, though y depends on it even then: a way around them "
                                  "(a residual, x + f(x)) is left out of backward")


def _try(lab: Lab, candidates: Sequence[int], make: Make, kind: str, words: Callable[[str], str]) -> None:
    """Change all of these weights; tell what that makes right and another change does not, and which of them it takes."""
    rest = list(candidates)
    while rest and lab.wanted and lab.check.has_time():
        if not (right := _cured(lab, rest, make)):
            return
        for k in list(rest):                            # which of them are needed for it?
            fewer = [other for other in rest if other != k]
            if fewer and lab.check.has_time() and right <= _cured(lab, fewer, make):
                rest = fewer
        lab.tell(right, kind, words(" and ".join(lab.names[k] for k in rest)))
        rest = [k for k in candidates if k not in rest]


def _cured(lab: Lab, group: Sequence[int], make: Make) -> set[str]:
    """What is right at several points with this symmetry, and at none without it."""
    right = lab.right_at(lab.with_weights(group, make), lab.mostly_wrong(0.25))
    for trial in range(3):
        if right:
            right &= lab.right_at(lab.with_weights(group, lambda v, t=trial: make(_shuffled(v, t))))      # type: ignore[misc]
        if right:
            right -= lab.right_at(lab.with_weights(group, lambda v, t=trial: _shuffled(v, t)))            # type: ignore[misc]
    return right


def _shuffled(value: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same numbers in another order, so that no symmetry is left."""
    rng = np.random.default_rng(3 + seed)
    return rng.permutation(value.ravel()).reshape(value.shape) * rng.uniform(0.9, 1.1, value.shape)


def _blocks(shape: tuple[int, ...]) -> bool:
    """Whether the last two axes are a square, or several side by side."""
    return len(shape) >= 2 and shape[-2] > 1 and shape[-1] % shape[-2] == 0


def symmetric(lab: Lab) -> None:
    """A matrix used for its transpose is no mistake where the matrix is symmetric."""
    words = (lambda names: f"right once {names} is symmetric: backward has {names} transposed where it should not be, or not where it should")
    blocks = [k for k, v in enumerate(lab.values) if _blocks(v.shape)]
    _try(lab, blocks, _symmetric_blocks, "weight_transposed", words)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        cubes = [k for k, v in enumerate(lab.values) if v.ndim > 2 and j < v.ndim and v.shape[i] == v.shape[j] > 1]
        _try(lab, cubes, lambda v, i=i, j=j: (v + np.swapaxes(v, i, j)) / 2, "weight_transposed", words)      # type: ignore[misc]


def _symmetric_blocks(value: np.ndarray) -> np.ndarray:
    """Each square block along the last axis made symmetric."""
    n = value.shape[-2]
    blocks = value.reshape(*value.shape[:-1], value.shape[-1] // n, n)
    return ((blocks + np.swapaxes(blocks, -3, -1)) / 2).reshape(value.shape)


def palindromic(lab: Lab) -> None:
    """Taps in the wrong order are no mistake where they read the same both ways."""
    def axes(value: np.ndarray) -> tuple[int, ...]:
        return tuple(range(value.ndim - 2)) if value.ndim > 2 else (0,)
    candidates = [k for k, v in enumerate(lab.values) if v.ndim >= 1 and any(v.shape[a] > 1 for a in axes(v))]
    _try(lab, candidates, lambda v: (v + np.flip(v, axes(v))) / 2, "weight_reversed",
         lambda names: f"right once {names} reads the same both ways along its first axes: backward has {names} reversed where it should not be, or "
                       "not where it should")


def equal(lab: Lab) -> None:
    """A scale may be taken in front of a sum or mean where all its elements are equal, and left out where they are 1."""
    for k in [k for k, v in enumerate(lab.values) if v.size > 1 and max(v.shape) == v.size]:
        if not lab.check.has_time():
            return
        name = lab.names[k]
        at_values = [lab.right_at(lab.with_weights([k], lambda v, c=c: np.full_like(v, c)), lab.mostly_wrong())       # type: ignore[misc]
                     for c in (1.0, 1.3, 0.7, -0.8)]
        ever = set.union(*at_values)
        unequal = set.union(*(lab.right_at(lab.with_weights([k], lambda v, t=t: _shuffled(v, t))) for t in range(2))) if ever else set()   # type: ignore[misc]
        lab.tell(set.intersection(*at_values) - unequal, "scale_outside",
                 f"right once all elements of {name} are equal: {name} stands outside of a sum or mean that it belongs into, or meets other elements "
                 "than its own")
        lab.tell((at_values[0] - set.union(*at_values[1:]) - unequal) & set(lab.wanted), "scale_outside",
                 f"right once all elements of {name} are 1: {name} is left out somewhere, has gone in once too often, or stands outside of a sum or "
                 "mean")


def left_out(lab: Lab) -> None:
    """Right once a matrix is zero: then it is the way through that matrix that backward leaves out or has wrong."""
    matrices = [k for k, v in enumerate(lab.values) if v.ndim > 1 and min(v.shape) > 1]
    tensors = lab.check.report.tensors
    inputs = [t for t in tensors if not t.passed and t.name in lab.check.subject.names]
    alone = sum(not t.passed for t in tensors) == 1
    if len(matrices) < 2 or not (alone or len(inputs) == sum(not t.passed for t in tensors)):
        return
    found: dict[str, list[str]] = {}
    for k in matrices:
        if not lab.check.has_time():
            break
        right = lab.right_at(lab.with_weights([k], np.zeros_like), lab.mostly_wrong())
        for seed in range(2):                           # whatever the other weights are
            if right:
                right &= lab.right_at(lab.only_zero(k, seed))
        if right:
            others = set.union(*(lab.right_at(lab.with_weights([k], lambda v, t=t: _shuffled(v, t))) for t in range(3)))    # type: ignore[misc]
            for name in right - others:
                if not lab.check.evidence[name].tensor.is_weight or lab.names[k] != name.split("/")[-1]:
                    found.setdefault(name, []).append(lab.names[k])
    for name, weights in found.items():
        lab.tell([name], "way_through", f"right once {' or '.join(weights)} is zero: what goes through {' or '.join(weights)} is left out of it, or wrong")


def unique_ids(lab: Lab) -> None:
    """Is it the ids that occur more than once? Then it is right where none does."""
    check = lab.check
    claimed = [name for name, evidence in check.evidence.items() if any(f.kind == "repeated_ids" for f in evidence.report.findings)]
    if not claimed:
        return
    rows = check.evidence[claimed[0]].shape[0]
    leaves = [np.random.default_rng(0).permutation(max(rows, leaf.size))[:leaf.size].reshape(leaf.shape) % rows if leaf.dtype.kind in "iu" else leaf
              for leaf in check.subject.leaves]
    if any(leaf.size > rows for leaf in leaves if leaf.dtype.kind in "iu"):
        leaves = [leaf.ravel()[:1].reshape((1,) * leaf.ndim) if leaf.dtype.kind in "iu" else leaf for leaf in check.subject.leaves]
    where = {name: [(int(row), *index[1:]) for index in lab_indices(check, name) for row in np.unique(next(
        leaf for leaf in leaves if leaf.dtype.kind in "iu"))[:3]] for name in claimed}
    right = lab.right_at(at(check.subject, leaves=leaves), where)
    for name in set(claimed) - right:
        report = check.evidence[name].report
        report.findings = [f for f in report.findings if f.kind != "repeated_ids"]
        report.add("place", "wrong, where ids occur only once too")
        lab.wanted[name] = check.evidence[name].probes[:PROBES]


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


def _within(where: dict[str, list[Index]], shapes: dict[str, tuple[int, ...]]) -> dict[str, list[Index]]:
    """Those of the coordinates that still exist."""
    found = {}
    for name, indices in where.items():
        if kept := [index for index in indices if all(i < n for i, n in zip(index, shapes[name], strict=True))]:
            found[name] = kept
    return found


def _shorter(lab: Lab, axis: int, count: int) -> Any:
    """The subject with the first `count` places of an axis only."""
    check = lab.check
    smaller = check.subject.with_steps(count) if axis == check.subject.time_axis else check.subject.with_samples(count)
    return at(check.subject, smaller.leaves, None, smaller.kwargs, smaller.args)


def _smaller(lab: Lab, axis: int, count: int) -> dict[str, bool]:
    there = _shorter(lab, axis, count)
    shapes = {name: lab.check.evidence[name].shape for name in lab.wanted}
    shapes |= {name: leaf.shape for name, leaf in zip(there.names, there.leaves, strict=True) if name in shapes}
    return lab.verdicts_at(there, _within(lab.all_wrong(), shapes))


def _steps(lab: Lab) -> tuple[int, int] | None:
    """(axis, size) of time, if the inputs are sequences."""
    subject = lab.check.subject
    sizes = [leaf.shape[subject.time_axis] for leaf in subject.leaves if leaf.ndim == 3 and leaf.dtype.kind == "f"]
    return (subject.time_axis, sizes[0]) if sizes and sizes[0] > 1 else None


def little_weights(lab: Lab) -> None:
    """Where is it wrong when weights are so small, or one of them zero, that nothing spreads from one place to another?"""
    check = lab.check
    wide = [name for name in lab.wanted if len(check.evidence[name].wrong) > 3 and check.evidence[name].tensor.is_weight]
    matrices = [k for k, v in enumerate(lab.values) if v.ndim > 1 and min(v.shape) > 1]
    trials = [(f"with {lab.names[k]} zero", lab.with_weights([k], np.zeros_like), [n for n in wide if n.split("/")[-1] != lab.names[k]])
              for k in matrices if len(matrices) > 1]
    trials.append(("with all weights a thousandth as large", lab.with_weights(range(len(lab.values)), lambda v: 1e-3 * v), wide))
    for words, there, names in trials:
        if names and check.has_time():
            _tell_large_errors(lab, words, there, names)


def _tell_large_errors(lab: Lab, words: str, there: Any, names: list[str]) -> None:
    from nblayers.gradient_check.check import again
    check = lab.check
    other = again(there, np.random.default_rng(1), check.settings)
    try:
        other.verdicts({})
        for tensor in other.tensors():
            if tensor.name in names and (place := _large_errors(other, tensor, check.evidence[tensor.name])):
                check.evidence[tensor.name].report.add("place", f"{words}, so that less spreads, it is off by more than 0.5 % only at {place}")
    except Exception:
        return
    finally:
        check.subject.restore()


def _large_errors(check: Any, tensor: Any, evidence: Any) -> str:
    """The indices of an axis outside of which no element is off by more than half a percent."""
    indices = spread(list(evidence.numeric), 80)
    numeric = np.array([check.numeric(tensor, index) for index in indices])
    analytic = np.array([float(tensor.gradient[index]) for index in indices])
    off = np.abs(analytic - numeric) > 5e-3 * np.maximum(np.abs(numeric), np.abs(analytic)) + 1e-8 * np.abs(numeric).max(initial=0.0) + 3e-10
    best: tuple[int, str] | None = None
    for axis, size in enumerate(evidence.shape):
        place = np.array([index[axis] for index in indices])
        bad, seen = set(place[off].tolist()), set(place.tolist())
        wrong = {index[axis] for index in evidence.wrong}
        if bad and len(bad) < len(wrong) and 2 * len(bad) <= len(seen) and (best is None or len(bad) * best[0] < size):
            best = size, f"{ranges(bad)} of axis {axis} (size {size})"
    return best[1] if best else ""


def same_elsewhere(lab: Lab) -> None:
    """The very same gradient for other inputs, though the slopes of forward are others there."""
    from nblayers.gradient_check.check import again
    check = lab.check
    there = at(check.subject, leaves=[leaf[::-1] * 1.1 if leaf.dtype.kind == "f" and leaf.ndim else leaf for leaf in check.subject.leaves])
    other = again(there, np.random.default_rng(1), check.settings)
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
            if any(abs(other.numeric(moved, i) - check.evidence[name].numeric[i]) > 1e-3 * abs(check.evidence[name].numeric[i]) for i in where):
                same.add(name)
    except Exception:
        return
    finally:
        check.subject.restore()
    lab.tell(same, "same_elsewhere", "the same for other inputs, though forward's derivative is another one there: a factor that depends on the input is left "
                                     "out, or something constant stands in its place")


def fewer_steps(lab: Lab) -> None:
    """With how many time steps does it begin to be wrong?"""
    time = _steps(lab)
    if time is None:
        return
    axis, size = time
    names, last = set(lab.wanted), 0
    for count in range(1, min(size, 6)):
        if not lab.check.has_time():
            return
        verdicts = _smaller(lab, axis, count)
        if not verdicts or not all(verdicts.values()):
            break
        last = count
    if last:
        some = f"the first {last} time steps alone" if last > 1 else "one time step alone"
        for name in names:
            lab.check.evidence[name].report.add("place", f"right with {some}, wrong with one more: it shows only where several come together, or "
                                                         "where a state is no longer what it was at first")
    if last + 1 < size:
        _explain_steps(lab, axis, last + 1)


def _explain_steps(lab: Lab, axis: int, count: int) -> None:
    """What is wrong with the fewest time steps with which anything is, where it has spread least."""
    from nblayers.gradient_check import diagnosis
    from nblayers.gradient_check.check import again
    check = lab.check
    some = f"with the first {count} time steps alone" if count > 1 else "with the first time step alone"
    other = again(_shorter(lab, axis, count), np.random.default_rng(1), check.settings, check.settings.max_coordinates)
    try:
        other.check_values()
        if other.is_linear:
            other.account()
        found = {name: diagnosis.explain(evidence)[1] for name, evidence in other.evidence.items() if name in lab.wanted}
    except Exception:                                   # a layer that cannot do with so few has nothing to tell here
        return
    finally:
        check.subject.restore()
    for name, text in found.items():
        if text != diagnosis.NO_PATTERN and text not in check.evidence[name].report.problem:
            check.evidence[name].report.add("place", f"{some}: {text}")
    wrong = [name.split("/")[-1] for name in other.evidence]
    if 0 < len(wrong) < len([t for t in check.report.tensors if not t.passed]):
        check.report.add("place", f"{some} only the gradients of {', '.join(wrong)} are wrong")


def one_sample(lab: Lab) -> None:
    """Is it right for a batch of one?"""
    leaves = lab.check.subject.leaves
    axis = 0 if lab.check.settings.batch_axis is None else lab.check.settings.batch_axis
    sizes = {leaf.shape[axis] for leaf in leaves if leaf.ndim > axis}
    if len(sizes) != 1 or sizes == {1}:
        return
    enough = lab.mostly_wrong()
    for name in [name for name, is_right in _smaller(lab, axis, 1).items() if is_right and name in enough]:
        lab.check.evidence[name].report.add("place", "right with one sample alone: it shows only where several come together")


def narrower(lab: Lab) -> None:
    """Is it right once an axis of an input has a single place? Then it is a sum along that axis."""
    subject = lab.check.subject
    for k, (name, leaf) in enumerate(zip(subject.names, subject.leaves, strict=True)):
        for axis, size in enumerate(leaf.shape):
            is_time = leaf.ndim == 3 and axis == subject.time_axis and _steps(lab) is not None
            if size < 2 or axis == subject.batch_axis or is_time or not lab.check.has_time():
                continue
            leaves = [np.take(other, [0], axis) if j == k else other for j, other in enumerate(subject.leaves)]
            there = at(subject, leaves=leaves)
            shapes = {wanted: lab.check.evidence[wanted].shape for wanted in lab.wanted}
            shapes |= {n: each.shape for n, each in zip(there.names, there.leaves, strict=True) if n in shapes}
            for right in lab.right_at(there, _within({n: i for n, i in lab.all_wrong().items() if n in lab.mostly_wrong()}, shapes)):
                lab.check.evidence[right].report.add("place", f"right once {name} has a single place along axis {axis}: it shows only where several of "
                                                              "them come together")


def reasoning(lab: Lab) -> None:
    """What being right somewhere tells about where it is wrong."""
    tensors = lab.check.report.tensors
    inputs = [t for t in tensors if t.name in lab.check.subject.names]
    weights = [t for t in tensors if t not in inputs]
    if inputs and weights and all(t.passed for t in inputs):
        wrong = [t.name.split("/")[-1] for t in weights if not t.passed]
        lab.check.report.notes.append(f"what backward returns is right, so what arrives at the weights may well be: look at the "
                                      f"line{'s' if len(wrong) > 1 else ''} that make{'' if len(wrong) > 1 else 's'} the gradient of {', '.join(wrong)}")
    if inputs and weights and all(t.passed for t in weights) and not any(t.passed for t in inputs):
        lab.check.report.notes.append("the gradients of all weights are right: look at what comes after them in backward, on the way to "
                                      f"{', '.join(t.name for t in inputs)}")
