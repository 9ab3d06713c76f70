"""The harmonic mean of precision and recall."""
from typing import Any

import numpy as np

from nblayers.arguments import choice, number, optional
from nblayers.devices import to_numpy
from nblayers.losses import at_least_floatx
from nblayers.metrics.metric import Metric, fitted_weights, pair, plain, ratio


class FBetaScore(Metric):
    r"""The weighted harmonic mean of precision P and recall R, of each class or of all.

        P = TP / (TP + FP),    R = TP / (TP + FN)                   (1)     0 of nothing
        F = (1 + \beta^2) P R / (\beta^2 P + R)                     (2)

    y_true and y_pred: (samples, classes). The predicted class is the one with the largest prediction (all of them where
    several are equal, none where all are 0); with a threshold, every one above it.

    Arguments:
        average: None: an array with the score of each class; "macro": their mean; "weighted": their mean weighted by how many
            samples of each class there are; "micro": the score of the counts of all classes together.
        beta: above 0; how much more recall counts than precision.
        threshold: in (0, 1], or None.

    Raises:
        ValueError: an argument outside its range; arrays of other shapes.
    """

    _direction = "up"

    def __init__(self, average: str | None = None, beta: float = 1.0, threshold: float | None = None,
                 name: str | None = "fbeta_score", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.average = choice(self.described, "average", average, (None, "micro", "macro", "weighted"))
        self.beta = number(self.described, "beta", beta, 0, open="(")
        self.threshold = optional(number, self.described, "threshold", threshold, 0, 1, open="(")
        self.true_positives = self._add_sum("true_positives")
        self.false_positives = self._add_sum("false_positives")
        self.false_negatives = self._add_sum("false_negatives")
        self.intermediate_weights = self._add_sum("intermediate_weights")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take one batch in.

        Arguments:
            y_true, y_pred: (samples, classes).
            sample_weight: a weight for each sample, or for each value.

        Raises:
            ValueError: shapes that do not fit.
        """
        t, p = (to_numpy(each) for each in pair(y_true, y_pred, self))
        check_columns(self, p.shape, self.true_positives.shape)
        t, chosen = t.astype(float), self._chosen(at_least_floatx(p)).astype(float)
        w = np.ones(()) if sample_weight is None else to_numpy(fitted_weights(sample_weight, p.shape, self))
        axis = None if self.average == "micro" else 0
        for variable, cell in ((self.true_positives, chosen * t), (self.false_positives, chosen * (1 - t)),
                               (self.false_negatives, (1 - chosen) * t), (self.intermediate_weights, t)):
            variable.value = variable.value + (cell * w).sum(axis=axis)

    def _chosen(self, p: np.ndarray) -> Any:
        """Where a prediction stands for its class."""
        if self.threshold is not None:
            return p > p.dtype.type(self.threshold)
        return (p >= p.max(axis=-1, keepdims=True, initial=-np.inf)) & (abs(p) > 1e-9)

    def result(self) -> Any:
        """A float, or without an average an array."""
        tp, beta_squared = self.true_positives.value, self.beta ** 2
        precision = ratio(tp, tp + self.false_positives.value)
        recall = ratio(tp, tp + self.false_negatives.value)                                         # (1)
        score = (1 + beta_squared) * ratio(precision * recall, beta_squared * precision + recall)   # (2)
        if self.average == "weighted":
            weights = self.intermediate_weights.value
            return float(ratio((score * weights).sum(), np.sum(weights)))
        return np.asarray(score) if self.average is None else plain(score.mean())

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "average": self.average, "beta": self.beta, "threshold": self.threshold}


class F1Score(FBetaScore):
    """`FBetaScore` with beta = 1: the harmonic mean of precision and recall."""

    def __init__(self, average: str | None = None, threshold: float | None = None, name: str | None = "f1_score",
                 dtype: Any = None) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config


def check_columns(metric: Metric, shape: tuple[int, ...], known: tuple[int, ...]) -> None:
    """See that predictions are (samples, columns), as many columns as in the batches before.

    Raises:
        ValueError: they are not.
    """
    if len(shape) != 2 or (known and shape[1:] != known):
        columns = known[0] if known else "columns"
        raise ValueError(f"{metric.described}: expected y_true and y_pred of shape (samples, {columns}), got {shape}")
