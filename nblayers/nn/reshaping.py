"""Reshaping as PyTorch writes it."""
import numpy as np

from nblayers import layers


def Flatten(start_dim: int = 1, end_dim: int = -1) -> layers.Layer:
    """`layers.Flatten`, which keeps the batch axis and lays all others into one.

    Raises:
        ValueError: other axes than 1 to -1.
    """
    axes = start_dim, end_dim
    if not all(isinstance(axis, (int, np.integer)) for axis in axes) or axes != (1, -1):
        raise ValueError(f"Flatten: expected start_dim=1 and end_dim=-1, got {start_dim} and {end_dim}")
    return layers.Flatten()
