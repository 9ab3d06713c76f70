"""The matrix product, compiled for the CPU: BLAS speed from one register tile (`_tile.py`).

A small product runs on one thread and reads its operands where they lie. A larger one is cut into chunks of k; of each
chunk the columns of b are packed, panel by panel, for many rows to read them, and the rows of a where they lie awkwardly.
Formula and shapes: kernels/reference/matmul.py.
"""
import numpy as np
from numba import get_num_threads, prange

from ._jit import kernel, parallel_kernel
from ._tile import START, VECTOR, WIDE, column_product, pack_columns, pack_rows

CHUNK = 256                 # length of a chunk of k
BLOCK = 224                 # rows of a that are worked on together: with a chunk, a quarter of the second-level cache
PACKED = 1 << 17            # elements of b that are packed together: their sums stay in the cache from chunk to chunk
PACK_FROM = 32              # rows that must read b again and again to pay for packing it,
FITS = 1 << 13              # unless it has so few elements that it stays in the first-level cache
PARALLEL_FROM = 1 << 20     # multiply-adds for each thread that pay for waking it


def matmul(a, b, transpose_a, transpose_b, add, c):
    work = a.size * c.shape[1]
    if work >= 2 * PARALLEL_FROM:
        _parallel(a, b, transpose_a, transpose_b, add, min(work // PARALLEL_FROM, get_num_threads()), c)
    elif work:
        _serial(a, b, transpose_a, transpose_b, add, c)
    elif not add:
        c.fill(0)                                           # an empty sum


@kernel
def _serial(a, b, transpose_a, transpose_b, add, c):
    M, N = c.shape
    K = a.shape[0] if transpose_a else a.shape[1]
    a_row, a_k = (1, M) if transpose_a else (K, 1)
    b_k, b_n = (1, K) if transpose_b else (N, 1)
    _product(a.reshape(-1), START, a_row, a_k, b.reshape(-1), START, b_k, b_n, M, N, K, add, c.reshape(-1), START, N)


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
    if b_n != 1 or (rows >= PACK_FROM and length > 1 and length * columns > FITS):
        _packed_product(a, a_at, a_row, a_k, b, b_at, b_k, b_n, rows, columns, length, add, c, c_at, c_row)
    else:
        width = WIDE * VECTOR // b.itemsize
        for n in range(0, columns, width):
            wide = min(width, columns - n)
            column_product(a, a_at, a_row, a_k, rows, b, b_at + n, b_k, length, c, c_at + n, c_row, wide, add)


@kernel
def _packed_product(a, a_at, a_row, a_k, b, b_at, b_k, b_n, rows, columns, length, add, c, c_at, c_row):
    width = WIDE * VECTOR // b.itemsize
    panels = (columns + width - 1) // width
    chunk = min(length, CHUNK)
    depth = min(length, chunk * max(1, PACKED // (chunk * columns)))            # whole chunks, or all there is
    pack_a = panels >= 4 and rows >= PACK_FROM and (a_k != 1 or a_row * a.itemsize % 2048 == 0)
    packed_b = np.empty(depth * panels * width, b.dtype)
    packed_a = np.empty(min(BLOCK, rows) * chunk if pack_a else 0, a.dtype)
    for top in range(0, length, depth):
        bottom = min(top + depth, length)
        for k in range(top, bottom, chunk):
            part = min(chunk, bottom - k)
            for p in range(panels):
                pack_columns(b, b_at + k * b_k + p * width * b_n, b_k, b_n, part, min(width, columns - p * width),
                             packed_b, ((k - top) * panels + p * part) * width, width)
        for r in range(0, rows, BLOCK):
            height = min(BLOCK, rows - r)
            for k in range(top, bottom, chunk):
                part = min(chunk, bottom - k)
                x, x_at, x_row, x_k = a, a_at + r * a_row + k * a_k, a_row, a_k
                if pack_a:
                    pack_rows(a, x_at, a_row, a_k, height, part, packed_a)
                    x, x_at, x_row, x_k = packed_a, START, START, START
                for p in range(panels):
                    column_product(x, x_at, x_row, x_k, height, packed_b, ((k - top) * panels + p * part) * width, width, part,
                                   c, c_at + r * c_row + p * width, c_row, min(width, columns - p * width), add or k > 0)
