"""Errors and likeness of numbers."""
import math
import warnings
from typing import Any

import numpy as np

from nblayers import losses
from nblayers.arguments import choice, integer
from nblayers.devices import to_numpy
from nblayers.losses import at_least_floatx
from nblayers.metrics.f_score import check_columns
from nblayers.metrics.metric import Metric, fitted_weights, pair, plain
from nblayers.metrics.reduction import MeanMetricWrapper


class MeanSquaredError(MeanMetricWrapper):
    """The mean of the squared errors."""

    _direction = "down"

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of the absolute errors."""

    _direction = "down"

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """The mean of the absolute errors, in percent of the targets."""

    _direction = "down"

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """The mean of the squared errors of the logarithms."""

    _direction = "down"

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(MeanMetricWrapper):
    """The mean of the logarithms of the hyperbolic cosines of the errors."""

    _direction = "down"

    def __init__(self, name: str | None = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


class RootMeanSquaredError(MeanMetricWrapper):
    """The root of the mean of the squared errors."""

    _direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(_squared_error, name, dtype)

    def result(self) -> float:
        return math.sqrt(super().result())


def _squared_error(y_true: Any, y_pred: Any) -> Any:
    t, p = pair(y_true, y_pred, "root_mean_squared_error")
    p = at_least_floatx(p)
    return (p - t.astype(p.dtype, copy=False)) ** 2


class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between the sample's target and its prediction: 1 where they point the same way.

    Arguments:
        axis: the axis of the vectors. (Keras' configuration leaves it out.)
    """

    _direction = "up"

    def __init__(self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(_cosine, name, dtype)
        self.options = {"axis": integer(self.described, "axis", axis)}


def _cosine(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    return -losses.cosine_similarity(y_true, y_pred, axis)


class R2Score(Metric):
    r"""The coefficient of determination: how much of the targets' variance the predictions explain.

        \bar t = \sum_i w_i t_i / \sum_i w_i                                                (1)
        R^2 = 1 - \sum_i w_i (t_i - p_i)^2 / \sum_i w_i (t_i - \bar t)^2                    (2)
        R^2_{adjusted} = 1 - (1 - R^2) (n - 1) / (n - num_regressors - 1)                   (3)

    y_true and y_pred: (samples, columns); (2) for each column. Where the targets are constant the score is 0, and before the
    first batch too (Keras: NaN there, and where the predictions are that constant).

    Arguments:
        class_aggregation: "uniform_average": the mean of the columns' scores; "variance_weighted_average": weighted by their
            targets' variances; None: an array of them.
        num_regressors: how many inputs the prediction was made from; with it the score is (3), n the number of targets.

    Raises:
        ValueError: an argument outside its range; arrays of other shapes.
    """

    _direction = "up"

    def __init__(self, class_aggregation: str | None = "uniform_average", num_regressors: int = 0,
                 name: str | None = "r2_score", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.class_aggregation = choice(self.described, "class_aggregation", class_aggregation,
                                        (None, "uniform_average", "variance_weighted_average"))
        self.num_regressors = integer(self.described, "num_regressors", num_regressors, 0)
        self.num_samples = self._add_sum("num_samples")
        self.squared_sum, self.sum = self._add_sum("squared_sum"), self._add_sum("sum")
        self.total_mse, self.count = self._add_sum("residual"), self._add_sum("count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take one batch in.

        Arguments:
            y_true, y_pred: (samples, columns).
            sample_weight: a weight for each sample, or for each value.

        Raises:
            ValueError: shapes that do not fit.
        """
        t, p = (to_numpy(each).astype(float) for each in pair(y_true, y_pred, self))
        check_columns(self, p.shape, self.sum.shape)
        w = np.ones(p.shape) if sample_weight is None else to_numpy(fitted_weights(sample_weight, p.shape, self))
        for variable, values in ((self.squared_sum, t * t), (self.sum, t), (self.total_mse, (t - p) ** 2),
                                 (self.count, np.ones(p.shape))):
            variable.value = variable.value + (values * w).sum(axis=0)
        self.num_samples.value += t.size

    def result(self) -> Any:
        """A float, or without an aggregation an array."""
        mean = self.sum.value / np.where(self.count.value == 0, 1, self.count.value)        # (1)
        total = np.asarray(self.squared_sum.value - self.sum.value * mean)
        constant = total <= 1e-13 * self.squared_sum.value                                  # but for the last digits
        scores = np.where(constant, 0.0, 1 - self.total_mse.value / np.where(constant, 1, total))   # (2)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (total * scores).sum() / (total.sum() or 1)
        scores = self._adjusted(scores)
        return np.asarray(scores) if self.class_aggregation is None else plain(scores)

    def _adjusted(self, scores: Any) -> Any:
        n, regressors = self.num_samples.value, self.num_regressors
        if not regressors or not n:
            return scores
        if regressors >= n - 1:
            warnings.warn(f"{self.described}: {regressors} regressors are too many for {n:.0f} targets: the score is not "
                          "adjusted", stacklevel=3)
            return scores
        return 1 - (1 - scores) * (n - 1) / (n - regressors - 1)                            # (3)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
