"""Checks of lesson 16: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size, returned

Known = dict[str, np.ndarray]
GATES = ("i", "f", "C̃", "o")
TURNED = "the window lies as in forward; on the way back its taps count backwards"


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return np.asarray((1 + np.tanh(a / 2)) / 2)


def _convolve(x: np.ndarray, w: np.ndarray, p: int) -> np.ndarray:
    """x (N, places, in) by the window w (K, in, out), with p zeros at either end."""
    x = np.pad(x, ((0, 0), (p, p), (0, 0)))
    places = x.shape[1] - len(w) + 1
    return np.asarray(sum(x[:, k:k + places] @ w[k] for k in range(len(w))))


def _transposed(da: np.ndarray, w: np.ndarray, p: int) -> np.ndarray:
    return _convolve(da, w[::-1].swapaxes(1, 2), len(w) - 1 - p)


def _weights(x: np.ndarray, da: np.ndarray, K: int, p: int) -> np.ndarray:
    """The gradient of w, summed over all axes before the places; x (…, places, in), da (…, places, out)."""
    x = np.pad(x.reshape(-1, *x.shape[-2:]), ((0, 0), (p, p), (0, 0)))
    da = da.reshape(-1, *da.shape[-2:])
    places = da.shape[1]
    return np.stack([np.einsum("nmc,nmg->cg", x[:, k:k + places], da) for k in range(K)])


# Forward

def turn_a(lesson: SimpleNamespace) -> Known:
    W, U, b, h_prev = lesson.W, lesson.U, lesson.b, lesson.h_prev
    from_x, from_h = _convolve(lesson.x[:, 0], W, 0), _convolve(h_prev, U, 1)
    return {"the bias b is missing": from_x + from_h,
            "the state before, through the window U, is missing": from_x + b,
            "the input, through the window W, is missing": from_h + b,
            "the cell comes in later, and only by way of f; here it is the state h_prev":
                from_x + _convolve(lesson.C_prev, U, 1) + b,
            "that is the input of step 1; the first step reads x[:, 0]": _convolve(lesson.x[:, 1], W, 0) + from_h + b,
            "the window lies the wrong way round: tap 0 of U meets the place before":
                from_x + _convolve(h_prev, U[::-1], 1) + b,
            "that is the middle tap of U alone; a place hears its neighbours too": from_x + h_prev @ U[1] + b}


# Backward: each place by itself

FOR_ALL = ("that is di, df, dC̃ and do, without", "the gate is applied twice: di is dC C̃, without a further i; so for")


def _step(lesson: SimpleNamespace, name: str, *given: str) -> Known:
    """The mistakes of one step back, from the values at hand; those in `given` are right already."""
    values = (getattr(lesson, key) for key in ("dh", "dC_next", "i", "f", "C_tilde", "o", "C", "C_prev"))
    right, wrong = mistakes.lstm_step_backward(*values, U=lesson.U[1])
    return mistakes.distinct(mistakes.known(right, {
        sentence: values for sentence, values in wrong.items()
        if not sentence.startswith(FOR_ALL) and all(mistakes.same(values[key], right[key]) for key in given)}, name))


def turn_dC(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "dC")


def turn_df(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "df", "dC") | {
        "that is da_f already; the slope of the sigmoid comes later": lesson.df * lesson.f * (1 - lesson.f)}


def turn_dC_prev(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "dC_prev", "dC") | {
        "there is no window between C_t and C_{t-1}: in the cell a gradient stays at its place":
            _transposed(lesson.dC * lesson.f, lesson.U[..., 1:2], 1)}


def turn_lstm_step_backward(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    rng = np.random.default_rng(160)
    dh, dC_next, C_prev, C = rng.normal(size=(4, 3, 5, 2))
    i, f, o = _sigmoid(rng.normal(size=(3, 3, 5, 2)))
    values = [dh, dC_next, i, f, np.tanh(rng.normal(size=(3, 5, 2))), o, C, C_prev]
    copies = [value.copy() for value in values]
    result = given(*copies)
    for name, value, copy in zip(("dh", "dC_next", "i", "f", "C_tilde", "o", "C", "C_prev"), values, copies, strict=True):
        if not np.array_equal(value, copy):
            raise Wrong(f"it changes {name} in place; whoever called it still needs it. Make a new array")
    da, dC_prev = returned(result, "lstm_step_backward", "da", "dC_prev")
    right, wrong = mistakes.lstm_step_backward(*values, U=rng.normal(size=(2, 8)))
    if np.shape(da) == (3, 20, 2):
        raise Wrong("the gates lie one behind the other along the places; they lie side by side along the last axis: axis=-1")
    if np.shape(da) == right["dC_prev"].shape or np.shape(dC_prev) == right["da"].shape:
        raise Wrong("first da, (N, P, 4F), then dC_prev, (N, P, F); these two have changed places")
    axes = ("film", "place", "filter")
    expect_all((da, dC_prev), right, wrong, ("da", "dC_prev"), "lstm_step_backward", {"da": axes, "dC_prev": axes}, GATES)


# Backward: windows

def turn_arrives(lesson: SimpleNamespace) -> Known:
    da, U = lesson.da_last, lesson.U
    return {TURNED + ": the window of place 0 lay on place 1 with tap 2":
                sum(da[0, k] @ U[k].T for k in range(3)),
            "that is what the place's own window sends; the windows of places 0 and 2 lay on it too": da[0, 1] @ U[1].T,
            "the window of place 2 lay on place 1 too, with tap 0": da[0, 0] @ U[2].T + da[0, 1] @ U[1].T,
            "the window of place 0 lay on place 1 too, with tap 2": da[0, 1] @ U[1].T + da[0, 2] @ U[0].T,
            "the window of place 1 lay on place 1 too, with tap 1": da[0, 0] @ U[2].T + da[0, 2] @ U[0].T,
            "that is place 1 of the second film; a film hears its own da alone": sum(da[1, k] @ U[2 - k].T for k in range(3)),
            "what they send is added up, not averaged": lesson.arrives / 3}


def _wrong_transposed(da: np.ndarray, w: np.ndarray, p: int) -> Known:
    """Mistakes of the way back through a convolution."""
    K = len(w)
    known = {TURNED: _convolve(da, w.swapaxes(1, 2), K - 1 - p),
             "it is divided by the number of taps; what the windows send is added up": _transposed(da, w, p) / K}
    if p == K // 2:
        known["that is the middle tap alone; the neighbours' windows lay on a place too"] = da @ w[p].T
        known["the convolution goes round: what falls off one end has come in at the other"] = np.asarray(sum(
            np.roll(da, k - p, axis=1) @ w[k].T for k in range(K)))
    return known


def turn_convolve_transposed(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    rng = np.random.default_rng(161)
    for K, p in ((3, 1), (3, 0), (5, 2)):
        da, w = rng.normal(size=(2, 6, 8)), rng.normal(size=(K, 3, 8))
        copies = da.copy(), w.copy()
        got, right, where = given(*copies, p), _transposed(da, w, p), f" with K = {K} and p = {p}"
        for name, value, copy in zip(("da", "w"), (da, w), copies, strict=True):
            if not np.array_equal(value, copy):
                raise Wrong(f"it changes {name} in place; whoever called it still needs it. Make a new array")
        if got is None:
            raise Wrong("it returns nothing; is there a `return` missing?")
        if np.shape(got)[:1] + np.shape(got)[2:] == (2, 3) and np.shape(got)[1] != right.shape[1]:
            raise Wrong(f"dx has {np.shape(got)[1]} places{where}, but x had {right.shape[1]}: "
                        "put K - 1 - p zeros on either side")
        expect_close(got, right, "dx" + where, _wrong_transposed(da, w, p), axes=("film", "place", "channel"))


def _wrong_weights(x: np.ndarray, da: np.ndarray, K: int, p: int) -> Known:
    right, last, places = _weights(x, da, K, p), _weights(x[-1:], da[-1:], K, p), da.shape[-2]
    return {"the taps are in the wrong order: tap 0 met the places before, the last tap those after": right[::-1],
            "channels have changed places; it has the shape of the window, (K, in, out)": right.swapaxes(1, 2),
            "it holds the last film only; a tap stands in all of them": last,
            "it is a mean over the places; a tap stands at all of them, so its gradient is the sum": right / places,
            "it is divided by the number of films; a mean is the loss's affair, here it is a sum": right / len(da)}


def turn_weight_gradient(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    rng = np.random.default_rng(162)
    for K, p in ((3, 1), (3, 0), (5, 2)):
        x, da = rng.normal(size=(2, 7, 3)), rng.normal(size=(2, 7 + 2 * p - K + 1, 8))
        copies = x.copy(), da.copy()
        got, where = given(*copies, K, p), f" with K = {K} and p = {p}"
        for name, value, copy in zip(("x", "da"), (x, da), copies, strict=True):
            if not np.array_equal(value, copy):
                raise Wrong(f"it changes {name} in place; whoever called it still needs it. Make a new array")
        if got is None:
            raise Wrong("it returns nothing; is there a `return` missing?")
        expect_close(got, _weights(x, da, K, p), "dw" + where, _wrong_weights(x, da, K, p), axes=("tap", "channel", "filter"))


def turn_dh(lesson: SimpleNamespace) -> Known:
    dy, dh_next = lesson.dy, lesson.dh_next
    return {"that is what the step's own loss says; what comes back from the step after, dh_next, is missing": dy[:, 1],
            "that is what comes back from the step after; what the step's own loss says, dy[:, 1], is missing": dh_next,
            "that is with dy of the last step; step 1 has dy[:, 1]": dy[:, 2] + dh_next,
            "that is with dy of step 0; step 1 has dy[:, 1]": dy[:, 0] + dh_next,
            "what comes back from later is added, not taken off": dy[:, 1] - dh_next,
            "dC_next arrives at the cell, not at h: here it is dh_next": dy[:, 1] + lesson.dC_next,
            "dh_next has come through the window U already; it is added as it is":
                dy[:, 1] + _convolve(dh_next, lesson.U[..., :1], 1)}


# Backward: the walk, and the weights

WALK = {
    "dropped": "nothing comes back from later steps: dh is dy_t plus dh_next, which step t + 1 sends",
    "cell dropped": "what comes back from the cell of the step after, dC_next, is missing from dC",
    "last loss": "the loss of the last step alone is heard; each step has a dy_t of its own",
    "forwards": "the walk goes forwards; what step t + 1 sends back must be known before step t: begin with the last step",
    "stops": "the walk ends before t = 0; the first step is missing (`range(T - 1, -1, -1)` or `reversed(range(T))`)",
    "adds": "dh_next is added to the one before (`+=`); it is what step t + 1 alone sends: replace it",
    "adds C": "dC_next is added to the one before (`+=`); it is what step t + 1 alone sends: replace it",
    "as forward": TURNED,
    "middle": "h_{t-1} is reached by the middle tap alone; the neighbours' windows lay on a place too",
    "round": "the convolution goes round: what falls off one end has come in at the other",
    "cell by window": "the cell's gradient went through a window; in the cell it stays at its place: dC_prev = dC f",
}


def _walk(mistake: str, dy: np.ndarray, steps: list[Any], U: np.ndarray,
          dC_later: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """da of all steps (N, T, P, 4F), dh_start, dC_start; `mistake` is a key of WALK or a sentence about one step.

    Each of `steps` holds h_prev, C_prev, i, f, C~, o, C. `dC_later` comes back to the last C.
    """
    T, F, p = len(steps), U.shape[1], len(U) // 2
    dh_next = np.zeros_like(dy[:, 0])
    dC_next = dh_next + dC_later
    da = np.zeros((*dy.shape[:-1], 4 * F))
    for t in range(T) if mistake == "forwards" else reversed(range(T)):
        _, C_prev, i, f, C_tilde, o, C = steps[t][:7]
        own = 0 * dy[:, t] if mistake == "last loss" and t < T - 1 else dy[:, t]
        dh = own if mistake == "dropped" else own + dh_next
        dC_next = 0 * dC_next if mistake == "cell dropped" else dC_next
        right, wrong = mistakes.lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev, U[p])
        if mistake == "stops" and t == 0:
            break
        made = wrong.get(mistake, right)
        da[:, t] = made["da"]
        dh_prev = _back(mistake, da[:, t], U)
        dC_prev = made["dC_prev"]
        if mistake == "cell by window":
            dC_prev = _transposed(dC_prev, U[..., F:2 * F], p)
        dh_next = dh_next + dh_prev if mistake == "adds" else dh_prev
        dC_next = dC_next + dC_prev if mistake == "adds C" else dC_prev
    return da, dh_next, dC_next


def _back(mistake: str, da: np.ndarray, U: np.ndarray) -> np.ndarray:
    p = len(U) // 2
    if mistake == "as forward":
        return _convolve(da, U.swapaxes(1, 2), p)
    if mistake == "middle":
        return np.asarray(da @ U[p].T)
    if mistake == "round":
        return np.asarray(sum(np.roll(da, k - p, axis=1) @ U[k].T for k in range(len(U))))
    return _transposed(da, U, p)


def turn_da(lesson: SimpleNamespace) -> dict[str, Known]:
    names = ("da", "dh_next", "dC_next")
    right = {name: getattr(lesson, name) for name in names}
    wrong = {sentence: dict(zip(names, _walk(mistake, lesson.dy, lesson.steps, lesson.U, lesson.dC_later), strict=True))
             for mistake, sentence in WALK.items()}
    return {name: mistakes.distinct(mistakes.known(right, wrong, name)) for name in names}


def _sums(x: np.ndarray, da: np.ndarray, K: int, p: int) -> Known:
    """Mistakes in the gradient of a window, from all steps; x (N, T, places, in)."""
    N, T, P = da.shape[:3]
    right, one = _weights(x, da, K, p), "it holds one step only; a tap stands in all of them: is there a `=` for a `+=`?"
    return {"the taps are in the wrong order: tap 0 met the places before, the last tap those after": right[::-1],
            one: _weights(x[:, :1], da[:, :1], K, p), one + " ": _weights(x[:, -1:], da[:, -1:], K, p),
            "it holds the last film only; a tap stands in all of them": _weights(x[-1:], da[-1:], K, p),
            "it is divided by the number of films; a mean is the loss's affair, here it is a sum": right / N,
            "it is a mean over the steps; a tap stands in all of them, so its gradient is the sum": right / T,
            "it is a mean over the places; a tap stands at all of them, so its gradient is the sum": right / P}


def _recurrent_sums(h_before: np.ndarray, h: np.ndarray, da: np.ndarray, K: int) -> Known:
    p = K // 2
    return _sums(h_before, da, K, p) | {
        "it is made with h_t; U met the state before, h_{t-1}": _weights(h, da, K, p),
        "the first step is left out, or its h_start is taken for 0": _weights(h_before[:, 1:], da[:, 1:], K, p),
        "the first step is made with the last state: h[:, t - 1] is h[:, -1] there": _weights(np.roll(h, 1, axis=1), da, K, p)}


def turn_dW(lesson: SimpleNamespace) -> Known:
    return mistakes.distinct(_sums(lesson.x, lesson.da, lesson.K, 0))


def turn_dU(lesson: SimpleNamespace) -> Known:
    h = np.stack([step[-1] for step in lesson.steps], axis=1)
    cells = np.stack([step[1] for step in lesson.steps], axis=1)
    return mistakes.distinct(_recurrent_sums(lesson.h_before, h, lesson.da, lesson.K) | {
        "it is made with C_{t-1}; U met h_{t-1}": _weights(cells, lesson.da, lesson.K, 1)})


def _wrong_bias(da: np.ndarray) -> Known:
    N, _, P = da.shape[:3]
    return {"the sum over the places is missing: b stands at all of them": da.sum(axis=(0, 1)),
            "the sum over the steps is missing: b stands in all of them": da.sum(axis=(0, 2)),
            "the sum over the films is missing: b stands in all of them": da.sum(axis=(1, 2)),
            "it is a mean; b stands at all places, in all steps and films, so its gradient is the sum": da.mean(axis=(0, 1, 2)),
            "it is a mean over the places; b stands at all of them, so its gradient is the sum": da.sum(axis=(0, 1, 2)) / P,
            "it is divided by the number of films; a mean is the loss's affair, here it is a sum": da.sum(axis=(0, 1, 2)) / N,
            "it holds the first step only": da[:, 0].sum(axis=(0, 1)),
            "it holds the last step only": da[:, -1].sum(axis=(0, 1))}


def turn_db(lesson: SimpleNamespace) -> Known:
    return _wrong_bias(lesson.da)


def turn_dx(lesson: SimpleNamespace) -> Known:
    da, W, T = lesson.da, lesson.W, lesson.T

    def stacked(w: np.ndarray, p: int) -> np.ndarray:
        return np.stack([_transposed(da[:, t], w, p) for t in range(T)], axis=1)
    return {TURNED: stacked(W[::-1], 0),
            "that goes back to the state, by U; down to the input it is by W, without zeros": stacked(lesson.U, 1),
            "dx has as many places as the state; W had no zeros, so p = 0": stacked(W, 1),
            "the axes are in another order: (N, T, points, channels); stack along axis 1": stacked(W, 0).swapaxes(0, 1),
            "each frame is read once: dx is not summed over the steps": lesson.dx.sum(axis=1),
            "that is one step; dx is of all steps": lesson.dx[:, 0]}


def turn_U_back(lesson: SimpleNamespace) -> Known:
    U = lesson.U_2d
    return {TURNED + ", along both axes": U.swapaxes(2, 3),
            "only the rows of taps count backwards; the columns must too": U[::-1].swapaxes(2, 3),
            "only the columns of taps count backwards; the rows must too": U[:, ::-1].swapaxes(2, 3),
            "filters and gates must change places: what came out goes in": U[::-1, ::-1],
            "the rows and columns of taps are exchanged; the window is turned, by half a circle":
                U.swapaxes(0, 1).swapaxes(2, 3)}


# Exercises

def exercise_1(answer: Answer) -> None:
    """A window sends back, on paper

    dh_prev and dU of one gate with da = (0, 2, 0, -1), U = (1, 3, -2) and h = (1, -1, 3, 2), and the number of weights of
    ConvLSTM2D(16, 3) on 3 channels.
    """
    answer.on_paper("dh_prev", [2, 6, -5, -3], [
        "In forward, place m heard h of the places m - 1, m and m + 1, by the taps 0, 1, 2. Where does da_m go, by which tap?",
        "da_m sends U_0 da_m to place m - 1, U_1 da_m to m, U_2 da_m to m + 1."], {
        TURNED: [-4, 6, 4, -3],
        "where two windows lie on a place, the later one has overwritten the earlier; they add up": [2, 6, -1, -3],
        "where two windows lie on a place, only the earlier one counts; they add up": [2, 6, -4, -3],
        "what falls off the end has come in again at the beginning; there were zeros": [4, 6, -5, -3],
        "it is shifted by a place: the middle tap of `same` lies on the place itself": [0, 2, 6, -5],
        "places beyond the state belong to the zeros that were put there; cut off what comes to them": [0, 2, 6, -5, -3, 2]})
    answer.on_paper("dU", [-1, -4, 6], [
        "Tap 0 met the place before, tap 1 the place itself, tap 2 the one after; beyond the ends are zeros.",
        "dU_0 is the sum of all da_m h_{m-1}."], {
        "the taps are in the wrong order: tap 0 met the place before": [6, -4, -1],
        "what falls off the end has come in again at the beginning; there were zeros": [-1, -4, 5],
        "only the last place counts in it; a tap stands at all places": [-3, -2, 0],
        "only place 1 counts in it; a tap stands at all places": [2, -2, 6]})
    answer.on_paper("weights", 4 * (9 * (3 + 16) * 16 + 16), [
        "Four gates. Each has 16 filters, with 3 × 3 taps on the channels of x and of h, and a bias for each filter.",
        "The channels are 3 + 16."], {
        "those of one gate; there are four": 9 * (3 + 16) * 16 + 16,
        "the biases are missing": 4 * 9 * (3 + 16) * 16,
        "that is an LSTM's; each pair of channels has 9 taps here": 4 * ((3 + 16) * 16 + 16),
        "a window has 3 × 3 taps, not 3": 4 * (3 * (3 + 16) * 16 + 16),
        "U is missing: the state's own 16 channels go through windows too": 4 * (9 * 3 * 16 + 16),
        "there is one bias for a filter and gate, at all taps the same": 4 * 9 * ((3 + 16) * 16 + 16),
        "there is one bias for both convolutions (PyTorch's LSTM has two)": 4 * (9 * (3 + 16) * 16 + 2 * 16)})


def exercise_2(answer: Answer) -> None:
    """A whole backward, with a batch axis

    conv_lstm_backward(dy, x, W, U, b, h_start, C_start): runs forward and then backward, and returns dx, dW, dU, db, dh_start,
    dC_start. dy (N, T, P, F), x (N, T, P, channels), W (K, channels, 4F), U (K, F, 4F), b (4F,), h_start and C_start (N, P, F),
    the gates in the order i, f, C~, o; K is odd, both convolutions have K // 2 zeros on either side.
    """
    names = ("dx", "dW", "dU", "db", "dh_start", "dC_start")
    state = ("film", "place", "filter")
    axes = {"dx": ("film", "step", "place", "channel"), "dh_start": state, "dC_start": state,
            "dW": ("tap", "channel", "filter"), "dU": ("tap", "filter", "filter")}

    def check(N: int, T: int, P: int, channels: int, F: int, K: int) -> None:
        rng = np.random.default_rng(100 * N + T)
        dy, x = rng.normal(size=(N, T, P, F)), rng.normal(size=(N, T, P, channels))
        W, U, b = rng.normal(size=(K, channels, 4 * F)), rng.normal(size=(K, F, 4 * F)), rng.normal(size=4 * F)
        h_start, C_start = rng.normal(size=(2, N, P, F))
        right, wrong = _backward(dy, x, W, U, b, h_start, C_start)
        result = answer.function("conv_lstm_backward")(dy, x, W, U, b, h_start, C_start)
        expect_all(result, right, wrong, names, "conv_lstm_backward", axes, GATES, where=f" with K = {K}" if K != 3 else "",
                   order=("db", "dW", "dU", "dx", "dC_start", "dh_start"))
    for_each_size(answer, check, [(1, 1, 2, 1, 1, 1), (2, 3, 4, 1, 2, 3), (3, 3, 6, 2, 2, 5)])


def _forward(x: np.ndarray, W: np.ndarray, U: np.ndarray, b: np.ndarray, h: np.ndarray, C: np.ndarray) -> list[Any]:
    """For each step h_prev, C_prev, i, f, C~, o, C, h."""
    steps = []
    for t in range(x.shape[1]):
        h_prev, C_prev = h, C
        a = _convolve(x[:, t], W, len(W) // 2) + _convolve(h, U, len(U) // 2) + b
        a_i, a_f, a_C, a_o = np.split(a, 4, axis=-1)
        i, f, C_tilde, o = _sigmoid(a_i), _sigmoid(a_f), np.tanh(a_C), _sigmoid(a_o)
        C = f * C_prev + i * C_tilde
        h = o * np.tanh(C)
        steps.append((h_prev, C_prev, i, f, C_tilde, o, C, h))
    return steps


def _backward(dy: np.ndarray, x: np.ndarray, W: np.ndarray, U: np.ndarray, b: np.ndarray, h_start: np.ndarray,
              C_start: np.ndarray) -> tuple[mistakes.Values, mistakes.Mistakes]:
    """All gradients, right and with each known mistake; K // 2 zeros on either side of both convolutions."""
    steps, K, p = _forward(x, W, U, b, h_start, C_start), len(U), len(U) // 2
    h_before, h = (np.stack([step[k] for step in steps], axis=1) for k in (0, -1))

    def all_of(mistake: str) -> mistakes.Values:
        da, dh, dC = _walk(mistake, dy, steps, U)
        dx = np.stack([_back(mistake, da[:, t], W) for t in range(x.shape[1])], axis=1)
        return {"dx": dx, "dW": _weights(x, da, K, p), "dU": _weights(h_before, da, K, p), "db": da.sum(axis=(0, 1, 2)),
                "dh_start": dh, "dC_start": dC, "da": da}
    right = all_of("")
    da = right.pop("da")
    _, of_a_step = mistakes.lstm_step_backward(dy[:, 0], dy[:, 0], *steps[0][2:7], steps[0][1], U[p])
    once = [sentence for sentence in of_a_step if not sentence.startswith("what comes back from the cell")]     # in WALK too
    wrong = {sentence: all_of(mistake) for mistake, sentence in WALK.items()}
    wrong |= {sentence: all_of(sentence) for sentence in once}
    for values in wrong.values():
        del values["da"]
    of_sums = {"dW": _sums(x, da, K, p), "dU": _recurrent_sums(h_before, h, da, K), "db": _wrong_bias(da)}
    for name, known in of_sums.items():
        for sentence, value in known.items():
            wrong.setdefault(sentence, {})[name] = value
    wrong[TURNED + ", in dx as in dh"] = {"dx": np.stack([_back("as forward", da[:, t], W) for t in range(x.shape[1])], axis=1)}
    return right, wrong


def exercise_3(answer: Answer) -> None:
    """A film a step too late

    The function recurrent_gradient at the end of the lesson has a bug. Write it right as
    fixed_recurrent_gradient(h_start, h, da, K): returns dU (K, F, 4F) for h_start (N, P, F), h (N, T, P, F), da (N, T, P, 4F).
    """
    rng = np.random.default_rng(17)
    h_start, h, da, K = rng.normal(size=(2, 5, 2)), rng.normal(size=(2, 4, 5, 2)), rng.normal(size=(2, 4, 5, 8)), 3

    def summed(states: np.ndarray, da: np.ndarray = da) -> np.ndarray:
        return _weights(states, da, K, 1)

    right = summed(mistakes.before(h_start, h))
    expect_close(answer.function("fixed_recurrent_gradient")(h_start, h, da, K), right, "dU", {
        "da_t still meets h_t, the state that step t has made. What the step saw through U is the state before it": summed(h),
        "the first step is left out: it saw h_start, which is not always 0": summed(h[:, :-1], da[:, 1:]),
        "the states go round: before the first step stands h_start, not the last state": summed(np.roll(h, 1, axis=1)),
        "each da_t meets the state after the next; it should be the one before": summed(h[:, 1:], da[:, :-1]),
        "every step meets h_start; only the first one did": summed(np.broadcast_to(h_start[:, None], h.shape)),
        "the taps are in the wrong order": right[::-1],
        "it is a mean over the films; a tap stands in all of them, so its gradient is the sum": right / 2,
        "it is a mean over the steps; a tap stands in all of them, so its gradient is the sum": right / 4},
        axes=("tap", "filter", "filter"), blocks=GATES)


def exercise_4(answer: Answer) -> None:
    """A window for what runs

    K: the smallest odd kernel_size with which one ConvLSTM1D can say where dots will be next that run 3 places a step.
    """
    K = float(answer.array("K", ()))
    if K < 1 or K % 2 != 1:
        raise Wrong(f"{K:g} is no odd size")
    sees = f"with K = {K:g} a place sees {(K - 1) / 2:g} places far"
    if K < 7:
        raise Wrong(f"{sees} into the newest frame, but the dot that will be there is 3 away")
    if K == 13:
        raise Wrong(f"{sees}, to where the dot was a frame before; needless: h_{{t-1}} has seen 3 of them, and U sees 3 more")
    if K > 7:
        raise Wrong(f"{sees}; less will do")
