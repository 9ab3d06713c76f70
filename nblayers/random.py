"""The one source of random numbers, reset by `nblayers.utils.set_random_seed`."""
import operator
from typing import Any

import numpy as np

_generator = np.random.default_rng()


def generator() -> np.random.Generator:
    """The global generator, from which everything that was given no seed of its own draws."""
    return _generator


def set_seed(seed: int) -> None:
    """Start the global generator afresh."""
    global _generator
    _generator = np.random.default_rng(seed)


def get_state() -> dict[str, Any]:
    """How far the global generator has come."""
    return dict(_generator.bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Let the global generator go on where `get_state` was called."""
    set_seed(0)                         # another generator: somebody may hold the present one
    _generator.bit_generator.state = state


class SeedGenerator:
    """A stream of random numbers of its own: the same seed gives the same stream, each draw goes on in it.

    Arguments:
        seed: an integer; by default one drawn from the global generator.

    Raises:
        ValueError: a seed that is no integer.
    """

    def __init__(self, seed: int | None = None, name: str = "seed_generator") -> None:
        self.seed = None if seed is None else _integer(seed)
        self.name = name
        self.generator = np.random.default_rng(_generator.integers(2**63) if self.seed is None else self.seed % 2**128)

    def key(self) -> np.uint64:
        """What fixes the numbers that one call of a kernel draws."""
        return np.uint64(self.generator.bit_generator.random_raw())

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SeedGenerator":
        return cls(**config)


def generator_of(seed: "int | SeedGenerator | None") -> np.random.Generator:
    """Where to draw from: the global generator for None, the stream of a SeedGenerator, a fresh start for an integer.

    Raises:
        ValueError: anything else.
    """
    if seed is None:
        return _generator
    if isinstance(seed, SeedGenerator):
        return seed.generator
    return np.random.default_rng(_integer(seed) % 2**128)       # of a negative one too


def _integer(seed: Any) -> int:
    try:
        if isinstance(seed, bool):
            raise TypeError
        return operator.index(seed)
    except TypeError:
        raise ValueError(f"expected a seed that is an integer or a SeedGenerator, got {seed!r}") from None
