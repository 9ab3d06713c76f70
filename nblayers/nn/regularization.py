"""Dropout as PyTorch writes it. `inplace` must be False everywhere: no layer here changes its input."""
from nblayers import layers
from nblayers.arguments import number
from nblayers.nn.activation import refuse_inplace


def _checked(name: str, p: float, inplace: bool, open: str = "") -> float:
    """p, from 0 to 1."""
    number(name, "p", p, 0, 1, open=open)
    refuse_inplace(name, inplace)
    return p


def Dropout(p: float = 0.5, inplace: bool = False) -> layers.Layer:
    """`layers.Dropout` with rate p.

    Raises:
        ValueError: p outside [0, 1], or `inplace`.
    """
    return layers.Dropout(_checked("Dropout", p, inplace))


def Dropout1d(p: float = 0.5, inplace: bool = False) -> layers.Layer:
    """Drops whole channels of (batch, channels, steps): `layers.Dropout` with noise_shape (None, None, 1).

    Raises:
        ValueError: p outside [0, 1], or `inplace`.
    """
    return layers.Dropout(_checked("Dropout1d", p, inplace), noise_shape=(None, None, 1))


def Dropout2d(p: float = 0.5, inplace: bool = False) -> layers.Layer:
    """`layers.SpatialDropout2D` with data_format="channels_first".

    Raises:
        ValueError: p outside [0, 1], or `inplace`.
    """
    return layers.SpatialDropout2D(_checked("Dropout2d", p, inplace), "channels_first")


def Dropout3d(p: float = 0.5, inplace: bool = False) -> layers.Layer:
    """`layers.SpatialDropout3D` with data_format="channels_first".

    Raises:
        ValueError: p outside [0, 1], or `inplace`.
    """
    return layers.SpatialDropout3D(_checked("Dropout3d", p, inplace), "channels_first")


def AlphaDropout(p: float = 0.5, inplace: bool = False) -> layers.Layer:
    """`layers.AlphaDropout` with rate p.

    Raises:
        ValueError: p outside [0, 1), or `inplace`.
    """
    return layers.AlphaDropout(_checked("AlphaDropout", p, inplace, ")"))
