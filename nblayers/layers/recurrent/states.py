"""The states of cells: a list with an array (B, …) for each state, or for a stack of cells a list of such lists."""
from collections.abc import Callable
from typing import Any

from nblayers.layers.base import Layer, _shapes


def mapped(function: Callable[..., Any], states: Any, *others: Any) -> Any:
    """`function` of every array in nested lists, and of what stands in the same place of the other lists."""
    if isinstance(states, list):
        return [mapped(function, *items) for items in zip(states, *others, strict=True)]
    return function(states, *others)


def state_sizes(cell: Any) -> list[Any]:
    """A cell's `state_size` as a list with the size of each state."""
    size = cell.state_size
    return list(size) if isinstance(size, (list, tuple)) else [size]


def state_shapes(cell: Any, batch: int | None) -> list[Any]:
    """The shapes of a cell's states, nested as the states are."""
    if isinstance(getattr(cell, "cells", None), list):
        return [state_shapes(each, batch) for each in cell.cells]
    return mapped(lambda size: _with_batch(batch, size), state_sizes(cell))


def initial_states(cell: Any, batch: int) -> list[Any]:
    """A cell's states before the first step: its own, or zeros."""
    if not hasattr(cell, "get_initial_state"):
        return mapped(lambda shape: cell.xp.zeros(shape, cell.dtype), state_shapes(cell, batch))
    states = cell.get_initial_state(batch_size=batch)
    return cell._to_array(states if isinstance(states, (list, tuple)) else [states])


def output_size(cell: Any) -> Any:
    """A cell's `output_size`; by default the size of its first state."""
    size = getattr(cell, "output_size", None)
    return state_sizes(cell)[0] if size is None else size


def output_shape(cell: Any, batch: int | None) -> tuple[int | None, ...]:
    """The shape of what a cell gives at one step."""
    return _with_batch(batch, output_size(cell))


def apart(layer: Layer, sequences: Any, initial_state: Any) -> tuple[Any, Any]:
    """Sequences and initial states, which may come in one list with the sequences; None where there are none.

    Raises:
        ValueError: states in both places.
    """
    if not isinstance(sequences, list):
        return sequences, initial_state
    sequences, *listed = sequences
    if listed and initial_state is not None:
        raise ValueError(f"{layer.described}: expected initial states in the list of inputs or as initial_state, got both")
    return sequences, listed or initial_state


def states_of_output(states: list[Any]) -> list[Any]:
    """Of nested states those of the last cell, whose first one is what a masked step outputs."""
    return states_of_output(states[-1]) if isinstance(states[0], list) else states


def step(who: str, cell: Layer, x: Any, states: list[Any], training: bool) -> tuple[Any, list[Any]]:
    """One call of a cell: its output and its new states.

    Raises:
        ValueError: the cell returns something else, or states of other shapes than the old ones; opens with `who`.
    """
    result = cell.forward(x, states, training=training)
    match result:
        case [output, [*new_states]] if _shapes(new_states) == _shapes(states):
            return output, new_states
    raise ValueError(f"{who}: expected {cell.described} to return (output, list of {len(states)} states of shapes "
                     f"{_shapes(states)}), got shapes {_shapes(result)}")


def _with_batch(batch: int | None, size: Any) -> tuple[int | None, ...]:
    return (batch, *size) if isinstance(size, (list, tuple)) else (batch, size)
