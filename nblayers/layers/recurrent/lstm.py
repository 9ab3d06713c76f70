"""LSTM, the layer with a memory that decides itself what to keep, and its cell."""
from typing import Any

import numpy as np

from nblayers import activations
from nblayers.arguments import choice, flag, found
from nblayers.arrays import as_rows
from nblayers.layers.base import Record
from nblayers.layers.recurrent.cell import DenseCell
from nblayers.layers.recurrent.cell_layer import of_the_cell
from nblayers.layers.recurrent.fused import FusedRNN, columns_of_gate
from nblayers.layers.recurrent.gates import LSTMGates
from nblayers.layers.recurrent.steps import Steps


class LSTMCell(LSTMGates, DenseCell):
    r"""One step of an LSTM. The weights hold the columns of the gates side by side, in Keras' order i, f, c~, o.

        z_t = x_t W + h_{t-1} U + b         (1)     [z_i z_f z_c z_o], what 004 writes W_i [h_{t-1}, x_t] + b_i, …
        i_t = \sigma(z_i)                   (2)     004.LSTM.i
        f_t = \sigma(z_f)                   (3)     004.LSTM.f
        c~_t = g(z_c)                       (4)     004.LSTM.C~
        o_t = \sigma(z_o)                   (5)     004.LSTM.o
        c_t = f_t c_{t-1} + i_t c~_t        (6)     004.LSTM.C
        h_t = o_t g(c_t)                    (7)

    Arguments:
        units: size H of each of the two states; h is also the output.
        activation: g; None for none.
        recurrent_activation: sigma; None for none.
        use_bias: whether there is b.
        kernel_initializer, recurrent_initializer, bias_initializer: first values of W (D, 4H), U (H, 4H), b (4H,).
        unit_forget_bias: begin with b_f = 1: a new LSTM remembers.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: their penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each optimizer step.
        dropout, recurrent_dropout: fraction of x_t and of h_{t-1} that is dropped in training, the same at every step; with
            recurrent_dropout each gate has masks of its own.
        seed: of the dropout masks.
        implementation: 0, 1 or 2, as in Keras; it changes no result.

    `forward(x, [h, c])` takes x (B, D), h and c (B, H) and returns h_t, [h_t, c_t].

    Raises:
        ValueError: units not positive, a rate outside [0, 1], inputs or states of another shape.

    Source: 001.09.LSTMCell.
    """

    gates = 4
    states = 2

    class Cache(Record):
        x: np.ndarray               # (B, D)
        h_prev: np.ndarray          # (B, H)
        c_prev: np.ndarray          # (B, H)
        z: list                     # z_i, z_f, z_c, z_o, each (B, H)
        i: np.ndarray               # (B, H)
        f: np.ndarray               # (B, H)
        c_tilde: np.ndarray         # (B, H)
        o: np.ndarray               # (B, H)
        c: np.ndarray               # (B, H)
        g_c: np.ndarray             # (B, H), g(c_t)
        masks: tuple                # dropout masks of x and of h_prev, None where there is no dropout

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                 bias_initializer: Any = "zeros", unit_forget_bias: bool = True, kernel_regularizer: Any = None,
                 recurrent_regularizer: Any = None, bias_regularizer: Any = None, kernel_constraint: Any = None,
                 recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
                 recurrent_dropout: float = 0.0, seed: int | None = None, implementation: int = 2, **kwargs: Any) -> None:
        super().__init__(units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
                         kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
                         recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, **kwargs)
        choice(self.described, "implementation", implementation, (0, 1, 2))
        self.recurrent_activation = found(self.described, "recurrent_activation", activations.get, recurrent_activation)
        self.unit_forget_bias = flag(self.described, "unit_forget_bias", unit_forget_bias)

    def _draw(self, rate: float, shape: tuple[int, ...]) -> Any:
        return None if rate == 1 else super()._draw(rate, shape)            # as in Keras, whose SimpleRNN drops everything

    def forward(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        h_prev, c_prev = self._checked(states, inputs)
        masks = self.dropout_masks(inputs, h_prev, training)
        z_t = self._product(inputs, self.kernel, masks[0]) + self._product(h_prev, self.recurrent_kernel, masks[1])     # (1)
        if self.bias is not None:
            z_t += self.bias.value                                              # (1)
        z = self._blocks(z_t, 4)
        i, f, c_tilde, o, c, g_c, h = self._open(z, c_prev)                     # (2) to (7)
        self.cache = self.Cache(inputs, h_prev, c_prev, z, i, f, c_tilde, o, c, g_c, masks)
        return h, [h, c]

    def backward(self, dy: Any) -> tuple[Any, list[Any]]:
        dout, (dh, dc) = dy
        cache = self.cache
        dz_gates, dc_prev = self._open_backward(cache.z, cache, dout + dh, dc)  # from (7) to (2); h_t is the output and a state
        dz = self.xp.concatenate(dz_gates, axis=1)
        if self.bias is not None:
            self.bias.grad += dz.sum(axis=0)                                    # from (1)
        dx = self._product_backward(dz, cache.x, self.kernel, cache.masks[0])   # from (1)
        dh_prev = self._product_backward(dz, cache.h_prev, self.recurrent_kernel, cache.masks[1])       # from (1)
        return dx, [dh_prev, dc_prev]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "recurrent_activation": activations.serialize(self.recurrent_activation),
                "unit_forget_bias": self.unit_forget_bias}


class LSTM(FusedRNN):
    r"""Long short-term memory: two states, and three gates that decide what is forgotten, written and shown.

        i_t = \sigma(x_t W_i + h_{t-1} U_i + b_i)       (1)     004.LSTM.i
        f_t = \sigma(x_t W_f + h_{t-1} U_f + b_f)       (2)     004.LSTM.f
        c~_t = \tanh(x_t W_c + h_{t-1} U_c + b_c)       (3)     004.LSTM.C~
        o_t = \sigma(x_t W_o + h_{t-1} U_o + b_o)       (4)     004.LSTM.o
        c_t = f_t c_{t-1} + i_t c~_t                    (5)     004.LSTM.C
        h_t = o_t \tanh(c_t)                            (6)

    With tanh and sigmoid, and without recurrent dropout in training, one kernel walks through time (its cache is
    `LSTM.Cache`); otherwise `RNN` walks over the cell (`RNN.Cache`, whose steps are `LSTMCell.Cache`).

    Arguments:
        units, activation, recurrent_activation, use_bias, kernel_*, recurrent_*, bias_*, unit_forget_bias, dropout,
            recurrent_dropout, seed: as in `LSTMCell`.
        activity_regularizer: penalty on the output.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as in `RNN`.
        use_cudnn, implementation: accepted as in Keras; they change no result.

    Inputs and outputs: as in `RNN`, sequences (B, T, D), two states h and c (B, units).

    Raises:
        ValueError: as in `RNN`; `use_cudnn` neither "auto" nor a truth value.

    Source: 001.09.LSTM, 003.ReturnSequences.
    """

    class Cache(Record):
        x: np.ndarray               # (B, T, D), after dropout; index t of every field belongs to x_t
        h0: np.ndarray              # (B, H)
        c0: np.ndarray              # (B, H)
        gates: np.ndarray           # (B, T, 4H), of which i, f, c_tilde and o are views; at masked steps they mean nothing
        c: np.ndarray               # (B, T, H)
        h: np.ndarray               # (B, T, H)
        mask: np.ndarray            # (B * T,), True at real steps
        dropout_mask: Any           # (B, D), or None
        steps: Steps                # where they lie; of a packed batch (N, …) stands for (B, T, …) everywhere
        packed: Any = None          # the PackedSequence without its data, if one was given
        given = False               # whether backward returns dL/dh0 and dL/dc0
        options: Any = None         # the layer's return_sequences, go_backwards …, as they were
        i, f, c_tilde, o = map(columns_of_gate, range(4))       # each (B, T, H)

    recurrent_activation, unit_forget_bias = map(of_the_cell, ("recurrent_activation", "unit_forget_bias"))

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                 bias_initializer: Any = "zeros", unit_forget_bias: bool = True, kernel_regularizer: Any = None,
                 recurrent_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None,
                 dropout: float = 0.0, recurrent_dropout: float = 0.0, seed: int | None = None,
                 return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
                 stateful: bool = False, unroll: bool = False, use_cudnn: Any = "auto", implementation: int = 2,
                 **kwargs: Any) -> None:
        cell = LSTMCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, name="lstm_cell", **self._for_cell(kwargs))
        super().__init__(cell, return_sequences=return_sequences, return_state=return_state, go_backwards=go_backwards,
                         stateful=stateful, unroll=unroll, activity_regularizer=activity_regularizer, **kwargs)
        choice(self.described, "use_cudnn", use_cudnn, ("auto", True, False))
        choice(self.described, "implementation", implementation, (0, 1, 2))
        self.fused = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid

    def _run(self, x: Any, states: list[Any], mask: Any, training: bool) -> tuple[Any, list[Any]]:
        if not self._uses_kernel(training):
            return super()._run(x, states, mask, training)
        (h0, c0), (x, mask, steps) = states, self._taken_apart(x, mask)
        x, dropout_mask = self._dropped(x, steps, h0, training)
        gates = self._affine(x, self.cell.kernel.value, self.cell.bias)
        c = self.xp.empty((*x.shape[:-1], self.units), self.dtype)
        h = self.xp.empty_like(c)
        self.kernels.recurrent.lstm_forward(as_rows(gates), self.cell.recurrent_kernel.value, h0, c0, mask, *steps.on(self.xp),
                                            self.go_backwards, as_rows(c), as_rows(h))
        self.cache = self.Cache(x, h0, c0, gates, c, h, mask, dropout_mask, steps)
        return self._output(h, mask, steps), [self._last(h, steps), self._last(c, steps)]

    def _run_backward(self, dy: Any, dstates: list[Any]) -> tuple[Any, list[Any]]:
        cache = self.cache
        if not isinstance(cache, self.Cache):
            return super()._run_backward(dy, dstates)
        dy, (dh, dc) = self._arriving(dy, dstates)
        da = self.xp.empty(as_rows(cache.gates).shape, self.dtype)
        self.kernels.recurrent.lstm_backward(dy, self.cell.recurrent_kernel.value, as_rows(cache.gates), cache.c0,
                                             as_rows(cache.c), cache.mask, *cache.steps.on(self.xp), self.go_backwards, dh, dc,
                                             da)
        return self._after_the_loop(da), [dh, dc]
