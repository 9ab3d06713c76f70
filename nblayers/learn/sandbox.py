"""Running a learner's code in a process of its own: with a time limit, and with its prints kept apart.

    for outcome in each_limited(check_one, [1, 2, 3], "my_answer.py", seconds=10):

calls `check_one(1, "my_answer.py")`, then for 2 and 3. It is a function at the top level of a module that can be imported;
what it is given and what it returns or raises is pickled. A loop without an end costs its own item only: the process is ended,
and a new one goes on with the next item.
"""
import contextlib
import importlib
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STARTING = 120.0                        # seconds that a new process may take to import what it needs


@dataclass
class Outcome:
    """How one call came out.

    Attributes:
        state: "done", "raised", "late" (the time was up) or "died" (the process ended itself).
        value: what the function returned, if it is done.
        error: what it raised, if it raised; a `RuntimeError` with the same text for an exception that cannot be pickled.
        trace: the traceback as text, if it raised.
        prints: what was printed meanwhile, on stdout and stderr.
        seconds: how long it took.
    """

    state: str
    value: Any = None
    error: BaseException | None = None
    trace: str = ""
    prints: str = ""
    seconds: float = 0.0


def each_limited(function: Callable[..., Any], items: Sequence[Any], *arguments: Any, seconds: float) -> Iterator[Outcome]:
    """`function(item, *arguments)` for one item after the other, each for at most `seconds`.

    All are called in one process, so that it may keep what is dear to make (a file that was run); after one that is late
    or dies the next ones get a new process.
    """
    process = None
    try:
        for item in items:
            if process is None:
                process = _Process()
            outcome = process.call(function, (item, *arguments), seconds)
            if outcome.state in ("late", "died"):
                process.end()
                process = None
            yield outcome
    finally:
        if process is not None:
            process.end()


class _Process:
    """A Python that takes calls from its stdin, and answers on its stdout; what it prints goes to a file."""

    def __init__(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="nblayers_")
        self.prints = Path(self.directory.name, "prints")
        self.prints.touch()
        self.read = 0                   # bytes of the prints that were told already
        start = (f"import sys; sys.path[:] = {sys.path!r}; from nblayers.learn import sandbox; "
                 f"sandbox._serve({str(self.prints)!r})")
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
        environment.setdefault("OPENBLAS_NUM_THREADS", "1")     # small products; more threads only wait on a busy machine
        self.process = subprocess.Popen([sys.executable, "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.prints.open("ab"), env=environment)
        self.answers: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
            while True:
                self.answers.put(pickle.load(self.process.stdout))
        self.answers.put(None)

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> Outcome:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            pickle.dump((function.__module__, function.__qualname__, pickle.dumps(arguments)), self.process.stdin)
            self.process.stdin.flush()
        answer = self._answer(STARTING)                 # that it has imported the function
        start = time.perf_counter()
        if answer == "started":
            answer = self._answer(seconds)
        if answer is None:
            outcome = Outcome("died")
        elif answer == "late":
            outcome = Outcome("late")
        else:
            state, value, error, trace = answer
            outcome = Outcome(state, value, error, trace)
        outcome.seconds, outcome.prints = time.perf_counter() - start, self._new_prints()
        return outcome

    def _answer(self, seconds: float) -> Any:
        try:
            return self.answers.get(timeout=seconds)
        except queue.Empty:
            return "late"

    def _new_prints(self) -> str:
        with self.prints.open("rb") as file:
            file.seek(self.read)
            new = file.read()
        self.read += len(new)
        return new.decode("utf-8", "replace")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.directory.cleanup()


def _serve(prints: str) -> None:
    """What the process does: answer calls until nobody calls any more."""
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(prints, "ab") as file, open(os.devnull, "rb") as nothing:
        os.dup2(file.fileno(), 1)                       # a print of the learner's is no answer
        os.dup2(nothing.fileno(), 0)                    # and input() gets nothing
    while True:
        try:
            module, name, arguments = pickle.load(calls)
        except EOFError:
            return
        try:
            function, given = getattr(importlib.import_module(module), name), pickle.loads(arguments)
            _say(answers, "started")
            answer: Any = ("done", function(*given), None, "")
        except BaseException as error:
            answer = ("raised", None, _that_travels(error), traceback.format_exc())
        sys.stdout.flush()
        _say(answers, answer)


def _that_travels(error: BaseException) -> BaseException:
    with contextlib.suppress(Exception):
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    return RuntimeError(f"{type(error).__name__}: {error}")


def _say(answers: Any, what: Any) -> None:
    try:
        told = pickle.dumps(what)
    except Exception as error:
        told = pickle.dumps(("raised", None, TypeError(f"what came back cannot be told: {error}"), ""))
    answers.write(told)
    answers.flush()
