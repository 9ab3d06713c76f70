"""What `adapt` is given, as batches."""
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nblayers.arrays import as_numbers, is_array

NUMBERS = 1 << 20                       # of an array that are looked at together


def batches_of(data: Any, who: str, size: int = NUMBERS, whole: bool = False) -> Iterator[Any]:
    """Arrays of numbers, one after another.

    Arguments:
        data: an array, which is cut along axis 0, a memory-mapped one in parts that are read when they are asked for; or what
            yields batches: a list of arrays, a generator, a Sequence with `__len__` and `__getitem__`. Of a batch that is a
            tuple or list (x, y) or (x, y, weights) x is taken.
        size: how many numbers of an array to give at a time.
        whole: whether to give an array in one.

    Raises:
        TypeError: data that hold no numbers, or are neither an array nor batches.
        ValueError: a batch of more than three parts.
    """
    if isinstance(data, (list, tuple)) and not _holds_batches(data):
        data = as_numbers(data, who, "data for adapt")
    if is_array(data):
        yield from [as_numbers(data, who, "data for adapt")] if whole else _parts(data, who, size)
    else:
        for batch in _given(data, who):
            yield as_numbers(_inputs_of(batch, who), who, "a batch for adapt")


def _holds_batches(data: Any) -> bool:
    """Whether a list has arrays in it, or tuples of arrays, and not numbers."""
    first = data[0] if data else None
    return is_whole_array(first) or (isinstance(first, tuple) and bool(first) and is_whole_array(first[0]))


def is_whole_array(value: Any) -> bool:
    """Whether this is an array, and not one number of NumPy."""
    return is_array(value) and not isinstance(value, np.generic)


def _parts(data: Any, who: str, size: int) -> Iterator[Any]:
    if hasattr(data, "columns") or hasattr(data, "to_numpy"):           # a table, which is in memory anyway
        data = as_numbers(data, who, "data for adapt")
    if not data.shape:
        raise ValueError(f"{who}: adapt expected an array of one or more axes, got a single number")
    rows = max(size // max(math.prod(data.shape[1:]), 1), 1)
    for start in range(0, data.shape[0], rows):
        yield as_numbers(data[start:start + rows], who, "data for adapt")


def _given(data: Any, who: str) -> Iterator[Any]:
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (list, tuple, dict, str)):
        return (data[i] for i in range(len(data)))
    if hasattr(data, "__iter__") and not isinstance(data, (dict, str)):
        return iter(data)
    raise TypeError(f"{who}: adapt expected an array or batches of them, got {type(data).__name__}")


def _inputs_of(batch: Any, who: str) -> Any:
    if not isinstance(batch, (list, tuple)) or not batch or not is_whole_array(batch[0]):
        return batch
    if len(batch) > 3:
        raise ValueError(f"{who}: adapt expected batches x, (x, y) or (x, y, sample_weight), got one of {len(batch)}")
    return batch[0]
