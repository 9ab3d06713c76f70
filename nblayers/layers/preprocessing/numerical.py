"""Numbers to mean 0 and deviation 1 before a network sees them."""
import math
import warnings
from typing import Any

import numpy as np

from nblayers import config
from nblayers.arguments import axes, flag, optional
from nblayers.arrays import as_numbers, is_array
from nblayers.layers.base import Layer, Parameter, Record
from nblayers.layers.fixed import fixed
from nblayers.layers.ids import first_of
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.normalization.base import AxesView
from nblayers.layers.preprocessing.batches import batches_of


class Normalization(Layer):
    r"""Brings each feature to mean 0 and deviation 1: without it a feature in thousands drowns one in tenths.

        s_c = \max(\sqrt{v_c}, \epsilon)                    (1)    \epsilon = 10^{-7}
        y_{ic} = (x_{ic} - \mu_c) / s_c                     (2)
        x_{ic} = \mu_c + s_c\, y_{ic}                       (3)    with `invert`, of an input y

    `adapt` takes mu and v from data, a batch at a time; of n numbers seen before and m new ones:

        \delta = \bar x - \mu, \quad
            \mu \leftarrow \mu + \delta\, \tfrac{m}{n + m}  (4)
        v \leftarrow \tfrac{n}{n + m} v + \tfrac{m}{n + m} \bar v + \tfrac{n m}{(n + m)^2} \delta^2     (5)

    The document says that this scales to [0, 1]; it is a z-score. Input and output of any shape. Weights, which no optimizer
    changes: mean, variance and count, unless mean and variance were given. `count` is of the numbers in each mean (Keras
    leaves it 0).

    Arguments:
        axis: of the features, one or several: each index along them has a mean of its own. None for one mean of all. An input
            of one axis has no features: there take None.
        mean, variance: a number for all features, or an array over the axes; in place of `adapt`.
        invert: whether (3) is computed.

    Raises:
        ValueError: one of mean and variance without the other, of different shapes, or too large for the axes; an axis that
            the input does not have, or of unknown size; a negative variance; a call before `adapt` (Keras returns the input
            as it is); data for `adapt` with a NaN or infinity in them, or of other features.

    Source: 001.10.Normalization; (4), (5): Chan, Golub and LeVeque 1979.
    """

    supports_masking = True
    input_spec = InputSpec()
    axis: Any = fixed()
    adapt_mean: Parameter | None = fixed()
    adapt_variance: Parameter | None = fixed()
    count: Parameter | None = fixed()

    class Cache(Record):
        s: np.ndarray                   # (C,), of (1)
        view: AxesView                  # the input as (A, C, B)

    def __init__(self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = optional(axes, self.described, "axis", axis)
        self.axis = () if given is None else (given,) if isinstance(given, int) else tuple(given)
        self.invert = flag(self.described, "invert", invert)
        self.adapt_mean = self.adapt_variance = self.count = None
        self.input_mean, self.input_variance = self._given(mean, variance)

    def _given(self, mean: Any, variance: Any) -> tuple[Any, Any]:
        """The mean and variance that were handed over, as lists or numbers, which a configuration can hold."""
        who = self.described
        if (mean is None) != (variance is None):
            raise ValueError(f"{who}: expected both mean and variance, got mean={mean!r:.60} and variance={variance!r:.60}")
        if mean is None:
            return None, None
        mean, variance = (np.asarray(as_numbers(value, who, name)) for name, value in (("mean", mean), ("variance", variance)))
        if mean.shape != variance.shape:
            raise ValueError(f"{who}: expected mean and variance of one shape, got {mean.shape} and {variance.shape}")
        if mean.ndim > len(self.axis):
            raise ValueError(f"{who}: expected a mean of at most {len(self.axis)} axes, as many as axis={self.axis} has, got "
                             f"shape {mean.shape}")
        if not (variance >= 0).all() or not np.isfinite(mean).all():
            raise ValueError(f"{who}: expected finite means and variances of at least 0, got {mean.tolist()!r:.60} and "
                             f"{variance.tolist()!r:.60}")
        return mean.tolist(), variance.tolist()

    def build(self, input_shape: Any) -> None:
        self._kept = kept = self._kept_axes(input_shape)
        self._sizes = sizes = tuple(input_shape[axis] for axis in kept)
        self._broadcast = tuple(size if axis in kept else 1 for axis, size in enumerate(input_shape))
        if any(not size for size in sizes):
            raise ValueError(f"{self.described}: expected an input whose size on axis {', '.join(map(str, kept))} is known and "
                             f"above 0, got shape {tuple(input_shape)}")
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(sizes, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(sizes, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", dtype="int64", trainable=False, name="count")
        else:
            self._spread_given(self.input_mean)                                     # does it fit?
        self.input_spec = InputSpec(ndim=len(input_shape), axes=dict(zip(kept, sizes, strict=True)))

    def _kept_axes(self, shape: Any) -> list[int]:
        ndim = len(shape)
        if any(not -ndim <= axis < ndim for axis in self.axis):
            raise ValueError(f"{self.described}: expected axis to name axes of the input, got {self.axis} for shape "
                             f"{tuple(shape)}")
        kept = sorted(axis % ndim for axis in self.axis)
        if len(set(kept)) < len(kept):
            raise ValueError(f"{self.described}: expected every axis once, got {self.axis} for shape {tuple(shape)}")
        return kept

    def _spread_given(self, values: Any) -> Any:
        """A mean or variance that was handed over, over the axes that are kept."""
        try:
            return np.broadcast_to(np.asarray(values, self.dtype), self._sizes).copy()
        except ValueError:
            raise ValueError(f"{self.described}: expected a mean that spreads over shape {self._sizes}, the axes {self._kept}, "
                             f"got shape {np.shape(values)}") from None

    def adapt(self, data: Any) -> None:
        """Take mean and variance from data; those of an earlier `adapt` are forgotten.

        Arguments:
            data: an array (one that is memory-mapped is read in parts), or what yields batches: a list of arrays, a generator,
                a Sequence. Of a batch (x, y) or (x, y, weights) x counts.

        Raises:
            ValueError: no data, a NaN or an infinity in them, or other features than the layer was built for; mean and
                variance were given.
        """
        if self.input_mean is not None:
            raise ValueError(f"{self.described}: adapt expected a layer without mean and variance, got one that was given them")
        count, mean, variance = 0, np.float64(0), np.float64(0)
        if is_array(data):
            self._ensure_built(np.shape(data))
        for batch in batches_of(data, self.described, whole=self.built and 0 in self._kept):
            self._check_batch(batch)
            axes = tuple(axis for axis in range(batch.ndim) if axis not in self._kept)
            m = math.prod(batch.shape[axis] for axis in axes)
            if m:
                count, mean, variance = _with(count, mean, variance, m, *_moments(batch, axes))
        if not count:
            raise ValueError(f"{self.described}: adapt expected at least one sample, got none")
        self._take(count, mean, variance)

    def _check_batch(self, batch: Any) -> None:
        """Build the layer for it, or see that it fits what the layer was built for; that all of it are numbers."""
        self._ensure_built(batch.shape)
        if 0 not in batch.shape:
            self._check_inputs(batch)
        if batch.dtype.kind == "f" and not np.isfinite(batch).all():
            hint = ("fill in what is missing, or give mean=np.nanmean(x, axis=0) and variance=np.nanvar(x, axis=0)"
                    if np.isnan(batch).any() else "it has no mean")
            wrong = first_of(batch, ~np.isfinite(batch))
            raise ValueError(f"{self.described}: adapt expected finite numbers, got {wrong}: {hint}")

    def _take(self, count: int, mean: Any, variance: Any) -> None:
        limit = np.finfo(self.dtype).max
        if (variance > limit).any() or (abs(mean) > limit).any():
            raise ValueError(f"{self.described}: adapt expected numbers whose variance fits in {self.dtype}, got a mean of "
                             f"{np.max(abs(mean)):.3g} and a variance of {np.max(variance):.3g}")
        if count == 1 and self._kept == [0] and len(self._broadcast) == 1:
            warnings.warn(f"{self.described}: adapt was given one axis, so that each number is its own mean: axis=None takes "
                          "one mean of all", stacklevel=3)
        assert self.adapt_mean is not None and self.adapt_variance is not None and self.count is not None
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)
        self.count.assign(min(count, np.iinfo(np.int64).max))

    @property
    def mean(self) -> Any:
        """mu, in a shape that spreads over the input."""
        return self._statistics()[0].reshape(self._broadcast)

    @property
    def variance(self) -> Any:
        """v, in a shape that spreads over the input."""
        return self._statistics()[1].reshape(self._broadcast)

    def _statistics(self) -> tuple[Any, Any]:
        """mu and v over the axes that are kept."""
        if self.input_mean is not None:
            mean, variance = (self.xp.asarray(self._spread_given(given)) for given in (self.input_mean, self.input_variance))
            return mean, variance
        assert self.adapt_mean is not None and self.adapt_variance is not None and self.count is not None
        mean, variance = self.adapt_mean.value, self.adapt_variance.value
        if not int(self.count.value) and not mean.any() and (variance == 1).all():
            raise ValueError(f"{self.described}: expected a mean and a variance before the first call: adapt the layer to "
                             "data, or give mean and variance")
        return mean, variance

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        mean, variance = (values.reshape(-1) for values in self._statistics())
        s = self.xp.maximum(self.xp.sqrt(variance), self.xp.asarray(config.epsilon(), self.dtype))      # (1)
        self.cache = self.Cache(s, self._view(inputs.shape))
        zeros, ones = self.xp.zeros_like(s), self.xp.ones_like(s)
        if self.invert:
            return self._scaled(inputs, zeros, s, ones, mean)                       # (3)
        return self._scaled(inputs, mean, 1 / s, ones, zeros)                       # (2)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        if not self.input_gradient:
            return None
        s = self.cache.s
        zeros, ones = self.xp.zeros_like(s), self.xp.ones_like(s)
        return self._scaled(dy, zeros, s if self.invert else 1 / s, ones, zeros)    # from (3): s dy; from (2): dy / s

    def _view(self, shape: tuple[int, ...]) -> AxesView:
        if self._kept:
            return AxesView(self.xp, shape, self._kept)
        return AxesView(self.xp, (1, *shape), [0])                                  # one mean of all

    def _scaled(self, x: Any, mean: Any, scale: Any, ones: Any, shift: Any) -> Any:
        """(x - mean) scale + shift."""
        view = self.cache.view
        seen = view.of(x)
        y = self.xp.empty_like(seen)
        self.kernels.normalization.batch_norm(seen, mean, scale, ones, shift, y)
        return view.back(y).reshape(x.shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis, "invert": self.invert, "mean": self.input_mean,
                                       "variance": self.input_variance}


def _moments(batch: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Mean and variance over some axes, in double precision."""
    numbers = batch.astype(np.float64, copy=False)
    mean = numbers.mean(axis=axes)
    with np.errstate(over="ignore"):                                # `_take` refuses what is infinite
        variance = np.square(numbers - np.expand_dims(mean, axes)).mean(axis=axes)
    return mean, variance


def _with(n: int, mean: Any, variance: Any, m: int, new_mean: Any, new_variance: Any) -> tuple[int, Any, Any]:
    """The statistics of n numbers and of m more."""
    old, new, delta = n / (n + m), m / (n + m), new_mean - mean
    mean = mean + delta * new                                                       # (4)
    variance = variance * old + new_variance * new + np.square(delta) * old * new   # (5)
    return n + m, mean, variance


__all__ = ["Normalization"]
