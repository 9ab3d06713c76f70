"""Tables that are looked up by integers."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Fault, Right


class Embedding(Layer):
    """y_bt = W[ids_bt]."""

    integer_inputs = True

    def build(self, ids_shape):
        self.W = self.add_weight((7, 3), name="W")

    def forward(self, ids):
        self.cache = ids
        return self.W.value[ids]

    def backward(self, dy):
        ids = self.cache
        np.add.at(self.W.grad, ids, dy)
        return None


class MeanOfWords(Layer):
    """y_b = mean_t W[ids_bt]."""

    integer_inputs = True

    def build(self, ids_shape):
        self.W = self.add_weight((7, 3), name="W")

    def forward(self, ids):
        self.cache = ids
        return self.W.value[ids].mean(axis=1)

    def backward(self, dy):
        ids = self.cache
        for b in range(ids.shape[0]):
            for t in range(ids.shape[1]):
                self.W.grad[ids[b, t]] += dy[b] / ids.shape[1]
        return None


class MaskedMean(Layer):
    """The same over the words that are not 0, which is padding."""

    integer_inputs = True

    def build(self, ids_shape):
        self.W = self.add_weight((7, 3), name="W")

    def forward(self, ids):
        m = (ids != 0).astype(self.W.value.dtype)
        n = m.sum(axis=1, keepdims=True)
        self.cache = ids, m, n
        return (self.W.value[ids] * m[:, :, None]).sum(axis=1) / n

    def backward(self, dy):
        ids, m, n = self.cache
        d = m[:, :, None] * (dy / n)[:, None]
        np.add.at(self.W.grad, ids, d)
        return None


class TokensAndPlaces(Layer):
    """y_bt = s W[ids_bt] + P_t, with s = sqrt(3), as in a transformer."""

    integer_inputs = True

    def build(self, ids_shape):
        self.W = self.add_weight((6, 3), name="W")
        self.P = self.add_weight((ids_shape[1], 3), name="P")

    def forward(self, ids):
        self.cache = ids
        return np.sqrt(3) * self.W.value[ids] + self.P.value

    def backward(self, dy):
        ids = self.cache
        np.add.at(self.W.grad, ids, np.sqrt(3) * dy)
        self.P.grad += dy.sum(axis=0)
        return None


class TiedScores(Layer):
    """y_b = tanh(W[ids_b]) W^T: the table is used at both ends."""

    integer_inputs = True

    def build(self, ids_shape):
        self.W = self.add_weight((6, 3), name="W")

    def forward(self, ids):
        h = np.tanh(self.W.value[ids])
        self.cache = ids, h
        return h @ self.W.value.T

    def backward(self, dy):
        ids, h = self.cache
        self.W.grad += dy.T @ h
        dh = dy @ self.W.value
        np.add.at(self.W.grad, ids, dh * (1 - h ** 2))
        return None


IDS = np.array([[1, 4, 1, 2], [2, 6, 5, 1], [3, 4, 2, 6]])
OTHER = np.array([[2, 2, 3, 6], [5, 1, 4, 4], [6, 1, 1, 3]])
PADDED = np.array([[1, 4, 0, 0], [2, 6, 5, 0], [3, 1, 0, 2]])
FEW = np.array([2, 5, 2, 0])

RIGHT = {
    "embedding": Right(Embedding, lambda rng: (IDS,), other=lambda rng: (OTHER,)),
    "mean_of_words": Right(MeanOfWords, lambda rng: (IDS,), other=lambda rng: (OTHER,)),
    "masked_mean": Right(MaskedMean, lambda rng: (PADDED,), other=lambda rng: (np.roll(PADDED, 1, axis=0),)),
    "tokens_and_places": Right(TokensAndPlaces, lambda rng: (IDS[:2] - 1,), other=lambda rng: (OTHER[:2] - 1,)),
    "tied_scores": Right(TiedScores, lambda rng: (FEW,), other=lambda rng: (FEW[::-1] // 2,)),
}

NEVER = ("later steps", "a carry")

FAULTS = [
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)", "self.W.grad[ids] += dy", "repeated_ids", "W", ("more than once",)),
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)", "self.W.grad[ids] = dy", ("repeated_ids", "replaces_grad"), None,
          may=("repeated_ids", "replaces_grad")),
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)", "self.W.grad[...] = 0\n        np.add.at(self.W.grad, ids, dy)",
          "replaces_grad", None, ("(=)",)),
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)", "np.add.at(self.W.grad, ids - 1, dy)", "rolled", "W",
          ("moved by 1|moved by -1", "along axis 0")),
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)", "np.add.at(self.W.grad, ids, dy / len(ids))", "factor", "W",
          ("batch size",)),
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)", "np.add.at(self.W.grad, ids[0], dy[0])", "one_sample", "W",
          ("first",)),
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)", "np.add.at(self.W.grad, ids[:, -1], dy[:, -1])",
          ("one_step", "place"), "W", ("last",)),
    Fault("embedding", "self.cache = ids", "if not hasattr(self, 'ids'):\n            self.ids = ids.copy()\n"
          "        self.cache = self.ids", "stale", None, ("stale cache",)),
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)", "np.add.at(self.W.grad, ids, 1.0)", "ignores_dy", None,
          ("does not use dy",)),
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)", "np.add.at(self.W.grad, ids, self.W.value[ids] * dy)",
          ("factor_along", "slope"), "W", ("itself|value",)),
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)", "np.add.at(self.W.value, ids, -0.1 * dy)", ("missing",
          "changes_weight"), None, (), may=("changes_weight",)),
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)", "np.add.at(self.W.grad, ids, dy[:, :, ::-1])", "reversed", "W",
          ("reverse order along axis 1",)),
    Fault("embedding", "np.add.at(self.W.grad, ids, dy)",
          "counts = np.bincount(ids.ravel(), minlength=7)\n        np.add.at(self.W.grad, ids, dy / counts[ids][:, :, None])",
          ("repeated_ids", "factor_along"), "W"),

    Fault("mean_of_words", "dy[b] / ids.shape[1]", "dy[b]", "factor", "W", ("4 times",)),
    Fault("mean_of_words", "dy[b] / ids.shape[1]", "dy[b] / ids.shape[0]", "factor", "W"),
    Fault("mean_of_words", "range(ids.shape[1])", "range(ids.shape[1] - 1)", ("place", "zero"), "W",
          ("3 of axis 1|at 3 of|last",)),
    Fault("mean_of_words", "self.W.grad[ids[b, t]] +=", "self.W.grad[ids[b, t]] =", ("repeated_ids", "overwritten",
          "replaces_grad"), "W", (), may=("repeated_ids", "replaces_grad")),
    Fault("mean_of_words", "for b in range(ids.shape[0]):\n            for t in range(ids.shape[1]):\n                "
          "self.W.grad[ids[b, t]] +=", "for t in range(ids.shape[1]):\n            for b in range(0, ids.shape[0], 2):\n"
          "                self.W.grad[ids[b, t]] +=", ("place", "zero"), "W", ("y at 1 of",)),

    Fault("masked_mean", "m[:, :, None] * (dy / n)[:, None]", "np.ones_like(m)[:, :, None] * (dy / n)[:, None]", ("mask",
          "extra"), "W"),
    Fault("masked_mean", "(dy / n)[:, None]", "(dy / m.shape[1])[:, None]", ("factor_along", "mask"), "W", ("axis 0|mask",)),
    Fault("masked_mean", "np.add.at(self.W.grad, ids, d)", "self.W.grad[ids] += d", "repeated_ids", "W", ("more than once",)),
    Fault("masked_mean", "(dy / n)[:, None]", "dy[:, None]", ("factor_along", "mask"), "W", ("axis 0|mask",)),

    Fault("tokens_and_places", "np.add.at(self.W.grad, ids, np.sqrt(3) * dy)", "np.add.at(self.W.grad, ids, dy)", "factor", "W",
          ("0.577",)),
    Fault("tokens_and_places", "dy.sum(axis=0)", "dy.mean(axis=0)", "factor", "P", ("batch size",)),
    Fault("tokens_and_places", "dy.sum(axis=0)", "dy[0]", "one_sample", "P", ("first", "sample alone")),
    Fault("tokens_and_places", "dy.sum(axis=0)", "dy.sum(axis=(0, 1))", ("place", "mixing", "extra"), "P",
          ("too much|mix|same number|should be zero",)),
    Fault("tokens_and_places", "dy.sum(axis=0)", "dy.sum(axis=0)[::-1]", "reversed", "P", ("reverse order along axis 0",)),
    Fault("tokens_and_places", "self.P.grad += dy.sum(axis=0)", "pass", "missing", "P", ("all zeros",)),

    Fault("tied_scores", "self.W.grad += dy.T @ h", "pass", ("overwritten", "place", "missing_sum"), "W",
          ("missing|one contribution|same place",)),
    Fault("tied_scores", "np.add.at(self.W.grad, ids, dh * (1 - h ** 2))", "pass", ("overwritten", "place", "missing_sum"),
          "W", ("0, 2, 5 of axis 0|rows of ids",)),
    Fault("tied_scores", "np.add.at(self.W.grad, ids, dh * (1 - h ** 2))", "self.W.grad[ids] += dh * (1 - h ** 2)",
          ("repeated_ids", "place"), "W", ("more than once",)),
    Fault("tied_scores", "(1 - h ** 2)", "(1 - np.tanh(h) ** 2)", "place", "W", ("axis 0",)),
    Fault("tied_scores", "np.add.at(self.W.grad, ids, dh * (1 - h ** 2))", "np.add.at(self.W.grad, ids, dh)", "place", "W",
          ("axis 0",)),
]
