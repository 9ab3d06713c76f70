"""Dropout and its relatives on the GPU. Formulas and shapes: kernels/reference/regularization.py."""
import math

import numpy as np

from ._compat import THREADS, blocks_for, cuda

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S27, S30, S31, S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)   # a signed shift would make floats of them
LOW = np.uint64(0xFFFFFFFF)


def dropout_mask(key, threshold, mask):
    _dropout_mask[blocks_for(mask.size), THREADS](key, threshold, mask)


def dropout_apply(x, mask, scale, y):
    _dropout_apply[blocks_for(y.size), THREADS](x, mask, scale, y)


def normal_noise(key, mean, deviation, noise):
    _normal_noise[blocks_for(noise.size), THREADS](key, mean, deviation, noise)


def noise_apply(x, noise, y):
    _noise_apply[blocks_for(y.size), THREADS](x, noise, y)


def alpha_dropout_apply(x, mask, scale, shift, dropped, y):
    _alpha_dropout_apply[blocks_for(y.size), THREADS](x, mask, scale, shift, dropped, y)


@cuda.jit(device=True)
def _mixed(key, n):
    s = key + np.uint64(n + 1) * GAMMA                              # (1)
    s = (s ^ (s >> S30)) * MIX_1
    s = (s ^ (s >> S27)) * MIX_2
    return s ^ (s >> S31)


@cuda.jit
def _dropout_mask(key, threshold, mask):
    for n in range(cuda.grid(1), mask.size, cuda.gridsize(1)):
        mask[n] = (_mixed(key, n) >> S32) >= threshold              # (2), (3)


@cuda.jit
def _dropout_apply(x, mask, scale, y):
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[n] = x[n] * scale if mask[n] else y.dtype.type(0)         # (4)


@cuda.jit
def _normal_noise(key, mean, deviation, noise):
    number = noise.dtype.type
    unit, quarter, half, two, turn = number(2**-32), number(0.25), number(0.5), number(2), number(2 * math.pi)
    for n in range(cuda.grid(1), noise.size, cuda.gridsize(1)):
        r = _mixed(key, n)
        u, v = (number(r >> S32) + half) * unit, number(r & LOW) * unit
        angle = turn * (abs(v - half) - quarter)        # its sine is the cosine of (5); the library's needs double precision
        term = sine = angle
        for k in range(1, 10):
            term *= -angle * angle / number(2 * k * (2 * k + 1))
            sine += term
        noise[n] = mean + deviation * math.sqrt(-two * math.log(u)) * sine                       # (5)


@cuda.jit
def _noise_apply(x, noise, y):
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[n] = x[n] * noise[n]                                      # (6)


@cuda.jit
def _alpha_dropout_apply(x, mask, scale, shift, dropped, y):
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[n] = scale * x[n] + shift if mask[n] else dropped         # (7)


SIGNATURES = {
    "_dropout_mask": (_dropout_mask, "void(uint64, uint64, boolean[:])"),
    "_dropout_apply": (_dropout_apply, "void(float32[:], boolean[:], float32, float32[:])"),
    "_normal_noise": (_normal_noise, "void(uint64, float32, float32, float32[:])"),
    "_noise_apply": (_noise_apply, "void(float32[:], float32[:], float32[:])"),
    "_alpha_dropout_apply": (_alpha_dropout_apply, "void(float32[:], boolean[:], float32, float32, float32, float32[:])"),
}
