"""What layers that make ids have in common: the forms in which the ids come out."""
import math
from typing import Any

import numpy as np

from nblayers.layers.base import Layer

MODES = ("int", "one_hot", "multi_hot", "count")


def encoded(layer: Layer, ids: Any, mode: str, depth: int) -> Any:
    """ids (…), int64 from 0 to depth - 1, in the form of an output mode other than "int", in the layer's dtype.

        y_{nv} = [i_n = v]                      "one_hot": for each id; a last axis of 1 gives way to that of y
        y_{nv} = \\sum_l [i_{nl} = v]            "count": for each sample, which is axis 1, or axis 0 where there is no other
        y_{nv} = [\\sum_l [i_{nl} = v] > 0]      "multi_hot"
    """
    rows = rows_of(layer.xp, ids, mode)
    y = layer.xp.zeros((len(rows), depth), layer.dtype)
    offsets = layer.xp.arange(len(rows) + 1, dtype=np.int64) * rows.shape[1]
    layer.kernels.text.bag_tokens(rows.reshape(-1), offsets, mode == "count", y)
    return y.reshape(encoded_shape(ids.shape, mode, depth))


def rows_of(xp: Any, values: Any, mode: str) -> Any:
    """values (…) -> (N, L): in each row what makes one row of the output."""
    if mode == "one_hot":
        return values.reshape(-1, 1)
    if values.ndim < 2:
        return values.reshape(1, -1)
    return xp.ascontiguousarray(xp.moveaxis(values, 1, -1)).reshape(-1, values.shape[1])


def values_of(xp: Any, rows: Any, shape: tuple[int, ...]) -> Any:
    """The way back from `rows_of`, in "multi_hot" and "count"."""
    if len(shape) < 2:
        return rows.reshape(shape)
    turned = (shape[0], *shape[2:], shape[1])
    return xp.ascontiguousarray(xp.moveaxis(rows.reshape(turned), -1, 1))


def encoded_shape(shape: Any, mode: str, depth: int | None) -> Any:
    """The shape of the output for ids of this shape."""
    shape = tuple(shape)
    if mode == "int":
        return shape
    if mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape or (1,)), depth)
    return (*shape[:1], *shape[2:], depth) if len(shape) > 1 else (depth,)
