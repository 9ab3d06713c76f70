"""The gates of an LSTM, whatever products they are made of."""
from typing import Any

import numpy as np

from nblayers import activations


class LSTMGates:
    r"""What LSTMCell and ConvLSTMCell do element by element.

        i, f, o = \sigma(a_i), \sigma(a_f), \sigma(a_o)     (1)
        c~ = g(a_c)                                         (2)
        c_t = f c_{t-1} + i c~                              (3)
        h_t = o g(c_t)                                      (4)
    """

    activation: Any                 # g
    recurrent_activation: Any       # \sigma
    unit_forget_bias: bool
    bias_initializer: Any
    device: Any

    def _initial_bias(self, shape: Any, dtype: Any = None) -> Any:
        """b (4H,), the forget gate's part 1 with `unit_forget_bias`."""
        H, make = shape[0] // 4, self.bias_initializer
        if not self.unit_forget_bias:
            return make(shape, dtype=dtype)
        return np.concatenate([make((H,), dtype=dtype), np.ones(H), make((2 * H,), dtype=dtype)])

    def _open(self, a: list[Any], c_prev: Any) -> tuple[Any, ...]:
        """a_i, a_f, a_c, a_o and c_{t-1} -> i, f, c~, o, c_t, g(c_t), h_t."""
        g, sigma, device = self.activation, self.recurrent_activation, self.device
        a_i, a_f, a_c, a_o = a
        i = activations.evaluate(sigma, a_i, device)                            # (1)
        f = activations.evaluate(sigma, a_f, device)                            # (1)
        c_tilde = activations.evaluate(g, a_c, device)                          # (2)
        o = activations.evaluate(sigma, a_o, device)                            # (1)
        c = f * c_prev + i * c_tilde                                            # (3)
        g_c = activations.evaluate(g, c, device)                                # (4)
        h = o * g_c                                                             # (4)
        return i, f, c_tilde, o, c, g_c, h

    def _open_backward(self, a: list[Any], cache: Any, dh: Any, dc: Any) -> tuple[list[Any], Any]:
        """Gradients of h_t and c_t -> those of a_i, a_f, a_c, a_o, and of c_{t-1}."""
        g, sigma, device = self.activation, self.recurrent_activation, self.device
        a_i, a_f, a_c, a_o = a
        do = dh * cache.g_c                                                     # from (4)
        dc = dc + activations.differentiate(g, cache.c, cache.g_c, dh * cache.o, device)        # from (4)
        df = dc * cache.c_prev                                                  # from (3)
        dc_prev = dc * cache.f                                                  # from (3)
        di = dc * cache.c_tilde                                                 # from (3)
        dc_tilde = dc * cache.i                                                 # from (3)
        da_i = activations.differentiate(sigma, a_i, cache.i, di, device)       # from (1)
        da_f = activations.differentiate(sigma, a_f, cache.f, df, device)       # from (1)
        da_c = activations.differentiate(g, a_c, cache.c_tilde, dc_tilde, device)       # from (2)
        da_o = activations.differentiate(sigma, a_o, cache.o, do, device)       # from (1)
        return [da_i, da_f, da_c, da_o], dc_prev
