"""What a picture of a model shows: a box for each layer with what is said in it, an edge for each way that data take."""
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nblayers.layers.base import Layer
from nblayers.layers.input_layer import InputLayer
from nblayers.models.graph import Graph
from nblayers.models.sequential import Sequential
from nblayers.models.training import Trainer
from nblayers.structures import Shape


@dataclass(frozen=True)
class Cell:
    """A text in a box; `kind` says how it looks: "title", "plain", "trainable" or "frozen"."""

    text: str
    kind: str = "plain"


@dataclass(frozen=True)
class Options:
    """What the boxes tell; the names are those of `plot_model`."""

    show_shapes: bool = False
    show_dtype: bool = False
    show_layer_names: bool = False
    show_layer_activations: bool = False
    show_trainable: bool = False
    expand_nested: bool = False


@dataclass(eq=False)
class Item:
    """A layer in the picture: its rows of cells, and what is within it if it is a nested model that is shown opened."""

    rows: list[list[Cell]]
    inner: "Level | None" = None


@dataclass(frozen=True)
class Place:
    """Where data come from or go to: an item (None: the model itself), and which output or input of it."""

    item: Item | None
    port: int = 0


@dataclass(eq=False)
class Level:
    """One model: its layers in the order of their first calls, and the ways between them.

    Attributes:
        entries, exits: how many inputs and outputs it has.
    """

    items: list[Item] = field(default_factory=list)
    edges: list[tuple[Place, Place]] = field(default_factory=list)
    entries: int = 0
    exits: int = 0


def level_of(model: Trainer, options: Options) -> Level:
    """What the picture of a whole model shows: a model of a class with a forward of its own is one box."""
    if not _has_layers(model):
        return Level([Item(_rows(model, options, None))])
    level = _level(model, options, nested=False)
    _leave_out_unused_exits(level)
    return level


def _leave_out_unused_exits(level: Level) -> None:
    """No way leads out of a nested model to where nothing is."""
    for item in level.items:
        if item.inner is not None:
            used = {start.port for start, _ in level.edges if start.item is item}
            item.inner.edges = [(start, end) for start, end in item.inner.edges if end.item is not None or end.port in used]
            item.inner.exits *= bool(used)
            _leave_out_unused_exits(item.inner)


def _has_layers(layer: Layer) -> bool:
    """Whether this is a model whose graph can be shown."""
    return isinstance(layer, Trainer) and (layer.is_functional or isinstance(layer, Sequential)) and layer._graph is not None


def _level(model: Any, options: Options, nested: bool) -> Level:
    """The layers of a functional model with its inputs' boxes, those of a Sequential without, as Keras shows them."""
    graph: Graph = model._graph
    level = Level(entries=len(graph.inputs) * nested, exits=len(graph.outputs) * nested)
    hidden = {id(layer) for layer in graph.layers if isinstance(layer, InputLayer)} if isinstance(model, Sequential) else set()
    items: dict[int, Item] = {}
    for node in graph.nodes:
        if id(node.layer) not in items and id(node.layer) not in hidden:
            items[id(node.layer)] = _item(node.layer, options, graph)
    level.items = list(items.values())
    positions = {id(tensor): i for i, tensor in enumerate(graph.inputs)}

    def source(tensor: Any) -> Place | None:
        tensor = graph.resolve(tensor)
        if id(tensor.node.layer) in items:
            return Place(items[id(tensor.node.layer)], tensor.index)
        return Place(None, positions[id(tensor)]) if nested else None
    ways: list[tuple[Place | None, Place]] = []
    if nested and not hidden:
        ways += [(Place(None, i), Place(items[id(tensor.node.layer)])) for i, tensor in enumerate(graph.inputs)]
    for node in graph.nodes:
        ways += [(source(tensor), Place(items[id(node.layer)], i)) for i, tensor in enumerate(node.inputs)]
    if nested:
        ways += [(source(tensor), Place(None, i)) for i, tensor in enumerate(graph.outputs)]
    level.edges = list(dict.fromkeys((_whole(start), _whole(end)) for start, end in ways if start is not None))
    return level


def _whole(place: Place) -> Place:
    """Without the number of the output or input where a box has no ports."""
    return place if place.item is None or place.item.inner is not None else Place(place.item)


def _item(layer: Layer, options: Options, graph: Graph) -> Item:
    if options.expand_nested and _has_layers(layer):
        return Item([[Cell(_one_line(layer.name) + _count(graph, layer), "title")]], _level(layer, options, nested=True))
    return Item(_rows(layer, options, graph))


def _rows(layer: Any, options: Options, graph: Graph | None) -> list[list[Cell]]:
    """What the box of a layer says: its class and name, its activation, and a row of shapes, dtype and trainability."""
    calls = [node for node in graph.nodes if node.layer is layer] if graph is not None else []
    kind = type(layer).__name__
    if kind == "Model" and layer.is_functional:
        kind = "Functional"
    title = f"{_one_line(layer.name)} ({kind})" if options.show_layer_names else kind
    rows = [[Cell(title + (_count(graph, layer) if graph is not None else ""), "title")]]
    activation = getattr(layer, "activation", None)
    if options.show_layer_activations and activation is not None:
        rows.append([Cell(f"Activation: {getattr(activation, '__name__', None) or type(activation).__name__}")])
    row = []
    if options.show_shapes:
        if not isinstance(layer, InputLayer):
            row.append(Cell(f"Input shape: {_said(_shapes(node.inputs) for node in calls)}"))
        row.append(Cell(f"Output shape: {_said(_shapes(node.outputs) for node in calls)}"))
    if options.show_dtype:
        row.append(Cell(f"Output dtype: {_said(tensor.dtype for node in calls for tensor in node.outputs)}"))
    if options.show_trainable and layer.weights:
        row.append(Cell("Trainable", "trainable") if layer.trainable else Cell("Non-trainable", "frozen"))
    return rows + [row] * bool(row)


def _count(graph: Graph, layer: Layer) -> str:
    calls = sum(node.layer is layer for node in graph.nodes)
    return f", called {calls} times" if calls > 1 else ""


def _one_line(name: str) -> str:
    return " ".join(name.split())


def _shapes(tensors: list[Any]) -> str:
    shapes = [_shape(tensor.shape) for tensor in tensors]
    return shapes[0] if len(shapes) == 1 else f"[{', '.join(shapes)}]"


def _shape(shape: Shape) -> str:
    return str(tuple(shape))


def _said(values: Iterable[str]) -> str:
    """What all calls have in common, or each of them."""
    return " and ".join(dict.fromkeys(values)) or "?"


def inner_ends(place: Place, leaves: bool) -> list[Item]:
    """The boxes that a way really comes from, or goes to, where its end is a nested model that is shown opened."""
    if place.item is None or place.item.inner is None:
        return [place.item] if place.item is not None else []
    port = Place(None, place.port)
    ways = place.item.inner.edges
    ends = [start for start, end in ways if end == port] if leaves else [end for start, end in ways if start == port]
    return [item for end in ends for item in inner_ends(end, leaves)]
