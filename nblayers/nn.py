"""PyTorch's names and arguments for the layers that mean the same there.

What differs from PyTorch: a layer has no mode of its own: `forward(x, training=True)` says so at each call, and without it
Dropout does nothing. Recurrent layers take (batch, time, features), convolutions and pooling (batch, channels, …) as there.
Gradients come from `backward`, written by hand.
"""
from typing import Any

from nblayers.layers import Activation, Layer, Linear
from nblayers.layers import Dropout as _Dropout
from nblayers.layers import Embedding as _Embedding
from nblayers.layers import Flatten as _Flatten
from nblayers.layers import Identity as _Identity
from nblayers.layers.convolution.pytorch import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

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


def MaxPool1d(kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, return_indices: bool = False,
              ceil_mode: bool = False) -> Layer:
    """`layers.MaxPooling1D` of (batch, channels, steps); see `MaxPool2d`."""
    return _max_pool(1, kernel_size, stride, padding, dilation, return_indices, ceil_mode)


def MaxPool2d(kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, return_indices: bool = False,
              ceil_mode: bool = False) -> Layer:
    """`layers.MaxPooling2D` of (batch, channels, height, width), with PyTorch's padding: the same in front and behind.

    Raises:
        ValueError: a dilation other than 1, return_indices, or sizes that `layers.MaxPooling2D` refuses.
    """
    return _max_pool(2, kernel_size, stride, padding, dilation, return_indices, ceil_mode)


def MaxPool3d(kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, return_indices: bool = False,
              ceil_mode: bool = False) -> Layer:
    """`layers.MaxPooling3D` of (batch, channels, depth, height, width); see `MaxPool2d`."""
    return _max_pool(3, kernel_size, stride, padding, dilation, return_indices, ceil_mode)


def AvgPool1d(kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
              count_include_pad: bool = True) -> Layer:
    """`layers.AveragePooling1D` of (batch, channels, steps); see `AvgPool2d`."""
    return _average_pool(1, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def AvgPool2d(kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
              divisor_override: int | None = None) -> Layer:
    """`layers.AveragePooling2D` of (batch, channels, height, width), with PyTorch's padding, whose zeros count unless told.

    Raises:
        ValueError: divisor_override 0, or sizes that `layers.AveragePooling2D` refuses.
    """
    return _average_pool(2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def AvgPool3d(kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
              divisor_override: int | None = None) -> Layer:
    """`layers.AveragePooling3D` of (batch, channels, depth, height, width); see `AvgPool2d`."""
    return _average_pool(3, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _max_pool(rank: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, return_indices: bool,
              ceil_mode: bool) -> Layer:
    from nblayers.layers import pooling
    if not all(d == 1 for d in _several(dilation, rank)):
        raise ValueError(f"MaxPool{rank}d: expected dilation=1, got {dilation!r}")
    if return_indices:
        raise ValueError(f"MaxPool{rank}d: return_indices is not supported: a layer's cache holds them after a forward")
    if ceil_mode or any(_several(padding, rank)):
        return pooling.PaddedMaxPooling(_several(kernel_size, rank), stride, padding, ceil_mode)
    layer = (pooling.MaxPooling1D, pooling.MaxPooling2D, pooling.MaxPooling3D)[rank - 1]
    return layer(kernel_size, stride, data_format="channels_first")


def _average_pool(rank: int, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool,
                  divisor_override: int | None) -> Layer:
    from nblayers.layers import pooling
    if ceil_mode or any(_several(padding, rank)) or divisor_override is not None:
        return pooling.PaddedAveragePooling(_several(kernel_size, rank), stride, padding, ceil_mode, count_include_pad,
                                            divisor_override)
    layer = (pooling.AveragePooling1D, pooling.AveragePooling2D, pooling.AveragePooling3D)[rank - 1]
    return layer(kernel_size, stride, data_format="channels_first")


def _several(value: Any, rank: int) -> tuple[Any, ...]:
    """PyTorch's integer for all axes as a tuple with one for each."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank


__all__ = [
    "AvgPool1d", "AvgPool2d", "AvgPool3d", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d",
    "ConvTranspose3d", "Dropout", "Embedding", "Flatten", "Identity", "Linear", "MaxPool1d", "MaxPool2d", "MaxPool3d", "Module",
    "ReLU", "Sigmoid", "Tanh",
]
