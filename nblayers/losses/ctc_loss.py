"""Connectionist temporal classification: labels without their places in time."""
from typing import Any, NamedTuple

import numpy as np

import kernels
from nblayers.activations import log_softmax
from nblayers.arrays import as_numbers
from nblayers.devices import get_device
from nblayers.layers.ids import ids_below
from nblayers.losses.loss import array_module_of, predictions, values_of
from nblayers.losses.sequence import SequenceLoss
from nblayers.real_steps import RealSteps

BLANK = 0


class Alignment(NamedTuple):
    """A batch of log-probabilities and of the labels that they are to read as.

    Attributes:
        log_p: (N, T, C).
        labels: (N, L) int64.
        input_lengths, target_lengths: (N,) int64, how many steps and labels each sample has.
        blank: the class that stands for no label.
    """

    log_p: Any
    labels: Any
    input_lengths: Any
    target_lengths: Any
    blank: int

    def losses(self) -> tuple[Any, Any]:
        """Minus the logarithms of the labels' probabilities, (N,), infinite where none is; and what `gradient` needs."""
        xp, log_p = array_module_of(self.log_p), self.log_p
        (N, T, _), dtype, L = log_p.shape, log_p.dtype, self.labels.shape[1]
        alpha, scale, loss = xp.empty((N, T, 2 * L + 1), dtype), xp.empty((N, T), dtype), xp.empty(N, dtype)
        self._kernels.ctc_forward(log_p, self.labels, self.input_lengths, self.target_lengths, self.blank, alpha, scale, loss)
        return loss, (alpha, scale, loss)

    def gradient(self, record: Any, dloss: Any) -> Any:
        """Given dL/dloss, (N,) or a number for all, dL/dx (N, T, C) of the logits x; 0 beyond a sample or an infinite loss."""
        xp, log_p = array_module_of(self.log_p), self.log_p
        dloss, given = xp.empty(len(log_p), log_p.dtype), dloss
        dloss[...] = given
        dx = xp.empty_like(log_p)
        lengths = self.input_lengths, self.target_lengths
        self._kernels.ctc_backward(log_p, *record, self.labels, *lengths, self.blank, dloss, dx)
        return dx

    @property
    def _kernels(self) -> Any:
        device = "cuda" if array_module_of(self.log_p) is not np else get_device()
        return kernels.get(device).ctc


class CTC(SequenceLoss):
    r"""Connectionist temporal classification: minus the log probability of labels whose places in time nobody knows.

    For speech and handwriting: at each of T steps the network has logits x_t of C classes, of which class 0 is the blank.
    A path is a class for each step; it reads as labels when its repeats are merged and its blanks taken out, so that
    "aa-ab-" reads as "aab".

        p_t = \operatorname{softmax}(x_t)                                           (1)
        p(l) = \sum_{\text{paths that read as } l} \prod_t p_t(\text{path}_t)       (2)
        v = -\log p(l)                                                              (3)
        dx_t(k) = dv (p_t(k) - \gamma_t(k))                                         (4)

    \gamma_t(k) is the probability that a path which reads as l has class k at step t. The sums over all paths go step by step,
    forward and back: see `kernels/reference/ctc.py`.

    y_true: (N, L) labels from 1 to C - 1, filled up with 0 behind. y_pred: (N, T, C) logits, without a softmax. A mask (N, T)
    tells which steps are real; without one all T are. Labels that need more steps than there are (one each, and one between
    two that are equal) have no path: v is infinite, and its gradient 0 (Keras on JAX: about 1e5).

    Arguments:
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; arrays of other axes; a label that is no whole number or none of the classes; a 0 before one.

    Source: Graves, Fernández, Gomez, Schmidhuber, "Connectionist Temporal Classification", 2006.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "ctc", dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The labels as int64, and the logits."""
        p = predictions(y_pred, self)
        labels = array_module_of(p).asarray(as_numbers(y_true, self, "y_true"))
        self.check_axes(labels, p, "(samples, steps, classes)")
        labels = np.ascontiguousarray(ids_below(f"{self.described}, y_true", labels, p.shape[2]))
        if (labels[:, 1:] * (labels[:, :-1] == BLANK)).any():
            raise ValueError(f"{self.described}: expected each row of y_true as labels and then zeros, got a 0 before a label")
        return labels, p

    def forward(self, t: Any, p: Any, mask: Any = None) -> tuple[Any, Any]:
        steps, labels = self.real_steps(mask, p), t
        log_p = log_softmax(steps.to_front(p))                                      # (1)
        alignment = Alignment(log_p, labels, steps.lengths, (labels != BLANK).sum(axis=1).astype(np.int64), BLANK)
        values, kept = alignment.losses()                                           # (2), (3)
        return values, (alignment, kept, steps)

    def backward(self, dvalues: Any, record: tuple[Alignment, Any, RealSteps]) -> Any:
        alignment, kept, steps = record
        return steps.back(alignment.gradient(kept, dvalues))                        # (4), from (1) to (3)


@values_of(CTC)
def ctc(y_true: Any, y_pred: Any) -> Any:
    """`CTC` (3)."""
    return CTC().call(y_true, y_pred)
