"""Layer normalization."""
from typing import Any

import numpy as np

from nblayers.arguments import axes as axes_of, flag
from nblayers.layers.base import Record
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.normalization.base import AxesView, Normalizer, ScaledNormalizer


class LayerNormalizer(Normalizer):
    """The computation of layer normalization on the axes `axis`; equations in `LayerNormalization`."""

    axis: Any
    centred = True                  # whether the mean is subtracted

    class Cache(Record):
        x: np.ndarray               # (A, K, B): K the numbers of the normalized axes
        mean: np.ndarray            # (A, B)
        rstd: np.ndarray            # (A, B)
        view: AxesView

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        view = AxesView(self.xp, inputs.shape, self._normalized_axes(self.axis, inputs.shape))
        x = view.of(inputs)
        A, K, B = x.shape
        y, mean, rstd = self.xp.empty_like(x), self.xp.empty((A, B), self.dtype), self.xp.empty((A, B), self.dtype)
        self.kernels.normalization.layer_norm(                                              # (1) to (5)
            x, *self._scale_and_shift(K), self.epsilon, self.centred, y, mean, rstd)
        self.cache = self.Cache(x, mean, rstd, view)
        return view.back(y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        cache = self.cache
        x, dy = cache.x, cache.view.of(dy)
        dx, K = self.xp.empty_like(x), x.shape[1]
        self.kernels.normalization.layer_norm_backward(                                     # from (5), (4), (3), (2), (1)
            dy, x, self._scale_and_shift(K)[0], cache.mean, cache.rstd, self.centred, *self._weight_gradients(K), dx)
        return cache.view.back(dx)


class LayerNormalization(LayerNormalizer, ScaledNormalizer):
    r"""Brings the features of each sample, or of each step of a sequence, to mean 0 and variance 1: what Transformers use.

        \mu = \frac{1}{n} \sum_i x_i                                (1)    i: the n numbers along the axes given
        v = \frac{1}{n} \sum_i (x_i - \mu)^2                        (2)
        r = 1 / \sqrt{v + \epsilon}                                 (3)
        \hat x_i = (x_i - \mu)\, r                                  (4)
        y_i = \gamma_i \hat x_i + \beta_i                           (5)

    A sample does not see the others, so that training and inference are the same. With rms_scaling (4) is x_i r, without the
    mean, and there is no beta; in (2) the mean stays, as in Keras, which calls this wrong.

    Input and output of any shape. Weights: gamma and beta, of the shape of the axes given.

    Arguments:
        axis: one axis, or a list of axes, which is sorted when the layer is built; the features are on -1.
        epsilon: added to the variance.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer: what they start from.
        beta_regularizer, gamma_regularizer: penalties on them.
        beta_constraint, gamma_constraint: applied to them after each optimizer step.
        rms_scaling: see above.

    Raises:
        ValueError: axis is no integer or list of integers, names an axis that the input does not have or one twice, or one of
            unknown size; a negative epsilon; an input of other sizes on these axes than the layer was built for.

    Source: 001.11.LayerNormalization; Ba, Kiros, Hinton 2016, "Layer normalization".
    """

    axis: Any = fixed()
    rms_scaling: bool = fixed()

    def __init__(self, axis: Any = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
                 beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", beta_regularizer: Any = None,
                 gamma_regularizer: Any = None, beta_constraint: Any = None, gamma_constraint: Any = None, *,
                 rms_scaling: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = axes_of(self.described, "axis", axis)
        self.axis = list(given) if isinstance(given, tuple) else given
        self.rms_scaling = flag(self.described, "rms_scaling", rms_scaling)
        self.centred = not self.rms_scaling
        self._keep(epsilon, center, scale, beta_initializer=beta_initializer, gamma_initializer=gamma_initializer,
                   beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer, beta_constraint=beta_constraint,
                   gamma_constraint=gamma_constraint)

    def build(self, input_shape: Any) -> None:
        self._known_sizes(self._normalized_axes(self.axis, input_shape), input_shape)
        self.axis = sorted(self.axis) if isinstance(self.axis, list) else [self.axis]
        shape = tuple(input_shape[axis] for axis in self.axis)
        self.gamma = self._make("gamma", shape) if self.scale or self.rms_scaling else None
        self.beta = self._make("beta", shape) if self.center and not self.rms_scaling else None
        self.input_spec = InputSpec(axes=dict(zip(self.axis, shape, strict=True)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._normalized_axes(self.axis, input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis, "rms_scaling": self.rms_scaling}


__all__ = ["LayerNormalization", "LayerNormalizer"]
