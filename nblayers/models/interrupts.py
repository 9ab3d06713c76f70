"""Ctrl-C waits until a change of the weights is whole."""
import signal
import threading
from typing import Any


class Interrupts:
    """Holds interrupts (SIGINT) back while the weights are being changed.

        with Interrupts() as interrupts:
            …                           # an interrupt is delivered at once
            interrupts.hold()
            …                           # an interrupt here
            interrupts.release()        # is delivered here

    Python delivers interrupts to the main thread alone, so elsewhere there is nothing to hold back.
    """

    def __enter__(self) -> "Interrupts":
        self.holding = self.caught = False
        in_main = threading.current_thread() is threading.main_thread()
        self.previous: Any = signal.getsignal(signal.SIGINT) if in_main else None
        if callable(self.previous):                     # else the interrupt is ignored, or ends the process
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception: Any) -> None:
        if callable(self.previous) and signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self.previous)
        self.release()

    def hold(self) -> None:
        """From here on."""
        self.holding = True

    def release(self) -> None:
        """Deliver what came meanwhile."""
        self.holding = False
        if self.caught:
            self.caught = False
            self.previous(signal.SIGINT, None)

    def _handle(self, number: int, frame: Any) -> None:
        if self.holding:
            self.caught = True
        else:
            self.previous(number, frame)
