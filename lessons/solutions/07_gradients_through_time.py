"""Solutions of the exercises of lesson 07."""
import numpy as np

dh_start = 2.5 ** 3 * 1 * 0.64 * 0.36                   # slopes 1 - 0², 1 - 0.6², 1 - 0.8²: 3.6
by_value = [[2.6, 2.6], [0, 2.6]]
by_norm = [[2.08, 1.56], [0, 2.6]]                      # each by its own length, 10 and 24
by_global_norm = [[0.8, 0.6], [0, 2.4]]                 # by that of both, 26: a tenth of each


def through_time(h_start, h, U, dh_last):
    T = h.shape[1]
    dh, parts = np.zeros_like(h), np.zeros((T, len(U), len(U)))
    dh_t = dh_last
    for t in reversed(range(T)):
        dh[:, t] = dh_t
        da_t = dh_t * (1 - h[:, t] ** 2)
        h_prev = h[:, t - 1] if t > 0 else h_start
        parts[t] = h_prev.T @ da_t
        dh_t = da_t @ U.T
    return dh, dh_t, parts


def fixed_clip(gradients, bound):
    norm = np.sqrt(sum(np.sum(g ** 2) for g in gradients))      # the bug: it was the sum of the norms
    return [g * min(1, bound / max(norm, 1e-30)) for g in gradients]


# the largest eigenvalue should be 1
sigma = 1 / np.abs(np.linalg.eigvals(np.random.default_rng(0).normal(size=(100, 100)))).max()
