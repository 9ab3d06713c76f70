"""Ftrl."""
from types import ModuleType
from typing import Any

from nblayers.arguments import number
from nblayers.optimizers.base import Optimizer
from nblayers.parameter import Parameter


class Ftrl(Optimizer):
    r"""Follow the regularized leader: for wide, sparse linear models, of which it makes most weights exactly 0.

        n' = n + g^2                                                                     (1)   p: -`learning_rate_power`
        z = z + g + 2 \lambda_s \theta - (n'^p - n^p) \theta / \eta                      (2)
        \theta = (\max(-\lambda_1, \min(z, \lambda_1)) - z) / ((\beta + n'^p) / \eta + 2 \lambda_2)   (3)
        n = n'                                                                          (4)

    So \theta is 0 where |z| \le \lambda_1 (Keras gets NaN there if the divisor is 0 too). The paper's \lambda_2 is twice ours.

    Arguments:
        learning_rate: \eta, above 0, 0.001 by default.
        learning_rate_power: -p, not above 0; 0 for a learning rate that stays.
        initial_accumulator_value: the first n, not negative.
        l1_regularization_strength: \lambda_1.
        l2_regularization_strength: \lambda_2.
        l2_shrinkage_regularization_strength: \lambda_s, a penalty added to the loss; the other two only steady the steps.
        beta: \beta.
        Others as for `Optimizer`.

    Source: McMahan et al. 2013, "Ad click prediction: a view from the trenches", algorithm 1.
    """

    state_names = (("accumulator", "linear"),)

    def __init__(self, learning_rate: Any = 0.001, learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
                 l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0,
                 l2_shrinkage_regularization_strength: float = 0.0, beta: float = 0.0, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        who = self.described
        self.learning_rate_power = number(who, "learning_rate_power", learning_rate_power, high=0)
        self.initial_accumulator_value = number(who, "initial_accumulator_value", initial_accumulator_value, 0)
        self.l1_regularization_strength = number(who, "l1_regularization_strength", l1_regularization_strength, 0)
        self.l2_regularization_strength = number(who, "l2_regularization_strength", l2_regularization_strength, 0)
        self.l2_shrinkage_regularization_strength = number(who, "l2_shrinkage_regularization_strength",
                                                           l2_shrinkage_regularization_strength, 0)
        self.beta = number(who, "beta", beta, 0)

    def initial_state(self, state_name: str, parameter: Parameter) -> tuple[tuple[int, ...], float]:
        return parameter.shape, self.initial_accumulator_value if state_name == "accumulator" else 0.0

    def step_size(self, learning_rate: float, t: int) -> float:
        return number(self.described, "learning_rate", learning_rate, 0, open="(")

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: float, value: Any,
               *state: Any) -> None:
        room.ftrl(gradient, scale, decay, step_size, -self.learning_rate_power, self.l1_regularization_strength,
                  self.l2_regularization_strength, self.l2_shrinkage_regularization_strength, self.beta, *state, value)

    def get_config(self) -> dict[str, Any]:
        names = ("learning_rate_power", "initial_accumulator_value", "l1_regularization_strength",
                 "l2_regularization_strength", "l2_shrinkage_regularization_strength", "beta")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
