"""The arguments of compile, fit, evaluate and predict, checked before anything is done with them."""
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from nblayers.arguments import choice, flag, integer, number, optional, verbosity
from nblayers.arrays import is_array

_count = partial(optional, partial(integer, low=1))
_epoch = partial(integer, low=0)


def check(who: str, **given: Any) -> None:
    """Look at arguments by their names, which mean the same everywhere.

    Raises:
        ValueError: one of another kind, or out of range.
    """
    for name, value in given.items():
        _CHECKS[name](who, name, value)


def check_leaves(who: str, name: str, leaves: Iterable[Any], kind: type, what: str) -> None:
    """The losses or metrics given to `compile`: names, functions, classes, configurations, objects of this kind, or None.

    Raises:
        TypeError: something else.
    """
    for leaf in leaves:
        if not (leaf is None or callable(leaf) or isinstance(leaf, (str, Mapping, kind))):
            raise TypeError(f"{who}: compile expected {what} in {name} (a name, a function or an object), got {leaf!r}")


def _frequency(who: str, name: str, value: Any) -> None:
    if isinstance(value, (list, tuple, set, frozenset, range)) or (isinstance(value, np.ndarray) and value.ndim):
        for epoch in value:
            integer(who, f"each of {name}", epoch, 1)
    else:
        integer(who, name, value, 1)


def _validation(who: str, name: str, value: Any) -> None:
    is_data = is_array(value) or isinstance(value, Mapping) or hasattr(value, "__iter__") or hasattr(value, "__getitem__")
    if value is not None and (isinstance(value, (str, bytes)) or not is_data):
        raise ValueError(f"{who}: expected {name} to be (x, y), (x, y, sample_weight) or batches, got {value!r}")


def _factors(who: str, name: str, value: Any) -> None:
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else [value]
    for factor in parts:
        optional(number, who, name, factor)


_CHECKS: dict[str, Callable[[str, str, Any], Any]] = {
    "batch_size": _count, "validation_batch_size": _count, "steps": _count, "steps_per_epoch": _count,
    "validation_steps": _count, "epochs": _epoch, "initial_epoch": _epoch,
    "validation_split": partial(number, low=0, high=1, open=")"), "validation_freq": _frequency,
    "validation_data": _validation, "shuffle": partial(choice, options=(True, False, None, "batch")), "verbose": verbosity,
    "loss_weights": _factors, "run_eagerly": flag, "jit_compile": partial(choice, options=(True, False, "auto")),
    "auto_scale_loss": flag, "steps_per_execution": partial(integer, low=1), "return_dict": flag}
