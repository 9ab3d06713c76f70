"""The right numbers in other places: axes swapped, in reverse, moved, misrouted."""
import itertools
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from nblayers.gradient_check.patterns.known import MOST_LINES, Found, Known
from nblayers.gradient_check.patterns.places import among_rows
from nblayers.gradient_check.shares import Array, Shares, permutation


def layout(s: Shares, known: Known) -> Found:
    """The right numbers in other places: axes swapped, in reverse, moved round, halves swapped."""
    if (np.abs(s.analytic) <= s.floor).all():
        return None
    if s.is_whole and len(s.shape):
        ours, right = s.grid(s.analytic), s.grid(s.numeric)
        for text, kind, move in moves(s.shape):
            if s.all_same(ours, move(right)):
                return kind, text
    if s.is_whole and 1 < len(s.rows) <= MOST_LINES:
        order = permutation(s.analytic, s.numeric, s.same)
        if order is not None:
            moved = [k for k, other in enumerate(order) if k != other and not s.all_same(s.numeric[k], s.numeric[other])]
            shown = "; ".join(f"{list(s.rows[k])} holds what belongs to {list(s.rows[order[k]])}" for k in moved[:3])
            more = "; …" if len(moved) > 3 else ""
            return "moved", f"the right numbers in other places{among_rows(s, moved)}: {shown}{more}"
        if found := _moved_inside(s, ours, right):
            return found
    return _moved_output(s)


def _moved_inside(s: Shares, ours: Array, right: Array) -> Found:
    """Moved along an axis, or along two, with something else where nothing is left."""
    pairs = itertools.combinations(range(len(s.shape)), 2)
    for axes in (*((axis,) for axis in range(len(s.shape))), *pairs):
        for by in (1, -1, 2, -2, 3, -3, 4, -4):
            if min(s.shape[axis] for axis in axes) - abs(by) < 2:
                continue
            a, n, there = ours, right, right
            for axis in axes:
                ahead, behind = (range(max(k, 0), s.shape[axis] + min(k, 0)) for k in (by, -by))
                a, n, there = np.take(a, ahead, axis), np.take(n, behind, axis), np.take(there, ahead, axis)
            if s.all_same(a, n) and np.abs(n).max(initial=0.0) > s.floor and not s.all_same(n, there):
                return "rolled", (f"moved by {by} along axis {' and axis '.join(map(str, axes))}: at each place stands what "
                                  f"belongs {abs(by)} {'before' if by > 0 else 'behind'} it")
    return None


def _moved_output(s: Shares) -> Found:
    """The numbers are right for a dy whose elements stood elsewhere."""
    shape = s.output_shape
    if not s.single_output or len(s.columns) != int(np.prod(shape)) or len(s.columns) < 2 or len(s.columns) > MOST_LINES:
        return None
    ours, right = (a.T.reshape(*shape, len(s.rows)) for a in (s.analytic, s.numeric))
    for text, kind, move in moves(shape):
        if s.all_same(ours, move(right)):
            return kind, f"right for a dy {text.replace('along axis', 'along its axis')}"
    order = permutation(s.analytic.T, s.numeric.T, s.same)
    if order is None:
        return None
    moved = [k for k, other in enumerate(order) if k != other and not s.all_same(s.numeric[:, k], s.numeric[:, other])]
    shown = "; ".join(f"what belongs to dy at {list(s.columns[order[k]].index)} comes from dy at {list(s.columns[k].index)}"
                      for k in moved[:3])
    return "moved", f"right for a dy whose elements stand in other places: {shown}" + ("; …" if len(moved) > 3 else "")


def moves(shape: tuple[int, ...]) -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
    """(words, kind, what it does to an array of this shape with one more axis behind)."""
    axes = range(len(shape))
    for i, j in itertools.combinations(axes, 2):
        if shape[i] == shape[j] > 1:
            yield f"transposed: axes {i} and {j} are swapped", "transposed", partial(np.swapaxes, axis1=i, axis2=j)
    for axis in axes:
        if shape[axis] > 1:
            yield f"in reverse order along axis {axis}", "reversed", partial(np.flip, axis=axis)
    for i, j in itertools.combinations(axes, 2):
        if shape[i] > 1 and shape[j] > 1:
            yield f"in reverse order along axis {i} and axis {j}", "reversed", partial(np.flip, axis=(i, j))
    for axis in axes:
        size = shape[axis]
        if size > 2 and size % 2 == 0:
            half = partial(np.roll, shift=size // 2, axis=axis)
            yield f"the two halves along axis {axis} are swapped: in other places", "moved", half
        for by in (1, -1, 2, -2):
            if size > 2 and abs(by) < size:
                yield (f"moved by {by} along axis {axis} (the last comes first again)", "rolled",
                       partial(np.roll, shift=by, axis=axis))
                yield (f"moved by {by} along axis {axis}, with zeros where nothing is left", "rolled",
                       partial(_shift, by=by, axis=axis))
    for axis in axes:
        size = shape[axis]
        for parts in range(2, size):
            if size % parts == 0 and size // parts > 1:
                order = np.arange(size).reshape(parts, size // parts).T.ravel()
                yield (f"read in the wrong order along axis {axis}: in other places, as if {parts} parts of {size // parts} "
                       f"were {size // parts} of {parts}", "moved", partial(np.take, indices=order, axis=axis))
    if len(shape) == 2 and shape[0] != shape[1] and min(shape) > 1:
        yield "reshaped where it had to be transposed: in other places", "moved", _reshaped


def _reshaped(a: Array) -> Array:
    return a.swapaxes(0, 1).reshape(a.shape)


def _shift(a: Array, by: int, axis: int) -> Array:
    moved = np.roll(a, by, axis)
    empty = [slice(None)] * a.ndim
    empty[axis] = slice(0, by) if by > 0 else slice(by, None)
    moved[tuple(empty)] = 0.0
    return moved


def misrouted(s: Shares, known: Known) -> Found:
    """What comes through an element of y is right but arrives at another place."""
    columns = s.wrong_columns
    if len(columns) < 2:
        return None
    ours, right = (np.sort(account[:, columns], axis=0) for account in (s.analytic, s.numeric))
    sparse = (np.abs(s.numeric[:, columns]) > s.floor).sum(axis=0).max(initial=0) <= max(1, len(s.rows) // 4)
    if not sparse or not s.all_same(ours, right):
        return None
    too_much, lost = (s.wrong[:, columns] & (np.abs(account[:, columns]) <= s.floor) for account in (s.numeric, s.analytic))
    if not (too_much.any(axis=0) & lost.any(axis=0)).all():
        return None
    column = int(columns[0])
    got, want = int(np.argmax(too_much[:, 0])), int(np.argmax(lost[:, 0]))
    axes = [axis for axis in range(len(s.shape)) if s.rows[got][axis] != s.rows[want][axis]]
    where = f" along axis {' and '.join(map(str, axes))}" if axes else ""
    return "moved", (f"what comes through {len(columns)} elements of y arrives at another place{where} than it should: "
                     f"through y at {list(s.columns[column].index)} it comes to {list(s.rows[got])} and should be zero there, "
                     f"it belongs to {list(s.rows[want])}")
