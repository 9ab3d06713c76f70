"""The contents of objects, kept so that they can be put back: one and the same state before every run."""
import collections
import copy
import functools
import inspect
import io
import random
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from nblayers.layers.base import Layer
from nblayers.parameter import Parameter

Restore = Callable[[], None]

_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_CLOSED = (types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType, types.GeneratorType, types.CodeType,
           types.MappingProxyType, io.IOBase, threading.local, threading.Thread, weakref.ref, *_LOCKS)
_OPEN_MODULES = {"types", "collections", "__main__"}            # of the standard library's, those whose objects are looked into


class GlobalRandom:
    """Python's and NumPy's global random numbers, from which somebody's own layer may draw."""


def is_random_source(value: Any) -> bool:
    kinds = np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random
    return isinstance(value, kinds) or type(value).__module__ == "nblayers.random"


def remember(*values: Any) -> Restore:
    """A function that gives all that `values` hold the contents that it has now, the same objects.

    Arrays, tensors, lists, dictionaries, sets, queues, weights, random generators and attributes of objects have contents,
    whatever circles they form; of anything else (modules, classes, functions, locks, files) only the reference counts.
    """
    found: dict[int, Any] = {}                          # holds what was seen: its id stays its own
    restores = []
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if id(value) in found:
            continue
        found[id(value)] = value
        restore, inside = _contents(value)
        waiting.extend(inside)
        if restore is not None:
            restores.append(restore)

    def put_back() -> None:
        for restore in restores:
            restore()
    return put_back


def has_attributes(value: Any) -> bool:
    """Whether this is somebody's own object, whose attributes are its state."""
    if isinstance(value, (_CLOSED, str, bytes, int, float, complex, np.generic)) or value is None:
        return False
    if isinstance(value, (Layer, Parameter)) or is_random_source(value):
        return True
    top = type(value).__module__.partition(".")[0]
    ours = top in ("nblayers", "kernels", "numpy", "numba", "builtins")
    return not ours and (top in _OPEN_MODULES or top not in sys.stdlib_module_names)


def attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of an object's own attributes, `__slots__` too; no property is called."""
    yield from list(getattr(value, "__dict__", {}).items())
    for name in _slots_of(value.__class__):
        if hasattr(value, name):
            yield name, getattr(value, name)


@functools.cache
def _slots_of(cls: Any) -> tuple[str, ...]:
    """The names that a class and its bases keep in `__slots__`."""
    found = []
    for base in inspect.getmro(cls):
        names = vars(base).get("__slots__", ())
        for name in [names] if isinstance(names, str) else names:
            mangled = f"_{base.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
            if inspect.ismemberdescriptor(vars(base).get(mangled)):
                found.append(mangled)
    return tuple(found)


Contents = tuple[Restore | None, Iterable[Any]]         # how to put them back, and what is to be looked into next


@functools.singledispatch
def _contents(value: Any) -> Contents:
    if hasattr(value, "__cuda_array_interface__"):
        return _array(value)
    if (torch := sys.modules.get("torch")) and isinstance(value, torch.Tensor):
        return _tensor(value)
    if isinstance(value, types.MethodType):
        return None, [value.__self__]
    if has_attributes(value):
        return _attributes(value)
    return None, ()


def _attributes(value: Any) -> Contents:
    names = _slots_of(value.__class__)
    kept = {name: getattr(value, name) for name in names if hasattr(value, name)}

    def put_back() -> None:
        for name in names:
            if name in kept:
                object.__setattr__(value, name, kept[name])
            elif hasattr(value, name):
                object.__delattr__(value, name)
    inside = [vars(value)] if hasattr(value, "__dict__") else []
    return (put_back if names else None), [*inside, *kept.values()]


@_contents.register
def _array(array: np.ndarray) -> Contents:
    contents = array.copy()

    def put_back() -> None:
        if not isinstance(array, np.ndarray) or array.flags.writeable:
            array[...] = contents
    inside = list(contents.flat) if array.dtype.kind == "O" else []
    return put_back, [*inside, *([vars(array)] if hasattr(array, "__dict__") else [])]


def _tensor(tensor: Any) -> Contents:
    """A tensor of PyTorch, in the memory that it has now."""
    data, contents = tensor.data, tensor.detach().clone()

    def put_back() -> None:
        tensor.data = data
        data.copy_(contents)
    return put_back, [vars(tensor)]


@_contents.register
def _bits(bits: np.random.BitGenerator) -> Contents:
    state = copy.deepcopy(bits.state)

    def put_back() -> None:
        bits.state = state
    return put_back, ()


@_contents.register
def _generator(generator: np.random.Generator) -> Contents:
    return _bits(generator.bit_generator)


@_contents.register
def _old_generator(generator: np.random.RandomState) -> Contents:
    state = generator.get_state()
    return lambda: generator.set_state(state), ()


@_contents.register
def _python_random(generator: random.Random) -> Contents:
    state = generator.getstate()
    return lambda: generator.setstate(state), ()


@_contents.register
def _globals(_: GlobalRandom) -> Contents:
    ours, numpys = random.getstate(), np.random.get_state()

    def put_back() -> None:
        random.setstate(ours)
        np.random.set_state(numpys)
    return put_back, ()


@_contents.register
def _dict(items: dict) -> Contents:
    kept = dict(items)

    def put_back() -> None:
        dict.update(items, kept)
        if len(items) != len(kept):
            for key in [key for key in items if key not in kept]:
                dict.__delitem__(items, key)
    return put_back, list(kept.values())


@_contents.register
def _list(items: list) -> Contents:
    kept = list(items)

    def put_back() -> None:
        items[:] = kept
    return put_back, kept


@_contents.register
def _queue(items: collections.deque) -> Contents:
    kept = list(items)

    def put_back() -> None:
        items.clear()
        items.extend(kept)
    return put_back, kept


@_contents.register
def _set(items: set) -> Contents:
    kept = set(items)

    def put_back() -> None:
        items.clear()
        items.update(kept)
    return put_back, kept


@_contents.register
def _tuple(items: tuple) -> Contents:
    return None, items
