"""The product of two matrices on one thread, for all kernels that need one: BLAS speed from one register tile (`_tile.py`).

A small product reads its operands where they lie, as the product of a single row does (`_row.py`). A larger one is cut into
chunks of k; of each chunk the columns of b are packed, panel by panel, for many rows to read them, and the rows of a where they
lie awkwardly. It is called at its address (`_call.py`): compiled once.
"""
from functools import cache

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from ._call import address, call
from ._jit import even, kernel
from ._row import add_row_product
from ._tile import ABREAST, column_product, pack_panels, pack_rows, product_address, tile_width

CHUNK = 384                 # length of a chunk of k, at most
BLOCK = 224                 # rows of a that are worked on together: with a chunk, a quarter of the second-level cache
PACKED = 1 << 17            # elements of b that are packed together: their sums stay in the cache from chunk to chunk
PACK_FROM = 32              # rows that must read b again and again to pay for packing it,
FITS = 1 << 13              # unless it has so few elements that it stays in the first-level cache


@cache
def product_of(dtype):
    """Where `_product` of such numbers begins, and where its tile does."""
    array, n = types.Array(from_dtype(dtype), 1, "C"), types.intp
    product = address(_product, n, array, n, n, n, array, n, n, n, n, n, n, types.boolean, array, n, n, array, n, n)
    return product, product_address(column_product, dtype)


@kernel
def _product(tile, a, a_at, a_row, a_k, b, b_at, b_k, b_n, rows, columns, length, add, start, start_at, start_row,
             c, c_at, c_row):
    """c = start + a b (a b alone without `add`) on one thread: flat arrays, each with its first element's place and strides."""
    if rows == 1 and b_n == 1:
        for j in range(columns):
            c[np.uintp(c_at + j)] = start[np.uintp(start_at + j)] if add else 0
        add_row_product(a, a_at, a_k, b, b_at, b_k, length, columns, c, c_at)
    elif b_n != 1 or (rows >= PACK_FROM and length > 1 and length * columns > FITS):
        _packed_product(tile, a, a_at, a_row, a_k, b, b_at, b_k, b_n, rows, columns, length, add, start, start_at, start_row,
                        c, c_at, c_row)
    else:
        width = tile_width(b)
        for n in range(0, columns, width):
            wide = min(width, columns - n)
            call(tile, a, a_at, a_row, a_k, 0, rows, b, b_at + n, b_k, 0, 1, length, start, start_at + n, start_row,
                 c, c_at + n, c_row, wide, add, 1, 0, 0)


@kernel
def _packed_product(tile, a, a_at, a_row, a_k, b, b_at, b_k, b_n, rows, columns, length, add, start, start_at, start_row,
                    c, c_at, c_row):
    width = tile_width(b)
    panels = (columns + width - 1) // width
    chunk = even(length, CHUNK)
    depth = min(length, chunk * max(1, PACKED // (chunk * columns)))            # whole chunks, or all there is
    few = 16 if a_row == 1 else 4                       # rows that lie side by side are read well as they are
    pack_a = panels >= few and rows >= PACK_FROM and (a_k != 1 or a_row * a.itemsize % 2048 == 0)
    packed_b = np.empty(depth * panels * width, b.dtype)
    packed_a = np.empty(min(BLOCK, rows) * chunk if pack_a else 0, a.dtype)
    for top in range(0, length, depth):
        bottom = min(top + depth, length)
        for k in range(top, bottom, chunk):
            part = min(chunk, bottom - k)
            for p in range(0, panels, ABREAST):
                pack_panels(b, b_at + k * b_k + p * width * b_n, b_k, b_n, part, min(ABREAST * width, columns - p * width),
                            packed_b, ((k - top) * panels + p * part) * width, width)
        for r in range(0, rows, BLOCK):
            height = min(BLOCK, rows - r)
            for k in range(top, bottom, chunk):
                part = min(chunk, bottom - k)
                x, x_at, x_row, x_k = a, a_at + r * a_row + k * a_k, a_row, a_k
                if pack_a:
                    pack_rows(a, x_at, a_row, a_k, height, part, packed_a)
                    x, x_at, x_row, x_k = packed_a, 0, 0, 0
                for p in range(panels):
                    to = c_at + r * c_row + p * width
                    old, old_at, old_row = c, to, c_row
                    if k == 0:
                        old, old_at, old_row = start, start_at + r * start_row + p * width, start_row
                    call(tile, x, x_at, x_row, x_k, 0, height, packed_b, ((k - top) * panels + p * part) * width, width, 0, 1,
                         part, old, old_at, old_row, c, to, c_row, min(width, columns - p * width), add or k > 0, 1, 0, 0)
