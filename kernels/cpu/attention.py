"""Attention, compiled for the CPU. Formulas and shapes: kernels/reference/attention.py.

`attention` works on as many queries at once as a register tile has columns, and on a block of keys after the other (Dao et al.
2022). Scores lie transposed, a key's in a row: then softmax goes down the columns, all queries side by side in the vectors.
What has gone before is a maximum and a sum for each query; where a block has a higher maximum, the sums are scaled down.
"""
import math

import numpy as np

from ._call import call
from ._flat import add_to
from ._jit import kernel
from ._lanes import beats, load, select, store
from ._math import exp, maximum, tanh
from ._product import product_of
from ._team import range_of, share, signed, sum_of_shares
from ._threads import threads_for
from ._tile import column_product, product_address, tile_width, wide_vectors
from .regularization import S32, _mixed

KEYS = 128                  # keys in a block, at most: its scores stay in the first-level cache
BACKWARD_KEYS, PANELS = 64, 4           # of backward's blocks, which have so many tiles' columns of queries
PARALLEL_FROM = 1 << 19     # multiply-adds for each thread that pay for waking it
SHARE = 1 << 14             # scores for each thread that pay for it where each is an exp or a tanh
LOWEST = -1e30              # the score of a masked key; a query's maximum starts above it, so that its weight is 0
START = -1e29


def attention(q, k, v, query_mask, key_mask, mask, before, after, scale, mean, key, threshold, keep, y, lse):
    B, _, H, _ = q.shape
    threads = threads_for(lse.size * k.shape[1] * (q.shape[3] + v.shape[3]), PARALLEL_FROM)
    share(_some_attention, threads,
          (product_address(column_product, q.dtype), q, k, v, query_mask, key_mask, mask, before, after, scale, mean,
           signed(key), int(threshold), keep, _parts(B * H, threads)), (y, lse))


def attention_backward(dy, q, k, v, y, lse, query_mask, key_mask, mask, before, after, scale, mean, key, threshold, keep,
                       dq, dk, dv):
    threads = threads_for(2 * lse.size * k.shape[1] * (q.shape[3] + v.shape[3]), PARALLEL_FROM)
    parts = _parts(k.shape[0] * k.shape[2], threads)
    dks, dvs = dk[None], dv[None]
    if parts > 1:
        dks, dvs = (np.empty((threads, *each.shape), each.dtype) for each in (dk, dv))      # each thread its own
    share(_some_attention_backward, threads,
          (product_address(column_product, q.dtype), dy, q, k, v, y, lse, query_mask, key_mask, mask, before, after, scale,
           mean, signed(key), int(threshold), keep, parts), (dq, dks, dvs))
    if parts > 1:
        for total, own in ((dk, dks), (dv, dvs)):
            total[...] = own[0]
            for other in own[1:]:
                add_to(total.reshape(-1), other.reshape(-1))


def _parts(heads, threads):
    """Into how many parts the queries of a head are cut: none where there are heads enough for all threads."""
    return 1 if threads == 1 or heads % threads == 0 or heads >= 8 * threads else 4 * threads


@kernel
def _some_attention(tile, q, k, v, query_mask, key_mask, mask, before, after, scale, mean, key, threshold, keep, parts,
                    s, threads, y, lse):
    (B, T, H, D), (S, G), E, W = q.shape, k.shape[1:3], v.shape[3], tile_width(q)
    keys, values, means = np.empty(S * D, q.dtype), np.empty(S * E, q.dtype), np.empty(E, q.dtype)
    queries, scores, outputs = np.empty(D * W, q.dtype), np.empty((KEYS + 4) * W, q.dtype), np.empty(W * E, q.dtype)
    top, total, factor = np.empty(W, q.dtype), np.empty(W, q.dtype), np.empty(W, q.dtype)
    flat_q, flat_y = q.reshape(-1), y.reshape(-1)
    held = -1
    for unit in range(s, B * H * parts, threads):
        b, h = unit // parts // H, unit // parts % H
        g = h * G // H
        if held != b * G + g:
            held = b * G + g
            _gather(k.reshape(-1), (b * S * G + g) * D, G * D, S, D, keys)
            _gather(v.reshape(-1), (b * S * G + g) * E, G * E, S, E, values)
            if mean:
                _mean_row(values, S, E, means)
        first, last = range_of(T, unit % parts, parts)
        for i in range(first, last, W):
            rows = min(W, last - i)
            _in_columns(flat_q, ((b * T + i) * H + h) * D, H * D, rows, 1, D, scale, queries)
            top[:] = START
            total[:] = 0
            lo, hi = max(0, i - before), min(S, i + rows + after)
            for j in range(lo, hi, KEYS):
                n = min(KEYS, hi - j)
                _add_product(tile, keys, j * D, D, 1, 0, n, queries, 0, W, 0, 1, D, scores, 0, W, W, False)     # (1)
                _mask_block(scores, 0, n, rows, b, h, i, j, query_mask, key_mask, mask, before, after)
                _softmax_step(scores, n, top, total, factor)                                                    # (3)
                if j > lo:
                    _scale_rows(outputs, E, factor)
                if threshold:
                    _drop_block(scores, 0, n, (b * H + h) * T + i, S, j, key, threshold, keep)
                _add_product(tile, scores, 0, 1, W, 0, W, values, j * E, E, 0, 1, n, outputs, 0, E, E, j > lo)  # (4)
            _finish(outputs, rows, E, top, total, mean, means, flat_y, ((b * T + i) * H + h) * E, H * E, lse[b, h], i)


@kernel
def _some_attention_backward(tile, dy, q, k, v, y, lse, query_mask, key_mask, mask, before, after, scale, mean, key, threshold,
                             keep, parts, s, threads, dq, dks, dvs):
    (B, T, H, D), (S, G), E, W = q.shape, k.shape[1:3], v.shape[3], tile_width(q)
    R, one = PANELS * W, q.dtype.type(1)
    keys, dkeys, values, dvalues = (np.empty(S * D, q.dtype), np.empty(S * D, q.dtype), np.empty(S * E, q.dtype),
                                    np.empty(S * E, q.dtype))
    queries, rows_q, rows_dq = np.empty(D * R, q.dtype), np.empty(R * D, q.dtype), np.empty(R * D, q.dtype)
    dys, rows_dy = np.empty(E * R, q.dtype), np.empty(R * E, q.dtype)
    scores, dscores = np.empty(BACKWARD_KEYS * R, q.dtype), np.empty(BACKWARD_KEYS * R, q.dtype)
    level, delta, means = np.empty(R, q.dtype), np.empty(R, q.dtype), np.empty(E, q.dtype)
    flat_q, flat_y, flat_dy, flat_dq = q.reshape(-1), y.reshape(-1), dy.reshape(-1), dq.reshape(-1)
    own = s if parts > 1 else 0
    for group in range(0 if parts > 1 else s, B * G, 1 if parts > 1 else threads):
        b, g = group // G, group % G
        _gather(k.reshape(-1), (b * S * G + g) * D, G * D, S, D, keys)
        _gather(v.reshape(-1), (b * S * G + g) * E, G * E, S, E, values)
        _clear(dkeys)
        _clear(dvalues)
        _clear(means)
        for part in range(s if parts > 1 else 0, parts, threads):
            first, last = range_of(T, part, parts)
            for h in range(g * H // G, (g + 1) * H // G):
                for i in range(first, last, R):
                    rows = min(R, last - i)
                    panels = (rows + W - 1) // W
                    at_q, at_y = ((b * T + i) * H + h) * D, ((b * T + i) * H + h) * E
                    _in_columns(flat_q, at_q, H * D, rows, panels, D, scale, queries)
                    _in_columns(flat_dy, at_y, H * E, rows, panels, E, one, dys)
                    _gather(flat_q, at_q, H * D, rows, D, rows_q)
                    _gather(flat_dy, at_y, H * E, rows, E, rows_dy)
                    _clear(rows_q[rows * D:panels * W * D])
                    _clear(rows_dy[rows * E:panels * W * E])
                    _clear(rows_dq)
                    _levels(flat_y, at_y, H * E, rows_dy, rows, E, lse[b, h], i, mean, level, delta, means)         # (6)
                    lo, hi = max(0, i - before), min(S, i + rows + after)
                    for j in range(lo, hi, BACKWARD_KEYS):
                        n = min(BACKWARD_KEYS, hi - j)
                        for p in range(panels):
                            at, c = p * BACKWARD_KEYS * W, p * W
                            _add_product(tile, keys, j * D, D, 1, 0, n, queries, p * D * W, W, 0, 1, D,
                                         scores, at, W, W, False)                                                   # (1)
                            _add_product(tile, values, j * E, E, 1, 0, n, dys, p * E * W, W, 0, 1, E,
                                         dscores, at, W, W, False)                                                  # from (4)
                            _mask_block(scores, at, n, min(W, rows - c), b, h, i + c, j, query_mask, key_mask, mask, before,
                                        after)
                            if threshold:
                                _drop_block(dscores, at, n, (b * H + h) * T + i + c, S, j, key, threshold, keep)
                            _softmax_step_backward(scores, dscores, at, n, level, delta, c)                         # from (3)
                            if threshold:
                                _drop_block(scores, at, n, (b * H + h) * T + i + c, S, j, key, threshold, keep)
                            _add_product(tile, dscores, at, 1, W, 0, min(W, rows - c), keys, j * D, D, 0, 1, n,
                                         rows_dq, c * D, D, D, True)                                                # from (1)
                        _add_product(tile, dscores, 0, W, 1, BACKWARD_KEYS * W, n, rows_q, 0, D, W * D, panels, W,
                                     dkeys, j * D, D, D, True)                                                      # from (1)
                        _add_product(tile, scores, 0, W, 1, BACKWARD_KEYS * W, n, rows_dy, 0, E, W * E, panels, W,
                                     dvalues, j * E, E, E, True)                                                    # from (4)
                    _scatter(rows_dq, rows, D, scale, flat_dq, at_q, H * D)
        if mean:
            _add_mean(means, S, E, dvalues)
        _scatter(dkeys, S, D, scale, dks[own].reshape(-1), (b * S * G + g) * D, G * D)
        _scatter(dvalues, S, E, one, dvs[own].reshape(-1), (b * S * G + g) * E, G * E)


@kernel
def _add_product(tile, a, a_at, a_row, a_k, a_run, rows, b, b_at, b_k, b_run, runs, length, c, c_at, c_row, columns, add):
    """c (+)= a b, however many columns it has."""
    width = tile_width(b)
    for n in range(0, columns, width):
        call(tile, a, a_at, a_row, a_k, a_run, rows, b, b_at + n, b_k, b_run, runs, length, c, c_at + n, c_row,
             c, c_at + n, c_row, min(width, columns - n), add, 1, 0, 0)


@kernel
def _clear(x):
    for n in range(x.size):
        x[n] = 0


@kernel
def _gather(x, at, stride, rows, columns, y):
    """Rows that lie apart -> y, row after row."""
    for r in range(rows):
        for c in range(columns):
            y[np.uintp(r * columns + c)] = x[np.uintp(at + r * stride + c)]


@kernel
def _scatter(x, rows, columns, scale, y, at, stride):
    """The way back, times `scale`."""
    for r in range(rows):
        for c in range(columns):
            y[np.uintp(at + r * stride + c)] = scale * x[np.uintp(r * columns + c)]


@kernel
def _in_columns(x, at, stride, rows, panels, columns, scale, y):
    """Rows -> columns of the panels of y (panels, columns, W), times `scale`; what is left of the W columns is 0."""
    width = tile_width(y)
    for p in range(panels):
        start, some = p * columns * width, min(width, rows - p * width)
        for c in range(columns):
            for r in range(some):
                y[np.uintp(start + c * width + r)] = scale * x[np.uintp(at + (p * width + r) * stride + c)]
            for r in range(some, width):
                y[np.uintp(start + c * width + r)] = 0


@kernel
def _mask_block(scores, start, n, rows, b, h, i, j, query_mask, key_mask, mask, before, after):
    """LOWEST for what query i + c must not see of key j + r."""
    width, lowest = tile_width(scores), scores.dtype.type(LOWEST)
    if j + n - 1 > i + after or j < i + rows - 1 - before:
        for r in range(n):
            first, last = max(0, j + r - after - i), min(width, j + r + before - i + 1)       # the columns that see it
            for c in range(width):
                at = np.uintp(start + r * width + c)
                scores[at] = scores[at] if c >= first and c < last else lowest
    if key_mask.size:
        for r in range(n):
            if not key_mask[b, j + r]:
                for c in range(width):
                    scores[np.uintp(start + r * width + c)] = lowest
    if query_mask.size:
        for c in range(rows):
            if not query_mask[b, i + c]:
                for r in range(n):
                    scores[np.uintp(start + r * width + c)] = lowest
    if mask.size:
        x, y = b if len(mask) > 1 else 0, h if mask.shape[1] > 1 else 0
        one_row, one_column = mask.shape[2] == 1, mask.shape[3] == 1
        for c in range(rows):
            row = mask[x, y, 0 if one_row else i + c]
            for r in range(n):
                at = np.uintp(start + r * width + c)
                scores[at] = scores[at] if row[0 if one_column else j + r] else lowest


@kernel
def _softmax_step(scores, n, top, total, factor):
    """Scores -> e^{s - top}, with the new maxima; `total` goes on, `factor` is what becomes of a sum so far."""
    wide_vectors()
    width, number = tile_width(scores), scores.dtype.type
    while n % 4:
        for c in range(width):
            scores[np.uintp(n * width + c)] = number(LOWEST)
        n += 1
    for c in range(width):
        factor[c] = top[c]
    _raise_to_highest(scores, n, top)
    for c in range(width):
        factor[c] = exp(factor[c] - top[c])
        total[c] *= factor[c]
    for r in range(0, n, 2):
        at = np.uintp(r * width)
        for c in range(width):
            here, below = at + np.uintp(c), at + np.uintp(width) + np.uintp(c)
            a, b = exp(scores[here] - top[c]), exp(scores[below] - top[c])
            scores[here] = a
            scores[below] = b
            total[c] += a + b


@kernel
def _raise_to_highest(scores, n, top):
    """The maxima of each column's scores and of what `top` has, which stay in registers; n is a multiple of 4."""
    width = tile_width(scores)
    highest = load(top, 0, width, scores)
    for at in range(0, n * width, 4 * width):
        a, b = load(scores, at, width, scores), load(scores, at + width, width, scores)
        c, d = load(scores, at + 2 * width, width, scores), load(scores, at + 3 * width, width, scores)
        highest = _higher(highest, _higher(_higher(a, b), _higher(c, d)))
    store(highest, top, 0, width)


@kernel
def _higher(v, w):
    return select(beats(v, w), v, w)


@kernel
def _softmax_step_backward(scores, dscores, start, n, level, delta, first):
    """Scores and dp -> p and ds."""
    wide_vectors()
    width = tile_width(scores)
    for r in range(n):
        at = np.uintp(start + r * width)
        for c in range(width):
            here = at + np.uintp(c)
            p = exp(scores[here] - level[np.uintp(first + c)])                                      # (5)
            scores[here] = p
            dscores[here] = p * (dscores[here] - delta[np.uintp(first + c)])


@kernel
def _scale_rows(outputs, E, factor):
    for c in range(factor.size):
        for e in range(E):
            outputs[np.uintp(c * E + e)] *= factor[c]


@kernel
def _drop_block(scores, start, n, first_row, S, j, key, threshold, keep):
    """Scores times z, for the key j + r and the query whose row of all scores is first_row + c."""
    width, zero = tile_width(scores), scores.dtype.type(0)
    for r in range(n):
        for c in range(width):
            number = _mixed(np.uint64(key), (first_row + c) * S + j + r)
            at = np.uintp(start + r * width + c)
            scores[at] = scores[at] * keep if (number >> S32) >= np.uint64(threshold) else zero


@kernel
def _finish(outputs, rows, E, top, total, mean, means, y, at, stride, lse, i):
    """The sums so far -> y and L; a query without a key gets the mean, or 0."""
    zero, one = top.dtype.type(0), top.dtype.type(1)
    for c in range(rows):
        seen = total[c] != zero
        share = one / total[c] if seen else zero
        lse[i + c] = top[c] + math.log(total[c]) if seen else math.inf                  # (5)
        for e in range(E):
            rest = means[e] if mean else zero
            y[np.uintp(at + c * stride + e)] = outputs[np.uintp(c * E + e)] * share if seen else rest


@kernel
def _mean_row(values, S, E, means):
    means[:] = 0
    for j in range(S):
        for e in range(E):
            means[e] += values[np.uintp(j * E + e)]
    for e in range(E):
        means[e] /= means.dtype.type(S)


@kernel
def _add_mean(means, S, E, dvalues):
    """Every value has its share in the outputs that are the mean of all."""
    share = means.dtype.type(1) / means.dtype.type(S)
    for j in range(S):
        for e in range(E):
            dvalues[np.uintp(j * E + e)] += means[e] * share


@kernel
def _levels(y, at, stride, dy, rows, E, lse, i, mean, level, delta, means):
    """L and D for each query; where there is no key, L is inf, and dy goes to the mean."""
    zero = delta.dtype.type(0)
    for c in range(level.size):
        level[c] = math.inf
        delta[c] = zero
    for c in range(rows):
        level[c] = lse[i + c]
        total = zero
        for e in range(E):
            total += y[np.uintp(at + c * stride + e)] * dy[np.uintp(c * E + e)]
        delta[c] = total
        if mean and level[c] == math.inf:
            for e in range(E):
                means[e] += dy[np.uintp(c * E + e)]


def dot_scores(q, k, s):
    share(_some_dot_scores, threads_for(s.size * q.shape[3], PARALLEL_FROM),
          (*product_of(q.dtype), q, k), (s,))


@kernel
def _some_dot_scores(product, tile, q, k, number, threads, s):
    (B, T, H, D), (S, G) = q.shape, k.shape[1:3]
    flat_q, flat_k, flat_s = q.reshape(-1), k.reshape(-1), s.reshape(-1)
    first, last = range_of(B * H, number, threads)
    for head in range(first, last):
        b, h = head // H, head % H
        at_s = head * T * S
        call(product, tile, flat_q, (b * T * H + h) * D, H * D, 1, flat_k, (b * S * G + h * G // H) * D, 1, G * D, T, S, D,
             False, flat_s, at_s, S, flat_s, at_s, S)                                               # (1)


def dot_scores_backward(ds, q, k, scale, dq, dk):
    _weigh(ds, k, scale, dq)                                                                        # from (1)
    _weigh_transposed(ds, q, scale, dk)                                                             # from (1)


def weighted_sum(p, v, y):
    _weigh(p, v, p.dtype.type(1), y)                                                                # (4)


def weighted_sum_backward(dy, p, v, dp, dv):
    dot_scores(dy, v, dp)                                                                           # from (4)
    _weigh_transposed(p, dy, p.dtype.type(1), dv)                                                   # from (4)


def _weigh(p, v, scale, y):
    """y_i = scale sum_j p_ij v_j, for every head."""
    share(_some_weighted, threads_for(p.size * v.shape[3], PARALLEL_FROM),
          (*product_of(p.dtype), p, v, scale), (y,))


@kernel
def _some_weighted(product, tile, p, v, scale, number, threads, y):
    (B, H, T, S), (G, E) = p.shape, v.shape[2:]
    flat_p, flat_v, flat_y = p.reshape(-1), v.reshape(-1), y.reshape(-1)
    first, last = range_of(B * H, number, threads)
    for head in range(first, last):
        b, h = head // H, head % H
        at_y = (b * T * H + h) * E
        call(product, tile, flat_p, head * T * S, S, 1, flat_v, (b * S * G + h * G // H) * E, G * E, 1, T, E, S,
             False, flat_y, at_y, H * E, flat_y, at_y, H * E)
        _scale_product(flat_y, at_y, H * E, T, E, scale)


def _weigh_transposed(p, y, scale, v):
    """v_j = scale sum_i p_ij y_i, summed over the heads that share v."""
    share(_some_transposed, threads_for(p.size * v.shape[3], PARALLEL_FROM),
          (*product_of(p.dtype), p, y, scale), (v,))


@kernel
def _some_transposed(product, tile, p, y, scale, number, threads, v):
    (B, H, T, S), (G, E) = p.shape, v.shape[2:]
    flat_p, flat_y, flat_v = p.reshape(-1), y.reshape(-1), v.reshape(-1)
    first, last = range_of(B * G, number, threads)
    for group in range(first, last):
        b, g = group // G, group % G
        at_v = (b * S * G + g) * E
        for h in range(g * H // G, (g + 1) * H // G):
            call(product, tile, flat_p, (b * H + h) * T * S, 1, S, flat_y, (b * T * H + h) * E, H * E, 1, S, E, T,
                 h * G % H != 0, flat_v, at_v, G * E, flat_v, at_v, G * E)
        _scale_product(flat_v, at_v, G * E, S, E, scale)


@kernel
def _scale_product(x, at, stride, rows, columns, scale):
    if scale != 1:
        for r in range(rows):
            for c in range(columns):
                x[np.uintp(at + r * stride + c)] *= scale


def masked_softmax(s, query_mask, key_mask, mask, before, after, scale, mean, p, seen):
    share(_some_masked_softmax, threads_for(s.size, SHARE),
          (s, query_mask, key_mask, mask, before, after, scale, mean), (p, seen))


@kernel
def _some_masked_softmax(s, query_mask, key_mask, mask, before, after, scale, mean, number, threads, p, seen):
    B, H, T, S = s.shape
    zero, one = s.dtype.type(0), s.dtype.type(1)
    first, last = range_of(B * H * T, number, threads)
    for row in range(first, last):
        b, h, i = row // T // H, row // T % H, row % T
        out = p[b, h, i]
        scores = s[b, h, i]
        for j in range(S):
            out[j] = scale * scores[j]
        _mask_row(b, h, i, query_mask, key_mask, mask, before, after, out)
        top = s.dtype.type(START)
        for j in range(S):
            top = maximum(top, out[j])
        total = zero
        for j in range(S):
            out[j] = exp(out[j] - top)
            total += out[j]
        seen[b, h, i] = total != zero
        if total == zero:
            out[:] = one / s.dtype.type(S) if mean else zero
        else:
            share_of_one = one / total
            for j in range(S):
                out[j] *= share_of_one                                                              # (3)


@kernel
def _mask_row(b, h, i, query_mask, key_mask, mask, before, after, row):
    """LOWEST for the keys that query i must not see."""
    S, lowest = row.size, row.dtype.type(LOWEST)
    for j in range(min(S, max(0, i - before))):
        row[j] = lowest
    for j in range(min(S, max(0, i + after + 1)), S):
        row[j] = lowest
    if query_mask.size and not query_mask[b, i]:
        row[:] = lowest
    if key_mask.size:
        for j in range(S):
            row[j] = row[j] if key_mask[b, j] else lowest
    if mask.size:
        x, y = b if len(mask) > 1 else 0, h if mask.shape[1] > 1 else 0
        seen = mask[x, y, i if mask.shape[2] > 1 else 0]
        for j in range(S):
            row[j] = row[j] if seen[j if seen.size > 1 else 0] else lowest


def masked_softmax_backward(dp, p, seen, ds):
    share(_some_masked_softmax_backward, threads_for(p.size, SHARE), (dp, p, seen), (ds,))


@kernel
def _some_masked_softmax_backward(dp, p, seen, number, threads, ds):
    B, H, T, S = p.shape
    first, last = range_of(B * H * T, number, threads)
    for row in range(first, last):
        b, h, i = row // T // H, row // T % H, row % T
        given, weight, out = dp[b, h, i], p[b, h, i], ds[b, h, i]
        total, zero = p.dtype.type(0), p.dtype.type(0)
        for j in range(S):
            total += given[j] * weight[j]                                                           # (6)
        for j in range(S):
            out[j] = weight[j] * (given[j] - total) if seen[b, h, i] else zero                      # from (3)


def additive_scores(q, k, w, a, s):
    share(_some_additive_scores, threads_for(s.size * w.size, SHARE), (q, k, w, a), (s,))


@kernel
def _some_additive_scores(q, k, w, a, number, threads, s):
    B, T, S = s.shape
    first, last = range_of(B * T, number, threads)
    for row in range(first, last):
        b, i = row // T, row % T
        for j in range(S):
            total = s.dtype.type(0)
            for d in range(w.size):
                total += w[d] * tanh(a * (q[b, i, d] + k[b, j, d]))                                 # (2)
            s[b, i, j] = total


def additive_scores_backward(ds, q, k, w, a, dq, dk, dw, da):
    total = np.zeros(w.size + 1, w.dtype)
    sum_of_shares(_some_additive_scores_backward, threads_for(ds.size * w.size, SHARE), (ds, q, k, w, a, dq, dk), total)
    dw[:], da[:] = total[:-1], total[-1:]


@kernel
def _some_additive_scores_backward(ds, q, k, w, a, dq, dk, number, threads, total):
    """A share of the samples; dw and da are added to `total`."""
    B, T, S = ds.shape
    zero, one = w.dtype.type(0), w.dtype.type(1)
    first, last = range_of(B, number, threads)
    for b in range(first, last):
        dk[b, :, :] = zero
        for i in range(T):
            dq[b, i, :] = zero
            for j in range(S):
                g = ds[b, i, j]
                along = zero
                for d in range(w.size):
                    x = q[b, i, d] + k[b, j, d]
                    t = tanh(a * x)
                    du = g * w[d] * (one - t * t)                                                   # from (2)
                    dq[b, i, d] += a * du
                    dk[b, j, d] += a * du
                    total[d] += g * t
                    along += du * x
                total[w.size] += along
