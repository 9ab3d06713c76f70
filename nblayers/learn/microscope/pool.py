"""All numbers of a page, one after the other; what is equal is there once."""
import base64
import hashlib
from collections.abc import Iterable

import numpy as np


class Pool:
    """A row of single-precision numbers, into which arrays are put."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._known: dict[bytes, int] = {}
        self.size = 0                   # numbers

    def put(self, array: np.ndarray) -> int:
        """Where the array begins, put there if it is new."""
        key = _key(array)
        if key not in self._known:
            self._known[key] = self.size
            self._pieces.append(_bytes(array))
            self.size += array.size
        return self._known[key]

    def find(self, array: np.ndarray) -> int | None:
        """Where an equal array begins, if there is one."""
        return self._known.get(_key(array))

    def cost(self, arrays: Iterable[np.ndarray]) -> int:
        """How many numbers more there would be with these."""
        new = {_key(array): array.size for array in arrays}
        return sum(size for key, size in new.items() if key not in self._known)

    def text(self) -> str:
        """The numbers as base64, the smallest byte of each first."""
        return base64.b64encode(b"".join(self._pieces)).decode("ascii")


def _key(array: np.ndarray) -> bytes:
    return hashlib.blake2b(_bytes(array), digest_size=16).digest()


def _bytes(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, "<f4").tobytes()
