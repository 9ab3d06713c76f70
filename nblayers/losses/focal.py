"""Cross-entropies that look at the hard samples, and one that is lenient with wrong labels."""
from typing import Any

import numpy as np

from nblayers import config
from nblayers.activations import sigmoid, softmax
from nblayers.arguments import flag, number
from nblayers.losses.loss import Loss, along_last, array_module_of, mean_over, values_of
from nblayers.losses.probabilistic import CrossEntropy, SparseCategoricalCrossentropy, clipped


class BinaryFocalCrossentropy(CrossEntropy):
    r"""Binary cross-entropy in which samples that are right already weigh little, mean over `axis`, D long.

        q = \min(\max(p, \epsilon), 1 - \epsilon)                                   (1)
        b = -(t \log q + (1 - t) \log(1 - q))                                       (2)
        m = 1 - (t p + (1 - t) (1 - p))                                             (3)     how far it is from right
        v_i = \frac1D \sum_d a m^\gamma b                                           (4)     a: see below
        db = a m^\gamma,    dm = a \gamma m^{\gamma - 1} b                          (5)
        dp = dv_i \frac1D (db \frac{q - t}{q (1 - q)} [q = p] + dm (1 - 2 t))       (6)
        dx = dp p (1 - p)  for logits x, p = \sigma(x)                              (7)

    In (4) a is 1, or with class balancing t \alpha + (1 - t) (1 - \alpha). In (5) dm is 0 where m is 0.

    Arguments:
        apply_class_balancing: whether a in (4) is made of alpha.
        alpha: the weight of class 1, in [0, 1]; 1 - alpha is that of class 0.
        gamma: the exponent; 0: plain cross-entropy.
        from_logits: whether the predictions are logits.
        label_smoothing: s in [0, 1]: t becomes (1 - s) t + s/2.
        axis: the axis to average over.
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; NaN among the targets; an argument outside its range.

    Source: Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", 2017.
    """

    def __init__(self, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False,
                 label_smoothing: float = 0.0, axis: int = -1, reduction: str | None = "sum_over_batch_size",
                 name: str | None = "binary_focal_crossentropy", dtype: Any = None) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.apply_class_balancing = flag(self.described, "apply_class_balancing", apply_class_balancing)
        self.alpha = number(self.described, "alpha", alpha, 0, 1)
        self.gamma = number(self.described, "gamma", gamma, 0)

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        xp = array_module_of(p)
        if self.label_smoothing:
            t = t * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        p = sigmoid(p) if self.from_logits else p
        q = clipped(p)                                                              # (1)
        b = -(t * xp.log(q) + (1 - t) * xp.log(1 - q))                              # (2)
        m = 1 - (t * p + (1 - t) * (1 - p))                                         # (3)
        a = t * self.alpha + (1 - t) * (1 - self.alpha) if self.apply_class_balancing else xp.ones_like(p)
        return mean_over(a * m ** self.gamma * b, self.axis), (t, p, q, b, m, a)    # (4)

    def backward(self, dvalues: Any, record: Any) -> Any:
        t, p, q, b, m, a = record
        db = a * m ** self.gamma
        dm = a * b * _slope_of_power(m, self.gamma)                                 # (5), from (4)
        dp = db * (q == p) * (q - t) / (q * (1 - q)) + dm * (1 - 2 * t)             # (6), from (1) to (3)
        dp *= self.along(dvalues) * (1 / p.shape[self.axis])
        return dp * p * (1 - p) if self.from_logits else dp                         # (7)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "apply_class_balancing": self.apply_class_balancing, "alpha": self.alpha,
                "gamma": self.gamma}


def _slope_of_power(m: Any, gamma: float) -> Any:
    """The derivative of m^gamma, 0 where m is 0."""
    xp = array_module_of(m)
    return xp.where(m == 0, 0, gamma * xp.where(m == 0, 1, m) ** (gamma - 1))


class CategoricalFocalCrossentropy(CrossEntropy):
    r"""Categorical cross-entropy in which classes that are right already weigh little; the classes lie along `axis`.

        o_k = p_k / S,    S = \sum_k p_k                                            (1)
        q_k = \min(\max(o_k, \epsilon), 1 - \epsilon)                               (2)
        v = -\sum_k \alpha_k (1 - q_k)^\gamma t_k \log q_k                          (3)
        do_k = \alpha_k t_k (\gamma (1 - q_k)^{\gamma - 1} \log q_k - (1 - q_k)^\gamma / q_k)  where q = o   (4)
        dp_k = dv (do_k - \sum_j do_j o_j) / S                                      (5)
        dx_k = dv o_k (do_k - \sum_j do_j o_j)  for logits x, o = softmax(x)        (6)

    Arguments:
        alpha: a weight for all classes, or a list with one for each (they lie along the last axis then).
        gamma: the exponent; 0: plain cross-entropy.
        from_logits: whether the predictions are logits.
        label_smoothing: s in [0, 1]: t becomes (1 - s) t + s/K.
        axis: the axis of the classes.
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; NaN among the targets; an argument outside its range; not as many weights as classes.

    Source: Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", 2017.
    """

    hint = "; integer classes have to be one-hot (`nblayers.utils.to_categorical`)"

    def __init__(self, alpha: Any = 0.25, gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0,
                 axis: int = -1, reduction: str | None = "sum_over_batch_size",
                 name: str | None = "categorical_focal_crossentropy", dtype: Any = None) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        several = isinstance(alpha, (list, tuple, np.ndarray)) and np.ndim(alpha) == 1
        self.alpha = ([number(self.described, "each of alpha", each, 0) for each in alpha] if several
                      else number(self.described, "alpha", alpha, 0))
        self.gamma = number(self.described, "gamma", gamma, 0)

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        t, p = super().prepare(y_true, y_pred)
        if isinstance(self.alpha, list) and len(self.alpha) != p.shape[-1]:
            raise ValueError(f"{self.described}: expected alpha with a weight for each of {p.shape[-1]} classes, "
                             f"got {len(self.alpha)}")
        return t, p

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        xp, axis = array_module_of(p), self.axis
        if self.label_smoothing:
            t = t * (1 - self.label_smoothing) + self.label_smoothing / t.shape[axis]
        total = None if self.from_logits else p.sum(axis=axis, keepdims=True)
        o = softmax(p, axis) if self.from_logits else p / total                     # (1)
        q = clipped(o)                                                              # (2)
        t = t * xp.asarray(self.alpha, p.dtype)
        log_q, m = xp.log(q), 1 - q
        return -(m ** self.gamma * t * log_q).sum(axis=axis), (t, o, q, log_q, m, total)        # (3)

    def backward(self, dvalues: Any, record: Any) -> Any:
        t, o, q, log_q, m, total = record
        do = t * (_slope_of_power(m, self.gamma) * log_q - m ** self.gamma / q) * (q == o)  # (4), from (2) and (3)
        do *= self.along(dvalues)
        do -= (do * o).sum(axis=self.axis, keepdims=True)
        return do * o if self.from_logits else do / total                           # (6) or (5), from (1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "gamma": self.gamma}


class CategoricalGeneralizedCrossEntropy(SparseCategoricalCrossentropy):
    r"""Between cross-entropy (q to 0) and absolute error (q = 1), so that wrong labels do less harm; the target is a class k.

        v = (1 - p_k^q) / q                                                         (1)
        dp_j = -dv [j = k] \max(p_k, \epsilon)^{q - 1}                              (2)

    (2) is the derivative of (1) from \epsilon upwards; below, where that grows without bound, it stands still (Keras: infinite
    at 0).

    y_true has y_pred's shape without the last axis, or with that axis 1 long.

    Arguments:
        q: in (0, 1).
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; q outside (0, 1); a class that is no whole number or that y_pred does not have.

    Source: Zhang, Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels", 2018.
    """

    def __init__(self, q: float = 0.5, reduction: str | None = "sum_over_batch_size",
                 name: str | None = "categorical_generalized_cross_entropy", dtype: Any = None) -> None:
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        self.q = number(self.described, "q", q, 0, 1, open="()")

    def forward(self, k: Any, p: Any) -> tuple[Any, Any]:
        xp = array_module_of(p)
        own = xp.take_along_axis(p, k[..., None], -1)
        return (1 - own[..., 0] ** self.q) / self.q, (k, own, p.shape)              # (1)

    def at_the_limit(self, k: Any, p: Any) -> tuple[Any, Any]:
        return self.forward(k, p)

    def backward(self, dvalues: Any, record: Any) -> Any:
        k, own, shape = record
        xp = array_module_of(own)
        dp = xp.zeros(shape, own.dtype)
        slope = own.clip(config.epsilon()) ** (self.q - 1)
        xp.put_along_axis(dp, k[..., None], -along_last(dvalues) * slope, -1)                    # (2), from (1)
        return dp

    def get_config(self) -> dict[str, Any]:
        return {**Loss.get_config(self), "q": self.q}


@values_of(BinaryFocalCrossentropy)
def binary_focal_crossentropy(y_true: Any, y_pred: Any, apply_class_balancing: bool = False, alpha: float = 0.25,
                              gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0,
                              axis: int = -1) -> Any:
    """`BinaryFocalCrossentropy` (4)."""
    return BinaryFocalCrossentropy(apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis).call(y_true, y_pred)


@values_of(CategoricalFocalCrossentropy)
def categorical_focal_crossentropy(y_true: Any, y_pred: Any, alpha: Any = 0.25, gamma: float = 2.0, from_logits: bool = False,
                                   label_smoothing: float = 0.0, axis: int = -1) -> Any:
    """`CategoricalFocalCrossentropy` (3)."""
    return CategoricalFocalCrossentropy(alpha, gamma, from_logits, label_smoothing, axis).call(y_true, y_pred)


@values_of(CategoricalGeneralizedCrossEntropy)
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Any:
    """`CategoricalGeneralizedCrossEntropy` (1)."""
    return CategoricalGeneralizedCrossEntropy(q).call(y_true, y_pred)
