"""Losses: one number, or one for each sample."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Fault, Right


class MSE(Layer):
    """L = mean (a - b)^2."""

    def forward(self, a, b):
        e = a - b
        self.cache = e
        return np.mean(e ** 2)

    def backward(self, dy):
        e = self.cache
        da = dy * 2 * e / e.size
        db = -da
        return [da, db]


class CrossEntropy(Layer):
    """L = -mean_b log softmax(logits_b)[ids_b]."""

    integer_inputs = True

    def forward(self, logits, ids):
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        rows = np.arange(len(ids))
        loss = -np.log(p[rows, ids]).mean()
        self.p = p
        self.ids = ids
        return loss

    def backward(self, dy):
        p, ids = self.p, self.ids
        d = p.copy()
        d[np.arange(len(ids)), ids] -= 1
        d *= dy / len(ids)
        return [d, None]


class BinaryCrossEntropy(Layer):
    """L_b = -mean_k (t log p + (1 - t) log(1 - p)) of probabilities p; the targets t are integers."""

    integer_inputs = True

    def forward(self, p, t):
        self.cache = p, t
        return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(axis=1)

    def backward(self, dy):
        p, t = self.cache
        dp = (1 - t) / (1 - p) - t / p
        dp = dp * dy[:, None] / p.shape[1]
        return [dp, None]


class SigmoidCrossEntropy(Layer):
    """L = mean (log(1 + exp(z)) - t z) over logits z."""

    integer_inputs = True

    def forward(self, z, t):
        self.cache = z, t
        return (np.logaddexp(0, z) - t * z).mean()

    def backward(self, dy):
        z, t = self.cache
        s = 1 / (1 + np.exp(-z))
        dz = dy * (s - t) / z.size
        return [dz, None]


class Huber(Layer):
    """L = mean of e^2 / 2 where |e| < 1, of |e| - 1/2 elsewhere; e = a - b."""

    def forward(self, a, b):
        e = a - b
        self.cache = e
        return np.where(np.abs(e) < 1, 0.5 * e ** 2, np.abs(e) - 0.5).mean()

    def backward(self, dy):
        e = self.cache
        de = np.where(np.abs(e) < 1, e, np.sign(e))
        de = de * dy / e.size
        return [de, -de]


class Hinge(Layer):
    """L = sum over the wrong classes k of max(0, s_k - s_right + 1), the mean over the samples."""

    integer_inputs = True

    def forward(self, scores, ids):
        rows = np.arange(len(ids))
        margins = np.maximum(0, scores - scores[rows, ids][:, None] + 1)
        margins[rows, ids] = 0
        self.cache = margins, ids
        return margins.sum() / len(ids)

    def backward(self, dy):
        margins, ids = self.cache
        rows = np.arange(len(ids))
        d = (margins > 0) * 1.0
        d[rows, ids] -= d.sum(axis=1)
        d *= dy / len(ids)
        return [d, None]


def pair(rng):
    return 1.5 * rng.normal(size=(3, 4)), rng.normal(size=(3, 4))


def classes(rng):
    return rng.normal(size=(3, 4)), np.array([2, 0, 3])


def other_classes(rng):
    return rng.normal(size=(3, 4)), np.array([1, 3, 0])


def probabilities(rng):
    return rng.uniform(0.1, 0.9, size=(3, 5)), rng.integers(2, size=(3, 5))


def bits(rng):
    return rng.normal(size=(3, 5)), rng.integers(2, size=(3, 5))


RIGHT = {
    "mse": Right(MSE, pair),
    "cross_entropy": Right(CrossEntropy, classes, other=other_classes),
    "binary_cross_entropy": Right(BinaryCrossEntropy, probabilities),
    "sigmoid_cross_entropy": Right(SigmoidCrossEntropy, bits),
    "huber": Right(Huber, pair),
    "hinge": Right(Hinge, classes, other=other_classes),
}

NEVER = ("later steps", "a carry", "square root")

FAULTS = [
    Fault("mse", "dy * 2 * e / e.size", "dy * e / e.size", "factor", "a", ("half",)),
    Fault("mse", "dy * 2 * e / e.size", "dy * 2 * e", "factor", "a", ("3 x 4",)),
    Fault("mse", "dy * 2 * e / e.size", "dy * 2 * e / len(e)", "factor", "a", ("4 times",)),
    Fault("mse", "db = -da", "db = da", "factor", "b", ("the sign is flipped",)),
    Fault("mse", "return [da, db]", "return [db, da]", ("swapped", "factor"), "a"),
    Fault("mse", "return [da, db]", "return [da, None]", "missing", "b", ("none",)),
    Fault("mse", "dy * 2 * e / e.size", "2 * e / e.size", "ignores_dy", None, ("does not use dy",)),
    Fault("mse", "dy * 2 * e / e.size", "dy * 2 * np.abs(e) / e.size", ("value", "factor", "slope"), "a", ("sign|-1 times",)),
    Fault("mse", "np.mean(e ** 2)", "np.sqrt(np.mean(e ** 2))", "factor", "a"),
    Fault("mse", "np.mean(e ** 2)", "np.sum(e ** 2)", "factor", "a", ("3 x 4",)),
    Fault("mse", "db = -da", "db = da\n        db *= -1", ("factor", "swapped"), "a", ("sign",), may=("swapped",)),
    Fault("mse", "return [da, db]", "return da", ("missing", "shape"), None),

    Fault("cross_entropy", "d *= dy / len(ids)", "d *= dy", "factor", "logits", ("batch size",)),
    Fault("cross_entropy", "d *= dy / len(ids)", "d *= dy / d.size", "factor", "logits", ("1/4",)),
    Fault("cross_entropy", "d *= dy / len(ids)", "d /= len(ids)", "ignores_dy", None, ("does not use dy",)),
    Fault("cross_entropy", "d[np.arange(len(ids)), ids] -= 1", "d[np.arange(len(ids)), ids] = -1", "place", "logits",
          ("[0, 2]", "[1, 0]", "[2, 3]")),
    Fault("cross_entropy", "d[np.arange(len(ids)), ids] -= 1", "d[:, ids] -= 1", "place", "logits", ("0, 2-3 of axis 1",)),
    Fault("cross_entropy", "d[np.arange(len(ids)), ids] -= 1", "d[np.arange(len(ids)), ids] += 1", "place", "logits",
          ("[0, 2]", "[1, 0]", "[2, 3]")),
    Fault("cross_entropy", "d = p.copy()", "d = p", "single_use", None, ("a second backward",)),
    Fault("cross_entropy", "self.ids = ids\n", "self.ids = getattr(self, 'ids', ids.copy())\n", "stale", None,
          ("stale cache",)),
    Fault("cross_entropy", "d *= dy / len(ids)", "d *= p * (1 - p) * dy / len(ids)", ("place", "factor_along", "slope"),
          "logits",
          ("factor|backward has",)),
    Fault("cross_entropy", "return [d, None]", "return [-d, None]", "factor", "logits", ("the sign is flipped",)),
    Fault("cross_entropy", "return [d, None]", "return [d.sum(axis=0), None]", "shape", "logits", ("shape",)),
    Fault("cross_entropy", "d[np.arange(len(ids)), ids] -= 1", "d[np.arange(len(ids)), ids - 1] -= 1", ("place", "moved"),
          "logits", ("[0, 1]|1-2",)),
    Fault("cross_entropy", "e = np.exp(logits", "e = np.exp(2 * logits", "factor", "logits", ("half",),
          more=(("- logits.max", "- 2 * logits.max"),)),

    Fault("binary_cross_entropy", "(1 - t) / (1 - p) - t / p", "-t / p", ("zero", "value"), "p", ("zero", "wrong only")),
    Fault("binary_cross_entropy", "(1 - t) / (1 - p) - t / p", "p - t", ("slope", "factor_along"), "p", ("factor|slope",)),
    Fault("binary_cross_entropy", "(1 - t) / (1 - p) - t / p", "(1 - t) / (1 - p) + t / p", ("factor", "value", "slope"), "p",
          ("the sign is flipped|-1 times",)),
    Fault("binary_cross_entropy", "- t / p\n", "- t / (p + 1e-4)\n", "nearly", "p", ("right to within",)),
    Fault("binary_cross_entropy", "dy[:, None] / p.shape[1]", "dy[:, None]", "factor", "p", ("5 times",)),
    Fault("binary_cross_entropy", "dy[:, None] / p.shape[1]", "dy.sum() / p.shape[1]", ("mixing", "extra", "place"), "p",
          ("too much|mix",)),
    Fault("binary_cross_entropy", "dy[:, None] / p.shape[1]", "1 / p.shape[1]", "ignores_dy", None, ("does not use dy",)),
    Fault("binary_cross_entropy", "self.cache = p, t", "self.cache = np.clip(p, 0.2, 0.8), t", ("value", "slope"), "p"),

    Fault("sigmoid_cross_entropy", "(s - t)", "(s - t) * s * (1 - s)", ("slope", "factor_along"), "z"),
    Fault("sigmoid_cross_entropy", "(s - t)", "(t - s)", "factor", "z", ("the sign is flipped",)),
    Fault("sigmoid_cross_entropy", "(s - t)", "(z - t)", "slope", "z"),
    Fault("sigmoid_cross_entropy", "(s - t)", "((s > 0.5) * 1.0 - t)", ("slope", "zero"), "z"),
    Fault("sigmoid_cross_entropy", " / z.size", " / len(z)", "factor", "z", ("5 times",)),
    Fault("sigmoid_cross_entropy", "(s - t)", "s", ("value", "place"), "z", ("wrong only",)),

    Fault("huber", "np.where(np.abs(e) < 1, e, np.sign(e))", "np.where(np.abs(e) < 1, e, 1)",
          ("factor", "value", "slope", "place"), "a", ("sign|-1 times",), never=("several come together",)),
    Fault("huber", "np.where(np.abs(e) < 1, e, np.sign(e))", "e", ("value", "slope"), "a", never=("several come together",)),
    Fault("huber", "np.where(np.abs(e) < 1, e, np.sign(e))", "np.clip(e, -0.5, 0.5)", ("value", "slope", "clipped"), "a",
          may=("clipped",), never=("several come together",)),
    Fault("huber", "np.where(np.abs(e) < 1, e, np.sign(e))", "np.sign(e)", ("value", "slope"), "a",
          never=("several come together",)),
    Fault("huber", "[de, -de]", "[de, de]", "factor", "b", ("the sign is flipped",)),
    Fault("huber", "de * dy / e.size", "np.sign(e) * de * dy / e.size", ("factor", "value", "slope"), "a", ("sign|-1 times",),
          never=("several come together",)),
    Fault("huber", "0.5 * e ** 2", "e ** 2", "factor", "a", ("half",), more=(("np.abs(e) - 0.5", "2 * np.abs(e) - 1"),)),

    Fault("hinge", "d[rows, ids] -= d.sum(axis=1)", "pass", "zero", "scores", ("[0, 2]", "[1, 0]", "[2, 3]")),
    Fault("hinge", "d[rows, ids] -= d.sum(axis=1)", "d[rows, ids] -= 1", "place", "scores", ("[0, 2]|[1, 0]|[2, 3]",)),
    Fault("hinge", "d *= dy / len(ids)", "d *= dy", "factor", "scores", ("batch size",)),
    Fault("hinge", "d[rows, ids] -= d.sum(axis=1)", "d[:, ids] -= d.sum(axis=1)", "place", "scores",
          ("0, 2-3 of axis 1|wrong only",)),
    Fault("hinge", "d[rows, ids] -= d.sum(axis=1)", "d[rows, ids] += d.sum(axis=1)", ("factor", "place"), "scores",
          ("the sign is flipped",)),
    Fault("hinge", "(margins > 0) * 1.0", "margins.copy()", ("place", "factor_along", "slope"), "scores",
          ("factor|backward has",)),
]
