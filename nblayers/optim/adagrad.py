"""Adagrad as PyTorch writes it."""
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from nblayers.arguments import number
from nblayers.optim.optimizer import Optimizer


class Adagrad(Optimizer):
    r"""Gradient descent with each step divided by the root of the sum of all squared gradients.

        \eta_t = \eta / (1 + (t - 1) d)                         (1)   in step t = 1, 2, …
        v = v + g^2                                             (2)
        \theta = \theta - \eta_t g / (\sqrt v + \epsilon)       (3)

    Arguments:
        params, maximize, weight_decay: see `Optimizer`.
        lr: \eta.
        lr_decay: d.
        initial_accumulator_value: v before the first step.
        eps: \epsilon, keeps the division finite.
        foreach, fused: accepted as in PyTorch; they change no result. differentiable must be False.

    `state` holds a parameter's v from its first step on (in PyTorch from the beginning).

    Raises:
        ValueError: see `Optimizer`; a negative lr_decay, initial_accumulator_value or eps.

    Source: torch.optim.Adagrad; Duchi, Hazan and Singer 2011, "Adaptive subgradient methods for online learning and stochastic
    optimization".
    """

    state_names = ("sum",)
    counts_steps = True

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
                 initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
                 maximize: bool = False, differentiable: bool = False, fused: bool | None = None) -> None:
        super().__init__(params, dict(lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay,
                                      initial_accumulator_value=initial_accumulator_value, foreach=foreach, maximize=maximize,
                                      differentiable=differentiable, fused=fused))

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        for name in ("lr_decay", "initial_accumulator_value", "eps"):
            number(self.described, name, options[name], 0)

    def initial(self, group: Mapping[str, Any]) -> float:
        return group["initial_accumulator_value"]

    def update(self, room: ModuleType, group: dict[str, Any], t: int, gradient: Any, scale: float, value: Any,
               *state: Any) -> None:
        decay, eta, d, epsilon = self.numbers(group, "weight_decay", "lr", "lr_decay", "eps")
        room.pytorch_adagrad(gradient, scale, decay, eta / (1 + (t - 1) * d), epsilon, *state, value)   # (1) to (3)
