"""Hashes of many strings or integers at once: how they are laid out for the kernels of `kernels.hashing`."""
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np


def offsets_of(lengths: Any, xp: ModuleType = np) -> Any:
    """lengths (N,) -> where each begins and the last ends (N + 1,), int64."""
    offsets = xp.zeros(lengths.size + 1, np.int64)
    xp.cumsum(lengths, out=offsets[1:])
    return offsets


def decimal_buffer(numbers: Any, room: ModuleType, xp: ModuleType) -> tuple[Any, Any]:
    """Integers (N,), int64 or uint64, as decimal text: bytes laid end to end, and offsets as `hash_text` takes them."""
    lengths = xp.empty(numbers.size, np.int64)
    room.hashing.decimal_lengths(numbers, lengths)
    offsets = offsets_of(lengths, xp)
    text = xp.empty(int(offsets[-1]), np.uint8)
    room.hashing.decimal_text(numbers, offsets, text)
    return text, offsets


def hashed(numbers: Any, room: ModuleType, xp: ModuleType, key: Sequence[int] | None = None) -> Any:
    """The hashes of integers (N,), int64 or uint64: those of their decimal text."""
    return hash_text(*decimal_buffer(numbers, room, xp), room, xp, key)


def hash_text(text: Any, offsets: Any, room: ModuleType, xp: ModuleType, key: Sequence[int] | None = None) -> Any:
    """The hashes (N,), uint64, of strings that are laid end to end: FarmHash's Fingerprint64, or SipHash-2-4 with a key.

    Arguments:
        text, offsets: bytes (B,) and int64 (N + 1,): string i is text[offsets[i]:offsets[i + 1]].
        room, xp: the kernels that compute, and their arrays.
        key: two integers below 2^64, or None for FarmHash.
    """
    text, offsets, hashes = xp.asarray(text), xp.asarray(offsets), xp.empty(offsets.size - 1, np.uint64)
    if key is None:
        room.hashing.farm_hash(text, offsets, hashes)
    else:
        room.hashing.sip_hash(text, offsets, xp.array(key, np.uint64), hashes)
    return hashes


def combined(first: Any, second: Any, room: ModuleType, xp: ModuleType) -> Any:
    """Two hashes (N,), uint64, into one: TensorFlow's FingerprintCat64."""
    hashes = xp.empty(first.size, np.uint64)
    room.hashing.combine_hashes(first, second, hashes)
    return hashes
