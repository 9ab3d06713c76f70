"""What a signal handler raises (Ctrl-C, an alarm …) waits until a change of the weights is whole."""
import _signal
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

# of `_signal` (signal's functions without its enums) come those that are called often
_NUMBERS = sorted(int(number) for number in signal.valid_signals())


class Interrupts:
    """Holds signal handlers written in Python back while the weights are being changed.

        with Interrupts() as interrupts:
            …                           # a signal is handled at once
            interrupts.hold()
            …                           # what arrives here
            interrupts.release()        # is handled here

    That is Ctrl-C (SIGINT, also from `_thread.interrupt_main`) and every other signal that has such a handler, one that was set
    before the last `look` included. Python runs handlers in the main thread alone, so elsewhere there is nothing to hold back.
    """

    def __enter__(self) -> "Interrupts":
        self.holding = False
        self.waiting: list[tuple[Callable[..., Any], int, FrameType | None]] = []
        self._in_main = threading.current_thread() is threading.main_thread()
        self._ours: dict[int, tuple[Any, Any]] = {}     # id of a handler of ours -> it, and the one in whose place it stands
        self._seen: list[Any] = []
        self.look()
        return self

    def __exit__(self, *exception: Any) -> None:
        for number in _NUMBERS if self._in_main else ():
            if (ours := self._ours.get(id(_signal.getsignal(number)))) is not None:
                _signal.signal(number, ours[1])
        self.release()

    def look(self) -> None:
        """Stand in the place of all handlers that there are now; what a signal does without one cannot be held back."""
        if not self._in_main or (handlers := list(map(_signal.getsignal, _NUMBERS))) == self._seen:
            return
        for place, handler in enumerate(handlers):
            if callable(handler) and id(handler) not in self._ours:
                handlers[place] = ours = self._in_place_of(handler)
                self._ours[id(ours)] = ours, handler
                _signal.signal(_NUMBERS[place], ours)
        self._seen = handlers

    def hold(self) -> None:
        """From here on."""
        self.holding = True

    def release(self) -> None:
        """Handle what came meanwhile, all of it, also where the handler of the first raises."""
        self.holding = False
        if self.waiting:
            handler, number, frame = self.waiting.pop(0)
            try:
                handler(number, frame)
            finally:
                self.release()

    def _in_place_of(self, handler: Callable[..., Any]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            if self.holding:
                self.waiting.append((handler, number, frame))
            else:
                handler(number, frame)
        return handle
