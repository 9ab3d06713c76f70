"""What lessons share: the numerical derivative, figures, source code shown as it is installed, a GPU or its simulator."""
import ast
import ctypes
import importlib.util
import inspect
import os
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nblayers.notebook import in_notebook

if TYPE_CHECKING:
    from nblayers.learn.trace import trace

OUT = Path("lessons", "out")            # where figures go, under the current directory
ROOT = Path(__file__).resolve().parents[2]


def numerical_derivative(f: Callable[[Any], Any], x: Any, h: float = 1e-5) -> np.ndarray:
    """df/dx of a number f(x), by the central difference of lesson 01: two evaluations for each element of x, in float64.

    f is given copies: it may work in place.
    """
    x = np.array(x, dtype=np.float64)
    df = np.empty_like(x)
    for i in np.ndindex(x.shape):
        keep = x[i]
        x[i] = keep + h
        above = f(x.copy())
        x[i] = keep - h
        below = f(x.copy())
        x[i] = keep
        df[i] = (above - below) / (2 * h)
    return df


def check_derivative(name: str, analytic: Any, f: Callable[[Any], Any], x: Any, tolerance: float = 1e-8) -> None:
    """Assert that `analytic` is df/dx, and print by how much the numerical derivative differs.

    `tolerance` is relative to the largest element, or absolute where that is below 1.

    Raises:
        AssertionError: they differ; the text names the worst element.
    """
    numeric = numerical_derivative(f, x)
    analytic = np.asarray(analytic)
    assert analytic.shape == numeric.shape, f"{name} has shape {analytic.shape}, but what it is the gradient of {numeric.shape}"
    difference = np.abs(analytic - numeric)
    worst = np.unravel_index(np.argmax(difference), difference.shape)
    assert difference[worst] <= tolerance * max(1.0, np.abs(numeric).max()), (
        f"{name}{list(map(int, worst)) if worst else ''} is {analytic[worst]:.6g}, "
        f"but its numerical derivative is {numeric[worst]:.6g}")
    print(f"{name} agrees with the numerical derivative; largest difference {difference[worst]:.0e}")


def gpu_or_simulator() -> str:
    """Switch on Numba's CUDA simulator if there is no GPU; in words, where CUDA kernels run from now on in this process.

    To be called before `numba.cuda` is imported. A GPU counts if numba-cuda is installed, which compiles for it.
    NUMBA_ENABLE_CUDASIM decides where it is set.
    """
    on_gpu = importlib.util.find_spec("numba_cuda") is not None and _gpus() > 0
    os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "0" if on_gpu else "1")
    if os.environ["NUMBA_ENABLE_CUDASIM"] == "1":
        if "numba" in sys.modules:                      # it has read the variable already
            sys.modules["numba"].config.ENABLE_CUDASIM = 1
        return "in Numba's simulator"
    for warning in ("LOW_OCCUPANCY_WARNINGS", "WARN_ON_IMPLICIT_COPY"):         # a lesson's arrays are small, and NumPy's
        os.environ.setdefault(f"NUMBA_CUDA_{warning}", "0")
        if "numba" in sys.modules:
            setattr(sys.modules["numba"].config, f"CUDA_{warning}", 0)
    return "on a GPU"


def _gpus() -> int:
    """How many NVIDIA GPUs the driver knows, without Numba; 0 without a driver."""
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except OSError:
        return 0
    return count.value


def save_figure(figure: Any, name: str) -> None:
    """Save a matplotlib figure as lessons/out/NAME.png under the current directory, and say so."""
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.png"
    figure.savefig(path, dpi=120)
    print(f"picture: {path}")
    if not in_notebook():                               # a notebook shows its open figures
        import matplotlib.pyplot
        matplotlib.pyplot.close(figure)


def save_page(recorded: "trace", name: str) -> None:
    """Save a trace as lessons/out/NAME.html under the current directory, a page to step through, and say so."""
    print(f"page: {recorded.to_html(OUT / f'{name}.html')}")


def show_source(*what: Any) -> None:
    """Print source code as it is installed: functions, methods, classes, or "module:name", which is not imported for it.

    On a terminal it is coloured, and no wider than the screen.
    """
    for item in what:
        path, line, source = _find_in_file(item) if isinstance(item, str) else _inspect(item)
        source = textwrap.dedent(source).rstrip()
        if sys.stdout.isatty():
            _print_coloured(f"{path}, line {line}", source)
        else:
            print(f"{path}, line {line}\n\n{textwrap.indent(source, '    ')}\n")


def closer(source: str, wide: int) -> str:
    """Code whose comments stand far to the right, in lines of more than `wide` columns, with these comments moved up."""
    return "\n".join(line if len(line) <= wide else re.sub(r"(?<=\S) {3,}(?=#)", "  ", line) for line in source.split("\n"))


def _print_coloured(title: str, source: str) -> None:
    """Code in colours; a line that is too long goes on below, further to the right, broken at a space."""
    from rich.console import Console
    from rich.syntax import Syntax
    from rich.text import Text
    console = Console(highlight=False)
    console.print(Text(title, style="bold"), Text(), sep="\n")
    source = closer(source, console.width - 4)
    syntax = Syntax(source, "python", theme="ansi_dark", background_color="default")
    for line in syntax.highlight(source).split("\n"):
        code = line.plain.lstrip(" ")
        indent = 4 + len(line.plain) - len(code)
        room = max(console.width - indent - 4, 24)
        if len(code) <= console.width - indent:
            console.print(Text(" " * 4) + line, no_wrap=True, overflow="ignore")
            continue
        pieces = line[len(line.plain) - len(code):].wrap(console, room)
        for i, piece in enumerate(pieces):
            piece.rstrip()
            console.print(Text(" " * (indent + 4 * bool(i))) + piece, no_wrap=True, overflow="ignore")
    console.print()


def _inspect(item: Any) -> tuple[str, int, str]:
    item = inspect.unwrap(getattr(item, "py_func", item))
    lines, start = inspect.getsourcelines(item)
    path = inspect.getsourcefile(item) or "?"
    return "typed by you" if path.startswith("<typed") else _short(path), start, "".join(lines)


def _find_in_file(address: str) -> tuple[str, int, str]:
    module, _, name = address.partition(":")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"show_source: there is no module {module!r}")
    text = Path(spec.origin).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return _short(spec.origin), start, "\n".join(text.split("\n")[start - 1:node.end_lineno])
    raise AttributeError(f"show_source: module {module!r} has no function or class {name!r}")


def _short(path: str) -> str:
    """The path from the folder that holds nblayers, kernels and lessons."""
    resolved = Path(path).resolve()
    return resolved.relative_to(ROOT).as_posix() if resolved.is_relative_to(ROOT) else str(path)
