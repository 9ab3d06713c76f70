"""A convolutional LSTM over sequences of images on the GPU: at each step a convolution of all images and a kernel for the rest.

The rest has a thread for each number of the state. What the convolutions read and write lies in arrays of one step.
Formulas and shapes: kernels/reference/conv_lstm.py.
"""
import math

from ._compat import THREADS, blocks_for, cuda
from .convolution import convolve, convolve_transposed

ONES = (1, 1, 1)


def conv_lstm_forward(gates, U, h0, c0, mask, go_backwards, winograd, c, h):
    B, T, *_, F = h.shape
    h_t, c_t, hidden, no_bias = h0.copy(), c0.copy(), gates[:, 0].copy(), U[0, 0, 0, 0].copy()
    no_bias.fill(0)
    for t in _walk(T, go_backwards):
        convolve(h_t, U, no_bias, ONES, _padding(U), ONES, 1, winograd, hidden)
        _step[blocks_for(h_t.size), THREADS](hidden.reshape(B, -1, 4 * F), mask, t, *map(_places, (h_t, c_t, gates, c, h)))


def conv_lstm_backward(dy, U, gates, c0, c, mask, go_backwards, winograd, dh, dc, da):
    dh_prev, da_t, no_bias = dh.copy(), da[:, 0].copy(), U[0, 0, 0, :, 0].copy()
    no_bias.fill(0)
    walk = _walk(c.shape[1], go_backwards)
    for n in reversed(range(len(walk))):
        t, before = walk[n], walk[n - 1] if n else -1
        _slopes[blocks_for(dh.size), THREADS](_places(dy), _places(gates), _places(c0), _places(c), mask, t, before,
                                           *map(_places, (dh, dc, da_t, da)))
        convolve_transposed(da_t, U, no_bias, ONES, _padding(U), ONES, 1, winograd, dh_prev)
        _keep_real[blocks_for(dh.size), THREADS](_places(dh_prev), mask, t, _places(dh))


def _walk(T, go_backwards):
    return range(T - 1, -1, -1) if go_backwards else range(T)


def _padding(U):
    return tuple((k - 1) // 2 for k in U.shape[:3])


def _places(array):
    """A view with one axis of places: (…, D, H, W, columns) as (…, D H W, columns)."""
    return array.reshape(*array.shape[:-4], math.prod(array.shape[-4:-1]), array.shape[-1])


@cuda.jit(device=True)
def _sigmoid(a, half):
    return half + half * math.tanh(half * a)                        # 1 / (1 + exp(-a)), without its overflow


@cuda.jit
def _step(hidden, mask, t, h_t, c_t, gates, c, h):
    B, P, F = h_t.shape
    half = h_t.dtype.type(0.5)
    for k in range(cuda.grid(1), B * P * F, cuda.gridsize(1)):
        b, p, j = k // (P * F), k // F % P, k % F
        if mask[b, t]:
            i = _sigmoid(gates[b, t, p, j] + hidden[b, p, j], half)                         # (1), (2)
            f = _sigmoid(gates[b, t, p, F + j] + hidden[b, p, F + j], half)                 # (1), (2)
            c_tilde = math.tanh(gates[b, t, p, 2 * F + j] + hidden[b, p, 2 * F + j])        # (1), (3)
            o = _sigmoid(gates[b, t, p, 3 * F + j] + hidden[b, p, 3 * F + j], half)         # (1), (2)
            gates[b, t, p, j], gates[b, t, p, F + j] = i, f
            gates[b, t, p, 2 * F + j], gates[b, t, p, 3 * F + j] = c_tilde, o
            c_now = f * c_t[b, p, j] + i * c_tilde                                          # (4)
            c_t[b, p, j] = c_now
            h_t[b, p, j] = o * math.tanh(c_now)                                             # (5)
        c[b, t, p, j] = c_t[b, p, j]
        h[b, t, p, j] = h_t[b, p, j]


@cuda.jit
def _slopes(dy, gates, c0, c, mask, t, before, dh, dc, da_t, da):
    B, P, F = dh.shape
    zero, one = dh.dtype.type(0), dh.dtype.type(1)
    for k in range(cuda.grid(1), B * P * F, cuda.gridsize(1)):
        b, p, j = k // (P * F), k // F % P, k % F
        if dy.shape[1] > 0:
            dh[b, p, j] += dy[b, t, p, j]
        da_i = da_f = da_c = da_o = zero
        if mask[b, t]:
            i, f, c_tilde, o = gates[b, t, p, j], gates[b, t, p, F + j], gates[b, t, p, 2 * F + j], gates[b, t, p, 3 * F + j]
            c_prev = c[b, before, p, j] if before >= 0 else c0[b, p, j]
            tanh_c = math.tanh(c[b, t, p, j])
            do = dh[b, p, j] * tanh_c                                                       # from (5)
            dc_t = dc[b, p, j] + dh[b, p, j] * o * (one - tanh_c * tanh_c)                  # from (5)
            da_i = dc_t * c_tilde * i * (one - i)                                           # from (4), (2)
            da_f = dc_t * c_prev * f * (one - f)                                            # from (4), (2)
            da_c = dc_t * i * (one - c_tilde * c_tilde)                                     # from (4), (3)
            da_o = do * o * (one - o)                                                       # from (2)
            dc[b, p, j] = dc_t * f                                                          # from (4)
        da_t[b, p, j], da_t[b, p, F + j], da_t[b, p, 2 * F + j], da_t[b, p, 3 * F + j] = da_i, da_f, da_c, da_o
        da[b, t, p, j], da[b, t, p, F + j], da[b, t, p, 2 * F + j], da[b, t, p, 3 * F + j] = da_i, da_f, da_c, da_o


@cuda.jit
def _keep_real(new, mask, t, state):
    B, P, F = state.shape
    for k in range(cuda.grid(1), B * P * F, cuda.gridsize(1)):
        b, p, j = k // (P * F), k // F % P, k % F
        if mask[b, t]:
            state[b, p, j] = new[b, p, j]


SIGNATURES = {
    "_step": (_step, "void(float32[:,:,::1], boolean[:,::1], int64, float32[:,:,::1], float32[:,:,::1], float32[:,:,:,::1], "
                     "float32[:,:,:,::1], float32[:,:,:,::1])"),
    "_slopes": (_slopes, "void(float32[:,:,:,::1], float32[:,:,:,::1], float32[:,:,::1], float32[:,:,:,::1], boolean[:,::1], "
                         "int64, int64, float32[:,:,::1], float32[:,:,::1], float32[:,:,::1], float32[:,:,:,::1])"),
    "_keep_real": (_keep_real, "void(float32[:,:,::1], boolean[:,::1], int64, float32[:,:,::1])"),
}
