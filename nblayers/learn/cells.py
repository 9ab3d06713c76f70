"""The learner's turns in a notebook: what the cells of a generated notebook call.

They work on the variables of the notebook that calls them. A turn that was not filled in, or a guess, runs the lesson's own
line, so that a notebook runs from top to bottom whatever has been filled in.

Help comes in stages, one more at each answer that is wrong or not there: first what is wrong, or missing; then what would be
right in it, or what there is to make it of; then the lesson's line. To run all cells again is no new answer.
"""
import ast
import contextlib
import functools
import io
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nblayers.learn import catalogue, memory, script, turns
from nblayers.learn.script import Script, Step

OF_THE_NOTEBOOK = {"In", "Out", "get_ipython", "exit", "quit", "open"}


@dataclass
class _Begun:
    """The judged names as they were before a turn: the objects, and copies of what they held."""

    objects: dict[str, Any]
    copies: dict[str, Any]
    left: dict[str, Any] = field(default_factory=dict)          # what the check left under these names

    def is_untouched(self, values: dict[str, Any]) -> bool:
        return all(name in values and values[name] is self.objects[name] and turns.same(values[name], kept)
                   for name, kept in self.copies.items())

    def put_back(self, space: dict[str, Any]) -> None:
        for name, kept in self.copies.items():
            _put(space, name, self.objects[name], kept)


_begun: dict[tuple[str, str], _Begun] = {}
_shown: dict[tuple[str, str], dict[str, Any]] = {}      # what the lesson's line gave where nothing was filled in
_guesses: dict[tuple[str, str], Any] = {}
_tries: Counter[tuple[str, str]] = Counter()            # stages of help that were given since the last right answer
_latest: list[tuple[str, str]] = []                     # the turn that was checked last


def begin_turn(lesson: str, name: str) -> None:
    """Remember what the judged names hold, for a turn that changes them; the same cell run again begins there again."""
    space = sys._getframe(1).f_globals
    _, step = _find(lesson, name)
    assert step.question is not None
    before, now = _begun.get((lesson, name)), {key: space[key] for key in step.question.judged if key in space}
    if before is not None and (not before.left or all(now.get(key) is value for key, value in before.left.items())):
        before.put_back(space)
        before.left = {}
    else:
        _begun[lesson, name] = _Begun(now, {key: turns.copied(value) for key, value in now.items()})


def check_turn(lesson: str, name: str, *values: Any) -> None:
    """Say whether the values of the judged names are right; what is wrong with them if not.

    Arguments:
        lesson: its number, or the path of a script.
        name: of the turn: "do"; "do_2" for the second one.
        values: of the judged names, in order; `...` where nothing was filled in: then the lesson's own line is run.
    """
    space = sys._getframe(1).f_globals
    source, step = _find(lesson, name)
    assert step.question is not None
    got = dict(zip(step.question.judged, values, strict=True))
    begun = _begun.get((lesson, name))
    shown = _shown.pop((lesson, name), None)
    if shown is not None and all(got[key] is value for key, value in shown.items()):
        _shown[lesson, name] = shown
        _tell_missing(lesson, name, space)
        return
    if any(value is ... for value in values) or (begun is not None and begun.is_untouched(got)):
        _tell_missing(lesson, name, space)
        _run(step, space)
        _shown[lesson, name] = {key: space[key] for key in got}
    elif sentence := _judged(source, step, space, got, begun):
        _tell_wrong(lesson, name, sentence)
        if begun is not None:
            begun.put_back(space)
    else:
        _accept(step, space, got, begun)
        del _tries[lesson, name]
        _latest.clear()
        print("✓ Right.")
    if begun is not None:
        begun.left = {key: space[key] for key in got if key in space}


def _tell_missing(lesson: str, name: str, space: dict[str, Any]) -> None:
    """Say that nothing was filled in, and what the next stage of help is."""
    source, step = _find(lesson, name)
    assert step.question is not None
    stage, missing = _stage(lesson, name), f"{', '.join(step.question.judged)}: not filled in yet."
    if stage == 1:
        print(f"{missing} The notebook goes on with the lesson's line, which is folded below.")
        return
    found = turns.at_hand(step, turns.checks_after(step, source.steps()), space)
    print(missing, "At hand:", ", ".join(turns.variable_in_words(key, value) for key, value in found))
    if stage > 2:
        _show_line(step)


def _tell_wrong(lesson: str, name: str, sentence: str) -> None:
    """Say what is wrong: at first without what would be right, then with it, then with the lesson's line."""
    stage, verdict = _stage(lesson, name), turns.Verdict("wrong", sentence)
    print(f"✗ {verdict.first if stage == 1 else verdict.message}")
    if stage > 2:
        _show_line(_find(lesson, name)[1])


def _stage(lesson: str, name: str) -> int:
    """Which help is due: the next one, unless another turn was checked meanwhile, as when all cells are run again."""
    if not _tries[lesson, name] or _latest == [(lesson, name)]:
        _tries[lesson, name] += 1
    _latest[:] = [(lesson, name)]
    return _tries[lesson, name]


def _show_line(step: Step) -> None:
    print(f"The lesson's line:\n{textwrap.indent(step.source, '    ')}")


def keep_guess(lesson: str, name: str, guess: Any) -> None:
    """Keep a guess for `tell_guess`, and run the lesson's line, which holds the truth."""
    _, step = _find(lesson, name)
    with contextlib.redirect_stdout(io.StringIO()):
        _run(step, sys._getframe(1).f_globals)
    _guesses.pop((lesson, name), None)
    if guess is not ...:
        _guesses[lesson, name] = guess
        print("Kept. The lesson comes back to it.")


def tell_guess(lesson: str, name: str) -> None:
    """Hold the guess against the truth, if there was one."""
    truth = sys._getframe(1).f_globals[name]
    if (lesson, name) in _guesses:
        guess = _guesses[lesson, name]
        print(f"Your guess: {guess}. It is {truth}: {turns.held_against(guess, truth)}.")


@functools.cache
def _find(lesson: str, name: str) -> tuple[Script, Step]:
    """A lesson, and the step of its turn or guess."""
    source = script.read(catalogue.find(lesson))
    names = script.check_names(source)
    for step in source.steps():
        if names.get(step.line) == name or (step.question is not None and step.question.is_guess
                                            and step.question.judged[0] == name):
            return source, step
    raise LookupError(f"lesson {lesson} has no turn {name!r}")


def _run(step: Step, space: dict[str, Any]) -> None:
    exec(compile(ast.Module(list(step.nodes), []), "<lesson>", "exec"), space)


def _judged(source: Script, step: Step, space: dict[str, Any], got: dict[str, Any], begun: _Begun | None) -> str:
    """What is wrong, computed on a copy of the variables; what they lead to is put back."""
    own = {name: value for name, value in space.items() if not name.startswith("_") and name not in OF_THE_NOTEBOOK}
    own |= {"__name__": "__main__", "__builtins__": __builtins__}
    got = {name: turns.copied(value) for name, value in got.items()}
    snapshot = memory.take([own, *memory.shared_state()])
    try:
        own.update({name: turns.copied(value) for name, value in begun.copies.items()} if begun is not None else {})
        before = dict(own)
        with contextlib.redirect_stdout(io.StringIO()):
            _run(step, own)
        right = {name: turns.copied(own[name]) for name in got}
        return turns.judge(got, right, before, turns.find_check(source, step))
    finally:
        memory.restore(snapshot)


def _accept(step: Step, space: dict[str, Any], got: dict[str, Any], begun: _Begun | None) -> None:
    """Run the lesson's line, and let the learner's functions stand for its own; numbers are equal but for rounding."""
    if begun is not None:
        begun.put_back(space)
    _run(step, space)
    space.update({name: value for name, value in got.items() if callable(value)})


def _put(space: dict[str, Any], name: str, into: Any, value: Any) -> None:
    """Bind a name to `value`; an array `into` is given the numbers and stays the same array."""
    if isinstance(into, np.ndarray) and into.flags.writeable and into.shape == np.shape(value):
        np.copyto(into, value)
        space[name] = into
    else:
        space[name] = turns.copied(value)


__all__: Sequence[str] = ["begin_turn", "check_turn", "keep_guess", "tell_guess"]
