r"""Counts of right and wrong predictions of a yes or no, and what is made of them.

    positive predictions:  p > threshold        (1)
    TP = \sum_i w_i [t_i] [p_i > threshold]     (2)   true positives
    FP = \sum_i w_i [1 - t_i] [p_i > threshold] (3)   false positives
    TN, FN: the same for p_i <= threshold       (4)   true and false negatives
"""
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nblayers.arguments import integer, number, optional
from nblayers.devices import to_numpy
from nblayers.losses import at_least_floatx
from nblayers.metrics.metric import Metric, fitted_weights, pair, plain, ratio


class Counts(NamedTuple):
    """Weights of predictions in the four cells, each (thresholds, labels)."""

    true_positives: np.ndarray
    false_positives: np.ndarray
    true_negatives: np.ndarray
    false_negatives: np.ndarray


def count(t: np.ndarray, p: np.ndarray, w: np.ndarray, thresholds: Sequence[float]) -> Counts:
    """(2) to (4) for many thresholds at once: predictions are sorted into the bins between them, and the bins summed up.

    Arguments:
        t, p, w: targets (truth values), predictions and weights, (values, labels).
        thresholds: K of them.
    """
    levels = np.asarray(thresholds, p.dtype)
    order = np.argsort(levels, kind="stable")
    K, labels = len(levels), p.shape[1]
    bins = np.searchsorted(levels[order], p)                    # how many thresholds lie below p
    bins[p != p] = 0                                            # NaN is above none
    cells = bins + (K + 1) * np.arange(labels)
    cells_of = [np.bincount(cells[which], w[which], (K + 1) * labels).reshape(labels, K + 1).T for which in (t, ~t)]
    above = [cell[::-1].cumsum(axis=0)[::-1][1:] for cell in cells_of]
    below = [cell.cumsum(axis=0)[:-1] for cell in cells_of]
    back = np.argsort(order, kind="stable")
    return Counts(above[0][back], above[1][back], below[1][back], below[0][back])


class Confusion(Metric):
    """What the metrics made of the four counts have in common.

    Arguments:
        thresholds: those of (1).
        kept: which of the counts the result needs.
        top_k: only the k largest predictions along the last axis may be positive; None: all.
        class_id: the only column of the last axis that counts; None: all.
    """

    def __init__(self, thresholds: Sequence[float], kept: Sequence[str], top_k: int | None, class_id: int | None,
                 name: str | None, dtype: Any) -> None:
        super().__init__(dtype, name)
        self.top_k = optional(integer, self.described, "top_k", top_k, 1)
        self.class_id = optional(integer, self.described, "class_id", class_id, 0)
        self._levels, self._kept = thresholds, kept
        for each in kept:
            setattr(self, each, self._add_sum(each, (len(thresholds),)))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take one batch in.

        Arguments:
            y_true: the targets; everything but 0 counts as a yes.
            y_pred: the predictions, of the same shape.
            sample_weight: a weight for each sample, or for each value; 0 where nothing counts.

        Raises:
            ValueError: shapes that do not fit; no such class.
        """
        counts = count(*self._columns(y_true, y_pred, sample_weight), self._levels)
        for each in self._kept:
            variable = getattr(self, each)
            variable.value = variable.value + getattr(counts, each).reshape(variable.shape)

    def _columns(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Targets, predictions and weights, (values, labels)."""
        t, p = (to_numpy(each) for each in pair(y_true, y_pred, self))
        t, p = t.astype(bool), at_least_floatx(p)
        if p.ndim == 0:
            raise ValueError(f"{self.described}: expected y_pred with at least one axis, got a single number")
        w = np.ones(p.shape) if sample_weight is None else to_numpy(fitted_weights(sample_weight, p.shape, self)).astype(float)
        if self.top_k is not None:
            p = _only_largest(p, self.top_k)
        if self.class_id is not None:
            if p.ndim < 2 or p.shape[-1] <= self.class_id:
                raise ValueError(f"{self.described}: expected y_pred of shape (…, classes) with a class {self.class_id}, "
                                 f"got shape {p.shape}")
            t, p, w = (each[..., self.class_id] for each in (t, p, w))
        return t.reshape(-1, 1), p.reshape(-1, 1), w.reshape(-1, 1)


def _only_largest(p: np.ndarray, k: int) -> np.ndarray:
    """-inf but for the k largest on the last axis, of equal ones the first."""
    order = np.argsort(-p, axis=-1, kind="stable")
    only = np.full_like(p, -np.inf)
    np.put_along_axis(only, order[..., :k], np.take_along_axis(p, order[..., :k], -1), -1)
    return only


def _thresholds(metric: str, given: Any, default: float) -> list[float]:
    """One threshold or several in [0, 1], as a list."""
    if given is None:
        return [default]
    each = list(given) if isinstance(given, (list, tuple, np.ndarray)) else [given]
    if not each:
        raise ValueError(f"{metric}: expected thresholds as a number or several, got {given!r}")
    return [number(metric, "each of thresholds", one, 0, 1) for one in each]


class _OneCount(Confusion):
    """One of the four counts."""

    kind = ""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        self.init_thresholds = thresholds
        self.thresholds = _thresholds(type(self).__name__, thresholds, 0.5)
        super().__init__(self.thresholds, [self.kind], None, None, name, dtype)
        self.accumulator = self._variables[0]
        self.accumulator.name = "accumulator"

    def result(self) -> Any:
        """A float, or an array with one for each threshold."""
        return plain(self.accumulator.value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_OneCount):
    """How many predictions are positive and right, (2); the sum of their weights where there are weights.

    Arguments:
        thresholds: one or several in [0, 1], by default 0.5; 0 for logits. The result has one number for each.

    Raises:
        ValueError: see `update_state`; a threshold outside [0, 1].
    """

    kind = "true_positives"


class FalsePositives(_OneCount):
    """How many predictions are positive and wrong, (3); arguments as for `TruePositives`."""

    kind = "false_positives"


class TrueNegatives(_OneCount):
    """How many predictions are negative and right, (4); arguments as for `TruePositives`."""

    kind = "true_negatives"


class FalseNegatives(_OneCount):
    """How many predictions are negative and wrong, (4); arguments as for `TruePositives`."""

    kind = "false_negatives"


class _Share(Confusion):
    """The true positives' share in one of the two sets that they are part of."""

    _direction = "up"
    other = ""

    def __init__(self, thresholds: Any = None, top_k: int | None = None, class_id: int | None = None, name: str | None = None,
                 dtype: Any = None) -> None:
        self.init_thresholds = thresholds
        self.thresholds = _thresholds(type(self).__name__, thresholds, 0.5 if top_k is None else -np.inf)
        super().__init__(self.thresholds, ["true_positives", self.other], top_k, class_id, name, dtype)

    def result(self) -> Any:
        """A float, or an array with one for each threshold; 0 of nothing."""
        true, other = (each.value for each in self._variables)
        return plain(ratio(true, true + other))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}


class Precision(_Share):
    r"""How many of the positive predictions are right.

        precision = TP / (TP + FP)

    Arguments:
        thresholds: one or several in [0, 1], by default 0.5; 0 for logits. The result has one number for each.
        top_k: only the k largest predictions of a sample may be positive, whatever they are where no thresholds are given.
        class_id: the only class that counts.

    Raises:
        ValueError: see `update_state`; a threshold outside [0, 1]; top_k below 1; a negative class_id.
    """

    other = "false_positives"


class Recall(_Share):
    r"""How many of the true ones are found.

        recall = TP / (TP + FN)

    Arguments and errors: as for `Precision`.
    """

    other = "false_negatives"


FOUR = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def evenly(count: int) -> list[float]:
    """Thresholds from 0 to 1."""
    return [i / (count - 1) for i in range(count)]


class _BestUnderConstraint(Confusion):
    """The largest value of one quantity at the thresholds where another one is large enough.

    Predictions are probabilities: what lies outside [0, 1] counts as 0 or 1.
    """

    _direction = "up"
    constraint = ""

    def __init__(self, value: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
                 dtype: Any = None) -> None:
        who = type(self).__name__
        self.num_thresholds = integer(who, "num_thresholds", num_thresholds, 1)
        self.value = number(who, self.constraint, value, 0, 1)
        setattr(self, self.constraint, self.value)
        self.thresholds = [0.5] if self.num_thresholds == 1 else evenly(self.num_thresholds)
        super().__init__(self.thresholds, FOUR, None, class_id, name, dtype)

    def _columns(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        t, p, w = super()._columns(y_true, y_pred, sample_weight)
        return t, p.clip(0, 1), w

    def _rates(self) -> tuple[Any, Any, Any]:
        """Sensitivity (which is recall), specificity and precision at each threshold."""
        tp, fp, tn, fn = (each.value for each in self._variables)
        return ratio(tp, tp + fn), ratio(tn, tn + fp), ratio(tp, tp + fp)

    def _best(self, wanted: Any, constrained: Any) -> float:
        return float(np.where(constrained >= self.value, wanted, 0.0).max(initial=0.0))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "class_id": self.class_id, "num_thresholds": self.num_thresholds,
                self.constraint: self.value}


class SensitivityAtSpecificity(_BestUnderConstraint):
    r"""The largest sensitivity at a specificity of at least some value.

        sensitivity = TP / (TP + FN),    specificity = TN / (TN + FP)

    Arguments:
        specificity: the value, in [0, 1].
        num_thresholds: how many thresholds are tried, evenly from 0 to 1 (one alone: 0.5).
        class_id: the only class that counts.

    Raises:
        ValueError: see `update_state`; an argument outside its range.
    """

    constraint = "specificity"

    def __init__(self, specificity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
                 dtype: Any = None) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def result(self) -> float:
        sensitivity, specificity, _ = self._rates()
        return self._best(sensitivity, specificity)


class SpecificityAtSensitivity(_BestUnderConstraint):
    """The largest specificity at a sensitivity of at least some value; see `SensitivityAtSpecificity`."""

    constraint = "sensitivity"

    def __init__(self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
                 dtype: Any = None) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def result(self) -> float:
        sensitivity, specificity, _ = self._rates()
        return self._best(specificity, sensitivity)


class PrecisionAtRecall(_BestUnderConstraint):
    """The largest precision at a recall of at least some value; see `SensitivityAtSpecificity`."""

    constraint = "recall"

    def __init__(self, recall: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
                 dtype: Any = None) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def result(self) -> float:
        recall, _, precision = self._rates()
        return self._best(precision, recall)


class RecallAtPrecision(_BestUnderConstraint):
    """The largest recall at a precision of at least some value; see `SensitivityAtSpecificity`."""

    constraint = "precision"

    def __init__(self, precision: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
                 dtype: Any = None) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def result(self) -> float:
        recall, _, precision = self._rates()
        return self._best(recall, precision)
