r"""3 x 3 convolution of stride 1 with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3).

    Y  = A^T ((G g G^T) * (B^T d B)) A          (1)     d 6 x 6 numbers of the image, g 3 x 3 weights, Y 4 x 4 outputs
    dg = G^T ((A dY A^T) * (B^T d B)) G         (2)

* multiplies element by element; over all channels each of the 36 elements becomes a matrix product for the register tile, and
in a volume each plane is turned once for all windows that see it. B, G and A belong to the points 0, 1, -1, 2, -2 and infinity.
Their numbers up to 8 cost float32 a digit: 1e-5 of the largest output, also where it is not the output's own window that holds
the large numbers but a neighbour's in the same tile. An inf or a NaN would spoil whole tiles: both passes find out, and leave
what it is in to the plain convolution.
Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.
"""
from functools import lru_cache

import numpy as np
from numba.extending import register_jitable

from .. import aligned
from ._call import address, call
from ._jit import even, kernel
from ._lanes import lanes_of, load, splat, store
from ._team import range_of, share, share_out, team_of
from ._threads import launch
from ._tile import column_product, product_address, tile_width
from ._turns import times_A, times_A_transposed, times_B, times_G, times_G_transposed
from ._walk import first_output, gather_row, pack

CACHED = 1 << 17            # turned numbers that a thread works on: they stay in the second-level cache;
TOGETHER = 1 << 20          # or, at least, that all threads work on together where they would read too many turned weights
DEEP = 16                   # planes of outputs that a block of a volume has at most
FEWEST_TILES = 12           # of 4 x 4 outputs: fewer leave the register tile empty
FEWEST_CHANNELS = 16        # fewer are turned to and fro for longer than they are multiplied; in and out together 48
FEWEST_PIXELS = 4           # outputs for each channel: the weights are turned to and fro too
PRIVATE = 1 << 18           # turned weights or gradients that each thread may read whole, or keep for itself
MOST = 1 << 24              # turned weights that there may be at all: memory for them is four times that for the weights


def pays(walk):
    """Whether the convolution is one of 3 x 3 and stride 1, and what it saves outweighs turning numbers to and fro."""
    one = walk.stride_h == walk.stride_w == walk.dilation_h == walk.dilation_w == 1
    square = walk.KH == walk.KW == 3 and one
    plain = walk.groups == 1 and not walk.multiplier and walk.y_pixel == walk.N and min(walk.C, walk.N) >= FEWEST_CHANNELS
    enough = walk.KD * walk.C + walk.N >= 3 * FEWEST_CHANNELS
    tiles, images = -(-walk.OH // 4) * -(-walk.OW // 4), walk.images * walk.OD
    used = 8 * tiles <= walk.OH * walk.OW                       # of the tiles' outputs half or more lie in the image
    large = images * tiles >= FEWEST_TILES and images * walk.OH * walk.OW >= FEWEST_PIXELS * max(walk.KD * walk.C, walk.N)
    return square and plain and enough and used and large and _turned_weights(walk) <= MOST


def _turned_weights(walk):
    return 36 * walk.KD * walk.C * walk.N


def _shared(walk):
    """Whether all threads work on one block together, for there are too many turned weights to be read for every few tiles."""
    return _turned_weights(walk) > PRIVATE


@lru_cache(maxsize=1024)
def in_blocks(walk, threads):
    """The same walk in blocks of tiles: `rows` x `cols` outputs of `together` planes, and `size` numbers of a row of tiles.

    Where planes do not meet in a window, the images count as the planes of one.
    """
    if walk.KD == walk.stride_d == 1 and walk.before_d == 0 and walk.D == walk.OD and walk.y_image == walk.OD * walk.y_plane:
        walk = walk._replace(images=1, D=walk.images * walk.D, OD=walk.images * walk.OD)
    across, down, planes = -(-walk.OW // 4), -(-walk.OH // 4), 1
    if _shared(walk):
        most = max(TOGETHER, _turned_weights(walk) // 2)
    else:
        most = min(CACHED, 36 * (walk.C + walk.N) * max(FEWEST_TILES, -(-walk.images * walk.OD * across * down // threads)))
    if walk.KD > 1:
        planes = even(walk.OD, DEEP)
        while planes > 1 and _numbers(walk, planes) > most:
            planes = (planes + 1) // 2
    most = max(1, most // _numbers(walk, planes))
    cols = even(across, most)
    rows = even(down, max(1, most // cols))
    if walk.KD == 1:
        planes = even(walk.OD, max(1, most // (cols * rows)))
    row = (4 * cols + 2) * walk.C
    return walk._replace(rows=4 * rows, cols=4 * cols, together=planes, size=6 * row, row=row,
                         segments=walk.images * -(-walk.OD // planes) * -(-down // rows) * -(-across // cols))


def _numbers(walk, planes):
    """How many turned numbers a tile of so many planes has."""
    return 36 * (_planes_seen(walk, planes) * walk.C + planes * walk.N)


@register_jitable
def _planes_seen(walk, planes):
    """How many planes of the image the windows of neighbouring planes of outputs see."""
    return (planes - 1) * walk.stride_d + (walk.KD - 1) * walk.dilation_d + 1


def empty_turned(panels):
    """Where packed weights go when they are turned: 36 numbers for 9."""
    return aligned.empty(4 * panels.size, panels.dtype, large=0)


def correlate(x, w, b, walk, weights, units, threads, panels, y):
    """Returns whether all numbers are finite; where not, y must be computed plainly. So also where sums overflow on the way."""
    walk = in_blocks(walk, threads)
    turned, spoilt = empty_turned(panels), np.zeros(1, bool)
    product = product_address(column_product, x.dtype)
    share(pack, threads, (w, walk, weights, units), (panels,))
    share(turn_weights, threads, (panels, walk.KD, walk.C, units), (turned,))
    if threads == 1 or not _shared(walk):
        share(correlate_blocks, threads, (product, x, turned, b, walk), (spoilt, y))
    else:
        image_part, products = _room(walk, x)
        turn = address(_turn_image, x, walk, 0, 0, threads, image_part)
        part = address(_multiply, product, image_part, turned, walk, 0, 0, threads, products)
        back = address(_turn_outputs_back, products, b, walk, 0, 0, threads, spoilt, y)
        launch(_correlate_together, team_of(threads), turn, part, back, product, x, turned, b, walk, image_part, products,
               spoilt, y)
    return not spoilt[0]


def weight_gradient(x, dy, walk, threads, dw):
    """Returns (KD, C N): which weights' gradients nothing was added to, for they would not be finite."""
    walk = in_blocks(walk, threads)
    product = product_address(column_product, x.dtype)
    together = threads > 1 and _shared(walk)
    turned = np.zeros((1 if together else threads, _turned_weights(walk)), dw.dtype)
    spoilt = np.zeros((walk.KD, walk.C * walk.N), bool)
    if together:
        image_part, upstream = _room(walk, x)
        turn = address(_turn_image, x, walk, 0, 0, threads, image_part)
        turn_up = address(_turn_upstream, dy, walk, 0, 0, threads, upstream)
        part = address(_multiply_gradient, product, image_part, upstream, walk, 0, 0, threads, turned[0])
        launch(_gradient_together, team_of(threads), turn, turn_up, part, product, x, dy, walk, image_part, upstream, turned[0])
    else:
        share(_gradient_blocks, threads, (product, x, dy, walk), (turned,))
    share(_turn_gradient_back, threads, (turned,), (spoilt, dw))
    return spoilt


@kernel
def _correlate_together(team, turn, part, back, product, x, weights, b, walk, image_part, products, spoilt, y):
    for t in range(walk.segments):
        share_out(team, turn, (x, walk, t), (image_part,))
        share_out(team, part, (product, image_part, weights, walk, t), (products,))
        share_out(team, back, (products, b, walk, t), (spoilt, y))


@kernel
def _gradient_together(team, turn, turn_up, part, product, x, dy, walk, image_part, upstream, turned):
    for t in range(walk.segments):
        share_out(team, turn, (x, walk, t), (image_part,))
        share_out(team, turn_up, (dy, walk, t), (upstream,))
        share_out(team, part, (product, image_part, upstream, walk, t), (turned,))


@kernel
def correlate_blocks(product, x, weights, b, walk, s, threads, spoilt, y):
    """The outputs of a share of the blocks, 4 x 4 at a time: (1). Makes `spoilt[0]` true where one is not finite."""
    (first, last), (image_part, products) = range_of(walk.segments, s, threads), _room(walk, x)
    for t in range(first, last):
        _turn_image(x, walk, t, 0, 1, image_part)
        _multiply(product, image_part, weights, walk, t, 0, 1, products)
        _turn_outputs_back(products, b, walk, t, 0, 1, spoilt, y)


@kernel
def _gradient_blocks(product, x, dy, walk, s, threads, dturned):
    """The turned weight gradients (36, KD, C, N) of a share of the blocks, the inner part of (2), added to row s."""
    (first, last), (image_part, upstream) = range_of(walk.segments, s, threads), _room(walk, x)
    for t in range(first, last):
        _turn_image(x, walk, t, 0, 1, image_part)
        _turn_upstream(dy, walk, t, 0, 1, upstream)
        _multiply_gradient(product, image_part, upstream, walk, t, 0, 1, dturned[s])


@kernel
def _room(walk, like):
    """Where a block's turned image and its turned outputs go."""
    tiles, width = walk.rows * walk.cols // 16, tile_width(like)
    columns = (walk.N + width - 1) // width * width
    seen = _planes_seen(walk, walk.together)
    return np.empty(36 * seen * tiles * walk.C, like.dtype), np.empty(36 * walk.together * tiles * columns, like.dtype)


@kernel
def _block(walk, t):
    """Image, first plane, first row and first column of the outputs of block t, and its planes and tiles down and across."""
    wide, high, deep = -(-walk.OW // walk.cols), -(-walk.OH // walk.rows), -(-walk.OD // walk.together)
    od, i, j = t // (wide * high) % deep * walk.together, t // wide % high * walk.rows, t % wide * walk.cols
    planes, down, across = min(walk.together, walk.OD - od), min(walk.rows, walk.OH - i), min(walk.cols, walk.OW - j)
    return t // (wide * high * deep), od, i, j, planes, (down + 3) // 4, (across + 3) // 4


@kernel
def _layout(walk, t, like):
    """What both products of block t need: planes, tiles of a plane, panels, numbers of an element of the image, and width."""
    _, _, _, _, planes, down, across = _block(walk, t)
    tiles, width = down * across, tile_width(like)
    return planes, tiles, (walk.N + width - 1) // width, _planes_seen(walk, planes) * tiles * walk.C, width


@kernel
def _multiply(product, image_part, weights, walk, t, part, parts, products):
    """The sum over channels of (1), for a share of the 36 elements: -> (36, panel, plane, tile, column)."""
    planes, tiles, panels, seen, width = _layout(walk, t, products)
    rows, lines = (planes * tiles, 1) if walk.stride_d == 1 else (tiles, planes)
    for p in range(*range_of(36, part, parts)):
        for n in range(panels):
            to = (p * panels + n) * planes * tiles * width
            call(product, image_part, p * seen, walk.C, 1, walk.dilation_d * tiles * walk.C, rows,
                 weights, (n * 36 + p) * walk.KD * walk.C * width, width, walk.C * width, walk.KD, walk.C,
                 products, to, width, products, to, width, min(width, walk.N - n * width), False,
                 lines, walk.stride_d * tiles * walk.C, tiles * width)


@kernel
def _multiply_gradient(product, image_part, upstream, walk, t, part, parts, dturned):
    """The sum over tiles of (2), for a share of the 36 elements: added to (36, plane, C, N)."""
    planes, tiles, panels, seen, width = _layout(walk, t, upstream)
    runs, length = (1, planes * tiles) if walk.stride_d == 1 else (planes, tiles)
    for p in range(*range_of(36, part, parts)):
        for k in range(walk.KD):
            for n in range(panels):
                to = (p * walk.KD + k) * walk.C * walk.N + n * width
                call(product, image_part, p * seen + k * walk.dilation_d * tiles * walk.C, 1, walk.C,
                     walk.stride_d * tiles * walk.C, walk.C,
                     upstream, (p * panels + n) * planes * tiles * width, width, tiles * width, runs, length,
                     dturned, to, walk.N, dturned, to, walk.N, min(width, walk.N - n * width), True, 1, 0, 0)


@kernel
def turn_weights(panels, planes, channels, units, s, threads, turned):
    """G g G^T of a share of the panels: (unit, 3 rows, plane, 3, channel, column) -> (unit, 36, plane, channel, column)."""
    first, last = range_of(units, s, threads)
    width = tile_width(panels)
    step, plane, t = channels * width, planes * channels * width, np.empty(18 * width, panels.dtype)
    for unit in range(first, last):
        for k in range(planes):
            for c in range(channels):
                at, to = unit * 9 * plane + k * 3 * step + c * width, unit * 36 * plane + k * step + c * width
                for j in range(3):
                    times_G(panels, at + j * step, 3 * plane, t, j * width, 3 * width)
                for i in range(6):
                    times_G(t, i * 3 * width, width, turned, to + i * 6 * plane, plane)


@kernel
def _turn_image(x, walk, t, part, parts, turned):
    """B^T d B of a share of the rows of tiles of block t: x -> (36, plane, tile, C)."""
    lanes, C = lanes_of(x), walk.C
    image, od, i, j, planes, down, across = _block(walk, t)
    rows = _planes_seen(walk, planes) * down
    scratch, between, step = np.empty(walk.size, x.dtype), np.empty(36 * lanes, x.dtype), rows * across * C
    for row in range(*range_of(rows, part, parts)):
        z, y = od * walk.stride_d - walk.before_d + row // down, i + row % down * 4 - walk.before_h
        for line in range(6):
            gather_row(x, walk, image, z, y + line, j - walk.before_w, 1, 4 * across + 2, 0, scratch, line * walk.row)
        for tile in range(across):
            at, to = tile * 4 * C, (row * across + tile) * C
            for c in range(0, C, lanes):
                for q in range(6):
                    times_B(scratch, at + q * C + c, walk.row, C - c, between, q * lanes, 6 * lanes, lanes)
                for q in range(6):
                    times_B(between, q * 6 * lanes, lanes, lanes, turned, q * 6 * step + to + c, step, C - c)


@kernel
def _turn_upstream(dy, walk, t, part, parts, turned):
    """A dY A^T of a share of the rows of tiles of block t, zeros beyond the image: dy -> (36, panel, plane, tile, column)."""
    lanes = lanes_of(dy)
    image, od, i, j, planes, down, across = _block(walk, t)
    rows, panels = planes * down, (walk.N + lanes - 1) // lanes
    between, size = np.empty(24 * lanes, dy.dtype), rows * across * lanes
    for row in range(*range_of(rows, part, parts)):
        top = i + row % down * 4
        for tile in range(across):
            at = first_output(walk, image, od + row // down, top, j + 4 * tile)
            for n in range(panels):
                left, to = walk.N - n * lanes, n * size + (row * across + tile) * lanes
                for q in range(4):
                    inside = left if j + 4 * tile + q < walk.OW else 0
                    times_A(dy, at + q * walk.y_pixel + n * lanes, walk.y_row, inside, walk.OH - top,
                             between, q * lanes, 4 * lanes, lanes)
                for q in range(6):
                    times_A(between, q * 4 * lanes, lanes, lanes, 4, turned, to + q * 6 * panels * size, panels * size, lanes)


@kernel
def _turn_outputs_back(products, b, walk, t, part, parts, spoilt, y):
    """A^T (...) A + b of a share of the rows of tiles of block t, as far as they lie in the image; see `correlate_blocks`."""
    lanes = lanes_of(products)
    image, od, i, j, planes, down, across = _block(walk, t)
    rows, panels = planes * down, (walk.N + lanes - 1) // lanes
    between, size = np.empty(24 * lanes, products.dtype), rows * across * lanes
    zero = splat(products.dtype.type(0), products)
    trace = zero                                    # 0, unless there is an inf or a NaN: 0 times either is NaN
    for row in range(*range_of(rows, part, parts)):
        top = i + row % down * 4
        for tile in range(across):
            side = j + 4 * tile
            at = first_output(walk, image, od + row // down, top, side)
            for n in range(panels):
                left, bias = walk.N - n * lanes, load(b, n * lanes, walk.N - n * lanes, b)
                come, to = n * size + (row * across + tile) * lanes, at + n * lanes
                for q in range(6):
                    y0, y1, y2, y3 = times_A_transposed(products, come + q * panels * size, 6 * panels * size, lanes)
                    store(y0, between, q * lanes, lanes)
                    store(y1, between, (6 + q) * lanes, lanes)
                    store(y2, between, (12 + q) * lanes, lanes)
                    store(y3, between, (18 + q) * lanes, lanes)
                for q in range(min(4, walk.OH - top)):
                    y0, y1, y2, y3 = times_A_transposed(between, q * 6 * lanes, lanes, lanes)
                    trace = trace + zero * (y0 + y3)            # what is in y1 or y2 is in one of these
                    here = to + q * walk.y_row
                    store(y0 + bias, y, here, left)
                    store(y1 + bias, y, here + walk.y_pixel, left if side + 1 < walk.OW else 0)
                    store(y2 + bias, y, here + 2 * walk.y_pixel, left if side + 2 < walk.OW else 0)
                    store(y3 + bias, y, here + 3 * walk.y_pixel, left if side + 3 < walk.OW else 0)
    if _is_not_zero(trace, between):
        spoilt[0] = True


@kernel
def _is_not_zero(trace, room):
    """Whether a lane of the vector is not 0, but NaN."""
    store(trace, room, 0, lanes_of(room))
    total = room[0]
    for n in range(1, lanes_of(room)):
        total += room[n]
    return total != 0


@kernel
def _turn_gradient_back(turned, s, threads, spoilt, dw):
    """G^T (...) G of a share of the weights, added up over threads and to dw: (thread, 36, plane, C N) -> (plane, 9, C N).

    Some weights are turned together; if not all of their numbers are finite, they become `spoilt` (plane, C N) instead.
    """
    planes, size = spoilt.shape
    (first, last), lanes = range_of(size, s, threads), lanes_of(dw)
    total, t = np.empty(36 * lanes, dw.dtype), np.empty(18 * lanes, dw.dtype)
    zero = splat(dw.dtype.type(0), dw)
    for k in range(planes):
        for n in range(first, last, lanes):
            left, trace = last - n, zero
            for p in range(36):
                part = zero
                for thread in range(len(turned)):
                    part = part + load(turned[thread], (p * planes + k) * size + n, left, dw)
                trace = trace + zero * part
                store(part, total, p * lanes, lanes)
            for j in range(6):
                g0, g1, g2 = times_G_transposed(total, j * lanes, 6 * lanes)
                store(g0, t, j * lanes, lanes)
                store(g1, t, (6 + j) * lanes, lanes)
                store(g2, t, (12 + j) * lanes, lanes)
            for i in range(3):
                g0, g1, g2 = times_G_transposed(t, i * 6 * lanes, lanes)
                trace = trace + zero * g0 + zero * g1 + zero * g2       # finite numbers may overflow as late as here
                store(g0, total, i * 3 * lanes, lanes)
                store(g1, total, (i * 3 + 1) * lanes, lanes)
                store(g2, total, (i * 3 + 2) * lanes, lanes)
            if _is_not_zero(trace, t):
                for i in range(n, min(n + lanes, last)):
                    spoilt[k, i] = True
                continue
            for p in range(9):
                at = (k * 9 + p) * size + n
                store(load(dw, at, left, dw) + load(total, p * lanes, lanes, dw), dw, at, left)
