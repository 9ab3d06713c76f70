"""Depthwise convolution where the image lies: nothing is copied, for memory decides how fast it is.

Outputs whose windows lie whole in the image are computed together, line by line; those at an edge by themselves, with the taps
that lie in the image. Formulas: kernels/reference/convolution.py.
"""
from ._call import call
from ._jit import kernel
from ._team import range_of
from ._tile import LINE, fetch, tile_width
from ._walk import first_output, segment, shares_of


@kernel
def correlate(product, dots, x, panels, b, walk, s, threads, y):
    """The outputs of a share of the segments: (1). `dots` is for those that sum along channels; here none do."""
    first, last = range_of(walk.segments, s, threads)
    for t in range(first, last):
        image, od, i, j = segment(walk, t)
        planes = _taps(od, walk.D, walk.KD, walk.stride_d, walk.dilation_d, walk.before_d)
        bottom, right = min(i + walk.rows, walk.OH), min(j + walk.cols, walk.OW)
        while i < bottom:
            lines, rows = _alike(i, bottom, walk.H, walk.KH, walk.stride_h, walk.dilation_h, walk.before_h)
            left = j
            while left < right:
                pixels, columns = _alike(left, right, walk.W, walk.KW, walk.stride_w, walk.dilation_w, walk.before_w)
                to = first_output(walk, image, od, i, left)
                if planes[0] < planes[1] and rows[0] < rows[1] and columns[0] < columns[1]:
                    _outputs(product, x, panels, b, walk, image, (od, i, left), planes, rows, columns, lines, pixels, y, to)
                else:
                    _bias_alone(b, walk, lines, pixels, y, to)
                left += pixels
            i += lines


@kernel
def _outputs(product, x, panels, b, walk, image, place, planes, rows, columns, lines, pixels, y, to):
    """(1) for some lines of some pixels that see the same taps."""
    width, taps = tile_width(x), walk.KH * walk.KD * walk.KW
    for kd in range(planes[0], planes[1]):
        at, next_pixel, next_line, next_column, next_row = _windows(walk, image, place, (kd, rows[0], columns[0]))
        rows_of_tile = pixels, next_pixel, walk.y_pixel, lines, next_line, walk.y_row
        if pixels == 1:                                 # an edge: the tile goes down its lines
            rows_of_tile = lines, next_line, walk.y_row, 1, 0, 0
        count, a_row, c_row, others, a_line, c_line = rows_of_tile
        for line in range(others):                      # all channels of a line before the next: they lie side by side
            x_at, y_at = at + line * a_line, to + line * c_line
            for n in range(0, walk.N, width):
                if line + 1 < others:
                    _fetch_share(x, x_at + (rows[1] - rows[0]) * next_row, count * a_row, walk, n)
                    _fetch_share(y, y_at + c_line, count * c_row, walk, n)
                tap = n * taps + ((rows[0] * walk.KD + kd) * walk.KW + columns[0]) * width
                start, start_at, start_row = (b, n, 0) if kd == planes[0] else (y, y_at + n, c_row)
                call(product, x, x_at + n, a_row, next_column, next_row, count,
                     panels, tap, width, walk.KD * walk.KW * width, rows[1] - rows[0], columns[1] - columns[0],
                     start, start_at, start_row, y, y_at + n, c_row, min(width, walk.N - n), True, 1, 0, 0)


@kernel
def _fetch_share(array, at, size, walk, n):
    """Ask memory for as much of the numbers at … at + size - 1 as the panel at n is of all channels.

    A tile reads a part of each pixel. Memory is quicker when it is asked for whole lines in turn, before they are used.
    """
    for i in range(at + size * n // walk.N, at + size * min(n + tile_width(array), walk.N) // walk.N, LINE):
        fetch(array, i)


@kernel
def _bias_alone(b, walk, lines, pixels, y, to):
    for line in range(lines):
        for pixel in range(pixels):
            for n in range(walk.N):
                y[to + line * walk.y_row + pixel * walk.y_pixel + n] = b[n]


@kernel
def weight_gradient(product, x, dy, walk, units, by_columns, s, threads, dw):
    """What a share of the segments adds to the weight gradients, or all add to those of a share of the panels: (3)."""
    width, (first, last), (first_unit, last_unit) = tile_width(x), *shares_of(walk, units, by_columns, s, threads)
    for t in range(first, last):
        image, od, i, j = segment(walk, t)
        bottom, right = min(i + walk.rows, walk.OH), min(j + walk.cols, walk.OW)
        for n in range(first_unit * width, min(last_unit * width, walk.N), width):
            for kh in range(walk.KH):
                seen = _outputs_that_see(kh, walk.OH, walk.H, walk.stride_h, walk.dilation_h, walk.before_h)
                top, lines = max(i, seen[0]), min(bottom, seen[1]) - max(i, seen[0])
                left = j if lines > 0 else right
                while left < right:
                    pixels, columns = _alike(left, right, walk.W, walk.KW, walk.stride_w, walk.dilation_w, walk.before_w)
                    if columns[0] < columns[1]:
                        _gradients(product, x, dy, walk, image, (od, top, left), kh, columns, lines, pixels, n, dw)
                    left += pixels


@kernel
def _gradients(product, x, dy, walk, image, place, kh, columns, lines, pixels, n, dw):
    """(3) for a row of taps, summed over some lines of some pixels that see the same ones."""
    up = first_output(walk, image, place[0], place[1], place[2]) + n
    planes = _taps(place[0], walk.D, walk.KD, walk.stride_d, walk.dilation_d, walk.before_d)
    for kd in range(planes[0], planes[1]):
        at, next_pixel, next_line, next_column, _ = _windows(walk, image, place, (kd, kh, columns[0]))
        to = ((kd * walk.KH + kh) * walk.KW + columns[0]) * walk.N + n
        call(product, x, at + n, next_column, next_pixel, next_line, columns[1] - columns[0],
             dy, up, walk.y_pixel, walk.y_row, lines, pixels,
             dw, to, walk.N, dw, to, walk.N, min(tile_width(x), walk.N - n), True, 1, 0, 0)


@kernel
def _windows(walk, image, place, tap):
    """Where a tap of an output's window lies, and the way to the next pixel, line, column of taps and row of taps."""
    row = walk.W * walk.C
    z = place[0] * walk.stride_d - walk.before_d + tap[0] * walk.dilation_d
    y = place[1] * walk.stride_h - walk.before_h + tap[1] * walk.dilation_h
    x = place[2] * walk.stride_w - walk.before_w + tap[2] * walk.dilation_w
    at = (((image * walk.D + z) * walk.H + y) * walk.W + x) * walk.C
    return at, walk.stride_w * walk.C, walk.stride_h * row, walk.dilation_w * walk.C, walk.dilation_h * row


@kernel
def _alike(place, end, n, k, s, d, before):
    """How many outputs from `place` on see the same taps of an axis of n, and those: the first and the one behind the last."""
    whole, behind = (before + s - 1) // s, (n - 1 - (k - 1) * d + before) // s + 1      # those that see all taps
    if whole <= place < behind:
        return min(end, behind) - place, (0, k)
    return 1, _taps(place, n, k, s, d, before)


@kernel
def _taps(place, n, k, s, d, before):
    """The first tap of an output that lies in the image, and the one behind the last."""
    start = place * s - before
    first = max(0, (d - 1 - start) // d)
    return first, max(first, min(k, (n - 1 - start) // d + 1))


@kernel
def _outputs_that_see(tap, outputs, n, s, d, before):
    """The first output for which a tap lies in the image, and the one behind the last."""
    start = tap * d - before
    return max(0, (s - 1 - start) // s), min(outputs, (n - 1 - start) // s + 1)
