"""The same layer at another point: other inputs, other weights, a shorter sequence, no mask."""
import copy
from collections.abc import Sequence
from typing import Any

import numpy as np


def at(subject: Any, leaves: Sequence[np.ndarray] | None = None, weights: Sequence[np.ndarray | None] | None = None,
       kwargs: dict[str, Any] | None = None) -> Any:
    """A subject whose `restore` puts these inputs and weights in place; None leaves what is there.

    The layer is one and the same: after the new subject has been used, `restore` of the old one puts everything back.
    """
    there = copy.copy(subject)
    if leaves is not None:
        there.leaves = [np.array(leaf) for leaf in leaves]
        there.other = [np.array(leaf) for leaf in leaves]
    if kwargs is not None:
        there.kwargs = kwargs
    kept = [leaf.copy() for leaf in there.leaves]

    def put_weights() -> None:
        for parameter, value in zip(subject.weights, weights or (), strict=False):
            if value is not None:
                parameter.value[...] = value

    def restore() -> None:
        subject.restore()
        for leaf, value in zip(there.leaves, kept, strict=True):
            leaf[...] = value
        put_weights()

    def restore_weights_and_chance() -> None:
        subject.restore_weights_and_chance()
        put_weights()

    there.restore, there.restore_weights_and_chance = restore, restore_weights_and_chance
    return there
