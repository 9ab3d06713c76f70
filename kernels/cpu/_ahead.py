"""Compiling ahead: while a process compiles the kernels that its step needs first, forks of it compile those it will need last.

A fork learns which these are by a rehearsal. It does the same step (`kernels.step`) with kernels that note who asked for them
and do nothing. Then it goes through its notes from the end, takes what nobody has compiled or is compiling, and keeps it where
the first process will look: a lock in `_cache` says who compiles what. Nothing else of a fork reaches anyone.
"""
import contextlib
import os
import select
import signal
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import kernels

from . import _cache, _threads

MOST = 3                    # forks; more would wait for each other
SECONDS = 30                # after which a rehearsal is given up
STRANGERS = {"cupy", "jax", "tensorflow", "torch"}      # whose threads and devices do not live on in a fork

Note = tuple[Callable[..., Any], tuple[Any, ...]]       # a method of a kernel, and for which types (and what else) it was asked

kernels_made: "weakref.WeakSet[Any]" = weakref.WeakSet()
notes: "dict[Note, None] | None" = None                 # while there is a rehearsal
_forks: int | None = None                               # what forks hold the other end of, as long as they run
_last: "weakref.ref[Callable[[], object]] | None" = None                # the step that they rehearse


def begin() -> None:
    """Have forks compile ahead, if it is known what is being done. Called where a kernel must be compiled."""
    global _forks, _last
    step = kernels.step.get()
    if step is None or notes is not None or (_last is not None and _last() is step) or not _wanted() or _run():
        return
    _last = weakref.ref(step)
    _forks, alive = os.pipe()
    try:
        for _ in range(min(_cores() - 1, MOST)):
            _fork(step, alive)
    except OSError:                                     # no memory, too many processes: it takes longer, then
        pass
    finally:
        os.close(alive)


def _nothing(*arguments: Any) -> int:
    """What stands for a kernel in a rehearsal."""
    return 0


def note(ask: Callable[..., Any], *arguments: Any, result: Any = _nothing) -> Any:
    """Note in a rehearsal that a kernel was asked for something, and hand out what stands for it."""
    assert notes is not None
    notes[ask, arguments] = None
    return result


def _wanted() -> bool:
    if os.environ.get("NBLAYERS_COMPILE_AHEAD") == "0" or not sys.platform.startswith("linux"):
        return False
    return _cores() > 1 and not STRANGERS & sys.modules.keys() and _cache.is_kept()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _run() -> bool:
    """Whether forks that were begun before still run: then the pipe that they hold has no end."""
    global _forks
    if _forks is not None and select.select([_forks], [], [], 0)[0]:
        os.close(_forks)
        _forks = None
    return _forks is not None


def _fork(step: Callable[[], object], alive: int) -> None:
    """A grandchild, so that nobody has to wait for it: its parent ends at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                 # of threads that a fork does not have: this one waits for none of them
        child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        if os.fork() == 0:
            _leave(alive)
            _compile(list(_rehearsed(step)), alive)
    except BaseException:                               # nobody is there to be told
        pass
    finally:
        os._exit(0)


def _leave(alive: int) -> None:
    """Let go of the first process' streams, files and signals; `alive` alone stays open."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    sys.stdout = sys.stderr = open(os.devnull, "w")     # noqa: SIM115
    kept = {0, 1, 2, alive, sys.stdout.fileno()}
    for descriptor in {int(name) for name in os.listdir("/proc/self/fd")} - kept:
        with contextlib.suppress(OSError):              # the listing's own is closed already
            os.close(descriptor)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)) or number == signal.SIGALRM:
            signal.signal(number, signal.SIG_DFL)
    kernels.on_compile = None
    kernels.step.set(None)                              # a fork has no forks of its own
    _threads.compute_with_all()
    _cache.forget_claims()


def _rehearsed(step: Callable[[], object]) -> dict[Note, None]:
    """What was asked for in a step, in order, as far as it goes on without one number computed."""
    global notes
    notes = {}
    for kernel in list(kernels_made):
        kernel._clear()                                 # Python asks for all of them again
    signal.setitimer(signal.ITIMER_REAL, SECONDS)       # and ends this process
    with contextlib.suppress(Exception):                # of numbers that make no sense
        step()
    signal.setitimer(signal.ITIMER_REAL, 0)
    noted, notes = notes, None
    return noted


def _compile(noted: list[Note], alive: int) -> None:
    waits = select.poll()
    waits.register(alive, 0)
    for ask, arguments in reversed(noted):
        if waits.poll(0):                               # an error: nobody holds the other end
            return
        if not ask.__self__.is_claimed(arguments[0]):   # type: ignore[attr-defined]
            ask(*arguments)
