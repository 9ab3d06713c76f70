"""With which options and inputs a layer is tried."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Inputs = Callable[[np.random.Generator], tuple[tuple[Any, ...], dict[str, Any]]]


@dataclass(frozen=True)
class Case:
    """One try: its name, the arguments of the layer's `__init__`, and what its `forward` is given."""

    title: str
    options: dict[str, Any]
    inputs: Inputs


def normal(*shape: int, scale: float = 1.0) -> Inputs:
    """One input of this shape, normally distributed."""
    return lambda rng: ((scale * rng.normal(size=shape),), {})


def recurrent_cases(states: int) -> list[Case]:
    """The tries of a recurrent layer whose `initial_state` is a list of so many arrays (N, units)."""
    def sequences(N: int, T: int, D: int = 2, H: int | None = None, mask: Any = None) -> Inputs:
        def make(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
            kwargs: dict[str, Any] = {}
            if H is not None:
                kwargs["initial_state"] = [rng.normal(size=(N, H)) for _ in range(states)]
            if mask is not None:
                kwargs["mask"] = np.array(mask, bool)
            return (rng.normal(size=(N, T, D)),), kwargs
        return make

    two = {"units": 2}
    all_steps = {**two, "return_sequences": True}
    given = "initial states" if states > 1 else "an initial state"
    return [
        Case("one step, one sample, one unit", {"units": 1}, sequences(1, 1, 1)),
        Case("one step, one sample", two, sequences(1, 1)),
        Case("one step, three samples", two, sequences(3, 1)),
        Case("two steps, one sample", two, sequences(1, 2)),
        Case("four steps, three samples", two, sequences(3, 4)),
        Case("an output at every step", all_steps, sequences(3, 4)),
        Case(given, all_steps, sequences(3, 4, H=2)),
        Case("a mask: sequences of different lengths", all_steps, sequences(2, 3, mask=[[1, 1, 1], [1, 0, 0]])),
        Case(f"a mask with gaps, {given}, the last output", {"units": 3},
             sequences(3, 4, H=3, mask=[[1, 0, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]])),
    ]
