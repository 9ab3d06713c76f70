"""Padding and up-sampling on the GPU. Formulas and shapes: kernels/reference/reshaping.py.

A thread takes one number of the output at a time, neighbouring threads neighbouring ones. A gradient collects: each number of
dx asks all that it was sent to, so that no two threads write the same one.
"""
from ._compat import THREADS, blocks_for, cuda


def pad(x, before, y):
    _pad[blocks_for(y.size), THREADS](x, before, y)


def repeat(x, factors, y):
    _repeat[blocks_for(y.size), THREADS](x, factors, y)


def repeat_backward(dy, factors, dx):
    _repeat_backward[blocks_for(dx.size), THREADS](dy, factors, dx)


def interpolate(x, a, u, b, v, y):
    _interpolate[blocks_for(y.size), THREADS](x, a, u, b, v, y)


def interpolate_backward(dy, a, u, b, v, dx):
    _interpolate_backward[blocks_for(dx.size), THREADS](dy, a, u, b, v, dx)


@cuda.jit(device=True)
def _unravel(m, shape):
    """The place of number m in an array (N, D, H, W, C)."""
    c, m = m % shape[4], m // shape[4]
    w, m = m % shape[3], m // shape[3]
    h, m = m % shape[2], m // shape[2]
    return m // shape[1], m % shape[1], h, w, c


@cuda.jit
def _pad(x, before, y):
    D, H, W = x.shape[1], x.shape[2], x.shape[3]
    for m in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, d, h, w, c = _unravel(m, y.shape)
        i, j, k = d - before[0], h - before[1], w - before[2]
        inside = i >= 0 and i < D and j >= 0 and j < H and k >= 0 and k < W
        y[n, d, h, w, c] = x[n, i, j, k, c] if inside else y.dtype.type(0)              # (1)


@cuda.jit
def _repeat(x, factors, y):
    for m in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, d, h, w, c = _unravel(m, y.shape)
        y[n, d, h, w, c] = x[n, d // factors[0], h // factors[1], w // factors[2], c]   # (2)


@cuda.jit
def _repeat_backward(dy, factors, dx):
    for m in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        n, d, h, w, c = _unravel(m, dx.shape)
        total = dx.dtype.type(0)
        for i in range(d * factors[0], (d + 1) * factors[0]):
            for j in range(h * factors[1], (h + 1) * factors[1]):
                for k in range(w * factors[2], (w + 1) * factors[2]):
                    total += dy[n, i, j, k, c]                                          # from (2)
        dx[n, d, h, w, c] = total


@cuda.jit
def _interpolate(x, a, u, b, v, y):
    high, wide, C = y.shape[1], y.shape[2], y.shape[3]
    for m in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        c, j, i, n = m % C, m // C % wide, m // (C * wide) % high, m // (C * wide * high)
        total = y.dtype.type(0)
        for k in range(u.shape[1]):
            row = y.dtype.type(0)
            for l in range(v.shape[1]):
                row += v[j, l] * x[n, a[i] + k, b[j] + l, c]
            total += u[i, k] * row                                                      # (3)
        y[n, i, j, c] = total


@cuda.jit(device=True)
def _first_over(place, starts, taps):
    """The first i whose taps, from starts[i] on, reach as far as this place: starts never fall, so by halving."""
    low, high = 0, starts.size
    while low < high:
        middle = (low + high) // 2
        if starts[middle] + taps <= place:
            low = middle + 1
        else:
            high = middle
    return low


@cuda.jit
def _interpolate_backward(dy, a, u, b, v, dx):
    H, W, C = dx.shape[1], dx.shape[2], dx.shape[3]
    for m in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        c, w, h, n = m % C, m // C % W, m // (C * W) % H, m // (C * W * H)
        total = dx.dtype.type(0)
        left = _first_over(w, b, v.shape[1])
        i = _first_over(h, a, u.shape[1])
        while i < a.size and a[i] <= h:
            row, j = dx.dtype.type(0), left
            while j < b.size and b[j] <= w:
                row += v[j, w - b[j]] * dy[n, i, j, c]
                j += 1
            total += u[i, h - a[i]] * row                                               # from (3)
            i += 1
        dx[n, h, w, c] = total


_VOLUMES, _FACTORS = "float32[:,:,:,:,:]", "UniTuple(int64, 3)"
_WEIGHTS = "int64[:], float32[:,:], int64[:], float32[:,:]"
_IMAGES = "float32[:,:,:,:]"
SIGNATURES = {
    "_pad": (_pad, f"void({_VOLUMES}, {_FACTORS}, {_VOLUMES})"),
    "_repeat": (_repeat, f"void({_VOLUMES}, {_FACTORS}, {_VOLUMES})"),
    "_repeat_backward": (_repeat_backward, f"void({_VOLUMES}, {_FACTORS}, {_VOLUMES})"),
    "_interpolate": (_interpolate, f"void({_IMAGES}, {_WEIGHTS}, {_IMAGES})"),
    "_interpolate_backward": (_interpolate_backward, f"void({_IMAGES}, {_WEIGHTS}, {_IMAGES})"),
}
