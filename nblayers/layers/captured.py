"""The arguments that a layer of somebody's own class was made with: what its configuration holds without a `get_config`."""
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def keeps_arguments(cls: Any) -> bool:
    """Whether a class has an `__init__` of its own, and no `get_config`."""
    return not _is_ours(cls.__init__) and _is_ours(cls.get_config)


def _is_ours(function: Any) -> bool:
    return (function.__module__ or "").startswith("nblayers.")          # it has none where a program was handed to exec


def plain_arguments(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The arguments of `__init__` that JSON can hold, defaults included, by name; and the names of the others."""
    signature = inspect.signature(cls.__init__)
    try:
        bound = signature.bind(None, *args, **kwargs)
    except TypeError:                                   # `__init__` will say it
        return {}, ()
    bound.apply_defaults()
    given: dict[str, Any] = {}
    left_out: list[str] = []
    for name, value in list(bound.arguments.items())[1:]:
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            given |= value
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            left_out += [f"*{name}"] if value else []
        elif kind is inspect.Parameter.POSITIONAL_ONLY:
            left_out.append(name)
        else:
            given[name] = value
    left_out += [name for name, value in given.items() if not _is_plain(value)]
    return {name: value for name, value in given.items() if name not in left_out}, tuple(left_out)


def not_taken(cls: Any, keys: Iterable[str]) -> list[str]:
    """Which of the keys that every layer's configuration has `cls.__init__` does not take."""
    if cls.__init__.__module__.startswith("nblayers."):
        return []
    parameters = inspect.signature(cls.__init__).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    return [key for key in keys if key in cls.settings_beside_init and key not in parameters]


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, (bool, int, float, str, np.generic))
