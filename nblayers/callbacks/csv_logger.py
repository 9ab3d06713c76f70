"""The logs of a training in a file of comma-separated values."""
import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nblayers.arguments import flag, path, text
from nblayers.callbacks.base import Callback, Logs


class CSVLogger(Callback):
    """Writes the logs of each epoch into a file, a line an epoch: "epoch", then the names of the logs in alphabetical order.

    The names are those of the first epoch. Where it was not validated, columns for the results of a validation are there
    nevertheless; what the logs of an epoch lack is "NA". Each line is in the file, whole, when its epoch is over.

    Arguments:
        filename: where to.
        separator: what stands between two values: one character.
        append: go on with a file that is there (whose names are not looked at) instead of writing it anew.

    Raises:
        ValueError: an argument of another kind.

    Source: keras.callbacks.CSVLogger.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename = path("CSVLogger", "filename", filename)
        self.sep = text("CSVLogger", "separator", separator)
        if len(separator) != 1 or separator in '\r\n"':
            raise ValueError(f"CSVLogger: expected separator to be one character that neither ends a line nor quotes, got "
                             f"{separator!r}")
        self.append = flag("CSVLogger", "append", append)
        self.keys: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.keys = None
        if not self.append:
            Path(self.filename).write_text("")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        lines: list[list[Any]] = []
        if self.keys is None:
            self.keys = _columns(logs)
            if not os.path.exists(self.filename) or not os.path.getsize(self.filename):
                lines.append(["epoch", *self.keys])
        lines.append([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])
        with open(self.filename, "a", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.sep).writerows(lines)


def _columns(logs: Logs) -> list[str]:
    """The names of the logs; those of a validation too where there was none."""
    names = sorted(logs)
    return names if any(name.startswith("val_") for name in names) else names + [f"val_{name}" for name in names]


def _cell(value: Any) -> Any:
    """Several numbers in one cell."""
    several = isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "ndim", 1) > 0
    return f'"[{", ".join(map(str, value))}]"' if several else value
