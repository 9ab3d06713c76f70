"""What LossScaleOptimizer and MultiOptimizer have in common: the rules are those of optimizers inside of them."""
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nblayers import config
from nblayers.optimizers.base import Optimizer
from nblayers.parameter import Parameter


class Wrapping(Optimizer):
    """An optimizer that lets others do the steps; its state is its own numbers and then all of theirs."""

    def __init__(self, name: str | None, **options: Any) -> None:
        super().__init__(0.0, name=name, **options)
        self._routes: dict[Parameter, Optimizer] = {}

    def _inner(self) -> list[Optimizer]:
        """The optimizers inside, in the order of their states."""
        raise NotImplementedError

    def _route(self, parameter: Parameter) -> Optimizer:
        """The optimizer that changes this parameter."""
        raise NotImplementedError

    def _route_to(self, parameter: Parameter) -> Optimizer:
        """The same, asked once for each parameter."""
        if parameter not in self._routes:
            self._routes[parameter] = self._route(parameter)
        return self._routes[parameter]

    def _routed(self, parameters: Iterable[Parameter]) -> list[tuple[Optimizer, list[Parameter]]]:
        """Each optimizer inside with those of the parameters that it changes."""
        pairs = [(parameter, self._route_to(parameter)) for parameter in parameters]
        return [(inner, [parameter for parameter, other in pairs if other is inner]) for inner in self._inner()]

    @property
    def _known(self) -> Iterable[Parameter]:
        return [parameter for parameter, inner in self._routes.items() if parameter in inner._known]

    def stepping(self) -> list[Optimizer]:
        return [optimizer for inner in self._inner() for optimizer in inner.stepping()]

    def swap_averages(self) -> None:
        for optimizer in self.averaging():
            optimizer.swap_averages()

    @property
    def is_swapped(self) -> bool:
        return any(optimizer.is_swapped for optimizer in self.averaging())

    @is_swapped.setter
    def is_swapped(self, value: bool) -> None:
        for optimizer in self.averaging():
            optimizer.is_swapped = value

    def finalize_variable_values(self, var_list: Iterable[Parameter]) -> None:
        for inner, its in self._routed(var_list):
            if its:
                inner.finalize_variable_values(its)

    def exclude_from_weight_decay(self, var_list: Iterable[Parameter] | None = None,
                                  var_names: Iterable[str] | None = None) -> None:
        excluded, names = list(var_list or []), list(var_names or [])
        for inner in self._inner():
            inner.exclude_from_weight_decay(excluded, names)

    def build(self, parameters: Iterable[Parameter]) -> None:
        for inner, its in self._routed(list(parameters)):
            inner.build(its)

    def _own_names(self) -> list[str]:
        """What `_own` gives, as Keras names it."""
        return ["iteration", "learning_rate"]

    def _own(self, is_whole: bool) -> list[np.ndarray]:
        """Its own numbers: before the first step, or all of them."""
        return [np.array(self._iterations, np.int32), np.array(0.0, config.floatx())]

    def _set_own(self, arrays: Sequence[Any]) -> None:
        self._iterations = int(arrays[0])

    @property
    def variables(self) -> list[Any]:
        """Its own numbers, then the variables of the optimizers inside, whose state is live."""
        return [*self._own(self.built), *(array for inner in self._inner() for array in inner.variables)]

    @property
    def variable_names(self) -> list[str]:
        """What `variables` are; with the name of each optimizer inside before those of its variables."""
        own = self._own_names()[:len(self._own(self.built))]
        return own + [f"{inner.name}/{name}" for inner in self._inner() for name in inner.variable_names]

    def _set_variables(self, own: Sequence[Any], arrays: Sequence[Any]) -> None:
        first = len(self._own(self.built))
        self._set_own(arrays[:first])
        for inner in self._inner():
            count = len(inner.variables)
            inner.set_weights(arrays[first:first + count])
            first += count

    def _pieces(self, parameters: Sequence[Parameter], is_whole: bool) -> list[tuple[Optimizer, list[Parameter]]]:
        """The optimizers inside with the parameters whose state is kept: before the first step none."""
        return self._routed(parameters if is_whole else [])

    def _is_whole(self, parameters: Sequence[Parameter]) -> bool:
        """Whether a step has seen any of them."""
        known = set(self._known)
        return any(parameter in known for parameter in parameters)

    def state_for(self, parameters: Sequence[Parameter]) -> list[np.ndarray]:
        is_whole = self._is_whole(parameters)
        state = self._own(is_whole)
        for inner, its in self._pieces(parameters, is_whole):
            inner.build(its)
            state += inner.state_for(its)
        return state

    def inner_places(self, parameters: Sequence[Parameter]) -> list[tuple[str, Optimizer, list[Parameter]]]:
        pieces = self._pieces(parameters, self._is_whole(parameters))
        return [(place, *piece) for place, piece in zip(self._places(), pieces, strict=True)]

    def _places(self) -> list[str]:
        """Where files of Keras have the states of the optimizers inside."""
        raise NotImplementedError

    def expected_state(self, parameters: Sequence[Parameter]) -> tuple[list[Any], list[Any]]:
        fresh, whole = ([(array.shape, array.dtype.kind) for array in self._own(is_whole)] for is_whole in (False, True))
        for inner, its in self._routed(parameters):
            of_inner = inner.expected_state(its)
            fresh, whole = fresh + of_inner[0], whole + of_inner[1 if its else 0]
        return fresh, whole

    def _divided(self, parameters: Sequence[Parameter], arrays: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Of the arrays of `expected_state` its own; and (optimizer, parameters, arrays) for each one inside."""
        is_whole = len(arrays) > len(self.expected_state(parameters)[0])
        first = len(self._own(is_whole))
        parts = []
        for inner, its in self._pieces(parameters, is_whole):
            count = len(inner.expected_state(its)[1 if its else 0])
            parts.append((inner, its, arrays[first:first + count]))
            first += count
        return list(arrays[:len(self._own(is_whole))]), parts

    def check_state(self, parameters: Sequence[Parameter], arrays: Sequence[np.ndarray]) -> None:
        own, parts = self._divided(parameters, arrays)
        if not all(np.isfinite(array) and array >= 0 for array in own):
            raise ValueError(f"expected the optimizer's {', '.join(self._own_names()[:len(own)])} as finite numbers, got {own}")
        for inner, its, of_inner in parts:
            inner.check_state(its, of_inner)

    def load_state(self, parameters: Sequence[Parameter], arrays: Sequence[np.ndarray]) -> None:
        own, parts = self._divided(parameters, arrays)
        self._set_own(own)
        for inner, its, of_inner in parts:
            inner.load_state(its, of_inner)
