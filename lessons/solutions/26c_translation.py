"""Solutions of the exercises of lesson 26c."""
import numpy as np

# 1. On paper
p = [0.5, 0.5]                                  # both scores are 1
c = [1, 1]                                      # the mean of (2, 1) and (0, 1)
ds = [2, -2]                                    # dp = (8, 0), the sum is 4
dh = [[2, 2], [2, -2]]                          # p dc = (2, 0) for both; ds q = (0, 2), (0, -2)


# 2. A whole backward, from the logits to both networks
def look_backward(dz, q, h, mask, W):
    H = q.shape[2]
    s = np.where(mask[:, None], q @ h.swapaxes(1, 2), -1e9)
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)       # (N, T, S)
    u = np.concatenate([q, p @ h], axis=2)      # (N, T, 2H)
    du = dz @ W.T
    dc = du[..., H:]
    dp = dc @ h.swapaxes(1, 2)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    dq = du[..., :H] + ds @ h
    dh = p.swapaxes(1, 2) @ dc + ds.swapaxes(1, 2) @ q
    dW = np.einsum("ntu,ntk->uk", u, dz)
    return dq, dh, dW, dz.sum(axis=(0, 1))


# 3. The bug: the new states have to go into the next step
def fixed_write(decoder, h, C, start, steps):
    told, written = start, []
    for _ in range(steps):
        probabilities, h, C = decoder(told, h, C)
        told = probabilities.argmax(axis=1)
        written.append(told)
    return np.stack(written, axis=1)


# 4. The experiment: share to the power of ten is 0.99
share = 0.99 ** 0.1
