r"""Numbers as the bins that they fall into, and weighted counts of ids, as NumPy, one line per equation.

    i_n = \#\{k : b_k \le x_n\}                                 (1)    001.10.Discretization; b: boundaries in increasing order
    y_{nv} = \sum_l w_{nl}\,[i_{nl} = v]                        (2)    001.10.CategoryEncoding with count_weights

A NaN falls into no bin: its i is -1.
"""
import numpy as np


def bins(x, boundaries, bins):
    """x (N,), boundaries b (K,) -> bins i (N,), from 0 to K; -1 for a NaN."""
    bins[...] = np.where(np.isnan(x), -1, np.searchsorted(boundaries, x, side="right"))     # (1)


def weighted_counts(ids, weights, y):
    """ids i, weights w (N, L) -> y (N, V)."""
    y[...] = 0
    for n in range(len(y)):
        np.add.at(y[n], ids[n], weights[n])                                     # (2)


def weighted_counts_backward(dy, ids, dweights):
    """dy (N, V), ids i (N, L) -> dweights (N, L)."""
    dweights[...] = np.take_along_axis(dy, ids, axis=1)                         # from (2): dw = dy at the id
