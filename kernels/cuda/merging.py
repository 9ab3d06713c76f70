"""Merging on the GPU. Formulas and shapes: kernels/reference/merging.py.

A thread takes one number of the output at a time; where an array is spread, neighbouring threads read the same number of it.
Products of batches are cuBLAS' through CuPy, and a kernel's where that is absent, as in the simulator.
"""
import math

from ..spreading import laid_out, layout
from ._compat import SIMULATED, THREADS, blocks_for, cuda

if SIMULATED:
    cupy = None
else:
    try:
        import cupy
    except ImportError:
        cupy = None


def add(a, b, scale, y):
    a, b, *places = laid_out(y, a, b)
    _add[blocks_for(y.size), THREADS](a, b, *places, y.dtype.type(scale), y.reshape(-1))


def subtract(a, b, y):
    _launch(_subtract, a, b, y)


def multiply(a, b, y):
    _launch(_multiply, a, b, y)


def maximum(a, b, y):
    _launch(_maximum, a, b, y)


def minimum(a, b, y):
    _launch(_minimum, a, b, y)


def extremum_backward(dy, a, b, y, da, db):
    a, b, *places = laid_out(y, a, b)
    dy, y, da, db = (array.reshape(-1) for array in (dy, y, da, db))
    _extremum_backward[blocks_for(y.size), THREADS](dy, a, b, *places, y, da, db)


def scale(x, factor, y):
    _scale[blocks_for(x.size), THREADS](x, x.dtype.type(factor), y)


def sum_spread(dy, dx):
    found = layout(dy.shape, dx.shape)
    if found is None:
        spread = tuple(axis for axis, size in enumerate(dx.shape) if size != dy.shape[axis])
        dx[...] = dy.sum(axis=spread, keepdims=True)
    else:
        _sum_spread[blocks_for(dx.size), THREADS](dy.reshape(-1), *found, dx.reshape(-1))


def batch_dot(a, b, transpose_a, transpose_b, y):
    if cupy is None:
        _batch_dot[blocks_for(y.size), THREADS](a, b, transpose_a, transpose_b, y)
    else:
        cupy.matmul(a.swapaxes(1, 2) if transpose_a else a, b.swapaxes(1, 2) if transpose_b else b, out=y)


def _launch(kernel, a, b, y):
    a, b, *places = laid_out(y, a, b)
    kernel[blocks_for(y.size), THREADS](a, b, *places, y.reshape(-1))


@cuda.jit(device=True)
def _place(n, sizes, strides):
    """Where number n of an array of these sizes lies in one that is spread over it."""
    k, n = n % sizes[3], n // sizes[3]
    j, n = n % sizes[2], n // sizes[2]
    return n // sizes[1] * strides[0] + n % sizes[1] * strides[1] + j * strides[2] + k * strides[3]


@cuda.jit
def _add(a, b, sizes, to_a, to_b, factor, y):
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[n] = factor * (a[_place(n, sizes, to_a)] + b[_place(n, sizes, to_b)])         # (1)


@cuda.jit
def _subtract(a, b, sizes, to_a, to_b, y):
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[n] = a[_place(n, sizes, to_a)] - b[_place(n, sizes, to_b)]                    # (2)


@cuda.jit
def _multiply(a, b, sizes, to_a, to_b, y):
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[n] = a[_place(n, sizes, to_a)] * b[_place(n, sizes, to_b)]                    # (3)


@cuda.jit
def _maximum(a, b, sizes, to_a, to_b, y):
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        u, v = a[_place(n, sizes, to_a)], b[_place(n, sizes, to_b)]
        y[n] = u if u > v or math.isnan(u) else v                                       # (4)


@cuda.jit
def _minimum(a, b, sizes, to_a, to_b, y):
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        u, v = a[_place(n, sizes, to_a)], b[_place(n, sizes, to_b)]
        y[n] = u if u < v or math.isnan(u) else v                                       # (5)


@cuda.jit
def _extremum_backward(dy, a, b, sizes, to_a, to_b, y, da, db):
    zero, half = dy.dtype.type(0), dy.dtype.type(0.5)
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        u, v = a[_place(n, sizes, to_a)], b[_place(n, sizes, to_b)]
        won = dy[n] * half if u == v else dy[n]
        da[n] = won if u == y[n] else zero                                              # (6)
        db[n] = won if v == y[n] else zero                                              # (6)


@cuda.jit
def _scale(x, factor, y):
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = factor * x[n]


@cuda.jit(device=True)
def _range(place, size, stride):
    """Which numbers of an axis a number collects: its own place, or all of them where it was spread."""
    return (place, place + 1) if stride else (0, size)


@cuda.jit
def _sum_spread(dy, sizes, to, dx):
    for m in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
        n, place_0, place_1, place_2 = m, 0, 0, 0
        if to[0]:
            place_0, n = n // to[0], n % to[0]
        if to[1]:
            place_1, n = n // to[1], n % to[1]
        if to[2]:
            place_2, n = n // to[2], n % to[2]
        first_0, stop_0 = _range(place_0, sizes[0], to[0])
        first_1, stop_1 = _range(place_1, sizes[1], to[1])
        first_2, stop_2 = _range(place_2, sizes[2], to[2])
        first_3, stop_3 = _range(n, sizes[3], to[3])
        total = dx.dtype.type(0)
        for i in range(first_0, stop_0):
            for j in range(first_1, stop_1):
                for k in range(first_2, stop_2):
                    line = ((i * sizes[1] + j) * sizes[2] + k) * sizes[3]
                    for l in range(first_3, stop_3):
                        total += dy[line + l]
        dx[m] = total


@cuda.jit
def _batch_dot(a, b, transpose_a, transpose_b, y):
    I, J = y.shape[1], y.shape[2]
    K = a.shape[1] if transpose_a else a.shape[2]
    for m in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        j, i, n = m % J, m // J % I, m // (J * I)
        total = y.dtype.type(0)
        for k in range(K):
            left = a[n, k, i] if transpose_a else a[n, i, k]
            right = b[n, j, k] if transpose_b else b[n, k, j]
            total += left * right                                                       # (7)
        y[n, i, j] = total


_FLAT, _FOUR = "float32[:]", "UniTuple(int64, 4)"
_TWO = f"{_FLAT}, {_FLAT}, {_FOUR}, {_FOUR}, {_FOUR}"
_BATCH = "float32[:,:,:]"
SIGNATURES = {
    "_add": (_add, f"void({_TWO}, float32, {_FLAT})"),
    "_subtract": (_subtract, f"void({_TWO}, {_FLAT})"),
    "_multiply": (_multiply, f"void({_TWO}, {_FLAT})"),
    "_maximum": (_maximum, f"void({_TWO}, {_FLAT})"),
    "_minimum": (_minimum, f"void({_TWO}, {_FLAT})"),
    "_extremum_backward": (_extremum_backward, f"void({_FLAT}, {_TWO}, {_FLAT}, {_FLAT}, {_FLAT})"),
    "_scale": (_scale, f"void({_FLAT}, float32, {_FLAT})"),
    "_sum_spread": (_sum_spread, f"void({_FLAT}, {_FOUR}, {_FOUR}, {_FLAT})"),
    "_batch_dot": (_batch_dot, f"void({_BATCH}, {_BATCH}, boolean, boolean, {_BATCH})"),
}
