"""What a module holds, by PyTorch's names: weights, layers, and the text that `repr` shows of them."""
from collections.abc import Iterator, Mapping
from typing import Any

from nblayers.layers.base import Layer
from nblayers.parameter import Parameter


def own_weights(layer: Layer) -> Iterator[tuple[str, Any, bool]]:
    """(name, weight, whether it is a buffer) of what a layer holds itself, under the names of its attributes."""
    names: dict[int, list[str]] = {}
    for attribute, value in list(vars(layer).items()):
        if isinstance(value, Parameter):
            names.setdefault(id(value), []).append(attribute.removeprefix("_fixed_"))
    for place, found in enumerate(list(layer._parameters)):
        for name in names.get(id(found), [found.name]):
            yield name, found, place >= layer._trained_count


def held(layer: Layer) -> Iterator[tuple[str, Layer]]:
    """(name, layer) of the layers that a layer holds, as it names them."""
    own: Any = getattr(layer, "_held_layers", None)
    return in_attributes(layer) if own is None else own()


def in_attributes(layer: Layer) -> Iterator[tuple[str, Layer]]:
    """(name, layer) of the layers in a layer's attributes; in a list or dictionary the name goes on with a number or key."""
    for attribute, value in list(vars(layer).items()):
        yield from _inside(attribute.removeprefix("_fixed_"), value)


def _inside(name: str, value: Any) -> Iterator[tuple[str, Layer]]:
    if isinstance(value, Layer):
        yield name, value
    elif isinstance(value, dict):
        for key, item in list(value.items()):
            yield from _inside(f"{name}.{key}", item)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _inside(f"{name}.{number}", item)


def walk(layer: Layer, path: str, seen: set[int], once: bool) -> Iterator[tuple[str, Layer]]:
    """(path, layer) of this layer, at `path`, and all inside; with `once` each only where it is met first."""
    if once and id(layer) in seen:
        return
    seen.add(id(layer))
    yield path, layer
    for name, inside in held(layer):
        yield from walk(inside, joined(path, name), seen, once)


def state_of(layer: Layer, prefix: str) -> Iterator[tuple[str, Any]]:
    """(name, weight) of what a state_dict holds."""
    for path, inside in walk(layer, "", set(), once=False):
        transient = getattr(inside, "_transient", ())
        for name, found, is_buffer in own_weights(inside):
            if not (is_buffer and name in transient):
                yield prefix + joined(path, name), found


def optional_state(layer: Layer) -> set[str]:
    """Names that a state_dict may lack."""
    return {joined(path, name) for path, inside in walk(layer, "", set(), once=False)
            for name in getattr(inside, "optional_state", ())}


def unbuilt(layer: Layer) -> str:
    """What an error adds where weights are missing that are made in the first call."""
    names = [path for path, inside in walk(layer, "", set(), once=True) if not (inside.built or inside.follows_training)]
    return f" ({', '.join(names)} not built yet: call the module on data first)" if names else ""


def changed(layer: Layer, usual: Mapping[str, Any]) -> str:
    """For `extra_repr`: the settings that are not the usual ones."""
    return "".join(f", {name}={getattr(layer, name)}" for name, value in usual.items() if getattr(layer, name) != value)


def joined(path: str, name: str) -> str:
    """The path of what is called `name` there."""
    return f"{path}.{name}" if path else name


def indented(lines: str) -> str:
    """All lines but the first, moved to the right."""
    return lines.replace("\n", "\n  ")
