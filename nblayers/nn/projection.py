"""The LSTM whose state is projected to fewer numbers."""
from typing import Any

import numpy as np

from nblayers.arguments import integer
from nblayers.layers.base import InputSpec, Parameter, _shapes
from nblayers.layers.fixed import fixed
from nblayers.layers.recurrent.lstm import LSTMCell


class ProjectedLSTMCell(LSTMCell):
    r"""`layers.LSTMCell` whose output and first state are a projection of its h to P numbers.

        s_t = o_t g(c_t)        (1)     what h_t is in `layers.LSTMCell`
        h_t = s_t V             (2)

    Weights: kernel W (D, 4H), recurrent_kernel U (P, 4H), bias b (4H,), projection V (H, P).

    Arguments:
        units: H.
        proj_size: P.

    Others, and errors: `layers.LSTMCell`.

    Source: torch.nn.LSTM; Sak, Senior, Beaufays 2014, "Long short-term memory recurrent neural network architectures".
    """

    proj_size: int = fixed()
    projection: Parameter = fixed()

    class Cache(LSTMCell.Cache):
        s: np.ndarray | None = None         # (B, H)

    def __init__(self, units: int, proj_size: int, **kwargs: Any) -> None:
        super().__init__(units, unit_forget_bias=False, **kwargs)
        self.proj_size = integer(self.described, "proj_size", proj_size, 1)

    @property
    def output_size(self) -> int:
        return self.proj_size

    @property
    def state_size(self) -> list[int]:
        return [self.proj_size, self.units]

    def build(self, input_shape: Any) -> None:
        columns = self.gates * self.units
        self.kernel = self.add_weight((input_shape[-1], columns), self.kernel_initializer, name="kernel")
        self.recurrent_kernel = self.add_weight((self.proj_size, columns), self.recurrent_initializer, name="recurrent_kernel")
        self.bias = self.add_weight((columns,), "zeros", name="bias") if self.use_bias else None
        self.projection = self.add_weight((self.units, self.proj_size), name="projection")
        self.input_spec = InputSpec(ndim=2, axes={1: input_shape[-1]})

    def get_initial_state(self, batch_size: int) -> list[Any]:
        return [self.xp.zeros((batch_size, size), self.dtype) for size in self.state_size]

    def forward(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        s, [_, c] = super().forward(inputs, states, training)               # (1)
        self.cache.s = s
        h = self._matmul(s, self.projection.value)                          # (2)
        return h, [h, c]

    def backward(self, dy: Any) -> tuple[Any, list[Any]]:
        dout, (dh, dc) = dy
        s, V = self.cache.s, self.projection
        ds = self._affine_backward(dout + dh, s, V.value, V.grad, None)     # from (2)
        return super().backward((ds, [self.xp.zeros_like(ds), dc]))         # from (1)

    def _checked(self, states: Any, inputs: Any) -> list[Any]:
        expected = [(len(inputs), size) for size in self.state_size]
        if _shapes(states) != expected:
            raise ValueError(f"{self.described}: expected states of shapes {expected}, got {_shapes(states)}")
        return states
