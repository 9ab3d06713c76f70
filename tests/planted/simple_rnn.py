"""Simple recurrent layers: all states or the last one, initial states, masks, backwards, both ways, two layers."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Expect, Fault, Right

B, T, D, H = 2, 4, 3, 5


class SimpleRNN(Layer):
    """h_t = tanh(x_t W + h_{t-1} U + b); gives all h."""

    def build(self, shape):
        self.W = self.add_weight((shape[-1], H), name="W")
        self.U = self.add_weight((H, H), name="U")
        self.b = self.add_weight((H,), "zeros", name="b")

    def forward(self, x):
        h = [np.zeros((len(x), H), x.dtype)]
        for t in range(x.shape[1]):
            a = x[:, t] @ self.W.value + h[t] @ self.U.value + self.b.value
            h.append(np.tanh(a))
        self.cache = x, h
        return np.stack(h[1:], axis=1)

    def backward(self, dy):
        x, h = self.cache
        T = x.shape[1]
        dx = np.zeros(x.shape, x.dtype)
        dcarry = np.zeros((len(x), H), x.dtype)
        for t in reversed(range(T)):
            dh = dy[:, t] + dcarry
            da = dh * (1 - h[t + 1] ** 2)
            self.W.grad += x[:, t].T @ da
            self.U.grad += h[t].T @ da
            self.b.grad += da.sum(axis=0)
            dx[:, t] = da @ self.W.value.T
            dcarry = da @ self.U.value.T
        return dx


class LastState(Layer):
    """The last state of a relu RNN that starts from a given one."""

    def build(self, x_shape, initial_state_shape):
        self.W = self.add_weight((x_shape[-1], H), name="W")
        self.U = self.add_weight((H, H), name="U")

    def forward(self, x, initial_state):
        h, self.steps = initial_state, []
        for t in range(x.shape[1]):
            a = x[:, t] @ self.W.value + h @ self.U.value
            self.steps.append((h, a > 0))
            h = np.maximum(a, 0) + 0.1 * a
        self.cache = x, self.steps
        return h

    def backward(self, dy):
        x, steps = self.cache
        dh, dx = dy, np.zeros_like(x)
        for t in range(x.shape[1] - 1, -1, -1):
            before, on = steps[t]
            da = dh * (on + 0.1)
            self.W.grad += x[:, t].T @ da
            self.U.grad += before.T @ da
            dx[:, t] = da @ self.W.value.T
            dh = da @ self.U.value.T
        return [dx, dh]


class MaskedRNN(Layer):
    """A masked step keeps the state of the step before."""

    def build(self, shape):
        self.W = self.add_weight((shape[-1], H), name="W")
        self.U = self.add_weight((H, H), name="U")

    def forward(self, x, mask=None):
        h, steps = np.zeros((len(x), H), x.dtype), []
        for t in range(x.shape[1]):
            m = mask[:, t, None]
            new = np.tanh(x[:, t] @ self.W.value + h @ self.U.value)
            steps.append((h, new, m))
            h = np.where(m, new, h)
        self.cache = x, steps
        return np.stack([s[0] for s in steps[1:]] + [h], axis=1)

    def backward(self, dy):
        x, steps = self.cache
        dx, dh = np.zeros_like(x), 0
        for t in reversed(range(len(steps))):
            before, new, m = steps[t]
            dh = dh + dy[:, t]
            da = dh * m * (1 - new ** 2)
            self.W.grad += x[:, t].T @ da
            self.U.grad += before.T @ da
            dx[:, t] = da @ self.W.value.T
            dh = dh * ~m + da @ self.U.value.T
        return dx


class Backwards(Layer):
    """An RNN that reads from the last step to the first and gives its states in the order in which it made them."""

    def build(self, shape):
        self.W = self.add_weight((shape[-1], H), name="W")
        self.U = self.add_weight((H, H), name="U")

    def forward(self, x):
        r = x[:, ::-1]
        h = [np.zeros((len(x), H), x.dtype)]
        for t in range(x.shape[1]):
            h.append(np.tanh(r[:, t] @ self.W.value + h[-1] @ self.U.value))
        self.cache = r, np.stack(h, axis=1)
        return np.stack(h[1:], axis=1)

    def backward(self, dy):
        r, h = self.cache
        da = np.zeros_like(dy)
        carry = 0
        for t in reversed(range(r.shape[1])):
            da[:, t] = (dy[:, t] + carry) * (1 - h[:, t + 1] ** 2)
            carry = da[:, t] @ self.U.value.T
        self.W.grad += np.einsum("btd,bth->dh", r, da)
        self.U.grad += np.einsum("bth,btk->hk", h[:, :-1], da)
        dr = da @ self.W.value.T
        return dr[:, ::-1]


class Bidirectional(Layer):
    """Two RNNs, one from either end; their states of one step stand side by side."""

    def build(self, shape):
        self.W = [self.add_weight((shape[-1], 3), name=f"W_{way}") for way in ("forward", "backward")]
        self.U = [self.add_weight((3, 3), name=f"U_{way}") for way in ("forward", "backward")]

    def walk(self, x, W, U):
        h = [np.zeros((len(x), 3), x.dtype)]
        for t in range(x.shape[1]):
            h.append(np.tanh(x[:, t] @ W.value + h[-1] @ U.value))
        return np.stack(h, axis=1)

    def walk_back(self, x, h, dy, W, U):
        dx, carry = np.zeros_like(x), 0
        for t in reversed(range(x.shape[1])):
            da = (dy[:, t] + carry) * (1 - h[:, t + 1] ** 2)
            W.grad += x[:, t].T @ da
            U.grad += h[:, t].T @ da
            dx[:, t] = da @ W.value.T
            carry = da @ U.value.T
        return dx

    def forward(self, x):
        h = self.walk(x, self.W[0], self.U[0])
        g = self.walk(x[:, ::-1], self.W[1], self.U[1])
        self.cache = x, h, g
        return np.concatenate([h[:, 1:], g[:, :0:-1]], axis=2)

    def backward(self, dy):
        x, h, g = self.cache
        dh, dg = dy[:, :, :3], dy[:, :, 3:]
        dx = self.walk_back(x, h, dh, self.W[0], self.U[0])
        dr = self.walk_back(x[:, ::-1], g, dg[:, ::-1], self.W[1], self.U[1])
        return dx + dr[:, ::-1]


class Stacked(Layer):
    """Two RNNs, the second reads the states of the first; gives the second one's last state."""

    def build(self, shape):
        self.W1, self.U1 = self.add_weight((shape[-1], 2), name="W1"), self.add_weight((2, 2), name="U1")
        self.W2, self.U2 = self.add_weight((2, H), name="W2"), self.add_weight((H, H), name="U2")

    def forward(self, x):
        h, g = np.zeros((len(x), 2), x.dtype), np.zeros((len(x), H), x.dtype)
        self.cache = steps = []
        for t in range(x.shape[1]):
            before = h, g
            h = np.tanh(x[:, t] @ self.W1.value + h @ self.U1.value)
            g = np.tanh(h @ self.W2.value + g @ self.U2.value)
            steps.append((x[:, t], *before, h, g))
        return g

    def backward(self, dy):
        dh, dg, dx = 0, dy, []
        for x, h_before, g_before, h, g in reversed(self.cache):
            da2 = dg * (1 - g ** 2)
            self.W2.grad += h.T @ da2
            self.U2.grad += g_before.T @ da2
            dg = da2 @ self.U2.value.T
            dh = dh + da2 @ self.W2.value.T
            da1 = dh * (1 - h ** 2)
            self.W1.grad += x.T @ da1
            self.U1.grad += h_before.T @ da1
            dh = da1 @ self.U1.value.T
            dx.append(da1 @ self.W1.value.T)
        return np.stack(dx[::-1], axis=1)


class UnitsFirst(Layer):
    """Coursera's RNN: x (D, m, T) and a0 (H, m), the samples stand along axis 1; gives all a (H, m, T)."""

    def build(self, x_shape, a0_shape):
        D, H = x_shape[0], a0_shape[0]
        self.Wax = self.add_weight((H, D), name="Wax")
        self.Waa = self.add_weight((H, H), name="Waa")
        self.ba = self.add_weight((H, 1), "zeros", name="ba")

    def forward(self, x, a0):
        a = np.zeros((*a0.shape, x.shape[2]), x.dtype)
        a_next, caches = a0, []
        for t in range(x.shape[2]):
            a_prev = a_next
            a_next = np.tanh(self.Wax.value @ x[:, :, t] + self.Waa.value @ a_prev + self.ba.value)
            a[:, :, t] = a_next
            caches.append((a_next, a_prev, x[:, :, t]))
        self.cache = caches
        return a

    def backward(self, da):
        caches = self.cache
        dx = np.zeros((self.Wax.shape[1], da.shape[1], len(caches)), da.dtype)
        da_prev = np.zeros(da.shape[:2], da.dtype)
        for t in reversed(range(len(caches))):
            a_next, a_prev, xt = caches[t]
            dtanh = (1 - a_next ** 2) * (da[:, :, t] + da_prev)
            dx[:, :, t] = self.Wax.value.T @ dtanh
            self.Wax.grad += dtanh @ xt.T
            self.Waa.grad += dtanh @ a_prev.T
            self.ba.grad += dtanh.sum(axis=1, keepdims=True)
            da_prev = self.Waa.value.T @ dtanh
        return [dx, da_prev]


class DropoutRNN(Layer):
    """An RNN whose states are dropped in training on their way to the next step, the same units at each step."""

    rate = 0.25

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.rng = np.random.default_rng(3)

    def build(self, shape):
        self.W = self.add_weight((shape[-1], H), name="W")
        self.U = self.add_weight((H, H), name="U")

    def forward(self, x, training=False):
        h, steps, ones = np.zeros((len(x), H), x.dtype), [], np.ones((len(x), H))
        keep = (self.rng.random(ones.shape) >= self.rate) / (1 - self.rate) if training else ones
        for t in range(x.shape[1]):
            dropped = h * keep
            h = np.tanh(x[:, t] @ self.W.value + dropped @ self.U.value)
            steps.append((x[:, t], dropped, h))
        self.cache = steps, keep
        return h

    def backward(self, dy):
        steps, keep = self.cache
        dh, dx = dy, []
        for x, dropped, h in reversed(steps):
            da = dh * (1 - h ** 2)
            self.W.grad += x.T @ da
            self.U.grad += dropped.T @ da
            dx.append(da @ self.W.value.T)
            dh = da @ self.U.value.T * keep
        return np.stack(dx[::-1], axis=1)


class PenalisedRNN(Layer):
    """An RNN with a penalty on its states, 0.05 times the sum of their squares."""

    def build(self, shape):
        self.W = self.add_weight((shape[-1], H), name="W")
        self.U = self.add_weight((H, H), name="U")

    def forward(self, x):
        h = [np.zeros((len(x), H), x.dtype)]
        for t in range(x.shape[1]):
            h.append(np.tanh(x[:, t] @ self.W.value + h[t] @ self.U.value))
        h = np.stack(h, axis=1)
        self.add_loss(0.05 * float((h ** 2).sum()))
        self.cache = x, h
        return h[:, 1:].copy()

    def backward(self, dy):
        x, h = self.cache
        d = dy + 0.1 * h[:, 1:]
        dx, dh = np.zeros_like(x), 0
        for t in reversed(range(x.shape[1])):
            da = (d[:, t] + dh) * (1 - h[:, t + 1] ** 2)
            self.W.grad += x[:, t].T @ da
            self.U.grad += h[:, t].T @ da
            dx[:, t] = da @ self.W.value.T
            dh = da @ self.U.value.T
        return dx


def sequence(rng):
    return (rng.normal(size=(B, T, D)),)


def with_state(rng):
    return rng.normal(size=(B, T, D)), rng.normal(size=(B, H))


MASK = np.array([[1, 1, 0, 1], [0, 1, 1, 0]], bool)
OTHER_MASK = np.array([[0, 1, 1, 1], [1, 0, 1, 1]], bool)

RIGHT = {
    "simple_rnn": Right(SimpleRNN, sequence),
    "last_state": Right(LastState, with_state),
    "masked_rnn": Right(MaskedRNN, lambda rng: (*sequence(rng), MASK), other=lambda rng: (*sequence(rng), OTHER_MASK)),
    "backwards_rnn": Right(Backwards, sequence),
    "bidirectional_rnn": Right(Bidirectional, sequence),
    "stacked_rnn": Right(Stacked, sequence),
    "units_first_rnn": Right(UnitsFirst, lambda rng: (rng.normal(size=(D, B, T)), rng.normal(size=(H, B)))),
    "dropout_rnn": Right(DropoutRNN, sequence, {"training": True}),
    "penalised_rnn": Right(PenalisedRNN, sequence),
}

FAULTS = [
    Fault("simple_rnn", "dh = dy[:, t] + dcarry", "dh = dy[:, t]", "carry", None, ("later steps",)),
    Fault("simple_rnn", "dcarry = da @ self.U.value.T", "dcarry += da @ self.U.value.T", "carry", None, ("later steps",)),
    Fault("simple_rnn", "dcarry = da @ self.U.value.T", "dcarry = dh @ self.U.value.T", "carry", None, ("later steps",)),
    Fault("simple_rnn", "dcarry = da @ self.U.value.T", "dcarry = da @ self.U.value", "weight_transposed", None,
          ("u", "transposed"), may=("carry",)),
    Fault("simple_rnn", "dcarry = da @ self.U.value.T", "dcarry = 0.5 * da @ self.U.value.T", "carry", None, ("later steps",)),
    Fault("simple_rnn", "dcarry = da @ self.U.value.T", "dcarry = da", "carry", None, ("later steps",)),
    Fault("simple_rnn", "self.U.grad += h[t].T @ da", "self.U.grad += h[t + 1].T @ da", ("place", "extra", "rolled"), "U"),
    Fault("simple_rnn", "self.U.grad += h[t].T @ da", "self.U.grad += h[t - 1].T @ da", ("place", "extra", "rolled"), "U"),
    Fault("simple_rnn", "h.append(np.tanh(a))", "h.append(np.tanh(a).astype(np.float32))", "float32", "", ("float32",),
          may=("nearly",)),
    Fault("simple_rnn", "self.U.grad += h[t].T @ da", "self.U.grad += da.T @ h[t]", "transposed", "U", ("transposed",)),
    Fault("simple_rnn", "self.W.grad += x[:, t].T @ da", "self.W.grad = x[:, t].T @ da", ("one_step", "replaces_grad"), None,
          may=("replaces_grad",)),
    Fault("simple_rnn", "self.b.grad += da.sum(axis=0)", "self.b.grad += da[-1]", "one_sample", "b", ("last sample alone",)),
    Fault("simple_rnn", "            self.b.grad += da.sum(axis=0)\n", "", ("one_step", "place"), "b",
          ("time step alone|y at 1-3 of",), more=(("return dx", "self.b.grad += da.sum(axis=0)\n        return dx"),),
          may=("one_step",)),
    Fault("simple_rnn", "(1 - h[t + 1] ** 2)", "(1 - h[t + 1])", ("slope", "place"), None),
    Fault("simple_rnn", "(1 - h[t + 1] ** 2)", "(1 - h[t] ** 2)", "place", None),
    Fault("simple_rnn", "(1 - h[t + 1] ** 2)", "(1 - np.tanh(h[t + 1]) ** 2)", ("slope", "place"), None),
    Fault("simple_rnn", "for t in reversed(range(T)):", "for t in reversed(range(1, T)):", "zero", "x",
          ("zero there", "0 of axis 1")),
    Fault("simple_rnn", "for t in reversed(range(T)):", "for t in reversed(range(T - 1)):", ("zero", "place"), "x",
          ("3", "axis 1"), may=("carry",)),
    Fault("simple_rnn", "for t in reversed(range(T)):", "for t in range(T):", "carry", None, ("later steps",)),
    Fault("simple_rnn", "dh = dy[:, t] + dcarry", "dh = (dy[:, t] if t == T - 1 else 0) + dcarry", ("place", "one_step"), None,
          ("axis 1",), may=("one_step",)),
    Fault("simple_rnn", "dh = dy[:, t] + dcarry", "dh = dy[:, -1] + dcarry", "place", None, ("axis 1",)),
    Fault("simple_rnn", "dh = dy[:, t] + dcarry", "dh = dy[:, t] + (dcarry if t % 2 else 0)", "carry", None, ("later steps",)),
    Fault("simple_rnn", "dh = dy[:, t] + dcarry", "dy[:, t] += dcarry\n            dh = dy[:, t]", "changes_dy", None,
          ("in place",)),
    Fault("simple_rnn", "return dx", "self.W.grad /= T\n        return dx", "factor", "W", ("the number of time steps",),
          may=("single_use",)),
    Fault("simple_rnn", "return dx", "return dx / len(x)", "factor", "x", ("the batch size",)),
    Fault("simple_rnn", "return dx",
          "for p in self.weights:\n            np.clip(p.grad, -0.5, 0.5, out=p.grad)\n        return dx", "clipped", None,
          ("clipped", "0.5"), may=("not_linear", "single_use", "replaces_grad")),
    Fault("simple_rnn", "return dx",
          "norm = np.sqrt(sum((p.grad ** 2).sum() for p in self.weights))\n        for p in self.weights:\n"
          "            p.grad *= min(1, 1 / norm)\n        return dx", "clipped", None, ("clipped", "norm"),
          may=("not_linear", "single_use", "replaces_grad")),
    Fault("simple_rnn", "self.cache = x, h", "self.UT = getattr(self, 'UT', self.U.value.T.copy())\n        self.cache = x, h",
          "stale", "", ("stale cache",), more=(("da @ self.U.value.T", "da @ self.UT"),)),
    Fault("simple_rnn", "self.cache = x, h", "self.kept = getattr(self, 'kept', []) + h\n        self.cache = x, self.kept",
          "stale", "", ("stale cache",)),
    Fault("simple_rnn", "x, h = self.cache", "x, h = self.cache\n        h = [a.astype(np.float32) for a in h]", "float32",
          None, ("float32",), may=("nearly",)),
    Fault("simple_rnn", "dx = np.zeros(x.shape, x.dtype)", "dx = np.zeros(x.shape, np.float32)", "float32", None, ("float32",),
          may=("nearly",)),
    Fault("simple_rnn", "da = dh * (1 - h[t + 1] ** 2)", "h[t + 1] = 1 - h[t + 1] ** 2\n            da = dh * h[t + 1]",
          "single_use", "", ("a second backward",)),
    Fault("simple_rnn", "dx = np.zeros(x.shape, x.dtype)", "self.dx = dx = getattr(self, 'dx', np.zeros(x.shape, x.dtype))",
          "adds_up", None, ("adds up",), more=(("dx[:, t] = da", "dx[:, t] += da"),), may=("stale", "single_use")),
    Fault("simple_rnn", "return dx", "self.W.grad += 0.001 * self.W.value\n        return dx", "decay", "W",
          ("times the weight itself",), may=("not_linear",)),
    Fault("simple_rnn", "+ h[t] @ self.U.value +", "+ h[t] @ self.U.value.T +", ("weight_transposed", "transposed"), None,
          ("u", "transposed"), may=("transposed", "carry")),
    Fault("simple_rnn", "h.append(np.tanh(a))", "h.append(np.maximum(a, 0))", ("slope", "place"), None),
    Fault("simple_rnn", "dx[:, t] = da @ self.W.value.T", "dx[:, T - 1 - t] = da @ self.W.value.T", "reversed", "x",
          ("reverse order along axis 1",)),
    Fault("simple_rnn", "dh = dy[:, t] + dcarry", "dh = dy[:, t]", "carry", None, ("later steps",),
          more=(("self.b.grad += da.sum(axis=0)", "self.b.grad += da.mean(axis=0)"),),
          second=Expect(("factor", "place"), "b", ("the batch size",))),
    Fault("simple_rnn", "            self.b.grad += da.sum(axis=0)\n", "", "missing", "b", ("all zeros",)),

    Fault("simple_rnn", "return dx", "self.W.value -= 0.01 * self.W.grad\n        return dx", "changes_weight", None, ("w",)),
    Fault("simple_rnn", "h = [np.zeros((len(x), H), x.dtype)]", "x -= x.mean()\n        h = [np.zeros((len(x), H), x.dtype)]",
          "changes_input", None, ("in place",)),
    Fault("simple_rnn", "            dx[:, t] = da @ self.W.value.T\n", "", "missing", "x", ("all zeros",)),
    Fault("simple_rnn", "return dx", "return self.W.grad", "shape", "x", ("shape",), may=("adds_up",)),

    # the last state, from a given one
    Fault("last_state", "return [dx, dh]", "return [dx, dy]", ("place", "elementwise"), "initial_state",
          ("right|elementwise",)),
    Fault("last_state", "return [dx, dh]", "return [dx, da]", ("place", "way_through"), "initial_state", ("right|u is zero",)),
    Fault("last_state", "return [dx, dh]", "return [dx, None]", "missing", "initial_state", ("none",)),
    Fault("last_state", "return [dx, dh]", "return [dx, 0 * dh]", "missing", "initial_state", ("all zeros",)),
    Fault("last_state", "return [dx, dh]", "return dx", ("missing", "shape"), None),
    Fault("last_state", "self.steps.append((h, a > 0))", "self.steps.append((h, a > 0 if t else np.ones_like(a, bool)))",
          "place", None, ("axis 1",)),
    Fault("last_state", "self.steps.append((h, a > 0))", "self.steps.append((h, self.__dict__.setdefault(f'on{t}', a > 0)))",
          "stale", "", ("stale cache",)),
    Fault("last_state", "da = dh * (on + 0.1)", "da = dh * on", ("slope", "place"), None),
    Fault("last_state", "da = dh * (on + 0.1)", "da = dh", ("slope", "place", "same_elsewhere"), None, may=("same_elsewhere",)),
    Fault("last_state", "dh = da @ self.U.value.T", "dh = dh @ self.U.value.T", "carry", None, ("later steps",),
          may=("same_elsewhere",)),
    Fault("last_state", "self.U.grad += before.T @ da", "self.U.grad += x[:, :1, 0].T @ da", "place", "U", ("right",)),
    Fault("last_state", "self.steps.append((h, a > 0))", "self.steps.append((initial_state, a > 0))", "place", "U", ("right",)),
    Fault("last_state", "a = x[:, t] @ self.W.value + h @ self.U.value",
          "a = x[:, t] @ self.W.value + (h @ self.U.value if t else 0)", "extra", "initial_state", ("should be zero",)),
    Fault("last_state", "return [dx, dh]", "return [dx, dh.mean(axis=0)]", "shape", "initial_state", ("shape",)),

    # masks
    Fault("masked_rnn", "dh = dh * ~m + da @ self.U.value.T", "dh = da @ self.U.value.T", ("mask", "carry"), None,
          ("mask|later steps",)),
    Fault("masked_rnn", "dh = dh * ~m + da @ self.U.value.T", "dh = dh + da @ self.U.value.T", ("mask", "carry"), None,
          ("mask|later steps",)),
    Fault("masked_rnn", "da = dh * m * (1", "da = dh * (1", "mask", None, ("mask",), may=("carry",)),
    Fault("masked_rnn", "before, new, m = steps[t]", "before, new, m = *steps[t][:2], steps[t - 1][2]", "mask", None, ("mask",),
          may=("carry",)),
    Fault("masked_rnn", "da = dh * m * (1", "da = dh * ~m * (1", "mask", None, ("mask",), may=("carry",)),
    Fault("masked_rnn", "m = mask[:, t, None]", "m = self.__dict__.setdefault('mask', mask)[:, t, None]", "stale", "",
          ("stale cache",), more=(("h = np.where(m, new, h)", "h = np.where(mask[:, t, None], new, h)"),)),
    Fault("masked_rnn", "h = np.where(m, new, h)", "h = new", "mask", None, ("mask",), may=("carry",)),
    Fault("masked_rnn", "h = np.where(m, new, h)", "h = np.where(m, new, 0)", ("mask", "carry"), None, ("mask",)),
    Fault("masked_rnn", "dh = dh + dy[:, t]", "dh = dh + dy[:, t] * m", "mask", None, ("mask",), may=("carry",)),
    Fault("masked_rnn", "dh = dh * ~m + da", "dh = da", ("mask", "carry"), None, ("mask",), more=(("dx[:, t] = da @",
          "dx[:, t] = da.mean() + da @"),), second=Expect(("mask", "place"), "x")),

    # backwards
    Fault("backwards_rnn", "return dr[:, ::-1]", "return dr", "reversed", "x", ("reverse order along axis 1",)),
    Fault("backwards_rnn", '"btd,bth->dh", r, da', '"btd,bth->dh", r[:, ::-1], da', "place", "W", ("right",)),
    Fault("backwards_rnn", "(dy[:, t] + carry)", "(dy[:, -1 - t] + carry)", ("place", "reversed"), None, ("axis 1",)),
    Fault("backwards_rnn", '"bth,btk->hk", h[:, :-1], da', '"bth,btk->hk", h[:, 1:], da', ("place", "extra"), "U"),
    Fault("backwards_rnn", "for t in reversed(range(r.shape[1])):", "for t in range(r.shape[1]):", ("carry", "place"), None,
          ("later steps|right with one time step",)),
    Fault("backwards_rnn", "return np.stack(h[1:], axis=1)", "return np.stack(h[:0:-1], axis=1)", ("place", "reversed"), None,
          ("axis 1",)),
    Fault("backwards_rnn", "carry = da[:, t] @ self.U.value.T", "carry = da[:, t] @ self.U.value", "weight_transposed", None,
          ("u", "transposed"), may=("carry",)),

    # both ways
    Fault("bidirectional_rnn", "return dx + dr[:, ::-1]", "return dx", "place", "x", ("3-5", "axis 2"), may=("way_through",)),
    Fault("bidirectional_rnn", "return dx + dr[:, ::-1]", "return dx + dr", ("place", "reversed"), "x", ("3-5", "axis 2"),
          may=("way_through",)),
    Fault("bidirectional_rnn", "g, dg[:, ::-1], self.W[1]", "g, dg, self.W[1]", ("place", "reversed"), None, ("axis 1|axis 2",),
          may=("moved",)),
    Fault("bidirectional_rnn", "dh, dg = dy[:, :, :3], dy[:, :, 3:]", "dg, dh = dy[:, :, :3], dy[:, :, 3:]",
          ("place", "swapped", "moved"), "x", ("axis 2",)),
    Fault("bidirectional_rnn", "x[:, ::-1], g, dg[:, ::-1]", "x, g, dg[:, ::-1]", "place", "W_backward", ("right",)),
    Fault("bidirectional_rnn", "x[:, ::-1], g, dg[:, ::-1], self.W[1], self.U[1])",
          "x[:, ::-1], g, dg[:, ::-1], self.W[1], self.U[0])", ("place", "missing"), "U_backward", may=("carry",)),
    Fault("bidirectional_rnn", "x[:, ::-1], g, dg", "x[:, ::-1], h, dg", "place", None, ("3-5", "axis 2")),
    Fault("bidirectional_rnn", "(dy[:, t] + carry)", "(dy[:, t])", "carry", None, ("later steps",)),
    Fault("bidirectional_rnn", "return dx + dr[:, ::-1]", "return (dx + dr[:, ::-1]) / 2", "factor", "x", ("half",)),
    Fault("bidirectional_rnn", "return np.concatenate([h[:, 1:], g[:, :0:-1]], axis=2)",
          "return np.concatenate([h[:, 1:], g[:, 1:]], axis=2)", ("place", "reversed"), None, ("axis 1|axis 2",),
          may=("moved",)),

    # units first, samples second
    Fault("units_first_rnn", "(da[:, :, t] + da_prev)", "da[:, :, t]", ("carry", "place"), None, ("later steps|axis 2",),
          may=("one_step",)),
    Fault("units_first_rnn", "self.Waa.value.T @ dtanh", "self.Waa.value @ dtanh", "weight_transposed", None,
          ("waa", "transposed"), may=("carry",)),
    Fault("units_first_rnn", "self.Waa.grad += dtanh @ a_prev.T", "self.Waa.grad += dtanh @ a_next.T", "place", "Waa",
          ("right",)),
    Fault("units_first_rnn", "self.Waa.grad += dtanh @ a_prev.T", "self.Waa.grad += a_prev @ dtanh.T", "transposed", "Waa",
          ("transposed",)),
    Fault("units_first_rnn", "return [dx, da_prev]", "self.Wax.grad /= da.shape[1]\n        return [dx, da_prev]", "factor",
          "Wax", ("half",), may=("single_use",)),
    Fault("units_first_rnn", "dtanh.sum(axis=1, keepdims=True)", "dtanh[:, :1]", ("one_sample", "missing_sum", "one_step"),
          "ba", ("axis 1",)),
    Fault("units_first_rnn", "return [dx, da_prev]", "return [dx[:, :, ::-1], da_prev]", "reversed", "x",
          ("reverse order along axis 2",)),
    Fault("units_first_rnn", "return [dx, da_prev]", "return [dx.transpose(2, 1, 0), da_prev]", "shape", "x", ("shape",),
          may=("transposed",)),
    Fault("units_first_rnn", "return [dx, da_prev]", "return [dx, dtanh]", ("place", "way_through"), "a0",
          ("right|waa is zero",)),
    Fault("units_first_rnn", "a_prev = a_next\n", "a_prev = a0\n", ("place", "carry"), None),

    # dropout between the steps
    Fault("dropout_rnn", "dh = da @ self.U.value.T * keep", "dh = da @ self.U.value.T", ("carry", "way_through"), None,
          ("later steps|through u is",), may=("mask",)),
    Fault("dropout_rnn", "steps.append((x[:, t], dropped, h))", "steps.append((x[:, t], h, h))",
          ("place", "way_through", "extra"), "U",
          ("right|should be zero",)),
    Fault("dropout_rnn", "        self.cache = steps, keep",
          "        keep = (self.rng.random(ones.shape) >= self.rate) / (1 - self.rate)\n        self.cache = steps, keep",
          ("carry", "mask", "way_through"), None, ("later steps|mask|through u is",)),
    Fault("dropout_rnn", "self.rng.random(ones.shape)", "np.random.default_rng().random(ones.shape)", "random", "",
          ("random numbers",)),
    Fault("dropout_rnn", "        self.cache = steps, keep",
          "        self.cache = steps, self.__dict__.setdefault('keep', keep)", "stale", "", ("stale cache",)),
    Fault("dropout_rnn", "steps, keep = self.cache",
          "steps, keep = self.cache\n        keep = keep * (self.rng.random(keep.shape) > 0.2)",
          ("single_use", "random", "carry"), None, (), may=("single_use", "random", "carry", "mask")),
    Fault("dropout_rnn", "/ (1 - self.rate) if training", "* (1 - self.rate) if training", ("place", "carry"), None,
          more=(("        self.cache = steps, keep", "        self.cache = steps, keep / (1 - self.rate) ** 2"),)),

    # a penalty
    Fault("penalised_rnn", "d = dy + 0.1 * h[:, 1:]", "d = dy", "penalty", None, ("penalt",)),
    Fault("penalised_rnn", "d = dy + 0.1 * h[:, 1:]", "d = dy + 0.05 * h[:, 1:]", "penalty", None, ("penalt",)),
    Fault("penalised_rnn", "d = dy + 0.1 * h[:, 1:]", "d = dy + 0.1 * h[:, 1:] / len(h)", "penalty", None, ("penalt",)),
    Fault("penalised_rnn", "d = dy + 0.1 * h[:, 1:]", "d = dy + 0.1 * h[:, :-1]", "penalty", None, ("penalt",)),
    Fault("penalised_rnn", "(d[:, t] + dh)", "d[:, t]", "carry", None, ("later steps",)),

    # two layers
    Fault("stacked_rnn", "dh = dh + da2 @ self.W2.value.T", "dh = da2 @ self.W2.value.T", ("carry", "way_through"), None,
          ("later steps|through u1 is",)),
    Fault("stacked_rnn", "dg = da2 @ self.U2.value.T", "dg = 0", ("carry", "way_through", "one_step"), None,
          ("later steps|through u2 is|time step alone",)),
    Fault("stacked_rnn", "da1 = dh * (1 - h ** 2)", "da1 = dh", ("place", "slope"), "W1"),
    Fault("stacked_rnn", "self.U2.grad += g_before.T @ da2", "self.U2.grad += g.T @ da2", ("place", "extra"), "U2"),
    Fault("stacked_rnn", "self.U1.grad += h_before.T @ da1", "self.U1.grad += h_before.T @ dh", "place", "U1", ("right",)),
    Fault("stacked_rnn", "self.W2.grad += h.T @ da2", "self.W2.grad += h_before.T @ da2", "place", "W2", ("right",)),
    Fault("stacked_rnn", "np.stack(dx[::-1], axis=1)", "np.stack(dx, axis=1)", "reversed", "x",
          ("reverse order along axis 1",)),
    Fault("stacked_rnn", "reversed(self.cache)", "self.cache[::-1][:1]", ("shape", "one_step", "place"), None, may=("carry",)),
    Fault("stacked_rnn", "self.cache = steps = []",
          "self.steps = steps = getattr(self, 'steps', [])\n        self.cache = steps[-99:]", ("stale", "shape"), None,
          more=(("        return g\n", "        self.cache = steps\n        return g\n"),)),
    Fault("stacked_rnn", "dg = da2 @ self.U2.value.T", "dg = da2 @ self.U2.value", "weight_transposed", None,
          ("u2", "transposed"), may=("carry",)),
    Fault("stacked_rnn", "da2 = dg * (1 - g ** 2)", "da2 = dg * (1 - g_before ** 2)", "place", "W2"),
]
