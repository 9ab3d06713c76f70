"""Checks of the turns and exercises of lesson 04."""
from collections.abc import Callable

import numpy as np

from nblayers.learn.exercises import Answer, Wrong, as_array, expect_close
from nblayers.learn.mistakes import softmax

Mistakes = dict[str, np.ndarray]


def turn_p(lesson) -> Mistakes:
    e = np.exp(lesson.z)
    return {"the sum runs over both samples; each row has its own": e / e.sum(),
            "the sum runs down the columns, over the samples; it should run along each row": e / e.sum(axis=0),
            "they are not divided by their sum": e,
            "the exponential is missing": lesson.z / lesson.z.sum(axis=1, keepdims=True)}


def turn_softmax(lesson, given: Callable) -> None:
    z = np.random.default_rng(1).normal(size=(3, 4))
    e = np.exp(z)
    expect_close(given(z.copy()), lesson.softmax(z), "softmax(z) for rows", {
        "the sum runs over all samples; each row has its own (axis=1, keepdims=True)": e / e.sum(),
        "the sum runs down the columns; it should run along each row (axis=1, keepdims=True)": e / e.sum(axis=0),
        "they are not divided by their sum": np.exp(z - z.max(axis=1, keepdims=True))})
    _expect_finite(given, "softmax")


def turn_log_softmax(lesson, given: Callable) -> None:
    z = np.random.default_rng(1).normal(size=(3, 4))
    shifted = z - z.max(axis=1, keepdims=True)
    expect_close(given(z.copy()), lesson.log_softmax(z), "log_softmax(z) for rows", {
        "that is softmax, not its logarithm": lesson.softmax(z),
        "the sign is turned": -lesson.log_softmax(z),
        "that is z - c alone; the logarithm of the sum is missing": shifted,
        "the sum itself is taken off; take off its logarithm": shifted - np.exp(shifted).sum(axis=1, keepdims=True),
        "c is taken off inside the sum only; take it off z too": z - np.log(np.exp(shifted).sum(axis=1, keepdims=True)),
        "the sum runs over all samples; each row has its own": shifted - np.log(np.exp(shifted).sum())})
    _expect_finite(given, "log_softmax")


def _expect_finite(given: Callable, name: str) -> None:
    one, two = np.array([[1000.0, 0.0]]), np.array([[1000.0, 0.0], [-1000.0, -1001.0]])
    with np.errstate(all="ignore"):
        alone, both = as_array(given(one), name, (1, 2)), as_array(given(two), name, (2, 2))
    if np.isnan(alone).any():
        raise Wrong(f"for the logits (1000, 0) {name} is not a number: take off the row's maximum before np.exp")
    if np.isinf(alone).any():
        raise Wrong(f"for the logits (1000, 0) {name} is infinite: softmax is 0 there; do not take its logarithm, write it out")
    if not np.isfinite(both).all():
        raise Wrong("it takes off the maximum of all samples; each row has its own (axis=1, keepdims=True)")


def turn_L(lesson) -> Mistakes:
    return {"the sign is wrong: a surprise is -ln p, and more than 0": np.array(-3 * np.log(2)),
            "that is the mean; this loss is the sum over the samples": np.array(1.5 * np.log(2)),
            "the probabilities are added; add their logarithms": np.array(-np.log(0.75)),
            "that is the first sample alone": np.array(np.log(4)),
            "that adds up -ln p of all classes; t keeps the right ones only": -np.log(lesson.p).sum()}


def turn_dp(lesson) -> Mistakes:
    t, p = lesson.t, lesson.p
    return {"the minus of L is missing": t / p,
            "the derivative of ln p is 1/p, not ln p": -t * np.log(p),
            "t is missing: only the right class stands in the loss": -1 / p,
            "that is the gradient by the logits; this one is by p": p - t,
            "it is divided by N; this loss is the sum over the samples": -t / p / 2}


def turn_J(lesson) -> Mistakes:
    p = lesson.p_first
    return {"that is the diagonal alone; off it stands -p_i p_j": np.diag(p * (1 - p)),
            "the sign is turned": np.outer(p, p) - np.diag(p),
            "the diagonal lacks its p_i: np.diag(p_first)": -np.outer(p, p),
            "δ is 1 on the diagonal, times p_i: np.diag(p_first), not np.eye": np.eye(3) - np.outer(p, p),
            "the minus before p_i p_j is missing": np.diag(p) + np.outer(p, p)}


def turn_dz_first(lesson) -> Mistakes:
    dp, J = lesson.dp[0], lesson.J
    return {"that multiplies element by element; a logit collects from all probabilities": dp * J,
            "that takes the diagonal alone": dp * np.diag(J),
            "that is the second sample's dp": lesson.dp[1] @ J}


def turn_dz(lesson) -> Mistakes:
    p, dp = lesson.p, lesson.dp
    return {"that is the diagonal alone; a logit moves the other probabilities too": p * dp * (1 - p),
            "the sum runs over both samples; each row has its own": p * (dp - (dp * p).sum()),
            "the sum runs down the columns, over the samples; it should run along each row": p * (dp - (dp * p).sum(axis=0)),
            "the sum must be that of dp · p, not of dp": p * (dp - dp.sum(axis=1, keepdims=True)),
            "the factor p in front is missing": dp - (dp * p).sum(axis=1, keepdims=True),
            "the sum is missing": p * dp,
            "the sum is added; it should be taken off": p * (dp + (dp * p).sum(axis=1, keepdims=True))}


def turn_dz_short(lesson) -> Mistakes:
    p, t = lesson.p, lesson.t
    return {"the sign is turned: it is p - t": t - p,
            "the target has not been taken off": p,
            "it is divided by N; this loss is the sum over the samples": (p - t) / 2,
            "that is -t; the second part, p times the sum of t, is missing": -t}


def turn_dz_cold(lesson) -> Mistakes:
    p, t, T = lesson.p_cold, lesson.t, lesson.T
    return {"that is the gradient by z / T; z itself is divided by T, so the chain rule divides once more": p - t,
            "it is multiplied by T; the chain rule divides": (p - t) * T,
            "that is with p at T = 1; take p_cold": (lesson.p - t) / T}


def turn_dz_masked(lesson) -> Mistakes:
    p, dp, mask = lesson.p_masked, lesson.dp_any, lesson.mask
    kept = dp * mask
    return {"the sum in the softmax's backward is missing": p * dp,
            "that treats softmax like a sigmoid, p (1 - p); every p depends on every logit of its row": dp * p * (1 - p),
            "p in front is missing: the masked logit would hear something": dp - (dp * p).sum(axis=1, keepdims=True),
            "what comes back is weighted by p in the sum: dp p, not dp alone": p * (dp - kept.sum(axis=1, keepdims=True)),
            "the sum is one for each row, not one for each class": p * (dp - (dp * p).sum(axis=0)),
            "that is made with the softmax without a mask": lesson.p * (dp - (dp * lesson.p).sum(axis=1, keepdims=True)),
            "that sets the masked logit to 0 after a softmax without a mask; the others' shares are wrong then":
                mask * lesson.p * (dp - (dp * lesson.p).sum(axis=1, keepdims=True))}


def exercise_1(answer: Answer) -> None:
    """Loss and gradient, on paper

    L and dx (2 numbers) for the logits (ln 3, 0), where the right class is the second.
    """
    answer.on_paper("L", np.log(4), [
        "The exponentials of the logits are 3 and 1: what part of their sum has the second class? The loss is -ln of that.",
        "p = (3/4, 1/4)."], {
        "ln ¾ is that of the first class": -np.log(0.75),
        "the sign is wrong: a surprise is -ln p": -np.log(4),
        "that is p, not -ln p": 0.25}, tolerance=1e-3)
    answer.on_paper("dx", [0.75, -0.75], [
        "Softmax and cross-entropy together: dx = p - t, with the target t = (0, 1).",
        "p = (3/4, 1/4)."], {
        "that is p; the target has not been taken off": [0.75, 0.25],
        "that is t - p; the gradient is p - t": [-0.75, 0.75],
        "that is as if the first class were the right one": [-0.25, 0.25]}, tolerance=1e-3)


def exercise_2(answer: Answer) -> None:
    """The backward of log-softmax

    log_softmax_backward(x, dy): dx for rows of logits x (N, K) and the gradients dy of their log-softmax.
    """
    rng = np.random.default_rng(4)
    x, dy = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    p, total = softmax(x), dy.sum(axis=1, keepdims=True)
    backward = answer.function("log_softmax_backward")
    expect_close(backward(x, dy), dy - p * total, "dx", {
        "that is the backward of softmax, not of its logarithm": p * (dy - (dy * p).sum(axis=1, keepdims=True)),
        "the sum of dy runs over everything; it should run along each row": dy - p * dy.sum(),
        "the sum of dy runs over the batch; it should run along each row": dy - p * dy.sum(axis=0),
        "the sum of dy is missing: each dx_j collects p_j dy_i from all i": dy - p * dy,
        "that is dy - p, right only where the dy of a row sum to 1": dy - p})
    large = np.array([[1000.0, 0.0, -1000.0]])
    if not np.isfinite(backward(large, np.ones((1, 3)))).all():
        raise Wrong("for the logits (1000, 0, -1000) it is not finite: take the row's maximum off before exp")


def exercise_3(answer: Answer) -> None:
    """Softmax is no sigmoid

    The function softmax_backward at the end of the lesson has a bug. Write it right as
    fixed_softmax_backward(p, dp): dx for rows of probabilities p (N, K) and their gradients dp.
    """
    rng = np.random.default_rng(5)
    p, dp = softmax(rng.normal(size=(3, 4))), rng.normal(size=(3, 4))
    expect_close(answer.function("fixed_softmax_backward")(p, dp), p * (dp - (dp * p).sum(axis=1, keepdims=True)), "dx", {
        "that is still the diagonal of the Jacobian alone: a logit moves the other probabilities too": dp * p * (1 - p),
        "the sum runs over everything; it should run along each row": p * (dp - (dp * p).sum()),
        "the sum runs over the batch; it should run along each row": p * (dp - (dp * p).sum(axis=0)),
        "the sum must be that of dp · p, not of dp": p * (dp - dp.sum(axis=1, keepdims=True)),
        "the factor p in front is missing": dp - (dp * p).sum(axis=1, keepdims=True)})


def exercise_4(answer: Answer) -> None:
    """The temperature that makes sure

    temperature: that at which the first of the logits (2, 1, 0, -1) has probability 0.9 (0.005 more or less will do).
    """
    T = float(answer.array("temperature", ()))
    if not T > 0:
        raise Wrong(f"a temperature is positive, but it is {T:g}")
    first = softmax(np.array([2.0, 1.0, 0.0, -1.0]) / T)[0]
    if abs(first - 0.9) > 0.005:
        turn = "too warm" if first < 0.9 else "too cold"
        raise Wrong(f"at {T:g} the first class has probability {first:.3f}: {turn}")
