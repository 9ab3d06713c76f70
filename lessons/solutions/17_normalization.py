"""Solutions of the exercises of lesson 17."""
import numpy as np

# 1. On paper: the mean is 1, the variance 1
x_hat = [-1, -1, 1, 1]
dgamma = -4                                     # 4 · (-1)
dx = [4, -4, 0, 0]                              # dx_hat = (8, 0, 0, 0); its mean 2, that with x_hat -2


# 2. A whole backward
def group_norm_backward(dy, x, gamma, groups, eps):
    N, places, C = x.shape
    split = (N, places, groups, C // groups)
    axes = (1, 3)                               # all places, and the features of the group
    grouped = x.reshape(split)
    centred = grouped - grouped.mean(axis=axes, keepdims=True)
    std = np.sqrt((centred ** 2).mean(axis=axes, keepdims=True) + eps)
    x_hat = centred / std
    dx_hat = (dy * gamma).reshape(split)
    shift = dx_hat.mean(axis=axes, keepdims=True)
    along = (dx_hat * x_hat).mean(axis=axes, keepdims=True)
    dx = (dx_hat - shift - x_hat * along) / std
    dgamma = (dy * x_hat.reshape(x.shape)).sum(axis=(0, 1))
    dbeta = dy.sum(axis=(0, 1))
    return dx.reshape(x.shape), dgamma, dbeta


# 3. The bug: each feature has another gamma, so it comes before the means over them
def fixed_layer_norm_backward(dy, x, gamma, eps):
    centred = x - x.mean(axis=1, keepdims=True)
    std = np.sqrt((centred ** 2).mean(axis=1, keepdims=True) + eps)
    x_hat = centred / std
    dx_hat = dy * gamma
    shift = dx_hat.mean(axis=1, keepdims=True)
    along = (dx_hat * x_hat).mean(axis=1, keepdims=True)
    return (dx_hat - shift - x_hat * along) / std


# 4. The experiment: what is missing to 1 shrinks to 0.99 of itself at each batch
batches = np.ceil(np.log(0.1) / np.log(0.99))   # 230
