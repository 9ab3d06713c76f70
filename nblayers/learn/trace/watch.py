"""How a trace sees what a layer computes: Python tells it each line of the layers' and of the reference kernels' code.

Kernels of another room are compiled, so no line of theirs is seen: beside them the reference kernels run on copies of the
same arrays. Python's `sys.settrace` is on only while a layer runs, in the thread of the trace alone.
"""
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import numpy as np

import kernels
from nblayers.devices import to_numpy
from nblayers.learn.trace.lines import Line, lines_of

LAYERS = str(Path(__file__).parents[2] / "layers")
REFERENCE = str(Path(kernels.__file__).parent / "reference")
BLOCKS = ("matmul.py",)                 # what a layer's own line says better


class Watch:
    """Tells `begin` and `finish` of each line that computes an equation.

    Arguments:
        begin: called with the line and its frame before it runs; what it returns is handed to
        finish: called with the line, its frame, that, and what the line returned, when it has run.
    """

    def __init__(self, begin: Callable[[Line, FrameType], Any], finish: Callable[[Line, FrameType, Any, Any], None]) -> None:
        self._begin, self._finish = begin, finish
        self._files: set[str] = set()
        self._others: Any = None
        self.quiet = False              # while a kernel runs that has been seen already

    def of(self, cls: type) -> None:
        """Watch the code of this class and of those that it is made from, too."""
        for one in cls.__mro__:
            module = sys.modules.get(one.__module__)
            if one.__module__.partition(".")[0] not in ("builtins", "abc") and (path := getattr(module, "__file__", None)):
                self._files.add(path)

    def start(self) -> None:
        self._others = sys.gettrace()
        sys.settrace(self._on_call)

    def stop(self) -> None:
        sys.settrace(self._others)

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if self.quiet or code.co_name.startswith("<") or not (code.co_filename in self._files or _is_ours(code.co_filename)):
            return None
        return _Calls(self._begin, self._finish, lines_of(code.co_filename)).on_event if _has_lines(code) else None

    def room(self, room: ModuleType) -> Any:
        """What stands for a room of kernels while this watches."""
        return room if self.quiet or room.__name__ == "kernels.reference" else _Room(self, room)


class _Calls:
    """One call of a function: which of its lines is running."""

    def __init__(self, begin: Any, finish: Any, lines: dict[int, Line]) -> None:
        self._begin, self._finish, self._lines = begin, finish, lines
        self._running: Line | None = None
        self._kept: Any = None

    def on_event(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "exception":
            self._running = None
        elif event == "line":
            line = self._lines.get(frame.f_lineno)
            if line is not self._running:
                self._end(frame)
                if line is not None and line.marks:
                    self._running, self._kept = line, self._begin(line, frame)
        elif event == "return":
            self._end(frame, argument)
        return self.on_event

    def _end(self, frame: FrameType, returned: Any = None) -> None:
        if self._running is not None:
            line, self._running = self._running, None
            self._finish(line, frame, self._kept, returned)


@functools.cache
def _is_ours(path: str) -> bool:
    return path.startswith(LAYERS) or (is_kernel(path) and not path.endswith(BLOCKS))


def is_kernel(path: str) -> bool:
    """Whether a file is one of the reference kernels."""
    return path.startswith(REFERENCE)


@functools.cache
def _has_lines(code: CodeType) -> bool:
    """Whether a line of this code computes an equation."""
    lines = lines_of(code.co_filename)
    return any(number in lines and lines[number].marks for _, _, number in code.co_lines() if number is not None)


class _Room:
    """A room whose kernels the reference kernels run beside."""

    def __init__(self, watch: Watch, room: ModuleType) -> None:
        self._watch, self._room = watch, room

    def __getattr__(self, topic: str) -> Any:
        found = getattr(self._room, topic)
        return _Topic(self._watch, found, getattr(kernels.get("reference"), topic)) if topic in kernels.TOPICS else found


class _Topic:
    def __init__(self, watch: Watch, topic: ModuleType, reference: ModuleType) -> None:
        self._watch, self._topic, self._reference = watch, topic, reference

    def __getattr__(self, name: str) -> Any:
        kernel, reference = getattr(self._topic, name), getattr(self._reference, name, None)
        if reference is None or not callable(kernel):
            return kernel

        def both(*arguments: Any) -> Any:
            if not self._watch.quiet:
                reference(*_copies(arguments, {}))
            return kernel(*arguments)
        return both


def _copies(value: Any, made: dict[int, Any]) -> Any:
    """NumPy copies of the arrays; an array that is given twice stays one."""
    if isinstance(value, tuple):
        copies = [_copies(one, made) for one in value]
        return type(value)(*copies) if hasattr(value, "_fields") else tuple(copies)
    if not hasattr(value, "shape") or isinstance(value, np.generic):
        return value
    if id(value) not in made:
        made[id(value)] = np.array(to_numpy(value))
    return made[id(value)]
