"""Solutions of the exercises of lesson 19."""
import numpy as np

# 1. On paper
p = [0.5, 0.25, 0.25]                           # 2, 1, 1 of 4
o = 3                                           # 0.5 · 4 + 0.25 · 4
ds = [0.5, -0.75, 0.25]                         # p (dp - sum of dp p); dp = (4, 0, 4), the sum is 3


# 2. A whole backward: one head of keys and values, shared by all heads of queries
def attention_backward(do, q, k, v, mask):
    scale = 1 / np.sqrt(q.shape[-1])
    k, v = k[:, None], v[:, None]               # (N, 1, S, D)
    s = np.where(mask[:, None], scale * q @ k.swapaxes(2, 3), -1e9)
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)       # (N, H, T, S)
    dv = p.swapaxes(2, 3) @ do                  # (N, H, S, D)
    dp = do @ v.swapaxes(2, 3)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    dq = scale * ds @ k
    dk = scale * ds.swapaxes(2, 3) @ q
    return dq, dk.sum(axis=1), dv.sum(axis=1)   # each key hears all heads


# 3. The bug: each query has a softmax of its own, along the last axis
def fixed_score_gradient(p, dp):
    return p * (dp - (dp * p).sum(axis=-1, keepdims=True))


# 4. The experiment: the standard deviation is the root of D
size = 16 ** 2
