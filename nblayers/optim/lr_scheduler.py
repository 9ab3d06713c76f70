r"""Learning rates that change as training goes on, as in `torch.optim.lr_scheduler`.

    optimizer = optim.SGD(model.parameters(), lr=0.1)
    scheduler = StepLR(optimizer, step_size=30, gamma=0.1)
    for epoch in range(90):
        ...                                 # batches, each with an optimizer.step()
        scheduler.step()

A scheduler sets the "lr" of all groups of its optimizer, first when it is made. n counts the steps done (`last_epoch`), \eta_0
is a group's learning rate before (kept in the group as "initial_lr"), \eta_n that after n steps. As in PyTorch a step goes from
the learning rate that it finds, \eta_n from \eta_{n-1}, so that several schedulers can act on one optimizer, and what a program
sets by hand is kept; the formula for \eta_n itself is for `step(n)` and for `SequentialLR`.
"""
import math
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import Any

from nblayers.arguments import as_float, choice, flag, function, integer, number, optional
from nblayers.naming import NamesItself
from nblayers.optim.optimizer import Optimizer


class LRScheduler(NamesItself):
    r"""The class that all schedulers are made from; one of your own writes `get_lr`.

    Arguments:
        optimizer: whose learning rates are set.
        last_epoch: n to go on from; -1 starts afresh.

    Attributes:
        last_epoch: n, the steps done; 0 after the making.
        base_lrs: \eta_0 of each group.

    Raises:
        TypeError: no optimizer of `nblayers.optim`.
        ValueError: a last_epoch below -1; a later one where the groups know no "initial_lr".
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = _optimizer(self.described, optimizer)
        last_epoch = integer(self.described, "last_epoch", last_epoch, -1)
        for n, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(f"{self.described}: expected 'initial_lr' in group {n} of the optimizer, to go on from "
                                 f"last_epoch {last_epoch}")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._begin()

    @property
    def described(self) -> str:
        """The class, as every error message opens."""
        return type(self).__name__

    @property
    def _lrs(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _begin(self) -> None:
        """The step that is done when the scheduler is made."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def step(self, epoch: Any = None) -> None:
        r"""Set the learning rates of step n + 1, or of step `epoch` by the formula for \eta_n.

        Call it after `optimizer.step()`.
        """
        if self._step_count == 1 and not self.optimizer._has_stepped:
            warnings.warn(f"{self.described}: step() came before the first optimizer.step(): the first learning rate is never "
                          "used", stacklevel=2)
        self._step_count += 1
        self._set_epoch(epoch)

    def _set_epoch(self, epoch: Any) -> None:
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            self.last_epoch = integer(self.described, "epoch", epoch, 0)
            rates = self.rates_at()
        self._set(rates)

    def _set(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = self._lrs

    def get_lr(self) -> list[float]:
        r"""\eta_n of each group, n being `last_epoch`; the groups still have \eta_{n-1}."""
        raise NotImplementedError(f"{self.described}: get_lr is not written")

    def rates_at(self) -> list[float]:
        r"""\eta_n of each group, whatever the groups have; `get_lr` where a scheduler has no formula for it."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group that this scheduler set last."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """What a later `load_state_dict` needs to go on: all attributes but the optimizer."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take on what `state_dict` gave, ours or PyTorch's. The optimizer's learning rates are in its own state.

        Raises:
            ValueError: something is missing; the scheduler stays as it was.
        """
        own = self.state_dict()
        missing = [name for name in own if not name.startswith("_") and name not in state_dict]
        if missing:
            raise ValueError(f"{self.described}: expected a state with {', '.join(missing)}, got {', '.join(state_dict)}")
        self._restore({name: state_dict[name] for name in own if name in state_dict})

    def _restore(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class StepLR(LRScheduler):
    r"""Multiplied by gamma every `step_size` steps: \eta_n = \eta_0 \gamma^{\lfloor n / s \rfloor}.

    Arguments:
        optimizer, last_epoch: see `LRScheduler`.
        step_size: s.
        gamma: \gamma.

    Raises:
        ValueError: a step_size that is no positive integer, a gamma that is no number.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = integer(self.described, "step_size", step_size, 1)
        self.gamma = number(self.described, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        changes = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma for lr in self._lrs] if changes else self._lrs

    def rates_at(self) -> list[float]:
        return [lr * self.gamma ** (self.last_epoch // self.step_size) for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    r"""Multiplied by gamma at each milestone: \eta_n = \eta_0 \gamma^k, k the number of milestones up to n.

    Arguments:
        optimizer, last_epoch: see `LRScheduler`.
        milestones: numbers of steps, in any order; one that stands twice counts twice.
        gamma: \gamma.

    Raises:
        ValueError: milestones that are no integers, a gamma that is no number.
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.milestones = Counter(integer(self.described, "each of milestones", milestone) for milestone in milestones)
        self.gamma = number(self.described, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore({**state, "milestones": Counter(state["milestones"])})     # a dictionary, where it was in a file

    def get_lr(self) -> list[float]:
        if self.last_epoch not in self.milestones:
            return self._lrs
        return [lr * self.gamma ** self.milestones[self.last_epoch] for lr in self._lrs]

    def rates_at(self) -> list[float]:
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [lr * self.gamma ** passed for lr in self.base_lrs]


class ConstantLR(LRScheduler):
    r"""A smaller one for the first steps: \eta_n = f \eta_0 for n < N, then \eta_0.

    Arguments:
        optimizer, last_epoch: see `LRScheduler`.
        factor: f, in (0, 1].
        total_iters: N.

    Raises:
        ValueError: a factor outside (0, 1], a negative total_iters.
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        self.factor = number(self.described, "factor", factor, 0, 1, "(")
        self.total_iters = integer(self.described, "total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._lrs]
        return [lr * (1 / self.factor) for lr in self._lrs] if self.last_epoch == self.total_iters else self._lrs

    def rates_at(self) -> list[float]:
        factor = 1.0 if self.last_epoch >= self.total_iters else self.factor
        return [lr * factor for lr in self.base_lrs]


class LinearLR(LRScheduler):
    r"""From one factor to another in N equal steps: \eta_n = \eta_0 (f_0 + (f_1 - f_0) \min(n, N) / N).

    Arguments:
        optimizer, last_epoch: see `LRScheduler`.
        start_factor, end_factor: f_0 in (0, 1] and f_1 in [0, 1].
        total_iters: N.

    Raises:
        ValueError: a factor out of range, a total_iters that is no positive integer.
    """

    def __init__(self, optimizer: Optimizer, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: int = 5,
                 last_epoch: int = -1) -> None:
        self.start_factor = number(self.described, "start_factor", start_factor, 0, 1, "(")
        self.end_factor = number(self.described, "end_factor", end_factor, 0, 1)
        self.total_iters = integer(self.described, "total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        n, start, N = self.last_epoch, self.start_factor, self.total_iters
        if n == 0:
            return [lr * start for lr in self._lrs]
        if self._is_initial or n > N:
            return self._lrs
        change = self.end_factor - start
        return [lr * (1 + change / (N * start + (n - 1) * change)) for lr in self._lrs]

    def rates_at(self) -> list[float]:
        change = (self.end_factor - self.start_factor) * min(self.total_iters, self.last_epoch) / self.total_iters
        return [lr * (self.start_factor + change) for lr in self.base_lrs]


class ExponentialLR(LRScheduler):
    r"""Multiplied by gamma at every step: \eta_n = \eta_0 \gamma^n.

    Arguments:
        optimizer, last_epoch: see `LRScheduler`.
        gamma: \gamma.

    Raises:
        ValueError: a gamma that is no number.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = number(self.described, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._lrs if self._is_initial else [lr * self.gamma for lr in self._lrs]

    def rates_at(self) -> list[float]:
        return [lr * self.gamma ** self.last_epoch for lr in self.base_lrs]


class PolynomialLR(LRScheduler):
    r"""Down to 0 in N steps: \eta_n = \eta_0 (1 - \min(n, N) / N)^p.

    Arguments:
        optimizer, last_epoch: see `LRScheduler`.
        total_iters: N.
        power: p.

    Raises:
        ValueError: a total_iters that is no positive integer, a power that is no number.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = integer(self.described, "total_iters", total_iters, 1)
        self.power = number(self.described, "power", power)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        n, N = self.last_epoch, self.total_iters
        if self._is_initial or n > N:
            return self._lrs
        return [lr * ((1 - n / N) / (1 - (n - 1) / N)) ** self.power for lr in self._lrs]

    def rates_at(self) -> list[float]:
        return [lr * (1 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    r"""Along half a cosine in T steps, and back in the next T:

        \eta_n = \eta_{min} + (\eta_0 - \eta_{min}) (1 + \cos(\pi n / T)) / 2

    Arguments:
        optimizer, last_epoch: see `LRScheduler`.
        T_max: T.
        eta_min: \eta_{min}.

    Raises:
        ValueError: a T_max that is no positive integer, an eta_min that is no number.

    Source: torch.optim.lr_scheduler; Loshchilov and Hutter 2017, "SGDR: stochastic gradient descent with warm restarts".
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = integer(self.described, "T_max", T_max, 1)
        self.eta_min = number(self.described, "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        n, T, low = self.last_epoch, self.T_max, self.eta_min
        if self._is_initial:
            return self._lrs
        if self._step_count == 1 and n > 0:
            return self.rates_at()
        if (n - 1 - T) % (2 * T) == 0:                          # the cosine of the step before is -1
            rise = (1 - math.cos(math.pi / T)) / 2
            return [lr + (base - low) * rise for base, lr in zip(self.base_lrs, self._lrs, strict=True)]
        ratio = (1 + math.cos(math.pi * n / T)) / (1 + math.cos(math.pi * (n - 1) / T))
        return [ratio * (lr - low) + low for lr in self._lrs]

    def rates_at(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * share for lr in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    r"""Along half a cosine again and again, each time from the top, the k-th time in T_0 m^k steps:

        \eta_n = \eta_{min} + (\eta_0 - \eta_{min}) (1 + \cos(\pi c / T)) / 2       c of the T steps of this time are done

    `step(epoch)` takes fractions of steps: `scheduler.step(epoch + batch / batches)`.

    Arguments:
        optimizer, last_epoch: see `LRScheduler`.
        T_0, T_mult: the first T, and m.
        eta_min: \eta_{min}.

    Raises:
        ValueError: a T_0 or T_mult that is no positive integer, an eta_min that is no number; a negative epoch.

    Source: as `CosineAnnealingLR`.
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_0 = self.T_i = integer(self.described, "T_0", T_0, 1)
        self.T_mult = integer(self.described, "T_mult", T_mult, 1)
        self.eta_min = number(self.described, "eta_min", eta_min)
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (lr - self.eta_min) * share for lr in self.base_lrs]

    def step(self, epoch: Any = None) -> None:
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        self._set_epoch(epoch)

    def _set_epoch(self, epoch: Any) -> None:
        if epoch is None:
            epoch, self.T_cur = self.last_epoch + 1, self.T_cur + 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
        else:
            epoch = number(self.described, "epoch", epoch, 0)
            self.T_cur, self.T_i = self._place_of(epoch)
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())

    def _place_of(self, epoch: float) -> tuple[float, int]:
        """How far into which T this is."""
        T, m = self.T_0, self.T_mult
        if epoch < T:
            return epoch, T
        if m == 1:
            return epoch % T, T
        k = int(math.log(epoch / T * (m - 1) + 1, m))           # T (m^k - 1) / (m - 1) steps are in the times before
        return epoch - T * (m ** k - 1) / (m - 1), T * m ** k


class OneCycleLR(LRScheduler):
    r"""Up to `max_lr` and down to almost nothing, once in a training; the momentum goes the other way. Step after every batch.

    Two phases, (max_lr / div_factor) to max_lr and on to (max_lr / div_factor / final_div_factor); with `three_phase` the
    second one goes back to where the first began, and a third one down from there. In each, p being the share of it done,

        \eta = b + (a - b) (1 + \cos(\pi p)) / 2            (1)   "cos": from a to b
        \eta = a + (b - a) p                                (2)   "linear"

    Arguments:
        optimizer, last_epoch: see `LRScheduler`.
        max_lr: the largest learning rate; a number, or one for each group.
        total_steps: the length; or `epochs` and `steps_per_epoch`, whose product it is.
        pct_start: the share of the first phase.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether the momentum (the first of betas) goes from max_momentum to base_momentum and back.
        base_momentum, max_momentum: a number, or one for each group.
        div_factor, final_div_factor, three_phase: see above.

    Raises:
        ValueError: no length, an argument out of range, an optimizer that has no momentum; a step beyond the length.

    Source: torch.optim.lr_scheduler; Smith and Topin 2018, "Super-convergence".
    """

    def __init__(self, optimizer: Optimizer, max_lr: float | Sequence[float], total_steps: int | None = None,
                 epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
                 anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float | Sequence[float] = 0.85,
                 max_momentum: float | Sequence[float] = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
                 three_phase: bool = False, last_epoch: int = -1) -> None:
        who, groups = self.described, _optimizer(self.described, optimizer).param_groups
        self.total_steps = self._length(total_steps, epochs, steps_per_epoch)
        pct_start = number(who, "pct_start", pct_start, 0, 1)
        self._anneal_func_type = choice(who, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.cycle_momentum = flag(who, "cycle_momentum", cycle_momentum)
        self._schedule_phases = _phases(self.total_steps, pct_start, flag(who, "three_phase", three_phase))
        if self.cycle_momentum and not {"betas", "momentum"} & set(optimizer.defaults):
            raise ValueError(f"{who}: expected an optimizer with momentum or betas for cycle_momentum, "
                             f"got {optimizer.described}")
        if self.cycle_momentum:
            self.use_beta1 = "betas" in optimizer.defaults
        numbers = {name: _for_each(self, name, value, groups) for name, value in (
            ("max_lr", max_lr), ("max_momentum", max_momentum), ("base_momentum", base_momentum))}
        div_factor = number(who, "div_factor", div_factor, 0, open="(")
        final_div_factor = number(who, "final_div_factor", final_div_factor, 0, open="(")
        if last_epoch == -1:
            for n, group in enumerate(groups):
                group["max_lr"] = numbers["max_lr"][n]
                group["initial_lr"] = group["max_lr"] / div_factor
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if self.cycle_momentum:
                    group |= {name: numbers[name][n] for name in ("max_momentum", "base_momentum")}
        super().__init__(optimizer, last_epoch)

    def _length(self, total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
        if total_steps is not None:
            return integer(self.described, "total_steps", total_steps, 1)
        if epochs is None or steps_per_epoch is None:
            raise ValueError(f"{self.described}: expected total_steps, or epochs and steps_per_epoch")
        return (integer(self.described, "epochs", epochs, 1)
                * integer(self.described, "steps_per_epoch", steps_per_epoch, 1))

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"{self.described}: expected at most {self.total_steps} steps, got step {self.last_epoch}")
        phase, share = self._phase()
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                momentum = self._between(group[phase["start_momentum"]], group[phase["end_momentum"]], share)
                group.update({"betas": (momentum, *group["betas"][1:])} if self.use_beta1 else {"momentum": momentum})
        return rates

    def _phase(self) -> tuple[dict[str, Any], float]:
        """The phase of this step, and the share of it that is done."""
        begin = 0.0
        for phase in self._schedule_phases[:-1]:
            if self.last_epoch <= phase["end_step"]:
                break
            begin = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        length = phase["end_step"] - begin
        return phase, (self.last_epoch - begin) / length if length else 1.0

    def _between(self, a: float, b: float, share: float) -> float:
        if self._anneal_func_type == "cos":
            return b + (a - b) / 2 * (math.cos(math.pi * share) + 1)                # (1)
        return (b - a) * share + a                                                  # (2)


def _phases(steps: int, share: float, three: bool) -> list[dict[str, Any]]:
    """When each phase ends, and under which names a group has the numbers that it goes between."""
    ends = [share * steps - 1, *([2 * share * steps - 2] if three else []), steps - 1]
    rates = ["initial_lr", "max_lr", *(["initial_lr"] if three else []), "min_lr"]
    momenta = ["max_momentum", "base_momentum", *["max_momentum"] * (2 if three else 1)]
    return [{"end_step": end, "start_lr": rates[n], "end_lr": rates[n + 1], "start_momentum": momenta[n],
             "end_momentum": momenta[n + 1]} for n, end in enumerate(ends)]


class _ByFunction(LRScheduler):
    """A scheduler from functions of n, one for all groups or one for each."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
                 last_epoch: int = -1) -> None:
        groups = len(_optimizer(self.described, optimizer).param_groups)
        given = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        if len(given) != groups:
            raise ValueError(f"{self.described}: expected {groups} functions as lr_lambda, one for each group, "
                             f"got {len(given)}")
        self.lr_lambdas = [function(self.described, "lr_lambda", each) for each in given]
        super().__init__(optimizer, last_epoch)

    def _factors(self) -> list[float]:
        return [number(self.described, "what lr_lambda gives", each(self.last_epoch)) for each in self.lr_lambdas]

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler`'s; of functions that are objects their attributes, of others nothing."""
        kept = [vars(each).copy() if not isinstance(each, FunctionType) and hasattr(each, "__dict__") else None
                for each in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": kept}

    def _restore(self, state: dict[str, Any]) -> None:
        for each, kept in zip(self.lr_lambdas, state.pop("lr_lambdas"), strict=True):
            if kept is not None:
                vars(each).update(kept)
        super()._restore(state)


class LambdaLR(_ByFunction):
    r"""By a function of your own: \eta_n = \eta_0 f(n).

    Arguments:
        optimizer, last_epoch: see `LRScheduler`.
        lr_lambda: f, or a list with one for each group.

    Raises:
        ValueError: what is no function or gives no number, another number of functions than of groups.
    """

    def get_lr(self) -> list[float]:
        return [lr * factor for lr, factor in zip(self.base_lrs, self._factors(), strict=True)]


class MultiplicativeLR(_ByFunction):
    r"""By a function of your own, from step to step: \eta_n = \eta_{n-1} f(n).

    Arguments and errors: see `LambdaLR`.
    """

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._lrs
        return [lr * factor for lr, factor in zip(self._lrs, self._factors(), strict=True)]


class _Several(LRScheduler):
    """A scheduler that leads others."""

    _schedulers: list[LRScheduler]

    def _take(self, optimizer: Any, schedulers: Sequence[LRScheduler]) -> None:
        """Check the schedulers and keep them."""
        if not isinstance(schedulers, (list, tuple)) or not schedulers:
            raise ValueError(f"{self.described}: expected a list of schedulers, got {schedulers!r}")
        for scheduler in schedulers:
            if not isinstance(scheduler, LRScheduler) or isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{self.described}: expected schedulers whose step needs no metric, got {scheduler!r}")
        self.optimizer = _optimizer(self.described, schedulers[0].optimizer if optimizer is None else optimizer)
        if any(scheduler.optimizer is not self.optimizer for scheduler in schedulers):
            raise ValueError(f"{self.described}: expected schedulers of the same optimizer")
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler`'s, with those of the schedulers."""
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        states = state_dict.get("_schedulers", [])
        if len(states) != len(self._schedulers):
            raise ValueError(f"{self.described}: expected the states of {len(self._schedulers)} schedulers, got {len(states)}")
        super().load_state_dict(state_dict)

    def _restore(self, state: dict[str, Any]) -> None:
        for scheduler, kept in zip(self._schedulers, state.pop("_schedulers"), strict=True):
            scheduler.load_state_dict(kept)
        super()._restore(state)


class SequentialLR(_Several):
    """One scheduler after the other: the k-th takes over at the k-th milestone, and begins there with its own step 0.

    Arguments:
        optimizer: see `LRScheduler`.
        schedulers: of that optimizer, in their order.
        milestones: numbers of steps, one less than schedulers, in rising order.
        last_epoch: as in PyTorch; -1 starts afresh.

    Raises:
        TypeError: no optimizer of `nblayers.optim`.
        ValueError: no schedulers, those of another optimizer, a ReduceLROnPlateau; another number of milestones.
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int],
                 last_epoch: int = -1) -> None:
        self._take(_optimizer(self.described, optimizer), schedulers)
        self._milestones = [integer(self.described, "each of milestones", milestone, 0) for milestone in milestones]
        if len(self._milestones) != len(schedulers) - 1:
            raise ValueError(f"{self.described}: expected a milestone between each two of {len(schedulers)} schedulers, got "
                             f"{len(self._milestones)}")
        self.last_epoch = integer(self.described, "last_epoch", last_epoch, -1) + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._undo(self)
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._begin()                                          # it alone is at step 0
        self._last_lr = first.get_last_lr()

    def _undo(self, scheduler: LRScheduler) -> None:
        """Take back the step that each scheduler did when it was made."""
        if isinstance(scheduler, SequentialLR):
            for each in scheduler._schedulers:
                self._undo(each)
        else:
            scheduler.last_epoch -= 1

    def step(self, epoch: Any = None) -> None:
        """Set the learning rates of step n + 1; `epoch` must be None."""
        _no_epoch(self, epoch)
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[index]
        if index > 0 and self._milestones[index - 1] == self.last_epoch:
            scheduler._set_epoch(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Several):
    """All schedulers at every step.

    Arguments:
        schedulers: of one optimizer.
        optimizer: theirs; by default that of the first.

    Raises:
        ValueError: no schedulers, those of another optimizer, a ReduceLROnPlateau.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._take(optimizer, schedulers)
        self._last_lr = self._lrs

    def step(self, epoch: Any = None) -> None:
        """One step of each scheduler; `epoch` must be None."""
        _no_epoch(self, epoch)
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._lrs


class ReduceLROnPlateau(LRScheduler):
    r"""Smaller when a metric has not become better for more than `patience` steps: \eta = \max(f \eta, \eta_{min}).

    Arguments:
        optimizer: see `LRScheduler`.
        mode: "min" or "max", what is better.
        factor: f, below 1.
        patience: how many steps without an improvement are borne.
        threshold, threshold_mode: by how much a better one differs from the best: best (1 - threshold) for "rel" and "min",
            best - threshold for "abs"; + for "max".
        cooldown: how many steps after a reduction do not count.
        min_lr: \eta_{min}, or a list with one for each group.
        eps: a smaller change is not made.

    Raises:
        TypeError: no optimizer of `nblayers.optim`.
        ValueError: an argument out of range; another number of min_lr than of groups; a metric that is no number.
    """

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
                 threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0,
                 min_lr: float | Sequence[float] = 0, eps: float = 1e-8) -> None:
        who = self.described
        self.optimizer = _optimizer(who, optimizer)
        self.mode = choice(who, "mode", mode, ("min", "max"))
        self.factor = number(who, "factor", factor, 0, 1, ")")
        self.patience = integer(who, "patience", patience, 0)
        self.threshold = number(who, "threshold", threshold)
        self.threshold_mode = choice(who, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = integer(who, "cooldown", cooldown, 0)
        self.min_lrs = _for_each(self, "min_lr", min_lr, optimizer.param_groups)
        self.eps = number(who, "eps", eps, 0)
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self._last_lr = self._lrs

    def step(self, metrics: Any, epoch: int | None = None) -> None:     # type: ignore[override]
        """Look at the metric and reduce the learning rates if it is time.

        Arguments:
            metrics: a number.
            epoch: the number of this step; by default the next one.
        """
        current = as_float(metrics)
        if math.isnan(current) and not _is_nan(metrics):
            raise ValueError(f"{self.described}: expected a number as the metric, got {metrics!r}")
        epoch = optional(integer, self.described, "epoch", epoch)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._lrs

    def _reduce(self) -> None:
        if len(self.min_lrs) != len(self.optimizer.param_groups):
            self.min_lrs = _for_each(self, "min_lr", self.min_lrs[0] if len(set(self.min_lrs)) == 1 else self.min_lrs,
                                     self.optimizer.param_groups)
        for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            reduced = max(group["lr"] * self.factor, low)
            if group["lr"] - reduced > self.eps:
                group["lr"] = reduced

    def _is_better(self, current: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        margin = self.best * (1 + sign * self.threshold) if self.threshold_mode == "rel" else self.best + sign * self.threshold
        return current < margin if self.mode == "min" else current > margin


def _no_epoch(scheduler: LRScheduler, epoch: Any) -> None:
    if epoch is not None:
        raise ValueError(f"{scheduler.described}: expected step() without an epoch, got {epoch!r}")


def _optimizer(who: str, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{who}: expected an optimizer of nblayers.optim, got {optimizer!r}")
    return optimizer


def _for_each(scheduler: LRScheduler, name: str, value: Any, groups: list[Any]) -> list[float]:
    """A number for each group, from one for all or a list."""
    given = list(value) if isinstance(value, (list, tuple)) else [value] * len(groups)
    if len(given) != len(groups):
        raise ValueError(f"{scheduler.described}: expected {len(groups)} numbers as {name}, one for each group, "
                         f"got {len(given)}")
    return [number(scheduler.described, name, each) for each in given]


def _is_nan(metric: Any) -> bool:
    """Whether this is a number that is NaN, as a loss that has diverged is."""
    try:
        return bool(metric != metric)
    except (TypeError, ValueError):
        return False


__all__ = ["ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "ExponentialLR", "LRScheduler",
           "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau",
           "SequentialLR", "StepLR"]
