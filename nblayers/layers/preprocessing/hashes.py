"""Hashes of many strings or integers at once: how they are laid out for the kernels of `kernels.hashing`."""
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from nblayers.arguments import integer


def offsets_of(lengths: Any, xp: ModuleType = np) -> Any:
    """lengths (N,) -> where each begins and the last ends (N + 1,), int64."""
    offsets = xp.zeros(lengths.size + 1, np.int64)
    xp.cumsum(lengths, out=offsets[1:])
    return offsets


def salt_pair(who: str, salt: Any) -> list[int] | None:
    """A salt, an integer or two of them, as two; what is negative counts modulo 2^64, as in TensorFlow.

    Raises:
        ValueError: it is something else, or out of range.
    """
    if salt is None:
        return None
    pair = list(salt) if isinstance(salt, (list, tuple)) else [salt, salt]
    if len(pair) != 2:
        raise ValueError(f"{who}: expected an integer or two as salt, got {salt!r}")
    return [integer(who, "salt", part, -2**63, 2**64 - 1) for part in pair]


def decimal_buffer(numbers: Any, room: ModuleType, xp: ModuleType) -> tuple[Any, Any]:
    """Integers (N,), int64 or uint64, as decimal text: the bytes (B,), and where each begins and the last ends (N + 1,)."""
    lengths = xp.empty(numbers.size, np.int64)
    room.hashing.decimal_lengths(numbers, lengths)
    offsets = offsets_of(lengths, xp)
    text = xp.empty(int(offsets[-1]), np.uint8)
    room.hashing.decimal_text(numbers, offsets, text)
    return text, offsets


def hashed(numbers: Any, room: ModuleType, xp: ModuleType, key: Sequence[int] | None = None) -> Any:
    """The hashes of integers (N,), int64 or uint64: those of their decimal text."""
    text, offsets = decimal_buffer(numbers, room, xp)
    return hash_text(text, offsets[:-1], offsets[1:], room, xp, key)


def hash_text(text: Any, begins: Any, finishes: Any, room: ModuleType, xp: ModuleType, key: Sequence[int] | None = None) -> Any:
    """The hashes (N,), uint64, of strings: FarmHash's Fingerprint64, or SipHash-2-4 with a key.

    Arguments:
        text, begins, finishes: bytes (B,), and int64 (N,): string i is text[begins[i]:finishes[i]].
        room, xp: the kernels that compute, and their arrays.
        key: what `salt_pair` gives: two integers, or None for FarmHash.
    """
    text, begins, finishes = xp.asarray(text), xp.asarray(begins), xp.asarray(finishes)
    hashes = xp.empty(begins.size, np.uint64)
    if key is None:
        room.hashing.farm_hash(text, begins, finishes, hashes)
    else:
        room.hashing.sip_hash(text, begins, finishes, xp.array([part % 2**64 for part in key], np.uint64), hashes)
    return hashes


def combined(first: Any, second: Any, room: ModuleType, xp: ModuleType) -> Any:
    """Two hashes (N,), uint64, into one: TensorFlow's FingerprintCat64."""
    hashes = xp.empty(first.size, np.uint64)
    room.hashing.combine_hashes(first, second, hashes)
    return hashes
