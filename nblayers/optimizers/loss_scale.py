"""LossScaleOptimizer."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from nblayers import serialization
from nblayers.arguments import integer, number
from nblayers.optimizers.base import Optimizer
from nblayers.optimizers.wrapping import Wrapping
from nblayers.parameter import Parameter

_SMALLEST_SCALE, _LARGEST_SCALE = 2.0 ** -126, 2.0 ** 127
# what Keras once wrote into the configuration, and has no effect
_WITHOUT_EFFECT = {"weight_decay": None, "clipnorm": None, "global_clipnorm": None, "clipvalue": None, "use_ema": False,
                   "ema_momentum": 0.99, "ema_overwrite_frequency": None, "loss_scale_factor": None,
                   "gradient_accumulation_steps": None}


class LossScaleOptimizer(Wrapping):
    r"""Multiplies the loss by a scale s that follows the gradients, so that small ones do not vanish in half precision.

    With g the gradients of the scaled loss, a step is

        s = s / 2, k = 0, and nothing else                          (1)   where a number of g is not finite
        the inner optimizer's, by g / s; k = k + 1                  (2)   else
        s = 2 s, k = 0                                              (3)   after (2), where k = `dynamic_growth_steps`

        optimizer = LossScaleOptimizer(Adam(1e-3))
        ...                                             # backward from optimizer.scale_loss(dloss)
        optimizer.apply(gradients, parameters)

    `fit` and `step` have gradients of the loss as it is, in single or double precision: there g in (1) is s times them, so that
    s goes the way that it goes in Keras, and a step with NaN or infinity in its gradients is left out. s stays among the
    positive numbers of single precision; in Keras it can become 0 or infinite, and then no step is ever done again.

    Arguments:
        inner_optimizer: does the steps; its `loss_scale_factor` is set to None.
        initial_scale: the first s, above 0.
        dynamic_growth_steps: after so many steps in a row with finite gradients s is doubled.
        name: by default "loss_scale_optimizer", numbered.

    Attributes:
        dynamic_scale: s.
        step_counter: k.
        learning_rate, iterations: those of the inner optimizer.

    Raises:
        ValueError: an argument out of range, or one that belongs to the inner optimizer.
        TypeError: no optimizer, or an argument that the optimizer does not know.

    Source: Micikevicius et al. 2018, "Mixed precision training", section 3.2; keras.optimizers.LossScaleOptimizer.
    """

    def __init__(self, inner_optimizer: Optimizer, initial_scale: float = 2.0 ** 15, dynamic_growth_steps: int = 2000,
                 name: str | None = None, **options: Any) -> None:
        if not isinstance(inner_optimizer, Optimizer) or isinstance(inner_optimizer, LossScaleOptimizer):
            raise TypeError(f"LossScaleOptimizer: expected inner_optimizer to be another optimizer, got {inner_optimizer!r}")
        if not options.pop("dynamic", True):
            raise ValueError("LossScaleOptimizer: expected dynamic to be True: for a scale that stays give the inner optimizer "
                             "a loss_scale_factor")
        for argument in _WITHOUT_EFFECT.keys() & options.keys():
            if (value := options.pop(argument)) != _WITHOUT_EFFECT[argument]:
                raise ValueError(f"LossScaleOptimizer: {argument} belongs to the inner optimizer, got {argument}={value!r}")
        self.inner_optimizer = inner_optimizer
        super().__init__(name, **options)
        self.initial_scale = number(self.described, "initial_scale", initial_scale, _SMALLEST_SCALE, _LARGEST_SCALE)
        self.dynamic_growth_steps = integer(self.described, "dynamic_growth_steps", dynamic_growth_steps, 1)
        self.dynamic_scale = float(np.float32(self.initial_scale))
        self.step_counter = 0
        inner_optimizer.loss_scale_factor = None

    @property
    def learning_rate(self) -> float:
        """That of the inner optimizer; may be set as there."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    lr = learning_rate

    @property
    def iterations(self) -> int:
        return self.inner_optimizer.iterations

    @property
    def _loss_scale(self) -> float:
        return self.dynamic_scale

    def _inner(self) -> list[Optimizer]:
        return [self.inner_optimizer]

    def _places(self) -> list[str]:
        return ["inner_optimizer"]

    def _route(self, parameter: Parameter) -> Optimizer:
        return self.inner_optimizer

    def _apply(self, gradients: list[Any], parameters: list[Parameter], device: str | None, scale: float = 1.0) -> None:
        if not parameters:
            return
        if not all(_is_finite(gradient, scale * self.dynamic_scale) for gradient in gradients):
            self.build(parameters)
            self.dynamic_scale, self.step_counter = max(self.dynamic_scale / 2, _SMALLEST_SCALE), 0         # (1)
            return
        self._routed(parameters)
        self.inner_optimizer._apply(gradients, parameters, device, scale)                                   # (2)
        self.step_counter += 1
        if self.step_counter == self.dynamic_growth_steps:
            self.dynamic_scale, self.step_counter = min(2 * self.dynamic_scale, _LARGEST_SCALE), 0           # (3)

    def _own_names(self) -> list[str]:
        return [*super()._own_names(), "step_counter", "dynamic_scale"]

    def _own(self, is_whole: bool) -> list[np.ndarray]:
        scaling = [np.array(self.step_counter, np.int32), np.array(self.dynamic_scale, np.float32)]
        return super()._own(is_whole) + (scaling if is_whole else [])

    def _set_own(self, arrays: Sequence[Any]) -> None:
        super()._set_own(arrays)
        if len(arrays) > 2:
            self.step_counter = int(arrays[2])
            self.dynamic_scale = min(max(float(arrays[3]), _SMALLEST_SCALE), _LARGEST_SCALE)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "inner_optimizer": serialization.serialize(self.inner_optimizer),
                "initial_scale": self.initial_scale, "dynamic_growth_steps": self.dynamic_growth_steps}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "LossScaleOptimizer":
        inner = serialization.deserialize_keras_object(config["inner_optimizer"], custom_objects)
        return cls(**{**config, "inner_optimizer": inner})

    def __repr__(self) -> str:
        return f"<LossScaleOptimizer name={self.name}, inner_optimizer={self.inner_optimizer!r}>"


def _is_finite(gradient: Any, scale: float) -> bool:
    """Whether all numbers of the gradient are finite, and stay so times `scale`."""
    if not gradient.size:
        return True
    extremes = np.array([float(gradient.max()), float(gradient.min())])     # NaN, if there is any
    with np.errstate(over="ignore"):
        return bool(np.isfinite((extremes * scale).astype(gradient.dtype)).all())
