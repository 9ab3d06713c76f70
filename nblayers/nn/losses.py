r"""Losses as PyTorch writes them, each with its gradient written by hand.

    criterion = CrossEntropyLoss()
    loss = criterion(output, target)        # a number
    doutput = criterion.backward()          # dL/doutput, in output's shape
    model.backward(doutput)

This is what PyTorch's `loss.backward()` does. A loss has two steps: its own formula gives a value v_i for every element or
sample, and the reduction sums them up:

    L = \frac1N \sum_i v_i                              (R1)    N: "mean": the number of values; "sum": 1
    dv_i = \partial L / \partial v_i = 1 / N            (R2)    what `backward` starts from

Without a reduction ("none") the values are the result, and `backward` is given dv. The target has no gradient.
"""
import threading
import warnings
from typing import Any, Self

import numpy as np

from nblayers.activations import log_softmax, sigmoid, softplus
from nblayers.arguments import choice, flag, integer, number
from nblayers.arrays import as_numbers
from nblayers.losses import array_module_of, at_least_floatx
from nblayers.naming import NamesItself


class _Kept(threading.local):
    """What the last call in this thread left for `backward`; a copy begins afresh."""

    record: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _Kept, ()


class Criterion(NamesItself):
    """What all losses have in common, `CTCLoss` too: what a call leaves for `backward`."""

    reduction: str

    def __init__(self) -> None:
        self._kept = _Kept()

    @property
    def described(self) -> str:
        """The class, as every error message opens."""
        return type(self).__name__

    @property
    def _record(self) -> Any:
        """What the last call in this thread left."""
        if self._kept.record is None:
            raise RuntimeError(f"{self.described}: backward needs a call first (in this thread)")
        return self._kept.record

    def _upstream(self, dloss: Any, shape: tuple[int, ...]) -> Any:
        """`dloss` as `backward` takes it: a number, or without a reduction also an array of the values' shape."""
        if self.reduction != "none":
            return number(self.described, "dloss", dloss, finite=False)
        dvalues = as_numbers(dloss, self, "dloss")
        if dvalues.shape not in ((), shape):
            raise ValueError(f"{self.described}: expected dloss of shape {shape}, got {dvalues.shape}")
        return dvalues if dvalues.ndim else float(dvalues)

    def to(self, device: Any = None) -> Self:
        """This loss itself: it computes where its arrays are."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Loss(Criterion):
    """What those of an input and a target have in common.

    Arguments:
        reduction: "mean", "sum" or "none".
        size_average, reduce: PyTorch's old way to say it: False, … is "sum", …, False is "none".

    Raises:
        ValueError: no such reduction; an output and a target whose shapes do not fit; no values.
        TypeError: they do not hold numbers.
        RuntimeError: `backward` before a call.
    """

    reductions: tuple[str, ...] = ("mean", "sum", "none")

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        if size_average is not None or reduce is not None:
            averaged, reduced = (flag(self.described, name, True if value is None else value)
                                 for name, value in (("size_average", size_average), ("reduce", reduce)))
            reduction = ("mean" if averaged else "sum") if reduced else "none"
            warnings.warn(f"{self.described}: size_average and reduce are PyTorch's old names; say reduction={reduction!r}",
                          stacklevel=4)
        super().__init__()
        self.reduction = choice(self.described, "reduction", reduction, self.reductions)

    def __call__(self, input: Any, target: Any) -> Any:
        """The loss, a number of the dtype of `input` (an array of values without a reduction)."""
        return self.forward(input, target)

    def forward(self, input: Any, target: Any) -> Any:
        """The same; keeps what `backward` needs."""
        x = at_least_floatx(as_numbers(input, self, "the input"))
        t = array_module_of(x).asarray(as_numbers(target, self, "the target"))
        values, record = self.values(x, t)
        if not values.size:
            raise ValueError(f"{self.described}: expected at least one value, got an input of shape {x.shape}")
        N = self.divisor(x, values, record)
        self._kept.record = record, values.shape, N
        if self.reduction == "none":
            return values
        total = float(values.sum())
        return x.dtype.type(total / N if N else np.nan)                         # (R1)

    def backward(self, dloss: Any = 1.0) -> Any:
        """dL/dinput of the last call in this thread, in the shape of its input.

        Arguments:
            dloss: the derivative of whatever follows by this loss: a number, or without a reduction an array of the values'
                shape (a number stands for all).
        """
        record, shape, N = self._record
        dv = self._upstream(dloss, shape)
        if self.reduction != "none":
            dv = dv / N if N else 0.0                                           # (R2)
        return self.gradient(record, dv)

    def values(self, x: Any, t: Any) -> tuple[Any, Any]:
        """The values v, and what `gradient` needs."""
        raise NotImplementedError

    def gradient(self, record: Any, dv: Any) -> Any:
        """dL/dx from dv, a number where it is the same for all values; leaves the record as it is."""
        raise NotImplementedError

    def divisor(self, x: Any, values: Any, record: Any) -> float:
        """N of (R1)."""
        return values.size if self.reduction == "mean" else 1


class _Elementwise(_Loss):
    """A loss whose target and values have the shape of the input."""

    def values(self, x: Any, t: Any) -> tuple[Any, Any]:
        if t.shape != x.shape:
            raise ValueError(f"{self.described}: expected a target of the shape of the input, {x.shape}, got {t.shape}")
        return self.elements(x, t.astype(x.dtype, copy=False))

    def elements(self, x: Any, t: Any) -> tuple[Any, Any]:
        """`values` of target and input of one shape and dtype."""
        raise NotImplementedError

    def gradient(self, record: Any, dv: Any) -> Any:
        dx = self.slope(record)
        dx *= dv
        return dx

    def slope(self, record: Any) -> Any:
        """dv_i / dx_i, a new array."""
        raise NotImplementedError

    def fitted(self, name: str, weight: Any, x: Any) -> Any:
        """A weight as an array that broadcasts with x."""
        w = array_module_of(x).asarray(as_numbers(weight, self, name), x.dtype)
        try:
            fits = np.broadcast_shapes(w.shape, x.shape) == x.shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(f"{self.described}: expected a {name} that broadcasts to the shape {x.shape} of the input, "
                             f"got {w.shape}")
        return w


class MSELoss(_Elementwise):
    r"""Mean squared error.

        v = (x - t)^2                       (1)
        dx = 2 (x - t) dv                   (2)

    Arguments and errors: see `_Loss`: `MSELoss(reduction="mean")`. (PyTorch broadcasts shapes that differ, and warns; here they
    are an error.)
    """

    def elements(self, x: Any, t: Any) -> tuple[Any, Any]:
        error = x - t
        return error * error, error                                             # (1)

    def slope(self, error: Any) -> Any:
        return 2 * error                                                        # (2), from (1)


class L1Loss(_Elementwise):
    r"""Mean absolute error.

        v = |x - t|                                     (1)
        dx = \operatorname{sign}(x - t) dv              (2)    0 at x = t

    Arguments and errors: see `_Loss`.
    """

    def elements(self, x: Any, t: Any) -> tuple[Any, Any]:
        error = x - t
        return abs(error), error                                                # (1)

    def slope(self, error: Any) -> Any:
        return array_module_of(error).sign(error)                               # (2), from (1)


class HuberLoss(_Elementwise):
    r"""Squared error near the target, absolute error far from it.

        v = (x - t)^2 / 2                       where |x - t| \le \delta        (1)
        v = \delta (|x - t| - \delta / 2)       elsewhere                       (2)
        dx = \max(-\delta, \min(x - t, \delta)) dv                              (3)

    Arguments:
        reduction: see `_Loss`.
        delta: \delta, above 0.

    Raises:
        ValueError: see `_Loss`; a delta that is not positive.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = number(self.described, "delta", delta, 0, open="(")

    def elements(self, x: Any, t: Any) -> tuple[Any, Any]:
        error = x - t
        size = abs(error)
        near = size <= self.delta
        return array_module_of(x).where(near, 0.5 * size * size, self.delta * (size - 0.5 * self.delta)), error     # (1), (2)

    def slope(self, error: Any) -> Any:
        return error.clip(-self.delta, self.delta)                              # (3), from (1), (2)


class SmoothL1Loss(_Elementwise):
    r"""Squared error near the target, absolute error far from it; the slope far away is 1 for every beta.

        v = (x - t)^2 / (2 \beta)           where |x - t| < \beta               (1)
        v = |x - t| - \beta / 2             elsewhere                           (2)
        dx = \max(-1, \min((x - t) / \beta, 1)) dv                              (3)    the sign of x - t for \beta = 0

    Arguments:
        size_average, reduce, reduction: see `_Loss`.
        beta: \beta; 0 is `L1Loss`.

    Raises:
        ValueError: see `_Loss`; a negative beta.
    """

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
                 beta: float = 1.0) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = number(self.described, "beta", beta, 0)

    def elements(self, x: Any, t: Any) -> tuple[Any, Any]:
        error = x - t
        size = abs(error)
        if not self.beta:
            return size, error
        near = size < self.beta
        return array_module_of(x).where(near, 0.5 * size * size / self.beta, size - 0.5 * self.beta), error         # (1), (2)

    def slope(self, error: Any) -> Any:
        if not self.beta:
            return array_module_of(error).sign(error)
        return (error / self.beta).clip(-1, 1)                                  # (3), from (1), (2)


class KLDivLoss(_Elementwise):
    r"""Kullback-Leibler divergence of the input, which holds logarithms, from the target.

        v = t (\log t - x)                  (1)    0 where t = 0
        dx = -t dv                          (2)

    With `log_target` the target too holds logarithms, and t = e^{target}.

    Arguments:
        size_average, reduce: see `_Loss`.
        reduction: "batchmean" too: N is the length of the first axis, as in the mathematics; "mean" divides by all elements.
        log_target: see above.

    Raises:
        ValueError: see `_Loss`.
    """

    reductions = ("mean", "sum", "none", "batchmean")

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
                 log_target: bool = False) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = flag(self.described, "log_target", log_target)

    def elements(self, x: Any, t: Any) -> tuple[Any, Any]:
        xp = array_module_of(x)
        if self.log_target:
            p = xp.exp(t)
            return p * (t - x), p                                               # (1)
        with np.errstate(divide="ignore", invalid="ignore"):
            t_log_t = xp.where(t == 0, 0, t * xp.log(t))
        return t_log_t - t * x, t                                               # (1)

    def slope(self, t: Any) -> Any:
        return -t                                                               # (2), from (1)

    def divisor(self, x: Any, values: Any, record: Any) -> float:
        if self.reduction == "batchmean":
            return x.shape[0] if x.ndim else 1
        return super().divisor(x, values, record)


class BCELoss(_Elementwise):
    r"""Cross-entropy of targets t and probabilities p, both in [0, 1].

        v = -w (t \log p + (1 - t) \log(1 - p))             (1)    each logarithm at least -100
        dp = w \frac{p - t}{\max(p (1 - p), 10^{-12})} dv   (2)    as in PyTorch also where a logarithm is held at -100

    Where p comes from a sigmoid, `BCEWithLogitsLoss` of its input keeps the digits that are lost here.

    Arguments:
        weight: w, broadcast to the input; 1 by default.
        size_average, reduce, reduction: see `_Loss`.

    Raises:
        ValueError: see `_Loss`; a probability or a target outside [0, 1]; a weight that does not fit.
    """

    def __init__(self, weight: Any = None, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight = weight

    def elements(self, x: Any, t: Any) -> tuple[Any, Any]:
        for name, array in (("input", x), ("target", t)):
            outside = ~((array >= 0) & (array <= 1))
            if outside.any():
                raise ValueError(f"{self.described}: expected {name}s in [0, 1], got {float(array[outside].ravel()[0])}")
        xp, p = array_module_of(x), x
        w = None if self.weight is None else self.fitted("weight", self.weight, x)
        with np.errstate(divide="ignore"):
            log_p, log_rest = xp.maximum(xp.log(p), -100), xp.maximum(xp.log1p(-p), -100)
        values = -(t * log_p + (1 - t) * log_rest)                              # (1)
        return values if w is None else w * values, (p, t, w)

    def slope(self, record: Any) -> Any:
        p, t, w = record
        dp = (p - t) / array_module_of(p).maximum(p * (1 - p), 1e-12)           # (2), from (1)
        return dp if w is None else w * dp


class BCEWithLogitsLoss(_Elementwise):
    r"""Cross-entropy of targets t and probabilities \sigma(x), from the logits x.

        v = -w (w_+ t \log \sigma(x) + (1 - t) \log(1 - \sigma(x)))                   w_+: pos_weight, 1 without

    in a form that neither overflows nor loses digits, as \log \sigma(x) = -\log(1 + e^{-x}) = \log(1 - \sigma(x)) + x:

        c = 1 + (w_+ - 1) t                                         (1)
        v = w ((1 - t) x + c \log(1 + e^{-x}))                      (2)
        dx = w ((1 - t) - c \sigma(-x)) dv                          (3)    \sigma(x) - t without weights

    Arguments:
        weight: w, broadcast to the input; 1 by default.
        size_average, reduce, reduction: see `_Loss`.
        pos_weight: w_+, what a positive target counts; broadcast to the input, a number for each class for instance.

    Raises:
        ValueError: see `_Loss`; a weight that does not fit.
    """

    def __init__(self, weight: Any = None, size_average: bool | None = None, reduce: bool | None = None,
                 reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight, self.pos_weight = weight, pos_weight

    def elements(self, x: Any, t: Any) -> tuple[Any, Any]:
        c: Any = 1
        if self.pos_weight is not None:
            c = 1 + (self.fitted("pos_weight", self.pos_weight, x) - 1) * t     # (1)
        w = None if self.weight is None else self.fitted("weight", self.weight, x)
        values = (1 - t) * x + c * softplus(-x)                                 # (2)
        return values if w is None else w * values, (x, t, c, w)

    def slope(self, record: Any) -> Any:
        x, t, c, w = record
        dx = (1 - t) - c * sigmoid(-x)                                          # (3), from (2)
        return dx if w is None else w * dx


class _Classes(_Loss):
    """A loss of classes, whose axis is the second one (the only one of a single sample)."""

    def __init__(self, weight: Any, size_average: bool | None, ignore_index: int, reduce: bool | None, reduction: str) -> None:
        super().__init__(size_average, reduce, reduction)
        self.weight = weight
        self.ignore_index = integer(self.described, "ignore_index", ignore_index)

    def classes(self, x: Any, t: Any) -> tuple[Any, Any]:
        """The class of each sample and its weight; of those ignored 0 and 0.

        Each with the axis of the classes, 1 long.
        """
        axis = _class_axis(x)
        expected = x.shape[:axis] + x.shape[axis + 1:]
        if t.shape != expected:
            raise ValueError(f"{self.described}: expected a target of shape {expected}, that of the input {x.shape} without "
                             f"its classes, got {t.shape}")
        if t.dtype.kind not in "iu":
            raise ValueError(f"{self.described}: expected classes as integers, got dtype {t.dtype}")
        xp = array_module_of(x)
        t = xp.expand_dims(t, axis).astype(np.int64, copy=False)
        valid = t != self.ignore_index
        K, k = x.shape[axis], xp.where(valid, t, 0)
        if k.size and (k.min() < 0 or k.max() >= K):
            raise ValueError(f"{self.described}: expected classes from 0 to {K - 1} or {self.ignore_index}, got "
                             f"{int(k.min())} to {int(k.max())}")
        w = self.class_weights(x)
        return k, valid.astype(x.dtype) if w is None else w.ravel()[k] * valid

    def class_weights(self, x: Any) -> Any:
        """w along the axis of the classes of x, or None."""
        if self.weight is None:
            return None
        axis = _class_axis(x)
        w = array_module_of(x).asarray(as_numbers(self.weight, self, "weight"), x.dtype)
        if w.shape != (x.shape[axis],):
            raise ValueError(f"{self.described}: expected a weight for each of {x.shape[axis]} classes, got shape {w.shape}")
        return w.reshape((-1,) + (1,) * (x.ndim - axis - 1))

    def check_rank(self, x: Any) -> None:
        if not x.ndim:
            raise ValueError(f"{self.described}: expected an input with an axis of classes, got a single number")


def _class_axis(x: Any) -> int:
    return min(1, x.ndim - 1)


class NLLLoss(_Classes):
    r"""Negative log-likelihood of a class k, of the logarithms of probabilities.

        v_i = -w_{k_i} x_{i k_i}                            (1)
        N = \sum_i w_{k_i}                                  (2)    "mean": of (R1)
        dx_{ij} = -[j = k_i] w_{k_i} dv_i                   (3)

    Input (batch, classes, …) or (classes,), target (batch, …) or (): integers.

    Arguments:
        weight: w, a number for each class; 1 by default.
        size_average, reduce, reduction: see `_Loss`.
        ignore_index: a class whose samples count for nothing. If none is left, the mean is NaN and the gradient 0.

    Raises:
        ValueError: see `_Loss`; a class that is none; a weight of another length.
    """

    def __init__(self, weight: Any = None, size_average: bool | None = None, ignore_index: int = -100,
                 reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction)

    def values(self, x: Any, t: Any) -> tuple[Any, Any]:
        self.check_rank(x)
        k, w = self.classes(x, t)
        return _values_of(x, k, w), (x.shape, k, w)                             # (1)

    def divisor(self, x: Any, values: Any, record: Any) -> float:
        return float(record[2].sum()) if self.reduction == "mean" else 1        # (2)

    def gradient(self, record: Any, dv: Any) -> Any:
        shape, k, w = record
        return _dvalues_of(shape, k, w, dv)                                     # (3), from (1)


def _values_of(log_p: Any, k: Any, w: Any) -> Any:
    """-w log p of the classes k; 0 where w is 0."""
    xp, axis = array_module_of(log_p), _class_axis(log_p)
    with np.errstate(invalid="ignore"):
        return xp.where(w == 0, 0, -w * xp.take_along_axis(log_p, k, axis)).squeeze(axis)


def _dvalues_of(shape: tuple[int, ...], k: Any, w: Any, dv: Any) -> Any:
    """The gradient of `_values_of` by log p."""
    xp = array_module_of(w)
    dlog_p = xp.zeros(shape, w.dtype)
    xp.put_along_axis(dlog_p, k, -w * _along_classes(dv, dlog_p), _class_axis(dlog_p))
    return dlog_p


def _along_classes(dv: Any, x: Any) -> Any:
    """dv as it is multiplied with arrays like x: a number, or an array with the axis of the classes, 1 long."""
    xp = array_module_of(x)
    return dv if isinstance(dv, float) else xp.expand_dims(xp.asarray(dv, x.dtype), _class_axis(x))


class CrossEntropyLoss(_Classes):
    r"""Cross-entropy of a class, or of a distribution over the classes, and the softmax of the input.

        l = \log \operatorname{softmax}(x)                                          (1)    along the classes, K of them
        v_i = -w_{k_i} l_{i k_i}                                                    (2)    a class k
        v_i = -\sum_j w_j t'_{ij} l_{ij}                                            (3)    a distribution, t' = (1 - s) t + s/K
        v_i = (1 - s) v_i - \frac sK \sum_j w_j l_{ij}                              (4)    label smoothing s of (2)
        N = \sum_i w_{k_i}                                                          (5)    "mean" of (R1): for classes
        dl_{ij} = -w_j t'_{ij} dv_i                                                 (6)    for classes t_j = [j = k_i]
        dx_{ij} = dl_{ij} - p_{ij} \sum_m dl_{im}                                   (7)    p = e^l

    The mean over distributions is over all samples (N is their number). Input (batch, classes, …) or (classes,); target:
    integers (batch, …) or (), or probabilities in the shape of the input.

    Arguments:
        weight: w, a number for each class; 1 by default.
        size_average, reduce, reduction: see `_Loss`.
        ignore_index: a class whose samples count for nothing. If none is left, the mean is NaN and the gradient 0.
        label_smoothing: s in [0, 1].

    Raises:
        ValueError: see `_Loss`; a class that is none; a weight of another length; a label_smoothing out of range.
    """

    def __init__(self, weight: Any = None, size_average: bool | None = None, ignore_index: int = -100,
                 reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__(weight, size_average, ignore_index, reduce, reduction)
        self.label_smoothing = number(self.described, "label_smoothing", label_smoothing, 0, 1)

    def values(self, x: Any, t: Any) -> tuple[Any, Any]:
        self.check_rank(x)
        axis, s = _class_axis(x), self.label_smoothing
        l = log_softmax(x, axis=axis)                                           # (1)
        if t.dtype.kind == "f" and t.shape == x.shape:
            weights = self._weighted(t.astype(x.dtype, copy=False), x)
            return self._of_distribution(l, weights), (x, l, None, weights)     # (3)
        k, w = self.classes(x, t)
        values, smooth = _values_of(l, k, w), None                              # (2)
        if s:
            smooth = self._smooth(x, t)
            values = (1 - s) * values + self._of_distribution(l, smooth)        # (4)
        return values, (x, l, (k, w), smooth)

    def _weighted(self, t: Any, x: Any) -> Any:
        """w_j t'_j."""
        s, w = self.label_smoothing, self.class_weights(x)
        t = t * (1 - s) + s / x.shape[_class_axis(x)] if s else t
        return t if w is None else w * t

    def _smooth(self, x: Any, t: Any) -> Any:
        """w_j s/K, 0 for samples that are ignored."""
        w = self.class_weights(x)
        valid = array_module_of(x).expand_dims(t != self.ignore_index, _class_axis(x)).astype(x.dtype)
        share = valid * (self.label_smoothing / x.shape[_class_axis(x)])
        return share * (array_module_of(x).ones_like(x) if w is None else w)

    def _of_distribution(self, l: Any, weights: Any) -> Any:
        return -(weights * l).sum(axis=_class_axis(l))

    def divisor(self, x: Any, values: Any, record: Any) -> float:
        classes = record[2]
        if self.reduction != "mean" or classes is None:
            return super().divisor(x, values, record)
        return float(classes[1].sum())                                          # (5)

    def gradient(self, record: Any, dv: Any) -> Any:
        x, l, classes, weights = record
        dl: Any = 0
        if classes is not None:
            dl = _dvalues_of(x.shape, classes[0], classes[1], dv)                             # (6), from (2)
            if weights is not None:
                dl *= 1 - self.label_smoothing                                  # from (4)
        if weights is not None:
            dl = dl - weights * _along_classes(dv, x)                           # (6), from (3) or (4)
        return log_softmax.gradient(x, dl, l, axis=_class_axis(x))              # (7), from (1)


__all__ = ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "NLLLoss",
           "SmoothL1Loss"]
