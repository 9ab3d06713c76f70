"""How far two regions lie over each other, for the segmentation of images."""
from typing import Any

from nblayers import config
from nblayers.arguments import axes, number, optional
from nblayers.losses.loss import Elementwise, values_of


class Tversky(Elementwise):
    r"""1 minus the share of a predicted region p in [0, 1] and a true one t that both have.

        a = \sum t p,    f = \sum t (1 - p),    g = \sum (1 - t) p                  (1)
        D = a + \alpha f + \beta g + \epsilon                                       (2)
        v = 1 - a / D                                                               (3)
        da = -dv / D,    dD = dv a / D^2                                            (4)
        dp = t (da + dD) + dD (\beta (1 - t) - \alpha t)                            (5)

    \alpha weighs what the prediction misses and \beta what it has too much, as Keras computes it (its documentation says it the
    other way round).

    Arguments:
        alpha, beta: the weights.
        axis: the axes of (1), one or several; None: all, so that a batch has a single value and takes no weights of samples.
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; no such axis; a weight below 0.

    Source: Salehi, Erdogmus, Gholipour, "Tversky Loss Function for Image Segmentation", 2017.
    """

    def __init__(self, alpha: float = 0.5, beta: float = 0.5, reduction: str | None = "sum_over_batch_size",
                 name: str | None = "tversky", axis: Any = None, dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)
        self.alpha = number(self.described, "alpha", alpha, 0)
        self.beta = number(self.described, "beta", beta, 0)
        self.axis = optional(axes, self.described, "axis", axis)

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        t, p = super().prepare(y_true, y_pred)
        given = range(p.ndim) if self.axis is None else (self.axis,) if isinstance(self.axis, int) else self.axis
        if not all(-p.ndim <= axis < p.ndim for axis in given) or len({axis % p.ndim for axis in given}) != len(given):
            raise ValueError(f"{self.described}: expected y_pred to have axis {self.axis}, got shape {p.shape}")
        return t, p

    @property
    def mixes_samples(self) -> bool:
        return self.axis is None or 0 in ([self.axis] if isinstance(self.axis, int) else self.axis)

    def _sum(self, x: Any) -> Any:
        return x.sum(axis=tuple(self.axis) if isinstance(self.axis, list) else self.axis, keepdims=True)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        a, f, g = self._sum(t * p), self._sum(t * (1 - p)), self._sum((1 - t) * p)  # (1)
        D = a + self.alpha * f + self.beta * g + a.dtype.type(config.epsilon())     # (2)
        values = 1 - a / D                                                          # (3)
        return values.reshape(self._without_axes(values)), (t, a, D)

    def _without_axes(self, values: Any) -> tuple[int, ...]:
        """The shape of the values without the axes that were summed over."""
        if self.axis is None:
            return ()
        gone = {axis % values.ndim for axis in ([self.axis] if isinstance(self.axis, int) else self.axis)}
        return tuple(size for axis, size in enumerate(values.shape) if axis not in gone)

    def backward(self, dvalues: Any, record: Any) -> Any:
        t, a, D = record
        dvalues = dvalues if isinstance(dvalues, float) else dvalues.reshape(D.shape)
        da, dD = -dvalues / D, dvalues * a / (D * D)                                # (4), from (3)
        return t * (da + dD) + dD * (self.beta * (1 - t) - self.alpha * t)          # (5), from (1) and (2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta, "axis": self.axis}


class Dice(Tversky):
    r"""1 minus twice what a predicted region p in [0, 1] and a true one t share, over the sum of both.

        a = \sum t p,    S = \sum t + \sum p + \epsilon                             (1)
        v = 1 - 2 a / S                                                             (2)
        dp = 2 dv (a / S^2 - t / S)                                                 (3)

    Arguments:
        axis: the axes of (1), one or several; None: all, so that a batch has a single value and takes no weights of samples.
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; no such axis.

    Source: Milletari, Navab, Ahmadi, "V-Net", 2016 (there with squares in S).
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = "dice", axis: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(0.5, 0.5, reduction, name, axis, dtype)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        a = self._sum(t * p)
        S = self._sum(t) + self._sum(p) + a.dtype.type(config.epsilon())            # (1)
        values = 1 - 2 * a / S                                                      # (2)
        return values.reshape(self._without_axes(values)), (t, a, S)

    def backward(self, dvalues: Any, record: Any) -> Any:
        t, a, S = record
        dvalues = dvalues if isinstance(dvalues, float) else dvalues.reshape(S.shape)
        return 2 * dvalues * (a / (S * S) - t / S)                                  # (3), from (1) and (2)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in ("alpha", "beta")}


@values_of(Dice)
def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
    """`Dice` (2)."""
    return Dice(axis=axis).call(y_true, y_pred)


@values_of(Tversky)
def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Any:
    """`Tversky` (3)."""
    return Tversky(alpha, beta, axis=axis).call(y_true, y_pred)
