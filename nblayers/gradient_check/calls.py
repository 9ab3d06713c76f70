"""How somebody's own backward wants to be called, and what is what in the results of both passes."""
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from nblayers.gradient_check import naming

DY, CACHE, RATE, INPUT = "dy", "cache", "rate", "input"


class Role(NamedTuple):
    """What one argument of a backward is: dy, or that of output `number`; the cache; a rate; input `number` of forward."""

    kind: str
    number: int | None = None


class Result(NamedTuple):
    """What a forward returned, taken apart."""

    outputs: Any
    cache: Any
    has_cache: bool


def positional(function: Any) -> list[inspect.Parameter] | None:
    """The parameters that can be given by place; None where Python cannot tell them."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def takes_any(function: Any) -> bool:
    """Whether a function takes any number of arguments, as far as one can see."""
    try:
        return any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return True


@dataclass
class Backward:
    """Somebody's backward.

    Attributes:
        function: it.
        described: how it is called in messages.
        inputs: the names of forward's inputs.
        uses_dy: whether it was last called with a dy.
        used: of how many outputs it takes the gradients, the first ones; None for all.
        has_rate: whether it takes a learning rate, and so changes the weights itself.
        rate: the learning rate that it is given.
    """

    function: Callable[..., Any]
    described: str
    inputs: Sequence[str] = ()
    uses_dy: bool = field(default=True, init=False)
    used: int | None = field(default=None, init=False)
    rate: float = field(default=1.0, init=False)

    def __post_init__(self) -> None:
        known = positional(self.function)
        self.is_open = takes_any(self.function)
        needed = [p.name for p in known or () if p.default is p.empty]
        if not needed and known and not self.is_open:
            needed = [known[0].name]                    # backward(self, dout=1)
        needed += [p.name for p in known or () if naming.is_rate(p.name) and p.name not in needed]
        self.rates = {p.name for p in known or () if p.default is not p.empty and naming.is_rate(p.name)}
        self.names = needed
        self.more = [p.name for p in known or () if p.name not in needed and naming.is_gradient(p.name)]
        self.has_rate = any(map(naming.is_rate, needed))

    @contextmanager
    def at_rate(self, rate: float) -> Iterator[None]:
        """Inside, it is given this learning rate."""
        self.rate = rate
        try:
            yield
        finally:
            self.rate = 1.0

    def apart(self, result: Any) -> Result:
        """Forward's result: (y, cache), (y1, y2, cache) where backward takes a cache, else outputs alone."""
        if not (isinstance(result, tuple) and len(result) > 1 and self._takes_cache(result)):
            return Result(self._first(result), None, False)
        *outputs, cache = result
        outputs = self._first(outputs)
        return Result(outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else outputs, cache, True)

    def _first(self, outputs: Any) -> Any:
        """The outputs that backward takes gradients of; one alone by itself."""
        if self.used is None or not isinstance(outputs, (list, tuple)):
            return outputs
        return outputs[0] if self.used == 1 else list(outputs[:self.used])

    def find_used(self, count: int, fits: Callable[[int], bool]) -> None:
        """Find out of how many of `count` outputs it takes the gradients; `fits` tries it with the first of them."""
        if count < 2 or fits(count):
            return
        self.used = next((k for k in range(count - 1, 0, -1) if fits(k)), None)

    def _takes_cache(self, result: tuple[Any, ...]) -> bool:
        if any(map(naming.is_cache, self.names)):
            return True
        if self.is_open and not self.names:
            return not hasattr(result[-1], "shape")
        others = self._others()
        if len(others) < 2:
            return False
        return not all(map(naming.is_gradient, others))     # backward(dh, dc): of two outputs

    def _others(self) -> list[str]:
        return [name for name in self.names if not naming.is_rate(name)]

    def __call__(self, dy: Any, result: Result, inputs: Sequence[Any]) -> Any:
        """Call it with what it asks for.

        Raises:
            TypeError: it asks for something that is not there.
        """
        outputs = result.outputs if isinstance(result.outputs, (list, tuple)) else [result.outputs]
        dys = dy if isinstance(dy, (list, tuple)) else [dy]
        roles = self.roles(len(outputs), result.has_cache, is_loss=len(outputs) == 1 and np.size(outputs[0]) == 1)
        self.uses_dy = any(role.kind == DY for role in roles)
        more = {}
        if len(self.more) == len(outputs) - 1 and Role(DY) in roles:        # backward(dout, cache, dh=None, dc=None)
            dy, more = dys[0], dict(zip(self.more, dys[1:], strict=True))
        values = {CACHE: lambda _: result.cache, RATE: lambda _: self.rate, INPUT: lambda k: inputs[k],
                  DY: lambda k: dy if k is None else dys[k]}
        more |= dict.fromkeys(self.rates, self.rate)
        given = [role for name, role in zip(self.names or [""] * len(roles), roles, strict=True) if name not in self.rates]
        return self.function(*(values[role.kind](role.number) for role in given), **more)

    def roles(self, outputs: int, has_cache: bool, is_loss: bool = False) -> list[Role]:
        """What each argument is, by its name and by how many there are."""
        if self.is_open and not self.names:
            return [Role(DY), Role(CACHE)] if has_cache else [Role(DY)]
        roles: dict[str, Role] = {name: Role(RATE) for name in self.names if naming.is_rate(name)}
        if has_cache:
            roles[self._cache_name()] = Role(CACHE)
        rest = [name for name in self.names if name not in roles]
        if is_loss and not has_cache and all(name in self.inputs for name in rest):
            roles |= {name: Role(INPUT, list(self.inputs).index(name)) for name in rest}
        elif len(rest) == 1:
            roles[rest[0]] = Role(DY)
        elif len(rest) == outputs:
            roles |= {name: Role(DY, k) for k, name in enumerate(rest)}
        elif rest:
            roles |= self._with_inputs(rest)
        return [roles[name] for name in self.names]

    def _cache_name(self) -> str:
        others = self._others()
        named = [name for name in others if naming.is_cache(name)]
        if named:
            return named[0]
        is_first = len(others) == 2 and naming.is_gradient(others[1]) and not naming.is_gradient(others[0])
        return others[0 if is_first else -1]

    def _with_inputs(self, rest: list[str]) -> dict[str, Role]:
        """backward(dy, x) or backward(x, dy), the inputs by whatever names."""
        count = len(self.inputs)
        if len(rest) == count + 1:
            last = naming.is_gradient(rest[-1]) and not naming.is_gradient(rest[0])
            dy = rest[-1] if last else rest[0]
            given = [name for name in rest if name != dy]
            return {dy: Role(DY)} | {name: Role(INPUT, k) for k, name in enumerate(given)}
        known = {name: Role(INPUT, list(self.inputs).index(name)) for name in rest if name in self.inputs}
        unknown = [name for name in rest if name not in known]
        if len(unknown) == 1:
            return known | {unknown[0]: Role(DY)}
        raise TypeError(f"{self.described} takes ({', '.join(self.names)}), and gradcheck cannot tell what each of them is: "
                        f"there is dy, forward's inputs ({', '.join(self.inputs)}), and a cache if forward returns (y, cache). "
                        "Wrap it: lambda dy, cache: …")


def scaled(gradients: Any, factor: float) -> Any:
    """The same structure of gradients, each multiplied by `factor`."""
    if isinstance(gradients, dict):
        return {key: scaled(value, factor) for key, value in gradients.items()}
    if isinstance(gradients, (list, tuple)):
        return [scaled(value, factor) for value in gradients]
    return gradients if gradients is None else gradients * factor


def by_name(gradients: dict[Any, Any], name: str) -> Any:
    """The gradient of `name` in a dictionary: under its own name, or as dW, grad_W …; None if there is none."""
    if name in gradients:
        return gradients[name]
    return next((value for key, value in gradients.items() if naming.is_gradient_of(key, name)), None)


def gradients_of_inputs(returned: Any, names: Sequence[str], wanted: Sequence[bool], has_more: bool = False
                        ) -> tuple[list[Any], Any]:
    """What backward returned: the gradient of each input, and whatever stands beside them (gradients of weights).

    Arguments:
        returned: an array; a tuple (dx, dW, db), (dx, {"W": dW}) or (dx, [dW, db]); a dictionary by name; None.
        names: of the inputs.
        wanted: for each of them, whether it has a gradient; integers have none.
        has_more: gradients of weights are expected beside them.
    """
    if isinstance(returned, dict):
        found = [by_name(returned, name) for name in names]
        own = [value for value in found if value is not None]
        return found, {key: value for key, value in returned.items() if not any(value is one for one in own)}
    items = list(returned) if isinstance(returned, (list, tuple)) else [returned]
    count = sum(wanted)
    if len(items) == len(names) and not (has_more and count < len(names)):
        return [dx if is_wanted else None for dx, is_wanted in zip(items, wanted, strict=True)], []
    if len(items) < count:
        return items, []
    waiting = iter(items[:count])
    extras: Any = items[count:]
    if len(extras) == 1 and isinstance(extras[0], (list, tuple, dict)):
        extras = extras[0]
    return [next(waiting) if is_wanted else None for is_wanted in wanted], extras
