"""One step of each optimizer on the GPU, one thread an element. Formulas and shapes: kernels/reference/optimizers.py."""
import math

from ._compat import THREADS, cuda

_BLOCKS = 2 if THREADS < 32 else 1024           # at most; each thread strides on over the rest


def squared_norm(x, total):
    total.fill(0)
    _squared_norm[_blocks(x), THREADS](x, total)


def sgd(gradient, scale, l2, decay, learning_rate, value):
    real = value.dtype.type
    _sgd[_blocks(value), THREADS](gradient, real(scale), real(l2), real(decay), real(learning_rate), value)


def sgd_momentum(gradient, scale, decay, learning_rate, momentum, nesterov, u, value):
    real = value.dtype.type
    _sgd_momentum[_blocks(value), THREADS](gradient, real(scale), real(decay), real(learning_rate), real(momentum), nesterov,
                                           u, value)


def rmsprop(gradient, scale, decay, learning_rate, rho, epsilon, momentum, centered, v, u, a, value):
    real = value.dtype.type
    _rmsprop[_blocks(value), THREADS](gradient, real(scale), real(decay), real(learning_rate), real(rho), real(1 - rho),
                                      real(epsilon), real(momentum), centered, v, u, a, value)


def adam(gradient, scale, l2, decay, step_size, beta_1, beta_2, epsilon, amsgrad, m, v, v_max, value):
    real = value.dtype.type
    _adam[_blocks(value), THREADS](gradient, real(scale), real(l2), real(decay), real(step_size), real(1 - beta_1),
                                   real(1 - beta_2), real(epsilon), amsgrad, m, v, v_max, value)


def pytorch_momentum(gradient, scale, l2, learning_rate, momentum, dampening, nesterov, b, value):
    real = value.dtype.type
    _pytorch_momentum[_blocks(value), THREADS](gradient, real(scale), real(l2), real(learning_rate), real(momentum),
                                               real(1 - dampening), nesterov, b, value)


def pytorch_rmsprop(gradient, scale, l2, learning_rate, alpha, epsilon, momentum, centered, v, u, a, value):
    real = value.dtype.type
    _pytorch_rmsprop[_blocks(value), THREADS](gradient, real(scale), real(l2), real(learning_rate), real(alpha),
                                              real(1 - alpha), real(epsilon), real(momentum), centered, v, u, a, value)


def pytorch_adagrad(gradient, scale, l2, learning_rate, epsilon, v, value):
    real = value.dtype.type
    _pytorch_adagrad[_blocks(value), THREADS](gradient, real(scale), real(l2), real(learning_rate), real(epsilon), v, value)


def _blocks(x):
    return max(1, min(-(-x.size // THREADS), _BLOCKS))


@cuda.jit
def _squared_norm(x, total):
    s = x.dtype.type(0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        s += x[i] * x[i]
    cuda.atomic.add(total, 0, s)                                                # in any order


@cuda.jit
def _sgd(gradient, s, l2, decay, eta, value):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i] + l2 * value[i]                                     # (1)
        value[i] -= decay * value[i] + eta * g                                  # (2), (3)


@cuda.jit
def _sgd_momentum(gradient, s, decay, eta, mu, nesterov, u, value):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        step = eta * (s * gradient[i])                                          # (1)
        u[i] = mu * u[i] - step                                                 # (4)
        if nesterov:
            value[i] -= decay * value[i] - (mu * u[i] - step)                   # (2), (6)
        else:
            value[i] -= decay * value[i] - u[i]                                 # (2), (5)


@cuda.jit
def _rmsprop(gradient, s, decay, eta, r, one_less_r, eps, mu, centered, v, u, a, value):
    zero = value.dtype.type(0)
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i]                                                     # (1)
        v[i] = r * v[i] + one_less_r * (g * g)                                  # (7)
        variance = v[i]
        if centered:
            a[i] = r * a[i] + one_less_r * g                                    # (8)
            variance -= a[i] * a[i]
            if variance < zero:
                variance = zero
        step = eta * g / math.sqrt(variance + eps)                              # (9)
        if mu > zero:
            step += mu * u[i]                                                   # (10)
            u[i] = step
        value[i] -= decay * value[i] + step                                     # (2), (11)


@cuda.jit
def _adam(gradient, s, l2, decay, alpha, one_less_b1, one_less_b2, eps, amsgrad, m, v, v_max, value):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i] + l2 * value[i]                                     # (1)
        m[i] += one_less_b1 * (g - m[i])                                        # (12)
        v[i] += one_less_b2 * (g * g - v[i])                                    # (13)
        v_hat = v[i]
        if amsgrad:
            if not v_max[i] >= v_hat:                                           # also where v is NaN
                v_max[i] = v_hat                                                # (14)
            v_hat = v_max[i]
        value[i] -= decay * value[i] + alpha * m[i] / (math.sqrt(v_hat) + eps)  # (2), (15)


@cuda.jit
def _pytorch_momentum(gradient, s, l2, eta, mu, one_less_tau, nesterov, b, value):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i] + l2 * value[i]                                     # (1)
        b[i] = mu * b[i] + one_less_tau * g                                     # (16)
        if nesterov:
            value[i] -= eta * (g + mu * b[i])                                   # (18)
        else:
            value[i] -= eta * b[i]                                              # (17)


@cuda.jit
def _pytorch_rmsprop(gradient, s, l2, eta, r, one_less_r, eps, mu, centered, v, u, a, value):
    zero = value.dtype.type(0)
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i] + l2 * value[i]                                     # (1)
        v[i] = r * v[i] + one_less_r * (g * g)                                  # (7)
        variance = v[i]
        if centered:
            a[i] = r * a[i] + one_less_r * g                                    # (8)
            variance -= a[i] * a[i]
            if variance < zero:
                variance = zero
        step = g / (math.sqrt(variance) + eps)                                  # (19)
        if mu > zero:
            step += mu * u[i]                                                   # (20)
            u[i] = step
        value[i] -= eta * step                                                  # (21)


@cuda.jit
def _pytorch_adagrad(gradient, s, l2, eta, eps, v, value):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i] + l2 * value[i]                                     # (1)
        v[i] += g * g                                                           # (22)
        value[i] -= eta * g / (math.sqrt(v[i]) + eps)                           # (23)


SIGNATURES = {
    "_squared_norm": (_squared_norm, "void(float32[:], float32[:])"),
    "_sgd": (_sgd, "void(float32[:], float32, float32, float32, float32, float32[:])"),
    "_sgd_momentum": (_sgd_momentum, "void(float32[:], float32, float32, float32, float32, boolean, float32[:], float32[:])"),
    "_rmsprop": (_rmsprop, "void(float32[:], float32, float32, float32, float32, float32, float32, float32, boolean, "
                           "float32[:], float32[:], float32[:], float32[:])"),
    "_adam": (_adam, "void(float32[:], float32, float32, float32, float32, float32, float32, float32, boolean, "
                     "float32[:], float32[:], float32[:], float32[:])"),
    "_pytorch_momentum": (_pytorch_momentum, "void(float32[:], float32, float32, float32, float32, float32, boolean, "
                                             "float32[:], float32[:])"),
    "_pytorch_rmsprop": (_pytorch_rmsprop, "void(float32[:], float32, float32, float32, float32, float32, float32, float32, "
                                           "boolean, float32[:], float32[:], float32[:], float32[:])"),
    "_pytorch_adagrad": (_pytorch_adagrad, "void(float32[:], float32, float32, float32, float32, float32[:], float32[:])"),
}
