"""A report as one page of HTML that needs no other file."""
import html
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nblayers.gradient_check import heatmap, watching
from nblayers.gradient_check.report import Report, TensorReport
from nblayers.learn.microscope.page import body as microscope, source
from nblayers.learn.microscope.view import steps, view

CELL = 12                               # pixels
STYLE = """
:root { color-scheme: light dark; --text: #1d2330; --paper: #ffffff; --line: #c9cfd8; --soft: #5b6472;
        --right: #14743c; --wrong: #b3261e; --e0: #cfe8d7; --e1: #f4dc8a; --e2: #ee9a4d; --e3: #c62f2a; --none: #eef0f3; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ee; --paper: #14171c; --line: #3a4150; --soft: #a3acba;
        --right: #6fce94; --wrong: #ff8a80; --e0: #24523a; --e1: #8a6d10; --e2: #c06a1c; --e3: #ff5a4f; --none: #23282f; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper); margin: 2rem auto; max-width: 62rem;
       padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem .3rem 0; text-align: left; vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.right { color: var(--right); } .wrong { color: var(--wrong); font-weight: 600; } .soft { color: var(--soft); }
svg { display: block; } svg text { fill: var(--soft); font: 10px system-ui, sans-serif; }
.e0 { fill: var(--e0); } .e1 { fill: var(--e1); } .e2 { fill: var(--e2); } .e3 { fill: var(--e3); } .none { fill: var(--none); }
"""


def page(report: Report) -> str:
    """The page: summary, findings, a table of the tensors, a map of relative errors for each."""
    title = f"gradcheck of {report.layer}: {'passed' if report.passed else 'FAILED'}"
    findings = [f"{finding.tensor}: {finding.text}" if finding.tensor else finding.text for finding in report.findings]
    body = [f"<h1>gradcheck of {_text(report.layer)}: {_mark(report.passed, 'passed', 'FAILED')}</h1>",
            f"<p>{_summary(report)}</p>", *_list("Findings", findings), *_list("Notes", report.notes), *_tensors(report)]
    maps = [line for tensor in heatmap.shown(report) for line in _map(tensor)]
    if maps:
        body += ["<h2>Relative errors</h2>", _legend(), *maps]
    style, watched = STYLE, ""
    if report.trace is not None:
        style, watched = STYLE + source("microscope.css"), _watched(report)
    return ("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            f"<title>{_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
            + "\n".join(body) + watched + "\n</body>\n</html>\n")


def _watched(report: Report) -> str:
    """The microscope, at the first step that computes a wrong gradient."""
    entries = steps(report.trace)[0]
    return "\n" + microscope(view(report.trace, title="Watch it"), watching.opening(report, entries) + 1)


def write(report: Report, path: str | Path) -> None:
    """Write the page to a file, its folder too."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(page(report), encoding="utf-8")


def _text(value: object) -> str:
    return html.escape(str(value))


def _mark(passed: bool, right: str, wrong: str) -> str:
    return f'<span class="right">{right}</span>' if passed else f'<span class="wrong">{wrong}</span>'


def _summary(report: Report) -> str:
    count = len(report.tensors)
    right = [tensor for tensor in report.tensors if tensor.passed]
    checked = sum(tensor.checked for tensor in report.tensors)
    return f"{len(right)} of {count} gradients are right; {checked} of their elements were compared with numeric derivatives."


def _list(title: str, lines: list[str]) -> list[str]:
    return [f"<h2>{title}</h2>", "<ul>", *(f"<li>{_text(line)}</li>" for line in lines), "</ul>"] if lines else []


def _tensors(report: Report) -> list[str]:
    if not report.tensors:
        return []
    head = ("", "tensor", "shape", "compared", "worst at", "analytic", "numeric", "relative error")
    rows = [f"<tr>{''.join(_cells(tensor))}</tr>" for tensor in report.tensors]
    return ["<h2>Gradients</h2>", '<div class="wide"><table>', f"<tr>{''.join(f'<th>{word}</th>' for word in head)}</tr>",
            *rows, "</table></div>"]


def _cells(tensor: TensorReport) -> Iterator[str]:
    yield f"<td>{_mark(tensor.passed, 'ok', 'WRONG')}</td><td>{_text(tensor.name)}</td>"
    yield f'<td class="number">{_text(tensor.shape)}</td>'
    kinks = f", {len(tensor.kinks)} at a kink" if tensor.kinks else ""
    yield f'<td class="number">{tensor.checked} of {int(np.prod(tensor.shape))}{kinks}</td>'
    numbers = ["", "", "", ""] if tensor.index is None else [
        str(list(tensor.index)), f"{tensor.analytic:.9g}", f"{tensor.numeric:.9g}", f"{tensor.relative_error:.1e}"]
    yield from (f'<td class="number">{_text(number)}</td>' for number in numbers)


def _map(tensor: TensorReport) -> Iterator[str]:
    found = heatmap.table(np.asarray(tensor.errors), most_rows=48, most_columns=72)
    label = 8 * max(map(len, found.rows), default=0) + 6
    height, width = (CELL * size for size in found.errors.shape)
    shared = "" if (found.height, found.width) == (1, 1) else (
        f' <span class="soft">each cell is the largest of {found.height} rows x {found.width} columns</span>')
    yield f"<p>{_mark(tensor.passed, 'ok', 'WRONG')} {_text(tensor.name)} {_text(tensor.shape)}{shared}</p>"
    yield (f'<div class="wide"><svg width="{label + width}" height="{height}" role="img" '
           f'aria-label="relative errors of {_text(tensor.name)}">')
    for i, (name, errors) in enumerate(zip(found.rows, found.errors, strict=True)):
        yield f'<text x="{label - 6}" y="{CELL * i + CELL - 2}" text-anchor="end">{_text(name)}</text>'
        for j, error in enumerate(errors):
            yield _cell(label + CELL * j, CELL * i, _place(name, j * found.width), float(error))
    yield "</svg></div>"


def _place(row: str, column: int) -> str:
    return f"[{row[1:-1]}, {column}]" if row else f"[{column}]"


def _cell(x: int, y: int, place: str, error: float) -> str:
    kind = heatmap.level(error)
    words = "not compared" if kind == heatmap.UNCHECKED else f"{error:.1e}"
    name = "none" if kind == heatmap.UNCHECKED else f"e{kind}"
    return (f'<rect class="{name}" x="{x}" y="{y}" width="{CELL - 1}" height="{CELL - 1}">'
            f"<title>{_text(place)}: {words}</title></rect>")


def _legend() -> str:
    parts = []
    for kind, (_, words) in enumerate(heatmap.LEGEND):
        name = f"e{kind}" if kind < len(heatmap.STYLES) else "none"
        parts.append(f'<svg width="{CELL}" height="{CELL}" style="display:inline-block;vertical-align:middle">'
                     f'<rect class="{name}" width="{CELL}" height="{CELL}"/></svg> {words}')
    return f"<p class=\"soft\">{' &nbsp; '.join(parts)}</p>"
