"""Adam, with and without weight decay."""
import math
from types import ModuleType
from typing import Any

from nblayers.arguments import flag, number
from nblayers.optimizers.base import Optimizer


class Adam(Optimizer):
    r"""Steps by the gradient's mean over the root of its mean square, both corrected for starting at 0.

        m = m + (1 - \beta_1) (g - m)                                               (1)
        v = v + (1 - \beta_2) (g^2 - v)                                             (2)
        \alpha_t = \eta \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)                      (3)   in step t = 1, 2, …
        \theta = \theta - \alpha_t m / (\sqrt{v} + \epsilon)                        (4)

    With `amsgrad` (4) has the largest v so far in place of v. \epsilon stands outside the root, and the correction is in
    \alpha_t: the paper's "epsilon hat", end of its section 2.

    Arguments:
        learning_rate: \eta, 0.001 by default.
        beta_1, beta_2: how much of the past m and v keep, in [0, 1).
        epsilon: keeps the division finite.
        amsgrad: never let the step grow again.
        Others as for `Optimizer`.

    Source: Kingma and Ba 2015, "Adam: a method for stochastic optimization"; Reddi, Kale and Kumar 2018, "On the convergence of
    Adam and beyond".
    """

    state_names = (("momentum", "velocity"), ("velocity_hat",))

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
                 amsgrad: bool = False, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = number(self.described, "beta_1", beta_1, 0, 1, ")")
        self.beta_2 = number(self.described, "beta_2", beta_2, 0, 1, ")")
        self.epsilon = number(self.described, "epsilon", epsilon, 0)
        self.amsgrad = flag(self.described, "amsgrad", amsgrad)

    def uses(self, state_name: str) -> bool:
        return self.amsgrad or state_name != "velocity_hat"

    def step_size(self, learning_rate: float, t: int) -> float:
        return learning_rate * math.sqrt(1 - self.beta_2 ** t) / (1 - self.beta_1 ** t)     # (3)

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        room.adam(gradient, scale, 0.0, decay, step_size, self.beta_1, self.beta_2, self.epsilon, self.amsgrad, *state,
                  value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon,
                "amsgrad": self.amsgrad}


class AdamW(Adam):
    r"""Adam with a weight decay that is not part of the gradient, and so is not divided by its size.

        \theta = \theta - \eta \lambda \theta                                              (1)   then Adam's (1) to (4)

    Every optimizer here decays weights like that if asked to; this one does by default. In the paper (algorithm 2, line 12)
    \lambda is multiplied by the schedule's factor alone, here (as in Keras and PyTorch) by the learning rate.

    Arguments:
        learning_rate: \eta, 0.001 by default.
        weight_decay: \lambda, 0.004 by default; not None.
        Others as for `Adam`.

    Source: Loshchilov and Hutter 2019, "Decoupled weight decay regularization", algorithm 2.
    """

    def __init__(self, learning_rate: Any = 0.001, weight_decay: float = 0.004, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-7, amsgrad: bool = False, **options: Any) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options)
        number(self.described, "weight_decay", weight_decay, 0)
