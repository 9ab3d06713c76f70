"""Gradient descent as PyTorch writes it."""
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from nblayers.arguments import flag, number
from nblayers.optim.optimizer import Optimizer


class SGD(Optimizer):
    r"""Gradient descent, plain or with momentum.

        \theta = \theta - \eta g                    (1)
        b = \mu b + (1 - \tau) g                    (2)   with momentum \mu; b = g in the first step
        \theta = \theta - \eta b                    (3)   in place of (1)
        \theta = \theta - \eta (g + \mu b)          (4)   with nesterov, in place of (3)

    In Keras (`nblayers.optimizers.SGD`) \eta is inside of b; the two differ once \eta changes.

    Arguments:
        params, maximize, weight_decay: see `Optimizer`.
        lr: \eta.
        momentum: \mu; 0 is (1).
        dampening: \tau.
        nesterov: look ahead along b; wants momentum and no dampening.
        foreach, fused: accepted as in PyTorch; they change no result. differentiable must be False.

    Raises:
        ValueError: see `Optimizer`; nesterov without momentum or with dampening.

    Source: torch.optim.SGD; Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    state_names = ("momentum_buffer",)

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0, dampening: float = 0,
                 weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False, foreach: bool | None = None,
                 differentiable: bool = False, fused: bool | None = None) -> None:
        super().__init__(params, dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
                                      nesterov=nesterov, maximize=maximize, foreach=foreach, differentiable=differentiable,
                                      fused=fused))

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        momentum = number(self.described, "momentum", options["momentum"], 0)
        dampening = number(self.described, "dampening", options["dampening"])
        if flag(self.described, "nesterov", options["nesterov"]) and (momentum == 0 or dampening != 0):
            raise ValueError(f"{self.described}: expected a momentum above 0 and dampening 0 with nesterov, got momentum "
                             f"{momentum} and dampening {dampening}")

    def uses(self, name: str, group: Mapping[str, Any]) -> bool:
        return group["momentum"] != 0

    def update(self, room: ModuleType, group: dict[str, Any], t: int, gradient: Any, scale: float, value: Any,
               *state: Any) -> None:
        decay, eta, mu, tau = self.numbers(group, "weight_decay", "lr", "momentum", "dampening")
        if mu == 0:
            room.sgd(gradient, scale, decay, 0.0, eta, value)                               # (1)
            return
        tau = 0.0 if t == 1 else tau                                                        # b = g in (2), where b was 0
        room.pytorch_momentum(gradient, scale, decay, eta, mu, tau, bool(group["nesterov"]), *state, value)     # (2) to (4)
