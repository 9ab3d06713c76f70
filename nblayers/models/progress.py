"""The progress line of fit, evaluate and predict, as Keras prints it."""
import math
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from nblayers.arguments import verbosity
from nblayers.notebook import in_notebook

_open = threading.local()               # `line`: the Progbar whose moving line this thread has not ended

_BOLD, _GREEN, _GREY, _END = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


def resolve_verbose(verbose: Any, who: str = "Progbar") -> int:
    """0, 1 or 2; "auto" is the line that moves (1) on a terminal or in a notebook, and a line for each epoch (2) elsewhere.

    Raises:
        ValueError: anything else.
    """
    if verbosity(who, "verbose", verbose) == "auto":
        return 1 if is_dynamic() else 2
    return int(verbose)


def is_dynamic() -> bool:
    """Whether a line that was printed can be printed over."""
    terminal = False
    with passing_over_lost_output():
        terminal = hasattr(sys.stdout, "isatty") and sys.stdout.isatty()
    return terminal or in_notebook() or "PYCHARM_HOSTED" in os.environ


class Progbar:
    """One progress line.

    Where the output is no terminal, only the finished line is printed, without colours.

    Arguments:
        target: how many steps there will be; None if unknown.
        width: characters of the bar.
        verbose: 0 nothing, 1 the line that moves, 2 only the finished line.
        interval: seconds between two updates.
        unit_name: what a step is called.
        stateful_metrics: accepted as in Keras: values are printed as they are given.
    """

    def __init__(self, target: int | None, width: int = 20, verbose: int = 1, interval: float = 0.05,
                 unit_name: str = "step", stateful_metrics: Any = None) -> None:
        self.target, self.width, self.verbose = target, width, verbose
        self.interval, self.unit_name = interval, unit_name
        self.dynamic = is_dynamic()
        self._start = self._first_step = time.perf_counter()
        self._last = -math.inf
        self.seen = 0
        self._printed = 0               # visible characters of the moving line

    @property
    def due(self) -> bool:
        """Whether an update now would be shown."""
        return self.verbose == 1 and self.dynamic and time.perf_counter() - self._last >= self.interval

    def update(self, current: int, values: Iterable[tuple[str, float]] | None = None, finalize: bool | None = None) -> None:
        """Show that `current` steps are done; `values` are (name, number) pairs. The last update ends the line."""
        now = time.perf_counter()
        if self.seen == 0:
            self._first_step = now
        self.seen = current
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        if self.verbose and (finalize or self.due):
            self._last = now
            self._show(now, "".join(f" - {name}: {_number(value)}" for name, value in values or ()), finalize)

    def add(self, n: int, values: Iterable[tuple[str, float]] | None = None) -> None:
        """Show that n more steps are done."""
        self.update(self.seen + n, values)

    def close(self) -> None:
        """End a line that is still moving, so that what is printed next starts on a new one."""
        if self._printed:
            say("\n")
            self._printed = 0

    def _show(self, now: float, values: str, finalize: bool) -> None:
        seen, target = self.seen, self.target
        each = self._seconds_per_step(now)
        count = f"{seen:{len(str(target))}d}/{target}" if target else f"{seen:7d}/Unknown"
        clock = _duration(each * (target - seen)) if target and not finalize else f"{now - self._start:.0f}s"
        rest = f"{_rate(each)}/{self.unit_name}{values}"
        if self.verbose == 2:
            say(f"{count} - {clock} - {rest}\n")
            return
        bar = "━" * self.width if target else ""
        line = f"{count} {bar} {clock} {rest}"
        if not self.dynamic:
            say(line + "\n")
            return
        full = self.width * min(seen, target) // target if target else 0
        coloured = f"{_GREEN}{bar[:full]}{_END}{_GREY}{bar[full:]}{_END}"
        blanks = " " * (self._printed - len(line))      # over what a longer line left standing
        self._take_the_line(finalize)
        say(f"{self._back()}{_BOLD}{count}{_END} {coloured} {_BOLD}{clock}{_END} {rest}{blanks}" + "\n" * finalize)
        self._printed = 0 if finalize else len(line) + len(blanks)

    def _back(self) -> str:
        """What moves the cursor to where the line begins: up, where the terminal has broken it into several rows."""
        rows = (self._printed - 1) // columns if self._printed and (columns := _columns()) else 0
        return (f"\x1b[{rows}A" if rows else "") + "\r"

    def _take_the_line(self, finalize: bool) -> None:
        """End the line of a run that this one is nested in: that one goes on below."""
        outer = getattr(_open, "line", None)
        if outer is not None and outer is not self:
            outer.close()
        _open.line = None if finalize else self

    def _seconds_per_step(self, now: float) -> float:
        """The first step loads and compiles kernels: where there are more, it does not count."""
        if self.seen > 1:
            return (now - self._first_step) / (self.seen - 1)
        return now - self._start if self.seen else 0.0


def _columns() -> int | None:
    """How wide the terminal is; None where there is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def _rate(seconds: float) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def _number(value: Any) -> str:
    if getattr(value, "ndim", 0):
        return f"[{' '.join(_number(each) for each in value)}]"
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole > 60 else f"{whole}s"


def say(text: str) -> None:
    """Write to stdout, with = for the bar where the encoding has no such character."""
    with passing_over_lost_output():
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:
            encoding = sys.stdout.encoding or "utf-8"
            sys.stdout.write(text.replace("━", "=").encode(encoding, "ignore").decode(encoding))
        sys.stdout.flush()


@contextmanager
def passing_over_lost_output() -> Iterator[None]:
    """What is written inside is lost where stdout is None or closed, or its reader has gone: a training goes on without it."""
    try:
        yield
    except (InterruptedError, TimeoutError):    # a signal handler's
        raise
    except (OSError, ValueError):
        pass
    except AttributeError:
        if hasattr(sys.stdout, "write") and hasattr(sys.stdout, "flush"):
            raise
