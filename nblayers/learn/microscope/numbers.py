"""What a line computes as a tree that the page can write with numbers, and compute again.

A tree is a number, the name of an operand (a text), or a list: an operation and the trees of its arguments. Operations are
+ - * / ^ neg @ T channel and the names of functions. `["@", a, b]` is a row of a times a column of b, `["T", a]` is a with rows
and columns exchanged, `["channel", a]` has a number for each channel. The page can compute what is KNOWN.
"""
import ast
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nblayers.learn.trace import Entry
from nblayers.learn.trace.lines import atoms

BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@"}
FUNCTIONS = {"tanh": "tanh", "exp": "exp", "log": "log", "sqrt": "sqrt", "maximum": "max", "minimum": "min",
             "_sigmoid": "sigmoid", "_slope": "f'", "_activate": "f", "_by_channel": "channel"}
KNOWN = {*BINARY.values(), "^", "neg", "T", "channel", "tanh", "exp", "log", "sqrt", "max", "min", "sigmoid"}


def tree(source: str) -> Any:
    """The tree of a statement's right side, or of an expression; None where it is more than a formula."""
    if not source:
        return None
    statement = ast.parse(source).body[0]
    value = getattr(statement, "value", None)
    if value is None or isinstance(statement, ast.Return):
        return None
    try:
        found = _tree(value)
    except ValueError:
        return None
    return None if isinstance(found, str) else found


def resolved(found: Any, values: Mapping[str, np.ndarray]) -> Any:
    """A tree in which a kernel's activation, given as a number, is written out: kernels/reference/recurrent.py has them."""
    if not isinstance(found, list):
        return found
    if found[0] not in ("f", "f'"):
        return [found[0], *(resolved(part, values) for part in found[1:])]
    which = int(values[found[2]]) if found[2] in values else -1
    of = resolved(found[1], values)
    if found[0] == "f":
        return {0: of, 1: ["tanh", of], 2: ["sigmoid", of], 3: ["max", of, 0]}.get(which, ["f", of])
    return {0: 1, 1: ["-", 1, ["^", of, 2]], 2: ["*", of, ["-", 1, of]]}.get(which, ["f'", of])


def operands(found: Any) -> list[str]:
    """The operands in a tree."""
    if isinstance(found, str):
        return [found]
    return [name for part in found[1:] for name in operands(part)] if isinstance(found, list) else []


def computes(found: Any) -> bool:
    """Whether the page can compute the tree: it knows all that is done in it."""
    return not isinstance(found, list) or (found[0] in KNOWN and all(map(computes, found[1:])))


def parts(entry: Entry, found: Any) -> list[Any]:
    """The tree of each part of an entry; None where the page could not compute it."""
    terms = list(_terms(found, False))
    if len(terms) != len(entry.parts):
        return [None] * len(entry.parts)
    return [term if computes(term) and all(name in entry.operands for name in operands(term)) else None for term in terms]


def _terms(found: Any, negative: bool) -> Iterator[Any]:
    if isinstance(found, list) and found[0] in ("+", "-"):
        yield from _terms(found[1], negative)
        yield from _terms(found[2], negative != (found[0] == "-"))
    else:
        yield ["neg", found] if negative else found


def _tree(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return ["neg", _tree(node.operand)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return ["^", _tree(node.left), _tree(node.right)]
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        return [BINARY[type(node.op)], _tree(node.left), _tree(node.right)]
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, ast.Attribute) and node.attr == "T" and next(atoms(node), None) is not node:
        return ["T", _tree(node.value)]
    if next(atoms(node), None) is node:
        return ast.unparse(node)
    raise ValueError(ast.unparse(node))


def _call(node: ast.Call) -> Any:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    owner = getattr(node.func, "value", None)
    if node.keywords or (owner is not None and getattr(owner, "id", "") not in ("np", "self")):
        raise ValueError(ast.unparse(node))
    if name not in FUNCTIONS:
        raise ValueError(ast.unparse(node))
    return [FUNCTIONS[name], *map(_tree, node.args)]
