"""Connectionist temporal classification, compiled for the CPU. Formulas and shapes: kernels/reference/ctc.py.

A row of states is computed at once, in vectors: which class a state has, and from where it may be entered, is looked up before
the steps begin. In front of a row stand two states that the first two are entered from, behind it two that no step leads to.
"""
import numpy as np
from numba.extending import register_jitable

from ._jit import kernel
from ._math import exp, maximum, softplus
from ._team import range_of, share
from ._threads import threads_for

SHARE = 1 << 12             # states in all steps, for each thread, that pay for waking it
ZERO = np.float32(0)


def ctc_forward(log_p, targets, input_lengths, target_lengths, blank, alpha, scale, loss):
    before = log_p, targets, input_lengths, target_lengths, int(blank)
    share(_some_forward, _threads(alpha), before, (alpha, scale, loss))


def ctc_backward(log_p, alpha, scale, loss, targets, input_lengths, target_lengths, blank, dloss, dx):
    before = log_p, alpha, scale, loss, targets, input_lengths, target_lengths, int(blank), dloss
    share(_some_backward, _threads(alpha), before, (dx,))


def _threads(alpha):
    """As many threads as pay, each with samples of its own."""
    return min(len(alpha), threads_for(alpha.size, SHARE))


@kernel
def _some_forward(log_p, targets, input_lengths, target_lengths, blank, s, threads, alpha, scale, loss):
    first, last = range_of(len(log_p), s, threads)
    size = alpha.shape[2]
    states, skips = np.empty(size, np.int64), np.empty(size, log_p.dtype)
    before, emitted = np.empty(size + 2, log_p.dtype), np.empty(size, log_p.dtype)
    for n in range(first, last):
        T, S = input_lengths[n], 2 * target_lengths[n] + 1
        _find_states(targets[n], target_lengths[n], blank, states, skips)
        for i in range(S + 2):
            before[i] = -np.inf
        before[1] = 0
        total = 0.0
        for t in range(T):
            row, now = log_p[n, t], alpha[n, t]
            for i in range(S):
                emitted[i] = row[np.uintp(states[i])]
            scale[n, t] = _step(before, emitted, skips, S, now)
            total += scale[n, t]
            _clear(now, S, size)
        for t in range(T, alpha.shape[1]):
            scale[n, t] = 0
            _clear(alpha[n, t], 0, size)
        loss[n] = -total - _add_logs(before[S + 1], before[S])                      # (4)


@kernel
def _some_backward(log_p, alpha, scale, loss, targets, input_lengths, target_lengths, blank, dloss, s, threads, dx):
    first, last = range_of(len(log_p), s, threads)
    size, C = alpha.shape[2], log_p.shape[2]
    states, skips = np.empty(size, np.int64), np.empty(size, log_p.dtype)
    gamma, skipping, r = np.empty(size + 2, log_p.dtype), np.empty(size + 2, log_p.dtype), np.empty(size + 2, log_p.dtype)
    for n in range(first, last):
        T, S = input_lengths[n], 2 * target_lengths[n] + 1
        if loss[n] == np.inf:
            T = 0
        for t in range(T, log_p.shape[1]):
            for k in range(C):
                dx[n, t, k] = 0
        if T == 0:
            continue
        _find_states(targets[n], target_lengths[n], blank, states, skips)
        for i in range(S + 2):
            gamma[i] = skipping[i] = r[i] = 0
        _begin_backward(alpha[n, T - 1], S, gamma)
        for t in range(T - 1, -1, -1):
            row, into = log_p[n, t], dx[n, t]
            for k in range(C):
                into[k] = dloss[n] * exp(row[k])                                    # (8)
            _take_off(gamma, states, S, blank, dloss[n], into)
            if t > 0:
                for i in range(S):
                    r[i] = alpha[n, t, i] + scale[n, t] - row[np.uintp(states[i])]          # (3)
                    skipping[i] = gamma[i] if skips[i] == 0 else ZERO
                _step_backward(alpha[n, t - 1], skipping, r, S, gamma)


@kernel
def _find_states(target, L, blank, states, skips):
    """(1), and for each state 0 where a step may lead into it past the one before it, else -inf, which adds nothing."""
    for i in range(L + 1):
        states[2 * i] = blank
        skips[2 * i] = -np.inf
    for i in range(L):
        states[2 * i + 1] = target[i]
        skips[2 * i + 1] = -np.inf if i > 0 and target[i] == target[i - 1] else 0


@kernel
def _step(before, emitted, skips, S, now):
    """(2) and (3): from alpha_{t-1} in `before` to alpha_t in `now` and `before`; returns c_t."""
    largest = now.dtype.type(-np.inf)
    for i in range(S):
        r = _add_logs(_add_logs(before[i + 2], before[i + 1]), before[i] + skips[i])
        now[i] = r + emitted[i]
        largest = maximum(largest, now[i])
    c = now.dtype.type(0) if largest == -np.inf else largest
    before[1] = -np.inf
    for i in range(S):
        now[i] -= c
        before[i + 2] = now[i]
    return c


@kernel
def _begin_backward(alpha, S, gamma):
    """(5)."""
    if S == 1:
        gamma[0] = 1
    else:
        total = _add_logs(alpha[S - 1], alpha[S - 2])
        gamma[S - 1], gamma[S - 2] = exp(alpha[S - 1] - total), exp(alpha[S - 2] - total)


@kernel
def _take_off(gamma, states, S, blank, dloss, dx):
    """(8): what is taken off, the blanks' share in one sum."""
    blanks = dx.dtype.type(0)
    for i in range((S + 1) // 2):
        blanks += gamma[2 * i]
    dx[blank] -= dloss * blanks
    for i in range(1, S, 2):
        dx[np.uintp(states[i])] -= dloss * gamma[i]


@kernel
def _step_backward(alpha, skipping, r, S, gamma):
    """(6), in place: state i of t-1 led to i, to i + 1, and to i + 2 where that is entered past i + 1."""
    for i in range(S):
        a = alpha[i]
        gamma[i] = (_part(gamma[i], a - r[i]) + _part(gamma[i + 1], a - r[i + 1])) + _part(skipping[i + 2], a - r[i + 2])


@kernel
def _clear(row, first, last):
    for i in range(first, last):
        row[i] = -np.inf


@register_jitable
def _add_logs(a, b):
    """log(e^a + e^b), -inf where both are -inf."""
    return maximum(a, b) + softplus(-(ZERO if a == b else abs(a - b)))


@register_jitable
def _part(gamma, exponent):
    """gamma e^exponent; 0 where gamma is 0, as then the exponent may be inf - inf."""
    return ZERO if gamma == 0 else gamma * exp(exponent)
