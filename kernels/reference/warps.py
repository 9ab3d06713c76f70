r"""Images, moved: every pixel of the result is read from some place in the image, between its pixels or beside all of them.

    u_{ij} = b_0 j + b_1 i + b_2,\quad v_{ij} = a_0 j + a_1 i + a_2             (1)    the place: row u, column v
    p = \lfloor u \rceil,\quad q = \lfloor v \rceil                             (2)    nearest; halves away from zero
    y_{ijc} = X_{pqc}                                                           (3)
    p = \lfloor u \rfloor,\quad q = \lfloor v \rfloor                           (4)    bilinear
    y_{ijc} = \sum_{s=0}^{1} \sum_{t=0}^{1} (1 - |u - p - s|)(1 - |v - q - t|)\, X_{p+s,\,q+t,\,c}     (5)
    X_{pqc} = x_{f(p)\, f(q)\, c}                                               (6)    beside the image, too, where f says:
    f(p) = \min(\max(p, 0), n - 1)                                              (7)    a a a | a b c | c c c    nearest
    f(p) = \min(m, 2 n - 1 - m),\quad m = p \text{ mod } 2n                     (8)    c b a | a b c | c b a    reflect
    f(p) = p \text{ mod } n                                                     (9)    a b c | a b c | a b c    wrap
    X_{pqc} = k \text{ outside},\quad x_{pqc} \text{ inside}                    (10)   k k k | a b c | k k k    constant

Images x and y have the shape (N, H, W, C). Where channels come first, each is an image of its own with C = 1. An image has a
map (a_0, a_1, a_2, b_0, b_1, b_2), its row of `maps`. `interpolation` is 0 for (3) and 1 for (5), `fill` 0 for (10), 1 for (7),
2 for (8), 3 for (9); n is the size of an axis, k the fill value.

Source: 001.10.RandomTranslation, 001.10.RandomRotation, 001.10.RandomZoom.
"""
import math
from itertools import product

import numpy as np

CONSTANT, NEAREST, REFLECT, WRAP = range(4)


def warp(x, maps, interpolation, fill, fill_value, y):
    """x (N, H, W, C), maps (N, 6) -> y (N, H, W, C)."""
    for n, i, j in np.ndindex(y.shape[:3]):
        y[n, i, j] = warp_pixel(x[n], maps[n], i, j, interpolation, fill, fill_value)


def warp_gradient(dy, maps, interpolation, fill, dx):
    """dy (N, H, W, C), maps (N, 6) -> dx (N, H, W, C): each pixel collects what was read of it."""
    dx[...] = 0
    for n, i, j in np.ndindex(dy.shape[:3]):
        warp_pixel_gradient(dy[n, i, j], maps[n], i, j, interpolation, fill, dx[n])


def warp_pixel(x, m, i, j, interpolation, fill, fill_value):
    """x (H, W, C), m (6,) -> y_{ij} (C,)."""
    total = np.zeros_like(x[0, 0])
    for weight, p, q in _read(m, i, j, interpolation):
        place = _place(p, q, fill, x.shape)
        total += weight * (fill_value if place is None else x[place])           # (3), (5), (10)
    return total


def warp_pixel_gradient(dy, m, i, j, interpolation, fill, dx):
    """dy_{ij} (C,), m (6,): adds to dx (H, W, C)."""
    for weight, p, q in _read(m, i, j, interpolation):
        place = _place(p, q, fill, dx.shape)
        if place is not None:
            dx[place] += weight * dy                                            # from (3), (5)


def _read(m, i, j, interpolation):
    """The pixels that y_{ij} is made of: how much each counts, and its row and column."""
    a0, a1, a2, b0, b1, b2 = m
    u, v = b0 * j + b1 * i + b2, a0 * j + a1 * i + a2                           # (1)
    if interpolation == 0:
        return [(1, _rounded(u), _rounded(v))]                                  # (2)
    p, q = math.floor(u), math.floor(v)                                         # (4)
    return [((1 - abs(u - p - s)) * (1 - abs(v - q - t)), p + s, q + t) for s, t in product((0, 1), (0, 1))]


def _rounded(u):
    whole = int(u)
    return whole + int(math.copysign(abs(u - whole) >= 0.5, u))


def _place(p, q, fill, shape):
    """Row and column of X_{pq} in the image, None where the fill value stands."""
    row, column = _inside(p, shape[0], fill), _inside(q, shape[1], fill)        # (6)
    return None if row is None or column is None else (row, column)


def _inside(p, n, fill):
    if 0 <= p < n:
        return p
    if fill == NEAREST:
        return min(max(p, 0), n - 1)                                            # (7)
    if fill == REFLECT:
        return min(p % (2 * n), 2 * n - 1 - p % (2 * n))                        # (8)
    if fill == WRAP:
        return p % n                                                            # (9)
    return None                                                                 # (10)
