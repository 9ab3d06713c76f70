r"""Connectionist temporal classification (CTC), as NumPy, one line per equation (Graves, Fernández, Gomez, Schmidhuber 2006).

At each of T steps the network tells the log-probabilities \log p_t of C classes, one of which is the blank. A path takes a
class at each step; merge its repeats, take out the blanks, and it reads as some labels. The loss is minus the logarithm of the
probability of all paths that read as the target l. They walk through the states of

    l' = (blank, l_1, blank, l_2, …, l_L, blank)                            (1)     S = 2 L + 1 states

from one of the first two to one of the last two. A step leads from a state to itself, to the next, or past a blank between two
labels that differ; s' \to s says that it may lead from s' to s. Forward through the steps:

    r_t(s) = \log \sum_{s' \to s} e^{\alpha_{t-1}(s')}                      (2)     r_1: 0 for the first two, else -\infty
    \alpha_t(s) = r_t(s) + \log p_t(l'_s) - c_t                             (3)     c_t: the largest, lest digits be lost
    L = -\sum_t c_t - \log (e^{\alpha_T(S)} + e^{\alpha_T(S-1)})            (4)

and back, where \gamma_t(s) = -\partial L / \partial \alpha_t(s) is the probability that a path which reads as l is in s at t:

    \gamma_T(s) = e^{\alpha_T(s)} / (e^{\alpha_T(S)} + e^{\alpha_T(S-1)})   (5)     for the last two states, else 0
    \gamma_{t-1}(s') = \sum_{s' \to s} \gamma_t(s) e^{\alpha_{t-1}(s') - r_t(s)}                            (6)
    \partial L / \partial \log p_t(k) = -\sum_{s : l'_s = k} \gamma_t(s)                                    (7)
    \partial L / \partial x_t(k) = p_t(k) - \sum_{s : l'_s = k} \gamma_t(s)                                 (8)

(8) is (7) sent back through \log p = log softmax(x). The paper writes \gamma_t(s) as \alpha_t(s) \beta_t(s) / p(l).

Too few steps for the labels: no path, L is \infty, and (8) is 0. No steps and no labels: L = 0. Each sample has lengths of its
own; T and L in shapes are those of the longest.
"""
import numpy as np


def ctc_forward(log_p, targets, input_lengths, target_lengths, blank, alpha, scale, loss):
    """log_p (N, T, C); targets (N, L); lengths (N,) -> alpha (N, T, S), -inf beyond a sample; scale, the c_t, (N, T); loss."""
    alpha.fill(-np.inf)
    scale.fill(0)
    for n in range(len(log_p)):
        states, skips = states_row(targets[n, :target_lengths[n]], blank)
        S, before = len(states), start_row(len(states))
        for t in range(input_lengths[n]):
            alpha[n, t, :S], scale[n, t] = forward_step(before, log_p[n, t, states], skips)
            before = as_row(alpha[n, t, :S])
        loss[n] = -scale[n].sum(dtype=float) - np.logaddexp(before[-1], before[-2])         # (4)


def ctc_backward(log_p, alpha, scale, loss, targets, input_lengths, target_lengths, blank, dloss, dx):
    """What `ctc_forward` was given and gave; dloss (N,) -> dx (N, T, C), by the logits; 0 beyond a sample."""
    dx.fill(0)
    for n in range(len(log_p)):
        if np.isposinf(loss[n]):
            continue
        states, skips = states_row(targets[n, :target_lengths[n]], blank)
        S, T = len(states), input_lengths[n]
        gamma = last_step(alpha[n, T - 1, :S]) if T else None
        for t in reversed(range(T)):
            dx[n, t] = np.exp(log_p[n, t])                                                  # (8)
            np.subtract.at(dx[n, t], states, gamma)                                         # (8), from (7)
            dx[n, t] *= dloss[n]
            if t:
                gamma = backward_step(gamma, alpha[n, t - 1, :S], skips)


def states_row(target, blank):
    """target (L,) -> the classes l' (S,), and whether a step may lead into a state past the one before it (S,)."""
    states = np.full(2 * len(target) + 1, blank)
    states[1::2] = target                                                                   # (1)
    skips = states != blank
    skips[3::2] &= states[3::2] != states[1:-2:2]
    return states, skips


def start_row(S):
    """Where the first step comes from: a state before the first two, and one more, from which nothing leads on."""
    before = np.full(S + 2, -np.inf)
    before[1] = 0
    return before


def as_row(alpha):
    """alpha_t (S,) -> the same behind the two states of `start_row`, which are left (S + 2,)."""
    return np.concatenate([[-np.inf, -np.inf], alpha])


def reach_step(before, skips):
    """alpha_{t-1} in line (S + 2,), skips (S,) -> r_t (S,)."""
    r = np.logaddexp(before[2:], before[1:-1])                                              # (2): from s and s-1
    return np.where(skips, np.logaddexp(r, before[:-2]), r)                                 # (2): from s-2


def forward_step(before, log_p, skips):
    """alpha_{t-1} in line (S + 2,), log p_t of the states' classes (S,), skips (S,) -> alpha_t (S,), c_t."""
    a = reach_step(before, skips) + log_p                                                   # (3)
    c = 0 if np.isneginf(a.max()) else a.max()
    return a - c, c


def last_step(alpha):
    """alpha_T (S,) -> gamma_T (S,)."""
    gamma = np.zeros_like(alpha)
    gamma[-2:] = np.exp(alpha[-2:] - np.logaddexp.reduce(alpha[-2:]))                       # (5)
    return gamma


def backward_step(gamma, alpha, skips):
    """gamma_t, alpha_{t-1}, skips (S,) -> gamma_{t-1} (S,)."""
    before, r = np.zeros_like(gamma), reach_step(as_row(alpha), skips)
    for s in np.flatnonzero(gamma):
        for source in range(max(s - 1 - skips[s], 0), s + 1):
            before[source] += gamma[s] * np.exp(alpha[source] - r[s])                       # (6)
    return before
