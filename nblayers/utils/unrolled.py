"""Backpropagation through time, step by step, for looking at."""
from typing import Any, NamedTuple

from nblayers import losses
from nblayers.arguments import integer
from nblayers.arrays import as_numbers
from nblayers.layers.base import Layer
from nblayers.layers.recurrent.rnn import RNN
from nblayers.layers.recurrent.states import mapped, states_of_output, step


class Unrolled(NamedTuple):
    """What `bptt` returns; index t is the time step."""

    loss: float             # L, the sum of losses
    losses: list[float]     # (T,), l(y^_t, y_t)
    y: Any                  # (B, T, …), the head's outputs
    h: Any                  # (B, T, H), what the cell gave the head
    dh: Any                 # (B, T, H), dL/dh_t: its own step's share and that of the later ones
    dx: Any                 # (B, T, D), dL/dx_t
    states: list            # the last states; `initial_state` of the part of the sequence that comes next
    dstates: list           # gradients of the states before the first step


def bptt(rnn: Layer, head: Layer, x: Any, targets: Any, loss: Any, truncate: int | None = None, initial_state: Any = None,
         training: bool = False) -> Unrolled:
    r"""Run a recurrent layer and its output head over a sequence and back, one step at a time.

        h_t, s_t = cell(x_t, s_{t-1})                       (1)     for SimpleRNN h_t = s_t = f(W_x x_t + W_h h_{t-1} + b_h)
        y_t = g(W_y h_t + b_y)                              (2)     the head
        L = \sum_t \ell(\hat y_t, y_t)                      (3)     over all time steps

        \frac{\partial L}{\partial h_t} = W_y^T g' \frac{\partial \ell}{\partial y_t}
            + \left(\frac{\partial h_{t+1}}{\partial h_t}\right)^T \frac{\partial L}{\partial h_{t+1}}          (4)

    The second term of (4) is how the future reaches back. Truncated, it is left out at every `truncate`-th step: states go
    on, gradients do not, and no gradient passes through more than `truncate` steps. The result is the exact gradient for
    `truncate=None`, which `rnn.backward` computes in one kernel.

    Adds to every `parameter.grad` of rnn and head; `zero_grad()` both before, step the optimizer after. To step after each
    part of a long sequence call `bptt` for each part, `initial_state` being the part before's `states`.

    Arguments:
        rnn: a recurrent layer, or a cell, whose output is its first state (SimpleRNN, LSTM, GRU, their cells, stacks of them,
            one of yours); of a layer only the cell is used.
        head: a layer from h_t (B, H) to y_t (B, …), such as Dense(10, "softmax").
        x: (B, T, D).
        targets: (B, T, …), \hat y_t.
        loss: l, a name or an object ("mse" …): the mean over the batch, as always.
        truncate: through how many steps gradients pass at most; None for all.
        initial_state: the states before the first step, each (B, H); zeros by default.
        training: whether dropout drops.

    Raises:
        TypeError: rnn is neither a recurrent layer nor a cell.
        ValueError: one that goes backwards or whose output is not its first state; no loss; x and targets of different
            lengths; truncate below 1; states of other shapes.

    Source: 002.BPTT.chain; 004.RNN for y_t.
    """
    layer, x, targets, loss_of = _checked(rnn, x, targets, loss, truncate)
    cell, T = layer.cell, x.shape[1]
    states = layer._initial_states(layer._to_array(initial_state), len(x))
    if hasattr(cell, "reset_dropout_mask"):
        cell.reset_dropout_mask()
    steps = []
    for t in range(T):
        record, states = _forward(layer, head, x[:, t], states, targets[:, t], loss_of, training)
        steps.append(record)
    zeros = mapped(cell.xp.zeros_like, states)
    dh, dx, dstates = [None] * T, [None] * T, zeros
    for t in reversed(range(T)):
        if truncate is not None and (t + 1) % truncate == 0:
            dstates = zeros
        dh[t], dx[t], dstates = _backward(cell, head, steps[t], dstates)

    def over_time(values: Any) -> Any:
        return cell.xp.stack(list(values), axis=1)

    values = [record.loss for record in steps]
    return Unrolled(sum(values), values, over_time(record.y for record in steps), over_time(record.h for record in steps),
                    over_time(dh), over_time(dx), states, dstates)


def _checked(rnn: Any, x: Any, targets: Any, loss: Any, truncate: int | None) -> tuple[RNN, Any, Any, losses.Loss]:
    """The layer, built, a cell in an RNN; x and targets as arrays; the loss as an object."""
    layer = rnn if isinstance(rnn, RNN) else RNN(rnn, dtype=getattr(rnn, "dtype", None))
    if layer.go_backwards:
        raise ValueError(f"{rnn.described}: bptt expected a layer that goes forwards, got go_backwards=True")
    if truncate is not None and integer(rnn.described, "truncate", truncate) < 1:
        raise ValueError(f"{rnn.described}: bptt expected truncate of at least 1, got {truncate!r}")
    loss_of = losses.get(loss)
    x = layer.xp.asarray(as_numbers(x, rnn.described, "x"), layer.dtype)
    targets = layer.xp.asarray(as_numbers(targets, rnn.described, "targets"))
    layer._check_inputs(x)
    if loss_of is None or targets.shape[:2] != x.shape[:2]:
        raise ValueError(f"{rnn.described}: bptt expected a loss, and targets for {len(x)} sequences of {x.shape[1]} steps, "
                         f"got {loss!r} and targets of shape {targets.shape}")
    if not layer.built:
        layer.build(x.shape)
    return layer, x, targets, loss_of


class _Step(NamedTuple):
    """A step on the way forward, and what its way back reads."""

    h: Any
    y: Any
    loss: float
    dy: Any
    cell: Any           # the cell's record
    head: Any           # the head's


def _forward(layer: RNN, head: Layer, x: Any, states: list[Any], target: Any, loss: losses.Loss,
             training: bool) -> tuple[_Step, list[Any]]:
    cell = layer.cell
    h, states = step(layer.described, cell, x, states, training)                                        # (1)
    state = states_of_output(states)[0]
    if not (h is state or cell.xp.array_equal(h, state)):
        raise ValueError(f"{cell.described}: bptt expected a cell whose output is its first state, got another output")
    y = head.forward(h, training=training)                                                              # (2)
    value, dy = loss.value_and_gradient(target, y)                                                      # (3)
    return _Step(h, y, float(value), dy, cell.cache, head.cache), states


def _backward(cell: Layer, head: Layer, record: _Step, dstates: list[Any]) -> tuple[Any, Any, list[Any]]:
    """dL/dh_t, dL/dx_t and the gradients of the states before the step, from those of the states after it."""
    cell.cache, head.cache = record.cell, record.head
    dh = head.backward(record.dy)                                           # from (2)
    dx, before = cell.backward((dh, dstates))                               # from (1)
    return dh + states_of_output(dstates)[0], dx, before                   # (4)
