"""What becomes right if something is made simpler: weights with a symmetry, no mask, fewer time steps, one sample.

Each hypothesis is tried: it is told only where the gradient is right with the change, and wrong with a change of the same size that
has no such symmetry.
"""
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.gradient_check.points import at, masks, without_masks
from nblayers.gradient_check.report import Index
from nblayers.gradient_check.shares import spread
from nblayers.gradient_check.subject import argument_names
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
    for look in (unique_ids, way_around, without_mask, fewer_steps, narrower, fewer_samples, one_of_each, symmetric, palindromic, equal,
                 one_for_other, left_out, one_tap, little_weights, same_elsewhere, reasoning):
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
        return {name: sorted(evidence[name].wrong, key=partial(_size_at, evidence[name]))[:40] for name in self.wanted}

    def mostly_wrong(self, least: float = 0.5) -> dict[str, list[Index]]:
        """The wanted tensors of which so large a part is wrong: where little is, other numbers may hide it by chance."""
        evidence = self.check.evidence
        return {name: where for name, where in self.wanted.items()
                if len(evidence[name].wrong) >= least * len(evidence[name].numeric)}

    def with_weights(self, chosen: Iterable[int], make: Make) -> Any:
        chosen = set(chosen)
        return at(self.check.subject, weights=[make(v) if k in chosen else None for k, v in enumerate(self.values)])

    def with_input(self, chosen: int, make: Make) -> Any:
        """The subject with one of the inputs changed."""
        return at(self.check.subject, leaves=[make(leaf) if k == chosen else leaf for k, leaf in enumerate(self.check.subject.leaves)])

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

    def tell_wrong_too(self, wrong: set[str], right: set[str], there: str) -> None:
        """Of what nothing is known yet, that it is wrong even there, where others are right."""
        others = ", ".join(name.split("/")[-1] for name in sorted(right)[:4]) + (", …" if len(right) > 4 else "")
        for name in wrong - right if right else ():
            report = self.check.evidence[name].report
            if all(finding.text.endswith("no pattern known") for finding in report.findings):
                report.add("place", f"wrong even {there}, where {others} {'are' if len(right) > 1 else 'is'} right")


def _size_at(evidence: Any, index: Index) -> float:
    """By which to sort: the largest first."""
    return -abs(float(evidence.numeric[index]))


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
                for evidence in check.evidence.values():
                    evidence.report.findings = []
                    evidence.report.add("place", f"right once self.{name} is forgotten")
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
            right &= lab.right_at(lab.with_weights(group, _after_shuffle(make, trial)))
        if right:
            right -= lab.right_at(lab.with_weights(group, partial(_shuffled, seed=trial)))
    return right


def _shuffled(value: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same numbers in another order, so that no symmetry is left."""
    rng = np.random.default_rng(3 + seed)
    return rng.permutation(value.ravel()).reshape(value.shape) * rng.uniform(0.9, 1.1, value.shape)


def _after_shuffle(make: Make, seed: int) -> Make:
    """`make` of the same numbers in another order."""
    def made(value: np.ndarray) -> np.ndarray:
        return make(_shuffled(value, seed))
    return made


def _symmetric_axes(value: np.ndarray, i: int, j: int) -> np.ndarray:
    return np.asarray((value + np.swapaxes(value, i, j)) / 2)


def _blocks(shape: tuple[int, ...]) -> bool:
    """Whether the last two axes are a square, or several side by side."""
    return len(shape) >= 2 and shape[-2] > 1 and shape[-1] % shape[-2] == 0


def symmetric(lab: Lab) -> None:
    """A matrix used for its transpose is no mistake where the matrix is symmetric."""
    def words(names: str) -> str:
        return f"right once {names} is symmetric: backward has {names} transposed where it should not be, or not where it should"

    blocks = [k for k, v in enumerate(lab.values) if _blocks(v.shape)]
    _try(lab, blocks, _symmetric_blocks, "weight_transposed", words)
    symmetric_inputs(lab)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        cubes = [k for k, v in enumerate(lab.values) if v.ndim > 2 and j < v.ndim and v.shape[i] == v.shape[j] > 1]
        _try(lab, cubes, partial(_symmetric_axes, i=i, j=j), "weight_transposed", words)


def symmetric_inputs(lab: Lab) -> None:
    """The same for inputs: one that is used for its transpose is no mistake where it is symmetric."""
    subject = lab.check.subject
    for k, (name, leaf) in enumerate(zip(subject.names, subject.leaves, strict=True)):
        pairs = [(i, j) for i in range(leaf.ndim) for j in range(i + 1, leaf.ndim) if leaf.shape[i] == leaf.shape[j] > 1 and leaf.dtype.kind == "f"]
        for i, j in pairs if len(subject.leaves) > 1 or lab.values else ():
            right = _cured_by_input(lab, k, partial(_symmetric_axes, i=i, j=j)) - {name}
            lab.tell(right, "weight_transposed", f"right once {name} is symmetric: backward has {name} transposed where it should not be, or not where it "
                                                 f"should (axes {i} and {j})")


def _cured_by_input(lab: Lab, k: int, make: Make) -> set[str]:
    """What is right at several points with this change of an input, and at none without it."""
    right = lab.right_at(lab.with_input(k, make), lab.mostly_wrong(0.25))
    for trial in range(3):
        if right:
            right &= lab.right_at(lab.with_input(k, _after_shuffle(make, trial)))
        if right:
            right -= lab.right_at(lab.with_input(k, partial(_shuffled, seed=trial)))
    return right


def one_for_other(lab: Lab) -> None:
    """Two inputs, or two weights, of one shape: is it right once they are the same? Then one stands where the other should."""
    check = lab.check
    leaves = [(name, k) for k, name in enumerate(check.subject.names) if check.subject.leaves[k].dtype.kind == "f"]
    for chosen, make, values in ((leaves, _same_inputs, check.subject.leaves), ([(n, k) for k, n in enumerate(lab.names)], _same_weights, lab.values)):
        pairs = [(a, b) for n, a in enumerate(chosen) for b in chosen[n + 1:] if values[a[1]].shape == values[b[1]].shape and values[a[1]].size > 1]
        for (a, i), (b, j) in pairs[:6]:
            if not lab.check.has_time() or not lab.wanted:
                return
            right = lab.right_at(make(lab, i, j, 0), lab.mostly_wrong(0.25))
            for trial in (1, 2):
                right = right & lab.right_at(make(lab, i, j, trial)) if right else right
            if right:
                right = right - lab.right_at(make(lab, i, j, 3, alike=False)) - lab.right_at(make(lab, i, j, 4, alike=False))
            lab.tell(right, "one_for_other", f"right once {a} and {b} are the same: one of them stands where the other should")


def _same_inputs(lab: Lab, i: int, j: int, trial: int, alike: bool = True) -> Any:
    leaves = [np.array(leaf) for leaf in lab.check.subject.leaves]
    leaves[j] = leaves[i] = _shuffled(leaves[i], trial) if trial else leaves[i]
    if not alike:
        leaves[j] = _shuffled(leaves[j], trial)
    return at(lab.check.subject, leaves=leaves)


def _same_weights(lab: Lab, i: int, j: int, trial: int, alike: bool = True) -> Any:
    value = _shuffled(lab.values[i], trial) if trial else lab.values[i]
    other = value if alike else _shuffled(value, trial)
    return at(lab.check.subject, weights=[value if k == i else other if k == j else None for k in range(len(lab.values))])


def one_tap(lab: Lab) -> None:
    """A kernel of which one tap alone is not zero moves things by whole places: what is wrong with it then?"""
    check = lab.check
    kernels = [k for k, v in enumerate(lab.values) if v.ndim > 2 and 1 < np.prod(v.shape[:-2]) < 10]
    for k in kernels[:1]:
        taps = list(np.ndindex(lab.values[k].shape[:-2]))
        for tap in dict.fromkeys((taps[-1], taps[0])):
            names = [name for name in lab.wanted if all(f.text.endswith("no pattern known") for f in check.evidence[name].report.findings)
                     or not check.evidence[name].tensor.is_weight]
            if not names or not check.has_time():
                return
            there = lab.with_weights([k], partial(_only, tap=tap))
            _explain_at(lab, there, f"with no tap of {lab.names[k]} but {list(tap)}", names, ("rolled", "moved", "reversed", "transposed", "factor"))


def _only(kernel: np.ndarray, tap: tuple[int, ...]) -> np.ndarray:
    alone = np.zeros_like(kernel)
    alone[tap] = kernel[tap]
    return alone


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
        at_values = [lab.right_at(lab.with_weights([k], partial(np.full_like, fill_value=c)), lab.mostly_wrong())
                     for c in (1.0, 1.3, 0.7, -0.8)]
        ever = set.union(*at_values)
        unequal = set.union(*(lab.right_at(lab.with_weights([k], partial(_shuffled, seed=t))) for t in range(2))) if ever else set()
        lab.tell(set.intersection(*at_values) - unequal, "scale_outside",
                 f"right once all elements of {name} are equal: {name} stands outside of a sum or mean that it belongs into, or meets other elements "
                 "than its own")
        only_at_one = at_values[0].difference(*at_values[1:]) - unequal
        lab.tell(only_at_one & set(lab.wanted), "scale_outside",
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
            others = set.union(*(lab.right_at(lab.with_weights([k], partial(_shuffled, seed=t))) for t in range(3)))
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


def _within(where: dict[str, list[Index]], shapes: dict[str, tuple[int, ...]]) -> dict[str, list[Index]]:
    """Those of the coordinates that still exist."""
    found = {}
    for name, indices in where.items():
        if kept := [index for index in indices if all(i < n for i, n in zip(index, shapes[name], strict=True))]:
            found[name] = kept
    return found


def _shorter(lab: Lab, axis: int, count: int, rolled: int = 0) -> Any:
    """The subject with the first `count` places of an axis only, after a turn of that axis by `rolled`."""
    check = lab.check
    subject = check.subject
    if axis == subject.batch_axis:
        if rolled:
            subject = _rolled(subject, axis, rolled)
        smaller = subject.with_samples(count)
    elif _steps(lab) is not None and axis == subject.time_axis:
        smaller = subject.with_steps(count)
    else:
        smaller = at(subject, leaves=[np.take(leaf, range(count), axis) if leaf.ndim > 3 else leaf for leaf in subject.leaves])
    return at(check.subject, smaller.leaves, None, smaller.kwargs, smaller.args)


def _rolled(subject: Any, axis: int, by: int) -> Any:
    """The subject with its samples, and the masks of theirs, in another order."""
    size = next(leaf.shape[axis] for leaf in subject.leaves if leaf.ndim > axis)

    def turned(value: Any) -> Any:
        is_array = isinstance(value, np.ndarray) and value.ndim > axis and value.shape[axis] == size
        return np.roll(value, -by, axis) if is_array else value

    there = at(subject, [turned(leaf) for leaf in subject.leaves], None, {k: turned(v) for k, v in subject.kwargs.items()},
               [turned(v) for v in subject.args])
    return there


def _smaller(lab: Lab, axis: int, count: int, rolled: int = 0) -> dict[str, bool]:
    there = _shorter(lab, axis, count, rolled)
    shapes = {name: lab.check.evidence[name].shape for name in lab.wanted}
    shapes |= {name: leaf.shape for name, leaf in zip(there.names, there.leaves, strict=True) if name in shapes}
    return lab.verdicts_at(there, _within(lab.all_wrong(), shapes) | _all_of_small(lab, there))


def _all_of_small(lab: Lab, there: Any) -> dict[str, list[Index]]:
    """All coordinates of the inputs that are no longer what they were: what was right may be wrong there."""
    found = {}
    for name, leaf in zip(there.names, there.leaves, strict=True):
        if name in lab.wanted:
            found[name] = spread(list(np.ndindex(leaf.shape)), 40)
    return found


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
    trials = [("with all weights a thousandth as large", lab.with_weights(range(len(lab.values)), lambda v: 1e-3 * v), "")]
    if 1 < len(matrices) < 5:
        trials += [(f"with {lab.names[k]} zero", lab.with_weights([k], np.zeros_like), lab.names[k]) for k in matrices]
    for words, there, zero in trials:
        names = [name for name in wide if name.split("/")[-1] != zero]
        if names and check.has_time():
            told = _tell_large_errors(lab, words, there, names)
            wide = [name for name in wide if name not in told]


def _tell_large_errors(lab: Lab, words: str, there: Any, names: list[str]) -> set[str]:
    from nblayers.gradient_check.check import again
    check = lab.check
    other = again(there, np.random.default_rng(1), check.settings)
    told: set[str] = set()
    try:
        other.verdicts({})
        for tensor in other.tensors():
            if tensor.name in names and (place := _large_errors(other, tensor, check.evidence[tensor.name])):
                check.evidence[tensor.name].report.add("place", f"{words}, so that less spreads, it is off by more than 0.5 % only at {place}")
                told.add(tensor.name)
    except Exception:                                   # a layer that cannot do with it has nothing to tell here
        pass
    finally:
        check.subject.restore()
    return told


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
    what = "time step"
    if time is None:
        subject = lab.check.subject
        sizes = [leaf.shape[subject.time_axis] for leaf in subject.leaves if leaf.ndim > 3 and leaf.dtype.kind == "f"]
        if not sizes or sizes[0] < 2 or subject.time_axis == subject.batch_axis:
            return
        time, what = (subject.time_axis, sizes[0]), f"place along axis {subject.time_axis}"
    axis, size = time
    last = _largest_right(lab, axis, size)
    for name in list(lab.wanted) if last else ():
        some = f"the first {_plural(last, what)} alone" if last > 1 else f"one {what} alone"
        lab.check.evidence[name].report.add("place", f"right with {some} (axis {axis}), wrong with one more: it shows only where several come "
                                                     "together, or where a state is no longer what it was at first")
    if last + 1 < size:
        _explain_steps(lab, axis, last + 1, what)


def _plural(count: int, what: str) -> str:
    head, _, tail = what.partition(" along")
    return f"{count} {head}s{' along' + tail if tail else ''}" if count > 1 else what


def _largest_right(lab: Lab, axis: int, size: int) -> int:
    """With how many places along an axis everything is still right; 0 if with none."""
    last = 0
    for count in range(1, min(size, 6)):
        verdicts = _smaller(lab, axis, count) if lab.check.has_time() else {}
        if not verdicts or not all(verdicts.values()):
            break
        last = count
    return last


def _explain_steps(lab: Lab, axis: int, count: int, what: str) -> None:
    """What is wrong with the fewest time steps with which anything is, where it has spread least."""
    check = lab.check
    words = f"with the first {_plural(count, what)} alone"
    wrong = _explain_at(lab, _shorter(lab, axis, count), words, list(lab.wanted))
    if 0 < len(wrong) <= 0.5 * len([t for t in check.report.tensors if not t.passed]):
        check.report.add("place", f"{words} only the gradients of {', '.join(wrong)} are wrong")


def _explain_at(lab: Lab, there: Any, words: str, names: list[str], kinds: tuple[str, ...] = ()) -> list[str]:
    """What is wrong there, told of these tensors; all that is wrong there is returned."""
    from nblayers.gradient_check import diagnosis
    from nblayers.gradient_check.check import again
    check = lab.check
    other = again(there, np.random.default_rng(1), check.settings, check.settings.max_coordinates)
    try:
        other.check_values()
        if other.is_linear:
            other.account()
        found = {name: diagnosis.explain(evidence) for name, evidence in other.evidence.items() if name in names}
    except Exception:                                   # a layer that cannot do with so few has nothing to tell here
        return []
    finally:
        check.subject.restore()
    for name, (kind, text) in found.items():
        if text != diagnosis.NO_PATTERN and text not in check.evidence[name].report.problem and (not kinds or kind in kinds):
            check.evidence[name].report.add("place", f"{words}: {text}")
    return [name.split("/")[-1] for name in other.evidence]


def fewer_samples(lab: Lab) -> None:
    """With how many samples does it begin to be wrong, whichever they are?"""
    leaves, axis = lab.check.subject.leaves, lab.check.subject.batch_axis
    sizes = {leaf.shape[axis] for leaf in leaves if leaf.ndim > axis}
    if len(sizes) != 1 or sizes == {1}:
        return
    size = sizes.pop()
    right: set[str] | None = None
    for count in range(1, min(size, 4)):
        verdicts = [_smaller(lab, axis, count, rolled) for rolled in range(size if count == 1 else 2) if lab.check.has_time()]
        if not any(verdicts):                           # too few to tell anything, as in a norm over one sample
            continue
        now = {name for name in lab.mostly_wrong() if any(name in each for each in verdicts) and all(each.get(name, True) for each in verdicts)}
        now = now if right is None else now & right
        for name in ((right or set()) - now) & set(lab.wanted):
            _say_samples(lab, name, count - 1, axis)
        if not now:
            return
        right = now
    for name in (right or set()) & set(lab.wanted):
        _say_samples(lab, name, min(size, 4) - 1, axis)


def _say_samples(lab: Lab, name: str, count: int, axis: int) -> None:
    some = "one sample alone" if count == 1 else f"{count} samples alone"
    lab.check.evidence[name].report.add("place", f"right with {some} (axis {axis}), whichever: it shows only where more of them come together")


def one_of_each(lab: Lab) -> None:
    """Is it right for one sample with one time step alone?"""
    time, axis = _steps(lab), lab.check.subject.batch_axis
    names = {name for name in lab.mostly_wrong() if all(f.text.endswith("no pattern known") for f in lab.check.evidence[name].report.findings)}
    if time is None or not names:
        return
    size = next(leaf.shape[axis] for leaf in lab.check.subject.leaves if leaf.ndim > axis)
    verdicts = []
    for rolled in range(min(size, 3)):
        one = _shorter(lab, axis, 1, rolled).with_steps(1)
        there = at(lab.check.subject, one.leaves, None, one.kwargs, one.args)
        shapes = {name: lab.check.evidence[name].shape for name in names}
        shapes |= {name: leaf.shape for name, leaf in zip(there.names, there.leaves, strict=True) if name in shapes}
        verdicts.append(lab.verdicts_at(there, _within({n: i for n, i in lab.all_wrong().items() if n in names}, shapes)))
    for name in names:
        if all(each.get(name, False) for each in verdicts):
            lab.check.evidence[name].report.add("place", "right with one sample and one time step alone: it shows only where several of them come together")


def narrower(lab: Lab) -> None:
    """Is it right once an axis of an input has a single place? Then it is a sum along that axis."""
    for chosen, axis in _narrowable(lab):
        if not lab.check.has_time():
            return
        subject = lab.check.subject
        size = subject.leaves[chosen[0]].shape[axis]
        verdicts = [_right_at_one_place(lab, chosen, axis, place) for place in sorted({0, size // 2, size - 1})]
        right = {name for name in lab.wanted if any(name in each for each in verdicts) and all(each.get(name, True) for each in verdicts)}
        names = " and ".join(subject.names[k] for k in chosen)
        one = f"with a single place of {names} along axis {axis}"
        lab.tell_wrong_too({name for each in verdicts for name, is_right in each.items() if not is_right}, right, one)
        for name in right:
            lab.check.evidence[name].report.add("place", f"right once {names} {'has' if len(chosen) == 1 else 'have'} a single place along axis {axis}: it "
                                                         "shows only where several of them come together")


def _narrowable(lab: Lab) -> list[tuple[list[int], int]]:
    """(inputs, axis): each input alone, and those together that are as long along an axis."""
    subject = lab.check.subject
    found: list[tuple[list[int], int]] = []
    for k, leaf in enumerate(subject.leaves):
        for axis, size in enumerate(leaf.shape):
            alike = [j for j, other in enumerate(subject.leaves) if other.ndim == leaf.ndim and other.shape[axis] == size]
            is_time = axis == subject.time_axis and leaf.ndim == 3 and len(alike) == len(subject.leaves)
            if size > 1 and axis != subject.batch_axis and not is_time:
                found += [([k], axis)] if alike == [k] else [([k], axis), (alike, axis)]
    return [each for k, each in enumerate(found) if each not in found[:k]][:12]


def _right_at_one_place(lab: Lab, chosen: list[int], axis: int, place: int) -> dict[str, bool]:
    subject = lab.check.subject
    size = subject.leaves[chosen[0]].shape[axis]

    def cut(name: str, value: Any) -> Any:
        fits = name.endswith("mask") and np.ndim(value) > axis and np.shape(value)[axis] == size
        return np.take(np.asarray(value), [place], axis) if fits else value

    leaves = [np.take(leaf, [place], axis) if k in chosen else leaf for k, leaf in enumerate(subject.leaves)]
    names = argument_names(subject.layer, len(subject.args))
    there = at(subject, leaves, None, {name: cut(name, value) for name, value in subject.kwargs.items()},
               [cut(name, value) for name, value in zip(names, subject.args, strict=True)])
    shapes = {wanted: lab.check.evidence[wanted].shape for wanted in lab.wanted}
    shapes |= {n: each.shape for n, each in zip(there.names, there.leaves, strict=True) if n in shapes}
    return lab.verdicts_at(there, _within({n: i for n, i in lab.all_wrong().items() if n in lab.mostly_wrong()}, shapes))


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
