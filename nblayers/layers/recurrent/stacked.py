"""Cells on top of one another, as one cell."""
from collections.abc import Sequence
from typing import Any

from nblayers import serialization
from nblayers.layers.base import Layer, Record
from nblayers.layers.calls import build_inside
from nblayers.layers.recurrent.states import initial_states, output_shape, output_size, step


class StackedRNNCells(Layer):
    r"""A stack of cells that is itself a cell: at each step the output of one is the input of the next.

        y^1_t, s^1_t = cell_1(x_t, s^1_{t-1})               (1)
        y^k_t, s^k_t = cell_k(y^{k-1}_t, s^k_{t-1})         (2)     the output is that of the last cell

    `RNN([LSTMCell(8), LSTMCell(4)])` makes one. Its states are a list with the list of states of each cell: `state_size` is
    [[8, 8], [4, 4]].

    Arguments:
        cells: the cells, the first of which sees the inputs; see `RNN` for what a cell is.

    `forward(x, states)` takes x (B, D…) and returns the last cell's output and the list of lists of new states;
    `backward((dy, dstates))` returns dL/dx and the gradients of the states that came in.

    Raises:
        ValueError: no cells, or something that is none among them; states for another number of cells.

    Source: 001.09.StackedRNNCells ("Stacked RNN Cell").
    """

    class Cache(Record):
        steps: list                 # each cell's record

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(cells, (list, tuple)):
            raise ValueError(f"{self.described}: expected a list of cells, got {cells!r}")
        self.cells = list(cells)
        if not self.cells:
            raise ValueError(f"{self.described}: expected at least one cell, got {cells!r}")
        for cell in self.cells:
            if not isinstance(cell, Layer) or not hasattr(cell, "state_size"):
                raise ValueError(f"{self.described}: expected cells, layers with state_size, forward(x, states) and "
                                 f"backward((dy, dstates)), got {cell!r}")

    @property
    def state_size(self) -> list[Any]:
        """For each cell the size of its state, or the list of the sizes of its states."""
        found: list[Any] = [cell.state_size for cell in self.cells]
        return [list(size) if isinstance(size, tuple) else size for size in found]

    @property
    def output_size(self) -> Any:
        """The last cell's."""
        return output_size(self.cells[-1])

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            build_inside(self, cell, input_shape)
            input_shape = output_shape(cell, input_shape[0])

    def get_initial_state(self, batch_size: int) -> list[list[Any]]:
        """The list of each cell's states before the first step."""
        return [initial_states(cell, batch_size) for cell in self.cells]

    def reset_dropout_mask(self) -> None:
        """Forget the dropout masks of all cells."""
        for cell in self.cells:
            if hasattr(cell, "reset_dropout_mask"):
                cell.reset_dropout_mask()

    def forward(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        if not isinstance(states, list) or len(states) != len(self.cells):
            got = f"{len(states)}" if isinstance(states, list) else "one array"
            raise ValueError(f"{self.described}: expected a list of states for each of {len(self.cells)} cells, got {got}")
        y, new_states, steps = inputs, [], []
        for cell, old in zip(self.cells, states, strict=True):
            y, new = step(self.described, cell, y, old, training)      # (1), (2)
            new_states.append(new)
            steps.append(cell.cache)
        self.cache = self.Cache(steps)
        return y, new_states

    def backward(self, dy: Any) -> tuple[Any, list[Any]]:
        dy, dstates = dy
        dstates = list(dstates)
        for k in reversed(range(len(self.cells))):
            cell = self.cells[k]
            cell.cache = self.cache.steps[k]
            dy, dstates[k] = cell.backward((dy, dstates[k]))                    # from (2), (1)
        return dy, dstates

    def get_config(self) -> dict[str, Any]:
        """As in Keras; a cell that stands several times has a `shared_object_id`, as in Keras' files."""
        return {**super().get_config(), "cells": serialization.serialize_keras_object(list(self.cells))}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "StackedRNNCells":
        """Make a stack from what `get_config` gave, ours or Keras'; `custom_objects` holds cells of your own by class name."""
        return cls(**{**config, "cells": serialization.deserialize_keras_object(config["cells"], custom_objects)})
