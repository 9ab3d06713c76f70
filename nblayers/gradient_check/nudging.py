r"""Which of the gradients that backward computes on the way is the first wrong one.

Forward is run again with one value v that a line of it computes moved along a random direction r. For a right dv

    \frac{d}{ds} L(v + s r) = \langle dv, r \rangle         (1)    at s = 0

A dv "from (2)" is the gradient of v as it was when (2) was computed, or, of what a step hands back, as it was before. It may be
all of the gradient, or what comes through (2) alone: then v is moved while (2) is computed. Or it is a part to which more is
added: then what comes of it is right.
"""
import linecache
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import numpy as np

from nblayers.gradient_check.numeric import Slopes, derivative, slopes_of_loss
from nblayers.learn.trace import Entry
from nblayers.learn.trace.lines import MARK, Line, lines_of
from nblayers.learn.trace.recorder import read, time_step, trace

RTOL = 1e-5                             # of (1), relative to the gradient's norm
ATOL = 1e-9
NEAR = 2                                # values of earlier time steps that a gradient may be of

Outputs = Sequence[np.ndarray]
Through = tuple[int | None, frozenset[str]] | None      # a time step and the equations computed there; None: all that follows


class OutOfTime(Exception):
    """The search took as long as it may."""


class NotMoved(Exception):
    """Moving the value changes nothing: a kernel computed it on a copy, or it cannot be written to."""


class Nudged(trace):
    """A trace of a forward pass that moves one of the values that it records.

    Arguments:
        entry: what a trace of the same pass has recorded at
        place: among its entries.
        by: how far it is moved.
        through: while what is computed; None: from then on.
        fixed: arrays that must stay as they are.
    """

    def __init__(self, entry: Entry, place: int, by: np.ndarray, through: Through, fixed: Sequence[np.ndarray]) -> None:
        super().__init__()
        self._of, self._place, self._by, self._fixed = entry, place, by, fixed
        self._t, self._marks = through or (None, frozenset())
        self._value: np.ndarray | None = None           # the one that is moved, once it is there
        self._before_moved: np.ndarray | None = None    # its numbers, while it is moved for a line

    def _before(self, line: Line, frame: FrameType) -> Any:
        is_through = self._t == time_step(frame) and self._marks & {*line.marks}
        if is_through and self._value is not None and self._before_moved is None:
            self._before_moved = self._value.copy()
            self._value += self._by
        return len(self.entries), [], {}                # of a sum and of operands nothing is asked here

    def _after(self, line: Line, frame: FrameType, kept: Any, returned: Any) -> None:
        known = len(self.entries)
        if self._value is not None and self._before_moved is not None and self._marks & {*line.marks}:
            self._value[...] = self._before_moved
            self._before_moved = None
        super()._after(line, frame, kept, returned)
        if known <= self._place < len(self.entries) and (line.path, line.number) == (self._of.path, self._of.line):
            for target in (one for one in line.targets if one.name == self._of.name):
                self._take_value(returned if line.returns else read(target.read, frame))

    def _take_value(self, value: Any) -> None:
        is_own = isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.flags.writeable and not any(
            np.may_share_memory(value, one) for one in self._fixed)
        if is_own and value.shape == self._by.shape:
            self._value = value
            if not self._marks:
                value += self._by


class Search:
    """The search through one forward and backward.

    Arguments:
        entries: their trace.
        forward: runs the same forward again, and returns its outputs.
        factors: what multiplies the outputs in the loss.
        fixed: arrays that must stay as they are.
        step: how far a value is moved, relative to its largest number where that is above 1.
        seconds: how long to look.
        wrong: gradients of inputs and weights that are known to be wrong, by their names in the trace.
    """

    def __init__(self, entries: Sequence[Entry], forward: Callable[[], Outputs], factors: Sequence[np.ndarray | float],
                 fixed: Sequence[np.ndarray], step: float, seconds: float, wrong: Mapping[str, np.ndarray]) -> None:
        self.entries, self.factors, self.fixed, self.step, self.wrong = entries, factors, fixed, step, wrong
        self._forward, self._until = forward, time.thread_time() + seconds
        self._y = forward()
        self._known: dict[tuple[int, Through], tuple[float, float]] = {}
        self._named: dict[tuple, list[int]] = {}        # where values stand, by layer, name and shape
        self._computed: dict[tuple, int] = {}           # where an equation was computed last, by layer, mark and time step
        for place, entry in enumerate(entries):
            if entry.path and entry.phase == "forward":
                self._named.setdefault((entry.layer, entry.name, entry.shape), []).append(place)
                self._computed |= {(entry.layer, mark, entry.t): place for mark in MARK.findall(entry.equation)}

    def first_wrong(self) -> tuple[Entry, Entry | None] | None:
        """The first wrong gradient, and the last right one before it, as far as any is known; None where none is."""
        gradients = [entry for entry in self.entries if entry.path and entry.phase == "backward"
                     and (self._values(entry) or self._is_known_wrong(entry))]
        right = None
        try:
            for place, entry in enumerate(gradients):
                is_right = self._is_right(entry)
                if is_right:
                    right = entry
                elif is_right is False and not _is_completed_unseen(entry) and all(
                        self._is_right(later) is False for later in _added_to(entry, gradients[place + 1:])):
                    return entry, right
        except OutOfTime:
            pass
        return None

    def _is_right(self, entry: Entry) -> bool | None:
        """Whether (1) holds for a value that a gradient may be of; None where it cannot be told of one in its time step."""
        if self._is_known_wrong(entry):
            return False
        of, through = self._values(entry), (entry.t, frozenset(MARK.findall(entry.equation)))
        near = [place for place in of if place == of[0] or self.entries[place].t == entry.t]
        if any(math.isnan(self._numeric(place)[0]) for place in near):
            return None
        analytic = float(np.sum(_direction(entry.shape) * entry.value))
        size = float(np.linalg.norm(entry.value))
        return any(abs(analytic - numeric) <= RTOL * max(size, abs(numeric)) + ATOL + noise                 # (1)
                   for way in (None, through) for numeric, noise in (self._numeric(place, way) for place in of))

    def _is_known_wrong(self, entry: Entry) -> bool:
        """Whether it is the whole of a gradient that is known to be wrong."""
        wrong = self.wrong.get(entry.name)
        return wrong is not None and wrong.shape == entry.shape and np.allclose(wrong, entry.value, rtol=1e-12, atol=0)

    def _values(self, entry: Entry) -> list[int]:
        """Where the values of a gradient's name stand that were there when its equation was computed, the last first.

        Of those of other time steps the last few.
        """
        until = max((self._computed.get((entry.layer, mark, entry.t), 0) for mark in MARK.findall(entry.equation)), default=0)
        named = self._named.get((entry.layer, entry.name[1:], entry.shape), []) if entry.name.startswith("d") else []
        there = [place for place in reversed(named) if place < until]
        before = [place for place in there if self.entries[place].t != entry.t][:NEAR]
        return [place for place in there if self.entries[place].t == entry.t or place in before]

    def _numeric(self, place: int, through: Through = None) -> tuple[float, float]:
        """The left side of (1) and its noise; NaN where there is a kink or nothing to tell."""
        if (place, through) not in self._known:
            self._known[place, through] = self._derivative(place, through)
        return self._known[place, through]

    def _derivative(self, place: int, through: Through) -> tuple[float, float]:
        largest = float(np.abs(self.entries[place].value).max(initial=0))
        try:
            numeric, noise, is_kink = derivative(lambda h: self._slopes(place, through, h), self.step * max(1.0, largest), 0.0,
                                                 lambda *_: False)
        except NotMoved:
            return math.nan, 0.0
        return math.nan if is_kink else numeric, noise

    def _slopes(self, place: int, through: Through, h: float) -> Slopes:
        """The slopes of the loss along a direction."""
        more, less = self._moved(place, through, h), self._moved(place, through, -h)
        if all(np.array_equal(one, here) for one, here in zip(more, self._y, strict=True)):
            raise NotMoved
        return slopes_of_loss(self.factors, self._y, more, less, h)

    def _moved(self, place: int, through: Through, h: float) -> Outputs:
        """The outputs with a value moved."""
        if time.thread_time() > self._until:
            raise OutOfTime
        entry = self.entries[place]
        with Nudged(entry, place, h * _direction(entry.shape), through, self.fixed):
            return self._forward()


def _direction(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def _added_to(entry: Entry, later: Sequence[Entry]) -> Iterator[Entry]:
    """The gradients that may be what comes of one when more is added to it: until its line begins anew."""
    for one in later:
        if (one.layer, one.name, one.shape) == (entry.layer, entry.name, entry.shape):
            if one.line == entry.line and "+=" not in one.source:
                return
            yield one


def _is_completed_unseen(entry: Entry) -> bool:
    """Whether a gradient is a sum to which a line may add that does not say what it computes."""
    lines = lines_of(entry.path)
    own = lines[entry.line]
    assigns = re.compile(rf"\s*{re.escape(entry.name)}\b[^=]*=(?!=)")
    beside = (line for line in lines.values() if (line.function, line.indices) == (own.function, own.indices))
    return bool(own.terms or own.adds) and any(
        not line.marks and assigns.match(linecache.getline(entry.path, line.number)) for line in beside)


def words(wrong: Entry, right: Entry | None) -> str:
    """Where the mistake is, as far as it is known."""
    before = "" if right is None else f". The last before it known to be right is {_named(right)}, line {right.line}"
    return (f"on backward's way, {_named(wrong)} is the first gradient known to be wrong: moving {wrong.name[1:]} in forward "
            f"changes the loss by another amount. The mistake is in {wrong.function}, line {wrong.line}: {wrong.source}; or in "
            f"what goes into it{before}")


def _named(entry: Entry) -> str:
    return entry.name if entry.t is None else f"{entry.name} at time step {entry.t}"
