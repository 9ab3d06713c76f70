"""What becomes right with other weights, or two inputs alike: symmetric, the same backwards, equal, small or zero."""
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from nblayers.gradient_check.experiments.lab import Lab, Make, explain_at
from nblayers.gradient_check.points import at
from nblayers.gradient_check.shares import spread
from nblayers.gradient_check.words import ranges


def way_around(lab: Lab) -> None:
    """With all matrices zero y depends on x by a way around them only: does backward know it?"""
    check = lab.check
    matrices = [k for k, v in enumerate(lab.values) if v.ndim > 1 and min(v.shape) > 1]
    inputs = [name for name in lab.wanted if not check.evidence[name].tensor.is_weight and name not in lab.names]
    if not matrices or not inputs:
        return
    other = check.again(lab.with_weights(matrices, np.zeros_like))
    try:
        other.verdicts({})
        found = [tensor.name for tensor in other.tensors() if tensor.name in inputs
                 and np.abs(tensor.gradient).max(initial=0.0) < 1e-12
                 and max(abs(other.numeric(tensor, index)) for index in lab.wanted[tensor.name]) > 1e-3]
    except Exception:
        return
    finally:
        check.subject.restore()
    lab.tell(found, "way_around", "with all weight matrices zero it is all zeros, though y depends on it even then: a way "
                                  "around them (a residual, x + f(x)) is left out of backward")


def _try(lab: Lab, candidates: Sequence[int], make: Make, kind: str, words: Callable[[str], str]) -> None:
    """Change all of these weights; tell what that makes right and another change does not, and which of them it takes."""
    rest = list(candidates)
    while rest and lab.wanted and lab.check.has_time():
        if not (right := _cured(lab, partial(lab.with_weights, rest), make)):
            return
        for k in list(rest):                            # which of them are needed for it?
            fewer = [other for other in rest if other != k]
            if fewer and lab.check.has_time() and right <= _cured(lab, partial(lab.with_weights, fewer), make):
                rest = fewer
        lab.tell(right, kind, words(" and ".join(lab.names[k] for k in rest)))
        rest = [k for k in candidates if k not in rest]


def _cured(lab: Lab, changed: Callable[[Make], Any], make: Make) -> set[str]:
    """What is right at several points with this symmetry, and at none without it; `changed` gives the subject for a change."""
    right = lab.right_at(changed(make), lab.mostly_wrong(0.25))
    for trial in range(3):
        if right:
            right &= lab.right_at(changed(_after_shuffle(make, trial)))
        if right:
            right -= lab.right_at(changed(partial(_shuffled, seed=trial)))
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
        return (f"right once {names} is symmetric: backward has {names} transposed where it should not be, or not where it "
                f"should")

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
        pairs = [(i, j) for i in range(leaf.ndim) for j in range(i + 1, leaf.ndim) if leaf.shape[i] == leaf.shape[j] > 1
                 and leaf.dtype.kind == "f"]
        for i, j in pairs if len(subject.leaves) > 1 or lab.values else ():
            right = _cured(lab, partial(lab.with_input, k), partial(_symmetric_axes, i=i, j=j)) - {name}
            lab.tell(right, "weight_transposed", f"right once {name} is symmetric: backward has {name} transposed where it "
                                                 f"should not be, or not where it should (axes {i} and {j})")


def one_for_other(lab: Lab) -> None:
    """Two inputs, or two weights, of one shape: is it right once they are the same? Then one stands where the other should."""
    check = lab.check
    leaves = [(name, k) for k, name in enumerate(check.subject.names) if check.subject.leaves[k].dtype.kind == "f"]
    weights = [(name, k) for k, name in enumerate(lab.names[:len(check.subject.weights)])]
    for chosen, make, values in ((leaves, _same_inputs, check.subject.leaves), (weights, _same_weights, lab.values)):
        pairs = [(a, b) for n, a in enumerate(chosen) for b in chosen[n + 1:] if values[a[1]].shape == values[b[1]].shape
                 and values[a[1]].size > 1]
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
    return lab.at_values([value if k == i else other if k == j else None for k in range(len(lab.values))])


def one_tap(lab: Lab) -> None:
    """A kernel of which one tap alone is not zero moves things by whole places: what is wrong with it then?"""
    check = lab.check
    kernels = [k for k, v in enumerate(lab.values) if v.ndim > 2 and 1 < np.prod(v.shape[:-2]) < 10]
    for k in kernels[:1]:
        taps = list(np.ndindex(lab.values[k].shape[:-2]))
        for tap in dict.fromkeys((taps[-1], taps[0])):
            names = [name for name in lab.wanted if lab.is_open(name)
                     or not check.evidence[name].tensor.is_weight]
            if not names or not check.has_time():
                return
            there = lab.with_weights([k], partial(_only, tap=tap))
            explain_at(lab, there, f"with no tap of {lab.names[k]} but {list(tap)}", names,
                       ("rolled", "moved", "reversed", "transposed", "factor"))


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
         lambda names: f"right once {names} reads the same both ways along its first axes: backward has {names} reversed "
                       "where it should not be, or not where it should")


def equal(lab: Lab) -> None:
    """A scale may be taken in front of a sum or mean where all its elements are equal, and left out where they are 1."""
    for k in [k for k, v in enumerate(lab.values) if v.size > 1 and max(v.shape) == v.size]:
        if not lab.check.has_time():
            return
        name = lab.names[k]
        at_values = [lab.right_at(lab.with_weights([k], partial(np.full_like, fill_value=c)), lab.mostly_wrong())
                     for c in (1.0, 1.3, 0.7, -0.8)]
        ever = set.union(*at_values)
        changes = [partial(_shuffled, seed=0), partial(_near, value=1.0, seed=0), partial(_near, value=0.7, seed=1)]
        unequal = set.union(*(lab.right_at(lab.with_weights([k], change)) for change in changes)) if ever else set()
        lab.tell(set.intersection(*at_values) - unequal, "scale_outside",
                 f"right once all elements of {name} are equal: {name} stands outside of a sum or mean that it belongs into, "
                 "or meets other elements than its own")
        only_at_one = (at_values[0].difference(*at_values[1:]) - unequal) & set(lab.wanted)
        if only_at_one:
            only_at_one -= lab.right_at(lab.with_weights([k], partial(np.full_like, fill_value=1.01)))
        lab.tell(only_at_one, "scale_outside",
                 f"right once all elements of {name} are 1: {name} is left out somewhere, has gone in once too often, or "
                 "stands outside of a sum or mean")


def _near(weight: np.ndarray, value: float, seed: int) -> np.ndarray:
    """Elements that are nearly, and not quite, equal: what is right by chance at equal ones is so here too."""
    return np.asarray(value * (1 + 0.01 * np.random.default_rng(seed).uniform(-1, 1, weight.shape)))


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
                if lab.names[k] != name.split("/")[-1]:
                    found.setdefault(name, []).append(lab.names[k])
    for name, weights in found.items():
        lab.tell([name], "way_through", f"right once {' or '.join(weights)} is zero: what goes through {' or '.join(weights)} "
                                        f"is left out of it, or wrong")


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
    check = lab.check
    other = check.again(there)
    told: set[str] = set()
    try:
        other.verdicts({})
        for tensor in other.tensors():
            if tensor.name in names and (place := _large_errors(other, tensor, check.evidence[tensor.name])):
                check.evidence[tensor.name].report.add("place", f"{words}, so that less spreads, it is off by more than 0.5 % "
                                                                f"only at {place}")
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
    off = np.abs(analytic - numeric) > 5e-3 * np.maximum(np.abs(numeric),
                                                         np.abs(analytic)) + 1e-8 * np.abs(numeric).max(initial=0.0) + 3e-10
    best: tuple[int, str] | None = None
    for axis, size in enumerate(evidence.shape):
        place = np.array([index[axis] for index in indices])
        bad, seen = set(place[off].tolist()), set(place.tolist())
        wrong = {index[axis] for index in evidence.wrong}
        if bad and len(bad) < len(wrong) and 2 * len(bad) <= len(seen) and (best is None or len(bad) * best[0] < size):
            best = size, f"{ranges(bad)} of axis {axis} (size {size})"
    return best[1] if best else ""
