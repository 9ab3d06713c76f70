"""What a wrong answer has in common with the lesson's own line: the line with one thing changed that gives the same numbers.

For answers that no known mistake of the lesson explains. Nothing is said if two changes of different kinds give these numbers:
a wrong accusation is worse than none.
"""
import ast
import contextlib
import copy
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST = 400                              # variants that are tried
FACTOR, TERM, TRANSPOSE = "a factor is missing", "a term is missing", "a transpose is missing"


@dataclass(frozen=True)
class Variant:
    """The lesson's statements with one thing changed.

    Attributes:
        what: the kind of change, which does not hand over the answer.
        more: the part of the line that is meant.
        nodes: the statements.
    """

    what: str
    more: str
    nodes: list[ast.stmt]


def explained(nodes: Sequence[ast.stmt], is_got: Callable[[list[ast.stmt]], bool], arrays: Mapping[str, Any]) -> str:
    """Which change of the lesson's line gives what somebody wrote, in a sentence; empty if none does, or several do.

    Arguments:
        nodes: the lesson's statements.
        is_got: whether statements give the same as the answer; they may fail.
        arrays: the variables that one may have taken for another.
    """
    found = []
    for _, variant in zip(range(MOST), variants(nodes, arrays), strict=False):
        with contextlib.suppress(Exception), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
            if is_got(variant.nodes):
                found.append(variant)
    factors = [variant for variant in found if variant.what == FACTOR]
    if factors and {variant.what for variant in found} <= {FACTOR, TERM}:
        found = factors                                 # without y, 1 - y is a factor of 1
    if len({variant.what for variant in found}) != 1:
        return ""
    parts = {variant.more for variant in found}
    return found[0].what + (f": {parts.pop()}" if len(parts) == 1 else "")


def variants(nodes: Sequence[ast.stmt], arrays: Mapping[str, Any]) -> Iterator[Variant]:
    """Every change of one place, without those in the targets of assignments."""
    for place, (node, key, at) in enumerate(_places(nodes)):
        whole = getattr(node, key) if at is None else getattr(node, key)[at]
        for what, more, other in _changes(whole, arrays):
            changed = [copy.deepcopy(top) for top in nodes]
            parent, _, _ = list(_places(changed))[place]
            if at is None:
                setattr(parent, key, other)
            else:
                getattr(parent, key)[at] = other
            yield Variant(what, more, [ast.fix_missing_locations(top) for top in changed])


Place = tuple[ast.AST, str, int | None]


def _places(nodes: Sequence[ast.stmt]) -> Iterator[Place]:
    """Where an expression stands: its parent, the name of the field, the place in it if it is a list."""
    for node in (part for top in nodes for part in ast.walk(top)):
        for key, value in ast.iter_fields(node):
            if key in ("targets", "target", "func", "decorator_list", "args") and not isinstance(node, ast.Call):
                continue
            for at, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(item, ast.expr) and not (isinstance(item, (ast.Name, ast.Subscript)) and
                                                       isinstance(item.ctx, ast.Store)) and key != "func":
                    yield node, key, at


def _changes(node: ast.expr, arrays: Mapping[str, Any]) -> Iterator[tuple[str, str, ast.expr]]:
    """What a learner may have written in place of an expression."""
    if isinstance(node, ast.BinOp):
        yield from _of_operation(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "a sign is turned", ast.unparse(node), node.operand
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield TRANSPOSE, ast.unparse(node), node.value
    elif isinstance(node, ast.Name) and isinstance(arrays.get(node.id), np.ndarray):
        shape = arrays[node.id].shape
        for name, value in arrays.items():
            if name != node.id and isinstance(value, np.ndarray) and value.shape == shape:
                yield "one array stands where another belongs", f"{node.id}, not {name}", ast.Name(name, ast.Load())
    elif isinstance(node, ast.Subscript):
        yield from _of_index(node)


def _of_operation(node: ast.BinOp) -> Iterator[tuple[str, str, ast.expr]]:
    left, right, text = node.left, node.right, ast.unparse
    if isinstance(node.op, (ast.Add, ast.Sub)):
        other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield TERM, text(right), left
        yield TERM, text(left), right if isinstance(node.op, ast.Add) else ast.UnaryOp(ast.USub(), right)
        yield "a sign is turned", text(node), ast.BinOp(left, other, right)
    elif isinstance(node.op, ast.Mult):
        yield FACTOR, text(right), left
        yield FACTOR, text(left), right
        yield "that is a sum, but it should be a product", text(node), ast.BinOp(left, ast.Add(), right)
    elif isinstance(node.op, ast.Div):
        yield "a division is missing", text(node), left
        yield "that multiplies where it should divide", text(node), ast.BinOp(left, ast.Mult(), right)
    elif isinstance(node.op, ast.Pow):
        yield "a power is missing", text(node), left


def _of_index(node: ast.Subscript) -> Iterator[tuple[str, str, ast.expr]]:
    """Another step, sample or tap: each number in the index one larger or smaller."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    for at, part in enumerate(parts):
        for step in (-1, 1, -2, 2):
            if isinstance(part, ast.Constant) and isinstance(part.value, int) and part.value + step >= 0:
                moved = list(parts)
                moved[at] = ast.Constant(part.value + step)
                index: ast.expr = ast.Tuple(moved, ast.Load()) if isinstance(node.slice, ast.Tuple) else moved[0]
                yield "an index is another one", ast.unparse(node), ast.Subscript(node.value, index, node.ctx)
