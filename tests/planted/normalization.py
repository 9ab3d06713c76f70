"""Normalizations: batch, layer, RMS, group and unit norm, and weights that are normalized."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Expect, Fault, Right

B, T, D, H = 4, 2, 3, 5


class BatchNormSteps(Layer):
    """Batch normalization over axis 0 in single steps, as CS231n's staircase has them; training only."""

    def build(self, shape):
        self.gamma = self.add_weight((shape[-1],), "ones", name="gamma")
        self.beta = self.add_weight((shape[-1],), "zeros", name="beta")

    def forward(self, x):
        mu = x.mean(axis=0)                                     # (1)
        xmu = x - mu                                            # (2)
        var = (xmu ** 2).mean(axis=0)                           # (3)
        std = np.sqrt(var + 1e-3)                               # (4)
        ivar = 1 / std                                          # (5)
        xhat = xmu * ivar                                       # (6)
        self.cache = xmu, std, ivar, xhat
        return self.gamma.value * xhat + self.beta.value        # (7)

    def backward(self, dy):
        xmu, std, ivar, xhat = self.cache
        N = len(dy)
        self.beta.grad += dy.sum(axis=0)                        # from (7)
        self.gamma.grad += (dy * xhat).sum(axis=0)
        dxhat = dy * self.gamma.value
        divar = (dxhat * xmu).sum(axis=0)                       # from (6)
        dxmu = dxhat * ivar
        dstd = -divar / std ** 2                                # from (5)
        dvar = 0.5 * dstd / std                                 # from (4)
        dxmu = dxmu + 2 * xmu * dvar / N                        # from (3)
        dmu = -dxmu.sum(axis=0)                                 # from (2)
        return dxmu + dmu / N                                   # from (1)


class BatchNormSequence(Layer):
    """Batch normalization of (B, T, D) over its first two axes, the short formula; training only."""

    def build(self, shape):
        self.gamma = self.add_weight((shape[-1],), "ones", name="gamma")
        self.beta = self.add_weight((shape[-1],), "zeros", name="beta")

    def forward(self, x):
        mu, var = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
        s = 1 / np.sqrt(var + 1e-3)
        n = (x - mu) * s
        self.cache = n, s
        return self.gamma.value * n + self.beta.value

    def backward(self, dy):
        n, s = self.cache
        self.gamma.grad += (dy * n).sum(axis=(0, 1))
        self.beta.grad += dy.sum(axis=(0, 1))
        dn = self.gamma.value * dy
        dmean = dn.mean(axis=(0, 1))
        dn_n = (dn * n).mean(axis=(0, 1))
        return s * (dn - dmean - n * dn_n)


class BatchNormModes(Layer):
    """Batch normalization that knows training from inference and keeps moving statistics."""

    def build(self, shape):
        self.gamma = self.add_weight((shape[-1],), "ones", name="gamma")
        self.beta = self.add_weight((shape[-1],), "zeros", name="beta")
        self.mean = self.add_weight((shape[-1],), "zeros", trainable=False, name="mean")
        self.var = self.add_weight((shape[-1],), "ones", trainable=False, name="var")

    def forward(self, x, training=False):
        mu, var = self.mean.value, self.var.value
        if training:
            mu, var = x.mean(axis=0), x.var(axis=0)
            self.mean.value = 0.99 * self.mean.value + 0.01 * mu
            self.var.value = 0.99 * self.var.value + 0.01 * var
        s = 1 / np.sqrt(var + 1e-3)
        n = (x - mu) * s
        self.cache = x, n, s, training
        return self.gamma.value * n + self.beta.value

    def backward(self, dy):
        x, n, s, training = self.cache                          # noqa: RUF059
        self.gamma.grad += (dy * n).sum(axis=0)
        self.beta.grad += dy.sum(axis=0)
        dn = dy * self.gamma.value
        if training:
            dn = dn - dn.mean(axis=0) - n * (dn * n).mean(axis=0)
        return dn * s


class LayerNorm(Layer):
    """Layer normalization of (B, D)."""

    def build(self, shape):
        self.gamma = self.add_weight((shape[-1],), "ones", name="gamma")
        self.beta = self.add_weight((shape[-1],), "zeros", name="beta")

    def forward(self, x):
        mu, var = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
        s = 1 / np.sqrt(var + 1e-3)
        n = (x - mu) * s
        self.cache = n, s
        return self.gamma.value * n + self.beta.value

    def backward(self, dy):
        n, s = self.cache
        mean = lambda a: a.mean(axis=-1, keepdims=True)         # noqa: E731
        dgamma, dbeta = (dy * n).sum(axis=0), dy.sum(axis=0)
        self.gamma.grad += dgamma
        self.beta.grad += dbeta
        dn = dy * self.gamma.value
        dx = s * (dn - mean(dn) - n * mean(dn * n))
        return dx


class LayerNormSequence(Layer):
    """Layer normalization of (B, T, D) over its last axis."""

    def build(self, shape):
        self.gamma = self.add_weight((shape[-1],), "ones", name="gamma")
        self.beta = self.add_weight((shape[-1],), "zeros", name="beta")

    def forward(self, x):
        mu = x.mean(axis=2, keepdims=True)
        s = 1 / np.sqrt(((x - mu) ** 2).mean(axis=2, keepdims=True) + 1e-3)
        n = (x - mu) * s
        self.cache = n, s
        return self.gamma.value * n + self.beta.value

    def backward(self, dy):
        n, s = self.cache
        self.gamma.grad += (dy * n).sum(axis=(0, 1))
        self.beta.grad += dy.sum(axis=(0, 1))
        dx = np.empty_like(dy)
        for t in range(dy.shape[1]):
            dn = dy[:, t] * self.gamma.value
            dx[:, t] = dn - dn.mean(axis=1, keepdims=True) - n[:, t] * (dn * n[:, t]).mean(axis=1, keepdims=True)
        return dx * s


class RMSNorm(Layer):
    """y = gamma x / rms(x) of (B, D)."""

    def build(self, shape):
        self.gamma = self.add_weight((shape[-1],), "ones", name="gamma")

    def forward(self, x):
        r = 1 / np.sqrt((x ** 2).mean(axis=-1, keepdims=True) + 1e-3)
        self.cache = x, r
        return self.gamma.value * x * r

    def backward(self, dy):
        x, r = self.cache
        self.gamma.grad += (dy * x * r).sum(axis=0)
        dn = dy * self.gamma.value
        return r * dn - r ** 3 * x * (dn * x).mean(axis=-1, keepdims=True)


class GroupNorm(Layer):
    """Group normalization of (B, T, C): each group of four channels over all steps."""

    groups = 2

    def build(self, shape):
        self.gamma = self.add_weight((shape[-1],), "ones", name="gamma")
        self.beta = self.add_weight((shape[-1],), "zeros", name="beta")

    def forward(self, x):
        B, T, C = x.shape
        g = x.reshape(B, T, self.groups, C // self.groups)
        mu, var = g.mean(axis=(1, 3), keepdims=True), g.var(axis=(1, 3), keepdims=True)
        s = 1 / np.sqrt(var + 1e-3)
        n = (g - mu) * s
        self.cache = n, s
        return self.gamma.value * n.reshape(B, T, C) + self.beta.value

    def backward(self, dy):
        n, s = self.cache
        B, T, C = dy.shape
        self.gamma.grad += (dy * n.reshape(B, T, C)).sum(axis=(0, 1))
        self.beta.grad += dy.sum(axis=(0, 1))
        dn = (dy * self.gamma.value).reshape(n.shape)
        dg = np.zeros(n.shape, dy.dtype)
        for k in range(self.groups):
            d, m = dn[:, :, k], n[:, :, k]
            sums = d.sum(axis=(1, 2), keepdims=True), (d * m).sum(axis=(1, 2), keepdims=True)
            size = T * C // self.groups
            dg[:, :, k] = s[:, :, k] * (d - sums[0] / size - m * sums[1] / size)
        return dg.reshape(B, T, C)


class UnitNorm(Layer):
    """y = x / |x| of (B, D)."""

    def forward(self, x):
        norm = np.sqrt((x ** 2).sum(axis=1, keepdims=True))
        y = x / norm
        self.cache = x, y, norm
        return y

    def backward(self, dy):
        x, y, norm = self.cache                                 # noqa: RUF059
        return (dy - y * (y * dy).sum(axis=1, keepdims=True)) / norm


class WeightNorm(Layer):
    """y = x W + b where the columns of W = g V / |V| have the lengths g."""

    def build(self, shape):
        self.V = self.add_weight((shape[-1], D), name="V")
        self.g = self.add_weight((D,), "ones", name="g")
        self.b = self.add_weight((D,), "zeros", name="b")

    def forward(self, x):
        n = np.sqrt((self.V.value ** 2).sum(axis=0))
        W = self.g.value * self.V.value / n
        self.cache = x, n, W
        return x @ W + self.b.value

    def backward(self, dy):
        x, n, W = self.cache
        dW = x.T @ dy
        self.b.grad += dy.sum(axis=0)
        dg = (dW * self.V.value).sum(axis=0) / n
        self.g.grad += dg
        self.V.grad += self.g.value / n * dW - self.g.value * dg / n ** 2 * self.V.value
        return dy @ W.T


class SpectralNorm(Layer):
    """y = x W / sigma with sigma = |u W|, one step of the power iteration from a fixed u."""

    def build(self, shape):
        self.W = self.add_weight((shape[-1], D), name="W")
        self.u = self.add_weight((shape[-1],), "random_normal", trainable=False, name="u")

    def forward(self, x):
        u = self.u.value / np.sqrt((self.u.value ** 2).sum())
        z = u @ self.W.value
        sigma = np.sqrt((z ** 2).sum())
        v = z / sigma
        Wn = self.W.value / sigma
        self.cache = x, u, v, sigma, Wn
        return x @ Wn

    def backward(self, dy):
        x, u, v, sigma, Wn = self.cache
        dWn = x.T @ dy
        dsigma = -(dWn * Wn).sum()
        self.W.grad += (dWn + dsigma * np.outer(u, v)) / sigma
        return dy @ Wn.T


def rows(rng):
    return (rng.normal(size=(B, D)),)


def wide(rng):
    return (rng.normal(size=(B, H)),)


def sequence(rng):
    return (rng.normal(size=(B, T, D)),)


RIGHT = {
    "batch_norm_steps": Right(BatchNormSteps, rows),
    "batch_norm_sequence": Right(BatchNormSequence, sequence),
    "batch_norm_inference": Right(BatchNormModes, rows),
    "batch_norm_training": Right(BatchNormModes, rows, {"training": True}),
    "layer_norm": Right(LayerNorm, wide),
    "layer_norm_sequence": Right(LayerNormSequence, lambda rng: (rng.normal(size=(B, T, H)),)),
    "rms_norm": Right(RMSNorm, wide),
    "group_norm": Right(GroupNorm, lambda rng: (rng.normal(size=(3, T, 8)),)),
    "unit_norm": Right(UnitNorm, wide),
    "weight_norm": Right(WeightNorm, lambda rng: (rng.normal(size=(2, H)),)),
    "spectral_norm": Right(SpectralNorm, lambda rng: (rng.normal(size=(2, H)),)),
}

NEVER = ("later steps",)

FAULTS = [
    # the staircase
    Fault("batch_norm_steps", "return dxmu + dmu / N ", "return dxmu + dmu ", "missing_sum", "x", ("axis 0",)),
    Fault("batch_norm_steps", "2 * xmu * dvar / N", "2 * xmu * dvar", "missing_sum", "x", ("axis 0",)),
    Fault("batch_norm_steps", "2 * xmu * dvar / N", "xmu * dvar / N", "missing_sum", "x", ("axis 0",)),
    Fault("batch_norm_steps", "-divar / std ** 2", "divar / std ** 2", "missing_sum", "x", ("axis 0",)),
    Fault("batch_norm_steps", "-divar / std ** 2", "-divar / std", "missing_sum", "x", ("axis 0",)),
    Fault("batch_norm_steps", "return dxmu + dmu / N ", "return dxmu ", "missing_sum", "x", ("axis 0",)),
    Fault("batch_norm_steps", "dxmu = dxmu + 2 * xmu * dvar / N", "dxmu = 2 * xmu * dvar / N", ("overwritten", "place"), "x"),
    Fault("batch_norm_steps", "(dy * xhat).sum(axis=0)", "(dy * xmu).sum(axis=0)", "factor_along", "gamma", ("along axis 0",)),
    Fault("batch_norm_steps", "dxhat = dy * self.gamma.value", "dxhat = dy", "factor_along", "x",
          ("along axis 1", "1 / ", "gamma"), may=("scale_outside",)),
    Fault("batch_norm_steps", "self.beta.grad += dy.sum(axis=0)", "self.beta.grad += dy.mean(axis=0)", "factor", "beta",
          ("the batch size",)),
    Fault("batch_norm_steps", "self.gamma.grad += ", "self.gamma.grad = ", "replaces_grad", None, ("gamma", "(=)")),
    Fault("batch_norm_steps", "np.sqrt(var + 1e-3)", "np.sqrt(var) + 1e-3", "nearly", "x", ("right to within",)),
    Fault("batch_norm_steps", "var = (xmu ** 2).mean(axis=0)", "var = (xmu ** 2).sum(axis=0) / (len(x) - 1)", "missing_sum",
          "x", ("axis 0",)),
    Fault("batch_norm_steps", "self.cache = xmu, std, ivar, xhat",
          "self.cache = self.__dict__.setdefault('kept', (xmu, std, ivar, xhat))", "stale", "", ("stale cache",)),
    Fault("batch_norm_steps", "self.cache = xmu, std, ivar, xhat",
          "self.cache = xmu, std, self.__dict__.setdefault('ivar', ivar), xhat", "stale", "", ("stale cache",)),
    Fault("batch_norm_steps", "self.beta.grad += dy.sum(axis=0)", "self.beta.grad += dy.sum(axis=0) / N", "factor", "beta",
          ("the batch size",), more=(("return dxmu + dmu / N ", "return dxmu "),),
          second=Expect("missing_sum", "x", ("axis 0",))),

    # over two axes
    Fault("batch_norm_sequence", "dmean = dn.mean(axis=(0, 1))", "dmean = dn.mean(axis=0)", ("missing_sum", "place"), "x",
          ("axis 0|axis 1",)),
    Fault("batch_norm_sequence", "dn_n = (dn * n).mean(axis=(0, 1))", "dn_n = (dn * n).mean(axis=1, keepdims=True)",
          ("missing_sum", "place"), "x", ("axis 0|axis 1",)),
    Fault("batch_norm_sequence", "dn_n = (dn * n).mean(axis=(0, 1))", "dn_n = (dn * n).sum(axis=(0, 1))", "missing_sum", "x",
          ("axis 0",)),
    Fault("batch_norm_sequence", "return s * (dn - dmean - n * dn_n)", "return s * dn", ("elementwise", "missing_sum"), "x"),
    Fault("batch_norm_sequence", "self.beta.grad += dy.sum(axis=(0, 1))", "self.beta.grad += dy[:, -1].sum(axis=0)", "one_step",
          "beta", ("time step alone",), never=("sample alone",)),
    Fault("batch_norm_sequence", "self.beta.grad += dy.sum(axis=(0, 1))", "self.beta.grad += dy[0].sum(axis=0)", "one_sample",
          "beta", ("first sample alone",), never=("time step alone",)),
    Fault("batch_norm_sequence", "dn = self.gamma.value * dy", "dn = np.multiply(dy, self.gamma.value, out=dy)", "changes_dy",
          None, ("in place",)),
    Fault("batch_norm_sequence", "return s * (dn - dmean - n * dn_n)", "n *= dn_n\n        return s * (dn - dmean - n)",
          "single_use", None, ("a second backward",)),
    Fault("batch_norm_sequence", "return s * (dn - dmean - n * dn_n)", "return self.gamma.value * s * (dy - dmean - n * dn_n)",
          ("missing_sum", "scale_outside"), "x", ("gamma|axis 0",)),
    Fault("batch_norm_sequence", "self.gamma.grad += (dy * n).sum(axis=(0, 1))",
          "self.gamma.grad += (dy * n).sum(axis=(0, 1)) / n.shape[0] / n.shape[1]", "factor", "gamma", ("times",)),
    Fault("batch_norm_sequence", "mu, var = x.mean(axis=(0, 1)), x.var(axis=(0, 1))", "mu, var = x.mean(axis=0), x.var(axis=0)",
          ("missing_sum", "place", "extra"), "x", ("axis 0|axis 1",)),

    # training and inference
    Fault("batch_norm_inference", "if training:\n            dn = dn", "if True:\n            dn = dn", "mixing", "x",
          ("mixes",)),
    Fault("batch_norm_inference", "return dn * s", "return dn / np.sqrt(x.var(axis=0) + 1e-3)", "factor_along", "x",
          ("along axis 1",)),
    Fault("batch_norm_inference", "return dn * s", "return dn / np.sqrt(self.var.value)", "nearly", "x", ("right to within",)),
    Fault("batch_norm_inference", "dn = dy * self.gamma.value", "dn = dy * self.beta.value", "factor_along", "x",
          ("along axis 1",)),
    Fault("batch_norm_inference", "return dn * s", "return dn * s ** 2", "factor_along", "x", ("along axis 1",)),
    Fault("batch_norm_inference", "if training:\n            mu, var", "if not training:\n            mu, var",
          ("elementwise", "missing_sum"), "x"),
    Fault("batch_norm_inference", "dn = dy * self.gamma.value",
          "self.mean.value += 0.01 * x.mean(axis=0)\n        dn = dy * self.gamma.value", "changes_weight", None, ("mean",)),
    Fault("batch_norm_inference", "self.gamma.grad += (dy * n).sum(axis=0)", "self.gamma.grad += (dy * x).sum(axis=0)", "place",
          "gamma", ("right",)),
    Fault("batch_norm_training", "if training:\n            dn = dn", "if not training:\n            dn = dn",
          ("elementwise", "missing_sum"), "x"),
    Fault("batch_norm_training", "- n * (dn * n).mean(axis=0)", "- n * (dy * n).mean(axis=0)", ("missing_sum", "scale_outside"),
          "x", ("axis 0|gamma",)),
    Fault("batch_norm_training", "return dn * s", "return dn / np.sqrt(self.var.value + 1e-3)", "factor_along", "x",
          ("along axis 1",)),
    Fault("batch_norm_training", "mu, var = x.mean(axis=0), x.var(axis=0)", "mu, var = x[:2].mean(axis=0), x[:2].var(axis=0)",
          ("place", "missing_sum", "extra"), "x", ("axis 0",)),
    Fault("batch_norm_training", "self.gamma.grad += (dy * n).sum(axis=0)", "self.beta.grad += (dy * n).sum(axis=0)", "swapped",
          "gamma", ("the gradient of",), more=(("self.beta.grad += dy.sum(axis=0)", "self.gamma.grad += dy.sum(axis=0)"),)),

    # layer norm
    Fault("layer_norm", "dx = s * (dn - mean(dn) - n * mean(dn * n))",
          "dx = self.gamma.value * s * (dy - mean(dy) - n * mean(dy * n))", "scale_outside", "x", ("gamma", "equal|outside")),
    Fault("layer_norm", "mean = lambda a: a.mean(axis=-1, keepdims=True)", "mean = lambda a: a.mean(axis=0)",
          ("missing_sum", "place"), "x", ("axis 0|axis 1",)),
    Fault("layer_norm", "mean = lambda a: a.mean(axis=-1, keepdims=True)", "mean = lambda a: a.sum(axis=-1, keepdims=True)",
          "missing_sum", "x", ("axis 1",)),
    Fault("layer_norm", "- n * mean(dn * n)", "", "missing_sum", "x", ("axis 1",)),
    Fault("layer_norm", "dn - mean(dn) - n", "dn - n", "missing_sum", "x", ("axis 1",)),
    Fault("layer_norm", "dx = s * (dn - mean(dn) - n * mean(dn * n))", "dx = s * dn", ("elementwise", "missing_sum"), "x", ()),
    Fault("layer_norm", "dx = s * (dn", "dx = (dn", "factor_along", "x", ("along axis 0",)),
    Fault("layer_norm", "dx = s * (dn", "dx = s ** 2 * (dn", "factor_along", "x", ("along axis 0",)),
    Fault("layer_norm", "(dy * n).sum(axis=0), dy.sum(axis=0)", "(dn * n).sum(axis=0), dy.sum(axis=0)", "factor_along", "gamma",
          ("along axis 0", "gamma"), more=(("        dn = dy * self.gamma.value\n", ""), ("mean = lambda",
          "dn = dy * self.gamma.value\n        mean = lambda"))),
    Fault("layer_norm", "self.gamma.grad += dgamma", "self.gamma.grad += dbeta", "swapped", "gamma",
          ("the gradient of", "beta"), more=(("self.beta.grad += dbeta", "self.beta.grad += dgamma"),)),
    Fault("layer_norm", "self.gamma.grad += dgamma", "self.gamma.grad += dbeta", "swapped", "gamma",
          ("the gradient of", "beta")),
    Fault("layer_norm", "        self.gamma.grad += dgamma\n", "", "missing", "gamma", ("all zeros",)),
    Fault("layer_norm", "x.var(axis=-1, keepdims=True)", "x.var(axis=-1, keepdims=True, ddof=1)", "missing_sum", "x",
          ("axis 1",)),
    Fault("layer_norm", "np.sqrt(var + 1e-3)", "(np.sqrt(var) + 1e-3)", "nearly", "x", ("right to within",)),
    Fault("layer_norm", "self.cache = n, s", "self.cache = n.astype(np.float32), s", "float32", None, ("float32",),
          may=("nearly",)),
    Fault("layer_norm", "return dx", "return np.clip(dx, -0.3, 0.3)", "clipped", None, ("clipped", "0.3"),
          may=("not_linear", "single_use")),
    Fault("layer_norm", "return dx", "return dx.T", "shape", "x", ("shape",), may=("transposed",)),
    Fault("layer_norm", "self.gamma.grad += dgamma", "self.gamma.grad += dgamma + 0.01 * self.gamma.value", "decay", "gamma",
          ("times the weight itself",), may=("not_linear",)),
    Fault("layer_norm", "return dx", "return dx + 0.1 * n", "not_linear", None, ("not linear in dy|not multiplied by dy",)),
    Fault("layer_norm", "self.cache = n, s", "self.kept = getattr(self, 'kept', n)\n        self.cache = self.kept, s", "stale",
          "", ("stale cache",)),
    Fault("layer_norm", "dn = dy * self.gamma.value", "dn = dy * self.__dict__.setdefault('g', self.gamma.value.copy())",
          "stale", "", ("stale cache",)),

    # layer norm of sequences
    Fault("layer_norm_sequence", "self.gamma.grad += (dy * n).sum(axis=(0, 1))",
          "self.gamma.grad += (dy * n)[:, -1].sum(axis=0)", "one_step", "gamma", ("last time step alone",)),
    Fault("layer_norm_sequence", "self.gamma.grad += (dy * n).sum(axis=(0, 1))", "self.gamma.grad += (dy * n)[0].sum(axis=0)",
          "one_sample", "gamma", ("first sample alone",)),
    Fault("layer_norm_sequence", "for t in range(dy.shape[1]):", "for t in range(1, dy.shape[1]):", "zero", "x",
          ("zero there", "0 of axis 1"), more=(("np.empty_like(dy)", "np.zeros_like(dy)"),)),
    Fault("layer_norm_sequence", "return dx * s", "return dx * s[:, :1]", ("place", "factor_along"), "x", ("axis 1",)),
    Fault("layer_norm_sequence", "x - mu) ** 2).mean(axis=2, keepdims=True)", "x - mu) ** 2).mean(axis=(1, 2), keepdims=True)",
          ("missing_sum", "place"), "x", ("axis 1|axis 2",)),
    Fault("layer_norm_sequence", "n[:, t] * (dn * n[:, t])", "n[:, 0] * (dn * n[:, 0])", ("place", "missing_sum"), "x",
          ("axis 1",)),
    Fault("layer_norm_sequence", "return dx * s", "return dx[:, ::-1] * s", ("reversed", "place"), "x", ("axis 1",)),

    # RMS norm
    Fault("rms_norm", "(dn * x).mean(axis=-1, keepdims=True)", "self.gamma.value * (dy * x).mean(axis=-1, keepdims=True)",
          "scale_outside", "x", ("gamma", "equal|outside")),
    Fault("rms_norm", "- r ** 3 * x", "- r ** 2 * x", "missing_sum", "x", ("axis 1",)),
    Fault("rms_norm", "(dn * x).mean(axis=-1, keepdims=True)", "(dn * x).sum(axis=-1, keepdims=True)", "missing_sum", "x",
          ("axis 1",)),
    Fault("rms_norm", "- r ** 3 * x", "+ r ** 3 * x", "missing_sum", "x", ("axis 1",)),
    Fault("rms_norm", "r * dn - r ** 3 * x * (dn * x).mean(axis=-1, keepdims=True)", "r * dn", ("elementwise", "missing_sum"),
          "x"),
    Fault("rms_norm", "return r * dn - r", "return r * (dn - dn.mean(axis=-1, keepdims=True)) - r", "missing_sum", "x",
          ("axis 1",)),
    Fault("rms_norm", "self.cache = x, r", "self.cache = x, 1 / np.sqrt((x ** 2).mean(axis=-1, keepdims=True))", "nearly", None,
          ("right to within",)),
    Fault("rms_norm", "(dy * x * r).sum(axis=0)", "(dy * x).sum(axis=0)", ("factor_along", "place"), "gamma",
          ("axis 0|right",)),
    Fault("rms_norm", "r * dn - r ** 3", "r * dy - r ** 3", ("factor_along", "place"), "x", ("same place along axis 1|gamma",),
          may=("scale_outside",)),
    Fault("rms_norm", "(x ** 2).mean(axis=-1, keepdims=True)", "(x ** 2).mean(axis=0)", ("missing_sum", "extra", "place"), "x",
          ("axis 0|axis 1",)),

    # group norm
    Fault("group_norm", "for k in range(self.groups):", "for k in range(1, self.groups):", "zero", "x",
          ("zero there", "0-3 of axis 2")),
    Fault("group_norm", "size = T * C // self.groups", "size = C // self.groups", ("missing_sum", "factor"), "x",
          ("axis 1|another place",)),
    Fault("group_norm", "d.sum(axis=(1, 2), keepdims=True), (d", "d.sum(axis=2, keepdims=True), (d", ("missing_sum", "place"),
          "x", ("axis 1",)),
    Fault("group_norm", "dg[:, :, k] = s[:, :, k]", "dg[:, :, k] = s[:, :, 0]", ("factor_along", "place"), "x",
          ("4-7 of axis 2",)),
    Fault("group_norm", "return dg.reshape(B, T, C)", "return dg.transpose(0, 1, 3, 2).reshape(B, T, C)", "moved", "x",
          ("in other places",)),
    Fault("group_norm", "self.beta.grad += dy.sum(axis=(0, 1))", "self.beta.grad += dy.mean(axis=(0, 1))", "factor", "beta",
          ("3 x 2|2 x 3|batch size times time steps",)),
    Fault("group_norm", "dn = (dy * self.gamma.value).reshape(n.shape)", "dn = dy.reshape(n.shape)", ("factor_along", "place"),
          "x", ("gamma",), may=("scale_outside",)),
    Fault("group_norm", "d, m = dn[:, :, k], n[:, :, k]", "d, m = dn[:, :, k], n[:, :, 0]", ("place", "missing_sum"), "x",
          ("4-7 of axis 2",)),

    # unit norm
    Fault("unit_norm", "(dy - y * (y * dy).sum(axis=1, keepdims=True)) / norm", "dy / norm", ("elementwise", "missing_sum"),
          "x"),
    Fault("unit_norm", "keepdims=True)) / norm", "keepdims=True))", "factor_along", "x", ("along axis 0",)),
    Fault("unit_norm", "keepdims=True)) / norm", "keepdims=True)) / norm ** 2", "factor_along", "x", ("along axis 0",)),
    Fault("unit_norm", "y * (y * dy)", "y * (x * dy)", "missing_sum", "x", ("axis 1",)),
    Fault("unit_norm", "(dy - y * (y", "(dy + y * (y", "missing_sum", "x", ("axis 1",)),
    Fault("unit_norm", "(y * dy).sum(axis=1, keepdims=True)", "(y * dy).sum(axis=0)", ("missing_sum", "place", "extra"), "x",
          ("axis 0|axis 1",)),
    Fault("unit_norm", "(x ** 2).sum(axis=1, keepdims=True)", "(x ** 2).sum(axis=0)", ("missing_sum", "place", "extra"), "x",
          ("axis 0|axis 1",)),
    Fault("unit_norm", "self.cache = x, y, norm",
          "self.norm = getattr(self, 'norm', norm)\n        self.cache = x, y, self.norm", "stale", "", ("stale cache",)),
    Fault("unit_norm", "return (dy - y * (y * dy)",
          "np.multiply(y, (y * dy).sum(axis=1, keepdims=True), out=y)\n        return (dy - y", "changes_output", None,
          ("in place",), more=((".sum(axis=1, keepdims=True)) / norm", ") / norm"),)),
    Fault("unit_norm", "y = x / norm", "x /= norm\n        y = x", "changes_input", None, ("in place",)),

    # normalized weights
    Fault("weight_norm", " - self.g.value * dg / n ** 2 * self.V.value", "", "missing_sum", "V", ("axis 0",)),
    Fault("weight_norm", "(dW * self.V.value).sum(axis=0) / n", "(dW * self.V.value).sum(axis=0)", "factor_along", "g",
          ("along axis 0",), may=("missing_sum",)),
    Fault("weight_norm", "dy @ W.T", "dy @ (self.V.value / n).T", ("factor_along", "place"), "x", ("axis 1",),
          may=("scale_outside",)),
    Fault("weight_norm", "dy @ W.T", "dy @ self.V.value.T", ("factor_along", "place"), "x", ("axis 1",)),
    Fault("weight_norm", "self.V.grad += ", "self.V.grad += 0.01 * self.V.value + ", "decay", "V", ("times the weight itself",),
          may=("not_linear",)),
    Fault("weight_norm", "self.b.grad += dy.sum(axis=0)", "self.b.grad += dy.mean(axis=0)", "factor", "b", ("the batch size",)),
    Fault("weight_norm", "self.V.grad += ", "self.V.grad = ", "replaces_grad", None, ("(=)",)),
    Fault("weight_norm", "return dy @ W.T", "self.WT = getattr(self, 'WT', W.T)\n        return dy @ self.WT", "stale", "",
          ("stale cache",)),
    Fault("weight_norm", "self.g.value / n * dW", "self.g.value * dW", "place", "V", ("right",)),
    Fault("weight_norm", "- self.g.value * dg / n ** 2 * self.V.value", "- dg / n ** 2 * self.V.value",
          ("missing_sum", "scale_outside"), "V", ("axis 0|stands outside",)),
    Fault("spectral_norm", "(dWn + dsigma * np.outer(u, v)) / sigma", "dWn / sigma", ("missing_sum", "place"), "W"),
    Fault("spectral_norm", "np.outer(u, v)) / sigma", "np.outer(u, v))", "factor", "W", ("times",)),
    Fault("spectral_norm", "return dy @ Wn.T", "return dy @ self.W.value.T", "factor", "x", ("times",)),
    Fault("spectral_norm", "dsigma = -(dWn", "dsigma = (dWn", ("missing_sum", "place"), "W"),
    Fault("spectral_norm", "return dy @ Wn.T", "self.u.value = v @ Wn.T\n        return dy @ Wn.T", "changes_weight", None,
          ("u",)),
]
