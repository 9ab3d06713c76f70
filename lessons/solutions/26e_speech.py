"""Solutions of the exercises of lesson 26e."""
from itertools import product

import numpy as np

# 1. On paper: the paths aa, a-, -a
p_l = 7 / 8                                     # 3/8 + 1/8 + 3/8
gamma_0 = [3 / 7, 4 / 7]                        # -a alone begins with a blank
dx_0 = [1 / 14, -1 / 14]                        # 1/2 - 3/7, 1/2 - 4/7


# 2. The whole backward
NEVER = -100.0                                  # a logarithm of next to nothing


def ahead(a, k):
    moved = np.full_like(a, NEVER)
    moved[:, k:] = a[:, :-k]
    return moved


def back(a, k):
    return ahead(a[:, ::-1], k)[:, ::-1]


def ctc_gradient(x, labels):
    N, T, C = x.shape
    S = 2 * labels.shape[1] + 1
    states = np.zeros((N, S), int)
    states[:, 1::2] = labels
    may_jump = np.zeros((N, S), bool)
    may_jump[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    log_p = x - np.logaddexp.reduce(x, axis=2, keepdims=True)
    log_p_s = np.take_along_axis(log_p, states[:, None], axis=2)

    alpha, beta = np.full((2, N, T, S), NEVER)
    alpha[:, 0, :2] = log_p_s[:, 0, :2]
    for t in range(1, T):
        before = alpha[:, t - 1]
        jumps = np.where(may_jump, ahead(before, 2), NEVER)
        alpha[:, t] = log_p_s[:, t] + np.logaddexp(np.logaddexp(before, ahead(before, 1)), jumps)
    beta[:, -1, -2:] = 0
    for t in reversed(range(T - 1)):
        g = beta[:, t + 1] + log_p_s[:, t + 1]
        jumps = back(np.where(may_jump, g, NEVER), 2)
        beta[:, t] = np.logaddexp(np.logaddexp(g, back(g, 1)), jumps)

    log_l = np.logaddexp(alpha[:, -1, -1], alpha[:, -1, -2])
    gamma = np.exp(alpha + beta - log_l[:, None, None])
    return -log_l, (np.exp(log_p) - gamma @ np.eye(C)[states]) / N


# 3. The bug: blanks are taken out AFTER repeats are merged, or `a-a` becomes `a`
def fixed_merge(path):
    is_new = np.diff(path, prepend=-1) != 0
    return path[is_new & (path != 0)]


# 4. The experiment: all 3 ** 10 paths of the classes blank, a, b, or alpha with log p = 0
paths = np.array(list(product(range(3), repeat=10)))
is_new = np.diff(paths, axis=1, prepend=-1) != 0
kept = is_new & (paths != 0)
with_two = paths[kept.sum(axis=1) == 2]
first_two = with_two[kept[kept.sum(axis=1) == 2]].reshape(-1, 2)
paths_ab = int(np.sum(np.all(first_two == [1, 2], axis=1)))
paths_aa = int(np.sum(np.all(first_two == [1, 1], axis=1)))
