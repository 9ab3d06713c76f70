"""The command `nblayers gradcheck my_layers.py:LSTM --shape 2,5,3`: check the backward of what stands in a file."""
import argparse
import importlib.util
import inspect
import json
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from nblayers.learn.saying import fail


class Wanted(NamedTuple):
    """One input to be made: its shape; for integers, from which number to which."""

    shape: tuple[int, ...]
    integers: tuple[int, int] | None = None


class Refused(Exception):
    """What the user is told instead of a report."""


def add(commands: Any) -> None:
    """Add the command to the command line's parser."""
    command: argparse.ArgumentParser = commands.add_parser(
        "gradcheck", help="check the backward of a layer in a file of yours", allow_abbrev=False,
        description="Compare the backward of a layer with numeric derivatives of its forward. For a Layer, for an object of "
                    "any class with a forward and a backward, and for two functions.",
        epilog="Exit code: 0 every gradient is right, 1 one is wrong, 2 nothing could be checked.")
    command.add_argument("target", metavar="FILE.py:NAME",
                         help="a class, an object, or two functions FILE.py:forward,backward; without :NAME, what the file has")
    command.add_argument("--shape", action=AddInput, dest="inputs", default=[], metavar="2,5,3",
                         help="an input of this shape, drawn at random; once for each input")
    command.add_argument("--int", action=SetIntegers, dest="inputs", metavar="LOW,HIGH",
                         help="the --shape before it holds integers from LOW to HIGH - 1, as token ids")
    command.add_argument("--args", metavar="JSON", help="arguments of the class: '{\"units\": 4}', or a list")
    command.add_argument("--training", action="store_true", help="call forward with training=True")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of the random numbers")
    command.add_argument("--params", action="append", default=[], metavar="W=dW",
                         help="a weight and its gradient, for a class that is no Layer: attributes, dictionaries or lists; may "
                              "be repeated; by default they are found by their names")
    command.add_argument("--forward", metavar="NAME", help="the method, for a class that is no Layer")
    command.add_argument("--backward", metavar="NAME")
    command.add_argument("--html", type=Path, metavar="FILE", help="write the report as a page too")
    command.set_defaults(run=run)


class AddInput(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        shape = _integers(parser, option, values)
        namespace.inputs = [*namespace.inputs, Wanted(shape)]


class SetIntegers(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        bounds = _integers(parser, option, values)
        if len(bounds) != 2 or bounds[0] >= bounds[1]:
            parser.error(f"{option}: expected LOW,HIGH with LOW below HIGH, got {values}")
        if not namespace.inputs:
            parser.error(f"{option} belongs after the --shape of the input that holds integers")
        namespace.inputs = [*namespace.inputs[:-1], namespace.inputs[-1]._replace(integers=bounds)]


def _integers(parser: Any, option: Any, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.replace("x", ",").split(",") if word.strip())
    except ValueError:
        raise parser.error(f"{option}: expected whole numbers such as 2,5,3, got {text}") from None


def run(given: argparse.Namespace, rest: list[str]) -> int:
    """Check what is asked for and print the report; returns the exit code."""
    try:
        report = _report(given)
    except Refused as refused:
        return fail(str(refused))
    print(report)
    if not report.passed:
        _show_map(report)
    if given.html is not None:
        try:
            report.to_html(given.html)
        except OSError as error:
            return fail(f"cannot write {given.html}: {error.strerror}")
        print(f"wrote {given.html}")
    return 0 if report.passed else 1


def _show_map(report: Any) -> None:
    from rich.console import Console

    from nblayers.gradient_check import heatmap
    if heatmap.shown(report):
        print()
        Console().print(heatmap.renderable(report))


def _report(given: argparse.Namespace) -> Any:
    path, _, names = given.target.partition(":")
    namespace = _load(Path(path))
    if not names:
        raise Refused(f"which of {path}? {_what_is_there(namespace, path)}")
    found = [_find(namespace, name, path) for name in names.split(",")]
    if len(found) > 2:
        raise Refused(f"expected one name, or a forward and a backward, got {names}")
    if len(found) == 1 and inspect.isroutine(found[0]):
        raise Refused(f"{names} is a function: its backward is wanted too, as {path}:{names},BACKWARD")
    things = found if len(found) == 2 else [_made(found[0], given)]
    return _checked(things, given, path)


def _load(path: Path) -> dict[str, Any]:
    """What a file defines; its own folder can be imported from."""
    if not path.is_file():
        raise Refused(f"there is no file {path}")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem if path.stem not in sys.modules else f"_checked_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise Refused(f"{path} is no Python file: its name should end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise Refused(f"{error.filename or path}, line {error.lineno}: {error.msg}") from error
    except SystemExit as error:
        raise Refused(f"{path} ends the program (exit code {error.code}) when it is imported: put what it runs under "
                      "if __name__ == \"__main__\"") from error
    except Exception as error:
        raise Refused(f"{path} cannot be imported: {_told(error, path)}") from error
    return vars(module)


def _told(error: BaseException, path: str | Path) -> str:
    """An error and the line of the user's file that it comes from."""
    errors = [error, *([error.__cause__] if error.__cause__ else [])]
    frames = [frame for each in errors for frame in traceback.extract_tb(each.__traceback__)]
    own = next((frame for frame in reversed(frames) if Path(frame.filename).resolve() == Path(path).resolve()), None)
    return f"{type(error).__name__}: {error}" + (f" ({path}, line {own.lineno})" if own else "")


def _find(namespace: dict[str, Any], name: str, path: str) -> Any:
    thing: Any = namespace.get(name.strip().split(".")[0])
    for part in name.strip().split(".")[1:]:
        thing = getattr(thing, part, None)
    if thing is None:
        raise Refused(f"{path} has no {name.strip()}: {_what_is_there(namespace, path)}")
    return thing


def _what_is_there(namespace: dict[str, Any], path: str) -> str:
    """The classes and functions that the file itself defines."""
    own = {name: thing for name, thing in namespace.items()
           if not name.startswith("_") and getattr(thing, "__module__", None) == namespace["__name__"]}
    classes = [name for name, thing in own.items() if inspect.isclass(thing)]
    functions = [name for name, thing in own.items() if inspect.isfunction(thing)]
    words = [f"{kind} {', '.join(names)}" for kind, names in (("the classes", classes), ("the functions", functions)) if names]
    return f"it has {' and '.join(words)}" if words else "it has neither classes nor functions"


def _made(found: Any, given: argparse.Namespace) -> Any:
    """An object of the class found."""
    if not inspect.isclass(found):
        return found
    try:
        arguments = json.loads(given.args) if given.args else {}
    except json.JSONDecodeError as error:
        raise Refused(f"--args: expected JSON such as '{{\"units\": 4}}', got {given.args} ({error.msg})") from error
    try:
        if isinstance(arguments, dict):
            return found(**arguments)
        return found(*(arguments if isinstance(arguments, list) else [arguments]))
    except Exception as error:
        hint = "" if given.args else f"; arguments are given as --args '{_example(found)}'"
        raise Refused(f"{found.__name__} cannot be made: {type(error).__name__}: {error}{hint}") from error


def _example(cls: type) -> str:
    """The arguments that a class needs, as JSON to fill in."""
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return "{…}"
    needed = [p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return "{" + ", ".join(f'"{name}": …' for name in needed) + "}"


def _checked(things: list[Any], given: argparse.Namespace, path: str) -> Any:
    """The report on a layer, an object, or two functions."""
    import numpy as np

    from nblayers.gradient_check import anyone
    from nblayers.layers.base import Layer
    rng = np.random.default_rng(given.seed)
    inputs = [_drawn(wanted, rng) for wanted in given.inputs]
    options: dict[str, Any] = {"seed": given.seed, "raise_error": False} | ({"training": True} if given.training else {})
    is_plain = len(things) == 1 and not isinstance(things[0], Layer)
    named = {"params": _params(given.params), "forward": given.forward, "backward": given.backward}
    told = {name: value for name, value in named.items() if value is not None}
    if told and not is_plain:
        raise Refused(f"--{next(iter(told))} is for objects that are no Layer")
    if not inputs:
        raise Refused("which inputs? Say their shapes: --shape 2,5,3, once for each input")
    try:
        return anyone.check(*things, *inputs, **options | told)
    except Exception as error:
        shapes = ", ".join(str(wanted.shape) for wanted in given.inputs)
        raise Refused(f"{given.target} cannot be checked with inputs of shape {shapes}: {_told(error, path)}") from error


def _drawn(wanted: Wanted, rng: Any) -> Any:
    return rng.normal(size=wanted.shape) if wanted.integers is None else rng.integers(*wanted.integers, wanted.shape)


def _params(words: list[str]) -> Any:
    """What --params says; None if it says nothing."""
    pairs = [pair.strip() for word in words for pair in word.split(",") if pair.strip()]
    return {name: gradient or None for name, _, gradient in (pair.partition("=") for pair in pairs)} or None
