"""Sums and means that are missing, or go over the wrong axis."""
import itertools

import numpy as np

from nblayers.gradient_check.patterns.known import Found, Known
from nblayers.gradient_check.shares import Array, Shares


def missing_sum(s: Shares, known: Known) -> Found:
    """Wrong by one and the same amount all along some axes, or by a multiple of x, or of x less its mean."""
    if not s.is_whole or not len(s.shape):
        return None
    difference, right, x = s.grid(s.analytic - s.numeric), s.grid(s.numeric), np.asarray(s.values, float)
    axes = range(len(s.shape))
    for along in (*((k,) for k in axes), *itertools.combinations(axes, 2)):
        size = int(np.prod([s.shape[k] for k in along]))
        if size < 3 or min(s.shape[k] for k in along) < 2:
            continue
        lines, ours, values = (_lines(a, along) for a in (difference, right, np.broadcast_to(x[..., None], difference.shape)))
        one, centred = np.ones_like(values), values - values.mean(axis=0)
        if s.all_same(ours, ours.mean(axis=0) + 0 * ours):
            continue
        name = " and ".join(map(str, along))
        x_name = s.name.split("/")[-1] if s.is_weight else "x"
        tried = (((one,), "one and the same amount"),
                 ((centred,), f"a multiple of {x_name} - mean({x_name})"),
                 ((values,), f"a multiple of {x_name} itself"),
                 ((one, centred), f"a multiple of {x_name} and an amount that is the same for all"))
        for terms, words in tried[2:3] if s.is_weight else tried:
            if size >= len(terms) + 2 and _spans(s, lines, terms):
                return "missing_sum", (f"wrong by {words} along axis {name}: a sum (or mean) over axis {name} is missing, too "
                                       f"much or not the right one")
    return None


def multiple_of_y(s: Shares, known: Known) -> Found:
    """Wrong by a multiple of y all along an axis, along which y adds up to 1: the sum in a softmax's gradient."""
    if not s.is_whole or not s.is_square:
        return None
    difference, y = s.grid(s.analytic - s.numeric), s.y[s.columns[0].output]
    for axis, size in enumerate(s.shape):
        lines = _lines(np.broadcast_to(y[..., None], difference.shape), (axis,))
        if size > 2 and _is_softmax(y, (axis,)) and _spans(s, _lines(difference, (axis,)), (lines,)):
            return "place", (f"wrong by a multiple of y along axis {axis}, along which y adds up to 1, as in a softmax where "
                             f"the sum of y * dy over it is another one")
    return None


def _is_softmax(y: Array, along: tuple[int, ...]) -> bool:
    """Whether y is positive and adds up to 1 along these axes."""
    return bool((y > 0).all()) and np.allclose(y.sum(axis=along), 1.0)


def _lines(a: Array, along: tuple[int, ...]) -> Array:
    """The array with these axes made one, in front, and all others one behind."""
    front = np.moveaxis(a, along, range(len(along)))
    return front.reshape(int(np.prod(front.shape[:len(along)])), -1)


def _spans(s: Shares, lines: Array, terms: tuple[Array, ...]) -> bool:
    """Whether each column of `lines` is a sum of multiples of the same columns of the terms."""
    basis = np.stack(terms, axis=-1).transpose(1, 0, 2)                    # (columns, places, terms)
    fitted = np.einsum("cpt,ct->pc", basis, np.einsum("ctp,pc->ct", np.linalg.pinv(basis), lines))
    return s.all_same(lines, fitted)


def mixed_axes(s: Shares, known: Known) -> Found:
    """Forward and backward mix elements along different axes."""
    if not s.is_square:
        return None
    if not known.is_plain and (np.abs(s.numeric[s.diagonal]) <= s.floor).any():
        return None
    forwards, backwards = (_axes_mixed(s, account) for account in (s.numeric, s.analytic))
    if forwards == backwards:
        return None
    own = s.diagonal & (np.abs(s.numeric) > s.floor)
    if (np.abs(s.analytic[own]) <= s.floor).any():      # it is moved, and no sum
        return None
    if not backwards:
        return "place", f"treated as elementwise by backward, though forward mixes elements {_along(forwards)}"
    words = f"forward mixes elements {_along(forwards)}, backward {_along(backwards)}"
    if len(known.arrays) > 1:
        return "place", words
    return "missing_sum", f"{words}: a sum or mean over the wrong axis, or one that is missing"


def _axes_mixed(s: Shares, account: Array) -> list[int]:
    """The axes along which y at one place depends on another."""
    reach = np.abs(account) > s.floor
    return [a for a, b, steps in s.steps() if a == b and reach[np.broadcast_to(steps != 0, reach.shape)].any()]


def _along(axes: list[int]) -> str:
    return f"along axis {' and '.join(map(str, axes))}" if axes else "along none"
