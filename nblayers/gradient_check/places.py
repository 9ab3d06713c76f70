"""Where somebody's object keeps its arrays: `W`, `layer1.W`, `params['W1']`, `weights[0]`, `parameters()[0].data`."""
import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nblayers.gradient_check.remember import attributes, has_attributes
from nblayers.layers.base import Layer
from nblayers.parameter import Parameter

ATTRIBUTE, ITEM, CALL = "attribute", "item", "call"
Step = tuple[str, Any]                  # ("attribute", "W"), ("item", "W1"), ("item", 0), ("call", None)
LONGEST = 1000                          # a list that is longer holds data, and no weights
MISSING = object()


@dataclass(frozen=True)
class Place:
    """A way from an object to something that it holds, walked anew each time: what lies on it may be replaced meanwhile."""

    root: Any
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """As one writes it in Python, without the object's name."""
        text = "".join({ATTRIBUTE: f".{key}", ITEM: f"[{key!r}]", CALL: "()"}[kind] for kind, key in self.steps)
        return text.removeprefix(".")

    def inside(self, kind: str, key: Any = None) -> "Place":
        return Place(self.root, (*self.steps, (kind, key)))

    @property
    def holder(self) -> "Place":
        return Place(self.root, self.steps[:-1])

    @property
    def key(self) -> Any:
        return self.steps[-1][1]

    def read(self) -> Any:
        """What lies there now; `MISSING` if nothing does."""
        value = self.root
        for kind, key in self.steps:
            try:
                value = _step(value, kind, key)
            except Exception:                           # a property may raise what it likes
                return MISSING
        return value

    def write(self, value: Any) -> None:
        """Put `value` there; a tuple on the way is made anew."""
        kind, key = self.steps[-1]
        holder = self.holder.read()
        if kind == ATTRIBUTE:
            setattr(holder, key, value)
        elif isinstance(holder, tuple):
            items = [value if i == key else item for i, item in enumerate(holder)]
            self.holder.write(holder._make(items) if hasattr(holder, "_make") else tuple(items))
        elif holder[key] is not value:
            holder[key] = value


def _step(value: Any, kind: str, key: Any) -> Any:
    if kind == ATTRIBUTE:
        return getattr(value, key)
    if kind == ITEM:
        return value[key]
    made = value()
    return made if isinstance(made, (list, tuple, dict)) else list(made)


def at(root: Any, text: str) -> Place:
    """The place that `text` names, seen from `root`.

    Raises:
        ValueError: no such way of writing.
    """
    try:
        return Place(root, tuple(_steps(ast.parse(text.strip(), mode="eval").body)))
    except (SyntaxError, ValueError) as error:
        raise ValueError("expected the name of an attribute or item, such as W, layer1.W or params['W1'], got "
                         f"{text!r}") from error


def _steps(node: ast.expr) -> Iterator[Step]:
    if isinstance(node, ast.Name):
        yield ATTRIBUTE, node.id
    elif isinstance(node, ast.Attribute):
        yield from _steps(node.value)
        yield ATTRIBUTE, node.attr
    elif isinstance(node, ast.Subscript):
        yield from _steps(node.value)
        yield ITEM, ast.literal_eval(node.slice)
    elif isinstance(node, ast.Call) and not node.args and not node.keywords:
        yield from _steps(node.func)
        yield CALL, None
    else:
        raise ValueError


def arrays(root: Any) -> Iterator[tuple[Place, np.ndarray]]:
    """Every floating array that `root` holds, also deep inside, with the place of each reference to it.

    A `Parameter` is looked into by nobody, and neither is a layer inside a layer.
    """
    seen: set[int] = set()
    waiting: list[tuple[Place, Any]] = [(Place(root, ()), root)]
    while waiting:
        place, holder = waiting.pop(0)
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        for kind, key, value in _items(holder):
            inner = place.inside(kind, key)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                yield inner, value
            elif isinstance(value, (list, tuple, dict)) or _is_open(value):
                waiting.append((inner, value))


def layers(root: Any) -> list[Layer]:
    """The layers that an object holds, also deep inside; those inside a layer are the layer's."""
    seen: set[int] = set()
    found: list[Layer] = []
    waiting = [root]
    while waiting:
        holder = waiting.pop(0)
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        if isinstance(holder, Layer):
            found.append(holder)
        elif isinstance(holder, (list, tuple, dict)) or _is_open(holder):
            waiting.extend(value for _, _, value in _items(holder))
    return found


def _is_open(value: Any) -> bool:
    return has_attributes(value) and not isinstance(value, (Layer, Parameter, np.random.Generator))


def _items(holder: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(holder, dict):
        yield from ((ITEM, key, value) for key, value in list(holder.items()) if isinstance(key, (str, int)))
    elif isinstance(holder, (list, tuple)):
        yield from ((ITEM, i, value) for i, value in enumerate(holder[:LONGEST]))
    elif not isinstance(holder, np.ndarray):
        yield from ((ATTRIBUTE, name, value) for name, value in attributes(holder))
