"""Windows that slide over an image: of each a step that shows the whole array as far as it is filled, and the patch under it.

A trace has what one window computes. The eye wants the image, the patch in it, and what has come together so far. Only the
first sample is shown.
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np

from nblayers.learn.trace import Entry, Part

MOST = 150                              # windows of one pass that are shown one by one
Span = tuple[int, int, int]


@dataclass(frozen=True)
class Mark:
    """Places in an array that a step outlines: rows and columns (start, stop, step), in one channel or in all."""

    name: str
    phase: str
    rows: Span
    columns: Span
    channel: int | None = None


@dataclass(frozen=True)
class Extra:
    """What a step has besides its entry.

    Attributes:
        marks: what is outlined.
        focus: row and column of the number that is shown.
        tree: of its formula, in the place of its source's.
        blank: whether NaN stands for what is not computed yet.
    """

    marks: tuple[Mark, ...] = ()
    focus: tuple[int, int] | None = None
    tree: Any = None
    blank: bool = False


@dataclass
class _Layer:
    """The whole arrays of a layer, of the first sample, by phase and name."""

    arrays: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def __getitem__(self, key: tuple[str, str]) -> np.ndarray:
        return self.arrays[key]


def with_windows(entries: Sequence[Entry], everything: Sequence[Entry]) -> tuple[list[Entry], list[Extra]]:
    """The entries, windows as steps that show whole arrays; and what each step has besides.

    Arguments:
        entries: those to show.
        everything: all of the trace: what a layer has cached is read from there.
    """
    if not any(entry.function in WALKS for entry in entries):
        return list(entries), [Extra() for _ in entries]
    batch = next((entry.shape[0] for entry in entries if entry.value.ndim > 1 and not entry.function), 1)
    whole = {layer: _Layer() for layer in {entry.layer for entry in entries}}
    for entry in everything:
        if entry.layer in whole and (not entry.function or "." in entry.function):        # the layer's own, not a kernel's
            whole[entry.layer].arrays[entry.phase, entry.name] = _first(entry.value, batch)
    found: list[tuple[Entry, Extra]] = []
    for (layer, function, phase), run in groupby(entries, lambda entry: (entry.layer, entry.function, entry.phase)):
        if function in WALKS:
            found += _steps(WALKS[function], list(run), whole[layer], phase)
        else:
            found += [(_of_first(entry, batch), Extra()) for entry in run if not _is_flat(entry, whole[layer])]
    found = [one for i, one in enumerate(found) if not _is_repeated(one[0], [entry for entry, _ in found[:i]])]
    return [entry for entry, _ in found], [extra for _, extra in found]


def _steps(walk: Callable[..., Any], run: list[Entry], layer: _Layer, phase: str) -> list[tuple[Entry, Extra]]:
    """The steps of a pass over windows; none where it is no pass over one image of two axes, or where there are too many."""
    x = layer.arrays.get(("forward", "x"))
    if x is None or x.ndim != 4 or len({str(entry.where["i"]) for entry in run}) > MOST * len(x):
        return []
    return list(walk(run, layer, phase))


def _convolve(run: list[Entry], layer: _Layer, phase: str) -> Any:
    """(1) of kernels/reference/convolution.py: the patch under the kernel."""
    name = "z" if ("forward", "z") in layer.arrays else "y"
    so_far = np.full_like(layer["forward", name], np.nan)
    for entry in _of_sample(run):
        _, _, i, j = entry.where["i"]
        so_far[0, i, j] = entry.value.reshape(-1)
        patch, kernel = entry.operands["x[m]"], entry.operands["w[k]"]
        tree, operands = None, {}
        if patch.shape[-2] == 1:        # one group
            operands = {"patch": patch.reshape(1, -1), "kernel": kernel.reshape(patch.size, -1)}
            bias = so_far[0, i, j] - (operands["patch"] @ operands["kernel"])[0]
            operands["b"] = np.where(np.abs(bias) > 1e-6 * np.abs(so_far[0, i, j]).max(), bias, 0)
            tree = ["+", ["@", "patch", "kernel"], "b"]
        rows, columns = entry.where["m"][2:]
        marks = (Mark("x", "forward", rows, columns), _cell(name, phase, i, j))
        yield replace(entry, name=name, value=so_far.copy(), operands=operands), Extra(marks, (i, j), tree, True)


def _weight_gradient(run: list[Entry], layer: _Layer, phase: str) -> Any:
    """(3): what each window says to the weights."""
    so_far = np.zeros_like(layer["backward", "dW"])
    arriving = "dz" if ("backward", "dz") in layer.arrays else "dy"
    for entry in _of_sample(run):
        if entry.value.shape[-2] != 1:
            return
        before = so_far.copy()
        _, down, across = (slice(*one) for one in entry.where["k"])
        so_far[down, across] = entry.value[0, ..., 0, :]
        _, _, i, j = entry.where["i"]
        rows, columns = entry.where["m"][2:]
        marks = (Mark("x", "forward", rows, columns), _cell(arriving, phase, i, j))
        parts = (Part("the windows before", "dW", before), Part("this window", r"x_m\,dz_i", so_far - before))
        yield replace(entry, name="dW", value=so_far.copy(), parts=parts, operands={}), Extra(marks)


def _to_image(run: list[Entry], layer: _Layer, phase: str) -> Any:
    """(2): the patch that a gradient returns to."""
    if phase == "forward":
        return                          # a transposed convolution
    so_far = np.zeros_like(layer["backward", "dx"])
    arriving = "dz" if ("backward", "dz") in layer.arrays else "dy"
    for entry in _of_sample(run):
        before = so_far.copy()
        rows, columns = entry.where["m"][2:]
        so_far[0, slice(*rows), slice(*columns)] = entry.value[0].reshape(*entry.value.shape[1:3], -1)
        _, _, i, j = entry.where["i"]
        marks = (_cell(arriving, phase, i, j), Mark("dx", phase, rows, columns))
        parts = (Part("the windows before", "dx", before), Part("this window", r"dz_i\,W", so_far - before))
        yield (replace(entry, name="dx", value=so_far.copy(), parts=parts, operands={}),
               Extra(marks, (rows[0] + (rows[1] - rows[0]) // 2, columns[0] + (columns[1] - columns[0]) // 2)))


def _max_pool(run: list[Entry], layer: _Layer, phase: str) -> Any:
    """(2) of kernels/reference/pooling.py: the winner of a window."""
    x, y = layer["forward", "x"], layer["forward", "y"]
    so_far = np.full_like(y, np.nan)
    for (_, i, j), cells in _by_window(run).items():
        so_far[0, i, j] = y[0, i, j]
        operands = {f"x[{row},{column}]": x[0, row, column] for row, column in cells.values()}
        marks = (_around("x", "forward", cells), *_winners("x", "forward", layer, i, j, cells), _cell("y", phase, i, j))
        yield (replace(run[0], name="y", value=so_far.copy(), operands=operands),
               Extra(marks, (i, j), ["max", *operands], True))


def _max_pool_gradient(run: list[Entry], layer: _Layer, phase: str) -> Any:
    """What arrives at a window goes to its winner."""
    dy, so_far = layer["backward", "dy"], np.zeros_like(layer["backward", "dx"])
    for (_, i, j), cells in _by_window(run).items():
        before = so_far.copy()
        winners = _winners("dx", phase, layer, i, j, cells)
        for mark in winners:
            so_far[0, mark.rows[0], mark.columns[0], mark.channel] += dy[0, i, j, mark.channel]
        marks = (_cell("dy", phase, i, j), _around("dx", phase, cells), *winners)
        parts = (Part("the windows before", "dx", before), Part("this window, to its winner", "dy_i", so_far - before))
        yield (replace(run[0], name="dx", value=so_far.copy(), parts=parts, operands={}),
               Extra(marks, (winners[0].rows[0], winners[0].columns[0])))


WALKS: dict[str, Callable[..., Any]] = {
    "convolve": _convolve, "convolve_weight_gradient": _weight_gradient, "convolve_transposed": _to_image,
    "max_pool": _max_pool, "max_pool_gradient": _max_pool_gradient}


def _by_window(run: list[Entry]) -> dict[tuple[int, int, int], dict[int, tuple[int, int]]]:
    """For each window the places of its cells, by their position in it."""
    found: dict[tuple[int, int, int], dict[int, tuple[int, int]]] = {}
    for entry in run:
        found.setdefault(entry.where["i"], {})[entry.where["position"]] = entry.where["h"], entry.where["w"]
    return found


def _winners(name: str, phase: str, layer: _Layer, i: int, j: int, cells: dict[int, tuple[int, int]]) -> tuple[Mark, ...]:
    """The winner of a window in each channel."""
    index = layer["forward", "index"][0, 0, i, j]
    return tuple(_cell(name, phase, *cells[int(position)], channel) for channel, position in enumerate(index))


def _around(name: str, phase: str, cells: dict[int, tuple[int, int]]) -> Mark:
    rows, columns = zip(*cells.values(), strict=True)
    return Mark(name, phase, (min(rows), max(rows) + 1, 1), (min(columns), max(columns) + 1, 1))


def _cell(name: str, phase: str, row: int, column: int, channel: int | None = None) -> Mark:
    return Mark(name, phase, (row, row + 1, 1), (column, column + 1, 1), channel)


def _of_sample(run: list[Entry]) -> list[Entry]:
    """The windows of the first sample."""
    return [entry for entry in run if entry.where["i"][0] == 0]


def _first(value: np.ndarray, batch: int) -> np.ndarray:
    return value[:1] if value.ndim > 1 and value.shape[0] == batch else value


def _of_first(entry: Entry, batch: int) -> Entry:
    """An entry of the first sample alone; what it was computed from is left out where that has the others too."""
    if batch == 1 or entry.value.ndim < 2 or entry.value.shape[0] != batch:
        return entry
    return replace(entry, value=entry.value[:1], parts=(), operands={})


def _is_flat(entry: Entry, layer: _Layer) -> bool:
    """Whether an entry is a whole array that an inner function sees as a row of numbers."""
    names = {"y": "y", "dx": "dz"}
    known = layer.arrays.get((entry.phase, names.get(entry.name, "")))
    return bool(entry.function) and known is not None and known.ndim > 1 and entry.value.ndim == 1


def _is_repeated(entry: Entry, before: Sequence[Entry]) -> bool:
    """Whether an array that goes out is what a step before has shown under the same name."""
    same = [one for one in before if (one.layer, one.phase, one.name) == (entry.layer, entry.phase, entry.name)]
    return not entry.function and bool(same) and np.allclose(same[-1].value, entry.value, rtol=1e-4, atol=1e-7)
