"""What a trace holds."""
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Part:
    """A term of the sum that an entry is.

    Attributes:
        by: what it comes through, in words: "h", "c of the step after", or the term itself.
        formula: the term, LaTeX.
        value: the term, a copy; with its sign.
    """

    by: str
    formula: str
    value: np.ndarray


@dataclass(frozen=True, eq=False)
class Entry:
    """A number, or an array of them, that a layer computed.

    Attributes:
        layer: the layer's name, behind those of the layers that hold it: "bidirectional/forward_lstm".
        phase: "forward" or "backward".
        name: as in the code: "c_tilde", "dc"; of a weight's gradient "dW", "dU", "db".
        value: a copy.
        equation: its number or identifier, "(3)" or "(004.LSTM.C)"; of a derivative the equations that it differentiates,
            "from (3)"; "" where the layer gives none.
        formula: LaTeX.
        t: the time step, or None.
        where: the other indices of the loops in which it was computed, the outermost first; a slice as (start, stop, step).
        parts: the terms of the sum that it is; () where it is none.
        operands: the variables that its line computed it from, by their text in `source`; copies, one for what stays as it is.
        call: which call of the trace it belongs to, from 0; a layer that is called twice has two.
        path, line, source, function: the code that computed it; "" and 0 for what goes in and comes out.
    """

    layer: str
    phase: str
    name: str
    value: np.ndarray
    equation: str = ""
    formula: str = ""
    t: int | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    operands: Mapping[str, np.ndarray] = field(default_factory=dict)
    call: int = 0
    path: str = ""
    line: int = 0
    source: str = ""
    function: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    def is_of(self, layer: str | None = None, phase: str | None = None) -> bool:
        """Whether it belongs to this layer or to one inside it, and to this phase; None: to any."""
        return (layer is None or layer in self.layer.split("/")) and phase in (None, self.phase)

    @property
    def label(self) -> str:
        """Name and time step: "dc[2]"."""
        return self.name if self.t is None else f"{self.name}[{self.t}]"

    def said(self, digits: int = 4) -> str:
        """The value in a few words; of a sum its parts: "0.28 = 0.21 by c of the step after + 0.07 by h"."""
        whole = shown(self.value, digits)
        if not self.parts:
            return whole
        return f"{whole} = " + " + ".join(f"{shown(part.value, digits)} by {part.by}" for part in self.parts)

    def __repr__(self) -> str:
        return f"<{self.layer} {self.label} {self.shape} {self.equation}>".replace(" >", ">")


def shown(value: np.ndarray, digits: int = 4) -> str:
    """A number as it is, an array by its norm."""
    if value.size == 1:
        return f"{value.reshape(-1)[0]:.{digits}g}"
    if value.dtype.kind in "fc":
        return f"‖{norm(value):.{digits}g}‖"
    return f"{value.dtype} {value.shape}"


def norm(value: np.ndarray) -> float:
    """The norm of all numbers, of very large and very small ones, too."""
    most = float(np.max(np.abs(value), initial=0))
    return most * float(np.linalg.norm(value.reshape(-1) / most)) if most and np.isfinite(most) else most
