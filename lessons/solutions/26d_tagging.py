"""Solutions of the exercises of lesson 26d."""
import numpy as np

# 1. On paper
Z = 7                                           # 1 + 3 + 2 + 1
p = 3 / 7                                       # e^A from 0 to 1, of all
mu_0 = [4 / 7, 3 / 7]                           # the rows of e^A, of all


# 2. The whole gradient
def crf_gradient(x, A, b, e, y):
    N, T, U = x.shape
    alpha = np.zeros_like(x)
    alpha[:, 0] = b + x[:, 0]
    for t in range(1, T):
        alpha[:, t] = x[:, t] + np.logaddexp.reduce(alpha[:, t - 1, :, None] + A, axis=1)
    last = alpha[:, -1] + e
    mu = np.exp(last - np.logaddexp.reduce(last, axis=1, keepdims=True))
    dx, dA = np.zeros_like(x), np.zeros_like(A)
    for t in reversed(range(T)):
        dx[:, t] = mu
        if t > 0:
            ways = alpha[:, t - 1, :, None] + A
            pairs = mu[:, None] * np.exp(ways - np.logaddexp.reduce(ways, axis=1, keepdims=True))
            dA += pairs.sum(axis=0)
            mu = pairs.sum(axis=2)
    dx -= np.eye(U)[y]                          # minus the truth
    np.subtract.at(dA, (y[:, :-1], y[:, 1:]), 1)
    dx, dA = dx / N, dA / N
    return dx, dA, dx[:, 0].sum(axis=0), dx[:, -1].sum(axis=0)


# 3. The bug: each tag remembers the tag BEFORE it, so the largest along axis 0
def fixed_best_tags(x, A, b, e):
    best, sources = b + x[0], []
    for t in range(1, len(x)):
        ways = best[:, None] + A
        sources.append(ways.argmax(axis=0))
        best = x[t] + ways.max(axis=0)
    tags = [(best + e).argmax()]
    for source in reversed(sources):
        tags.insert(0, source[tags[0]])
    return np.array(tags)


# 4. The experiment: 2 to the power of 1024 is infinite, and of 128 in float32
longest = 341                                   # 8 ** 341 is 2 ** 1023
longest_32 = 42                                 # 8 ** 42 is 2 ** 126
