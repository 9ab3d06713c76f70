"""Which room of kernels a layer computes in: "reference" (plain NumPy), "cpu" (Numba) or "cuda"."""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

import kernels
from kernels import aligned
from nblayers import compiling  # noqa: F401  kernels that this device compiles are to be named
from nblayers.config import Setting

_device = Setting(None)             # None: what NBLAYERS_DEVICE says


def get_device() -> str:
    """The device of layers made now in this thread: that of `device`, of `set_device`, of NBLAYERS_DEVICE, else "cpu".

    Raises:
        ValueError: NBLAYERS_DEVICE names no device.
    """
    return _device.get() or _checked(os.environ.get("NBLAYERS_DEVICE", "cpu"))


def set_device(name: str) -> None:
    """Make `name` the device of all layers made from now on; called in a thread beside the main one, of that thread's.

    Raises:
        ValueError: `name` is none of "reference", "cpu", "cuda".
    """
    _device.set(_checked(name))


@contextmanager
def device(name: str) -> Iterator[str]:
    """`with device("reference"): …`: layers that this thread makes inside compute there.

    Raises:
        ValueError: `name` is none of "reference", "cpu", "cuda".
    """
    with _device.during(_checked(name)):
        yield name


def _checked(name: str) -> str:
    if name not in kernels.ROOMS:
        raise ValueError(f"unknown device {name!r}: expected one of {', '.join(kernels.ROOMS)}")
    return name


def array_module(name: str) -> ModuleType:
    """NumPy, with `kernels.aligned` for "cpu", or CuPy for "cuda" (NumPy under Numba's CUDA simulator).

    Raises:
        ImportError: "cuda" without CuPy and without the simulator.
    """
    if name == "cpu":
        return aligned
    if name == "reference" or os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        return np
    try:
        import cupy
    except ImportError as error:
        raise ImportError("device 'cuda' needs CuPy: pip install 'nblayers[cuda]' (or set NUMBA_ENABLE_CUDASIM=1 to run "
                          "the CUDA kernels in Numba's simulator)") from error
    return cupy


def to_numpy(array: Any) -> np.ndarray:
    """The array as a NumPy array; copies only from a GPU."""
    return array.get() if hasattr(array, "get") and not isinstance(array, np.ndarray) else np.asarray(array)
