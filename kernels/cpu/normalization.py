"""Normalization, compiled for the CPU. Formulas and shapes: kernels/reference/normalization.py.

Memory decides the speed. So what was read once is used while it lies in the cache: a row of layer norm and a sample of group
norm are read from memory once, and a batch of batch norm twice, forward and backward. Means and variances of parts, each in
two passes through the cache, are put together to those of the whole (Chan, Golub, LeVeque 1979): n, m, q stand for the count,
the mean and the sum of squared distances of a part.

    m = m_1 + d n_2 / n                     (9)     n = n_1 + n_2,  d = m_2 - m_1
    q = q_1 + q_2 + d^2 n_1 n_2 / n         (10)

Long sums are sums of short ones, lest they lose their last digits.
"""
import math

import numpy as np

from ._flat import add_to
from ._jit import kernel
from ._team import range_of, share, sum_of_shares
from ._threads import threads_for

EPSILON = 1e-7              # added to the count of a mask, as in Keras
ROWS = 64                   # of channels side by side that are summed apart, and lie in the cache
RUN = 2048                  # numbers of a row that are summed apart
NEAR = 1 << 12              # numbers in rows that are walked through again: they still lie in a near cache
COLUMNS = 64                # columns that are walked through together where the axis is not the last
SHARE = 1 << 15             # numbers for each thread that pay for waking it


def batch_statistics(x, mask, mean, variance, count):
    A, C, B = x.shape
    if mask.size:
        _masked_statistics(x, mask, mean, variance, count)
        return
    threads = threads_for(x.size, SHARE)
    means, squares, counts = np.zeros((3, threads, C), x.dtype)
    if B == 1:
        share(_moments_of_rows, threads, (x.reshape(A, C),), (means, squares, counts))
    else:
        share(_moments_of_runs, threads, (x,), (means, squares, counts))
    _put_together(means, squares, counts, mean, variance)
    count[:] = A * B


def batch_norm(x, mean, rstd, gamma, beta, y):
    A, C, B = x.shape
    if B == 1:
        share(_scale_rows, threads_for(x.size, SHARE), (x.reshape(A, C), mean, gamma * rstd, beta), (y.reshape(A, C),))
    else:
        share(_scale_runs, threads_for(x.size, SHARE), (x, mean, gamma * rstd, beta), (y,))


def batch_norm_sums(dy, x, mean, rstd, dgamma, dbeta):
    A, C, B = x.shape
    totals = np.zeros(2 * C, x.dtype)
    if B == 1:
        sum_of_shares(_sums_of_rows, threads_for(x.size, SHARE), (dy.reshape(A, C), x.reshape(A, C), mean), totals)
    else:
        sum_of_shares(_sums_of_runs, threads_for(x.size, SHARE), (dy, x, mean), totals)
    dgamma[:] = totals[:C] * rstd
    dbeta[:] = totals[C:]


def batch_norm_backward(dy, x, mask, mean, rstd, gamma, count, dgamma, dbeta, dx):
    A, C, B = x.shape
    dvariance = -x.dtype.type(0.5) * rstd * rstd * gamma * dgamma               # from (4), (3)
    left = mean * x.dtype.type(EPSILON if mask.size else 0) / count
    dmean = -rstd * gamma * dbeta - 2 * dvariance * left                        # from (4), (2)
    direct, slope, level = gamma * rstd, 2 * dvariance / count, dmean / count
    threads = threads_for(x.size, SHARE)
    if mask.size:
        _masked_backward(dy, x, mask, mean, direct, slope, level, dx)
    elif B == 1:
        rows = dy.reshape(A, C), x.reshape(A, C)
        share(_combine_rows, threads, (*rows, mean, direct, slope, level), (dx.reshape(A, C),))
    else:
        share(_combine_runs, threads, (dy, x, mean, direct, slope, level), (dx,))


def layer_norm(x, gamma, beta, epsilon, centred, y, mean, rstd):
    A, K, B = x.shape
    threads = threads_for(x.size, SHARE)
    if B == 1:
        after = y.reshape(A, K), mean.reshape(A), rstd.reshape(A)
        share(_layer_rows, threads, (x.reshape(A, K), gamma, beta, float(epsilon), bool(centred)), after)
    else:
        share(_layer_columns, threads, (x, gamma, beta, float(epsilon), bool(centred)), (y, mean, rstd))


def layer_norm_backward(dy, x, gamma, mean, rstd, centred, dgamma, dbeta, dx):
    A, K, B = x.shape
    threads, totals = threads_for(x.size, SHARE), np.zeros(2 * K, x.dtype)
    if B == 1:
        before = dy.reshape(A, K), x.reshape(A, K), gamma, mean.reshape(A), rstd.reshape(A), bool(centred), dx.reshape(A, K)
        sum_of_shares(_layer_rows_backward, threads, before, totals)
    else:
        sum_of_shares(_layer_columns_backward, threads, (dy, x, gamma, mean, rstd, bool(centred), dx), totals)
    add_to(dgamma, totals[:K])
    add_to(dbeta, totals[K:])


def rms_norm(x, gamma, epsilon, y, rstd):
    share(_rms_rows, threads_for(x.size, SHARE), (x, gamma, float(epsilon)), (y, rstd))


def group_norm(x, gamma, beta, epsilon, y, mean, rstd):
    before, after = (x, gamma.reshape(-1), beta.reshape(-1), float(epsilon)), (y, mean, rstd)
    share(_group_rows if x.shape[4] == 1 else _group_runs, _sample_threads(x), before, after)


def group_norm_backward(dy, x, gamma, mean, rstd, dgamma, dbeta, dx):
    C, totals = gamma.size, np.zeros(2 * gamma.size, x.dtype)
    part = _group_rows_backward if x.shape[4] == 1 else _group_runs_backward
    sum_of_shares(part, _sample_threads(x), (dy, x, gamma.reshape(-1), mean, rstd, dx), totals)
    add_to(dgamma.reshape(-1), totals[:C])
    add_to(dbeta.reshape(-1), totals[C:])


def unit_norm(x, limit, y, scale):
    A, K, B = x.shape
    if B == 1:
        share(_unit_rows, threads_for(x.size, SHARE), (x.reshape(A, K), float(limit)), (y.reshape(A, K), scale.reshape(A)))
    else:
        share(_unit_columns, threads_for(x.size, SHARE), (x, float(limit)), (y, scale))


def unit_norm_backward(dy, x, limit, scale, dx):
    A, K, B = x.shape
    if B == 1:
        rows = dy.reshape(A, K), x.reshape(A, K)
        share(_unit_rows_backward, threads_for(x.size, SHARE), (*rows, float(limit), scale.reshape(A)), (dx.reshape(A, K),))
    else:
        share(_unit_columns_backward, threads_for(x.size, SHARE), (dy, x, float(limit), scale), (dx,))


def _sample_threads(x):
    """As many threads as pay, each with samples of its own."""
    return min(len(x), threads_for(x.size, SHARE))


# sums, means and squares of parts

@kernel
def _run_sum(x):
    """The sum of a row, in double precision."""
    total = 0.0
    for top in range(0, x.size, RUN):
        run, part = x[top:top + RUN], x.dtype.type(0)           # a part of its own: k from 0 on needs no test of its sign
        for k in range(run.size):
            part += run[k]
        total += part
    return total


@kernel
def _run_squares(x, mean):
    """The sum of squared distances from the mean, in double precision."""
    total = 0.0
    for top in range(0, x.size, RUN):
        run, part = x[top:top + RUN], x.dtype.type(0)
        for k in range(run.size):
            part += (run[k] - mean) * (run[k] - mean)
        total += part
    return total


@kernel
def _run_products(dy, x, mean):
    """Sums of dy and of dy (x - mean), in double precision."""
    total, product = 0.0, 0.0
    for top in range(0, x.size, RUN):
        run, d, part, both = x[top:top + RUN], dy[top:top + RUN], x.dtype.type(0), x.dtype.type(0)
        for k in range(run.size):
            part += d[k]
            both += d[k] * (run[k] - mean)
        total += part
        product += both
    return total, product


@kernel
def _add_rows(x, first, last, total):
    """Add the rows first … last - 1 to `total`, four at a time."""
    C, n = total.size, first
    while n + 4 <= last:
        for c in range(C):
            total[c] += (x[n, c] + x[n + 1, c]) + (x[n + 2, c] + x[n + 3, c])
        n += 4
    while n < last:
        for c in range(C):
            total[c] += x[n, c]
        n += 1


@kernel
def _square(x, mean):
    return (x - mean) * (x - mean)


@kernel
def _add_squares(x, first, last, mean, total):
    """Add the rows' squared distances from the columns' means to `total`."""
    C, n = total.size, first
    while n + 4 <= last:
        for c in range(C):
            total[c] += ((_square(x[n, c], mean[c]) + _square(x[n + 1, c], mean[c]))
                         + (_square(x[n + 2, c], mean[c]) + _square(x[n + 3, c], mean[c])))
        n += 4
    while n < last:
        for c in range(C):
            total[c] += _square(x[n, c], mean[c])
        n += 1


@kernel
def _column_moments(x, first, last, means, squares):
    """Means and sums of squared distances of the columns of rows first … last - 1."""
    number, C = x.dtype.type, x.shape[1]
    m, q = np.empty(C, x.dtype), np.empty(C, x.dtype)
    means[:] = 0
    squares[:] = 0
    for top in range(first, last, ROWS):
        end = min(top + ROWS, last)
        before, part, whole = number(top - first), number(end - top), number(end - first)
        m[:] = 0
        q[:] = 0
        _add_rows(x, top, end, m)
        for c in range(C):
            m[c] /= part                                                        # (1)
        _add_squares(x, top, end, m, q)                                         # (2)
        for c in range(C):
            d = m[c] - means[c]
            means[c] += d * (part / whole)                                      # (9)
            squares[c] += q[c] + d * d * (before * part / whole)                # (10)


@kernel
def _column_products(dy, x, first, last, mean, product, total):
    """Add, of each column of rows first … last - 1, the sums of dy (x - mean) and of dy."""
    C, n = mean.size, first
    while n + 2 <= last:
        for c in range(C):
            product[c] += dy[n, c] * (x[n, c] - mean[c]) + dy[n + 1, c] * (x[n + 1, c] - mean[c])
            total[c] += dy[n, c] + dy[n + 1, c]
        n += 2
    while n < last:
        for c in range(C):
            product[c] += dy[n, c] * (x[n, c] - mean[c])
            total[c] += dy[n, c]
        n += 1


# batch norm

@kernel
def _moments_of_rows(x, s, threads, means, squares, counts):
    """A share of the rows."""
    first, last = range_of(len(x), s, threads)
    counts[s] = last - first
    _column_moments(x, first, last, means[s], squares[s])


@kernel
def _moments_of_runs(x, s, threads, means, squares, counts):
    """A share of the rows of B numbers that lie side by side; row n is of channel n % C."""
    A, C, B = x.shape
    rows, number = x.reshape(A * C, B), x.dtype.type
    first, last = range_of(A * C, s, threads)
    for n in range(first, last):
        c = n % C
        m = _run_sum(rows[n]) / B                                               # (1)
        q = _run_squares(rows[n], number(m))                                    # (2)
        before, d = counts[s, c], m - means[s, c]
        whole = before + B
        means[s, c] += number(d * B / whole)                                    # (9)
        squares[s, c] += number(q + d * d * before * B / whole)                 # (10)
        counts[s, c] = number(whole)


@kernel
def _put_together(means, squares, counts, mean, variance):
    """Mean and variance of the whole from those of the shares."""
    number = mean.dtype.type
    for c in range(mean.size):
        n, m, q = 0.0, 0.0, 0.0
        for s in range(len(means)):
            part = float(counts[s, c])
            if part > 0:
                d = means[s, c] - m
                m += d * part / (n + part)                                      # (9)
                q += squares[s, c] + d * d * n * part / (n + part)              # (10)
                n += part
        mean[c], variance[c] = number(m), number(q / n)


@kernel
def _counts(mask, a, c, b):
    """Whether a number counts; a mask may have one flag for all channels and places."""
    return mask[a, min(c, mask.shape[1] - 1), min(b, mask.shape[2] - 1)]


@kernel
def _masked_statistics(x, mask, mean, variance, count):
    A, C, B = x.shape
    number = x.dtype.type
    for c in range(C):
        n, total, squares = 0, 0.0, 0.0
        for a in range(A):
            for b in range(B):
                if _counts(mask, a, c, b):
                    n += 1
                    total += x[a, c, b]
        m = number(total / (n + EPSILON))                                       # (1)
        for a in range(A):
            for b in range(B):
                if _counts(mask, a, c, b):
                    squares += (x[a, c, b] - m) * (x[a, c, b] - m)
        mean[c], variance[c], count[c] = m, number(squares / (n + EPSILON)), number(n + EPSILON)        # (2)


@kernel
def _scale_rows(x, mean, scale, beta, s, threads, y):
    """A share of the rows, two at a time: the channels' numbers are loaded half as often."""
    n, last = range_of(len(x), s, threads)
    while n + 2 <= last:
        for c in range(mean.size):
            first, second = (x[n, c] - mean[c]) * scale[c] + beta[c], (x[n + 1, c] - mean[c]) * scale[c] + beta[c]
            y[n, c], y[n + 1, c] = first, second                                # (4), (5)
        n += 2
    if n < last:
        for c in range(mean.size):
            y[n, c] = (x[n, c] - mean[c]) * scale[c] + beta[c]                  # (4), (5)


@kernel
def _scale_runs(x, mean, scale, beta, s, threads, y):
    A, C = x.shape[:2]
    first, last = range_of(A * C, s, threads)
    for n in range(first, last):
        a, c = n // C, n % C
        _scale_run(x[a, c], mean[c], scale[c], beta[c], y[a, c])


@kernel
def _scale_run(x, mean, scale, beta, y):
    for b in range(x.size):
        y[b] = (x[b] - mean) * scale + beta                                     # (4), (5)


@kernel
def _sums_of_rows(dy, x, mean, s, threads, totals):
    """Sums of dy (x - mean), then those of dy."""
    C = mean.size
    first, last = range_of(len(x), s, threads)
    part = np.empty(2 * C, x.dtype)
    for top in range(first, last, ROWS):
        part[:] = 0
        _column_products(dy, x, top, min(top + ROWS, last), mean, part[:C], part[C:])       # from (5)
        add_to(totals, part)


@kernel
def _sums_of_runs(dy, x, mean, s, threads, totals):
    A, C = x.shape[:2]
    number = x.dtype.type
    first, last = range_of(A * C, s, threads)
    for n in range(first, last):
        a, c = n // C, n % C
        total, product = _run_products(dy[a, c], x[a, c], mean[c])              # from (5)
        totals[c] += number(product)
        totals[C + c] += number(total)


@kernel
def _combine_rows(dy, x, mean, direct, slope, level, s, threads, dx):
    n, last = range_of(len(x), s, threads)
    while n + 2 <= last:
        for c in range(mean.size):
            first = direct[c] * dy[n, c] + (slope[c] * (x[n, c] - mean[c]) + level[c])
            second = direct[c] * dy[n + 1, c] + (slope[c] * (x[n + 1, c] - mean[c]) + level[c])
            dx[n, c], dx[n + 1, c] = first, second                              # (8)
        n += 2
    if n < last:
        for c in range(mean.size):
            dx[n, c] = direct[c] * dy[n, c] + (slope[c] * (x[n, c] - mean[c]) + level[c])   # (8)


@kernel
def _combine_runs(dy, x, mean, direct, slope, level, s, threads, dx):
    A, C = x.shape[:2]
    first, last = range_of(A * C, s, threads)
    for n in range(first, last):
        a, c = n // C, n % C
        _combine_run(dy[a, c], x[a, c], mean[c], direct[c], slope[c], level[c], dx[a, c])


@kernel
def _combine_run(dy, x, mean, direct, slope, level, dx):
    for b in range(x.size):
        dx[b] = direct * dy[b] + (slope * (x[b] - mean) + level)                # (8)


@kernel
def _masked_backward(dy, x, mask, mean, direct, slope, level, dx):
    A, C, B = x.shape
    zero = x.dtype.type(0)
    for a in range(A):
        for c in range(C):
            for b in range(B):
                through = slope[c] * (x[a, c, b] - mean[c]) + level[c]          # from (1), (2)
                dx[a, c, b] = direct[c] * dy[a, c, b] + (through if _counts(mask, a, c, b) else zero)


# layer norm

@kernel
def _layer_rows(x, gamma, beta, epsilon, centred, s, threads, y, mean, rstd):
    number, K = x.dtype.type, gamma.size
    first, last = range_of(len(x), s, threads)
    for n in range(first, last):
        m = number(_run_sum(x[n]) / K)                                          # (1)
        r = number(1 / math.sqrt(_run_squares(x[n], m) / K + epsilon))          # (2), (3)
        shift = m if centred else number(0)
        for k in range(K):
            y[n, k] = gamma[k] * ((x[n, k] - shift) * r) + beta[k]              # (4), (5)
        mean[n], rstd[n] = m, r


@kernel
def _rms_rows(x, gamma, epsilon, s, threads, y, rstd):
    number, K = x.dtype.type, gamma.size
    first, last = range_of(len(x), s, threads)
    for n in range(first, last):
        r = number(1 / math.sqrt(_run_squares(x[n], number(0)) / K + epsilon))  # (2), (3) with a mean of 0
        for k in range(K):
            y[n, k] = gamma[k] * (x[n, k] * r)                                  # (4), (5)
        rstd[n] = r


@kernel
def _layer_rows_backward(dy, x, gamma, mean, rstd, centred, dx, s, threads, totals):
    K = gamma.size
    first, last = range_of(len(x), s, threads)
    part, near = np.empty(2 * K, x.dtype), max(4, min(ROWS, NEAR // K))
    for start in range(first, last, ROWS):
        part[:] = 0
        stop = min(start + ROWS, last)
        for top in range(start, stop, near):
            end = min(top + near, stop)
            _layer_dx(dy, x, gamma, mean, rstd, centred, top, end, dx)
            _add_layer_rows(dy, x, mean, rstd, centred, top, end, part[:K], part[K:])
        add_to(totals, part)


@kernel
def _layer_dx(dy, x, gamma, mean, rstd, centred, first, last, dx):
    """The rows first … last - 1 of dx."""
    number, K = x.dtype.type, gamma.size
    flat_dy, flat_x = dy.reshape(-1), x.reshape(-1)
    for n in range(first, last):
        r, total, product, shift = rstd[n], 0.0, 0.0, mean[n] if centred else number(0)
        for k in range(0, K, RUN):
            part, both = _layer_run_sums(flat_dy, flat_x, n * K + k, gamma, k, min(RUN, K - k), shift)
            total += part
            product += both
        level, slope = number(total / K) if centred else number(0), r * r * r * number(product / K)
        for k in range(K):
            dx[n, k] = r * (gamma[k] * dy[n, k] - level) - (x[n, k] - mean[n]) * slope                              # (8)


@kernel
def _layer_run_sums(dy, x, at, gamma, first, count, shift):
    """The sums of g and of g (x - m) of (8), of a run of a row that begins at `at`."""
    total, product = x.dtype.type(0), x.dtype.type(0)
    for k in range(count):
        g = gamma[np.uintp(first + k)] * dy[np.uintp(at + k)]
        total += g
        product += g * (x[np.uintp(at + k)] - shift)
    return total, product


@kernel
def _add_layer_rows(dy, x, mean, rstd, centred, first, last, dgamma, dbeta):
    """The rows first … last - 1, four at a time: dgamma and dbeta are loaded and stored a quarter as often."""
    zero, n = x.dtype.type(0), first
    while n + 4 <= last:
        a, b, c, d = (mean[n], mean[n + 1], mean[n + 2], mean[n + 3]) if centred else (zero, zero, zero, zero)
        p, q, r, s = rstd[n], rstd[n + 1], rstd[n + 2], rstd[n + 3]
        for k in range(dgamma.size):
            dgamma[k] += ((dy[n, k] * ((x[n, k] - a) * p) + dy[n + 1, k] * ((x[n + 1, k] - b) * q))
                          + (dy[n + 2, k] * ((x[n + 2, k] - c) * r) + dy[n + 3, k] * ((x[n + 3, k] - d) * s)))      # from (5)
            dbeta[k] += (dy[n, k] + dy[n + 1, k]) + (dy[n + 2, k] + dy[n + 3, k])                                   # from (5)
        n += 4
    while n < last:
        shift = mean[n] if centred else zero
        for k in range(dgamma.size):
            dgamma[k] += dy[n, k] * ((x[n, k] - shift) * rstd[n])                                                   # from (5)
            dbeta[k] += dy[n, k]                                                                                    # from (5)
        n += 1


@kernel
def _layer_columns(x, gamma, beta, epsilon, centred, s, threads, y, mean, rstd):
    """A share of the blocks of columns: column (a, b) is x[a, :, b]."""
    A, K, B = x.shape
    number, blocks = x.dtype.type, (B + COLUMNS - 1) // COLUMNS
    first, last = range_of(A * blocks, s, threads)
    part = np.empty((2, COLUMNS), x.dtype)
    for block in range(first, last):
        a, left = block // blocks, block % blocks * COLUMNS
        width = min(COLUMNS, B - left)
        m, r = mean[a, left:left + width], rstd[a, left:left + width]
        _block_moments(x[a], left, m, r, part)                                  # (1), (2)
        for b in range(width):
            r[b] = number(1 / math.sqrt(r[b] + epsilon))                        # (3)
        for k in range(K):
            _scale_across(x[a, k, left:left + width], m, r, gamma[k], beta[k], centred, y[a, k, left:left + width])


@kernel
def _block_moments(x, left, mean, variance, part):
    """Means and variances of columns that lie side by side in x (K, B)."""
    K, width, number = len(x), mean.size, x.dtype.type
    m, q = part[0, :width], part[1, :width]
    mean[:] = 0
    variance[:] = 0
    for top in range(0, K, ROWS):
        end = min(top + ROWS, K)
        m[:] = 0
        q[:] = 0
        for k in range(top, end):
            add_to(m, x[k, left:left + width])
        for b in range(width):
            m[b] /= number(end - top)                                           # (1)
        for k in range(top, end):
            row = x[k, left:left + width]
            for b in range(width):
                q[b] += (row[b] - m[b]) * (row[b] - m[b])                       # (2)
        for b in range(width):
            d = m[b] - mean[b]
            mean[b] += d * (number(end - top) / number(end))                    # (9)
            variance[b] += q[b] + d * d * (number(top) * number(end - top) / number(end))       # (10)
    for b in range(width):
        variance[b] /= number(K)


@kernel
def _scale_across(x, mean, rstd, gamma, beta, centred, y):
    if centred:
        for b in range(x.size):
            y[b] = gamma * ((x[b] - mean[b]) * rstd[b]) + beta                  # (4), (5)
    else:
        for b in range(x.size):
            y[b] = gamma * (x[b] * rstd[b]) + beta


@kernel
def _layer_columns_backward(dy, x, gamma, mean, rstd, centred, dx, s, threads, totals):
    A, K, B = x.shape
    number, blocks = x.dtype.type, (B + COLUMNS - 1) // COLUMNS
    first, last = range_of(A * blocks, s, threads)
    part = np.empty((3, COLUMNS), x.dtype)
    for block in range(first, last):
        a, left = block // blocks, block % blocks * COLUMNS
        right = min(left + COLUMNS, B)
        m, r, shift = mean[a, left:right], rstd[a, left:right], part[2, :right - left]
        total, product = part[0, :right - left], part[1, :right - left]
        part[:] = 0
        if centred:
            shift[:] = m
        for k in range(K):
            dg, db = _column_sums(dy[a, k, left:right], x[a, k, left:right], gamma[k], shift, r, total, product)
            totals[k] += number(dg)
            totals[K + k] += number(db)
        for b in range(right - left):
            total[b] = total[b] / number(K) if centred else number(0)
            product[b] = product[b] / number(K) * r[b] * r[b]
        for k in range(K):
            _column_backward(dy[a, k, left:right], x[a, k, left:right], gamma[k], m, r, total, product, dx[a, k, left:right])


@kernel
def _column_sums(dy, x, gamma, shift, rstd, total, product):
    dgamma, dbeta = x.dtype.type(0), x.dtype.type(0)
    for b in range(x.size):
        dgamma_b = dy[b] * ((x[b] - shift[b]) * rstd[b])
        dgamma += dgamma_b                                                      # from (5)
        dbeta += dy[b]                                                          # from (5)
        total[b] += gamma * dy[b]
        product[b] += gamma * dgamma_b
    return dgamma, dbeta


@kernel
def _column_backward(dy, x, gamma, mean, rstd, level, slope, dx):
    for b in range(x.size):
        dx[b] = rstd[b] * (gamma * dy[b] - level[b]) - (x[b] - mean[b]) * slope[b]          # (8)


# group norm

@kernel
def _group_rows(x, gamma, beta, epsilon, s, threads, y, mean, rstd):
    """Samples (P, C) with the channels side by side."""
    N, P, G, K = x.shape[:4]
    C = G * K
    means, squares = np.empty(C, x.dtype), np.empty(C, x.dtype)
    xs, ys = x.reshape(N, P, C), y.reshape(N, P, C)
    first, last = range_of(N, s, threads)
    for n in range(first, last):
        _column_moments(xs[n], 0, P, means, squares)
        _join_channels(means, squares, P, K, epsilon, mean[n], rstd[n])
        for c in range(C):
            means[c], squares[c] = mean[n, c // K], gamma[c] * rstd[n, c // K]
        _scale_rows(xs[n], means, squares, beta, 0, 1, ys[n])


@kernel
def _join_channels(means, squares, P, K, epsilon, mean, rstd):
    """Mean and rstd of groups of K channels from the channels' own, each of P numbers."""
    number = means.dtype.type
    for g in range(mean.size):
        m, q = 0.0, 0.0
        for k in range(K):
            d = means[g * K + k] - m
            m += d / (k + 1)                                                    # (9)
            q += squares[g * K + k] + d * d * P * k / (k + 1)                   # (10)
        mean[g], rstd[g] = number(m), number(1 / math.sqrt(q / (P * K) + epsilon))          # (3)


@kernel
def _group_rows_backward(dy, x, gamma, mean, rstd, dx, s, threads, totals):
    N, P, G, K = x.shape[:4]
    number, C = x.dtype.type, G * K
    dys, xs, dxs = dy.reshape(N, P, C), x.reshape(N, P, C), dx.reshape(N, P, C)
    means, direct, slope, level = np.empty(C, x.dtype), np.empty(C, x.dtype), np.empty(C, x.dtype), np.empty(C, x.dtype)
    sums = np.empty(2 * C, x.dtype)
    first, last = range_of(N, s, threads)
    for n in range(first, last):
        for c in range(C):
            means[c] = mean[n, c // K]
        sums[:] = 0
        _sums_of_rows(dys[n], xs[n], means, 0, 1, sums)
        for g in range(G):
            r = rstd[n, g]
            dvariance, total = 0.0, 0.0
            for c in range(g * K, (g + 1) * K):
                totals[c] += sums[c] * r                                        # from (5)
                totals[C + c] += sums[C + c]                                    # from (5)
                dvariance += gamma[c] * sums[c] * r
                total += gamma[c] * sums[C + c]
            for c in range(g * K, (g + 1) * K):
                direct[c], slope[c] = gamma[c] * r, number(-r * r * dvariance / (P * K))
                level[c] = number(-r * total / (P * K))
        _combine_rows(dys[n], xs[n], means, direct, slope, level, 0, 1, dxs[n])


@kernel
def _group_runs(x, gamma, beta, epsilon, s, threads, y, mean, rstd):
    """Each channel is P runs of Q numbers that lie side by side, and a group P runs of K Q numbers."""
    N, P, G, K, Q = x.shape
    number = x.dtype.type
    xs, ys = x.reshape(N, P, G, K * Q), y.reshape(N, P, G, K, Q)
    first, last = range_of(N, s, threads)
    for n in range(first, last):
        for g in range(G):
            total, squares = 0.0, 0.0
            for p in range(P):
                total += _run_sum(xs[n, p, g])
            m = number(total / (P * K * Q))                                     # (1)
            for p in range(P):
                squares += _run_squares(xs[n, p, g], m)                         # (2)
            r = number(1 / math.sqrt(squares / (P * K * Q) + epsilon))          # (3)
            for p in range(P):
                for k in range(K):
                    _scale_run(x[n, p, g, k], m, r * gamma[g * K + k], beta[g * K + k], ys[n, p, g, k])
            mean[n, g], rstd[n, g] = m, r


@kernel
def _group_runs_backward(dy, x, gamma, mean, rstd, dx, s, threads, totals):
    N, P, G, K, Q = x.shape
    number, C = x.dtype.type, G * K
    first, last = range_of(N, s, threads)
    for n in range(first, last):
        for g in range(G):
            m, r = mean[n, g], rstd[n, g]
            total, dvariance = 0.0, 0.0
            for k in range(K):
                c, dgamma, dbeta = g * K + k, 0.0, 0.0
                for p in range(P):
                    sum_dy, product = _run_products(dy[n, p, g, k], x[n, p, g, k], m)
                    dgamma += product * r
                    dbeta += sum_dy
                totals[c] += number(dgamma)                                     # from (5)
                totals[C + c] += number(dbeta)                                  # from (5)
                total += gamma[c] * dbeta
                dvariance += gamma[c] * dgamma
            slope, level = number(-r * r * dvariance / (P * K * Q)), number(-r * total / (P * K * Q))
            for p in range(P):
                for k in range(K):
                    _combine_run(dy[n, p, g, k], x[n, p, g, k], m, r * gamma[g * K + k], slope, level, dx[n, p, g, k])


# unit norm

@kernel
def _unit_rows(x, limit, s, threads, y, scale):
    number = x.dtype.type
    first, last = range_of(len(x), s, threads)
    for a in range(first, last):
        r = number(min(1 / math.sqrt(_run_squares(x[a], number(0))), limit))    # (6)
        for k in range(x.shape[1]):
            y[a, k] = r * x[a, k]                                               # (7)
        scale[a] = r


@kernel
def _unit_rows_backward(dy, x, limit, scale, s, threads, dx):
    number = x.dtype.type
    first, last = range_of(len(x), s, threads)
    for a in range(first, last):
        r, along = scale[a], number(0)
        if r < number(limit):                                                   # from (6): a limit is a constant
            for k in range(x.shape[1]):
                along += dy[a, k] * x[a, k]
            along *= r * r
        for k in range(x.shape[1]):
            dx[a, k] = r * (dy[a, k] - x[a, k] * along)                         # from (7), (6)


@kernel
def _unit_columns(x, limit, s, threads, y, scale):
    A, K, B = x.shape
    number = x.dtype.type
    first, last = range_of(A, s, threads)
    for a in range(first, last):
        squares = scale[a]
        squares[:] = 0
        for k in range(K):
            for b in range(B):
                squares[b] += x[a, k, b] * x[a, k, b]
        for b in range(B):
            squares[b] = number(min(1 / math.sqrt(squares[b]), limit))          # (6)
        for k in range(K):
            for b in range(B):
                y[a, k, b] = scale[a, b] * x[a, k, b]                           # (7)


@kernel
def _unit_columns_backward(dy, x, limit, scale, s, threads, dx):
    A, K, B = x.shape
    number = x.dtype.type
    along = np.empty(B, x.dtype)
    first, last = range_of(A, s, threads)
    for a in range(first, last):
        along[:] = 0
        for k in range(K):
            for b in range(B):
                along[b] += dy[a, k, b] * x[a, k, b]
        for b in range(B):
            r = scale[a, b]
            along[b] = along[b] * r * r if r < number(limit) else number(0)     # from (6): a limit is a constant
        for k in range(K):
            for b in range(B):
                dx[a, k, b] = scale[a, b] * (dy[a, k, b] - x[a, k, b] * along[b])           # from (7), (6)
