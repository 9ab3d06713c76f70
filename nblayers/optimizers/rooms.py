"""Where a step is computed, and the norms that it needs."""
from types import ModuleType
from typing import Any

import numpy as np

import kernels
from nblayers.devices import get_device
from nblayers.parameter import Parameter


def device_of(parameters: list[Parameter], device: str | None) -> str:
    """The device asked for, else that of the thread, or "cuda" where the values lie there."""
    if device is not None:
        return device
    return get_device() if not parameters or isinstance(parameters[0].value, np.ndarray) else "cuda"


def room_of(parameters: list[Parameter], device: str | None) -> ModuleType:
    """The optimizers' kernels for that device."""
    return kernels.get(device_of(parameters, device)).optimizers


def squared_norm(room: ModuleType, flat: Any) -> float:
    """The sum of the squares of a flat array."""
    if not flat.size:
        return 0.0
    total = flat[:1].copy()
    room.squared_norm(flat, total)
    return float(total[0])
