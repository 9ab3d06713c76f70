"""Checks of lesson 18: its turns and its exercises."""
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size, returned

Known = dict[str, np.ndarray]


# Noise

def turn_y(lesson: SimpleNamespace) -> Known:
    x, m, r = lesson.x, lesson.m, lesson.r
    return {"what is kept has to be divided by 1 - r, or the mean gets smaller": m * x,
            "it is divided by r; the part that is kept is 1 - r": m * x / r,
            "it is multiplied by 1 - r; divide": m * x * (1 - r),
            "it is the other way round: m is 1 where a number is kept": (1 - m) * x / (1 - r),
            "nothing is dropped: multiply by m": x / (1 - r),
            "that is the mask, divided; it is multiplied by x": m / (1 - r)}


def turn_var_y(lesson: SimpleNamespace) -> Known:
    x, m, r = lesson.x, lesson.m, lesson.r
    return {"that is the mean of y²; the square of the mean, x², has to be taken off": x ** 2 / (1 - r),
            "that is the standard deviation; its square is asked for": np.sqrt(x ** 2 * r / (1 - r)),
            "a factor comes out of a variance squared: x²": x * r / (1 - r),
            "that is the variance of m x; the division by 1 - r makes it larger": x ** 2 * r * (1 - r),
            "x² is missing": np.full(x.shape, r / (1 - r)),
            "r is missing: x² / (1 - r) - x² is x² r / (1 - r)": x ** 2,
            "it is turned over: r stands above, 1 - r below": x ** 2 * (1 - r) / r,
            "it is over many masks; this one, m, does not come in": m * x ** 2 * r / (1 - r)}


def turn_dx(lesson: SimpleNamespace) -> Known:
    dy, m, r = lesson.dy, lesson.m, lesson.r
    return {"the factor 1/(1 - r) is there on the way back too": m * dy,
            "the mask is there on the way back too: what was dropped hears nothing": dy / (1 - r),
            "forward divides by 1 - r, so backward divides too": m * dy * (1 - r),
            "it is the other way round: m is 1 where a number was kept": (1 - m) * dy / (1 - r),
            "the factor is applied twice": m * dy / (1 - r) ** 2,
            "x itself does not come in: the derivative of m x is m": m * dy * lesson.x / (1 - r)}


def turn_y_spatial(lesson: SimpleNamespace) -> Known:
    sequence, m, r = lesson.sequence, lesson.m, lesson.r
    return {"what is kept has to be divided by 1 - r": m[:, None] * sequence,
            "both samples have the mask of sample 0; each has its own": m[:1, None] * sequence / (1 - r),
            "both samples have the mask of sample 1; each has its own": m[1:, None] * sequence / (1 - r),
            "nothing is dropped: multiply by m[:, None]": sequence / (1 - r),
            "it is the other way round: m is 1 where a channel is kept": (1 - m)[:, None] * sequence / (1 - r),
            "it is divided by r; the part that is kept is 1 - r": m[:, None] * sequence / r}


def turn_sigma(lesson: SimpleNamespace) -> Known:
    r = lesson.r
    return {"that is the variance; the deviation is its root": np.array(r / (1 - r)),
            "that is the rate itself, as many texts print it": np.array(r),
            "that is the root of the rate; the variance is r / (1 - r)": np.sqrt(r),
            "it is turned over: r stands above, 1 - r below": np.sqrt((1 - r) / r),
            "that is the deviation of m; g stands for m / (1 - r)": np.sqrt(r * (1 - r))}


def turn_dx_gauss(lesson: SimpleNamespace) -> Known:
    dy, g, x = lesson.dy, lesson.g, lesson.x
    return {"the noise is there on the way back too: the same g": dy,
            "it is divided by g; the derivative of g x is g": dy / g,
            "x does not come in: the derivative of g x by x is g": dy * x,
            "g is there twice": dy * g ** 2,
            "no factor 1/(1 - r) here: the mean of g is 1 already": g * dy / (1 - lesson.r)}


def turn_mean_c(lesson: SimpleNamespace) -> Known:
    r, alpha = lesson.r, lesson.alpha
    return {"α' comes in r of the cases, not in 1 - r": np.array((1 - r) * alpha),
            "the sign is lost: α' is negative": np.array(-r * alpha),
            "x has mean 0: it adds nothing": np.array(1 - r + r * alpha),
            "that is α'; it comes in r of the cases": np.array(alpha)}


def turn_var_c(lesson: SimpleNamespace) -> Known:
    r, alpha = lesson.r, lesson.alpha
    return {"that is the mean of c²; the square of its mean has to be taken off": np.array(1 - r + r * alpha ** 2),
            "the mean of c is r α'; take off its square, not itself": np.array(1 - r + r * alpha ** 2 - r * alpha),
            "x² has the mean 1, in 1 - r of the cases: that is missing": np.array(r * alpha ** 2 - (r * alpha) ** 2),
            "α' comes in r of the cases, x in 1 - r": np.array(r + (1 - r) * alpha ** 2 - (r * alpha) ** 2),
            "the square of the mean is added; take it off": np.array(1 - r + r * alpha ** 2 + (r * alpha) ** 2),
            "in the mean of c², α' is squared": np.array(1 - r + r * alpha - (r * alpha) ** 2)}


def turn_A(lesson: SimpleNamespace) -> Known:
    v = lesson.var_c
    return {"a factor changes a variance by its square: divide by the root": np.array(1 / v),
            "multiplied by that, the variance grows; one over it": np.sqrt(v),
            "that is the variance itself": np.array(v),
            "that is dropout's factor; here the variance decides": np.array(1 / (1 - lesson.r))}


def turn_B(lesson: SimpleNamespace) -> Known:
    A, mean_c = lesson.A, lesson.mean_c
    return {"the mean is multiplied by A too: -A times the mean": np.array(-mean_c),
            "the sign is turned: the mean has to be taken off": np.array(A * mean_c),
            "A stands below; it multiplies the mean": np.array(-mean_c / A),
            "that is the mean; it has to be taken off, times A": np.array(mean_c)}


def turn_dx_alpha(lesson: SimpleNamespace) -> Known:
    dy, m, A, B = lesson.dy, lesson.m, lesson.A, lesson.B
    return {"A is there on the way back too": m * dy,
            "the mask is there on the way back too: α' does not depend on x": A * dy,
            "that is dropout's factor; here it is A": m * dy / (1 - lesson.r),
            "B is added, so it has no derivative": A * m * dy + B,
            "where a number is dropped stands α', a constant: nothing goes back there":
                A * (m + (1 - m) * lesson.alpha) * dy}


# Penalties

def turn_dR_2(lesson: SimpleNamespace) -> Known:
    W, lam = lesson.W, lesson.lam
    return {"the derivative of w² is 2 w: the 2 is missing": lam * W,
            "lambda is missing": 2 * W,
            "that is the penalty of each weight; its derivative is asked for": lam * W ** 2,
            "that pulls away from 0; the gradient has the sign of w": -2 * lam * W,
            "that is the gradient of L1": lam * np.sign(W),
            "it is a sum over the weights, not a mean": 2 * lam * W / W.size}


def turn_dR_1(lesson: SimpleNamespace) -> Known:
    W, lam = lesson.W, lesson.lam
    return {"lambda is missing": np.sign(W),
            "that is the penalty of each weight; its derivative is asked for": lam * np.abs(W),
            "negative weights have the slope -1: np.sign": lam * np.ones_like(W),
            "that is the gradient of L2; |w| has the slope 1 or -1, however large w is": 2 * lam * W,
            "a weight that is 0 should rest there: slope 0": lam * np.where(W >= 0, 1, -1),
            "it is a sum over the weights, not a mean": lam * np.sign(W) / W.size}


def turn_R(lesson: SimpleNamespace) -> Known:
    lam, C, V = lesson.lam, lesson.C, lesson.V
    gram = V.T @ V - np.eye(2)
    total = np.abs(C).sum()
    return {"each pair counts once, and it is the mean over the three pairs": np.array(lam * total / 3),
            "that is the sum of the three pairs; take their mean": np.array(lam * total / 2),
            "lambda is missing": np.array(total / 6),
            "the cosine itself counts, not its square": np.array(lam * (C ** 2).sum() / 6),
            "that is |WᵀW - I|², as many texts print it": np.array(lam * (gram ** 2).sum())}


def turn_dq(lesson: SimpleNamespace) -> Known:
    lam, C, q = lesson.lam, lesson.C, lesson.q
    signs = np.sign(C)
    return {"the mean over the pairs is missing: divide by 3": lam * signs @ q,
            "lambda is missing": signs @ q / 3,
            "|C| has the slope 1 or -1, not C itself: np.sign(C)": lam / 3 * C @ q,
            "a row does not pull at itself: the diagonal of C is 0": lam / 3 * (signs + np.eye(3)) @ q,
            "each pair counts once; C has it twice, but row i collects it once": 2 * lam / 3 * signs @ q,
            "the gradient is that by q, of length 1; yours is made with V": lam / 3 * signs @ lesson.V,
            "the sign is turned: more likeness costs more": -lam / 3 * signs @ q}


def turn_dV(lesson: SimpleNamespace) -> Known:
    dq, q, norms = lesson.dq, lesson.q, lesson.norms
    along = (dq * q).sum(axis=1, keepdims=True)
    return {"the part along q has to be taken off: longer rows have the same cosine": dq / norms,
            "it has to be divided by the length of the row": dq - along * q,
            "it is multiplied by the length; q = w / |w| divides": (dq - along * q) * norms,
            "that is the part along q alone; it is taken off": along * q / norms,
            "the part along q is added; take it off": (dq + along * q) / norms,
            "each row has its own part along q: sum with axis=1, keepdims=True": (dq - (dq * q).sum() * q) / norms,
            "the part along q is that number times q": (dq - along) / norms}


# Limits

def turn_K_unit(lesson: SimpleNamespace) -> Known:
    K = lesson.K
    return {"those are the rows brought to length 1; the weights of a unit are a column":
                K / np.linalg.norm(K, axis=1, keepdims=True),
            "it is divided by the length of all weights together; each column has its own": K / np.linalg.norm(K),
            "it is multiplied by the lengths; divide": K * lesson.lengths,
            "it is divided by the squared lengths": K / lesson.lengths ** 2,
            "it is divided by the sums of the columns; the length is the root of the sum of squares": K / K.sum(axis=0)}


def turn_K_max(lesson: SimpleNamespace) -> Known:
    K, lengths = lesson.K, lesson.lengths
    return {"each element is clipped, as many texts have it; the column should only get shorter": np.clip(K, -2, 2),
            "short columns stay as they are; yours get the length 2": 2 * K / lengths,
            "it has to be divided by the old length": K * np.minimum(lengths, 2),
            "that is at least 2; np.minimum keeps the lengths down": K * np.maximum(lengths, 2) / lengths,
            "those are the rows; the weights of a unit are a column":
                K * np.minimum(np.linalg.norm(K, axis=1, keepdims=True), 2) / np.linalg.norm(K, axis=1, keepdims=True),
            "nothing has changed; the first column has length 5": K,
            "that is UnitNorm": K / lengths}


def turn_wanted(lesson: SimpleNamespace) -> Known:
    lengths = lesson.lengths
    return {"that goes the whole way; the rate says half": np.clip(lengths, 1, 2),
            "that is half of the bounds alone; the other half is the old length": 0.5 * np.clip(lengths, 1, 2),
            "the two halves are multiplied; add them": 0.25 * np.clip(lengths, 1, 2) * lengths,
            "nothing has changed": lengths,
            "the lower bound is missing": 0.5 * np.minimum(lengths, 2) + 0.5 * lengths,
            "the upper bound is missing": 0.5 * np.maximum(lengths, 1) + 0.5 * lengths}


def turn_dy_priced(lesson: SimpleNamespace) -> Known:
    dy, y, l1, l2 = lesson.dy, lesson.y, lesson.l1, lesson.l2
    penalty = l1 * np.sign(y) + 2 * l2 * y
    return {"the penalty is divided by the size of the batch, so its gradient is too": dy + penalty,
            "that is the penalty's gradient alone; dy is still there": penalty / 2,
            "dy is not divided by N; only the penalty is": (dy + penalty) / 2,
            "it is divided by the number of all outputs; divide by the samples, N": dy + penalty / 4,
            "the derivative of y² is 2 y: the 2 is missing": dy + (l1 * np.sign(y) + l2 * y) / 2,
            "the derivative of |y| is its sign, not |y|": dy + (l1 * np.abs(y) + 2 * l2 * y) / 2,
            "it is taken off; a penalty is added to the loss": dy - penalty / 2,
            "nothing of the penalty arrives": dy,
            "the part of l1 is missing": dy + l2 * y,
            "the part of l2 is missing": dy + l1 * np.sign(y) / 2}


# Exercises

def exercise_1(answer: Answer) -> None:
    """Dropout and a penalty, on paper

    y and dx (2 numbers each) for x = (2, -1), r = 0.75, the mask (0, 1) and dy = (3, 5); dR (2 numbers) for the weights
    (3, -0.5) under L1L2(l1=0.1, l2=0.05).
    """
    answer.on_paper("y", [0, -4], [
        "What is kept is divided by the part that is kept.", "1 - r is a quarter."], {
        "it is divided by r": [0, -4 / 3],
        "what is kept has to be divided by 1 - r": [0, -1],
        "the mask is 1 where a number is kept": [8, 0]})
    answer.on_paper("dx", [0, 20], [
        "The way back is the same product with the same numbers.", "The second one is kept: 5, divided by a quarter."], {
        "the factor 1/(1 - r) is there on the way back too": [0, 5],
        "what was dropped hears nothing": [12, 20],
        "forward divides by 1 - r, so backward divides too": [0, 1.25]})
    answer.on_paper("dR", [0.4, -0.15], [
        "Take l1 times the sign of the weight, and l2 times the derivative of its square.",
        "For the first: 0.1 + 0.05 · 6."], {
        "the derivative of w² is 2 w": [0.25, -0.125],
        "the derivative of |w| is the sign: -1 for the second": [0.4, 0.05],
        "those are the penalties themselves; their derivatives are asked for": [0.75, 0.0625],
        "the part of l1 is missing": [0.3, -0.05],
        "the part of l2 is missing": [0.1, -0.1]})


def exercise_2(answer: Answer) -> None:
    """The whole backward of a network with dropout and L2

    network_backward(x, W_1, W_2, m, r, l2, dz): returns dx, dW_1, dW_2 of h = relu(x W_1), y = m h / (1 - r), z = y W_2, with
    an L2 penalty on both matrices. x (N, in), m (N, H), dz (N, out).
    """
    names = ("dW_2", "dW_1", "dx")

    def compare(N: int, inputs: int, H: int, outputs: int) -> None:
        numbers = _network(N, inputs, H, outputs)
        dx, dW_1, dW_2 = returned(answer.function("network_backward")(*numbers), "network_backward", "dx", "dW_1", "dW_2")
        right = _network_backward(*numbers)
        wrong = mistakes.spoiled(right, lambda mistake: _network_backward(*numbers, mistake), NETWORK)
        expect_all((dW_2, dW_1, dx), right, wrong, names, "network_backward")

    for_each_size(answer, compare, [(1, 2, 3, 1), (2, 2, 3, 2), (4, 3, 5, 2)])


NETWORK = {"no mask": "the mask is missing on the way back: what was dropped hears nothing",
           "no factor": "the factor 1/(1 - r) is missing on the way back",
           "no slope": "the slope of ReLU is missing: 1 where h > 0, else 0",
           "h for y": "dW_2 is made with h; what comes into z is y, after dropout",
           "no penalty": "the gradients of the penalty are missing: 2 l2 W is added to both",
           "one penalty": "the penalty stands on both matrices; dW_1 lacks it",
           "half penalty": "the derivative of W² is 2 W: the 2 is missing",
           "penalty by N": "the penalty is not divided by the size of the batch",
           "mean": "the gradients of the weights are divided by N; they are sums over the samples"}


def _network_backward(x: np.ndarray, W_1: np.ndarray, W_2: np.ndarray, m: np.ndarray, r: float, l2: float, dz: np.ndarray,
                      mistake: str = "") -> Known:
    h = np.maximum(x @ W_1, 0)
    keep = 1 if mistake == "no mask" else m
    dh = dz @ W_2.T * keep / (1 if mistake == "no factor" else 1 - r)
    da = dh if mistake == "no slope" else dh * (h > 0)
    price = {"no penalty": 0, "half penalty": l2, "penalty by N": 2 * l2 / len(x)}.get(mistake, 2 * l2)
    y = h if mistake == "h for y" else m * h / (1 - r)
    by = len(x) if mistake == "mean" else 1
    return {"dx": da @ W_1.T, "dW_1": x.T @ da / by + (0 if mistake == "one penalty" else price * W_1),
            "dW_2": y.T @ dz / by + price * W_2}


def _network(N: int, inputs: int, H: int, outputs: int) -> tuple:
    rng = np.random.default_rng(18)
    x, W_1, W_2, dz = (rng.normal(size=size).round(2) for size in ((N, inputs), (inputs, H), (H, outputs), (N, outputs)))
    m = (np.arange(N * H).reshape(N, H) % 3 > 0).astype(float)
    return x, W_1, W_2, m, 0.25, 0.05, dz


def exercise_3(answer: Answer) -> None:
    """The wrong lengths

    The function max_norm at the end of the lesson has a bug. Write it right as
    fixed_max_norm(W, most): W (in, out), no column longer than `most`; a column of zeros stays as it is.
    """
    function = answer.function("fixed_max_norm")
    W = np.array([[3.0, 0.3, 1.0], [4.0, 0.4, -2.0], [0.0, 0.1, 2.0], [12.0, 0.2, 4.0]])
    by_rows = np.linalg.norm(W, axis=1, keepdims=True)
    columns = np.linalg.norm(W, axis=0)
    with np.errstate(all="ignore"):
        got = function(W.copy(), 2.0)
    expect_close(got, W * np.minimum(columns, 2) / columns, "W with columns of length 13, 0.55 and 5", {
        "it still goes by the rows; the weights of a unit are a column": W * np.minimum(by_rows, 2) / by_rows,
        "it goes by all weights together; each column has its own length": W * 2 / np.linalg.norm(W),
        "each element is clipped; the columns should only get shorter": np.clip(W, -2, 2),
        "short columns stay as they are; yours get the length 2": W * 2 / columns}, tolerance=1e-4)
    W[:, 1] = 0
    with np.errstate(all="ignore"):
        zeros = np.asarray(function(W.copy(), 2.0), float)
    if zeros[:, 1].any():
        raise Wrong("a column of zeros becomes 0/0, not a number: add 1e-7 to the length below")


def exercise_4(answer: Answer) -> None:
    """How much L1 for three zeros

    smallest_l1: the smallest factor of L1 that brings three of the five weights to 0 (0.02 more or less will do).
    """
    given = float(answer.array("smallest_l1", ()))
    k = np.array([0.3, -0.8, 1.5, 0.1, -2.0])
    zeros = int(np.sum(np.abs(k) <= given + 1e-9))
    if given > 0.82:
        raise Wrong(f"with {given:g} {zeros} of the five weights come to 0, but a smaller factor does it too")
    if given < 0.78:
        raise Wrong(f"with {given:g} only {zeros} of the five weights come to 0")
