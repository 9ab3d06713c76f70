"""Stepping through a lesson, without any user interface: run a step, look at something, go back exactly."""
import __future__

import ast
import builtins
import contextlib
import dataclasses
import inspect
import itertools
import linecache
import sys
import traceback
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nblayers.learn import calls, memory
from nblayers.learn.calls import CannotGo, Frame
from nblayers.learn.script import Script, Step, body_of, turns

MOST_BYTES = 1 << 30                    # of arrays kept for going back; beyond it the oldest steps cannot be gone back to
MOST_TURNS = 1000                       # of a loop that is stepped into


class LessonError(Exception):
    """A step of the lesson raised `error` on `line`; the state is that before the step."""

    def __init__(self, step: Step, error: Exception, filename: str) -> None:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
        self.step, self.error = step, error
        self.line = (frames[-1].lineno if frames else None) or step.line
        super().__init__(f"line {self.line}: {type(error).__name__}: {error}")


@dataclass(frozen=True)
class Change:
    """A variable that a step made, bound to something else, or changed in place."""

    name: str
    value: Any
    in_place: bool


@dataclass(frozen=True)
class Experiment:
    """What the learner typed after `position` steps, and which of the lesson's variables it changed."""

    position: int
    text: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Moment:
    """What `back` needs of the time before a step."""

    snapshot: memory.Snapshot | None
    steps: list[Step]
    frames: tuple[Frame, ...]


class Session:
    """A lesson on its way.

    Attributes:
        steps: all steps; those of a loop or a function that was stepped into stand unrolled.
        position: how many of them have been run.
        own: the lesson's own steps, unrolled nowhere. Their numbers, from 1, are those that a learner sees.
        namespace: the lesson's variables.
        frames: the functions that were stepped into and have not returned.
        changed: what the last step changed.
        value: the value of the last step if it was a bare expression, else None.
        experiments: what the learner has changed of the lesson's variables, and has not taken back.
    """

    def __init__(self, script: Script, arguments: Sequence[str] = ()) -> None:
        self.script = script
        self.arguments = list(arguments)
        self.steps = script.steps()
        self.own = tuple(self.steps)
        self.position = 0
        self.changed: list[Change] = []
        self.value: Any = None
        self._module = types.ModuleType("__main__")
        self._module.__file__ = self._filename = str(script.path)
        self.namespace = vars(self._module)
        self.frames: tuple[Frame, ...] = ()
        self.returned: str = ""                         # the function that the last step came back from
        self.left_out: dict[int, list[ast.stmt]] = {}   # what was skipped, by position
        self.experiments: list[Experiment] = []
        self._past: list[_Moment] = []
        self._now: memory.Snapshot | None = None        # the state as it is, while nothing has run since
        self._latest: memory.Snapshot | None = None     # the last that was taken; the next shares with it what is equal
        self._before_entering: dict[int, tuple[list[Step], tuple[Frame, ...]]] = {}
        self._flags = _future_flags(script)

    @contextlib.contextmanager
    def as_main(self) -> Iterator["Session"]:
        """While inside, the lesson is `__main__` and sees its own options in `sys.argv`, as if run by Python itself."""
        kept = sys.modules["__main__"], sys.argv, list(sys.path)
        sys.modules["__main__"] = self._module
        sys.argv = [self._filename, *self.arguments]
        sys.path.insert(0, str(self.script.path.resolve().parent))
        try:
            yield self
        finally:
            sys.modules["__main__"], sys.argv, sys.path[:] = kept

    @property
    def upcoming(self) -> Step | None:
        """The step that `next` would run."""
        return self.steps[self.position] if self.position < len(self.steps) else None

    @property
    def here(self) -> dict[str, Any]:
        """The variables at hand: the lesson's, or those of the function that was stepped into."""
        return self.frames[-1].namespace if self.frames else self.namespace

    @property
    def entry(self) -> str:
        """What `enter` would step into: "the loop", a function as "forward()", or "" for nothing."""
        step = self.upcoming
        if step is None or step.can_be_entered:
            return "" if step is None else "the loop"
        try:
            return f"{self._call(step).name}()"
        except CannotGo:
            return ""

    def own_position(self, position: int | None = None) -> int:
        """How many of the lesson's own steps are over after `position` steps, by default now.

        All that a loop or a function was unrolled into belongs to one step of the lesson, which is over at its end.
        """
        position = self.position if position is None else position
        return self.steps[position].number if position < len(self.steps) else len(self.own)

    def place_of(self, own: int) -> int:
        """The `position` at which `own` of the lesson's own steps are over: that before the next one begins."""
        return next((i for i, step in enumerate(self.steps) if step.number >= own), len(self.steps))

    def is_own(self, step: Step) -> bool:
        """Whether this is a whole step of the lesson, not a part of one that was stepped into."""
        return step is self.own[step.number]

    def next(self) -> Step | None:
        """Run one step and return it; None at the end.

        Raises:
            LessonError: the step failed; nothing has changed.
            KeyboardInterrupt: the step was interrupted; nothing has changed.
        """
        step = self.upcoming
        if step is None:
            return None
        before, here, moment = self._snapshot(), self.here, self._moment()
        returned = None
        try:
            self.value = self.execute(step.nodes)
        except calls.Returned as caught:
            returned = caught
        except BaseException as error:
            if before is not None:
                memory.restore(before)
            if isinstance(error, Exception):
                raise LessonError(step, error, self._filename) from error
            raise
        self._past.append(moment)
        self.position += 1
        self._now = None
        self.changed = self._changes(before, here)
        self._leave_function(step, returned)
        self._forget()
        return step

    def _moment(self) -> _Moment:
        steps, frames = self._before_entering.pop(self.position, (self.steps, self.frames))
        return _Moment(self._snapshot(), steps, frames)

    def _leave_function(self, step: Step, returned: calls.Returned | None) -> None:
        """After a step: hand the value to the caller if the function it stood in is over."""
        self.returned = ""
        after = self.upcoming
        if returned is None and (after is None or after.depth >= step.depth):
            return
        rest = self.steps[self.position:]
        over = next(i for i, later in enumerate(rest) if later.depth < step.depth)
        self.steps = [*self.steps[:self.position], *rest[over:]]
        frame = self.frames[-1]
        self.frames = self.frames[:-1]
        self.returned, self.value = frame.name, returned.value if returned else None
        self.here[frame.result] = self.value
        self._now = None

    def seconds_of(self, step: Step) -> float | None:
        """How long a step took the last time; None if that is not known."""
        return None

    def skip(self) -> Step | None:
        """Leave out the upcoming step and return it; None at the end. Of imports, only those are left out that fail."""
        step = self.upcoming
        if step is None:
            return None
        self._past.append(self._moment())
        missing = [node for node in step.nodes if not (step.is_set_up and self._works(node))]
        self.left_out[self.position] = missing
        self.position += 1
        self._now, self.changed, self.value = None, [], None
        self._leave_function(step, None)
        return step

    def _works(self, node: ast.stmt) -> bool:
        try:
            self.execute([node])
        except Exception:
            return False
        return True

    def missing(self, name: str) -> ast.stmt | None:
        """The statement that would have made the variable `name`, if it was left out."""
        for nodes in self.left_out.values():
            for node in nodes:
                if name in _names_made(node):
                    return node
        return None

    def back(self, position: int | None = None) -> list[str]:
        """Return to the state before the last step, or to that in which `position` steps had been run.

        Returns what could not be put back, in words: an open file, a drawing.

        Raises:
            CannotGo: the lesson is at its start, or its data were too large to be remembered.
        """
        position = self.position - 1 if position is None else position
        if not 0 <= position < self.position:
            raise CannotGo("this is the start of the lesson")
        moment = self._past[position]
        snapshot = moment.snapshot
        if snapshot is None:
            raise CannotGo("the lesson's data are too large to be kept for every step: going back from here is not possible")
        undone = self.steps[position:self.position]
        memory.restore(snapshot)
        del self._past[position:]
        self.position, self.steps, self.frames = position, moment.steps, moment.frames
        self._now = self._latest = snapshot
        self._before_entering.clear()
        self.left_out = {at: nodes for at, nodes in self.left_out.items() if at < position}
        self.experiments = [experiment for experiment in self.experiments if experiment.position <= position]
        self.changed, self.value, self.returned = [], None, ""
        return self._not_restored(undone)

    def enter_loop(self) -> int:
        """Unroll the upcoming `for` loop so that its turns are run one statement at a time; return how many there are.

        Raises:
            CannotGo: the upcoming step is no loop, or none that can be unrolled.
            LessonError: what the loop runs over raised an error.
        """
        step = self.upcoming
        if step is None or not isinstance(step.nodes[0] if step.nodes else None, ast.For):
            raise CannotGo("the next step is not a for loop")
        if not step.can_be_entered:
            raise CannotGo("this loop has a break, continue or else: it can only be run as a whole")
        loop = step.nodes[0]
        assert isinstance(loop, ast.For)
        try:
            found = self._evaluate(loop.iter)
            items = list(itertools.islice(found, MOST_TURNS + 1))
        except Exception as error:
            raise LessonError(step, error, self._filename) from error
        if not items:
            raise CannotGo("this loop has no turns: it runs over nothing")
        if len(items) > MOST_TURNS:
            raise CannotGo(f"this loop has more than {MOST_TURNS} turns: it can only be run as a whole")
        self._before_entering.setdefault(self.position, (self.steps, self.frames))
        self.here[f"__items_{loop.lineno}__"] = items
        self._now = None
        unrolled = turns(step, len(items), self.script.source)
        self.steps = [*self.steps[:self.position], *unrolled, *self.steps[self.position + 1:]]
        return len(items)

    def enter_function(self) -> tuple[str, str]:
        """Unroll the first call of a function of the lesson; return the function's name and its first lines.

        Its statements are steps of their own. The step that calls it follows them.

        Raises:
            CannotGo: the upcoming step calls none, or none that can be unrolled.
            LessonError: its arguments raised an error.
        """
        step = self.upcoming
        if step is None:
            raise CannotGo("this is the end of the lesson")
        target = self._call(step)
        if target.index:                                # other statements of the step come first
            self._split(step, target.index)
            self.next()
            step = self.steps[self.position]
        try:
            frame = calls.new_frame(target, self._evaluate(calls.arguments_of(target.call)))
        except Exception as error:
            raise LessonError(step, error, self._filename) from error
        first, *others = step.nodes
        again = dataclasses.replace(step, nodes=(calls.with_value(first, target.call, frame.result), *others))
        head, body = body_of(calls.without_return(target.definition), step, self.script.source)
        self._before_entering.setdefault(self.position, (self.steps, self.frames))
        self.steps = [*self.steps[:self.position], *body, again, *self.steps[self.position + 1:]]
        self.frames = (*self.frames, frame)
        self._now = None
        arguments = [name for name in inspect.signature(target.function).parameters if name in frame.namespace]
        self.changed = [Change(name, frame.namespace[name], False) for name in arguments]
        return target.name, head

    def _call(self, step: Step) -> calls.Target:
        definitions = [node for cell in self.script.cells for node in cell.nodes]
        return calls.find(step.nodes, self.here, definitions, self._filename)

    def _split(self, step: Step, count: int) -> None:
        """Make two steps of the upcoming one, the first with `count` of its statements."""
        self._before_entering.setdefault(self.position, (self.steps, self.frames))
        parts = [dataclasses.replace(step, nodes=nodes) for nodes in (step.nodes[:count], step.nodes[count:])]
        self.steps = [*self.steps[:self.position], *parts, *self.steps[self.position + 1:]]

    def look(self, text: str) -> Any:
        """The value of an expression; a statement is run (an experiment: `back` undoes it with the step before) and gives None.

        Raises:
            whatever the text raises.
        """
        before, known = self._snapshot(), {*self.here, *vars(builtins)}
        self._now = None
        name = typed_file(text)
        try:
            code = compile(text, name, "eval", self._flags, True)
        except SyntaxError:
            code = compile(text, name, "exec", self._flags, True)
        try:
            return eval(code, self.here)
        finally:                                        # what raises an error may have changed something before
            self.changed = self._changes(before, self.here)
            names = tuple(change.name for change in self.changed if change.name in known)
            if names:
                self.experiments.append(Experiment(self.position, text, names))

    @contextlib.contextmanager
    def trial(self) -> Iterator[dict[str, Any]]:
        """While inside, anything may be done with the variables; afterwards they are what they were."""
        before, names = self._snapshot(), dict(self.namespace)
        try:
            yield self.namespace
        finally:
            if before is not None:
                memory.restore(before)
            else:                                       # too much to remember: at least the names
                self.namespace.clear()
                self.namespace.update(names)

    def run_typed(self, nodes: list[ast.stmt], filename: str) -> None:
        """Run what the learner typed, without remembering anything."""
        exec(compile(ast.Module(nodes, []), filename, "exec", self._flags, True), self.namespace)

    def failed(self, step: Step, error: Exception) -> LessonError:
        """The error of a step of the lesson."""
        return LessonError(step, error, self._filename)

    def next_with(self, own: Mapping[str, Any]) -> Step | None:
        """Run a step that the learner wrote; return it.

        Arguments:
            own: what is bound afterwards: functions in the place of the step's own, and new names.

        Raises:
            LessonError, KeyboardInterrupt: as in `next`.
        """
        step = self.next()
        self.namespace.update(own)
        self._now = None
        names = [change.name for change in self.changed]
        self.changed = [Change(change.name, self.namespace[change.name], change.in_place) for change in self.changed]
        self.changed += [Change(name, value, False) for name, value in own.items() if name not in names]
        return step

    def execute(self, nodes: Sequence[ast.stmt]) -> Any:
        """Run statements without remembering anything; the value of the last one if it is an expression."""
        last = nodes[-1] if nodes else None
        body = list(nodes[:-1]) if isinstance(last, ast.Expr) else list(nodes)
        if body:
            exec(compile(ast.Module(body, []), self._filename, "exec", self._flags, True), self.here)
        return self._evaluate(last.value) if isinstance(last, ast.Expr) else None

    def _evaluate(self, node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), self._filename, "eval", self._flags, True), self.here)

    def _snapshot(self) -> memory.Snapshot | None:
        """The state as it is, unless it is too large."""
        if self._now is None:
            roots = [self.namespace, *(frame.namespace for frame in self.frames), *memory.shared_state()]
            try:
                self._now = self._latest = memory.take(roots, self._latest)
            except memory.TooLarge:
                return None
        return self._now

    def _changes(self, before: memory.Snapshot | None, here: dict[str, Any]) -> list[Change]:
        """What is bound or changed in the variables `here` since `before`."""
        after = self._snapshot()
        if before is None or after is None or id(here) not in before.contents:
            return []
        old = before.contents[id(here)][1]
        names = [name for name in here if not name.startswith("__")]
        bound = [name for name in names if name not in old or old[name] is not here[name]]
        return [Change(name, here[name], name not in bound) for name in names
                if name in bound or memory.changed(before, after, here[name])]

    def _forget(self) -> None:
        """Give up the oldest snapshots when their arrays take too much memory."""
        if len(self._past) % 8:
            return
        sizes: dict[int, int] = {}
        for i in range(len(self._past) - 1, -1, -1):
            snapshot = self._past[i].snapshot
            if snapshot is None:
                break
            sizes.update(snapshot.arrays())
            if sum(sizes.values()) > MOST_BYTES:
                self._past[:i + 1] = [dataclasses.replace(moment, snapshot=None) for moment in self._past[:i + 1]]
                break

    def _not_restored(self, undone: list[Step]) -> list[str]:
        used = {node.id for step in undone for part in step.nodes for node in ast.walk(part) if isinstance(node, ast.Name)}
        found = {name: memory.cannot_restore(self.namespace[name]) for name in sorted(used) if name in self.namespace}
        return [f"{name} ({what})" for name, what in found.items() if what]


def _future_flags(script: Script) -> int:
    """The compiler flags of `from __future__ import …` in the lesson, which each of its steps needs."""
    imports = [node for cell in script.cells for node in cell.nodes
               if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    return sum({getattr(__future__, alias.name).compiler_flag for node in imports for alias in node.names})


def typed_file(text: str) -> str:
    """A file name for code that was typed, under which `inspect` finds its source."""
    name = f"<typed {next(_typed)}>"
    linecache.cache[name] = (len(text), None, [f"{line}\n" for line in text.split("\n")], name)
    return name


_typed = itertools.count(1)


def _names_made(node: ast.stmt) -> set[str]:
    """The variables that a statement binds."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
