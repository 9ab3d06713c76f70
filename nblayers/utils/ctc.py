"""Labels from the logits of a network that was trained with CTC."""
from typing import Any

import numpy as np

from nblayers.activations import log_softmax
from nblayers.arguments import choice, flag, integer
from nblayers.arrays import as_numbers
from nblayers.devices import to_numpy

NONE = -1                   # stands behind the labels


def ctc_decode(inputs: Any, sequence_lengths: Any, strategy: str = "greedy", beam_width: int = 100, top_paths: int = 1,
               merge_repeated: bool = True, mask_index: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The labels that logits of a network trained with `losses.CTC` are likely to mean; arguments and results are Keras'.

    "greedy" takes the likeliest class of each step and reads them: repeats merged, blanks taken out. "beam_search" goes through
    the steps with the `beam_width` likeliest readings so far; the probability of a reading is the sum over its paths, those
    that end with a blank apart from those that do not, as only the former may repeat the last label.

    Arguments:
        inputs: (N, T, C) logits.
        sequence_lengths: (N,) whole numbers, how many steps of each sample are real.
        strategy: "greedy" or "beam_search".
        beam_width: how many readings go on from step to step.
        top_paths: how many of them are returned.
        merge_repeated: "greedy": whether repeats are merged.
        mask_index: the class of the blank; negative: counted from the last one.

    Returns:
        The labels, int32, (1, N, T) or (top_paths, N, T), -1 behind them, and the scores: for "greedy" minus the sum of the
        logits taken, (N, 1); for "beam_search" the logarithms of the probabilities, (N, top_paths), -inf where there is no
        further reading.

    Raises:
        ValueError: an argument of another kind or out of range; arrays that do not fit together.
        TypeError: they do not hold numbers.

    Source: Graves et al. 2006, section 3.2 (greedy); Hannun, "Sequence Modeling with CTC", 2017 (beam search).
    """
    x = to_numpy(as_numbers(inputs, "ctc_decode", "inputs"))
    x = x if x.dtype in (np.float32, np.float64) else x.astype(np.float32)
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"ctc_decode: expected inputs of shape (samples, steps, classes), none of them 0, got {x.shape}")
    N, T, C = x.shape
    lengths = to_numpy(as_numbers(sequence_lengths, "ctc_decode", "sequence_lengths"))
    if lengths.shape != (N,) or (lengths != lengths.astype(int)).any() or lengths.min() < 0 or lengths.max() > T:
        raise ValueError(f"ctc_decode: expected sequence_lengths as {N} whole numbers from 0 to {T}, got {lengths.tolist()}")
    choice("ctc_decode", "strategy", strategy, ("greedy", "beam_search"))
    integer("ctc_decode", "beam_width", beam_width, 1)
    integer("ctc_decode", "top_paths", top_paths, 1, beam_width)
    flag("ctc_decode", "merge_repeated", merge_repeated)
    blank = integer("ctc_decode", "mask_index", mask_index, -C, C - 1) % C
    if strategy == "greedy":
        return _greedy(x, lengths, merge_repeated, blank)
    labels, scores = np.full((top_paths, N, T), NONE, np.int32), np.full((N, top_paths), -np.inf, x.dtype)
    log_p = to_numpy(log_softmax(x))
    for n in range(N):
        for k, (reading, score) in enumerate(_beam_search(log_p[n, :int(lengths[n])], beam_width, blank)[:top_paths]):
            labels[k, n, :len(reading)], scores[n, k] = reading, score
    return labels, scores


def _greedy(x: np.ndarray, lengths: np.ndarray, merge_repeated: bool, blank: int) -> tuple[np.ndarray, np.ndarray]:
    N, T, _ = x.shape
    is_real = np.arange(T) < lengths[:, None]
    classes = x.argmax(axis=2)
    is_label = is_real & (classes != blank)
    if merge_repeated:
        is_label[:, 1:] &= classes[:, 1:] != classes[:, :-1]
    labels = np.full((1, N, T), NONE, np.int32)
    labels[0, np.arange(T) < is_label.sum(axis=1)[:, None]] = classes[is_label]
    return labels, -np.where(is_real, x.max(axis=2), 0).sum(axis=1, keepdims=True)


class _Readings:
    """All readings met so far, as a tree: each is another one, and a label behind it. The first is empty."""

    def __init__(self) -> None:
        self.parents, self.labels = np.zeros(1, np.int64), np.full(1, NONE, np.int64)
        self._numbers: dict[tuple[int, int], int] = {}

    def extended(self, parents: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The numbers of readings that are others with a label more."""
        pairs = list(zip(parents.tolist(), labels.tolist(), strict=True))
        new = [pair for pair in pairs if pair not in self._numbers]
        for pair in new:
            self._numbers[pair] = len(self._numbers) + 1
        if new:
            self.parents, self.labels = (np.concatenate([old, np.array(more)]) for old, more in
                                         zip((self.parents, self.labels), zip(*new, strict=True), strict=True))
        return np.array([self._numbers[pair] for pair in pairs], np.int64)

    def read(self, number: int) -> list[int]:
        """The labels of a reading."""
        labels: list[int] = []
        while number:
            labels.insert(0, int(self.labels[number]))
            number = int(self.parents[number])
        return labels


def _beam_search(log_p: np.ndarray, width: int, blank: int) -> list[tuple[list[int], float]]:
    """log_p (T, C) -> the likeliest readings with their scores, best first."""
    readings, classes = _Readings(), np.delete(np.arange(log_p.shape[1]), blank)
    beam, ends_blank, ends_label = np.zeros(1, np.int64), np.zeros(1, log_p.dtype), np.full(1, -np.inf, log_p.dtype)
    for row in log_p:
        both = np.logaddexp(ends_blank, ends_label)
        last = readings.labels[beam]
        stay_blank = both + row[blank]                                              # a blank more
        stay_label = np.where(last == NONE, -np.inf, ends_label + row[last])        # the last label once more
        before = np.where(last[:, None] == classes, ends_blank[:, None], both[:, None])
        grown = before + row[classes]                                               # another label, or the same behind a blank
        _into_members(grown, readings, beam, classes, stay_label)
        scores = np.concatenate([np.logaddexp(stay_blank, stay_label), grown.ravel()])
        kept = np.argsort(-scores, kind="stable")[:width]
        kept = kept[scores[kept] > -np.inf]
        old, new = kept[kept < len(beam)], kept[kept >= len(beam)] - len(beam)
        where, label = new // len(classes), classes[new % len(classes)] if len(classes) else new
        beam, ends_blank, ends_label = (
            np.concatenate([beam[old], readings.extended(beam[where], label)]),
            np.concatenate([stay_blank[old], np.full(len(new), -np.inf, log_p.dtype)]),
            np.concatenate([stay_label[old], grown.ravel()[new]]))
    total = np.logaddexp(ends_blank, ends_label)
    order = np.argsort(-total, kind="stable")
    return [(readings.read(int(beam[k])), float(total[k])) for k in order]


def _into_members(grown: np.ndarray, readings: _Readings, beam: np.ndarray, classes: np.ndarray,
                  stay_label: np.ndarray) -> None:
    """Where a reading that grows becomes one that is in the beam already, the score of the growth goes to that one."""
    places = {number: place for place, number in enumerate(beam.tolist())}
    for place, number in enumerate(beam.tolist()):
        parent = places.get(int(readings.parents[number])) if number else None
        if parent is not None:
            column = int(np.searchsorted(classes, readings.labels[number]))
            stay_label[place] = np.logaddexp(stay_label[place], grown[parent, column])
            grown[parent, column] = -np.inf
