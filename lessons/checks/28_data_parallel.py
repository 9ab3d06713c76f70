"""Checks of lesson 28: its turns and its exercises."""
from types import SimpleNamespace

import numpy as np

from nblayers.distributed import simulate
from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size, returned

Known = dict[str, np.ndarray]


# Parts of a batch

def turn_dw(lesson: SimpleNamespace) -> Known:
    e, x, N = lesson.e, lesson.x, lesson.N
    return {"the derivative of e² is 2 e: the 2 is missing": e @ x / N,
            "the loss is a mean: divide by N": 2 * e @ x,
            "that is a square too many; e stands there once": 2 / N * e ** 2 @ x,
            "the sign is turned: e is p - t": -2 / N * e @ x}


def turn_dw_0(lesson: SimpleNamespace) -> Known:
    e, x = lesson.e[:2], lesson.x[:2]
    return {"it divides by all four samples; machine 0 takes the mean over its two": 2 / 4 * e @ x,
            "that is the sum over the two; take the mean": 2 * e @ x,
            "those are the samples of machine 1": lesson.e[2:] @ lesson.x[2:],
            "that is the whole batch; machine 0 has the first two": np.array(lesson.dw)}


def turn_dw_shared(lesson: SimpleNamespace) -> Known:
    dw_0, dw_1 = lesson.dw_0, lesson.dw_1
    return {"that is the mean of the means": (dw_0 + dw_1) / 2,
            "the shares are turned round: machine 0 has one sample of four": 3 / 4 * dw_0 + 1 / 4 * dw_1,
            "the shares have to add up to 1: divide by all four samples": dw_0 + 3 * dw_1,
            "those were sums; they are means, and each enters by its share": dw_0 + dw_1}


def turn_summand_0(lesson: SimpleNamespace) -> Known:
    m, e, x = lesson.m, lesson.e, lesson.x
    own = (m * e)[:2] @ x[:2]
    return {"it divides by what counts on machine 0; the loss divides by what counts on all": 2 / m[:2].sum() * own,
            "it divides by the samples; divide by those that count": 2 / 4 * own,
            "that is by the share of the samples, a half; of what counts machine 0 has 1 of 3": 1 / 2 * 2 / m[:2].sum() * own,
            "the mask is missing above: sample 0 does not count": 2 / m.sum() * e[:2] @ x[:2],
            "the derivative of e² is 2 e: the 2 is missing": own / m.sum(),
            "that is the whole gradient; machine 0 gives its part": np.array(lesson.dw_m)}


def turn_sent(lesson: SimpleNamespace) -> Known:
    p = lesson.p
    return {"there are p - 1 rounds to add, and p - 1 more to hand round": np.array((p - 1) / p),
            "a piece is the p-th part of the gradient": np.array(2.0 * (p - 1)),
            "in the last round of p nothing would be new: it is p - 1 rounds, twice": np.array(2.0)}


# Batch norm

def turn_mu(lesson: SimpleNamespace) -> Known:
    a, b = lesson.mu_0, lesson.mu_1
    return {"that is the sum; both have half of the samples": np.array(a + b),
            "that divides by the samples; the means are means already": np.array((a + b) / 4),
            "that is the mean of machine 0 alone": np.array(a),
            "that is the mean of machine 1 alone": np.array(b)}


def turn_var(lesson: SimpleNamespace) -> Known:
    a, b, m_0, m_1, mu = lesson.var_0, lesson.var_1, lesson.mu_0, lesson.mu_1, lesson.mu
    apart = (m_0 - mu) ** 2 + (m_1 - mu) ** 2
    return {"that is the mean of the variances; the machines stand apart too": np.array((a + b) / 2),
            "that is how far the machines stand apart; their own variances are missing": np.array(apart / 2),
            "those are sums over the two machines; each has half of the samples": np.array(a + b + apart),
            "the distances of the means are not squared": np.array((a + b + abs(m_0 - mu) + abs(m_1 - mu)) / 2),
            "the distance is from the mean of all, not of one machine from the other":
                np.array((a + b + 2 * (m_0 - m_1) ** 2) / 2)}


def turn_s(lesson: SimpleNamespace) -> Known:
    s_0, s_1 = lesson.s_0, lesson.s_1
    return {"that is the mean of the two; it is a sum over all samples": (s_0 + s_1) / 2,
            "those are the sums of machine 0 alone": np.array(s_0),
            "those are the sums of machine 1 alone": np.array(s_1),
            "that divides by N already; the next line does": (s_0 + s_1) / lesson.N}


def turn_dh_0(lesson: SimpleNamespace) -> Known:
    d, h, s, N, std, own = lesson.dh_hat[:2], lesson.h_hat[:2], lesson.s, lesson.N, lesson.std, lesson.s_0
    return {"those are the sums of machine 0 alone; mean and variance are of all": (d - own[0] / 2 - h * own[1] / 2) / std,
            "the sums are over all, so they are divided by N, not by the samples of machine 0":
                (d - s[0] / 2 - h * s[1] / 2) / std,
            "the way through the mean is missing": (d - h * s[1] / N) / std,
            "the way through the variance is missing": (d - s[0] / N) / std,
            "that is as if mean and variance were constants": d / std,
            "it is not divided by std": d - s[0] / N - h * s[1] / N,
            "those are sums; both have to be means: divide by N": (d - s[0] - h * s[1]) / std}


# Exercises

def exercise_1(answer: Answer) -> None:
    """Shares, on paper

    dw (2 numbers) for machines with 2 and 6 samples and the mean gradients (6, 0) and (2, 4); mu and var of the batch, where
    their means are 1 and 5 and their variances 2 and 4.
    """
    answer.on_paper("dw", [3, 3], ["Each mean enters by its share of the batch.", "Machine 0 has a quarter of the samples."], {
        "that is the mean of the means": [4, 2],
        "the shares are turned round": [5, 1],
        "that is the plain sum": [8, 4]})
    answer.on_paper("mu", 4, ["The means enter by their shares too.", "A quarter of 1 and three quarters of 5."], {
        "that is the mean of the means": 3,
        "the shares are turned round": 2})
    answer.on_paper("var", 6.5, [
        "To each variance comes the square of how far the machine's mean is from the mean of all.",
        "Machine 0: 2 and 9; machine 1: 4 and 1. Then by their shares."], {
        "that is the mean of the variances by their shares; the machines stand apart too": 3.5,
        "the shares are missing": 8,
        "the distances are not squared": 5})


def exercise_2(answer: Answer) -> None:
    """The whole backward of batch norm over several machines

    synchronised_backward(dys, hs, gamma, eps): lists dys and hs with an array (n_r, C) of each machine, gamma (C,). Returns
    the list of the dhs, dgamma and dbeta (C,) of the whole batch.
    """
    names = ("dgamma", "dbeta", "dh")

    def compare(*sizes: int) -> None:
        numbers = _machines(sizes)
        given = answer.function("synchronised_backward")(*numbers)
        dhs, dgamma, dbeta = returned(given, "synchronised_backward", "dhs", "dgamma", "dbeta")
        if len(dhs) != len(sizes):
            raise Wrong(f"dhs should be a list with an array of each of {len(sizes)} machines, but it has {len(dhs)}")
        for r, (dh, size) in enumerate(zip(dhs, sizes, strict=True)):
            if np.shape(dh) != (size, 2):
                raise Wrong(f"dhs[{r}] should have shape {(size, 2)}, as hs[{r}], but it has {np.shape(dh)}")
        right = _backward(*numbers)
        wrong = mistakes.spoiled(right, lambda mistake: _backward(*numbers, mistake), MACHINES)
        expect_all((dgamma, dbeta, np.concatenate(dhs)), right, wrong, names, "synchronised_backward")

    for_each_size(answer, compare, [(4,), (2, 2), (1, 3, 2)])


MACHINES = {"own sums": "the sums are those of each machine alone; mean and variance are of the whole batch",
            "own statistics": "mean and variance are those of each machine; the synchronised ones are of the whole batch",
            "mean of means": "the mean of all is not the mean of the machines' means: they have different sizes",
            "mean of variances": "the variance of all is more than the mean of the variances: the machines stand apart",
            "no gamma": "gamma is missing on the way to dh",
            "means": "dgamma and dbeta are sums over all samples, not means",
            "no mean": "the way through the mean is missing from dh",
            "no variance": "the way through the variance is missing from dh"}


def _machines(sizes: tuple[int, ...]) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, float]:
    rng = np.random.default_rng(28)
    hs = [rng.normal(3 * r, 1 + r, (size, 2)).round(2) for r, size in enumerate(sizes)]
    return [rng.normal(size=h.shape).round(2) for h in hs], hs, np.array([2.0, 0.5]), 1e-3


def _backward(dys: list[np.ndarray], hs: list[np.ndarray], gamma: np.ndarray, eps: float, mistake: str = "") -> Known:
    h, dy = np.concatenate(hs), np.concatenate(dys)
    mu, var = h.mean(axis=0), h.var(axis=0)
    if mistake == "mean of means":
        mu = np.mean([each.mean(axis=0) for each in hs], axis=0)
        var = np.square(h - mu).mean(axis=0)
    if mistake == "mean of variances":
        var = np.mean([each.var(axis=0) for each in hs], axis=0)
    groups = np.repeat(np.arange(len(hs)), [len(each) for each in hs])
    mus, variances = (np.broadcast_to(each, h.shape).copy() for each in (mu, var))
    if mistake == "own statistics":
        for r, each in enumerate(hs):
            mus[groups == r], variances[groups == r] = each.mean(axis=0), each.var(axis=0)
    std = np.sqrt(variances + eps)
    h_hat = (h - mus) / std
    d = dy if mistake == "no gamma" else dy * gamma
    first, along = d.mean(axis=0) + 0 * d, (d * h_hat).mean(axis=0) + 0 * d
    if mistake == "own sums":
        for r in range(len(hs)):
            own = groups == r
            first[own], along[own] = d[own].mean(axis=0), (d * h_hat)[own].mean(axis=0)
    first, along = first * (mistake != "no mean"), along * (mistake != "no variance")
    by = len(h) if mistake == "means" else 1
    return {"dgamma": (dy * h_hat).sum(axis=0) / by, "dbeta": dy.sum(axis=0) / by, "dh": (d - first - h_hat * along) / std}


def exercise_3(answer: Answer) -> None:
    """Shares of the wrong thing

    The function whole_gradient at the end of the lesson has a bug. Write it right as fixed_gradient(gradients, masks): masks
    is a list with an array (n_r,) of True and False of each machine.
    """
    function = answer.function("fixed_gradient")
    masks = [np.array([True, False, False]), np.array([True, True, True, False])]
    gradients = [np.array([4.0, 1.0]), np.array([-2.0, 3.0])]
    right = (gradients[0] + 3 * gradients[1]) / 4
    expect_close(function(gradients, masks), right, "the gradient with 1 and 3 steps that count", {
        "it still counts all steps; only those count that the mask leaves": (3 * gradients[0] + 4 * gradients[1]) / 7,
        "that is the mean of the means": (gradients[0] + gradients[1]) / 2,
        "it divides by all steps, and multiplies by those that count": (gradients[0] + 3 * gradients[1]) / 7,
        "that is the sum; divide by how many count in all": gradients[0] + 3 * gradients[1]})
    masks[0][:] = False
    with np.errstate(all="ignore"):
        given = np.asarray(function([np.zeros(2), gradients[1]], masks), float)
    if not np.allclose(given, gradients[1]):
        raise Wrong("a machine where no step counts should change nothing")


def exercise_4(answer: Answer) -> None:
    """How many buckets

    best_buckets: the number of buckets, of 1, 2, 4, … 1024, with which the least is waited for.
    """
    given = float(answer.array("best_buckets", ()))
    waited = {count: simulate(25e6, [16], 50e-6, 1e9, backward=0.05, bucket_bytes=25e6 / count).of("ring")[0].waited
              for count in (2**k for k in range(11))}
    best = min(waited, key=waited.__getitem__)
    if given not in waited:
        raise Wrong("best_buckets should be one of 1, 2, 4, … 1024")
    if given < best:
        raise Wrong(f"with {given:g} buckets {waited[int(given)] * 1e3:.1f} ms are waited for; more buckets begin sooner")
    if given > best:
        raise Wrong(f"with {given:g} buckets {waited[int(given)] * 1e3:.1f} ms are waited for: each pays for its rounds")
