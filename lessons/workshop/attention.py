"""Self-attention with several heads, in plain NumPy. Its forward is written; its backward is yours to write.

Lesson 19 (nblayers learn attention) derives every gradient. New here: steps that are padding, at which nobody looks.

    nblayers check attention my_attention.py        the gradient checker looks at your backward
    nblayers train attention my_attention.py        your layer learns which character comes next
"""
import numpy as np

from nblayers.layers.base import Layer, Record


class Cache(Record):
    """What backward needs. N samples, T steps, C features; H heads of D numbers each."""

    x: np.ndarray               # (N, T, C)
    q: np.ndarray               # (N, H, T, D)
    k: np.ndarray               # (N, H, T, D)
    v: np.ndarray               # (N, H, T, D)
    p: np.ndarray               # (N, H, T, T), the weights: row i is who step i looks at
    o: np.ndarray               # (N, H, T, D), what each head has gathered


class MyAttention(Layer):
    """q = x W_q, k = x W_k, v = x W_v; p = softmax(q k^T / sqrt(D)); o = p v; y = o W_o, summed over the heads."""

    def __init__(self, heads, size, causal=False, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.size = size
        self.causal = causal

    def build(self, input_shape):
        C, H, D = input_shape[-1], self.heads, self.size
        self.W_q = self.add_weight((C, H, D), name="W_q")
        self.W_k = self.add_weight((C, H, D), name="W_k")
        self.W_v = self.add_weight((C, H, D), name="W_v")
        self.W_o = self.add_weight((H, D, C), name="W_o")

    def forward(self, x, mask=None):
        """x (N, T, C), mask (N, T) True at real steps -> y (N, T, C)."""
        N, T, _ = x.shape
        q = np.einsum("ntc,chd->nhtd", x, self.W_q.value)
        k = np.einsum("ntc,chd->nhtd", x, self.W_k.value)
        v = np.einsum("ntc,chd->nhtd", x, self.W_v.value)
        s = q @ k.swapaxes(2, 3) / self.size ** 0.5
        seen = np.ones((N, 1, T, T), bool)                          # who may look at whom
        if self.causal:
            seen &= np.tri(T, dtype=bool)
        if mask is not None:
            seen &= mask[:, None, None, :]
        s = np.where(seen, s, np.array(-1e9, x.dtype))
        e = np.exp(s - s.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)
        o = p @ v
        self.cache = Cache(x, q, k, v, p, o)
        return np.einsum("nhtd,hdc->ntc", o, self.W_o.value)

    def backward(self, dy):
        """dy (N, T, C) -> dx (N, T, C)."""
        x, q, k, v, p, o = (getattr(self.cache, name) for name in ("x", "q", "k", "v", "p", "o"))  # given
        # > Read forward from its last line to its first. (A @ B works on the last two axes; or write einsum.)
        # >   1. self.W_o.grad (H, D, C), and do (N, H, T, D): which letters of forward's last einsum are summed now?
        # >   2. dv and dp: o = p v is a product. Which transposes does it take?
        # >   3. ds: each row of p is a softmax of its own. What does the mask change? (Look at p where nobody may look.)
        # >   4. dq and dk (N, H, T, D): what stands beside each of them in s, and with which factor?
        # >   5. self.W_q.grad, self.W_k.grad, self.W_v.grad (C, H, D), with +=; and dx: how often was x used?
        # >> 1. dW_o[h, d, c] is the sum of o[n, h, t, d] dy[n, t, c] over n and t; do[n, h, t, d] that of dy W_o over c
        self.W_o.grad += np.einsum("nhtd,ntc->hdc", o, dy)
        do = np.einsum("ntc,hdc->nhtd", dy, self.W_o.value)
        # >> 2. dv = pᵀ do, dp = do vᵀ, for each sample and head
        dv = p.swapaxes(2, 3) @ do
        dp = do @ v.swapaxes(2, 3)
        # >> 3. ds = p (dp − the sum of dp p along the row); where the mask is False p is 0, and so is ds
        ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
        # >> 4. dq = ds k / sqrt(D), dk = dsᵀ q / sqrt(D)
        scale = self.size ** 0.5
        dq = ds @ k / scale
        dk = ds.swapaxes(2, 3) @ q / scale
        # >> 5. dW_q[c, h, d] is the sum of x dq over n and t, so for k and v; dx is the sum of three ways, dq W_qᵀ and so on
        dx = np.zeros_like(x)
        for W, d in ((self.W_q, dq), (self.W_k, dk), (self.W_v, dv)):
            W.grad += np.einsum("ntc,nhtd->chd", x, d)
            dx += np.einsum("nhtd,chd->ntc", d, W.value)
        return dx


# %% the workshop
from nblayers.layers import MultiHeadAttention
from nblayers.learn.workshop.bugs import Bug
from nblayers.learn.workshop.cases import Case, normal
from nblayers.learn.workshop.tasks import Looking

LESSON = "19_attention"
LAYER = MyAttention
PARTS = ()


def padded(*lengths):
    """Sequences of these lengths, of two features each, filled up to the longest one."""
    steps = np.arange(max(lengths))
    mask = steps < np.array(lengths)[:, None]
    return lambda rng: ((rng.normal(size=(*mask.shape, 2)),), {"mask": mask})


CASES = [
    Case("one sample, two steps, one head of one number", {"heads": 1, "size": 1}, normal(1, 2, 1)),
    Case("one sample, two steps, one head", {"heads": 1, "size": 2}, normal(1, 2, 3)),
    Case("three samples, four steps, one head", {"heads": 1, "size": 2}, normal(3, 4, 2)),
    Case("two heads", {"heads": 2, "size": 3}, normal(2, 3, 2)),
    Case("as many steps as heads as numbers", {"heads": 3, "size": 3}, normal(3, 3, 3)),
    Case("causal: no step sees the future", {"heads": 2, "size": 2, "causal": True}, normal(2, 4, 3)),
    Case("sequences of different lengths", {"heads": 2, "size": 2}, padded(4, 2, 1)),
    Case("causal, and of different lengths", {"heads": 2, "size": 3, "causal": True}, padded(3, 5)),
]
TASK = Looking(units=32, steps=500, room="cpu")
DONE = """You have written the whole backward of a multi-head self-attention, masks included: what stands at the heart of
every Transformer. It has learned where to look."""


class SelfAttention(MultiHeadAttention):
    """The library's layer, where all three inputs are one."""

    def __init__(self, layer):
        super().__init__(layer.heads, layer.size, use_bias=False)
        self.causal = layer.causal

    def build(self, input_shape):
        super().build(input_shape, input_shape)

    def compute_output_shape(self, input_shape):
        return input_shape

    def forward(self, x, mask=None):
        return super().forward(x, x, value_mask=mask, use_causal_mask=self.causal)

    def backward(self, dy):
        dx_query, dx_value = super().backward(dy)
        return dx_query + dx_value


def library(layer):
    return SelfAttention(layer)


BUGS = [
    Bug([("ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))", "ds = p * (dp - (dp * p).sum(axis=-2, keepdims=True))")],
        "the sum of the softmax's backward runs over the steps that ask; each of them has a softmax of its own, along the "
        "last axis. There are as many that ask as are asked, so no shape complains",
        "It learns much worse: after 300 batches its loss is 4.487 bits a character, the right layer's 3.509."),
    Bug([("dq = ds @ k / scale", "dq = ds @ k"), ("dk = ds.swapaxes(2, 3) @ q / scale", "dk = ds.swapaxes(2, 3) @ q")],
        "the factor 1 / sqrt(D) of forward is missing on the way back",
        "It learns all the same: after 300 batches its loss is 3.515 bits a character, the right layer's 3.509."),
    Bug([("dk = ds.swapaxes(2, 3) @ q / scale", "dk = ds @ q / scale")],
        "ds is not transposed for the keys: key j collects from all that have asked it, down a column of ds",
        "It learns, a little worse: after 300 batches its loss is 3.571 bits a character, the right layer's 3.509."),
    Bug([("dx += np.einsum(\"nhtd,chd->ntc\", d, W.value)", "dx = np.einsum(\"nhtd,chd->ntc\", d, W.value)")],
        "dx is replaced (=) instead of added to (+=): of three ways only the last, by the values, is left",
        "It learns, a little worse: after 300 batches its loss is 3.587 bits a character, the right layer's 3.509."),
    Bug([("ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))", "ds = p * (1 - p) * dp")],
        "only the diagonal of the softmax is there: what a score does to the other weights of its row is missing",
        "It learns worse: after 300 batches its loss is 3.786 bits a character, the right layer's 3.509."),
    Bug([("do = np.einsum(\"ntc,hdc->nhtd\", dy, self.W_o.value)",
          "do = np.einsum(\"ntc,hdc->nhtd\", dy, self.W_o.value) / self.heads")],
        "what goes to the heads is divided by their number, as if y were their mean; it is their sum",
        "It learns all the same: after 300 batches its loss is 3.521 bits a character, the right layer's 3.509."),
    Bug([("s = q @ k.swapaxes(2, 3) / self.size ** 0.5", "s = q @ k.swapaxes(2, 3)"),
         ("dq = ds @ k / scale", "dq = ds @ k"), ("dk = ds.swapaxes(2, 3) @ q / scale", "dk = ds.swapaxes(2, 3) @ q")],
        "the scores are not divided by sqrt(D), forward and backward: the gradient is right, so no gradient check can see it",
        "It learns all the same: after 300 batches its loss is 3.391 bits a character, the right layer's 3.509."),
]
