"""Checks of lesson 13: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size, returned

Known = dict[str, np.ndarray]
SEEN, WEIGHTS, BIAS = (np.random.default_rng(13).normal(size=size).round(2) for size in ((3, 4, 2), (4, 2, 5), 5))
DY_I = np.random.default_rng(14).normal(size=(3, 5)).round(2)


# Five numbers and a window of three

def turn_y_0(lesson: SimpleNamespace) -> Known:
    x, W, b = lesson.x, lesson.W, lesson.b
    return {"the bias is missing": x[:, 0:3] @ W,
            "the window is turned round, as a mathematician's convolution has it; W_0 lies on x_0": x[:, 0:3] @ W[::-1] + b,
            "that is output 1: the window of output 0 lies on x[:, 0:3]": x[:, 1:4] @ W + b,
            "those are the products; they are added up": x[:, 0:3] * W + b,
            "that is the first sample alone": x[0, 0:3] @ W + b}


def turn_y(lesson: SimpleNamespace) -> Known:
    x, W, b = lesson.x, lesson.W, lesson.b
    last = np.zeros((2, 3))
    last[:, 2] = lesson.y[:, 2]
    return {"the bias is missing": lesson.y - b,
            "the window is turned round, as a mathematician's convolution has it": _correlate(x, W[::-1]) + b,
            "the window does not move: all outputs are y_0": np.repeat(lesson.y[:, :1], 3, axis=1),
            "only the last output is filled; fill y[:, i]": last}


def _correlate(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.stack([np.correlate(row, w) for row in x])


def turn_db(lesson: SimpleNamespace) -> Known:
    dy = lesson.dy
    return {"that is a mean; the bias stands in every output, so its gradient is the sum": dy.mean(),
            "that keeps the samples apart; there is one bias for all of them": dy.sum(axis=1),
            "that keeps the places apart; there is one bias for all of them": dy.sum(axis=0),
            "the bias stands in six outputs, but each has a dy of its own": np.array(6.0),
            "that is made with y; what comes back is dy": lesson.y.sum()}


def turn_dW_0(lesson: SimpleNamespace) -> Known:
    x, dy = lesson.x, lesson.dy
    products = dy * x[:, 0:3]
    return {"that is output 0 alone; W_0 stands in all three": products[:, 0].sum(),
            "that keeps the samples apart; they have the same W_0": products.sum(axis=1),
            "that keeps the places apart; the window has the same W_0 everywhere": products.sum(axis=0),
            "those are the products; add them up, over samples and places": products,
            "dy is missing: that is the sum of what W_0 lies on": x[:, 0:3].sum(),
            "that is the gradient of W_1; W_0 lies on x_0, x_1 and x_2": np.sum(dy * x[:, 1:4]),
            "that is the gradient of W_2; W_0 lies on x_0, x_1 and x_2": np.sum(dy * x[:, 2:5]),
            "that is a mean; a weight's gradient is the sum": products.mean()}


def turn_dW(lesson: SimpleNamespace) -> Known:
    x, dy, dW = lesson.x, lesson.dy, lesson.dW
    return {"the taps are counted backwards: tap k lies on x[:, k:k + 3]": dW[::-1].copy(),
            "only the first sample counts in it; all samples have the same W": np.correlate(x[0], dy[0]),
            "only the last sample counts in it; all samples have the same W": np.correlate(x[1], dy[1]),
            "it is divided by the number of samples; a mean is the loss's affair, here it is a sum": dW / 2,
            "all taps are given what W_0 gets; tap k lies on x[:, k:k + 3]": np.repeat(dW[0], 3),
            "dy is missing: that is the sum of what each tap lies on": np.array([x[:, k:k + 3].sum() for k in range(3)]),
            "that is window 0 alone: a weight stands in every output": dy[:, 0] @ x[:, 0:3]}


def turn_dx_at_2(lesson: SimpleNamespace) -> Known:
    dy, W = lesson.dy, lesson.W
    return {"W_0 and W_2 have changed places: window 0 lies on x_2 with its last tap": dy @ W,
            "that is window 2 alone; all three lie on x_2": dy[:, 2] * W[0],
            "that is window 0 alone; all three lie on x_2": dy[:, 0] * W[2],
            "that is window 1 alone; all three lie on x_2": dy[:, 1] * W[1],
            "that adds up the samples; each has an x_2 of its own": np.sum(dy @ W[::-1]),
            "dy is missing: that is the sum of the weights": np.full(2, W.sum())}


def turn_dx(lesson: SimpleNamespace) -> Known:
    dy, W, dx = lesson.dy, lesson.W, lesson.dx
    sent = [(i, k, i + k) for i in range(3) for k in range(3)]
    last, turned, first = np.zeros_like(dx), np.zeros_like(dx), np.zeros_like(dx)
    for i, k, m in sent:
        last[:, m] = dy[:, i] * W[k]
        turned[:, m] += dy[:, i] * W[2 - k]
    first[:, :3] = dy[:, :1] * W
    return {"where windows overlap, the last one has overwritten the others; they add up (`+=`)": last,
            "the taps are counted backwards: tap k of window i lies on i + k": turned,
            "that is window 0 alone; each window sends something back": first,
            "the window does not move: tap k of window i lies on i + k": np.pad(dy.sum(axis=1)[:, None] * W, ((0, 0), (0, 2)))}


def turn_dx_dense(lesson: SimpleNamespace) -> Known:
    return {"that is made with y; what comes back is dy": lesson.y @ lesson.A.T,
            "that is its transpose; dx has the shape of x": lesson.A @ lesson.dy.T,
            "that adds up the samples; each keeps its own dx": (lesson.dy @ lesson.A.T).sum(axis=0)}


# Channels and filters

def turn_window(lesson: SimpleNamespace, given: Callable) -> None:
    right = lesson.window(SEEN, WEIGHTS, BIAS)
    products = np.einsum("nkc,kcf->nkf", SEEN, WEIGHTS)
    expect_close(given(SEEN.copy(), WEIGHTS.copy(), BIAS.copy()), right, "y_i", {
        "the bias is missing": right - BIAS,
        "the bias is added at each tap; it comes once for a window": right + (len(WEIGHTS) - 1) * BIAS,
        "only the last tap counts in it; they are added up": products[:, -1] + BIAS,
        "the last tap alone is there, without the bias": products[:, -1],
        "the taps are counted backwards": np.einsum("nkc,kcf->nf", SEEN, WEIGHTS[::-1]) + BIAS,
        "the taps are kept apart; they are added up": products + BIAS,
        "the samples are added up; each keeps its own output": right.sum(axis=0)}, axes=("sample", "filter"))


def turn_window_backward(lesson: SimpleNamespace, given: Callable) -> None:
    result = given(SEEN.copy(), WEIGHTS.copy(), DY_I.copy())
    dseen, dW, db = lesson.window_backward(SEEN, WEIGHTS, DY_I)
    values = returned(result, "window_backward", "dseen", "dW", "db")
    if np.shape(values[0]) == dW.shape and np.shape(values[1]) == dseen.shape:
        raise Wrong("first dseen, (N, K, C), then dW, (K, C, F); these two have changed places")
    expect_close(values[2], db, "db", {
        "it is a mean over the samples; b stands in every sample, so its gradient is the sum": DY_I.mean(axis=0),
        "the sum over the samples is missing": DY_I,
        "it is added up once for each tap; a window has one bias": len(WEIGHTS) * db,
        "that sums over the filters; each filter has a bias of its own": DY_I.sum(axis=1)}, axes=("filter",))
    expect_close(values[1], dW, "dW", {
        "only the last tap is filled": np.where(np.arange(len(dW))[:, None, None] == len(dW) - 1, dW, 0),
        "it is divided by the number of samples; a mean is the loss's affair, here it is a sum": dW / len(SEEN),
        "only the last sample counts in it": np.einsum("kc,f->kcf", SEEN[-1], DY_I[-1]),
        "all taps are given the same; tap k has seen seen[:, k]": np.repeat(dW.sum(axis=0)[None], len(dW), axis=0),
        "channels and filters have changed places; dW has the shape of W": dW.swapaxes(1, 2),
        "the taps are counted backwards": dW[::-1]}, axes=("tap", "channel", "filter"))
    expect_close(values[0], dseen, "dseen", {
        "all taps are added up; each place under the window gets its own": np.repeat(
            dseen.sum(axis=1)[:, None], len(WEIGHTS), axis=1),
        "the samples are added up; each keeps its own": dseen.sum(axis=0),
        "the taps are counted backwards": dseen[:, ::-1]}, axes=("sample", "tap", "channel"))


def turn_places(lesson: SimpleNamespace) -> dict[str, int]:
    return {"that is without the stride: a window every two places": 5,
            "the first window, at place 0, is missing": 2,
            "the last window hangs over the end: it needs the places 6, 7 and 8": 4}


def _conv1d(x: np.ndarray, W: np.ndarray, dy: np.ndarray, stride: int) -> tuple[mistakes.Values, mistakes.Mistakes]:
    """`mistakes.conv1d_backward` with this lesson's name of the weights."""
    right, wrong = mistakes.conv1d_backward(x, W, dy, stride)

    def renamed(values: mistakes.Values) -> mistakes.Values:
        return {"dW" if name == "dw" else name: value for name, value in values.items()}
    return renamed(right), {sentence.replace("dw has the shape of w", "dW has the shape of W"): renamed(values)
                            for sentence, values in wrong.items()}


def turn_dx_2(lesson: SimpleNamespace) -> dict[str, Known]:
    right, wrong = _conv1d(lesson.x, lesson.W, lesson.dy, lesson.stride)
    return {name: mistakes.distinct(mistakes.known(right, wrong, name)) for name in ("dx", "dW", "db")}


def turn_before(lesson: SimpleNamespace) -> dict[str, int]:
    return {"that is without the dilation: the taps lie two places apart": 2,
            "between three taps there are two gaps, not three": 6,
            "that is how wide the window is; its last tap lies on m = i itself": 5}


def turn_seen_by_3(lesson: SimpleNamespace) -> Known:
    stride, dilation, before, taps = lesson.stride, lesson.dilation, lesson.before, np.arange(3)
    return {"the zeros in front are not taken off": 3 * stride + taps * dilation,
            "the dilation is missing": 3 * stride + taps - before,
            "those are the places under window 0; it is window 3": taps * dilation - before,
            "the zeros in front are added; they push the window to the left": 3 * stride + taps * dilation + before}


# All dimensions

def turn_convolve_backward(lesson: SimpleNamespace, given: Callable) -> None:
    rng = np.random.default_rng(15)
    x, W, dy = rng.normal(size=(2, 4, 5, 2)), rng.normal(size=(3, 2, 2, 4)), rng.normal(size=(2, 4, 3, 4))
    geometry = 1, (1, 2), (1, 0)
    values = returned(given(x.copy(), W.copy(), dy.copy(), geometry), "convolve_backward", "dx", "dW", "db")
    dx, dW, db = lesson.convolve_backward(x, W, dy, geometry)
    last_dx, last_dW, skipped = np.zeros_like(dx), np.zeros_like(dW), np.zeros_like(dx)
    for i, k, m in lesson.paths((4, 3), (3, 2), (4, 5), *geometry):
        last_dx[:, m[0], m[1]] = dy[:, i[0], i[1]] @ W[k].T
        last_dW[k] = x[:, m[0], m[1]].T @ dy[:, i[0], i[1]]
        turned = W[2 - k[0], 1 - k[1]]
        skipped[:, m[0], m[1]] += dy[:, i[0], i[1]] @ turned.T
    expect_close(values[2], db, "db", {
        "the sum over the samples is missing": dy.sum(axis=(1, 2)),
        "the sum over the places is missing": dy.sum(axis=0),
        "it is a mean; b stands in every output, so its gradient is the sum": dy.mean(axis=(0, 1, 2)),
        "it is added up once for each path; b comes once for each output": _of_paths(lesson, dy, geometry)}, axes=("filter",))
    expect_close(values[1], dW, "dW", {
        "only the last place counts in it; a weight stands in every output (`+=`)": last_dW,
        "it is divided by the number of samples; a mean is the loss's affair, here it is a sum": dW / 2,
        "channels and filters have changed places; dW has the shape of W": dW.swapaxes(2, 3),
        "the taps are counted backwards": dW[::-1, ::-1]}, axes=("row", "column", "channel", "filter"))
    expect_close(values[0], dx, "dx", {
        "where windows overlap, the last one has overwritten the others; they add up (`+=`)": last_dx,
        "the taps are counted backwards": skipped}, axes=("sample", "row", "column", "channel"))


def _of_paths(lesson: SimpleNamespace, dy: np.ndarray, geometry: tuple) -> np.ndarray:
    paths = lesson.paths((4, 3), (3, 2), (4, 5), *geometry)
    return np.sum([dy[:, i[0], i[1]].sum(axis=0) for i, _, _ in paths], axis=0)


# Exercises

def exercise_1(answer: Answer) -> None:
    """A window slides, on paper

    y, dW and dx for x = (2, 0, 1, -1), the window W = (1, 3), no bias, no padding, and dy = (1, -1, 2).
    """
    answer.on_paper("y", [2, 3, -2], [
        "Lay W over x: y_0 = W_0 x_0 + W_1 x_1, then one place further for each output.",
        "y_0 = 1 · 2 + 3 · 0."], {
        "the window is turned round, as a mathematician's convolution has it; here W_0 lies on x_i, W_1 on x_{i+1}": [6, 1, 2],
        "at the last one the window hangs over the end; without padding it has three places": [2, 3, -2, -1]})
    answer.on_paper("dW", [4, -3], [
        "W_0 stands in every output, beside x_i: dW_0 is the sum of all dy_i x_i. And dW_1?",
        "dW_1 is the sum of all dy_i x_{i+1}."], {
        "it should begin with dW_0": [-3, 4],
        "only the last output counts in it; a weight stands in every output, so its gradient is a sum": [2, -2],
        "only the first output counts in it; a weight stands in every output, so its gradient is a sum": [2, 0]})
    answer.on_paper("dx", [1, 2, -1, 6], [
        "Output i sends W_0 dy_i to x_i and W_1 dy_i to x_{i+1}. What arrives at one place adds up.",
        "Output 0 sends (1, 3) to the places 0 and 1, output 1 sends (-1, -3) to the places 1 and 2."], {
        "where two windows lie on a place, the later one has overwritten the earlier; they add up": [1, -1, 2, 6],
        "where two windows lie on a place, only the earlier one counts; they add up": [1, 3, -3, 6],
        "the window is turned round: output i has sent W_0 dy_i to x_i, W_1 dy_i to x_{i+1}": [3, -2, 5, 2]})


def exercise_2(answer: Answer) -> None:
    """The whole backward of a Conv1D

    conv1d_backward(x, W, dy, stride): returns dx, dW, db for x (N, T, C), W (K, C, F) and dy (N, places, F), without padding.
    """
    backward = answer.function("conv1d_backward")
    names, axes = ("dx", "dW", "db"), {"dx": ("sample", "place", "channel"), "dW": ("tap", "channel", "filter")}

    def compare(N: int, T: int, stride: int, C: int, F: int) -> None:
        rng = np.random.default_rng(10 * T + N)
        shapes = (N, T, C), (3, C, F), (N, (T - 3) // stride + 1, F)
        x, W, dy = (rng.normal(size=shape).round(2) for shape in shapes)
        right, wrong = _conv1d(x, W, dy, stride)
        result = backward(x, W, dy, stride)
        where = "" if stride == 1 else f" with stride {stride}"
        expect_all(result, right, wrong, names, "conv1d_backward", axes, where=where, order=("db", "dW", "dx"))

    for_each_size(answer, compare, [(1, 4, 1, 1, 1), (3, 6, 1, 2, 4)])
    for_each_size(answer, compare, [(1, 5, 2, 1, 1), (3, 8, 2, 2, 4)])          # at the end of 8 a place is in no window
    for_each_size(answer, compare, [(1, 7, 4, 1, 1), (3, 9, 4, 2, 4)])          # between the windows a place is in none


def exercise_3(answer: Answer) -> None:
    """The bug that symmetric windows hide

    The function input_gradient at the end of the lesson has a bug. Write it right as
    fixed_input_gradient(dy, W): returns dx (N, P + K - 1, Q + K - 1, C) for dy (N, P, Q, F) and W (K, K, C, F); stride 1, no
    padding.
    """
    rng = np.random.default_rng(14)
    dy, w = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(3, 3, 2, 5))

    def gather(w: np.ndarray) -> np.ndarray:
        padded = np.pad(dy, ((0, 0), (2, 2), (2, 2), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
        return np.einsum("nijfkl,klcf->nijc", windows, w)

    expect_close(answer.function("fixed_input_gradient")(dy, w), gather(w[::-1, ::-1]), "dx", {
        "the window still lies as it does in forward. What comes to m is the sum of dy_{m-k} W_k: where dy is read forwards, "
        "the taps count backwards, along both axes": gather(w),
        "the taps count backwards along the columns only; it takes both axes": gather(w[:, ::-1]),
        "the taps count backwards along the rows only; it takes both axes": gather(w[::-1]),
        "the window is transposed; it should be turned by half a turn": gather(w.swapaxes(0, 1)),
        "the window is turned by a quarter; it should be half a turn": gather(np.rot90(w)),
        "the window is turned by a quarter; it should be half a turn ": gather(np.rot90(w, -1))},
        axes=("sample", "row", "column", "channel"))


def exercise_4(answer: Answer) -> None:
    """Layers that see a thousand steps

    layers: how many Conv1D(1, 3, padding="causal", dilation_rate=d) with d = 1, 2, 4, 8, … let an output see 1000 steps.
    """
    layers = float(answer.array("layers", ()))
    if layers == 500:
        raise Wrong("that is right without dilation: each layer then adds two steps. Here layer n adds 2 · 2^(n-1)")
    if layers != int(layers) or layers < 1:
        raise Wrong(f"{layers:g} is no number of layers")
    if layers != 9:
        sees = f"{2 ** (int(layers) + 1) - 1}" if layers < 50 else "very many"
        raise Wrong(f"with {layers:g} layers an output sees {sees} steps" + ("; fewer will do" if layers > 9 else ""))
