"""PyTorch's names and arguments for the layers that mean the same there.

What differs from PyTorch: a layer has no mode of its own: `forward(x, training=True)` says so at each call, and without it
Dropout does nothing. Gradients come from `backward`, written by hand.
"""
from typing import Any

from nblayers.layers import Activation, Layer, Linear
from nblayers.layers import Dropout as _Dropout
from nblayers.layers import Embedding as _Embedding
from nblayers.layers import Flatten as _Flatten
from nblayers.layers import Identity as _Identity
from nblayers.layers.convolution.pytorch import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from nblayers.layers.pooling.pytorch import AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d
from nblayers.nn import utils
from nblayers.nn.recurrent import GRU, LSTM, RNN

Module = Layer


def Identity(*args: Any, **kwargs: Any) -> Layer:
    """`layers.Identity`; takes any arguments and ignores them, as in PyTorch."""
    return _Identity()


def Flatten(start_dim: int = 1, end_dim: int = -1) -> Layer:
    """`layers.Flatten`, which keeps the batch axis and lays all others into one.

    Raises:
        ValueError: other axes than 1 to -1.
    """
    if (start_dim, end_dim) != (1, -1):
        raise ValueError(f"Flatten: expected start_dim=1 and end_dim=-1, got {start_dim} and {end_dim}")
    return _Flatten()


def Dropout(p: float = 0.5, inplace: bool = False) -> Layer:
    """`layers.Dropout` with rate p.

    Raises:
        ValueError: p outside [0, 1], or `inplace`.
    """
    if inplace:
        raise ValueError("Dropout: inplace is not supported: no layer here changes its input")
    return _Dropout(p)


def Embedding(num_embeddings: int, embedding_dim: int) -> Layer:
    """`layers.Embedding`, its table drawn from N(0, 1) as in PyTorch."""
    from nblayers.initializers import RandomNormal
    return _Embedding(num_embeddings, embedding_dim, embeddings_initializer=RandomNormal(0.0, 1.0))


def ReLU() -> Layer:
    """`layers.Activation("relu")`."""
    return Activation("relu")


def Sigmoid() -> Layer:
    """`layers.Activation("sigmoid")`."""
    return Activation("sigmoid")


def Tanh() -> Layer:
    """`layers.Activation("tanh")`."""
    return Activation("tanh")


__all__ = [
    "GRU", "LSTM", "RNN", "AvgPool1d", "AvgPool2d", "AvgPool3d", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d",
    "ConvTranspose2d", "ConvTranspose3d", "Dropout", "Embedding", "Flatten", "Identity", "Linear", "MaxPool1d", "MaxPool2d",
    "MaxPool3d", "Module", "ReLU", "Sigmoid", "Tanh", "utils",
]
