"""What the generators draw from, and what they make."""
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nblayers import layers, nn

NAMESPACE: dict[str, Any] = {"layers": layers, "nn": nn, "np": np}      # of the code that is drawn


class Source(str):
    """A piece of code, such as a layer that another one holds."""

    __slots__ = ()
    __repr__ = str.__str__


def call(name: str, *arguments: Any, **options: Any) -> Source:
    """The code of a call."""
    given = [*map(repr, arguments), *(f"{key}={value!r}" for key, value in options.items())]
    return Source(f"{name}({', '.join(given)})")


def evaluate(source: str) -> Any:
    return eval(source, NAMESPACE)


class Setup(NamedTuple):
    """What a generator draws.

    Attributes:
        layer: the code that makes it.
        inputs: what forward takes by position: arrays, or lists of them.
        call: and by name.
        tolerance: rtol and atol of `gradcheck`, where a formula holds only nearly.
    """

    layer: Source
    inputs: list[Any]
    call: dict[str, Any] = {}           # noqa: RUF012
    tolerance: dict[str, float] = {}    # noqa: RUF012


class Draw:
    """Random choices."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, p: float = 0.5) -> bool:
        return bool(self.rng.random() < p)

    def one(self, options: Sequence[Any]) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def some(self, **choices: Sequence[Any]) -> dict[str, Any]:
        """Each option with a chance of one half, then with one of its values."""
        return {name: self.one(values) for name, values in choices.items() if self.chance()}

    def flags(self, *names: str) -> dict[str, bool]:
        """Each flag turned on with a chance of one third."""
        return {name: True for name in names if self.chance(1 / 3)}

    def size(self) -> int:
        return self.one((1, 2, 2, 3, 3, 4))

    def shape(self, low: int, high: int) -> tuple[int, ...]:
        """A batch of one to three, and `low` to `high` axes more."""
        return (self.integer(1, 3), *(self.size() for _ in range(self.integer(low, high))))

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape)

    def numbers(self, *shape: int) -> np.ndarray:
        """Ordinary numbers half of the time, else awkward ones."""
        x = self.normal(*shape)
        kind = self.one(["ordinary"] * 5 + ["zeros", "ties", "equal rows", "tiny", "large"])
        if kind == "zeros":
            return x * (self.rng.random(shape) < 0.6)
        if kind == "ties":
            return np.round(x)
        if kind == "equal rows":
            return np.broadcast_to(x[:1], shape).copy()
        return x * {"ordinary": 1.0, "tiny": 1e-4, "large": 20.0}[kind]

    def distinct(self, *shape: int) -> np.ndarray:
        """No two numbers nearer to each other than 0.1."""
        return self.rng.permutation(math.prod(shape)).reshape(shape) * 0.1 - 1

    def mask(self, *shape: int) -> np.ndarray:
        return self.rng.random(shape) < 0.7

    def steps_mask(self, batch: int, steps: int) -> np.ndarray:
        """Of sequences: padded on the right or on the left, or with holes; a sample may have no step at all."""
        t, lengths = np.arange(steps), self.rng.integers(0, steps + 1, (batch, 1))
        return self.one([t < lengths, t >= lengths, self.mask(batch, steps)])

    def ids(self, below: int, *shape: int) -> np.ndarray:
        return self.rng.integers(0, below, shape)

    def data_format(self) -> dict[str, str]:
        return self.some(data_format=["channels_last", "channels_first"])

    def penalty(self) -> dict[str, str]:
        """Now and then a penalty on the output."""
        return {"activity_regularizer": self.one(["l1", "l2"])} if self.chance(0.1) else {}


Generator = Callable[[Draw, str], Setup]
GENERATORS: dict[str, Generator] = {}


def makes(*names: str) -> Callable[[Generator], Generator]:
    """The function below draws these: "layers.Dense", "nn.Conv1d", "networks.twins"."""
    def register(generator: Generator) -> Generator:
        GENERATORS.update((name, generator) for name in names)
        return generator
    return register


def family(*names: str, ranks: str = "123", room: str = "layers") -> list[str]:
    """One name for each number of axes: "layers.Conv1D", …"""
    return [f"{room}.{name}".replace("#", rank) for name in names for rank in ranks]


def rank_of(name: str) -> int:
    return int(next(letter for letter in name if letter.isdigit()))
