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


def accumulate(gradient, scale, total):
    _accumulate[_blocks(total), THREADS](gradient, total.dtype.type(scale), total)


def moving_average(momentum, overwrite, average, value):
    real = value.dtype.type
    _moving_average[_blocks(value), THREADS](real(momentum), real(1 - momentum), overwrite, average, value)


def adagrad(gradient, scale, decay, learning_rate, epsilon, n, value):
    real = value.dtype.type
    _adagrad[_blocks(value), THREADS](gradient, real(scale), real(decay), real(learning_rate), real(epsilon), n, value)


def adadelta(gradient, scale, decay, learning_rate, rho, epsilon, v, d, value):
    real = value.dtype.type
    _adadelta[_blocks(value), THREADS](gradient, real(scale), real(decay), real(learning_rate), real(rho), real(1 - rho),
                                       real(epsilon), v, d, value)


def adamax(gradient, scale, decay, step_size, beta_1, beta_2, epsilon, m, u, value):
    real = value.dtype.type
    _adamax[_blocks(value), THREADS](gradient, real(scale), real(decay), real(step_size), real(1 - beta_1), real(beta_2),
                                     real(epsilon), m, u, value)


def nadam(gradient, scale, decay, m_factor, g_factor, v_factor, beta_1, beta_2, epsilon, m, v, value):
    real = value.dtype.type
    _nadam[_blocks(value), THREADS](gradient, real(scale), real(decay), real(m_factor), real(g_factor), real(v_factor),
                                    real(1 - beta_1), real(1 - beta_2), real(epsilon), m, v, value)


def lion(gradient, scale, decay, learning_rate, beta_1, beta_2, m, value):
    real = value.dtype.type
    _lion[_blocks(value), THREADS](gradient, real(scale), real(decay), real(learning_rate), real(beta_1), real(1 - beta_1),
                                   real(beta_2), real(1 - beta_2), m, value)


def lamb(gradient, scale, decay, learning_rate, m_factor, v_factor, beta_1, beta_2, epsilon, m, v, sums, value):
    real, blocks = value.dtype.type, _blocks(value)
    p, q, eps = real(m_factor), real(v_factor), real(epsilon)
    sums.fill(0)
    _lamb_moments[blocks, THREADS](gradient, real(scale), real(decay), p, q, real(1 - beta_1), real(1 - beta_2), eps, m, v,
                                   sums, value)
    _lamb_step[blocks, THREADS](m, v, sums, real(learning_rate), p, q, eps, value)


def ftrl(gradient, scale, decay, learning_rate, power, l1, l2, shrinkage, beta, n, z, value):
    real = value.dtype.type
    _ftrl[_blocks(value), THREADS](gradient, real(scale), real(decay), real(learning_rate), real(power), real(l1), real(2 * l2),
                                   real(2 * shrinkage), real(beta), n, z, value)


def adafactor_vector(gradient, scale, decay, step_size, beta_2, epsilon_1, epsilon_2, threshold, v, sums, value):
    real, blocks = value.dtype.type, _blocks(value)
    sums.fill(0)
    _adafactor_squares[blocks, THREADS](gradient, real(scale), real(decay), real(beta_2), real(1 - beta_2), real(epsilon_1), v,
                                        sums, value)
    _adafactor_step[blocks, THREADS](gradient, real(scale), v, sums, real(step_size), real(epsilon_2), real(threshold), value)


def adafactor_matrix(gradient, scale, decay, step_size, beta_2, epsilon_1, epsilon_2, threshold, r, c, v, means, sums, value):
    real, blocks = value.dtype.type, _blocks(value)
    numbers = real(scale), real(beta_2), real(1 - beta_2), real(epsilon_1)
    means.fill(0)
    sums.fill(0)
    _adafactor_rows[_blocks(r), THREADS](gradient, *numbers, r, means)
    _adafactor_columns[_blocks(c), THREADS](gradient, *numbers, c)
    _adafactor_product[blocks, THREADS](gradient, real(scale), real(decay), r, c, means, v, sums, value)
    _adafactor_step[blocks, THREADS](gradient.reshape(-1), real(scale), v.reshape(-1), sums, real(step_size), real(epsilon_2),
                                     real(threshold), value.reshape(-1))


def muon_direction(gradient, scale, momentum, nesterov, m, x):
    real = m.dtype.type
    _muon_direction[_blocks(m), THREADS](gradient, real(scale), real(momentum), nesterov, m, x)


def quintic(gram, a, b, c, square):
    real = square.dtype.type
    _quintic[_blocks(square), THREADS](gram, real(a), real(b), real(c), square)


def schedule_free_adam(gradient, scale, decay, learning_rate, weight, v_factor, beta_1, beta_2, epsilon, z, v, value):
    real = value.dtype.type
    _schedule_free_adam[_blocks(value), THREADS](gradient, real(scale), real(decay), real(learning_rate), real(weight),
                                                 real(1 - weight), real(v_factor), real(beta_1), real(1 - beta_1),
                                                 real(1 - beta_2), real(epsilon), z, v, value)


@cuda.jit
def _accumulate(gradient, s, total):
    for i in range(cuda.grid(1), total.size, cuda.gridsize(1)):
        total[i] += s * gradient[i]                                             # (24)


@cuda.jit
def _moving_average(mu, one_less_mu, overwrite, average, value):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        average[i] = mu * average[i] + one_less_mu * value[i]                   # (25)
        if overwrite:
            value[i] = average[i]                                               # (26)


@cuda.jit
def _adagrad(gradient, s, decay, eta, eps, n, value):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i]                                                     # (1)
        n[i] += g * g                                                           # (27)
        value[i] -= decay * value[i] + eta * g / math.sqrt(n[i] + eps)          # (2), (28)


@cuda.jit
def _adadelta(gradient, s, decay, eta, r, one_less_r, eps, v, d, value):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i]                                                     # (1)
        v[i] = r * v[i] + one_less_r * (g * g)                                  # (29)
        delta = math.sqrt(d[i] + eps) * g / math.sqrt(v[i] + eps)               # (30)
        d[i] = r * d[i] + one_less_r * (delta * delta)                          # (31)
        value[i] -= decay * value[i] + eta * delta                              # (2), (32)


@cuda.jit
def _adamax(gradient, s, decay, alpha, one_less_b1, b2, eps, m, u, value):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i]                                                     # (1)
        m[i] += one_less_b1 * (g - m[i])                                        # (12)
        u[i] = b2 * u[i]
        if not u[i] >= abs(g):                                                  # also where g is NaN
            u[i] = abs(g)                                                       # (33)
        value[i] -= decay * value[i] + alpha * m[i] / (u[i] + eps)              # (2), (34)


@cuda.jit
def _nadam(gradient, s, decay, a, b, q, one_less_b1, one_less_b2, eps, m, v, value):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i]                                                     # (1)
        m[i] += one_less_b1 * (g - m[i])                                        # (12)
        v[i] += one_less_b2 * (g * g - v[i])                                    # (13)
        value[i] -= decay * value[i] + (a * m[i] + b * g) / (math.sqrt(q * v[i]) + eps)     # (2), (35)


@cuda.jit
def _lion(gradient, s, decay, eta, b1, one_less_b1, b2, one_less_b2, m, value):
    zero = value.dtype.type(0)
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i]                                                     # (1)
        c = b1 * m[i] + one_less_b1 * g                                         # (36)
        step = eta if c > zero else -eta if c < zero else c                     # 0 and NaN as they are
        value[i] -= decay * value[i] + step                                     # (2), (37)
        m[i] = b2 * m[i] + one_less_b2 * g                                      # (38)


@cuda.jit
def _lamb_moments(gradient, s, decay, p, q, one_less_b1, one_less_b2, eps, m, v, sums, value):
    squares, squares_of_r = value.dtype.type(0), value.dtype.type(0)
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i]                                                     # (1)
        m[i] += one_less_b1 * (g - m[i])                                        # (12)
        v[i] += one_less_b2 * (g * g - v[i])                                    # (13)
        r = p * m[i] / (math.sqrt(q * v[i]) + eps)                              # (39)
        value[i] -= decay * value[i]                                            # (2)
        squares += value[i] * value[i]
        squares_of_r += r * r
    cuda.atomic.add(sums, 0, squares)                                           # in any order
    cuda.atomic.add(sums, 1, squares_of_r)


@cuda.jit
def _lamb_step(m, v, sums, eta, p, q, eps, value):
    zero = value.dtype.type(0)
    step = eta
    if sums[0] > zero and sums[1] > zero:
        step *= math.sqrt(sums[0] / sums[1])
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        value[i] -= step * p * m[i] / (math.sqrt(q * v[i]) + eps)               # (39), (40)


@cuda.jit
def _ftrl(gradient, s, decay, eta, p, l1, twice_l2, twice_shrinkage, beta, n, z, value):
    zero = value.dtype.type(0)
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i]                                                     # (1)
        value[i] -= decay * value[i]                                            # (2)
        grew_from = n[i] ** p
        n[i] += g * g                                                           # (41)
        grown = n[i] ** p
        z[i] += g + twice_shrinkage * value[i] - (grown - grew_from) / eta * value[i]       # (42)
        dividend = min(max(z[i], -l1), l1) - z[i]
        value[i] = zero if dividend == zero else dividend / ((beta + grown) / eta + twice_l2)       # (43)


@cuda.jit
def _adafactor_squares(gradient, s, decay, b2, one_less_b2, eps_1, v, sums, value):
    squares, squares_of_u = value.dtype.type(0), value.dtype.type(0)
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i]                                                     # (1)
        value[i] -= decay * value[i]                                            # (2)
        v[i] = b2 * v[i] + one_less_b2 * (g * g + eps_1)                        # (44)
        squares += value[i] * value[i]
        squares_of_u += g * g / v[i]                                            # (48)
    cuda.atomic.add(sums, 0, squares)                                           # in any order
    cuda.atomic.add(sums, 1, squares_of_u)


@cuda.jit
def _adafactor_rows(gradient, s, b2, one_less_b2, eps_1, r, means):
    real = r.dtype.type
    rows, columns = gradient.shape[1:]
    for n in range(cuda.grid(1), r.size, cuda.gridsize(1)):
        b, i = n // rows, n % rows
        row = real(0)
        for j in range(columns):
            g = s * gradient[b, i, j]                                           # (1)
            row += g * g + eps_1
        r[b, i] = b2 * r[b, i] + one_less_b2 * row / real(columns)              # (45)
        cuda.atomic.add(means, b, r[b, i] / real(rows))                         # in any order


@cuda.jit
def _adafactor_columns(gradient, s, b2, one_less_b2, eps_1, c):
    real = c.dtype.type
    rows, columns = gradient.shape[1:]
    for n in range(cuda.grid(1), c.size, cuda.gridsize(1)):
        b, j = n // columns, n % columns
        column = real(0)
        for i in range(rows):
            g = s * gradient[b, i, j]                                           # (1)
            column += g * g + eps_1
        c[b, j] = b2 * c[b, j] + one_less_b2 * column / real(rows)              # (46)


@cuda.jit
def _adafactor_product(gradient, s, decay, r, c, means, v, sums, value):
    squares, squares_of_u = value.dtype.type(0), value.dtype.type(0)
    rows, columns = value.shape[1:]
    for n in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        j, i, b = n % columns, n // columns % rows, n // columns // rows
        g = s * gradient[b, i, j]                                               # (1)
        value[b, i, j] -= decay * value[b, i, j]                                # (2)
        v[b, i, j] = r[b, i] / means[b] * c[b, j]                               # (47)
        squares += value[b, i, j] * value[b, i, j]
        squares_of_u += g * g / v[b, i, j]                                      # (48)
    cuda.atomic.add(sums, 0, squares)                                           # in any order
    cuda.atomic.add(sums, 1, squares_of_u)


@cuda.jit
def _adafactor_step(gradient, s, v, sums, step_size, eps_2, threshold, value):
    real = value.dtype.type
    length = math.sqrt(sums[0] / real(value.size))
    excess = math.sqrt(sums[1] / real(value.size)) / threshold
    if length < eps_2:
        length = eps_2
    if excess < real(1):
        excess = real(1)
    step = s * step_size * length / excess
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        value[i] -= step * gradient[i] / math.sqrt(v[i])                        # (48), (49)


@cuda.jit
def _muon_direction(gradient, s, mu, nesterov, m, x):
    for i in range(cuda.grid(1), m.size, cuda.gridsize(1)):
        g = s * gradient[i]                                                     # (1)
        m[i] = mu * m[i] + g                                                    # (50)
        x[i] = g + mu * m[i] if nesterov else m[i]                              # (51)


@cuda.jit
def _quintic(gram, a, b, c, square):
    side = square.shape[0]
    for n in range(cuda.grid(1), square.size, cuda.gridsize(1)):
        i, j = n // side, n % side
        square[i, j] = b * gram[i, j] + c * square[i, j]                        # (52)
        if i == j:
            square[i, j] += a                                                   # (52)


@cuda.jit
def _schedule_free_adam(gradient, s, decay, eta, w, one_less_w, q, b1, one_less_b1, one_less_b2, eps, z, v, value):
    for i in range(cuda.grid(1), value.size, cuda.gridsize(1)):
        g = s * gradient[i]                                                     # (1)
        v[i] += one_less_b2 * (g * g - v[i])                                    # (13)
        x = (value[i] - decay * value[i] - one_less_b1 * z[i]) / b1             # (2), (53)
        z[i] -= eta * g / (math.sqrt(q * v[i]) + eps)                           # (54)
        x = one_less_w * x + w * z[i]                                           # (55)
        value[i] = one_less_b1 * z[i] + b1 * x                                  # (56)


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
    "_accumulate": (_accumulate, "void(float32[:], float32, float32[:])"),
    "_moving_average": (_moving_average, "void(float32, float32, boolean, float32[:], float32[:])"),
    "_adagrad": (_adagrad, "void(float32[:], float32, float32, float32, float32, float32[:], float32[:])"),
    "_adadelta": (_adadelta, "void(float32[:], float32, float32, float32, float32, float32, float32, float32[:], "
                             "float32[:], float32[:])"),
    "_adamax": (_adamax, "void(float32[:], float32, float32, float32, float32, float32, float32, float32[:], float32[:], "
                         "float32[:])"),
    "_nadam": (_nadam, "void(float32[:], float32, float32, float32, float32, float32, float32, float32, float32, "
                       "float32[:], float32[:], float32[:])"),
    "_lion": (_lion, "void(float32[:], float32, float32, float32, float32, float32, float32, float32, float32[:], float32[:])"),
    "_lamb_moments": (_lamb_moments, "void(float32[:], float32, float32, float32, float32, float32, float32, float32, "
                                     "float32[:], float32[:], float32[:], float32[:])"),
    "_lamb_step": (_lamb_step, "void(float32[:], float32[:], float32[:], float32, float32, float32, float32, float32[:])"),
    "_ftrl": (_ftrl, "void(float32[:], float32, float32, float32, float32, float32, float32, float32, float32, float32[:], "
                     "float32[:], float32[:])"),
    "_adafactor_squares": (_adafactor_squares, "void(float32[:], float32, float32, float32, float32, float32, float32[:], "
                                               "float32[:], float32[:])"),
    "_adafactor_rows": (_adafactor_rows, "void(float32[:, :, :], float32, float32, float32, float32, float32[:, :], "
                                         "float32[:])"),
    "_adafactor_columns": (_adafactor_columns, "void(float32[:, :, :], float32, float32, float32, float32, float32[:, :])"),
    "_adafactor_product": (_adafactor_product, "void(float32[:, :, :], float32, float32, float32[:, :], float32[:, :], "
                                               "float32[:], float32[:, :, :], float32[:], float32[:, :, :])"),
    "_adafactor_step": (_adafactor_step, "void(float32[:], float32, float32[:], float32[:], float32, float32, float32, "
                                         "float32[:])"),
    "_muon_direction": (_muon_direction, "void(float32[:], float32, float32, boolean, float32[:], float32[:])"),
    "_quintic": (_quintic, "void(float32[:, :], float32, float32, float32, float32[:, :])"),
    "_schedule_free_adam": (_schedule_free_adam, "void(float32[:], float32, float32, float32, float32, float32, float32, "
                                                 "float32, float32, float32, float32, float32[:], float32[:], float32[:])"),
}
