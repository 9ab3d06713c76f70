"""Group normalization."""
import math
from typing import Any

import numpy as np

from nblayers.arguments import integer
from nblayers.layers.base import Record
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.normalization.base import Normalizer, ScaledNormalizer


class GroupNormalizer(Normalizer):
    """The computation of group normalization, with `groups` groups on the axis `axis`; equations in `GroupNormalization`."""

    axis: int
    groups: int

    class Cache(Record):
        x: np.ndarray               # (N, P, G, K, Q): samples, places, groups, channels of a group, places
        mean: np.ndarray            # (N, G)
        rstd: np.ndarray            # (N, G)

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x, y = inputs.reshape(self._grouped(inputs.shape)), self.xp.empty_like(inputs)
        N, _, G, K, _ = x.shape
        mean, rstd = self.xp.empty((N, G), self.dtype), self.xp.empty((N, G), self.dtype)
        gamma, beta = (values.reshape(G, K) for values in self._scale_and_shift(G * K))
        self.kernels.normalization.group_norm(x, gamma, beta, self.epsilon, y.reshape(x.shape), mean, rstd)     # (1) to (5)
        self.cache = self.Cache(x, mean, rstd)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        cache, dx = self.cache, self.xp.empty_like(dy)
        x = cache.x
        _, _, G, K, _ = x.shape
        gamma, _ = self._scale_and_shift(G * K)
        dgamma, dbeta = (grad.reshape(G, K) for grad in self._weight_gradients(G * K))
        self.kernels.normalization.group_norm_backward(                                     # from (5), (4), (3), (2), (1)
            dy.reshape(x.shape), x, gamma.reshape(G, K), cache.mean, cache.rstd, dgamma, dbeta, dx.reshape(x.shape))
        return dx

    def _grouped(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(N, P, G, K, Q) of an input of this shape."""
        [axis] = self._normalized_axes(self.axis, shape)
        return shape[0], math.prod(shape[1:axis]), self.groups, shape[axis] // self.groups, math.prod(shape[axis + 1:])

    def _check_groups(self, channels: int) -> None:
        if channels % self.groups:
            raise ValueError(f"{self.described}: expected a number of channels that is divisible by groups, got {channels} "
                             f"channels with groups={self.groups}")


class GroupNormalization(GroupNormalizer, ScaledNormalizer):
    r"""Brings groups of a sample's channels to mean 0 and variance 1: for images in batches too small for batch normalization.

        \mu_g = \frac{1}{n} \sum_{i \in g} x_i                      (1)    i: the n numbers of group g of one sample,
        v_g = \frac{1}{n} \sum_{i \in g} (x_i - \mu_g)^2            (2)        its channels in all places
        r_g = 1 / \sqrt{v_g + \epsilon}                             (3)
        \hat x_i = (x_i - \mu_g)\, r_g                              (4)
        y_i = \gamma_c \hat x_i + \beta_c                           (5)    c is the channel of i

    With one group it is nearly layer normalization (over the places too, gamma and beta by channel); with as many as channels,
    instance normalization.

    Input and output of any shape with an axis of C channels. Weights: gamma and beta, (C,).

    Arguments:
        groups: how many groups of channels that lie side by side; -1 for one of each channel.
        axis: of the channels: -1, or 1 after layers with data_format="channels_first".
        epsilon: added to the variance.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer: what they start from.
        beta_regularizer, gamma_regularizer: penalties on them.
        beta_constraint, gamma_constraint: applied to them after each optimizer step.

    Raises:
        ValueError: groups is no positive integer or -1, or does not divide the channels; an axis that the input does not have,
            that of the samples, or one of unknown size; a negative epsilon; an input of another number of axes or channels
            than the layer was built for.

    Source: 001.11.GroupNormalization; Wu and He 2018, "Group normalization".
    """

    groups: int = fixed()
    axis: int = fixed()

    def __init__(self, groups: int = 32, axis: int = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
                 beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", beta_regularizer: Any = None,
                 gamma_regularizer: Any = None, beta_constraint: Any = None, gamma_constraint: Any = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = integer(self.described, "groups", groups)
        if self.groups < 1 and self.groups != -1:
            raise ValueError(f"{self.described}: expected groups to be a positive integer, or -1 for one of each channel, got "
                             f"{groups}")
        self.axis = integer(self.described, "axis", axis)
        self._keep(epsilon, center, scale, beta_initializer=beta_initializer, gamma_initializer=gamma_initializer,
                   beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer, beta_constraint=beta_constraint,
                   gamma_constraint=gamma_constraint)

    def build(self, input_shape: Any) -> None:
        self._check_axis(input_shape)
        sizes = self._known_sizes(self._normalized_axes(self.axis, input_shape), input_shape)
        if self.groups == -1:
            [self.groups] = sizes
        self._check_groups(*sizes)
        self.gamma = self._make("gamma", sizes) if self.scale else None
        self.beta = self._make("beta", sizes) if self.center else None
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: sizes[0]})

    def _check_axis(self, shape: Any) -> None:
        if self._normalized_axes(self.axis, shape) == [0]:
            raise ValueError(f"{self.described}: expected another axis than that of the samples, got {self.axis} for shape "
                             f"{tuple(shape)}")

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._check_axis(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"groups": self.groups, "axis": self.axis}


__all__ = ["GroupNormalization", "GroupNormalizer"]
