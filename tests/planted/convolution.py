"""Convolutions: strided, dilated, causal, grouped, of two dimensions, of each channel alone, transposed."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Expect, Fault, Right


class Conv1D(Layer):
    """y_t = b + sum_k x_{2t + k - 1} W_k: three taps, stride 2, a zero at both ends; W of (K, C, F)."""

    def build(self, input_shape):
        self.W = self.add_weight((3, input_shape[-1], 2), name="W")
        self.b = self.add_weight((2,), "zeros", name="b")

    def forward(self, x):
        K, _, F = self.W.shape
        xp = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        T = (xp.shape[1] - K) // 2 + 1
        y = np.zeros((len(x), T, F), x.dtype)
        for t in range(T):
            for k in range(K):
                y[:, t] += xp[:, 2 * t + k] @ self.W.value[k]
        self.cache = xp
        return y + self.b.value

    def backward(self, dy):
        xp, K = self.cache, len(self.W.value)
        dxp = np.zeros_like(xp)
        dW = np.zeros_like(self.W.value)
        for t in range(dy.shape[1]):
            for k in reversed(range(K)):
                dW[k] += xp[:, 2 * t + k].T @ dy[:, t]
                dxp[:, 2 * t + k] += dy[:, t] @ self.W.value[k].T
        self.W.grad += dW
        self.b.grad += dy.sum(axis=(0, 1))
        return dxp[:, 1:-1]


class CausalConv(Layer):
    """y_t = sum_k x_{t - 2 (2 - k)} W_k: three taps, dilation 2, zeros before the first step; as many filters as channels."""

    def build(self, input_shape):
        self.W = self.add_weight((3, input_shape[-1], input_shape[-1]), name="W")

    def forward(self, x):
        T = x.shape[1]
        xp = np.pad(x, ((0, 0), (4, 0), (0, 0)))
        self.padded = xp
        return sum(xp[:, 2 * k:2 * k + T] @ self.W.value[k] for k in range(3))

    def backward(self, dy):
        xp, T = self.padded, dy.shape[1]
        dxp = np.zeros_like(xp)
        for k in range(3):
            window = xp[:, 2 * k:2 * k + T]
            self.W.grad[k] += np.einsum("btc,btf->cf", window, dy)
            dxp[:, 2 * k:2 * k + T] += dy @ self.W.value[k].T
        return dxp[:, 4:]


class Conv2D(Layer):
    """Patches of 3 x 3 with stride 2 and one zero around the image, times W of (3, 3, C, F)."""

    def build(self, input_shape):
        self.W = self.add_weight((3, 3, input_shape[-1], 2), name="W")
        self.b = self.add_weight((2,), "zeros", name="b")

    def forward(self, x):
        xp = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        H, W = (xp.shape[1] - 3) // 2 + 1, (xp.shape[2] - 3) // 2 + 1
        y = np.empty((len(x), H, W, 2), x.dtype)
        for i in range(H):
            for j in range(W):
                patch = xp[:, 2 * i:2 * i + 3, 2 * j:2 * j + 3]
                y[:, i, j] = np.tensordot(patch, self.W.value, axes=3) + self.b.value
        self.cache = xp
        return y

    def backward(self, dy):
        xp = self.cache
        dxp, dW = np.zeros_like(xp), np.zeros_like(self.W.value)
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                rows, columns = slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3)
                dW += np.tensordot(xp[:, rows, columns], dy[:, i, j], axes=(0, 0))
                dxp[:, rows, columns] += np.tensordot(dy[:, i, j], self.W.value, axes=(1, 3))
        self.W.grad += dW
        self.b.grad += dy.sum(axis=(0, 1, 2))
        dx = dxp[:, 1:-1, 1:-1]
        return dx


class Depthwise(Layer):
    """y_tc = sum_k x_{t + k, c} W_kc: each channel with taps of its own."""

    def build(self, input_shape):
        self.W = self.add_weight((3, input_shape[-1]), name="W")

    def forward(self, x):
        self.cache = x
        T = x.shape[1] - 2
        return sum(x[:, k:k + T] * self.W.value[k] for k in range(3))

    def backward(self, dy):
        x, T = self.cache, dy.shape[1]
        dx = np.zeros_like(x)
        for k in range(3):
            self.W.grad[k] += (x[:, k:k + T] * dy).sum(axis=(0, 1))
            dx[:, k:k + T] += dy * self.W.value[k]
        return dx


class Grouped(Layer):
    """Two groups: channels 0-1 give filters 0-2 and channels 2-3 give filters 3-5; two taps, W of (2, 2, 6)."""

    def build(self, input_shape):
        self.W = self.add_weight((2, 2, 6), name="W")

    def forward(self, x):
        self.cache = x
        T = x.shape[1] - 1
        y = np.zeros((len(x), T, 6), x.dtype)
        for g in range(2):
            for k in range(2):
                y[..., 3 * g:3 * g + 3] += x[:, k:k + T, 2 * g:2 * g + 2] @ self.W.value[k][:, 3 * g:3 * g + 3]
        return y

    def backward(self, dy):
        x, T = self.cache, dy.shape[1]
        dx = np.zeros_like(x)
        for g in range(2):
            channels, filters = slice(2 * g, 2 * g + 2), slice(3 * g, 3 * g + 3)
            d = dy[..., filters]
            for k in range(2):
                self.W.grad[k][:, filters] += np.einsum("btc,btf->cf", x[:, k:k + T, channels], d)
                dx[:, k:k + T, channels] += d @ self.W.value[k][:, filters].T
        return dx


class TransposedConv(Layer):
    """y_{2t + k} = b + sum x_t W_k over the t and k that meet there: three taps, stride 2."""

    def build(self, input_shape):
        self.W = self.add_weight((3, input_shape[-1], input_shape[-1]), name="W")
        self.b = self.add_weight((input_shape[-1],), "zeros", name="b")

    def forward(self, x):
        self.cache = x
        y = np.zeros((len(x), 2 * x.shape[1] + 1, x.shape[2]), x.dtype)
        for t in range(x.shape[1]):
            for k in range(3):
                y[:, 2 * t + k] += x[:, t] @ self.W.value[k]
        return y + self.b.value

    def backward(self, dy):
        x = self.cache
        dx = np.zeros_like(x)
        for t in reversed(range(x.shape[1])):
            for k in reversed(range(3)):
                d = dy[:, 2 * t + k]
                dx[:, t] += d @ self.W.value[k].T
                self.W.grad[k] += x[:, t].T @ d
        self.b.grad += dy.sum(axis=(0, 1))
        return dx


RIGHT = {
    "conv1d": Right(Conv1D, lambda rng: (rng.normal(size=(3, 7, 5)),)),
    "causal_conv": Right(CausalConv, lambda rng: (rng.normal(size=(2, 6, 4)),)),
    "conv2d": Right(Conv2D, lambda rng: (rng.normal(size=(3, 5, 4, 2)),)),
    "depthwise": Right(Depthwise, lambda rng: (rng.normal(size=(2, 5, 4)),)),
    "grouped": Right(Grouped, lambda rng: (rng.normal(size=(3, 5, 4)),)),
    "transposed_conv": Right(TransposedConv, lambda rng: (rng.normal(size=(2, 3, 4)),)),
}

NEVER = ("later steps", "a carry", "square root")

FAULTS = [
    Fault("conv1d", "dxp[:, 2 * t + k] +=", "dxp[:, 2 * t + k] =", "overwritten", "x", ("one contribution",)),
    Fault("conv1d", "dW[k] +=", "dW[k] =", ("overwritten", "one_step"), "W"),
    Fault("conv1d", "dxp[:, 1:-1]", "dxp[:, :-2]", "rolled", "x", ("moved by 1|moved by -1", "along axis 1")),
    Fault("conv1d", "dxp[:, 1:-1]", "dxp[:, 2:]", "rolled", "x", ("moved by 1|moved by -1", "along axis 1")),
    Fault("conv1d", "dxp[:, 1:-1]", "dxp", "shape", "x", ("shape",)),
    Fault("conv1d", "dxp[:, 2 * t + k] +=", "dxp[:, t + k] +=", ("moved", "place", "extra"), "x", ("axis 1",)),
    Fault("conv1d", "dW[k] += xp[:, 2 * t + k]", "dW[k] += xp[:, t + k]", "place", "W", ("y at 1-3 of",)),
    Fault("conv1d", "dW[k] +=", "dW[K - 1 - k] +=", "reversed", "W", ("reverse order along axis 0",)),
    Fault("conv1d", "@ self.W.value[k].T", "@ self.W.value[K - 1 - k].T", "weight_reversed", "x", ("w reversed",)),
    Fault("conv1d", "dy.sum(axis=(0, 1))", "dy.mean(axis=(0, 1))", "factor", "b", ("3 x 4",)),
    Fault("conv1d", "dy.sum(axis=(0, 1))", "dy.mean(axis=1).sum(axis=0)", "factor", "b", ("1/4",)),
    Fault("conv1d", "dy.sum(axis=(0, 1))", "dy[0].sum(axis=0)", "one_sample", "b", ("first", "sample alone")),
    Fault("conv1d", "dy.sum(axis=(0, 1))", "dy[:, -1].sum(axis=0)", ("one_step", "overwritten"), "b", ("last",)),
    Fault("conv1d", "range(dy.shape[1])", "range(dy.shape[1] - 1)", ("place", "zero"), "W", ("3 of", "axis 1")),
    Fault("conv1d", "reversed(range(K))", "reversed(range(K - 1))", ("zero", "place"), "W", ("2 of axis 0",),
          may=("overwritten",)),
    Fault("conv1d", "reversed(range(K))", "reversed(range(1, K))", ("zero", "place"), "W", ("0 of axis 0",),
          may=("overwritten",)),
    Fault("conv1d", "dxp = np.zeros_like(xp)", "dxp = np.zeros(xp.shape, np.float32)", ("float32", "shape"), None, ("float32",),
          may=("float32",)),
    Fault("conv1d", "self.cache = xp", "self.padded = getattr(self, 'padded', xp)\n        self.cache = self.padded",
          "stale", None, ("stale cache",)),
    Fault("conv1d", "self.W.grad += dW", "self.W.grad = dW", "replaces_grad", None, ("(=)",)),
    Fault("conv1d", "self.W.grad += dW", "self.W.grad += dW / len(dy)", "factor", "W", ("batch size",)),
    Fault("conv1d", "self.W.grad += dW", "self.W.grad += dW + 0.1 * self.W.value", "decay", "W", ("times the weight itself",)),
    Fault("conv1d", "return dxp[:, 1:-1]", "return np.empty_like(dxp[:, 1:-1]).fill(0)", "missing", "x", ("none",)),

    Fault("causal_conv", "dxp[:, 4:]", "dxp[:, :T]", "rolled", "x", ("moved by 4|moved by -4", "along axis 1")),
    Fault("causal_conv", "dxp[:, 4:]", "dxp[:, 2:-2]", "rolled", "x", ("moved by 2|moved by -2", "along axis 1")),
    Fault("causal_conv", "dxp[:, 2 * k:2 * k + T] +=", "dxp[:, k:k + T] +=", ("moved", "place", "extra"), "x", ("axis 1",)),
    Fault("causal_conv", "dxp[:, 2 * k:2 * k + T] +=", "dxp[:, 2 * k:2 * k + T] =", "overwritten", "x", ("one contribution",)),
    Fault("causal_conv", "@ self.W.value[k].T", "@ self.W.value[k]", "weight_transposed", "x", ("w transposed",)),
    Fault("causal_conv", "@ self.W.value[k].T", "@ self.W.value[2 - k].T", "weight_reversed", "x", ("w reversed",)),
    Fault("causal_conv", '"btc,btf->cf"', '"btc,btf->fc"', "transposed", "W", ("transposed",)),
    Fault("causal_conv", "window = xp[:, 2 * k:2 * k + T]", "window = xp[:, k:k + T]", ("moved", "place"), "W",
          ("1-2 of axis 0",)),
    Fault("causal_conv", "self.W.grad[k] +=", "self.W.grad[2 - k] +=", "reversed", "W", ("reverse order along axis 0",)),
    Fault("causal_conv", "((0, 0), (4, 0), (0, 0))", "((0, 0), (2, 2), (0, 0))", "rolled", "x",
          ("moved by 2|moved by -2", "along axis 1")),
    Fault("causal_conv", "@ self.W.value[k] for", "@ self.W.value[2 - k] for", ("weight_reversed", "reversed"), "x",
          ("reverse",), second=Expect("reversed", "W", ("reverse order along axis 0",))),
    Fault("causal_conv", "dxp[:, 2 * k:2 * k + T] += dy @ self.W.value[k].T",
          "dxp[:, 2 * k:2 * k + T] += dy @ self.W.value[0].T", ("place", "scale_outside"), "x", ("though|along axis 1",)),

    Fault("conv2d", "dxp[:, rows, columns] +=", "dxp[:, rows, columns] =", "overwritten", "x", ("one contribution",)),
    Fault("conv2d", "dW += np", "dW = np", ("overwritten", "place", "one_step"), "W", ("last|y at 2 of",)),
    Fault("conv2d", "dxp[:, 1:-1, 1:-1]", "dxp[:, 1:-1, 2:]", "rolled", "x", ("moved by 1|moved by -1", "along axis 2")),
    Fault("conv2d", "dxp[:, 1:-1, 1:-1]", "dxp[:, :-2, 1:-1]", "rolled", "x", ("moved by 1|moved by -1", "along axis 1")),
    Fault("conv2d", "dy[:, i, j], self.W.value, axes", "dy[:, i, j], self.W.value[::-1, ::-1], axes", "weight_reversed", "x",
          ("w reversed",)),
    Fault("conv2d", "dy[:, i, j], self.W.value, axes", "dy[:, i, j], self.W.value.swapaxes(0, 1), axes",
          "weight_transposed", "x", ("w transposed",)),
    Fault("conv2d", "self.W.grad += dW", "self.W.grad += dW[::-1, ::-1]", "reversed", "W",
          ("reverse order", "axis 0", "axis 1")),
    Fault("conv2d", "self.W.grad += dW", "self.W.grad += dW.swapaxes(0, 1)", "transposed", "W", ("axes 0 and 1",)),
    Fault("conv2d", "self.W.grad += dW", "self.W.grad += dW[:, :, ::-1]", "reversed", "W", ("reverse order along axis 2",)),
    Fault("conv2d", "slice(2 * j, 2 * j + 3)", "slice(j, j + 3)", "place", "W", ("y at 1 of",), may=("moved",)),
    Fault("conv2d", "range(dy.shape[2])", "range(dy.shape[2] - 1)", ("place", "zero", "one_step"), "W",
          ("y at 1 of|y at 0 of",)),
    Fault("conv2d", "axes=(1, 3))\n", "axes=(1, 3))\n            break\n", ("place", "zero", "one_step"), "W",
          ("y at 1-2 of|y at 0 of",)),
    Fault("conv2d", "dy.sum(axis=(0, 1, 2))", "dy.mean(axis=(0, 1, 2))", "factor", "b"),
    Fault("conv2d", "dy.sum(axis=(0, 1, 2))", "dy[:, -1, -1].sum(axis=0)", ("overwritten", "place", "one_step"), "b",
          ("last|y at 2 of",)),
    Fault("conv2d", "dy.sum(axis=(0, 1, 2))", "dy.sum()", ("mixing", "extra", "place"), "b",
          ("too much|mix|same number|should be zero",)),
    Fault("conv2d", "np.tensordot(xp[:, rows, columns], dy[:, i, j], axes=(0, 0))",
          "np.multiply.outer(xp[-1, rows, columns], dy[-1, i, j])", "one_sample", "W", ("last", "sample alone")),
    Fault("conv2d", "dx = dxp[:, 1:-1, 1:-1]", "dx = dxp[:, 1:-1, 1:-1]\n        dx[:, 0] = dx[:, -1] = 0", ("zero", "place"),
          "x", ("axis 1",)),
    Fault("conv2d", "dx = dxp[:, 1:-1, 1:-1]", "dx = dxp[:, 1:-1, 1:-1].transpose(0, 2, 1, 3)", "shape", "x", ("shape",),
          may=("transposed",)),

    Fault("depthwise", "(x[:, k:k + T] * dy).sum(axis=(0, 1))", "(x[:, k:k + T] * dy).sum()", ("mixing", "extra", "place"),
          "W", ("too much|mix|same number|should be zero",)),
    Fault("depthwise", "(x[:, k:k + T] * dy).sum(axis=(0, 1))", "(x[0, k:k + T] * dy[0]).sum(axis=0)", "one_sample", "W",
          ("sample alone",)),
    Fault("depthwise", "(x[:, k:k + T] * dy).sum", "(x[:, :T] * dy).sum", "place", "W", ("1-2 of axis 0",)),
    Fault("depthwise", "dx[:, k:k + T] +=", "dx[:, k:k + T] =", "overwritten", "x", ("one contribution",)),
    Fault("depthwise", "dy * self.W.value[k]\n", "dy * self.W.value[2 - k]\n", "weight_reversed", "x", ("w reversed",)),
    Fault("depthwise", "dy * self.W.value[k]\n", "dy * self.W.value[k].mean()\n", ("scale_outside", "factor_along", "place"),
          "x", ("elements of w|1 / w|though",)),
    Fault("depthwise", "dy * self.W.value[k]\n", "dy @ np.ones((4, 4)) * self.W.value[k]\n", ("mixing", "extra", "place"), "x",
          ("too much|mix",)),
    Fault("depthwise", "self.W.grad[k] +=", "self.W.grad[k, ::-1] +=", "reversed", "W", ("reverse order along axis 1",)),

    Fault("grouped", "dx[:, k:k + T, channels] += d @ self.W.value[k][:, filters].T",
          "dx[:, k:k + T, channels] += d @ self.W.value[k][:, :3].T", "place", "x", ("2-3 of axis 2",),
          may=("scale_outside",)),
    Fault("grouped", "self.W.grad[k][:, filters] +=", "self.W.grad[k][:, :3] +=", ("place", "zero", "extra", "moved"), "W",
          ("axis 2",)),
    Fault("grouped", "for g in range(2):\n            channels", "for g in range(1):\n            channels", ("zero",
          "place"), "x", ("2-3 of axis 2",), second=Expect(("zero", "place"), "W", ("3-5 of axis 2",))),
    Fault("grouped", "d = dy[..., filters]", "d = dy[..., 3 - 3 * g:6 - 3 * g]", ("moved", "rolled"), "x",
          ("halves|moved by",), may=("rolled",)),
    Fault("grouped", "d = dy[..., filters]", "d = dy[..., g::2]", "moved", "x", ("axis 2",)),
    Fault("grouped", "dx[:, k:k + T, channels] +=", "dx[:, k:k + T, channels] =", "overwritten", "x", ("one contribution",)),
    Fault("grouped", "x[:, k:k + T, channels], d)", "x[:, k:k + T, :2], d)", "place", "W", ("3-5 of axis 2",)),

    Fault("transposed_conv", "dx[:, t] +=", "dx[:, t] =", "overwritten", "x", ("one contribution",)),
    Fault("transposed_conv", "dx[:, t] += d @ self.W.value[k].T", "dx[:, t] += d @ self.W.value[k]", "weight_transposed", "x",
          ("w transposed",)),
    Fault("transposed_conv", "d = dy[:, 2 * t + k]", "d = dy[:, t + k]", ("place", "moved"), "x",
          ("1-2 of axis 1|y at 1-6 of",)),
    Fault("transposed_conv", "self.W.grad[k] += x[:, t].T @ d", "self.W.grad[k] += d.T @ x[:, t]", "transposed", "W",
          ("transposed",)),
    Fault("transposed_conv", "d = dy[:, 2 * t + k]", "d = dy[:, 2 * t + 2 - k]", ("weight_reversed", "reversed"), "x",
          ("reverse",), second=Expect("reversed", "W", ("reverse order along axis 0",))),
    Fault("transposed_conv", "dy.sum(axis=(0, 1))", "dy[:, ::2].sum(axis=(0, 1))", ("place", "zero", "missing_sum"), "b",
          ("axis 1",)),
    Fault("transposed_conv", "y[:, 2 * t + k] +=", "y[:, 2 * t + k] =", ("place", "extra"), "x", ("y at 2, 4 of",)),
    Fault("transposed_conv", "for k in reversed(range(3))", "for k in range(2)", ("zero", "place"), "W", ("2 of axis 0",)),
]
