r"""A convolutional LSTM over sequences of images as NumPy, one line an equation.

The input's share z_t = W * x_t + b of every step comes in ready-made: one convolution for all steps, outside the loop.

    a_t = z_t + U * h_{t-1}                                 (1)     the gates' channels side by side, in the order i, f, c~, o
    i, f, o = \sigma(a_i), \sigma(a_f), \sigma(a_o)         (2)
    c~ = \tanh(a_c)                                         (3)
    c_t = f c_{t-1} + i c~                                  (4)
    h_t = o \tanh(c_t)                                      (5)

From (2) on it is an LSTM at every place of the image: `lstm_step` of recurrent.py.

U * h is a convolution of stride 1 with (k - 1) // 2 places added in front of each axis of k taps: the state keeps its size.
A masked step computes nothing: h_t = h_{t-1}, c_t = c_{t-1}. Index t always belongs to x_t. With `go_backwards` the walk begins
at the last t, and "t-1" is the step walked before t. `winograd`: see convolution.py.

Source: Shi et al. 2015, "Convolutional LSTM Network", without its peepholes; 001.09.ConvLSTM1D,
001.09.ConvLSTM2D, 001.09.ConvLSTM3D.
"""
import numpy as np

from .convolution import convolve, convolve_transposed
from .recurrent import lstm_step, lstm_step_backward

ONES = (1, 1, 1)


def conv_lstm_forward(gates, U, h0, c0, mask, go_backwards, winograd, c, h):
    """gates (B, T, D, H, W, 4F) = z, U (KD, KH, KW, F, 4F), h0 and c0 (B, D, H, W, F), mask (B, T) True at real steps
    -> gates, the values of i, f, c~, o (at masked steps any values, which nothing uses); c and h (B, T, D, H, W, F)."""
    hidden = np.empty_like(gates[:, 0])
    h_prev, c_prev = h0, c0
    for t in _walk(gates.shape[1], go_backwards):
        real = _by_image(mask[:, t])
        convolve(h_prev, U, np.zeros(U.shape[4], U.dtype), ONES, _padding(U), ONES, 1, winograd, hidden)
        *values, c_t, h_t = lstm_step(gates[:, t] + hidden, c_prev)             # (1), and (2) to (5) in it
        gates[:, t] = np.concatenate(values, axis=-1)
        c[:, t] = np.where(real, c_t, c_prev)
        h[:, t] = np.where(real, h_t, h_prev)
        h_prev, c_prev = h[:, t], c[:, t]


def conv_lstm_backward(dy, U, gates, c0, c, mask, go_backwards, winograd, dh, dc, da):
    """dy (B, T, D, H, W, F), the gradient arriving at every h_t, or (B, 0, D, H, W, F) where none does; U, c0, mask as in
    forward, gates and c as it left them; dh and dc (B, D, H, W, F), of the last states
    -> dh and dc, of h0 and c0; da (B, T, D, H, W, 4F) = dL/dz, 0 at masked steps."""
    dh_prev = np.empty_like(dh)
    walk = _walk(c.shape[1], go_backwards)
    for n, t in reversed(list(enumerate(walk))):
        real = _by_image(mask[:, t])
        c_prev = c[:, walk[n - 1]] if n else c0
        i, f, c_tilde, o = np.split(gates[:, t], 4, axis=-1)
        if dy.shape[1]:
            dh += dy[:, t]
        da_t, dc_prev = lstm_step_backward(dh, dc, i, f, c_tilde, o, c[:, t], c_prev)        # from (5) to (2)
        da[:, t] = np.where(real, da_t, 0)
        convolve_transposed(da[:, t], U, np.zeros(U.shape[3], U.dtype), ONES, _padding(U), ONES, 1, winograd, dh_prev)
        dh[...] = np.where(real, dh_prev, dh)                                   # from (1)
        dc[...] = np.where(real, dc_prev, dc)


def _walk(T, go_backwards):
    return range(T - 1, -1, -1) if go_backwards else range(T)


def _padding(U):
    return tuple((k - 1) // 2 for k in U.shape[:3])


def _by_image(values):
    return values[:, None, None, None, None]
