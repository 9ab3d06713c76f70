"""Stepping through a lesson, without any user interface: run a step, look at something, go back exactly."""
import __future__

import ast
import contextlib
import itertools
import sys
import traceback
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nblayers.learn import memory
from nblayers.learn.script import Script, Step, turns

MOST_BYTES = 1 << 30                    # of arrays kept for going back; beyond it the oldest steps cannot be gone back to
MOST_TURNS = 1000                       # of a loop that is stepped into


class LessonError(Exception):
    """A step of the lesson raised `error` on `line`; the state is that before the step."""

    def __init__(self, step: Step, error: Exception, filename: str) -> None:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
        self.step, self.error = step, error
        self.line = (frames[-1].lineno if frames else None) or step.line
        super().__init__(f"line {self.line}: {type(error).__name__}: {error}")


class CannotGo(Exception):
    """A step back or a step into a loop that is not possible, and why."""


@dataclass(frozen=True)
class Change:
    """A variable that a step made, bound to something else, or changed in place."""

    name: str
    value: Any
    in_place: bool


class Session:
    """A lesson on its way.

    Attributes:
        steps: all steps; those of a loop that was stepped into stand unrolled.
        position: how many of them have been run.
        namespace: the lesson's variables.
        changed: what the last step changed.
        value: the value of the last step if it was a bare expression, else None.
    """

    def __init__(self, script: Script, arguments: Sequence[str] = ()) -> None:
        self.script = script
        self.arguments = list(arguments)
        self.steps = script.steps()
        self.position = 0
        self.changed: list[Change] = []
        self.value: Any = None
        self._module = types.ModuleType("__main__")
        self._module.__file__ = self._filename = str(script.path)
        self.namespace = vars(self._module)
        self._past: list[tuple[memory.Snapshot | None, list[Step]]] = []
        self._now: memory.Snapshot | None = None        # the state as it is, while nothing has run since
        self._before_entering: dict[int, list[Step]] = {}
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

    def next(self) -> Step | None:
        """Run one step and return it; None at the end.

        Raises:
            LessonError: the step failed; nothing has changed.
            KeyboardInterrupt: the step was interrupted; nothing has changed.
        """
        step = self.upcoming
        if step is None:
            return None
        before = self._snapshot()
        try:
            self.value = self.execute(step.nodes)
        except BaseException as error:
            if before is not None:
                memory.restore(before)
            if isinstance(error, Exception):
                raise LessonError(step, error, self._filename) from error
            raise
        self._past.append((before, self._before_entering.pop(self.position, self.steps)))
        self.position += 1
        self._now = None
        self.changed = self._changes(before)
        self._forget()
        return step

    def skip(self) -> Step | None:
        """Leave out the upcoming step and return it; None at the end."""
        step = self.upcoming
        if step is not None:
            self._past.append((self._snapshot(), self.steps))
            self.position += 1
            self.changed, self.value = [], None
        return step

    def back(self, position: int | None = None) -> list[str]:
        """Return to the state before the last step, or to that in which `position` steps had been run.

        Returns what could not be put back, in words: an open file, a drawing.

        Raises:
            CannotGo: the lesson is at its start, or its data were too large to be remembered.
        """
        position = self.position - 1 if position is None else position
        if not 0 <= position < self.position:
            raise CannotGo("this is the start of the lesson")
        snapshot, steps = self._past[position]
        if snapshot is None:
            raise CannotGo("the lesson's data are too large to be kept for every step: going back from here is not possible")
        undone = self.steps[position:self.position]
        memory.restore(snapshot)
        del self._past[position:]
        self.position, self.steps, self._now = position, steps, snapshot
        self.changed, self.value = [], None
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
        if len(items) > MOST_TURNS:
            raise CannotGo(f"this loop has more than {MOST_TURNS} turns: it can only be run as a whole")
        self.namespace[f"__items_{loop.lineno}__"] = items
        self._now = None
        self._before_entering[self.position] = self.steps
        unrolled = turns(step, len(items), self.script.source)
        self.steps = [*self.steps[:self.position], *unrolled, *self.steps[self.position + 1:]]
        return len(items)

    def look(self, text: str) -> Any:
        """The value of an expression; a statement is run (an experiment: `back` undoes it with the step before) and gives None.

        Raises:
            whatever the text raises.
        """
        before = self._snapshot()
        self._now = None
        try:
            code = compile(text, "<typed>", "eval", self._flags, True)
        except SyntaxError:
            code = compile(text, "<typed>", "exec", self._flags, True)
        value = eval(code, self.namespace)
        self.changed = self._changes(before)
        return value

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
        """Run one step, then put the values in `own` in the place of its own; return it.

        An array that the step has changed in place is given the numbers and stays the same array.

        Raises:
            LessonError, KeyboardInterrupt: as in `next`.
        """
        old = dict(self.namespace)
        step = self.next()
        for name, value in own.items():
            made = self.namespace.get(name)
            in_place = name in old and old[name] is made
            if in_place and isinstance(made, np.ndarray) and made.flags.writeable:
                np.copyto(made, value)
            else:
                self.namespace[name] = value
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
            exec(compile(ast.Module(body, []), self._filename, "exec", self._flags, True), self.namespace)
        return self._evaluate(last.value) if isinstance(last, ast.Expr) else None

    def _evaluate(self, node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), self._filename, "eval", self._flags, True), self.namespace)

    def _snapshot(self) -> memory.Snapshot | None:
        """The state as it is, unless it is too large."""
        if self._now is None:
            before = next((snapshot for snapshot, _ in reversed(self._past) if snapshot is not None), None)
            try:
                self._now = memory.take([self.namespace, *memory.shared_state()], before)
            except memory.TooLarge:
                return None
        return self._now

    def _changes(self, before: memory.Snapshot | None) -> list[Change]:
        after = self._snapshot()
        if before is None or after is None:
            return []
        old = before.contents[id(self.namespace)][1]
        names = [name for name in self.namespace if not name.startswith("__")]
        bound = [name for name in names if name not in old or old[name] is not self.namespace[name]]
        return [Change(name, self.namespace[name], name not in bound) for name in names
                if name in bound or memory.changed(before, after, self.namespace[name])]

    def _forget(self) -> None:
        """Give up the oldest snapshots when their arrays take too much memory."""
        if len(self._past) % 8:
            return
        sizes: dict[int, int] = {}
        for i in range(len(self._past) - 1, -1, -1):
            snapshot = self._past[i][0]
            if snapshot is None:
                break
            sizes.update(snapshot.arrays())
            if sum(sizes.values()) > MOST_BYTES:
                self._past[:i + 1] = [(None, steps) for _, steps in self._past[:i + 1]]
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
