"""One step of each optimizer, each parameter read and written once. Formulas and shapes: kernels/reference/optimizers.py.

The numbers come as double precision; `real` brings them to the dtype of the arrays, lest the loop be computed in double.
"""
import math

from numba.extending import register_jitable

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


@kernel
def accumulate(gradient, scale, total):
    s = total.dtype.type(scale)
    for i in range(total.size):
        total[i] += s * gradient[i]                                             # (24)


@kernel
def moving_average(momentum, overwrite, average, value):
    mu, one_less_mu = value.dtype.type(momentum), value.dtype.type(1 - momentum)
    for i in range(value.size):
        average[i] = mu * average[i] + one_less_mu * value[i]                   # (25)
        if overwrite:
            value[i] = average[i]                                               # (26)


@kernel
def adagrad(gradient, scale, decay, learning_rate, epsilon, n, value):
    real = value.dtype.type
    s, decay, eta, eps = real(scale), real(decay), real(learning_rate), real(epsilon)
    for i in range(value.size):
        g = s * gradient[i]                                                     # (1)
        n[i] += g * g                                                           # (27)
        value[i] -= decay * value[i] + eta * g / math.sqrt(n[i] + eps)          # (2), (28)


@kernel
def adadelta(gradient, scale, decay, learning_rate, rho, epsilon, v, d, value):
    real = value.dtype.type
    s, decay, eta, eps = real(scale), real(decay), real(learning_rate), real(epsilon)
    r, one_less_r = real(rho), real(1 - rho)
    for i in range(value.size):
        g = s * gradient[i]                                                     # (1)
        v[i] = r * v[i] + one_less_r * (g * g)                                  # (29)
        delta = math.sqrt(d[i] + eps) * g / math.sqrt(v[i] + eps)               # (30)
        d[i] = r * d[i] + one_less_r * (delta * delta)                          # (31)
        value[i] -= decay * value[i] + eta * delta                              # (2), (32)


@kernel
def adamax(gradient, scale, decay, step_size, beta_1, beta_2, epsilon, m, u, value):
    real = value.dtype.type
    s, decay, alpha, eps = real(scale), real(decay), real(step_size), real(epsilon)
    one_less_b1, b2 = real(1 - beta_1), real(beta_2)
    for i in range(value.size):
        g = s * gradient[i]                                                     # (1)
        m[i] += one_less_b1 * (g - m[i])                                        # (12)
        u[i] = b2 * u[i]
        if not u[i] >= abs(g):                                                  # also where g is NaN
            u[i] = abs(g)                                                       # (33)
        value[i] -= decay * value[i] + alpha * m[i] / (u[i] + eps)              # (2), (34)


@kernel
def nadam(gradient, scale, decay, m_factor, g_factor, v_factor, beta_1, beta_2, epsilon, m, v, value):
    real = value.dtype.type
    s, decay, a, b, q, eps = real(scale), real(decay), real(m_factor), real(g_factor), real(v_factor), real(epsilon)
    one_less_b1, one_less_b2 = real(1 - beta_1), real(1 - beta_2)
    for i in range(value.size):
        g = s * gradient[i]                                                     # (1)
        m[i] += one_less_b1 * (g - m[i])                                        # (12)
        v[i] += one_less_b2 * (g * g - v[i])                                    # (13)
        value[i] -= decay * value[i] + (a * m[i] + b * g) / (math.sqrt(q * v[i]) + eps)     # (2), (35)


@kernel
def lion(gradient, scale, decay, learning_rate, beta_1, beta_2, m, value):
    real = value.dtype.type
    s, decay, eta, zero = real(scale), real(decay), real(learning_rate), real(0)
    b1, one_less_b1, b2, one_less_b2 = real(beta_1), real(1 - beta_1), real(beta_2), real(1 - beta_2)
    for i in range(value.size):
        g = s * gradient[i]                                                     # (1)
        c = b1 * m[i] + one_less_b1 * g                                         # (36)
        step = eta if c > zero else -eta if c < zero else c                     # 0 and NaN as they are
        value[i] -= decay * value[i] + step                                     # (2), (37)
        m[i] = b2 * m[i] + one_less_b2 * g                                      # (38)


@kernel
def lamb(gradient, scale, decay, learning_rate, m_factor, v_factor, beta_1, beta_2, epsilon, m, v, sums, value):
    real = value.dtype.type
    s, decay, p, q, eps = real(scale), real(decay), real(m_factor), real(v_factor), real(epsilon)
    one_less_b1, one_less_b2 = real(1 - beta_1), real(1 - beta_2)
    squares, squares_of_r = real(0), real(0)
    for i in range(value.size):
        g = s * gradient[i]                                                     # (1)
        m[i] += one_less_b1 * (g - m[i])                                        # (12)
        v[i] += one_less_b2 * (g * g - v[i])                                    # (13)
        r = p * m[i] / (math.sqrt(q * v[i]) + eps)                              # (39)
        value[i] -= decay * value[i]                                            # (2)
        squares += value[i] * value[i]
        squares_of_r += r * r
    sums[0], sums[1] = squares, squares_of_r
    step = real(learning_rate)
    if squares > 0 and squares_of_r > 0:
        step *= math.sqrt(squares / squares_of_r)
    for i in range(value.size):
        value[i] -= step * p * m[i] / (math.sqrt(q * v[i]) + eps)               # (39), (40)


@kernel
def ftrl(gradient, scale, decay, learning_rate, power, l1, l2, shrinkage, beta, n, z, value):
    real = value.dtype.type
    s, decay, eta, p, zero = real(scale), real(decay), real(learning_rate), real(power), real(0)
    l1, twice_l2, twice_shrinkage, beta = real(l1), real(2 * l2), real(2 * shrinkage), real(beta)
    for i in range(value.size):
        g = s * gradient[i]                                                     # (1)
        value[i] -= decay * value[i]                                            # (2)
        before = n[i]
        n[i] += g * g                                                           # (41)
        if power == 0.5:
            grown, grew_from = math.sqrt(n[i]), math.sqrt(before)
        else:
            grown, grew_from = n[i] ** p, before ** p
        z[i] += g + twice_shrinkage * value[i] - (grown - grew_from) / eta * value[i]       # (42)
        dividend = min(max(z[i], -l1), l1) - z[i]
        value[i] = zero if dividend == zero else dividend / ((beta + grown) / eta + twice_l2)       # (43)


@kernel
def adafactor_vector(gradient, scale, decay, step_size, beta_2, epsilon_1, epsilon_2, threshold, v, sums, value):
    real = value.dtype.type
    s, decay, b2, one_less_b2, eps_1 = real(scale), real(decay), real(beta_2), real(1 - beta_2), real(epsilon_1)
    squares, squares_of_u = real(0), real(0)
    for i in range(value.size):
        g = s * gradient[i]                                                     # (1)
        value[i] -= decay * value[i]                                            # (2)
        v[i] = b2 * v[i] + one_less_b2 * (g * g + eps_1)                        # (44)
        squares += value[i] * value[i]
        squares_of_u += g * g / v[i]                                            # (48)
    sums[0], sums[1] = squares, squares_of_u
    step = s * real(_adafactor_length(squares / value.size, squares_of_u / value.size, step_size, epsilon_2, threshold))
    for i in range(value.size):
        value[i] -= step * gradient[i] / math.sqrt(v[i])                        # (48), (49)


@kernel
def adafactor_matrix(gradient, scale, decay, step_size, beta_2, epsilon_1, epsilon_2, threshold, r, c, v, means, sums, value):
    real = value.dtype.type
    s, decay, b2, one_less_b2, eps_1 = real(scale), real(decay), real(beta_2), real(1 - beta_2), real(epsilon_1)
    batch, rows, columns = value.shape
    squares, squares_of_u = real(0), real(0)
    for b in range(batch):
        for j in range(columns):
            c[b, j] *= b2
        total = real(0)
        for i in range(rows):
            row = real(0)
            for j in range(columns):
                g = s * gradient[b, i, j]                                       # (1)
                row += g * g + eps_1
                c[b, j] += one_less_b2 * (g * g + eps_1) / rows                 # (46)
            r[b, i] = b2 * r[b, i] + one_less_b2 * row / columns                # (45)
            total += r[b, i]
        means[b] = total / rows
        for i in range(rows):
            share = r[b, i] / means[b]
            for j in range(columns):
                g = s * gradient[b, i, j]                                       # (1)
                value[b, i, j] -= decay * value[b, i, j]                        # (2)
                v[b, i, j] = share * c[b, j]                                    # (47)
                squares += value[b, i, j] * value[b, i, j]
                squares_of_u += g * g / v[b, i, j]                              # (48)
    sums[0], sums[1] = squares, squares_of_u
    step = s * real(_adafactor_length(squares / value.size, squares_of_u / value.size, step_size, epsilon_2, threshold))
    for b in range(batch):
        for i in range(rows):
            for j in range(columns):
                value[b, i, j] -= step * gradient[b, i, j] / math.sqrt(v[b, i, j])      # (48), (49)


@register_jitable
def _adafactor_length(mean_square, mean_square_of_u, step_size, epsilon_2, threshold):
    """The factor of u in (49)."""
    length, excess = math.sqrt(mean_square), math.sqrt(mean_square_of_u) / threshold
    length = length if not length < epsilon_2 else epsilon_2                    # NaN as it is
    return step_size * length / (excess if not excess < 1 else 1.0)


@kernel
def muon_direction(gradient, scale, momentum, nesterov, m, x):
    s, mu = m.dtype.type(scale), m.dtype.type(momentum)
    for i in range(m.size):
        g = s * gradient[i]                                                     # (1)
        m[i] = mu * m[i] + g                                                    # (50)
        x[i] = g + mu * m[i] if nesterov else m[i]                              # (51)


@kernel
def quintic(gram, a, b, c, square):
    real = square.dtype.type
    one, first, second = real(a), real(b), real(c)
    for i in range(len(square)):
        for j in range(len(square)):
            square[i, j] = first * gram[i, j] + second * square[i, j]           # (52)
        square[i, i] += one                                                     # (52)


@kernel
def schedule_free_adam(gradient, scale, decay, learning_rate, weight, v_factor, beta_1, beta_2, epsilon, z, v, value):
    real = value.dtype.type
    s, decay, eta, w, one_less_w = real(scale), real(decay), real(learning_rate), real(weight), real(1 - weight)
    q, eps, b1, one_less_b1, one_less_b2 = real(v_factor), real(epsilon), real(beta_1), real(1 - beta_1), real(1 - beta_2)
    for i in range(value.size):
        g = s * gradient[i]                                                     # (1)
        v[i] += one_less_b2 * (g * g - v[i])                                    # (13)
        x = (value[i] - decay * value[i] - one_less_b1 * z[i]) / b1             # (2), (53)
        z[i] -= eta * g / (math.sqrt(q * v[i]) + eps)                           # (54)
        x = one_less_w * x + w * z[i]                                           # (55)
        value[i] = one_less_b1 * z[i] + b1 * x                                  # (56)
