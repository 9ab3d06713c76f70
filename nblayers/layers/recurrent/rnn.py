"""RNN: any cell, step by step through time."""
from functools import partial
from operator import add
from typing import Any

import numpy as np

from nblayers import serialization
from nblayers.arguments import flag
from nblayers.layers.base import InputSpec, Layer, Record, _shapes, by_looks
from nblayers.layers.calls import build_inside
from nblayers.layers.fixed import fixed
from nblayers.layers.recurrent.stacked import StackedRNNCells
from nblayers.layers.recurrent.states import (
    apart,
    initial_states,
    mapped,
    output_shape,
    state_shapes,
    state_sizes,
    states_of_output,
    step,
)


class RNN(Layer):
    r"""Runs a cell over a sequence: what the cell remembers of one step goes into the next.

        y_t, s_t = cell(x_t, s_{t-1})       (1)
        y_t = s_{t-1}[0],  s_t = s_{t-1}    (2)     instead of (1) where the mask is False

    A cell is a layer (one of ours, or your own) that has

        state_size                          the size of its state, or a list with the size of each of its states
        output_size                         the size of y_t; by default that of the first state
        forward(x, states)                  x_t (B, D…) and a list of states (B, size) -> (y_t, [new states])
        backward((dy, [dstates]))           -> (dx_t, [gradients of the states that came in])
        get_initial_state(batch_size)       the states before the first step; by default zeros

    and whose `cache` after a forward holds all that this step's backward reads: the cell is called once for each step, and
    each step's record is put back before its backward. A `forward` that takes `training` is told.

        class Sum(Layer):
            state_size = 3

            def forward(self, x, states):
                return x + states[0], [x + states[0]]

            def backward(self, gradients):
                dy, (dh,) = gradients
                return dy + dh, [dy + dh]

        RNN(Sum()).forward(np.ones((2, 4, 3)))      # the sum over time

    In a list of sizes, a tuple is the size of a state of more axes: state_size = [(H, W, C)] is one state (B, H, W, C). A list
    in it stands for a list of states in the list of states, as `StackedRNNCells` has one for each of its cells; then s[0] in
    (2) is the first state of the last list.

    Arguments:
        cell: the cell, or a list of cells, which becomes one by `StackedRNNCells`.
        return_sequences: return every y_t (B, T, …), not only the last (B, …).
        return_state: return [y, *last states].
        go_backwards: walk from the last time step to the first; outputs stand in the order walked.
        stateful: begin where the call before ended, each row of the batch with its own state, until `reset_state()`. No
            gradient flows from one call to the call before.
        unroll: accepted as in Keras; there is nothing to unroll here.
        zero_output_for_mask: in (2) return y_t = 0.

    `forward(sequences, initial_state=None, mask=None)` takes sequences (B, T, D…), a list of states (B, size) and a mask
    (B, T), True at real steps; `forward([sequences, *states])` is the same. `backward` returns dL/dsequences, or
    [dL/dsequences, *dL/dstates] if initial states were given.

    Raises:
        TypeError: the cell is no layer or has no state_size.
        ValueError: the same in a list of cells, or an empty list; sequences without time steps or of another rank or feature
            size; states or a mask of other shapes; a stateful layer given another batch size than before.

    Source: 001.09.RNN.
    """

    supports_masking = masks_steps = True
    cell: Any = fixed()

    class Cache(Record):
        steps: list                 # the cell's record of each step, in the order walked
        states: list                # the last states
        mask: Any                   # (B, T), True at real steps; or None
        shape: tuple                # of the sequences
        given = False               # whether backward returns the gradients of the initial states
        options: Any = None         # the layer's, as they were

    def __init__(self, cell: Any, return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
                 stateful: bool = False, unroll: bool = False, zero_output_for_mask: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell, dtype=kwargs.get("dtype"))
        if not isinstance(cell, Layer) or not hasattr(cell, "state_size"):
            raise TypeError(f"{self.described}: expected a cell, a layer with state_size, forward(x, states) and "
                            f"backward((dy, dstates)), got {cell!r}")
        self.cell = cell
        self.return_sequences = flag(self.described, "return_sequences", return_sequences)
        self.return_state = flag(self.described, "return_state", return_state)
        self.go_backwards = flag(self.described, "go_backwards", go_backwards)
        self.stateful = flag(self.described, "stateful", stateful)
        self.unroll = flag(self.described, "unroll", unroll)
        self.zero_output_for_mask = flag(self.described, "zero_output_for_mask", zero_output_for_mask)
        self.states: list[Any] | None = None
        self.input_spec = InputSpec(min_ndim=3)

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the cell's states."""
        return state_sizes(self.cell)

    def build(self, input_shape: Any) -> None:
        batch, _, *features = _first(input_shape)
        build_inside(self, self.cell, (batch, *features))

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The states before the first step: the cell's own, or zeros."""
        return self._to_array(initial_states(self.cell, batch_size))

    def reset_state(self) -> None:
        """Forget where the last call of a stateful layer ended."""
        self.states = None

    reset_states = reset_state

    def forward(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        return self._forward(sequences, initial_state, mask, training)

    def _forward(self, sequences: Any, initial_state: Any, mask: Any, training: bool) -> Any:
        sequences, initial_state = apart(self, sequences, initial_state)
        states = self._initial_states(initial_state, sequences.shape[0])
        output, states = self._run(sequences, states, self._checked_mask(mask, sequences), training)
        cache = self._thread.cache
        cache.given, cache.options = initial_state is not None, self._options
        if self.stateful:
            self.states = _copies(states)
        return [output, *_copies(states)] if self.return_state else output

    def _run(self, x: Any, states: list[Any], mask: Any, training: bool) -> tuple[Any, list[Any]]:
        """All steps from the initial states on: the output and the last states; leaves the record."""
        cell = self.cell
        if hasattr(cell, "reset_dropout_mask"):
            cell.reset_dropout_mask()
        outputs, steps = [], []
        for t in self._walk(x.shape[1]):
            output, new_states = step(self.described, cell, x[:, t], states, training)  # (1)
            if mask is not None:
                where_real = partial(self._where, mask[:, t])
                output = where_real(output, 0 if self.zero_output_for_mask else self._held(states, output))     # (2)
                new_states = mapped(where_real, new_states, states)                     # (2)
            outputs.append(output)
            steps.append(cell.cache)
            states = new_states
        self.cache = RNN.Cache(steps, states, mask, x.shape)
        if not self.return_sequences:
            return outputs[-1].astype(self.dtype, copy=False), states
        output = self.xp.stack(outputs[::-1] if self._thread.turned else outputs, axis=1)
        return output.astype(self.dtype, copy=False), states

    def backward(self, dy: Any) -> Any:
        self._check_options()
        dy, *dstates = dy if self.return_state else [dy]
        given = self.cache.given
        dx, dstates = self._run_backward(dy, dstates)
        return [dx, *dstates] if given else dx

    def _run_backward(self, dy: Any, dstates: list[Any]) -> tuple[Any, list[Any]]:
        """The steps of `_run` in reverse; dstates of the last states, empty for zeros. Returns dx and dL/dinitial states."""
        cell, cache = self.cell, self.cache
        walk = self._walk(cache.shape[1])
        dx = self.xp.zeros(cache.shape, self.dtype)
        dstates = dstates or mapped(self.xp.zeros_like, cache.states)
        for n in reversed(range(len(walk))):
            t = walk[n]
            if self.return_sequences:
                doutput = dy[:, -1 - n if self._thread.turned else n]
            else:
                doutput = dy if n == len(walk) - 1 else self.xp.zeros_like(dy)
            if cache.mask is not None:
                where_real = partial(self._where, cache.mask[:, t])
                skipped = mapped(partial(where_real, 0), dstates)                       # from (2)
                if not self.zero_output_for_mask:
                    held = states_of_output(skipped)
                    held[0] = held[0] + where_real(0, doutput)                          # from (2)
                doutput, dstates = where_real(doutput, 0), mapped(where_real, dstates)
            cell.cache = cache.steps[n]
            dx[:, t], dstates = cell.backward((doutput, dstates))                       # from (1)
            if cache.mask is not None:
                dstates = mapped(add, list(dstates), skipped)
        return dx, list(dstates)

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """(B, output size) or (B, T, output size); with `return_state` a list of this and the states' shapes."""
        batch, length, *_ = _first(sequences_shape)
        _, *size = output_shape(self.cell, batch)
        output = (batch, length, *size) if self.return_sequences else (batch, *size)
        return [output, *state_shapes(self.cell, batch)] if self.return_state else output

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask that came in goes on with sequences of outputs, in the order in which it came in; states have none."""
        mask = previous_mask[0] if isinstance(previous_mask, (list, tuple)) else previous_mask
        mask = mask if self.return_sequences else None
        return [mask, *(None for _ in self.state_size)] if self.return_state else mask

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "return_sequences": self.return_sequences, "return_state": self.return_state,
                "go_backwards": self.go_backwards, "stateful": self.stateful, "unroll": self.unroll,
                "zero_output_for_mask": self.zero_output_for_mask, "cell": serialization.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "RNN":
        """Make a layer from what `get_config` gave, ours or Keras'; `custom_objects` holds cells of your own by class name."""
        if isinstance(config.get("cell"), dict):
            config = {**config, "cell": serialization.deserialize_keras_object(config["cell"], custom_objects)}
        return cls(**config)

    @property
    def _flips(self) -> bool:
        """Whether outputs stand in the reverse of time's order; those of a packed batch never do."""
        return self.go_backwards != self._thread.turned

    @property
    def _options(self) -> tuple[bool, ...]:
        return self.return_sequences, self.return_state, self.go_backwards, self.zero_output_for_mask

    def _check_options(self) -> None:
        """Kernels find the steps of dy by these."""
        if self.cache.options != self._options:
            raise ValueError(f"{self.described}: expected return_sequences, return_state, go_backwards and "
                             f"zero_output_for_mask as they were in forward, {self.cache.options}, got {self._options}")

    def _walk(self, length: int) -> range:
        return range(length - 1, -1, -1) if self.go_backwards else range(length)

    @by_looks
    def _check_inputs(self, inputs: Any) -> None:
        sequences = inputs[0] if isinstance(inputs, list) else inputs
        super()._check_inputs(sequences)
        if sequences.shape[1] == 0:
            raise ValueError(f"{self.described}: expected at least one time step on axis 1, got an input of shape "
                             f"{sequences.shape}")

    def _initial_states(self, given: Any, batch: int) -> list[Any]:
        if self.states is not None and self.stateful and (before := len(states_of_output(self.states)[0])) != batch:
            raise ValueError(f"{self.described}: expected a batch of {before} sequences, as in the call before "
                             f"(stateful; reset_state() ends this), got {batch}")
        if given is None:
            if not (self.stateful and self.states):
                return self.get_initial_state(batch)
            given = self._to_array(self.states)
        states = given if isinstance(given, list) else [given]
        expected, got = self._state_shapes(batch), _shapes(states)
        if got != expected:
            raise ValueError(f"{self.described}: expected initial states of shapes {expected}, got {got}")
        return states

    def _state_shapes(self, batch: int) -> list[Any]:
        return _shapes(self.get_initial_state(batch))

    def _checked_mask(self, mask: Any, sequences: Any) -> Any:
        mask = mask[0] if isinstance(mask, list) else mask
        if mask is not None and mask.shape != sequences.shape[:2]:
            raise ValueError(f"{self.described}: expected a mask of shape {sequences.shape[:2]}, got {mask.shape}")
        return mask if mask is None or mask.dtype == bool else mask.astype(bool)

    def _held(self, states: list[Any], output: Any) -> Any:
        """What a masked step gives in place of the output: the first state, of a stack the last cell's."""
        state = states_of_output(states)[0]
        if state.shape != output.shape:
            raise ValueError(f"{self.described}: a masked step outputs the first state, so it expected one of the output's "
                             f"shape {output.shape}, got {state.shape} (or set zero_output_for_mask)")
        return state

    def _where(self, rows: Any, chosen: Any, other: Any = 0) -> Any:
        """`chosen` in the rows that are True, `other` in the rest."""
        axes = max(np.ndim(chosen), np.ndim(other))
        return self.xp.where(rows.reshape(-1, *[1] * (axes - 1)), chosen, other)


def _first(shapes: Any) -> Any:
    """The sequences' shape where shapes of initial states may follow it."""
    return shapes[0] if isinstance(shapes[0], (list, tuple)) else shapes


def _copies(states: list[Any]) -> list[Any]:
    """The arrays in nested lists, copied."""
    return [_copies(state) if isinstance(state, list) else state.copy() for state in states]
