"""Pictures of a computation: layers, the cells of recurrent ones, and three steps unrolled, with the current edge lit.

A graph is a small description: values at places, and edges that go from value to value along straight lines, through the signs
of what is computed. `show_graph` prints it in box characters, 80 columns wide; `draw_graph` draws it with matplotlib.
"""
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Point = tuple[int, int]                 # column and row of the terminal, from 0

NORTH, EAST, SOUTH, WEST = 1, 2, 4, 8
LIGHT = " ╵╶└╷│┌├╴┘─┴┐┤┬┼"              # by the sum of the directions in which lines leave
HEAVY = " ╹╺┗╻┃┏┣╸┛━┻┓┫┳╋"
OPERATIONS = {"×", "+", "−", "÷", "tanh"}    # signs before which an arrow has its head; the others only name a line
HEADS = {(0, -1): "▲", (1, 0): "▶", (0, 1): "▼", (-1, 0): "◀"}


@dataclass(frozen=True)
class Node:
    """A value: its name in the code, where its middle stands, what is written, and of which kind it is."""

    name: str
    at: Point
    label: str
    maths: str                          # the label in a figure
    kind: str = "value"                 # "value", "gate", "state", or "end" for what comes in and goes out


@dataclass(frozen=True)
class Edge:
    """From one value to another, along straight lines through these corners; the first and the last lie in the nodes."""

    start: str
    end: str
    path: tuple[Point, ...]

    def cells(self) -> list[Point]:
        """All the places it passes, in order."""
        found = [self.path[0]]
        for x, y in self.path[1:]:
            while found[-1] != (x, y):
                at_x, at_y = found[-1]
                found.append((at_x + _sign(x - at_x), at_y + _sign(y - at_y)))
        return found


@dataclass(frozen=True)
class Graph:
    """Nodes, edges, and the signs that stand on the edges: (place, "×")."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    signs: tuple[tuple[Point, str], ...] = ()

    @property
    def width(self) -> int:
        return max(x for x, _ in self._places()) + 1

    @property
    def height(self) -> int:
        return max(y for _, y in self._places()) + 1

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def _places(self) -> Iterator[Point]:
        for node in self.nodes:
            left, top, right, bottom = box(node)
            yield from ((left, top), (right, bottom))
        for edge in self.edges:
            yield from edge.path


@dataclass(frozen=True)
class Lit:
    """An edge to be lit, forwards or, for a gradient, backwards."""

    edge: Edge
    backward: bool


def box(node: Node) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a node, borders included."""
    x, y = node.at
    half = (len(_cells_of(node.label)) + (2 if node.kind == "end" else 4)) // 2
    tall = 0 if node.kind == "end" else 1
    return x - half, y - tall, x + half, y + tall


def find_edges(graph: Graph, lit: str | Sequence[str]) -> list[Lit]:
    """The edges that are meant: "f -> C" forwards; "dC -> f" or "dC -> df" for the gradient that flows back along it.

    Raises:
        ValueError: there is no such edge; the text names those there are.
    """
    texts = [lit] if isinstance(lit, str) else lit
    return [one for text in texts for part in text.split(",") if part.strip() for one in _find_edge(graph, part)]


def _find_edge(graph: Graph, text: str) -> list[Lit]:
    names = {node.name for node in graph.nodes}
    start, _, end = (word.strip() for word in text.replace("→", "->").partition("->"))
    backward = start not in names and start[:1] == "d"
    if backward:
        start, end = start[1:], end if end in names else end.removeprefix("d")
        start, end = end, start
    edges = [edge for edge in graph.edges if (edge.start, edge.end) == (start, end)]
    if edges:
        return [Lit(edge, backward) for edge in edges]
    there = ", ".join(f"{edge.start} -> {edge.end}" for edge in graph.edges)
    raise ValueError(f"the graph {graph.title!r} has no edge {text.strip()!r}; it has {there}, and backwards "
                     f"d{graph.edges[0].end} -> {graph.edges[0].start} and so on")


# ---- in a terminal ----

@dataclass
class _Cell:
    text: str = " "
    style: str = ""


def graph_text(graph: Graph, lit: str | Sequence[str] = ()) -> list[list[tuple[str, str]]]:
    """The picture as rows of (character, style); a style is "", "lit", "node", "gate", "state", "end" or "sign"."""
    rows = [[_Cell() for _ in range(graph.width)] for _ in range(graph.height)]
    chosen = find_edges(graph, lit)
    signs = {place for place, sign in graph.signs if sign in OPERATIONS}
    _draw_lines(graph, rows)
    for edge in graph.edges:
        _draw_heads(graph, rows, edge.cells(), signs, "")
    for one in chosen:
        for (x, y), bits in _directions(one.edge):
            rows[y][x] = _Cell(HEAVY[bits], "lit")
    for one in chosen:
        cells = one.edge.cells()
        _draw_heads(graph, rows, cells[::-1] if one.backward else cells, signs, "lit")
    passed = {cell for one in chosen for cell in one.edge.cells()}
    for (x, y), sign in graph.signs:
        for i, char in enumerate(sign):
            rows[y][x - len(sign) // 2 + i] = _Cell(char, "lit" if (x, y) in passed else "sign")
    ends = {name for one in chosen for name in (one.edge.start, one.edge.end)}
    for node in graph.nodes:
        _draw_node(rows, node, "lit" if node.name in ends else node.kind)
    return [[(cell.text, cell.style) for cell in row] for row in rows]


def _directions(edge: Edge) -> Iterator[tuple[Point, int]]:
    """For each place, the directions in which the edge leaves it."""
    cells = edge.cells()
    for i, cell in enumerate(cells):
        bits = 0
        for other in (cells[i - 1:i] if i else []) + cells[i + 1:i + 2]:
            bits |= _direction(cell, other)
        yield cell, bits


def _direction(a: Point, b: Point) -> int:
    return {(0, -1): NORTH, (1, 0): EAST, (0, 1): SOUTH, (-1, 0): WEST}[(b[0] - a[0], b[1] - a[1])]


def bridges(graph: Graph) -> set[Point]:
    """Where two edges cross without meeting: there the one that runs across lies on top."""
    shapes: dict[Point, set[int]] = {}
    for edge in graph.edges:
        for cell, bits in _directions(edge):
            shapes.setdefault(cell, set()).add(bits)
    signs = {place for place, _ in graph.signs}
    return {cell for cell, found in shapes.items() if found == {NORTH | SOUTH, EAST | WEST} and cell not in signs}


def _draw_lines(graph: Graph, rows: list[list[_Cell]]) -> None:
    over = bridges(graph)
    sums: dict[Point, int] = {}
    for edge in graph.edges:
        for cell, bits in _directions(edge):
            sums[cell] = sums.get(cell, 0) | bits
    for (x, y), bits in sums.items():
        rows[y][x] = _Cell(LIGHT[EAST | WEST if (x, y) in over else bits])


def _draw_heads(graph: Graph, rows: list[list[_Cell]], cells: list[Point], signs: set[Point], style: str) -> None:
    """Arrowheads before each sign on the way, and before the node at the end."""
    boxes = [box(node) for node in graph.nodes]

    def stops(cell: Point, before: Point) -> bool:
        return cell in signs or (_is_inside(cell, boxes) and not _is_inside(before, boxes))
    for before, cell in pairwise(cells):
        if stops(cell, before) and before not in signs and not _is_inside(before, boxes):
            dx, dy = cell[0] - before[0], cell[1] - before[1]
            sign = next((sign for place, sign in graph.signs if place == cell), "")
            gap = len(sign) // 2 if dx > 0 else max(len(sign) - 1, 0) // 2
            rows[before[1]][before[0] - gap * dx] = _Cell(HEADS[dx, dy], style)


def _is_inside(cell: Point, boxes: list[tuple[int, int, int, int]]) -> bool:
    return any(left <= cell[0] <= right and top <= cell[1] <= bottom for left, top, right, bottom in boxes)


def _draw_node(rows: list[list[_Cell]], node: Node, style: str) -> None:
    left, top, right, bottom = box(node)
    label = _cells_of(node.label)
    inner = right - left - 1
    line = [" "] * ((inner - len(label)) // 2) + label
    line += [" "] * (inner - len(line))
    if node.kind == "end":
        pieces = [[" ", *line, " "]]
    else:
        corners = "┏━┓┗┛┃" if style == "lit" else "╭─╮╰╯│"
        pieces = [[corners[0], *corners[1] * inner, corners[2]], [corners[5], *line, corners[5]],
                  [corners[3], *corners[1] * inner, corners[4]]]
    for row, piece in zip(rows[top:bottom + 1], pieces, strict=True):
        row[left:right + 1] = [_Cell(char, style) for char in piece]


def _cells_of(label: str) -> list[str]:
    """The characters, each with the marks that combine with it."""
    return re.findall(r".[\u0300-\u036f]*", label)


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


STYLES = {"lit": "bold yellow", "gate": "green", "state": "cyan", "value": "", "end": "bold", "sign": "magenta", "": "dim"}


def show_graph(graph: Graph, lit: str | Sequence[str] = ()) -> None:
    """Print a graph; `lit` names an edge or several, as in `find_edges`. In colour on a terminal.

    Raises:
        ValueError: `lit` names an edge that the graph has not.
    """
    rows = graph_text(graph, lit)
    if not sys.stdout.isatty():
        print("\n".join("".join(char for char, _ in row).rstrip() for row in rows))
        return
    from rich.console import Console
    from rich.text import Text
    text = Text("\n").join(Text.assemble(*((char, STYLES[style]) for char, style in row)) for row in rows)
    Console(highlight=False).print(text, no_wrap=True, overflow="crop")


# ---- as a figure ----

FILLS = {"gate": "#e3f1e1", "state": "#dfeaf7", "value": "#f2f2f2", "end": "none"}
BORDERS = {"gate": "#4c8c4a", "state": "#3a6ea5", "value": "#777777", "end": "none"}
LINE, LIT = "#9aa3ad", "#e07b00"
UNIT = (0.125, 0.25)                    # inches of a column and of a row


def draw_graph(graph: Graph, ax: Any = None, lit: str | Sequence[str] = ()) -> Any:
    """Draw a graph on matplotlib's axes, or on a new figure of its size; returns the axes.

    Raises:
        ValueError: `lit` names an edge that the graph has not.
    """
    if ax is None:
        import matplotlib.pyplot as plt
        _, ax = plt.subplots(figsize=(graph.width * UNIT[0] + 0.3, graph.height * UNIT[1] + 0.3), layout="constrained")
    chosen = find_edges(graph, lit)
    ax.set(xlim=(-2, graph.width + 1), ylim=(-(graph.height + 0.2) * 2, 2), aspect="equal")
    ax.axis("off")
    passed = {cell for one in chosen for cell in one.edge.cells()}
    for edge in graph.edges:
        _draw_edge(ax, edge, LINE, 1.6, 1)
        _draw_tips(ax, graph, edge.cells(), LINE, 1.6, 1, passed)
    for x, y in bridges(graph) - passed:
        ax.plot([x, x], [-2 * y - 0.7, -2 * y + 0.7], color="white", lw=4, zorder=1.5, solid_capstyle="butt")
        ax.plot([x - 1.5, x + 1.5], [-2 * y] * 2, color=LINE, lw=1.6, zorder=1.6)
    for one in chosen:
        _draw_edge(ax, one.edge, LIT, 3.2, 2)
        cells = one.edge.cells()
        _draw_tips(ax, graph, cells[::-1] if one.backward else cells, LIT, 3.2, 2, set())
    for (x, y), sign in graph.signs:
        colour = LIT if (x, y) in passed else "#8a4f9e"
        ax.text(x, -2 * y, sign, ha="center", va="center", fontsize=11, color=colour, zorder=4,
                bbox={"boxstyle": "circle,pad=0.15" if len(sign) == 1 else "round,pad=0.2", "fc": "white", "ec": colour})
    ends = {name for one in chosen for name in (one.edge.start, one.edge.end)}
    for node in graph.nodes:
        _draw_value(ax, node, node.name in ends)
    return ax


def _draw_edge(ax: Any, edge: Edge, colour: str, wide: float, order: int) -> None:
    ax.plot([x for x, _ in edge.path], [-2 * y for _, y in edge.path], color=colour, lw=wide, zorder=order,
            solid_joinstyle="round", solid_capstyle="round")


def _draw_tips(ax: Any, graph: Graph, cells: list[Point], colour: str, wide: float, order: int, hidden: set[Point]) -> None:
    """Arrowheads before each sign on the way and at the end, but not where a lit edge lies (`hidden`)."""
    boxes = [box(node) for node in graph.nodes]
    ends = [box(node) for node in graph.nodes if node.kind == "end"]
    signs = {place: sign for place, sign in graph.signs if sign in OPERATIONS}
    for before, cell in pairwise(cells):
        enters = _is_inside(cell, boxes) and not _is_inside(before, boxes)
        if not (enters or cell in signs) or before in signs or {before, cell} <= hidden:
            continue
        dx, dy = cell[0] - before[0], before[1] - cell[1]
        if enters:
            back = -0.4 if dx else 1.0 if _is_inside(cell, ends) else 0.4
        else:
            back = 1.3 if len(signs[cell]) == 1 else 2.6 if dx else 1.5
        tip = cell[0] - back * dx, -2 * cell[1] - back * dy
        ax.annotate("", tip, (tip[0] - 0.9 * dx, tip[1] - 0.9 * dy), zorder=order + 0.5, annotation_clip=False,
                    arrowprops={"arrowstyle": "-|>", "color": colour, "lw": wide, "mutation_scale": 9 + 2 * wide,
                                "shrinkA": 0, "shrinkB": 0})


def _draw_value(ax: Any, node: Node, is_lit: bool) -> None:
    from matplotlib.patches import FancyBboxPatch
    left, top, right, bottom = box(node)
    x, y = node.at
    if node.kind == "end":
        ax.text(x, -2 * y, node.maths, ha="center", va="center", fontsize=14, zorder=4, color=LIT if is_lit else "black",
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"})
        return
    ax.add_patch(FancyBboxPatch((left + 0.4, -2 * bottom - 0.4), right - left - 0.8, 2 * (bottom - top) + 0.8, zorder=3,
                                boxstyle="round,pad=0,rounding_size=1", fc=FILLS[node.kind],
                                ec=LIT if is_lit else BORDERS[node.kind], lw=2.8 if is_lit else 1.4))
    ax.text(x, -2 * y, node.maths, ha="center", va="center", fontsize=14, zorder=4)


# ---- the graphs there are ----

def cell(name: str) -> Graph:
    """One step of a recurrent layer: "simple_rnn", "lstm", "gru" (with `reset_after=True`, as in Keras) or "gru_reset_before".

    Its values are called as in the lessons: `h_prev`, `C_prev`, `x`, `a`, the gates, `C`, `h`.

    Raises:
        ValueError: no such layer.
    """
    return _find(CELLS, name)()


def unrolled(name: str, steps: int = 3) -> Graph:
    """The steps of a recurrent layer one after the other, from `h_0` to the loss `L`: `a_1`, `C_1`, `h_1`, `a_2` …

    Raises:
        ValueError: no such layer, or not from 1 to 3 steps, which is what a screen is wide enough for.
    """
    if not 1 <= steps <= 3:
        raise ValueError(f"unrolled: expected 1 to 3 steps, got {steps}")
    return _unrolled(_find(dict.fromkeys(CELLS, name), name), steps)


def computation(name: str) -> Graph:
    """What a layer without a state computes: "batch_norm", "attention", or "residual", a block with a shortcut.

    Its values are called as in lessons 17, 19 and 20.

    Raises:
        ValueError: no such layer.
    """
    return _find(COMPUTATIONS, name)()


def _find(known: dict[str, Any], name: str) -> Any:
    if name not in known:
        raise ValueError(f"there is no graph of {name!r}; there are {', '.join(known)}")
    return known[name]


def _outputs(h: Point, next_h: Point, above: Point) -> tuple[list[Node], list[Edge]]:
    """The state h, what goes on to the step after, and y to the layer above."""
    nodes = [Node("h", h, "h", "$h$", "state"), Node("h_next", next_h, "h_next", r"$h_\mathrm{next}$", "end"),
             Node("y", above, "y", "$y$", "end")]
    return nodes, [Edge("h", "h_next", (h, next_h)), Edge("h", "y", (h, above))]


def _simple_rnn() -> Graph:
    nodes, edges = _outputs((60, 3), (75, 3), (60, 0))
    nodes += [Node("h_prev", (5, 3), "h_prev", r"$h_\mathrm{prev}$", "end"), Node("x", (5, 7), "x", "$x$", "end"),
              Node("a", (30, 3), "a", "$a$")]
    edges += [Edge("h_prev", "a", ((5, 3), (30, 3))), Edge("x", "a", ((5, 7), (30, 7), (30, 3))),
              Edge("a", "h", ((30, 3), (60, 3)))]
    return Graph("a SimpleRNN cell", tuple(nodes), tuple(edges), (((18, 3), "U"), ((18, 7), "W"), ((45, 3), "tanh")))


def _lstm() -> Graph:
    row, bus, c, out = 7, 11, 56, 66
    nodes, edges = _outputs((out, row), (75, row), (out, 4))
    gates = (("f", 27), ("i", 34), ("C_tilde", 41), ("o", 48))
    nodes += [Node("C_prev", (5, 1), "C_prev", r"$C_\mathrm{prev}$", "end"), Node("a", (18, bus), "a", "$a$"),
              Node("h_prev", (5, bus), "h_prev", r"$h_\mathrm{prev}$", "end"), Node("x", (5, 14), "x", "$x$", "end"),
              Node("C", (c, 1), "C", "$C$", "state"), Node("C_next", (75, 1), "C_next", r"$C_\mathrm{next}$", "end")]
    nodes += [Node(name, (x, row), name.replace("C_tilde", "C̃"), f"${name}$".replace("C_tilde", r"\tilde{C}"), "gate")
              for name, x in gates]
    edges += [Edge("C_prev", "C", ((5, 1), (c, 1))), Edge("h_prev", "a", ((5, bus), (18, bus))),
              Edge("x", "a", ((5, 14), (18, 14), (18, bus))), Edge("C", "C_next", ((c, 1), (75, 1)))]
    edges += [Edge("a", gate, ((18, bus), (x, bus), (x, row))) for gate, x in gates]
    edges += [Edge("f", "C", ((27, row), (27, 1), (c, 1))), Edge("i", "C", ((34, row), (34, 4), (41, 4), (41, 1), (c, 1))),
              Edge("C_tilde", "C", ((41, row), (41, 1), (c, 1))), Edge("C", "h", ((c, 1), (c, row), (out, row))),
              Edge("o", "h", ((48, row), (out, row)))]
    signs = (((27, 1), "×"), ((41, 1), "+"), ((41, 4), "×"), ((c, 4), "tanh"), ((c, row), "×"),
             ((12, bus), "U"), ((12, 14), "W"))
    return Graph("an LSTM cell", tuple(nodes), tuple(edges), signs)


def _gru() -> Graph:
    low, u, r, plus = 14, (29, 8), (29, 11), 53
    reset = [Edge("u", "h_tilde", (u, (plus, 8))), Edge("r", "h_tilde", (r, (41, 11), (41, 8), (plus, 8)))]
    return _gru_cell("a GRU cell", low, u, r, reset, (((41, 8), "×"),))


def _gru_reset_before() -> Graph:
    """r meets h before the product with U: u_t is r_t h_{t-1}."""
    low, u, r, plus = 15, (39, 8), (29, 12), 53
    reset = [Edge("r", "u", (r, (29, 8), u)), Edge("u", "h_tilde", (u, (plus, 8)))]
    return _gru_cell("a GRU cell whose reset gate acts first", low, u, r, reset, (((29, 8), "×"), ((46, 8), "U")))


def _gru_cell(title: str, low: int, u: Point, r: Point, reset: list[Edge], signs: tuple[tuple[Point, str], ...]) -> Graph:
    """A GRU with x in the row `low`, u and r at these places, and the edges and signs by which r acts on u."""
    split, join, plus, z = 13, 20, 53, (29, 5)
    nodes, edges = _outputs((65, 2), (75, 2), (65, 5))
    nodes += [Node("h_prev", (5, 2), "h_prev", r"$h_\mathrm{prev}$", "end"), Node("x", (5, low), "x", "$x$", "end"),
              Node("z", z, "z", "$z$", "gate"), Node("u", u, "u", "$u$"), Node("r", r, "r", "$r$", "gate"),
              Node("h_tilde", (plus, 8), "h̃", r"$\tilde{h}$", "gate")]
    edges += [Edge("h_prev", "h", ((5, 2), (65, 2)))]
    edges += [Edge("h_prev", name, ((5, 2), (split, 2), (split, y), (x, y))) for name, (x, y) in (("z", z), ("u", u), ("r", r))]
    edges += [Edge("x", name, ((5, low), (join, low), (join, y), (x, y))) for name, (x, y) in (("z", z), ("r", r))]
    edges += [Edge("x", "h_tilde", ((5, low), (plus, low), (plus, 8))), Edge("z", "h", (z, (29, 2), (65, 2))), *reset,
              Edge("h_tilde", "h", ((plus, 8), (plus, 2), (65, 2))), Edge("z", "h", (z, (plus, 5), (plus, 2), (65, 2)))]
    common = (((29, 2), "×"), ((plus, 2), "+"), ((41, 5), "1−"), ((plus, 5), "×"))
    return Graph(title, tuple(nodes), tuple(edges), common + signs)


CELLS: dict[str, Callable[[], Graph]] = {"simple_rnn": _simple_rnn, "lstm": _lstm, "gru": _gru,
                                         "gru_reset_before": _gru_reset_before}


def _batch_norm() -> Graph:
    nodes = [Node("x", (3, 1), "x", "$x$", "end"), Node("mean", (16, 5), "mean", r"$\mu$"),
             Node("centred", (31, 1), "centred", r"$x - \mu$"), Node("var", (44, 5), "var", r"$\sigma^2$"),
             Node("x_hat", (57, 1), "x_hat", r"$\hat{x}$", "state"), Node("y", (76, 1), "y", "$y$", "end"),
             Node("gamma", (65, 5), "γ", r"$\gamma$", "end"), Node("beta", (70, 5), "β", r"$\beta$", "end")]
    edges = [Edge("x", "centred", ((3, 1), (31, 1))), Edge("x", "mean", ((3, 1), (9, 1), (9, 5), (16, 5))),
             Edge("mean", "centred", ((16, 5), (23, 5), (23, 1), (31, 1))), Edge("centred", "x_hat", ((31, 1), (57, 1))),
             Edge("centred", "var", ((31, 1), (38, 1), (38, 5), (44, 5))),
             Edge("var", "x_hat", ((44, 5), (50, 5), (50, 1), (57, 1))), Edge("x_hat", "y", ((57, 1), (76, 1))),
             Edge("gamma", "y", ((65, 5), (65, 1), (76, 1))), Edge("beta", "y", ((70, 5), (70, 1), (76, 1)))]
    signs = (((23, 1), "−"), ((50, 1), "÷"), ((50, 3), "√"), ((65, 1), "×"), ((70, 1), "+"))
    return Graph("batch normalisation", tuple(nodes), tuple(edges), signs)


def _attention() -> Graph:
    nodes = [Node(name, (3, y), name, f"${name}$", "end") for name, y in (("q", 1), ("k", 4), ("v", 7))]
    nodes += [Node("s", (26, 1), "s", "$s$"), Node("p", (48, 1), "p", "$p$", "gate"),
              Node("o", (76, 1), "o", "$o$", "end")]
    edges = [Edge("q", "s", ((3, 1), (26, 1))), Edge("k", "s", ((3, 4), (13, 4), (13, 1), (26, 1))),
             Edge("s", "p", ((26, 1), (48, 1))), Edge("p", "o", ((48, 1), (76, 1))),
             Edge("v", "o", ((3, 7), (62, 7), (62, 1), (76, 1)))]
    signs = (((13, 1), "×"), ((37, 1), "softmax"), ((62, 1), "×"))
    return Graph("attention", tuple(nodes), tuple(edges), signs)


def _residual() -> Graph:
    row, plus = 5, 63
    nodes = [Node("x", (3, row), "x", "$x$", "end"), Node("a", (22, row), "a", "$a$"), Node("h", (38, row), "h", "$h$"),
             Node("f", (54, row), "f", "$f$", "gate"), Node("y", (76, row), "y", "$y$", "end")]
    edges = [Edge("x", "a", ((3, row), (22, row))), Edge("a", "h", ((22, row), (38, row))),
             Edge("h", "f", ((38, row), (54, row))), Edge("f", "y", ((54, row), (76, row))),
             Edge("x", "y", ((3, row), (9, row), (9, 1), (plus, 1), (plus, row), (76, row)))]
    signs = (((15, row), "W"), ((30, row), "relu"), ((46, row), "V"), ((plus, row), "+"))
    return Graph("a residual block", tuple(nodes), tuple(edges), signs)


COMPUTATIONS: dict[str, Callable[[], Graph]] = {"batch_norm": _batch_norm, "attention": _attention, "residual": _residual}


def _unrolled(name: str, steps: int) -> Graph:
    """Each step takes 22 columns: a_t at their left, h_t at their right, for an LSTM C_t above it."""
    has_cell, row = name == "lstm", 6 if name == "lstm" else 1 if name == "simple_rnn" else 4
    low, sums = row + 3, row + 5
    nodes = [Node("h_0", (3, row), "h_0", "$h_0$", "end")]
    edges: list[Edge] = []
    if has_cell:
        nodes.append(Node("C_0", (3, 1), "C_0", "$C_0$", "end"))
    before = 3
    for t in range(1, steps + 1):
        a, h = before + 10, before + 22
        nodes += [Node(f"a_{t}", (a, row), f"a_{t}", f"$a_{t}$"), Node(f"h_{t}", (h, row), f"h_{t}", f"$h_{t}$", "state"),
                  Node(f"x_{t}", (a, low), f"x_{t}", f"$x_{t}$", "end")]
        edges += [Edge(f"h_{t - 1}", f"a_{t}", ((before, row), (a, row))), Edge(f"a_{t}", f"h_{t}", ((a, row), (h, row))),
                  Edge(f"x_{t}", f"a_{t}", ((a, low), (a, row))),
                  Edge(f"h_{t}", "L", ((h, row), (h, sums), (_place_of_loss(steps), sums)))]
        if has_cell:
            nodes.append(Node(f"C_{t}", (h, 1), f"C_{t}", f"$C_{t}$", "state"))
            edges += [Edge(f"C_{t - 1}", f"C_{t}", ((before, 1), (h, 1))), Edge(f"C_{t}", f"h_{t}", ((h, 1), (h, row))),
                      Edge(f"a_{t}", f"C_{t}", ((a, row), (a, 1), (h, 1)))]
        if name.startswith("gru"):
            edges.append(Edge(f"h_{t - 1}", f"h_{t}", ((before + 2, row), (before + 2, 1), (h - 2, 1), (h - 2, row))))
        before = h
    nodes.append(Node("L", (_place_of_loss(steps), sums), "L", r"$\mathcal{L}$", "end"))
    return Graph(f"{name}, {steps} steps", tuple(nodes), tuple(edges))


def _place_of_loss(steps: int) -> int:
    return 3 + 22 * steps + 8
