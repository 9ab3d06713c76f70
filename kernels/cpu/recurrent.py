"""Recurrent sequences, compiled for the CPU: one pass over time inside one kernel.

The batch is split between the threads once; each walks its share of the rows through all time steps. What one step needs is
copied into buffers (gate, row, unit) of the thread's own, so that the loops over all numbers of a gate are long and the
register tile adds its products straight into them. The recurrent weights are packed once for all steps.
Formulas and shapes: kernels/reference/recurrent.py.
"""
import numpy as np
from numba import prange

from ._call import address, call
from ._jit import kernel, parallel_kernel, threads_for
from ._math import sigmoid, tanh
from ._tile import column_product, pack_columns, product_address, tile_width, wide_vectors

PARALLEL_FROM = 1 << 20     # multiply-adds for each thread that pay for waking it, also on a busy machine
TANH, SIGMOID, RELU = np.intp(1), np.intp(2), np.intp(3)
PLAIN, TRANSPOSED = np.bool_(False), np.bool_(True)
I, F, C, O = range(4)       # the gates of an LSTM


def simple_rnn_forward(z, W_h, h0, mask, go_backwards, activation, h):
    _run(_simple_rnn_forward, _simple_rnn_forward_parallel, W_h, (z, W_h, h0, mask, go_backwards, activation), (h,))


def simple_rnn_backward(dy, W_h, h, mask, go_backwards, activation, dh, da):
    _run(_simple_rnn_backward, _simple_rnn_backward_parallel, W_h, (dy, W_h, h, mask, go_backwards, activation), (dh, da))


def lstm_forward(gates, U, h0, c0, mask, go_backwards, c, h):
    _run(_lstm_forward, _lstm_forward_parallel, U, (gates, U, h0, c0, mask, go_backwards), (c, h))


def lstm_backward(dy, U, gates, c0, c, mask, go_backwards, dh, dc, da):
    _run(_lstm_backward, _lstm_backward_parallel, U, (dy, U, gates, c0, c, mask, go_backwards), (dh, dc, da))


def _run(part, parallel, weights, inputs, outputs):
    """Let `part` walk through time with all rows of the batch, or each thread with some of them."""
    B, T = inputs[0].shape[:2]
    tile, threads = product_address(column_product, weights.dtype), _threads(B, T, weights)
    if threads == 1:
        part(tile, *inputs, 0, B, *outputs)
    else:
        parallel(address(part, weights.dtype, tile, *inputs, 0, B, *outputs), tile, *inputs, threads, *outputs)


def _threads(B, T, weights):
    """How many threads share the batch: as many as the work keeps busy, each with one row at least."""
    return max(1, min(threads_for(B * T * weights.size, PARALLEL_FROM), B))


@parallel_kernel
def _simple_rnn_forward_parallel(part, tile, z, W_h, h0, mask, go_backwards, activation, threads, h):
    B = h.shape[0]
    for s in prange(threads):
        call(part, tile, z, W_h, h0, mask, go_backwards, activation, s * B // threads, (s + 1) * B // threads, h)


@kernel
def _simple_rnn_forward(tile, z, W_h, h0, mask, go_backwards, activation, first, last, h):
    T, H = h.shape[1], h.shape[2]
    rows, panels = last - first, _packed(W_h, PLAIN)
    h_prev = h0[first:last].copy()
    a = np.empty((1, rows, H), z.dtype)
    for n in range(T):
        t = T - 1 - n if go_backwards else n
        _copy_in(z, first, t, a)
        _add_product(tile, h_prev, panels[0], a[0])                               # (1)
        _activate(a.reshape(-1), activation)                                # (2)
        _keep_real(a[0], mask, first, t, h_prev)
        _copy_out(h_prev, first, t, h)


@parallel_kernel
def _simple_rnn_backward_parallel(part, tile, dy, W_h, h, mask, go_backwards, activation, threads, dh, da):
    B = h.shape[0]
    for s in prange(threads):
        call(part, tile, dy, W_h, h, mask, go_backwards, activation, s * B // threads, (s + 1) * B // threads, dh, da)


@kernel
def _simple_rnn_backward(tile, dy, W_h, h, mask, go_backwards, activation, first, last, dh_all, da):
    T, H = h.shape[1], h.shape[2]
    rows, panels = last - first, _packed(W_h, TRANSPOSED)
    dh = dh_all[first:last]
    h_t, dh_prev = np.empty((1, rows, H), h.dtype), np.empty((rows, H), h.dtype)
    for n in range(T):
        t = n if go_backwards else T - 1 - n
        _add_upstream(dy, first, t, dh)
        _copy_in(h, first, t, h_t)
        _slope(h_t.reshape(-1), dh.reshape(-1), activation)                 # from (2): h_t now holds da_t
        _zero_masked(mask, first, t, h_t)
        _copy_gates_out(h_t, first, t, da)
        dh_prev[:] = 0
        _add_product(tile, h_t[0], panels[0], dh_prev)                            # from (1)
        _keep_real(dh_prev, mask, first, t, dh)


@kernel
def _activate(a, activation):
    wide_vectors()
    if activation == TANH:
        for n in range(a.size):
            a[n] = tanh(a[n])
    elif activation == SIGMOID:
        for n in range(a.size):
            a[n] = sigmoid(a[n])
    elif activation == RELU:
        for n in range(a.size):
            a[n] = max(a[n], a.dtype.type(0))


@kernel
def _slope(h, dh, activation):
    """h <- dh f'(a), f' written in terms of h = f(a)."""
    wide_vectors()
    one = h.dtype.type(1)
    for n in range(h.size):
        if activation == TANH:
            h[n] = dh[n] * (one - h[n] * h[n])
        elif activation == SIGMOID:
            h[n] = dh[n] * h[n] * (one - h[n])
        elif activation == RELU:
            h[n] = dh[n] if h[n] > 0 else h.dtype.type(0)
        else:
            h[n] = dh[n]


@parallel_kernel
def _lstm_forward_parallel(part, tile, gates, U, h0, c0, mask, go_backwards, threads, c, h):
    B = h.shape[0]
    for s in prange(threads):
        call(part, tile, gates, U, h0, c0, mask, go_backwards, s * B // threads, (s + 1) * B // threads, c, h)


@kernel
def _lstm_forward(tile, gates, U, h0, c0, mask, go_backwards, first, last, c, h):
    T, H = h.shape[1], h.shape[2]
    rows, panels = last - first, _packed(U, PLAIN)
    h_prev, c_prev = h0[first:last].copy(), c0[first:last].copy()
    a, c_t, h_t = np.empty((4, rows, H), h.dtype), np.empty((rows, H), h.dtype), np.empty((rows, H), h.dtype)
    for n in range(T):
        t = T - 1 - n if go_backwards else n
        _copy_in(gates, first, t, a)
        for gate in range(4):
            _add_product(tile, h_prev, panels[gate], a[gate])                     # [h_{t-1}, x_t]: h's part to x's
        _activate(a[I:C].reshape(-1), SIGMOID)                              # (004.LSTM.i), (004.LSTM.f)
        _activate(a[C].reshape(-1), TANH)                                   # (004.LSTM.C~)
        _activate(a[O].reshape(-1), SIGMOID)                                # (004.LSTM.o)
        _lstm_state(a.reshape(4, -1), c_prev.reshape(-1), c_t.reshape(-1), h_t.reshape(-1))
        _copy_gates_out(a, first, t, gates)
        _keep_real(c_t, mask, first, t, c_prev)
        _keep_real(h_t, mask, first, t, h_prev)
        _copy_out(c_prev, first, t, c)
        _copy_out(h_prev, first, t, h)


@kernel
def _lstm_state(gates, c_prev, c, h):
    wide_vectors()
    i, f, c_tilde, o = gates[I], gates[F], gates[C], gates[O]
    for n in range(c.size):
        c[n] = f[n] * c_prev[n] + i[n] * c_tilde[n]                         # (004.LSTM.C)
        h[n] = o[n] * tanh(c[n])                                            # (3)


@parallel_kernel
def _lstm_backward_parallel(part, tile, dy, U, gates, c0, c, mask, go_backwards, threads, dh, dc, da):
    B = c.shape[0]
    for s in prange(threads):
        call(part, tile, dy, U, gates, c0, c, mask, go_backwards, s * B // threads, (s + 1) * B // threads, dh, dc, da)


@kernel
def _lstm_backward(tile, dy, U, gates, c0, c, mask, go_backwards, first, last, dh_all, dc_all, da):
    T, H = c.shape[1], c.shape[2]
    rows, panels = last - first, _packed(U, TRANSPOSED)
    dh, dc = dh_all[first:last], dc_all[first:last]
    a, c_t = np.empty((4, rows, H), c.dtype), np.empty((1, rows, H), c.dtype)
    c_prev, dc_prev, dh_prev = np.empty_like(c_t), np.empty((rows, H), c.dtype), np.empty((rows, H), c.dtype)
    for n in range(T):
        t = n if go_backwards else T - 1 - n
        _add_upstream(dy, first, t, dh)
        _copy_in(gates, first, t, a)
        _copy_in(c, first, t, c_t)
        if n < T - 1:
            _copy_in(c, first, t + 1 if go_backwards else t - 1, c_prev)
        else:
            c_prev[0] = c0[first:last]
        _lstm_slopes(a.reshape(4, -1), c_prev.reshape(-1), c_t.reshape(-1), dh.reshape(-1), dc.reshape(-1), dc_prev.reshape(-1))
        _zero_masked(mask, first, t, a)                                     # a now holds da_t
        _copy_gates_out(a, first, t, da)
        dh_prev[:] = 0
        for gate in range(4):
            _add_product(tile, a[gate], panels[gate], dh_prev)                    # all four gates read h_{t-1}
        _keep_real(dh_prev, mask, first, t, dh)
        _keep_real(dc_prev, mask, first, t, dc)


@kernel
def _lstm_slopes(gates, c_prev, c, dh, dc, dc_prev):
    """gates i, f, c~, o <- da_i, da_f, da_c, da_o."""
    wide_vectors()
    i, f, c_tilde, o = gates[I], gates[F], gates[C], gates[O]
    one = c.dtype.type(1)
    for n in range(c.size):
        tanh_c = tanh(c[n])
        do = dh[n] * tanh_c                                                 # from (3)
        dc_t = dc[n] + dh[n] * o[n] * (one - tanh_c * tanh_c)               # from (3)
        di, df, dc_tilde = dc_t * c_tilde[n], dc_t * c_prev[n], dc_t * i[n]     # from (004.LSTM.C)
        dc_prev[n] = dc_t * f[n]                                            # from (004.LSTM.C)
        i[n] = di * i[n] * (one - i[n])                                     # from (004.LSTM.i)
        f[n] = df * f[n] * (one - f[n])                                     # from (004.LSTM.f)
        c_tilde[n] = dc_tilde * (one - c_tilde[n] * c_tilde[n])             # from (004.LSTM.C~)
        o[n] = do * o[n] * (one - o[n])                                     # from (004.LSTM.o)


@kernel
def _copy_in(sequence, first, t, step):
    """One time step of a thread's rows, (B, T, gates * H) -> (gates, rows, H)."""
    gates, rows, H = step.shape
    for r in range(rows):
        for gate in range(gates):
            for j in range(H):
                step[gate, r, j] = sequence[first + r, t, gate * H + j]


@kernel
def _copy_gates_out(step, first, t, sequence):
    gates, rows, H = step.shape
    for r in range(rows):
        for gate in range(gates):
            for j in range(H):
                sequence[first + r, t, gate * H + j] = step[gate, r, j]


@kernel
def _copy_out(step, first, t, sequence):
    for r in range(step.shape[0]):
        for j in range(step.shape[1]):
            sequence[first + r, t, j] = step[r, j]


@kernel
def _add_upstream(dy, first, t, dh):
    """What the loss sends into h_t joins what comes back through time; dy (B, 0, H) sends nothing."""
    if dy.shape[1]:
        for r in range(dh.shape[0]):
            for j in range(dh.shape[1]):
                dh[r, j] += dy[first + r, t, j]


@kernel
def _keep_real(new, mask, first, t, state):
    """A masked step leaves the state as it was."""
    for r in range(state.shape[0]):
        if mask[first + r, t]:
            for j in range(state.shape[1]):
                state[r, j] = new[r, j]


@kernel
def _zero_masked(mask, first, t, step):
    for r in range(step.shape[1]):
        if not mask[first + r, t]:
            step[:, r] = 0


@kernel
def _packed(U, transposed):
    """The (H, H) weights of each gate, or their transposes, as panels of columns for the register tile."""
    H, N = U.shape
    u_k, u_n = (1, N) if transposed else (N, 1)
    width = tile_width(U)
    panels = np.empty((N // H, (H + width - 1) // width * H * width), U.dtype)
    for gate in range(N // H):
        for n in range(0, H, width):
            pack_columns(U.reshape(-1), gate * H + n * u_n, u_k, u_n, H, min(width, H - n), panels[gate], n * H, width)
    return panels


@kernel
def _add_product(tile, a, panels, c):
    """c += a times the packed weights of one gate, for the rows of one thread."""
    rows, H = a.shape
    a1, c1 = a.reshape(-1), c.reshape(-1)
    width = tile_width(a)
    for n in range(0, H, width):
        call(tile, a1, 0, H, 1, 0, rows, panels, n * H, width, 0, 1, H, c1, n, H, c1, n, H, min(width, H - n), True, 1, 0, 0)
