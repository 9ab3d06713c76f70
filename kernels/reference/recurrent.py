r"""Recurrent sequences as NumPy, one line an equation.

The input's share z_t = x_t W + b of every step comes in ready-made: one product for all steps, outside the loop.

SimpleRNN (001.09.SimpleRNN, 004.RNN):

    a_t = z_t + h_{t-1} W_h                                 (1)
    h_t = f(a_t)                                            (2)

LSTM, the gates side by side in Keras' order i, f, c~, o; [h_{t-1}, x_t] stands for two products that are added:

    i_t  = \sigma(W_i [h_{t-1}, x_t] + b_i)                 (004.LSTM.i)
    f_t  = \sigma(W_f [h_{t-1}, x_t] + b_f)                 (004.LSTM.f)
    c~_t = \tanh(W_C [h_{t-1}, x_t] + b_C)                  (004.LSTM.C~)
    o_t  = \sigma(W_o [h_{t-1}, x_t] + b_o)                 (004.LSTM.o)
    c_t  = f_t c_{t-1} + i_t c~_t                           (004.LSTM.C)
    h_t  = o_t \tanh(c_t)                                   (3)

A masked step computes nothing: h_t = h_{t-1}, c_t = c_{t-1}.

Index t always belongs to x_t. With `go_backwards` the walk begins at the last t, and "t-1" is the step walked before t.
"""
import numpy as np

LINEAR, TANH, SIGMOID, RELU = range(4)                      # the numbers of `activation`


def simple_rnn_forward(z, W_h, h0, mask, go_backwards, activation, h):
    """z (B, T, H), W_h (H, H), h0 (B, H), mask (B, T) True at real steps, activation 0 linear, 1 tanh, 2 sigmoid, 3 relu
    -> h (B, T, H)."""
    h_prev = h0
    for t in _walk(z.shape[1], go_backwards):
        a = z[:, t] + h_prev @ W_h                                              # (1)
        h[:, t] = np.where(mask[:, t, None], _activate(a, activation), h_prev)  # (2)
        h_prev = h[:, t]


def simple_rnn_backward(dy, W_h, h, mask, go_backwards, activation, dh, da):
    """dy (B, T, H), the gradient arriving at every h_t, or (B, 0, H) where none does; dh (B, H), of the last state
    -> dh, of h0; da (B, T, H) = dL/dz, 0 at masked steps."""
    for t in reversed(_walk(h.shape[1], go_backwards)):
        real = mask[:, t, None]
        if dy.shape[1]:
            dh += dy[:, t]
        da[:, t] = np.where(real, dh * _slope(h[:, t], activation), 0)          # from (2)
        dh[...] = np.where(real, da[:, t] @ W_h.T, dh)                          # from (1)


def lstm_forward(gates, U, h0, c0, mask, go_backwards, c, h):
    """gates (B, T, 4H) = z, U (H, 4H), h0 (B, H), c0 (B, H), mask (B, T) True at real steps
    -> gates, the values of i, f, c~, o (at masked steps any values, which nothing uses); c (B, T, H), h (B, T, H)."""
    h_prev, c_prev = h0, c0
    for t in _walk(gates.shape[1], go_backwards):
        real = mask[:, t, None]
        a_i, a_f, a_c, a_o = np.split(gates[:, t] + h_prev @ U, 4, axis=1)
        i = _sigmoid(a_i)                                                       # (004.LSTM.i)
        f = _sigmoid(a_f)                                                       # (004.LSTM.f)
        c_tilde = np.tanh(a_c)                                                  # (004.LSTM.C~)
        o = _sigmoid(a_o)                                                       # (004.LSTM.o)
        gates[:, t] = np.where(real, np.concatenate([i, f, c_tilde, o], axis=1), gates[:, t])
        c[:, t] = np.where(real, f * c_prev + i * c_tilde, c_prev)              # (004.LSTM.C)
        h[:, t] = np.where(real, o * np.tanh(c[:, t]), h_prev)                  # (3)
        h_prev, c_prev = h[:, t], c[:, t]


def lstm_backward(dy, U, gates, c0, c, mask, go_backwards, dh, dc, da):
    """dy (B, T, H), the gradient arriving at every h_t, or (B, 0, H) where none does; gates (B, T, 4H), c0 (B, H),
    c (B, T, H) as forward left them; dh (B, H) and dc (B, H), of the last states
    -> dh and dc, of h0 and c0; da (B, T, 4H) = dL/dz, 0 at masked steps."""
    walk = _walk(c.shape[1], go_backwards)
    for n, t in reversed(list(enumerate(walk))):
        real = mask[:, t, None]
        c_prev = c[:, walk[n - 1]] if n else c0
        i, f, c_tilde, o = np.split(gates[:, t], 4, axis=1)
        tanh_c = np.tanh(c[:, t])
        if dy.shape[1]:
            dh += dy[:, t]
        do = dh * tanh_c                                                        # from (3)
        dc_t = dc + dh * o * (1 - tanh_c ** 2)                                  # from (3)
        df = dc_t * c_prev                                                      # from (004.LSTM.C)
        di = dc_t * c_tilde                                                     # from (004.LSTM.C)
        dc_tilde = dc_t * i                                                     # from (004.LSTM.C)
        da_i = di * i * (1 - i)                                                 # from (004.LSTM.i)
        da_f = df * f * (1 - f)                                                 # from (004.LSTM.f)
        da_c = dc_tilde * (1 - c_tilde ** 2)                                    # from (004.LSTM.C~)
        da_o = do * o * (1 - o)                                                 # from (004.LSTM.o)
        da[:, t] = np.where(real, np.concatenate([da_i, da_f, da_c, da_o], axis=1), 0)
        dh[...] = np.where(real, da[:, t] @ U.T, dh)                            # all four gates read h_{t-1}
        dc[...] = np.where(real, dc_t * f, dc)                                  # from (004.LSTM.C)


def _walk(T, go_backwards):
    return range(T - 1, -1, -1) if go_backwards else range(T)


def _sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2                         # 1 / (1 + exp(-a)), without its overflow


def _activate(a, activation):
    if activation == TANH:
        return np.tanh(a)
    if activation == SIGMOID:
        return _sigmoid(a)
    return np.maximum(a, 0) if activation == RELU else a


def _slope(h, activation):
    """f'(a) from h = f(a)."""
    if activation == TANH:
        return 1 - h ** 2
    if activation == SIGMOID:
        return h * (1 - h)
    return (h > 0).astype(h.dtype) if activation == RELU else np.ones_like(h)
