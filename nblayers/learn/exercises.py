"""Checking a learner's answers: `nblayers check NAME my_answer.py`.

The checks of lesson NN_name.py stand in lessons/checks/NN_name.py: functions `exercise_1`, `exercise_2`, … in order. Each
is given an `Answer`, takes from it what the learner was to define, and raises `Wrong` with a sentence on *what* is wrong.
The first line of its docstring is the exercise's title, the rest says what to define.
"""
import importlib.util
import inspect
import re
import runpy
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nblayers.learn.differences import difference


class Wrong(Exception):
    """The answer is not right; the text says what is wrong with it."""


class Missing(Exception):
    """The learner has not defined what this exercise asks for."""


class Answer:
    """What the learner's file defines."""

    def __init__(self, namespace: Mapping[str, Any], path: str = "<answer>") -> None:
        self._namespace = namespace
        self._path = path

    def value(self, name: str) -> Any:
        """What `name` is bound to.

        Raises:
            Missing: nothing.
        """
        if self._namespace.get(name) is None:
            raise Missing(name)
        return self._namespace[name]

    def array(self, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """The numbers under `name`, of `shape` if one is given; () is a single number.

        Raises:
            Missing, Wrong.
        """
        return as_array(self.value(name), name, shape)

    def function(self, name: str) -> Callable[..., Any]:
        """The function under `name`; an exception inside it becomes a `Wrong` that says where.

        Raises:
            Missing, Wrong.
        """
        function = self.value(name)
        if not callable(function):
            raise Wrong(f"{name} should be a function, but it is a {type(function).__name__}")

        def called(*arguments: Any) -> Any:
            copies = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments]
            try:
                result = function(*copies)
            except Exception as error:
                raise Wrong(f"{name} raised {described(error, self._path)}") from error
            for given, copy in zip(arguments, copies, strict=True):
                if isinstance(given, np.ndarray) and not np.array_equal(given, copy, equal_nan=True):
                    raise Wrong(f"{name} changes one of its arguments in place; work on a copy")
            if result is None:
                raise Wrong(f"{name} returns nothing: is there a `return` missing?")
            return result
        return called


def as_array(value: Any, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """`value` as an array of numbers.

    Raises:
        Wrong: it is none, or one of another shape.
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise Wrong(f"{name} should be numbers, but it is {value!r}") from None
    if shape is not None and array.shape != shape:
        raise Wrong(f"{name} should have shape {shape}, but has {array.shape}")
    return array


def expect_close(got: Any, want: Any, name: str, mistakes: Mapping[str, Any] | None = None, tolerance: float = 1e-6) -> None:
    """Compare numbers, and recognise known mistakes.

    Arguments:
        got: the learner's numbers.
        want: the right ones.
        name: what they are called.
        mistakes: what is wrong, in a sentence, and the numbers that such a mistake gives.
        tolerance: relative, and absolute below 1.

    Raises:
        Wrong: another shape, or other numbers.
    """
    if sentence := difference(got, want, name, mistakes, tolerance):
        raise Wrong(sentence)


@dataclass(frozen=True)
class Result:
    """How one exercise came out: "right", "wrong" or "missing"; `message` says what is wrong or what is missing."""

    title: str
    state: str
    message: str = ""


def checks(lesson: Path) -> dict[str, Callable[[Answer], None]]:
    """The checks of a lesson by title; none if it has no exercises."""
    path = lesson.parent / "checks" / lesson.name
    spec = importlib.util.spec_from_file_location(f"checks_{lesson.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        return {}
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = sorted((int(match[1]), function) for name, function in vars(module).items()
                   if (match := re.fullmatch(r"exercise_(\d+)", name)))
    return {f"{number} · {(inspect.getdoc(function) or '').partition(chr(10))[0]}": function for number, function in found}


def check(lesson: Path, answer: Path) -> Iterator[Result]:
    """Run the learner's file, then check one exercise after the other.

    Raises:
        Wrong: the file does not run.
    """
    try:
        namespace = runpy.run_path(str(answer), run_name="__main__")
    except (Exception, SystemExit) as error:
        raise Wrong(described(error, str(answer))) from error
    for title, function in checks(lesson).items():
        try:
            function(Answer(namespace, str(answer)))
        except Missing as name:
            yield Result(title, "missing", f"{name} is not defined yet")
        except Wrong as sentence:
            yield Result(title, "wrong", str(sentence))
        else:
            yield Result(title, "right")


def described(error: BaseException, path: str) -> str:
    """The error in a line, with the line of the learner's file where it arose."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError in line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{type(error).__name__}{f' in line {lines[-1]}' if lines else ''}: {error}"
