"""How far predicted and true regions lie over each other."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from nblayers.arguments import flag, integer, number, optional
from nblayers.arrays import as_numbers
from nblayers.devices import to_numpy
from nblayers.losses import at_least_floatx
from nblayers.metrics.metric import Metric, fitted_weights, ratio
from nblayers.utils.confusion import confusion_matrix

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


class IoU(Metric):
    r"""Intersection over union of some classes, mean over those that occur.

        C_{ij} = \sum_n w_n [t_n = i] [p_n = j]                                         (1)     confusion matrix
        IoU_c = C_{cc} / (\sum_j C_{cj} + \sum_i C_{ic} - C_{cc})                       (2)

    Arguments:
        num_classes: K, how many classes there are.
        target_class_ids: the classes to look at.
        ignore_class: a class (often 255 or -1) whose targets count for nothing.
        sparse_y_true, sparse_y_pred: whether targets and predictions are classes; else the largest along `axis` is the class.
        axis: the axis of the classes.
        dtype: by default "int32", as in Keras; the sums are in double precision, so that weights may be fractions all the same.

    Raises:
        ValueError: an argument outside its range; shapes that do not fit; a class below 0 or of K and more, where it is not the
            ignored one and has no weight of 0 (Keras leaves it out).
    """

    _direction = "up"

    def __init__(self, num_classes: int, target_class_ids: Sequence[int], name: str | None = None, dtype: Any = None,
                 ignore_class: int | None = None, sparse_y_true: bool = True, sparse_y_pred: bool = True,
                 axis: int = -1) -> None:
        super().__init__(dtype, name)
        self.num_classes = integer(self.described, "num_classes", num_classes, 1)
        self.target_class_ids = [integer(self.described, "each of target_class_ids", each, 0, self.num_classes - 1)
                                 for each in target_class_ids]
        self.ignore_class = optional(integer, self.described, "ignore_class", ignore_class)
        self.sparse_y_true = flag(self.described, "sparse_y_true", sparse_y_true)
        self.sparse_y_pred = flag(self.described, "sparse_y_pred", sparse_y_pred)
        self.axis = integer(self.described, "axis", axis)
        self.total_cm = self._add_sum("total_confusion_matrix", (self.num_classes, self.num_classes))

    def _checked_dtype(self, dtype: Any) -> str:
        if dtype is None or dtype == "int":
            return "int32"
        name = getattr(dtype, "__name__", None) or str(dtype)
        return name if name in _INTEGERS else super()._checked_dtype(dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take one batch in.

        Arguments:
            y_true, y_pred: classes, or values for each class; as many of one as of the other.
            sample_weight: a weight for each sample, or for each class given.
        """
        t = self._classes(y_true, "y_true", self.sparse_y_true)
        p = self._classes(y_pred, "y_pred", self.sparse_y_pred)
        self._add(t, p, sample_weight)

    def _classes(self, values: Any, what: str, sparse: bool) -> np.ndarray:
        values = to_numpy(as_numbers(values, self, what))
        if sparse:
            return values
        if not -values.ndim <= self.axis < values.ndim or values.shape[self.axis] != self.num_classes:
            raise ValueError(f"{self.described}: expected {what} with {self.num_classes} classes on axis {self.axis}, "
                             f"got shape {values.shape}")
        return values.argmax(axis=self.axis)

    def _add(self, t: np.ndarray, p: np.ndarray, sample_weight: Any) -> None:
        if t.size != p.size:
            raise ValueError(f"{self.described}: expected as many classes in y_true as in y_pred, got shapes {t.shape} and "
                             f"{p.shape}")
        shape = t.shape if t.ndim >= p.ndim else p.shape
        w = np.ones(shape) if sample_weight is None else to_numpy(fitted_weights(sample_weight, shape, self)).astype(float)
        t, p, w = t.ravel(), p.ravel(), w.ravel()
        counts = w != 0 if self.ignore_class is None else (w != 0) & (t != self.ignore_class)
        t, p, w = t[counts], p[counts], w[counts]
        self.total_cm.value = self.total_cm.value + confusion_matrix(t, p, self.num_classes, w, "float64", who=self)    # (1)

    def result(self) -> float:
        """A float; 0 where none of the classes occurs."""
        C = self.total_cm.value
        both = np.diag(C)
        union = C.sum(axis=0) + C.sum(axis=1) - both
        iou = ratio(both, union)[self.target_class_ids]                                                                 # (2)
        return float(ratio(iou.sum(), np.count_nonzero(union[self.target_class_ids] > 0)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes, "target_class_ids": self.target_class_ids,
                "ignore_class": self.ignore_class, "sparse_y_true": self.sparse_y_true, "sparse_y_pred": self.sparse_y_pred,
                "axis": self.axis}

    def _config_without(self, *names: str) -> dict[str, Any]:
        return {name: value for name, value in IoU.get_config(self).items() if name not in names}


class BinaryIoU(IoU):
    """`IoU` of a yes or no that is predicted as a number: yes where it is not below the threshold.

    Arguments:
        target_class_ids: 0 and 1, or one of them.
        threshold: the number.
    """

    def __init__(self, target_class_ids: Sequence[int] = (0, 1), threshold: float = 0.5, name: str | None = None,
                 dtype: Any = None) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = number(self.described, "threshold", threshold)

    def _classes(self, values: Any, what: str, sparse: bool) -> np.ndarray:
        values = super()._classes(values, what, sparse)
        if what == "y_true":
            return values
        values = at_least_floatx(values)
        return (values >= values.dtype.type(self.threshold)).astype(np.int64)

    def get_config(self) -> dict[str, Any]:
        return {**Metric.get_config(self), "target_class_ids": self.target_class_ids, "threshold": self.threshold}


class MeanIoU(IoU):
    """`IoU` of all classes."""

    def __init__(self, num_classes: int, name: str | None = None, dtype: Any = None, ignore_class: int | None = None,
                 sparse_y_true: bool = True, sparse_y_pred: bool = True, axis: int = -1) -> None:
        classes = range(integer(type(self).__name__, "num_classes", num_classes, 1))
        super().__init__(num_classes, classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("target_class_ids")


class OneHotIoU(IoU):
    """`IoU` of targets given one-hot, and of predictions with a number for each class."""

    def __init__(self, num_classes: int, target_class_ids: Sequence[int], name: str | None = None, dtype: Any = None,
                 ignore_class: int | None = None, sparse_y_pred: bool = False, axis: int = -1) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("sparse_y_true")


class OneHotMeanIoU(MeanIoU):
    """`IoU` of all classes, of targets given one-hot, and of predictions with a number for each class."""

    def __init__(self, num_classes: int, name: str | None = None, dtype: Any = None, ignore_class: int | None = None,
                 sparse_y_pred: bool = False, axis: int = -1) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return self._config_without("sparse_y_true", "target_class_ids")
