"""Checks of lesson 26a: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from lessons.data import sunspots
from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size

Known = dict[str, np.ndarray]


# The data

def turn_scaled(lesson: SimpleNamespace) -> Known:
    s, known = lesson.s, lesson.known
    off = s - known.mean()
    return {"the last two years have a share in mean and deviation; only the first four are known": (s - s.mean()) / s.std(),
            "the deviation is that of all years; only the first four are known": off / s.std(),
            "the mean is that of all years; only the first four are known": (s - s.mean()) / known.std(),
            "it is divided by the variance; it should be by the deviation, its root": off / known.var(),
            "it is not divided by the deviation": off,
            "the mean is not taken off": s / known.std(),
            "that is the range from 0 to 1; asked is mean 0, deviation 1": (s - known.min()) / np.ptp(known),
            "the deviation is divided by one less than the number of years; here it is known.std()": off / known.std(ddof=1),
            "those are the first four alone; scale the whole series with their mean and deviation": off[:4] / known.std()}


def turn_x(lesson: SimpleNamespace) -> Known:
    scaled, T, N = lesson.scaled, lesson.T, lesson.N
    return {"it is cut from s; the network sees the scaled numbers": _windows(lesson.s, N, T),
            "one window too many: after the last one nothing is known": _windows(scaled, N + 1, T),
            "every window begins a year too late: the first one is scaled[0:3]": _windows(scaled[1:], N, T),
            "the years stand backwards in the windows": _windows(scaled, N, T)[:, ::-1],
            "windows overlap: each begins one year after the one before": scaled.reshape(2, T, 1),
            "the last axis is missing: (N, T, 1), as one number comes in at each step": _windows(scaled, N, T)[..., 0],
            "the windows are a year too long: T years each": _windows(scaled, N, T + 1)}


def _windows(series: np.ndarray, N: int, T: int) -> np.ndarray:
    return np.stack([series[n:n + T] for n in range(N)])[..., None]


def turn_after(lesson: SimpleNamespace) -> Known:
    scaled, T = lesson.scaled, lesson.T
    return {"that is the last year of each window itself; asked is the year after it": scaled[T - 1:-1, None],
            "that is the first year of each window; asked is the year after its last": scaled[:lesson.N, None],
            "it is cut from s; the network says scaled numbers": lesson.s[T:, None],
            "the last axis is missing: (N, 1), as the network says one number": scaled[T:],
            "one is missing: the first window ends before year 3, so year 3 comes after it": scaled[T + 1:, None]}


# Forward and backward

def turn_y(lesson: SimpleNamespace) -> Known:
    h, V, c = lesson.h, lesson.V, lesson.c
    return {"the bias c is missing": h[:, -1] @ V,
            "that is made of the first states; the last ones have read the whole window": h[:, 0] @ V + c,
            "that is a number for each year; only the last state is used": h @ V + c,
            "that is made of the mean of all states; only the last one is used": h.mean(axis=1) @ V + c,
            "Dense has no tanh here: a forecast may be larger than 1": np.tanh(h[:, -1] @ V + c)}


def turn_L(lesson: SimpleNamespace) -> Known:
    off = lesson.y - lesson.after
    return {"that is the sum; the loss is the mean": np.sum(off ** 2),
            "that is half of it": np.mean(off ** 2) / 2,
            "the errors are not squared": np.mean(np.abs(off)),
            "errors of different signs cancel: square them first": np.mean(off) ** 2,
            "that is its root": np.sqrt(np.mean(off ** 2)),
            "nothing is taken off: the error is y - after": np.mean(lesson.y ** 2)}


def turn_dy(lesson: SimpleNamespace) -> Known:
    off, N = lesson.y - lesson.after, lesson.N
    return {"the square's 2 is missing": off / N,
            "it is not divided by N; the loss is a mean": 2 * off,
            "the 2 and the division by N are missing": off,
            "the sign is wrong: a forecast that is too large should come down": -2 * off / N,
            "that is the gradient of the mean of absolute errors": np.sign(off) / N,
            "that has the loss itself in it; the slope of a square is twice what is squared": 2 * off ** 2 / N}


def turn_dV(lesson: SimpleNamespace) -> Known:
    h, dy = lesson.h, lesson.dy
    return {"that is made with the first states; y is made of the last ones": h[:, 0].T @ dy,
            "that is made with all states; y is made of the last ones alone": h.sum(axis=1).T @ dy,
            "that is made with the errors; dy has the factor 2 / N": h[:, -1].T @ (lesson.y - lesson.after),
            "it is a mean over the windows; the mean is in dy already": h[:, -1].T @ dy / lesson.N,
            "it is the transpose of what it should be: as large as V, (H, 1)": dy.T @ h[:, -1],
            "the sum over the windows is missing: a product of matrices, with h transposed": h[:, -1] * dy}


def turn_dh(lesson: SimpleNamespace) -> Known:
    h, dy, V = lesson.h, lesson.dy, lesson.V
    return {"the slope of tanh comes later, in da; dh arrives at h itself": dy @ V.T * (1 - h[:, -1] ** 2),
            "that is made with the errors; dy has the factor 2 / N": (lesson.y - lesson.after) @ V.T,
            "V is missing": dy + np.zeros((lesson.N, 2)),
            "dy is missing": V.T + np.zeros((lesson.N, 2)),
            "it arrives at the last state alone, (N, H)": np.repeat((dy @ V.T)[:, None], lesson.T, axis=1)}


def turn_da(lesson: SimpleNamespace) -> Known:
    right, wrong = _through_time(lesson.x, lesson.h, lesson.W, lesson.U, lesson.dy @ lesson.V.T)
    return mistakes.distinct(mistakes.known(right, wrong, "da"), right["da"])


def _through_time(x: np.ndarray, h: np.ndarray, W: np.ndarray, U: np.ndarray,
                  dh: np.ndarray) -> tuple[mistakes.Values, mistakes.Mistakes]:
    """The walk back from what arrives at the last states, right and with each known mistake."""
    start, at_last = np.zeros_like(h[:, 0]), np.zeros_like(h)
    at_last[:, -1] = dh
    right, wrong = mistakes.simple_rnn_backward(x, start, h, W, U, at_last)
    everywhere, _ = mistakes.simple_rnn_backward(x, start, h, W, U, at_last + dh[:, None] * (at_last == 0))
    wrong["dh of the last year is added at every year; it arrives at the last state alone"] = everywhere
    da = np.zeros_like(h)
    for t in reversed(range(h.shape[1])):
        da[:, t] = dh * (1 - h[:, t] ** 2)
        dh = dh + da[:, t] @ U.T
    before = mistakes.before(start, h)
    wrong["dh is kept and da Uᵀ added to it (`+=`); what arrives at the year before is da Uᵀ alone"] = {
        "da": da, "dW": np.einsum("nti,nth->ih", x, da), "dU": np.einsum("nti,nth->ih", before, da), "db": da.sum(axis=(0, 1))}
    return right, wrong


def turn_U_next(lesson: SimpleNamespace) -> Known:
    U, dU, eta = lesson.U, lesson.dU, lesson.eta
    return {"the sign is wrong: the step goes against the gradient": U + eta * dU,
            "eta is missing": U - dU,
            "that is the step alone; take it off from U": eta * dU,
            "the step is divided by eta; it is multiplied by it": U - dU / eta,
            "it is divided by N once more; the mean is in dU already": U - eta * dU / lesson.N,
            "dU and U are multiplied; a step is taken off": U * (1 - eta * dU)}


def turn_x_moved(lesson: SimpleNamespace) -> Known:
    x, y = lesson.x, lesson.y[:, None]
    return {"the forecast comes in at the front; it is the newest year, so it belongs at the end":
                np.concatenate([y, x[:, :-1]], axis=1),
            "the newest year goes out; it should be the oldest, the first one": np.concatenate([x[:, :-1], y], axis=1),
            "the oldest year stays; the window should keep its T years": np.concatenate([x, y], axis=1),
            "the truth comes in; nobody has it yet: feed the forecast back":
                np.concatenate([x[:, 1:], lesson.after[:, None]], axis=1),
            "the oldest year comes in again; it should be the forecast": np.roll(x, -1, axis=1),
            "the forecast is missing; it comes in at the end": x[:, 1:]}


# The real series

def turn_rmse(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    y, after = np.random.default_rng(0).normal(size=(2, 5, 1))
    off = y - after
    expect_close(given(y, after), np.sqrt(np.mean(off ** 2)), "rmse", {
        "the root is missing": np.mean(off ** 2),
        "that is the mean of the absolute errors; square them, and take the root of the mean": np.mean(np.abs(off)),
        "that is a sum; take the mean of the squares": np.sqrt(np.sum(off ** 2)),
        "errors of different signs cancel: square them before the mean": np.abs(np.mean(off)),
        "the root comes too early: it is the root of the mean": np.sum(np.abs(off)) / len(off) ** 2})


def turn_as_this_year(lesson: SimpleNamespace) -> Known:
    x = lesson.new_x
    return {"that is the oldest year of the window; this year is the last one": x[:, 0],
            "that is the year before this year": x[:, -2],
            "that is the truth, which nobody knows yet": lesson.new_after,
            "the last axis is lost: (88, 1), as the forecasts of a network": x[:, -1, 0],
            "that is the mean of the window": x.mean(axis=1)}


def turn_as_11_before(lesson: SimpleNamespace) -> Known:
    x = lesson.new_x
    return {"that is ten years before: the last year of the window is one year before": x[:, -10],
            "that is twelve years before: the last year of the window is one year before, at -1": x[:, -12],
            "that is one year before, as this year": x[:, -1],
            "that is the oldest year of the window, 22 years before": x[:, 0],
            "the last axis is lost: (88, 1), as the forecasts of a network": x[:, -11, 0]}


# Exercises

def exercise_1(answer: Answer) -> None:
    """A straight line drawn on, on paper

    x (3 × 2), y and dy (3 numbers each) for the series 5, 1, 3, 8, 7, T = 2, y = 2 x_1 - x_0, and the mean squared error.
    """
    answer.on_paper("x", [[5, 1], [1, 3], [3, 8]], ["Each window has two numbers, and begins one number later.",
                                                    "After the last window there must be a number left."], {
        "one window too many: after the last one nothing is known": [[5, 1], [1, 3], [3, 8], [8, 7]],
        "windows overlap: each begins one number later than the one before": [[5, 1], [3, 8]],
        "the windows are rows; yours are columns": [[5, 1, 3], [1, 3, 8]]})
    answer.on_paper("y", [-3, 5, 13], ["x_0 is the first number of a window, x_1 the second one.",
                                       "For the first window it is 2 · 1 - 5."], {
        "x_0 and x_1 have changed places": [9, -1, -2],
        "those are the numbers that came": [3, 8, 7],
        "x_0 is added; it is taken off": [7, 7, 19]})
    answer.on_paper("dy", [-4, -2, 4], ["It is twice the error, divided by the number of windows.",
                                        "What came is 3, 8, 7."], {
        "the sign is wrong: it is y minus what came": [4, 2, -4],
        "the square's 2 is missing": [-2, -1, 2],
        "it is not divided by the number of windows": [-12, -6, 12],
        "those are the errors alone": [-6, -3, 6]})


def exercise_2(answer: Answer) -> None:
    """A whole backward, with a batch axis

    forecast_backward(x, after, W, U, b, V, c): runs forward and then backward, and returns dW, dU, db, dV, dc of the mean
    squared error. x (N, T, in), after (N, 1), W (in, H), U (H, H), b (H,), V (H, 1), c (1,); a tanh network that begins with
    zeros, and Dense on its last state.
    """
    names = ("dW", "dU", "db", "dV", "dc")

    def check(N: int, T: int, H: int) -> None:
        rng = np.random.default_rng(100 * N + T)
        sizes = ((N, T, 1), (N, 1), (1, H), (H, H), (H,), (H, 1), (1,))
        x, after, W, U, b, V, c = (rng.normal(scale=0.7, size=size) for size in sizes)
        result = answer.function("forecast_backward")(x, after, W, U, b, V, c)
        h, h_prev = np.zeros((N, T, H)), np.zeros((N, H))
        for t in range(T):
            h[:, t] = h_prev = np.tanh(x[:, t] @ W + h_prev @ U + b)
        off = h[:, -1] @ V + c - after

        def with_dy(dy: np.ndarray) -> tuple[mistakes.Values, mistakes.Mistakes]:
            right, wrong = _through_time(x, h, W, U, dy @ V.T)
            return right | {"dV": h[:, -1].T @ dy, "dc": dy.sum(axis=0)}, wrong
        right, wrong = with_dy(2 * off / N)
        wrong |= {"the square's 2 is missing from dy": with_dy(off / N)[0],
                  "dy is not divided by N; the loss is a mean": with_dy(2 * off)[0],
                  "dy is y - after alone; it has the factor 2 / N": with_dy(off)[0],
                  "the sign of dy is wrong: it is y - after": with_dy(-2 * off / N)[0],
                  "dV is made with the first states; y is made of the last ones": {"dV": h[:, 0].T @ off * 2 / N},
                  "dV is made with all states; y is made of the last ones": {"dV": h.sum(axis=1).T @ off * 2 / N}}
        expect_all(result, right, wrong, names, "forecast_backward", order=("dc", "dV", "db", "dW", "dU"))
    for_each_size(answer, check, [(1, 1, 1), (2, 3, 2), (3, 4, 3)])


def exercise_3(answer: Answer) -> None:
    """A marvellous examination

    The function windows at the end of the lesson has a bug. Write it right as
    fixed_windows(series, T): returns x (N, T), all windows after which a number is known, and these numbers, after (N,).
    """
    series = np.random.default_rng(26).normal(size=9)
    T = 4
    x = np.stack([series[n:n + T] for n in range(5)])
    result = answer.function("fixed_windows")(series, T)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Wrong("fixed_windows should return two arrays: x, after")
    leak = {"that is the last number of each window: the network sees what it is to say, and need only copy it": series[T - 1:],
            "that is the last number of each window; asked is the one after it": series[T - 1:-1],
            "those are two numbers after the window; asked is the next one": series[T + 1:],
            "one is missing: the first window ends before series[T]": series[T + 1:],
            "the last number is missing": series[T:-1]}
    expect_close(result[1], series[T:], "after", mistakes.distinct(leak))
    expect_close(result[0], x, "x", {
        "one window too many: after the last one nothing is known": np.stack([series[n:n + T] for n in range(6)]),
        "a window has T numbers, all of them before what is asked for": np.stack([series[n:n + T - 1] for n in range(5)])},
        axes=("window", "step"))


def exercise_4(answer: Answer) -> None:
    """Is an LSTM needed?

    straight: the error (RMSE, in spots, for the years from 1921 on) of the straight combination of nine years, with a constant,
    that fits the years up to 1920 best.
    """
    got = float(answer.array("straight", ()))
    years, spots = sunspots()
    is_new = years[9:] >= 1921

    def error(T: int, fit: np.ndarray, constant: bool = True, root: bool = True) -> float:
        x = np.stack([spots[n:n + T] for n in range(9 - T, len(spots) - T)])
        x = np.column_stack([x, np.full(len(x), constant)])
        w = np.linalg.lstsq(x[fit], spots[9:][fit], rcond=None)[0]
        squares = np.mean((x[is_new] @ w - spots[9:][is_new]) ** 2)
        return float(np.sqrt(squares) if root else squares)
    right, deviation = error(9, ~is_new), spots[years < 1921].std()
    wrong = {"that is in parts of the deviation; multiply it by std": right / deviation,
             "that is without the root": error(9, ~is_new, root=False),
             "the constant is missing": error(9, ~is_new, constant=False),
             "it was fitted to all years, the ones of the examination too": error(9, is_new | ~is_new),
             "that is this year's number, not a fit": float(np.sqrt(np.mean(np.diff(spots)[8:][is_new] ** 2)))}
    if abs(got - right) < 0.06:
        return
    for sentence, value in wrong.items():
        if abs(got - value) < 0.001 * value:
            raise Wrong(f"straight: {sentence}", recognised=True)
    raise Wrong(f"straight is not {got:g}. Each row has nine years and a 1; fit the rows whose next year is up to 1920")
