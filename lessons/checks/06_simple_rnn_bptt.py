"""Checks of the exercises of lesson 06."""
import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close


def _sequence(steps: int = 4) -> tuple[np.ndarray, ...]:
    """x, h_0, h, W_x, W_h, own of a tanh network of 2 inputs and 3 units."""
    rng = np.random.default_rng(6)
    x, W_x, W_h, own = (rng.normal(size=size) for size in ((steps, 2), (3, 2), (3, 3), (steps, 3)))
    h_0, h, before = rng.uniform(-1, 1, 3), [], None
    for x_t in x:
        before = np.tanh(W_x @ x_t + W_h @ (h_0 if before is None else before))
        h.append(before)
    return x, h_0, np.array(h), W_x, W_h, own


def _walk(h: np.ndarray, W_h: np.ndarray, own: np.ndarray, mistake: str = "") -> tuple[np.ndarray, np.ndarray]:
    """da and dh_0, or what they become by a mistake."""
    da, carry = np.zeros_like(h), np.zeros(len(W_h))
    for t in reversed(range(len(h))):
        slope = 1 - h[t] ** 2
        da[t] = own[t] * slope + carry if mistake == "after" else (own[t] + carry) * slope
        carry = (W_h if mistake == "untransposed" else W_h.T) @ (da[t] / slope if mistake == "no slope" else da[t])
        carry = 0 * carry if mistake == "dropped" else carry
    return da, carry


def _mistakes(h: np.ndarray, W_h: np.ndarray, own: np.ndarray) -> dict[str, np.ndarray]:
    return {sentence: _walk(h, W_h, own, mistake)[0] for mistake, sentence in {
        "dropped": "nothing comes back from later steps: the carry W_hᵀ da of step t+1 belongs to dh of step t",
        "after": "the carry is added after the slope; it arrives at h_t, as `own` does, and goes through the slope with it",
        "untransposed": "going back multiplies by the transpose, W_hᵀ da",
        "no slope": "the carry is W_hᵀ dh, but it should be W_hᵀ da: after the slope"}.items()}


def exercise_1(answer: Answer) -> None:
    """A walk back, on paper

    dh (3 numbers) and dw for h_t = x_t + w h_{t-1}, w = 0.5, h_0 = 0, x = (4, 2, 0) and L = h_1 + h_2 + h_3.
    """
    expect_close(np.ravel(answer.array("dh")), [1.75, 1.5, 1], "dh", {
        "that is each state's own loss alone; those of later steps come back through w": [1, 1, 1],
        "that is the chain from the last loss alone; each state has a loss of its own too": [0.25, 0.5, 1],
        "it should begin with dh_1": [1, 1.5, 1.75],
        "the carry of a step is all that has arrived there, times w; yours has lost what came from further on": [1.5, 1.5, 1]})
    expect_close(answer.array("dw", ()), 10, "dw", {
        "only the last step counts; w stands in every step, so its gradient is a sum": 4,
        "dh_t is multiplied by h_t; w stands before h_{t-1}": 15,
        "the losses of later steps are missing from the dh in it": 8})


def exercise_2(answer: Answer) -> None:
    """The backward of a SimpleRNN

    rnn_backward(x, h_0, h, W_x, W_h, own): returns dx, dW_x, dW_h, db_h, dh_0. x (T, in), h_0 (units,), h (T, units) the
    states, W_x (units, in), W_h (units, units), own (T, units) what each step's own loss sends into h_t.
    """
    x, h_0, h, W_x, W_h, own = _sequence()
    result = answer.function("rnn_backward")(x, h_0, h, W_x, W_h, own)
    if not isinstance(result, (tuple, list)) or len(result) != 5:
        raise Wrong("rnn_backward should return five arrays: dx, dW_x, dW_h, db_h, dh_0")
    dx, dW_x, dW_h, db_h, dh_0 = result
    (da, carry), before = _walk(h, W_h, own), np.array([h_0, *h[:-1]])
    overwritten = "it holds one step only: is there a `=` that should be `+=`?"
    wrong = _mistakes(h, W_h, own)
    expect_close(db_h, da.sum(axis=0), "db_h", {overwritten: da[0], overwritten + " ": da[-1],
                                                **{sentence: d.sum(axis=0) for sentence, d in wrong.items()}})
    expect_close(dx, da @ W_x, "dx", {sentence: d @ W_x for sentence, d in wrong.items()})
    expect_close(dW_x, da.T @ x, "dW_x", {overwritten: np.outer(da[0], x[0]), overwritten + " ": np.outer(da[-1], x[-1]),
                                          "that is its transpose; dW_x has the shape of W_x": x.T @ da})
    expect_close(dW_h, da.T @ before, "dW_h", {
        overwritten: np.outer(da[0], h_0), overwritten + " ": np.outer(da[-1], before[-1]),
        "it is made with h_t; W_h is multiplied by the state before, h_{t-1}": da.T @ h,
        "the first step is left out, or its h_0 is taken for 0": da[1:].T @ h[:-1],
        "the first step is made with the last state: h[t - 1] is h[-1] there, but should be h_0": da.T @ np.roll(h, 1, axis=0),
        "that is its transpose": before.T @ da})
    expect_close(dh_0, carry, "dh_0", {"that is da_1; one more product with W_hᵀ leads to h_0": da[0]})


def exercise_3(answer: Answer) -> None:
    """The bug in the walk

    fixed_walk(h, W_h, own): returns da, (T, units), for a tanh network.
    """
    _, _, h, _, W_h, own = _sequence()
    expect_close(answer.function("fixed_walk")(h, W_h, own), _walk(h, W_h, own)[0], "da", _mistakes(h, W_h, own))


def exercise_4(answer: Answer) -> None:
    """What is left after 50 steps

    smallest_w: the recurrent weight of a linear unit for which a hundredth of the gradient by h_50 arrives at h_0.
    """
    w = float(answer.array("smallest_w", ()))
    if not 0.0095 < w ** 50 < 0.0105:
        arrives = f"{w ** 50:.2g}" if abs(w) < 100 else "very much more than all of it"
        raise Wrong(f"with w = {w:g}, {arrives} of it arrives: each step multiplies by w, and there are 50")
    if w < 0:
        raise Wrong("that is right for |w|, but the smallest positive w is asked for")
