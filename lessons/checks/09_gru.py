"""Checks of lesson 09: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from nblayers.layers import GRU
from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size, returned

Known = dict[str, np.ndarray]
GATES = ("z", "r", "h̃")


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(a / 2)) / 2


# Forward

def turn_z(lesson: SimpleNamespace) -> Known:
    x_z, h_prev, U_z, b_z = lesson.x_z, lesson.h_prev, lesson.U_z, lesson.b_z
    a_z = x_z + h_prev @ U_z + b_z
    return mistakes.distinct({
        "that is the pre-activation; a gate is its sigmoid": a_z,
        "a gate is a sigmoid, between 0 and 1, not a tanh": np.tanh(a_z),
        "the recurrent bias b_z is missing": _sigmoid(x_z + h_prev @ U_z),
        "the old state, h_prev @ U_z, is missing": _sigmoid(x_z + b_z),
        "the input's share x_z is missing": _sigmoid(h_prev @ U_z + b_z),
        "that is 1 - z": 1 - lesson.z,
        "that is the reset gate: made with x_r, U_r and b_r": _sigmoid(
            lesson.x_r + h_prev @ lesson.U_r + lesson.b_r)}, lesson.z)


def turn_u(lesson: SimpleNamespace) -> Known:
    h_prev, U_h, b_h, r = lesson.h_prev, lesson.U_h, lesson.b_h, lesson.r
    return mistakes.distinct({
        "the recurrent bias b_h is missing": h_prev @ U_h,
        "the product is with U_h, not with its transpose": h_prev @ U_h.T + b_h,
        "that is a reset before the product; here u is made first, and r acts on it later": (r * h_prev) @ U_h + b_h,
        "r acts on u later, in the candidate": r * lesson.u,
        "the input's share x_h comes in later, in the candidate": lesson.x_h + lesson.u,
        "the tanh comes later, in the candidate": np.tanh(lesson.u)}, lesson.u)


def turn_h_tilde(lesson: SimpleNamespace) -> Known:
    x_h, r, u, z = lesson.x_h, lesson.r, lesson.u, lesson.z
    return mistakes.distinct({
        "that is the pre-activation; the candidate is its tanh": x_h + r * u,
        "the candidate is a tanh, not a sigmoid": _sigmoid(x_h + r * u),
        "the reset gate is missing: it multiplies u": np.tanh(x_h + u),
        "r acts on u alone, not on the input's share": np.tanh(r * (x_h + u)),
        "the input's share x_h is missing": np.tanh(r * u),
        "z has no part in the candidate; it is r that multiplies u": np.tanh(x_h + z * u),
        "the product with U_h is in u already": np.tanh(x_h + (r * u) @ lesson.U_h),
        "the gate stands inside the tanh, beside u": np.tanh(x_h) + r * u}, lesson.h_tilde)


def turn_h(lesson: SimpleNamespace) -> Known:
    z, h_prev, h_tilde = lesson.z, lesson.h_prev, lesson.h_tilde
    return mistakes.distinct({
        "that is the convention of many texts; in Keras z is the part of the OLD state": (1 - z) * h_prev + z * h_tilde,
        "what is kept is missing: z times the old state": (1 - z) * h_tilde,
        "what is new is missing: 1 - z times the candidate": z * h_prev,
        "the candidate comes in with 1 - z, not whole": z * h_prev + h_tilde,
        "both parts have the factor z; that of the candidate is 1 - z": z * h_prev + z * h_tilde,
        "the reset gate is in the candidate already; here it is z": lesson.r * h_prev + (1 - lesson.r) * h_tilde,
        "h is a mean of two, weighted by z; no further tanh": np.tanh(lesson.h)}, lesson.h)


# Backward: one step

def _step(lesson: SimpleNamespace, name: str, given: dict[str, Any], after: bool = True) -> Known:
    """The mistakes of one step back in `name`, a name in `mistakes`; those names in `given` are right already."""
    right, wrong = mistakes.gru_step_backward(lesson.dh, lesson.z, lesson.r, lesson.u, lesson.h_tilde, lesson.h_prev, lesson.U,
                                              after)
    return mistakes.distinct(mistakes.known(right, {
        sentence: values for sentence, values in wrong.items()
        if all(mistakes.same(values[key], value) for key, value in given.items())}, name), right[name])


def turn_dz(lesson: SimpleNamespace) -> Known:
    return mistakes.distinct(_step(lesson, "dz", {}) | {
        "that is da_z already; the slope of the sigmoid comes later": lesson.dz * lesson.z * (1 - lesson.z),
        "dz is dh times h_{t-1} - h̃; z itself is no part of it": lesson.dh * lesson.z,
        "z stands in h twice: the part - dh h̃ is not all": -lesson.dh * lesson.h_tilde,
        "what z is multiplied by is h_{t-1} - h̃, not their sum": lesson.dh * (lesson.h_prev + lesson.h_tilde)}, lesson.dz)


def turn_dh_tilde(lesson: SimpleNamespace) -> Known:
    return mistakes.distinct(_step(lesson, "dh_tilde", {}) | {
        "that is da_h already; the slope of the tanh comes later": lesson.dh_tilde * (1 - lesson.h_tilde ** 2),
        "the sign is flipped: the candidate is multiplied by 1 - z": -lesson.dh_tilde}, lesson.dh_tilde)


def turn_da_h(lesson: SimpleNamespace) -> Known:
    dh_tilde, h_tilde = lesson.dh_tilde, lesson.h_tilde
    return mistakes.distinct(_step(lesson, "da_h_tilde", {"dh_tilde": dh_tilde}) | {
        "h̃ is tanh(a_h) already; its slope is 1 - h̃², not 1 - tanh²(h̃)": dh_tilde * (1 - np.tanh(h_tilde) ** 2),
        "h̃ is a tanh: its slope is 1 - h̃², not h̃ (1 - h̃)": dh_tilde * h_tilde * (1 - h_tilde),
        "that is with the new state; the slope is that of the candidate: 1 - h̃²": dh_tilde * (1 - lesson.h ** 2),
        "that is du already; r comes later": lesson.da_h * lesson.r}, lesson.da_h)


def turn_dr(lesson: SimpleNamespace) -> Known:
    da_h, u = lesson.da_h, lesson.u
    return mistakes.distinct(_step(lesson, "dr", {"da_h_tilde": da_h}) | {
        "that is du: in a_h = x_h + r u the factor beside r is u": da_h * lesson.r,
        "r multiplies u, which is h_{t-1} U_h + b'_h; not h_{t-1}": da_h * lesson.h_prev,
        "between h̃ and r stands the tanh: it is da_h, not dh̃, times u": lesson.dh_tilde * u,
        "that is da_r already; the slope of the sigmoid comes later": lesson.dr * lesson.r * (1 - lesson.r)}, lesson.dr)


def turn_du(lesson: SimpleNamespace) -> Known:
    da_h, r = lesson.da_h, lesson.r
    return mistakes.distinct({
        "r is missing: in a_h = x_h + r u the factor beside u is r": da_h,
        "that is dr: the factor beside u is r": da_h * lesson.u,
        "between h̃ and u stands the tanh: it is da_h, not dh̃, times r": lesson.dh_tilde * r,
        "that is a reset before the product, or the way on to h_{t-1}: du stops at u": da_h @ lesson.U_h.T,
        "that is the way on to h_{t-1}; du stops at u": (da_h * r) @ lesson.U_h.T}, lesson.du)


def turn_da_z(lesson: SimpleNamespace) -> Known:
    dz, z = lesson.dz, lesson.z
    return mistakes.distinct(_step(lesson, "da_z", {"dz": dz}) | {
        "the slope is that of z's own value, z (1 - z), not of r": dz * lesson.r * (1 - lesson.r),
        "z is a sigmoid already; do not take the sigmoid again": dz * _sigmoid(z) * (1 - _sigmoid(z))}, lesson.da_z)


def turn_da_r(lesson: SimpleNamespace) -> Known:
    dr, r = lesson.dr, lesson.r
    return mistakes.distinct(_step(lesson, "da_r", {"dr": dr}) | {
        "the slope is that of r's own value, r (1 - r), not of z": dr * lesson.z * (1 - lesson.z),
        "r is a sigmoid already; do not take the sigmoid again": dr * _sigmoid(r) * (1 - _sigmoid(r))}, lesson.da_r)


def turn_dh_prev(lesson: SimpleNamespace) -> Known:
    return _to_h_prev(lesson, after=True)


def _to_h_prev(lesson: SimpleNamespace, after: bool) -> Known:
    da = np.concatenate([lesson.da_z, lesson.da_r, lesson.da_h], axis=1)
    return mistakes.distinct(_step(lesson, "dh_prev", {"da": da}, after) | {
        "only the straight way is there; the gates and u hear h_{t-1} too": lesson.dh * lesson.z,
        "the four are added, not averaged": lesson.dh_prev / 4}, lesson.dh_prev)


def turn_gru_step_backward(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    rng = np.random.default_rng(90)
    dh, h_prev, u = rng.normal(size=(3, 3, 2))
    z, r = _sigmoid(rng.normal(size=(2, 3, 2)))
    h_tilde, U = np.tanh(rng.normal(size=(3, 2))), rng.normal(size=(2, 6))
    values = [dh, z, r, h_tilde, u, h_prev, U]
    copies = [value.copy() for value in values]
    result = given(*copies)
    for name, value, copy in zip(("dh", "z", "r", "h_tilde", "u", "h_prev", "U"), values, copies, strict=True):
        if not np.array_equal(value, copy):
            raise Wrong(f"it changes {name} in place; whoever called it still needs it. Make a new array")
    da, du, dh_prev = returned(result, "gru_step_backward", "da", "du", "dh_prev")
    right, wrong = mistakes.gru_step_backward(dh, z, r, u, h_tilde, h_prev, U, after=True)
    if np.shape(da) != right["da"].shape and right["da"].shape in (np.shape(du), np.shape(dh_prev)):
        raise Wrong("first da, (N, 3H), then du and dh_prev, (N, H) each; they have changed places")
    if mistakes.same(np.asarray(du), right["dh_prev"]) and mistakes.same(np.asarray(dh_prev), right["du"]):
        raise Wrong("first da, then du, then dh_prev; the last two have changed places")
    wrong["r is missing: du is da_h r"] = {"du": right["da_h_tilde"]}
    expect_all((da, du, dh_prev), right, wrong, ("da", "du", "dh_prev"), "gru_step_backward",
               {name: ("sample", "unit") for name in ("da", "du", "dh_prev")}, GATES)


# Backward: the walk, and the weights

def _walk(lesson: SimpleNamespace) -> tuple[mistakes.Values, mistakes.Mistakes]:
    z, r, h_tilde, u, h = (np.stack([step[k] for step in lesson.steps], axis=1) for k in range(1, 6))
    return mistakes.gru_backward(lesson.x, lesson.h_start, z, r, u, h_tilde, h, lesson.W, lesson.U, lesson.dy, True)


def turn_da_all(lesson: SimpleNamespace) -> dict[str, Known]:
    right, wrong = _walk(lesson)
    r = np.stack([step[2] for step in lesson.steps], axis=1)
    da_h = lesson.da_all[:, :, 2 * lesson.H:]
    alone = mistakes.known(right, wrong, "da")
    return {"da_all": mistakes.distinct(alone, right["da"]),
            "du_all": mistakes.distinct({"that is da_h of all steps; du is da_h r": da_h,
                                 "that is with r of the last step; each step has its own": da_h * r[:, -1:]}, lesson.du_all),
            "dh_next": mistakes.distinct(mistakes.known(right, wrong, "dh_start"), right["dh_start"])}


def _sums(lesson: SimpleNamespace, name: str) -> Known:
    """Mistakes in the sums over samples and steps; da is right already."""
    right, wrong = _walk(lesson)
    sums = {sentence: values for sentence, values in wrong.items() if "da" not in values}
    return mistakes.known(right, sums, name)


def turn_dU(lesson: SimpleNamespace) -> Known:
    plain = np.einsum("nti,ntj->ij", lesson.h_before, lesson.da_all)
    known = {"r is missing: U_h is given du, not da_h; that is d_recurrent": plain} | _sums(lesson, "dU")
    return mistakes.distinct(known, lesson.dU)


def turn_db(lesson: SimpleNamespace) -> Known:
    first, second = lesson.db
    return mistakes.distinct({
        "r is missing: the bias beside h U is given du in its last part, as U_h is": np.stack([first, first]),
        "the bias beside x W is given da_h whole; it stands outside the reset": np.stack([second, second]),
        "the two rows have changed places: first the bias beside x W": lesson.db[::-1],
        "that is the first row alone; there are two": first,
        "that is the second row alone; there are two": second,
        "that is one bias for both; they are two rows, and each has its own gradient": first + second,
        "it is a mean over samples and steps; it should be the sum": lesson.db / (lesson.N * lesson.T)}, lesson.db)


# Reset before the product

def turn_u_2(lesson: SimpleNamespace) -> Known:
    r, h_prev, U_h = lesson.r, lesson.h_prev, lesson.U_h
    return mistakes.distinct({
        "that is for a reset after the product; here r acts first, on the old state": h_prev @ U_h + lesson.b_h,
        "that is for a reset after the product, without its bias; here r acts first, on the old state": h_prev @ U_h,
        "the product with U_h comes later, in the candidate": (r * h_prev) @ U_h,
        "z is for the new state; it is r that resets": lesson.z * h_prev}, lesson.u)


def turn_h_tilde_2(lesson: SimpleNamespace) -> Known:
    x_h, u, U_h, r = lesson.x_h, lesson.u, lesson.U_h, lesson.r
    return mistakes.distinct({
        "the product with U_h is missing": np.tanh(x_h + u),
        "r is in u already": np.tanh(x_h + (r * u) @ U_h),
        "r acts before the product: it is in u already": np.tanh(x_h + r * (u @ U_h)),
        "there is no second bias with this reset": np.tanh(x_h + u @ U_h + lesson.b_h),
        "that is the pre-activation; the candidate is its tanh": x_h + u @ U_h,
        "the product is with U_h, not with its transpose": np.tanh(x_h + u @ U_h.T),
        "the input's share x_h is missing": np.tanh(u @ U_h)}, lesson.h_tilde)


def turn_du_2(lesson: SimpleNamespace) -> Known:
    da_h, r, U_h = lesson.da_h, lesson.r, lesson.U_h
    return mistakes.distinct({
        "that is for a reset after the product; here u goes through U_h": da_h * r,
        "going back multiplies by the transpose of U_h": da_h @ U_h,
        "u goes into a_h through U_h; here it is missing": da_h,
        "between h̃ and u stands the tanh: it is da_h, not dh̃, that goes back": lesson.dh_tilde @ U_h.T,
        "r comes later, on the way to h_{t-1}; du stops at u": (da_h @ U_h.T) * r}, lesson.du)


def turn_dr_2(lesson: SimpleNamespace) -> Known:
    du, da_h = lesson.du, lesson.da_h
    return mistakes.distinct({
        "that is for a reset after the product; here u = r h_prev, and du is what comes back": da_h * lesson.u,
        "r is multiplied by h_{t-1}, not by u, which is r h_{t-1} already": du * lesson.u,
        "that is the way to h_{t-1}: beside r stands h_prev": du * lesson.r,
        "between r and a_h stands U_h: it is du, not da_h, times h_prev": da_h * lesson.h_prev,
        "that is da_r already; the slope of the sigmoid comes later": lesson.dr * lesson.r * (1 - lesson.r)}, lesson.dr)


def turn_dh_prev_2(lesson: SimpleNamespace) -> Known:
    return mistakes.distinct({"U_h is in du already; on the way by u only r is left": lesson.dh_prev - lesson.du * lesson.r
                      + (lesson.du * lesson.r) @ lesson.U_h.T} | _to_h_prev(lesson, after=False), lesson.dh_prev)


def turn_dU_h(lesson: SimpleNamespace) -> Known:
    u, da_h, h_prev, du = lesson.u, lesson.da_h, lesson.h_prev, lesson.du
    return mistakes.distinct({
        "U_h was multiplied by u, not by h_{t-1}": h_prev.T @ da_h,
        "that is for a reset after the product": h_prev.T @ (da_h * lesson.r),
        "what came back to the product is da_h; du is behind it": u.T @ du,
        "it is the transpose of what it should be": da_h.T @ u,
        "it is a mean over the samples; it should be the sum": lesson.dU_h / lesson.N}, lesson.dU_h)


# Exercises

def exercise_1(answer: Answer) -> None:
    """One step back, on paper

    h, da_z, da_r, du and dh_prev for one unit that resets after, at the last step: z = 0.75, r = 0.5, h_{t-1} = -1, x_h = 0.5,
    U_h = 4, b'_h = 3, U_z = U_r = 0, dh = 4.
    """
    answer.on_paper("h", -0.75, [
        "First h~ = tanh(x_h + r (U_h h_{t-1} + b'_h)), then h = z h_{t-1} + (1 - z) h~.",
        "U_h h_{t-1} + b'_h = -1, and r makes -0.5 of it."], {
        "that is (1 - z) h_{t-1} + z h~, as in many texts; Keras' z says how much stays": -0.25,
        "with h~ = 0 only the part of h_{t-1} counts": 0,
        "that is reset before, where h~ = tanh(x_h + U_h r h_{t-1}) and there is no b'": -0.75 + 0.25 * np.tanh(-1.5)}, 1e-3)
    answer.on_paper("da_z", -0.75, [
        "First dz = dh (h_{t-1} - h~), then the slope of a sigmoid.",
        "dz = -4, and the slope is z (1 - z)."], {
        "the sign is that of many texts: there z is the part of h~": 0.75,
        "that is dz; the slope z (1 - z) is missing": -4,
        "that is with the slope of tanh; a gate's is z (1 - z)": -4 * (1 - 0.75 ** 2)})
    answer.on_paper("da_r", -0.25, [
        "r is a factor of u inside the tanh: dr = da_h u, with u = U_h h_{t-1} + b'_h. Then the slope of a sigmoid.",
        "da_h = dh (1 - z) (1 - h~²) = 1, and u = -1."], {
        "either the slope r (1 - r) is missing, or something else stands for u, which is U_h h_{t-1} + b'_h = -1": -1,
        "h~ got 1 - z = 0.25 of dh, not z": -0.75})
    answer.on_paper("du", 0.5, [
        "Inside the tanh stands r u: du = da_h r.",
        "da_h = dh (1 - z) (1 - h~²) = 1."], {
        "that is da_h; r is missing": 1,
        "h~ got 1 - z = 0.25 of dh, not z": 1.5,
        "h~'s share of dh, 1 - z, is missing": 2,
        "that is reset before: du = da_h U_h": 4})
    answer.on_paper("dh_prev", 5, [
        "h_{t-1} is heard straight, with the factor z, and in u, with the factor U_h (U_z and U_r are 0). Add the two.",
        "The straight way brings dh z = 3."], {
        "the straight way is missing, dh z": 2,
        "the way by u is missing, du U_h": 3,
        "by u it is du U_h, not du": 3.5,
        "by u it is du U_h, and du has the factor r": 7,
        "the straight way is dh z, not dh (1 - z)": 3,
        "that is with z and 1 - z changed, as in many texts": 1 + 4 * 1.5})


def exercise_2(answer: Answer) -> None:
    """A whole backward, with batch axis, for both ways to reset

    gru_backward(dy, x, W, U, b, h_start, after): runs forward and then backward, and returns dx, dW, dU, db, dh_start. dy
    (N, T, H), x (N, T, in), W (in, 3H), U (H, 3H), h_start (N, H), in the order z, r, h~; `after` is True for a reset after the
    product with U_h, and False for one before it. b and db are (2, 3H) for a reset after, (3H,) for one before.
    """
    names = ("dx", "dW", "dU", "db", "dh_start")
    axes = {"dx": ("sample", "step", "input"), "dh_start": ("sample", "unit")}

    def check(N: int, T: int, inputs: int, H: int, after: bool) -> None:
        rng = np.random.default_rng(100 * N + T)
        dy, x, U = rng.normal(size=(N, T, H)), rng.normal(size=(N, T, inputs)), rng.normal(size=(H, 3 * H))
        W, h_start = rng.normal(size=(inputs, 3 * H)), rng.normal(size=(N, H))
        b = rng.normal(size=(2, 3 * H) if after else 3 * H)
        z, r, u, h_tilde, h = _forward(x, W, U, b, h_start, after)
        right, wrong = mistakes.gru_backward(x, h_start, z, r, u, h_tilde, h, W, U, dy, after)
        result = answer.function("gru_backward")(dy, x, W, U, b, h_start, after)
        expect_all(result, right, wrong, names, "gru_backward", axes, GATES,
                   " (reset after)" if after else " (reset before)", ("db", "dW", "dU", "dx", "dh_start"))
    for_each_size(answer, check, [(1, 1, 1, 1, True), (1, 1, 1, 1, False), (2, 3, 1, 2, True), (2, 3, 1, 2, False),
                                  (3, 4, 2, 3, True), (3, 4, 2, 3, False)])


def _forward(x: np.ndarray, W: np.ndarray, U: np.ndarray, b: np.ndarray, h: np.ndarray, after: bool) -> list[np.ndarray]:
    """z, r, u, h~, h of all steps, (N, T, H)."""
    steps, (b_x, b_h) = [], b if after else (b, 0 * b)
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    b_z, b_r, b_u = np.split(b_h, 3)
    for t in range(x.shape[1]):
        x_z, x_r, x_h = np.split(x[:, t] @ W + b_x, 3, axis=1)
        z, r = _sigmoid(x_z + h @ U_z + b_z), _sigmoid(x_r + h @ U_r + b_r)
        u = h @ U_h + b_u if after else r * h
        h_tilde = np.tanh(x_h + (r * u if after else u @ U_h))
        h = z * h + (1 - z) * h_tilde
        steps.append((z, r, u, h_tilde, h))
    return [np.stack(values, axis=1) for values in zip(*steps, strict=True)]


def exercise_3(answer: Answer) -> None:
    """The bug that leaves dx right

    The function weight_gradients at the end of the lesson has a bug. Write it right as
    fixed_weight_gradients(da_h, r, u, h_prev): returns dU_h (H, H) and, of both biases in h~, db_h and db_after (H,), for a
    reset after. The arguments are (N, T, H).
    """
    da_h, r, u, h_prev = np.random.default_rng(10).uniform(0.1, 0.9, (4, 2, 5, 3))
    result = answer.function("fixed_weight_gradients")(da_h, r, u, h_prev)
    returned(result, "fixed_weight_gradients", "dU_h", "db_h", "db_after")
    du = da_h * r

    def product(a: np.ndarray, d: np.ndarray) -> np.ndarray:
        return np.einsum("nti,ntj->ij", a, d)

    expect_close(result[0], product(h_prev, du), "dU_h", {
        "r is missing: what the product with U_h gave was multiplied by it": product(h_prev, da_h),
        "that is for a reset before: r on the side of h_{t-1}": product(r * h_prev, da_h),
        "u is made with U_h; what U_h was multiplied with is h_{t-1}": product(u, du),
        "it is the transpose of what it should be": product(du, h_prev)})
    expect_close(result[1], da_h.sum(axis=(0, 1)), "db_h", {
        "b_h stands outside the reset, beside x W_h: it gets da_h whole": du.sum(axis=(0, 1)),
        "the sum over the samples is missing": da_h.sum(axis=1)})
    expect_close(result[2], du.sum(axis=(0, 1)), "db_after", {
        "b'_h stands inside the reset, so r is missing": da_h.sum(axis=(0, 1)),
        "dr is da_h u; this is du, which is da_h r": (da_h * u).sum(axis=(0, 1)),
        "the sum over the samples is missing": du.sum(axis=1)})


def exercise_4(answer: Answer) -> None:
    """A switch

    W (2, 3), U (1, 3) and b (2, 3) of a GRU(1) that from a (1, 0) on stays above 0.9 and from a (0, 1) on below -0.9.
    """
    weights = [answer.array("W", (2, 3)), answer.array("U", (1, 3)), answer.array("b", (2, 3))]
    fault = _fault_of_switch(weights)
    if fault and not _fault_of_switch([np.multiply([-1, 1, 1], weight) for weight in weights]):
        raise Wrong(f"{fault}; with the signs of z's columns changed it is right: Keras' z near 1 keeps")
    if fault:
        raise Wrong(fault)


def _fault_of_switch(weights: list[np.ndarray]) -> str:
    marks = {3: 0, 5: 1, 6: 0, 206: 1, 406: 0, 407: 0, 408: 1, 500: 0}
    inputs = np.zeros((1, 600, 2))
    for t, which in marks.items():
        inputs[0, t, which] = 1
    switch = GRU(1, return_sequences=True, dtype="float64").to("reference")
    switch.build(inputs.shape)
    switch.set_weights(weights)
    h = switch.forward(inputs)[0, :, 0]
    last = None
    for t in range(600):
        last = t if t in marks else last
        if last is None:
            continue
        on = marks[last] == 0
        if (h[t] if on else -h[t]) <= 0.9:
            mark, bound = ("(1, 0)", "above 0.9") if on else ("(0, 1)", "below -0.9")
            when = f"at a {mark} itself" if t == last else f"{t - last} steps after a {mark}"
            why = "z should be near 0 there, and h~ near ±1" if t == last else "z should be nearer to 1, or h~ repeat what h is"
            return f"{when} the state is {h[t]:.3f}, not {bound}: {why}"
    return ""
