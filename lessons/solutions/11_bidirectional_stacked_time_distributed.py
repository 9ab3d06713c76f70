"""Solutions of the exercises of lesson 11."""
import numpy as np

# 1. On paper
y = [[4, 7], [4, 6], [10, 8]]                   # there 4, 2 + 2, 8 + 2; back, from below, 8, 2 + 4, 4 + 3
dx = [2, 0.5, 0.25]                             # there x_0 alone; back x_0 + x_1 / 2 + x_2 / 4
paths = 20                                      # three times right and three times up, in any order: 6 · 5 · 4 / 6


# 2. A whole backward
def walk_back(dh_above, h, U):
    da = np.zeros_like(h)
    dh_next = np.zeros_like(h[:, 0])
    for t in reversed(range(h.shape[1])):
        dh = dh_above[:, t] + dh_next
        da[:, t] = dh * (1 - h[:, t] ** 2)
        dh_next = da[:, t] @ U.T
    return da


def layer_backward(dh_above, x, h, W, U):
    da = walk_back(dh_above, h, U)
    h_before = np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)
    dW = np.einsum("nti,ntj->ij", x, da)
    dU = np.einsum("nti,ntj->ij", h_before, da)
    return da @ W.T, dW, dU


def network_backward(dh_above, x, h_there, h_back, h, W_there, U_there, W_back, U_back, W_up, U_up):
    H = h.shape[2]
    y = np.concatenate([h_there, h_back], axis=2)
    dy, dW_up, dU_up = layer_backward(dh_above, y, h, W_up, U_up)
    dx_there, dW_there, dU_there = layer_backward(dy[:, :, :H], x, h_there, W_there, U_there)
    # the half that walks back: everything in the order of its walk
    dx_back, dW_back, dU_back = layer_backward(dy[:, ::-1, H:], x[:, ::-1], h_back[:, ::-1], W_back, U_back)
    dx = dx_there + dx_back[:, ::-1]
    return dx, dW_there, dU_there, dW_back, dU_back, dW_up, dU_up


# 3. The bug: what came out was still in the order of the walk
def fixed_bidirectional_backward(there, back, dy):
    half = dy.shape[2] // 2
    dx_there = there(dy[:, :, :half])
    dx_back = back(dy[:, ::-1, half:])
    return dx_there + dx_back[:, ::-1]


# 4. The experiment
steps = 11                                      # (k + 2) (k + 1) / 2 paths, each 0.85 to the power of k
