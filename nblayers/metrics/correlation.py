"""How far predictions go up and down with the targets."""
from typing import Any

from nblayers import config
from nblayers.arguments import integer
from nblayers.losses import array_module_of, at_least_floatx
from nblayers.metrics.metric import pair
from nblayers.metrics.reduction import MeanMetricWrapper


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    r"""The correlation of targets and predictions along an axis.

        \rho = \overline{(t - \bar t) (p - \bar p)} / (\sigma_t \sigma_p)                                   (1)

    It is 0 where one of them is constant (Keras: NaN).

    Raises:
        ValueError: shapes that do not fit; no such axis.
    """
    t, p, axis = _along("pearson_correlation", y_true, y_pred, axis)
    xp = array_module_of(p)
    constant = (t.max(axis=axis) == t.min(axis=axis)) | (p.max(axis=axis) == p.min(axis=axis))
    t, p = (each - each.mean(axis=axis, keepdims=True) for each in (t, p))
    spread = xp.sqrt((t * t).mean(axis=axis)) * xp.sqrt((p * p).mean(axis=axis))
    return xp.where(constant, 0, (t * p).mean(axis=axis) / xp.where(constant, 1, spread))                   # (1)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    r"""The concordance of targets and predictions along an axis: 1 only where they are equal, not merely proportional.

        c = 2 \overline{(t - \bar t) (p - \bar p)} / (\sigma_t^2 + \sigma_p^2 + (\bar t - \bar p)^2 + \epsilon)   (1)

    Raises:
        ValueError: shapes that do not fit; no such axis.

    Source: Lin, "A Concordance Correlation Coefficient to Evaluate Reproducibility", 1989.
    """
    t, p, axis = _along("concordance_correlation", y_true, y_pred, axis)
    t_mean, p_mean = t.mean(axis=axis, keepdims=True), p.mean(axis=axis, keepdims=True)
    apart = ((t_mean - p_mean) ** 2).squeeze(axis)
    t, p = t - t_mean, p - p_mean
    spread = (t * t).mean(axis=axis) + (p * p).mean(axis=axis) + apart
    return 2 * (t * p).mean(axis=axis) / (spread + config.epsilon())                                        # (1)


def _along(who: str, y_true: Any, y_pred: Any, axis: int) -> tuple[Any, Any, int]:
    t, p = pair(y_true, y_pred, who)
    axis = integer(who, "axis", axis)
    if not -p.ndim <= axis < p.ndim or not p.size:
        raise ValueError(f"{who}: expected y_pred with values on axis {axis}, got shape {p.shape}")
    p = at_least_floatx(p)
    return t.astype(p.dtype, copy=False), p, axis


class PearsonCorrelation(MeanMetricWrapper):
    """The mean correlation of the samples' targets and predictions; see `pearson_correlation`.

    Arguments:
        axis: the axis along which they are correlated.
    """

    _direction = "up"

    def __init__(self, name: str | None = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype)
        self.options = {"axis": integer(self.described, "axis", axis)}


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean concordance of the samples' targets and predictions; see `concordance_correlation`.

    Arguments:
        axis: the axis along which they are compared.
    """

    _direction = "up"

    def __init__(self, name: str | None = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype)
        self.options = {"axis": integer(self.described, "axis", axis)}
