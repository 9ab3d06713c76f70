"""Pooling on the GPU. Formulas and shapes: kernels/reference/pooling.py.

A block of threads takes a row of the output, a thread one number at a time of it: neighbouring threads have neighbouring
channels, whose numbers lie side by side. A gradient collects, as on the CPU: each number of dx asks the windows over it, so
that no two threads write the same one. A large window, of which there are few, is shared: a block for some channels of one
window, whose threads each look through a part of it and then put together what they found.
"""
import math

from ._compat import SIMULATED, THREADS, cuda

LARGE = 8 if SIMULATED else 256         # cells from which a window is shared by a block
CHANNELS = 2 if SIMULATED else 32       # threads of such a block side by side, each with its channel,
PARTS = 3 if SIMULATED else 8           # and how many share a channel
PIECE = 2 if SIMULATED else 64          # numbers added one after the other: sums of such sums lose little


def max_pool(x, size, strides, padding, y, index):
    if math.prod(size) < LARGE:
        _max_pool[_blocks(y), THREADS](x, size, strides, padding, y, index)
    else:
        _max_pool_large[_window_blocks(y), (CHANNELS, PARTS)](x, size, strides, padding, y, index)


def max_pool_gradient(dy, index, size, strides, padding, dx):
    _max_pool_gradient[_blocks(dx), THREADS](dy, index, size, strides, padding, dx)


def average_pool(x, size, strides, padding, y):
    if math.prod(size) < LARGE:
        _average_pool[_blocks(y), THREADS](x, size, strides, padding, y)
    else:
        _average_pool_large[_window_blocks(y), (CHANNELS, PARTS)](x, size, strides, padding, y)


def average_pool_gradient(dy, size, strides, padding, dx):
    _average_pool_gradient[_blocks(dx), THREADS](dy, size, strides, padding, dx)


def adaptive_average_pool(x, y):
    _adaptive_average_pool[_blocks(y), THREADS](x, y)


def adaptive_average_pool_gradient(dy, dx):
    _adaptive_average_pool_gradient[_blocks(dx), THREADS](dy, dx)


def _blocks(y):
    """A grid of blocks for the rows of y, and across it for the parts of a long row."""
    rows, numbers = math.prod(y.shape[:3]), y.shape[3] * y.shape[4]
    return max(1, min(rows, 1 << 16)), max(1, min((numbers + THREADS - 1) // THREADS, 64))


def _window_blocks(y):
    return max(1, min(math.prod(y.shape[:4]), 1 << 16)), max(1, min((y.shape[4] + CHANNELS - 1) // CHANNELS, 1 << 10))


@cuda.jit(device=True)
def _unravel(row, depth, height):
    """Sample, depth and height of a row (or any number in a box: its three places)."""
    return row // (depth * height), row // height % depth, row % height


@cuda.jit(device=True)
def _inside(i, k, s, p, n):
    """Of window i on an axis of n cells: the first and the last-plus-one k inside the image, and where k = 0 lies."""
    start = i * s - p
    return max(0, -start), min(k, n - start), start                                     # (1)


@cuda.jit(device=True)
def _windows_over(place, k, s, p, windows):
    """The first and the last-plus-one window in which a place on an axis of the image lies."""
    return max(0, (place + p - k) // s + 1), min((place + p) // s + 1, windows)


@cuda.jit(device=True)
def _cell(number, d0, h0, h1, w0, w1):
    """Where in a window (kd, kh, kw) a cell lies, if those inside the image are numbered."""
    d, h, w = _unravel(number, h1 - h0, w1 - w0)
    return d0 + d, h0 + h, w0 + w


@cuda.jit(device=True)
def _beats(value, best):
    return value > best or (math.isnan(value) and not math.isnan(best))


@cuda.jit
def _max_pool(x, size, strides, padding, y, index):
    C = x.shape[4]
    OD, OH, OW = y.shape[1], y.shape[2], y.shape[3]
    for row in range(cuda.blockIdx.x, y.shape[0] * OD * OH, cuda.gridDim.x):
        n, i, j = _unravel(row, OD, OH)
        d0, d1, d = _inside(i, size[0], strides[0], padding[0], x.shape[1])
        h0, h1, h = _inside(j, size[1], strides[1], padding[1], x.shape[2])
        for m in range(cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x, OW * C, cuda.gridDim.y * cuda.blockDim.x):
            k, c = m // C, m % C
            w0, w1, w = _inside(k, size[2], strides[2], padding[2], x.shape[3])
            best, winner = x[n, d + d0, h + h0, w + w0, c], (d0 * size[1] + h0) * size[2] + w0
            for kd in range(d0, d1):
                for kh in range(h0, h1):
                    for kw in range(w0, w1):
                        value = x[n, d + kd, h + kh, w + kw, c]
                        if _beats(value, best):
                            best, winner = value, (kd * size[1] + kh) * size[2] + kw
            y[n, i, j, k, c] = best                                                     # (2)
            index[n, i, j, k, c] = winner                                               # (3)


@cuda.jit
def _max_pool_large(x, size, strides, padding, y, index):
    values = cuda.shared.array((PARTS, CHANNELS), y.dtype)
    winners = cuda.shared.array((PARTS, CHANNELS), index.dtype)
    C = x.shape[4]
    OD, OH, OW = y.shape[1], y.shape[2], y.shape[3]
    part, lane = cuda.threadIdx.y, cuda.threadIdx.x
    for window in range(cuda.blockIdx.x, y.shape[0] * OD * OH * OW, cuda.gridDim.x):
        k, j, i, n = window % OW, window // OW % OH, window // (OW * OH) % OD, window // (OW * OH * OD)
        d0, d1, d = _inside(i, size[0], strides[0], padding[0], x.shape[1])
        h0, h1, h = _inside(j, size[1], strides[1], padding[1], x.shape[2])
        w0, w1, w = _inside(k, size[2], strides[2], padding[2], x.shape[3])
        cells = (d1 - d0) * (h1 - h0) * (w1 - w0)
        for first in range(cuda.blockIdx.y * CHANNELS, C, cuda.gridDim.y * CHANNELS):
            c = min(first + lane, C - 1)
            winner, best = -1, y.dtype.type(0)
            for cell in range(part, cells, PARTS):
                kd, kh, kw = _cell(cell, d0, h0, h1, w0, w1)
                value = x[n, d + kd, h + kh, w + kw, c]
                if winner < 0 or _beats(value, best):
                    best, winner = value, (kd * size[1] + kh) * size[2] + kw
            values[part, lane], winners[part, lane] = best, winner
            cuda.syncthreads()                                  # all parts are there before one thread reads them
            if part == 0 and first + lane < C:
                for other in range(1, PARTS):
                    value, place = values[other, lane], winners[other, lane]
                    if place >= 0 and (_beats(value, best) or (not _beats(best, value) and place < winner)):
                        best, winner = value, place
                y[n, i, j, k, c] = best                                                 # (2)
                index[n, i, j, k, c] = winner                                           # (3)
            cuda.syncthreads()                                  # ... and read before the next are written


@cuda.jit
def _max_pool_gradient(dy, index, size, strides, padding, dx):
    D, H, W, C = dx.shape[1], dx.shape[2], dx.shape[3], dx.shape[4]
    for row in range(cuda.blockIdx.x, dx.shape[0] * D * H, cuda.gridDim.x):
        n, d, h = _unravel(row, D, H)
        i0, i1 = _windows_over(d, size[0], strides[0], padding[0], dy.shape[1])
        j0, j1 = _windows_over(h, size[1], strides[1], padding[1], dy.shape[2])
        for m in range(cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x, W * C, cuda.gridDim.y * cuda.blockDim.x):
            w, c = m // C, m % C
            k0, k1 = _windows_over(w, size[2], strides[2], padding[2], dy.shape[3])
            total = dx.dtype.type(0)
            for i in range(i0, i1):
                for j in range(j0, j1):
                    line = ((d + padding[0] - i * strides[0]) * size[1] + h + padding[1] - j * strides[1]) * size[2]
                    for k in range(k0, k1):
                        if index[n, i, j, k, c] == line + w + padding[2] - k * strides[2]:
                            total += dy[n, i, j, k, c]                                  # from (2)
            dx[n, d, h, w, c] = total


@cuda.jit
def _average_pool(x, size, strides, padding, y):
    C = x.shape[4]
    OD, OH, OW = y.shape[1], y.shape[2], y.shape[3]
    number = y.dtype.type
    for row in range(cuda.blockIdx.x, y.shape[0] * OD * OH, cuda.gridDim.x):
        n, i, j = _unravel(row, OD, OH)
        d0, d1, d = _inside(i, size[0], strides[0], padding[0], x.shape[1])
        h0, h1, h = _inside(j, size[1], strides[1], padding[1], x.shape[2])
        for m in range(cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x, OW * C, cuda.gridDim.y * cuda.blockDim.x):
            k, c = m // C, m % C
            w0, w1, w = _inside(k, size[2], strides[2], padding[2], x.shape[3])
            total = number(0)
            for kd in range(d0, d1):
                for kh in range(h0, h1):
                    for kw in range(w0, w1):
                        total += x[n, d + kd, h + kh, w + kw, c]
            y[n, i, j, k, c] = total / number((d1 - d0) * (h1 - h0) * (w1 - w0))        # (4)


@cuda.jit
def _average_pool_large(x, size, strides, padding, y):
    totals = cuda.shared.array((PARTS, CHANNELS), y.dtype)
    C = x.shape[4]
    OD, OH, OW = y.shape[1], y.shape[2], y.shape[3]
    number = y.dtype.type
    part, lane = cuda.threadIdx.y, cuda.threadIdx.x
    for window in range(cuda.blockIdx.x, y.shape[0] * OD * OH * OW, cuda.gridDim.x):
        k, j, i, n = window % OW, window // OW % OH, window // (OW * OH) % OD, window // (OW * OH * OD)
        d0, d1, d = _inside(i, size[0], strides[0], padding[0], x.shape[1])
        h0, h1, h = _inside(j, size[1], strides[1], padding[1], x.shape[2])
        w0, w1, w = _inside(k, size[2], strides[2], padding[2], x.shape[3])
        cells = (d1 - d0) * (h1 - h0) * (w1 - w0)
        for first in range(cuda.blockIdx.y * CHANNELS, C, cuda.gridDim.y * CHANNELS):
            c = min(first + lane, C - 1)
            total = number(0)
            for piece in range(part, cells, PARTS * PIECE):
                short = number(0)
                for cell in range(piece, min(piece + PARTS * PIECE, cells), PARTS):
                    kd, kh, kw = _cell(cell, d0, h0, h1, w0, w1)
                    short += x[n, d + kd, h + kh, w + kw, c]
                total += short
            totals[part, lane] = total
            cuda.syncthreads()                                  # all parts are there before one thread reads them
            if part == 0 and first + lane < C:
                for other in range(1, PARTS):
                    total += totals[other, lane]
                y[n, i, j, k, c] = total / number(cells)                                # (4)
            cuda.syncthreads()                                  # ... and read before the next are written


@cuda.jit
def _average_pool_gradient(dy, size, strides, padding, dx):
    D, H, W, C = dx.shape[1], dx.shape[2], dx.shape[3], dx.shape[4]
    number = dx.dtype.type
    for row in range(cuda.blockIdx.x, dx.shape[0] * D * H, cuda.gridDim.x):
        n, d, h = _unravel(row, D, H)
        i0, i1 = _windows_over(d, size[0], strides[0], padding[0], dy.shape[1])
        j0, j1 = _windows_over(h, size[1], strides[1], padding[1], dy.shape[2])
        for m in range(cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x, W * C, cuda.gridDim.y * cuda.blockDim.x):
            w, c = m // C, m % C
            k0, k1 = _windows_over(w, size[2], strides[2], padding[2], dy.shape[3])
            total = number(0)
            for i in range(i0, i1):
                d0, d1, _ = _inside(i, size[0], strides[0], padding[0], D)
                for j in range(j0, j1):
                    h0, h1, _ = _inside(j, size[1], strides[1], padding[1], H)
                    for k in range(k0, k1):
                        w0, w1, _ = _inside(k, size[2], strides[2], padding[2], W)
                        total += dy[n, i, j, k, c] / number((d1 - d0) * (h1 - h0) * (w1 - w0))    # from (4)
            dx[n, d, h, w, c] = total


@cuda.jit(device=True)
def _adaptive(i, n, m):
    """The first and the last-plus-one cell of window i of m over n cells; with n and m exchanged, the windows over a cell."""
    return i * n // m, ((i + 1) * n + m - 1) // m                                       # (5)


@cuda.jit
def _adaptive_average_pool(x, y):
    C = x.shape[4]
    OD, OH, OW = y.shape[1], y.shape[2], y.shape[3]
    number = y.dtype.type
    for row in range(cuda.blockIdx.x, y.shape[0] * OD * OH, cuda.gridDim.x):
        n, i, j = _unravel(row, OD, OH)
        d0, d1 = _adaptive(i, x.shape[1], OD)
        h0, h1 = _adaptive(j, x.shape[2], OH)
        for m in range(cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x, OW * C, cuda.gridDim.y * cuda.blockDim.x):
            k, c = m // C, m % C
            w0, w1 = _adaptive(k, x.shape[3], OW)
            total = number(0)
            for d in range(d0, d1):
                for h in range(h0, h1):
                    line = number(0)                            # sums of sums lose little
                    for w in range(w0, w1):
                        line += x[n, d, h, w, c]
                    total += line
            y[n, i, j, k, c] = total / number((d1 - d0) * (h1 - h0) * (w1 - w0))        # (4)


@cuda.jit
def _adaptive_average_pool_gradient(dy, dx):
    D, H, W, C = dx.shape[1], dx.shape[2], dx.shape[3], dx.shape[4]
    OD, OH, OW = dy.shape[1], dy.shape[2], dy.shape[3]
    number = dx.dtype.type
    for row in range(cuda.blockIdx.x, dx.shape[0] * D * H, cuda.gridDim.x):
        n, d, h = _unravel(row, D, H)
        i0, i1 = _adaptive(d, OD, D)
        j0, j1 = _adaptive(h, OH, H)
        for m in range(cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x, W * C, cuda.gridDim.y * cuda.blockDim.x):
            w, c = m // C, m % C
            k0, k1 = _adaptive(w, OW, W)
            total = number(0)
            for i in range(i0, i1):
                d0, d1 = _adaptive(i, D, OD)
                for j in range(j0, j1):
                    h0, h1 = _adaptive(j, H, OH)
                    for k in range(k0, k1):
                        w0, w1 = _adaptive(k, W, OW)
                        total += dy[n, i, j, k, c] / number((d1 - d0) * (h1 - h0) * (w1 - w0))      # from (4)
            dx[n, d, h, w, c] = total


_FLOATS, _INTEGERS = "float32[:,:,:,:,:]", "int32[:,:,:,:,:]"
_WINDOW = ", ".join(["UniTuple(int64, 3)"] * 3)
SIGNATURES = {
    "_max_pool": (_max_pool, f"void({_FLOATS}, {_WINDOW}, {_FLOATS}, {_INTEGERS})"),
    "_max_pool_large": (_max_pool_large, f"void({_FLOATS}, {_WINDOW}, {_FLOATS}, {_INTEGERS})"),
    "_max_pool_gradient": (_max_pool_gradient, f"void({_FLOATS}, {_INTEGERS}, {_WINDOW}, {_FLOATS})"),
    "_average_pool": (_average_pool, f"void({_FLOATS}, {_WINDOW}, {_FLOATS})"),
    "_average_pool_large": (_average_pool_large, f"void({_FLOATS}, {_WINDOW}, {_FLOATS})"),
    "_average_pool_gradient": (_average_pool_gradient, f"void({_FLOATS}, {_WINDOW}, {_FLOATS})"),
    "_adaptive_average_pool": (_adaptive_average_pool, f"void({_FLOATS}, {_FLOATS})"),
    "_adaptive_average_pool_gradient": (_adaptive_average_pool_gradient, f"void({_FLOATS}, {_FLOATS})"),
}
