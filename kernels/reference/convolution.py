r"""Convolution of images (B, D, H, W, C) as loops: a window of taps k slides over the image with stride s.

    y_{nif}  = b_f + \sum_k \sum_c x_{nmc} w_{kcf}                              (1)    convolution; x is 0 outside the image
    y_{nmc}  = b_c + \sum_{i, k: m = i s + k d - p} \sum_f x_{nif} w_{kcf}      (2)    transposed convolution
    dw_{kcf} = \sum_n \sum_i x_{nmc} dy_{nif}                                   (3)    gradient of the weights in (1)
    m        = i s + k d - p                                                    (4)    where tap k of window i lies

i, k and m stand for three numbers each: depth, height, width. (2) sends along every path of (1) what (1) fetches along it: with
b = 0 it is the gradient of (1) for x, and (1) is the gradient of (2). What happens at one window is a function of its own
(`window`, `window_to_image`, `window_to_weights`), on what lies under it. All three convolutions walk over the same windows
(`_windows`). p counts the positions in front; what lies behind follows from the output's size.

With groups, channel c and filter f meet only if they are in the same group; w counts c within the group. A depthwise
convolution has as many groups as channels. In the `einsum`s g is the group, and c and f count within it.

`winograd` says whether a 3 x 3 window may be computed with fewer multiplications, a little less exactly. Only the CPU's room
has such a way: kernels/cpu/_winograd.py.

    (1), (3)    001.07.Conv1D, 001.07.Conv2D, 001.07.Conv3D, 002.Convolution
    (1), (3)    001.07.DepthwiseConv1D, 001.07.DepthwiseConv2D, 001.07.SeparableConv1D, 001.07.SeparableConv2D
    (2)         001.07.Conv1DTranspose, 001.07.Conv2DTranspose, 001.07.Conv3DTranspose
"""
import numpy as np

from .core import bias_backward


def window(x, w):
    """One output: what lies under its window, x (KD, KH, KW, groups, C), w (KD, KH, KW, C, groups, F) -> y (groups, F)."""
    return np.einsum("dhwgc,dhwcgf->gf", x, w)                                  # (1)


def window_to_image(y, w):
    """What one output place sends back to all that lies under its window: y (groups, F), w as above -> as x above."""
    return np.einsum("gf,dhwcgf->dhwgc", y, w)                                  # (2)


def window_to_weights(x, dy):
    """What one output place says to the weights: x, dy as x and y above -> as w above."""
    return np.einsum("dhwgc,gf->dhwcgf", x, dy)                                 # (3)


def convolve(x, w, b, strides, padding, dilation, groups, winograd, y):
    """x (B, D, H, W, C), w (KD, KH, KW, C / groups, F), b (F,); strides, padding, dilation: s, p, d, three integers each
    -> y (B, OD, OH, OW, F)."""
    y[...] = b
    x, w, y = (_by_group(array, groups) for array in (x, w, y))
    for i, k, m in _windows(y, w, x, strides, padding, dilation):
        y[i] += window(x[m], w[k])                                              # (1), (4)


def convolve_transposed(x, w, b, strides, padding, dilation, groups, winograd, y):
    """x (B, OD, OH, OW, F), w (KD, KH, KW, C / groups, F), b (C,); strides, padding, dilation: s, p, d, three integers each
    -> y (B, D, H, W, C); it is b where no path leads."""
    y[...] = b
    x, w, y = (_by_group(array, groups) for array in (x, w, y))
    for i, k, m in _windows(x, w, y, strides, padding, dilation):
        y[m] += window_to_image(x[i], w[k])                                     # (2), (4)


def convolve_weight_gradient(x, dy, strides, padding, dilation, groups, winograd, dw):
    """x (B, D, H, W, C), dy (B, OD, OH, OW, F); strides, padding, dilation: s, p, d, three integers each
    -> added to dw (KD, KH, KW, C / groups, F)."""
    x, dy, dw = (_by_group(array, groups) for array in (x, dy, dw))
    for i, k, m in _windows(dy, dw, x, strides, padding, dilation):
        dw[k] += window_to_weights(x[m], dy[i])                                 # (3), (4)


def convolve_backward(x, w, zeros, dy, strides, padding, dilation, groups, winograd, dw, db, dx):
    """All gradients of (1): x, w and dy as above, zeros (C,) for the bias of (2) -> added to dw and to db (F,), which is empty
    where there is no bias; and dx like x."""
    convolve_weight_gradient(x, dy, strides, padding, dilation, groups, winograd, dw)
    if len(db):
        bias_backward(dy.reshape(-1, len(db)), db)
    convolve_transposed(dy, w, zeros, strides, padding, dilation, groups, winograd, dx)


def _windows(places, taps, image, strides, padding, dilation):
    """For each sample n and window i: the indices (n, i), the taps that lie on the image, and (n, all m under them)."""
    axes = tuple(zip(strides, padding, dilation, taps.shape[:3], image.shape[1:4], strict=True))
    for n, *i in np.ndindex(places.shape[:4]):
        inside = [_inside(place, *axis) for place, axis in zip(i, axes, strict=True)]
        yield (n, *i), tuple(k for k, _ in inside), (n, *(m for _, m in inside))


def _inside(i, s, p, d, taps, size):
    """Along one axis: the taps of window i that lie on the image, and where they lie. Both are slices."""
    first = max(0, -((i * s - p) // d))                                         # the first tap with m >= 0, rounded up
    end = min(taps, -((i * s - p - size) // d))                                 # the first one with m >= size
    count = max(0, end - first)
    m = i * s + first * d - p                                                   # (4)
    return slice(first, first + count), slice(m, m + count * d, d)


def _by_group(array, groups):
    """A view whose last axis is split: (…, channels) as (…, groups, channels / groups)."""
    return array.reshape(*array.shape[:-1], groups, -1)
