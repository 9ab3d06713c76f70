"""A layer that can be run as often as wanted from one and the same state."""
import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from nblayers.devices import to_numpy
from nblayers.gradient_check import plain
from nblayers.gradient_check.calls import positional
from nblayers.gradient_check.foreign import Foreign, FunctionPair
from nblayers.gradient_check.naming import STATISTICS
from nblayers.gradient_check.others import is_constant, nearly, of_one_sign, other_mask, other_values, unequal
from nblayers.gradient_check.remember import GlobalRandom, is_random_source, remember
from nblayers.layers.base import Layer, _flatten, built_from, holds_arrays
from nblayers.structures import copied

Leaves = Sequence[np.ndarray]


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
        other: arrays of the same shapes with other numbers, ids, signs and winners; `forward(other)` has other masks too.
        other_signs: the same with the sign turned of inputs all of one sign; None where there are none, or forward cannot.
        weights: the floating weights, those in plain arrays too.
        outputs: what the last forward returned, the objects themselves.
        notes: what the report should say of how the check was done.
        misshaped: name, shape and the gradient's shape of weights in plain arrays whose gradient has another shape.
        restore: puts weights, gradients, states, random numbers and inputs back to where they were at first.
        restore_weights_and_chance: the same for weights, gradients and random numbers alone.
    """

    def __init__(self, layer: Layer, args: Sequence[Any], kwargs: dict[str, Any], time_axis: int | None = None,
                 batch_axis: int | None = None) -> None:
        self.layer = layer
        self.layers = _flatten(layer)
        self.time_axis = 1 if time_axis is None else time_axis
        self.batch_axis = 0 if batch_axis is None else batch_axis
        self.names: list[str] = []
        self.leaves: list[np.ndarray] = []
        self.weights: list[Any] = []
        self.plain: list[plain.Plain] = []
        self.notes: list[str] = []
        self.misshaped: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
        names = argument_names(layer, len(args))
        scalars = all(isinstance(value, float) for value in args)
        self.args = [self._slots(np.array(value) if isinstance(value, float) and (scalars or not place) else value, name)
                     for place, (value, name) in enumerate(zip(args, names, strict=True))]
        self.kwargs = {name: self._slots(value, name) for name, value in kwargs.items() if value is not None}
        self.other: list[np.ndarray] = self.leaves
        self.other_signs: list[np.ndarray] | None = None
        self.other_args, self.other_kwargs = self.args, self.kwargs

    @property
    def first_weight(self) -> int:
        """From which of the leaves on they may be weights; as many as there are where none may."""
        first = self.layer.first_weight if isinstance(self.layer, Foreign) else None
        return len(self.leaves) if first is None else first

    def _slots(self, value: Any, name: str) -> Any:
        """The argument with a slot in the place of each array; the array goes into `leaves`."""
        if name.endswith("mask") or _is_setting(value, isinstance(self.layer, Foreign)):
            return value
        if isinstance(value, dict):
            if not (isinstance(self.layer, Foreign) and name in self.layer.dict_inputs):
                return value
            return {key: self._slots(item, str(key)) if _is_floating(item) else item for key, item in value.items()}
        if isinstance(value, (list, tuple)) and holds_arrays(value):
            return [self._slots(item, f"{name}[{i}]") for i, item in enumerate(value)]
        array = self._array(value, name)
        self.names.append(name)
        self.leaves.append(array.astype(np.float64) if array.dtype.kind == "f" else array)
        return _Slot(len(self.leaves) - 1)

    def _array(self, value: Any, name: str) -> np.ndarray:
        """A copy of one input as an array.

        Raises:
            TypeError: no array of real numbers.
        """
        try:
            array = np.array(to_numpy(value))
        except ValueError as error:
            raise TypeError(f"gradcheck of {self.layer.described}: expected an array, or a list of rows of equal length, as "
                            f"{name}, got a ragged list ({error})") from error
        if array.dtype.kind in "cOV":
            got = f"an array of {array.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
            raise TypeError(f"gradcheck of {self.layer.described}: expected an array of real numbers as {name}, got {got}")
        return array

    @contextmanager
    def in_float64(self, rng: np.random.Generator) -> Iterator[None]:
        """Inside, the layer computes in double precision and no weight is constant; afterwards it is as it was."""
        self.rng = np.random.default_rng(rng.integers(2 ** 63))
        if not self.layer.built:
            self._build()
            self.layers = _flatten(self.layer)
        put_back = remember(*self._changeable())
        needed = self.layer.input_gradient
        try:
            self._see_that_it_runs()
            put_back()
            put_aliases = self._aliases()
            self.layer.astype("float64")
            self.layer.input_gradient = needed
            put_aliases()
            self._make_at_first_forward()
            for layer in self._with_plain_weights():
                layer.hold_float64() if isinstance(layer, Foreign) else plain.in_float64(layer)
            self.weights = [p for p in self.layer.weights if np.dtype(p.dtype).kind == "f"]
            self.layer.zero_grad()
            self._make_inputs_unequal()
            self._find_plain()
            self._make_weights_unequal()
            self._keep()
            self._find_other()
            yield
        finally:
            for one in self.plain:
                one.give_back()
            put_back()

    def _see_that_it_runs(self) -> None:
        """Run somebody's own code once forwards and backwards, so that what fails there is told with the shapes given."""
        layer = self.layer
        if not isinstance(layer, Foreign):
            return
        given = dict(zip(self.names, self.leaves, strict=True))
        layer.see_that_it_runs(self.forward, given, "its forward")
        outputs = present(self.outputs)
        dy = [np.random.default_rng(0).normal(size=np.shape(to_numpy(y))) for y in outputs]
        named = {"dy" if len(dy) == 1 else f"dy[{k}]": d for k, d in enumerate(dy)}
        layer.see_that_it_runs(lambda: self.backward(dy), named | given, "its backward")

    def _keep(self) -> None:
        """Let `restore` put back what is there now."""
        own = [p for p in self.weights if p not in self.layer.weights]
        self.restore = remember(*self._changeable(), *self.leaves, *own)
        self.restore_weights_and_chance = remember(*self.layer.weights, *own, *self._random_sources())

    def _build(self) -> None:
        """Make the weights, by a forward only if `build` is not enough: what a forward leaves behind may hide a mistake."""
        arguments = dict(zip(argument_names(self.layer, len(self.args)), self.args, strict=True)) | self.kwargs
        shaped = {name: _filled(value, self.leaves) for name, value in arguments.items()}
        inputs = next(iter(shaped.values()), None)
        if inputs is not None:
            self.layer._check_inputs(inputs)
        self.layer.build(*built_from(type(self.layer), shaped, inputs))
        self.layer.built = True
        if not all(layer.built for layer in _flatten(self.layer)):
            self.forward([nearly(leaf, self.rng) for leaf in self.leaves])
            for layer in _flatten(self.layer):
                if hasattr(layer, "reset_state"):
                    layer.reset_state()

    def _with_plain_weights(self) -> list[Layer]:
        """The layers that may keep weights in plain arrays: those that somebody else wrote."""
        return [layer for layer in self.layers
                if isinstance(layer, Foreign) or not type(layer).__module__.startswith("nblayers.")]

    def _make_at_first_forward(self) -> None:
        """Run a forward where that is what makes weights in plain arrays: the same for any input, and kept from then on."""
        layers = [layer for layer in self._with_plain_weights() if not isinstance(layer, Foreign) or layer.may_hold_weights]
        if not layers:
            return
        there = [array for layer in layers for _, array in plain.arrays(layer)]
        put_back, rng = remember(*self._changeable()), np.random.default_rng(0)

        def made() -> dict[str, np.ndarray]:
            self.forward([nearly(leaf, rng) for leaf in self.leaves])
            ids = set(map(id, there))
            return {f"{k} {place}": array for k, layer in enumerate(layers) for place, array in plain.arrays(layer)
                    if id(array) not in ids}
        try:
            first = copied(made())
            put_back()
            second = made() if first else {}
            again = made() if second else {}
        except Exception:                               # the check itself will meet it
            put_back()
            return
        kept = [name for name, array in second.items() if again.get(name) is array and name in first]
        if not any(np.array_equal(first[name], second[name]) for name in kept):
            put_back()

    def _aliases(self) -> Callable[[], None]:
        """A function that lets attributes which were a weight's own array, or its gradient's, be that again."""
        there = {id(array): (parameter, name) for parameter in self.layer.weights
                 for name, array in (("value", parameter.value), ("grad", parameter.grad))}
        found = [(place, *there[id(array)]) for layer in self._with_plain_weights() for place, array in plain.arrays(layer)
                 if id(array) in there]

        def put() -> None:
            for place, parameter, name in found:
                place.write(getattr(parameter, name))
        return put

    def _find_plain(self) -> None:
        """Find weights in plain arrays; from now on `weights` holds them too."""
        self._keep()
        for layer in self._with_plain_weights():
            if isinstance(layer, Foreign):
                found = layer.find_plain(self._trial(layer))
            elif any(True for _ in plain.arrays(layer)):
                found = plain.find(layer, self._trial(layer), None, f"{layer.name}/", self._own_arrays())
            else:
                continue
            self.restore()
            self.plain += [*found.weights, *found.stepped]
            self.weights += [one.parameter for one in found.weights]
            self.misshaped += found.misshaped
            self.notes += [*(layer.remarks if isinstance(layer, Foreign) else ()), *_notes(layer, found)]

    def _own_arrays(self) -> set[int]:
        """The ids of the arrays of `Parameter`s."""
        return {id(array) for parameter in self.layer.weights for array in (parameter.value, parameter.grad)}

    def _trial(self, layer: Layer) -> plain.Trial:
        def backward() -> None:
            rng = np.random.default_rng(0)
            self.backward([rng.normal(size=np.shape(to_numpy(y))) for y in present(self.outputs)])
        if isinstance(layer, Foreign):
            return plain.Trial(self.restore, self.forward, backward, lambda: layer.extras, layer.has_rate)
        return plain.Trial(self.restore, self.forward, backward)

    def _make_weights_unequal(self) -> None:
        """Give random values to weights whose elements are all equal: these may hide a mistake."""
        for parameter in self.weights:
            value = parameter.numpy()
            if value.size and value.min() == value.max():
                parameter.assign(value + self.rng.uniform(0.1, 0.6, value.shape))

    def _make_inputs_unequal(self) -> None:
        """The same for inputs, where forward works with such values."""
        constant = [i for i, leaf in enumerate(self.leaves) if is_constant(leaf)]
        if not constant:
            return
        self._keep()
        shapes = self._shapes_at(self.leaves)
        for i in constant:
            given = self.leaves[i]
            self.leaves[i] = np.array(unequal(given, self.rng))
            if shapes is not None and self._shapes_at(self.leaves) == shapes:
                self.notes.append(f"{self.names[i]} was {given.flat[0]:g} everywhere, which hides mistakes: checked with "
                                  "random numbers in its place")
            else:
                self.leaves[i] = given

    def _find_other(self) -> None:
        """Other inputs and masks that forward can do with."""
        self.other, self.other_args, self.other_kwargs = self.leaves, self.args, self.kwargs
        shapes = self._shapes_at(self.leaves)
        for leaves, wildness in other_values(self.leaves, self.batch_axis, self.rng):
            self.other = [np.array(leaf) for leaf in leaves]
            names = argument_names(self.layer, len(self.args))
            self.other_args = [self._other_mask(name, value, wildness) for name, value in zip(names, self.args, strict=True)]
            self.other_kwargs = {name: self._other_mask(name, value, wildness) for name, value in self.kwargs.items()}
            if shapes is None or self._shapes_at(self.other) == shapes:
                break
        turned = [-leaf if of_one_sign(leaf) else leaf for leaf in self.other]
        if any(map(of_one_sign, self.leaves)) and shapes is not None and self._shapes_at(turned) == shapes:
            self.other_signs = turned

    def _other_mask(self, name: str, value: Any, wildness: int) -> Any:
        is_mask = name.endswith("mask") and _is_mask(value)
        return other_mask(value, wildness, self.batch_axis, self.rng) if is_mask else value

    def _shapes_at(self, leaves: Leaves) -> list[tuple[int, ...]] | None:
        """The shapes of the outputs for these inputs; None if forward fails there, or gives numbers that are not finite."""
        try:
            with np.errstate(all="ignore"):
                y = self.forward(leaves)
        except Exception:                               # the check itself will meet it at the inputs given
            return None
        finally:
            self.restore()
        is_finite = all(np.isfinite(values).all() for values in y if values.dtype.kind == "f")
        return [values.shape for values in y] if is_finite else None

    def other_weights(self) -> None:
        """Move all weights' values to other places, and a little; `restore` puts them back."""
        for parameter in self.weights:
            values = self.rng.permutation(parameter.numpy().reshape(-1)).reshape(parameter.shape)
            parameter.assign(values * self.rng.uniform(0.8, 1.2, parameter.shape))

    def first_step(self) -> "Subject | None":
        """The same layer with the first time step of its sequences, masks too; None if it has no sequences of floats."""
        return self.with_steps(1)

    def with_steps(self, count: int) -> "Subject | None":
        """The same layer with the first `count` time steps of its sequences, masks too; None if it has no more steps."""
        axes = sorted({self.batch_axis, self.time_axis})
        whole = next((leaf.shape for leaf in self.leaves if leaf.ndim == 3 and leaf.dtype.kind == "f"), None)
        if whole is None or whole[self.time_axis] <= count:
            return None

        def fits(leaf: np.ndarray, least: int) -> bool:
            return leaf.ndim >= least and all(leaf.shape[axis] == whole[axis] for axis in axes)
        return self._cut(self.time_axis, count, lambda leaf: leaf.dtype.kind == "f" and fits(leaf, 3),
                         lambda mask: fits(mask, len(axes)))

    def with_samples(self, count: int) -> "Subject | None":
        """The same layer with the first `count` samples, masks too; None if it has no more."""
        axis = self.batch_axis
        whole = next((leaf.shape[axis] for leaf in self.leaves if leaf.ndim > axis), 0)
        if whole <= count:
            return None

        def fits(leaf: np.ndarray) -> bool:
            return leaf.ndim > axis and leaf.shape[axis] == whole
        return self._cut(axis, count, fits, fits)

    def _cut(self, axis: int, count: int, fits: Callable[[np.ndarray], bool],
             mask_fits: Callable[[np.ndarray], bool]) -> "Subject":
        """The same layer with less of its inputs; weights and state are shared."""
        def cut(leaf: np.ndarray) -> np.ndarray:
            return np.take(leaf, range(count), axis) if fits(leaf) else leaf

        def cut_mask(name: str, value: Any) -> Any:
            is_mask = name.endswith("mask") and _is_mask(value) and not isinstance(value, (list, tuple))
            return np.take(np.asarray(value), range(count), axis) if is_mask and mask_fits(np.asarray(value)) else value

        smaller = copy.copy(self)
        smaller.leaves, smaller.other = [cut(leaf) for leaf in self.leaves], [cut(leaf) for leaf in self.other]
        names = argument_names(self.layer, len(self.args))
        smaller.args = [cut_mask(name, value) for name, value in zip(names, self.args, strict=True)]
        smaller.other_args = [cut_mask(name, value) for name, value in zip(names, self.other_args, strict=True)]
        smaller.kwargs = {name: cut_mask(name, value) for name, value in self.kwargs.items()}
        smaller.other_kwargs = {name: cut_mask(name, value) for name, value in self.other_kwargs.items()}
        restore_leaves = remember(*smaller.leaves)

        def restore() -> None:
            self.restore()
            restore_leaves()
        smaller.restore = restore
        return smaller

    def _changeable(self) -> list[Any]:
        return [*(vars(layer) for layer in self.layers), *self._random_sources()]

    def stir(self) -> None:
        """Draw from every source of random numbers, so that what is drawn next is other than before."""
        np.random.random(3)
        for source in self._random_sources():
            if isinstance(source, (np.random.Generator, np.random.RandomState)):
                source.random(3) if isinstance(source, np.random.Generator) else source.random_sample(3)

    def _random_sources(self) -> list[Any]:
        module = sys.modules.get("nblayers.random")
        holders = [vars(holder) for holder in (*self.layers, *([module] if module else []))]
        return [GlobalRandom(), *(value for holder in holders for value in holder.values() if is_random_source(value))]

    def forward(self, leaves: Leaves | None = None, is_other: bool | None = None) -> list[np.ndarray]:
        """Copies of all outputs, then of the sum of the penalties that the layer adds to the loss, if it has any.

        Arguments:
            leaves: the inputs; those given by default.
            is_other: whether masks are those that go with `other`; by default for `other` itself.

        Raises:
            TypeError: the layer returns something other than arrays of real numbers.
        """
        is_other = leaves is self.other if is_other is None else is_other
        args, kwargs = (self.other_args, self.other_kwargs) if is_other else (self.args, self.kwargs)
        self.handed: list[np.ndarray] = copied(list(self.leaves if leaves is None else leaves))
        for one in self.plain:
            one.hand_over()
        self.outputs = self.layer.forward(*(_filled(value, self.handed) for value in args),
                                          **{name: _filled(value, self.handed) for name, value in kwargs.items()})
        penalties = [float(loss) for layer in self.layers for loss in layer._thread.losses]
        return self._checked(self.outputs) + ([np.array(sum(penalties))] if penalties else [])

    def _checked(self, outputs: Any) -> list[np.ndarray]:
        """Copies of the outputs.

        Raises:
            TypeError: they are no arrays of real numbers.
        """
        who = f"gradcheck of {self.layer.described}"
        hint = "" if isinstance(self.layer, Foreign) else "; for a forward that returns (y, cache) there is gradcheck_pair"
        if outputs is None:
            raise TypeError(f"{who}: expected forward to return an array, got None: is `return y` missing?")
        if isinstance(outputs, (list, tuple)) and self._holds_cache(outputs):
            raise TypeError(f"{who}: expected forward to return an array or a list of arrays, got what looks like (y, cache)"
                            + hint)
        found = present(outputs)
        if not found:
            raise TypeError(f"{who}: expected forward to return an array, got an empty list")
        arrays = []
        for y in found:
            array = None if isinstance(y, (str, bytes, dict, set)) else np.array(to_numpy(y))
            if array is None or array.dtype.kind not in "fiub":
                raise TypeError(f"{who}: expected forward to return an array of real numbers, got {_described(y, array)}")
            arrays.append(array)
        return arrays

    def _holds_cache(self, outputs: Sequence[Any]) -> bool:
        """Whether what stands behind the first output is for backward: no array, or in a tuple with the input itself."""
        rest = present(list(outputs[1:]))
        if any(isinstance(y, (str, bytes, dict, set)) or callable(y) for y in rest):
            return not isinstance(outputs[0], (str, dict)) and outputs[0] is not None
        own = [*self.handed[:1], *(p.value for p in self.weights)]
        nested = [y for one in outputs[1:] if isinstance(one, (list, tuple)) for y in flat(list(one))]
        return any(y is array for y in nested for array in own)

    def backward(self, dy: Sequence[Any]) -> tuple[list[Any], list[np.ndarray]]:
        """Copies of the gradients that backward returns, and of all the weights' gradients."""
        for one in self.plain:
            one.prepare()
        returned = flat(self.layer.backward(_in_structure(self.outputs, iter(dy))))
        for one in self.plain:
            one.collect(self._factor)
        return [None if dx is None else np.array(to_numpy(dx)) for dx in returned], self.weight_gradients()

    def backward_without_clearing(self, dy: Sequence[Any]) -> Iterator[tuple[plain.Plain, np.ndarray]]:
        """What a further backward leaves where plain weights have their gradients, by the weight."""
        self.layer.backward(_in_structure(self.outputs, iter(dy)))
        for one in self.plain:
            found = plain.as_shaped(one.source.read(), one.parameter.shape)
            if isinstance(one.source, (plain.Place, plain.Beside)) and not one.is_stepped and found is not None:
                yield one, self._factor * found

    @property
    def _factor(self) -> float:
        return self.layer.factor if isinstance(self.layer, Foreign) else 1.0

    def weight_gradients(self) -> list[np.ndarray]:
        return [np.array(to_numpy(parameter.grad)) for parameter in self.weights]


def flat(values: Any) -> list[Any]:
    """The arrays in a structure of lists, in order."""
    return [leaf for value in values for leaf in flat(value)] if isinstance(values, (list, tuple)) else [values]


def present(outputs: Any) -> list[Any]:
    """The outputs that are there: None stands for one that was not asked for."""
    return [y for y in flat(outputs) if y is not None]


def _notes(layer: Layer, found: plain.Found) -> list[str]:
    """What was taken for a weight, and what was not though y depends on it."""
    notes = []
    who = "" if isinstance(layer, Foreign) else "self."
    if found.taken and not (isinstance(layer, Foreign) and layer.params is not None):
        notes.append(f"weights found in plain arrays, and their gradients: {', '.join(found.taken)}")
    unchecked = [f"{who}{place}" for place in found.unchecked if not STATISTICS.search(str(place))]
    stepped = [f"{who}{one.places[0]}" for one in found.stepped]
    if stepped:
        notes.append(f"not checked: {', '.join(stepped)}, which backward changes by a step of unknown size: let backward take "
                     "the learning rate as an argument, or keep the gradient in an attribute (self.dW)")
    if found.ignored:
        notes.append(f"y does not depend on {', '.join(who + name for name in found.ignored)}: does forward leave it out?")
    if unchecked:
        how = ("name it: params={'W': 'dW'}" if isinstance(layer, Foreign) else
               "keep it as self.dW beside self.W, or make the weight with add_weight")
        notes.append(f"not checked: {', '.join(unchecked)}, on which y depends, as no gradient was found for it; if it is a "
                     f"weight, {how}")
    return notes


def _described(y: Any, array: np.ndarray | None) -> str:
    if isinstance(y, dict):
        return f"a dictionary with the keys {', '.join(map(repr, list(y)[:5]))}"
    if array is not None and array.dtype.kind == "c":
        return "complex numbers"
    return repr(y) if isinstance(y, str) else "None" if y is None else type(y).__name__


def _is_setting(value: Any, is_foreign: bool) -> bool:
    """Whether an argument is no array, nor a structure of arrays."""
    if value is None or isinstance(value, (bool, int, float, str, bytes)) or (is_foreign and callable(value)):
        return True
    if isinstance(value, (np.bool_, np.integer, np.str_)):
        return True
    if is_foreign and isinstance(value, tuple):         # sizes such as (2, 2)
        return all(isinstance(item, (int, str, bool)) or item is None for item in value)
    known = isinstance(value, (list, tuple, dict)) or hasattr(value, "shape") or hasattr(value, "__array__")
    return is_foreign and not known


def _is_floating(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _is_mask(value: Any) -> bool:
    return value is not None and not isinstance(value, (bool, str, int, float, dict))


def _filled(value: Any, leaves: Leaves) -> Any:
    if isinstance(value, _Slot):
        return leaves[value.position]
    if isinstance(value, dict):
        return {key: _filled(item, leaves) for key, item in value.items()}
    return [_filled(item, leaves) for item in value] if isinstance(value, list) else copied(value)


def _in_structure(outputs: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(outputs, (list, tuple)):
        return [_in_structure(y, leaves) for y in outputs]
    return None if outputs is None else next(leaves)


def argument_names(layer: Layer, count: int) -> list[str]:
    """What forward calls its first `count` arguments."""
    if isinstance(layer, Foreign):
        names = layer.argument_names()
    else:
        names = [parameter.name for parameter in positional(layer.forward) or ()]
    return [names[i] if i < len(names) else f"input {i}" for i in range(count)]


__all__ = ["FunctionPair", "Leaves", "Subject", "argument_names", "flat"]
