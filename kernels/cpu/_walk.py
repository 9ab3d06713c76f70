"""How the outputs of a convolution are walked through: in segments whose windows lie whole in the cache.

A segment is some rows of outputs, or a part of a row. Its windows are read from the image where they lie, or, where it needs
padding, dilation or groups, from a scratch to which `gather` copies what they see, with zeros where they look out of the image.
"""
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .. import aligned
from ._flat import copy
from ._jit import kernel
from ._team import range_of
from ._tile import FEW, VECTOR, WIDE, pack_columns, tile_width

BAND = 1 << 16              # elements of a scratch: a band of rows, or several small images, in the second-level cache
PIXELS = 1 << 9             # outputs that are worked on together
FEW_TAPS = 9                # with more, a copy with zeros around costs a depthwise convolution less than its edges
BALANCE = 4                 # pieces of work for each thread, so that all end at about the same time


class Walk(NamedTuple):
    """Every number that a walk needs. Sizes of three are (depth, height, width); strides of memory count elements."""

    images: int             # the input (images, D, H, W, C)
    D: int
    H: int
    W: int
    C: int
    OD: int                 # outputs along each axis, N channels each
    OH: int
    OW: int
    N: int
    KD: int                 # taps of the window
    KH: int
    KW: int
    stride_d: int
    stride_h: int
    stride_w: int
    dilation_d: int
    dilation_h: int
    dilation_w: int
    before_d: int           # padding in front; negative where the first window begins inside
    before_h: int
    before_w: int
    groups: int
    multiplier: int         # 0: not depthwise; else outputs for each channel
    y_at: int               # where the outputs lie: the first one, and the way to the next
    y_image: int
    y_plane: int
    y_row: int
    y_pixel: int
    rows: int               # a segment is so many rows of so many outputs
    cols: int
    segments: int           # in all
    in_place: int           # 1: windows are read from the image itself
    size: int               # of a segment's scratch
    together: int           # segments in the scratch
    pixel: int              # the way of a window to the next output of the row,
    row: int                # to the next row of outputs,
    run_step: int           # from one run of its numbers to the next
    runs: int
    length: int             # of a run
    step: int               # from one of its numbers to the next


@lru_cache(maxsize=1024)
def plan(x_shape, y_shape, taps, strides, dilation, before, groups, threads, pixels=PIXELS, multiplier=0, places=None):
    """The walk for an input and an output shape; `places` are y_at and y_image … y_pixel where outputs are not neighbours."""
    images, D, H, W, C = x_shape
    _, OD, OH, OW, N = y_shape
    if taps == strides == (1, 1, 1) and not any(before) and places is None and (D, H, W) == (OD, OH, OW):
        D, H, W, OD, OH, OW, images = 1, 1, images * D * H * W, 1, 1, images * OD * OH * OW, 1     # every pixel by itself
    KD, KH, KW = taps
    inside = all(p == 0 and (o - 1) * s + (k - 1) * d < n for n, o, k, s, d, p in
                 zip((D, H, W), (OD, OH, OW), taps, strides, dilation, before, strict=True))
    by_channel = multiplier == 1 and (inside or KH * KW <= FEW_TAPS)            # `_depthwise.py` reads where the image lies
    unfold_rows, unfold_taps = (k > 1 and d > 1 and not by_channel for k, d in ((KH, dilation[1]), (KW, dilation[2])))
    in_place = by_channel or (inside and KD == groups == 1 and not (multiplier or unfold_rows or unfold_taps))
    channels = C * multiplier if multiplier else C // groups                    # of a pixel in the scratch
    copies = KD * (KW if unfold_taps else 1)

    def line(cols):
        return (cols if unfold_taps else (cols - 1) * strides[2] + KW) * channels

    def size(rows, cols):
        return ((rows - 1) * strides[1] + KH) * copies * line(cols)

    pieces = BALANCE * threads
    cols = min(OW, pixels)
    if images * OD * OH < pieces:
        cols = min(cols, max(64, -(-images * OD * OH * OW // pieces)))
    while cols > 64 and size(1, cols) > BAND:
        cols = (cols + 1) // 2
    rows = 1 if unfold_rows else min(OH, max(1, pixels // cols), -(-images * OD * OH // pieces))
    while rows > 1 and size(rows, cols) > BAND:
        rows = (rows + 1) // 2
    if in_place:
        pixel, row, run_step, runs = strides[2] * C, strides[1] * W * C, W * C, KH * KD
    else:
        pixel = channels if unfold_taps else strides[2] * channels
        row, run_step, runs = strides[1] * copies * line(cols), line(cols), KH * copies
    length, step = 1 if unfold_taps else KW, channels
    if not multiplier:
        length, step = length * channels, 1                                     # taps and channels side by side
    return Walk(images, D, H, W, C, OD, OH, OW, N, *taps, *strides, *dilation, *before, groups, multiplier,
                *(places or (0, OD * OH * OW * N, OH * OW * N, OW * N, N)), rows, cols,
                images * OD * -(-OH // rows) * -(-OW // cols), int(in_place), size(rows, cols),
                max(1, min(BAND // size(rows, cols), pixels // (rows * cols))), pixel, row, run_step, runs, length, step)


class Weights(NamedTuple):
    """Where the weights of a walk lie: the first one, and the way to the next tap, input channel, output and group."""

    at: int
    d: int
    h: int
    w: int
    c: int
    n: int
    group: int


def panels_of(walk, dtype):
    """How many panels of weights there are: of each group's columns as many as a tile is wide."""
    return walk.groups * -(-walk.N // walk.groups // (WIDE * VECTOR // dtype.itemsize))


def empty_panels(walk, units, dtype):
    """Where so many packed panels go."""
    return aligned.empty(units * walk.runs * walk.length * (WIDE * VECTOR // dtype.itemsize), dtype, large=0)


@kernel
def segment(walk, t):
    """Image, plane, first row and first column of segment t."""
    across, down = (walk.OW + walk.cols - 1) // walk.cols, (walk.OH + walk.rows - 1) // walk.rows
    plane, place = t // (across * down), t % (across * down)
    return plane // walk.OD, plane % walk.OD, place // across * walk.rows, place % across * walk.cols


@kernel
def shares_of(walk, units, by_columns, s, threads):
    """Of which segments and which panels of columns a thread takes the weight gradient."""
    if by_columns:
        return (0, walk.segments), range_of(units, s, threads)
    return range_of(walk.segments, s, threads), (0, units)


@kernel
def first_window(walk, image, od, i, j):
    """Where the window of an output begins in the image."""
    return (((image * walk.D + od * walk.stride_d) * walk.H + i * walk.stride_h) * walk.W + j * walk.stride_w) * walk.C


@kernel
def first_output(walk, image, od, i, j):
    """Where the first channel of an output lies."""
    return walk.y_at + image * walk.y_image + od * walk.y_plane + i * walk.y_row + j * walk.y_pixel


@kernel
def sums_along_channels(walk, width):
    """Whether there are so few outputs that the lanes are better used for the numbers of a run."""
    return walk.N // walk.groups <= FEW and walk.step == 1 and walk.length >= width // WIDE


@kernel
def pack(w, walk, weights, units, s, threads, panels):
    """The weights of a share of the panels: a run's numbers below each other, the columns of a tile side by side."""
    first, last = range_of(units, s, threads)
    width = tile_width(w)
    columns, channels = walk.N // walk.groups, 1 if walk.multiplier else walk.C // walk.groups
    few = sums_along_channels(walk, width)
    each = (columns + width - 1) // width
    for unit in range(first, last):
        group, n, start, to = unit // each, unit % each * width, unit * walk.runs * walk.length * width, 0
        for kh in range(walk.KH):
            for kd in range(walk.KD):
                for kw in range(walk.KW):
                    at = weights.at + kd * weights.d + kh * weights.h + kw * weights.w + group * weights.group + n * weights.n
                    if few:
                        _pack_rows(w, at, weights.c, weights.n, channels, columns, panels, start + to, walk.runs * walk.length)
                        to += channels
                    else:
                        pack_columns(w, at, weights.c, weights.n, channels, min(width, columns - n), panels, start + to, width)
                        to += channels * width


@kernel
def _pack_rows(w, at, w_c, w_n, channels, columns, panels, to, width):
    """The same for few columns: each a row of its own."""
    for n in range(columns):
        for c in range(channels):
            panels[np.uintp(to + n * width + c)] = w[np.uintp(at + n * w_n + c * w_c)]


@kernel
def gather(x, walk, t, group, scratch, at):
    """Copy what the windows of segment t see of a group's channels, zeros where they look out of the image."""
    image, od, i, j = segment(walk, t)
    reps = walk.runs // (walk.KD * walk.KH)
    spread = walk.rows == 1
    lines = walk.KH if spread else (walk.rows - 1) * walk.stride_h + walk.KH
    count = walk.cols if reps > 1 else (walk.cols - 1) * walk.stride_w + walk.KW
    step = walk.stride_w if reps > 1 else 1
    size = count * (walk.C // walk.groups) * max(walk.multiplier, 1)
    for line in range(lines):
        y = i * walk.stride_h - walk.before_h + line * (walk.dilation_h if spread else 1)
        for kd in range(walk.KD):
            z = od * walk.stride_d - walk.before_d + kd * walk.dilation_d
            for kw in range(reps):
                gather_row(x, walk, image, z, y, j * walk.stride_w - walk.before_w + kw * walk.dilation_w, step, count, group,
                           scratch, at)
                at += size


@kernel
def gather_row(x, walk, image, z, y, first, step, count, group, scratch, at):
    """Copy `count` pixels of row y of plane z, from `first` on in steps, zeros where they lie out of the image."""
    channels = walk.C // walk.groups
    pixel = channels * max(walk.multiplier, 1)
    if not (0 <= z < walk.D and 0 <= y < walk.H):
        _zeros(scratch, at, count * pixel)
        return
    row = ((image * walk.D + z) * walk.H + y) * walk.W
    lead = min(count, (step - 1 - first) // step if first < 0 else 0)           # pixels left of the image
    end = max(lead, min(count, (walk.W - first + step - 1) // step))
    _zeros(scratch, at, lead * pixel)
    if step == 1 and pixel == walk.C:
        copy(x, (row + first + lead) * pixel, (end - lead) * pixel, scratch, at + lead * pixel)
    else:
        for q in range(lead, end):
            _copy_pixel(x, (row + first + q * step) * walk.C + group * channels, channels, walk.multiplier,
                        scratch, at + q * pixel)
    _zeros(scratch, at + end * pixel, (count - end) * pixel)


@kernel
def _copy_pixel(source, source_at, channels, multiplier, target, target_at):
    """The channels of a pixel, each `multiplier` times."""
    if multiplier <= 1:
        copy(source, source_at, channels, target, target_at)
    else:
        for c in range(channels):
            for m in range(multiplier):
                target[np.uintp(target_at + c * multiplier + m)] = source[np.uintp(source_at + c)]


@kernel
def _zeros(target, at, count):
    for n in range(count):
        target[np.uintp(at + n)] = 0
