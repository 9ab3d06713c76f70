"""Checks of lesson 26e: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, as_array, expect_all, expect_close, for_each_size

Known = dict[str, np.ndarray]
NEVER = -100.0


# Paths and states

def _read(path: np.ndarray, mistake: str = "") -> np.ndarray:
    """What a path (T,) reads as, with one mistake."""
    if mistake == "blanks first":
        path = path[path != 0]
    is_new = np.diff(path, prepend=-1) != 0
    if mistake == "not merged":
        return path[path != 0]
    if mistake == "blanks stay":
        return path[is_new]
    if mistake == "first":
        return path[1:][is_new[1:] & (path[1:] != 0)]
    if mistake == "last":
        is_new = np.append(path[1:] != path[:-1], True)[np.arange(len(path)) < len(path) - 1]
        return path[:-1][is_new & (path[:-1] != 0)]
    if mistake == "set":
        return np.unique(path[path != 0])
    return path[is_new & (path != 0)]


_OF_READ = {"blanks first": "the blanks are taken out before the repeats are merged: then a-a becomes a",
            "not merged": "repeats are not merged", "blanks stay": "the blanks are still there",
            "first": "the first step is left out; it has none before it, so it always counts",
            "last": "the last step is left out",
            "set": "each class once, in order; a reading has its labels as often as they come"}
_PATHS = np.array([[2, 2, 0, 1, 1, 0, 1, 3], [0, 2, 2, 0, 2, 1, 1, 0], [3, 3, 3, 1, 0, 0, 1, 2]])


def turn_read(lesson: SimpleNamespace, given: Callable) -> None:
    for path in _PATHS:
        expect_close(given(path.copy()), _read(path), f"read({path.tolist()})",
                     {sentence: _read(path, mistake) for mistake, sentence in _OF_READ.items()})


def turn_states(lesson: SimpleNamespace) -> Known:
    labels, (N, S) = lesson.labels, lesson.states.shape
    from_0, doubled, beside = np.zeros((3, N, S), int)
    from_0[:, :-1:2] = labels
    doubled[:, :-1] = np.repeat(labels, 2, axis=1)
    beside[:, 1:3] = labels
    return {"the labels begin with state 1; state 0 is a blank": from_0,
            "between two labels stands a blank": doubled,
            "the labels stand side by side; between them is a blank": beside}


def turn_may_jump(lesson: SimpleNamespace) -> Known:
    labels, right = lesson.labels, lesson.may_jump
    differ = labels[:, 1:] != labels[:, :-1]
    equal, everywhere, one_less, any_label = np.zeros((4, *right.shape), bool)
    equal[:, 3::2] = ~differ
    everywhere[:, 3::2] = True
    one_less[:, 1:-2:2] = differ
    any_label[:, 1::2] = True
    return {"it is turned round: a jump is allowed between labels that differ": equal,
            "between two equal labels there is no jump: a blank must stand there": everywhere,
            "that is the state from where the jump comes; it belongs to the state that it leads into": one_less,
            "state 1 has no label before it, and equal labels need the blank": any_label}


# Forward and backward

def _ahead(a: np.ndarray, k: int) -> np.ndarray:
    moved = np.full_like(a, NEVER)
    moved[:, k:] = a[:, :-k]
    return moved


def _back(a: np.ndarray, k: int) -> np.ndarray:
    return _ahead(a[:, ::-1], k)[:, ::-1]


def turn_alpha_1(lesson: SimpleNamespace) -> Known:
    ways, jumps, log_p_s = lesson.stays_or_steps, lesson.jumps, lesson.log_p_s
    return {"the emissions of step 1 are missing: log_p_s[:, 1]": np.logaddexp(ways, jumps),
            "the jumps are missing": log_p_s[:, 1] + ways,
            "those are the emissions of step 0; they are in alpha_0 already": log_p_s[:, 0] + np.logaddexp(ways, jumps),
            "that is the best way alone; here all ways are added": log_p_s[:, 1] + np.maximum(ways, jumps),
            "the logarithm is missing behind the sum: alpha is a logarithm": log_p_s[:, 1] + np.exp(ways) + np.exp(jumps)}


def turn_log_l(lesson: SimpleNamespace) -> Known:
    last = lesson.alpha[:, -1]
    return {"a path may end in the last label too, not only in the blank behind it": last[:, -1],
            "a path may end in the blank behind the last label too": last[:, -2],
            "a path ends in one of the last two states; in the others labels are to come": np.logaddexp.reduce(last, axis=1),
            "those are logarithms; the sum is over their exponentials": last[:, -1] + last[:, -2],
            "that is p(l); its logarithm is asked for": np.exp(last[:, -2:]).sum(axis=1),
            "those are the first two states, where a path begins": np.logaddexp(last[:, 0], last[:, 1])}


def _back_step(lesson: SimpleNamespace, g: np.ndarray, mistake: str = "") -> np.ndarray:
    may_jump = lesson.may_jump
    if mistake == "forwards":
        jumps = np.where(may_jump, _ahead(g, 2), NEVER)
        return np.logaddexp(np.logaddexp(g, _ahead(g, 1)), jumps)
    jumps = _back(np.where(may_jump, g, NEVER), 2)
    jumps = np.full_like(g, NEVER) if mistake == "no jump" else jumps
    jumps = _back(g, 2) if mistake == "all" else jumps
    return np.logaddexp(jumps, _back(g, 1) if mistake == "no stay" else np.logaddexp(g, _back(g, 1)))


_OF_BETA = {"forwards": "the states are moved on; beta looks at the states that follow: back",
            "no jump": "the jumps are missing, or come from nowhere: may_jump belongs to the state that they lead into",
            "no stay": "a path may stay in its state: g itself is missing",
            "all": "may_jump is missing: not every jump is allowed"}


def turn_beta_1(lesson: SimpleNamespace) -> Known:
    without = np.where(lesson.beta_2 > NEVER / 2, 0.0, NEVER)
    return {sentence: _back_step(lesson, lesson.g, mistake) for mistake, sentence in _OF_BETA.items()} | {
        "the emissions of step 2 are missing; they are in g": _back_step(lesson, without)}


def turn_beta(lesson: SimpleNamespace) -> Known:
    log_p_s, T = lesson.log_p_s, lesson.T

    def walk(mistake: str) -> np.ndarray:
        beta = np.full_like(log_p_s, NEVER)
        beta[:, -1, -2:] = 0
        for t in reversed(range(mistake == "early", T - 1)):
            g = beta[:, t + 1] + log_p_s[:, t if mistake == "own" else t + 1] * (mistake != "none")
            beta[:, t] = _back_step(lesson, g, mistake)
        return beta
    return {sentence: walk(mistake) for mistake, sentence in (_OF_BETA | {
        "early": "the walk ends before t = 0: reversed(range(T - 1)) has the 0 too",
        "own": "that is the emission of step t itself, which is in alpha_t; beta_t has those of t + 1 and later",
        "none": "the emissions of step t + 1 are missing"}).items()}


def turn_gamma(lesson: SimpleNamespace) -> Known:
    alpha, beta, log_l = lesson.alpha, lesson.beta, lesson.log_l[:, None, None]
    return {"it does not sum to 1: divide by p(l)": np.exp(alpha + beta),
            "beta is missing: that knows nothing of what comes later": np.exp(alpha - log_l),
            "alpha is missing: that knows nothing of what came before": np.exp(beta - log_l),
            "the emissions of step t are there twice: they are in alpha": np.exp(alpha + beta + lesson.log_p_s - log_l),
            "p(l) is multiplied; divide by it": np.exp(alpha + beta + log_l),
            "the exponential is missing": alpha + beta - log_l}


def turn_heard(lesson: SimpleNamespace) -> Known:
    gamma, states, C = lesson.gamma, lesson.states, lesson.C
    last_only = np.zeros((*gamma.shape[:2], C))
    np.put_along_axis(last_only, np.broadcast_to(states[:, None], gamma.shape), gamma, axis=2)
    is_class = lesson.is_class
    return {"several states have the blank: their gamma is added up; that keeps the last one": last_only,
            "that is a mean over the states of a class; they are added": lesson.heard / is_class.sum(axis=1)[:, None].clip(1),
            "that is how many states a class has; gamma is missing":
            np.broadcast_to(is_class.sum(axis=1)[:, None], last_only.shape),
            "the steps are added up; each step has its own": (gamma @ is_class).sum(axis=1)}


def turn_dx(lesson: SimpleNamespace) -> Known:
    p, heard, N = lesson.p, lesson.heard, lesson.N
    return {"the sign is turned: probability minus truth, and the truth is heard": (heard - p) / N,
            "the loss is the mean over the samples: divide by N": p - heard,
            "what the labels say is missing: heard": p / N,
            "that is the gradient by log p; it still has to pass the softmax": -heard / N,
            "divide by the number of samples, not by all steps": (p - heard) / (N * lesson.T)}


# Reading and judging

def turn_decode(lesson: SimpleNamespace, given: Callable) -> None:
    x = np.random.default_rng(2).normal(size=(4, 9, 3))
    got = given(x.copy())
    if not isinstance(got, (list, tuple)) or len(got) != len(x):
        raise Wrong(f"decode(x) should be a list of {len(x)} readings, one for each sample")
    for n, path in enumerate(x.argmax(axis=2)):
        wrong = {sentence: _read(path, mistake) for mistake, sentence in _OF_READ.items()}
        expect_close(got[n], _read(path), f"the reading of sample {n}", wrong | {
            "that is the path; it still has to be read": path,
            "that takes the least likely class": _read(x[n].argmin(axis=1))})


def _distance(said: np.ndarray, truth: np.ndarray, mistake: str = "") -> int:
    costs = list(range(len(truth) + 1))
    if mistake == "start":
        costs = [0] * len(costs)
    for i, label in enumerate(said):
        before, costs = costs, [0 if mistake == "first" else i + 1]
        for j, right in enumerate(truth):
            change = before[j] + (1 if mistake == "always" else 2 * (label != right) if mistake == "two" else label != right)
            take_out, put_in = before[j + 1] + 1, costs[j] + 1
            ways = [change, *[take_out] * (mistake != "no out"), *[put_in] * (mistake != "no in")]
            costs.append(int(min(ways)))
    return costs[-1]


def turn_distance(lesson: SimpleNamespace, given: Callable) -> None:
    for said, truth in (([1, 3], [1, 2, 3]), ([1, 2, 3], [1, 3]), ([2, 3], [1, 2, 3]), ([1, 2, 3], [1, 4, 3]), ([], [1, 2]),
                        ([1, 2], []), ([3, 1, 2, 4, 4], [1, 2, 3, 4]), ([2, 1, 1], [1, 1, 2, 5]), ([1, 5, 2, 4], [5, 4])):
        one, other = np.array(said, int), np.array(truth, int)
        wrong = {"to change a label costs 1, not 2": _distance(one, other, "two"),
                 "labels that agree cost nothing": _distance(one, other, "always"),
                 "labels too many may be taken out, for 1 each: before[j + 1] + 1": _distance(one, other, "no out"),
                 "labels that are missing may be put in, for 1 each: costs[j] + 1": _distance(one, other, "no in"),
                 "at the start j labels of the truth cost j": _distance(one, other, "start"),
                 "i labels against none cost i": _distance(one, other, "first")}
        expect_close(given(one, other), _distance(one, other), f"distance({said}, {truth})", wrong)


# Exercises

def exercise_1(answer: Answer) -> None:
    """Two steps, on paper

    p_l, gamma_0 and dx_0 (2 numbers each: blank, a) for p = (1/2, 1/2), (1/4, 3/4) and the labels a.
    """
    answer.on_paper("p_l", 7 / 8, ["Which of the four paths read as a? Add up their probabilities."], {
        "aa reads as a too: repeats are merged": 1 / 2,
        "the paths that end or begin with a blank read as a too": 3 / 8,
        "-- reads as nothing": 1})
    answer.on_paper("gamma_0", [3 / 7, 4 / 7], ["Which paths that read as a begin with a blank? Divide by p_l."], {
        "divide by p_l: they sum to 1": [3 / 8, 1 / 2],
        "that is what the network says; the labels change it": [1 / 2, 1 / 2],
        "blank stands first": [4 / 7, 3 / 7]})
    answer.on_paper("dx_0", [1 / 14, -1 / 14], ["probability minus gamma"], {
        "the sign is turned: probability minus gamma": [-1 / 14, 1 / 14],
        "that is minus gamma; the softmax is still to come": [-3 / 7, -4 / 7]})


def _gradient(x: np.ndarray, labels: np.ndarray, mistake: str = "") -> mistakes.Values:
    """The losses and the gradient of their mean, with one mistake."""
    N, T, C = x.shape
    states = np.zeros((N, 2 * labels.shape[1] + 1), int)
    states[:, 1::2] = labels
    may_jump = np.zeros(states.shape, bool)
    may_jump[:, 3::2] = (labels[:, 1:] != labels[:, :-1]) & (mistake != "no jump") | (mistake == "all")
    lesson = SimpleNamespace(may_jump=may_jump)
    log_p = x - np.logaddexp.reduce(x, axis=2, keepdims=True)
    log_p_s = np.take_along_axis(log_p, states[:, None], axis=2)
    alpha, beta = np.full((2, *log_p_s.shape), NEVER)
    first = slice(1, 2) if mistake == "begin" else slice(0, 2)
    alpha[:, 0, first] = log_p_s[:, 0, first]
    for t in range(1, T):
        alpha[:, t] = log_p_s[:, t] + _back_step(lesson, alpha[:, t - 1], "forwards")
    beta[:, -1, -1 if mistake == "end" else -2:] = 0
    for t in reversed(range(T - 1)):
        beta[:, t] = _back_step(lesson, beta[:, t + 1] + log_p_s[:, t + 1])
    log_l = np.logaddexp.reduce((alpha + beta)[:, -1], axis=1)
    gamma = np.exp(alpha + beta - log_l[:, None, None])
    return {"losses": -log_l, "dx": (np.exp(log_p) - gamma @ np.eye(C)[states]) / N}


def exercise_2(answer: Answer) -> None:
    """The whole backward, with a batch axis

    ctc_gradient(x, labels): losses, dx. x (N, T, C) logits, class 0 the blank; labels (N, L) from 1 to C - 1; losses (N,), dx
    of their mean.
    """
    def check(labels: list[list[int]], T: int, C: int) -> None:
        targets = np.array(labels)
        N = len(targets)
        x = np.random.default_rng(T).normal(size=(N, T, C))
        right = _gradient(x, targets)
        p = np.exp(x - np.logaddexp.reduce(x, axis=2, keepdims=True))
        wrong = {sentence: _gradient(x, targets, mistake) for mistake, sentence in {
            "all": "a jump between two equal labels is allowed; a blank must stand there",
            "no jump": "the jumps past a blank, from a label to another one, are missing",
            "begin": "a path may begin with the blank too", "end": "a path may end in the last label too"}.items()}
        wrong |= {"the sign is turned: probability minus gamma": {"dx": -right["dx"]},
                 "it is the gradient of the mean: divide by N": {"dx": N * right["dx"]},
                 "that is the gradient by log p; it still has to pass the softmax": {"dx": right["dx"] - p / N},
                 "that is log p(l); the loss is minus that": {"losses": -right["losses"]},
                 "that is the mean; each sample has its own loss": {"losses": right["losses"].mean()}}
        expect_all(answer.function("ctc_gradient")(x, targets), right, wrong, ("losses", "dx"), "ctc_gradient",
                   {"losses": ("sample",), "dx": ("sample", "step", "class")})
    for_each_size(answer, check, [([[1]], 2, 2), ([[1, 2], [2, 1]], 3, 3), ([[1, 1], [1, 2], [2, 2]], 5, 3)])


def exercise_3(answer: Answer) -> None:
    """Merged too much

    The function merge at the end of the lesson has a bug. Write it right as fixed_merge(path). It returns the labels.
    """
    for path in _PATHS:
        wrong = {sentence: _read(path, mistake) for mistake, sentence in _OF_READ.items() if mistake != "blanks first"}
        wrong["the blanks are still taken out before the repeats are merged"] = _read(path, "blanks first")
        expect_close(answer.function("fixed_merge")(path), _read(path), f"the reading of {path.tolist()}", wrong)


def exercise_4(answer: Answer) -> None:
    """How many paths

    paths_ab and paths_aa: how many paths of ten steps read as ab, and as aa.
    """
    for name, want in (("paths_ab", 495), ("paths_aa", 330)):
        got = float(as_array(answer.array(name, ()), name))
        if got != want:
            hint = "With three steps it is 5" if name == "paths_ab" else "With three steps it is 1: a-a"
            raise Wrong(f"{name}: it is not {got:g}. Does your count give the right number for short paths? {hint}.")
