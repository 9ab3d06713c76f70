"""Which steps of a lesson train: the stepper asks before it runs through them for the first time."""
import ast
import inspect
import re
import textwrap
import types
from collections.abc import Mapping
from typing import Any

from nblayers.learn.script import Step

METHODS = {"fit", "train_on_batch"}
MANY_TURNS = 1000                       # of a loop, written as a number
TIME = re.compile(r"#.*\b(seconds|minutes?)\b")         # the lesson's own line says how long it takes


def trains(step: Step, namespace: Mapping[str, Any]) -> bool:
    """Whether a step trains a model, or runs a long loop: itself, or in a function of the lesson that it calls.

    A comment that tells how many seconds or minutes it takes says so too.
    """
    return bool(TIME.search(step.source)) or any(_trains(node, namespace, set()) for node in step.nodes)


def _trains(tree: ast.AST, namespace: Mapping[str, Any], seen: set[str]) -> bool:
    if isinstance(tree, (ast.FunctionDef, ast.ClassDef)) and not seen:
        return False                                    # defining it runs nothing
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and _is_long(node.iter, namespace):
            return True
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            return True
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name and name not in seen and _function_trains(namespace.get(name), namespace, {*seen, name}):
            return True
    return False


def _function_trains(function: Any, namespace: Mapping[str, Any], seen: set[str]) -> bool:
    """The same for a function that the lesson defines."""
    if not isinstance(function, types.FunctionType) or function.__globals__.get("__name__") != "__main__":
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    return any(_trains(part, namespace, seen) for part in tree.body)


def _is_long(turns: ast.expr, namespace: Mapping[str, Any]) -> bool:
    """Whether a loop runs over `range(N)` with a large N, written as a number or a variable."""
    if not (isinstance(turns, ast.Call) and isinstance(turns.func, ast.Name) and turns.func.id == "range"):
        return False
    values = [namespace.get(part.id) if isinstance(part, ast.Name) else getattr(part, "value", None) for part in turns.args]
    return any(isinstance(value, int) and value >= MANY_TURNS for value in values)
