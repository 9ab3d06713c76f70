"""RMSprop."""
from types import ModuleType
from typing import Any

from nblayers.arguments import flag, number
from nblayers.optimizers.base import Optimizer


class RMSprop(Optimizer):
    r"""Gradient descent with each step divided by the root of the gradient's mean square so far.

        v = \rho v + (1 - \rho) g^2                             (1)
        a = \rho a + (1 - \rho) g                               (2)   centered: v - a^2 is the variance; else a = 0
        u = \mu u + \eta g / \sqrt{v - a^2 + \epsilon}          (3)   \epsilon under the root, as in Keras
        \theta = \theta - u                                     (4)

    There is no correction for v starting at 0, so the first steps are about \sqrt{1 / (1 - \rho)} times too long.

    Arguments:
        learning_rate: \eta, 0.001 by default.
        rho: how much of the past the mean square keeps.
        momentum: \mu; 0 keeps no u.
        epsilon: keeps the division finite.
        centered: divide by the deviation, not the root mean square. Where rounding makes v - a^2 negative, it counts as 0
            (Keras gets NaN once it is below -\epsilon).
        Others as for `Optimizer`.

    Source: Tieleman and Hinton 2012, "Lecture 6.5: rmsprop"; (2) and the momentum: Graves 2013, "Generating sequences with
    recurrent neural networks", section 4.2.
    """

    state_names = (("velocity",), ("momentum",), ("average_gradient",))

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7,
                 centered: bool = False, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.rho = number(self.described, "rho", rho, 0, 1)
        self.momentum = number(self.described, "momentum", momentum, 0, 1)
        self.epsilon = number(self.described, "epsilon", epsilon, 0)
        self.centered = flag(self.described, "centered", centered)

    def uses(self, state_name: str) -> bool:
        return {"momentum": self.momentum > 0, "average_gradient": self.centered}.get(state_name, True)

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        room.rmsprop(gradient, scale, decay, step_size, self.rho, self.epsilon, self.momentum, self.centered, *state, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon,
                "centered": self.centered}
