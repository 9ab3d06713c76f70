"""Solutions of the exercises of lesson 13."""
import numpy as np

from nblayers.layers import Conv1D, Input
from nblayers.models import Sequential

# 1. On paper
y = [2, 3, -2]                                  # 2 · 1 + 0 · 3, 0 · 1 + 1 · 3, 1 · 1 - 1 · 3
dW = [4, -3]                                    # 1 · 2 - 1 · 0 + 2 · 1, 1 · 0 - 1 · 1 + 2 · (-1)
dx = [1, 2, -1, 6]                              # (1, 3) and, one place further on each, (-1, -3) and (2, 6)


# 2. A whole backward
def conv1d_backward(x, W, dy, stride):
    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    for i in range(dy.shape[1]):
        for k in range(len(W)):
            m = i * stride + k
            dx[:, m] += dy[:, i] @ W[k].T
            dW[k] += x[:, m].T @ dy[:, i]
    return dx, dW, dy.sum(axis=(0, 1))


# 3. The bug: what comes to m is the sum of dy_{m-k} W_k, so dy or the taps run backwards
def fixed_input_gradient(dy, W):
    edge = len(W) - 1
    dy = np.pad(dy, [(0, 0), (edge, edge), (edge, edge), (0, 0)])
    rows, columns = dy.shape[1] - edge, dy.shape[2] - edge
    dx = np.zeros((len(dy), rows, columns, W.shape[2]))
    for u in range(len(W)):
        for v in range(len(W)):
            dx += dy[:, u:u + rows, v:v + columns] @ W[edge - u, edge - v].T
    return dx


# 4. The experiment
def seen(layers, steps=1100):
    """How many inputs the last output sees: those that its gradient reaches."""
    convolutions = [Conv1D(1, 3, padding="causal", dilation_rate=2 ** n, kernel_initializer="ones") for n in range(layers)]
    model = Sequential([Input((steps, 1)), *convolutions])
    dy = np.zeros_like(model.forward(np.zeros((1, steps, 1))))
    dy[0, -1] = 1
    return np.count_nonzero(model.backward(dy))


layers = 1
while seen(layers) < 1000:
    layers += 1                                 # 9: with 1 + 2 (1 + 2 + 4 + … + 256) = 1023
