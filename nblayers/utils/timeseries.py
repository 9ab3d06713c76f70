"""Sliding windows over a series, as batches."""
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from nblayers import random
from nblayers.arguments import choice, flag, integer
from nblayers.arrays import as_array


class TimeseriesDataset:
    """Batches of windows over a series; may be gone through again and again, and given to `fit`, `evaluate` and `predict`.

    Each batch is (windows, targets), or windows alone where there are no targets. `timeseries_dataset_from_array` makes one.

    Arguments:
        data: (steps, …).
        targets: (steps or fewer, …), or None.
        starts: where each window begins.
        offsets: how far behind its beginning each step of a window lies.
        batch_size: windows in a batch; None for single windows, without a batch axis.
        generator: draws a new order of the windows for each pass; None for the order of `starts`.
    """

    def __init__(self, data: np.ndarray, targets: np.ndarray | None, starts: np.ndarray, offsets: np.ndarray,
                 batch_size: int | None, generator: np.random.Generator | None) -> None:
        self.data, self.targets = data, targets
        self.starts, self.offsets = starts, offsets
        self.batch_size, self.generator = batch_size, generator

    def __len__(self) -> int:
        return -(-len(self.starts) // (self.batch_size or 1))

    def __iter__(self) -> Iterator[Any]:
        starts = self.starts if self.generator is None else self.generator.permutation(self.starts)
        size = self.batch_size
        for chosen in starts if size is None else (starts[n:n + size] for n in range(0, len(starts), size)):
            windows = self.data[np.add.outer(chosen, self.offsets)]
            yield windows if self.targets is None else (windows, self.targets[chosen])

    def take(self, count: int) -> Iterator[Any]:
        """The first `count` batches of a pass."""
        return islice(self, count)


def timeseries_dataset_from_array(data: Any, targets: Any, sequence_length: int, sequence_stride: int = 1,
                                  sampling_rate: int = 1, batch_size: int | None = 128, shuffle: bool = False,
                                  seed: int | None = None, start_index: int | None = None, end_index: int | None = None,
                                  format: str = "tf") -> TimeseriesDataset:
    """Sliding windows over a series: batches for `fit`, `evaluate` and `predict`.

        window n = data[start + n s], data[start + n s + r], …       L steps, s = sequence_stride, r = sampling_rate
        target n = targets[start + n s]

    To predict the step after each window of ten: `timeseries_dataset_from_array(data[:-10], data[10:], 10)`.

    Arguments:
        data: (steps, …), equally spaced in time.
        targets: targets[i] belongs to the window that begins at data[i]; None for windows alone.
        sequence_length: steps L in a window.
        sequence_stride: steps from one window's beginning to the next one's.
        sampling_rate: steps from one element of a window to the next.
        batch_size: windows in a batch, the last may have fewer; None for single windows.
        shuffle: whether the windows come in a new order in each pass (all of them are mixed; Keras mixes twice, in a buffer).
        seed: of that order; by default the library's random numbers.
        start_index, end_index: the part of the series that is used; all of it by default. The end itself is not.
        format: accepted as in Keras; the result is neither TensorFlow's nor Grain's, but iterates as both do.

    Raises:
        ValueError: a length, stride, rate, batch size or index out of range; no room for one window.

    Source: 004 "Time Series Analysis"; keras.utils.timeseries_dataset_from_array.
    """
    data = as_array(data, "timeseries_dataset_from_array", "data")
    targets = None if targets is None else as_array(targets, "timeseries_dataset_from_array", "targets")
    for name, array in (("data", data), ("targets", targets)):
        if array is not None and not array.ndim:
            raise ValueError(f"timeseries_dataset_from_array: expected {name} of at least one axis, got {array!r}")
    flag("timeseries_dataset_from_array", "shuffle", shuffle)
    steps = len(data)
    start, end = 0 if start_index is None else start_index, steps if end_index is None else end_index
    for name, value, low, high in (
            ("sequence_length", sequence_length, 1, None), ("sequence_stride", sequence_stride, 1, steps - 1),
            ("sampling_rate", sampling_rate, 1, steps - 1), ("batch_size", batch_size, 1, None),
            ("start_index", start, 0, steps - 1), ("end_index", end, 0, steps)):
        if name != "batch_size" or value is not None:
            integer("timeseries_dataset_from_array", name, value)
        if value is not None and not (value >= low and (high is None or value <= high)):
            raise ValueError(f"timeseries_dataset_from_array: expected {name} of at least {low}"
                             f"{'' if high is None else f' and at most {high}'}, got {value}")
    if end <= start:
        raise ValueError(f"timeseries_dataset_from_array: expected end_index of at least {start + 1} and at most {steps}, "
                         f"got {end}")
    choice("timeseries_dataset_from_array", "format", format, ("tf", "grain"))
    offsets = np.arange(sequence_length) * sampling_rate
    used, matching = data[start:end], None if targets is None else targets[start:end]
    room = len(used) - offsets[-1]
    if matching is not None:
        room = min(room, len(matching))
    if room < 1:
        raise ValueError(f"timeseries_dataset_from_array: expected room for at least one window of {offsets[-1] + 1} steps and "
                         f"its target, got {len(used)} steps"
                         + ("" if matching is None else f" and {len(matching)} targets"))
    generator = random.generator_of(seed) if shuffle else None
    return TimeseriesDataset(used, matching, np.arange(0, room, sequence_stride), offsets, batch_size, generator)
