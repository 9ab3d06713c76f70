"""Building the site: writing its pages as Markdown, then Sphinx."""
import contextlib
import importlib.metadata
import importlib.util
import io
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import nblayers
from nblayers.learn import catalogue
from nblayers.learn.site import outputs

NEEDED = {"sphinx": "sphinx", "myst_nb": "myst-nb", "shibuya": "shibuya", "a11y_pygments": "accessible-pygments"}
SUFFIXES = (".py", ".pyi", ".md", ".css", ".js", ".html", ".json")      # of what the site is made from
HERE = Path(__file__).parent
STAMP = ".nblayers-site"                # in the folder of a built site: what it was built from
UNFINISHED = ".site-"                   # beside it: the folder of a build that is going on, or that was killed
DAY = 24 * 3600                         # seconds
TRIES = 5                               # to put pages in their place while other builds do the same
MATHJAX = "sphinx-mathjax-offline"


class SiteError(RuntimeError):
    """The site cannot be built; the text says why."""


def missing() -> list[str]:
    """The packages that building needs and that are not installed."""
    found = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    with contextlib.suppress(SiteError):
        _mathjax()
        return found
    return [*found, MATHJAX]


def _mathjax() -> Path:
    """MathJax 3 as one file that draws SVG: it needs no fonts and no network."""
    try:
        files = importlib.metadata.files(MATHJAX) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = next((file for file in files if file.name == "tex-svg.js"), None)
    if found is None:
        raise SiteError(f"{MATHJAX} is not installed")
    return Path(str(found.locate()))


def stamp(run: Sequence[Path]) -> str:
    """What a site is made from, in a word: sources, and the lessons whose outputs are shown."""
    root = outputs.ROOT
    made_of = [path for room in ("nblayers", "kernels", "lessons") for path in (root / room).rglob("*")
               if path.suffix in SUFFIXES and path.parent != root / "lessons" / "out"]
    return f"{outputs.fingerprint(made_of)} {' '.join(path.stem for path in run)}"


def is_built(output: Path, run: Sequence[Path]) -> bool:
    """Whether this folder holds a site made from the sources as they are now."""
    place = output / STAMP
    return place.is_file() and (output / "index.html").is_file() and place.read_text(encoding="utf-8") == stamp(run)


def build(output: Path, run: Sequence[Path], say: Callable[[str], None] = print) -> None:
    """Build the site.

    Arguments:
        output: the folder of the pages: a new one, an empty one, or one that holds a site.
        run: the lessons whose outputs are shown; those that have not been run since they were changed are run.
        say: is told what is going on.

    Raises:
        SiteError: a package is missing, the folder holds something else or cannot be written, a page has a link to nowhere.
        LessonFailed: a lesson stopped with an error.
    """
    if absent := missing():
        raise SiteError(f"building the pages needs {', '.join(absent)}: pip install 'nblayers[docs]'")
    _check(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _delete_killed(output.parent)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=UNFINISHED) as folder:
            _build(output, Path(folder), run, say)
    except OSError as error:
        raise SiteError(f"the pages cannot be written: {error}; name another with --output, or in XDG_CACHE_HOME") from error


def _check(output: Path) -> None:
    """Whether pages may be put here.

    Raises:
        SiteError: no.
    """
    if output.exists() and not output.is_dir():
        raise SiteError(f"{output} is a file: name a folder for the pages")
    if output.exists() and not (output / STAMP).exists() and any(output.iterdir()):
        raise SiteError(f"{output} holds something else than these pages: name another folder")
    if output in (here := Path.cwd()).parents or output == here:
        raise SiteError(f"{output} is replaced as a whole, and you are in it: name a folder inside it, or go elsewhere")


def _delete_killed(folder: Path) -> None:
    """Delete what builds left here that were killed: what is older than a day."""
    for left in folder.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):    # its build has just ended
            if time.time() - left.stat().st_mtime > DAY:
                shutil.rmtree(left, ignore_errors=True)


def _build(output: Path, work: Path, run: Sequence[Path], say: Callable[[str], None]) -> None:
    """Build in the folder `work`, then put the pages in their place."""
    done, made_of = outputs.of(run, say), stamp(run)
    say("writing pages")
    write(work / "pages", done)
    say("building with Sphinx")
    _sphinx(work)
    (work / "html" / STAMP).write_text(made_of, encoding="utf-8")
    for i in range(TRIES):
        with contextlib.suppress(FileNotFoundError):
            output.rename(work / f"old-{i}")
        try:
            (work / "html").rename(output)
            return
        except OSError:                                 # another build has put its pages there since
            if i == TRIES - 1:
                raise


def write(folder: Path, done: dict[str, outputs.Outputs]) -> None:
    """Write all pages as Markdown and notebooks."""
    from nblayers.learn.site import formulas, gallery, glossary, microscope, reference, sources
    from nblayers.learn.site.lessons import Figure, index, page
    scope_folder = folder / "_made" / microscope.FOLDER
    for made_here in (folder / "figures", folder / "_made" / "mathjax", scope_folder):
        made_here.mkdir(parents=True)
    shutil.copyfile(_mathjax(), folder / "_made" / "mathjax" / "tex-svg.js")
    figures: list[Figure] = []
    for path in catalogue.lessons():
        made = page(path, done.get(path.stem))
        _put(folder / "lessons" / f"{path.stem}.ipynb", made.text())
        figures += made.figures
        for scope in made.scopes:
            shutil.copyfile(scope, scope_folder / scope.name)
    for figure in figures:
        shutil.copyfile(figure.file, folder / "figures" / figure.file.name)
    _put(folder / "lessons" / "index.md", index(catalogue.lessons()))
    used = sources.computing()
    for file in sources.files():
        _put(folder / sources.FOLDER / f"{file.removesuffix('.py')}.md", sources.page(file, used.get(file, {})))
    for document, text in (*reference.pages(), *formulas.pages()):
        _put(folder / f"{document}.md", text)
    _put(folder / "gallery.md", gallery.page(figures, folder))
    _put(folder / "glossary.md", glossary.page())
    scopes = microscope.pages(scope_folder, {stem.partition("_")[0] for stem in done})
    if scopes:
        _put(folder / "microscope.md", microscope.page(scopes))
    text = (HERE / "index.md").read_text(encoding="utf-8")
    _put(folder / "index.md", text.replace("@microscope", "microscope" if scopes else ""))


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _sphinx(work: Path) -> None:
    """Run Sphinx over the pages of work/pages, into work/html; a warning is an error."""
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    from nblayers.learn.site.settings import settings
    warned = io.StringIO()
    try:
        with patch_docutils(None), docutils_namespace(), _workers_end_quietly():
            app = Sphinx(work / "pages", None, work / "html", work / "doctrees", "html", settings(nblayers.__version__),
                         status=None, warning=warned, parallel=outputs.cores())
            app.build(force_all=True)
    except SphinxError as error:
        raise SiteError(f"Sphinx stopped: {error}") from error
    if said := warned.getvalue().strip():
        raise SiteError(f"Sphinx warned:\n{said}")


@contextlib.contextmanager
def _workers_end_quietly() -> Iterator[None]:
    """Ctrl-C reaches Sphinx's workers, too: they end without a traceback of their own."""
    before, own = signal.getsignal(signal.SIGINT), os.getpid()
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield                                           # handlers can be set in the main thread alone; or Ctrl-C is ignored
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != own:
            os._exit(130)
        before(number, frame)
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
