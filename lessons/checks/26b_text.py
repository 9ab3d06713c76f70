"""Checks of lesson 26b: its turns and its exercises."""
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, as_array, expect_all, expect_close, for_each_size
from nblayers.learn.mistakes import softmax

Known = dict[str, np.ndarray]


# Counting

def turn_read(lesson: SimpleNamespace) -> dict[str, Known]:
    windows = lesson.windows
    return {"read": {"the last character has no next one in its window; leave it out": windows,
                     "that is what is asked": windows[:, 1:]},
            "asked": {"that is what it reads; asked is the next one of each": windows[:, :-1],
                      "that is the last one alone; each of the steps is asked": windows[:, -1:],
                      "the first character is asked by nobody; leave it out": windows}}


def turn_pairs(lesson: SimpleNamespace) -> Known:
    first, second, K = lesson.code[:-1], lesson.code[1:], lesson.K
    seen = np.zeros((K, K))
    seen[first, second] = 1
    apart = np.zeros((K, K))
    np.add.at(apart, (lesson.code[:-2], lesson.code[2:]), 1)
    return {"the row is the character that is there, the column the one after it": lesson.pairs.T,
            "a pair that comes twice counts once: pairs[…] += 1 adds once for each place; use np.add.at": seen,
            "one lies between these two; take neighbours": apart,
            "that is divided by the number of pairs; counts are asked": lesson.pairs / len(first)}


def turn_p_next(lesson: SimpleNamespace) -> Known:
    n, K = lesson.pairs, lesson.K
    return {"one is to be added to each count": n / n.sum(axis=1, keepdims=True),
            "each row sums to 1: what comes after one character": (n + 1) / (n.sum(axis=0) + K),
            "the ones that were added belong into the sum too: K more": (n + 1) / n.sum(axis=1, keepdims=True),
            "that is divided by all pairs; each row sums to 1": (n + 1) / (n.sum() + K * K),
            "the sum of a row has K ones in it, not one": (n + 1) / (n.sum(axis=1, keepdims=True) + 1)}


def turn_bits(lesson: SimpleNamespace) -> dict[str, float]:
    first, second = lesson.code[:-1], lesson.code[1:]
    p = lesson.p_next[first, second]
    return {"that is with the natural logarithm; bits are to base 2": -np.log(p).mean(),
            "the sign is turned: a logarithm of a probability is below 0": np.log2(p).mean(),
            "that is the sum; divide by the number of pairs": -np.log2(p).sum(),
            "that is the logarithm of the mean; take the mean of the logarithms": -np.log2(p.mean()),
            "row and column are swapped: the character that is there is the row": -np.log2(lesson.p_next[second, first]).mean(),
            "that is a mean over all pairs there may be; take those that came": -np.log2(lesson.p_next).mean()}


# Temperature

def turn_p(lesson: SimpleNamespace) -> Known:
    z, tau = lesson.z, lesson.tau
    return {"the temperature is missing": softmax(z),
            "that multiplies; a high temperature makes all alike, so divide": softmax(z * tau),
            "the scores are divided, before the softmax": softmax(z) / tau,
            "those are z / tau; the softmax is missing": z / tau,
            "the softmax runs over the characters, along the last axis": softmax((z / tau).T).T}


def turn_drawn(lesson: SimpleNamespace) -> Known:
    ends, thrown = np.cumsum(lesson.p, axis=1), lesson.thrown[:, None]
    return {"that is the likeliest one; nothing is drawn": lesson.p.argmax(axis=1),
            "those are the ends above the number; count those below": (ends > thrown).sum(axis=1),
            "those are the ends that are reached, up to the character itself; count those below":
                (ends < thrown).sum(axis=1) + 1,
            "compare with the ends, np.cumsum(p, axis=1), not with p": (lesson.p < thrown).sum(axis=1),
            "that says for each end whether it lies below; count them": ends < thrown}


def turn_dz(lesson: SimpleNamespace) -> Known:
    p, onehot, N, K, tau, z = lesson.p, lesson.onehot, lesson.N, lesson.K, lesson.tau, lesson.z
    return {"that is by s = z / tau; z is divided by tau": (p - onehot) / N,
            "the loss is a mean: divide by N": (p - onehot) / (N * tau) * N,
            "z is divided by tau, so its gradient is too": (p - onehot) / N * tau,
            "the sign is wrong: with more of z at the right character the loss falls": (onehot - p) / N / tau,
            "that is made with the probabilities at temperature 1": (softmax(z) - onehot) / N / tau,
            "K is no part of the mean: divide by N": (p - onehot) / (N * K * tau),
            "that is the gradient by the probabilities; it has gone through the softmax": -onehot / p / N / tau}


def turn_dtau(lesson: SimpleNamespace) -> dict[str, float]:
    ds, z, tau = lesson.ds, lesson.z, lesson.tau
    return {"the sign is wrong: the slope of 1 / tau is -1 / tau²": np.sum(ds * z) / tau ** 2,
            "the slope of 1 / tau is -1 / tau²; the square is missing": -np.sum(ds * z) / tau,
            "tau² is missing": -np.sum(ds * z),
            "that is with dz, which is divided by tau once more": -np.sum(lesson.dz * z) / tau ** 2,
            "z is missing: s = z / tau": -np.sum(np.abs(ds)) / tau ** 2,
            "one for each row; tau serves all of them": -np.sum(ds * z, axis=1) / tau ** 2}


# Exercises

def exercise_1(answer: Answer) -> None:
    """Pairs and a temperature, on paper

    pairs and p_next (2 × 2) of aabaa with one added to each count; warm: 0.9 and 0.1 at the temperature 2.
    """
    answer.on_paper("pairs", [[2, 1], [1, 0]], [
        "Go through the text: aa, ab, ba, aa. Row: the first of the two, column: the second."], {
        "that is the share of each pair; count them": [[0.5, 0.25], [0.25, 0]]})
    answer.on_paper("p_next", [[3 / 5, 2 / 5], [2 / 3, 1 / 3]], [
        "Add one to each count, then divide each row by its sum.", "The first row is (3, 2), the second (2, 1)."], {
        "nothing is added to the counts": [[2 / 3, 1 / 3], [1, 0]],
        "each row sums to 1, not all of it": [[3 / 8, 2 / 8], [2 / 8, 1 / 8]],
        "each row sums to 1, not each column": [[3 / 5, 2 / 3], [2 / 5, 1 / 3]]})
    answer.on_paper("warm", [0.75, 0.25], [
        "Logarithms divided by 2: that is the root of each probability. Then divide by their sum.",
        "The roots of 0.9 and 0.1 are as 3 to 1."], {
        "that is at the temperature 1/2": [81 / 82, 1 / 82],
        "that is halved, and then divided by the sum: it is as before": [0.9, 0.1],
        "those are the roots; divide them by their sum": [0.9 ** 0.5, 0.1 ** 0.5]})


def exercise_2(answer: Answer) -> None:
    """A whole backward, down to the temperature

    head_backward(h, asked, W, b, tau): dh, dW, db, dtau of the mean cross-entropy of softmax((h W + b) / tau) over all N T
    characters. h (N, T, H), asked (N, T) numbers from 0 to K - 1, W (H, K), b (K,), tau a number.
    """
    def check(N: int, T: int, H: int, K: int, tau: float) -> None:
        rng = np.random.default_rng(10 * T + K)
        h, W, b = rng.normal(size=(N, T, H)), rng.normal(size=(H, K)), rng.normal(size=K)
        asked = rng.integers(K, size=(N, T))
        right, wrong = _head_backward(h, asked, W, b, tau)
        result = answer.function("head_backward")(h, asked, W, b, tau)
        expect_all(result, right, wrong, ("dh", "dW", "db", "dtau"), "head_backward", {"dh": ("sample", "step", "unit")},
                   order=("db", "dW", "dh", "dtau"))
    for_each_size(answer, check, [(1, 1, 1, 2, 2.0), (2, 3, 2, 3, 0.5), (3, 4, 2, 5, 1.5)])


def _head_backward(h: np.ndarray, asked: np.ndarray, W: np.ndarray, b: np.ndarray, tau: float
                   ) -> tuple[mistakes.Values, mistakes.Mistakes]:
    (N, T, _), K = h.shape, len(b)
    z = h @ W + b
    p, onehot = softmax(z / tau), np.eye(K)[asked]

    def values(ds: np.ndarray, by_z: float = 1 / tau) -> mistakes.Values:
        dz = by_z * ds
        return {"dh": dz @ W.T, "dW": np.einsum("nth,ntk->hk", h, dz), "db": dz.sum(axis=(0, 1)),
                "dtau": np.asarray(-np.sum(ds * z) / tau ** 2)}

    ds = (p - onehot) / (N * T)
    right = values(ds)
    return right, {
        "the loss is a mean over all characters: divide by N T": values(p - onehot),
        "that is a mean over the samples alone: divide by N T": values((p - onehot) / N),
        "that is a mean over the steps alone: divide by N T": values((p - onehot) / T),
        "the temperature is missing in forward": values((softmax(z) - onehot) / (N * T)),
        "the sign is turned": values(-ds),
        "z is divided by tau, so its gradient is too; that is missing": {
            name: value for name, value in values(ds, 1.0).items() if name != "dtau"},
        "z is divided by tau, so its gradient is too; here it is multiplied": {
            name: value for name, value in values(ds, tau).items() if name != "dtau"},
        "the slope of 1 / tau is -1 / tau²; the square is missing": {"dtau": right["dtau"] * tau},
        "the slope of 1 / tau is -1 / tau²; the sign is missing": {"dtau": -right["dtau"]},
        "the slope of 1 / tau is -1 / tau²; dz has one tau in it already": {"dtau": right["dtau"] / tau}}


def exercise_3(answer: Answer) -> None:
    """A temperature in the wrong place

    The function warmed at the end of the lesson has a bug. Write it right as fixed_warmed(p, tau): the probabilities (N, K) at
    the temperature tau, for probabilities p (N, K).
    """
    p = softmax(np.random.default_rng(5).normal(scale=2.0, size=(3, 4)))
    for tau in (0.5, 2.0):
        expect_close(answer.function("fixed_warmed")(p, tau), softmax(np.log(p) / tau), f"p at the temperature {tau}", {
            "that is still the softmax of the probabilities, which are no scores: take their logarithms": softmax(p / tau),
            "that is as without a temperature: what is divided by tau and then by its sum is as before": p,
            "the temperature is turned round: divide by it": softmax(np.log(p) * tau),
            "the rows do not sum to 1 yet": p ** (1 / tau)}, axes=("sample", "character"))


def exercise_4(answer: Answer) -> None:
    """From 80 % to 60 %

    tau: the temperature at which 0.8 and 0.2 become 0.6 and 0.4.
    """
    tau = float(as_array(answer.array("tau", ()), "tau"))
    if tau <= 0:
        raise Wrong(f"tau is {tau:g}; a temperature is above 0")
    if abs(tau - np.log(4) / np.log(1.5)) > 0.006:
        raise Wrong(f"at the temperature {tau:g} the first has {softmax(np.log([0.8, 0.2]) / tau)[0]:.1%}")
