"""Ids of tokens and classes, as layers are given them."""
from typing import Any

import numpy as np

from nblayers.devices import to_numpy


def ids_below(who: str, inputs: Any, size: int) -> Any:
    """The ids as int64; whole numbers in a floating array are ids too.

    Raises:
        ValueError: one that is no whole number, or not from 0 to size - 1.
    """
    if inputs.dtype.kind == "f":
        with np.errstate(invalid="ignore"):                                     # NaN and inf have no integer
            ids = inputs.astype(np.int64)
        if (ids != inputs).any():
            raise ValueError(f"{who}: expected whole numbers as ids, got {first_of(inputs, ids != inputs)}")
    else:
        ids = inputs.astype(np.int64, copy=False)
    if ids.size and int(ids.view(np.uint64).max()) >= size:                     # seen as unsigned, -1 is a huge id
        wrong = (ids < 0) | (ids >= size)
        raise ValueError(f"{who}: expected ids from 0 to {size - 1}, got {first_of(inputs, wrong)}")
    return ids


def first_of(values: Any, wrong: Any) -> str:
    """The first of the values that is marked wrong, and where it stands."""
    index = tuple(int(i) for i in np.argwhere(to_numpy(wrong))[0])
    return f"{values[index]} at index {index}" if index else f"{values}"
