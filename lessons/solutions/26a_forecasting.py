"""Solutions of the exercises of lesson 26a."""
import numpy as np

from lessons.data import sunspots

# 1. On paper
x = [[5, 1], [1, 3], [3, 8]]
y = [-3, 5, 13]                                 # 2 · 1 - 5, 2 · 3 - 1, 2 · 8 - 3
dy = [-4, -2, 4]                                # 2 / 3 of (-3 - 3, 5 - 8, 13 - 7)


# 2. A whole backward
def forecast_backward(x, after, W, U, b, V, c):
    N, T, _ = x.shape
    h = np.zeros((N, T + 1, len(U)))            # h[:, t + 1] is the state after step t
    for t in range(T):
        h[:, t + 1] = np.tanh(x[:, t] @ W + h[:, t] @ U + b)
    y = h[:, -1] @ V + c
    dy = 2 * (y - after) / N
    dV = h[:, -1].T @ dy
    dc = dy.sum(axis=0)
    dW = np.zeros_like(W)
    dU = np.zeros_like(U)
    db = np.zeros_like(b)
    dh = dy @ V.T                               # the last state alone has a loss
    for t in reversed(range(T)):
        da = dh * (1 - h[:, t + 1] ** 2)
        dW += x[:, t].T @ da
        dU += h[:, t].T @ da
        db += da.sum(axis=0)
        dh = da @ U.T
    return dW, dU, db, dV, dc


# 3. The bug: what was asked for stood in the window, at its end
def fixed_windows(series, T):
    x = np.array([series[n:n + T] for n in range(len(series) - T)])
    return x, np.array(series[T:])


# 4. The experiment
years, spots = sunspots()
windows, following = fixed_windows(spots, 9)
rows = np.column_stack([windows, np.ones(len(windows))])
is_new = years[9:] >= 1921
w, *_ = np.linalg.lstsq(rows[~is_new], following[~is_new], rcond=None)
straight = np.sqrt(np.mean((rows[is_new] @ w - following[is_new]) ** 2))       # as good as the LSTM, or better
