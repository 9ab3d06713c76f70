"""What a page shows, as plain values: the steps of a trace, their numbers, formulas, code and pictures."""
import ast
import functools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nblayers.learn.microscope import networks, numbers
from nblayers.learn.microscope.mathml import mathml
from nblayers.learn.microscope.pool import Pool, reaches_farther
from nblayers.learn.microscope.windows import Extra, fewer_windows, with_windows
from nblayers.learn.trace import Entry, symbols, trace

SAMPLES = 4                             # of a batch are shown, fewer where a page would grow too large
BUDGET = 150_000                        # numbers on a page, 800 kB as text
LARGEST = 100_000                       # numbers of one value for one sample
ENDS = {"x", "y", "dx", "dy"}
OF_WEIGHTS = r"\frac{\partial L}"         # what a trace writes of their gradients
READ_AS = re.compile(r"(?:_by_channel\(|self\.)(\w+)(?:\)|\.value)")      # what code needs and a name does not
PRODUCT = re.compile(r"\\quad\s*=")


def view(recorded: trace, layer: str | None = None, title: str | None = None, samples: int = SAMPLES,
         labels: Sequence[str] = ()) -> dict[str, Any]:
    """The view of a trace.

    Arguments:
        layer: only this one and those inside it, by its name.
        title: by default what the layers are called.
        samples: so many of the batch at most.
        labels: what stands at each time step of the first sample, such as a character.

    Raises:
        ValueError: there is nothing to show.
    """
    entries, extras = steps(recorded, layer)
    batch = _batch(entries)
    kept = min(samples, batch)
    builder = _Builder(entries, extras, batch, kept)
    while kept > 1 and (builder.is_cut or builder.pool.size > BUDGET):
        kept //= 2
        builder = _Builder(entries, extras, batch, kept)
    while builder.pool.size > BUDGET and len((fewer := fewer_windows(entries, extras))[0]) < len(entries):
        entries, extras = fewer
        builder = _Builder(entries, extras, batch, kept)
    shown = builder.plain(title or ", ".join(dict.fromkeys(entry.layer.split("/")[0] for entry in entries if entry.layer)))
    for one in shown["layers"]:
        one["masked"] = _masked(recorded, one["path"], kept) if one["times"] else []
    return {**shown, "labels": list(labels), "left_out": [*_left_out(recorded, layer), *_windows_left_out(entries, extras)]}


def steps(recorded: trace, layer: str | None = None) -> tuple[list[Entry], list[Extra]]:
    """What a view of a trace has a step for, and what the steps have besides.

    Raises:
        ValueError: there is nothing.
    """
    everything = [_in_shape(entry, recorded.entries[i + 1:i + 4]) for i, entry in enumerate(recorded.entries)]
    entries = [entry for entry in everything if _is_shown(entry) and entry.is_of(layer)]
    if not entries:
        names = sorted({part for entry in recorded.entries for part in entry.layer.split("/") if part})
        raise ValueError("microscope: the trace is empty" if layer is None or not names else
                         f"microscope: no layer is called {layer!r}; there are {', '.join(names)}")
    return with_windows([entry for entry in entries if not _is_large(entry)] or entries, everything)


def _in_shape(entry: Entry, after: Sequence[Entry]) -> Entry:
    """What an activation's kernel, which sees a row of numbers, has computed, in the layer's shape and by the layer's name.

    Inside a layer an activation's dx is what the layer calls dz.
    """
    if not entry.function or "." in entry.function or entry.value.ndim != 1:
        return entry
    shaped = (one for one in after if (one.layer, one.phase, one.call) == (entry.layer, entry.phase, entry.call)
              and one.value.ndim > 1 and np.array_equal(one.value.ravel(), entry.value, equal_nan=one.value.dtype.kind in "fc"))
    found = next(shaped, None)
    if found is None:
        return entry
    def like(value: np.ndarray) -> np.ndarray:
        return value.reshape(found.shape) if value.size == entry.value.size else value
    return replace(entry, name=found.name, value=like(entry.value),
                   parts=tuple(replace(part, value=like(part.value)) for part in entry.parts),
                   operands={name: like(value) for name, value in entry.operands.items()})


def _is_large(entry: Entry) -> bool:
    """Whether a value is too large for a page: a weight's gradient, or one sample of another."""
    is_weight = entry.formula.startswith(OF_WEIGHTS)
    return entry.value.size // (1 if is_weight or entry.value.ndim < 2 else entry.shape[0]) > LARGEST


def _left_out(recorded: trace, layer: str | None) -> list[str]:
    """What was too large, by name and shape."""
    return list(dict.fromkeys(f"{entry.layer} {entry.name} {entry.shape}" for entry in recorded.entries if _is_shown(entry)
                              and _is_large(entry) and entry.is_of(layer)))


def _windows_left_out(entries: Sequence[Entry], extras: Sequence[Extra]) -> list[str]:
    """The windows that have no steps of their own."""
    there = [((entry.layer, entry.call, entry.name), extra.window[1]) for entry, extra in zip(entries, extras, strict=True)
             if extra.window]
    return [f"{layer} {name}: {count - shown} of {count} windows"
            for ((layer, _, name), count), shown in Counter(there).items() if shown < count]


def _is_shown(entry: Entry) -> bool:
    """What a line computed, what goes in and comes out, gradients, and notes; not what else a cache holds."""
    bare = entry.name.partition("[")[0]
    return bool(entry.equation or entry.formula or bare in ENDS or (entry.phase == "backward" and bare.startswith("d")))


def _masked(recorded: trace, path: str, samples: int) -> list[list[int]]:
    """Of each shown sample of a recurrent layer the time steps that its mask leaves out; [] without a mask."""
    masks = (entry.value for entry in recorded.entries if (entry.layer, entry.phase, entry.name) == (path, "forward", "mask"))
    found = next((mask for mask in masks if mask.ndim == 2), None)
    return [] if found is None else [np.flatnonzero(row == 0).tolist() for row in found[:samples]]


def _batch(entries: Sequence[Entry]) -> int:
    """How many samples there are."""
    return next((entry.shape[0] for entry in entries if entry.value.ndim > 1), 1)


class _Builder:
    """Collects what the steps have in common, once each, and their numbers."""

    def __init__(self, entries: Sequence[Entry], extras: Sequence[Extra], batch: int, samples: int) -> None:
        self.precise = any(reaches_farther(entry.value) for entry in entries)
        self.pool = Pool(self.precise)
        self.samples, self.batch = samples, batch
        self._entries, self._extras = entries, extras
        self._trees = [extra.tree or numbers.resolved(_tree(entry.source), entry.operands)
                       for entry, extra in zip(entries, extras, strict=True)]
        self._weights = {entry.name[1:] for entry in entries if entry.formula.startswith(OF_WEIGHTS)}
        self._weights |= {entry.name[1:] for entry, extra in zip(entries, extras, strict=True) if extra.of_weights}
        self._weights |= {"gamma", "beta", "kernel"}
        self._forward = {(entry.layer, entry.phase, entry.name) for entry in entries if entry.phase == "forward"}
        self._of_batches = {entry.layer for entry in entries if networks.kind_of(entry) == "batch_norm"}
        self._values = [self.pool.put(self._chosen(entry, entry.name, entry.value)) for entry in entries]
        self._parts = [[-1] * len(entry.parts) for entry in entries]
        self._part_trees: list[list[Any]] = [[None] * len(entry.parts) for entry in entries]
        self._operands: list[dict[str, int]] = [{} for _ in entries]
        self.is_cut = False             # whether operands were left out
        self._add_parts()
        self._add_operands()

    def _chosen(self, entry: Entry, name: str, value: np.ndarray) -> np.ndarray:
        """The samples of a value that are shown."""
        return value[:self.samples] if self._is_batched(entry, name, value) else value

    def _is_batched(self, entry: Entry, name: str, value: np.ndarray) -> bool:
        """Whether a value has a row for each sample; a weight has not, though it may have as many rows.

        Of a batch that is normalised all samples are shown, one below the other. What attention computes sample by sample
        has a row for each query.
        """
        if entry.layer in self._of_batches or "b" in entry.where:
            return False
        root = re.split(r"[._\[]", name.removeprefix("self."))[0]
        bare = root[1:] if root.startswith("d") and len(root) > 1 else root
        is_weight = {bare, name[1:]} & self._weights or bare[:1].isupper() or (bare == "b" and value.ndim == 1)
        return value.ndim > 0 and value.shape[0] == self.batch and not is_weight

    def _add_parts(self) -> None:
        """Add what the parts are, or what the page computes them from, whichever is less.

        All steps of an operation have the one or the other.
        """
        for group in self._groups(lambda i, entry: [(k, part) for k, part in enumerate(entry.parts)]):
            trees = [numbers.parts(self._entries[i], self._trees[i])[k] for i, (k, _) in group]
            values = [self._chosen(self._entries[i], self._entries[i].name, part.value) for i, (_, part) in group]
            needed = [[(name, self._chosen(self._entries[i], name, self._entries[i].operands[name]))
                       for name in numbers.operands(found)] for (i, _), found in zip(group, trees, strict=True)]
            operands_cost = self.pool.cost(value for one in needed for _, value in one)
            computed = None not in trees and operands_cost < self.pool.cost(values)
            for (i, (k, _)), value, operands, found in zip(group, values, needed, trees, strict=True):
                if computed:
                    self._operands[i] |= {name: self.pool.put(array) for name, array in operands}
                self._parts[i][k] = -1 if computed else self.pool.put(value)
                self._part_trees[i][k] = found if computed else None

    def _add_operands(self) -> None:
        """Add the operands for the formulas with numbers, small ones first, as long as there is room."""
        groups = self._groups(lambda i, entry: [(name, entry.operands[name]) for name in numbers.operands(self._trees[i])
                                                if name in entry.operands and name not in self._operands[i]])
        chosen = [[(i, name, self._chosen(self._entries[i], name, value)) for i, (name, value) in group] for group in groups]
        for group in sorted(chosen, key=lambda group: self.pool.cost(value for _, _, value in group)):
            cost = self.pool.cost(value for _, _, value in group)
            if not cost or self.pool.size + cost <= BUDGET:
                for i, name, value in group:
                    self._operands[i][name] = self.pool.put(value)
            else:
                self.is_cut = True

    def _groups(self, find: Callable[[int, Entry], list[tuple[Any, Any]]]) -> list[list[tuple[int, tuple[Any, Any]]]]:
        """What `find` finds in all entries, as (number of the entry, (key, value)), grouped by layer, line and key."""
        groups: dict[tuple, list[tuple[int, tuple[Any, Any]]]] = {}
        for i, entry in enumerate(self._entries):
            for key, value in find(i, entry):
                groups.setdefault((entry.layer, entry.path, entry.line, key), []).append((i, (key, value)))
        return list(groups.values())

    def plain(self, title: str) -> dict[str, Any]:
        """All of it."""
        tables: dict[str, _Table] = {name: _Table() for name in ("layers", "formulas", "functions", "operations", "panels")}
        pictures = _Pictures(self._entries)
        steps = []
        for i, entry in enumerate(self._entries):
            operation = self._operation(i, tables, pictures)
            steps.append([tables["operations"].index(operation), -1 if entry.t is None else entry.t, self._values[i],
                          self._parts[i], [self._operands[i].get(name, -1) for name in operation["operands"]]])
        for step, extra, entry in zip(steps, self._extras, self._entries, strict=True):
            place = "window {} of {}".format(*extra.window) if extra.window else networks.place(entry)
            if extra.marks or extra.focus or place:
                step += [_marks(extra, entry, tables["layers"].rows, tables["panels"].rows, self.samples), extra.focus, place]
        layers = [pictures.layer(path) for path in tables["layers"].rows]
        return {"version": 1, "title": title, "samples": self.samples, "batch": self.batch, "layers": layers,
                "pictures": pictures.rows, "formulas": tables["formulas"].rows, "functions": tables["functions"].rows,
                "panels": tables["panels"].rows, "operations": tables["operations"].rows, "steps": steps,
                "precise": self.precise, "changed": self.pool.changed, "numbers": self.pool.text()}

    def _operation(self, i: int, tables: "dict[str, _Table]", pictures: "_Pictures") -> dict[str, Any]:
        """What the steps that do the same have in common."""
        entry, extra, operands, part_trees = self._entries[i], self._extras[i], self._operands[i], self._part_trees[i]
        layer, kind = tables["layers"].index(entry.layer), pictures.kind(entry.layer)
        label = tables["formulas"].index(mathml(_label(entry)))
        batched = self._is_batched(entry, entry.name, entry.value)
        shape = list(self._chosen(entry, entry.name, entry.value).shape)
        panel = {"layer": layer, "phase": entry.phase, "name": entry.name, "label": label,
                 "words": self._words(kind, entry), "over_time": entry.t is not None,
                 "turned": extra.turned or _is_turned(entry, kind), "planes": extra.planes, "shape": shape[batched:],
                 "axes": extra.axes or networks.axes(kind, entry.name, shape[:1] == [self.batch])}
        return {
            "panel": tables["panels"].index(panel), "shape": shape, "batched": batched, "equation": entry.equation,
            "formula": tables["formulas"].index(mathml(PRODUCT.sub("=", entry.formula))) if entry.formula else -1,
            "tree": self._trees[i], "blank": extra.blank, "operands": list(operands),
            "operand_shapes": [list(self._chosen(entry, name, entry.operands[name]).shape) for name in operands],
            "operands_batched": [self._is_batched(entry, name, entry.operands[name]) for name in operands],
            "parts": [{"by": _by(part.by, kind), "formula": tables["formulas"].index(mathml(part.formula)),
                       "shape": list(self._chosen(entry, entry.name, part.value).shape), "tree": found}
                      for part, found in zip(entry.parts, part_trees, strict=True)],
            "code": self._code(entry, tables), "light": pictures.light(entry)}

    def _words(self, kind: str, entry: Entry) -> str:
        """What an entry is; of what a backward computes once more, instead of keeping it, this too."""
        words, key = networks.words(kind, entry.name), (entry.layer, "forward", entry.name)
        again = entry.phase == "backward" and key in self._forward
        return f"{words or entry.name}, computed again" if again else words

    def _code(self, entry: Entry, tables: "dict[str, _Table]") -> list[int] | None:
        """The function that a line stands in, and which of the function's lines it is, from 0."""
        if not entry.path:
            return None
        first, lines = _function(entry.path, entry.function)
        shown = {"path": _short(entry.path), "name": entry.function, "first": first, "lines": lines}
        return [tables["functions"].index(shown), entry.line - first]


def _marks(extra: Extra, entry: Entry, layers: list[str], panels: list[dict], samples: int) -> list[list]:
    """What a step outlines: the panel, rows, columns, the channel, -1 for all, and the sample, -1 for all."""
    found = []
    for mark in extra.marks:
        if mark.sample is not None and mark.sample >= samples:
            continue
        of_name = [i for i, panel in enumerate(panels) if (layers[panel["layer"]], panel["phase"], panel["name"])
                   == (entry.layer, mark.phase, mark.name)]
        rows, columns = list(map(int, mark.rows)), list(map(int, mark.columns))
        channel, sample = (-1 if one is None else one for one in (mark.channel, mark.sample))
        found += [[i, rows, columns, channel, sample] for i in of_name[-1:]]
    return found


class _Table:
    """Rows, each there once."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self._known: dict[str, int] = {}

    def index(self, row: Any) -> int:
        key = repr(row)
        if key not in self._known:
            self._known[key] = len(self.rows)
            self.rows.append(row)
        return self._known[key]


class _Pictures:
    """The pictures of the layers: which of them there are, and what an entry lights in its layer's."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._kinds: dict[str, str] = {}
        self._walks: dict[str, list[int]] = {}
        self._names: dict[str, set[str]] = {}
        for entry in entries:
            if kind := networks.kind_of(entry):
                self._kinds.setdefault(entry.layer, kind)
            if entry.t is not None and entry.phase == "forward":
                self._walks.setdefault(entry.layer, []).append(entry.t)
        for entry in entries:
            names = self._names.setdefault(entry.layer, set())
            if entry.phase == "forward":
                names.add(networks.node_of(self.kind(entry.layer), entry.name))
        self.rows: list[dict] = []
        self._graphs = {kind: found for kind in dict.fromkeys(self._kinds.values()) if (found := networks.picture(kind))}
        self.rows = [networks.plain(found, kind) for kind, found in self._graphs.items()]

    def kind(self, path: str) -> str:
        return self._kinds.get(path, "")

    def layer(self, path: str) -> dict[str, Any]:
        """A layer: its kind and picture, how many time steps it has, and whether it walks from the last to the first."""
        kind, walk = self.kind(path), self._walks.get(path, [])
        return {"path": path, "kind": kind, "picture": list(self._graphs).index(kind) if kind in self._graphs else -1,
                "times": max(walk) + 1 if walk and kind in networks.RECURRENT else 0,
                "backwards": bool(walk) and walk[0] > walk[-1]}

    def light(self, entry: Entry) -> dict[str, Any] | None:
        found = self._graphs.get(self.kind(entry.layer))
        if found is None:
            return None
        light = networks.light(found, self.kind(entry.layer), entry, self._names[entry.layer])
        return {"node": light.node, "gets": light.gets, "gives": light.gives} if light.node else None


@functools.cache
def _tree(source: str) -> Any:
    return numbers.tree(source)


def _label(entry: Entry) -> str:
    """An entry's name as LaTeX: dx[0] is dx_0."""
    name, _, place = entry.name.partition("[")
    shown = symbols.name(name)
    return f"{{{shown}}}_{{{place[:-1]}}}" if place else shown


def _by(by: str, kind: str) -> str:
    """Through what a part comes, with its name in words."""
    by = READ_AS.sub(r"\1", by).replace("np.where(m, through, 0)", "mean and variance").replace(" * ", " · ")
    words = networks.words(kind, by.removesuffix(" of the step after"))
    return f"{by} ({words})" if words else by


def _is_turned(entry: Entry, kind: str) -> bool:
    """Whether a value (T, columns) is shown with its time to the right, as all that has time steps."""
    return kind in networks.RECURRENT and entry.t is None and entry.name.partition("[")[0] in ENDS and entry.value.ndim == 3


@functools.cache
def _function(path: str, name: str) -> tuple[int, list[str]]:
    """The first line of a function, and its lines without their indent; of no function, of the whole file."""
    text = Path(path).read_text(encoding="utf-8")
    node: Any = ast.parse(text)
    for part in name.split("."):
        inner = [one for one in ast.walk(node) if isinstance(one, (ast.FunctionDef, ast.ClassDef)) and one.name == part]
        node = inner[0] if inner else node
    lines = text.split("\n")
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", len(lines))
    shown = lines[first - 1:last]
    indent = min((len(line) - len(line.lstrip()) for line in shown if line.strip()), default=0)
    return first, [re.sub(r"\s{3,}# ", "    # ", line[indent:]) for line in shown]


def _short(path: str) -> str:
    """A path as it stands in the repository, or the file's name alone: pages are given away, and tell no one's folders."""
    parts = Path(path).parts
    for root in ("kernels", "nblayers"):
        if root in parts:
            return "/".join(parts[len(parts) - 1 - parts[::-1].index(root):])
    return parts[-1]
