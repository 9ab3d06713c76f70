r"""3 x 3 convolution of stride 1 with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3).

    Y  = A^T ((G g G^T) * (B^T d B)) A          (1)     d 6 x 6 numbers of the image, g 3 x 3 weights, Y 4 x 4 outputs
    dg = G^T ((A dY A^T) * (B^T d B)) G         (2)

* multiplies element by element; over all channels each of the 36 elements becomes a matrix product for the register tile; in a
volume the planes of a window (KD of them) count as more channels. B, G and A belong to the points 0, 1, -1, 2, -2 and infinity.
Their numbers up to 8 cost float32 a digit: 1e-5 of the largest output.
Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.
"""
import numpy as np
from numba import prange

from ._call import address, call
from ._jit import kernel, parallel_kernel
from ._lanes import lanes_of, load, splat, store
from ._tile import aligned_empty, column_product, product_address, tile_width
from ._walk import first_output, gather, pack, segment

CACHED = 1 << 17            # turned numbers that are worked on together: they stay in the second-level cache
FEWEST_TILES = 12           # of 4 x 4 outputs, worked on together or in all: fewer leave the register tile empty
FEWEST_CHANNELS = 16        # fewer are turned to and fro for longer than they are multiplied; in and out together 48
PRIVATE = 1 << 20           # turned weight gradients that each thread may keep for itself


def pays(walk):
    """Whether the convolution is one of 3 x 3 and stride 1, and what it saves outweighs turning numbers to and fro."""
    one = walk.stride_h == walk.stride_w == walk.dilation_h == walk.dilation_w == 1
    square = walk.KH == walk.KW == 3 and one
    plain = walk.groups == 1 and not walk.multiplier and walk.y_pixel == walk.N and min(walk.C, walk.N) >= FEWEST_CHANNELS
    enough = walk.KD * walk.C + walk.N >= 3 * FEWEST_CHANNELS
    large = min(walk.OH, walk.OW) >= 8 and walk.images * walk.OD * walk.OH * walk.OW >= 16 * max(walk.KD * walk.C, walk.N)
    cached = _tiles_together(walk) >= FEWEST_TILES and 36 * walk.KD * walk.C * walk.N <= PRIVATE
    return square and plain and enough and large and cached


def _tiles_together(walk):
    return CACHED // (36 * (walk.KD * walk.C + walk.N))


def _in_tiles(walk):
    """The same walk in segments of whole tiles, all of them gathered."""
    most, needed = _tiles_together(walk), -(-walk.OW // 4)
    rows, cols = 4 * max(1, min(-(-walk.OH // 4), most // needed)), 4 * min(needed, most)
    line = walk.KD * (cols + 2) * walk.C
    return walk._replace(rows=rows, cols=cols, segments=walk.images * walk.OD * -(-walk.OH // rows) * -(-walk.OW // cols),
                         in_place=0, size=(rows + 2) * line, row=line, runs=3 * walk.KD, length=3 * walk.C)


def correlate(x, w, b, walk, weights, units, threads, panels, y):
    walk = _in_tiles(walk)
    turned = aligned_empty(4 * panels.size, w.dtype)
    product = product_address(column_product, x.dtype)
    if threads == 1:
        pack(w, walk, weights, 0, units, panels)
        _turn_weights(panels, walk.KD, walk.C, 0, units, turned)
        _correlate_segments(product, x, turned, b, walk, 0, walk.segments, y)
    else:
        part = address(_correlate_segments, x.dtype, product, x, turned, b, walk, 0, walk.segments, y)
        packing = address(pack, x.dtype, w, walk, weights, 0, units, panels)
        turn = address(_turn_weights, x.dtype, panels, walk.KD, walk.C, 0, units, turned)
        _correlate_parallel(part, packing, turn, product, x, w, b, walk, weights, units, threads, panels, turned, y)


def weight_gradient(x, dy, walk, threads, dw):
    walk = _in_tiles(walk)
    turned = np.zeros((threads, 36 * walk.KD * walk.C * walk.N), dw.dtype)
    product = product_address(column_product, x.dtype)
    if threads == 1:
        _weight_gradient_segments(product, x, dy, walk, 0, walk.segments, turned[0])
        _turn_gradient_back(turned, walk.KD, 0, walk.C * walk.N, dw)
    else:
        part = address(_weight_gradient_segments, x.dtype, product, x, dy, walk, 0, walk.segments, turned[0])
        turn_back = address(_turn_gradient_back, x.dtype, turned, walk.KD, 0, walk.C * walk.N, dw)
        _weight_gradient_parallel(part, turn_back, product, x, dy, walk, threads, turned, dw)


@parallel_kernel
def _correlate_parallel(part, packing, turn, product, x, w, b, walk, weights, units, threads, panels, turned, y):
    for s in prange(threads):
        first, last = s * units // threads, (s + 1) * units // threads
        call(packing, w, walk, weights, first, last, panels)
        call(turn, panels, walk.KD, walk.C, first, last, turned)
    for s in prange(threads):
        call(part, product, x, turned, b, walk, s * walk.segments // threads, (s + 1) * walk.segments // threads, y)


@parallel_kernel
def _weight_gradient_parallel(part, turn_back, product, x, dy, walk, threads, turned, dw):
    for s in prange(threads):
        first, last = s * walk.segments // threads, (s + 1) * walk.segments // threads
        call(part, product, x, dy, walk, first, last, turned[s])
    size = walk.C * walk.N
    for s in prange(threads):
        call(turn_back, turned, walk.KD, s * size // threads, (s + 1) * size // threads, dw)


@kernel
def _correlate_segments(product, x, weights, b, walk, first, last, y):
    """The outputs of some segments, 4 x 4 at a time: (1)."""
    most, width, channels = walk.rows * walk.cols // 16, tile_width(x), walk.KD * walk.C
    scratch, image_part = np.empty(walk.size, x.dtype), np.empty(36 * most * channels, x.dtype)
    products = np.empty(36 * most * walk.N, x.dtype)
    for t in range(first, last):
        at, rows, cols, across, down = _turn_segment(x, walk, t, scratch, image_part)
        tiles = across * down
        for p in range(36):
            for n in range(0, walk.N, width):
                to = p * tiles * walk.N + n
                call(product, image_part, p * tiles * channels, channels, 1, 0, tiles,
                     weights, (n // width * 36 + p) * channels * width, width, 0, 1, channels,
                     products, to, walk.N, products, to, walk.N, min(width, walk.N - n), False, 1, 0, 0)
        _turn_outputs_back(products, b, walk.N, across, down, y, at, walk.y_row, walk.y_pixel, rows, cols)


@kernel
def _weight_gradient_segments(product, x, dy, walk, first, last, dturned):
    """What some segments add to the turned weight gradients (36, C, N): the inner part of (2), summed over tiles."""
    most, width, channels = walk.rows * walk.cols // 16, tile_width(x), walk.KD * walk.C
    scratch, image_part = np.empty(walk.size, x.dtype), np.empty(36 * most * channels, x.dtype)
    upstream = np.empty(36 * most * walk.N, x.dtype)
    for t in range(first, last):
        at, rows, cols, across, down = _turn_segment(x, walk, t, scratch, image_part)
        tiles = across * down
        _turn_upstream(dy, at, walk.N, walk.y_row, walk.y_pixel, rows, cols, across, down, upstream)
        for p in range(36):
            for n in range(0, walk.N, width):
                to = p * channels * walk.N + n
                call(product, image_part, p * tiles * channels, 1, channels, 0, channels,
                     upstream, p * tiles * walk.N + n, walk.N, 0, 1, tiles,
                     dturned, to, walk.N, dturned, to, walk.N, min(width, walk.N - n), True, 1, 0, 0)


@kernel
def _turn_segment(x, walk, t, scratch, turned):
    """Turn what segment t sees of the image. Returns where its outputs begin, its rows and columns, and its tiles each way."""
    image, od, i, j = segment(walk, t)
    rows, cols = min(walk.rows, walk.OH - i), min(walk.cols, walk.OW - j)
    across, down = (cols + 3) // 4, (rows + 3) // 4
    gather(x, walk, t, 0, scratch, 0)
    _turn_image(scratch, walk.KD, walk.C, walk.row, across, down, turned)
    return first_output(walk, image, od, i, j), rows, cols, across, down


@kernel
def _turn_weights(panels, planes, channels, first, last, turned):
    """G g G^T of some panels: (unit, 3 rows, plane, 3, channel, column) -> (unit, 36, plane, channel, column)."""
    width = tile_width(panels)
    step, plane, t = channels * width, planes * channels * width, np.empty(18 * width, panels.dtype)
    for unit in range(first, last):
        for k in range(planes):
            for c in range(channels):
                at, to = unit * 9 * plane + k * 3 * step + c * width, unit * 36 * plane + k * step + c * width
                for j in range(3):
                    _times_G(panels, at + j * step, 3 * plane, t, j * width, 3 * width)
                for i in range(6):
                    _times_G(t, i * 3 * width, width, turned, to + i * 6 * plane, plane)


@kernel
def _turn_image(scratch, planes, C, row, across, down, turned):
    """B^T d B of the tiles of a segment: (rows, planes, columns, C) -> (36, tile, planes, C)."""
    lanes = lanes_of(scratch)
    t, step = np.empty(36 * lanes, scratch.dtype), across * down * planes * C
    for tile in range(across * down):
        for k in range(planes):
            at, to = tile // across * 4 * row + k * (row // planes) + tile % across * 4 * C, (tile * planes + k) * C
            for c in range(0, C, lanes):
                for j in range(6):
                    _times_B(scratch, at + j * C + c, row, C - c, t, j * lanes, 6 * lanes, lanes)
                for i in range(6):
                    _times_B(t, i * 6 * lanes, lanes, lanes, turned, i * 6 * step + to + c, step, C - c)


@kernel
def _turn_upstream(dy, dy_at, N, dy_row, dy_pixel, rows, cols, across, down, turned):
    """A dY A^T of the tiles of a segment, zeros beyond `rows` and `cols`: dy -> (36, tile, N)."""
    lanes = lanes_of(dy)
    t, step = np.empty(24 * lanes, dy.dtype), across * down * N
    for tile in range(across * down):
        top, side = tile // across * 4, tile % across * 4
        for n in range(0, N, lanes):
            left = N - n
            for j in range(4):
                inside, at = left if side + j < cols else 0, dy_at + top * dy_row + (side + j) * dy_pixel + n
                _times_A(dy, at, dy_row, inside, rows - top, t, j * lanes, 4 * lanes, lanes)
            for i in range(6):
                _times_A(t, i * 4 * lanes, lanes, lanes, 4, turned, i * 6 * step + tile * N + n, step, left)


@kernel
def _turn_outputs_back(products, b, N, across, down, y, y_at, y_row, y_pixel, rows, cols):
    """A^T (...) A + b of the tiles of a segment, as far as they lie within `rows` and `cols`: (36, tile, N) -> y."""
    lanes, step = lanes_of(products), across * down * N
    t = np.empty(24 * lanes, products.dtype)
    for tile in range(across * down):
        top, side = tile // across * 4, tile % across * 4
        for n in range(0, N, lanes):
            left, bias = N - n, load(b, n, N - n, b)
            for j in range(6):
                y0, y1, y2, y3 = _times_A_transposed(products, tile * N + n + j * step, 6 * step, left)
                store(y0, t, j * lanes, lanes)
                store(y1, t, (6 + j) * lanes, lanes)
                store(y2, t, (12 + j) * lanes, lanes)
                store(y3, t, (18 + j) * lanes, lanes)
            for i in range(min(4, rows - top)):
                y0, y1, y2, y3 = _times_A_transposed(t, i * 6 * lanes, lanes, lanes)
                to = y_at + (top + i) * y_row + side * y_pixel + n
                store(y0 + bias, y, to, left)
                store(y1 + bias, y, to + y_pixel, left if side + 1 < cols else 0)
                store(y2 + bias, y, to + 2 * y_pixel, left if side + 2 < cols else 0)
                store(y3 + bias, y, to + 3 * y_pixel, left if side + 3 < cols else 0)


@kernel
def _turn_gradient_back(turned, planes, first, last, dw):
    """G^T (...) G of some weights, added up over threads and to dw: (thread, 36, plane, C N) -> (plane, 9, C N)."""
    size, lanes = dw.size // (9 * planes), lanes_of(dw)
    total, t = np.empty(36 * lanes, dw.dtype), np.empty(18 * lanes, dw.dtype)
    for k in range(planes):
        for n in range(first, last, lanes):
            left = last - n
            for p in range(36):
                part = splat(dw.dtype.type(0), dw)
                for s in range(len(turned)):
                    part = part + load(turned[s], (p * planes + k) * size + n, left, dw)
                store(part, total, p * lanes, lanes)
            for j in range(6):
                g0, g1, g2 = _times_G_transposed(total, j * lanes, 6 * lanes)
                store(g0, t, j * lanes, lanes)
                store(g1, t, (6 + j) * lanes, lanes)
                store(g2, t, (12 + j) * lanes, lanes)
            for i in range(3):
                g0, g1, g2 = _times_G_transposed(t, i * 6 * lanes, lanes)
                at = (k * 9 + i * 3) * size + n
                store(load(dw, at, left, dw) + g0, dw, at, left)
                store(load(dw, at + size, left, dw) + g1, dw, at + size, left)
                store(load(dw, at + 2 * size, left, dw) + g2, dw, at + 2 * size, left)


@kernel
def _times_G(g, at, step, target, to, to_step):
    """Six numbers G g of three, in every column of a tile."""
    number, width = g.dtype.type, lanes_of(g)
    g0, g1, g2 = load(g, at, width, g), load(g, at + step, width, g), load(g, at + 2 * step, width, g)
    quarter, sixth, twelfth = splat(number(1 / 4), g), splat(number(1 / 6), g), splat(number(1 / 12), g)
    minus, twenty_fourth = splat(number(-1 / 6), g), splat(number(1 / 24), g)
    ends, even = minus * (g0 + g2), twenty_fourth * g0 + sixth * g2
    store(quarter * g0, target, to, width)
    store(ends + minus * g1, target, to + to_step, width)
    store(ends + sixth * g1, target, to + 2 * to_step, width)
    store(even + twelfth * g1, target, to + 3 * to_step, width)
    store(even + splat(number(-1 / 12), g) * g1, target, to + 4 * to_step, width)
    store(g2, target, to + 5 * to_step, width)


@kernel
def _times_G_transposed(u, at, step):
    """Three numbers G^T u of six, in every lane."""
    number, width = u.dtype.type, lanes_of(u)
    u0, u1, u2 = load(u, at, width, u), load(u, at + step, width, u), load(u, at + 2 * step, width, u)
    u3, u4, u5 = load(u, at + 3 * step, width, u), load(u, at + 4 * step, width, u), load(u, at + 5 * step, width, u)
    sixth, minus, one = splat(number(1 / 6), u), splat(number(-1 / 6), u), splat(number(-1), u)
    inner, outer = minus * (u1 + u2), u3 + u4
    g0 = splat(number(1 / 4), u) * u0 + (inner + splat(number(1 / 24), u) * outer)
    g1 = sixth * (u2 + one * u1) + splat(number(1 / 12), u) * (u3 + one * u4)
    return g0, g1, u5 + (inner + sixth * outer)


@kernel
def _times_B(d, at, step, left, target, to, to_step, to_left):
    """Six numbers B^T d of six, in every lane."""
    number = d.dtype.type
    two, four, minus = splat(number(2), d), splat(number(4), d), splat(number(-1), d)
    minus_four, minus_five = splat(number(-4), d), splat(number(-5), d)
    d0, d1, d2 = load(d, at, left, d), load(d, at + step, left, d), load(d, at + 2 * step, left, d)
    d3, d4, d5 = load(d, at + 3 * step, left, d), load(d, at + 4 * step, left, d), load(d, at + 5 * step, left, d)
    a, b = minus_four * d2 + d4, minus_four * d1 + d3
    c, e = minus * d2 + d4, two * (minus * d1 + d3)
    store(four * d0 + (minus_five * d2 + d4), target, to, to_left)
    store(a + b, target, to + to_step, to_left)
    store(minus * b + a, target, to + 2 * to_step, to_left)
    store(c + e, target, to + 3 * to_step, to_left)
    store(minus * e + c, target, to + 4 * to_step, to_left)
    store(four * d1 + (minus_five * d3 + d5), target, to + 5 * to_step, to_left)


@kernel
def _times_A(y, at, step, left, count, target, to, to_step, to_left):
    """Six numbers A y of four, of which `count` are there and the others zero, in every lane."""
    number = y.dtype.type
    two, four, eight, minus = splat(number(2), y), splat(number(4), y), splat(number(8), y), splat(number(-1), y)
    y0, y1 = load(y, at, left, y), load(y, at + step, left if count > 1 else 0, y)
    y2, y3 = load(y, at + 2 * step, left if count > 2 else 0, y), load(y, at + 3 * step, left if count > 3 else 0, y)
    even, odd, even2, odd2 = y0 + y2, y1 + y3, four * y2 + y0, two * y1 + eight * y3
    store(y0, target, to, to_left)
    store(even + odd, target, to + to_step, to_left)
    store(minus * odd + even, target, to + 2 * to_step, to_left)
    store(even2 + odd2, target, to + 3 * to_step, to_left)
    store(minus * odd2 + even2, target, to + 4 * to_step, to_left)
    store(y3, target, to + 5 * to_step, to_left)


@kernel
def _times_A_transposed(m, at, step, left):
    """Four numbers A^T m of six, in every lane."""
    number = m.dtype.type
    two, four, eight, minus = splat(number(2), m), splat(number(4), m), splat(number(8), m), splat(number(-1), m)
    m0, m1, m2 = load(m, at, left, m), load(m, at + step, left, m), load(m, at + 2 * step, left, m)
    m3, m4, m5 = load(m, at + 3 * step, left, m), load(m, at + 4 * step, left, m), load(m, at + 5 * step, left, m)
    s, d, p, r = m1 + m2, minus * m2 + m1, m3 + m4, minus * m4 + m3
    return m0 + (s + p), two * r + d, four * p + s, (eight * r + d) + m5
