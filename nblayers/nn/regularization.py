"""Dropout as PyTorch writes it."""
from nblayers import layers
from nblayers.arguments import flag, number


def Dropout(p: float = 0.5, inplace: bool = False) -> layers.Layer:
    """`layers.Dropout` with rate p.

    Raises:
        ValueError: p outside [0, 1], or `inplace`.
    """
    number("Dropout", "p", p, 0, 1)
    if flag("Dropout", "inplace", inplace):
        raise ValueError("Dropout: inplace is not supported: no layer here changes its input")
    return layers.Dropout(p)
