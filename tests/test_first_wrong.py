"""Which gradient on backward's way is the first wrong one: for mistakes in every line, and never one that is right."""
import re

import numpy as np
import pytest
from helpers import random_like
from test_microscope import inside
from test_trace import EVERY, inputs_of

import nblayers
from nblayers.gradient_check.nudging import Search
from nblayers.gradient_check.subject import present
from nblayers.layers import Layer
from nblayers.learn.microscope.view import steps


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class OwnLSTM(Layer):
    """An LSTM by hand that returns all h; one of its lines is wrong."""

    def __init__(self, wrong=""):
        super().__init__(dtype="float64")
        self.wrong = wrong

    def build(self, shape):
        self.W = self.add_weight((shape[-1], 12), "glorot_uniform", name="kernel")
        self.U = self.add_weight((3, 12), "glorot_uniform", name="recurrent_kernel")

    def forward(self, x):
        self.x, self.steps, y = x, [], np.zeros((*x.shape[:2], 3))
        h, c = np.zeros((2, len(x), 3))
        for t in range(x.shape[1]):
            h_prev, c_prev = h, c
            a = x[:, t] @ self.W.value + h_prev @ self.U.value                  # (1)
            i, f, o = (sigmoid(a[:, 3 * k:3 * k + 3]) for k in (0, 1, 3))       # (2)
            g = np.tanh(a[:, 6:9])                                              # (3)
            c = f * c_prev + i * g                                              # (4)
            h = o * np.tanh(c)                                                  # (5)
            y[:, t] = h
            self.steps.append((i, f, g, o, c, c_prev, h_prev))
        return y

    def backward(self, dy):
        dx, wrong = np.zeros_like(self.x), self.wrong
        dh, dc = np.zeros((2, len(dy), 3))
        for t in reversed(range(dy.shape[1])):
            i, f, g, o, c, c_prev, h_prev = self.steps[t]
            dh = dh + dy[:, t]
            do = dh * (c if wrong == "do" else np.tanh(c))                      # from (5)
            dc = dc + dh * o * (1 - np.tanh(c) ** (1 if wrong == "dc" else 2))  # from (5)
            di = dc * (c if wrong == "di" else g)                               # from (4)
            df = dc * (c if wrong == "df" else c_prev)                          # from (4)
            dg = dc * i                                                         # from (4)
            da = np.hstack([di * i * (1 - i), df * f * (1 - f), dg * (1 - g * g), do * o * (1 - o)])  # from (2), (3)
            da = -da if wrong == "da" else da                                   # from (2)
            self.W.grad += self.x[:, t].T @ da * (2 if wrong == "dW" else 1)
            self.U.grad += h_prev.T @ da
            dx[:, t] = da @ self.W.value.T                                      # from (1)
            dc = dc * (1 if wrong == "carry" else f)                            # from (4)
            dh = da @ self.U.value.T / (2 if wrong == "dh" else 1)              # from (1)
        return dx


@pytest.mark.parametrize("wrong, name, source", [
    ("do", "do", "do ="), ("dc", "dc", "dc = dc + dh"), ("di", "di", "di ="), ("df", "df", "df ="), ("da", "da", "da = -da"),
    ("carry", "dc", "dc = dc * ("), ("dh", "dh", "dh = da")])
def test_the_line_of_a_mistake_is_named(wrong, name, source):
    nblayers.utils.set_random_seed(0)
    report = nblayers.gradcheck(OwnLSTM(wrong), np.random.default_rng(0).normal(size=(2, 3, 3)), raise_error=False)
    found = report.first_wrong
    assert (found.name, found.t) == (name, 2)
    assert found.source.startswith(source)
    assert f"line {found.line}: {found.source}" in str(report)
    opens_at = int(re.search(r'data-first="(\d+)"', page := report.to_html())[1])
    assert steps(report.trace)[0][opens_at - 1].line == found.line and inside(page)


@pytest.mark.parametrize("length", [1, 3])
def test_no_line_is_named_where_the_way_is_right(length):
    report = nblayers.gradcheck(OwnLSTM("dW"), np.random.default_rng(0).normal(size=(2, length, 3)), raise_error=False)
    assert not report and report.first_wrong is None
    kernel = next(tensor for tensor in report.tensors if tensor.name.endswith("/kernel"))
    assert not kernel.passed


def in_double(values):
    return [in_double(one) for one in values] if isinstance(values, list) else values.astype("float64")


@pytest.mark.parametrize("room", ["reference", "cpu"])
@pytest.mark.parametrize("name", ["Dense", "SimpleRNN", "LSTM", "GRU", "GRU, reset before", "RNN", "ConvLSTM1D", "Attention",
                                  "nn.BatchNorm1d", "LayerNormalization", "nn.GRUCell"])
def test_what_is_right_is_not_accused(name, room):
    nblayers.config.set_floatx("float64")
    make, shapes = EVERY[name]
    with nblayers.device(room):
        layer = make()
    rng = np.random.default_rng(0)
    arguments = in_double(inputs_of(name, shapes, rng))

    def forward():
        return [np.array(y) for y in present([layer.forward(*arguments)])]
    with nblayers.trace() as recorded:
        y = layer.forward(*arguments)
        dy = random_like(y, rng)
        layer.backward(dy)
    found = Search(recorded.entries, forward, present([dy]), [weight.value for weight in layer.weights], 1e-5, 2.0)
    assert found.first_wrong() is None
    if room == "reference" and name != "Dense":
        assert any(value == value for value, _ in found._known.values())         # something was compared
