"""Checks of the exercises of lesson 11."""
from typing import Any

import numpy as np

from nblayers.layers import SimpleRNN
from nblayers.learn.exercises import Answer, Wrong, expect_close, returned


def exercise_1(answer: Answer) -> None:
    """Both directions on paper, and paths

    y (3, 2) for x = (4, 2, 8), both directions adding half the state before to x; dx (3,) for a gradient of 1 at both numbers
    of y_1 and 0 elsewhere; paths, how many lead from x_1 to the last state of 4 layers that read 4 steps.
    """
    answer.on_paper("y", [[4, 7], [4, 6], [10, 8]], [
        "First column: h_t = x_t + h_{t-1} / 2, from x_1 on. Second column: the same from x_3 to x_1, in the row of its x.",
        "The walk from the end gives 8, then 2 + 4, then 4 + 3."], {
        "the second column stands in the order of its walk; turn it round, so that both belong to the same x": [
            [4, 8], [4, 6], [10, 7]],
        "both directions walk from the beginning": [[4, 4], [4, 4], [10, 10]],
        "the directions have changed places: first the one from x_1": [[7, 4], [6, 4], [8, 10]],
        "it should be (3, 2), a row for each step": [[4, 4, 10], [7, 6, 8]],
        "that is by `sum`; `concat` puts them side by side": [11, 10, 18]})
    answer.on_paper("dx", [2, 0.5, 0.25], [
        "Which inputs has each of the two numbers of y_1 seen, and through how many halves?",
        "y^f_1 has seen x_1 alone; y^b_1 has seen x_1, x_2 and x_3."], {
        "x_1 is read by both directions, and what comes back adds up": [1, 0.5, 0.25],
        "that is for the direction from the beginning alone": [1, 0, 0],
        "y^b_1 is the last state of its walk: it has seen x_2 and x_3 too": [2, 0, 0],
        "the gradient was not turned round: it went to the end of the other column": [1, 0, 1],
        "what comes out of the direction from the end is still in the order of its walk": [1.25, 0.5, 1],
        "y^b_1 has seen x_3 through two steps, each by a half": [2, 0.5, 0.5]})
    answer.on_paper("paths", 20, [
        "Each path goes three times to the right (a step) and three times up (a layer). In how many orders?",
        "Choose which 3 of the 6 arrows go up."], {
        "from step 1 to step 4 it is three times to the right, from layer 1 to layer 4 three times up": 70,
        "that is how many arrows a path has": 6,
        "each path goes right three times and up three times, in any order": 9,
        "that is with any layer at any step, down too; a path only goes right and up": 64,
        "one of the two counts is short: three times right and three times up": 10,
        "one of the two counts is too long: three times right and three times up": 35})


def exercise_2(answer: Answer) -> None:
    """Back through a stack

    stack_backward(x, h1, h2, dh2, W1, U1, W2, U2): returns dx, dW1, dU1, dW2, dU2. h1_t = tanh(x_t W1 + h1_{t-1} U1), h2 is
    the same over h1, both (T, units), first states 0; dh2 (T, units) is what comes from above into every h2_t.
    """
    rng = np.random.default_rng(11)
    W1, U1, W2, U2 = (rng.normal(size=shape) for shape in ((2, 3), (3, 3), (3, 3), (3, 3)))
    x, dh2 = rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
    h1 = _walk(x, W1, U1)
    h2 = _walk(h1, W2, U2)
    result = answer.function("stack_backward")(x, h1, h2, dh2, W1, U1, W2, U2)
    returned(result, "stack_backward", "dx", "dW1", "dU1", "dW2", "dU2")

    def both(**changed: bool) -> dict[str, np.ndarray]:
        upper = {name[1:]: value for name, value in changed.items() if name[0] == "u"}
        lower = {name[1:]: value for name, value in changed.items() if name[0] == "l"}
        down, dW2, dU2 = _walk_back(h1, h2, dh2, W2, U2, **upper)
        dx, dW1, dU1 = _walk_back(x, h1, dh2 if changed.get("skip") else down, W1, U1, **lower)
        return {"dW2": dW2, "dU2": dU2, "dW1": dW1, "dU1": dU1, "dx": dx}

    right = both()
    faults = {"the upper layer's carry is dropped: h2_t is heard by h2_{t+1} too": both(ucarry=False),
              "the upper layer's carry is made with the transpose of U2": both(uturned=True),
              "the slope of the upper layer's tanh, 1 - h2², is missing": both(uslope=False),
              "the upper layer's state before is the wrong one: in dU2 stands h2_{t-1}": both(ushifted=False),
              "the lower layer's carry is dropped: h1_t is heard from above and by h1_{t+1}": both(lcarry=False),
              "the lower layer's carry is made with the transpose of U1": both(lturned=True),
              "the slope of the lower layer's tanh, 1 - h1², is missing": both(lslope=False),
              "in dU1 stands h1_{t-1}": both(lshifted=False),
              "the lower layer was given dh2; it hears what the upper one hands down, da2 W2ᵀ": both(skip=True)}
    order = ("dx", "dW1", "dU1", "dW2", "dU2")
    for name in right:
        expect_close(result[order.index(name)], right[name], name, {
            sentence: values[name] for sentence, values in faults.items() if not np.allclose(values[name], right[name])})


def exercise_3(answer: Answer) -> None:
    """The direction that was not turned round

    fixed_bidirectional_backward(there, back, dy): returns dx (T, in) for dy (T, 2 units). `there` and `back` are functions that
    take the gradient by the outputs of their layer and return the one by its inputs, both in the order of its walk.
    """
    rng = np.random.default_rng(12)
    dy, mix_there, mix_back = rng.normal(size=(5, 4)), np.tril(rng.normal(size=(5, 5))).T, np.tril(rng.normal(size=(5, 5))).T
    W_there, W_back = rng.normal(size=(2, 2, 3))

    def there(d: Any) -> np.ndarray:
        return mix_there @ np.asarray(d) @ W_there

    def back(d: Any) -> np.ndarray:
        return mix_back @ np.asarray(d) @ W_back

    ahead, d = there(dy[:, :2]), dy[:, 2:]
    expect_close(answer.function("fixed_bidirectional_backward")(there, back, dy), ahead + back(d[::-1])[::-1], "dx", {
        "what `back` returns is in the order of its walk; turn it round before it is added": ahead + back(d[::-1]),
        "what `back` is given should be in the order of its walk, which begins at the end": ahead + back(d)[::-1],
        "nothing is turned round": ahead + back(d),
        "`there` walks from the beginning; only `back` needs turning": there(dy[::-1, :2])[::-1] + back(d[::-1])[::-1],
        "the sum is turned round; of `there` it was in order": (ahead + back(d[::-1]))[::-1],
        "time is the first axis, not the columns": ahead + back(d[:, ::-1])[:, ::-1],
        "the halves of dy have changed places: the first belongs to `there`": there(d) + back(dy[::-1, :2])[::-1],
        "the way back is missing": ahead})


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


def _walk(x: np.ndarray, W: np.ndarray, U: np.ndarray) -> np.ndarray:
    h = [np.zeros(len(U))]
    for x_t in x:
        h.append(np.tanh(x_t @ W + h[-1] @ U))
    return np.array(h[1:])


def _walk_back(x: np.ndarray, h: np.ndarray, dh: np.ndarray, W: np.ndarray, U: np.ndarray, carry: bool = True,
               turned: bool = False, slope: bool = True, shifted: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dx, dW, dU of one layer, right or with one of the mistakes that learners make."""
    da, later = np.zeros_like(h), np.zeros(len(U))
    for t in reversed(range(len(h))):
        da[t] = (dh[t] + later * carry) * (1 - h[t] ** 2 if slope else 1)
        later = (U.T if turned else U) @ da[t]
    before = np.vstack([np.zeros(len(U)), h[:-1]]) if shifted else h
    return da @ W.T, x.T @ da, before.T @ da
