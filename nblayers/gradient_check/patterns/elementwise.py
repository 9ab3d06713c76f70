"""Layers that work element by element, or are taken for such: slopes, and where they are wrong."""
import math

import numpy as np

from nblayers.gradient_check.patterns.factors import factor_of_rows, few_factors, says_nothing
from nblayers.gradient_check.patterns.known import MISSING, SLOPES, TOO_MUCH, Found, Known, told_by_bound
from nblayers.gradient_check.patterns.layout import moves
from nblayers.gradient_check.patterns.places import among_places, one_column_each
from nblayers.gradient_check.shares import Array, Shares


def elementwise(s: Shares, known: Known) -> Found:
    """Backward works element by element though forward does not, or the reverse, or both do with another slope."""
    if not s.is_square or s.numeric.size == 1:
        return None
    off = ~s.diagonal
    ours = bool((np.abs(s.analytic[off]) <= s.floor).all())
    theirs = bool((np.abs(s.numeric[off]) <= s.floor).all())
    if ours and not theirs and np.abs(s.numeric[off]).max() > 1e-4 * s.scale and s.analytic.any():
        if not s.all_same(s.analytic[s.diagonal], s.numeric[s.diagonal]) and not known.is_plain:
            return None
        more = "" if s.all_same(s.analytic[s.diagonal], s.numeric[s.diagonal]) else ", and that share is wrong too"
        return "elementwise", ("treated as elementwise: only what comes through y at the same place has gone in" + more
                               + ", but y at other places depends on it too (softmax, a norm, a mean: a sum over them is "
                                 "missing)")
    if theirs and not ours:
        return "mixing", ("y depends on it element by element here, but backward mixes elements: what comes through y at other "
                          "places has gone in (the formula of another mode, a mean or a product too much)")
    if theirs and ours:
        return _slope(s, known)
    return None


def _moved_slopes(s: Shares, true: Array, got: Array) -> Found:
    """The right slopes in other places."""
    ours, right = (np.empty((*s.shape, 1)) for _ in range(2))
    for row, a, n in zip(s.rows, got, true, strict=True):
        ours[row], right[row] = a, n
    for text, kind, move in moves(s.shape):
        if s.all_same(ours, move(right)):
            return kind, f"elementwise, with the right slopes in other places: {text}"
    return None


def _slope(s: Shares, known: Known) -> Found:
    """Both element by element: a table of slopes."""
    i, o = np.nonzero(s.diagonal)
    x = np.array([float(s.values[s.rows[k]]) for k in i])
    true, got, bad = s.numeric[i, o], s.analytic[i, o], s.wrong[i, o]
    where = told_by_bound(x, bad, "x")
    if not where and s.is_whole and len(s.columns) == len(s.rows):
        if found := _moved_slopes(s, true, got):
            return found
        with np.errstate(all="ignore"):
            factors = np.where(np.abs(true) > s.floor, got / true, np.nan)
        if found := _named_factors(factors, got, s, known):
            return found
    shown = np.flatnonzero(bad)[np.argsort(x[bad])]
    shown = shown[np.unique(np.linspace(0, len(shown) - 1, min(5, len(shown))).astype(int))]
    rows = "; ".join(f"x = {x[k]:.4g}: slope {true[k]:.6g}, backward has {got[k]:.6g}" for k in shown)
    guess = _known_slope(x, true, got)
    how = one_column_each(s)
    how = f", {how}" if how in (TOO_MUCH, MISSING) else ""
    where = where or among_places(s, i[bad])
    return "value" if "where" in where else "slope", f"elementwise, with a wrong slope{where}{how}: {rows}{guess}"


def _named_factors(factors: Array, got: Array, s: Shares, known: Known) -> Found:
    """What the elements' factors are, where nothing stands that should be zero."""
    if says_nothing(factors) or (np.abs(got[~np.isfinite(factors)]) > s.floor).any():
        return None
    return factor_of_rows(factors, s, known)


def _known_slope(x: Array, true: Array, got: Array) -> str:
    """What backward computes, if it is one of the slopes that one knows, at x."""
    if len(x) < 3:
        return ""
    with np.errstate(all="ignore"):
        for words, slope in SLOPES.items():
            if np.allclose(slope(x), got, rtol=1e-6, atol=1e-9) and not np.allclose(slope(x), true, rtol=1e-6, atol=1e-9):
                return f"; backward has {words}"
    return ""


def by_value(s: Shares, known: Known) -> Found:
    """Which elements are wrong is told by a bound on their value, on another input's there, or on the difference of the two."""
    if s.is_weight or not len(s.shape):
        return None
    bad = np.asarray(s.wrong.any(axis=1))
    some = np.asarray(s.support.any(axis=1))
    if bad.sum() < 2 or (some & ~bad).sum() < 2 or math.comb(int(some.sum()), int(bad.sum())) < 2000:
        return None                                     # so few that a bound tells them apart by chance
    own = np.asarray(s.values)
    others = {name: values for name, values in known.arrays.items() if name != s.name and values.shape == s.shape}
    candidates = {s.name: own, f"|{s.name}|": np.abs(own), **others}
    candidates |= {f"{s.name} - {name}": own - values for name, values in others.items()}
    candidates |= {f"|{s.name} - {name}|": np.abs(own - values) for name, values in others.items()}
    for words, values in candidates.items():
        at = np.array([float(values[row]) for row in s.rows])
        if text := told_by_bound(at[some], bad[some], words):
            how = one_column_each(s)
            return "value", text.removeprefix(", ") + (f"; there {how}" if how else "")
    return None


def one_each(s: Shares, known: Known) -> Found:
    """Every element has to do with one element of y alone: what the slopes are off by, or a table of them."""
    if s.is_weight or not len(s.shape) or len(s.rows) < 2 or (s.support.sum(axis=1) > 1).any():
        return None
    bad = s.wrong_rows
    if len(bad) < 2:
        return None
    own = np.where(s.support.any(axis=1), s.support.argmax(axis=1), 0)
    got, true = (account[np.arange(len(own)), own] for account in (s.analytic, s.numeric))
    with np.errstate(all="ignore"):
        factors = np.where(np.abs(true) > s.floor, got / true, np.nan)
    if known.is_separable and (found := _named_factors(factors, got, s, known)):
        return found
    return few_factors(s, known) or (_table(s, known, own) if known.is_separable else None)


def _table(s: Shares, known: Known, own: Array) -> Found:
    """The slopes of some elements, each through the one element of y that it has to do with."""
    bad = s.wrong_rows
    order = bad[np.argsort([float(s.values[s.rows[k]]) for k in bad])]
    shown = [order[int(k)] for k in np.unique(np.linspace(0, len(order) - 1, min(5, len(order))).astype(int))]
    others = {name: values for name, values in known.arrays.items() if name != s.name and values.shape == s.shape}
    lines = []
    for k in shown:
        row, column = s.rows[k], int(own[k])
        given = ", ".join(f"{name} = {float(values[row]):.4g}" for name, values in ((s.name, s.values), *others.items()))
        lines.append(f"at {list(row)} {given}: slope {s.numeric[k, column]:.6g}, backward has {s.analytic[k, column]:.6g}")
    return "slope", f"each element with a slope of its own, and a wrong one{among_places(s, bad)}: " + "; ".join(lines)
