r"""A linear-chain conditional random field (CRF), as NumPy, one line per equation (Lafferty et al. 2001; Lample et al. 2016).

Each of T steps has one of U tags. x_t(j) is how well tag j fits step t, A_{ij} how well j follows i, b and e how well a tag
begins and ends a sequence. A sequence y of tags has a score, and by it a probability:

    s(y) = b_{y_1} + \sum_t x_t(y_t) + \sum_{t>1} A_{y_{t-1} y_t} + e_{y_T}                 (1)
    p(y) = e^{s(y)} / Z,    Z = \sum_y e^{s(y)}                                             (2)

Z sums over U^T sequences, step by step:

    r_1(j) = b_j,   r_t(j) = \log \sum_i e^{\alpha_{t-1}(i) + A_{ij}}                       (3)
    \alpha_t(j) = r_t(j) + x_t(j) - c_t                             (4)     c_t: the largest, so that digits are not lost
    \log Z = \sum_t c_t + \log \sum_j e^{\alpha_T(j) + e_j}                                 (5)

and back, where \mu_t(j) = \partial \log Z / \partial \alpha_t(j) is the probability that step t has tag j, and
\mu_t(i, j) that steps t-1 and t have i and j:

    \mu_T(j) = e^{\alpha_T(j) + e_j} / \sum_k e^{\alpha_T(k) + e_k}                         (6)     also by e_j
    \mu_t(i, j) = \mu_t(j) e^{\alpha_{t-1}(i) + A_{ij} - r_t(j)}                            (7)     their sum is by A_{ij}
    \mu_{t-1}(i) = \sum_j \mu_t(i, j)                                                       (8)     \mu_1 is also by b

The most likely sequence is found in the same way (Viterbi), with m_t(j) for the best way to tag j:

    m_1(j) = b_j + x_1(j),   m_t(j) = x_t(j) + \max_i (m_{t-1}(i) + A_{ij})                 (9)

A sample without steps has the score 0 and log Z = 0. T is the length of the longest sample.
"""
import numpy as np


def crf_forward(x, transitions, start, end, lengths, alpha, scale, log_z):
    """x (N, T, U); transitions A (U, U); start b, end e (U,); lengths (N,) -> alpha (N, T, U); scale, the c_t, (N, T);
    log_z (N,). Beyond a sample alpha and scale are 0.
    """
    alpha.fill(0)
    scale.fill(0)
    for n, T in enumerate(lengths):
        r = start                                                                           # (3)
        for t in range(T):
            r = reach_step(alpha[n, t - 1], transitions) if t else r
            alpha[n, t], scale[n, t] = forward_step(r, x[n, t])
        log_z[n] = scale[n].sum(dtype=float) + np.logaddexp.reduce(alpha[n, T - 1] + end) if T else 0       # (5)


def crf_backward(x, transitions, end, lengths, alpha, scale, dlog_z, dx, dtransitions, dstart, dend):
    """What `crf_forward` was given and gave; dlog_z (N,) -> dx (N, T, U), 0 beyond a sample; added to dA (U, U), db and de."""
    dx.fill(0)
    for n, T in enumerate(lengths):
        if not T:
            continue
        mu = dlog_z[n] * softmax_row(alpha[n, T - 1] + end)                                 # (6)
        dend += mu
        for t in reversed(range(1, T)):
            dx[n, t] = mu
            pairs = backward_step(mu, alpha[n, t - 1], transitions)
            dtransitions += pairs
            mu = pairs.sum(axis=1)                                                          # (8)
        dx[n, 0] = mu
        dstart += mu


def crf_score(x, transitions, start, end, tags, lengths, score):
    """x, transitions, start, end, lengths as above; tags y (N, T) -> score (N,)."""
    for n, T in enumerate(lengths):
        y = tags[n, :T]
        steps = x[n, np.arange(T), y].sum(dtype=float) + transitions[y[:-1], y[1:]].sum(dtype=float)
        score[n] = start[y[0]] + steps + end[y[-1]] if T else 0                             # (1)


def crf_score_backward(tags, lengths, dscore, dx, dtransitions, dstart, dend):
    """tags (N, T); lengths, dscore (N,) -> added to dx (N, T, U), dA (U, U), db, de (U,)."""
    for n, T in enumerate(lengths):
        if not T:
            continue
        y = tags[n, :T]
        dx[n, np.arange(T), y] += dscore[n]                                                 # from (1)
        np.add.at(dtransitions, (y[:-1], y[1:]), dscore[n])
        dstart[y[0]] += dscore[n]
        dend[y[-1]] += dscore[n]


def crf_decode(x, transitions, start, end, lengths, sources, tags, score):
    """x, transitions, start, end, lengths as above -> sources, the best i of (9), (N, T, U); tags (N, T), -1 beyond a sample;
    score (N,). Of several that are best the first one is taken."""
    sources.fill(0)
    tags.fill(-1)
    for n, T in enumerate(lengths):
        best = start
        for t in range(T):
            if t:
                best, sources[n, t] = best_step(best, transitions)                          # (9)
            best = best + x[n, t]                                                           # (9)
        score[n] = (best + end).max() if T else 0
        for t in reversed(range(T)):
            tags[n, t] = sources[n, t + 1, tags[n, t + 1]] if t + 1 < T else (best + end).argmax()


def reach_step(alpha, transitions):
    """alpha_{t-1} (U,), A (U, U) -> r_t (U,)."""
    return np.logaddexp.reduce(alpha[:, None] + transitions, axis=0)                        # (3)


def forward_step(r, x):
    """r_t, x_t (U,) -> alpha_t (U,), c_t."""
    a = r + x                                                                               # (4)
    c = 0 if np.isneginf(a.max()) else a.max()
    return a - c, c


def backward_step(mu, alpha, transitions):
    """mu_t, alpha_{t-1} (U,), A (U, U) -> mu_t(i, j) (U, U)."""
    r = reach_step(alpha, transitions)
    r = np.where(np.isneginf(r), 0, r)                                                      # no way to j: mu_t(j) is 0
    return mu * np.exp(alpha[:, None] + transitions - r)                                    # (7)


def best_step(best, transitions):
    """m_{t-1} (U,), A (U, U) -> the maximum of (9) and the i where it is, (U,)."""
    ways = best[:, None] + transitions
    return ways.max(axis=0), ways.argmax(axis=0)


def softmax_row(a):
    """a (U,) -> e^a / sum of e^a (U,)."""
    e = np.exp(a - a.max())
    return e / e.sum()
