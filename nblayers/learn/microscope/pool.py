"""All numbers of a page, one after the other; what is equal is there once, and of what has changed a little the change."""
import base64
import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

SMALL = 64                              # numbers of an array that is always written whole
LARGEST, SMALLEST = np.finfo(np.float32).max, np.finfo(np.float32).tiny


class Pool:
    """A row of numbers, into which arrays are put: single precision, or double where they reach farther.

    Of an array that differs little from the last one of its shape, or from zeros, only the changes are written: windows fill an
    image one by one, and each has a step.

    Arguments:
        precise: whether they are double.

    Attributes:
        size: how many numbers are written.
        changed: of each array that is written as changes: where it begins in the row, where the one begins that it resembles,
            -1 for zeros, its size, and where in it each run of changed numbers begins and how long it is.
    """

    def __init__(self, precise: bool = False) -> None:
        self._kind = "<f8" if precise else "<f4"
        self._pieces: list[bytes] = []
        self._known: dict[bytes, int] = {}
        self._last: dict[tuple[int, ...], tuple[int, np.ndarray]] = {}      # of each shape
        self._length = 0                # of the row
        self.size = 0
        self.changed: list[list[Any]] = []

    def put(self, array: np.ndarray) -> int:
        """Where the array begins, put there if it is new."""
        key = self._key(array)
        if key not in self._known:
            self._known[key] = self._length
            numbers = self._numbers(array)
            like, runs = _likest(numbers, self._last.get(array.shape))
            if runs is not None:
                self.changed.append([self._length, like, array.size, [at for run in runs for at in (run.start, len(run))]])
            self._pieces += [numbers[run.start:run.stop].tobytes() for run in (runs or [range(array.size)] * (runs is None))]
            self.size += _count(array, runs)
            self._last[array.shape] = self._length, numbers
            self._length += array.size
        return self._known[key]

    def find(self, array: np.ndarray) -> int | None:
        """Where an equal array begins, if there is one."""
        return self._known.get(self._key(array))

    def cost(self, arrays: Iterable[np.ndarray]) -> int:
        """How many numbers more there would be with these."""
        cost, last, known = 0, dict(self._last), set(self._known)
        for array in arrays:
            if (key := self._key(array)) in known:
                continue
            known.add(key)
            numbers = self._numbers(array)
            cost += _count(array, _likest(numbers, last.get(array.shape))[1])
            last[array.shape] = 0, numbers
        return cost

    def text(self) -> str:
        """The numbers as base64, the smallest byte of each first."""
        return base64.b64encode(b"".join(self._pieces)).decode("ascii")

    def _key(self, array: np.ndarray) -> bytes:
        return hashlib.blake2b(self._numbers(array).data, digest_size=16).digest()

    def _numbers(self, array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array, self._kind).reshape(-1)


def _likest(numbers: np.ndarray, last: tuple[int, np.ndarray] | None) -> tuple[int, list[range] | None]:
    """What an array resembles, the last one of its shape or zeros, and the runs in which it differs; None: too many."""
    for like, before in ([last] if last else []) + [(-1, np.zeros_like(numbers))]:
        if (runs := _runs(before, numbers)) is not None:
            return like, runs
    return -1, None


def _count(array: np.ndarray, runs: list[range] | None) -> int:
    return array.size if runs is None else sum(map(len, runs))


def _runs(before: np.ndarray, now: np.ndarray) -> list[range] | None:
    """Where numbers have changed, in runs; None where it is less to write them all."""
    if now.size < SMALL:
        return None
    whole = f"<u{now.itemsize}"
    places = np.flatnonzero(before.view(whole) != now.view(whole))          # NaN equals NaN
    if 2 * len(places) > now.size:
        return None
    breaks = np.flatnonzero(np.diff(places) > 1) + 1
    starts, stops = np.append(0, breaks), np.append(breaks, len(places))
    runs = [range(int(places[i]), int(places[j - 1]) + 1) for i, j in zip(starts, stops, strict=True) if j > i]
    return runs if len(places) + 2 * len(runs) < now.size else None


def reaches_farther(array: np.ndarray) -> bool:
    """Whether an array has numbers that single precision has not: too large, or so small that they would be 0."""
    if array.dtype != np.float64:
        return False
    size = np.abs(array)
    return bool(np.any(((size > LARGEST) & np.isfinite(size)) | ((size < SMALLEST) & (size > 0))))
