"""Recurrent sequences, compiled for the CPU: one pass over time inside one kernel.

The sequences are split between the threads once; each walks its share through all time steps, over those that have the step.
What one step needs is copied into buffers (gate, row, unit) of the thread's own, so that the loops over all numbers of a gate
are long and the register tile adds its products straight into them. The recurrent weights are packed once for all steps, but
a thread with one sequence reads them where they lie, so that a single step of it costs no more than its product.
Formulas, shapes and the layout of the steps: kernels/reference/recurrent.py.
"""
from functools import lru_cache

import numpy as np

from ._call import call
from ._flat import copy
from ._jit import kernel
from ._lstm import lstm_slopes, lstm_state
from ._math import sigmoid, tanh
from ._row import add_row_product
from ._team import share
from ._threads import threads_for
from ._tile import column_product, pack_columns, product_address, tile_width, wide_vectors

PARALLEL_FROM = 1 << 20     # multiply-adds for each thread that pay for waking it, also on a busy machine
TANH, SIGMOID, RELU = np.intp(1), np.intp(2), np.intp(3)
PLAIN, TRANSPOSED = np.bool_(False), np.bool_(True)
ADD, WRITE = np.bool_(True), np.bool_(False)
LEFT = np.intp(0)           # the first column
I, F, C, O = range(4)       # the gates of an LSTM
Z, R, U_H, H_TILDE = range(4)       # those of a GRU: what is multiplied with a block of U stands first, in U's order


def simple_rnn_forward(z, W_h, h0, mask, first, rows, apart, go_backwards, activation, h):
    _run(_simple_rnn_forward, W_h, rows, z, W_h, h0, mask, first, rows, apart, go_backwards, activation, h)


def simple_rnn_backward(dy, W_h, h, mask, first, rows, apart, go_backwards, activation, dh, da):
    _run(_simple_rnn_backward, W_h, rows, dy, W_h, h, mask, first, rows, apart, go_backwards, activation, dh, da)


def lstm_forward(gates, U, h0, c0, mask, first, rows, apart, go_backwards, c, h):
    _run(_lstm_forward, U, rows, gates, U, h0, c0, mask, first, rows, apart, go_backwards, c, h)


def lstm_backward(dy, U, gates, c0, c, mask, first, rows, apart, go_backwards, dh, dc, da):
    _run(_lstm_backward, U, rows, dy, U, gates, c0, c, mask, first, rows, apart, go_backwards, dh, dc, da)


def gru_forward(gates, U, b_h, h0, mask, first, rows, apart, go_backwards, reset_after, inner, h):
    _run(_gru_forward, U, rows, gates, U, b_h, h0, mask, first, rows, apart, go_backwards, reset_after, inner, h)


def gru_backward(dy, U, gates, inner, h0, h, mask, first, rows, apart, go_backwards, reset_after, dh, da, dinner):
    _run(_gru_backward, U, rows,
         dy, U, gates, inner, h0, h, mask, first, rows, apart, go_backwards, reset_after, dh, da, dinner)


def _run(part, weights, rows, *arguments):
    """Let each thread walk through time with some of the sequences; the last argument holds numbers for each step."""
    threads = threads_for(len(arguments[-1]) * weights.size, PARALLEL_FROM)
    if threads > 1:
        threads = min(threads, int(rows[0]))
    share(part, threads, (product_address(column_product, weights.dtype), _shares(rows.tobytes(), threads)), arguments)


@lru_cache(maxsize=256)
def _shares(rows, threads):
    """Where each thread's sequences begin and end, so that all have about as many steps; `rows` as bytes."""
    rows = np.frombuffer(rows, np.int64)
    lengths = np.searchsorted(-rows, -np.arange(rows[0]))
    done = np.cumsum(lengths)
    return np.concatenate([[0], np.searchsorted(done, done[-1] * np.arange(1, threads) / threads) + 1, [rows[0]]])


@kernel
def _simple_rnn_forward(tile, bounds, s, threads, z, W_h, h0, mask, first, rows, apart, go_backwards, activation, h):
    begin, end = bounds[s], bounds[s + 1]
    T, H = first.size, h.shape[1]
    panels, state = _packed_for(W_h, end - begin), h0[begin:end].copy()
    room = np.empty(state.size, h.dtype)
    for n in range(T):
        t = T - 1 - n if go_backwards else n
        count, at = min(rows[t], end) - begin, first[t] + begin * apart
        if count > 0:
            h_prev, a = state[:count], _blocks(room, 1, count, H)
            _copy_in(z, LEFT, at, apart, a)
            _add_products(tile, h_prev, W_h, panels, 0, a)                  # (1)
            _activate(a.reshape(-1), activation)                            # (2)
            _leave(a[0], mask, at, apart, h_prev, h)


@kernel
def _simple_rnn_backward(tile, bounds, s, threads, dy, W_h, h, mask, first, rows, apart, go_backwards, activation, dh_all, da):
    begin, end = bounds[s], bounds[s + 1]
    T, H = first.size, h.shape[1]
    panels, dh_of_all = _packed(W_h, TRANSPOSED), dh_all[begin:end]
    room, dh_prev_room = np.empty(dh_of_all.size, h.dtype), np.empty_like(dh_of_all)
    for n in range(T):
        t = n if go_backwards else T - 1 - n
        count, at = min(rows[t], end) - begin, first[t] + begin * apart
        if count > 0:
            dh, dh_prev, h_t = dh_of_all[:count], dh_prev_room[:count], _blocks(room, 1, count, H)
            _add_upstream(dy, at, apart, dh)
            _copy_in(h, LEFT, at, apart, h_t)
            _slope(h_t.reshape(-1), dh.reshape(-1), activation)             # from (2): h_t now holds da_t
            _zero_masked(mask, at, apart, h_t)
            _copy_out(h_t, LEFT, at, apart, da)
            _product_back(tile, h_t, panels, WRITE, dh_prev)                # from (1)
            _keep_real(dh_prev, mask, at, apart, dh)


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


@kernel
def _lstm_forward(tile, bounds, s, threads, gates, U, h0, c0, mask, first, rows, apart, go_backwards, c, h):
    begin, end = bounds[s], bounds[s + 1]
    T, H = first.size, h.shape[1]
    panels, h_state, c_state = _packed_for(U, end - begin), h0[begin:end].copy(), c0[begin:end].copy()
    room, c_room, h_room = np.empty(4 * h_state.size, h.dtype), np.empty_like(c_state), np.empty_like(h_state)
    for n in range(T):
        t = T - 1 - n if go_backwards else n
        count, at = min(rows[t], end) - begin, first[t] + begin * apart
        if count > 0:
            h_prev, c_prev, h_t, c_t = h_state[:count], c_state[:count], h_room[:count], c_room[:count]
            a = _blocks(room, 4, count, H)
            _copy_in(gates, LEFT, at, apart, a)
            _add_products(tile, h_prev, U, panels, 0, a)                    # [h_{t-1}, x_t]: h's part to x's
            i, f, c_tilde, o = a[I].reshape(-1), a[F].reshape(-1), a[C].reshape(-1), a[O].reshape(-1)
            lstm_state(i, f, c_tilde, o, c_prev.reshape(-1), c_t.reshape(-1), h_t.reshape(-1))      # all that follows
            _copy_out(a, LEFT, at, apart, gates)
            _leave(c_t, mask, at, apart, c_prev, c)
            _leave(h_t, mask, at, apart, h_prev, h)


@kernel
def _lstm_backward(tile, bounds, s, threads, dy, U, gates, c0, c, mask, first, rows, apart, go_backwards, dh_all, dc_all, da):
    begin, end = bounds[s], bounds[s + 1]
    T, H = first.size, c.shape[1]
    panels, dh_of_all, dc_of_all = _packed(U, TRANSPOSED), dh_all[begin:end], dc_all[begin:end]
    room, c_room = np.empty(4 * dc_of_all.size, c.dtype), np.empty(dc_of_all.size, c.dtype)
    c_prev_room = np.empty_like(dc_of_all)
    dh_prev_room, dc_prev_room = np.empty_like(dh_of_all), np.empty_like(dc_of_all)
    for n in range(T):
        t = n if go_backwards else T - 1 - n
        count, at = min(rows[t], end) - begin, first[t] + begin * apart
        if count > 0:
            dh, dc, dh_prev, dc_prev = dh_of_all[:count], dc_of_all[:count], dh_prev_room[:count], dc_prev_room[:count]
            a, c_t, c_prev = _blocks(room, 4, count, H), _blocks(c_room, 1, count, H), c_prev_room[:count]
            _add_upstream(dy, at, apart, dh)
            _copy_in(gates, LEFT, at, apart, a)
            _copy_in(c, LEFT, at, apart, c_t)
            _before(c, c0, t + 1 if go_backwards else t - 1, first, rows, apart, begin, c_prev)
            copy(dc.reshape(-1), LEFT, dc.size, dc_prev.reshape(-1), LEFT)
            i, f, c_tilde, o = a[I].reshape(-1), a[F].reshape(-1), a[C].reshape(-1), a[O].reshape(-1)
            lstm_slopes(i, f, c_tilde, o, c_prev.reshape(-1), c_t.reshape(-1), dh.reshape(-1), dc_prev.reshape(-1))
            _zero_masked(mask, at, apart, a)                                # a now holds da_t
            _copy_out(a, LEFT, at, apart, da)
            _product_back(tile, a, panels, WRITE, dh_prev)                  # all four gates read h_{t-1}
            _keep_real(dh_prev, mask, at, apart, dh)
            _keep_real(dc_prev, mask, at, apart, dc)


@kernel
def _gru_forward(tile, bounds, s, threads, gates, U, b_h, h0, mask, first, rows, apart, go_backwards, reset_after, inner, h):
    begin, end = bounds[s], bounds[s + 1]
    T, H = first.size, h.shape[1]
    panels, state = _packed_for(U, end - begin), h0[begin:end].copy()
    room, h_room = np.empty(4 * state.size, h.dtype), np.empty_like(state)
    for n in range(T):
        t = T - 1 - n if go_backwards else n
        count, at = min(rows[t], end) - begin, first[t] + begin * apart
        if count > 0:
            h_prev, h_t, a = state[:count], h_room[:count], _blocks(room, 4, count, H)
            _copy_in(gates, LEFT, at, apart, a[:U_H])
            _copy_in(gates, 2 * H, at, apart, a[H_TILDE:])
            if reset_after:
                _add_recurrent_bias(b_h, a)
            _add_products(tile, h_prev, U, panels, 0, a[:H_TILDE] if reset_after else a[:U_H])      # (4), (5), (6)
            _activate(a[Z:U_H].reshape(-1), SIGMOID)                        # (4), (5)
            if not reset_after:
                _reset(a.reshape(4, -1), h_prev.reshape(-1))                # (6')
                _add_products(tile, a[U_H], U, panels, U_H, a[H_TILDE:])    # (7')
            _gru_state(a.reshape(4, -1), reset_after, h_prev.reshape(-1), h_t.reshape(-1))
            _copy_out(a[:U_H], LEFT, at, apart, gates)
            _copy_out(a[U_H:H_TILDE], LEFT, at, apart, inner)
            _copy_out(a[H_TILDE:], 2 * H, at, apart, gates)
            _leave(h_t, mask, at, apart, h_prev, h)


@kernel
def _reset(gates, h_prev):
    for n in range(h_prev.size):
        gates[U_H, n] = gates[R, n] * h_prev[n]


@kernel
def _gru_state(gates, reset_after, h_prev, h):
    wide_vectors()
    z, r, u, h_tilde = gates[Z], gates[R], gates[U_H], gates[H_TILDE]
    if reset_after:
        for n in range(h.size):
            h_tilde[n] = tanh(h_tilde[n] + r[n] * u[n])                     # (7)
    else:
        _activate(h_tilde, TANH)                                            # (7')
    for n in range(h.size):
        h[n] = h_tilde[n] + z[n] * (h_prev[n] - h_tilde[n])                 # (8)


@kernel
def _gru_backward(tile, bounds, s, threads, dy, U, gates, inner, h0, h, mask, first, rows, apart, go_backwards, reset_after,
                  dh_all, da, dinner):
    begin, end = bounds[s], bounds[s + 1]
    T, H = first.size, h.shape[1]
    panels, dh_of_all = _packed(U, TRANSPOSED), dh_all[begin:end]
    room, h_prev_room = np.empty(4 * dh_of_all.size, h.dtype), np.empty_like(dh_of_all)
    dh_prev_room, du_room = np.empty_like(dh_of_all), np.empty_like(dh_of_all)
    for n in range(T):
        t = n if go_backwards else T - 1 - n
        count, at = min(rows[t], end) - begin, first[t] + begin * apart
        if count > 0:
            dh, dh_prev, h_prev, du = dh_of_all[:count], dh_prev_room[:count], h_prev_room[:count], du_room[:count]
            a = _blocks(room, 4, count, H)
            _add_upstream(dy, at, apart, dh)
            _copy_in(gates, LEFT, at, apart, a[:U_H])
            _copy_in(inner, LEFT, at, apart, a[U_H:H_TILDE])
            _copy_in(gates, 2 * H, at, apart, a[H_TILDE:])
            _before(h, h0, t + 1 if go_backwards else t - 1, first, rows, apart, begin, h_prev)
            _gru_slopes(a.reshape(4, -1), reset_after, h_prev.reshape(-1), dh.reshape(-1), dh_prev.reshape(-1))
            _zero_masked(mask, at, apart, a)
            if reset_after:
                _product_back(tile, a[:H_TILDE], panels, ADD, dh_prev)      # from (4), (5), (6)
            else:
                _product_back(tile, a[U_H:H_TILDE], panels[U_H:], WRITE, du)        # from (7')
                _slope_of_reset(a[R].reshape(-1), du.reshape(-1), h_prev.reshape(-1), dh_prev.reshape(-1))
                _zero_masked(mask, at, apart, a)
                _product_back(tile, a[:U_H], panels, ADD, dh_prev)          # from (4), (5)
            _copy_out(a[:U_H], LEFT, at, apart, da)
            _copy_out(a[U_H:H_TILDE], LEFT, at, apart, dinner)
            _copy_out(a[H_TILDE:], 2 * H, at, apart, da)
            _keep_real(dh_prev, mask, at, apart, dh)


@kernel
def _gru_slopes(gates, reset_after, h_prev, dh, dh_prev):
    """gates z, r, u, h~ <- da_z, da_r (where the reset acts after), what the product with U_h is to give back, da_h."""
    wide_vectors()
    z, r, u, h_tilde = gates[Z], gates[R], gates[U_H], gates[H_TILDE]
    one = h_prev.dtype.type(1)
    for n in range(dh.size):
        dz, dh_tilde = dh[n] * (h_prev[n] - h_tilde[n]), dh[n] * (one - z[n])       # from (8)
        dh_prev[n] = dh[n] * z[n]                                           # from (8)
        z[n] = dz * z[n] * (one - z[n])                                     # from (4)
        h_tilde[n] = dh_tilde * (one - h_tilde[n] * h_tilde[n])             # from (7), (7')
    if reset_after:
        for n in range(dh.size):
            dr = h_tilde[n] * u[n]                                          # from (7)
            u[n] = h_tilde[n] * r[n]                                        # from (7)
            r[n] = dr * r[n] * (one - r[n])                                 # from (5)
    else:
        for n in range(dh.size):
            u[n] = h_tilde[n]                                               # from (7')


@kernel
def _slope_of_reset(r, du, h_prev, dh_prev):
    """r <- da_r."""
    one = r.dtype.type(1)
    for n in range(r.size):
        dh_prev[n] += du[n] * r[n]                                          # from (6')
        r[n] = du[n] * h_prev[n] * r[n] * (one - r[n])                      # from (6'), (5)


@kernel
def _blocks(room, count, rows, H):
    """The front of a buffer as blocks (count, rows, H) without gaps."""
    return room[:count * rows * H].reshape(count, rows, H)


@kernel
def _copy_in(sequence, column, at, apart, step):
    """From this column on, one time step of a thread's sequences, (N, gates * H) -> (gates, rows, H)."""
    gates, rows, H = step.shape
    for r in range(rows):
        for gate in range(gates):
            copy(sequence[at + r * apart], column + gate * H, H, step[gate, r], LEFT)


@kernel
def _copy_out(step, column, at, apart, sequence):
    gates, rows, H = step.shape
    for r in range(rows):
        for gate in range(gates):
            copy(step[gate, r], LEFT, H, sequence[at + r * apart], column + gate * H)


@kernel
def _add_recurrent_bias(b_h, step):
    """The recurrent bias joins the input's shares of z and r; the product with U_h begins with its own."""
    _, rows, H = step.shape
    for r in range(rows):
        for gate in range(U_H):
            for j in range(H):
                step[gate, r, j] += b_h[gate * H + j]
        for j in range(H):
            step[U_H, r, j] = b_h[2 * H + j]


@kernel
def _leave(new, mask, at, apart, state, sequence):
    """The state after a step, and its place in the sequence; a masked step leaves the state as it was."""
    for r in range(state.shape[0]):
        if mask[at + r * apart]:
            copy(new[r], LEFT, state.shape[1], state[r], LEFT)
        copy(state[r], LEFT, state.shape[1], sequence[at + r * apart], LEFT)


@kernel
def _keep_real(new, mask, at, apart, state):
    for r in range(state.shape[0]):
        if mask[at + r * apart]:
            copy(new[r], LEFT, state.shape[1], state[r], LEFT)


@kernel
def _zero_masked(mask, at, apart, step):
    for r in range(step.shape[1]):
        if not mask[at + r * apart]:
            step[:, r] = 0


@kernel
def _add_upstream(dy, at, apart, dh):
    """What the loss sends into h_t joins what comes back through time; dy (0, H) sends nothing."""
    if dy.shape[0]:
        for r in range(dh.shape[0]):
            for j in range(dh.shape[1]):
                dh[r, j] += dy[at + r * apart, j]                           # from (9)


@kernel
def _before(sequence, initial, t, first, rows, apart, begin, state):
    """With which state a thread's sequences came from step t, or entered if they have none."""
    walked = rows[t] - begin if 0 <= t < first.size else 0
    for r in range(state.shape[0]):
        if r < walked:
            copy(sequence[first[t] + (begin + r) * apart], LEFT, state.shape[1], state[r], LEFT)
        else:
            copy(initial[begin + r], LEFT, state.shape[1], state[r], LEFT)


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
def _packed_for(U, rows):
    """The weights packed, to be read again and again; none for a single row, which reads them where they lie."""
    return np.empty((0, 0), U.dtype) if rows == 1 else _packed(U, PLAIN)


@kernel
def _add_products(tile, a, U, panels, first, c):
    """c (gates, rows, H) += a times the weights of these gates, from `first` on, for the sequences of one thread."""
    gates, rows, H = c.shape
    a1 = a.reshape(-1)
    if panels.size == 0:
        add_row_product(a1, 0, 1, U.reshape(-1), first * H, U.shape[1], H, gates * H, c.reshape(-1), 0)
        return
    width = tile_width(a)
    for gate in range(gates):
        c1 = c[gate].reshape(-1)
        for n in range(0, H, width):
            call(tile, a1, 0, H, 1, 0, rows, panels[first + gate], n * H, width, 0, 1, H, c1, n, H, c1, n, H,
                 min(width, H - n), ADD, 1, 0, 0)


@kernel
def _product_back(tile, a, panels, add, c):
    """c (+)= the sum over gates of a times the packed weights: the gates are the runs of one long sum."""
    gates, rows, H = a.shape
    a1, panels1, c1 = a.reshape(-1), panels.reshape(-1), c.reshape(-1)
    width = tile_width(a)
    for n in range(0, H, width):
        call(tile, a1, 0, H, 1, rows * H, rows, panels1, n * H, width, panels.shape[1], gates, H, c1, n, H, c1, n, H,
             min(width, H - n), add, 1, 0, 0)
