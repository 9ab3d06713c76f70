"""Windows that slide over an image: of each a step that shows the whole array as far as it is filled, and the patch under it.

A trace has what one window computes, of one sample or of all. The eye wants the image, the patch in it, and what has come
together so far; in all samples at once, since the reader chooses one.
"""
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from nblayers.learn.trace import Entry, Part

MOST = 150                              # windows of one pass that are shown one by one
ROOM = 30_000                           # numbers of one sample that the steps of a pass have together, or one window is shown
Span = tuple[int, int, int]
Window = tuple[int, int]                # its row and column
IMAGES = {"x", "y", "z", "dx", "dy", "dz"}


@dataclass(frozen=True)
class Mark:
    """Places in an array that a step outlines: rows and columns (start, stop, step), in one channel and sample or in all."""

    name: str
    phase: str
    rows: Span
    columns: Span
    channel: int | None = None
    sample: int | None = None


@dataclass(frozen=True)
class Extra:
    """What a step has besides its entry.

    Attributes:
        marks: what is outlined.
        focus: row and column of the number that is shown.
        tree: of its formula, in the place of its source's.
        blank: whether NaN stands for what is not computed yet.
        window: which of the windows of its pass it is, from 1, and how many there are.
    """

    marks: tuple[Mark, ...] = ()
    focus: tuple[int, int] | None = None
    tree: Any = None
    blank: bool = False
    window: tuple[int, int] | None = None


Arrays = Mapping[tuple[str, str], np.ndarray]           # of a layer, by phase and name
Windows = dict[Window, list[Entry]]                     # what has been computed at each, in their order
Steps = Iterator[tuple[Entry, Extra]]


def with_windows(entries: Sequence[Entry], everything: Sequence[Entry]) -> tuple[list[Entry], list[Extra]]:
    """The entries, windows as steps that show whole arrays; and what each step has besides.

    Images with their channels first are shown with them last, as the kernels see them. Of a pass that is none over images of
    two axes, as a separable convolution's first one, no window is shown; the arrays are.

    Arguments:
        entries: those to show, of
        everything: all of the trace: what a layer has cached is read from there.
    """
    if not any(entry.function in WALKS for entry in entries):
        return list(entries), [Extra() for _ in entries]
    places = {id(entry): place for place, entry in enumerate(everything)}
    found: list[tuple[Entry, Extra]] = []
    turned: set[str] = set()                # layers whose images have their channels first
    for (layer, function, phase), group in groupby(entries, lambda entry: (entry.layer, entry.function, entry.phase)):
        run = list(group)
        if function not in WALKS:
            found += [(entry, Extra()) for entry in run]
            continue
        if not _is_one_pass(run):
            continue
        arrays = _arrays(everything, places[id(run[0])], places[id(run[-1])])
        windows: Windows = {}
        for entry in run:
            windows.setdefault(entry.where["i"][-2:], []).append(entry)
        for seen in (arrays, {key: _turned(*key, array) for key, array in arrays.items()}):
            if FITS[function](windows, seen, phase):
                turned |= {layer} if seen is not arrays else set()
                found += _steps(WALKS[function](windows, seen, phase), len(windows))
                break
    found = [(_last(entry), extra) if entry.layer in turned else (entry, extra) for entry, extra in found]
    found = _without_repeated(found)
    return [entry for entry, _ in found], [extra for _, extra in found]


def _is_one_pass(run: Sequence[Entry]) -> bool:
    """Whether each window is computed once: a separable convolution goes over them twice."""
    keys = [(entry.name, entry.where.get("i"), entry.where.get("position")) for entry in run]
    return len(set(keys)) == len(keys)


def _arrays(everything: Sequence[Entry], first: int, last: int) -> dict[tuple[str, str], np.ndarray]:
    """The arrays of the call of a layer in which the entries first to last are: those before, and its own after."""
    of = everything[first]
    own = [(place, entry) for place, entry in enumerate(everything)
           if entry.layer == of.layer and (not entry.function or "." in entry.function)]
    found = {(entry.phase, entry.name): entry.value for place, entry in own if place < first}
    after: dict[tuple[str, str], np.ndarray] = {}
    for _, entry in (one for one in own if one[0] > last):
        if entry.phase != of.phase:
            break
        after.setdefault((entry.phase, entry.name), entry.value)
        if not entry.function and entry.name in ("y", "dx"):
            break
    return found | after


def _turned(phase: str, name: str, array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 1, -1) if name in IMAGES and array.ndim == 4 else array


def _last(entry: Entry) -> Entry:
    """An image with its channels last; what a window has computed has them so already."""
    is_window = entry.function in WALKS or entry.name not in IMAGES or entry.value.ndim != 4
    return entry if is_window else replace(entry, value=np.moveaxis(entry.value, 1, -1), parts=(), operands={})


def _steps(walk: Steps, count: int) -> list[tuple[Entry, Extra]]:
    """The steps of the first windows of a pass; the whole array stands in the step of the layer that comes after."""
    found: list[tuple[Entry, Extra]] = []
    for number, (entry, extra) in enumerate(walk, 1):
        size = entry.value.size // (1 if entry.name == "dW" else len(entry.value))
        if number > max(1, min(MOST, ROOM // size)):
            break
        found.append((entry, replace(extra, window=(number, count))))
    return found


def _fits_convolution(windows: Windows, arrays: Arrays, phase: str) -> bool:
    """Whether the windows slide over x."""
    x, entry = arrays.get(("forward", "x")), next(iter(windows.values()))[0]
    out = arrays.get(("forward", "y") if phase == "forward" else ("backward", _arriving(arrays)))
    if x is None or out is None or x.ndim != 4 or entry.t is not None or "x[m]" not in entry.operands:
        return False
    rows, columns = (slice(*one) for one in entry.where["m"][2:])
    patch = entry.operands["x[m]"].ravel()
    is_of = _is_of(windows, out) and (phase == "backward" or out.shape[-1] == entry.value.size)
    return is_of and np.array_equal(x[entry.where["i"][0], rows, columns].ravel(), patch, equal_nan=True)


def _fits_weights(windows: Windows, arrays: Arrays, phase: str) -> bool:
    """Whether the windows slide over x, and the weights' gradient is the layer's, with the channels last."""
    return ("backward", "dW") in arrays and _fits_convolution(windows, arrays, phase)


def _fits_return(windows: Windows, arrays: Arrays, phase: str) -> bool:
    """Whether the windows send back what arrives at the layer, and make dx together."""
    entry = next(iter(windows.values()))[0]
    dx, arriving = arrays.get(("backward", "dx")), arrays.get(("backward", _arriving(arrays)))
    if phase == "forward" or dx is None or arriving is None or dx.ndim != 4 or "x[i]" not in entry.operands:
        return False
    n, _, i, j = entry.where["i"]
    if not _is_of(windows, arriving) or not np.array_equal(arriving[n, i, j].ravel(), entry.operands["x[i]"].ravel(),
                                                           equal_nan=True):
        return False
    together = np.zeros_like(dx)
    for entries in windows.values():
        for one in entries:
            _put(together, one)
    return np.allclose(together, dx, rtol=1e-4, atol=1e-6, equal_nan=True)


def _fits_pooling(windows: Windows, arrays: Arrays, phase: str) -> bool:
    """Whether y holds the largest numbers of the windows over x."""
    x, y, index = (arrays.get(("forward", name)) for name in ("x", "y", "index"))
    if x is None or y is None or index is None or x.ndim != 4 or not _is_of(windows, y) or index.shape[2:] != y.shape[1:]:
        return False
    (i, j), entries = next(iter(windows.items()))
    rows, columns = zip(*_cells(entries).values(), strict=True)
    if max(rows) >= x.shape[1] or max(columns) >= x.shape[2] or x.shape[-1] != y.shape[-1]:
        return False
    return np.array_equal(x[:, rows, columns].max(axis=1), y[:, i, j], equal_nan=True)


def _is_of(windows: Windows, out: np.ndarray) -> bool:
    """Whether an array has a place for each window."""
    return out.ndim == 4 and out.shape[1:3] == tuple(1 + max(window[axis] for window in windows) for axis in (0, 1))


def _arriving(arrays: Arrays) -> str:
    return "dz" if ("backward", "dz") in arrays else "dy"


def _convolve(windows: Windows, arrays: Arrays, phase: str) -> Steps:
    """(1) of kernels/reference/convolution.py: the patch under the kernel."""
    name = "y" if _is_result(windows, arrays["forward", "y"]) else "z"
    so_far = np.full_like(arrays["forward", "y"], np.nan)
    for (i, j), entries in windows.items():
        for entry in entries:
            so_far[entry.where["i"][0], i, j] = entry.value.reshape(-1)
        tree, operands = None, {}
        patches = [entry.operands["x[m]"] for entry in entries]
        if patches[0].shape[-2] == 1:   # one group
            patch, kernel = np.stack([one.reshape(-1) for one in patches]), entries[0].operands["w[k]"]
            operands = {"patch": patch, "kernel": kernel.reshape(patch.shape[1], -1)}
            bias = so_far[0, i, j] - patch[0] @ operands["kernel"]
            operands["b"] = np.where(np.abs(bias) > 1e-6 * np.abs(so_far[0, i, j]).max(), bias, 0)
            tree = ["+", ["@", "patch", "kernel"], "b"]
        rows, columns = entries[0].where["m"][2:]
        marks = (Mark("x", "forward", rows, columns), _cell(name, phase, i, j))
        yield replace(entries[0], name=name, value=so_far.copy(), operands=operands), Extra(marks, (i, j), tree, True)


def _is_result(windows: Windows, y: np.ndarray) -> bool:
    """Whether y is what the windows have computed, without an activation after them."""
    return all(np.allclose(entry.value.ravel(), y[entry.where["i"][0], i, j], rtol=1e-4, atol=1e-6, equal_nan=True)
               for (i, j), entries in windows.items() for entry in entries)


def _weight_gradient(windows: Windows, arrays: Arrays, phase: str) -> Steps:
    """(3): what each window says to the weights, in all samples together."""
    so_far = np.zeros_like(arrays["backward", "dW"])
    arriving = _arriving(arrays)
    for (i, j), entries in windows.items():
        if entries[0].value.shape[-2] != 1:
            return
        before = so_far.copy()
        for entry in entries:
            _, down, across = (slice(*one) for one in entry.where["k"])
            this = np.einsum("dhwgc,gf->dhwcgf", entry.operands["x[m]"], entry.operands["dy[i]"])
            so_far[down, across] += this[0, ..., 0, :]
        rows, columns = entries[0].where["m"][2:]
        marks = (Mark("x", "forward", rows, columns), _cell(arriving, phase, i, j))
        parts = (Part("the windows before", "dW", before), Part("this window", r"x_m\,dz_i", so_far - before))
        yield replace(entries[0], name="dW", value=so_far.copy(), parts=parts, operands={}), Extra(marks)


def _to_image(windows: Windows, arrays: Arrays, phase: str) -> Steps:
    """(2): the patch that a gradient returns to."""
    so_far = np.zeros_like(arrays["backward", "dx"])
    arriving = _arriving(arrays)
    for (i, j), entries in windows.items():
        before = so_far.copy()
        rows, columns = entries[0].where["m"][2:]
        for entry in entries:
            _put(so_far, entry)
        marks = (_cell(arriving, phase, i, j), Mark("dx", phase, rows, columns))
        parts = (Part("the windows before", "dx", before), Part("this window", r"dz_i\,W", so_far - before))
        yield (replace(entries[0], name="dx", value=so_far.copy(), parts=parts, operands={}),
               Extra(marks, (rows[0] + (rows[1] - rows[0]) // 2, columns[0] + (columns[1] - columns[0]) // 2)))


def _put(image: np.ndarray, entry: Entry) -> None:
    """Put what has come together under a window into the image, as far as it fits."""
    rows, columns = (slice(*one) for one in entry.where["m"][2:])
    patch = entry.value[0].reshape(*entry.value.shape[1:3], -1)
    if image[0, rows, columns].shape == patch.shape:
        image[entry.where["i"][0], rows, columns] = patch


def _max_pool(windows: Windows, arrays: Arrays, phase: str) -> Steps:
    """(2) of kernels/reference/pooling.py: the winner of a window."""
    x, y = arrays["forward", "x"], arrays["forward", "y"]
    so_far = np.full_like(y, np.nan)
    for (i, j), entries in windows.items():
        cells = _cells(entries)
        so_far[:, i, j] = y[:, i, j]
        operands = {f"x[{row},{column}]": x[:, row, column] for row, column in cells.values()}
        marks = (_around("x", "forward", cells), *_winners("x", "forward", arrays, i, j, cells), _cell("y", phase, i, j))
        yield (replace(entries[0], name="y", value=so_far.copy(), operands=operands),
               Extra(marks, (i, j), ["max", *operands], True))


def _max_pool_gradient(windows: Windows, arrays: Arrays, phase: str) -> Steps:
    """What arrives at a window goes to its winner."""
    dy, so_far = arrays["backward", "dy"], np.zeros_like(arrays["backward", "dx"])
    for (i, j), entries in windows.items():
        cells, before = _cells(entries), so_far.copy()
        winners = _winners("dx", phase, arrays, i, j, cells)
        for mark in winners:
            so_far[mark.sample, mark.rows[0], mark.columns[0], mark.channel] += dy[mark.sample, i, j, mark.channel]
        marks = (_cell("dy", phase, i, j), _around("dx", phase, cells), *winners)
        parts = (Part("the windows before", "dx", before), Part("this window, to its winner", "dy_i", so_far - before))
        yield (replace(entries[0], name="dx", value=so_far.copy(), parts=parts, operands={}),
               Extra(marks, (winners[0].rows[0], winners[0].columns[0])))


WALKS: dict[str, Callable[[Windows, Arrays, str], Steps]] = {
    "convolve": _convolve, "convolve_weight_gradient": _weight_gradient, "convolve_transposed": _to_image,
    "max_pool": _max_pool, "max_pool_gradient": _max_pool_gradient}
FITS: dict[str, Callable[[Windows, Arrays, str], bool]] = {             # whether a pass is what its walk shows
    "convolve": _fits_convolution, "convolve_weight_gradient": _fits_weights, "convolve_transposed": _fits_return,
    "max_pool": _fits_pooling, "max_pool_gradient": _fits_pooling}


def _cells(entries: list[Entry]) -> dict[int, Window]:
    """The places of a window's cells, by their position in it."""
    return {entry.where["position"]: (entry.where["h"], entry.where["w"]) for entry in entries}


def _winners(name: str, phase: str, arrays: Arrays, i: int, j: int, cells: dict[int, Window]) -> tuple[Mark, ...]:
    """The winner of a window in each sample and channel."""
    index = arrays["forward", "index"][:, 0, i, j]
    return tuple(_cell(name, phase, *cells[int(index[place])], *reversed(place)) for place in np.ndindex(index.shape))


def _around(name: str, phase: str, cells: dict[int, Window]) -> Mark:
    rows, columns = zip(*cells.values(), strict=True)
    return Mark(name, phase, (min(rows), max(rows) + 1, 1), (min(columns), max(columns) + 1, 1))


def _cell(name: str, phase: str, row: int, column: int, channel: int | None = None, sample: int | None = None) -> Mark:
    return Mark(name, phase, (row, row + 1, 1), (column, column + 1, 1), channel, sample)


def _without_repeated(steps: list[tuple[Entry, Extra]]) -> list[tuple[Entry, Extra]]:
    """Without the arrays that go out which the step before of the same name has shown."""
    kept: list[tuple[Entry, Extra]] = []
    last: dict[tuple[str, str, str], Entry] = {}
    for entry, extra in steps:
        before = last.get(key := (entry.layer, entry.phase, entry.name))
        last[key] = entry
        if entry.function or before is None or before.shape != entry.shape or not np.allclose(
                before.value, entry.value, rtol=1e-4, atol=1e-7, equal_nan=True):
            kept.append((entry, extra))
    return kept
