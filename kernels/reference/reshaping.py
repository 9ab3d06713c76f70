r"""Reshaping: the same numbers with zeros around them, each several times, or with new numbers between them.

    y_i = x_{i - b} \text{ where } 0 \le i - b < \text{the image's size, else } 0       (1)    b zeros in front
    y_i = x_{\lfloor i / f \rfloor}                                                     (2)    f is the factor of an axis
    y_{ij} = \sum_k \sum_l u_{ik} v_{jl}\, x_{a_i + k,\, b_j + l}       (3)    u, v weights; a, b where they begin

In (1) and (2) i, b and f have three parts: depth, height, width. (3) is separable: the rows of x first become rows of y, by u,
and then each row is stretched, by v. Images have shape (N, D, H, W, C), in (3) (N, H, W, C). Channels that come before the
places are samples of one channel.

    (1)    001.14.ZeroPadding1D, 001.14.ZeroPadding2D, 001.14.ZeroPadding3D
    (1)    the gradient of 001.14.Cropping1D, 001.14.Cropping2D, 001.14.Cropping3D
    (2)    001.14.UpSampling1D, 001.14.UpSampling2D, 001.14.UpSampling3D
    (3)    001.14.UpSampling2D with an interpolation
"""
import numpy as np


def pad(x, before, y):
    """x (N, D, H, W, C), before b, three integers -> y (N, D', H', W', C)."""
    y[...] = 0
    d, h, w = (slice(b, b + n) for b, n in zip(before, x.shape[1:4], strict=True))
    y[:, d, h, w] = x                                                       # (1)


def repeat(x, factors, y):
    """x (N, D, H, W, C), factors f, three integers -> y (N, D f_d, H f_h, W f_w, C)."""
    for i in np.ndindex(factors):
        y[:, *_every(i, factors)] = x                                       # (2)


def repeat_backward(dy, factors, dx):
    """dy (N, D f_d, H f_h, W f_w, C) -> dx (N, D, H, W, C): a number collects from all its copies."""
    dx[...] = 0
    for i in np.ndindex(factors):
        dx += dy[:, *_every(i, factors)]                                    # from (2)


def interpolate(x, a, u, b, v, y):
    """x (N, H, W, C), a (H',), u (H', K), b (W',), v (W', L) -> y (N, H', W', C)."""
    for i in range(len(a)):
        row = _weighted_rows(x, a[i], u[i])
        for j in range(len(b)):
            y[:, i, j] = _weighted_cells(row, b[j], v[j])                   # (3)


def interpolate_backward(dy, a, u, b, v, dx):
    """dy (N, H', W', C), a, u, b, v as before -> dx (N, H, W, C)."""
    dx[...] = 0
    for i in range(len(a)):
        drow = np.zeros_like(dx[:, 0])
        for j in range(len(b)):
            for l, weight in enumerate(v[j]):
                drow[:, b[j] + l] += weight * dy[:, i, j]                   # from (3)
        for k, weight in enumerate(u[i]):
            dx[:, a[i] + k] += weight * drow                                # from (3)


def _every(i, factors):
    """The i-th copy of every cell, on each axis."""
    return tuple(slice(start, None, step) for start, step in zip(i, factors, strict=True))


def _weighted_rows(x, start, weights):
    """(N, W, C): the sum of some rows of x with their weights."""
    return sum(weight * x[:, start + k] for k, weight in enumerate(weights))


def _weighted_cells(row, start, weights):
    """(N, C): the sum of some cells of a row with their weights."""
    return sum(weight * row[:, start + l] for l, weight in enumerate(weights))
