"""Attributes that cannot change once a layer is built: kernels find the bounds of arrays by them."""
from operator import attrgetter
from typing import Any

from nblayers.parameter import Parameter


class _Fixed(property):
    def __set_name__(self, owner: type, name: str) -> None:
        key = f"_fixed_{name}"

        def fix(layer: Any, value: Any) -> None:
            if key in vars(layer) and layer.built:
                raise ValueError(f"{layer.described}: {_refusal(name, vars(layer)[key], value)}")
            vars(layer)[key] = value
        super().__init__(attrgetter(key), fix)          # a getter written in C: attributes are read at each call
        setattr(owner, key, _Unset(name))


class _Unset:
    """Stands in the class for a value that an instance does not have yet."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, layer: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__!r} object has no attribute {self.name!r}: the layer is not built yet")


def fixed() -> Any:
    """In a layer's class, `units: int = fixed()`: set in `__init__` or `build`, and for good once the layer is built.

    Raises:
        ValueError: set again later.
    """
    return _Fixed()


def _refusal(name: str, present: Any, value: Any) -> str:
    came = f"an array of shape {value.shape}" if getattr(value, "shape", ()) else repr(value)
    if isinstance(present, Parameter):
        return f"{name} is a weight of the layer for good: set {name}.value, of shape {present.shape}; got {came}"
    return f"{name} is {present!r} for good once the layer is built: make a new layer for another, got {came}"
