"""`Model`: layers wired into a graph, or a class of your own."""
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nblayers import serialization
from nblayers.arguments import flag
from nblayers.layers.base import Layer, Record, _shapes, auto_name
from nblayers.layers.input_layer import Input
from nblayers.layers.symbolic import SymbolicTensor
from nblayers.models import configuration, saving
from nblayers.models.data import as_arrays
from nblayers.models.graph import Graph
from nblayers.models.training import Trainer
from nblayers.models.wiring import wire, wiring_config
from nblayers.structures import flatten, flatten_shapes, map_structure, pack


class Model(Trainer):
    """Layers wired from symbolic inputs to symbolic outputs; itself a layer, so that models nest.

        x = Input((10,))
        model = Model(x, Dense(3)(Dense(5, activation="relu")(x)))

    A subclass may instead write `forward(self, x, training=False)` and `backward(self, dy)` over layers that it keeps in
    its attributes, and is then compiled and fitted in the same way.

    Arguments:
        inputs: the tensor, or list or dictionary of tensors, that values are given for.
        outputs: the tensor, or list or dictionary of tensors, to compute.
        name: "functional", numbered, by default.
        trainable: whether an optimizer may change the weights.

    Raises:
        ValueError: inputs or outputs that are not symbolic tensors, outputs that need other inputs, two layers of one name.
    """

    class Cache(Record):
        records: list[Any]      # each call's record
        masks: list[Any]        # the outputs' masks
        shapes: list[Any]       # the inputs' shapes as they were given

    supports_masking = True

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, trainable: bool = True,
                 **kwargs: Any) -> None:
        wired = inputs is not None or outputs is not None
        if name is None and wired and type(self) is Model:
            name = auto_name("Functional")
        super().__init__(name=name, trainable=trainable, **kwargs)
        self._layers: list[Layer] = []
        self._input_structure = self._output_structure = None
        if wired:
            self._wire(inputs, outputs)
            if not trainable:
                self.trainable = False

    def _wire(self, inputs: Any, outputs: Any) -> None:
        for what, given in (("inputs", inputs), ("outputs", outputs)):
            for tensor in flatten(given):
                if not isinstance(tensor, SymbolicTensor):
                    raise ValueError(f"{self.described}: expected {what} made by Input(...) and layers called on it, got "
                                     f"{type(tensor).__name__} {tensor!r}")
        self._graph = Graph(flatten(inputs), flatten(outputs), self.described)
        self._layers = self._graph.layers
        self._input_structure, self._output_structure = pack(inputs, self._graph.inputs), outputs
        self.built = True

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        for name in ("_input_structure", "_output_structure"):
            state[name] = map_structure(lambda tensor: None, state[name])       # the graph has its tensors
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if (graph := state.get("_graph")) is not None:
            self._input_structure = pack(self._input_structure, graph.inputs)
            self._output_structure = pack(self._output_structure, graph.outputs)

    def forward(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        graph = self._graph_or_error()
        given = self._in_order(inputs)
        arrays = [_to_rank(array, len(tensor.shape)) for array, tensor in zip(given, graph.inputs, strict=True)]
        masks = [None] * len(arrays) if mask is None else mask if isinstance(mask, list) else [mask]
        outputs, out_masks, records = graph.forward(arrays, masks, training)
        self.cache = self.Cache(records, out_masks, [_shapes(array) for array in given])
        return outputs[0] if len(outputs) == 1 else pack(self._output_structure, outputs)

    def backward(self, dy: Any) -> Any:
        state = self._thread
        gradients = self._graph_or_error().backward(flatten(dy), self.cache.records, state.input_gradient, state.tell)
        dxs = [dx if dx is None else dx.reshape(shape) for dx, shape in zip(gradients, self.cache.shapes, strict=True)]
        return dxs[0] if len(dxs) == 1 else pack(self._input_structure, dxs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The masks that the last forward's outputs have; for a class of your own, the mask that came in."""
        if isinstance(self._thread.cache, Model.Cache):
            masks = self.cache.masks
            return masks[0] if len(masks) == 1 else masks
        return previous_mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shapes of the outputs for inputs of these shapes, in the structure of the outputs."""
        if self._graph is None:
            return super().compute_output_shape(input_shape)
        shapes = flatten_shapes(input_shape)
        if shapes != [tensor.shape for tensor in self._graph.inputs]:
            return _unwrapped(pack(self._output_structure, self._graph.output_shapes(shapes)))
        return _unwrapped(map_structure(lambda tensor: tensor.shape, self._output_structure))

    def _graph_or_error(self) -> Graph:
        if self._graph is None:
            raise NotImplementedError(f"{self.described}: give Model(inputs, outputs), or write forward and backward")
        return self._graph

    def _in_order(self, inputs: Any) -> list[Any]:
        """The arrays for the graph's inputs, given as one, as a list, or by the names of the inputs."""
        if isinstance(inputs, dict):
            keys: list[str] = sorted(self._input_structure) if isinstance(self._input_structure, dict) else []
            names = keys if keys and set(keys) <= set(inputs) else self.input_names
            if not set(names) <= set(inputs):
                raise ValueError(f"{self.described}: expected inputs named {names}, got {list(inputs)}")
            return [inputs[name] for name in names]
        given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        expected = len(self._graph_or_error().inputs)
        if len(given) != expected:
            raise ValueError(f"{self.described}: expected {expected} input{'s' * (expected != 1)}, got {len(given)}")
        return given

    def _to_array(self, value: Any) -> Any:
        """Arrays go on as they are, integers and strings too: each layer converts what it is given."""
        return value if type(value) is np.ndarray else as_arrays(value, self.described, "the input")

    def _check_inputs(self, inputs: Any) -> None:
        graph = self._graph
        if graph is None:
            return
        if type(inputs) is np.ndarray and len(graph.inputs) == 1 and inputs.size and inputs.ndim == len(graph.inputs[0].shape):
            return                                          # as in most calls
        for array, tensor in zip(self._in_order(inputs), graph.inputs, strict=True):
            if array is None and tensor.node.layer.optional:
                continue
            shape = tuple(getattr(array, "shape", ()))
            if len(shape) == len(tensor.shape) and shape[0] != 0:
                continue
            if not _fits_rank(shape, tensor.shape):
                raise ValueError(f"{self.described}: expected shape {tensor.shape} for input {tensor.name!r}, got {shape}")
            if shape[0] == 0:
                raise ValueError(f"{self.described}: expected at least one sample, got input {tensor.name!r} of shape {shape}")

    def _to_gradient(self, dy: Any, shapes: Any) -> Any:
        if isinstance(dy, dict):
            return dy
        return super()._to_gradient(dy, shapes)

    def _dtype_of_gradient(self, dy: Any) -> Any:
        """Its own: the last layers convert it to theirs."""
        return dy.dtype if dy.dtype.kind == "f" else self.dtype

    @property
    def layers(self) -> list[Layer]:
        """The layers of the model, those of a graph in Keras' order."""
        return list(self._layers) if self._graph is not None else super().layers

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name, or at that place in `layers`.

        Raises:
            ValueError: no such layer, or neither or both of name and index.
        """
        if (name is None) == (index is None):
            got = "neither" if name is None else "both"
            raise ValueError(f"{self.described}: get_layer expected a name or an index, got {got}")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"{self.described}: expected a layer index below {len(layers)}, got {index}")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(f"{self.described}: no layer {name!r}; the layers are {[layer.name for layer in layers]}")

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic inputs as a flat list."""
        return self._graph_or_error().inputs

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic outputs as a flat list."""
        return self._graph_or_error().outputs

    @property
    def input(self) -> Any:
        """The symbolic inputs as they were given."""
        self._graph_or_error()
        return self._input_structure

    @property
    def output(self) -> Any:
        """The symbolic outputs as they were given."""
        self._graph_or_error()
        return self._output_structure

    @property
    def input_names(self) -> list[str]:
        """The names of the input layers."""
        return [] if self._graph is None else [tensor.name for tensor in self._graph.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that the outputs come from."""
        return [] if self._graph is None else [tensor.name for tensor in self._graph.outputs]

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or the list of the inputs' shapes."""
        return _unwrapped([tensor.shape for tensor in self.inputs])

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or the list of the outputs' shapes."""
        return _unwrapped([tensor.shape for tensor in self.outputs])

    def to(self, device: str) -> "Model":
        super().to(device)
        self._parts = None
        return self

    def astype(self, dtype: str) -> "Model":
        super().astype(dtype)
        self._parts = None
        return self

    def summary(self, line_length: int | None = None, positions: list[float] | None = None,
                print_fn: Callable[[str], Any] | None = None, expand_nested: bool = False, show_trainable: bool = False,
                layer_range: list[str] | None = None) -> None:
        """Print a table of the layers with their output shapes and numbers of parameters.

        Arguments:
            line_length: characters in a line.
            positions: where the columns end, as parts of the line.
            print_fn: is given the whole text; by default it goes to stdout.
            expand_nested: show the layers of models within the model.
            show_trainable: a column that says which layers are trained.
            layer_range: names (or regular expressions) of the first and the last layer to show.
        """
        from nblayers.models.summary import print_summary
        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def save(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the model to a `.keras` file: configuration, weights, and all that training goes on from.

        `nblayers.models.load_model` makes the model from it again, and so does Keras 3. Arguments and errors: `save_model`.
        """
        saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights to a file that ends in `.weights.h5` (as Keras 3 writes it), `.npz` or `.safetensors`.

        Arguments and errors: `nblayers.saving.save_weights`.
        """
        saving.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False) -> None:
        """Set the weights to those that `save_weights`, ours or Keras', wrote.

        Arguments and errors: `nblayers.saving.load_weights`.
        """
        saving.load_weights(self, filepath, skip_mismatch)

    def to_json(self, **kwargs: Any) -> str:
        """The configuration as text, from which `nblayers.models.model_from_json` makes the model again."""
        return configuration.to_json(self, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The layers and their calls; of a class with an `__init__` or `forward` of its own what Layer.get_config gives."""
        if self._graph is None or type(self).forward is not Model.forward or not made_as(type(self), Model):
            return Layer.get_config(self)
        with serialization.writing():
            wiring = wiring_config(self._graph, self.input, self.output)
        return {"name": self.name, "trainable": self.trainable, **wiring}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None,
                    safe_mode: bool = True) -> "Model":
        """Make a model from what `get_config` gave, ours or Keras'.

        Raises:
            ValueError: a layer of an unknown class (give it in `custom_objects`), calls that do not connect, or what is no
                such configuration.
            TypeError: what `__init__` of a class of your own does not take.
        """
        if "input_layers" not in config or not made_as(cls, Model):
            return super().from_config(config)  # type: ignore[return-value]
        with serialization.reading(custom_objects, safe_mode):
            inputs, outputs = wire(config)
        name, trainable = config.get("name"), flag(cls.__name__, "trainable", config.get("trainable", True))
        return cls(inputs=inputs, outputs=outputs, name=name, trainable=trainable)


def made_as(cls: type[Model], base: type[Model]) -> bool:
    """Whether a class is made with the arguments of `base`, or takes any."""
    own, others = inspect.signature(cls.__init__).parameters, inspect.signature(base.__init__).parameters
    kinds = {parameter.kind for parameter in own.values()}
    return list(own) == list(others) or {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds


def _unwrapped(values: Any) -> Any:
    """A list of one is returned as the one."""
    return values[0] if isinstance(values, (list, tuple)) and len(values) == 1 else values


def _fits_rank(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    """Whether the number of axes is right, a missing or superfluous last axis of size 1 aside."""
    missing = len(shape) == len(expected) - 1 and expected[-1] == 1
    superfluous = len(shape) == len(expected) + 1 and shape[-1] == 1
    return len(shape) > 0 and (len(shape) == len(expected) or missing or superfluous)


def _to_rank(array: Any, rank: int) -> Any:
    if array is None or array.ndim == rank:
        return array
    return array[..., None] if array.ndim < rank else array[..., 0]


Functional = Model                      # Keras' name for a Model made from inputs and outputs

__all__ = ["Functional", "Input", "Model"]
