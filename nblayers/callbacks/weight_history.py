"""How weights and gradients are spread, epoch by epoch."""
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nblayers.arguments import integer
from nblayers.callbacks.base import Callback, Logs
from nblayers.devices import to_numpy


@dataclass(frozen=True)
class Histogram:
    """How some numbers are spread.

    Attributes:
        epoch: counted from 0.
        counts: how many finite ones lie in each bin; edges: of the bins, one more; both edges of all bins are equal where all
            numbers are.
        median: of the finite ones, NaN if there are none.
        not_finite: how many are NaN or infinite.
    """

    epoch: int
    counts: np.ndarray
    edges: np.ndarray
    median: float
    not_finite: int

    @property
    def density(self) -> np.ndarray:
        """Share of the numbers in each bin, by its width."""
        return self.counts / self.counts.sum() / np.diff(self.edges)


class WeightHistory(Callback):
    """Records histograms of weights and gradients after every epoch, for `utils.plot_weights` and `utils.plot_gradients`.

    Arguments:
        bins: of each histogram.

    Attributes:
        weights: for each path of a weight ("dense/kernel") its histograms, one an epoch.
        gradients: the same for the gradients of trainable weights in the epoch's last batch.

    Raises:
        ValueError: not a positive number of bins.
    """

    def __init__(self, bins: int = 30) -> None:
        super().__init__()
        self.bins = integer("WeightHistory", "bins", bins, 1)
        self.weights: dict[str, list[Histogram]] = {}
        self.gradients: dict[str, list[Histogram]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.weights, self.gradients = {}, {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for weight in self.model.weights:
            self.weights.setdefault(weight.path, []).append(histogram_of(epoch, weight.value, self.bins))
        for weight in self.model.trainable_weights:
            self.gradients.setdefault(weight.path, []).append(histogram_of(epoch, weight.grad, self.bins))


def histogram_of(epoch: int, values: Any, bins: int) -> Histogram:
    """How the numbers of an array are spread; NaN and infinity are counted apart."""
    numbers = np.ravel(to_numpy(values)).astype(float)
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return Histogram(epoch, np.zeros(bins, int), np.zeros(bins + 1), math.nan, numbers.size)
    low, high = finite.min(), finite.max()
    edges = np.linspace(low, high, bins + 1)
    if (np.diff(edges) > 0).all():
        counts, _ = np.histogram(finite, edges)
    else:
        counts, edges = np.full(bins, 0), np.full(bins + 1, low)
        counts[0] = finite.size
    return Histogram(epoch, counts, edges, float(np.median(finite)), numbers.size - finite.size)
