"""Modules that hold others: a chain, and lists and dictionaries whose members are found."""
import operator
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Self

from nblayers import serialization
from nblayers.arguments import integer
from nblayers.layers.base import Layer, Record
from nblayers.layers.calls import backward_of, record_of
from nblayers.nn.inside import indented
from nblayers.nn.module import Module
from nblayers.nn.parameter import Parameter
from nblayers.parameter import Parameter as Weight


class Container(Module):
    """The base of containers: the members by name. They are attributes also, where the name is one."""

    _modules: dict[str, Any]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._modules = {}
        self.built = True

    def _put(self, name: str, module: Any) -> None:
        self._check_module(name, module)
        self._modules[name] = module

    def add_module(self, name: str, module: Any) -> None:
        self._check_name(name, Layer)
        self._check_module(name, module, or_none=True)
        self._modules[name] = module

    def _held_layers(self) -> Iterator[tuple[str, Layer]]:
        members = ((name, layer) for name, layer in list(self._modules.items()) if layer is not None)
        return chain(members, ((name, layer) for name, layer in super()._held_layers() if not name.startswith("_modules.")))

    def __getattr__(self, name: str) -> Any:
        members = vars(self).get("_modules", {})
        return members[name] if name in members else object.__getattribute__(self, name)

    def get_config(self) -> dict[str, Any]:
        """The configurations of the members by name, and what every layer has."""
        return super().get_config() | {"modules": {name: serialization.serialize(module)
                                                   for name, module in self._modules.items()}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """Make the container that `get_config` describes; `custom_objects` holds modules of your own by class name."""
        settings = dict(config)
        made = cls(**{key: value for key, value in settings.items() if key != "modules"})
        for name, module in settings["modules"].items():
            made.add_module(name, serialization.deserialize_keras_object(module, custom_objects))
        return made

    def __len__(self) -> int:
        return len(self._modules)

    def __bool__(self) -> bool:
        return True


class Members(Container):
    """The base of those whose members are numbered."""

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._modules.values()))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._of(list(self._modules.items())[index])
        return list(self._modules.values())[self._number(index)]

    def __setitem__(self, index: int, module: Any) -> None:
        self._put(list(self._modules)[self._number(index)], module)

    def __delitem__(self, index: Any) -> None:
        kept = list(self._modules)
        for name in kept[index] if isinstance(index, slice) else [kept[self._number(index)]]:
            del self._modules[name]
        self._number_afresh()

    def __contains__(self, module: Any) -> bool:
        return any(member is module for member in self)

    def append(self, module: Any) -> Self:
        """Add a module at the end; returns the container.

        Raises:
            TypeError: module is none.
        """
        self._put(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Any]) -> Self:
        """Add several modules at the end; returns the container.

        Raises:
            TypeError: one is no module, or there is no list of them.
        """
        for module in self._listed(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Any) -> Self:
        """Put a module in front of the one of this number; returns the container.

        Raises:
            TypeError: module is none.
        """
        self._check_module(str(index), module)
        members = list(self)
        members.insert(integer(self.described, "index", index), module)
        self._modules = {str(number): member for number, member in enumerate(members)}
        return self

    def pop(self, index: int = -1) -> Any:
        """Take a module out and return it.

        Raises:
            IndexError: there is none of this number.
        """
        module = self[index]
        del self[index]
        return module

    def _number(self, index: Any) -> int:
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"{self.described}: expected a number from {-len(self)} to {len(self) - 1}, got {number}")
        return number

    def _listed(self, modules: Any) -> list[Any]:
        if not isinstance(modules, Iterable):
            raise TypeError(f"{self.described}: expected a list of modules, got {type(modules).__name__}")
        members = list(modules)
        for number, module in enumerate(members):
            self._check_module(str(len(self) + number), module)
        return members

    def _number_afresh(self) -> None:
        self._modules = {str(number): module for number, module in enumerate(self._modules.values())}

    def _of(self, members: list[tuple[str, Any]]) -> Any:
        """The same container of these members."""
        raise NotImplementedError


class Sequential(Members):
    """Modules one after another: forward in order, backward in reverse.

        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        y = model(x)
        dx = model.backward(dy)

    Arguments:
        args: the modules, or one dictionary of modules by name. Layers of `nblayers.layers` may be among them.

    A module may stand in it twice. `model[0]`, `model[1:]`, `append`, `extend`, `insert`, `pop` and `del` are as in PyTorch.

    Raises:
        TypeError: something that is no module.

    Source: torch.nn.Sequential.
    """

    class Cache(Record):
        records: list           # (module, what its forward left)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        named = args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        x, records = input, []
        for module in self:
            x = module(x) if isinstance(module, Module) else module(x, training=self._mode())
            records.append((module, record_of(module)))
        self.cache = self.Cache(records)
        return x

    def backward(self, dy: Any) -> Any:
        records = self.cache.records
        for place in reversed(range(len(records))):
            module, record = records[place]
            dy = backward_of(module, record, dy, place > 0 or self.input_gradient)
        return dy

    def __add__(self, other: Any) -> "Sequential":
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential(*self, *other)

    def __iadd__(self, other: Any) -> "Sequential":
        return self.extend(other)

    def _of(self, members: list[tuple[str, Any]]) -> "Sequential":
        return Sequential(dict(members))


class ModuleList(Members):
    """A list of modules that are found as parts of the module that holds it; to be called one by one.

    Arguments:
        modules: the modules.

    Raises:
        TypeError: something that is no module.

    Source: torch.nn.ModuleList.
    """

    def __init__(self, modules: Iterable[Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.extend([] if modules is None else modules)

    def __add__(self, other: Iterable[Any]) -> "ModuleList":
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Any]) -> "ModuleList":
        return self.extend(other)

    def _of(self, members: list[tuple[str, Any]]) -> "ModuleList":
        return ModuleList(module for _, module in members)

    def __repr__(self) -> str:
        """As PyTorch prints it: equal neighbours once, with their number."""
        lines: list[list[Any]] = []
        for number, shown in enumerate(map(repr, self)):
            if lines and lines[-1][2] == shown:
                lines[-1][1] = number
            else:
                lines.append([number, number, shown])
        text = [f"({first}): {shown}" if first == last else f"({first}-{last}): {last - first + 1} x {shown}"
                for first, last, shown in lines]
        return "\n  ".join([f"{self._get_name()}(", *map(indented, text)]) + "\n)" if text else f"{self._get_name()}()"


class ModuleDict(Container):
    """Modules by name that are found as parts of the module that holds it.

    Arguments:
        modules: a dictionary of modules, or pairs of name and module.

    Raises:
        TypeError: something that is no module.
        ValueError: a name that is no string, or has a dot.

    Source: torch.nn.ModuleDict.
    """

    def __init__(self, modules: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.update({} if modules is None else modules)

    def update(self, modules: Any) -> None:
        """Add the modules of a dictionary, or of pairs, in the place of those of the same names.

        Raises:
            TypeError, ValueError: as in the class.
        """
        added = dict(modules)
        for name, module in added.items():
            if not isinstance(name, str) or not name or "." in name:
                raise ValueError(f"{self.described}: expected names without a dot, got {name!r}")
            self._check_module(name, module)
        self._modules.update(added)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Any) -> None:
        self.update({key: module})

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._modules))

    def __contains__(self, key: Any) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """(name, module) of each."""
        return self._modules.items()

    def pop(self, key: str) -> Any:
        """Take a module out and return it."""
        return self._modules.pop(key)

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()


class ParameterList(Module):
    """A list of weights that are found as parts of the module that holds it, named "0", "1", …

    Arguments:
        values: parameters; arrays become parameters.

    Raises:
        TypeError: something that is neither.

    Source: torch.nn.ParameterList.
    """

    def __init__(self, values: Iterable[Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._length = 0
        self.built = True
        self.extend([] if values is None else values)

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return ParameterList(self[number] for number in range(*index.indices(len(self))))
        return vars(self)[self._name_of(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name_of(index), _as_parameter(value))

    def append(self, value: Any) -> "ParameterList":
        """Add a parameter at the end; returns the list."""
        setattr(self, str(len(self)), _as_parameter(value))
        self._length += 1
        return self

    def extend(self, values: Iterable[Any]) -> "ParameterList":
        """Add several at the end; returns the list."""
        for value in values:
            self.append(value)
        return self

    __iadd__ = extend

    def extra_repr(self) -> str:
        return "\n".join(f"  ({number}): Parameter containing: [{each.dtype} of size {'x'.join(map(str, each.shape))}]"
                         for number, each in enumerate(self))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"values": [each.numpy() for each in self]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ParameterList":
        """Make the list that `get_config` describes, with its values."""
        return cls(**{**config, "values": serialization.deserialize_keras_object(config["values"])})

    def _name_of(self, index: Any) -> str:
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"{self.described}: expected a number from {-len(self)} to {len(self) - 1}, got {number}")
        return str(number % len(self))


def _as_parameter(value: Any) -> Any:
    return value if isinstance(value, Weight) else Parameter(value)


__all__ = ["ModuleDict", "ModuleList", "ParameterList", "Sequential"]
