"""A Dense layer in plain NumPy. Its forward is written; its backward is yours to write.

Lesson 02 (nblayers learn dense) derives every gradient. New here: relu, and inputs with more than two axes.

    nblayers check dense my_dense.py        the gradient checker looks at your backward
    nblayers train dense my_dense.py        your layer learns to read digits
"""
import numpy as np

from nblayers.layers.base import Layer, Record


class Cache(Record):
    """What backward needs. D inputs, H units; … is the batch axis N, and other axes after it if x has some."""

    x: np.ndarray               # (…, D)
    y: np.ndarray               # (…, H)


class MyDense(Layer):
    """H units: y = x W + b, or relu(x W + b), which is 0 where that is negative."""

    def __init__(self, units, relu=False, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.relu = relu

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], self.units), name="W")
        self.b = self.add_weight((self.units,), initializer="zeros", name="b")

    def forward(self, x):
        """x (N, D) or (N, …, D) -> y (N, H) or (N, …, H)."""
        a = x @ self.W.value + self.b.value
        y = np.maximum(a, 0) if self.relu else a
        self.cache = Cache(x, y)
        return y

    def backward(self, dy):
        """dy, of the shape of y -> dx, of the shape of x."""
        cache = self.cache  # given
        D, H = self.W.shape  # given
        # > In this order:
        # >   1. da, of the pre-activation: what does relu let back, and what not? dy must stay as it is.
        # >   2. x and da may have axes between the first and the last. Which reshape leaves a row for each sample and place?
        # >   3. self.W.grad (D, H) and self.b.grad (H,): which rows have met these weights? Add to them, with +=.
        # >   4. dx, in the shape of x: through what does x reach y?
        # >> 1. da = dy where a is positive or where there is no relu, else 0; y tells: it is 0 where a is not positive
        da = dy * (cache.y > 0) if self.relu else dy
        # >> 2. x becomes (rows, D), da becomes (rows, H): NumPy counts the rows for -1
        rows, da_rows = cache.x.reshape(-1, D), da.reshape(-1, H)
        # >> 3. dW = xᵀ da, and db is the sum of da over the rows
        self.W.grad += rows.T @ da_rows
        self.b.grad += da_rows.sum(axis=0)
        # >> 4. dx = da Wᵀ
        return da @ self.W.value.T


# %% the workshop
from nblayers.layers import Dense
from nblayers.learn.workshop.bugs import Bug
from nblayers.learn.workshop.cases import Case, normal
from nblayers.learn.workshop.tasks import Digits

LESSON = "02_linear_and_dense"
LAYER = MyDense
PARTS = ()
CASES = [
    Case("one sample, one number in and out", {"units": 1}, normal(1, 1)),
    Case("one sample", {"units": 2}, normal(1, 3)),
    Case("four samples", {"units": 2}, normal(4, 3)),
    Case("as many units as inputs", {"units": 3}, normal(4, 3)),
    Case("four samples, relu", {"units": 3, "relu": True}, normal(4, 3)),
    Case("three axes", {"units": 2}, normal(2, 3, 4)),
    Case("four axes, relu", {"units": 2, "relu": True}, normal(2, 3, 2, 4)),
]
TASK = Digits(lambda layer: [layer(32, relu=True), layer(10)], flat=True, softmax=True)
DONE = """You have written the backward of a Dense layer. Two of yours, one after the other, have learned to read digits:
what the second one returned as dx was the dy of the first."""


def library(layer):
    return Dense(layer.units, activation="relu" if layer.relu else None)


BUGS = [
    Bug([("da = dy * (cache.y > 0) if self.relu else dy", "da = dy")],
        "relu's slope is forgotten: where y is 0 nothing should go back",
        "It learns, a little worse: after 300 batches its loss is 0.1452, the right layer's 0.1034."),
    Bug([("self.W.grad += rows.T @ da_rows", "self.W.grad += rows.T @ dy.reshape(-1, H)")],
        "W's gradient is made with dy instead of da: relu's slope reaches b and x, but not W",
        "It learns, a little worse: after 300 batches its loss is 0.1163, the right layer's 0.1034."),
    Bug([("self.b.grad += da_rows.sum(axis=0)", "self.b.grad += da_rows.mean(axis=0)")],
        "b's gradient is the mean over the rows; a layer sums, and the loss has taken the mean already",
        "It learns all the same: after 300 batches its loss is 0.1031, the right layer's 0.1034."),
    Bug([("self.W.grad += rows.T @ da_rows", "self.W.grad += rows.T @ da_rows / len(rows)"),
         ("self.b.grad += da_rows.sum(axis=0)", "self.b.grad += da_rows.sum(axis=0) / len(rows)")],
        "both gradients are divided by the number of rows; the loss has taken the mean already (Adam hardly "
        "minds, SGD does)",
        "It learns all the same: after 300 batches its loss is 0.103, the right layer's 0.1034."),
    Bug([("dy * (cache.y > 0) if", "dy * (cache.x.sum(axis=-1, keepdims=True) > 0) if")],
        "relu's slope asks whether the inputs' sum is positive; it must ask whether y is",
        "It learns, a little worse: after 300 batches its loss is 0.1452, the right layer's 0.1034."),
]
