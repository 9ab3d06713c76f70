"""Shapes of outputs that a layer does not declare."""
import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from nblayers.structures import are_shapes, map_shapes


def infer_output_shape(layer: Any, input_shape: Any) -> Any:
    """Run `forward` on zeros of two sizes: an axis of the output that changes with an unknown axis is unknown itself."""
    small, large = (_output_shape(layer, input_shape, size) for size in (2, 3))
    return merged(small, large)


def zeros_of(shape: Any, dtype: Any) -> Any:
    """Zeros for inputs of a shape, or of a list or dictionary of shapes: one sample, axes of any size being 1."""
    return map_shapes(lambda sizes: np.zeros([1 if axis == 0 or size is None else size for axis, size in enumerate(sizes)],
                                             dtype), shape)


def read_build_config(who: str, config: Any) -> dict[str, Any]:
    """The shapes of a `get_build_config`, by name.

    Raises:
        ValueError: it holds no shapes.
    """
    known = isinstance(config, Mapping) and ("input_shape" in config or isinstance(config.get("shapes_dict"), Mapping))
    named = {} if not known else {"input_shape": config["input_shape"]} if "input_shape" in config else config["shapes_dict"]
    if not named or not all(are_shapes(shape) for shape in named.values()):
        raise ValueError(f"{who}: expected a build_config such as {{'input_shape': (None, 8)}}, got {config!r}")
    return {name: map_shapes(tuple, shape) for name, shape in named.items()}


def _output_shape(layer: Any, input_shape: Any, size: int) -> Any:
    def zeros(shape: Any) -> Any:
        if shape and isinstance(shape[0], (list, tuple)):
            return [zeros(s) for s in shape]
        return np.zeros([size if n is None else n for n in shape], np.int64 if layer.integer_inputs else layer.dtype)

    probe = layer if layer.built else copy.deepcopy(layer)
    with probe._thread.set_aside():
        outputs = probe.forward(zeros(input_shape), **({"training": False} if layer.follows_training else {}))
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
