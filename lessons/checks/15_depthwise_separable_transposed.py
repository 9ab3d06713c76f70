"""Checks of lesson 15: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size, returned

Known = dict[str, np.ndarray]
APART = ("the outputs lie in the other order: those of one channel are side by side, number j of channel c is c M + j, "
         "but here it is taken for j C + c")


def _depthwise(x: np.ndarray, W: np.ndarray, dh: np.ndarray, mistake: str = "") -> mistakes.Values:
    """dx (N, T, C) and dW (K, C, M) for dh (N, places, C, M)."""
    dx, dW = np.zeros_like(x), np.zeros_like(W)
    K, C, _ = W.shape
    for i, k, c in np.ndindex(dh.shape[1], K, C):
        m = k if mistake == "stands still" else i + k
        tap = K - 1 - k if mistake == "turned" else k
        seen = x[:, m].sum(axis=1) if mistake == "mixes" else x[:, m, c]
        sent = dh[:, i, c] @ W[tap, c]
        if mistake == "first window" and i > 0:
            continue
        if mistake == "overwrites":
            dx[:, m, c] = sent
            dW[k, c] = seen @ dh[:, i, c]
        elif mistake == "mixes":
            dx[:, m] += sent[:, None]
            dW[k, c] += seen @ dh[:, i, c]
        else:
            dx[:, m, c] += sent
            dW[tap, c] += seen @ dh[:, i, c]
    return {"dx": dx, "dW": dW}


DEPTHWISE = {
    "overwrites": "only the last window counts where there are several; what they give is added up (`+=`)",
    "mixes": "the channels are mixed; channel c hears only of its own outputs",
    "turned": "the taps are counted backwards: tap k of window i lies on i + k",
    "stands still": "the window does not move: tap k of window i lies on i + k",
    "first window": "that is window 0 alone; there are three",
}


def _of_depthwise(x: np.ndarray, W: np.ndarray, dh: np.ndarray, name: str) -> Known:
    """Wrong numbers of dx or dW by sentence, for dh (N, places, C, M)."""
    right = _depthwise(x, W, dh)[name]
    N, places, C, M = dh.shape
    other = dh.reshape(N, places, M, C).swapaxes(2, 3)
    known = {sentence: _depthwise(x, W, dh, mistake)[name] for mistake, sentence in DEPTHWISE.items()}
    known[APART] = _depthwise(x, W, other)[name]
    if name == "dW":
        known["only the last sample counts in it; all samples have the same W"] = _depthwise(x[-1:], W, dh[-1:])["dW"]
        known["it is divided by the number of samples; a mean is the loss's affair, here it is a sum"] = right / N
    else:
        first = np.zeros_like(dh)
        first[..., 0] = dh[..., 0]
        known["only the first output of each channel counts in it; a channel has M of them"] = _depthwise(x, W, first)["dx"]
        known["the samples are added up; each keeps its own dx"] = np.broadcast_to(right.sum(axis=0), right.shape).copy()
    return mistakes.distinct(known, right)


# Depthwise

def turn_one_channel(lesson: SimpleNamespace) -> Known:
    x, W = lesson.x, lesson.W
    return mistakes.distinct({
        "that is channel 1": x[:, 0:2, 1] @ W[:, 1],
        "the input is of channel 0, the window of channel 1": x[:, 0:2, 0] @ W[:, 1],
        "that is the first output alone; a channel has M windows": x[:, 0:2, 0] @ W[:, 0, 0],
        "that is tap 0 with all channels; the window of a channel is W[:, c]": x[:, 0:2, 0] @ W[0],
        "that adds up the channels, as an ordinary convolution does; channel 0 stays by itself":
            np.einsum("nkc,kcj->nj", x[:, 0:2], W),
        "that is window 1": x[:, 1:3, 0] @ W[:, 0],
        "the taps are counted backwards: tap k lies on place k": x[:, 0:2, 0] @ W[::-1, 0]}, lesson.one_channel)


def turn_h_apart(lesson: SimpleNamespace) -> Known:
    x, W, right = lesson.x, lesson.W, lesson.h_apart
    windows = np.stack([x[:, i:i + 2] for i in range(3)], axis=1)       # (N, places, K, C)
    return mistakes.distinct({
        "the channels are added up, as in an ordinary convolution; each channel stays by itself":
            np.repeat(np.einsum("nikc,kcj->nij", windows, W)[:, :, None], 2, axis=2),
        "all channels have the windows of channel 0; channel c has W[:, c]": np.einsum("nikc,kj->nicj", windows, W[:, 0]),
        "all outputs see channel 0; channel c sees x[:, i:i + 2, c]": np.einsum("nik,kcj->nicj", windows[..., 0], W),
        "the window does not move: window i lies on x[:, i:i + 2]": np.repeat(right[:, :1], 3, axis=1),
        "only the last place is filled": np.where(np.arange(3)[:, None, None] == 2, right, 0),
        "the taps are counted backwards": np.einsum("nikc,kcj->nicj", windows, W[::-1])}, right)


def turn_dh_apart(lesson: SimpleNamespace) -> Known:
    dh = lesson.dh
    return mistakes.distinct({
        APART: dh.reshape(2, 3, 2, 2).swapaxes(2, 3),
        "places and channels have changed places; dh_apart is (N, places, C, M)": dh.reshape(2, 3, 2, 2).swapaxes(1, 2),
        "that is dh as it was; its last axis becomes two": dh,
        "the M outputs are added up; they stay apart": dh.reshape(2, 3, 2, 2).sum(axis=3)}, lesson.dh_apart)


def turn_dW(lesson: SimpleNamespace) -> Known:
    return _of_depthwise(lesson.x, lesson.W, lesson.dh_apart, "dW")


def turn_dx(lesson: SimpleNamespace) -> Known:
    return _of_depthwise(lesson.x, lesson.W, lesson.dh_apart, "dx")


def turn_depthwise_backward(lesson: SimpleNamespace, given: Callable) -> None:
    rng = np.random.default_rng(15)
    x, W, dh = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 4, 6))
    dx, dW = returned(given(x.copy(), W.copy(), dh.copy()), "depthwise_backward", "dx", "dW")
    if np.shape(dx) == W.shape and np.shape(dW) == x.shape:
        raise Wrong("first dx, (N, T, C), then dW, (K, C, M); these two have changed places")
    _compare_depthwise(dx, dW, x, W, dh)


def _compare_depthwise(dx: object, dW: object, x: np.ndarray, W: np.ndarray, dh: np.ndarray) -> None:
    apart = dh.reshape(*dh.shape[:2], *W.shape[1:])
    right = _depthwise(x, W, apart)
    expect_close(dW, right["dW"], "dW", _of_depthwise(x, W, apart, "dW"), axes=("tap", "channel", "output"))
    expect_close(dx, right["dx"], "dx", _of_depthwise(x, W, apart, "dx"), axes=("sample", "place", "channel"))


# Separable

def turn_y(lesson: SimpleNamespace) -> Known:
    h, V, right = lesson.h, lesson.V, lesson.y
    return mistakes.distinct({
        "the second stage is the same at all places: here only place 0 is right": np.repeat(right[:, :1], 3, axis=1),
        "the places are added up; each keeps its own output": right.sum(axis=1),
        "the samples are added up; each keeps its own output": right.sum(axis=0),
        "h has its channels in the other order: those of one channel lie side by side":
            h.reshape(2, 3, 2, 2).swapaxes(2, 3).reshape(2, 3, 4) @ V}, right)


def turn_dV(lesson: SimpleNamespace) -> Known:
    h, dy, right = lesson.h, lesson.dy, lesson.dV
    return mistakes.distinct({
        "the sum over the samples is missing; all samples have the same V": np.einsum("nie,nif->nef", h, dy),
        "the sum over the places is missing; all places have the same V": np.einsum("nie,nif->ief", h, dy),
        "only the last place counts in it; all places have the same V": h[:, -1].T @ dy[:, -1],
        "only the last sample counts in it; all samples have the same V": h[-1].T @ dy[-1],
        "it is the transpose of what it should be; dV has the shape of V": right.T,
        "it is a mean over samples and places; a weight's gradient is the sum": right / 6,
        "it is divided by the number of samples; a mean is the loss's affair, here it is a sum": right / 2,
        "sums over samples and places are taken one by one; each h belongs to the dy of its own sample and place":
            np.outer(h.sum(axis=(0, 1)), dy.sum(axis=(0, 1)))}, right)


def turn_dh(lesson: SimpleNamespace) -> Known:
    dy, V, right = lesson.dy, lesson.V, lesson.dh
    return mistakes.distinct({
        "that is made with y; what comes back is dy": lesson.y @ V.T,
        "the samples are added up; each keeps its own dh": right.sum(axis=0),
        "the places are added up; each keeps its own dh": right.sum(axis=1),
        "the sign is wrong": -dy @ V.T}, right)


def turn_together(lesson: SimpleNamespace) -> Known:
    W, V, right = lesson.W, lesson.V, lesson.together
    return mistakes.distinct({
        "all channels have the weights of channel 0: V[2 * c:2 * c + 2] is of channel c": np.einsum("kcj,jf->kcf", W, V[:2]),
        "the rows of V are taken in the other order: those of one channel lie side by side, from 2 c on":
            np.einsum("kcj,jcf->kcf", W, V.reshape(2, 2, 3)),
        "only the way by the first output is there; there are M ways, and they add up":
            np.einsum("kc,cf->kcf", W[..., 0], V[::2]),
        "only channel 1 is filled": np.where(np.arange(2)[:, None] == 1, right, 0)}, right)


# Transposed

def turn_length(lesson: SimpleNamespace) -> dict[str, int]:
    return {"that is without the last window's width: it begins at (T - 1) s and is K wide": 4,
            "so many were needed if no windows overlapped": 9,
            "that is without the stride": 5,
            "that is T s, what `same` padding leaves; here all is kept": 6}


def _lay(x: np.ndarray, W: np.ndarray, stride: int = 2) -> np.ndarray:
    y = np.zeros((len(x), 7))
    for i in range(3):
        y[:, i * stride:i * stride + 3] += x[:, i, None] * W
    return y


def turn_y_2(lesson: SimpleNamespace) -> Known:
    x, W = lesson.x, lesson.W
    last, first = np.zeros((2, 7)), np.zeros((2, 7))
    for i in range(3):
        last[:, 2 * i:2 * i + 3] = x[:, i, None] * W
    first[:, :3] = x[:, :1] * W
    return mistakes.distinct({
        "where windows overlap, the last one has overwritten the others; they add up (`+=`)": last,
        "that is with stride 1: input i begins at 2 * i": _lay(x, W, 1),
        "the windows do not move: input i begins at 2 * i": _lay(x, W, 0),
        "the window is turned round; each input lays it down as it is": _lay(x, W[::-1]),
        "that is input 0 alone": first,
        "the input is missing: each lays down the window times itself": _lay(np.ones_like(x), W)}, lesson.y)


def turn_y_dense(lesson: SimpleNamespace) -> Known:
    x, A = lesson.x, lesson.A
    return mistakes.distinct({"that is its transpose; samples are rows": A @ x.T,
                      "that adds up the samples; each has a y of its own": (x @ A.T).sum(axis=0),
                      "that is a convolution of y; here x is multiplied by the transpose of A": lesson.y @ A}, lesson.y_dense)


def turn_dx_2(lesson: SimpleNamespace) -> Known:
    dy, W, right = lesson.dy, lesson.W, lesson.dx

    def read(W: np.ndarray, stride: int) -> np.ndarray:
        return np.stack([dy[:, i * stride:i * stride + 3] @ W for i in range(3)], axis=1)
    return mistakes.distinct({
        "that is with stride 1: input i has laid its window at 2 * i": read(W, 1),
        "the taps are counted backwards: input i has laid tap k at 2 * i + k": read(W[::-1], 2),
        "the window does not move: input i has laid it at 2 * i": read(W, 0),
        "only the first tap counts in it; an input has sent something by each": dy[:, 0:5:2] * W[0],
        "W is missing: beside x_i stands W_k": read(np.ones(3), 2),
        "only the last one is filled": np.where(np.arange(3) == 2, right, 0)}, right)


def turn_dW_2(lesson: SimpleNamespace) -> Known:
    x, dy, right = lesson.x, lesson.dy, lesson.dW

    def read(x: np.ndarray, dy: np.ndarray, stride: int) -> np.ndarray:
        return np.sum([x[:, i] @ dy[:, i * stride:i * stride + 3] for i in range(3)], axis=0)
    return mistakes.distinct({
        "that is the last input alone; each has used the same window (`+=`)": x[:, 2] @ dy[:, 4:7],
        "that is the first input alone; each has used the same window": x[:, 0] @ dy[:, 0:3],
        "that is with stride 1: input i has laid its window at 2 * i": read(x, dy, 1),
        "the window does not move: input i has laid it at 2 * i": read(x, dy, 0),
        "only the first sample counts in it; all samples have the same W": read(x[:1], dy[:1], 2),
        "only the last sample counts in it; all samples have the same W": read(x[1:], dy[1:], 2),
        "the taps are counted backwards": right[::-1].copy(),
        "x is missing: beside W_k stands x_i": read(np.ones_like(x), dy, 2),
        "it is divided by the number of samples; a mean is the loss's affair, here it is a sum": right / 2}, right)


# The checkerboard, and the task

def turn_counts(lesson: SimpleNamespace) -> Known:
    A = lesson.A
    return mistakes.distinct({"that counts the places under each window; count the windows on each place": (A != 0).sum(axis=0),
                      "that adds up the weights; count the windows": A.sum(axis=1),
                      "that counts all; count along the rows of A": (A != 0).sum()}, lesson.counts)


def turn_on_points(lesson: SimpleNamespace) -> Known:
    counts = lesson.counts
    return mistakes.distinct({
        "they are added; each of the windows along the rows meets each along the columns": counts[:, None] + counts,
        "that looks along one axis only": np.broadcast_to(counts, (7, 7)).copy(),
        "that is a row; a picture has rows and columns": counts * counts}, lesson.on_points)


def turn_overlap(lesson: SimpleNamespace, given: Callable) -> None:
    found, truth = np.random.default_rng(17).random((2, 3, 5, 5)) < np.array([0.6, 0.3])[:, None, None, None]
    both = (found & truth).sum()
    expect_close(given(found.copy(), truth.copy()), lesson.overlap(found, truth), "overlap", {
        "that is the part of the true disc that was found; wrongly found points should count against it": both / truth.sum(),
        "that is the part of the answer that is right; missed points should count against it": both / found.sum(),
        "that is the part of all points; divide by those that are disc in one or both": both / truth.size,
        "the points in both are counted twice below": both / (found.sum() + truth.sum()),
        "that is the number of points in both; divide by those that are disc in one or both": both,
        "that is the part of right points, and counts where there is no disc": np.mean(found == truth)})


# Exercises

def exercise_1(answer: Answer) -> None:
    """Weights counted, windows laid, on paper

    separable and ordinary: the numbers of weights of SeparableConv2D(128, 3) and Conv2D(128, 3) on 64 channels, without biases.
    y: the transposed convolution of x = (2, -1, 1) by W = (1, 3, -1) with stride 2.
    """
    answer.on_paper("separable", 8768, [
        "Two stages: a window of 3 × 3 for each channel, then a weight for each pair of a channel and a filter.",
        "The depthwise stage has 9 · 64 weights."], {
        "that is the depthwise stage alone; then each of 64 channels meets each of 128 filters": 576,
        "that is the pointwise stage alone; before it each of 64 channels has a window of its own": 8192,
        "a depthwise stage has a window for each channel, not for each filter": 9 * 128 + 8192,
        "that is the ordinary one": 73728,
        "there are no biases here": 8768 + 128})
    answer.on_paper("ordinary", 73728, [
        "Each filter has a window of 3 × 3 for each channel.",
        "One filter has 9 · 64 weights."], {
        "a filter has a window for each of the 64 channels": 9 * 128,
        "there are no biases here": 73728 + 128})
    answer.on_paper("y", [2, 6, -3, -3, 2, 3, -1], [
        "Input i lays x_i W down from place 2 i on. What lies on one place adds up.",
        "Input 0 lays (2, 6, -2) on the places 0 to 2, input 1 (-1, -3, 1) on the places 2 to 4."], {
        "that is with stride 1": np.convolve([2, -1, 1], [1, 3, -1]),
        "where two windows overlap, the later one has overwritten the earlier; they add up": [2, 6, -1, -3, 1, 3, -1],
        "the window is turned round: each input lays it down as it is": [-2, 6, 3, -3, -2, 3, 1]})


TRANSPOSED = {
    "no stride": "input i is taken to have laid its window at i; with a stride that is i s",
    "turned": "the taps are counted backwards: input i has laid tap k at i s + k",
    "last tap": "only the last tap counts in it; an input has sent something by each tap",
    "last input": "only the last input counts in it; each has used the same window",
    "last sample": "only the last sample counts in it; all samples have the same weights",
    "swapped": "channels and filters have changed places; dW has the shape of W, (K, F, C)",
}


def _transposed(x: np.ndarray, W: np.ndarray, dy: np.ndarray, s: int, mistake: str = "") -> mistakes.Values:
    """dx (N, T, C), dW (K, F, C) and db (F,) of a Conv1DTranspose without padding."""
    (T, K), step = (x.shape[1], len(W)), 1 if mistake == "no stride" else s
    dx, dW = np.zeros_like(x), np.zeros_like(W)
    heard = slice(-1 if mistake == "last sample" else 0, None)
    for i, k in np.ndindex(T, K):
        tap = K - 1 - k if mistake == "turned" else k
        sent = dy[:, i * step + k] @ W[tap]
        dx[:, i] = sent if mistake == "last tap" else dx[:, i] + sent
        if mistake != "last input" or i == T - 1:
            dW[tap] += dy[heard, i * step + k].T @ x[heard, i]
    return {"dx": dx, "dW": dW.swapaxes(1, 2) if mistake == "swapped" else dW, "db": dy[heard].sum(axis=(0, 1))}


def exercise_2(answer: Answer) -> None:
    """The whole backward of a Conv1DTranspose

    transposed_backward(x, W, dy, s): returns dx, dW, db for x (N, T, C), W (K, F, C), dy (N, (T - 1) s + K, F), stride s.
    """
    names, axes = ("dx", "dW", "db"), {"dx": ("sample", "place", "channel"), "dW": ("tap", "filter", "channel")}

    def compare(N: int, s: int, C: int, F: int) -> None:
        rng = np.random.default_rng(10 * N + s)
        x, W, dy = (rng.normal(size=size).round(2) for size in ((N, 4, C), (3, F, C), (N, 3 * s + 3, F)))
        right = _transposed(x, W, dy, s)
        mistaken = {sentence: {name: value for name, value in _transposed(x, W, dy, s, mistake).items()
                               if not mistakes.same(value, right[name])} for mistake, sentence in TRANSPOSED.items()}
        mistaken |= {
            "it is a mean; b stands in every output, so its gradient is the sum": {"db": dy.mean(axis=(0, 1))},
            "the sum over the samples is missing": {"db": dy.sum(axis=1)},
            "the sum over the places is missing": {"db": dy.sum(axis=0)},
            "it is divided by the number of samples; a mean is the loss's affair, here it is a sum":
                {name: right[name] / N for name in ("dW", "db")}}
        result = answer.function("transposed_backward")(x, W, dy, s)
        where = "" if s == 1 else f" with stride {s}"
        expect_all(result, right, mistaken, names, "transposed_backward", axes, where=where, order=("db", "dW", "dx"))

    for s in (1, 2, 4):
        for_each_size(answer, compare, [(1, s, 1, 1), (3, s, 2, 5)])


def exercise_3(answer: Answer) -> None:
    """The bug that a depth multiplier of 1 hides

    The function depthwise_backward at the end of the lesson has a bug. Write it right as
    fixed_depthwise_backward(x, W, dh): returns dx, dW for x (N, T, C), W (K, C, M), dh (N, places, C M); stride 1, no padding.
    """
    rng = np.random.default_rng(16)
    x, W, dh = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 4, 6))
    result = answer.function("fixed_depthwise_backward")(x, W, dh)
    dx, dW = returned(result, "fixed_depthwise_backward", "dx", "dW")
    _compare_depthwise(dx, dW, x, W, dh)


def exercise_4(answer: Answer) -> None:
    """Windows that cover evenly

    even: the sizes from 1 to 9 of a window of ones that cover a row of ones evenly, laid down with stride 3 (but for the ends).
    """
    sizes = sorted(set(np.ravel(answer.array("even")).tolist()))
    for size in sizes:
        if size not in range(1, 10):
            raise Wrong(f"{size:g} is no size from 1 to 9")
        if size < 3:
            raise Wrong(f"windows of {size:g} leave gaps when each begins 3 places after the one before")
        if size % 3:
            covered = sorted({-(-int(size - place) // 3) for place in range(3)})
            raise Wrong(f"with windows of {size:g} some places lie under {covered[0]} and some under {covered[-1]}")
    for size in (3, 6, 9):
        if size not in sizes:
            raise Wrong(f"a size is missing: one with which every place lies under {size // 3}")
