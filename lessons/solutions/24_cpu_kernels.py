"""Solutions of the exercises of lesson 24."""
import timeit

import numpy as np
from numba import njit

from kernels.cpu import _tile

registers = 6 * 4 + 4 + 1                               # sums, weights, one number of a point after the other
loads = (4 + 6) / (6 * 4)                               # 0.42
intensity = 2 * 6 * 64 / (4 * (6 + 64))                 # 2.74; the library's 14 x 32 does 4.87
most = 16 - 1 - 1


def threaded_backward(x, w, dy, threads):
    N, K, outputs = len(x), len(w), dy.shape[1]
    dx = np.zeros_like(x)
    dw_each = np.zeros((threads, *w.shape))             # each thread has its own: no race
    db_each = np.zeros((threads, w.shape[2]))
    for s in range(threads):                            # in a kernel: prange
        for n in range(s * N // threads, (s + 1) * N // threads):
            for k in range(K):
                dw_each[s, k] += x[n, k:k + outputs].T @ dy[n]
                dx[n, k:k + outputs] += dy[n] @ w[k].T
            db_each[s] += dy[n].sum(axis=0)
    return dx, dw_each.sum(axis=0), db_each.sum(axis=0)


@njit
def tiled(x, w):
    W, C = x.shape
    K, _, F = w.shape
    y = np.empty((W - K + 1, F))
    full = (W - K + 1) // 4 * 4
    for f in range(F):
        for j in range(0, full, 4):
            s0 = s1 = s2 = s3 = 0.0
            for k in range(K):
                for c in range(C):
                    weight = w[k, c, f]
                    s0 += x[j + k, c] * weight
                    s1 += x[j + k + 1, c] * weight
                    s2 += x[j + k + 2, c] * weight
                    s3 += x[j + k + 3, c] * weight
            y[j, f], y[j + 1, f], y[j + 2, f], y[j + 3, f] = s0, s1, s2, s3
        for j in range(full, W - K + 1):                # the edge: up to three outputs, each by itself
            s0 = 0.0
            for k in range(K):
                for c in range(C):
                    s0 += x[j + k, c] * w[k, c, f]
            y[j, f] = s0
    return y


def fixed_threads(x, w, threads, rows):
    y = np.full((len(x) - len(w) + 1, w.shape[2]), np.nan)
    for s in range(threads):
        first, last = s * len(y) // threads, (s + 1) * len(y) // threads    # the bug: len(y) // threads for each drops the rest
        for j in range(first, last, rows):
            height = min(rows, last - j)
            y[j:j + height] = sum(x[j + k:j + k + height] @ w[k] for k in range(len(w)))
    return y


WIDTH = _tile.WIDE * _tile.VECTOR // 4


def rate_of(rows):
    tile = _tile._make_tiles([rows], _tile.WIDE)

    @njit
    def tiles(x, w, y):                                 # the lesson's, for one line and one panel, again and again
        for _ in range(4000):
            tile(rows, x, 0, 16, 1, (rows + 2) * 16, w, 0, WIDTH, 48 * WIDTH, 3, 48, y, 0, 0, y, 0, WIDTH, WIDTH, False)

    x, w, y = (np.ones(size, "f4") for size in (3 * (rows + 2) * 16, 144 * WIDTH, rows * WIDTH))
    seconds = min(timeit.repeat(lambda: tiles(x, w, y), number=1, repeat=11)[1:])
    return 4000 * 2 * rows * WIDTH * 144 / seconds / 1e9


rates = {rows: rate_of(rows) for rows in _tile.HEIGHTS}
enough = min(rows for rows, rate in rates.items() if rate >= 0.8 * max(rates.values()))     # 4 x 2 sums: nothing has to wait
