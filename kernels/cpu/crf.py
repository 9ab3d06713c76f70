r"""A linear-chain conditional random field, compiled for the CPU. Formulas and shapes: kernels/reference/crf.py.

The exponentials of A do not change from step to step: they are computed once, less the largest M_j of each column, and (3) and
(7) are products.

    w_{ij} = e^{A_{ij} - M_j}                                                       (10)
    r_t(j) = M_j + \log \sum_i e^{\alpha_{t-1}(i)} w_{ij}                           (11)
    \mu_t(i, j) = e^{\alpha_{t-1}(i)} w_{ij} \mu_t(j) e^{M_j - r_t(j)}              (12)

Where the sum of (11) is so small that terms may have become 0, its column is computed by (3) and (7).
"""
import numpy as np
from numba.extending import register_jitable

from ._flat import add_to
from ._jit import kernel
from ._math import exp, maximum
from ._team import range_of, share, sum_of_shares
from ._threads import threads_for

SHARE = 1 << 13             # pairs of tags in all steps, for each thread, that pay for waking it
ZERO = np.float32(0)
FAINT = np.float32(1e-20)   # sums of (11) below this one may lack terms


def crf_forward(x, transitions, start, end, lengths, alpha, scale, log_z):
    share(_some_forward, _threads(x), (x, transitions, start, end, lengths), (alpha, scale, log_z))


def crf_backward(x, transitions, end, lengths, alpha, scale, dlog_z, dx, dtransitions, dstart, dend):
    U = len(transitions)
    totals = np.zeros((U + 2, U), x.dtype)
    sum_of_shares(_some_backward, _threads(x), (x, transitions, end, lengths, alpha, scale, dlog_z, dx), totals.reshape(-1))
    add_to(dtransitions.reshape(-1), totals[:U].reshape(-1))
    add_to(dstart, totals[U])
    add_to(dend, totals[U + 1])


def crf_score(x, transitions, start, end, tags, lengths, score):
    _score(x, transitions, start, end, tags, lengths, score)


def crf_score_backward(tags, lengths, dscore, dx, dtransitions, dstart, dend):
    _score_backward(tags, lengths, dscore, dx, dtransitions, dstart, dend)


def crf_decode(x, transitions, start, end, lengths, sources, tags, score):
    share(_some_decoded, _threads(x), (x, transitions, start, end, lengths), (sources, tags, score))


def _threads(x):
    """As many threads as pay, each with samples of its own."""
    return min(len(x), threads_for(x.size * x.shape[2], SHARE))


@kernel
def _some_forward(x, transitions, start, end, lengths, s, threads, alpha, scale, log_z):
    first, last = range_of(len(x), s, threads)
    U = x.shape[2]
    r, largest, ways = np.empty(U, x.dtype), np.empty(U, x.dtype), np.empty((U, U), x.dtype)
    _find_ways(transitions, largest, ways)
    for n in range(first, last):
        T, total = lengths[n], 0.0
        for t in range(T):
            if t == 0:
                for j in range(U):
                    r[j] = start[j]                                                 # (3)
            else:
                _reach(alpha[n, t - 1], transitions, largest, ways, r)
            scale[n, t] = _step(r, x[n, t], alpha[n, t])
            total += scale[n, t]
        for t in range(T, x.shape[1]):
            scale[n, t] = 0
            for j in range(U):
                alpha[n, t, j] = 0
        if T > 0:
            for j in range(U):
                r[j] = alpha[n, T - 1, j] + end[j]
            total += _log_of_sum(r)                                                 # (5)
        log_z[n] = total


@kernel
def _some_backward(x, transitions, end, lengths, alpha, scale, dlog_z, dx, s, threads, totals):
    first, last = range_of(len(x), s, threads)
    U = x.shape[2]
    r, mu, spread = np.empty(U, x.dtype), np.empty(U, x.dtype), totals.reshape(U + 2, U)
    largest, ways = np.empty(U, x.dtype), np.empty((U, U), x.dtype)
    _find_ways(transitions, largest, ways)
    for n in range(first, last):
        T = lengths[n]
        for t in range(T, x.shape[1]):
            for j in range(U):
                dx[n, t, j] = 0
        if T == 0:
            continue
        for j in range(U):
            r[j] = alpha[n, T - 1, j] + end[j]
        total = _log_of_sum(r)
        for j in range(U):
            mu[j] = dlog_z[n] * exp(r[j] - total)                                   # (6)
        add_to(spread[U + 1], mu)
        for t in range(T - 1, 0, -1):
            for j in range(U):
                dx[n, t, j] = mu[j]
                r[j] = alpha[n, t, j] + scale[n, t] - x[n, t, j]                    # (4)
            _step_backward(dx[n, t], alpha[n, t - 1], transitions, largest, ways, r, mu, spread)
        for j in range(U):
            dx[n, 0, j] = mu[j]
        add_to(spread[U], mu)


@kernel
def _score(x, transitions, start, end, tags, lengths, score):
    for n in range(len(x)):
        T, total = lengths[n], 0.0
        for t in range(T):
            j = np.uintp(tags[n, t])
            total += x[n, t, j] + (start[j] if t == 0 else transitions[np.uintp(tags[n, t - 1]), j])
            if t == T - 1:
                total += end[j]
        score[n] = total                                                            # (1)


@kernel
def _score_backward(tags, lengths, dscore, dx, dtransitions, dstart, dend):
    for n in range(len(tags)):
        for t in range(lengths[n]):
            j = np.uintp(tags[n, t])
            dx[n, t, j] += dscore[n]                                                # from (1)
            if t == 0:
                dstart[j] += dscore[n]
            else:
                dtransitions[np.uintp(tags[n, t - 1]), j] += dscore[n]
            if t == lengths[n] - 1:
                dend[j] += dscore[n]


@kernel
def _some_decoded(x, transitions, start, end, lengths, s, threads, sources, tags, score):
    first, last = range_of(len(x), s, threads)
    U = x.shape[2]
    best, before = np.empty(U, x.dtype), np.empty(U, x.dtype)
    for n in range(first, last):
        T = lengths[n]
        for t in range(x.shape[1]):
            tags[n, t] = -1
            for j in range(U):
                sources[n, t, j] = 0
        for t in range(T):
            if t == 0:
                for j in range(U):
                    best[j] = start[j] + x[n, 0, j]                                 # (9)
            else:
                for j in range(U):
                    before[j] = best[j]
                _best_step(before, transitions, x[n, t], best, sources[n, t])
        score[n] = 0
        if T > 0:
            for j in range(U):
                best[j] += end[j]
            j = _place_of_largest(best)
            score[n] = best[j]
            for t in range(T - 1, -1, -1):
                tags[n, t] = j
                j = sources[n, t, j]


@kernel
def _find_ways(transitions, largest, ways):
    """(10)."""
    U = len(largest)
    for j in range(U):
        largest[j] = -np.inf
    for i in range(U):
        for j in range(U):
            largest[j] = maximum(largest[j], transitions[i, j])
    for j in range(U):
        largest[j] = _shift(largest[j])
    for i in range(U):
        for j in range(U):
            ways[i, j] = exp(transitions[i, j] - largest[j])


@kernel
def _reach(alpha, transitions, largest, ways, r):
    """(11)."""
    for j in range(len(r)):
        r[j] = 0
    for i in range(len(r)):
        e = exp(alpha[i])
        for j in range(len(r)):
            r[j] += e * ways[i, j]
    for j in range(len(r)):
        r[j] = _reach_one(alpha, transitions, j) if r[j] < FAINT else largest[j] + np.log(r[j])


@kernel
def _reach_one(alpha, transitions, j):
    """(3)."""
    largest, total = alpha.dtype.type(-np.inf), alpha.dtype.type(0)
    for i in range(len(alpha)):
        largest = maximum(largest, alpha[i] + transitions[i, j])
    largest = _shift(largest)
    for i in range(len(alpha)):
        total += exp(alpha[i] + transitions[i, j] - largest)
    return largest + np.log(total)


@kernel
def _step(r, x, alpha):
    """(4); returns c_t."""
    largest = alpha.dtype.type(-np.inf)
    for j in range(len(r)):
        alpha[j] = r[j] + x[j]
        largest = maximum(largest, alpha[j])
    c = _shift(largest)
    for j in range(len(r)):
        alpha[j] -= c
    return c


@kernel
def _step_backward(mu, alpha, transitions, largest, ways, r, mu_before, spread):
    """(12) and (8); the pairs' shares are added to `spread`. r is used up."""
    U, faint = len(mu), 0
    for j in range(U):
        r[j] = exp(r[j] - largest[j])                                               # the sum of (11)
        faint += r[j] < FAINT
        r[j] = mu[j] / r[j] if r[j] >= FAINT else ZERO
    for i in range(U):
        e, total = exp(alpha[i]), mu.dtype.type(0)
        for j in range(U):
            pair = e * ways[i, j] * r[j]
            spread[i, j] += pair
            total += pair
        mu_before[i] = total
    if faint:
        for j in range(U):
            if r[j] == 0 and mu[j] != 0:
                _column_backward(mu[j], alpha, transitions, j, mu_before, spread)


@kernel
def _column_backward(mu, alpha, transitions, j, mu_before, spread):
    """(7) and (8) for one j."""
    r = _shift(_reach_one(alpha, transitions, j))
    for i in range(len(alpha)):
        pair = mu * exp(alpha[i] + transitions[i, j] - r)
        spread[i, j] += pair
        mu_before[i] += pair


@kernel
def _best_step(before, transitions, x, best, sources):
    """(9), row by row of A."""
    for j in range(len(x)):
        best[j] = before[0] + transitions[0, j]
        sources[j] = 0
    for i in range(1, len(x)):
        for j in range(len(x)):
            way = before[i] + transitions[i, j]
            if way > best[j]:
                best[j] = way
                sources[j] = i
    for j in range(len(x)):
        best[j] += x[j]


@kernel
def _log_of_sum(a):
    """The logarithm of the sum of e^a."""
    largest, total = a.dtype.type(-np.inf), a.dtype.type(0)
    for j in range(len(a)):
        largest = maximum(largest, a[j])
    largest = _shift(largest)
    for j in range(len(a)):
        total += exp(a[j] - largest)
    return largest + np.log(total)


@kernel
def _place_of_largest(a):
    place = 0
    for j in range(1, len(a)):
        if a[j] > a[place]:
            place = j
    return place


@register_jitable
def _shift(largest):
    """What is taken off the exponents: nothing where all of them are -inf."""
    return ZERO if largest == -np.inf else largest
