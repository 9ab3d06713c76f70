"""Where the steps of a batch of sequences lie."""
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.utils.packing import PackedSequence


class Steps:
    """Which row of flat arrays (N, …) is which step of which sequence, padded or packed.

    Step t of sequence b lies in row first[t] + b * apart; the first rows[t] sequences have a step t
    (kernels/reference/recurrent.py). In a packed batch sequence b is the b-th longest, number order[b] of the batch.
    `padded` says whether every sequence is as long as the longest and the steps of one are neighbours.
    """

    def __init__(self, first: np.ndarray, rows: np.ndarray, apart: int, padded: bool, order: Any = None) -> None:
        self.first, self.rows, self.apart, self.padded, self.order = first, rows, apart, padded, order
        self._on: dict[str, tuple[Any, Any, int]] = {}
        self._all_real: dict[str, Any] = {}

    def on(self, xp: Any) -> tuple[Any, Any, int]:
        """first, rows and apart as kernels take them."""
        if xp.__name__ not in self._on:
            self._on[xp.__name__] = xp.asarray(self.first), xp.asarray(self.rows), self.apart
        return self._on[xp.__name__]

    def all_real(self, xp: Any) -> Any:
        """The mask (N,) of a batch without one; the same array each time, so that it can be told from one that was given."""
        if xp.__name__ not in self._all_real:
            self._all_real[xp.__name__] = xp.ones(int(self.rows.sum()), bool)
        return self._all_real[xp.__name__]

    @cached_property
    def step(self) -> np.ndarray:
        """(N,), the t of every row of a packed batch."""
        return np.repeat(np.arange(len(self.rows)), self.rows)

    @cached_property
    def sequence(self) -> np.ndarray:
        """(N,), the sequence b of every row of a packed batch."""
        return np.arange(len(self.step)) - self.first[self.step]

    @cached_property
    def sample(self) -> np.ndarray:
        """(N,), which sample of the batch every row of a packed batch belongs to."""
        return self.sequence if self.order is None else self.order[self.sequence]

    @cached_property
    def ends(self) -> np.ndarray:
        """(B,), the row of each sequence's last step."""
        b = np.arange(self.rows[0])
        return self.first[np.searchsorted(-self.rows, -b) - 1] + b * self.apart

    def before(self, states: Any, initial: Any, go_backwards: bool, xp: Any) -> Any:
        """With which state (N, H) the walk came to each row of a packed batch, given those it left and the initial ones."""
        came_from, entered = self._came_from[go_backwards]
        before = states[xp.asarray(came_from)]
        before[xp.asarray(entered)] = initial[xp.asarray(self.sequence[entered])]
        return before

    @cached_property
    def _came_from(self) -> dict[bool, tuple[np.ndarray, np.ndarray]]:
        """For both ways: the row walked before each row, and the rows at which the walk enters a sequence."""
        found = {}
        for backwards, t in ((False, self.step - 1), (True, self.step + 1)):
            inside = np.clip(t, 0, len(self.rows) - 1)
            walked = (t == inside) & (self.sequence < self.rows[inside])
            found[backwards] = np.where(walked, self.first[inside] + self.sequence, 0), np.nonzero(~walked)[0]
        return found


@lru_cache(maxsize=256)
def padded(batch: int, length: int) -> Steps:
    """The steps of an array (batch, length, …)."""
    return Steps(np.arange(length), np.full(length, batch), length, True)


def packed(sequence: PackedSequence) -> Steps:
    """The steps of a PackedSequence's data."""
    order = sequence.sorted_indices
    return _packed(_bytes(sequence.batch_sizes), None if order is None else _bytes(order))


@lru_cache(maxsize=256)
def _packed(batch_sizes: bytes, order: bytes | None) -> Steps:
    rows = np.frombuffer(batch_sizes, np.int64).copy()
    first = np.concatenate([[0], np.cumsum(rows)[:-1]])
    return Steps(first, rows, 1, False, None if order is None else np.frombuffer(order, np.int64))


def _bytes(integers: Any) -> bytes:
    return np.asarray(to_numpy(integers), np.int64).tobytes()
