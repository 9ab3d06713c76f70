"""The layers whose walk through time is one kernel."""
from typing import Any

from nblayers import regularizers
from nblayers.layers.base import InputSpec
from nblayers.layers.recurrent.cell import DenseCell
from nblayers.layers.recurrent.rnn import RNN


def of_the_cell(name: str) -> Any:
    """A property that reads the cell's attribute of this name."""
    return property(lambda self: getattr(self.cell, name), doc=f"`{name}` of the cell.")


class FusedRNN(RNN):
    r"""An RNN over a cell of the library that has a kernel for the whole sequence.

        z_t = x_t W + b                 (1)     does not need the step before: one product for all steps, outside the kernel
        a_t = z_t + h_{t-1} U           (2)     in the kernel, with all that follows from it

    Every step uses the same weights, so that their gradients are sums over time: one product each, after the kernel. A subclass
    sets `fused` and writes `_run` and `_run_backward` around its kernels; where `_uses_kernel` says no, they are `RNN`'s.
    """

    cell: DenseCell
    fused = False                   # whether there is a kernel for the cell's activations

    units, activation, use_bias = map(of_the_cell, ("units", "activation", "use_bias"))
    kernel_initializer, recurrent_initializer, bias_initializer = map(of_the_cell, (
        "kernel_initializer", "recurrent_initializer", "bias_initializer"))
    kernel_regularizer, recurrent_regularizer, bias_regularizer = map(of_the_cell, (
        "kernel_regularizer", "recurrent_regularizer", "bias_regularizer"))
    kernel_constraint, recurrent_constraint, bias_constraint = map(of_the_cell, (
        "kernel_constraint", "recurrent_constraint", "bias_constraint"))
    dropout, recurrent_dropout, seed = map(of_the_cell, ("dropout", "recurrent_dropout", "seed"))

    def __init__(self, cell: DenseCell, **kwargs: Any) -> None:
        super().__init__(cell, **kwargs)
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.input_spec = InputSpec(ndim=3, axes={2: self.cell.kernel.shape[0]})

    def get_config(self) -> dict[str, Any]:
        own = super().get_config()
        cell = own.pop("cell")["config"]
        return {**cell, **own, "activity_regularizer": regularizers.serialize(self.activity_regularizer)}

    def _uses_kernel(self, training: bool) -> bool:
        return self.fused and not (training and self.cell.recurrent_dropout)

    def _dropped(self, x: Any, h0: Any, training: bool) -> tuple[Any, Any]:
        """x after dropout, and the mask (B, D), the same at every step; None without dropout."""
        if not (training and self.cell.dropout):
            return x, None
        self.cell.reset_dropout_mask()
        masks, _ = self.cell.dropout_masks(x[:, 0], h0, training)
        return (x, None) if masks is None else (x * masks[0][:, None], masks[0])

    def _input_share(self, x: Any) -> Any:
        """z (B, T, columns) of (1)."""
        kernel, bias = self.cell.kernel.value, self.cell.bias
        B, T, D = x.shape
        z = self.xp.empty((B, T, kernel.shape[1]), self.dtype)
        if bias is not None:
            z[...] = bias.value
        self.matmul(x.reshape(B * T, D), kernel, z.reshape(B * T, -1), add=bias is not None)
        return z

    def _all_real(self, x: Any, mask: Any) -> Any:
        return self.xp.ones(x.shape[:2], bool) if mask is None else mask

    def _last(self, values: Any) -> Any:
        """Of (B, T, …) the step that is walked last."""
        return values[:, 0 if self.go_backwards else -1]

    def _output(self, h: Any, mask: Any) -> Any:
        """What the layer returns of the states h (B, T, H)."""
        if self.zero_output_for_mask:
            h = self.xp.where(mask[..., None], h, 0)
        if not self.return_sequences:
            return self._last(h).copy()
        return self.xp.ascontiguousarray(h[:, ::-1]) if self.go_backwards else h

    def _arriving(self, dy: Any, dstates: list[Any]) -> tuple[Any, list[Any]]:
        """Gradients as the kernel takes them: of every h_t (B, T, H), or (B, 0, H), and copies of the last states'."""
        cache = self.cache
        dstates = [d.copy() for d in dstates] or [self.xp.zeros_like(cache.h0) for _ in self.state_size]
        if not self.return_sequences:
            if self.zero_output_for_mask:
                dy = self.xp.where(self._last(cache.mask)[:, None], dy, 0)
            dstates[0] += dy
            return self.xp.empty((len(dy), 0, self.units), self.dtype), dstates
        dy = self.xp.ascontiguousarray(dy[:, ::-1]) if self.go_backwards else dy
        return self.xp.where(cache.mask[..., None], dy, 0) if self.zero_output_for_mask else dy, dstates

    def _after_the_loop(self, da: Any) -> Any:
        """Given da = dL/da = dL/dz (B, T, columns) add dW, dU and db, and return dx (None if nobody needs it)."""
        cell, cache, xp = self.cell, self.cache, self.xp
        x, h = cache.x, cache.h
        h_prev = xp.empty_like(h)
        if self.go_backwards:
            h_prev[:, :-1], h_prev[:, -1] = h[:, 1:], cache.h0
        else:
            h_prev[:, 1:], h_prev[:, 0] = h[:, :-1], cache.h0
        da = da.reshape(-1, da.shape[2])
        x_rows, h_rows = x.reshape(len(da), -1), h_prev.reshape(len(da), -1)
        self.matmul(x_rows, da, cell.kernel.grad, transpose_a=True, add=True)               # from (1)
        self.matmul(h_rows, da, cell.recurrent_kernel.grad, transpose_a=True, add=True)     # from (2)
        if cell.bias is not None:
            self.kernels.core.bias_backward(da, cell.bias.grad)                             # from (1)
        if not self.input_gradient:
            return None
        dx = self.matmul(da, cell.kernel.value, transpose_b=True).reshape(x.shape)          # from (1)
        return dx if cache.dropout_mask is None else dx * cache.dropout_mask[:, None]
