"""Several inputs: sums, products, parts side by side, maxima, inner products."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Expect, Fault, Right


class AddBroadcast(Layer):
    """y_btc = a_btc + 2 b_c: b is the same for all samples and steps."""

    def forward(self, a, b):
        self.cache = a.shape
        return a + 2 * b

    def backward(self, dy):
        da = dy.copy()
        db = 2 * dy.sum(axis=(0, 1))
        return [da, db]


class Multiply(Layer):
    """y = a b c."""

    def forward(self, a, b, c):
        self.cache = a, b, c
        return a * b * c

    def backward(self, dy):
        a, b, c = self.cache
        da = dy * b * c
        db = dy * a * c
        dc = dy * a * b
        return [da, db, dc]


class Concatenate(Layer):
    """y = [a, b, c] side by side; b and c have as many features."""

    def forward(self, a, b, c):
        self.cache = a.shape[1], b.shape[1]
        return np.concatenate([a, b, c], axis=1)

    def backward(self, dy):
        i, j = self.cache
        da = dy[:, :i]
        db = dy[:, i:i + j]
        dc = dy[:, i + j:]
        return [da, db, dc]


class Maximum(Layer):
    """y = max(a, b)."""

    def forward(self, a, b):
        self.a_is_larger = a >= b
        return np.maximum(a, b)

    def backward(self, dy):
        da = dy * self.a_is_larger
        db = dy * ~self.a_is_larger
        return [da, db]


class Dot(Layer):
    """y_bij = sum_k a_bik b_bjk."""

    def forward(self, a, b):
        self.cache = a, b
        return a @ b.transpose(0, 2, 1)

    def backward(self, dy):
        a, b = self.cache
        da = dy @ b
        db = dy.transpose(0, 2, 1) @ a
        return [da, db]


class Cosine(Layer):
    """y_b = a.b / (|a| |b|)."""

    def forward(self, a, b):
        n, m = np.sqrt((a ** 2).sum(axis=1)), np.sqrt((b ** 2).sum(axis=1))
        y = (a * b).sum(axis=1) / (n * m)
        self.cache = a, b, n, m, y
        return y

    def backward(self, dy):
        a, b, n, m, y = self.cache
        y, n, m, dy = y[:, None], n[:, None], m[:, None], dy[:, None]
        da = dy * (b / (n * m) - y * a / n ** 2)
        db = dy * (a / (n * m) - y * b / m ** 2)
        return [da, db]


class Average(Layer):
    """y = (a + b + c) / 3 of a list."""

    def forward(self, inputs):
        self.cache = len(inputs)
        return sum(inputs) / len(inputs)

    def backward(self, dy):
        n = self.cache
        return [dy / n for _ in range(n)]


class Bilinear(Layer):
    """y_b = a_b W b_b^T + a_b.u: two inputs and two weights."""

    def build(self, a_shape):
        self.W = self.add_weight((a_shape[-1], a_shape[-1]), name="W")
        self.u = self.add_weight((a_shape[-1],), "ones", name="u")

    def forward(self, a, b):
        self.cache = a, b
        return ((a @ self.W.value) * b).sum(axis=1) + a @ self.u.value

    def backward(self, dy):
        a, b = self.cache
        self.W.grad += (a * dy[:, None]).T @ b
        self.u.grad += a.T @ dy
        da = dy[:, None] * (b @ self.W.value.T + self.u.value)
        db = dy[:, None] * (a @ self.W.value)
        return [da, db]


def two(rng):
    return rng.normal(size=(3, 4)), rng.normal(size=(3, 4))


def three(rng):
    return tuple(rng.normal(size=(3, 4)) for _ in range(3))


def equal_places(rng):
    a, b = two(rng)
    b[0, 1], b[2, 2] = a[0, 1], a[2, 2]
    return a, b


RIGHT = {
    "add_broadcast": Right(AddBroadcast, lambda rng: (rng.normal(size=(2, 3, 4)), rng.normal(size=(4,)))),
    "multiply": Right(Multiply, three),
    "concatenate": Right(Concatenate, lambda rng: (rng.normal(size=(3, 2)), rng.normal(size=(3, 4)), rng.normal(size=(3, 4)))),
    "maximum": Right(Maximum, two),
    "maximum_equal": Right(Maximum, equal_places),
    "dot": Right(Dot, lambda rng: (rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 3, 3)))),
    "cosine": Right(Cosine, two),
    "average": Right(Average, lambda rng: (list(three(rng)),)),
    "bilinear": Right(Bilinear, two),
}

NEVER = ("later steps", "a carry", "square root")

FAULTS = [
    Fault("add_broadcast", "2 * dy.sum(axis=(0, 1))", "2 * dy", "shape", "b", ("shape",)),
    Fault("add_broadcast", "2 * dy.sum(axis=(0, 1))", "2 * dy.mean(axis=(0, 1))", "factor", "b", ("batch size",)),
    Fault("add_broadcast", "2 * dy.sum(axis=(0, 1))", "dy.sum(axis=(0, 1))", "factor", "b", ("half",)),
    Fault("add_broadcast", "2 * dy.sum(axis=(0, 1))", "2 * dy[:, -1].sum(axis=0)", ("one_step", "place", "missing_sum"), "b",
          ("last",)),
    Fault("add_broadcast", "2 * dy.sum(axis=(0, 1))", "2 * dy[0].sum(axis=0)", ("one_sample", "place", "missing_sum"), "b",
          ("first",)),
    Fault("add_broadcast", "da = dy.copy()", "da = dy\n        da *= 1.5", "changes_dy", None, ("in place",)),
    Fault("add_broadcast", "return [da, db]", "return [da, None]", "missing", "b", ("none",)),

    Fault("multiply", "return [da, db, dc]", "return [db, da, dc]", "swapped", "a", ("the gradient of b",)),
    Fault("multiply", "return [da, db, dc]", "return [da, db, da]", "swapped", "c", ("the gradient of a",)),
    Fault("multiply", "da = dy * b * c", "da = dy * b", "factor_along", "a", ("1 / c",)),
    Fault("multiply", "da = dy * b * c", "da = dy * b * c * a", "factor_along", "a", ("its value|which is a|itself",)),
    Fault("multiply", "db = dy * a * c", "db = dy * a * b * c / a", ("swapped", "factor_along"), "b",
          ("the gradient of a|b / a",)),
    Fault("multiply", "dc = dy * a * b", "dc = dy * (a + b)", ("slope", "factor_along"), "c"),
    Fault("multiply", "return a * b * c", "a *= b\n        return a * c", "changes_input", None, ("in place",)),
    Fault("multiply", "self.cache = a, b, c", "y = self.y = a * b * c\n        self.cache = a, b, c", "nan", "a", ("nan",),
          more=(("da = dy * b * c", "da = dy * self.y / a"),),
          inputs=lambda rng: (np.where(np.arange(12).reshape(3, 4) % 5 == 2, 0.0, 1.5), *three(rng)[:2])),
    Fault("multiply", "return [da, db, dc]", "return [da, db]", ("missing", "shape"), None),

    Fault("concatenate", "return [da, db, dc]", "return [da, dc, db]", "swapped", "b", ("the gradient of c",)),
    Fault("concatenate", "dc = dy[:, i + j:]", "dc = dy[:, i:i + j]", "swapped", "c", ("the gradient of b",)),
    Fault("concatenate", "da = dy[:, :i]", "da = dy[:, -i:]", ("rolled", "moved", "swapped"), "a", ("axis 1",),
          may=("rolled", "swapped")),
    Fault("concatenate", "db = dy[:, i:i + j]", "db = dy[:, j:i + j]", "shape", "b", ("shape",)),
    Fault("concatenate", "db = dy[:, i:i + j]", "db = dy[:, i - 1:i + j - 1]", ("rolled", "moved", "place"), "b", ("axis 1",)),
    Fault("concatenate", "db = dy[:, i:i + j]", "db = dy[:, i:i + j]\n        db *= 2", "changes_dy", None, ("in place",),
          second=Expect("factor", "b", ("twice",))),
    Fault("concatenate", "np.concatenate([a, b, c]", "np.concatenate([a, c, b]", "swapped", "b", ("the gradient of c",)),
    Fault("concatenate", "da = dy[:, :i]", "da = dy[:, :i][:, ::-1]", "reversed", "a", ("reverse order along axis 1",)),

    Fault("maximum", "da = dy * self.a_is_larger", "da = dy", ("extra", "value", "slope"), "a"),
    Fault("maximum", "db = dy * ~self.a_is_larger", "db = dy * self.a_is_larger", ("swapped", "extra", "slope"), "b"),
    Fault("maximum", "a >= b", "a >= 0", ("extra", "value", "slope", "place"), "b"),
    Fault("maximum", "self.a_is_larger = a >= b", "self.a_is_larger = getattr(self, 'a_is_larger', a >= b)", "stale", None,
          ("stale cache",)),
    Fault("maximum", "return [da, db]", "return [dy / 2, dy / 2]", ("extra", "factor", "slope", "swapped"), "a",
          ("slope|same numbers|half",)),
    Fault("maximum_equal", "self.a_is_larger = a >= b", "self.a_is_larger, self.b_is_larger = a >= b, b >= a", "tie", None,
          ("equal",), more=(("dy * ~self.a_is_larger", "dy * self.b_is_larger"),)),
    Fault("maximum_equal", "self.a_is_larger = a >= b", "self.a_is_larger, self.b_is_larger = a > b, b > a", "tie", None,
          ("equal",), more=(("dy * ~self.a_is_larger", "dy * self.b_is_larger"),)),

    Fault("dot", "da = dy @ b", "da = dy @ b.transpose(0, 2, 1)", ("weight_transposed", "moved"), "a", ("b transposed",)),
    Fault("dot", "db = dy.transpose(0, 2, 1) @ a", "db = dy @ a", "transposed", "b", ("transposed",)),
    Fault("dot", "return [da, db]", "return [db, da]", "swapped", "a", ("the gradient of b",)),
    Fault("dot", "da = dy @ b", "da = (dy @ b).transpose(0, 2, 1)", "transposed", "a", ("transposed",)),
    Fault("dot", "da = dy @ b", "da = dy[0] @ b", ("place", "moved"), "a", ("1 of axis 0",)),
    Fault("dot", "b.transpose(0, 2, 1)", "b", ("weight_transposed", "place"), "a", ("b transposed",), may=("transposed",)),

    Fault("cosine", "(b / (n * m) - y * a / n ** 2)", "b / (n * m)", ("place", "missing_sum", "slope", "factor_along"), "a",
          ("factor|sum",)),
    Fault("cosine", "y * a / n ** 2", "y * a / n", ("place", "missing_sum", "slope", "factor_along"), "a", ("factor|sum",)),
    Fault("cosine", "y * b / m ** 2", "y * a / m ** 2", ("place", "missing_sum", "slope", "factor_along"), "b",
          ("factor|sum|backward has",)),
    Fault("cosine", "return [da, db]", "return [db, da]", "swapped", "a", ("the gradient of b",)),
    Fault("cosine", "(a / (n * m) - y * b / m ** 2)", "(a / (n * m) + y * b / m ** 2)",
          ("place", "missing_sum", "slope", "factor_along"), "b", ("factor|sum",)),

    Fault("average", "dy / n for", "dy for", "factor", "inputs[0]", ("3 times",)),
    Fault("average", "dy / n for _ in range(n)", "dy / n * (i == 0) for i in range(n)", "missing", "inputs[1]", ("all zeros",)),
    Fault("average", "[dy / n for _ in range(n)]", "[-dy / n, dy / n, dy / n]", "factor", "inputs[0]",
          ("the sign is flipped",)),
    Fault("average", "dy / n for _ in range(n)", "dy / len(dy) ** (1 + i) for i in range(n)", "factor", "inputs[1]",
          ("batch size",)),

    Fault("bilinear", "b @ self.W.value.T", "b @ self.W.value", "weight_transposed", "a", ("w transposed",)),
    Fault("bilinear", "(a * dy[:, None]).T @ b", "(b * dy[:, None]).T @ a", "transposed", "W", ("transposed",)),
    Fault("bilinear", " + self.u.value)", ")", ("way_around", "missing_sum"), "a", ("a way around|goes through u",)),
    Fault("bilinear", "return [da, db]", "return [db, da]", "swapped", "a", ("the gradient of b",)),
    Fault("bilinear", "a.T @ dy", "b.T @ dy", ("place", "factor_along"), "u", ("b / a|though",)),
    Fault("bilinear", "a.T @ dy", "(a * dy[:, None]).mean(axis=0)", "factor", "u", ("batch size",)),
    Fault("bilinear", "(a * dy[:, None]).T @ b", "a.T @ b", "ignores_dy", may=("ignores_dy",)),
]
