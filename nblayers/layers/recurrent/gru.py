"""GRU, the layer that mixes its old state with a new one, and its cell."""
from typing import Any

import numpy as np

from nblayers import activations
from nblayers.arguments import choice, flag, found
from nblayers.arrays import as_rows
from nblayers.layers.base import Record
from nblayers.layers.fixed import fixed
from nblayers.layers.recurrent.cell import DenseCell
from nblayers.layers.recurrent.cell_layer import of_the_cell
from nblayers.layers.recurrent.fused import FusedRNN, columns_of_gate
from nblayers.layers.recurrent.steps import Steps


class GRUCell(DenseCell):
    r"""One step of a GRU. The weights hold the columns of the gates side by side, in Keras' order z, r, h~.

        [x_z x_r x_h] = x_t W + b               (1)
        z_t = \sigma(x_z + h_{t-1} U_z + b_z)   (2)     how much of the old state stays
        r_t = \sigma(x_r + h_{t-1} U_r + b_r)   (3)     how much of it the new one sees
        u_t = h_{t-1} U_h + b_h                 (4)     with reset_after
        h~_t = g(x_h + r_t u_t)                 (5)
        u_t = r_t h_{t-1}                       (4')    without
        h~_t = g(x_h + u_t U_h)                 (5')
        h_t = z_t h_{t-1} + (1 - z_t) h~_t      (6)     the documents have z_t and 1 - z_t the other way round

    Arguments:
        units: size H of the state, which is also the output.
        activation: g; None for none.
        recurrent_activation: sigma; None for none.
        use_bias: whether there are biases.
        kernel_initializer, recurrent_initializer, bias_initializer: first values of W (D, 3H), U (H, 3H) and the bias.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: their penalties.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each optimizer step.
        dropout, recurrent_dropout: fraction of x_t and of h_{t-1} that is dropped in training, the same at every step; with
            recurrent_dropout each gate has masks of its own. A rate of 1 drops nothing, as in Keras.
        reset_after: whether r_t acts after the product with U_h, (4) and (5), or before it, (4') and (5'), as the documents
            write it. After: the bias is (2, 3H), its rows b and [b_z b_r b_h]. Before: it is b (3H,), and there are no others.
        seed: of the dropout masks.
        implementation: 0, 1 or 2, as in Keras; it changes no result.

    `forward(x, [h])` takes x (B, D), h (B, H) and returns h_t, [h_t].

    Raises:
        ValueError: units not positive, a rate outside [0, 1], inputs or states of another shape.

    Source: 001.09.GRUCell; Cho et al., arXiv 1406.1078 (before: version 3, after: version 1).
    """

    gates = 3
    reset_after: bool = fixed()

    class Cache(Record):
        x: np.ndarray               # (B, D)
        h_prev: np.ndarray          # (B, H)
        h_seen: list                # h_prev as z, r and h~ see it, each (B, H): after dropout
        a: list                     # what the activations of z, r and h~ are taken of, each (B, H)
        z: np.ndarray               # (B, H)
        r: np.ndarray               # (B, H)
        u: np.ndarray               # (B, H)
        h_tilde: np.ndarray         # (B, H)
        masks: tuple                # dropout masks of x and of h_prev, None where there is no dropout

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                 bias_initializer: Any = "zeros", kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
                 bias_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None,
                 bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0, reset_after: bool = True,
                 seed: int | None = None, implementation: int = 2, **kwargs: Any) -> None:
        super().__init__(units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
                         kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
                         recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, **kwargs)
        choice(self.described, "implementation", implementation, (0, 1, 2))
        self.recurrent_activation = found(self.described, "recurrent_activation", activations.get, recurrent_activation)
        self.reset_after = flag(self.described, "reset_after", reset_after)

    @property
    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _draw(self, rate: float, shape: tuple[int, ...]) -> Any:
        return None if rate == 1 else super()._draw(rate, shape)

    def biases(self, part: str) -> tuple[Any, Any]:
        """The "value" or the "grad" of b and of [b_z b_r b_h], each (3H,): views of the bias; None for what there is not."""
        if self.bias is None:
            return None, None
        rows = getattr(self.bias, part)
        return (rows[0], rows[1]) if self.reset_after else (rows, None)

    def forward(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        (h_prev,) = self._checked(states, inputs)
        masks = self.dropout_masks(inputs, h_prev, training)
        g, sigma, device = self.activation, self.recurrent_activation, self.device
        b, b_recurrent = self.biases("value")
        b_z, b_r, b_h = (0, 0, 0) if b_recurrent is None else self.xp.split(b_recurrent, 3)
        U_z, U_r, U_h = self._blocks(self.recurrent_kernel.value, 3)
        h_z, h_r, h_h = h_seen = [h_prev] * 3 if masks[1] is None else [mask * h_prev for mask in masks[1]]
        x_t = self._product(inputs, self.kernel, masks[0])                      # (1)
        x_z, x_r, x_h = self._blocks(x_t if b is None else x_t + b, 3)          # (1)
        a_z = x_z + self._matmul(h_z, U_z) + b_z                                # (2)
        a_r = x_r + self._matmul(h_r, U_r) + b_r                                # (3)
        z = activations.evaluate(sigma, a_z, device)                            # (2)
        r = activations.evaluate(sigma, a_r, device)                            # (3)
        if self.reset_after:
            u = self._matmul(h_h, U_h) + b_h                                    # (4)
            a_h = x_h + r * u                                                   # (5)
        else:
            u = r * h_h                                                         # (4')
            a_h = x_h + self._matmul(u, U_h)                                    # (5')
        h_tilde = activations.evaluate(g, a_h, device)                          # (5), (5')
        h = z * h_prev + (1 - z) * h_tilde                                      # (6)
        self.cache = self.Cache(inputs, h_prev, h_seen, [a_z, a_r, a_h], z, r, u, h_tilde, masks)
        return h, [h]

    def backward(self, dy: Any) -> tuple[Any, list[Any]]:
        dout, (dh,) = dy
        cache = self.cache
        z, r, h_tilde, (a_z, a_r, a_h), (h_z, h_r, _) = cache.z, cache.r, cache.h_tilde, cache.a, cache.h_seen
        g, sigma, device = self.activation, self.recurrent_activation, self.device
        dh = dout + dh                                                          # h_t is the output and the state
        dz = dh * (cache.h_prev - h_tilde)                                      # from (6)
        dh_tilde = dh * (1 - z)                                                 # from (6)
        da_h = activations.differentiate(g, a_h, h_tilde, dh_tilde, device)     # from (5), (5')
        dr, dproduct, dh_h = self._candidate_backward(da_h)                     # from (4) and (5), or (4') and (5')
        da_r = activations.differentiate(sigma, a_r, r, dr, device)             # from (3)
        da_z = activations.differentiate(sigma, a_z, z, dz, device)             # from (2)
        dh_r = self._gate_product_backward(1, h_r, da_r)                        # from (3)
        dh_z = self._gate_product_backward(0, h_z, da_z)                        # from (2)
        mask_z, mask_r, mask_h = [1, 1, 1] if cache.masks[1] is None else cache.masks[1]
        dh_prev = dh * z + mask_z * dh_z + mask_r * dh_r + mask_h * dh_h        # from (6), (2), (3), (4) or (4')
        da = self.xp.concatenate([da_z, da_r, da_h], axis=1)
        db, db_recurrent = self.biases("grad")
        if db is not None:
            db += da.sum(axis=0)                                                # from (1)
        if db_recurrent is not None:
            db_recurrent += self.xp.concatenate([da_z, da_r, dproduct], axis=1).sum(axis=0)     # from (2), (3), (4)
        dx = self._product_backward(da, cache.x, self.kernel, cache.masks[0])   # from (1)
        return dx, [dh_prev]

    def _candidate_backward(self, da_h: Any) -> tuple[Any, Any, Any]:
        """Add dU_h, and return dr, the gradient of the product with U_h, and that of h_{t-1} as h~ sees it."""
        r, u, (_, _, h_h) = self.cache.r, self.cache.u, self.cache.h_seen
        if self.reset_after:
            dr, du = da_h * u, da_h * r                                         # from (5)
            return dr, du, self._gate_product_backward(2, h_h, du)              # from (4)
        du = self._gate_product_backward(2, u, da_h)                            # from (5')
        return du * h_h, da_h, du * r                                           # from (4')

    def _gate_product_backward(self, gate: int, factor: Any, dproduct: Any) -> Any:
        """Given the gradient of the product factor U_gate, add dU_gate and return dfactor."""
        columns = slice(gate * self.units, (gate + 1) * self.units)
        self.recurrent_kernel.grad[:, columns] += self._matmul(factor, dproduct, transpose_a=True)
        U_gate = self.xp.ascontiguousarray(self.recurrent_kernel.value[:, columns])
        return self._matmul(dproduct, U_gate, transpose_b=True)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "recurrent_activation": activations.serialize(self.recurrent_activation),
                "reset_after": self.reset_after}


class GRU(FusedRNN):
    r"""Gated recurrent unit: one state, and two gates that decide what stays of it and what the new one is made of.

        z_t = \sigma(x_t W_z + b_z + h_{t-1} U_z + b'_z)        (1)
        r_t = \sigma(x_t W_r + b_r + h_{t-1} U_r + b'_r)        (2)
        u_t = h_{t-1} U_h + b'_h                                (3)     with reset_after
        h~_t = \tanh(x_t W_h + b_h + r_t u_t)                   (4)
        u_t = r_t h_{t-1}                                       (3')    without; then there is no b'
        h~_t = \tanh(x_t W_h + b_h + u_t U_h)                   (4')
        h_t = z_t h_{t-1} + (1 - z_t) h~_t                      (5)     the documents have z_t and 1 - z_t the other way round

    With tanh and sigmoid, and without recurrent dropout in training, one kernel walks through time (its cache is
    `GRU.Cache`); otherwise `RNN` walks over the cell (`RNN.Cache`, whose steps are `GRUCell.Cache`).

    It has 3 [(D + H) H + 2H] weights (document 003 leaves out b'; its printed count has it), or 3 [(D + H) H + H] without
    reset_after.

    Arguments:
        units, activation, recurrent_activation, use_bias, kernel_*, recurrent_*, bias_*, dropout, recurrent_dropout, seed,
            reset_after: as in `GRUCell`.
        activity_regularizer: penalty on the output.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as in `RNN`.
        use_cudnn, implementation: accepted as in Keras; they change no result.

    Inputs and outputs: as in `RNN`, sequences (B, T, D), one state (B, units).

    Raises:
        ValueError: as in `RNN`; `use_cudnn` neither "auto" nor a truth value.

    Source: 001.09.GRU, 003.ReturnSequences, 003.Params.GRU.
    """

    class Cache(Record):
        x: np.ndarray               # (B, T, D), after dropout; index t of every field belongs to x_t
        h0: np.ndarray              # (B, H)
        gates: np.ndarray           # (B, T, 3H), of which z, r and h_tilde are views; at masked steps they and u mean nothing
        u: np.ndarray               # (B, T, H)
        h: np.ndarray               # (B, T, H)
        mask: np.ndarray            # (B * T,), True at real steps
        dropout_mask: Any           # (B, D), or None
        steps: Steps                # where they lie; of a packed batch (N, …) stands for (B, T, …) everywhere
        packed: Any = None          # the PackedSequence without its data, if one was given
        given = False               # whether backward returns dL/dh0
        options: Any = None         # the layer's return_sequences, go_backwards …, as they were
        z, r, h_tilde = map(columns_of_gate, range(3))          # each (B, T, H)

    cell: GRUCell
    recurrent_activation, reset_after = map(of_the_cell, ("recurrent_activation", "reset_after"))

    def __init__(self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
                 bias_initializer: Any = "zeros", kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
                 bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
                 recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
                 recurrent_dropout: float = 0.0, seed: int | None = None, return_sequences: bool = False,
                 return_state: bool = False, go_backwards: bool = False, stateful: bool = False, unroll: bool = False,
                 reset_after: bool = True, use_cudnn: Any = "auto", implementation: int = 2, **kwargs: Any) -> None:
        cell = GRUCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint, dropout, recurrent_dropout, reset_after, seed, name="gru_cell", **self._for_cell(kwargs))
        super().__init__(cell, return_sequences=return_sequences, return_state=return_state, go_backwards=go_backwards,
                         stateful=stateful, unroll=unroll, activity_regularizer=activity_regularizer, **kwargs)
        choice(self.described, "use_cudnn", use_cudnn, ("auto", True, False))
        choice(self.described, "implementation", implementation, (0, 1, 2))
        self.fused = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid

    def _run(self, x: Any, states: list[Any], mask: Any, training: bool) -> tuple[Any, list[Any]]:
        if not self._uses_kernel(training):
            return super()._run(x, states, mask, training)
        (h0,), (x, mask, steps), H = states, self._taken_apart(x, mask), self.units
        x, dropout_mask = self._dropped(x, steps, h0, training)
        b, b_recurrent = self.cell.biases("value")
        gates = self._affine(x, self.cell.kernel.value, b)
        b_recurrent = self.xp.zeros(3 * H, self.dtype) if b_recurrent is None else b_recurrent
        u = self.xp.empty((*x.shape[:-1], H), self.dtype)
        h = self.xp.empty_like(u)
        self.kernels.recurrent.gru_forward(as_rows(gates), self.cell.recurrent_kernel.value, b_recurrent, h0, mask,
                                           *steps.on(self.xp), self.go_backwards, self.reset_after, as_rows(u), as_rows(h))
        self.cache = self.Cache(x, h0, gates, u, h, mask, dropout_mask, steps)
        return self._output(h, mask, steps), [self._last(h, steps)]

    def _run_backward(self, dy: Any, dstates: list[Any]) -> tuple[Any, list[Any]]:
        cache = self.cache
        if not isinstance(cache, self.Cache):
            return super()._run_backward(dy, dstates)
        dy, (dh,) = self._arriving(dy, dstates)
        da = self.xp.empty(as_rows(cache.gates).shape, self.dtype)
        dproduct = self.xp.empty(as_rows(cache.u).shape, self.dtype)
        self.kernels.recurrent.gru_backward(dy, self.cell.recurrent_kernel.value, as_rows(cache.gates), as_rows(cache.u),
                                            cache.h0, as_rows(cache.h), cache.mask, *cache.steps.on(self.xp), self.go_backwards,
                                            self.reset_after, dh, da, dproduct)
        dx = self._input_backward(da)                                           # from (1), (2), (4) or (4')
        db, _ = self.cell.biases("grad")
        if db is not None:
            self.kernels.core.bias_backward(da, db)                             # from (1), (2), (4) or (4')
        self._products_backward(da, dproduct)
        return dx, [dh]

    def _products_backward(self, da: Any, dproduct: Any) -> None:
        """Add dU and db', given da (N, 3H), whose last third is overwritten, and the gradient (N, H) of what U_h gave."""
        H, dU = self.units, self.cell.recurrent_kernel.grad
        if not self.reset_after:
            dU_zr = self.xp.zeros((H, 2 * H), self.dtype)
            self._recurrent_backward(self.xp.ascontiguousarray(da[:, :2 * H]), dU_zr)   # from (1), (2)
            dU[:, :2 * H] += dU_zr
            dU[:, 2 * H:] += self._matmul(as_rows(self.cache.u), dproduct, transpose_a=True)       # from (4')
            return
        da[:, 2 * H:] = dproduct                                                # now all three are of products with h_{t-1}
        self._recurrent_backward(da, dU)                                        # from (1), (2), (3)
        _, db_recurrent = self.cell.biases("grad")
        if db_recurrent is not None:
            self.kernels.core.bias_backward(da, db_recurrent)                   # from (1), (2), (3)
