"""Stepping into a function of the lesson: which call comes first in a statement, and the frame its body runs in.

The stepper runs the body of a function one statement at a time. Each call gets a frame: a dict that holds what the function
can see of the lesson and its own variables. The statement that called is run after that, with the call replaced by its value.
"""
import ast
import builtins
import copy
import inspect
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FRAME = "__frame__"                     # marks the dict of a frame
SOMETIMES = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class CannotGo(Exception):
    """A step back or a step into something that is not possible, and why."""


class Returned(BaseException):          # not an Exception: the function's own `except Exception` must not see it
    """What `return` raises in a function that was stepped into."""

    def __init__(self, value: Any = None) -> None:
        self.value = value


@dataclass(frozen=True)
class Frame:
    """A function that was stepped into: its name, its variables, and the name by which its caller gets the value."""

    name: str
    namespace: dict[str, Any]
    result: str


@dataclass(frozen=True)
class Target:
    """A call that can be stepped into: in which statement of the step it stands, and what it calls."""

    index: int
    call: ast.Call
    function: types.FunctionType
    definition: ast.FunctionDef

    @property
    def name(self) -> str:
        return self.function.__name__


def find(nodes: Sequence[ast.stmt], namespace: Mapping[str, Any], definitions: Iterable[ast.stmt], filename: str) -> Target:
    """The first call of a function that the lesson defines.

    Raises:
        CannotGo: there is none that can be stepped into.
    """
    for i, node in enumerate(nodes):
        for call in _in_order(_evaluated(node)):
            function = _resolve(call.func, namespace) if isinstance(call, ast.Call) else None
            if isinstance(function, types.FunctionType) and function.__code__.co_filename == filename:
                assert isinstance(call, ast.Call)
                return Target(i, call, function, _definition(function, definitions))
            if not _is_harmless(call, namespace):
                raise CannotGo("the next step calls no function of the lesson, or calls something else before it")
        if not isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Assert, ast.Expr)):
            break
    raise CannotGo("the next step is not a for loop, and calls no function of the lesson")


def _definition(function: types.FunctionType, definitions: Iterable[ast.stmt]) -> ast.FunctionDef:
    code = function.__code__
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise CannotGo(f"{function.__name__} is a generator: it can only be run as a whole")
    found = (node for top in definitions for node in ast.walk(top) if isinstance(node, ast.FunctionDef)
             and node.name == code.co_name and code.co_firstlineno in (node.lineno, *(d.lineno for d in node.decorator_list)))
    definition = next(found, None)
    if definition is None:
        raise CannotGo(f"{function.__name__} is a lambda or wrapped by a decorator: it can only be run as a whole")
    if any(isinstance(node, (ast.Global, ast.Nonlocal)) for node in ast.walk(definition)):
        raise CannotGo(f"{function.__name__} changes outer variables (global, nonlocal): it can only be run as a whole")
    return definition


def new_frame(target: Target, arguments: tuple[Sequence[Any], Mapping[str, Any]]) -> Frame:
    """The frame of a call with these arguments, given by position and by name.

    Raises:
        TypeError: they do not fit the function.
    """
    function, code = target.function, target.function.__code__
    bound = inspect.signature(function).bind(*arguments[0], **arguments[1])
    bound.apply_defaults()
    own = {*code.co_varnames, *code.co_cellvars}
    seen = {name: value for name, value in function.__globals__.items()
            if name not in own and not name.startswith(("__items_", "__returned_"))}
    outer = dict(zip(code.co_freevars, (cell.cell_contents for cell in function.__closure__ or ()), strict=True))
    result = f"__returned_{target.call.lineno}_{target.call.col_offset}__"
    return Frame(target.name, {**seen, **outer, **bound.arguments, FRAME: Returned}, result)


def arguments_of(call: ast.Call) -> ast.expr:
    """An expression whose value is the call's arguments: a tuple and a dict."""
    collect = ast.parse("lambda *args, **kwargs: (args, kwargs)", mode="eval").body
    return ast.fix_missing_locations(ast.copy_location(ast.Call(collect, call.args, call.keywords), call))


def with_value(statement: ast.stmt, call: ast.Call, name: str) -> ast.stmt:
    """A copy of the statement in which the variable `name` stands for the call."""
    return _Replace(call, name).visit(copy.deepcopy(statement, {id(call): call}))


def without_return(definition: ast.FunctionDef) -> ast.FunctionDef:
    """A copy of a function in whose own body every `return` is a `raise`, so that its statements can stand alone."""
    return _Raise().visit(copy.deepcopy(definition))


class _Replace(ast.NodeTransformer):
    def __init__(self, call: ast.Call, name: str) -> None:
        self.call, self.name = call, name

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if node is self.call:
            return ast.copy_location(ast.Name(self.name, ast.Load()), node)
        return self.generic_visit(node)


class _Raise(ast.NodeTransformer):
    inside = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if self.inside:
            return node
        self.inside = True
        return self.generic_visit(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        call = ast.Call(ast.Name(FRAME, ast.Load()), [node.value] if node.value else [], [])
        return ast.fix_missing_locations(ast.copy_location(ast.Raise(call, None), node))


def _evaluated(node: ast.stmt) -> ast.expr | None:
    """The expression that a statement surely evaluates, once, before anything else."""
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr)):
        return node.value
    if isinstance(node, (ast.If, ast.Assert)):
        return node.test
    return node.exc if isinstance(node, ast.Raise) else node.iter if isinstance(node, ast.For) else None


def _in_order(node: ast.AST | None) -> Iterator[ast.AST]:
    """The calls of an expression in the order in which they are made; what runs perhaps, or often, comes as one node."""
    if node is None or isinstance(node, ast.Lambda):
        return
    first = (node.test if isinstance(node, ast.IfExp) else node.values[0] if isinstance(node, ast.BoolOp) else
             node.generators[0].iter if isinstance(node, SOMETIMES) else None)
    if first is not None:
        yield from _in_order(first)
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)
    if isinstance(node, ast.Call):
        yield node


def _resolve(node: ast.expr, namespace: Mapping[str, Any]) -> Any:
    """What a name, or a name with dots, stands for; None if that cannot be told without running something."""
    if isinstance(node, ast.Name):
        return namespace.get(node.id, getattr(builtins, node.id, None))
    if isinstance(node, ast.Attribute):
        return inspect.getattr_static(owner, node.attr, None) if isinstance(
            owner := _resolve(node.value, namespace), (types.ModuleType, type, np.ndarray, str)) else None
    return None


def _is_harmless(node: ast.AST, namespace: Mapping[str, Any]) -> bool:
    """Whether it makes no difference if a function is called before this: nothing changes by it, nothing is drawn at random."""
    if not isinstance(node, ast.Call):
        return not any(isinstance(part, ast.Call) and not _is_harmless(part, namespace) for part in ast.walk(node))
    called = _resolve(node.func, namespace)
    if isinstance(called, types.MethodDescriptorType):
        return True                                             # of an array or a string
    module = getattr(called, "__module__", None) or ""
    return isinstance(called, np.ufunc) or module == "builtins" or (
        module.split(".")[0] == "numpy" and not module.startswith("numpy.random"))
