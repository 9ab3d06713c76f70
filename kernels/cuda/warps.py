"""Images, moved on the GPU. Formulas and shapes: kernels/reference/warps.py.

A thread makes one number of the result: neighbouring threads have neighbouring channels and columns, which read from places
near to each other. In a gradient it adds what it read with to the numbers that it came from; others may add there, too.
"""
from ._compat import THREADS, blocks_for, cuda

NEAREST, REFLECT, WRAP = 1, 2, 3


def warp(x, maps, interpolation, fill, fill_value, y):
    (_blend if interpolation else _pick)[blocks_for(y.size), THREADS](x, maps, fill, fill_value, y)


def warp_gradient(dy, maps, interpolation, fill, dx):
    dx.fill(0)
    (_blend_gradient if interpolation else _pick_gradient)[blocks_for(dy.size), THREADS](dy, maps, fill, dx)


@cuda.jit(device=True)
def _place(number, shape):
    """Image, row, column and channel of a number of the result."""
    H, W, C = shape[1], shape[2], shape[3]
    row = number // (C * W)
    return row // H, row % H, number // C % W, number % C


@cuda.jit(device=True)
def _read_from(maps, n, i, j):
    i, j = maps.dtype.type(i), maps.dtype.type(j)
    return maps[n, 3] * j + maps[n, 4] * i + maps[n, 5], maps[n, 0] * j + maps[n, 1] * i + maps[n, 2]        # (1)


@cuda.jit(device=True)
def _rounded(u):
    halves = int(u + u)
    return (halves + 1) >> 1 if halves >= 0 else -((1 - halves) >> 1)                   # (2)


@cuda.jit(device=True)
def _cell(u, maps):
    """The first of the two pixels around the place u, and how much it and the other count."""
    p = int(u)
    if maps.dtype.type(p) > u:
        p -= 1                                                                          # (4)
    f = u - maps.dtype.type(p)
    return p, (maps.dtype.type(1) - f, f)


@cuda.jit(device=True)
def _inside(p, n, fill):
    """f(p), or -1 where the fill value stands."""
    if 0 <= p < n:
        return p
    if fill == NEAREST:
        return 0 if p < 0 else n - 1                                                    # (7)
    if fill == REFLECT:
        p %= 2 * n
        return min(p, 2 * n - 1 - p)                                                    # (8)
    return p % n if fill == WRAP else -1                                                # (9), (10)


@cuda.jit
def _pick(x, maps, fill, fill_value, y):
    for number in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, i, j, c = _place(number, y.shape)
        u, v = _read_from(maps, n, i, j)
        p, q = _inside(_rounded(u), x.shape[1], fill), _inside(_rounded(v), x.shape[2], fill)
        y[n, i, j, c] = x[n, p, q, c] if min(p, q) >= 0 else fill_value   # (3), (10)


@cuda.jit
def _blend(x, maps, fill, fill_value, y):
    for number in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, i, j, c = _place(number, y.shape)
        u, v = _read_from(maps, n, i, j)
        (p, of_row), (q, of_column) = _cell(u, maps), _cell(v, maps)
        total = y.dtype.type(0)
        for s in range(2):
            row = _inside(p + s, x.shape[1], fill)
            for t in range(2):
                column, weight = _inside(q + t, x.shape[2], fill), of_row[s] * of_column[t]
                value = x[n, row, column, c] if min(row, column) >= 0 else fill_value                 # (10)
                total += weight * value                                                 # (5)
        y[n, i, j, c] = total


@cuda.jit
def _pick_gradient(dy, maps, fill, dx):
    for number in range(cuda.grid(1), dy.size, cuda.gridsize(1)):
        n, i, j, c = _place(number, dy.shape)
        u, v = _read_from(maps, n, i, j)
        p, q = _inside(_rounded(u), dx.shape[1], fill), _inside(_rounded(v), dx.shape[2], fill)
        if min(p, q) >= 0:
            cuda.atomic.add(dx, (n, p, q, c), dy[n, i, j, c])             # from (3)


@cuda.jit
def _blend_gradient(dy, maps, fill, dx):
    for number in range(cuda.grid(1), dy.size, cuda.gridsize(1)):
        n, i, j, c = _place(number, dy.shape)
        u, v = _read_from(maps, n, i, j)
        (p, of_row), (q, of_column) = _cell(u, maps), _cell(v, maps)
        for s in range(2):
            row = _inside(p + s, dx.shape[1], fill)
            for t in range(2):
                column, weight = _inside(q + t, dx.shape[2], fill), of_row[s] * of_column[t]
                if min(row, column) >= 0:
                    cuda.atomic.add(dx, (n, row, column, c), weight * dy[n, i, j, c])  # from (5)


_IMAGES, _MAPS = "float32[:,:,:,:]", "float32[:,:]"
SIGNATURES = {
    "_pick": (_pick, f"void({_IMAGES}, {_MAPS}, int64, float32, {_IMAGES})"),
    "_blend": (_blend, f"void({_IMAGES}, {_MAPS}, int64, float32, {_IMAGES})"),
    "_pick_gradient": (_pick_gradient, f"void({_IMAGES}, {_MAPS}, int64, {_IMAGES})"),
    "_blend_gradient": (_blend_gradient, f"void({_IMAGES}, {_MAPS}, int64, {_IMAGES})"),
}
