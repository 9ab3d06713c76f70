"""Connectionist temporal classification as PyTorch writes it."""
from typing import Any

import numpy as np

from nblayers.arguments import choice, flag, integer
from nblayers.arrays import as_numbers
from nblayers.layers.ids import first_of, ids_below
from nblayers.losses import array_module_of, at_least_floatx
from nblayers.losses.ctc_loss import Alignment
from nblayers.nn.losses import Criterion


class CTCLoss(Criterion):
    r"""Minus the log probability of labels whose places in time nobody knows: `losses.CTC` with PyTorch's arguments.

        criterion = CTCLoss()
        log_probs = log_softmax(logits, axis=-1)                                    # (T, N, C)
        loss = criterion(log_probs, targets, input_lengths, target_lengths)         # a number
        dlog_probs = criterion.backward()                                           # (T, N, C)

    With v_n = -\log p(l_n) (`losses.CTC`), L_n labels in sample n, and N samples:

        none: v_n                                                           (1)
        sum: \sum_n v_n                                                     (2)
        mean: \frac1N \sum_n v_n / \max(L_n, 1)                             (3)
        \partial v_n / \partial \log p_t(k) = p_t(k) - \gamma_t(k)          (4)

    (4) is PyTorch's, and the gradient by logits already: `LogSoftmax.backward` leaves it as it is, because it sums to 0 over
    the classes. -\gamma_t(k) alone, the plain derivative, becomes the same there.

    Arguments:
        blank: the class that stands for no label.
        reduction: "mean", "sum" or "none".
        zero_infinity: whether losses of labels that need more steps than there are, which are infinite, count as 0, and so do
            their gradients (NaN otherwise, as in PyTorch).

    It is called with

        log_probs: (T, N, C), or (T, C) for one sample, logarithms of probabilities.
        targets: (N, L), filled up with anything behind; or the labels of all samples one after the other, (sum of L_n,).
        input_lengths, target_lengths: (N,) whole numbers, how many steps and labels each sample has; a number for one sample.

    Raises:
        ValueError: arguments out of range; arrays that do not fit together; a label that is the blank or no class (PyTorch
            reads what lies there in memory).
        TypeError: arrays that do not hold numbers.
        RuntimeError: `backward` before a call.

    Source: torch.nn.CTCLoss.
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__()
        self.blank = integer(self.described, "blank", blank, 0)
        self.reduction = choice(self.described, "reduction", reduction, ("mean", "sum", "none"))
        self.zero_infinity = flag(self.described, "zero_infinity", zero_infinity)

    def __call__(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        """The loss, a number of the dtype of log_probs (an array of values without a reduction)."""
        return self.forward(log_probs, targets, input_lengths, target_lengths)

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        """The same; keeps what `backward` needs."""
        log_p = at_least_floatx(as_numbers(log_probs, self, "log_probs"))
        single = log_p.ndim == 2
        log_p = log_p[:, None] if single else log_p
        alignment = self._alignment(log_p, targets, input_lengths, target_lengths)
        values, kept = alignment.losses()                                           # (1)
        weights = self._weights(alignment)
        self._kept.record = alignment, kept, weights, single
        if self.zero_infinity:
            values = array_module_of(values).where(np.isinf(values), 0, values)
        if self.reduction == "none":
            return values[0] if single else values
        return values.dtype.type((values * weights).sum(dtype=float))               # (2), (3)

    def backward(self, dloss: Any = 1.0) -> Any:
        """dL/dlog_probs of the last call in this thread, in its shape; 0 beyond a sample.

        Arguments:
            dloss: the derivative of whatever follows by this loss: a number, or without a reduction an array of the values'
                shape (a number stands for all).
        """
        alignment, kept, weights, single = self._record
        dvalues = self._upstream(dloss, weights.shape) * weights                    # from (2), (3)
        dx = alignment.gradient(kept, dvalues)                                      # (4)
        if not self.zero_infinity:
            is_real = np.arange(dx.shape[1]) < alignment.input_lengths[:, None]
            dx[is_real & np.isposinf(kept[-1])[:, None]] = np.nan
        return dx[0] if single else array_module_of(dx).ascontiguousarray(dx.swapaxes(0, 1))

    def _weights(self, alignment: Alignment) -> Any:
        """What each value is multiplied by."""
        lengths = alignment.target_lengths
        weights = 1 / (len(lengths) * lengths.clip(1)) if self.reduction == "mean" else lengths * 0 + 1.0
        return weights.astype(alignment.log_p.dtype)

    def _alignment(self, log_p: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Alignment:
        """Everything as the kernels want it: samples first, labels side by side, all of it in range."""
        xp, who = array_module_of(log_p), self.described
        if log_p.ndim != 3 or 0 in log_p.shape:
            raise ValueError(f"{who}: expected log_probs of shape (steps, samples, classes) or (steps, classes), none of them "
                             f"0, got {log_p.shape}")
        T, N, C = log_p.shape
        if self.blank >= C:
            raise ValueError(f"{who}: expected log_probs of more than {self.blank} classes, as blank={self.blank}, got {C}")
        input_lengths = self._lengths("input_lengths", input_lengths, N, T)
        target_lengths = self._lengths("target_lengths", target_lengths, N)
        labels = self._labels(xp.asarray(as_numbers(targets, self, "targets")), target_lengths)
        is_real = np.arange(labels.shape[1]) < target_lengths[:, None]
        labels = ids_below(f"{who}, targets", np.where(is_real, labels, (self.blank + 1) % C), C)
        wrong = is_real & (labels == self.blank)
        if wrong.any():
            raise ValueError(f"{who}: expected labels in targets other than the blank, got {first_of(labels, wrong)}")
        return Alignment(xp.ascontiguousarray(log_p.swapaxes(0, 1)), xp.ascontiguousarray(labels), xp.asarray(input_lengths),
                         xp.asarray(target_lengths), self.blank)

    def _lengths(self, name: str, given: Any, count: int, most: int | None = None) -> Any:
        lengths = np.atleast_1d(as_numbers(given, self, name))
        if lengths.dtype.kind not in "iu" or lengths.shape != (count,):
            raise ValueError(f"{self.described}: expected {name} as {count} whole numbers, one for each sample, got {given!r}")
        if lengths.min() < 0 or (most is not None and lengths.max() > most):
            bounds = "of at least 0" if most is None else f"from 0 to {most}, the steps of log_probs"
            raise ValueError(f"{self.described}: expected {name} {bounds}, got {lengths.tolist()}")
        return lengths.astype(np.int64)

    def _labels(self, targets: Any, lengths: Any) -> Any:
        """The labels side by side, (N, L)."""
        N, total = len(lengths), int(lengths.sum())
        if targets.ndim == 2 and len(targets) == N and targets.shape[1] >= lengths.max():
            return targets
        if targets.ndim != 1 or len(targets) != total:
            raise ValueError(f"{self.described}: expected targets of shape ({N}, {lengths.max()} or more), or ({total},), all "
                             f"labels one after the other, got {targets.shape}")
        labels = np.zeros((N, int(lengths.max())), targets.dtype)
        labels[np.arange(labels.shape[1]) < lengths[:, None]] = targets
        return labels
