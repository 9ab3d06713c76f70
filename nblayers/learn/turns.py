"""The learner's turns: what they type for a step that is withheld, judged. No user interface.

An answer is run on the state before the step. It is right if every judged name holds what the lesson's own line gives it
(that this line agrees with the numerical derivative is the business of the `check_derivative` that follows it). A wrong
answer leaves no trace; its sentence is one of the lesson's known mistakes, or the gradient checker's diagnosis.

Known mistakes stand in lessons/checks/NN_name.py: `turn_NAME(lesson)` for the first judged name, `turn_NAME_2` for the second
turn of that name. They are given the lesson's variables, with the right values under the judged names, and return {sentence:
wrong value}, or {name: {sentence: wrong value}} for several names. A judged function has `turn_NAME(lesson, given)` instead,
which calls `given`, or launches it if it is a CUDA kernel, and raises `Wrong`.
"""
import ast
import contextlib
import copy
import inspect
import io
import itertools
import math
import re
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nblayers.learn import exercises, shapes, variants
from nblayers.learn.differences import difference
from nblayers.learn.script import Script, Step, check_names, names_read, names_written_first
from nblayers.learn.session import Session, typed_file

TYPED = "<typed>"
BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.FunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Verdict:
    """How an answer came out.

    Attributes:
        state: "right", "wrong", "error" (the learner's code raised one) or "guess" (kept for later).
        message: the sentence for a wrong one, the error in a line.
        first: the part of it for the first wrong try, which says what is wrong and does not hand over what is right.
        own: by name, where the answer is right, the learner's functions and what they made on the way; numbers are equal but
            for rounding, and the lesson's own go on. A guess.
    """

    state: str
    message: str = ""
    own: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> str:
        known = re.match(r"(\w+: .*?)(?:[:;] )", self.message) if self.state == "wrong" else None
        return f"{known[1]}." if known else self.message


class Typed:
    """What the learner has typed: an expression, or statements.

    Raises:
        SyntaxError: it is no Python.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip("\n")
        self.nodes = ast.parse(self.text, TYPED).body

    @property
    def expression(self) -> ast.expr | None:
        """The expression if it is one and nothing else."""
        only = self.nodes[0] if len(self.nodes) == 1 else None
        return only.value if isinstance(only, ast.Expr) else None

    @property
    def is_a_look(self) -> bool:
        """Whether this names something that is there: `C`, `h.shape`, `gates[0]`."""
        node = self.expression
        while isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        return isinstance(node, ast.Name)

    @property
    def has_a_block(self) -> bool:
        return any(isinstance(node, BLOCKS) for node in self.nodes)

    def assigned(self) -> set[str]:
        """All names that it binds, or changes by assignment or by a method called for its effect; inside of blocks too."""
        found = set()
        for node in (part for top in self.nodes for part in ast.walk(top)):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, (ast.Name, ast.Subscript)) and isinstance(node.ctx, ast.Store):
                inner: ast.expr = node
                while isinstance(inner, (ast.Subscript, ast.Attribute)):
                    inner = inner.value
                found |= {inner.id} if isinstance(inner, ast.Name) else set()
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):       # `found.append(…)`
                called = node.value.func
                if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                    found.add(called.value.id)
        return found


def bind(expression: ast.expr, step: Step) -> list[list[ast.stmt]]:
    """The statements that an expression may stand for: the lesson's assignment with another right side.

    For `x += …` there are two: all of x, and what is added.
    """
    assert step.question is not None
    node, names = step.nodes[0], step.question.judged
    ways: list[ast.stmt] = []
    if len(step.nodes) == 1 and isinstance(node, ast.Assign):
        ways = [ast.Assign(node.targets, expression)]
    elif names:
        stored: list[ast.expr] = [ast.Name(name, ast.Store()) for name in names]
        ways = [ast.Assign([stored[0] if len(stored) == 1 else ast.Tuple(stored, ast.Store())], expression)]
        if len(step.nodes) == 1 and isinstance(node, ast.AugAssign):
            whole = ast.Assign([node.target], expression)
            ways = [whole, ast.AugAssign(node.target, node.op, expression)]
    return [[ast.fix_missing_locations(ast.copy_location(way, expression))] for way in ways]


class Turn:
    """One turn of a session: its question, what is at hand, and the judge.

    Arguments:
        session: stands before a step with a question.
    """

    def __init__(self, session: Session) -> None:
        step = session.upcoming
        assert step is not None and step.question is not None
        self.session, self.step, self.question = session, step, step.question
        self.check = find_check(session.script, step)
        self._mistakes: dict[str, Any] | None = None    # the lesson's known ones, when they were asked for
        self.was_wrong = False                          # after the first wrong try more is said

    def at_hand(self) -> list[tuple[str, Any]]:
        """The variables that the lesson's line reads, and those in its check, by name."""
        return at_hand(self.step, self.checks(), self.session.namespace)

    def checks(self) -> list[Step]:
        """The `check_derivative` steps right after this one."""
        return checks_after(self.step, self.session.steps)

    def answer(self, text: str) -> Verdict:
        """Judge what was typed. Whatever the verdict, the session is as it was.

        Raises:
            LessonError: the lesson's own line fails.
            KeyboardInterrupt: while the answer ran.
        """
        try:
            typed = Typed(text)
        except SyntaxError as error:
            return Verdict("error", _told(error, text, TYPED))
        except ValueError as error:                     # a null byte
            return Verdict("error", str(error))
        right = self.right()
        ways = bind(typed.expression, self.step) if typed.expression is not None else [typed.nodes]
        verdicts = []
        for nodes in [*ways, *([typed.nodes] if typed.expression is not None and not ways else [])]:
            verdicts.append(self._judge(nodes, text, right))
            if verdicts[-1].state == "right":
                return verdicts[-1]
        return verdicts[0]

    def right(self) -> dict[str, Any]:
        """What the lesson's own line gives the judged names.

        Raises:
            LessonError: it fails.
        """
        with self.session.trial() as space, contextlib.redirect_stdout(io.StringIO()):
            try:
                self.session.execute(self.step.nodes)
                return {name: copied(space[name]) for name in self.question.judged}
            except Exception as error:
                raise self.session.failed(self.step, error) from error

    def _judge(self, nodes: list[ast.stmt], text: str, right: dict[str, Any]) -> Verdict:
        file = typed_file(text.strip("\n"))
        with self.session.trial() as space:
            before = dict(space)
            old = {name: copied(space[name]) for name in right if name in space}
            try:
                self.session.run_typed(nodes, file)
            except Exception as error:
                return Verdict("error", _told(error, text, file))
            missing = [name for name in right if name not in space]
            if missing:
                return Verdict("wrong", f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not assigned yet")
            got = {name: copied(space[name]) for name in right}
            untouched = tuple(name for name, kept in old.items() if space[name] is before[name] and same(got[name], kept))
            new = {name: copied(value) for name, value in space.items() if name not in before and name not in right}
        with self.session.trial() as space:
            sentence = judge(got, right, space, self.check, self._known)
        for name in untouched:
            if len(right) > 1 and re.match(rf"{name}\b", sentence):
                sentence = f"{name} is not assigned yet"
        if sentence and not untouched and not sentence.startswith(tuple(f"{name}: " for name in right)):
            sentence = self._explained(got, right) or sentence
        if sentence:
            return Verdict("wrong", sentence)
        return Verdict("right", own=new | {name: value for name, value in got.items() if callable(value)})

    def _known(self, check: Callable[..., Any] | None, lesson: types.SimpleNamespace) -> dict[str, Any]:
        """The lesson's known mistakes, computed once: they depend on what stands before the turn."""
        if self._mistakes is None:
            self._mistakes = known_mistakes(check, lesson)
        return self._mistakes

    def _explained(self, got: Mapping[str, Any], right: Mapping[str, Any]) -> str:
        """What change of the lesson's line gives the learner's numbers; empty if none is known."""
        wrong = next((name for name in right if not same(got[name], right[name])), None)
        if wrong is None or any(callable(value) for value in right.values()) or not _tells(got[wrong]):
            return ""

        def is_got(nodes: list[ast.stmt]) -> bool:
            with self.session.trial() as space:
                self.session.execute(nodes)
                return all(same(space[name], got[name]) for name in right)

        arrays = {name: value for name, value in self.session.namespace.items() if isinstance(value, np.ndarray)}
        sentence = variants.explained(self.step.nodes, is_got, arrays)
        return f"{wrong}: {sentence}" if sentence else ""

    def guess(self, text: str) -> Verdict:
        """Take a guess; words need no quotes."""
        try:
            node = ast.parse(text.strip(), TYPED, "eval")
            with self.session.trial() as space:
                value = eval(compile(node, TYPED, "eval"), space)
        except (SyntaxError, NameError):
            value = text.strip()
            if "\n" in value or value.endswith(":") or "=" in value:
                return Verdict("error", "a guess is a number or a word")
        except Exception as error:
            return Verdict("error", _told(error, text, TYPED))
        return Verdict("guess", own={self.question.judged[0]: value})

    def go_on(self, verdict: Verdict | None = None) -> Step | None:
        """Run the lesson's line, and let the learner's functions stand for its own if the verdict says that they are right."""
        if verdict is None or verdict.state != "right":
            return self.session.next()
        return self.session.next_with(verdict.own)


def at_hand(step: Step, checks: Sequence[Step], space: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The variables of `space` that a turn's line reads, and those in its `checks`, by name.

    What a name holds that the lines give a value first, as a walk's `dh`, is left over from another step: it is left out.
    """
    judged = step.question.judged if step.question is not None else ()
    in_checks = names_read(node for check in checks for node in check.nodes) - {*judged}
    names = (names_read(step.nodes) | in_checks) - names_written_first(step.nodes)
    return [(name, space[name]) for name in sorted(names, key=str.lower)
            if name in space and not isinstance(space[name], types.ModuleType) and not _is_library(space[name])]


def checks_after(step: Step, steps: Sequence[Step]) -> list[Step]:
    """The `check_derivative` steps right after this one."""
    return [*itertools.takewhile(is_check, steps[steps.index(step) + 1:])]


def variable_in_words(name: str, value: Any) -> str:
    """A variable with its shape, a number with its value, a function with its arguments."""
    if callable(value) and hasattr(value, "__name__"):
        return f"{name}{_signature(value)}"
    return f"{name} {_kind(value)}".rstrip()


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.shape}"
    if isinstance(value, (bool, int, float, np.generic)):
        return f"= {number(value)}"
    if isinstance(value, (list, tuple, dict)):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def number(value: Any) -> str:
    """A number as the learner sees it, with four places."""
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)


def _signature(function: Any) -> str:
    """Arguments without their defaults, as far as there is room."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return "(…)"
    return f"({', '.join(names[:6])}{', …' if len(names) > 6 else ''})"


def known_mistakes(check: Callable[..., Any] | None, lesson: types.SimpleNamespace) -> dict[str, Any]:
    """The lesson's known mistakes; none if it has none, or if they cannot be computed from what the learner has made of it."""
    try:
        return dict(check(lesson)) if check is not None else {}
    except Exception:
        return {}


def judge(got: Mapping[str, Any], right: Mapping[str, Any], space: Mapping[str, Any], check: Callable[..., Any] | None,
          known: Callable[..., dict[str, Any]] = known_mistakes) -> str:
    """What is wrong with the values of the judged names, in a sentence; empty if all are right.

    Arguments:
        got, right: by name, the learner's values and the lesson's.
        space: the variables before the step.
        check: the lesson's `turn_NAME`.
        known: the mistakes that it knows.
    """
    lesson = variables(space, right)
    mistakes: Any = None
    for name, value in right.items():
        if isinstance(value, types.FunctionType) or exercises.is_kernel(value):
            sentence = judge_function(name, got[name], lesson, check)
        else:
            if mistakes is None and not same(got[name], value):
                mistakes = known(check, lesson)
            own = mistakes.get(name, {}) if len(right) > 1 and mistakes else mistakes
            sentence = told_apart(name, got[name], value, own or {}, sizes(space))
        if sentence:
            return sentence
    return ""


def variables(space: Mapping[str, Any], right: Mapping[str, Any]) -> types.SimpleNamespace:
    """What a `turn_NAME` is given: the lesson's variables, and the right values under the judged names."""
    return types.SimpleNamespace(**{**space, **right})


def judge_function(name: str, given: Any, lesson: types.SimpleNamespace, check: Callable[..., Any] | None) -> str:
    """The lesson's check of a function that the learner wrote."""
    if check is None:
        return ""
    try:
        code = getattr(getattr(given, "py_func", given), "__code__", None)
        answer = exercises.Answer({name: given}, code.co_filename if code else TYPED)
        check(lesson, answer.kernel(name) if exercises.is_kernel(getattr(lesson, name)) else answer.function(name))
    except exercises.Wrong as sentence:
        return str(sentence)
    return ""


def told_apart(name: str, got: Any, want: Any, mistakes: Mapping[str, Any], batch: Mapping[str, int]) -> str:
    """What is wrong with one value; empty if nothing is."""
    if same(got, want):
        return ""
    for sentence, wrong in mistakes.items():
        if same(got, wrong) or (_is_numbers(wrong) and _is_numbers(got) and same(np.asarray(got), np.asarray(wrong))):
            return f"{name}: {sentence}"
    if _is_numbers(want):
        return difference(got, want, name, {}, *tolerances(want), batch)
    if isinstance(want, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(want):
            what = f"has {len(got)} items" if isinstance(got, (list, tuple)) else f"is a {type(got).__name__}"
            return f"{name} should have {len(want)} items, but it {what}"
        parts = [(f"{name}[{i}]", got[i], want[i]) for i in range(len(want))]
    elif isinstance(want, dict) and isinstance(got, dict):
        if set(got) != set(want):
            return f"{name} should have the keys {', '.join(map(repr, want))}, but it has {', '.join(map(repr, got)) or 'none'}"
        parts = [(f"{name}[{key!r}]", got[key], want[key]) for key in want]
    else:
        if type(got) is type(want):
            return f"{name} is not right"
        return f"{name} should be a {type(want).__name__}, but it is a {type(got).__name__}"
    return next(sentence for part, a, b in parts if (sentence := told_apart(part, a, b, {}, batch)))


def same(got: Any, want: Any) -> bool:
    """Whether two values are equal, numbers but for rounding; numbers of any kind may stand for each other."""
    if _is_numbers(want):
        if not _is_numbers(got) or np.shape(got) != np.shape(want):
            return False
        rtol, floor = tolerances(want)
        a, b = np.asarray(got, np.float64), np.asarray(want, np.float64)
        return bool(np.allclose(a, b, rtol=rtol, atol=floor, equal_nan=True))
    if isinstance(want, (list, tuple)):
        return isinstance(got, (list, tuple)) and len(got) == len(want) and all(map(same, got, want))
    if isinstance(want, dict):
        return isinstance(got, dict) and set(got) == set(want) and all(same(got[key], want[key]) for key in want)
    try:
        return bool(np.all(got == want))
    except (TypeError, ValueError):
        return False


def tolerances(want: Any) -> tuple[float, float]:
    """Relative to each element, and absolute, as a share of the largest: a zero need not be exact."""
    array = np.asarray(want)
    rtol = 1e-4 if array.dtype in (np.float32, np.float16) else 1e-6
    largest = float(np.abs(array[np.isfinite(array)], dtype=np.float64).max(initial=0)) if array.size else 0.0
    return rtol, rtol * 1e-2 * largest or 1e-12


def _is_numbers(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return False
    return isinstance(value, (bool, int, float, np.number, np.bool_)) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "biuf")


def _tells(value: Any) -> bool:
    """Whether equal numbers are more than chance: those that are not all the same."""
    return _is_numbers(value) and np.size(value) > 1 and len(np.unique(np.round(np.asarray(value, float), 9))) > 1


def sizes(space: Mapping[str, Any]) -> dict[str, int]:
    """The batch size and the number of steps, where the lesson calls them so."""
    known = {"N": "the batch size", "T": "the number of time steps"}
    return {text: space[name] for name, text in known.items() if isinstance(space.get(name), int)}


def copied(value: Any) -> Any:
    """A copy of arrays, and of lists, tuples and dictionaries with all that is in them; anything else is itself."""
    if isinstance(value, (np.ndarray, list, tuple, dict, set)):
        try:
            return copy.deepcopy(value)
        except Exception:
            return value
    return value


def is_check(step: Step) -> bool:
    """Whether a step is a call of `check_derivative`."""
    node = step.nodes[0] if len(step.nodes) == 1 else None
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "check_derivative"


def _is_library(value: Any) -> bool:
    """A function or class that the lesson did not write."""
    return callable(value) and hasattr(value, "__name__") and getattr(value, "__module__", None) != "__main__"


def find_check(script: Script, step: Step) -> Callable[..., Any] | None:
    """The lesson's `turn_NAME` for this step, if it has one."""
    name = check_names(script).get(step.line)
    module = exercises.checks_module(script.path)
    return getattr(module, f"turn_{name}", None) if module is not None else None


def held_against(guess: Any, truth: Any) -> str:
    """How far a guess was off, in words."""
    if _is_numbers(truth) and _is_numbers(guess) and np.size(truth) == np.size(guess) == 1 and not isinstance(truth, bool):
        return _numbers_apart(float(np.ravel(guess)[0]), float(np.ravel(truth)[0]))
    if isinstance(truth, (bool, np.bool_)) and isinstance(guess, str):
        guess = {"yes": True, "true": True, "no": False, "false": False}.get(guess.lower(), guess)
    if isinstance(guess, str) and isinstance(truth, str):
        guess, truth = guess.strip().lower(), truth.strip().lower()
    wrong = "the other way round" if isinstance(truth, (bool, np.bool_)) else "another one"
    return "right" if (type(guess) is type(truth) is str and guess == truth) or same(guess, truth) else wrong


def _numbers_apart(guess: float, truth: float) -> str:
    if same(guess, truth):
        return "exactly right"
    ratio = guess / truth if truth else 0.0
    if ratio > 0 and abs(math.log10(ratio)) >= 1:
        powers = round(abs(math.log10(ratio)))
        return f"{powers} power{'s' if powers > 1 else ''} of ten too {'large' if abs(guess) > abs(truth) else 'small'}"
    if ratio > 0 and abs(ratio - 1) <= 0.1:
        return f"close, off by {abs(guess - truth):.3g}"
    return f"off by {abs(guess - truth):.3g}"


def _told(error: BaseException, text: str, file: str) -> str:
    """The error in one line, with the line of what was typed, which runs as `file`, if there is more than one."""
    frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    line = error.lineno if isinstance(error, SyntaxError) else frames[-1] if frames else None
    lines = text.strip("\n").split("\n")
    what = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, SyntaxError) and error.text is None and line is None:
        return f"SyntaxError: {what}"
    in_words = shapes.in_words(error, file, text.strip("\n"))
    where = f" in line {line}, {lines[line - 1].strip()!r}" if line and len(lines) > 1 and line <= len(lines) else ""
    if in_words:
        return f"{where[1:]}: {in_words}" if where else in_words
    return f"{type(error).__name__}{where}: {what}"
