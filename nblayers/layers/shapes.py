"""Shapes of outputs that a layer does not declare."""
import copy
from typing import Any

import numpy as np


def infer_output_shape(layer: Any, input_shape: Any) -> Any:
    """Run `forward` on zeros of two sizes: an axis of the output that changes with an unknown axis is unknown itself."""
    small, large = (_output_shape(layer, input_shape, size) for size in (2, 3))
    return merged(small, large)


def _output_shape(layer: Any, input_shape: Any, size: int) -> Any:
    def zeros(shape: Any) -> Any:
        if shape and isinstance(shape[0], (list, tuple)):
            return [zeros(s) for s in shape]
        return np.zeros([size if n is None else n for n in shape], np.int64 if layer.integer_inputs else layer.dtype)

    probe = layer if layer.built else copy.deepcopy(layer)
    with probe._thread.set_aside():
        outputs = probe.forward(zeros(input_shape))
    return [y.shape for y in outputs] if isinstance(outputs, (list, tuple)) else outputs.shape


def merged(small: Any, large: Any) -> Any:
    """Shapes of which two sizes of the unknown axes gave these: axes that differ are unknown themselves."""
    if small is None:
        return None
    if isinstance(small, dict):
        return {key: merged(shape, large[key]) for key, shape in small.items()}
    if isinstance(small, list):
        return [merged(a, b) for a, b in zip(small, large, strict=True)]
    return tuple(a if a == b else None for a, b in zip(small, large, strict=True))
