"""LSTM (fused, by gates, with peepholes, masked, over windows) and GRU (both places of the reset gate)."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Expect, Fault, Right

B, T, D, H = 2, 4, 3, 5


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class LSTM(Layer):
    """All states; the gates i, f, g, o stand in this order in the columns of W, U and b."""

    def build(self, shape):
        self.W = self.add_weight((shape[-1], 4 * H), name="W")
        self.U = self.add_weight((H, 4 * H), name="U")
        self.b = self.add_weight((4 * H,), "zeros", name="b")

    def forward(self, x):
        h = c = np.zeros((len(x), H), x.dtype)
        ys, steps = [], []
        for t in range(x.shape[1]):
            h_prev, c_prev = h, c
            a = x[:, t] @ self.W.value + h @ self.U.value + self.b.value
            i, f, g, o = np.split(a, 4, axis=1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            c = f * c_prev + i * g
            h = o * np.tanh(c)
            steps.append((h_prev, c_prev, i, f, g, o, c))
            ys.append(h)
        self.cache = x, steps
        return np.stack(ys, axis=1)

    def backward(self, dy):
        x, steps = self.cache
        dx = np.zeros_like(x)
        dh_next = dc_next = np.zeros((len(x), H), x.dtype)
        for t in reversed(range(len(steps))):
            h_prev, c_prev, i, f, g, o, c = steps[t]
            dh = dy[:, t] + dh_next
            tanh_c = np.tanh(c)
            do = dh * tanh_c
            dc = dc_next + dh * o * (1 - tanh_c ** 2)
            di = dc * g
            df = dc * c_prev
            dg = dc * i
            dai = di * i * (1 - i)
            daf = df * f * (1 - f)
            dag = dg * (1 - g ** 2)
            dao = do * o * (1 - o)
            da = np.concatenate([dai, daf, dag, dao], axis=1)
            self.W.grad += x[:, t].T @ da
            self.U.grad += h_prev.T @ da
            self.b.grad += da.sum(axis=0)
            dx[:, t] = da @ self.W.value.T
            dh_next = da @ self.U.value.T
            dc_next = dc * f
        return dx


class GatesLSTM(Layer):
    """A matrix for each gate over [h, x], states as inputs; gives all h, the last h and the last c."""

    def build(self, x_shape, initial_state_shape):
        Z = x_shape[-1] + H
        self.Wi, self.bi = self.add_weight((Z, H), name="Wi"), self.add_weight((H,), "zeros", name="bi")
        self.Wf, self.bf = self.add_weight((Z, H), name="Wf"), self.add_weight((H,), "ones", name="bf")
        self.Wc, self.bc = self.add_weight((Z, H), name="Wc"), self.add_weight((H,), "zeros", name="bc")
        self.Wo, self.bo = self.add_weight((Z, H), name="Wo"), self.add_weight((H,), "zeros", name="bo")

    def forward(self, x, initial_state):
        h, c = initial_state
        ys, self.cache = [], []
        for t in range(x.shape[1]):
            z = np.concatenate([h, x[:, t]], axis=1)
            i = sigmoid(z @ self.Wi.value + self.bi.value)
            f = sigmoid(z @ self.Wf.value + self.bf.value)
            g = np.tanh(z @ self.Wc.value + self.bc.value)
            o = sigmoid(z @ self.Wo.value + self.bo.value)
            c_prev, c = c, f * c + i * g
            h = o * np.tanh(c)
            self.cache.append((z, c_prev, i, f, g, o, c))
            ys.append(h)
        return [np.stack(ys, axis=1), h, c]

    def backward(self, dy):
        dhs, dh, dc = dy
        dx = []
        for t in reversed(range(len(self.cache))):
            z, c_prev, i, f, g, o, c = self.cache[t]
            dh = dh + dhs[:, t]
            dc = dc + dh * o * (1 - np.tanh(c) ** 2)
            dao = dh * np.tanh(c) * o * (1 - o)
            daf = dc * c_prev * f * (1 - f)
            dai = dc * g * i * (1 - i)
            dag = dc * i * (1 - g ** 2)
            dz = 0
            gates = (self.Wi, self.bi, dai), (self.Wf, self.bf, daf), (self.Wc, self.bc, dag), (self.Wo, self.bo, dao)
            for W, b, da in gates:
                W.grad += z.T @ da
                b.grad += da.sum(axis=0)
                dz = dz + da @ W.value.T
            dh, dx = dz[:, :H], [dz[:, H:], *dx]
            dc = dc * f
        return [np.stack(dx, axis=1), dh, dc]


class Peephole(Layer):
    """An LSTM whose gates see the cell: i and f the old one, o the new one. Gives the last h."""

    def build(self, shape):
        self.W = self.add_weight((shape[-1], 4 * H), name="W")
        self.U = self.add_weight((H, 4 * H), name="U")
        self.pi, self.pf, self.po = (self.add_weight((H,), name=name) for name in ("pi", "pf", "po"))

    def forward(self, x):
        h = c = np.zeros((len(x), H), x.dtype)
        self.cache = []
        for t in range(x.shape[1]):
            h_prev, c_prev = h, c
            ai, af, ag, ao = np.split(x[:, t] @ self.W.value + h @ self.U.value, 4, axis=1)
            i, f, g = sigmoid(ai + c * self.pi.value), sigmoid(af + c * self.pf.value), np.tanh(ag)
            c = f * c_prev + i * g
            o = sigmoid(ao + c * self.po.value)
            h = o * np.tanh(c)
            self.cache.append((x[:, t], h_prev, c_prev, i, f, g, o, c))
        return h

    def backward(self, dy):
        dh, dc, dxs = dy, 0, []
        for x, h_prev, c_prev, i, f, g, o, c in reversed(self.cache):
            dao = dh * np.tanh(c) * o * (1 - o)
            dc = dc + dh * o * (1 - np.tanh(c) ** 2)
            dc = dc + dao * self.po.value
            dai = dc * g * i * (1 - i)
            daf = dc * c_prev * f * (1 - f)
            dag = dc * i * (1 - g ** 2)
            self.po.grad += (dao * c).sum(axis=0)
            self.pi.grad += (dai * c_prev).sum(axis=0)
            self.pf.grad += (daf * c_prev).sum(axis=0)
            da = np.concatenate([dai, daf, dag, dao], axis=1)
            self.W.grad += x.T @ da
            self.U.grad += h_prev.T @ da
            dxs.append(da @ self.W.value.T)
            dh = da @ self.U.value.T
            dc = dc * f + dai * self.pi.value + daf * self.pf.value
        return np.stack(dxs[::-1], axis=1)


class MaskedLSTM(Layer):
    """Where the mask is False a step keeps h and c. Gives the last h."""

    def build(self, shape):
        self.W = self.add_weight((shape[-1] + H, 4 * H), name="W")

    def forward(self, x, mask=None):
        h = c = np.zeros((len(x), H), x.dtype)
        self.cache = []
        for t in range(x.shape[1]):
            m = mask[:, t, None]
            z = np.concatenate([x[:, t], h], axis=1)
            a = z @ self.W.value
            i, f, o = (sigmoid(a[:, k * H:(k + 1) * H]) for k in range(3))
            g = np.tanh(a[:, 3 * H:])
            c_new = f * c + i * g
            self.cache.append((m, z, c, i, f, o, g, c_new))
            h = np.where(m, o * np.tanh(c_new), h)
            c = np.where(m, c_new, c)
        return h

    def backward(self, dy):
        dh, dc, dxs = dy, 0 * dy, []
        for m, z, c, i, f, o, g, c_new in reversed(self.cache):
            dh_new, dc_new = dh * m, dc * m
            dh_kept, dc_kept = dh * ~m, dc * ~m
            dc_new = dc_new + dh_new * o * (1 - np.tanh(c_new) ** 2)
            do = dh_new * np.tanh(c_new) * o * (1 - o)
            di, df, dg = dc_new * g * i * (1 - i), dc_new * c * f * (1 - f), dc_new * i * (1 - g ** 2)
            da = np.concatenate([di, df, do, dg], axis=1)
            self.W.grad += z.T @ da
            dz = da @ self.W.value.T
            dxs.append(dz[:, :-H])
            dh = dz[:, -H:] + dh_kept
            dc = dc_new * f + dc_kept
        return np.stack(dxs[::-1], axis=1)


class ConvRNN(Layer):
    """A recurrent layer over rows (B, T, L, C): both products are convolutions of width 3, padded with zeros."""

    def build(self, shape):
        self.W = self.add_weight((3, shape[-1], 3), name="W")
        self.U = self.add_weight((3, 3, 3), name="U")

    def convolve(self, x, K):
        p = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        return sum(p[:, k:k + x.shape[1]] @ K[k] for k in range(3))

    def convolve_back(self, x, K, dy):
        p = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        dp, dK, L = np.zeros_like(p), np.zeros_like(K), x.shape[1]
        for k in range(3):
            dK[k] = np.einsum("bli,blj->ij", p[:, k:k + L], dy)
            dp[:, k:k + L] += dy @ K[k].T
        return dp[:, 1:-1], dK

    def forward(self, x):
        h = [np.zeros((*x[:, 0].shape[:2], 3), x.dtype)]
        for t in range(x.shape[1]):
            h.append(np.tanh(self.convolve(x[:, t], self.W.value) + self.convolve(h[-1], self.U.value)))
        self.cache = x, h
        return h[-1]

    def backward(self, dy):
        x, h = self.cache
        dx, dh = np.zeros_like(x), dy
        for t in reversed(range(x.shape[1])):
            da = dh * (1 - h[t + 1] ** 2)
            dx[:, t], dW = self.convolve_back(x[:, t], self.W.value, da)
            dh, dU = self.convolve_back(h[t], self.U.value, da)
            self.W.grad += dW
            self.U.grad += dU
        return dx


class ConvLSTM(Layer):
    """An LSTM over rows (B, T, L, C): its products are convolutions of width 3, padded with zeros. Gives all h."""

    def build(self, shape):
        self.W = self.add_weight((3, shape[-1], 8), name="W")
        self.U = self.add_weight((3, 2, 8), name="U")
        self.b = self.add_weight((8,), "zeros", name="b")

    def windows(self, x):
        p = np.pad(x, ((0, 0), (1, 1), (0, 0)))
        return np.stack([p[:, k:k + x.shape[1]] for k in range(3)], axis=2)         # (B, L, 3, C)

    def gather(self, dwindows):
        L = dwindows.shape[1]
        dp = np.zeros((len(dwindows), L + 2, dwindows.shape[3]), dwindows.dtype)
        for k in range(3):
            dp[:, k:k + L] += dwindows[:, :, k]
        return dp[:, 1:-1]

    def forward(self, x):
        h = c = np.zeros((*x[:, 0].shape[:2], 2), x.dtype)
        self.cache, ys = [], []
        for t in range(x.shape[1]):
            xw, hw = self.windows(x[:, t]), self.windows(h)
            a = np.einsum("blkc,kcu->blu", xw, self.W.value) + np.einsum("blkc,kcu->blu", hw, self.U.value) + self.b.value
            i, f, o = (sigmoid(a[..., k:k + 2]) for k in (0, 2, 4))
            g = np.tanh(a[..., 6:])
            c_prev, c = c, f * c + i * g
            h = o * np.tanh(c)
            self.cache.append((xw, hw, i, f, o, g, c_prev, c))
            ys.append(h)
        return np.stack(ys, axis=1)

    def backward(self, dy):
        dh, dc, dx = 0, 0, []
        for t in reversed(range(len(self.cache))):
            xw, hw, i, f, o, g, c_prev, c = self.cache[t]
            dh = dh + dy[:, t]
            dc = dc + dh * o * (1 - np.tanh(c) ** 2)
            di, df, do, dg = dc * g, dc * c_prev, dh * np.tanh(c), dc * i
            da = np.concatenate([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g ** 2)], axis=-1)
            self.W.grad += np.einsum("blkc,blu->kcu", xw, da)
            self.U.grad += np.einsum("blkc,blu->kcu", hw, da)
            self.b.grad += da.sum(axis=(0, 1))
            dx.append(self.gather(np.einsum("blu,kcu->blkc", da, self.W.value)))
            dh = self.gather(np.einsum("blu,kcu->blkc", da, self.U.value))
            dc = dc * f
        return np.stack(dx[::-1], axis=1)


class GRU(Layer):
    """The reset gate works on h before the product: g = tanh(x Wg + (r h) Ug); the gates stand in the order z, r, g."""

    def build(self, shape):
        self.W = self.add_weight((shape[-1], 3 * H), name="W")
        self.U = self.add_weight((H, 3 * H), name="U")
        self.b = self.add_weight((3 * H,), "zeros", name="b")

    def forward(self, x):
        h, ys, steps = np.zeros((len(x), H), x.dtype), [], []
        U = self.U.value
        for t in range(x.shape[1]):
            ax = x[:, t] @ self.W.value + self.b.value
            z = sigmoid(ax[:, :H] + h @ U[:, :H])
            r = sigmoid(ax[:, H:2 * H] + h @ U[:, H:2 * H])
            g = np.tanh(ax[:, 2 * H:] + (r * h) @ U[:, 2 * H:])
            steps.append((h, z, r, g))
            h = z * h + (1 - z) * g
            ys.append(h)
        self.cache = x, steps
        return np.stack(ys, axis=1)

    def backward(self, dy):
        x, steps = self.cache
        U, dU = self.U.value, np.zeros(self.U.shape, x.dtype)
        dx, dh = np.zeros_like(x), np.zeros((len(x), H), x.dtype)
        for t in reversed(range(len(steps))):
            h, z, r, g = steps[t]
            dh = dh + dy[:, t]
            dz = dh * (h - g)
            dg = dh * (1 - z)
            dag = dg * (1 - g ** 2)
            drh = dag @ U[:, 2 * H:].T
            dr = drh * h
            daz = dz * z * (1 - z)
            dar = dr * r * (1 - r)
            da = np.concatenate([daz, dar, dag], axis=1)
            self.W.grad += x[:, t].T @ da
            self.b.grad += da.sum(axis=0)
            dU[:, :2 * H] += h.T @ da[:, :2 * H]
            dU[:, 2 * H:] += (r * h).T @ dag
            dx[:, t] = da @ self.W.value.T
            dh = dh * z + drh * r + da[:, :2 * H] @ U[:, :2 * H].T
        self.U.grad += dU
        return dx


class ResetAfterGRU(Layer):
    """The reset gate works after the product, which has a bias of its own: g = tanh(x Wg + bg + r (h Ug + cg)).

    Starts from a given state and gives the last one.
    """

    def build(self, x_shape, state_shape):
        self.W = self.add_weight((x_shape[-1], 3 * H), name="W")
        self.U = self.add_weight((H, 3 * H), name="U")
        self.bias = self.add_weight((2, 3 * H), "zeros", name="bias")

    def forward(self, x, state):
        h, self.cache = state, []
        b, c = self.bias.value
        for t in range(x.shape[1]):
            az, ar, ag = np.split(x[:, t] @ self.W.value + b, 3, axis=1)
            uz, ur, ug = np.split(h @ self.U.value + c, 3, axis=1)
            z, r = sigmoid(az + uz), sigmoid(ar + ur)
            g = np.tanh(ag + r * ug)
            self.cache.append((x[:, t], h, z, r, g, ug))
            h = z * h + (1 - z) * g
        return h

    def backward(self, dy):
        dh, dx = dy, []
        for x, h, z, r, g, ug in reversed(self.cache):
            dag = dh * (1 - z) * (1 - g ** 2)
            daz = dh * (h - g) * z * (1 - z)
            dar = dag * ug * r * (1 - r)
            da = np.concatenate([daz, dar, dag], axis=1)
            du = np.concatenate([daz, dar, dag * r], axis=1)
            self.W.grad += x.T @ da
            self.U.grad += h.T @ du
            self.bias.grad += np.stack([da.sum(axis=0), du.sum(axis=0)])
            dx.append(da @ self.W.value.T)
            dh = dh * z + du @ self.U.value.T
        return [np.stack(dx[::-1], axis=1), dh]


def sequence(rng):
    return (rng.normal(size=(B, T, D)),)


def with_states(rng):
    return rng.normal(size=(B, T, D)), [rng.normal(size=(B, H)), rng.normal(size=(B, H))]


MASK = np.array([[1, 0, 1, 1], [1, 1, 0, 0]], bool)
OTHER_MASK = np.array([[0, 1, 1, 0], [1, 0, 1, 1]], bool)

RIGHT = {
    "lstm": Right(LSTM, sequence),
    "gates_lstm": Right(GatesLSTM, with_states),
    "peephole_lstm": Right(Peephole, sequence),
    "masked_lstm": Right(MaskedLSTM, lambda rng: (*sequence(rng), MASK), other=lambda rng: (*sequence(rng), OTHER_MASK)),
    "conv_rnn": Right(ConvRNN, lambda rng: (rng.normal(size=(2, 3, 4, 2)),)),
    "conv_lstm": Right(ConvLSTM, lambda rng: (rng.normal(size=(2, 3, 5, 1)),)),
    "gru": Right(GRU, sequence),
    "gru_reset_after": Right(ResetAfterGRU, lambda rng: (rng.normal(size=(B, T, D)), rng.normal(size=(B, H)))),
}

I, F, G, O = "0-4 of axis 1", "5-9 of axis 1", "10-14 of axis 1", "15-19 of axis 1"

FAULTS = [
    # the gates of an LSTM: the columns tell which one
    Fault("lstm", "daf = df * f * (1 - f)", "daf = df * f", "place", None, (F,)),
    Fault("lstm", "daf = df * f * (1 - f)", "daf = df * sigmoid(f) * (1 - sigmoid(f))", "place", None, (F,)),
    Fault("lstm", "dai = di * i * (1 - i)", "dai = di * (1 - i)", "place", None, (I,)),
    Fault("lstm", "dag = dg * (1 - g ** 2)", "dag = dg * (1 - g)", "place", None, (G,)),
    Fault("lstm", "dag = dg * (1 - g ** 2)", "dag = dg * g * (1 - g)", "place", None, (G,)),
    Fault("lstm", "dao = do * o * (1 - o)", "dao = do", "place", None, (O,)),
    Fault("lstm", "dao = do * o * (1 - o)", "dao = -do * o * (1 - o)", ("factor", "place"), None, (O,)),
    Fault("lstm", "df = dc * c_prev", "df = dc * c", "place", None, (F,)),
    Fault("lstm", "di = dc * g", "di = dc * i", "place", None, (I,)),
    Fault("lstm", "do = dh * tanh_c", "do = dh * c", "place", None, (O,), may=("nearly",)),
    Fault("lstm", "do = dh * tanh_c", "do = dh_next * tanh_c", "place", None, (O,)),
    Fault("lstm", "dc = dc_next + dh * o * (1 - tanh_c ** 2)", "dc = dc_next + dh * (1 - tanh_c ** 2)", "place", None,
          ("0-14 of axis 1",)),
    Fault("lstm", "dc = dc_next + dh * o * (1 - tanh_c ** 2)", "dc = dc_next + dh * o", "place", None, ("0-14 of axis 1",)),
    Fault("lstm", "(1 - tanh_c ** 2)", "(1 - np.tanh(tanh_c) ** 2)", "place", None, ("0-14 of axis 1",)),
    Fault("lstm", "dc = dc_next + dh", "dc = dh", "carry", None, ("later steps",)),
    Fault("lstm", "dh = dy[:, t] + dh_next", "dh = dy[:, t]", "carry", None, ("later steps",)),
    Fault("lstm", "dc_next = dc * f", "dc_next = dc * i", "carry", None, ("later steps",)),
    Fault("lstm", "dc_next = dc * f", "dc_next = dc", "carry", None, ("later steps",)),
    Fault("lstm", "dc_next = dc * f", "dc_next = dc_next + dc * f", "carry", None, ("later steps",)),
    Fault("lstm", "dh = dy[:, t] + dh_next", "dh = dy[:, t] + dh_next + dc_next", "carry", None, ("later steps",)),
    Fault("lstm", "dh_next = da @ self.U.value.T", "dh_next = da[:, :3 * H] @ self.U.value[:, :3 * H].T", "carry", None,
          ("later steps",)),
    Fault("lstm", "[dai, daf, dag, dao]", "[daf, dai, dag, dao]", ("place", "swapped", "moved"), None, ("0-9 of axis 1",)),
    Fault("lstm", "[dai, daf, dag, dao]", "[dai, daf, dao, dag]", ("place", "swapped", "moved"), None, ("10-19 of axis 1",)),
    Fault("lstm", "i, f, g, o = np.split(a, 4, axis=1)\n", "i, f, o, g = np.split(a, 4, axis=1)\n",
          ("place", "swapped", "moved"), None, ("10-19 of axis 1",)),
    Fault("lstm", "sigmoid(f), np.tanh(g), sigmoid(o)", "sigmoid(f), np.tanh(g), sigmoid(o) + 0.1", "place", None, (O,)),
    Fault("lstm", "sigmoid(f), np.tanh(g), sigmoid(o)", "np.clip(0.2 * f + 0.5, 0, 1), np.tanh(g), sigmoid(o)", "place", None,
          (F,)),
    Fault("lstm", "h = o * np.tanh(c)\n", "h = o * c\n", ("place", "slope"), None),
    Fault("lstm", "h = o * np.tanh(c)\n", "h = o * sigmoid(c)\n", ("place", "slope"), None),
    Fault("lstm", "c = f * c_prev + i * g", "c = np.multiply(f, c_prev, out=c if t else None) + i * g", "place", None,
          ("step|5-9",)),
    Fault("lstm", "self.U.grad += h_prev.T @ da", "self.U.grad += (o * tanh_c).T @ da", ("place", "extra"), "U"),
    Fault("lstm", "self.b.grad += da.sum(axis=0)", "self.b.grad[H:] += da.sum(axis=0)[H:]", "zero", "b",
          ("zero there", "0-4 of axis 0")),
    Fault("lstm", "self.b.grad += da.sum(axis=0)", "self.b.grad += da.mean(axis=0)", "factor", "b", ("the batch size",)),
    Fault("lstm", "self.b.grad += da.sum(axis=0)", "self.b.grad = da.sum(axis=0)", ("one_step", "replaces_grad"), None,
          may=("replaces_grad",)),
    Fault("lstm", "return dx", "return np.clip(dx, -0.1, 0.1)", "clipped", None, ("clipped", "0.1"),
          may=("not_linear", "single_use")),
    Fault("lstm", "dc_next = dc * f", "dc_next = np.clip(dc * f, -0.2, 0.2)", ("clipped", "carry", "not_linear"), None),
    Fault("lstm", "steps.append((h_prev, c_prev, i,", "steps.append((h_prev, c_prev.astype(np.float32), i,", "float32", None,
          ("float32",), may=("nearly",)),
    Fault("lstm", "x, steps = self.cache", "x, steps = self.cache\n        steps = self.__dict__.setdefault('steps', steps)",
          "stale", "", ("stale cache",)),
    Fault("lstm", "self.cache = x, steps\n", "self.cache = self.__dict__.setdefault('x', x.copy()), steps\n", "stale", "",
          ("stale cache",)),
    Fault("lstm", "reversed(range(len(steps)))", "range(len(steps))", "carry", None, ("later steps",)),
    Fault("lstm", "reversed(range(len(steps)))", "reversed(range(2, len(steps)))", "zero", "x",
          ("zero there", "0-1 of axis 1")),
    Fault("lstm", "daf = df * f * (1 - f)", "daf = df * f", "place", None, ("5-9",), more=(("dao = do * o * (1 - o)",
          "dao = do * o"),), second=Expect("place", None, ("15-19",))),
    Fault("lstm", "self.W.grad += x[:, t].T @ da", "self.W.grad += x[:, t - 1].T @ da", "place", "W", ("right",)),
    Fault("lstm", "h_prev, c_prev, i, f, g, o, c = steps[t]", "h_prev, c_prev, i, f, g, o, c = steps.pop()", "single_use", "",
          ("a second backward",)),
    Fault("lstm", "dh = dy[:, t] + dh_next", "dh = dh_next + (dy[:, t] > 0)", ("not_linear", "ignores_dy"), ""),

    # an LSTM by gates: the names of the weights tell
    Fault("gates_lstm", "f = sigmoid(z @ self.Wf.value + self.bf.value)", "f = sigmoid(z @ self.Wf.value + self.bi.value)",
          "extra", "bf", ("should be zero",)),
    Fault("gates_lstm", "(self.Wf, self.bf, daf)", "(self.Wf, self.bf, dai)", ("swapped", "place"), "Wf", may=("carry",)),
    Fault("gates_lstm", "(self.Wi, self.bi, dai), (self.Wf, self.bf, daf)", "(self.Wi, self.bi, daf), (self.Wf, self.bf, dai)",
          ("swapped", "place"), "Wf", may=("carry",)),
    Fault("gates_lstm", "daf = dc * c_prev * f * (1 - f)", "daf = dc * c_prev * sigmoid(f)", "place", "Wf",
          ("time step alone|right",)),
    Fault("gates_lstm", "dag = dc * i * (1 - g ** 2)", "dag = dc * i * (1 - np.tanh(g) ** 2)", "place", "Wc",
          ("time step alone|right",)),
    Fault("gates_lstm", "dc = dc + dh * o", "dc = dh * o", ("carry", "one_output"), None),
    Fault("gates_lstm", "dhs, dh, dc = dy", "dhs, dh, dc = dy[0], dy[1], 0", ("one_output", "place"), None, ("output 2",)),
    Fault("gates_lstm", "dhs, dh, dc = dy", "dhs, dh, dc = dy[0], 0, dy[2]", ("one_output", "place"), None, ("output 1",)),
    Fault("gates_lstm", "dhs, dh, dc = dy", "dhs, dh, dc = dy[0], 2 * dy[1], dy[2]", ("one_output", "place"), None,
          ("output 1",)),
    Fault("gates_lstm", "dh = dh + dhs[:, t]", "dh = dh + dhs[:, -1]", ("one_output", "place"), None, ("axis 1",)),
    Fault("gates_lstm", "return [np.stack(dx, axis=1), dh, dc]", "return [np.stack(dx, axis=1), dc, dh]", "swapped",
          "initial_state[0]", ("the gradient of",)),
    Fault("gates_lstm", "return [np.stack(dx, axis=1), dh, dc]", "return [np.stack(dx, axis=1), dh, dc / f]",
          ("place", "slope"), "initial_state[1]", ("right|factor of its own",)),
    Fault("gates_lstm", "dh, dx = dz[:, :H], [dz[:, H:], *dx]", "dh, dx = dz[:, -H:], [dz[:, :-H], *dx]",
          ("place", "moved", "carry"), None),
    Fault("gates_lstm", "W.grad += z.T @ da", "W.grad += self.cache[0][0].T @ da", ("place", "one_step"), "Wi"),
    Fault("gates_lstm", "dz = dz + da @ W.value.T", "dz = da @ W.value.T", ("overwritten", "place"), None,
          may=("carry", "elementwise")),
    Fault("gates_lstm", "z = np.concatenate([h, x[:, t]], axis=1)", "z = np.concatenate([initial_state[0], x[:, t]], axis=1)",
          ("place", "carry"), None, may=("mixing",)),
    Fault("gates_lstm", "            dc = dc * f\n", "            dc = dc * f\n            h = dc\n", ("shape", "place"), None,
          more=(("return [np.stack(dx, axis=1), dh, dc]", "return [np.stack(dx, axis=1), h.sum(axis=0), dc]"),)),

    # peepholes
    Fault("peephole_lstm", "            dc = dc + dao * self.po.value\n", "", "place", None, ("0-14 of axis 1",)),
    Fault("peephole_lstm", " + dai * self.pi.value + daf * self.pf.value", "", "carry", None, ("later steps",)),
    Fault("peephole_lstm", " + daf * self.pf.value", "", "carry", None, ("later steps",)),
    Fault("peephole_lstm", "(dao * c).sum(axis=0)", "(dao * c_prev).sum(axis=0)", "place", "po", ("right",)),
    Fault("peephole_lstm", "(daf * c_prev).sum(axis=0)", "(daf * c).sum(axis=0)", ("place", "extra"), "pf"),
    Fault("peephole_lstm", "(dai * c_prev).sum(axis=0)", "(daf * c_prev).sum(axis=0)", "swapped", "pi",
          ("the gradient of", "pf")),
    Fault("peephole_lstm", "(dai * c_prev).sum(axis=0)", "(dai * c_prev)[-1]", "one_sample", "pi", ("last sample alone",)),
    Fault("peephole_lstm", "o = sigmoid(ao + c * self.po.value)", "o = sigmoid(ao + c_prev * self.po.value)", "place", "po"),
    Fault("peephole_lstm", "dai = dc * g * i * (1 - i)", "dai = dc * g * i", "place", None, (I,)),

    # masks
    Fault("masked_lstm", "dc = dc_new * f + dc_kept", "dc = dc_new * f", ("mask", "carry"), None, ("mask",)),
    Fault("masked_lstm", "dh = dz[:, -H:] + dh_kept", "dh = dz[:, -H:]", ("mask", "carry"), None, ("mask",)),
    Fault("masked_lstm", "dh_kept, dc_kept = dh * ~m, dc * ~m", "dh_kept, dc_kept = dh, dc", ("mask", "carry", "place"), None,
          ("mask|right with one time step",)),
    Fault("masked_lstm", "dh_new, dc_new = dh * m, dc * m", "dh_new, dc_new = dh, dc", "mask", None, ("mask",), may=("carry",)),
    Fault("masked_lstm", "c = np.where(m, c_new, c)", "c = c_new", "mask", None, ("mask",), may=("carry",)),
    Fault("masked_lstm", "h = np.where(m, o * np.tanh(c_new), h)", "h = o * np.tanh(c_new) * m", ("mask", "carry"), None,
          ("mask",)),
    Fault("masked_lstm", "dc_new * c * f * (1 - f)", "dc_new * c_new * f * (1 - f)", "place", None, (F,)),
    Fault("masked_lstm", "[di, df, do, dg]", "[di, df, dg, do]", ("place", "swapped", "moved"), None, ("10-19 of axis 1",)),
    Fault("masked_lstm", "self.cache.append((m, z,", "self.cache.append((self.__dict__.setdefault(f'm{t}', m), z,", "stale", "",
          ("stale cache",)),

    # over windows
    Fault("conv_rnn", "dp[:, k:k + L] += dy @ K[k].T", "dp[:, k:k + L] += dy @ K[2 - k].T", "weight_reversed", None,
          ("reversed",), may=("carry",)),
    Fault("conv_rnn", "dp[:, k:k + L] += dy", "dp[:, k:k + L] = dy", ("overwritten", "place"), None, may=("carry",)),
    Fault("conv_rnn", "return dp[:, 1:-1], dK", "return dp[:, :-2], dK", ("rolled", "moved", "place", "carry"), "x"),
    Fault("conv_rnn", 'dK[k] = np.einsum("bli,blj->ij", p[:, k:k + L], dy)', 'dK[k] = np.einsum("bli,blj->ij", x, dy)',
          ("place", "swapped"), "W", ("axis 0",)),
    Fault("conv_rnn", "dK[k] = np.einsum(", "dK[2 - k] = np.einsum(", "reversed", "W", ("reverse order along axis 0",)),
    Fault("conv_rnn", "dh, dU = self.convolve_back", "_, dU = self.convolve_back", ("carry", "way_through"), None,
          ("later steps|through u is",)),
    Fault("conv_rnn", "self.convolve_back(h[t], self.U.value, da)", "self.convolve_back(h[t + 1], self.U.value, da)",
          ("place", "extra"), "U"),
    Fault("conv_rnn", "for k in range(3):\n            dK", "for k in range(2):\n            dK", ("zero", "place"), "W",
          ("2 of axis 0",)),
    Fault("conv_rnn", "self.W.grad += dW", "self.W.grad = dW", ("one_step", "replaces_grad"), None, may=("replaces_grad",)),

    Fault("conv_lstm", "dc = dc + dh * o", "dc = dh * o", "carry", None, ("later steps",)),
    Fault("conv_lstm", "dh = dh + dy[:, t]", "dh = dy[:, t]", "carry", None, ("later steps",)),
    Fault("conv_lstm", "df * f * (1 - f)", "df * f", "place", None, ("2-3 of axis 2",)),
    Fault("conv_lstm", "do * o * (1 - o)", "do * o * (1 - o ** 2)", "place", None, ("4-5 of axis 2",)),
    Fault("conv_lstm", "dp[:, k:k + L] += dwindows[:, :, k]", "dp[:, k:k + L] = dwindows[:, :, k]", ("overwritten", "place"),
          None, (), may=("carry",)),
    Fault("conv_lstm", "dp[:, k:k + L] += dwindows[:, :, k]", "dp[:, k:k + L] += dwindows[:, :, 2 - k]", "weight_reversed",
          None, ("reversed",), may=("carry",)),
    Fault("conv_lstm", "return dp[:, 1:-1]", "dp[:, 1] += dp[:, 0]\n        return dp[:, 1:-1]", "place", "x",
          ("0 of axis 2|y at 0 of its axis 2",),
          may=("carry",)),
    Fault("conv_lstm", "self.b.grad += da.sum(axis=(0, 1))", "self.b.grad += da.mean(axis=(0, 1))", "factor", "b",
          ("2 x 5|5 x 2",)),
    Fault("conv_lstm", "hw, da)", "np.roll(hw, 1, axis=1), da)", "place", "U", ("right",)),
    Fault("conv_lstm", "np.stack(dx[::-1], axis=1)", "np.stack(dx, axis=1)", "reversed", "x", ("reverse order along axis 1",)),

    # GRU
    Fault("gru", "dz = dh * (h - g)", "dz = dh * (g - h)", ("place", "factor"), None, (I,)),
    Fault("gru", "dg = dh * (1 - z)", "dg = dh * z", "place", None, ("14 of axis 1",)),
    Fault("gru", "dr = drh * h", "dr = drh * g", "place", None, (F,)),
    Fault("gru", "dr = drh * h", "dr = drh * r", "place", None, (F,)),
    Fault("gru", "drh = dag @ U[:, 2 * H:].T", "drh = dag @ U[:, 2 * H:]", "weight_transposed", None, ("u", "transposed"),
          may=("carry",)),
    Fault("gru", "(r * h).T @ dag", "h.T @ dag", "place", "U", (G,)),
    Fault("gru", "dh = dh * z + drh * r", "dh = drh * r", "carry", None, ("later steps",)),
    Fault("gru", "dh = dh * z + drh * r", "dh = dh * z + drh", "carry", None, ("later steps",)),
    Fault("gru", "dh = dh * z + drh * r", "dh = dh * z", "carry", None, ("later steps",)),
    Fault("gru", "dh = dh * z + drh * r", "dh = dh * (1 - z) + drh * r", "carry", None, ("later steps",)),
    Fault("gru", "da[:, :2 * H] @ U[:, :2 * H].T", "da @ U.T", "carry", None, ("later steps",)),
    Fault("gru", "daz = dz * z * (1 - z)", "daz = dz * (1 - z)", "place", None, (I,)),
    Fault("gru", "dar = dr * r * (1 - r)", "dar = dr * r", "place", None, (F,)),
    Fault("gru", "dag = dg * (1 - g ** 2)", "dag = dg", "place", None, ("14 of axis 1",)),
    Fault("gru", "dh = dh + dy[:, t]", "dh = dy[:, t]", "carry", None, ("later steps",)),
    Fault("gru", "h = z * h + (1 - z) * g", "h = (1 - z) * h + z * g", "place", None),
    Fault("gru", "dU[:, :2 * H] += h.T", "dU[:, :2 * H] = h.T", ("one_step", "zero"), "U", ("0-9 of axis 1",)),
    Fault("gru", "[daz, dar, dag]", "[dar, daz, dag]", ("place", "swapped", "moved"), None, ("0-9 of axis 1|other places",)),
    Fault("gru", "self.b.grad += da.sum(axis=0)", "self.b.grad += da[0]", "one_sample", "b", ("first sample alone",)),
    Fault("gru", "self.U.grad += dU", "self.U.grad += dU / len(steps)", "factor", "U", ("the number of time steps",)),
    Fault("gru", "x, steps = self.cache",
          "x, steps = self.cache\n        U0 = self.__dict__.setdefault('U0', self.U.value.copy())", "stale", "",
          ("stale cache",), more=(("drh = dag @ U[:, 2 * H:].T", "drh = dag @ U0[:, 2 * H:].T"),)),
    Fault("gru_reset_after", "h = z * h + (1 - z) * g", "h *= z\n            h += (1 - z) * g", "changes_input", None,
          ("in place",), may=("carry",)),
    Fault("gru_reset_after", "dh = dh * z + du @ self.U.value.T", "dh *= z\n            dh += du @ self.U.value.T",
          "changes_dy", None, ("in place",)),
    Fault("gru_reset_after", "dar = dag * ug * r * (1 - r)", "dar = dag * h * r * (1 - r)", "place", None, (F,)),
    Fault("gru_reset_after", "[daz, dar, dag * r]", "[daz, dar, dag]", "place", None, (G,), may=("carry",)),
    Fault("gru_reset_after", "np.stack([da.sum(axis=0), du.sum(axis=0)])", "da.sum(axis=0)", "place", "bias",
          ("10-14 of axis 1",)),
    Fault("gru_reset_after", "np.stack([da.sum(axis=0), du.sum(axis=0)])", "np.stack([du.sum(axis=0), da.sum(axis=0)])",
          ("place", "swapped", "moved", "reversed"), "bias", ("axis",)),
    Fault("gru_reset_after", "self.U.grad += h.T @ du", "self.U.grad += h.T @ da", "place", "U", (G,)),
    Fault("gru_reset_after", "dh = dh * z + du @ self.U.value.T", "dh = dh * z + da @ self.U.value.T", ("carry", "way_through"),
          None, ("later steps|through u is",)),
    Fault("gru_reset_after", "dh = dh * z + du", "dh = du", ("carry", "way_around"), None, ("later steps|a way around",)),
    Fault("gru_reset_after", "return [np.stack(dx[::-1], axis=1), dh]",
          "return [np.stack(dx[::-1], axis=1), dh - du @ self.U.value.T]", ("place", "way_through"), "state",
          ("right|through u is",)),
    Fault("gru_reset_after", "return [np.stack(dx[::-1], axis=1), dh]", "return [np.stack(dx, axis=1), dh]", "reversed", "x",
          ("reverse order along axis 1",)),
    Fault("gru_reset_after", "self.cache.append((x[:, t], h, z, r, g, ug))", "self.cache.append((x[:, t], state, z, r, g, ug))",
          "place", None),
    Fault("gru_reset_after", "g = np.tanh(ag + r * ug)", "g = np.tanh(ag + r * (ug - c[2 * H:]) + c[2 * H:])", "place", "bias",
          ("axis",)),
]
