"""Whole models of sequences: encoder and decoder, the same layer at each step, tokens to scores."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Expect, Fault, Right

B, S, T, D, H = 2, 3, 4, 5, 2
GATES = "ifgo"


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class EncoderDecoder(Layer):
    """An LSTM reads the source; its last h and c begin a second one, which reads the target and gives its states.

    Twenty-four weights, W, U and b of each gate of both: enc_Wi, enc_Ui, enc_bi, ..., dec_bo.
    """

    def build(self, source_shape, target_shape):
        self.w = {}
        for part, size in (("enc", source_shape[-1]), ("dec", target_shape[-1])):
            for gate in GATES:
                self.w[f"{part}_W{gate}"] = self.add_weight((size, H), name=f"{part}_W{gate}")
                self.w[f"{part}_U{gate}"] = self.add_weight((H, H), name=f"{part}_U{gate}")
                self.w[f"{part}_b{gate}"] = self.add_weight((H,), "zeros", name=f"{part}_b{gate}")

    def gate(self, part, gate, x, h):
        W, U, b = (self.w[f"{part}_{kind}{gate}"].value for kind in "WUb")
        return x @ W + h @ U + b

    def walk(self, part, x, h, c):
        steps, hs = [], []
        for t in range(x.shape[1]):
            i, f, g, o = (self.gate(part, k, x[:, t], h) for k in GATES)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            h_prev, c_prev = h, c
            c = f * c + i * g
            h = o * np.tanh(c)
            steps.append((x[:, t], h_prev, c_prev, i, f, g, o, c))
            hs.append(h)
        return np.stack(hs, axis=1), h, c, steps

    def walk_back(self, part, steps, dhs, dh, dc):
        dxs = []
        for t in reversed(range(len(steps))):
            x, h, c_prev, i, f, g, o, c = steps[t]
            dh = dh + dhs[:, t]
            dc = dc + dh * o * (1 - np.tanh(c) ** 2)
            da = {"i": dc * g * i * (1 - i),
                  "f": dc * c_prev * f * (1 - f),
                  "g": dc * i * (1 - g ** 2),
                  "o": dh * np.tanh(c) * o * (1 - o)}
            dx, dh = np.zeros_like(x), np.zeros_like(h)
            for k in GATES:
                self.w[f"{part}_W{k}"].grad += x.T @ da[k]
                self.w[f"{part}_U{k}"].grad += h.T @ da[k]
                self.w[f"{part}_b{k}"].grad += da[k].sum(axis=0)
                dx += da[k] @ self.w[f"{part}_W{k}"].value.T
                dh += da[k] @ self.w[f"{part}_U{k}"].value.T
            dc = dc * f
            dxs.append(dx)
        return np.stack(dxs[::-1], axis=1), dh, dc

    def forward(self, source, target):
        zeros = np.zeros((len(source), H), source.dtype)
        _, h, c, read = self.walk("enc", source, zeros, zeros)
        y, _, _, written = self.walk("dec", target, h, c)
        self.cache = read, written
        return y

    def backward(self, dy):
        read, written = self.cache
        zeros = np.zeros((len(dy), H), dy.dtype)
        dtarget, dh, dc = self.walk_back("dec", written, dy, zeros, zeros)
        nothing = np.zeros((len(dy), len(read), H), dy.dtype)
        dsource, _, _ = self.walk_back("enc", read, nothing, dh, dc)
        return [dsource, dtarget]


class TimeDistributed(Layer):
    """y_t = tanh(x_t W + b) at each step."""

    def build(self, shape):
        self.W = self.add_weight((shape[-1], 3), name="W")
        self.b = self.add_weight((3,), "zeros", name="b")

    def forward(self, x):
        y = np.stack([np.tanh(x[:, t] @ self.W.value + self.b.value) for t in range(x.shape[1])], axis=1)
        self.cache = x, y
        return y

    def backward(self, dy):
        x, y = self.cache
        T = x.shape[1]
        dx = np.zeros_like(x)
        for t in range(T):
            da = dy[:, t] * (1 - y[:, t] ** 2)
            self.W.grad += x[:, t].T @ da
            self.b.grad += da.sum(axis=0)
            dx[:, t] = da @ self.W.value.T
        return dx


class TokenModel(Layer):
    """Ids (B, T) -> vectors E[ids] -> a simple RNN -> scores of all tokens at each step."""

    integer_inputs = True
    tokens, units = 7, 3

    def build(self, shape):
        self.E = self.add_weight((self.tokens, 2), "random_normal", name="E")
        self.W = self.add_weight((2, self.units), name="W")
        self.U = self.add_weight((self.units, self.units), name="U")
        self.V = self.add_weight((self.units, self.tokens), name="V")
        self.c = self.add_weight((self.tokens,), "zeros", name="c")

    def forward(self, ids):
        e = self.E.value[ids]
        h = [np.zeros((len(ids), self.units), e.dtype)]
        for t in range(ids.shape[1]):
            h.append(np.tanh(e[:, t] @ self.W.value + h[t] @ self.U.value))
        hs = np.stack(h, axis=1)
        self.cache = ids, e, hs
        return hs[:, 1:] @ self.V.value + self.c.value

    def backward(self, dy):
        ids, e, h = self.cache
        self.V.grad += np.einsum("bth,btv->hv", h[:, 1:], dy)
        self.c.grad += dy.sum(axis=(0, 1))
        dh = dy @ self.V.value.T
        de, carry = np.zeros_like(e), 0
        for t in reversed(range(ids.shape[1])):
            da = (dh[:, t] + carry) * (1 - h[:, t + 1] ** 2)
            self.W.grad += e[:, t].T @ da
            self.U.grad += h[:, t].T @ da
            de[:, t] = da @ self.W.value.T
            carry = da @ self.U.value.T
        np.add.at(self.E.grad, ids, de)


class Tagger(Layer):
    """Mean cross-entropy of the scores of a linear layer over real steps; the targets are ids, -1 where there is no step."""

    integer_inputs = True

    def build(self, x_shape):
        self.W = self.add_weight((x_shape[-1], 4), name="W")

    def forward(self, x, targets):
        s = x @ self.W.value
        e = np.exp(s - s.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)
        real = targets >= 0
        n = real.sum()
        self.cache = x, targets, p, real, n
        picked = np.take_along_axis(p, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
        return -np.sum(np.log(picked) * real, keepdims=True)[0] / n

    def backward(self, dy):
        x, targets, p, real, n = self.cache
        ds = p.copy()
        rows, steps = np.nonzero(real)
        ds[rows, steps, targets[rows, steps]] -= 1
        ds *= real[..., None]
        ds = dy[:, None, None] * ds / n
        self.W.grad += np.einsum("btd,btk->dk", x, ds)
        return [ds @ self.W.value.T, None]


IDS = np.array([[3, 1, 3, 0], [5, 3, 6, 1]])
OTHER_IDS = np.array([[2, 2, 1, 4], [0, 5, 2, 6]])
TARGETS = np.array([[2, 0, -1], [1, 3, 3]])
OTHER_TARGETS = np.array([[0, -1, 3], [2, 2, 1]])


def both(rng):
    return rng.normal(size=(B, S, D)), rng.normal(size=(B, T, 3))


RIGHT = {
    "encoder_decoder": Right(EncoderDecoder, both),
    "time_distributed": Right(TimeDistributed, lambda rng: (rng.normal(size=(B, T, D)),)),
    "token_model": Right(TokenModel, lambda rng: (IDS,), other=lambda rng: (OTHER_IDS,)),
    "tagger": Right(Tagger, lambda rng: (rng.normal(size=(B, S, D)), TARGETS),
                    other=lambda rng: (rng.normal(size=(B, S, D)), OTHER_TARGETS)),
}

FAULTS = [
    # nothing, or half of it, goes from the decoder to the encoder
    Fault("encoder_decoder", "read, nothing, dh, dc)", "read, nothing, zeros, zeros)", "missing", "enc_Wi", ("all zeros",)),
    Fault("encoder_decoder", "read, nothing, dh, dc)", "read, nothing, dh, zeros)", "place", "source", ("right",)),
    Fault("encoder_decoder", "read, nothing, dh, dc)", "read, nothing, zeros, dc)", "place", "source", ("right",)),
    Fault("encoder_decoder", "read, nothing, dh, dc)", "read, nothing, dc, dh)", "place", "source", ("right",)),
    Fault("encoder_decoder", "read, nothing, dh, dc)", "read, dy[:, :len(read)], dh, dc)", "place", "source",
          ("0-2", "axis 1")),
    Fault("encoder_decoder", "return [dsource, dtarget]", "return [None, dtarget]", "missing", "source", ("none",)),
    Fault("encoder_decoder", "return [dsource, dtarget]", "return [dsource, np.zeros_like(dtarget)]", "missing", "target",
          ("all zeros",)),
    Fault("encoder_decoder", "return [dsource, dtarget]", "return [dsource[:, ::-1], dtarget]", "reversed", "source",
          ("reverse order along axis 1",)),
    Fault("encoder_decoder", '"f": dc * c_prev * f * (1 - f)', '"f": dc * c_prev * f', "place", "dec_Wf",
          ("time step alone|right",)),
    Fault("encoder_decoder", '"g": dc * i * (1 - g ** 2)', '"g": dc * i * (1 - g)', "place", "dec_Wg",
          ("time step alone|right",)),
    Fault("encoder_decoder", '"o": dh * np.tanh(c) * o * (1 - o)', '"o": dh * c * o * (1 - o)', "place", "dec_Wo",
          ("time step alone|right",), may=("nearly",)),
    Fault("encoder_decoder", "dc = dc + dh * o * (1", "dc = dh * o * (1", "carry", None, ("later steps",)),
    Fault("encoder_decoder", "            dc = dc * f\n", "            dc = dc * i\n", "carry", None, ("later steps",)),
    Fault("encoder_decoder", ".grad += h.T @ da[k]", ".grad += steps[t - 1][1].T @ da[k]", "place", "dec_Ui", ("right",)),
    Fault("encoder_decoder", '_b{k}"].grad += da[k].sum(axis=0)', '_b{k}"].grad += da["f"].sum(axis=0)', "swapped", "dec_bi",
          ("the gradient of", "dec_bf")),
    Fault("encoder_decoder", '_W{k}"].grad += x.T @ da[k]', '_W{k}"].grad += x.T @ da["i"]', "swapped", "dec_Wf",
          ("the gradient of", "dec_wi")),
    Fault("encoder_decoder", '_b{k}"].grad += da[k].sum(axis=0)', '_b{k}"].grad += da[k].mean(axis=0)', "factor", "enc_bo",
          ("the batch size",)),
    Fault("encoder_decoder", "return [dsource, dtarget]",
          "norm = np.sqrt(sum((p.grad ** 2).sum() for p in self.weights))\n        for p in self.weights:\n"
          "            p.grad *= 0.25 / norm\n        return [dsource, dtarget]", "clipped", None, ("clipped", "0.25"),
          may=("replaces_grad", "not_linear", "single_use")),
    Fault("encoder_decoder", "return [dsource, dtarget]",
          "for p in self.weights:\n            np.clip(p.grad, -0.05, 0.05, out=p.grad)\n" "        return [dsource, dtarget]",
          "clipped", None, ("clipped", "0.05"), may=("replaces_grad", "not_linear", "single_use")),
    Fault("encoder_decoder", 'self.walk("dec", target, h, c)', 'self.walk("dec", target, h, zeros)', ("place", "extra"),
          "source"),
    Fault("encoder_decoder", 'y, _, _, written = self.walk("dec", target, h, c)',
          'y, _, _, written = self.walk("dec", target, h, c)\n'
          '        written = self.__dict__.setdefault("written", written)', "stale", "", ("stale cache",)),
    Fault("encoder_decoder", "dx += da[k] @", "dx = da[k] @", ("overwritten", "place"), "target"),
    Fault("encoder_decoder", 'dh += da[k] @ self.w[f"{part}_U{k}"].value.T', 'dh += da[k] @ self.w[f"{part}_U{k}"].value',
          "weight_transposed", None, ("transposed",), may=("carry",)),
    Fault("encoder_decoder", '_b{k}"].grad += da[k].sum(axis=0)',
          '_b{k}"].grad += da[k].sum(axis=0) * ((part, k) != ("enc", "f"))', "missing", "enc_bf", ("all zeros",)),

    # the same layer at each step
    Fault("time_distributed", "self.W.grad += x[:, t].T @ da", "self.W.grad = x[:, t].T @ da", ("one_step", "replaces_grad"),
          None, may=("replaces_grad",)),
    Fault("time_distributed", "            self.b.grad += da.sum(axis=0)\n", "", "one_step", "b", ("last time step alone",),
          more=(("return dx", "self.b.grad += da.sum(axis=0)\n        return dx"),)),
    Fault("time_distributed", "self.b.grad += da.sum(axis=0)", "self.b.grad += da.sum(axis=0) / T", "factor", "b",
          ("the number of time steps",)),
    Fault("time_distributed", "self.W.grad += x[:, t].T @ da", "self.W.grad += x[:, t].T @ da / len(x) / T", "factor", "W",
          ("batch size times time steps|2 x 4|4 x 2",)),
    Fault("time_distributed", "(1 - y[:, t] ** 2)", "(1 - y[:, 0] ** 2)", ("place", "value", "slope"), None, ("axis 1",)),
    Fault("time_distributed", "for t in range(T):", "for t in range(T - 1):", "zero", "x", ("zero there", "3 of axis 1")),
    Fault("time_distributed", "for t in range(T):", "for t in range(0, T, 2):", "zero", "x", ("zero there", "1, 3 of axis 1")),
    Fault("time_distributed", "da = dy[:, t] * (1 - y[:, t] ** 2)", "da = 1 - y[:, t] ** 2", "ignores_dy", None,
          ("does not use dy",), may=("not_linear",)),
    Fault("time_distributed", "da = dy[:, t] * (1 - y[:, t] ** 2)", "da = dy[:, t] * (1 - y[:, t] ** 2) / dy[:, t].max()",
          "not_linear", "", ("not linear in dy",)),
    Fault("time_distributed", "(1 - y[:, t] ** 2)", "(1 - np.tanh(y[:, t]) ** 2)", ("slope", "place", "factor_along"), None),
    Fault("time_distributed", "dx[:, t] = da @ self.W.value.T", "dx[:, T - 1 - t] = da @ self.W.value.T", "reversed", "x",
          ("reverse order along axis 1",)),
    Fault("time_distributed", "dx[:, t] = da @ self.W.value.T", "dx[:, (t + 1) % T] = da @ self.W.value.T", "rolled", "x",
          ("along axis 1", "moved by")),
    Fault("time_distributed", "self.W.grad += x[:, t].T @ da", "self.W.grad += x[:, t - 1].T @ da", "place", "W", ("right",)),
    Fault("time_distributed", "self.cache = x, y", "self.cache = x, self.__dict__.setdefault('y', y.copy())", "stale", "",
          ("stale cache",)),
    Fault("time_distributed", "return dx", "return dx.reshape(-1, x.shape[-1])", "shape", "x", ("shape",)),
    Fault("time_distributed", "            self.b.grad += da.sum(axis=0)\n", "", "missing", "b", ("all zeros",),
          more=(("dx[:, t] = da @ self.W.value.T", "dx[:, t] = -da @ self.W.value.T"),),
          second=Expect("factor", "x", ("the sign is flipped",))),

    Fault("time_distributed", "return dx", "np.square(y, out=y)\n        return dx", "changes_output", None, ("in place",),
          may=("single_use",)),
    Fault("time_distributed", "return dx", "for p in self.weights:\n            p.value -= 0.01 * p.grad\n        return dx",
          "changes_weight", None, ("w",)),
    Fault("time_distributed", "return dx", "self.total = getattr(self, 'total', 0) + dx\n        return self.total", "adds_up",
          None, ("adds up",), may=("stale", "single_use")),

    # tokens
    Fault("token_model", "np.add.at(self.E.grad, ids, de)", "self.E.grad[ids] += de", "repeated_ids", "E", ("more than once",)),
    Fault("token_model", "np.add.at(self.E.grad, ids, de)", "self.E.grad[ids] = de", ("repeated_ids", "replaces_grad"), None,
          may=("repeated_ids", "replaces_grad")),
    Fault("token_model", "np.add.at(self.E.grad, ids, de)",
          "for b in range(len(ids)):\n            self.E.grad[ids[b]] += de[b]", "repeated_ids", "E", ("more than once",)),
    Fault("token_model", "self.cache = ids, e, hs", "self.cache = self.__dict__.setdefault('ids', ids), e, hs", "stale", "",
          ("stale cache",)),
    Fault("token_model", "self.cache = ids, e, hs", "self.cache = ids, self.__dict__.setdefault('e', e), hs", "stale", "",
          ("stale cache",)),
    Fault("token_model", "self.cache = ids, e, hs",
          "self.VT = getattr(self, 'VT', self.V.value.T.copy())\n        self.cache = ids, e, hs", "stale", "",
          ("stale cache",), more=(("dh = dy @ self.V.value.T", "dh = dy @ self.VT"),)),
    Fault("token_model", "np.add.at(self.E.grad, ids, de)", "np.add.at(self.E.grad, ids, de)\n        self.E.grad[0] = 0",
          "zero", "E", ("zero there", "0 of axis 0|[0, 0], [0, 1]"), may=("replaces_grad",)),
    Fault("token_model", "np.add.at(self.E.grad, ids, de)", "np.add.at(self.E.grad, ids, de / ids.size)", "factor", "E",
          ("times",)),
    Fault("token_model", "carry = da @ self.U.value.T", "carry = 0", ("carry", "way_through", "place"), None,
          ("later steps|through u is|single place along axis 1",)),
    Fault("token_model", "dh = dy @ self.V.value.T", "dh = dy @ self.V.value.T / len(ids)", "factor", "W", ("the batch size",)),
    Fault("token_model", "dh = dy @ self.V.value.T",
          "dh = 0 * dy @ self.V.value.T\n        dh[:, -1] = dy[:, -1] @ self.V.value.T", ("place", "one_step"), "E",
          ("axis 1",), may=("one_step",)),
    Fault("token_model", '"bth,btv->hv", h[:, 1:], dy', '"bth,btv->hv", h[:, :-1], dy', ("place", "rolled"), "V",
          ("axis 1|right",)),
    Fault("token_model", "self.c.grad += dy.sum(axis=(0, 1))", "self.c.grad += dy[:, -1].sum(axis=0)", "one_step", "c",
          ("last time step alone",)),
    Fault("token_model", "np.add.at(self.E.grad, ids, de)", "np.add.at(self.E.grad, ids[:, ::-1], de)",
          ("place", "moved", "extra"), "E"),
    Fault("token_model", "np.add.at(self.E.grad, ids, de)", "np.add.at(self.E.grad, (ids + 1) % 7, de)",
          ("rolled", "extra", "moved", "place"), "E", ("axis 0",)),
    Fault("token_model", "        np.add.at(self.E.grad, ids, de)\n", "", "missing", "E", ("all zeros",)),
    Fault("token_model", "self.U.grad += h[:, t].T @ da", "self.U.grad += h[:, t].T @ da + 0.01 * self.U.value", "decay", "U",
          ("times the weight itself",), may=("not_linear",)),

    # targets
    Fault("tagger", "        ds *= real[..., None]\n", "", ("extra", "place", "mask"), "x", ("should be zero|mask|axis 1",)),
    Fault("tagger", "dy[:, None, None] * ds / n", "dy[:, None, None] * ds / targets.size", "factor", "x", ("times",)),
    Fault("tagger", "dy[:, None, None] * ds / n", "ds / n", "ignores_dy", None, ("does not use dy",), may=("not_linear",)),
    Fault("tagger", "dy[:, None, None] * ds / n", "dy[:, None, None] * ds", "factor", "x", ("times",)),
    Fault("tagger", "targets[rows, steps]] -= 1", "targets[rows, steps]] += 1", ("place", "slope"), "x",
          ("right|target|axis|backward has",)),
    Fault("tagger", "ds = p.copy()", "ds = p", "single_use", "", ("a second backward",)),
    Fault("tagger", "self.cache = x, targets, p, real, n", "self.cache = x, self.__dict__.setdefault('t', targets), p, real, n",
          "stale", "", ("stale cache",)),
    Fault("tagger", "return [ds @ self.W.value.T, None]", "return [ds @ self.W.value.T, ds]", ("extra", "shape"), "targets",
          ("integer",)),
]
