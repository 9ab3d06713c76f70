r"""Losses as in Keras 3, each with its gradient written by hand.

    value = loss(y_true, y_pred)
    dy_pred = loss.gradient(y_true, y_pred)
    value, dy_pred = loss.value_and_gradient(y_true, y_pred)        # both in one pass

A loss is made of two steps. Its own formula gives a value v_i for every sample (and time step), from the targets t and the
predictions p; the reduction weighs the values and sums them up:

    L = \sum_i c_i v_i                      (R1)
    c_i = w_i / N                           (R2)   w: sample_weight, 1 without; N: see `Loss`
    dv_i = \partial L / \partial v_i = c_i  (R3)   what `backward` starts from

A loss of your own is a function of (y_true, y_pred) with an attribute `gradient`, or a class:

    class Quartic(Loss):
        def call(self, y_true, y_pred):             # a value for every sample
            return ((y_pred - y_true) ** 4).mean(axis=-1)

        def gradient(self, y_true, y_pred):         # the derivative of `call`, in the shape of y_pred
            return 4 * (y_pred - y_true) ** 3 / y_pred.shape[-1]
"""
import inspect
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from nblayers import config, serialization
from nblayers.arguments import choice, flag, function, integer, number, optional, text
from nblayers.arrays import as_numbers
from nblayers.naming import NamesItself
from nblayers.serialization import lookup, names

if TYPE_CHECKING:
    from nblayers.losses.crf_loss import CRFLoss as CRFLoss
    from nblayers.losses.ctc_loss import CTC as CTC, ctc as ctc

_HOMES = {"CRFLoss": "nblayers.losses.crf_loss", "CTC": "nblayers.losses.ctc_loss", "ctc": "nblayers.losses.ctc_loss"}
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss(NamesItself):
    """The class that all losses are made from.

    Arguments:
        reduction: the divisor N of (R2). "sum_over_batch_size" or "mean": the number of values; "sum": 1;
            "mean_with_sample_weight": the sum of the weights; "none" or None: the values stay apart (the gradient is that of
            their sum).
        name: by default the class's in snake_case.
        dtype: what to compute in; by default the dtype of the predictions.

    Every loss is called with

        y_true, y_pred: arrays of one shape; as in Keras a last axis of length 1 that only one of them has counts for nothing.
        sample_weight: a weight for each sample, or for each value (each sample and time step).
        mask: True where a value counts; a mean is then over those values alone.

    Raises:
        ValueError: no such reduction; no samples; shapes that do not fit.
        NotImplementedError: a gradient is asked of a loss that has none.
    """

    def __init__(self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None) -> None:
        if name is None:
            from nblayers.layers.base import auto_name
            name = auto_name(type(self).__name__)
        self.name = text(type(self).__name__, "name", name)
        self.reduction = choice(self.described, "reduction", reduction, REDUCTIONS)
        self.dtype = None if dtype is None else config.float_dtype(dtype, self.described)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Fit in a user's `call` and `gradient`, which know nothing of weights and reduction."""
        super().__init_subclass__(**kwargs)
        if "call" in vars(cls):
            cls.forward, cls.backward = Loss.forward, Loss.backward         # type: ignore[method-assign]
            cls.at_the_limit = Loss.at_the_limit                            # type: ignore[method-assign]
        gradient = vars(cls).get("gradient")
        if gradient is None:
            return
        if "sample_weight" in inspect.signature(gradient).parameters:       # the user's own whole gradient
            cls.value_and_gradient = _value_then_gradient                   # type: ignore[method-assign]
        else:
            cls.call_gradient = gradient                                    # type: ignore[method-assign]
            del cls.gradient

    @property
    def described(self) -> str:
        """Class and name, as every error message opens."""
        return f"{type(self).__name__} {self.name!r}"

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> Any:
        """The loss, a float (an array of values without a reduction)."""
        t, p = self.prepare(y_true, y_pred)
        return self._evaluate(t, p, sample_weight, mask)[0]

    def gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> Any:
        """dL/dy_pred, in the shape and dtype of y_pred."""
        return self.value_and_gradient(y_true, y_pred, sample_weight, mask)[1]

    def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> tuple[Any, Any]:
        """The loss and dL/dy_pred."""
        t, p = self.prepare(y_true, y_pred)
        value, dvalues, record = self._evaluate(t, p, sample_weight, mask)
        dp = self.backward(dvalues, record)
        if dp.shape != np.shape(y_pred):
            dp = dp.reshape(np.shape(y_pred))
        given = getattr(y_pred, "dtype", dp.dtype)
        return value, dp if dp.dtype == given or given.kind != "f" else dp.astype(given)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The values v, one for each sample (and time step)."""
        t, p = self.prepare(y_true, y_pred)
        values = self.forward(t, p)[0]
        has_limits = type(self).at_the_limit is not Loss.at_the_limit
        return self.at_the_limit(t, p)[0] if has_limits and _nan_in(values) else values

    def _evaluate(self, t: Any, p: Any, sample_weight: Any, mask: Any) -> tuple[Any, Any, Any]:
        """The loss, dL/dv, and what `backward` needs."""
        values, record = self.forward(t, p)
        value, dvalues = self.reduce(t, values, sample_weight, mask)
        if _nan_in(value):
            values, record = self.at_the_limit(t, p)
            value, dvalues = self.reduce(t, values, sample_weight, mask)
        return value, dvalues, record

    def at_the_limit(self, t: Any, p: Any) -> tuple[Any, Any]:
        """`forward` where that gave NaN: predictions may be infinite, and the values have a limit."""
        return self.forward(t, p)

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Targets and predictions as arrays of one dtype and rank."""
        p = _predictions(y_pred, self)
        t = as_numbers(y_true, self, "y_true")
        return same_rank(array_module_of(p).asarray(t, p.dtype), p)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        """The values v, and whatever `backward` needs."""
        if type(self).call is Loss.call:
            raise NotImplementedError(f"{self.described}: write call(y_true, y_pred), a value for every sample")
        return array_module_of(p).asarray(self.call(t, p), p.dtype), (t, p)

    def backward(self, dvalues: Any, record: Any) -> Any:
        """dL/dp from dL/dv (a number where all are alike) and what `forward` kept."""
        t, p = record
        gradient = array_module_of(p).asarray(self.call_gradient(t, p), p.dtype)
        if gradient.shape != p.shape:
            raise ValueError(f"{self.described}: expected its gradient in the shape of y_pred {p.shape}, got {gradient.shape}")
        if not isinstance(dvalues, float):
            dvalues = dvalues.reshape(dvalues.shape + (1,) * (p.ndim - dvalues.ndim))
        return dvalues * gradient

    def call_gradient(self, y_true: Any, y_pred: Any) -> Any:
        """The derivative of `call`; in a loss of your own it is called `gradient`."""
        raise NotImplementedError(f"{self.described} has no gradient: write gradient(self, y_true, y_pred), the derivative of "
                                  "`call` in the shape of y_pred (for a function f: set f.gradient)")

    def reduce(self, t: Any, values: Any, sample_weight: Any, mask: Any) -> tuple[Any, Any]:
        """(R1) to (R3): the loss, and dL/dv, a number where it is the same for all values."""
        if not values.size:
            raise ValueError(f"{self.described}: expected at least one sample, got values of shape {values.shape}")
        valid = self.valid(t)
        if sample_weight is None and mask is None and valid is None:
            share = 1.0 / values.size if self.reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight") else 1.0
            value = values if self.reduction in (None, "none") else float(values.sum()) * share             # (R1)
            dvalues: Any = share
        else:
            weights = self._weights(values, sample_weight, mask, valid)
            c = weights * self._share(weights, values.size)                                                     # (R2)
            dvalues = array_module_of(values).broadcast_to(c, values.shape)                                     # (R3)
            value = values * dvalues
            if self.reduction not in (None, "none"):
                value = float(value.sum())                                                                  # (R1)
        if _nan_in(value):
            self.check_targets(t)
        return value, dvalues

    def valid(self, t: Any) -> Any:
        """Where the targets count, in the shape of the values; None: everywhere."""
        return None

    def check_targets(self, t: Any) -> None:
        """Called when the loss is NaN: raise an error if the targets are the reason."""

    def _weights(self, values: Any, sample_weight: Any, mask: Any, valid: Any) -> Any:
        """Sample weights and masks in one array that fits the values."""
        weights = None if sample_weight is None else self._fitted(sample_weight, values, "sample_weight")
        mask = None if mask is None else self._fitted(mask, values, "mask")
        if valid is not None:
            mask = valid * (values.dtype.type(1) if mask is None else mask)
        if mask is None:
            return weights
        if self.reduction in ("sum_over_batch_size", "mean"):
            mask = mask * (mask.size / max(float(mask.sum()), 1.0))         # so that N counts the valid values alone
        return mask if weights is None else mask * weights

    def _fitted(self, weights: Any, values: Any, what: str) -> Any:
        """One weight for each sample, or for each value."""
        weights = as_numbers(weights, self, what)
        w = array_module_of(values).asarray(weights, values.dtype)
        given = w.shape
        if w.ndim == values.ndim + 1 and given[-1] == 1:
            w = w[..., 0]
        elif 0 < w.ndim < values.ndim and given == values.shape[:w.ndim]:
            w = w.reshape(given + (1,) * (values.ndim - w.ndim))
        if w.ndim > values.ndim or any(a not in (1, b) for a, b in zip(w.shape[::-1], values.shape[::-1], strict=False)):
            raise ValueError(f"{self.described}: expected a {what} for each sample or for each loss value, of a shape that "
                             f"fits {values.shape}, got {given}")
        return w

    def _share(self, weights: Any, count: int) -> float:
        """1/N of (R2)."""
        if self.reduction in ("sum", "none", None):
            return 1.0
        divisor = float(weights.sum()) if self.reduction == "mean_with_sample_weight" else count
        return 1.0 / divisor if divisor else 0.0

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes this loss again, keyed as in Keras."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Loss":
        """Make a loss from what `get_config` gave, ours or Keras'."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, reduction={self.reduction}>"


def _value_then_gradient(self: Loss, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> tuple[Any, Any]:
    masked = {} if mask is None else {"mask": mask}
    return (self(y_true, y_pred, sample_weight, **masked),
            self.gradient(y_true, y_pred, sample_weight=sample_weight, **masked))


class LossFunctionWrapper(Loss):
    """A loss from a function of (y_true, y_pred), whose attribute `gradient` is the function's derivative.

    Arguments:
        fn: gives a value for every sample; `fn.gradient(y_true, y_pred)` an array in the shape of y_pred.
        reduction, name, dtype: as for `Loss`.
        kwargs: passed to both.
    """

    def __init__(self, fn: Callable[..., Any], reduction: str | None = "sum_over_batch_size", name: str | None = None,
                 dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(getattr(fn, "__name__", None) if name is None else name, reduction, dtype)
        self.fn = function(self.described, "fn", fn)
        self.options = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred, **self.options)

    def call_gradient(self, y_true: Any, y_pred: Any) -> Any:
        if not hasattr(self.fn, "gradient"):
            return super().call_gradient(y_true, y_pred)
        return self.fn.gradient(y_true, y_pred, **self.options)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fn": serialize(self.fn), **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Loss":
        return cls(**{**config, "fn": serialization.deserialize_keras_object(config["fn"])})


def _nan_in(value: Any) -> bool:
    return value != value if isinstance(value, float) else bool((value != value).any())


def array_module_of(array: Any) -> ModuleType:
    """`numpy`, or `cupy` for an array of that kind."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    import cupy
    return cupy


def _predictions(y_pred: Any, loss: Loss) -> Any:
    """y_pred as an array of the dtype to compute in."""
    p = as_numbers(y_pred, loss, "y_pred")
    return at_least_floatx(p) if loss.dtype is None else p.astype(loss.dtype, copy=False)


def at_least_floatx(array: Any) -> Any:
    """The array to compute with: half precision, integers and truth values as `floatx`, where they would overflow or wrap."""
    if array.dtype.kind == "f" and array.dtype.itemsize >= 4:
        return array
    return array.astype(config.floatx())


def same_rank(t: Any, p: Any) -> tuple[Any, Any]:
    """As Keras: where one has a last axis of length 1 more, give it to the other (of rank 1) or take it away."""
    if t.ndim == p.ndim:
        return t, p
    if t.ndim == p.ndim + 1 and t.shape[-1] == 1:
        return (t, p[:, None]) if p.ndim == 1 else (t[..., 0], p)
    if p.ndim == t.ndim + 1 and p.shape[-1] == 1:
        return (t[:, None], p) if t.ndim == 1 else (t, p[..., 0])
    return t, p


class _Elementwise(Loss):
    """A loss whose targets have the shape of the predictions."""

    hint = ""

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        t, p = super().prepare(y_true, y_pred)
        if t.shape != p.shape:
            raise ValueError(f"{self.described}: expected y_true in the shape of y_pred {np.shape(y_pred)}, "
                             f"got {np.shape(y_true)}{self.hint}")
        if not p.ndim:
            raise ValueError(f"{self.described}: expected y_pred with at least one axis, got a single number")
        return t, p


class _CrossEntropy(_Elementwise):
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

    def check_axis(self, p: Any) -> None:
        if not -p.ndim <= self.axis < p.ndim:
            raise ValueError(f"{self.described}: expected y_pred to have axis {self.axis}, got shape {p.shape}")

    def check_targets(self, t: Any) -> None:
        if (t != t).any():
            raise ValueError(f"{self.described}: expected targets without NaN, got {int((t != t).sum())} NaN in {t.size}")

    def along(self, dvalues: Any) -> Any:
        """dL/dv with the axis that the values no longer have."""
        return dvalues if isinstance(dvalues, float) else array_module_of(dvalues).expand_dims(dvalues, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits, "label_smoothing": self.label_smoothing,
                "axis": self.axis}


def _clipped(p: Any) -> Any:
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


def _mean(terms: Any, axis: int) -> Any:
    """The mean over one axis."""
    count = terms.shape[axis]
    return terms.squeeze(axis) if count == 1 else terms.sum(axis=axis) / count


class MeanSquaredError(_Elementwise):
    r"""Mean of the squared errors over the last axis, D long.

        v_i = \frac1D \sum_d (p_{id} - t_{id})^2                                    (1)
        dp_{id} = dv_i \frac2D (p_{id} - t_{id})                                    (2)

    Arguments and errors: see `Loss`.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_squared_error",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        error = p - t
        return _mean(error * error, -1), error                                      # (1)

    def backward(self, dvalues: Any, error: Any) -> Any:
        dvalues = dvalues if isinstance(dvalues, float) else dvalues[..., None]
        error *= dvalues * (2 / error.shape[-1])                                    # (2), from (1)
        return error


class MeanAbsoluteError(_Elementwise):
    r"""Mean of the absolute errors over the last axis, D long.

        v_i = \frac1D \sum_d |p_{id} - t_{id}|                                      (1)
        dp_{id} = dv_i \frac1D \operatorname{sign}(p_{id} - t_{id})                 (2)

    At p = t, a kink, (2) is 0, as in PyTorch (Keras on JAX takes -1/D).

    Arguments and errors: see `Loss`.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_absolute_error",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        error = p - t
        return _mean(abs(error), -1), error                                         # (1)

    def backward(self, dvalues: Any, error: Any) -> Any:
        dvalues = dvalues if isinstance(dvalues, float) else dvalues[..., None]
        sign = array_module_of(error).sign(error, out=error)
        sign *= dvalues * (1 / error.shape[-1])                                     # (2), from (1)
        return sign


class BinaryCrossentropy(_CrossEntropy):
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
        xp, q = array_module_of(p), _clipped(p)                                     # (1)
        one_less_q = 1 - q
        terms = xp.log(q)
        terms *= t
        rest = xp.log(one_less_q)
        rest *= 1 - t
        terms += rest
        return -_mean(terms, self.axis), (t, p, q, one_less_q)                      # (2)

    def _from_logits(self, t: Any, x: Any) -> tuple[Any, Any]:
        xp = array_module_of(x)
        e = xp.abs(x)
        xp.exp(xp.negative(e, out=e), out=e)                                        # e^{-|x|}
        terms = xp.maximum(x, 0)
        with np.errstate(invalid="ignore"):
            terms -= x * t
        terms += xp.log1p(e)
        return _mean(terms, self.axis), (t, x, e, None)                             # (4)

    def at_the_limit(self, t: Any, p: Any) -> tuple[Any, Any]:
        values, record = self.forward(t, p)
        if not self.from_logits:
            return values, record
        t, x, e, _ = record
        xp = array_module_of(x)
        with np.errstate(invalid="ignore"):
            terms = _times(xp.where(x >= 0, 1 - t, t), xp.abs(x)) + xp.log1p(e)     # max(x, 0) - x t in one product
        return _mean(terms, self.axis), record                                      # (4)

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


class CategoricalCrossentropy(_CrossEntropy):
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
        q = _clipped(o)                                                             # (2)
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


class SparseCategoricalCrossentropy(_CrossEntropy):
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
        p = _predictions(y_pred, self)
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

    def valid(self, t: Any) -> Any:
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
            q = _clipped(o)                                                         # (2)
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


def _values_of(loss: type[Loss]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function the derivative of its values, taken from the class of that loss."""
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def gradient(y_true: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
            options = inspect.signature(function).bind(y_true, y_pred, *args, **kwargs).arguments
            del options["y_true"], options["y_pred"]
            return loss(reduction=None, **options).gradient(y_true, y_pred)
        setattr(function, "gradient", gradient)     # noqa: B010
        setattr(function, "loss", loss)             # noqa: B010
        return function
    return decorate


@_values_of(MeanSquaredError)
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """`MeanSquaredError` (1)."""
    return MeanSquaredError().call(y_true, y_pred)


@_values_of(MeanAbsoluteError)
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """`MeanAbsoluteError` (1)."""
    return MeanAbsoluteError().call(y_true, y_pred)


@_values_of(BinaryCrossentropy)
def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0,
                        axis: int = -1) -> Any:
    """`BinaryCrossentropy` (2) or (4)."""
    return BinaryCrossentropy(from_logits, label_smoothing, axis).call(y_true, y_pred)


@_values_of(CategoricalCrossentropy)
def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0,
                             axis: int = -1) -> Any:
    """`CategoricalCrossentropy` (3) or (6)."""
    return CategoricalCrossentropy(from_logits, label_smoothing, axis).call(y_true, y_pred)


@_values_of(SparseCategoricalCrossentropy)
def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None,
                                    axis: int = -1) -> Any:
    """`SparseCategoricalCrossentropy` (3) or (5); 0 where the class is ignored."""
    return SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis).call(y_true, y_pred)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nblayers.losses' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]


@cache
def _objects() -> dict[str, Any]:
    """All losses by their names."""
    from nblayers.losses import CTC, CRFLoss, ctc
    return {**_OBJECTS, **names(CTC, CRFLoss, ctc)}


_OBJECTS = names(
    MeanSquaredError, MeanAbsoluteError, BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy,
    LossFunctionWrapper,
    mean_squared_error, mean_absolute_error, binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy,
    mse=mean_squared_error, mae=mean_absolute_error, bce=binary_crossentropy)


def get(identifier: Any) -> Loss | None:
    """A loss from its name ("mse", "binary_crossentropy"), a function, a configuration, a class, or itself; None from None.

    A function becomes a loss that is the mean of its values. (Keras gives the function back; its `compile` does the rest.)

    Raises:
        ValueError: no such loss.
        TypeError: something else.
    """
    found = lookup(identifier, _objects(), "loss")
    if found is None or isinstance(found, Loss):
        return found
    name = identifier if isinstance(identifier, str) else getattr(found, "__name__", None)
    return found.loss(name=name) if hasattr(found, "loss") else LossFunctionWrapper(found, name=name)


def serialize(loss: Any) -> dict[str, Any]:
    """The loss, or a function, as Keras' dictionary, from which `deserialize` makes it again."""
    return serialization.serialize(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Make a loss from {"class_name": …, "config": …}, or find a function.

    Raises:
        ValueError: no such loss.
    """
    return lookup(name, _objects(), "loss", custom_objects)
