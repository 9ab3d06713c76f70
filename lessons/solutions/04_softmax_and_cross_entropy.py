"""Solutions of the exercises of lesson 04."""
import numpy as np

L = np.log(4)                                           # p = (3/4, 1/4), and the second is right
dx = [3 / 4, 1 / 4 - 1]                                 # p - t


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax_backward(x, dy):
    return dy - softmax(x) * dy.sum(axis=1, keepdims=True)      # dx_j = Σ_i dy_i (δ_ij - p_j)


def fixed_softmax_backward(p, dp):
    return p * (dp - (dp * p).sum(axis=1, keepdims=True))       # the bug: the Jacobian has more than a diagonal


low, high = 0.1, 10.0
for _ in range(40):
    temperature = (low + high) / 2
    low, high = (temperature, high) if softmax(np.array([2, 1, 0, -1]) / temperature)[0] > 0.9 else (low, temperature)
