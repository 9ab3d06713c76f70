"""A docstring of the library as Markdown: its equations as maths, its arguments as a list of terms, its names as links."""
import re
import textwrap
from collections.abc import Callable, Iterator

from nblayers.learn import formulas
from nblayers.learn.site import sources
from nblayers.learn.trace import equations

SECTION = re.compile(r"^(Arguments|Attributes|Inputs?|Outputs?|Weights|Returns|Yields|Raises|Warns):$")
EQUATION = re.compile(r"^\s+(?P<formula>\S.*?)\s{2,}\((?P<number>\d+'?)\)(?:\s+(?P<remark>\S.*))?$")
GROUP = r"\{(?:[^{}]|\{[^{}]*\})*\}"
INDEX = rf"(?:[_^](?:{GROUP}|\w))"
COMMAND = rf"\\(?:(?:sqrt|hat|tilde|bar) (?:\\[A-Za-z]+|\w)|partial \w|[A-Za-z]+(?:{GROUP})*)"      # \sqrt v, \frac{a}{b}
MATHS = rf"{COMMAND}{INDEX}*|\b[A-Za-z]'?{INDEX}+(?!\w)|\b[a-zA-Z]~\w*"                 # \alpha, x_t, c~_t
SPECIAL = re.compile(r"([\\*_\[\]<>$|#~`])")
TICKS = re.compile(r"(`[^`]+`)")

Link = Callable[[str], str]             # a name as it stands in a docstring -> where it leads, or ""


def markdown(document: str, link: Link) -> str:
    """A docstring, with `link` for the names in it."""
    return "\n\n".join(_blocks(document.split("\n"), link)) + "\n"


def _blocks(lines: list[str], link: Link) -> Iterator[str]:
    """The blocks of a docstring: paragraphs, indented pieces, sections with their entries."""
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
            continue
        end = at + 1
        if line.startswith(" "):
            while end < len(lines) and (lines[end].startswith(" ") or not lines[end].strip()):
                end += 1
            yield from _indented(lines[at:end], link)
        elif SECTION.match(line):
            while end < len(lines) and (lines[end].startswith(" ") or not lines[end].strip()):
                end += 1
            yield f"**{line[:-1]}**"
            yield _entries(lines[at + 1:end], link)
        else:
            while end < len(lines) and lines[end].strip() and not lines[end].startswith(" ") and not SECTION.match(lines[end]):
                end += 1
            yield prose(" ".join(lines[at:end]), link)
        at = end


def _entries(lines: list[str], link: Link) -> str:
    """`name, name: what it is`, each with the lines that belong to it."""
    entries: list[str] = []
    for line in lines:
        if line.startswith(" " * 5) and entries:
            entries[-1] += f" {line.strip()}"
        elif line.strip():
            entries.append(line.strip())
    return "\n\n".join(_entry(entry, link) for entry in entries)


def _entry(entry: str, link: Link) -> str:
    name, colon, text = entry.partition(": ")
    if not colon:
        return prose(entry, link)
    return f"{_term(name)}\n: {prose(text, link) or '—'}"


def _term(names: str) -> str:
    if not re.fullmatch(r"[\w*., ]+", names):
        return prose(names, _none)
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _none(name: str) -> str:
    return ""


def _indented(lines: list[str], link: Link) -> Iterator[str]:
    """Equations, or a program."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    if not any(EQUATION.match(line) for line in lines):
        text = textwrap.dedent("\n".join(lines))
        yield block("python" if _is_python(text) else "text", text)
        return
    rows: list[tuple[str, str, list[str]]] = []
    for line in lines:
        found = EQUATION.match(line)
        if found:
            rows.append((found["formula"], found["number"], [found["remark"]] if found["remark"] else []))
        elif line.strip() and rows:
            rows[-1][2].append(line.strip())
        elif line.strip():
            yield prose(line.strip(), link)
    yield "\n".join(["::::::{container} equations", *(_equation(*row, link) for row in rows), "::::::"])


def _equation(formula: str, number: str, remarks: list[str], link: Link) -> str:
    """One row: the formula, its number, and what stands behind it."""
    said = " ".join([f"({number})", *(prose(remark, link) for remark in remarks)])
    return (f":::::{{container}} equation\n::::{{container}} what\n$$\n{for_mathjax(equations.latex(formula))}\n$$\n::::\n"
            f"::::{{container}} mark\n{said}\n::::\n:::::")


def for_mathjax(latex: str) -> str:
    r"""MathJax shows `\_` within \text as it stands."""
    return re.sub(r"\\(?:text|mathrm)\{[^{}]*\}", lambda found: found[0].replace(r"\_", "_"), latex)


def _is_python(text: str) -> bool:
    try:
        compile(text, "docstring", "exec")
    except SyntaxError:
        return False
    return True


def prose(text: str, link: Link) -> str:
    """A running text: names in backticks as links or code, LaTeX as maths, identifiers of formulas as links."""
    return "".join(_name(part[1:-1], link) if TICKS.fullmatch(part) else _words(part, link) for part in TICKS.split(text))


def _name(name: str, link: Link) -> str:
    target = link(name)
    code = f"`{name}`"
    return f"[{code}]({target})" if target else code


def _words(text: str, link: Link) -> str:
    out, end = "", 0
    for found in re.finditer(f"(?P<id>{formulas.IDENTIFIER.pattern})|(?P<maths>{MATHS})", text):
        piece = found[0]
        identifier = piece.rstrip(".")
        out += escaped(text[end:found.start()])
        end = found.end()
        if found["id"] and link(identifier):
            out += f"[{escaped(identifier)}]({link(identifier)})" + piece[len(identifier):]
        elif found["id"]:
            out += escaped(piece)
        else:
            out += f"${for_mathjax(equations.latex(piece))}$"
    return out + escaped(text[end:])


def formula_link(identifier: str) -> str:
    """An identifier as a link to the formula's page."""
    return f"[{escaped(identifier)}](/{sources.formula_page(identifier)}.md)"


def block(head: str, text: str) -> str:
    """A block of Markdown, as "python" or "{code-block} text", whose fence no line of the text can end."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{head}\n{text}\n{fence}"


def escaped(text: str) -> str:
    """Text in which no letter means anything to Markdown."""
    return SPECIAL.sub(r"\\\1", text)
