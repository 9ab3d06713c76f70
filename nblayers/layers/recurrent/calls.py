"""Calls of a layer inside another: what each leaves behind, and its backward."""
from typing import Any

from nblayers.layers.base import Layer, Shape


def build_inside(outer: Layer, layer: Layer, input_shape: Shape) -> None:
    """Build a layer that is not built yet; its weights' paths begin with the outer layer's name."""
    if not layer.built:
        layer.build(input_shape)
        layer.built = True
        for parameter in layer.weights:
            parameter.path = f"{outer.name}/{parameter.path}"


def record_of(layer: Layer) -> tuple[Any, Any]:
    """What the last forward of a layer left for its backward."""
    return layer._cache, layer._last_call


def backward_of(layer: Layer, record: tuple[Any, Any], dy: Any, input_gradient: bool) -> Any:
    """The backward of the call that left this record; without `input_gradient` dL/dx may be None."""
    layer._cache, layer._last_call = record
    layer.input_gradient = input_gradient
    try:
        return layer.backward(dy)
    finally:
        layer.input_gradient = True
