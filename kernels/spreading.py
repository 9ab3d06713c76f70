"""How arrays are walked together of which some have size 1 where others have more, and are spread over them.

Neighbouring axes on which the same arrays are spread are one axis for a kernel, so that four are enough for all that layers
meet: a batch, what one of two is spread over, what the other is, and what they share.
"""
from typing import Any

import numpy as np

AXES = 4
Four = tuple[int, int, int, int]


def layout(shape: tuple[int, ...], *parts: tuple[int, ...]) -> tuple[Any, ...] | None:
    """The sizes of four axes that hold an array of `shape`, and for each part by how much a step on each moves in it.

    Arguments:
        shape: of the array that all parts are spread over.
        parts: shapes of as many axes, each size that of `shape` or 1.

    Returns:
        Sizes, then strides for each part, 0 where it is spread; the first axis is that of the samples, or of size 1. None if
        four axes are not enough.
    """
    merged: list[tuple[int, tuple[bool, ...]]] = []
    for axis, size in enumerate(shape):
        there = tuple(part[axis] == size for part in parts)
        if size == 1:
            continue
        if merged and merged[-1][1] == there:
            merged[-1] = merged[-1][0] * size, there
        else:
            merged.append((size, there))
    everywhere = (True,) * len(parts)
    missing = AXES - len(merged)
    if missing < 0:
        return None
    front = merged[:1] if missing and len(merged) > 1 else []
    merged = front + [(1, everywhere)] * missing + merged[len(front):]
    return tuple(size for size, _ in merged), *(_strides(merged, number) for number in range(len(parts)))


def _strides(merged: list[tuple[int, tuple[bool, ...]]], number: int) -> tuple[int, ...]:
    strides, step = [], 1
    for size, there in reversed(merged):
        strides.append(step if there[number] and size > 1 else 0)
        step *= size if there[number] else 1
    return tuple(reversed(strides))


def laid_out(like: Any, *parts: Any) -> tuple[Any, ...]:
    """The arrays `parts`, flat, then their layout in an array like this one; spread in memory if they must be."""
    found = layout(like.shape, *(part.shape for part in parts))
    if found is None:
        full = [_spread(part, like.shape) for part in parts]
        return *(part.reshape(-1) for part in full), *layout(like.shape, *(part.shape for part in full))  # type: ignore[misc]
    return *(part.reshape(-1) for part in parts), *found


def _spread(part: Any, shape: tuple[int, ...]) -> Any:
    whole = np.empty_like(part, shape=shape)            # on the part's own device
    whole[...] = part
    return whole
