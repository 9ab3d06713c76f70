"""The gradient check for anyone's code: layers, functions, pairs of functions, objects, losses."""
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nblayers.gradient_check.check import Check, Settings
from nblayers.gradient_check.diagnosis import of_shape
from nblayers.gradient_check.foreign import FunctionPair
from nblayers.gradient_check.losses import as_layer, shapes_of_data
from nblayers.gradient_check.objects import Object, Pair
from nblayers.gradient_check.report import GradientCheckError, Report, TensorReport
from nblayers.gradient_check.subject import Subject
from nblayers.layers.base import Layer

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
    if inputs or arguments:
        takes = inspect.signature(layer.forward).parameters
        told = {name: value for name, value in arguments.items() if name in takes or name not in ("training", "mask")}
        _see_that_it_takes(layer.forward, layer.described, inputs, told)
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
    _see_that_it_takes(f, getattr(f, "__name__", type(f).__name__), inputs, arguments)
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
    _see_that_it_takes(f, getattr(f, "__name__", type(f).__name__), inputs, arguments)
    return _run(Pair(f, backward, inputs, arguments), inputs, arguments, options)


def gradcheck_object(thing: Any, /, *inputs: Any, params: Any = None, forward: str | None = None,
                     backward: str | None = None, reset: str | Callable[..., Any] | None = None, **options: Any) -> Report:
    """The same for an object of any class that has a forward and a backward.

        gradcheck_object(layer, x, params={"W": "dW", "b": "db"}, forward="fprop", backward="bprop")

    Arguments:
        thing: the object. It is left as it was; float32 arrays that it holds are float64 while it is checked.
        inputs: what its forward takes.
        params: where the weights and their gradients are: {"W": "dW"}; attributes of attributes ("layer1.W"), items
            ("params['W1']", "weights[0]"), whole lists and dictionaries ({"params": "grads"}, with equal keys). A number for
            the gradient says at which place backward returns it, counted behind the gradients of the inputs. A list of names
            leaves the gradients to be found. None: every array on which y depends, and its gradient by the usual names (dW,
            grad_W, W.grad, grads["W"], …) or among what backward returns; the report says what was taken. (): none.
        forward, backward: names of the methods; the usual ones by default. A backward that takes a learning rate and changes
            the weights itself is given 1, and the gradients are read off the change.
        reset: a method's name, or a function of the object, called before each forward.
        options: those of `gradcheck`; further keyword arguments go to forward.

    Raises:
        TypeError, ValueError: no such method or weight; else as `gradcheck`.
    """
    if isinstance(thing, Layer) and (params, forward, backward, reset) == (None, None, None, None):
        return gradcheck(thing, *inputs, **options)
    options, arguments = _apart(options)
    layer = Object(thing, forward, backward, reset, params)
    _see_that_it_takes(layer.called, layer.title, inputs, arguments)
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
    layer, given = as_layer(f, weights, inputs, arguments, live)
    layer.data = shapes_of_data(layer, f, weights, inputs, arguments)
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
    if callable(thing) and arguments and callable(arguments[0]):
        return gradcheck_pair(thing, *arguments, **options)
    if inspect.isroutine(thing):
        got = type(arguments[0]).__name__ if arguments else "nothing"
        raise TypeError(f"gradcheck: expected a function's backward after it, got {got}")
    return gradcheck_object(thing, *arguments, **options)


def _see_that_it_takes(forward: Callable[..., Any], who: str, inputs: Sequence[Any], named: Mapping[str, Any]) -> None:
    """
    Raises:
        TypeError: forward cannot be called with these arguments.
    """
    try:
        signature = inspect.signature(forward)
    except (TypeError, ValueError):                     # a builtin has none
        return
    try:
        signature.bind(*inputs, **named)
    except TypeError as error:
        raise TypeError(f"gradcheck of {who}: its forward takes {signature}, got {len(inputs)} inputs"
                        + (f" and {', '.join(named)} by name" if named else "") + f": {error}") from error


def _apart(named: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the check, and what else is given by name."""
    options = {name: value for name, value in named.items() if name in OPTIONS}
    return options, {name: value for name, value in named.items() if name not in OPTIONS}


def _run(layer: Layer, inputs: Sequence[Any], arguments: dict[str, Any], options: dict[str, Any]) -> Report:
    """Check a layer with these arguments."""
    subject = Subject(layer, inputs, arguments, options.get("time_axis"), options.get("batch_axis"))
    settings = _settings(options, subject.names)
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


def _settings(options: Mapping[str, Any], inputs: Sequence[str]) -> Settings:
    """The settings; a name in `no_gradient` stands for all arrays in a list of this name."""
    given: dict[str, Any] = {name: value for name, value in options.items() if name not in ("seed", "raise_error")}
    told = given.get("no_gradient", ())
    told = (told,) if isinstance(told, str) else tuple(told)
    parts = [name for name in inputs if name.partition("[")[0] in told]
    return Settings(**given | {"no_gradient": (*told, *parts)})
