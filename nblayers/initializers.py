"""What the weights of a layer start from (document 001, section 3)."""
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nblayers import config
from nblayers.arguments import axes, choice, integer, number, optional
from nblayers.arrays import as_numbers
from nblayers.locks import FACTORISING
from nblayers.naming import NamesItself
from nblayers.random import SeedGenerator, generator_of
from nblayers.serialization import deserialize_keras_object, lookup, names, serialize

Seed = int | SeedGenerator | dict[str, Any] | None

# standard deviation of a standard normal that is cut off at -2 and 2
_TRUNCATED_DEVIATION = 0.87962566103423978


class Initializer(NamesItself):
    """The base of all initializers. Your own subclass writes `__call__(shape, dtype=None)` and, to be saved, `get_config`."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        """An array of `shape`; dtype is `nblayers.config.floatx()` by default."""
        raise NotImplementedError(f"{type(self).__name__}: __call__(shape, dtype=None) is not written")

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes this initializer again."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Initializer":
        """Make an initializer from what `get_config` gave, ours or Keras'."""
        return cls(**config)

    def clone(self) -> "Initializer":
        """Another initializer with the same arguments."""
        return type(self).from_config(self.get_config())


class Zeros(Initializer):
    """W = 0. Document 001.03.Zeros."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.zeros(*_asked("Zeros", shape, dtype))


class Ones(Initializer):
    """W = 1. Document 001.03.Ones."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.ones(*_asked("Ones", shape, dtype))


class Constant(Initializer):
    """W = value, a number or an array that broadcasts to the shape. Document 001.03.Constant."""

    def __init__(self, value: Any = 0.0) -> None:
        as_numbers(value, "Constant", "value")
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        shape, dtype = _asked("Constant", shape, dtype)
        return np.full(shape, self.value, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"value": serialize(self.value)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Constant":
        return cls(deserialize_keras_object(config["value"]))


class Identity(Initializer):
    """W = gain I, for matrices; ones on the diagonal where it is not square. Document 001.03.IdentityInitializer.

    Raises:
        ValueError: a shape that is not two-dimensional.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number("Identity", "gain", gain)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        shape, dtype = _asked("Identity", shape, dtype)
        if len(shape) != 2:
            raise ValueError(f"Identity: expected the shape of a matrix, got {tuple(shape)}")
        rows, columns = shape
        return (self.gain * np.eye(rows, columns)).astype(dtype)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}      # Keras leaves it out and so loses it


class RandomInitializer(Initializer):
    """The base of the random ones.

    Arguments:
        seed: an integer gives the same numbers at every call, a `SeedGenerator` goes on in its stream, None draws from the
            generator that `nblayers.utils.set_random_seed` resets.

    Raises:
        ValueError: any other seed.

    The numbers are drawn in float64, so a seed gives the same weights in float32, rounded.
    """

    def __init__(self, seed: Seed = None) -> None:
        self.seed = deserialize_keras_object(seed)
        if self.seed is not None:
            generator_of(self.seed)     # refuses a wrong one here, not at the first draw

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        shape, dtype = _asked(type(self).__name__, shape, dtype)
        return self.draw(generator_of(self.seed), shape).astype(dtype, copy=False)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """An array of `shape` from the initializer's distribution, in float64."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {"seed": serialize(self.seed)}


class RandomNormal(RandomInitializer):
    """W ~ N(mean, stddev²). Document 001.03.RandomNormal."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.mean = number(type(self).__name__, "mean", mean)
        self.stddev = number(type(self).__name__, "stddev", stddev, 0)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return generator.normal(self.mean, self.stddev, shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomInitializer):
    """W ~ N(mean, stddev²), draws further than two deviations from the mean drawn again: the deviation that is left is
    0.88 stddev. Document 001.03.TruncatedNormal.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.mean = number(type(self).__name__, "mean", mean)
        self.stddev = number(type(self).__name__, "stddev", stddev, 0)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self.mean + self.stddev * _truncated_normal(generator, shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class RandomUniform(RandomInitializer):
    """W ~ U(minval, maxval). Document 001.03.RandomUniform."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.minval = number("RandomUniform", "minval", minval)
        self.maxval = number("RandomUniform", "maxval", maxval, self.minval)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return generator.uniform(self.minval, self.maxval, shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


class VarianceScaling(RandomInitializer):
    r"""Weights whose variance depends on how many units they join.

        Var(W) = scale / n        n = fan_in, fan_out or their mean        (1)

    A normal distribution is cut off at two deviations and widened by 1 / 0.8796, a uniform one has the limit √(3 Var(W)),
    so that the variance of the draws is (1) in each.

    Arguments:
        scale: a positive number.
        mode: "fan_in", "fan_out" or "fan_avg": n in (1).
        distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform".
        seed: see `RandomInitializer`.
        input_axes, output_axes: the axes that are inputs and outputs of a unit; by default see `compute_fans`.

    Raises:
        ValueError: a scale that is not positive, an unknown mode or distribution.

    Source: document 001.03.VarianceScaling.
    """

    _MODES = ("fan_in", "fan_out", "fan_avg")
    _DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")

    def __init__(self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal", seed: Seed = None,
                 input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None) -> None:
        super().__init__(seed)
        who, distribution = type(self).__name__, distribution.lower() if isinstance(distribution, str) else distribution
        self.scale = number(who, "scale", scale, 0, open="(")
        self.mode = choice(who, "mode", mode, self._MODES)
        choice(who, "distribution", distribution, (*self._DISTRIBUTIONS, "normal"))
        self.distribution = "truncated_normal" if distribution == "normal" else distribution
        self.input_axes = optional(axes, who, "input_axes", input_axes)
        self.output_axes = optional(axes, who, "output_axes", output_axes)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)                                                     # (1)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return generator.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return generator.normal(0, math.sqrt(variance), shape)
        return math.sqrt(variance) / _TRUNCATED_DEVIATION * _truncated_normal(generator, shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "mode": self.mode, "distribution": self.distribution,
                "input_axes": self.input_axes, "output_axes": self.output_axes}


class _Scaled(VarianceScaling):
    """The base of those that choose scale, mode and distribution themselves."""

    _CHOICE: tuple[float, str, str]

    def __init__(self, seed: Seed = None, input_axes: Sequence[int] | None = None,
                 output_axes: Sequence[int] | None = None) -> None:
        super().__init__(*self._CHOICE, seed=seed, input_axes=input_axes, output_axes=output_axes)

    def get_config(self) -> dict[str, Any]:
        return {"seed": serialize(self.seed), "input_axes": self.input_axes, "output_axes": self.output_axes}


class GlorotUniform(_Scaled):
    """W ~ U(−l, l), l = √(6 / (fan_in + fan_out)). Document 001.03.GlorotUniform; Glorot and Bengio, 2010."""

    _CHOICE = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """W truncated normal, Var(W) = 2 / (fan_in + fan_out). Document 001.03.GlorotNormal; Glorot and Bengio, 2010."""

    _CHOICE = (1.0, "fan_avg", "truncated_normal")


class LecunUniform(_Scaled):
    """W ~ U(−l, l), l = √(3 / fan_in). Document 001.03.LecunUniform; Klambauer and others, 2017."""

    _CHOICE = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """W truncated normal, Var(W) = 1 / fan_in. Document 001.03.LecunNormal; Klambauer and others, 2017."""

    _CHOICE = (1.0, "fan_in", "truncated_normal")


class HeUniform(_Scaled):
    """W ~ U(−l, l), l = √(6 / fan_in). Document 001.03.HeUniform; He and others, 2015."""

    _CHOICE = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """W truncated normal, Var(W) = 2 / fan_in. Document 001.03.HeNormal; He and others, 2015."""

    _CHOICE = (2.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    r"""A random matrix with orthonormal columns, or rows where it is wider than high, times gain.

        A = Q R                     A a matrix of normal draws, at least as high as wide        (1)
        W = gain Q diag(sign R)     with the signs, every orthogonal matrix is equally likely   (2)

    A shape of more axes is treated as a matrix with the last axis as its columns.

    Raises:
        ValueError: a shape of fewer than two axes.

    Source: document 001.03.Orthogonal; Saxe and others, 2014.
    """

    def __init__(self, gain: float = 1.0, seed: Seed = None) -> None:
        super().__init__(seed)
        self.gain = number("Orthogonal", "gain", gain)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: expected a shape of at least two axes, got {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = generator.normal(size=(max(rows, columns), min(rows, columns)))
        with FACTORISING:
            q, r = np.linalg.qr(normal)                                                         # (1)
        q *= np.sign(np.diag(r))                                                                # (2)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}


def compute_fans(shape: Sequence[int], input_axes: Sequence[int] | None = None,
                 output_axes: Sequence[int] | None = None) -> tuple[int, int]:
    """How many inputs a unit has and how many units an input feeds, (fan_in, fan_out).

    A matrix is (in, out), a kernel of more axes (window…, in, out): every cell of the window counts. Given both axes
    arguments, the sizes of those axes are multiplied instead.
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def _truncated_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    z = generator.standard_normal(shape)
    while (outside := np.abs(z) > 2).any():
        z[outside] = generator.standard_normal(np.count_nonzero(outside))
    return z


_NAMES = names(Initializer, Zeros, Ones, Constant, Identity, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling,
               GlorotUniform, GlorotNormal, LecunUniform, LecunNormal, HeUniform, HeNormal, Orthogonal,
               IdentityInitializer=Identity, OrthogonalInitializer=Orthogonal,
               normal=RandomNormal, uniform=RandomUniform, zero=Zeros, one=Ones)

IdentityInitializer = Identity
OrthogonalInitializer = Orthogonal
zeros, ones, constant, identity, orthogonal = Zeros, Ones, Constant, Identity, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
glorot_uniform, glorot_normal, variance_scaling = GlorotUniform, GlorotNormal, VarianceScaling
lecun_uniform, lecun_normal, he_uniform, he_normal = LecunUniform, LecunNormal, HeUniform, HeNormal


def get(identifier: Any) -> Callable[..., np.ndarray] | None:
    """The initializer for a name, configuration, class or callable; for an array one that gives a copy of it.

    Raises:
        ValueError: an unknown name.
        TypeError: an identifier of another type.
    """
    if isinstance(identifier, (np.ndarray, np.generic)):
        return _given(identifier)
    return lookup(identifier, _NAMES, "initializer")


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The initializer of a configuration."""
    return lookup(config, _NAMES, "initializer", custom_objects)


def _asked(who: str, shape: Any, dtype: Any) -> tuple[tuple[int, ...], np.dtype]:
    """What an initializer is asked for, checked: the shape (one size stands for itself) and the dtype, `floatx` by default."""
    given = tuple(shape) if isinstance(shape, (list, tuple, np.ndarray)) else (shape,)
    try:
        kind = np.dtype(config.floatx() if dtype is None else dtype)
    except TypeError:
        raise ValueError(f"{who}: expected dtype to be a dtype, got {dtype!r}") from None
    return tuple(integer(who, "each size of shape", size, 0) for size in given), kind


def _given(value: Any) -> Callable[..., np.ndarray]:
    def initialize(shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if tuple(shape) != value.shape:
            raise ValueError(f"initializer: expected the shape of the array that was given, {value.shape}, got {tuple(shape)}")
        return np.array(value, dtype or config.floatx())
    return initialize
