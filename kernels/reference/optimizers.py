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
