"""Keras' old place for settings and for the arithmetic of one's own layers: `from nblayers import backend as K`."""
from typing import Any

import numpy as np

from nblayers.activations import softmax, tanh
from nblayers.config import (
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from nblayers.utils.session import clear_session


def dot(x: Any, y: Any) -> np.ndarray:
    """The product of x's last axis with y's last but one, as `numpy.dot`; arrays or parameters."""
    return np.dot(np.asarray(x), np.asarray(y))


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> np.ndarray:
    """The sum along one axis, several, or all."""
    return np.asarray(x).sum(axis=axis if axis is None or isinstance(axis, int) else tuple(axis), keepdims=keepdims)


__all__ = ["clear_session", "dot", "epsilon", "floatx", "image_data_format", "set_epsilon", "set_floatx",
           "set_image_data_format", "softmax", "sum", "tanh"]
