"""Lamb."""
from types import ModuleType
from typing import Any

import numpy as np

from nblayers.arguments import number
from nblayers.optimizers.base import Optimizer


class Lamb(Optimizer):
    r"""Adam whose step in each parameter is as long as the parameter's values, times \eta: for very large batches.

        m = m + (1 - \beta_1) (g - m)                                                               (1)
        v = v + (1 - \beta_2) (g^2 - v)                                                             (2)
        r = m / (1 - \beta_1^t) / (\sqrt{v / (1 - \beta_2^t)} + \epsilon)                           (3)   in step t = 1, 2, …
        \theta = \theta - \eta r \lVert\theta\rVert / \lVert r\rVert                                (4)

    Where one of the two norms is 0 their ratio counts as 1. The paper adds \lambda \theta to r before (4); here, as in Keras,
    weight decay comes before all and has no part in the norm of r.

    Arguments:
        learning_rate: \eta, 0.001 by default.
        beta_1, beta_2: how much of the past m and v keep, in [0, 1).
        epsilon: keeps the division finite.
        Others as for `Optimizer`.

    Source: You et al. 2020, "Large batch optimization for deep learning: training BERT in 76 minutes", algorithm 2.
    """

    state_names = (("momentum", "velocity"),)

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
                 **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = number(self.described, "beta_1", beta_1, 0, 1, ")")
        self.beta_2 = number(self.described, "beta_2", beta_2, 0, 1, ")")
        self.epsilon = number(self.described, "epsilon", epsilon, 0)

    def step_size(self, learning_rate: float, t: int) -> tuple[float, float, float]:
        """The learning rate, and the factors of m and of v in (3)."""
        return learning_rate, 1 / (1 - self.beta_1 ** t), 1 / (1 - self.beta_2 ** t)

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: tuple[float, float, float],
               value: Any, *state: Any) -> None:
        sums = np.zeros_like(value, shape=2)
        room.lamb(gradient, scale, decay, *step_size, self.beta_1, self.beta_2, self.epsilon, *state, sums, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
