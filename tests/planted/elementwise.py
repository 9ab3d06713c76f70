"""Activations of one element each."""
# ruff: noqa: RUF059     what a right layer unpacks in vain, a fault uses
import numpy as np

from nblayers.layers import Layer
from tests.planted import Fault, Right


class Relu(Layer):
    """y = max(x, 0)."""

    def forward(self, x):
        y = np.maximum(x, 0)
        self.cache = x
        return y

    def backward(self, dy):
        x = self.cache
        dx = dy * (x > 0)
        return dx


class LeakyRelu(Layer):
    """y = x above zero and x / 10 below."""

    def forward(self, x):
        self.cache = x
        return np.where(x > 0, x, 0.1 * x)

    def backward(self, dy):
        x = self.cache
        return dy * np.where(x > 0, 1, 0.1)


class Elu(Layer):
    """y = x above zero and a (exp(x) - 1) below, with a = 1.3."""

    def forward(self, x):
        a = 1.3
        y = np.where(x > 0, x, a * (np.exp(np.minimum(x, 0)) - 1))
        self.cache = x, y
        return y.copy()

    def backward(self, dy):
        a = 1.3
        x, y = self.cache
        dx = dy * np.where(x > 0, 1, y + a)
        return dx


class Gelu(Layer):
    """y = x (1 + tanh(c (x + 0.044715 x^3))) / 2, with c = sqrt(2 / pi)."""

    def forward(self, x):
        c = np.sqrt(2 / np.pi)
        t = np.tanh(c * (x + 0.044715 * x ** 3))
        self.cache = x, t
        y = 0.5 * x * (1 + t)
        return y

    def backward(self, dy):
        x, t = self.cache
        du = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x ** 2)
        dx = dy * (0.5 * (1 + t) + 0.5 * x * (1 - t ** 2) * du)
        return dx


class Swish(Layer):
    """y = x s, s = sigmoid(beta x), with one beta for all."""

    def build(self, input_shape):
        self.beta = self.add_weight((1,), "ones", name="beta")

    def forward(self, x):
        s = 1 / (1 + np.exp(-self.beta.value * x))
        self.cache = x, s
        return x * s

    def backward(self, dy):
        x, s = self.cache
        da = dy * x * s * (1 - s)
        self.beta.grad += (da * x).sum()
        dx = dy * s + da * self.beta.value
        return dx


class Tanh(Layer):
    """y = tanh(x)."""

    def forward(self, x):
        y = np.tanh(x)
        self.cache = x, y
        return y

    def backward(self, dy):
        x, y = self.cache
        dx = dy * (1 - y ** 2)
        return dx


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x))."""

    def forward(self, x):
        y = 1 / (1 + np.exp(-x))
        self.cache = x, y
        return y

    def backward(self, dy):
        x, y = self.cache
        dx = dy * y * (1 - y)
        return dx


class Softplus(Layer):
    """y = log(1 + exp(x))."""

    def forward(self, x):
        self.x = x
        return np.logaddexp(0, x)

    def backward(self, dy):
        return dy / (1 + np.exp(-self.x))


class PRelu(Layer):
    """y = x above zero and alpha x below, with an alpha for each feature."""

    def build(self, input_shape):
        self.alpha = self.add_weight((input_shape[-1],), "zeros", name="alpha")

    def forward(self, x):
        self.cache = x
        return np.where(x > 0, x, self.alpha.value * x)

    def backward(self, dy):
        x = self.cache
        below = np.where(x > 0, 0, x)
        self.alpha.grad += (dy * below).sum(axis=0)
        dx = dy * np.where(x > 0, 1, self.alpha.value)
        return dx


def numbers(rng):
    return (1.5 * rng.normal(size=(4, 5)),)


def with_zeros(rng):
    """Some elements are zero exactly."""
    x, = numbers(rng)
    x[0, 1] = x[2, 3] = x[3, 0] = 0
    return (x,)


def with_large(rng):
    """Some elements are so large that exp overflows."""
    x, = numbers(rng)
    x[0, 1], x[2, 3] = 800, 900
    return (x,)


RIGHT = {
    "relu": Right(Relu, numbers),
    "relu_at_zero": Right(Relu, with_zeros),
    "leaky_relu": Right(LeakyRelu, numbers),
    "leaky_relu_at_zero": Right(LeakyRelu, with_zeros),
    "elu": Right(Elu, numbers),
    "elu_at_zero": Right(Elu, with_zeros),
    "elu_large": Right(Elu, with_large),
    "gelu": Right(Gelu, numbers),
    "swish": Right(Swish, numbers),
    "tanh": Right(Tanh, numbers),
    "sigmoid": Right(Sigmoid, numbers),
    "softplus": Right(Softplus, numbers),
    "softplus_large": Right(Softplus, with_large),
    "prelu": Right(PRelu, numbers),
}

NEVER = ("later steps", "a carry", "square root")

SLOPE = "slope", "value"        # a table of slopes, or the side on which they are wrong

FAULTS = [
    Fault("relu", "(x > 0)", "(x < 0)", SLOPE, "x"),
    Fault("relu", "(x > 0)", "x", "slope", "x", ("slope",)),
    Fault("relu", "(x > 0)", "np.maximum(x, 0)", SLOPE, "x"),
    Fault("relu", "dy * (x > 0)", "dy", ("slope", "value", "extra"), "x", ("below|slope",)),
    Fault("relu", "dy * (x > 0)", "np.where(x > 0, dy, -dy)", ("slope", "value", "extra"), "x", ("below|slope",)),
    Fault("relu", "dx = dy * (x > 0)", "dx = dy\n        dx[x <= 0] = 0", "changes_dy", None, ("in place",)),
    Fault("relu", "dy * (x > 0)", "(x > 0) * 1.0", "ignores_dy", None, ("does not use dy",)),
    Fault("relu", "dy * (x > 0)", "dy * (x > 0) * (dy > 0)", "not_linear", None, ("not linear in dy",)),
    Fault("relu", "(x > 0)", "(x > 1)", SLOPE, "x", ("above|slope",)),
    Fault("relu", "np.maximum(x, 0)", "np.maximum(x, 0, out=x)", "changes_input", None, ("in place",)),
    Fault("relu", "self.cache = x", "self.cache = y", "changes_output", None, ("in place",),
          more=(("dx = dy * (x > 0)", "x[x > 0] = 1\n        dx = x * dy"),), may=("single_use",)),
    Fault("relu", "self.cache = x",
          "if not hasattr(self, 'mask'):\n            self.mask = x > 0\n        self.cache = self.mask",
          "stale", None, ("stale cache",), more=(("(x > 0)", "x"),)),
    Fault("relu", "self.cache = x", "self.mask = getattr(self, 'mask', False) | (0 < x)\n        self.cache = self.mask",
          "stale", None, ("stale cache",), more=(("(x > 0)", "x"),)),
    Fault("relu", "return dx", "self.total = getattr(self, 'total', 0) + dx\n        return self.total", "adds_up", None,
          ("adds up",)),
    Fault("relu_at_zero", "(x > 0)", "((x >= 0) * 1.0 + (x == 0))", "kink", "x", ("slopes",)),
    Fault("relu_at_zero", "(x > 0)", "np.where(x == 0, -1, x > 0)", "kink", "x", ("slopes",)),
    Fault("relu_at_zero", "dy * (x > 0)", "dy * 0.5 * (1 + x / np.abs(x))", "nan", "x", ("nan",)),

    Fault("leaky_relu", "np.where(x > 0, 1, 0.1)", "np.where(x > 0, 1, 0)", ("slope", "value", "zero"), "x", ("below|slope",)),
    Fault("leaky_relu", "np.where(x > 0, 1, 0.1)", "np.where(x > 0, 1, 0.01)", SLOPE, "x"),
    Fault("leaky_relu", "np.where(x > 0, 1, 0.1)", "np.where(x > 0, 0.1, 1)", "slope", "x", ("slope",)),
    Fault("leaky_relu", "np.where(x > 0, 1, 0.1)", "np.where(x > 1, 1, 0.1)", SLOPE, "x"),
    Fault("leaky_relu", "np.where(x > 0, 1, 0.1)", "np.where(dy > 0, 1, 0.1)", "not_linear", None, ("not linear in dy",)),
    Fault("leaky_relu", "np.where(x > 0, 1, 0.1)", "np.where(x > 0, 1, 0.1 * x)", SLOPE, "x"),
    Fault("leaky_relu", "np.where(x > 0, x, 0.1 * x)", "np.where(x > 0, x, 0.2 * x)", SLOPE, "x"),
    Fault("leaky_relu", "np.where(x > 0, x, 0.1 * x)", "np.where(x > 0, x, -0.1 * x)", SLOPE, "x"),
    Fault("leaky_relu_at_zero", "np.where(x > 0, 1, 0.1)", "((x >= 0) + 0.1 * (x <= 0))", "kink", "x", ("slopes",)),
    Fault("leaky_relu_at_zero", "np.where(x > 0, 1, 0.1)", "((x > 0) + 0.1 * (x < 0))", "kink", "x", ("slopes",)),

    Fault("elu", "np.where(x > 0, 1, y + a)", "np.where(x > 0, 1, y)", SLOPE, "x"),
    Fault("elu", "np.where(x > 0, 1, y + a)", "np.where(x > 0, 1, y + 1)", SLOPE, "x"),
    Fault("elu", "np.where(x > 0, 1, y + a)", "np.where(x > 0, 1, np.exp(x))", SLOPE, "x"),
    Fault("elu", "np.where(x > 0, 1, y + a)", "np.where(x > 0, 1, a * np.exp(y))", SLOPE, "x"),
    Fault("elu", "dx = dy * np.where(x > 0, 1, y + a)", "y += a\n        dx = dy * np.where(x > 0, 1, y)",
          "single_use", None, ("a second backward",)),
    Fault("elu", "self.cache = x, y", "self.cache = x, y.astype(np.float32)", "float32", None, ("float32",)),
    Fault("elu_at_zero", "np.where(x > 0, 1, y + a)", "((x >= 0) + (x <= 0) * (y + a))", "kink", "x", ("slopes",)),
    Fault("elu_large", "np.where(x > 0, 1, y + a)", "((x > 0) + (x <= 0) * a * np.exp(x))", "nan", "x", ("nan",)),

    Fault("gelu", "np.sqrt(2 / np.pi) * (1 + 3", "0.7979 * (1 + 3", "nearly", "x", ("right to within",)),
    Fault("gelu", "du = np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x ** 2)",
          "du = 0.8 * (1 + 3 * 0.0447 * x ** 2)", ("nearly", "slope"), "x"),
    Fault("gelu", "3 * 0.044715", "0.044715", "slope", "x", ("slope",)),
    Fault("gelu", "(1 - t ** 2)", "(1 - t)", "slope", "x", ("slope",)),
    Fault("gelu", "0.5 * (1 + t) + 0.5 * x", "0.5 * x", "slope", "x", ("slope",)),
    Fault("gelu", " + 0.5 * x * (1 - t ** 2) * du", "", "slope", "x", ("slope",)),
    Fault("gelu", "y = 0.5 * x * (1 + t)", "y = x / (1 + np.exp(-1.702 * x))", ("slope", "nearly"), "x"),
    Fault("gelu", "(1 + 3 * 0.044715 * x ** 2)", "(1 + 3 * 0.044715 * x)", "slope", "x", ("slope",)),

    Fault("swish", "dx = dy * s + da", "dx = da", "slope", "x", ("slope",)),
    Fault("swish", "dx = dy * s + da * self.beta.value", "dx = dy * s + da", "slope", "x"),
    Fault("swish", "da = dy * x * s * (1 - s)", "da = dy * s * (1 - s)", "slope", "x"),
    Fault("swish", "(da * x).sum()", "(da * x).mean()", "factor", "beta", ("4 x 5",)),
    Fault("swish", "(da * x).sum()", "da.sum()", ("factor_along", "slope"), "beta", ("factor",)),
    Fault("swish", "(da * x).sum()", "(da * x)[-1].sum()", "one_sample", "beta", ("sample alone",)),
    Fault("swish", "self.cache = x, s", "if not hasattr(self, 's'):\n            self.s = s\n        self.cache = x, self.s",
          "stale", None, ("stale cache",)),

    Fault("tanh", "(1 - y ** 2)", "(1 - x ** 2)", "slope", "x", ("slope",)),
    Fault("tanh", "(1 - y ** 2)", "(1 - np.tanh(y) ** 2)", "slope", "x", ("slope",)),
    Fault("tanh", "(1 - y ** 2)", "(1 - y)", "slope", "x", ("slope",)),
    Fault("tanh", "(1 - y ** 2)", "(1 + y ** 2)", "slope", "x", ("slope",)),
    Fault("tanh", "(1 - y ** 2)", "(1 - (y * dy) ** 2)", "not_linear", None, ("not linear in dy",)),
    Fault("tanh", "dx = dy * (1 - y ** 2)", "dx = np.clip(dy * (1 - y ** 2), -0.25, 0.25)", "clipped", None,
          ("clipped", "0.25")),
    Fault("tanh", "dx = dy * (1 - y ** 2)", "dx = dy * (1 - y ** 2)\n        dx[-1] = 0", ("zero", "place"), "x",
          ("3 of axis 0",)),
    Fault("tanh", "dx = dy * (1 - y ** 2)", "dx = dy * (1 - y ** 2) + 1e-4", ("not_linear", "extra")),

    Fault("sigmoid", "dx = dy * y * (1 - y)", "dx = dy * x * (1 - x)", "slope", "x", ("slope",)),
    Fault("sigmoid", "dx = dy * y * (1 - y)", "y = 1 / (1 + np.exp(-y))\n        dx = dy * y * (1 - y)", "slope", "x",
          ("slope",)),
    Fault("sigmoid", "(1 - y)", "(y - 1)", "factor", "x", ("the sign is flipped",)),
    Fault("sigmoid", "(1 - y)", "(1 + y)", "slope", "x", ("slope",)),
    Fault("sigmoid", "(1 - y)", "(1 - y ** 2)", "slope", "x", ("slope",)),
    Fault("sigmoid", "1 / (1 + np.exp(-x))", "1 / (1 + np.exp(-2 * x))", "factor", "x", ("half",)),
    Fault("sigmoid", "1 / (1 + np.exp(-x))", "np.clip(0.2 * x + 0.5, 0, 1)", ("slope", "value"), "x", ("slope",)),
    Fault("sigmoid", "dx = dy * y * (1 - y)", "dx = (dy * y * (1 - y)).astype(np.float16).astype(x.dtype)",
          ("float32", "nearly"), may=("float32", "nearly", "not_linear")),
    Fault("sigmoid", "dx = dy * y * (1 - y)", "dx = dy * y * (1 - y)\n        dx[1:3] *= -1", ("factor", "factor_along"), "x",
          ("axis 0",)),

    Fault("softplus", "np.exp(-self.x)", "np.exp(self.x)", "slope", "x", ("slope",)),
    Fault("softplus", "dy / (1 + np.exp(-self.x))", "dy * np.exp(self.x)", "slope", "x", ("slope",)),
    Fault("softplus", "np.logaddexp(0, x)", "np.log(1 + np.exp(x) + 0.01)", ("slope", "nearly"), "x"),
    Fault("softplus", "dy / (1 + np.exp(-self.x))", "-dy / (1 + np.exp(-self.x))", "factor", "x", ("the sign is flipped",)),
    Fault("softplus", "self.x = x", "self.x = getattr(self, 'x', x)", "stale", None, ("stale cache",)),
    Fault("softplus_large", "dy / (1 + np.exp(-self.x))", "dy * np.exp(self.x) / (1 + np.exp(self.x))", "nan", "x", ("nan",)),

    Fault("prelu", "below = np.where(x > 0, 0, x)", "below = x", ("value", "extra", "place"), "alpha",
          ("too much|should be zero",)),
    Fault("prelu", "(dy * below).sum(axis=0)", "(dy * below).sum()", ("mixing", "extra", "place"), "alpha",
          ("too much|mix|same number|should be zero",)),
    Fault("prelu", "(dy * below).sum(axis=0)", "(dy * below).mean(axis=0)", "factor", "alpha", ("batch size",)),
    Fault("prelu", "(dy * below).sum(axis=0)", "dy[-1] * below[-1]", "one_sample", "alpha", ("sample alone",)),
    Fault("prelu", "np.where(x > 0, 1, self.alpha.value)", "np.where(x > 0, 1, 0)", (*SLOPE, "zero"), "x", ("below|slope",)),
    Fault("prelu", "np.where(x > 0, 1, self.alpha.value)", "np.where(x > 0, 1, self.alpha.value) * self.alpha.value",
          "factor_along", "x", ("along axis 1", "alpha")),
    Fault("prelu", "np.where(x > 0, 1, self.alpha.value)", "np.where(x > 0, 1, self.alpha.value[0])",
          ("value", "slope", "scale_outside"), "x", ("slope|alpha",), may=("scale_outside",), never=("left out",)),
    Fault("prelu", "dx = dy * np.where(x > 0, 1, self.alpha.value)",
          "dx = dy * np.where(x > 0, 1, self.alpha.value + 0 * self.alpha.grad)", ("value", "slope"), "x",
          more=(("np.where(x > 0, x, self.alpha.value * x)", "np.where(x > 0, x, -self.alpha.value * x)"),)),
]
