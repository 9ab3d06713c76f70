"""The configuration of a functional model: its layers, and which call takes which tensors (Keras' format)."""
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nblayers import serialization
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

    def entry(layer: Layer) -> dict[str, Any]:
        described = configuration.serialize(layer)
        nodes = [{"args": map_structure(argument, list(node.args)), "kwargs": map_structure(argument, node.kwargs)}
                 for node in calls[layer.name] if node.inputs]
        described.update(name=layer.name, inbound_nodes=nodes)      # in place: it may be told later that the layer is shared
        return described

    return {"layers": [entry(layer) for layer in graph.layers], "input_layers": map_structure(end, inputs),
            "output_layers": map_structure(end, outputs)}


def wire(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Make the layers of a configuration and call them as it says; returns the symbolic inputs and outputs.

    Raises:
        ValueError: calls that take what no other call gives, or what is no such configuration.
    """
    wiring = _Wiring(config)
    return wiring.ends("input_layers"), wiring.ends("output_layers")


class _Wiring:
    """Layers being made and called as a configuration says.

    Arguments:
        config: a model's configuration, which anybody may have written.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.who = f"model {config.get('name')!r}"
        self.layers: dict[str, Layer] = {}
        waiting = [(name, node) for name, node in self._entries()]
        self.made: dict[str, list[Node]] = {name: list(vars(layer)["_inbound_nodes"]) if isinstance(layer, InputLayer) else []
                                            for name, layer in self.layers.items()}
        while waiting:
            waiting = self._call(waiting)

    def _entries(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Make the layers; gives the calls, each with the name of its layer."""
        for entry in _checked(self.who, "layers", self.config.get("layers"), list):
            name = _checked(self.who, "the name of a layer", _checked(self.who, "a layer", entry, Mapping).get("name"), str)
            if name in self.layers:
                raise ValueError(f"{self.who}: expected layers of different names, got a second layer named {name!r}")
            self.layers[name] = configuration.read_layer(self.who, entry)
            for node in _checked(self.who, f"inbound_nodes of {name!r}", entry.get("inbound_nodes"), list):
                for key, kind in (("args", (list, tuple)), ("kwargs", Mapping)):
                    part = _checked(self.who, f"a call of {name!r}", node, Mapping).get(key)
                    _checked(self.who, f"{key} of a call of {name!r}", part, kind)
                if not self._sources(node):
                    raise ValueError(f"{self.who}: expected a call of {name!r} to take tensors, got none")
                yield name, node

    def _call(self, waiting: list[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, Mapping[str, Any]]]:
        """Make the calls whose tensors are there; gives those that have to wait."""
        later: list[Any] = []
        held: set[str] = set()                          # the calls of a layer stay in their order
        for name, node in waiting:
            if name not in held and all(self._is_made(source) for source in self._sources(node)):
                args, kwargs = (self._revived(node[part]) for part in ("args", "kwargs"))
                with serialization.telling(f"{self.who}: a call of {name!r}", named=name):
                    self.layers[name](*args, **kwargs)
                self.made[name].append(vars(self.layers[name])["_inbound_nodes"][-1])
            else:
                later.append((name, node))
                held.add(name)
        if len(later) == len(waiting):
            raise ValueError(f"{self.who}: the calls of {sorted({name for name, _ in later})} need tensors "
                             "that no other call gives")
        return later

    def ends(self, key: str) -> Any:
        """The tensors that stand under this key of the configuration, in its structure."""
        return self._end(key, self.config.get(key))

    def _end(self, key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self._end(key, item) for name, item in value.items()}
        if _is_history(value):
            name, call, index = value
            call -= name in self.layers and _is_functional(self.layers[name])
            if call >= 0 and self._is_made([name, call, index]):
                return self.made[name][call].outputs[index]
        elif isinstance(value, (list, tuple)):
            return [self._end(key, item) for item in value]
        raise ValueError(f"{self.who}: expected {key} to be outputs of layers as [name, call, output], got {value!r:.200}")

    def _is_made(self, source: list[Any]) -> bool:
        name, call, index = source
        return name in self.made and call < len(self.made[name]) and index < len(self.made[name][call].outputs)

    def _sources(self, value: Any) -> list[list[Any]]:
        """Where the tensors in the arguments of a call come from: [layer, call, output]."""
        if isinstance(value, Mapping):
            if value.get("class_name") == "__keras_tensor__":
                return [self._history(value)]
            return [source for item in value.values() for source in self._sources(item)]
        return [source for item in value for source in self._sources(item)] if isinstance(value, (list, tuple)) else []

    def _revived(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            if value.get("class_name") == "__keras_tensor__":
                name, call, index = self._history(value)
                return self.made[name][call].outputs[index]
            if value.get("class_name") == "__numpy__":
                return serialization.read_array(value.get("config"))
            return {key: self._revived(item) for key, item in value.items()}
        return [self._revived(item) for item in value] if isinstance(value, (list, tuple)) else value

    def _history(self, tensor: Mapping[str, Any]) -> list[Any]:
        config = tensor.get("config")
        history = config.get("keras_history") if isinstance(config, Mapping) else None
        if history is None or not _is_history(history):
            raise ValueError(f"{self.who}: expected a tensor's keras_history as [name of a layer, call, output], "
                             f"got {history!r:.200}")
        return list(history)


def _is_functional(layer: Layer) -> bool:
    """Whether this is a functional model, whose calls Keras counts from 1 where it writes a model's inputs and outputs."""
    return isinstance(layer, Trainer) and layer.is_functional


def _is_history(value: Any) -> bool:
    return (isinstance(value, (list, tuple)) and len(value) == 3 and isinstance(value[0], str)
            and all(type(number) is int and number >= 0 for number in value[1:]))


def _checked(who: str, what: str, value: Any, kind: Any) -> Any:
    """The value, which must be of this kind.

    Raises:
        ValueError: it is of another.
    """
    if not isinstance(value, kind):
        names = {list: "a list", (list, tuple): "a list", Mapping: "a dictionary", str: "a string"}
        raise ValueError(f"{who}: expected {what} to be {names[kind]}, got {value!r:.200}")
    return value
