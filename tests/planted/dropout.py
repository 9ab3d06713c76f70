"""Dropout and noise: random numbers of a generator that the layer holds."""
# ruff: noqa: RUF059     what a right layer unpacks in vain, a fault uses
import numpy as np

from nblayers.layers import Layer
from tests.planted import Fault, Right


class Dropout(Layer):
    """Inverted dropout: y = x m / 0.6 while training, where m keeps 6 of 10 elements."""

    def __init__(self, **options):
        super().__init__(**options)
        self.generator = np.random.default_rng(3)

    def forward(self, x, training=False):
        m = np.ones(x.shape)
        if training:
            m = (self.generator.uniform(size=x.shape) < 0.6) / 0.6
        y = x * m
        self.m = m
        return y

    def backward(self, dy):
        dx = dy * self.m
        return dx


class SpatialDropout(Layer):
    """Whole channels of (B, T, C) are dropped."""

    def __init__(self, **options):
        super().__init__(**options)
        self.generator = np.random.default_rng(5)

    def forward(self, x, training=False):
        m = np.ones((x.shape[0], 1, x.shape[2]))
        if training:
            m = (self.generator.uniform(size=m.shape) < 0.5) / 0.5
        self.cache = m
        return x * m

    def backward(self, dy):
        m = self.cache
        return dy * m


class DenseDropout(Layer):
    """y = (x m / 0.7) W: dropout on what comes in."""

    def __init__(self, **options):
        super().__init__(**options)
        self.generator = np.random.default_rng(7)

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], 3), name="W")

    def forward(self, x, training=False):
        m = (self.generator.uniform(size=x.shape) < 0.7) / 0.7 if training else np.ones(x.shape)
        h = x * m
        self.cache = x, m, h
        return h @ self.W.value

    def backward(self, dy):
        x, m, h = self.cache
        self.W.grad += h.T @ dy
        dh = dy @ self.W.value.T
        return dh * m


TRAINING = {"training": True}

RIGHT = {
    "dropout": Right(Dropout, lambda rng: (rng.normal(size=(3, 7)),), TRAINING),
    "dropout_off": Right(Dropout, lambda rng: (rng.normal(size=(3, 7)),), {"training": False}),
    "spatial_dropout": Right(SpatialDropout, lambda rng: (rng.normal(size=(3, 2, 5)),), TRAINING),
    "dense_dropout": Right(DenseDropout, lambda rng: (rng.normal(size=(4, 6)),), TRAINING),
}

NEVER = ("later steps", "a carry", "square root")

FAULTS = [
    Fault("dropout", "dx = dy * self.m", "dx = dy * (self.m > 0)", ("factor", "slope"), "x", ("0.6|1.66667, backward has 1",)),
    Fault("dropout", "dx = dy * self.m", "dx = dy", ("mask", "extra", "slope"), "x"),
    Fault("dropout", "dx = dy * self.m", "dx = dy / 0.6", ("mask", "extra", "slope"), "x", ("should be zero|slope 0",)),
    Fault("dropout", "dx = dy * self.m", "dx = dy * (self.generator.uniform(size=dy.shape) < 0.6) / 0.6", ("random",
          "single_use"),
          None),
    Fault("dropout", "dx = dy * self.m", "dx = dy * np.roll(self.m, 1, axis=0)", ("mask", "rolled"), "x", ("moved by 1|mask",),
          may=("rolled",)),
    Fault("dropout", "self.generator.uniform", "np.random.default_rng().uniform", "random", None, ("random numbers",)),
    Fault("dropout", "self.m = m", "if not hasattr(self, 'm'):\n            self.m = m",
          "stale", None, ("stale cache",)),
    Fault("dropout", "dx = dy * self.m", "dx = self.m * 1.0", "ignores_dy", None, ("does not use dy",)),
    Fault("dropout", "y = x * m", "y = x * (m > 0)", ("factor", "slope"), "x", ("1.66667|1.666667",)),
    Fault("dropout", "dx = dy * self.m", "dx = dy * self.m * self.m", ("factor", "slope"), "x", ("1.666667|2.77778",)),
    Fault("dropout", "y = x * m", "x *= m\n        y = x", "changes_input", None, ("in place",)),
    Fault("dropout", "dx = dy * self.m", "dy *= self.m\n        dx = dy", "changes_dy", None, ("in place",)),
    Fault("dropout", "dx = dy * self.m", "dx = dy * (1 - self.m)", ("mask", "extra", "slope"), "x"),
    Fault("dropout_off", "dx = dy * self.m", "dx = dy * self.m / 0.6", "factor", "x", ("1.666667",)),
    Fault("dropout_off", "dx = dy * self.m", "dx = dy * (np.arange(dy.size).reshape(dy.shape) % 3 > 0)", ("zero", "slope"), "x",
          ("zero there|missing",)),

    Fault("spatial_dropout", "return dy * m", "return dy * m.mean(axis=0, keepdims=True)", ("factor_along", "slope"), "x"),
    Fault("spatial_dropout", "return dy * m", "return np.repeat((dy * m).mean(axis=1, keepdims=True), dy.shape[1], axis=1)",
          ("mixing", "extra"), "x"),
    Fault("spatial_dropout", "return dy * m", "return dy * (m > 0)", ("factor", "slope"), "x",
          ("half|slope 2, backward has 1",)),

    Fault("dense_dropout", "return dh * m", "return dh", ("mask", "place"), "x", ("factor of its own|should be zero|mask",)),
    Fault("dense_dropout", "self.W.grad += h.T @ dy", "self.W.grad += x.T @ dy", ("mask", "place"), "W",
          ("0.7|should be zero|too much|mask",)),
    Fault("dense_dropout", "return dh * m", "return dh * (m > 0)", "factor", "x", ("0.7",)),
    Fault("dense_dropout", "self.W.grad += h.T @ dy", "self.W.grad += h.T @ dy / 0.7", "factor", "W", ("1.428571",)),
    Fault("dense_dropout", "self.W.grad += h.T @ dy", "self.W.grad += h.T @ dy / len(h)", "factor", "W", ("batch size",)),
]
