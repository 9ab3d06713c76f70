"""`nblayers microscope NAME`: a small trained layer, opened in a browser."""
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from nblayers.learn.microscope import examples
from nblayers.learn.microscope.page import page
from nblayers.learn.microscope.pair import pair
from nblayers.learn.microscope.view import steps
from nblayers.learn.saying import fail, write_new


def run(names: Sequence[str], text: Path | None, output: Path | None, force: bool, browser: bool) -> int:
    """Train, write the page, open it; returns the exit code."""
    if len(names) > 2:
        return fail(f"microscope shows one layer, or two side by side, not {len(names)}")
    try:
        given = None if text is None else text.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return fail(f"cannot read {text}: {error.strerror}")
    try:
        found = [examples.example(name, given) for name in names]
    except (examples.UnknownExample, ValueError) as error:
        return fail(str(error))
    file = output or Path(f"microscope_{'_'.join(names)}.html".replace("-", "_"))
    if not write_new(file, _page(found), force or output is None):
        return 2
    print(f"wrote {file}")
    if browser and not webbrowser.open(file.resolve().as_uri()):
        print("no browser was found: open the file with one")
    return 0


def _page(found: Sequence[examples.Example]) -> str:
    if len(found) == 1:
        return page(found[0].view())
    left, right = found
    return page(pair(left.view(), right.view(), steps(left.trace, left.layer)[0], steps(right.trace, right.layer)[0]))
