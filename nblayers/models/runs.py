"""What is under way on a model: calls of fit, evaluate and predict, nested in one another or in several threads."""
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nblayers.locks import Lock


class Runs:
    """What is under way on one model; a copy of the model starts with nothing under way.

    Attributes:
        lock: held by a training step, so that those of several threads come one after the other.
        evaluating, predicting: the calls, and which of them were told to stop.
    """

    def __init__(self) -> None:
        self.lock, self._begin = Lock(), Lock()
        self.evaluating, self.predicting = Calls(), Calls()
        self._fitting = (0, 0)          # process and thread that fit the model

    def __reduce__(self) -> tuple[Any, ...]:
        return Runs, ()

    @contextmanager
    def fitting(self, who: str) -> Iterator[None]:
        """While `fit` runs.

        Raises:
            RuntimeError: it does already.
        """
        with self._begin:
            self.refuse_in_fit("fit", who)
            self._fitting = os.getpid(), threading.get_ident()
        try:
            yield
        finally:
            self._fitting = 0, 0

    def refuse_in_fit(self, method: str, who: str) -> None:
        """Raise a RuntimeError while `fit` runs: the method would change what it works with."""
        process, thread = self._fitting
        if process == os.getpid():
            where = "from a callback of its own fit" if thread == threading.get_ident() else "while another thread fits it"
            raise RuntimeError(f"{who}: {method} cannot be called {where}; evaluate, predict, train_on_batch and test_on_batch "
                               "can be")


class Call:
    """One call that may be told to stop."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.stopped = False


class Calls:
    """The calls of one method that are under way."""

    def __init__(self) -> None:
        self._under_way: list[Call] = []
        self._last = False

    @contextmanager
    def one(self) -> Iterator[Call]:
        """While one more runs."""
        call = Call()
        self._under_way.append(call)
        try:
            yield call
        finally:
            self._under_way.remove(call)
            self._last = call.stopped

    @property
    def stopped(self) -> bool:
        """Whether the innermost call of this thread was told to stop; elsewhere any call, and after all of them the last."""
        calls = self._meant()
        return any(call.stopped for call in calls) if calls else self._last

    @stopped.setter
    def stopped(self, stop: bool) -> None:
        self._last = stop
        for call in self._meant():
            call.stopped = stop

    def _meant(self) -> list[Call]:
        """The innermost call of this thread; in a thread without one, all."""
        calls = list(self._under_way)
        return [call for call in calls if call.thread == threading.get_ident()][-1:] or calls
