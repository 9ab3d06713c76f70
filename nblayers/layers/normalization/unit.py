"""Unit normalization."""
from typing import Any

import numpy as np

from nblayers.arguments import axes as axes_of
from nblayers.layers.base import Record
from nblayers.layers.fixed import fixed
from nblayers.layers.normalization.base import AxesView, Normalizer

LIMIT = 1e12                        # Keras' 1 / epsilon


class UnitNormalization(Normalizer):
    r"""Gives every sample the length 1, in the sense of the Euclidean norm.

        s = \min(1 / \sqrt{\textstyle\sum_i x_i^2},\ 10^{12})       (1)    i: the numbers along the axes given
        y_i = s\, x_i                                               (2)

    The document's formula is x / |x|, which a row of zeros has no value of; here it stays zero. Its gradient there is the
    limit's, 10^12 dy (Keras gives NaN). A batch of one is as good as any.

    Input and output of any shape; no weights.

    Arguments:
        axis: one axis, or a list of axes.

    Raises:
        ValueError: axis is no integer or list of integers, or names an axis that the input does not have, or one twice.

    Source: 001.11.UnitNormalization.
    """

    axis: Any = fixed()

    class Cache(Record):
        x: np.ndarray               # (A, K, B): K the numbers of the normalized axes
        s: np.ndarray               # (A, B)
        view: AxesView

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = axes_of(self.described, "axis", axis)
        self.axis = list(given) if isinstance(given, tuple) else given
        self.built = True

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        view = AxesView(self.xp, inputs.shape, self._normalized_axes(self.axis, inputs.shape))
        x = view.of(inputs)
        y, s = self.xp.empty_like(x), self.xp.empty((x.shape[0], x.shape[2]), self.dtype)
        self.kernels.normalization.unit_norm(x, LIMIT, y, s)                                # (1), (2)
        self.cache = self.Cache(x, s, view)
        return view.back(y)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        cache = self.cache
        dx = self.xp.empty_like(cache.x)
        self.kernels.normalization.unit_norm_backward(cache.view.of(dy), cache.x, LIMIT, cache.s, dx)       # from (2), (1)
        return cache.view.back(dx)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._normalized_axes(self.axis, input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}


__all__ = ["UnitNormalization"]
