"""Lion."""
from types import ModuleType
from typing import Any

from nblayers.arguments import number
from nblayers.optimizers.base import Optimizer


class Lion(Optimizer):
    r"""Steps of one size in each coordinate: only the sign of a mean gradient counts. It keeps one array, Adam two.

        c = \beta_1 m + (1 - \beta_1) g                             (1)
        \theta = \theta - \eta \operatorname{sign}(c)              (2)
        m = \beta_2 m + (1 - \beta_2) g                             (3)

    Arguments:
        learning_rate: \eta, 0.001 by default; a third to a tenth of Adam's suits it, and the weight decay as many times
            larger.
        beta_1: how much of the past (1) keeps, in (0, 1].
        beta_2: how much of the past (3) keeps.
        Others as for `Optimizer`.

    Source: Chen et al. 2023, "Symbolic discovery of optimization algorithms", program 1.
    """

    state_names = (("momentum",),)

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = number(self.described, "beta_1", beta_1, 0, 1, "(")
        self.beta_2 = number(self.described, "beta_2", beta_2, 0, 1)

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        room.lion(gradient, scale, decay, step_size, self.beta_1, self.beta_2, *state, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}
