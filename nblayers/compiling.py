"""Says on a terminal that kernels are being compiled, which takes a machine many seconds, but once."""
import contextlib
import functools
import inspect
import shutil
import sys
from collections.abc import Callable
from contextvars import ContextVar
from importlib import import_module
from typing import Any, TypeVar

import kernels

Method = TypeVar("Method", bound=Callable[..., Any])
_silent: ContextVar[bool] = ContextVar("silent", default=False)


class CompilingLine:
    """A line at the foot of a terminal while kernels are compiled, gone when they are; where there is no terminal, nothing.

    It takes the place of a progress line, which is written anew at its next step.

    Attributes:
        heeds_verbose: whether methods that are called with verbose=0 compile silently.
    """

    def __init__(self) -> None:
        self.heeds_verbose = True
        self._stream: Any = None        # where the line stands now
        self._names: list[str] = []     # of the kernels that are being compiled: each needs the next
        self._count = 0                 # of all so far

    def show(self, name: str, begins: bool) -> None:
        """Say that the kernel of this name is being compiled, or that it is done."""
        if begins:
            self._names.append(name)
            self._count += 1
        else:
            self._names.pop()
        if self._stream is None and not (self.heeds_verbose and _silent.get()):
            self._stream = _terminal()
        if self._names:
            once = ", once on this machine" if import_module("kernels.cpu._cache").is_kept() else ""
            self._write(f"Compiling kernels{once}: {self._names[-1].strip('_')} ({self._count})")
        else:
            self._write("")
            self._stream = None

    def _write(self, text: str) -> None:
        if self._stream is not None:
            wide = shutil.get_terminal_size().columns - 1
            with contextlib.suppress(OSError, ValueError):              # the terminal may be gone
                self._stream.write(f"\r{text[:wide]:{wide}}" + "\r" * (not text))
                self._stream.flush()


def _terminal() -> Any:
    """stderr if it is a terminal, else stdout if that is one."""
    for stream in (sys.stderr, sys.stdout):
        with contextlib.suppress(AttributeError, ValueError):           # None, or closed
            if stream.isatty():
                return stream
    return None


def silent_without_verbose(method: Method) -> Method:
    """Let a method with an argument `verbose` compile silently where that is 0."""
    place = list(inspect.signature(method).parameters).index("verbose")

    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        verbose = args[place] if len(args) > place else kwargs.get("verbose")
        if verbose is None or verbose != 0:
            return method(*args, **kwargs)
        token = _silent.set(True)
        try:
            return method(*args, **kwargs)
        finally:
            _silent.reset(token)
    return run          # type: ignore[return-value]


LINE = CompilingLine()
kernels.on_compile = LINE.show
