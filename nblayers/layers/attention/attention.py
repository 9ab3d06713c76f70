"""Attention and AdditiveAttention: without projections, on sequences as they come."""
from typing import Any

from nblayers.arguments import choice, flag, found, number
from nblayers.layers.attention import product
from nblayers.layers.attention.masks import band, masks_of, steps_mask
from nblayers.layers.base import Layer, Parameter, Record
from nblayers.layers.dropping import draw
from nblayers.layers.fixed import fixed
from nblayers.random import SeedGenerator
from nblayers.structures import shapes_fit


class Attention(Layer):
    r"""Dot-product attention (Luong's): each query gets a mean of the values, weighted by how well their keys fit it.

        s_{ij} = c\, q_i \cdot k_j                              (1)    score_mode "dot"; c is `scale`, or 1
        s_{ij} = w \sum_d \tanh(c (q_{id} + k_{jd}))            (2)    score_mode "concat"; w is `concat_score_weight`
        p_{ij} = \text{softmax}_j (s_{ij})                      (3)    of the keys that i may see
        y_i = \sum_j p_{ij} v_j                                 (4)

    The document divides s by the root of the queries' length; Keras does not. In mode "dot", where the scores are not asked
    for, they are never held as a whole (Dao et al. 2022).

    Input [query (batch, …, T, D), value (batch, …, S, E), key (batch, …, S, D)]; the key is the value where none is given.
    Output (batch, …, T, E), and with `return_attention_scores` p (batch, …, T, S), after dropout. `backward` gives a list
    like the input. Weights: scale c (), with `use_scale`; concat_score_weight w (), in mode "concat".

    Arguments:
        use_scale: whether c is learned; it starts at 1.
        score_mode: "dot" or "concat".
        dropout: the part of p that is dropped in training.
        seed: an integer fixes the sequence of dropout's masks.

    `forward` also takes mask, [query_mask (batch, T), value_mask (batch, S)], either one None, and use_causal_mask: no key
    after the query (j <= i). Where query_mask is False the output is 0. A query that may see no key gets the mean of all
    values: Keras subtracts 1e9 from each score, which in float32 leaves nothing of them.

    Raises:
        ValueError: dropout outside [0, 1], an unknown score_mode, a seed that is no integer; an input that is no list of two or
            three arrays, sizes that do not fit each other, masks of another shape.

    Source: 001.13.Attention; Luong et al. 2015, "Effective approaches to attention-based neural machine translation".
    """

    use_scale: bool = fixed()
    score_mode: str = fixed()
    scale: Parameter | None = fixed()
    concat_score_weight: Parameter | None = fixed()

    class Cache(Record):
        q: Any              # (N, T, D), N being the product of the batch axes
        k: Any              # (N, S, D)
        attended: Any       # product.Fused, or product.Weighed where there are scores
        query_mask: Any     # (N, T) or None
        shapes: Any         # the inputs'

    def __init__(self, use_scale: bool = False, score_mode: str = "dot", dropout: float = 0.0, seed: int | None = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_scale = flag(self.described, "use_scale", use_scale)
        self.score_mode = choice(self.described, "score_mode", score_mode, ("dot", "concat"))
        self.dropout = number(self.described, "dropout", dropout, 0, 1)
        self.seed = seed
        self.seed_generator = found(self.described, "seed", SeedGenerator, seed)

    def build(self, input_shape: Any) -> None:
        self._check_shapes(input_shape)
        self.scale = self.add_weight((), "ones", name="scale") if self.use_scale else None
        concat = self.score_mode == "concat"
        self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight") if concat else None

    def forward(self, inputs: Any, mask: Any = None, training: bool = False, return_attention_scores: bool = False,
                use_causal_mask: bool = False) -> Any:
        shapes = [x.shape for x in self._checked(inputs)]
        self._check_shapes(shapes)
        q, v, k = (x.reshape(-1, *x.shape[-2:]) for x in (*inputs, inputs[1])[:3])
        (batch, T), S = (shapes[0][:-2], shapes[0][-2]), shapes[1][-2]
        query_mask, key_mask = (steps_mask(self, name, each, batch, (length,)) for name, each, length in zip(
            ("query_mask", "value_mask"), self._masks(mask), (T, S), strict=False))
        causal = flag(self.described, "use_causal_mask", use_causal_mask)
        masks = masks_of(self, None, key_mask, None, *band(T, S, causal, None))
        drop = draw(self, self.dropout if training else 0, self.seed_generator)
        attended: Any
        if self._is_product() and not return_attention_scores:
            attended = product.attend(self, _one_head(self._scaled(q)), _one_head(k), _one_head(v), masks, 1, True, drop)
        else:
            attended = product.weigh(self, self._scores(q, k)[:, None], _one_head(v), masks, 1, True, drop)     # (3), (4)
        self.cache = self.Cache(q, k, attended, query_mask, shapes)
        y = self._without_masked(attended.y[:, :, 0], query_mask).reshape(*batch, T, shapes[1][-1])
        return [y, attended.zp.reshape(*batch, T, S)] if return_attention_scores else y

    def backward(self, dy: Any) -> Any:
        c = self.cache
        dy, dp = dy if isinstance(dy, list) else (dy, None)
        dy = self._without_masked(dy.reshape(*c.q.shape[:2], -1), c.query_mask)[:, :, None]
        if isinstance(c.attended, product.Fused):
            dq, dk, dv = (each[:, :, 0] for each in product.attend_backward(self, c.attended, dy))      # from (1), (3), (4)
            dq = self._scaled_backward(c.q, dq)
        else:
            dp = None if dp is None else dp.reshape(c.attended.p.shape)
            ds, dv = product.weigh_backward(self, c.attended, dy, dzp=dp)                               # from (3), (4)
            dq, dk = self._scores_backward(c.q, c.k, ds[:, 0])
        of_query, of_value, *of_key = c.shapes
        if not of_key:
            return [dq.reshape(of_query), dv.reshape(of_value) + dk.reshape(of_value)]          # the keys are the values
        return [dq.reshape(of_query), dv.reshape(of_value), dk.reshape(*of_key)]

    def _is_product(self) -> bool:
        return self.score_mode == "dot"

    def _scores(self, q: Any, k: Any) -> Any:
        """(N, T, S)."""
        if self._is_product():
            return product.scores(self, _one_head(self._scaled(q)), _one_head(k))[:, 0]                 # (1)
        return self._additive(q, k, *self._factors(q))                                                  # (2)

    def _scores_backward(self, q: Any, k: Any, ds: Any) -> tuple[Any, Any]:
        if self._is_product():
            heads = (_one_head(self._scaled(q)), _one_head(k))
            dq, dk = product.scores_backward(self, self.xp.ascontiguousarray(ds[:, None]), *heads, 1)   # from (1)
            return self._scaled_backward(q, dq[:, :, 0]), dk[:, :, 0]
        dq, dk, dw, da = self._additive_backward(ds, q, k, *self._factors(q))                           # from (2)
        assert self.concat_score_weight is not None
        self.concat_score_weight.grad[...] += dw.sum()
        if self.scale is not None:
            self.scale.grad[...] += da[0]
        return dq, dk

    def _factors(self, q: Any) -> tuple[Any, Any]:
        """w for every feature, and c, of (2)."""
        assert self.concat_score_weight is not None
        c = 1 if self.scale is None else float(self.scale.value)
        return self.xp.full(q.shape[-1], float(self.concat_score_weight.value), self.dtype), c

    def _scaled(self, q: Any) -> Any:
        return q if self.scale is None else q * self.scale.value

    def _scaled_backward(self, q: Any, dq: Any) -> Any:
        if self.scale is None:
            return dq
        self.scale.grad[...] += (q * dq).sum()                                                          # from (1)
        return dq * self.scale.value                                                                    # from (1)

    def _additive(self, q: Any, k: Any, w: Any, a: Any) -> Any:
        s = self.xp.empty((*q.shape[:2], k.shape[1]), q.dtype)
        self.kernels.attention.additive_scores(q, k, w, q.dtype.type(a), s)
        return s

    def _additive_backward(self, ds: Any, q: Any, k: Any, w: Any, a: Any) -> tuple[Any, Any, Any, Any]:
        dq, dk, dw = (self.xp.empty_like(each) for each in (q, k, w))
        da = self.xp.empty(1, q.dtype)
        self.kernels.attention.additive_scores_backward(self.xp.ascontiguousarray(ds), q, k, w, q.dtype.type(a), dq, dk, dw, da)
        return dq, dk, dw, da

    def _without_masked(self, y: Any, query_mask: Any) -> Any:
        return y if query_mask is None else self.xp.where(query_mask[..., None], y, y.dtype.type(0))

    def _checked(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) not in (2, 3) or not all(hasattr(x, "shape") for x in inputs):
            got = f"a list of {len(inputs)}" if isinstance(inputs, (list, tuple)) else "one array"
            raise ValueError(f"{self.described}: expected a list of arrays, [query, value] or [query, value, key], got {got}")
        return inputs

    def _check_inputs(self, inputs: Any) -> None:
        super()._check_inputs(list(self._checked(inputs)))

    def _check_shapes(self, shapes: Any) -> None:
        if not isinstance(shapes, (list, tuple)) or len(shapes) not in (2, 3) or not all(
                isinstance(shape, (list, tuple)) for shape in shapes):
            raise ValueError(f"{self.described}: expected shapes of [query, value] or [query, value, key], got {shapes}")
        query, value, key = (tuple(shape) for shape in (*shapes, shapes[1])[:3])
        if not 3 <= len(query) == len(value) == len(key):
            raise ValueError(f"{self.described}: expected query, value and key of one number of axes, at least 3, got shapes "
                             f"{query}, {value} and {key}")
        if not (shapes_fit(query[:-2], value[:-2]) and shapes_fit(value[:-1], key[:-1]) and shapes_fit(query[-1:], key[-1:])):
            raise ValueError(f"{self.described}: expected query (batch, T, D), value (batch, S, E) and key (batch, S, D), got "
                             f"shapes {query}, {value} and {key}")
        if 0 in (*query, *value):
            raise ValueError(f"{self.described}: expected no axis of size 0, got shapes {query} and {value}")

    def _masks(self, mask: Any) -> Any:
        """The masks of query and value."""
        if mask is None:
            return None, None
        if not isinstance(mask, (list, tuple)) or len(mask) not in (2, 3):
            raise ValueError(f"{self.described}: expected mask as a list, [query_mask, value_mask], got "
                             f"{f'a list of {len(mask)}' if isinstance(mask, (list, tuple)) else 'one array'}")
        return mask[0], mask[1]

    def compute_output_shape(self, input_shape: Any, return_attention_scores: bool = False) -> Any:
        """The output's shape, and the scores' where they are asked for."""
        self._check_shapes(input_shape)
        query, value, *_ = input_shape
        out = (*query[:-1], value[-1])
        return [out, (*query[:-1], value[-2])] if return_attention_scores else out

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The query's mask, which is the output's, too."""
        return self._masks(previous_mask)[0]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"use_scale": self.use_scale, "score_mode": self.score_mode, "dropout": self.dropout,
                                       "seed": self.seed}


class AdditiveAttention(Attention):
    r"""Additive attention (Bahdanau's): as Attention, with another score.

        s_{ij} = \sum_d w_d \tanh(q_{id} + k_{jd})              (1)    w is `scale`, or 1
        p_{ij} = \text{softmax}_j (s_{ij})                      (2)
        y_i = \sum_j p_{ij} v_j                                 (3)

    The document has a matrix W_a here; Keras has none (put a Dense before it).

    Inputs, outputs, masks and errors are as in Attention. Weights: scale w (D,), with `use_scale`.

    Arguments:
        use_scale: whether w is learned.
        dropout: the part of p that is dropped in training.

    Source: 001.13.AdditiveAttention; Bahdanau et al. 2015, "Neural machine translation by jointly learning to align and
    translate".
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        self._check_shapes(input_shape)
        self.concat_score_weight = None
        self.scale = self.add_weight(input_shape[0][-1:], "glorot_uniform", name="scale") if self.use_scale else None

    def _check_shapes(self, shapes: Any) -> None:
        super()._check_shapes(shapes)
        if self.built and self.scale is not None and shapes[0][-1] != self.scale.shape[0]:
            raise ValueError(f"{self.described}: expected a query with a last axis of size {self.scale.shape[0]}, got shape "
                             f"{shapes[0]}")

    def _is_product(self) -> bool:
        return False

    def _factors(self, q: Any) -> tuple[Any, Any]:
        return self.xp.ones(q.shape[-1], self.dtype) if self.scale is None else self.scale.value, 1

    def _scores_backward(self, q: Any, k: Any, ds: Any) -> tuple[Any, Any]:
        dq, dk, dw, _ = self._additive_backward(ds, q, k, *self._factors(q))                            # from (1)
        if self.scale is not None:
            self.scale.grad[...] += dw
        return dq, dk

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["score_mode"]
        return config


def _one_head(x: Any) -> Any:
    """(N, steps, size) -> (N, steps, 1, size)."""
    return x[:, :, None]


__all__ = ["AdditiveAttention", "Attention"]
