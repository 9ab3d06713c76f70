"""Windows that slide over an image: of each a step that shows the whole array as far as it is filled, and the patch under it.

A trace has what one window computes, of one sample or of all. The eye wants the image, the patch in it, and what has come
together so far; in all samples at once, since the reader chooses one. How a window moves, and over which of a layer's arrays:
passes.py.
"""
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, product
from typing import Any

import numpy as np

from nblayers.learn.microscope.forms import AXES, IMAGES, Form, Mark, Place, cell, middle
from nblayers.learn.microscope.passes import KERNELS, Array, Arrays, Pass, at, box, passes, read, to_weights, under
from nblayers.learn.trace import Entry, Part, symbols

MOST = 150                              # windows of one pass that are shown one by one
ROOM = 500_000                          # numbers of one sample that the steps of a pass have together
FEWEST = 2                              # windows that are shown of the largest image
FEW = 27                                # cells of a window whose numbers are written one by one


@dataclass(frozen=True)
class Extra:
    """What a step has besides its entry.

    Attributes:
        marks: what is outlined.
        focus: row and column of the number that is shown; None for the row where it may be any.
        tree: of its formula, in the place of its source's.
        blank: whether NaN stands for what is not computed yet.
        window: which of the windows of its pass it is, from 1, and how many there are.
        turned: whether the value, a sequence, is shown with its places to the right.
        planes: how many planes of a volume the value shows one below the other.
        of_weights: whether it is a gradient of weights, which has no samples.
    """

    marks: tuple[Mark, ...] = ()
    focus: tuple[int | None, int] | None = None
    tree: Any = None
    blank: bool = False
    window: tuple[int, int] | None = None
    turned: bool = False
    planes: int = 1
    of_weights: bool = False

    @property
    def axes(self) -> list[str] | None:
        """What the rows and the columns are."""
        return AXES if self.turned else None


@dataclass
class _Layer:
    """What is known of a layer whose windows are shown.

    Attributes:
        form: how its images lie.
        weights: how its weights' gradients are shown, by name, and in how many planes.
        made: arrays that it has not kept, of this call.
        weighed: the image that its weights met last.
    """

    form: Form
    weights: dict[str, tuple[np.ndarray, int]] = field(default_factory=dict)
    made: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    weighed: Array | None = None
    call: int = -1


Winners = list[tuple[Place, int, int]]                  # of a window: the cell, sample and channel of each


def with_windows(entries: Sequence[Entry], everything: Sequence[Entry]) -> tuple[list[Entry], list[Extra]]:
    """The entries, windows as steps that show whole arrays; and what each step has besides.

    Images with their channels first are shown with them last, as the kernels see them. Of a pass over no array of the layer's,
    as a recurrent convolution's of one time step, no window is shown; the arrays are.

    Arguments:
        entries: those to show, of
        everything: all of the trace: what a layer has cached is read from there.
    """
    if not any(entry.function in KERNELS for entry in entries):
        return list(entries), [Extra() for _ in entries]
    places = {id(entry): place for place, entry in enumerate(everything)}
    own: dict[str, list[tuple[int, Entry]]] = {}
    for place, entry in enumerate(everything):
        if not entry.function or "." in entry.function:
            own.setdefault(entry.layer, []).append((place, entry))
    found: list[tuple[Entry, Extra]] = []
    layers: dict[str, _Layer] = {}
    for (layer, function, _, _), group in groupby(entries, lambda one: (one.layer, one.function, one.phase, one.call)):
        if function not in KERNELS:
            found += [(entry, Extra()) for entry in group]
            continue
        for run in passes(list(group)):
            arrays = _arrays(own.get(layer, []), places[id(run[0])], places[id(run[-1])], run[0])
            if (seen := _read(run, arrays, layers)) is not None:
                found += _steps(seen, arrays)
    found = [_in_form(*step, layers[step[0].layer]) if step[0].layer in layers else step for step in found]
    found = _without_repeated(found)
    return [entry for entry, _ in found], [extra for _, extra in found]


def fewer_windows(entries: Sequence[Entry], extras: Sequence[Extra]) -> tuple[list[Entry], list[Extra]]:
    """Half as many of the windows of each pass, the first and the last among them; all else as it is."""
    kept: list[int] = []
    def of(i: int) -> tuple:
        return entries[i].layer, entries[i].call, entries[i].name, extras[i].window is not None
    for (*_, are_windows), group in groupby(range(len(entries)), of):
        steps = list(group)
        kept += [steps[i] for i in _spread(len(steps), max(FEWEST, len(steps) // 2))] if are_windows else steps
    return [entries[i] for i in kept], [extras[i] for i in kept]


def _spread(count: int, most: int) -> list[int]:
    """So many of 0 … count - 1, from the first to the last."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()


def _arrays(own: Sequence[tuple[int, Entry]], first: int, last: int, of: Entry) -> Arrays:
    """The arrays of the call of a layer in which the entries first to last are: those before, and its own after."""
    found = {(entry.phase, entry.name): entry.value for place, entry in own if place < first}
    after: dict[tuple[str, str], np.ndarray] = {}
    for _, entry in (one for one in own if one[0] > last):
        if entry.phase != of.phase:
            break
        after.setdefault((entry.phase, entry.name), entry.value)
        if not entry.function and entry.name in ("y", "dx"):
            break
    return found | after


def _read(run: Sequence[Entry], arrays: Arrays, layers: dict[str, _Layer]) -> Pass | None:
    """A pass, and what it tells of its layer."""
    of, x = run[0], arrays.get(("forward", "x"))
    if x is None or not 3 <= x.ndim <= 5:
        return None
    known = layers.get(of.layer)
    if known is not None and known.call != of.call:
        known.made, known.weighed, known.call = {}, None, of.call
    forms = [known.form] if known else [Form(x.ndim - 2), Form(x.ndim - 2, True)]
    seen = read(run, {**arrays, **(known.made if known else {})}, forms, known.weighed if known else None)
    if seen is None:
        return None
    layer = layers.setdefault(of.layer, _Layer(seen.form, call=of.call))
    if seen.weights is not None:
        layer.weighed = seen.image
        layer.weights[seen.weights.name] = (seen.shown(seen.weights.volume), seen.planes)
    elif seen.result.name not in IMAGES:
        layer.made[seen.phase, seen.result.name] = seen.result.volume
    return seen


def _in_form(entry: Entry, extra: Extra, layer: _Layer) -> tuple[Entry, Extra]:
    """An array of a layer as its windows are shown; what a window has filled is so already."""
    form = layer.form
    if extra.window is not None:
        return entry, extra
    if entry.name in layer.weights and entry.phase == "backward":
        shown, planes = layer.weights[entry.name]
        return _with_value(entry, shown), replace(extra, planes=planes)
    volume = form.volume(entry.name, entry.value) if entry.name in IMAGES else None
    if volume is None:
        return entry, extra
    return _with_value(entry, form.shown(volume)), replace(extra, turned=form.rank == 1, planes=volume.shape[1])


def _with_value(entry: Entry, shown: np.ndarray) -> Entry:
    if entry.shape == shown.shape and np.array_equal(entry.value, shown, equal_nan=True):
        return entry
    return replace(entry, value=shown, parts=(), operands={})


def _steps(seen: Pass, arrays: Arrays) -> list[tuple[Entry, Extra]]:
    """The steps of a pass; where its windows are many, of some from the first to the last.

    The whole array stands in the step of the layer that comes after.
    """
    count, so_far = len(seen.windows), _start(seen)
    chosen = set(_spread(count, max(FEWEST, min(MOST, ROOM // seen.size))))
    index = arrays.get(("forward", "index")) if seen.function.startswith("max_pool") else None
    found = []
    for number, (place, entries) in enumerate(seen.windows.items()):
        before = so_far.copy() if number in chosen else None
        _add(seen, so_far, entries)
        if before is None:
            continue
        winners = [] if index is None else _winners(entries, index[:, *place])
        if seen.kernel.motion == "gather":
            entry, extra = _gathered(seen, entries, place, so_far)
        else:
            entry, extra = _added(seen, entries, winners[0][0] if winners else middle(box(entries)), before, so_far)
        extra = replace(extra, marks=_marks(seen, entries, place, winners), window=(number + 1, count), planes=seen.planes,
                        turned=seen.is_sequence, of_weights=seen.weights is not None)
        found.append((replace(entry, name=seen.result.name, value=seen.shown(so_far).copy()), extra))
    return found


def _start(seen: Pass) -> np.ndarray:
    """What is there before the first window: nothing, zeros, or the bias."""
    if seen.kernel.motion == "gather":
        return np.full_like(seen.result.volume, np.nan)
    first, start = next(iter(seen.windows.values()))[0], np.zeros_like(seen.result.volume)
    if seen.function == "convolve_transposed" and seen.phase == "forward" and first.value.size:
        this = np.einsum("gf,dhwcgf->dhwgc", first.operands["x[i]"], first.operands["w[k]"])
        start += _noticeable((first.value - this)[0, 0, 0].reshape(-1), first.value)
    return start


def _noticeable(bias: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """A difference without what is only rounding."""
    return np.where(np.abs(bias) > 1e-6 * np.abs(beside).max(), bias, 0)


def _add(seen: Pass, so_far: np.ndarray, entries: Sequence[Entry]) -> None:
    """Put what one window computes to what is there."""
    for entry in entries:
        if seen.kernel.motion == "weigh":
            taps, this = to_weights(entry)
            so_far[taps] += this.reshape(so_far[taps].shape)
        else:
            (at if seen.kernel.motion == "gather" else under)(entry, entry.value).put(so_far)


def _gathered(seen: Pass, entries: Sequence[Entry], place: Place, so_far: np.ndarray) -> tuple[Entry, Extra]:
    """What lies under a window, and the formula that makes one number of it."""
    tree: Any = None
    operands: dict[str, np.ndarray] = {}
    if seen.function == "convolve":
        if entries[0].value.shape[0] == 1:      # one group
            patch = np.stack([entry.operands["x[m]"].reshape(-1) for entry in entries])
            kernel = entries[0].operands["w[k]"].reshape(patch.shape[1], -1)
            y = so_far[0, *place]
            operands = {"patch": patch, "kernel": kernel, "b": _noticeable(y - patch[0] @ kernel, y)}
            tree = ["+", ["@", "patch", "kernel"], "b"]
    elif len(cells := list(product(*(range(*span) for span in box(entries))))) <= FEW:
        written = [f"x[{','.join(map(str, at[3 - seen.form.rank:]))}]" for at in cells]
        operands = {name: seen.image.volume[:, d, h, w] for name, (d, h, w) in zip(written, cells, strict=True)}
        mean: Any = functools.reduce(lambda a, b: ["+", a, b], written)     # type: ignore[arg-type,return-value]
        tree = ["max", *written] if seen.function == "max_pool" else ["/", mean, len(cells)]
    return (replace(entries[0], operands=operands, parts=()),
            Extra(focus=seen.form.focus(seen.result.volume, place), tree=tree, blank=True))


def _added(seen: Pass, entries: Sequence[Entry], focus: Place, before: np.ndarray, so_far: np.ndarray) -> tuple[Entry, Extra]:
    """What a window adds to what those before it have brought together."""
    words, formula = seen.kernel.this
    formula = formula.format(place=symbols.name(seen.place.name), image=symbols.name(seen.image.name))
    parts = (Part("the windows before", symbols.name(seen.result.name), seen.shown(before)),
             Part(words, formula, seen.shown(so_far - before)))
    return (replace(entries[0], operands={}, parts=parts),
            Extra(focus=None if seen.weights else seen.form.focus(seen.result.volume, focus)))


def _marks(seen: Pass, entries: Sequence[Entry], place: Place, winners: Winners) -> tuple[Mark, ...]:
    """The patch under a window, who has won in it, and its place."""
    image, form = seen.image, seen.form
    def around(array: Array, spans: Any, channel: int | None = None, sample: int | None = None) -> tuple[Mark, ...]:
        return form.marks(array.name, array.phase, array.volume, spans, channel, sample)
    under = [around(image, box(entries)), *(around(image, cell(at), channel, sample) for at, sample, channel in winners)]
    here = [around(seen.place, cell(place))]
    return tuple(mark for marks in ([*here, *under] if seen.kernel.motion == "spread" else [*under, *here]) for mark in marks)


def _winners(entries: Sequence[Entry], index: np.ndarray) -> Winners:
    """Which cell has won a window in each sample and channel."""
    cells = {entry.where["position"]: tuple(entry.where[axis] for axis in "dhw") for entry in entries}
    return [(cells[int(at)], sample, channel) for (sample, channel), at in np.ndenumerate(index)]


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
