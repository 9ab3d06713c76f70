"""Solutions of the exercises of lesson 13."""
import numpy as np

from nblayers.layers import Conv1D, Input
from nblayers.models import Sequential

y = [2, 3, -2]                                          # 2 · 1 + 0 · 3, 0 · 1 + 1 · 3, 1 · 1 - 1 · 3
dw = [4, -3]                                            # 1 · 2 - 1 · 0 + 2 · 1, 1 · 0 - 1 · 1 + 2 · (-1)
dx = [1, 2, -1, 6]                                      # (1, 3) and, one place further on each, (-1, -3) and (2, 6)


def conv1d_backward(x, w, dy, s):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(len(dy)):
        for k in range(len(w)):
            dx[i * s + k] += w[k] @ dy[i]
            dw[k] += np.outer(x[i * s + k], dy[i])
    return dx, dw, dy.sum(axis=0)


def fixed_input_gradient(dy, w):
    K, dy = len(w), np.pad(dy, ((len(w) - 1,) * 2, (len(w) - 1,) * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(dy, (K, K), (0, 1))
    return np.einsum("ijfkl,klcf->ijc", windows, w[::-1, ::-1])     # the bug: dy_{m-k} w_k, so one of the two runs backwards


def seen(layers, steps=1100):
    """How many inputs the last output sees: those that a gradient by it reaches."""
    model = Sequential([Input((steps, 1))] + [Conv1D(1, 3, padding="causal", dilation_rate=2 ** n, kernel_initializer="ones")
                                              for n in range(layers)])
    dy = np.zeros_like(model.forward(np.zeros((1, steps, 1))))
    dy[0, -1] = 1
    return np.count_nonzero(model.backward(dy))


layers = 1
while seen(layers) < 1000:
    layers += 1                                         # 9: with 1 + 2 (1 + 2 + 4 + … + 256) = 1023
