"""The picture of a trace."""
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from nblayers.learn.trace.entries import Entry, norm
from nblayers.utils.pictures.figures import BLUE, VERMILION, finished, grid

if TYPE_CHECKING:
    from nblayers.learn.trace.recorder import trace

MOST = 8                                # lines in a panel; their marks tell them apart without colour
MARKS = "osv^Dx+*"


def plot(trace: "trace", layer: str | None, path: Any) -> Any:
    """The picture of `trace.plot`."""
    steps = _steps(trace.entries, layer)
    forward = _courses(entry for entry in steps if entry.phase == "forward")
    backward = _courses(entry for entry in steps if entry.phase == "backward" and not entry.name.endswith("_prev"))
    flow = _flow(trace.entries)
    drawn: tuple[tuple[Any, Any], ...] = ((_draw_values, forward), (_draw_gradients, backward), (_draw_flow, flow))
    panels = [(draw, found) for draw, found in drawn if found]
    if not panels:
        raise ValueError(f"trace.plot: {'the trace is empty' if layer is None else f'no layer is called {layer!r}'}")
    figure, axes = grid(len(panels), 3, (5.5, 4))
    where = f" of {steps[0].layer}" if steps else ""
    for ax, (draw, found) in zip(axes, panels, strict=True):
        draw(ax, found, where)
    return finished("trace.plot", figure, path)


def _steps(entries: list[Entry], layer: str | None) -> list[Entry]:
    """The entries with a time step of one layer, in its last call: of the named one, or of the first that has some."""
    found = [entry for entry in entries if entry.t is not None and entry.equation and entry.is_of(layer)]
    return [entry for entry in found if entry.layer == found[0].layer]


def _courses(entries: Iterable[Entry]) -> dict[str, dict[int, np.ndarray]]:
    """By name, the value at each step; of the names that have most steps at most MOST."""
    found: dict[str, dict[int, np.ndarray]] = {}
    for entry in entries:
        if entry.t is not None and entry.value.dtype.kind == "f":
            found.setdefault(entry.name, {})[entry.t] = entry.value
    long = sorted(found, key=lambda name: -len(found[name]))[:MOST]
    return {name: dict(sorted(found[name].items())) for name in found if name in long}


def _flow(entries: list[Entry]) -> dict[str, dict[str, float]]:
    """For each layer the root mean square of its output and of the gradient that arrives at it, in the order of their calls.

    Of layers inside one another those that hold no others are shown.
    """
    found: dict[str, dict[str, float]] = {}
    for entry in entries:
        if entry.name in ("y", "dy") and not entry.equation and entry.value.dtype.kind == "f" and entry.layer:
            found.setdefault(entry.layer, {})[entry.name] = float(np.sqrt(np.mean(np.square(entry.value, dtype=float))))
        elif entry.name == "y" and entry.phase == "forward" and entry.layer:
            found.setdefault(entry.layer, {}).setdefault("y", float(np.sqrt(np.mean(np.square(entry.value, dtype=float)))))
    return {layer: values for layer, values in found.items() if not any(other.startswith(f"{layer}/") for other in found)}


def _draw_values(axes: Any, courses: dict[str, dict[int, np.ndarray]], where: str) -> None:
    for mark, (name, course) in zip(MARKS, courses.items(), strict=False):
        axes.plot(list(course), [value.mean() for value in course.values()], marker=mark, markersize=4, label=name)
    axes.locator_params("x", integer=True)
    _label(axes, f"values{where}", "time step t", "mean over samples and units")


def _draw_gradients(axes: Any, courses: dict[str, dict[int, np.ndarray]], where: str) -> None:
    for mark, (name, course) in zip(MARKS, courses.items(), strict=False):
        norms = [norm(value) or np.nan for value in course.values()]       # none of 0 on a logarithmic axis
        axes.plot(list(course), norms, marker=mark, markersize=4, label=name)
    axes.set_yscale("log")
    axes.locator_params("x", integer=True)
    _label(axes, f"gradients{where}", "time step t (backward runs from right to left)", "norm")


def _draw_flow(axes: Any, flow: dict[str, dict[str, float]], where: str) -> None:
    names = [layer.rpartition("/")[2] for layer in flow]
    for key, label, colour, mark in (("y", "output y", BLUE, "o-"), ("dy", "gradient dy", VERMILION, "s--")):
        axes.plot([values.get(key, np.nan) for values in flow.values()], mark, color=colour, markersize=4, label=label)
    axes.set_xticks(range(len(names)), names, rotation=45 if len(names) > 3 else 0, ha="right" if len(names) > 3 else "center")
    if all(value > 0 for values in flow.values() for value in values.values()):
        axes.set_yscale("log")
    _label(axes, "flow through the layers", "", "root mean square")


def _label(axes: Any, title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.legend(fontsize="small", ncols=2)
    axes.grid(alpha=0.3)
