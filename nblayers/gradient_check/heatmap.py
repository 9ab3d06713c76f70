"""Where in a tensor the gradients differ: the relative error of each element, as signs in a terminal."""
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from nblayers.gradient_check.report import Report, TensorReport

LIMITS = (1e-6, 1e-4, 1e-2)             # between the levels 0 to 3
SIGNS = "·-+#"                          # of the levels; readable without colours
STYLES = ("green", "yellow", "dark_orange", "bold red")
UNCHECKED = -1
MOST_COLUMNS, MOST_ROWS = 60, 24        # of a terminal of 80 columns
LEGEND = [(SIGNS[0], "to 1e-6"), (SIGNS[1], "to 1e-4"), (SIGNS[2], "to 1e-2"), (SIGNS[3], "above"), (" ", "not compared")]


class Map(NamedTuple):
    """The relative errors of a tensor as a table.

    Attributes:
        errors: (rows, columns), the largest of those that share a cell; NaN where none was compared.
        rows: the index of each row's first element, its last axis left out.
        height, width: how many rows and columns of the tensor share a cell.
    """

    errors: np.ndarray
    rows: list[str]
    height: int
    width: int


def table(errors: np.ndarray, most_rows: int = MOST_ROWS, most_columns: int = MOST_COLUMNS) -> Map:
    """The last axis as columns, all others as rows; larger tensors with several elements in a cell."""
    errors = np.asarray(errors, np.float64)
    flat = errors.reshape(-1, errors.shape[-1]) if errors.ndim else errors.reshape(1, 1)
    height, width = (max(1, math.ceil(size / most)) for size, most in zip(flat.shape, (most_rows, most_columns), strict=True))
    padded = np.full((math.ceil(flat.shape[0] / height) * height, math.ceil(flat.shape[1] / width) * width), np.nan)
    padded[:flat.shape[0], :flat.shape[1]] = flat
    blocks = padded.reshape(padded.shape[0] // height, height, padded.shape[1] // width, width)
    known = np.where(np.isnan(blocks), -1.0, blocks).max(axis=(1, 3))
    names = [_row_name(errors.shape[:-1], row * height) for row in range(blocks.shape[0])]
    return Map(np.where(known < 0, np.nan, known), names, height, width)


def _row_name(shape: tuple[int, ...], row: int) -> str:
    return f"[{', '.join(str(int(i)) for i in np.unravel_index(row, shape))}]" if shape else ""


def level(error: float) -> int:
    """0 for the smallest errors to 3 for the largest; `UNCHECKED` where there is none."""
    return UNCHECKED if math.isnan(error) else sum(error > limit for limit in LIMITS)


def shown(report: Report) -> list[TensorReport]:
    """The tensors with something to show, those that are wrong first."""
    known = [tensor for tensor in report.tensors if tensor.errors is not None and np.size(tensor.errors)]
    return sorted(known, key=lambda tensor: tensor.passed)


def renderable(report: Report) -> Any:
    """The maps of all tensors for a rich console; `print` of it works too."""
    from rich.console import Group
    from rich.text import Text
    parts: list[Any] = []
    for tensor in shown(report):
        mark = "ok" if tensor.passed else "WRONG"
        parts.append(Text.assemble((f"{mark} ", "green" if tensor.passed else "bold red"), f"{tensor.name} {tensor.shape}"))
        parts += [Text.assemble("  ", *line) for line in _lines(table(np.asarray(tensor.errors)))]
    if not parts:
        return Text("no errors to show: nothing was compared")
    return Group(*parts, _legend())


def _legend() -> Any:
    from rich.text import Text
    line = Text("relative error")
    for place, (sign, words) in enumerate(LEGEND):
        line.append("  ")
        line.append("blank" if sign == " " else sign, STYLES[place] if place < len(STYLES) else "")
        line.append(f" {words}")
    return line


def _lines(found: Map) -> Iterator[list[Any]]:
    names = max((len(name) for name in found.rows), default=0)
    if (found.height, found.width) != (1, 1):
        yield [f"each sign is the largest of {found.height} rows x {found.width} columns"]
    for name, errors in zip(found.rows, found.errors, strict=True):
        line: list[Any] = [f"{name:>{names}} "]
        for error in errors:
            kind = level(float(error))
            line.append(" " if kind == UNCHECKED else (SIGNS[kind], STYLES[kind]))
        yield line


def text(report: Report, width: int = 80) -> str:
    """The maps as plain text, without colours."""
    import io

    from rich.console import Console
    page = io.StringIO()
    Console(file=page, width=width, color_system=None, force_terminal=False).print(renderable(report))
    return page.getvalue()
