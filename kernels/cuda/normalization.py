"""Normalization on the GPU. Formulas and shapes: kernels/reference/normalization.py.

All layers are seen as arrays of six axes (N, P, G, K, Q, R): the numbers of one set S have the same n, g and r, and their
weights are those of (g, k). In batch norm N, K and R are 1, in layer norm P, G and Q, in group norm R. A block of threads takes
one set; where the next number in memory is of another set, it takes some sets side by side, a lane of threads for each, so that
neighbouring threads read neighbouring numbers.
"""
import math

from ._compat import SIMULATED, THREADS, blocks_for, cuda
from ._lanes import lane_sum

LANES = 2 if SIMULATED else 32          # sets side by side in a block
PIECE = 2 if SIMULATED else 64          # numbers added one after the other: sums of such sums lose little
EPSILON = 1e-7                          # added to the count of a mask, as in Keras


def batch_statistics(x, mask, mean, variance, count):
    number, width = x.dtype.type, LANES if x.shape[2] == 1 else 1
    epsilon = number(EPSILON if mask.size else 0)
    _batch_statistics[_blocks(mean.size, width), THREADS](x, mask, width, epsilon, mean, variance, count)


def batch_norm(x, mean, rstd, gamma, beta, y):
    _batch_norm[blocks_for(x.size), THREADS](x, mean, rstd, gamma, beta, y)


def batch_norm_sums(dy, x, mean, rstd, dgamma, dbeta):
    A, C, B = x.shape
    dgamma.fill(0)
    dbeta.fill(0)
    _weight_sums_of(dy, x, (1, A, C, 1, B, 1), mean, rstd, True, dgamma, dbeta)


def batch_norm_backward(dy, x, mask, mean, rstd, gamma, count, dgamma, dbeta, dx):
    epsilon = x.dtype.type(EPSILON if mask.size else 0)
    _batch_norm_backward[blocks_for(x.size), THREADS](dy, x, mask, mean, rstd, gamma, count, dgamma, dbeta, epsilon, dx)


def layer_norm(x, gamma, beta, epsilon, centred, y, mean, rstd):
    A, K, B = x.shape
    _norm_of(x, (A, 1, 1, K, 1, B), gamma, beta, epsilon, centred, y, mean, rstd)


def layer_norm_backward(dy, x, gamma, mean, rstd, centred, dgamma, dbeta, dx):
    A, K, B = x.shape
    _norm_backward_of(dy, x, (A, 1, 1, K, 1, B), gamma, mean, rstd, centred, dgamma, dbeta, dx)


def rms_norm(x, gamma, epsilon, y, rstd):
    _rms_norm[_blocks(len(x), 1), THREADS](x, gamma, x.dtype.type(epsilon), y, rstd)


def group_norm(x, gamma, beta, epsilon, y, mean, rstd):
    _norm_of(x, (*x.shape, 1), gamma, beta, epsilon, True, y, mean, rstd)


def group_norm_backward(dy, x, gamma, mean, rstd, dgamma, dbeta, dx):
    _norm_backward_of(dy, x, (*x.shape, 1), gamma, mean, rstd, True, dgamma, dbeta, dx)


def unit_norm(x, limit, y, scale):
    width = LANES if x.shape[2] > 1 else 1
    _unit_norm[_blocks(scale.size, width), THREADS](x, width, x.dtype.type(limit), y, scale)


def unit_norm_backward(dy, x, limit, scale, dx):
    width = LANES if x.shape[2] > 1 else 1
    _unit_norm_backward[_blocks(scale.size, width), THREADS](dy, x, width, x.dtype.type(limit), scale, dx)


def _blocks(sets, width):
    return max(1, min((sets + width - 1) // width, 4096))


def _width(shape):
    """How many sets a block takes side by side."""
    _, _, _, K, Q, R = shape
    return LANES if R > 1 or K * Q == 1 else 1


def _norm_of(x, shape, gamma, beta, epsilon, centred, y, mean, rstd):
    width = _width(shape)
    _norm[_blocks(mean.size, width), THREADS](
        x.reshape(-1), shape, width, gamma.reshape(-1), beta.reshape(-1), x.dtype.type(epsilon), centred, y.reshape(-1),
        mean.reshape(-1), rstd.reshape(-1))


def _norm_backward_of(dy, x, shape, gamma, mean, rstd, centred, dgamma, dbeta, dx):
    width = _width(shape)
    _norm_backward[_blocks(mean.size, width), THREADS](
        dy.reshape(-1), x.reshape(-1), shape, width, gamma.reshape(-1), mean.reshape(-1), rstd.reshape(-1), centred,
        dx.reshape(-1))
    _weight_sums_of(dy, x, shape, mean, rstd, centred, dgamma, dbeta)


def _weight_sums_of(dy, x, shape, mean, rstd, centred, dgamma, dbeta):
    _, _, G, K, Q, R = shape
    width = LANES if Q * R == 1 else 1
    _weight_sums[_blocks(G * K, width), THREADS](
        dy.reshape(-1), x.reshape(-1), shape, width, mean.reshape(-1), rstd.reshape(-1), centred, dgamma.reshape(-1),
        dbeta.reshape(-1))


@cuda.jit(device=True)
def _place(shape, s, j):
    """Where number j of set s lies."""
    P, G, K, Q, R = shape[1], shape[2], shape[3], shape[4], shape[5]
    r, g, n = s % R, s // R % G, s // (R * G)
    q, k, p = j % Q, j // Q % K, j // (Q * K)
    return ((((n * P + p) * G + g) * K + k) * Q + q) * R + r


@cuda.jit(device=True)
def _weight(shape, s, j):
    """The number of the weight of number j of set s."""
    return s // shape[5] % shape[2] * shape[3] + j // shape[4] % shape[3]


@cuda.jit(device=True)
def _counts(mask, a, c, b):
    """Whether the mask, if there is one, lets a number count."""
    if mask.size == 0:
        return True
    return mask[a, c, b] if mask.shape[1] * mask.shape[2] > 1 else mask[a, 0, 0]


@cuda.jit
def _batch_statistics(x, mask, width, epsilon, mean, variance, count):
    shared = cuda.shared.array(THREADS, x.dtype)
    A, C, B = x.shape
    number = x.dtype.type
    lane, part, parts = cuda.threadIdx.x % width, cuda.threadIdx.x // width, THREADS // width
    for first in range(cuda.blockIdx.x * width, C, cuda.gridDim.x * width):
        c = min(first + lane, C - 1)
        n, total = number(0), number(0)
        for piece in range(part, A * B, parts * PIECE):
            short = number(0)
            for j in range(piece, min(piece + parts * PIECE, A * B), parts):
                if _counts(mask, j // B, c, j % B):
                    n += number(1)
                    short += x[j // B, c, j % B]
            total += short
        n = lane_sum(n, width, shared) + epsilon
        m = lane_sum(total, width, shared) / n                                 # (1)
        total = number(0)
        for piece in range(part, A * B, parts * PIECE):
            short = number(0)
            for j in range(piece, min(piece + parts * PIECE, A * B), parts):
                if _counts(mask, j // B, c, j % B):
                    d = x[j // B, c, j % B] - m
                    short += d * d
            total += short
        total = lane_sum(total, width, shared)
        if part == 0 and first + lane < C:
            mean[c], variance[c], count[c] = m, total / n, n                    # (2)


@cuda.jit
def _batch_norm(x, mean, rstd, gamma, beta, y):
    C, B = x.shape[1], x.shape[2]
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        a, c, b = i // (C * B), i // B % C, i % B
        y[a, c, b] = gamma[c] * ((x[a, c, b] - mean[c]) * rstd[c]) + beta[c]    # (4), (5)


@cuda.jit
def _batch_norm_backward(dy, x, mask, mean, rstd, gamma, count, dgamma, dbeta, epsilon, dx):
    C, B = x.shape[1], x.shape[2]
    number = x.dtype.type
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        a, c, b = i // (C * B), i // B % C, i % B
        through = number(0)
        if _counts(mask, a, c, b):
            twice_dvariance = -rstd[c] * rstd[c] * gamma[c] * dgamma[c]         # from (4), (3)
            left = mean[c] * epsilon / count[c]
            dmean = -rstd[c] * gamma[c] * dbeta[c] - twice_dvariance * left     # from (4), (2)
            through = (dmean + twice_dvariance * (x[a, c, b] - mean[c])) / count[c]     # from (1), (2)
        dx[a, c, b] = gamma[c] * rstd[c] * dy[a, c, b] + through                # from (5), (4)


@cuda.jit
def _weight_sums(dy, x, shape, width, mean, rstd, centred, dgamma, dbeta):
    shared = cuda.shared.array(THREADS, x.dtype)
    N, P, G, K, Q, R = shape
    number = x.dtype.type
    lane, part, parts = cuda.threadIdx.x % width, cuda.threadIdx.x // width, THREADS // width
    for first in range(cuda.blockIdx.x * width, G * K, cuda.gridDim.x * width):
        w = min(first + lane, G * K - 1)
        total, product = number(0), number(0)
        for piece in range(part, N * P * Q * R, parts * PIECE):
            short, both = number(0), number(0)
            for j in range(piece, min(piece + parts * PIECE, N * P * Q * R), parts):
                at = (j // (Q * R) * G * K + w) * Q * R + j % (Q * R)
                s = (j // (P * Q * R) * G + w // K) * R + j % R
                shift = mean[s] if centred else number(0)
                short += dy[at]
                both += dy[at] * ((x[at] - shift) * rstd[s])
            total += short
            product += both
        total, product = lane_sum(total, width, shared), lane_sum(product, width, shared)
        if part == 0 and first + lane < G * K:
            dgamma[w] += product                                                # from (5)
            dbeta[w] += total                                                   # from (5)


@cuda.jit
def _norm(x, shape, width, gamma, beta, epsilon, centred, y, mean, rstd):
    shared = cuda.shared.array(THREADS, x.dtype)
    sets, members = shape[0] * shape[2] * shape[5], shape[1] * shape[3] * shape[4]
    number = x.dtype.type
    lane, part, parts = cuda.threadIdx.x % width, cuda.threadIdx.x // width, THREADS // width
    for first in range(cuda.blockIdx.x * width, sets, cuda.gridDim.x * width):
        s = min(first + lane, sets - 1)
        total = number(0)
        for piece in range(part, members, parts * PIECE):
            short = number(0)
            for j in range(piece, min(piece + parts * PIECE, members), parts):
                short += x[_place(shape, s, j)]
            total += short
        m = lane_sum(total, width, shared) / number(members)                   # (1)
        total = number(0)
        for piece in range(part, members, parts * PIECE):
            short = number(0)
            for j in range(piece, min(piece + parts * PIECE, members), parts):
                d = x[_place(shape, s, j)] - m
                short += d * d
            total += short
        r = number(1) / math.sqrt(lane_sum(total, width, shared) / number(members) + epsilon)      # (2), (3)
        shift = m if centred else number(0)
        if first + lane < sets:
            for j in range(part, members, parts):
                at, w = _place(shape, s, j), _weight(shape, s, j)
                y[at] = gamma[w] * ((x[at] - shift) * r) + beta[w]              # (4), (5)
            if part == 0:
                mean[s], rstd[s] = m, r


@cuda.jit
def _norm_backward(dy, x, shape, width, gamma, mean, rstd, centred, dx):
    shared = cuda.shared.array(THREADS, x.dtype)
    sets, members = shape[0] * shape[2] * shape[5], shape[1] * shape[3] * shape[4]
    number = x.dtype.type
    lane, part, parts = cuda.threadIdx.x % width, cuda.threadIdx.x // width, THREADS // width
    for first in range(cuda.blockIdx.x * width, sets, cuda.gridDim.x * width):
        s = min(first + lane, sets - 1)
        m, r = mean[s], rstd[s]
        shift = m if centred else number(0)
        total, product = number(0), number(0)
        for piece in range(part, members, parts * PIECE):
            short, both = number(0), number(0)
            for j in range(piece, min(piece + parts * PIECE, members), parts):
                at = _place(shape, s, j)
                g = gamma[_weight(shape, s, j)] * dy[at]                        # from (5)
                short += g
                both += g * ((x[at] - shift) * r)
            total += short
            product += both
        level = lane_sum(total, width, shared) / number(members)
        slope = r * r * lane_sum(product, width, shared) / number(members)
        level = level if centred else number(0)
        if first + lane < sets:
            for j in range(part, members, parts):
                at = _place(shape, s, j)
                g = gamma[_weight(shape, s, j)] * dy[at]
                dx[at] = r * (g - level) - (x[at] - m) * slope                  # (8)


@cuda.jit
def _rms_norm(x, gamma, epsilon, y, rstd):
    shared = cuda.shared.array(THREADS, x.dtype)
    K, number = x.shape[1], x.dtype.type
    for n in range(cuda.blockIdx.x, x.shape[0], cuda.gridDim.x):
        total = number(0)
        for k in range(cuda.threadIdx.x, K, THREADS):
            total += x[n, k] * x[n, k]
        r = number(1) / math.sqrt(lane_sum(total, 1, shared) / number(K) + epsilon)     # (2), (3) with a mean of 0
        for k in range(cuda.threadIdx.x, K, THREADS):
            y[n, k] = gamma[k] * (x[n, k] * r)                                  # (4), (5)
        if cuda.threadIdx.x == 0:
            rstd[n] = r


@cuda.jit
def _unit_norm(x, width, limit, y, scale):
    shared = cuda.shared.array(THREADS, x.dtype)
    A, K, B = x.shape
    number = x.dtype.type
    lane, part, parts = cuda.threadIdx.x % width, cuda.threadIdx.x // width, THREADS // width
    for first in range(cuda.blockIdx.x * width, A * B, cuda.gridDim.x * width):
        s = min(first + lane, A * B - 1)
        a, b = s // B, s % B
        total = number(0)
        for k in range(part, K, parts):
            total += x[a, k, b] * x[a, k, b]
        total = lane_sum(total, width, shared)
        r = limit
        if total > number(0):
            r = min(number(1) / math.sqrt(total), limit)                        # (6)
        elif total != total:
            r = total                                                           # a NaN stays
        if first + lane < A * B:
            for k in range(part, K, parts):
                y[a, k, b] = r * x[a, k, b]                                     # (7)
            if part == 0:
                scale[a, b] = r


@cuda.jit
def _unit_norm_backward(dy, x, width, limit, scale, dx):
    shared = cuda.shared.array(THREADS, x.dtype)
    A, K, B = x.shape
    number = x.dtype.type
    lane, part, parts = cuda.threadIdx.x % width, cuda.threadIdx.x // width, THREADS // width
    for first in range(cuda.blockIdx.x * width, A * B, cuda.gridDim.x * width):
        s = min(first + lane, A * B - 1)
        a, b = s // B, s % B
        r, total = scale[a, b], number(0)
        for k in range(part, K, parts):
            total += dy[a, k, b] * x[a, k, b]
        total = lane_sum(total, width, shared)
        along = total * r * r if r < limit else number(0)                       # from (6): a limit is a constant
        if first + lane < A * B:
            for k in range(part, K, parts):
                dx[a, k, b] = r * (dy[a, k, b] - x[a, k, b] * along)            # from (7), (6)


_SHAPE, _ROW, _BOX, _MASK = "UniTuple(int64, 6)", "float32[:]", "float32[:,:,:]", "boolean[:,:,:]"
SIGNATURES = {
    "_batch_statistics": (_batch_statistics, f"void({_BOX}, {_MASK}, int64, float32, {_ROW}, {_ROW}, {_ROW})"),
    "_batch_norm": (_batch_norm, f"void({_BOX}, {_ROW}, {_ROW}, {_ROW}, {_ROW}, {_BOX})"),
    "_batch_norm_backward": (_batch_norm_backward, f"void({_BOX}, {_BOX}, {_MASK}, {', '.join([_ROW] * 6)}, float32, {_BOX})"),
    "_weight_sums": (_weight_sums, f"void({_ROW}, {_ROW}, {_SHAPE}, int64, {_ROW}, {_ROW}, boolean, {_ROW}, {_ROW})"),
    "_norm": (_norm, f"void({_ROW}, {_SHAPE}, int64, {_ROW}, {_ROW}, float32, boolean, {_ROW}, {_ROW}, {_ROW})"),
    "_norm_backward": (_norm_backward,
                       f"void({_ROW}, {_ROW}, {_SHAPE}, int64, {_ROW}, {_ROW}, {_ROW}, boolean, {_ROW})"),
    "_rms_norm": (_rms_norm, f"void(float32[:,:], {_ROW}, float32, float32[:,:], {_ROW})"),
    "_unit_norm": (_unit_norm, f"void({_BOX}, int64, float32, {_BOX}, float32[:,:])"),
    "_unit_norm_backward": (_unit_norm_backward, f"void({_BOX}, {_BOX}, int64, float32, float32[:,:], {_BOX})"),
}
