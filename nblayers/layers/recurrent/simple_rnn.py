"""SimpleRNN, the simplest layer with a memory, and its cell."""
from typing import Any

import numpy as np

from nblayers import activations
from nblayers.arrays import as_rows
from nblayers.layers.base import Record
from nblayers.layers.recurrent.cell import DenseCell
from nblayers.layers.recurrent.fused import FusedRNN
from nblayers.layers.recurrent.steps import Steps

FUSED = {activations.linear: 0, activations.tanh: 1, activations.sigmoid: 2, activations.relu: 3}


class SimpleRNNCell(DenseCell):
    r"""One step of a SimpleRNN.

        a_t = x_t W + h_{t-1} U + b         (1)
        h_t = f(a_t)                        (2)

    Arguments:
        units: size H of the state, which is also the output.
        activation: f; None for none.
        use_bias: whether there is b.
        kernel_initializer, recurrent_initializer, bias_initializer: first values of W (D, H), U (H, H), b (H,).
        kernel_regularizer, recurrent_regularizer, bias_regularizer: their penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each optimizer step.
        dropout, recurrent_dropout: fraction of x_t and of h_{t-1} that is dropped in training, the same at every step.
        seed: of the dropout masks.

    `forward(x, [h])` takes x (B, D), h (B, H) and returns h_t, [h_t].

    Raises:
        ValueError: units not positive, a rate outside [0, 1], inputs or states of another shape.

    Source: 001.09.SimpleRNNCell, 004.RNN without its y_t.
    """

    class Cache(Record):
        x: np.ndarray               # (B, D)
        h_prev: np.ndarray          # (B, H)
        a: np.ndarray               # (B, H)
        h: np.ndarray               # (B, H)
        masks: tuple                # dropout masks of x and of h_prev, None where there is no dropout

    def __init__(self, units: int, activation: Any = "tanh", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                 bias_initializer: Any = "zeros", kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
                 bias_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None,
                 bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
                 seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
                         kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
                         recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, **kwargs)

    def forward(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        (h_prev,) = self._checked(states, inputs)
        masks = self.dropout_masks(inputs, h_prev, training)
        a = self._product(inputs, self.kernel, masks[0]) + self._product(h_prev, self.recurrent_kernel, masks[1])   # (1)
        if self.bias is not None:
            a += self.bias.value                                                        # (1)
        h = activations.evaluate(self.activation, a, self.device)                       # (2)
        self.cache = self.Cache(inputs, h_prev, a, h, masks)
        return h, [h]

    def backward(self, dy: Any) -> tuple[Any, list[Any]]:
        dout, (dh,) = dy
        cache = self.cache
        da = activations.differentiate(self.activation, cache.a, cache.h, dout + dh, self.device)     # from (2)
        if self.bias is not None:
            self.bias.grad += da.sum(axis=0)                                            # from (1)
        dx = self._product_backward(da, cache.x, self.kernel, cache.masks[0])           # from (1)
        dh_prev = self._product_backward(da, cache.h_prev, self.recurrent_kernel, cache.masks[1])      # from (1)
        return dx, [dh_prev]


class SimpleRNN(FusedRNN):
    r"""A fully connected recurrent layer: at each step the state is made of the input and of the state before.

        h_t = f(x_t W + h_{t-1} U + b)      (1)

    With f linear, tanh, sigmoid or relu, and without recurrent dropout in training, one kernel walks through time (its cache is
    `SimpleRNN.Cache`); otherwise `RNN` walks over the cell (`RNN.Cache`).

    Arguments:
        units, activation, use_bias, kernel_*, recurrent_*, bias_*, dropout, recurrent_dropout, seed: as in `SimpleRNNCell`.
        activity_regularizer: penalty on the output.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as in `RNN`.

    Inputs and outputs: as in `RNN`, sequences (B, T, D), one state (B, units).

    Raises:
        ValueError: as in `RNN`.

    Source: 001.09.SimpleRNN, 002 "Hidden states formula" and "BPTT".
    """

    class Cache(Record):
        x: np.ndarray               # (B, T, D), after dropout; index t of every field belongs to x_t
        h0: np.ndarray              # (B, H)
        h: np.ndarray               # (B, T, H)
        mask: np.ndarray            # (B * T,), True at real steps
        dropout_mask: Any           # (B, D), or None
        steps: Steps                # where they lie; of a packed batch (N, …) stands for (B, T, …) everywhere
        packed: Any = None          # the PackedSequence without its data, if one was given
        given = False               # whether backward returns dL/dh0
        options: Any = None         # the layer's return_sequences, go_backwards …, as they were

    def __init__(self, units: int, activation: Any = "tanh", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                 bias_initializer: Any = "zeros", kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
                 bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
                 recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
                 recurrent_dropout: float = 0.0, return_sequences: bool = False, return_state: bool = False,
                 go_backwards: bool = False, stateful: bool = False, unroll: bool = False, seed: int | None = None,
                 **kwargs: Any) -> None:
        cell = SimpleRNNCell(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint, dropout,
            recurrent_dropout, seed, name="simple_rnn_cell", **self._for_cell(kwargs))
        super().__init__(cell, return_sequences=return_sequences, return_state=return_state, go_backwards=go_backwards,
                         stateful=stateful, unroll=unroll, activity_regularizer=activity_regularizer, **kwargs)
        self.fused = self.activation in FUSED

    def _run(self, x: Any, states: list[Any], mask: Any, training: bool) -> tuple[Any, list[Any]]:
        if not self._uses_kernel(training):
            return super()._run(x, states, mask, training)
        (h0,), (x, mask, steps) = states, self._taken_apart(x, mask)
        x, dropout_mask = self._dropped(x, steps, h0, training)
        z = self._affine(x, self.cell.kernel.value, self.cell.bias)
        h = self.xp.empty_like(z)
        self.kernels.recurrent.simple_rnn_forward(as_rows(z), self.cell.recurrent_kernel.value, h0, mask, *steps.on(self.xp),
                                                  self.go_backwards, FUSED[self.activation], as_rows(h))
        self.cache = self.Cache(x, h0, h, mask, dropout_mask, steps)
        return self._output(h, mask, steps), [self._last(h, steps)]

    def _run_backward(self, dy: Any, dstates: list[Any]) -> tuple[Any, list[Any]]:
        cache = self.cache
        if not isinstance(cache, self.Cache):
            return super()._run_backward(dy, dstates)
        dy, (dh,) = self._arriving(dy, dstates)
        da = self.xp.empty(as_rows(cache.h).shape, self.dtype)
        self.kernels.recurrent.simple_rnn_backward(dy, self.cell.recurrent_kernel.value, as_rows(cache.h), cache.mask,
                                                   *cache.steps.on(self.xp), self.go_backwards, FUSED[self.activation], dh, da)
        return self._after_the_loop(da), [dh]
