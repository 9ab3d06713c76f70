"""Rows of a table, masked steps and the bias, compiled for the CPU. Formulas and shapes: kernels/reference/core.py."""
from ._jit import kernel


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


@kernel
def bias_backward(dz, db):
    for n in range(dz.shape[0]):
        for u in range(dz.shape[1]):
            db[u] += dz[n, u]                               # from (4)
