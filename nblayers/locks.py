"""Locks that outlive a fork."""
import os
import threading
import weakref
from types import TracebackType
from typing import Any

_all: "weakref.WeakSet[Lock]" = weakref.WeakSet()


class Lock:
    """A lock that the same thread may take again.

    A copy of what holds it gets a lock of its own; so does a forked process if another thread had taken it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        return Lock, ()


FACTORISING = Lock()                    # a fork waits for it: OpenBLAS hangs where one comes in the midst of a factorisation


def _after_fork_in_child() -> None:
    FACTORISING.__exit__(None, None, None)
    for lock in list(_all):
        if lock._lock.acquire(blocking=False):          # free, or this thread's
            lock._lock.release()
        else:
            lock._lock = threading.RLock()


if hasattr(os, "register_at_fork"):     # not on Windows
    os.register_at_fork(before=FACTORISING.__enter__, after_in_parent=lambda: FACTORISING.__exit__(None, None, None),
                        after_in_child=_after_fork_in_child)
