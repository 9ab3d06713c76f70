"""`class_weight` of `fit` and `train_on_batch`."""
from collections.abc import Mapping
from typing import Any

import numpy as np

from nblayers.arguments import as_float, number
from nblayers.arrays import as_numbers
from nblayers.devices import to_numpy


class ClassWeights:
    """A weight for each class, in the place of sample weights until the model's output is known.

    Arguments:
        given: {class: weight}; a class that is left out has weight 1.
        who: opens error messages.

    Raises:
        ValueError: no dictionary, a class that is no whole number, a weight that is no finite number.
    """

    def __init__(self, given: Any, who: str) -> None:
        if not isinstance(given, Mapping):
            raise ValueError(f"{who}: expected class_weight as a dictionary {{class: weight}}, got {type(given).__name__} "
                             f"{given!r}; dict(enumerate(weights)) makes one of a list")
        self.who = who
        self.weights = {self._class(key): number(who, f"class_weight[{key!r}]", weight) for key, weight in given.items()}

    def _class(self, key: Any) -> int:
        value = float(key) if isinstance(key, (bool, np.bool_)) else as_float(key)
        if not value.is_integer():
            raise ValueError(f"{self.who}: expected the classes in class_weight as whole numbers, got {key!r}")
        return int(value)

    def applied(self, y: Any, outputs: Any) -> tuple[Any, np.ndarray]:
        """The targets of a batch, with the axis of length 1 that only the output has, and a weight for each loss value.

        The output's shape tells the kinds of targets apart: (…, K) like the output is a distribution over K classes, of which
        the likeliest counts; (…), or (…, 1), is a class for each place.

        Raises:
            ValueError: targets of a shape that does not fit the output's, or NaN among them.
        """
        shape = outputs.shape
        if y.shape not in (shape[:-1], (*shape, 1)) and y.shape[:-1] != shape[:-1]:
            raise ValueError(f"{self.who}: class_weight needs one output and y in its shape {shape}, or without its classes, "
                             f"got y of shape {y.shape}")
        if y.shape == shape[:-1] and shape[-1] == 1:
            y = y[..., None]
        return y, self._of(to_numpy(as_numbers(y, self.who, "y")), len(shape), to_numpy(outputs[:0]).dtype)

    def _of(self, y: np.ndarray, ndim: int, dtype: Any) -> np.ndarray:
        if np.isnan(y).any():
            raise ValueError(f"{self.who}: class_weight expected classes without NaN in y")
        if y.ndim > 1 and y.shape[-1] == 1:
            y = y[..., 0]
        elif y.ndim > 1 and y.ndim == ndim:
            y = y.argmax(axis=-1)
        present, where = np.unique(np.round(y).astype(np.int64), return_inverse=True)
        return np.array([self.weights.get(int(c), 1.0) for c in present], dtype)[where.reshape(y.shape)]

