"""What all losses have in common: weights, masks, reductions, and losses made of a function."""
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from nblayers import config, serialization, sharing
from nblayers.arguments import choice, function, text
from nblayers.arrays import as_numbers
from nblayers.naming import NamesItself

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
        return self.at_the_limit(t, p)[0] if has_limits and nan_in(values) else values

    def _evaluate(self, t: Any, p: Any, sample_weight: Any, mask: Any) -> tuple[Any, Any, Any]:
        """The loss, dL/dv, and what `backward` needs."""
        values, record = self.forward(t, p)
        value, dvalues = self.reduce(t, values, sample_weight, mask)
        if nan_in(value):
            values, record = self.at_the_limit(t, p)
            value, dvalues = self.reduce(t, values, sample_weight, mask)
        return value, dvalues, record

    def at_the_limit(self, t: Any, p: Any) -> tuple[Any, Any]:
        """`forward` where that gave NaN: predictions may be infinite, and the values have a limit."""
        return self.forward(t, p)

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Targets and predictions as arrays of one dtype and rank."""
        p = predictions(y_pred, self)
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
        """(R1) to (R3): the loss, and dL/dv, a number where it is the same for all values.

        Where processes share the batch, N is of all its samples: the loss is then this process's summand of the whole one, and
        dL/dv times `sharing.gradient_factor()`.
        """
        if not values.size:
            raise ValueError(f"{self.described}: expected at least one sample, got values of shape {values.shape}")
        valid = self.valid(t, values)
        if sample_weight is None and mask is None and valid is None:
            means = self.reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight")
            share = 1.0 / sharing.counted("values", values.size)[0] if means else 1.0
            value = values if self.reduction in (None, "none") else float(values.sum()) * share             # (R1)
            dvalues: Any = share
        else:
            weights = self._weights(values, sample_weight, mask, valid)
            c = weights * self._share(weights, values.size)                                                     # (R2)
            dvalues = array_module_of(values).broadcast_to(c, values.shape)                                     # (R3)
            value = values * dvalues
            if self.reduction not in (None, "none"):
                value = float(value.sum())                                                                  # (R1)
        if nan_in(value):
            self.check_targets(t)
        factor = sharing.gradient_factor()
        return value, dvalues if factor == 1.0 else dvalues * factor

    @property
    def mixes_samples(self) -> bool:
        """Whether a sample's value depends on other samples of the batch."""
        return False

    def valid(self, t: Any, values: Any = None) -> Any:
        """Where the values count, in their shape; None: everywhere."""
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
            size, valid_ones = sharing.counted("mask", mask.size, float(mask.sum()))
            mask = mask * (size / max(valid_ones, 1.0))                     # so that N counts the valid values alone
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
        total = float(weights.sum()) if self.reduction == "mean_with_sample_weight" else count
        divisor, = sharing.counted("divisor", total)
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
        return {**super().get_config(), "fn": serialization.serialize(self.fn), **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Loss":
        return cls(**{**config, "fn": serialization.deserialize_keras_object(config["fn"])})


def nan_in(value: Any) -> bool:
    return value != value if isinstance(value, float) else bool((value != value).any())


def array_module_of(array: Any) -> ModuleType:
    """`numpy`, or `cupy` for an array of that kind."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    import cupy
    return cupy


def predictions(y_pred: Any, loss: Loss) -> Any:
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


class Elementwise(Loss):
    """A loss whose targets have the shape of the predictions.

    Attributes:
        hint: ends the message where they have not.
        axis: the axis that the values no longer have.
    """

    hint = ""
    axis: Any = -1

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        t, p = super().prepare(y_true, y_pred)
        if t.shape != p.shape:
            raise ValueError(f"{self.described}: expected y_true in the shape of y_pred {np.shape(y_pred)}, "
                             f"got {np.shape(y_true)}{self.hint}")
        if not p.ndim:
            raise ValueError(f"{self.described}: expected y_pred with at least one axis, got a single number")
        return t, p

    def check_axis(self, p: Any) -> None:
        """See that p has the axis `self.axis`.

        Raises:
            ValueError: it has not.
        """
        if not -p.ndim <= self.axis < p.ndim:
            raise ValueError(f"{self.described}: expected y_pred to have axis {self.axis}, got shape {p.shape}")

    def along(self, dvalues: Any) -> Any:
        """dL/dv with the axis that the values no longer have."""
        return dvalues if isinstance(dvalues, float) else array_module_of(dvalues).expand_dims(dvalues, self.axis)


def along_last(dvalues: Any) -> Any:
    """dL/dv with a last axis in the place of the one that the values no longer have."""
    return dvalues if isinstance(dvalues, float) else dvalues[..., None]


def mean_over(terms: Any, axis: int) -> Any:
    """The mean over one axis."""
    count = terms.shape[axis]
    return terms.squeeze(axis) if count == 1 else terms.sum(axis=axis) / count


def values_of(loss: type[Loss]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
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
