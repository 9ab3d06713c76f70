"""NumPy, but large new arrays begin where a line of the cache does: a vector that lies across two takes twice as long."""
from typing import Any

import numpy as np

LINE = 64                   # bytes
LARGE = 1 << 15             # bytes from which on it pays


def __getattr__(name: str) -> Any:
    value = globals()[name] = getattr(np, name)         # the next time it is found at once
    return value


def empty(shape: Any, dtype: Any = float, large: int = LARGE) -> np.ndarray:
    """An array that is not filled, as `numpy.empty`; it begins at a line if it has `large` bytes or more."""
    array = np.empty(shape, dtype)
    size = array.nbytes
    if size < large:
        return array
    room = np.empty(size + LINE, np.uint8)
    return np.ndarray(shape, dtype, room, -room.__array_interface__["data"][0] % LINE)


def empty_like(array: np.ndarray) -> np.ndarray:
    """An array of the same shape and dtype that is not filled; C-contiguous, whatever `array` is."""
    return empty(array.shape, array.dtype)
