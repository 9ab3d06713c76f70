"""Sums and means of values."""
from collections.abc import Callable
from typing import Any

import numpy as np

from nblayers import serialization
from nblayers.arguments import function
from nblayers.arrays import as_numbers
from nblayers.losses import array_module_of, at_least_floatx, same_rank
from nblayers.metrics.metric import Metric, fitted_weights


class Sum(Metric):
    r"""The sum of values, weighted or not.

        total = total + \sum_i w_i v_i              (1)
        result = total                              (2)
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self._add_sum("total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values in: a number, or an array with the samples on axis 0.

        Raises:
            ValueError: weights that do not fit the values.
        """
        values = at_least_floatx(as_numbers(values, self, "values"))
        if sample_weight is not None:
            values = values * array_module_of(values).asarray(fitted_weights(sample_weight, values.shape, self), values.dtype)
        self.total.value += float(values.sum(dtype="float64"))                                                  # (1)

    def result(self) -> float:
        return float(self.total)                                                                                # (2)


class Mean(Metric):
    r"""The mean of values, weighted or not.

        total = total + \sum_i w_i v_i              (1)
        count = count + \sum_i w_i                  (2)
        result = total / count                      (3)   0 before the first value

    v_i is the mean of sample i's values where it has several; so is w_i where a sample has several weights.
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total, self.count = self._add_sum("total"), self._add_sum("count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values in: a number, or an array with the samples on axis 0.

        Raises:
            ValueError: weights that do not fit the values.
        """
        values = as_numbers(values, self, "values")
        if values.dtype != bool:
            values = at_least_floatx(values)
        if sample_weight is not None:
            return self._update_weighted(values, sample_weight)
        samples = values.shape[0] if values.ndim else 1
        share = samples / max(values.size, 1)
        total = array_module_of(values).count_nonzero(values) if values.dtype == bool else values.sum()
        self.total.value += float(total) * share                                                                # (1)
        self.count.value += samples                                                                             # (2)

    def _update_weighted(self, values: Any, sample_weight: Any) -> None:
        xp, values = array_module_of(values), at_least_floatx(values)
        weights = as_numbers(sample_weight, self, "sample_weight")
        w = xp.asarray(weights, values.dtype)
        values, w = same_rank(values, w)
        if values.ndim > w.ndim:
            values = values.mean(axis=tuple(range(w.ndim, values.ndim)))
        try:
            w = xp.broadcast_to(w, values.shape)
        except ValueError:
            raise ValueError(f"{self.described}: expected sample_weight of a shape that fits the values {values.shape}, "
                             f"got {np.shape(sample_weight)}") from None
        samples = values.shape[0] if values.ndim else 1
        share = samples / max(values.size, 1)
        self.total.value += float((values * w).sum()) * share                                                   # (1)
        self.count.value += float(w.sum()) * share                                                              # (2)

    def result(self) -> float:
        count = self.count.value
        return self.total.value / count if count else 0.0                                                       # (3)


class MeanMetricWrapper(Mean):
    """The mean of what a function of (y_true, y_pred) gives for each sample.

    Arguments:
        fn: the function.
        name: by default the function's.
        kwargs: passed to the function.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(getattr(fn, "__name__", None) if name is None else name, dtype)
        self.fn = function(self.described, "fn", fn)
        self.options = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:    # type: ignore[override]
        """Take one batch in.

        Arguments:
            y_true, y_pred: as the function takes them.
            sample_weight: a weight for each sample, or for each value.

        Raises:
            ValueError: shapes that do not fit.
        """
        super().update_state(self.fn(y_true, y_pred, **self.options), sample_weight)

    def get_config(self) -> dict[str, Any]:
        own = {} if type(self) is not MeanMetricWrapper else {"fn": serialization.serialize(self.fn)}
        return {**super().get_config(), **own, **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Metric":
        if "fn" in config:
            config = {**config, "fn": serialization.deserialize_keras_object(config["fn"])}
        return cls(**config)
