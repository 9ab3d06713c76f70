"""Gradients brought to a size."""
import math
from collections.abc import Iterable

from nblayers.arguments import number
from nblayers.optimizers.rooms import room_of, squared_norm
from nblayers.parameter import Parameter


def clip_by_value(parameters: Iterable[Parameter], bound: float) -> None:
    """Bring every element of the gradients into [-bound, bound], in place.

    Raises:
        ValueError: a bound that is no number, or negative; so in the other two.
    """
    bound = number("clip_by_value", "bound", bound, 0, finite=False)
    for parameter in parameters:
        parameter.grad.clip(-bound, bound, out=parameter.grad)


def clip_by_norm(parameters: Iterable[Parameter], bound: float, device: str | None = None) -> None:
    """Shrink each gradient whose norm is over `bound` to that norm, in place."""
    bound = number("clip_by_norm", "bound", bound, 0, finite=False)
    for parameter in parameters:
        room = room_of([parameter], device)
        parameter.grad *= norm_factor(math.sqrt(squared_norm(room, parameter.grad.ravel())), bound)


def clip_by_global_norm(parameters: Iterable[Parameter], bound: float, device: str | None = None) -> float:
    """Shrink all gradients by one factor if the norm of all together is over `bound`, in place; returns that norm.

    A norm that is infinite or NaN makes every gradient NaN, as in Keras.
    """
    bound = number("clip_by_global_norm", "bound", bound, 0, finite=False)
    parameters = list(parameters)
    room = room_of(parameters, device)
    total = sum(squared_norm(room, parameter.grad.ravel()) for parameter in parameters)
    for parameter in parameters:
        parameter.grad *= global_factor(total, bound)
    return math.sqrt(total)


def norm_factor(norm: float, bound: float) -> float:
    """The factor that brings a norm to `bound`, if it is larger."""
    return 1.0 if norm <= bound else bound / norm       # NaN stays NaN


def global_factor(total: float, bound: float) -> float:
    """The same from the square of the norm of all gradients together; NaN where that is not finite."""
    norm = math.sqrt(total)
    return norm_factor(norm, bound) + (norm - norm)     # inf too makes NaN
