"""What is the same for all layers: the default dtype, the small number epsilon, the default data format."""
from typing import Any

import numpy as np

from nblayers.arguments import number

_FLOATS = ("float32", "float64")
_state: dict[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


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
    """Set the small number returned by `epsilon`.

    Raises:
        ValueError: not a finite number above 0.
    """
    _state["epsilon"] = number("set_epsilon", "value", value, 0, open="(")


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
