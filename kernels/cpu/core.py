"""Rows of a table, masked steps and the bias, compiled for the CPU. Formulas and shapes: kernels/reference/core.py."""
import numpy as np
from numba import prange

from ._elementwise import add_to
from ._jit import kernel, parallel_kernel, threads_for

ROWS = 256                  # that are summed apart, lest a long sum lose its last digits
SHARE = 1 << 16             # numbers for each thread that pay for waking it


@kernel
def embedding_forward(ids, embeddings, y):
    for n in range(ids.shape[0]):
        row = embeddings[ids[n]]
        for d in range(y.shape[1]):
            y[n, d] = row[d]                                # (1)


@kernel
def embedding_backward(ids, dy, dembeddings):
    for n in range(ids.shape[0]):
        row = dembeddings[ids[n]]
        for d in range(dy.shape[1]):
            row[d] += dy[n, d]                              # from (1)


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
    threads = threads_for(dz.size, SHARE)
    if threads == 1:
        _bias_rows(dz, 0, len(dz), db)
    else:
        _bias_backward_parallel(dz, threads, db)


@parallel_kernel
def _bias_backward_parallel(dz, threads, db):
    partial = np.zeros((threads, db.size), db.dtype)
    for s in prange(threads):
        _bias_rows(dz, s * len(dz) // threads, (s + 1) * len(dz) // threads, partial[s])
    for s in range(threads):
        add_to(db, partial[s])


@kernel
def _bias_rows(dz, first, last, db):
    """Some rows of `bias_backward`."""
    part = np.empty(db.size, db.dtype)
    for top in range(first, last, ROWS):
        part[:] = 0
        for n in range(top, min(top + ROWS, last)):
            for u in range(db.size):
                part[u] += dz[n, u]                         # from (4)
        add_to(db, part)
