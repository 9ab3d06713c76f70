"""Checks of lesson 19: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, as_array, expect_all, expect_close, for_each_size
from nblayers.learn.mistakes import softmax, turned

Known = dict[str, np.ndarray]


def _rows(a: np.ndarray) -> np.ndarray:
    return a.reshape(-1, a.shape[-1])


# One head

def turn_s(lesson: SimpleNamespace) -> Known:
    q, k, D = lesson.q, lesson.k, lesson.D
    products = q @ turned(k)
    return {"it is not divided by the root of D": products,
            "that is divided by D; divide by its root": products / D,
            "that is multiplied by the root of D; divide": products * np.sqrt(D),
            "that has the keys in the rows; queries are the rows, keys the columns": turned(products) / np.sqrt(D),
            "that is with the values; a score compares queries and keys": q @ turned(lesson.v) / np.sqrt(D),
            "that is the softmax already": softmax(products / np.sqrt(D))}


def turn_o(lesson: SimpleNamespace) -> Known:
    p, v = lesson.p, lesson.v
    return {"that is with the scores; the weights are p": lesson.s @ v,
            "that is with the keys; the answers are the values": p @ lesson.k,
            "all values count alike here; weigh them by p": np.broadcast_to(v.mean(axis=1, keepdims=True), lesson.o.shape),
            "it is a mean by the weights, which sum to 1 already; do not divide": p @ v / lesson.S}


def turn_dv(lesson: SimpleNamespace) -> Known:
    p, do = lesson.p, lesson.do
    return {"that is with the scores; o = p v": turned(lesson.s) @ do,
            "that is a mean over the queries; what arrives is added up": turned(p) @ do / lesson.T,
            "the samples are added up; each has values of its own":
            np.broadcast_to((turned(p) @ do).sum(axis=0), lesson.v.shape),
            "the weights are missing": np.broadcast_to(do.sum(axis=1, keepdims=True), lesson.v.shape)}


def turn_dp(lesson: SimpleNamespace) -> Known:
    do, v = lesson.do, lesson.v
    return {"that has the keys in the rows; p is (N, T, S)": v @ turned(do),
            "that is with the keys; in o = p v stands v": do @ turned(lesson.k),
            "p is no part of its own gradient": lesson.p * (do @ turned(v))}


def turn_ds(lesson: SimpleNamespace) -> Known:
    p, dp = lesson.p, lesson.dp
    return {"that is the diagonal alone; each score moves all weights of its row": p * dp * (1 - p),
            "the sum runs over the queries; each query has a softmax of its own, over the keys (axis=-1)":
                p * (dp - (dp * p).sum(axis=1, keepdims=True)),
            "the sum runs over everything; each row has its own": p * (dp - (dp * p).sum()),
            "the sum must be that of dp · p, not of dp": p * (dp - dp.sum(axis=-1, keepdims=True)),
            "that takes off the plain mean of dp; it is weighted by p": p * (dp - dp.mean(axis=-1, keepdims=True)),
            "the factor p in front is missing": dp - (dp * p).sum(axis=-1, keepdims=True),
            "the sum is missing": p * dp,
            "the sum is added; it should be taken off": p * (dp + (dp * p).sum(axis=-1, keepdims=True))}


def turn_dq(lesson: SimpleNamespace) -> Known:
    ds, k, D = lesson.ds, lesson.k, lesson.D
    return {"the factor of forward, 1 / sqrt(D), is missing": ds @ k,
            "it is divided by D; the factor of forward is 1 / sqrt(D)": ds @ k / D,
            "that is with the values; beside q stands k": ds @ lesson.v / np.sqrt(D),
            "that is with dp; between dp and q lies the softmax": lesson.dp @ k / np.sqrt(D),
            "that is with p; the gradient of the scores is ds": lesson.p @ k / np.sqrt(D)}


def turn_dk(lesson: SimpleNamespace) -> Known:
    ds, q, D = lesson.ds, lesson.q, lesson.D
    return {"the factor of forward, 1 / sqrt(D), is missing": turned(ds) @ q,
            "it is divided by D; the factor of forward is 1 / sqrt(D)": turned(ds) @ q / D,
            "that is with dp; between dp and k lies the softmax": turned(lesson.dp) @ q / np.sqrt(D),
            "that is what arrives at q": lesson.dq,
            "that is a mean over the queries; what arrives is added up": turned(ds) @ q / np.sqrt(D) / lesson.T,
            "that is with p; the gradient of the scores is ds": turned(lesson.p) @ q / np.sqrt(D)}


def turn_causal(lesson: SimpleNamespace) -> Known:
    steps = np.arange(lesson.steps)
    return {"that lets each look at the future: j <= i, so the key may not be later": steps[:, None] <= steps,
            "a query may look at itself too: j <= i": steps[:, None] > steps,
            "that is the diagonal alone: nobody looks back": steps[:, None] == steps,
            "all may be looked at": np.ones((len(steps), len(steps)), bool)}


def _weights(q: np.ndarray, k: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return softmax(np.where(mask, q @ turned(k) / np.sqrt(q.shape[-1]), -1e9))


def _backward(do: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray, p: np.ndarray
              ) -> tuple[mistakes.Values, mistakes.Mistakes]:
    """q (…, T, D), k and v (…, S, D): the gradients, and those with a mistake."""
    scale = 1 / np.sqrt(q.shape[-1])
    dp = do @ turned(v)

    def values(ds: np.ndarray, factor: float = scale) -> mistakes.Values:
        return {"dq": factor * ds @ k, "dk": factor * turned(ds) @ q}

    right = values(p * (dp - (dp * p).sum(axis=-1, keepdims=True))) | {"dv": turned(p) @ do}
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
    wrong = {
        "the factor 1 / sqrt(D) is missing": values(ds, 1.0),
        "the factor is 1 / sqrt(D), not 1 / D": values(ds, scale ** 2),
        "the softmax is left out on the way back: that is with dp": values(dp),
        "only the diagonal of the softmax is there: p (1 - p) dp": values(p * dp * (1 - p)),
        "the sum in the softmax's backward runs over the queries; it runs over the keys (axis=-1)":
            values(p * (dp - (dp * p).sum(axis=-2, keepdims=True))),
        "the sum in the softmax's backward is missing": values(p * dp),
        "in the softmax's backward p stands in front: p (dp - sum)": values(dp - (dp * p).sum(axis=-1, keepdims=True)),
        "the sum in the softmax's backward is that of dp · p, not of dp": values(p * (dp - dp.sum(axis=-1, keepdims=True)))}
    return right, wrong


def turn_attention_backward(lesson: SimpleNamespace, given: Callable) -> None:
    for before, T, S in (((2,), 2, 3), ((2, 2), 3, 2)):
        rng = np.random.default_rng(T)
        q, do = rng.normal(size=(2, *before, T, 4))
        k, v = rng.normal(size=(2, *before, S, 4))
        p = _weights(q, k, np.ones((T, S), bool))
        right, wrong = _backward(do, q, k, v, p)
        result = given(do.copy(), q.copy(), k.copy(), v.copy(), p.copy())
        expect_all(result, right, wrong, ("dq", "dk", "dv"), "attention_backward", order=("dv", "dq", "dk"))


# Additive attention

def turn_dw(lesson: SimpleNamespace) -> Known:
    ds, t = lesson.ds, lesson.t
    return {"that is summed over the queries and keys of each sample; w serves all samples":
            (ds[..., None] * t).sum(axis=(1, 2)),
            "beside w stands t, the tanh; it is missing": np.full(lesson.D, ds.sum()),
            "that is on the way to q and k; the slope 1 - t² does not belong to w":
            (ds[..., None] * (1 - t ** 2)).sum(axis=(0, 1, 2)),
            "that is a mean; what arrives is added up": (ds[..., None] * t).mean(axis=(0, 1, 2)),
            "w is no part of its own gradient": (ds[..., None] * t * lesson.w).sum(axis=(0, 1, 2))}


def turn_da(lesson: SimpleNamespace) -> Known:
    ds, t, w = lesson.ds[..., None], lesson.t, lesson.w
    return {"w is missing: s = t w": ds * (1 - t ** 2),
            "the slope of the tanh, 1 - t², is missing": ds * w,
            "the slope is 1 - t², not 1 - t": ds * w * (1 - t),
            "t is the tanh already; do not take it again": ds * w * (1 - np.tanh(t) ** 2),
            "ds is missing": np.broadcast_to(w * (1 - t ** 2), t.shape)}


def turn_dk_additive(lesson: SimpleNamespace) -> Known:
    da = lesson.da
    return {"that is what arrives at the queries: a key is asked by all queries, so the sum runs over axis 1": da.sum(axis=2),
            "that is a mean; what arrives is added up": da.mean(axis=1),
            "that is the first query alone": da[:, 0],
            "each sample has keys of its own": np.broadcast_to(da.sum(axis=(0, 1)), lesson.k.shape)}


# Several heads

def turn_merge(lesson: SimpleNamespace, given: Callable) -> None:
    a = np.random.default_rng(1).normal(size=(2, 2, 3, 4))          # (N, H, T, D)
    N, H, T, D = a.shape
    expect_close(given(a.copy()), a.swapaxes(1, 2).reshape(N, T, H * D), "merge(a)", {
        "the heads are not moved back before the reshape, so numbers of different steps are mixed: swapaxes(1, 2) first":
            a.reshape(N, T, H * D),
        "the heads are to lie side by side, not to be added up": a.sum(axis=1),
        "the heads are moved back; now two axes are to be made one": a.swapaxes(1, 2),
        "the numbers of a head lie side by side; here the heads take turns": np.moveaxis(a, 1, 3).reshape(N, T, H * D)},
        axes=("sample", "step"))


def turn_dW_o(lesson: SimpleNamespace) -> Known:
    merged, dy = _rows(lesson.merge(lesson.o)), _rows(lesson.dy)
    return {"that is its transpose: W_o is (in, out)": dy.T @ merged,
            "that is with x; W_o is multiplied by the merged heads": _rows(lesson.x).T @ dy,
            "that is the first sample alone": lesson.merge(lesson.o)[0].T @ lesson.dy[0],
            "one for each sample; W_o serves all of them: a sum": turned(lesson.merge(lesson.o)) @ lesson.dy,
            "the heads are not merged rightly: call merge(o)": lesson.o.reshape(-1, 4).T @ dy}


def turn_do(lesson: SimpleNamespace) -> Known:
    dy, W_o = lesson.dy, lesson.W_o
    return {"the transpose is missing: dy @ W_o.T": lesson.split(dy @ W_o),
            "that is the gradient by merge(o), (N, T, 4); split it into heads": dy @ W_o.T,
            "that is shaped into heads without moving the axes: use split": (dy @ W_o.T).reshape(lesson.o.shape),
            "W_o is left out: y = merge(o) W_o": lesson.split(dy)}


def turn_dW_q(lesson: SimpleNamespace) -> Known:
    x, dq, merge = _rows(lesson.x), lesson.dq, lesson.merge
    return {"that is its transpose: W_q is (in, out)": _rows(merge(dq)).T @ x,
            "the heads are not merged rightly: call merge(dq)": x.T @ dq.reshape(-1, 4),
            "that is dW_k": x.T @ _rows(merge(lesson.dk)),
            "that is dW_v": x.T @ _rows(merge(lesson.dv)),
            "that is the first sample alone": lesson.x[0].T @ merge(dq)[0],
            "one for each sample; W_q serves all of them: a sum": turned(lesson.x) @ merge(dq)}


def turn_dx(lesson: SimpleNamespace) -> Known:
    ways = [lesson.merge(d) @ W.T for d, W in ((lesson.dq, lesson.W_q), (lesson.dk, lesson.W_k), (lesson.dv, lesson.W_v))]
    wrong = {f"the way through the {name} is missing": sum(way for j, way in enumerate(ways) if j != i)
             for i, name in enumerate(("queries", "keys", "values"))}
    return wrong | {"that is the way through the queries alone; x was used three times": ways[0],
                    "the three ways are added, not averaged": sum(ways) / 3,
                    "the transposes of the weights are missing": lesson.merge(lesson.dq) @ lesson.W_q
                    + lesson.merge(lesson.dk) @ lesson.W_k + lesson.merge(lesson.dv) @ lesson.W_v}


def turn_dk_shared(lesson: SimpleNamespace) -> Known:
    d = lesson.dk_repeated
    return {"heads 0 to 3 share a head of keys; that adds up 0, 2, 4, 6": d.reshape(2, 4, 2, 3, 2).sum(axis=1),
            "that is a mean; what arrives is added up": d.reshape(2, 2, 4, 3, 2).mean(axis=2),
            "that is one head out of four; all four are heard": d[:, ::4],
            "all eight are added up; each head of keys hears its own four": np.repeat(d.sum(axis=1, keepdims=True), 2, axis=1)}


# Exercises

def exercise_1(answer: Answer) -> None:
    """One query, on paper

    p (3 numbers), o and ds (3 numbers) for the scores (ln 2, 0, 0), the values (4, 0, 4) and do = 1.
    """
    answer.on_paper("p", [0.5, 0.25, 0.25], [
        "The exponentials of the scores are 2, 1 and 1. What parts of their sum are they?"], {
        "those are the exponentials; divide them by their sum": [2, 1, 1],
        "those are the scores, divided by their sum": [1, 0, 0]})
    answer.on_paper("o", 3, ["a mean of the values, with the weights p"], {
        "that is the sum of the values": 8, "that is their plain mean; weigh them by p": 8 / 3})
    answer.on_paper("ds", [0.5, -0.75, 0.25], [
        "dp is do times the values. Then ds = p (dp - sum of dp · p).", "The sum is what o is."], {
        "that is dp; it still has to pass the softmax": [4, 0, 4],
        "the sum is not taken off": [2, 0, 1],
        "the factor p in front is missing": [1, -3, 1],
        "that is the diagonal alone, p (1 - p) dp": [1, 0, 0.75]})


def exercise_2(answer: Answer) -> None:
    """A whole backward, with batch, heads and mask

    attention_backward(do, q, k, v, mask): dq, dk, dv. do and q (N, H, T, D), k and v (N, S, D), shared by all heads; mask
    (N, T, S), True where a query may look; scores with 1 / sqrt(D).
    """
    def check(N: int, H: int, T: int, S: int, masked: bool) -> None:
        rng = np.random.default_rng(10 * T + S)
        (do, q), (k, v) = rng.normal(size=(2, N, H, T, 3)), rng.normal(size=(2, N, S, 3))
        mask = rng.uniform(size=(N, T, S)) < 0.6 if masked else np.ones((N, T, S), bool)
        mask[:, :, 0] = True
        right, wrong = _shared(do, q, k, v, mask)
        if masked:
            wrong["the mask is not used"] = _shared(do, q, k, v, np.ones_like(mask))[0]
            wrong["the mask is turned round: it is True where a query may look"] = _shared(do, q, k, v, ~mask)[0]
        result = answer.function("attention_backward")(do, q, k, v, mask)
        expect_all(result, right, wrong, ("dq", "dk", "dv"), "attention_backward",
                   {"dq": ("sample", "head", "query"), "dk": ("sample", "key"), "dv": ("sample", "key")},
                   order=("dv", "dq", "dk"))
    for_each_size(answer, check, [(1, 1, 1, 2, False), (2, 2, 3, 2, False), (2, 3, 4, 5, True)])


def _shared(do: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray
            ) -> tuple[mistakes.Values, mistakes.Mistakes]:
    k, v = k[:, None], v[:, None]
    p = _weights(q, k, mask[:, None])
    by_head, wrong = _backward(do, q, k, v, p)
    right = _heard(by_head)
    several = {"all heads share k and v: what arrives at them is summed over the heads":
               {"dk": by_head["dk"], "dv": by_head["dv"]},
               "one head alone is heard; k and v serve all of them": {"dk": by_head["dk"][:, 0], "dv": by_head["dv"][:, 0]},
               "it is a mean over the heads; it should be a sum":
               {"dk": right["dk"] / q.shape[1], "dv": right["dv"] / q.shape[1]}}
    return right, {sentence: _heard(values) for sentence, values in wrong.items()} | several


def _heard(values: mistakes.Values) -> mistakes.Values:
    return {name: value if name == "dq" else value.sum(axis=1) for name, value in values.items()}


def exercise_3(answer: Answer) -> None:
    """A softmax along the wrong axis

    The function score_gradient at the end of the lesson has a bug. Write it right as fixed_score_gradient(p, dp): it returns
    ds (N, T, S), for weights p and what arrives at them.
    """
    rng = np.random.default_rng(3)
    p, dp = softmax(rng.normal(size=(2, 3, 3))), rng.normal(size=(2, 3, 3))
    expect_close(answer.function("fixed_score_gradient")(p, dp), p * (dp - (dp * p).sum(axis=-1, keepdims=True)), "ds", {
        "the sum still runs over the queries; each query has a softmax of its own, over the keys":
            p * (dp - (dp * p).sum(axis=1, keepdims=True)),
        "the sum runs over everything": p * (dp - (dp * p).sum()),
        "the sum runs over the samples": p * (dp - (dp * p).sum(axis=0)),
        "that is the diagonal alone": p * dp * (1 - p)}, axes=("sample", "query", "key"))


def exercise_4(answer: Answer) -> None:
    """How many numbers make a product of 16

    size: D, where the standard deviation of q · k is 16.
    """
    size = float(as_array(answer.array("size", ()), "size"))
    if abs(size - 256) > 0.5:
        raise Wrong(f"with D = {size:g} the standard deviation is {max(size, 0) ** 0.5:.3g}")
