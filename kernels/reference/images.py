r"""Images changed one by one, as NumPy, one line per equation.

    y_{nij} = x_{n,\, H - 1 - i,\, W - 1 - j} \text{ where } f_n, \text{ else } x_{nij}        (1)    001.10.RandomFlip
    y_n = \mathrm{clip}(x_n + d_n)                                                              (2)    001.10.RandomBrightness
    m_{nc} = \frac{1}{HW} \sum_{ij} x_{nijc}                                                    (3)
    y_{nijc} = \mathrm{clip}(f_n x_{nijc} + (1 - f_n)\, m_{nc})                                 (4)    001.10.RandomContrast

In (1) either axis may be left as it is. Clipping is to [low, high]; what is clipped has no gradient.
"""
import numpy as np


def flip(x, flips, vertical, horizontal, y):
    """x (N, H, W, C), flips f (N,), whether to turn rows and columns -> y (N, H, W, C). Backward is the same function."""
    turned = x[:, ::-1 if vertical else 1, ::-1 if horizontal else 1]
    y[...] = np.where(_by_image(flips), turned, x)                          # (1)


def brightness(x, delta, low, high, y):
    """x (N, H, W, C), delta d (N,), two numbers -> y (N, H, W, C)."""
    y[...] = np.clip(x + _by_image(delta), low, high)                       # (2)


def brightness_backward(dy, x, delta, low, high, dx):
    """dy, x (N, H, W, C), delta (N,), two numbers -> dx (N, H, W, C)."""
    dx[...] = _unclipped(dy, x + _by_image(delta), low, high)               # from (2)


def contrast(x, factor, low, high, mean, y):
    """x (N, H, W, C), factor f (N,), two numbers -> mean m (N, C), y (N, H, W, C)."""
    mean[...] = x.mean(axis=(1, 2), dtype=float)                            # (3)
    y[...] = np.clip(_stretched(x, factor, mean), low, high)                # (4)


def contrast_backward(dy, x, factor, low, high, mean, dx):
    """dy, x (N, H, W, C), factor (N,), two numbers, mean (N, C) -> dx (N, H, W, C)."""
    dz = _unclipped(dy, _stretched(x, factor, mean), low, high)             # from (4)
    dmean = (1 - factor[:, None]) * dz.sum(axis=(1, 2), dtype=float)        # from (4)
    dx[...] = _by_image(factor) * dz + _by_channel(dmean) / (x.shape[1] * x.shape[2])       # from (4) and (3)


def _stretched(x, factor, mean):
    return _by_image(factor) * x + _by_channel((1 - factor[:, None]) * mean)


def _unclipped(dy, z, low, high):
    """dy where z was not clipped, else 0."""
    return np.where((low <= z) & (z <= high), dy, 0)


def _by_image(values):
    return values[:, None, None, None]


def _by_channel(values):
    return values[:, None, None, :]
