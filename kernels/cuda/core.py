"""Rows of a table, masked steps and the bias on the GPU. Formulas and shapes: kernels/reference/core.py."""
from ._compat import THREADS, blocks_for, cuda


def embedding_forward(ids, embeddings, y):
    _embedding_forward[blocks_for(y.size), THREADS](ids, embeddings, y)


def embedding_backward(ids, dy, dembeddings):
    _embedding_backward[blocks_for(dy.size), THREADS](ids, dy, dembeddings)


def masking_mask(x, mask_value, mask):
    _masking_mask[blocks_for(mask.size), THREADS](x, mask_value, mask)


def masking_apply(x, mask, y):
    _masking_apply[blocks_for(y.size), THREADS](x, mask, y)


def bias_backward(dz, db):
    _bias_backward[blocks_for(db.size), THREADS](dz, db)


@cuda.jit
def _embedding_forward(ids, embeddings, y):
    N, D = y.shape
    for k in range(cuda.grid(1), N * D, cuda.gridsize(1)):
        n, d = k // D, k % D
        y[n, d] = embeddings[ids[n], d]                             # (1)


@cuda.jit
def _embedding_backward(ids, dy, dembeddings):
    N, D = dy.shape
    for k in range(cuda.grid(1), N * D, cuda.gridsize(1)):
        n, d = k // D, k % D
        cuda.atomic.add(dembeddings, (ids[n], d), dy[n, d])         # from (1): threads with the same id take turns


@cuda.jit
def _masking_mask(x, mask_value, mask):
    for n in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        kept = False
        for d in range(x.shape[1]):
            kept = kept or x[n, d] != mask_value                    # (2)
        mask[n] = kept


@cuda.jit
def _masking_apply(x, mask, y):
    N, D = y.shape
    for k in range(cuda.grid(1), N * D, cuda.gridsize(1)):
        n, d = k // D, k % D
        y[n, d] = x[n, d] if mask[n] else y.dtype.type(0)           # (3)


@cuda.jit
def _bias_backward(dz, db):
    for u in range(cuda.grid(1), dz.shape[1], cuda.gridsize(1)):    # neighbouring threads read neighbouring columns
        total = db[u]
        for n in range(dz.shape[0]):
            total += dz[n, u]                                       # from (4)
        db[u] = total


SIGNATURES = {
    "_embedding_forward": (_embedding_forward, "void(int64[:], float32[:,:], float32[:,:])"),
    "_embedding_backward": (_embedding_backward, "void(int64[:], float32[:,:], float32[:,:])"),
    "_masking_mask": (_masking_mask, "void(float32[:,:], float32, boolean[:])"),
    "_masking_apply": (_masking_apply, "void(float32[:,:], boolean[:], float32[:,:])"),
    "_bias_backward": (_bias_backward, "void(float32[:,:], float32[:])"),
}
