"""Nadam."""
from types import ModuleType
from typing import Any

import numpy as np

from nblayers.arguments import number
from nblayers.optimizers.base import Optimizer


class Nadam(Optimizer):
    r"""Adam with Nesterov's momentum: the present gradient counts once more, the mean as it will be in the next step.

        \mu_t = \beta_1 (1 - 0.96^t / 2),  U_t = \mu_1 \mu_2 \cdots \mu_t                                 (1)   t = 1, 2, …
        m = m + (1 - \beta_1) (g - m)                                                                  (2)
        v = v + (1 - \beta_2) (g^2 - v)                                                                (3)
        \hat m = \mu_{t+1} m / (1 - U_{t+1}) + (1 - \mu_t) g / (1 - U_t)                               (4)
        \theta = \theta - \eta \hat m / (\sqrt{v / (1 - \beta_2^t)} + \epsilon)                         (5)

    Keras 3 has t in the exponent of (1), so \mu_t reaches \beta_1 within some hundred steps; the paper, Keras 2 and PyTorch
    have t / 250. The paper has \mu_t for \beta_1 in (2) too.

    Arguments:
        learning_rate: \eta, 0.001 by default.
        beta_1, beta_2: how much of the past m and v keep, in [0, 1).
        epsilon: keeps the division finite.
        Others as for `Optimizer`.

    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam", algorithm 2.
    """

    state_names = (("momentum", "velocity"),)

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
                 **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = number(self.described, "beta_1", beta_1, 0, 1, ")")
        self.beta_2 = number(self.described, "beta_2", beta_2, 0, 1, ")")
        self.epsilon = number(self.described, "epsilon", epsilon, 0)
        self._product = np.ones(())                                         # U

    def _momentum(self, t: int) -> float:
        return self.beta_1 * (1 - 0.5 * 0.96 ** t)                          # (1)

    def _product_at(self, t: int) -> float:
        """U_t from U_{t-1}, which is kept."""
        return self._momentum(t) * (1.0 if t == 1 else float(self._product))

    def step_size(self, learning_rate: float, t: int) -> tuple[float, float, float]:
        """The factors of m, of g and of v in (4) and (5), with the learning rate."""
        now, following, product = self._momentum(t), self._momentum(t + 1), self._product_at(t)
        return (learning_rate * following / (1 - product * following), learning_rate * (1 - now) / (1 - product),
                1 / (1 - self.beta_2 ** t))

    def _change(self, *arguments: Any) -> None:
        super()._change(*arguments)
        self._product[...] = self._product_at(self.iterations + 1)

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: tuple[float, float, float],
               value: Any, *state: Any) -> None:
        room.nadam(gradient, scale, decay, *step_size, self.beta_1, self.beta_2, self.epsilon, *state, value)

    def _shared_state(self) -> list[tuple[str, Any]]:
        return [("variable", self._product)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
