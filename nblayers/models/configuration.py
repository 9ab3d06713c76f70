"""Models as configurations, in the form in which Keras writes them."""
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from nblayers import serialization
from nblayers.layers.base import Layer, _flatten
from nblayers.layers.input_layer import Input, InputLayer
from nblayers.layers.symbolic import SymbolicTensor
from nblayers.models.training import Trainer
from nblayers.structures import flatten, map_structure


def serialize(layer: Layer) -> dict[str, Any]:
    """A layer or model as Keras writes it: {"module", "class_name", "config", "registered_name"}.

    Raises:
        TypeError, ValueError: see `serialize_keras_object`.
    """
    described: dict[str, Any] = serialization.serialize(layer)
    if described["module"] == "keras" and described["class_name"] == "Model":
        described.update(module="keras.src.models.functional", class_name="Functional", registered_name="Functional")
    return described


def deserialize(described: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True,
                compile: bool = False) -> Any:
    """Make a layer or model from what `serialize`, ours or Keras', gave.

    Arguments:
        described: {"class_name": …, "config": …}.
        custom_objects: your own classes and functions by name, the registered ones apart.
        safe_mode: False to run the bytecode of lambdas, which could do anything.
        compile: whether to compile models that were compiled.

    Raises:
        ValueError: a class that is neither ours nor known as custom, or what is no such configuration.
    """
    with serialization.reading(custom_objects, safe_mode, compile):
        return read_layer("the configuration", described)


def read_layer(who: str, described: Any) -> Layer:
    """The layer of a description within another; `who` opens error messages."""
    if not isinstance(described, Mapping) or not isinstance(described.get("class_name"), str):
        raise ValueError(f"{who}: expected a layer as {{'class_name': …, 'config': …}}, got {described!r:.200}")
    made = serialization.revived(described, serialization.find_class(described, "layer"))
    if not isinstance(made, Layer):
        raise ValueError(f"{who}: expected a layer, got the configuration of {made!r:.200}")
    return made


def read_stack(who: str, descriptions: Any) -> Iterator[Layer]:
    """The layers of a `Sequential`; a name and configuration that come again are the same layer in the stack again."""
    if not isinstance(descriptions, list):
        raise ValueError(f"{who}: expected a list as layers, got {descriptions!r:.200}")
    made: dict[str, tuple[Any, Layer]] = {}
    for described in descriptions:
        config = described.get("config") if isinstance(described, Mapping) else None
        name = config.get("name") if isinstance(config, Mapping) else None
        before, layer = made.get(name, (None, None)) if isinstance(name, str) else (None, None)
        if layer is None or before != described:
            layer = read_layer(who, described)
        made[layer.name] = described, layer
        yield layer


def to_json(model: Trainer, **kwargs: Any) -> str:
    """The configuration of a model as text; the keywords are those of `json.dumps`.

    Raises:
        TypeError: the model holds what could not be read back.
    """
    return json.dumps(serialize(model), default=as_plain, **kwargs)


def model_from_json(text: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make a model, with fresh weights, from what `model.to_json()` gave; compiled, if that was.

    Raises:
        ValueError: a layer of an unknown class (give it in `custom_objects`); a text that is no model's.
    """
    try:
        described = json.loads(text)
    except RecursionError:
        raise ValueError("model_from_json: the configuration is nested too deeply to be read") from None
    model = deserialize(described, custom_objects, compile=True)
    if not isinstance(model, Trainer):
        raise ValueError(f"model_from_json: expected the configuration of a model, got that of {model!r}")
    return model


def clone_model(model: Trainer, input_tensors: Any = None, clone_function: Callable[[Layer], Layer] | None = None,
                call_function: Callable[..., Any] | None = None, recursive: bool = False) -> Any:
    """A model of the same layers with fresh weights, compiled in the same way; vocabularies are the same.

    A layer that stands several times in the model, or in several models inside of it, is one layer in the clone too (Keras'
    clone of nested models has a layer for each).

    Arguments:
        model: a model made of layers; one of your own class needs a `get_config`, or plain arguments.
        input_tensors: symbolic inputs to build on, in the structure of `model.input`; new ones by default.
        clone_function: layer -> the layer to put in its place; it may be the same one. By default a new one of the same
            configuration.
        call_function: (layer, *args, **kwargs) -> outputs, in place of calling each new layer; of functional models only.
        recursive: whether models inside are cloned in the same way, layer by layer, and not handed to `clone_function`.

    Raises:
        ValueError: tensors that are none or of another structure; a function for a model that is not made of layers.
    """
    if input_tensors is None and clone_function is None and call_function is None:
        return _with_assets(model, serialization.remade(model))
    if call_function is not None and _is_stack(model):
        raise ValueError(f"{model.described}: clone_model takes a call_function for functional models only")
    return _Cloning(clone_function, call_function, recursive).of(model, input_tensors)


class _Cloning:
    """Models rebuilt layer by layer; each layer has one clone, wherever it stands.

    Arguments: see `clone_model`.
    """

    def __init__(self, clone: Callable[[Layer], Layer] | None, call: Callable[..., Any] | None, recursive: bool) -> None:
        self.clone, self.call, self.recursive = clone, call, recursive
        self.clones: dict[int, Layer] = {}

    def of(self, model: Any, input_tensors: Any = None) -> Any:
        if _is_stack(model):
            new: Any = self._stack(model, input_tensors)
        elif isinstance(model, Trainer) and model.is_functional:
            new = self._graph(model, input_tensors)
        else:
            raise ValueError(f"{getattr(model, 'described', model)}: clone_model takes input_tensors, clone_function and "
                             "call_function for functional and sequential models only")
        if compiled := model._compile_arguments:
            new.compile(**serialization.remade(compiled))
        return new

    def _stack(self, model: Any, input_tensors: Any) -> Any:
        from nblayers.models.sequential import Sequential
        entries = [layer for layer in model._layers if isinstance(layer, InputLayer)]
        self._prepare(model.layers)
        inputs = _tensors(model, input_tensors, model.input if model._graph is not None else None)
        if inputs is None:
            inputs = [_new_input(layer.output) for layer in entries]
        return Sequential([*flatten(inputs), *map(self._clone, model.layers)], trainable=model.trainable, name=model.name)

    def _graph(self, model: Any, input_tensors: Any) -> Any:
        from nblayers.models.model import Model, made_as
        graph = model._graph
        given = _tensors(model, input_tensors, model.input)
        inputs = map_structure(_new_input, model.input) if given is None else given
        made = dict(zip(map(id, graph.inputs), flatten(inputs), strict=True))

        def new(leaf: Any) -> Any:
            return made[id(graph.resolve(leaf))] if isinstance(leaf, SymbolicTensor) else leaf
        self._prepare(model.layers)
        for node in graph.nodes:
            if node.inputs:
                layer, args, kwargs = self._clone(node.layer), map_structure(new, node.args), map_structure(new, node.kwargs)
                outputs = self.call(layer, *args, **kwargs) if self.call is not None else layer(*args, **kwargs)
                made.update(zip(map(id, node.outputs), flatten(outputs), strict=True))
        cls: Any = type(model) if made_as(type(model), Model) else Model
        return cls(inputs, map_structure(new, model.output), name=model.name, trainable=model.trainable)

    def _prepare(self, layers: Any) -> None:
        """Clone the layers that have no clone yet together, so that what they share stays shared."""
        waiting = [layer for layer in self._single(layers) if id(layer) not in self.clones]
        if self.clone is not None or not waiting:
            return
        for layer, new in zip(waiting, serialization.remade(waiting), strict=True):
            self.clones[id(layer)] = _with_assets(layer, new)

    def _single(self, layers: Any) -> Iterator[Layer]:
        """The layers that are cloned as a whole, those of the models inside among them if these are not."""
        for layer in layers:
            if self._is_rebuilt(layer):
                yield from self._single(layer.layers)
            elif not isinstance(layer, InputLayer):
                yield layer

    def _is_rebuilt(self, layer: Layer) -> bool:
        return self.recursive and isinstance(layer, Trainer) and (layer.is_functional or _is_stack(layer))

    def _clone(self, layer: Any) -> Layer:
        if id(layer) not in self.clones:
            clone: Any = self.of if self._is_rebuilt(layer) else self.clone
            self.clones[id(layer)] = clone(layer)
        return self.clones[id(layer)]


def _is_stack(model: Any) -> bool:
    from nblayers.models.sequential import Sequential
    return isinstance(model, Sequential)


def _tensors(model: Any, given: Any, structure: Any) -> Any:
    """The input tensors that were given, in the model's structure."""
    if given is None:
        return None
    leaves = flatten(given)
    if not all(isinstance(tensor, SymbolicTensor) for tensor in leaves):
        raise ValueError(f"{model.described}: clone_model expected input_tensors made by Input(...), got {given!r}")
    if structure is not None and len(leaves) != len(flatten(structure)):
        raise ValueError(f"{model.described}: clone_model expected input_tensors in the structure of {structure!r}, "
                         f"got {given!r}")
    return given


def _new_input(tensor: SymbolicTensor) -> SymbolicTensor:
    return Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)


def _with_assets(layer: Layer, clone: Any) -> Any:
    give_assets(clone, assets_of(layer))
    return clone


def assets_of(model: Layer) -> dict[str, Any]:
    """What the layers keep beside their weights, by the layers' numbers."""
    return {str(number): layer.assets for number, layer in enumerate(_flatten(model)) if layer.assets is not None}


def give_assets(model: Layer, assets: Mapping[str, Any]) -> None:
    layers = _flatten(model)
    for number, asset in assets.items():
        layers[int(number)].assets = asset


def as_plain(value: Any) -> Any:
    """What JSON does not know: NumPy's numbers and arrays."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"cannot write {value!r} to JSON")
