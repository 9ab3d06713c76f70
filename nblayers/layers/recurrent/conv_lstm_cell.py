"""The cell of ConvLSTM1D, ConvLSTM2D and ConvLSTM3D."""
from typing import Any

import numpy as np

from nblayers import activations, sharing
from nblayers.arguments import flag, found
from nblayers.layers import windows
from nblayers.layers.base import InputSpec, Parameter, Record, _shapes, positive
from nblayers.layers.convolution import sliding
from nblayers.layers.fixed import fixed
from nblayers.layers.recurrent.gates import LSTMGates
from nblayers.layers.recurrent.options import CellOptions
from nblayers.layers.spatial import SpatialLayer


class ConvLSTMCell(LSTMGates, CellOptions, SpatialLayer):
    r"""One step of an LSTM whose inputs and states are sequences, images or volumes, and whose products are convolutions.

        a_t = W * x_t + b + U * h_{t-1}     (1)     the gates' channels side by side, in Keras' order i, f, c~, o
        i_t = \sigma(a_i)                   (2)
        f_t = \sigma(a_f)                   (3)
        c~_t = g(a_c)                       (4)
        o_t = \sigma(a_o)                   (5)
        c_t = f_t c_{t-1} + i_t c~_t        (6)
        h_t = o_t g(c_t)                    (7)

    Strides, padding and dilation are those of W. U slides one place at a time, with as much padding as keeps the state's size.

    Arguments:
        rank: how many axes of places x_t has: 1, 2 or 3.
        owner: what errors call the cell: the layer that made it.
        the others: those of `ConvLSTM2D`.

    Weights: kernel W (kernel size…, C, 4F), recurrent_kernel U (kernel size…, F, 4F), bias b (4F,), where F is `filters`.

    Dropout: each gate has a mask of its own, for x and for h, drawn at the first step and kept until `reset_dropout_mask`. What
    the four gates then see differs, and (1) becomes a convolution in four groups.

    `forward(x, [h, c])` takes x (B, places…, C), h and c (B, new places…, F) and returns h_t, [h_t, c_t].

    Raises:
        ValueError: as `ConvLSTM2D`.

    Source: 001.09.ConvLSTM2D; Shi et al. 2015, "Convolutional LSTM Network", without its peepholes.
    """

    rank: int = fixed()
    filters: int = fixed()
    kernel_size: tuple[int, ...] = fixed()
    strides: tuple[int, ...] = fixed()
    padding: str = fixed()
    data_format: str = fixed()
    dilation_rate: tuple[int, ...] = fixed()
    kernel: Parameter = fixed()
    recurrent_kernel: Parameter = fixed()
    bias: Parameter | None = fixed()

    class Cache(Record):
        x: np.ndarray               # (B, D, H, W, C), with dropout (B, D, H, W, 4C), what each gate sees
        h_prev: np.ndarray          # (B, D, H, W, F), or (B, D, H, W, 4F)
        c_prev: np.ndarray          # (B, new places…, F) like all that follow
        a: list                     # a_i, a_f, a_c, a_o
        i: np.ndarray
        f: np.ndarray
        c_tilde: np.ndarray
        o: np.ndarray
        c: np.ndarray
        g_c: np.ndarray             # g(c_t)
        masks: tuple                # dropout masks of x and of h_prev, None where there is no dropout

    def __init__(self, rank: int, filters: int, kernel_size: Any, strides: Any, padding: str,
                 data_format: str | None, dilation_rate: Any, activation: Any, recurrent_activation: Any, use_bias: bool,
                 kernel_initializer: Any, recurrent_initializer: Any, bias_initializer: Any, unit_forget_bias: bool,
                 kernel_regularizer: Any, recurrent_regularizer: Any, bias_regularizer: Any, kernel_constraint: Any,
                 recurrent_constraint: Any, bias_constraint: Any, dropout: float, recurrent_dropout: float,
                 seed: int | None, owner: str | None = None, **kwargs: Any) -> None:
        self.owner = owner
        super().__init__(**kwargs)
        self.rank = rank
        self.filters = positive(self, "filters", filters)
        self.kernel_size = windows.sizes(self, "kernel_size", kernel_size, rank)
        self.strides = windows.sizes(self, "strides", strides, rank)
        self.padding = windows.padding_mode(self, padding)
        self.data_format = windows.data_format(self, data_format)
        self.dilation_rate = windows.sizes(self, "dilation_rate", dilation_rate, rank)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(f"{self.described}: expected strides or dilation_rate of one, got strides={self.strides} together "
                             f"with dilation_rate={self.dilation_rate}")
        self._set_options(activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
                          recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint,
                          dropout, recurrent_dropout, seed)
        self.recurrent_activation = found(self.described, "recurrent_activation", activations.get, recurrent_activation)
        self.unit_forget_bias = flag(self.described, "unit_forget_bias", unit_forget_bias)
        self.input_spec = InputSpec(ndim=rank + 2)
        self._state_places: tuple[Any, ...] = (None,) * rank

    @property
    def state_size(self) -> list[tuple[Any, ...]]:
        """The shapes of h and c without the batch axis, None for places not known before `build`."""
        return [self._shape(None, self._state_places, self.filters)[1:]] * 2

    @property
    def output_size(self) -> tuple[Any, ...]:
        """The shape of h_t without the batch axis."""
        return self.state_size[0]

    def build(self, input_shape: Any) -> None:
        channels = self._channels(input_shape)
        if None in (*self._places(input_shape), channels) or channels == 0:
            raise ValueError(f"{self.described}: expected inputs whose sizes are all known but those of batch and time, and "
                             f"not 0, got {tuple(input_shape)} at each step")
        placed = self._placed(input_shape)
        self._state_places = tuple(length for length, _ in placed)
        self._input_window = self._window(self.strides, [before for _, before in placed], self.dilation_rate)
        ones = (1,) * self.rank
        self._state_window = self._window(ones, [(k - 1) // 2 for k in self.kernel_size], ones)
        columns = 4 * self.filters
        self.kernel = self.add_weight((*self.kernel_size, channels, columns), self.kernel_initializer, name="kernel",
                                      regularizer=self.kernel_regularizer, constraint=self.kernel_constraint)
        self.recurrent_kernel = self.add_weight((*self.kernel_size, self.filters, columns), self.recurrent_initializer,
                                                name="recurrent_kernel", regularizer=self.recurrent_regularizer,
                                                constraint=self.recurrent_constraint)
        self.bias = self.add_weight((columns,), self._initial_bias, name="bias", regularizer=self.bias_regularizer,
                                    constraint=self.bias_constraint) if self.use_bias else None
        self.input_spec = InputSpec(ndim=self.rank + 2, axes=dict(enumerate(input_shape[1:], start=1)))

    def _window(self, strides: Any, padding: Any, dilation: Any) -> sliding.Window:
        return sliding.Window(windows.three(strides, 1), windows.three(tuple(padding), 0), windows.three(dilation, 1))

    def _placed(self, input_shape: Any) -> list[tuple[Any, Any]]:
        """For each axis of places the state's length and the places added in front; None where the length is unknown."""
        places = self._places(input_shape)
        axes = zip(places, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        placed = [(None, None) if n is None else windows.placed(n, k, s, d, self.padding) for n, k, s, d in axes]
        if any(length is not None and length < 1 for length, _ in placed):
            raise ValueError(f"{self.described}: expected inputs large enough for a state of one place or more on each axis, "
                             f"got {places}, which gives {tuple(length for length, _ in placed)} "
                             f"(kernel_size={self.kernel_size}, strides={self.strides}, dilation_rate={self.dilation_rate}, "
                             f"padding={self.padding!r})")
        return placed

    def compute_output_shape(self, input_shape: Any, states_shape: Any = None) -> Any:
        """(B, new places…, F), and a list with the shapes of the two states."""
        shape = self._shape(input_shape[0], tuple(length for length, _ in self._placed(input_shape)), self.filters)
        return shape, [shape, shape]

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """Zeros (B, new places…, F) for h and for c."""
        return [self.xp.zeros((batch_size, *shape), self.dtype) for shape in self.state_size]

    def get_config(self) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in (
            "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "unit_forget_bias")}
        return {**super().get_config(), **settings, **self._options_config(),
                "recurrent_activation": activations.serialize(self.recurrent_activation)}

    def reset_dropout_mask(self) -> None:
        """Forget the dropout masks: the next step in training draws new ones."""
        self._thread.masks = None

    def dropout_masks(self, x: Any, h: Any, training: bool) -> tuple[Any, Any]:
        """For x (B, D, H, W, C) and h (B, D, H, W, F) this sequence's masks, one for each gate, (B, D, H, W, 4, C) and
        (B, D, H, W, 4, F), holding 0 or 1/(1 - rate); None: nothing is dropped."""
        if not training:
            return None, None
        state = self._thread
        if state.masks is None:
            state.masks = self._draw(self.dropout, x.shape), self._draw(self.recurrent_dropout, h.shape)
        return state.masks

    def _draw(self, rate: float, shape: tuple[int, ...]) -> Any:
        if not 0 < rate < 1:                                                    # as in Keras, where a rate of 1 drops nothing
            return None
        kept = sharing.drawn(self.seed_generator.generator.random, (*shape[:-1], 4, shape[-1])) >= rate
        return self.xp.asarray(kept / (1 - rate), self.dtype)

    def input_share(self, x: Any, z: Any) -> None:
        """x (N, D, H, W, C), or after dropout (N, D, H, W, 4C) -> z = W * x + b (N, OD, OH, OW, 4F), x's part of (1)."""
        sliding.convolve(self, x, self.kernel.value, self.bias, self._input_window, self._groups(x, self.kernel), z)

    def input_share_backward(self, x: Any, dz: Any, dx: Any) -> None:
        """Add to the gradients of W and b, and write dx unless it is None."""
        groups = self._groups(x, self.kernel)
        sliding.convolve_backward(self, x, self.kernel.value, self.bias, self._input_window, groups, dz, self.kernel.grad, dx)

    @property
    def recurrent_volume(self) -> Any:
        """U as the kernels take it, (KD, KH, KW, F, 4F)."""
        U = self.recurrent_kernel.value
        return U.reshape(*windows.three(U.shape[:-2], 1), *U.shape[-2:])

    def state_share(self, h_prev: Any, a: Any) -> None:
        """h_prev (N, OD, OH, OW, F), or after dropout (N, OD, OH, OW, 4F) -> a = U * h_prev (N, OD, OH, OW, 4F), of (1)."""
        U = self.recurrent_kernel
        sliding.convolve(self, h_prev, U.value, None, self._state_window, self._groups(h_prev, U), a)

    def state_share_backward(self, da: Any, dh_prev: Any) -> None:
        """da -> dh_prev, which may be 4F channels wide, as after dropout."""
        U = self.recurrent_kernel
        sliding.convolve_transposed(self, da, U.value, None, self._state_window, self._groups(dh_prev, U), dh_prev)

    def add_recurrent_gradient(self, h_prev: Any, da: Any) -> None:
        """Add to the gradient of U."""
        U = self.recurrent_kernel
        sliding.convolve_backward(self, h_prev, U.value, None, self._state_window, self._groups(h_prev, U), da, U.grad, None)

    def forward(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        h_prev, c_prev = self._checked(states, inputs)
        x, h_prev = self._volume(inputs), self._volume(h_prev)
        masks = self.dropout_masks(x, h_prev, training)
        x, h_prev = dropped(x, masks[0]), dropped(h_prev, masks[1])
        a_t = self.xp.empty((*h_prev.shape[:-1], 4 * self.filters), self.dtype)
        hidden = self.xp.empty_like(a_t)
        self.input_share(x, a_t)                                                # (1)
        self.state_share(h_prev, hidden)                                        # (1)
        a_t += hidden                                                           # (1)
        a = [self._image(self.xp.ascontiguousarray(gate)) for gate in self.xp.split(a_t, 4, axis=-1)]
        i, f, c_tilde, o, c, g_c, h = self._open(a, c_prev)                     # (2) to (7)
        self.cache = self.Cache(x, h_prev, c_prev, a, i, f, c_tilde, o, c, g_c, masks)
        return h, [h, c]

    def backward(self, dy: Any) -> tuple[Any, list[Any]]:
        dout, (dh, dc) = dy
        cache = self.cache
        da_gates, dc_prev = self._open_backward(cache.a, cache, dout + dh, dc)  # from (7) to (2); h_t is the output and a state
        da = self.xp.concatenate([self._volume(gate) for gate in da_gates], axis=-1)
        dx, dh_prev = self.xp.empty_like(cache.x), self.xp.empty_like(cache.h_prev)
        self.input_share_backward(cache.x, da, dx)                              # from (1)
        self.add_recurrent_gradient(cache.h_prev, da)                           # from (1)
        self.state_share_backward(da, dh_prev)                                  # from (1)
        x_mask, h_mask = cache.masks
        return self._image(dropped_backward(dx, x_mask)), [self._image(dropped_backward(dh_prev, h_mask)), dc_prev]

    def _checked(self, states: Any, inputs: Any) -> list[Any]:
        expected = [(len(inputs), *shape) for shape in self.state_size]
        got = _shapes(states)
        if got != expected:
            raise ValueError(f"{self.described}: expected states of shapes {expected}, got {got}")
        return states

    def _groups(self, image: Any, weight: Any) -> int:
        """4 after dropout, where each gate sees channels of its own; else 1."""
        return image.shape[-1] // weight.shape[-2]


def dropped(x: Any, mask: Any) -> Any:
    """x (…, C) and a mask (…, 4, C), or None -> what each gate sees, side by side (…, 4C); x itself without a mask."""
    return x if mask is None else (x[..., None, :] * mask).reshape(*x.shape[:-1], -1)


def dropped_backward(dy: Any, mask: Any) -> Any:
    """Of `dropped`: dL/dx."""
    return dy if mask is None else (dy.reshape(*dy.shape[:-1], 4, -1) * mask).sum(axis=-2)
