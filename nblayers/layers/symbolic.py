"""Symbolic tensors, and what a layer does when it is called on them."""
import functools
import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nblayers.layers.base import Layer
from nblayers.layers.shapes import merged
from nblayers.structures import Shape, flatten, map_shapes, map_structure

_numbers = itertools.count()


class SymbolicTensor:
    """What `Input(...)`, or a layer called on a symbolic tensor, returns: a shape and a dtype without values.

    Attributes:
        shape: with the batch axis; None for an axis of any size.
        dtype: name of the dtype.
        name: the name of the layer that made it.
        node: the call that made it; it is that call's output number `index`.
    """

    is_symbolic = True
    __array_ufunc__ = None

    def __init__(self, shape: Shape, dtype: str, node: "Node", index: int) -> None:
        self.shape, self.dtype = shape, dtype
        self.node, self.index = node, index
        self.name = node.layer.name

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError(f"{self!r} has no values: give it to a layer (Lambda for a function of your own)")

    def __deepcopy__(self, memo: dict[int, Any]) -> "SymbolicTensor":
        return self

    def __repr__(self) -> str:
        return f"<SymbolicTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


class Node:
    """One call of a layer on symbolic tensors: its arguments, and the tensors that it returned.

    Attributes:
        layer: the layer called.
        args, kwargs: the arguments, symbolic tensors and constants.
        inputs: the symbolic tensors among them, in call order.
        outputs: the tensors that the call gave, in order.
        structure: the outputs in the structure that the layer returns them in.
        number: counts all calls; a call stands after those whose outputs it uses.
    """

    def __init__(self, layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any, dtype: str) -> None:
        self.number = next(_numbers)
        self.layer, self.args, self.kwargs = layer, args, kwargs
        self.inputs = [leaf for leaf in flatten((args, list(kwargs.values()))) if isinstance(leaf, SymbolicTensor)]
        count = itertools.count()
        self.structure = map_shapes(lambda shape: SymbolicTensor(shape, dtype, self, next(count)), shapes)
        self.outputs: list[SymbolicTensor] = flatten(self.structure)
        vars(layer).setdefault("_inbound_nodes", []).append(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Node":
        return self

    def __repr__(self) -> str:
        return f"<Node of {self.layer.described}>"


def add_node(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call `layer` on symbolic tensors: check and build it, and return symbolic outputs.

    Raises:
        TypeError: its forward does not take these arguments.
        ValueError: it does not accept inputs of these shapes.
    """
    _check_arguments(layer, args, kwargs)
    named = tensor_arguments(layer, args, kwargs)
    first, *_ = named.values()
    layer._check_inputs(list(first) if isinstance(first, (list, tuple)) else first)
    layer._ensure_built_for(named, first)
    return Node(layer, args, kwargs, output_shapes(layer, args, kwargs), layer.output_dtype).structure


def _check_arguments(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    signature = _signature(type(layer).forward)
    every_layer_may_be_told = {"training", "mask"} - set(signature.parameters)
    try:
        signature.bind(layer, *args, **{name: value for name, value in kwargs.items() if name not in every_layer_may_be_told})
    except TypeError as error:
        _, *names = signature.parameters
        raise TypeError(f"{layer.described}: expected the arguments of its forward ({', '.join(names)}): {error}") from None


def output_shapes(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The shapes that the layer gives for these arguments, in which a leaf with a shape stands for a tensor."""
    named = tensor_arguments(layer, args, kwargs)
    if layer.shape_by_running or (type(layer).compute_output_shape is Layer.compute_output_shape and len(named) > 1):
        return _shapes_by_running(layer, args, kwargs)
    accepted = inspect.signature(layer.compute_output_shape).parameters
    (_, first), *others = named.items()
    keywords = {f"{name}_shape": _shapes(value) for name, value in others if f"{name}_shape" in accepted}
    settings = {name: value for name, value in kwargs.items() if name in accepted}
    return layer.compute_output_shape(_shapes(first), **keywords, **settings)


def _shapes_by_running(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Shapes of a layer that declares none: those of its outputs for zeros of two sizes."""
    def run(size: int) -> Any:
        def zeros(leaf: Any) -> Any:
            return np.zeros([size if n is None else n for n in leaf.shape], leaf.dtype) if hasattr(leaf, "shape") else leaf
        return layer._shapes_for(map_structure(zeros, args), map_structure(zeros, kwargs))
    return merged(run(2), run(3))


def tensor_arguments(layer: Layer, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call that hold tensors or arrays, by the names that they have in the layer's forward."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [name for name, parameter in parameters_of(type(layer).forward).items() if parameter.kind in kinds]
    arguments = {**{names[i] if i < len(names) else f"argument {i}": value for i, value in enumerate(args)}, **kwargs}
    return {name: value for name, value in arguments.items() if any(hasattr(leaf, "shape") for leaf in flatten(value))}


@functools.cache
def _signature(forward: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(forward)


@functools.cache
def parameters_of(forward: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a layer's forward after `self`."""
    _, *parameters = _signature(forward).parameters.items()
    return dict(parameters)


def _shapes(value: Any) -> Any:
    return map_structure(lambda leaf: getattr(leaf, "shape", None), value)
