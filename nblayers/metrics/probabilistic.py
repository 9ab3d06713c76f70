"""The cross-entropies and their kin as metrics."""
from typing import Any

from nblayers import losses
from nblayers.metrics.reduction import MeanMetricWrapper


class KLDivergence(MeanMetricWrapper):
    """The mean Kullback-Leibler divergence of the predicted distribution from the target's."""

    _direction = "down"

    def __init__(self, name: str | None = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


class Poisson(MeanMetricWrapper):
    """The mean Poisson loss."""

    _direction = "down"

    def __init__(self, name: str | None = "poisson", dtype: Any = None) -> None:
        super().__init__(losses.poisson, name, dtype)


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean binary cross-entropy; arguments as for the loss."""

    _direction = "down"

    def __init__(self, name: str | None = "binary_crossentropy", dtype: Any = None, from_logits: bool = False,
                 label_smoothing: float = 0) -> None:
        loss = losses.BinaryCrossentropy(from_logits, label_smoothing)
        super().__init__(losses.binary_crossentropy, name, dtype, from_logits=loss.from_logits,
                         label_smoothing=loss.label_smoothing)


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean categorical cross-entropy; arguments as for the loss."""

    _direction = "down"

    def __init__(self, name: str | None = "categorical_crossentropy", dtype: Any = None, from_logits: bool = False,
                 label_smoothing: float = 0, axis: int = -1) -> None:
        loss = losses.CategoricalCrossentropy(from_logits, label_smoothing, axis)
        super().__init__(losses.categorical_crossentropy, name, dtype, from_logits=loss.from_logits,
                         label_smoothing=loss.label_smoothing, axis=loss.axis)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean sparse categorical cross-entropy; arguments as for the loss.

    The samples of an ignored class count as 0. (In Keras too, save where sample weights are given: there they do not count.)
    """

    _direction = "down"

    def __init__(self, name: str | None = "sparse_categorical_crossentropy", dtype: Any = None, from_logits: bool = False,
                 ignore_class: int | None = None, axis: int = -1) -> None:
        loss = losses.SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis)
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, from_logits=loss.from_logits,
                         ignore_class=loss.ignore_class, axis=loss.axis)
