"""Convolution, compiled for the CPU: every convolution is one walk of a register tile over an image.

The tile (`_tile.py`) multiplies the windows of neighbouring outputs with a packed panel of weights; `_walk.py` says where they
lie. The transposed convolution is the same walk over turned weights, once for each residue of the stride; the weight gradient
is the same tile, summing over pixels. A depthwise convolution takes a tile in which every channel meets its own weights
alone, and few outputs a tile that sums along the channels. Where it pays, a 3 x 3 window takes a quarter of the multiplications
(`_winograd.py`). Formulas and shapes: kernels/reference/convolution.py.
"""
import math
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from . import _depthwise, _winograd
from ._call import address, call
from ._jit import kernel
from ._team import range_of, share, sum_of_shares
from ._threads import threads_for
from ._tile import channel_product, column_product, dot_product, pack_columns, product_address, tile_width
from ._walk import (
    PIXELS,
    Weights,
    empty_panels,
    first_output,
    first_window,
    gather,
    pack,
    panels_of,
    plan,
    segment,
    shares_of,
    sums_along_channels,
)
from .core import _bias_rows, bias_backward

FEWER_PIXELS = 1 << 8       # outputs worked on together where all add to a few weights: their dy stays in the first-level cache
PARALLEL_FROM = 1 << 19     # multiply-adds for each thread that pay for waking it
CHUNK = 1 << 16             # elements of dy that stay in the cache from one gradient to the next
PRIVATE = 1 << 18           # elements of weight gradients that threads may keep for themselves and add up at the end


def convolve(x, w, b, strides, padding, dilation, groups, winograd, y):
    _KD, KH, KW, channels, F = w.shape
    taps, groups, multiplier = w.shape[:3], *_kind(x.shape[4], F, groups)
    threads = threads_for(y.size // F * w.size // groups, PARALLEL_FROM)
    walk = plan(x.shape, y.shape, taps, strides, dilation, padding, groups, threads, multiplier=multiplier)
    weights = Weights(0, KH * KW * channels * F, KW * channels * F, channels * F, F, 1, F // groups)
    _correlate(x, w, b, walk, weights, threads, winograd, y)                                    # (1)


def convolve_transposed(x, w, b, strides, padding, dilation, groups, winograd, y):
    C, F = y.shape[4], w.shape[4]
    groups, multiplier = _kind(C, F, groups)
    if multiplier > 1:                                          # channel by channel first, then the sum over its outputs
        apart = np.empty((*y.shape[:4], F), y.dtype)
        _transposed(x, w, np.zeros(F, b.dtype), strides, padding, dilation, 1, 1, winograd, apart)
        np.sum(apart.reshape(*y.shape, multiplier), axis=-1, out=y)
        y += b
    else:
        _transposed(x, w, b, strides, padding, dilation, groups, multiplier, winograd, y)


def _transposed(x, w, b, strides, padding, dilation, groups, multiplier, winograd, y):
    threads = threads_for(x.size // w.shape[4] * w.size // groups, PARALLEL_FROM)
    for part, walk, weights in _turned(x.shape, w.shape, y.shape, strides, padding, dilation, groups, multiplier, threads):
        if walk is None:                                                        # no window ends here: the bias alone
            y[part] = b
        else:
            _correlate(x, w, b, walk, weights, threads, winograd, y)                            # (2)


@lru_cache(maxsize=1024)
def _turned(x_shape, w_shape, y_shape, strides, padding, dilation, groups, multiplier, threads):
    """The outputs of each residue are a convolution of stride 1 over x, with those taps that end there, the last one first:
    which outputs they are, its walk (None where no tap ends) and its weights."""
    _KD, KH, KW, channels, F = w_shape
    N, found = y_shape[4], []
    way = (KH * KW * channels * F, KW * channels * F, channels * F)             # to the next tap
    steps = (math.prod(y_shape[2:]), y_shape[3] * N, N)                         # to the next output
    axes = (_residues(*sizes) for sizes in zip(y_shape[1:4], w_shape[:3], strides, dilation, padding, strict=True))
    for parts in product(*axes):
        outputs = (slice(None), *(slice(part.first, None, s) for part, s in zip(parts, strides, strict=True)))
        if any(part.taps == 0 for part in parts):
            found.append((outputs, None, None))
            continue
        places = (sum(part.first * step for part, step in zip(parts, steps, strict=True)), math.prod(y_shape[1:]),
                  *(s * step for s, step in zip(strides, steps, strict=True)))
        walk = plan(x_shape, (y_shape[0], *(part.count for part in parts), N), tuple(part.taps for part in parts), (1, 1, 1),
                    tuple(part.dilation for part in parts), tuple(part.before for part in parts), groups, threads,
                    multiplier=multiplier, places=None if strides == (1, 1, 1) else places)
        at = sum(part.last_tap * step for part, step in zip(parts, way, strict=True))
        back = (-part.tap_step * step for part, step in zip(parts, way, strict=True))
        c, n = (F, 1) if multiplier else (1, F)                                 # w^T: from the filters to the channels
        found.append((outputs, walk, Weights(at, *back, c, n, F // groups)))
    return tuple(found)


def _kind(C, F, groups):
    """Groups and multiplier: with a group for each channel the convolution is depthwise, and the walk needs no groups."""
    return (1, F // C) if groups == C > 1 else (groups, 0)


class Residue(NamedTuple):
    """The outputs first, first + s, … of an axis: a convolution of stride 1 with every tap_step-th tap, the last one first."""

    first: int
    count: int
    taps: int
    last_tap: int
    tap_step: int
    dilation: int
    before: int


@lru_cache(maxsize=1024)
def _residues(m, k, s, d, p):
    """Of m outputs of a transposed axis of k taps: output i s + t d - p takes tap t of input i."""
    common = math.gcd(s, d)
    tap_step, dilation = s // common, d // common
    found = []
    for first in range(min(s, m)):
        count = (m - first + s - 1) // s
        start = next((t for t in range(min(k, tap_step)) if (first + p - t * d) % s == 0), None)
        if start is None:
            found.append(Residue(first, count, 0, 0, tap_step, dilation, 0))
        else:
            taps = (k - start + tap_step - 1) // tap_step
            before = (taps - 1) * dilation - (first + p - start * d) // s
            found.append(Residue(first, count, taps, start + (taps - 1) * tap_step, tap_step, dilation, before))
    return found


def _parts(walk, dtype):
    """The register tiles for a walk, and the kernels that compute outputs and weight gradients with them."""
    product = product_address(channel_product if walk.multiplier else column_product, dtype)
    dots = product_address(dot_product, dtype)
    if walk.multiplier == 1 and walk.in_place:
        return product, dots, _depthwise.correlate, _depthwise.weight_gradient
    return product, dots, _correlate_segments, _weight_gradient_segments


def _correlate(x, w, b, walk, weights, threads, winograd, y):
    units = panels_of(walk, w.dtype)
    panels = empty_panels(walk, units, w.dtype)
    x1, w1, y1 = x.reshape(-1), w.reshape(-1), y.reshape(-1)
    if winograd and _winograd.pays(walk) and _winograd.correlate(x1, w1, b, walk, weights, units, threads, panels, y1):
        return
    product, dots, correlate, _ = _parts(walk, x.dtype)
    share(pack, threads, (w1, walk, weights, units), (panels,))
    share(correlate, threads, (product, dots, x1, panels, b, walk), (y1,))


def convolve_backward(x, w, zeros, dy, strides, padding, dilation, groups, winograd, dw, db, dx):
    F = dy.shape[4]
    kind = _kind(x.shape[4], F, groups)
    threads = threads_for(dy.size // F * w.size // kind[0], PARALLEL_FROM)
    apart = dy.size < 4 * CHUNK or strides != (1, 1, 1) or dw.size * threads > PRIVATE or kind[1] > 1
    if not apart:
        [(_, back, weights)] = _turned(dy.shape, w.shape, dx.shape, strides, padding, dilation, *kind, threads)
        walk = plan(x.shape, dy.shape, dw.shape[:3], strides, dilation, padding, kind[0], threads, FEWER_PIXELS, kind[1])
        apart = winograd and (_winograd.pays(walk) or _winograd.pays(back))
    if apart:
        if db.size:
            bias_backward(dy.reshape(-1, F), db)
        convolve_weight_gradient(x, dy, strides, padding, dilation, groups, winograd, dw)
        convolve_transposed(dy, w, zeros, strides, padding, dilation, groups, winograd, dx)
    else:
        _backward_together(x, w, zeros, dy, walk, back, weights, threads, dw, db, dx)


def _backward_together(x, w, zeros, dy, walk, back, weights, threads, dw, db, dx):
    """All three gradients of a chunk of dy, then those of the next: dy is read from memory once."""
    dtype, units = w.dtype, panels_of(back, w.dtype)
    panels = empty_panels(back, units, dtype)
    share(pack, threads, (w.reshape(-1), back, weights, units), (panels,))
    x1, rows, total = x.reshape(-1), dy.reshape(-1, dy.shape[4]), np.zeros(dw.size + db.size, dtype)
    product, dots, correlate, gradient = _parts(walk, dtype)
    units = panels_of(walk, dtype)
    gradient = address(gradient, product, x1, x1, walk, units, False, 0, 1, total)
    correlate = address(correlate, product, dots, x1, panels, zeros, back, 0, 1, x1)
    chunks = -(-dy.size // (CHUNK * threads)) * threads
    inputs = gradient, correlate, product, dots, x1, rows, panels, zeros, walk, units, back, dw.size, chunks, dx.reshape(-1)
    sum_of_shares(_chunks_of_dy, threads, inputs, total)
    dw += total[:dw.size].reshape(dw.shape)
    db += total[dw.size:]


@kernel
def _chunks_of_dy(gradient, correlate, product, dots, x, dy, panels, zeros, walk, units, back, size, chunks, dx, s, threads,
                  total):
    """A share of so many chunks of dy: (3) and the sum for the bias, both added to `total`, and (2) of the formula."""
    upstream, dw, db = dy.reshape(-1), total[:size], total[size:]
    for chunk in range(*range_of(chunks, s, threads)):
        if db.size:
            _bias_rows(dy, chunk, chunks, db)
        call(gradient, product, x, upstream, walk, units, False, chunk, chunks, dw)             # (3)
        call(correlate, product, dots, upstream, panels, zeros, back, chunk, chunks, dx)        # (2)


def convolve_weight_gradient(x, dy, strides, padding, dilation, groups, winograd, dw):
    F = dy.shape[4]
    groups, multiplier = _kind(x.shape[4], F, groups)
    threads = threads_for(dy.size // F * dw.size // groups, PARALLEL_FROM)
    walk = plan(x.shape, dy.shape, dw.shape[:3], strides, dilation, padding, groups, threads,
                 FEWER_PIXELS if dw.size <= PRIVATE else PIXELS, multiplier)
    units = panels_of(walk, dw.dtype)
    x1, dy1, dw1 = x.reshape(-1), dy.reshape(-1), dw.reshape(-1)
    if not (winograd and _winograd.pays(walk)):
        _weight_gradient(x1, dy1, walk, units, threads, dw1)
        return
    spoilt = _winograd.weight_gradient(x1, dy1, walk, threads, dw1)
    if spoilt.any():
        plain, shape = np.zeros_like(dw1), (walk.KD, 9, -1)
        _weight_gradient(x1, dy1, walk, units, threads, plain)
        dw = dw1.reshape(shape)
        np.add(dw, plain.reshape(shape), out=dw, where=spoilt[:, None])


def _weight_gradient(x, dy, walk, units, threads, dw):
    product, _, _, gradient = _parts(walk, x.dtype)
    if dw.size * threads > PRIVATE and units >= threads:
        share(gradient, threads, (product, x, dy, walk, units, True), (dw,))
    else:
        sum_of_shares(gradient, min(threads, walk.segments), (product, x, dy, walk, units, False), dw)


@kernel
def _correlate_segments(product, dots, x, panels, b, walk, s, threads, y):
    """The outputs of a share of the segments: (1) of the formula."""
    width, (first, last) = tile_width(x), range_of(walk.segments, s, threads)
    columns = walk.N // walk.groups
    each = (columns + width - 1) // width
    scratch = np.empty(0 if walk.in_place else min(walk.together, last - first) * walk.size, x.dtype)
    source = x if walk.in_place else scratch
    few = sums_along_channels(walk, width)
    for block in range(first, last, walk.together):
        end = min(block + walk.together, last)
        for unit in range(walk.groups * each):
            group, n = unit // each, unit % each * width
            if n == 0 and not walk.in_place:
                for t in range(block, end):
                    gather(x, walk, t, group, scratch, (t - block) * walk.size)
            channel, panel = group * columns + n, unit * walk.runs * walk.length * width
            for t in range(block, end):
                image, od, i, j = segment(walk, t)
                at = first_window(walk, image, od, i, j) if walk.in_place else (t - block) * walk.size
                to = first_output(walk, image, od, i, j) + channel
                lines, rows, wide = min(walk.rows, walk.OH - i), min(walk.cols, walk.OW - j), min(width, columns - n)
                if few:
                    call(dots, source, at, walk.pixel, walk.run_step, rows, panels, panel,      # (1)
                         walk.runs * walk.length, walk.length, walk.runs, walk.length,
                         b, channel, y, to, walk.y_pixel, wide, lines, walk.row, walk.y_row)
                else:
                    first_channel = n if walk.multiplier else 0
                    call(product, source, at + first_channel, walk.pixel, walk.step, walk.run_step, rows,       # (1)
                         panels, panel, width, walk.length * width, walk.runs, walk.length, b, channel, 0,
                         y, to, walk.y_pixel, wide, True, lines, walk.row, walk.y_row)


@kernel
def _weight_gradient_segments(product, x, dy, walk, units, by_columns, s, threads, dw):
    """What a share of the segments adds to the weight gradients, or all add to those of a share of the panels: (3)."""
    width, (first, last), (first_unit, last_unit) = tile_width(x), *shares_of(walk, units, by_columns, s, threads)
    columns = walk.N // walk.groups
    each = (columns + width - 1) // width
    channels = 1 if walk.multiplier else walk.C // walk.groups
    whole = width >= walk.N or walk.multiplier > 0  # dy is read as it lies
    area = 0 if whole else walk.rows * walk.cols * width
    reps = walk.runs // (walk.KD * walk.KH)         # KW where the taps of a row are runs of their own
    scratch = np.empty(0 if walk.in_place else min(walk.together, last - first) * walk.size, x.dtype)
    packed = np.empty(min(walk.together, last - first) * area, x.dtype)
    source, upstream = x if walk.in_place else scratch, dy if whole else packed
    for block in range(first, last, walk.together):
        end = min(block + walk.together, last)
        for unit in range(first_unit, last_unit):
            group, n = unit // each, unit % each * width
            channel, wide = group * columns + n, min(width, columns - n)
            if not walk.in_place and (n == 0 or unit == first_unit):
                for t in range(block, end):
                    gather(x, walk, t, group, scratch, (t - block) * walk.size)
            if not whole:
                for t in range(block, end):
                    image, od, i, j = segment(walk, t)
                    for r in range(min(walk.rows, walk.OH - i)):
                        to = (t - block) * area + r * walk.cols * width
                        pack_columns(dy, first_output(walk, image, od, i + r, j) + channel, walk.y_pixel, 1,
                                     min(walk.cols, walk.OW - j), wide, packed, to, width)
            for run in range(walk.runs):
                kh, kd, kw = run // (walk.KD * reps), run // reps % walk.KD, run % reps
                to = ((kd * walk.KH + kh) * walk.KW + kw) * channels * walk.N + channel
                for t in range(block, end):
                    image, od, i, j = segment(walk, t)
                    at = first_window(walk, image, od, i, j) if walk.in_place else (t - block) * walk.size
                    if whole:
                        up, up_pixel, up_row = first_output(walk, image, od, i, j) + channel, walk.y_pixel, walk.y_row
                    else:
                        up, up_pixel, up_row = (t - block) * area, width, walk.cols * width
                    at += run * walk.run_step + (n if walk.multiplier else 0)
                    call(product, source, at, walk.step, walk.pixel, walk.row, walk.length,     # (3)
                         upstream, up, up_pixel, up_row, min(walk.rows, walk.OH - i), min(walk.cols, walk.OW - j),
                         dw, to, walk.N, dw, to, walk.N, wide, True, 1, 0, 0)
