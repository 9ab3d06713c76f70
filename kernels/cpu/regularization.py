"""Dropout, compiled for the CPU. Formulas and shapes: kernels/reference/regularization.py."""
import numpy as np

from ._jit import kernel

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S27, S30, S31, S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)   # a signed shift would make floats of them


@kernel
def dropout_mask(key, threshold, mask):
    for n in range(mask.size):
        s = key + np.uint64(n + 1) * GAMMA                  # (1)
        s = (s ^ (s >> S30)) * MIX_1
        s = (s ^ (s >> S27)) * MIX_2
        s = s ^ (s >> S31)
        mask[n] = (s >> S32) >= threshold                   # (2), (3)


@kernel
def dropout_apply(x, mask, scale, y):
    zero = x.dtype.type(0)
    for n in range(x.size):
        y[n] = x[n] * scale if mask[n] else zero            # (4)
