"""Adam and AdamW as PyTorch writes them."""
import math
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from nblayers.arguments import flag, number
from nblayers.optim.optimizer import Optimizer


class Adam(Optimizer):
    r"""Steps by the gradient's mean over the root of its mean square, both corrected for starting at 0.

        m = \beta_1 m + (1 - \beta_1) g                                                     (1)
        v = \beta_2 v + (1 - \beta_2) g^2                                                   (2)
        \hat m = m / (1 - \beta_1^t),  \hat v = v / (1 - \beta_2^t)                         (3)   in step t = 1, 2, …
        \theta = \theta - \eta \hat m / (\sqrt{\hat v} + \epsilon)                          (4)

    With `amsgrad` (3) has the largest v so far in place of v.

    Keras adds \epsilon to \sqrt v, not to \sqrt{\hat v}. With r = \sqrt{1 - \beta_2^t} one is the other for another number, and
    one kernel serves both:

        \theta = \theta - \frac{\eta r}{1 - \beta_1^t} \frac{m}{\sqrt v + \epsilon r}       (5)   (4) times r over r

    Arguments:
        params, maximize: see `Optimizer`.
        lr: \eta.
        betas: (\beta_1, \beta_2), how much of the past m and v keep; each in [0, 1).
        eps: \epsilon, keeps the division finite.
        weight_decay: \lambda of an L2 penalty, which enters m and v.
        amsgrad: never let the step grow again.
        decoupled_weight_decay: take the weight decay as `AdamW` does.
        foreach, fused, capturable: accepted as in PyTorch; they change no result. differentiable must be False.

    Raises:
        ValueError: see `Optimizer`; a beta outside [0, 1), a negative eps.

    Source: torch.optim.Adam; Kingma and Ba 2015, "Adam: a method for stochastic optimization"; Reddi, Kale and Kumar 2018, "On
    the convergence of Adam and beyond".
    """

    state_names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    counts_steps = True

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None, maximize: bool = False,
                 capturable: bool = False, differentiable: bool = False, fused: bool | None = None,
                 decoupled_weight_decay: bool = False) -> None:
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
                                      maximize=maximize, foreach=foreach, capturable=capturable, differentiable=differentiable,
                                      fused=fused, decoupled_weight_decay=decoupled_weight_decay))

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        betas = options["betas"]
        if not isinstance(betas, (list, tuple)) or len(betas) != 2:
            raise ValueError(f"{self.described}: expected betas as two numbers, got {betas!r}")
        for beta in betas:
            number(self.described, "each of betas", beta, 0, 1, ")")
        number(self.described, "eps", options["eps"], 0)
        flag(self.described, "amsgrad", options["amsgrad"])
        flag(self.described, "decoupled_weight_decay", options["decoupled_weight_decay"])

    def uses(self, name: str, group: Mapping[str, Any]) -> bool:
        return group["amsgrad"] or name != "max_exp_avg_sq"

    def update(self, room: ModuleType, group: dict[str, Any], t: int, gradient: Any, scale: float, value: Any,
               *state: Any) -> None:
        eta, epsilon, decay = self.numbers(group, "lr", "eps", "weight_decay")
        beta_1, beta_2 = map(float, group["betas"])
        l2, shrink = (0.0, eta * decay) if group["decoupled_weight_decay"] else (decay, 0.0)
        r = math.sqrt(1 - beta_2 ** t)
        step_size = eta * r / (1 - beta_1 ** t)
        room.adam(gradient, scale, l2, shrink, step_size, beta_1, beta_2, epsilon * r, bool(group["amsgrad"]), *state,
                  value)                                                                    # (5)


class AdamW(Adam):
    r"""Adam with the weight decay apart from the gradient: before (4) of `Adam`

        \theta = \theta - \eta \lambda \theta

    Arguments and errors: see `Adam`; \lambda is 0.01 by default.

    Source: torch.optim.AdamW; Loshchilov and Hutter 2019, "Decoupled weight decay regularization".
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False, foreach: bool | None = None,
                 capturable: bool = False, differentiable: bool = False, fused: bool | None = None) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
                         capturable=capturable, differentiable=differentiable, fused=fused, decoupled_weight_decay=True)
