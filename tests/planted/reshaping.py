"""Layers that only move elements, repeat them or add them up."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Fault, Right


class UpSampling(Layer):
    """Each step twice: y_{2t} = y_{2t + 1} = x_t."""

    def forward(self, x):
        self.cache = x.shape
        return np.repeat(x, 2, axis=1)

    def backward(self, dy):
        B, T, C = self.cache
        dx = dy.reshape(B, T, 2, C).sum(axis=2)
        return dx


class ZeroPadding(Layer):
    """One zero before the steps and two behind."""

    def forward(self, x):
        self.cache = x.shape[1]
        return np.pad(x, ((0, 0), (1, 2), (0, 0)))

    def backward(self, dy):
        T = self.cache
        return dy[:, 1:T + 1]


class ReflectPadding(Layer):
    """One element more at each end, mirrored: y = x_1, x_0 … x_{T-1}, x_{T-2}."""

    def forward(self, x):
        self.cache = x.shape
        return np.pad(x, ((0, 0), (1, 1)), mode="reflect")

    def backward(self, dy):
        dx = dy[:, 1:-1].copy()
        dx[:, 1] += dy[:, 0]
        dx[:, -2] += dy[:, -1]
        return dx


class Cropping(Layer):
    """The first step and the last two are left out."""

    def forward(self, x):
        self.cache = x.shape
        return x[:, 1:-2].copy()

    def backward(self, dy):
        dx = np.zeros(self.cache, dy.dtype)
        dx[:, 1:-2] = dy
        return dx


class Permute(Layer):
    """y_bij = x_bji."""

    def forward(self, x):
        self.cache = x.shape
        return x.transpose(0, 2, 1).copy()

    def backward(self, dy):
        dx = dy.transpose(0, 2, 1)
        return dx


class Flatten(Layer):
    """(B, T, C) as (B, T C)."""

    def forward(self, x):
        self.cache = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy):
        B, T, C = self.cache
        return dy.reshape(B, T, C)


class CumulativeSum(Layer):
    """y_t = x_0 + … + x_t."""

    def forward(self, x):
        self.cache = x.shape
        return np.cumsum(x, axis=1)

    def backward(self, dy):
        return np.cumsum(dy[:, ::-1], axis=1)[:, ::-1]


class Reverse(Layer):
    """The steps from the last to the first."""

    def forward(self, x):
        self.cache = x.shape
        return x[:, ::-1].copy()

    def backward(self, dy):
        return dy[:, ::-1].copy()


class Split(Layer):
    """Two outputs: the first two features, and the other three."""

    def forward(self, x):
        self.cache = x.shape
        return [x[:, :2].copy(), x[:, 2:].copy()]

    def backward(self, dy):
        a, b = dy
        dx = np.zeros(self.cache, a.dtype)
        dx[:, :2] = a
        dx[:, 2:] = b
        return dx


class Gather(Layer):
    """y_bk = x[b, index_k], where an index may come twice."""

    index = (2, 0, 2, 4)

    def forward(self, x):
        self.cache = x.shape
        return x[:, list(self.index)]

    def backward(self, dy):
        dx = np.zeros(self.cache, dy.dtype)
        for k, i in enumerate(self.index):
            dx[:, i] += dy[:, k]
        return dx


def sequence(rng):
    return (rng.normal(size=(2, 3, 4)),)


RIGHT = {
    "up_sampling": Right(UpSampling, sequence),
    "zero_padding": Right(ZeroPadding, sequence),
    "reflect_padding": Right(ReflectPadding, lambda rng: (rng.normal(size=(3, 5)),)),
    "cropping": Right(Cropping, lambda rng: (rng.normal(size=(2, 6, 3)),)),
    "permute": Right(Permute, lambda rng: (rng.normal(size=(2, 3, 3)),)),
    "permute_rectangle": Right(Permute, sequence),
    "flatten": Right(Flatten, sequence),
    "cumulative_sum": Right(CumulativeSum, lambda rng: (rng.normal(size=(2, 5, 3)),)),
    "reverse": Right(Reverse, lambda rng: (rng.normal(size=(2, 5, 3)),)),
    "split": Right(Split, lambda rng: (rng.normal(size=(3, 5)),)),
    "gather": Right(Gather, lambda rng: (rng.normal(size=(3, 5)),)),
}

NEVER = ("stale", "square root")

FAULTS = [
    Fault("up_sampling", "dy.reshape(B, T, 2, C).sum(axis=2)", "dy[:, ::2]", ("overwritten", "place", "missing_sum"), "x",
          ("one contribution|0, 2, 4|1, 3, 5",)),
    Fault("up_sampling", "dy.reshape(B, T, 2, C).sum(axis=2)", "dy[:, 1::2]", ("overwritten", "place", "missing_sum"), "x",
          ("one contribution|0, 2, 4|1, 3, 5",)),
    Fault("up_sampling", ".sum(axis=2)", ".mean(axis=2)", "factor", "x", ("half",)),
    Fault("up_sampling", "dy.reshape(B, T, 2, C).sum(axis=2)", "dy.reshape(B, 2, T, C).sum(axis=1)", ("moved", "place"), "x",
          ("axis 1",)),
    Fault("up_sampling", "return dx", "return dx[:, ::-1]", "reversed", "x", ("reverse order along axis 1",)),
    Fault("up_sampling", "dy.reshape(B, T, 2, C).sum(axis=2)", "dy[:, :T] + dy[:, T:]", ("moved", "place"), "x", ("axis 1",)),
    Fault("up_sampling", "np.repeat(x, 2, axis=1)", "np.tile(x, (1, 2, 1))", ("moved", "place"), "x", ("axis 1",)),

    Fault("zero_padding", "dy[:, 1:T + 1]", "dy[:, :T]", "rolled", "x", ("moved by 1|moved by -1", "along axis 1")),
    Fault("zero_padding", "dy[:, 1:T + 1]", "dy[:, 2:T + 2]", "rolled", "x", ("moved by 1|moved by -1", "along axis 1")),
    Fault("zero_padding", "dy[:, 1:T + 1]", "dy", "shape", "x", ("shape",)),
    Fault("zero_padding", "dy[:, 1:T + 1]", "dy[:, 1:-1]", "shape", "x", ("shape",)),
    Fault("zero_padding", "(1, 2)", "(2, 1)", "rolled", "x", ("moved by 1|moved by -1", "along axis 1")),

    Fault("reflect_padding", "dx[:, 1] += dy[:, 0]", "pass", ("place", "overwritten"), "x",
          ("one contribution|1 of axis 1|y at 0 of",)),
    Fault("reflect_padding", "dx[:, 1] += dy[:, 0]", "dx[:, 1] = dy[:, 0]", ("overwritten", "place"), "x",
          ("one contribution|1 of axis 1|y at 2 of its axis 1",)),
    Fault("reflect_padding", "dx[:, -2] += dy[:, -1]", "dx[:, -1] += dy[:, -1]", ("place", "moved"), "x",
          ("3-4 of axis 1|y at 6 of|y at [0, 6]",)),
    Fault("reflect_padding", "dx[:, -2] += dy[:, -1]", "dx[:, -2] -= dy[:, -1]", "place", "x",
          ("3 of axis 1|y at 6 of|6 are wrong|6 is wrong",)),
    Fault("reflect_padding", "dy[:, 1:-1].copy()", "dy[:, 1:-1]", "changes_dy", None, ("in place",)),
    Fault("reflect_padding", 'mode="reflect"', 'mode="edge"', ("place", "moved"), "x", ("axis 1",)),

    Fault("cropping", "dx[:, 1:-2] = dy", "dx[:, :-3] = dy", "rolled", "x", ("moved by 1|moved by -1", "along axis 1")),
    Fault("cropping", "dx[:, 1:-2] = dy", "dx[:, 2:-1] = dy", "rolled", "x", ("moved by 1|moved by -1", "along axis 1")),
    Fault("cropping", "dx[:, 1:-2] = dy", 'dx = np.pad(dy, ((0, 0), (1, 2), (0, 0)), mode="edge")', ("extra", "place"), "x",
          ("should be zero",)),
    Fault("cropping", "return dx", "return dy", "shape", "x", ("shape",)),
    Fault("cropping", "np.zeros(self.cache, dy.dtype)", "np.ones(self.cache, dy.dtype)", ("extra", "not_linear"), None),

    Fault("permute", "dy.transpose(0, 2, 1)", "dy", "transposed", "x", ("axes 1 and 2",)),
    Fault("permute_rectangle", "dx = dy.transpose(0, 2, 1)", "dx = dy.reshape(self.cache)", "moved", "x"),
    Fault("permute_rectangle", "dx = dy.transpose(0, 2, 1)", "dx = dy", "shape", "x", ("shape",), may=("transposed",)),
    Fault("flatten", "dy.reshape(B, T, C)", 'dy.reshape(B, T, C, order="F")', "moved", "x"),
    Fault("flatten", "dy.reshape(B, T, C)", "dy.reshape(B, C, T).transpose(0, 2, 1)", "moved", "x"),
    Fault("flatten", "x.reshape(len(x), -1)", "x.transpose(0, 2, 1).reshape(len(x), -1)", "moved", "x"),
    Fault("flatten", "return dy.reshape(B, T, C)", "return dy", "shape", "x", ("shape",)),

    Fault("cumulative_sum", "np.cumsum(dy[:, ::-1], axis=1)[:, ::-1]", "np.cumsum(dy, axis=1)", ("extra", "carry", "place"),
          "x", ("later steps|axis 1",), may=("carry",)),
    Fault("cumulative_sum", "np.cumsum(dy[:, ::-1], axis=1)[:, ::-1]", "dy", ("elementwise", "carry", "place"), "x",
          ("elementwise|later steps",), may=("carry",)),
    Fault("cumulative_sum", "np.cumsum(dy[:, ::-1], axis=1)[:, ::-1]", "np.cumsum(dy[:, ::-1], axis=1)", "reversed", "x",
          ("reverse order along axis 1",)),
    Fault("cumulative_sum", "np.cumsum(dy[:, ::-1], axis=1)[:, ::-1]", "np.repeat(dy.sum(axis=1, keepdims=True), 5, axis=1)",
          ("extra", "place"), "x", ("axis 1",)),

    Fault("reverse", "dy[:, ::-1].copy()", "dy.copy()", "reversed", "x", ("reverse order along axis 1",)),
    Fault("reverse", "dy[:, ::-1].copy()", "dy[::-1, ::-1].copy()", "reversed", "x", ("reverse order along axis 0",)),
    Fault("reverse", "x[:, ::-1].copy()", "np.roll(x[:, ::-1], 1, axis=1)", "rolled", "x",
          ("moved by 1|moved by -1", "along axis 1")),

    Fault("split", "dx[:, 2:] = b", "dx[:, 2:] = -b", ("one_output", "factor"), "x", ("2-4 of axis 1|output 1",)),
    Fault("split", "dx[:, 2:] = b", "pass", ("one_output", "zero"), "x", ("2-4 of axis 1|output 1",)),
    Fault("split", "dx[:, 2:] = b", "dx[:, :2] = b[:, :2]", ("place", "one_output", "zero", "extra", "moved"), "x",
          ("output",)),
    Fault("split", "dx[:, :2] = a", "dx[:, :2] = a[:, ::-1]", ("place", "one_output", "reversed", "moved"), "x",
          ("0-1 of axis 1|output 0",)),

    Fault("gather", "dx[:, i] += dy[:, k]", "dx[:, i] = dy[:, k]", "overwritten", "x", ("one contribution",)),
    Fault("gather", "dx[:, i] += dy[:, k]", "dx[:, k] += dy[:, i]", ("place", "moved"), "x", ("0-2 of axis 1|belongs",),
          more=(("(2, 0, 2, 4)",
          "(2, 0, 2, 3)"),)),
    Fault("gather", "for k, i in enumerate(self.index):\n            dx[:, i] += dy[:, k]", "dx[:, list(self.index)] += dy",
          "overwritten", "x", ("one contribution",)),
]
