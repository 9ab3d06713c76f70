"""The same layer at another point: other inputs, other weights, a shorter sequence, no mask."""
import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from nblayers.gradient_check.subject import argument_names


def at(subject: Any, leaves: Sequence[np.ndarray] | None = None, weights: Sequence[np.ndarray | None] | None = None,
       kwargs: dict[str, Any] | None = None, args: list[Any] | None = None) -> Any:
    """A subject whose `restore` puts these inputs and weights in place; None leaves what is there.

    The layer is one and the same: after the new subject has been used, `restore` of the old one puts everything back.
    """
    there = copy.copy(subject)
    if leaves is not None:
        there.leaves = [np.array(leaf) for leaf in leaves]
        there.other = [np.array(leaf) for leaf in leaves]
    if kwargs is not None:
        there.kwargs = there.other_kwargs = kwargs
    if args is not None:
        there.args = there.other_args = args
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


def elsewhere(subject: Any) -> Any:
    """The same layer with other inputs, masks and weights: signs, winners and ids are others too."""
    subject.restore()
    subject.other_weights()
    values = [np.array(parameter.numpy()) for parameter in subject.weights]
    subject.restore()
    return at(subject, subject.other, values, subject.other_kwargs, subject.other_args)


def masks(subject: Any) -> dict[str, np.ndarray]:
    """The masks among the arguments, by name."""
    names = argument_names(subject.layer, len(subject.args))
    given = [*zip(names, subject.args, strict=True), *subject.kwargs.items()]
    return {name: np.asarray(value) for name, value in given if name.endswith("mask") and np.ndim(value) > 0}


def without_masks(subject: Any) -> Any:
    """The same layer with masks that mask nothing."""
    def opened(name: str, value: Any) -> Any:
        return np.ones_like(np.asarray(value)) if name.endswith("mask") and np.ndim(value) > 0 else value

    names = argument_names(subject.layer, len(subject.args))
    return at(subject, kwargs={name: opened(name, value) for name, value in subject.kwargs.items()},
              args=[opened(name, value) for name, value in zip(names, subject.args, strict=True)])
