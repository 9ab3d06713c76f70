"""What the recurrent layers over a cell of the library share."""
from operator import attrgetter
from typing import Any

from nblayers import regularizers
from nblayers.layers.base import auto_name
from nblayers.layers.recurrent.rnn import RNN


def of_the_cell(name: str) -> Any:
    """A property that stands for the cell's attribute of this name."""
    return property(attrgetter(f"cell.{name}"), lambda self, value: setattr(self.cell, name, value),
                    doc=f"`{name}` of the cell.")


class CellLayer(RNN):
    """An RNN over a cell of the library: it has the cell's arguments, and a kernel for whole sequences where `fused`."""

    cell: Any
    fused = False                   # whether there is a kernel for the cell's activations

    activation, use_bias = map(of_the_cell, ("activation", "use_bias"))
    kernel_initializer, recurrent_initializer, bias_initializer = map(of_the_cell, (
        "kernel_initializer", "recurrent_initializer", "bias_initializer"))
    kernel_regularizer, recurrent_regularizer, bias_regularizer = map(of_the_cell, (
        "kernel_regularizer", "recurrent_regularizer", "bias_regularizer"))
    kernel_constraint, recurrent_constraint, bias_constraint = map(of_the_cell, (
        "kernel_constraint", "recurrent_constraint", "bias_constraint"))
    dropout, recurrent_dropout, seed = map(of_the_cell, ("dropout", "recurrent_dropout", "seed"))

    def _for_cell(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """What the cell takes over of the layer's arguments; settles the layer's name, by which the cell's errors call it."""
        if kwargs.get("name") is None:
            kwargs["name"] = auto_name(type(self).__name__)
        return {"owner": f"{type(self).__name__} {kwargs['name']!r}", "dtype": kwargs.get("dtype"),
                "trainable": kwargs.get("trainable", True)}

    def get_config(self) -> dict[str, Any]:
        own = super().get_config()
        del own["cell"]
        return {**self.cell.get_config(), **own, "activity_regularizer": regularizers.serialize(self.activity_regularizer)}

    def _uses_kernel(self, training: bool) -> bool:
        return self.fused and not (training and self.cell.recurrent_dropout)
