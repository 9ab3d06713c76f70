r"""Normalization, as NumPy, one line per equation.

    \mu = \frac{1}{n} \sum_{i \in S} x_i                        (1)    S: the numbers that are normalized together
    v = \frac{1}{n} \sum_{i \in S} (x_i - \mu)^2                (2)
    r = 1 / \sqrt{v + \epsilon}                                 (3)
    \hat x_i = (x_i - \mu)\, r                                  (4)
    y_i = \gamma \hat x_i + \beta                               (5)
    s = \min(1 / \sqrt{\textstyle\sum_{i \in S} x_i^2},\ l)     (6)    l is a limit, for rows of zeros
    y_i = s\, x_i                                               (7)

    batch norm    001.11.BatchNormalization     (1), (2), (3), (4), (5), (8); S: a channel in all samples and places;
                                                gamma and beta for each channel
    layer norm    001.11.LayerNormalization     (1), (2), (3), (4), (5), (8); S: the features of one sample; gamma and beta
                                                for each feature
    group norm    001.11.GroupNormalization     (1), (2), (3), (4), (5), (8); S: a group of channels of one sample, in all
                                                places; gamma and beta for each channel
    unit norm     001.11.UnitNormalization      (6), (7); S: the features of one sample
    known         001.10.Normalization          (4), (5); mu and v were found before, gamma is 1 and beta 0

From (1) to (4), with g_i = dL/d\hat x_i:

    \partial L/\partial x_i = r\,(g_i - \frac{1}{n} \sum_j g_j - \hat x_i \frac{1}{n} \sum_j g_j \hat x_j)         (8)

The axis that has weights stands in the middle: x is (A, C, B), A for all axes before it, B for all behind. Variances are the
mean of squared distances from the mean, never the difference of two means, which would lose all digits where |mu| is large.
"""
import numpy as np

EPSILON = 1e-7              # added to the count of a mask, as in Keras


def batch_statistics(x, mask, mean, variance, count):
    """x (A, C, B); mask (A, 1, 1) or (A, C, B), or of size 0 for none -> mean, variance, count, all (C,)."""
    m = _weights(mask, x)
    count[...] = m.sum(axis=(0, 2)) + (EPSILON if mask.size else 0)
    mean[...] = np.where(m, x, 0).sum(axis=(0, 2), dtype=float) / count                     # (1)
    distance = np.where(m, x - _by_channel(mean), 0)
    variance[...] = np.square(distance).sum(axis=(0, 2), dtype=float) / count               # (2)


def batch_norm(x, mean, rstd, gamma, beta, y):
    """x (A, C, B); mean, rstd, gamma, beta (C,) -> y (A, C, B)."""
    normal = (x - _by_channel(mean)) * _by_channel(rstd)                                    # (4)
    y[...] = _by_channel(gamma) * normal + _by_channel(beta)                                # (5)


def batch_norm_sums(dy, x, mean, rstd, dgamma, dbeta):
    """dy, x (A, C, B); mean, rstd (C,) -> dgamma, dbeta (C,)."""
    normal = (x - _by_channel(mean)) * _by_channel(rstd)                                    # (4)
    dgamma[...] = (dy * normal).sum(axis=(0, 2), dtype=float)                               # from (5)
    dbeta[...] = dy.sum(axis=(0, 2), dtype=float)                                           # from (5)


def batch_norm_backward(dy, x, mask, mean, rstd, gamma, count, dgamma, dbeta, dx):
    """dy, x (A, C, B); mask as above; mean, rstd, gamma, count, dgamma, dbeta (C,) -> dx (A, C, B).

    dgamma and dbeta are what `batch_norm_sums` gave. Masked numbers are normalized, but mu and v do not depend on them.
    """
    m, distance = _weights(mask, x), x - _by_channel(mean)
    dvariance = -0.5 * rstd**2 * gamma * dgamma                     # from (4), (3): sum gamma dy (x - mu) = gamma dgamma / r
    left = mean * (EPSILON if mask.size else 0) / count             # the mean distance, which the epsilon keeps from being 0
    dmean = -rstd * gamma * dbeta - 2 * dvariance * left            # from (4) and (2)
    through = (_by_channel(dmean) + 2 * _by_channel(dvariance) * distance) / _by_channel(count)
    dx[...] = _by_channel(gamma * rstd) * dy + np.where(m, through, 0)                      # from (5) and (4), then (1) and (2)


def layer_norm(x, gamma, beta, epsilon, centred, y, mean, rstd):
    """x (A, K, B); gamma, beta (K,) -> y (A, K, B); mean, rstd (A, B).

    Without `centred` (Keras' rms_scaling) the mean is not subtracted in (4), though it is in (2).
    """
    for a, b in np.ndindex(mean.shape):
        y[a, :, b], mean[a, b], rstd[a, b] = normalize_row(x[a, :, b], gamma, beta, epsilon, centred)


def layer_norm_backward(dy, x, gamma, mean, rstd, centred, dgamma, dbeta, dx):
    """dy, x (A, K, B); gamma (K,); mean, rstd (A, B) -> added to dgamma, dbeta (K,); dx (A, K, B)."""
    for a, b in np.ndindex(mean.shape):
        dx[a, :, b], dg, db = normalize_row_backward(dy[a, :, b], x[a, :, b], gamma, mean[a, b], rstd[a, b], centred)
        dgamma += dg
        dbeta += db


def group_norm(x, gamma, beta, epsilon, y, mean, rstd):
    """x (N, P, G, K, Q): samples, places, groups, channels of a group, places; gamma, beta (G, K)
    -> y like x; mean, rstd (N, G)."""
    for n, g in np.ndindex(mean.shape):
        y[n, :, g], mean[n, g], rstd[n, g] = normalize_row(x[n, :, g], gamma[g, :, None], beta[g, :, None], epsilon, True)


def group_norm_backward(dy, x, gamma, mean, rstd, dgamma, dbeta, dx):
    """dy, x (N, P, G, K, Q); gamma (G, K); mean, rstd (N, G) -> added to dgamma, dbeta (G, K); dx like x."""
    for n, g in np.ndindex(mean.shape):
        dx[n, :, g], dg, db = normalize_row_backward(dy[n, :, g], x[n, :, g], gamma[g, :, None], mean[n, g], rstd[n, g], True)
        dgamma[g] += dg.sum(axis=(0, 2))
        dbeta[g] += db.sum(axis=(0, 2))


def unit_norm(x, limit, y, scale):
    """x (A, K, B) -> y (A, K, B); scale (A, B)."""
    with np.errstate(divide="ignore"):
        scale[...] = np.minimum(1 / np.sqrt(np.square(x).sum(axis=1)), limit)               # (6)
    y[...] = scale[:, None] * x                                                             # (7)


def unit_norm_backward(dy, x, limit, scale, dx):
    """dy, x (A, K, B); scale (A, B) -> dx (A, K, B)."""
    y = scale[:, None] * x
    along = np.where(scale < limit, (dy * y).sum(axis=1), 0)                                # from (6): a limit is a constant
    dx[...] = scale[:, None] * (dy - y * along[:, None])                                    # from (7), (6)


def rms_norm(x, gamma, epsilon, y, rstd):
    """x (A, K), gamma (K,) -> y (A, K); rstd (A,). Backward is `layer_norm_backward` with a mean of 0, not `centred`."""
    rstd[...] = 1 / np.sqrt(np.square(x).mean(axis=1) + epsilon)                            # (2), (3) with a mean of 0
    y[...] = gamma * (x * rstd[:, None])                                                    # (4), (5)


def normalize_row(x, gamma, beta, epsilon, centred):
    """One set S: x (…), gamma and beta of a shape that fits -> y, mean, rstd."""
    mean = x.mean()                                                                         # (1)
    variance = np.square(x - mean).mean()                                                   # (2)
    rstd = 1 / np.sqrt(variance + epsilon)                                                  # (3)
    normal = (x - mean if centred else x) * rstd                                            # (4)
    y = gamma * normal + beta                                                               # (5)
    return y, mean, rstd


def normalize_row_backward(dy, x, gamma, mean, rstd, centred):
    """One set S -> dx, and what each of its numbers adds to dgamma and dbeta."""
    normal = (x - mean if centred else x) * rstd                                            # (4)
    dnormal = gamma * dy                                                                    # from (5)
    dx = rstd * dnormal - rstd**2 * (x - mean) * (dnormal * normal).mean()                  # from (4), (3), (2)
    if centred:
        dx = dx - rstd * dnormal.mean()                                                     # from (4), (1): together (8)
    dgamma, dbeta = dy * normal, dy                                                         # from (5)
    return dx, dgamma, dbeta


def _by_channel(values):
    return values[None, :, None]


def _weights(mask, x):
    """Which numbers count."""
    return np.broadcast_to(mask if mask.size else np.True_, x.shape)
