"""Signals wait while a kernel is compiled, or Numba imported: Ctrl-C, alarms, whatever has a handler in Python.

An exception between two steps of the compiler would leave half a kernel behind, and every later kernel that calls it fails.
"""
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_holding = False


@contextmanager
def held_back() -> Iterator[None]:
    """Deliver at the end what comes inside. Python runs handlers in the main thread alone: elsewhere nothing has to wait."""
    global _holding
    if _holding or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, Any]] = []
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in signal.valid_signals()}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    waiting = dict(handlers)
    _holding = True
    try:
        for number in handlers:
            signal.signal(number, lambda number, frame: came.append((number, frame)))
        yield
    finally:
        _holding = False
        try:
            _put_back(waiting)
        finally:
            _deliver(came, handlers)


def _put_back(handlers: dict[int, Any]) -> None:
    """Each of them, also where one that is back already raises."""
    if handlers:
        number = next(iter(handlers))
        try:
            signal.signal(number, handlers[number])
        finally:
            del handlers[number]
            _put_back(handlers)


def _deliver(came: list[tuple[int, Any]], handlers: dict[int, Any]) -> None:
    if came:
        number, frame = came[0]
        try:
            handlers[number](number, frame)
        finally:
            _deliver(came[1:], handlers)
