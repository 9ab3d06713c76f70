"""How often each class was taken for each other one."""
from typing import Any

import numpy as np

from nblayers.arguments import integer
from nblayers.arrays import as_numbers
from nblayers.devices import to_numpy


def confusion_matrix(labels: Any, predictions: Any, num_classes: int | None = None, weights: Any = None,
                     dtype: Any = "int32", who: Any = "confusion_matrix") -> np.ndarray:
    """C with C[i, j] how often the class was i and j was predicted, (num_classes, num_classes).

    Arguments:
        labels: the true classes, from 0, of any shape.
        predictions: the predicted ones, as many.
        num_classes: how many classes there are; by default the largest that occurs, and one more.
        weights: a weight for each.
        dtype: of the matrix; floating for weights that are fractions.
        who: opens error messages.

    Raises:
        ValueError: shapes that do not fit; a class that is no whole number, negative, or num_classes or more.
    """
    t, p = (_whole(values, what, who) for values, what in ((labels, "labels"), (predictions, "predictions")))
    name = getattr(who, "described", who)
    if t.size != p.size:
        raise ValueError(f"{name}: expected as many predictions as labels, got {p.size} and {t.size}")
    largest = max(t.max(initial=-1), p.max(initial=-1))
    K = int(largest) + 1 if num_classes is None else integer(name, "num_classes", num_classes, 1)
    if largest >= K or min(t.min(initial=0), p.min(initial=0)) < 0:
        raise ValueError(f"{name}: expected classes from 0 to {K - 1}, got labels from {t.min()} to {t.max()} and predictions "
                         f"from {p.min()} to {p.max()}")
    w = None if weights is None else to_numpy(as_numbers(weights, who, "weights")).ravel()
    if w is not None and w.size != t.size:
        raise ValueError(f"{name}: expected a weight for each of {t.size} labels, got {w.size}")
    return np.bincount(t * K + p, w, K * K).reshape(K, K).astype(dtype)


def _whole(values: Any, what: str, who: Any) -> np.ndarray:
    """Classes as flat int64."""
    given = to_numpy(as_numbers(values, who, what)).ravel()
    with np.errstate(invalid="ignore"):
        whole = given.astype(np.int64)
    if (whole != given).any():
        raise ValueError(f"{getattr(who, 'described', who)}: expected whole numbers as {what}, "
                         f"got {given[whole != given][:3].tolist()}")
    return whole
