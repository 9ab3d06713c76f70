r"""Pooling: one number of each window that slides over an image, its maximum or its mean.

    N_i    = \{k : 0 \le i s + k - p < \text{the image's size on every axis}\}      (1)    cells of window i inside the image
    y_{ic} = \max_{k \in N_i} x_{i s + k - p, c}                                    (2)
    k^*_{ic} = the first k in N_i, in reading order, where (2) is reached           (3)    a NaN counts as the largest number
    y_{ic} = \frac{1}{|N_i|} \sum_{k \in N_i} x_{i s + k - p, c}                    (4)
    N_i    = \{k : \lfloor i n / m \rfloor \le k < \lceil (i + 1) n / m \rceil\}     (5)    adaptive: m windows over n cells

i, k, s and p have three parts: depth, height, width. Everywhere size K, strides s and padding p (in front of the image) are
tuples of three integers, images have shape (B, D, H, W, C), and every window holds at least one cell of the image. The flat
position of k in its window is (k_d K_h + k_h) K_w + k_w. In (5), on each axis, k is the place in the image itself. Each sample
and channel is on its own: a line does them all at once.

    (2), (3)    001.08.MaxPooling1D, 001.08.MaxPooling2D, 001.08.MaxPooling3D, 002.MaxPool
    (4), (5)    001.08.AveragePooling1D, 001.08.AveragePooling2D, 001.08.AveragePooling3D, 002.AvgPool
"""
import numpy as np


def max_pool(x, size, strides, padding, y, index):
    """x (B, D, H, W, C) -> y (B, OD, OH, OW, C), and index like y, int32: the flat position k* of the winner in its window."""
    index[...] = -1                                                             # nobody yet
    for i in np.ndindex(y.shape[1:4]):
        best, winner = y[:, *i], index[:, *i]
        for position, (d, h, w) in _cells(i, size, strides, padding, x.shape):  # (1)
            value = x[:, d, h, w]
            wins = (winner < 0) | (value > best) | (np.isnan(value) & ~np.isnan(best))
            best[...] = np.where(wins, value, best)                             # (2)
            winner[...] = np.where(wins, position, winner)                      # (3)


def max_pool_gradient(dy, index, size, strides, padding, dx):
    """dy, index (B, OD, OH, OW, C) -> dx (B, D, H, W, C): each winner collects what its windows send, the others get zero."""
    dx[...] = 0
    for i in np.ndindex(dy.shape[1:4]):
        for position, (d, h, w) in _cells(i, size, strides, padding, dx.shape):
            dx[:, d, h, w] += np.where(index[:, *i] == position, dy[:, *i], 0)  # from (2)


def average_pool(x, size, strides, padding, y):
    """x (B, D, H, W, C) -> y (B, OD, OH, OW, C)."""
    for i, m in _sliding(y.shape, size, strides, padding, x.shape):             # (1)
        y[:, *i] = x[m].mean(axis=(1, 2, 3), dtype=float)                       # (4)


def average_pool_gradient(dy, size, strides, padding, dx):
    """dy (B, OD, OH, OW, C) -> dx (B, D, H, W, C)."""
    dx[...] = 0
    for i, m in _sliding(dy.shape, size, strides, padding, dx.shape):
        dx[m] += dy[:, *i][:, None, None, None] / np.prod(dx[m].shape[1:4])     # from (4)


def adaptive_average_pool(x, y):
    """x (B, D, H, W, C) -> y (B, OD, OH, OW, C): the mean of so many windows as y has."""
    for i, m in _adaptive(y.shape, x.shape):                                    # (5)
        y[:, *i] = x[m].mean(axis=(1, 2, 3), dtype=float)                       # (4)


def adaptive_average_pool_gradient(dy, dx):
    """dy (B, OD, OH, OW, C) -> dx (B, D, H, W, C)."""
    dx[...] = 0
    for i, m in _adaptive(dy.shape, dx.shape):
        dx[m] += dy[:, *i][:, None, None, None] / np.prod(dx[m].shape[1:4])     # from (4)


def _sliding(windows, size, strides, padding, image):
    """For each window i: i, and (all samples, the cells under it that lie inside the image on the three axes)."""
    for i in np.ndindex(windows[1:4]):
        starts = [place * step - before for place, step, before in zip(i, strides, padding, strict=True)]
        yield i, (slice(None), *(slice(max(0, start), min(start + count, n))
                                 for start, count, n in zip(starts, size, image[1:4], strict=True)))


def _adaptive(windows, image):
    """For each of m windows over n cells: its place i, and the cells under it as above."""
    for i in np.ndindex(windows[1:4]):
        yield i, (slice(None), *(slice(place * n // m, -(-(place + 1) * n // m))
                                 for place, n, m in zip(i, image[1:4], windows[1:4], strict=True)))


def _cells(i, size, strides, padding, shape):
    """The cells of window i that lie inside the image: flat position in the window, place (d, h, w) in the image."""
    for position, k in enumerate(np.ndindex(size)):
        place = tuple(i[axis] * strides[axis] + k[axis] - padding[axis] for axis in range(3))
        if all(0 <= place[axis] < shape[axis + 1] for axis in range(3)):        # (1)
            yield position, place
