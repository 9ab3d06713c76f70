"""The microscope in a Jupyter notebook."""
from typing import Any

from nblayers.learn.microscope.page import source
from nblayers.learn.microscope.view import view
from nblayers.learn.trace import trace


def widget(recorded: trace, layer: str | None = None, title: str | None = None, step: int = 1) -> Any:
    """The microscope as a widget: the same script as in the page of `trace.to_html`.

    Keys work while it has the focus. `widget.step` is the step it is at, from 1.

    Arguments:
        recorded: a trace.
        layer, title: as in `trace.to_html`.
        step: at which it opens, from 1.

    Raises:
        ImportError: anywidget is not installed.
        ValueError: there is nothing to show, or no such step.
    """
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise ImportError("microscope.widget needs anywidget: pip install 'nblayers[notebook]'") from None

    class Microscope(anywidget.AnyWidget):
        _esm = source("microscope.js")
        _css = source("microscope.css")
        view = traitlets.Dict().tag(sync=True)
        step = traitlets.Int(1).tag(sync=True)

    shown = view(recorded, layer, title)
    if not 1 <= step <= len(shown["steps"]):
        raise ValueError(f"microscope.widget: expected step to be from 1 to {len(shown['steps'])}, got {step}")
    return Microscope(view=shown, step=step)
