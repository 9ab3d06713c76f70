"""A linear-chain conditional random field on the GPU. Formulas and shapes: kernels/reference/crf.py.

A block of threads takes one sample and walks through its steps, a thread for each tag. Sums over samples and steps, the
gradients of A, b and e, are made afterwards by a thread for each of their numbers, always in the same order.
"""
import math

import numpy as np

from ._compat import THREADS, blocks_for, cuda
from ._lanes import block_max, larger


def crf_forward(x, transitions, start, end, lengths, alpha, scale, log_z):
    _forward[len(x), THREADS](x, transitions, start, end, lengths, alpha, scale, log_z)


def crf_backward(x, transitions, end, lengths, alpha, scale, dlog_z, dx, dtransitions, dstart, dend):
    _walk_back[len(x), THREADS](x, transitions, end, lengths, alpha, scale, dlog_z, dx)
    U = len(transitions)
    _sum_pairs[blocks_for(U * U + 2 * U), THREADS](x, transitions, lengths, alpha, scale, dx, dtransitions, dstart, dend)


def crf_score(x, transitions, start, end, tags, lengths, score):
    _score[blocks_for(len(x)), THREADS](x, transitions, start, end, tags, lengths, score)


def crf_score_backward(tags, lengths, dscore, dx, dtransitions, dstart, dend):
    U = len(dtransitions)
    _score_backward[blocks_for(tags.size), THREADS](tags, lengths, dscore, dx)
    _count_pairs[blocks_for(U * U + 2 * U), THREADS](tags, lengths, dscore, dtransitions, dstart, dend)


def crf_decode(x, transitions, start, end, lengths, sources, tags, score):
    best = np.empty_like(x)
    _decode[len(x), THREADS](x, transitions, start, end, lengths, best, sources, tags, score)


@cuda.jit(device=True)
def _shift(largest):
    """What is taken off the exponents: nothing where all of them are -inf."""
    number = type(largest)
    return number(0) if largest == number(-math.inf) else largest


@cuda.jit(device=True)
def _reach(alpha, transitions, j):
    """(3), for a step that is not the first."""
    number = alpha.dtype.type
    largest, total = number(-math.inf), number(0)
    for i in range(len(alpha)):
        largest = larger(largest, alpha[i] + transitions[i, j])
    largest = _shift(largest)
    for i in range(len(alpha)):
        total += math.exp(alpha[i] + transitions[i, j] - largest)
    return largest + math.log(total)


@cuda.jit(device=True)
def _log_of_sum(alpha, end):
    """The logarithm of the sum of e^(alpha + end)."""
    number = alpha.dtype.type
    largest, total = number(-math.inf), number(0)
    for j in range(len(alpha)):
        largest = larger(largest, alpha[j] + end[j])
    largest = _shift(largest)
    for j in range(len(alpha)):
        total += math.exp(alpha[j] + end[j] - largest)
    return largest + math.log(total)


@cuda.jit(device=True)
def _pair(mu, alpha, A, r):
    """(7)."""
    return mu * math.exp(alpha + A - _shift(r))


@cuda.jit
def _forward(x, transitions, start, end, lengths, alpha, scale, log_z):
    shared = cuda.shared.array(THREADS, x.dtype)
    number, n, U = x.dtype.type, cuda.blockIdx.x, x.shape[2]
    total, T = number(0), lengths[n]
    for t in range(x.shape[1]):
        largest = number(-math.inf)
        for j in range(cuda.threadIdx.x, U, THREADS):
            a = number(0)
            if t < T:
                a = (_reach(alpha[n, t - 1], transitions, j) if t > 0 else start[j]) + x[n, t, j]       # (4)
            alpha[n, t, j] = a
            largest = larger(largest, a)
        c = _shift(block_max(largest, shared))
        for j in range(cuda.threadIdx.x, U, THREADS):
            alpha[n, t, j] -= c
        total += c
        if cuda.threadIdx.x == 0:
            scale[n, t] = c
        cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        log_z[n] = total + _log_of_sum(alpha[n, T - 1], end) if T > 0 else number(0)                    # (5)


@cuda.jit
def _walk_back(x, transitions, end, lengths, alpha, scale, dlog_z, dx):
    number, n, U = x.dtype.type, cuda.blockIdx.x, x.shape[2]
    T = lengths[n]
    for t in range(x.shape[1] - 1, -1, -1):
        for i in range(cuda.threadIdx.x, U, THREADS):
            mu = number(0)
            if t == T - 1:
                mu = dlog_z[n] * math.exp(alpha[n, t, i] + end[i] - _log_of_sum(alpha[n, t], end))      # (6)
            elif t < T:
                for j in range(U):
                    r = alpha[n, t + 1, j] + scale[n, t + 1] - x[n, t + 1, j]                           # (4)
                    mu += _pair(dx[n, t + 1, j], alpha[n, t, i], transitions[i, j], r)                  # (8)
            dx[n, t, i] = mu
        cuda.syncthreads()


@cuda.jit
def _sum_pairs(x, transitions, lengths, alpha, scale, dx, dtransitions, dstart, dend):
    number, U = x.dtype.type, x.shape[2]
    for place in range(cuda.grid(1), U * U + 2 * U, cuda.gridsize(1)):
        i, j = place // U, place % U
        total = number(0)
        for n in range(len(x)):
            if i == U and lengths[n] > 0:
                total += dx[n, 0, j]
            elif i == U + 1 and lengths[n] > 0:
                total += dx[n, lengths[n] - 1, j]
            elif i < U:
                for t in range(1, lengths[n]):
                    r = alpha[n, t, j] + scale[n, t] - x[n, t, j]                                       # (4)
                    total += _pair(dx[n, t, j], alpha[n, t - 1, i], transitions[i, j], r)               # (7)
        _add(total, i, j, dtransitions, dstart, dend)


@cuda.jit(device=True)
def _add(total, i, j, dtransitions, dstart, dend):
    U = len(dstart)
    if i < U:
        dtransitions[i, j] += total
    elif i == U:
        dstart[j] += total
    else:
        dend[j] += total


@cuda.jit
def _score(x, transitions, start, end, tags, lengths, score):
    for n in range(cuda.grid(1), len(x), cuda.gridsize(1)):
        T, total = lengths[n], x.dtype.type(0)
        for t in range(T):
            j = tags[n, t]
            total += x[n, t, j] + (transitions[tags[n, t - 1], j] if t > 0 else start[j])               # (1)
        if T > 0:
            total += end[tags[n, T - 1]]
        score[n] = total


@cuda.jit
def _score_backward(tags, lengths, dscore, dx):
    N, T = tags.shape
    for place in range(cuda.grid(1), N * T, cuda.gridsize(1)):
        n, t = place // T, place % T
        if t < lengths[n]:
            dx[n, t, tags[n, t]] += dscore[n]                                                           # from (1)


@cuda.jit
def _count_pairs(tags, lengths, dscore, dtransitions, dstart, dend):
    number, U = dscore.dtype.type, len(dstart)
    for place in range(cuda.grid(1), U * U + 2 * U, cuda.gridsize(1)):
        i, j = place // U, place % U
        total = number(0)
        for n in range(len(tags)):
            T = lengths[n]
            at = 0 if i == U else T - 1                                                                 # where b and e look
            if i >= U and T > 0 and tags[n, at] == j:
                total += dscore[n]
            elif i < U:
                for t in range(1, T):
                    if tags[n, t - 1] == i and tags[n, t] == j:
                        total += dscore[n]                                                              # from (1)
        _add(total, i, j, dtransitions, dstart, dend)


@cuda.jit
def _decode(x, transitions, start, end, lengths, best, sources, tags, score):
    n, U = cuda.blockIdx.x, x.shape[2]
    T = lengths[n]
    for t in range(x.shape[1]):
        for j in range(cuda.threadIdx.x, U, THREADS):
            source, way = 0, start[j]
            if 0 < t < T:
                way = best[n, t - 1, 0] + transitions[0, j]
                for i in range(1, U):
                    if best[n, t - 1, i] + transitions[i, j] > way:
                        source, way = i, best[n, t - 1, i] + transitions[i, j]
            best[n, t, j] = way + x[n, t, j]                                                            # (9)
            sources[n, t, j] = source
        if cuda.threadIdx.x == 0:
            tags[n, t] = -1
        cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        score[n] = x.dtype.type(0)
        if T > 0:
            j = 0
            for i in range(1, U):
                if best[n, T - 1, i] + end[i] > best[n, T - 1, j] + end[j]:
                    j = i
            score[n] = best[n, T - 1, j] + end[j]
            for t in range(T - 1, -1, -1):
                tags[n, t] = j
                j = sources[n, t, j]


_ROW, _ROWS, _BOX, _LENGTHS, _TAGS = "float32[:]", "float32[:,:]", "float32[:,:,:]", "int64[:]", "int64[:,:]"
_WEIGHTS = f"{_ROWS}, {_ROW}, {_ROW}"
SIGNATURES = {
    "_forward": (_forward, f"void({_BOX}, {_WEIGHTS}, {_LENGTHS}, {_BOX}, {_ROWS}, {_ROW})"),
    "_walk_back": (_walk_back, f"void({_BOX}, {_ROWS}, {_ROW}, {_LENGTHS}, {_BOX}, {_ROWS}, {_ROW}, {_BOX})"),
    "_sum_pairs": (_sum_pairs, f"void({_BOX}, {_ROWS}, {_LENGTHS}, {_BOX}, {_ROWS}, {_BOX}, {_WEIGHTS})"),
    "_score": (_score, f"void({_BOX}, {_WEIGHTS}, {_TAGS}, {_LENGTHS}, {_ROW})"),
    "_score_backward": (_score_backward, f"void({_TAGS}, {_LENGTHS}, {_ROW}, {_BOX})"),
    "_count_pairs": (_count_pairs, f"void({_TAGS}, {_LENGTHS}, {_ROW}, {_WEIGHTS})"),
    "_decode": (_decode, f"void({_BOX}, {_WEIGHTS}, {_LENGTHS}, {_BOX}, int64[:,:,:], {_TAGS}, {_ROW})"),
}
