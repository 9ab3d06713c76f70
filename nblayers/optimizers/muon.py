"""Muon."""
import math
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from nblayers.arguments import flag, integer, number, optional, text
from nblayers.optimizers.base import Optimizer
from nblayers.optimizers.rooms import squared_norm
from nblayers.parameter import Parameter


class Muon(Optimizer):
    r"""For matrices: the mean gradient with all its singular values brought near 1. For all else: AdamW.

        m = \mu m + g                                                                           (1)
        X = g + \mu m                                                                           (2)   nesterov; else X = m
        X = X / (\lVert X \rVert + 10^{-7})                                                     (3)
        A = X X^T,  X = (a I + b A + c A^2) X                                                   (4)   `ns_steps` times
        \theta = \theta - \eta \kappa \sqrt{\max(n, k)} X                                       (5)   \theta: (n, k)

    (4) is an iteration of Newton's and Schulz' kind: it maps each singular value s to a s + b s^3 + c s^5 and leaves the
    directions as they are. It is done on the shorter side: where n > k, A = X^T X stands behind X. Without `rms_rate` the
    factor \kappa \sqrt{\max(n, k)} is 1.

    A parameter that is no matrix takes Adam's step (`Adam`, (1) to (4)), as does one with "embedding" in its path, and one
    whose path an expression of `exclude_layers` matches: name the output layer there.

    Arguments:
        learning_rate: \eta, 0.001 by default.
        adam_beta_1, adam_beta_2, epsilon: as in `Adam`.
        adam_weight_decay, weight_decay: \lambda of `Optimizer` for those that take Adam's step, and for the others.
        exclude_layers: regular expressions.
        exclude_embeddings: whether "embedding" in a path counts.
        muon_a, muon_b, muon_c: a, b and c.
        adam_lr_ratio: Adam's learning rate over \eta.
        momentum: \mu.
        ns_steps: how often (4) is done.
        nesterov: look ahead.
        rms_rate: \kappa, which makes the steps as large as Adam's (Liu et al. 2025); None for none.
        Others as for `Optimizer`.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; Liu et al. 2025, "Muon is scalable
    for LLM training", (4).
    """

    state_names = (("momentum", "velocity"),)

    def __init__(self, learning_rate: Any = 0.001, adam_beta_1: float = 0.9, adam_beta_2: float = 0.999,
                 adam_weight_decay: float | None = 0.004, epsilon: float = 1e-7, weight_decay: float | None = 0.004, *,
                 exclude_layers: Sequence[str] | None = None, exclude_embeddings: bool = True, muon_a: float = 3.4445,
                 muon_b: float = -4.7750, muon_c: float = 2.0315, adam_lr_ratio: float = 1, momentum: float = 0.95,
                 ns_steps: int = 5, nesterov: bool = True, rms_rate: float | None = 0.2, **options: Any) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **options)
        who = self.described
        self.adam_beta_1 = number(who, "adam_beta_1", adam_beta_1, 0, 1, ")")
        self.adam_beta_2 = number(who, "adam_beta_2", adam_beta_2, 0, 1, ")")
        self.adam_weight_decay = optional(number, who, "adam_weight_decay", adam_weight_decay, 0)
        self.epsilon = number(who, "epsilon", epsilon, 0)
        if isinstance(exclude_layers, str) or not isinstance(exclude_layers or [], Sequence):
            raise ValueError(f"{who}: expected exclude_layers as a list of strings, got {exclude_layers!r}")
        self.exclude_layers = [text(who, "each of exclude_layers", name) for name in exclude_layers or []]
        self.exclude_embeddings = flag(who, "exclude_embeddings", exclude_embeddings)
        self.muon_a = number(who, "muon_a", muon_a)
        self.muon_b = number(who, "muon_b", muon_b)
        self.muon_c = number(who, "muon_c", muon_c)
        self.adam_lr_ratio = number(who, "adam_lr_ratio", adam_lr_ratio, 0)
        self.momentum = number(who, "momentum", momentum, 0, 1)
        self.ns_steps = integer(who, "ns_steps", ns_steps, 0)
        self.nesterov = flag(who, "nesterov", nesterov)
        self.rms_rate = optional(number, who, "rms_rate", rms_rate)

    def _takes_adam(self, parameter: Parameter) -> bool:
        named = self.exclude_embeddings and "embedding" in parameter.path.lower()
        return len(parameter.shape) != 2 or named or any(re.search(name, parameter.path) for name in self.exclude_layers)

    def initial_state(self, state_name: str, parameter: Parameter) -> tuple[tuple[int, ...], float] | None:
        return (parameter.shape, 0.0) if state_name == "momentum" or self._takes_adam(parameter) else None

    def _decay_of(self, parameter: Parameter) -> float | None:
        return self.adam_weight_decay if self._takes_adam(parameter) else self.weight_decay

    def step_size(self, learning_rate: float, t: int) -> tuple[float, float]:
        """The learning rate, and Adam's with its bias correction."""
        correction = math.sqrt(1 - self.adam_beta_2 ** t) / (1 - self.adam_beta_1 ** t)
        return learning_rate, learning_rate * self.adam_lr_ratio * correction

    def _change_one(self, room: ModuleType, parameter: Parameter, slot: Any, gradient: Any, scale: float, decay: float,
                    step_size: tuple[float, float]) -> None:
        learning_rate, adam_step = step_size
        m, v = slot.state
        if self._takes_adam(parameter):
            room.optimizers.adam(gradient, scale, 0.0, decay, adam_step, self.adam_beta_1, self.adam_beta_2, self.epsilon,
                                 False, m, v, v[:0], slot.flat_value)
            return
        x = np.empty_like(m)
        room.optimizers.muon_direction(gradient, scale, self.momentum, self.nesterov, m, x)                 # (1), (2)
        x /= math.sqrt(squared_norm(room.optimizers, x)) + 1e-7                                             # (3)
        x = self._orthogonal(room, x.reshape(parameter.shape)).reshape(-1)
        length = 1.0 if self.rms_rate is None else self.rms_rate * math.sqrt(max(parameter.shape))
        room.optimizers.sgd(x, 1.0, 0.0, decay, learning_rate * length, slot.flat_value)                         # (5)

    def _orthogonal(self, room: ModuleType, x: Any) -> Any:
        """(4), as often as `ns_steps` says."""
        is_tall = x.shape[0] > x.shape[1]
        side = min(x.shape)
        a, square = (np.empty_like(x, shape=(side, side)) for _ in range(2))
        product = np.empty_like(x)
        for _ in range(self.ns_steps):
            room.matmul.matmul(x, x, is_tall, not is_tall, False, a)
            room.matmul.matmul(a, a, False, False, False, square)
            room.optimizers.quintic(a, self.muon_a, self.muon_b, self.muon_c, square)
            first, second = (x, square) if is_tall else (square, x)
            room.matmul.matmul(first, second, False, False, False, product)
            x, product = product, x
        return x

    def get_config(self) -> dict[str, Any]:
        names = ("adam_beta_1", "adam_beta_2", "epsilon", "exclude_layers", "muon_a", "muon_b", "muon_c", "adam_lr_ratio",
                 "momentum", "ns_steps", "nesterov", "exclude_embeddings", "adam_weight_decay", "rms_rate")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
