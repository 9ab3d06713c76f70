"""Connectionist temporal classification on the GPU. Formulas and shapes: kernels/reference/ctc.py.

A block of threads takes one sample and walks through its steps, a thread for each state. What the states of a step share among
the classes is summed afterwards, by a thread for each class of each step.
"""
import math

import numpy as np

from ._compat import THREADS, blocks_for, cuda
from ._lanes import block_max, larger


def ctc_forward(log_p, targets, input_lengths, target_lengths, blank, alpha, scale, loss):
    _forward[len(log_p), THREADS](log_p, targets, input_lengths, target_lengths, blank, alpha, scale, loss)


def ctc_backward(log_p, alpha, scale, loss, targets, input_lengths, target_lengths, blank, dloss, dx):
    gamma = np.empty_like(alpha)
    _walk_back[len(log_p), THREADS](log_p, alpha, scale, loss, targets, input_lengths, target_lengths, blank, gamma)
    _gradient[blocks_for(dx.size), THREADS](log_p, gamma, loss, targets, input_lengths, target_lengths, blank, dloss, dx)


@cuda.jit(device=True)
def _class_of(target, s, blank):
    """(1)."""
    return target[s // 2] if s % 2 else blank


@cuda.jit(device=True)
def _is_entered_past(target, s):
    """Whether a step may lead into state s past the one before it."""
    return s % 2 == 1 and (s == 1 or target[s // 2] != target[s // 2 - 1])


@cuda.jit(device=True)
def _add_logs(a, b):
    """log(e^a + e^b), -inf where both are -inf."""
    number = type(a)
    distance = number(0) if a == b else abs(a - b)
    return larger(a, b) + math.log1p(math.exp(-distance))


@cuda.jit(device=True)
def _reach(before, target, s):
    """(2), for a step that is not the first."""
    r = before[s]
    if s > 0:
        r = _add_logs(r, before[s - 1])
    if s > 1 and _is_entered_past(target, s):
        r = _add_logs(r, before[s - 2])
    return r


@cuda.jit
def _forward(log_p, targets, input_lengths, target_lengths, blank, alpha, scale, loss):
    shared = cuda.shared.array(THREADS, log_p.dtype)
    number, n = log_p.dtype.type, cuda.blockIdx.x
    target, T, S = targets[n], input_lengths[n], 2 * target_lengths[n] + 1
    total = number(0)
    for t in range(alpha.shape[1]):
        largest = number(-math.inf)
        for s in range(cuda.threadIdx.x, alpha.shape[2], THREADS):
            a = number(-math.inf)
            if t < T and s < S and (t > 0 or s < 2):
                r = _reach(alpha[n, t - 1], target, s) if t > 0 else number(0)
                a = r + log_p[n, t, _class_of(target, s, blank)]                    # (3)
            alpha[n, t, s] = a
            largest = larger(largest, a)
        c = block_max(largest, shared)
        c = number(0) if c == number(-math.inf) else c
        for s in range(cuda.threadIdx.x, alpha.shape[2], THREADS):
            alpha[n, t, s] -= c
        total += c
        if cuda.threadIdx.x == 0:
            scale[n, t] = c
        cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        if T == 0:
            loss[n] = number(0) if S == 1 else number(math.inf)
        elif S == 1:
            loss[n] = -total - alpha[n, T - 1, 0]                                   # (4)
        else:
            loss[n] = -total - _add_logs(alpha[n, T - 1, S - 1], alpha[n, T - 1, S - 2])


@cuda.jit
def _walk_back(log_p, alpha, scale, loss, targets, input_lengths, target_lengths, blank, gamma):
    number, n = log_p.dtype.type, cuda.blockIdx.x
    target, T, S = targets[n], input_lengths[n], 2 * target_lengths[n] + 1
    if loss[n] == number(math.inf):
        T = 0
    for t in range(T - 1, -1, -1):
        for s in range(cuda.threadIdx.x, S, THREADS):
            if t < T - 1:
                share = number(0)
                for to in range(s, min(s + 3, S)):
                    if (to < s + 2 or _is_entered_past(target, to)) and gamma[n, t + 1, to] != number(0):
                        r = alpha[n, t + 1, to] + scale[n, t + 1] - log_p[n, t + 1, _class_of(target, to, blank)]     # (3)
                        share += gamma[n, t + 1, to] * math.exp(alpha[n, t, s] - r)                                   # (6)
                gamma[n, t, s] = share
            elif s < S - 2:
                gamma[n, t, s] = number(0)                                          # (5)
            elif S == 1:
                gamma[n, t, s] = number(1)
            else:
                gamma[n, t, s] = math.exp(alpha[n, t, s] - _add_logs(alpha[n, t, S - 1], alpha[n, t, S - 2]))
        cuda.syncthreads()


@cuda.jit
def _gradient(log_p, gamma, loss, targets, input_lengths, target_lengths, blank, dloss, dx):
    number = log_p.dtype.type
    N, T, C = dx.shape
    for place in range(cuda.grid(1), N * T * C, cuda.gridsize(1)):
        n, t, k = place // (T * C), place // C % T, place % C
        if t >= input_lengths[n] or loss[n] == number(math.inf):
            dx[n, t, k] = number(0)
            continue
        share = number(0)
        for s in range(2 * target_lengths[n] + 1):
            if _class_of(targets[n], s, blank) == k:
                share += gamma[n, t, s]
        dx[n, t, k] = dloss[n] * (math.exp(log_p[n, t, k]) - share)                 # (8)


_ROW, _ROWS, _BOX = "float32[:]", "float32[:,:]", "float32[:,:,:]"
_TARGETS = "int64[:,:], int64[:], int64[:], int64"
SIGNATURES = {
    "_forward": (_forward, f"void({_BOX}, {_TARGETS}, {_BOX}, {_ROWS}, {_ROW})"),
    "_walk_back": (_walk_back, f"void({_BOX}, {_BOX}, {_ROWS}, {_ROW}, {_TARGETS}, {_BOX})"),
    "_gradient": (_gradient, f"void({_BOX}, {_BOX}, {_ROW}, {_TARGETS}, {_ROW}, {_BOX})"),
}
