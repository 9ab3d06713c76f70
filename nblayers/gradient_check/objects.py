"""Pairs of functions, and objects of any class, as layers."""
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nblayers.gradient_check import naming, plain
from nblayers.gradient_check.calls import Backward, Result, by_name, gradients_of_inputs, scaled
from nblayers.gradient_check.foreign import Foreign
from nblayers.gradient_check.places import layers
from nblayers.gradient_check.remember import GlobalRandom, remember
from nblayers.gradient_check.subject import Subject, argument_names
from nblayers.layers.base import Layer
from nblayers.structures import copied

MOST_NAMED = 12                         # methods of an object that an error lists


class Called(Foreign):
    """What has a forward and a backward that are called as they want to be.

    Attributes:
        way: its backward.
        names, wanted: the arrays that it is given, and which of them have a gradient.
    """

    way: Backward
    names: list[str]
    wanted: list[bool]

    def try_outputs(self, thing: Any, inputs: Sequence[Any], named: Mapping[str, Any]) -> None:
        """Find out whether backward takes the gradients of all outputs, or those of the first ones alone."""
        def fits(count: int) -> bool:
            self.way.used = count
            try:
                y = self.forward(*copied(list(inputs)), **copied(dict(named)))
                dx = self.backward([np.array(value) for value in y] if count > 1 else np.array(y))
            except Exception:
                return False
            finally:
                put_back()
                self.way.used = None
            leaves = Subject(self, inputs, dict(named)).leaves
            return all(d is None or np.shape(d) == leaf.shape for d, leaf in zip(dx, leaves, strict=False))

        put_back = remember(GlobalRandom(), thing, *inputs, *named.values())
        try:
            y = self.forward(*copied(list(inputs)), **copied(dict(named)))
        except Exception:                               # the check itself will meet it
            return
        finally:
            put_back()
        count = len(y) if isinstance(y, (list, tuple)) else 1
        self.way.find_used(count, fits)
        if self.way.used is not None:
            self.remarks = [f"backward takes the gradient of {self.way.used} of the {count} outputs: the others are left out"]


class Pair(Called):
    """A forward and a backward that hand a cache to each other."""

    first_weight = 1

    def __init__(self, f: Callable[..., Any], backward: Callable[..., Any], inputs: Sequence[Any],
                 named: Mapping[str, Any]) -> None:
        super().__init__(getattr(f, "__name__", type(f).__name__))
        self.f = f
        self.title = f"{self.name} and {getattr(backward, '__name__', type(backward).__name__)}"
        self.names: list[str] = []                      # of the arrays that may have a gradient
        self.wanted: list[bool] = []
        self._name_inputs(inputs, named)
        self.way = Backward(backward, getattr(backward, "__name__", "backward"), [*argument_names(self, len(inputs)), *named])
        self.try_outputs(f, inputs, named)
        self.dict_inputs = self._dictionaries(inputs, named)

    @property
    def called(self) -> Callable[..., Any]:
        return self.f

    def _name_inputs(self, inputs: Sequence[Any], named: Mapping[str, Any]) -> None:
        """Let the names of the arrays be those that a `Subject` finds."""
        subject = Subject(self, inputs, dict(named))
        self.names, self.wanted = subject.names, [leaf.dtype.kind == "f" for leaf in subject.leaves]

    def _dictionaries(self, inputs: Sequence[Any], named: Mapping[str, Any]) -> list[str]:
        """The arguments that are dictionaries of which backward gives gradients, found by trying."""
        given = dict(zip(argument_names(self, len(inputs)), inputs, strict=True)) | dict(named)
        found = [name for name, value in given.items() if isinstance(value, dict)
                 and any(isinstance(item, np.ndarray) and item.dtype.kind == "f" for item in value.values())]
        if not found:
            return []
        put_back = remember(GlobalRandom(), self.f, *given.values())
        self.returned: Any = None
        try:
            y = self.forward(*copied(list(inputs)), **copied(dict(named)))
            self.backward(copied(y))
        except Exception:                               # the check itself will meet it
            return []
        finally:
            put_back()
        if not isinstance(self.returned, dict):
            return []
        chosen = [name for name in found if any(by_name(self.returned, str(key)) is not None for key in given[name])]
        self.dict_inputs = chosen
        self._name_inputs(inputs, named)
        return chosen

    def forward(self, *inputs: Any, **named: Any) -> Any:
        result = self.way.apart(self.f(*inputs, **named))
        self.cache = result, [*inputs, *named.values()]
        return result.outputs

    def backward(self, dy: Any) -> Any:
        result, inputs = self.cache
        self.returned = self.way(dy, result, inputs)
        if not self.way.uses_dy:
            self.returned = scaled(self.returned, _single(dy, self))
        return gradients_of_inputs(self.returned, self.names, self.wanted)[0]


def _single(dy: Any, layer: Layer) -> float:
    """dy of a loss, for a backward that is not given it.

    Raises:
        TypeError: forward gives more than one number.
    """
    if np.size(dy) != 1:
        raise TypeError(f"gradcheck of {layer.described}: expected a backward that takes dy, as forward gives {np.size(dy)} "
                        "numbers and no loss")
    return float(np.reshape(dy, ()))


class Object(Called):
    """An object that somebody's class made."""

    may_hold_weights = True

    def __init__(self, thing: Any, forward: str | None, backward: str | None, reset: Any, params: Any) -> None:
        super().__init__(type(thing).__name__)
        self.title = type(thing).__name__
        if inspect.isclass(thing):
            raise TypeError(f"gradcheck_object: expected an object, got the class {thing.__name__}: make one with "
                            f"{thing.__name__}(…)")
        self.thing, self.params, self.reset = thing, params, reset
        self.parts = layers(thing)                      # whose weights are the object's
        self.forward_name = self._method("forward", forward, naming.FORWARD)
        backward_name = self._method("backward", backward, naming.BACKWARD)
        self.way = Backward(getattr(thing, backward_name), f"{self.title}.{backward_name}")
        self.has_rate = self.way.has_rate
        self.wanted: list[bool] = []
        self.names: list[str] = []

    def _method(self, what: str, name: str | None, usual: Sequence[str]) -> str:
        """The name of a method.

        Raises:
            TypeError: the object has no such method.
        """
        if name is not None and callable(getattr(self.thing, name, None)):
            return name
        found = naming.first_there(usual, self.thing) if name is None else None
        if found is None:
            public = [own for own in dir(self.thing) if not own.startswith("_")]
            methods = [own for own in public if inspect.isroutine(getattr(self.thing, own, None))]
            some = ", ".join(methods[:MOST_NAMED]) + (", …" if len(methods) > MOST_NAMED else "") if methods else "none"
            raise TypeError(f"gradcheck of {self.title}: it has no method {name or what!r}; its methods are {some}: say "
                            f"{what}='…'")
        return found

    @property
    def called(self) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self.thing, self.forward_name)
        return method

    def find_plain(self, trial: plain.Trial) -> plain.Found:
        self.is_tried = True
        try:
            return plain.find(self.thing, trial, self.params)
        finally:
            self.is_tried = False

    is_tried = False                    # more may be returned than the gradients of the inputs: what, is being found out

    def forward(self, *inputs: Any, **named: Any) -> Any:
        if self.reset is not None:
            getattr(self.thing, self.reset)() if isinstance(self.reset, str) else self.reset(self.thing)
        returned = self.called(*inputs, **named)
        result = self.way.apart(returned)
        if returned is None:
            result = Result(self._attribute(naming.OUTPUT), None, False)
        given = [*inputs, *named.values()]
        self.cache = result, given
        return result.outputs

    def name_inputs(self, inputs: Sequence[Any], named: Mapping[str, Any], no_gradient: Any) -> None:
        """Learn what will be given, as backward's results are told apart by it."""
        subject = Subject(self, inputs, dict(named))
        self.way.inputs = [*argument_names(self, len(inputs)), *named]
        self.names, without = subject.names, [no_gradient] if isinstance(no_gradient, str) else list(no_gradient)
        self.wanted = [leaf.dtype.kind == "f" and name not in without
                       for name, leaf in zip(subject.names, subject.leaves, strict=True)]
        if not all(part.built for part in self.parts):
            self.forward(*copied(list(inputs)), **copied(dict(named)))
        self.try_outputs(self.thing, inputs, named)

    def _attribute(self, names: Sequence[str]) -> Any:
        """What a pass that returns nothing left in an attribute; None if nothing is found."""
        return next((value for name in names if isinstance(value := getattr(self.thing, name, None), np.ndarray)), None)

    def backward(self, dy: Any) -> Any:
        result, inputs = self.cache
        returned = self.way(dy, result, inputs)
        self.factor = 1.0 if self.way.uses_dy else _single(dy, self)
        if returned is None and self.names:
            found = self._attribute(naming.INPUT_GRADIENT)
            returned = None if found is None else found.copy()
        dx, self.extras = gradients_of_inputs(returned, self.names, self.wanted, self.is_tried)
        return scaled(dx, self.factor)
