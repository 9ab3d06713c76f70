"""MultiHeadAttention: attention between projections, several heads side by side."""
from typing import Any

from nblayers import regularizers
from nblayers.arguments import axes, found, integer, optional, sizes
from nblayers.layers.attention.heads import Heads
from nblayers.layers.fixed import fixed


class MultiHeadAttention(Heads):
    r"""Lets every step of a sequence gather from all steps what it asks for: the heart of a Transformer.

        q = x_q W^Q + b^Q,   k = x_k W^K + b^K,   v = x_v W^V + b^V         (1)    a part of each for every head
        p_{ij} = \text{softmax}_j (q_i \cdot k_j / \sqrt{D})                (2)    the scores, of the keys that i may see
        h_i = \sum_j p_{ij} v_j                                             (3)
        y_i = h_i W^O + b^O                                                 (4)    over all heads

    Where no scores are asked for they are never held as a whole, forward or backward (Dao et al. 2022): memory grows with the
    length, not with its square.

    `forward(query, value, key=None)` takes query (batch, T, …) and value and key (batch, S, …), the key being the value where
    none is given. Of more axes than three all but the first and the last are attended along, unless `attention_axes` says
    otherwise. Output (batch, T, features of the query), and with `return_attention_scores` p (batch, H, T, S). `backward` gives
    the gradients of query, value and, where it was given, key. Weights: kernel and bias of query (features, H, D) and (H, D),
    of key, of the gate if there is one, of value, and of attention_output (H, E, features).

    Arguments:
        num_heads: H.
        key_dim: D, the length of a head's queries and keys.
        value_dim: E, the length of a head's values; D by default.
        dropout: the part of p that is dropped in training.
        use_bias: whether the projections have a bias.
        output_shape: the sizes of y's last axes, those of the query's last one by default.
        attention_axes: the axes of the inputs that are attended along; all but the first and the last by default.
        sliding_window: a query sees the keys less than so many steps away.
        flash_attention: accepted as in Keras; whatever it says, scores that nobody asks for are not held.
        kernel_initializer, bias_initializer: what the weights start from.
        kernel_regularizer, bias_regularizer: penalties on the weights.
        activity_regularizer: penalty on the output of each projection, divided by the batch size.
        kernel_constraint, bias_constraint: applied to the weights after each optimizer step.
        use_gate: whether h is multiplied by sigmoid(x_q W^G + b^G).
        seed: an integer fixes the sequence of dropout's masks.

    `forward` also takes query_mask (batch, T), value_mask and key_mask (batch, S), attention_mask (batch, T, S), (T, S) or
    (batch, H, T, S), True where a query may see a key, and use_causal_mask: no key after the query (j <= i, also where T and S
    differ). As in Keras a query that may see no key gets in (3) the mean of all values, but 0 where `dropout` is not 0, scores
    are asked for or the input has more than three axes. (Keras ignores a query_mask that is given as an argument and takes
    only one that comes with the query.)

    Raises:
        ValueError: a size that is not a positive integer, axes that do not exist, flash_attention with dropout or scores;
            inputs that do not fit each other or what the layer was built for, a mask of another shape.

    Source: 001.13.MultiHeadAttention; Vaswani et al. 2017, "Attention is all you need".
    """

    num_heads: int = fixed()
    key_dim: int = fixed()
    value_dim: int = fixed()

    def __init__(self, num_heads: int, key_dim: int, value_dim: int | None = None, dropout: float = 0.0, use_bias: bool = True,
                 output_shape: Any = None, attention_axes: Any = None, sliding_window: int | None = None,
                 flash_attention: bool | None = None, kernel_initializer: Any = "glorot_uniform",
                 bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None,
                 activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
                 use_gate: bool = False, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = integer(self.described, "num_heads", num_heads, 1)
        self.key_dim = integer(self.described, "key_dim", key_dim, 1)
        self.value_dim = self.key_dim if value_dim is None else integer(self.described, "value_dim", value_dim, 1)
        self._set_options(dropout, use_bias, sliding_window, flash_attention, kernel_initializer, bias_initializer,
                          kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint, use_gate, seed)
        self._penalty = found(self.described, "activity_regularizer", regularizers.get, activity_regularizer)
        self._output_shape = optional(sizes, self.described, "output_shape", output_shape)
        given = optional(axes, self.described, "attention_axes", attention_axes)
        self.attention_axes = (given,) if isinstance(given, int) else given

    @property
    def heads(self) -> tuple[int, int]:                     # type: ignore[override]
        return self.num_heads, self.num_heads

    @property
    def sizes(self) -> tuple[int, int]:                     # type: ignore[override]
        return self.key_dim, self.value_dim

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:     # type: ignore[override]
        key_shape = value_shape if key_shape is None else key_shape
        rank = len(query_shape)
        if rank < 3 or not rank == len(value_shape or ()) == len(key_shape):
            raise ValueError(f"{self.described}: expected query, value and key of one number of axes, at least 3, got shapes "
                             f"{query_shape}, {value_shape} and {key_shape}")
        given = tuple(range(1, rank - 1)) if not self.attention_axes else self.attention_axes
        along = tuple(axis + rank if axis < 0 else axis for axis in given)
        if len(set(along)) != len(along) or not all(0 < axis < rank - 1 for axis in along):
            raise ValueError(f"{self.described}: expected attention_axes between the first and the last of {rank} axes, each "
                             f"once, got {given}")
        self.attention_axes = along
        self._check_shapes(tuple(query_shape), tuple(value_shape), tuple(key_shape))
        self._make_projections(query_shape, value_shape, key_shape, self._output_shape or query_shape[-1:], self._penalty)

    def compute_output_shape(self, query_shape: Any, value_shape: Any, key_shape: Any = None,       # type: ignore[override]
                             return_attention_scores: bool = False) -> Any:
        """The output's shape, and the scores' where they are asked for."""
        out = (*query_shape[:-1], *(self._output_shape or query_shape[-1:]))
        if not return_attention_scores:
            return out
        rank = len(query_shape)
        along = self.attention_axes or tuple(range(1, rank - 1))
        along = [axis % rank for axis in along]
        batch = [size for axis, size in enumerate(query_shape[:-1]) if axis not in along]
        return [out, (*batch, self.num_heads, *(query_shape[n] for n in along), *(value_shape[n] for n in along))]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | self._options_config() | {
            "num_heads": self.num_heads, "key_dim": self.key_dim, "value_dim": self.value_dim,
            "output_shape": self._output_shape, "attention_axes": self.attention_axes,
            "activity_regularizer": regularizers.serialize(self._penalty)}


__all__ = ["MultiHeadAttention"]
