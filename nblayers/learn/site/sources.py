"""The sources of layers and kernels as pages: every line with its number as an anchor, formulas linked from their lines."""
import functools
import html
import re
from collections.abc import Mapping, Sequence

from nblayers.learn import catalogue, formulas

ROOT = catalogue.HOME.parent
FOLDER = "sources"
SHOWN = re.compile(r"(?:kernels/(?:reference|cpu|cuda)|nblayers/layers)/")         # the files that become pages


def files() -> list[str]:
    """The files that become pages, by their paths from the folder that holds nblayers."""
    found = [*(ROOT / "kernels").glob("*/*.py"), *(ROOT / "nblayers" / "layers").rglob("*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found if path.stat().st_size)


def address(path: str, line: int = 0) -> str:
    """The address of a file's page, from the site's root; "" for a file that has none."""
    if not SHOWN.match(path) or not (ROOT / path).exists():
        return ""
    return f"{FOLDER}/{path.removesuffix('.py')}.html" + (f"#line-{line}" if line else "")


def page(path: str, used: Mapping[int, Sequence[tuple[str, str]]]) -> str:
    """The page of a file, as Markdown.

    Arguments:
        path: as in `files`.
        used: by line, the formulas that it computes: identifier and address.
    """
    up = "../" * (path.count("/") + 1)
    rows = []
    for number, line in enumerate(highlighted((ROOT / path).read_text(encoding="utf-8")).split("\n"), 1):
        links = "".join(f' <a class="to-formula" href="{up}{html.escape(target)}">{html.escape(name)}</a>'
                        for name, target in used.get(number, ()))
        rows.append(f'<span class="line" id="line-{number}"><a class="lineno" href="#line-{number}" '
                    f'aria-label="line {number}">{number}</a>{line}{links}</span>\n')
    return (f"---\norphan: true\nnosearch: true\nlayout: simple\ncontent_max_width: 80rem\n---\n\n# {path}\n\n"
            f"````{{raw}} html\n<div class=\"highlight source\"><pre>{''.join(rows)}</pre></div>\n````\n")


@functools.cache
def highlighted(code: str) -> str:
    """Python as HTML with the classes of Pygments, line by line."""
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers.python import PythonLexer
    return highlight(code, PythonLexer(stripnl=False, ensurenl=False), HtmlFormatter(nowrap=True)).rstrip("\n")


def computing() -> dict[str, dict[int, list[tuple[str, str]]]]:
    """By file and line, the formulas that are computed there: identifier and address."""
    found: dict[str, dict[int, list[tuple[str, str]]]] = {}
    for identifier in formulas.index():
        for line in formulas.lines(identifier):
            found.setdefault(line.path, {}).setdefault(line.number, []).append((identifier, formula_address(identifier)))
    return found


def formula_page(identifier: str) -> str:
    """The document of a formula: file systems and addresses need no ~."""
    return f"formulas/{identifier.replace('~', '-tilde')}"


def formula_address(identifier: str) -> str:
    """The address of a formula's page, from the site's root."""
    return f"{formula_page(identifier)}.html"
