"""A layer that can be run as often as wanted from one and the same state."""
import copy
import functools
import inspect
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.layers.base import Layer, _flatten, built_from, holds_arrays
from nblayers.parameter import Parameter
from nblayers.structures import copied

Leaves = Sequence[np.ndarray]


class FunctionPair(Layer):
    """A function and its gradient as a layer."""

    def __init__(self, f: Callable[..., Any], gradient: Callable[..., Any]) -> None:
        super().__init__(name=getattr(f, "__name__", type(f).__name__))
        self.f, self.gradient = f, gradient

    def forward(self, *inputs: Any) -> Any:
        self.cache = copied(inputs)                            # as they were, should f work in place
        return self.f(*inputs)

    def backward(self, dy: Any) -> Any:
        return self.gradient(*copied(self.cache), dy)


@dataclass
class _Slot:
    """The place of an array in the arguments."""

    position: int


class Subject:
    """A layer with its arguments.

    Attributes:
        layers: the layer and all layers inside it.
        names, leaves: the arrays among the arguments that may have a gradient, named as forward's parameters are.
        handed: the copies of them that the last forward was given; a layer may keep these, and nobody else writes to them.
        other: the same arrays with somewhat other numbers.
        weights: the floating weights.
        outputs: what the last forward returned, the objects themselves.
        restore: puts weights, gradients, states, random numbers and inputs back to where they were at first.
        restore_weights_and_chance: the same for weights, gradients and random numbers alone.
    """

    def __init__(self, layer: Layer, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self.layer = layer
        self.layers = _flatten(layer)
        self.names: list[str] = []
        self.leaves: list[np.ndarray] = []
        self.args = [self._slots(value, name) for value, name in zip(args, _argument_names(layer, len(args)), strict=True)]
        self.kwargs = {name: self._slots(value, name) for name, value in kwargs.items() if value is not None}

    def _slots(self, value: Any, name: str) -> Any:
        """The argument with a slot in the place of each array; the array goes into `leaves`."""
        if name.endswith("mask") or value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (list, tuple)) and holds_arrays(value):
            return [self._slots(item, f"{name}[{i}]") for i, item in enumerate(value)]
        array = np.array(to_numpy(value))
        self.names.append(name)
        self.leaves.append(array.astype(np.float64) if array.dtype.kind == "f" else array)
        return _Slot(len(self.leaves) - 1)

    @contextmanager
    def in_float64(self, rng: np.random.Generator) -> Iterator[None]:
        """Inside, the layer computes in double precision and no weight is constant; afterwards it is as it was."""
        self.other = [rng.permutation(leaf.ravel()).reshape(leaf.shape) for leaf in self.leaves]
        if not self.layer.built:
            self._build()
            self.layers = _flatten(self.layer)
        put_back = _remember(self._changeable(), set())
        try:
            self.layer.astype("float64")
            self.weights = [p for p in self.layer.weights if np.dtype(p.dtype).kind == "f"]
            for parameter in self.weights:
                value = parameter.numpy()
                if value.size and value.min() == value.max():
                    parameter.assign(value + rng.uniform(0.1, 0.6, value.shape))
            self.layer.zero_grad()
            self.restore = _remember([*self._changeable(), *self.leaves], set())
            self.restore_weights_and_chance = _remember([*self.layer.weights, *self._random_sources()], set())
            yield
        finally:
            put_back()

    def _build(self) -> None:
        """Make the weights, by a forward only if `build` is not enough: what a forward leaves behind may hide a mistake."""
        arguments = dict(zip(_argument_names(self.layer, len(self.args)), self.args, strict=True)) | self.kwargs
        shaped = {name: _filled(value, self.leaves) for name, value in arguments.items()}
        self.layer.build(*built_from(type(self.layer), shaped, next(iter(shaped.values()), None)))
        self.layer.built = True
        if not all(layer.built for layer in _flatten(self.layer)):
            self.forward(self.other)
            for layer in _flatten(self.layer):
                if hasattr(layer, "reset_state"):
                    layer.reset_state()

    def other_weights(self) -> None:
        """Give every weight other values: its own in another order, or moved where there is no other order."""
        rng = np.random.default_rng(7)
        for parameter in self.weights:
            value = parameter.numpy()
            parameter.value[...] = rng.permutation(value.ravel()).reshape(value.shape) * rng.uniform(0.9, 1.1, value.shape)

    def elsewhere(self) -> "Subject | None":
        """The same layer with the other inputs and weights."""
        from nblayers.gradient_check.points import at
        self.restore()
        self.other_weights()
        values = [parameter.numpy() for parameter in self.weights]
        self.restore()
        return at(self, self.other, values)

    def _changeable(self) -> list[Any]:
        return [*(vars(layer) for layer in self.layers), *self._random_sources()]

    def _random_sources(self) -> list[Any]:
        module = sys.modules.get("nblayers.random")
        holders = [vars(holder) for holder in (*self.layers, *([module] if module else []))]
        return [_GlobalRandom(), *(value for holder in holders for value in holder.values() if _is_random_source(value))]

    def forward(self, leaves: Leaves | None = None) -> list[np.ndarray]:
        """Copies of all outputs, then of the sum of the penalties that the layer adds to the loss, if it has any."""
        self.handed: list[np.ndarray] = copied(self.leaves if leaves is None else leaves)
        self.outputs = self.layer.forward(*(_filled(value, self.handed) for value in self.args),
                                          **{name: _filled(value, self.handed) for name, value in self.kwargs.items()})
        penalties = [float(loss) for layer in self.layers for loss in layer._thread.losses]
        return [np.array(to_numpy(y)) for y in flat(self.outputs)] + ([np.array(sum(penalties))] if penalties else [])

    def backward(self, dy: Sequence[Any]) -> tuple[list[Any], list[np.ndarray]]:
        """Copies of the gradients that backward returns, and of all the weights' gradients."""
        returned = flat(self.layer.backward(_in_structure(self.outputs, iter(dy))))
        return [None if dx is None else np.array(to_numpy(dx)) for dx in returned], self.weight_gradients()

    def weight_gradients(self) -> list[np.ndarray]:
        return [np.array(to_numpy(parameter.grad)) for parameter in self.weights]


def flat(values: Any) -> list[Any]:
    """The arrays in a structure of lists, in order."""
    return [leaf for value in values for leaf in flat(value)] if isinstance(values, (list, tuple)) else [values]


def _is_sequence(leaf: np.ndarray) -> bool:
    return leaf.ndim == 3 and leaf.dtype.kind == "f" and leaf.shape[1] > 1


def _filled(value: Any, leaves: Leaves) -> Any:
    if isinstance(value, _Slot):
        return leaves[value.position]
    return [_filled(item, leaves) for item in value] if isinstance(value, list) else copied(value)


def _in_structure(outputs: Any, leaves: Iterator[Any]) -> Any:
    return [_in_structure(y, leaves) for y in outputs] if isinstance(outputs, (list, tuple)) else next(leaves)


def _argument_names(layer: Layer, count: int) -> list[str]:
    try:
        parameters = inspect.signature(layer.f if isinstance(layer, FunctionPair) else layer.forward).parameters.values()
    except (TypeError, ValueError):                                     # a builtin has no signature
        parameters = {}.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [names[i] if i < len(names) else f"input {i}" for i in range(count)]


Restore = Callable[[], None]


class _GlobalRandom:
    """Python's and NumPy's global random numbers, from which somebody's own layer may draw."""


def _is_random_source(value: Any) -> bool:
    kinds = np.random.Generator, np.random.BitGenerator, np.random.RandomState
    return isinstance(value, kinds) or type(value).__module__ == "nblayers.random"


def _remember(value: Any, seen: set[int]) -> Callable[[], Any]:
    """A function that gives `value` the contents that it has now and returns it, the same object.

    Arrays, lists, dictionaries, weights and random generators have contents; of anything else only the reference counts.
    `seen` holds what is taken care of already.
    """
    if id(value) in seen:
        return lambda: value
    seen.add(id(value))
    put_back = _remember_contents(value, seen)
    return lambda: (put_back(), value)[1]


@functools.singledispatch
def _remember_contents(value: Any, seen: set[int]) -> Restore:
    if hasattr(value, "__cuda_array_interface__"):
        return _remember_array(value, seen)
    if isinstance(value, Parameter) or _is_random_source(value):
        return _remember_dict(vars(value), seen)
    return lambda: None


@_remember_contents.register
def _remember_array(array: np.ndarray, seen: set[int]) -> Restore:
    contents = array.copy()

    def put_back() -> None:
        if not isinstance(array, np.ndarray) or array.flags.writeable:
            array[...] = contents
    return put_back


@_remember_contents.register
def _remember_bits(bits: np.random.BitGenerator, seen: set[int]) -> Restore:
    state = copy.deepcopy(bits.state)

    def put_back() -> None:
        bits.state = state
    return put_back


@_remember_contents.register
def _remember_generator(generator: np.random.Generator, seen: set[int]) -> Restore:
    return _remember_bits(generator.bit_generator, seen)


@_remember_contents.register
def _remember_old_generator(generator: np.random.RandomState, seen: set[int]) -> Restore:
    state = generator.get_state()
    return lambda: generator.set_state(state)


@_remember_contents.register
def _remember_globals(_: _GlobalRandom, seen: set[int]) -> Restore:
    ours, numpys = random.getstate(), np.random.get_state()

    def put_back() -> None:
        random.setstate(ours)
        np.random.set_state(numpys)
    return put_back


@_remember_contents.register
def _remember_dict(items: dict, seen: set[int]) -> Restore:
    kept = {key: _remember(item, seen) for key, item in items.items()}

    def put_back() -> None:
        for key in [key for key in items if key not in kept]:
            del items[key]
        for key, item in kept.items():
            items[key] = item()
    return put_back


@_remember_contents.register
def _remember_list(items: list, seen: set[int]) -> Restore:
    kept = [_remember(item, seen) for item in items]

    def put_back() -> None:
        items[:] = [item() for item in kept]
    return put_back


@_remember_contents.register
def _remember_tuple(items: tuple, seen: set[int]) -> Restore:
    return _remember_list(list(items), seen)
