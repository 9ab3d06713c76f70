"""The configuration of a functional model: its layers, and which call takes which tensors (Keras' format)."""
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nblayers.layers.base import Layer
from nblayers.layers.input_layer import InputLayer
from nblayers.layers.symbolic import Node, SymbolicTensor
from nblayers.models import configuration
from nblayers.models.graph import Graph
from nblayers.models.training import Trainer
from nblayers.structures import map_structure


def wiring_config(graph: Graph, inputs: Any, outputs: Any) -> dict[str, Any]:
    """The layers with their calls, and where the inputs and outputs come from."""
    calls = {layer.name: [node for node in graph.nodes if node.layer is layer] for layer in graph.layers}

    def history(tensor: SymbolicTensor) -> list[Any]:
        tensor = graph.resolve(tensor)
        name = tensor.node.layer.name
        return [name, calls[name].index(tensor.node), tensor.index]

    def end(tensor: SymbolicTensor) -> list[Any]:
        name, call, index = history(tensor)
        return [name, call + _is_functional(graph.resolve(tensor).node.layer), index]

    def argument(leaf: Any) -> Any:
        if isinstance(leaf, SymbolicTensor):
            return {"class_name": "__keras_tensor__",
                    "config": {"shape": leaf.shape, "dtype": leaf.dtype, "keras_history": history(leaf)}}
        if isinstance(leaf, np.ndarray):
            return {"class_name": "__numpy__", "config": {"value": leaf.tolist(), "dtype": leaf.dtype.name}}
        return leaf

    def arguments(node: Node) -> dict[str, Any]:
        return {"args": map_structure(argument, list(node.args)), "kwargs": map_structure(argument, node.kwargs)}

    layers = [{**configuration.serialize(layer), "name": layer.name,
               "inbound_nodes": [arguments(node) for node in calls[layer.name] if node.inputs]} for layer in graph.layers]
    return {"layers": layers, "input_layers": map_structure(end, inputs), "output_layers": map_structure(end, outputs)}


def wire(config: dict[str, Any], custom_objects: Mapping[str, Any] | None, safe_mode: bool) -> tuple[Any, Any]:
    """Make the layers of a configuration and call them as it says; returns the symbolic inputs and outputs.

    Raises:
        ValueError: calls that take what no other call gives.
    """
    layers = {entry["name"]: configuration.deserialize(entry, custom_objects, safe_mode) for entry in config["layers"]}
    made: dict[str, list[Node]] = {name: list(vars(layer)["_inbound_nodes"]) if isinstance(layer, InputLayer) else []
                                   for name, layer in layers.items()}

    def tensor(name: str, call: int, index: int) -> SymbolicTensor:
        return made[name][call].outputs[index]

    waiting = [(entry["name"], node) for entry in config["layers"] for node in entry["inbound_nodes"]]
    while waiting:
        later: list[Any] = []
        for name, node in waiting:
            first_of_layer = not any(other == name for other, _ in later)       # the calls of a layer stay in their order
            if first_of_layer and all(_is_made(made, source) for source in _sources(node)):
                args, kwargs = (_revived(node[part], tensor) for part in ("args", "kwargs"))
                layers[name](*args, **kwargs)
                made[name].append(vars(layers[name])["_inbound_nodes"][-1])
            else:
                later.append((name, node))
        if len(later) == len(waiting):
            raise ValueError(f"model {config.get('name')!r}: the calls of {sorted({name for name, _ in later})} need tensors "
                             "that no other call gives")
        waiting = later

    def ends(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: ends(item) for key, item in value.items()}
        if not isinstance(value[0], str):
            return [ends(item) for item in value]
        name, call, index = value
        return tensor(name, call - _is_functional(layers[name]), index)
    return ends(config["input_layers"]), ends(config["output_layers"])


def _is_functional(layer: Layer) -> bool:
    """Whether this is a functional model, whose calls Keras counts from 1 where it writes a model's inputs and outputs."""
    return isinstance(layer, Trainer) and layer.is_functional


def _is_made(made: dict[str, list[Node]], source: list[Any]) -> bool:
    name, call, _ = source
    return name in made and call < len(made[name])


def _sources(value: Any) -> list[list[Any]]:
    """Where the tensors in the arguments of a call come from: [layer, call, output]."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return [value["config"]["keras_history"]]
        return [source for item in value.values() for source in _sources(item)]
    return [source for item in value for source in _sources(item)] if isinstance(value, (list, tuple)) else []


def _revived(value: Any, tensor: Callable[..., SymbolicTensor]) -> Any:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return tensor(*value["config"]["keras_history"])
        if value.get("class_name") == "__numpy__":
            return np.array(value["config"]["value"], value["config"]["dtype"])
        return {key: _revived(item, tensor) for key, item in value.items()}
    return [_revived(item, tensor) for item in value] if isinstance(value, (list, tuple)) else value
