"""Solutions of the exercises of lesson 18."""
import numpy as np

from nblayers.regularizers import L1

y = [0, -1 / 0.25]
dx = [0, 5 / 0.25]
dR = [0.1 + 0.05 * 2 * 3, -0.1 + 0.05 * 2 * -0.5]


def network_backward(x, W_1, W_2, m, r, l2, dz):
    h = np.maximum(x @ W_1, 0)
    y = m * h / (1 - r)
    da = dz @ W_2.T * m / (1 - r) * (h > 0)
    return da @ W_1.T, x.T @ da + 2 * l2 * W_1, y.T @ dz + 2 * l2 * W_2


def fixed_max_norm(W, most):
    norm = np.sqrt((W ** 2).sum(axis=0, keepdims=True))         # the bug: axis=1 goes by the rows
    return W * np.minimum(norm, most) / (norm + 1e-7)           # and a column of zeros was divided by 0


k = np.array([0.3, -0.8, 1.5, 0.1, -2.0])


def at_rest(factor, eta=0.005):
    w = k.copy()
    for _ in range(3000):
        w -= eta * (w - k + L1(factor).gradient(w))
    return w


low, high = 0.0, 2.0
for _ in range(10):
    middle = (low + high) / 2
    zeros = np.count_nonzero(np.abs(at_rest(middle)) < 0.01)
    low, high = (low, middle) if zeros >= 3 else (middle, high)
smallest_l1 = high                                      # 0.8: where |k| is not larger, w comes to 0
