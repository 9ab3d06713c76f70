"""Images changed one by one, compiled for the CPU. Formulas and shapes: kernels/reference/images.py.

Memory decides the speed: rows are walked in the order in which they lie, and what belongs to a channel is laid out once as a
row, so that a row of pixels is worked on in vectors whatever the number of channels. Of (3) and (4) threads share the images,
each of which is read a second time while it is still in the cache.
"""
import numpy as np

from ._flat import copy
from ._jit import kernel
from ._team import range_of, share
from ._threads import threads_for

PARALLEL_FROM = 1 << 16     # numbers read and written by each thread that pay for waking it


def flip(x, flips, vertical, horizontal, y):
    share(_flip_rows, threads_for(x.size + y.size, PARALLEL_FROM), (x, flips, vertical, horizontal), (y,))


def brightness(x, delta, low, high, y):
    share(_brightness_rows, threads_for(x.size + y.size, PARALLEL_FROM), (x, delta, *_numbers(x, low, high)), (y,))


def brightness_backward(dy, x, delta, low, high, dx):
    share(_brightness_backward_rows, threads_for(3 * x.size, PARALLEL_FROM), (dy, x, delta, *_numbers(x, low, high)), (dx,))


def contrast(x, factor, low, high, mean, y):
    threads = min(len(x), threads_for(2 * x.size + y.size, PARALLEL_FROM))
    share(_contrast_images, max(1, threads), (x, factor, *_numbers(x, low, high)), (mean, y))


def contrast_backward(dy, x, factor, low, high, mean, dx):
    threads = min(len(x), threads_for(5 * x.size, PARALLEL_FROM))
    share(_contrast_backward_images, max(1, threads), (dy, x, factor, *_numbers(x, low, high), mean), (dx,))


def _numbers(x, *values):
    return tuple(x.dtype.type(value) for value in values)


@kernel
def _flip_rows(x, flips, vertical, horizontal, s, threads, y):
    H, W, C = x.shape[1:]
    x1, y1 = x.reshape(-1), y.reshape(-1)
    first, stop = range_of(x.shape[0] * H, s, threads)
    for row in range(first, stop):
        n, i, to = row // H, row % H, row * W * C
        turned = flips[n]
        at = (n * H + H - 1 - i) * W * C if turned and vertical else to
        if turned and horizontal:
            _reverse(x1, at, W, C, y1, to)                                      # (1)
        else:
            copy(x1, at, W * C, y1, to)                                         # (1)


@kernel
def _reverse(x, at, W, C, y, to):
    """W cells of C numbers, the last one first."""
    last = at + (W - 1) * C
    if C == 1:
        for w in range(W):
            y[np.uintp(to + w)] = x[np.uintp(last - w)]
    elif C == 3:
        for w in range(W):
            for c in range(3):
                y[np.uintp(to + 3 * w + c)] = x[np.uintp(last - 3 * w + c)]
    else:
        for w in range(W):
            copy(x, last - w * C, C, y, to + w * C)


@kernel
def _brightness_rows(x, delta, low, high, s, threads, y):
    H, long = x.shape[1], x.shape[2] * x.shape[3]
    x1, y1 = x.reshape(-1), y.reshape(-1)
    first, stop = range_of(x.shape[0] * H, s, threads)
    for row in range(first, stop):
        d, at = delta[row // H], row * long
        for k in range(at, at + long):
            y1[np.uintp(k)] = _clipped(x1[np.uintp(k)] + d, low, high)          # (2)


@kernel
def _brightness_backward_rows(dy, x, delta, low, high, s, threads, dx):
    H, long = x.shape[1], x.shape[2] * x.shape[3]
    dy1, x1, dx1 = dy.reshape(-1), x.reshape(-1), dx.reshape(-1)
    first, stop = range_of(x.shape[0] * H, s, threads)
    for row in range(first, stop):
        d, at = delta[row // H], row * long
        for k in range(at, at + long):
            dx1[np.uintp(k)] = _unclipped(dy1[np.uintp(k)], x1[np.uintp(k)] + d, low, high)     # from (2)


@kernel
def _contrast_images(x, factor, low, high, s, threads, mean, y):
    H, long, C = x.shape[1], x.shape[2] * x.shape[3], x.shape[3]
    x1, y1 = x.reshape(-1), y.reshape(-1)
    total, shift = np.empty(long, np.float64), np.empty(long, x.dtype)
    first, stop = range_of(x.shape[0], s, threads)
    for n in range(first, stop):
        f = factor[n]
        _sum_rows(x1, n * H * long, H, total)
        _means(total, H, C, mean[n])                                            # (3)
        _in_a_row(mean[n], 1 - f, shift)
        for at in range(n * H * long, (n + 1) * H * long, long):
            for k in range(long):
                y1[np.uintp(at + k)] = _clipped(f * x1[np.uintp(at + k)] + shift[np.uintp(k)], low, high)       # (4)


@kernel
def _contrast_backward_images(dy, x, factor, low, high, mean, s, threads, dx):
    H, long, C = x.shape[1], x.shape[2] * x.shape[3], x.shape[3]
    dy1, x1, dx1 = dy.reshape(-1), x.reshape(-1), dx.reshape(-1)
    total, shift, dmean = np.empty(long, np.float64), np.empty(long, x.dtype), np.empty(C, x.dtype)
    first, stop = range_of(x.shape[0], s, threads)
    for n in range(first, stop):
        f, start, end = factor[n], n * H * long, (n + 1) * H * long
        _in_a_row(mean[n], 1 - f, shift)
        for at in range(start, end, long):
            for k in range(long):
                here = np.uintp(at + k)
                dx1[here] = _unclipped(dy1[here], f * x1[here] + shift[np.uintp(k)], low, high)                 # from (4)
        _sum_rows(dx1, start, H, total)
        _means(total, H, C, dmean)                                              # from (3)
        _in_a_row(dmean, 1 - f, shift)
        for at in range(start, end, long):
            for k in range(long):
                dx1[np.uintp(at + k)] = f * dx1[np.uintp(at + k)] + shift[np.uintp(k)]                          # from (4)


@kernel
def _sum_rows(x, start, H, total):
    """The sum of H rows of x that lie one after the other."""
    long = total.size
    for k in range(long):
        total[k] = 0
    for at in range(start, start + H * long, long):
        for k in range(long):
            total[np.uintp(k)] += x[np.uintp(at + k)]


@kernel
def _means(total, H, C, mean):
    """Of the sum of H rows: the mean of each channel."""
    W = total.size // C
    for c in range(C):
        of_channel = 0.0
        for w in range(W):
            of_channel += total[w * C + c]
        mean[c] = of_channel / (H * W)


@kernel
def _in_a_row(values, scale, row):
    """A number for each channel, scaled, as a row of pixels."""
    C = values.size
    for w in range(0, row.size, C):
        for c in range(C):
            row[w + c] = scale * values[c]


@kernel
def _clipped(z, low, high):
    return low if z < low else high if z > high else z


@kernel
def _unclipped(dy, z, low, high):
    return dy if low <= z and z <= high else type(dy)(0)
