"""Batch normalization."""
from typing import Any

import numpy as np

import kernels
from nblayers import initializers, sharing
from nblayers.arguments import flag, integer, number
from nblayers.devices import to_numpy
from nblayers.layers.base import Parameter, Record
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.normalization.base import Normalizer, ScaledNormalizer, around


class BatchNormalizer(Normalizer):
    """The computation of batch normalization on an axis `axis`; equations in `BatchNormalization`.

    A subclass says which statistics count (`_uses_batch`, `_moving`) and what becomes of a batch's (`_learn`), and whether,
    where several processes share a batch, they are those of its part or of the whole batch (`synchronized`).
    """

    axis: int
    synchronized = False

    class Cache(Record):
        x: np.ndarray               # (A, C, B)
        m: np.ndarray               # (A, 1, 1) or (A, C, B), bool; of size 0 without a mask
        mean: np.ndarray            # (C,)
        rstd: np.ndarray            # (C,)
        n: np.ndarray | None        # (C,): how many numbers each mean is of; None where the moving statistics were used

    def _uses_batch(self, training: bool) -> bool:
        raise NotImplementedError

    def _moving(self) -> tuple[Any, Any]:
        """Mean and variance that were collected in training."""
        raise NotImplementedError

    def _learn(self, mean: Any, variance: Any, n: int) -> None:
        """Collect the statistics of a batch, of n numbers for each channel."""
        raise NotImplementedError

    def _normalize(self, inputs: Any, training: bool, mask: Any) -> Any:
        x, y = inputs.reshape(around(inputs.shape, self._normalized_axes(self.axis, inputs.shape))), self.xp.empty_like(inputs)
        C, m, n = x.shape[1], self._flags(mask, inputs.shape), None
        if self._uses_batch(training):
            mean, variance, n = (self.xp.empty(C, self.dtype) for _ in range(3))
            self.kernels.normalization.batch_statistics(x, m, mean, variance, n)            # (1), (2)
            if self.synchronized and (part := sharing.part()) is not None:
                mean, variance, n = (self.xp.asarray(each, self.dtype) for each in _of_all(part, mean, variance, n, m.size))
            self._learn(mean, variance, x.size // C)                                        # (6), (7)
        else:
            mean, variance = (values.copy() for values in self._moving())
        rstd = 1 / self.xp.sqrt(variance + self.epsilon)                                    # (3)
        gamma, beta = self._scale_and_shift(C)
        self.kernels.normalization.batch_norm(x, mean, rstd, gamma, beta, y.reshape(x.shape))       # (4), (5)
        self.cache = self.Cache(x, m, mean, rstd, n)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        cache, dx = self.cache, self.xp.empty_like(dy)
        x, C, dy = cache.x, len(cache.mean), dy.reshape(cache.x.shape)
        gamma, _ = self._scale_and_shift(C)
        dgamma, dbeta = self._sums(cache, dy)                                               # from (5)
        if not self.input_gradient:
            return None
        if cache.n is None:
            zeros = self.xp.zeros(C, self.dtype)
            self.kernels.normalization.batch_norm(                                          # from (5), (4): dx = gamma r dy
                dy, zeros, cache.rstd, gamma, zeros, dx.reshape(x.shape))
        else:
            if self.synchronized and (part := sharing.part()) is not None:
                dgamma, dbeta = self._sums_of_all(part, dgamma, dbeta)
            self.kernels.normalization.batch_norm_backward(                                 # from (5), (4), (3), (2), (1)
                dy, x, cache.m, cache.mean, cache.rstd, gamma, cache.n, dgamma, dbeta, dx.reshape(x.shape))
        return dx

    def _sums(self, cache: Any, dy: Any) -> tuple[Any, Any]:
        """dL/dgamma and dL/dbeta of this call; the weights collect them."""
        sums: tuple[Any, Any] = self.xp.empty_like(cache.mean), self.xp.empty_like(cache.mean)
        if cache.n is None and self._weights() == (None, None):
            return sums
        self.kernels.normalization.batch_norm_sums(dy, cache.x, cache.mean, cache.rstd, *sums)
        for weight, total in zip(self._weights(), sums, strict=True):
            if weight is not None:
                weight.grad += self._share(total)
        return sums

    def _sums_of_all(self, part: sharing.Part, *sums: Any) -> list[Any]:
        """The sums over all processes, for the gradient of this part's mean loss: the whole loss has part.weight of it."""
        own = np.array([to_numpy(each) for each in sums], float) * part.weight if part.count else np.zeros((2, len(sums[0])))
        return [self.xp.asarray(each, self.dtype) for each in part.add(own) / (part.weight or 1)]

    def _share(self, total: Any) -> Any:
        """A weight's gradient, of the sums of all channels."""
        return total

    def _flags(self, mask: Any, shape: tuple[int, ...]) -> Any:
        """The mask as the kernels take it."""
        if mask is None:
            return self.xp.empty((0, 1, 1), bool)
        if mask.ndim != len(shape) - 1 or any(n not in (1, size) for n, size in zip(mask.shape, shape, strict=False)):
            raise ValueError(f"{self.described}: expected a mask of shape {shape[:-1]}, got {mask.shape}")
        axis = self.axis % len(shape)
        if axis == len(shape) - 1:
            return self.xp.ascontiguousarray(self.xp.broadcast_to(mask, shape[:-1])).reshape(-1, 1, 1)
        return self.xp.ascontiguousarray(self.xp.broadcast_to(mask[..., None], shape)).reshape(around(shape, [axis]))


def _of_all(part: sharing.Part, mean: Any, variance: Any, n: Any, masked: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""(1) and (2) over the parts of all processes, from each part's own mean, variance and count n, a mask's EPSILON in it.

    With d = \mu_r - \mu and the n_r numbers of part r, \sum_r \sum_i (x_i - \mu)^2 = \sum_r (n_r v_r + n_r d^2); a
    mask's EPSILON in the divisor leaves 2 d EPSILON \mu_r more.
    """
    epsilon = kernels.get("reference").normalization.EPSILON if masked else 0.0
    mean, variance, n = (to_numpy(each).astype(float) for each in (mean, variance, n))
    own = np.array([n - epsilon, n * mean]) if part.count else np.zeros((2, len(n)))
    counts, sums = part.add(own)
    n_all = counts + epsilon
    mean_all = sums / n_all                                                                 # (1)
    d = mean - mean_all
    squares = n * variance + (n - epsilon) * d**2 + 2 * d * epsilon * mean
    return mean_all, part.add(squares if part.count else np.zeros(len(n))) / n_all, n_all   # (2)


class BatchNormalization(BatchNormalizer, ScaledNormalizer):
    r"""Brings every channel to mean 0 and variance 1 over the batch, then scales and shifts it: deep networks learn faster.

        \mu_c = \frac{1}{n} \sum_i x_{ic}                           (1)    i: all samples and places of the batch
        v_c = \frac{1}{n} \sum_i (x_{ic} - \mu_c)^2                 (2)
        r_c = 1 / \sqrt{v_c + \epsilon}                             (3)
        \hat x_{ic} = (x_{ic} - \mu_c)\, r_c                        (4)
        y_{ic} = \gamma_c \hat x_{ic} + \beta_c                     (5)
        \bar\mu \leftarrow a \bar\mu + (1 - a) \mu                  (6)    a is the momentum
        \bar v \leftarrow a \bar v + (1 - a) v                      (7)

    That is in training. At other times, and wherever `trainable` is False, the moving statistics of (6) and (7) take the place
    of mu and v, and the layer is a scale and a shift. The document gives (5) alone and leaves out the moving statistics. With
    a mask, (1) and (2) are over the numbers that it leaves, divided by their count + 1e-7; all numbers are normalized.

    Input and output of any shape with an axis of C channels. Weights: gamma, beta, then, which no optimizer changes,
    moving_mean and moving_variance, all (C,).

    Arguments:
        axis: of the channels: -1, or 1 after layers with data_format="channels_first".
        momentum: a, from 0 to 1.
        epsilon: added to the variance.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: what the weights start from.
        beta_regularizer, gamma_regularizer: penalties on beta and gamma.
        beta_constraint, gamma_constraint: applied to them after each optimizer step.
        synchronized: where several processes share a batch (`fit(..., distribute=True)`), (1) and (2) are over the whole of it,
            as one process would compute them; else each normalizes its part by itself.

    `forward(inputs, training=False, mask=None)`: the mask has the input's shape but for the last axis, or 1 on some of these.

    Raises:
        ValueError: momentum outside [0, 1], a negative epsilon; an axis that the input does not have, or of unknown size; an
            input of another number of axes or channels than the layer was built for; a mask of another shape;
            renorm=True (batch renormalization is not supported).

    Source: 001.11.BatchNormalization; Ioffe and Szegedy 2015, "Batch normalization".
    """

    axis: int = fixed()
    moving_mean: Parameter = fixed()
    moving_variance: Parameter = fixed()
    moving_mean_initializer: Any
    moving_variance_initializer: Any

    def __init__(self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
                 beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", moving_mean_initializer: Any = "zeros",
                 moving_variance_initializer: Any = "ones", beta_regularizer: Any = None, gamma_regularizer: Any = None,
                 beta_constraint: Any = None, gamma_constraint: Any = None, renorm: bool = False, renorm_clipping: Any = None,
                 renorm_momentum: float = 0.99, synchronized: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.synchronized = flag(self.described, "synchronized", synchronized)
        if flag(self.described, "renorm", renorm):
            raise ValueError(f"{self.described}: expected renorm=False, got True: batch renormalization is not supported")
        self.axis = integer(self.described, "axis", axis)
        self.momentum = number(self.described, "momentum", momentum, 0, 1)
        self._keep(epsilon, center, scale, beta_initializer=beta_initializer, gamma_initializer=gamma_initializer,
                   beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer, beta_constraint=beta_constraint,
                   gamma_constraint=gamma_constraint, moving_mean_initializer=moving_mean_initializer,
                   moving_variance_initializer=moving_variance_initializer)
        self.renorm_clipping, self.renorm_momentum = renorm_clipping, renorm_momentum       # only for the configuration

    def build(self, input_shape: Any) -> None:
        sizes = self._known_sizes(self._normalized_axes(self.axis, input_shape), input_shape)
        self.gamma = self._make("gamma", sizes) if self.scale else None
        self.beta = self._make("beta", sizes) if self.center else None
        self.moving_mean = self._make_moving("moving_mean", sizes)
        self.moving_variance = self._make_moving("moving_variance", sizes)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: sizes[0]})

    def _make_moving(self, name: str, shape: tuple[int, ...]) -> Parameter:
        return self.add_weight(shape, getattr(self, f"{name}_initializer"), trainable=False, name=name)

    def forward(self, inputs: np.ndarray, training: bool = False, mask: np.ndarray | None = None) -> np.ndarray:
        return self._normalize(inputs, training, mask)

    def _uses_batch(self, training: bool) -> bool:
        return bool(training) and self.trainable

    def _moving(self) -> tuple[Any, Any]:
        return self.moving_mean.value, self.moving_variance.value

    def _learn(self, mean: Any, variance: Any, n: int) -> None:
        a = self.momentum
        self.moving_mean.value = self.moving_mean.value * a + mean * (1 - a)                # (6)
        self.moving_variance.value = self.moving_variance.value * a + variance * (1 - a)    # (7)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._normalized_axes(self.axis, input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "axis": self.axis, "momentum": self.momentum, "synchronized": self.synchronized, "renorm": False,
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "renorm_clipping": self.renorm_clipping, "renorm_momentum": self.renorm_momentum}


__all__ = ["BatchNormalization", "BatchNormalizer"]
