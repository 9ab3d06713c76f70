"""A view as one page of HTML that needs no other file and no network."""
import base64
import functools
import hashlib
import html
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from nblayers.utils.pictures.figures import file_path

BODY = "body { margin: 0; background: #ffffff; } html[data-theme=dark] body { background: #12151b; }\n"
START = """
const view = JSON.parse(document.getElementById("view").textContent);
const given = { view, step: Number(document.getElementById("microscope").dataset.first) };
render({ model: { get: (name) => given[name] }, el: document.getElementById("microscope") }, true);
"""


def page(view: dict[str, Any], step: int = 1) -> str:
    """The page of a view, of one network or of two.

    Its content policy lets in nothing from outside, and no script and no style but the microscope's own.

    Arguments:
        step: the one at which it opens, from 1, where the address names none.
    """
    script, style = _script(), BODY + source("microscope.css")
    policy = (f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; base-uri 'none'; "
              "form-action 'none'")
    title = html.escape(str(view["title"]))
    return ("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            f"<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n"
            f"{body(view, step)}\n</body>\n</html>\n")


def body(view: dict[str, Any], step: int = 1) -> str:
    """The microscope as a part of a page, which needs the style of `microscope.css`."""
    return (f"<main id=\"microscope\" data-first=\"{step}\"></main>\n"
            "<noscript><p>The microscope needs JavaScript. It works without a network.</p></noscript>\n"
            f"<script type=\"application/json\" id=\"view\">{_json(view)}</script>\n"
            f"<script type=\"module\">{_script()}</script>")


@functools.cache
def _script() -> str:
    """The script without indents and comments of whole lines, which a page need not carry."""
    lines = (line.strip() for line in (source("microscope.js") + START).split("\n"))
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def save(who: str, text: str, path: str | Path | None) -> Path | str:
    """Write a page, its folder too; returns the path, or without one the page.

    Raises:
        ValueError: not a path.
    """
    if path is None:
        return text
    file = file_path(who, "path", path)
    file.write_text(text, encoding="utf-8")
    return file


@functools.cache
def source(name: str) -> str:
    """A file of the microscope."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _json(view: dict[str, Any]) -> str:
    """JSON that can stand inside HTML."""
    return json.dumps(view, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
