"""Is this backward the gradient of this forward? For every layer here, and for the ones that you write.

    gradcheck(LSTM(4), x)                       # raises GradientCheckError, whose text says what is wrong
    report = gradcheck(layer, x, training=True, raise_error=False)
    print(report)
"""
from collections.abc import Callable
from typing import Any

import numpy as np

from nblayers.gradient_check.check import Check, Settings
from nblayers.gradient_check.report import Finding, GradientCheckError, Report, TensorReport
from nblayers.gradient_check.subject import FunctionPair, Subject
from nblayers.layers.base import Layer


def gradcheck(layer: Layer, *inputs: Any, seed: int = 0, step: float = 1e-5, rtol: float = 1e-6, atol: float = 1e-9,
              max_coordinates: int = 200, raise_error: bool = True, **forward_arguments: Any) -> Report:
    """Compare `layer.backward` with numeric derivatives of `layer.forward`, and say what is wrong where they differ.

    Checked are the gradients of all floating inputs (arrays among the keyword arguments too, such as `initial_state`) and of
    all weights, in float64, with a random gradient for every output. The layer is left as it was: dtype, weights,
    gradients, states, random numbers. While it is checked, a weight whose elements are all equal (a bias of zeros, a scale of
    ones) holds random values, as a forgotten factor of one would not show; and dropout drops the same elements every time.

    Also found: inputs, dy or outputs changed in place; `grad = …` for `grad += …`; a cache left by an earlier forward;
    gradients that are missing, of a wrong shape, NaN, transposed or off by a factor; and which output or time step is at fault.

    Arguments:
        layer: any Layer, a model or one of your own. One that is not built yet is built for these inputs, and stays so.
        inputs: what `forward` takes: arrays, or lists of them. Integers (token ids) have no gradient.
        seed: of the random numbers used.
        step: h, taken relative to |x| where that is above 1.
        rtol, atol: analytic a and numeric n agree if |a - n| <= max(rtol · max(|a|, |n|), atol).
        max_coordinates: a tensor with more elements is checked at this many of them, drawn at random.
        raise_error: raise if the check fails; False returns the report in any case.
        forward_arguments: `training`, `mask`, `initial_state`, … for `forward`.

    Returns:
        A report, true if the check passed; `print` it to read the findings.

    Raises:
        GradientCheckError: the check failed.
        TypeError: `layer` is no Layer; no arrays to build it for.
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"gradcheck: expected a Layer, got {type(layer).__name__}; for a function and its gradient there is "
                        "nblayers.gradient_check.gradcheck_function(f, gradient, x)")
    subject = Subject(layer, inputs, forward_arguments)
    if not (subject.leaves or layer.built):
        raise TypeError(f"gradcheck of {layer.described}: expected the arrays that its forward takes, got {inputs or 'none'}")
    rng = np.random.default_rng(seed)
    with subject.in_float64(rng):
        report = Check(subject, rng, Settings(step, rtol, atol, max_coordinates)).run()
    if raise_error and not report:
        raise GradientCheckError(report)
    return report


def gradcheck_function(f: Callable[..., Any], gradient: Callable[..., Any], *inputs: Any, **options: Any) -> Report:
    """The same for two functions: `gradient(*inputs, dy)` gives dL/dx for each input x of `f(*inputs)`.

    `options` are those of `gradcheck`.
    """
    return gradcheck(FunctionPair(f, gradient), *inputs, **options)


__all__ = ["Finding", "GradientCheckError", "Report", "TensorReport", "gradcheck", "gradcheck_function"]
