"""What is the same for all layers: default dtype and data format, the small number epsilon, how convolutions are computed."""
import os
from typing import Any

import numpy as np

_FLOATS = ("float32", "float64")
_state: dict[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last", "winograd": None}


def floatx() -> str:
    """The dtype of a layer that is given none: "float32" until `set_floatx` says otherwise."""
    return _state["floatx"]


def set_floatx(value: str) -> None:
    """Set the default dtype, "float32" or "float64".

    Raises:
        ValueError: any other dtype.
    """
    _state["floatx"] = float_dtype(value, "set_floatx")


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite (1e-7)."""
    return _state["epsilon"]


def set_epsilon(value: float) -> None:
    """Set the small number returned by `epsilon`."""
    _state["epsilon"] = float(value)


def image_data_format() -> str:
    """The data format of a layer that is given none: "channels_last"."""
    return _state["image_data_format"]


def set_image_data_format(value: str) -> None:
    """Set the default data format.

    Raises:
        ValueError: neither "channels_last" nor "channels_first".
    """
    if value not in ("channels_last", "channels_first"):
        raise ValueError(f"set_image_data_format: expected 'channels_last' or 'channels_first', got {value!r}")
    _state["image_data_format"] = value


def winograd() -> bool:
    """Whether convolutions may take Winograd's way: what `set_winograd` or the variable NBLAYERS_WINOGRAD says, else True.

    Raises:
        ValueError: NBLAYERS_WINOGRAD is neither 0 nor 1.
    """
    if _state["winograd"] is None:
        wanted = os.environ.get("NBLAYERS_WINOGRAD", "1")
        if wanted not in ("0", "1"):
            raise ValueError(f"NBLAYERS_WINOGRAD: expected 0 or 1, got {wanted!r}")
        _state["winograd"] = wanted == "1"
    return _state["winograd"]


def set_winograd(value: bool) -> None:
    """Say whether convolutions on the CPU may take Winograd's way, a quarter of the multiplications for 3 x 3 windows.

    It is as exact as float32 allows for the largest number that a tile of 6 x 6 pixels holds, not for each output by itself:
    where pixels differ by orders of magnitude, False keeps the small outputs' digits.

    Raises:
        TypeError: neither True nor False.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"set_winograd: expected True or False, got {value!r}")
    _state["winograd"] = bool(value)


def float_dtype(value: object, who: str) -> str:
    """Return the name of a floating dtype that layers compute in; Keras' dtype configurations are understood.

    Raises:
        ValueError: neither float32 nor float64.
    """
    if isinstance(value, dict):                                  # {"class_name": "DTypePolicy", "config": {"name": …}}
        value = value.get("config", {}).get("name")
    try:
        name = np.dtype(value).name if value is not None else floatx()      # type: ignore[call-overload]
    except TypeError:
        name = str(value)
    if name not in _FLOATS:
        raise ValueError(f"{who}: expected dtype 'float32' or 'float64', got {value!r}")
    return name
