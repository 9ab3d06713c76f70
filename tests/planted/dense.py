"""Dense layers: y = x W + b, with an activation behind it, over several axes, with penalties."""
# ruff: noqa: RUF059     what a right layer unpacks in vain, a fault uses
import numpy as np

from nblayers.layers import Layer
from tests.planted import Expect, Fault, Right


class Dense(Layer):
    """y = x W + b of (B, D)."""

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], 4), name="W")
        self.b = self.add_weight((4,), "zeros", name="b")

    def forward(self, x):
        self.cache = x
        y = x @ self.W.value + self.b.value
        return y

    def backward(self, dy):
        x = self.cache
        dW = x.T @ dy
        db = dy.sum(axis=0)
        self.W.grad += dW
        self.b.grad += db
        dx = dy @ self.W.value.T
        return dx


class SquareDense(Layer):
    """y = x W + b with as many units as features."""

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], input_shape[-1]), name="W")
        self.b = self.add_weight((input_shape[-1],), "zeros", name="b")

    def forward(self, x):
        self.cache = x
        return x @ self.W.value + self.b.value

    def backward(self, dy):
        x = self.cache
        self.W.grad += x.T @ dy
        self.b.grad += dy.sum(axis=0)
        return dy @ self.W.value.T


class DenseTanh(Layer):
    """y = tanh(x W + b) at each step of (B, T, D)."""

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], 4), name="W")
        self.b = self.add_weight((4,), "zeros", name="b")

    def forward(self, x):
        a = x @ self.W.value + self.b.value
        y = np.tanh(a)
        self.cache = x, a, y
        return y

    def backward(self, dy):
        x, a, y = self.cache
        da = dy * (1 - y ** 2)
        self.W.grad += np.einsum("btd,bth->dh", x, da)
        self.b.grad += da.sum(axis=(0, 1))
        dx = da @ self.W.value.T
        return dx


class DenseRelu(Layer):
    """y = max(x W + b, 0) of (B, D)."""

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], 4), name="W")
        self.b = self.add_weight((4,), "zeros", name="b")

    def forward(self, x):
        self.x = x
        self.a = x @ self.W.value + self.b.value
        return np.maximum(self.a, 0)

    def backward(self, dy):
        da = dy * (self.a > 0)
        self.W.grad += self.x.T @ da
        self.b.grad += da.sum(axis=0)
        return da @ self.W.value.T


class EinsumDense(Layer):
    """y_bthk = sum_d x_btd W_dhk + b_hk: two heads of two units each."""

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], 2, 2), name="W")
        self.b = self.add_weight((2, 2), "zeros", name="b")

    def forward(self, x):
        self.cache = x
        return np.einsum("btd,dhk->bthk", x, self.W.value) + self.b.value

    def backward(self, dy):
        x = self.cache
        self.W.grad += np.einsum("btd,bthk->dhk", x, dy)
        self.b.grad += np.einsum("bthk->hk", dy)
        return np.einsum("bthk,dhk->btd", dy, self.W.value)


class Penalised(Layer):
    """y = x W, with a penalty of 0.1 (sum y^2) / B on what comes out."""

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], 4), name="W")

    def forward(self, x):
        y = x @ self.W.value
        self.add_loss(0.1 * float((y ** 2).sum()) / len(y))
        self.cache = x, y
        return y

    def backward(self, dy):
        x, y = self.cache
        da = dy + 0.2 * y / len(y)
        self.W.grad += x.T @ da
        return da @ self.W.value.T


def rows(rng):
    return (rng.normal(size=(3, 5)),)


def sequence(rng):
    return (rng.normal(size=(2, 3, 5)),)


RIGHT = {
    "dense": Right(Dense, rows),
    "square_dense": Right(SquareDense, rows),
    "dense_tanh": Right(DenseTanh, sequence),
    "dense_relu": Right(DenseRelu, rows),
    "einsum_dense": Right(EinsumDense, sequence),
    "penalised": Right(Penalised, rows),
}

NEVER = ("later steps", "a carry", "square root")

KEPT_ONCE = "if not hasattr(self, {0!r}):\n            self.{0} = {1}\n        "

FAULTS = [
    Fault("dense", "dW = x.T @ dy", "dW = x.T @ dy / len(x)", "factor", "W", ("batch size",)),
    Fault("dense", "db = dy.sum(axis=0)", "db = dy.mean(axis=0)", "factor", "b", ("batch size",)),
    Fault("dense", "db = dy.sum(axis=0)", "db = dy[-1]", "one_sample", "b", ("last", "sample alone")),
    Fault("dense", "dW = x.T @ dy", "dW = np.outer(x[0], dy[0])", "one_sample", "W", ("first", "sample alone")),
    Fault("dense", "self.W.grad += dW", "self.W.grad = dW", "replaces_grad", None, ("(=)", "(+=)")),
    Fault("dense", "self.W.grad += dW", "self.W.grad[...] = 0\n        self.W.grad += dW", "replaces_grad", None, ("(=)",)),
    Fault("dense", "self.b.grad += db", "self.b.value -= 0.1 * db", ("changes_weight", "missing"), None, (),
          second=Expect("missing", "b", ("all zeros",)), may=("changes_weight",)),
    Fault("dense", "self.W.grad += dW", "self.W.grad += dW\n        self.W.value -= 0.01 * dW", "changes_weight"),
    Fault("dense", "self.b.grad += db", "self.b.grad += 0 * db", "missing", "b", ("all zeros",)),
    Fault("dense", "return dx", "return None", "missing", "x", ("none",)),
    Fault("dense", "dx = dy @ self.W.value.T", "dx = self.W.value @ dy.T", "shape", "x", ("shape",), may=("transposed",)),
    Fault("dense", "dx = dy @ self.W.value.T", "dx = (dy @ self.W.value.T).sum(axis=0)", "shape", "x", ("shape",)),
    Fault("dense", "dx = dy @ self.W.value.T", "dx = np.ones_like(dy) @ self.W.value.T", "ignores_dy", None,
          ("does not use dy",)),
    Fault("dense", "dW = x.T @ dy", "dW = x.T @ dy + 0.01 * self.W.value", "decay", "W", ("times the weight itself",)),
    Fault("dense", "dW = x.T @ dy", "dW = x.T @ dy / len(x) + 0.3 * self.W.value", "decay", "W", ("times the weight itself",)),
    Fault("dense", "db = dy.sum(axis=0)", "db = dy.sum()", ("mixing", "extra", "place"), "b",
          ("too much|mix|same number|should be zero",)),
    Fault("dense", "dW = x.T @ dy", "dW = np.clip(x.T @ dy, -0.5, 0.5)", "clipped", None, ("clipped", "0.5")),
    Fault("dense", "self.W.grad += dW", "scale = min(1, 1 / np.sqrt((dW ** 2).sum() + (db ** 2).sum()))\n"
          "        dW, db = scale * dW, scale * db\n        self.W.grad += dW", "clipped", None, ("clipped", "norm")),
    Fault("dense", "dW = x.T @ dy", "dW = x.T @ dy\n        dW /= np.linalg.norm(dW)", ("clipped", "not_linear"), None,
          may=("clipped",)),
    Fault("dense", "dW = x.T @ dy", "dW = (x.T @ dy).astype(np.float32)", "float32", None, ("float32",)),
    Fault("dense", "self.cache = x", "self.cache = x.astype(np.float32)", "float32", None, ("float32",)),
    Fault("dense", "y = x @ self.W.value + self.b.value", "y = 2 * x @ self.W.value + self.b.value", "factor", "x", ("half",),
          second=Expect("factor", "W", ("half",))),
    Fault("dense", "y = x @ self.W.value + self.b.value", "y = x @ self.W.value - self.b.value", "factor", "b",
          ("the sign is flipped",)),
    Fault("dense", "y = x @ self.W.value + self.b.value", "y = x @ self.W.value", "extra", "b", ("should be zero",)),
    Fault("dense", "y = x @ self.W.value + self.b.value", "y = x @ self.W.value + self.b.value ** 2",
          ("factor_along", "slope"), "b"),
    Fault("dense", "self.cache = x", KEPT_ONCE.format("x", "x") + "self.cache = self.x", "stale", None, ("stale cache",)),
    Fault("dense", "self.cache = x", KEPT_ONCE.format("WT", "self.W.value.T.copy()") + "self.cache = x", "stale", None,
          ("stale cache",), more=(("dy @ self.W.value.T", "dy @ self.WT"),)),
    Fault("dense", "x = self.cache", "x, self.cache = self.cache, None", "single_use", None, ("a second backward",)),
    Fault("dense", "dx = dy @ self.W.value.T", "dx = self.dx = getattr(self, 'dx', 0) + dy @ self.W.value.T", "adds_up", None,
          ("adds up",)),
    Fault("dense", "self.cache = x", "x -= x.mean(axis=0)\n        self.cache = x", "changes_input", None, ("in place",)),
    Fault("dense", "dx = dy @ self.W.value.T", "dy *= 2\n        dx = dy @ self.W.value.T / 2", "changes_dy", None,
          ("in place",)),
    Fault("dense", "return y", "return y + np.random.default_rng().normal(0, 0.1, y.shape)", "random", None,
          ("random numbers",)),
    Fault("dense", "db = dy.sum(axis=0)", "db = dy.mean(axis=0)", "factor", "b", ("batch size",),
          more=(("dx = dy @", "dx = -dy @"),), second=Expect("factor", "x", ("the sign is flipped",))),
    Fault("dense", "dW = x.T @ dy", "dW = x.T @ dy\n        dW[:, -1] = 0", ("zero", "place"), "W",
          ("zero there|missing", "3 of axis 1")),
    Fault("dense", "dx = dy @ self.W.value.T", "dx = dy[:, :3] @ self.W.value[:, :3].T", ("place", "missing_sum"), "x",
          ("y at 3 of",)),
    Fault("dense", "dx = dy @ self.W.value.T", "dx = np.zeros_like(x)\n        dx[:-1] = dy[:-1] @ self.W.value.T",
          ("zero", "place"), "x", ("2 of axis 0",)),

    Fault("square_dense", "dy @ self.W.value.T", "dy @ self.W.value", "weight_transposed", "x", ("w transposed",)),
    Fault("square_dense", "x.T @ dy", "dy.T @ x", "transposed", "W", ("transposed",)),
    Fault("square_dense", "x.T @ dy", "x.T @ dy[:, ::-1]", "reversed", "W", ("reverse order along axis 1",)),
    Fault("square_dense", "dy.sum(axis=0)", "np.roll(dy.sum(axis=0), 1)", "rolled", "b", ("moved by", "along axis 0")),
    Fault("square_dense", "dy.sum(axis=0)", "(x.sum(axis=0) * 0 + dy).sum(axis=0)[::-1]", "reversed", "b", ("reverse order",)),
    Fault("square_dense", "x @ self.W.value + self.b.value", "x @ self.W.value.T + self.b.value", "weight_transposed", "x",
          ("w transposed",), second=Expect("transposed", "W", ("transposed",))),
    Fault("square_dense", "dy @ self.W.value.T", "(dy + dy @ self.W.value.T)", ("place", "extra"), "x", ("same place",)),
    Fault("square_dense", "dy @ self.W.value.T", "dy * self.W.value.diagonal()", ("elementwise", "missing_sum"), "x"),
    Fault("square_dense", "self.b.grad += dy.sum(axis=0)", "self.b.grad += x.sum(axis=0)", ("ignores_dy", "place"), None,
          ("dy",), may=("ignores_dy",)),

    Fault("dense_tanh", "(1 - y ** 2)", "(1 - y)", ("slope", "factor_along"), None, ("factor",)),
    Fault("dense_tanh", "(1 - y ** 2)", "(1 - a ** 2)", ("slope", "factor_along"), None, ("factor",)),
    Fault("dense_tanh", "(1 - y ** 2)", "y * (1 - y)", ("slope", "factor_along"), None, ("factor",)),
    Fault("dense_tanh", "dx = da @ self.W.value.T", "dx = dy @ self.W.value.T", ("slope", "factor_along"), "x", ("factor",)),
    Fault("dense_tanh", "da.sum(axis=(0, 1))", "dy.sum(axis=(0, 1))", ("slope", "factor_along", "same_elsewhere"), "b",
          ("factor",)),
    Fault("dense_tanh", "da.sum(axis=(0, 1))", "da.mean(axis=(0, 1))", "factor", "b", ("batch size",)),
    Fault("dense_tanh", "da.sum(axis=(0, 1))", "da.mean(axis=1).sum(axis=0)", "factor", "b", ("time steps",)),
    Fault("dense_tanh", "da.sum(axis=(0, 1))", "da[:, -1].sum(axis=0)", "one_step", "b", ("time step alone",)),
    Fault("dense_tanh", 'np.einsum("btd,bth->dh", x, da)', "x[:, -1].T @ da[:, -1]", "one_step", "W", ("time step alone",)),
    Fault("dense_tanh", 'np.einsum("btd,bth->dh", x, da)', "x[0].T @ da[0]", "one_sample", "W", ("first", "sample alone")),
    Fault("dense_tanh", 'np.einsum("btd,bth->dh", x, da)', "x.sum(axis=(0, 1))[:, None] * da.sum(axis=(0, 1))",
          ("place", "mixing", "extra"), "W", ("one time step|one sample|other samples|axis 0",)),
    Fault("dense_tanh", "self.cache = x, a, y", KEPT_ONCE.format("y", "y.copy()") + "self.cache = x, a, self.y", "stale", None,
          ("stale cache",)),
    Fault("dense_tanh", "da = dy * (1 - y ** 2)", "y *= -y\n        y += 1\n        da = dy * y",
          ("changes_output", "single_use"), None, ("in place|cache[2]",), may=("single_use", "changes_output")),
    Fault("dense_tanh", "np.tanh(a)", "np.tanh(a).astype(np.float32).astype(a.dtype)", "float32", None, ("float32",)),
    Fault("dense_tanh", "da = dy * (1 - y ** 2)", "da = np.clip(dy, -0.5, 0.5) * (1 - y ** 2)",
          ("clipped", "not_linear"), None, (), may=("clipped",)),
    Fault("dense_tanh", "y = np.tanh(a)", "y = np.tanh(a / 2)", ("factor", "slope", "factor_along", "place"), None),
    Fault("dense_tanh", "y = np.tanh(a)", "y = np.tanh(a)\n        a = x @ self.W.value\n        y = y * (1 + 0 * a)\n"
          "        y[:, 0] *= 0.5", ("place", "factor", "factor_along", "value"), None, ("y at 0 of",)),

    Fault("dense_relu", "da = dy * (self.a > 0)", "da = dy\n        da[self.a <= 0] = 0", "changes_dy", None, ("in place",)),
    Fault("dense_relu", "da = dy * (self.a > 0)", "da = dy", ("value", "slope", "place", "extra"), None,
          ("y is 0|should be zero",), never=("several come together",)),
    Fault("dense_relu", "da = dy * (self.a > 0)", "da = dy * (dy > 0)", "not_linear", None, ("not linear in dy",)),
    Fault("dense_relu", "da = dy * (self.a > 0)", "da = dy * (self.a > 0.3)", ("value", "slope", "place", "zero"), None,
          ("above|there missing",), never=("several come together",)),
    Fault("dense_relu", "da = dy * (self.a > 0)", "da = np.maximum(self.a, 0) * dy", ("slope", "factor_along"), None,
          ("y itself",)),
    Fault("dense_relu", "return np.maximum(self.a, 0)", KEPT_ONCE.format("positive", "self.a > 0")
          + "return np.maximum(self.a, 0)", "stale", None, ("stale cache",),
          more=(("dy * (self.a > 0)", "dy * self.positive"),)),
    Fault("dense_relu", "return da @ self.W.value.T", "return dy @ self.W.value.T", ("value", "slope", "place", "extra"), "x",
          ("y is 0|should be zero",), never=("several come together",)),

    Fault("einsum_dense", '"btd,bthk->dhk"', '"btd,btkh->dhk"', "transposed", "W", ("axes 1 and 2",)),
    Fault("einsum_dense", '"bthk,dhk->btd"', '"bthk,dkh->btd"', ("weight_transposed", "transposed"), "x", ("transposed",),
          may=("transposed",)),
    Fault("einsum_dense", '"bthk->hk"', '"bthk->kh"', "transposed", "b", ("transposed",)),
    Fault("einsum_dense", 'np.einsum("bthk->hk", dy)', "dy.mean(axis=(0, 1))", "factor", "b", ("batch size",)),
    Fault("einsum_dense", 'np.einsum("bthk,dhk->btd", dy, self.W.value)',
          'np.einsum("btk,dk->btd", dy[:, :, 0], self.W.value[:, 0])', ("place", "missing_sum", "zero", "one_step"), "x",
          ("y at 0 of|y at 1 of",)),
    Fault("einsum_dense", 'np.einsum("bthk,dhk->btd", dy, self.W.value)', 'np.einsum("bthk,dhk->btd", dy[:, ::-1], '
          "self.W.value)", ("reversed", "moved"), "x", ("reverse order along axis 1",)),
    Fault("einsum_dense", 'np.einsum("btd,bthk->dhk", x, dy)', 'np.einsum("bd,bhk->dhk", x.mean(axis=1), dy.sum(axis=1))',
          ("place", "mixing", "extra"), "W", ("one time step|one sample|other time steps|axis 1",)),

    Fault("penalised", "da = dy + 0.2 * y / len(y)", "da = dy", ("penalty", "place"), None, ("penalt",)),
    Fault("penalised", "0.2 * y / len(y)", "0.1 * y / len(y)", ("penalty", "place"), None, ("penalt",)),
    Fault("penalised", "return da @ self.W.value.T", "return dy @ self.W.value.T", ("penalty", "place"), "x", ("penalt",)),
    Fault("penalised", "0.1 * float((y ** 2).sum()) / len(y)", "0.1 * float((y ** 2).sum())", ("penalty", "place"), None,
          ("penalt",)),
]
