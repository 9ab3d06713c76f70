"""A batch that several processes share: which of its samples this process has, and sums over all of them.

Layers and losses ask here; `nblayers.distributed` answers while it takes a step. Where nobody shares, `part()` is None.
"""
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import kernels


class Part:
    """The samples of a batch that one process has.

    A process without any (there are more processes than samples) goes through its step with one sample of the batch that
    counts for nothing, so that all take part in the same sums.

    Arguments:
        start, count: the first sample in the batch, and how many there are.
        batch: samples in the whole batch.
        add: gives the sum of an array over all processes, float64.
    """

    def __init__(self, start: int, count: int, batch: int, add: Callable[[Any], np.ndarray]) -> None:
        self.start, self.count, self.batch, self.add = start, count, batch, add

    @property
    def weight(self) -> float:
        """The share of the batch: by it the mean over this part enters the mean over the batch."""
        return self.count / self.batch

    @property
    def seen(self) -> int:
        """Samples that the layers see."""
        return max(self.count, 1)


class _State(threading.local):
    part: Part | None = None
    counts: dict[str, np.ndarray] | None = None


_state = _State()


def part() -> Part | None:
    """The part of the step that this thread is in; None where nobody shares."""
    return _state.part


@contextmanager
def computing(part: Part) -> Iterator[None]:
    """A step on this part."""
    outside, _state.part = _state.part, part
    try:
        yield
    finally:
        _state.part = outside


@contextmanager
def counting() -> Iterator[None]:
    """One loss over the samples of all processes: the counts that it divides by are sums over all of them."""
    _state.counts = {}
    try:
        yield
    finally:
        _state.counts = None


def counted(name: str, *counts: float) -> list[float]:
    """These counts over all processes that share the batch; asked again in one loss, the same ones."""
    part, known = _state.part, _state.counts
    if part is None or known is None:
        return list(counts)
    if name not in known:
        known[name] = part.add(np.array(counts, float) if part.count else np.zeros(len(counts)))
    return known[name].tolist()


def gradient_factor() -> float:
    """What makes the gradient of this part's summand of a loss that of a mean over this part: `Part.weight` undoes it.

    So a gradient in a layer means the same in one process and in several: what a layer adds to it by itself, as the penalty of
    an activity regularizer, is of a mean over the samples that the layer sees.
    """
    part = _state.part
    if part is None or _state.counts is None:
        return 1.0
    return part.batch / part.count if part.count else 0.0


def shifted(key: Any, shape: tuple[int, ...]) -> Any:
    """The key that gives an array of this shape, samples outermost, its numbers of the whole batch.

    A kernel's n-th number comes from key + (n + 1) gamma: those of the samples before are passed over.
    """
    part = _state.part
    if part is None or not shape or shape[0] % part.seen:
        return key
    before = part.start * (math.prod(shape) // part.seen)
    gamma = kernels.get("reference").regularization.GAMMA
    return np.uint64((int(key) + before * int(gamma)) % 2**64)


def drawn(draw: Callable[[tuple[int, ...]], np.ndarray], shape: tuple[int, ...], axis: int = 0) -> np.ndarray:
    """Random numbers of this shape, `axis` being the samples': drawn for the whole batch, of which this part's are taken."""
    part = _state.part
    if part is None or shape[axis] % part.seen:
        return draw(shape)
    each = shape[axis] // part.seen     # rows of one sample
    whole = draw((*shape[:axis], each * part.batch, *shape[axis + 1:]))
    return whole[(slice(None),) * axis + (slice(part.start * each, part.start * each + shape[axis]),)]
