"""Dropout on the GPU. Formulas and shapes: kernels/reference/regularization.py."""
import numpy as np

from ._compat import THREADS, blocks_for, cuda

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S27, S30, S31, S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)   # a signed shift would make floats of them


def dropout_mask(key, threshold, mask):
    _dropout_mask[blocks_for(mask.size), THREADS](key, threshold, mask)


def dropout_apply(x, mask, scale, y):
    _dropout_apply[blocks_for(y.size), THREADS](x, mask, scale, y)


@cuda.jit
def _dropout_mask(key, threshold, mask):
    for n in range(cuda.grid(1), mask.size, cuda.gridsize(1)):
        s = key + np.uint64(n + 1) * GAMMA                          # (1)
        s = (s ^ (s >> S30)) * MIX_1
        s = (s ^ (s >> S27)) * MIX_2
        s = s ^ (s >> S31)
        mask[n] = (s >> S32) >= threshold                           # (2), (3)


@cuda.jit
def _dropout_apply(x, mask, scale, y):
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[n] = x[n] * scale if mask[n] else y.dtype.type(0)         # (4)


SIGNATURES = {
    "_dropout_mask": (_dropout_mask, "void(uint64, uint64, boolean[:])"),
    "_dropout_apply": (_dropout_apply, "void(float32[:], boolean[:], float32, float32[:])"),
}
