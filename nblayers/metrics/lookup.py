"""Metrics found by name, by configuration or as they are."""
import inspect
from functools import cache
from typing import Any

from nblayers import metrics, serialization
from nblayers.metrics.accuracies import Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy
from nblayers.metrics.metric import Metric
from nblayers.metrics.reduction import MeanMetricWrapper
from nblayers.serialization import lookup, names


@cache
def _objects() -> dict[str, Any]:
    """All metrics by their names."""
    public = [getattr(metrics, name) for name in dir(metrics)]
    return names(*[each for each in public if inspect.isclass(each) and issubclass(each, Metric) and each is not Metric],
                 acc=Accuracy, mse=metrics.MeanSquaredError, mae=metrics.MeanAbsoluteError, bce=metrics.BinaryCrossentropy,
                 mape=metrics.MeanAbsolutePercentageError, msle=metrics.MeanSquaredLogarithmicError,
                 kld=metrics.KLDivergence, logcosh=metrics.LogCoshError)


def get(identifier: Any) -> Metric | None:
    """A metric from its name ("mae", "binary_accuracy"), a function, a configuration, a class, or itself; None from None.

    Raises:
        ValueError: no such metric.
        TypeError: something else.
    """
    found = lookup(identifier, _objects(), "metric")
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
    return lookup(config, _objects(), "metric", custom_objects)
