"""Sequences of unequal lengths."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from nblayers.arguments import integer, optional


def pad_sequences(sequences: Sequence[Any], maxlen: int | None = None, dtype: Any = "int32", padding: str = "pre",
                  truncating: str = "pre", value: Any = 0.0) -> np.ndarray:
    """Bring sequences to one length, in one array.

    Arguments:
        sequences: a list of sequences, of numbers or of vectors of one shape.
        maxlen: the length; by default that of the longest.
        dtype: of the result; `object` for strings.
        padding: where `value` is filled in, "pre" before the sequence, "post" after it.
        truncating: which end of a sequence that is too long is cut off, "pre" its beginning, "post" its end.
        value: what is filled in.

    Returns:
        An array (len(sequences), maxlen, …).

    Raises:
        ValueError: not a list of sequences; vectors of different shapes; an unknown `padding`, `truncating` or `dtype`; a
            `maxlen` that is no number; a `value` that is none in an array of numbers.
    """
    optional(integer, "pad_sequences", "maxlen", maxlen, 0)
    try:
        kind = np.dtype(dtype).kind
    except TypeError:
        raise ValueError(f"pad_sequences: expected dtype to be a dtype, got {dtype!r}") from None
    for argument, given in (("padding", padding), ("truncating", truncating)):
        if not isinstance(given, str) or given not in ("pre", "post"):
            raise ValueError(f"pad_sequences: expected {argument} 'pre' or 'post', got {given!r}")
    lengths = _lengths(sequences)
    if maxlen is None:
        maxlen = max(lengths, default=0)
    if kind in "fiub" and np.asarray(value).dtype.kind not in "fiub":
        raise ValueError(f"pad_sequences: expected a value that fits dtype {dtype}, got {value!r}; dtype=object holds strings")
    shape = next((np.asarray(sequence).shape[1:] for sequence in sequences if len(sequence)), ())
    try:
        padded = np.full((len(sequences), maxlen, *shape), value, dtype)
    except (ValueError, TypeError) as error:
        raise ValueError(f"pad_sequences: expected a value that fits elements of shape {shape} and dtype {dtype}, "
                         f"got {value!r}") from error
    for row, sequence, length in zip(padded, sequences, lengths, strict=True):
        kept = min(length, maxlen)
        part = _converted(sequence[length - kept:] if truncating == "pre" else sequence[:kept], dtype)
        if length and part.shape[1:] != shape:
            raise ValueError(f"pad_sequences: expected elements of shape {shape} as in the first sequence, "
                             f"got {part.shape[1:]}")
        row[maxlen - kept if padding == "pre" else 0:][:kept] = part.reshape(kept, *shape)
    return padded


def _converted(sequence: Any, dtype: Any) -> np.ndarray:
    try:
        return np.asarray(sequence, dtype)
    except (ValueError, TypeError) as error:
        raise ValueError(f"pad_sequences: expected sequences that dtype {dtype} can hold, got {sequence!r:.60}") from error


def _lengths(sequences: Any) -> list[int]:
    if not hasattr(sequences, "__len__"):
        raise ValueError(f"pad_sequences: expected a list of sequences, got {type(sequences).__name__}")
    for sequence in sequences:
        if not hasattr(sequence, "__len__"):
            raise ValueError(f"pad_sequences: expected a list of sequences, got {sequence!r} among them")
    return [len(sequence) for sequence in sequences]
