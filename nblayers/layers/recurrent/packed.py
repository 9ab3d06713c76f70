"""Layers that take packed batches."""
from typing import Any

import numpy as np

from nblayers.layers.base import Layer, by_looks
from nblayers.utils.packing import PackedSequence


class TakesPacked(Layer):
    """Of a packed batch the data become an array as other inputs do."""

    @by_looks
    def _to_array(self, value: Any) -> Any:
        if isinstance(value, PackedSequence):
            return value._replace(data=super()._to_array(value.data))
        return super()._to_array(value)


class KeepsPacked(TakesPacked):
    """Remembers a packed batch as `cache.packed`, without its data; gradients of sequences are then packed alike."""

    @property
    def _packed(self) -> PackedSequence | None:
        return getattr(self.cache, "packed", None)

    def _to_gradient(self, dy: Any, shapes: Any) -> Any:
        packed = self._packed
        if packed is None or not isinstance(shapes, tuple) or len(shapes) < 3:
            return super()._to_gradient(dy, shapes)
        if not (dy is None or isinstance(dy, PackedSequence)):
            raise ValueError(f"{self.described}: backward expected a PackedSequence, as forward gave, got {type(dy).__name__}")
        rows = (int(np.sum(packed.batch_sizes)), *shapes[2:])
        return packed._replace(data=super()._to_gradient(None if dy is None else dy.data, rows))
