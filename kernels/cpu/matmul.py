"""The matrix product, compiled for the CPU: shared between the threads here, computed in `_product.py`.

Formula and shapes: kernels/reference/matmul.py.
"""
from functools import cache

import numpy as np

from ._call import call
from ._flat import copy
from ._jit import kernel
from ._product import product_of
from ._team import share
from ._threads import threads_for
from ._tile import tile_width

PARALLEL_FROM = 1 << 20     # multiply-adds for each thread that pay for waking it


def matmul(a, b, transpose_a, transpose_b, add, c):
    share(_some_of_product, threads_for(a.size * c.shape[1], PARALLEL_FROM),
          (*product_of(c.dtype), a, b, transpose_a, transpose_b, add, _no_bias(c.dtype)), (c,))


def affine(a, b, transpose_b, bias, c):
    share(_some_of_product, threads_for(a.size * c.shape[1], PARALLEL_FROM),
          (*product_of(c.dtype), a, b, False, transpose_b, False, bias), (c,))


@cache
def _no_bias(dtype):
    return np.empty(0, dtype)


@kernel
def _some_of_product(product, tile, a, b, transpose_a, transpose_b, add, bias, s, threads, c):
    (M, N), K = c.shape, a.shape[0] if transpose_a else a.shape[1]
    a_row, a_k = (1, M) if transpose_a else (K, 1)
    b_k, b_n = (1, K) if transpose_b else (N, 1)
    width = tile_width(c)
    rows = (M + threads - 1) // threads if M >= N else M                        # each thread takes some of the rows,
    columns = N if M >= N else (N + threads * width - 1) // (threads * width) * width     # or some panels of columns
    m, n = (s * rows, 0) if M >= N else (0, s * columns)
    flat = c.reshape(-1)
    start, start_at, start_row = flat, m * N + n, N
    if bias.size:
        start, start_at, start_row, add = bias, n, 0, True                      # (2)
    if K and m < M and n < N:
        call(product, tile, a.reshape(-1), m * a_row, a_row, a_k, b.reshape(-1), n * b_n, b_k, b_n,     # (1)
             min(rows, M - m), min(columns, N - n), K, add, start, start_at, start_row, flat, m * N + n, N)
    elif K == 0 and bias.size:                                                  # empty sums
        for r in range(M):
            copy(bias, 0, N, flat, r * N)
    elif K == 0 and not add:
        for m in range(flat.size):
            flat[m] = 0
