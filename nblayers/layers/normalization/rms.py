"""Root mean square normalization."""
from typing import Any

import numpy as np

from nblayers.arguments import axes as axes_of, number
from nblayers.layers.base import Parameter, Record
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.layers.normalization.base import AxesView, Normalizer


class RMSNormalizer(Normalizer):
    """The computation of RMS normalization on the axes `axis`; equations in `RMSNormalization`."""

    axis: Any

    class Cache(Record):
        x: np.ndarray               # (A, K, 1): K the numbers of the normalized axes
        rstd: np.ndarray            # (A, 1)
        view: AxesView

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        view = AxesView(self.xp, inputs.shape, self._normalized_axes(self.axis, inputs.shape), at_end=True)
        x = view.of(inputs)
        y, rstd, rows = self.xp.empty_like(x), self.xp.empty((len(x), 1), self.dtype), x.shape[:2]
        self.kernels.normalization.rms_norm(                                                            # (1), (2)
            x.reshape(rows), self._scale_and_shift(x.shape[1])[0], self.epsilon, y.reshape(rows), rstd.reshape(-1))
        self.cache = self.Cache(x, rstd, view)
        return view.back(y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x, rstd, view = self.cache.x, self.cache.rstd, self.cache.view
        dx, K = self.xp.empty_like(x), x.shape[1]
        self.kernels.normalization.layer_norm_backward(                                                 # (3)
            view.of(dy), x, self._scale_and_shift(K)[0], self.xp.zeros_like(rstd), rstd, False, *self._weight_gradients(K), dx)
        return view.back(dx)


class RMSNormalization(RMSNormalizer):
    r"""Divides the features of each sample, or step, by the root of their mean square: layer normalization without the mean.

        r = 1 / \sqrt{\frac{1}{n} \sum_i x_i^2 + \epsilon}         (1)    i: the n numbers along the axes given
        y_i = s_i\, x_i\, r                                        (2)

    Backward, with g_i = s_i dy_i:

        dx_i = r\, g_i - x_i\, r^3 \frac{1}{n} \sum_j g_j x_j       (3)

    Input and output of any shape. Weight: scale s, of the shape of the axes given.

    Arguments:
        axis: one axis, or a list of axes, which is sorted when the layer is built.
        epsilon: added to the mean square.

    Raises:
        ValueError: axis is no integer or list of integers, names an axis that the input does not have or one twice, or one of
            unknown size; a negative epsilon; an input of other sizes on these axes than the layer was built for.

    Source: keras.layers.RMSNormalization; Zhang, Sennrich 2019, "Root mean square layer normalization".
    """

    axis: Any = fixed()
    scale: Parameter = fixed()

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = axes_of(self.described, "axis", axis)
        self.axis = list(given) if isinstance(given, tuple) else given
        self.epsilon = number(self.described, "epsilon", epsilon, 0)

    def build(self, input_shape: Any) -> None:
        self._known_sizes(self._normalized_axes(self.axis, input_shape), input_shape)
        self.axis = sorted(self.axis) if isinstance(self.axis, list) else [self.axis]
        shape = tuple(input_shape[axis] for axis in self.axis)
        self.scale = self.add_weight(shape, "ones", name="scale")
        self.input_spec = InputSpec(axes=dict(zip(self.axis, shape, strict=True)))

    def _weights(self) -> tuple[Parameter | None, Parameter | None]:
        return self.scale, None

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._normalized_axes(self.axis, input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis, "epsilon": self.epsilon}


__all__ = ["RMSNormalization", "RMSNormalizer"]
