"""A softmax in plain NumPy. Its forward is written; its backward is yours to write.

Lesson 04 (nblayers learn softmax) derives it. New here: inputs with more than two axes.

    nblayers check softmax my_softmax.py        the gradient checker looks at your backward
    nblayers train softmax my_softmax.py        your layer helps to read digits
"""
import numpy as np

from nblayers.layers.base import Layer, Record


class Cache(Record):
    """What backward needs."""

    y: np.ndarray               # (N, …, K), probabilities; they sum to 1 over the last axis


class MySoftmax(Layer):
    """y_k = exp(x_k) / (exp(x_1) + … + exp(x_K)) over the last axis."""

    def forward(self, x):
        """x (N, K) or (N, …, K) -> y, of the same shape."""
        x = x - x.max(axis=-1, keepdims=True)                       # the same y, and no overflow
        e = np.exp(x)
        y = e / e.sum(axis=-1, keepdims=True)
        self.cache = Cache(y)
        return y

    def backward(self, dy):
        """dy, of the shape of y -> dx, of the same shape."""
        y = self.cache.y  # given
        # >   1. Each x_k moves every y_j of its row. How far does y_k, how far the others? Write dx_k as a sum over j.
        # >   2. Which part of that sum is the same for all k? It is one number for each row.
        # >   3. dx in one line, from y, dy and that number. dy must stay as it is.
        # >> 1. dy_k/dx_k = y_k (1 − y_k), dy_j/dx_k = −y_j y_k; so dx_k = dy_k y_k − y_k (the sum over j of dy_j y_j)
        # >> 2. the sum over j of dy_j y_j; with keepdims=True it keeps its axis
        mean = (dy * y).sum(axis=-1, keepdims=True)
        # >> 3. dx = y (dy − that sum)
        return y * (dy - mean)


# %% the workshop
from nblayers.layers import Activation
from nblayers.learn.workshop.bugs import Bug
from nblayers.learn.workshop.cases import Case, normal
from nblayers.learn.workshop.tasks import Digits

LESSON = "04_softmax_and_cross_entropy"
LAYER = MySoftmax
PARTS = ()
CASES = [
    Case("one sample, two classes", {}, normal(1, 2)),
    Case("one sample", {}, normal(1, 4)),
    Case("three samples", {}, normal(3, 4)),
    Case("as many samples as classes", {}, normal(4, 4)),
    Case("scores far apart", {}, normal(3, 4, scale=4)),
    Case("three axes", {}, normal(2, 3, 4)),
]
TASK = Digits(lambda layer: ["dense", layer()], flat=True)
DONE = """You have written the backward of a softmax, the one layer here in which each output depends on every input of its
row. It has turned scores into probabilities of ten digits, and their errors back into errors of the scores."""


def library(layer):
    return Activation("softmax")


BUGS = [
    Bug([("return y * (dy - mean)", "return y * (1 - y) * dy")],
        "only the diagonal is there, y (1 - y): what each score does to the other probabilities is missing",
        "It learns, a little worse: after 300 batches its loss is 0.4899, the right layer's 0.3787."),
    Bug([("mean = (dy * y).sum(axis=-1, keepdims=True)", "mean = (dy * y).sum()")],
        "the sum runs over all samples; each row has a sum of its own",
        "In training it does not show at all: on this task both learn the same."),
    Bug([("mean = (dy * y).sum(axis=-1, keepdims=True)", "mean = dy.mean(axis=-1, keepdims=True)")],
        "the mean of dy is taken with equal weights; it must be weighted by y",
        "It learns, a little worse: after 300 batches its loss is 0.5107, the right layer's 0.3787."),
    Bug([("return y * (dy - mean)", "return dy - mean")],
        "the factor y in front is missing",
        "It learns much worse: after 300 batches its loss is 0.84, the right layer's 0.3787."),
    Bug([("e = np.exp(x)", "e = np.exp(x / 2)"), ("return y * (dy - mean)", "return y * (dy - mean) / 2")],
        "the scores are halved, as by a temperature of 2, forward and backward: the gradient is right, so no "
        "gradient check can see it",
        "It learns much worse: after 300 batches its loss is 0.6604, the right layer's 0.3787."),
]
