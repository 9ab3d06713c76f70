"""Checks of the turns and exercises of lesson 01."""
from collections.abc import Callable

import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close

Mistakes = dict[str, np.ndarray]


def turn_F(lesson) -> Mistakes:
    return {"that is the slope itself, 2x; the one-sided difference is not exact": np.array(6.0),
            "it is not divided by h = 0.1": np.array(0.61),
            "that divides by 2h; the one-sided difference goes one h far": np.array(3.05),
            "that goes to the left, to x - h": np.array(5.9)}


def turn_D(lesson) -> Mistakes:
    return {"that is the one-sided difference": np.array(6.1),
            "from x - h to x + h it is twice as far: divide by 2h": np.array(12.0),
            "it is not divided by 2h = 0.2": np.array(1.2)}


def turn_central(lesson, given: Callable) -> None:
    for f, x, h in ((np.exp, 1.0, 0.1), (np.sin, 0.5, 0.01)):
        expect_close(given(f, x, h), lesson.central(f, x, h), f"central of {f.__name__}", {
            "that divides by h, but from x - h to x + h it is twice as far": 2 * lesson.central(f, x, h),
            "that is the one-sided difference": (f(x + h) - f(x)) / h,
            "that goes to the left only": (f(x) - f(x - h)) / h,
            "the sign is turned: f(x + h) comes first": -lesson.central(f, x, h),
            "it is not divided by 2h": f(x + h) - f(x - h)}, tolerance=1e-9)


def turn_dw_exact(lesson) -> Mistakes:
    return {"the two are exchanged": np.array([1.0, 4.0]),
            "by w0 it is 2 w0 w1: w1 stays as a factor": np.array([2.0, 1.0]),
            "by w1 it is w0², as w1 occurs once": np.array([4.0, 2.0]),
            "that is the loss; the gradient has a slope for each weight": np.array(2.0)}


def turn_dw(lesson) -> Mistakes:
    w, h, loss = lesson.w, lesson.h, lesson.loss
    both = np.array([(loss(w + h * e) - loss(w - h * e)) / (2 * h) for e in np.eye(2)])
    return {"that divides by h, but from w - h to w + h it is twice as far": 2 * both,
            "all weights are moved at once; move one, and let the others wait: h * e": np.full(2, both.sum()),
            "the sign is turned": -both,
            "that moves each weight by 1; h times e is needed": np.array(
                [(loss(w + e) - loss(w - e)) / (2 * h) for e in np.eye(2)]),
            "only the last place is filled: dw[i] in the loop": np.array([0, both[1]])}


def turn_dscale(lesson) -> Mistakes:
    dy, cache = lesson.dy, lesson.cache
    return {"the sum over the samples is missing": dy * cache,
            "that sums along each sample; scale d occurs in every sample, so sum down the columns": (dy * cache).sum(axis=1),
            "the factor cache is missing": dy.sum(axis=0),
            "that is a mean; the chain rule adds up": (dy * cache).mean(axis=0)}


def turn_dx(lesson) -> Mistakes:
    dy, scale, cache = lesson.dy, lesson.scale, lesson.cache
    return {"that is the line with the bug: the slope is 1 - tanh², and the square is missing": dy * scale * (1 - cache),
            "scale is missing": dy * (1 - cache ** 2),
            "dy is missing": scale * (1 - cache ** 2),
            "cache is tanh(x) already": dy * scale * (1 - np.tanh(cache) ** 2),
            "the slope of tanh is missing": dy * scale,
            "the square stands around all of it: 1 - cache ** 2": dy * scale * (1 - cache) ** 2}


def turn_w_next(lesson) -> Mistakes:
    w, eta, dw = lesson.w, lesson.eta, lesson.dw
    return {"that goes up: walk *against* the gradient": w + eta * dw,
            "the learning rate is missing": w - dw,
            "that is the step alone; take it off w": eta * dw}


def exercise_1(answer: Answer) -> None:
    """The central difference of a cube, on paper

    central_of_cube: what (f(x + h) - f(x - h)) / 2h gives for f(x) = x³ at x = 2 with h = 0.1.
    """
    answer.on_paper("central_of_cube", 12.01, [
        "Work out f(2 + h) and f(2 - h) with h = 0.1, take one from the other, and divide by 2h = 0.2.",
        "2.1³ = 9.261 and 1.9³ = 6.859."], {
        "12 is the derivative itself; the central difference is a little more, as x³ has a third derivative": 12,
        "12.61 is the one-sided difference": 12.61,
        "24.02 has not been divided by 2": 24.02,
    }, tolerance=1e-9)


def exercise_2(answer: Answer) -> None:
    """The backward of silu

    silu_backward(x, dy): dx for y = x σ(x), of the shape of x.
    """
    backward = answer.function("silu_backward")
    rng = np.random.default_rng(1)
    x, dy = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    s = 1 / (1 + np.exp(-x))
    expect_close(backward(x, dy), dy * (s + x * s * (1 - s)), "dx", {
        "the factor dy is missing": s + x * s * (1 - s),
        "that is dy σ(x): x occurs twice in x σ(x), the product rule has a second term": dy * s,
        "that is dy x σ'(x): x occurs twice in x σ(x), the product rule has a second term": dy * x * s * (1 - s),
        "that is dy σ'(x), the derivative of σ alone": dy * s * (1 - s),
    })


def exercise_3(answer: Answer) -> None:
    """Half of every slope

    The function derivative at the end of the lesson has a bug. Write it right as
    fixed_derivative(f, x, h): the central differences of f for each element of x; x is left as it was.
    """
    derivative = answer.function("fixed_derivative")

    def f(x):
        return x[0] ** 2 * x[1] + np.sin(x[2])

    x, h = np.array([1.0, 2.0, -0.5]), 1e-5
    right = np.array([2 * x[0] * x[1], x[0] ** 2, np.cos(x[2])])
    half = np.array([(f(x + h * e) - f(x)) / (2 * h) for e in np.eye(3)])
    expect_close(derivative(f, x, h), right, "the gradient", {
        "still half of what it should be: the second value must be that at x - h": half,
        "that divides by h, but from x - h to x + h it is twice as far": 2 * right,
    })
    coarse = derivative(lambda x: x[0] ** 3, np.array([2.0]), 0.1)
    expect_close(coarse, [12.01], "for x³ at 2 with h = 0.1, the slope", {
        "12.61 is a one-sided difference; take the value at x - h too": [12.61],
        "11.41 is a one-sided difference; take the value at x + h too": [11.41],
        "it does not depend on the h that is given": [12.0],
    }, tolerance=1e-7)


def exercise_4(answer: Answer) -> None:
    """The best h in float32

    best_h: the power of ten that is best for sin at x = 100, in float32, with central differences.
    """
    h = float(answer.array("best_h", ()))
    if not h > 0 or abs(np.log10(h) - round(np.log10(h))) > 1e-6:
        raise Wrong(f"best_h should be a power of ten, such as 0.001, but is {h:g}")
    if h < 0.005:
        raise Wrong(f"with h = {h:g} rounding is the larger error: float32 numbers near 100 are 8e-6 apart")
    if h > 0.05:
        raise Wrong(f"with h = {h:g} the difference is too coarse: its error h²/6 is {h * h / 6:.2g} of the slope")
