"""A page for each formula of the catalogue: where it is taught, what computes it, its lines in the three rooms."""
import functools
import html
from collections.abc import Iterator
from pathlib import Path

from nblayers.learn import catalogue, formulas, latex, script
from nblayers.learn.formulas import Formula, Line
from nblayers.learn.site import lessons, reference, sources
from nblayers.learn.site.docstrings import escaped, for_mathjax, formula_link

ROOMS = {"reference": "Reference: to be read next to the equation", "cpu": "CPU: Numba", "cuda": "CUDA: Numba on a GPU"}
MOST = 12                               # lines of a room that are shown unfolded
SECTIONS = {
    "001.01": "The layer class", "001.02": "Activations", "001.03": "Initializers",
    "001.04": "Regularizers", "001.05": "Constraints", "001.06": "Core layers", "001.07": "Convolution", "001.08": "Pooling",
    "001.09": "Recurrent layers", "001.10": "Preprocessing", "001.11": "Normalization", "001.12": "Regularization",
    "001.13": "Attention", "001.14": "Reshaping", "001.15": "Merging", "001.16": "Activation layers",
    "001.17": "Other frameworks", "002": "The parts of a network", "003": "Sequences and sizes",
    "004": "Recurrent networks at work", "000": "Further ideas"}


def pages() -> Iterator[tuple[str, str]]:
    """All pages of formulas: document and Markdown."""
    for formula in formulas.index().values():
        yield sources.formula_page(formula.id), page(formula)
    yield "formulas/index", index()


def section(identifier: str) -> str:
    """The key of the section that a formula belongs to."""
    return next(key for key in (identifier[:6], identifier[:3]) if key in SECTIONS)


def index() -> str:
    """The list of all formulas."""
    out = ["# Formulas", "The tag beside a formula, `(004.LSTM.f)`, names it. Its page says where it is taught, which layer "
           "computes it, and on which line of the kernels. On a terminal: `nblayers formula 004.LSTM.f`."]
    for key, title in SECTIONS.items():
        chosen = [formula for formula in formulas.index().values() if section(formula.id) == key]
        out.append(f"## {title}")
        shown = {formula: _short(formula) for formula in chosen}
        out += [f"{formula_link(formula.id)} {escaped(formula.name)}\n: {short}" for formula, short in shown.items() if short]
        rest = [formula_link(formula.id) for formula, short in shown.items() if not short]
        out += [f"Ideas and programs: {' · '.join(rest)}"] if rest else []
    return "\n\n".join(out) + "\n"


def _short(formula: Formula) -> str:
    """The first displayed formula, in the line; "" for none."""
    text = formula.text or ""
    return f"${for_mathjax(text.split('$$')[1].strip())}$" if "$$" in text else ""


def page(formula: Formula) -> str:
    """The page of a formula."""
    parts = ["---\norphan: true\n---", f"# {escaped(formula.id)} · {escaped(formula.name)}"]
    parts.append(_spaced(formula.text) if formula.text else "*No formula: an idea, or a program.*")
    if formulas.COLUMNS.search(formula.text or ""):
        parts.append("*In the lessons, and in Keras, samples are rows: x W + h U + b instead of W x + U h + b.*")
    parts += [f"**In Keras 3:** {for_mathjax(formula.note)}"] if formula.note else []
    parts += [f"**What is right:** {for_mathjax(formula.right)}"] if formula.right else []
    parts += ["## Lessons", *_lessons(formula)]
    parts += ["## Layers", *_layers(formula)]
    parts += ["## Lines", *_lines(formula)]
    parts.append(f"[All formulas](/formulas/index.md) · Section: {SECTIONS[section(formula.id)]}")
    return "\n\n".join(parts) + "\n"


def _spaced(text: str) -> str:
    """Displayed formulas on lines of their own."""
    pieces = text.split("$$")
    return "\n\n".join(f"$$\n{for_mathjax(piece.strip())}\n$$" if i % 2 else piece.strip()
                       for i, piece in enumerate(pieces) if piece.strip())


def _lessons(formula: Formula) -> Iterator[str]:
    found = formulas.lessons(formula.id)
    if not found:
        yield "None shows it."
    by_lesson: dict[Path, list[str]] = {}
    tagged = {path for path, _ in found if formula.id in _tags(path)}
    for path, heading in found:
        by_lesson.setdefault(path, []).append(escaped(latex.in_sentence(heading)))
    rows = []
    for path in dict.fromkeys(path for path, _ in found):
        target = f"#{lessons.anchor(path, formula.id)}" if path in tagged else f"/{lessons.document(path)}.ipynb"
        headings = "”, “".join(by_lesson[path])
        rows.append(f"- [{catalogue.number_of(path)} {escaped(reference.title(path))}]({target}): “{headings}”")
    yield "\n".join(rows)


@functools.cache
def _tags(path: Path) -> set[str]:
    """The identifiers with which a lesson's formulas are tagged."""
    return {identifier for identifier, _ in formulas.tags(script.read(path))}


def _layers(formula: Formula) -> Iterator[str]:
    rows = []
    for line in formulas.layers(formula):
        target = reference.of_import_line(line)
        rows.append(f"- [`{line}`]({target})" if target else f"- `{line}`")
    yield "\n".join(rows) or "None computes it."
    if formula.keras:
        yield f"In Keras: `{formula.keras}`"


def _lines(formula: Formula) -> Iterator[str]:
    found = formulas.lines(formula.id)
    if not found:
        yield "No line of the kernels carries it."
        return
    for room, title in ROOMS.items():
        here = sorted((line for line in found if line.room == room), key=lambda line: line.backward)
        yield f"### {title}"
        if not here:
            yield "No line carries it."
            continue
        yield _rows(here[:MOST])
        if len(here) > MOST:
            yield f"<details><summary>{len(here) - MOST} more lines</summary>\n{_rows(here[MOST:])}\n</details>"


def _rows(found: list[Line]) -> str:
    rows = []
    for line in found:
        way = "backward" if line.backward else "forward"
        address = f"../{sources.address(line.path, line.number)}"
        name = f"{line.path.rpartition('/')[2]}:{line.number}"
        link = f'<a href="{html.escape(address)}">{html.escape(name)}</a>'
        rows.append(f'<li><span class="where">{link} <span class="way">{way}</span></span>'
                    f'<code class="highlight">{sources.highlighted(line.source)}</code></li>')
    return '<ul class="lines">' + "".join(rows) + "</ul>"
