r"""Recurrent sequences as NumPy, one line an equation.

The input's share x_t W + b of every step comes in ready-made: one product for all steps, outside the loop.

SimpleRNN (001.09.SimpleRNN, 004.RNN):

    a_t = x_t W + b + h_{t-1} W_h                           (1)
    h_t = f(a_t)                                            (2)

LSTM, the gates side by side in Keras' order i, f, c~, o; [h_{t-1}, x_t] stands for two products that are added:

    i_t  = \sigma(W_i [h_{t-1}, x_t] + b_i)                 (004.LSTM.i)
    f_t  = \sigma(W_f [h_{t-1}, x_t] + b_f)                 (004.LSTM.f)
    c~_t = \tanh(W_C [h_{t-1}, x_t] + b_C)                  (004.LSTM.C~)
    o_t  = \sigma(W_o [h_{t-1}, x_t] + b_o)                 (004.LSTM.o)
    c_t  = f_t c_{t-1} + i_t c~_t                           (004.LSTM.C)
    h_t  = o_t \tanh(c_t)                                   (3)

GRU (001.09.GRUCell), the gates in Keras' order z, r, h~; x_z, x_r, x_h are the input's shares of each:

    z_t  = \sigma(x_z + h_{t-1} U_z + b_z)                  (4)
    r_t  = \sigma(x_r + h_{t-1} U_r + b_r)                  (5)
    u_t  = h_{t-1} U_h + b_h                                (6)     where r acts after the product with U_h
    h~_t = \tanh(x_h + r_t u_t)                             (7)
    u_t  = r_t h_{t-1}                                      (6')    where it acts before; then there are no b_z, b_r, b_h
    h~_t = \tanh(x_h + u_t U_h)                             (7')
    h_t  = z_t h_{t-1} + (1 - z_t) h~_t                     (8)     the catalogue has z and 1 - z the other way round

A masked step computes nothing: h_t = h_{t-1}, c_t = c_{t-1}.

Where the steps lie. Arrays of sequences are flat, (N, columns) with a row for each of the N steps of all B sequences. Step t of
sequence b lies in row first[t] + b * apart, and the first rows[t] sequences have a step t: they are sorted by length, the
longest first. Three arguments say all of it:

    first (T,) integers     rows (T,) integers      apart integer
    0, 1, … T-1             B at every t            T                   a padded batch (B, T, columns)
    0, rows[0], …           batch_sizes             1                   a packed one, step after step (PyTorch's PackedSequence)

Index t always belongs to x_t, and "t-1" is the step walked before t. With `go_backwards` the walk begins at the last t; a
sequence enters it with its initial state at its own last step. States (B, H) come in and go out in the order of the sequences.
"""
import numpy as np

LINEAR, TANH, SIGMOID, RELU = range(4)                      # the numbers of `activation`


def simple_rnn_forward(z, W_h, h0, mask, first, rows, apart, go_backwards, activation, h):
    """z (N, H) = x W + b, W_h (H, H), h0 (B, H), mask (N,) True at real steps, activation 0 linear, 1 tanh, 2 sigmoid, 3 relu
    -> h (N, H)."""
    state = h0.copy()
    for n, at in _walk(first, rows, apart, go_backwards):
        h_prev = state[:n]
        a = z[at] + h_prev @ W_h                                                # (1)
        h[at] = np.where(mask[at, None], _activate(a, activation), h_prev)      # (2)
        state[:n] = h[at]


def simple_rnn_backward(dy, W_h, h, mask, first, rows, apart, go_backwards, activation, dh, da):
    """dy (N, H), the gradient arriving at every h_t, or (0, H) where none does; h (N, H) as forward left it; dh (B, H), of the
    last states -> dh, of h0; da (N, H) = dL/da, 0 at masked steps."""
    for n, at in reversed(_walk(first, rows, apart, go_backwards)):
        real, dh_t = mask[at, None], dh[:n]
        if len(dy):
            dh_t += dy[at]
        da[at] = np.where(real, dh_t * _slope(h[at], activation), 0)            # from (2)
        dh_t[...] = np.where(real, da[at] @ W_h.T, dh_t)                        # from (1)


def lstm_forward(gates, U, h0, c0, mask, first, rows, apart, go_backwards, c, h):
    """gates (N, 4H) = x W + b, U (H, 4H), h0 (B, H), c0 (B, H), mask (N,) True at real steps
    -> gates, the values of i, f, c~, o (at masked steps numbers that mean nothing); c (N, H), h (N, H)."""
    h_state, c_state = h0.copy(), c0.copy()
    for n, at in _walk(first, rows, apart, go_backwards):
        real, h_prev, c_prev = mask[at, None], h_state[:n], c_state[:n]
        a_i, a_f, a_c, a_o = np.split(gates[at] + h_prev @ U, 4, axis=1)
        i = _sigmoid(a_i)                                                       # (004.LSTM.i)
        f = _sigmoid(a_f)                                                       # (004.LSTM.f)
        c_tilde = np.tanh(a_c)                                                  # (004.LSTM.C~)
        o = _sigmoid(a_o)                                                       # (004.LSTM.o)
        gates[at] = np.concatenate([i, f, c_tilde, o], axis=1)
        c[at] = np.where(real, f * c_prev + i * c_tilde, c_prev)                # (004.LSTM.C)
        h[at] = np.where(real, o * np.tanh(c[at]), h_prev)                      # (3)
        h_state[:n], c_state[:n] = h[at], c[at]


def lstm_backward(dy, U, gates, c0, c, mask, first, rows, apart, go_backwards, dh, dc, da):
    """dy (N, H), the gradient arriving at every h_t, or (0, H) where none does; gates (N, 4H), c0 (B, H), c (N, H) as forward
    left them; dh (B, H) and dc (B, H), of the last states
    -> dh and dc, of h0 and c0; da (N, 4H) = dL/da, 0 at masked steps."""
    walk = _walk(first, rows, apart, go_backwards)
    for k, (n, at) in reversed(list(enumerate(walk))):
        real, dh_t, dc_t = mask[at, None], dh[:n], dc[:n]
        c_prev = _before(walk, k, c, c0)
        i, f, c_tilde, o = np.split(gates[at], 4, axis=1)
        tanh_c = np.tanh(c[at])
        if len(dy):
            dh_t += dy[at]
        do = dh_t * tanh_c                                                      # from (3)
        dc_here = dc_t + dh_t * o * (1 - tanh_c ** 2)                           # from (3)
        df = dc_here * c_prev                                                   # from (004.LSTM.C)
        di = dc_here * c_tilde                                                  # from (004.LSTM.C)
        dc_tilde = dc_here * i                                                  # from (004.LSTM.C)
        da_i = di * i * (1 - i)                                                 # from (004.LSTM.i)
        da_f = df * f * (1 - f)                                                 # from (004.LSTM.f)
        da_c = dc_tilde * (1 - c_tilde ** 2)                                    # from (004.LSTM.C~)
        da_o = do * o * (1 - o)                                                 # from (004.LSTM.o)
        da[at] = np.where(real, np.concatenate([da_i, da_f, da_c, da_o], axis=1), 0)
        dh_t[...] = np.where(real, da[at] @ U.T, dh_t)                          # all four gates read h_{t-1}
        dc_t[...] = np.where(real, dc_here * f, dc_t)                           # from (004.LSTM.C)


def gru_forward(gates, U, b_h, h0, mask, first, rows, apart, go_backwards, reset_after, inner, h):
    """gates (N, 3H) = x W + b, U (H, 3H), b_h (3H,) the recurrent bias [b_z b_r b_h], read only where `reset_after`,
    h0 (B, H), mask (N,) True at real steps
    -> gates, the values of z, r, h~; inner (N, H), u_t (at masked steps both hold numbers that mean nothing); h (N, H)."""
    H = len(U)
    U_zr, U_h = U[:, :2 * H], U[:, 2 * H:]
    b_zr, b = (b_h[:2 * H], b_h[2 * H:]) if reset_after else (0, 0)
    state = h0.copy()
    for n, at in _walk(first, rows, apart, go_backwards):
        h_prev, x_h = state[:n], gates[at, 2 * H:]
        a_z, a_r = np.split(gates[at, :2 * H] + h_prev @ U_zr + b_zr, 2, axis=1)
        z = _sigmoid(a_z)                                                       # (4)
        r = _sigmoid(a_r)                                                       # (5)
        if reset_after:
            u = h_prev @ U_h + b                                                # (6)
            h_tilde = np.tanh(x_h + r * u)                                      # (7)
        else:
            u = r * h_prev                                                      # (6')
            h_tilde = np.tanh(x_h + u @ U_h)                                    # (7')
        gates[at], inner[at] = np.concatenate([z, r, h_tilde], axis=1), u
        h[at] = np.where(mask[at, None], z * h_prev + (1 - z) * h_tilde, h_prev)        # (8)
        state[:n] = h[at]


def gru_backward(dy, U, gates, inner, h0, h, mask, first, rows, apart, go_backwards, reset_after, dh, da, dinner):
    """dy (N, H), the gradient arriving at every h_t, or (0, H) where none does; gates (N, 3H), inner (N, H), h0 (B, H) and
    h (N, H) as forward left them; dh (B, H), of the last states
    -> dh, of h0; da (N, 3H), of x W + b; dinner (N, H), of the product with U_h in (6) or (7'). Both are 0 at masked steps."""
    H = len(U)
    U_zr, U_h = U[:, :2 * H], U[:, 2 * H:]
    walk = _walk(first, rows, apart, go_backwards)
    for k, (n, at) in reversed(list(enumerate(walk))):
        real, dh_t = mask[at, None], dh[:n]
        h_prev = _before(walk, k, h, h0)
        z, r, h_tilde = np.split(gates[at], 3, axis=1)
        if len(dy):
            dh_t += dy[at]
        dz = dh_t * (h_prev - h_tilde)                                          # from (8)
        dh_tilde = dh_t * (1 - z)                                               # from (8)
        da_h = dh_tilde * (1 - h_tilde ** 2)                                    # from (7), (7')
        if reset_after:
            dproduct = da_h * r                                                 # from (7)
            dr = da_h * inner[at]                                               # from (7)
            dh_inner = dproduct @ U_h.T                                         # from (6)
        else:
            dproduct = da_h                                                     # from (7')
            du = dproduct @ U_h.T                                               # from (7')
            dr = du * h_prev                                                    # from (6')
            dh_inner = du * r                                                   # from (6')
        da_z = dz * z * (1 - z)                                                 # from (4)
        da_r = dr * r * (1 - r)                                                 # from (5)
        da[at] = np.where(real, np.concatenate([da_z, da_r, da_h], axis=1), 0)
        dinner[at] = np.where(real, dproduct, 0)
        dh_prev = dh_t * z + dh_inner + da[at, :2 * H] @ U_zr.T                 # from (8), (6) or (6'), (4) and (5)
        dh_t[...] = np.where(real, dh_prev, dh_t)


def _walk(first, rows, apart, go_backwards):
    """For each time step, in the order walked: how many sequences have it, and the slice of the rows in which it lies."""
    walk = [(n, slice(start, start + n * apart, apart)) for start, n in zip(first, rows, strict=True)]
    return walk[::-1] if go_backwards else walk


def _before(walk, k, states, initial):
    """With which states (n, H) the sequences entered the k-th step walked: those of the step before, or their initial ones."""
    n, _ = walk[k]
    before = initial[:n].copy()
    if k:
        walked, at = walk[k - 1]
        before[:walked] = states[at][:n]
    return before


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
