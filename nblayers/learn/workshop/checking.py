"""Checking a learner's layer: the gradient checker case by case, then the library's layer on the same weights."""
import re
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nblayers.gradient_check import Report, gradcheck
from nblayers.learn import workshop
from nblayers.learn.exercises import described
from nblayers.learn.sandbox import each_limited
from nblayers.learn.workshop.cases import Case
from nblayers.utils import set_random_seed

SECONDS = 30.0                          # for each case
LIBRARY = "the same numbers as the library's layer"


@dataclass(frozen=True)
class Verdict:
    """How one case came out.

    Attributes:
        title: the case's name.
        state: "right", "wrong", or "missing" where backward is not written.
        sentence: what is wrong.
        report: the gradient checker's report, if it failed.
        prints: what the learner's file printed meanwhile.
    """

    title: str
    state: str
    sentence: str = ""
    report: str = ""
    prints: str = ""


class CannotUse(Exception):
    """The learner's file does not give a layer; the text says why."""


def check(piece: workshop.Piece, path: Path, seconds: float = SECONDS) -> Iterator[Verdict]:
    """Try one case after the other, in a process of its own; ends at once where backward is missing."""
    titles = [*(case.title for case in piece.cases), LIBRARY]
    outcomes = each_limited(try_case, range(len(titles)), piece.name, str(path), seconds=seconds)
    for title, outcome in zip(titles, outcomes, strict=True):
        if outcome.state == "done":
            state, sentence, report = outcome.value
        elif outcome.state == "late":
            state, sentence, report = "wrong", f"not done after {seconds:g} seconds: a loop without an end?", ""
        elif outcome.state == "raised":
            state, sentence, report = "wrong", f"{type(outcome.error).__name__}: {outcome.error}", ""
        else:
            state, sentence, report = "wrong", "the process that ran it has ended itself", ""
        yield Verdict(title, state, sentence, report, outcome.prints)
        if state == "missing":
            return


def load(piece: workshop.Piece, path: str) -> Any:
    """The learner's class.

    Raises:
        CannotUse: the file does not run, or has no such class.
    """
    try:
        namespace = runpy.run_path(path, run_name="my_layer")
    except (Exception, SystemExit) as error:
        raise CannotUse(f"{path} does not run: {described(error, path)}") from error
    if not isinstance(namespace.get(piece.class_name), type):
        raise CannotUse(f"{path} should define a class {piece.class_name}")
    return namespace[piece.class_name]


_load_once = lru_cache(load)


def try_case(index: int, name: str, path: str) -> tuple[str, str, str]:
    """One case, the one after the last being the comparison with the library: state, sentence, report."""
    piece = workshop.find(name)
    try:
        layer_class = _load_once(piece, path)
        if index == len(piece.cases):
            return compare_all(piece, layer_class)
        case = piece.cases[index]
        set_random_seed(index)                          # the same numbers in each run: an edit is what changes the report
        args, kwargs = case.inputs(np.random.default_rng(index))
        report = gradcheck(layer_class(**case.options, name="my"), *args, raise_error=False, **kwargs)
    except CannotUse as error:
        return "wrong", str(error), ""
    except NotImplementedError as error:
        return "missing", str(error), ""
    except Exception as error:
        return "wrong", described(error, path), ""
    return ("right", "", "") if report else ("wrong", in_short(report), in_words(report, piece.parts))


def in_short(report: Report) -> str:
    """The findings in a line."""
    if report.problems:
        return report.problems[0]
    wrong = [_short(tensor.name) for tensor in report.tensors if not tensor.passed]
    right = [_short(tensor.name) for tensor in report.tensors if tensor.passed]
    return f"wrong is the gradient of {', '.join(wrong)}" + (f"; right that of {', '.join(right)}" if right else "")


def in_words(report: Report, parts: tuple[str, ...]) -> str:
    """The report, with the names of the gates where it numbers their columns."""
    def named(match: re.Match[str]) -> str:
        places, size = match[1], int(match[2])
        if not parts or size % len(parts) or size == len(parts):
            return match[0]
        width = size // len(parts)
        ends = [list(map(int, run.split("-"))) for run in places.split(", ")]
        columns = {k for run in ends for k in range(run[0], run[-1] + 1)}
        hit = [part for k, part in enumerate(parts) if columns & set(range(k * width, (k + 1) * width))]
        return f"{match[0]}: in the part of {' and '.join(hit)}"

    return re.sub(r"only at ([\d, -]+) of axis \d \(size (\d+)\)", named, str(report).replace("my/", ""))


def _short(name: str) -> str:
    return name.removeprefix("my/")


def compare_all(piece: workshop.Piece, layer_class: Any) -> tuple[str, str, str]:
    """The learner's layer and the library's, on the same weights and inputs: every case in float64, the last in float32."""
    for index, case in enumerate(piece.cases):
        if sentence := compare(piece, layer_class, case, index, "float64", 1e-9):
            return "wrong", f"{case.title}: {sentence}", ""
    if sentence := compare(piece, layer_class, piece.cases[-1], 0, "float32", 1e-4):
        return "wrong", f"in float32: {sentence}", ""
    return "right", "", ""


def compare(piece: workshop.Piece, layer_class: Any, case: Case, seed: int, dtype: str, tolerance: float) -> str:
    """What differs, in words; empty if nothing does."""
    rng = np.random.default_rng(seed)
    args, kwargs = case.inputs(rng)
    mine = layer_class(**case.options, name="my", dtype=dtype)
    theirs = piece.library(piece.module.LAYER(**case.options)).astype(dtype).to("reference")
    mine.forward(*args, **kwargs)
    theirs.build(args[0].shape)
    if [w.shape for w in mine.weights] != [w.shape for w in theirs.weights]:
        return (f"the weights have shapes {[w.shape for w in mine.weights]}, "
                f"in the library {[w.shape for w in theirs.weights]}")
    values = piece.weights(rng, mine)
    mine.set_weights(values)
    theirs.set_weights(values)
    y, y_library = mine.forward(*args, **kwargs), theirs.forward(*args, **kwargs)
    if sentence := _difference("forward", y, y_library, tolerance):
        return sentence + ". The gradient check cannot see this: backward fits a forward that is another one"
    dy = rng.normal(size=y.shape)
    dx, dx_library = (_as_list(layer.backward(dy)) for layer in (mine, theirs))
    if len(dx) != len(dx_library):
        return f"backward returns {len(dx)} gradients, in the library {len(dx_library)}"
    pairs = [*zip(dx, dx_library, strict=True), *((w.grad, v.grad) for w, v in zip(mine.weights, theirs.weights, strict=True))]
    inputs = ["x", *(f"initial_state[{k}]" for k in range(len(dx) - 1))]
    for name, (one, other) in zip([*inputs, *(w.name for w in mine.weights)], pairs, strict=True):
        if sentence := _difference(f"the gradient of {name}", one, other, tolerance):
            return sentence
    return ""


def _as_list(values: Any) -> list[Any]:
    return list(values) if isinstance(values, (list, tuple)) else [values]


def _difference(what: str, mine: Any, theirs: Any, tolerance: float) -> str:
    mine = np.asarray(mine)
    if mine.shape != theirs.shape:
        return f"{what} has shape {mine.shape}, in the library {theirs.shape}"
    if mine.dtype != theirs.dtype:
        why = (": some factor is a float64 of NumPy's, as np.sqrt(2) is; a number of Python's, as 2 ** 0.5, keeps float32"
               if (mine.dtype, theirs.dtype) == (np.float64, np.float32) else "")
        return f"{what} is {mine.dtype}, in the library {theirs.dtype}{why}"
    difference = np.abs(mine - theirs)
    worst = np.unravel_index(np.argmax(difference), difference.shape)
    if difference[worst] <= tolerance * max(1.0, float(np.abs(theirs).max())):
        return ""
    where = f" at {list(map(int, worst))}" if worst else ""
    return f"{what} is {mine[worst]:.6g}{where}, in the library {theirs[worst]:.6g}"
