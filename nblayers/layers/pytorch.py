"""PyTorch's layer among Keras' names."""
from nblayers.nn.core import Linear

__all__ = ["Linear"]
