"""Penalties on weights or outputs, each with its gradient (document 001, section 4)."""
from collections.abc import Callable
from typing import Any

import numpy as np

from nblayers import config
from nblayers.arguments import choice, number
from nblayers.naming import NamesItself
from nblayers.serialization import lookup, names, serialize

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2",
           "orthogonal_regularizer", "serialize"]


class Regularizer(NamesItself):
    """The base of all regularizers. Your own subclass writes `__call__(w)`, `gradient(w)` and, to be saved, `get_config`:

        class Centre(Regularizer):
            def __call__(self, w):
                return float(w.sum() ** 2)

            def gradient(self, w):
                return np.full_like(w, 2 * w.sum())
    """

    def __call__(self, w: Any) -> float:
        """The penalty, a number."""
        return 0.0

    def gradient(self, w: Any) -> Any:
        """dpenalty/dw, an array of w's shape.

        Raises:
            NotImplementedError: the subclass has not written it.
        """
        raise NotImplementedError(f"{type(self).__name__}: gradient(w) is not written, and nothing here differentiates for you")

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes this regularizer again."""
        raise NotImplementedError(f"{type(self).__name__}: get_config() is not written")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Regularizer":
        """Make a regularizer from what `get_config` gave, ours or Keras'."""
        return cls(**config)


class L1L2(Regularizer):
    r"""L1 and L2 together.

        R(w) = l1 \sum |w| + l2 \sum w^2        (1)

    At w = 0 the gradient of |w| is taken as 0, so that weights may rest there (Keras on JAX takes 1, on TensorFlow 0).

    Raises:
        ValueError: a factor that is negative or not finite.

    Source: document 001.04.L1L2.
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = number(type(self).__name__, "l1", 0.0 if l1 is None else l1, 0)
        self.l2 = number(type(self).__name__, "l2", 0.0 if l2 is None else l2, 0)

    def __call__(self, w: Any) -> float:
        w = _array(w)
        return self.l1 * float(np.sum(np.abs(w))) + self.l2 * float(np.sum(np.square(w)))

    def gradient(self, w: Any) -> Any:
        w = _array(w)
        return self.l1 * np.sign(w) + 2 * self.l2 * w                                       # from (1)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """R(w) = l1 Σ |w|: pulls every weight towards zero by the same amount, so that many become zero.

    Raises:
        ValueError: a factor that is negative or not finite.

    Source: document 001.04.L1.
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        super().__init__(l1=0.01 if l1 is None else l1)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """R(w) = l2 Σ w²: pulls every weight towards zero in proportion to its size.

    Raises:
        ValueError: a factor that is negative or not finite.

    Source: document 001.04.L2.
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        super().__init__(l2=0.01 if l2 is None else l2)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    r"""Pulls the rows (or columns) of a matrix towards being orthogonal to each other.

        u_i = w_i / |w_i|                                                   (1)
        C   = u u^T                             the cosines                 (2)
        R   = factor / P \sum_{i<j} |C_{ij}|    P = n (n - 1) / 2 pairs     (3)

    The mean |cosine| between two rows; a single row gives 0. (The document has λ ‖WᵀW − I‖².)

    Arguments:
        factor: how strong.
        mode: "rows" or "columns".

    Raises:
        ValueError: a factor that is negative or not finite, another mode, weights that are not a matrix.

    Source: document 001.04.OrthogonalRegularizer.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = number("OrthogonalRegularizer", "factor", factor, 0)
        self.mode = choice("OrthogonalRegularizer", "mode", mode, ("rows", "columns"))

    def __call__(self, w: Any) -> float:
        u, _ = self._unit_rows(w)
        cosines = self._cosines(u)
        return self.factor / self._pairs(u) * float(np.sum(np.abs(cosines))) / 2            # (3), each pair is there twice

    def gradient(self, w: Any) -> Any:
        u, scale = self._unit_rows(w)
        dcosines = self.factor / self._pairs(u) * np.sign(self._cosines(u))                 # from (3)
        du = dcosines @ u                                                                   # from (2), it is symmetric
        radial = np.sum(du * u, axis=1, keepdims=True)
        dw = (du - radial * u) * scale                                                      # from (1)
        return dw if self.mode == "rows" else dw.T

    def _unit_rows(self, w: Any) -> tuple[Any, Any]:
        """(1) and what the rows were multiplied by; a row of zeros stays one."""
        w = _array(w)
        if w.ndim != 2:
            raise ValueError(f"OrthogonalRegularizer: expected the weights to be a matrix, got shape {w.shape}")
        rows = w if self.mode == "rows" else w.T
        norm = np.sqrt(np.sum(np.square(rows), axis=1, keepdims=True))
        scale = 1 / np.maximum(norm, config.epsilon())
        return rows * scale, scale

    def _cosines(self, u: Any) -> Any:
        """(2) without its diagonal."""
        cosines = u @ u.T
        np.fill_diagonal(cosines, 0)
        return cosines

    def _pairs(self, u: Any) -> float:
        return max(len(u) * (len(u) - 1) / 2, 1)

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


def _array(w: Any) -> Any:
    """NumPy and CuPy arrays as they are: NumPy's functions hand a CuPy array on to CuPy's."""
    return w if hasattr(w, "dtype") and hasattr(w, "ndim") else np.asarray(w, config.floatx())


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_NAMES = names(Regularizer, L1, L2, L1L2, OrthogonalRegularizer)


def get(identifier: Any) -> Callable[[Any], float] | None:
    """The regularizer for a name, configuration, class or object.

    Raises:
        ValueError: an unknown name.
        TypeError: an identifier of another type, or an object without `gradient`.
    """
    found = lookup(identifier, _NAMES, "regularizer")
    if found is not None and not hasattr(found, "gradient"):
        raise TypeError(f"expected a regularizer with gradient(w) beside __call__(w), got {found!r}: nothing here "
                        "differentiates it for you; give it an attribute `gradient` or write a subclass of Regularizer")
    return found


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The regularizer of a configuration."""
    return lookup(config, _NAMES, "regularizer", custom_objects)
