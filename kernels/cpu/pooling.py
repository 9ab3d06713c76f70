"""Pooling, compiled for the CPU. Formulas and shapes: kernels/reference/pooling.py.

Pooling does one comparison or addition for each number that it reads: memory decides its speed. So every array is walked
through once in the order in which it lies, and the channels of a cell, which lie side by side, are worked on in vectors.
Threads share the rows of the output; in a gradient the output is dx, and each of its rows collects from the windows over it.
No two threads write the same number, and what does not overlap is written once.
"""
import numpy as np

from ._jit import kernel
from ._lanes import beats, equal, lanes_of, load, narrow, select, splat, store, widen
from ._team import range_of, share
from ._threads import threads_for
from ._tile import LINE, fetch

FAR = 1 << 20               # numbers of an image from which on it lies in memory, not in a cache
SHORT = 32                  # cells of a window that are summed in its own precision, with no loss to speak of
PARALLEL_FROM = 1 << 15     # numbers read and written by each thread that pay for waking it


def max_pool(x, size, strides, padding, y, index):
    share(_max_rows, threads_for(x.size + 2 * y.size, PARALLEL_FROM), (x, size, strides, padding), (index, y))


def max_pool_gradient(dy, index, size, strides, padding, dx):
    share(_max_gradient_rows, threads_for(dx.size + 2 * dy.size, PARALLEL_FROM), (dy, index, size, strides, padding), (dx,))


def average_pool(x, size, strides, padding, y):
    share(_average_rows, threads_for(x.size + y.size, PARALLEL_FROM), (x, size, strides, padding), (y,))


def average_pool_gradient(dy, size, strides, padding, dx):
    share(_average_gradient_rows, threads_for(dx.size + dy.size, PARALLEL_FROM), (dy, size, strides, padding), (dx,))


def adaptive_average_pool(x, y):
    share(_adaptive_rows, threads_for(x.size + y.size, PARALLEL_FROM), (x,), (y,))


def adaptive_average_pool_gradient(dy, dx):
    share(_adaptive_gradient_rows, threads_for(dx.size + dy.size, PARALLEL_FROM), (dy,), (dx,))


@kernel
def _unravel(row, depth, height):
    """Sample, depth and height of a row."""
    return row // (depth * height), row // height % depth, row % height


@kernel
def _next(n, d, h, depth, height):
    """Those of the next row, without the divisions."""
    if h + 1 < height:
        return n, d, h + 1
    return (n, d + 1, 0) if d + 1 < depth else (n + 1, 0, 0)


@kernel
def _inside(i, k, s, p, n):
    """Of window i on an axis of n cells: the first and the last-plus-one k inside the image, and where k = 0 lies."""
    start = i * s - p
    return max(0, -start), min(k, n - start), start                                     # (1)


@kernel
def _windows_over(places, k, s, p, windows):
    """For each place on an axis of the image: the first and the last-plus-one window in which it lies."""
    over = np.empty((places, 2), np.intp)
    for place in range(places):
        over[place, 0] = max(0, (place + p - k) // s + 1)
        over[place, 1] = min((place + p) // s + 1, windows)
    return over


@kernel
def _lines(n, i, j, shape, size, strides, padding, cells, places):
    """Where the lines of the windows (i, j, ·) begin: in the image, counted in cells, and in the window. Returns how many."""
    d0, d1, d = _inside(i, size[0], strides[0], padding[0], shape[1])
    h0, h1, h = _inside(j, size[1], strides[1], padding[1], shape[2])
    count = 0
    for kd in range(d0, d1):
        for kh in range(h0, h1):
            cells[count] = ((n * shape[1] + d + kd) * shape[2] + h + kh) * shape[3]
            places[count] = (kd * size[1] + kh) * size[2]
            count += 1
    return count


@kernel
def _fetch(x, cells, lines, w, width, C):
    """Ask memory for the cells of a window's lines, before they are read."""
    for l in range(lines):
        for at in range((cells[l] + w) * C, (cells[l] + w + width) * C, LINE):
            fetch(x, at)


@kernel
def _max_rows(x, size, strides, padding, s, threads, index, y):
    W, C = x.shape[3:]
    OW = y.shape[3]
    x1, y1, index1 = x.reshape(-1), y.reshape(-1), index.reshape(-1)
    cells, places = np.empty(size[0] * size[1], np.intp), np.empty(size[0] * size[1], np.int32)
    row, stop = range_of(y.shape[0] * y.shape[1] * y.shape[2], s, threads)
    n, i, j = _unravel(row, y.shape[1], y.shape[2])
    while row < stop:
        lines = _lines(n, i, j, x.shape, size, strides, padding, cells, places)
        for k in range(OW):
            w0, w1, w = _inside(k, size[2], strides[2], padding[2], W)
            if x1.size >= FAR:
                _fetch(x1, cells, lines, w + w0 + strides[1] * W, w1 - w0, C)           # what the next row sees here
            for c in range(0, C, lanes_of(x)):
                left, to = C - c, (row * OW + k) * C + c
                best = load(x1, (cells[0] + w + w0) * C + c, left, x)
                winner = splat(np.int32(places[0] + w0), x)
                for l in range(lines):
                    at, place = (cells[l] + w) * C + c, places[l]
                    for kw in range(w0, w1):
                        value = load(x1, at + kw * C, left, x)
                        wins = beats(value, best)
                        best = select(wins, value, best)                                # (2)
                        winner = select(wins, splat(np.int32(place + kw), x), winner)   # (3)
                store(best, y1, to, left)
                store(winner, index1, to, left)
        row += 1
        n, i, j = _next(n, i, j, y.shape[1], y.shape[2])


@kernel
def _average_rows(x, size, strides, padding, s, threads, y):
    W, C = x.shape[3:]
    OW = y.shape[3]
    x1, y1 = x.reshape(-1), y.reshape(-1)
    cells, places = np.empty(size[0] * size[1], np.intp), np.empty(size[0] * size[1], np.int32)
    zero = splat(x.dtype.type(0), x)
    row, stop = range_of(y.shape[0] * y.shape[1] * y.shape[2], s, threads)
    n, i, j = _unravel(row, y.shape[1], y.shape[2])
    while row < stop:
        lines = _lines(n, i, j, x.shape, size, strides, padding, cells, places)
        for k in range(OW):
            w0, w1, w = _inside(k, size[2], strides[2], padding[2], W)
            if x1.size >= FAR:
                _fetch(x1, cells, lines, w + w0 + strides[1] * W, w1 - w0, C)           # what the next row sees here
            share = splat(x.dtype.type(1 / (lines * (w1 - w0))), x)
            for c in range(0, C, lanes_of(x)):
                left = C - c
                if lines * (w1 - w0) > SHORT:
                    total = _long_sum(x1, cells, lines, w + w0, w1 - w0, C, c)
                else:
                    total = zero
                    for l in range(lines):
                        at = (cells[l] + w) * C + c
                        for kw in range(w0, w1):
                            total = total + load(x1, at + kw * C, left, x)
                store(total * share, y1, (row * OW + k) * C + c, left)                  # (4)
        row += 1
        n, i, j = _next(n, i, j, y.shape[1], y.shape[2])


@kernel
def _long_sum(x, cells, lines, w, width, C, c):
    """The sum of a large window: four cells at a time are added to a sum in double precision."""
    total, left = widen(splat(x.dtype.type(0), x)), C - c
    for l in range(lines):
        at, end = (cells[l] + w) * C + c, (cells[l] + w + width) * C + c
        while at + 4 * C <= end:
            total = total + widen((load(x, at, left, x) + load(x, at + C, left, x))
                                  + (load(x, at + 2 * C, left, x) + load(x, at + 3 * C, left, x)))
            at += 4 * C
        while at < end:
            total = total + widen(load(x, at, left, x))
            at += C
    return narrow(total, x)


@kernel
def _clear(dx, row, W, C, covered):
    """Zeros in a row of cells, behind those that windows cover once and that are written anyway."""
    for at in range((row + covered) * C, (row + W) * C):
        dx[np.uintp(at)] = 0


@kernel
def _max_gradient_rows(dy, index, size, strides, padding, s, threads, dx):
    D, H, W, C = dx.shape[1:]
    OD, OH, OW = dy.shape[1:4]
    dx1, dy1, index1 = dx.reshape(-1), dy.reshape(-1), index.reshape(-1)
    zero = splat(dy.dtype.type(0), dy)
    over_d = _windows_over(D, size[0], strides[0], padding[0], OD)
    over_h = _windows_over(H, size[1], strides[1], padding[1], OH)
    row, stop = range_of(dx.shape[0] * D * H, s, threads)
    n, d, h = _unravel(row, D, H)
    while row < stop:
        i0, i1, j0, j1 = over_d[d, 0], over_d[d, 1], over_h[h, 0], over_h[h, 1]
        alone = (i1 - i0) * (j1 - j0) == 1 and size[2] <= strides[2]    # no cell lies in two windows
        _clear(dx1, row * W, W, C, min(W, OW * size[2] - padding[2]) if alone and size[2] == strides[2] else 0)
        for i in range(i0, i1):
            for j in range(j0, j1):
                place = ((d + padding[0] - i * strides[0]) * size[1] + h + padding[1] - j * strides[1]) * size[2]
                line = ((n * OD + i) * OH + j) * OW
                for k in range(OW):
                    w0, w1, w = _inside(k, size[2], strides[2], padding[2], W)
                    at = (line + k) * C
                    for kw in range(w0, w1):
                        to, here = (row * W + w + kw) * C, splat(np.int32(place + kw), dy)
                        for c in range(0, C, lanes_of(dy)):
                            left = C - c
                            won = equal(load(index1, at + c, left, dy), here)
                            part = select(won, load(dy1, at + c, left, dy), zero)       # from (2)
                            if not alone:
                                part = part + load(dx1, to + c, left, dy)
                            store(part, dx1, to + c, left)
        row += 1
        n, d, h = _next(n, d, h, D, H)


@kernel
def _average_gradient_rows(dy, size, strides, padding, s, threads, dx):
    D, H, W, C = dx.shape[1:]
    OD, OH, OW = dy.shape[1:4]
    dx1, dy1 = dx.reshape(-1), dy.reshape(-1)
    over_d = _windows_over(D, size[0], strides[0], padding[0], OD)
    over_h = _windows_over(H, size[1], strides[1], padding[1], OH)
    row, stop = range_of(dx.shape[0] * D * H, s, threads)
    n, d, h = _unravel(row, D, H)
    while row < stop:
        i0, i1, j0, j1 = over_d[d, 0], over_d[d, 1], over_h[h, 0], over_h[h, 1]
        alone = (i1 - i0) * (j1 - j0) == 1 and size[2] <= strides[2]    # no cell lies in two windows
        _clear(dx1, row * W, W, C, min(W, OW * size[2] - padding[2]) if alone and size[2] == strides[2] else 0)
        for i in range(i0, i1):
            d0, d1, _ = _inside(i, size[0], strides[0], padding[0], D)
            for j in range(j0, j1):
                h0, h1, _ = _inside(j, size[1], strides[1], padding[1], H)
                lines, line = (d1 - d0) * (h1 - h0), ((n * OD + i) * OH + j) * OW
                for k in range(OW):
                    w0, w1, w = _inside(k, size[2], strides[2], padding[2], W)
                    share, at = splat(dy.dtype.type(1 / (lines * (w1 - w0))), dy), (line + k) * C
                    for kw in range(w0, w1):
                        to = (row * W + w + kw) * C
                        for c in range(0, C, lanes_of(dy)):
                            left = C - c
                            part = load(dy1, at + c, left, dy) * share                  # from (4)
                            if not alone:
                                part = part + load(dx1, to + c, left, dy)
                            store(part, dx1, to + c, left)
        row += 1
        n, d, h = _next(n, d, h, D, H)


@kernel
def _adaptive(i, n, m):
    """The first and the last-plus-one cell of window i of m over n cells; with n and m exchanged, the windows over a cell."""
    return i * n // m, ((i + 1) * n + m - 1) // m                                       # (5)


@kernel
def _adaptive_rows(x, s, threads, y):
    C = x.shape[4]
    OD, OH, OW = y.shape[1:4]
    total = np.empty(C, np.float64)
    row, stop = range_of(y.shape[0] * OD * OH, s, threads)
    n, i, j = _unravel(row, OD, OH)
    while row < stop:
        d0, d1 = _adaptive(i, x.shape[1], OD)
        h0, h1 = _adaptive(j, x.shape[2], OH)
        for k in range(OW):
            w0, w1 = _adaptive(k, x.shape[3], OW)
            total[:] = 0
            for d in range(d0, d1):
                for h in range(h0, h1):
                    for w in range(w0, w1):
                        for c in range(C):
                            total[c] += x[n, d, h, w, c]
            cells = (d1 - d0) * (h1 - h0) * (w1 - w0)
            for c in range(C):
                y[n, i, j, k, c] = total[c] / cells                                     # (4)
        row += 1
        n, i, j = _next(n, i, j, OD, OH)


@kernel
def _adaptive_gradient_rows(dy, s, threads, dx):
    D, H, W, C = dx.shape[1:]
    OD, OH, OW = dy.shape[1:4]
    row, stop = range_of(dx.shape[0] * D * H, s, threads)
    n, d, h = _unravel(row, D, H)
    while row < stop:
        i0, i1 = _adaptive(d, OD, D)
        j0, j1 = _adaptive(h, OH, H)
        dx[n, d, h] = 0
        for i in range(i0, i1):
            d0, d1 = _adaptive(i, D, OD)
            for j in range(j0, j1):
                h0, h1 = _adaptive(j, H, OH)
                for k in range(OW):
                    w0, w1 = _adaptive(k, W, OW)
                    part = dy.dtype.type(1 / ((d1 - d0) * (h1 - h0) * (w1 - w0)))
                    for w in range(w0, w1):
                        for c in range(C):
                            dx[n, d, h, w, c] += dy[n, i, j, k, c] * part               # from (4)
        row += 1
        n, d, h = _next(n, d, h, D, H)
