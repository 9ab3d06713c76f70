"""Convolution on the GPU, in two ways. Formulas and shapes: kernels/reference/convolution.py.

*Tiled*: each of the three sums is a matrix product in disguise. A block of threads computes one TILE x TILE tile of it, as in
matmul.py: step by step it brings STEP terms of its rows and columns into shared memory, gathering the image's from where they
lie, and each thread keeps EACH x EACH sums in registers. So a number brought from memory is used TILE times, and one read from
shared memory EACH times.

    kernel                           rows                        columns     sums over
    _tiled                           windows i                   filters     taps and channels
    _tiled_transposed                places m of one residue     channels    taps that meet it, filters
    _tiled_weight_gradient           taps and channels           filters     windows i

*Direct*: one thread an output. A depthwise convolution, whose groups have one channel and few filters, would leave most columns
of a tile empty.
"""
import math

from numba import int32

from ._compat import SIMULATED, THREADS, blocks_for, cuda
from .core import bias_backward

SIDE = 2 if SIMULATED else 16           # a block has SIDE x SIDE threads,
EACH = 4                                # each with EACH x EACH sums
TILE = SIDE * EACH
STEP = SIDE                             # how many terms of every sum a tile holds
PADDED = TILE + 1                       # a tile that is written by columns must not have them all in one bank of the memory
ENOUGH_BLOCKS = 4 if SIMULATED else 512         # that keep every part of the GPU busy


def convolve(x, w, b, strides, padding, dilation, groups, winograd, y):
    F = y.shape[4]
    if F // groups < SIDE:
        _direct[blocks_for(y.size), THREADS](x, w, b, strides, padding, dilation, groups, y)
    else:
        factor, rows = w.reshape(-1, F), y.reshape(-1, F)
        blocks = _ceil(len(rows), TILE), _ceil(F // groups, TILE), groups
        _tiled[blocks, (SIDE, SIDE)](x, factor, b, w.shape[:3], strides, padding, dilation, groups, y.shape[1:4], rows)


def convolve_transposed(x, w, b, strides, padding, dilation, groups, winograd, y):
    B, D, H, W, C = y.shape
    if C // groups < SIDE:
        _direct_transposed[blocks_for(y.size), THREADS](x, w, b, strides, padding, dilation, groups, y)
    else:
        rows = B * _ceil(D, strides[0]) * _ceil(H, strides[1]) * _ceil(W, strides[2])       # of residue 0; others have no more
        blocks = _ceil(rows, TILE), _ceil(C // groups, TILE), groups * math.prod(strides)
        _tiled_transposed[blocks, (SIDE, SIDE)](x, w, b, strides, padding, dilation, groups, y)


def convolve_weight_gradient(x, dy, strides, padding, dilation, groups, winograd, dw):
    F = dw.shape[4]
    if F // groups < SIDE:
        lines = dy.size // (dy.shape[3] * F)
        blocks = blocks_for(dw.size), max(1, min(lines, ENOUGH_BLOCKS // blocks_for(dw.size)))
        _direct_weight_gradient[blocks, THREADS](x, dy, strides, padding, dilation, groups, dw)
    else:
        rows, sums = dw.reshape(-1, F), dy.reshape(-1, F)
        across, down = _ceil(len(rows), TILE), _ceil(F // groups, TILE)
        splits = max(1, min(_ceil(len(sums), 8 * STEP), ENOUGH_BLOCKS // (across * down * groups)))
        _tiled_weight_gradient[(across, down, groups * splits), (SIDE, SIDE)](
            x, sums, dw.shape[:3], strides, padding, dilation, groups, dy.shape[1:4], rows)


def convolve_backward(x, w, zeros, dy, strides, padding, dilation, groups, winograd, dw, db, dx):
    convolve_weight_gradient(x, dy, strides, padding, dilation, groups, winograd, dw)
    if db.size:
        bias_backward(dy.reshape(-1, db.size), db)
    convolve_transposed(dy, w, zeros, strides, padding, dilation, groups, winograd, dx)


def _ceil(n, size):
    return (n + size - 1) // size


@cuda.jit(device=True)
def _place(index, places):
    """Sample, depth, height and width of the index-th place, of so many `places` on each axis."""
    w = index % places[2]
    index //= places[2]
    h = index % places[1]
    index //= places[1]
    return index // places[0], index % places[0], h, w


@cuda.jit(device=True)
def _inside(d, h, w, shape):
    return 0 <= d < shape[1] and 0 <= h < shape[2] and 0 <= w < shape[3]


@cuda.jit(device=True)
def _add_products(a_tile, b_tile, totals):
    """totals_{rj} += the terms in the tiles, of the r-th row of a and the j-th column of b that this thread has."""
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    a = cuda.local.array(EACH, a_tile.dtype)
    for k in range(STEP):
        for r in range(EACH):
            a[r] = a_tile[k, ty + SIDE * r]
        for j in range(EACH):
            b = b_tile[k, tx + SIDE * j]        # neighbouring threads, neighbouring banks
            for r in range(EACH):
                totals[r, j] += a[r] * b


@cuda.jit
def _tiled(x, w, b, taps, strides, padding, dilation, groups, windows, y):
    """w (KD KH KW C / groups, F), y (B OD OH OW, F), taps (KD, KH, KW), windows (OD, OH, OW)."""
    x_tile = cuda.shared.array((STEP, PADDED), y.dtype)
    w_tile = cuda.shared.array((STEP, PADDED), y.dtype)
    corner = cuda.shared.array((TILE, 4), int32)            # sample of each row, and where its window begins
    totals = cuda.local.array((EACH, EACH), y.dtype)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    zero = y.dtype.type(0)
    rows, F = y.shape
    length = w.shape[0]
    channels, width = x.shape[4] // groups, F // groups
    row0, f0, g = cuda.blockIdx.x * TILE, cuda.blockIdx.y * TILE, cuda.blockIdx.z
    for row in range(ty * SIDE + tx, TILE, SIDE * SIDE):
        n, d, h, v = _place(row0 + row, windows)
        corner[row, 0] = n if row0 + row < rows else -1
        corner[row, 1] = d * strides[0] - padding[0]
        corner[row, 2] = h * strides[1] - padding[1]
        corner[row, 3] = v * strides[2] - padding[2]
    for r in range(EACH):
        for j in range(EACH):
            f = f0 + tx + SIDE * j
            totals[r, j] = b[g * width + f] if f < width else zero
    cuda.syncthreads()
    c, kd, kh, kw = tx, 0, 0, 0                             # the channel and tap that this thread brings of each of its rows
    for k0 in range(0, length, STEP):
        while c >= channels:
            c -= channels
            kw += 1
            if kw == taps[2]:
                kw = 0
                kh += 1
                if kh == taps[1]:
                    kh = 0
                    kd += 1
        for r in range(EACH):
            row = ty + SIDE * r
            n = corner[row, 0]
            d = corner[row, 1] + kd * dilation[0]           # (4)
            h = corner[row, 2] + kh * dilation[1]
            v = corner[row, 3] + kw * dilation[2]
            real = n >= 0 and kd < taps[0] and _inside(d, h, v, x.shape)
            x_tile[tx, row] = x[n, d, h, v, g * channels + c] if real else zero
            f = f0 + tx + SIDE * r
            w_tile[ty, tx + SIDE * r] = w[k0 + ty, g * width + f] if k0 + ty < length and f < width else zero
        cuda.syncthreads()                                  # the tiles are whole before anyone reads them
        _add_products(x_tile, w_tile, totals)               # (1)
        cuda.syncthreads()                                  # ... and read before anyone overwrites them
        c += STEP
    for r in range(EACH):
        for j in range(EACH):
            row, f = row0 + ty + SIDE * r, f0 + tx + SIDE * j
            if row < rows and f < width:
                y[row, g * width + f] = totals[r, j]


@cuda.jit
def _tiled_transposed(x, w, b, strides, padding, dilation, groups, y):
    """A block has places m of one residue m mod s on each axis: the same taps meet all of them, the others are passed over."""
    x_tile = cuda.shared.array((STEP, PADDED), y.dtype)
    w_tile = cuda.shared.array((STEP, PADDED), y.dtype)
    place = cuda.shared.array((TILE, 4), int32)             # of each row: sample and m // s
    totals = cuda.local.array((EACH, EACH), y.dtype)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    zero = y.dtype.type(0)
    B, D, H, W, C = y.shape
    channels, width = C // groups, x.shape[4] // groups
    row0, c0, g = cuda.blockIdx.x * TILE, cuda.blockIdx.y * TILE, cuda.blockIdx.z % groups
    _, rd, rh, rw = _place(cuda.blockIdx.z // groups, strides)
    places = ((D - rd + strides[0] - 1) // strides[0], (H - rh + strides[1] - 1) // strides[1],
              (W - rw + strides[2] - 1) // strides[2])
    rows = B * places[0] * places[1] * places[2]
    if row0 >= rows:                                        # the whole block; also where an axis lacks the residue
        return
    for row in range(ty * SIDE + tx, TILE, SIDE * SIDE):
        n, d, h, v = _place(row0 + row, places)
        place[row, 0] = n if row0 + row < rows else -1
        place[row, 1], place[row, 2], place[row, 3] = d, h, v
    for r in range(EACH):
        for j in range(EACH):
            c = c0 + tx + SIDE * j
            totals[r, j] = b[g * channels + c] if c < channels else zero
    cuda.syncthreads()
    for kd in range(w.shape[0]):
        for kh in range(w.shape[1]):
            for kw in range(w.shape[2]):
                to_d = rd + padding[0] - kd * dilation[0]           # s i = s (m // s) + to, from (4)
                to_h = rh + padding[1] - kh * dilation[1]
                to_w = rw + padding[2] - kw * dilation[2]
                if to_d % strides[0] or to_h % strides[1] or to_w % strides[2]:
                    continue
                to_d, to_h, to_w = to_d // strides[0], to_h // strides[1], to_w // strides[2]
                for k0 in range(0, width, STEP):
                    f = k0 + tx
                    for r in range(EACH):
                        row, c = ty + SIDE * r, c0 + ty + SIDE * r
                        n = place[row, 0]
                        d, h, v = place[row, 1] + to_d, place[row, 2] + to_h, place[row, 3] + to_w      # i
                        real = n >= 0 and f < width and _inside(d, h, v, x.shape)
                        x_tile[tx, row] = x[n, d, h, v, g * width + f] if real else zero
                        w_tile[tx, row] = w[kd, kh, kw, c, g * width + f] if f < width and c < channels else zero
                    cuda.syncthreads()
                    _add_products(x_tile, w_tile, totals)           # (2)
                    cuda.syncthreads()
    for r in range(EACH):
        row = ty + SIDE * r
        n = place[row, 0]
        d, h, v = rd + place[row, 1] * strides[0], rh + place[row, 2] * strides[1], rw + place[row, 3] * strides[2]
        for j in range(EACH):
            c = c0 + tx + SIDE * j
            if n >= 0 and c < channels:
                y[n, d, h, v, g * channels + c] = totals[r, j]


@cuda.jit
def _tiled_weight_gradient(x, dy, taps, strides, padding, dilation, groups, windows, dw):
    """dy (B OD OH OW, F), taps (KD, KH, KW), windows (OD, OH, OW), dw (KD KH KW C / groups, F). The windows are split between
    blocks, which add up at the end."""
    x_tile = cuda.shared.array((STEP, PADDED), dw.dtype)
    dy_tile = cuda.shared.array((STEP, PADDED), dw.dtype)
    tap = cuda.shared.array((TILE, 4), int32)               # of each row: where its tap lies in the window, and its channel
    totals = cuda.local.array((EACH, EACH), dw.dtype)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    zero = dw.dtype.type(0)
    rows, F = dw.shape
    sums = dy.shape[0]
    channels, width = x.shape[4] // groups, F // groups
    row0, f0, g = cuda.blockIdx.x * TILE, cuda.blockIdx.y * TILE, cuda.blockIdx.z % groups
    for row in range(ty * SIDE + tx, TILE, SIDE * SIDE):
        _, kd, kh, kw = _place((row0 + row) // channels, taps)
        tap[row, 0], tap[row, 1], tap[row, 2] = kd * dilation[0], kh * dilation[1], kw * dilation[2]
        tap[row, 3] = g * channels + (row0 + row) % channels if row0 + row < rows else -1
    for r in range(EACH):
        for j in range(EACH):
            totals[r, j] = zero
    cuda.syncthreads()
    split, splits = cuda.blockIdx.z // groups, cuda.gridDim.z // groups
    for k0 in range(split * STEP, sums, splits * STEP):
        n, d, h, v = _place(k0 + ty, windows)
        for r in range(EACH):
            row, f = tx + SIDE * r, f0 + tx + SIDE * r
            md = d * strides[0] - padding[0] + tap[row, 0]  # (4)
            mh = h * strides[1] - padding[1] + tap[row, 1]
            mw = v * strides[2] - padding[2] + tap[row, 2]
            c = tap[row, 3]
            real = c >= 0 and k0 + ty < sums and _inside(md, mh, mw, x.shape)
            x_tile[ty, row] = x[n, md, mh, mw, c] if real else zero
            dy_tile[ty, row] = dy[k0 + ty, g * width + f] if k0 + ty < sums and f < width else zero
        cuda.syncthreads()
        _add_products(x_tile, dy_tile, totals)              # (3)
        cuda.syncthreads()
    for r in range(EACH):
        for j in range(EACH):
            row, f = row0 + ty + SIDE * r, f0 + tx + SIDE * j
            if row < rows and f < width:
                cuda.atomic.add(dw, (row, g * width + f), totals[r, j])


@cuda.jit
def _direct(x, w, b, strides, padding, dilation, groups, y):
    F = y.shape[4]
    KD, KH, KW, channels, _ = w.shape
    for k in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        f = k % F                                           # neighbouring threads, neighbouring filters
        n, od, oh, ow = _place(k // F, y.shape[1:4])
        c0 = f // (F // groups) * channels                  # the first channel of f's group
        total = b[f]
        for kd in range(KD):
            for kh in range(KH):
                for kw in range(KW):
                    d = od * strides[0] - padding[0] + kd * dilation[0]     # (4)
                    h = oh * strides[1] - padding[1] + kh * dilation[1]
                    v = ow * strides[2] - padding[2] + kw * dilation[2]
                    if _inside(d, h, v, x.shape):
                        for c in range(channels):
                            total += x[n, d, h, v, c0 + c] * w[kd, kh, kw, c, f]        # (1)
        y[n, od, oh, ow, f] = total


@cuda.jit
def _direct_transposed(x, w, b, strides, padding, dilation, groups, y):
    C, width = y.shape[4], x.shape[4] // groups
    KD, KH, KW, channels, _ = w.shape
    for k in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        c = k % C                                           # neighbouring threads, neighbouring channels
        n, d, h, v = _place(k // C, y.shape[1:4])
        f0 = c // channels * width                          # the first filter of c's group
        total = b[c]
        for kd in range(KD):
            for kh in range(KH):
                for kw in range(KW):
                    sd = d + padding[0] - kd * dilation[0]  # s i, from (4)
                    sh = h + padding[1] - kh * dilation[1]
                    sw = v + padding[2] - kw * dilation[2]
                    if sd % strides[0] or sh % strides[1] or sw % strides[2]:
                        continue
                    od, oh, ow = sd // strides[0], sh // strides[1], sw // strides[2]
                    if _inside(od, oh, ow, x.shape):
                        for f in range(f0, f0 + width):
                            total += x[n, od, oh, ow, f] * w[kd, kh, kw, c % channels, f]       # (2)
        y[n, d, h, v, c] = total


@cuda.jit
def _direct_weight_gradient(x, dy, strides, padding, dilation, groups, dw):
    """One thread an element of dw for some of the lines of dy, the last axis but one; blocks add up at the end."""
    B, OD, OH, OW, F = dy.shape
    channels = dw.shape[3]
    for k in range(cuda.grid(1), dw.size, cuda.gridsize(1)):
        f = k % F                                           # neighbouring threads, neighbouring filters
        c = k // F % channels
        _, kd, kh, kw = _place(k // (F * channels), dw.shape[:3])
        c0 = f // (F // groups) * channels                  # the first channel of f's group
        total = dw.dtype.type(0)
        for line in range(cuda.blockIdx.y, B * OD * OH, cuda.gridDim.y):
            n, od, oh = line // (OD * OH), line // OH % OD, line % OH
            d = od * strides[0] - padding[0] + kd * dilation[0]             # (4)
            h = oh * strides[1] - padding[1] + kh * dilation[1]
            for ow in range(OW):
                v = ow * strides[2] - padding[2] + kw * dilation[2]
                if _inside(d, h, v, x.shape):
                    total += x[n, d, h, v, c0 + c] * dy[n, od, oh, ow, f]   # (3)
        cuda.atomic.add(dw, (kd, kh, kw, c, f), total)


_ARRAY, _MATRIX, _THREE = "float32[:,:,:,:,:]", "float32[:,:]", "UniTuple(int64, 3)"
_STEPS = f"{_THREE}, {_THREE}, {_THREE}, int64"             # strides, padding, dilation, groups
SIGNATURES = {
    "_tiled": (_tiled, f"void({_ARRAY}, {_MATRIX}, float32[:], {_THREE}, {_STEPS}, {_THREE}, {_MATRIX})"),
    "_tiled_transposed": (_tiled_transposed, f"void({_ARRAY}, {_ARRAY}, float32[:], {_STEPS}, {_ARRAY})"),
    "_tiled_weight_gradient": (_tiled_weight_gradient, f"void({_ARRAY}, {_MATRIX}, {_THREE}, {_STEPS}, {_THREE}, {_MATRIX})"),
    "_direct": (_direct, f"void({_ARRAY}, {_ARRAY}, float32[:], {_STEPS}, {_ARRAY})"),
    "_direct_transposed": (_direct_transposed, f"void({_ARRAY}, {_ARRAY}, float32[:], {_STEPS}, {_ARRAY})"),
    "_direct_weight_gradient": (_direct_weight_gradient, f"void({_ARRAY}, {_ARRAY}, {_STEPS}, {_ARRAY})"),
}
