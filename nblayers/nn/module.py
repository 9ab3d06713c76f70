"""`Module`: a layer with PyTorch's names for what it holds.

What is found inside is named by the path of attributes that leads to it, as in PyTorch: "rnn.weight_ih_l0", "blocks.0.bias".
"""
import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

import kernels
from nblayers import parameter
from nblayers.arguments import flag, text
from nblayers.arrays import as_numbers, is_array
from nblayers.layers.base import Layer, by_looks, calls, holds_arrays, place_of_training
from nblayers.nn.inside import (
    held,
    in_attributes,
    indented,
    joined,
    optional_state,
    own_weights,
    state_of,
    unbuilt,
    walk,
)
from nblayers.nn.parameter import Parameter
from nblayers.utils.packing import PackedSequence


class IncompatibleKeys(NamedTuple):
    """The names that `load_state_dict` did not find, and those that it has no place for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class Module(Layer):
    """The base of PyTorch's layers, and of your own that are written as there.

        class Classifier(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(8, 16, batch_first=True)
                self.fc = nn.Linear(16, 3)

            def forward(self, x):
                out, _ = self.lstm(x)
                self.cache = out.shape
                return self.fc(out[:, -1])

            def backward(self, dy):
                dout = np.zeros(self.cache, dy.dtype)
                dout[:, -1] = self.fc.backward(dy)
                return self.lstm.backward((dout, None))

    Gradients come from `backward`, which you write in the reverse order of `forward`; `nn.Sequential` chains its own. A
    module that is called twice in one forward has left two records: keep each (`record = module.cache`) and put it back
    before its backward (`module.cache = record`).

    In place of PyTorch's `loss.backward()` a training step is

        loss = criterion(outputs, targets)
        optimizer.zero_grad()
        model.backward(criterion.backward())
        optimizer.step()

    Each module has a mode: `training` is True at first and changes with `train()` and `eval()`; Dropout and BatchNorm follow
    it. `model(x, training=False)` says it for one call, and then all modules inside follow that. Layers and models of Keras'
    names have no mode, they are told or do not train, and so do modules inside them; in a module of your own write
    `self.dropout(x, training=self.training)`.

    It is a `Layer` too, so that it stands in a Keras-like model and under `gradcheck`. Attributes that are parameters (see
    `Parameter`), modules or layers are found by themselves, those in lists and dictionaries also.

    Arguments:
        device: "reference", "cpu" or "cuda"; the default device if None.
        dtype, name: see `Layer`.

    Raises:
        ValueError: no such device or dtype.

    Source: torch.nn.Module.
    """

    integer_inputs = True
    follows_training = True
    training: bool = True
    optional_state: tuple[str, ...] = ()        # names that a state_dict may lack, as those of older versions do

    def __init__(self, *args: Any, device: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)       # of a layer that a module of the library is made from
        self.training = True
        self._transient: set[str] = set()       # buffers that are not in the state_dict
        if device is not None:
            kernels.get(device)
            self.device = device

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.forward is not Layer.forward and not hasattr(cls.forward, "follows"):
            cls.forward = _following(cls.forward)   # type: ignore[method-assign]

    # weights

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """The weights, each once: its own, then those of the modules inside."""
        return (found for _, found in self.named_parameters(recurse=recurse))

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        """(name, parameter) of each weight; a shared one under its first name, or with remove_duplicate=False under all."""
        return self._named(False, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        """What belongs to the state but is no weight: running statistics, and what `register_buffer` was given."""
        return (found for _, found in self.named_buffers(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        """(name, buffer) of each buffer."""
        return self._named(True, prefix, recurse, remove_duplicate)

    def _named(self, buffers: bool, prefix: str, recurse: bool, once: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        holders = self.named_modules(prefix=prefix, remove_duplicate=once) if recurse else [(prefix, self)]
        for path, layer in holders:
            for name, found, is_buffer in own_weights(layer):
                if is_buffer == buffers and not (once and id(found) in seen):
                    seen.add(id(found))
                    yield joined(path, name), found

    def register_parameter(self, name: str, param: Any) -> None:
        """Make `param` the weight of this name; None for one that this module does without.

        Raises:
            TypeError: param is neither an nn.Parameter nor None.
            ValueError: a name with a dot, or one that is taken.
        """
        self._check_name(name)
        if param is not None and not isinstance(param, parameter.Parameter):
            raise TypeError(f"{self.described}: expected an nn.Parameter or None as {name}, got {type(param).__name__}")
        setattr(self, name, param)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Keep an array that is part of the state and no weight, as the attribute `name`; None for one that is not there.

        Arguments:
            tensor: the array, which is copied; floating numbers take the module's dtype.
            persistent: whether it is in the `state_dict`.

        Raises:
            TypeError: no array of numbers.
            ValueError: a name with a dot, or one that is taken.
        """
        self._check_name(name)
        if not flag(self.described, "persistent", persistent):
            self._transient.add(name)
        if tensor is None:
            vars(self)[name] = None
            return
        buffer = Parameter(as_numbers(tensor, self.described, f"the buffer {name}"), False)
        self._parameters.append(self._adopted(name, buffer))
        vars(self)[name] = buffer

    def requires_grad_(self, requires_grad: bool = True) -> "Module":
        """Set whether optimizers may change the parameters; returns the module. (`trainable` is another switch beside.)"""
        for found in self.parameters():
            found.trainable = flag(self.described, "requires_grad", requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set all gradients to zero; `set_to_none` is accepted as in PyTorch, gradients are never None here."""
        super().zero_grad()

    # modules

    def children(self) -> Iterator[Layer]:
        """The modules and layers held by this one, each once."""
        return (layer for _, layer in self.named_children())

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """(name, module) of each."""
        seen: set[int] = set()
        for name, layer in held(self):
            if id(layer) not in seen:
                seen.add(id(layer))
                yield name, layer

    def modules(self) -> Iterator[Layer]:
        """This module and all inside, each once."""
        return (layer for _, layer in self.named_modules())

    def named_modules(self, memo: set[int] | None = None, prefix: str = "",
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Layer]]:
        """(path, module) of this module, whose path is `prefix`, and all inside; `memo` holds the ids of those to leave out."""
        return walk(self, prefix, set() if memo is None else memo, remove_duplicate)

    def add_module(self, name: str, module: Any) -> None:
        """Hold a module (or None) as the attribute `name`.

        Raises:
            TypeError: module is no layer.
            ValueError: a name with a dot, or one that is taken.
        """
        self._check_name(name, Layer)
        self._check_module(name, module, or_none=True)
        setattr(self, name, module)

    register_module = add_module

    def get_submodule(self, target: str) -> Layer:
        """The module at a path such as "blocks.0"; "" is this one.

        Raises:
            AttributeError: there is none.
        """
        return self._at(target, dict(self.named_modules(remove_duplicate=False)), "module")

    def get_parameter(self, target: str) -> Any:
        """The weight at a path.

        Raises:
            AttributeError: there is none.
        """
        return self._at(target, dict(self.named_parameters(remove_duplicate=False)), "parameter")

    def get_buffer(self, target: str) -> Any:
        """The buffer at a path.

        Raises:
            AttributeError: there is none.
        """
        return self._at(target, dict(self.named_buffers(remove_duplicate=False)), "buffer")

    def _at(self, target: str, found: dict[str, Any], kind: str) -> Any:
        if target not in found:
            raise AttributeError(f"{self.described}: has no {kind} {target!r}, only {', '.join(map(repr, found)) or 'none'}")
        return found[target]

    def apply(self, fn: Callable[[Any], Any]) -> "Module":
        """Call `fn` with every module inside, then with this one; returns the module.

        Raises:
            ValueError: fn is no function.
        """
        if not callable(fn):
            raise ValueError(f"{self.described}: expected fn to be a function of a module, got {fn!r}")
        for layer in self.children():
            layer.apply(fn) if isinstance(layer, Module) else fn(layer)
        fn(self)
        return self

    # mode, place and precision

    def train(self, mode: bool = True) -> "Module":
        """Set the mode of this module and all inside; returns the module.

        Raises:
            ValueError: mode is neither True nor False.
        """
        mode = flag(self.described, "mode", mode)
        for layer in self.modules():
            if isinstance(layer, Module):
                layer.training = mode
        return self

    def _mode(self) -> bool:
        """What a call that is not told has as `training`."""
        return self.training if calls.training is None else calls.training

    def eval(self) -> "Module":
        """`train(False)`."""
        return self.train(False)

    def to(self, device: Any = None, dtype: Any = None) -> "Module":
        """Compute on another device, in another dtype, or both; returns the module. A dtype may be given first.

        Raises:
            ValueError: no such device or dtype.
            ImportError: "cuda" without CuPy and without the simulator.
        """
        if dtype is None and (isinstance(device, (type, np.dtype)) or device in ("float32", "float64")):
            device, dtype = None, device
        if dtype is not None:
            self.astype(np.dtype(dtype).name)
        return self if device is None else super().to(device)    # type: ignore[return-value]

    def cpu(self) -> "Module":
        """`to("cpu")`."""
        return self.to("cpu")

    def cuda(self) -> "Module":
        """`to("cuda")`."""
        return self.to("cuda")

    def float(self) -> "Module":
        """`astype("float32")`."""
        return self.to(dtype="float32")

    def double(self) -> "Module":
        """`astype("float64")`."""
        return self.to(dtype="float64")

    # state

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """Copies of all weights and buffers by their names, in PyTorch's order; `nn.save` writes them to a file.

        Arguments:
            prefix: what all names begin with.
            keep_vars: the parameters themselves in place of copies of their values.
        """
        return OrderedDict((name, found if keep_vars else found.numpy()) for name, found in state_of(self, prefix))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> IncompatibleKeys:
        """Set weights and buffers to those of a `state_dict`, ours or PyTorch's. Everything is checked before one is changed.

        Arguments:
            state_dict: arrays or tensors by name.
            strict: whether all names must be there, and no others.
            assign: accepted as in PyTorch; the values are copied into the arrays that there are.

        Returns:
            The names that were missing and those that there is no place for.

        Raises:
            TypeError: no dictionary, or one that holds something else than numbers.
            ValueError: an array of another shape; with `strict`, names that are missing or unexpected. All are listed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"{self.described}: expected a state_dict, a dictionary of arrays by name, "
                            f"got {type(state_dict).__name__}")
        own, optional = dict(state_of(self, "")), optional_state(self)
        given = {name: as_numbers(state_dict[name], self.described, f"{name!r}") for name in own if name in state_dict}
        missing = [name for name in own if name not in given and name not in optional]
        unexpected = [name for name in state_dict if name not in own]
        other = [f"{name!r} (expected {own[name].shape}, got {value.shape})" for name, value in given.items()
                 if value.shape != own[name].shape]
        problems = [f"of another shape: {', '.join(other)}"] if other else []
        if flag(self.described, "strict", strict):
            problems += [f"{what}: {', '.join(map(repr, names))}" for what, names in
                         (("missing", missing), ("unexpected", unexpected)) if names]
        if problems:
            raise ValueError(f"{self.described}: expected a state_dict of its own weights, got {'; '.join(problems)}"
                             + unbuilt(self))
        for name, value in given.items():
            own[name].assign(value)
        return IncompatibleKeys(missing, unexpected)

    # what is printed

    def extra_repr(self) -> str:
        """What `repr` shows of this module between the brackets."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        inside = [f"({name}): {indented(repr(layer))}" for name, layer in held(self)]
        if not inside and "\n" not in extra:
            return f"{self._get_name()}({extra})"
        lines = [*(extra.split("\n") if extra else []), *inside]
        return "\n  ".join([f"{self._get_name()}(", *lines]) + "\n)"

    # attributes

    def __setattr__(self, name: str, value: Any) -> None:
        present = self._present(name)
        if present is not None and value is present:
            return
        if isinstance(value, parameter.Parameter):
            self._take(name, value, present)
        elif present is None or _is_fixed(self, name):
            super().__setattr__(name, value)
        elif value is None:
            vars(self)[name] = None
            self._drop(present)
        elif _is_among(present, self._parameters[self._trained_count:]):
            self._parameters[_place(present, self._parameters)] = vars(self)[name] = self._adopted(
                name, Parameter(as_numbers(value, self.described, f"the buffer {name}"), False))
        else:
            raise TypeError(f"{self.described}: {name} is a weight of the module: set {name}.value, of shape {present.shape}, "
                            f"or give another nn.Parameter, got {type(value).__name__}")

    def __delattr__(self, name: str) -> None:
        present = self._present(name)
        super().__delattr__(name)
        if present is not None:
            self._drop(present)

    def _present(self, name: str) -> Any:
        """The weight or buffer of this name, or None."""
        held = vars(self)
        found = held.get(name, held.get(f"_fixed_{name}"))
        return found if isinstance(found, parameter.Parameter) else None

    def _take(self, name: str, value: Any, present: Any) -> None:
        """Make a parameter the attribute `name`, in the place of the one that is there."""
        if "_parameters" not in vars(self):
            raise AttributeError(f"{type(self).__name__}: its __init__ must call super().__init__() first")
        if present is not None and value.shape != present.shape:
            raise ValueError(f"{self.described}: expected a parameter of shape {present.shape} as {name}, got {value.shape}")
        self._adopted(name, value)
        if present is None:
            _refuse_taken(self, name)
            if not _is_among(value, self._parameters):
                self._parameters.insert(self._trained_count, value)
                self._trained_count += 1
            super().__setattr__(name, value)
        else:
            place = _place(present, self._parameters)
            if not _is_among(value, self._parameters):
                self._parameters.insert(place, value)
                self._trained_count += place < self._trained_count
            vars(self)[f"_fixed_{name}" if _is_fixed(self, name) else name] = value
            self._drop(present)

    def _drop(self, present: Any) -> None:
        """Forget a weight or buffer if no attribute holds it any more."""
        if not _is_among(present, list(vars(self).values())):
            place = _place(present, self._parameters)
            self._trained_count -= place < self._trained_count
            del self._parameters[place]

    def _adopted(self, name: str, value: Any) -> Any:
        """A parameter in the module's dtype and on its device, named after the attribute if it has no owner yet."""
        if value.dtype != self.dtype:
            value.astype(self.dtype)
        value.to(self.device)
        if value.path == value.name:
            value.name, value.path = name, f"{self.name}/{name}"
        return value

    def _new_parameter(self, value: Any, name: str, trainable: bool, regularizer: Any, constraint: Any) -> Any:
        made = Parameter(value, trainable and value.dtype.kind == "f")
        made.name = made.path = name
        made.trainable, made.regularizer, made.constraint = trainable, regularizer, constraint
        return made

    def _check_name(self, name: str, kind: Any = parameter.Parameter) -> None:
        text(self.described, "name", name)
        if not name or "." in name:
            raise ValueError(f"{self.described}: expected a name without a dot, got {name!r}")
        taken = getattr(self, name, None)
        if taken is not None and not isinstance(taken, kind):
            raise ValueError(f"{self.described}: expected a name that is free, got {name!r}, which is {taken!r}")

    def _check_module(self, name: str, module: Any, or_none: bool = False) -> None:
        if not isinstance(module, Layer) and not (or_none and module is None):
            raise TypeError(f"{self.described}: expected a module as {name}, got {type(module).__name__} {module!r}")

    def _held_layers(self) -> Iterator[tuple[str, Layer]]:
        return in_attributes(self)

    def _to_array(self, value: Any) -> Any:
        """Arrays, and those in lists and dictionaries, become ours; anything else goes to `forward` as it is."""
        if isinstance(value, PackedSequence):
            return value._replace(data=super()._to_array(value.data))
        if isinstance(value, dict):
            return {key: self._to_array(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            if holds_arrays(value):
                return [self._to_array(item) for item in value]
            return super()._to_array(value) if _holds_numbers(value) else value
        return super()._to_array(value) if is_array(value) or hasattr(value, "to_numpy") else value

    def _check_inputs(self, inputs: Any) -> None:
        arrays = inputs if isinstance(inputs, list) else [inputs]
        if all(hasattr(array, "shape") for array in arrays):
            super()._check_inputs(inputs)


class LibraryModule(Module):
    """The base of the modules that the library brings: of one input, an array of floating numbers unless it says otherwise."""

    integer_inputs = False

    @by_looks
    def _to_array(self, value: Any) -> Any:
        return Layer._to_array(self, value)

    @by_looks
    def _check_inputs(self, inputs: Any) -> None:
        Layer._check_inputs(self, inputs)


def _following(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Around a module's forward: where `training` is not said, what the module around was told counts, or else the mode."""
    place = place_of_training(inspect.signature(forward).parameters)

    @functools.wraps(forward)
    def following(self: Module, *args: Any, **kwargs: Any) -> Any:
        said = args[place] if place is not None and len(args) > place else kwargs.get("training")
        if said is not None:
            outside, calls.training = calls.training, bool(said)
            try:
                return forward(self, *args, **kwargs)
            finally:
                calls.training = outside
        if place is not None and len(args) <= place:
            kwargs["training"] = self._mode()
        return forward(self, *args, **kwargs)
    following.follows = True            # type: ignore[attr-defined]
    return following


def _is_fixed(module: Module, name: str) -> bool:
    """Whether a name is a property of the class, as those declared with `fixed()` are."""
    return isinstance(getattr(type(module), name, None), property)


def _refuse_taken(module: Module, name: str) -> None:
    found = getattr(type(module), name, None)
    if callable(found) or (isinstance(found, property) and found.fset is None):
        raise AttributeError(f"{module.described}: {name!r} is what every layer has already: choose another name for the "
                             "parameter")


def _place(wanted: Any, among: list[Any]) -> int:
    return next(place for place, each in enumerate(among) if each is wanted)


def _is_among(wanted: Any, among: list[Any]) -> bool:
    return any(each is wanted for each in among)


def _holds_numbers(values: Any) -> bool:
    while isinstance(values, (list, tuple)) and values:
        values = values[0]
    return isinstance(values, (int, float, np.generic))


__all__ = ["IncompatibleKeys", "LibraryModule", "Module"]
