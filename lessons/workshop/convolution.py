"""A 2D convolution in plain NumPy. Its forward is written; its backward is yours to write.

Lesson 13 (nblayers learn convolution) derives every gradient. New here: strides and padding in both directions at once.

    nblayers check convolution my_convolution.py        the gradient checker looks at your backward
    nblayers train convolution my_convolution.py        your layer learns to read digits
"""
import numpy as np

from nblayers.layers.base import Layer, Record


def padding_of(size, k, stride, padding):
    """How many zeros go before and behind an axis, and how many places the window has: (before, behind, places)."""
    if padding == "valid":
        return 0, 0, (size - k) // stride + 1
    places = -(-size // stride)                                     # "same": rounded up
    missing = max((places - 1) * stride + k - size, 0)
    return missing // 2, missing - missing // 2, places


class Cache(Record):
    """What backward needs. N images of height and width, D channels in, F filters; the windows are k by k."""

    x: np.ndarray               # (N, height, width, D), padded
    before: tuple[int, int]     # how many rows and columns of zeros were put before the image
    shape: tuple[int, ...]      # of the image, before it was padded


class MyConv2D(Layer):
    """F filters of k by k points: y[n, p, q] = sum of x_window W over the window at p, q, + b."""

    def __init__(self, filters, kernel_size, strides=1, padding="valid", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.k = kernel_size
        self.strides = strides
        self.padding = padding

    def build(self, input_shape):
        self.W = self.add_weight((self.k, self.k, input_shape[-1], self.filters), name="W")
        self.b = self.add_weight((self.filters,), initializer="zeros", name="b")

    def forward(self, x):
        """x (N, height, width, D) -> y (N, P, Q, F)."""
        N, height, width, _ = x.shape
        k, s = self.k, self.strides
        above, below, P = padding_of(height, k, s, self.padding)
        left, right, Q = padding_of(width, k, s, self.padding)
        x_padded = np.pad(x, [(0, 0), (above, below), (left, right), (0, 0)])
        y = np.zeros((N, P, Q, self.filters), x.dtype)
        for u in range(k):                                          # the place in the window
            for v in range(k):
                seen = x_padded[:, u:u + s * P:s, v:v + s * Q:s]    # (N, P, Q, D): what place u, v of each window sees
                y += seen @ self.W.value[u, v]
        y += self.b.value
        self.cache = Cache(x_padded, (above, left), x.shape)
        return y

    def backward(self, dy):
        """dy (N, P, Q, F) -> dx (N, height, width, D)."""
        cache = self.cache  # given
        _, P, Q, F = dy.shape  # given
        k, s = self.k, self.strides  # given
        # > forward has added one product for each place u, v of the window. So, in this order:
        # >   1. self.b.grad (F,): where does b stand? Add to it, with +=.
        # >   2. dx_padded: which shape has it, and what does it hold before any window has been seen?
        # >   3. For each u and v, with the same slices as in forward: self.W.grad[u, v] (D, F), and the share of dx_padded.
        # >      Windows overlap: what does that ask of dx_padded?
        # >   4. dx: which part of dx_padded belongs to the image itself?
        # >> 1. db is the sum of dy over samples and places
        self.b.grad += dy.sum(axis=(0, 1, 2))
        # >> 2. zeros, in the shape of the padded x
        dx_padded = np.zeros_like(cache.x)
        # >> 3. what u, v has seen is x_uv: dW[u, v] = x_uvᵀ dy, with a row for each sample and place; x_uv is given dy W[u, v]ᵀ
        for u in range(k):
            for v in range(k):
                seen = cache.x[:, u:u + s * P:s, v:v + s * Q:s]
                self.W.grad[u, v] += seen.reshape(-1, seen.shape[-1]).T @ dy.reshape(-1, F)
                dx_padded[:, u:u + s * P:s, v:v + s * Q:s] += dy @ self.W.value[u, v].T
        # >> 4. dx_padded without the zeros that were put above, below, left and right
        above, left = cache.before
        _, height, width, _ = cache.shape
        return dx_padded[:, above:above + height, left:left + width]


# %% the workshop
from nblayers.layers import Conv2D
from nblayers.learn.workshop.bugs import Bug
from nblayers.learn.workshop.cases import Case, normal
from nblayers.learn.workshop.tasks import Digits

LESSON = "13_convolution"
LAYER = MyConv2D
PARTS = ()
CASES = [
    Case("one window, one channel, one filter", {"filters": 1, "kernel_size": 2}, normal(1, 2, 2, 1)),
    Case("one image, windows that overlap", {"filters": 1, "kernel_size": 2}, normal(1, 3, 4, 1)),
    Case("three images, two channels, three filters", {"filters": 3, "kernel_size": 2}, normal(3, 4, 3, 2)),
    Case("padding same", {"filters": 2, "kernel_size": 3, "padding": "same"}, normal(2, 4, 3, 2)),
    Case("padding same, an even window", {"filters": 2, "kernel_size": 2, "padding": "same"}, normal(2, 4, 3, 2)),
    Case("strides 2", {"filters": 2, "kernel_size": 3, "strides": 2}, normal(2, 6, 7, 2)),
    Case("strides larger than the window", {"filters": 2, "kernel_size": 2, "strides": 3}, normal(2, 6, 8, 2)),
    Case("strides 2, padding same", {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}, normal(2, 6, 5, 2)),
]
TASK = Digits(lambda layer: [layer(8, 3, padding="same"), "relu", layer(16, 3, strides=2, padding="same"), "relu", "flatten",
                             "dense"], softmax=True, room="cpu")
DONE = """You have written the backward of a convolution: windows that overlap, strides, padding, channels. Two of yours, one
after the other, have learned to read digits."""


def library(layer):
    return Conv2D(layer.filters, layer.k, strides=layer.strides, padding=layer.padding)


BUGS = [
    Bug([("dx_padded[:, u:u + s * P:s, v:v + s * Q:s] += dy", "dx_padded[:, u:u + s * P:s, v:v + s * Q:s] = dy")],
        "dx is replaced (=) where windows overlap, instead of added to (+=): only the last place of the window "
        "counts",
        "It learns all the same: after 200 batches its loss is 0.06829, the right layer's 0.06715."),
    Bug([("dy @ self.W.value[u, v].T", "dy @ self.W.value[k - 1 - u, k - 1 - v].T")],
        "the window is turned round on the way back although the slices are those of forward already: it is "
        "turned once too often",
        "It learns, a little worse: after 200 batches its loss is 0.09468, the right layer's 0.06715."),
    Bug([("above, left = cache.before\n", "above, left = 0, 0\n")],
        "dx is cut out of the padded one at the corner instead of where the image lay: it is shifted by the padding",
        "In training it does not show at all: on this task both learn the same."),
    Bug([("self.b.grad += dy.sum(axis=(0, 1, 2))", "self.b.grad += dy.sum(axis=0).mean(axis=(0, 1))")],
        "b's gradient is a mean over the places of the image; b stands at each of them: a sum",
        "It learns all the same: after 200 batches its loss is 0.06601, the right layer's 0.06715."),
    Bug([("self.W.grad[u, v] += seen", "self.W.grad[v, u] += seen")],
        "the two axes of the window are swapped in W's gradient; windows are square, so no shape complains",
        "It learns much worse: after 200 batches its loss is 0.164, the right layer's 0.06715."),
    Bug([("y += seen @ self.W.value[u, v]", "y += seen @ self.W.value[k - 1 - u, k - 1 - v]"),
         ("dy @ self.W.value[u, v].T", "dy @ self.W.value[k - 1 - u, k - 1 - v].T"),
         ("self.W.grad[u, v] += seen", "self.W.grad[k - 1 - u, k - 1 - v] += seen")],
        "the window is turned round, forward and backward: a convolution as mathematicians write it. The "
        "gradient is right, so no gradient check can see it; Keras and PyTorch do not turn it",
        "It learns all the same: after 200 batches its loss is 0.06588, the right layer's 0.06715."),
]
