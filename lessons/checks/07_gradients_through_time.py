"""Checks of lesson 07: its turns and its exercises."""
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, as_array, expect_close

Known = dict[str, np.ndarray]
FACTOR = "the factor is bound / norm, with the norm, not its square"


def turn_dh_1(lesson: SimpleNamespace) -> Known:
    h, U, dh_2 = lesson.h, lesson.U, lesson.dh_2
    right, wrong = mistakes.simple_rnn_step_backward(dh_2, h[:, 2], h[:, 1], U)
    once = {sentence: values for sentence, values in wrong.items()
            if not sentence.startswith("what goes back is made with dh") and not mistakes.same(values["dh_prev"], right["da"])}
    return mistakes.known(right, once, "dh_prev") | {
        "that is da_2; one more product, with Uᵀ, leads to h_1": right["da"],
                    "the slope comes first on the way back, then the product with Uᵀ":
                        (dh_2 @ U.T) * (1 - h[:, 2] ** 2),
        "the slope is that of step 2, and it comes before the product with Uᵀ": (dh_2 @ U.T) * (1 - h[:, 1] ** 2)}


CHAIN = {
    "untransposed": "going back multiplies by the transpose, Uᵀ",
    "no slope": "the slope of tanh is missing: each link is (dh_t (1 - h_t²)) Uᵀ",
    "slope before": "on the way from h_t to h_{t-1} stands the slope at h_t, not at h_{t-1}",
    "tanh twice": "the slope is 1 - h², not 1 - tanh(h)²: h is tanh(a) already",
    "slope last": "the slope comes first on the way back, then the product with Uᵀ",
    "forwards": "the walk goes forwards; dh of step t + 1 must be known before that of step t: begin at the end",
    "stops": "the walk ends before t = 0",
    "adds": "each dh is added to the one after (`+=`); there is no other loss, so what comes back is all of it"}


def turn_dh(lesson: SimpleNamespace) -> Known:
    sentences = CHAIN | {"stops": "dh of step 0 is missing: the walk ends too early, or it goes forwards; begin at the end"}
    return {sentence: _chain(lesson.h_start, lesson.h, lesson.U, lesson.dh_2, mistake)[0]
            for mistake, sentence in sentences.items() if mistake != "forwards"}


def turn_parts(lesson: SimpleNamespace) -> Known:
    return _wrong_parts(lesson.h_before, lesson.h, lesson.dh, lesson.da)


def turn_left(lesson: SimpleNamespace) -> Known:
    r = lesson.r
    return {"50 links multiply 50 times; that is once times 50": 50 * r,
            "those are 49 links": r ** 49,
            "those are 51 links": r ** 51,
            "that is one link": r,
            "that is the factor the other way round, 1 / r": r ** -50.0,
            "that is its exponential; the factors are multiplied: r to the power of 50": np.exp(50 * r)}


def turn_s(lesson: SimpleNamespace) -> Known:
    A = lesson.A
    s = np.linalg.svd(A)[1]
    return {"that is the largest eigenvalue; ask for the singular values": np.array(0.5),
            "that is the smallest singular value": s.min(),
            "those are both singular values; the largest is asked for": s,
            "that is the root of the sum of all squares; the largest singular value is np.linalg.norm(A, 2)": np.linalg.norm(A),
            "that is the sum of the singular values": s.sum(),
            "that is the square of the largest singular value, an eigenvalue of A Aᵀ; take its root": s.max() ** 2,
            "that is the largest element": A.max()}


def turn_limit(lesson: SimpleNamespace) -> Known:
    n = lesson.n
    return {"the root is missing": np.array(6 / (2 * n)),
            "n_in + n_out is n + n here": np.sqrt(6 / n),
            "that is the standard deviation; the limit has a 6 under the root": np.sqrt(2 / (2 * n)),
            "n_in and n_out are added, not multiplied": np.sqrt(6 / n ** 2)}


def turn_largest(lesson: SimpleNamespace) -> Known:
    n, limit = lesson.n, lesson.limit
    return {"that is made with the limit; the deviation is limit / √3": np.array(limit * np.sqrt(n)),
            "that is the largest singular value, which is about twice as large": np.array(2 * limit / np.sqrt(3) * np.sqrt(n)),
            "that is the deviation; the largest eigenvalue is √n times as large": np.array(limit / np.sqrt(3)),
            "it is √n, not n": np.array(limit / np.sqrt(3) * n),
            "the root of 3 is missing: the deviation is limit / √3": np.array(limit / 3 * np.sqrt(n))}


def turn_by_value(lesson: SimpleNamespace) -> Known:
    return _other_clips(lesson.g, lesson.c, "value") | {
        "a number may be too far below 0 too: there it becomes -c": np.minimum(lesson.g, lesson.c),
        "a negative number that is short enough stays as it is; the lower bound is -c, not 0": np.clip(lesson.g, 0, lesson.c),
        "where a number is over the bound it becomes the bound, not 0": np.where(np.abs(lesson.g) > lesson.c, 0, lesson.g)}


def turn_by_norm(lesson: SimpleNamespace) -> Known:
    g, c = lesson.g, lesson.c
    return _other_clips(g, c, "norm") | {
        "the norm is taken over the columns; each weight's gradient is a row (axis=1)": g * (c / np.linalg.norm(g, axis=0)),
        "the rows have the length 1 now; they should have the length c": g / np.linalg.norm(g, axis=1, keepdims=True),
        FACTOR: g * c / np.sum(g ** 2, axis=1, keepdims=True)}


def turn_by_global_norm(lesson: SimpleNamespace) -> Known:
    g, c = lesson.g, lesson.c
    return _other_clips(g, c, "global norm") | {
        "the norm of both together is the root of the sum of squares, 13, not the sum of the norms": g * c / 17,
        "together they have the length 1 now; it should be c": g / 13,
        FACTOR: g * c / 169}


def _other_clips(g: np.ndarray, c: float, wanted: str) -> Known:
    kinds = {"value": ("that is by value", np.clip(g, -c, c)),
             "norm": ("that is each by its own norm", g * np.minimum(1, c / np.linalg.norm(g, axis=1, keepdims=True))),
             "global norm": ("that is by the norm of both together", g * min(1, c / np.linalg.norm(g))),
             "none": ("nothing is clipped", g)}
    return {sentence: value for kind, (sentence, value) in kinds.items() if kind != wanted}


def _wrong_parts(before: np.ndarray, h: np.ndarray, dh: np.ndarray, da: np.ndarray) -> Known:
    parts = _parts(before, da)
    rolled = before.copy()
    rolled[:, 0] = h[:, -1]
    return {
        "they are made with h_t; U is multiplied by the state before, h_{t-1}": _parts(h, da),
        "the first step is made with the last state: h[:, t - 1] is h[:, -1] there, but should be h_start": _parts(rolled, da),
        "the slope is missing: a part is h_{t-1}ᵀ da_t with da_t = dh_t (1 - h_t²)": _parts(before, dh),
        "each part is the transpose of what it should be": parts.transpose(0, 2, 1),
        "the order is reversed: the part of the first step comes first": parts[::-1],
        "that is dU already, their sum; the parts are asked for": parts.sum(axis=0),
        "they add up on the way: each should be its own step's part alone": np.cumsum(parts[::-1], axis=0)[::-1],
        "the sum over the samples is missing: there is a part for each sample": np.einsum("nti,ntj->ntij", before, da),
        "only the first sample counts; the product should sum over the batch": _parts(before[:1], da[:1]),
        "it is a mean over the samples; it should be the sum": parts / len(h)}


def _parts(before: np.ndarray, da: np.ndarray) -> np.ndarray:
    return np.einsum("nti,ntj->tij", before, da)


def _chain(h_start: np.ndarray, h: np.ndarray, U: np.ndarray, dh_last: np.ndarray,
           mistake: str = "") -> tuple[np.ndarray, np.ndarray]:
    """dh (N, T, H) and dh_start (N, H), or what they become by a mistake."""
    T = h.shape[1]
    before = np.concatenate([h_start[:, None], h[:, :-1]], axis=1)
    state = {"slope before": before, "tanh twice": np.tanh(h), "no slope": 0 * h, "slope last": 0 * h}.get(mistake, h)
    dh = np.zeros((len(h), T + 1, h.shape[2]))                      # of h_start first
    dh[:, T] = dh_last
    for t in range(T) if mistake == "forwards" else reversed(range(T)):
        if mistake == "stops" and t == 1:
            break
        back = (dh[:, t + 1] * (1 - state[:, t] ** 2)) @ (U if mistake == "untransposed" else U.T)
        back = back * (1 - h[:, t] ** 2) if mistake == "slope last" else back
        dh[:, t] = back + dh[:, t + 1] if mistake == "adds" else back
    return dh[:, 1:], dh[:, 0]


# Exercises

def exercise_1(answer: Answer) -> None:
    """A chain and a clip, on paper

    dh_start for one unit, u = 2.5, h_0 = 0, h_1 = 0.6, h_2 = 0.8, dh_2 = 1; and (8, 6) and (0, 24) clipped to 2.6:
    by_value, by_norm, by_global_norm, each (2, 2).
    """
    answer.on_paper("dh_start", 3.6, [
        "Each of the three links multiplies by the slope 1 - h² of its state, and by u.",
        "The slopes are 1, 0.64 and 0.36."], {
        "the slopes of tanh are missing: 1, 0.64 and 0.36": 15.625,
        "those are the slopes alone; each step multiplies by u too": 0.2304,
        "that is dh_0; one more link leads to the state before the first step": 1.44,
        "u counts once only; it stands in each of the three links": 0.576,
        "the slope is 1 - h², not h": 0.0,
        "the slope is 1 - h², not 1 - h": 1.25}, tolerance=1e-3)
    g = np.array([[8.0, 6.0], [0.0, 24.0]])
    answer.on_paper("by_value", np.clip(g, -2.6, 2.6), [
        "Each number by itself: whatever is above 2.6 becomes 2.6.",
        "No number is below -2.6."], _other_clips(g, 2.6, "value"), tolerance=1e-3)
    answer.on_paper("by_norm", [[2.08, 1.56], [0, 2.6]], [
        "Each row by itself: if its length is above 2.6, multiply it by 2.6 / length.",
        "The lengths are 10 and 24."], _other_clips(g, 2.6, "norm"), tolerance=1e-3)
    answer.on_paper("by_global_norm", g / 10, [
        "One length for both rows together, and one factor for both.",
        "The length is the root of 10² + 24²."], _other_clips(g, 2.6, "global norm") | {
        "the norm of both together is the root of the sum of squares, 26, not the sum of the norms": g * 2.6 / 34,
        FACTOR: g * 2.6 / 676}, tolerance=1e-3)


def exercise_2(answer: Answer) -> None:
    """Back through time, each step's part apart

    through_time(h_start, h, U, dh_last): returns dh (N, T, H), the gradient of every state, dh_start (N, H), and parts
    (T, H, H), what each step adds to dU. h (N, T, H) with h_t = tanh(… + h_{t-1} U); dh_last (N, H) is that of the last state.
    """
    rng = np.random.default_rng(7)
    h_start, h = rng.uniform(-0.9, 0.9, (3, 4)), rng.uniform(-0.9, 0.9, (3, 5, 4))
    U, dh_last = rng.normal(size=(4, 4)), rng.normal(size=(3, 4))
    result = answer.function("through_time")(h_start, h, U, dh_last)
    if not isinstance(result, (tuple, list)) or len(result) != 3:
        raise Wrong("through_time should return three arrays: dh, dh_start and parts")
    dh, dh_start = _chain(h_start, h, U, dh_last)
    chains = {sentence: _chain(h_start, h, U, dh_last, mistake) for mistake, sentence in CHAIN.items()}
    expect_close(result[0], dh, "dh", {sentence: chain[0] for sentence, chain in chains.items()} | {
        "the order is reversed: it should begin with dh of step 0": dh[:, ::-1],
        "that is dh_start and those after it; dh of the last state is missing":
            np.concatenate([dh_start[:, None], dh[:, :-1]], axis=1)})
    da = dh * (1 - h ** 2)
    expect_close(result[1], dh_start, "dh_start", {
        "that is dh of step 0; one more link leads to h_start": dh[:, 0],
        "that is da of step 0; one more product, with Uᵀ, leads to h_start": da[:, 0]})
    before = np.concatenate([h_start[:, None], h[:, :-1]], axis=1)
    expect_close(result[2], _parts(before, da), "parts", _wrong_parts(before, h, dh, da))


def exercise_3(answer: Answer) -> None:
    """The bug in the clip

    The function clip at the end of the lesson has a bug. Write it right as
    fixed_clip(gradients, bound): returns a list of arrays, all shortened by one factor if together they are longer than bound.
    """
    clip = answer.function("fixed_clip")
    long = [np.array([[3.0, 0.0], [0.0, 2.0]]), np.array([6.0]), np.zeros(3)]       # of length 7
    short = [gradient / 10 for gradient in long]
    _compare(clip(long, 3.5), [gradient / 2 for gradient in long], "of length 7, clipped to 3.5", {
        "that is still by the sum of the norms; the norm of all together is the root of the sum of their squares":
            [gradient * 3.5 / (np.sqrt(13) + 6) for gradient in long],
        "the factor is bound / norm, but the norm is missing its root": [gradient * 3.5 / 49 for gradient in long],
        "each is shortened by its own norm; there should be one factor for all":
            [gradient * min(1, 3.5 / max(float(np.linalg.norm(gradient)), 1e-9)) for gradient in long],
        "each number is clipped by itself, which is clipping by value": [gradient.clip(-3.5, 3.5) for gradient in long],
        "nothing is shortened": long})
    _compare(clip(short, 3.5), short, "of length 0.7, clipped to 3.5", {
        "what is short enough should stay as it is; it has been lengthened": [gradient / 2 for gradient in long]})
    _compare(clip([np.zeros(2)], 1.0), [np.zeros(2)], "that are all 0, clipped to 1", {})


def _compare(got: object, want: list[np.ndarray], which: str, known: dict[str, list[np.ndarray]]) -> None:
    if not isinstance(got, (list, tuple)) or len(got) != len(want):
        raise Wrong(f"fixed_clip should return a list of as many arrays as it is given, {len(want)}")
    for k, (gradient, right) in enumerate(zip(got, want, strict=True)):
        as_array(gradient, f"gradient {k}", right.shape)
    flat = {sentence: np.concatenate([np.ravel(g) for g in wrong]) for sentence, wrong in known.items()}
    expect_close(np.concatenate([np.ravel(g) for g in got]), np.concatenate([np.ravel(g) for g in want]),
                 f"gradients {which}", flat)


def exercise_4(answer: Answer) -> None:
    """The edge

    sigma: of 100 × 100 independent numbers with which a gradient neither vanishes nor explodes over many steps, to a tenth.
    """
    sigma = float(answer.array("sigma", ()))
    if 0.045 <= sigma <= 0.055:
        raise Wrong(f"with {sigma:g} the largest singular value is 1: no gradient grows, but the largest eigenvalue is half "
                    "that, and it is the eigenvalues that decide in the long run")
    if abs(sigma - 0.01) < 1e-3:
        raise Wrong(f"{sigma:g} is 1/n, or the variance 1/n; σ is its root")
    if not 0.09 <= sigma <= 0.11:
        raise Wrong(f"with {sigma:g} the largest eigenvalue is about {10 * sigma:.2g}: after 50 steps there is "
                    f"{(10 * sigma) ** 50:.0e} of 1" if 0 < sigma < 1e5 else f"sigma should be positive, not {sigma:g}")
