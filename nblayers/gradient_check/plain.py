"""Weights that somebody keeps in plain arrays, found and handled as `Parameter`s while the check runs.

`self.W` with `self.dW`; `params = {"W": …}` with `grads = {"W": …}`; lists; objects with `data` and `grad`; gradients that
backward returns beside dx, or that show only in how backward changes the weight.
"""
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from nblayers.gradient_check import naming
from nblayers.gradient_check.calls import by_name
from nblayers.gradient_check.places import ATTRIBUTE, CALL, ITEM, MISSING, Place, arrays, at
from nblayers.parameter import Parameter


class Source(Protocol):
    """Where a gradient is to be read after a backward."""

    def read(self) -> Any: ...


@dataclass
class Returned:
    """A gradient that backward returns beside dx: by position, or by name where that is a dictionary."""

    extras: Callable[[], Any]
    key: Any

    def read(self) -> Any:
        extras = self.extras()
        if isinstance(extras, dict):
            found = by_name(extras, self.key)
            return MISSING if found is None else found
        return extras[self.key] if isinstance(self.key, int) and self.key < len(extras) else MISSING

    def __str__(self) -> str:
        return f"returned by backward as {self.key!r}" if isinstance(self.key, str) else "returned by backward"


@dataclass
class Updated:
    """A gradient that shows in the weight itself: backward takes `rate` times the gradient off it."""

    places: Sequence[Place]
    value: np.ndarray
    rate: float = 1.0
    before: Any = None

    def read(self) -> Any:
        now = next((found for place in self.places if (found := place.read()) is not self.value), self.value)
        fits = isinstance(now, np.ndarray) and now.shape == self.value.shape and self.before is not None
        return (self.before - now) / self.rate if fits else MISSING

    def __str__(self) -> str:
        return "read off the step that backward takes with it"


class Nowhere:
    """No gradient to be read."""

    def read(self) -> Any:
        return MISSING


@dataclass
class Plain:
    """One weight in a plain array.

    Attributes:
        parameter: its value, in float64, and the gradients of all backwards so far.
        places: every place where the object keeps the array, the first being its name.
        source: where its gradient is read.
        is_stepped: backward takes a step with it, as it was asked to.
        original: the array that stood there before the check.
    """

    parameter: Parameter
    places: list[Place]
    source: Source
    is_stepped: bool = False
    original: Any = None

    def give_back(self) -> None:
        """Put the original array in the place of one that had to be made for the check."""
        for place in self.places if self.original is not None else ():
            place.write(self.original)

    def hand_over(self) -> None:
        """Let the object compute with the parameter's value."""
        for place in self.places:
            if place.read() is not self.parameter.value:
                place.write(self.parameter.value)

    def prepare(self) -> None:
        """Before a backward: no gradient is left from an earlier one."""
        self.before = self.parameter.numpy()
        if isinstance(self.source, Updated):
            self.source.before = self.before
        elif isinstance(self.source, (Place, Beside)):
            old = self.source.read()
            if isinstance(old, np.ndarray) and old.flags.writeable and not np.may_share_memory(old, self.parameter.value):
                old.fill(0)

    def collect(self, factor: float) -> None:
        """After a backward: add what it gave, times `factor`."""
        gradient = self.source.read()
        now = self.places[0].read()
        if self.is_stepped or isinstance(self.source, Updated):
            self.parameter.assign(self.before)
        elif isinstance(now, np.ndarray) and now.shape == self.parameter.shape:
            self.parameter.assign(now)                  # a value that backward changed shows, also in another array
        self.hand_over()
        share = as_shaped(gradient, self.parameter.shape)
        if share is not None:
            self.parameter.grad[...] += factor * share


def as_shaped(gradient: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """A gradient as an array of this shape, axes of size one aside; None if it is none."""
    if gradient is None or gradient is MISSING:
        return None
    try:
        array = np.asarray(gradient, np.float64)
    except (TypeError, ValueError):
        return None
    without = [size for size in shape if size != 1]
    return array.reshape(shape) if [size for size in array.shape if size != 1] == without else None


@dataclass
class Found:
    """What `find` found.

    Attributes:
        weights: those with a gradient.
        taken: sentences that say what was taken for what.
        unchecked: the places of arrays on which y depends and that have no gradient.
        ignored: the names of weights with a gradient on which y does not depend.
        misshaped: name, shape and the gradient's shape of weights whose gradient has another shape.
        stepped: those that backward changes by a step of unknown size: they are put back after each.
    """

    weights: list[Plain] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    unchecked: list[Place] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    misshaped: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    stepped: list[Plain] = field(default_factory=list)


@dataclass
class Trial:
    """The means to try a layer out.

    Attributes:
        restore: puts everything back to where it was at first.
        forward: runs it from where it is, and gives copies of the outputs.
        backward: goes back from there with a random dy.
        extras: what the last backward returned beside the gradients of the inputs.
        has_rate: whether backward is given a learning rate.
    """

    restore: Callable[[], None]
    forward: Callable[[], list[np.ndarray]]
    backward: Callable[[], None]
    extras: Callable[[], Any] = lambda: ()
    has_rate: bool = False


class Group:
    """An array that an object holds, and all the places where it does."""

    def __init__(self, array: np.ndarray, places: Iterable[Place] = ()) -> None:
        self.array, self.places = array, list(places)


def groups(root: Any) -> list[Group]:
    """The arrays of an object, each once."""
    found: dict[int, Group] = {}
    for place, array in arrays(root):
        found.setdefault(id(array), Group(array)).places.append(place)
    return list(found.values())


def in_float64(root: Any) -> None:
    """Let an object hold every floating array in double precision; whoever calls this puts the old ones back."""
    for group in groups(root):
        if group.array.dtype != np.float64 or not group.array.flags.writeable:
            double = group.array.astype(np.float64)
            for place in group.places:
                place.write(double)


def find(root: Any, trial: Trial, params: Any, prefix: str = "", known: Collection[int] = ()) -> Found:
    """The weights of an object and where their gradients are.

    Arguments:
        root: the object.
        params: {"W": "dW"}, a list of names, or None: all arrays on which y depends are weights.
        prefix: goes before the weights' names.
        known: ids of arrays that are weights, or gradients, of another kind.

    Raises:
        TypeError, ValueError: `params` names what is not there, or what is no floating array.
    """
    unread: list[Group] = []
    if params is None:
        needed = [group for group in dependencies(root, trial) if id(group.array) not in known]
        unread = [group for group in _unread(root, trial, needed) if id(group.array) not in known]
    wanted = list(declared(root, params)) if params is not None else [(group, None) for group in (*needed, *unread)]
    if not wanted:
        return Found()
    before = [group.array.copy() for group, _ in wanted]
    trial.restore()
    trial.forward()
    trial.backward()
    changed = [_is_changed(group, value) for (group, _), value in zip(wanted, before, strict=True)]
    sources = [_source(group, given, trial) for group, given in wanted]
    _hand_out([group for group, _ in wanted], sources, trial)
    steps = [_step_of(group, value, root, trial) for (group, _), value in zip(wanted, before, strict=True)]
    found, names = Found(), _own_names(root)
    for (group, _), source, step, is_changed in zip(wanted, sources, steps, changed, strict=True):
        if is_changed and source is None and step is None:
            found.stepped.append(Plain(Parameter(group.array), group.places, Nowhere(), True))
            continue
        name = names.get(id(group.array)) if params is None else None
        _enter(found, group, source or step, bool(step) and trial.has_rate, prefix, name or str(group.places[0]))
    found.ignored = [str(group.places[0]) for group in unread]
    trial.restore()
    return found


def _own_names(root: Any) -> dict[int, str]:
    """The names that an object like PyTorch's modules gives to its weights, by the ids of the arrays."""
    named = getattr(root, "named_parameters", None)
    try:
        pairs = list(named()) if callable(named) else []
        return {id(getattr(weight, _value_name(weight))): str(name) for name, weight in pairs if _value_name(weight)}
    except Exception:                                   # a method of that name which is something else
        return {}


def _enter(found: Found, group: Group, source: Source | None, is_stepped: bool, prefix: str, name: str) -> None:
    """Put one weight into `found`, as what it turned out to be."""
    if source is None:
        found.unchecked.append(group.places[0])
        return
    gradient = source.read() if not isinstance(source, Updated) else None
    if isinstance(gradient, np.ndarray) and as_shaped(gradient, group.array.shape) is None:
        found.misshaped.append((prefix + name, group.array.shape, gradient.shape))
        return
    parameter = Parameter(group.array, name)
    parameter.path = prefix + name
    found.weights.append(Plain(parameter, group.places, source, is_stepped))
    found.taken.append(f"{name} ({source})")


def dependencies(root: Any, trial: Trial) -> list[Group]:
    """The arrays that forward reads, leaves as they are, and on which y depends."""
    there = groups(root)
    kept = [group.array.copy() for group in there]
    trial.restore()
    trial.forward()
    same = [group for group, copy in zip(there, kept, strict=True) if group.array.size
            and group.places[0].read() is group.array and np.array_equal(group.array, copy, equal_nan=True)]
    equal = [group.array for group in same if (group.array == group.array.flat[0]).all()]
    moved = _moved(equal, trial)                        # weights of zeros would hide those before them
    found = [group for group in same if _matters(group.array, equal, moved, trial)]
    trial.restore()
    return found


def _unread(root: Any, trial: Trial, needed: Sequence[Group]) -> list[Group]:
    """The arrays that have a gradient beside them, as weights do, though y does not depend on them.

    Beside them is dU beside U, or grads["U"] for an item of a list or dictionary that holds weights on which y depends.
    """
    holders = {str(group.places[0].holder) for group in needed if group.places[0].steps[-1][0] == ITEM}
    there = {id(group.array) for group in needed}
    return [group for group in groups(root) if id(group.array) not in there and group.array.size
            and _has_gradient(group, holders) and _is_left_alone(group, trial)]


def _has_gradient(group: Group, holders: Collection[str]) -> bool:
    for place in group.places:
        beside: Iterable[Source] = _by_name(place)
        if str(place.holder) in holders:
            beside = candidates(Group(group.array, [place]))
        found = [source.read() for source in beside]
        if any(isinstance(g, np.ndarray) and g is not group.array and g.shape == group.array.shape for g in found):
            return True
    return False


def _is_left_alone(group: Group, trial: Trial) -> bool:
    """Whether forward leaves an array in its place and never writes to it, whatever it holds."""
    trial.restore()
    kept = group.array.copy()
    moved = kept + 0.1 + np.abs(kept)
    group.array[...] = moved
    try:
        trial.forward()
        return group.places[0].read() is group.array and np.array_equal(group.array, moved)
    except Exception:
        return False
    finally:
        group.array[...] = kept
        trial.restore()


def _matters(array: np.ndarray, also: Sequence[np.ndarray], moved: Sequence[np.ndarray], trial: Trial) -> bool:
    """Whether y changes where all elements of `array` do; those of `also` have changed already, which gives `moved`."""
    others = [other for other in also if other is not array]
    without = moved if len(others) == len(also) else _moved(others, trial)
    pairs = zip(without, _moved([*others, array], trial), strict=False)
    return any(a.shape != b.shape or not np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _moved(moved: Sequence[np.ndarray], trial: Trial) -> list[np.ndarray]:
    """The outputs where these arrays have changed a little; none where forward fails: what cannot change is no weight."""
    trial.restore()
    rng = np.random.default_rng(0)
    before = [array.copy() for array in moved]
    for array in moved:
        array += 1e-3 * (np.abs(array) + 0.1) * rng.uniform(0.5, 1, array.shape)
    try:
        with np.errstate(all="ignore"):
            return trial.forward()
    except Exception:
        return []
    finally:
        for array, values in zip(moved, before, strict=True):
            array[...] = values
        trial.restore()


def declared(root: Any, params: Any) -> Iterator[tuple[Group, Any]]:
    """The weights that `params` names, and what it says of their gradients: a place, an index or nothing."""
    if not isinstance(params, Mapping) and (isinstance(params, str) or not isinstance(params, Iterable)):
        raise TypeError("params: expected {name of a weight: name of its gradient} or a list of names, such as {'W': 'dW'}, "
                        f"got {params!r}")
    known = {id(group.array): group for group in groups(root)}
    for name, gradient in params.items() if isinstance(params, Mapping) else [(name, None) for name in params]:
        place = at(root, name)
        for value, given in _opened(place, at(root, gradient) if isinstance(gradient, str) else gradient):
            array = value.read()
            if array is MISSING:
                raise ValueError(f"params: {type(root).__name__} has no {value}")
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
                raise TypeError(f"params: expected {value} to be a floating array, or a list or dictionary of them, got "
                                f"{type(array).__name__}" + (f" of {array.dtype}" if isinstance(array, np.ndarray) else ""))
            group = known.get(id(array)) or Group(array)
            group.places = [value, *(other for other in group.places if str(other) != str(value))]
            yield group, given


def _opened(value: Place, gradient: Any) -> Iterator[tuple[Place, Any]]:
    """A place of one weight as it is; of a list, a dictionary or an object with `data`, those inside."""
    there = value.read()
    if callable(there) and not isinstance(there, np.ndarray):
        value, there = value.inside(CALL), value.inside(CALL).read()
    if isinstance(gradient, Place) and callable(gradient.read()) and not isinstance(gradient.read(), np.ndarray):
        gradient = gradient.inside(CALL)
    if isinstance(there, (list, tuple, dict)):
        keys = list(there) if isinstance(there, dict) else range(len(there))
        for key in keys:
            yield from _opened(value.inside(ITEM, key), Beside(gradient, key) if isinstance(gradient, Place) else None)
    elif not isinstance(there, np.ndarray) and (name := _value_name(there)):
        yield value.inside(ATTRIBUTE, name), gradient
    else:
        yield value, gradient


def _value_name(thing: Any) -> str:
    """Under which name an object that is a weight keeps its array."""
    return next((name for name in sorted(naming.VALUES) if isinstance(getattr(thing, name, None), np.ndarray)), "")


@dataclass
class Beside:
    """The gradient in a dictionary or list of gradients that goes with a weight's `key`; it may be a new one each time."""

    gradients: Place
    key: Any

    def place(self) -> Place:
        there = self.gradients.read()
        if not isinstance(there, (dict, list, tuple)):
            return self.gradients.inside(ATTRIBUTE, self.key)
        names = [other for other in there if naming.is_gradient_of(other, self.key)] if isinstance(there, dict) else []
        return self.gradients.inside(ITEM, names[0] if names and self.key not in there else self.key)

    def read(self) -> Any:
        return self.place().read()

    def __str__(self) -> str:
        return str(self.place())


def _source(group: Group, given: Any, trial: Trial) -> Source | None:
    """Where the gradient of a weight is: as told, or by its name."""
    if isinstance(given, (Place, Beside)):
        return given
    if given is not None:
        return Returned(trial.extras, given)
    there = [place for place in candidates(group) if isinstance(place.read(), (np.ndarray, np.floating))]
    there = [place for place in there if place.read() is not group.array]
    fitting = [place for place in there if as_shaped(place.read(), group.array.shape) is not None]
    written = [place for place in fitting if np.any(place.read())]
    return next(iter([*written, *fitting, *there]), None)


def candidates(group: Group) -> Iterator[Source]:
    """Places in which, by the names that people use, the gradient of a weight may be."""
    for place in group.places:
        if hasattr(group.array, "grad"):
            yield place.inside(ATTRIBUTE, "grad")
        yield from _by_name(place)
    for place in group.places:
        for depth in range(len(place.steps) - 1, -1, -1):
            yield from _in_containers(place, Place(place.root, place.steps[:depth]), group.array)


def _by_name(place: Place) -> Iterator[Place]:
    """dW beside W; grad beside data."""
    kind, key = place.steps[-1]
    holder = place.holder
    for name in _names(holder.read()):
        if naming.is_gradient_of(name, key) or (naming.plain(key) in naming.VALUES and naming.plain(name) in naming.GRADIENTS):
            yield holder.inside(kind, name)


def _names(holder: Any) -> list[Any]:
    """Keys of a dictionary, names of an object's attributes; properties too."""
    if isinstance(holder, dict):
        return list(holder)
    return [] if isinstance(holder, (list, tuple, np.ndarray)) else [name for name in dir(holder) if not name.startswith("__")]


def _in_containers(place: Place, owner: Place, array: np.ndarray) -> Iterator[Source]:
    """grads["W"] or grads[0] of the object at `owner` for params["W"], params[0], W or params()[0]."""
    names = [name for name in _names(owner.read()) if naming.plain(name) in map(naming.plain, naming.GRADIENT_LISTS)]
    inside = place.steps[len(owner.steps):]
    if len(inside) > 1 and inside[0][0] == ATTRIBUTE:
        names += [name for name in _names(owner.read()) if naming.is_gradient_of(name, inside[0][1]) and name not in names]
    kind = ITEM if isinstance(owner.read(), dict) else ATTRIBUTE
    keys = [place.key, *_keys_in_lists(owner, array)]
    for name in names:
        container = _called(owner.inside(kind, name))
        there = container.read()
        for key in keys:
            is_index = isinstance(there, (list, tuple)) and isinstance(key, int) and key < len(there)
            if is_index or isinstance(there, dict) or (isinstance(key, str) and hasattr(there, key)):
                yield Beside(container, key)


def _keys_in_lists(owner: Place, array: np.ndarray) -> Iterator[Any]:
    """Under which key or index the lists of weights of an object hold this array."""
    names = {naming.plain(name) for name in naming.WEIGHT_LISTS}
    for name in _names(owner.read()):
        if naming.plain(name) not in names:
            continue
        there = _called(owner.inside(ATTRIBUTE, name)).read()
        items = there.items() if isinstance(there, dict) else enumerate(there) if isinstance(there, (list, tuple)) else ()
        yield from (key for key, item in items if item is array)


def _called(place: Place) -> Place:
    """What a method without arguments gives; anything else as it is."""
    there = place.read()
    if not callable(there) or isinstance(there, (np.ndarray, type)):
        return place
    try:
        place.inside(CALL).read()
    except Exception:                                   # a method that is something else after all
        return place
    return place.inside(CALL)


def _hand_out(wanted: Sequence[Group], sources: list[Source | None], trial: Trial) -> None:
    """Give what backward returned beside dx to the weights that have no gradient yet: by name, else by shape, in order."""
    extras = trial.extras()
    free = [k for k, source in enumerate(sources) if source is None]
    if isinstance(extras, dict):
        for k in free:
            key = wanted[k].places[0].key
            if by_name(extras, key) is not None:
                sources[k] = Returned(trial.extras, key)
        return
    alike = len(extras) == len(free)
    for position, gradient in enumerate(extras):
        fits = [k for k in free if as_shaped(gradient, wanted[k].array.shape) is not None]
        chosen = next(iter(fits), free[0] if alike and free else None)
        if chosen is not None:
            sources[chosen] = Returned(trial.extras, position)
            free.remove(chosen)


def _step_of(group: Group, before: np.ndarray, root: Any, trial: Trial) -> Updated | None:
    """The step that backward took with a weight, where it knows the rate: it was given one, or the object holds one."""
    if not _is_changed(group, before):
        return None
    rates = [getattr(root, name) for name in _names(root) if naming.is_rate(str(name))]
    rate = 1.0 if trial.has_rate else next((float(rate) for rate in rates if isinstance(rate, (int, float)) and rate), None)
    return None if rate is None else Updated(group.places, group.array, rate)


def _is_changed(group: Group, before: np.ndarray) -> bool:
    """Whether other numbers lie in a weight's place than `before`."""
    now = group.places[0].read()
    return isinstance(now, np.ndarray) and now.shape == before.shape and not np.array_equal(now, before)
