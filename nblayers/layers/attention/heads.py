"""What MultiHeadAttention and GroupQueryAttention share: projections around attention over heads."""
import math
from typing import Any

from nblayers import constraints, initializers, regularizers
from nblayers.arguments import flag, found, integer, number, optional
from nblayers.layers.attention import product
from nblayers.layers.attention.masks import Masks, band, both, masks_of, steps_mask
from nblayers.layers.base import Layer, Record
from nblayers.layers.calls import backward_of, build_inside, record_of
from nblayers.layers.dropping import draw
from nblayers.layers.einsum_dense import EinsumDense
from nblayers.layers.fixed import fixed
from nblayers.layers.input_spec import InputSpec
from nblayers.random import SeedGenerator
from nblayers.structures import shapes_fit

LETTERS = "abcfgijklmnopqrstuvwxyz"           # for the axes of the output; d, h and e are taken
OPTIONS = (("initializer", initializers), ("regularizer", regularizers), ("constraint", constraints))


class Heads(Layer):
    """Attention of several heads between projections; a subclass says how many heads of which sizes there are.

    Attributes:
        heads: (H, G), heads of queries, and of keys and values.
        sizes: (D, E), the length of a head's keys and of its values.
    """

    supports_masking = True
    input_spec = InputSpec()
    sliding_window: int | None = fixed()
    use_bias: bool = fixed()
    use_gate: bool = fixed()
    attention_axes: Any = fixed()
    query_dense: EinsumDense = fixed()
    key_dense: EinsumDense = fixed()
    value_dense: EinsumDense = fixed()
    output_dense: EinsumDense = fixed()
    gate_dense: EinsumDense | None = fixed()
    heads: tuple[int, int]
    sizes: tuple[int, int]

    class Cache(Record):
        q: Any              # (samples, T, H, D), the projected queries
        k: Any              # (samples, S, G, D)
        y: Any              # (batch, …, H, E), what the heads give
        g: Any              # like y, the gate, or None
        attended: Any       # product.Fused, or product.Weighed where scores were wanted
        calls: Any          # what the projections' forwards left, by their names
        order: Any          # how the axes were brought into (batch axes, attention axes, head, size)
        of_query: Any       # the shape of the projected queries, in that order
        of_value: Any       # of keys and values
        has_key: bool

    def _set_options(self, dropout: float, use_bias: bool, sliding_window: int | None, flash_attention: bool | None,
                     kernel_initializer: Any, bias_initializer: Any, kernel_regularizer: Any, bias_regularizer: Any,
                     kernel_constraint: Any, bias_constraint: Any, use_gate: bool, seed: int | None) -> None:
        who = self.described
        self.dropout = number(who, "dropout", dropout, 0, 1)
        self.use_bias = flag(who, "use_bias", use_bias)
        self.use_gate = flag(who, "use_gate", use_gate)
        self.sliding_window = optional(integer, who, "sliding_window", sliding_window, 1)
        self.flash_attention = optional(flag, who, "flash_attention", flash_attention)
        if self.flash_attention and self.dropout:
            raise ValueError(f"{who}: expected dropout 0 with flash_attention=True, as in Keras, got {dropout!r}")
        self.kernel_initializer = found(who, "kernel_initializer", initializers.get, kernel_initializer)
        self.bias_initializer = found(who, "bias_initializer", initializers.get, bias_initializer)
        self.kernel_regularizer = found(who, "kernel_regularizer", regularizers.get, kernel_regularizer)
        self.bias_regularizer = found(who, "bias_regularizer", regularizers.get, bias_regularizer)
        self.kernel_constraint = found(who, "kernel_constraint", constraints.get, kernel_constraint)
        self.bias_constraint = found(who, "bias_constraint", constraints.get, bias_constraint)
        self.seed = seed
        self.seed_generator = found(who, "seed", SeedGenerator, seed)

    def _make_projections(self, query_shape: Any, value_shape: Any, key_shape: Any, output_shape: tuple[int, ...],
                          penalty: Any) -> None:
        """The dense layers in Keras' order; `penalty` is the activity regularizer of each."""
        (H, G), (D, E) = self.heads, self.sizes

        def dense(name: str, equation: str, input_shape: Any, sizes: Any, activation: Any = None) -> EinsumDense:
            letters = equation.rpartition(".")[2]
            made = EinsumDense(equation, sizes, activation, letters if self.use_bias else None, self.kernel_initializer,
                               self.bias_initializer, self.kernel_regularizer, self.bias_regularizer, self.kernel_constraint,
                               self.bias_constraint, activity_regularizer=penalty, name=name, dtype=self.dtype)
            build_inside(self, made, tuple(input_shape))
            made.to(self.device)
            return made

        apart, out = "...d,dhe->...he", LETTERS[:len(output_shape)]
        self.query_dense = dense("query", apart, query_shape, (H, D))
        self.key_dense = dense("key", apart, key_shape, (G, D))
        self.gate_dense = dense("gate", apart, query_shape, (H, E), "sigmoid") if self.use_gate else None
        self.value_dense = dense("value", apart, value_shape, (G, E))
        self.output_dense = dense("attention_output", f"...he,he{out}->...{out}", (*query_shape[:-1], H, E), output_shape)

    def forward(self, query: Any, value: Any, key: Any = None, query_mask: Any = None, value_mask: Any = None,
                key_mask: Any = None, attention_mask: Any = None, return_attention_scores: bool = False,
                training: bool = False, use_causal_mask: bool = False) -> Any:
        if return_attention_scores and self.flash_attention:
            raise ValueError(f"{self.described}: expected return_attention_scores=False with flash_attention=True, as in Keras")
        named = {"query": query, "value": value, "key": value if key is None else key}
        self._check_arrays(**named)
        layers = {"query": self.query_dense, "key": self.key_dense, "value": self.value_dense}
        order = self._order(query.ndim)
        q, k, v = (layer.forward(named[name]).transpose(order) for name, layer in layers.items())           # (1)
        of_query, of_value = q.shape, v.shape
        q, k, v = self._flat(q), self._flat(k), self._flat(v)
        masks = self._masks(of_query, of_value, query_mask, both(*(
            self._steps_mask(name, mask, of_value) for name, mask in (("value_mask", value_mask), ("key_mask", key_mask)))),
            attention_mask, use_causal_mask)
        drop = draw(self, self.dropout if training else 0, self.seed_generator)
        scale = 1 / math.sqrt(self.sizes[0])
        attended: Any
        if return_attention_scores:
            attended = product.weigh(self, product.scores(self, q, k), v, masks, scale, False, drop)        # (2), (3)
        else:
            mean = query.ndim == 3 and not self.dropout
            attended = product.attend(self, q, k, v, masks, scale, mean, drop)                              # (2), (3)
        y = self._from_flat(attended.y, (*of_query[:-1], self.sizes[1]), order)
        g = None
        if self.gate_dense is not None:
            layers["gate"] = self.gate_dense
            g = self.gate_dense.forward(query)
        layers["output"] = self.output_dense
        out = self.output_dense.forward(y if g is None else y * g)                                          # (4)
        calls = {name: record_of(layer) for name, layer in layers.items()}
        self.cache = self.Cache(q, k, y, g, attended, calls, order, of_query, of_value, key is not None)
        if not return_attention_scores:
            return out
        n = len(self.attention_axes)
        batch = of_query[:-2 - n]
        return [out, attended.p.reshape(*batch, self.heads[0], *of_query[-2 - n:-2], *of_value[-2 - n:-2])]

    def backward(self, dy: Any) -> Any:
        c, needed = self.cache, self.input_gradient
        dout, dp = dy if isinstance(dy, list) else (dy, None)
        dh = backward_of(self.output_dense, c.calls["output"], dout, True)                                  # from (4)
        dquery = None
        if self.gate_dense is not None:
            dquery = backward_of(self.gate_dense, c.calls["gate"], dh * c.y, needed)
            dh = dh * c.g
        dheads = self._flat(dh.transpose(c.order))
        if dp is None:
            dq, dk, dv = product.attend_backward(self, c.attended, dheads)                                  # from (2), (3)
        else:
            ds, dv = product.weigh_backward(self, c.attended, dheads, dp.reshape(c.attended.p.shape))       # from (3)
            dq, dk = product.scores_backward(self, ds, c.q, c.k, 1 / math.sqrt(self.sizes[0]))              # from (2)
        of_key = (*c.of_value[:-1], self.sizes[0])
        parts = ((self.query_dense, "query", dq, c.of_query), (self.value_dense, "value", dv, c.of_value),
                 (self.key_dense, "key", dk, of_key))
        gradients = [backward_of(layer, c.calls[name], self._from_flat(d, shape, c.order), needed)
                     for layer, name, d, shape in parts]                                                    # from (1)
        if not needed:
            return [None] * (2 + c.has_key)
        if dquery is not None:
            gradients[0] = gradients[0] + dquery
        if not c.has_key:
            gradients[1] += gradients.pop()                                 # the keys are made of the values
        return gradients

    def _check_arrays(self, **arrays: Any) -> None:
        query = arrays["query"]
        rank = query.ndim
        for name, x in arrays.items():
            D = getattr(self, f"{name}_dense").kernel.shape[0]
            if not hasattr(x, "shape") or x.ndim != rank or x.shape[-1] != D:
                raise ValueError(f"{self.described}: expected {name} of {rank} axes, the last of size {D}, "
                                 f"got {getattr(x, 'shape', type(x).__name__)}")
        self._check_shapes(*(x.shape for x in arrays.values()))
        if not rank - 1 > max(self.attention_axes):
            raise ValueError(f"{self.described}: expected inputs of more than {max(self.attention_axes) + 1} axes, as it was "
                             f"built for, got shape {query.shape}")

    def _check_shapes(self, query: Any, value: Any, key: Any) -> None:
        """Value and key must agree in all but the last axis, and with the query in the axes that are not attended to."""
        if not shapes_fit(value[:-1], key[:-1]):
            raise ValueError(f"{self.described}: expected value and key to differ in the last axis only, got shapes "
                             f"{value} and {key}")
        axes = [n for n in range(len(query) - 1) if n not in self.attention_axes]
        if not shapes_fit([query[n] for n in axes], [value[n] for n in axes]):
            raise ValueError(f"{self.described}: expected query and value to agree in axes {axes}, got shapes {query} and "
                             f"{value}")
        if None in (query[-1], value[-1], key[-1]):
            raise ValueError(f"{self.described}: expected a known size on the last axis, got shapes {query}, {value} and {key}")
        if 0 in (*query, *value, *key):
            raise ValueError(f"{self.described}: expected no axis of size 0, got shapes {query} and {value}")

    def _order(self, rank: int) -> tuple[int, ...]:
        """The projected axes as (batch axes, attention axes, head, size)."""
        batch = [n for n in range(rank - 1) if n not in self.attention_axes]
        return (*batch, *self.attention_axes, rank - 1, rank)

    def _flat(self, x: Any) -> Any:
        """(batch axes, attention axes, heads, size) -> (samples, steps, heads, size), in memory one after the other."""
        n = len(self.attention_axes)
        return self.xp.ascontiguousarray(x).reshape(math.prod(x.shape[:-2 - n]), -1, *x.shape[-2:])

    def _from_flat(self, x: Any, shape: Any, order: tuple[int, ...]) -> Any:
        """The way back to the order of the inputs' axes."""
        if order == tuple(range(len(order))):
            return x.reshape(shape)
        back = [order.index(n) for n in range(len(order))]
        return self.xp.ascontiguousarray(x.reshape(shape).transpose(back))

    def _steps_mask(self, name: str, mask: Any, shape: tuple[int, ...]) -> Any:
        n = len(self.attention_axes)
        return steps_mask(self, name, mask, shape[:-2 - n], shape[-2 - n:-2])

    def _masks(self, of_query: tuple[int, ...], of_value: tuple[int, ...], query_mask: Any, key_mask: Any, attention_mask: Any,
               causal: bool) -> Masks:
        n = len(self.attention_axes)
        queries, keys = of_query[-2 - n:-2], of_value[-2 - n:-2]
        causal = flag(self.described, "use_causal_mask", causal)
        if n != 1 and (causal or self.sliding_window is not None):
            raise ValueError(f"{self.described}: expected one attention axis with use_causal_mask or sliding_window, "
                             f"got attention_axes {self.attention_axes}")
        query_mask = self._steps_mask("query_mask", query_mask, of_query)
        return masks_of(self, query_mask, key_mask, self._pair_mask(attention_mask, of_query[:-2 - n], queries, keys),
                        *band(math.prod(queries), math.prod(keys), causal, self.sliding_window))

    def _pair_mask(self, mask: Any, batch: tuple[int, ...], queries: tuple[int, ...], keys: tuple[int, ...]) -> Any:
        """The attention mask with four axes, each of them whole or 1."""
        if mask is None:
            return None
        mask, n = self._to_mask(mask), 2 * len(queries)
        groups = (batch, self.heads[:1], queries, keys)
        whole = [size for group in groups for size in group]
        fits = n <= mask.ndim <= len(whole)
        if fits:                                            # what is missing stands before the attention axes, as in Keras
            wide = mask.reshape(*mask.shape[:-n], *(1,) * (len(whole) - mask.ndim), *mask.shape[-n:])
            fits = all(a in (1, size) for a, size in zip(wide.shape, whole, strict=True))
        if not fits:
            raise ValueError(f"{self.described}: expected attention_mask to fit the scores, of shape {tuple(whole)}, "
                             f"got {mask.shape}")
        target: list[int] = []
        sizes: list[int] = []
        for group in groups:
            part = wide.shape[len(target):len(target) + len(group)]
            group = group if any(size != 1 for size in part) else (1,) * len(group)
            target.extend(group)
            sizes.append(math.prod(group))
        return self.xp.ascontiguousarray(self.xp.broadcast_to(wide, target)).reshape(sizes)

    def _options_config(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"dropout": self.dropout, "use_bias": self.use_bias, "use_gate": self.use_gate,
                                    "sliding_window": self.sliding_window, "seed": self.seed}
        for option, kind in OPTIONS:
            for weight in ("kernel", "bias"):
                settings[f"{weight}_{option}"] = kind.serialize(getattr(self, f"{weight}_{option}"))
        return settings
