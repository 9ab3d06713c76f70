"""Bins and weighted counts, compiled for the CPU. Formulas and shapes: kernels/reference/encoding.py."""
from ._jit import kernel
from ._team import range_of, share
from ._threads import threads_for

SHARE = 1 << 14             # numbers for each thread that pay for waking it


def bins(x, boundaries, bins):
    share(_some_bins, threads_for(x.size, SHARE), (x, boundaries), (bins,))


def weighted_counts(ids, weights, y):
    share(_some_counts, threads_for(y.size + ids.size, SHARE), (ids, weights), (y,))


def weighted_counts_backward(dy, ids, dweights):
    share(_some_weights, threads_for(ids.size, SHARE), (dy, ids), (dweights,))


@kernel
def _some_bins(x, boundaries, s, threads, bins):
    first, last = range_of(x.size, s, threads)
    for n in range(first, last):
        low, left = 0, boundaries.size              # the bin is one of low … low + left; as many steps for each number
        while left > 1:
            half = left >> 1
            low += half * (boundaries[low + half - 1] <= x[n])
            left -= half
        if left:
            low += boundaries[low] <= x[n]
        bins[n] = low if x[n] == x[n] else -1                                   # (1)


@kernel
def _some_counts(ids, weights, s, threads, y):
    first, last = range_of(len(y), s, threads)
    y[first:last] = 0
    for n in range(first, last):
        for k in range(ids.shape[1]):
            y[n, ids[n, k]] += weights[n, k]                                    # (2)


@kernel
def _some_weights(dy, ids, s, threads, dweights):
    first, last = range_of(len(ids), s, threads)
    for n in range(first, last):
        for k in range(ids.shape[1]):
            dweights[n, k] = dy[n, ids[n, k]]                                   # from (2)
