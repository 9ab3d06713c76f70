"""Gradient descent."""
from types import ModuleType
from typing import Any

from nblayers.arguments import flag, number
from nblayers.optimizers.base import Optimizer


class SGD(Optimizer):
    r"""Gradient descent, plain or with momentum.

        \theta = \theta - \eta g                    (1)
        u = \mu u - \eta g                          (2)   with momentum \mu, in place of (1)
        \theta = \theta + u                         (3)
        \theta = \theta + \mu u - \eta g            (4)   with nesterov, in place of (3)

    Arguments:
        learning_rate: \eta, 0.01 by default.
        momentum: \mu in [0, 1]; 0 is (1).
        nesterov: look ahead along u.
        Others as for `Optimizer`.

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", (1) to (4); there \theta
    is where we look from, here (as in Keras) where we look at.
    """

    state_names = (("momentum",),)

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.momentum = number(self.described, "momentum", momentum, 0, 1)
        self.nesterov = flag(self.described, "nesterov", nesterov)

    def uses(self, state_name: str) -> bool:
        return self.momentum != 0

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        if self.momentum == 0:
            room.sgd(gradient, scale, 0.0, decay, step_size, value)
        else:
            room.sgd_momentum(gradient, scale, decay, step_size, self.momentum, self.nesterov, *state, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}
