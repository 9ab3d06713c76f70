r"""One step of each optimizer on one parameter as NumPy, one line per equation.

All arrays are flat (n,) and of one dtype; g is the gradient, \theta the value, \eta the learning rate, \lambda the weight
decay, \ell the factor of an L2 penalty (`l2`, where a rule takes one; else 0). Every rule begins with

    g = s g + \ell \theta                                       (1)    s: the factor of gradient clipping, else 1; -1: ascent
    \theta = \theta - \eta \lambda \theta                       (2)    `decay` is \eta \lambda, 0 without weight decay

Gradient descent, plain and with momentum (Sutskever et al. 2013, there \mu is `momentum`):

    \theta = \theta - \eta g                                    (3)    002.Update
    u = \mu u - \eta g                                          (4)
    \theta = \theta + u                                         (5)
    \theta = \theta + \mu u - \eta g                            (6)    with `nesterov`, in place of (5)

RMSprop (Tieleman and Hinton 2012; Graves 2013 for (8) and (9)):

    v = \rho v + (1 - \rho) g^2                                 (7)
    a = \rho a + (1 - \rho) g                                   (8)    with `centered`
    d = \sqrt{v - a^2 + \epsilon}                               (9)    a = 0 unless `centered`
    u = \mu u + \eta g / d                                      (10)   \mu = 0: u is the step alone
    \theta = \theta - u                                         (11)

Adam (Kingma and Ba 2015; Reddi et al. 2018 for (14)):

    m = m + (1 - \beta_1) (g - m)                               (12)
    v = v + (1 - \beta_2) (g^2 - v)                             (13)
    \hat v = \max(\hat v, v)                                    (14)   with `amsgrad`, else \hat v = v
    \theta = \theta - \alpha_t m / (\sqrt{\hat v} + \epsilon)   (15)   \alpha_t: `step_size`, \eta with the bias correction

As PyTorch has them, without (2): momentum that holds no learning rate, and \epsilon outside of the root; Adagrad (Duchi, Hazan
and Singer 2011):

    b = \mu b + (1 - \tau) g                                    (16)   \tau: `dampening`
    \theta = \theta - \eta b                                    (17)
    \theta = \theta - \eta (g + \mu b)                          (18)   with `nesterov`, in place of (17)
    d = \sqrt{v - a^2} + \epsilon                               (19)   v and a: (7) and (8)
    u = \mu u + g / d                                           (20)
    \theta = \theta - \eta u                                    (21)
    v = v + g^2                                                 (22)
    \theta = \theta - \eta g / (\sqrt v + \epsilon)             (23)

What may be done around every rule (as Keras does it):

    G = G + s g                                                 (24)   gradients of several steps in one
    A = \mu A + (1 - \mu) \theta                               (25)   a moving average of the values
    \theta = A                                                  (26)   with `overwrite`

Adagrad (Duchi et al. 2011):

    n = n + g^2                                                 (27)
    \theta = \theta - \eta g / \sqrt{n + \epsilon}             (28)

Adadelta (Zeiler 2012):

    v = \rho v + (1 - \rho) g^2                                 (29)
    \Delta = \sqrt{d + \epsilon} g / \sqrt{v + \epsilon}        (30)
    d = \rho d + (1 - \rho) \Delta^2                            (31)
    \theta = \theta - \eta \Delta                              (32)

Adamax (Kingma and Ba 2015, section 7.1): (12), and

    u = \max(\beta_2 u, |g|)                                    (33)
    \theta = \theta - \alpha_t m / (u + \epsilon)               (34)   \alpha_t: `step_size`, \eta with the bias correction

Nadam (Dozat 2016): (12), (13), and

    \theta = \theta - (a m + b g) / (\sqrt{q v} + \epsilon)      (35)   a: `m_factor`, b: `g_factor`, q: `v_factor`

Lion (Chen et al. 2023):

    c = \beta_1 m + (1 - \beta_1) g                             (36)
    \theta = \theta - \eta \operatorname{sign}(c)              (37)
    m = \beta_2 m + (1 - \beta_2) g                             (38)

Lamb (You et al. 2020): (12), (13), and

    r = p m / (\sqrt{q v} + \epsilon)                           (39)   p: `m_factor`, q: `v_factor`
    \theta = \theta - \eta r \lVert\theta\rVert / \lVert r\rVert   (40)   the ratio is 1 where a norm is 0

Ftrl (McMahan et al. 2013; p: `power`, \lambda_s: `shrinkage`):

    n' = n + g^2                                                (41)
    z = z + g + 2 \lambda_s \theta - (n'^p - n^p) \theta / \eta                                 (42)
    \theta = (\max(-\lambda_1, \min(z, \lambda_1)) - z) / ((\beta + n'^p) / \eta + 2 \lambda_2)  (43)   0 where the dividend is

Adafactor (Shazeer and Stern 2018; \beta: `beta_2`, \rho: `step_size`, d: `threshold`): vectors (44), matrices (45) to (47):

    v = \beta v + (1 - \beta) (g^2 + \epsilon_1)                                               (44)
    r_i = \beta r_i + (1 - \beta) \operatorname{mean}_j(g_{ij}^2 + \epsilon_1)                (45)
    c_j = \beta c_j + (1 - \beta) \operatorname{mean}_i(g_{ij}^2 + \epsilon_1)                (46)
    v_{ij} = r_i c_j / \operatorname{mean}_i(r_i)                                              (47)
    u = g / \sqrt v                                                                          (48)
    \theta = \theta - \rho \max(\epsilon_2, \operatorname{rms}\theta) u / \max(1, \operatorname{rms} u / d)   (49)

Muon (Jordan et al. 2024):

    m = \mu m + g                                               (50)
    X = g + \mu m                                               (51)   with `nesterov`, else X = m
    P = a I + b A + c A^2                                       (52)   A = X X^T, and then X = P X

Schedule-free Adam (Defazio et al. 2024; w: `weight`, q: `v_factor`): (13), and

    x = (\theta - (1 - \beta_1) z) / \beta_1                    (53)
    z = z - \eta g / (\sqrt{q v} + \epsilon)                    (54)
    x = (1 - w) x + w z                                         (55)
    \theta = (1 - \beta_1) z + \beta_1 x                        (56)
"""
import numpy as np


def squared_norm(x, total):
    """x (n,) -> total (1,), the sum of the squares of x."""
    total[0] = np.sum(x * x)


def sgd(gradient, scale, l2, decay, learning_rate, value):
    """gradient (n,) -> value (n,), updated."""
    g = scale * gradient + l2 * value                           # (1)
    value -= decay * value                                      # (2)
    value -= learning_rate * g                                  # (3)


def sgd_momentum(gradient, scale, decay, learning_rate, momentum, nesterov, u, value):
    """gradient (n,) -> u (n,), value (n,), both updated."""
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    u[:] = momentum * u - learning_rate * g                     # (4)
    if nesterov:
        value += momentum * u - learning_rate * g               # (6)
    else:
        value += u                                              # (5)


def rmsprop(gradient, scale, decay, learning_rate, rho, epsilon, momentum, centered, v, u, a, value):
    """gradient (n,) -> v, u, a, value (n,), all updated; u is (0,) without momentum and a is (0,) unless centered.

    Rounding can make v - a^2 a little negative, where the formula would give NaN: it counts as 0.
    """
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    v[:] = rho * v + (1 - rho) * g ** 2                         # (7)
    variance = v
    if centered:
        a[:] = rho * a + (1 - rho) * g                          # (8)
        variance = np.maximum(v - a ** 2, 0)
    step = learning_rate * g / np.sqrt(variance + epsilon)      # (9), (10)
    if momentum > 0:
        u[:] = momentum * u + step                              # (10)
        step = u
    value -= step                                               # (11)


def adam(gradient, scale, l2, decay, step_size, beta_1, beta_2, epsilon, amsgrad, m, v, v_max, value):
    """gradient (n,) -> m, v, v_max, value (n,), all updated; v_max is (0,) unless amsgrad."""
    g = scale * gradient + l2 * value                           # (1)
    value -= decay * value                                      # (2)
    m += (1 - beta_1) * (g - m)                                 # (12)
    v += (1 - beta_2) * (g ** 2 - v)                            # (13)
    v_hat = v
    if amsgrad:
        v_max[:] = np.maximum(v_max, v)                         # (14)
        v_hat = v_max
    value -= step_size * m / (np.sqrt(v_hat) + epsilon)         # (15)


def pytorch_momentum(gradient, scale, l2, learning_rate, momentum, dampening, nesterov, b, value):
    """gradient (n,) -> b, value (n,), both updated."""
    g = scale * gradient + l2 * value                           # (1)
    b[:] = momentum * b + (1 - dampening) * g                   # (16)
    if nesterov:
        value -= learning_rate * (g + momentum * b)             # (18)
    else:
        value -= learning_rate * b                              # (17)


def pytorch_rmsprop(gradient, scale, l2, learning_rate, alpha, epsilon, momentum, centered, v, u, a, value):
    """gradient (n,) -> v, u, a, value (n,), all updated; u is (0,) without momentum and a is (0,) unless centered.

    Where rounding makes v - a^2 negative, it counts as 0.
    """
    g = scale * gradient + l2 * value                           # (1)
    v[:] = alpha * v + (1 - alpha) * g ** 2                     # (7)
    variance = v
    if centered:
        a[:] = alpha * a + (1 - alpha) * g                      # (8)
        variance = np.maximum(v - a ** 2, 0)
    step = g / (np.sqrt(variance) + epsilon)                    # (19), (20)
    if momentum > 0:
        u[:] = momentum * u + step                              # (20)
        step = u
    value -= learning_rate * step                               # (21)


def pytorch_adagrad(gradient, scale, l2, learning_rate, epsilon, v, value):
    """gradient (n,) -> v, value (n,), both updated."""
    g = scale * gradient + l2 * value                           # (1)
    v += g ** 2                                                 # (22)
    value -= learning_rate * g / (np.sqrt(v) + epsilon)         # (23)


def accumulate(gradient, scale, total):
    """gradient (n,) -> total (n,), updated."""
    total += scale * gradient                                   # (24)


def moving_average(momentum, overwrite, average, value):
    """value (n,) -> average (n,), updated; and value with `overwrite`."""
    average[:] = momentum * average + (1 - momentum) * value    # (25)
    if overwrite:
        value[:] = average                                      # (26)


def adagrad(gradient, scale, decay, learning_rate, epsilon, n, value):
    """gradient (n,) -> n (n,), value (n,), both updated."""
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    n += g ** 2                                                 # (27)
    value -= learning_rate * g / np.sqrt(n + epsilon)           # (28)


def adadelta(gradient, scale, decay, learning_rate, rho, epsilon, v, d, value):
    """gradient (n,) -> v, d, value (n,), all updated."""
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    v[:] = rho * v + (1 - rho) * g ** 2                         # (29)
    delta = np.sqrt(d + epsilon) * g / np.sqrt(v + epsilon)     # (30)
    d[:] = rho * d + (1 - rho) * delta ** 2                     # (31)
    value -= learning_rate * delta                              # (32)


def adamax(gradient, scale, decay, step_size, beta_1, beta_2, epsilon, m, u, value):
    """gradient (n,) -> m, u, value (n,), all updated."""
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    m += (1 - beta_1) * (g - m)                                 # (12)
    u[:] = np.maximum(beta_2 * u, np.abs(g))                    # (33)
    value -= step_size * m / (u + epsilon)                      # (34)


def nadam(gradient, scale, decay, m_factor, g_factor, v_factor, beta_1, beta_2, epsilon, m, v, value):
    """gradient (n,) -> m, v, value (n,), all updated; the learning rate is in `m_factor` and `g_factor`."""
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    m += (1 - beta_1) * (g - m)                                 # (12)
    v += (1 - beta_2) * (g ** 2 - v)                            # (13)
    value -= (m_factor * m + g_factor * g) / (np.sqrt(v_factor * v) + epsilon)      # (35)


def lion(gradient, scale, decay, learning_rate, beta_1, beta_2, m, value):
    """gradient (n,) -> m (n,), value (n,), both updated."""
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    c = beta_1 * m + (1 - beta_1) * g                           # (36)
    value -= learning_rate * np.sign(c)                         # (37)
    m[:] = beta_2 * m + (1 - beta_2) * g                        # (38)


def lamb(gradient, scale, decay, learning_rate, m_factor, v_factor, beta_1, beta_2, epsilon, m, v, sums, value):
    """gradient (n,) -> m, v (n,), updated, sums (2,), the squares of the two norms, and value (n,), updated."""
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    m += (1 - beta_1) * (g - m)                                 # (12)
    v += (1 - beta_2) * (g ** 2 - v)                            # (13)
    r = m_factor * m / (np.sqrt(v_factor * v) + epsilon)        # (39)
    sums[:] = np.sum(value ** 2), np.sum(r ** 2)
    ratio = np.sqrt(sums[0] / sums[1]) if sums[0] > 0 and sums[1] > 0 else 1
    value -= learning_rate * ratio * r                          # (40)


def ftrl(gradient, scale, decay, learning_rate, power, l1, l2, shrinkage, beta, n, z, value):
    """gradient (n,) -> n, z, value (n,), all updated."""
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    grown = (n + g ** 2) ** power                               # (41)
    z += g + 2 * shrinkage * value - (grown - n ** power) / learning_rate * value   # (42)
    n += g ** 2                                                 # (41)
    dividend = np.clip(z, -l1, l1) - z
    divisor = (beta + grown) / learning_rate + 2 * l2
    value[:] = dividend / np.where(dividend == 0, 1, divisor)   # (43)


def adafactor_vector(gradient, scale, decay, step_size, beta_2, epsilon_1, epsilon_2, threshold, v, sums, value):
    """gradient (n,) -> v (n,), updated, sums (2,), those of the squares in (49), and value (n,), updated."""
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    v[:] = beta_2 * v + (1 - beta_2) * (g ** 2 + epsilon_1)     # (44)
    _adafactor_step(g, step_size, epsilon_2, threshold, v, sums, value)


def adafactor_matrix(gradient, scale, decay, step_size, beta_2, epsilon_1, epsilon_2, threshold, r, c, v, means, sums, value):
    """gradient (b, i, j) -> r (b, i), c (b, j), v (b, i, j), updated, means (b,) of r, sums (2,), value (b, i, j), updated."""
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    squares = g ** 2 + epsilon_1
    r[:] = beta_2 * r + (1 - beta_2) * squares.mean(axis=2)     # (45)
    c[:] = beta_2 * c + (1 - beta_2) * squares.mean(axis=1)     # (46)
    means[:] = r.mean(axis=1)
    v[:] = (r / means[:, None])[:, :, None] * c[:, None, :]     # (47)
    _adafactor_step(g, step_size, epsilon_2, threshold, v, sums, value)


def _adafactor_step(g, step_size, epsilon_2, threshold, v, sums, value):
    u = g / np.sqrt(v)                                          # (48)
    sums[:] = np.sum(value ** 2), np.sum(u ** 2)
    rms_value, rms_u = np.sqrt(sums / value.size)
    value -= step_size * np.maximum(epsilon_2, rms_value) * u / np.maximum(1, rms_u / threshold)    # (49)


def muon_direction(gradient, scale, momentum, nesterov, m, x):
    """gradient (n,) -> m (n,), updated, x (n,), the mean gradient that is made orthogonal."""
    g = scale * gradient                                        # (1)
    m[:] = momentum * m + g                                     # (50)
    x[:] = g + momentum * m if nesterov else m                  # (51)


def quintic(gram, a, b, c, square):
    """gram (n, n), A of (52), and square (n, n), which holds its square -> square, P."""
    square[:] = a * np.eye(len(gram)) + b * gram + c * square   # (52)


def schedule_free_adam(gradient, scale, decay, learning_rate, weight, v_factor, beta_1, beta_2, epsilon, z, v, value):
    """gradient (n,) -> z, v, value (n,), all updated."""
    g = scale * gradient                                        # (1)
    value -= decay * value                                      # (2)
    v += (1 - beta_2) * (g ** 2 - v)                            # (13)
    x = (value - (1 - beta_1) * z) / beta_1                     # (53)
    z -= learning_rate * g / (np.sqrt(v_factor * v) + epsilon)  # (54)
    x = (1 - weight) * x + weight * z                           # (55)
    value[:] = (1 - beta_1) * z + beta_1 * x                    # (56)
