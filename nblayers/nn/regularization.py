"""Dropout as PyTorch writes it."""
from nblayers import layers


def Dropout(p: float = 0.5, inplace: bool = False) -> layers.Layer:
    """`layers.Dropout` with rate p.

    Raises:
        ValueError: p outside [0, 1], or `inplace`.
    """
    if inplace:
        raise ValueError("Dropout: inplace is not supported: no layer here changes its input")
    return layers.Dropout(p)
