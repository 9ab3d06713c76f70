"""Checks of lesson 06: its turns and its exercises."""
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size, returned

Known = dict[str, np.ndarray]


# Forward

def turn_a_0(lesson: SimpleNamespace) -> Known:
    x_0, h_start, W, U, b = lesson.x[:, 0], lesson.h_start, lesson.W, lesson.U, lesson.b
    return {"the bias b is missing": x_0 @ W + h_start @ U,
            "the state before, h_start @ U, is missing": x_0 @ W + b,
            "the input, x_0 W, is missing": h_start @ U + b,
            "samples are rows, so the state stands at the left: h_start @ U, not U @ h_start or h_start @ U.T":
                x_0 @ W + h_start @ U.T + b,
            "that is U times h_start from the left, where it mixes the samples; the state stands at the left: h_start @ U":
                x_0 @ W + U @ h_start + b,
            "that is the input of step 1; step 0 reads x[:, 0]": lesson.x[:, 1] @ W + h_start @ U + b,
            "that is the state already; the pre-activation is what goes into tanh": np.tanh(lesson.a_0)}


def turn_h_0(lesson: SimpleNamespace) -> Known:
    a_0 = lesson.a_0
    return {"that is a sigmoid of a_0; a SimpleRNN has tanh": 1 / (1 + np.exp(-a_0)),
            "that is the slope of tanh, which the way back needs; the state is tanh(a_0)": 1 - np.tanh(a_0) ** 2,
            "tanh is applied twice": np.tanh(np.tanh(a_0)),
            "that is the pre-activation still; the state is its tanh": a_0}


def turn_h(lesson: SimpleNamespace) -> Known:
    x, h_start, step, h = lesson.x, lesson.h_start, lesson.step, lesson.h
    again = np.stack([step(x[:, t], h_start) for t in range(3)], axis=1)
    same, stopped = np.zeros_like(h), h.copy()
    state = h_start
    for t in range(3):
        state = same[:, t] = step(x[:, 0], state)
    stopped[:, -1] = 0
    return {"every step begins with h_start; each should begin with the state that the step before left (h_prev)": again,
            "every step reads the first input; step t reads x[:, t]": same,
            "the last step is missing: range(3) goes over 0, 1 and 2": stopped}


# Backward

def turn_dy(lesson: SimpleNamespace) -> Known:
    h, target = lesson.h, lesson.target
    return {"the sign is wrong: where h is larger than its target, more of h makes the loss larger": target - h,
            "a factor of 2 is too much: the loss is half the square": 2 * (h - target),
            "that is h; the target has to be taken off": h,
            "that is the loss of each number; its derivative is asked for": (h - target) ** 2 / 2,
            "it is half as large as it should be: the half cancels the 2 of the square, and no mean is taken": (h - target) / 2,
            "the loss is a sum over all numbers, not a mean": (h - target) / h.size,
            "the slope of tanh comes later: dy is the derivative by h, not by a": (h - target) * (1 - h ** 2)}


def turn_dh_2(lesson: SimpleNamespace) -> Known:
    dy, h = lesson.dy, lesson.h
    return {"that is the slope of tanh too; it comes on the way from h_2 to a_2, not yet": dy[:, 2] * (1 - h[:, 2] ** 2),
            "those are all losses; only the loss of step 2 reads h_2": dy.sum(axis=1),
            "that is sample 1 and 0, not a step: steps lie on the second axis, dy[:, 2]": dy[::-1, 2],
            "that is step 0; the last step is t = 2": dy[:, 0],
            "that is step 1; the last step is t = 2": dy[:, 1]}


def turn_da_2(lesson: SimpleNamespace) -> Known:
    dh_2, h_2 = lesson.dh_2, lesson.h[:, 2]
    return _step(lesson, "da") | {"the square belongs to h_2 alone: 1 - h[:, 2] ** 2": dh_2 * (1 - h_2) ** 2}


def turn_dh_next(lesson: SimpleNamespace) -> Known:
    return _step(lesson, "dh_prev") | {
        "the product is the wrong way round: samples are rows, so da_2 comes first": lesson.U @ lesson.da_2,
        "that goes down to the input, by W; the way to the state before is by U": lesson.da_2 @ lesson.W.T}


def turn_dh_1(lesson: SimpleNamespace) -> Known:
    dy, back, h = lesson.dy, lesson.dh_next, lesson.h
    return {"nothing comes back from step 2; h_1 is used there too, so dh_next has to be added": dy[:, 1],
            "the loss of step 1 itself is missing; dy[:, 1] has to be added": back,
            "a value that is used twice gets the sum, not the product": dy[:, 1] * back,
            "a value that is used twice gets the sum, not the mean": (dy[:, 1] + back) / 2,
            "that is the loss of step 2; h_1 has the loss of step 1": dy[:, 2] + back,
            "the slope of tanh comes later, on the way from h_1 to a_1": (dy[:, 1] + back) * (1 - h[:, 1] ** 2)}


WALK = {
    "dropped": "nothing comes back from the step after; dh_t is dy_t plus dh_next",
    "after": "dh_next is added after the slope; it arrives at h_t, as dy_t does, and goes through the slope with it",
    "no slope": "the slope of tanh is missing: da_t is dh_t times 1 - h_t²",
    "1 - h": "the slope of tanh lacks its square: it is 1 - h_t²",
    "h": "h² is no slope of tanh: that is 1 - h²",
    "sigmoid": "h (1 - h) is the slope of a sigmoid; that of tanh is 1 - h²",
    "slope before": "the slope is that of the step before; at step t it is 1 - h_t²",
    "tanh twice": "the tanh is taken once more: h is tanh(a) already, so the slope is 1 - h²",
    "untransposed": "going back, U is not transposed: da_t Uᵀ",
    "dy in da": "da_t is made from dy_t; it should be made from dh_t, all that arrives",
    "dh back": "what goes back is made with dh_t; it should be da_t Uᵀ, after the slope",
    "no U": "what goes back is da_t itself; on the way to the step before stands U: da_t Uᵀ",
    "forwards": "the walk goes forwards; what step t + 1 sends back must be known before step t: begin with the last step",
    "stops": "the walk ends before t = 0; `reversed(range(T))` goes over T - 1 to 0",
    "adds": "dh_next is added to the one before (`+=`), so what comes back is counted twice; it should be replaced (`=`)",
    "last loss": "only the loss of the last step is heard; each step has a dy_t of its own"}


def turn_dh(lesson: SimpleNamespace) -> dict[str, Known]:
    walks = {sentence: _walk(lesson.dy, lesson.h, lesson.U, mistake) for mistake, sentence in WALK.items()}
    only_da = [WALK["after"], WALK["dh back"]]          # their dh are those of a missing dh_next, and of a missing slope
    only_dh = [WALK["dy in da"]]                        # its da are those of a missing dh_next
    return {"dh": {sentence: wrong[0] for sentence, wrong in walks.items() if sentence not in only_da},
            "da": {sentence: wrong[1] for sentence, wrong in walks.items() if sentence not in only_dh}}


def turn_dh_start(lesson: SimpleNamespace) -> Known:
    return _whole(lesson, "dh_start") | {
        "that is what step 1 sends back, into h_0; h_start stands in a_0, so it is da of step 0": lesson.da[:, 1] @ lesson.U.T,
        "that is dh of step 0; between h_0 and h_start lie the slope and Uᵀ": lesson.dh[:, 0]}


def turn_dx(lesson: SimpleNamespace) -> Known:
    return _whole(lesson, "dx") | {
        "that is dh Wᵀ; between h and x lies the slope too: da Wᵀ": lesson.dh @ lesson.W.T,
        "that is dy Wᵀ: what comes back from later steps, and the slope, are missing": lesson.dy @ lesson.W.T}


def turn_dW(lesson: SimpleNamespace) -> Known:
    x, dh, da = lesson.x, lesson.dh, lesson.da
    return _whole(lesson, "dW") | {
        "that is made with dh; W stands inside the tanh, so it hears da": _sum(x, dh),
        "only the first sample counts; the product should sum over the batch": _sum(x[:1], da[:1]),
        "only the second sample counts; the product should sum over the batch": _sum(x[1:], da[1:])}


def turn_dU(lesson: SimpleNamespace) -> Known:
    before, dh, da = lesson.h_before, lesson.dh, lesson.da
    return _whole(lesson, "dU") | {
        "that is made with dh; U stands inside the tanh, so it hears da": _sum(before, dh),
        "only the first sample counts; the product should sum over the batch": _sum(before[:1], da[:1]),
        "only the second sample counts; the product should sum over the batch": _sum(before[1:], da[1:])}


def turn_db(lesson: SimpleNamespace) -> Known:
    return _whole(lesson, "db") | {
        "that is made with dh; b stands inside the tanh, so it hears da": lesson.dh.sum(axis=(0, 1)),
        "that is the sum over the units too; each unit has a bias of its own": lesson.da.sum()}


def turn_dh_own(lesson: SimpleNamespace) -> Known:
    da_y, o, W_y, do = lesson.da_y, lesson.o, lesson.W_y, lesson.do
    return {"the slope of g is missing: that is made with do; before W_y comes da_y": do @ W_y.T,
            "the slope is taken twice; da_y has it already": (da_y * o * (1 - o)) @ W_y.T,
            "that is through the tanh too; the slope of h comes later, in the walk": (da_y @ W_y.T) * (1 - lesson.h ** 2),
            "that is made with the output o; what comes back is da_y": o @ W_y.T,
            "the steps are added up; each state has an output of its own": (da_y @ W_y.T).sum(axis=1),
            "the samples are added up; each keeps its own": (da_y @ W_y.T).sum(axis=0)}


def turn_dW_y(lesson: SimpleNamespace) -> Known:
    h, da_y = lesson.h, lesson.da_y
    right = np.einsum("nth,nto->ho", h, da_y)
    return {"only the last step counts; W_y stands behind every state, so its gradient is a sum over the steps":
                h[:, -1].T @ da_y[:, -1],
            "the first step alone counts; W_y stands behind every state": h[:, 0].T @ da_y[:, 0],
            "it is made with the state before; the output of step t is made of h_t":
                np.einsum("nth,nto->ho", lesson.h_before, da_y),
            "the slope of g is missing: that is made with do": np.einsum("nth,nto->ho", h, lesson.do),
            "it is a mean over the steps; W_y stands in all of them, so they are added up": right / h.shape[1],
            "it is a mean over the batch; the samples are added up": right / len(h),
            "that is its transpose: W_y is (H, O)": right.T,
            "the steps are not added up": np.einsum("nth,nto->tho", h, da_y),
            "the samples are not added up": np.einsum("nth,nto->nho", h, da_y)}


def _step(lesson: SimpleNamespace, name: str) -> Known:
    """The mistakes in step 2: those in da, or those on the way from da to dh_prev."""
    right, wrong = mistakes.simple_rnn_step_backward(lesson.dh_2, lesson.h[:, 2], lesson.h[:, 1], lesson.U)
    here = {sentence: values for sentence, values in wrong.items() if name == "da" or mistakes.same(values["da"], right["da"])}
    return mistakes.known(right, here, name)


def _whole(lesson: SimpleNamespace, name: str) -> Known:
    """The mistakes in the sums; those of the walk are not made any more when it is done."""
    right, wrong = mistakes.simple_rnn_backward(lesson.x, lesson.h_start, lesson.h, lesson.W, lesson.U, lesson.dy)
    walked = [sentence for sentence, values in wrong.items() if "da" in values and len(values) > 1]
    return {sentence: value for sentence, value in mistakes.known(right, wrong, name).items() if sentence not in walked}


def _sum(a: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.einsum("nti,ntj->ij", a, d)


def _walk(dy: np.ndarray, h: np.ndarray, U: np.ndarray, mistake: str = "") -> tuple[np.ndarray, np.ndarray]:
    """dh and da (N, T, H), or what they become by a mistake."""
    dh, da, dh_next, steps = np.zeros_like(h), np.zeros_like(h), np.zeros_like(h[:, 0]), range(h.shape[1])
    for t in steps if mistake == "forwards" else reversed(steps):
        if mistake == "stops" and t == 0:
            break
        own = 0 * dy[:, t] if mistake == "last loss" and t < steps[-1] else dy[:, t]
        dh[:, t] = own if mistake in ("dropped", "after") else own + dh_next
        slope = {"no slope": 1 + 0 * dh[:, t], "1 - h": 1 - h[:, t], "h": h[:, t] ** 2, "sigmoid": h[:, t] * (1 - h[:, t]),
                 "tanh twice": 1 - np.tanh(h[:, t]) ** 2,
                 "slope before": 1 - h[:, t - 1] ** 2}.get(mistake, 1 - h[:, t] ** 2)
        whole = dy[:, t] if mistake == "dy in da" else dh[:, t]
        da[:, t] = whole * slope + (dh_next if mistake == "after" else 0)
        back = {"untransposed": da[:, t] @ U, "dh back": dh[:, t] @ U.T, "no U": da[:, t]}.get(mistake, da[:, t] @ U.T)
        dh_next = dh_next + back if mistake == "adds" else back
    return dh, da


# Exercises

def exercise_1(answer: Answer) -> None:
    """A walk back, on paper

    dh (3 numbers) and du for h_t = x_t + u h_{t-1}, u = 0.5, x = (4, 2, 0), a first state of 0 and L = h_0 + h_1 + h_2.
    """
    answer.on_paper("dh", [1.75, 1.5, 1], [
        "Begin with the last state. Each one hears its own loss, 1, and u times what has arrived at the state after it.",
        "dh of the last is 1, of the one before 1 + 0.5 · 1."], {
        "that is each state's own loss alone; those of later steps come back through u": [1, 1, 1],
        "that is the chain from the last loss alone; each state has a loss of its own too": [0.25, 0.5, 1],
        "it should begin with dh of step 0": [1, 1.5, 1.75],
        "what comes back is all that has arrived at the step after, times u; yours has lost what came from further on":
            [1.5, 1.5, 1],
        "what comes back is counted twice: dh_next is replaced at each step, not added to": [2.25, 1.5, 1]})
    answer.on_paper("du", 10, [
        "u stands in every step, beside the state before it: add dh_t h_{t-1} over the steps.",
        "The states are 4, 4 and 2."], {
        "only the last step counts; u stands in every step, so its gradient is a sum": 4,
        "dh_t is multiplied by h_t; u stands before h_{t-1}": 15,
        "the losses of later steps are missing from the dh in it": 8})


def exercise_2(answer: Answer) -> None:
    """The whole backward of a SimpleRNN

    rnn_backward(x, h_start, h, W, U, dy): returns dx, dh_start, dW, dU, db. x (N, T, in), h_start (N, H), h (N, T, H) the
    states, W (in, H), U (H, H), dy (N, T, H) what each step's own loss sends into its state.
    """
    def compare(N: int, T: int, I: int, H: int) -> None:
        numbers = _numbers(N, T, I, H)
        dx, dh_start, dW, dU, db = returned(answer.function("rnn_backward")(*numbers), "rnn_backward",
                                            "dx", "dh_start", "dW", "dU", "db")
        right, wrong = mistakes.simple_rnn_backward(*numbers)
        expect_all((dx, db, dh_start, dW, dU), right, wrong,
                   ("dx", "db", "dh_start", "dW", "dU"), "rnn_backward", {"dx": ("sample", "step", "input")})

    for_each_size(answer, compare, [(1, 1, 1, 1), (1, 2, 1, 1), (2, 2, 1, 1), (3, 4, 2, 5)])


def exercise_3(answer: Answer) -> None:
    """The bug in the walk

    The function walk at the end of the lesson has a bug. Write it right as
    fixed_walk(h, U, dy): returns da, (N, T, H).
    """
    _, _, h, _, U, dy = _numbers()
    expect_close(answer.function("fixed_walk")(h, U, dy), _walk(dy, h, U)[1], "da",
                 {sentence: _walk(dy, h, U, mistake)[1] for mistake, sentence in WALK.items()})


def exercise_4(answer: Answer) -> None:
    """What is left after 50 steps

    smallest_u: the recurrent weight of a linear unit for which a hundredth of the gradient of the last state arrives.
    """
    u = float(answer.array("smallest_u", ()))
    if not 0.0095 < u ** 50 < 0.0105:
        arrives = f"{u ** 50:.2g}" if abs(u) < 100 else "very much more than all of it"
        raise Wrong(f"with u = {u:g}, {arrives} of it arrives: each step multiplies by u, and there are 50")
    if u < 0:
        raise Wrong("that is right for |u|, but the smallest positive u is asked for")


def _numbers(N: int = 3, T: int = 4, I: int = 2, H: int = 5) -> tuple[np.ndarray, ...]:
    """x, h_start, h, W, U, dy: N samples, T steps, I inputs, H units."""
    rng = np.random.default_rng(6)
    sizes = ((N, T, I), (N, H), (I, H), (H, H), (N, T, H))
    x, h_start, W, U, dy = (rng.normal(scale=0.5, size=size).round(2) for size in sizes)
    h, before = np.zeros_like(dy), h_start
    for t in range(T):
        h[:, t] = before = np.tanh(x[:, t] @ W + before @ U)
    return x, h_start, h, W, U, dy
