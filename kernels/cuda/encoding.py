"""Bins and weighted counts on the GPU. Formulas and shapes: kernels/reference/encoding.py."""
from ._compat import THREADS, blocks_for, cuda


def bins(x, boundaries, bins):
    _bins[blocks_for(x.size), THREADS](x, boundaries, bins)


def weighted_counts(ids, weights, y):
    _weighted_counts[blocks_for(len(y)), THREADS](ids, weights, y)


def weighted_counts_backward(dy, ids, dweights):
    _weighted_counts_backward[blocks_for(ids.size), THREADS](dy, ids, dweights)


@cuda.jit
def _bins(x, boundaries, bins):
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        low, left = 0, boundaries.size              # the bin is one of low … low + left
        while left > 0:
            half = left >> 1
            if boundaries[low + half] <= x[n]:
                low += half + 1
                left -= half + 1
            else:
                left = half
        bins[n] = low if x[n] == x[n] else -1                                   # (1)


@cuda.jit
def _weighted_counts(ids, weights, y):
    """A thread for each row, so that no two add to one number."""
    for n in range(cuda.grid(1), y.shape[0], cuda.gridsize(1)):
        for v in range(y.shape[1]):
            y[n, v] = 0
        for k in range(ids.shape[1]):
            y[n, ids[n, k]] += weights[n, k]                                    # (2)


@cuda.jit
def _weighted_counts_backward(dy, ids, dweights):
    L = ids.shape[1]
    for i in range(cuda.grid(1), ids.size, cuda.gridsize(1)):
        dweights[i // L, i % L] = dy[i // L, ids[i // L, i % L]]                # from (2)


SIGNATURES = {
    "_bins": (_bins, "void(float32[:], float32[:], int32[:])"),
    "_weighted_counts": (_weighted_counts, "void(int64[:,:], float32[:,:], float32[:,:])"),
    "_weighted_counts_backward": (_weighted_counts_backward, "void(float32[:,:], int64[:,:], float32[:,:])"),
}
