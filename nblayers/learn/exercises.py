"""Checking a learner's answers: `nblayers check NAME my_answer.py`.

The checks of lesson NN_name.py stand in lessons/checks/NN_name.py: functions `exercise_1`, `exercise_2`, … in order. Each
is given an `Answer`, takes from it what the learner was to define, and raises `Wrong` with a sentence on *what* is wrong.
The first line of its docstring is the exercise's title, the rest says what to define. An exercise on paper asks with
`answer.on_paper`, which gives hints and never the number; one in code with `expect_close` or `expect_all`; the mistakes that
many make are in `nblayers.learn.mistakes`. `FILE_SECONDS` and `SECONDS` in such a file change its time limits.

The learner's file runs in a process of its own (`sandbox`): what does not end costs its own exercise only.
"""
import contextlib
import faulthandler
import functools
import importlib.util
import inspect
import os
import re
import runpy
import sys
import traceback
import types
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from nblayers.learn import sandbox, shapes
from nblayers.learn.differences import close, difference, shape_in_words
from nblayers.learn.mistakes import Mistakes, Values, known

FILE_SECONDS, SECONDS = 60.0, 20.0              # how long a file, and then each exercise, may run


class Wrong(Exception):
    """The answer is not right; the text says what is wrong with it.

    Attributes:
        hints: what else helps, to be shown one after the other on asking.
        answer: what is right, to be shown on asking only.
        recognised: whether this is a known mistake.
        inputs: the call that went wrong; by default it is the last one.
        on_paper: what is said instead in an exercise on paper, where the number is not to be told.
    """

    def __init__(self, sentence: str, hints: Sequence[str] = (), answer: str = "", recognised: bool = False,
                 inputs: "Inputs | None" = None, on_paper: str = "") -> None:
        super().__init__(sentence)
        self.hints, self.answer, self.recognised, self.inputs = tuple(hints), answer, recognised, inputs
        self.on_paper = on_paper or sentence


class DoesNotRun(Wrong):
    """The learner's file does not run.

    Attributes:
        prints: what it printed before.
    """

    def __init__(self, sentence: str, prints: str) -> None:
        super().__init__(sentence)
        self.prints = prints


class Missing(Exception):
    """The learner has not defined what this exercise asks for."""


@dataclass(frozen=True)
class Inputs:
    """A call of a learner's function: its name, and what it was given, by name."""

    function: str
    given: dict[str, Any]

    def shapes(self) -> str:
        """`f(x (2, 3), stride 2)`."""
        told = [f"{name} {value.shape}" if isinstance(value, np.ndarray) else f"{name} = {_code(value)}"
                for name, value in self.given.items()]
        return f"{self.function}({', '.join(told)})"

    def code(self) -> list[str]:
        """Assignments in Python, and the call."""
        return [f"{name} = {_code(value)}" for name, value in self.given.items()] + [
            f"{self.function}({', '.join(self.given)})"]


def _code(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"np.array({np.asarray(value).tolist()!r})"
    if isinstance(value, list):
        return f"[{', '.join(map(_code, value))}]"
    return str(getattr(value, "__name__", None) or repr(value))


class Answer:
    """What the learner's file defines."""

    def __init__(self, namespace: Mapping[str, Any], path: str = "<answer>") -> None:
        self._namespace = namespace
        self._path = path
        self.last: Inputs | None = None         # the last call of one of its functions

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

    def on_paper(self, name: str, want: Any, hints: Sequence[str], mistakes: Mapping[str, Any] | None = None,
                 tolerance: float = 1e-6) -> None:
        """Numbers that were worked out on paper. What is right is not told before the learner asks for it.

        Arguments:
            name: what they are called.
            want: the right ones; a row of numbers may be given in any shape with as many.
            hints: what to look at, the first one is shown at once, the others on asking.
            mistakes: as in `expect_close`; no sentence should hold the number.
            tolerance: relative, and absolute below 1.

        Raises:
            Missing, Wrong.
        """
        want = np.asarray(want, dtype=np.float64)
        got = self.array(name)
        if want.ndim == 1 and got.size == want.size:
            got = got.ravel()
        if close(got, want, tolerance, tolerance):
            return
        told = f"{name} is {_told(want)}"
        for sentence, wrong in (mistakes or {}).items():
            if close(got, np.asarray(wrong, dtype=np.float64), tolerance, tolerance):
                raise Wrong(f"{name}: {sentence}", hints, told, recognised=True)
        as_array(got, name, want.shape)
        what = f"{got:.6g}" if got.ndim == 0 else "right"
        first = f". {hints[0]}" if hints else ""
        raise Wrong(f"{name} is not {what}{first}", hints[1:], told)

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
            names = _argument_names(function, len(arguments))
            self.last = Inputs(name, dict(zip(names, arguments, strict=True)))
            try:
                result = function(*copies)
            except (Exception, SystemExit) as error:
                raise Wrong(f"{name} raised {described(error, self._path)}") from error
            for argument, given, copy in zip(names, arguments, copies, strict=True):
                if isinstance(given, np.ndarray) and not np.array_equal(given, copy, equal_nan=True):
                    raise Wrong(f"{name} changes one of its arguments, {argument}, in place; work on a copy: "
                                f"{argument} = {argument}.copy()")
            if result is None:
                raise Wrong(f"{name} returns nothing: is there a `return` missing?")
            return result
        return called

    def kernel(self, name: str) -> "Kernel":
        """The CUDA kernel, or a device function, under `name`.

        Raises:
            Missing, Wrong: it is none.
        """
        kernel = self.value(name)
        if not is_kernel(kernel):
            raise Wrong(f"{name} should be a kernel: write @cuda.jit above its def")
        return Kernel(name, kernel, self._path)


@dataclass(frozen=True)
class Kernel:
    """A learner's CUDA kernel, launched as `kernel[blocks, threads](…)`; an exception in it becomes a `Wrong` that says where.

    Attributes:
        name: what it is called.
        compiled: what `@cuda.jit` has made of it, which other kernels may call.
        path: the learner's file.
    """

    name: str
    compiled: Any
    path: str

    def __getitem__(self, launch: tuple[Any, Any]) -> Callable[..., None]:
        def launched(*arguments: Any) -> None:
            try:
                self.compiled[launch](*arguments)
            except (Exception, SystemExit) as error:
                raise Wrong(f"{self.name} raised {described(error, self.path)}") from error
        return launched


def is_kernel(value: Any) -> bool:
    """Whether `value` was made by `@cuda.jit`, for a GPU or for Numba's simulator."""
    return hasattr(value, "py_func") and hasattr(value, "__getitem__")


def _argument_names(function: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    return names + [f"argument_{k + 1}" for k in range(len(names), count)]


def as_array(value: Any, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """`value` as an array of numbers.

    Raises:
        Wrong: it is none, or one of another shape.
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise Wrong(f"{name} should be numbers, but it is {_short(repr(value))}") from None
    if shape is not None and array.shape != shape:
        raise Wrong(f"{name} should {shape_in_words(shape, 'have', 'be')}, but it {shape_in_words(array.shape, 'has', 'is')}")
    return array


def _short(text: str, width: int = 100) -> str:
    return text if len(text) <= width else text[:width - 2] + " …"


def expect_close(got: Any, want: Any, name: str, mistakes: Mapping[str, Any] | None = None, tolerance: float = 1e-6,
                 axes: Sequence[str] = (), blocks: Sequence[str] = ()) -> None:
    """Compare numbers, and recognise known mistakes.

    Arguments:
        got: the learner's numbers.
        want: the right ones.
        name: what they are called.
        mistakes: what is wrong, in a sentence, and the numbers that such a mistake gives.
        tolerance: relative, and absolute below 1.
        axes: what an axis counts, one name each, such as "sample", "step", "unit".
        blocks: what lies side by side along the last axis, in parts of one length, such as "i", "f", "C̃", "o".

    Raises:
        Wrong: another shape, or other numbers.
    """
    want = np.asarray(want, dtype=np.float64)

    def place(index: tuple[int, ...]) -> str:
        return _place(index, want.shape, axes, blocks)
    sentence = difference(got, want, name, mistakes, tolerance, place=place)
    if not sentence:
        return
    if sentence in {f"{name}: {mistake}" for mistake in mistakes or {}}:
        raise Wrong(sentence.rstrip(), recognised=True)
    array = as_array(got, name)
    if array.shape != want.shape:
        raise Wrong(sentence)
    wrong = ~np.isclose(array, want, rtol=tolerance, atol=tolerance)
    raise Wrong(sentence + _wrong_blocks(wrong, blocks), answer=f"{name} is {_told(want)}", on_paper=f"{name} is not right")


def _told(numbers: np.ndarray) -> str:
    rows = np.atleast_2d(numbers)
    return "; ".join(", ".join(f"{number:.6g}" for number in row) for row in rows.reshape(-1, rows.shape[-1]))


def expect_all(result: Any, right: Values, mistakes: Mistakes, names: Sequence[str], function: str,
               axes: Mapping[str, Sequence[str]] | None = None, blocks: Sequence[str] = (), where: str = "",
               order: Sequence[str] = (), tolerance: float = 1e-6) -> None:
    """Compare what a learner's backward returns with what `nblayers.learn.mistakes` gives.

    Arguments:
        result: what the function returned.
        right, mistakes: all gradients by name, right and wrong.
        names: which of them it returns, in this order.
        function: its name.
        axes: by name, what the axes count (see `expect_close`).
        blocks: the gates, in whatever ends in an axis of all gates.
        where: what to add to each name, such as " with stride 2".
        order: in which order to look at them, by default that of `names`; first those in which fewest things can be wrong.
        tolerance: relative, and absolute below 1.

    Raises:
        Wrong.
    """
    values = dict(zip(names, returned(result, function, *names), strict=True))
    done: list[str] = []
    for name in order or names:
        gates = blocks if name in ("da", "dW", "dU", "db") else ()
        changed = known(right, mistakes, name)
        try:
            expect_close(values[name], right[name], name + where, changed, tolerance, (axes or {}).get(name, ()), gates)
        except Wrong as wrong:
            so_far = f" ({', '.join(done)} {'is' if len(done) == 1 else 'are'} right)" if done else ""
            raise Wrong(f"{wrong}{so_far}", recognised=wrong.recognised) from None
        done.append(name)                               # as this name is right, no mistake was made that changes them all
        mistakes = {sentence: wrong for sentence, wrong in mistakes.items()
                    if sentence not in changed or len(wrong) < len(right)}


NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def returned(result: Any, function: str, *names: str) -> tuple[Any, ...]:
    """What a function returned, as so many values.

    Raises:
        Wrong: it is another number of them.
    """
    if not isinstance(result, (tuple, list)) or len(result) != len(names):
        came = f"{len(result)} values" if isinstance(result, (tuple, list)) else f"one {type(result).__name__}"
        raise Wrong(f"{function} should return {NUMBERS[len(names)]} arrays: {', '.join(names)}; it returned {came}")
    for name, value in zip(names, result, strict=True):
        if value is None:
            raise Wrong(f"{name} is None: {function} should return an array for it")
    return tuple(result)


def for_each_size(answer: Answer, check: Callable[..., None], sizes: Sequence[tuple[Any, ...]]) -> None:
    """Call `check(*size)` for sizes from small to large; the sentence is the largest one's, the inputs are the smallest's.

    With large arrays a mistake is known by its numbers; with small ones it is found more easily.

    Raises:
        Wrong.
    """
    found: list[tuple[Wrong, Inputs | None]] = []
    for size in sizes:
        answer.last = None
        try:
            check(*size)
        except Wrong as wrong:
            found.append((wrong, answer.last))
    if not found:
        return
    (smallest, inputs), largest = found[0], found[-1][0]
    told = largest if largest.recognised else smallest
    raise Wrong(str(told), told.hints, told.answer, told.recognised, inputs) from told


ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def _place(index: tuple[int, ...], shape: tuple[int, ...], axes: Sequence[str], blocks: Sequence[str]) -> str:
    """` (sample 0, step 2, the second unit of o)`, as far as there are names."""
    told = [f"{axis} {at}" for axis, at in zip(axes, index, strict=False)]
    if blocks and shape[-1] % len(blocks) == 0 and shape[-1]:
        block, unit = divmod(index[-1], shape[-1] // len(blocks))
        told[len(index) - 1:] = [f"the {ORDINALS[unit]} unit of {blocks[block]}" if unit < len(ORDINALS) else
                                 f"unit {unit} of {blocks[block]}"]
    return f" ({', '.join(told)})" if told else ""


def _wrong_blocks(wrong: np.ndarray, blocks: Sequence[str]) -> str:
    """`; only the part of i is wrong`, if that is so."""
    if not blocks or wrong.shape[-1] % len(blocks):
        return ""
    parts = [block for block, part in zip(blocks, np.split(wrong, len(blocks), axis=-1), strict=True) if part.any()]
    return f"; only the part of {' and '.join(parts)} is wrong" if len(parts) < len(blocks) else ""


@dataclass(frozen=True)
class Result:
    """How one exercise came out.

    Attributes:
        title: its number and title.
        state: "right", "wrong" or "missing".
        message: what is wrong or what is missing.
        hints: what else may help, one after the other.
        answer: what is right, for an exercise on paper.
        inputs: the call that went wrong.
        prints: what the learner's code printed meanwhile.
        file_prints: what the learner's file printed when it was run for this exercise, the first time.
    """

    title: str
    state: str
    message: str = ""
    hints: tuple[str, ...] = ()
    answer: str = ""
    inputs: Inputs | None = None
    prints: str = ""
    file_prints: str = ""


def checks(lesson: Path) -> dict[str, Callable[[Answer], None]]:
    """The checks of a lesson by title; none if it has no exercises."""
    module = checks_module(lesson)
    found = sorted((int(match[1]), function) for name, function in (vars(module).items() if module else ())
                   if (match := re.fullmatch(r"exercise_(\d+)", name)))
    return {f"{number} · {(inspect.getdoc(function) or '').partition(chr(10))[0]}": function for number, function in found}


@functools.cache
def checks_module(lesson: Path) -> types.ModuleType | None:
    """The file of checks beside a lesson; None if there is none."""
    path = lesson.parent / "checks" / lesson.name
    spec = importlib.util.spec_from_file_location(f"checks_{lesson.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def solutions(lesson: Path) -> Path:
    """Where the lesson's own solutions are."""
    return lesson.parent / "solutions" / lesson.name


def check(lesson: Path, answer: Path, seconds: float | None = None) -> Iterator[Result]:
    """Run the learner's file in a process of its own, then check one exercise after the other.

    Arguments:
        lesson, answer: the lesson, and the learner's file.
        seconds: how long each exercise may take, and the file too; by default what the lesson allows.

    Raises:
        DoesNotRun.
    """
    lesson, answer = lesson.resolve(), answer.resolve()
    module = checks_module(lesson)
    allowed = vars(module) if module else {}
    limits = (seconds or allowed.get("FILE_SECONDS", FILE_SECONDS), seconds or allowed.get("SECONDS", SECONDS))
    titles = list(checks(lesson))
    outcomes = sandbox.each_limited(_check_one, titles, str(lesson), str(answer), limits, seconds=sum(limits) + 60)
    with contextlib.closing(cast(Generator[sandbox.Outcome], outcomes)):
        for number, (title, outcome) in enumerate(zip(titles, outcomes, strict=True)):
            result = _result(title, outcome, answer, limits)
            yield replace(result, file_prints="") if number else result


def _result(title: str, outcome: sandbox.Outcome, answer: Path, limits: tuple[float, float]) -> Result:
    """The result that came from the process, with its prints; or what is to be said if none came.

    Raises:
        DoesNotRun.
    """
    of_file, run, prints = outcome.prints.replace(BEGUN, "").rpartition(RUN)
    if outcome.state == "done" and isinstance(outcome.value, Result):
        return replace(outcome.value, prints=prints, file_prints=of_file)
    if isinstance(outcome.error, KeyboardInterrupt):
        raise KeyboardInterrupt
    file_has_run = bool(run) or BEGUN not in outcome.prints                 # for an exercise before this one
    prints, late, trace = prints.partition("Timeout (")
    if outcome.state == "done":                                             # the file does not run, and this is why
        raise DoesNotRun(outcome.value, of_file)
    if late or outcome.state == "late":
        line = re.search(rf'File "{re.escape(str(answer))}", line (\d+)', trace)
        where = f" (it was in line {line[1]})" if line else ""
        sentence = f"it did not end within {limits[file_has_run]:g} s{where}: is there a loop without an end?"
    elif outcome.state == "died":
        sentence = "it ended the whole process"
    else:
        sentence = f"the check stumbled over what came from your file: {type(outcome.error).__name__}: {outcome.error}"
    if not file_has_run:
        raise DoesNotRun(sentence, prints)
    return Result(title, "wrong", sentence, prints=prints, file_prints=of_file)


BEGUN, RUN = "\x00nblayers: the file begins\n", "\x00nblayers: the file has run\n"     # in what the process prints
_namespaces: dict[str, dict[str, Any]] = {}             # in the process: what a file has defined


def _check_one(title: str, lesson: str, answer: str, limits: tuple[float, float]) -> Result | str:
    """In a process of its own: one exercise, after the file if that was not run yet; or why the file does not run."""
    if answer not in _namespaces:
        try:
            _namespaces[answer] = _limited(limits[0], _run_file, answer)
        except (Exception, SystemExit) as error:
            return described(error, answer)
    function, given = checks(Path(lesson))[title], Answer(_namespaces[answer], answer)
    try:
        _limited(limits[1], function, given)
    except Missing as name:
        return Result(title, "missing", f"{name} is not defined yet")
    except Wrong as wrong:
        inputs, on_paper = _that_travel(wrong.inputs or given.last), "on paper" in title
        return Result(title, "wrong", wrong.on_paper if on_paper else str(wrong), wrong.hints,
                      wrong.answer if on_paper else "", inputs)
    return Result(title, "right")


def _run_file(path: str) -> dict[str, Any]:
    sys.path.insert(0, os.path.dirname(path))           # as for a script: files beside it can be imported
    _say(BEGUN)
    try:
        return runpy.run_path(path, run_name="__main__")
    finally:
        _say(RUN)


def _say(mark: str) -> None:
    sys.stdout.flush()
    os.write(1, mark.encode())


def _limited(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the function; the process ends, and tells in which line it was, if that takes longer."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    try:
        return function(*arguments)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _that_travel(inputs: Inputs | None) -> Inputs | None:
    """The inputs as they can be told to another process: functions by their name."""
    if inputs is None:
        return None
    return Inputs(inputs.function, {name: np.array(value) if isinstance(value, np.ndarray) else
                                    value if isinstance(value, (int, float, bool, str, list, tuple)) else _Named(_code(value))
                                    for name, value in inputs.given.items()})


class _Named:
    """Something that only its name is told of."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


def described(error: BaseException, path: str) -> str:
    """The error in a line, with the line of the learner's file where it arose."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError in line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    in_words = shapes.in_words(error, path, Path(path).read_text(encoding="utf-8")) if lines and Path(path).is_file() else ""
    return f"{type(error).__name__}{f' in line {lines[-1]}' if lines else ''}: {in_words or error}"
