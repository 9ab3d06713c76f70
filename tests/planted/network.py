"""Networks of two layers in one class, residual blocks, gates."""
# ruff: noqa: RUF059     what a right layer unpacks in vain, a fault uses
import numpy as np

from nblayers.layers import Layer
from tests.planted import Expect, Fault, Right


class TwoLayers(Layer):
    """y = max(x W1 + b1, 0) W2 + b2."""

    def build(self, input_shape):
        self.W1 = self.add_weight((input_shape[-1], 4), name="W1")
        self.b1 = self.add_weight((4,), "zeros", name="b1")
        self.W2 = self.add_weight((4, 2), name="W2")
        self.b2 = self.add_weight((2,), "zeros", name="b2")

    def forward(self, x):
        a = x @ self.W1.value + self.b1.value
        h = np.maximum(a, 0)
        y = h @ self.W2.value + self.b2.value
        self.cache = x, a, h
        return y

    def backward(self, dy):
        x, a, h = self.cache
        self.W2.grad += h.T @ dy
        self.b2.grad += dy.sum(axis=0)
        dh = dy @ self.W2.value.T
        da = dh * (a > 0)
        self.W1.grad += x.T @ da
        self.b1.grad += da.sum(axis=0)
        dx = da @ self.W1.value.T
        return dx


class Square(Layer):
    """y = tanh(x W1 + b1) W2 + b2 with as many units everywhere, as in many examples."""

    def build(self, input_shape):
        D = input_shape[-1]
        self.W1 = self.add_weight((D, D), name="W1")
        self.b1 = self.add_weight((D,), "zeros", name="b1")
        self.W2 = self.add_weight((D, D), name="W2")
        self.b2 = self.add_weight((D,), "zeros", name="b2")

    def forward(self, x):
        h = np.tanh(x @ self.W1.value + self.b1.value)
        y = h @ self.W2.value + self.b2.value
        self.cache = x, h, y
        return y

    def backward(self, dy):
        x, h, y = self.cache
        dh = dy @ self.W2.value.T
        da = dh * (1 - h ** 2)
        dW1, dW2 = x.T @ da, h.T @ dy
        db1, db2 = da.sum(axis=0), dy.sum(axis=0)
        dx = da @ self.W1.value.T
        self.W1.grad += dW1
        self.W2.grad += dW2
        self.b1.grad += db1
        self.b2.grad += db2
        return dx


class Residual(Layer):
    """y = x + tanh(x W1) W2."""

    def build(self, input_shape):
        self.W1 = self.add_weight((input_shape[-1], 3), name="W1")
        self.W2 = self.add_weight((3, input_shape[-1]), name="W2")

    def forward(self, x):
        h = np.tanh(x @ self.W1.value)
        self.cache = x, h
        return x + h @ self.W2.value

    def backward(self, dy):
        x, h = self.cache
        self.W2.grad += h.T @ dy
        da = dy @ self.W2.value.T * (1 - h ** 2)
        self.W1.grad += x.T @ da
        dx = dy + da @ self.W1.value.T
        return dx


class Highway(Layer):
    """y = g f + (1 - g) x, with f = tanh(x W) and g = sigmoid(x U)."""

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], input_shape[-1]), name="W")
        self.U = self.add_weight((input_shape[-1], input_shape[-1]), name="U")

    def forward(self, x):
        f = np.tanh(x @ self.W.value)
        g = 1 / (1 + np.exp(-x @ self.U.value))
        self.x, self.f, self.g = x, f, g
        return g * f + (1 - g) * x

    def backward(self, dy):
        x, f, g = self.x, self.f, self.g
        df = dy * g * (1 - f ** 2)
        dg = dy * (f - x) * g * (1 - g)
        self.W.grad += x.T @ df
        self.U.grad += x.T @ dg
        dx = dy * (1 - g) + df @ self.W.value.T + dg @ self.U.value.T
        return dx


class TwoHeads(Layer):
    """Two outputs of one hidden layer: a = tanh(x W) A and c = tanh(x W) C."""

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], 4), name="W")
        self.A = self.add_weight((4, 2), name="A")
        self.C = self.add_weight((4, 1), name="C")

    def forward(self, x):
        h = np.tanh(x @ self.W.value)
        self.cache = x, h
        return [h @ self.A.value, h @ self.C.value]

    def backward(self, dy):
        x, h = self.cache
        da, dc = dy
        self.A.grad += h.T @ da
        self.C.grad += h.T @ dc
        dh = da @ self.A.value.T + dc @ self.C.value.T
        dz = dh * (1 - h ** 2)
        self.W.grad += x.T @ dz
        return dz @ self.W.value.T


RIGHT = {
    "two_layers": Right(TwoLayers, lambda rng: (rng.normal(size=(3, 5)),)),
    "square": Right(Square, lambda rng: (rng.normal(size=(3, 4)),)),
    "residual": Right(Residual, lambda rng: (rng.normal(size=(3, 4)),)),
    "highway": Right(Highway, lambda rng: (rng.normal(size=(3, 4)),)),
    "two_heads": Right(TwoHeads, lambda rng: (rng.normal(size=(3, 5)),)),
}

NEVER = ("later steps", "a carry", "square root")

FAULTS = [
    Fault("two_layers", "da = dh * (a > 0)", "da = dh", ("place", "slope", "value", "extra"), None, ("should be zero|slope",),
          never=("several come together",)),
    Fault("two_layers", "da = dh * (a > 0)", "da = dh * (a > 0) * a", ("slope", "factor_along"), None,
          ("slope inside|factor",)),
    Fault("two_layers", "self.W2.grad += h.T @ dy", "self.W2.grad += a.T @ dy", ("place", "value", "slope"), "W2",
          ("should be zero|below 0",), never=("several come together",)),
    Fault("two_layers", "dy.sum(axis=0)", "dy.mean(axis=0)", "factor", "b2", ("batch size",)),
    Fault("two_layers", "self.b1.grad += da.sum(axis=0)", "self.b1.grad = da.sum(axis=0)", "replaces_grad", None, ("b1",
          "(=)")),
    Fault("two_layers", "self.b1.grad += da.sum(axis=0)", "self.b1.grad += dh.sum(axis=0)", ("place", "slope", "value",
          "extra"), "b1", ("should be zero|too much|slope",), never=("several come together",)),
    Fault("two_layers", "self.W1.grad += x.T @ da", "self.W1.grad += x.T @ da + 0.02 * self.W1.value", "decay", "W1",
          ("times the weight itself",)),
    Fault("two_layers", "dx = da @ self.W1.value.T", "dx = dh @ self.W1.value.T",
          ("place", "slope", "value", "extra", "same_elsewhere"), "x",
          ("should be zero|too much|slope|factor that depends on the input",), never=("several come together",)),
    Fault("two_layers", "self.cache = x, a, h",
          "if not hasattr(self, 'h'):\n            self.h = h\n        self.cache = x, a, self.h",
          "stale", None, ("stale cache",)),
    Fault("two_layers", "self.W2.grad += h.T @ dy", "self.W2.grad += h.T @ dy\n        self.W2.value -= 0.1 * self.W2.grad",
          "changes_weight"),
    Fault("two_layers", "dh = dy @ self.W2.value.T", "dh = dy @ self.W2.value.T / len(x)", "factor", "W1", ("batch size",),
          second=Expect("factor", "x", ("batch size",))),
    Fault("two_layers", "self.W1.grad += x.T @ da", "self.W1.grad += x.T @ da / len(x)", "factor", "W1", ("batch size",),
          more=(("dx = da @ self.W1.value.T", "dx = -da @ self.W1.value.T"),),
          second=Expect("factor", "x", ("the sign is flipped",))),
    Fault("two_layers", "dh = dy @ self.W2.value.T", "dh = np.clip(dy @ self.W2.value.T, -0.5, 0.5)", ("clipped", "not_linear"),
          None, (), may=("clipped",)),
    Fault("two_layers", "y = h @ self.W2.value + self.b2.value",
          "y = h @ self.W2.value + self.b2.value\n        y = np.tanh(y)", ("slope", "factor_along"), None, ("factor",)),
    Fault("two_layers", "da = dh * (a > 0)", "h[h > 0] = 1\n        da = dh * h", "single_use", None, ("a second backward",)),
    Fault("two_layers", "self.W2.grad += h.T @ dy", "self.W2.grad += h.T @ np.ones_like(dy)", ("ignores_dy", "place"), None,
          ("dy",), may=("ignores_dy",)),

    Fault("square", "dh = dy @ self.W2.value.T", "dh = dy @ self.W2.value", "weight_transposed", "x", ("w2 transposed",)),
    Fault("square", "dx = da @ self.W1.value.T", "dx = da @ self.W1.value", "weight_transposed", "x", ("w1 transposed",)),
    Fault("square", "dx = da @ self.W1.value.T", "dx = da @ self.W2.value.T", ("place", "swapped", "weight_transposed"), "x",
          ("w2 for w1|right are|though",)),
    Fault("square", "dW1, dW2 = x.T @ da, h.T @ dy", "dW2, dW1 = x.T @ da, h.T @ dy", "swapped", "W1",
          ("the gradient of", "w2")),
    Fault("square", "db1, db2 = da.sum(axis=0), dy.sum(axis=0)", "db2, db1 = da.sum(axis=0), dy.sum(axis=0)", "swapped", "b1",
          ("the gradient of", "b2")),
    Fault("square", "self.b1.grad += db1", "self.b1.grad += db2", "swapped", "b1", ("the gradient of", "b2")),
    Fault("square", "da = dh * (1 - h ** 2)", "da = dy * (1 - h ** 2)", ("place", "way_through", "missing_sum"), "W1",
          ("w2",)),
    Fault("square", "da = dh * (1 - h ** 2)", "da = dh * (1 - np.tanh(h) ** 2)", ("slope", "factor_along"), None, ("slope",)),
    Fault("square", "da = dh * (1 - h ** 2)", "da = dh * h * (1 - h)", ("slope", "factor_along"), None, ("slope",)),
    Fault("square", "self.W1.grad += dW1",
          "norm = np.sqrt(sum((d ** 2).sum() for d in (dW1, dW2, db1, db2)))\n        if norm > 1:\n"
          "            dW1, dW2, db1, db2 = dW1 / norm, dW2 / norm, db1 / norm, db2 / norm\n        self.W1.grad += dW1",
          "clipped", None, ("clipped", "norm")),
    Fault("square", "self.W1.grad += dW1", "for d in (dW1, dW2, db1, db2):\n            np.clip(d, -0.3, 0.3, out=d)\n"
          "        self.W1.grad += dW1", "clipped", None, ("clipped", "0.3")),
    Fault("square", "dW1, dW2 = x.T @ da, h.T @ dy", "dW1, dW2 = x.T @ da, x.T @ dy", ("place", "factor_along"), "W2",
          ("x / h|though",)),
    Fault("square", "dW1, dW2 = x.T @ da, h.T @ dy", "dW1, dW2 = x.T @ da, h.T @ (dy - y)", "not_linear"),
    Fault("square", "self.cache = x, h, y", "self.cache = x, h.astype(np.float32), y", "float32", None, ("float32",)),

    Fault("residual", "dx = dy + da @ self.W1.value.T", "dx = da @ self.W1.value.T", "way_around", "x", ("a way around",)),
    Fault("residual", "dx = dy + da @ self.W1.value.T", "dx = dy", ("elementwise", "missing_sum", "place"), "x",
          ("w1|w2|elementwise",)),
    Fault("residual", "dx = dy + da @ self.W1.value.T", "dx = 2 * dy + da @ self.W1.value.T", ("place", "way_around"), "x",
          ("same place|a way around",)),
    Fault("residual", "dx = dy + da @ self.W1.value.T", "dx = x + da @ self.W1.value.T", "not_linear"),
    Fault("residual", "dx = dy + da @ self.W1.value.T", "dx = dy\n        dx += da @ self.W1.value.T", "changes_dy", None,
          ("in place",)),
    Fault("residual", "return x + h @ self.W2.value", "return 0.5 * x + h @ self.W2.value", ("place", "way_around"), "x",
          ("same place|a way around",)),
    Fault("residual", "return x + h @ self.W2.value", "return h @ self.W2.value", ("place", "extra", "way_around"), "x",
          ("same place|a way around",)),
    Fault("residual", "return x + h @ self.W2.value", "x += h @ self.W2.value\n        return x", "changes_input", None,
          ("in place",)),

    Fault("highway", "dx = dy * (1 - g) + df", "dx = dy + df", ("place", "way_around"), "x", ("same place|a way around",)),
    Fault("highway", "dx = dy * (1 - g) + df", "dx = df", ("way_around", "place"), "x", ("same place|a way around",)),
    Fault("highway", "(f - x)", "f", ("slope", "factor_along"), "U", ("factor",)),
    Fault("highway", "(f - x)", "(x - f)", "factor", "U", ("the sign is flipped",)),
    Fault("highway", " + dg @ self.U.value.T", "", ("way_through", "missing_sum"), "x", ("through u",)),
    Fault("highway", "g * (1 - g)\n        self", "(1 - g)\n        self", ("slope", "factor_along"), "U", ("factor",)),
    Fault("highway", "dg @ self.U.value.T", "dg @ self.U.value", "weight_transposed", "x", ("u transposed",)),
    Fault("highway", "self.W.grad += x.T @ df\n        self.U.grad += x.T @ dg",
          "self.U.grad += x.T @ df\n        self.W.grad += x.T @ dg", "swapped", "W", ("the gradient of", "u")),

    Fault("two_heads", "dh = da @ self.A.value.T + dc @ self.C.value.T", "dh = da @ self.A.value.T", ("one_output", "place"),
          "x", ("output 1",)),
    Fault("two_heads", "dh = da @ self.A.value.T + dc @ self.C.value.T", "dh = da @ self.A.value.T - dc @ self.C.value.T",
          ("one_output", "place"), "W", ("output 1",)),
    Fault("two_heads", "dh = da @ self.A.value.T + dc", "dh = 2 * da @ self.A.value.T + dc", ("one_output", "place"), "x",
          ("output 0",)),
    Fault("two_heads", "self.C.grad += h.T @ dc", "self.C.grad += h.T @ dc / 2", "factor", "C", ("half",)),
    Fault("two_heads", "dz = dh * (1 - h ** 2)", "dh[0] = 0\n        dz = dh * (1 - h ** 2)", ("zero", "place"), "x",
          ("0 of axis 0",)),
]
