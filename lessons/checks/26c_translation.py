"""Checks of lesson 26c: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, as_array, expect_all, expect_close, for_each_size
from nblayers.learn.mistakes import softmax, turned

Known = dict[str, np.ndarray]


# Forward

def turn_s(lesson: SimpleNamespace) -> Known:
    q, h, mask = lesson.q, lesson.h, lesson.mask
    s = q @ turned(h)
    return {"that has what was read in the rows; what is written are the rows: q in front": turned(s),
            "nothing is divided here; Keras' Attention has no root": s / np.sqrt(lesson.H),
            "that is the softmax already": softmax(s),
            "the mask comes in the next step": np.where(mask[:, None], s, -1e9)}


def turn_p(lesson: SimpleNamespace) -> Known:
    s, mask = lesson.s, lesson.mask[:, None]
    return {"padding gets a weight: the mask is missing": softmax(s),
            "the mask comes before the softmax; so the weights that are left do not sum to 1": softmax(s) * mask,
            "a score of 0 is not small: e^0 = 1; put -1e9 there": softmax(np.where(mask, s, 0)),
            "the mask is turned round: it is True where there is a character": softmax(np.where(mask, -1e9, s)),
            "the softmax runs over what was read, along the last axis": softmax(np.where(mask, s, -1e9), axis=1),
            "those are the scores, with the mask; the softmax is missing": np.where(mask, s, -1e9)}


def turn_c(lesson: SimpleNamespace) -> Known:
    p, h, s = lesson.p, lesson.h, lesson.s
    return {"that is with the scores; the weights are p": s @ h,
            "all states count alike here; weigh them by p": np.broadcast_to(h.mean(axis=1, keepdims=True), lesson.c.shape),
            "that is a mean of the decoder's states; it looks at h": turned(p) @ lesson.q,
            "the weights sum to 1 already; do not divide": p @ h / lesson.S}


def turn_loss(lesson: SimpleNamespace) -> dict[str, float]:
    of_right = np.sum(lesson.onehot * lesson.y_hat, axis=2)
    return {"that is the sum; divide by the number of characters": -np.log(of_right).sum(),
            "that is divided by the samples alone; each has T characters": -np.log(of_right).sum() / lesson.N,
            "the sign is turned: a logarithm of a probability is below 0": np.log(of_right).mean(),
            "that is divided by K too; only the right character counts, so divide by N T":
                -np.log(of_right).mean() / lesson.K,
            "that is the logarithm of the mean; take the mean of the logarithms": -np.log(of_right.mean()),
            "that is in bits; the loss has the natural logarithm": -np.log2(of_right).mean()}


# Backward

def turn_dz(lesson: SimpleNamespace) -> Known:
    y_hat, onehot, N, T, K = lesson.y_hat, lesson.onehot, lesson.N, lesson.T, lesson.K
    return {"the loss is a mean over all characters: divide by N T": y_hat - onehot,
            "that is divided by N or by T alone; the mean is over all characters, N T": (y_hat - onehot) / N,
            "K is no part of the mean: divide by N T": (y_hat - onehot) / (N * T * K),
            "the sign is wrong: with more of z at the right character the loss falls": (onehot - y_hat) / (N * T),
            "that is the gradient by the probabilities; dz has gone through the softmax": -onehot / y_hat / (N * T),
            "at the right character 1 is taken off": y_hat / (N * T)}


def turn_dc(lesson: SimpleNamespace) -> Known:
    du, H = lesson.du, lesson.H
    return {"that is the half of q; c is the second one": du[..., :H],
            "that is for both; c is the second half": du,
            "that takes the columns in turns; the numbers of c stand side by side": du[..., 1::2],
            "the halves are not added: c stands in the second one alone": du[..., :H] + du[..., H:]}


def turn_ds(lesson: SimpleNamespace) -> Known:
    p, dp = lesson.p, lesson.dp
    return {"the softmax is left out: that is dp": dp,
            "the sum is missing": p * dp,
            "that is the diagonal alone, p (1 - p) dp": p * (1 - p) * dp,
            "the sum runs over what is written; each row is a softmax of its own, along the last axis":
                p * (dp - (dp * p).sum(axis=1, keepdims=True)),
            "the factor p in front is missing": dp - (dp * p).sum(axis=-1, keepdims=True),
            "the sum is taken off, not added": p * (dp + (dp * p).sum(axis=-1, keepdims=True)),
            "the sum is that of dp · p, not of dp": p * (dp - dp.sum(axis=-1, keepdims=True))}


def turn_dq(lesson: SimpleNamespace) -> Known:
    du, ds, h, H = lesson.du, lesson.ds, lesson.h, lesson.H
    return {"that is the way through the score alone; q stands in u too": ds @ h,
            "that is the way through u alone; q stands in the score too": du[..., :H],
            "that is the half of c; q is the first one": du[..., H:] + ds @ h,
            "that is with p; what arrives at the scores is ds": du[..., :H] + lesson.p @ h,
            "between dp and q lies the softmax: take ds": du[..., :H] + lesson.dp @ h}


def turn_dh(lesson: SimpleNamespace) -> Known:
    p, dc, ds, q = lesson.p, lesson.dc, lesson.ds, lesson.q
    value, key = turned(p) @ dc, turned(ds) @ q
    return {"that is h as an answer alone; it is a key too, in the score": value,
            "that is h as a key alone; it is an answer too, in the context": key,
            "what arrives in two ways is added up; that is their mean": (value + key) / 2,
            "between dp and h lies the softmax: take ds": value + turned(lesson.dp) @ q,
            "p and ds have changed places": turned(ds) @ dc + turned(p) @ q}


# The program

def turn_told(lesson: SimpleNamespace) -> Known:
    y, start = lesson.y, lesson.START
    return {"that is not shifted: it is told what it has to write": y,
            "that is shifted the wrong way: it is told the character after": np.insert(y[:, 1:], 3, start, axis=1),
            "in front stands START; 0 is a character, the digit 0": np.insert(y[:, :-1], 0, 0, axis=1),
            "the last character is told to nobody; leave it out": np.insert(y, 0, start, axis=1),
            "the last character has come round to the front; there START should stand": np.roll(y, 1, axis=1)}


class _Reads:
    """In the place of an encoder model: what it gives is made of the text alone."""

    def __init__(self, keys: bool) -> None:
        self.keys = keys

    def predict(self, x: np.ndarray, verbose: Any = 0) -> list[np.ndarray]:
        more = [np.cos(x[..., None] + np.arange(2.0))] if self.keys else []
        return [np.sin(x[:, :2] * 1.0), np.cos(x[:, :2] * 1.0), *more]


class _Writes:
    """In the place of a decoder model: its answer, one of 12 characters, depends on all that it is given."""

    def __init__(self) -> None:
        self.weights = np.random.default_rng(26).normal(size=(8, 12))

    def predict(self, given: list[np.ndarray], verbose: Any = 0) -> list[np.ndarray]:
        if not isinstance(given, (list, tuple)) or len(given) < 3:
            raise Wrong("decoder.predict should be given a list: [told, h, C, *keys]")
        told, h, C, *keys = given
        if np.shape(told) != (len(h), 1):
            raise Wrong(f"told should be (N, 1), ({len(h)}, 1) here, but it is {np.shape(told)}")
        h = np.tanh(1.7 * h + np.sin(told * 1.0) + C)
        C = np.cos(3 * C + h)
        looked = keys[0].mean(axis=1) if keys else np.zeros_like(h)
        seen = np.concatenate([h, C, looked, np.sin(told * 2.0), np.cos(told * 1.0)], axis=1)
        p = softmax(5 * seen @ self.weights)
        return [p[:, None], h, C]


def _written(start: int, keys: bool, x: np.ndarray, steps: int, mistake: str = "") -> np.ndarray:
    decoder = _Writes()
    h, C, *more = _Reads(keys).predict(x)
    told = np.full((len(x), 1), start)
    found = []
    for _ in range(steps):
        p, h_new, C_new = decoder.predict([told, h, C, *more])
        if mistake != "states":
            h, C = h_new, (C if mistake == "cell" else C_new)
        character = (p.argmin if mistake == "least" else p.argmax)(axis=2)
        told = told if mistake == "told" else character
        found.append(character)
    return np.concatenate(found, axis=1)


def turn_translate(lesson: SimpleNamespace, given: Callable) -> None:
    x = np.random.default_rng(3).integers(1, 40, size=(5, 4))
    for keys in (True, False):
        right = _written(lesson.START, keys, x, 6)
        wrong = {"the states are not handed on: h and C of each step go into the next one": "states",
                 "C is not handed on; h alone is": "cell",
                 "it is told START at each step; tell it the character that it has just written": "told",
                 "those are the least probable characters": "least"}
        known = {sentence: _written(lesson.START, keys, x, 6, mistake) for sentence, mistake in wrong.items()}
        known["the first told is START, not 0, which is a digit"] = _written(0, keys, x, 6)
        known["the first character is missing: what the first step writes belongs to it"] = _written(
            lesson.START, keys, x, 7)[:, 1:]
        expect_close(given(_Reads(keys), _Writes(), x.copy(), 6), right, "translate(encoder, decoder, x, 6)", known,
                     axes=("sample", "step"))


def turn_whole(lesson: SimpleNamespace) -> dict[str, float]:
    right = lesson.written == lesson.truth
    return {"that is the share of the characters; a date counts if all of its characters are right": right.mean(),
            "that is the number of right dates; what share of all is it?": right.all(axis=1).sum(),
            "that is the share of the dates with a mistake": 1 - right.all(axis=1).mean(),
            "that counts a date if any of its characters is right": right.any(axis=1).mean(),
            "that goes down the columns: how many places are right in all dates": right.all(axis=0).mean()}


# Exercises

def exercise_1(answer: Answer) -> None:
    """One look, on paper

    p (2 numbers), c (2 numbers), ds (2 numbers) and dh (2 × 2, both ways) for h = ((2, 1), (0, 1)), q = (0, 1), dc = (4, 0).
    """
    answer.on_paper("p", [0.5, 0.5], [
        "The scores are the products q · h of the two states.", "Both scores are 1."], {
        "those are the scores; the softmax is missing": [1, 1]})
    answer.on_paper("c", [1, 1], ["the mean of the two states, with the weights p"], {
        "that is the sum of the states; weigh them by p": [2, 2]})
    answer.on_paper("ds", [2, -2], [
        "dp is the product dc · h of each state. Then ds = p (dp - sum of dp · p).", "dp is (8, 0), and the sum is 4."], {
        "that is dp; it still has to pass the softmax": [8, 0],
        "the sum is not taken off": [4, 0],
        "the factor p in front is missing": [4, -4]})
    answer.on_paper("dh", [[2, 2], [2, -2]], [
        "Each state is an answer, which gets p dc, and a key, which gets ds q. Write a row for each state."], {
        "that is the state as an answer alone": [[2, 0], [2, 0]],
        "that is the state as a key alone": [[0, 2], [0, -2]]})


def exercise_2(answer: Answer) -> None:
    """A whole backward, from the logits to both networks

    look_backward(dz, q, h, mask, W): dq, dh, dW, db for z = [q, c] W + b, with c the mean of h by the softmax of q hᵀ. dz
    (N, T, K), q (N, T, H), h (N, S, H), mask (N, S) True where something was read, W (2H, K).
    """
    def check(N: int, T: int, S: int, H: int, K: int, masked: bool) -> None:
        rng = np.random.default_rng(10 * T + S)
        dz, q, h = rng.normal(size=(N, T, K)), rng.normal(size=(N, T, H)), rng.normal(size=(N, S, H))
        W = rng.normal(size=(2 * H, K))
        mask = rng.uniform(size=(N, S)) < 0.6 if masked else np.ones((N, S), bool)
        mask[:, 0] = True
        right, wrong = _look_backward(dz, q, h, mask, W)
        if masked:
            wrong["the mask is not used"] = _look_backward(dz, q, h, np.ones_like(mask), W)[0]
            wrong["the mask is turned round: it is True where something was read"] = _look_backward(dz, q, h, ~mask, W)[0]
        expect_all(answer.function("look_backward")(dz, q, h, mask, W), right, wrong, ("dq", "dh", "dW", "db"),
                   "look_backward", {"dq": ("sample", "written", "unit"), "dh": ("sample", "read", "unit")},
                   order=("db", "dW", "dq", "dh"))
    for_each_size(answer, check, [(1, 1, 2, 1, 2, False), (2, 3, 2, 2, 3, False), (2, 3, 4, 2, 5, True)])


def _look_backward(dz: np.ndarray, q: np.ndarray, h: np.ndarray, mask: np.ndarray, W: np.ndarray
                   ) -> tuple[mistakes.Values, mistakes.Mistakes]:
    H = q.shape[2]
    p = softmax(np.where(mask[:, None], q @ turned(h), -1e9))
    u = np.concatenate([q, p @ h], axis=2)
    du = dz @ W.T
    dc = du[..., H:]
    dp = dc @ turned(h)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    direct, by_value = du[..., :H], turned(p) @ dc

    def by_score(ds: np.ndarray) -> mistakes.Values:
        return {"dq": direct + ds @ h, "dh": by_value + turned(ds) @ q}

    dW = np.einsum("ntu,ntk->uk", u, dz)
    right = by_score(ds) | {"dW": dW, "db": dz.sum(axis=(0, 1))}
    return right, {
        "the way through the score is missing: q and h stand there too": by_score(np.zeros_like(ds)),
        "q stands in u itself too, beside c": {"dq": ds @ h},
        "h is an answer too, in c = p h": {"dh": turned(ds) @ q},
        "the softmax is left out on the way back: that is with dp": by_score(dp),
        "the sum in the softmax's backward is missing": by_score(p * dp),
        "the sum in the softmax's backward runs over what is written; it runs over what was read (axis=-1)":
            by_score(p * (dp - (dp * p).sum(axis=1, keepdims=True))),
        "the halves of du have changed places: q is the first, c the second": {
            "dq": dc + ds @ h},
        "it is a mean over the samples; it should be a sum": {"dW": dW / len(q), "db": dz.sum(axis=1).mean(axis=0)},
        "one for each sample; the weights serve all of them: a sum": {"dW": turned(u) @ dz, "db": dz.sum(axis=1)}}


def exercise_3(answer: Answer) -> None:
    """It loses the thread

    The function write at the end of the lesson has a bug. Write it right as fixed_write(decoder, h, C, start, steps): the
    characters written, (N, steps). decoder(told, h, C) gives probabilities (N, K), the new h, the new C; start is (N,).
    """
    x = np.random.default_rng(4).integers(1, 40, size=(4, 3))
    h, C = _Reads(False).predict(x)
    model = _Writes()

    def decoder(told: np.ndarray, h: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        p, h, C = model.predict([told[:, None], h, C])
        return p[:, 0], h, C

    expect_close(answer.function("fixed_write")(decoder, h, C, np.full(4, 11), 6), _written(11, False, x, 6),
                 "what is written", {
        "the new h and C are still thrown away: each step begins where the first one did": _written(11, False, x, 6, "states"),
        "C is still thrown away; h alone is handed on": _written(11, False, x, 6, "cell"),
        "it is told the start at each step": _written(11, False, x, 6, "told")}, axes=("sample", "step"))


def exercise_4(answer: Answer) -> None:
    """How sure each character has to be

    share: the share of right characters with which 99 % of the dates of ten characters are right as a whole.
    """
    share = float(as_array(answer.array("share", ()), "share"))
    if share > 1:
        raise Wrong(f"share is {share:g}; a share is between 0 and 1")
    if abs(share - 0.99 ** 0.1) > 6e-5:
        raise Wrong(f"with {share:g} of the characters right, {max(share, 0) ** 10:.1%} of the dates are")
