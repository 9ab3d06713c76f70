"""Solutions of the exercises of lesson 16."""
import numpy as np

from nblayers.layers import ConvLSTM1D

# 1. On paper
dh_prev = [2, 6, -5, -3]                        # 2 · (1, 3, -2) about place 1, -1 · (1, 3) about place 3
dU = [-1, -4, 6]                                # 2 · 1 + (-1) · 3, 2 · (-1) + (-1) · 2, 2 · 3
weights = 4 * (9 * (3 + 16) * 16 + 16)          # 11008


# 2. A whole backward
def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2


def convolve(x, w):
    """`same`: the number of places stays."""
    K, places = len(w), x.shape[1]
    x = np.pad(x, ((0, 0), (K // 2, K // 2), (0, 0)))
    return sum(x[:, k:k + places] @ w[k] for k in range(K))


def convolve_transposed(da, w):
    return convolve(da, w[::-1].swapaxes(1, 2))


def weight_gradient(x, da, K):
    places = x.shape[1]
    x = np.pad(x, ((0, 0), (K // 2, K // 2), (0, 0)))
    return np.stack([np.einsum("nmc,nmg->cg", x[:, k:k + places], da) for k in range(K)])


def lstm_step(a, C_prev):
    a_i, a_f, a_C, a_o = np.split(a, 4, axis=-1)
    i = sigmoid(a_i)
    f = sigmoid(a_f)
    C_tilde = np.tanh(a_C)
    o = sigmoid(a_o)
    C = f * C_prev + i * C_tilde
    h = o * np.tanh(C)
    return i, f, C_tilde, o, C, h


def lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev):
    do = dh * np.tanh(C)
    dC = dC_next + dh * o * (1 - np.tanh(C) ** 2)
    df = dC * C_prev
    di = dC * C_tilde
    dC_tilde = dC * i
    da_i = di * i * (1 - i)
    da_f = df * f * (1 - f)
    da_C = dC_tilde * (1 - C_tilde ** 2)
    da_o = do * o * (1 - o)
    return np.concatenate([da_i, da_f, da_C, da_o], axis=-1), dC * f


def conv_lstm_backward(dy, x, W, U, b, h_start, C_start):
    K = len(U)
    h_prev, C_prev = h_start, C_start
    steps = []
    for t in range(x.shape[1]):
        a = convolve(x[:, t], W) + convolve(h_prev, U) + b
        i, f, C_tilde, o, C, h = lstm_step(a, C_prev)
        steps.append((h_prev, C_prev, i, f, C_tilde, o, C))
        h_prev, C_prev = h, C
    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    dU = np.zeros_like(U)
    db = np.zeros_like(b)
    dh_next = np.zeros_like(h_start)
    dC_next = np.zeros_like(C_start)
    for t in reversed(range(x.shape[1])):
        h_prev, C_prev, i, f, C_tilde, o, C = steps[t]
        dh = dy[:, t] + dh_next
        da, dC_next = lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev)
        dh_next = convolve_transposed(da, U)
        dx[:, t] = convolve_transposed(da, W)
        dW += weight_gradient(x[:, t], da, K)
        dU += weight_gradient(h_prev, da, K)
        db += da.sum(axis=(0, 1))
    return dx, dW, dU, db, dh_next, dC_next


# 3. The bug: U met the state before each step, not the one that the step has made
def fixed_recurrent_gradient(h_start, h, da, K):
    p = K // 2
    P = da.shape[2]
    h_before = np.concatenate([h_start[:, None], h[:, :-1]], axis=1)
    h_before = np.pad(h_before, ((0, 0), (0, 0), (p, p), (0, 0)))
    taps = [np.einsum("ntmf,ntmg->fg", h_before[:, :, k:k + P], da) for k in range(K)]
    return np.stack(taps)


# 4. The experiment
def hears(K, places, steps):
    """Whether h of the last step hears the frame `steps` before the last, so many places away."""
    layer = ConvLSTM1D(8, K, padding="same", return_sequences=True).to("reference")
    dy = np.zeros_like(layer.forward(np.random.default_rng(0).normal(size=(1, 3, 41, 1))))
    dy[0, -1, 20] = 1
    return layer.backward(dy)[0, -1 - steps, 20 - places, 0] != 0


K = 1
while not (hears(K, 3, 0) and hears(K, 6, 1)):  # the dot that will be here is 3 places away, and was 6
    K += 2                                      # 7
