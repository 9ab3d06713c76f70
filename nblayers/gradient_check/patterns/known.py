"""What the looks are told beside the shares, and the words that they have in common."""
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from nblayers.gradient_check.shares import Array

Found = tuple[str, str] | None
MISSING, TOO_MUCH = "missing", "too much (it should be zero)"
SOME = "through some elements of y"
MOST_LINES = 400                        # for looks that compare each line with each other
SLOPES: dict[str, Callable[[Array], Array]] = {
    "1": lambda v: np.ones_like(v), "x": lambda v: v, "1 - x": lambda v: 1 - v, "1 - x ** 2": lambda v: 1 - v ** 2,
    "x (1 - x)": lambda v: v * (1 - v), "1 + x": lambda v: 1 + v, "exp(x)": np.exp, "tanh(x)": np.tanh,
    "1 - tanh(x) ** 2": lambda v: 1 - np.tanh(v) ** 2, "sigmoid(x)": lambda v: 1 / (1 + np.exp(-v)),
    "sigmoid(x) (1 - sigmoid(x))": lambda v: (s := 1 / (1 + np.exp(-v))) * (1 - s), "x > 0": lambda v: (v > 0) * 1.0,
    "x ** 2": lambda v: v ** 2, "2 x": lambda v: 2 * v, "sign(x)": np.sign,
}


class Known(NamedTuple):
    """What the looks may be told beside the shares: vectors that a factor may be, by name, and ids that occur."""

    vectors: Mapping[str, Array]
    arrays: Mapping[str, Array]
    ids: Array | None = None
    time_axis: int | None = 1
    is_plain: bool = False              # one input, one output, no weights
    order_matters: bool = False         # of the time steps before the last one, as in a recurrent layer
    is_separable: bool = True           # the slope at an element does not depend on the other elements of its tensor


def told_by_bound(x: Array, bad: Array, name: str) -> str:
    """ " where x is below 0": whether wrong and right are told apart by a bound on the value."""
    if bad.all() or bad.sum() < 1:
        return ""
    wrong, right = x[bad], x[~bad]
    if wrong.max() < right.min():
        return f", wrong only where {name} is below {_bound(wrong.max(), right.min())}"
    if wrong.min() > right.max():
        return f", wrong only where {name} is above {_bound(right.max(), wrong.min())}"
    if (wrong == 0).all() and (right != 0).all():
        return f", wrong only where {name} is 0"
    return ""


def _bound(low: float, high: float) -> str:
    """A round number between two."""
    for digits in range(6):
        middle = round((low + high) / 2, digits)
        if low <= 0 <= high:
            return "0"
        if low < middle < high:
            return f"{middle:g}"
    return f"{high:.6g}"
