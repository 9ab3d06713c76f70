"""`Sequential`: layers one after another."""
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from nblayers import serialization
from nblayers.arguments import flag
from nblayers.layers.base import Layer
from nblayers.layers.input_layer import InputLayer
from nblayers.layers.symbolic import SymbolicTensor
from nblayers.models import configuration
from nblayers.models.graph import Graph
from nblayers.models.model import Model, made_as
from nblayers.structures import are_shapes, flatten, flatten_shapes, is_shape, map_shapes


class Sequential(Model):
    """A stack of layers, each of which is given the output of the one before.

        model = Sequential([Input((10, 1)), LSTM(32), Dense(1)])

    The weights are made as soon as the shape of the input is known: from an `Input`, from `input_shape=` of the first
    layer, from `build(input_shape)`, or from the first data.

    Arguments:
        layers: the layers; more can be added with `add`.
        trainable: whether an optimizer may change the weights.
        name: "sequential", numbered, by default.

    Raises:
        ValueError: something that is not a layer, or two layers of one name.
    """

    def __init__(self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None) -> None:
        super().__init__(name=name, trainable=trainable)
        self._chain: list[Any] = []             # the symbolic output after each layer, once the input's shape is known
        self._names: Counter[str] = Counter()   # of the layers, as they were put on
        if layers is not None and not isinstance(layers, Iterable):
            raise ValueError(f"{self.described}: expected layers to be a list of layers, got {layers!r}")
        for layer in layers or []:
            self._put(layer)
        self._changed()
        if not trainable:
            self.trainable = False

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer (or an `Input`) on top of the stack (`rebuild` is accepted as in Keras).

        Raises:
            ValueError: not a layer, a layer of a name that is taken, a second input, or a layer that does not fit the
                output of the one before.
        """
        self._put(layer)
        self._changed()

    def _put(self, layer: Any) -> None:
        """Call the layer on the output of the one before, if that is known, and keep it."""
        if isinstance(layer, SymbolicTensor) and isinstance(layer.node.layer, InputLayer):
            layer = layer.node.layer
        if not isinstance(layer, Layer):
            raise ValueError(f"{self.described}: expected a layer, got {type(layer).__name__} {layer!r}")
        if layer.name in self._names and any(layer.name == other.name and layer is not other for other in self._layers):
            raise ValueError(f"{self.described}: expected layers of different names, got a second layer named {layer.name!r}")
        if isinstance(layer, InputLayer) and self._layers:
            raise ValueError(f"{self.described}: an Input can only stand first, got {layer.name!r} after other layers")
        layers, tensors = [layer], []
        if isinstance(layer, InputLayer):
            tensors = [layer.output]
        elif self._chain:
            tensors = [layer(self._chain[-1])]
        elif not self._layers and (shape := _known_input_shape(layer)) is not None:
            entries, inputs = _entries(shape, layer.input_dtype)
            layers, tensors = [*entries, layer], [inputs, layer(inputs)]
        self._layers += layers                          # only now: a layer that does not fit changes nothing
        self._chain += tensors
        self._names[layer.name] += 1

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the last layer off and return it (`rebuild` is accepted as in Keras).

        Raises:
            ValueError: there is none.
        """
        if not self._layers or isinstance(self._layers[-1], InputLayer):
            raise ValueError(f"{self.described}: there is no layer to take off")
        if self._chain:
            self._chain.pop()
        layer = self._layers.pop()
        self._names[layer.name] -= 1
        self._changed()
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of this shape, batch axis included.

        Raises:
            ValueError: no layers, or a model that has another input shape already.
        """
        if not self.layers:
            raise ValueError(f"{self.described}: a model without layers cannot be built; add some")
        if self._chain:
            known = [tensor.shape for tensor in flatten(self._chain[0])]
            if input_shape is not None and [shape[1:] for shape in flatten_shapes(input_shape)] != [s[1:] for s in known]:
                raise ValueError(f"{self.described}: expected input shape {known}, for which it is built, got {input_shape}")
            return
        if input_shape is None:
            raise ValueError(f"{self.described}: build expected an input shape, got None")
        entries, inputs = _entries(map_shapes(lambda shape: (None, *shape[1:]), input_shape), self._layers[0].input_dtype)
        chain = [inputs]
        for layer in self._layers:
            chain.append(layer(chain[-1]))
        self._layers, self._chain = [*entries, *self._layers], chain
        self._changed()

    def _changed(self) -> None:
        """The layers are others now."""
        self._parts = None
        vars(self).pop("_graph", None)
        is_known = len(self._chain) > 1
        if is_known:
            self._input_structure, self._output_structure = self._chain[0], self._chain[-1]
        self.built = is_known           # last: another thread may wait for it

    @cached_property
    def _graph(self) -> Graph | None:
        """The graph of the layers, made when it is asked for: many layers can be added without going through them each time."""
        if len(self._chain) < 2:
            return None
        return Graph(flatten(self._chain[0]), flatten(self._chain[-1]), self.described)

    @property
    def is_functional(self) -> bool:
        return False

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input layer."""
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._graph is not None:
            return super().compute_output_shape(input_shape)
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def __getstate__(self) -> dict[str, Any]:
        graph = self._graph
        return {**super().__getstate__(), "_graph": graph, "_chain": bool(self._chain)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        graph, begun = state["_graph"], state["_chain"]
        if graph is None:
            vars(self).pop("_graph")                    # it is found out when it is asked for
            self._chain = [layer.output for layer in self._layers if isinstance(layer, InputLayer)] if begun else []
        else:
            self._chain = [self._input_structure, *(node.structure for node in graph.nodes if node.inputs)]

    def _graph_or_error(self) -> Graph:
        if self._graph is None:
            raise ValueError(f"{self.described}: its inputs and outputs are not known yet; call it on data, or "
                             "build(input_shape)")
        return self._graph

    def get_config(self) -> dict[str, Any]:
        """The layers; of a class with an `__init__` or `forward` of its own what Layer.get_config gives."""
        config = Layer.get_config(self)
        if type(self).forward is not Model.forward or not made_as(type(self), Sequential):
            return config
        with serialization.writing():
            config["layers"] = [configuration.serialize(layer) for layer in self._layers]
        if self.built:
            config["build_input_shape"] = self.input_shape
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None,
                    safe_mode: bool = True) -> "Sequential":
        """Make a model from what `get_config` gave, ours or Keras'.

        Raises:
            ValueError: a layer of an unknown class (give it in `custom_objects`), or what is no such configuration.
            TypeError: what `__init__` of a class of your own does not take.
        """
        if not made_as(cls, Sequential):
            return Layer.from_config.__func__(cls, config)  # type: ignore[attr-defined]
        model = cls(name=config.get("name"))
        with serialization.reading(custom_objects, safe_mode):
            for layer in configuration.read_stack(model.described, config.get("layers")):
                model.add(layer)
        shape = config.get("build_input_shape")
        if shape and not model.built and model.layers:
            if not are_shapes(shape):
                raise ValueError(f"{model.described}: expected a shape as build_input_shape, got {shape!r}")
            model.build(tuple(shape) if is_shape(shape) else shape)
        if not flag(model.described, "trainable", config.get("trainable", True)):
            model.trainable = False
        return model


def _entries(input_shape: Any, dtype: str | None) -> tuple[list[Layer], Any]:
    """Input layers for one shape or a list of them, and their tensors in the same structure."""
    entries = [InputLayer(batch_shape=shape, dtype=dtype) for shape in flatten_shapes(input_shape)]
    tensors = [entry.output for entry in entries]
    return list(entries), tensors[0] if is_shape(input_shape) else tensors


def _known_input_shape(layer: Layer) -> Any:
    """The shape of the input that a first layer was declared for, or None."""
    if layer.declared_input_shape is not None:
        return layer.declared_input_shape
    return layer.input_shape if isinstance(layer, Model) and layer._graph is not None else None
