"""Adagrad and Adadelta."""
from types import ModuleType
from typing import Any

from nblayers.arguments import number
from nblayers.optimizers.base import Optimizer
from nblayers.parameter import Parameter


class Adagrad(Optimizer):
    r"""Gradient descent with each step divided by the root of the sum of all squared gradients so far.

        n = n + g^2                                                 (1)   n starts at `initial_accumulator_value`
        \theta = \theta - \eta g / \sqrt{n + \epsilon}             (2)   \epsilon under the root, as in Keras

    What is rarely seen keeps large steps. The steps only ever shrink.

    Arguments:
        learning_rate: \eta, 0.001 by default; larger ones suit this optimizer (1 in the paper's form).
        initial_accumulator_value: the first n, not negative.
        epsilon: keeps the division finite.
        Others as for `Optimizer`.

    Source: Duchi, Hazan and Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization",
    figure 1 with the diagonal matrix.
    """

    state_names = (("accumulator",),)

    def __init__(self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7,
                 **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = number(self.described, "initial_accumulator_value", initial_accumulator_value, 0)
        self.epsilon = number(self.described, "epsilon", epsilon, 0)

    def initial_state(self, state_name: str, parameter: Parameter) -> tuple[tuple[int, ...], float]:
        return parameter.shape, self.initial_accumulator_value

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        room.adagrad(gradient, scale, decay, step_size, self.epsilon, *state, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial_accumulator_value": self.initial_accumulator_value, "epsilon": self.epsilon}


class Adadelta(Optimizer):
    r"""RMSprop whose steps are as large as the steps before: the units of \theta come out right without a learning rate.

        v = \rho v + (1 - \rho) g^2                                                         (1)
        \Delta = \sqrt{d + \epsilon} \, g / \sqrt{v + \epsilon}                              (2)
        d = \rho d + (1 - \rho) \Delta^2                                                    (3)
        \theta = \theta - \eta \Delta                                                      (4)

    Arguments:
        learning_rate: \eta, 0.001 by default as in Keras; 1 in the paper.
        rho: how much of the past the two means keep.
        epsilon: keeps the division finite, and sets the size of the first steps, as d starts at 0.
        Others as for `Optimizer`.

    Source: Zeiler 2012, "ADADELTA: an adaptive learning rate method", algorithm 1.
    """

    state_names = (("accumulated_grad", "accumulated_delta_var"),)

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.rho = number(self.described, "rho", rho, 0, 1)
        self.epsilon = number(self.described, "epsilon", epsilon, 0)

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        room.adadelta(gradient, scale, decay, step_size, self.rho, self.epsilon, *state, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}
