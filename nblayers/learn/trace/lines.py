"""The lines of a source file that compute an equation: what they assign, and of which terms it is the sum.

A line says itself which equation it computes, in its comment: `# (3)`, `# (004.LSTM.f)`, or `# from (3)` for a derivative.
"""
import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType

from nblayers.learn.trace import symbols

MARK = re.compile(r"\((\d+'?|\d{3}\.\w+(?:\.\w+)*~?)\)")
PURE = {"_product", "_by_channel", "_sigmoid", "_slope", "_activate", "window", "window_to_image",
        "window_to_weights"}            # functions that may be called twice
HARMLESS = (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Compare, ast.Tuple, ast.Slice,
            ast.Starred, ast.Call, ast.keyword, ast.expr_context, ast.operator, ast.unaryop, ast.cmpop)


@dataclass(frozen=True)
class Target:
    """What a line assigns to: its name, and the code that reads it where the line ran."""

    name: str
    read: CodeType


@dataclass(frozen=True)
class Term:
    """One term of the sum that a line computes.

    Attributes:
        source, formula: as Python and as LaTeX.
        through: the gradient in it: where this part of a gradient comes from; "" where there is none.
        read: the code that computes it.
        negative: whether it is subtracted.
    """

    source: str
    formula: str
    through: str
    read: CodeType
    negative: bool = False


@dataclass(frozen=True)
class Line:
    """A statement on one line or more.

    Attributes:
        path, number, last: its file and lines.
        function: the function that it stands in, "LSTMCell.forward" for a method.
        source: the statement without its comment.
        marks: the equations named in its comment; a statement without is none of ours.
        to: whether these are the first and the last of a range.
        backward: whether it differentiates them.
        targets: what it assigns.
        terms: of the sum that it computes, two or more, or none.
        operands: the variables that it computes with, `h_prev`, `da[at]`, `cache.x`; none where calling them twice may harm.
        adds: whether it adds to what stood there.
        returns: whether it returns what it computes, from a `forward` as "y", from a `backward` as "dx".
        indices: the variables of the loops around it, within the function.
        formula: the statement as LaTeX.
    """

    path: str
    number: int
    last: int
    function: str
    source: str = ""
    marks: tuple[str, ...] = ()
    to: bool = False
    backward: bool = False
    targets: tuple[Target, ...] = ()
    terms: tuple[Term, ...] = ()
    operands: tuple[Target, ...] = ()
    adds: bool = False
    returns: bool = False
    indices: tuple[str, ...] = ()
    formula: str = ""


@functools.cache
def lines_of(path: str) -> dict[int, Line]:
    """The statements of a file, each under the numbers of all its lines; {} where there is no file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return {}
    found = _in_body(tree.body, path, text.split("\n"), "", ())
    return {number: line for line in found for number in range(line.number, line.last + 1)}


def _in_body(body: list[ast.stmt], path: str, texts: list[str], function: str, loops: tuple[str, ...]) -> Iterator[Line]:
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            name = f"{function}.{statement.name}" if function else statement.name
            yield from _in_body(statement.body, path, texts, name, ())
        elif hasattr(statement, "body"):
            inside = (*loops, *_names(statement.target)) if isinstance(statement, ast.For) else loops
            last = statement.body[0].lineno - 1
            if last >= statement.lineno:
                yield Line(path, statement.lineno, last, function)          # the head alone
            parts = [statement.body, getattr(statement, "orelse", []), getattr(statement, "finalbody", []),
                     *(handler.body for handler in getattr(statement, "handlers", ()))]
            for part in parts:
                yield from _in_body(part, path, texts, function, inside)
        else:
            yield _line(statement, path, texts, function, loops)


def _line(statement: ast.stmt, path: str, texts: list[str], function: str, loops: tuple[str, ...]) -> Line:
    first, last = statement.lineno, statement.end_lineno or statement.lineno
    comments = " ".join(text.rpartition("  # ")[2] for text in texts[first - 1:last] if "  # " in text)
    marks = tuple(MARK.findall(comments))
    plain = Line(path, first, last, function, to=len(marks) == 2 and ") to (" in comments, indices=loops)
    if not marks:
        return plain
    returned = {"forward": "y", "backward": "dx"}.get(function.rpartition(".")[2])
    if isinstance(statement, ast.Return) and statement.value is not None and returned:
        statement = ast.Assign([ast.Name(returned, ast.Store())], statement.value)
        return replace(_computing(statement, plain, "from " in comments, marks), returns=True,
                       source=f"return {ast.unparse(statement.value)}")
    if isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and statement.value is not None:
        return _computing(statement, plain, "from " in comments, marks)
    return plain


def _computing(statement: ast.Assign | ast.AugAssign | ast.AnnAssign, plain: Line, backward: bool,
               marks: tuple[str, ...]) -> Line:
    """The line of an assignment that computes an equation."""
    assert statement.value is not None
    targets: list[ast.expr] = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    ast.fix_missing_locations(statement)
    adds = isinstance(statement, ast.AugAssign) and isinstance(statement.op, (ast.Add, ast.Sub))
    return replace(plain, source=ast.unparse(statement), marks=marks, backward=backward, targets=tuple(_targets(targets)),
                   terms=tuple(_terms(statement.value)), operands=tuple(_operands(statement.value)), adds=adds,
                   formula=symbols.statement(statement))


def _targets(targets: list[ast.expr]) -> Iterator[Target]:
    """The names that are assigned; of `da[t]` the name is `da`, of `cache.h` it is `h`."""
    for target in targets:
        if isinstance(target, (ast.Tuple, ast.List)):
            yield from _targets(target.elts)
        elif isinstance(target, ast.Starred):
            continue
        else:
            yield Target(symbols.name_of(target), _compiled(target))


def _terms(value: ast.expr) -> list[Term]:
    terms = list(_summands(value, False))
    variable = [one for one in terms if any(isinstance(node, ast.Name) for node in ast.walk(one[0]))]
    if len(variable) < 2 or not all(_is_harmless(one) for one, _ in terms):
        return []
    return [Term(ast.unparse(one), symbols.expression(one), symbols.gradient_in(one), _compiled(one), negative)
            for one, negative in terms]


def _operands(value: ast.expr) -> list[Target]:
    texts = dict.fromkeys(ast.unparse(atom) for atom in atoms(value)) if _is_harmless(value) else {}
    return [Target(text, compile(text, "<trace>", "eval")) for text in texts]


def atoms(value: ast.expr) -> Iterator[ast.expr]:
    """The variables of an expression, each as long as it is written: `cache.x[m]` is one, and what it is indexed with none."""
    if isinstance(value, (ast.Name, ast.Subscript)) or (isinstance(value, ast.Attribute) and not _is_call(value)):
        yield value
    elif isinstance(value, ast.Call):
        if isinstance(value.func, ast.Attribute) and getattr(value.func.value, "id", "") not in ("np", "self"):
            yield from atoms(value.func.value)                  # x.sum()
        for argument in value.args:
            yield from atoms(argument)
    else:
        for part in ast.iter_child_nodes(value):
            if isinstance(part, ast.expr):
                yield from atoms(part)


def _is_call(value: ast.Attribute) -> bool:
    """Whether the attribute is one of something computed, not of a variable: (a + b).T."""
    inner: ast.expr = value.value
    while isinstance(inner, (ast.Attribute, ast.Subscript)):
        inner = inner.value
    return not isinstance(inner, ast.Name)


def _summands(value: ast.expr, negative: bool) -> Iterator[tuple[ast.expr, bool]]:
    if isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Add, ast.Sub)):
        yield from _summands(value.left, negative)
        yield from _summands(value.right, negative != isinstance(value.op, ast.Sub))
    else:
        yield value, negative


def _is_harmless(value: ast.expr) -> bool:
    """Whether computing it twice changes nothing."""
    for node in ast.walk(value):
        if not isinstance(node, HARMLESS):
            return False
        if isinstance(node, ast.Call) and not _may_be_called(node.func):
            return False
    return True


def _may_be_called(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in PURE
    if not isinstance(function, ast.Attribute):
        return False
    owner = function.value
    if isinstance(owner, ast.Name) and owner.id == "self":
        return function.attr in PURE
    return (isinstance(owner, ast.Name) and owner.id == "np") or function.attr in {"mean", "reshape", "sum", "transpose"}


def _names(target: ast.expr) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name):
            yield node.id


def _compiled(value: ast.expr) -> CodeType:
    """The code of an expression, read even where it stood on the left."""
    return compile(ast.unparse(value), "<trace>", "eval")
