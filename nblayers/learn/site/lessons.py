"""Lessons as pages: a turn shows its question, with the answer folded; what was printed and drawn stands below its line."""
import ast
import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nblayers.learn import catalogue, formulas, latex, script
from nblayers.learn.script import Step
from nblayers.learn.site import microscope, sources
from nblayers.learn.site.docstrings import block, escaped, for_mathjax, formula_link
from nblayers.learn.site.outputs import Outputs

PARTS = {"00": "The craft", "06": "Sequences", "12": "Layers for words and images", "17": "What makes networks learn",
         "24": "Speed, and whole programs"}            # by the lesson that begins each
DISPLAYED = re.compile(r"\$\$(?P<formula>(?:[^$]|\\\$)*?)\\tag\{(?P<tag>[^}]*)\}(?P<rest>(?:[^$]|\\\$)*?)\$\$")
NAMED = re.compile(r"\b[Ll]esson (\d\d[a-z]?)\b")
PICTURE = re.compile(r"^picture: \S*?([\w-]+)\.png\n", re.MULTILINE)
SCOPE = re.compile(r"^page: \S*?([\w-]+)\.html\n", re.MULTILINE)
SOURCE = re.compile(r"^(?P<path>(?:kernels|nblayers|lessons)/[\w/]+\.py), line (?P<line>\d+)\n\n(?P<code>(?:(?: {4}.*)?\n)+)",
                    re.MULTILINE)


@dataclass(frozen=True)
class Figure:
    """A picture that a lesson drew."""

    page: str                           # the lesson's file among the pages
    title: str                          # the lesson's
    file: Path
    words: str                          # what it shows


@dataclass
class Page:
    """A lesson as a notebook for MyST-NB, and what others say of it."""

    name: str
    title: str
    cells: list[dict[str, Any]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    scopes: list[Path] = field(default_factory=list)    # pages of the microscope

    def text(self) -> str:
        """The notebook's file."""
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        return json.dumps({"cells": self.cells, "nbformat": 4, "nbformat_minor": 5,
                           "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}}}, ensure_ascii=False)

    def add_text(self, text: str) -> None:
        self.cells.append({"cell_type": "markdown", "id": f"cell-{len(self.cells)}", "metadata": {}, "source": text})

    def add_code(self, code: str, prompt: str = "", outputs: Sequence[dict[str, Any]] = ()) -> None:
        """Code, folded under `prompt` if one is given."""
        prompts = {"code_prompt_show": prompt, "code_prompt_hide": prompt}
        metadata = {"tags": ["hide-input"], "mystnb": prompts} if prompt else {}
        self.cells.append({"cell_type": "code", "id": f"cell-{len(self.cells)}", "metadata": metadata, "source": code,
                           "outputs": list(outputs), "execution_count": None})


def document(path: Path) -> str:
    """The name of a lesson's page, without its suffix."""
    return f"lessons/{path.stem}"


def anchor(path: Path, identifier: str) -> str:
    """The name of the place where a lesson shows a formula."""
    return f"in-{path.stem}-{identifier}".lower().replace("~", "-tilde").replace(".", "-")


def page(path: Path, outputs: Outputs | None) -> Page:
    """The page of a lesson; without its outputs, it says so."""
    lesson = script.read(path)
    made = Page(path.stem, latex.in_sentence(lesson.title))
    seen: set[str] = set()
    heading = ""
    for cell in lesson.cells:
        if cell.kind == "text":
            source = cell.source
            if not made.cells:
                before, section, after = source.partition("\n## ")
                made.add_text(f"{_text(path, before, seen)}\n\n{_how_to(path, outputs is not None)}")
                source = (section + after).lstrip()
            if source:
                made.add_text(_text(path, source, seen))
            heading = next((words for _, words in reversed([*script.headings(cell.source)])), heading)
            continue
        for steps in script.runs(cell):
            question = steps[0].question
            prompt = ""
            if question is not None:
                made.add_text(f"{{.turn}}\n**{'A guess' if question.is_guess else 'Your turn'}:** {_question(question.text)}")
                prompt = "One answer" if question.is_guess else "The lesson’s line" if len(steps[0].nodes) == 1 and (
                    "\n" not in steps[0].source) else "The lesson’s lines"
            _add_code(made, path, script.joined(steps), prompt, steps, outputs, heading)
    made.add_text(_end(path, seen))
    return made


def _question(text: str) -> str:
    """A question of a comment: code and formulas in it are plain text there."""
    return re.sub(r"([*_\[\]<>$])", r"\\\1", text)


def _how_to(path: Path, is_run: bool) -> str:
    name = catalogue.name_of(path)
    note = "" if is_run else "\nThis page was built without running the lesson: what it prints and draws is not shown.\n"
    return (f":::{{container}} how-to\nBetter than reading: write each line yourself, and be told what is wrong. "
            f"`nblayers learn {name}` on a terminal, `nblayers notebook {name}` in Jupyter. Here the answers are folded.\n"
            f"{note}:::")


def _end(path: Path, seen: set[str]) -> str:
    """Where the lesson's formulas and layers are to be looked up."""
    links = " · ".join(formula_link(identifier) for identifier in formulas.index() if identifier in seen)
    layers = " · ".join(f"[{name}](/reference/layers/{name}.md)" for name in layers_of(path))
    parts = [f"**Formulas:** {links}" if links else "", f"**Layers:** {layers}" if layers else ""]
    parts.append("[All formulas](/formulas/index.md) · [Glossary](/glossary.md)")
    return "\n\n".join(["## Look up", *filter(None, parts)])


@functools.cache
def layers_of(path: Path) -> list[str]:
    """The layers that a lesson imports."""
    from nblayers.learn.site import reference
    names = {alias.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
             if isinstance(node, ast.ImportFrom) and node.module == "nblayers.layers" for alias in node.names}
    known = reference.layers()
    return sorted({known[name] for name in names if name in known})


def _text(path: Path, source: str, seen: set[str]) -> str:
    """A text of the lesson: a formula with a tag has a link to its page at the right, and a name to come back to."""
    def formula(found: re.Match[str]) -> str:
        identifier = re.sub(r"\\(.)", r"\1", found["tag"])
        if identifier not in formulas.index():
            return found[0]
        target = "" if identifier in seen else f"({anchor(path, identifier)})=\n"
        seen.add(identifier)
        shown = found["formula"].strip() + found["rest"]
        return (f"\n\n{target}::::{{container}} formula\n:::{{container}} what\n$$\n{shown}\n$$\n:::\n"
                f":::{{container}} mark\n{formula_link(identifier)}\n:::\n::::\n\n")

    pieces = re.split(r"(^```.*?^```)", source, flags=re.MULTILINE | re.DOTALL)
    shown = [piece if piece.startswith("```") else for_mathjax(_names(DISPLAYED.sub(formula, piece))) for piece in pieces]
    return "".join(shown)


def _names(text: str) -> str:
    """Formulas and lessons that the text names in passing, as links."""
    paths = {catalogue.number_of(path): path for path in catalogue.lessons()}

    def lesson(found: re.Match[str]) -> str:
        return f"[{found[0]}](/{document(paths[found[1]])}.ipynb)" if found[1] in paths else found[0]

    def link(found: re.Match[str]) -> str:
        identifier = found[0]
        return formula_link(identifier) if identifier in formulas.index() else identifier

    pieces = re.split(r"(`[^`]*`|\$\$[^$]*\$\$|\$[^$\n]*\$|\[[^\]]*\]\([^)]*\)|^\([\w-]+\)=$)", text, flags=re.MULTILINE)
    identifier = re.compile(rf"(?<![\w/-]){formulas.IDENTIFIER.pattern}(?![\w-])")
    return "".join(piece if i % 2 else NAMED.sub(lesson, identifier.sub(link, piece)) for i, piece in enumerate(pieces))


def _add_code(made: Page, path: Path, code: str, prompt: str, steps: Sequence[Step], outputs: Outputs | None,
              heading: str) -> None:
    """Code with what it printed; figures and shown sources are cells of their own below it."""
    texts = outputs.texts if outputs else {}
    printed = "".join(texts.get(step.line, "") for step in steps)
    parts = [*_parts(printed)]
    first = parts.pop(0)[1] if parts and parts[0][0] == "text" else ""
    stream = [{"output_type": "stream", "name": "stdout", "text": first}] if first.strip() else []
    made.add_code(code, prompt, stream)
    for kind, content in parts:
        if kind == "picture" and outputs and (outputs.folder / f"{content}.png").exists():
            words = _shown(code, path, content) or f"A figure of the section {heading}"
            figure = Figure(f"{document(path)}.ipynb", made.title, outputs.folder / f"{content}.png", latex.in_sentence(words))
            made.figures.append(figure)
            made.add_text(f"![{escaped(figure.words)}](/figures/{content}.png)")
        elif kind == "page" and outputs and (outputs.folder / f"{content}.html").exists():
            made.scopes.append(outputs.folder / f"{content}.html")
            made.add_text(microscope.embedded(content, f"The microscope: {made.title}", "../"))
        elif kind == "source":
            made.add_text(content)
        elif content.strip():
            made.add_text(block("{code-block} text", f":class: printed\n\n{content.rstrip()}"))


def _parts(printed: str) -> Iterator[tuple[str, str]]:
    """What was printed, cut at figures, at pages of the microscope and at shown sources."""
    kinds = {PICTURE: "picture", SCOPE: "page", SOURCE: "source"}
    end = 0
    for found in sorted((one for kind in kinds for one in kind.finditer(printed)), key=lambda one: one.start()):
        if printed[end:found.start()]:
            yield "text", printed[end:found.start()]
        end = found.end()
        yield kinds[found.re], _source(found) if found.re is SOURCE else found[1]
    if printed[end:]:
        yield "text", printed[end:]


def _source(found: re.Match[str]) -> str:
    title = f"{found['path']}, line {found['line']}"
    address = sources.address(found["path"], int(found["line"]))
    title = f'<a href="../{address}">{title}</a>' if address else title
    code = "\n".join(line.removeprefix("    ") for line in found["code"].rstrip("\n").split("\n"))
    return f"<p class=\"source-of\">{title}</p>\n\n{block('python', code)}"


def _shown(code: str, path: Path, name: str) -> str:
    """The first sentence of the docstring of the function of lessons.figures that drew a figure."""
    source = path.read_text(encoding="utf-8")
    calls = [call for call in re.finditer(r"save_figure\((\w+)", code) if f'"{name}"' in code[call.start():]]
    call = calls[-1] if calls else None
    drawn = call[1] if call else ""
    if call and drawn not in _figures():
        made = re.findall(rf"^{drawn}(?:, \w+)? = (\w+)\(", source, re.MULTILINE)
        drawn = made[-1] if made else ""
    return _figures().get(drawn, "")


@functools.cache
def _figures() -> dict[str, str]:
    """The first sentences of the functions of lessons.figures."""
    tree = ast.parse((catalogue.HOME / "figures.py").read_text(encoding="utf-8"))
    found = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {name: re.split(r"(?<=[.;:])\s", text.replace("\n", " ").replace("`", ""))[0].rstrip(".;:")
            for name, text in found.items()}


def index(paths: Sequence[Path]) -> str:
    """The page that lists the lessons."""
    out = ["# Lessons", "Half an hour each. **You write each gradient before you see it.** You need Python, NumPy, school "
           "calculus and a little linear algebra. The answers are folded here; `nblayers learn` asks for them, and says what "
           "is wrong."]
    starts = sorted(PARTS)
    for start, after in zip(starts, [*starts[1:], "99"], strict=True):
        chosen = [path for path in paths if start <= catalogue.number_of(path) < after]
        if not chosen:
            continue
        out.append(f"## {PARTS[start]}")
        out.append("```{toctree}\n:maxdepth: 1\n\n" + "\n".join(path.stem for path in chosen) + "\n```")
    return "\n\n".join(out) + "\n"
