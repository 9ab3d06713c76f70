"""Losses of distributions and of counts."""
from typing import Any

from nblayers import config
from nblayers.losses.loss import Elementwise, along_last, array_module_of, mean_over, values_of


class KLDivergence(Elementwise):
    r"""Kullback-Leibler divergence of a predicted distribution from the target's, along the last axis.

        q_k = \min(\max(p_k, \epsilon), 1),    s_k = \min(\max(t_k, \epsilon), 1)   (1)
        v = \sum_k s_k \log(s_k / q_k)                                              (2)
        dp_k = -dv s_k / q_k  where q = p, else 0                                   (3)     (JAX: half of it where p is a bound)

    Arguments and errors: see `Loss`.

    Source: Kullback, Leibler, "On Information and Sufficiency", 1951.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "kl_divergence",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        epsilon = config.epsilon()
        q, s = p.clip(epsilon, 1), t.clip(epsilon, 1)                               # (1)
        quotient = s / q
        return (s * array_module_of(p).log(quotient)).sum(axis=-1), (quotient, q == p)  # (2)

    def backward(self, dvalues: Any, record: Any) -> Any:
        quotient, live = record
        return -along_last(dvalues) * quotient * live                               # (3), from (1) and (2)


class Poisson(Elementwise):
    r"""Negative log-likelihood of counts t under Poisson distributions of mean p, but for a constant, mean over the last axis.

        v_i = \frac1D \sum_d (p_{id} - t_{id} \log(p_{id} + \epsilon))              (1)
        dp_{id} = dv_i \frac1D (1 - t_{id} / (p_{id} + \epsilon))                   (2)

    Arguments and errors: see `Loss`.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "poisson", dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        above = p + p.dtype.type(config.epsilon())
        return mean_over(p - t * array_module_of(p).log(above), -1), (t, above)     # (1)

    def backward(self, dvalues: Any, record: Any) -> Any:
        t, above = record
        return along_last(dvalues) * (1 / t.shape[-1]) * (1 - t / above)            # (2), from (1)


@values_of(KLDivergence)
def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """`KLDivergence` (2)."""
    return KLDivergence().call(y_true, y_pred)


@values_of(Poisson)
def poisson(y_true: Any, y_pred: Any) -> Any:
    """`Poisson` (1)."""
    return Poisson().call(y_true, y_pred)
