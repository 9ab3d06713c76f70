"""Activation functions on the GPU: a thread an element; softmax: a block a row. Formulas: kernels/reference/activation.py."""
import math

from ._compat import THREADS, blocks_for, cuda
from ._lanes import lane_sum

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
GELU_FACTOR, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715
DENSITY_FACTOR = 1 / math.sqrt(2 * math.pi)


def relu(x, negative_slope, max_value, threshold, y):
    number = x.dtype.type
    _relu[blocks_for(x.size), THREADS](x, number(negative_slope), number(max_value), number(threshold), y)


def relu_backward(dy, x, y, negative_slope, max_value, threshold, dx):
    number = x.dtype.type
    _relu_backward[blocks_for(x.size), THREADS](dy, x, number(negative_slope), number(max_value), number(threshold), dx)


def sigmoid(x, y):
    _sigmoid[blocks_for(x.size), THREADS](x, y)


def sigmoid_backward(dy, x, y, dx):
    _sigmoid_backward[blocks_for(x.size), THREADS](dy, y, dx)


def softplus(x, y):
    _softplus[blocks_for(x.size), THREADS](x, y)


def softplus_backward(dy, x, y, dx):
    _softplus_backward[blocks_for(x.size), THREADS](dy, x, dx)


def softsign(x, y):
    _softsign[blocks_for(x.size), THREADS](x, y)


def softsign_backward(dy, x, y, dx):
    _softsign_backward[blocks_for(x.size), THREADS](dy, x, dx)


def tanh(x, y):
    _tanh[blocks_for(x.size), THREADS](x, y)


def tanh_backward(dy, x, y, dx):
    _tanh_backward[blocks_for(x.size), THREADS](dy, y, dx)


def selu(x, y):
    number = x.dtype.type
    _elu[blocks_for(x.size), THREADS](x, number(SELU_SCALE), number(SELU_SCALE * SELU_ALPHA), y)


def selu_backward(dy, x, y, dx):
    number = x.dtype.type
    _elu_backward[blocks_for(x.size), THREADS](dy, x, y, number(SELU_SCALE), number(SELU_SCALE * SELU_ALPHA), dx)


def elu(x, alpha, y):
    number = x.dtype.type
    _elu[blocks_for(x.size), THREADS](x, number(1), number(alpha), y)


def elu_backward(dy, x, y, alpha, dx):
    number = x.dtype.type
    _elu_backward[blocks_for(x.size), THREADS](dy, x, y, number(1), number(alpha), dx)


def exponential(x, y):
    _exponential[blocks_for(x.size), THREADS](x, y)


def exponential_backward(dy, x, y, dx):
    _exponential_backward[blocks_for(x.size), THREADS](dy, y, dx)


def leaky_relu(x, negative_slope, y):
    _leaky_relu[blocks_for(x.size), THREADS](x, x.dtype.type(negative_slope), y)


def leaky_relu_backward(dy, x, y, negative_slope, dx):
    _leaky_relu_backward[blocks_for(x.size), THREADS](dy, x, x.dtype.type(negative_slope), dx)


def relu6(x, y):
    _relu6[blocks_for(x.size), THREADS](x, y)


def relu6_backward(dy, x, y, dx):
    _relu6_backward[blocks_for(x.size), THREADS](dy, x, dx)


def silu(x, y):
    _silu[blocks_for(x.size), THREADS](x, y)


def silu_backward(dy, x, y, dx):
    _silu_backward[blocks_for(x.size), THREADS](dy, x, y, dx)


def hard_sigmoid(x, y):
    _hard_sigmoid[blocks_for(x.size), THREADS](x, y)


def hard_sigmoid_backward(dy, x, y, dx):
    _hard_sigmoid_backward[blocks_for(x.size), THREADS](dy, x, dx)


def hard_silu(x, y):
    _hard_silu[blocks_for(x.size), THREADS](x, y)


def hard_silu_backward(dy, x, y, dx):
    _hard_silu_backward[blocks_for(x.size), THREADS](dy, x, dx)


def gelu(x, approximate, y):
    (_gelu_approximate if approximate else _gelu)[blocks_for(x.size), THREADS](x, y)


def gelu_backward(dy, x, y, approximate, dx):
    (_gelu_approximate_backward if approximate else _gelu_backward)[blocks_for(x.size), THREADS](dy, x, dx)


def mish(x, y):
    _mish[blocks_for(x.size), THREADS](x, y)


def mish_backward(dy, x, y, dx):
    _mish_backward[blocks_for(x.size), THREADS](dy, x, dx)


def clip(x, low, high, y):
    number = x.dtype.type
    _clip[blocks_for(x.size), THREADS](x, number(low), number(high), y)


def clip_backward(dy, x, y, low, high, dx):
    number = x.dtype.type
    _clip_backward[blocks_for(x.size), THREADS](dy, x, number(low), number(high), dx)


def threshold(x, theta, value, y):
    number = x.dtype.type
    _threshold[blocks_for(x.size), THREADS](x, number(theta), number(value), y)


def threshold_backward(dy, x, y, theta, value, dx):
    _threshold_backward[blocks_for(x.size), THREADS](dy, x, x.dtype.type(theta), dx)


def prelu(x, alpha, y):
    _prelu[blocks_for(x.size), THREADS](x, alpha, y)


def prelu_backward(dy, x, alpha, at_zero, dx, dalpha):
    _prelu_backward[blocks_for(alpha.size), THREADS](dy, x, alpha, x.dtype.type(at_zero), dx, dalpha)


def softmax(x, y):
    _softmax[min(len(x), 4096), THREADS](x, y)


def softmax_backward(dy, x, y, dx):
    _softmax_backward[min(len(x), 4096), THREADS](dy, y, dx)


def log_softmax(x, y):
    _log_softmax[min(len(x), 4096), THREADS](x, y)


def log_softmax_backward(dy, x, y, dx):
    _log_softmax_backward[min(len(x), 4096), THREADS](dy, y, dx)


@cuda.jit(device=True)
def _logistic(x, zero, one):
    e = math.exp(-abs(x))
    return (e if x < zero else one) / (one + e)                             # (2)


@cuda.jit(device=True)
def _smooth_maximum(x, zero):
    return (zero if x < zero else x) + math.log1p(math.exp(-abs(x)))        # (3)


@cuda.jit(device=True)
def _clip6(x, zero, six):
    above = zero if x < zero else x                                         # a NaN passes both comparisons
    return six if above > six else above                                    # (10)


@cuda.jit
def _relu(x, slope, top, theta, y):
    zero = x.dtype.type(0)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        above = x[n]
        if not math.isinf(top):
            above = zero if above < zero else above
            above = top if above > top else above
        below = slope * (x[n] - theta) if slope != zero else zero
        y[n] = below if x[n] <= theta else above                            # (1)


@cuda.jit
def _relu_backward(dy, x, slope, top, theta, dx):
    number = x.dtype.type
    zero, one, half = number(0), number(1), number(0.5)
    bounded = not math.isinf(top)
    at_theta = one if slope != zero and not bounded and theta == zero else zero
    at_bound = zero if top == number(6) and theta == zero else half
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        above = one
        if bounded:
            above = one if x[n] > zero and x[n] < top else zero
            above = at_bound if x[n] == zero or x[n] == top else above
        below = slope if x[n] < theta else at_theta
        dx[n] = dy[n] * (above if x[n] > theta else below)                  # from (1)


@cuda.jit
def _sigmoid(x, y):
    number = x.dtype.type
    zero, one = number(0), number(1)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = _logistic(x[n], zero, one)                                   # (2)


@cuda.jit
def _sigmoid_backward(dy, y, dx):
    one = y.dtype.type(1)
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        dx[n] = dy[n] * y[n] * (one - y[n])                                 # from (2)


@cuda.jit
def _softplus(x, y):
    zero = x.dtype.type(0)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = _smooth_maximum(x[n], zero)                                  # (3)


@cuda.jit
def _softplus_backward(dy, x, dx):
    number = x.dtype.type
    zero, one = number(0), number(1)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        dx[n] = dy[n] * _logistic(x[n], zero, one)                          # from (3)


@cuda.jit
def _softsign(x, y):
    one = x.dtype.type(1)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = x[n] / (one + abs(x[n]))                                     # (4)


@cuda.jit
def _softsign_backward(dy, x, dx):
    one = x.dtype.type(1)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        d = one + abs(x[n])
        dx[n] = dy[n] / (d * d)                                             # from (4)


@cuda.jit
def _tanh(x, y):
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = math.tanh(x[n])                                              # (5)


@cuda.jit
def _tanh_backward(dy, y, dx):
    one = y.dtype.type(1)
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        dx[n] = dy[n] * (one - y[n] * y[n])                                 # from (5)


@cuda.jit
def _elu(x, scale, alpha, y):
    zero = x.dtype.type(0)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = scale * x[n] if x[n] > zero else alpha * math.expm1(x[n])    # (6), (7)


@cuda.jit
def _elu_backward(dy, x, y, scale, alpha, dx):
    zero = x.dtype.type(0)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        dx[n] = dy[n] * (scale if x[n] > zero else y[n] + alpha)            # from (6), (7)


@cuda.jit
def _exponential(x, y):
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = math.exp(x[n])                                               # (8)


@cuda.jit
def _exponential_backward(dy, y, dx):
    for n in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        dx[n] = dy[n] * y[n]                                                # from (8)


@cuda.jit
def _leaky_relu(x, slope, y):
    zero = x.dtype.type(0)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = slope * x[n] if x[n] < zero else x[n]                        # (9)


@cuda.jit
def _leaky_relu_backward(dy, x, slope, dx):
    number = x.dtype.type
    zero, one = number(0), number(1)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        dx[n] = dy[n] * (slope if x[n] < zero else one)                     # from (9)


@cuda.jit
def _relu6(x, y):
    number = x.dtype.type
    zero, six = number(0), number(6)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = _clip6(x[n], zero, six)                                      # (10)


@cuda.jit
def _relu6_backward(dy, x, dx):
    number = x.dtype.type
    zero, six = number(0), number(6)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        dx[n] = dy[n] if x[n] > zero and x[n] < six else zero               # from (10)


@cuda.jit
def _silu(x, y):
    number = x.dtype.type
    zero, one = number(0), number(1)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = x[n] * _logistic(x[n], zero, one)                            # (11)


@cuda.jit
def _silu_backward(dy, x, y, dx):
    number = x.dtype.type
    zero, one = number(0), number(1)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        s = _logistic(x[n], zero, one)
        dx[n] = dy[n] * (s + y[n] * (one - s))                              # from (11)


@cuda.jit
def _hard_sigmoid(x, y):
    number = x.dtype.type
    zero, three, six = number(0), number(3), number(6)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = _clip6(x[n] + three, zero, six) / six                        # (12)


@cuda.jit
def _hard_sigmoid_backward(dy, x, dx):
    number = x.dtype.type
    zero, three, six = number(0), number(3), number(6)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        inside = x[n] + three > zero and x[n] + three < six
        dx[n] = dy[n] / six if inside else zero                             # from (12)


@cuda.jit
def _hard_silu(x, y):
    number = x.dtype.type
    zero, three, six = number(0), number(3), number(6)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = x[n] * (_clip6(x[n] + three, zero, six) / six)               # (13)


@cuda.jit
def _hard_silu_backward(dy, x, dx):
    number = x.dtype.type
    zero, three, six = number(0), number(3), number(6)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        inside = x[n] + three > zero and x[n] + three < six
        dx[n] = dy[n] * (_clip6(x[n] + three, zero, six) + (x[n] if inside else zero)) / six    # from (13)


@cuda.jit
def _gelu(x, y):
    number = x.dtype.type
    half, root_half = number(0.5), number(math.sqrt(0.5))
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = x[n] * (half * math.erfc(-x[n] * root_half))                 # (14)


@cuda.jit
def _gelu_backward(dy, x, dx):
    number = x.dtype.type
    half, root_half, density_factor = number(0.5), number(math.sqrt(0.5)), number(DENSITY_FACTOR)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        density = density_factor * math.exp(-half * x[n] * x[n])
        dx[n] = dy[n] * (half * math.erfc(-x[n] * root_half) + x[n] * density)      # from (14)


@cuda.jit
def _gelu_approximate(x, y):
    number = x.dtype.type
    one, half, factor, cubic = number(1), number(0.5), number(GELU_FACTOR), number(GELU_CUBIC)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        t = math.tanh(factor * (x[n] + cubic * x[n] * x[n] * x[n]))
        y[n] = half * x[n] * (one + t)                                      # (15)


@cuda.jit
def _gelu_approximate_backward(dy, x, dx):
    number = x.dtype.type
    one, half, three = number(1), number(0.5), number(3)
    factor, cubic = number(GELU_FACTOR), number(GELU_CUBIC)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        t = math.tanh(factor * (x[n] + cubic * x[n] * x[n] * x[n]))
        dt = (one - t * t) * factor * (one + three * cubic * x[n] * x[n])
        dx[n] = dy[n] * half * (one + t + x[n] * dt)                        # from (15)


@cuda.jit
def _mish(x, y):
    zero = x.dtype.type(0)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = x[n] * math.tanh(_smooth_maximum(x[n], zero))                # (16)


@cuda.jit
def _mish_backward(dy, x, dx):
    number = x.dtype.type
    zero, one = number(0), number(1)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        t = math.tanh(_smooth_maximum(x[n], zero))
        dx[n] = dy[n] * (t + x[n] * (one - t * t) * _logistic(x[n], zero, one))     # from (16)


@cuda.jit
def _clip(x, low, high, y):
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        above = low if x[n] < low else x[n]
        y[n] = high if above > high else above                              # (19)


@cuda.jit
def _clip_backward(dy, x, low, high, dx):
    zero = x.dtype.type(0)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        dx[n] = dy[n] if x[n] > low and x[n] < high else zero               # from (19)


@cuda.jit
def _threshold(x, theta, value, y):
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[n] = value if x[n] <= theta else x[n]                             # (20)


@cuda.jit
def _threshold_backward(dy, x, theta, dx):
    zero = x.dtype.type(0)
    for n in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        dx[n] = dy[n] if x[n] > theta else zero                             # from (20)


@cuda.jit
def _prelu(x, alpha, y):
    zero, N = x.dtype.type(0), x.shape[1]
    for k in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        b, n = k // N, k % N
        y[b, n] = x[b, n] if x[b, n] > zero else alpha[n] * x[b, n]         # (21)


@cuda.jit
def _prelu_backward(dy, x, alpha, at_zero, dx, dalpha):
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for n in range(cuda.grid(1), x.shape[1], cuda.gridsize(1)):             # neighbouring threads read neighbouring columns
        total = dalpha[n]
        for b in range(x.shape[0]):
            slope = alpha[n] * (one if x[b, n] < zero else at_zero)
            dx[b, n] = dy[b, n] * (one if x[b, n] > zero else slope)        # from (21)
            total += dy[b, n] * x[b, n] if x[b, n] < zero else zero         # from (21)
        dalpha[n] = total


@cuda.jit(device=True)
def _block_maximum(value, shared):
    t, step = cuda.threadIdx.x, THREADS // 2
    shared[t] = value
    cuda.syncthreads()
    while step > 0:
        if t < step and shared[t + step] > shared[t]:
            shared[t] = shared[t + step]
        cuda.syncthreads()
        step //= 2
    highest = shared[0]
    cuda.syncthreads()
    return highest


@cuda.jit(device=True)
def _shift_and_total(x, i, shared):
    """Row i's maximum and the sum of its e^{x - maximum}."""
    highest = x[i, 0]
    for n in range(cuda.threadIdx.x, x.shape[1], THREADS):
        highest = x[i, n] if x[i, n] > highest else highest
    highest = _block_maximum(highest, shared)
    total = x.dtype.type(0)
    for n in range(cuda.threadIdx.x, x.shape[1], THREADS):
        total += math.exp(x[i, n] - highest)
    return highest, lane_sum(total, 1, shared)


@cuda.jit
def _softmax(x, y):
    shared = cuda.shared.array(THREADS, x.dtype)
    for i in range(cuda.blockIdx.x, x.shape[0], cuda.gridDim.x):
        highest, total = _shift_and_total(x, i, shared)
        for n in range(cuda.threadIdx.x, x.shape[1], THREADS):
            y[i, n] = math.exp(x[i, n] - highest) / total                   # (17)


@cuda.jit
def _softmax_backward(dy, y, dx):
    shared = cuda.shared.array(THREADS, y.dtype)
    for i in range(cuda.blockIdx.x, y.shape[0], cuda.gridDim.x):
        total = y.dtype.type(0)
        for n in range(cuda.threadIdx.x, y.shape[1], THREADS):
            total += dy[i, n] * y[i, n]
        total = lane_sum(total, 1, shared)
        for n in range(cuda.threadIdx.x, y.shape[1], THREADS):
            dx[i, n] = y[i, n] * (dy[i, n] - total)                         # from (17)


@cuda.jit
def _log_softmax(x, y):
    shared = cuda.shared.array(THREADS, x.dtype)
    for i in range(cuda.blockIdx.x, x.shape[0], cuda.gridDim.x):
        highest, total = _shift_and_total(x, i, shared)
        log_total = math.log(total)
        for n in range(cuda.threadIdx.x, x.shape[1], THREADS):
            y[i, n] = x[i, n] - highest - log_total                         # (18)


@cuda.jit
def _log_softmax_backward(dy, y, dx):
    shared = cuda.shared.array(THREADS, y.dtype)
    for i in range(cuda.blockIdx.x, y.shape[0], cuda.gridDim.x):
        total = y.dtype.type(0)
        for n in range(cuda.threadIdx.x, y.shape[1], THREADS):
            total += dy[i, n]
        total = lane_sum(total, 1, shared)
        for n in range(cuda.threadIdx.x, y.shape[1], THREADS):
            dx[i, n] = dy[i, n] - math.exp(y[i, n]) * total                 # from (18)


_ONE_IN = "void(float32[:], float32[:])"                    # x or y, and the result
_TWO_IN = "void(float32[:], float32[:], float32[:])"        # dy with x or y, and dx
_ALL_IN = "void(float32[:], float32[:], float32[:], float32[:])"
_ROWS = "void(float32[:,:], float32[:,:])"
_ROWS_BACKWARD = "void(float32[:,:], float32[:,:], float32[:,:])"

SIGNATURES = {
    "_relu": (_relu, "void(float32[:], float32, float32, float32, float32[:])"),
    "_relu_backward": (_relu_backward, "void(float32[:], float32[:], float32, float32, float32, float32[:])"),
    "_sigmoid": (_sigmoid, _ONE_IN), "_sigmoid_backward": (_sigmoid_backward, _TWO_IN),
    "_softplus": (_softplus, _ONE_IN), "_softplus_backward": (_softplus_backward, _TWO_IN),
    "_softsign": (_softsign, _ONE_IN), "_softsign_backward": (_softsign_backward, _TWO_IN),
    "_tanh": (_tanh, _ONE_IN), "_tanh_backward": (_tanh_backward, _TWO_IN),
    "_elu": (_elu, "void(float32[:], float32, float32, float32[:])"),
    "_elu_backward": (_elu_backward, "void(float32[:], float32[:], float32[:], float32, float32, float32[:])"),
    "_exponential": (_exponential, _ONE_IN), "_exponential_backward": (_exponential_backward, _TWO_IN),
    "_leaky_relu": (_leaky_relu, "void(float32[:], float32, float32[:])"),
    "_leaky_relu_backward": (_leaky_relu_backward, "void(float32[:], float32[:], float32, float32[:])"),
    "_relu6": (_relu6, _ONE_IN), "_relu6_backward": (_relu6_backward, _TWO_IN),
    "_silu": (_silu, _ONE_IN), "_silu_backward": (_silu_backward, _ALL_IN),
    "_hard_sigmoid": (_hard_sigmoid, _ONE_IN), "_hard_sigmoid_backward": (_hard_sigmoid_backward, _TWO_IN),
    "_hard_silu": (_hard_silu, _ONE_IN), "_hard_silu_backward": (_hard_silu_backward, _TWO_IN),
    "_gelu": (_gelu, _ONE_IN), "_gelu_backward": (_gelu_backward, _TWO_IN),
    "_gelu_approximate": (_gelu_approximate, _ONE_IN),
    "_gelu_approximate_backward": (_gelu_approximate_backward, _TWO_IN),
    "_mish": (_mish, _ONE_IN), "_mish_backward": (_mish_backward, _TWO_IN),
    "_clip": (_clip, "void(float32[:], float32, float32, float32[:])"),
    "_clip_backward": (_clip_backward, "void(float32[:], float32[:], float32, float32, float32[:])"),
    "_threshold": (_threshold, "void(float32[:], float32, float32, float32[:])"),
    "_threshold_backward": (_threshold_backward, "void(float32[:], float32[:], float32, float32[:])"),
    "_prelu": (_prelu, "void(float32[:,:], float32[:], float32[:,:])"),
    "_prelu_backward": (_prelu_backward, "void(float32[:,:], float32[:,:], float32[:], float32, float32[:,:], float32[:])"),
    "_softmax": (_softmax, _ROWS), "_softmax_backward": (_softmax_backward, _ROWS_BACKWARD),
    "_log_softmax": (_log_softmax, _ROWS), "_log_softmax_backward": (_log_softmax_backward, _ROWS_BACKWARD),
}
