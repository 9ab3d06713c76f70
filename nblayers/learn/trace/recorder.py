"""The trace itself: what it records, and how one looks into it."""
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import numpy as np

import kernels
from nblayers.devices import to_numpy
from nblayers.layers.base import Layer, Record, calls
from nblayers.learn.trace import symbols
from nblayers.learn.trace.entries import Entry, Part
from nblayers.learn.trace.equations import equation
from nblayers.learn.trace.lines import Line, Term, lines_of
from nblayers.learn.trace.watch import Watch, is_kernel

SHORT = {"kernel": "W", "recurrent_kernel": "U", "bias": "b", "embeddings": "E"}       # the lessons' names of weights
LARGE = 1_000_000                       # elements of an operand that is not copied
LIMIT = 200_000                         # entries; a large convolution has one for each window

_open = 0                               # how many traces there are in all threads
_counting = threading.Lock()


class _Call:
    """A layer's forward or backward under way."""

    def __init__(self, layer: Layer, path: str, phase: str, number: int) -> None:
        self.layer, self.path, self.phase, self.number = layer, path, phase, number
        self.recorded: set[str] = set()         # names
        self.weights_done: set[int] = set()     # of the layers inside, whose gradients they have recorded themselves


class trace:
    r"""Record what layers compute: each named value of `forward`, each derivative of `backward`, and what each is the sum of.

        with nblayers.trace() as t:
            y = layer.forward(x)
            layer.backward(dy)
        print(t.table())
        print(t.find("dC", t=2)[0].said())              # 0.28 = 0.21 by c of the step after + 0.07 by h

    An entry (`Entry`) has the equation's number, its formula as LaTeX, the time step, the shape and a copy of the value. It
    works on single layers, on `Sequential` and functional models and on a layer of one's own: what is recorded of it is its
    `cache`, and all lines whose comment names an equation, `# (1)` or `# from (1)`. In a room whose kernels are compiled the
    reference kernels run beside them on copies: the entries are the same but for rounding. Only the thread that opened the
    trace is recorded. One trace inside another: both record. Without a trace nothing is recorded, and nothing slows down.

    Arguments:
        limit: how many entries there may be; what comes later is not recorded, and a warning says so.

    Attributes:
        entries: all of them, in the order computed.

    Raises:
        ValueError: limit is no positive integer.
        RuntimeError: it is opened while it is open; later it may be opened again, and goes on.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 1:
            raise ValueError(f"trace: expected limit to be a positive integer, got {limit!r}")
        self.limit = int(limit)
        self.entries: list[Entry] = []
        self._stack: list[_Call] = []
        self._calls = 0
        self._watch = Watch(self._before, self._after)
        self._is_open = False
        self._known = 0                         # entries when it was opened
        self._outer: trace | None = None
        self._operands: dict[tuple[str, str], np.ndarray] = {}      # the last of each line's

    def __enter__(self) -> "trace":
        if self._is_open:
            raise RuntimeError("trace: this trace is open already: with nblayers.trace() opens another")
        self._is_open, self._known = True, len(self.entries)
        self._outer, calls.watch = calls.watch, self
        _count(1)
        return self

    def __exit__(self, *error: Any) -> None:
        _count(-1)
        calls.watch, self._is_open = self._outer, False
        if self._outer is not None:
            self._outer._take_from(self.entries[self._known:])

    @staticmethod
    def note(name: str, value: Any, formula: str = "") -> None:
        """Record a value from a layer of one's own; nothing happens where no trace is on.

            nblayers.trace.note("a", a, r"a = x W + b")

        Arguments:
            name: the value's.
            value: an array or a number; it is copied.
            formula: LaTeX; by default the name.

        Raises:
            TypeError: name or formula is no text, or the value is no array of numbers.
        """
        if not isinstance(name, str) or not isinstance(formula, str):
            raise TypeError(f"trace.note: expected name and formula to be texts, got {name!r} and {formula!r}")
        current = calls.watch
        if current is not None:
            array = _copy(np.asarray(value) if isinstance(value, (list, tuple)) else value)
            if array is None:
                raise TypeError(f"trace.note: expected an array of numbers as {name!r}, got {type(value).__name__}")
            current._record(name, array, formula=formula or symbols.name(name))

    # What layers call -------------------------------------------------------------------------------------------------------

    def forward(self, layer: Layer, function: Callable[..., Any], arguments: Any, named: dict[str, Any]) -> Any:
        """Run a layer's forward and record it."""
        with self._inside(layer, "forward") as call:
            self._record_all(call, zip(_parameters(function), arguments, strict=False))
            self._record_all(call, named.items())
            outputs = function(layer, *arguments, **named)
            self._record_cache(call)
            self._record_all(call, [("y", outputs)])
        return outputs

    def backward(self, layer: Layer, function: Callable[..., Any], dy: Any) -> Any:
        """Run a layer's backward and record it."""
        before = {id(weight): weight.grad.copy() for weight in layer.weights}
        with self._inside(layer, "backward") as call:
            self._record_all(call, [("dy", dy)])
            dx = function(layer, dy)
            for weight in layer.weights:
                if id(weight) not in call.weights_done:
                    gradient = to_numpy(weight.grad) - to_numpy(before[id(weight)])
                    short = SHORT.get(weight.name, weight.name)
                    if not self._is_known(call, f"d{short}", gradient):
                        self._record(f"d{short}", gradient,
                                     formula=rf"\frac{{\partial L}}{{\partial {symbols.name(weight.name)}}}")
            self._record_all(call, [("dx", dx)])
        if self._stack:
            self._stack[-1].weights_done |= {id(weight) for weight in layer.weights}
        return dx

    def room(self, room: ModuleType) -> Any:
        """What stands for a room of kernels while this trace is on."""
        return self._watch.room(room) if self._stack else room

    @contextmanager
    def _inside(self, layer: Layer, phase: str) -> Iterator[_Call]:
        around = self._stack[-1] if self._stack else None
        call = _Call(layer, f"{around.path}/{layer.name}" if around else layer.name, phase, self._calls - bool(around))
        self._calls += not around
        self._watch.of(type(layer))
        self._stack.append(call)
        if len(self._stack) == 1:
            self._watch.start()
        try:
            yield call
        finally:
            self._stack.pop()
            if not self._stack:
                self._watch.stop()

    # Recording --------------------------------------------------------------------------------------------------------------

    def _before(self, line: Line, frame: FrameType) -> tuple[int, list[Part], dict[str, np.ndarray]]:
        """Before a line runs: how many entries there are, the terms of its sum, and its operands."""
        parts = []
        if line.adds and (old := _copy(read(line.targets[0].read, frame))) is not None and old.any():
            parts.append(Part("what was there", symbols.name(line.targets[0].name), old))
        for term in line.terms:
            value = self._quietly(term.read, frame)
            if value is not None and (value.ndim or value.any()):
                parts.append(Part(_origin(term), term.formula, -value if term.negative else value))
        return len(self.entries), parts, dict(self._operands_of(line, frame))

    def _operands_of(self, line: Line, frame: FrameType) -> Iterator[tuple[str, np.ndarray]]:
        """Copies of what a line computes with; one copy of what is the same as when the function's lines last read it."""
        for operand in line.operands:
            value = _copy(read(operand.read, frame, whole=True))
            if value is not None and value.size <= LARGE:
                last = self._operands.get((line.function, operand.name))
                if last is None or last.dtype != value.dtype or not np.array_equal(last, value):
                    self._operands[line.function, operand.name] = last = value
                yield operand.name, last

    def _after(self, line: Line, frame: FrameType, kept: tuple[int, list[Part], dict[str, np.ndarray]],
               returned: Any) -> None:
        """After a line ran: record what it assigned, unless a line inside what it called has done so."""
        known, parts, operands = kept
        inside = {entry.name for entry in self.entries[known:]}
        if len(line.targets) > 1 and inside:
            return
        mark = "from " * line.backward + ", ".join(f"({one})" for one in line.marks)
        formula = line.formula if line.backward else equation(line.path, line.function, line.marks[0]) or line.formula
        where = _where(line, frame)
        sum_of = tuple(parts) if len(parts) > 1 else ()
        t = time_step(frame)
        for target in line.targets:
            computed = returned if line.returns else read(target.read, frame)
            for name, value in _flat([(target.name, computed)]):
                if name not in inside:
                    self._record(name, value, mark, formula, t, where, sum_of, operands, line)

    def _quietly(self, code: CodeType, frame: FrameType) -> np.ndarray | None:
        """The value of an expression where a line is about to run; what it calls is not recorded."""
        was, self._watch.quiet = self._watch.quiet, True
        try:
            return _copy(read(code, frame))
        finally:
            self._watch.quiet = was

    def _record(self, name: str, value: np.ndarray, equation: str = "", formula: str = "", t: int | None = None,
                where: dict[str, Any] | None = None, parts: tuple[Part, ...] = (),
                operands: dict[str, np.ndarray] | None = None, line: Line | None = None) -> None:
        call = self._stack[-1] if self._stack else None
        if call is not None:
            call.recorded.add(name)
        code = (line.path, line.number, line.source, line.function) if line else ()
        self._take([Entry(call.path if call else "", call.phase if call else "", name, value, equation, formula, t, where or {},
                          parts, operands or {}, call.number if call else self._calls, *code)])

    def _take(self, entries: list[Entry]) -> None:
        free = self.limit - len(self.entries)
        self.entries += entries[:max(free, 0)]
        if 0 <= free < len(entries):
            warnings.warn(f"trace: {self.limit} entries are recorded, what comes now is not: trace(limit=…) allows more, a "
                          "smaller input makes fewer", stacklevel=2)
            self.limit = -1

    def _take_from(self, entries: list[Entry]) -> None:
        """Take the entries of a trace inside this one; their calls come after those that this one has seen."""
        if entries:
            first = entries[0].call
            self._take([replace(entry, call=entry.call - first + self._calls) for entry in entries])
            self._calls += entries[-1].call - first + 1

    def _record_all(self, call: _Call, named: Iterable[tuple[str, Any]]) -> None:
        """Record arrays; of lists each element by its place."""
        for name, value in _flat(named):
            if not self._is_known(call, name, value):
                self._record(name, value)

    def _is_known(self, call: _Call, name: str, value: np.ndarray) -> bool:
        """Whether a line of this call has recorded this value under this name; the room's kernel may have rounded otherwise."""
        return name in call.recorded and any(
            entry.name == name and entry.t is None and entry.layer == call.path and entry.shape == value.shape
            and np.allclose(entry.value, value, rtol=1e-4, atol=1e-6, equal_nan=True) for entry in self.entries[-50:])

    def _record_cache(self, call: _Call) -> None:
        """Record the arrays of a layer's cache that no line has recorded.

        Where a cache keeps y in the place of what it comes from (`activations.needed`), it is y.
        """
        cache = call.layer._threads.state.cache
        if isinstance(cache, Record):
            fields = {name: value for name, value in vars(cache).items() if not name.startswith("_")}
        else:
            fields = cache if isinstance(cache, dict) else {"cache": cache}
        y = fields.get("y")
        self._record_all(call, [(str(name), value) for name, value in fields.items()
                                if str(name) not in call.recorded and (name == "y" or y is None or value is not y)])

    # Looking ----------------------------------------------------------------------------------------------------------------

    def find(self, name: str, t: int | None = None, layer: str | None = None, phase: str | None = None) -> list[Entry]:
        """The entries of a name, in the order computed.

        Arguments:
            name: "dc"; where nothing is called exactly so, large and small letters count alike ("dC"), and a weight's own
                name stands for its letter ("dkernel" for "dW").
            t: only of this time step.
            layer: only of this layer and of those inside it, by its name.
            phase: "forward" or "backward" only.

        Raises:
            KeyError: nothing was recorded under this name; the text lists the names.
        """
        for wanted in _spellings(name):
            found = [entry for entry in self.entries if wanted in (entry.name, entry.name.lower())]
            if found:
                return [entry for entry in found if t in (None, entry.t) and entry.is_of(layer, phase)]
        raise KeyError(f"trace: nothing is called {name!r}; there are {', '.join(self.names) or 'no entries'}")

    @property
    def names(self) -> list[str]:
        """Every name that has an entry, in the order computed."""
        return list(dict.fromkeys(entry.name for entry in self.entries))

    def table(self, name: str | None = None, layer: str | None = None, phase: str | None = None, most: int = 100) -> str:
        """The entries as text, one in a line: phase, layer, name and step, equation, shape, value.

        An array's value is its norm, written ‖…‖; of a sum the parts stand behind it.

        Arguments:
            name, layer, phase: as in `find`; all by default.
            most: lines; further entries are counted.

        Raises:
            KeyError: as in `find`.
        """
        entries = [entry for entry in (self.entries if name is None else self.find(name)) if entry.is_of(layer, phase)]
        rows = [(entry.phase, entry.layer, _place(entry), entry.equation, "×".join(map(str, entry.shape)) or "1", entry.said())
                for entry in entries[:most]]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
        lines = ["  ".join([*map(str.ljust, row, wide), row[-1]]).rstrip() for row in rows]
        if len(entries) > most:
            lines.append(f"… and {len(entries) - most} more entries")
        return "\n".join(lines) or "(no entries)"

    def plot(self, layer: str | None = None, path: Any = None) -> Any:
        """A picture: what a layer computes over time, the norms of its gradients over time, and the flow through the layers.

        Arguments:
            layer: the one whose steps are shown; by default the first that has some.
            path: save the picture there.

        Returns:
            The figure (matplotlib's).

        Raises:
            ValueError: there is nothing to show.
        """
        from nblayers.learn.trace.pictures import plot
        return plot(self, layer, path)

    def to_html(self, path: str | Path | None = None, layer: str | None = None, title: str | None = None) -> Path | str:
        """The microscope: a page that steps through all of this, forward and backward. It needs no other file and no network.

        Arguments:
            path: where to write it; its folder is made.
            layer: only this layer and those inside it, by its name.
            title: the page's; by default the layers' names.

        Returns:
            The path, or the page itself where no path is given.

        Raises:
            ValueError: there is nothing to show.
        """
        from nblayers.learn.microscope import page, view
        return page.save("trace.to_html", page.page(view.view(self, layer, title)), path)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __repr__(self) -> str:
        return f"<trace of {len(self.entries)} entries: {', '.join(self.names[:12])}{' …' * (len(self.names) > 12)}>"


def _count(change: int) -> None:
    """While there is any trace, kernels are asked for through `_room`."""
    global _open
    with _counting:
        _open += change
        kernels.get = _room if _open else kernels.loaded


def _room(name: str) -> Any:
    current, room = calls.watch, kernels.loaded(name)
    return room if current is None else current.room(room)


def read(code: CodeType, frame: FrameType, whole: bool = False) -> Any:
    """The value of an expression in a frame; None where it cannot be read there, and of a whole number, which is a place.

    Whole numbers are read where asked for.
    """
    try:
        value = eval(code, frame.f_globals, frame.f_locals)
    except Exception:
        return None
    return None if isinstance(value, (int, np.integer, np.bool_)) and not whole else value


def _copy(value: Any) -> np.ndarray | None:
    if isinstance(value, tuple) or not (hasattr(value, "shape") or isinstance(value, (bool, int, float, complex))):
        return None
    array = np.array(to_numpy(value))
    return array if array.dtype.kind in "biufc" else None


def _flat(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, np.ndarray]]:
    """Copies of the arrays; of lists each element by its place. What is no array of numbers is left out."""
    for name, value in named:
        if isinstance(value, (list, tuple)):
            yield from _flat((f"{name}[{place}]", one) for place, one in enumerate(value))
        elif hasattr(value, "dtype") and (array := _copy(value)) is not None:
            yield name, array


def _origin(term: Term) -> str:
    """Through what a part of a gradient comes, in words; of another sum the term itself."""
    through = term.through
    if not through:
        return term.source
    base = through[1:].removesuffix("_next").removesuffix("_t")
    return f"{base} of the step after" if through.endswith("_next") else base


def _where(line: Line, frame: FrameType) -> dict[str, Any]:
    """The indices of the loops around a line, of those in the kernels that called its function first."""
    found: dict[str, Any] = {}
    outer = frame.f_back
    if outer is not None and is_kernel(outer.f_code.co_filename) and (
            around := lines_of(outer.f_code.co_filename).get(outer.f_lineno)) is not None:
        found |= _where(around, outer)
    places = {name: _index(frame.f_locals[name]) for name in line.indices if name in frame.f_locals and name != "t"}
    return found | {name: at for name, at in places.items() if at is not None}


def _index(value: Any) -> Any:
    """An index of a loop as it is recorded; None for what is none."""
    if isinstance(value, slice):
        return tuple(None if one is None else int(one) for one in (value.start, value.stop, value.step))
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, tuple):
        return tuple(map(_index, value))
    return None


def time_step(frame: FrameType | None) -> int | None:
    """The step in which a line runs: the `t` of its function, or of those that called it."""
    while frame is not None and frame.f_globals.get("__name__") != __name__:
        t = frame.f_locals.get("t") if frame.f_code.co_name != "<module>" else None
        if isinstance(t, (int, np.integer)) and not isinstance(t, bool):
            return int(t)
        frame = frame.f_back
    return None


def _place(entry: Entry) -> str:
    where = ",".join(f"{name}={_short(at)}" for name, at in entry.where.items() if not isinstance(at, tuple) or None not in at)
    return f"{entry.label} {where}".rstrip()


def _short(at: Any) -> str:
    return str(at).replace(" ", "")


def _parameters(function: Callable[..., Any]) -> list[str]:
    """The names of a forward's arguments; Keras' `inputs` is the formula's x."""
    code = function.__code__
    names = list(code.co_varnames[1:code.co_argcount])
    return ["x" if name in ("input", "inputs", "sequences") else name for name in names]


def _spellings(name: str) -> list[str]:
    short = next((f"d{letter}" for full, letter in SHORT.items() if name == f"d{full}"), name)
    return list(dict.fromkeys([name, short, name.lower()]))
