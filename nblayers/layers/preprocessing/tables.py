"""Where a token stands in a vocabulary: tables to look many of them up at once."""
from types import ModuleType
from typing import Any

import numpy as np

from nblayers.devices import array_module, to_numpy
from nblayers.layers.preprocessing.strings import text_buffer

MISSING, LEFT_OUT = -1, -2              # instead of an id: of a token that is not in the vocabulary, and of the mask token


class StringTable:
    """A hash table of strings with open addressing; a copy of it for each device that asks.

    Arguments:
        tokens: all of them different.
        values: what each stands for, int64.
    """

    def __init__(self, tokens: list[str], values: np.ndarray) -> None:
        self.values = values
        self.texts = text_buffer(np.array(tokens, object), "vocabulary")
        self._on: dict[str, tuple[Any, ...]] = {}

    def look_up(self, clean: Any, starts: Any, ends: Any, device: str, room: ModuleType, missing: int) -> Any:
        """The values of the tokens in `clean`, from each start to its end; `missing` where there is none."""
        xp = array_module(device)
        ids = xp.empty(starts.size, np.int64)
        if device not in self._on:
            self._on[device] = self._made(xp, room)
        room.text.look_up(clean, starts, ends, *self._on[device], missing, ids)
        return ids

    def _made(self, xp: Any, room: ModuleType) -> tuple[Any, ...]:
        text, begins, finishes, values = (xp.asarray(part) for part in (*self.texts, self.values))
        hashes = xp.empty(values.size, np.uint64)
        room.text.token_hashes(text, begins, finishes, hashes)
        return xp.asarray(_slots(to_numpy(hashes))), hashes, text, begins, finishes, values


def free_slots(tokens: int, xp: ModuleType = np) -> Any:
    """Room for a hash table of so many tokens, at most half full."""
    return xp.full(2 << max(4, tokens.bit_length()), -1, np.int64)


def _slots(hashes: np.ndarray) -> np.ndarray:
    """Where each token lies: from the place that its hash names on, in the first that no other has taken."""
    slots = free_slots(hashes.size)
    size = len(slots)
    places = ((hashes ^ hashes >> np.uint64(32)) & np.uint64(size - 1)).astype(np.int64)
    waiting = np.arange(hashes.size)
    while waiting.size:
        free = waiting[slots[places[waiting]] < 0]
        slots[places[free]] = free                                  # of several one has it, ...
        waiting = waiting[slots[places[waiting]] != waiting]        # ... the others go on to the next place
        places[waiting] = (places[waiting] + 1) % size
    return slots


class IntegerTable:
    """A table of integers: by number where they lie close together, else in their order.

    Arguments: as of `StringTable`.
    """

    def __init__(self, tokens: list[int], values: np.ndarray) -> None:
        self.keys = np.array(tokens, np.int64)
        order = np.argsort(self.keys)
        self.keys, self.values = self.keys[order], values[order]
        self.low, self.high = (int(self.keys[0]), int(self.keys[-1])) if tokens else (0, -1)
        self.is_dense = self.high - self.low < 4 * len(tokens) + 1024
        if self.is_dense:
            by_number = np.full(self.high - self.low + 1, MISSING, np.int64)
            by_number[self.keys - self.low] = self.values
            self.values = by_number

    def look_up(self, numbers: Any, xp: Any) -> Any:
        """The values of numbers (N,), int64; MISSING where there is none."""
        if not self.keys.size:
            return xp.full(numbers.shape, MISSING, np.int64)
        values, inside = xp.asarray(self.values), (numbers >= self.low) & (numbers <= self.high)
        inner = xp.where(inside, numbers, self.low)
        if self.is_dense:
            return xp.where(inside, values[inner - self.low], MISSING)
        keys = xp.asarray(self.keys)
        places = xp.searchsorted(keys, inner)
        return xp.where(inside & (keys[places] == inner), values[places], MISSING)


