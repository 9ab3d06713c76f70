"""Lambdas as Python's bytecode, as Keras writes them, and with what tells whether this Python can run it."""
import base64
import builtins
import dis
import importlib.util
import marshal
import platform
import sys
from collections.abc import Iterator
from importlib import import_module
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

_MAGIC = importlib.util.MAGIC_NUMBER.hex()      # changes with the meaning of bytecode


def is_lambda(function: Any) -> bool:
    return isinstance(function, FunctionType) and function.__name__ == "<lambda>"


def write(function: FunctionType, who: str = "a lambda") -> dict[str, Any]:
    """The lambda in Keras' form, with what Keras leaves out: the version of Python, the modules that it uses, its values.

    Arguments:
        function: the lambda.
        who: opens error messages.

    Raises:
        TypeError: it uses what cannot be written: a global name other than a module's, an array, a function, an object.
    """
    modules = {name: _module(who, value) for name, value in _globals(function, who)}
    closed: list[Any] = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        value = _contents(cell, name, who)
        if isinstance(value, ModuleType):
            modules[name], value = _module(who, value), None
        closed.append(_plain(value, repr(name), who))
    defaults, keywords = function.__defaults__, function.__kwdefaults__
    for value in [*(defaults or ()), *(keywords or {}).values()]:
        _plain(value, "a default", who)
    return {"code": _text(marshal.dumps(function.__code__)), "defaults": defaults, "closure": tuple(closed) or None,
            "python": platform.python_version(), "magic": _MAGIC, "modules": modules,
            "values": _text(marshal.dumps((defaults, keywords, tuple(closed))))}


def read(config: Any) -> FunctionType:
    """The lambda that was written; it sees NumPy as `np`, its modules and Python's own functions, and no other global name.

    This makes code that could do anything: only for a configuration that is trusted.

    Raises:
        ValueError: bytecode of another version of Python, or of one that is not told, which could crash this one; damaged.
    """
    if not isinstance(config, dict) or not isinstance(config.get("code"), str):
        raise ValueError("cannot read the lambda's bytecode: expected a dictionary with its code")
    if "magic" not in config:
        raise ValueError("the lambda's bytecode does not tell the version of Python that wrote it (Keras' files do not), and "
                         "that of another version crashes: hand the function over in custom_objects={'NAME OF THE LAYER': "
                         "function}, or write the model with a named function")
    if config["magic"] != _MAGIC:
        raise ValueError(f"the lambda's bytecode was written by Python {config.get('python')} and cannot run in "
                         f"{platform.python_version()}: read it there, or use a named function")
    try:
        code = marshal.loads(base64.b64decode(config["code"]))
        defaults, keywords, closed = marshal.loads(base64.b64decode(config["values"]))
        modules = {name: import_module(module) for name, module in config["modules"].items()}
        cells = tuple(CellType(modules.get(name, value)) for name, value in zip(code.co_freevars, closed, strict=True))
        function = FunctionType(code, {"np": np, **modules}, code.co_name, defaults, cells)
    except (ValueError, EOFError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise ValueError(f"cannot read the lambda's bytecode: it is damaged ({error})") from error
    function.__kwdefaults__ = keywords
    return function


def _text(data: bytes) -> str:
    return base64.encodebytes(data).decode("ascii")


def _globals(function: FunctionType, who: str) -> Iterator[tuple[str, Any]]:
    """The global names that the code uses, Python's own apart, with their values."""
    for name in dict.fromkeys(_global_names(function.__code__)):
        if name in function.__globals__:
            value = function.__globals__[name]
            if not isinstance(value, ModuleType):
                raise _refused(who, f"the global name {name!r}, {_kind(value)}")
            yield name, value
        elif not hasattr(builtins, name):
            raise _refused(who, f"the name {name!r}, which is not defined")


def _global_names(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _module(who: str, module: Any) -> str:
    """The name of a module that another program can import, too."""
    name = str(module.__name__)
    if sys.modules.get(name) is not module or name == "__main__":
        raise _refused(who, f"the module {name!r}, which cannot be imported by its name")
    return name


def _contents(cell: CellType, name: str, who: str) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        raise _refused(who, f"{name!r}, which has no value yet") from None


def _plain(value: Any, name: str, who: str) -> Any:
    """The value, if it is made of Python's own numbers, strings, lists, tuples and dictionaries."""
    if type(value) in (list, tuple):
        for item in value:
            _plain(item, name, who)
    elif type(value) is dict:
        for key, item in value.items():
            _plain(key, name, who), _plain(item, name, who)
    elif value is not None and type(value) not in (bool, int, float, str):
        raise _refused(who, f"{name}, {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"a {type(value).__name__}"


def _refused(who: str, what: str) -> TypeError:
    return TypeError(f"{who} uses {what}: this cannot be written down. Use a named function that is registered with "
                     "register_keras_serializable; plain values can be arguments={...} or defaults of the lambda")
