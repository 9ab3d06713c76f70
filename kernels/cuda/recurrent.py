"""Recurrent sequences on the GPU: one block walks one sequence through time, its threads share the units.

The whole walk is one launch. Each thread keeps to its own units (j, j + threads, …) in every loop, so that only what all
threads read (h_t, da_t, and what the reset gate leaves of h_{t-1}) needs a barrier.
Formulas, shapes and where the steps lie: kernels/reference/recurrent.py.
"""
import math

from ._compat import THREADS, cuda


def simple_rnn_forward(z, W_h, h0, mask, first, rows, apart, go_backwards, activation, h):
    _simple_rnn_forward[h0.shape[0], THREADS](z, W_h, h0, mask, first, rows, apart, go_backwards, activation, h)


def simple_rnn_backward(dy, W_h, h, mask, first, rows, apart, go_backwards, activation, dh, da):
    # transposed, so that neighbouring threads read neighbouring weights
    _simple_rnn_backward[dh.shape[0], THREADS](dy, W_h.T.copy(), h, mask, first, rows, apart, go_backwards, activation, dh, da)


def lstm_forward(gates, U, h0, c0, mask, first, rows, apart, go_backwards, c, h):
    _lstm_forward[h0.shape[0], THREADS](gates, U, h0, c0, mask, first, rows, apart, go_backwards, c, h)


def lstm_backward(dy, U, gates, c0, c, mask, first, rows, apart, go_backwards, dh, dc, da):
    _lstm_backward[c0.shape[0], THREADS](dy, U.T.copy(), gates, c0, c, mask, first, rows, apart, go_backwards, dh, dc, da)


def gru_forward(gates, U, b_h, h0, mask, first, rows, apart, go_backwards, reset_after, inner, h):
    _gru_forward[h0.shape[0], THREADS](gates, U, b_h, h0, mask, first, rows, apart, go_backwards, reset_after, inner, h)


def gru_backward(dy, U, gates, inner, h0, h, mask, first, rows, apart, go_backwards, reset_after, dh, da, dinner):
    _gru_backward[h0.shape[0], THREADS](dy, U.T.copy(), gates, inner, h0, h, mask, first, rows, apart, go_backwards,
                                        reset_after, dh, da, dinner)


@cuda.jit(device=True)
def _sigmoid(a, half):
    return half + half * math.tanh(half * a)                        # 1 / (1 + exp(-a)), without its overflow


@cuda.jit(device=True)
def _length(rows, b):
    """How many steps sequence b has."""
    steps = 0
    while steps < rows.shape[0] and rows[steps] > b:
        steps += 1
    return steps


@cuda.jit
def _simple_rnn_forward(z, W_h, h0, mask, first, rows, apart, go_backwards, activation, h):
    b = cuda.blockIdx.x
    T, H = _length(rows, b), h.shape[1]
    zero, half = z.dtype.type(0), z.dtype.type(0.5)
    h_prev = h0[b]
    for n in range(T):
        t = T - 1 - n if go_backwards else n
        at = first[t] + b * apart
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            if mask[at]:
                a = z[at, j]
                for k in range(H):
                    a += h_prev[k] * W_h[k, j]                      # (1)
                if activation == 1:                                 # (2)
                    a = math.tanh(a)
                elif activation == 2:
                    a = _sigmoid(a, half)
                elif activation == 3 and a < zero:
                    a = zero
                h[at, j] = a
            else:
                h[at, j] = h_prev[j]
        cuda.syncthreads()                                          # h_t is whole before the next step reads it
        h_prev = h[at]


@cuda.jit
def _simple_rnn_backward(dy, W_h_T, h, mask, first, rows, apart, go_backwards, activation, dh, da):
    b = cuda.blockIdx.x
    T, H = _length(rows, b), h.shape[1]
    zero, one = h.dtype.type(0), h.dtype.type(1)
    for n in range(T):
        t = n if go_backwards else T - 1 - n
        at = first[t] + b * apart
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            if dy.shape[0] > 0:
                dh[b, j] += dy[at, j]                               # from (9)
            slope, h_t = one, h[at, j]
            if activation == 1:
                slope = one - h_t * h_t
            elif activation == 2:
                slope = h_t * (one - h_t)
            elif activation == 3 and h_t <= zero:
                slope = zero
            da[at, j] = dh[b, j] * slope if mask[at] else zero      # from (2)
        cuda.syncthreads()                                          # da_t is whole before its product with W_h
        if mask[at]:
            for k in range(cuda.threadIdx.x, H, cuda.blockDim.x):
                total = zero
                for j in range(H):
                    total += da[at, j] * W_h_T[j, k]                # from (1)
                dh[b, k] = total


@cuda.jit
def _lstm_forward(gates, U, h0, c0, mask, first, rows, apart, go_backwards, c, h):
    b = cuda.blockIdx.x
    T, H = _length(rows, b), h.shape[1]
    half = h.dtype.type(0.5)
    h_prev, c_prev = h0[b], c0[b]
    for n in range(T):
        t = T - 1 - n if go_backwards else n
        at = first[t] + b * apart
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            if mask[at]:
                a_i, a_f, a_c, a_o = gates[at, j], gates[at, H + j], gates[at, 2 * H + j], gates[at, 3 * H + j]
                for k in range(H):
                    a_i += h_prev[k] * U[k, j]
                    a_f += h_prev[k] * U[k, H + j]
                    a_c += h_prev[k] * U[k, 2 * H + j]
                    a_o += h_prev[k] * U[k, 3 * H + j]
                i = _sigmoid(a_i, half)                             # (004.LSTM.i)
                f = _sigmoid(a_f, half)                             # (004.LSTM.f)
                c_tilde = math.tanh(a_c)                            # (004.LSTM.C~)
                o = _sigmoid(a_o, half)                             # (004.LSTM.o)
                gates[at, j], gates[at, H + j], gates[at, 2 * H + j], gates[at, 3 * H + j] = i, f, c_tilde, o
                c_t = f * c_prev[j] + i * c_tilde                   # (004.LSTM.C)
                c[at, j] = c_t
                h[at, j] = o * math.tanh(c_t)                       # (3)
            else:
                c[at, j] = c_prev[j]
                h[at, j] = h_prev[j]
        cuda.syncthreads()                                          # h_t is whole before the next step reads it
        h_prev, c_prev = h[at], c[at]


@cuda.jit
def _lstm_backward(dy, U_T, gates, c0, c, mask, first, rows, apart, go_backwards, dh, dc, da):
    b = cuda.blockIdx.x
    T, H = _length(rows, b), c.shape[1]
    zero, one = c.dtype.type(0), c.dtype.type(1)
    for n in range(T):
        t = n if go_backwards else T - 1 - n
        at = first[t] + b * apart
        c_prev = c0[b] if n == T - 1 else c[first[t + 1 if go_backwards else t - 1] + b * apart]
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            if dy.shape[0] > 0:
                dh[b, j] += dy[at, j]                               # from (9)
            da_i = da_f = da_c = da_o = zero
            if mask[at]:
                i, f, c_tilde, o = gates[at, j], gates[at, H + j], gates[at, 2 * H + j], gates[at, 3 * H + j]
                tanh_c = math.tanh(c[at, j])
                do = dh[b, j] * tanh_c                              # from (3)
                dc_t = dc[b, j] + dh[b, j] * o * (one - tanh_c * tanh_c)    # from (3)
                da_i = dc_t * c_tilde * i * (one - i)               # from (004.LSTM.C), (004.LSTM.i)
                da_f = dc_t * c_prev[j] * f * (one - f)             # from (004.LSTM.C), (004.LSTM.f)
                da_c = dc_t * i * (one - c_tilde * c_tilde)         # from (004.LSTM.C), (004.LSTM.C~)
                da_o = do * o * (one - o)                           # from (004.LSTM.o)
                dc[b, j] = dc_t * f                                 # from (004.LSTM.C)
            da[at, j], da[at, H + j], da[at, 2 * H + j], da[at, 3 * H + j] = da_i, da_f, da_c, da_o
        cuda.syncthreads()                                          # da_t is whole before its product with U
        if mask[at]:
            for k in range(cuda.threadIdx.x, H, cuda.blockDim.x):
                total = zero
                for j in range(4 * H):
                    total += da[at, j] * U_T[j, k]                  # all four gates read h_{t-1}
                dh[b, k] = total


@cuda.jit
def _gru_forward(gates, U, b_h, h0, mask, first, rows, apart, go_backwards, reset_after, inner, h):
    b = cuda.blockIdx.x
    T, H = _length(rows, b), h.shape[1]
    zero, one, half = h.dtype.type(0), h.dtype.type(1), h.dtype.type(0.5)
    h_prev = h0[b]
    for n in range(T):
        t = T - 1 - n if go_backwards else n
        at = first[t] + b * apart
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            a_z, a_r, u = gates[at, j], gates[at, H + j], zero
            if reset_after:
                a_z, a_r, u = a_z + b_h[j], a_r + b_h[H + j], b_h[2 * H + j]
            for k in range(H):
                a_z += h_prev[k] * U[k, j]
                a_r += h_prev[k] * U[k, H + j]
                if reset_after:
                    u += h_prev[k] * U[k, 2 * H + j]                # (6)
            r = _sigmoid(a_r, half)                                 # (5)
            gates[at, j], gates[at, H + j] = _sigmoid(a_z, half), r     # (4)
            inner[at, j] = u if reset_after else r * h_prev[j]      # (6')
        cuda.syncthreads()                                          # u_t is whole before its product with U_h
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            a_h = gates[at, 2 * H + j]
            if reset_after:
                a_h += gates[at, H + j] * inner[at, j]
            else:
                for k in range(H):
                    a_h += inner[at, k] * U[k, 2 * H + j]
            z, h_tilde = gates[at, j], math.tanh(a_h)               # (7), (7')
            gates[at, 2 * H + j] = h_tilde
            h[at, j] = z * h_prev[j] + (one - z) * h_tilde if mask[at] else h_prev[j]       # (8)
        cuda.syncthreads()                                          # h_t is whole before the next step reads it
        h_prev = h[at]


@cuda.jit
def _gru_backward(dy, U_T, gates, inner, h0, h, mask, first, rows, apart, go_backwards, reset_after, dh, da, dinner):
    b = cuda.blockIdx.x
    T, H = _length(rows, b), h.shape[1]
    zero, one = h.dtype.type(0), h.dtype.type(1)
    for n in range(T):
        t = n if go_backwards else T - 1 - n
        at = first[t] + b * apart
        h_prev = h0[b] if n == T - 1 else h[first[t + 1 if go_backwards else t - 1] + b * apart]
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            if dy.shape[0] > 0:
                dh[b, j] += dy[at, j]                               # from (9)
            da_z = da_r = da_h = dproduct = zero
            if mask[at]:
                z, r, h_tilde = gates[at, j], gates[at, H + j], gates[at, 2 * H + j]
                da_z = dh[b, j] * (h_prev[j] - h_tilde) * z * (one - z)         # from (8), (4)
                da_h = dh[b, j] * (one - z) * (one - h_tilde * h_tilde)         # from (8), (7), (7')
                dproduct = da_h                                     # from (7')
                if reset_after:
                    dproduct = da_h * r                             # from (7)
                    da_r = da_h * inner[at, j] * r * (one - r)      # from (7), (5)
                dh[b, j] *= z                                       # from (8)
            da[at, j], da[at, H + j], da[at, 2 * H + j], dinner[at, j] = da_z, da_r, da_h, dproduct
        cuda.syncthreads()                                          # dproduct is whole before its product with U_h
        if mask[at]:
            for k in range(cuda.threadIdx.x, H, cuda.blockDim.x):
                du = zero
                for j in range(H):
                    du += dinner[at, j] * U_T[2 * H + j, k]         # from (6), (7')
                if reset_after:
                    dh[b, k] += du                                  # from (6)
                else:
                    r = gates[at, H + k]
                    da[at, H + k] = du * h_prev[k] * r * (one - r)  # from (6'), (5)
                    dh[b, k] += du * r                              # from (6')
        cuda.syncthreads()                                          # da_t is whole before its product with U
        if mask[at]:
            for k in range(cuda.threadIdx.x, H, cuda.blockDim.x):
                total = zero
                for j in range(2 * H):
                    total += da[at, j] * U_T[j, k]                  # from (4), (5)
                dh[b, k] += total


_ARRAY, _MASK = "float32[:,::1]", "boolean[::1]"
_STEPS = "int64[::1], int64[::1], int64, boolean"                   # first, rows, apart, go_backwards
SIGNATURES = {
    "_simple_rnn_forward": (_simple_rnn_forward, f"void({_ARRAY}, {_ARRAY}, {_ARRAY}, {_MASK}, {_STEPS}, int64, {_ARRAY})"),
    "_simple_rnn_backward": (_simple_rnn_backward, f"void({_ARRAY}, {_ARRAY}, {_ARRAY}, {_MASK}, {_STEPS}, int64, {_ARRAY}, "
                                                   f"{_ARRAY})"),
    "_lstm_forward": (_lstm_forward, f"void({_ARRAY}, {_ARRAY}, {_ARRAY}, {_ARRAY}, {_MASK}, {_STEPS}, {_ARRAY}, {_ARRAY})"),
    "_lstm_backward": (_lstm_backward, f"void({_ARRAY}, {_ARRAY}, {_ARRAY}, {_ARRAY}, {_ARRAY}, {_MASK}, {_STEPS}, {_ARRAY}, "
                                       f"{_ARRAY}, {_ARRAY})"),
    "_gru_forward": (_gru_forward, f"void({_ARRAY}, {_ARRAY}, float32[::1], {_ARRAY}, {_MASK}, {_STEPS}, boolean, {_ARRAY}, "
                                   f"{_ARRAY})"),
    "_gru_backward": (_gru_backward, f"void({_ARRAY}, {_ARRAY}, {_ARRAY}, {_ARRAY}, {_ARRAY}, {_ARRAY}, {_MASK}, {_STEPS}, "
                                     f"boolean, {_ARRAY}, {_ARRAY}, {_ARRAY})"),
}
