"""Hinge losses: nothing to pay beyond a margin of 1."""
from typing import Any

from nblayers.losses.loss import Elementwise, along_last, mean_over, values_of


def _signs(t: Any) -> Any:
    """Targets that are all 0 or 1 as -1 and 1; others as they are."""
    return 2 * t - 1 if ((t == 0) | (t == 1)).all() else t


class Hinge(Elementwise):
    r"""Hinge loss of targets -1 and 1, mean over the last axis, D long.

        m_{id} = 1 - t_{id} p_{id}                                                  (1)
        v_i = \frac1D \sum_d \max(m_{id}, 0)                                        (2)
        dp_{id} = -dv_i \frac1D t_{id}  where m_{id} > 0, else 0                    (3)

    Where all targets of a batch are 0 or 1, 0 stands for -1. At m = 0, a kink, (3) is 0 (Keras on JAX takes the half).

    Arguments and errors: see `Loss`.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "hinge", dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        t = _signs(t)
        m = 1 - t * p                                                               # (1)
        return mean_over(m.clip(0), -1), (t, m)                                     # (2)

    def backward(self, dvalues: Any, record: Any) -> Any:
        t, m = record
        return -along_last(dvalues) * (1 / m.shape[-1]) * t * (m > 0)               # (3), from (1) and (2)


class SquaredHinge(Elementwise):
    r"""Squared hinge loss of targets -1 and 1, mean over the last axis, D long.

        m_{id} = \max(1 - t_{id} p_{id}, 0)                                         (1)
        v_i = \frac1D \sum_d m_{id}^2                                               (2)
        dp_{id} = -dv_i \frac2D m_{id} t_{id}                                       (3)

    Where all targets of a batch are 0 or 1, 0 stands for -1.

    Arguments and errors: see `Loss`.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "squared_hinge",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        t = _signs(t)
        m = (1 - t * p).clip(0)                                                     # (1)
        return mean_over(m * m, -1), (t, m)                                         # (2)

    def backward(self, dvalues: Any, record: Any) -> Any:
        t, m = record
        return -along_last(dvalues) * (2 / m.shape[-1]) * m * t                     # (3), from (1) and (2)


class CategoricalHinge(Elementwise):
    r"""Hinge loss of one class of K, one-hot targets, along the last axis.

        a = \sum_k t_k p_k,    b = \max_k (1 - t_k) p_k                             (1)
        m = b - a + 1                                                               (2)
        v = \max(m, 0)                                                              (3)
        dp_k = dv ([(1 - t_k) p_k = b] (1 - t_k) / c - t_k)  where m > 0, else 0    (4)

    c is how many k have the largest (1 - t_k) p_k: they share. At m = 0, a kink, (4) is 0 (Keras on JAX takes the half).

    Arguments and errors: see `Loss`.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "categorical_hinge",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        others = (1 - t) * p
        largest = others.max(axis=-1, keepdims=True)
        m = largest[..., 0] - (t * p).sum(axis=-1) + 1                              # (1), (2)
        return m.clip(0), (t, others == largest, m)                                 # (3)

    def backward(self, dvalues: Any, record: Any) -> Any:
        t, is_largest, m = record
        share = is_largest / is_largest.sum(axis=-1, keepdims=True, dtype=t.dtype)
        dm = along_last(dvalues * (m > 0).astype(t.dtype))                          # from (3)
        return dm * (share * (1 - t) - t)                                           # (4), from (1) and (2)

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        t, p = super().prepare(y_true, y_pred)
        if not p.shape[-1]:
            raise ValueError(f"{self.described}: expected at least one class, got y_pred of shape {p.shape}")
        return t, p


@values_of(Hinge)
def hinge(y_true: Any, y_pred: Any) -> Any:
    """`Hinge` (2)."""
    return Hinge().call(y_true, y_pred)


@values_of(SquaredHinge)
def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """`SquaredHinge` (2)."""
    return SquaredHinge().call(y_true, y_pred)


@values_of(CategoricalHinge)
def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """`CategoricalHinge` (3)."""
    return CategoricalHinge().call(y_true, y_pred)
