"""What becomes right with fewer time steps, fewer samples, or a single place along an axis."""
from typing import Any

import numpy as np

from nblayers.gradient_check.experiments.lab import Lab, explain_at, within
from nblayers.gradient_check.points import at
from nblayers.gradient_check.report import Index
from nblayers.gradient_check.shares import spread
from nblayers.gradient_check.subject import argument_names


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
    return lab.verdicts_at(there, within(lab.all_wrong(), lab.shapes_at(there)) | _all_of_small(lab, there))


def _all_of_small(lab: Lab, there: Any) -> dict[str, list[Index]]:
    """All coordinates of the inputs that are no longer what they were: what was right may be wrong there."""
    found = {}
    for name, leaf in zip(there.names, there.leaves, strict=True):
        if name in lab.wanted:
            found[name] = spread(list(np.ndindex(leaf.shape)), 24)
    return found


def _steps(lab: Lab) -> tuple[int, int] | None:
    """(axis, size) of time, if the inputs are sequences."""
    subject = lab.check.subject
    sizes = [leaf.shape[subject.time_axis] for leaf in subject.leaves if leaf.ndim == 3 and leaf.dtype.kind == "f"]
    return (subject.time_axis, sizes[0]) if sizes and sizes[0] > 1 else None


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
        lab.check.evidence[name].report.add("place", f"right with {some} (axis {axis}), wrong with one more: it shows only "
                                                     "where several come together, or where a state is no longer what it was "
                                                     "at first")
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
    wrong = explain_at(lab, _shorter(lab, axis, count), words, list(lab.wanted))
    if 0 < len(wrong) <= 0.5 * len([t for t in check.report.tensors if not t.passed]):
        check.report.add("place", f"{words} only the gradients of {', '.join(wrong)} are wrong")


def fewer_samples(lab: Lab) -> None:
    """With how many samples does it begin to be wrong, whichever they are?"""
    leaves, axis = lab.check.subject.leaves, lab.check.subject.batch_axis
    sizes = {leaf.shape[axis] for leaf in leaves if leaf.ndim > axis}
    if len(sizes) != 1 or sizes == {1}:
        return
    size = sizes.pop()
    right: set[str] | None = None
    for count in range(1, min(size, 4)):
        verdicts = [_smaller(lab, axis, count, rolled) for rolled in range(min(size, 4) if count == 1 else 2)
                    if lab.check.has_time()]
        if not any(verdicts):                           # too few to tell anything, as in a norm over one sample
            continue
        now = {name for name in lab.mostly_wrong() if any(name in each for each in verdicts)
               and all(each.get(name, True) for each in verdicts)}
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
    lab.check.evidence[name].report.add("place", f"right with {some} (axis {axis}): it shows only where more of them come "
                                                 "together")


def one_of_each(lab: Lab) -> None:
    """Is it right for one sample with one time step alone?"""
    time, axis = _steps(lab), lab.check.subject.batch_axis
    names = {name for name in lab.mostly_wrong() if lab.is_open(name)}
    if time is None or not names:
        return
    size = next(leaf.shape[axis] for leaf in lab.check.subject.leaves if leaf.ndim > axis)
    verdicts = []
    for rolled in range(min(size, 3)):
        one = _shorter(lab, axis, 1, rolled).with_steps(1)
        there = at(lab.check.subject, one.leaves, None, one.kwargs, one.args)
        where = {name: indices for name, indices in lab.all_wrong().items() if name in names}
        verdicts.append(lab.verdicts_at(there, within(where, lab.shapes_at(there))))
    for name in names:
        if all(each.get(name, False) for each in verdicts):
            lab.check.evidence[name].report.add("place", "right with one sample and one time step alone: it shows only where "
                                                         "several of them come together")


def narrower(lab: Lab) -> None:
    """Is it right once an axis of an input has a single place? Then it is a sum along that axis."""
    for chosen, axis in _narrowable(lab):
        if not lab.check.has_time():
            return
        subject = lab.check.subject
        size = subject.leaves[chosen[0]].shape[axis]
        verdicts = [_right_at_one_place(lab, chosen, axis, place) for place in sorted({0, size // 2, size - 1})]
        right = {name for name in lab.wanted if any(name in each for each in verdicts)
                 and all(each.get(name, True) for each in verdicts)}
        names = " and ".join(subject.names[k] for k in chosen)
        one = f"with a single place of {names} along axis {axis}"
        lab.tell_wrong_too({name for each in verdicts for name, is_right in each.items() if not is_right}, right, one)
        for name in right:
            lab.check.evidence[name].report.add("place", f"right once {names} {'has' if len(chosen) == 1 else 'have'} a "
                                                         f"single place along axis {axis}: it shows only where several of "
                                                         "them come together")


def _narrowable(lab: Lab) -> list[tuple[list[int], int]]:
    """(inputs, axis): each input alone, and those together that are as long along an axis."""
    subject = lab.check.subject
    found: list[tuple[list[int], int]] = []
    for k, leaf in enumerate(subject.leaves):
        for axis, size in enumerate(leaf.shape):
            alike = [j for j, other in enumerate(subject.leaves) if other.ndim == leaf.ndim and other.shape[axis] == size]
            sequences = [other for other in subject.leaves if other.ndim == 3] if lab.inputs else subject.leaves
            is_time = axis == subject.time_axis and leaf.ndim == 3 and len(alike) == len(sequences)
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
    enough = lab.mostly_wrong()
    where = {name: indices for name, indices in lab.all_wrong().items() if name in enough}
    return lab.verdicts_at(there, within(where, lab.shapes_at(there)))
