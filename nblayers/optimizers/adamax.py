"""Adamax."""
from types import ModuleType
from typing import Any

from nblayers.arguments import number
from nblayers.optimizers.base import Optimizer


class Adamax(Optimizer):
    r"""Adam with the largest gradient, slowly forgotten, in place of the root of the mean square.

        m = m + (1 - \beta_1) (g - m)                               (1)
        u = \max(\beta_2 u, |g|)                                    (2)
        \alpha_t = \eta / (1 - \beta_1^t)                           (3)   in step t = 1, 2, …; u needs no correction
        \theta = \theta - \alpha_t m / (u + \epsilon)               (4)   the paper has no \epsilon

    Arguments:
        learning_rate: \eta, 0.001 by default.
        beta_1, beta_2: how much of the past m and u keep, \beta_1 in [0, 1).
        epsilon: keeps the division finite.
        Others as for `Optimizer`.

    Source: Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 2.
    """

    state_names = (("momentum", "norm"),)

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
                 **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = number(self.described, "beta_1", beta_1, 0, 1, ")")
        self.beta_2 = number(self.described, "beta_2", beta_2, 0, 1)
        self.epsilon = number(self.described, "epsilon", epsilon, 0)

    def step_size(self, learning_rate: float, t: int) -> float:
        return learning_rate / (1 - self.beta_1 ** t)                       # (3)

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        room.adamax(gradient, scale, decay, step_size, self.beta_1, self.beta_2, self.epsilon, *state, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
