"""What a namespace holds, remembered so that it can be put back exactly: the `b` of the stepper.

A snapshot does not copy objects. It keeps the *contents* of every array, list, dict, set, instance and random generator that
can be reached from the namespace, and `restore` writes them back into the same objects. So two names for one array stay two
names for one array (a layer's `kernel.value` and a variable of the lesson), and what did not change since the snapshot
before is shared with it: stepping over a trained model costs a comparison, not a copy.
"""
import builtins
import collections
import functools
import io
import random
import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nblayers.config import Setting

MOST_OBJECTS = 300_000                  # of one snapshot

# what is never looked into: it does not change, or it is no business of the lesson's
ATOMS = (type(None), bool, int, float, complex, str, bytes, range, slice, type, np.generic, np.dtype, types.ModuleType,
         types.BuiltinFunctionType, types.CodeType, types.EllipsisType, BaseException)
FOREIGN = {"matplotlib", "PIL", "cupy", "rich", "numba", "llvmlite", "logging", "threading", "re", "pathlib", "importlib",
           "_frozen_importlib", "_frozen_importlib_external", "_pytest", "pluggy"}     # who loads a module is no state of it

VISIBLE = {"_value", "_grad", "_parameters", "_layers"}                 # private names of what a learner sees all the same
HIDDEN = {"cache", "state"}


class TooLarge(Exception):
    """The namespace holds more objects than can be remembered at every step."""


@dataclass
class Snapshot:
    """The contents of all that can be reached, by the object's id."""

    contents: dict[int, tuple[Any, Any]] = field(default_factory=dict)      # the object itself, and a copy of what it holds
    leads_to: dict[int, list[int]] = field(default_factory=dict)

    def arrays(self) -> dict[int, int]:
        """The sizes in bytes of the arrays kept, by the id of the copy."""
        return {id(kept): kept.nbytes for _, kept in self.contents.values() if isinstance(kept, np.ndarray)}


def take(roots: Iterable[Any], before: Snapshot | None = None) -> Snapshot:
    """Remember what can be reached from `roots`; contents equal to those in `before` are shared with it.

    Raises:
        TooLarge: more than MOST_OBJECTS objects.
    """
    known = before.contents if before else {}
    snapshot = Snapshot()
    waiting = [root for root in roots if not isinstance(root, ATOMS)]
    seen = {id(value) for value in [*waiting, vars(builtins), sys.modules]}
    while waiting:
        value = waiting.pop()
        kind = _kind(value)
        old = known.get(id(value))
        if old is not None and old[0] is value and kind.same(value, old[1]):
            kept = old[1]
        else:
            kept = kind.read(value)
        snapshot.contents[id(value)] = (value, kept)
        inside = [child for child in kind.children(value) if not isinstance(child, ATOMS)]
        snapshot.leads_to[id(value)] = [id(child) for child in inside]
        new = {id(child): child for child in inside if id(child) not in seen}
        seen.update(new)
        waiting.extend(new.values())
        if len(seen) > MOST_OBJECTS:
            raise TooLarge(f"more than {MOST_OBJECTS} objects")
    return snapshot


def restore(snapshot: Snapshot) -> None:
    """Write the contents back into the objects they came from."""
    for value, kept in snapshot.contents.values():
        if kept is not None:
            _kind(value).write(value, kept)


def changed(before: Snapshot, after: Snapshot, value: Any) -> bool:
    """Whether `value` was there before and something that it leads to has other contents now.

    Of an object's attributes only those count that a learner can see: not the private ones, not a layer's cache.
    """
    if id(value) not in before.contents:
        return False
    waiting, seen = [id(value)], {id(value)}
    attributes = set[int]()                             # the dicts in which objects keep their attributes
    while waiting:
        key = waiting.pop()
        old, new = before.contents.get(key), after.contents.get(key)
        if new is None:
            continue
        kept, led_to = new[1], after.leads_to[key]
        was = old[1] if old else kept
        if key in attributes:
            kept, was = _seen_by_learners(kept), _seen_by_learners(was)
            led_to = [id(child) for child in kept.values()]
            if not _Mapping.same(kept, was):
                return True
        elif kept is not was:
            return True
        if _kind(new[0]) is _Instance and hasattr(new[0], "__dict__"):
            attributes.add(id(new[0].__dict__))
        fresh = [child for child in led_to if child not in seen]
        seen.update(fresh)
        waiting += fresh
    return False


def _seen_by_learners(attributes: dict[str, Any]) -> dict[str, Any]:
    """The public attributes without a layer's cache, and the private ones that public properties show."""
    return {name: value for name, value in attributes.items()
            if name in VISIBLE or name.startswith("_fixed_") or not (name.startswith("_") or name in HIDDEN)}


def shared_state() -> list[Any]:
    """What results depend on outside the lesson: the global random generators, registers and settings in nblayers' modules."""
    found: list[Any] = [getattr(random, "_inst"), np.random.mtrand._rand]      # noqa: B009  not in the type stubs
    for name, module in list(sys.modules.items()):
        if name == "nblayers.random":
            found.append(vars(module))                          # `set_seed` binds a new generator
        elif name.startswith("nblayers.") and not name.startswith("nblayers.learn"):
            found += [value for key, value in vars(module).items()
                      if isinstance(value, (dict, list, Setting)) and not key.isupper() and not key.startswith("__")]
    return found


def cannot_restore(value: Any) -> str:
    """What `value` is, if it changes as it is used and its inside is not remembered; "" for everything else."""
    if isinstance(value, io.IOBase):
        return "an open file"
    if hasattr(value, "__next__"):
        return "an iterator"
    root = type(value).__module__.split(".")[0]
    return {"matplotlib": "a drawing", "PIL": "an image", "cupy": "an array on the GPU"}.get(root, "")


class _Nothing:
    """Holds nothing that can change, or nothing that we can put back."""

    @staticmethod
    def read(value: Any) -> Any:
        return None

    @staticmethod
    def same(value: Any, kept: Any) -> bool:
        return kept is None

    @staticmethod
    def write(value: Any, kept: Any) -> None:
        pass

    @staticmethod
    def children(value: Any) -> Iterable[Any]:
        return ()


class _Array(_Nothing):
    """An array with memory of its own. A view has none: it leads to its base."""

    @staticmethod
    def read(value: np.ndarray) -> Any:
        return None if value.base is not None or not value.flags.writeable else value.copy()

    @staticmethod
    def same(value: np.ndarray, kept: Any) -> bool:
        if kept is None or value.shape != kept.shape or value.dtype != kept.dtype:
            return kept is None and _Array.read(value) is None
        if value.dtype.hasobject:
            return all(a is b for a, b in zip(value.flat, kept.flat, strict=True))
        if value.itemsize in (1, 2, 4, 8):                      # by their bits, so that NaN equals NaN and 0 is not -0
            bits = f"u{value.itemsize}"
            return bool((value.view(bits) == kept.view(bits)).all())
        return value.tobytes() == kept.tobytes()

    @staticmethod
    def write(value: np.ndarray, kept: np.ndarray) -> None:
        if not _Array.same(value, kept):
            value[...] = kept

    @staticmethod
    def children(value: np.ndarray) -> Iterable[Any]:
        return [value.base] if value.base is not None else value.flat if value.dtype.hasobject else ()


class _Sequence(_Nothing):
    @staticmethod
    def read(value: Any) -> list[Any]:
        return list(value)

    @staticmethod
    def same(value: Any, kept: list[Any]) -> bool:
        return len(value) == len(kept) and all(a is b for a, b in zip(value, kept, strict=True))

    @staticmethod
    def write(value: Any, kept: list[Any]) -> None:
        value.clear()
        value.extend(kept)

    @staticmethod
    def children(value: Any) -> Iterable[Any]:
        return [*value, vars(value)] if hasattr(value, "__dict__") else value


class _Set(_Sequence):
    @staticmethod
    def write(value: set[Any], kept: list[Any]) -> None:
        value.clear()
        value.update(kept)


class _Mapping(_Nothing):
    @staticmethod
    def read(value: dict[Any, Any]) -> dict[Any, Any]:
        return dict(value)

    @staticmethod
    def same(value: dict[Any, Any], kept: dict[Any, Any]) -> bool:
        return len(value) == len(kept) and all(
            a is b and v is w for (a, v), (b, w) in zip(value.items(), kept.items(), strict=True))

    @staticmethod
    def write(value: dict[Any, Any], kept: dict[Any, Any]) -> None:
        dict.clear(value)
        dict.update(value, kept)

    @staticmethod
    def children(value: dict[Any, Any]) -> Iterable[Any]:
        return [*value, *value.values(), *([vars(value)] if hasattr(value, "__dict__") else ())]


class _Tuple(_Nothing):
    @staticmethod
    def children(value: Any) -> Iterable[Any]:
        return value


class _Python(_Nothing):
    """Python's random generator."""

    @staticmethod
    def read(value: random.Random) -> Any:
        return value.getstate()

    @staticmethod
    def same(value: random.Random, kept: Any) -> bool:
        return bool(value.getstate() == kept)

    @staticmethod
    def write(value: random.Random, kept: Any) -> None:
        value.setstate(kept)


class _Generator(_Nothing):
    """NumPy's random generators, new and old; compared by the text of their state, which holds arrays."""

    @staticmethod
    def read(value: Any) -> Any:
        return value.bit_generator.state if isinstance(value, np.random.Generator) else value.get_state()

    @staticmethod
    def same(value: Any, kept: Any) -> bool:
        with np.printoptions(threshold=sys.maxsize):
            return repr(_Generator.read(value)) == repr(kept)

    @staticmethod
    def write(value: Any, kept: Any) -> None:
        if isinstance(value, np.random.Generator):
            value.bit_generator.state = kept
        else:
            value.set_state(kept)


class _Cell(_Nothing):
    """A variable of an outer function."""

    @staticmethod
    def read(value: types.CellType) -> Any:
        try:
            return (value.cell_contents,)
        except ValueError:                                      # empty
            return None

    @staticmethod
    def same(value: types.CellType, kept: Any) -> bool:
        now = _Cell.read(value)
        return now is kept or (now is not None and kept is not None and now[0] is kept[0])

    @staticmethod
    def write(value: types.CellType, kept: Any) -> None:
        value.cell_contents = kept[0]

    @staticmethod
    def children(value: types.CellType) -> Iterable[Any]:
        return _Cell.read(value) or ()


class _Function(_Nothing):
    """The lesson's own functions lead to what their closures and defaults hold; those of libraries to nothing."""

    @staticmethod
    def children(value: types.FunctionType) -> Iterable[Any]:
        if value.__globals__.get("__name__") != "__main__":
            return ()
        frame = [value.__globals__] if "__frame__" in value.__globals__ else []         # made in a function stepped into
        return [*(value.__closure__ or ()), *(value.__defaults__ or ()), *frame]


class _Bound(_Nothing):
    @staticmethod
    def children(value: Any) -> Iterable[Any]:
        return [value.__self__] if hasattr(value, "__self__") else [value.func, value.args, value.keywords]


class _Instance(_Nothing):
    """An object of a class: its attributes lie in a dict of their own, save those in slots."""

    @staticmethod
    def read(value: Any) -> Any:
        return {name: getattr(value, name) for name in _slots(value) if hasattr(value, name)} or None

    @staticmethod
    def same(value: Any, kept: Any) -> bool:
        return _Mapping.same(_Instance.read(value) or {}, kept or {})

    @staticmethod
    def write(value: Any, kept: dict[str, Any]) -> None:
        for name, item in kept.items():
            if getattr(value, name, _Nothing) is not item:
                object.__setattr__(value, name, item)

    @staticmethod
    def children(value: Any) -> Iterable[Any]:
        own = [value.__dict__] if hasattr(value, "__dict__") else []
        return [*own, *(_Instance.read(value) or {}).values()]


KINDS: tuple[tuple[Any, type[_Nothing]], ...] = (
    (np.ndarray, _Array), (dict, _Mapping), ((list, collections.deque, bytearray), _Sequence), (set, _Set),
    ((tuple, frozenset), _Tuple), (random.Random, _Python), ((np.random.Generator, np.random.RandomState), _Generator),
    (types.CellType, _Cell), (types.FunctionType, _Function), ((types.MethodType, functools.partial), _Bound),
    ((io.IOBase, ATOMS), _Nothing))


_known: dict[type, type[_Nothing]] = {}


def _kind(value: Any) -> type[_Nothing]:
    found = _known.get(type(value))
    if found is None:
        foreign = type(value).__module__.split(".")[0] in FOREIGN
        found = next((handler for types_, handler in KINDS if isinstance(value, types_)), _Nothing if foreign else _Instance)
        _known[type(value)] = found
    return found


def _slots(value: Any) -> list[str]:
    names: list[str] = []
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if not name.startswith("__")]
