"""One step of each optimizer, each parameter read and written once. Formulas and shapes: kernels/reference/optimizers.py.

The numbers come as double precision; `real` brings them to the dtype of the arrays, lest the loop be computed in double.
"""
import math

from ._jit import kernel


@kernel
def squared_norm(x, total):
    s = x.dtype.type(0)
    for i in range(x.size):
        s += x[i] * x[i]
    total[0] = s


@kernel
def sgd(gradient, scale, l2, decay, learning_rate, value):
    real = value.dtype.type
    s, l2, decay, eta = real(scale), real(l2), real(decay), real(learning_rate)
    for i in range(value.size):
        g = s * gradient[i] + l2 * value[i]                                     # (1)
        value[i] -= decay * value[i] + eta * g                                  # (2), (3)


@kernel
def sgd_momentum(gradient, scale, decay, learning_rate, momentum, nesterov, u, value):
    real = value.dtype.type
    s, decay, eta, mu = real(scale), real(decay), real(learning_rate), real(momentum)
    for i in range(value.size):
        step = eta * (s * gradient[i])                                          # (1)
        u[i] = mu * u[i] - step                                                 # (4)
        if nesterov:
            value[i] -= decay * value[i] - (mu * u[i] - step)                   # (2), (6)
        else:
            value[i] -= decay * value[i] - u[i]                                 # (2), (5)


@kernel
def rmsprop(gradient, scale, decay, learning_rate, rho, epsilon, momentum, centered, v, u, a, value):
    real = value.dtype.type
    s, decay, eta, mu = real(scale), real(decay), real(learning_rate), real(momentum)
    r, one_less_r, eps, zero = real(rho), real(1 - rho), real(epsilon), real(0)
    with_momentum = momentum > 0
    for i in range(value.size):
        g = s * gradient[i]                                                     # (1)
        v[i] = r * v[i] + one_less_r * (g * g)                                  # (7)
        variance = v[i]
        if centered:
            a[i] = r * a[i] + one_less_r * g                                    # (8)
            variance -= a[i] * a[i]
            if variance < zero:
                variance = zero
        step = eta * g / math.sqrt(variance + eps)                              # (9)
        if with_momentum:
            u[i] = step = mu * u[i] + step                                      # (10)
        value[i] -= decay * value[i] + step                                     # (2), (11)


@kernel
def adam(gradient, scale, l2, decay, step_size, beta_1, beta_2, epsilon, amsgrad, m, v, v_max, value):
    real = value.dtype.type
    s, l2, decay, alpha, eps = real(scale), real(l2), real(decay), real(step_size), real(epsilon)
    one_less_b1, one_less_b2 = real(1 - beta_1), real(1 - beta_2)
    for i in range(value.size):
        g = s * gradient[i] + l2 * value[i]                                     # (1)
        m[i] += one_less_b1 * (g - m[i])                                        # (12)
        v[i] += one_less_b2 * (g * g - v[i])                                    # (13)
        v_hat = v[i]
        if amsgrad:
            if not v_max[i] >= v_hat:                                           # also where v is NaN
                v_max[i] = v_hat                                                # (14)
            v_hat = v_max[i]
        value[i] -= decay * value[i] + alpha * m[i] / (math.sqrt(v_hat) + eps)  # (2), (15)


@kernel
def pytorch_momentum(gradient, scale, l2, learning_rate, momentum, dampening, nesterov, b, value):
    real = value.dtype.type
    s, l2, eta, mu, one_less_tau = real(scale), real(l2), real(learning_rate), real(momentum), real(1 - dampening)
    for i in range(value.size):
        g = s * gradient[i] + l2 * value[i]                                     # (1)
        b[i] = mu * b[i] + one_less_tau * g                                     # (16)
        if nesterov:
            value[i] -= eta * (g + mu * b[i])                                   # (18)
        else:
            value[i] -= eta * b[i]                                              # (17)


@kernel
def pytorch_rmsprop(gradient, scale, l2, learning_rate, alpha, epsilon, momentum, centered, v, u, a, value):
    real = value.dtype.type
    s, l2, eta, mu = real(scale), real(l2), real(learning_rate), real(momentum)
    r, one_less_r, eps, zero = real(alpha), real(1 - alpha), real(epsilon), real(0)
    with_momentum = momentum > 0
    for i in range(value.size):
        g = s * gradient[i] + l2 * value[i]                                     # (1)
        v[i] = r * v[i] + one_less_r * (g * g)                                  # (7)
        variance = v[i]
        if centered:
            a[i] = r * a[i] + one_less_r * g                                    # (8)
            variance -= a[i] * a[i]
            if variance < zero:
                variance = zero
        step = g / (math.sqrt(variance) + eps)                                  # (19)
        if with_momentum:
            u[i] = step = mu * u[i] + step                                      # (20)
        value[i] -= eta * step                                                  # (21)


@kernel
def pytorch_adagrad(gradient, scale, l2, learning_rate, epsilon, v, value):
    real = value.dtype.type
    s, l2, eta, eps = real(scale), real(l2), real(learning_rate), real(epsilon)
    for i in range(value.size):
        g = s * gradient[i] + l2 * value[i]                                     # (1)
        v[i] += g * g                                                           # (22)
        value[i] -= eta * g / (math.sqrt(v[i]) + eps)                           # (23)
