"""Checks of the exercises of lesson 04."""
import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


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
    p, total = _softmax(x), dy.sum(axis=1, keepdims=True)
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

    fixed_softmax_backward(p, dp): dx for rows of probabilities p (N, K) and their gradients dp.
    """
    rng = np.random.default_rng(5)
    p, dp = _softmax(rng.normal(size=(3, 4))), rng.normal(size=(3, 4))
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
    first = _softmax(np.array([2.0, 1.0, 0.0, -1.0]) / T)[0]
    if abs(first - 0.9) > 0.005:
        turn = "too warm" if first < 0.9 else "too cold"
        raise Wrong(f"at {T:g} the first class has probability {first:.3f}: {turn}")
