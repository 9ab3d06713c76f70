"""`plot_model`: the layers of a model as boxes, by Graphviz where it is installed, else drawn here."""
import os
import shutil
import subprocess
import warnings
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from nblayers.arguments import choice, flag, number
from nblayers.models.training import Trainer
from nblayers.utils.pictures.figures import file_format, file_path
from nblayers.utils.pictures.layered import SIDES, Box, Drawing, Edge, End, arrange, frame
from nblayers.utils.pictures.model_graph import Cell, Item, Level, Options, Place, inner_ends, level_of

PADDING, ROW_HEIGHT, BORDER = 8.0, 24.0, 12.0           # in points: beside a text, of a row, around the whole picture
SIZES = {"title": 11.0, "plain": 10.0, "trainable": 10.0, "frozen": 10.0}
FILLS = {"title": "#1f3a5f", "plain": "#ffffff", "trainable": "#005a8c", "frozen": "#a84300"}
INKS = {"title": "#ffffff", "plain": "#111111", "trainable": "#ffffff", "frozen": "#ffffff"}
LINE, FRAME_FILL, PAPER = "#3f4a56", "#eef2f7", "#ffffff"
LARGEST = 65_000                                        # pixels along one side of an image, for matplotlib


def plot_model(model: Any, to_file: Any = "model.png", show_shapes: bool = False, show_dtype: bool = False,
               show_layer_names: bool = False, rankdir: str = "TB", expand_nested: bool = False, dpi: float = 200,
               show_layer_activations: bool = False, show_trainable: bool = False, splines: str = "ortho") -> Any:
    """Draw a model into a file: a box for each layer, an arrow for each way that data take.

        plot_model(model, "model.svg", show_shapes=True)

    Graphviz draws it where its command `dot` is installed; else, or should that fail (it does on some models of many long
    edges), it is drawn here, in layers with few crossings. A layer that is
    called several times is one box; a model whose class has a `forward` of its own is one box too.

    Arguments:
        model: a model that is built.
        to_file: where to; its ending tells the format: .png (also without an ending), .svg, .pdf …
        show_shapes, show_dtype: tell the shapes of inputs and outputs, the outputs' dtypes.
        show_layer_names: tell the layers' names beside their classes.
        rankdir: data flow from top to bottom "TB", "BT", from left to right "LR", or "RL".
        expand_nested: show the layers of models within the model, in a frame.
        dpi: pixels an inch.
        show_layer_activations: tell the activation of layers that have one.
        show_trainable: tell whether layers with weights are trained.
        splines: how Graphviz draws edges: "ortho", "curved", "polyline", "spline" or "line".

    Returns:
        What shows the picture in a notebook; None without IPython, and for formats that notebooks do not show.

    Raises:
        TypeError: not a model.
        ValueError: a model that is not built, another format or direction.

    Source: keras.utils.plot_model.
    """
    if not isinstance(model, Trainer):
        raise TypeError(f"plot_model: expected a model, got {type(model).__name__} {model!r}")
    if not model.built:
        raise ValueError(f"plot_model: expected a model that is built, got {model.described}: call it on data, or "
                         "build(input_shape)")
    choice("plot_model", "rankdir", rankdir, SIDES)
    choice("plot_model", "splines", splines, ("ortho", "curved", "polyline", "spline", "line"))
    number("plot_model", "dpi", dpi, 0, open="(")
    flags = {"show_shapes": show_shapes, "show_dtype": show_dtype, "show_layer_names": show_layer_names,
             "show_layer_activations": show_layer_activations, "show_trainable": show_trainable,
             "expand_nested": expand_nested}
    options = Options(**{name: flag("plot_model", name, value) for name, value in flags.items()})
    path = file_path("plot_model", "to_file", to_file)
    level = level_of(model, options)
    if not (shutil.which("dot") and _graphviz_draws(dot_text(level, rankdir, dpi, splines), path)):
        save(drawing_of(level, rankdir), path, dpi)
    return _shown(path)


def drawing_of(level: Level, direction: str) -> Drawing:
    """The places of boxes and edges in our own drawing."""
    boxes = {id(item): _box(item, direction) for item in level.items}

    def end(place: Place) -> End:
        return End(boxes[id(place.item)] if place.item is not None else None, place.port)
    edges = [(end(start), end(stop)) for start, stop in level.edges]
    return arrange(list(boxes.values()), edges, level.entries, level.exits, direction)


def _box(item: Item, direction: str) -> Box:
    if item.inner is not None:
        (title,), = item.rows
        return frame(drawing_of(item.inner, direction), text_width(title.text, SIZES["title"], True), item.rows)
    width = max(sum(_cell_width(cell) for cell in row) for row in item.rows)
    return Box(width, ROW_HEIGHT * len(item.rows), item.rows)


def _cell_width(cell: Cell) -> float:
    return text_width(cell.text, SIZES[cell.kind], cell.kind != "plain") + 2 * PADDING


@cache
def text_width(text: str, size: float, bold: bool) -> float:
    """How wide a text is, in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)


def save(drawing: Drawing, path: Path, dpi: float) -> None:
    """Draw into a file, a unit of the drawing a point."""
    from matplotlib.figure import Figure
    width, height = drawing.width + 2 * BORDER, drawing.height + 2 * BORDER
    figure = Figure(figsize=(width / 72, height / 72), facecolor=PAPER)
    form = file_format("plot_model", "to_file", path, figure)
    pixels = max(width, height) * dpi / 72
    if pixels > LARGEST and form not in ("svg", "pdf", "eps", "ps"):
        dpi *= LARGEST / pixels
        warnings.warn(f"plot_model: {pixels:.0f} pixels are too many for one image; drawing {dpi:.0f} an inch (an .svg has no "
                      "such limit)", stacklevel=3)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-BORDER, width - BORDER), ylim=(height - BORDER, -BORDER))
    axes.axis("off")
    for depth, box in enumerate(drawing.all_boxes()):
        _draw_box(axes, box, 1 + depth / 1e6)
    for edge in drawing.all_edges():
        _draw_edge(axes, edge, drawing.direction in ("TB", "BT"))
    figure.savefig(path, format=form, dpi=dpi, facecolor=PAPER)


def _draw_box(axes: Any, box: Box, order: float) -> None:
    from matplotlib.patches import Rectangle
    left, top, _, _ = box.corners
    if box.inner is not None:
        axes.add_artist(Rectangle((left, top), box.width, box.height, facecolor=FRAME_FILL, edgecolor=LINE, linewidth=1,
                                 linestyle="--", zorder=order))
        _write(axes, left + PADDING, top + PADDING + SIZES["title"] / 2, box.content[0][0], "left", LINE)
        return
    for i, row in enumerate(box.content):
        x, y = left, top + i * ROW_HEIGHT
        widths = [_cell_width(cell) for cell in row]
        spare = (box.width - sum(widths)) / len(row)
        for cell, width in zip(row, widths, strict=True):
            axes.add_artist(Rectangle((x, y), width + spare, ROW_HEIGHT, facecolor=FILLS[cell.kind], edgecolor=FILLS["title"],
                                     linewidth=1, zorder=3))
            _write(axes, x + (width + spare) / 2, y + ROW_HEIGHT / 2, cell, "center", INKS[cell.kind])
            x += width + spare


def _write(axes: Any, x: float, y: float, cell: Cell, align: str, colour: str) -> None:
    axes.text(x, y, cell.text, ha=align, va="center_baseline", fontsize=SIZES[cell.kind], family="DejaVu Sans", color=colour,
              weight="normal" if cell.kind == "plain" else "bold", parse_math=False, zorder=4)


def _draw_edge(axes: Any, edge: Edge, is_upright: bool) -> None:
    """Straight where its ends lie beside or above each other, an S in between."""
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path as Curve
    points, codes = [edge.points[0]], [Curve.MOVETO]
    for x, y in edge.points[1:]:
        last_x, last_y = points[-1]
        if x != last_x and y != last_y:
            middle = (last_y + y) / 2 if is_upright else (last_x + x) / 2
            points += [(last_x, middle), (x, middle)] if is_upright else [(middle, last_y), (middle, y)]
            codes += [Curve.CURVE4] * 3
        else:
            codes.append(Curve.LINETO)
        points.append((x, y))
    axes.add_artist(PathPatch(Curve(points, codes), fill=False, edgecolor=LINE, linewidth=1.3, zorder=2))
    if edge.has_arrowhead:
        axes.add_artist(Polygon(_arrowhead(*points[-2:]), facecolor=LINE, edgecolor="none", zorder=2.5))


def _arrowhead(before: tuple[float, float], tip: tuple[float, float]) -> list[tuple[float, float]]:
    (x0, y0), (x, y) = before, tip
    length = max(((x - x0) ** 2 + (y - y0) ** 2) ** 0.5, 1e-9)
    u, v = (x - x0) / length, (y - y0) / length
    back, side = 7.0, 3.5
    return [(x, y), (x - back * u - side * v, y - back * v + side * u), (x - back * u + side * v, y - back * v - side * u)]


def dot_text(level: Level, rankdir: str, dpi: float, splines: str) -> str:
    """The model in Graphviz' language."""
    names: dict[int, str] = {}
    lines = [f'digraph {{ rankdir={rankdir} dpi={dpi} splines={splines} concentrate=true bgcolor="{PAPER}"',
             'fontname="Helvetica"',
             f'node [shape=plain fontname="Helvetica"]; edge [color="{LINE}" penwidth=1.5]']
    lines += _dot_boxes(level, names)
    lines += [f"{start} -> {end}" for start, end in dict.fromkeys(_dot_edges(level, names))]
    return "\n".join([*lines, "}"])


def _dot_boxes(level: Level, names: dict[int, str]) -> list[str]:
    lines = []
    for item in level.items:
        name = names[id(item)] = f"n{len(names)}"
        if item.inner is None:
            lines.append(f"{name} [label=<{_dot_table(item.rows)}>]")
        else:
            lines += [f'subgraph cluster_{name} {{ style="dashed,filled" color="{LINE}" fillcolor="{FRAME_FILL}"',
                      f"{name} [label=<{_dot_bold(item.rows[0][0])}>]"]         # a title of the cluster's would lie under edges
            lines += [*_dot_boxes(item.inner, names), "}"]
    return lines


def _dot_table(rows: list[list[Cell]]) -> str:
    columns = max(map(len, rows))
    text = f'<table border="0" cellborder="1" cellspacing="0" cellpadding="8" color="{FILLS["title"]}">'
    for row in rows:
        span = columns // len(row)
        text += "<tr>" + "".join(
            f'<td colspan="{span}" bgcolor="{FILLS[cell.kind]}"><font color="{INKS[cell.kind]}">{_dot_bold(cell)}</font></td>'
            for cell in row) + "</tr>"
    return text + "</table>"


def _dot_bold(cell: Cell) -> str:
    return escape(cell.text) if cell.kind == "plain" else f"<b>{escape(cell.text)}</b>"


def _dot_edges(level: Level, names: dict[int, str]) -> list[tuple[str, str]]:
    pairs = [(names[id(start)], names[id(end)]) for way in level.edges
             for start in inner_ends(way[0], True) for end in inner_ends(way[1], False)]
    for item in level.items:
        if item.inner is not None:
            pairs += _dot_edges(item.inner, names)
    return pairs


def _graphviz_draws(text: str, path: Path) -> bool:
    """Let Graphviz write the file; whether it has."""
    command = ["dot", f"-T{path.suffix.removeprefix('.') or 'png'}", "-o", os.fspath(path)]
    return subprocess.run(command, input=text.encode(), capture_output=True).returncode == 0


def _shown(path: Path) -> Any:
    """The picture for a notebook."""
    try:
        from IPython.display import SVG, Image
    except ImportError:
        return None
    if path.suffix == ".svg":
        return SVG(filename=os.fspath(path))
    return Image(data=path.read_bytes()) if path.suffix in ("", ".png", ".jpg", ".jpeg", ".gif") else None
