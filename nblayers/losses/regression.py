"""Losses of numbers."""
from typing import Any

from nblayers import config
from nblayers.arguments import integer, number
from nblayers.losses.loss import Elementwise, along_last, array_module_of, mean_over, values_of


class MeanSquaredError(Elementwise):
    r"""Mean of the squared errors over the last axis, D long.

        v_i = \frac1D \sum_d (p_{id} - t_{id})^2                                    (1)
        dp_{id} = dv_i \frac2D (p_{id} - t_{id})                                    (2)

    Arguments and errors: see `Loss`.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_squared_error",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        error = p - t
        return mean_over(error * error, -1), error                                  # (1)

    def backward(self, dvalues: Any, error: Any) -> Any:
        error *= along_last(dvalues) * (2 / error.shape[-1])                        # (2), from (1)
        return error


class MeanAbsoluteError(Elementwise):
    r"""Mean of the absolute errors over the last axis, D long.

        v_i = \frac1D \sum_d |p_{id} - t_{id}|                                      (1)
        dp_{id} = dv_i \frac1D \operatorname{sign}(p_{id} - t_{id})                 (2)

    At p = t, a kink, (2) is 0, as in PyTorch (Keras on JAX takes -1/D).

    Arguments and errors: see `Loss`.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_absolute_error",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        error = p - t
        return mean_over(abs(error), -1), error                                     # (1)

    def backward(self, dvalues: Any, error: Any) -> Any:
        sign = array_module_of(error).sign(error, out=error)
        sign *= along_last(dvalues) * (1 / error.shape[-1])                         # (2), from (1)
        return sign


class MeanAbsolutePercentageError(Elementwise):
    r"""Mean of the absolute errors in percent of the targets over the last axis, D long.

        v_i = \frac{100}D \sum_d |p_{id} - t_{id}| / m_{id},   m_{id} = \max(|t_{id}|, \epsilon)    (1)
        dp_{id} = dv_i \frac{100}D \operatorname{sign}(p_{id} - t_{id}) / m_{id}                    (2)

    At p = t, a kink, (2) is 0 (Keras on JAX takes a side).

    Arguments and errors: see `Loss`.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_absolute_percentage_error",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        error, m = p - t, abs(t).clip(config.epsilon())
        return 100 * mean_over(abs(error) / m, -1), (error, m)                      # (1)

    def backward(self, dvalues: Any, record: Any) -> Any:
        error, m = record
        dp = array_module_of(error).sign(error)
        dp /= m
        dp *= along_last(dvalues) * (100 / error.shape[-1])                         # (2), from (1)
        return dp


class MeanSquaredLogarithmicError(Elementwise):
    r"""Mean of the squared errors of the logarithms over the last axis, D long: ratios count, not differences.

        e_{id} = \log(1 + \max(p_{id}, \epsilon)) - \log(1 + \max(t_{id}, \epsilon))                (1)
        v_i = \frac1D \sum_d e_{id}^2                                                               (2)
        dp_{id} = dv_i \frac2D e_{id} / (1 + p_{id})  where p_{id} > \epsilon, else 0               (3)

    Arguments and errors: see `Loss`.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_squared_logarithmic_error",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        xp, epsilon = array_module_of(p), config.epsilon()
        error = xp.log1p(p.clip(epsilon)) - xp.log1p(t.clip(epsilon))               # (1)
        return mean_over(error * error, -1), (error, p)                             # (2)

    def backward(self, dvalues: Any, record: Any) -> Any:
        error, p = record
        live = p > config.epsilon()
        dp = live * error / array_module_of(p).where(live, 1 + p, 1)
        dp *= along_last(dvalues) * (2 / p.shape[-1])                               # (3), from (1) and (2)
        return dp


class CosineSimilarity(Elementwise):
    r"""Minus the cosine of the angle between target and prediction, vectors along `axis`: from -1, the same way, to 1.

        n = \max(|p|, \epsilon),   \hat p = p / n,   \hat t likewise                                (1)
        v = -\sum_d \hat t_d \hat p_d                                                               (2)
        d\hat p_d = -dv \hat t_d                                                                    (3)
        dp_d = (d\hat p_d - \hat p_d \sum_e d\hat p_e \hat p_e) / n  where |p| > \epsilon, else d\hat p_d / n   (4)

    Arguments:
        axis: the axis of the vectors. (Keras' configuration leaves it out.)
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; no such axis.
    """

    def __init__(self, axis: int = -1, reduction: str | None = "sum_over_batch_size", name: str | None = "cosine_similarity",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)
        self.axis = integer(self.described, "axis", axis)

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        t, p = super().prepare(y_true, y_pred)
        self.check_axis(p)
        return t, p

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        (t_hat, _, _), (p_hat, n, live) = self._normalized(t), self._normalized(p)  # (1)
        return -(t_hat * p_hat).sum(axis=self.axis), (t_hat, p_hat, n, live)        # (2)

    def _normalized(self, x: Any) -> tuple[Any, Any, Any]:
        """x / n, n, and where n is the length of x."""
        length, epsilon = array_module_of(x).sqrt((x * x).sum(axis=self.axis, keepdims=True)), config.epsilon()
        n = length.clip(epsilon)
        return x / n, n, length > epsilon

    def backward(self, dvalues: Any, record: Any) -> Any:
        t_hat, p_hat, n, live = record
        dp_hat = -self.along(dvalues) * t_hat                                       # (3), from (2)
        inward = (dp_hat * p_hat).sum(axis=self.axis, keepdims=True) * live
        return (dp_hat - p_hat * inward) / n                                        # (4), from (1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class Huber(Elementwise):
    r"""Squared where the error is small and absolute where it is large, mean over the last axis, D long.

        e_{id} = p_{id} - t_{id}                                                                    (1)
        v_i = \frac1D \sum_d e_{id}^2 / 2  where |e_{id}| \le \delta, else \delta |e_{id}| - \delta^2 / 2   (2)
        dp_{id} = dv_i \frac1D \min(\max(e_{id}, -\delta), \delta)                                  (3)

    Arguments:
        delta: where the one becomes the other. (Keras' configuration leaves it out.)
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; a delta that is not above 0.

    Source: Huber, "Robust Estimation of a Location Parameter", 1964.
    """

    def __init__(self, delta: float = 1.0, reduction: str | None = "sum_over_batch_size", name: str | None = "huber_loss",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)
        self.delta = number(self.described, "delta", delta, 0, open="(")

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        error, delta = p - t, self.delta                                            # (1)
        size = abs(error)
        terms = array_module_of(p).where(size <= delta, 0.5 * error * error, delta * size - 0.5 * delta * delta)
        return mean_over(terms, -1), error                                          # (2)

    def backward(self, dvalues: Any, error: Any) -> Any:
        dp = error.clip(-self.delta, self.delta)
        dp *= along_last(dvalues) * (1 / error.shape[-1])                           # (3), from (1) and (2)
        return dp

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "delta": self.delta}


class LogCosh(Elementwise):
    r"""Logarithm of the hyperbolic cosine of the error, mean over the last axis, D long: about e^2/2, then |e| - log 2.

        e_{id} = p_{id} - t_{id}                                                                    (1)
        v_i = \frac1D \sum_d \log \cosh e_{id},   \log \cosh e = |e| + \log(1 + (e^{-2 |e|} - 1) / 2)    (2)
        dp_{id} = dv_i \frac1D \tanh e_{id}                                                         (3)

    Arguments and errors: see `Loss`.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "log_cosh", dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        xp, error = array_module_of(p), p - t                                       # (1)
        size = abs(error)
        terms = size + xp.log1p(0.5 * xp.expm1(-2 * size))
        return mean_over(terms, -1), error                                          # (2)

    def backward(self, dvalues: Any, error: Any) -> Any:
        dp = array_module_of(error).tanh(error)
        dp *= along_last(dvalues) * (1 / error.shape[-1])                           # (3), from (1) and (2)
        return dp


@values_of(MeanSquaredError)
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """`MeanSquaredError` (1)."""
    return MeanSquaredError().call(y_true, y_pred)


@values_of(MeanAbsoluteError)
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """`MeanAbsoluteError` (1)."""
    return MeanAbsoluteError().call(y_true, y_pred)


@values_of(MeanAbsolutePercentageError)
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """`MeanAbsolutePercentageError` (1)."""
    return MeanAbsolutePercentageError().call(y_true, y_pred)


@values_of(MeanSquaredLogarithmicError)
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """`MeanSquaredLogarithmicError` (2)."""
    return MeanSquaredLogarithmicError().call(y_true, y_pred)


@values_of(CosineSimilarity)
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """`CosineSimilarity` (2)."""
    return CosineSimilarity(axis).call(y_true, y_pred)


@values_of(Huber)
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """`Huber` (2)."""
    return Huber(delta).call(y_true, y_pred)


@values_of(LogCosh)
def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """`LogCosh` (2)."""
    return LogCosh().call(y_true, y_pred)
