"""Checks of the exercises of lesson 16."""
from collections.abc import Callable
from typing import Any

import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close, for_each_size, returned


def exercise_1(answer: Answer) -> None:
    """A window sends back, on paper

    dh_prev and dU of one gate with da = (0, 2, 0, -1), U = (1, 3, -2) and h = (1, -1, 3, 2), and the number of weights of
    ConvLSTM2D(16, 3) on 3 channels.
    """
    answer.on_paper("dh_prev", [2, 6, -5, -3], [
        "In forward, place p heard h_{p-1}, h_p and h_{p+1} by the taps 0, 1 and 2. So where does da_p go, by which tap?",
        "da_p sends U_0 da_p to place p - 1, U_1 da_p to p, U_2 da_p to p + 1."], {
        "the window lies as in forward; on the way back its taps count backwards": [-4, 6, 4, -3],
        "where two windows lie on a place, the later one has overwritten the earlier; they add up": [2, 6, -1, -3],
        "where two windows lie on a place, only the earlier one counts; they add up": [2, 6, -4, -3],
        "what falls off the end has come in again at the beginning; there were zeros": [4, 6, -5, -3],
        "it is shifted by a place: the middle tap of `same` lies on the place itself": [0, 2, 6, -5],
        "places beyond the state belong to the zeros that were put there; cut off what comes to them": [0, 2, 6, -5, -3, 2]})
    answer.on_paper("dU", [-1, -4, 6], [
        "Tap 0 met the place before, tap 1 the place itself, tap 2 the one after; beyond the ends are zeros.",
        "dU_0 is the sum of all da_p h_{p-1}."], {
        "the taps are in the wrong order: tap 0 met the place before": [6, -4, -1],
        "what falls off the end has come in again at the beginning; there were zeros": [-1, -4, 5],
        "only the last place counts in it; a weight stands at all places": [-3, -2, 0],
        "only place 2 counts in it; a weight stands at all places": [2, -2, 6]})
    answer.on_paper("weights", 4 * (9 * (3 + 16) * 16 + 16), [
        "Four gates. Each has 16 filters, with 3 × 3 taps on the channels of x and of h, and a bias for each filter.",
        "The channels are 3 + 16."], {
        "those of one gate; there are four": 9 * (3 + 16) * 16 + 16,
        "the biases are missing": 4 * 9 * (3 + 16) * 16,
        "that is an LSTM's; each pair of channels has 9 taps here": 4 * ((3 + 16) * 16 + 16),
        "a window has 3 × 3 taps, not 3": 4 * (3 * (3 + 16) * 16 + 16),
        "U is missing: the state's own 16 channels go through windows too": 4 * (9 * 3 * 16 + 16),
        "there is one bias for a filter and gate, at all taps the same": 4 * 9 * ((3 + 16) * 16 + 16),
        "there is one bias for both convolutions (PyTorch's LSTM has two)": 4 * (9 * (3 + 16) * 16 + 2 * 16)})


def exercise_2(answer: Answer) -> None:
    """One step back, in code

    step_backward(dh, dC, i, f, C_tilde, o, C, C_prev, h_prev, U): returns da, dh_prev, dC_prev, dU. U is (K, F, 4F) with an odd
    K, all others are (places, F); dh holds dy_t and the carry, dC the carry alone; the gates' order is i, f, C~, o.
    """
    rng = np.random.default_rng(16)
    for K in (3, 5):
        for_each_size(answer, lambda places, F, K=K: _check_step(answer.function("step_backward"), rng, K, places, F),
                      [(2, 1), (6, 2)])


def exercise_3(answer: Answer) -> None:
    """A film a step too late

    fixed_recurrent_gradient(h_0, h, da, K): returns dU (K, F, 4F) for h_0 (places, F), h (T, places, F), da (T, places, 4F).
    """
    rng = np.random.default_rng(17)
    h_0, h, da, K = rng.normal(size=(5, 2)), rng.normal(size=(4, 5, 2)), rng.normal(size=(4, 5, 8)), 3

    def summed(states: np.ndarray, da: np.ndarray = da) -> np.ndarray:
        return np.sum([_weights(*pair, K) for pair in zip(states, da, strict=True)], axis=0)

    right = summed(np.concatenate([h_0[None], h[:-1]]))
    expect_close(answer.function("fixed_recurrent_gradient")(h_0, h, da, K), right, "dU", {
        "da_t still meets h_t, the state that step t has made. What the step saw through U is the state before it": summed(h),
        "the first step is left out: it saw h_0, which is not always 0": summed(h[:-1], da[1:]),
        "the states go round: before the first step stands h_0, not the last state": summed(np.roll(h, 1, axis=0)),
        "each da_t meets the state after the next; it should be the one before": summed(h[1:], da[:-1]),
        "every step meets h_0; only the first one did": summed(np.broadcast_to(h_0, h.shape)),
        "the taps are in the wrong order": right[::-1],
        "it is a mean over the steps; a weight stands in all of them, so its gradient is the sum": right / 4})


def exercise_4(answer: Answer) -> None:
    """A window for what runs

    K: the smallest odd kernel_size with which one ConvLSTM1D can say where dots will be next that run 3 places a step.
    """
    K = float(answer.array("K", ()))
    if K < 1 or K % 2 != 1:
        raise Wrong(f"{K:g} is no odd size")
    sees = f"with K = {K:g} a place sees {(K - 1) / 2:g} places far"
    if K < 7:
        raise Wrong(f"{sees} into the newest frame, but the dot that will be there is 3 away")
    if K == 13:
        raise Wrong(f"{sees}, to where the dot was a frame before; needless: h_{{t-1}} has seen 3 of them, and U sees 3 more")
    if K > 7:
        raise Wrong(f"{sees}; less will do")


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def _same(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x (places, channels) by the window w (K, channels, filters), with zeros at the ends."""
    padded = np.pad(x, ((len(w) // 2,) * 2, (0, 0)))
    return np.asarray(sum(padded[k:k + len(x)] @ w[k] for k in range(len(w))))


def _weights(h: np.ndarray, da: np.ndarray, K: int) -> np.ndarray:
    """What one step adds to dU."""
    padded = np.pad(h, ((K // 2,) * 2, (0, 0)))
    return np.array([padded[k:k + len(h)].T @ da for k in range(K)])


def _check_step(backward: Callable[..., Any], rng: np.random.Generator, K: int, places: int, F: int) -> None:
    where = "" if K == 3 else f" with K = {K}"
    dh, dC, C_prev, h_prev = rng.normal(size=(4, places, F)).round(2)
    i, f, o = _sigmoid(rng.normal(size=(3, places, F))).round(2)
    C_tilde, U = np.tanh(rng.normal(size=(places, F))).round(2), rng.normal(size=(K, F, 4 * F)).round(2)
    C = f * C_prev + i * C_tilde
    result = backward(dh, dC, i, f, C_tilde, o, C, C_prev, h_prev, U)
    returned(result, "step_backward", "da", "dh_prev", "dC_prev", "dU")
    slope, do = dh * o * (1 - np.tanh(C) ** 2), dh * np.tanh(C)

    def step(dC: np.ndarray, before: np.ndarray = C_prev) -> list[np.ndarray]:
        return [dC * C_tilde * i * (1 - i), dC * before * f * (1 - f), dC * i * (1 - C_tilde ** 2), do * o * (1 - o)]

    total = dC + slope
    a_i, a_f, a_C, a_o = step(total)
    da = np.concatenate([a_i, a_f, a_C, a_o], axis=1)
    expect_close(result[0], da, "da" + where, {
        "the cell's carry is dropped: dC should be the carry plus what comes through h_t": np.concatenate(step(slope), axis=1),
        "dC holds the carry alone; what comes through h_t, dh o (1 - tanh² C), is missing": np.concatenate(step(dC), axis=1),
        "df is dC times C_{t-1}, not C_t": np.concatenate(step(total, before=C), axis=1),
        "the order is that of the document, f first; Keras' is i, f, C~, o": np.concatenate([a_f, a_i, a_C, a_o], axis=1),
        "C~ and o have changed places; Keras' order is i, f, C~, o": np.concatenate([a_i, a_f, a_o, a_C], axis=1),
        "that is di, df, dC~ and do, without the slopes": np.concatenate(
            [total * C_tilde, total * C_prev, total * i, do], axis=1),
        "the gates lie one behind the other along the places; they should be channels, side by side": np.concatenate(
            [a_i, a_f, a_C, a_o], axis=0)}, axes=("place",), blocks=("i", "f", "C~", "o"))
    turned, wide = U[::-1].swapaxes(1, 2), np.pad(da, ((1, 1), (0, 0)))
    expect_close(result[1], _same(da, turned), "dh_prev" + where, {
        "the window lies as in forward; on the way back its taps count backwards": _same(da, U.swapaxes(1, 2)),
        "that is the middle tap alone; the neighbours' windows lay on a place too": da @ U[K // 2].T,
        "the convolution goes round: what falls off one end has come in at the other": sum(
            np.roll(da, k - K // 2, axis=0) @ U[k].T for k in range(K)),
        "there is one place too many at either end; cut off what comes to the zeros": _same(wide, turned)})
    expect_close(result[2], total * f, "dC_prev" + where, {
        "the forget gate is missing": total,
        "what comes through h_t is missing from it: dC is the carry plus that, and all of it goes on": dC * f,
        "the carry is missing from it": slope * f,
        "that is by way of the input gate; the cell is kept by f": total * i})
    dU = _weights(h_prev, da, K)
    expect_close(result[3], dU, "dU" + where, {
        "the taps are in the wrong order: tap 0 met the places before, tap K - 1 those after": dU[::-1],
        "it is made with C_{t-1}; U met h_{t-1}": _weights(C_prev, da, K),
        "it is made with h_t; U met h_{t-1}": _weights(o * np.tanh(C), da, K),
        "it is a mean over the places; a weight stands at all of them, so its gradient is the sum": dU / places,
        "channels have changed places; dU has the shape of U, (K, F, 4F)": dU.swapaxes(1, 2)})
