"""Dropout and its relatives, compiled for the CPU. Formulas and shapes: kernels/reference/regularization.py."""
import math

import numpy as np
from numba.extending import register_jitable

from ._jit import kernel
from ._team import range_of, share, signed
from ._threads import threads_for

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S27, S30, S31, S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)   # a signed shift would make floats of them
LOW = np.uint64(0xFFFFFFFF)
SHARE = 1 << 16             # numbers for each thread that pay for waking it
SHARE_OF_NOISE = 1 << 12    # where each costs a logarithm and a cosine


def dropout_mask(key, threshold, mask):
    share(_some_mask, threads_for(mask.size, SHARE), (signed(key), int(threshold)), (mask,))


def dropout_apply(x, mask, scale, y):
    share(_some_dropout, threads_for(x.size, SHARE), (x, mask, scale), (y,))


def normal_noise(key, mean, deviation, noise):
    share(_some_noise, threads_for(noise.size, SHARE_OF_NOISE), (signed(key), mean, deviation), (noise,))


def noise_apply(x, noise, y):
    share(_some_product, threads_for(x.size, SHARE), (x, noise), (y,))


def alpha_dropout_apply(x, mask, scale, shift, dropped, y):
    share(_some_alpha_dropout, threads_for(x.size, SHARE), (x, mask, scale, shift, dropped), (y,))


@kernel
def _some_mask(key, threshold, s, threads, mask):
    first, last = range_of(mask.size, s, threads)
    mask, bound = mask[first:last], np.uint64(threshold)
    for n in range(mask.size):
        mask[n] = (_mixed(np.uint64(key), first + n) >> S32) >= bound       # (2), (3)


@kernel
def _some_dropout(x, mask, scale, s, threads, y):
    first, last = range_of(x.size, s, threads)
    x, mask, y, zero = x[first:last], mask[first:last], y[first:last], x.dtype.type(0)
    for n in range(x.size):
        y[n] = x[n] * scale if mask[n] else zero            # (4)


@kernel
def _some_noise(key, mean, deviation, s, threads, noise):
    first, last = range_of(noise.size, s, threads)
    noise, number = noise[first:last], noise.dtype.type
    unit, half, two, turn = number(2**-32), number(0.5), number(2), number(2 * math.pi)
    for n in range(noise.size):
        r = _mixed(np.uint64(key), first + n)
        u, v = (number(r >> S32) + half) * unit, number(r & LOW) * unit
        noise[n] = mean + deviation * math.sqrt(-two * math.log(u)) * math.cos(turn * v)         # (5)


@kernel
def _some_product(x, noise, s, threads, y):
    first, last = range_of(x.size, s, threads)
    x, noise, y = x[first:last], noise[first:last], y[first:last]
    for n in range(x.size):
        y[n] = x[n] * noise[n]                              # (6)


@kernel
def _some_alpha_dropout(x, mask, scale, shift, dropped, s, threads, y):
    first, last = range_of(x.size, s, threads)
    x, mask, y = x[first:last], mask[first:last], y[first:last]
    for n in range(x.size):
        y[n] = scale * x[n] + shift if mask[n] else dropped         # (7)


@register_jitable
def _mixed(key, n):
    s = key + np.uint64(n + 1) * GAMMA                      # (1)
    s = (s ^ (s >> S30)) * MIX_1
    s = (s ^ (s >> S27)) * MIX_2
    return s ^ (s >> S31)
