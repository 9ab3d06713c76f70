"""The matrix product, compiled for the CPU. Formula and shapes: kernels/reference/matmul.py."""
import numpy as np


def matmul(a, b, transpose_a, transpose_b, add, c):
    product = np.matmul(a.T if transpose_a else a, b.T if transpose_b else b)
    c[...] = c + product if add else product
