"""How often predictions are right."""
from typing import Any

import numpy as np

from nblayers.arguments import flag, integer, number
from nblayers.arrays import as_numbers
from nblayers.losses import array_module_of, at_least_floatx
from nblayers.metrics.metric import pair
from nblayers.metrics.reduction import MeanMetricWrapper


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """Where the prediction equals the target (in the dtype of the prediction, if that has fractions)."""
    t, p = pair(y_true, y_pred, "accuracy")
    return (t.astype(p.dtype, copy=False) if p.dtype.kind == "f" else t) == p


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """Where the prediction lies above the threshold and the target is 1, or not above it and the target is 0."""
    t, p = pair(y_true, y_pred, "binary_accuracy")
    if type(threshold) is not float:
        threshold = number("binary_accuracy", "threshold", threshold)
    return (at_least_floatx(p) > threshold) == t


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Where the largest prediction is the largest target's (the first of equal ones), along the last axis."""
    t, p = pair(y_true, y_pred, "categorical_accuracy")
    return t.argmax(axis=-1) == p.argmax(axis=-1)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Where the largest prediction is that of the target, a class; along the last axis."""
    t, p = _classes(y_true, y_pred, "sparse_categorical_accuracy")
    return t == p.argmax(axis=-1)


def _classes(y_true: Any, y_pred: Any, who: str) -> tuple[Any, Any]:
    """Classes and predictions, of the same shape but for the last axis of the predictions."""
    p = as_numbers(y_pred, who, "y_pred")
    t = array_module_of(p).asarray(as_numbers(y_true, who, "y_true"))
    if t.ndim == p.ndim and t.shape[-1] == 1:
        t = t[..., 0]
    if t.shape != p.shape[:-1]:
        raise ValueError(f"{who}: expected y_true of shape {p.shape[:-1]}, that of y_pred {p.shape} "
                         f"without its classes, got {np.shape(y_true)}")
    return t, p


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """Where the largest target's class is among the k largest predictions, along the last axis."""
    t, p = pair(y_true, y_pred, "top_k_categorical_accuracy")
    return _in_top(t.argmax(axis=-1), p, integer("top_k_categorical_accuracy", "k", k, 1))


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Any:
    """Where the target, a class, is among the k largest predictions, along the last axis.

    Classes whose predictions are equal to the k-th largest are among them, as in Keras. A target that is no class is not.

    Arguments:
        k: how many.
        from_sorted_ids: whether y_pred holds classes, the likeliest first, in the place of predictions.
    """
    who = "sparse_top_k_categorical_accuracy"
    t, p = _classes(y_true, y_pred, who)
    k = integer(who, "k", k, 1)
    return (p[..., :k] == t[..., None]).any(axis=-1) if from_sorted_ids else _in_top(t, p, k)


def _in_top(classes: Any, p: Any, k: int) -> Any:
    """Where fewer than k predictions are larger than that of the class."""
    xp, K = array_module_of(p), p.shape[-1]
    exists = (classes >= 0) & (classes < K)
    at = xp.where(exists, classes, 0).astype("int64")[..., None]
    own = xp.take_along_axis(p, at, -1)
    return exists & (own == own)[..., 0] & ((p > own).sum(axis=-1) < k)


class Accuracy(MeanMetricWrapper):
    """How often the prediction equals the target."""

    _direction = "up"

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How often predictions in [0, 1] lie on the target's side of the threshold.

    Arguments:
        threshold: a prediction above it stands for 1.
    """

    _direction = "up"

    def __init__(self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, dtype)
        self.options = {"threshold": number(self.described, "threshold", threshold)}


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the likeliest class is the target's, given as a distribution (one-hot)."""

    _direction = "up"

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the likeliest class is the target, given as an integer."""

    _direction = "up"

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the target's class, given as a distribution (one-hot), is among the k likeliest.

    Arguments:
        k: how many.
    """

    _direction = "up"

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype)
        self.options = {"k": integer(self.described, "k", k, 1)}


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the target, given as an integer, is among the k likeliest classes.

    Arguments:
        k: how many.
        from_sorted_ids: whether y_pred holds classes, the likeliest first, in the place of predictions.
    """

    _direction = "up"

    def __init__(self, k: int = 5, name: str | None = "sparse_top_k_categorical_accuracy", dtype: Any = None,
                 from_sorted_ids: bool = False) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype)
        self.options = {"k": integer(self.described, "k", k, 1)}
        if flag(self.described, "from_sorted_ids", from_sorted_ids):
            self.options["from_sorted_ids"] = True
