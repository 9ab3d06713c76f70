"""Rows of a table, masked steps and the bias, compiled for the CPU. Formulas and shapes: kernels/reference/core.py."""
import numpy as np

from ._flat import add_to
from ._jit import kernel
from ._team import range_of, share, sum_of_shares
from ._threads import threads_for

ROWS = 256                  # that are summed apart, lest a long sum lose its last digits
SHARE = 1 << 16             # numbers for each thread that pay for waking it
NARROWEST = 512             # columns of a table for each thread: each walks through all ids, and meets others in their lines


def embedding_forward(ids, embeddings, y):
    share(_some_rows, threads_for(y.size, SHARE), (ids, embeddings), (y,))


def embedding_backward(ids, dy, dembeddings):
    threads = min(threads_for(dy.size, SHARE), max(1, dy.shape[1] // NARROWEST))
    share(_some_columns_backward, threads, (ids, dy), (dembeddings,))


@kernel
def _some_rows(ids, embeddings, s, threads, y):
    first, last = range_of(len(ids), s, threads)
    for n in range(first, last):
        row = embeddings[ids[n]]
        for d in range(y.shape[1]):
            y[n, d] = row[d]                                # (1)


@kernel
def _some_columns_backward(ids, dy, s, threads, dembeddings):
    """Each thread has columns of its own: two that met in one row would lose what one of them adds."""
    first, last = range_of(dy.shape[1], s, threads)
    for n in range(len(ids)):
        row, given = dembeddings[ids[n], first:last], dy[n, first:last]
        for d in range(last - first):
            row[d] += given[d]                              # from (1)


@kernel
def masking_mask(x, mask_value, mask):
    for n in range(x.shape[0]):
        mask[n] = False
        for d in range(x.shape[1]):
            if x[n, d] != mask_value:                       # (2)
                mask[n] = True
                break


@kernel
def masking_apply(x, mask, y):
    for n in range(x.shape[0]):
        if mask[n]:
            for d in range(x.shape[1]):
                y[n, d] = x[n, d]                           # (3)
        else:
            for d in range(x.shape[1]):
                y[n, d] = 0


def bias_backward(dz, db):
    sum_of_shares(_bias_rows, threads_for(dz.size, SHARE), (dz,), db)


@kernel
def _bias_rows(dz, s, threads, db):
    """A share of the rows of `bias_backward`."""
    first, last = range_of(len(dz), s, threads)
    part = np.empty(db.size, db.dtype)
    for top in range(first, last, ROWS):
        part[:] = 0
        for n in range(top, min(top + ROWS, last)):
            for u in range(db.size):
                part[u] += dz[n, u]                         # from (4)
        add_to(db, part)
