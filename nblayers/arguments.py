"""Checks of single arguments. Each error names who was called, the argument, what was expected and what came."""
import math
import numbers
import operator
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def integer(who: str, name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """A whole number of Python or NumPy, from `low` to `high` (None: no bound); neither a bool nor a float.

    Raises:
        ValueError: anything else.
    """
    try:
        whole = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None or (low is not None and whole < low) or (high is not None and whole > high):
        raise ValueError(f"{who}: expected {_whole(name, low, high)}, got {value!r}")
    return whole


def number(who: str, name: str, value: Any, low: float | None = None, high: float | None = None, open: str = "",
           finite: bool = True) -> float:
    """A number of Python or NumPy, as a float; not a bool.

    Arguments:
        low, high: its bounds; None for none.
        open: "(" if `low` itself is not allowed, ")" if `high` is not; "()" for both.
        finite: whether infinity is refused; NaN always is.

    Raises:
        ValueError: anything else.
    """
    given = as_float(value)
    below = low is not None and (given < low or ("(" in open and given == low))
    above = high is not None and (given > high or (")" in open and given == high))
    if math.isnan(given) or (finite and math.isinf(given)) or below or above:
        raise ValueError(f"{who}: expected {name} {_range(low, high, open, 'a finite number' if finite else 'a number')}, "
                         f"got {value!r}")
    return given


def as_float(value: Any) -> float:
    """A number of Python or NumPy as a float; NaN for anything else."""
    if not isinstance(value, numbers.Real) and hasattr(value, "__array__") and np.ndim(value) == 0:
        value = np.asarray(value)[()]
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def flag(who: str, name: str, value: Any) -> bool:
    """A truth value: True, False, or 1 or 0 in their place.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(value, (bool, np.bool_, int, np.integer)) or value not in (0, 1):
        raise ValueError(f"{who}: expected {name} to be True or False, got {value!r}")
    return bool(value)


def choice(who: str, name: str, value: Any, options: Iterable[Any]) -> Any:
    """One of these names, whole numbers, truth values and None; 1 and 0 are True and False.

    Raises:
        ValueError: anything else.
    """
    known = list(options)
    if not isinstance(value, (str, int, np.integer, np.bool_, type(None))) or value not in known:
        *first, last = map(repr, known)
        raise ValueError(f"{who}: expected {name} to be {', '.join(first)} or {last}, got {value!r}")
    return value


def verbosity(who: str, name: str, value: Any) -> Any:
    """How much is printed: "auto", 0, 1 or 2.

    Raises:
        ValueError: anything else.
    """
    return choice(who, name, value, ("auto", 0, 1, 2))


def text(who: str, name: str, value: Any) -> str:
    """A string.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(value, str):
        raise ValueError(f"{who}: expected {name} to be a string, got {value!r}")
    return value


def path(who: str, name: str, value: Any) -> str:
    """Where a file or a directory is: a string that is not empty, or a path of Python's `pathlib`.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise ValueError(f"{who}: expected {name} to be a path, got {value!r}")
    return os.fspath(value)


def function(who: str, name: str, value: Any) -> Any:
    """Something that can be called.

    Raises:
        ValueError: anything else.
    """
    if not callable(value):
        raise ValueError(f"{who}: expected {name} to be a function, got {value!r}")
    return value


def found(who: str, name: str, get: Callable[[Any], Any], identifier: Any) -> Any:
    """What `get` (of initializers, activations …) finds for a name, a configuration or an object; errors name the argument."""
    try:
        return get(identifier)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{who}: {name}: {error}") from error


def axes(who: str, name: str, value: Any) -> Any:
    """An axis, or several.

    Raises:
        ValueError: neither a whole number nor a list of them.
    """
    if not isinstance(value, (list, tuple)):
        return integer(who, name, value)
    return type(value)(integer(who, f"each of {name}", axis) for axis in value)


def sizes(who: str, name: str, value: Any) -> tuple[int | None, ...]:
    """A shape: sizes of axes, None for one of any size; a single size stands for itself.

    Raises:
        ValueError: anything else.
    """
    given = value if isinstance(value, (list, tuple)) else (value,)
    try:
        return tuple(optional(integer, who, name, size, 0) for size in given)
    except ValueError:
        raise ValueError(f"{who}: expected {name} as sizes and None, got {value!r}") from None


def optional(check: Callable[..., Any], who: str, name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
    """None, or what the check gives."""
    return None if value is None else check(who, name, value, *args, **kwargs)


def _whole(name: str, low: int | None, high: int | None) -> str:
    if low == 1 and high is None:
        return f"a positive integer as {name}"
    if low is not None and high is not None:
        return f"{name} to be an integer from {low} to {high}"
    if low is not None:
        return f"{name} to be an integer of at least {low}"
    return f"{name} to be an integer" if high is None else f"{name} to be an integer of at most {high}"


def _range(low: float | None, high: float | None, open: str, kind: str) -> str:
    if low is not None and high is not None:
        return f"in {'(' if '(' in open else '['}{low}, {high}{')' if ')' in open else ']'}"
    if low == 0:
        return f"to be {kind} above 0" if "(" in open else f"to be {kind} that is not negative"
    if low is not None:
        return f"to be {kind} {'above' if '(' in open else 'of at least'} {low}"
    if high is not None:
        return f"to be {kind} {'below' if ')' in open else 'of at most'} {high}"
    return f"to be {kind}"
