"""GroupQueryAttention: several heads of queries share a head of keys and values."""
from typing import Any

from nblayers import regularizers
from nblayers.arguments import integer
from nblayers.layers.attention.heads import Heads
from nblayers.layers.base import auto_name
from nblayers.layers.fixed import fixed


class GroupQueryAttention(Heads):
    r"""Multi-head attention in which groups of query heads share keys and values: less to keep while a text is generated.

        q = x_q W^Q + b^Q,   k = x_k W^K + b^K,   v = x_v W^V + b^V         (1)    H heads of q, G of k and v
        p_{ij} = \text{softmax}_j (q_i \cdot k_j / \sqrt{D})                (2)    head h reads k and v of head h G / H
        h_i = \sum_j p_{ij} v_j                                             (3)
        y_i = h_i W^O + b^O                                                 (4)    over all heads

    With G = 1 it is multi-query attention, with G = H multi-head attention. Calls, masks and gradients are as in
    MultiHeadAttention, for inputs (batch, steps, features).

    Arguments:
        head_dim: D, the length of a head's queries, keys and values.
        num_query_heads: H.
        num_key_value_heads: G, which divides H.
        dropout, use_bias, sliding_window, flash_attention: as in MultiHeadAttention.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: of the projections' weights.
        activity_regularizer: penalty on the output of each projection and of the layer, divided by the batch size.
        kernel_constraint, bias_constraint: applied to the weights after each optimizer step.
        use_gate: whether h is multiplied by sigmoid(x_q W^G + b^G).
        seed: an integer fixes the sequence of dropout's masks.

    Raises:
        ValueError: as MultiHeadAttention; heads that do not divide.

    Source: 001.13.GroupQueryAttention; Ainslie et al. 2023, "GQA: training generalized multi-query Transformer models".
    """

    head_dim: int = fixed()
    num_query_heads: int = fixed()
    num_key_value_heads: int = fixed()

    def __init__(self, head_dim: int, num_query_heads: int, num_key_value_heads: int, dropout: float = 0.0,
                 use_bias: bool = True, sliding_window: int | None = None, flash_attention: bool | None = None,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
                 bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
                 bias_constraint: Any = None, use_gate: bool = False, seed: int | None = None, **kwargs: Any) -> None:
        if kwargs.get("name") is None:
            kwargs["name"] = auto_name("GroupedQueryAttention")                     # as Keras calls it inside
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.head_dim = integer(self.described, "head_dim", head_dim, 1)
        self.num_query_heads = integer(self.described, "num_query_heads", num_query_heads, 1)
        self.num_key_value_heads = integer(self.described, "num_key_value_heads", num_key_value_heads, 1)
        if self.num_query_heads % self.num_key_value_heads:
            raise ValueError(f"{self.described}: expected num_query_heads to be a multiple of num_key_value_heads, got "
                             f"{num_query_heads} and {num_key_value_heads}")
        self._set_options(dropout, use_bias, sliding_window, flash_attention, kernel_initializer, bias_initializer,
                          kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint, use_gate, seed)
        self.attention_axes = (1,)

    @property
    def heads(self) -> tuple[int, int]:                     # type: ignore[override]
        return self.num_query_heads, self.num_key_value_heads

    @property
    def sizes(self) -> tuple[int, int]:                     # type: ignore[override]
        return self.head_dim, self.head_dim

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:     # type: ignore[override]
        key_shape = value_shape if key_shape is None else key_shape
        if not 3 == len(query_shape) == len(value_shape or ()) == len(key_shape):
            raise ValueError(f"{self.described}: expected query, value and key of 3 axes, got shapes {query_shape}, "
                             f"{value_shape} and {key_shape}")
        self._check_shapes(tuple(query_shape), tuple(value_shape), tuple(key_shape))
        self._make_projections(query_shape, value_shape, key_shape, query_shape[-1:], self.activity_regularizer)

    def compute_output_shape(self, query_shape: Any, value_shape: Any, key_shape: Any = None,       # type: ignore[override]
                             return_attention_scores: bool = False) -> Any:
        """The query's shape, and the scores' where they are asked for."""
        out = tuple(query_shape)
        return [out, (out[0], self.num_query_heads, out[1], value_shape[1])] if return_attention_scores else out

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | self._options_config() | {
            "head_dim": self.head_dim, "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "activity_regularizer": regularizers.serialize(self.activity_regularizer)}


__all__ = ["GroupQueryAttention"]
