"""Walk the pages of a built site in Chromium: no error, no sideways scroll, no serious fault of accessibility.

    python tools/check_site.py FOLDER [--only WORD] [--pictures FOLDER]

Every page is looked at from a folder (file://), at the width of a phone and of a desk, light and dark. What is wrong is
printed, a line each; the exit code is the number of pages with something wrong, at most 100. Needs playwright,
axe-playwright-python and Chromium.
"""
import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import files
from pathlib import Path

WIDTHS = (360, 1280)
MODES = ("light", "dark")
FLAGS = ["--no-sandbox", "--disable-gpu"]
SERIOUS = ("serious", "critical")
SCROLL = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WIDE = """() => [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.tagName.toLowerCase() + "." + String(e.className.baseVal ?? e.className).split(" ").join(".")).slice(0, 3)"""
AXE = """async () => (await axe.run(document, {preload: false, resultTypes: ["violations"]})).violations.map(
    v => [v.impact, v.id, v.nodes.length,
          `${v.nodes[0].target} ${v.nodes[0].html.slice(0, 120)} ${v.nodes[0].failureSummary}`])"""


def chromium() -> str | None:
    """Where Chromium is, or None."""
    return next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


def axe() -> str:
    """The script of axe-core."""
    found = next(file for file in files("axe-playwright-python") or [] if file.name == "axe.min.js")
    return Path(str(found.locate())).read_text(encoding="utf-8")


@dataclass
class Walk:
    """A browser that looks at one page after the other.

    Attributes:
        browser: playwright's.
        pictures: where screenshots go, or None.
    """

    browser: object
    pictures: Path | None = None
    axe: str = field(default_factory=axe)

    def faults(self, path: Path) -> Iterator[str]:
        """What is wrong with a page."""
        page = self.browser.new_page(viewport={"width": WIDTHS[-1], "height": 900})
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("requestfailed", lambda request: errors.append(f"{request.url} failed"))
        page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:"))
                else errors.append(f"asks the network for {request.url}"))
        page.goto(path.as_uri(), wait_until="load")
        page.evaluate("window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 1) : 1")
        left = page.evaluate("document.querySelectorAll('mjx-merror, [data-mjx-error]').length")
        if left:
            yield f"{left} formulas that MathJax cannot set"
        page.evaluate(self.axe)
        for mode in MODES:
            page.evaluate(f"setColorMode({mode!r})")
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 30)))")
                where = f"{width} pixels, {mode}"
                if (over := page.evaluate(SCROLL)) > 0:
                    yield f"{where}: scrolls {over} pixels sideways, by {page.evaluate(WIDE)}"
                yield from (f"{where}: {impact}: {rule}, {count} times, first {html.replace(chr(10), ' ')}"
                            for impact, rule, count, html in page.evaluate(AXE) if impact in SERIOUS)
                if self.pictures:
                    page.screenshot(path=self.pictures / f"{path.stem}-{width}-{mode}.png", full_page=False)
        yield from dict.fromkeys(errors)
        page.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", metavar="WORD", help="the pages with this in their path")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="where screenshots of each page go")
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright
    if given.pictures:
        given.pictures.mkdir(parents=True, exist_ok=True)
    pages = [path for path in sorted(given.folder.resolve().rglob("*.html")) if given.only in path.as_posix()
             and "_static" not in path.parts]
    bad = 0
    with sync_playwright() as player:
        walk = Walk(player.chromium.launch(executable_path=chromium(), args=FLAGS), given.pictures)
        for count, path in enumerate(pages, 1):
            faults = list(walk.faults(path))
            bad += bool(faults)
            for fault in faults:
                print(f"{path.relative_to(given.folder.resolve())}: {fault}", flush=True)
            if count % 50 == 0:
                print(f"{count} of {len(pages)} pages", file=sys.stderr, flush=True)
    print(f"{len(pages)} pages, {bad} with something wrong")
    return min(bad, 100)


if __name__ == "__main__":
    sys.exit(main())
