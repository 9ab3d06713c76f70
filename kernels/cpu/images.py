"""Images, moved, compiled for the CPU. Formulas and shapes: kernels/reference/images.py.

Along a row of the result, the place that is read moves by the same step from pixel to pixel. So those that read from inside
the image follow one another: on this stretch nothing is asked of any pixel, and only the others look where they fall.
Threads share the rows of the result; in a gradient, where several pixels add to the same one, a thread has whole planes.
"""
import math

import numpy as np

from ._flat import copy
from ._jit import kernel
from ._team import range_of, share
from ._threads import threads_for

NEAREST, REFLECT, WRAP = 1, 2, 3
PARALLEL_FROM = 1 << 14     # numbers of the result that pay for waking a thread


def warp(x, maps, interpolation, fill, fill_value, y):
    part = _blend_rows if interpolation else _pick_rows
    share(part, threads_for(y.size, PARALLEL_FROM), (x, maps, fill, fill_value), (y,))


def warp_gradient(dy, maps, interpolation, fill, dx):
    part = _blend_gradient_planes if interpolation else _pick_gradient_planes
    planes = dx.shape[0] * dx.shape[1]
    share(part, max(1, min(planes, threads_for(dy.size, PARALLEL_FROM))), (dy, maps, fill), (dx,))


@kernel
def _line(maps, n, i):
    """Where row i of image n begins to read, u and v, each with its step from pixel to pixel."""
    m, row = maps[n], maps.dtype.type(i)
    return m[4] * row + m[5], m[3], m[1] * row + m[2], m[0]                             # (1)


@kernel
def _within(line, last_row, last_column, columns):
    """The columns that read from inside the image: first <= j < end."""
    u, du, v, dv = line
    first, end = _stretch(u, du, last_row, 0, columns)
    return _stretch(v, dv, last_column, first, end)


@kernel
def _stretch(start, step, limit, first, end):
    """Of the columns first <= j < end, those for which 0 <= start + step j < limit."""
    if step == 0:
        return first, end if 0 <= start < limit else first
    a, b = -start / step, (limit - start) / step
    first = int(math.ceil(max(first, min(min(a, b), end))))
    return first, int(math.ceil(max(first, min(max(a, b), end))))


@kernel
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


@kernel
def _clamped(p, n):
    """Inside but for rounding in what `_within` found."""
    return max(0, min(p, n - 1))


@kernel
def _rounded(u, maps):
    whole, half = int(u), maps.dtype.type(0.5)
    rest = u - maps.dtype.type(whole)
    return whole + (rest >= half) - (rest <= -half)                                     # (2)


@kernel
def _pick_rows(x, maps, fill, fill_value, s, threads, y):
    P, H, W, C = x.shape[1:]
    x1, y1, number = x.reshape(-1), y.reshape(-1), x.dtype.type
    begin, stop = range_of(x.shape[0] * P * H, s, threads)
    for row in range(begin, stop):
        plane = row // H
        u, du, v, dv = line = _line(maps, plane // P, row - plane * H)
        first, end = _within(line, H - 0.5, W - 0.5, W)
        for j in range(W):
            p, q, to = _rounded(u + du * number(j), maps), _rounded(v + dv * number(j), maps), (row * W + j) * C
            if first <= j < end:
                p, q = _clamped(p, H), _clamped(q, W)
            else:
                p, q = _inside(p, H, fill), _inside(q, W, fill)
            if p < 0 or q < 0:
                for c in range(C):
                    y1[np.uintp(to + c)] = fill_value                                   # (10)
            else:
                copy(x1, ((plane * H + p) * W + q) * C, C, y1, to)                      # (3)


@kernel
def _blend_rows(x, maps, fill, fill_value, s, threads, y):
    P, H, W, C = x.shape[1:]
    x1, y1 = x.reshape(-1), y.reshape(-1)
    begin, stop = range_of(x.shape[0] * P * H, s, threads)
    for row in range(begin, stop):
        plane = row // H
        line = _line(maps, plane // P, row - plane * H)
        first, end = _within(line, H - 1, W - 1, W)
        _blend_beside(x1, plane, line, 0, first, x.shape, fill, fill_value, y1, row)
        _blend_inside(x1, plane, line, first, end, x.shape, y1, row)
        _blend_beside(x1, plane, line, end, W, x.shape, fill, fill_value, y1, row)


@kernel
def _blend_inside(x, plane, line, first, end, shape, y, row):
    H, W, C = shape[2:]
    for j in range(first, end):
        p, q, f, g = _cell(line, j, x)
        at = ((plane * H + _clamped(p, H - 1)) * W + _clamped(q, W - 1)) * C
        _blend(x, at, at + C, at + W * C, at + W * C + C, _weights(f, g, x), C, y, (row * W + j) * C)


@kernel
def _blend_beside(x, plane, line, first, end, shape, fill, fill_value, y, row):
    H, W, C = shape[2:]
    for j in range(first, end):
        p, q, f, g = _cell(line, j, x)
        a, b, c, d = _corners(plane, p, q, shape, fill)
        weights, to = _weights(f, g, x), (row * W + j) * C
        if min(a, b, c, d) >= 0:
            _blend(x, a, b, c, d, weights, C, y, to)
        else:
            for m in range(C):
                total = x.dtype.type(0)
                for at, weight in ((a, weights[0]), (b, weights[1]), (c, weights[2]), (d, weights[3])):
                    total += weight * (x[np.uintp(at + m)] if at >= 0 else fill_value)  # (10)
                y[np.uintp(to + m)] = total                                             # (5)


@kernel
def _cell(line, j, x):
    """The four pixels around the place: row and column of the first, and how far it is from there."""
    u, du, v, dv = line
    number = x.dtype.type
    u, v = u + du * number(j), v + dv * number(j)
    p, q = math.floor(u), math.floor(v)                                                 # (4)
    return p, q, u - number(p), v - number(q)


@kernel
def _corners(plane, p, q, shape, fill):
    """Where the four pixels begin, -1 for the fill value."""
    H, W, C = shape[2:]
    above, below, left, right = _inside(p, H, fill), _inside(p + 1, H, fill), _inside(q, W, fill), _inside(q + 1, W, fill)
    a, b = _at(plane, above, left, H, W, C), _at(plane, above, right, H, W, C)
    return a, b, _at(plane, below, left, H, W, C), _at(plane, below, right, H, W, C)


@kernel
def _at(plane, p, q, H, W, C):
    return ((plane * H + p) * W + q) * C if min(p, q) >= 0 else -1


@kernel
def _weights(f, g, x):
    one = x.dtype.type(1)
    return (one - f) * (one - g), (one - f) * g, f * (one - g), f * g


@kernel
def _blend(x, a, b, c, d, weights, C, y, to):
    """(5); with a size that the compiler knows, the loop over colours costs nothing."""
    if C == 3:
        for m in range(3):
            _blend_one(x, a + m, b + m, c + m, d + m, weights, y, to + m)
    else:
        for m in range(C):
            _blend_one(x, a + m, b + m, c + m, d + m, weights, y, to + m)


@kernel
def _blend_one(x, a, b, c, d, weights, y, to):
    y[np.uintp(to)] = (weights[0] * x[np.uintp(a)] + weights[1] * x[np.uintp(b)]
                       + weights[2] * x[np.uintp(c)] + weights[3] * x[np.uintp(d)])


@kernel
def _pick_gradient_planes(dy, maps, fill, s, threads, dx):
    P, H, W, C = dx.shape[1:]
    dx1, dy1, number = dx.reshape(-1), dy.reshape(-1), dx.dtype.type
    begin, stop = range_of(dx.shape[0] * P, s, threads)
    dx1[begin * H * W * C:stop * H * W * C] = 0
    for plane in range(begin, stop):
        for i in range(H):
            u, du, v, dv = _line(maps, plane // P, i)
            for j in range(W):
                p, q = _rounded(u + du * number(j), maps), _rounded(v + dv * number(j), maps)
                to = _at(plane, _inside(p, H, fill), _inside(q, W, fill), H, W, C)
                if to >= 0:
                    _spread_one(dy1, ((plane * H + i) * W + j) * C, number(1), C, dx1, to)     # from (3)


@kernel
def _blend_gradient_planes(dy, maps, fill, s, threads, dx):
    P, H, W, C = dx.shape[1:]
    dx1, dy1 = dx.reshape(-1), dy.reshape(-1)
    begin, stop = range_of(dx.shape[0] * P, s, threads)
    dx1[begin * H * W * C:stop * H * W * C] = 0
    for plane in range(begin, stop):
        for i in range(H):
            line, row = _line(maps, plane // P, i), plane * H + i
            first, end = _within(line, H - 1, W - 1, W)
            _spread_beside(dy1, row, line, 0, first, dx.shape, fill, dx1, plane)
            for j in range(first, end):
                p, q, f, g = _cell(line, j, dx)
                at = ((plane * H + _clamped(p, H - 1)) * W + _clamped(q, W - 1)) * C
                _spread(dy1, (row * W + j) * C, _weights(f, g, dx), C, dx1, at, at + C, at + W * C, at + W * C + C)
            _spread_beside(dy1, row, line, end, W, dx.shape, fill, dx1, plane)


@kernel
def _spread_beside(dy, row, line, first, end, shape, fill, dx, plane):
    H, W, C = shape[2:]
    for j in range(first, end):
        p, q, f, g = _cell(line, j, dx)
        a, b, c, d = _corners(plane, p, q, shape, fill)
        _spread(dy, (row * W + j) * C, _weights(f, g, dx), C, dx, a, b, c, d)


@kernel
def _spread(dy, at, weights, C, dx, a, b, c, d):
    _spread_one(dy, at, weights[0], C, dx, a)
    _spread_one(dy, at, weights[1], C, dx, b)
    _spread_one(dy, at, weights[2], C, dx, c)
    _spread_one(dy, at, weights[3], C, dx, d)


@kernel
def _spread_one(dy, at, weight, C, dx, to):
    if to >= 0:
        if C == 3:
            for m in range(3):
                dx[np.uintp(to + m)] += weight * dy[np.uintp(at + m)]                   # from (5)
        else:
            for m in range(C):
                dx[np.uintp(to + m)] += weight * dy[np.uintp(at + m)]
