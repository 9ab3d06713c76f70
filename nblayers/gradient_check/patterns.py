"""What the shares of one tensor say about the mistake. Each look returns (kind, text), or None.

A look says nothing that does not hold for every pair of a coordinate and an output element that it speaks of.
"""
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from nblayers.gradient_check.shares import Array, Shares, permutation
from nblayers.gradient_check.words import ranges, times

Found = tuple[str, str] | None
MISSING, TOO_MUCH = "missing", "too much (it should be zero)"
SOME = "through some elements of y"
MOST_LINES = 400                        # for looks that compare each line with each other


class Known(NamedTuple):
    """What the looks may be told beside the shares: vectors that a factor may be, by name, and ids that occur."""

    vectors: Mapping[str, Array]
    arrays: Mapping[str, Array]
    ids: Array | None = None
    time_axis: int | None = 1
    is_plain: bool = False              # one input, one output, no weights
    order_matters: bool = False         # of the time steps before the last one, as in a recurrent layer


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
                               + ", but y at other places depends on it too (softmax, a norm, a mean: a sum over them is missing)")
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
    for text, kind, move in _moves(s.shape):
        if s.all_same(ours, move(right)):
            return kind, f"elementwise, with the right slopes in other places: {text}"
    return None


def _slope(s: Shares, known: Known) -> Found:
    """Both element by element: a table of slopes."""
    i, o = np.nonzero(s.diagonal)
    x = np.array([float(s.values[s.rows[k]]) for k in i])
    true, got, bad = s.numeric[i, o], s.analytic[i, o], s.wrong[i, o]
    where = _by_value(x, bad, "x")
    if not where and s.is_whole and len(s.columns) == len(s.rows):
        if found := _moved_slopes(s, true, got):
            return found
        with np.errstate(all="ignore"):
            factors = np.where(np.abs(true) > s.floor, got / true, np.nan)
        if (np.abs(got[~np.isfinite(factors)]) <= s.floor).all() and not _says_nothing(factors) and (found := _factor_of_rows(factors, s, known)):
            return found
    shown = np.flatnonzero(bad)[np.argsort(x[bad])]
    shown = shown[np.unique(np.linspace(0, len(shown) - 1, min(5, len(shown))).astype(int))]
    rows = "; ".join(f"x = {x[k]:.4g}: slope {true[k]:.6g}, backward has {got[k]:.6g}" for k in shown)
    guess = _known_slope(x, true, got)
    how = one_column_each(s)
    how = f", {how}" if how in (TOO_MUCH, MISSING) else ""
    where = where or _among_places(s, i[bad])
    return "value" if "where" in where else "slope", f"elementwise, with a wrong slope{where}{how}: {rows}{guess}"


def _among_places(s: Shares, rows: Array) -> str:
    """ ", wrong only at 3 of axis 0 (size 4)": the indices among which these rows lie, where others are right."""
    right = [k for k in range(len(s.rows)) if k not in set(rows.tolist())]
    for axis, size in enumerate(s.shape):
        inside = set(s.row_places[rows, axis].tolist())
        if len(inside) < size and not inside & set(s.row_places[right, axis].tolist()):
            return f", wrong only at {ranges(inside)} of axis {axis} (size {size})"
    return ""


def _by_value(x: Array, bad: Array, name: str) -> str:
    """ " where x is below 0": whether wrong and right are told apart by a bound on the value."""
    if bad.all() or bad.sum() < 1:
        return ""
    wrong, right = x[bad], x[~bad]
    if wrong.max() < right.min():
        return f", wrong only where {name} is below {_bound(wrong.max(), right.min())}"
    if wrong.min() > right.max():
        return f", wrong only where {name} is above {_bound(right.max(), wrong.min())}"
    if (wrong == 0).all() and (right != 0).all():
        return f", wrong only where {name} is 0"
    return ""


def _bound(low: float, high: float) -> str:
    """A round number between two."""
    for digits in range(6):
        middle = round((low + high) / 2, digits)
        if low <= 0 <= high:
            return "0"
        if low < middle < high:
            return f"{middle:g}"
    return f"{high:.6g}"


SLOPES: dict[str, Callable[[Array], Array]] = {
    "1": lambda v: np.ones_like(v), "x": lambda v: v, "1 - x": lambda v: 1 - v, "1 - x ** 2": lambda v: 1 - v ** 2,
    "x (1 - x)": lambda v: v * (1 - v), "1 + x": lambda v: 1 + v, "exp(x)": np.exp, "tanh(x)": np.tanh,
    "1 - tanh(x) ** 2": lambda v: 1 - np.tanh(v) ** 2, "sigmoid(x)": lambda v: 1 / (1 + np.exp(-v)),
    "sigmoid(x) (1 - sigmoid(x))": lambda v: (s := 1 / (1 + np.exp(-v))) * (1 - s), "x > 0": lambda v: (v > 0) * 1.0,
    "x ** 2": lambda v: v ** 2, "2 x": lambda v: 2 * v, "sign(x)": np.sign,
}


def _known_slope(x: Array, true: Array, got: Array) -> str:
    """What backward computes, if it is one of the slopes that one knows, at x."""
    if len(x) < 3:
        return ""
    with np.errstate(all="ignore"):
        for words, slope in SLOPES.items():
            if np.allclose(slope(x), got, rtol=1e-6, atol=1e-9) and not np.allclose(slope(x), true, rtol=1e-6, atol=1e-9):
                return f"; backward has {words}"
    return ""


def own_factors(s: Shares, known: Known) -> Found:
    """Each coordinate is off by a factor of its own, whatever output it comes through."""
    factors = _factors(s.analytic, s.numeric, s)
    if factors is None or len(s.rows) < 2 or _says_nothing(factors):
        return None
    if found := _factor_of_rows(factors, s, known):
        return found
    if s.is_weight:
        return None
    x = np.array([float(s.values[row]) for row in s.rows])
    order = [k for k in np.argsort(x) if np.isfinite(factors[k])]
    shown = [order[int(k)] for k in np.unique(np.linspace(0, len(order) - 1, min(5, len(order))).astype(int))]
    table = "; ".join(f"x = {x[k]:.4g}: {factors[k]:.6g} times" for k in shown)
    return "slope", f"each element is off by a factor of its own, the same through every output, as with a wrong slope at x: {table}"


def _factor_of_rows(factors: Array, s: Shares, known: Known) -> Found:
    """What the factors are: one for each index of an axis, another input, the element itself."""
    for i, j in itertools.combinations(range(len(s.shape)), 2):
        places_ = s.row_places[:, i] * s.shape[j] + s.row_places[:, j]
        if len(s.shape) > 2 and all(_by_index(factors, s.row_places[:, k], s.shape[k]) is None for k in (i, j)):
            by_pair = _by_index(factors, places_, s.shape[i] * s.shape[j])
            if by_pair is not None:
                low, high = float(np.nanmin(by_pair)), float(np.nanmax(by_pair))
                return "factor_along", f"off by a factor of its own for each index along axis {i} and axis {j}, {low:.4g} to {high:.4g} times"
    for axis, size in enumerate(s.shape):
        by_index = _by_index(factors, s.row_places[:, axis], size)
        if by_index is not None:
            bad = by_index[np.isfinite(by_index) & (np.abs(by_index - 1) > 1e-5)]
            if len(bad) < size and np.allclose(bad, bad[0], rtol=1e-5):
                at = np.flatnonzero(np.isfinite(by_index) & (np.abs(by_index - 1) > 1e-5)).tolist()
                return "factor", f"{times(float(bad[0]))}; wrong only at {ranges(at)} of axis {axis} (size {size})"
            return "factor_along", f"off by a factor of its own for each index along axis {axis}{_named(by_index, known)}"
    if named := _named_elements(factors, s, known):
        return named
    fits = np.isfinite(factors)
    own = np.array([float(s.values[row]) for row in s.rows])
    if np.allclose(factors[fits], own[fits], rtol=1e-5, atol=1e-9):
        return "factor_along", f"off by a factor of its own for each element, which is {s.name} itself there: it has gone in once too often"
    return None


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
        if text := _by_value(at[some], bad[some], words):
            how = one_column_each(s)
            return "value", text.removeprefix(", ") + (f"; there {how}" if how else "")
    return None


def output_factors(s: Shares, known: Known) -> Found:
    """What comes through each output element is off by a factor of that element's own."""
    if not s.single_output or len(s.columns) < 2:
        return None
    factors = _factors(s.analytic.T, s.numeric.T, s)
    if factors is None:
        return _factors_or_none(s)
    finite = np.isfinite(factors)
    if _says_nothing(factors):
        return None
    for axis, size in enumerate(s.output_shape):
        by_index = _by_index(factors, s.column_places[:, axis], size)
        if by_index is not None:
            places = np.flatnonzero(np.isfinite(by_index) & (np.abs(by_index - 1) > 1e-5))
            return "factor_along", ("what comes through y is off by a factor of its own for each index along axis "
                                    f"{axis} of y ({ranges(places.tolist())} are wrong){_named(by_index, known)}")
    y = np.array([float(s.y[c.output][c.index]) for c in s.columns])
    bad = np.asarray(finite & (np.abs(factors - 1) > 1e-5))
    where = _by_value(y[finite], bad[finite], "y")
    order = [k for k in np.argsort(y) if bad[k]]
    shown = [order[int(k)] for k in np.unique(np.linspace(0, len(order) - 1, min(5, len(order))).astype(int))]
    table = "; ".join(f"y = {y[k]:.4g}: {factors[k]:.6g} times" for k in shown)
    if np.allclose(factors[finite], y[finite], rtol=1e-5, atol=1e-9):
        table = "the factor is y itself"
    where = where or _among_columns(s, bad)
    guess = _known_output_slope(y[finite], factors[finite])
    return "value" if where else "slope", ("what comes through each element of y is off by a factor of that element's own, as with "
                                           f"a wrong slope of the last function before y{where}: {table}{guess}")


def _factors_or_none(s: Shares) -> Found:
    """The same where what comes through some elements of y should be zero."""
    factors = _factors_or_much(s.analytic.T, s.numeric.T, s)
    if factors is None or not np.isinf(factors).any() or (np.abs(s.numeric) > 1e-3 * s.scale).sum(axis=0).max() < 3:
        return None
    bad = [k for k in range(len(factors)) if not np.isnan(factors[k]) and abs(factors[k] - 1) > 1e-5]
    if len(bad) < 3 or np.isinf(factors[bad]).all():
        return None
    y = [float(s.y[column.output][column.index]) for column in s.columns]
    shown = [bad[int(k)] for k in np.unique(np.linspace(0, len(bad) - 1, min(5, len(bad))).astype(int))]
    table = "; ".join(f"y = {y[k]:.4g}: " + ("should be zero" if np.isinf(factors[k]) else f"{factors[k]:.6g} times") for k in shown)
    return "slope", ("what comes through each element of y is off by a factor of that element's own or should be zero, as with a wrong slope of the last "
                     f"function before y: {table}")


def inner_factors(s: Shares, known: Known) -> Found:
    """Off by factors that are the same all along the last axis of y: wrong before the last mix into y."""
    if not s.single_output or len(s.output_shape) < 2 or s.output_shape[-1] < 2:
        return None
    groups: dict[tuple[int, ...], list[int]] = {}
    for k, column in enumerate(s.columns):
        groups.setdefault(column.index[:-1], []).append(k)
    factors, mixed = [], 0
    for places_ in groups.values():
        if len(places_) < 2:
            return None
        a, n = s.analytic[:, places_], s.numeric[:, places_]
        line = _factors_or_much(a, n, s)
        if line is None:
            return None
        mixed += int(((np.abs(n) > 1e-3 * s.scale).sum(axis=1) > 1).sum())
        factors.append(line)
    found = np.concatenate(factors)
    much = " or should be zero" if np.isinf(found).any() else ""
    found = found[np.isfinite(found)]
    if mixed < 3 or len(found) < 2 or _says_nothing(found) or not (np.abs(found) > 1e-6).any():
        return None
    low, high = float(found.min()), float(found.max())
    return "slope", (f"off by factors ({low:.4g} to {high:.4g} times{much}) that are the same for everything along the last axis of y: what is "
                     "wrong comes in before y is mixed together from it, as with a wrong slope inside")


def _among_columns(s: Shares, bad: Array) -> str:
    """The indices of an axis of y outside of which nothing is wrong, if that tells wrong from right."""
    for axis, size in enumerate(s.output_shape):
        place = s.column_places[:, axis]
        inside = set(place[bad].tolist())
        if len(inside) < size and not inside & set(place[~bad].tolist()):
            return f", wrong only through y at {ranges(inside)} of its axis {axis}"
    return ""


def _known_output_slope(y: Array, factors: Array) -> str:
    """The slope that was taken for that of tanh or sigmoid, if it is one that one knows."""
    if len(y) < 3:
        return ""
    with np.errstate(all="ignore"):
        for name, true in (("tanh", 1 - y ** 2), ("sigmoid", y * (1 - y)), ("softplus", 1 - np.exp(-y))):
            for words, slope in SLOPES.items():
                if np.abs(y).max() < 1 + 1e-12 or name == "softplus":
                    at_y = words.replace("x (", "y (").replace("(x)", "(y)").replace("x", "y").replace("eyp", "exp")
                    if np.allclose(factors * true, slope(y), rtol=1e-5, atol=1e-8) and not np.allclose(true, slope(y)):
                        return f"; it fits a {name} whose slope is taken for {at_y}"
    return ""


def _says_nothing(factors: Array) -> bool:
    """One factor for all is looked for elsewhere; of factors of 0 and 1 the places say more."""
    found = factors[np.isfinite(factors)]
    return len(found) < 2 or np.allclose(found, found[0], rtol=1e-5) or bool((np.isclose(found, 1, atol=1e-6) | np.isclose(found, 0, atol=1e-6)).all())


def _factors(a: Array, n: Array, s: Shares) -> Array | None:
    """k for each line such that a = k n; NaN for lines of zeros; None if some line is no multiple."""
    size = (n * n).sum(axis=1)
    zero = np.abs(n).max(axis=1, initial=0.0) <= s.floor
    with np.errstate(all="ignore"):
        factors = np.where(zero, np.nan, (a * n).sum(axis=1) / size)
    fits = s.same(a, np.where(zero, 0.0, factors)[:, None] * n)
    proves = ((np.abs(n) > 1e-3 * s.scale).sum(axis=1) > 1).sum() > 1       # one number is always some number of times another
    return factors if proves and bool(fits.all()) else None


def _factors_or_much(a: Array, n: Array, s: Shares) -> Array | None:
    """k for each line such that a = k n; infinity where n is zero and a is not; NaN where both are; None if a line is no multiple."""
    size = (n * n).sum(axis=1)
    zero, none = (np.abs(lines).max(axis=1, initial=0.0) <= s.floor for lines in (n, a))
    with np.errstate(all="ignore"):
        factors = np.where(zero, np.where(none, np.nan, np.inf), (a * n).sum(axis=1) / size)
    fits = s.same(a, np.where(zero, 0.0, factors)[:, None] * n) | zero[:, None]
    return factors if bool(fits.all()) else None


def _by_index(factors: Array, places: Array, size: int) -> Array | None:
    """One factor for each index of an axis if they depend on it alone, each seen more than once or the axis being all."""
    found = np.full(size, np.nan)
    seen_twice = False
    for index in range(size):
        values = factors[(places == index) & np.isfinite(factors)]
        if len(values) and not np.allclose(values, values[0], rtol=1e-5, atol=1e-9):
            return None
        if len(values):
            found[index] = values[0]
        seen_twice = seen_twice or len(values) > 1
    return found if np.isfinite(found).sum() > 1 and (seen_twice or len(factors) == size) else None


def _named_elements(factors: Array, s: Shares, known: Known) -> Found:
    """Whether each factor is the element at the same place of another input."""
    fits = np.isfinite(factors)
    for name, values in known.arrays.items():
        if values.shape != s.shape or name == s.name or fits.sum() < 2:
            continue
        own = np.array([float(values[row]) for row in s.rows])
        with np.errstate(all="ignore"):
            for words, form in (("{}", own), ("1 / {}", 1 / own)):
                if np.allclose(form[fits], factors[fits], rtol=1e-5, atol=1e-9):
                    role = "it is left out" if words.startswith("1 /") else "it has gone in once too often"
                    return "factor_along", f"off by a factor of its own for each element, which is {words.format(name)} there: {role}"
    return None


def _named(factors: Array, known: Known) -> str:
    """Which other tensor's values these factors are, or the first of them."""
    fits = np.isfinite(factors)
    forms: tuple[tuple[str, Callable[[Array], Array]], ...] = (
        ("{}", lambda v: v), ("1 / {}", lambda v: 1 / v), ("{} ** 2", lambda v: v * v), ("1 / {} ** 2", lambda v: 1 / (v * v)))
    for name, vector in known.vectors.items():
        if vector.shape != factors.shape or fits.sum() < 2:
            continue
        for words, form in forms:
            with np.errstate(all="ignore"):
                if np.allclose(form(vector)[fits], factors[fits], rtol=1e-5, atol=1e-9):
                    role = "it is left out" if words.startswith("1 /") else "it has gone in once too often"
                    return f", which is {words.format(name)}: {role}"
    values = ", ".join(f"{value:.5g}" for value in factors[:6])
    return f": {values}" + (", …" if len(factors) > 6 else "")


def overwritten(s: Shares, known: Known) -> Found:
    """Of several contributions to one coordinate only one has gone in."""
    if known.ids is not None and s.is_weight and (found := _repeated(s, known.ids)):
        return found
    bad = s.wrong
    if not bad.any() or (np.abs(s.analytic[bad]) > s.floor).any():
        return None
    if any(a == b and _keeps_own_place(s, s.shape[a], steps) for a, b, steps in s.steps()):
        return None
    for leading in (False, True):
        if _keeps_one(s, _places_of_y(s, leading)):
            if s.is_square and not leading and bool((s.right == (s.diagonal & s.support))[s.wrong_rows].all()):
                return None                             # `elementwise` has the better words
            return "overwritten", ("only one contribution has gone in where several outputs depend on one element, as with = for += (or "
                                   "grad[indices] += … with an index twice, where np.add.at is wanted)")
    return None


def _keeps_own_place(s: Shares, size: int, steps: Array) -> bool:
    """Whether y depends on all places of an axis from first to last, and all of the same place has gone in, but nothing else."""
    across = (np.abs(s.numeric) > s.floor) & (np.abs(steps) == size - 1)
    return size > 2 and bool(across.any()) and not (s.wrong & (steps == 0)).any() and not (s.right & (steps != 0)).any()


def _places_of_y(s: Shares, leading: bool) -> list[list[int]]:
    """The columns, each alone, or together all along the last axis of y (the channels of one place)."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for k, column in enumerate(s.columns):
        groups.setdefault((column.output, *(column.index[:-1] if leading else column.index)), []).append(k)
    return list(groups.values())


def _keeps_one(s: Shares, groups: list[list[int]]) -> bool:
    """Whether of the groups that a wrong coordinate depends on exactly one has gone in, whole."""
    if len(groups) < 2 or len(s.wrong_rows) < 2:
        return False
    kept = np.stack([s.right[:, g].any(axis=1) for g in groups], axis=1)
    broken = np.stack([s.wrong[:, g].any(axis=1) for g in groups], axis=1)
    wrong = s.wrong_rows
    return bool((kept.sum(axis=1) <= 1).all() and (kept[wrong].sum(axis=1) == 1).all() and not (kept & broken).any())


def _repeated(s: Shares, ids: Array) -> Found:
    values, counts = np.unique(ids, return_counts=True)
    repeated = set(values[counts > 1].tolist())
    bad = {s.rows[int(k)][0] for k in s.wrong_rows}
    touched = {s.rows[int(k)][0] for k in np.flatnonzero(s.support.any(axis=1))}
    if not bad or not bad <= repeated or bad == touched:
        return None
    return "repeated_ids", (f"wrong only in the rows {ranges(bad)}, whose ids occur more than once: grad[ids] += dy adds for one of "
                            "them only; np.add.at(grad, ids, dy) adds for all")


def one_share(s: Shares, known: Known) -> Found:
    """What comes through one index of an axis of y is all that has gone in: one sample, one time step."""
    if not s.single_output or (np.abs(s.analytic[s.wrong]) > s.floor).any():
        return None
    kept, lost = s.right.any(axis=0), s.wrong.any(axis=0)
    if not kept.any() or (kept & lost).any():
        return None
    sets = [set(s.column_places[kept, axis].tolist()) for axis in range(len(s.output_shape))]
    inside = np.all([np.isin(s.column_places[:, axis], list(each)) for axis, each in enumerate(sets)], axis=0)
    if (inside & lost).any():
        return None
    seen = [set(s.column_places[kept | lost, axis].tolist()) for axis in range(len(sets))]
    alone = [axis for axis, each in enumerate(sets) if not each & set(s.column_places[lost, axis].tolist())]
    told = alone[:1] or [axis for axis, each in enumerate(sets) if each != seen[axis]]
    where = " and ".join(f"{ranges(sets[axis])} of its axis {axis}" for axis in told)
    if len(told) == 1 and len(sets[told[0]]) == 1:
        axis, index = told[0], sets[told[0]].copy().pop()
        which = {max(seen[axis]): "last", min(seen[axis]): "first"}.get(index, "")
        is_time = axis == known.time_axis and len(s.output_shape) == 3
        what = "sample" if axis == 0 else "time step" if is_time else f"index of axis {axis}"
        kind = "one_sample" if axis == 0 else "one_step" if is_time else "place"
        if which:
            return kind, (f"holds the share of the {which} {what} alone (what comes through y at {where}): = for += in a loop, or a sum "
                          "left out?")
    if sum(len(seen[axis]) > 2 * len(sets[axis]) or len(sets[axis]) == 1 for axis in told) == len(told) and told:
        return "place", f"only what comes through y at {where} has gone in: = for += in a loop, or a sum left out?"
    return None


def reversed_choice(s: Shares, known: Known) -> Found:
    """Zero where there should be something and something where there should be zero, by a mask or a sign: the wrong way round."""
    too_much = s.wrong & (np.abs(s.numeric) <= s.floor)
    lost = s.wrong & (np.abs(s.analytic) <= s.floor)
    if not too_much.any() or not lost.any() or (s.wrong & ~too_much & ~lost).any():
        return None
    turned = "" if s.right.any() else "the wrong way round: "
    for words, label in s.labels.items():
        there = np.broadcast_to(label, s.wrong.shape)
        kind = "mask" if "mask" in words else "value"
        if (too_much <= there).all() and (lost <= ~there).all():
            return kind, f"{turned}too much where {words} (it should be zero), missing elsewhere"
        if (too_much <= ~there).all() and (lost <= there).all():
            return kind, f"{turned}missing where {words}, too much elsewhere (it should be zero)"
    return None


def layout(s: Shares, known: Known) -> Found:
    """The right numbers in other places: axes swapped, in reverse, moved round, halves swapped."""
    if (np.abs(s.analytic) <= s.floor).all():
        return None
    if s.is_whole and len(s.shape):
        ours, right = s.grid(s.analytic), s.grid(s.numeric)
        for text, kind, move in _moves(s.shape):
            if s.all_same(ours, move(right)):
                return kind, text
    if s.is_whole and 1 < len(s.rows) <= MOST_LINES:
        order = permutation(s.analytic, s.numeric, s.same)
        if order is not None:
            moved = [k for k, other in enumerate(order) if k != other and not s.all_same(s.numeric[k], s.numeric[other])]
            shown = "; ".join(f"{list(s.rows[k])} holds what belongs to {list(s.rows[order[k]])}" for k in moved[:3])
            return "moved", f"the right numbers in other places{_among_rows(s, moved)}: {shown}" + ("; …" if len(moved) > 3 else "")
        if found := _moved_inside(s, ours, right):
            return found
    return _moved_output(s)


def _among_rows(s: Shares, lines: list[int]) -> str:
    """ ", at 5-9 of axis 1": the indices among which these rows lie, along each axis where that is not all."""
    sets = [set(s.row_places[lines, axis].tolist()) for axis in range(len(s.shape))]
    told = [f"{ranges(inside)} of axis {axis} (size {size})" for axis, (inside, size) in enumerate(zip(sets, s.shape, strict=True)) if len(inside) < size]
    return ", at " + " and ".join(told) if told else ""


def _moved_inside(s: Shares, ours: Array, right: Array) -> Found:
    """Moved along an axis, with something else where nothing is left."""
    for axis, size in enumerate(s.shape):
        for by in (1, -1, 2, -2, 3, -3, 4, -4):
            if size - abs(by) < 2:
                continue
            ahead, behind = range(max(by, 0), size + min(by, 0)), range(max(-by, 0), size + min(-by, 0))
            a, n = np.take(ours, ahead, axis), np.take(right, behind, axis)
            if s.all_same(a, n) and np.abs(n).max(initial=0.0) > s.floor and not s.all_same(n, np.take(right, ahead, axis)):
                return "rolled", f"moved by {by} along axis {axis}: at each place stands what belongs {abs(by)} {'before' if by > 0 else 'behind'} it"
    return None


def _moved_output(s: Shares) -> Found:
    """The numbers are right for a dy whose elements stood elsewhere."""
    shape = s.output_shape
    if not s.single_output or len(s.columns) != int(np.prod(shape)) or len(s.columns) < 2 or len(s.columns) > MOST_LINES:
        return None
    ours, right = (a.T.reshape(*shape, len(s.rows)) for a in (s.analytic, s.numeric))
    for text, kind, move in _moves(shape):
        if s.all_same(ours, move(right)):
            return kind, f"right for a dy {text.replace('along axis', 'along its axis')}"
    order = permutation(s.analytic.T, s.numeric.T, s.same)
    if order is None:
        return None
    moved = [k for k, other in enumerate(order) if k != other and not s.all_same(s.numeric[:, k], s.numeric[:, other])]
    shown = "; ".join(f"what belongs to dy at {list(s.columns[order[k]].index)} comes from dy at {list(s.columns[k].index)}" for k in moved[:3])
    return "moved", f"right for a dy whose elements stand in other places: {shown}" + ("; …" if len(moved) > 3 else "")


def _moves(shape: tuple[int, ...]) -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
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
            yield f"the two halves along axis {axis} are swapped: in other places", "moved", partial(np.roll, shift=size // 2, axis=axis)
        for by in (1, -1, 2, -2):
            if size > 2 and abs(by) < size:
                yield (f"moved by {by} along axis {axis} (the last comes first again)", "rolled", partial(np.roll, shift=by, axis=axis))
                yield (f"moved by {by} along axis {axis}, with zeros where nothing is left", "rolled", partial(_shift, by=by, axis=axis))
    for axis in axes:
        size = shape[axis]
        for parts in range(2, size):
            if size % parts == 0 and size // parts > 1:
                order = np.arange(size).reshape(parts, size // parts).T.ravel()
                yield (f"read in the wrong order along axis {axis}: in other places, as if {parts} parts of {size // parts} were {size // parts} "
                       f"of {parts}", "moved", partial(np.take, indices=order, axis=axis))
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


def steps_of(s: Shares, axis: int) -> Array:
    """How much later along this axis each element of y is than each coordinate."""
    return np.asarray(s.column_places[None, :, axis] - s.row_places[:, axis, None])


def later_steps(s: Shares, known: Known) -> Found:
    """What comes from other time steps of y than the own one, where y at one step depends on all steps before (or behind) it."""
    axis = known.time_axis
    if axis is None or s.is_weight or not s.single_output or len(s.shape) <= max(axis, 2) or s.shape[axis] < 3:
        return None
    size = s.shape[axis]
    if len(s.output_shape) < len(s.shape):
        return _right_at_an_end(s, axis)
    if size != s.output_shape[axis]:
        return None
    steps = steps_of(s, axis)
    reach = np.abs(s.numeric) > s.floor
    for away in (steps, -steps, np.abs(steps)):
        if (reach & (away < 0)).any() or not all((reach & (away == k)).any() for k in range(size)):
            continue
        own, others = steps == 0, (away > 0) & s.support
        if s.wrong[own].any() or not s.wrong[others].any():
            return None
        return _of_other_steps(s, known, axis, others, away)
    return None


def _of_other_steps(s: Shares, known: Known, axis: int, others: Array, away: Array) -> Found:
    """What is wrong with what comes from other time steps, which `others` is true for."""
    bad = others & s.wrong
    missing = bool((np.abs(s.analytic[bad]) <= s.floor).all())
    what = "missing" if missing else f"wrong{_per_step(s, bad, away)}"
    if not known.order_matters:
        return "place", f"right for what comes through y at the same place along axis {axis}, {what} for what comes from other places along it"
    far = int(away[bad].min())
    towards = steps_of(s, axis)[bad]
    words = "later" if (towards > 0).all() else "earlier" if (towards < 0).all() else "earlier and later"
    near = f", wrong from {far} steps away" if far > 1 and (others & s.right).any() else ""
    return "carry", (f"right for what comes through y at the same time step, {what} for what comes from {words} steps{near} "
                     "(in a recurrent layer: the carry, what one step hands back to another)")


def _right_at_an_end(s: Shares, axis: int) -> Found:
    """y has no time axis: right at the last time step of x alone, or at the first alone."""
    place = s.row_places[:, axis]
    bad, seen = set(place[s.wrong_rows].tolist()), set(place.tolist())
    for end, words, others in ((max(seen), "last", "before it"), (min(seen), "first", "behind it")):
        if bad == seen - {end} and s.right[place == end].any():
            how = one_column_each(s) or "wrong"
            return "carry", (f"right at the {words} time step, {how} at all {others} (in a recurrent layer: what later steps send back, "
                             "the carry)")
    return None


def _per_step(s: Shares, bad: Array, steps: Array) -> str:
    """ ", 0.5 times for each step between": if so."""
    with np.errstate(all="ignore"):
        ratio = s.analytic[bad] / s.numeric[bad]
        strong = np.abs(s.numeric[bad]) > 1e-3 * s.scale
        if not strong.any() or (ratio[strong] <= 0).any():
            signs = ratio[strong]
            flips = len(signs) and np.allclose(signs, (-1.0) ** steps[bad][strong], rtol=1e-4)
            return ", with the sign flipped for each step between," if flips else ""
        each = ratio[strong] ** (1 / steps[bad][strong])
    if np.allclose(each, each[0], rtol=1e-4):
        return f", {each[0]:.5g} times for each step between,"
    return ""


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
        tried = (((one,), "one and the same amount"), ((centred,), f"a multiple of {x_name} - mean({x_name})"),
                 ((values,), f"a multiple of {x_name} itself"), ((one, centred), f"a multiple of {x_name} and an amount that is the same for all"))
        for terms, words in tried[2:3] if s.is_weight else tried:
            if size >= len(terms) + 2 and _spans(s, lines, terms):
                return "missing_sum", f"wrong by {words} along axis {name}: a sum (or mean) over axis {name} is missing, too much or not the right one"
    return None


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
    forwards, backwards = ([a for a, b, steps in s.steps() if a == b and (np.abs(account) > s.floor)[np.broadcast_to(steps != 0, account.shape)].any()]
                           for account in (s.numeric, s.analytic))
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


def _along(axes: list[int]) -> str:
    return f"along axis {' and '.join(map(str, axes))}" if axes else "along none"


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
    return "moved", (f"what comes through {len(columns)} elements of y arrives at another place{where} than it should: through y at "
                     f"{list(s.columns[column].index)} it comes to {list(s.rows[got])} and should be zero there, it belongs to {list(s.rows[want])}")


def other_places(s: Shares, known: Known) -> Found:
    """What comes through y at other places than the own one is off by one factor, or by one that y has there."""
    if not s.is_square:
        return None
    off = ~s.diagonal & (np.abs(s.numeric) > 1e-4 * s.scale)
    if off.sum() < 4 or not s.wrong[off].any() or (s.wrong & ~s.diagonal & ~off & (np.abs(s.analytic) > 1e-3 * s.scale)).any():
        return None
    with np.errstate(all="ignore"):
        ratio = s.analytic / s.numeric
    y = np.array([[float(s.y[c.output][c.index]) for c in s.columns]])
    x = np.array([[float(s.y[s.columns[0].output][row])] for row in s.rows])
    where = "what comes through y at another place than its own is"
    own = "" if s.wrong[s.diagonal].any() else ", what comes through its own place is right"
    if np.allclose(ratio[off], ratio[off][0], rtol=1e-4):
        value = float(ratio[off][0])
        return "factor", f"{where} {times(value)}{_one_over(value)}{own}"
    for words, form in (("y", y), ("1 / y", 1 / y), ("exp(-y)", np.exp(-y)), ("exp(y)", np.exp(y))):
        if np.allclose(np.broadcast_to(form, ratio.shape)[off], ratio[off], rtol=1e-4):
            return "factor_along", f"{where} off by a factor, {words} at that other place{own}"
    for words, form in (("y", x), ("1 / y", 1 / x), ("y / exp(y)", x / np.exp(x)), ("exp(y) / y", np.exp(x) / x)):
        if np.allclose(np.broadcast_to(form, ratio.shape)[off], ratio[off], rtol=1e-4):
            return "factor_along", f"{where} off by a factor, {words} at its own place{own}"
    return None


def _one_over(value: float) -> str:
    """ " (1/5)" for a fifth."""
    count = round(1 / abs(value)) if value else 0
    return f" (1/{count})" if count > 2 and abs(count * abs(value) - 1) < 1e-6 else ""


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
    if not _says_nothing(factors) and (np.abs(got[~np.isfinite(factors)]) <= s.floor).all() and (found := _factor_of_rows(factors, s, known)):
        return found
    return few_factors(s, known) or _table(s, known, own)


def _table(s: Shares, known: Known, own: Array) -> Found:
    """The slopes of some elements, each through the one element of y that it has to do with."""
    bad = s.wrong_rows
    order = bad[np.argsort([float(s.values[s.rows[k]]) for k in bad])]
    shown = [order[int(k)] for k in np.unique(np.linspace(0, len(order) - 1, min(5, len(order))).astype(int))]
    others = {name: values for name, values in known.arrays.items() if name != s.name and values.shape == s.shape}
    lines = []
    for k in shown:
        row, column = s.rows[k], int(own[k])
        given = ", ".join([f"{s.name} = {float(s.values[row]):.4g}", *(f"{name} = {float(values[row]):.4g}" for name, values in others.items())])
        lines.append(f"at {list(row)} {given}: slope {s.numeric[k, column]:.6g}, backward has {s.analytic[k, column]:.6g}")
    return "slope", f"each element with a slope of its own, and a wrong one{_among_places(s, bad)}: " + "; ".join(lines)


def few_factors(s: Shares, known: Known) -> Found:
    """Too much at some places, missing or some times what it should be at others."""
    groups: list[tuple[float, Array]] = []
    with np.errstate(all="ignore"):
        ratio = np.where(np.abs(s.numeric) <= s.floor, np.inf, np.where(np.abs(s.analytic) <= s.floor, 0.0, s.analytic / s.numeric))
    weak = np.abs(s.numeric) <= 1e-4 * s.scale
    left = s.wrong & ~(weak & np.isfinite(ratio))
    while left.any() and len(groups) < 4:
        value = float(ratio[left][0])
        inside = left & (ratio == value if np.isinf(value) else np.abs(ratio - value) <= 1e-5 * abs(value))
        groups.append((value, inside))
        left = left & ~inside
    if left.any() or s.wrong.sum() < max(4, 2 * len(groups)) or any(inside.sum() < 2 for _, inside in groups):
        return None
    places_ = {value: _places_in_words(s, inside) for value, inside in sorted(groups, key=lambda group: group[0])}
    if list(places_.values()).count(SOME) > 1:
        return None
    texts = [f"{_factor_words(value)} {place}" for value, place in places_.items()]
    values = {value for value, _ in groups}
    kind = "extra" if values == {np.inf} else "zero" if values == {0.0} else "place" if values == {0.0, np.inf} else "factor"
    return kind, ", ".join(texts)


def _factor_words(value: float) -> str:
    return "should be zero" if np.isinf(value) else "missing (zero there)" if value == 0 else times(value)


def _places_in_words(s: Shares, pairs: Array) -> str:
    """Which rows these pairs are in: "at 0, 2 of axis 1 (size 4)", or the first of them; "at some" where that is everywhere."""
    for words, label in s.labels.items():
        there = np.broadcast_to(label, pairs.shape)
        if (pairs <= there).all() and not (s.wrong & there & ~pairs).any():
            return f"where {words}"
    if through := _steps_in_words(s, pairs):
        return through
    rows = np.flatnonzero(pairs.any(axis=1))
    sets = [sorted(set(s.row_places[rows, axis].tolist())) for axis in range(len(s.shape))]
    told = [f"{ranges(inside)} of axis {axis} (size {size})" for axis, (inside, size) in enumerate(zip(sets, s.shape, strict=True)) if len(inside) < size]
    inside = np.all([np.isin(s.row_places[:, axis], each) for axis, each in enumerate(sets)], axis=0) if sets else np.ones(1, bool)
    if told and (s.support.any(axis=1) & inside).sum() == len(rows):
        return "at " + " and ".join(told)
    if len(rows) == len(s.rows):
        columns = _among_columns(s, np.asarray(pairs.any(axis=0))) if not (s.wrong & ~pairs).any() else ""
        return columns.removeprefix(", wrong only ") or SOME
    shown = ", ".join(str(list(s.rows[int(k)])) for k in rows[:3])
    return f"at {shown}" + (f", … ({len(rows)} elements)" if len(rows) > 3 else "")


def _steps_in_words(s: Shares, pairs: Array) -> str:
    """How these pairs lie to each other along an axis, if that tells them from all others."""
    for a, b, steps in s.steps():
        for words, there in (("its own place", steps == 0), ("places behind its own", steps > 0), ("places before its own", steps < 0),
                             ("other places than its own", steps != 0)):
            there = np.broadcast_to(there, pairs.shape)
            if (pairs <= there).all() and not (s.wrong & there & ~pairs).any() and (s.support & ~there).any():
                return f"through y at {words} along axis {b}" + (f" (its own on axis {a})" if a != b else "")
    return ""


def named_pairs(s: Shares, known: Known) -> Found:
    """What comes through each element of y is off by an input's element at the same place."""
    if not s.single_output or s.numeric.size < 4:
        return None
    for name, values in known.arrays.items():
        if values.shape != s.output_shape or values.dtype.kind != "f" or np.ptp(values) < 1e-6:
            continue
        there = np.array([[float(values[column.index]) for column in s.columns]])
        if s.all_same(s.analytic * there, s.numeric) and not s.all_same(s.analytic, s.numeric):
            return "factor_along", f"what comes through each element of y is off by a factor of its own, which is 1 / {name} there: {name} is left out"
        if s.all_same(s.analytic, s.numeric * there):
            return "factor_along", f"what comes through each element of y is off by a factor of its own, which is {name} there: it has gone in once too often"
    return None


def one_column_each(s: Shares) -> str:
    """The wrong pairs' ratio, if it is one: "zero there", "should be zero there", "twice as large …"."""
    bad = s.wrong
    ours, right = s.analytic[bad], s.numeric[bad]
    if (np.abs(ours) <= s.floor).all():
        return MISSING
    if (np.abs(right) <= s.floor).all():
        return TOO_MUCH
    with np.errstate(all="ignore"):
        ratio = ours / right
    strong = np.abs(right) > 1e-3 * s.scale
    if strong.any() and s.all_same(ours, np.median(ratio[strong]) * right):
        return times(float(np.median(ratio[strong])))
    return ""


def places(s: Shares) -> list[str]:
    """Where the wrong pairs lie, as far as it takes to tell them from the right ones: in the tensor, in y, and to each other."""
    bad, good = s.wrong.copy(), s.right.copy()
    texts: list[str] = []
    for _ in range(3):
        if not good.any() or not bad.any():
            break
        best: tuple[float, str, Array] | None = None
        for kind, words, values in s.attributes():
            values = np.broadcast_to(values, bad.shape)
            inside, seen = np.unique(values[bad]), np.unique(values[s.support])
            if len(inside) == len(seen):
                continue
            still = good & np.isin(values, inside)
            score = still.sum() / good.sum() + 0.01 * len(inside) / len(seen)
            if still.sum() < good.sum() and (best is None or score < best[0]):
                best = score, _attribute_words(kind, words, inside, s), still
        step = _best_step(s, bad, good)
        if step is not None and (best is None or step[0] < best[0]):
            best = step
        if best is None:
            break
        texts.append(best[1])
        good = best[2]
    return texts


def _attribute_words(kind: str, words: str, inside: Array, s: Shares) -> str:
    if kind == "row":
        return f"wrong only at {ranges(inside.tolist())} of {words}"
    if kind == "column":
        return f"wrong only through y at {ranges(inside.tolist())} of its {words.removesuffix(' of y')}"
    if kind == "output":
        last = max(column.output for column in s.columns)
        return f"only what comes through output {' and '.join(map(str, inside.tolist()))} of 0-{last} is wrong"
    is_true = bool(inside.tolist() == [True] or inside.tolist() == [1])
    return f"wrong only where {words}" if is_true else f"wrong only where not: {words}"


def _best_step(s: Shares, bad: Array, good: Array) -> tuple[float, str, Array] | None:
    best: tuple[float, str, Array] | None = None
    for a, b, steps in s.steps():
        for words, mask in (("at the same place", steps == 0), ("behind its own place", steps > 0), ("before its own place", steps < 0),
                            ("at another place", steps != 0), ("one place behind its own", steps == 1), ("one place before its own", steps == -1)):
            if (bad & ~mask).any():
                continue
            still = good & mask
            score = still.sum() / good.sum() + 0.005
            if still.sum() < good.sum() and (best is None or score < best[0]):
                axis = f"axis {b}" if a == b else f"axis {b} (its own on axis {a})"
                best = score, f"wrong only for what comes through y {words} along {axis}", still
    return best
