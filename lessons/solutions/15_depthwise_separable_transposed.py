"""Solutions of the exercises of lesson 15."""
import numpy as np

from nblayers.layers import Conv1DTranspose

# 1. On paper
separable = 8768                                # 9 · 64, and then 64 · 128
ordinary = 73728                                # 9 · 64 · 128
y = [2, 6, -3, -3, 2, 3, -1]                    # (2, 6, -2), (-1, -3, 1) and (1, 3, -1), two places apart


# 2. A whole backward
def transposed_backward(x, W, dy, s):
    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    for i in range(x.shape[1]):
        for k in range(len(W)):
            m = i * s + k
            dx[:, i] += dy[:, m] @ W[k]
            dW[k] += dy[:, m].T @ x[:, i]
    return dx, dW, dy.sum(axis=(0, 1))


# 3. The bug: (M, C) where it should be (C, M)
def fixed_depthwise_backward(x, W, dh):
    K, C, M = W.shape
    dh_apart = dh.reshape(*dh.shape[:2], C, M)
    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    for i in range(dh.shape[1]):
        for c in range(C):
            dW[:, c] += x[:, i:i + K, c].T @ dh_apart[:, i, c]
            dx[:, i:i + K, c] += dh_apart[:, i, c] @ W[:, c].T
    return dx, dW


# 4. The experiment
even = []
for size in range(1, 10):
    layer = Conv1DTranspose(1, size, strides=3, kernel_initializer="ones")
    y_of_ones = layer.forward(np.ones((1, 20, 1)))
    if np.ptp(y_of_ones[0, 9:-9, 0]) == 0:
        even.append(size)                       # 3, 6, 9: the multiples of the stride
