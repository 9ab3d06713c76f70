"""Padding and up-sampling, compiled for the CPU. Formulas and shapes: kernels/reference/reshaping.py.

Memory decides the speed: an array is read and written once, row by row, in the order in which it lies. Threads share the rows
of the output; in the gradient of an interpolation, whose rows overlap, they share the samples.
"""
import numpy as np

from ._flat import copy
from ._jit import kernel
from ._team import range_of, share
from ._threads import threads_for

PARALLEL_FROM = 1 << 16     # numbers read and written by each thread that pay for waking it
MANY = 8                    # channels from which on a loop over them is worth its vectors


def pad(x, before, y):
    share(_pad_rows, threads_for(x.size + y.size, PARALLEL_FROM), (x, before), (y,))


def repeat(x, factors, y):
    share(_repeat_rows, threads_for(x.size + y.size, PARALLEL_FROM), (x, factors), (y,))


def repeat_backward(dy, factors, dx):
    share(_collect_rows, threads_for(dx.size + dy.size, PARALLEL_FROM), (dy, factors), (dx,))


def interpolate(x, a, u, b, v, y):
    share(_interpolate_rows, threads_for(x.size + 2 * y.size, PARALLEL_FROM), (x, a, u, b, v), (y,))


def interpolate_backward(dy, a, u, b, v, dx):
    threads = min(len(dx), threads_for(dx.size + 2 * dy.size, PARALLEL_FROM))
    share(_interpolate_backward_samples, max(1, threads), (dy, a, u, b, v), (dx,))


@kernel
def _clear(y, start, stop):
    for n in range(start, stop):
        y[np.uintp(n)] = 0


@kernel
def _pad_rows(x, before, s, threads, y):
    D, H = x.shape[1:3]
    whole, long = x.shape[3] * x.shape[4], y.shape[3] * y.shape[4]
    left = before[2] * x.shape[4]
    x1, y1 = x.reshape(-1), y.reshape(-1)
    first, stop = range_of(y.shape[0] * y.shape[1] * y.shape[2], s, threads)
    for row in range(first, stop):
        to, h = row * long, row % y.shape[2] - before[1]
        n, d = row // (y.shape[1] * y.shape[2]), row // y.shape[2] % y.shape[1] - before[0]
        if 0 <= d < D and 0 <= h < H:
            _clear(y1, to, to + left)
            copy(x1, ((n * D + d) * H + h) * whole, whole, y1, to + left)              # (1)
            _clear(y1, to + left + whole, to + long)
        else:
            _clear(y1, to, to + long)


@kernel
def _repeat_rows(x, factors, s, threads, y):
    H, W, C = x.shape[2:]
    deep, high, wide = factors
    long = W * wide * C
    x1, y1 = x.reshape(-1), y.reshape(-1)
    first, stop = range_of(x.shape[0] * x.shape[1] * H, s, threads)
    for row in range(first, stop):
        plane, h = row // H, row % H
        top = (plane * deep * H + h) * high * long          # the first of the rows of y that this one becomes
        if C == 1:
            _stretch(x1, row * W, W, wide, y1, top)
        else:
            for w in range(W):
                for k in range(wide):
                    copy(x1, (row * W + w) * C, C, y1, top + (w * wide + k) * C)       # (2)
        for i in range(deep):
            for j in range(high):
                if i + j:
                    copy(y1, top, long, y1, top + (i * H * high + j) * long)           # (2)


@kernel
def _stretch(x, at, W, wide, y, to):
    """Rows of one channel."""
    if wide == 2:
        for w in range(W):
            value = x[np.uintp(at + w)]
            y[np.uintp(to + 2 * w)] = value
            y[np.uintp(to + 2 * w + 1)] = value
    else:
        for w in range(W):
            for k in range(wide):
                y[np.uintp(to + w * wide + k)] = x[np.uintp(at + w)]


@kernel
def _collect_rows(dy, factors, s, threads, dx):
    H, W, C = dx.shape[2:]
    deep, high, wide = factors
    long = W * wide * C
    dy1, dx1, row_sum = dy.reshape(-1), dx.reshape(-1), np.empty(long, dx.dtype)
    first, stop = range_of(dx.shape[0] * dx.shape[1] * H, s, threads)
    for row in range(first, stop):
        plane, h = row // H, row % H
        top = (plane * deep * H + h) * high * long
        copy(dy1, top, long, row_sum, 0)
        for i in range(deep):
            for j in range(high):
                if i + j:
                    _add(dy1, top + (i * H * high + j) * long, long, row_sum, 0)        # from (2)
        if C == 1:
            _shrink(row_sum, W, wide, dx1, row * W)
        else:
            for w in range(W):
                copy(row_sum, w * wide * C, C, dx1, (row * W + w) * C)
                for k in range(1, wide):
                    _add(row_sum, (w * wide + k) * C, C, dx1, (row * W + w) * C)        # from (2)


@kernel
def _shrink(row, W, wide, dx, to):
    """Rows of one channel."""
    if wide == 2:
        for w in range(W):
            dx[np.uintp(to + w)] = row[np.uintp(2 * w)] + row[np.uintp(2 * w + 1)]
    else:
        for w in range(W):
            total = row[np.uintp(w * wide)]
            for k in range(1, wide):
                total += row[np.uintp(w * wide + k)]
            dx[np.uintp(to + w)] = total


@kernel
def _add(x, at, count, y, to):
    for n in range(count):
        y[np.uintp(to + n)] += x[np.uintp(at + n)]


@kernel
def _add_weighted(weight, x, at, count, y, to):
    for n in range(count):
        y[np.uintp(to + n)] += weight * x[np.uintp(at + n)]


@kernel
def _interpolate_rows(x, a, u, b, v, s, threads, y):
    H, W, C = x.shape[1:]
    high, wide = y.shape[1:3]
    x1, y1, row = x.reshape(-1), y.reshape(-1), np.empty(W * C, x.dtype)
    first, stop = range_of(y.shape[0] * high, s, threads)
    for place in range(first, stop):
        n, i = place // high, place % high
        _weighted_sum(x1, (n * H + a[i]) * W * C, u, i, W * C, row, 0)                 # (3): a row of y, not yet stretched
        to = place * wide * C
        if C < MANY:
            _stretch_by_cell(row, b, v, C, y1, to)
        else:
            for j in range(wide):
                _weighted_sum(row, b[j] * C, v, j, C, y1, to + j * C)                  # (3)


@kernel
def _stretch_by_cell(row, b, v, C, y, to):
    if C == 3:
        _stretch_colors(row, b, v, y, to)
        return
    for j in range(b.size):
        for c in range(C):
            total = row.dtype.type(0)
            for l in range(v.shape[1]):
                total += v[j, l] * row[np.uintp((b[j] + l) * C + c)]
            y[np.uintp(to + j * C + c)] = total


@kernel
def _stretch_colors(row, b, v, y, to):
    """The same for three channels, side by side in registers."""
    if v.shape[1] == 2:                                     # most are: no loop
        for j in range(b.size):
            left, right, at, cell = v[j, 0], v[j, 1], np.uintp(3 * b[j]), np.uintp(to + 3 * j)
            y[cell] = left * row[at] + right * row[at + np.uintp(3)]
            y[cell + np.uintp(1)] = left * row[at + np.uintp(1)] + right * row[at + np.uintp(4)]
            y[cell + np.uintp(2)] = left * row[at + np.uintp(2)] + right * row[at + np.uintp(5)]
        return
    for j in range(b.size):
        red = green = blue = row.dtype.type(0)
        at = np.uintp(3 * b[j])
        for l in range(v.shape[1]):
            weight = v[j, l]
            red += weight * row[at]
            green += weight * row[at + np.uintp(1)]
            blue += weight * row[at + np.uintp(2)]
            at += np.uintp(3)
        cell = np.uintp(to + 3 * j)
        y[cell], y[cell + np.uintp(1)], y[cell + np.uintp(2)] = red, green, blue


@kernel
def _weighted_sum(x, at, v, j, C, y, to):
    """C numbers, the sum of so many groups of C side by side in x with the weights v[j]."""
    if v.shape[1] == 2:                                     # most are: one pass
        left, right = v[j, 0], v[j, 1]
        for c in range(C):
            y[np.uintp(to + c)] = left * x[np.uintp(at + c)] + right * x[np.uintp(at + C + c)]
    else:
        _clear(y, to, to + C)
        for l in range(v.shape[1]):
            _add_weighted(v[j, l], x, at + l * C, C, y, to)


@kernel
def _shrink_by_cell(dy, at, b, v, C, drow):
    if C == 3:
        _shrink_colors(dy, at, b, v, drow)
        return
    for j in range(b.size):
        for c in range(C):
            value = dy[np.uintp(at + j * C + c)]
            for l in range(v.shape[1]):
                drow[np.uintp((b[j] + l) * C + c)] += v[j, l] * value


@kernel
def _shrink_colors(dy, at, b, v, drow):
    for j in range(b.size):
        cell, place = np.uintp(at + 3 * j), np.uintp(3 * b[j])
        red, green, blue = dy[cell], dy[cell + np.uintp(1)], dy[cell + np.uintp(2)]
        for l in range(v.shape[1]):
            weight = v[j, l]
            drow[place] += weight * red
            drow[place + np.uintp(1)] += weight * green
            drow[place + np.uintp(2)] += weight * blue
            place += np.uintp(3)


@kernel
def _spread_cell(dy, at, v, j, C, drow, to):
    if v.shape[1] == 2:
        left, right = v[j, 0], v[j, 1]
        for c in range(C):
            value = dy[np.uintp(at + c)]
            drow[np.uintp(to + c)] += left * value
            drow[np.uintp(to + C + c)] += right * value
    else:
        for l in range(v.shape[1]):
            _add_weighted(v[j, l], dy, at, C, drow, to + l * C)


@kernel
def _interpolate_backward_samples(dy, a, u, b, v, s, threads, dx):
    H, W, C = dx.shape[1:]
    high, wide = dy.shape[1:3]
    dy1, dx1, drow = dy.reshape(-1), dx.reshape(-1), np.empty(W * C, dx.dtype)
    first, stop = range_of(dx.shape[0], s, threads)
    _clear(dx1, first * H * W * C, stop * H * W * C)
    for n in range(first, stop):
        for i in range(high):
            _clear(drow, 0, W * C)
            at = (n * high + i) * wide * C
            if C < MANY:
                _shrink_by_cell(dy1, at, b, v, C, drow)
            else:
                for j in range(wide):
                    _spread_cell(dy1, at + j * C, v, j, C, drow, b[j] * C)                                  # from (3)
            for k in range(u.shape[1]):
                _add_weighted(u[i, k], drow, 0, W * C, dx1, (n * H + a[i] + k) * W * C)                     # from (3)
