"""Checks of the exercises of lesson 08."""
import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def exercise_1(answer: Answer) -> None:
    """One step back, on paper

    C, dC, df, da_f and dC_prev for one unit at the last step: f = i = o = 0.5, C~ = 1, C_{t-1} = -1, dh = 4.
    """
    expect_close(answer.array("C", ()), 0, "C")
    expect_close(answer.array("dC", ()), 2, "dC", {
        "that is do: tanh(C) belongs to the output gate, its slope 1 - tanh²(C) to the cell": 0,
        "the output gate is missing: h = o tanh(C)": 4})
    expect_close(answer.array("df", ()), -2, "df", {
        "that is di; f is multiplied by C_{t-1}": 2,
        "it is made with C_t; f is multiplied by C_{t-1}": 0,
        "that is da_f already": -0.5})
    expect_close(answer.array("da_f", ()), -0.5, "da_f", {
        "that is df; the slope f (1 - f) is missing": -2,
        "that is with the slope of tanh; a gate's is f (1 - f)": -1.5})
    expect_close(answer.array("dC_prev", ()), 1, "dC_prev", {
        "that is dC, or dh times f; it should be dC times f": 2})


def exercise_2(answer: Answer) -> None:
    """One step back, in code

    lstm_step_backward(dh, dC, i, f, C_tilde, o, C, C_prev, U): returns da, dh_prev, dC_prev. All but U (units, 4 units) are
    vectors of one number for each unit; dh holds dy_t and the carry, dC the carry alone; da is in Keras' order i, f, C~, o.
    """
    rng = np.random.default_rng(8)
    dh, dC, C_prev = rng.normal(size=(3, 3))
    i, f, o = _sigmoid(rng.normal(size=(3, 3)))
    C_tilde, U = np.tanh(rng.normal(size=3)), rng.normal(size=(3, 12))
    C = f * C_prev + i * C_tilde
    result = answer.function("lstm_step_backward")(dh, dC, i, f, C_tilde, o, C, C_prev, U)
    if not isinstance(result, (tuple, list)) or len(result) != 3:
        raise Wrong("lstm_step_backward should return three arrays: da, dh_prev, dC_prev")
    tanh_C = np.tanh(C)

    def step(dC_t: np.ndarray, do: np.ndarray = dh * tanh_C, C_prev: np.ndarray = C_prev) -> list[np.ndarray]:
        return [dC_t * C_tilde * i * (1 - i), dC_t * C_prev * f * (1 - f), dC_t * i * (1 - C_tilde ** 2), do * o * (1 - o)]

    through_h = dh * o * (1 - tanh_C ** 2)
    total = dC + through_h
    a_i, a_f, a_c, a_o = right = step(total)
    expect_close(result[0], np.concatenate(right), "da", {
        "the cell's carry is dropped: dC should be the carry plus what comes through h_t": np.concatenate(step(through_h)),
        "dC holds the carry alone; what comes through h_t, dh o (1 - tanh² C), is missing": np.concatenate(step(dC)),
        "the slope of tanh(C) is 1 - tanh²(C), not 1 - C²": np.concatenate(step(dC + dh * o * (1 - C ** 2))),
        "the slope of tanh(C) is missing from dC": np.concatenate(step(dC + dh * o)),
        "do is dh times tanh(C), not dh times C": np.concatenate(step(total, dh * C)),
        "df is dC times C_{t-1}, not C_t": np.concatenate(step(total, C_prev=C)),
        "the slope of C~ is that of tanh, 1 - C~²": np.concatenate([a_i, a_f, total * i * C_tilde * (1 - C_tilde), a_o]),
        "the order is that of the document, f first; Keras' is i, f, C~, o": np.concatenate([a_f, a_i, a_c, a_o]),
        "C~ and o have changed places; Keras' order is i, f, C~, o": np.concatenate([a_i, a_f, a_o, a_c]),
        "that is di, df, dC~ and do, without the slopes": np.concatenate(
            [total * C_tilde, total * C_prev, total * i, dh * tanh_C])})
    expect_close(result[1], U @ np.concatenate(right), "dh_prev")
    expect_close(result[2], total * f, "dC_prev", {
        "the forget gate is missing": total,
        "what comes through h_t is missing from it: dC is the carry plus that, and all of it goes on": dC * f,
        "the carry is missing from it": through_h * f,
        "that is by way of the input gate; the cell is kept by f": total * i})


def exercise_3(answer: Answer) -> None:
    """The bug that forgets

    fixed_cell_walk(dh, o, f, C): returns dC of all steps, (T, units), for the dh of all steps.
    """
    rng = np.random.default_rng(9)
    dh, C = rng.normal(size=(2, 5, 3))
    o, f = _sigmoid(rng.normal(size=(2, 5, 3)))
    own = dh * o * (1 - np.tanh(C) ** 2)

    def walk(gate: np.ndarray, kept: float = 1.0) -> np.ndarray:
        dC, carry = np.zeros_like(C), np.zeros(3)
        for t in reversed(range(5)):
            dC[t] = own[t] + carry
            carry = (kept * dC[t] + (1 - kept) * own[t]) * gate[t]
        return dC

    expect_close(answer.function("fixed_cell_walk")(dh, o, f, C), walk(f), "dC", {
        "the carry is worked out, but nothing is made of it: it belongs to dC of the step before": own,
        "the carry leaves out the forget gate": walk(np.ones_like(f)),
        "the forget gate of the wrong step: on the way from C_t to C_{t-1} stands f_t": walk(np.roll(f, 1, axis=0)),
        "the carry comes from one step only; all of dC_t goes on, what came to it from later steps too": walk(f, 0.0)})


def exercise_4(answer: Answer) -> None:
    """A bias that remembers

    bias: the forget bias with which a tenth of the gradient is left after 100 steps in the cell, with small inputs.
    """
    bias = float(answer.array("bias", ()))
    gate = 0.1 ** (1 / 100)
    if abs(bias - gate) < 1e-3:
        raise Wrong(f"{bias:g} is where the gate should stand; the bias is the number whose sigmoid that is")
    left = _sigmoid(np.array(bias)) ** 100
    if not 0.095 < left < 0.105:
        raise Wrong(f"with a bias of {bias:g} the gate stands at {_sigmoid(np.array(bias)):.3f}, and {left:.2g} is left")
