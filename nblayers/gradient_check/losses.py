"""Functions that give a loss and its gradients at once, as layers."""
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nblayers.gradient_check import plain
from nblayers.gradient_check.calls import by_name, positional, scaled
from nblayers.gradient_check.foreign import Foreign
from nblayers.gradient_check.places import ITEM, Place
from nblayers.layers.base import Parameter
from nblayers.structures import copied


class Loss(Foreign):
    """A function of its weights that gives a loss and their gradients; the weights are its inputs."""

    dict_inputs = ("weights",)
    first_weight = 0

    def __init__(self, f: Callable[..., Any], call: Callable[[Any], Any], name: str) -> None:
        super().__init__(getattr(f, "__name__", type(f).__name__))
        self.title, self.call, self.weights_name = self.name, call, name
        self.dict_inputs = (name,)

    def argument_names(self) -> list[str]:
        return [self.weights_name]

    def forward(self, weights: Any) -> Any:
        loss, self.cache = loss_and_gradients(self.call(weights), weights, self.described)
        return loss

    def backward(self, dy: Any) -> Any:
        return [scaled(gradient, float(np.reshape(dy, ()))) for gradient in self.cache]


class LiveLoss(Foreign):
    """The same where the function reads the weights by itself, wherever they are."""

    def __init__(self, f: Callable[..., Any], call: Callable[[], Any], weights: Any) -> None:
        super().__init__(getattr(f, "__name__", type(f).__name__))
        self.title, self.call, self.live_weights = self.name, call, weights
        self.function = f

    def hold_float64(self) -> None:
        return                                          # of all that it reads, nothing but the weights is known

    def find_plain(self, trial: plain.Trial) -> plain.Found:
        found, read = plain.Found(), self.read_by_function()
        given = {id(group.array): group.places for group in plain.groups(self.live_weights)}
        for position, (name, array) in enumerate(_named(self.live_weights, "weights")):
            places = [*read.get(id(array), []), *given.get(id(array), [])]
            value = array if array.dtype == np.float64 and array.flags.writeable else array.astype(np.float64)
            parameter = Parameter(value, str(places[0]) if read.get(id(array)) else name)
            source = plain.Returned(lambda: self.extras, position)
            found.weights.append(plain.Plain(parameter, places, source, original=array))
        return found

    def read_by_function(self) -> dict[int, list[Place]]:
        """By an array's id the places where the function itself finds it: in its object, its module, the function around it."""
        owner = getattr(self.function, "__self__", None)
        function = getattr(self.function, "__func__", self.function)
        code, found = getattr(function, "__code__", None), dict[int, list[Place]]()
        names = getattr(function, "__globals__", {})
        for name in code.co_names if code else ():
            if isinstance(names.get(name), np.ndarray):
                found.setdefault(id(names[name]), []).append(_Global(names, ((ITEM, name),)))
        cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if _is_filled(cell)]
        for root in [root for root in [owner, *cells] if root is not None]:
            for group in plain.groups(root):
                found.setdefault(id(group.array), []).extend(group.places)
        return found

    def forward(self) -> Any:
        loss, self.extras = loss_and_gradients(self.call(), self.live_weights, self.described)
        self.cache = ()
        return loss

    def backward(self, dy: Any) -> Any:
        self.factor = float(np.reshape(dy, ()))
        return []


class _Global(Place):
    """A global name of somebody's module."""

    def __str__(self) -> str:
        return str(self.key)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:                                  # a name that has no value yet
        return False


def loss_and_gradients(result: Any, weights: Any, who: str) -> tuple[Any, list[Any]]:
    """The loss, and the gradients in the order of the weights.

    Raises:
        TypeError: the function returned something else.
    """
    if not isinstance(result, (tuple, list)) or len(result) < 2:
        raise TypeError(f"gradcheck of {who}: expected (loss, gradients), got {type(result).__name__}"
                        + (f" of {len(result)}" if isinstance(result, (tuple, list)) else ""))
    loss, *rest = result
    if np.size(loss) != 1:
        raise TypeError(f"gradcheck of {who}: expected one number as the loss, got an array of shape {np.shape(loss)}")
    named = _named(weights, "weights")
    found = rest[0] if isinstance(rest[0], (dict, list, tuple)) else rest
    if isinstance(found, dict):
        gradients = [by_name(found, str(_key(weights, k))) for k in range(len(named))]
    else:
        gradients = list(found)[:len(named)]
    if len(gradients) < len(named):
        raise TypeError(f"gradcheck of {who}: expected a gradient for each of the {len(named)} weights, got {len(gradients)}")
    return np.asarray(loss), gradients


def _key(weights: Any, position: int) -> Any:
    return list(weights)[position] if isinstance(weights, dict) else position


def _named(weights: Any, name: str) -> list[tuple[str, np.ndarray]]:
    """The arrays among the weights with names."""
    if isinstance(weights, dict):
        return [(str(key), value) for key, value in weights.items() if isinstance(value, np.ndarray)]
    if isinstance(weights, (list, tuple)):
        return [(f"{name}[{k}]", value) for k, value in enumerate(weights)]
    return [(name, weights)]


def as_layer(f: Callable[..., Any], weights: Any, inputs: Sequence[Any], named: dict[str, Any],
             live: bool | None) -> tuple[Foreign, Sequence[Any]]:
    """The function as a layer, and what its forward is given.

    Raises:
        TypeError: it can be called in none of the ways known.
    """
    weights = list(weights) if isinstance(weights, tuple) else weights
    arrays = [value for _, value in _named(weights, "weights")]
    if not arrays or not all(isinstance(value, np.ndarray) and value.dtype.kind == "f" for value in arrays):
        kinds = sorted({type(value).__name__ for value in arrays})
        raise TypeError("gradcheck_loss: expected floating arrays as weights, one, or a list or dictionary of them, got "
                        f"{type(weights).__name__}" + (f" of {', '.join(kinds)}" if isinstance(weights, (list, dict)) else ""))
    layer = LiveLoss(f, lambda: f(*_fresh(inputs), **named), weights)
    there = layer.read_by_function()
    if live or (live is None and all(id(array) in there for array in arrays)):
        return layer, ()
    if call := _call(f, weights, inputs, named):
        known = positional(f) or ()
        name = known[0].name if known and isinstance(weights, np.ndarray) else "weights"
        return Loss(f, call, name), (weights,)
    if live is None and _binds(f, inputs, named):
        return layer, ()
    takes = ", ".join(parameter.name for parameter in positional(f) or ())
    raise TypeError(f"gradcheck of {layer.described}: it takes ({takes}), which is neither (weights, *inputs), nor "
                    f"(*weights, *inputs), nor (*inputs), for {len(arrays)} weights and {len(inputs)} inputs")


def shapes_of_data(layer: Foreign, f: Callable[..., Any], weights: Any, inputs: Sequence[Any],
                   named: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of the inputs beside the weights, by the names that f has for them."""
    before = 0 if isinstance(layer, LiveLoss) or isinstance(weights, dict) else 1
    if before and isinstance(weights, (list, tuple)) and not _binds(f, (weights, *inputs), named):
        before = len(weights)
    names = [parameter.name for parameter in positional(f) or ()][before:]
    given = {names[k] if k < len(names) else str(k): value for k, value in enumerate(inputs)} | dict(named)
    return {f"argument {name}": np.shape(value) for name, value in given.items() if isinstance(value, (np.ndarray, list))}


def _call(f: Callable[..., Any], weights: Any, inputs: Sequence[Any], named: dict[str, Any]) -> Callable[[Any], Any] | None:
    """How to call f with weights: first, one by one, or by name; None if it can be called in none of these ways."""
    if _binds(f, (weights, *inputs), named):
        return lambda w: f(w, *_fresh(inputs), **named)
    if isinstance(weights, list) and _binds(f, (*weights, *inputs), named):
        return lambda w: f(*w, *_fresh(inputs), **named)
    if isinstance(weights, dict) and _binds(f, inputs, {**named, **weights}):
        return lambda w: f(*_fresh(inputs), **named, **w)
    return None


def _fresh(inputs: Sequence[Any]) -> list[Any]:
    """Copies, should f work in place."""
    found: list[Any] = copied(list(inputs))
    return found


def _binds(function: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]) -> bool:
    """Whether a function can be called like this."""
    try:
        inspect.signature(function).bind(*args, **named)
    except TypeError:
        return False
    except ValueError:                                  # a builtin
        return True
    return True
