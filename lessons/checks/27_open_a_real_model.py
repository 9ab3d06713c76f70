"""Checks of lesson 27: its turns and its exercises."""
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from lessons.data import DIGIT_READER, digits_to_read
from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, checks_module, expect_close, for_each_size, returned
from nblayers.models import load_model

Known = dict[str, np.ndarray]
OF_LSTM = checks_module(Path(__file__).parents[1] / "08_lstm.py")


# What lies where

def turn_W_f(lesson: SimpleNamespace) -> Known:
    W = lesson.W_small
    return {"that is the block of i; the order is i, f, C̃, o": W[:, :2],
            "that is the block of C̃; the order is i, f, C̃, o": W[:, 4:6],
            "that is the block of o; the order is i, f, C̃, o": W[:, 6:],
            "those are columns of two gates; the blocks begin at 0, 2, 4 and 6": W[:, 1:3],
            "that takes the columns in turns; the units of a gate stand side by side": W[:, 1::4]}


def turn_how_many(lesson: SimpleNamespace) -> Known:
    inputs, H = lesson.inputs, lesson.H
    return {"that is one gate; there are four": np.array(H * (inputs + H + 1)),
            "the bias is missing": np.array(4 * H * (inputs + H)),
            "the recurrent kernel is missing: U has H rows": np.array(4 * H * (inputs + 1)),
            "the kernel is missing: W has a row for each input": np.array(4 * H * (H + 1)),
            "that is with two biases, as PyTorch has them; here it is one": np.array(4 * H * (inputs + H + 2)),
            "that is with three gates, as a GRU has; an LSTM has four blocks": np.array(3 * H * (inputs + H + 1))}


# Forward

def turn_a(lesson: SimpleNamespace) -> Known:
    x, W, U, b, h_prev = lesson.x, lesson.W, lesson.U, lesson.b, lesson.h_prev
    return {"the bias b is missing": x[:, 7] @ W + h_prev @ U,
            "the state before, h_prev @ U, is missing": x[:, 7] @ W + b,
            "the input, x_t W, is missing": h_prev @ U + b,
            "the cell comes in later, and only by way of f; here it is the state: h_prev @ U":
                x[:, 7] @ W + lesson.C_prev @ U + b,
            "that is row 6; the last one is x[:, 7]": x[:, 6] @ W + h_prev @ U + b,
            "that is row 0; the last one is x[:, 7]": x[:, 0] @ W + h_prev @ U + b,
            "that is the ink itself; the LSTM reads it divided by 16: x": lesson.image[:, 7] @ W + h_prev @ U + b}


def turn_C(lesson: SimpleNamespace) -> Known:
    known: Known = OF_LSTM.turn_C(lesson)
    return known


def turn_z(lesson: SimpleNamespace) -> Known:
    V, c = lesson.V, lesson.c
    return {"the bias c is missing": lesson.h @ V,
            "that is with the cell; Dense reads the state h": lesson.C @ V + c,
            "that is with the state before the last row": lesson.h_prev @ V + c}


# Backward

def turn_dz(lesson: SimpleNamespace) -> Known:
    p, onehot = lesson.p, lesson.onehot
    return {"the sign is wrong: with more of z at the right answer the loss falls": onehot - p,
            "that is the gradient by the probabilities; dz has gone through softmax": -onehot / p,
            "that is softmax for the right answer alone; all others have a gradient too": (p - onehot) * onehot,
            "that is p; at the right answer 1 is taken off": p,
            "it is divided by the ten answers; it is no mean": (p - onehot) / 10,
            "the slopes p (1 - p) are no part of it: softmax and logarithm together leave p - onehot":
                (p - onehot) * p * (1 - p)}


def turn_dh(lesson: SimpleNamespace) -> Known:
    dz, V = lesson.dz, lesson.V
    return {"that is one way alone, by the right answer; all ten logits read h": dz[:, 2:3] * V[:, 2],
            "the sign is turned": -dz @ V.T,
            "that is made with p; it should be dz": lesson.p @ V.T}


def _step(lesson: SimpleNamespace, name: str) -> Known:
    """The mistakes of one step back, from the values at hand."""
    values = (getattr(lesson, key) for key in ("dh", "dC_next", "i", "f", "C_tilde", "o", "C", "C_prev", "U"))
    right, wrong = mistakes.lstm_step_backward(*values)
    return mistakes.distinct(mistakes.known(right, wrong, name))


def turn_dC(lesson: SimpleNamespace) -> Known:
    return _step(SimpleNamespace(**vars(lesson) | {"dC_next": lesson.zeros}), "dC")


turn_lstm_step_backward = OF_LSTM.turn_lstm_step_backward


def turn_dh_2(lesson: SimpleNamespace) -> Known:
    da, U, own = lesson.da_7, lesson.U, lesson.dz @ lesson.V.T
    return {"Dense reads the last state only: nothing but what row 7 sends back arrives here": da @ U.T + own,
            "that arrives at the last state; at row 6 arrives what row 7 sends back": own,
            "that is the way through i alone; all four blocks read the state before": da[:, :16] @ U[:, :16].T,
            "that is the way through f alone; all four blocks read the state before": da[:, 16:32] @ U[:, 16:32].T,
            "that arrives at the cell, not at h": lesson.dC_next}


def turn_dC_2(lesson: SimpleNamespace) -> Known:
    f_after = lesson.steps[7][3]
    return {"dC_next has gone through the forget gate of row 7 already; do not apply it again":
            lesson.dC + lesson.dC_next * (f_after - 1),
            "dC_next has gone through a forget gate already, that of row 7; no further one stands here":
            lesson.dC + lesson.dC_next * (lesson.f - 1)} | _step(lesson, "dC")


def turn_da(lesson: SimpleNamespace) -> Known:
    i, f, C_tilde, o, C, h = (np.stack([step[k] for step in lesson.steps], axis=1) for k in range(2, 8))
    right, wrong = mistakes.lstm_backward(lesson.x, lesson.zeros, lesson.zeros, i, f, C_tilde, o, C, h, lesson.W, lesson.U,
                                          np.zeros_like(h), later=(lesson.dz @ lesson.V.T, lesson.zeros))
    return mistakes.distinct(mistakes.known(right, wrong, "da"))


def turn_dx(lesson: SimpleNamespace) -> Known:
    return {"each row is read once: dx is not summed over the rows": lesson.dx.sum(axis=1),
            "that is the way through the block of i alone": lesson.da[..., :16] @ lesson.W[:, :16].T,
            "that is the ink's already; x has not gone through Rescaling": lesson.dx / 16}


def turn_dimage(lesson: SimpleNamespace) -> Known:
    return {"Rescaling is forgotten: x is the ink times 1/16, so 1/16 is the slope": lesson.dx,
            "the slope is 1/16; that is multiplied by 16": lesson.dx * 16,
            "the ink is no part of the slope of ink / 16": lesson.dx * lesson.image / 16,
            "that is divided by 255; this model divides by 16": lesson.dx / 255}


# Saliency

def turn_by_row(lesson: SimpleNamespace) -> Known:
    d = lesson.dimage
    return {"with their signs they cancel out; take the absolute values first": d.sum(axis=(0, 2)),
            "the absolute value comes before the sum: as it is, signs within a row cancel out": np.abs(d.sum(axis=(0, 2))),
            "those are the columns; a row is axis 1": np.abs(d).sum(axis=(0, 1)),
            "it is a mean; add up the points of a row": np.abs(d).mean(axis=(0, 2)),
            "that is the largest of a row; add them up": np.abs(d).max(axis=(0, 2)),
            "those are squares; it is the absolute values that are added up": (d ** 2).sum(axis=(0, 2)),
            "that is ink times slope; saliency is the slope alone": np.abs(lesson.image * d).sum(axis=(0, 2))}


def turn_share(lesson: SimpleNamespace) -> Known:
    image, d = lesson.image, lesson.dimage
    return {"its sign is of use here; no absolute value": np.abs(image * d).sum(axis=(0, 2)),
            "that is x times slope, but this slope is by the ink": (lesson.x * d).sum(axis=(0, 2)),
            "that is a sum times a sum; multiply point by point, then add up": image.sum(axis=(0, 2)) * d.sum(axis=(0, 2)),
            "those are the columns; a row is axis 1": (image * d).sum(axis=(0, 1)),
            "the ink is missing": d.sum(axis=(0, 2))}


# The optimiser

def turn_m(lesson: SimpleNamespace) -> Known:
    beta, before, g = lesson.beta1, lesson.m_before, lesson.g
    return {"beta1 and 1 - beta1 have changed places: most of it stays as it was": (1 - beta) * before + beta * g,
            "what it was is missing: beta1 * m_before": (1 - beta) * g,
            "the gradient comes in whole; its part is 1 - beta1": beta * before + g,
            "that keeps all that was; its part is beta1": before + (1 - beta) * g,
            "that is v: m is the mean of the gradients themselves, not of their squares": beta * before + (1 - beta) * g ** 2,
            "nothing of the new gradient comes in": beta * before}


# Exercises

def exercise_1(answer: Answer) -> None:
    """Which column is whose, on paper

    da_f, da_C and dx for kernel = [[1, 3, 2, 0]], bias zero, x = 0, h_{t-1} = 0, C_{t-1} = 4, dC = 1.
    """
    answer.on_paper("da_f", 1, ["in C = f C_{t-1} + i C~ the factor beside f is C_{t-1}; then comes the slope f (1 - f)"], {
        "that is df; the slope of the sigmoid is missing": 4,
        "that is with the slope of tanh; a gate's is f (1 - f)": 3,
        "it is made with C_t; f is multiplied by C_{t-1}": 0.5,
        "that is da_C": 0.5, "C_{t-1} is missing": 0.25, "that is da_i: C~ is 0": 0})
    answer.on_paper("da_C", 0.5, ["dC i, and then the slope of tanh at C~ = 0"], {
        "the input gate is missing": 1, "that is with the slope of a gate; C~ is a tanh": 0.125,
        "C~ comes into C by way of i": 2, "the slope of tanh is 1 - C~², and C~ is 0": 0})
    answer.on_paper("dx", 4, ["x stands in all four pre-activations: each da times its number of the kernel",
                              "The blocks of the kernel are those of i, f, C~ and o."], {
        "f stands first there; Keras' order is i, f, C~, o": 2,
        "C~ and o have changed places; Keras' order is i, f, C~, o": 3,
        "that is the way through C~ alone": 1, "the numbers of the kernel are missing": 1.5,
        "that is a mean; the ways are added up": 1})


def exercise_2(answer: Answer) -> None:
    """From the loss of a model to its input, with a batch axis

    input_gradient(x, labels, W, U, b, V, c): runs forward (an LSTM from zeros, Dense and softmax on its last state), and
    returns dx (N, T, in), the gradient of each sample's own cross-entropy. x (N, T, in), labels (N,), W (in, 4H), U (H, 4H),
    b (4H,), V (H, K), c (K,); the gates in the order i, f, C~, o.
    """
    def check(N: int, T: int, inputs: int, H: int, K: int) -> None:
        rng = np.random.default_rng(270 + N)
        x, W, U, b, V, c = (rng.normal(size=size) for size in ((N, T, inputs), (inputs, 4 * H), (H, 4 * H), 4 * H, (H, K), K))
        labels, zeros = rng.integers(K, size=N), np.zeros((N, H))
        *gates, C, h = OF_LSTM._forward(x, np.ones((N, T), bool), W, U, b, zeros, zeros)
        z = h[:, -1] @ V + c
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        dz = p - np.eye(K)[labels]

        def through_lstm(dz: np.ndarray, every_step: bool = False) -> tuple[mistakes.Values, mistakes.Mistakes]:
            dy = np.zeros_like(h)
            dy[:, slice(0 if every_step else -1, None)] = (dz @ V.T)[:, None]
            return mistakes.lstm_backward(x, zeros, zeros, *gates, C, h, W, U, dy)
        right, wrong = mistakes.lstm_backward(x, zeros, zeros, *gates, C, h, W, U, np.zeros_like(h), later=(dz @ V.T, zeros))
        wrong |= {f"{sentence} ": values for sentence, values in through_lstm(dz)[1].items()}   # if begun with zeros and dy
        wrong |= {sentence: through_lstm(*of)[0] for sentence, of in {
            "dz is p - onehot; the sign is turned": (-dz,),
            "it is divided by N; each sample has a loss of its own": (dz / N,),
            "1 is not taken off at the right answer: dz is p - onehot": (p,),
            "that is the gradient by p; it has to go through softmax: dz is p - onehot": (-np.eye(K)[labels] / p,),
            "softmax is divided by the sum over the batch; each row has a sum of its own":
                (np.exp(z) / np.exp(z).sum() - np.eye(K)[labels],),
            "what Dense sends back arrives at every step; it reads the last state only": (dz, True)}.items()}
        given = answer.function("input_gradient")(x, labels, W, U, b, V, c)
        expect_close(given, right["dx"], "dx", mistakes.distinct(mistakes.known(right, wrong, "dx")),
                     axes=("sample", "step", "input"))
    for_each_size(answer, check, [(1, 1, 1, 1, 2), (2, 3, 2, 2, 3), (3, 4, 3, 2, 5)])


def exercise_3(answer: Answer) -> None:
    """A model that answers nonsense

    The function from_torch at the end of the lesson has a bug. Write it right as
    fixed_from_torch(weight_ih, weight_hh, bias_ih, bias_hh): returns W (in, 4H), U (H, 4H) and b (4H,), as Keras has them, of
    PyTorch's (4H, in), (4H, H) and two biases (4H,). The order of the gates is the same.
    """
    rng = np.random.default_rng(27)
    weight_ih, weight_hh, bias_ih, bias_hh = (rng.normal(size=size) for size in ((8, 3), (8, 2), 8, 8))
    W, U, b = returned(answer.function("fixed_from_torch")(weight_ih, weight_hh, bias_ih, bias_hh), "fixed_from_torch",
                       "W", "U", "b")
    expect_close(W, weight_ih.T, "W", {"that is a reshape; to turn rows into columns is a transpose": weight_ih.reshape(3, 8)})
    expect_close(U, weight_hh.T, "U", {
        "it is still reshaped: its shape fits, but the numbers lie in the order of the rows. Transpose it":
            weight_hh.reshape(2, 8),
        "the order of the gates is the same in both; only rows and columns change places":
            np.concatenate([weight_hh.T[:, 2:4], weight_hh.T[:, :2], weight_hh.T[:, 4:]], axis=1)})
    expect_close(b, bias_ih + bias_hh, "b", {"one of the two biases is lost; they are added up": bias_ih,
                                             "the first of the two biases is lost; they are added up": bias_hh,
                                             "the two biases are added up; that is their mean": (bias_ih + bias_hh) / 2})


def exercise_4(answer: Answer) -> None:
    """How little it takes

    eps: by how many of the 16 shades every point has to be changed, with the sign of its slope, until the model of the file
    misreads half of the new digits that it had right. Points stay within 0 and 16. (To a tenth.)
    """
    eps = float(answer.array("eps", ()))
    _, _, images, labels = digits_to_read()
    model = load_model(DIGIT_READER).to("reference")
    p = model.forward(images)
    right = p.argmax(axis=1) == labels
    direction = np.sign(model.backward(-np.eye(10, dtype=np.float32)[labels] / p))
    changed = np.clip(images + eps * direction, 0, 16).astype(np.float32)
    lost = 1 - np.mean((model.forward(changed).argmax(axis=1) == labels)[right])
    if abs(16 * eps - 1) < 0.15:
        raise Wrong("eps is counted in shades from 0 to 16; yours is of ink from 0 to 1", recognised=True)
    if not 0.46 < lost < 0.54:
        raise Wrong(f"with {eps:g} shades {lost:.0%} of them are read wrongly")
