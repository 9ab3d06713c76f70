r"""Metrics as in Keras 3: running means over the batches of an epoch.

    metric = BinaryAccuracy()
    metric.update_state(y_true, y_pred)         # once a batch
    metric.result()                             # a float
    metric.reset_state()

A metric of your own is a function of (y_true, y_pred) that gives a value for each sample.
"""
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nblayers import config, losses, serialization
from nblayers.arguments import function, number, text
from nblayers.arrays import as_numbers
from nblayers.losses import array_module_of, at_least_floatx, same_rank
from nblayers.naming import NamesItself
from nblayers.serialization import lookup, names


class Metric(NamesItself):
    """The class that all metrics are made from; one of your own writes `update_state`, `result` and `reset_state`.

    Arguments:
        dtype: kept for `get_config`; the sums are in double precision.
        name: by default the class's in snake_case, numbered.
    """

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        if name is None:
            from nblayers.layers.base import auto_name
            name = auto_name(type(self).__name__)
        self.name = text(type(self).__name__, "name", name)
        self.dtype = config.float_dtype(dtype, self.described)

    @property
    def described(self) -> str:
        """Class and name, as every error message opens."""
        return f"{type(self).__name__} {self.name!r}"

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take one batch into the running result."""
        raise NotImplementedError(f"{self.described}: update_state is not written")

    def result(self) -> Any:
        """The result over all batches since the start or the last `reset_state`."""
        raise NotImplementedError(f"{self.described}: result is not written")

    def reset_state(self) -> None:
        """Start afresh."""
        raise NotImplementedError(f"{self.described}: reset_state is not written")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take one batch in and return the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes this metric again, keyed as in Keras."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Metric":
        """Make a metric from what `get_config` gave, ours or Keras'."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class Mean(Metric):
    r"""The mean of values, weighted or not.

        total = total + \sum_i w_i v_i              (1)
        count = count + \sum_i w_i                  (2)
        result = total / count                      (3)   0 before the first value

    v_i is the mean of sample i's values where it has several; so is w_i where a sample has several weights.
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.reset_state()

    def reset_state(self) -> None:
        self.total, self.count = 0.0, 0.0

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
        if values.dtype == bool:
            self.total += float(array_module_of(values).count_nonzero(values)) * (samples / max(values.size, 1))    # (1)
        elif values.size:
            self.total += float(values.sum()) * (samples / values.size)
        self.count += samples                                                                                       # (2)

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
        self.total += float((values * w).sum()) * share                                                             # (1)
        self.count += float(w.sum()) * share                                                                        # (2)

    def result(self) -> float:
        return self.total / self.count if self.count else 0.0                                                       # (3)


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


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """Where the prediction equals the target (in the dtype of the prediction, if that has fractions)."""
    t, p = _pair(y_true, y_pred, "accuracy")
    return (t.astype(p.dtype, copy=False) if p.dtype.kind == "f" else t) == p


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """Where the prediction lies above the threshold and the target is 1, or not above it and the target is 0."""
    t, p = _pair(y_true, y_pred, "binary_accuracy")
    if type(threshold) is not float:
        threshold = number("binary_accuracy", "threshold", threshold)
    return (at_least_floatx(p) > threshold) == t


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Where the largest prediction is the largest target's (the first of equal ones), along the last axis."""
    t, p = _pair(y_true, y_pred, "categorical_accuracy")
    return t.argmax(axis=-1) == p.argmax(axis=-1)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Where the largest prediction is that of the target, a class; along the last axis."""
    p = as_numbers(y_pred, "sparse_categorical_accuracy", "y_pred")
    t = as_numbers(y_true, "sparse_categorical_accuracy", "y_true")
    t = array_module_of(p).asarray(t)
    if t.ndim == p.ndim and t.shape[-1] == 1:
        t = t[..., 0]
    if t.shape != p.shape[:-1]:
        raise ValueError(f"sparse_categorical_accuracy: expected y_true of shape {p.shape[:-1]}, that of y_pred {p.shape} "
                         f"without its classes, got {np.shape(y_true)}")
    return t == p.argmax(axis=-1)


def _pair(y_true: Any, y_pred: Any, who: str) -> tuple[Any, Any]:
    """Both as arrays of one shape; as in Keras a last axis of length 1 that only one of them has counts for nothing."""
    p = as_numbers(y_pred, who, "y_pred")
    t, p = same_rank(array_module_of(p).asarray(as_numbers(y_true, who, "y_true")), p)
    if t.shape != p.shape:
        raise ValueError(f"{who}: expected y_true in the shape of y_pred {np.shape(y_pred)}, got {np.shape(y_true)}")
    return t, p


class Accuracy(MeanMetricWrapper):
    """How often the prediction equals the target."""

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How often predictions in [0, 1] lie on the target's side of the threshold.

    Arguments:
        threshold: a prediction above it stands for 1.
    """

    def __init__(self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, dtype)
        self.options = {"threshold": number(self.described, "threshold", threshold)}


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the likeliest class is the target's, given as a distribution (one-hot)."""

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the likeliest class is the target, given as an integer."""

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class MeanSquaredError(MeanMetricWrapper):
    """The mean of the squared errors."""

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of the absolute errors."""

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


class RootMeanSquaredError(MeanMetricWrapper):
    """The root of the mean of the squared errors."""

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(_squared_error, name, dtype)

    def result(self) -> float:
        return math.sqrt(super().result())


def _squared_error(y_true: Any, y_pred: Any) -> Any:
    t, p = _pair(y_true, y_pred, "root_mean_squared_error")
    p = at_least_floatx(p)
    return (p - t.astype(p.dtype, copy=False)) ** 2


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean binary cross-entropy; arguments as for the loss."""

    def __init__(self, name: str | None = "binary_crossentropy", dtype: Any = None, from_logits: bool = False,
                 label_smoothing: float = 0) -> None:
        loss = losses.BinaryCrossentropy(from_logits, label_smoothing)
        super().__init__(losses.binary_crossentropy, name, dtype, from_logits=loss.from_logits,
                         label_smoothing=loss.label_smoothing)


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean categorical cross-entropy; arguments as for the loss."""

    def __init__(self, name: str | None = "categorical_crossentropy", dtype: Any = None, from_logits: bool = False,
                 label_smoothing: float = 0, axis: int = -1) -> None:
        loss = losses.CategoricalCrossentropy(from_logits, label_smoothing, axis)
        super().__init__(losses.categorical_crossentropy, name, dtype, from_logits=loss.from_logits,
                         label_smoothing=loss.label_smoothing, axis=loss.axis)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean sparse categorical cross-entropy; arguments as for the loss.

    The samples of an ignored class count as 0. (In Keras too, save where sample weights are given: there they do not count.)
    """

    def __init__(self, name: str | None = "sparse_categorical_crossentropy", dtype: Any = None, from_logits: bool = False,
                 ignore_class: int | None = None, axis: int = -1) -> None:
        loss = losses.SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis)
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, from_logits=loss.from_logits,
                         ignore_class=loss.ignore_class, axis=loss.axis)


_OBJECTS = names(
    Mean, MeanMetricWrapper, Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, MeanSquaredError,
    MeanAbsoluteError, RootMeanSquaredError, BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy,
    acc=Accuracy, mse=MeanSquaredError, mae=MeanAbsoluteError, bce=BinaryCrossentropy)


def get(identifier: Any) -> Metric | None:
    """A metric from its name ("mae", "binary_accuracy"), a function, a configuration, a class, or itself; None from None.

    Raises:
        ValueError: no such metric.
        TypeError: something else.
    """
    found = lookup(identifier, _OBJECTS, "metric")
    return found if found is None or isinstance(found, Metric) else MeanMetricWrapper(found)


def resolve(identifier: Any, y_true_shape: tuple[int, ...], y_pred_shape: tuple[int, ...], loss: Any = None) -> Metric:
    """The metric that `compile(metrics=[identifier])` means, under the name that Keras shows it by.

    "accuracy" and "acc" are chosen by the shapes alone: binary for a single output unit; sparse where y_true has an axis less
    than y_pred, or its last is 1 long; else categorical.

    Arguments:
        identifier: as for `get`.
        y_true_shape, y_pred_shape: shapes of a batch.
        loss: not asked, as in Keras.

    Raises:
        ValueError: no such metric.
    """
    if identifier is None:
        raise ValueError("expected a metric (a name, a function or an object), got None")
    if not isinstance(identifier, str):
        return get(identifier)      # type: ignore[return-value]
    if identifier.lower() not in ("accuracy", "acc"):
        metric: Metric = get(identifier)        # type: ignore[assignment]
    elif y_pred_shape[-1] == 1:
        metric = BinaryAccuracy()
    elif len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1:
        metric = SparseCategoricalAccuracy()
    else:
        metric = CategoricalAccuracy()
    metric.name = identifier
    return metric


def serialize(metric: Any) -> dict[str, Any]:
    """The metric, or a function, as Keras' dictionary, from which `deserialize` makes it again (without its state)."""
    return serialization.serialize(metric)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Make a metric from {"class_name": …, "config": …}, or find a function.

    Raises:
        ValueError: no such metric.
    """
    return lookup(config, _OBJECTS, "metric", custom_objects)
