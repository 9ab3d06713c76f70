"""A limit to what layers may make while a file that somebody else may have written is read."""
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_MOST_BESIDE = 10_000_000                # items that a layer may keep beside its weights

_left: ContextVar[float] = ContextVar("_left", default=math.inf)


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """The weights that are made inside, in this thread, hold `count` numbers at most."""
    before = _left.set(count)
    try:
        yield
    finally:
        _left.reset(before)


def count(who: str, name: str, shape: tuple[int, ...]) -> None:
    """A weight of this shape is to be made.

    Raises:
        ValueError: it is too large.
    """
    left = _left.get()
    if left == math.inf:
        return
    if math.prod(shape) > left:
        raise ValueError(f"{who}: its weight {name!r} of shape {shape} is larger than the weights in the file")
    _left.set(left - math.prod(shape))


def count_beside(who: str, name: str, items: int) -> None:
    """An option that makes a layer keep so many items beside its weights is to be taken.

    Raises:
        ValueError: they are too many for a file.
    """
    if _left.get() != math.inf and items > _MOST_BESIDE:
        raise ValueError(f"{who}: expected {name} of at most {_MOST_BESIDE} in a file, got {items}")
