"""The gradient check for anyone's code: layers, functions, pairs of functions, objects, and losses that give their gradients."""
import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nblayers.gradient_check import naming, plain
from nblayers.gradient_check.calls import Backward, Result, by_name, gradients_of_inputs, scaled
from nblayers.gradient_check.check import Check, Settings
from nblayers.gradient_check.diagnosis import of_shape
from nblayers.gradient_check.places import ITEM, Place
from nblayers.gradient_check.remember import GlobalRandom, remember
from nblayers.gradient_check.report import GradientCheckError, Report, TensorReport
from nblayers.gradient_check.subject import Foreign, FunctionPair, Subject, argument_names
from nblayers.layers.base import Layer, Parameter
from nblayers.structures import copied

OPTIONS = {field.name for field in dataclasses.fields(Settings)} | {"seed", "raise_error"}


def gradcheck(layer: Layer, *inputs: Any, seed: int = 0, raise_error: bool = True, **options_and_arguments: Any) -> Report:
    """Compare `layer.backward` with numeric derivatives of `layer.forward`, and say what is wrong where they differ.

    Checked are the gradients of all floating inputs (arrays among the keyword arguments too, such as `initial_state`) and of
    all weights, in float64, with a random gradient for every output. Weights are `Parameter`s, or plain arrays with their
    gradients beside them (`self.W` and `self.dW`). The layer is left as it was: dtype, weights, gradients, states, random
    numbers. While it is checked, a weight or an input whose elements are all equal (a bias of zeros, a scale of ones) holds
    random values, as a forgotten factor of one would not show; and dropout drops the same elements every time.

    Also found: inputs, dy or outputs changed in place; `grad = …` for `grad += …`; a cache left by an earlier forward;
    gradients that are missing, of a wrong shape, NaN, transposed or off by a factor; and which output or time step is at fault.

    Arguments:
        layer: any Layer, a model or one of your own. One that is not built yet is built for these inputs, and stays so.
        inputs: what `forward` takes: arrays, or lists of them. Integers (token ids) have no gradient.
        seed: of the random numbers used.
        raise_error: raise if the check fails; False returns the report in any case.
        options_and_arguments: the options below, and `training`, `mask`, `initial_state`, … for `forward`.

    Options, the same for `gradcheck_function`, `gradcheck_pair`, `gradcheck_object`, `gradcheck_loss`:
        step: h, taken relative to |x| where that is above 1; 1e-5 by default.
        rtol, atol: analytic a and numeric n agree if |a - n| <= max(rtol · max(|a|, |n|), atol); 1e-6 and 1e-9.
        max_coordinates: a tensor with more elements is checked at this many of them, drawn at random; 200.
        seconds: after which no further look at what may be behind a difference is begun.
        time_axis, batch_axis: which axes of the inputs are time (1 by default, of three) and samples (0).
        dy: gradients of the outputs, in their structure, for the random ones.
        no_gradient: names of inputs and weights that have none, ("x",).
        contract: False makes notes of what does no harm to the gradient itself: changes in place, a cache for one use.

    Returns:
        A report, true if the check passed; `print` it to read the findings.

    Raises:
        GradientCheckError: the check failed.
        TypeError: `layer` is no Layer; no arrays to build it for; forward returns no arrays.
        ValueError: an option out of its range.
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"gradcheck: expected a Layer, got {type(layer).__name__}; for other code there is {_way_for(layer)}")
    options, arguments = _apart(options_and_arguments)
    return _run(layer, inputs, arguments, options | {"seed": seed, "raise_error": raise_error})


def _way_for(thing: Any) -> str:
    """Which function checks what is no Layer."""
    if inspect.isroutine(thing):
        return ("gradcheck_function(f, gradient, x), gradcheck_pair(f, backward, x, W=W) for f -> (y, cache), and "
                "gradcheck_loss(f, weights, …) for f -> (loss, gradients), all in nblayers.gradient_check")
    return "nblayers.gradient_check.gradcheck_object(object, x, params={'W': 'dW'})"


def gradcheck_function(f: Callable[..., Any], gradient: Callable[..., Any], /, *inputs: Any, **options: Any) -> Report:
    """The same for two functions: `gradient(*inputs, dy)` gives dL/dx for each input x of `f(*inputs)`, None for integers.

    `options` are those of `gradcheck`; further keyword arguments go to both functions.
    """
    options, arguments = _apart(options)
    return _run(FunctionPair(f, gradient), inputs, arguments, options)


def gradcheck_pair(f: Callable[..., Any], backward: Callable[..., Any], /, *inputs: Any, **options: Any) -> Report:
    """The same for a forward and a backward in the style of CS231n.

        out, cache = affine_forward(x, w, b);    dx, dw, db = affine_backward(dout, cache)
        gradcheck_pair(affine_forward, affine_backward, x, w, b)

    Arguments:
        f: f(x, W=W, …) -> y, or (y, cache), or (y1, y2, cache).
        backward: backward(dy, cache) -> the gradients of all floating inputs in their order, or a dictionary of them by name
            ("dW", "grad_W", …); one array for a single input. (dy1, dy2, cache), (dy), (dy, x), (cache, dy) are understood too.
        inputs, options: arrays and settings for f; the options of `gradcheck`. A dictionary of arrays is taken as inputs where
            backward returns a dictionary that has gradients for them, and as settings otherwise.

    Raises:
        TypeError: what backward takes is not to be understood; else as `gradcheck`.
    """
    options, arguments = _apart(options)
    return _run(Pair(f, backward, inputs, arguments), inputs, arguments, options)


def gradcheck_object(thing: Any, /, *inputs: Any, params: Any = None, forward: str | None = None, backward: str | None = None,
                     reset: str | Callable[..., Any] | None = None, **options: Any) -> Report:
    """The same for an object of any class that has a forward and a backward.

        gradcheck_object(layer, x, params={"W": "dW", "b": "db"}, forward="fprop", backward="bprop")

    Arguments:
        thing: the object. It is left as it was; float32 arrays that it holds are float64 while it is checked.
        inputs: what its forward takes.
        params: where the weights and their gradients are: {"W": "dW"}; attributes of attributes ("layer1.W"), items
            ("params['W1']", "weights[0]"), whole lists and dictionaries ({"params": "grads"}, with equal keys). A number for the
            gradient says at which place backward returns it, counted behind the gradients of the inputs. A list of names leaves
            the gradients to be found. None: every array on which y depends, and its gradient by the usual names (dW, grad_W,
            W.grad, grads["W"], …) or among what backward returns; the report says what was taken. (): no weights.
        forward, backward: names of the methods; the usual ones by default. A backward that takes a learning rate and changes
            the weights itself is given 1, and the gradients are read off the change.
        reset: a method's name, or a function of the object, called before each forward.
        options: those of `gradcheck`; further keyword arguments go to forward.

    Raises:
        TypeError, ValueError: no such method or weight; else as `gradcheck`.
    """
    options, arguments = _apart(options)
    layer = Object(thing, forward, backward, reset, params)
    layer.name_inputs(inputs, arguments, options.get("no_gradient", ()))
    return _run(layer, inputs, arguments, options)


def gradcheck_loss(f: Callable[..., Any], weights: Any, /, *inputs: Any, live: bool | None = None, **options: Any) -> Report:
    """The same for a function that gives a loss and its gradients at once.

        gradcheck_loss(svm_loss, W, X, y)                   # loss, dW = svm_loss(W, X, y)
        gradcheck_loss(model.loss, model.params, X, y)      # loss, grads = model.loss(X, y), which reads model.params
        gradcheck_loss(lossFun, [Wxh, Whh, bh], inputs, targets, hprev)         # loss, dWxh, dWhh, dbh, h = lossFun(…)

    Arguments:
        f: f(weights, *inputs), f(*weights, *inputs), f(*inputs, **weights), or f(*inputs) where it reads the weights by itself;
            returns (loss, gradients) with gradients in the structure of the weights, or (loss, dW, db, …) in their order.
        weights: an array, or a list or dictionary of arrays.
        inputs: data, which have no gradient.
        live: whether f reads the weights where they are; found out by default.
        options: those of `gradcheck`; further keyword arguments go to f.

    Raises:
        TypeError, ValueError: f cannot be called in any of these ways, or returns something else.
    """
    options, arguments = _apart(options)
    layer, given = _loss(f, weights, inputs, arguments, live)
    return _run(layer, given, {}, options)


def assert_gradients(thing: Any, /, *arguments: Any, **options: Any) -> None:
    """Raise an AssertionError with the report if a gradient is wrong.

    Takes what `gradcheck` takes; for an object that is no Layer what `gradcheck_object` takes; for a function followed by a
    function what `gradcheck_pair` takes.

    Raises:
        GradientCheckError: an AssertionError, with the `report`.
    """
    check(thing, *arguments, **options | {"raise_error": True})


def check(thing: Any, /, *arguments: Any, **options: Any) -> Report:
    """`gradcheck` for a Layer, `gradcheck_pair` for two functions, `gradcheck_object` for anything else."""
    if isinstance(thing, Layer):
        return gradcheck(thing, *arguments, **options)
    if inspect.isroutine(thing):
        if not arguments or not callable(arguments[0]):
            raise TypeError(f"gradcheck: expected a function's backward after it, got {type(arguments[0]).__name__ if arguments else 'nothing'}")
        return gradcheck_pair(thing, *arguments, **options)
    return gradcheck_object(thing, *arguments, **options)


def _apart(named: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the check, and what else is given by name."""
    options = {name: value for name, value in named.items() if name in OPTIONS}
    return options, {name: value for name, value in named.items() if name not in OPTIONS}


def _run(layer: Layer, inputs: Sequence[Any], arguments: dict[str, Any], options: dict[str, Any]) -> Report:
    """Check a layer with these arguments."""
    settings = Settings(**{name: _as_names(value) if name == "no_gradient" else value for name, value in options.items()
                           if name not in ("seed", "raise_error")})
    subject = Subject(layer, inputs, arguments, options.get("time_axis"), options.get("batch_axis"))
    if not (subject.leaves or layer.built):
        raise TypeError(f"gradcheck of {layer.described}: expected the arrays that its forward takes, got {inputs or 'none'}")
    rng = np.random.default_rng(options.get("seed", 0))
    with subject.in_float64(rng):
        report = Check(subject, rng, settings).run()
        for name, shape, got in subject.misshaped:
            report.tensors.append(_misshaped(name, shape, got))
    if options.get("raise_error", True) and not report:
        raise GradientCheckError(report)
    return report


def _misshaped(name: str, shape: tuple[int, ...], got: tuple[int, ...]) -> TensorReport:
    hint = of_shape(got, shape)
    report = TensorReport(name, shape)
    report.add("shape", f"its gradient has the shape {got}" + (f": {hint}" if hint else ""))
    return report


def _as_names(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


class Pair(Foreign):
    """A forward and a backward that hand a cache to each other."""

    def __init__(self, f: Callable[..., Any], backward: Callable[..., Any], inputs: Sequence[Any], named: Mapping[str, Any]) -> None:
        super().__init__(getattr(f, "__name__", type(f).__name__))
        self.f = f
        self.title = f"{self.name} and {getattr(backward, '__name__', type(backward).__name__)}"
        self.names: list[str] = []                      # of the arrays that may have a gradient
        self.wanted: list[bool] = []
        self._name_inputs(inputs, named)
        self.way = Backward(backward, getattr(backward, "__name__", "backward"), [*argument_names(self, len(inputs)), *named])
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
        try:
            y = self.forward(*copied(list(inputs)), **copied(dict(named)))
            self.backward(copied(y))
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
        raise TypeError(f"gradcheck of {layer.described}: expected a backward that takes dy, as forward gives {np.size(dy)} numbers and "
                        "no loss")
    return float(np.reshape(dy, ()))


class Object(Foreign):
    """An object that somebody's class made."""

    def __init__(self, thing: Any, forward: str | None, backward: str | None, reset: Any, params: Any) -> None:
        super().__init__(type(thing).__name__)
        self.title = type(thing).__name__
        if inspect.isclass(thing):
            raise TypeError(f"gradcheck_object: expected an object, got the class {thing.__name__}: make one with {thing.__name__}(…)")
        self.thing, self.params, self.reset = thing, params, reset
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
            methods = [own for own in dir(self.thing) if not own.startswith("_") and inspect.isroutine(getattr(self.thing, own, None))]
            raise TypeError(f"gradcheck of {self.title}: it has no method {name or what!r}; its methods are {', '.join(methods) or 'none'}: "
                            f"say {what}='…'")
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
        self.names, without = subject.names, _as_names(no_gradient)
        self.wanted = [leaf.dtype.kind == "f" and name not in without
                       for name, leaf in zip(subject.names, subject.leaves, strict=True)]

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


def _parameter_names(function: Any) -> list[str]:
    try:
        return [name for name, p in inspect.signature(function).parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        return []


class Loss(Foreign):
    """A function of its weights that gives a loss and their gradients; the weights are its inputs."""

    dict_inputs = ("weights",)

    def __init__(self, f: Callable[..., Any], call: Callable[[Any], Any], name: str) -> None:
        super().__init__(getattr(f, "__name__", type(f).__name__))
        self.title, self.call, self.weights_name = self.name, call, name
        self.dict_inputs = (name,)

    @property
    def called(self) -> Callable[..., Any]:
        def signature(weights: Any) -> None: ...
        signature.__signature__ = inspect.Signature([inspect.Parameter(self.weights_name, inspect.Parameter.POSITIONAL_ONLY)])  # type: ignore[attr-defined]
        return signature

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


def _loss(f: Callable[..., Any], weights: Any, inputs: Sequence[Any], named: dict[str, Any], live: bool | None) -> tuple[Foreign, Sequence[Any]]:
    """The function as a layer, and what its forward is given.

    Raises:
        TypeError: it can be called in none of the ways known.
    """
    if isinstance(weights, (list, tuple)):
        weights = list(weights) if isinstance(weights, tuple) else weights
    arrays = [value for _, value in _named(weights, "weights")]
    if not arrays or not all(isinstance(value, np.ndarray) and value.dtype.kind == "f" for value in arrays):
        raise TypeError("gradcheck_loss: expected floating arrays as weights, one, or a list or dictionary of them, got "
                        f"{type(weights).__name__}" + (f" of {', '.join(sorted({type(v).__name__ for v in arrays}))}" if arrays else ""))
    def fresh() -> tuple[Any, ...]:
        return tuple(copied(list(inputs)))

    ways: dict[str, tuple[Callable[[], bool], Callable[[Any], Any]]] = {
        "weights": (lambda: _binds(f, (weights, *inputs), named), lambda w: f(w, *fresh(), **named)),
        "list": (lambda: isinstance(weights, list) and _binds(f, (*weights, *inputs), named), lambda w: f(*w, *fresh(), **named)),
        "dict": (lambda: isinstance(weights, dict) and _binds(f, inputs, {**named, **weights}), lambda w: f(*fresh(), **named, **w)),
    }
    layer = LiveLoss(f, lambda: f(*fresh(), **named), weights)
    there = layer.read_by_function()
    if live or (live is None and all(id(array) in there for array in arrays)):
        return layer, ()
    for binds, call in ways.values():
        if binds():
            names = _parameter_names(f)
            return Loss(f, call, names[0] if names and not isinstance(weights, (list, dict)) else "weights"), (weights,)
    if live is None and _binds(f, inputs, named):
        return layer, ()
    raise TypeError(f"gradcheck of {layer.described}: it takes ({', '.join(_parameter_names(f))}), which is neither (weights, *inputs), nor "
                    f"(*weights, *inputs), nor (*inputs), for {len(arrays)} weights and {len(inputs)} inputs")


def _binds(function: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]) -> bool:
    """Whether a function can be called like this."""
    try:
        inspect.signature(function).bind(*args, **named)
    except TypeError:
        return False
    except ValueError:                                  # a builtin
        return True
    return True
