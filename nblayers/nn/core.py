"""Dense layers and tables as PyTorch writes them."""
import math
from typing import Any

import numpy as np

from nblayers import initializers, layers
from nblayers.arguments import flag, integer, number, optional
from nblayers.layers.base import InputSpec, Parameter, Record, positive
from nblayers.layers.fixed import fixed
from nblayers.layers.ids import ids_below
from nblayers.nn.inside import changed
from nblayers.nn.module import LibraryModule


class Linear(LibraryModule):
    r"""The dense layer without an activation as PyTorch writes it: the weight is kept transposed.

        y_{no} = \sum_i x_{ni} W_{oi} + b_o             (1)    y = x W^T + b

    Input (…, in_features), output (…, out_features). Weights, made at once: weight W (out, in), bias b (out,),
    both from the uniform distribution between -1/√in and 1/√in, so that `set_weights([w, b])` takes PyTorch's.

    Arguments:
        in_features, out_features: the sizes of the last axis of input and output.
        bias: whether b is added.

    Raises:
        ValueError: a size is not a positive integer; an input of another last axis than in_features.

    Source: document 002, "Linear Layer"; torch.nn.Linear.
    """

    supports_masking = True
    in_features: int = fixed()
    out_features: int = fixed()
    weight: Parameter = fixed()
    bias: Parameter | None = fixed()

    class Cache(Record):
        x: np.ndarray       # (…, in_features)

    def __init__(self, in_features: int, out_features: int, bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.in_features = positive(self, "in_features", in_features)
        self.out_features = positive(self, "out_features", out_features)
        limit = 1 / math.sqrt(self.in_features)
        uniform = initializers.RandomUniform(-limit, limit)
        self.weight = self.add_weight((self.out_features, self.in_features), uniform, name="weight")
        self.bias = self.add_weight((self.out_features,), uniform, name="bias") if flag(self.described, "bias", bias) else None
        self.input_spec = InputSpec(min_ndim=1, axes={-1: self.in_features})
        self.built = True

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        x = inputs
        y = self._affine(x, self.weight.value, self.bias, transpose_b=True)             # (1)
        self.cache = self.Cache(x)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        W = self.weight
        return self._affine_backward(dy, self.cache.x, W.value, W.grad, self.bias, True, self.input_gradient)   # from (1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.out_features)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"in_features": self.in_features, "out_features": self.out_features,
                                       "bias": self.bias is not None}

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(LibraryModule, layers.Identity):
    """`layers.Identity`; takes any arguments and ignores them, as in PyTorch.

    Source: torch.nn.Identity.
    """

    def __init__(self, *args: Any, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, dtype=dtype)


class Embedding(LibraryModule):
    r"""A table with a learned vector for each id.

        y_n = W_{i_n}                                                                                       (1)
        \partial L / \partial W_v = \sum_{n : i_n = v} s_v\, \partial L / \partial y_n \quad (v \ne p)      (2)

    p is padding_idx, whose row gets no gradient; s_v is 1, or with scale_grad_by_freq 1 / (how often v stands among the ids).
    Input (…) of ids, output (…, embedding_dim). Weight, made at once: weight W (num_embeddings, embedding_dim), from N(0, 1),
    its row p zero. There is no gradient for the ids: `backward` returns None. (So `gradcheck` finds row p where p is among the
    ids: its gradient is left out on purpose.)

    Arguments:
        num_embeddings: the number of rows; ids are 0 … num_embeddings - 1.
        embedding_dim: the length of a vector.
        padding_idx: p; a negative one counts from the end.
        max_norm: rows that are looked up and whose norm is larger are shrunk to it, in the weight, before (1).
        norm_type: which norm that is.
        scale_grad_by_freq: see (2).
        sparse: accepted as in PyTorch; gradients are always whole arrays.

    Raises:
        ValueError: a size that is no positive integer, a padding_idx that is no row, max_norm or norm_type no positive number;
            an id out of range, or not a whole number.

    Source: 002.Embedding; torch.nn.Embedding.
    """

    integer_inputs = True
    input_spec = InputSpec()
    single_values = True
    num_embeddings: int = fixed()
    embedding_dim: int = fixed()
    padding_idx: int | None = fixed()
    weight: Parameter = fixed()

    class Cache(Record):
        ids: np.ndarray     # (…), int64

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, max_norm: float | None = None,
                 norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False, _weight: Any = None,
                 _freeze: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.autocast = False                       # a large id is not exact in float32
        self.num_embeddings = rows = positive(self, "num_embeddings", num_embeddings)
        self.embedding_dim = positive(self, "embedding_dim", embedding_dim)
        padding = optional(integer, self.described, "padding_idx", padding_idx, -rows, rows - 1)
        self.padding_idx = None if padding is None else padding % rows
        self.max_norm = optional(number, self.described, "max_norm", max_norm, 0, open="(")
        self.norm_type = number(self.described, "norm_type", norm_type, 0, open="(", finite=False)
        self.scale_grad_by_freq = flag(self.described, "scale_grad_by_freq", scale_grad_by_freq)
        self.sparse = flag(self.described, "sparse", sparse)
        self.weight = self.add_weight((rows, self.embedding_dim), initializers.RandomNormal(0.0, 1.0), name="weight")
        if _weight is not None:
            self.weight.assign(_weight)
        elif self.padding_idx is not None:
            self.weight.value[self.padding_idx] = 0
        self.weight.trainable = not flag(self.described, "_freeze", _freeze)
        self.built = True

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None,
                        max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
                        sparse: bool = False) -> "Embedding":
        """A table that begins as this array (num_embeddings, embedding_dim); with `freeze` no optimizer changes it.

        Raises:
            ValueError: an array of another number of axes; other arguments as in the class.
        """
        shape = np.shape(embeddings)
        if len(shape) != 2:
            raise ValueError(f"Embedding.from_pretrained: expected embeddings (rows, columns), got shape {shape}")
        return cls(shape[0], shape[1], padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze)

    def forward(self, input: np.ndarray) -> np.ndarray:
        ids = ids_below(self.described, input, self.num_embeddings)
        if self.max_norm is not None:
            self._shrink(ids)
        y = self.xp.empty((*ids.shape, self.embedding_dim), self.dtype)
        self.kernels.core.embedding_forward(ids.reshape(-1), self.weight.value, y.reshape(-1, self.embedding_dim))  # (1)
        self.cache = self.Cache(ids)
        return y

    def backward(self, dy: np.ndarray) -> None:
        ids, rows, dW = self.cache.ids.reshape(-1), dy.reshape(-1, self.embedding_dim), self.weight.grad
        if self.scale_grad_by_freq:
            counts = self.xp.bincount(ids, minlength=self.num_embeddings)
            rows = (rows / counts[ids][:, None]).astype(self.dtype)
        kept = None if self.padding_idx is None else dW[self.padding_idx].copy()
        self.kernels.core.embedding_backward(ids, rows, dW)                                                         # (2)
        if kept is not None:
            dW[self.padding_idx] = kept

    def _shrink(self, ids: Any) -> None:
        rows = self.xp.unique(ids)
        vectors = self.weight.value[rows]
        norms = self.xp.linalg.norm(vectors, self.norm_type, axis=1, keepdims=True)
        self.weight.value[rows] = vectors * self.xp.where(norms > self.max_norm, self.max_norm / (norms + 1e-7), 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.embedding_dim)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_embeddings": self.num_embeddings, "embedding_dim": self.embedding_dim, "padding_idx": self.padding_idx,
            "max_norm": self.max_norm, "norm_type": self.norm_type, "scale_grad_by_freq": self.scale_grad_by_freq,
            "sparse": self.sparse}

    def extra_repr(self) -> str:
        shown = {"padding_idx": None, "max_norm": None, "norm_type": 2, "scale_grad_by_freq": False, "sparse": False}
        return f"{self.num_embeddings}, {self.embedding_dim}" + changed(self, shown)
