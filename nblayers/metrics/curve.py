"""The area under a curve of rates over all thresholds."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from nblayers import config
from nblayers.activations import sigmoid
from nblayers.arguments import choice, flag, integer, number, optional
from nblayers.devices import to_numpy
from nblayers.losses import at_least_floatx
from nblayers.metrics.confusion import FOUR, Confusion, evenly
from nblayers.metrics.metric import Metric, fitted_weights, pair, ratio

CURVES, METHODS = ("ROC", "PR", "PRGAIN"), ("interpolation", "majoring", "minoring")


class AUC(Confusion):
    r"""The area under the ROC curve, or under a curve of precision over recall.

    Each threshold \theta_k, from the smallest to the largest, gives a point of the curve:

        ROC:     x_k = FP / (FP + TN),  y_k = TP / (TP + FN)                            (1)
        PR:      x_k = TP / (TP + FN),  y_k = TP / (TP + FP)                            (2)
        PRGAIN:  x_k = \max(0, 1 - r FN / TP),  y_k = 1 - r FP / TP,  r = (TP + FN) / (TN + FP)   (3)   0 and 1 where TP = 0

    The area is the sum over k of

        (x_k - x_{k+1}) (y_k + y_{k+1}) / 2     "interpolation"                         (4)
        (x_k - x_{k+1}) \min(y_k, y_{k+1})      "minoring"                              (5)
        (x_k - x_{k+1}) \max(y_k, y_{k+1})      "majoring"                              (6)

    but for PR with "interpolation", where precision is no straight line between two points: TP is one in P = TP + FP,
    and precision TP / P is integrated over it,

        a = \Delta TP / \Delta P,   b = TP_{k+1} - a P_{k+1}                            (7)
        a (\Delta TP + b \log(P_k / P_{k+1})) / (TP_{k+1} + FN_{k+1})                   (8)

    Arguments:
        num_thresholds: how many, at least 2; evenly from just below 0 to just above 1.
        curve: "ROC", "PR" or "PRGAIN".
        summation_method: "interpolation", "minoring" or "majoring".
        thresholds: those between 0 and 1, in the place of `num_thresholds`.
        multi_label: whether each column of y_pred has a curve of its own; the result is then the mean of the areas.
        num_labels: how many columns; by default those of the first batch.
        label_weights: a weight for each column: of its area with `multi_label`, else of its values.
        from_logits: whether predictions are logits. Those that are none and lie outside [0, 1] count as 0 or 1.

    Raises:
        ValueError: see `update_state`; an argument outside its range; `num_labels` without `multi_label`.

    Source: Davis, Goadrich, "The Relationship Between Precision-Recall and ROC Curves", 2006, for (8); Flach, Kull,
    "Precision-Recall-Gain Curves", 2015, for (3).
    """

    _direction = "up"

    def __init__(self, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "interpolation",
                 name: str | None = None, dtype: Any = None, thresholds: Sequence[float] | None = None,
                 multi_label: bool = False, num_labels: int | None = None, label_weights: Any = None,
                 from_logits: bool = False) -> None:
        who = type(self).__name__
        curve, method = (getattr(each, "value", each) for each in (curve, summation_method))
        self.curve = choice(who, "curve", curve.upper() if isinstance(curve, str) else curve, CURVES)
        self.summation_method = choice(who, "summation_method", method.lower() if isinstance(method, str) else method, METHODS)
        self.multi_label = flag(who, "multi_label", multi_label)
        self.num_labels = optional(integer, who, "num_labels", num_labels, 1)
        if self.num_labels and not self.multi_label:
            raise ValueError(f"{who}: expected num_labels only where multi_label is True, got {num_labels}")
        self.label_weights = None if label_weights is None else self._checked_weights(label_weights)
        self.from_logits = flag(who, "from_logits", from_logits)
        self._given = None if thresholds is None else sorted(number(who, "each of thresholds", t, 0, 1) for t in thresholds)
        between = evenly(integer(who, "num_thresholds", num_thresholds, 2))[1:-1] if self._given is None else self._given
        self.thresholds = [0.0 - config.epsilon(), *between, 1.0 + config.epsilon()]
        self.num_thresholds = len(self.thresholds)
        super().__init__(self.thresholds, FOUR, None, None, name, dtype)
        if self.multi_label:
            for variable in self._variables:
                variable.value = np.zeros((self.num_thresholds, self.num_labels)) if self.num_labels else 0.0

    def _checked_weights(self, label_weights: Any) -> np.ndarray:
        weights = np.asarray(to_numpy(label_weights), float)
        if weights.ndim != 1 or (self.num_labels and len(weights) != self.num_labels):
            raise ValueError(f"{type(self).__name__}: expected label_weights with a number for each label, "
                             f"got shape {weights.shape}")
        return weights

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if self.multi_label:
            shape = np.shape(y_pred)
            known = self._variables[0].shape[1:]
            if len(shape) != 2 or (known and shape[1:] != known):
                labels = known[0] if known else "labels"
                raise ValueError(f"{self.described}: expected y_pred of shape (samples, {labels}), got {shape}")
            for variable in self._variables:
                variable.value = variable.value + np.zeros((self.num_thresholds, shape[1]))
        super().update_state(y_true, y_pred, sample_weight)

    def _columns(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        t, p = (to_numpy(each) for each in pair(y_true, y_pred, self))
        p = at_least_floatx(p)
        p = sigmoid(p) if self.from_logits else p.clip(0, 1)
        w = np.ones(p.shape) if sample_weight is None else to_numpy(fitted_weights(sample_weight, p.shape, self)).astype(float)
        if self.label_weights is not None:
            if p.shape[-1:] != self.label_weights.shape:
                raise ValueError(f"{self.described}: expected y_pred with {len(self.label_weights)} labels, as label_weights "
                                 f"has, got shape {p.shape}")
            w = w if self.multi_label else w * self.label_weights
        labels = p.shape[1] if self.multi_label else 1
        return t.astype(bool).reshape(-1, labels), p.reshape(-1, labels), w.reshape(-1, labels)

    def result(self) -> float:
        """The area, a float; 0 before the first batch."""
        if not self._variables[0].shape:
            return 0.0
        by_label = (self._interpolated() if (self.curve, self.summation_method) == ("PR", "interpolation")
                    else self._summed()).sum(axis=0)
        if not self.multi_label:
            return float(by_label)
        if self.label_weights is None:
            return float(by_label.mean())
        return float(ratio((by_label * self.label_weights).sum(), self.label_weights.sum()))

    def _summed(self) -> np.ndarray:
        x, y = self._curve()
        heights = {"interpolation": (y[:-1] + y[1:]) / 2, "minoring": np.minimum(y[:-1], y[1:]),
                   "majoring": np.maximum(y[:-1], y[1:])}[self.summation_method]
        return (x[:-1] - x[1:]) * heights                                               # (4) to (6)

    def _curve(self) -> tuple[np.ndarray, np.ndarray]:
        tp, fp, tn, fn = (each.value for each in self._variables)
        if self.curve == "ROC":
            return ratio(fp, fp + tn), ratio(tp, tp + fn)                               # (1)
        if self.curve == "PR":
            return ratio(tp, tp + fn), ratio(tp, tp + fp)                               # (2)
        r = ratio(tp + fn, tn + fp)
        recall_gain = np.where(tp == 0, 0.0, 1 - r * ratio(fn, tp))
        return np.maximum(recall_gain, 0), np.where(tp == 0, 1.0, 1 - r * ratio(fp, tp))    # (3)

    def _interpolated(self) -> np.ndarray:
        tp, fp, _, fn = (each.value for each in self._variables)
        p = tp + fp
        dtp = tp[:-1] - tp[1:]
        a = ratio(dtp, np.maximum(p[:-1] - p[1:], 0))
        b = tp[1:] - a * p[1:]                                                          # (7)
        both = (p[:-1] > 0) & (p[1:] > 0)
        log = np.log(np.divide(p[:-1], p[1:], out=np.ones_like(dtp), where=both))
        return ratio(a * (dtp + b * log), tp[1:] + fn[1:])                              # (8)

    def get_config(self) -> dict[str, Any]:
        weights = None if self.label_weights is None else self.label_weights.tolist()
        given = {} if self._given is None else {"thresholds": self._given}
        return {**Metric.get_config(self), "num_thresholds": self.num_thresholds, "curve": self.curve,
                "summation_method": self.summation_method, "multi_label": self.multi_label, "num_labels": self.num_labels,
                "label_weights": weights, "from_logits": self.from_logits, **given}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Metric":
        weights = config.get("label_weights")
        if isinstance(weights, dict):                                                   # Keras' {"class_name": "__tensor__", …}
            config = {**config, "label_weights": weights["config"]["value"]}
        return cls(**config)
