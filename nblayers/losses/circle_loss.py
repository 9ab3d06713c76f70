"""The circle loss: embeddings of one class close together, those of different classes apart."""
from typing import Any, NamedTuple

import numpy as np

from nblayers.arguments import flag, number
from nblayers.arrays import as_numbers
from nblayers.losses.loss import Loss, array_module_of, predictions


class Pairs(NamedTuple):
    """Which pairs of a row and a reference are of one class, and which of two; truth values (N, M)."""

    positive: Any
    negative: Any


class Circle(Loss):
    r"""Circle loss of N embeddings of unit length and their classes.

        d_{ij} = \max(1 - p_i \cdot p_j, 0)                                             (1)
        a_{ij} = \gamma (m + d_{ij}) (d_{ij} - m)                                       (2)     j of i's class, but i itself
        b_{ij} = \gamma \max(1 + m - d_{ij}, 0) (1 - m - d_{ij})                        (3)     j of another class
        u_i = \log \sum_j e^{a_{ij}} + \log \sum_j e^{b_{ij}}                           (4)
        v_i = \log(1 + e^{u_i})                                                         (5)
        du_i = dv_i \sigma(u_i)                                                         (6)
        da_{ij} = du_i e^{a_{ij}} / \sum_k e^{a_{ik}},    db likewise                   (7)
        dd_{ij} = 2 \gamma d_{ij} da_{ij} - \gamma (2 - 2 d_{ij}) db_{ij}               (8)     without db beyond d = 1 + m
        dp_i = -\sum_j (dd_{ij} + dd_{ji}) p_j  where 1 - p_i \cdot p_j > 0             (9)

    y_true: (N,) or (N, 1) classes. y_pred: (N, D), which this loss does not bring to unit length itself. A sample without
    another one of its class, or of another class, has v = 0; such samples do not count in a mean.

    Arguments:
        gamma: \gamma, above 0.
        margin: m, in [0, 1].
        remove_diagonal: whether a sample is no partner of itself.
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; arrays of other shapes; an argument outside its range.

    Source: Sun, Cheng, Zhang, Zhang, Zheng, Wang, Wei, "Circle Loss", 2020, where the first factors of (2) and (3) have no
    gradient.
    """

    def __init__(self, gamma: float = 80.0, margin: float = 0.4, remove_diagonal: bool = True,
                 reduction: str | None = "sum_over_batch_size", name: str | None = "circle", dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)
        self.gamma = number(self.described, "gamma", gamma, 0, open="(")
        self.margin = number(self.described, "margin", margin, 0, 1)
        self.remove_diagonal = flag(self.described, "remove_diagonal", remove_diagonal)

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The classes (N,) and the embeddings (N, D)."""
        p = predictions(y_pred, self)
        t = array_module_of(p).asarray(as_numbers(y_true, self, "y_true"))
        t = t[:, 0] if t.ndim == 2 and t.shape[1] == 1 else t
        if p.ndim != 2 or t.shape != p.shape[:1]:
            raise ValueError(f"{self.described}: expected y_pred of shape (samples, features) and y_true with a class for each "
                             f"sample, got {np.shape(y_pred)} and {np.shape(y_true)}")
        return t, p

    def forward(self, t: Any, p: Any) -> tuple[Any, Any]:
        pairs = self.pairs(t, t)
        values, record = self.compare(p, p, pairs)
        return values, (p, *record)

    def pairs(self, t: Any, references: Any) -> Pairs:
        """The pairs of samples and references, by their classes."""
        same = t[:, None] == references[None, :]
        positive = same & ~array_module_of(t).eye(*same.shape, dtype=bool) if self.remove_diagonal else same
        return Pairs(positive, ~same)

    def compare(self, p: Any, references: Any, pairs: Pairs) -> tuple[Any, Any]:
        """(1) to (5)."""
        xp, gamma, m = array_module_of(p), self.gamma, self.margin
        raw = 1 - p @ references.T
        d = raw.clip(0)                                                             # (1)
        a = gamma * (m + d) * (d - m)                                               # (2)
        b = gamma * (1 + m - d).clip(0) * (1 - m - d)                               # (3)
        (log_a, share_a), (log_b, share_b) = _log_sum(a, pairs.positive), _log_sum(b, pairs.negative)
        u = log_a + log_b                                                           # (4)
        return xp.logaddexp(0, u), (raw, u, share_a, share_b)                       # (5)

    @property
    def mixes_samples(self) -> bool:
        return True

    def valid(self, t: Any, values: Any = None) -> Any:
        return values > 0

    def backward(self, dvalues: Any, record: Any) -> Any:
        p, *rest = record
        draw = self.compare_backward(dvalues, *rest)
        return -(draw + draw.T) @ p                                                 # (9)

    def compare_backward(self, dvalues: Any, raw: Any, u: Any, share_a: Any, share_b: Any) -> Any:
        """dL/draw, of 1 - p_i p_j, (N, M)."""
        xp, d = array_module_of(raw), raw.clip(0)
        du = dvalues * xp.exp(-xp.logaddexp(0, -u))                                 # (6), from (5)
        da, db = du[:, None] * share_a, du[:, None] * share_b                       # (7), from (4)
        db = db * (d < 1 + self.margin)
        dd = self.gamma * (2 * d * da - (2 - 2 * d) * db)                           # (8), from (2) and (3)
        return dd * (raw > 0)                                                       # from (1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": self.gamma, "margin": self.margin, "remove_diagonal": self.remove_diagonal}


def _log_sum(a: Any, counts: Any) -> tuple[Any, Any]:
    """The logarithm of the sum of e^a over the pairs that count in each row, -inf of none, and each one's share in the sum."""
    xp = array_module_of(a)
    a = xp.where(counts, a, -np.inf)
    largest = a.max(axis=1, keepdims=True)
    largest = xp.where(largest == -np.inf, 0, largest)
    e = xp.exp(a - largest)
    total = e.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        logs = (largest + xp.log(total))[:, 0]
    return logs, e / xp.where(total == 0, 1, total)


def circle(y_true: Any, y_pred: Any, ref_labels: Any = None, ref_embeddings: Any = None, remove_diagonal: bool = True,
           gamma: float = 80, margin: float = 0.4) -> Any:
    """`Circle` (5); with `ref_embeddings` (M, D) and their classes `ref_labels` the p_j of (1) are these.

    Raises:
        ValueError: shapes that do not fit; references without their classes.
    """
    return _evaluated(y_true, y_pred, ref_labels, ref_embeddings, remove_diagonal, gamma, margin)[0]


def _gradient(y_true: Any, y_pred: Any, ref_labels: Any = None, ref_embeddings: Any = None, remove_diagonal: bool = True,
              gamma: float = 80, margin: float = 0.4) -> Any:
    """The derivative of the sum of the values with respect to y_pred."""
    if ref_embeddings is None:
        return Circle(gamma, margin, remove_diagonal, None).gradient(y_true, y_pred)
    _, loss, references, record = _evaluated(y_true, y_pred, ref_labels, ref_embeddings, remove_diagonal, gamma, margin)
    return -loss.compare_backward(1.0, *record) @ references


def _evaluated(y_true: Any, y_pred: Any, ref_labels: Any, ref_embeddings: Any, remove_diagonal: bool, gamma: float,
               margin: float) -> tuple[Any, Circle, Any, Any]:
    loss = Circle(gamma, margin, remove_diagonal)
    t, p = loss.prepare(y_true, y_pred)
    if (ref_labels is None) != (ref_embeddings is None):
        raise ValueError(f"{loss.described}: expected ref_labels and ref_embeddings together, got one of them")
    references, classes = (p, t) if ref_embeddings is None else loss.prepare(ref_labels, ref_embeddings)[::-1]
    if references.shape[1] != p.shape[1]:
        raise ValueError(f"{loss.described}: expected ref_embeddings with {p.shape[1]} features, got shape {references.shape}")
    values, record = loss.compare(p, references.astype(p.dtype, copy=False), loss.pairs(t, classes))
    return values, loss, references, record


circle.gradient = _gradient     # type: ignore[attr-defined]
circle.loss = Circle            # type: ignore[attr-defined]
