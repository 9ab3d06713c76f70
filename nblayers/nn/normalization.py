"""The normalization layers as PyTorch writes them; `nblayers.nn` has their names."""
from typing import Any

import numpy as np

from nblayers.arguments import flag, integer, number, optional
from nblayers.layers.base import Layer, Parameter, positive
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.normalization.base import Normalizer
from nblayers.layers.normalization.batch import BatchNormalizer
from nblayers.layers.normalization.group import GroupNormalizer
from nblayers.layers.normalization.layer import LayerNormalizer
from nblayers.layers.normalization.rms import RMSNormalizer
from nblayers.nn.module import LibraryModule


class TorchNormalizer(Normalizer, LibraryModule):
    """What all have: a weight and a bias, ones and zeros at first, made at once."""

    weight: Parameter | None = fixed()
    bias: Parameter | None = fixed()

    @property
    def eps(self) -> float:
        return self.epsilon

    def _make_weights(self, shape: tuple[int, ...], weight: bool, bias: bool) -> None:
        self.weight = self.add_weight(shape, "ones", name="weight") if weight else None
        self.bias = self.add_weight(shape, "zeros", name="bias") if bias else None

    def _weights(self) -> tuple[Parameter | None, Parameter | None]:
        return self.weight, self.bias


class TorchBatchNormalization(BatchNormalizer, TorchNormalizer):
    r"""`layers.BatchNormalization` with PyTorch's arguments, of an input (batch, num_features, …).

        running mean \leftarrow (1 - a) running mean + a \mu                            (1)    a is the momentum
        running variance \leftarrow (1 - a) running variance + a \frac{n}{n - 1} v      (2)    n numbers of each channel

    The momentum is the part of the new, 0.1, where Keras' is that of the old, and (2) has the unbiased variance, where mu and
    v of the layer itself are biased; epsilon is 1e-5. Weights: weight, bias, running_mean, running_var, (num_features,), and
    num_batches_tracked, an integer, so that `set_weights` takes the values of PyTorch's `state_dict`.

    Arguments:
        num_features: channels.
        eps: added to the variance.
        momentum: a, from 0 to 1; None for the mean over all batches, a = 1 / their number.
        affine: whether there are a weight and, with `bias`, a bias.
        bias: see there.
        track_running_stats: False: no running statistics, the batch's own count at all times.

    Raises:
        ValueError: num_features is not a positive integer; a negative eps, momentum outside [0, 1]; an input of another number
            of axes or features; a single number for each feature where the batch's own
            statistics count.

    Source: torch.nn.BatchNorm1d, BatchNorm2d, BatchNorm3d.
    """

    axis = 1
    ndims: tuple[int, ...] = ()
    optional_state = ("num_batches_tracked",)       # which older files lack
    num_features: int = fixed()
    track_running_stats: bool = fixed()
    affine: bool = fixed()
    running_mean: Parameter = fixed()
    running_var: Parameter = fixed()
    num_batches_tracked: Parameter = fixed()

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, *, bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_features = positive(self, "num_features", num_features)
        self.epsilon = number(self.described, "eps", eps, 0)
        self.momentum = optional(number, self.described, "momentum", momentum, 0, 1)
        self.affine = flag(self.described, "affine", affine)
        self.track_running_stats = flag(self.described, "track_running_stats", track_running_stats)
        self.with_bias = flag(self.described, "bias", bias)
        self._make_weights((self.num_features,), self.affine, self.affine and self.with_bias)
        if self.track_running_stats:
            self.running_mean = self.add_weight((self.num_features,), "zeros", trainable=False, name="running_mean")
            self.running_var = self.add_weight((self.num_features,), "ones", trainable=False, name="running_var")
            self.num_batches_tracked = self.add_weight((), "zeros", "int64", trainable=False, name="num_batches_tracked")
        self.input_spec = InputSpec(min_ndim=min(self.ndims), max_ndim=max(self.ndims), axes={1: self.num_features})
        self.built = True

    def forward(self, inputs: np.ndarray, training: bool = False) -> np.ndarray:
        if self._uses_batch(training) and inputs.size == self.num_features:
            raise ValueError(f"{self.described}: expected more than one number for each feature, got an input of "
                             f"shape {inputs.shape}")
        return self._normalize(inputs, training, None)

    def _uses_batch(self, training: bool) -> bool:
        return bool(training) or not self.track_running_stats

    def _moving(self) -> tuple[Any, Any]:
        return self.running_mean.value, self.running_var.value

    def _learn(self, mean: Any, variance: Any, n: int) -> None:
        if not self.track_running_stats:
            return
        self.num_batches_tracked.value += 1
        a = 1 / int(self.num_batches_tracked.value) if self.momentum is None else self.momentum
        self._collect(mean, variance, n, a)

    def _collect(self, mean: Any, variance: Any, n: int, a: float) -> None:
        self.running_mean.value = self.running_mean.value * (1 - a) + mean * a                      # (1)
        self.running_var.value = self.running_var.value * (1 - a) + variance * (a * n / (n - 1))    # (2)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_features": self.num_features, "eps": self.epsilon, "momentum": self.momentum,
                                       "affine": self.affine, "track_running_stats": self.track_running_stats,
                                       "bias": self.with_bias}

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}")


class BatchNorm1d(TorchBatchNormalization):
    """`TorchBatchNormalization` of (batch, num_features) or (batch, num_features, steps)."""

    ndims = (2, 3)


class BatchNorm2d(TorchBatchNormalization):
    """`TorchBatchNormalization` of (batch, num_features, height, width)."""

    ndims = (4,)


class BatchNorm3d(TorchBatchNormalization):
    """`TorchBatchNormalization` of (batch, num_features, depth, height, width)."""

    ndims = (5,)


class LayerNorm(LayerNormalizer, TorchNormalizer):
    """`layers.LayerNormalization` of the last axes, with PyTorch's arguments and an epsilon of 1e-5.

    Arguments:
        normalized_shape: the sizes of the last axes, which are normalized together; one integer for the last.
        eps: added to the variance.
        elementwise_affine: whether there is a weight, and with `bias` a bias, both of normalized_shape.
        bias: see there.

    Raises:
        ValueError: normalized_shape is not made of positive integers; a negative eps; an input of other sizes on these axes.

    Source: torch.nn.LayerNorm.
    """

    normalized_shape: tuple[int, ...] = fixed()

    def __init__(self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalized_shape = _last_sizes(self, normalized_shape)
        self.epsilon = number(self.described, "eps", eps, 0)
        self.elementwise_affine = flag(self.described, "elementwise_affine", elementwise_affine)
        self.with_bias = flag(self.described, "bias", bias)
        self._make_weights(self.normalized_shape, self.elementwise_affine, self.elementwise_affine and self.with_bias)
        self.axis = list(range(-len(self.normalized_shape), 0))
        self.input_spec = InputSpec(axes=dict(zip(self.axis, self.normalized_shape, strict=True)))
        self.built = True

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"normalized_shape": self.normalized_shape, "eps": self.epsilon,
                                       "elementwise_affine": self.elementwise_affine, "bias": self.with_bias}

    def extra_repr(self) -> str:
        return (f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
                f"bias={self.bias is not None}")


class GroupNorm(GroupNormalizer, TorchNormalizer):
    """`layers.GroupNormalization` of (batch, num_channels, …), with PyTorch's arguments and an epsilon of 1e-5.

    Arguments:
        num_groups: how many groups; it divides num_channels.
        num_channels: channels.
        eps: added to the variance.
        affine: whether there are a weight and, with `bias`, a bias, (num_channels,).
        bias: see there.

    Raises:
        ValueError: num_groups or num_channels is not a positive integer, or the one does not divide the other; a negative eps;
            an input of fewer than two axes or of other channels.

    Source: torch.nn.GroupNorm.
    """

    axis = 1
    groups: int = fixed()
    num_channels: int = fixed()

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *,
                 bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = positive(self, "num_groups", num_groups)
        self.num_channels = positive(self, "num_channels", num_channels)
        self._check_groups(self.num_channels)
        self.epsilon = number(self.described, "eps", eps, 0)
        self.affine = flag(self.described, "affine", affine)
        self.with_bias = flag(self.described, "bias", bias)
        self._make_weights((self.num_channels,), self.affine, self.affine and self.with_bias)
        self.input_spec = InputSpec(min_ndim=2, axes={1: self.num_channels})
        self.built = True

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_groups": self.groups, "num_channels": self.num_channels, "eps": self.epsilon,
                                       "affine": self.affine, "bias": self.with_bias}

    @property
    def num_groups(self) -> int:
        return self.groups

    def extra_repr(self) -> str:
        return f"{self.groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class RMSNorm(RMSNormalizer, TorchNormalizer):
    """`layers.RMSNormalization` of the last axes, with PyTorch's arguments.

    Arguments:
        normalized_shape: the sizes of the last axes, which are normalized together; one integer for the last.
        eps: added to the mean square; by default the dtype's, 1.2e-7 in float32.
        elementwise_affine: whether there is a weight, of normalized_shape.

    Raises:
        ValueError: normalized_shape is not made of positive integers; a negative eps; an input of other sizes on these axes.

    Source: torch.nn.RMSNorm.
    """

    normalized_shape: tuple[int, ...] = fixed()

    def __init__(self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalized_shape = _last_sizes(self, normalized_shape)
        self._eps = optional(number, self.described, "eps", eps, 0)
        self.elementwise_affine = flag(self.described, "elementwise_affine", elementwise_affine)
        self._make_weights(self.normalized_shape, self.elementwise_affine, False)
        self.axis = list(range(-len(self.normalized_shape), 0))
        self.input_spec = InputSpec(axes=dict(zip(self.axis, self.normalized_shape, strict=True)))
        self.built = True

    @property
    def eps(self) -> float | None:      # type: ignore[override]
        return self._eps

    @property
    def epsilon(self) -> float:         # type: ignore[override]
        return float(np.finfo(self.dtype).eps) if self._eps is None else self._eps

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"normalized_shape": self.normalized_shape, "eps": self.eps,
                                       "elementwise_affine": self.elementwise_affine}

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class TorchInstanceNormalization(TorchBatchNormalization):
    r"""Brings each channel of each sample to mean 0 and variance 1: batch normalization of every sample for itself.

    Input (batch, num_features, …) or (num_features, …). With track_running_stats the means over the batch of (1) and (2) of
    `TorchBatchNormalization` are collected in training, and count at other times.

    Arguments: as in `TorchBatchNormalization`, affine and track_running_stats False by default; with momentum=None the running
    statistics stay as they are, and num_batches_tracked always does.

    Raises:
        ValueError: as there; one place alone where a sample's own statistics count.

    Source: torch.nn.InstanceNorm1d, InstanceNorm2d, InstanceNorm3d; Ulyanov et al. 2016, "Instance normalization".
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
                 track_running_stats: bool = False, **kwargs: Any) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, **kwargs)
        rank = max(self.ndims)
        self.input_spec = InputSpec(min_ndim=rank - 1, max_ndim=rank, axes={1 - rank: self.num_features})

    def forward(self, inputs: np.ndarray, training: bool = False) -> np.ndarray:
        x = inputs if inputs.ndim == max(self.ndims) else inputs[None]
        if not self._uses_batch(training):
            return self._normalize(x, training, None).reshape(inputs.shape)
        N, C, *places = x.shape
        if x.size == N * C:
            raise ValueError(f"{self.described}: expected more than one place for each channel, got an input of shape "
                             f"{inputs.shape}")
        return self._normalize(x.reshape(1, N * C, *places), training, None).reshape(inputs.shape)

    def _learn(self, mean: Any, variance: Any, n: int) -> None:
        if self.track_running_stats and self.momentum is not None:
            mean, variance = (each.reshape(-1, self.num_features).mean(axis=0) for each in (mean, variance))
            self._collect(mean, variance, n, self.momentum)

    def _scale_and_shift(self, size: int) -> tuple[Any, Any]:
        gamma, beta = super()._scale_and_shift(self.num_features)
        count = size // self.num_features
        return self.xp.tile(gamma, count), self.xp.tile(beta, count)

    def _share(self, total: Any) -> Any:
        return total.reshape(-1, self.num_features).sum(axis=0)


class InstanceNorm1d(TorchInstanceNormalization):
    """`TorchInstanceNormalization` of (batch, num_features, steps)."""

    ndims = (3,)


class InstanceNorm2d(TorchInstanceNormalization):
    """`TorchInstanceNormalization` of (batch, num_features, height, width)."""

    ndims = (4,)


class InstanceNorm3d(TorchInstanceNormalization):
    """`TorchInstanceNormalization` of (batch, num_features, depth, height, width)."""

    ndims = (5,)


def _last_sizes(layer: Layer, normalized_shape: Any) -> tuple[int, ...]:
    sizes = tuple(normalized_shape) if isinstance(normalized_shape, (list, tuple)) else (normalized_shape,)
    if not sizes:
        raise ValueError(f"{layer.described}: expected sizes in normalized_shape, got {normalized_shape!r}")
    return tuple(integer(layer.described, "each of normalized_shape", size, 1) for size in sizes)


__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d",
           "LayerNorm", "RMSNorm"]
