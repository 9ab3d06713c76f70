"""Solutions of the exercises of lesson 16."""
import numpy as np

from nblayers.layers import ConvLSTM1D

dh_prev = [2, 6, -5, -3]                                # 2 · (1, 3, -2) about place 2, -1 · (1, 3) about place 4
dU = [-1, -4, 6]                                        # 1 · 2 + 3 · (-1), -1 · 2 + 2 · (-1), 3 · 2
weights = 4 * (9 * (3 + 16) * 16 + 16)                  # 11008


def convolve(x, w):
    """`same`, in one dimension."""
    K, n = len(w), len(x)
    x = np.pad(x, ((K // 2, K // 2), (0, 0)))
    return sum(x[k:k + n] @ w[k] for k in range(K))


def step_backward(dh, dC, i, f, C_tilde, o, C, C_prev, h_prev, U):
    K, n = len(U), len(h_prev)
    do = dh * np.tanh(C)
    dC = dC + dh * o * (1 - np.tanh(C) ** 2)
    di, df, dC_tilde = dC * C_tilde, dC * C_prev, dC * i
    da = np.concatenate([di * i * (1 - i), df * f * (1 - f), dC_tilde * (1 - C_tilde ** 2), do * o * (1 - o)], axis=1)
    padded = np.pad(h_prev, ((K // 2, K // 2), (0, 0)))
    dU = np.array([padded[k:k + n].T @ da for k in range(K)])
    return da, convolve(da, U[::-1].swapaxes(1, 2)), dC * f, dU


def fixed_recurrent_gradient(h_0, h, da, K):
    h = np.concatenate([h_0[None], h[:-1]])             # the bug: U met the state before each step, not the one after it
    h = np.pad(h, ((0, 0), (K // 2, K // 2), (0, 0)))
    return np.array([np.einsum("tpf,tpg->fg", h[:, k:k + da.shape[1]], da) for k in range(K)])


def hears(K, places, steps):
    """Whether h of the last step hears the frame `steps` before the last, so many places away."""
    layer = ConvLSTM1D(8, K, padding="same", return_sequences=True).to("reference")
    dy = np.zeros_like(layer.forward(np.random.default_rng(0).normal(size=(1, 3, 41, 1))))
    dy[0, -1, 20] = 1
    return layer.backward(dy)[0, -1 - steps, 20 - places, 0] != 0


K = 1
while not (hears(K, 3, 0) and hears(K, 6, 1)):          # the dot that will be here is 3 places away, and was 6
    K += 2                                              # 7
