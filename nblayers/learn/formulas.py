"""The formula index: what a tag beside a formula, `(004.LSTM.f)`, stands for, and where it is used.

The index is lessons/catalogue.json. Where a formula is used is read from the sources as they are installed: lessons carry
it as a tag, layers name it in their docstrings, the kernels in comments. A kernel's comment has either the identifier itself
or the number of an equation, `# from (4)`, of the module's docstring in kernels/reference, which names the identifier.
"""
import ast
import difflib
import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from nblayers.learn import catalogue, latex, script
from nblayers.learn.terminal import BEGIN, END, GLUE, LessonText, split_maths

ROOT = catalogue.HOME.parent
ROOMS = ("reference", "cpu", "cuda")
IDENTIFIER = re.compile(r"\d{3}\.\w+(?:\.\w+)*~?")
TAG = re.compile(r"\\tag\{([^}]*)\}")
NUMBER = re.compile(r"\((\d+'?)\)")
DERIVATIVE = re.compile(r"^ +(?:\\partial|d\w~?(?:_\S+)? *=).*?\((\d+'?)\)(?: |$)", re.MULTILINE)
COLUMNS = re.compile(r"W(_\w|_\{\w+\})? *(\\cdot *)?(x_t|h_t|h_\{t|\[h|\\text\{input)")        # a matrix times a column
MOST = 10                               # lines shown of a room
APART = "001.02."                       # activations: a kernel's function has the name of the formula


class UnknownFormula(LookupError):
    """No formula has that identifier; the text says which are close."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Formula:
    """An entry of the index.

    Attributes:
        id, name: as in a tag, and in words.
        keras: the path of the same thing in Keras.
        text: Markdown with maths, or None where there is no formula.
        note: what Keras 3 does, where the formula does not say so.
        right: what is right, where many texts are not.
        words: others by which it is found.
    """

    id: str
    name: str
    keras: str | None
    text: str | None
    note: str = ""
    right: str = ""
    words: str = ""

    @property
    def line(self) -> str:
        """The formula in one line."""
        parts = [latex.inline(piece) if kind == "maths" else re.sub(r"\\(.)|`", r"\1", piece.strip())
                 for kind, piece in split_maths(self.text or "")]
        return "   ".join(part for part in parts if part).translate({ord(GLUE): " ", ord(BEGIN): None, ord(END): None})


@dataclass(frozen=True)
class Line:
    """A line of a kernel that computes a formula, or its derivative (`backward`)."""

    room: str
    path: str                           # from the folder that holds kernels
    number: int
    source: str
    backward: bool


@functools.cache
def index() -> dict[str, Formula]:
    """All formulas by their identifiers, in the index's order."""
    entries = json.loads((catalogue.HOME / "catalogue.json").read_text(encoding="utf-8"))
    return {entry["id"]: Formula(entry["id"], entry["name"], entry["keras"], entry["formula"], entry.get("note", ""),
                                 entry.get("right", ""), entry.get("words", "")) for entry in entries}


def find(identifier: str) -> Formula:
    """The formula with this identifier, large and small letters alike; or the only one that ends with `.identifier`.

    Raises:
        UnknownFormula: none.
    """
    wanted = identifier.strip().strip("()").replace("\\", "")
    if wanted in index():
        return index()[wanted]
    small = {known.lower(): known for known in index()}
    found = [known for known in small if known == wanted.lower() or known.endswith("." + wanted.lower())]
    if len(found) == 1:
        return index()[small[found[0]]]
    names = small | {known.rpartition(".")[2]: full for known, full in small.items()}
    close = found or difflib.get_close_matches(wanted.lower(), names, 3, 0.6)
    hint = f"; did you mean {' or '.join(dict.fromkeys(names[known] for known in close))}?" if close else ""
    raise UnknownFormula(f"there is no formula {identifier!r}{hint}\nnblayers formulas WORD lists those with a word in them")


def matching(word: str = "") -> list[Formula]:
    """The formulas with this word in their identifier, name, formula or note, in the layers that compute them, in the
    headings of the lessons that show them, or among their other words; large and small letters alike."""
    word, found = word.lower(), []
    for formula in index().values():
        parts = [formula.id, formula.name, formula.keras, formula.text, formula.line, formula.note,
                 formula.right, formula.words,
                 *(heading for _, heading in _shown().get(formula.id, ()))]
        if word in " ".join(part for part in parts if part).lower() or any(word in line.lower() for line in layers(formula)):
            found.append(formula)
    return found


@functools.cache
def _shown() -> dict[str, list[tuple[Path, str]]]:
    """By identifier, the lessons that show it, each with the heading of the section; if none does, those that name it."""
    by_tag: dict[str, list[tuple[Path, str]]] = {}
    by_name: dict[str, list[tuple[Path, str]]] = {}
    for path in catalogue.lessons():
        lesson = script.read(path)
        for found, places in ((tags(lesson), by_tag), (mentions(lesson), by_name)):
            for identifier, heading in found:
                places.setdefault(identifier, []).append((path, heading))
    return by_name | by_tag


def tags(lesson: script.Script) -> Iterator[tuple[str, str]]:
    """The tags of a lesson's formulas, each with the heading of its section."""
    for heading, part in _sections(lesson):
        for tag in TAG.findall(part):
            yield re.sub(r"\\(.)", r"\1", tag), heading


def mentions(lesson: script.Script) -> Iterator[tuple[str, str]]:
    """The identifiers of the index that a lesson's text names without a tag, each with the heading of its section."""
    for heading, part in _sections(lesson):
        for identifier in IDENTIFIER.findall(TAG.sub("", part)):
            if identifier in index():
                yield identifier, heading


def _sections(lesson: script.Script) -> Iterator[tuple[str, str]]:
    """A lesson's text in parts, each with the heading above it."""
    heading = ""
    for cell in lesson.cells:
        if cell.kind == "text":
            for part in re.split(r"^(?=#+ )", cell.source, flags=re.MULTILINE):
                heading = next((words for _, words in script.headings(part)), heading)
                yield heading, part


def lessons(identifier: str) -> list[tuple[Path, str]]:
    """The lessons that show a formula, or name it if none does, each with the headings of the sections that do."""
    return list(dict.fromkeys(_shown().get(identifier, ())))


def layers(formula: Formula) -> list[str]:
    """The import lines of what computes a formula: what names it in its docstring, and Keras' name for it."""
    found = [*_named().get(formula.id, ())]
    if formula.keras:
        package, _, name = formula.keras.rpartition(".")
        found += _import_line(ROOT / package.replace("keras", "nblayers", 1).replace(".", "/") / "__init__.py", name)
    return sorted(set(found), key=lambda line: (len(line), line))       # LSTM before LSTMCell


@functools.cache
def _named() -> dict[str, list[str]]:
    """By identifier, the import lines of what names it in its docstring."""
    found: dict[str, list[str]] = {}
    for path, tree in _modules():
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
                for identifier in _identifiers(ast.get_docstring(node) or ""):
                    found.setdefault(identifier, []).extend(_import_line(path, node.name))
    return found


def _import_line(path: Path, name: str) -> list[str]:
    """How `name`, defined in the module `path`, is imported: from its package if that exports it; [] if it is not public."""
    for package in path.parents:
        if package == ROOT:
            break
        exports = package / "__init__.pyi" if (package / "__init__.pyi").exists() else package / "__init__.py"
        if package != ROOT / "nblayers" and exports.exists() and re.search(rf"\b{name}\b", exports.read_text(encoding="utf-8")):
            return [f"from {'.'.join(package.relative_to(ROOT).parts)} import {name}"]
    if path.parent == ROOT / "nblayers" and path.name != "__init__.py":
        return [f"from nblayers.{path.stem} import {name}"]
    return []


@functools.cache
def _modules() -> list[tuple[Path, ast.Module]]:
    """The library's modules that name formulas."""
    files = [path for path in sorted((ROOT / "nblayers").rglob("*.py")) if path.parent != Path(__file__).parent]
    texts = [(path, path.read_text(encoding="utf-8")) for path in files]
    return [(path, ast.parse(text)) for path, text in texts if IDENTIFIER.search(text)]


def lines(identifier: str) -> list[Line]:
    """The lines of the kernels that compute a formula, room by room."""
    names = {identifier}
    found: list[Line] = []
    for path in sorted((ROOT / "kernels" / "reference").glob("[!_]*.py")):
        marks = _marks(_document(path), identifier)
        names |= {mark for mark in marks if "." in mark}
        for room in ROOMS:                              # a number means something in the files of this topic alone
            found += _commented(room, ROOT / "kernels" / room / path.name, marks - names)
    for room in ROOMS:
        for path in (ROOT / "kernels" / room).glob("*.py"):
            found += _commented(room, path, names)
    order = {room: i for i, room in enumerate(ROOMS)}
    return sorted(set(found), key=lambda line: (order[line.room], line.path, line.number))


def _commented(room: str, path: Path, marks: set[str]) -> Iterator[Line]:
    """The lines whose comment has one of the marks: identifiers, or numbers of equations."""
    for number, code, marked, backward in _comments(path) if marks else ():
        if marks & marked:
            yield Line(room, path.relative_to(ROOT).as_posix(), number, code, backward)


@functools.cache
def _comments(path: Path) -> list[tuple[int, str, frozenset[str], bool]]:
    """The lines of a file that carry marks: number, code, the marks, and whether they are derivatives; none without a file."""
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        code, _, comment = line.partition("  # ")
        marks = frozenset([*NUMBER.findall(comment), *IDENTIFIER.findall(comment)])
        if code.strip() and marks:
            found.append((number, code.strip(), marks, "from " in comment or marks <= _derivatives(path.name)))
    return found


@functools.cache
def _derivatives(name: str) -> frozenset[str]:
    """The numbers of those equations of a topic that are derivatives themselves: `dw = …  (3)`."""
    path = ROOT / "kernels" / "reference" / name
    return frozenset(DERIVATIVE.findall(_document(path))) if path.exists() else frozenset()


@functools.cache
def _document(path: Path) -> str:
    """The docstring of a module."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) or ""


def _marks(document: str, identifier: str) -> set[str]:
    """The marks of the equations that a module's docstring ascribes to a formula.

    An identifier in an indented line means the equations whose numbers stand in it. One in a heading, lines at the margin,
    means all equations below it up to the next heading; one after "Source:" means all of the module.
    """
    marks: set[str] = set()
    under = False
    if identifier in _identifiers(document.partition("\nSource:")[2]):
        return set(NUMBER.findall(document))
    before = ""
    for line in document.split("\n"):
        here = identifier in _identifiers(line) or (
            identifier.startswith(APART) and line.strip().split(" ")[0] == identifier.removeprefix(APART))
        equation = line.startswith(" ")
        if line.strip() and not equation:
            under = here or (under and bool(before.strip()) and not before.startswith(" "))
        before = line
        if equation and here:
            marks |= {*NUMBER.findall(line)}
        elif equation and under:
            marks |= {*NUMBER.findall(line)[:1], *IDENTIFIER.findall(line)}
    return marks


def page(formula: Formula) -> RenderableType:
    """A formula, and where it is: lessons, layers, the kernels' lines in each room."""
    text = formula.text or ""
    if "$$" in text:
        before, maths, after = text.split("$$", 2)
        text = f"{before}$${maths} \\tag{{{formula.id}}}$${after}"
    parts: list[RenderableType] = [Text.assemble((formula.id, "bold"), "  ", formula.name), ""]
    parts += [LessonText(text) if text else Text("(no formula: an idea, or a program)\n", "dim")]
    if COLUMNS.search(formula.text or ""):
        parts.append(Text("In the lessons, and in Keras, samples are rows: x W + h U + b instead of W x + U h + b.", "italic"))
    if formula.note:
        parts.append(LessonText(f"**In Keras 3:** {formula.note}"))
    if formula.right:
        parts.append(LessonText(f"**What is right:** {formula.right}"))
    parts += _block("lessons", [_heading(path, heading) for path, heading in lessons(formula.id)], "none shows it yet")
    parts += _block("layers", [Text(line) for line in layers(formula)], "none computes it yet")
    if formula.keras:
        parts.append(Padding(Text(f"in Keras: {formula.keras}", "dim"), (0, 0, 0, 2)))
    found = lines(formula.id)
    for room in ROOMS if found else ():
        parts += _room(room, [line for line in found if line.room == room])
    return Group(*parts)


def _heading(path: Path, heading: str) -> Text:
    return Text.assemble(f"{path.stem}  ", (f"“{latex.in_sentence(heading)}”", "dim"))


def _block(title: str, content: list[Text], nothing: str) -> list[RenderableType]:
    shown = Group(*content) if content else Text(nothing, "dim")
    return [Text(title, "bold cyan"), Padding(shown, (0, 0, 0, 2))]


def _room(room: str, found: list[Line]) -> list[RenderableType]:
    """The lines of one room, the forward ones first; at most MOST of them."""
    found = sorted(found, key=lambda line: line.backward)
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(2):
        grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    way = ""
    for line in found[:MOST]:
        before, way = way, "backward" if line.backward else "forward"
        source = Syntax(line.source, "python", theme="ansi_dark", background_color="default", word_wrap=True)
        grid.add_row("" if way == before else way, f"{line.path}:{line.number}", source)
    if len(found) > MOST:
        grid.add_row("", f"… and {len(found) - MOST} more lines", "")
    if not found:
        grid.add_row("no line carries it", "", "")
    return [Text(f"room {room}", "bold cyan"), Padding(grid, (0, 0, 0, 2))]


def table(found: list[Formula], wide: int) -> RenderableType:
    """Identifiers, names and formulas, one in a line of `wide` columns; identifiers are never cut."""
    first = max(len(formula.id) for formula in found)
    second = min(max(cell_len(formula.name) for formula in found), 30, max(wide - first - 4, 2) // 2)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True, min_width=first)
    grid.add_column(width=second, no_wrap=True)
    grid.add_column(style="cyan", no_wrap=True, width=max(wide - first - second - 6, 1))
    for formula in found:
        grid.add_row(formula.id, Text(formula.name), Text(formula.line))
    return grid


def _identifiers(text: str) -> set[str]:
    return set(IDENTIFIER.findall(text))
