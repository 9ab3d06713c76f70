"""Activation functions, compiled for the CPU. Formulas and shapes: kernels/reference/activation.py."""
import math

import numpy as np

from ._elementwise import SHARE, elementwise
from ._flat import add_to
from ._jit import kernel
from ._math import exp, expm1, maximum, normal_tail, sigmoid as _sigmoid, softplus as _softplus, tanh as _tanh
from ._team import range_of, share, sum_of_shares
from ._threads import threads_for

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
GELU_FACTOR, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715
DENSITY_FACTOR = 1 / math.sqrt(2 * math.pi)
SHARE_OF_ROWS = 1 << 15     # numbers for each thread, where each costs an e^x
ROWS = 256                  # that are summed apart, lest a long sum lose its last digits


@elementwise
def relu(x, negative_slope, max_value, threshold, y):
    number = x.dtype.type
    slope, top, theta, zero = number(negative_slope), number(max_value), number(threshold), number(0)
    bottom = zero if max_value < math.inf else -number(math.inf)
    for n in range(x.size):
        above = bottom if x[n] < bottom else x[n]
        above = top if above > top else above
        below = slope * (x[n] - theta) if slope != zero else zero
        y[n] = below if x[n] <= theta else above                            # (1)


@elementwise
def relu_backward(dy, x, y, negative_slope, max_value, threshold, dx):
    number = x.dtype.type
    slope, top, theta, zero, one = number(negative_slope), number(max_value), number(threshold), number(0), number(1)
    bounded = max_value < math.inf
    bottom = zero if bounded else -number(math.inf)
    at_theta = one if negative_slope != 0 and not bounded and threshold == 0 else zero
    at_bound = zero if max_value == 6 and threshold == 0 else number(0.5) if bounded else one
    for n in range(x.size):
        inside = one if x[n] > bottom and x[n] < top else zero
        above = at_bound if x[n] == bottom or x[n] == top else inside
        below = slope if x[n] < theta else at_theta
        dx[n] = dy[n] * (above if x[n] > theta else below)                  # from (1)


@elementwise
def sigmoid(x, y):
    for n in range(x.size):
        y[n] = _sigmoid(x[n])                                               # (2)


@elementwise
def sigmoid_backward(dy, x, y, dx):
    one = x.dtype.type(1)
    for n in range(x.size):
        dx[n] = dy[n] * y[n] * (one - y[n])                                 # from (2)


@elementwise
def softplus(x, y):
    for n in range(x.size):
        y[n] = _softplus(x[n])                                              # (3)


@elementwise
def softplus_backward(dy, x, y, dx):
    for n in range(x.size):
        dx[n] = dy[n] * _sigmoid(x[n])                                      # from (3)


@elementwise
def softsign(x, y):
    one = x.dtype.type(1)
    for n in range(x.size):
        y[n] = x[n] / (one + abs(x[n]))                                     # (4)


@elementwise
def softsign_backward(dy, x, y, dx):
    one = x.dtype.type(1)
    for n in range(x.size):
        d = one + abs(x[n])
        dx[n] = dy[n] / (d * d)                                             # from (4)


@elementwise
def tanh(x, y):
    for n in range(x.size):
        y[n] = _tanh(x[n])                                                  # (5)


@elementwise
def tanh_backward(dy, x, y, dx):
    one = x.dtype.type(1)
    for n in range(x.size):
        dx[n] = dy[n] * (one - y[n] * y[n])                                 # from (5)


@elementwise
def selu(x, y):
    number = x.dtype.type
    zero, scale, scaled_alpha = number(0), number(SELU_SCALE), number(SELU_SCALE * SELU_ALPHA)
    for n in range(x.size):
        below = scaled_alpha * expm1(x[n])
        y[n] = scale * x[n] if x[n] > zero else below                       # (6)


@elementwise
def selu_backward(dy, x, y, dx):
    number = x.dtype.type
    zero, scale, scaled_alpha = number(0), number(SELU_SCALE), number(SELU_SCALE * SELU_ALPHA)
    for n in range(x.size):
        dx[n] = dy[n] * (scale if x[n] > zero else y[n] + scaled_alpha)     # from (6)


@elementwise
def elu(x, alpha, y):
    number = x.dtype.type
    zero, a = number(0), number(alpha)
    for n in range(x.size):
        below = a * expm1(x[n])
        y[n] = x[n] if x[n] > zero else below                               # (7)


@elementwise
def elu_backward(dy, x, y, alpha, dx):
    number = x.dtype.type
    zero, one, a = number(0), number(1), number(alpha)
    for n in range(x.size):
        dx[n] = dy[n] * (one if x[n] > zero else y[n] + a)                  # from (7)


@elementwise
def exponential(x, y):
    for n in range(x.size):
        y[n] = exp(x[n])                                                    # (8)


@elementwise
def exponential_backward(dy, x, y, dx):
    for n in range(x.size):
        dx[n] = dy[n] * y[n]                                                # from (8)


@elementwise
def leaky_relu(x, negative_slope, y):
    number = x.dtype.type
    zero, slope = number(0), number(negative_slope)
    for n in range(x.size):
        y[n] = slope * x[n] if x[n] < zero else x[n]                        # (9)


@elementwise
def leaky_relu_backward(dy, x, y, negative_slope, dx):
    number = x.dtype.type
    zero, one, slope = number(0), number(1), number(negative_slope)
    for n in range(x.size):
        dx[n] = dy[n] * (slope if x[n] < zero else one)                     # from (9)


@elementwise
def relu6(x, y):
    zero, six = x.dtype.type(0), x.dtype.type(6)
    for n in range(x.size):
        above = zero if x[n] < zero else x[n]
        y[n] = six if above > six else above                                # (10)


@elementwise
def relu6_backward(dy, x, y, dx):
    zero, six = x.dtype.type(0), x.dtype.type(6)
    for n in range(x.size):
        dx[n] = dy[n] if x[n] > zero and x[n] < six else zero               # from (10)


@elementwise
def silu(x, y):
    for n in range(x.size):
        y[n] = x[n] * _sigmoid(x[n])                                        # (11)


@elementwise
def silu_backward(dy, x, y, dx):
    one = x.dtype.type(1)
    for n in range(x.size):
        s = _sigmoid(x[n])
        dx[n] = dy[n] * (s + y[n] * (one - s))                              # from (11)


@elementwise
def hard_sigmoid(x, y):
    number = x.dtype.type
    zero, three, six, sixth = number(0), number(3), number(6), number(1 / 6)
    for n in range(x.size):
        above = zero if x[n] + three < zero else x[n] + three
        y[n] = (six if above > six else above) * sixth                      # (12)


@elementwise
def hard_sigmoid_backward(dy, x, y, dx):
    number = x.dtype.type
    zero, three, six, sixth = number(0), number(3), number(6), number(1 / 6)
    for n in range(x.size):
        inside = x[n] + three > zero and x[n] + three < six
        dx[n] = dy[n] * sixth if inside else zero                           # from (12)


@elementwise
def hard_silu(x, y):
    number = x.dtype.type
    zero, three, six, sixth = number(0), number(3), number(6), number(1 / 6)
    for n in range(x.size):
        above = zero if x[n] + three < zero else x[n] + three
        y[n] = x[n] * (six if above > six else above) * sixth               # (13)


@elementwise
def hard_silu_backward(dy, x, y, dx):
    number = x.dtype.type
    zero, three, six, sixth = number(0), number(3), number(6), number(1 / 6)
    for n in range(x.size):
        above = zero if x[n] + three < zero else x[n] + three
        hard = six if above > six else above
        inside = x[n] + three > zero and x[n] + three < six
        dx[n] = dy[n] * (hard + (x[n] if inside else zero)) * sixth         # from (13)


@elementwise
def gelu(x, approximate, y):
    number = x.dtype.type
    zero, one, half, factor, cubic = number(0), number(1), number(0.5), number(GELU_FACTOR), number(GELU_CUBIC)
    if approximate:
        for n in range(x.size):
            t = _tanh(factor * (x[n] + cubic * x[n] * x[n] * x[n]))
            y[n] = half * x[n] * (one + t)                                  # (15)
    else:
        for n in range(x.size):
            size, tail, _ = normal_tail(x[n])
            y[n] = (x[n] if x[n] > zero else zero) - size * tail            # (14): below zero -|x| tail, above x (1 - tail)


@elementwise
def gelu_backward(dy, x, y, approximate, dx):
    number = x.dtype.type
    zero, one, half, factor, cubic = number(0), number(1), number(0.5), number(GELU_FACTOR), number(GELU_CUBIC)
    three_cubic, density_factor = number(3 * GELU_CUBIC), number(DENSITY_FACTOR)
    if approximate:
        for n in range(x.size):
            t = _tanh(factor * (x[n] + cubic * x[n] * x[n] * x[n]))
            dt = (one - t * t) * factor * (one + three_cubic * x[n] * x[n])
            dx[n] = dy[n] * half * (one + t + x[n] * dt)                    # from (15)
    else:
        for n in range(x.size):
            size, tail, bell = normal_tail(x[n])
            above = tail - density_factor * size * bell                     # from (14), as if x were -|x|
            dx[n] = dy[n] * (one - above if x[n] > zero else above)         # and one minus that for |x|


@elementwise
def mish(x, y):
    for n in range(x.size):
        y[n] = x[n] * _tanh(_softplus(x[n]))                                # (16)


@elementwise
def mish_backward(dy, x, y, dx):
    one = x.dtype.type(1)
    for n in range(x.size):
        t = _tanh(_softplus(x[n]))
        dx[n] = dy[n] * (t + x[n] * (one - t * t) * _sigmoid(x[n]))         # from (16)


@elementwise
def clip(x, low, high, y):
    bottom, top = x.dtype.type(low), x.dtype.type(high)
    for n in range(x.size):
        above = bottom if x[n] < bottom else x[n]
        y[n] = top if above > top else above                                # (19)


@elementwise
def clip_backward(dy, x, y, low, high, dx):
    zero, bottom, top = x.dtype.type(0), x.dtype.type(low), x.dtype.type(high)
    for n in range(x.size):
        dx[n] = dy[n] if x[n] > bottom and x[n] < top else zero             # from (19)


@elementwise
def threshold(x, theta, value, y):
    bound, below = x.dtype.type(theta), x.dtype.type(value)
    for n in range(x.size):
        y[n] = below if x[n] <= bound else x[n]                             # (20)


@elementwise
def threshold_backward(dy, x, y, theta, value, dx):
    zero, bound = x.dtype.type(0), x.dtype.type(theta)
    for n in range(x.size):
        dx[n] = dy[n] if x[n] > bound else zero                             # from (20)


def prelu(x, alpha, y):
    share(_some_prelu, threads_for(x.size, SHARE), (x, alpha), (y,))


def prelu_backward(dy, x, alpha, at_zero, dx, dalpha):
    sum_of_shares(_some_prelu_backward, threads_for(x.size, SHARE), (dy, x, alpha, x.dtype.type(at_zero), dx), dalpha)


@kernel
def _some_prelu(x, alpha, s, threads, y):
    first, last = range_of(len(x), s, threads)
    zero = x.dtype.type(0)
    for b in range(first, last):
        for n in range(alpha.size):
            y[b, n] = x[b, n] if x[b, n] > zero else alpha[n] * x[b, n]     # (21)


@kernel
def _some_prelu_backward(dy, x, alpha, at_zero, dx, s, threads, dalpha):
    first, last = range_of(len(x), s, threads)
    zero, one = x.dtype.type(0), x.dtype.type(1)
    part = np.empty(alpha.size, alpha.dtype)
    for top in range(first, last, ROWS):
        part[:] = 0
        for b in range(top, min(top + ROWS, last)):
            for n in range(alpha.size):
                slope = alpha[n] * (one if x[b, n] < zero else at_zero)
                dx[b, n] = dy[b, n] * (one if x[b, n] > zero else slope)    # from (21)
                part[n] += dy[b, n] * x[b, n] if x[b, n] < zero else zero   # from (21)
        add_to(dalpha, part)


def softmax(x, y):
    share(_some_softmax, threads_for(x.size, SHARE_OF_ROWS), (x,), (y,))


def softmax_backward(dy, x, y, dx):
    share(_some_softmax_backward, threads_for(x.size, SHARE), (dy, y), (dx,))


def log_softmax(x, y):
    share(_some_log_softmax, threads_for(x.size, SHARE_OF_ROWS), (x,), (y,))


def log_softmax_backward(dy, x, y, dx):
    share(_some_log_softmax_backward, threads_for(x.size, SHARE_OF_ROWS), (dy, y), (dx,))


@kernel
def _some_softmax(x, s, threads, y):
    N = x.shape[1]
    for i in range(*range_of(len(x), s, threads)):
        highest = x[i, 0]
        for n in range(1, N):
            highest = maximum(highest, x[i, n])
        total = x.dtype.type(0)
        for n in range(N):
            y[i, n] = exp(x[i, n] - highest)
            total += y[i, n]
        for n in range(N):
            y[i, n] /= total                                                # (17)


@kernel
def _some_softmax_backward(dy, y, s, threads, dx):
    N = y.shape[1]
    for i in range(*range_of(len(y), s, threads)):
        total = y.dtype.type(0)
        for n in range(N):
            total += dy[i, n] * y[i, n]
        for n in range(N):
            dx[i, n] = y[i, n] * (dy[i, n] - total)                         # from (17)


@kernel
def _some_log_softmax(x, s, threads, y):
    N = x.shape[1]
    for i in range(*range_of(len(x), s, threads)):
        highest = x[i, 0]
        for n in range(1, N):
            highest = maximum(highest, x[i, n])
        total = x.dtype.type(0)
        for n in range(N):
            y[i, n] = x[i, n] - highest
            total += exp(y[i, n])
        log_total = math.log(total)
        for n in range(N):
            y[i, n] -= log_total                                            # (18); in one loop LLVM would add the two first


@kernel
def _some_log_softmax_backward(dy, y, s, threads, dx):
    N = y.shape[1]
    for i in range(*range_of(len(y), s, threads)):
        total = y.dtype.type(0)
        for n in range(N):
            total += dy[i, n]
        for n in range(N):
            dx[i, n] = dy[i, n] - exp(y[i, n]) * total                      # from (18)
