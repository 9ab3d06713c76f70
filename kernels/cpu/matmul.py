"""The matrix product, compiled for the CPU: BLAS speed from one register tile (`_tile.py`).

A long sum is cut into chunks of k. Of each chunk the columns of b are packed, panel by panel, where enough rows will read
them again; the rows of a where they lie awkwardly. Small products pack nothing and run on one thread.
Formula and shapes: kernels/reference/matmul.py.
"""
import numpy as np
from numba import get_num_threads, prange

from ._jit import kernel, parallel_kernel
from ._tile import PAD, VECTOR, WIDE, column_product, pack_columns, pack_rows

CHUNK = 256                 # length of a chunk of k
BLOCK = 224                 # rows of a that are worked on together: with a chunk, a quarter of the second-level cache
PACKED = 1 << 19            # elements of b that are packed together: their sums stay in the cache from chunk to chunk
PACK_FROM = 64              # rows that must read a panel of b to pay for packing it
PARALLEL_FROM = 1 << 20     # multiply-adds for each thread that pay for waking it


def matmul(a, b, transpose_a, transpose_b, add, c):
    threads = a.size * c.shape[1] // PARALLEL_FROM
    if a.size == 0 or b.size == 0:
        if not add:
            c.fill(0)                                       # an empty sum
    elif threads < 2:
        _serial(a, b, transpose_a, transpose_b, add, c)
    else:
        _parallel(a, b, transpose_a, transpose_b, add, min(threads, get_num_threads()), c)


@kernel
def _serial(a, b, transpose_a, transpose_b, add, c):
    M, N = c.shape
    K = a.shape[0] if transpose_a else a.shape[1]
    a_row, a_k = (1, M) if transpose_a else (K, 1)
    b_k, b_n = (1, K) if transpose_b else (N, 1)
    _product(a.reshape(-1), 0, a_row, a_k, b.reshape(-1), 0, b_k, b_n, M, N, K, add, c.reshape(-1), 0, N)


@parallel_kernel
def _parallel(a, b, transpose_a, transpose_b, add, threads, c):
    M, N = c.shape
    K = a.shape[0] if transpose_a else a.shape[1]
    a_row, a_k = (1, M) if transpose_a else (K, 1)
    b_k, b_n = (1, K) if transpose_b else (N, 1)
    a1, b1, c1 = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    width = WIDE * VECTOR // c.itemsize
    rows = (M + threads - 1) // threads if M >= N else M                        # each thread takes some of the rows,
    columns = N if M >= N else (N + threads * width - 1) // (threads * width) * width     # or some panels of columns
    for s in prange(threads):
        m, n = (s * rows, 0) if M >= N else (0, s * columns)
        if m < M and n < N:
            _product(a1, m * a_row, a_row, a_k, b1, n * b_n, b_k, b_n, min(rows, M - m), min(columns, N - n), K, add,
                    c1, m * N + n, N)


@kernel
def _product(a, a_at, a_row, a_k, b, b_at, b_k, b_n, rows, columns, length, add, c, c_at, c_row):
    """c (+)= a b on one thread: flat arrays, each with the position of its first element and its strides."""
    width = WIDE * VECTOR // b.itemsize
    panels = (columns + width - 1) // width
    many = rows >= PACK_FROM and length > 1
    pack_b = many or b_n != 1
    pack_a = many and panels >= 4 and (a_k != 1 or a_row * a.itemsize % 2048 == 0)
    chunk = min(length, CHUNK) if pack_b else length
    depth = chunk * max(1, PACKED // (chunk * columns)) if pack_b else length
    block = BLOCK if many else rows
    packed_b = np.empty(min(depth, length + chunk) * panels * width if pack_b else 0, b.dtype)
    packed_a = np.empty(min(block, rows) * (chunk + PAD) if pack_a else 0, a.dtype)
    for top in range(0, length, depth):
        bottom = min(top + depth, length)
        if pack_b:
            for k in range(top, bottom, chunk):
                part = min(chunk, bottom - k)
                for p in range(panels):
                    pack_columns(b, b_at + k * b_k + p * width * b_n, b_k, b_n, part, min(width, columns - p * width),
                                 packed_b, ((k - top) * panels + p * part) * width, width)
        for r in range(0, rows, block):
            height = min(block, rows - r)
            for k in range(top, bottom, chunk):
                part = min(chunk, bottom - k)
                x, x_at, x_row, x_k = a, a_at + r * a_row + k * a_k, a_row, a_k
                if pack_a:
                    pack_rows(a, x_at, a_row, a_k, height, part, packed_a)
                    x, x_at, x_row, x_k = packed_a, 0, part + PAD if a_k == 1 else 0, 1
                for p in range(panels):
                    n = p * width
                    y, y_at, y_k = b, b_at + n, b_k
                    if pack_b:
                        y, y_at, y_k = packed_b, ((k - top) * panels + p * part) * width, width
                    column_product(x, x_at, x_row, x_k, height, y, y_at, y_k, part, c, c_at + r * c_row + n, c_row,
                                   min(width, columns - n), add or k > 0)
