"""Somebody's own code as a layer."""
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nblayers.gradient_check import plain
from nblayers.gradient_check.calls import positional
from nblayers.layers.base import Layer
from nblayers.structures import copied


class Foreign(Layer):
    """Somebody's own code as a layer: what it is given is neither cast nor checked, nor is what it returns.

    Attributes:
        title: how messages call it.
        dict_inputs: names of the arguments that are dictionaries of inputs; others are settings.
        factor: what the weights' gradients are multiplied by, where backward takes no dy.
        extras: what the last backward returned beside the gradients of the inputs.
        has_rate: whether backward takes a learning rate and changes the weights itself.
        params: what the user said of the weights in plain arrays.
        may_hold_weights: whether it stands for an object that has weights.
        remarks: what the report should say of how the object was called.
        data: the shapes of arrays that it is given and that have no gradient, by name.
        first_weight: from which of the inputs on they may be weights; None where weights are not among them.
    """

    integer_inputs = True
    single_values = True
    dict_inputs: Sequence[str] = ()
    title = ""
    factor = 1.0
    extras: Any = ()
    has_rate = False
    params: Any = None
    may_hold_weights = False
    remarks: Sequence[str] = ()
    data: Mapping[str, tuple[int, ...]] = {}
    first_weight: int | None = None

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.built = True

    @property
    def called(self) -> Callable[..., Any]:
        """The forward whose arguments have the names."""
        return self.forward

    def argument_names(self) -> list[str]:
        """What its forward calls the arguments that are given by place."""
        return [parameter.name for parameter in positional(self.called) or ()]

    @property
    def described(self) -> str:
        return self.title or f"{type(self).__name__} {self.name!r}"

    def find_plain(self, trial: plain.Trial) -> plain.Found:
        """The weights that are no `Parameter`s."""
        return plain.Found()

    def hold_float64(self) -> None:
        """Let the object behind it hold its floating arrays in double precision."""
        plain.in_float64(self)

    def see_that_it_runs(self, run: Callable[[], Any], inputs: Mapping[str, Any], what: str) -> None:
        """
        Raises:
            TypeError, ValueError: somebody's code fails with what it is given; the message names it and the shapes.
        """
        try:
            run()
        except (TypeError, ValueError, IndexError) as error:
            if str(error).startswith("gradcheck"):
                raise
            given = ", ".join(f"{name} {np.shape(value)}" for name, value in inputs.items())
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"gradcheck of {self.described}: {what} fails for arrays of the shapes {given}: "
                       f"{type(error).__name__}: {error}") from error

    def _to_array(self, value: Any) -> Any:
        return value

    def _to_mask(self, value: Any) -> Any:
        return value

    def _check_inputs(self, inputs: Any) -> None:
        return

    def _to_gradient(self, dy: Any, shapes: Any) -> Any:
        return dy


class FunctionPair(Foreign):
    """A function and its gradient as a layer: `gradient(*inputs, dy)` gives dL/dx for each input."""

    first_weight = 1

    def __init__(self, f: Callable[..., Any], gradient: Callable[..., Any]) -> None:
        super().__init__(getattr(f, "__name__", type(f).__name__))
        self.f, self.gradient, self.title = f, gradient, self.name

    @property
    def called(self) -> Callable[..., Any]:
        return self.f

    def forward(self, *inputs: Any, **named: Any) -> Any:
        self.cache = copied((inputs, named))                   # as they were, should f work in place
        return self.f(*inputs, **named)

    def backward(self, dy: Any) -> Any:
        inputs, named = copied(self.cache)
        return self.gradient(*inputs, dy, **named)
