"""The layers whose walk through time is one kernel."""
from typing import Any

from nblayers.arrays import as_rows
from nblayers.layers.base import InputSpec, by_looks
from nblayers.layers.recurrent.cell import DenseCell
from nblayers.layers.recurrent.cell_layer import CellLayer, of_the_cell
from nblayers.layers.recurrent.packed import KeepsPacked
from nblayers.layers.recurrent.steps import Steps, packed as packed_steps, padded as padded_steps
from nblayers.utils.packing import PackedSequence, check_packed


def columns_of_gate(number: int) -> Any:
    """In a cache, one gate (…, H): a view of `gates`, where all stand side by side, each as wide as h."""
    def view(cache: Any) -> Any:
        H = cache.h.shape[-1]
        return cache.gates[..., number * H:(number + 1) * H]
    return property(view)


class FusedRNN(KeepsPacked, CellLayer):
    r"""An RNN over a cell of the library that has a kernel for the whole sequence.

        z_t = x_t W + b                 (1)     does not need the step before: one product for all steps, outside the kernel
        a_t = z_t + h_{t-1} U           (2)     in the kernel, with all that follows from it

    Every step uses the same weights, so that their gradients are sums over time: one product each, after the kernel. A subclass
    sets `fused` and writes `_run` and `_run_backward` around its kernels; where `_uses_kernel` says no, they are `RNN`'s.
    """

    cell: DenseCell
    units = of_the_cell("units")

    def __init__(self, cell: DenseCell, **kwargs: Any) -> None:
        super().__init__(cell, **kwargs)
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.input_spec = InputSpec(ndim=3, axes={2: self.cell.kernel.shape[0]})

    def get_initial_state(self, batch_size: int) -> list[Any]:
        return self.cell.get_initial_state(batch_size)

    def _initial_states(self, given: Any, batch: int) -> list[Any]:
        states = self.states if self.stateful and given is None else None
        if states and all([self._is_ready(state) and state.shape == (batch, self.units) for state in states]):
            return states                               # as the call before left them
        return super()._initial_states(given, batch)

    def _state_shapes(self, batch: int) -> list[Any]:
        return [(batch, self.units)] * self.cell.states

    def _forward(self, sequences: Any, initial_state: Any, mask: Any, training: bool) -> Any:
        if isinstance(sequences, PackedSequence):
            return self._forward_packed(sequences, initial_state, mask, training)
        return super()._forward(sequences, initial_state, mask, training)

    def _forward_packed(self, packed: PackedSequence, initial_state: Any, mask: Any, training: bool) -> Any:
        """`forward` of a packed batch: states stand in the order of the batch, the walk needs them longest first."""
        if mask is not None or self.activity_regularizer is not None or not self._uses_kernel(training):
            raise ValueError(f"{self.described}: expected a packed batch without mask, activity_regularizer and, in training, "
                             "recurrent_dropout, for activations that have a kernel; pad_packed_sequence makes an array of it")
        states = self._initial_states(initial_state, packed.shape[0])
        if packed.sorted_indices is not None:
            states = [self.xp.ascontiguousarray(state[packed.sorted_indices]) for state in states]
        output, states = self._run(packed, states, None, training)
        self.cache.packed, self.cache.given = packed._replace(data=None), initial_state is not None
        self.cache.options = self._options
        states = self._in_batch_order(packed, states)
        if self.stateful:
            self.states = states
        output = packed._replace(data=output) if self.return_sequences else states[0].copy()
        return [output, *(state.copy() for state in states)] if self.return_state else output

    def backward(self, dy: Any) -> Any:
        packed = self._packed
        if packed is None:
            return super().backward(dy)
        self._check_options()
        given = self.cache.given
        dy, *dstates = dy if self.return_state else [dy]
        if packed.sorted_indices is not None:
            dy = dy if self.return_sequences else dy[packed.sorted_indices]
            dstates = [dstate[packed.sorted_indices] for dstate in dstates]
        dx, dstates = self._run_backward(dy.data if self.return_sequences else dy, dstates)
        dx = None if dx is None else packed._replace(data=dx)
        return [dx, *self._in_batch_order(packed, dstates)] if given else dx

    def _in_batch_order(self, packed: PackedSequence, states: list[Any]) -> list[Any]:
        return states if packed.unsorted_indices is None else [state[packed.unsorted_indices] for state in states]

    def _taken_apart(self, x: Any, mask: Any) -> tuple[Any, Any, Steps]:
        """The steps' inputs (B, T, D), or (N, D) of a packed batch, whether they are real (N,), and where they lie."""
        if isinstance(x, PackedSequence):
            x, steps = x.data, packed_steps(x)
        else:
            steps = padded_steps(x.shape[0], x.shape[1])
        return x, steps.all_real(self.xp) if mask is None else mask.reshape(-1), steps

    def _silences(self, mask: Any, steps: Steps) -> bool:
        """Whether outputs at masked steps are set to 0."""
        return self.zero_output_for_mask and mask is not steps.all_real(self.xp)

    def _dropped(self, x: Any, steps: Steps, h0: Any, training: bool) -> tuple[Any, Any]:
        """x after dropout, and the mask (B, D), the same at every step; None without dropout."""
        if not (training and self.cell.dropout):
            return x, None
        self.cell.reset_dropout_mask()
        masks, _ = self.cell.dropout_masks(x[:, 0] if x.ndim == 3 else x[:len(h0)], h0, training)
        return (x, None) if masks is None else (x * self._at_each_step(masks[0], steps), masks[0])

    def _at_each_step(self, values: Any, steps: Steps) -> Any:
        """(B, D) as (B, 1, D), or as (N, D) for a packed batch."""
        return values[:, None] if steps.padded else values[self.xp.asarray(steps.sample)]

    def _last(self, values: Any, steps: Steps) -> Any:
        """Of (…, H) each sequence's step that is walked last, (B, H)."""
        if values.ndim == 3:
            return values[:, 0 if self.go_backwards else -1]
        return values[:steps.rows[0]] if self.go_backwards else values[self.xp.asarray(steps.ends)]

    def _output(self, h: Any, mask: Any, steps: Steps) -> Any:
        """What the layer returns of the states h."""
        if self._silences(mask, steps):
            h = self.xp.where(mask.reshape(*h.shape[:-1], 1), h, 0)
        if not self.return_sequences:
            return self._last(h, steps).copy()
        return self.xp.ascontiguousarray(h[:, ::-1]) if h.ndim == 3 and self._flips else h

    def _arriving(self, dy: Any, dstates: list[Any]) -> tuple[Any, list[Any]]:
        """Gradients as the kernel takes them: of every h_t (N, H), or (0, H), and copies of the last states'."""
        cache = self.cache
        dstates = [d.copy() for d in dstates] or [self.xp.zeros(cache.h0.shape, self.dtype) for _ in range(self.cell.states)]
        real = cache.mask.reshape(*cache.h.shape[:-1], 1) if self._silences(cache.mask, cache.steps) else None
        if not self.return_sequences:
            dstates[0] += dy if real is None else self.xp.where(self._last(real, cache.steps), dy, 0)
            return self.xp.empty((0, self.units), self.dtype), dstates
        dy = self.xp.ascontiguousarray(dy[:, ::-1]) if dy.ndim == 3 and self._flips else dy
        return as_rows(dy if real is None else self.xp.where(real, dy, 0)), dstates

    def _input_backward(self, da: Any) -> Any:
        """Given da = dL/dz (N, columns) add dW, and return dx (None if nobody needs it)."""
        cell, cache = self.cell, self.cache
        W = cell.kernel
        dx = self._affine_backward(da, cache.x, W.value, W.grad, None, needed=self.input_gradient)      # from (1)
        if dx is None or cache.dropout_mask is None:
            return dx
        return dx * self._at_each_step(cache.dropout_mask, cache.steps)

    def _recurrent_backward(self, da: Any, dU: Any) -> None:
        """Given da = dL/d(h_{t-1} U) (N, columns) add dU."""
        cache, steps = self.cache, self.cache.steps
        h = as_rows(cache.h)
        if not steps.padded:
            h_prev = steps.before(h, cache.h0, self.go_backwards, self.xp)
            self._matmul(h_prev, da, dU, transpose_a=True, add=True)                        # from (2)
            return
        da_begin = da.reshape(len(cache.h0), -1, da.shape[1])[:, -1 if self.go_backwards else 0]
        kept = da_begin.copy()
        if self.device == "cuda" or cache.h0.any():                                         # on a GPU to ask is to wait
            self._matmul(cache.h0, kept, dU, transpose_a=True, add=True)                    # from (2): these came from h0,
        if len(h) > len(kept):
            da_begin[...] = 0
            h_prev, da_rest = (h[1:], da[:-1]) if self.go_backwards else (h[:-1], da[1:])   # the others from their neighbours
            self._matmul(h_prev, da_rest, dU, transpose_a=True, add=True)                   # from (2)
            da_begin[...] = kept

    def _after_the_loop(self, da: Any) -> Any:
        """Given da = dL/da = dL/dz (N, columns) add dW, dU and db, and return dx (None if nobody needs it)."""
        self._recurrent_backward(da, self.cell.recurrent_kernel.grad)                       # from (2)
        if self.cell.bias is not None:
            self.kernels.core.bias_backward(da, self.cell.bias.grad)                        # from (1)
        return self._input_backward(da)                                                     # from (1)

    @by_looks
    def _check_inputs(self, inputs: Any) -> None:
        if not isinstance(inputs, PackedSequence):
            return super()._check_inputs(inputs)
        check_packed(self.described, inputs)
        if inputs.data.ndim != 2:
            raise ValueError(f"{self.described}: expected packed data of shape (steps, features), got {inputs.data.shape}")
        super()._check_inputs(inputs.data[None])
