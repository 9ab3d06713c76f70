"""Figures of matplotlib for the pictures: made, saved, shown once in a notebook."""
from pathlib import Path
from typing import Any

from nblayers import arguments

# Okabe and Ito's blue and vermilion: told apart without colour vision, and at least 3.9 : 1 against black and against white
BLUE, VERMILION = "#0072b2", "#d55e00"


def file_path(who: str, name: str, path: Any) -> Path:
    """A path to write to; its directory is made.

    Raises:
        ValueError: not a path.
    """
    found = Path(arguments.path(who, name, path))
    found.parent.mkdir(parents=True, exist_ok=True)
    return found


def file_format(who: str, name: str, path: Path, figure: Any) -> str:
    """The format that a path asks for by its ending; PNG without one.

    Raises:
        ValueError: one that matplotlib does not write.
    """
    known = figure.canvas.get_supported_filetypes()
    asked = path.suffix.removeprefix(".").lower() or "png"
    if asked not in known:
        raise ValueError(f"{who}: expected {name} to end in one of {', '.join(sorted(known))}, got {str(path)!r}")
    return asked


def grid(panels: int, columns: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    """A new figure with so many panels of this size in inches, in rows of at most `columns`; they are returned too."""
    import matplotlib.pyplot as plt
    rows = -(-panels // columns)
    columns = -(-panels // rows)
    figure = plt.figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained", FigureClass=_shown_once())
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]


def finished(who: str, figure: Any, path: Any) -> Any:
    """The figure, saved if there is a path; a saved one is not shown by `plt.show()`.

    Raises:
        ValueError: not a path, or one whose ending is no format that matplotlib writes.
    """
    if path is not None:
        import matplotlib.pyplot as plt
        try:
            found = file_path(who, "path", path)
            figure.savefig(found, format=file_format(who, "path", found, figure))
        finally:
            plt.close(figure)
    return figure


def _shown_once() -> Any:
    """A figure that a notebook shows once: at the end of its cell, or later as the value of another one, but not as both."""
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _ipython_display_(self) -> None:
            if not plt.fignum_exists(getattr(self, "number", -1)):
                from IPython.display import Image, display
                display(Image(data=_png(self)))
    return Shown


def _png(figure: Any) -> bytes:
    from io import BytesIO
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
