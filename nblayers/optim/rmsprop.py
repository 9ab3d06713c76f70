"""RMSprop as PyTorch writes it."""
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from nblayers.arguments import flag, number
from nblayers.optim.optimizer import Optimizer


class RMSprop(Optimizer):
    r"""Gradient descent with each step divided by the root of the gradient's mean square so far.

        v = \alpha v + (1 - \alpha) g^2                         (1)
        a = \alpha a + (1 - \alpha) g                           (2)   centered: v - a^2 is the variance; else a = 0
        u = \mu u + g / (\sqrt{v - a^2} + \epsilon)             (3)   \epsilon beside the root; in Keras it is under it
        \theta = \theta - \eta u                                (4)   \eta not in u, as it is in Keras

    Arguments:
        params, maximize, weight_decay: see `Optimizer`.
        lr: \eta.
        alpha: how much of the past the mean square keeps.
        eps: \epsilon, keeps the division finite.
        momentum: \mu; 0 keeps no u.
        centered: divide by the deviation, not the root mean square. Where rounding makes v - a^2 negative, it counts as 0
            (PyTorch gets NaN).
        foreach, capturable: accepted as in PyTorch; they change no result. differentiable must be False.

    Raises:
        ValueError: see `Optimizer`; an alpha outside [0, 1], a negative eps or momentum.

    Source: torch.optim.RMSprop; Tieleman and Hinton 2012, "Lecture 6.5: rmsprop"; Graves 2013, "Generating sequences with
    recurrent neural networks", for (2).
    """

    state_names = ("square_avg", "momentum_buffer", "grad_avg")
    counts_steps = True

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0,
                 momentum: float = 0, centered: bool = False, capturable: bool = False, foreach: bool | None = None,
                 maximize: bool = False, differentiable: bool = False) -> None:
        super().__init__(params, dict(lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered,
                                      weight_decay=weight_decay, capturable=capturable, foreach=foreach, maximize=maximize,
                                      differentiable=differentiable))

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        number(self.described, "alpha", options["alpha"], 0, 1)
        number(self.described, "eps", options["eps"], 0)
        number(self.described, "momentum", options["momentum"], 0)
        flag(self.described, "centered", options["centered"])

    def uses(self, name: str, group: Mapping[str, Any]) -> bool:
        return {"momentum_buffer": group["momentum"] > 0, "grad_avg": bool(group["centered"])}.get(name, True)

    def update(self, room: ModuleType, group: dict[str, Any], t: int, gradient: Any, scale: float, value: Any,
               *state: Any) -> None:
        options = self.numbers(group, "weight_decay", "lr", "alpha", "eps", "momentum")
        room.pytorch_rmsprop(gradient, scale, *options, bool(group["centered"]), *state, value)         # (1) to (4)
