"""The arguments that all cells of the library have in common."""
from typing import Any

from nblayers import activations, constraints, initializers, regularizers
from nblayers.arguments import flag, found, number
from nblayers.layers.fixed import fixed
from nblayers.random import SeedGenerator


class CellOptions:
    """Sets a cell's activation, bias, initializers, regularizers, constraints and dropout, and their configuration."""

    owner: str | None = None            # what errors call the cell: the layer that it was made for, if one was

    @property
    def described(self) -> str:
        return self.owner or super().described          # type: ignore[misc]

    use_bias: bool = fixed()

    def _set_options(self, activation: Any, use_bias: bool, kernel_initializer: Any, recurrent_initializer: Any,
                     bias_initializer: Any, kernel_regularizer: Any, recurrent_regularizer: Any, bias_regularizer: Any,
                     kernel_constraint: Any, recurrent_constraint: Any, bias_constraint: Any, dropout: float,
                     recurrent_dropout: float, seed: int | None) -> None:
        self.activation = found(self.described, "activation", activations.get, activation)
        self.use_bias = flag(self.described, "use_bias", use_bias)
        self.kernel_initializer = found(self.described, "kernel_initializer", initializers.get, kernel_initializer)
        self.recurrent_initializer = found(self.described, "recurrent_initializer", initializers.get, recurrent_initializer)
        self.bias_initializer: Any = found(self.described, "bias_initializer", initializers.get, bias_initializer)
        self.kernel_regularizer = found(self.described, "kernel_regularizer", regularizers.get, kernel_regularizer)
        self.recurrent_regularizer = found(self.described, "recurrent_regularizer", regularizers.get, recurrent_regularizer)
        self.bias_regularizer = found(self.described, "bias_regularizer", regularizers.get, bias_regularizer)
        self.kernel_constraint = found(self.described, "kernel_constraint", constraints.get, kernel_constraint)
        self.recurrent_constraint = found(self.described, "recurrent_constraint", constraints.get, recurrent_constraint)
        self.bias_constraint = found(self.described, "bias_constraint", constraints.get, bias_constraint)
        self.dropout = number(self.described, "dropout", dropout, 0, 1)
        self.recurrent_dropout = number(self.described, "recurrent_dropout", recurrent_dropout, 0, 1)
        self.seed = seed
        self.seed_generator = found(self.described, "seed", SeedGenerator, seed)

    def _options_config(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"activation": activations.serialize(self.activation), "use_bias": self.use_bias}
        for option, kind in (("initializer", initializers), ("regularizer", regularizers), ("constraint", constraints)):
            for weight in ("kernel", "recurrent", "bias"):
                settings[f"{weight}_{option}"] = kind.serialize(getattr(self, f"{weight}_{option}"))
        return {**settings, "dropout": self.dropout, "recurrent_dropout": self.recurrent_dropout, "seed": self.seed}
