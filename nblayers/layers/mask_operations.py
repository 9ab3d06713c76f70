"""What Keras writes into functional models for masks: each step in which it computes one is an operation in their files.

Of an `Embedding(mask_zero=True)`, say, an LSTM's call has `mask=not_equal(ids, 0)`. These are read, and written again, as they
are; models made here need none of them.
"""
import typing

import numpy as np

from nblayers.arguments import flag, integer, optional
from nblayers.layers.base import Layer


class _MaskOperation(Layer):
    """A mask computed from arrays or other masks; it has no gradient."""

    keras_module = "keras.src.ops.numpy"
    shape_by_running = True
    output_dtype = "bool"

    def __init__(self, name: str | None = None, **options: typing.Any) -> None:
        super().__init__(name=name)
        self._options = options

    def get_config(self) -> dict[str, typing.Any]:
        return {"name": self.name, **self._options}

    def compute_mask(self, *inputs: typing.Any, **masks: typing.Any) -> None:
        return None

    def forward(self, *arrays: typing.Any) -> typing.Any:
        self.cache = [isinstance(array, np.ndarray) for array in arrays]
        return self._mask(*arrays)

    def backward(self, dy: typing.Any) -> typing.Any:
        return [None] * sum(self.cache) if sum(self.cache) > 1 else None

    def _mask(self, *arrays: typing.Any) -> typing.Any:
        raise NotImplementedError


class NotEqual(_MaskOperation):
    """x ≠ y; Embedding's and Masking's."""

    def _mask(self, x: typing.Any, y: typing.Any) -> typing.Any:
        return np.not_equal(x, y)


class LogicalOr(_MaskOperation):
    """x ∨ y; the merging layers'."""

    def _mask(self, x: typing.Any, y: typing.Any) -> typing.Any:
        return np.logical_or(x, y)


class LogicalAnd(_MaskOperation):
    """x ∧ y."""

    def _mask(self, x: typing.Any, y: typing.Any) -> typing.Any:
        return np.logical_and(x, y)


class Any(_MaskOperation):
    """∃ x along an axis; Masking's."""

    def __init__(self, axis: typing.Any = None, keepdims: bool = False, name: str | None = None) -> None:
        super().__init__(name, axis=axis, keepdims=flag("Any", "keepdims", keepdims))
        self._axis = tuple(axis) if isinstance(axis, list) else optional(integer, "Any", "axis", axis)

    def _mask(self, x: typing.Any) -> typing.Any:
        return np.any(x, self._axis, keepdims=self._options["keepdims"])


class ExpandDims(_MaskOperation):
    """One more axis; Concatenate's."""

    def __init__(self, axis: int, name: str | None = None) -> None:
        super().__init__(name, axis=integer("ExpandDims", "axis", axis))

    def _mask(self, x: typing.Any) -> typing.Any:
        return np.expand_dims(x, self._options["axis"])


class ZerosLike(_MaskOperation):
    """A mask of nothing in the shape of x; Concatenate's."""

    def __init__(self, dtype: str = "bool", name: str | None = None) -> None:
        super().__init__(name, dtype=dtype)
        if dtype != "bool":
            raise ValueError(f"ZerosLike: expected dtype 'bool', that of a mask, got {dtype!r}")

    def _mask(self, x: typing.Any) -> typing.Any:
        return np.zeros(np.shape(x), bool)


class Concatenate(_MaskOperation):
    """Masks behind each other; Concatenate's."""

    def __init__(self, axis: int = 0, name: str | None = None) -> None:
        super().__init__(name, axis=integer("Concatenate", "axis", axis))

    def forward(self, masks: typing.Any) -> typing.Any:
        self.cache = [True] * len(masks)
        return np.concatenate(masks, self._options["axis"])


class ConvertToTensor(_MaskOperation):
    """x itself; Attention's."""

    keras_module = "keras.src.ops.core"

    def __init__(self, dtype: typing.Any = None, sparse: typing.Any = None, ragged: typing.Any = None,
                 name: str | None = None) -> None:
        super().__init__(name, dtype=dtype, sparse=sparse, ragged=ragged)
        if dtype not in (None, "bool"):
            raise ValueError(f"ConvertToTensor: expected dtype None or 'bool', that of a mask, got {dtype!r}")

    def _mask(self, x: typing.Any) -> typing.Any:
        return np.asarray(x, bool)
