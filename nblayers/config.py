"""What is the same for all layers: default dtype and data format, the small number epsilon, how convolutions are computed.

What the main thread sets counts in all threads; what another thread sets counts in that thread alone.
"""
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nblayers.arguments import flag, number

_FLOATS = ("float32", "float64")
_UNSET: Any = object()


class Setting:
    """One value for all threads, in place of which any thread may have its own.

    Arguments:
        value: what it is until it is set.
    """

    def __init__(self, value: Any) -> None:
        self._value = value
        self._own = threading.local()

    def get(self) -> Any:
        """The calling thread's value."""
        return getattr(self._own, "value", self._value)

    def set(self, value: Any) -> None:
        """From the main thread: for all threads that have set nothing; from another one: for that thread."""
        if threading.current_thread() is threading.main_thread():
            self._value = value
            self._replace(value if vars(self._own) else _UNSET)
        else:
            self._replace(value)

    @contextmanager
    def during(self, value: Any) -> Iterator[None]:
        """Inside, for the calling thread alone."""
        before = getattr(self._own, "value", _UNSET)
        self._replace(value)
        try:
            yield
        finally:
            self._replace(before)

    def _replace(self, value: Any) -> None:
        """The calling thread's own value; none with `_UNSET`."""
        vars(self._own).clear()
        if value is not _UNSET:
            self._own.value = value


_floatx, _epsilon, _image_data_format = Setting("float32"), Setting(1e-7), Setting("channels_last")
_winograd = Setting(None)               # None: what NBLAYERS_WINOGRAD says


def floatx() -> str:
    """The dtype of a layer that is given none: "float32" until `set_floatx` says otherwise."""
    return _floatx.get()


def set_floatx(value: str) -> None:
    """Set the default dtype, "float32" or "float64".

    Raises:
        ValueError: any other dtype.
    """
    _floatx.set(float_dtype(value, "set_floatx"))


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite (1e-7)."""
    return _epsilon.get()


def set_epsilon(value: float) -> None:
    """Set the small number returned by `epsilon`.

    Raises:
        ValueError: not a finite number above 0.
    """
    _epsilon.set(number("set_epsilon", "value", value, 0, open="("))


def image_data_format() -> str:
    """The data format of a layer that is given none: "channels_last"."""
    return _image_data_format.get()


def set_image_data_format(value: str) -> None:
    """Set the default data format.

    Raises:
        ValueError: neither "channels_last" nor "channels_first".
    """
    if value not in ("channels_last", "channels_first"):
        raise ValueError(f"set_image_data_format: expected 'channels_last' or 'channels_first', got {value!r}")
    _image_data_format.set(value)


def winograd() -> bool:
    """Whether convolutions may take Winograd's way: what `set_winograd` or the variable NBLAYERS_WINOGRAD says, else True.

    Raises:
        ValueError: NBLAYERS_WINOGRAD is neither 0 nor 1.
    """
    value = _winograd.get()
    if value is None:
        wanted = os.environ.get("NBLAYERS_WINOGRAD", "1")
        if wanted not in ("0", "1"):
            raise ValueError(f"NBLAYERS_WINOGRAD: expected 0 or 1, got {wanted!r}")
        return wanted == "1"
    return value


def set_winograd(value: bool) -> None:
    """Say whether convolutions on the CPU may take Winograd's way, a quarter of the multiplications for 3 x 3 windows.

    It is as exact as float32 allows for the largest number that a tile of 6 x 6 pixels holds, not for each output by itself:
    where pixels differ by orders of magnitude, False keeps the small outputs' digits.

    Raises:
        ValueError: neither True nor False.
    """
    _winograd.set(flag("set_winograd", "value", value))


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
