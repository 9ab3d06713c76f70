"""Ctrl-C waits until a change of the weights is whole."""
import signal
import threading
from typing import Any


class Uninterrupted:
    """`with Uninterrupted(): …`: an interrupt (SIGINT) during the block is delivered when the block has ended.

    Python delivers interrupts to the main thread only, so elsewhere the block runs as it is.
    """

    def __enter__(self) -> None:
        self.previous: Any = None
        self.caught = False
        if threading.current_thread() is threading.main_thread():
            self.previous = signal.getsignal(signal.SIGINT)
        if self.previous is not None:                   # None: the handler is not Python's, and cannot be put back
            signal.signal(signal.SIGINT, self._remember)

    def __exit__(self, *exception: Any) -> None:
        if self.previous is not None:
            signal.signal(signal.SIGINT, self.previous)
        if self.caught:
            signal.raise_signal(signal.SIGINT)

    def _remember(self, number: int, frame: Any) -> None:
        self.caught = True
