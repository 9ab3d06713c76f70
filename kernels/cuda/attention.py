"""Attention on the GPU. Formulas and shapes: kernels/reference/attention.py.

`attention` gives a block of threads a tile of queries (Dao et al. 2022): tile by tile the keys come into shared memory, thread
(y, x) works on query y and key x, and what has gone before is a maximum and a sum for each query. Backward goes over the same
tiles twice, once for each query's gradient and once for each key's, so that no two blocks add to one number.
"""
import math

import numpy as np

from ._compat import SIMULATED, THREADS, blocks_for, cuda
from .regularization import S32, _mixed

TILE = 4 if SIMULATED else 16
PADDED = TILE + 1           # columns of a tile are read, too, and must not all lie in one bank of the memory
COLUMNS = 2                 # numbers of a row of y, dq, dk and dv that a thread has, TILE apart
LOWEST, START = -1e30, -1e29            # the score of a masked key, and below what a maximum never is


def attention(q, k, v, query_mask, key_mask, mask, before, after, scale, mean, key, threshold, keep, y, lse):
    B, T, H, _ = q.shape
    _attention[(B * H * _tiles(T), _chunks(v.shape[3])), (TILE, TILE)](
        q, k, v, query_mask, key_mask, mask, before, after, scale, mean, np.uint64(key), np.uint64(threshold), keep, y, lse)


def attention_backward(dy, q, k, v, y, lse, query_mask, key_mask, mask, before, after, scale, mean, key, threshold, keep,
                       dq, dk, dv):
    (B, T, H, D), (S, G), E = q.shape, k.shape[1:3], v.shape[3]
    delta = cuda.device_array((B, H, T), q.dtype)
    _delta[blocks_for(delta.size), THREADS](dy, y, delta)                                       # (6)
    settings = (query_mask, key_mask, mask, before, after, scale, mean, np.uint64(key), np.uint64(threshold), keep)
    _queries_backward[(B * H * _tiles(T), _chunks(D)), (TILE, TILE)](dy, q, k, v, lse, delta, *settings, dq)
    _keys_backward[(B * G * _tiles(S), _chunks(max(D, E))), (TILE, TILE)](dy, q, k, v, lse, delta, *settings, dk, dv)


def _tiles(steps):
    return (steps + TILE - 1) // TILE


def _chunks(size):
    """Blocks for the columns of a row; each has COLUMNS of them for every thread."""
    return (size + COLUMNS * TILE - 1) // (COLUMNS * TILE)


def dot_scores(q, k, s):
    _dot_scores[blocks_for(s.size), THREADS](q, k, s)


def dot_scores_backward(ds, q, k, scale, dq, dk):
    _weighted[blocks_for(dq.size), THREADS](ds, k, scale, dq)                                   # from (1)
    _weighted_transposed[blocks_for(dk.size), THREADS](ds, q, scale, dk)                        # from (1)


def weighted_sum(p, v, y):
    _weighted[blocks_for(y.size), THREADS](p, v, p.dtype.type(1), y)                            # (4)


def weighted_sum_backward(dy, p, v, dp, dv):
    _dot_scores[blocks_for(dp.size), THREADS](dy, v, dp)                                        # from (4)
    _weighted_transposed[blocks_for(dv.size), THREADS](p, dy, p.dtype.type(1), dv)              # from (4)


def masked_softmax(s, query_mask, key_mask, mask, before, after, scale, mean, p, seen):
    _masked_softmax[blocks_for(seen.size), THREADS](s, query_mask, key_mask, mask, before, after, scale, mean, p, seen)


def masked_softmax_backward(dp, p, seen, ds):
    _masked_softmax_backward[blocks_for(seen.size), THREADS](dp, p, seen, ds)


def additive_scores(q, k, w, a, s):
    _additive_scores[blocks_for(s.size), THREADS](q, k, w, a, s)


def additive_scores_backward(ds, q, k, w, a, dq, dk, dw, da):
    dw[...] = 0
    da[...] = 0
    _additive_queries_backward[blocks_for(dq.size), THREADS](ds, q, k, w, a, dq, dw, da)
    _additive_keys_backward[blocks_for(dk.size), THREADS](ds, q, k, w, a, dk)


@cuda.jit(device=True)
def _allowed(query_mask, key_mask, mask, before, after, b, h, i, j):
    """m of query i and key j."""
    if j < i - before or j > i + after:
        return False
    if query_mask.size > 0 and not query_mask[b, i]:
        return False
    if key_mask.size > 0 and not key_mask[b, j]:
        return False
    if mask.size == 0:
        return True
    return mask[b if mask.shape[0] > 1 else 0, h if mask.shape[1] > 1 else 0, i if mask.shape[2] > 1 else 0,
                j if mask.shape[3] > 1 else 0]


@cuda.jit(device=True)
def _kept(key, threshold, number):
    """Whether dropout leaves the weight of this number."""
    return (_mixed(key, number) >> S32) >= threshold


@cuda.jit(device=True)
def _products(a, b, i0, h, c, j0, g, left, right):
    """The product of rows i0 + y of a and j0 + x of c, both of batch b and of heads h and g; 0 outside."""
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    zero = a.dtype.type(0)
    total = zero
    for d in range(0, a.shape[3], TILE):
        left[y, x] = a[b, i0 + y, h, d + x] if i0 + y < a.shape[1] and d + x < a.shape[3] else zero
        right[y, x] = c[b, j0 + y, g, d + x] if j0 + y < c.shape[1] and d + x < c.shape[3] else zero
        cuda.syncthreads()                                      # the tiles are whole before anyone reads them
        for n in range(TILE):
            total += left[y, n] * right[x, n]
        cuda.syncthreads()                                      # ... and read before anyone overwrites them
    return total


@cuda.jit(device=True)
def _add_rows(weights, a, b, j0, h, first, rows, sums, factor):
    """sums[c] = factor sums[c] + the rows j0 + n of a, weighted by the tile's row y, in this thread's columns."""
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    zero = a.dtype.type(0)
    for c in range(COLUMNS):
        column = first + c * TILE + x
        rows[y, x] = a[b, j0 + y, h, column] if j0 + y < a.shape[1] and column < a.shape[3] else zero
        cuda.syncthreads()
        total = zero
        for n in range(TILE):
            total += weights[y, n] * rows[n, x]
        sums[c] = factor * sums[c] + total
        cuda.syncthreads()


@cuda.jit
def _attention(q, k, v, query_mask, key_mask, mask, before, after, scale, mean, key, threshold, keep, out, lse):
    left = cuda.shared.array((TILE, PADDED), q.dtype)
    right = cuda.shared.array((TILE, PADDED), q.dtype)
    weights = cuda.shared.array((TILE, PADDED), q.dtype)
    sums = cuda.local.array(COLUMNS, q.dtype)
    number = q.dtype.type
    zero, one = number(0), number(1)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    T, H, S, G, E = q.shape[1], q.shape[2], k.shape[1], k.shape[2], v.shape[3]
    tiles = (T + TILE - 1) // TILE
    head, i0 = cuda.blockIdx.x // tiles, cuda.blockIdx.x % tiles * TILE
    b, h, first = head // H, head % H, cuda.blockIdx.y * COLUMNS * TILE
    g, i = h * G // H, i0 + y
    top, total = number(START), zero
    for c in range(COLUMNS):
        sums[c] = zero
    for j0 in range(max(0, i0 - before) // TILE * TILE, min(S, i0 + TILE + after), TILE):
        s, j = scale * _products(q, b, i0, h, k, j0, g, left, right), j0 + x                    # (1)
        inside = i < T and j < S
        weights[y, x] = s if inside and _allowed(query_mask, key_mask, mask, before, after, b, h, i, j) else number(LOWEST)
        cuda.syncthreads()
        highest = top
        for n in range(TILE):
            highest = max(highest, weights[y, n])
        p = math.exp(weights[y, x] - highest)
        cuda.syncthreads()
        weights[y, x] = p
        cuda.syncthreads()
        factor = math.exp(top - highest)
        total *= factor
        for n in range(TILE):
            total += weights[y, n]
        top = highest
        cuda.syncthreads()
        if threshold > 0 and inside:
            weights[y, x] = p * keep if _kept(key, threshold, (head * T + i) * S + j) else zero
        cuda.syncthreads()
        _add_rows(weights, v, b, j0, g, first, right, sums, factor)                             # (3), (4)
    if i < T:
        if x == 0 and cuda.blockIdx.y == 0:
            lse[b, h, i] = top + math.log(total) if total != zero else number(math.inf)         # (5)
        for c in range(COLUMNS):
            e = first + c * TILE + x
            if e < E:
                if total != zero:
                    out[b, i, h, e] = sums[c] / total
                else:
                    rest = zero
                    if mean:
                        for j in range(S):
                            rest += v[b, j, g, e]
                    out[b, i, h, e] = rest * (one / number(S))


@cuda.jit
def _delta(dy, y, delta):
    B, H, T = delta.shape
    for n in range(cuda.grid(1), B * H * T, cuda.gridsize(1)):
        b, h, i = n // T // H, n // T % H, n % T
        total = y.dtype.type(0)
        for e in range(y.shape[3]):
            total += dy[b, i, h, e] * y[b, i, h, e]
        delta[b, h, i] = total                                                                  # (6)


@cuda.jit
def _queries_backward(dy, q, k, v, lse, delta, query_mask, key_mask, mask, before, after, scale, mean, key, threshold, keep,
                      dq):
    left = cuda.shared.array((TILE, PADDED), q.dtype)
    right = cuda.shared.array((TILE, PADDED), q.dtype)
    weights = cuda.shared.array((TILE, PADDED), q.dtype)
    sums = cuda.local.array(COLUMNS, q.dtype)
    number = q.dtype.type
    zero, one = number(0), number(1)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    T, H, S, G = q.shape[1], q.shape[2], k.shape[1], k.shape[2]
    tiles = (T + TILE - 1) // TILE
    head, i0 = cuda.blockIdx.x // tiles, cuda.blockIdx.x % tiles * TILE
    b, h, first = head // H, head % H, cuda.blockIdx.y * COLUMNS * TILE
    g, i = h * G // H, i0 + y
    for c in range(COLUMNS):
        sums[c] = zero
    for j0 in range(max(0, i0 - before) // TILE * TILE, min(S, i0 + TILE + after), TILE):
        s, j = scale * _products(q, b, i0, h, k, j0, g, left, right), j0 + x                    # (1)
        dp = _products(dy, b, i0, h, v, j0, g, left, right)                                     # from (4)
        ds = zero
        if i < T and j < S and _allowed(query_mask, key_mask, mask, before, after, b, h, i, j):
            if threshold > 0:
                dp = dp * keep if _kept(key, threshold, (head * T + i) * S + j) else zero
            ds = math.exp(s - lse[b, h, i]) * (dp - delta[b, h, i])                             # (5), from (3)
        weights[y, x] = ds
        cuda.syncthreads()
        _add_rows(weights, k, b, j0, g, first, right, sums, one)                                # from (1)
    for c in range(COLUMNS):
        d = first + c * TILE + x
        if i < T and d < q.shape[3]:
            dq[b, i, h, d] = scale * sums[c]


@cuda.jit
def _keys_backward(dy, q, k, v, lse, delta, query_mask, key_mask, mask, before, after, scale, mean, key, threshold, keep,
                   dk, dv):
    left = cuda.shared.array((TILE, PADDED), q.dtype)
    right = cuda.shared.array((TILE, PADDED), q.dtype)
    weights = cuda.shared.array((TILE, PADDED), q.dtype)
    slopes = cuda.shared.array((TILE, PADDED), q.dtype)
    sums_k = cuda.local.array(COLUMNS, q.dtype)
    sums_v = cuda.local.array(COLUMNS, q.dtype)
    number = q.dtype.type
    zero, one = number(0), number(1)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    T, H, S, G = q.shape[1], q.shape[2], k.shape[1], k.shape[2]
    tiles = (S + TILE - 1) // TILE
    group, j0 = cuda.blockIdx.x // tiles, cuda.blockIdx.x % tiles * TILE
    b, g, first = group // G, group % G, cuda.blockIdx.y * COLUMNS * TILE
    j = j0 + y
    for c in range(COLUMNS):
        sums_k[c] = zero
        sums_v[c] = zero
    for h in range(g * H // G, (g + 1) * H // G):
        for i0 in range(0, T, TILE):
            i = i0 + x
            s = scale * _products(k, b, j0, g, q, i0, h, left, right)                           # (1)
            dp = _products(v, b, j0, g, dy, i0, h, left, right)                                 # from (4)
            p, ds = zero, zero
            if i < T and j < S:
                if lse[b, h, i] == number(math.inf):
                    p = one / number(S) if mean else zero
                elif _allowed(query_mask, key_mask, mask, before, after, b, h, i, j):
                    p = math.exp(s - lse[b, h, i])                                              # (5)
                    z = one
                    if threshold > 0:
                        z = keep if _kept(key, threshold, ((b * H + h) * T + i) * S + j) else zero
                    ds = p * (z * dp - delta[b, h, i])                                          # from (3)
                    p = z * p
            weights[y, x] = p
            slopes[y, x] = ds
            cuda.syncthreads()
            _add_rows(slopes, q, b, i0, h, first, right, sums_k, one)                           # from (1)
            _add_rows(weights, dy, b, i0, h, first, right, sums_v, one)                         # from (4)
    for c in range(COLUMNS):
        column = first + c * TILE + x
        if j < S and column < k.shape[3]:
            dk[b, j, g, column] = scale * sums_k[c]
        if j < S and column < v.shape[3]:
            dv[b, j, g, column] = sums_v[c]


@cuda.jit
def _dot_scores(q, k, s):
    B, H, T, S = s.shape
    G = k.shape[2]
    for n in range(cuda.grid(1), B * H * T * S, cuda.gridsize(1)):
        j, i, h, b = n % S, n // S % T, n // S // T % H, n // S // T // H
        total = s.dtype.type(0)
        for d in range(q.shape[3]):
            total += q[b, i, h, d] * k[b, j, h * G // H, d]
        s[b, h, i, j] = total                                                                   # (1)


@cuda.jit
def _weighted(p, v, scale, y):
    """y_i = scale sum_j p_ij v_j, for every head."""
    B, T, H, E = y.shape
    G = v.shape[2]
    for n in range(cuda.grid(1), B * T * H * E, cuda.gridsize(1)):
        e, h, i, b = n % E, n // E % H, n // E // H % T, n // E // H // T
        total = y.dtype.type(0)
        for j in range(v.shape[1]):
            total += p[b, h, i, j] * v[b, j, h * G // H, e]
        y[b, i, h, e] = scale * total


@cuda.jit
def _weighted_transposed(p, y, scale, v):
    """v_j = scale sum_i p_ij y_i, summed over the heads that share v."""
    B, S, G, E = v.shape
    H = y.shape[2]
    for n in range(cuda.grid(1), B * S * G * E, cuda.gridsize(1)):
        e, g, j, b = n % E, n // E % G, n // E // G % S, n // E // G // S
        total = v.dtype.type(0)
        for h in range(g * H // G, (g + 1) * H // G):
            for i in range(y.shape[1]):
                total += p[b, h, i, j] * y[b, i, h, e]
        v[b, j, g, e] = scale * total


@cuda.jit
def _masked_softmax(s, query_mask, key_mask, mask, before, after, scale, mean, p, seen):
    B, H, T, S = s.shape
    number = s.dtype.type
    zero, one = number(0), number(1)
    for n in range(cuda.grid(1), B * H * T, cuda.gridsize(1)):
        b, h, i = n // T // H, n // T % H, n % T
        top, total = number(START), zero
        for j in range(S):
            if _allowed(query_mask, key_mask, mask, before, after, b, h, i, j):
                top = max(top, scale * s[b, h, i, j])
        for j in range(S):
            weight = zero
            if _allowed(query_mask, key_mask, mask, before, after, b, h, i, j):
                weight = math.exp(scale * s[b, h, i, j] - top)
            p[b, h, i, j] = weight
            total += weight
        seen[b, h, i] = total != zero
        rest = one / number(S) if mean else zero
        for j in range(S):
            p[b, h, i, j] = p[b, h, i, j] / total if total != zero else rest                    # (3)


@cuda.jit
def _masked_softmax_backward(dp, p, seen, ds):
    B, H, T, S = p.shape
    zero = p.dtype.type(0)
    for n in range(cuda.grid(1), B * H * T, cuda.gridsize(1)):
        b, h, i = n // T // H, n // T % H, n % T
        total = zero
        for j in range(S):
            total += dp[b, h, i, j] * p[b, h, i, j]                                             # (6)
        for j in range(S):
            ds[b, h, i, j] = p[b, h, i, j] * (dp[b, h, i, j] - total) if seen[b, h, i] else zero    # from (3)


@cuda.jit
def _additive_scores(q, k, w, a, s):
    B, T, S = s.shape
    for n in range(cuda.grid(1), B * T * S, cuda.gridsize(1)):
        j, i, b = n % S, n // S % T, n // S // T
        total = s.dtype.type(0)
        for d in range(w.size):
            total += w[d] * math.tanh(a * (q[b, i, d] + k[b, j, d]))                            # (2)
        s[b, i, j] = total


@cuda.jit
def _additive_queries_backward(ds, q, k, w, a, dq, dw, da):
    B, T, D = q.shape
    zero, one = q.dtype.type(0), q.dtype.type(1)
    for n in range(cuda.grid(1), B * T * D, cuda.gridsize(1)):
        d, i, b = n % D, n // D % T, n // D // T
        of_q, of_w, of_a = zero, zero, zero
        for j in range(k.shape[1]):
            x = q[b, i, d] + k[b, j, d]
            t = math.tanh(a * x)
            du = ds[b, i, j] * w[d] * (one - t * t)                                             # from (2)
            of_q += a * du                                                                      # from (2)
            of_w += ds[b, i, j] * t                                                             # from (2)
            of_a += du * x                                                                      # from (2)
        dq[b, i, d] = of_q
        cuda.atomic.add(dw, d, of_w)
        cuda.atomic.add(da, 0, of_a)


@cuda.jit
def _additive_keys_backward(ds, q, k, w, a, dk):
    B, S, D = k.shape
    zero, one = q.dtype.type(0), q.dtype.type(1)
    for n in range(cuda.grid(1), B * S * D, cuda.gridsize(1)):
        d, j, b = n % D, n // D % S, n // D // S
        total = zero
        for i in range(q.shape[1]):
            t = math.tanh(a * (q[b, i, d] + k[b, j, d]))
            total += a * ds[b, i, j] * w[d] * (one - t * t)                                     # from (2)
        dk[b, j, d] = total


_HEADS, _MATRICES = "float32[:,:,:,:]", "float32[:,:,:]"
_MASKS = "boolean[:,:], boolean[:,:], boolean[:,:,:,:], int64, int64, float32, boolean"
_DROPOUT = "uint64, uint64, float32"
SIGNATURES = {
    "_attention": (_attention, f"void({_HEADS}, {_HEADS}, {_HEADS}, {_MASKS}, {_DROPOUT}, {_HEADS}, {_MATRICES})"),
    "_delta": (_delta, f"void({_HEADS}, {_HEADS}, {_MATRICES})"),
    "_queries_backward": (_queries_backward, f"void({', '.join([_HEADS] * 4)}, {_MATRICES}, {_MATRICES}, {_MASKS}, {_DROPOUT}, "
                                             f"{_HEADS})"),
    "_keys_backward": (_keys_backward, f"void({', '.join([_HEADS] * 4)}, {_MATRICES}, {_MATRICES}, {_MASKS}, {_DROPOUT}, "
                                       f"{_HEADS}, {_HEADS})"),
    "_dot_scores": (_dot_scores, f"void({_HEADS}, {_HEADS}, {_HEADS})"),
    "_weighted": (_weighted, f"void({_HEADS}, {_HEADS}, float32, {_HEADS})"),
    "_weighted_transposed": (_weighted_transposed, f"void({_HEADS}, {_HEADS}, float32, {_HEADS})"),
    "_masked_softmax": (_masked_softmax, f"void({_HEADS}, {_MASKS}, {_HEADS}, boolean[:,:,:])"),
    "_masked_softmax_backward": (_masked_softmax_backward, f"void({_HEADS}, {_HEADS}, boolean[:,:,:], {_HEADS})"),
    "_additive_scores": (_additive_scores, f"void({_MATRICES}, {_MATRICES}, float32[:], float32, {_MATRICES})"),
    "_additive_queries_backward": (_additive_queries_backward, f"void({_MATRICES}, {_MATRICES}, {_MATRICES}, float32[:], "
                                                               f"float32, {_MATRICES}, float32[:], float32[:])"),
    "_additive_keys_backward": (_additive_keys_backward, f"void({_MATRICES}, {_MATRICES}, {_MATRICES}, float32[:], "
                                                         f"float32, {_MATRICES})"),
}
