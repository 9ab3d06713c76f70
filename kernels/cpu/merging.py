"""Merging, compiled for the CPU. Formulas and shapes: kernels/reference/merging.py.

Memory decides the speed of all but (7): arrays are walked through once, in the order in which the output lies, a piece of a
line, or some lines, at a time. Where a number is spread along the line, or a short line over its neighbours, a small array is
filled with it first: so one loop does for all.
"""
import numpy as np

from ..spreading import laid_out, layout
from ._call import call
from ._jit import kernel
from ._product import product_of
from ._team import range_of, share
from ._threads import threads_for

PARALLEL_FROM = 1 << 16     # numbers of the output for each thread that pay for waking it
PIECE = 1 << 10             # numbers of a line for which a number is spread in memory
MULTIPLY_FROM = 1 << 20     # multiply-adds for each thread that pay for waking it
ADD, SUBTRACT, MULTIPLY, MAXIMUM, MINIMUM = range(5)


def add(a, b, scale, y):
    _merge(ADD, a, b, y.dtype.type(scale), y)


def subtract(a, b, y):
    _merge(SUBTRACT, a, b, y.dtype.type(1), y)


def multiply(a, b, y):
    _merge(MULTIPLY, a, b, y.dtype.type(1), y)


def maximum(a, b, y):
    _merge(MAXIMUM, a, b, y.dtype.type(1), y)


def minimum(a, b, y):
    _merge(MINIMUM, a, b, y.dtype.type(1), y)


def extremum_backward(dy, a, b, y, da, db):
    a, b, *places = laid_out(y, a, b)
    share(_some_extremum_backward, threads_for(y.size, PARALLEL_FROM // 2), (dy.reshape(-1), a, b, *places, y.reshape(-1)),
          (da.reshape(-1), db.reshape(-1)))


def scale(x, factor, y):
    share(_some_scaled, threads_for(x.size, PARALLEL_FROM), (x, x.dtype.type(factor)), (y,))


def sum_spread(dy, dx):
    found = layout(dy.shape, dx.shape)
    if found is None:
        spread = tuple(axis for axis, size in enumerate(dx.shape) if size != dy.shape[axis])
        dx[...] = dy.sum(axis=spread, keepdims=True)
        return
    sizes, to = found
    threads = min(sizes[0], threads_for(dy.size, PARALLEL_FROM)) if to[0] else 1    # each thread sums its own samples
    share(_some_summed, max(1, threads), (dy.reshape(-1), sizes, to), (dx.reshape(-1),))


def batch_dot(a, b, transpose_a, transpose_b, y):
    threads = min(len(y), threads_for(a.size * y.shape[2], MULTIPLY_FROM))
    share(_some_products, max(1, threads), (*product_of(y.dtype), a, b, transpose_a, transpose_b), (y,))


def _merge(operation, a, b, factor, y):
    a, b, *places = laid_out(y, a, b)
    share(_some_merged, threads_for(y.size, PARALLEL_FROM), (operation, factor, a, b, *places), (y.reshape(-1),))


@kernel
def _place(line, sizes, strides):
    """Where the line of this number begins in an array that is spread over those of these sizes."""
    return (line // (sizes[1] * sizes[2]) * strides[0] + line // sizes[2] % sizes[1] * strides[1]
            + line % sizes[2] * strides[2])


@kernel
def _in_line(x, at, to, lines, count, room):
    """Where the numbers of so many lines lie side by side: in x itself, or spread in `room`."""
    if (to[3] == 1 and (lines == 1 or to[2])) or count == 1:
        return x, at
    for line in range(lines):
        for k in range(count):
            room[line * count + k] = x[at + k * to[3]]
    return room, 0


@kernel
def _piece(n, stop, sizes, to_a, to_b):
    """How many neighbouring lines begin at n, how many of them are walked as one, and the numbers of each; or part of one."""
    long = sizes[3]
    count = min(long - n % long, stop - n)
    if to_a[3] != 1 or to_b[3] != 1:
        return 1, 1, min(count, PIECE)
    if count < long:
        return 1, 1, count
    lines = min((stop - n) // long, sizes[2] - n // long % sizes[2])
    return lines, max(1, min(lines, PIECE // long)), long


@kernel
def _some_merged(operation, factor, a, b, sizes, to_a, to_b, s, threads, y):
    room = np.empty(PIECE, y.dtype)
    n, stop = range_of(y.size, s, threads)
    while n < stop:
        line, k = n // sizes[3], n % sizes[3]
        lines, together, count = _piece(n, stop, sizes, to_a, to_b)
        left, i = _in_line(a, _place(line, sizes, to_a) + k * to_a[3], to_a, together, count, room)
        right, j = _in_line(b, _place(line, sizes, to_b) + k * to_b[3], to_b, together, count, room)
        for first in range(0, lines, together):
            walked = min(together, lines - first)
            _merged(operation, factor, left, i, right, j, y, n, walked * count)
            i, j, n = i + walked * to_a[2], j + walked * to_b[2], n + walked * count


@kernel
def _merged(operation, factor, a, i, b, j, y, n, count):
    if operation == ADD:
        for k in range(count):
            y[np.uintp(n + k)] = factor * (a[np.uintp(i + k)] + b[np.uintp(j + k)])       # (1)
    elif operation == SUBTRACT:
        for k in range(count):
            y[np.uintp(n + k)] = a[np.uintp(i + k)] - b[np.uintp(j + k)]       # (2)
    elif operation == MULTIPLY:
        for k in range(count):
            y[np.uintp(n + k)] = a[np.uintp(i + k)] * b[np.uintp(j + k)]       # (3)
    elif operation == MAXIMUM:
        for k in range(count):
            y[np.uintp(n + k)] = _larger(a[np.uintp(i + k)], b[np.uintp(j + k)])       # (4)
    else:
        for k in range(count):
            y[np.uintp(n + k)] = _smaller(a[np.uintp(i + k)], b[np.uintp(j + k)])       # (5)


@kernel
def _larger(a, b):
    return a if a > b or a != a else b


@kernel
def _smaller(a, b):
    return a if a < b or a != a else b


@kernel
def _some_extremum_backward(dy, a, b, sizes, to_a, to_b, y, s, threads, da, db):
    room = np.empty(PIECE, y.dtype)
    n, stop = range_of(y.size, s, threads)
    while n < stop:
        line, k = n // sizes[3], n % sizes[3]
        lines, together, count = _piece(n, stop, sizes, to_a, to_b)
        left, i = _in_line(a, _place(line, sizes, to_a) + k * to_a[3], to_a, together, count, room)
        right, j = _in_line(b, _place(line, sizes, to_b) + k * to_b[3], to_b, together, count, room)
        for first in range(0, lines, together):
            walked = min(together, lines - first)
            _shared(dy, left, i, right, j, y, n, walked * count, da, db)
            i, j, n = i + walked * to_a[2], j + walked * to_b[2], n + walked * count


@kernel
def _shared(dy, a, i, b, j, y, n, count, da, db):
    zero, half = dy.dtype.type(0), dy.dtype.type(0.5)
    for k in range(count):
        u, v, best = a[np.uintp(i + k)], b[np.uintp(j + k)], y[np.uintp(n + k)]
        won = dy[np.uintp(n + k)]
        if u == v:
            won *= half
        da[np.uintp(n + k)] = won if u == best else zero        # (6)
        db[np.uintp(n + k)] = won if v == best else zero        # (6)


@kernel
def _some_scaled(x, factor, s, threads, y):
    first, stop = range_of(x.size, s, threads)
    for n in range(first, stop):
        y[n] = factor * x[n]


@kernel
def _some_summed(dy, sizes, to, s, threads, dx):
    lines, long = sizes[2], sizes[3]
    together = max(1, min(lines, PIECE // long)) if to[3] == 1 and to[2] == 0 else 1
    room = np.empty(together * long if together > 1 else 0, dx.dtype)
    first, stop = range_of(sizes[0], s, threads)
    start, end = (first * to[0], stop * to[0]) if to[0] else (0, dx.size)
    for n in range(start, end):
        dx[n] = 0
    for plane in range(first * sizes[1], stop * sizes[1]):
        at = _place(plane * lines, sizes, to)
        if together > 1:
            _summed_together(dy, plane * lines * long, lines * long, long, room, dx, at)
        else:
            for line in range(plane * lines, (plane + 1) * lines):
                _summed(dy, line * long, long, dx, at, to[3])
                at += to[2]


@kernel
def _summed_together(dy, n, count, long, room, dx, at):
    """Add lines to one: several at a time in `room`, which is longer and so quicker to walk."""
    for k in range(room.size):
        room[k] = 0
    for first in range(0, count, room.size):
        for k in range(min(room.size, count - first)):
            room[k] += dy[np.uintp(n + first + k)]
    for line in range(0, room.size, long):
        _summed(room, line, long, dx, at, 1)


@kernel
def _summed(dy, n, count, dx, at, stride):
    if stride == 1:
        for k in range(count):
            dx[np.uintp(at + k)] += dy[np.uintp(n + k)]
    else:
        total = dy.dtype.type(0)
        for k in range(count):
            total += dy[np.uintp(n + k)]
        dx[at] += total


@kernel
def _some_products(product, tile, a, b, transpose_a, transpose_b, s, threads, y):
    (I, J), K = y.shape[1:], a.shape[1] if transpose_a else a.shape[2]
    a_row, a_k = (1, I) if transpose_a else (K, 1)
    b_k, b_n = (1, K) if transpose_b and J > 1 else (J, 1)              # a single column lies as its transpose does
    a1, b1, y1 = a.reshape(-1), b.reshape(-1), y.reshape(-1)
    first, stop = range_of(y.shape[0], s, threads)
    for n in range(first, stop):
        if K and I and J:
            at = n * I * J
            call(product, tile, a1, n * I * K, a_row, a_k, b1, n * K * J, b_k, b_n, I, J, K, False, y1, at, J, y1, at, J)  # (7)
        else:
            y[n] = 0
