r"""The matrix product.

    C_{mn} = \sum_k A_{mk} B_{kn}        (1)      001.06.Dense and 002.Linear without a bias; 001.06.EinsumDense
    C_{mn} = \sum_k A_{mk} B_{kn} + d_n  (2)      001.06.Dense, 002.Linear, 002.Output with one
"""
import numpy as np


def matmul(a, b, transpose_a, transpose_b, add, c):
    """a (M, K), b (K, N), each stored transposed where its flag says so -> c (M, N); added to what c holds with `add`."""
    product = np.matmul(a.T if transpose_a else a, b.T if transpose_b else b)       # (1)
    c[...] = c + product if add else product


def affine(a, b, transpose_b, bias, c):
    """a (M, K), b (K, N), stored transposed where the flag says so, bias d (N,) -> c (M, N)."""
    c[...] = np.matmul(a, b.T if transpose_b else b) + bias                         # (2)
