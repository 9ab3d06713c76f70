"""Adafactor."""
import math
from types import ModuleType
from typing import Any

import numpy as np

from nblayers.arguments import flag, number
from nblayers.optimizers.base import Optimizer
from nblayers.parameter import Parameter


class Adafactor(Optimizer):
    r"""Steps by the gradient over the root of its mean square, which for a matrix is made of the means of rows and columns.

    With i the last axis but one of \theta, j the last, and every other axis apart:

        \beta_t = 1 - t^{\gamma},  \rho_t = \min(\eta, 1 / \sqrt t)                             (1)   in step t = 1, 2, …
        r_i = \beta_t r_i + (1 - \beta_t) \operatorname{mean}_j(g_{ij}^2 + \epsilon_1)           (2)
        c_j = \beta_t c_j + (1 - \beta_t) \operatorname{mean}_i(g_{ij}^2 + \epsilon_1)           (3)
        v_{ij} = r_i c_j / \operatorname{mean}_i(r_i)                                            (4)
        v = \beta_t v + (1 - \beta_t) (g^2 + \epsilon_1)                     (5)   a vector or a number, in place of (2) to (4)
        u = g / \sqrt{v}                                                                       (6)
        \theta = \theta - \max(\epsilon_2, \operatorname{rms}(\theta)) \rho_t u / \max(1, \operatorname{rms}(u) / d)       (7)

    v is made of r and c in each step; it is kept all the same, as in Keras, whose files hold it, so less memory is saved than
    the paper promises.

    Arguments:
        learning_rate: \eta, 0.001 by default; 0.01 in the paper.
        beta_2_decay: \gamma, not above 0.
        epsilon_1, epsilon_2: keep the division finite, and the steps of a small \theta large enough.
        clip_threshold: d, the bound of the update's root mean square; `clipnorm` and its kin clip the gradient.
        relative_step: kept for `get_config`: it changes nothing, as in Keras, where (1) holds with it and without it.
        Others as for `Optimizer`.

    Source: Shazeer and Stern 2018, "Adafactor: adaptive learning rates with sublinear memory cost", algorithms 4 and 5.
    """

    state_names = (("r", "c", "velocity"),)

    def __init__(self, learning_rate: Any = 0.001, beta_2_decay: float = -0.8, epsilon_1: float = 1e-30,
                 epsilon_2: float = 1e-3, clip_threshold: float = 1.0, relative_step: bool = True, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.beta_2_decay = number(self.described, "beta_2_decay", beta_2_decay, high=0)
        self.epsilon_1 = number(self.described, "epsilon_1", epsilon_1, 0)
        self.epsilon_2 = number(self.described, "epsilon_2", epsilon_2, 0)
        self.clip_threshold = number(self.described, "clip_threshold", clip_threshold, 0, open="(")
        self.relative_step = flag(self.described, "relative_step", relative_step)

    def initial_state(self, state_name: str, parameter: Parameter) -> tuple[tuple[int, ...], Any]:
        shape = parameter.shape
        if state_name == "velocity":
            return shape, 0.0
        if len(shape) < 2:
            return (), 0                                                    # a place is kept for it, as in Keras
        return shape[:-1] if state_name == "r" else (*shape[:-2], shape[-1]), 0.0

    def step_size(self, learning_rate: float, t: int) -> tuple[float, float]:
        """The two of (1)."""
        return min(learning_rate, 1 / math.sqrt(t)), 1 - t ** self.beta_2_decay

    def _change_one(self, room: ModuleType, parameter: Parameter, slot: Any, gradient: Any, scale: float, decay: float,
                    step_size: tuple[float, float]) -> None:
        numbers = scale, decay, *step_size, self.epsilon_1, self.epsilon_2, self.clip_threshold
        r, c, v = slot.state
        sums = np.zeros_like(slot.flat_value, shape=2)
        if len(parameter.shape) < 2:
            room.optimizers.adafactor_vector(gradient, *numbers, v, sums, slot.flat_value)
            return
        shape = rows, columns = parameter.shape[-2:]
        means = np.zeros_like(slot.flat_value, shape=r.size // rows)
        room.optimizers.adafactor_matrix(gradient.reshape(-1, *shape), *numbers, r.reshape(-1, rows), c.reshape(-1, columns),
                                         v.reshape(-1, *shape), means, sums, slot.flat_value.reshape(-1, *shape))

    def get_config(self) -> dict[str, Any]:
        names = "beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
