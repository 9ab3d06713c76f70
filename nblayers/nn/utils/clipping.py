"""Gradient clipping as PyTorch writes it."""
import math
from collections.abc import Iterable

import numpy as np

from nblayers.arguments import as_float, number
from nblayers.losses import array_module_of
from nblayers.optimizers import clip_by_value
from nblayers.parameter import Parameter


def clip_grad_norm_(parameters: Parameter | Iterable[Parameter], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False, foreach: bool | None = None) -> float:
    r"""Shrink all gradients by one factor if the norm of all together is over `max_norm`, in place.

        n = (\sum_p \lVert g_p \rVert^k)^{1/k}          (1)     the largest |g| for k = \infty
        g_p = g_p \min(1, c / (n + 10^{-6}))            (2)

    `optimizers.clip_by_global_norm` is the same as Keras has it: k = 2, without the 10^-6.

    Arguments:
        parameters: whose `.grad` is clipped; integers, and those that no optimizer changes, are left alone.
        max_norm: c.
        norm_type: k, a positive number or infinity.
        error_if_nonfinite: raise, before anything is changed, where n is infinite or NaN.
        foreach: accepted as in PyTorch; it changes no result.

    Returns:
        n, before clipping.

    Raises:
        TypeError: parameters that are no weights; so in the other.
        ValueError: a norm_type that is not positive, a max_norm that is no number, or negative.
        RuntimeError: `error_if_nonfinite`, and n is not finite.

    Source: 004.Clipping; torch.nn.utils.clip_grad_norm_.
    """
    norm_type = as_float(norm_type)
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: expected a positive norm_type, got {norm_type}")
    max_norm = number("clip_grad_norm_", "max_norm", max_norm, 0, finite=False)
    gradients = [parameter.grad for parameter in _floating("clip_grad_norm_", parameters)]
    norms = [float(array_module_of(grad).linalg.norm(grad.ravel(), norm_type)) for grad in gradients]
    total = float(np.linalg.norm(norms, norm_type)) if norms else 0.0           # (1)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: expected gradients of a finite norm, got {total}")
    with np.errstate(invalid="ignore"):                                         # infinite gradients become NaN
        for grad in gradients:
            grad *= float(np.minimum(1.0, max_norm / (total + 1e-6)))           # (2)
    return total


def clip_grad_value_(parameters: Parameter | Iterable[Parameter], clip_value: float, foreach: bool | None = None) -> None:
    """Bring every element of the gradients into [-clip_value, clip_value], in place: `optimizers.clip_by_value`.

    Raises:
        ValueError: a clip_value that is no number, or negative.

    Source: 004.Clipping; torch.nn.utils.clip_grad_value_.
    """
    clip_value = number("clip_grad_value_", "clip_value", clip_value, 0, finite=False)
    clip_by_value(_floating("clip_grad_value_", parameters), clip_value)


def _floating(who: str, parameters: Parameter | Iterable[Parameter]) -> list[Parameter]:
    listed = list(parameters) if isinstance(parameters, Iterable) else [parameters]
    if not all(isinstance(parameter, Parameter) for parameter in listed):
        raise TypeError(f"{who}: expected parameters to be weights of a layer, got {parameters!r}")
    return [parameter for parameter in listed if parameter.trainable and parameter.grad.dtype.kind == "f"]
