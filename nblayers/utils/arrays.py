"""One-hot encoding and normalization of arrays."""
from typing import Any

import numpy as np

from nblayers.arguments import integer, number, optional
from nblayers.arrays import as_numbers


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """One-hot vectors for integer classes.

    Arguments:
        x: classes from 0 on, in any shape; a last axis of length 1 is dropped.
        num_classes: how many there are; by default the largest and one.

    Returns:
        An array of zeros and ones of x's shape and one axis more, num_classes long.

    Raises:
        ValueError: no classes, or one that is negative, no whole number, or num_classes or more.
    """
    given = as_numbers(x, "to_categorical", "x")
    num_classes = optional(integer, "to_categorical", "num_classes", num_classes, 1)
    with np.errstate(invalid="ignore"):
        classes = given.astype(np.int64)
    if given.dtype.kind == "f" and (classes != given).any():
        raise ValueError(f"to_categorical: expected whole numbers, got {given[classes != given][:3].tolist()}")
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    if not classes.size and not num_classes:
        raise ValueError("to_categorical: expected at least one class, or num_classes")
    count = num_classes or int(classes.max()) + 1
    if classes.size and (classes.min() < 0 or classes.max() >= count):
        raise ValueError(f"to_categorical: expected classes from 0 to {count - 1}, got {classes.min()} to {classes.max()}")
    one_hot = np.zeros((classes.size, count))
    one_hot[np.arange(classes.size), classes.ravel()] = 1
    return one_hot.reshape(*classes.shape, count)


def normalize(x: Any, axis: int = -1, order: float = 2) -> np.ndarray:
    """x divided by its norm along an axis; where the norm is 0, x as it is.

    Arguments:
        axis: the axis of the vectors.
        order: of the norm, as for `numpy.linalg.norm`: 1, 2, infinity …

    Raises:
        ValueError: no such axis, or an order that is no number.
        TypeError: x holds no numbers.
    """
    array = as_numbers(x, "normalize", "x")
    integer("normalize", "axis", axis, -array.ndim, array.ndim - 1)
    number("normalize", "order", order, finite=False)
    norm = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(norm == 0, 1, norm)
