"""Images of one, two and three axes: as the kernels see them, and as a page shows them.

A kernel sees a volume (B, D, H, W, C). A page shows a sequence with its places to the right and a row for each channel, an
image with a tile for each channel, a volume as its planes one below the other.
"""
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

IMAGES = {"x", "y", "z", "mean", "dx", "dy", "dz", "dmean"}
AXES = ["channel", "place"]             # of a sequence

Span = tuple[int, int, int]             # start, stop, step
Spans = tuple[Span, Span, Span]         # along depth, height and width
Place = tuple[int, int, int]


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
class Form:
    """How a layer's images lie: over how many axes, and whether their channels come first."""

    rank: int
    channels_first: bool = False

    def volume(self, name: str, array: np.ndarray) -> np.ndarray | None:
        """An array of the layer as the kernels see it; None where it is no image.

        What goes in and out lies as the layer's caller has it, all else that it has cached as the kernels do.
        """
        if name not in IMAGES:
            return array if array.ndim == 5 else None
        if array.ndim == 2:                                     # one window over the whole image
            return array[:, None, None, None, :]
        if array.ndim != self.rank + 2:
            return None
        last = np.moveaxis(array, 1, -1) if self.channels_first else array
        return last.reshape(len(last), *(1,) * (3 - self.rank), *last.shape[1:])

    def shown(self, volume: np.ndarray) -> np.ndarray:
        """A volume, or weights (KD, KH, KW, …) behind an axis of one, as a page shows it."""
        B, D, H, *rest = volume.shape
        return volume.reshape(B, *((), (D * H,), (D * H,))[self.rank - 1], *rest)

    def marks(self, name: str, phase: str, volume: np.ndarray, spans: Spans, channel: int | None = None,
              sample: int | None = None) -> tuple[Mark, ...]:
        """Outlines around these places of a volume, one in each plane."""
        depth, (start, stop, step), columns = spans
        if self.rank == 1:
            rows = (0, volume.shape[-1], 1) if channel is None else (channel, channel + 1, 1)
            return (Mark(name, phase, rows, columns, None, sample),)
        H = volume.shape[2]
        return tuple(Mark(name, phase, (d * H + start, d * H + stop, step), columns, channel, sample) for d in range(*depth))

    def focus(self, volume: np.ndarray, place: Place) -> tuple[int | None, int]:
        """Row and column at which a place is shown; a sequence's has a row for each channel."""
        d, h, w = place
        return (None if self.rank == 1 else d * volume.shape[2] + h), w


def cell(place: Iterable[int]) -> Any:
    """The spans of one place."""
    return tuple((at, at + 1, 1) for at in place)


def middle(spans: Spans) -> Any:
    """The place in the middle of spans."""
    return tuple(start + (max(0, stop - start - 1) // step // 2) * step for start, stop, step in spans)
