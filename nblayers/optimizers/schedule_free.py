"""ScheduleFreeAdamW."""
from types import ModuleType
from typing import Any

from nblayers.arguments import integer, number
from nblayers.optimizers.base import Optimizer
from nblayers.parameter import Parameter


class ScheduleFreeAdamW(Optimizer):
    r"""Adam without momentum on a sequence z, of whose mean x the values are a mixture with z: no schedule is needed.

        v = v + (1 - \beta_2) (g^2 - v)                                                         (1)
        x = (\theta - (1 - \beta_1) z) / \beta_1                                                (2)   z starts at \theta
        z = z - \eta_t g / (\sqrt{v / (1 - \beta_2^t)} + \epsilon)                             (3)   in step t = 1, 2, …
        x = (1 - 1/t) x + z / t                                                                 (4)
        \theta = (1 - \beta_1) z + \beta_1 x                                                    (5)
        \eta_t = \eta \min(1, t / w)                                                           (6)   w: `warmup_steps`, if any

    The values are those of (5), at which the gradient is taken. The paper judges a model by x, which Keras leaves out.

    Arguments:
        learning_rate: \eta, 0.0025 by default.
        beta_1: the share of x, in (0, 1].
        beta_2: how much of the past v keeps, in [0, 1).
        epsilon: keeps the division finite.
        warmup_steps: w.
        Others as for `Optimizer`.

    Source: Defazio et al. 2024, "The road less scheduled", algorithm 1, with equal weights in (4).
    """

    state_names = (("momentum", "velocity"),)

    def __init__(self, learning_rate: Any = 0.0025, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8,
                 warmup_steps: int = 0, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1 = number(self.described, "beta_1", beta_1, 0, 1, "(")
        self.beta_2 = number(self.described, "beta_2", beta_2, 0, 1, ")")
        self.epsilon = number(self.described, "epsilon", epsilon, 0)
        self.warmup_steps = integer(self.described, "warmup_steps", warmup_steps, 0)

    def initial_state(self, state_name: str, parameter: Parameter) -> tuple[tuple[int, ...], Any]:
        return parameter.shape, parameter.value if state_name == "momentum" else 0.0

    def step_size(self, learning_rate: float, t: int) -> tuple[float, float, float]:
        """\\eta_t, the weight in (4), and the factor of v in (3)."""
        warm = min(1.0, t / self.warmup_steps) if self.warmup_steps else 1.0                # (6)
        return learning_rate * warm, 1 / t, 1 / (1 - self.beta_2 ** t)

    def update(self, room: ModuleType, gradient: Any, scale: float, decay: float, step_size: tuple[float, float, float],
               value: Any, *state: Any) -> None:
        room.schedule_free_adam(gradient, scale, decay, *step_size, self.beta_1, self.beta_2, self.epsilon, *state, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon,
                "warmup_steps": self.warmup_steps}
