"""The table that `model.summary()` prints."""
import math
import re
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nblayers.layers.base import Layer
from nblayers.models.graph import Graph
from nblayers.models.progress import passing_over_lost_output
from nblayers.models.training import Trainer
from nblayers.structures import flatten_shapes, is_shape, map_structure

if TYPE_CHECKING:
    from rich.console import Console

_NONE, _NUMBER, _CLASS, _NO = "color(45)", "color(34)", "color(33)", "color(9)"


def print_summary(model: Trainer, line_length: int | None = None, positions: Sequence[float] | None = None,
                  print_fn: Callable[[str], Any] | None = None, expand_nested: bool = False, show_trainable: bool = False,
                  layer_range: Sequence[str] | None = None) -> None:
    """Print a table of the layers of a model; the arguments are those of `Model.summary`.

    Raises:
        ValueError: a line too short for the columns, or a `layer_range` that names no layers.
    """
    from rich.console import Console
    from rich.table import Column, Table

    branched = _is_branched(model)
    header = ["Layer (type)", "Output Shape", "Param #"] + ["Connected to"] * branched
    ends = list(positions or ([0.3, 0.56, 0.74, 1.0] if branched else [0.45, 0.80, 1.0]))
    if show_trainable:
        header.append("Trainable")
        ends = [end * 0.9 for end in ends] + [1.0]
    length = line_length or min((108 if branched else 88) + 12 * show_trainable, shutil.get_terminal_size().columns - 4)
    justify: Any = {"Param #": "right", "Trainable": "center"}
    table = Table(*(Column(name, width=width, justify=justify.get(name, "left"))
                    for name, width in zip(header, _widths(ends, length), strict=True)), width=length, show_lines=True)
    for layer in _chosen(model, layer_range):
        for row in _rows(layer, "", model._graph if branched else None, expand_nested, show_trainable):
            table.add_row(*row)

    if print_fn is None:
        with passing_over_lost_output():
            _print(Console(highlight=False), model, table)
        return
    console = Console(highlight=False, force_terminal=False, color_system=None)
    with console.capture() as text:
        _print(console, model, table)
    print_fn(text.get())


def _print(console: "Console", model: Trainer, table: Any) -> None:
    from rich.markup import escape
    trainable, frozen = ([p.value for p in parameters] for parameters in (model.trainable_weights, model.non_trainable_weights))
    optimizer = model.optimizer
    state = optimizer.variables if optimizer is not None and optimizer.built else []
    lines = [("Total", [*trainable, *frozen, *state]), ("Trainable", trainable), ("Non-trainable", frozen)]
    console.print(f'[bold]Model: "{escape(model.name)}"[/]')
    console.print(table)
    for what, arrays in lines + ([("Optimizer", state)] if state else []):
        count, size = sum(math.prod(array.shape) for array in arrays), sum(array.nbytes for array in arrays)
        console.print(f"[bold] {what} params: [/][{_NUMBER}]{count:,}[/] ({memory_size(size)})")


def memory_size(size: float) -> str:
    """A number of bytes to be read: "4.25 KB"."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TB"


def _is_branched(model: Trainer) -> bool:
    """Whether the calls of a functional model are more than one after the other."""
    if not model.is_functional:
        return False
    nodes = model._graph.nodes
    sources = [id(tensor.node) for node in nodes for tensor in node.inputs]
    layers = [id(node.layer) for node in nodes]
    return (len(sources) != len(nodes) - 1                              # several inputs, of a call or of the model
            or len(set(sources)) < len(sources)                         # an output that is used twice
            or len(set(layers)) < len(layers))                          # a layer that is called twice


def _widths(ends: Sequence[float], length: int) -> list[int]:
    stops = [int(end * length) for end in ends]
    widths = [stop - start for start, stop in zip([0, *stops], stops, strict=False)]
    if min(widths) < 4:
        raise ValueError(f"summary: expected a line in which every column has at least 4 characters, got {widths} of {length}")
    return widths


def _chosen(model: Trainer, layer_range: Sequence[str] | None) -> list[Layer]:
    layers = model.layers
    if layer_range is None:
        return layers
    if len(layer_range) != 2 or not all(isinstance(name, str) for name in layer_range):
        raise ValueError(f"summary: expected layer_range to be two names of layers, got {layer_range!r}")
    first, last = ([i for i, layer in enumerate(layers) if re.match(name, layer.name)] for name in layer_range)
    if not first or not last:
        raise ValueError(f"summary: layer_range {layer_range!r} names no layers among {[layer.name for layer in layers]}")
    low, high = sorted((min(first), max(last)))
    return layers[low:high + 1]


def _rows(layer: Layer, indent: str, graph: Graph | None, expand_nested: bool, show_trainable: bool) -> list[list[str]]:
    """The row of a layer, with where it is connected to in a graph; with `expand_nested` also those of a model's layers."""
    from rich.markup import escape

    kind = type(layer).__name__
    if kind == "Model" and isinstance(layer, Trainer) and layer.is_functional:
        kind = "Functional"
    prefix = f"{indent}└ " if indent else ""
    row = [f"{escape(prefix + layer.name)} ([{_CLASS}]{escape(kind)}[/])", _output_shape(layer), _parameters(layer)]
    if graph is not None:
        row.append(_connections(layer, graph))
    if show_trainable:
        colour = _NUMBER if layer.trainable else _NO
        row.append(f"[bold][{colour}]{'Y' if layer.trainable else 'N'}[/][/]" if layer.weights else "[bold]-[/]")
    rows = [row]
    if expand_nested and isinstance(layer, Trainer):
        for inner in layer.layers:
            rows.extend(_rows(inner, indent + "   ", graph, True, show_trainable))
    return rows


def _output_shape(layer: Layer) -> str:
    calls = vars(layer).get("_inbound_nodes")
    if not calls:
        return "?"
    shapes = map_structure(lambda tensor: tensor.shape, calls[-1].structure)
    if not is_shape(shapes) and len(flatten_shapes(shapes)) == 1:
        shapes, = flatten_shapes(shapes)
    return _shown(shapes)


def _shown(shapes: Any) -> str:
    if isinstance(shapes, dict):
        return "{" + ", ".join(f"{name}: {_shown(shape)}" for name, shape in shapes.items()) + "}"
    if not is_shape(shapes):
        return "\\[" + ", ".join(map(_shown, shapes)) + "]"
    return f"({', '.join(f'[{_NONE}]None[/]' if size is None else f'[{_NUMBER}]{size}[/]' for size in shapes)})"


def _parameters(layer: Layer) -> str:
    return f"[{_NUMBER}]{layer.count_params():,}[/]" if layer.built else f"[{_NUMBER}]0[/] (unbuilt)"


def _connections(layer: Layer, graph: Graph) -> str:
    """Where the inputs of the layer's calls come from: name[call][output]."""
    shown = []
    for node in graph.nodes:
        for tensor in map(graph.resolve, node.inputs if node.layer is layer else ()):
            call = [other for other in graph.nodes if other.layer is tensor.node.layer].index(tensor.node)
            shown.append(f"{tensor.name}[[{_NUMBER}]{call}[/]][[{_NUMBER}]{tensor.index}[/]]")
    return ", ".join(shown) or "-"
