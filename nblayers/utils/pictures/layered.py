"""Layered drawing of a graph: boxes in ranks, every edge from a rank to a later one, few crossings, no box over another.

The steps are those of Sugiyama, Tagawa and Toda (1981): turn back edges round, rank the boxes by their longest way from a
source, let long edges pass through bends, order each rank by barycentres, and give each rank the coordinates that are nearest
to the means of its neighbours' (a least-squares fit under the order: isotonic regression, by pooling adjacent violators).

Inside this file a place is (across, along): `across` runs along a rank, `along` from rank to rank. Sizes are in points.
"""
import math
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Point = tuple[float, float]

SIDES = {"TB": ("top", "bottom"), "BT": ("bottom", "top"), "LR": ("left", "right"), "RL": ("right", "left")}    # from, to
BOX_GAP, EDGE_GAP, PORT_GAP = 24.0, 14.0, 16.0
RANK_GAP, WIDEST_RANK_GAP, SLOPE = 26.0, 90.0, 0.16      # the gap between ranks grows with the longest way across it
LOOP = 16.0                                             # how far an edge from a box to itself goes out
MARGIN, NEAR, TITLE_HEIGHT = 14.0, 2.0, 22.0            # of a frame around a nested drawing; NEAR on a side with ports
SWEEPS, PASSES = 12, 60                                 # to order the ranks; to place what is in them


@dataclass(eq=False)
class Box:
    """A rectangle to be placed.

    Attributes:
        width, height: in points.
        content: what it shows; the layout does not look at it.
        inner: the drawing that it is a frame around, or None.
        x, y: the centre, once placed; y grows downwards.
    """

    width: float
    height: float
    content: Any = None
    inner: "Drawing | None" = None
    x: float = 0.0
    y: float = 0.0

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return (self.x - self.width / 2, self.y - self.height / 2, self.x + self.width / 2, self.y + self.height / 2)


@dataclass(frozen=True)
class End:
    """Where an edge begins or ends: a box, the entry or exit `port` of a frame, or (without a box) of the whole drawing."""

    box: Box | None
    port: int = 0


@dataclass(eq=False)
class Edge:
    """An edge as drawn: it goes through `points` from `start` to `end`; from a port another edge goes on."""

    start: End
    end: End
    points: list[Point]

    @property
    def has_arrowhead(self) -> bool:
        return self.end.box is not None and (self.end.box.inner is None or self.start.box is self.end.box)


@dataclass(eq=False)
class Drawing:
    """Boxes and edges with their places; the upper left corner is (0, 0).

    Attributes:
        entries, exits: where on the border the ports are.
    """

    width: float
    height: float
    direction: str
    boxes: list[Box]
    edges: list[Edge]
    entries: list[Point] = field(default_factory=list)
    exits: list[Point] = field(default_factory=list)

    def shift(self, right: float, down: float) -> None:
        """Move everything, nested drawings included."""
        for box in self.boxes:
            box.x, box.y = box.x + right, box.y + down
            if box.inner is not None:
                box.inner.shift(right, down)
        for edge in self.edges:
            edge.points = _shifted(edge.points, right, down)
        self.entries, self.exits = _shifted(self.entries, right, down), _shifted(self.exits, right, down)

    def all_boxes(self) -> list[Box]:
        """The boxes and those of the nested drawings, frames before what is in them."""
        return [inside for box in self.boxes for inside in (box, *(box.inner.all_boxes() if box.inner else ()))]

    def all_edges(self) -> list[Edge]:
        """The edges and those of the nested drawings."""
        return self.edges + [edge for box in self.boxes if box.inner is not None for edge in box.inner.all_edges()]


def frame(inner: Drawing, title_width: float, content: Any = None) -> Box:
    """A box around a drawing, with room for a title in its upper left corner that no edge goes through."""
    begins, ends = SIDES[inner.direction]
    ports = {begins: inner.entries, ends: inner.exits}
    left, top, right, bottom = (NEAR if ports.get(side) else MARGIN for side in ("left", "top", "right", "bottom"))
    left = max([left, *(MARGIN + title_width + 8 - x for x, _ in ports.get("top", ()))])
    top += TITLE_HEIGHT
    width = max(left + inner.width + right, title_width + 2 * MARGIN)
    height = top + inner.height + bottom
    inner.shift(left, top)
    _reach_border(inner, width, height)
    inner.shift(-width / 2, -height / 2)
    return Box(width, height, content, inner)


def _reach_border(inner: Drawing, width: float, height: float) -> None:
    """Lengthen the edges at the ports as far as the border of the frame."""
    def on_border(point: Point, is_entry: bool) -> Point:
        x, y = point
        side = SIDES[inner.direction][0 if is_entry else 1]
        return {"top": (x, 0.0), "bottom": (x, height), "left": (0.0, y), "right": (width, y)}[side]
    for edge in inner.edges:
        if edge.start.box is None:
            edge.points.insert(0, on_border(edge.points[0], True))
        if edge.end.box is None:
            edge.points.append(on_border(edge.points[-1], False))
    inner.entries = [on_border(point, True) for point in inner.entries]
    inner.exits = [on_border(point, False) for point in inner.exits]


def arrange(boxes: Sequence[Box], edges: Iterable[tuple[End, End]], entries: int = 0, exits: int = 0,
            direction: str = "TB") -> Drawing:
    """Place boxes and edges.

    Arguments:
        boxes: in the order in which they should stand where nothing else is known.
        edges: from where to where; cycles and edges from a box to itself are allowed.
        entries, exits: how many ports the drawing has at its beginning and at its end, as `End(None, port)`.
        direction: "TB" (from top to bottom), "BT", "LR" or "RL".
    """
    layout = _Layout(boxes, list(dict.fromkeys(edges)), entries, exits, direction)
    layout.order()
    layout.place_across()
    layout.place_along()
    return layout.drawing()


class _Vertex:
    """A box, a port or a bend of an edge within a rank.

    Attributes:
        before, after: how far it reaches from its place to both sides; `depth`: along.
        ups, downs: its links with the rank before and after.
    """

    def __init__(self, before: float = 0.0, after: float = 0.0, depth: float = 0.0, box: Box | None = None) -> None:
        self.before, self.after, self.depth, self.box = before, after, depth, box
        self.rank = self.index = 0
        self.across = 0.0
        self.ups: list[_Link] = []
        self.downs: list[_Link] = []

    @property
    def is_bend(self) -> bool:
        return self.box is None


class _Link:
    """A piece of an edge between neighbouring ranks; `offsets` are where it meets the two vertices, from their places.

    Those at a frame are `fixed`, others are chosen so that the links of a box do not cross.
    """

    def __init__(self, upper: _Vertex, lower: _Vertex, fixed: tuple[float | None, float | None]) -> None:
        self.ends, self.fixed = (upper, lower), fixed
        self.offsets = [fixed[0] or 0.0, fixed[1] or 0.0]
        upper.downs.append(self)
        lower.ups.append(self)

    def key(self, side: int) -> tuple[int, float]:
        """Orders links by where they meet the upper (0) or the lower (1) rank."""
        return self.ends[side].index, self.fixed[side] or 0.0

    def straightness(self) -> float:
        """How much a link that is not straight costs: it should slant where a long edge leaves its boxes, not elsewhere."""
        return (4.0, 0.5, 8.0)[sum(end.is_bend for end in self.ends)]


class _Layout:
    def __init__(self, boxes: Sequence[Box], edges: list[tuple[End, End]], entries: int, exits: int, direction: str) -> None:
        self.direction, self.is_upright = direction, direction in ("TB", "BT")
        self.edges, self.boxes = edges, list(boxes)
        looped = {id(start.box) for start, end in edges if start.box is end.box}
        self.vertices = {id(box): self._vertex(box, id(box) in looped) for box in boxes}
        self.entries = [_Vertex() for _ in range(entries)]
        self.exits = [_Vertex() for _ in range(exits)]
        arrows = [(self._at(start, self.entries), self._at(end, self.exits)) for start, end in edges]
        self.turned = self._rank([*self.entries, *self.vertices.values(), *self.exits], arrows)
        self.paths: list[list[_Link]] = [self._linked(*edge, *arrow, turned)
                                         for edge, arrow, turned in zip(edges, arrows, self.turned, strict=True)]

    def _vertex(self, box: Box, looped: bool) -> _Vertex:
        breadth, depth = (box.width, box.height) if self.is_upright else (box.height, box.width)
        return _Vertex(breadth / 2, breadth / 2 + LOOP * looped, depth, box)

    def _at(self, end: End, ports: list[_Vertex]) -> _Vertex:
        return ports[end.port] if end.box is None else self.vertices[id(end.box)]

    def _rank(self, vertices: list[_Vertex], arrows: list[tuple[_Vertex, _Vertex]]) -> list[bool]:
        """Set the ranks and make a list of the vertices of each; gives for each arrow whether it must be turned round."""
        waiting = {id(vertex): vertex for vertex in vertices}
        turned = [False] * len(arrows)
        missing = {key: 0 for key in waiting}
        leaving: dict[int, list[int]] = {key: [] for key in waiting}
        for number, (start, end) in enumerate(arrows):
            if start is not end:
                leaving[id(start)].append(number)
                missing[id(end)] += 1
        first = 1 if self.entries else 0
        for vertex in self.vertices.values():
            vertex.rank = first
        while waiting:
            ready = (vertex for key, vertex in waiting.items() if not missing[key])
            chosen = next(ready, next(iter(waiting.values())))      # in a cycle: the first box, and edges back to it are turned
            del waiting[id(chosen)]
            for number in leaving[id(chosen)]:
                end = arrows[number][1]
                if id(end) in waiting:
                    missing[id(end)] -= 1
                    end.rank = max(end.rank, chosen.rank + 1)
                else:
                    turned[number] = True
        self._lower_sources(arrows, turned)
        last = max((vertex.rank for vertex in vertices), default=0)
        last = max([last, *(vertex.rank + 1 for vertex in self.vertices.values())]) if self.exits else last
        for vertex in self.exits:
            vertex.rank = last
        self.ranks: list[list[_Vertex]] = [[] for _ in range(last + 1)]
        for vertex in vertices:
            self.ranks[vertex.rank].append(vertex)
        return turned

    def _lower_sources(self, arrows: list[tuple[_Vertex, _Vertex]], turned: list[bool]) -> None:
        """Put boxes that nothing leads to just before what they lead to."""
        after: dict[int, list[_Vertex]] = {}
        reached = set()
        for (start, end), is_turned in zip(arrows, turned, strict=True):
            upper, lower = (end, start) if is_turned else (start, end)
            if upper is not lower:
                after.setdefault(id(upper), []).append(lower)
                reached.add(id(lower))
        for vertex in self.vertices.values():
            if id(vertex) not in reached and id(vertex) in after:
                vertex.rank = min(lower.rank for lower in after[id(vertex)]) - 1

    def _linked(self, start: End, end: End, upper: _Vertex, lower: _Vertex, turned: bool) -> list[_Link]:
        """The links of an edge through its bends, from its upper to its lower end."""
        if upper is lower:
            return []
        fixed = [self._port(start, leaves=True), self._port(end, leaves=False)]
        if turned:
            upper, lower, fixed = lower, upper, [self._port(end, True), self._port(start, False)]
        chain = [upper]
        for rank in range(upper.rank + 1, lower.rank):
            chain.append(_Vertex())
            chain[-1].rank = rank
            self.ranks[rank].append(chain[-1])
        chain.append(lower)
        last = len(chain) - 2
        return [_Link(a, b, (fixed[0] if i == 0 else 0.0, fixed[1] if i == last else 0.0))
                for i, (a, b) in enumerate(pairwise(chain))]

    def _port(self, end: End, leaves: bool) -> float | None:
        """Where the port is, across, from the middle of its frame; None for a box, whose edges are spread later."""
        if end.box is None:
            return 0.0
        if end.box.inner is None:
            return None
        ports = end.box.inner.exits if leaves else end.box.inner.entries
        if not ports:
            return 0.0
        x, y = ports[min(end.port, len(ports) - 1)]
        return x if self.is_upright else y

    def order(self) -> None:
        """Order each rank so that few links cross; the best order of several sweeps is kept."""
        self._order_by_search()
        self._number()
        best, fewest = [list(rank) for rank in self.ranks], self.crossings()
        for sweep in range(SWEEPS):
            if not fewest:
                break
            down = sweep % 2 == 0
            for rank in self.ranks[1:] if down else self.ranks[-2::-1]:
                self._sort_by_neighbours(rank, down)
            self._exchange()
            if (crossings := self.crossings()) < fewest:
                best, fewest = [list(rank) for rank in self.ranks], crossings
        self.ranks = best
        self._number()
        for vertex in self.vertices.values():
            self._spread(vertex.ups, 1, vertex)
            self._spread(vertex.downs, 0, vertex)

    def _order_by_search(self) -> None:
        """A first order: that in which a search from the sources meets the vertices."""
        met: dict[int, int] = {}
        for source in [vertex for rank in self.ranks for vertex in rank if not vertex.ups]:
            waiting = [source]
            while waiting:
                vertex = waiting.pop()
                met.setdefault(id(vertex), len(met))
                waiting.extend(link.ends[1] for link in reversed(vertex.downs) if id(link.ends[1]) not in met)
        for rank in self.ranks:
            rank.sort(key=lambda vertex: met[id(vertex)])

    def _number(self) -> None:
        for rank in self.ranks:
            for index, vertex in enumerate(rank):
                vertex.index = index

    def _sort_by_neighbours(self, rank: list[_Vertex], down: bool) -> None:
        side = 0 if down else 1

        def barycentre(vertex: _Vertex) -> float:
            links = vertex.ups if down else vertex.downs
            places = [link.ends[side].index + (link.fixed[side] or 0.0) / (2 + 2 * link.ends[side].before) for link in links]
            return sum(places) / len(places) if places else vertex.index
        rank.sort(key=barycentre)
        for index, vertex in enumerate(rank):
            vertex.index = index

    def _exchange(self) -> None:
        """Exchange neighbours as long as that removes crossings."""
        improved, tries = True, 0
        while improved and tries < 8:
            improved, tries = False, tries + 1
            for rank in self.ranks:
                for i in range(len(rank) - 1):
                    left, right = rank[i], rank[i + 1]
                    if _crossed(right, left) < _crossed(left, right):
                        rank[i], rank[i + 1] = right, left
                        left.index, right.index = i + 1, i
                        improved = True

    def crossings(self) -> int:
        """How many pairs of links cross."""
        return sum(_inversions(sorted((link.key(0), link.key(1)) for vertex in rank for link in vertex.downs))
                   for rank in self.ranks)

    def _spread(self, links: list[_Link], side: int, vertex: _Vertex) -> None:
        """Let the links of one side of a box meet it beside each other, in the order of their other ends."""
        free = sorted((link for link in links if link.fixed[side] is None), key=lambda link: link.key(1 - side))
        step = min(PORT_GAP, 1.6 * vertex.before / len(free)) if free else 0.0
        for i, link in enumerate(free):
            link.offsets[side] = (i - (len(free) - 1) / 2) * step

    def place_across(self) -> None:
        """Give each vertex its place across: near the mean of its neighbours', in order and apart."""
        for rank in self.ranks:
            _fit(rank, [0.0] * len(rank), [1.0] * len(rank))
        for number in range(PASSES):
            sides = ((0,), (1,), (0, 1))[number % 2 if number < PASSES / 2 else 2]
            for rank in self.ranks if number % 2 == 0 else self.ranks[::-1]:
                wishes = [_wish(vertex, sides) for vertex in rank]
                _fit(rank, [wish for wish, _ in wishes], [weight for _, weight in wishes])
        for links in self.paths:
            self._straighten([link.ends[1] for link in links[:-1]])
        low = min((vertex.across - vertex.before for rank in self.ranks for vertex in rank), default=0.0)
        for rank in self.ranks:
            for vertex in rank:
                vertex.across -= low

    def _straighten(self, bends: list[_Vertex]) -> None:
        """Put as many bends in a row at one place as their neighbours leave room for."""
        while bends:
            low, high, count = -math.inf, math.inf, 0
            for bend in bends:
                least, most = self._room(bend)
                if max(low, least) > min(high, most):
                    break
                low, high, count = max(low, least), min(high, most), count + 1
            count = max(count, 1)
            mean = sum(bend.across for bend in bends[:count]) / count
            for bend in bends[:count]:
                bend.across = min(max(mean, low), high)
            bends = bends[count:]

    def _room(self, vertex: _Vertex) -> tuple[float, float]:
        """Between which places it can be moved while its neighbours in the rank stay."""
        rank, i = self.ranks[vertex.rank], vertex.index
        least = rank[i - 1].across + _apart(rank[i - 1], vertex) if i else -math.inf
        most = rank[i + 1].across - _apart(vertex, rank[i + 1]) if i + 1 < len(rank) else math.inf
        return min(least, vertex.across), max(most, vertex.across)

    def place_along(self) -> None:
        """Give each rank its band, and the gaps between them their sizes."""
        self.bands: list[tuple[float, float]] = []
        here = 0.0
        for rank in self.ranks:
            depth = max((vertex.depth for vertex in rank), default=0.0)
            self.bands.append((here, here + depth))
            farthest = max((abs(_place(link, 0) - _place(link, 1)) for vertex in rank for link in vertex.downs), default=0.0)
            here += depth + min(max(RANK_GAP, SLOPE * farthest), WIDEST_RANK_GAP)

    def drawing(self) -> Drawing:
        breadth = max((vertex.across + vertex.after for rank in self.ranks for vertex in rank), default=0.0)
        length = self.bands[-1][1] if self.bands else 0.0
        real = _turn(self.direction, length)
        for vertex in self.vertices.values():
            box = vertex.box
            assert box is not None
            box.x, box.y = real((vertex.across, sum(self.bands[vertex.rank]) / 2))
            if box.inner is not None:
                box.inner.shift(box.x, box.y)
        edges = [Edge(start, end, [real(point) for point in self._points(links, turned, start)])
                 for (start, end), links, turned in zip(self.edges, self.paths, self.turned, strict=True)]
        width, height = (breadth, length) if self.is_upright else (length, breadth)
        return Drawing(width, height, self.direction, self.boxes, edges, [real((port.across, 0.0)) for port in self.entries],
                       [real((port.across, length)) for port in self.exits])

    def _points(self, links: list[_Link], turned: bool, start: End) -> list[Point]:
        """Through each band an edge goes straight, across the gaps between bands it may slant."""
        if not links:
            return self._loop(self.vertices[id(start.box)])
        first, last = links[0], links[-1]
        points = [(_place(first, 0), self._middle(first.ends[0]) + first.ends[0].depth / 2)]
        for link in links:
            upper, lower = link.ends
            points += [(_place(link, 0), self.bands[upper.rank][1]), (_place(link, 1), self.bands[lower.rank][0])]
        points.append((_place(last, 1), self._middle(last.ends[1]) - last.ends[1].depth / 2))
        points = points[:1] + [b for a, b in pairwise(points) if math.dist(a, b) > 0.01]
        return points[::-1] if turned else points

    def _middle(self, vertex: _Vertex) -> float:
        return sum(self.bands[vertex.rank]) / 2

    def _loop(self, vertex: _Vertex) -> list[Point]:
        side, middle, reach = vertex.across + vertex.before, self._middle(vertex), vertex.depth / 4
        out = side + 0.75 * LOOP
        return [(side, middle + reach), (out, middle + reach), (out, middle - reach), (side, middle - reach)]


def _turn(direction: str, length: float) -> Callable[[Point], Point]:
    """From (across, along) to (x, y)."""
    def real(point: Point) -> Point:
        across, along = point
        along = length - along if direction in ("BT", "RL") else along
        return (across, along) if direction in ("TB", "BT") else (along, across)
    return real


def _shifted(points: list[Point], right: float, down: float) -> list[Point]:
    return [(x + right, y + down) for x, y in points]


def _place(link: _Link, side: int) -> float:
    return link.ends[side].across + link.offsets[side]


def _inversions(pairs: list[tuple[Any, Any]]) -> int:
    """How many pairs of links, sorted by their upper ends, have their lower ends the other way round."""
    passed: list[Any] = []
    count = 0
    for _, lower in pairs:
        count += len(passed) - bisect_right(passed, lower)
        insort(passed, lower)
    return count


def _crossed(left: _Vertex, right: _Vertex) -> int:
    """How many links of two neighbours cross if they stand in this order."""
    count = 0
    for side, links, others in ((1, left.downs, right.downs), (0, left.ups, right.ups)):
        count += sum(link.key(side) > other.key(side) for link in links for other in others)
    return count


def _wish(vertex: _Vertex, sides: tuple[int, ...]) -> tuple[float, float]:
    """Where the links with the rank before (0) or after (1) would have the vertex stand, and how much that weighs."""
    links = [(link, side) for side in sides for link in (vertex.ups, vertex.downs)[side]]
    if not links:
        return vertex.across, 0.01
    weight = sum(link.straightness() for link, _ in links)
    places = ((_place(link, side) - link.offsets[1 - side]) * link.straightness() for link, side in links)
    return sum(places) / weight, weight


def _apart(left: _Vertex, right: _Vertex) -> float:
    return left.after + right.before + (EDGE_GAP if left.is_bend or right.is_bend else BOX_GAP)


def _fit(rank: list[_Vertex], wishes: list[float], weights: list[float]) -> None:
    """The places nearest to the wishes, by weighted squares, at which neighbours in the rank are far enough apart."""
    if not rank:
        return
    starts = [0.0]
    for left, right in pairwise(rank):
        starts.append(starts[-1] + _apart(left, right))
    blocks: list[list[float]] = []                      # mean of (wish - start), weight, number of vertices
    for wish, weight, start in zip(wishes, weights, starts, strict=True):
        blocks.append([wish - start, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, other, count = blocks.pop()
            first = blocks[-1]
            first[0] = (first[0] * first[1] + mean * other) / (first[1] + other)
            first[1], first[2] = first[1] + other, first[2] + count
    means = [mean for mean, _, count in blocks for _ in range(int(count))]
    for vertex, mean, start in zip(rank, means, starts, strict=True):
        vertex.across = mean + start
