"""ConvLSTM1D, ConvLSTM2D and ConvLSTM3D: an LSTM whose inputs and states are sequences, images or volumes."""
from typing import Any

import numpy as np

from nblayers import activations, config
from nblayers.layers.base import InputSpec, Record
from nblayers.layers.recurrent.cell_layer import CellLayer, of_the_cell
from nblayers.layers.recurrent.conv_lstm_cell import ConvLSTMCell, dropped, dropped_backward
from nblayers.layers.windows import three


class ConvLSTM(CellLayer):
    r"""A convolutional LSTM of any rank, which a subclass sets.

        z_t = W * x_t + b                               (1)     does not need the step before: one convolution for all steps
        i_t, f_t, o_t = \sigma(z_t + U * h_{t-1})       (2)     each gate with its own channels of z and of U * h
        c~_t = \tanh(z_t + U * h_{t-1})                 (3)
        c_t = f_t c_{t-1} + i_t c~_t                    (4)
        h_t = o_t \tanh(c_t)                            (5)

    With tanh and sigmoid, and without recurrent dropout in training, one kernel walks through time (its cache is
    `ConvLSTM.Cache`); otherwise `RNN` walks over the cell (`RNN.Cache`, whose steps are `ConvLSTMCell.Cache`).
    """

    cell: ConvLSTMCell
    rank = 0

    class Cache(Record):
        x: np.ndarray               # (B, T, D, H, W, C), after dropout 4C channels, C for each gate; index t belongs to x_t
        h0: np.ndarray              # (B, OD, OH, OW, F)
        c0: np.ndarray              # (B, OD, OH, OW, F)
        gates: np.ndarray           # (B, T, OD, OH, OW, 4F), the values of i, f, c~, o; at masked steps they mean nothing
        c: np.ndarray               # (B, T, OD, OH, OW, F)
        h: np.ndarray               # (B, T, OD, OH, OW, F)
        mask: np.ndarray            # (B, T), True at real steps
        dropout_mask: Any           # (B, D, H, W, 4, C), or None
        given = False               # whether backward returns dL/dh0 and dL/dc0
        options: Any = None         # the layer's return_sequences, go_backwards …, as they were

    filters, kernel_size, strides, padding, data_format, dilation_rate = map(of_the_cell, (
        "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate"))
    recurrent_activation, unit_forget_bias = map(of_the_cell, ("recurrent_activation", "unit_forget_bias"))

    def __init__(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                 data_format: str | None = None, dilation_rate: Any = 1, activation: Any = "tanh",
                 recurrent_activation: Any = "sigmoid", use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
                 recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros", unit_forget_bias: bool = True,
                 kernel_regularizer: Any = None, recurrent_regularizer: Any = None, bias_regularizer: Any = None,
                 activity_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None,
                 bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
                 seed: int | None = None, return_sequences: bool = False, return_state: bool = False,
                 go_backwards: bool = False, stateful: bool = False, **kwargs: Any) -> None:
        cell = ConvLSTMCell(
            self.rank, filters, kernel_size, strides, padding, data_format, dilation_rate, activation, recurrent_activation,
            use_bias, kernel_initializer, recurrent_initializer, bias_initializer, unit_forget_bias, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint, dropout,
            recurrent_dropout, seed, name="conv_lstm_cell", **self._for_cell(kwargs))
        super().__init__(cell, return_sequences=return_sequences, return_state=return_state, go_backwards=go_backwards,
                         stateful=stateful, activity_regularizer=activity_regularizer, **kwargs)
        self.input_spec = InputSpec(ndim=self.rank + 3)
        self.fused = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        sizes = self.cell.input_spec.axes                                       # type: ignore[union-attr]
        self.input_spec = InputSpec(ndim=self.rank + 3, axes={axis + 1: size for axis, size in sizes.items()})

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """(B, new places…, F) or (B, T, new places…, F); with `return_state` a list of this and the two states' shapes."""
        shape = sequences_shape[0] if isinstance(sequences_shape[0], (list, tuple)) else sequences_shape
        batch, length, *step = shape
        state, states = self.cell.compute_output_shape((batch, *step))
        output = (batch, length, *state[1:]) if self.return_sequences else state
        return [output, *states] if self.return_state else output

    def _run(self, x: Any, states: list[Any], mask: Any, training: bool) -> tuple[Any, list[Any]]:
        cell, xp = self.cell, self.xp
        if not self._uses_kernel(training):
            return super()._run(x, states, mask, training)
        x, (h0, c0) = self._volumes(x), map(cell._volume, states)
        B, T = x.shape[:2]
        mask = xp.ones((B, T), bool) if mask is None else mask
        cell.reset_dropout_mask()
        dropout_mask, _ = cell.dropout_masks(x[:, 0], h0, training)
        x = x if dropout_mask is None else dropped(x, dropout_mask[:, None])
        gates = xp.empty((B, T, *h0.shape[1:-1], 4 * self.filters), self.dtype)
        c, h = xp.empty((B, T, *h0.shape[1:]), self.dtype), xp.empty((B, T, *h0.shape[1:]), self.dtype)
        cell.input_share(_images(x), _images(gates))                            # (1)
        self.kernels.conv_lstm.conv_lstm_forward(gates, cell.recurrent_volume, h0, c0, mask, self.go_backwards,
                                                 config.winograd(), c, h)
        self.cache = self.Cache(x, h0, c0, gates, c, h, mask, dropout_mask)
        last = 0 if self.go_backwards else -1
        return self._output(h, mask), [cell._image(h[:, last]), cell._image(c[:, last])]

    def _run_backward(self, dy: Any, dstates: list[Any]) -> tuple[Any, list[Any]]:
        cell, cache, xp = self.cell, self.cache, self.xp
        if not isinstance(cache, self.Cache):
            return super()._run_backward(dy, dstates)
        dh, dc = [cell._volume(d).copy() for d in dstates] or [xp.zeros_like(cache.h0), xp.zeros_like(cache.h0)]
        da = xp.empty_like(cache.gates)
        self.kernels.conv_lstm.conv_lstm_backward(self._arriving(dy, dh), cell.recurrent_volume, cache.gates, cache.c0, cache.c,
                                                  cache.mask, self.go_backwards, config.winograd(), dh, dc, da)    # (5) to (2)
        dx = xp.empty_like(cache.x) if self.input_gradient else None
        cell.input_share_backward(_images(cache.x), _images(da), None if dx is None else _images(dx))       # from (1)
        self._recurrent_gradient(da)
        if dx is not None:
            dx = self._sequence(dx if cache.dropout_mask is None else dropped_backward(dx, cache.dropout_mask[:, None]))
        return dx, [cell._image(dh), cell._image(dc)]

    def _recurrent_gradient(self, da: Any) -> None:
        """Given da = dL/dz add dU, from (2) and (3); writes to da."""
        cell, cache = self.cell, self.cache
        begin = -1 if self.go_backwards else 0
        if cache.h0.any():
            cell.add_recurrent_gradient(cache.h0, self.xp.ascontiguousarray(da[:, begin]))
        da[:, begin] = 0                                    # came from h0; all others from the step beside them
        h, da = _images(cache.h), _images(da)
        if da.shape[0] > 1:
            cell.add_recurrent_gradient(*(h[1:], da[:-1]) if self.go_backwards else (h[:-1], da[1:]))

    def _output(self, h: Any, mask: Any) -> Any:
        """What the layer returns of the states h (B, T, OD, OH, OW, F)."""
        if self.zero_output_for_mask:
            h = self.xp.where(_by_image(mask), h, 0)
        if self.return_sequences:
            return self._sequence(h[:, ::-1] if self._flips else h)
        return self.cell._image(h[:, 0 if self.go_backwards else -1]).copy()

    def _arriving(self, dy: Any, dh: Any) -> Any:
        """The gradients of every h_t (B, T, OD, OH, OW, F), or (B, 0, …) where that of the last was added to dh."""
        mask = self.cache.mask
        if self.return_sequences:
            dy = self._volumes(dy[:, ::-1] if self._flips else dy)
            return self.xp.where(_by_image(mask), dy, 0) if self.zero_output_for_mask else dy
        dy = self.cell._volume(dy)
        dh += self.xp.where(_by_image(mask[:, 0 if self.go_backwards else -1]), dy, 0) if self.zero_output_for_mask else dy
        return dy[:, None][:, :0]

    def _volumes(self, x: Any) -> Any:
        """(B, T, …) in the layer's data format as (B, T, D, H, W, channels), contiguous."""
        if self.data_format == "channels_first":
            x = self.xp.moveaxis(x, 2, -1)
        B, T, *places, channels = x.shape
        return self.xp.ascontiguousarray(x).reshape(B, T, *three(tuple(places), 1), channels)

    def _sequence(self, x: Any) -> Any:
        """The other way."""
        B, T, *places, channels = x.shape
        x = x.reshape(B, T, *places[3 - self.rank:], channels)
        return self.xp.ascontiguousarray(self.xp.moveaxis(x, -1, 2) if self.data_format == "channels_first" else x)


def _images(x: Any) -> Any:
    """(B, T, …) as (B T, …): all steps of all sequences are one batch of images."""
    return x.reshape(-1, *x.shape[2:])


def _by_image(mask: Any) -> Any:
    """A mask as it is compared with images."""
    return mask[..., None, None, None, None]


class ConvLSTM1D(ConvLSTM):
    """An LSTM over time whose inputs and states are sequences: all as in `ConvLSTM2D`, with one axis of places.

    Inputs (B, T, L, C), outputs and states (B, new L, filters), or (B, T, new L, filters) with `return_sequences`; with
    data_format="channels_first" (B, T, C, L) and (B, filters, new L).

    Raises:
        ValueError: as in `ConvLSTM2D`.

    Source: 001.09.ConvLSTM1D.
    """

    rank = 1


class ConvLSTM2D(ConvLSTM):
    r"""An LSTM over time whose inputs and states are images: for films, radar maps, anything that moves.

        i_t = \sigma(W_i * x_t + U_i * h_{t-1} + b_i)       (1)
        f_t = \sigma(W_f * x_t + U_f * h_{t-1} + b_f)       (2)
        c~_t = \tanh(W_c * x_t + U_c * h_{t-1} + b_c)       (3)
        o_t = \sigma(W_o * x_t + U_o * h_{t-1} + b_o)       (4)
        c_t = f_t c_{t-1} + i_t c~_t                        (5)
        h_t = o_t \tanh(c_t)                                (6)

    W * x is a convolution as in `Conv2D`; U * h has the same kernel size, stride 1 and padding "same", so that the state keeps
    its size. Each gate has `filters` channels.

    Arguments:
        filters: how many channels the states have; h is also the output.
        kernel_size: of both convolutions, an integer or (height, width).
        strides, padding, dilation_rate: of W * x alone, as in `Conv2D`; "valid" or "same".
        data_format: "channels_last" or "channels_first"; None: `nblayers.config.image_data_format()`.
        activation: \tanh in (3) and (6); None for none.
        recurrent_activation: \sigma; None for none.
        use_bias: whether there is b.
        kernel_initializer, recurrent_initializer, bias_initializer: first values of W (height, width, C, 4 filters),
            U (height, width, filters, 4 filters) and b (4 filters,); the gates stand side by side in the order i, f, c~, o.
        unit_forget_bias: begin with b_f = 1: a new LSTM remembers.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: their penalties.
        activity_regularizer: penalty on the output.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each optimizer step.
        dropout, recurrent_dropout: fraction of x_t and of h_{t-1} that is dropped in training: the same at every step, for each
            gate anew.
        seed: of the dropout masks.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as in `RNN`.

    Inputs (B, T, H, W, C), outputs and states (B, new H, new W, filters), or (B, T, new H, new W, filters) with
    `return_sequences`; with data_format="channels_first" (B, T, C, H, W) and (B, filters, new H, new W). A mask is (B, T).

    Raises:
        ValueError: arguments that are no sizes, rates or modes; strides together with dilation; inputs of unknown or other
            sizes, too small for the kernel, or without time steps; states or a mask of other shapes; a stateful layer given
            another batch size than before.

    Source: 001.09.ConvLSTM2D; Shi et al. 2015, "Convolutional LSTM Network", without its peepholes.
    """

    rank = 2


class ConvLSTM3D(ConvLSTM):
    """An LSTM over time whose inputs and states are volumes: all as in `ConvLSTM2D`, with three axes of places.

    Inputs (B, T, D, H, W, C), outputs and states (B, new D, new H, new W, filters), or (B, T, new D, new H, new W, filters)
    with `return_sequences`; with data_format="channels_first" (B, T, C, D, H, W) and (B, filters, new D, new H, new W).

    Raises:
        ValueError: as in `ConvLSTM2D`.

    Source: 001.09.ConvLSTM3D.
    """

    rank = 3
