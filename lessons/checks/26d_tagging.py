"""Checks of lesson 26d: its turns and its exercises."""
from collections.abc import Callable
from itertools import product
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, as_array, expect_all, expect_close, for_each_size

Known = dict[str, np.ndarray]


def _log_sum(a: np.ndarray, axis: int) -> np.ndarray:
    return np.logaddexp.reduce(a, axis=axis)


# Forward

def turn_follows(lesson: SimpleNamespace) -> Known:
    A, y = lesson.A, lesson.y
    return {"it is turned round: A[i, j] is from i to j": A[y[:, 1:], y[:, :-1]].sum(axis=1),
            "each sentence has a score of its own: sum over the steps, axis 1": A[y[:, :-1], y[:, 1:]].sum(axis=0),
            "that adds up both sentences": A[y[:, :-1], y[:, 1:]].sum(),
            "the sum over the steps is missing": A[y[:, :-1], y[:, 1:]],
            "those are the transitions from a tag to itself": A[y, y].sum(axis=1),
            "that is a mean; a score is a sum": A[y[:, :-1], y[:, 1:]].mean(axis=1)}


def turn_alpha_1(lesson: SimpleNamespace) -> Known:
    x, A, before = lesson.x, lesson.A, lesson.alpha_0[:, :, None]
    return {"the sum runs over the tags of step 1; it runs over the tags before, axis 1": x[:, 1] + _log_sum(before + A, 2),
            "A is turned round: it is from row to column": x[:, 1] + _log_sum(before + A.T, 1),
            "the emissions of step 1 are missing: x[:, 1]": _log_sum(before + A, 1),
            "those are the emissions of step 0; they are in alpha_0 already": x[:, 0] + _log_sum(before + A, 1),
            "the transitions are missing: alpha_0 + A": x[:, 1] + _log_sum(before + 0 * A, 1),
            "the logarithm is missing behind the sum: alpha is a logarithm": x[:, 1] + np.exp(before + A).sum(axis=1),
            "that is the best way alone; here all ways are added": x[:, 1] + (before + A).max(axis=1),
            "logarithms are added; the sum is over their exponentials": x[:, 1] + (before + A).sum(axis=1)}


def turn_log_z(lesson: SimpleNamespace) -> Known:
    alpha, e = lesson.alpha_2, lesson.e
    return {"the tags at the end have weights too: add e": _log_sum(alpha, 1),
            "that is Z itself; its logarithm is asked for": np.exp(alpha + e).sum(axis=1),
            "the sum runs over the sentences; it runs over the tags, axis 1": _log_sum(alpha + e, 0),
            "that is the best sequence alone; Z sums over all": (alpha + e).max(axis=1),
            "the sum over the tags is missing": alpha + e,
            "b is in alpha_0 already; at the end stands e": _log_sum(alpha + lesson.b, 1)}


# Backward

def turn_mu_2(lesson: SimpleNamespace) -> Known:
    alpha, e, log_z = lesson.alpha_2, lesson.e, lesson.log_z[:, None]
    return {"e is missing, so it does not sum to 1": np.exp(alpha - log_z),
            "log Z is missing: divide by Z": np.exp(alpha + e),
            "that is its logarithm; take the exponential": alpha + e - log_z,
            "it is divided by log Z; divide by Z": np.exp(alpha + e) / log_z,
            "the softmax runs over the sentences; it runs over the tags": np.exp(alpha + e - _log_sum(alpha + e, 0)),
            "that is the softmax of the emissions alone": np.exp(lesson.x[:, 2] - _log_sum(lesson.x[:, 2], 1)[:, None])}


def turn_pairs_2(lesson: SimpleNamespace) -> Known:
    mu, ways, r = lesson.mu_2, lesson.ways_2, lesson.r_2
    return {"mu stands at the tag before; it belongs to the tag that the way leads to: mu_2[:, None]":
            mu[:, :, None] * np.exp(ways - r[:, None]),
            "mu_2 is missing: what arrives at j is shared": np.exp(ways - r[:, None]),
            "the softmax runs over j; the ways to one j share, so it runs over i":
            mu[:, None] * np.exp(ways - _log_sum(ways, 2)[:, :, None]),
            "r stands at the tag before; it belongs to j: r_2[:, None]": mu[:, None] * np.exp(ways - r[:, :, None]),
            "r is missing, so the shares do not sum to 1": mu[:, None] * np.exp(ways),
            "the exponential is missing": mu[:, None] * (ways - r[:, None])}


def turn_mu_1(lesson: SimpleNamespace) -> Known:
    pairs = lesson.pairs_2
    return {"that is mu_2 again: the sum runs over j, the tag that the way leads to, axis 2": pairs.sum(axis=1),
            "that is a mean; probabilities are added": pairs.mean(axis=2),
            "each sentence has its own": pairs.sum(axis=0),
            "that is the best way alone": pairs.max(axis=2)}


def turn_mu(lesson: SimpleNamespace) -> dict[str, Known]:
    pairs, mu = lesson.pairs, lesson.mu
    ends_early, ends_early_pairs = mu.copy(), pairs.copy()
    ends_early[:, 0] = ends_early_pairs[:, 0] = 0
    wrong_sum = mu.copy()
    wrong_sum[:, :-1] = pairs.sum(axis=2)
    mean = mu.copy()
    mean[:, :-1] = pairs.mean(axis=3)
    return {"mu": {"the walk ends before t = 0: reversed(range(T - 1)) has the 0 too": ends_early,
                   "the sum runs over the tag before; it runs over the tag that the way leads to": wrong_sum,
                   "that is a mean; probabilities are added": mean},
            "pairs": {"the walk ends before t = 0: reversed(range(T - 1)) has the 0 too": ends_early_pairs,
                      "from and to are turned round: pairs[n, t, i, j] is from i to j": pairs.swapaxes(2, 3),
                      "mu is missing: what arrives at j is shared": pairs / mu[:, 1:, None]}}


def turn_dx(lesson: SimpleNamespace) -> Known:
    mu, truth, N = lesson.mu, lesson.truth, lesson.N
    return {"the truth is not taken off": mu / N,
            "the sign is turned: probability minus truth": (truth - mu) / N,
            "the loss is the mean over the sentences: divide by N": mu - truth,
            "divide by the number of sentences, not by all steps": (mu - truth) / (N * lesson.T),
            "the truth is divided by N, mu is not": mu - truth / N}


def turn_dA(lesson: SimpleNamespace) -> Known:
    pairs, used, N = lesson.pairs, lesson.used, lesson.N
    total = pairs.sum(axis=(0, 1))
    return {"the truth is not taken off: how often y uses each transition": total / N,
            "the loss is the mean over the sentences: divide by N": total - used,
            "the sign is turned: probability minus truth": (used - total) / N,
            "from and to are turned round": (total - used).T / N,
            "that is a mean over the steps; they are added": (pairs.mean(axis=1).sum(axis=0) - used) / N,
            "that is the last step alone; A stands at all of them": (pairs[:, -1].sum(axis=0) - used) / N,
            "divide by N once, not by the steps too": (total - used) / (N * (lesson.T - 1))}


def turn_db(lesson: SimpleNamespace) -> Known:
    dx = lesson.dx
    return {"b stands at the first step alone": dx.sum(axis=(0, 1)),
            "that is de: e stands at the last step, b at the first": dx[:, -1].sum(axis=0),
            "all sentences share b: a sum over them is missing": dx[:, 0],
            "N is in dx already; here it is a sum": dx[:, 0].mean(axis=0),
            "the truth is not taken off": lesson.mu[:, 0].sum(axis=0) / lesson.N}


# The best sequence

def turn_source_1(lesson: SimpleNamespace) -> Known:
    ways = lesson.ways
    return {"that is the best tag to go to; asked is the one before it: axis 1": ways.argmax(axis=2),
            "those are the scores; asked are the places where they are largest": ways.max(axis=1),
            "that is where the worst way comes from": ways.argmin(axis=1),
            "that compares the sentences": ways.argmax(axis=0)}


def turn_best_1(lesson: SimpleNamespace) -> Known:
    x, ways = lesson.x, lesson.ways
    return {"the emissions of step 1 are missing: x[:, 1]": ways.max(axis=1),
            "the largest is taken over the tags of step 1; it is over the tags before, axis 1": x[:, 1] + ways.max(axis=2),
            "that is alpha_1: it sums over the ways; here the best one counts": lesson.alpha_1,
            "those are the emissions of step 0; they are in ways already": x[:, 0] + ways.max(axis=1)}


def _best(x: np.ndarray, A: np.ndarray, b: np.ndarray, e: np.ndarray, mistake: str = "") -> np.ndarray:
    """The best sequences (N, T) of x (N, T, U), with one mistake."""
    best, sources = b + x[:, 0], []
    if mistake == "no b":
        best = x[:, 0]
    for t in range(1, x.shape[1]):
        ways = best[:, :, None] + (A.T if mistake == "A" else A)
        sources.append(ways.argmax(axis=2 if mistake == "to" else 1))
        best = x[:, t] + ways.max(axis=1)
    tags = [(best if mistake == "no e" else best + e).argmax(axis=1)]
    for source in sources if mistake == "order" else sources[::-1]:
        tags.insert(0, source[np.arange(len(x)), tags[0]])
    return np.stack(tags[::-1] if mistake == "backwards" else tags, axis=1)


_OF_DECODE = {"to": "each tag remembers the best tag to go to; it should remember the one before it",
              "order": "the sources are followed from the first; begin with the last step's",
              "backwards": "the tags stand from the last to the first; turn them round",
              "no e": "e is missing at the end", "no b": "b is missing at step 0",
              "A": "A is turned round: it is from row to column"}


def _sentences(N: int, T: int, U: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 2 * rng.normal(size=(N, T, U)), 3 * rng.normal(size=(U, U)), 3 * rng.normal(size=U), 3 * rng.normal(size=U)


def turn_decode(lesson: SimpleNamespace, given: Callable) -> None:
    weights = _sentences(4, 6, 3, 1)
    wrong = {sentence: _best(*weights, mistake) for mistake, sentence in _OF_DECODE.items()}
    alone = {"that is the best tag of each step by its emissions alone": weights[0].argmax(axis=2)}
    expect_close(given(*(each.copy() for each in weights)), _best(*weights), "decode(x, A, b, e)", wrong | alone,
                 axes=("sentence", "step"))


# The task

def turn_cards_right(lesson: SimpleNamespace, given: Callable) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(8, size=(20, 8))
    real = np.arange(8) < rng.integers(1, 9, size=20)[:, None]
    told = np.where(rng.random((20, 8)) < 0.15, 0, truth)
    told[~real] = 7
    right = told == truth
    expect_close(given(told.copy(), truth.copy(), real.copy()), np.mean(np.all(right | ~real, axis=1)), "cards_right", {
        "padding counts: a step that is not real cannot be wrong": np.mean(np.all(right, axis=1)),
        "that is the part of the words; a card is right if all its words are": np.mean(right[real]),
        "that is the part of the words, padding and all": np.mean(right),
        "a card is right if ALL its words are, not if one is": np.mean(np.any(right & real, axis=1)),
        "that is the number of cards; divide by all": np.sum(np.all(right | ~real, axis=1))})


# Exercises

def exercise_1(answer: Answer) -> None:
    """Two steps, on paper

    Z, p and mu_0 (2 numbers) for x = 0, b = e = 0, e^A = 1, 3 / 2, 1 and the tags (0, 1).
    """
    answer.on_paper("Z", 7, ["There are four sequences of two tags. What is e to the power of each one's score?"], {
        "that is the probability's other part, e^s of (0, 1); add those of all four": 3,
        "the four are added, not multiplied": 6})
    answer.on_paper("p", 3 / 7, ["e^s of the sequence (0, 1), divided by Z"], {
        "that is from tag 1 to tag 0; A is from row to column": 2 / 7,
        "that is the softmax of its row; the softmax is over all sequences": 3 / 4,
        "that is e^s; divide it by Z": 3})
    answer.on_paper("mu_0", [4 / 7, 3 / 7], ["Tag 0 at step 0: which sequences begin with it?"], {
        "those are the probabilities at step 1; from row to column": [3 / 7, 4 / 7],
        "divide by Z": [4, 3]})


def _gradient(x: np.ndarray, A: np.ndarray, b: np.ndarray, e: np.ndarray, y: np.ndarray, mistake: str = "") -> mistakes.Values:
    """The gradient of the mean loss from all sequences, one by one; with one mistake."""
    N, T, U = x.shape
    dx, dA = np.zeros_like(x), np.zeros_like(A)
    for n in range(N):
        sequences = np.array(list(product(range(U), repeat=T)))
        scores = (0 if mistake == "no b" else b[sequences[:, 0]]) + x[n, np.arange(T), sequences].sum(axis=1)
        scores = scores + A[sequences[:, :-1], sequences[:, 1:]].sum(axis=1)
        scores = scores + (0 if mistake == "no e" else e[sequences[:, -1]])
        p = np.exp(scores - _log_sum(scores, 0))
        for sequence, part in [*zip(sequences, p, strict=True), *([(y[n], -1)] if mistake != "no truth" else [])]:
            dx[n, np.arange(T), sequence] += part
            np.add.at(dA, (sequence[:-1], sequence[1:]), part)
    if mistake != "no mean":
        dx, dA = dx / N, dA / N
    return {"dx": dx, "dA": dA, "db": dx[:, 0].sum(axis=0), "de": dx[:, -1].sum(axis=0)}


def exercise_2(answer: Answer) -> None:
    """The whole gradient, with a batch axis

    crf_gradient(x, A, b, e, y): dx, dA, db, de of the mean loss. x (N, T, U), A (U, U), b and e (U,), y (N, T).
    """
    def check(N: int, T: int, U: int) -> None:
        x, A, b, e = (each / 2 for each in _sentences(N, T, U, N + T))
        y = np.random.default_rng(T).integers(U, size=(N, T))
        right = _gradient(x, A, b, e, y)
        wrong = {sentence: _gradient(x, A, b, e, y, mistake) for mistake, sentence in {
            "no truth": "the truth is not taken off", "no mean": "the loss is a mean over the sentences: divide by N",
            "no b": "b is missing in alpha_0", "no e": "e is missing at the end"}.items()}
        wrong |= {"the sign is turned: probability minus truth": {name: -value for name, value in right.items()},
                  "dA is turned round: from row to column": {"dA": right["dA"].T},
                  "b stands at the first step alone": {"db": right["dx"].sum(axis=(0, 1))},
                  "e stands at the last step alone": {"de": right["dx"].sum(axis=(0, 1))},
                  "db and de are swapped": {"db": right["de"], "de": right["db"]}}
        expect_all(answer.function("crf_gradient")(x, A, b, e, y), right, wrong, ("dx", "dA", "db", "de"), "crf_gradient",
                   {"dx": ("sentence", "step", "tag"), "dA": ("tag", "tag after"), "db": ("tag",), "de": ("tag",)})
    for_each_size(answer, check, [(1, 1, 2), (1, 2, 2), (2, 4, 3)])


def exercise_3(answer: Answer) -> None:
    """Where the best way comes from

    The function best_tags at the end of the lesson has a bug. Write it right as fixed_best_tags(x, A, b, e), for one sentence,
    x (T, U). It returns (T,) tags.
    """
    x, A, b, e = _sentences(4, 6, 3, 1)
    function = answer.function("fixed_best_tags")
    wrong = {sentence: _best(x, A, b, e, mistake) for mistake, sentence in _OF_DECODE.items() if mistake != "to"}
    wrong["each tag still remembers the best tag to go to; it should remember the one before"] = _best(x, A, b, e, "to")
    tags = [as_array(function(one, A, b, e), "the result", (6,)) for one in x]
    expect_close(tags, _best(x, A, b, e), "the tags of four sentences", wrong, axes=("sentence", "step"))


def exercise_4(answer: Answer) -> None:
    """Without logarithms

    longest: the largest T for which np.float64(8) ** T is finite. longest_32: the same for np.float32(8).
    """
    for name, kind, bits in (("longest", np.float64, 1024), ("longest_32", np.float32, 128)):
        steps = float(as_array(answer.array(name, ()), name))
        if steps != (bits - 1) // 3:
            with np.errstate(over="ignore"):
                now, more = (np.isfinite(kind(8) ** kind(T)) for T in (steps, steps + 1))
            raise Wrong(f"{name}: with {steps:g} steps Z is {'finite' if now else 'infinite'}"
                        f"{', but with one more too' if now and more else ''}")
