"""PyTorch's MultiheadAttention."""
import math
from typing import Any

import numpy as np

from nblayers import devices
from nblayers.arguments import flag, integer, number
from nblayers.arrays import as_numbers
from nblayers.layers.attention import product
from nblayers.layers.attention.masks import Masks, band, masks_of
from nblayers.layers.base import Parameter, Record
from nblayers.layers.dropping import draw
from nblayers.layers.fixed import fixed
from nblayers.nn.core import Linear
from nblayers.nn.module import LibraryModule
from nblayers.random import SeedGenerator


class MultiheadAttention(LibraryModule):
    r"""Multi-head attention with PyTorch's weights, layouts and masks.

        q = x_q W_q^T + b_q,   k = x_k W_k^T + b_k,   v = x_v W_v^T + b_v       (1)    a part of each for every head
        p_{ij} = \text{softmax}_j (q_i \cdot k_j / \sqrt{D})                    (2)    D = embed_dim / num_heads
        h_i = \sum_j p_{ij} v_j                                                 (3)
        y_i = h_i W_o^T + b_o                                                   (4)    over all heads

    `forward(query, key, value)` takes (T, batch, embed_dim), (S, batch, kdim) and (S, batch, vdim), with `batch_first` the
    batch before the time, or all three without a batch. It returns [output, weights]: output like the query, weights
    (batch, T, S), the mean over the heads, or None without `need_weights`: then the scores are never held as a whole.
    `backward` takes gradients of both (None for weights that were not used) and gives those of query, key and value.

    Weights as in PyTorch: in_proj_weight (3 embed_dim, embed_dim), or q_proj_weight, k_proj_weight and v_proj_weight where
    kdim or vdim differ; in_proj_bias (3 embed_dim,); of the Linear out_proj: weight (embed_dim, embed_dim), bias (embed_dim,).

    Arguments:
        embed_dim: the length of a query and of an output.
        num_heads: the number of heads, which divides embed_dim.
        dropout: the part of p that is dropped in training (`forward(…, training=True)`).
        bias: whether the projections have a bias.
        add_bias_kv, add_zero_attn: must be False, they are not built.
        kdim, vdim: the length of a key and of a value; embed_dim by default.
        batch_first: whether the batch axis comes first.

    `forward` also takes key_padding_mask (batch, S), attn_mask (T, S) or (batch · heads, T, S), and is_causal. In PyTorch's
    masks True stands for what must *not* be seen; one of floats holds 0 and -inf. A query that may see no key gets 0 in (3)
    (PyTorch: NaN).

    Raises:
        ValueError: sizes that are not positive integers or do not divide; add_bias_kv or add_zero_attn; inputs that do not
            fit, a mask of another shape, or of floats other than 0 and -inf.

    Source: torch.nn.MultiheadAttention; Vaswani et al. 2017, "Attention is all you need".
    """

    embed_dim: int = fixed()
    num_heads: int = fixed()
    kdim: int = fixed()
    vdim: int = fixed()
    batch_first: bool = fixed()
    in_proj_weight: Parameter | None = fixed()
    q_proj_weight: Parameter | None = fixed()
    k_proj_weight: Parameter | None = fixed()
    v_proj_weight: Parameter | None = fixed()
    in_proj_bias: Parameter | None = fixed()
    out_proj: Linear = fixed()

    class Cache(Record):
        inputs: Any         # query, key and value, batch first: (batch, steps, features)
        heads: Any          # q, k, v: (batch, steps, heads, D)
        h: Any              # (batch, T, embed_dim)
        attended: Any       # product.Fused, or product.Weighed where weights were wanted
        average: bool
        batched: bool

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
                 add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        who = self.described
        self.embed_dim = E = integer(who, "embed_dim", embed_dim, 1)
        self.num_heads = integer(who, "num_heads", num_heads, 1)
        if E % self.num_heads:
            raise ValueError(f"{who}: expected embed_dim to be a multiple of num_heads, got {embed_dim} and {num_heads}")
        for name, value in (("add_bias_kv", add_bias_kv), ("add_zero_attn", add_zero_attn)):
            if flag(who, name, value):
                raise ValueError(f"{who}: expected {name}=False: a key and a value that are not in the input are not built")
        self.dropout = number(who, "dropout", dropout, 0, 1)
        self.kdim = E if kdim is None else integer(who, "kdim", kdim, 1)
        self.vdim = E if vdim is None else integer(who, "vdim", vdim, 1)
        self.batch_first = flag(who, "batch_first", batch_first)
        self.bias = flag(who, "bias", bias)
        self.seed_generator = SeedGenerator()
        self._make_weights()
        self.built = True

    def _make_weights(self) -> None:
        E = self.embed_dim
        together = self.kdim == self.vdim == E
        self.in_proj_weight = self.add_weight((3 * E, E), name="in_proj_weight") if together else None
        self.q_proj_weight, self.k_proj_weight, self.v_proj_weight = (
            None if together else self.add_weight((E, size), name=f"{name}_proj_weight")
            for name, size in (("q", E), ("k", self.kdim), ("v", self.vdim)))
        self.in_proj_bias = self.add_weight((3 * E,), "zeros", name="in_proj_bias") if self.bias else None
        with devices.device(self.device):
            self.out_proj = Linear(E, E, self.bias, dtype=self.dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias.value[...] = 0

    def forward(self, query: Any, key: Any, value: Any, key_padding_mask: Any = None, need_weights: bool = True,
                attn_mask: Any = None, average_attn_weights: bool = True, is_causal: bool = False,
                training: bool = False) -> Any:
        batched = self._check(query, key, value)
        inputs = [self._batch_first(x, batched) for x in (query, key, value)]
        (N, T, E), S = inputs[0].shape, inputs[1].shape[1]
        heads = [self._affine(x, self._part(n, "value"), self._bias(n, "value"), transpose_b=True)
                 .reshape(N, -1, self.num_heads, E // self.num_heads) for n, x in enumerate(inputs)]                # (1)
        masks = self._masks(key_padding_mask, attn_mask, is_causal, N, T, S)
        drop = draw(self, self.dropout if training else 0, self.seed_generator)
        q, k, v = heads
        attended: Any
        if need_weights:
            attended = product.weigh(self, product.scores(self, q, k), v, masks, self._scale(), False, drop)        # (2), (3)
        else:
            attended = product.attend(self, q, k, v, masks, self._scale(), False, drop)                             # (2), (3)
        h = attended.y.reshape(N, T, E)
        out = self._affine(h, self.out_proj.weight.value, self.out_proj.bias, transpose_b=True)                     # (4)
        self.cache = self.Cache(inputs, heads, h, attended, bool(average_attn_weights), batched)
        out = self._as_given(out, batched)
        if not need_weights:
            return [out, None]
        weights = attended.zp.mean(axis=1) if average_attn_weights else attended.zp
        return [out, weights if batched else weights[0]]

    def backward(self, dy: Any) -> Any:
        c = self.cache
        dout, dweights = dy
        dout = self._batch_first(dout, c.batched)
        N, T, E = dout.shape
        W, b = self.out_proj.weight, self.out_proj.bias
        dh = self._affine_backward(dout, c.h, W.value, W.grad, b, transpose_b=True)                                 # from (4)
        dh = dh.reshape(N, T, self.num_heads, -1)
        if isinstance(c.attended, product.Fused):
            gradients = product.attend_backward(self, c.attended, dh)                                           # from (2), (3)
        else:
            ds, dv = product.weigh_backward(self, c.attended, dh, dzp=self._of_every_head(dweights, c))             # from (3)
            q, k, _ = c.heads
            gradients = (*product.scores_backward(self, ds, q, k, self._scale()), dv)                       # from (2)
        dx = [self._affine_backward(d.reshape(N, -1, E), x, self._part(n, "value"), self._part(n, "grad"),
                                    self._bias(n, "grad"), transpose_b=True, needed=self.input_gradient)
              for n, (d, x) in enumerate(zip(gradients, c.inputs, strict=True))]                                    # from (1)
        return [None if each is None else self._as_given(each, c.batched) for each in dx]

    def _of_every_head(self, dweights: Any, c: Any) -> Any:
        """The gradient of each head's weights, of which the output may be the mean."""
        if not c.average:
            return dweights.reshape(c.attended.p.shape)
        N, H, T, S = c.attended.p.shape
        return self.xp.broadcast_to(dweights.reshape(N, 1, T, S) / dweights.dtype.type(H), (N, H, T, S))

    def _part(self, n: int, what: str) -> Any:
        """The value or the gradient of the weight for query, key or value."""
        apart = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[n]
        return self._third(self.in_proj_weight, n, what) if apart is None else getattr(apart, what)

    def _bias(self, n: int, what: str) -> Any:
        return None if self.in_proj_bias is None else self._third(self.in_proj_bias, n, what)

    def _third(self, parameter: Any, n: int, what: str) -> Any:
        return getattr(parameter, what)[n * self.embed_dim:(n + 1) * self.embed_dim]

    def _scale(self) -> float:
        return 1 / math.sqrt(self.embed_dim // self.num_heads)

    def _batch_first(self, x: Any, batched: bool) -> Any:
        x = x[None] if not batched else x if self.batch_first else x.swapaxes(0, 1)
        return self.xp.ascontiguousarray(x)

    def _as_given(self, x: Any, batched: bool) -> Any:
        """The way back."""
        return x[0] if not batched else x if self.batch_first else self.xp.ascontiguousarray(x.swapaxes(0, 1))

    def _check(self, query: Any, key: Any, value: Any) -> bool:
        """Whether the inputs have a batch axis."""
        shapes: list[Any] = [getattr(x, "shape", None) for x in (query, key, value)]
        time, batch = (1, 0) if self.batch_first else (0, 1)
        rank = len(shapes[0] or ())
        sizes = (self.embed_dim, self.kdim, self.vdim)
        good = rank in (2, 3) and all(shape and len(shape) == rank and shape[-1] == size and 0 not in shape
                                      for shape, size in zip(shapes, sizes, strict=True))
        if good and rank == 3:
            good = shapes[0][batch] == shapes[1][batch] and shapes[1][:2] == shapes[2][:2]
        elif good:
            good = shapes[1][0] == shapes[2][0]
        if not good:
            layout = "(batch, steps, size)" if time else "(steps, batch, size)"
            raise ValueError(f"{self.described}: expected query, key and value {layout} or (steps, size), of sizes {sizes}, "
                             f"key and value of as many steps, got shapes {shapes}")
        return rank == 3

    def _to_mask(self, value: Any) -> Any:
        """True for what must not be seen, of a mask of truth values or of floats."""
        if value is None:
            return None
        mask = self.xp.asarray(as_numbers(value, self.described, "a mask"))
        if mask.dtype == bool:
            return mask
        if not ((mask == 0) | (mask == 1)).all() and not ((mask == 0) | (mask == -np.inf)).all():
            raise ValueError(f"{self.described}: expected a mask of truth values, or of floats that are 0 or -inf, got others")
        return mask != 0

    def _masks(self, key_padding_mask: Any, attn_mask: Any, is_causal: bool, N: int, T: int, S: int) -> Masks:
        padding, pair = self._to_mask(key_padding_mask), self._to_mask(attn_mask)
        if padding is not None and padding.shape not in ((N, S), *([(S,)] if N == 1 else [])):
            raise ValueError(f"{self.described}: expected key_padding_mask of shape {(N, S)}, got {padding.shape}")
        if pair is not None and pair.shape not in ((T, S), (N * self.num_heads, T, S)):
            raise ValueError(f"{self.described}: expected attn_mask of shape {(T, S)} or {(N * self.num_heads, T, S)}, "
                             f"got {pair.shape}")
        xp = self.xp
        padding = None if padding is None else xp.ascontiguousarray(~padding).reshape(N, S)
        if pair is not None:
            pair = xp.ascontiguousarray(~pair).reshape(*((1, 1) if pair.ndim == 2 else (N, self.num_heads)), T, S)
        return masks_of(self, None, padding, pair, *band(T, S, flag(self.described, "is_causal", is_causal), None))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "embed_dim": self.embed_dim, "num_heads": self.num_heads, "dropout": self.dropout, "bias": self.bias,
            "add_bias_kv": False, "add_zero_attn": False, "kdim": self.kdim, "vdim": self.vdim, "batch_first": self.batch_first}


__all__ = ["MultiheadAttention"]
