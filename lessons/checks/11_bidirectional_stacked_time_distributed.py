"""Checks of lesson 11: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from nblayers.layers import SimpleRNN
from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size

Known = dict[str, np.ndarray]


# Forward

def turn_h_back(lesson: SimpleNamespace) -> Known:
    x, forward = lesson.x, lesson.forward
    weights = lesson.W_back, lesson.U_back, lesson.b_back
    there = lesson.W_there, lesson.U_there, lesson.b_there
    return {"nothing is turned round: that is a second layer that walks there": forward(x, *weights),
            "that is in the order of its walk: row 0 belongs to x_2; turn it round once more": forward(x[:, ::-1], *weights),
            "it reads from the beginning, and is turned round only afterwards; x has to be turned round first":
                forward(x, *weights)[:, ::-1],
            "that turns the samples round; time is the second axis: x[:, ::-1]": forward(x[::-1], *weights)[:, ::-1],
            "those are the weights of the way there; this layer has its own": forward(x[:, ::-1], *there)[:, ::-1]}


def turn_y(lesson: SimpleNamespace) -> Known:
    there, back = lesson.h_there, lesson.h_back
    return {"the halves have changed places: first there, then back": np.concatenate([back, there], axis=2),
            "that puts one after the other in time; the units stand side by side, on the last axis":
                np.concatenate([there, back], axis=1),
            "that puts the samples of one below those of the other; the units stand side by side, on the last axis":
                np.concatenate([there, back]),
            "that is the merge mode `sum`; `concat` puts the halves side by side": there + back,
            "h_back is turned round already: row t belongs to x_t": np.concatenate([there, back[:, ::-1]], axis=2)}


def turn_last(lesson: SimpleNamespace) -> Known:
    there, back = lesson.h_there, lesson.h_back
    return {"that is the last output, y[:, -1]; there the half that walks back has read one step only": lesson.y[:, -1],
            "that is the first output, y[:, 0]; there the half that walks there has read one step only": lesson.y[:, 0],
            "that is where each half begins; where its walk ends it has read all": np.concatenate(
                [there[:, 0], back[:, 2]], axis=1),
            "the halves have changed places: first there, then back": np.concatenate([back[:, 0], there[:, 2]], axis=1)}


# Backward

def turn_dW_out(lesson: SimpleNamespace) -> Known:
    h, do = lesson.h, lesson.do
    return {"it holds one step only: is there a `=` that should be `+=`?": h[:, 2].T @ do[:, 2],
            "that is the first step alone; W_out stands in every step": h[:, 0].T @ do[:, 0],
            "it is a mean over the steps; W_out stands in all of them, so its gradient is the sum": lesson.dW_out / lesson.T,
            "it is a mean over the samples; the loss is a sum": lesson.dW_out / lesson.N,
            "it is a mean over samples and steps; the loss is a sum": lesson.dW_out / lesson.N / lesson.T,
            "it is the transpose; dW_out has the shape of W_out": lesson.dW_out.T}


def turn_db_out(lesson: SimpleNamespace) -> Known:
    do = lesson.do
    return {"the sum over the steps is missing": do.sum(axis=0),
            "the sum over the samples is missing": do.sum(axis=1),
            "it is a mean over the steps; b_out is added in all of them": lesson.db_out / lesson.T,
            "it is a mean over the samples; the loss is a sum": lesson.db_out / lesson.N,
            "it is a mean over samples and steps; b_out is added in all of them": do.mean(axis=(0, 1))}


def turn_dh_above(lesson: SimpleNamespace) -> Known:
    do, W_out, h = lesson.do, lesson.W_out, lesson.h
    return {"all steps are added up; each step's output hears only its own state": lesson.dh_above.sum(axis=1),
            "the slope of the tanh comes later: this is the gradient by h": do @ W_out.T * (1 - h ** 2),
            "that is multiplied by the output; the way back is do times the transpose of W_out": lesson.o @ W_out.T,
            "that is do for each unit; the weights W_out are missing": do + 0 * h}


def turn_dh_1(lesson: SimpleNamespace) -> Known:
    above, later, h = lesson.dh_above, lesson.dh_next, lesson.h
    return {"nothing comes back from the step after; dh_next has to be added": above[:, 1],
            "nothing comes from above; dh_above of step 1 has to be added": later,
            "that is what comes from above to step 2; this is step 1": above[:, 2] + later,
            "that is what comes from above to step 0; this is step 1": above[:, 0] + later,
            "a value that is used twice gets the sum, not the mean": (above[:, 1] + later) / 2,
            "a value that is used twice gets the sum, not the product": above[:, 1] * later,
            "the slope of the tanh comes later, on the way from h_1 to a_1": (above[:, 1] + later) * (1 - h[:, 1] ** 2)}


def turn_walk_back(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    def compare(N: int, T: int, H: int) -> None:
        rng = np.random.default_rng(T)
        dh_above, h, U = rng.normal(size=(N, T, H)), rng.uniform(-1, 1, size=(N, T, H)), rng.normal(size=(H, H))
        right, wrong = _layer(np.zeros((N, T, 1)), h, np.zeros((1, H)), U, dh_above)
        expect_close(given(dh_above, h, U), right["da"], "da", mistakes.known(right, wrong, "da"),
                     axes=("sample", "step", "unit"))
    for size in ((1, 1, 1), (2, 3, 2), (3, 5, 4)):
        compare(*size)


def turn_dy(lesson: SimpleNamespace) -> Known:
    da, W, U, h = lesson.da_up, lesson.W_up, lesson.U_up, lesson.h
    return {"that goes back in time, by U; down to the layer below it is by W_up": da @ U.T,
            "the walk is forgotten: dh_above has not gone through the tanh, and nothing comes from later":
                lesson.dh_above @ W.T,
            "what comes from later steps is missing; da_up has it": lesson.dh_above * (1 - h ** 2) @ W.T,
            "the steps are added up; each y_t is read in one step": lesson.dy.sum(axis=1),
            "that is da by a, not by y; W_up lies between": da}


def turn_dy_there(lesson: SimpleNamespace) -> dict[str, Known]:
    dy, H = lesson.dy, lesson.H
    first, second = dy[:, :, :H], dy[:, :, H:]
    swapped = "the halves have changed places: the first columns belong to the way there"
    turned = "turning comes later; the columns are divided, and each row stays with its step"
    every = "every other column; the halves stand side by side: first all units of there, then all of back"
    half = "joining changes no number; nothing is halved"
    return {"dy_there": {swapped: second, turned: first[:, ::-1], every: dy[:, :, ::2], half: first / 2,
                         "each half is given its own columns only": dy,
                         "those are the first steps; the columns are divided, on the last axis": dy[:, :H]},
            "dy_back": {swapped: first, turned: second[:, ::-1], every: dy[:, :, 1::2], half: second / 2,
                        "each half is given its own columns only": dy,
                        "those are the last steps; the columns are divided, on the last axis": dy[:, H:]}}


def turn_da_back(lesson: SimpleNamespace) -> Known:
    dy, h, U, walk_back = lesson.dy_back, lesson.h_back, lesson.U_back, lesson.walk_back
    return {"nothing is turned round: this half has walked from the end": walk_back(dy, h, U),
            "what comes out is in the order of the walk; turn it round too": walk_back(dy[:, ::-1], h[:, ::-1], U),
            "what goes in has to be in the order of the walk: turn dy_back and h_back round first":
                walk_back(dy, h, U)[:, ::-1],
            "only dy_back is turned round; h_back has to be in the order of the walk too":
                walk_back(dy[:, ::-1], h, U)[:, ::-1],
            "only h_back is turned round; dy_back has to be in the order of the walk too":
                walk_back(dy, h[:, ::-1], U)[:, ::-1],
            "that is what the other half is told; this one has dy_back": walk_back(
                lesson.dy_there[:, ::-1], h[:, ::-1], U)[:, ::-1],
            "those are the recurrent weights of the way there; this half has U_back": walk_back(
                dy[:, ::-1], h[:, ::-1], lesson.U_there)[:, ::-1],
            "U_back is transposed already inside the step": walk_back(dy[:, ::-1], h[:, ::-1], U.T)[:, ::-1]}


def turn_h_before_back(lesson: SimpleNamespace) -> Known:
    h, start = lesson.h_back, lesson.start
    return {"that is the state of the step before in time; this half comes to step t from step t + 1":
                np.concatenate([start, h[:, :-1]], axis=1),
            "those are the states that the steps leave; asked for are those they begin with": h,
            "the zeros stand at the wrong end: this half begins at the last step": np.concatenate([start, h[:, 1:]], axis=1),
            "the last row is the state of step 0; this half begins with zeros": np.roll(h, -1, axis=1),
            "the row of zeros is missing: the last step begins with them": h[:, 1:],
            "that is in the order of the walk; row t is to belong to x_t, as in da_back":
                np.concatenate([start, h[:, :0:-1]], axis=1)}


def turn_dx(lesson: SimpleNamespace) -> Known:
    there, back = lesson.da_there @ lesson.W_there.T, lesson.da_back @ lesson.W_back.T
    return {"the half that walks back is missing; it reads x too": there,
            "the half that walks there is missing; it reads x too": back,
            "x is used twice: that gives the sum, not the mean": (there + back) / 2,
            "da_back is in order already: row t belongs to x_t": there + back[:, ::-1],
            "the two are added, not put side by side": np.concatenate([there, back], axis=2),
            "each half goes back by its own weights; here both go by W_there": there + lesson.da_back @ lesson.W_there.T,
            "each half goes back by its own weights; here both go by W_back": lesson.da_there @ lesson.W_back.T + back,
            "that is made with dy; between h and x lie the slope, and what comes from later":
                lesson.dy_there @ lesson.W_there.T + lesson.dy_back @ lesson.W_back.T}


def turn_d_ave(lesson: SimpleNamespace) -> Known:
    d = lesson.d_joined
    return {"that is what a sum sends; the average has a factor 1/2": d,
            "a factor of 2: the average is half the sum, so half of it goes back": 2 * d,
            "the average has no product in it; the halves themselves do not come back":
                d * (lesson.h_there + lesson.h_back) / 2,
            "that is what a product sends, halved": d * lesson.h_back / 2}


def turn_d_mul(lesson: SimpleNamespace) -> Known:
    d = lesson.d_joined
    return {"each factor is given d times the OTHER factor; this is the factor itself": d * lesson.h_there,
            "that is what a sum sends; in a product each factor is given d times the other one": d,
            "both factors are there; h_there is given d times h_back alone": d * lesson.h_there * lesson.h_back,
            "d_joined is missing: how the loss grows with the product": lesson.h_back,
            "the factor 1/2 belongs to the average; a product has none": d * lesson.h_back / 2}


def turn_paths(lesson: SimpleNamespace) -> Known:
    def count(rule: Callable[[np.ndarray, int, int], int], first: int = 0) -> np.ndarray:
        paths = np.zeros((4, 51), int)
        paths[2, 50] = 1
        for k in (2, 1, 0):
            for t in reversed(range(first, 50)):
                paths[k, t] = rule(paths, k, t)
        return paths

    def both(paths: np.ndarray, k: int, t: int) -> int:
        return int(paths[k + 1, t] + paths[k, t + 1])
    return {"nothing comes from the layer above: add paths[k + 1, t], and walk through the uppermost layer first":
                count(lambda paths, k, t: paths[k, t + 1]),
            "that allows for paths which go up and right at once; a path goes up, or right":
                count(lambda paths, k, t: both(paths, k, t) + paths[k + 1, t + 1]),
            "the first step is missing: reversed(range(50)) goes over 49, …, 0": count(both, first=1),
            "each state is counted as a path of its own; only the last state of the uppermost layer has one":
                count(lambda paths, k, t: both(paths, k, t) + 1),
            "from above it is the state of the same step, paths[k + 1, t]": count(
                lambda paths, k, t: paths[k + 1, t + 1] + paths[k, t + 1])}


# Exercises

def exercise_1(answer: Answer) -> None:
    """Both directions on paper, and paths

    y (3, 2) for x = (4, 2, 8), each half adding half the state before to x; dx (3,) for a gradient of 1 at both numbers of y_0
    and 0 elsewhere; paths, how many lead from the first state of the lowest of 4 layers that read 4 steps to the last state of
    the uppermost.
    """
    answer.on_paper("y", [[4, 7], [4, 6], [10, 8]], [
        "First column: h_t = x_t + h_{t-1} / 2, from x_0 on. Second column: the same from x_2 to x_0, in the row of its x.",
        "The walk from the end begins with 8, then 2 and half of 8."], {
        "the second column stands in the order of its walk; turn it round, so that both belong to the same x": [
            [4, 8], [4, 6], [10, 7]],
        "both halves walk from the beginning": [[4, 4], [4, 4], [10, 10]],
        "the halves have changed places: first the one that walks from x_0": [[7, 4], [6, 4], [8, 10]],
        "it should be (3, 2), a row for each step": [[4, 4, 10], [7, 6, 8]],
        "that is by `sum`; `concat` puts them side by side": [11, 10, 18]})
    answer.on_paper("dx", [2, 0.5, 0.25], [
        "Which inputs has each of the two numbers of y_0 seen, and through how many halves?",
        "The first number of y_0 has seen x_0 alone; the second has seen x_0, x_1 and x_2."], {
        "x_0 is read by both halves, and what comes back adds up": [1, 0.5, 0.25],
        "that is for the half from the beginning alone": [1, 0, 0],
        "the second number of y_0 is the last state of its walk: it has seen x_1 and x_2 too": [2, 0, 0],
        "the gradient was not turned round: it went to the end of the other column": [1, 0, 1],
        "what comes out of the half from the end is still in the order of its walk": [1.25, 0.5, 1],
        "the second number of y_0 has seen x_2 through two steps, each by a half": [2, 0.5, 0.5]})
    answer.on_paper("paths", 20, [
        "Each path goes three times to the right (a step) and three times up (a layer). In how many orders?",
        "Draw the grid of 4 layers and 4 steps. Each place has the paths of the one above and of the one at its right."], {
        "from step 0 to step 3 it is three times to the right, from layer to layer three times up": 70,
        "that is how many arrows a path has": 6,
        "each path goes right three times and up three times, in any order": 9,
        "that is with any layer at any step, down too; a path only goes right and up": 64,
        "one of the two counts is short: three times right and three times up": 10,
        "one of the two counts is too long: three times right and three times up": 35})


LOWER = {
    "nothing": "nothing is turned round for the half that walks back; it has walked from the end",
    "out": "what comes out of the half that walks back is in the order of its walk; turn it round before it is used with x",
    "in": "what the half that walks back is given should be in the order of its walk: turn dy and h_back round",
    "dy only": "only dy is turned round for the half that walks back; h_back has to be in the order of its walk too",
    "h only": "only h_back is turned round for the half that walks back; dy has to be in the order of its walk too",
    "swapped": "the halves of dy have changed places: the first columns belong to the half that walks there",
    "dh_above": "the lower layers are given dh_above; they hear what the upper one hands down, da W_upᵀ",
    "no walk there": "the half that walks there has no walk: what comes back from its later steps is missing",
    "no walk back": "the half that walks back has no walk: what comes back from its later steps is missing",
    "before": "the state before is the wrong one: the half that walks back comes to step t from step t + 1",
    "before there": "the state before is the wrong one: in dU_there stands h_there of the step before",
    "x there": "x is read by both halves; what comes by the half that walks back is missing from dx",
    "x back": "x is read by both halves; what comes by the half that walks there is missing from dx",
    "x mean": "x is read by both halves: that gives the sum, not the mean",
}
TURNED = {"nothing": (1, 1, 1), "out": (-1, -1, 1), "in": (1, 1, -1), "dy only": (-1, 1, -1), "h only": (1, -1, -1)}


def exercise_2(answer: Answer) -> None:
    """The whole backward of the network, with batch axis

    network_backward(dh_above, x, h_there, h_back, h, W_there, U_there, W_back, U_back, W_up, U_up): returns dx, dW_there,
    dU_there, dW_back, dU_back, dW_up, dU_up. dh_above (N, T, H) is what comes from above into h, the states of the upper layer;
    x (N, T, in); h_there and h_back (N, T, H), row t belongs to x_t; W (in, H), W_up (2H, H), U (H, H); first states 0.
    """
    names = ("dx", "dW_there", "dU_there", "dW_back", "dU_back", "dW_up", "dU_up")
    order = ("dW_up", "dU_up", "dW_there", "dU_there", "dW_back", "dU_back", "dx")

    def check(N: int, T: int, inputs: int, H: int) -> None:
        rng = np.random.default_rng(10 * N + T)
        x, dh_above = rng.normal(size=(N, T, inputs)), rng.normal(size=(N, T, H))
        weights = [rng.normal(size=size) for size in ((inputs, H), (H, H), (inputs, H), (H, H), (2 * H, H), (H, H))]
        W_there, U_there, W_back, U_back, W_up, U_up = weights
        h_there, h_back = _forward(x, W_there, U_there), _forward(x[:, ::-1], W_back, U_back)[:, ::-1]
        h = _forward(np.concatenate([h_there, h_back], axis=2), W_up, U_up)
        given = (dh_above, x, h_there, h_back, h, *weights)
        right, wrong = _network(*given)
        result = answer.function("network_backward")(*given)
        expect_all(result, right, wrong, names, "network_backward", {"dx": ("sample", "step", "input")}, order=order)
    for_each_size(answer, check, [(1, 1, 1, 1), (2, 2, 1, 1), (2, 3, 1, 2), (3, 4, 2, 3)])


def _network(dh_above: np.ndarray, x: np.ndarray, h_there: np.ndarray, h_back: np.ndarray, h: np.ndarray, W_there: np.ndarray,
             U_there: np.ndarray, W_back: np.ndarray, U_back: np.ndarray, W_up: np.ndarray,
             U_up: np.ndarray) -> tuple[mistakes.Values, mistakes.Mistakes]:
    """All gradients, and what they become by the mistakes of one layer and by those in `LOWER`."""
    y, H = np.concatenate([h_there, h_back], axis=2), h.shape[2]
    up, wrong_up = _layer(y, h, W_up, U_up, dh_above)

    def lower(mistake: str) -> mistakes.Values:
        dy = np.concatenate([dh_above, dh_above], axis=2) if mistake == "dh_above" else up["dx"]
        dy_there, dy_back = (dy[:, :, H:], dy[:, :, :H]) if mistake == "swapped" else (dy[:, :, :H], dy[:, :, H:])
        da_there = _walk_back(dy_there, h_there, 0 * U_there if mistake == "no walk there" else U_there)
        turn_dy, turn_h, turn_out = TURNED.get(mistake, (-1, -1, -1))
        da_back = _walk_back(dy_back[:, ::turn_dy], h_back[:, ::turn_h], 0 * U_back if mistake == "no walk back" else U_back)
        da_back = da_back[:, ::turn_out]
        before_there, before_back = _before(h_there), _before(h_back[:, ::-1])[:, ::-1]
        before_back = _before(h_back) if mistake in ("before", "nothing") else before_back
        before_there = h_there if mistake == "before there" else before_there
        dx_there, dx_back = da_there @ W_there.T, da_back @ W_back.T
        dx = {"x there": dx_there, "x back": dx_back, "x mean": (dx_there + dx_back) / 2}.get(mistake, dx_there + dx_back)
        return {"dx": dx, "dW_there": _product(x, da_there), "dU_there": _product(before_there, da_there),
                "dW_back": _product(x, da_back), "dU_back": _product(before_back, da_back)}

    right = lower("") | {"dW_up": up["dW"], "dU_up": up["dU"]}
    wrong = {sentence: lower(mistake) for mistake, sentence in LOWER.items()}
    wrong |= {sentence: {f"{name}_up": values[name] for name in ("dW", "dU") if name in values}
              for sentence, values in wrong_up.items()}
    for half, turn, weights in (("there", 1, (W_there, U_there)), ("back", -1, (W_back, U_back))):
        states, dy = (h_there, up["dx"][:, :, :H]) if half == "there" else (h_back, up["dx"][:, :, H:])
        _, wrong_half = _layer(x[:, ::turn], states[:, ::turn], *weights, dy[:, ::turn])
        for sentence, values in wrong_half.items():
            wrong.setdefault(sentence, {}).update({f"{name}_{half}": values[name] for name in ("dW", "dU") if name in values})
    return right, wrong


def _layer(x: np.ndarray, h: np.ndarray, W: np.ndarray, U: np.ndarray,
           dy: np.ndarray) -> tuple[mistakes.Values, mistakes.Mistakes]:
    return mistakes.simple_rnn_backward(x, np.zeros_like(h[:, 0]), h, W, U, dy)


def exercise_3(answer: Answer) -> None:
    """The direction that was not turned round

    The function bidirectional_backward at the end of the lesson has a bug. Write it right as
    fixed_bidirectional_backward(there, back, dy): returns dx (N, T, in) for dy (N, T, 2H). `there` and `back` are functions.
    They take the gradient by the outputs of their layer and return the one by its inputs, both in the order of its walk.
    """
    rng = np.random.default_rng(12)
    dy, (mix_there, mix_back) = rng.normal(size=(3, 5, 4)), np.triu(rng.normal(size=(2, 5, 5)))
    W_there, W_back = rng.normal(size=(2, 2, 3))

    def there(d: Any) -> np.ndarray:
        return np.asarray(mix_there @ np.asarray(d) @ W_there)

    def back(d: Any) -> np.ndarray:
        return np.asarray(mix_back @ np.asarray(d) @ W_back)

    first, d = there(dy[:, :, :2]), dy[:, :, 2:]
    turned = back(d[:, ::-1])
    expect_close(answer.function("fixed_bidirectional_backward")(there, back, dy), first + turned[:, ::-1], "dx", {
        "what `back` returns is in the order of its walk; turn it round before it is added": first + turned,
        "what `back` is given should be in the order of its walk, which begins at the end": first + back(d)[:, ::-1],
        "nothing is turned round": first + back(d),
        "`there` walks from the beginning; only `back` needs turning": there(dy[:, ::-1, :2])[:, ::-1] + turned[:, ::-1],
        "the sum is turned round; of `there` it was in order": (first + turned)[:, ::-1],
        "time is the second axis; that turns the samples round": first + back(d[::-1])[::-1],
        "time is the second axis, not the columns": first + back(d[:, :, ::-1])[:, :, ::-1],
        "the halves of dy have changed places: the first belongs to `there`": there(d) + back(dy[:, ::-1, :2])[:, ::-1],
        "the way back is missing": first}, axes=("sample", "step", "input"))


def exercise_4(answer: Answer) -> None:
    """How far back a stack hears best

    steps: how many steps before the last the gradient by the last output of three linear SimpleRNNs is largest.
    """
    steps = float(answer.array("steps", ()))
    layers = [SimpleRNN(1, activation=None, return_sequences=True, dtype="float64").to("reference") for _ in range(3)]
    value: Any = np.ones((1, 60, 1))
    for layer in layers:
        layer.build(value.shape)
        layer.set_weights([[[1.0]], [[0.85]], [0.0]])
        value = layer.forward(value)
    d: Any = np.zeros_like(value)
    d[0, -1] = 1
    for layer in reversed(layers):
        d = layer.backward(d)
    heard = d[0, ::-1, 0]
    largest = int(np.argmax(heard))
    if steps == largest:
        return
    if steps in (59 - largest, 60 - largest):
        raise Wrong(f"{steps:g} counts from the first step; the question is how many steps before the last")
    if steps != int(steps) or not 0 <= steps < 60:
        raise Wrong(f"steps should be a whole number from 0 to 59, but is {steps:g}")
    if steps == 0:
        raise Wrong("there it is largest in one layer; in three it is 1 there, but more paths lead to steps further back")
    raise Wrong(f"{steps:g} steps before the last the gradient is {heard[int(steps)]:.4g}, but elsewhere it is larger")


def _forward(x: np.ndarray, W: np.ndarray, U: np.ndarray) -> np.ndarray:
    h, h_prev = np.zeros((*x.shape[:2], len(U))), np.zeros((len(x), len(U)))
    for t in range(x.shape[1]):
        h[:, t] = h_prev = np.tanh(x[:, t] @ W + h_prev @ U)
    return h


def _walk_back(dy: np.ndarray, h: np.ndarray, U: np.ndarray) -> np.ndarray:
    da, dh_next = np.zeros_like(h), np.zeros_like(h[:, 0])
    for t in reversed(range(h.shape[1])):
        da[:, t] = (dy[:, t] + dh_next) * (1 - h[:, t] ** 2)
        dh_next = da[:, t] @ U.T
    return da


def _before(h: np.ndarray) -> np.ndarray:
    return mistakes.before(np.zeros_like(h[:, 0]), h)


def _product(a: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("nti,ntj->ij", a, d))
