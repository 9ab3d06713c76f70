"""Calls of a layer inside another: what each leaves behind, and its backward."""
from typing import Any

from nblayers.layers.base import Layer, Shape


def build_inside(outer: Layer, layer: Layer, input_shape: Shape) -> None:
    """Build a layer that is not built yet; its weights' paths begin with the outer layer's name."""
    if not layer.built:
        layer._ensure_built(input_shape)
        for parameter in layer.weights:
            parameter.path = f"{outer.name}/{parameter.path}"


def record_of(layer: Layer) -> tuple[Any, Any]:
    """What the last forward of a layer left for its backward."""
    state = layer._thread
    return state.cache, state.last_call


def backward_of(layer: Layer, record: tuple[Any, Any], dy: Any, input_gradient: bool) -> Any:
    """The backward of the call that left this record; without `input_gradient` dL/dx may be None."""
    state = layer._thread
    state.cache, state.last_call = record
    state.input_gradient = input_gradient
    try:
        return layer.backward(dy)
    finally:
        state.input_gradient = True
