"""Which query may look at which key."""
import math
from typing import Any, NamedTuple

from nblayers.layers.base import Layer


class Masks(NamedTuple):
    """What the kernels take: each mask is bool and has size 0 where there is none.

    Attributes:
        query: (B, T), False for a query that sees nothing.
        key: (B, S), False for a key that nobody sees.
        pair: (B, H, T, S), each axis of that size or 1.
        before, after: query i sees the keys from i - before to i + after.
    """

    query: Any
    key: Any
    pair: Any
    before: int
    after: int


def band(T: int, S: int, causal: bool, window: int | None) -> tuple[int, int]:
    """`before` and `after`: causal is no key after the query, a window no key `window` or more steps away."""
    far = max(T, S) if window is None else window - 1
    return far, 0 if causal else far


def no_mask(layer: Layer, axes: int) -> Any:
    """What stands for a mask of so many axes that is not there."""
    return layer.xp.empty((0,) * axes, bool)


def masks_of(layer: Layer, query: Any, key: Any, pair: Any, before: int, after: int) -> Masks:
    """`Masks` for the kernels, None standing for a mask that is not there."""
    given = ((query, 2), (key, 2), (pair, 4))
    query, key, pair = (no_mask(layer, axes) if mask is None else mask for mask, axes in given)
    return Masks(query, key, pair, before, after)


def both(a: Any, b: Any) -> Any:
    """Two masks at once; None is no mask."""
    return b if a is None else a if b is None else a & b


def steps_mask(layer: Layer, name: str, mask: Any, batch: tuple[int, ...], steps: tuple[int, ...]) -> Any:
    """A mask (batch axes…, steps…) as (samples, steps); one of (the first axis, steps…) counts for all other batch axes.

    Raises:
        ValueError: it has another shape.
    """
    if mask is None:
        return None
    mask, shape = layer._to_mask(mask), (*batch, *steps)
    if mask.shape == (batch[0], *steps):
        mask = layer.xp.broadcast_to(mask.reshape(batch[0], *(1,) * (len(batch) - 1), *steps), shape)
    if mask.shape != shape:
        raise ValueError(f"{layer.described}: expected {name} of shape {shape}, got {mask.shape}")
    return layer.xp.ascontiguousarray(mask).reshape(-1, math.prod(steps))
