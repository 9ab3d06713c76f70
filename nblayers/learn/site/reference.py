"""The reference: every layer on a page of its own, all else that is public on a page for each package."""
import ast
import functools
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nblayers.learn import catalogue, formulas, latex, script
from nblayers.learn.site import docstrings, sources

PACKAGES = {"activations": "Activation functions", "losses": "Losses", "metrics": "Metrics", "optimizers": "Optimizers",
            "optimizers.schedules": "Learning-rate schedules", "initializers": "Initializers", "regularizers": "Regularizers",
            "constraints": "Constraints", "models": "Models", "callbacks": "Callbacks", "utils": "Utilities",
            "utils.data": "Datasets and loaders", "preprocessing.sequence": "Sequences, padded", "saving": "Saving",
            "gradient_check": "The gradient checker", "nn": "PyTorch’s names: nn", "optim": "PyTorch’s names: optim",
            "config": "Settings", "random": "Random numbers"}
TOP = ("gradcheck", "trace", "device", "get_device", "set_device", "Parameter")         # of nblayers itself
GROUPS = {"core": "Core layers", "einsum_dense": "Core layers", "input_layer": "Core layers", "input_spec": "Core layers",
          "base": "Core layers", "convolution": "Convolution", "pooling": "Pooling", "recurrent": "Recurrent layers",
          "attention": "Attention", "normalization": "Normalization", "regularization": "Dropout and regularization",
          "dropping": "Dropout and regularization", "reshaping": "Reshaping", "merging": "Merging",
          "activation": "Activation layers", "preprocessing": "Preprocessing", "crf": "Sequences of tags",
          "interop": "Other frameworks’ modules"}
EMPTY = inspect.Parameter.empty


@dataclass(frozen=True)
class Public:
    """Something with a public name.

    Attributes:
        name: the one under which it is described.
        others: further names of the same thing.
    """

    name: str
    thing: Any
    others: tuple[str, ...] = ()


@functools.cache
def public(package: str) -> tuple[Public, ...]:
    """The classes and functions that a package exports, in the order of their names."""
    module = importlib.import_module(f"nblayers.{package}" if package else "nblayers")
    names: dict[int, list[str]] = {}
    things: dict[int, Any] = {}
    for name in TOP if not package else getattr(module, "__all__", None) or dir(module):
        thing = getattr(module, name, None)
        if name.startswith("_") or not (inspect.isclass(thing) or callable(thing)) or inspect.ismodule(thing):
            continue
        if not getattr(thing, "__module__", "").startswith("nblayers") or (not package and name not in TOP):
            continue
        names.setdefault(id(thing), []).append(name)
        things[id(thing)] = thing
    found = []
    for key, called in names.items():
        own = getattr(things[key], "__name__", "")
        main = own if own in called else called[0]
        found.append(Public(main, things[key], tuple(name for name in called if name != main)))
    return tuple(sorted(found, key=lambda one: one.name.lower()))


@functools.cache
def layers() -> dict[str, str]:
    """Every class of `nblayers.layers` by its names, and the name of its page."""
    return {name: one.name for one in public("layers") if inspect.isclass(one.thing) for name in (one.name, *one.others)}


@functools.cache
def described(package: str) -> tuple[Public, ...]:
    """What a package's page describes: what it exports, without the layers, which have pages of their own."""
    classes = {id(one.thing) for one in public("layers") if inspect.isclass(one.thing)}
    return tuple(one for one in public(package) if package == "nn" or id(one.thing) not in classes)


@functools.cache
def _places() -> dict[str, str]:
    """By name, the document in which it is described: layers first, then the packages in their order."""
    found: dict[str, str] = {}
    for name, main in layers().items():
        found[name] = f"/reference/layers/{main}.md"
    for package in ("", "layers", *PACKAGES):
        for one in described(package):
            for name in (one.name, *one.others):
                if inspect.isclass(one.thing) or package in ("", "layers"):     # `get` alone may be anyone's
                    found.setdefault(name, f"#{anchor(package, one)}")
                found.setdefault(f"{package}.{name}", f"#{anchor(package, one)}")
    return found


def document(package: str) -> str:
    """The name of a package's page."""
    return "layer-functions" if package == "layers" else package.replace(".", "-") or "nblayers"


def anchor(package: str, one: Public) -> str:
    """The name of the place where it is described; `Huber` and `huber` need two."""
    kind = "" if inspect.isclass(one.thing) else "function-"
    return f"{document(package)}-{kind}{one.name}".lower().replace("_", "-")


def link(name: str) -> str:
    """Where a name in a docstring leads: to what is described, to a formula; "" for another."""
    if name in formulas.index():
        return f"/{sources.formula_page(name)}.md"
    plain = re.sub(r"\(.*\)$", "", name).removeprefix("nblayers.").removeprefix("layers.")
    return _places().get(plain, "")


def of_import_line(line: str) -> str:
    """Where the thing of `from nblayers.layers import LSTM` is described; "" if nowhere."""
    package, name = line.removeprefix("from nblayers").removeprefix(".").split(" import ")
    return link(name) if package == "layers" else _places().get(f"{package}.{name}", link(name))


def pages() -> Iterator[tuple[str, str]]:
    """All pages of the reference: document and Markdown."""
    groups: dict[str, list[str]] = {title: [] for title in GROUPS.values()}
    for one in public("layers"):
        if inspect.isclass(one.thing):
            groups[_group(one.thing)].append(one.name)
            yield f"reference/layers/{one.name}", _layer_page(one)
    yield "reference/layers/index", _layers_index(groups)
    for package, title in {"": "nblayers itself", "layers": "Functions of nblayers.layers", **PACKAGES}.items():
        yield f"reference/{document(package)}", _package_page(package, title)
    listed = "\n".join(["layers/index", *map(document, ["", "layers", *PACKAGES])])
    yield "reference/index", ("# Reference\n\nThe names, arguments and defaults are those of Keras 3, and PyTorch’s in `nn` "
                              "and `optim`. Every layer has a page with its equations.\n\n"
                              f"```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n")


def _group(thing: Any) -> str:
    topic = thing.__module__.removeprefix("nblayers.layers.").partition(".")[0]
    return GROUPS.get(topic, "Core layers")


def _layers_index(groups: Mapping[str, list[str]]) -> str:
    things = {one.name: one for one in public("layers")}
    out = ["# Layers"]
    for title, names in groups.items():
        if names:
            rows = [f"[`{name}`]({name}.md)\n: {docstrings.prose(_first(things[name].thing), link) or '—'}" for name in names]
            out += [f"## {title}", *rows]
    hidden = "\n".join(name for names in groups.values() for name in names)
    return "\n\n".join([*out, f"```{{toctree}}\n:hidden:\n\n{hidden}\n```"]) + "\n"


def _first(thing: Any) -> str:
    """The first sentence of a docstring."""
    paragraph = _document(thing).split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.:])\s", paragraph)[0] if paragraph else ""


def _document(thing: Any) -> str:
    own = thing.__doc__ if inspect.isclass(thing) else inspect.getdoc(thing)
    return inspect.cleandoc(own) if own else ""


def _layer_page(one: Public) -> str:
    thing = one.thing
    parts = [f"# {one.name}", *_described("layers", one), *_inherited(thing), *_methods(thing), *_where_used(one)]
    return "\n\n".join(parts) + "\n"


def _package_page(package: str, title: str) -> str:
    module = importlib.import_module(f"nblayers.{package}" if package else "nblayers")
    parts = [f"# {title}", "`import nblayers`" if not package else f"`from nblayers.{package} import …`"]
    if (said := _document(module)) and package not in ("", "layers"):
        parts.append(docstrings.markdown(said, link))
    for one in described(package):
        parts += [f"({anchor(package, one)})=\n## {one.name}", *_described(package, one)]
    return "\n\n".join(parts) + "\n"


def _described(package: str, one: Public) -> Iterator[str]:
    """Signature, docstring, where the source is."""
    kind = "class" if inspect.isclass(one.thing) else "function"
    module = f"nblayers.{package}" if package else "nblayers"
    yield f"```{{py:{kind}}} {one.name}{signature(one.thing)}\n:module: {module}\n```"
    if one.others:
        yield "Also called " + ", ".join(f"`{name}`" for name in one.others) + "."
    yield docstrings.markdown(_document(one.thing), link)
    where = _source(one.thing)
    if where:
        yield where


def _source(thing: Any) -> str:
    """A link to the page of the source, for what has one."""
    path = thing.__module__.replace(".", "/") + ".py"
    line = _beginnings(path).get(thing.__name__, 0) if sources.address(path) else 0
    if not line:
        return ""
    up = "../../" if thing.__name__ in layers() else "../"
    return f'<p class="read-source"><a href="{up}{sources.address(path, line)}">Read the source: {path}, line {line}</a></p>'


@functools.cache
def _beginnings(path: str) -> dict[str, int]:
    """The lines on which the classes and functions of a file begin."""
    tree = ast.parse((sources.ROOT / path).read_text(encoding="utf-8"))
    return {node.name: node.lineno for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}


def signature(thing: Any) -> str:
    """The arguments with their defaults, as they are written; without annotations that say nothing."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(...)"
    shown = []
    for parameter in found.parameters.values():
        default = parameter.default
        if default is not EMPTY and not isinstance(default, (str, int, float, bool, tuple, type(None))):
            parameter = parameter.replace(default=_Shown(getattr(default, "__name__", "...")))
        shown.append(parameter.replace(annotation=EMPTY))
    return str(found.replace(parameters=shown, return_annotation=EMPTY)).replace("\n", " ")


class _Shown:
    """A default that is shown as a word."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __repr__(self) -> str:
        return self.word


def _inherited(thing: Any) -> Iterator[str]:
    """The classes of the library whose equations and arguments it has, with their docstrings folded."""
    said = _document(thing)
    for base in thing.__mro__[1:]:
        named = f"`{base.__name__}`" in said
        if base.__module__.startswith("nblayers.layers") and base.__doc__ and named and base.__name__ not in layers():
            yield (f"::::::::{{container}} inherited\n**From `{base.__name__}`**\n\n"
                   f"{docstrings.markdown(_document(base), link)}\n::::::::")


def _methods(thing: Any) -> Iterator[str]:
    """Public methods of its own that say something."""
    own = {name: method for base in reversed(thing.__mro__) if base.__module__.startswith("nblayers") and (
        base is thing or (base.__name__ not in layers() and base.__name__ != "Layer"))
        for name, method in vars(base).items()
        if inspect.isfunction(method) and not name.startswith("_") and method.__doc__}
    if own:
        yield "## Methods"
    for name, method in own.items():
        arguments = re.sub(r"^\(self(, )?", "(", signature(method))
        yield f"```{{py:method}} {thing.__name__}.{name}{arguments}\n:module: nblayers.layers\n```"
        yield docstrings.markdown(inspect.cleandoc(method.__doc__ or ""), link)


@functools.cache
def _formulas_by_line() -> dict[str, list[str]]:
    """By import line, the identifiers of the formulas that the thing computes."""
    found: dict[str, list[str]] = {}
    for formula in formulas.index().values():
        for line in formulas.layers(formula):
            found.setdefault(line, []).append(formula.id)
    return found


def _where_used(one: Public) -> Iterator[str]:
    """Its formulas and the lessons that work with it."""
    ids = list(dict.fromkeys(identifier for name in (one.name, *one.others)
                             for identifier in _formulas_by_line().get(f"from nblayers.layers import {name}", ())))
    at = [path for path in catalogue.lessons() if one.name in _lesson_layers(path)]
    if ids or at:
        yield "## Look up"
    if ids:
        yield "**Formulas:** " + " · ".join(map(docstrings.formula_link, ids))
    if at:
        names = ((path, f"{catalogue.number_of(path)} {docstrings.escaped(title(path))}") for path in at)
        yield "**Lessons:** " + " · ".join(f"[{name}](/lessons/{path.stem}.ipynb)" for path, name in names)


def _lesson_layers(path: Any) -> list[str]:
    from nblayers.learn.site import lessons
    return lessons.layers_of(path)


@functools.cache
def title(path: Any) -> str:
    """A lesson's title without its subtitle, or the subtitle of a program."""
    first, _, rest = latex.in_sentence(script.read(path).title).partition(": ")
    return rest if first == "Program" else first
