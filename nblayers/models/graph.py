"""The graph behind a model: the calls between its inputs and outputs, and how they run forward and backward."""
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from nblayers.layers.base import Layer, _flatten
from nblayers.layers.calls import backward_of, record_of
from nblayers.layers.input_layer import InputLayer
from nblayers.layers.symbolic import Node, SymbolicTensor, output_shapes, parameters_of, tensor_arguments
from nblayers.structures import Shape, flatten, flatten_shapes, map_structure, pack


class Graph:
    """The calls between some symbolic inputs and outputs, ready to be run.

    Arguments:
        inputs: the tensors that values are given for: from `Input`, or outputs of a layer (its own graph is then cut off
            and an InputLayer takes its place).
        outputs: the tensors to compute.
        who: opens error messages.

    Attributes:
        inputs, outputs: the tensors; inputs are all from InputLayers.
        nodes: the calls in between and the inputs', in an order in which they can run.
        layers: their layers in Keras' order (the weights of a model stand in it).

    Raises:
        ValueError: an output that does not depend on the inputs alone, or two layers of the same name.
    """

    def __init__(self, inputs: list[SymbolicTensor], outputs: list[SymbolicTensor], who: str) -> None:
        self.who = who
        self._stands_for: dict[int, SymbolicTensor] = {}        # id of an inner tensor given as input -> the new input
        self.inputs = [self._entry(tensor) for tensor in inputs]
        self.outputs = outputs
        self.nodes = self._collect()
        self.layers = _in_keras_order(self.nodes, self.inputs, self.resolve, outputs)
        for name, count in Counter(layer.name for layer in self.layers).items():
            if count > 1:
                raise ValueError(f"{who}: expected layers of different names, got {count} layers named {name!r}")
        slots: dict[int, int] = {}
        for tensor in itertools.chain(self.inputs, *(node.outputs for node in self.nodes)):
            slots.setdefault(id(tensor), len(slots))
        calls = [node for node in self.nodes if node.inputs]
        self.size = len(slots)
        self._input_slots = [slots[id(tensor)] for tensor in self.inputs]
        self._output_slots = [slots[id(self.resolve(tensor))] for tensor in outputs]
        self._steps = [_Step(node, [slots[id(self.resolve(tensor))] for tensor in node.inputs],
                             [slots[id(tensor)] for tensor in node.outputs]) for node in calls]
        self._find_wanted()
        called = Counter(node.layer for node in calls)
        shared = {id(layer): layer for layer, count in called.items() if count > 1 for layer in _flatten(layer)}
        self._shared = list(shared.values())            # layers that are called several times, and those inside them

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy makes the calls again, on copies of the layers."""
        places = {id(tensor): _Place(number, index) for number, node in enumerate(self.nodes)
                  for index, tensor in enumerate(node.outputs)}

        def place(leaf: Any) -> Any:
            return places[id(self.resolve(leaf))] if isinstance(leaf, SymbolicTensor) else leaf
        calls = [(node.layer, map_structure(place, node.args), map_structure(place, node.kwargs),
                  map_structure(lambda tensor: tensor.shape, node.structure), node.outputs[0].dtype) for node in self.nodes]
        return _called_again, (self.who, calls, list(map(place, self.inputs)), list(map(place, self.outputs)))

    def resolve(self, tensor: SymbolicTensor) -> SymbolicTensor:
        """The tensor, or the input that stands for it in this graph."""
        return self._stands_for.get(id(tensor), tensor)

    def forward(self, arrays: Sequence[Any], masks: Sequence[Any], training: bool) -> tuple[list[Any], list[Any], list[Any]]:
        """Run all calls.

        Returns:
            The outputs, their masks (None where there is none) and each call's record for `backward`.
        """
        values: list[Any] = [None] * self.size
        known_masks: list[Any] = [None] * self.size
        for slot, array, mask in zip(self._input_slots, arrays, masks, strict=True):
            values[slot], known_masks[slot] = array, mask
        if self._shared:
            records = self._forward_of_shared(values, known_masks, training)
        else:
            records = [step.forward(values, known_masks, training) for step in self._steps]
        return [values[s] for s in self._output_slots], [known_masks[s] for s in self._output_slots], records

    def _forward_of_shared(self, values: list[Any], masks: list[Any], training: bool) -> list[Any]:
        """The calls' records; a layer that is called several times has the losses of all its calls afterwards."""
        records = []
        losses: list[list[float]] = [[] for _ in self._shared]
        for step in self._steps:
            records.append(step.forward(values, masks, training))
            _collect_losses(step.layer, self._shared, losses)
        for layer, collected in zip(self._shared, losses, strict=True):
            layer._thread.losses[:] = collected
        return records

    def backward(self, gradients: Sequence[Any], records: list[Any], input_gradients: bool = True,
                 tell: Callable[[int], None] | None = None) -> list[Any]:
        """Send the outputs' gradients back through all calls; returns the inputs' (None where nothing flows).

        Without `input_gradients`, as in `fit`, a layer whose input's gradient nobody needs is told so (`input_gradient`), and
        the record of each call is let go as soon as it has been read. `tell` is called with the number of each call whose
        backward is done, the last call first: the gradients of weights that no earlier call has are whole then.
        """
        grads: list[Any] = [None] * self.size
        for slot, gradient in zip(self._output_slots, gradients, strict=True):
            _add(grads, slot, gradient)
        for index in reversed(range(len(self._steps))):
            step = self._steps[index]
            if input_gradients or step.needed:
                step.backward(grads, records[index], input_gradients or step.wanted)
            if not input_gradients:
                records[index] = step.layer.cache = None
            if tell is not None:
                tell(index)
        return [grads[slot] for slot in self._input_slots]

    def first_calls(self) -> dict[int, int]:
        """By the id of each weight the number of the first call that has it."""
        first: dict[int, int] = {}
        for index, step in enumerate(self._steps):
            for parameter in step.layer.weights:
                first.setdefault(id(parameter), index)
        return first

    def _find_wanted(self) -> None:
        """Mark the calls whose gradient for their input some weights before them wait for, and those to go back through."""
        reached: set[int] = set()
        for step in self._steps:
            step.wanted = any(slot in reached for slot in step.inputs)
            step.needed = step.wanted or bool(step.layer.weights)
            if step.needed:
                reached.update(step.outputs)

    def output_shapes(self, input_shapes: Sequence[Any]) -> list[Any]:
        """The shapes of the outputs for inputs of other shapes than those that the graph was built with."""
        shapes: list[Any] = [None] * self.size
        for slot, shape in zip(self._input_slots, input_shapes, strict=True):
            shapes[slot] = tuple(shape)
        for step in self._steps:
            for slot, shape in zip(step.outputs, step.output_shapes(shapes), strict=True):
                shapes[slot] = shape
        return [shapes[slot] for slot in self._output_slots]

    def _entry(self, tensor: SymbolicTensor) -> SymbolicTensor:
        if isinstance(tensor.node.layer, InputLayer):
            return tensor
        entry = InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype).output
        self._stands_for[id(tensor)] = entry
        return entry

    def _collect(self) -> list[Node]:
        """The calls that the outputs need, in the order in which they were made."""
        found = {id(tensor.node): tensor.node for tensor in self.inputs}
        waiting = [self.resolve(tensor).node for tensor in self.outputs]
        while waiting:
            node = waiting.pop()
            if id(node) in found:
                continue
            if not node.inputs:
                raise ValueError(f"{self.who}: the outputs need the input {node.layer.name!r}, which is not among the "
                                 f"model's inputs {[tensor.name for tensor in self.inputs]}")
            found[id(node)] = node
            waiting.extend(self.resolve(tensor).node for tensor in node.inputs)
        return sorted(found.values(), key=lambda node: (bool(node.inputs), node.number))


class _Place:
    """Stands for a tensor: output `index` of call `number`."""

    def __init__(self, number: int, index: int) -> None:
        self.number, self.index = number, index


def _called_again(who: str, calls: list[tuple[Any, ...]], inputs: list[_Place], outputs: list[_Place]) -> Graph:
    """The graph of these calls, made again."""
    nodes: list[Node] = []

    def tensor(leaf: Any) -> Any:
        return nodes[leaf.number].outputs[leaf.index] if isinstance(leaf, _Place) else leaf
    for layer, args, kwargs, shapes, dtype in calls:
        if isinstance(layer, InputLayer):
            nodes.append(layer.output.node)
        else:
            nodes.append(Node(layer, map_structure(tensor, args), map_structure(tensor, kwargs), shapes, dtype))
    return Graph(list(map(tensor, inputs)), list(map(tensor, outputs)), who)


class _Slot:
    """Stands in the arguments of a step for the graph's value of that number."""

    def __init__(self, number: int, dtype: str, shape: Any = None) -> None:
        self.number, self.dtype, self.shape = number, dtype, shape


class _Step:
    """One call of a layer within a graph.

    Arguments:
        node: the call.
        inputs, outputs: the numbers of the values that it takes and gives, in the order of the node's.
    """

    def __init__(self, node: Node, inputs: list[int], outputs: list[int]) -> None:
        self.layer = layer = node.layer
        self.inputs, self.outputs = inputs, outputs
        self.structure = node.structure
        self.one_output = isinstance(node.structure, SymbolicTensor)
        self.wanted = self.needed = True
        waiting = iter(inputs)

        def slot(leaf: Any) -> Any:
            return _Slot(next(waiting), leaf.dtype) if isinstance(leaf, SymbolicTensor) else leaf
        self.args = map_structure(slot, node.args)
        self.kwargs = {name: map_structure(slot, value) for name, value in node.kwargs.items()}
        self.simple = len(node.args) == 1 and isinstance(node.args[0], SymbolicTensor) and not node.kwargs
        self.first = self.args[0] if self.args else next(iter(self.kwargs.values()))
        no_masks = [value for name, value in self.kwargs.items() if not name.endswith("mask")]
        self.differentiated = [leaf for leaf in flatten((self.args, no_masks)) if hasattr(leaf, "shape")]

        parameters = parameters_of(type(layer).forward)
        self.takes_training = ("training" in parameters or layer.follows_training) and "training" not in node.kwargs
        self.makes_mask = type(layer).compute_mask is not Layer.compute_mask
        named = tensor_arguments(layer, self.args, self.kwargs)
        wanted = {f"{name}_mask": value for name, value in named.items()}
        name, value = next(iter(named.items()))
        if f"{name}_mask" not in parameters:
            wanted["mask"] = value
        self.masks = {name: value for name, value in wanted.items() if name in parameters and node.kwargs.get(name) is None}

    def forward(self, values: list[Any], masks: list[Any], training: bool) -> Any:
        """Run the call; the record that it leaves is returned.

        The mask of an argument goes to the layer as `NAME_mask` where its forward has that, else the first argument's as
        `mask`, whatever other arguments hold tensors (Keras drops it there: a recurrent layer given `initial_state` then sees
        padding as data).
        """
        keywords: dict[str, Any] = {"training": training} if self.takes_training else {}
        if self.simple:
            x, mask = values[self.inputs[0]], masks[self.inputs[0]]
            if mask is not None:
                keywords.update(dict.fromkeys(self.masks, mask))
            y = self.layer.forward(x, **keywords)
        else:
            x, mask = _fill(self.first, values), _masks_of(self.first, masks)
            keywords.update({name: _fill(value, values) for name, value in self.kwargs.items()})
            keywords.update({name: _masks_of(value, masks) for name, value in self.masks.items()})
            if keywords.get("mask") is not None:
                mask = keywords["mask"]
            y = self.layer.forward(*_fill(self.args, values), **keywords)
        if self.one_output:
            values[self.outputs[0]] = y
        else:
            for slot, value in zip(self.outputs, flatten(y), strict=True):
                values[slot] = value
        if mask is not None or self.makes_mask:
            made = self.layer.compute_mask(x, mask)
            for slot, value in zip(self.outputs, made if isinstance(made, (list, tuple)) else [made], strict=False):
                masks[slot] = value                     # a layer may give fewer masks than outputs
        return record_of(self.layer)

    def backward(self, grads: list[Any], record: Any, input_gradient: bool) -> None:
        """Run the call's backward, adding to the gradients of its inputs."""
        dys = [grads[slot] for slot in self.outputs]
        if all(dy is None for dy in dys):
            return
        dy = dys[0] if self.one_output else pack(self.structure, dys)
        dxs = flatten(backward_of(self.layer, record, dy, input_gradient))
        if len(dxs) != len(self.differentiated):
            raise RuntimeError(f"{self.layer.described}: expected backward to give {len(self.differentiated)} gradients, one "
                               f"for each input, got {len(dxs)}")
        for slot in self.outputs:
            grads[slot] = None
        for leaf, dx in zip(self.differentiated, dxs, strict=True):
            if isinstance(leaf, _Slot):
                _add(grads, leaf.number, dx)

    def output_shapes(self, shapes: list[Any]) -> list[Shape]:
        """The shapes of the outputs where the graph's values have these."""
        def with_shape(leaf: Any) -> Any:
            return _Slot(leaf.number, leaf.dtype, shapes[leaf.number]) if isinstance(leaf, _Slot) else leaf
        return flatten_shapes(output_shapes(self.layer, map_structure(with_shape, self.args),
                                             map_structure(with_shape, self.kwargs)))


def _fill(structure: Any, values: list[Any]) -> Any:
    """The structure with the graph's values in place of the slots."""
    return map_structure(lambda leaf: values[leaf.number] if isinstance(leaf, _Slot) else leaf, structure)


def _masks_of(structure: Any, masks: list[Any]) -> Any:
    """The masks of the slots in a structure; None where no value has one."""
    found = map_structure(lambda leaf: masks[leaf.number] if isinstance(leaf, _Slot) else None, structure)
    return None if all(mask is None for mask in flatten(found)) else found


def _add(grads: list[Any], slot: int, gradient: Any) -> None:
    """A tensor that is used several times gets the sum of its uses' gradients."""
    if gradient is not None:
        grads[slot] = gradient if grads[slot] is None else grads[slot] + gradient


def _collect_losses(layer: Layer, shared: list[Layer], losses: list[list[float]]) -> None:
    """Keep what this call of a shared layer added to the losses: its next call starts them afresh."""
    inside = [id(part) for part in _flatten(layer)]
    for part, collected in zip(shared, losses, strict=True):
        if id(part) in inside:
            collected.extend(part._thread.losses)


def _in_keras_order(nodes: list[Node], inputs: list[SymbolicTensor], resolve: Callable[[SymbolicTensor], SymbolicTensor],
                    outputs: list[SymbolicTensor]) -> list[Layer]:
    """The layers by their depth (the longest way to an output), then by when a search from the outputs meets them."""
    met: dict[Layer, int] = {}
    leaving_order: list[Node] = []
    seen: set[int] = set()
    waiting = [(resolve(tensor).node, False) for tensor in reversed(outputs)]
    while waiting:
        node, leaving = waiting.pop()
        if leaving:
            leaving_order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            met.setdefault(node.layer, len(met))
            waiting.append((node, True))
            waiting.extend((resolve(tensor).node, False) for tensor in reversed(node.inputs))
    node_depth: dict[int, int] = {}
    depth: dict[Layer, int] = {}
    for node in reversed(leaving_order):
        depth[node.layer] = max(node_depth.get(id(node), 0), depth.get(node.layer, 0))
        for tensor in node.inputs:
            parent = id(resolve(tensor).node)
            node_depth[parent] = max(node_depth.get(parent, 0), depth[node.layer] + 1)
    for tensor in inputs:                               # an input that no output needs
        if tensor.node.layer not in depth:
            depth[tensor.node.layer], met[tensor.node.layer] = 0, -1
    return sorted(depth, key=lambda layer: (-depth[layer], met[layer]))
