"""Attention: dot product, scaled with three inputs, masks, causal, two heads, additive, and a block with a residual."""
import numpy as np

from nblayers.layers import Layer
from tests.planted import Expect, Fault, Right

B, T, S, D, H, K = 2, 3, 5, 4, 2, 3           # queries T, keys S, features D; H heads of size K


def softmax(scores):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class DotAttention(Layer):
    """y = softmax(query value^T) value: Luong's attention, the values are the keys."""

    def forward(self, query, value):
        scores = query @ value.transpose(0, 2, 1)               # (1)
        p = softmax(scores)                                     # (2)
        self.cache = query, value, p
        return p @ value                                        # (3)

    def backward(self, dy):
        query, value, p = self.cache
        dvalue = p.transpose(0, 2, 1) @ dy                      # from (3)
        dp = dy @ value.transpose(0, 2, 1)
        dscores = p * (dp - (p * dp).sum(axis=-1, keepdims=True))       # from (2)
        dquery = dscores @ value                                # from (1)
        dvalue = dvalue + dscores.transpose(0, 2, 1) @ query
        return [dquery, dvalue]


class ScaledAttention(Layer):
    """y = softmax(query key^T / sqrt(d)) value with a mask of real keys."""

    def forward(self, query, key, value, mask=None):
        scale = 1 / np.sqrt(query.shape[-1])
        scores = query @ key.transpose(0, 2, 1) * scale
        if mask is not None:
            scores = np.where(mask[:, None, :], scores, -1e9)
        p = softmax(scores)
        self.cache = query, key, value, p, scale
        return p @ value

    def backward(self, dy):
        query, key, value, p, scale = self.cache
        dvalue = p.transpose(0, 2, 1) @ dy
        dp = dy @ value.transpose(0, 2, 1)
        ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
        dquery = ds @ key * scale
        dkey = ds.transpose(0, 2, 1) @ query * scale
        return [dquery, dkey, dvalue]


class MaskedQueries(Layer):
    """Attention of a sequence to itself; steps that are not real give zeros, and nobody looks at them."""

    def forward(self, x, mask=None):
        scores = np.where(mask[:, None, :], x @ x.transpose(0, 2, 1), -1e9)
        p = softmax(scores)
        self.cache = x, p, mask
        return (p @ x) * mask[:, :, None]

    def backward(self, dy):
        x, p, mask = self.cache
        d = dy * mask[:, :, None]
        dp = d @ x.transpose(0, 2, 1)
        ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
        dx = p.transpose(0, 2, 1) @ d
        dx += ds @ x
        dx += ds.transpose(0, 2, 1) @ x
        return dx


class CausalAttention(Layer):
    """One head over x (B, T, D): a step looks at itself and at what came before."""

    def build(self, shape):
        self.Wq, self.Wk, self.Wv = (self.add_weight((shape[-1], K), name=name) for name in ("Wq", "Wk", "Wv"))

    def forward(self, x):
        q, k, v = x @ self.Wq.value, x @ self.Wk.value, x @ self.Wv.value
        seen = np.tril(np.ones((x.shape[1], x.shape[1]), bool))
        p = softmax(np.where(seen, q @ k.transpose(0, 2, 1) / np.sqrt(K), -np.inf))
        self.cache = x, q, k, v, p
        return p @ v

    def backward(self, dy):
        x, q, k, v, p = self.cache
        dp = dy @ v.transpose(0, 2, 1)
        ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True)) / np.sqrt(K)
        dq = ds @ k
        dk = ds.transpose(0, 2, 1) @ q
        dv = p.transpose(0, 2, 1) @ dy
        self.Wq.grad += np.einsum("btd,btk->dk", x, dq)
        self.Wk.grad += np.einsum("btd,btk->dk", x, dk)
        self.Wv.grad += np.einsum("btd,btk->dk", x, dv)
        return dq @ self.Wq.value.T + dk @ self.Wk.value.T + dv @ self.Wv.value.T


class TwoHeads(Layer):
    """Attention of x (B, T, D) to itself with two heads and an output projection."""

    def build(self, shape):
        self.Wq = self.add_weight((shape[-1], H * K), name="Wq")
        self.Wk = self.add_weight((shape[-1], H * K), name="Wk")
        self.Wv = self.add_weight((shape[-1], H * K), name="Wv")
        self.bq = self.add_weight((H * K,), "zeros", name="bq")
        self.Wo = self.add_weight((H * K, H * K), name="Wo")
        self.bo = self.add_weight((H * K,), "zeros", name="bo")

    def split(self, a):
        return a.reshape(*a.shape[:2], H, K).transpose(0, 2, 1, 3)          # (B, H, T, K)

    def merge(self, a):
        return a.transpose(0, 2, 1, 3).reshape(len(a), -1, H * K)

    def forward(self, x):
        q = self.split(x @ self.Wq.value + self.bq.value)
        k, v = self.split(x @ self.Wk.value), self.split(x @ self.Wv.value)
        p = softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(K))
        context = self.merge(p @ v)
        self.cache = x, q, k, v, p, context
        return context @ self.Wo.value + self.bo.value

    def backward(self, dy):
        x, q, k, v, p, context = self.cache
        self.Wo.grad += np.einsum("bti,btj->ij", context, dy)
        self.bo.grad += dy.sum(axis=(0, 1))
        dcontext = self.split(dy @ self.Wo.value.T)
        dv = p.transpose(0, 1, 3, 2) @ dcontext
        dp = dcontext @ v.transpose(0, 1, 3, 2)
        ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))
        ds = ds / np.sqrt(K)
        dq = self.merge(ds @ k)
        dk = self.merge(ds.transpose(0, 1, 3, 2) @ q)
        dv = self.merge(dv)
        self.Wq.grad += np.einsum("btd,btk->dk", x, dq)
        self.Wk.grad += np.einsum("btd,btk->dk", x, dk)
        self.Wv.grad += np.einsum("btd,btk->dk", x, dv)
        self.bq.grad += dq.sum(axis=(0, 1))
        return dq @ self.Wq.value.T + dk @ self.Wk.value.T + dv @ self.Wv.value.T


class HeadsInALoop(Layer):
    """Two heads with their own matrices, one after the other, their results added up."""

    def build(self, shape):
        self.Wq = [self.add_weight((shape[-1], K), name=f"Wq{h}") for h in range(H)]
        self.Wk = [self.add_weight((shape[-1], K), name=f"Wk{h}") for h in range(H)]
        self.Wv = [self.add_weight((shape[-1], 2), name=f"Wv{h}") for h in range(H)]

    def forward(self, x):
        y, self.cache = 0, (x, [])
        for Wq, Wk, Wv in zip(self.Wq, self.Wk, self.Wv, strict=True):
            q, k, v = x @ Wq.value, x @ Wk.value, x @ Wv.value
            p = softmax(q @ k.transpose(0, 2, 1))
            self.cache[1].append((q, k, v, p))
            y = y + p @ v
        return y

    def backward(self, dy):
        x, heads = self.cache
        dx = np.zeros_like(x)
        for h in range(H):
            q, k, v, p = heads[h]
            dp = dy @ v.transpose(0, 2, 1)
            ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))
            dq, dk, dv = ds @ k, ds.transpose(0, 2, 1) @ q, p.transpose(0, 2, 1) @ dy
            for W, d in ((self.Wq[h], dq), (self.Wk[h], dk), (self.Wv[h], dv)):
                W.grad += np.einsum("btd,btk->dk", x, d)
                dx += d @ W.value.T
        return dx


class AdditiveAttention(Layer):
    """Bahdanau's attention: the score of query i and key j is sum(scale * tanh(query_i + key_j))."""

    def build(self, query_shape, value_shape):
        self.scale = self.add_weight((query_shape[-1],), name="scale")

    def forward(self, query, value):
        t = np.tanh(query[:, :, None] + value[:, None])                     # (B, T, S, D)
        p = softmax((self.scale.value * t).sum(axis=-1))
        self.cache = value, t, p
        return p @ value

    def backward(self, dy):
        value, t, p = self.cache
        dp = dy @ value.transpose(0, 2, 1)
        ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))
        self.scale.grad += (ds[..., None] * t).sum(axis=(0, 1, 2))
        da = ds[..., None] * self.scale.value * (1 - t ** 2)
        dquery = da.sum(axis=2)
        dkey = da.sum(axis=1)
        dvalue = dkey + p.transpose(0, 2, 1) @ dy
        return [dquery, dvalue]


class LearnedScale(Layer):
    """Keras' Attention with use_scale, over keys that are real: softmax(scale * query value^T) value."""

    def build(self, query_shape, value_shape):
        self.scale = self.add_weight((), "ones", name="scale")

    def forward(self, query, value, mask=None):
        dot = query @ value.transpose(0, 2, 1)
        scores = np.where(mask[:, None, :], self.scale.value * dot, -np.inf)
        p = softmax(scores)
        self.cache = query, value, dot, scores, p
        return p @ value

    def backward(self, dy):
        query, value, dot, scores, p = self.cache               # noqa: RUF059
        dp = dy @ value.transpose(0, 2, 1)
        ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))
        self.scale.grad += (ds * dot).sum()
        ddot = ds * self.scale.value
        return [ddot @ value, p.transpose(0, 2, 1) @ dy + ddot.transpose(0, 2, 1) @ query]


class Pooling(Layer):
    """Attention pooling: h = x W, weights softmax(tanh(h) u) over the steps, y their weighted mean of h."""

    def build(self, shape):
        self.W = self.add_weight((shape[-1], H), name="W")
        self.u = self.add_weight((H,), name="u")

    def forward(self, x):
        h = x @ self.W.value
        t = np.tanh(h)
        p = softmax(t @ self.u.value)
        self.cache = x, h, t, p
        return (p[..., None] * h).sum(axis=1)

    def backward(self, dy):
        x, h, t, p = self.cache
        dp = (dy[:, None] * h).sum(axis=-1)
        dh = p[..., None] * dy[:, None]
        ds = p * (dp - (p * dp).sum(axis=1, keepdims=True))
        self.u.grad += (ds[..., None] * t).sum(axis=(0, 1))
        dh = dh + ds[..., None] * self.u.value * (1 - t ** 2)
        self.W.grad += np.einsum("btd,bth->dh", x, dh)
        return dh @ self.W.value.T


class Block(Layer):
    """y = x + attention(x) V: a residual round one head whose keys, queries and values are x itself."""

    def build(self, shape):
        self.V = self.add_weight((shape[-1], shape[-1]), name="V")

    def forward(self, x):
        p = softmax(x @ x.transpose(0, 2, 1))
        c = p @ x
        self.cache = x, p, c
        return x + c @ self.V.value

    def backward(self, dy):
        x, p, c = self.cache
        self.V.grad += np.einsum("bti,btj->ij", c, dy)
        dc = dy @ self.V.value.T
        dp = dc @ x.transpose(0, 2, 1)
        ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))
        dx = p.transpose(0, 2, 1) @ dc + ds @ x + ds.transpose(0, 2, 1) @ x
        return dx + dy


def pair(rng):
    return rng.normal(size=(B, T, D)), rng.normal(size=(B, S, D))


def three(rng):
    return rng.normal(size=(B, T, D)), rng.normal(size=(B, S, D)), rng.normal(size=(B, S, 6))


def square(rng):
    return rng.normal(size=(B, T, D)), rng.normal(size=(B, T, D)), rng.normal(size=(B, T, D))


def itself(rng):
    return (rng.normal(size=(B, 5, D)),)


MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], bool)
OTHER_MASK = np.array([[0, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)

RIGHT = {
    "dot_attention": Right(DotAttention, pair),
    "scaled_attention": Right(ScaledAttention, three),
    "scaled_attention_square": Right(ScaledAttention, square),
    "masked_keys": Right(ScaledAttention, lambda rng: (*three(rng), MASK), other=lambda rng: (*three(rng), OTHER_MASK)),
    "masked_queries": Right(MaskedQueries, lambda rng: (*itself(rng), MASK), other=lambda rng: (*itself(rng), OTHER_MASK)),
    "causal_attention": Right(CausalAttention, itself),
    "two_head_attention": Right(TwoHeads, itself),
    "heads_in_a_loop": Right(HeadsInALoop, itself),
    "additive_attention": Right(AdditiveAttention, pair),
    "learned_scale": Right(LearnedScale, lambda rng: (*pair(rng), MASK), other=lambda rng: (*pair(rng), OTHER_MASK)),
    "attention_pooling": Right(Pooling, itself),
    "attention_block": Right(Block, itself),
}

NEVER = ("later steps", "a carry")

FAULTS = [
    # the softmax inside shows as: value is right, query (and key) are wrong
    Fault("dot_attention", "dvalue = dvalue + dscores.transpose(0, 2, 1) @ query", "dvalue = dvalue",
          ("overwritten", "way_around", "place"), "value"),
    Fault("dot_attention", "dvalue = dvalue + dscores", "dvalue = dscores", ("overwritten", "way_around", "place"), "value"),
    Fault("dot_attention", "p * (dp - (p * dp).sum(axis=-1, keepdims=True))", "p * (1 - p) * dp", "place", None,
          ("right|single place",)),
    Fault("dot_attention", "(p * dp).sum(axis=-1, keepdims=True)", "(p * dp).sum(axis=1, keepdims=True)", "place", None,
          ("right|single place|come together|mixes",)),
    Fault("dot_attention", "return [dquery, dvalue]", "return [2 * dquery, dvalue]", "factor", "query", ("twice",)),
    Fault("dot_attention", "return [dquery, dvalue]", "return [dquery, None]", "missing", "value", ("none",)),
    Fault("dot_attention", "return [dquery, dvalue]", "return [dvalue, dquery]", "shape", "query", ("shape",)),
    Fault("dot_attention", "return [dquery, dvalue]", "return dquery", ("missing", "shape"), None),
    Fault("dot_attention", "p = softmax(scores)", "p = softmax(scores.transpose(0, 2, 1)).transpose(0, 2, 1)", "place",
          "query"),
    Fault("scaled_attention", "dquery = ds @ key * scale", "dquery = ds @ key", "factor", "query", ("twice",)),
    Fault("scaled_attention", "dkey = ds.transpose(0, 2, 1) @ query * scale",
          "dkey = ds.transpose(0, 2, 1) @ query * scale ** 2", "factor", "key", ("half",)),
    Fault("scaled_attention", "ds = p * (dp -", "ds = p * scale * (dp -", "factor", "query", ("half",)),
    Fault("scaled_attention", "ds = p * (dp -", "ds = -p * (dp -", "factor", "key", ("the sign is flipped",)),
    Fault("scaled_attention", "ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))", "ds = p * dp", "place", "query",
          ("right",)),
    Fault("scaled_attention", "(dp * p).sum(axis=-1, keepdims=True)", "dp.sum(axis=-1, keepdims=True)", "place", "key",
          ("right",)),
    Fault("scaled_attention", "ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))",
          "ds = dp - (dp * p).sum(axis=-1, keepdims=True)", "place", "query", ("right|inside",)),
    Fault("scaled_attention", "dp = dy @ value.transpose(0, 2, 1)", "dp = (dy / len(dy)) @ value.transpose(0, 2, 1)", "factor",
          "query", ("the batch size",)),
    Fault("scaled_attention", "return [dquery, dkey, dvalue]", "return [dquery, dkey, np.zeros_like(dvalue)]", "missing",
          "value", ("all zeros",)),
    Fault("scaled_attention", "return [dquery, dkey, dvalue]", "dkey[:, -1] = 0\n        return [dquery, dkey, dvalue]", "zero",
          "key", ("zero there", "4 of axis 1")),
    Fault("scaled_attention", "self.cache = query, key, value, p, scale",
          "self.cache = query, key, value, self.__dict__.setdefault('p', p), scale", "stale", "", ("stale cache",)),
    Fault("scaled_attention", "self.cache = query, key, value, p, scale",
          "self.cache = query, key, self.__dict__.setdefault('value', value.copy()), p, scale", "stale", "", ("stale cache",)),
    Fault("scaled_attention", "self.cache = query, key, value, p, scale",
          "self.cache = query, key, value, p.astype('float32'), scale", "float32", None, ("float32",), may=("nearly",)),
    Fault("scaled_attention", "ds = p * (dp -", "p *= dp - (dp * p).sum(axis=-1, keepdims=True)\n        ds = p + 0 * (dp -",
          "single_use", "", ("a second backward",)),
    Fault("scaled_attention", "scale = 1 / np.sqrt(query.shape[-1])",
          "scale = 1 / np.sqrt(query.shape[1])\n        query = query * 1.1", "factor", "query", ("times",),
          never=("twice", "half")),
    Fault("scaled_attention_square", "return [dquery, dkey, dvalue]", "return [dkey, dquery, dvalue]", "swapped", "query",
          ("the gradient of", "key")),
    Fault("scaled_attention_square", "dkey = ds.transpose(0, 2, 1) @ query", "dkey = ds.transpose(0, 2, 1) @ key", "place",
          "key", ("right",)),
    Fault("scaled_attention_square", "dkey = ds.transpose(0, 2, 1) @ query", "dkey = ds @ query", "place", "key",
          ("right|mixes elements along axis 1 and 2",)),
    Fault("scaled_attention_square", "dvalue = p.transpose(0, 2, 1) @ dy", "dvalue = p @ dy", "place", "value",
          ("another place along axis 1|right",)),
    Fault("scaled_attention_square", "return [dquery, dkey, dvalue]", "return [dquery, dquery, dvalue]", "swapped", "key",
          ("the gradient of", "query")),
    Fault("scaled_attention_square", "dp = dy @ value.transpose(0, 2, 1)", "dp = dy @ key.transpose(0, 2, 1)", "place", "query",
          ("right",)),
    Fault("scaled_attention_square", "return p @ value", "return p @ key", ("extra", "missing", "swapped"), "value",
          ("should be zero",)),
    Fault("scaled_attention_square", "dquery = ds @ key", "dquery = (ds @ key).transpose(0, 2, 1).reshape(query.shape)",
          "moved", "query", ("in other places",)),

    # masks
    Fault("masked_keys", "p = softmax(scores)\n        self",
          "p = softmax(scores)\n        kept = softmax(query @ key.transpose(0, 2, 1) * scale)\n        self", "mask", None,
          ("mask",), more=(("value, p, scale\n        return p", "value, kept, scale\n        return p"),)),
    Fault("masked_keys", "np.where(mask[:, None, :], scores, -1e9)", "scores * mask[:, None, :]", "mask", None, ("mask",)),
    Fault("masked_keys", "dkey = ds.transpose(0, 2, 1) @ query * scale", "dkey = ds.transpose(0, 2, 1) @ query", "factor",
          "key", ("twice",)),
    Fault("masked_queries", "d = dy * mask[:, :, None]", "d = dy", "mask", "x", ("mask",)),
    Fault("masked_queries", "d = dy * mask[:, :, None]", "d = dy * ~mask[:, :, None]", "mask", "x", ("mask",)),
    Fault("masked_queries", "dx += ds @ x\n", "dx = ds @ x\n", ("overwritten", "way_around", "place"), "x"),
    Fault("masked_queries", "        dx += ds.transpose(0, 2, 1) @ x\n", "", ("overwritten", "place"), "x"),
    Fault("masked_queries", "dx += ds @ x\n", "dx += 2 * ds @ x\n", ("overwritten", "place"), "x",
          more=(("        dx += ds.transpose(0, 2, 1) @ x\n", ""),)),
    Fault("masked_queries", "self.cache = x, p, mask",
          "self.kept = getattr(self, 'kept', mask)\n        self.cache = x, p, self.kept", "stale", "", ("stale cache",)),

    # causal
    Fault("causal_attention", "x, q, k, v, p = self.cache",
          "x, q, k, v, p = self.cache\n        p = softmax(q @ k.transpose(0, 2, 1) / np.sqrt(K))", ("place", "mask"), "x",
          ("axis 1",)),
    Fault("causal_attention", "keepdims=True)) / np.sqrt(K)", "keepdims=True))", "factor", "Wq", ("times",)),
    Fault("causal_attention", "keepdims=True)) / np.sqrt(K)", "keepdims=True)) / K", "factor", "Wk", ("times",)),
    Fault("causal_attention", "x, dk)", "x, dq)", "swapped", "Wk", ("the gradient of", "wq")),
    Fault("causal_attention", " + dk @ self.Wk.value.T", "", ("place", "overwritten", "way_through"), "x", ("wk",)),
    Fault("causal_attention", "dq @ self.Wq.value.T", "dk @ self.Wq.value.T", ("place", "swapped", "way_through"), "x",
          ("wq|right",)),
    Fault("causal_attention", "dv = p.transpose(0, 2, 1) @ dy", "dv = p @ dy", ("place",), "Wv", ("right",)),
    Fault("causal_attention", "np.tril(np.ones((x.shape[1], x.shape[1]), bool))",
          "np.triu(np.ones((x.shape[1], x.shape[1]), bool))", ("place", "mask"), None, (), more=(("x, q, k, v, p = self.cache",
          "x, q, k, v, p = self.cache\n"
          "        p = softmax(np.where(np.tri(x.shape[1], dtype=bool), q @ k.transpose(0, 2, 1) / np.sqrt(K), -np.inf))"),)),
    Fault("causal_attention", "ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))",
          "ds = (p * (dp - (p * dp).sum(axis=-1, keepdims=True)))[:, ::-1]", ("place", "reversed"), "x"),
    Fault("causal_attention", '"btd,btk->dk", x, dv', '"btd,btk->dk", x[:, -1:], dv[:, -1:]', ("missing_sum", "place"), "Wv",
          ("right|sum",)),
    Fault("causal_attention", '"btd,btk->dk", x, dv', '"btd,btk->dk", x[:1], dv[:1]', ("missing_sum", "one_sample"), "Wv"),
    Fault("causal_attention", "dp = dy @ v.transpose(0, 2, 1)", "dp = np.sign(dy) @ v.transpose(0, 2, 1)", "not_linear", "",
          ("not linear in dy",)),

    # two heads
    Fault("two_head_attention", "dcontext = self.split(dy @ self.Wo.value.T)", "dcontext = self.split(dy @ self.Wo.value)",
          "weight_transposed", None, ("wo", "transposed")),
    Fault("two_head_attention", "dcontext = self.split(dy @ self.Wo.value.T)",
          "dcontext = (dy @ self.Wo.value.T).reshape(len(x), H, -1, K)", ("moved", "place"), "Wv"),
    Fault("two_head_attention", "ds = ds / np.sqrt(K)", "ds = ds / np.sqrt(x.shape[-1])", "factor", "Wq", ("times",)),
    Fault("two_head_attention", "ds = ds / np.sqrt(K)", "ds[:, 0] = ds[:, 0] / np.sqrt(K)", "factor", "Wq",
          ("3-5 of axis 1", "times")),
    Fault("two_head_attention", "ds = ds / np.sqrt(K)", "ds = ds / np.sqrt(K)\n        ds[:, 1] = 0", "zero", "Wk",
          ("zero there", "3-5 of axis 1")),
    Fault("two_head_attention", "ds.transpose(0, 1, 3, 2) @ q", "ds.transpose(0, 1, 3, 2) @ k", "place", "Wk", ("right",)),
    Fault("two_head_attention", 'self.Wk.grad += np.einsum("btd,btk->dk", x, dk)',
          'self.Wk.grad += np.einsum("btd,btk->dk", x, dv)', "swapped", "Wk", ("the gradient of", "wv")),
    Fault("two_head_attention", "self.bq.grad += dq.sum(axis=(0, 1))", "self.bq.grad += dk.sum(axis=(0, 1))",
          ("zero", "place", "missing"), "bq", ()),
    Fault("two_head_attention", "self.bo.grad += dy.sum(axis=(0, 1))", "self.bo.grad += dy.mean(axis=(0, 1))", "factor", "bo",
          ("times",)),
    Fault("two_head_attention", "dq @ self.Wq.value.T + dk @ self.Wk.value.T + ", "dq @ self.Wq.value.T + ",
          ("place", "overwritten", "way_through"), "x", ("wk",)),
    Fault("two_head_attention", " + dv @ self.Wv.value.T", "", ("place", "overwritten", "way_through"), "x", ("wv",)),
    Fault("two_head_attention", 'self.Wo.grad += np.einsum("bti,btj->ij", context, dy)',
          'self.Wo.grad += np.einsum("bti,btj->ji", context, dy)', "transposed", "Wo", ("transposed",)),
    Fault("two_head_attention", "self.cache = x, q, k, v, p, context",
          "self.WoT = getattr(self, 'WoT', self.Wo.value.T.copy())\n        self.cache = x, q, k, v, p, context", "stale", "",
          ("stale cache",), more=(("dy @ self.Wo.value.T)", "dy @ self.WoT)"),)),
    Fault("two_head_attention", "self.Wo.grad += np",
          "for W in self.weights:\n            W.grad[...] = 0\n        self.Wo.grad += np", "replaces_grad", None, ("(=)",)),
    Fault("two_head_attention", "return dq @ self.Wq.value.T",
          "norm = np.sqrt(sum((W.grad ** 2).sum() for W in self.weights))\n        for W in self.weights:\n"
          "            W.grad *= 0.5 / max(norm, 0.5)\n        return dq @ self.Wq.value.T", "clipped", None,
          ("clipped", "0.5"), may=("replaces_grad", "not_linear", "single_use")),
    Fault("two_head_attention", "(p * dp).sum(axis=-1, keepdims=True)", "(p * dp).sum(axis=1, keepdims=True)", "place", "Wq",
          ("right",)),
    Fault("two_head_attention", "self.bo.grad += dy.sum(axis=(0, 1))", "self.bo.grad += dy[-1].sum(axis=0)", "one_sample", "bo",
          ("last sample alone",), more=(("ds = ds / np.sqrt(K)", "ds = ds * np.sqrt(K)"),),
          second=Expect("factor", "Wq", ("times",))),

    # heads one by one
    Fault("heads_in_a_loop", "dx += d @ W.value.T", "dx = d @ W.value.T", ("overwritten", "place"), "x"),
    Fault("heads_in_a_loop", "for h in range(H):\n            q, k, v, p = heads[h]",
          "for h in range(1):\n            q, k, v, p = heads[h]", "missing", "Wq1", ("all zeros",)),
    Fault("heads_in_a_loop", "q, k, v, p = heads[h]", "q, k, v, p = heads[0]", "swapped", "Wq1", ("the gradient of", "wq0")),
    Fault("heads_in_a_loop", "(self.Wv[h], dv)", "(self.Wv[0], dv)", "missing", "Wv1", ("all zeros",)),
    Fault("heads_in_a_loop", "(self.Wq[h], dq), (self.Wk[h], dk)", "(self.Wq[h], dk), (self.Wk[h], dq)", "swapped", "Wq0",
          ("the gradient of", "wk0")),
    Fault("heads_in_a_loop", "q, k, v, p = heads[h]", "q, k, v, p = heads.pop()", "single_use", "", ("a second backward",),
          more=(("for h in range(H):\n            q, k", "for h in reversed(range(H)):\n            q, k"),)),

    # additive
    Fault("additive_attention", "da = ds[..., None] * self.scale.value * (1 - t ** 2)",
          "da = ds[..., None] * self.scale.value * (1 - t)", "place", "query", ("right",)),
    Fault("additive_attention", "da = ds[..., None] * self.scale.value * (1 - t ** 2)", "da = ds[..., None] * self.scale.value",
          ("zero", "place"), "query", ("zero there|right",)),
    Fault("additive_attention", "ds[..., None] * self.scale.value * (1", "ds[..., None] * (1",
          ("factor_along", "scale_outside", "place"), "query", ("scale",)),
    Fault("additive_attention", "dquery = da.sum(axis=2)", "dquery = da.mean(axis=2)", "factor", "query", ("times",)),
    Fault("additive_attention", "dkey = da.sum(axis=1)", "dkey = da[:, -1]", ("place", "missing_sum"), "value"),
    Fault("additive_attention", "dvalue = dkey + p.transpose(0, 2, 1) @ dy", "dvalue = p.transpose(0, 2, 1) @ dy",
          ("overwritten", "way_around", "place"), "value"),
    Fault("additive_attention", "dvalue = dkey + p.transpose(0, 2, 1) @ dy", "dvalue = dkey",
          ("overwritten", "way_around", "place"), "value"),
    Fault("additive_attention", "(ds[..., None] * t).sum(axis=(0, 1, 2))", "(dp[..., None] * t).sum(axis=(0, 1, 2))", "place",
          "scale", ("right",)),
    Fault("additive_attention", "(ds[..., None] * t).sum(axis=(0, 1, 2))", "(ds[..., None] * t)[:, -1].sum(axis=(0, 1))",
          ("one_step", "missing_sum", "place"), "scale", ("axis 1",)),
    Fault("additive_attention", "(ds[..., None] * t).sum(axis=(0, 1, 2))", "(ds[..., None] * t)[-1].sum(axis=(0, 1))",
          "one_sample", "scale", ("last sample alone",)),

    # a learned scale
    Fault("learned_scale", "(ds * dot).sum()", "(ds * scores).sum() / self.scale.value", "nan", "scale", ("nan",)),
    Fault("learned_scale", "(ds * dot).sum()", "(dp * dot).sum()", "place", "scale", ("right",)),
    Fault("learned_scale", "(ds * dot).sum()", "(ds * dot).mean()", "factor", "scale", ("times",)),
    Fault("learned_scale", "ddot = ds * self.scale.value", "ddot = ds", "factor", "query", ("scale",)),
    Fault("learned_scale", "        self.scale.grad += (ds * dot).sum()\n", "", "missing", "scale", ("all zeros",)),
    Fault("learned_scale", "self.scale.grad += (ds * dot).sum()", "self.scale.grad = (ds * dot).sum()", "replaces_grad", None,
          ("(=)",)),
    Fault("learned_scale", "p * (dp - (p * dp).sum(axis=-1, keepdims=True))",
          "p * (dp - (p * dp).mean(axis=-1, keepdims=True))", "place", None),
    Fault("learned_scale", "self.cache = query, value, dot, scores, p",
          "self.cache = query, value, dot, scores, softmax(self.scale.value * dot)", "mask", None, ("mask",)),

    # pooling
    Fault("attention_pooling", "dh = dh + ds[..., None]", "dh = ds[..., None]", ("overwritten", "way_around", "place"), "x"),
    Fault("attention_pooling", "dh = dh + ds[..., None] * self.u.value * (1 - t ** 2)", "dh = dh",
          ("way_through", "overwritten", "place"), "x", ("u is zero|right",)),
    Fault("attention_pooling", "dh = dh + ds[..., None] * self.u.value * (1 - t ** 2)",
          "dh = dh + ds[..., None] * self.u.value * (1 - t)", "place", "x", ("right",)),
    Fault("attention_pooling", "ds = p * (dp - (p * dp).sum(axis=1, keepdims=True))", "ds = p * (1 - p) * dp", "place", None,
          ("single place|right",)),
    Fault("attention_pooling", "(ds[..., None] * t).sum(axis=(0, 1))", "(ds[..., None] * h).sum(axis=(0, 1))", "place", "u",
          ("right",)),

    # a residual
    Fault("attention_block", "return dx + dy", "return dx", "way_around", "x", ("a way around",)),
    Fault("attention_block", "return dx + dy", "return dx + 2 * dy", ("way_around", "place"), "x"),
    Fault("attention_block", "dc = dy @ self.V.value.T", "dc = dy @ self.V.value", "weight_transposed", None,
          ("v", "transposed")),
    Fault("attention_block", "return dx + dy", "dx += dy\n        return np.clip(dx, -1, 1)", "clipped", None, ("clipped", "1"),
          may=("not_linear", "single_use")),
    Fault("attention_block", 'np.einsum("bti,btj->ij", c, dy)', 'np.einsum("bti,btj->ij", x, dy)', "place", "V", ("right",)),
    Fault("attention_block", "return x + c @ self.V.value", "return 0.5 * x + c @ self.V.value", ("way_around", "place"), "x"),
]
