"""Checks of lesson 26h: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from lessons.data import moving_shapes
from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size

Known = dict[str, np.ndarray]

TURNED = "the taps count forwards, as in forward; going back the window is turned round"


def _convolve(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    p, places = len(w) // 2, x.shape[1]
    x = np.pad(x, ((0, 0), (p, p), (0, 0)))
    return sum((x[:, k:k + places] @ w[k] for k in range(len(w))), np.zeros(1))


def _back(d: np.ndarray, w: np.ndarray) -> np.ndarray:
    return _convolve(d, w[::-1].swapaxes(1, 2))


def _taps(x: np.ndarray, d: np.ndarray, K: int) -> np.ndarray:
    """The gradient of a window, (K, in, out): what each tap met, times what comes back."""
    p, places = K // 2, x.shape[1]
    x = np.pad(x, ((0, 0), (p, p), (0, 0)))
    return np.stack([np.einsum("nmf,nmg->fg", x[:, k:k + places], d) for k in range(K)])


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


# The data and the baseline

def turn_x(lesson: SimpleNamespace) -> Known:
    film, T, N = lesson.film, lesson.T, lesson.N
    return {"one window too many: after the last one no frame is known": np.stack([film[n:n + T] for n in range(N + 1)]),
            "the frames stand backwards in the windows": np.stack([film[n:n + T][::-1] for n in range(N)]),
            "every window begins a frame too late: the first one is film[0:3]":
                np.stack([film[n + 1:n + 1 + T] for n in range(N)]),
            "the windows are a frame too long: T frames each": np.stack([film[n:n + T + 1] for n in range(N)]),
            "the axes have changed places: (N, T, P, 1)": np.stack([film[n:n + T] for n in range(N)]).swapaxes(0, 1),
            "the last axis is lost; it counts channels": np.stack([film[n:n + T] for n in range(N)])[..., 0]}


def turn_asked(lesson: SimpleNamespace) -> Known:
    film, T, N = lesson.film, lesson.T, lesson.N
    return {"that is the last frame of each window itself; asked is the one after it": film[T - 1:-1],
            "that is the first frame of each window": film[:N],
            "that is the second frame of each window; asked is the one after the last": film[1:1 + N],
            "one is missing: the first window ends before frame 3": film[T + 1:],
            "the last axis is lost; it counts channels": film[T:, :, 0]}


def turn_as_last(lesson: SimpleNamespace) -> Known:
    x = lesson.x
    return {"that is the first frame of each window; the last one is at -1": x[:, 0],
            "that is the last window; the last frame of each window is x[:, -1]": x[-1],
            "that is the truth, which the baseline does not know": lesson.asked,
            "that is the mean of the frames": x.mean(axis=1),
            "that is the frame before the last": x[:, -2]}


def turn_iou(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    a, b = np.random.default_rng(0).random(size=(2, 3, 7, 1)).round(2)
    b = b > 0.3
    both, one = np.sum((a > 0.5) & b), np.sum((a > 0.5) | b)
    a_film = [np.sum((p > 0.5) & q) / np.sum((p > 0.5) | q) for p, q in zip(a, b, strict=True)]
    expect_close(given(a, b), both / one, "iou", {
        "that is the number of points lit in both; divide by those lit in one of them at least": both,
        "divide by the points that are lit in one of them at least, not by all": both / a.size,
        "that is the share of points that agree; the dark ones should not count": np.mean((a > 0.5) == b),
        "it is divided by the sum of both; what is lit in both counts once": both / (np.sum(a > 0.5) + np.sum(b)),
        "that divides by the lit points of the first alone": both / np.sum(a > 0.5),
        "that divides by the lit points of the second alone": both / np.sum(b),
        "that is the mean over the frames; count over all points of all frames": np.mean(a_film),
        "a number above 0 is not lit yet; above 0.5 it is": np.sum((a > 0) & b) / np.sum((a > 0) | b),
        "union and intersection have changed places": one / both})


# The painter

def turn_z(lesson: SimpleNamespace) -> Known:
    h, V, c = lesson.h, lesson.V, lesson.c
    return {"the bias c is missing": _convolve(h, V),
            "that is y; the sigmoid comes in the next line": _sigmoid(_convolve(h, V) + c),
            "that is one tap; all three meet h": h @ V[1] + c,
            "the window is turned round; that is the way back": _convolve(h, V[::-1]) + c,
            "that paints the last frame; the painter reads the state h": _convolve(lesson.x[:, -1], V) + c}


def turn_dz(lesson: SimpleNamespace) -> Known:
    y, t = lesson.y, lesson.asked
    count = t.size
    return {"the division is missing: the loss is a mean over N P points": y - t,
            "it is divided by the frames alone; the mean is over their points too: N P": (y - t) / lesson.N,
            "it is divided by the points of a frame alone; the mean is over the frames too: N P": (y - t) / lesson.P,
            "the sign is wrong: a point that is painted too bright should become darker": (t - y) / count,
            "the slope of the sigmoid has cancelled; it does not come in once more": (y - t) * y * (1 - y) / count,
            "that is the gradient by y; by z the slope of the sigmoid comes in, and cancels": (y - t) / (y * (1 - y)) / count}


def turn_dV(lesson: SimpleNamespace) -> Known:
    h, dz = lesson.h, lesson.dz
    right = _taps(h, dz, 3)
    return {"the taps are in the wrong order: tap 0 met the place before": right[::-1],
            "that is made with the last frame; the painter reads the state h": _taps(lesson.x[:, -1], dz, 3),
            "it is divided by N; the mean is in dz already": right / lesson.N,
            "only the first picture is heard; V stands in all of them": _taps(h[:1], dz[:1], 3),
            "every tap is given what the middle one met; tap k met h_padded[:, k:k + P]": np.repeat(right[1:2], 3, axis=0)}


def turn_dh(lesson: SimpleNamespace) -> Known:
    dz, V = lesson.dz, lesson.V
    return {TURNED: _convolve(dz, V.swapaxes(1, 2)),
            "that is one tap; three places have heard each h": dz @ V[1].T,
            "V is missing": dz + 0 * lesson.h,
            "it is made with y - asked; dz has the division in it": _back(lesson.y - lesson.asked, V)}


# The memory

def turn_dC(lesson: SimpleNamespace) -> Known:
    dh, o, C = lesson.dh, lesson.o, lesson.C
    slope = 1 - np.tanh(C) ** 2
    return {"o is forgotten: h = o tanh(C)": dh * slope,
            "the slope of tanh(C) is missing: 1 - tanh² C": dh * o,
            "the slope of tanh(C) is made with C itself: it is 1 - tanh² C": dh * o * (1 - C ** 2),
            "the slope of tanh(C) lacks its square: it is 1 - tanh² C": dh * o * (1 - np.tanh(C)),
            "tanh(C) stands where its slope belongs": dh * o * np.tanh(C),
            "that is do; C comes into h through the tanh, times o": dh * np.tanh(C)}


def turn_da_f(lesson: SimpleNamespace) -> Known:
    dC, C_prev, f = lesson.dC, lesson.C_prev, lesson.f
    return {"the slope of f is missing: f (1 - f)": dC * C_prev,
            "the second factor of the slope is missing: f (1 - f)": dC * C_prev * f,
            "that is the slope of a tanh; a gate has f (1 - f)": dC * C_prev * (1 - f ** 2),
            "it is made with the new cell; f is multiplied by the one before, C_prev": dC * lesson.C * f * (1 - f),
            "f is multiplied by C_prev, not by C̃": dC * lesson.C_tilde * f * (1 - f),
            "that is made with dh; f comes into C, so it gets dC": lesson.dh * C_prev * f * (1 - f),
            "C_prev is missing: f stands beside it": dC * f * (1 - f)}


def turn_dh_prev(lesson: SimpleNamespace) -> Known:
    da, U = lesson.da, lesson.U
    return {TURNED: _convolve(da, U.swapaxes(1, 2)),
            "that goes down to the frame, by W; back to the state it is by U": _back(da, lesson.W),
            "that is one tap; three places have heard each h": da @ U[1].T,
            "that is through the forget gate alone; h_prev stands in all four": _back(lesson.da_f, U[..., 1:2])}


def turn_x_moved(lesson: SimpleNamespace) -> Known:
    x, y, painted = lesson.x, lesson.y[:, None], (lesson.y > 0.5)[:, None]
    return {"the painted frame is not made one of 0 and 1 yet: (y > 0.5)": np.concatenate([x[:, 1:], y], axis=1),
            "the painted frame comes in at the front; it is the newest": np.concatenate([painted, x[:, :-1]], axis=1),
            "the newest frame goes out; it should be the oldest, the first one": np.concatenate([x[:, :-1], painted], axis=1),
            "the oldest frame stays; the window should keep its T frames": np.concatenate([x, painted], axis=1),
            "the truth comes in; nobody has it yet: feed the painted frame back":
                np.concatenate([x[:, 1:], lesson.asked[:, None]], axis=1),
            "the last frame is copied; the painted one should come in": np.concatenate([x[:, 1:], x[:, -1:]], axis=1),
            "the oldest frame comes in again; it should be the painted one": np.roll(x, -1, axis=1)}


# Exercises

def exercise_1(answer: Answer) -> None:
    """Frames that fit, and a painter's way back, on paper

    shared, the IoU of 1 1 0 0 1 and 0 1 1 0 1; dh (4 numbers) for V = (1, 3, -2) and dz = (0, 1, 0, 2).
    """
    answer.on_paper("shared", 0.5, ["Count the places where both are 1, and those where at least one is.",
                                    "Two places are lit in both."], {
        "that is the share of places that agree; dark ones do not count": 0.6,
        "divide by the places that are lit in one of them at least, not by all": 0.4,
        "divide by the places that are lit in one of them at least, not by those of one frame": 2 / 3,
        "what is lit in both counts once in the union": 1 / 3})
    answer.on_paper("dh", [1, 3, 0, 6], [
        "Forward, place m heard h of m - 1, m and m + 1, by the taps 0, 1, 2. Where does dz_m go, by which tap?",
        "dz_1 sends V_0 to place 0, V_1 to place 1, V_2 to place 2."], {
        TURNED: [-2, 3, -3, 6],
        "where two windows lie on a place, the later one has overwritten the earlier; they add up": [1, 3, 2, 6],
        "where two windows lie on a place, only the earlier one counts; they add up": [1, 3, -2, 6],
        "dz is missing": [1, 3, -1, 3]})


def exercise_2(answer: Answer) -> None:
    """A whole backward, with a batch axis

    painter_backward(h, V, c, asked): runs forward and then backward, and returns dV, dc, dh of the mean binary cross-entropy
    of y = σ(V * h + c). h (N, P, F), V (K, F, G) with K odd and K // 2 zeros at either end, c (G,), asked (N, P, G) of 0 and 1.
    """
    names = ("dV", "dc", "dh")

    def check(N: int, P: int, F: int, G: int, K: int) -> None:
        rng = np.random.default_rng(100 * N + P)
        h, V, c = rng.normal(size=(N, P, F)), rng.normal(size=(K, F, G)), rng.normal(size=G)
        asked = rng.integers(2, size=(N, P, G)).astype(float)
        result = answer.function("painter_backward")(h, V, c, asked)
        y = _sigmoid(_convolve(h, V) + c)

        def compute(mistake: str) -> mistakes.Values:
            dz = (y - asked) / {"sum": 1, "by N": N, "by N P": N * P}.get(mistake, asked.size)
            dz = {"sign": -dz, "slope": dz * y * (1 - y), "by y": dz / (y * (1 - y))}.get(mistake, dz)
            dV, dc = _taps(h, dz, K), dz.sum(axis=(0, 1))
            dh = _convolve(dz, V.swapaxes(1, 2)) if mistake == "forwards" else _back(dz, V)
            return {"dV": dV[::-1] if mistake == "taps" else dV, "dc": dc / N if mistake == "mean" else dc,
                    "dh": dz @ V[K // 2].T if mistake == "middle" else dh}
        right = compute("")
        wrong = mistakes.spoiled(right, compute, {
            "sum": "the division is missing: the loss is a mean over all points of all frames",
            "by N": "it is divided by the frames alone; the mean is over their points too",
            "by N P": "it is divided by N P; with G channels the mean is over N P G numbers",
            "sign": "the sign of dz is wrong: it is y - asked",
            "slope": "the slope of the sigmoid has cancelled; it does not come in once more",
            "by y": "that is the gradient by y; dz is y - asked, divided by their number",
            "forwards": TURNED,
            "taps": "the taps are in the wrong order: tap 0 met the place before",
            "mean": "dc is divided by N once more; the mean is in dz already",
            "middle": "only the middle tap sends back; all of them met h"})
        expect_all(result, right, wrong, names, "painter_backward", {"dh": ("frame", "place", "filter"),
                   "dV": ("tap", "filter", "channel")}, order=("dc", "dV", "dh"))
    for_each_size(answer, check, [(1, 2, 1, 1, 1), (2, 4, 1, 1, 3), (3, 6, 2, 2, 5)])


def exercise_3(answer: Answer) -> None:
    """A film that stands still

    The function go_on at the end of the lesson has a bug. Write it right as
    fixed_go_on(model, x, count): returns the next frames, (N, count, P), for x (N, T, P) of 0 and 1. `model` gives numbers
    from 0 to 1, (N, P), for (N, T, P); what it is fed is 0 or 1.
    """
    rng = np.random.default_rng(28)
    w, x = rng.normal(size=(3, 4, 4)), (rng.random((2, 3, 4)) > 0.5).astype(float)

    def model(x: np.ndarray) -> np.ndarray:
        return _sigmoid(2 * np.einsum("ntp,tpq->nq", x, w))

    def go_on(mistake: str = "") -> np.ndarray:
        at, frames = x, []
        for _ in range(5):
            y = model(at)
            frames.append(y)
            fed = y if mistake == "grey" else (y > 0.5).astype(float)
            if mistake == "front":
                at = np.concatenate([fed[:, None], at[:, :-1]], axis=1)
            elif mistake == "newest":
                at = np.concatenate([at[:, :-1], fed[:, None]], axis=1)
            elif mistake != "still":
                at = np.concatenate([at[:, 1:], fed[:, None]], axis=1)
        return np.stack(frames, axis=1)
    right = go_on()
    expect_close(answer.function("fixed_go_on")(model, x, 5), right, "the frames", mistakes.distinct({
        "the film still stands still: the frame that was painted has to come into the window": go_on("still"),
        "the painted frame is fed back as it is; make it one of 0 and 1, as in the lesson": go_on("grey"),
        "the painted frame comes in at the front; it is the newest": go_on("front"),
        "the newest frame goes out; it should be the oldest, the first one": go_on("newest"),
        "the frames are a result of 0 and 1; return what the model says": (right > 0.5).astype(float),
        "the axes have changed places: (N, count, P)": right.swapaxes(0, 1)}, right), axes=("film", "frame", "point"))


def exercise_4(answer: Answer) -> None:
    """If somebody told the way

    shifted: for 100 films of moving_shapes with np.random.default_rng(0), the mean of the best IoU of frame 3, shifted in one
    of nine ways by np.roll, with frame 4.
    """
    got = float(answer.array("shifted", ()))
    films, _ = moving_shapes(100, np.random.default_rng(0))
    last, truth = films[:, 3, ..., 0] > 0.5, films[:, 4, ..., 0] > 0.5

    def fit(a: np.ndarray) -> np.ndarray:
        return (a & truth).sum(axis=(1, 2)) / (a | truth).sum(axis=(1, 2))
    by_way = np.stack([fit(np.roll(last, (row, column), (1, 2))) for row in (-1, 0, 1) for column in (-1, 0, 1)])
    right = by_way.max(axis=0).mean()
    if abs(got - right) < 1e-4:
        return
    for sentence, value in (("that is the copy as it is, not shifted", by_way[4].mean()),
                            ("that is the mean of all nine ways; take the best one of each film", by_way.mean()),
                            ("that is one way for all films, the best one; each film has its own", by_way.mean(axis=1).max()),
                            ("a share is from 0 to 1", 100 * right)):
        if abs(got - value) < 1e-4 * max(1, value):
            raise Wrong(f"shifted: {sentence}", recognised=True)
    raise Wrong(f"shifted is not {got:g}. For each film take the largest of nine numbers, then the mean over the films")
