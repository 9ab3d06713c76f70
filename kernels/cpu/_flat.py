"""Flat arrays, copied and added number by number: `a[:] = b` takes Numba seconds to compile."""
import numpy as np

from ._jit import kernel


@kernel
def copy(source, source_at, count, target, target_at):
    for n in range(count):
        target[np.uintp(target_at + n)] = source[np.uintp(source_at + n)]


@kernel
def add_to(y, x):
    for n in range(y.size):
        y[n] += x[n]
