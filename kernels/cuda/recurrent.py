"""Recurrent sequences on the GPU: one block walks one sequence through time, its threads share the units.

Each thread keeps to its own units (j, j + threads, …) in every loop, so that only h_t and da_t, which all threads read, need
a barrier. Formulas and shapes: kernels/reference/recurrent.py.
"""
import math

from ._compat import THREADS, cuda


def simple_rnn_forward(z, W_h, h0, mask, go_backwards, activation, h):
    _simple_rnn_forward[h.shape[0], THREADS](z, W_h, h0, mask, go_backwards, activation, h)


def simple_rnn_backward(dy, W_h, h, mask, go_backwards, activation, dh, da):
    # transposed, so that neighbouring threads read neighbouring weights
    _simple_rnn_backward[h.shape[0], THREADS](dy, W_h.T.copy(), h, mask, go_backwards, activation, dh, da)


def lstm_forward(gates, U, h0, c0, mask, go_backwards, c, h):
    _lstm_forward[h.shape[0], THREADS](gates, U, h0, c0, mask, go_backwards, c, h)


def lstm_backward(dy, U, gates, c0, c, mask, go_backwards, dh, dc, da):
    _lstm_backward[c.shape[0], THREADS](dy, U.T.copy(), gates, c0, c, mask, go_backwards, dh, dc, da)


@cuda.jit(device=True)
def _sigmoid(a, half):
    return half + half * math.tanh(half * a)                        # 1 / (1 + exp(-a)), without its overflow


@cuda.jit
def _simple_rnn_forward(z, W_h, h0, mask, go_backwards, activation, h):
    b = cuda.blockIdx.x
    T, H = z.shape[1], z.shape[2]
    zero, half = z.dtype.type(0), z.dtype.type(0.5)
    h_prev = h0[b]
    for n in range(T):
        t = T - 1 - n if go_backwards else n
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            if mask[b, t]:
                a = z[b, t, j]
                for k in range(H):
                    a += h_prev[k] * W_h[k, j]                      # (1)
                if activation == 1:                                 # (2)
                    a = math.tanh(a)
                elif activation == 2:
                    a = _sigmoid(a, half)
                elif activation == 3 and a < zero:
                    a = zero
                h[b, t, j] = a
            else:
                h[b, t, j] = h_prev[j]
        cuda.syncthreads()                                          # h_t is whole before the next step reads it
        h_prev = h[b, t]


@cuda.jit
def _simple_rnn_backward(dy, W_h_T, h, mask, go_backwards, activation, dh, da):
    b = cuda.blockIdx.x
    T, H = h.shape[1], h.shape[2]
    zero, one = h.dtype.type(0), h.dtype.type(1)
    for n in range(T):
        t = n if go_backwards else T - 1 - n
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            if dy.shape[1] > 0:
                dh[b, j] += dy[b, t, j]
            slope, h_t = one, h[b, t, j]
            if activation == 1:
                slope = one - h_t * h_t
            elif activation == 2:
                slope = h_t * (one - h_t)
            elif activation == 3 and h_t <= zero:
                slope = zero
            da[b, t, j] = dh[b, j] * slope if mask[b, t] else zero  # from (2)
        cuda.syncthreads()                                          # da_t is whole before its product with W_h
        if mask[b, t]:
            for k in range(cuda.threadIdx.x, H, cuda.blockDim.x):
                total = zero
                for j in range(H):
                    total += da[b, t, j] * W_h_T[j, k]              # from (1)
                dh[b, k] = total


@cuda.jit
def _lstm_forward(gates, U, h0, c0, mask, go_backwards, c, h):
    b = cuda.blockIdx.x
    T, H = h.shape[1], h.shape[2]
    half = h.dtype.type(0.5)
    h_prev, c_prev = h0[b], c0[b]
    for n in range(T):
        t = T - 1 - n if go_backwards else n
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            if mask[b, t]:
                a_i, a_f, a_c, a_o = gates[b, t, j], gates[b, t, H + j], gates[b, t, 2 * H + j], gates[b, t, 3 * H + j]
                for k in range(H):
                    a_i += h_prev[k] * U[k, j]
                    a_f += h_prev[k] * U[k, H + j]
                    a_c += h_prev[k] * U[k, 2 * H + j]
                    a_o += h_prev[k] * U[k, 3 * H + j]
                i = _sigmoid(a_i, half)                             # (004.LSTM.i)
                f = _sigmoid(a_f, half)                             # (004.LSTM.f)
                c_tilde = math.tanh(a_c)                            # (004.LSTM.C~)
                o = _sigmoid(a_o, half)                             # (004.LSTM.o)
                gates[b, t, j], gates[b, t, H + j], gates[b, t, 2 * H + j], gates[b, t, 3 * H + j] = i, f, c_tilde, o
                c_t = f * c_prev[j] + i * c_tilde                   # (004.LSTM.C)
                c[b, t, j] = c_t
                h[b, t, j] = o * math.tanh(c_t)                     # (3)
            else:
                c[b, t, j] = c_prev[j]
                h[b, t, j] = h_prev[j]
        cuda.syncthreads()                                          # h_t is whole before the next step reads it
        h_prev, c_prev = h[b, t], c[b, t]


@cuda.jit
def _lstm_backward(dy, U_T, gates, c0, c, mask, go_backwards, dh, dc, da):
    b = cuda.blockIdx.x
    T, H = c.shape[1], c.shape[2]
    zero, one = c.dtype.type(0), c.dtype.type(1)
    for n in range(T):
        t = n if go_backwards else T - 1 - n
        c_prev = c0[b] if n == T - 1 else c[b, t + 1 if go_backwards else t - 1]
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            if dy.shape[1] > 0:
                dh[b, j] += dy[b, t, j]
            da_i = da_f = da_c = da_o = zero
            if mask[b, t]:
                i, f, c_tilde, o = gates[b, t, j], gates[b, t, H + j], gates[b, t, 2 * H + j], gates[b, t, 3 * H + j]
                tanh_c = math.tanh(c[b, t, j])
                do = dh[b, j] * tanh_c                              # from (3)
                dc_t = dc[b, j] + dh[b, j] * o * (one - tanh_c * tanh_c)    # from (3)
                da_i = dc_t * c_tilde * i * (one - i)               # from (004.LSTM.C), (004.LSTM.i)
                da_f = dc_t * c_prev[j] * f * (one - f)             # from (004.LSTM.C), (004.LSTM.f)
                da_c = dc_t * i * (one - c_tilde * c_tilde)         # from (004.LSTM.C), (004.LSTM.C~)
                da_o = do * o * (one - o)                           # from (004.LSTM.o)
                dc[b, j] = dc_t * f                                 # from (004.LSTM.C)
            da[b, t, j], da[b, t, H + j], da[b, t, 2 * H + j], da[b, t, 3 * H + j] = da_i, da_f, da_c, da_o
        cuda.syncthreads()                                          # da_t is whole before its product with U
        if mask[b, t]:
            for k in range(cuda.threadIdx.x, H, cuda.blockDim.x):
                total = zero
                for j in range(4 * H):
                    total += da[b, t, j] * U_T[j, k]                # all four gates read h_{t-1}
                dh[b, k] = total


SIGNATURES = {
    "_simple_rnn_forward": (_simple_rnn_forward, "void(float32[:,:,::1], float32[:,::1], float32[:,::1], boolean[:,::1], "
                                                 "boolean, int64, float32[:,:,::1])"),
    "_simple_rnn_backward": (_simple_rnn_backward, "void(float32[:,:,::1], float32[:,::1], float32[:,:,::1], boolean[:,::1], "
                                                   "boolean, int64, float32[:,::1], float32[:,:,::1])"),
    "_lstm_forward": (_lstm_forward, "void(float32[:,:,::1], float32[:,::1], float32[:,::1], float32[:,::1], boolean[:,::1], "
                                     "boolean, float32[:,:,::1], float32[:,:,::1])"),
    "_lstm_backward": (_lstm_backward, "void(float32[:,:,::1], float32[:,::1], float32[:,:,::1], float32[:,::1], "
                                       "float32[:,:,::1], boolean[:,::1], boolean, float32[:,::1], float32[:,::1], "
                                       "float32[:,:,::1])"),
}
