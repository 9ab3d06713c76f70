"""Nested lists, tuples and dictionaries of arrays, tensors or shapes."""
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

Shape = tuple[int | None, ...]


def flatten(structure: Any) -> list[Any]:
    """The leaves of nested lists, tuples and dictionaries (these by sorted key)."""
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in flatten(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [leaf for item in structure for leaf in flatten(item)]
    return [structure]


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure with `function` applied to every leaf, in the order of `flatten`."""
    if isinstance(structure, dict):
        mapped = {key: map_structure(function, structure[key]) for key in sorted(structure)}
        return {key: mapped[key] for key in structure}
    if isinstance(structure, (list, tuple)):
        items = [map_structure(function, item) for item in structure]
        return items if isinstance(structure, list) else tuple(items)
    return function(structure)


def copied(structure: Any) -> Any:
    """The same structure with copies of its arrays; what is none stays as it is."""
    return map_structure(lambda leaf: leaf.copy() if hasattr(leaf, "shape") else leaf, structure)


def pack(structure: Any, leaves: Iterable[Any]) -> Any:
    """The same structure with these leaves."""
    waiting: Iterator[Any] = iter(leaves)
    return map_structure(lambda _: next(waiting), structure)


def is_shape(value: Any) -> bool:
    """Whether this is one shape, and not a list of shapes."""
    return isinstance(value, (list, tuple)) and all(size is None or isinstance(size, (int, np.integer)) for size in value)


def are_shapes(value: Any) -> bool:
    """Whether this is a shape, or a list or dictionary of shapes (None for one that is not known)."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else None
    return is_shape(value) or (inner is not None and all(shape is None or are_shapes(shape) for shape in inner))


def shapes_fit(a: Any, b: Any) -> bool:
    """Whether two shapes, or parts of them, may be the same: None fits every size."""
    return len(a) == len(b) and all(m == n or None in (m, n) for m, n in zip(a, b, strict=True))


def map_shapes(function: Callable[[Shape], Any], shapes: Any) -> Any:
    """`map_structure` where the leaves are shapes."""
    if is_shape(shapes):
        return function(tuple(shapes))
    if isinstance(shapes, dict):
        return {key: map_shapes(function, shapes[key]) for key in sorted(shapes)}
    return [map_shapes(function, shape) for shape in shapes]


def flatten_shapes(shapes: Any) -> list[Shape]:
    """`flatten` where the leaves are shapes."""
    found: list[Shape] = []
    map_shapes(found.append, shapes)
    return found
