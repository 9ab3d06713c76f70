r"""Attention as NumPy: a mean of values, weighted by how well each value's key answers a query.

One query block (batch and head left out; h of the equations is one of H heads of queries):

    s_{ij} = c \sum_d q_{id} k_{jd}                                                         (1)     001.13.Attention
    s_{ij} = \sum_d w_d \tanh(a (q_{id} + k_{jd}))                                          (2)     001.13.AdditiveAttention
    p_{ij} = m_{ij} e^{s_{ij}} / \sum_{j'} m_{ij'} e^{s_{ij'}}                              (3)     m is 0 where masked
    y_{ie} = \sum_j z_{ij} p_{ij} v_{je}                                                    (4)     z is 1 without dropout
    L_i    = \log \sum_j m_{ij} e^{s_{ij}}                                              (5)     p_{ij} = m_{ij} e^{s_{ij} - L_i}
    D_i    = \sum_j p_{ij} \, \partial L / \partial p_{ij} = \sum_e y_{ie} \, dy_{ie}       (6)

    (1), (3), (4)       001.13.MultiHeadAttention, 001.13.GroupQueryAttention, between their projections

`attention` keeps no p: L_i is all that its backward needs to draw p again, block by block (Dao et al. 2022, "FlashAttention").
The functions after it are the same in parts, for those who want to see p or have scores of their own.

What the arguments are in all of them:

    q (B, T, H, D), k (B, S, G, D), v (B, S, G, E)      G divides H: head h reads k and v of head h G / H
    query_mask (B, T), key_mask (B, S), mask            bool, m is their product; one of size 0 is all True. `mask` has four
        axes (B, H, T, S), each of that size or 1
    before, after           query i sees the keys from i - before to i + after: after = 0 is causal
    scale                   c
    mean                    what a query without a single key gets: the mean of all values where True, else 0
    key, threshold, keep    dropout's key and threshold (see regularization; 0 for none), and 1 / (1 - rate)

and z_{ij} of batch b and head h is number ((b H + h) T + i) S + j of `dropout_mask`.
"""
import numpy as np

from .regularization import GAMMA, MIX_1, MIX_2

BLOCK = 64                  # queries that are looked at together


def attention(q, k, v, query_mask, key_mask, mask, before, after, scale, mean, key, threshold, keep, y, lse):
    """q, k, v, masks and settings as above -> y (B, T, H, E), lse L (B, H, T), inf for a query without a key."""
    for b, h, g, rows in _blocks(q, k):
        m = _allowed(query_mask, key_mask, mask, before, after, b, h, rows, k.shape[1])
        z = _dropped(key, threshold, keep, (b * q.shape[2] + h) * q.shape[1], rows, k.shape[1])
        y[b, rows, h], lse[b, h, rows] = attention_block(q[b, rows, h], k[b, :, g], v[b, :, g], m, scale, z, mean)


def attention_backward(dy, q, k, v, y, lse, query_mask, key_mask, mask, before, after, scale, mean, key, threshold, keep,
                       dq, dk, dv):
    """dy (B, T, H, E), and what `attention` was given and gave -> dq, dk, dv like q, k, v."""
    dk[...] = 0
    dv[...] = 0
    for b, h, g, rows in _blocks(q, k):
        m = _allowed(query_mask, key_mask, mask, before, after, b, h, rows, k.shape[1])
        z = _dropped(key, threshold, keep, (b * q.shape[2] + h) * q.shape[1], rows, k.shape[1])
        dq[b, rows, h], dk_part, dv_part = attention_block_backward(
            dy[b, rows, h], q[b, rows, h], k[b, :, g], v[b, :, g], y[b, rows, h], lse[b, h, rows], m, scale, z, mean)
        dk[b, :, g] += dk_part
        dv[b, :, g] += dv_part


def attention_block(q, k, v, m, scale, z, mean):
    """q (R, D), k (S, D), v (S, E), m (R, S) bool, z (R, S) -> y (R, E), L (R,): queries that look at all keys."""
    s = scale * (q @ k.T)                                           # (1)
    top = np.max(np.where(m, s, -np.inf), axis=1, keepdims=True)
    top = np.where(np.isinf(top), 0, top)                           # a query without a key
    weight = np.where(m, np.exp(np.where(m, s - top, 0)), 0)
    total = np.sum(weight, axis=1, keepdims=True)
    p = weight / np.where(total != 0, total, 1)                      # (3)
    y = (z * p) @ v                                                 # (4)
    L = np.where(total != 0, top + np.log(np.where(total != 0, total, 1)), np.inf)[:, 0]             # (5)
    if mean:
        y = np.where(np.isinf(L)[:, None], v.mean(axis=0), y)
    return y, L


def attention_block_backward(dy, q, k, v, y, L, m, scale, z, mean):
    """dy, y (R, E), L (R,) and the block's inputs -> dq (R, D), dk (S, D), dv (S, E)."""
    seen = ~np.isinf(L)
    s = scale * (q @ k.T)                                           # (1)
    p = np.where(m & seen[:, None], np.exp(np.minimum(s - np.where(seen, L, 0)[:, None], 0)), 0)    # (5)
    D = np.sum(dy * y, axis=1, keepdims=True)                       # (6)
    dv = (z * p).T @ dy                                             # from (4)
    dp = z * (dy @ v.T)                                             # from (4)
    ds = p * (dp - D)                                               # from (3)
    dq = scale * (ds @ k)                                           # from (1)
    dk = scale * (ds.T @ q)                                         # from (1)
    if mean:
        dv = dv + np.sum(dy[~seen], axis=0) / len(v)
    return dq, dk, dv


def dot_scores(q, k, s):
    """q (B, T, H, D), k (B, S, G, D) -> s (B, H, T, S), of (1) with c = 1."""
    for b, h, g, rows in _blocks(q, k):
        s[b, h, rows] = q[b, rows, h] @ k[b, :, g].T                # (1)


def dot_scores_backward(ds, q, k, scale, dq, dk):
    """ds (B, H, T, S) -> dq, dk like q, k."""
    dk[...] = 0
    for b, h, g, rows in _blocks(q, k):
        dq[b, rows, h] = scale * (ds[b, h, rows] @ k[b, :, g])      # from (1)
        dk[b, :, g] += scale * (ds[b, h, rows].T @ q[b, rows, h])   # from (1)


def additive_scores(q, k, w, a, s):
    """q (B, T, D), k (B, S, D), w (D,), a a number -> s (B, T, S)."""
    for b in range(len(q)):
        for i in range(q.shape[1]):
            s[b, i] = np.tanh(a * (q[b, i] + k[b])) @ w             # (2)


def additive_scores_backward(ds, q, k, w, a, dq, dk, dw, da):
    """ds (B, T, S) -> dq, dk like q, k, dw (D,), da (1,)."""
    for each in (dk, dw, da):
        each[...] = 0
    for b in range(len(q)):
        for i in range(q.shape[1]):
            x = q[b, i] + k[b]                                      # (S, D)
            t = np.tanh(a * x)
            du = ds[b, i][:, None] * w * (1 - t * t)                # from (2)
            dq[b, i] = a * np.sum(du, axis=0)                       # from (2)
            dk[b] += a * du                                         # from (2)
            dw += ds[b, i] @ t                                      # from (2)
            da += np.sum(du * x)                                    # from (2)


def masked_softmax(s, query_mask, key_mask, mask, before, after, scale, mean, p, seen):
    """s (B, H, T, S) -> p like s, the softmax of c s, and seen (B, H, T): whether a query has a key; else p is 1 / S or 0."""
    B, H, T, S = s.shape
    for b in range(B):
        for h in range(H):
            m = _allowed(query_mask, key_mask, mask, before, after, b, h, slice(0, T), S)
            top = np.max(np.where(m, scale * s[b, h], -np.inf), axis=1, keepdims=True)
            weight = np.where(m, np.exp(np.where(m, scale * s[b, h] - np.where(np.isinf(top), 0, top), 0)), 0)
            total = np.sum(weight, axis=1, keepdims=True)
            p[b, h] = np.where(total != 0, weight / np.where(total != 0, total, 1), 1 / S if mean else 0)     # (3)
            seen[b, h] = total[:, 0] > 0


def masked_softmax_backward(dp, p, seen, ds):
    """dp, p (B, H, T, S), seen (B, H, T) -> ds like p, the gradient of c s."""
    ds[...] = np.where(seen[..., None], p * (dp - np.sum(p * dp, axis=-1, keepdims=True)), 0)       # from (3), (6)


def weighted_sum(p, v, y):
    """p (B, H, T, S), dropout done, v (B, S, G, E) -> y (B, T, H, E)."""
    H, G = p.shape[1], v.shape[2]
    for b in range(len(p)):
        for h in range(H):
            y[b, :, h] = p[b, h] @ v[b, :, h * G // H]              # (4)


def weighted_sum_backward(dy, p, v, dp, dv):
    """dy (B, T, H, E) -> dp like p, dv like v."""
    H, G = p.shape[1], v.shape[2]
    dv[...] = 0
    for b in range(len(p)):
        for h in range(H):
            dp[b, h] = dy[b, :, h] @ v[b, :, h * G // H].T          # from (4)
            dv[b, :, h * G // H] += p[b, h].T @ dy[b, :, h]         # from (4)


def _allowed(query_mask, key_mask, mask, before, after, b, h, rows, S):
    """m of batch b and head h for a slice of the queries: (R, S) bool."""
    i, j = np.arange(rows.start, rows.stop)[:, None], np.arange(S)
    m = (j >= i - before) & (j <= i + after)
    if query_mask.size:
        m = m & query_mask[b, rows, None]
    if key_mask.size:
        m = m & key_mask[b]
    if mask.size:
        part = mask[b if len(mask) > 1 else 0, h if mask.shape[1] > 1 else 0]
        m = m & (part[rows] if len(part) > 1 else part)
    return m


def _dropped(key, threshold, keep, first, rows, S):
    """z for a slice of the queries: (R, S), or 1 without dropout; row `first` of all rows is the head's query 0."""
    if not threshold:
        return 1
    n = (first + np.arange(rows.start, rows.stop, dtype=np.uint64)[:, None]) * np.uint64(S) + np.arange(S, dtype=np.uint64)
    s = np.uint64(key) + (n + np.uint64(1)) * GAMMA
    s = (s ^ (s >> np.uint64(30))) * MIX_1
    s = (s ^ (s >> np.uint64(27))) * MIX_2
    s = s ^ (s >> np.uint64(31))
    return np.where(s >> np.uint64(32) >= np.uint64(threshold), keep, keep.dtype.type(0))


def _blocks(q, k):
    """Batch, head, the head of k and v that it reads, and a slice of at most BLOCK queries: all there are."""
    B, T, H, _ = q.shape
    for b in range(B):
        for h in range(H):
            for i in range(0, T, BLOCK):
                yield b, h, h * k.shape[2] // H, slice(i, min(i + BLOCK, T))
