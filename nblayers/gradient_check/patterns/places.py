"""Where the wrong shares lie, in words."""
import numpy as np

from nblayers.gradient_check.patterns.known import MISSING, SOME, TOO_MUCH
from nblayers.gradient_check.shares import Array, Shares
from nblayers.gradient_check.words import ranges, times


def among_places(s: Shares, rows: Array) -> str:
    """ ", wrong only at 3 of axis 0 (size 4)": the indices among which these rows lie, where others are right."""
    right = [k for k in range(len(s.rows)) if k not in set(rows.tolist())]
    for axis, size in enumerate(s.shape):
        inside = set(s.row_places[rows, axis].tolist())
        if len(inside) < size and not inside & set(s.row_places[right, axis].tolist()):
            return f", wrong only at {ranges(inside)} of axis {axis} (size {size})"
    return ""


def among_columns(s: Shares, bad: Array) -> str:
    """The indices of an axis of y outside of which nothing is wrong, if that tells wrong from right."""
    for axis, size in enumerate(s.output_shape):
        place = s.column_places[:, axis]
        inside = set(place[bad].tolist())
        if len(inside) < size and not inside & set(place[~bad].tolist()):
            return f", wrong only through y at {ranges(inside)} of its axis {axis}"
    return ""


def among_rows(s: Shares, lines: list[int]) -> str:
    """ ", at 5-9 of axis 1": the indices among which these rows lie, along each axis where that is not all."""
    sets = [set(s.row_places[lines, axis].tolist()) for axis in range(len(s.shape))]
    told = [f"{ranges(inside)} of axis {axis} (size {size})" for axis,
            (inside, size) in enumerate(zip(sets, s.shape, strict=True)) if len(inside) < size]
    return ", at " + " and ".join(told) if told else ""


def places_in_words(s: Shares, pairs: Array) -> str:
    """Which rows these pairs are in: "at 0, 2 of axis 1 (size 4)", or the first of them; "at some" where that is everywhere."""
    for words, label in s.labels.items():
        there = np.broadcast_to(label, pairs.shape)
        if (pairs <= there).all() and not (s.wrong & there & ~pairs).any():
            return f"where {words}"
    if through := _steps_in_words(s, pairs):
        return through
    rows = np.flatnonzero(pairs.any(axis=1))
    sets = [sorted(set(s.row_places[rows, axis].tolist())) for axis in range(len(s.shape))]
    told = [f"{ranges(inside)} of axis {axis} (size {size})" for axis,
            (inside, size) in enumerate(zip(sets, s.shape, strict=True)) if len(inside) < size]
    lies = [np.isin(s.row_places[:, axis], each) for axis, each in enumerate(sets)]
    inside = np.all(lies, axis=0) if sets else np.ones(1, bool)
    if told and (s.support.any(axis=1) & inside).sum() == len(rows):
        return "at " + " and ".join(told)
    if len(rows) == len(s.rows):
        columns = among_columns(s, np.asarray(pairs.any(axis=0))) if not (s.wrong & ~pairs).any() else ""
        return columns.removeprefix(", wrong only ") or SOME
    shown = ", ".join(str(list(s.rows[int(k)])) for k in rows[:3])
    return f"at {shown}" + (f", … ({len(rows)} elements)" if len(rows) > 3 else "")


def _steps_in_words(s: Shares, pairs: Array) -> str:
    """How these pairs lie to each other along an axis, if that tells them from all others."""
    for a, b, steps in s.steps():
        for words, there in (("its own place", steps == 0), ("places behind its own", steps > 0),
                             ("places before its own", steps < 0),
                             ("other places than its own", steps != 0)):
            there = np.broadcast_to(there, pairs.shape)
            if (pairs <= there).all() and not (s.wrong & there & ~pairs).any() and (s.support & ~there).any():
                return f"through y at {words} along axis {b}" + (f" (its own on axis {a})" if a != b else "")
    return ""


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
    """Where the wrong pairs lie, as far as it takes to tell them from the right ones."""
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
        for words, mask in (("at the same place", steps == 0), ("behind its own place", steps > 0),
                            ("before its own place", steps < 0),
                            ("at another place", steps != 0), ("one place behind its own", steps == 1),
                            ("one place before its own", steps == -1)):
            if (bad & ~mask).any():
                continue
            still = good & mask
            score = still.sum() / good.sum() + 0.005
            if still.sum() < good.sum() and (best is None or score < best[0]):
                axis = f"axis {b}" if a == b else f"axis {b} (its own on axis {a})"
                best = score, f"wrong only for what comes through y {words} along {axis}", still
    return best
