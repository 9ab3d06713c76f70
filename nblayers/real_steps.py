"""Which steps of a batch of sequences are real: kernels of whole sequences want those of a sample in front."""
from typing import Any

import numpy as np

from nblayers.arrays import as_numbers


def step_mask(who: Any, mask: Any, x: Any) -> Any:
    """The mask (N, T) of the steps of `x` (N, T, …) as an array of truth values.

    Raises:
        ValueError: a mask of another shape; `who` opens the message, or its `described` does.
    """
    mask = as_numbers(mask, who, "a mask").astype(bool)
    if mask.shape != x.shape[:2]:
        raise ValueError(f"{getattr(who, 'described', who)}: expected a mask of shape {x.shape[:2]}, a truth value for each "
                         f"step, got {mask.shape}")
    return mask


class RealSteps:
    """The steps that a mask leaves, each sample's in front, in their order; those between and before them count for nothing.

    Arguments:
        who: opens error messages, or has a `described` that does.
        mask: (N, T), True where a step is real; None: all are.
        x: the array (N, T, …) that the mask belongs to.

    Attributes:
        lengths: (N,) int64, how many steps of each sample are real.

    Raises:
        ValueError: a mask of another shape.
    """

    def __init__(self, who: Any, mask: Any, x: Any) -> None:
        N, T = x.shape[:2]
        self._places = None                     # where the real steps come from, None where they stand in front already
        if mask is None:
            self.lengths = np.full_like(x, T, np.int64, shape=N)
            return
        mask = step_mask(who, mask, x)
        self.lengths = mask.sum(axis=1).astype(np.int64)
        if (mask[:, 1:] > mask[:, :-1]).any():
            self._places = np.argsort(~mask, axis=1, kind="stable")

    def to_front(self, array: Any) -> Any:
        """An array (N, T, …) with each sample's real steps in front."""
        return _moved(array, self._places)

    def back(self, array: Any) -> Any:
        """What `to_front` gave, with all steps where they were."""
        return _moved(array, None if self._places is None else np.argsort(self._places, axis=1, kind="stable"))


def _moved(array: Any, places: Any) -> Any:
    if places is None:
        return array
    return np.take_along_axis(array, places.reshape(places.shape + (1,) * (array.ndim - 2)), axis=1)
