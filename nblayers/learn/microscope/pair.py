"""Two networks side by side, in step."""
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from nblayers.learn.microscope.page import page, save
from nblayers.learn.microscope.view import steps, view
from nblayers.learn.trace import Entry, trace

Group = tuple[tuple[str, int | None, int], list[int]]


def side_by_side(left: trace, right: trace, path: str | Path | None = None, layer: str | None = None,
                 right_layer: str | None = None, titles: tuple[str, str] | None = None) -> Path | str:
    """A page with two traces side by side: where one goes, the other goes to the same time step.

    Two layers that compute the same are compared: steps whose values differ are marked, and the page opens at the first.

        microscope.side_by_side(of_simple_rnn, of_lstm, "two.html")
        microscope.side_by_side(of_mine, of_the_librarys, "mine.html")

    Arguments:
        left, right: the traces.
        path: where to write the page; its folder is made.
        layer, right_layer: only these layers of the two, by name; the second by default as the first.
        titles: of the two; by default the layers' names.

    Returns:
        The path, or the page itself where no path is given.

    Raises:
        ValueError: there is nothing to show.
    """
    names = (layer, layer if right_layer is None else right_layer)
    views = [view(one, name, title, samples=2)
             for one, name, title in zip((left, right), names, titles or (None, None), strict=True)]
    both = pair(views[0], views[1], steps(left, names[0])[0], steps(right, names[1])[0])
    return save("microscope.side_by_side", page(both, both["differences"][0] + 1 if both["differences"] else 1), path)


def pair(left: dict[str, Any], right: dict[str, Any], left_entries: Sequence[Entry],
         right_entries: Sequence[Entry]) -> dict[str, Any]:
    """The view of two: which steps belong together, and in which of them the values differ."""
    pairs = _pairs(left_entries, right_entries)
    differences = [at for at, (i, j) in enumerate(pairs) if _differ(left_entries[i], right_entries[j])]
    if not _are_alike(left_entries, right_entries):
        differences = []
    return {"version": 1, "title": f"{left['title']} beside {right['title']}", "panes": [left, right], "pairs": pairs,
            "differences": differences}


def _pairs(left: Sequence[Entry], right: Sequence[Entry]) -> list[list[int]]:
    """The steps of both in one order: time step by time step; who has fewer in one waits with its last."""
    lefts, rights = dict(_groups(left)), dict(_groups(right))
    order = list(lefts)
    before = -1
    for key in rights:
        if key not in lefts:
            order.insert(before + 1, key)
        before = order.index(key)
    pairs, at = [], [0, 0]
    for key in order:
        ours, theirs = lefts.get(key, []), rights.get(key, [])
        long = max(len(ours), len(theirs))
        for k in range(long):
            at = [found[k * len(found) // long] if found else last for found, last in zip((ours, theirs), at, strict=True)]
            pairs.append(at)
    return pairs


def _groups(entries: Sequence[Entry]) -> list[Group]:
    """What follows on one another in one phase and at one time step; how often there was such a group tells them apart."""
    counts: Counter[tuple[str, int | None]] = Counter()
    found: list[Group] = []
    for (phase, t), group in groupby(range(len(entries)), lambda i: (entries[i].phase, entries[i].t)):
        found.append(((phase, t, counts[phase, t]), list(group)))
        counts[phase, t] += 1
    return found


def _are_alike(left: Sequence[Entry], right: Sequence[Entry]) -> bool:
    """Whether two networks compute the same variables, but for a few that one has forgotten."""
    ours, theirs = ({(entry.phase, entry.name) for entry in entries} for entries in (left, right))
    return len(ours & theirs) >= 0.8 * len(ours | theirs)


def _differ(left: Entry, right: Entry) -> bool:
    """Whether two entries are the same variable with other values."""
    if (left.name, left.phase, left.t, left.shape) != (right.name, right.phase, right.t, right.shape):
        return False
    most = float(np.max(np.abs(left.value), initial=0))
    return not np.allclose(left.value, right.value, rtol=1e-4, atol=1e-5 * most + 1e-12, equal_nan=True)
