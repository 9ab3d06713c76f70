"""Dense layers and tables as PyTorch writes them."""
import math
from typing import Any

import numpy as np

from nblayers import initializers, layers
from nblayers.arguments import flag, integer
from nblayers.layers.base import InputSpec, Layer, Parameter, Record, positive
from nblayers.layers.fixed import fixed

Module = Layer


class Linear(Layer):
    r"""The dense layer without an activation as PyTorch writes it: the weight is kept transposed.

        y_{no} = \sum_i x_{ni} W_{oi} + b_o             (1)    y = x W^T + b

    Input (batch, …, in_features), output (batch, …, out_features). Weights, made at once: weight W (out, in), bias b (out,),
    both from the uniform distribution between -1/√in and 1/√in, so that `set_weights([w, b])` takes PyTorch's.

    Arguments:
        in_features, out_features: the sizes of the last axis of input and output.
        bias: whether b is added.

    Raises:
        ValueError: a size is not a positive integer; an input of fewer than two axes or of another last axis than in_features.

    Source: document 002, "Linear Layer"; torch.nn.Linear.
    """

    supports_masking = True
    in_features: int = fixed()
    out_features: int = fixed()
    weight: Parameter = fixed()
    bias: Parameter | None = fixed()

    class Cache(Record):
        x: np.ndarray       # (batch, …, in_features)

    def __init__(self, in_features: int, out_features: int, bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.in_features = positive(self, "in_features", in_features)
        self.out_features = positive(self, "out_features", out_features)
        limit = 1 / math.sqrt(self.in_features)
        uniform = initializers.RandomUniform(-limit, limit)
        self.weight = self.add_weight((self.out_features, self.in_features), uniform, name="weight")
        self.bias = self.add_weight((self.out_features,), uniform, name="bias") if flag(self.described, "bias", bias) else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: self.in_features})
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


def Identity(*args: Any, **kwargs: Any) -> Layer:
    """`layers.Identity`; takes any arguments and ignores them, as in PyTorch."""
    return layers.Identity()


def Embedding(num_embeddings: int, embedding_dim: int) -> Layer:
    """`layers.Embedding`, its table drawn from N(0, 1) as in PyTorch.

    Raises:
        ValueError: a size that is not a positive integer.
    """
    integer("Embedding", "num_embeddings", num_embeddings, 1)
    integer("Embedding", "embedding_dim", embedding_dim, 1)
    return layers.Embedding(num_embeddings, embedding_dim, embeddings_initializer=initializers.RandomNormal(0.0, 1.0))
