"""How many threads compute, what stands before a parallel loop, and what becomes of both in a forked process.

Numba's threads do not live on in a child that was forked after they began to run, and GNU's OpenMP ends a child that asks for
them. So such a child computes with one thread, whatever it was told; `_team` asks `alone` for the loop's sake, too.
"""
import os
import threading
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from numba import config, get_num_threads, threading_layer
from numba.core.compiler_lock import global_compiler_lock
from numba.np.ufunc import parallel

_alone = False
_turn = threading.RLock()               # again and again by one thread: a signal handler may compute, too
_AT_FORK = global_compiler_lock, parallel._backend_init_thread_lock


def threads_for(work: int, share: int) -> int:
    """How many threads to wake for so much work, if each is to have a share worth it; at least one."""
    if work < 2 * share or _alone or config.DISABLE_JIT:
        return 1
    started = parallel._is_initialized          # Numba would take two locks at each call to find that out
    return min(parallel._get_num_threads() if started else get_num_threads(), work // share)


def alone() -> bool:
    """Whether this process was forked from one whose threads ran already."""
    return _alone


def compute_with_all() -> None:
    """Ask for the kernels that the process asked for before the fork. They must not be called."""
    global _alone
    _alone = False


def launch(kernel: Any, *arguments: Any) -> None:
    """Call a kernel that begins parallel loops; they wait for each other where the threading layer bears one at a time."""
    with _before_a_loop():
        kernel(*arguments)


@cache
def _before_a_loop() -> AbstractContextManager[Any]:
    if _alone:
        return nullcontext()
    get_num_threads()                   # starts the threads: their layer is known afterwards
    return _turn if threading_layer() == "workqueue" else nullcontext()


def _threads_run() -> bool:
    try:
        return bool(threading_layer())
    except ValueError:                  # Numba's word for not yet
        return False


def _before_fork() -> None:
    """Let others finish what they compile: a child would wait for them forever."""
    for lock in _AT_FORK:
        lock.acquire()


def _after_fork() -> None:
    for lock in reversed(_AT_FORK):
        lock.release()


def _after_fork_in_child() -> None:
    global _alone, _turn
    _alone, _turn = _alone or _threads_run(), threading.RLock()
    _before_a_loop.cache_clear()
    _after_fork()


if hasattr(os, "register_at_fork"):     # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
