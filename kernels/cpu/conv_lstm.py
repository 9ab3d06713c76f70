"""A convolutional LSTM over sequences of images, compiled for the CPU: one pass over time inside one kernel.

Each thread takes sequences of the batch and walks with one after the other through all its time steps, so that threads meet
once, not at every step, and what a step leaves is still in the cache at the next. Where there are fewer sequences than threads,
the threads share each step instead. The recurrent weights are packed once for all steps.
Formulas and shapes: kernels/reference/conv_lstm.py.
"""
import math
from typing import NamedTuple

import numpy as np

from . import _winograd, convolution
from ._call import address, call
from ._flat import add_to, copy
from ._jit import kernel
from ._lstm import lstm_slopes, lstm_state
from ._team import range_of, share
from ._threads import threads_for
from ._tile import column_product, dot_product, product_address
from ._walk import Weights, empty_panels, pack, panels_of, plan

PARALLEL_FROM = 1 << 20     # multiply-adds for each thread that pay for waking it
BLOCK = 1 << 10             # numbers of a gate that are worked on together
SHARE = 1 << 13             # numbers of a state for each thread that pay for waking it
ONES = (1, 1, 1)
I, F, C, O = range(4)       # the gates


def conv_lstm_forward(gates, U, h0, c0, mask, go_backwards, winograd, c, h):
    threads = threads_for(gates.size // U.shape[4] * U.size, PARALLEL_FROM)
    if threads > len(h):
        _forward_by_step(gates, U, h0, c0, mask, go_backwards, winograd, c, h)
        return
    packed = _packed(U, h0.shape[1:4], winograd, transposed=False)
    share(_forward, threads, (*packed, _rows(gates), _rows(h0), _rows(c0), mask, go_backwards), (_rows(c), _rows(h)))


def conv_lstm_backward(dy, U, gates, c0, c, mask, go_backwards, winograd, dh, dc, da):
    threads = threads_for(gates.size // U.shape[4] * U.size, PARALLEL_FROM)
    if threads > len(c):
        _backward_by_step(dy, U, gates, c0, c, mask, go_backwards, winograd, dh, dc, da)
        return
    packed = _packed(U, c0.shape[1:4], winograd, transposed=True)
    inputs = *packed, _rows(dy), _rows(gates), _rows(c0), _rows(c), mask, go_backwards
    share(_backward, threads, inputs, (_rows(dh), _rows(dc), _rows(da)))


def _rows(array):
    """A view with a row for each place: (…, D, H, W, columns) as (…, D H W, columns)."""
    return array.reshape(*array.shape[:-4], math.prod(array.shape[-4:-1]), array.shape[-1])


class Way(NamedTuple):
    """How one image is walked."""

    plain: int              # the addresses of the kernel for some segments, and of the register tiles that it calls
    product: int
    dots: int
    winograd: int           # that of Winograd's kernel; 0 where it does not pay


def _packed(U, places, winograd, transposed):
    """How to convolve one image with U, or with U^T as its gradient does: plainly, with packed weights, and Winograd's way."""
    taps, (columns, all_columns), before = U.shape[:3], U.shape[3:], _padding(U)
    steps = U[0].size, U[0, 0].size, U[0, 0, 0].size            # to the next tap
    x_shape, y_shape = (1, *places, columns), (1, *places, all_columns)
    weights = Weights(0, *steps, all_columns, 1, all_columns)
    if transposed:                                              # the last tap first
        before = tuple(k - 1 - p for k, p in zip(taps, before, strict=True))
        last_tap = sum((k - 1) * step for k, step in zip(taps, steps, strict=True))
        x_shape, y_shape, weights = y_shape, x_shape, Weights(last_tap, *(-step for step in steps), 1, all_columns, columns)
    walk = plan(x_shape, y_shape, taps, ONES, ONES, before, 1, 1)
    units, dtype = panels_of(walk, U.dtype), U.dtype
    panels = empty_panels(walk, units, dtype)
    pack(U.reshape(-1), walk, weights, units, 0, 1, panels)
    product, dots = product_address(column_product, dtype), product_address(dot_product, dtype)
    some = np.empty(0, dtype)                                   # stands for any array
    plain = address(convolution._correlate_segments, product, dots, some, panels, some, walk, 0, 1, some)
    if not (winograd and _winograd.pays(walk)):
        return Way(plain, product, dots, 0), walk, panels, walk, some
    blocks, turned, spoilt = _winograd.in_blocks(walk, 1), _winograd.empty_turned(panels), np.zeros(1, bool)
    _winograd.turn_weights(panels, walk.KD, walk.C, units, 0, 1, turned)
    part = address(_winograd.correlate_blocks, product, some, turned, some, walk, 0, 1, spoilt, some)
    return Way(plain, product, dots, part), walk, panels, blocks, turned


def _padding(U):
    return tuple((k - 1) // 2 for k in U.shape[:3])


@kernel
def _convolve(way, walk, panels, blocks, turned, x, no_bias, spoilt, y):
    spoilt[0] = way.winograd == 0
    if way.winograd:
        call(way.winograd, way.product, x, turned, no_bias, blocks, 0, 1, spoilt, y)
    if spoilt[0]:
        call(way.plain, way.product, way.dots, x, panels, no_bias, walk, 0, 1, y)


@kernel
def _forward(way, walk, panels, blocks, turned, gates, h0, c0, mask, go_backwards, s, threads, c, h):
    T, P, columns = gates.shape[1], gates.shape[2], gates.shape[3]
    hidden, no_bias, spoilt = np.zeros((P, columns), h.dtype), np.zeros(columns, h.dtype), np.zeros(1, np.bool_)
    for b in range(*range_of(len(mask), s, threads)):
        h_prev, c_prev = h0[b], c0[b]
        for n in range(T):
            t = T - 1 - n if go_backwards else n
            if mask[b, t]:
                _convolve(way, walk, panels, blocks, turned, h_prev.reshape(-1), no_bias, spoilt, hidden.reshape(-1))   # (1)
                _step(hidden, c_prev, 0, 1, gates[b, t], c[b, t], h[b, t])
            else:
                copy(c_prev.reshape(-1), 0, c_prev.size, c[b, t].reshape(-1), 0)
                copy(h_prev.reshape(-1), 0, h_prev.size, h[b, t].reshape(-1), 0)
            h_prev, c_prev = h[b, t], c[b, t]


@kernel
def _step(hidden, c_prev, s, threads, gates, c, h):
    """(1) to (5) for a share of the rows. A gate's numbers lie F at a time, too few for long loops: a block of rows is copied
    into a buffer (gate, row, column) that stays in the first-level cache."""
    columns, (first, last) = c.shape[1], range_of(len(c), s, threads)
    rows = min(max(1, BLOCK // columns), last - first)
    block = np.empty(4 * rows * columns, c.dtype)
    c_prev1, c1, h1 = c_prev.reshape(-1), c.reshape(-1), h.reshape(-1)
    for n in range(first, last, rows):
        end = min(n + rows, last)
        some, size = slice(n * columns, end * columns), (end - n) * columns
        a = block[:4 * size].reshape(4, size)
        _copy_sum(gates, hidden, n, end, columns, a)                        # (1)
        lstm_state(a[I], a[F], a[C], a[O], c_prev1[some], c1[some], h1[some])
        _copy_out(a, n, end, columns, gates)


@kernel
def _backward(way, walk, panels, blocks, turned, dy, gates, c0, c, mask, go_backwards, s, threads, dh, dc, da):
    T, columns = c.shape[1], c.shape[3]
    no_bias, spoilt = np.zeros(columns, c.dtype), np.zeros(1, np.bool_)
    for b in range(*range_of(len(mask), s, threads)):
        for n in range(T):
            t = n if go_backwards else T - 1 - n
            if dy.shape[1]:
                add_to(dh[b].reshape(-1), dy[b, t].reshape(-1))
            if mask[b, t]:
                c_prev = c0[b] if n == T - 1 else c[b, t + 1 if go_backwards else t - 1]
                _slopes(dh[b], gates[b, t], c_prev, c[b, t], 0, 1, dc[b], da[b, t])
                da_t, dh_prev = da[b, t].reshape(-1), dh[b].reshape(-1)
                _convolve(way, walk, panels, blocks, turned, da_t, no_bias, spoilt, dh_prev)    # from (1)
            else:
                da[b, t] = 0


@kernel
def _slopes(dh, gates, c_prev, c, s, threads, dc, da):
    """From (5) to (2) for a share of the rows, in blocks as in `_step`."""
    columns, (first, last) = c.shape[1], range_of(len(c), s, threads)
    rows = min(max(1, BLOCK // columns), last - first)
    block = np.empty(4 * rows * columns, c.dtype)
    dh1, c_prev1, c1, dc1 = dh.reshape(-1), c_prev.reshape(-1), c.reshape(-1), dc.reshape(-1)
    for n in range(first, last, rows):
        end = min(n + rows, last)
        some, size = slice(n * columns, end * columns), (end - n) * columns
        a = block[:4 * size].reshape(4, size)
        _copy_in(gates, n, end, columns, a)
        lstm_slopes(a[I], a[F], a[C], a[O], c_prev1[some], c1[some], dh1[some], dc1[some])
        _copy_out(a, n, end, columns, da)


@kernel
def _copy_in(gates, first, last, columns, a):
    for r in range(last - first):
        for gate in range(4):
            for j in range(columns):
                a[gate, r * columns + j] = gates[first + r, gate * columns + j]


@kernel
def _copy_sum(gates, hidden, first, last, columns, a):
    for r in range(last - first):
        for gate in range(4):
            for j in range(columns):
                a[gate, r * columns + j] = gates[first + r, gate * columns + j] + hidden[first + r, gate * columns + j]


@kernel
def _copy_out(a, first, last, columns, gates):
    """The block's rows back to their places, the gates of a row side by side."""
    for r in range(last - first):
        for gate in range(4):
            for j in range(columns):
                gates[first + r, gate * columns + j] = a[gate, r * columns + j]


def _forward_by_step(gates, U, h0, c0, mask, go_backwards, winograd, c, h):
    hidden, no_bias = np.empty_like(gates[:1, 0]), np.zeros(U.shape[4], U.dtype)
    walk = _steps(gates.shape[1], go_backwards)
    for b in range(len(h)):
        h_prev, c_prev = h0[b], c0[b]
        for t in walk:
            if mask[b, t]:
                convolution.convolve(h_prev[None], U, no_bias, ONES, _padding(U), ONES, 1, winograd, hidden)      # (1)
                _share_rows(_step, (hidden[0], c_prev), (gates[b, t], c[b, t], h[b, t]))                # (2) to (5)
            else:
                c[b, t], h[b, t] = c_prev, h_prev
            h_prev, c_prev = h[b, t], c[b, t]


def _backward_by_step(dy, U, gates, c0, c, mask, go_backwards, winograd, dh, dc, da):
    no_bias = np.zeros(U.shape[3], U.dtype)
    walk = _steps(c.shape[1], go_backwards)
    for b in range(len(c)):
        for n in reversed(range(len(walk))):
            t = walk[n]
            if dy.shape[1]:
                dh[b] += dy[b, t]
            if mask[b, t]:
                c_prev = c[b, walk[n - 1]] if n else c0[b]
                _share_rows(_slopes, (dh[b], gates[b, t], c_prev, c[b, t]), (dc[b], da[b, t]))
                convolution.convolve_transposed(da[b, t][None], U, no_bias, ONES, _padding(U), ONES, 1, winograd, dh[b:b + 1])
            else:
                da[b, t] = 0


def _steps(T, go_backwards):
    return range(T - 1, -1, -1) if go_backwards else range(T)


def _share_rows(part, before, after):
    """Let the threads share the rows of arrays (D, H, W, columns)."""
    before, after = (tuple(array.reshape(-1, array.shape[-1]) for array in arrays) for arrays in (before, after))
    rows = len(after[0])
    share(part, min(threads_for(before[0].size, SHARE), rows), before, after)
