"""Shares that are off by a factor: of each coordinate, of each element of y, or of what lies between."""
import itertools
from collections.abc import Callable

import numpy as np

from nblayers.gradient_check.patterns.known import SLOPES, SOME, Found, Known, told_by_bound
from nblayers.gradient_check.patterns.places import among_columns, places_in_words
from nblayers.gradient_check.shares import Array, Shares
from nblayers.gradient_check.words import ranges, times


def own_factors(s: Shares, known: Known) -> Found:
    """Each coordinate is off by a factor of its own, whatever output it comes through."""
    factors = _factors(s.analytic, s.numeric, s)
    if factors is None or len(s.rows) < 2 or says_nothing(factors) or (len(s.columns) == 1 and not known.is_separable):
        return None
    if found := factor_of_rows(factors, s, known):
        return found
    if s.is_weight:
        return None
    x = np.array([float(s.values[row]) for row in s.rows])
    order = [k for k in np.argsort(x) if np.isfinite(factors[k])]
    shown = [order[int(k)] for k in np.unique(np.linspace(0, len(order) - 1, min(5, len(order))).astype(int))]
    table = "; ".join(f"x = {x[k]:.4g}: {factors[k]:.6g} times" for k in shown)
    return "slope", (f"each element is off by a factor of its own, the same through every output, as with a wrong slope at x: "
                     f"{table}")


def factor_of_rows(factors: Array, s: Shares, known: Known) -> Found:
    """What the factors are: one for each index of an axis, another input, the element itself."""
    for i, j in itertools.combinations(range(len(s.shape)), 2):
        places_ = s.row_places[:, i] * s.shape[j] + s.row_places[:, j]
        if len(s.shape) > 2 and all(_by_index(factors, s.row_places[:, k], s.shape[k]) is None for k in (i, j)):
            by_pair = _by_index(factors, places_, s.shape[i] * s.shape[j])
            if by_pair is not None:
                low, high = float(np.nanmin(by_pair)), float(np.nanmax(by_pair))
                return "factor_along", (f"off by a factor of its own for each index along axis {i} and axis {j}, {low:.4g} to "
                                        f"{high:.4g} times")
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
        return "factor_along", (f"off by a factor of its own for each element, which is {s.name} itself there: it has gone in "
                                f"once too often")
    return None


def output_factors(s: Shares, known: Known) -> Found:
    """What comes through each output element is off by a factor of that element's own."""
    if not s.single_output or len(s.columns) < 2:
        return None
    factors = _factors(s.analytic.T, s.numeric.T, s)
    if factors is None:
        return _factors_or_none(s)
    finite = np.isfinite(factors)
    if says_nothing(factors):
        return None
    for axis, size in enumerate(s.output_shape):
        by_index = _by_index(factors, s.column_places[:, axis], size)
        if by_index is not None:
            places = np.flatnonzero(np.isfinite(by_index) & (np.abs(by_index - 1) > 1e-5))
            return "factor_along", (f"what comes through y is off by a factor of its own for each index along axis {axis} of "
                                    f"y ({ranges(places.tolist())} are wrong){_named(by_index, known)}")
    y = np.array([float(s.y[c.output][c.index]) for c in s.columns])
    bad = np.asarray(finite & (np.abs(factors - 1) > 1e-5))
    where = told_by_bound(y[finite], bad[finite], "y")
    order = [k for k in np.argsort(y) if bad[k]]
    shown = [order[int(k)] for k in np.unique(np.linspace(0, len(order) - 1, min(5, len(order))).astype(int))]
    table = "; ".join(f"y = {y[k]:.4g}: {factors[k]:.6g} times" for k in shown)
    if np.allclose(factors[finite], y[finite], rtol=1e-5, atol=1e-9):
        table = "the factor is y itself"
    where = where or among_columns(s, bad)
    guess = _known_output_slope(y[finite], factors[finite])
    return "value" if where else "slope", ("what comes through each element of y is off by a factor of that element's own, "
                                           f"as with a wrong slope of the last function before y{where}: {table}{guess}")


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
    table = "; ".join(f"y = {y[k]:.4g}: " + ("should be zero" if np.isinf(factors[k]) else f"{factors[k]:.6g} times")
                      for k in shown)
    return "slope", ("what comes through each element of y is off by a factor of that element's own or should be zero, as "
                     f"with a wrong slope of the last function before y: {table}")


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
    if mixed < 3 or len(found) < 2 or says_nothing(found) or not (np.abs(found) > 1e-6).any():
        return None
    low, high = float(found.min()), float(found.max())
    return "slope", (f"off by factors ({low:.4g} to {high:.4g} times{much}) that are the same for everything along the last "
                     "axis of y: what is wrong comes in before y is mixed together from it, as with a wrong slope inside")


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


def says_nothing(factors: Array) -> bool:
    """One factor for all is looked for elsewhere; of factors of 0 and 1 the places say more."""
    found = factors[np.isfinite(factors)]
    if len(found) < 2 or np.allclose(found, found[0], rtol=1e-5):
        return True
    return bool((np.isclose(found, 1, atol=1e-6) | np.isclose(found, 0, atol=1e-6)).all())


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
    """k for each line such that a = k n; infinity where only n is zero, NaN where both are; None if a line is no multiple."""
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
                    return "factor_along", (f"off by a factor of its own for each element, which is {words.format(name)} "
                                            f"there: {role}")
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


def few_factors(s: Shares, known: Known) -> Found:
    """Too much at some places, missing or some times what it should be at others."""
    groups: list[tuple[float, Array]] = []
    with np.errstate(all="ignore"):
        ratio = np.where(np.abs(s.analytic) <= s.floor, 0.0, s.analytic / s.numeric)
        ratio[np.abs(s.numeric) <= s.floor] = np.inf
    weak = np.abs(s.numeric) <= 1e-4 * s.scale
    left = s.wrong & ~(weak & np.isfinite(ratio))
    while left.any() and len(groups) < 4:
        value = float(ratio[left][0])
        inside = left & (ratio == value if np.isinf(value) else np.abs(ratio - value) <= 1e-5 * abs(value))
        groups.append((value, inside))
        left = left & ~inside
    if left.any() or s.wrong.sum() < max(4, 2 * len(groups)) or any(inside.sum() < 2 for _, inside in groups):
        return None
    places_ = {value: places_in_words(s, inside) for value, inside in sorted(groups, key=lambda group: group[0])}
    if list(places_.values()).count(SOME) > 2:
        return None
    texts = [f"{_factor_words(value)} {place}" for value, place in places_.items()]
    values = {value for value, _ in groups}
    kind = "extra" if values == {np.inf} else "zero" if values == {0.0} else "place" if values == {0.0, np.inf} else "factor"
    return kind, ", ".join(texts)


def _factor_words(value: float) -> str:
    return "should be zero" if np.isinf(value) else "missing (zero there)" if value == 0 else times(value)


def named_pairs(s: Shares, known: Known) -> Found:
    """What comes through each element of y is off by an input's element at the same place."""
    if not s.single_output or s.numeric.size < 4:
        return None
    for name, values in known.arrays.items():
        if values.shape != s.output_shape or values.dtype.kind != "f" or np.ptp(values) < 1e-6:
            continue
        there = np.array([[float(values[column.index]) for column in s.columns]])
        if s.all_same(s.analytic * there, s.numeric) and not s.all_same(s.analytic, s.numeric):
            return "factor_along", (f"what comes through each element of y is off by a factor of its own, which is 1 / {name} "
                                    f"there: {name} is left out")
        if s.all_same(s.analytic, s.numeric * there):
            return "factor_along", (f"what comes through each element of y is off by a factor of its own, which is {name} "
                                    f"there: it has gone in once too often")
    return None
