"""The inner loops of nblayers in three rooms with the same functions: `reference`, `cpu`, `cuda`.

Arrays in, arrays out: a kernel knows no layer, no weight, no Python object. Inputs come first, outputs last; the caller
allocates and nothing is returned. `get("cpu").recurrent.lstm_forward(...)` loads Numba on its first use, not before.
"""
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from types import ModuleType

from .interrupts import held_back

ROOMS = ("reference", "cpu", "cuda")
TOPICS = ("activation", "attention", "conv_lstm", "convolution", "core", "crf", "ctc", "encoding", "hashing", "images",
          "matmul", "merging", "normalization", "optimizers", "pooling", "recurrent", "regularization", "reshaping", "text",
          "warps")
IS_NBLAYERS = True                      # tells our package from another distribution of the same name

# called with a kernel's name and True when Numba begins to compile it, and with False when it is done; they are nested
on_compile: Callable[[str, bool], object] | None = None

# what does once more what this thread is doing, in a process of its own: from it `cpu` learns which kernels will be needed
step: ContextVar[Callable[[], object] | None] = ContextVar("step", default=None)


@contextmanager
def doing(again: Callable[[], object]) -> Iterator[None]:
    """Inside, `step` is what does it again."""
    token = step.set(again)
    try:
        yield
    finally:
        step.reset(token)


@cache
def loaded(room: str) -> ModuleType:
    """Return the kernels of `room`; each of its topics is imported when it is first asked for."""
    if room not in ROOMS:
        raise ValueError(f"unknown device {room!r}: expected one of {', '.join(ROOMS)}")
    return import_module(f"kernels.{room}")


get: Callable[[str], ModuleType] = loaded      # what is called; a trace puts another in its place, which calls `loaded`


def topic_loader(package: str) -> Callable[[str], ModuleType]:
    """The `__getattr__` of a room: `room.recurrent` imports that topic on first use."""
    def __getattr__(name: str) -> ModuleType:
        if name in TOPICS:
            with held_back():                           # half of Numba could not be imported again
                return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return __getattr__
