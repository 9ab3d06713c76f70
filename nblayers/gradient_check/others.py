"""Other numbers of the same kind: for a forward that has to forget an earlier one, and for inputs that hide a mistake."""
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nblayers.structures import map_structure


def is_constant(array: np.ndarray) -> bool:
    """Whether all elements of a floating array are one number, which may hide a mistake: a factor of one, a state of zero."""
    if array.dtype.kind != "f" or not array.size:
        return False
    value = array.flat[0]
    return bool(np.all(array == value)) and (array.size > 1 or (array.ndim > 0 and value in (0, 1)))


def of_one_sign(array: np.ndarray) -> bool:
    """Whether a floating array has numbers above 0 alone, or below 0 alone: others of that sign hide what depends on it."""
    return array.dtype.kind == "f" and array.size > 0 and bool((array > 0).all() or (array < 0).all())


def unequal(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random numbers near those of a constant array: of the same sign, and none is larger than |1| if that was not."""
    if not array.any():
        return rng.uniform(0.1, 0.6, array.shape)
    return array * rng.uniform(0.6, 1, array.shape)


def other_values(leaves: Sequence[np.ndarray], batch_axis: int,
                 rng: np.random.Generator) -> Iterator[tuple[list[np.ndarray], int]]:
    """The same arrays with other numbers, in several ways, the wildest first; each with how wild the masks may be.

    The first moves all values to other places (signs, winners and ids change, the range does not); the last changes little.
    """
    yield [_shuffled(_another_id(leaf), rng) for leaf in leaves], 2
    yield [_shuffled(leaf, rng) for leaf in leaves], 2
    yield [nearly(_reversed(leaf, batch_axis), rng) for leaf in leaves], 1
    yield [nearly(leaf, rng) for leaf in leaves], 0


def _another_id(leaf: np.ndarray) -> np.ndarray:
    """An array of one integer only gets another one."""
    is_one = leaf.dtype.kind in "iu" and leaf.size and (leaf == leaf.flat[0]).all()
    return np.where(leaf == 0, 1, 0).astype(leaf.dtype) if is_one else leaf


def _shuffled(leaf: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All values, in other places; in their rows if each of these has the same sum, as probabilities have."""
    if leaf.size < 2:
        return nearly(leaf, rng)
    if leaf.dtype.kind == "f" and leaf.ndim > 1 and leaf.shape[-1] > 1 and np.ptp(leaf.sum(axis=-1)) < 1e-6:
        return rng.permuted(leaf, axis=-1)
    order = rng.permutation(leaf.size)
    if (order == np.arange(leaf.size)).all():
        order = order[::-1]
    return np.array(leaf.reshape(-1)[order].reshape(leaf.shape))


def _reversed(leaf: np.ndarray, axis: int) -> np.ndarray:
    return np.flip(leaf, axis).copy() if -leaf.ndim <= axis < leaf.ndim else leaf


def nearly(leaf: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same numbers times 1 to 1.1; integers as they are."""
    return leaf * rng.uniform(1, 1.1, leaf.shape) if leaf.dtype.kind == "f" else leaf


def other_mask(mask: Any, wildness: int, batch_axis: int, rng: np.random.Generator) -> Any:
    """Another mask of the same shape, or the same for `wildness` 0; each row keeps at least one True."""
    if wildness == 0 or mask is None:
        return mask
    return map_structure(lambda leaf: leaf if leaf is None else _other_mask(np.array(leaf), wildness, batch_axis, rng), mask)


def _other_mask(mask: np.ndarray, wildness: int, batch_axis: int, rng: np.random.Generator) -> np.ndarray:
    flipped = _reversed(mask, batch_axis)
    if wildness == 1 or not np.array_equal(flipped, mask) or mask.ndim < 2:
        return flipped
    rows = mask.reshape(-1, mask.shape[-1])
    if rows.all():                                      # no element is masked yet
        rows = np.arange(rows.shape[1]) <= rng.integers(0, max(1, rows.shape[1] - 1), (len(rows), 1))
    return np.array(rng.permuted(rows, axis=1).reshape(mask.shape).astype(mask.dtype))
