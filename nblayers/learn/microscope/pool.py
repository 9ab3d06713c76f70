"""All numbers of a page, one after the other; what is equal is there once."""
import base64
import hashlib
from collections.abc import Iterable

import numpy as np

LARGEST, SMALLEST = np.finfo(np.float32).max, np.finfo(np.float32).tiny


class Pool:
    """A row of numbers, into which arrays are put: single precision, or double where they reach farther.

    Arguments:
        precise: whether they are double.
    """

    def __init__(self, precise: bool = False) -> None:
        self._kind = "<f8" if precise else "<f4"
        self._pieces: list[bytes] = []
        self._known: dict[bytes, int] = {}
        self.size = 0                   # numbers

    def put(self, array: np.ndarray) -> int:
        """Where the array begins, put there if it is new."""
        key = self._key(array)
        if key not in self._known:
            self._known[key] = self.size
            self._pieces.append(self._bytes(array))
            self.size += array.size
        return self._known[key]

    def find(self, array: np.ndarray) -> int | None:
        """Where an equal array begins, if there is one."""
        return self._known.get(self._key(array))

    def cost(self, arrays: Iterable[np.ndarray]) -> int:
        """How many numbers more there would be with these."""
        new = {self._key(array): array.size for array in arrays}
        return sum(size for key, size in new.items() if key not in self._known)

    def text(self) -> str:
        """The numbers as base64, the smallest byte of each first."""
        return base64.b64encode(b"".join(self._pieces)).decode("ascii")

    def _key(self, array: np.ndarray) -> bytes:
        return hashlib.blake2b(self._bytes(array), digest_size=16).digest()

    def _bytes(self, array: np.ndarray) -> bytes:
        return np.ascontiguousarray(array, self._kind).tobytes()


def reaches_farther(array: np.ndarray) -> bool:
    """Whether an array has numbers that single precision has not: too large, or so small that they would be 0."""
    if array.dtype != np.float64:
        return False
    size = np.abs(array)
    return bool(np.any(((size > LARGEST) & np.isfinite(size)) | ((size < SMALLEST) & (size > 0))))
