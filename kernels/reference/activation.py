r"""Activation functions and their derivatives, element by element; softmax and log-softmax along rows.

    relu           y = clip(x, 0, max)  where x > theta,   slope (x - theta)  below                      (1)
    sigmoid        y = 1 / (1 + e^{-x})                                                                  (2)
    softplus       y = log(1 + e^x)                                                                      (3)
    softsign       y = x / (1 + |x|)                                                                     (4)
    tanh           y = tanh x                                                                            (5)
    selu           y = lambda x  where x > 0,   lambda alpha (e^x - 1)  below                            (6)
    elu            y = x  where x > 0,   alpha (e^x - 1)  below                                          (7)
    exponential    y = e^x                                                                               (8)
    leaky_relu     y = x  where x >= 0,   slope x  below                                                 (9)
    relu6          y = min(max(x, 0), 6)                                                                 (10)
    silu           y = x s,   s = sigmoid x                                                              (11)
    hard_sigmoid   y = relu6(x + 3) / 6                                                                  (12)
    hard_silu      y = x relu6(x + 3) / 6                                                                (13)
    gelu           y = x Phi(x),   Phi the normal distribution function, Phi' = e^{-x^2/2} / sqrt(2 pi)  (14)
    approximate    y = x (1 + t) / 2,   t = tanh(sqrt(2/pi) (x + 0.044715 x^3))                          (15)
    mish           y = x t,   t = tanh(log(1 + e^x))                                                     (16)
    softmax        y_i = e^{x_i} / \sum_j e^{x_j}                                                        (17)
    log_softmax    y_i = x_i - log \sum_j e^{x_j}                                                        (18)
    clip           y = min(max(x, low), high)                                                            (19)
    threshold      y = x  where x > theta,   value  below                                                (20)
    prelu          y = x  where x > 0,   alpha x  below; alpha has a number for each column              (21)

Those that are layers too:

    001.16.ReLU         (1)
    001.16.LeakyReLU    (9)
    001.16.ELU          (7)
    001.16.PReLU        (21)
    001.16.Softmax      (17)

At a kink the derivative is the one that JAX gives to Keras: 0 for relu and relu6, the right one for leaky_relu, alpha for elu,
1/2 where relu meets a max_value other than 6, 0 for prelu; for (19) and (20) PyTorch's: 0. Backward is given dy = dL/dy and
writes dx = dL/dx.

Source: document 001, sections 2 and 16; torch.nn. Document 001 gives hard_sigmoid as 0.2x + 0.5 (Keras 2) and gelu as (15).
"""
import math

import numpy as np

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
GELU_FACTOR, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715


def relu(x, negative_slope, max_value, threshold, y):
    """x (N,) -> y (N,). max_value is inf where there is none; then what lies above the threshold is not clipped."""
    above = np.clip(x, 0, max_value) if max_value < math.inf else x
    below = negative_slope * (x - threshold) if negative_slope else 0
    y[...] = np.where(x <= threshold, below, above)                         # (1)


def relu_backward(dy, x, y, negative_slope, max_value, threshold, dx):
    """dy, x, y (N,) -> dx (N,)."""
    leaky = negative_slope != 0 and max_value == math.inf and threshold == 0        # then it is (9)
    slope = np.where(x > threshold, 1, np.where(x < threshold, negative_slope, 1 if leaky else 0))
    if max_value < math.inf:
        at_bound = 0 if max_value == 6 and threshold == 0 else 0.5
        clipped = np.where((x > 0) & (x < max_value), 1, np.where((x == 0) | (x == max_value), at_bound, 0))
        slope = np.where(x > threshold, clipped, slope)
    dx[...] = dy * slope                                                    # from (1)


def sigmoid(x, y):
    """x (N,) -> y (N,)."""
    e = np.exp(-np.abs(x))
    y[...] = np.where(x < 0, e, 1) / (1 + e)                                # (2), in the form that cannot overflow


def sigmoid_backward(dy, x, y, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dx[...] = dy * y * (1 - y)                                              # from (2)


def softplus(x, y):
    """x (N,) -> y (N,)."""
    y[...] = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))                # (3), in the form that cannot overflow


def softplus_backward(dy, x, y, dx):
    """dy, x, y (N,) -> dx (N,)."""
    sigmoid(x, dx)
    dx *= dy                                                                # from (3)


def softsign(x, y):
    """x (N,) -> y (N,)."""
    y[...] = x / (1 + np.abs(x))                                            # (4)


def softsign_backward(dy, x, y, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dx[...] = dy / np.square(1 + np.abs(x))                                 # from (4)


def tanh(x, y):
    """x (N,) -> y (N,)."""
    y[...] = np.tanh(x)                                                     # (5)


def tanh_backward(dy, x, y, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dx[...] = dy * (1 - y * y)                                              # from (5)


def selu(x, y):
    """x (N,) -> y (N,)."""
    elu(x, SELU_ALPHA, y)
    y *= SELU_SCALE                                                         # (6)


def selu_backward(dy, x, y, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dx[...] = dy * np.where(x > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA)     # from (6): below, lambda alpha e^x


def elu(x, alpha, y):
    """x (N,) -> y (N,)."""
    y[...] = np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))         # (7)


def elu_backward(dy, x, y, alpha, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dx[...] = dy * np.where(x > 0, 1, y + alpha)                            # from (7): below, alpha e^x


def exponential(x, y):
    """x (N,) -> y (N,)."""
    y[...] = np.exp(x)                                                      # (8)


def exponential_backward(dy, x, y, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dx[...] = dy * y                                                        # from (8)


def leaky_relu(x, negative_slope, y):
    """x (N,) -> y (N,)."""
    y[...] = np.where(x < 0, negative_slope * x, x)                        # (9)


def leaky_relu_backward(dy, x, y, negative_slope, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dx[...] = dy * np.where(x < 0, negative_slope, 1)                      # from (9)


def relu6(x, y):
    """x (N,) -> y (N,)."""
    y[...] = np.clip(x, 0, 6)                                               # (10)


def relu6_backward(dy, x, y, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dx[...] = dy * ((x > 0) & (x < 6))                                      # from (10)


def silu(x, y):
    """x (N,) -> y (N,)."""
    sigmoid(x, y)
    y *= x                                                                  # (11)


def silu_backward(dy, x, y, dx):
    """dy, x, y (N,) -> dx (N,)."""
    s = np.empty_like(x)
    sigmoid(x, s)
    dx[...] = dy * (s + y * (1 - s))                                        # from (11), s' = s (1 - s)


def hard_sigmoid(x, y):
    """x (N,) -> y (N,)."""
    y[...] = np.clip(x + 3, 0, 6) / 6                                       # (12)


def hard_sigmoid_backward(dy, x, y, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dx[...] = dy * ((x + 3 > 0) & (x + 3 < 6)) / 6                          # from (12)


def hard_silu(x, y):
    """x (N,) -> y (N,)."""
    y[...] = x * (np.clip(x + 3, 0, 6) / 6)                                 # (13)


def hard_silu_backward(dy, x, y, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dhard = (x + 3 > 0) & (x + 3 < 6)
    dx[...] = dy * (np.clip(x + 3, 0, 6) + x * dhard) / 6                   # from (13)


def gelu(x, approximate, y):
    """x (N,) -> y (N,)."""
    if approximate:
        y[...] = x / 2 * (1 + _gelu_tanh(x))                                # (15)
    else:
        y[...] = x * _normal_cdf(x)                                         # (14)


def gelu_backward(dy, x, y, approximate, dx):
    """dy, x, y (N,) -> dx (N,)."""
    if approximate:
        t = _gelu_tanh(x)
        dt = (1 - t * t) * GELU_FACTOR * (1 + 3 * GELU_CUBIC * x * x)
        dx[...] = dy * (1 + t + x * dt) / 2                                 # from (15)
    else:
        density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        dx[...] = dy * (_normal_cdf(x) + x * density)                       # from (14)


def mish(x, y):
    """x (N,) -> y (N,)."""
    softplus(x, y)
    y[...] = x * np.tanh(y)                                                 # (16)


def mish_backward(dy, x, y, dx):
    """dy, x, y (N,) -> dx (N,)."""
    s, t = np.empty_like(x), np.empty_like(x)
    sigmoid(x, s)
    softplus(x, t)
    t[...] = np.tanh(t)
    dx[...] = dy * (t + x * (1 - t * t) * s)                                # from (16), (log(1 + e^x))' = s


def clip(x, low, high, y):
    """x (N,) -> y (N,)."""
    y[...] = np.clip(x, low, high)                                          # (19)


def clip_backward(dy, x, y, low, high, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dx[...] = dy * ((x > low) & (x < high))                                 # from (19)


def threshold(x, theta, value, y):
    """x (N,) -> y (N,)."""
    y[...] = np.where(x <= theta, value, x)                                 # (20)


def threshold_backward(dy, x, y, theta, value, dx):
    """dy, x, y (N,) -> dx (N,)."""
    dx[...] = dy * (x > theta)                                              # from (20)


def prelu(x, alpha, y):
    """x (rows, n), alpha (n,) -> y (rows, n)."""
    y[...] = np.where(x > 0, x, alpha * x)                                  # (21)


def prelu_backward(dy, x, alpha, at_zero, dx, dalpha):
    """dy, x (rows, n), alpha (n,), whether alpha is the slope at 0 too -> dx (rows, n); added to dalpha (n,)."""
    dx[...] = dy * np.where(x > 0, 1, np.where(x < 0, alpha, alpha * at_zero))      # from (21)
    dalpha += np.where(x < 0, dy * x, 0).sum(axis=0)                        # from (21)


def softmax(x, y):
    """x (rows, n) -> y (rows, n). Taking the row's maximum from x leaves (17) as it is and keeps e^x from overflowing."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    y[...] = e / e.sum(axis=1, keepdims=True)                               # (17)


def softmax_backward(dy, x, y, dx):
    """dy, x, y (rows, n) -> dx (rows, n)."""
    dx[...] = y * (dy - (dy * y).sum(axis=1, keepdims=True))                # from (17), dy_j/dx_i = y_j ([i = j] - y_i)


def log_softmax(x, y):
    """x (rows, n) -> y (rows, n)."""
    shifted = x - x.max(axis=1, keepdims=True)
    y[...] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))   # (18)


def log_softmax_backward(dy, x, y, dx):
    """dy, x, y (rows, n) -> dx (rows, n)."""
    dx[...] = dy - np.exp(y) * dy.sum(axis=1, keepdims=True)                # from (18), dy_j/dx_i = [i = j] - e^{y_i}


def _normal_cdf(x):
    return np.array([0.5 * math.erfc(-v * math.sqrt(0.5)) for v in x], x.dtype)


def _gelu_tanh(x):
    return np.tanh(GELU_FACTOR * (x + GELU_CUBIC * x * x * x))
