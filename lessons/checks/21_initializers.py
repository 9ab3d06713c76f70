"""Checks of lesson 21: its turns and its exercises."""
from itertools import pairwise
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, as_array, expect_all, for_each_size, returned

Known = dict[str, np.ndarray]


# Symmetry

def turn_da(lesson: SimpleNamespace) -> Known:
    dh, h = lesson.dh, lesson.h
    return {"the slope is missing: 1 - h²": dh,
            "the slope is 1 - h², not 1 - h": dh * (1 - h),
            "the slope is 1 - h², not 1 - tanh(h)²: h is tanh(a) already": dh * (1 - np.tanh(h) ** 2),
            "that is the slope of a sigmoid; tanh has 1 - h²": dh * h * (1 - h),
            "that is the slope alone; it is multiplied by dh": 1 - h ** 2}


def turn_dW(lesson: SimpleNamespace) -> Known:
    x, da = lesson.x, lesson.da
    return {"it is transposed: dW has the shape of W, (in, H)": da.T @ x,
            "it is made with dh; W stands inside the tanh, so it hears da": x.T @ lesson.dh,
            "it is made with h; what W is multiplied by is x": lesson.h.T @ da,
            "that is the first sample alone; the product should sum over the batch": x[:1].T @ da[:1],
            "that is the second sample alone; the product should sum over the batch": x[1:].T @ da[1:],
            "x is not transposed": x @ da,
            "it is divided by N; this loss is a sum over the samples": x.T @ da / 2}


# Variances

def turn_limit(lesson: SimpleNamespace) -> Known:
    var = lesson.var
    return {"that is l², three times the variance; the limit is its root": np.array(3 * var),
            "that is the standard deviation; the limit is wider: l² / 3 is the variance": np.sqrt(var),
            "l² / 3 is the variance, so l² is three times as much, not a third": np.sqrt(var / 3),
            "that is the width of the whole interval, from -l to l": np.sqrt(12 * var)}


def turn_var_a(lesson: SimpleNamespace) -> Known:
    x, var = lesson.x, lesson.var
    squares = (x ** 2).sum(axis=1, keepdims=True)
    return {"a factor comes out of a variance squared: x²": x.sum(axis=1, keepdims=True) * var,
            "Var(W) is missing": squares,
            "that is the mean of x²; the variances of the terms add up": squares * var / 2,
            "it runs over the samples; each sample has its own sum, over its inputs (axis=1)":
                (x ** 2).sum(axis=0)[:, None] * var,
            "that is the standard deviation; its square is asked for": np.sqrt(squares * var),
            "it should be a column: keepdims=True": (squares * var)[:, 0],
            "`var` is a variance already, do not square it": squares * var ** 2}


def turn_dx(lesson: SimpleNamespace) -> Known:
    da, dh, W = lesson.da, lesson.dh, lesson.W
    return {"it is made with dh; between h and x lies the slope too: da Wᵀ": dh @ W.T,
            "that is the gradient of the weights": lesson.dW,
            "W is missing": da,
            "it is divided by N; this loss is a sum over the samples": da @ W.T / 2,
            "that is forward: x W": lesson.x @ W}


def turn_var_dx(lesson: SimpleNamespace) -> Known:
    var, mean = lesson.var, np.mean(lesson.wide ** 2)
    return {"that is n_in, 50; a gradient of an input sums over the 200 units": 50 * var * mean,
            "that is the mean of both widths; this sum runs over the units": 125 * var * mean,
            "n_out is missing: 200 terms are added": var * mean,
            "Var(W) is missing": 200 * mean,
            "the mean square of da is missing": np.array(200 * var),
            "`var` is a variance already, do not square it": 200 * var ** 2 * mean,
            "da comes in by its mean square, not by its mean": 200 * var * np.mean(lesson.wide),
            "that is the standard deviation; its square is asked for": np.sqrt(200 * var * mean)}


def turn_var_glorot(lesson: SimpleNamespace) -> Known:
    a, b = lesson.n_in, lesson.n_out
    return {"the mean of the widths is (n_in + n_out) / 2, so a 2 stands above": np.array(1 / (a + b)),
            "that is LeCun's, by n_in alone": np.array(1 / a),
            "that is what the gradient asks for alone, 1 / n_out": np.array(1 / b),
            "that is He's": np.array(2 / a),
            "it is turned over": np.array((a + b) / 2),
            "that is the standard deviation; the variance is asked for": np.sqrt(2 / (a + b)),
            "that is the mean of 1/n_in and 1/n_out; take the mean of the widths, below": np.array((1 / a + 1 / b) / 2)}


def turn_limit_glorot(lesson: SimpleNamespace) -> Known:
    a, b = lesson.n_in, lesson.n_out
    return {"that is the standard deviation; the limit is √3 of it": np.sqrt(2 / (a + b)),
            "the root is missing": np.array(6 / (a + b)),
            "that is LeCun's, by n_in alone": np.sqrt(3 / a),
            "that is He's, by n_in alone": np.sqrt(6 / a),
            "the variance is 2 / (n_in + n_out), with a 2, so the limit has a 6": np.sqrt(3 / (a + b))}


def turn_square(lesson: SimpleNamespace) -> Known:
    return {"that is the mean square of a; ReLU takes half of it": np.array(9.0),
            "the variance is the square of the deviation 3": np.array(1.5),
            "half of the *squares* are lost, not half of the size: 9 / 2": np.array(2.25),
            "that is the variance of relu(a); its mean is not 0, so its mean square is larger":
                np.array(9 * (0.5 - 1 / (2 * np.pi)))}


def turn_var_he(lesson: SimpleNamespace) -> Known:
    a, b = lesson.n_in, lesson.n_out
    return {"that is LeCun's; ReLU loses half, so it has to be twice as much": np.array(1 / a),
            "half is lost, so the variance has to be twice, not half": np.array(1 / (2 * a)),
            "that is Glorot's": np.array(2 / (a + b)),
            "forward sums over the inputs: n_in, not n_out": np.array(2 / b),
            "that is the standard deviation; the variance is asked for": np.sqrt(2 / a)}


def turn_deviation(lesson: SimpleNamespace) -> Known:
    p, density = lesson.p, lesson.density
    return {"that is the variance; the deviation is its root": np.array(1 - 4 * density / p),
            "the integral has to be divided by the part that is kept, p": np.sqrt(p - 4 * density),
            "what is taken off is 4 φ(2): twice at either end": np.sqrt(1 - 2 * density / p),
            "p divides the density too: (p - 4 φ(2)) / p": np.sqrt(1 - 4 * density),
            "that is added; the cut makes the distribution narrower": np.sqrt(1 + 4 * density / p),
            "that is the part that is kept": np.array(p)}


def turn_fans(lesson: SimpleNamespace) -> Known:
    return {"each cell of the window counts too: 3 · 3 times the channels": np.array([16, 32]),
            "they have changed places: n_in comes first": np.array([288, 144]),
            "the window is 3 × 3, nine cells": np.array([48, 96]),
            "a gradient of an input comes from each cell of the window too": np.array([144, 32]),
            "an output sums over the channels too": np.array([9, 288])}


# Orthogonal

def turn_q_1(lesson: SimpleNamespace) -> Known:
    A = lesson.A
    return {"that is the first row; a column is A[:, 0]": A[0] / np.linalg.norm(A[0]),
            "it is not of length 1 yet: divide by its length": A[:, 0],
            "it is divided by the sum; the length is the root of the sum of squares": A[:, 0] / A[:, 0].sum(),
            "it is divided by the squared length": A[:, 0] / 25,
            "that is the second column": A[:, 1] / np.linalg.norm(A[:, 1])}


def turn_rest(lesson: SimpleNamespace) -> Known:
    A, q_1 = lesson.A, lesson.q_1
    along = q_1 @ A[:, 1]
    return {"that is the part along q_1; it has to be taken off": along * q_1,
            "only a number is taken off; the part along q_1 is that number times q_1": A[:, 1] - along,
            "it is added; take it off": A[:, 1] + along * q_1,
            "the whole of q_1 is taken off; how much of it is in the column?": A[:, 1] - q_1,
            "the part is measured along q_1, of length 1, not along the first column": A[:, 1] - (A[:, 0] @ A[:, 1]) * A[:, 0],
            "it is the second column, A[:, 1], that something is taken off": A[1] - (q_1 @ A[1]) * q_1}


def turn_Q_signed(lesson: SimpleNamespace) -> Known:
    q, r = lesson.q, lesson.r
    signs = np.sign(np.diag(r))
    known = {"that is q as NumPy gives it; some columns may have to be turned": q,
             "the wrong ones are turned": -q * signs,
             "the signs belong to the columns, not to the rows": q * signs[:, None],
             "multiply by the signs, not by the diagonal itself": q * np.diag(r),
             "that is the product with R: A again": q @ r,
             "those are the sizes; the signs are meant: np.sign": np.abs(q)}
    return _distinct(known, q * signs)


def turn_dh_prev(lesson: SimpleNamespace) -> Known:
    dh, Q = lesson.dh_next, lesson.Q
    return {"that is forward, by Q; going back multiplies by the transpose": dh @ Q,
            "that is A, not Q": dh @ lesson.A.T,
            "samples are rows, so the gradient stands at the left: dh_next @ Q.T": Q @ dh,
            "Q is missing": dh}


def _distinct(known: Known, right: np.ndarray) -> Known:
    """Those that differ from what is right and from each other: NumPy's signs are not the same everywhere."""
    kept: Known = {}
    for sentence, value in known.items():
        if not any(value.shape == other.shape and np.allclose(value, other) for other in (right, *kept.values())):
            kept[sentence] = value
    return kept


# Exercises

def exercise_1(answer: Answer) -> None:
    """Three numbers, on paper

    var_glorot and limit (of GlorotUniform) for 50 inputs and 150 units; var_he for a Conv2D kernel (5, 5, 4, 8).
    """
    answer.on_paper("var_glorot", 0.01, [
        "Glorot divides by the mean of the two widths.", "The mean of 50 and 150 is 100."], {
        "one is divided by the sum of the widths; take their mean": 0.005,
        "that is by the inputs alone": 0.02,
        "that is the standard deviation": 0.1,
        "that is by the units alone": 1 / 150}, tolerance=1e-3)
    answer.on_paper("limit", 0.03 ** 0.5, [
        "A uniform distribution from -l to l has the variance l² / 3.", "l² = 3 · 0.01."], {
        "that is l²; its root is asked for": 0.03,
        "that is the standard deviation; the limit is √3 of it": 0.1,
        "that is with the variance divided by 3; it is l² that is divided": (0.01 / 3) ** 0.5}, tolerance=1e-3)
    answer.on_paper("var_he", 0.02, [
        "He's variance is 2 / n_in. Over how many terms does an output of the convolution sum?",
        "Over 5 · 5 cells of 4 channels each."], {
        "each cell of the window counts: n_in is 5 · 5 · 4": 0.5,
        "that is LeCun's; for ReLU it is twice as much": 0.01,
        "that is Glorot's": 2 / 300}, tolerance=1e-3)


def exercise_2(answer: Answer) -> None:
    """The whole backward of a deep network

    network_backward(x, W_1, W_2, W_3, dz): returns dx, dW_1, dW_2, dW_3 for z = relu(relu(x W_1) W_2) W_3. Samples are rows.
    """
    names = ("dW_3", "dW_2", "dW_1", "dx")

    def compare(N: int, sizes: tuple[int, ...]) -> None:
        rng = np.random.default_rng(21)
        shapes = ((N, sizes[0]), *pairwise(sizes), (N, sizes[-1]))
        numbers = [rng.normal(size=shape).round(2) for shape in shapes]
        dx, dW_1, dW_2, dW_3 = returned(answer.function("network_backward")(*numbers), "network_backward",
                                        "dx", "dW_1", "dW_2", "dW_3")
        right = _network_backward(*numbers)
        wrong = mistakes.spoiled(right, lambda mistake: _network_backward(*numbers, mistake), NETWORK)
        expect_all((dW_3, dW_2, dW_1, dx), right, wrong, names, "network_backward")

    for_each_size(answer, compare, [(1, (2, 3, 2, 1)), (2, (2, 3, 3, 2)), (4, (3, 5, 4, 2))])


NETWORK = {"no slope": "the slope of ReLU is missing: it is 1 where h > 0, else 0",
           "slope before": "the slope of the last hidden layer is that of the layer before; each layer has its own h",
           "first slope": "the slope of the first hidden layer is missing: da_1 is dh_1 where h_1 > 0, else 0",
           "no relu": "dW_2 and dW_3 are made with pre-activations; what comes into a layer is relu of the one before",
           "mean": "the gradients of the weights are divided by N; they are sums over the samples"}


def _network_backward(x: np.ndarray, W_1: np.ndarray, W_2: np.ndarray, W_3: np.ndarray, dz: np.ndarray,
                      mistake: str = "") -> Known:
    a_1 = x @ W_1
    h_1 = np.maximum(a_1, 0)
    a_2 = h_1 @ W_2
    h_2 = np.maximum(a_2, 0)
    slope_2 = h_1 > 0 if mistake == "slope before" and h_1.shape == h_2.shape else a_2 > 0
    da_2 = dz @ W_3.T * (1 if mistake == "no slope" else slope_2)
    da_1 = da_2 @ W_2.T * (1 if mistake in ("no slope", "first slope") else a_1 > 0)
    in_2, in_3 = (a_1, a_2) if mistake == "no relu" else (h_1, h_2)
    by = len(x) if mistake == "mean" else 1
    return {"dx": da_1 @ W_1.T, "dW_1": x.T @ da_1 / by, "dW_2": in_2.T @ da_2 / by, "dW_3": in_3.T @ dz / by}


def exercise_3(answer: Answer) -> None:
    """The silent network

    The function he_normal at the end of the lesson has a bug. Write it right as
    fixed_he_normal(rng, n_in, n_out): weights (n_in, n_out) of a normal distribution with He's variance.
    """
    function = answer.function("fixed_he_normal")
    n_in, n_out = 200, 50
    W = as_array(function(np.random.default_rng(0), n_in, n_out), "the weights", (n_in, n_out))
    if not np.isfinite(W).all():
        raise Wrong("some weights are not finite")
    deviation, right = W.std(), np.sqrt(2 / n_in)
    for wrong, sentence in ((2 / n_in, "the variance is still given where NumPy wants the standard deviation, its root"),
                            (np.sqrt(1 / n_in), "the deviation is that of LeCun; He's variance is twice as much"),
                            (np.sqrt(2 / n_out), "it goes by n_out; forward sums over n_in inputs"),
                            (np.sqrt(2 / (n_in + n_out)), "that is Glorot's; He's variance is 2 / n_in"),
                            (0.88 * right, "cutting off makes them narrower: divide the deviation by 0.8796")):
        if abs(deviation / wrong - 1) < 0.04:
            raise Wrong(sentence)
    if abs(deviation / right - 1) > 0.04 or abs(W.mean()) > 0.1 * right:
        raise Wrong(f"for n_in = {n_in} the weights should have mean 0 and deviation {right:.4f}, but they have mean "
                    f"{W.mean():.4f} and deviation {deviation:.4f}")
    if np.array_equal(W, function(np.random.default_rng(1), n_in, n_out)):
        raise Wrong("it gives the same weights for another generator: draw from rng")


def exercise_4(answer: Answer) -> None:
    """The right size for ELU

    scale: that of VarianceScaling(scale, "fan_in") which keeps the mean square 1 through ELU (2 % more or less will do).
    """
    scale = float(answer.array("scale", ()))
    if not 0 < scale < 100:
        raise Wrong(f"a scale is positive, and here of the size of 1 or 2, but it is {scale:g}")
    z = np.linspace(-8, 8, 20001)
    a, density = np.sqrt(scale) * z, np.exp(-z ** 2 / 2) / np.sqrt(2 * np.pi)
    square = np.sum(np.where(a > 0, a, np.expm1(np.minimum(a, 0))) ** 2 * density) * (z[1] - z[0])
    if abs(square - 1) > 0.025:
        raise Wrong(f"with {scale:g} the mean square becomes {square:.3f}, not 1: {'less' if square > 1 else 'more'} is needed")
