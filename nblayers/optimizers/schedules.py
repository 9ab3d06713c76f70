"""Learning rates that change from step to step, as in Keras 3.

    optimizer = SGD(learning_rate=CosineDecay(0.0, decay_steps=900, warmup_target=0.1, warmup_steps=100))

A schedule is called with the number of steps done, or with an array of such numbers: `plt.plot(schedule(np.arange(1000)))`.
"""
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nblayers import serialization
from nblayers.arguments import flag, integer, number, optional, text
from nblayers.arrays import as_numbers
from nblayers.naming import NamesItself
from nblayers.serialization import lookup, names


class LearningRateSchedule(NamesItself):
    """The class that all schedules are made from.

    One of your own writes `__call__(step)`, which gives the learning rate after so many steps, and, to be saved with a model,
    `get_config`.
    """

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: __call__(step) is not written")

    def get_config(self) -> dict[str, Any]:
        """The arguments from which `from_config` makes this schedule again."""
        raise NotImplementedError(f"{type(self).__name__}: get_config is not written, so it cannot be saved")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LearningRateSchedule":
        """Make a schedule from what `get_config` gave, ours or Keras'."""
        return cls(**config)


class _Formula(LearningRateSchedule):
    """A schedule that is a formula of the step t, and of what its configuration names."""

    _arguments: tuple[str, ...] = ()                    # in Keras' order

    def __call__(self, step: Any) -> Any:
        t = np.asarray(as_numbers(step, type(self).__name__, "step"), float)
        rate = self._rate(t)
        return float(rate) if t.ndim == 0 else rate

    def _rate(self, t: np.ndarray) -> Any:
        """The learning rates after t steps."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._arguments}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.get_config().items())})"


class ExponentialDecay(_Formula):
    r"""The learning rate times `decay_rate` after every `decay_steps` steps, smoothly or all at once.

        p = t / d                                       (1)   \lfloor t / d \rfloor with `staircase`
        \eta = \eta_0 k^p                               (2)

    Arguments:
        initial_learning_rate: \eta_0.
        decay_steps: d, above 0.
        decay_rate: k.
        staircase: change only at multiples of d.
        name: kept for `get_config`.

    Raises:
        ValueError: an argument out of range; so in the other schedules.
    """

    _arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False,
                 name: str | None = "ExponentialDecay") -> None:
        who = type(self).__name__
        self.initial_learning_rate = number(who, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = number(who, "decay_steps", decay_steps, 0, open="(")
        self.decay_rate = number(who, "decay_rate", decay_rate)
        self.staircase = flag(who, "staircase", staircase)
        self.name = optional(text, who, "name", name)

    def _decays(self, t: np.ndarray) -> Any:
        p = t / self.decay_steps                                                    # (1)
        return np.floor(p) if self.staircase else p

    def _rate(self, t: np.ndarray) -> Any:
        return self.initial_learning_rate * self.decay_rate ** self._decays(t)      # (2)


class InverseTimeDecay(ExponentialDecay):
    r"""The learning rate over a number that grows with the steps.

        p = t / d                                       (1)   \lfloor t / d \rfloor with `staircase`
        \eta = \eta_0 / (1 + k p)                       (2)

    Arguments:
        initial_learning_rate: \eta_0.
        decay_steps: d, above 0.
        decay_rate: k.
        staircase: change only at multiples of d.
        name: kept for `get_config`.
    """

    def __init__(self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False,
                 name: str | None = "InverseTimeDecay") -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def _rate(self, t: np.ndarray) -> Any:
        return self.initial_learning_rate / (1 + self.decay_rate * self._decays(t))     # (2)


class PiecewiseConstantDecay(_Formula):
    """One learning rate up to each boundary, and a last one.

    Arguments:
        boundaries: numbers of steps, each larger than the one before; `values[i]` holds up to and with `boundaries[i]`.
        values: the learning rates, one more.
        name: kept for `get_config`.
    """

    _arguments = ("boundaries", "values", "name")

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str | None = "PiecewiseConstant") -> None:
        who = type(self).__name__
        for what, given in (("boundaries", boundaries), ("values", values)):
            if isinstance(given, str) or not hasattr(given, "__len__"):
                raise ValueError(f"{who}: expected {what} as a list of numbers, got {given!r}")
        if len(boundaries) != len(values) - 1:
            raise ValueError(f"{who}: expected one value more than boundaries, got {len(values)} values and "
                             f"{len(boundaries)} boundaries")
        self.boundaries = [number(who, "each of boundaries", boundary) for boundary in boundaries]
        self.values = [number(who, "each of values", value) for value in values]
        if self.boundaries != sorted(set(self.boundaries)):
            raise ValueError(f"{who}: expected boundaries of which each is larger than the one before, got {boundaries!r}")
        self.name = optional(text, who, "name", name)

    def _rate(self, t: np.ndarray) -> Any:
        return np.array(self.values)[np.searchsorted(self.boundaries, t)]


class PolynomialDecay(_Formula):
    r"""From the first learning rate down to a last one, in a straight line or along a power.

        \eta = (\eta_0 - \eta_1) (1 - \min(t, d) / d)^p + \eta_1        (1)
        d = d_0 \max(1, \lceil t / d_0 \rceil)                          (2)   with `cycle`: again and again, more slowly

    Arguments:
        initial_learning_rate: \eta_0.
        decay_steps: d (d_0 in (2)), above 0.
        end_learning_rate: \eta_1.
        power: p; 1 is a straight line.
        cycle: start again after d steps.
        name: kept for `get_config`.
    """

    _arguments = ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle", "name")

    def __init__(self, initial_learning_rate: float, decay_steps: float, end_learning_rate: float = 0.0001, power: float = 1.0,
                 cycle: bool = False, name: str | None = "PolynomialDecay") -> None:
        who = type(self).__name__
        self.initial_learning_rate = number(who, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = number(who, "decay_steps", decay_steps, 0, open="(")
        self.end_learning_rate = number(who, "end_learning_rate", end_learning_rate)
        self.power = number(who, "power", power)
        self.cycle = flag(who, "cycle", cycle)
        self.name = optional(text, who, "name", name)

    def _rate(self, t: np.ndarray) -> Any:
        d: Any = self.decay_steps
        if self.cycle:
            d = d * np.maximum(1, np.ceil(t / d))                                                       # (2)
        left = 1 - np.minimum(t, d) / d
        return (self.initial_learning_rate - self.end_learning_rate) * left ** self.power + self.end_learning_rate     # (1)


class CosineDecay(_Formula):
    r"""Down along half a wave of the cosine; before it, if asked to, up in a straight line.

        \eta = \eta_0 + (\eta_1 - \eta_0) t / w                                                     (1)   t < w, with a warm-up
        \eta = \eta_1 ((1 - \alpha) (1 + \cos(\pi \min(t - w, d) / d)) / 2 + \alpha)                (2)

    Without a warm-up w is 0, and \eta_1 is \eta_0.

    Arguments:
        initial_learning_rate: \eta_0.
        decay_steps: d, above 0.
        alpha: the part of \eta_1 that is left in the end.
        name: kept for `get_config`.
        warmup_target: \eta_1; None for no warm-up.
        warmup_steps: w.

    Source: Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", (5); the warm-up: Goyal et al.
    2017, "Accurate, large minibatch SGD", section 2.2.
    """

    _arguments = ("initial_learning_rate", "decay_steps", "alpha", "name", "warmup_target", "warmup_steps")

    def __init__(self, initial_learning_rate: float, decay_steps: float, alpha: float = 0.0, name: str | None = "CosineDecay",
                 warmup_target: float | None = None, warmup_steps: int = 0) -> None:
        who = type(self).__name__
        self.initial_learning_rate = number(who, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = number(who, "decay_steps", decay_steps, 0, open="(")
        self.alpha = number(who, "alpha", alpha)
        self.name = optional(text, who, "name", name)
        self.warmup_target = optional(number, who, "warmup_target", warmup_target)
        self.warmup_steps = integer(who, "warmup_steps", warmup_steps, 0)

    def _rate(self, t: np.ndarray) -> Any:
        first, target, w = self.initial_learning_rate, self.warmup_target, self.warmup_steps
        if target is None:
            target, w = first, 0
        past = np.clip(t - w, 0, self.decay_steps) / self.decay_steps
        cooling = target * ((1 - self.alpha) * 0.5 * (1 + np.cos(np.pi * past)) + self.alpha)           # (2)
        return cooling if w == 0 else np.where(t < w, first + (target - first) * t / w, cooling)        # (1)


class CosineDecayRestarts(_Formula):
    r"""Half a wave of the cosine down, then from the top again (a warm restart), each time over more steps.

        d_i = d_0 \tau^i                                                                                (1)   period i = 0, 1, …
        \eta = \eta_0 ((1 - \alpha) m^i (1 + \cos(\pi s / d_i)) / 2 + \alpha)                            (2)   s steps into it

    Arguments:
        initial_learning_rate: \eta_0.
        first_decay_steps: d_0, above 0.
        t_mul: \tau, above 0. Below 1 the periods come to an end, after d_0 / (1 - \tau) steps; \eta_0 \alpha is left then.
        m_mul: m, what each restart multiplies the height by.
        alpha: the part of \eta_0 that is left at the end of a period.
        name: kept for `get_config`.

    Source: Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", (5).
    """

    _arguments = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha", "name")

    def __init__(self, initial_learning_rate: float, first_decay_steps: float, t_mul: float = 2.0, m_mul: float = 1.0,
                 alpha: float = 0.0, name: str | None = "SGDRDecay") -> None:
        who = type(self).__name__
        self.initial_learning_rate = number(who, "initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = number(who, "first_decay_steps", first_decay_steps, 0, open="(")
        self.t_mul = number(who, "t_mul", t_mul, 0, open="(")
        self.m_mul = number(who, "m_mul", m_mul)
        self.alpha = number(who, "alpha", alpha)
        self.name = optional(text, who, "name", name)

    def _rate(self, t: np.ndarray) -> Any:
        past = t / self.first_decay_steps
        i = self._period(past)
        with np.errstate(all="ignore"):                     # after the last period, whose height is set below
            into = (past - self._begin(i)) / self.t_mul ** i
            height = self.m_mul ** i * 0.5 * (1 + np.cos(np.pi * into))
        height = np.where(np.isfinite(i), height, 0)
        return self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha)                    # (2)

    def _begin(self, i: Any) -> Any:
        """Where period i begins, in units of d_0: the sum of (1)."""
        return i if self.t_mul == 1 else (1 - self.t_mul ** i) / (1 - self.t_mul)

    def _period(self, past: Any) -> Any:
        """The number of the period; infinite after the last one."""
        if self.t_mul == 1:
            return np.floor(past)
        with np.errstate(divide="ignore"):
            i = np.floor(np.log(np.maximum(1 - past * (1 - self.t_mul), 0)) / math.log(self.t_mul))
        past = past * (1 + 1e-12)                       # a restart at a whole step is not to be missed by rounding
        return i + (self._begin(i + 1) <= past) - (self._begin(i) > past)


_OBJECTS = names(LearningRateSchedule, ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay, CosineDecay,
                 CosineDecayRestarts)


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """The schedule as Keras' dictionary, from which `deserialize` makes it again."""
    return serialization.serialize(learning_rate_schedule)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> LearningRateSchedule:
    """Make a schedule from {"class_name": …, "config": …}.

    Raises:
        ValueError: no such class.
    """
    return lookup(config, _OBJECTS, "schedule", custom_objects)


__all__ = ["CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
           "PiecewiseConstantDecay", "PolynomialDecay", "deserialize", "serialize"]
