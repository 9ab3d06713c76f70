"""The negative log-likelihood of tags under a `CRF` layer."""
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from nblayers.arrays import as_numbers
from nblayers.losses.loss import array_module_of, predictions
from nblayers.losses.sequence import SequenceLoss

if TYPE_CHECKING:
    from nblayers.layers.crf import CRF


class CRFLoss(SequenceLoss):
    r"""Minus the log probability of a sequence of tags, as a `CRF` layer sees it; it trains the layer's transitions too.

        v = \log Z(x) - s(x, y)                         (1)     s, Z: see `CRF`
        dx_t(j) = dv (\mu_t(j) - [y_t = j])             (2)
        dA_{ij} = dv \sum_{t>1} (\mu_t(i, j) - [y_{t-1} = i, y_t = j])      (3)     for b and e likewise

    \mu_t(j) is the probability that step t has tag j, \mu_t(i, j) that it has j and the step before it i.

        crf = layers.CRF(units=5)                       # the last layer of the model
        model.compile("adam", loss=crf.loss)            # CRFLoss(crf)

    y_true: (N, T) or (N, T, 1) tags; those of masked steps may be anything. y_pred: (N, T, U), what the layer gave. A mask
    (N, T), which in `fit` comes with the output, tells which steps are real.

    The gradient (3) belongs to the layer's weights, not to y_pred: `gradient` and `value_and_gradient` leave it with the
    layer's last forward, and the layer's `backward` adds it to the weights' gradients.

    Arguments:
        crf: the layer, or its name: `compile` then finds it in the model.
        reduction, name, dtype: see `Loss`.

    Raises:
        ValueError: see `Loss`; arrays of other axes; a tag that is no whole number, or none of the U.
        TypeError: `crf` is neither a layer nor a name.
        RuntimeError: the layer is known by its name alone.

    Source: Lample et al., "Neural Architectures for Named Entity Recognition", 2016, (1) to (3) there.
    """

    def __init__(self, crf: Any, reduction: str | None = "sum_over_batch_size", name: str | None = "crf_loss",
                 dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)
        from nblayers.layers.crf import CRF
        if not isinstance(crf, (CRF, str)):
            raise TypeError(f"{self.described}: expected a CRF layer or its name, got {crf!r}")
        self._crf = crf

    @property
    def crf(self) -> "CRF":
        """The layer."""
        if isinstance(self._crf, str):
            raise RuntimeError(f"{self.described}: knows its layer by the name {self._crf!r} alone: compile a model that has a "
                               "CRF of this name, or give the layer")
        return self._crf

    def find_layer(self, layers: Iterable[Any]) -> None:
        """Where the layer is known by its name alone, take the one of this name."""
        from nblayers.layers.crf import CRF
        if isinstance(self._crf, str):
            self._crf = next((each for each in layers if isinstance(each, CRF) and each.name == self._crf), self._crf)

    def prepare(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The tags, and the predictions."""
        p = predictions(y_pred, self)
        tags = array_module_of(p).asarray(as_numbers(y_true, self, "y_true"))
        if tags.ndim == 3 and tags.shape[2] == 1:
            tags = tags[..., 0]
        self.check_axes(tags, p, "(samples, steps, tags)")
        if tags.shape != p.shape[:2]:
            raise ValueError(f"{self.described}: expected y_true of shape {p.shape[:2]}, a tag for each step, got {tags.shape}")
        return tags, p

    def forward(self, t: Any, p: Any, mask: Any = None) -> tuple[Any, Any]:
        likelihood = self.crf.likelihood(p, t, mask)
        return -likelihood.values.astype(p.dtype, copy=False), likelihood           # (1)

    def backward(self, dvalues: Any, record: Any) -> Any:
        dvalues = np.broadcast_to(dvalues, record.values.shape) if isinstance(dvalues, float) else dvalues
        return record.leave(-dvalues)                                               # (2), (3)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "crf": self._crf if isinstance(self._crf, str) else self._crf.name}
