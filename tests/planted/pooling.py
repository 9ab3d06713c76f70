"""Pooling: overlapping windows, means, padding that does not count, whole sequences, masked ones."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Fault, Right


class MaxPool1D(Layer):
    """y_tc = max of x_{2t}, x_{2t + 1}, x_{2t + 2}: windows of three, stride 2, which overlap."""

    def forward(self, x):
        T = (x.shape[1] - 3) // 2 + 1
        windows = np.stack([x[:, 2 * t:2 * t + 3] for t in range(T)], axis=1)
        which = windows.argmax(axis=2)
        y = windows.max(axis=2)
        self.cache = which, x.shape, x.dtype
        return y

    def backward(self, dy):
        which, shape, dtype = self.cache
        dx = np.zeros(shape, dtype)
        B, C = np.arange(shape[0])[:, None], np.arange(shape[2])
        for t in range(dy.shape[1]):
            dx[B, 2 * t + which[:, t], C] += dy[:, t]
        return dx


class MaxPool2D(Layer):
    """The largest of each patch of 2 x 2, by a comparison of each patch with its maximum."""

    def forward(self, x):
        B, H, W, C = x.shape
        patches = x.reshape(B, H // 2, 2, W // 2, 2, C)
        y = patches.max(axis=(2, 4))
        self.patches = patches
        self.y = y
        return y

    def backward(self, dy):
        patches, y = self.patches, self.y
        B, H, _, W, _, C = patches.shape
        is_max = patches == y[:, :, None, :, None]
        dx = is_max / is_max.sum(axis=(2, 4), keepdims=True)
        dx = dx * dy[:, :, None, :, None]
        return dx.reshape(B, 2 * H, 2 * W, C)


class AveragePool2D(Layer):
    """The mean of each patch of 2 x 3."""

    def forward(self, x):
        B, H, W, C = x.shape
        self.cache = x.shape
        return x.reshape(B, H // 2, 2, W // 3, 3, C).mean(axis=(2, 4))

    def backward(self, dy):
        dx = np.repeat(np.repeat(dy, 2, axis=1), 3, axis=2) / 6
        return dx


class AveragePoolSame(Layer):
    """The mean of each element and its neighbours to both sides; what lies outside does not count."""

    def forward(self, x):
        T = x.shape[1]
        count = np.array([min(t + 2, T) - max(t - 1, 0) for t in range(T)])
        self.cache = x.shape, count
        return np.stack([x[:, max(t - 1, 0):t + 2].sum(axis=1) / count[t] for t in range(T)], axis=1)

    def backward(self, dy):
        shape, count = self.cache
        dx = np.zeros(shape)
        for t in range(shape[1]):
            dx[:, max(t - 1, 0):t + 2] += dy[:, t:t + 1] / count[t]
        return dx


class GlobalAverage(Layer):
    """y_c = mean_t x_tc."""

    def forward(self, x):
        self.cache = x.shape
        return x.mean(axis=1)

    def backward(self, dy):
        B, T, C = self.cache
        dx = np.zeros((B, T, C), dy.dtype)
        dx += dy[:, None] / T
        return dx


class MaskedAverage(Layer):
    """y_c = sum_t m_t x_tc / sum_t m_t."""

    def forward(self, x, mask=None):
        m = np.ones(x.shape[:2]) if mask is None else mask.astype(x.dtype)
        n = m.sum(axis=1)
        self.cache = m, n
        y = (x * m[:, :, None]).sum(axis=1) / n[:, None]
        return y

    def backward(self, dy):
        m, n = self.cache
        dx = m[:, :, None] * dy[:, None] / n[:, None, None]
        return dx


class GlobalMax(Layer):
    """y_c = max_t x_tc."""

    def forward(self, x):
        self.x = x
        self.which = x.argmax(axis=1)
        return x.max(axis=1)

    def backward(self, dy):
        x, which = self.x, self.which
        dx = np.zeros_like(x)
        B, C = np.arange(x.shape[0])[:, None], np.arange(x.shape[2])
        dx[B, which, C] = dy
        return dx


def sequence(rng):
    return (rng.normal(size=(2, 7, 3)),)


def images(rng):
    return (rng.normal(size=(3, 4, 6, 2)),)


def ties(rng):
    """Sequences in which some channels have their maximum twice, or in neighbouring places."""
    x = rng.normal(size=(2, 5, 3))
    x[0, 1, 0] = x[0, 3, 0] = x[1, 2, 1] = x[1, 3, 1] = 3.0
    return (x,)


def image_ties(rng):
    x, = images(rng)
    x[0, 0, 0, 0] = x[0, 1, 0, 0] = x[2, 2, 4, 1] = x[2, 2, 5, 1] = 3.0
    return (x,)


MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [1, 0, 0, 1, 0]], bool)

RIGHT = {
    "max_pool": Right(MaxPool1D, sequence),
    "max_pool_ties": Right(MaxPool1D, ties),
    "max_pool_2d": Right(MaxPool2D, images),
    "max_pool_2d_ties": Right(MaxPool2D, image_ties),
    "average_pool": Right(AveragePool2D, lambda rng: (rng.normal(size=(5, 4, 9, 2)),)),
    "average_pool_same": Right(AveragePoolSame, lambda rng: (rng.normal(size=(2, 5, 3)),)),
    "global_average": Right(GlobalAverage, lambda rng: (rng.normal(size=(3, 5, 4)),)),
    "masked_average": Right(MaskedAverage, lambda rng: (rng.normal(size=(3, 5, 4)),), {"mask": MASK}),
    "global_max": Right(GlobalMax, lambda rng: (rng.normal(size=(2, 5, 3)),)),
    "global_max_ties": Right(GlobalMax, ties),
}

NEVER = ("later steps", "a carry", "square root")

FAULTS = [
    Fault("max_pool", "which[:, t], C] += dy", "which[:, t], C] = dy", "overwritten", "x", ("one contribution",),
          inputs=lambda rng: (np.sin(np.arange(42.0)).reshape(2, 7, 3) + 3 * (np.arange(7) % 2 == 0)[:, None],)),
    Fault("max_pool", "dx[B, 2 * t + which", "dx[B, t + which", ("moved", "place", "extra"), "x", ("axis 1",)),
    Fault("max_pool", "dx[B, 2 * t + which[:, t], C]", "dx[B, which[:, t], C]", ("moved", "place", "extra"), "x", ("axis 1",)),
    Fault("max_pool", "windows.argmax(axis=2)", "windows.argmin(axis=2)", ("moved", "place", "extra", "zero"), "x",
          ("other place|should be zero|missing|too much",)),
    Fault("max_pool", "windows.argmax(axis=2)", "np.abs(windows).argmax(axis=2)", ("moved", "place", "extra", "zero"), "x",
          ("other place|should be zero|missing|too much",)),
    Fault("max_pool", "range(dy.shape[1])", "range(dy.shape[1] - 1)", ("zero", "place"), "x", ("axis 1",)),
    Fault("max_pool", "+= dy[:, t]\n", "+= dy[:, t]\n            return dx\n", ("zero", "place", "one_step"), "x",
          ("y at 0 of|y at 1-2 of",)),
    Fault("max_pool", "dx[B, 2 * t + which[:, t], C] += dy[:, t]", "dx[:, 2 * t:2 * t + 3] += dy[:, t:t + 1] / 3",
          ("extra", "place"), "x", ("should be zero|too much",)),
    Fault("max_pool", "self.cache = which", "if not hasattr(self, 'which'):\n            self.which = which\n"
          "        self.cache = self.which", "stale", None, ("stale cache",)),
    Fault("max_pool", "+= dy[:, t]\n", "+= dy[:, t] * which[:, t]\n", ("factor", "factor_along", "slope", "place"), "x",
          ("times|twice",)),
    Fault("max_pool", "+= dy[:, t]\n", "+= dy[:, 0]\n", ("moved", "place"), "x", ("axis 1",)),
    Fault("max_pool", "dx = np.zeros(shape, dtype)", "dx = self.dx = getattr(self, 'dx', np.zeros(shape, dtype))", "adds_up",
          None, ("adds up",), may=("changes_output",)),
    Fault("max_pool_ties", "dx[B, 2 * t + which[:, t], C] += dy[:, t]",
          "dx[:, 2 * t:2 * t + 3] += dy[:, t:t + 1] * (np.arange(3)[:, None] >= which[:, t:t + 1]) "
          "* (np.arange(3)[:, None] <= self.last[:, t:t + 1])", "tie", "x", ("equal",),
          more=(("y = windows.max(axis=2)", "y = windows.max(axis=2)\n"
                 "        self.last = np.where(windows[:, :, ::-1].argmax(axis=2) == 2 - which, which, "
                 "np.maximum(2 - windows[:, :, ::-1].argmax(axis=2), which))"),)),

    Fault("max_pool_2d_ties", "is_max / is_max.sum(axis=(2, 4), keepdims=True)", "is_max * 1.0", "tie", "x", ("equal",)),
    Fault("max_pool_2d_ties", "is_max / is_max.sum(axis=(2, 4), keepdims=True)",
          "is_max / is_max.sum(axis=(2, 4), keepdims=True) ** 2", "tie", "x", ("equal",)),
    Fault("max_pool_2d_ties", "is_max / is_max.sum(axis=(2, 4), keepdims=True)",
          "is_max * (is_max.sum(axis=(2, 4), keepdims=True) == 1.0)", "tie", "x", ("equal",)),
    Fault("max_pool_2d", "is_max / is_max.sum(axis=(2, 4), keepdims=True)", "is_max / 4", "factor", "x", ("1/4|0.25",)),
    Fault("max_pool_2d", "patches == y[:, :, None, :, None]", "patches > y[:, :, None, :, None] - 0.5",
          ("extra", "place", "value"), "x", ("should be zero|too much",)),
    Fault("max_pool_2d", "patches == y[:, :, None, :, None]", "patches != y[:, :, None, :, None]", ("extra", "place"), "x",
          ("should be zero|too much",)),
    Fault("max_pool_2d", "dx.reshape(B, 2 * H, 2 * W, C)", "dx.transpose(0, 1, 3, 2, 4, 5).reshape(B, 2 * H, 2 * W, C)",
          "moved", "x"),
    Fault("max_pool_2d", "dx = dx * dy[:, :, None, :, None]", "dx = dx * y[:, :, None, :, None]", "ignores_dy", None,
          ("does not use dy",)),
    Fault("max_pool_2d", "self.y = y", "self.y = getattr(self, 'y', y)", "stale", None, ("stale cache",)),

    Fault("average_pool", " / 6", "", "factor", "x", ("6 times",)),
    Fault("average_pool", " / 6", " / 2", "factor", "x", ("3 times",)),
    Fault("average_pool", "np.repeat(dy, 2, axis=1), 3, axis=2)", "np.tile(dy, (1, 2, 1, 1)), 3, axis=2)", ("moved", "place"),
          "x", ("axis 1",)),
    Fault("average_pool", "np.repeat(np.repeat(dy, 2, axis=1), 3, axis=2)", "np.repeat(np.repeat(dy, 3, axis=1), 2, axis=2)",
          "shape", "x", ("shape",)),
    Fault("average_pool", "dx = np.repeat", "dx = np.zeros(self.cache)\n        dx[:, ::2, ::3] = dy\n        return dx\n"
          "        dx = np.repeat", ("place", "zero", "moved", "factor"), "x", ("axis 1|0 times",)),
    Fault("average_pool", "np.repeat(np.repeat(dy, 2, axis=1), 3, axis=2) / 6",
          "np.broadcast_to(dy.mean(axis=(1, 2), keepdims=True) / 6, self.cache)", ("mixing", "extra", "place"), "x",
          ("should be zero|too much|mix",)),
    Fault("average_pool", "np.repeat(np.repeat(dy, 2, axis=1), 3, axis=2) / 6",
          "np.repeat(np.repeat(dy, 2, axis=1), 3, axis=2)[:, :, ::-1] / 6", ("reversed", "moved"), "x",
          ("reverse order along axis 2",)),

    Fault("average_pool_same", "/ count[t]\n        return", "/ 3\n        return", ("factor", "factor_along", "place"), "x",
          ("axis 1",)),
    Fault("average_pool_same", "/ count[t]\n        return", "\n        return", "factor_along", "x", ("axis 1",)),
    Fault("average_pool_same", "dx[:, max(t - 1, 0):t + 2] += dy", "dx[:, max(t - 1, 0):t + 2] = dy", "overwritten", "x",
          ("one contribution",)),
    Fault("average_pool_same", "dx[:, max(t - 1, 0):t + 2] += dy", "dx[:, t:t + 3] += dy", ("moved", "rolled"), "x",
          ("axis 1",), may=("rolled",)),
    Fault("average_pool_same", "dx[:, max(t - 1, 0):t + 2] += dy", "dx[:, max(t - 1, 0):t + 1] += dy", "place", "x",
          ("before its own place|missing",)),
    Fault("average_pool_same", "dx[:, max(t - 1, 0):t + 2] += dy[:, t:t + 1]", "dx[:, t:t + 1] += dy[:, t:t + 1]",
          ("elementwise", "missing_sum"), "x"),

    Fault("global_average", " / T", "", "factor", "x", ("time steps",)),
    Fault("global_average", " / T", " / B", "factor", "x"),
    Fault("global_average", "dx += dy[:, None] / T", "dx[:, -1] = dy / T", ("zero", "place"), "x", ("0-3 of axis 1",)),
    Fault("global_average", "dx += dy[:, None] / T", "dx[:, 0] = dy", ("zero", "factor_along", "place"), "x", ("axis 1",)),
    Fault("global_average", "dx += dy[:, None] / T", "dx += dy[0] / T", ("place", "moved"), "x", ("axis 0",)),
    Fault("global_average", "return dx", "return dy / T", "shape", "x", ("shape",)),
    Fault("global_average", "dx = np.zeros((B, T, C), dy.dtype)", "dx = np.full((B, T, C), np.nan)", "nan", "x", ("nan",)),

    Fault("masked_average", "m[:, :, None] * dy[:, None]", "np.ones(m.shape)[:, :, None] * dy[:, None]", ("mask", "extra"),
          "x"),
    Fault("masked_average", "/ n[:, None, None]", "/ m.shape[1]", ("factor_along", "mask"), "x", ("axis 0",)),
    Fault("masked_average", "/ n[:, None, None]", "", ("factor_along", "mask"), "x", ("axis 0",)),
    Fault("masked_average", "dx = m[:, :, None] * dy[:, None] / n[:, None, None]",
          "dx = np.repeat(dy[:, None] / m.shape[1], m.shape[1], axis=1)", ("mask", "extra", "factor_along", "factor"), "x"),
    Fault("masked_average", "m[:, :, None] * dy[:, None]", "(1 - m)[:, :, None] * dy[:, None]", ("mask", "extra"), "x",
          ("mask|should be zero",)),
    Fault("masked_average", "m[:, :, None] * dy[:, None]", "m[0][None, :, None] * dy[:, None]", ("mask", "place", "extra"), "x",
          ("1-2 of axis 0",)),

    Fault("global_max", "dx[B, which, C] = dy", "dx[B, which] = dy[:, None]", "extra", "x", ("should be zero",)),
    Fault("global_max", "dx[B, which, C] = dy", "dx[0, which[0], C] = dy[0]", ("zero", "place"), "x", ("[1, |1 of axis 0",)),
    Fault("global_max", "dx[B, which, C] = dy", "dx[B, which.max(axis=1)[:, None], C] = dy", ("moved", "place", "extra"), "x",
          ("belongs|should be zero",)),
    Fault("global_max", "self.which = x.argmax(axis=1)",
          "self.which = self.which if hasattr(self, 'which') else x.argmax(axis=1)", "stale", None, ("stale cache",)),
    Fault("global_max", "dx[B, which, C] = dy", "dx[B, which, C] = dy * x[B, which, C]", ("factor_along", "slope"), "x",
          ("value|times|itself",)),
    Fault("global_max_ties", "dx[B, which, C] = dy", "dx = (x == x.max(axis=1, keepdims=True)) * dy[:, None]", "tie", "x",
          ("equal",)),
    Fault("global_max_ties", "dx[B, which, C] = dy", "only = (x == x.max(axis=1, keepdims=True)).sum(axis=1) == 1\n"
          "        dx[B, which, C] = dy * only", "tie", "x", ("equal",)),
]
