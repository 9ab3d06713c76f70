"""How a value is told in a few lines: what it is, its shape, its numbers."""
import inspect
import math
import re
import types
from collections.abc import Iterable, Sequence
from itertools import groupby, zip_longest
from typing import Any

import numpy as np

MOST_SHOWN = 80                         # elements of an array that are printed in full
MOST_LINES = 8
MANY = 1000                             # more elements than lines of text can hold
NUMBER = re.compile(r"(-?[\d.]+(e[+-]?\d+)?|nan|-?inf|⋮|)$")
SIGNIFICANT = 4                         # digits of the smallest number of an array
LONG = 12                               # items of a list in a list that are not written down
SMALL = 4                               # elements of an array that fit into a cell of a table


def describe(value: Any, wide: int = 80, whole: bool = False) -> tuple[str, str]:
    """What `value` is ("float64 (2, 3)") and its content, in at most `MOST_LINES` lines of about `wide` columns. Never raises.

    `whole` asks for all numbers of an array, and all rows of a table.
    """
    try:
        return _kind(value), _content(value, max(wide, 20), 1_000_000 if whole else MOST_LINES)
    except Exception as error:                              # a broken __repr__ is no reason to stop a lesson
        return type(value).__name__, f"(cannot be shown: {type(error).__name__}: {error})"


def is_shortened(value: Any, wide: int = 80) -> bool:
    """Whether `describe` leaves out some of the numbers or rows."""
    if isinstance(value, np.ndarray) and value.size > MANY:
        return True                                         # to write them all down would take seconds
    return describe(value, wide) != describe(value, wide, whole=True)


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    if is_parameter(value):
        return f"Parameter {value.path}, {value.dtype} {value.shape}"
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return f"{type(value).__name__} of {len(value)}"
    if _is_history(value):
        return f"{type(value).__name__}, {len(value.epoch)} epochs"
    return type(value).__name__


def _content(value: Any, wide: int, most: int) -> str:
    if isinstance(value, np.ndarray):
        return _array(value, wide, most)
    if is_parameter(value):
        return _parameter(value, wide, most)
    if isinstance(value, np.generic):
        return str(value)
    table = _table(value, wide, most)
    if table:
        return table
    if isinstance(value, (list, tuple)) and len(value) > 1 and all(isinstance(item, (float, np.number)) for item in value):
        return _array(np.array(value), wide, most)
    if isinstance(value, (list, tuple)) and any(isinstance(item, np.ndarray) for item in value):
        return _arrays(enumerate(value), wide, most)
    if isinstance(value, dict) and any(isinstance(item, np.ndarray) for item in value.values()):
        return _arrays(value.items(), wide, most)
    if isinstance(value, (list, tuple)) and any(isinstance(item, (list, tuple)) and (len(item) > LONG or _holds_arrays(item))
                                                for item in value):
        return _shortened(f"({', '.join(map(_kind, value))})", wide)
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return _arrays(((name, getattr(value, name, None)) for name in value.__dataclass_fields__), wide, most)
    if isinstance(value, types.FunctionType):
        return f"{value.__name__}{inspect.signature(value)}"
    text = re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(value))
    if isinstance(value, dict) and len(text) > wide:
        return _arrays(value.items(), wide, most)
    return _shortened(text, 4 * wide)


def _parameter(value: Any, wide: int, most: int) -> str:
    """The value, and below it the gradient."""
    inner = wide - len("gradient  ")
    grad = np.asarray(value.grad.get() if hasattr(value.grad, "get") else value.grad)
    parts = {"value": _array(value.numpy(), inner, most // 2),
             "gradient": _array(grad, inner, most // 2) if np.any(grad) else "all zero"}
    return "\n".join(f"{name:10}" + text.replace("\n", "\n" + 10 * " ") for name, text in parts.items())


def _array(value: np.ndarray, wide: int, most: int = MOST_LINES) -> str:
    """The numbers of an array in at most `most` lines: all, or the corners, or the first of its matrices."""
    whole = most > 1000
    text = _numbers(value, wide, value.size if whole or value.size <= MOST_SHOWN else 0, 2)
    if text.count("\n") < most and (whole or value.size <= MOST_SHOWN):
        return text
    if whole:
        return text
    about = _about(value)
    room = most - bool(about)
    small = value.ndim > 2 and value.size <= MOST_SHOWN             # its first matrix tells more than the edges of all
    for edge in () if small else (3, 2, 1):
        text = _numbers(value, wide, 0, edge)
        if text.count("\n") < room and (edge < 3 or value.ndim < 3):
            return f"{text}\n{about}".rstrip("\n")
    if value.ndim > 2:
        first = (0,) * (value.ndim - 2)
        name = f"[{', '.join(map(str, first))}]  "
        inner = _array(value[first], wide - len(name), room - (not about)).split("\n")
        lines = [line for line in inner if not line.startswith("from ")][:room - (not about)]
        more = int(np.prod(value.shape[:-2])) - 1
        others = f"and {more} more such {'matrix' if more == 1 else 'matrices'}" if more else ""
        rest = "; ".join(part for part in (others, about) if part)
        return "\n".join([name + lines[0], *(" " * len(name) + line for line in lines[1:]), rest]).rstrip("\n")
    lines = text.split("\n")
    return "\n".join([*lines[:room - 1], "…", *([about] if about else [])])


def _numbers(value: np.ndarray, wide: int, threshold: int, edge: int) -> str:
    options: dict[str, Any] = {"max_line_width": wide, "threshold": threshold, "edgeitems": edge}
    if np.get_printoptions()["precision"] == 8:             # the lesson has not chosen its own
        options["precision"] = _digits(value)
    return np.array2string(value, **options)


def _digits(value: np.ndarray) -> int:
    """Digits after the point, so that the smallest number shows four of its own; NumPy takes powers of ten below 1e-4."""
    sizes = np.abs(value[np.isfinite(value) & (value != 0)], dtype=np.float64) if value.dtype.kind == "f" else np.empty(0)
    if not sizes.size or sizes.min() < 1e-4:
        return SIGNIFICANT
    return max(SIGNIFICANT, SIGNIFICANT - 1 - math.floor(math.log10(sizes.min())))


def _about(value: np.ndarray) -> str:
    """The smallest and the largest number and the mean, if there are many."""
    if value.size <= MOST_SHOWN or value.dtype.kind not in "iuf":
        return ""
    finite = value[np.isfinite(value)]
    digits = ".4g" if value.dtype.kind == "f" else ""
    text = f"from {finite.min():{digits}} to {finite.max():{digits}}, mean {finite.mean():.4g}" if finite.size else ""
    strange = value.size - finite.size
    return (f"{text}, " if text and strange else text) + (f"{strange} not finite" if strange else "")


def _is_history(value: Any) -> bool:
    return isinstance(getattr(value, "history", None), dict) and isinstance(getattr(value, "epoch", None), list)


def _table(value: Any, wide: int, most: int) -> str:
    """A history, a dict of lists of numbers or a list of tuples, with a row for each entry; "" for anything else."""
    if _is_history(value):
        columns = {"epoch": [epoch + 1 for epoch in value.epoch], **value.history}
        return _table_of(list(columns), _rows(columns.values()), wide, most) if value.epoch else "nothing yet"
    if isinstance(value, dict) and len(value) and all(_is_column(item) for item in value.values()):
        lengths = {len(item) for item in value.values()}
        if len(lengths) == 1:
            return _table_of([str(name) for name in value], _rows(value.values()), wide, most)
    if isinstance(value, list) and len(value) > 1 and all(isinstance(row, tuple) for row in value):
        lengths = {len(row) for row in value}
        names = getattr(value[0], "_fields", ())
        kinds = {" ".join(map(_kind, row)) for row in value}
        if len(kinds) == 1 and _holds_arrays(value[0]):
            return f"each a tuple of {len(value[0])}: " + _shortened(", ".join(_counted(map(_kind, value[0]))), wide - 20)
        if len(lengths) == 1 and lengths != {0}:
            return _table_of(list(names), [list(map(_cell, row)) for row in value], wide, most)
    return ""


def _counted(words: Iterable[str]) -> list[str]:
    """Equal words that follow each other as one, with their number."""
    runs = [(word, len(list(run))) for word, run in groupby(words)]
    return [f"{count} × {word}" if count > 1 else word for word, count in runs]


def _is_column(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(item, (int, float, np.number)) for item in value)


def _rows(columns: Iterable[Sequence[Any]]) -> list[list[str]]:
    return [list(map(_cell, row)) for row in zip_longest(*columns, fillvalue="")]


def _table_of(header: list[str], rows: list[list[str]], wide: int, most: int) -> str:
    """Rows as aligned columns; those in the middle are left out where there are many."""
    room = most - bool(header)
    if len(rows) > room:
        top = room // 2
        rows = [*rows[:top], ["⋮"] * len(rows[0]), *rows[len(rows) - (room - 1 - top):]]
    rows = [header, *rows] if header else rows
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = [all(NUMBER.match(row[i]) for row in rows[bool(header):]) for i in range(len(widths))]
    lines = ["  ".join(f"{cell:>{size}}" if right else f"{cell:{size}}"
                       for cell, size, right in zip(row, widths, numeric, strict=True)).rstrip() for row in rows]
    return "\n".join(_shortened(line, wide) for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, (bool, np.bool_, str)):
        return _shortened(str(value), 40)
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    if isinstance(value, np.ndarray) and value.size > SMALL:
        return f"{value.dtype} {value.shape}"
    if isinstance(value, np.ndarray):
        return " ".join(_numbers(value, 1000, 100, 2).split())
    return _shortened(" ".join(repr(value).split()), 40)


def _arrays(items: Iterable[tuple[Any, Any]], wide: int, most: int) -> str:
    """One line for each named value: arrays by shape, small ones with their numbers."""
    lines: list[str] = []
    items = list(items)
    for name, item in items:
        kind, content = describe(item, wide)
        is_table = isinstance(item, dict) and "\n" in content
        content = f"({', '.join(map(str, item))})" if is_table else " ".join(content.split())
        lines.append(f"{name}: " + (kind if isinstance(item, np.ndarray) and item.size > LONG else f"{kind}  {content}"))
        if len(lines) == most - 1 and len(items) > most:
            lines.append(f"… and {len(items) - len(lines)} more")
            break
    return "\n".join(_shortened(line, wide) for line in lines)


def _holds_arrays(value: Iterable[Any]) -> bool:
    return any(isinstance(item, np.ndarray) for item in value)


def is_parameter(value: Any) -> bool:
    """Whether `value` is a layer's `Parameter` (or one like it)."""
    return all(hasattr(type(value), name) for name in ("numpy", "assign", "zero_grad", "grad"))


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most - 2].rstrip() + " …"
