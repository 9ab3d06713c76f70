"""Losses of probabilities and of their logits."""
import warnings
from typing import Any

import numpy as np

from nblayers import config
from nblayers.arguments import flag, integer, number, optional
from nblayers.arrays import as_numbers
from nblayers.losses.loss import Elementwise, Loss, array_module_of, mean_over, predictions, values_of


class CrossEntropy(Elementwise):
    """What the cross-entropies have in common."""

    def __init__(self, from_logits: bool, label_smoothing: float, axis: int, reduction: str | None, name: str | None,
                 dtype: Any) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits = flag(self.described, "from_logits", from_logits)
        self.label_smoothing = number(self.described, "label_smoothing", label_smoothing, 0, 1)
        self.axis = integer(self.described, "axis", axis)

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        t, p = super().prepare(y_true, y_pred)
        self.check_axis(p)
        return t, p

    def check_targets(self, t: Any) -> None:
        if (t != t).any():
            raise ValueError(f"{self.described}: expected targets without NaN, got {int((t != t).sum())} NaN in {t.size}")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits, "label_smoothing": self.label_smoothing,
                "axis": self.axis}


def clipped(p: Any) -> Any:
    """q = clip(p) to [epsilon, 1 - epsilon]: the logarithm stays finite, and where q is not p nothing flows back."""
    epsilon = config.epsilon()
    return p.clip(epsilon, 1 - epsilon)


def _limit_of(x: Any, axis: int) -> Any:
    """Logits with a row in which one is infinite replaced by others of the same softmax: 0 there, -inf elsewhere."""
    xp = array_module_of(x)
    infinite = x == np.inf
    return xp.where(infinite.any(axis=axis, keepdims=True), xp.where(infinite, 0, -np.inf).astype(x.dtype), x)


def _times(t: Any, x: Any) -> Any:
    """t x, 0 where t is 0 also for an infinite x; NaN stays NaN."""
    return array_module_of(x).where((t == 0) & (x == x), 0, t * x)


class BinaryCrossentropy(CrossEntropy):
    r"""Cross-entropy of targets t in [0, 1] and probabilities, mean over `axis`, D long.

    From probabilities p, clipped so that the logarithms stay finite:

        q = \min(\max(p, \epsilon), 1 - \epsilon)                                   (1)
        v_i = -\frac1D \sum_d (t \log q + (1 - t) \log(1 - q))                      (2)
        dp = dv_i \frac1D \frac{q - t}{q (1 - q)}  where q = p, else 0              (3)   (JAX: half of it where p is a bound)

    From logits x, p = \sigma(x), the logarithms of (2) in a form that neither overflows nor loses digits:

        v_i = \frac1D \sum_d (\max(x, 0) - x t + \log(1 + e^{-|x|}))                (4)
        dx = dv_i \frac1D (\sigma(x) - t)                                           (5)

    An infinite logit counts as the limit: certainty costs 0 where it is right.

    Arguments:
        from_logits: whether the predictions are logits.
        label_smoothing: s in [0, 1]: t becomes (1 - s) t + s/2.
        axis: the axis to average over.
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; NaN among the targets.
    """

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
                 reduction: str | None = "sum_over_batch_size", name: str | None = "binary_crossentropy",
                 dtype: Any = None) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        if self.label_smoothing:
            t = t * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        if self.from_logits:
            return self._from_logits(t, p)
        xp, q = array_module_of(p), clipped(p)                                     # (1)
        one_less_q = 1 - q
        terms = xp.log(q)
        terms *= t
        rest = xp.log(one_less_q)
        rest *= 1 - t
        terms += rest
        return -mean_over(terms, self.axis), (t, p, q, one_less_q)                  # (2)

    def _from_logits(self, t: Any, x: Any) -> tuple[Any, Any]:
        xp = array_module_of(x)
        e = xp.abs(x)
        xp.exp(xp.negative(e, out=e), out=e)                                        # e^{-|x|}
        terms = xp.maximum(x, 0)
        with np.errstate(invalid="ignore"):
            terms -= x * t
        terms += xp.log1p(e)
        return mean_over(terms, self.axis), (t, x, e, None)                         # (4)

    def at_the_limit(self, t: Any, p: Any) -> tuple[Any, Any]:
        values, record = self.forward(t, p)
        if not self.from_logits:
            return values, record
        t, x, e, _ = record
        xp = array_module_of(x)
        with np.errstate(invalid="ignore"):
            terms = _times(xp.where(x >= 0, 1 - t, t), xp.abs(x)) + xp.log1p(e)     # max(x, 0) - x t in one product
        return mean_over(terms, self.axis), record                                  # (4)

    def backward(self, dvalues: Any, record: Any) -> Any:
        t, p, q, one_less_q = record
        share = self.along(dvalues) * (1 / p.shape[self.axis])
        if self.from_logits:
            xp, e = array_module_of(p), q
            dx = xp.where(p >= 0, 1, e)                                             # \sigma(x) = 1 / (1 + e) or e / (1 + e)
            e += 1
            dx /= e
            dx -= t
            dx *= share                                                             # (5), from (4)
            return dx
        live = q == p
        variance = one_less_q
        variance *= q
        dp = q
        dp -= t
        dp /= variance
        dp *= live
        dp *= share                                                                 # (3), from (1) and (2)
        return dp


class CategoricalCrossentropy(CrossEntropy):
    r"""Cross-entropy of a distribution t over the K classes along `axis` (one-hot, for instance) and a predicted one.

    From probabilities p, brought to the sum 1 and clipped:

        o_k = p_k / S,    S = \sum_k p_k                                            (1)
        q_k = \min(\max(o_k, \epsilon), 1 - \epsilon)                               (2)
        v = -\sum_k t_k \log q_k                                                    (3)
        do_k = -t_k / q_k  where q = o, else 0                                      (4)
        dp_k = dv (do_k - \sum_j do_j o_j) / S                                      (5)

    From logits x, p = softmax(x), where the steps collapse:

        v = \sum_k t_k (\log \sum_j e^{x_j} - x_k)                                  (6)
        dx_k = dv (p_k \sum_j t_j - t_k)                                            (7)

    An infinite logit counts as the limit: a class of logit -inf is impossible, and costs nothing where t_k is 0.

    Arguments:
        from_logits: whether the predictions are logits.
        label_smoothing: s in [0, 1]: t becomes (1 - s) t + s/K. (Keras divides by the length of the last axis, whatever `axis`
            is.)
        axis: the axis of the classes.
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; NaN among the targets.
    """

    hint = "; integer classes belong to sparse_categorical_crossentropy"

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
                 reduction: str | None = "sum_over_batch_size", name: str | None = "categorical_crossentropy",
                 dtype: Any = None) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        if p.shape[-1] == 1:
            warnings.warn(f"{self.described}: y_pred of shape {p.shape} has a single class, for which this loss is constant; "
                          "binary_crossentropy is meant for one output unit", stacklevel=4)
        xp, axis = array_module_of(p), self.axis
        if self.label_smoothing:
            t = t * (1 - self.label_smoothing) + self.label_smoothing / t.shape[axis]
        if self.from_logits:
            return self._from_logits(t, p)
        total = p.sum(axis=axis, keepdims=True)
        o = p / total                                                               # (1)
        q = clipped(o)                                                             # (2)
        terms = xp.log(q)
        terms *= t
        return -terms.sum(axis=axis), (t, o, q, total)                              # (3)

    def _from_logits(self, t: Any, x: Any) -> tuple[Any, Any]:
        with np.errstate(invalid="ignore"):
            log_p, p = self._softmax(x)
            log_p *= t
        return -log_p.sum(axis=self.axis), (t, p, None, None)                       # (6)

    def _softmax(self, x: Any) -> tuple[Any, Any]:
        """log p and p."""
        xp = array_module_of(x)
        log_p = x - x.max(axis=self.axis, keepdims=True)
        p = xp.exp(log_p)
        total = p.sum(axis=self.axis, keepdims=True)
        p /= total
        log_p -= xp.log(total)
        return log_p, p

    def at_the_limit(self, t: Any, p: Any) -> tuple[Any, Any]:
        values, record = self.forward(t, p)
        if not self.from_logits:
            return values, record
        t = record[0]
        with np.errstate(invalid="ignore"):
            log_p, p = self._softmax(_limit_of(p, self.axis))
            return -_times(t, log_p).sum(axis=self.axis), (t, p, None, None)        # (6)

    def backward(self, dvalues: Any, record: Any) -> Any:
        t, o, q, total = record
        dvalues = self.along(dvalues)
        if self.from_logits:
            dx = o
            dx *= t.sum(axis=self.axis, keepdims=True)
            dx -= t
            dx *= dvalues                                                           # (7), from (6)
            return dx
        live = q == o
        do = array_module_of(t).divide(t, q, out=q)
        do *= live                                                                  # (4) but for its sign, from (2), (3)
        o *= do
        do -= o.sum(axis=self.axis, keepdims=True)
        do *= -dvalues / total                                                      # (5), from (1)
        return do


class SparseCategoricalCrossentropy(CrossEntropy):
    r"""Cross-entropy of a class k (an integer) and a predicted distribution over the K classes along `axis`.

    `CategoricalCrossentropy` for the one-hot target t_k = 1. From probabilities p:

        o_k = p_k / S,    S = \sum_j p_j                                            (1)
        q = \min(\max(o_k, \epsilon), 1 - \epsilon)                                 (2)
        v = -\log q                                                                 (3)
        dp_j = dv (1 - [j = k] / q) / S  where q = o_k, else 0                      (4)

    From logits x, p = softmax(x):

        v = \log \sum_j e^{x_j} - x_k                                               (5)
        dx_j = dv (p_j - [j = k])                                                   (6)

    An infinite logit counts as the limit.

    Arguments:
        from_logits: whether the predictions are logits.
        ignore_class: a class (often -1 or 0) whose samples count for nothing, in a mean neither.
        axis: the axis of the classes.
        reduction, name, dtype: see `Loss`.

    y_true has y_pred's shape without the axis of the classes, or with that axis 1 long.

    Raises:
        ValueError: see `Loss`; a class that is NaN, no whole number, negative, or K or more.
    """

    def __init__(self, from_logits: bool = False, ignore_class: int | None = None,
                 reduction: str | None = "sum_over_batch_size", axis: int = -1,
                 name: str | None = "sparse_categorical_crossentropy", dtype: Any = None) -> None:
        super().__init__(from_logits, 0.0, axis, reduction, name, dtype)
        self.ignore_class = optional(integer, self.described, "ignore_class", ignore_class)

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The classes as integers; the predictions with their classes on the last axis."""
        p = predictions(y_pred, self)
        self.check_axis(p)
        if self.axis not in (-1, p.ndim - 1):
            p = array_module_of(p).moveaxis(p, self.axis, -1)
        t = array_module_of(p).asarray(as_numbers(y_true, self, "y_true"))
        given = t.shape
        if t.ndim == p.ndim and given[self.axis] == 1:
            t = t.squeeze(self.axis)
        if t.shape != p.shape[:-1]:
            raise ValueError(f"{self.described}: expected y_true of shape {p.shape[:-1]}, that of y_pred {np.shape(y_pred)} "
                             f"without its classes, got {given}"
                             + ("; one-hot targets belong to categorical_crossentropy" if given == p.shape else ""))
        return self._classes(t, p.shape[-1]), p

    def _classes(self, t: Any, count: int) -> Any:
        if t.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                whole = t.astype(np.int64)
            if (whole != t).any():
                raise ValueError(f"{self.described}: expected whole numbers as classes, got {t[whole != t][:3].tolist()}")
            t = whole
        t = t.astype(np.int64, copy=False)
        classes = t if self.ignore_class is None else t[t != self.ignore_class]
        if classes.size and (classes.min() < 0 or classes.max() >= count):
            raise ValueError(f"{self.described}: expected classes from 0 to {count - 1}, as y_pred has {count}, "
                             f"got {int(classes.min())} to {int(classes.max())}")
        return t

    def valid(self, t: Any, values: Any = None) -> Any:
        return None if self.ignore_class is None else t != self.ignore_class

    def check_targets(self, t: Any) -> None:
        """Integers are never NaN."""

    def forward(self, k: Any, p: Any) -> tuple[Any, Any]:
        xp, valid = array_module_of(p), self.valid(k)
        rows = xp.ascontiguousarray(p).reshape(-1, p.shape[-1])                     # a row for each value
        at = xp.arange(0, p.size, p.shape[-1])
        at += k.ravel() if valid is None else xp.where(valid, k, 0).ravel()         # where k stands in the flat rows
        if self.from_logits:
            with np.errstate(invalid="ignore"):
                values, *kept = self._from_logits(rows, at)
            record: Any = (p.shape, at, *kept)
        else:
            total = rows.sum(axis=-1)
            o = rows.ravel()[at] / total                                            # (1)
            q = clipped(o)                                                         # (2)
            values = -xp.log(q)                                                     # (3)
            record = (p.shape, at, q == o, total, q)
        values = values.reshape(k.shape)
        return values if valid is None else xp.where(valid, values, 0), record

    def at_the_limit(self, k: Any, p: Any) -> tuple[Any, Any]:
        return self.forward(k, _limit_of(p, -1) if self.from_logits else p)

    def _from_logits(self, x: Any, at: Any) -> tuple[Any, Any, Any]:
        """The values, and e^x and its sum in each row (both for x less the row's largest)."""
        xp = array_module_of(x)
        e = x - x.max(axis=-1, keepdims=True)
        values = -e.ravel()[at]
        xp.exp(e, out=e)
        total = e.sum(axis=-1)
        values += xp.log(total)                                                     # (5)
        return values, e, total

    def backward(self, dvalues: Any, record: Any) -> Any:
        shape, at, *kept = record
        dvalues = dvalues if isinstance(dvalues, float) else dvalues.ravel()
        if self.from_logits:
            dx, total = kept
            dx *= (dvalues / total)[:, None]                                        # p_j dv, from (5)
            dx.reshape(-1)[at] -= dvalues
        else:
            live, total, q = kept
            share = live * (dvalues / total)                                        # from (1), (2)
            dx = array_module_of(share).empty((len(share), shape[-1]), share.dtype)
            dx[...] = share[:, None]
            dx.reshape(-1)[at] -= share / q                                         # (4), from (3)
        dx = dx.reshape(shape)
        return dx if self.axis in (-1, dx.ndim - 1) else array_module_of(dx).moveaxis(dx, -1, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {**Loss.get_config(self), "from_logits": self.from_logits, "ignore_class": self.ignore_class}


@values_of(BinaryCrossentropy)
def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0,
                        axis: int = -1) -> Any:
    """`BinaryCrossentropy` (2) or (4)."""
    return BinaryCrossentropy(from_logits, label_smoothing, axis).call(y_true, y_pred)


@values_of(CategoricalCrossentropy)
def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0,
                             axis: int = -1) -> Any:
    """`CategoricalCrossentropy` (3) or (6)."""
    return CategoricalCrossentropy(from_logits, label_smoothing, axis).call(y_true, y_pred)


@values_of(SparseCategoricalCrossentropy)
def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None,
                                    axis: int = -1) -> Any:
    """`SparseCategoricalCrossentropy` (3) or (5); 0 where the class is ignored."""
    return SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis).call(y_true, y_pred)
