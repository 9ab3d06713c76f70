"""Hashes of many strings or integers at once: how they are laid out for the kernels of `kernels.hashing`."""
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np


def text_buffer(strings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Strings, laid end to end in UTF-8.

    Arguments:
        strings: a list or an array of one axis, of str or bytes; bytes are taken as they are.

    Returns:
        The bytes (B,), uint8, and offsets (N + 1,), int64: string i is text[offsets[i]:offsets[i + 1]].

    Raises:
        UnicodeEncodeError: a lone surrogate, which has no UTF-8.
    """
    if isinstance(strings, np.ndarray):
        buffer = _fixed_width_buffer(strings) if strings.dtype.kind in "US" and strings.size else None
        if buffer is not None:
            return buffer
        strings = strings.tolist()
    joined = _joined(strings)
    if joined is None:
        strings = [s if isinstance(s, bytes) else s.encode() for s in strings]
        joined = b"".join(strings)
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    return np.frombuffer(bytearray(joined), np.uint8), offsets_of(lengths)      # kernels take arrays that may be written


def _fixed_width_buffer(strings: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The same for NumPy's strings of one width (N,); None where a character may be several bytes."""
    unit = np.dtype(np.uint32 if strings.dtype.kind == "U" else np.uint8)
    strings = np.ascontiguousarray(strings, strings.dtype.newbyteorder("="))
    characters = strings.view(unit).reshape(strings.size, -1)           # (N, width), filled up with zeros
    if unit.itemsize > 1 and characters.max(initial=0) > 127:
        return None
    lengths = np.char.str_len(strings)
    is_used = np.arange(characters.shape[1]) < lengths[:, None]
    return characters[is_used].astype(np.uint8), offsets_of(lengths)


def _joined(strings: Sequence[Any]) -> bytes | None:
    """All strings in one; None where they have to be encoded one by one."""
    try:
        joined = "".join(strings)
    except TypeError:                                           # bytes
        return None
    return joined.encode() if joined.isascii() else None        # so a character is a byte


def offsets_of(lengths: Any, xp: ModuleType = np) -> Any:
    """lengths (N,) -> where each begins and the last ends (N + 1,), int64."""
    offsets = xp.zeros(lengths.size + 1, np.int64)
    xp.cumsum(lengths, out=offsets[1:])
    return offsets


def decimal_buffer(numbers: Any, room: ModuleType, xp: ModuleType) -> tuple[Any, Any]:
    """Integers (N,), int64 or uint64, as decimal text laid end to end, computed in a room: as `text_buffer` of their strings."""
    lengths = xp.empty(numbers.size, np.int64)
    room.hashing.decimal_lengths(numbers, lengths)
    offsets = offsets_of(lengths, xp)
    text = xp.empty(int(offsets[-1]), np.uint8)
    room.hashing.decimal_text(numbers, offsets, text)
    return text, offsets


def hashed(values: Any, room: ModuleType, xp: ModuleType, key: Sequence[int] | None = None) -> Any:
    """Hash values (N,), uint64, as TensorFlow's: FarmHash's Fingerprint64, or SipHash-2-4 with a key.

    Arguments:
        values: strings as `text_buffer` takes them, or an array of int64 or uint64, hashed as decimal text.
        room, xp: the kernels that compute, and their arrays.
        key: two integers below 2^64, or None for FarmHash.
    """
    if getattr(values, "dtype", np.dtype(object)).kind in "iu":
        text, offsets = decimal_buffer(values, room, xp)
    else:
        text, offsets = (xp.asarray(part) for part in text_buffer(values))
    return hash_text(text, offsets, room, xp, key)


def hash_text(text: Any, offsets: Any, room: ModuleType, xp: ModuleType, key: Sequence[int] | None = None) -> Any:
    """The same of strings that are laid out already."""
    hashes = xp.empty(offsets.size - 1, np.uint64)
    if key is None:
        room.hashing.farm_hash(text, offsets, hashes)
    else:
        room.hashing.sip_hash(text, offsets, xp.array(key, np.uint64), hashes)
    return hashes
