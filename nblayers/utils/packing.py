r"""Sequences of unequal lengths without their padding, as in `torch.nn.utils.rnn`.

A packed batch holds first step 1 of all sequences, then step 2 of all that have one, and so on, longest sequence first. Of the
sequences a1 a2 a3, b1 and c1 c2:

    padded (batch_first)        sorted                  packed
        a1 a2 a3                    a1 a2 a3                data           a1 c1 b1 a2 c2 a3
        b1  0  0                    c1 c2  0                batch_sizes    3        2     1
        c1 c2  0                    b1  0  0                sorted_indices 0 2 1

A recurrent layer given a PackedSequence does no work for padding.

Packing only moves numbers: every real step of the padded array p has one row in the packed data,

    data[n] = p[b(n), t(n)]                     (1)     pack_padded_sequence
    p[b(n), t(n)] = data[n], else the padding   (2)     pad_packed_sequence

so that each of the two, on gradients, is the backward of the other: padding receives the gradient 0 and gives none.
"""
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nblayers.arguments import flag, integer, number
from nblayers.arrays import as_numbers
from nblayers.devices import array_module, to_numpy


class _Packed(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Packed):
    """A batch of sequences without their padding; `pack_sequence` and `pack_padded_sequence` make one.

    The gradient of a PackedSequence is a PackedSequence with the same batch_sizes and indices.

    Attributes:
        data: (N, …), all steps of all sequences, N being the sum of their lengths.
        batch_sizes: (T,) integers, how many sequences have a step t; never grows with t.
        sorted_indices: (B,) integers, where in the batch the longest sequence stands, the second longest …; None where the
            batch was sorted already.
        unsorted_indices: (B,) integers, the way back: where in the packed order sequence b stands; None with sorted_indices.
    """

    __slots__ = ()

    def __new__(cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None,
                unsorted_indices: Any = None) -> "PackedSequence":
        if batch_sizes is None:                 # the first two in one, as PyTorch allows
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise TypeError(f"PackedSequence: expected data and batch_sizes, got {type(data).__name__} alone")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, T, …), that of the padded batch."""
        return int(self.batch_sizes[0]), len(self.batch_sizes), *self.data.shape[1:]

    @property
    def lengths(self) -> np.ndarray:
        """(B,), the lengths of the sequences in the order of the batch."""
        steps = np.arange(self.batch_sizes[0])
        lengths = (steps[:, None] < np.asarray(self.batch_sizes)).sum(axis=1)
        return lengths if self.unsorted_indices is None else lengths[self.unsorted_indices]


def check_packed(who: str, sequence: Any) -> None:
    """Whether the parts of a packed batch belong together; kernels find their rows by them.

    Raises:
        TypeError: not a PackedSequence, its data no array, batch_sizes or indices that are not integers.
        ValueError: batch_sizes that are empty, grow, fall below 1 or do not add up to the rows of data; indices that are no
            permutation of the batch, or of which one is not the way back of the other. Both open with `who`.
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"{who}: expected a PackedSequence, got {type(sequence).__name__}")
    if getattr(sequence.data, "ndim", 0) < 1:
        raise TypeError(f"{who}: expected packed data to be an array (steps, …), got {sequence.data!r}")
    sizes = _integers(who, "batch_sizes", sequence.batch_sizes)
    if problem := _problem_of_sizes(sizes.tobytes(), len(sequence.data)):
        raise ValueError(f"{who}: expected batch_sizes {problem}, got {sizes.tolist()}")
    if sequence.sorted_indices is None and sequence.unsorted_indices is None:
        return
    if sequence.sorted_indices is None or sequence.unsorted_indices is None:
        raise ValueError(f"{who}: expected sorted_indices and unsorted_indices, or neither, got one of them alone")
    order, back = (_integers(who, name, getattr(sequence, name)) for name in ("sorted_indices", "unsorted_indices"))
    if not _undo_each_other(order.tobytes(), back.tobytes(), int(sizes[0])):
        raise ValueError(f"{who}: expected sorted_indices to be a permutation of {sizes[0]} and unsorted_indices its inverse, "
                         f"got {order.tolist()} and {back.tolist()}")


def _integers(who: str, name: str, values: Any) -> np.ndarray:
    given = np.asarray(to_numpy(values))
    if given.dtype.kind not in "iu" or given.ndim != 1:
        raise TypeError(f"{who}: expected {name} to be a sequence of integers, got {given.dtype} of shape {given.shape}")
    return given.astype(np.int64, copy=False)


@lru_cache(maxsize=256)
def _problem_of_sizes(batch_sizes: bytes, rows: int) -> str:
    """What is wrong with batch_sizes for data of so many rows; "" if nothing is."""
    sizes = np.frombuffer(batch_sizes, np.int64)
    if not len(sizes) or sizes.min() < 1:
        return "of at least one step and one sequence each"
    if (sizes[1:] > sizes[:-1]).any():
        return "that never grow"
    return "" if int(sizes.sum()) == rows else f"that add up to the {rows} rows of data"


@lru_cache(maxsize=256)
def _undo_each_other(order: bytes, back: bytes, count: int) -> bool:
    """Whether both are permutations of 0 … count - 1, one the inverse of the other."""
    there, here = (np.frombuffer(indices, np.int64) for indices in (order, back))
    numbers = np.arange(count)
    return len(here) == count and np.array_equal(np.sort(there), numbers) and np.array_equal(there[here], numbers)


def invert_permutation(permutation: Any) -> Any:
    """The permutation that undoes this one; None for None."""
    return None if permutation is None else np.argsort(permutation)


def pack_padded_sequence(input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a padded batch.

    Arguments:
        input: (T, B, …), or (B, T, …) with `batch_first`; padding stands behind the sequences.
        lengths: (B,) integers, the real lengths, from 1 to T.
        batch_first: whether the batch is axis 0.
        enforce_sorted: the sequences must come longest first. False sorts them; the order of the batch is remembered.

    Raises:
        ValueError: an input of fewer than two axes; other than B lengths, one of them not from 1 to T or no whole number;
            lengths that grow, with `enforce_sorted`.

    Source: 004 "Dynamic RNN"; torch.nn.utils.rnn.
    """
    flag("pack_padded_sequence", "batch_first", batch_first)
    flag("pack_padded_sequence", "enforce_sorted", enforce_sorted)
    padded = _array(input)
    if padded.ndim < 2:
        raise ValueError(f"pack_padded_sequence: expected an input of at least two axes, got one of shape {padded.shape}")
    B, T = padded.shape[:2] if batch_first else padded.shape[1::-1]
    if B == 0:
        raise ValueError(f"pack_padded_sequence: expected at least one sequence, got an input of shape {padded.shape}")
    lengths = _checked_lengths("pack_padded_sequence", lengths, B, T, shortest=1)
    order = None
    if not enforce_sorted:
        order = np.argsort(-lengths, kind="stable")
    elif (lengths[1:] > lengths[:-1]).any():
        raise ValueError(f"pack_padded_sequence: expected lengths in decreasing order, got {lengths.tolist()}; "
                         "enforce_sorted=False sorts them")
    batch_sizes = (np.arange(lengths.max())[:, None] < lengths).sum(axis=1)
    packed = PackedSequence(None, batch_sizes, order)
    return packed._replace(data=padded[_places(packed, batch_first, padded)])                       # (1)


def pack_padded_sequence_backward(dpacked: PackedSequence, batch_first: bool = False,
                                  total_length: int | None = None) -> Any:
    """dL/dinput of `pack_padded_sequence`, from dL/dpacked: zero at padding.

    Arguments:
        dpacked: the gradient of what was returned, a PackedSequence.
        batch_first: as there.
        total_length: T of the input; by default the longest length.
    """
    return pad_packed_sequence(dpacked, batch_first, 0.0, total_length)[0]                  # from (1)


def pad_packed_sequence(sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0,
                        total_length: int | None = None) -> tuple[Any, np.ndarray]:
    """Fill a packed batch up to one length, in the order in which the batch came.

    Arguments:
        sequence: the packed batch.
        batch_first: whether the batch becomes axis 0.
        padding_value: what stands behind the sequences.
        total_length: T; by default that of the longest sequence.

    Returns:
        The padded batch (T, B, …), or (B, T, …) with `batch_first`, and the lengths (B,).

    Raises:
        TypeError: not a PackedSequence, or one of other things than arrays.
        ValueError: total_length below the longest sequence; a PackedSequence whose parts do not belong together.

    Source: 004 "Dynamic RNN"; torch.nn.utils.rnn.
    """
    check_packed("pad_packed_sequence", sequence)
    data, longest, B = sequence.data, len(sequence.batch_sizes), int(sequence.batch_sizes[0])
    flag("pad_packed_sequence", "batch_first", batch_first)
    number("pad_packed_sequence", "padding_value", padding_value, finite=False)
    length = longest if total_length is None else integer("pad_packed_sequence", "total_length", total_length)
    if length < longest:
        raise ValueError(f"pad_packed_sequence: expected total_length of at least the longest sequence's length {longest}, "
                         f"got {total_length}")
    padded = _module(data).full(((B, length) if batch_first else (length, B)) + data.shape[1:], padding_value, data.dtype)
    padded[_places(sequence, batch_first, data)] = data                                     # (2)
    return padded, sequence.lengths


def pad_packed_sequence_backward(dpadded: Any, sequence: PackedSequence, batch_first: bool = False) -> PackedSequence:
    """dL/dsequence of `pad_packed_sequence`, from dL/dpadded; what arrives at padding goes nowhere.

    Arguments:
        dpadded: the gradient of the padded batch.
        sequence: the packed batch that was padded.
        batch_first: as there.

    Raises:
        TypeError, ValueError: as `pad_packed_sequence`; dpadded is not of the padded batch's shape (its T may be any
            total_length).
    """
    check_packed("pad_packed_sequence_backward", sequence)
    dpadded = _array(dpadded)
    longest, B = len(sequence.batch_sizes), int(sequence.batch_sizes[0])
    got_B, got_T = dpadded.shape[:2] if batch_first else dpadded.shape[1::-1]
    if got_B != B or got_T < longest or dpadded.shape[2:] != sequence.data.shape[1:]:
        raise ValueError(f"pad_packed_sequence_backward: expected dpadded of {B} sequences of at least {longest} steps of "
                         f"shape {sequence.data.shape[1:]}, got shape {dpadded.shape} with batch_first={batch_first}")
    return sequence._replace(data=dpadded[_places(sequence, batch_first, dpadded)])                  # from (2)


def pad_sequence(sequences: Iterable[Any], batch_first: bool = False, padding_value: float = 0.0,
                 padding_side: str = "right") -> Any:
    """Bring sequences to the length of the longest, in one array.

    Arguments:
        sequences: arrays (length, …), alike but for their lengths.
        batch_first: whether the batch becomes axis 0.
        padding_value: what is filled in.
        padding_side: "right" behind the sequences, "left" before them.

    Returns:
        (T, B, …), or (B, T, …) with `batch_first`, of the first sequence's dtype.

    Raises:
        ValueError: no sequences, elements of different shapes, another `padding_side`.

    Source: torch.nn.utils.rnn; `pad_sequences` is Keras'.
    """
    if not isinstance(padding_side, str) or padding_side not in ("left", "right"):
        raise ValueError(f"pad_sequence: expected padding_side 'left' or 'right', got {padding_side!r}")
    flag("pad_sequence", "batch_first", batch_first)
    number("pad_sequence", "padding_value", padding_value, finite=False)
    if not isinstance(sequences, Iterable):
        raise ValueError(f"pad_sequence: expected a list of sequences, got {sequences!r}")
    arrays = [_array(sequence) for sequence in sequences]
    if not arrays:
        raise ValueError("pad_sequence: expected at least one sequence, got none")
    shapes = [array.shape[1:] for array in arrays]
    if any(array.ndim == 0 for array in arrays) or len(set(shapes)) > 1:
        raise ValueError(f"pad_sequence: expected sequences of elements of one shape, got arrays of shapes "
                         f"{[array.shape for array in arrays]}")
    T = max(len(array) for array in arrays)
    padded = _module(arrays[0]).full((len(arrays), T, *shapes[0]), padding_value, arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[T - len(array) if padding_side == "left" else 0:][:len(array)] = array
    return padded if batch_first else padded.swapaxes(0, 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of a batch that is padded behind them, as a list; the backward of `pad_sequence`.

    Raises:
        ValueError: other than B lengths, or one of them not from 0 to T.
    """
    padded = _array(padded_sequences)
    padded = padded if batch_first else padded.swapaxes(0, 1)
    lengths = _checked_lengths("unpad_sequence", lengths, len(padded), padded.shape[1], shortest=0)
    return [row[:length] for row, length in zip(padded, lengths, strict=True)]


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (length, …): `pad_sequence`, then `pack_padded_sequence`.

    Raises:
        ValueError: as these two.
    """
    padded = pad_sequence(sequences, batch_first=True)
    return pack_padded_sequence(padded, [len(sequence) for sequence in sequences], True, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences of a packed batch as a list, in the order in which the batch came; the backward of `pack_sequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def _places(packed: PackedSequence, batch_first: bool, array: Any) -> tuple[Any, Any]:
    """b(n) and t(n): for every row of the data its place in the padded batch, as that, an array of this kind, is indexed."""
    sizes = np.asarray(packed.batch_sizes)
    t, b = np.nonzero(np.arange(sizes[0]) < sizes[:, None])
    if packed.sorted_indices is not None:
        b = np.asarray(packed.sorted_indices)[b]
    b, t = map(_module(array).asarray, (b, t))
    return (b, t) if batch_first else (t, b)


def _checked_lengths(function: str, lengths: Any, B: int, T: int, shortest: int) -> np.ndarray:
    given = as_numbers(lengths, function, "lengths")
    whole = given.astype(np.int64)
    if given.shape != (B,) or (whole != given).any() or (whole < shortest).any() or (whole > T).any():
        raise ValueError(f"{function}: expected {B} lengths from {shortest} to {T}, got {given.tolist()}")
    return whole


def _array(value: Any) -> Any:
    return value if hasattr(value, "__cuda_array_interface__") else np.asarray(value)


def _module(array: Any) -> Any:
    return array_module("cuda") if hasattr(array, "__cuda_array_interface__") else np
