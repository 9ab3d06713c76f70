"""What layers that make ids have in common: the forms in which the ids come out."""
import math
from typing import Any

import numpy as np

from nblayers.arguments import choice, flag
from nblayers.layers.base import Layer
from nblayers.layers.fixed import fixed

MODES = ("int", "one_hot", "multi_hot", "count")


def bags(layer: Layer, ids: Any, offsets: Any, counted: bool, V: int) -> Any:
    """ids, flat, of which row n has those from offsets[n] to offsets[n + 1] -> (N, V): how many of each id, or whether any.

    Negative ids are left out.
    """
    y = layer.xp.zeros((offsets.size - 1, V), layer.dtype)
    layer.kernels.text.bag_tokens(ids, offsets, counted, y)
    return y


class Encoder(Layer):
    r"""A layer whose output are ids i, from 0 to V - 1, or rows made of them:

        y_{nv} = [i_n = v]                              "one_hot": for each id; a last axis of 1 gives way to that of y
        y_{nv} = \sum_l [i_{nl} = v]                    "count": for each sample; l is on axis 1, or on the only one
        y_{nv} = [\sum_l [i_{nl} = v] > 0]              "multi_hot"

    Arguments:
        output_mode: one of `modes`.
        sparse: refused where it is True.
    """

    single_values = True
    modes: tuple[str, ...] = MODES
    output_mode: str = fixed()

    def __init__(self, output_mode: str, sparse: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_mode = choice(self.described, "output_mode", output_mode, self.modes)
        if flag(self.described, "sparse", sparse):
            raise ValueError(f"{self.described}: expected sparse=False, got True: there are no sparse arrays here")

    def _encoded(self, ids: Any, V: int) -> Any:
        """ids (…), integers, as the output mode wants them."""
        if self.output_mode == "int":
            return ids.astype(self.output_dtype, copy=False)
        rows = self._rows(ids)
        offsets = self.xp.arange(len(rows) + 1, dtype=np.int64) * rows.shape[1]
        y = bags(self, rows.reshape(-1), offsets, self.output_mode == "count", V)
        return y.reshape(self._encoded_shape(ids.shape, V))

    def _rows(self, values: Any) -> Any:
        """values (…) -> (N, L): in each row what makes one row of the output."""
        if self.output_mode == "one_hot":
            return values.reshape(-1, 1)
        if values.ndim < 2:
            return values.reshape(1, -1)
        N = values.shape[0] * math.prod(values.shape[2:])
        return self.xp.ascontiguousarray(self.xp.moveaxis(values, 1, -1)).reshape(N, values.shape[1])

    def _encoded_shape(self, shape: Any, V: int) -> Any:
        """The shape of the output for ids of this shape."""
        shape = tuple(shape)
        if self.output_mode == "int":
            return shape
        if self.output_mode == "one_hot":
            return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape or (1,)), V)
        return (*shape[:1], *shape[2:], V) if len(shape) > 1 else (V,)

    def backward(self, dy: Any) -> Any:
        """There is no gradient: None."""

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"output_mode": self.output_mode}


__all__ = ["MODES", "Encoder", "bags"]
