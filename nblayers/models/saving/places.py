"""Where in a file the state of a model lies: the paths that Keras 3 gives to layers ("layers/lstm/cell")."""
from collections import Counter
from collections.abc import Iterator
from typing import Any

from nblayers.layers.base import Layer
from nblayers.models.training import Trainer
from nblayers.naming import snake_case

# where Keras' class, or the attribute that it finds a layer by, has another name than ours
_CLASSES = {"GroupQueryAttention": "GroupedQueryAttention", "Model": "Functional"}
_ATTRIBUTES: dict[str, dict[str, str]] = {
    "GroupQueryAttention": {name: f"_{name}" for name in ("query_dense", "key_dense", "value_dense", "gate_dense",
                                                          "output_dense")},
    "MultiHeadAttention": {"gate_dense": "_gate_dense"},
    "TextVectorization": {"_lookup": "_lookup_layer"},
}
# attributes of layers and models that hold layers for other reasons
_PASSED_OVER = {"_parameters", "_layers", "_chain", "_names", "_input_structure", "_output_structure", "_inbound_nodes",
                "_compile_arguments"}


def layers_by_path(model: Layer) -> dict[str, Layer]:
    """The model, at "", and every layer in it, each once: under the path by which Keras comes to it first."""
    found: dict[str, Layer] = {}
    seen: dict[int, Any] = {}           # the things themselves too: the id of one that is gone may be given to another
    waiting: list[tuple[str, Any]] = [("", model)]
    while waiting:
        path, thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if isinstance(thing, Layer):
            found[path] = thing
            parts = list(_attributes(thing))
        else:
            parts = list(_items(thing))
        waiting += [(f"{path}/{name}" if path else name, part) for name, part in reversed(parts)]
    return found


def _attributes(layer: Layer) -> Iterator[tuple[str, Any]]:
    """The layers, and containers of layers, in a layer's attributes, in Keras' order: private ones last."""
    names: dict[str, str] = {}
    for cls in reversed(type(layer).__mro__):
        names.update(_ATTRIBUTES.get(cls.__name__, {}))
    own = {}
    for name, value in list(vars(layer).items()):
        if isinstance(value, (Layer, list, tuple, dict)) and name not in _PASSED_OVER:
            name = name.removeprefix("_fixed_")             # of an attribute that is fixed
            own[names.get(name, name)] = value
    if isinstance(layer, Trainer):
        if vars(layer).get("_layers"):                      # wired, or a Sequential
            yield "layers", layer.layers
        else:
            own["layers"] = layer.layers
    yield from sorted(own.items(), key=lambda item: f"~{item[0]}" if item[0].startswith("_") else item[0])


def _items(container: Any) -> Iterator[tuple[str, Any]]:
    """Layers in a container go by their class, numbered from the second on: names may differ from model to model."""
    count: Counter[str] = Counter()
    for item in container.values() if isinstance(container, dict) else container:
        if isinstance(item, Layer):
            cls = type(item).__name__
            name = snake_case(_CLASSES.get(cls, cls))
        elif isinstance(item, (list, tuple, dict)):
            name = "container"
        else:
            continue
        count[name] += 1
        yield name if count[name] == 1 else f"{name}_{count[name] - 1}", item
