"""One pass of a kernel's windows over an image, read from the entries of a trace.

Each kernel moves a window in one of three ways: it gathers what lies under the window into one place, it spreads one place over
what lies under the window, or it weighs the two against each other: the gradient of the weights. KERNELS says which, and where
in an entry the numbers are. Of whose arrays they are is found by the numbers themselves.
"""
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nblayers.learn.microscope.forms import IMAGES, Form, Place, Spans, cell
from nblayers.learn.trace import Entry

ORDER = ["x", "dz", "dy", "z", "y"]     # of arrays that hold equal numbers the first one is meant

Arrays = Mapping[tuple[str, str], np.ndarray]           # of a layer, by phase and name


@dataclass(frozen=True)
class Kernel:
    """What a kernel's entries hold.

    Attributes:
        motion: "gather", "spread" or "weigh".
        result: the name of the entries that hold what has come together so far.
        image, place: the operand under the window, and the one at its place; "" where the kernel does not read it.
        this: what one window adds, in words and as a formula of {place} and {image}, the names of the arrays it is read from.
    """

    motion: str
    result: str
    image: str = ""
    place: str = ""
    this: tuple[str, str] = ("this window", "{place}_i")


MEAN = ("this window, to all its cells alike", r"\frac{{{place}_i}}{{|N_i|}}")
AT = "dy[:, *i]"                        # all samples at once
ALIKE = f"{AT}[:, None, None, None]"
KERNELS = {
    "convolve": Kernel("gather", "y", image="x[m]"),
    "convolve_transposed": Kernel("spread", "y", place="x[i]", this=("this window", r"{place}_i\,W")),
    "convolve_weight_gradient": Kernel("weigh", "dw", "x[m]", "dy[i]", ("this window", r"{image}_m\,{place}_i")),
    "max_pool": Kernel("gather", "best", image="value"),
    "max_pool_gradient": Kernel("spread", "dx", place=AT, this=("this window, to its winner", "{place}_i")),
    "average_pool": Kernel("gather", "y", image="x[m]"),
    "average_pool_gradient": Kernel("spread", "dx", place=ALIKE, this=MEAN),
    "adaptive_average_pool": Kernel("gather", "y", image="x[m]"),
    "adaptive_average_pool_gradient": Kernel("spread", "dx", place=ALIKE, this=MEAN)}


@dataclass(frozen=True)
class Array:
    """An array that a pass reads or fills: of which phase, under what name, as the kernels see it."""

    phase: str
    name: str
    volume: np.ndarray


@dataclass(frozen=True)
class Pass:
    """The windows of a pass, each with its entries, and the arrays that they read and fill."""

    kernel: Kernel
    function: str
    phase: str
    form: Form
    windows: dict[Place, list[Entry]]
    image: Array
    place: Array
    weights: Array | None = None

    @property
    def result(self) -> Array:
        found = {"gather": self.place, "spread": self.image, "weigh": self.weights}[self.kernel.motion]
        assert found is not None
        return found

    @property
    def size(self) -> int:
        """Numbers of the result for one sample."""
        volume = self.result.volume
        return volume.size if self.weights is not None else volume[0].size

    @property
    def planes(self) -> int:
        """How many planes of the result are shown one below the other."""
        return self.result.volume.shape[0 if self.weights is not None else 1]

    @property
    def is_sequence(self) -> bool:
        return self.form.rank == 1 and self.weights is None

    def shown(self, volume: np.ndarray) -> np.ndarray:
        """The result, or what is there of it, as a page shows it."""
        return self.form.shown(volume[None])[0] if self.weights is not None else self.form.shown(volume)


@dataclass(frozen=True)
class Piece:
    """Some numbers (b, d, h, w, C) of a volume, and where they lie in it."""

    samples: slice
    spans: Spans
    value: np.ndarray

    def put(self, volume: np.ndarray) -> None:
        volume[self.samples, *(slice(*span) for span in self.spans)] = self.value


def passes(run: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The entries of one kernel as passes: a separable convolution goes over its windows twice."""
    found: list[Entry] = []
    seen: set[Any] = set()
    for entry in run:
        key = (entry.name, entry.where.get("i"), entry.where.get("position"))
        if key in seen:
            yield found
            found, seen = [], set()
        found.append(entry)
        seen.add(key)
    yield found


def read(run: Sequence[Entry], arrays: Arrays, forms: Sequence[Form], weighed: Array | None = None) -> Pass | None:
    """A pass; None where its windows lie on none of the layer's arrays.

    Arguments:
        run: its entries.
        arrays: the layer's.
        forms: how its images may lie, the likeliest first.
        weighed: the image that the weights met just before: the gradient that follows is its own.
    """
    kernel, phase = KERNELS[run[0].function], run[0].phase
    run = [entry for entry in run if entry.name == kernel.result]
    if not run or run[0].t is not None or any(name and name not in run[0].operands for name in (kernel.image, kernel.place)):
        return None
    windows: dict[Place, list[Entry]] = {}
    for entry in run:
        windows.setdefault(entry.where["i"][-3:], []).append(entry)
    for form in forms:
        given = {key: volume for key, array in sorted(arrays.items(), key=_order)
                 if (volume := form.volume(key[1], array)) is not None}
        image = place = weights = None
        if kernel.image:
            image = _found(given, [under(one, one.operands[kernel.image]) for one in run], _may_be_read)
        if kernel.place:
            place = _found(given, [at(one, one.operands[kernel.place]) for one in run], _may_be_read, True)
        if kernel.motion == "gather" and image is not None:
            place = _filled(given, [at(one, one.value) for one in run], phase, None, True)
        elif kernel.motion == "spread" and place is not None:
            image = _filled(given, [under(one, one.value) for one in run], phase, weighed)
        elif kernel.motion == "weigh":
            weights = _weights(arrays, run)
        if image is not None and place is not None and (weights is not None or kernel.motion != "weigh"):
            return Pass(kernel, run[0].function, phase, form, windows, image, place, weights)
    return None


def at(entry: Entry, value: np.ndarray) -> Piece:
    """A value at the place of a window."""
    value = _ungrouped(entry, value)
    return Piece(_samples(entry), cell(entry.where["i"][-3:]), value.reshape(-1, 1, 1, 1, value.shape[-1]))


def under(entry: Entry, value: np.ndarray) -> Piece:
    """A value under a window, or in one of its cells."""
    spans, value = _spans(entry), _ungrouped(entry, value)
    sizes = [len(range(*span)) for span in spans]
    return Piece(_samples(entry), spans, value.reshape(-1 if value.size else 1, *sizes, value.shape[-1]))


def box(entries: Sequence[Entry]) -> Spans:
    """What lies under a window: its entries' places together."""
    found = [_spans(entry) for entry in entries]
    if "position" not in entries[0].where:
        return found[0]
    first, last = (tuple(pick(span[0] for span in axis) for axis in zip(*found, strict=True)) for pick in (min, max))
    return tuple((start, stop + 1, 1) for start, stop in zip(first, last, strict=True))     # type: ignore[return-value]


def to_weights(entry: Entry) -> tuple[tuple[slice, ...], np.ndarray]:
    """What a window of one sample says to the weights (KD, KH, KW, C / groups, F): the taps, and the numbers."""
    this = np.einsum("dhwgc,gf->dhwcgf", entry.operands["x[m]"], entry.operands["dy[i]"])
    return tuple(slice(*tap) for tap in entry.where["k"]), this.reshape(*this.shape[:4], this.shape[4] * this.shape[5])


def _order(item: tuple[tuple[str, str], np.ndarray]) -> int:
    name = item[0][1]
    return ORDER.index(name) if name in ORDER else len(ORDER)


def _may_be_read(phase: str, name: str) -> bool:
    return name not in ("y", "z", "dx")


def _found(given: Arrays, pieces: Sequence[Piece], may_be: Any, is_whole: bool = False) -> Array | None:
    """The first of some volumes in which the pieces lie; they make all of it where `is_whole` says so."""
    for (phase, name), volume in given.items():
        if may_be(phase, name) and _fits(volume, pieces, is_whole) and _agree(volume, pieces):
            return Array(phase, name, volume)
    return None


def _filled(given: Arrays, pieces: Sequence[Piece], phase: str, weighed: Array | None, is_whole: bool = False) -> Array | None:
    """What the pieces fill: an array of this phase, or one that the layer has not kept.

    That is z, which lies as y does; y, where it was known already; or the gradient of what the weights have met.
    """
    inputs = ("x", "dy", "dz")
    found = _found(given, pieces, lambda at, name: at == phase and name not in inputs, is_whole)
    if found is not None:
        return found
    if phase == "backward" and weighed is not None and weighed.name not in IMAGES:
        name, like = f"d{weighed.name}", weighed.volume
    elif phase == "forward" and ("forward", "y") in given:
        name, like = "z", given["forward", "y"]
    elif phase == "forward" and is_whole:
        name, like = "y", np.zeros((len(given["forward", "x"]), *_ends(pieces), pieces[0].value.shape[-1]))
    else:
        return None
    if not _fits(like, pieces, is_whole):
        return None
    volume = np.zeros_like(like)
    for piece in pieces:
        piece.put(volume)
    return Array(phase, name, volume)


def _fits(volume: np.ndarray, pieces: Sequence[Piece], is_whole: bool) -> bool:
    """Whether the pieces lie inside a volume; or they make all of it."""
    ends = _ends(pieces)
    samples = {piece.samples.stop for piece in pieces} if pieces[0].samples.stop else {len(pieces[0].value)}
    sizes = volume.shape[1:4]
    return (max(samples) == len(volume) and volume.shape[-1] == pieces[0].value.shape[-1]
            and (ends == sizes if is_whole else all(end <= size for end, size in zip(ends, sizes, strict=True))))


def _ends(pieces: Sequence[Piece]) -> tuple[int, ...]:
    """How far the pieces reach."""
    return tuple(max((range(*piece.spans[axis])[-1] + 1 for piece in pieces if piece.value.size), default=0)
                 for axis in range(3))


def _agree(volume: np.ndarray, pieces: Sequence[Piece]) -> bool:
    """Whether a volume holds the numbers of the pieces; of those in one place the last one's."""
    together = volume.astype(float)
    for piece in pieces:
        piece.put(together)
    return _close(together, volume)


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    most = np.max(np.abs(b), initial=0, where=np.isfinite(b))
    return np.allclose(a, b, rtol=1e-4, atol=1e-6 + 1e-5 * most, equal_nan=True)


def _weights(arrays: Arrays, run: Sequence[Entry]) -> Array | None:
    """The weights' gradient, its taps first, then channels and filters as the layer has them."""
    said = [to_weights(entry) for entry in run]
    ends = [max(taps[axis].stop for taps, _ in said) for axis in range(3)]
    together = np.zeros((*ends, *said[0][1].shape[-2:]))
    for taps, value in said:
        together[taps] += value
    for (phase, name), array in arrays.items():
        if phase != "backward" or not name.startswith("d") or name in IMAGES or array.size != together.size or array.ndim < 3:
            continue
        for turned in (array, np.moveaxis(array, (0, 1), (-1, -2))):
            if _close(together, turned.reshape(together.shape)):
                taps_first = turned.reshape(*together.shape[:3], *turned.shape[-2:])
                return Array(phase, name, taps_first)
    return None


def _samples(entry: Entry) -> slice:
    """Of one sample or of all."""
    n, *place = entry.where["i"]
    return slice(n, n + 1) if len(place) == 3 else slice(None)


def _spans(entry: Entry) -> Any:
    if "m" not in entry.where:
        return cell(entry.where[axis] for axis in "dhw")
    return tuple((start, stop, step or 1) for start, stop, step in entry.where["m"][1:])


def _ungrouped(entry: Entry, value: np.ndarray) -> np.ndarray:
    """A convolution's value (…, groups, channels / groups) as (…, channels)."""
    return value.reshape(*value.shape[:-2], value.shape[-2] * value.shape[-1]) if "k" in entry.where else value
