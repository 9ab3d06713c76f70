"""Softmax, log-softmax and lengths of rows: each output depends on the whole row."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Fault, Right


class Softmax(Layer):
    """p = exp(x) / sum exp(x) of each row."""

    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)
        self.cache = p
        return p

    def backward(self, dy):
        p = self.cache
        dx = p * (dy - (p * dy).sum(axis=-1, keepdims=True))
        return dx


class SoftmaxJacobian(Layer):
    """The same over the last axis of (B, T, K), with the Jacobian diag(p) - p p^T of each row written out."""

    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)
        self.cache = p
        return p

    def backward(self, dy):
        p = self.cache
        dx = np.zeros_like(p)
        for b in range(p.shape[0]):
            for t in range(p.shape[1]):
                J = np.diag(p[b, t]) - np.outer(p[b, t], p[b, t])
                dx[b, t] = J @ dy[b, t]
        return dx


class LogSoftmax(Layer):
    """y = x - log sum exp(x) of each row."""

    def forward(self, x):
        z = x - x.max(axis=1, keepdims=True)
        y = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        self.cache = y
        return y

    def backward(self, dy):
        y = self.cache
        total = dy.sum(axis=1, keepdims=True)
        dx = dy - np.exp(y) * total
        return dx


class Length(Layer):
    """y_b = sqrt(sum_k x_bk^2)."""

    def forward(self, x):
        y = np.sqrt((x ** 2).sum(axis=1))
        self.cache = x, y
        return y

    def backward(self, dy):
        x, y = self.cache
        dx = dy[:, None] * x / y[:, None]
        return dx


class Variance(Layer):
    """y_b = mean_k (x_bk - mean_k x_bk)^2."""

    def forward(self, x):
        centred = x - x.mean(axis=1, keepdims=True)
        self.cache = x, centred
        return (centred ** 2).mean(axis=1)

    def backward(self, dy):
        x, centred = self.cache
        dx = 2 * centred * dy[:, None] / x.shape[1]
        return dx


class LogSumExp(Layer):
    """y_b = log sum_k exp(x_bk)."""

    def forward(self, x):
        m = x.max(axis=1)
        y = m + np.log(np.exp(x - m[:, None]).sum(axis=1))
        self.cache = x, y
        return y

    def backward(self, dy):
        x, y = self.cache
        dx = dy[:, None] * np.exp(x - y[:, None])
        return dx


def rows(rng):
    return (rng.normal(size=(3, 5)),)


RIGHT = {
    "softmax": Right(Softmax, rows),
    "softmax_jacobian": Right(SoftmaxJacobian, lambda rng: (rng.normal(size=(2, 3, 4)),)),
    "log_softmax": Right(LogSoftmax, rows),
    "length": Right(Length, rows),
    "variance": Right(Variance, rows),
    "log_sum_exp": Right(LogSumExp, rows),
}

NEVER = ("later steps", "a carry", "square root")

FAULTS = [
    Fault("softmax", "p * (dy - (p * dy).sum(axis=-1, keepdims=True))", "p * dy * (1 - p)", "elementwise", "x",
          ("treated as elementwise",)),
    Fault("softmax", "p * (dy - (p * dy).sum(axis=-1, keepdims=True))", "p * dy", ("elementwise", "missing_sum"), "x"),
    Fault("softmax", "(p * dy).sum(axis=-1, keepdims=True)", "(p * dy).sum(axis=0, keepdims=True)",
          ("moved", "place", "missing_sum", "elementwise", "mixing"), "x", ("axis 0",)),
    Fault("softmax", "(p * dy).sum(axis=-1, keepdims=True)", "dy.sum(axis=-1, keepdims=True)", ("place", "missing_sum",
          "factor_along"), "x", ("factor|another place|other places",)),
    Fault("softmax", "(p * dy).sum(axis=-1, keepdims=True)", "(p * dy).mean(axis=-1, keepdims=True)",
          ("place", "factor", "missing_sum"), "x", ("1/5|0.2|another place|other places",)),
    Fault("softmax", "(p * dy).sum(axis=-1, keepdims=True)", "(p * dy).sum()", ("mixing", "extra", "place", "missing_sum"), "x",
          ("too much|mix",)),
    Fault("softmax", "dx = p * (dy - (p * dy).sum(axis=-1, keepdims=True))", "dx = dy", ("elementwise", "missing_sum"), "x"),
    Fault("softmax", "dx = p * (dy - (p * dy).sum(axis=-1, keepdims=True))", "dx = p - dy", "not_linear", None,
          ("not linear in dy|not multiplied by dy",)),
    Fault("softmax", "dx = p * (dy - (p * dy).sum(axis=-1, keepdims=True))",
          "rows, j = np.arange(len(p)), dy.argmax(axis=-1)\n        dx = p * (dy - (p * dy)[rows, j][:, None])",
          "not_linear", None, ("not linear in dy",)),
    Fault("softmax", "axis=-1, keepdims=True)\n        self", "axis=0, keepdims=True)\n        self",
          ("moved", "place", "mixing", "elementwise", "missing_sum"), "x", ("axis 0|axis 1",)),
    Fault("softmax", "x - x.max(axis=-1, keepdims=True)", "(x - x.max(axis=-1, keepdims=True)) / 2", "factor", "x", ("twice",)),
    Fault("softmax", "self.cache = p", "if not hasattr(self, 'p'):\n            self.p = p\n        self.cache = self.p",
          "stale", None, ("stale cache",)),
    Fault("softmax", "dx = p * (dy - (p * dy).sum(axis=-1, keepdims=True))",
          "dy -= (p * dy).sum(axis=-1, keepdims=True)\n        dx = p * dy", "changes_dy", None, ("in place",)),
    Fault("softmax", "dx = p * (dy - (p * dy).sum(axis=-1, keepdims=True))",
          "s = (p * dy).sum(axis=-1, keepdims=True)\n        p *= dy - s\n        dx = p", "changes_output", None,
          ("in place",), may=("single_use",)),
    Fault("softmax", "x.max(axis=-1, keepdims=True))\n", "x.max(axis=-1, keepdims=True))\n        e = e ** 2\n", "factor", "x",
          ("half",)),

    Fault("softmax_jacobian", "np.diag(p[b, t]) - np.outer(p[b, t], p[b, t])", "np.diag(p[b, t])",
          ("elementwise", "missing_sum"), "x"),
    Fault("softmax_jacobian", "np.diag(p[b, t]) - np.outer", "np.diag(p[b, t]) + np.outer", ("place", "factor", "missing_sum"),
          "x", ("sign|another place|other places",)),
    Fault("softmax_jacobian", "np.outer(p[b, t], p[b, t])", "np.outer(p[b, t], p[b, 0])", ("place", "factor_along"), "x",
          ("axis 1",)),
    Fault("softmax_jacobian", "dx[b, t] = J @ dy[b, t]", "dx[b, t] = J @ dy[b, 0]", ("place", "moved", "zero"), "x",
          ("axis 1",)),
    Fault("softmax_jacobian", "range(p.shape[0])", "range(p.shape[0] - 1)", ("zero", "place", "one_sample"), "x",
          ("1 of axis 0|y at 1 of|y at 0 of",)),
    Fault("softmax_jacobian", "dx[b, t] = J @ dy[b, t]", "dx[b, t] = J @ dy[b, t]\n            return dx",
          ("zero", "place", "one_sample"), "x", ("1 of axis 0|y at 1 of|y at 0 of",)),
    Fault("softmax_jacobian", "dx[b, t] = J @ dy[b, t]", "dx[b, t] = J @ dy[b, t, ::-1]", ("moved", "reversed"), "x",
          ("axis 2",), may=("reversed",)),

    Fault("log_softmax", "dx = dy - np.exp(y) * total", "dx = dy - y * total", ("place", "missing_sum", "factor_along"), "x",
          ("factor|another place|other places",)),
    Fault("log_softmax", "dx = dy - np.exp(y) * total", "dx = dy * (1 - np.exp(y))", "elementwise", "x",
          ("treated as elementwise",)),
    Fault("log_softmax", "dx = dy - np.exp(y) * total", "dx = dy - np.exp(y)", "not_linear", None,
          ("not linear in dy|not multiplied by dy",)),
    Fault("log_softmax", "dx = dy - np.exp(y) * total", "dx = total - np.exp(y) * total", ("place", "extra", "missing_sum"),
          "x", ("another place|same place",)),
    Fault("log_softmax", "total = dy.sum(axis=1, keepdims=True)", "total = dy.mean(axis=1, keepdims=True)",
          ("place", "factor", "missing_sum"), "x", ("1/5|0.2|another place|other places",)),
    Fault("log_softmax", "total = dy.sum(axis=1, keepdims=True)", "total = dy.sum()",
          ("mixing", "extra", "place", "missing_sum"), "x",
          ("too much|mix",)),
    Fault("log_softmax", "dx = dy - np.exp(y) * total", "dx = np.exp(y) * total - dy", "factor", "x", ("the sign is flipped",)),
    Fault("log_softmax", "dx = dy - np.exp(y) * total", "dx = (dy - np.exp(y) * total) / len(dy)", "factor", "x",
          ("batch size",)),

    Fault("length", " / y[:, None]", "", "factor_along", "x", ("along axis 0",)),
    Fault("length", "dx = dy[:, None] * x / y[:, None]", "dx = 2 * dy[:, None] * x / y[:, None]", "factor", "x", ("twice",)),
    Fault("length", " / y[:, None]", " / y[:, None] ** 2", "factor_along", "x", ("along axis 0",)),
    Fault("length", "dx = dy[:, None] * x / y[:, None]", "dx = dy[:, None] * np.sign(x)", ("slope", "factor_along"), "x"),
    Fault("length", "np.sqrt((x ** 2).sum(axis=1))", "np.sqrt((x ** 2).mean(axis=1))", "factor", "x"),

    Fault("variance", "2 * centred", "2 * x", ("missing_sum", "slope", "factor_along"), "x", ("factor|sum|mean",)),
    Fault("variance", " / x.shape[1]", " / (x.shape[1] - 1)", "factor", "x", ("1.25",)),
    Fault("variance", " / x.shape[1]", " / x.shape[0]", "factor", "x"),
    Fault("variance", "2 * centred", "centred", "factor", "x", ("half",)),
    Fault("variance", "2 * centred", "2 * np.abs(centred)", ("factor", "value", "slope"), "x", ("sign|-1 times",)),

    Fault("log_sum_exp", "np.exp(x - y[:, None])", "(x == x.max(axis=1, keepdims=True))", ("zero", "slope", "place"), "x",
          ("zero|0 times|backward has 0",)),
    Fault("log_sum_exp", "np.exp(x - y[:, None])", "np.exp(x)", "factor_along", "x", ("along axis 0",)),
    Fault("log_sum_exp", "dy[:, None] * np.exp(x - y[:, None])", "np.exp(x - y[:, None])", "ignores_dy", None,
          ("does not use dy",)),
]
