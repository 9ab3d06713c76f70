r"""Merging: several arrays become one, number by number, or by sums of products.

    y = s (a + b)                                                               (1)    001.15.Add with s = 1, 001.15.Average
    y = a - b                                                                   (2)    001.15.Subtract
    y = a\, b                                                                   (3)    001.15.Multiply
    y = \max(a, b)                                                              (4)    001.15.Maximum
    y = \min(a, b)                                                              (5)    001.15.Minimum
    \partial y / \partial a = [a = y] / (1 + [b = y])                           (6)    of (4) and (5): a tie is shared
    y_{nij} = \sum_k a_{nik}\, b_{nkj}                                          (7)    001.15.Dot, sample by sample

a and b have as many axes as y; where one has size 1 and y more, it is spread. Three and more arrays are merged two at a time.
A NaN is both the largest and the smallest number; (6) gives it no gradient.
"""
import numpy as np


def add(a, b, scale, y):
    """a, b, scale s -> y."""
    y[...] = scale * (a + b)                                            # (1)


def subtract(a, b, y):
    """a, b -> y."""
    y[...] = a - b                                                      # (2)


def multiply(a, b, y):
    """a, b -> y. Backward is the same function: da = dy b and db = dy a, from (3)."""
    y[...] = a * b                                                      # (3)


def maximum(a, b, y):
    """a, b -> y."""
    y[...] = np.maximum(a, b)                                           # (4)


def minimum(a, b, y):
    """a, b -> y."""
    y[...] = np.minimum(a, b)                                           # (5)


def extremum_backward(dy, a, b, y, da, db):
    """dy, y, and a, b spread over them -> da, db like y; sum_spread then brings them to the shapes of a and b."""
    da[...] = dy * (a == y) / (1.0 + (b == y))                          # (6)
    db[...] = dy * (b == y) / (1.0 + (a == y))                          # (6)


def scale(x, factor, y):
    """x (N,), factor -> y (N,): the gradients of (1), dy s, and of (2), -dy."""
    y[...] = factor * x


def sum_spread(dy, dx):
    """dy, dx of as many axes, some of size 1 -> dx: a number that was spread collects all that came from it."""
    spread = tuple(axis for axis, size in enumerate(dx.shape) if size != dy.shape[axis])
    dx[...] = dy.sum(axis=spread, keepdims=True)


def batch_dot(a, b, transpose_a, transpose_b, y):
    """a (N, I, K), b (N, K, J), each sample stored transposed where the flag says so -> y (N, I, J)."""
    for n in range(len(y)):
        y[n] = (a[n].T if transpose_a else a[n]) @ (b[n].T if transpose_b else b[n])    # (7)
