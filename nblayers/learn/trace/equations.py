"""The numbered equations of a docstring, as LaTeX."""
import ast
import functools
import re
from pathlib import Path

from nblayers.learn.trace.symbols import GREEK

EQUATION = re.compile(r"^ +(\S.*?) {2,}\((\d+'?|\d{3}\.\w+(?:\.\w+)*~?)\)(?:\s|$)", re.MULTILINE)
TILDE = re.compile(r"\b([a-zA-Z])~")
WORDS = re.compile(r"(?<![\\\w])(tanh|exp|log|max|min)\b")
SPELLED = re.compile(r"(?<![\\\w])(" + "|".join(sorted(GREEK, key=len, reverse=True)) + r")\b")
PHRASE = re.compile(r"(?<![\\\w{_^])(?:(?:[A-Za-z]{4,}(?:\\_[a-z]+)*|if|the|in|of|at|for|with|and|by|any|are|not|it|is)"
                    r"(?![_^\w])[ ,]*)+")
SAID = re.compile(r"(\\(?:text|mathrm|mathtt|operatorname)\{[^}]*\})")


def equation(path: str, function: str, mark: str) -> str:
    """What equation `mark` says, as LaTeX: of the class that the function belongs to, else of the file; "" if none says so.

    A class inherits its parents' equations where they stand in the same file.
    """
    documents = _documents(path)
    for owner in [*_owners(path, function), ""]:
        if mark in (found := documents.get(owner, {})):
            return found[mark]
    return ""


@functools.cache
def _documents(path: str) -> dict[str, dict[str, str]]:
    """The equations of each class and top function of a file, by number; the file's own under ""."""
    tree = _tree(path)
    found = {"": _equations(ast.get_docstring(tree, clean=False) or "")}
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found[node.name] = _equations(ast.get_docstring(node, clean=False) or "")
    return found


def _owners(path: str, function: str) -> list[str]:
    """The class of a method and its bases in the file, the nearest first."""
    owner = function.partition(".")[0]
    bases = {node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
             for node in _tree(path).body if isinstance(node, ast.ClassDef)}
    found = [owner]
    for name in found:
        found += [base for base in bases.get(name, ()) if base not in found]
    return found


@functools.cache
def _tree(path: str) -> ast.Module:
    return ast.parse(Path(path).read_text(encoding="utf-8"))


def _equations(document: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text, mark in EQUATION.findall(document):
        found.setdefault(mark, latex(text))
    return found


def latex(text: str) -> str:
    r"""An equation of a docstring as LaTeX proper: `c~_t = f_t c_{t-1} + i_t tanh z` with its \tilde{c}_t and \tanh."""
    return "".join(part if SAID.fullmatch(part) else _formula(part) for part in SAID.split(text))


def _formula(text: str) -> str:
    """Without what stands in \\text already."""
    text = re.sub(r"`(\w+)`", r"\1", text)
    text = re.sub(r"\s{2,}=", " =", text)
    text = TILDE.sub(r"\\tilde{\1}", text)
    text = WORDS.sub(r"\\\1", text)
    text = SPELLED.sub(r"\\\1", text)
    text = re.sub(r"\s{2,}", r"\\quad ", text)
    return PHRASE.sub(r"\\text{\g<0>}", text)
