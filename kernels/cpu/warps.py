"""Images, moved, compiled for the CPU. Formulas and shapes: kernels/reference/warps.py.

Along a row of the result, the place that is read moves by the same step from pixel to pixel. So those that read from inside
the image follow one another: on this stretch nothing is asked of any pixel, and only the others look where they fall.
Threads share the rows of the result; in a gradient, where several pixels add to the same one, a thread has whole images.
"""
import math

import numpy as np

from ._jit import kernel
from ._team import range_of, share
from ._threads import threads_for

NEAREST, REFLECT, WRAP = 1, 2, 3
PARALLEL_FROM = 1 << 14     # numbers of the result that pay for waking a thread


def warp(x, maps, interpolation, fill, fill_value, y):
    part = _blend_rows if interpolation else _pick_rows
    share(part, threads_for(y.size, PARALLEL_FROM), (x, maps, fill, fill_value), (y,))


def warp_gradient(dy, maps, interpolation, fill, dx):
    part = _blend_gradient_images if interpolation else _pick_gradient_images
    threads = min(len(dx), threads_for(dy.size, PARALLEL_FROM))
    share(part, max(1, threads), (dy, maps, fill), (dx,))


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
    first = math.ceil(max(first, min(min(a, b), end)))
    return first, math.ceil(max(first, min(max(a, b), end)))


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
def _clamped(p, last):
    """Inside but for rounding in what `_within` found."""
    return max(0, min(p, last))


@kernel
def _floor(u):
    """Sooner than the C library's."""
    whole = int(u)
    return whole - (u < whole)


@kernel
def _rounded(u):
    halves = int(u + u)
    return (halves + 1) >> 1 if halves >= 0 else -((1 - halves) >> 1)                   # (2)


@kernel
def _at(n, p, q, H, W, C):
    return ((n * H + p) * W + q) * C if min(p, q) >= 0 else -1


@kernel
def _corners(n, p, q, shape, fill):
    """Where the four pixels begin, -1 for the fill value."""
    H, W, C = shape[1:]
    above, below, left, right = _inside(p, H, fill), _inside(p + 1, H, fill), _inside(q, W, fill), _inside(q + 1, W, fill)
    a, b = _at(n, above, left, H, W, C), _at(n, above, right, H, W, C)
    return a, b, _at(n, below, left, H, W, C), _at(n, below, right, H, W, C)


@kernel
def _pick_rows(x, maps, fill, fill_value, s, threads, y):
    H, W, C = x.shape[1:]
    x1, y1, number = x.reshape(-1), y.reshape(-1), x.dtype.type
    begin, stop = range_of(x.shape[0] * H, s, threads)
    for row in range(begin, stop):
        n = row // H
        line = u, du, v, dv = _line(maps, n, row - n * H)
        first, end = _within(line, H - 0.5, W - 0.5, W)
        for j in range(W):
            p, q, to = _rounded(u + du * number(j)), _rounded(v + dv * number(j)), (row * W + j) * C
            if first <= j < end:
                at = ((n * H + _clamped(p, H - 1)) * W + _clamped(q, W - 1)) * C
            else:
                at = _at(n, _inside(p, H, fill), _inside(q, W, fill), H, W, C)
            if at < 0:
                for m in range(C):
                    y1[np.uintp(to + m)] = fill_value                                   # (10)
            elif C == 3:
                for m in range(3):
                    y1[np.uintp(to + m)] = x1[np.uintp(at + m)]                         # (3)
            else:
                for m in range(C):
                    y1[np.uintp(to + m)] = x1[np.uintp(at + m)]                         # (3)


@kernel
def _blend_rows(x, maps, fill, fill_value, s, threads, y):
    H, W = x.shape[1:3]
    x1, y1 = x.reshape(-1), y.reshape(-1)
    begin, stop = range_of(x.shape[0] * H, s, threads)
    for row in range(begin, stop):
        n = row // H
        line = _line(maps, n, row - n * H)
        first, end = _within(line, H - 1, W - 1, W)
        _blend_beside(x1, n, line, 0, first, x.shape, fill, fill_value, y1, row)
        _blend_inside(x1, n, line, first, end, x.shape, y1, row)
        _blend_beside(x1, n, line, end, W, x.shape, fill, fill_value, y1, row)


@kernel
def _blend_inside(x, n, line, first, end, shape, y, row):
    H, W, C = shape[1:]
    u, du, v, dv = line
    number = x.dtype.type
    one = number(1)
    for j in range(first, end):
        f, g = u + du * number(j), v + dv * number(j)
        p, q = _clamped(int(f), H - 2), _clamped(int(g), W - 2)                         # (4)
        f, g = f - number(p), g - number(q)
        of_a, of_b, of_c, of_d = (one - f) * (one - g), (one - f) * g, f * (one - g), f * g
        a, to = ((n * H + p) * W + q) * C, (row * W + j) * C
        c = a + W * C
        if C == 3:                                                                      # a loop that is unrolled
            for m in range(3):
                y[np.uintp(to + m)] = (of_a * x[np.uintp(a + m)] + of_b * x[np.uintp(a + 3 + m)]
                                       + of_c * x[np.uintp(c + m)] + of_d * x[np.uintp(c + 3 + m)])         # (5)
        else:
            for m in range(C):
                y[np.uintp(to + m)] = (of_a * x[np.uintp(a + m)] + of_b * x[np.uintp(a + C + m)]
                                       + of_c * x[np.uintp(c + m)] + of_d * x[np.uintp(c + C + m)])         # (5)


@kernel
def _blend_beside(x, n, line, first, end, shape, fill, fill_value, y, row):
    u, du, v, dv = line
    number, W, C = x.dtype.type, shape[2], shape[3]
    one = number(1)
    for j in range(first, end):
        f, g = u + du * number(j), v + dv * number(j)
        p, q = _floor(f), _floor(g)                                                     # (4)
        f, g = f - number(p), g - number(q)
        of_a, of_b, of_c, of_d = (one - f) * (one - g), (one - f) * g, f * (one - g), f * g
        a, b, c, d = _corners(n, p, q, shape, fill)
        for m in range(C):
            y[np.uintp((row * W + j) * C + m)] = (
                of_a * (x[np.uintp(a + m)] if a >= 0 else fill_value) + of_b * (x[np.uintp(b + m)] if b >= 0 else fill_value)
                + of_c * (x[np.uintp(c + m)] if c >= 0 else fill_value) + of_d * (x[np.uintp(d + m)] if d >= 0 else fill_value))


@kernel
def _clear(dx, begin, end):
    for at in range(begin, end):
        dx[np.uintp(at)] = 0


@kernel
def _pick_gradient_images(dy, maps, fill, s, threads, dx):
    H, W, C = dx.shape[1:]
    dx1, dy1, number = dx.reshape(-1), dy.reshape(-1), dx.dtype.type
    begin, stop = range_of(dx.shape[0], s, threads)
    _clear(dx1, begin * H * W * C, stop * H * W * C)
    for row in range(begin * H, stop * H):
        n = row // H
        u, du, v, dv = _line(maps, n, row - n * H)
        for j in range(W):
            p, q = _inside(_rounded(u + du * number(j)), H, fill), _inside(_rounded(v + dv * number(j)), W, fill)
            if min(p, q) >= 0:
                to, at = ((n * H + p) * W + q) * C, (row * W + j) * C
                for m in range(C):
                    dx1[np.uintp(to + m)] += dy1[np.uintp(at + m)]                      # from (3)


@kernel
def _blend_gradient_images(dy, maps, fill, s, threads, dx):
    H, W, C = dx.shape[1:]
    dx1, dy1 = dx.reshape(-1), dy.reshape(-1)
    begin, stop = range_of(dx.shape[0], s, threads)
    _clear(dx1, begin * H * W * C, stop * H * W * C)
    for row in range(begin * H, stop * H):
        n = row // H
        line = _line(maps, n, row - n * H)
        first, end = _within(line, H - 1, W - 1, W)
        _spread_beside(dy1, row, line, 0, first, dx.shape, fill, dx1, n)
        _spread_inside(dy1, row, line, first, end, dx.shape, dx1, n)
        _spread_beside(dy1, row, line, end, W, dx.shape, fill, dx1, n)


@kernel
def _spread_inside(dy, row, line, first, end, shape, dx, n):
    H, W, C = shape[1:]
    u, du, v, dv = line
    number = dx.dtype.type
    one = number(1)
    for j in range(first, end):
        f, g = u + du * number(j), v + dv * number(j)
        p, q = _clamped(int(f), H - 2), _clamped(int(g), W - 2)
        f, g = f - number(p), g - number(q)
        of_a, of_b, of_c, of_d = (one - f) * (one - g), (one - f) * g, f * (one - g), f * g
        a, at = ((n * H + p) * W + q) * C, (row * W + j) * C
        c = a + W * C
        for m in range(C):
            each = dy[np.uintp(at + m)]
            dx[np.uintp(a + m)] += of_a * each                                          # from (5)
            dx[np.uintp(a + C + m)] += of_b * each
            dx[np.uintp(c + m)] += of_c * each
            dx[np.uintp(c + C + m)] += of_d * each


@kernel
def _spread_beside(dy, row, line, first, end, shape, fill, dx, n):
    u, du, v, dv = line
    number, W, C = dx.dtype.type, shape[2], shape[3]
    one = number(1)
    for j in range(first, end):
        f, g = u + du * number(j), v + dv * number(j)
        p, q = _floor(f), _floor(g)
        f, g = f - number(p), g - number(q)
        a, b, c, d = _corners(n, p, q, shape, fill)
        for at, of in ((a, (one - f) * (one - g)), (b, (one - f) * g), (c, f * (one - g)), (d, f * g)):
            if at >= 0:
                for m in range(C):
                    dx[np.uintp(at + m)] += of * dy[np.uintp((row * W + j) * C + m)]    # from (5)
