"""Checks of the exercises of lesson 01."""
import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close


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
