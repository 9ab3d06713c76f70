"""Checks of lesson 08: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size, returned

Known = dict[str, np.ndarray]
GATES = ("i", "f", "C̃", "o")


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(a / 2)) / 2


# Forward

def turn_a(lesson: SimpleNamespace) -> Known:
    x, W, U, b, h_prev, C_prev = (getattr(lesson, name) for name in ("x", "W", "U", "b", "h_prev", "C_prev"))
    return {"the bias b is missing": x[:, 0] @ W + h_prev @ U,
            "the state before, h_prev @ U, is missing": x[:, 0] @ W + b,
            "the input, x_t W, is missing": h_prev @ U + b,
            "the cell comes in later, and only by way of f; here it is the state: h_prev @ U": x[:, 0] @ W + C_prev @ U + b,
            "that is the input of step 1; the first step reads x[:, 0]": x[:, 1] @ W + h_prev @ U + b,
            "those are all three steps; the first step reads x[:, 0]": x @ W + (h_prev @ U)[:, None] + b}


def turn_C(lesson: SimpleNamespace) -> Known:
    i, f, C_tilde, C_prev = lesson.i, lesson.f, lesson.C_tilde, lesson.C_prev
    return {"i and f have changed places: f keeps the old cell, i lets the candidate in": i * C_prev + f * C_tilde,
            "what is taken in is missing: i times the candidate": f * C_prev,
            "what is kept is missing: f times the old cell": i * C_tilde,
            "the forget gate is missing: it says how much of the old cell is kept": C_prev + i * C_tilde,
            "the input gate is missing: it says how much of the candidate is added": f * C_prev + C_tilde,
            "here 1 - f stands for the input gate; an LSTM has a gate of its own for it, i": f * C_prev + (1 - f) * C_tilde,
            "a gate multiplies; here it is added": f + C_prev + i + C_tilde,
            "the tanh comes later, when the cell is shown": np.tanh(f * C_prev + i * C_tilde)}


def turn_h(lesson: SimpleNamespace) -> Known:
    o, C, C_prev, C_tilde = lesson.o, lesson.C, lesson.C_prev, lesson.C_tilde
    return {"the tanh is missing: h = o tanh(C)": o * C,
            "the output gate is missing: h = o tanh(C)": np.tanh(C),
            "that is made with the old cell; h shows the new one, C": o * np.tanh(C_prev),
            "that shows the candidate; h shows the cell": o * C_tilde,
            "the gate stands outside the tanh: o tanh(C)": np.tanh(o * C)}


# Backward: one step

FOR_ALL = ("that is di, df, dC̃ and do, without", "the gate is applied twice: di is dC C̃, without a further i; so for")


def _step(lesson: SimpleNamespace, name: str, *given: str) -> Known:
    """The mistakes of one step back, from the values at hand; those in `given` are right already."""
    values = (getattr(lesson, key) for key in ("dh", "dC_next", "i", "f", "C_tilde", "o", "C", "C_prev", "U"))
    right, wrong = mistakes.lstm_step_backward(*values)
    return mistakes.distinct(mistakes.known(right, {
        sentence: values for sentence, values in wrong.items()
        if not sentence.startswith(FOR_ALL) and all(mistakes.same(values[key], right[key]) for key in given)}, name))


def turn_dh(lesson: SimpleNamespace) -> Known:
    dy, o, h = lesson.dy, lesson.o, lesson.h
    return {"those are all steps; only the dy of the last step arrives at its h": dy.sum(axis=1) + lesson.dh_next,
            "that is with dy of step 0; the last step has dy[:, 2]": dy[:, 0] + lesson.dh_next,
            "that is with dy of step 1; the last step has dy[:, 2]": dy[:, 1] + lesson.dh_next,
            "what the step's own loss says is missing: add its dy": lesson.dh_next,
            "what comes back from what follows is missing: add dh_next": dy[:, 2],
            "that goes to the cell; to h comes dh_next": dy[:, 2] + lesson.dC_next,
            "what comes back is added, not taken off": dy[:, 2] - lesson.dh_next,
            "that is how the loss grows with tanh(C) already; at h itself all arrives as it is": lesson.dh * o,
            "h is no part of its own gradient; it is a sum of two": lesson.dh * h}


def turn_do(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "do") | {
        "that is the way on to a_o already; do is without the slope of the sigmoid": lesson.do * lesson.o * (1 - lesson.o),
        "dh is missing: how much the loss grows with o is dh times what o is multiplied by": np.tanh(lesson.C)}


def turn_dC(lesson: SimpleNamespace) -> Known:
    slope = (1 - np.tanh(lesson.C)) ** 2
    return _step(lesson, "dC") | {
        "the square belongs to the tanh alone: 1 - np.tanh(C) ** 2": lesson.dC_next + lesson.dh * lesson.o * slope}


def turn_df(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "df", "dC") | {"that is da_f already; the slope of the sigmoid comes later":
                                  lesson.df * lesson.f * (1 - lesson.f)}


def turn_di(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "di", "dC") | {"that is da_i already; the slope of the sigmoid comes later":
                                  lesson.di * lesson.i * (1 - lesson.i),
                                  "i is multiplied by the candidate C̃, not by the cell": lesson.dC * lesson.C}


def turn_dC_tilde(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "dC_tilde", "dC") | {
        "C̃ is multiplied by i, not by f": lesson.dC * lesson.f,
        "that is da_C already; the slope of the tanh comes later": lesson.dC_tilde * (1 - lesson.C_tilde ** 2),
        "the gate i is missing: C̃ comes into C only as far as i lets it": lesson.dC}


def turn_dC_prev(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "dC_prev", "dC")


def turn_da_i(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "da_i", "di") | {
        "the slope is that of i's own value, i (1 - i), not of f": lesson.di * lesson.f * (1 - lesson.f),
        "i is sigmoid(a_i) already; do not take the sigmoid again": lesson.di * _sigmoid(lesson.i) * (1 - _sigmoid(lesson.i))}


def turn_da_f(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "da_f", "df") | {
        "the slope is that of f's own value, f (1 - f), not of i": lesson.df * lesson.i * (1 - lesson.i),
        "f is sigmoid(a_f) already; do not take the sigmoid again": lesson.df * _sigmoid(lesson.f) * (1 - _sigmoid(lesson.f))}


def turn_da_C(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "da_C_tilde", "dC_tilde") | {
        "C̃ is tanh(a_C) already; its slope is 1 - C̃², not 1 - tanh²(C̃)": lesson.dC_tilde * (1 - np.tanh(lesson.C_tilde) ** 2),
        "that is with the cell; the slope is that of the candidate: 1 - C̃²": lesson.dC_tilde * (1 - np.tanh(lesson.C) ** 2)}


def turn_da_o(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "da_o", "do") | {
        "the slope is that of o's own value, o (1 - o), not of i": lesson.do * lesson.i * (1 - lesson.i)}


def turn_dh_prev(lesson: SimpleNamespace) -> Known:
    H, da, U = lesson.U.shape[0], lesson.da_last, lesson.U
    return {f"that is the way through {gate} alone; all four gates read the state before":
            da[:, k * H:(k + 1) * H] @ U[:, k * H:(k + 1) * H].T for k, gate in enumerate(GATES)} | {
        "that goes down to the input, by W; the way to the state before is by U": da @ lesson.W.T,
        "the products are added up, not averaged": da @ U.T / 4,
        "that is dh; it has to go through the gates: da @ U.T": lesson.dh}


def turn_dh_2(lesson: SimpleNamespace) -> Known:
    dy, dh_next = lesson.dy, lesson.dh_next
    return {"that is what the step's own loss says; what comes back from the step after, dh_next, is missing": dy[:, 1],
            "that is what comes back from the step after; what the step's own loss says, dy[:, 1], is missing": dh_next,
            "that is with dy of the last step; step 1 has dy[:, 1]": dy[:, 2] + dh_next,
            "that is with dy of step 0; step 1 has dy[:, 1]": dy[:, 0] + dh_next,
            "what comes back from later is added, not taken off": dy[:, 1] - dh_next,
            "dC_next arrives at the cell, not at h: here it is dh_next": dy[:, 1] + lesson.dC_next,
            "that is a mean of the two; they are added": (dy[:, 1] + dh_next) / 2}


def turn_dC_2(lesson: SimpleNamespace) -> Known:
    f_next = lesson.steps[2][3]
    return {"dC_next has gone through the forget gate of the step after already; do not apply it again":
            lesson.dC + lesson.dC_next * (f_next - 1),
            "dC_next has gone through a forget gate already, that of the step after; no further one stands here":
            lesson.dC + lesson.dC_next * (lesson.f - 1)} | _step(lesson, "dC")


def turn_lstm_step_backward(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    rng = np.random.default_rng(80)
    dh, dC_next, C_prev, C = rng.normal(size=(4, 3, 2))
    i, f, o = _sigmoid(rng.normal(size=(3, 3, 2)))
    values = [dh, dC_next, i, f, np.tanh(rng.normal(size=(3, 2))), o, C, C_prev]
    copies = [value.copy() for value in values]
    result = given(*copies)
    for name, value, copy in zip(("dh", "dC_next", "i", "f", "C_tilde", "o", "C", "C_prev"), values, copies, strict=True):
        if not np.array_equal(value, copy):
            raise Wrong(f"it changes {name} in place; whoever called it still needs it. Make a new array")
    da, dC_prev = returned(result, "lstm_step_backward", "da", "dC_prev")
    right, wrong = mistakes.lstm_step_backward(*values, U=rng.normal(size=(2, 8)))
    if np.shape(da) == right["dC_prev"].shape == np.shape(dC_prev)[:2] or np.shape(dC_prev) == right["da"].shape:
        raise Wrong("first da, (N, 4H), then dC_prev, (N, H); these two have changed places")
    expect_all((da, dC_prev), right, wrong, ("da", "dC_prev"), "lstm_step_backward",
               {"da": ("sample", "unit"), "dC_prev": ("sample", "unit")}, GATES)


# Backward: the walk, and the weights

WITHOUT_LATER = "it begins with zeros; here something follows the last step: begin with dh_later and dC_later"


def _walk(lesson: SimpleNamespace) -> tuple[mistakes.Values, mistakes.Mistakes]:
    i, f, C_tilde, o, C, h = (np.stack([step[k] for step in lesson.steps], axis=1) for k in range(2, 8))
    right, wrong = mistakes.lstm_backward(lesson.x, lesson.h_start, lesson.C_start, i, f, C_tilde, o, C, h, lesson.W, lesson.U,
                                          lesson.dy, later=(lesson.dh_later, lesson.dC_later))
    missing = (0 * lesson.dh_later, 0 * lesson.dC_later)
    wrong[WITHOUT_LATER], _ = mistakes.lstm_backward(lesson.x, lesson.h_start, lesson.C_start, i, f, C_tilde, o, C, h, lesson.W,
                                                     lesson.U, lesson.dy, later=missing)
    return right, wrong


def turn_da(lesson: SimpleNamespace) -> dict[str, Known]:
    right, wrong = _walk(lesson)
    names = {"da": "da", "dh_next": "dh_start", "dC_next": "dC_start"}
    return {name: mistakes.distinct(mistakes.known(right, wrong, key)) for name, key in names.items()}


def _sums(lesson: SimpleNamespace, name: str) -> Known:
    """Mistakes in the sums over samples and steps; da is right already."""
    right, wrong = _walk(lesson)
    sums = {sentence: values for sentence, values in wrong.items() if "da" not in values}
    return mistakes.distinct(mistakes.known(right, sums, name))


def turn_dW(lesson: SimpleNamespace) -> Known:
    return _sums(lesson, "dW")


def turn_dU(lesson: SimpleNamespace) -> Known:
    return _sums(lesson, "dU")


def turn_db(lesson: SimpleNamespace) -> Known:
    return _sums(lesson, "db")


def turn_dx(lesson: SimpleNamespace) -> Known:
    return {"that goes back to the state, by U; down to the input it is by W": lesson.da @ lesson.U.T,
            "each step of x is read once: dx is not summed over the steps": lesson.dx.sum(axis=1),
            "that is one step; dx is of all steps, (N, T, in)": lesson.da[:, 0] @ lesson.W.T}


# Masks

def turn_da_1(lesson: SimpleNamespace) -> Known:
    real, da = lesson.real, lesson.lstm_step_backward(lesson.dh, lesson.dC_next, lesson.i, lesson.f, lesson.C_tilde, lesson.o,
                                                      lesson.C, lesson.C_prev)[0]
    return {"a masked step computes nothing, so nothing is heard there: da is 0": da,
            "the mask is turned round: da is 0 where the step is NOT real": np.where(real, 0, da),
            "it is the second sample whose step 1 is masked, and it alone": 0 * da}


def turn_dC_prev_2(lesson: SimpleNamespace) -> Known:
    real, dC_next = lesson.real, lesson.dC_next
    through = lesson.lstm_step_backward(lesson.dh, dC_next, lesson.i, lesson.f, lesson.C_tilde, lesson.o, lesson.C,
                                        lesson.C_prev)[1]
    return {"at a masked step the cell is kept whole: dC_next goes on as it is, not through the gate": through,
            "the gradient ends at the masked step; what comes back goes on to the step before": np.where(real, through, 0),
            "the mask is turned round": np.where(real, dC_next, through),
            "that passes dC_next on for the real sample too": dC_next}


def turn_dh_prev_2(lesson: SimpleNamespace) -> Known:
    real, through, dh, dh_next = lesson.real, lesson.da_1 @ lesson.U.T, lesson.dh, lesson.dh_next
    return {"the gradient ends at the masked step; dh goes on to the step before as it is": through,
            "the mask is turned round": np.where(real, dh, through),
            "that passes dh on for the real sample too": dh,
            "a masked step has a dy_t too, as it has an h_t: dh goes on, not dh_next alone": np.where(real, through, dh_next),
            "dC_next belongs to the cell; here it is dh that goes on": np.where(real, through, lesson.dC_next)}


# Exercises

def exercise_1(answer: Answer) -> None:
    """One step back, on paper

    C, dC, df, da_f and dC_prev for one sample and one unit at the last step: f = i = o = 0.5, C~ = 1, C_{t-1} = -1, dh = 4.
    """
    answer.on_paper("C", 0, ["C = f C_{t-1} + i C~"], {"that is what is kept, or taken in, with a sign": [-0.5]})
    answer.on_paper("dC", 2, ["h = o tanh(C), so dC = dh o (1 - tanh²(C)); and tanh(0) = 0"], {
        "that is do: tanh(C) belongs to the output gate, its slope 1 - tanh²(C) to the cell": 0,
        "the output gate is missing: h = o tanh(C)": 4})
    answer.on_paper("df", -2, ["in C = f C_{t-1} + i C~ the factor beside f is C_{t-1}"], {
        "that is di; f is multiplied by C_{t-1}": 2,
        "it is made with C_t; f is multiplied by C_{t-1}": 0,
        "that is da_f already": -0.5})
    answer.on_paper("da_f", -0.5, ["df times the slope of the sigmoid, which is f (1 - f)"], {
        "that is df; the slope f (1 - f) is missing": -2,
        "that is with the slope of tanh; a gate's is f (1 - f)": -1.5})
    answer.on_paper("dC_prev", 1, ["in C = f C_{t-1} + i C~ the factor beside C_{t-1} is f"], {
        "that is dC, or dh times f; it should be dC times f": 2})


def exercise_2(answer: Answer) -> None:
    """A whole backward, with batch axis and mask

    lstm_backward(dy, x, mask, W, U, b, h_start, C_start): runs forward and then backward, and returns dx, dW, dU, db, dh_start,
    dC_start. dy (N, T, H), x (N, T, in), mask (N, T) True at real steps, W (in, 4H), U (H, 4H), b (4H,), h_start and C_start
    (N, H); the gates in the order i, f, C~, o. A masked step keeps both states as they are.
    """
    names = ("dx", "dW", "dU", "db", "dh_start", "dC_start")
    axes = {"dx": ("sample", "step", "input"), "dh_start": ("sample", "unit"), "dC_start": ("sample", "unit")}

    def check(N: int, T: int, inputs: int, H: int, masks: bool) -> None:
        rng = np.random.default_rng(100 * N + T)
        dy, x, U = rng.normal(size=(N, T, H)), rng.normal(size=(N, T, inputs)), rng.normal(size=(H, 4 * H))
        W, b, (h_start, C_start) = rng.normal(size=(inputs, 4 * H)), rng.normal(size=4 * H), rng.normal(size=(2, N, H))
        mask = np.ones((N, T), bool)
        if masks:
            mask[1, 1] = mask[0, T - 1] = mask[N - 1, T - 2:] = False
        values = _forward(x, mask, W, U, b, h_start, C_start)
        right, wrong = mistakes.lstm_backward(x, h_start, C_start, *values, W, U, dy, mask)
        if masks:
            wrong |= {sentence: _masked_backward(mistake, dy, x, mask, W, U, b, h_start, C_start)
                      for mistake, sentence in MASKS.items()}
        result = answer.function("lstm_backward")(dy, x, mask, W, U, b, h_start, C_start)
        order = ("db", "dW", "dU", "dx", "dC_start", "dh_start")
        expect_all(result, right, wrong, names, "lstm_backward", axes, GATES, order=order)
    for_each_size(answer, check, [(1, 1, 1, 1, False), (2, 3, 1, 2, False), (3, 4, 2, 3, True)])


def _forward(x: np.ndarray, mask: np.ndarray, W: np.ndarray, U: np.ndarray, b: np.ndarray, h: np.ndarray,
             C: np.ndarray) -> list[np.ndarray]:
    """i, f, C~, o, C, h of all steps, (N, T, H)."""
    steps = []
    for t in range(x.shape[1]):
        a_i, a_f, a_C, a_o = np.split(x[:, t] @ W + h @ U + b, 4, axis=1)
        i, f, C_tilde, o = _sigmoid(a_i), _sigmoid(a_f), np.tanh(a_C), _sigmoid(a_o)
        C = np.where(mask[:, t, None], f * C + i * C_tilde, C)
        h = np.where(mask[:, t, None], o * np.tanh(C), h)
        steps.append((i, f, C_tilde, o, C, h))
    return [np.stack(values, axis=1) for values in zip(*steps, strict=True)]


MASKS = {
    "unused": "the backward does not use the mask; a masked step computes nothing, and what arrives goes on as it is",
    "heard": "at a masked step nothing is heard: da should be 0 there, before it comes into dW, dU, db and dx",
    "dh ends": "at a masked step h_t is h_{t-1}, so dh goes on as it is; here it is da Uᵀ, which is 0 there",
    "dh without dy": "at a masked step all of dh goes on, dy_t too; here it is dh_next alone",
    "dC through f": "at a masked step the cell is kept whole: dC_next goes on as it is, not dC f",
    "dC ends": "at a masked step C_t is C_{t-1}, so dC_next goes on as it is; here it ends",
}


def _masked_backward(mistake: str, dy: np.ndarray, x: np.ndarray, mask: np.ndarray, W: np.ndarray, U: np.ndarray, b: np.ndarray,
                     h_start: np.ndarray, C_start: np.ndarray) -> mistakes.Values:
    """All gradients, with one of the mistakes in `MASKS`. A step is computed from its gates also where it is masked."""
    *_, C_all, h_all = _forward(x, mask, W, U, b, h_start, C_start)
    h_before, C_before = mistakes.before(h_start, h_all), mistakes.before(C_start, C_all)
    da, dh_next, dC_next = np.zeros((*dy.shape[:2], U.shape[1])), np.zeros_like(h_start), np.zeros_like(C_start)
    for t in reversed(range(x.shape[1])):
        real = mask[:, t, None] | (mistake == "unused")
        values = _forward(x[:, t:t + 1], np.ones((len(x), 1), bool), W, U, b, h_before[:, t], C_before[:, t])
        i, f, C_tilde, o, C, _ = (value[:, 0] for value in values)
        dh = dy[:, t] + dh_next
        made, _ = mistakes.lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_before[:, t], U)
        da[:, t] = np.where(real | (mistake == "heard"), made["da"], 0)
        dh_kept = {"dh ends": 0 * dh, "dh without dy": dh_next}.get(mistake, dh)
        dC_kept = {"dC ends": 0 * dC_next, "dC through f": made["dC_prev"]}.get(mistake, dC_next)
        dh_next, dC_next = np.where(real, made["dh_prev"], dh_kept), np.where(real, made["dC_prev"], dC_kept)
    return {"dx": da @ W.T, "dW": np.einsum("nti,ntg->ig", x, da), "dU": np.einsum("nti,ntg->ig", h_before, da),
            "db": da.sum(axis=(0, 1)), "dh_start": dh_next, "dC_start": dC_next}


def exercise_3(answer: Answer) -> None:
    """The bug that forgets

    The function cell_walk at the end of the lesson has a bug. Write it right as
    fixed_cell_walk(dh, o, f, C): returns dC of all steps, (N, T, H), for the dh of all steps.
    """
    rng = np.random.default_rng(9)
    dh, C = rng.normal(size=(2, 2, 5, 3))
    o, f = _sigmoid(rng.normal(size=(2, 2, 5, 3)))
    own = dh * o * (1 - np.tanh(C) ** 2)

    def walk(gate: np.ndarray, kept: float = 1.0) -> np.ndarray:
        dC, dC_next = np.zeros_like(C), np.zeros((2, 3))
        for t in reversed(range(5)):
            dC[:, t] = own[:, t] + dC_next
            dC_next = (kept * dC[:, t] + (1 - kept) * own[:, t]) * gate[:, t]
        return dC

    expect_close(answer.function("fixed_cell_walk")(dh, o, f, C), walk(f), "dC", {
        "dC_next is worked out, but nothing is made of it: it belongs to dC of the step before": own,
        "dC_next leaves out the forget gate": walk(np.ones_like(f)),
        "the forget gate of the wrong step: on the way from C_t to C_{t-1} stands f_t": walk(np.roll(f, 1, axis=1)),
        "the forget gate of the step after: on the way from C_t to C_{t-1} stands f_t": walk(np.roll(f, -1, axis=1)),
        "dC_next comes from one step only; all of dC_t goes on, what came to it from later steps too": walk(f, 0.0)},
        axes=("sample", "step", "unit"))


def exercise_4(answer: Answer) -> None:
    """A bias that remembers

    bias: the forget bias with which a tenth of the gradient is left after 100 steps in the cell, with small inputs.
    """
    bias = float(answer.array("bias", ()))
    gate = 0.1 ** (1 / 100)
    if abs(bias - gate) < 1e-3:
        raise Wrong(f"{bias:g} is where the gate should stand; the bias is the number whose sigmoid that is")
    left = _sigmoid(np.array(bias)) ** 100
    if not 0.095 < left < 0.105:
        raise Wrong(f"with a bias of {bias:g} the gate stands at {_sigmoid(np.array(bias)):.3f}, and {left:.2g} is left")
