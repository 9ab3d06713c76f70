"""Long output in a terminal: a stop after each screenful, so that nothing runs off the screen unseen."""
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len

QUESTION = "── more: Enter · the rest unseen: q ── "
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Pager:
    """A stream in front of a terminal that asks after each screenful; after a `q` it drops the rest.

    Arguments:
        stream: where the text goes.
        height, width: of the screen.
        ask: reads a line after showing a question.
    """

    def __init__(self, stream: Any, height: int, width: int, ask: Callable[[str], str]) -> None:
        self.stream, self.ask = stream, ask
        self.most, self.width = max(height - 2, 5), max(width, 20)
        self.shown, self.column = 0, 0                  # lines on this screenful, and columns of the line begun
        self.dropped = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write `text`, with stops. A matrix, a paragraph, a formula is not cut if it fits on a screen."""
        whole = sum(map(self._lines, text.split("\n")[:-1])) <= self.most
        for part in [text] if whole else _paragraphs(text):
            tall = sum(map(self._lines, part.split("\n")[:-1]))
            if self.shown and tall <= self.most < self.shown + tall:
                self._stop()
            for line in re.findall(r"[^\n]*\n|[^\n]+", part):
                self._write_line(line)
        return len(text)

    def _write_line(self, line: str) -> None:
        tall = self._lines(line)
        if self.shown and self.shown + tall > self.most:
            self._stop()
        if self.dropped:
            return
        self.stream.write(line)
        if line.endswith("\n"):
            self.shown, self.column = self.shown + tall, 0
        else:
            self.column = cell_len(ESCAPE.sub("", (line.rpartition("\r")[2])))

    def _lines(self, line: str) -> int:
        """How many lines of the screen it takes."""
        return max(1, -(-(self.column + cell_len(ESCAPE.sub("", line.rstrip("\n")))) // self.width))

    def _stop(self) -> None:
        if self.dropped:
            return
        self.stream.flush()
        try:
            answer = self.ask(QUESTION)
        except (EOFError, KeyboardInterrupt):
            answer = "q"
        self.dropped = answer.strip().lower().startswith("q")
        self.stream.write("\x1b[1A\x1b[2K" if not self.dropped else "")
        self.shown = 0


def _paragraphs(text: str) -> list[str]:
    """The text cut behind its empty lines."""
    parts = [""]
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        parts[-1] += line
        if not ESCAPE.sub("", line).strip():
            parts.append("")
    return [part for part in parts if part]


@contextmanager
def paged(height: int, width: int, ask: Callable[[str], str]) -> Iterator[None]:
    """While inside, what is printed on stdout stops after each screenful."""
    kept = sys.stdout
    sys.stdout = Pager(kept, height, width, ask)
    try:
        yield
    finally:
        sys.stdout = kept
