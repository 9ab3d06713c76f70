"""Losses that see a whole sequence: one value for a sample of many steps."""
from typing import Any

import numpy as np

from nblayers.losses.loss import Loss, array_module_of
from nblayers.real_steps import RealSteps


class SequenceLoss(Loss):
    """The class of losses that give a value for each sample from predictions (N, T, K).

    As for `Loss`, but for

        mask: (N, T), True where a step is real: the others are as if they were not there. Or, as for other losses, True
            where a sample counts, (N,).
    """

    def _evaluate(self, t: Any, p: Any, sample_weight: Any, mask: Any) -> tuple[Any, Any, Any]:
        of_steps = mask is not None and np.shape(mask) == p.shape[:2] and p.shape[1] > 1
        values, record = self.forward(t, p, mask if of_steps else None)
        mask = None if of_steps else mask
        with np.errstate(invalid="ignore"):                         # 0 times infinity
            value, dvalues = self.reduce(t, values, sample_weight, mask)
        if np.isinf(values).any():                                  # an impossible sample of weight 0 counts for nothing
            c = array_module_of(values).broadcast_to(dvalues, values.shape)
            value, dvalues = self.reduce(t, array_module_of(values).where(c == 0, 0, values), sample_weight, mask)
        return value, dvalues, record

    def forward(self, t: Any, p: Any, mask: Any = None) -> tuple[Any, Any]:
        """The values v, of the steps that the mask leaves, and what `backward` needs."""
        raise NotImplementedError

    def real_steps(self, mask: Any, p: Any) -> RealSteps:
        """The steps of p that the mask leaves."""
        return RealSteps(self, mask, p)

    def check_axes(self, t: Any, p: Any, names: str) -> None:
        """See that targets are (N, L) and predictions (N, T, K), of the same N.

        Raises:
            ValueError: they are not.
        """
        if p.ndim != 3 or 0 in p.shape[1:]:
            raise ValueError(f"{self.described}: expected y_pred of shape {names}, none of them 0, got {p.shape}")
        if t.ndim != 2 or len(t) != len(p):
            raise ValueError(f"{self.described}: expected y_true with two axes and as many samples as y_pred {p.shape}, "
                             f"got shape {t.shape}")
