"""Which of several contributions have gone in: the last alone, one sample's, one time step's, none of the later ones."""
import numpy as np

from nblayers.gradient_check.patterns.known import Found, Known
from nblayers.gradient_check.patterns.places import one_column_each
from nblayers.gradient_check.shares import Array, Shares
from nblayers.gradient_check.words import ranges


def overwritten(s: Shares, known: Known) -> Found:
    """Of several contributions to one coordinate only one has gone in."""
    if known.ids is not None and s.is_weight and (found := _repeated(s, known.ids)):
        return found
    bad = s.wrong
    if not bad.any() or (np.abs(s.analytic[bad]) > s.floor).any():
        return None
    if any(a == b and _keeps_own_place(s, s.shape[a], steps) for a, b, steps in s.steps()):
        return None
    for channels in (None, -1, 1) if len(s.output_shape) > 2 else (None, -1):
        if _keeps_one(s, _places_of_y(s, channels)):
            if s.is_square and channels is None and bool((s.right == (s.diagonal & s.support))[s.wrong_rows].all()):
                return None                             # `elementwise` has the better words
            return "overwritten", ("only one contribution has gone in where several outputs depend on one element, as with = "
                                   "for += (or grad[indices] += … with an index twice, where np.add.at is wanted)")
    return None


def _keeps_own_place(s: Shares, size: int, steps: Array) -> bool:
    """Whether y depends on all places of an axis from first to last, and just what comes from its own has gone in."""
    across = (np.abs(s.numeric) > s.floor) & (np.abs(steps) == size - 1)
    return size > 2 and bool(across.any()) and not (s.wrong & (steps == 0)).any() and not (s.right & (steps != 0)).any()


def _places_of_y(s: Shares, channels: int | None) -> list[list[int]]:
    """The columns, each alone, or together all along an axis of y (the channels of one place)."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for k, column in enumerate(s.columns):
        place = list(column.index)
        if channels is not None and place:
            place.pop(channels)
        groups.setdefault((column.output, *place), []).append(k)
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
    return "repeated_ids", (f"wrong only in the rows {ranges(bad)}, whose ids occur more than once: grad[ids] += dy adds for "
                            "one of them only; np.add.at(grad, ids, dy) adds for all")


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
            return kind, (f"holds the share of the {which} {what} alone (what comes through y at {where}): = for += in a "
                          "loop, or a sum left out?")
    if sum(len(seen[axis]) > 2 * len(sets[axis]) or len(sets[axis]) == 1 for axis in told) == len(told) and told:
        return "place", f"only what comes through y at {where} has gone in: = for += in a loop, or a sum left out?"
    return None


def reversed_choice(s: Shares, known: Known) -> Found:
    """Zero where there should be something and the reverse, by a mask or a sign: the wrong way round."""
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


def steps_of(s: Shares, axis: int) -> Array:
    """How much later along this axis each element of y is than each coordinate."""
    return np.asarray(s.column_places[None, :, axis] - s.row_places[:, axis, None])


def later_steps(s: Shares, known: Known) -> Found:
    """What comes from other time steps of y than the own one, where each depends on all before (or behind) it."""
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
        return "place", (f"right for what comes through y at the same place along axis {axis}, {what} for what comes from "
                         f"other places along it")
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
            return "carry", (f"right at the {words} time step, {how} at all {others} (in a recurrent layer: what later steps "
                             "send back, the carry)")
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
