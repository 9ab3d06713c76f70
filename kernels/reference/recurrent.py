r"""Recurrent sequences as NumPy: first the equations of one step, one a line, then the walk that takes it through time.

A step is what one would write down for N sequences side by side: a function of plain arrays (N, H). Of masks, of the order and
of the places where the steps of a batch lie only the walk knows, at the end of this file.

The input's share x_t W + b of every step comes in ready-made: one product for all steps, outside the loop.

SimpleRNN (001.09.SimpleRNN, 001.09.SimpleRNNCell, 002.HiddenState, 004.RNN):

    a_t = x_t W + b + h_{t-1} U                             (1)     the kernels call U W_h
    h_t = f(a_t)                                            (2)

LSTM (001.09.LSTM, 001.09.LSTMCell), the gates side by side in Keras' order i, f, c~, o; [h_{t-1}, x_t] stands for two products
that are added, as in (1):

    i_t  = \sigma(W_i [h_{t-1}, x_t] + b_i)                 (004.LSTM.i)
    f_t  = \sigma(W_f [h_{t-1}, x_t] + b_f)                 (004.LSTM.f)
    c~_t = \tanh(W_C [h_{t-1}, x_t] + b_C)                  (004.LSTM.C~)
    o_t  = \sigma(W_o [h_{t-1}, x_t] + b_o)                 (004.LSTM.o)
    c_t  = f_t c_{t-1} + i_t c~_t                           (004.LSTM.C)
    h_t  = o_t \tanh(c_t)                                   (3)

GRU (001.09.GRU, 001.09.GRUCell), the gates in Keras' order z, r, h~; x_z, x_r, x_h are the input's shares of each:

    z_t  = \sigma(x_z + h_{t-1} U_z + b_z)                  (4)
    r_t  = \sigma(x_r + h_{t-1} U_r + b_r)                  (5)
    u_t  = h_{t-1} U_h + b_h                                (6)     where r acts after the product with U_h
    h~_t = \tanh(x_h + r_t u_t)                             (7)
    u_t  = r_t h_{t-1}                                      (6')    where it acts before; then there are no b_z, b_r, b_h
    h~_t = \tanh(x_h + u_t U_h)                             (7')
    h_t  = z_t h_{t-1} + (1 - z_t) h~_t                     (8)     the catalogue has z and 1 - z the other way round

What comes back to a state is the sum of what it was used for: dy_t, the gradient that arrives at h_t as the layer's output, and
what the step after sends to it as its h_{t-1}:

    dh_t = dy_t + dh_{t+1 \to t}                            (9)     002.BPTT.dh_T, 002.BPTT.chain

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


# One step ------------------------------------------------------------------------------------------------------------------


def simple_rnn_step(z, h_prev, U, activation):
    """z (N, H) = x_t W + b, h_prev (N, H), U (H, H), activation 0 linear, 1 tanh, 2 sigmoid, 3 relu -> h (N, H)."""
    a = z + h_prev @ U                                                          # (1)
    h = _activate(a, activation)                                                # (2)
    return h


def simple_rnn_step_backward(dh, h, U, activation):
    """dh (N, H), all that arrives at h (N, H) -> da (N, H), dh_prev (N, H)."""
    da = dh * _slope(h, activation)                                             # from (2)
    dh_prev = da @ U.T                                                          # from (1)
    return da, dh_prev


def lstm_step(a, c_prev):
    """a (N, 4H) = x_t W + b + h_prev U, c_prev (N, H) -> i, f, c_tilde, o, c, h, each (N, H).

    a and c_prev may have more axes before their last: a convolutional LSTM is one at every place of an image.
    """
    a_i, a_f, a_c, a_o = np.split(a, 4, axis=-1)
    i = _sigmoid(a_i)                                                           # (004.LSTM.i)
    f = _sigmoid(a_f)                                                           # (004.LSTM.f)
    c_tilde = np.tanh(a_c)                                                      # (004.LSTM.C~)
    o = _sigmoid(a_o)                                                           # (004.LSTM.o)
    c = f * c_prev + i * c_tilde                                                # (004.LSTM.C)
    h = o * np.tanh(c)                                                          # (3)
    return i, f, c_tilde, o, c, h


def lstm_step_backward(dh, dc_next, i, f, c_tilde, o, c, c_prev):
    """dh (N, H), all that arrives at h; dc_next (N, H), what comes back to c from the step after; the step's values
    -> da (N, 4H), dc_prev (N, H). The state before h_prev is given da U^T."""
    do = dh * np.tanh(c)                                                        # from (3)
    dc = dc_next + dh * o * (1 - np.tanh(c) ** 2)                               # from (3)
    df = dc * c_prev                                                            # from (004.LSTM.C)
    di = dc * c_tilde                                                           # from (004.LSTM.C)
    dc_tilde = dc * i                                                           # from (004.LSTM.C)
    dc_prev = dc * f                                                            # from (004.LSTM.C)
    da_i = di * i * (1 - i)                                                     # from (004.LSTM.i)
    da_f = df * f * (1 - f)                                                     # from (004.LSTM.f)
    da_c = dc_tilde * (1 - c_tilde ** 2)                                        # from (004.LSTM.C~)
    da_o = do * o * (1 - o)                                                     # from (004.LSTM.o)
    return np.concatenate([da_i, da_f, da_c, da_o], axis=-1), dc_prev


def gru_step(shares, h_prev, U, b):
    """r acts after the product. shares (N, 3H) = x_t W + b of the input, h_prev (N, H), U (H, 3H), b (3H,) = [b_z b_r b_h]
    -> z, r, h_tilde, u, h, each (N, H)."""
    x_z, x_r, x_h = np.split(shares, 3, axis=1)
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    b_z, b_r, b_h = np.split(b, 3)
    z = _sigmoid(x_z + h_prev @ U_z + b_z)                                      # (4)
    r = _sigmoid(x_r + h_prev @ U_r + b_r)                                      # (5)
    u = h_prev @ U_h + b_h                                                      # (6)
    h_tilde = np.tanh(x_h + r * u)                                              # (7)
    h = z * h_prev + (1 - z) * h_tilde                                          # (8)
    return z, r, h_tilde, u, h


def gru_step_backward(dh, z, r, h_tilde, u, h_prev, U):
    """dh (N, H), all that arrives at h; the values of `gru_step` -> da (N, 3H), du (N, H), dh_prev (N, H)."""
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    dz = dh * (h_prev - h_tilde)                                                # from (8)
    dh_tilde = dh * (1 - z)                                                     # from (8)
    da_h = dh_tilde * (1 - h_tilde ** 2)                                        # from (7)
    dr = da_h * u                                                               # from (7)
    du = da_h * r                                                               # from (7)
    da_z = dz * z * (1 - z)                                                     # from (4)
    da_r = dr * r * (1 - r)                                                     # from (5)
    dh_prev = dh * z + du @ U_h.T + da_r @ U_r.T + da_z @ U_z.T                 # from (8), (6), (5) and (4)
    return np.concatenate([da_z, da_r, da_h], axis=1), du, dh_prev


def gru_step_reset_before(shares, h_prev, U):
    """r acts before the product. shares (N, 3H) = x_t W + b, h_prev (N, H), U (H, 3H) -> z, r, h_tilde, u, h, each (N, H)."""
    x_z, x_r, x_h = np.split(shares, 3, axis=1)
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    z = _sigmoid(x_z + h_prev @ U_z)                                            # (4)
    r = _sigmoid(x_r + h_prev @ U_r)                                            # (5)
    u = r * h_prev                                                              # (6')
    h_tilde = np.tanh(x_h + u @ U_h)                                            # (7')
    h = z * h_prev + (1 - z) * h_tilde                                          # (8)
    return z, r, h_tilde, u, h


def gru_step_reset_before_backward(dh, z, r, h_tilde, h_prev, U):
    """dh (N, H), all that arrives at h; the values of `gru_step_reset_before` -> da (N, 3H), dh_prev (N, H)."""
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    dz = dh * (h_prev - h_tilde)                                                # from (8)
    dh_tilde = dh * (1 - z)                                                     # from (8)
    da_h = dh_tilde * (1 - h_tilde ** 2)                                        # from (7')
    du = da_h @ U_h.T                                                           # from (7')
    dr = du * h_prev                                                            # from (6')
    da_z = dz * z * (1 - z)                                                     # from (4)
    da_r = dr * r * (1 - r)                                                     # from (5)
    dh_prev = dh * z + du * r + da_r @ U_r.T + da_z @ U_z.T                     # from (8), (6'), (5) and (4)
    return np.concatenate([da_z, da_r, da_h], axis=1), dh_prev


# Sequences -----------------------------------------------------------------------------------------------------------------


def simple_rnn_forward(z, W_h, h0, mask, first, rows, apart, go_backwards, activation, h):
    """z (N, H) = x W + b, W_h (H, H), h0 (B, H), mask (N,) True at real steps, activation 0 linear, 1 tanh, 2 sigmoid, 3 relu
    -> h (N, H)."""
    def step(at, h_prev):
        return [simple_rnn_step(z[at], h_prev, W_h, activation)]
    _walk_forward(step, _walk(first, rows, apart, go_backwards), mask, [h0], [h])


def simple_rnn_backward(dy, W_h, h, mask, first, rows, apart, go_backwards, activation, dh, da):
    """dy (N, H), the gradient arriving at every h_t, or (0, H) where none does; h (N, H) as forward left it; dh (B, H), of the
    last states -> dh, of h0; da (N, H) = dL/da, 0 at masked steps."""
    def step(at, dh_t):
        da[at], dh_prev = simple_rnn_step_backward(dh_t, h[at], W_h, activation)
        return [dh_prev]
    _walk_back(step, _walk(first, rows, apart, go_backwards), mask, dy, [dh])
    da[~mask] = 0


def lstm_forward(gates, U, h0, c0, mask, first, rows, apart, go_backwards, c, h):
    """gates (N, 4H) = x W + b, U (H, 4H), h0 (B, H), c0 (B, H), mask (N,) True at real steps
    -> gates, the values of i, f, c~, o (at masked steps numbers that mean nothing); c (N, H), h (N, H)."""
    def step(at, h_prev, c_prev):
        *values, c_t, h_t = lstm_step(gates[at] + h_prev @ U, c_prev)
        gates[at] = np.concatenate(values, axis=1)
        return h_t, c_t
    _walk_forward(step, _walk(first, rows, apart, go_backwards), mask, [h0, c0], [h, c])


def lstm_backward(dy, U, gates, c0, c, mask, first, rows, apart, go_backwards, dh, dc, da):
    """dy (N, H), the gradient arriving at every h_t, or (0, H) where none does; gates (N, 4H), c0 (B, H), c (N, H) as forward
    left them; dh (B, H) and dc (B, H), of the last states
    -> dh and dc, of h0 and c0; da (N, 4H) = dL/da, 0 at masked steps."""
    def step(at, dh_t, dc_next, c_prev):
        i, f, c_tilde, o = np.split(gates[at], 4, axis=1)
        da[at], dc_prev = lstm_step_backward(dh_t, dc_next, i, f, c_tilde, o, c[at], c_prev)
        dh_prev = da[at] @ U.T                                                  # from (004.LSTM.i) to (004.LSTM.o)
        return dh_prev, dc_prev
    _walk_back(step, _walk(first, rows, apart, go_backwards), mask, dy, [dh, dc], [c0], [c])
    da[~mask] = 0


def gru_forward(gates, U, b_h, h0, mask, first, rows, apart, go_backwards, reset_after, inner, h):
    """gates (N, 3H) = x W + b, U (H, 3H), b_h (3H,) the recurrent bias [b_z b_r b_h], read only where `reset_after`,
    h0 (B, H), mask (N,) True at real steps
    -> gates, the values of z, r, h~; inner (N, H), u_t (at masked steps both hold numbers that mean nothing); h (N, H)."""
    def step(at, h_prev):
        if reset_after:
            *values, inner[at], h_t = gru_step(gates[at], h_prev, U, b_h)
        else:
            *values, inner[at], h_t = gru_step_reset_before(gates[at], h_prev, U)
        gates[at] = np.concatenate(values, axis=1)
        return [h_t]
    _walk_forward(step, _walk(first, rows, apart, go_backwards), mask, [h0], [h])


def gru_backward(dy, U, gates, inner, h0, h, mask, first, rows, apart, go_backwards, reset_after, dh, da, dinner):
    """dy (N, H), the gradient arriving at every h_t, or (0, H) where none does; gates (N, 3H), inner (N, H), h0 (B, H) and
    h (N, H) as forward left them; dh (B, H), of the last states
    -> dh, of h0; da (N, 3H), of x W + b; dinner (N, H), of the product with U_h in (6) or (7'). Both are 0 at masked steps."""
    def step(at, dh_t, h_prev):
        z, r, h_tilde = np.split(gates[at], 3, axis=1)
        if reset_after:
            da[at], dinner[at], dh_prev = gru_step_backward(dh_t, z, r, h_tilde, inner[at], h_prev, U)
        else:
            da[at], dh_prev = gru_step_reset_before_backward(dh_t, z, r, h_tilde, h_prev, U)
            dinner[at] = da[at, 2 * len(U):]                                    # in (7') the product is only added
        return [dh_prev]
    _walk_back(step, _walk(first, rows, apart, go_backwards), mask, dy, [dh], [h0], [h])
    da[~mask] = 0
    dinner[~mask] = 0


# The walk ------------------------------------------------------------------------------------------------------------------


def _walk(first, rows, apart, go_backwards):
    """For each time step, in the order walked: t, how many sequences have it, and the slice of the rows in which it lies."""
    walk = [(t, n, slice(start, start + n * apart, apart)) for t, (start, n) in enumerate(zip(first, rows, strict=True))]
    return walk[::-1] if go_backwards else walk


def _walk_forward(step, walk, mask, initial, states):
    """Take a step through time: `step(at, *before)` returns the states that it makes of those before, each (n, H).

    A masked step keeps the states before. `states`, each (N, H), are written.
    """
    current = [state.copy() for state in initial]
    for t, n, at in walk:
        before = [state[:n] for state in current]
        for old, new, state in zip(before, step(at, *before), states, strict=True):
            state[at] = np.where(mask[at, None], new, old)
            old[...] = state[at]


def _walk_back(step, walk, mask, dy, gradients, initial=(), states=()):
    """The way back: `step(at, *gradients, *before)` returns the gradients of the states before, each (n, H).

    The first of `gradients` is that of h, which dy is added to; `before` are the `states` that the step began with. A masked
    step passes its gradients on as they are. `gradients`, each (B, H), are overwritten.
    """
    for k, (t, n, at) in reversed(list(enumerate(walk))):
        dh_next, *others = [gradient[:n] for gradient in gradients]
        dy_t = dy[at] if len(dy) else 0
        dh = dy_t + dh_next                                                     # from (9): h_t was used twice
        arriving = [dh, *others]
        before = [_before(walk, k, state, start) for state, start in zip(states, initial, strict=True)]
        for gradient, old, new in zip(gradients, arriving, step(at, *arriving, *before), strict=True):
            gradient[:n] = np.where(mask[at, None], new, old)


def _before(walk, k, states, initial):
    """With which states (n, H) the sequences entered the k-th step walked: those of the step before, or their initial ones."""
    _, n, _ = walk[k]
    before = initial[:n].copy()
    if k:
        _, walked, at = walk[k - 1]
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
