"""Solutions of the exercises of lesson 08."""
import numpy as np

# 1. On paper
C = 0                                           # 0.5 · (-1) + 0.5 · 1
dC = 2                                          # dh o (1 - tanh²(0)) = 4 · 0.5 · 1
df = -2                                         # dC C_{t-1}
da_f = -0.5                                     # df f (1 - f)
dC_prev = 1                                     # dC f


# 2. A whole backward
def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2


def lstm_step(a, C_prev):
    a_i, a_f, a_C, a_o = np.split(a, 4, axis=1)
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
    return np.concatenate([da_i, da_f, da_C, da_o], axis=1), dC * f


def lstm_backward(dy, x, mask, W, U, b, h_start, C_start):
    h_prev, C_prev = h_start, C_start
    steps = []
    for t in range(x.shape[1]):
        real = mask[:, t, None]
        i, f, C_tilde, o, C, h = lstm_step(x[:, t] @ W + h_prev @ U + b, C_prev)
        steps.append((h_prev, C_prev, i, f, C_tilde, o, C))
        h_prev = np.where(real, h, h_prev)
        C_prev = np.where(real, C, C_prev)
    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    dU = np.zeros_like(U)
    db = np.zeros_like(b)
    dh_next = np.zeros_like(h_start)
    dC_next = np.zeros_like(C_start)
    for t in reversed(range(x.shape[1])):
        real = mask[:, t, None]
        h_prev, C_prev, i, f, C_tilde, o, C = steps[t]
        dh = dy[:, t] + dh_next
        da, dC_prev = lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev)
        da = np.where(real, da, 0)              # nothing is heard at a masked step
        dx[:, t] = da @ W.T
        dW += x[:, t].T @ da
        dU += h_prev.T @ da
        db += da.sum(axis=0)
        dh_next = np.where(real, da @ U.T, dh)  # all that arrived goes on as it is
        dC_next = np.where(real, dC_prev, dC_next)
    return dx, dW, dU, db, dh_next, dC_next


# 3. The bug: dC_next was worked out and then dropped
def fixed_cell_walk(dh, o, f, C):
    dC = np.zeros_like(C)
    dC_next = np.zeros_like(C[:, 0])
    for t in reversed(range(C.shape[1])):
        dC[:, t] = dC_next + dh[:, t] * o[:, t] * (1 - np.tanh(C[:, t]) ** 2)
        dC_next = dC[:, t] * f[:, t]
    return dC


# 4. The experiment
gate = 0.1 ** (1 / 100)                         # 0.977
bias = np.log(gate / (1 - gate))                # 3.76, the number whose sigmoid the gate is
