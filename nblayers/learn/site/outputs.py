"""What a lesson prints and draws, step by step, kept so that it runs once.

    python -m nblayers.learn.site.outputs LESSON.py FOLDER

runs one lesson in this process, as `python LESSON.py` would, and writes FOLDER/outputs.json beside its figures and pages.
"""
import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from nblayers.learn import catalogue, script, tools

ROOT = catalogue.HOME.parent
FILE = "outputs.json"
MADE_BY = (".py", ".js", ".css")
KEPT = 3                                # versions of a lesson, and of the library, whose outputs are kept


class LessonFailed(RuntimeError):
    """A lesson did not run to its end."""


@dataclass(frozen=True)
class Outputs:
    """What one run of a lesson left.

    Attributes:
        texts: what each step printed, by the step's line.
        folder: where its figures lie, NAME.png for a line "picture: lessons/out/NAME.png", and its pages of the microscope,
            NAME.html for a line "page: lessons/out/NAME.html".
    """

    texts: dict[int, str]
    folder: Path


def cache() -> Path:
    """Where runs and pages are kept: nblayers/site in $XDG_CACHE_HOME, else in ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):                         # as its specification says
        home = os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home, "nblayers", "site")


def fingerprint(files: Iterable[Path]) -> str:
    """A short name for the content of files."""
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:20]


def library() -> list[Path]:
    """The files on which the output of every lesson depends: the library without its lessons' tools, the kernels."""
    own = ROOT / "nblayers" / "learn"
    return [path for room in ("nblayers", "kernels") for path in (ROOT / room).rglob("*.py") if own not in path.parents]


def _shown_by(lesson: Path) -> list[Path]:
    """What pages of the microscope are made by, for a lesson that makes some."""
    learn = ROOT / "nblayers" / "learn"
    made_by = [path for part in ("microscope", "trace") for path in (learn / part).iterdir() if path.suffix in MADE_BY]
    return made_by if "save_page" in lesson.read_text(encoding="utf-8") else []


def of(lessons: Iterable[Path], say: Callable[[str], None] = print) -> dict[str, Outputs]:
    """The outputs of lessons by their names; those that are not known are run, on all cores.

    Raises:
        LessonFailed: one stopped with an error.
    """
    base = fingerprint([*library(), *catalogue.HOME.glob("[!0-9]*.py"), catalogue.HOME.parent / "nblayers/learn/tools.py"])
    places = {path: cache() / "outputs" / base / f"{path.stem}-{fingerprint([path, *_shown_by(path)])}" for path in lessons}
    missing = [path for path, place in places.items() if not (place / FILE).exists()]
    with ThreadPoolExecutor(cores()) as pool:
        running = {pool.submit(_run_apart, path, places[path]): path for path in missing}
        try:
            for count, done in enumerate(as_completed(running), 1):
                done.result()
                say(f"ran {running[done].stem} ({count} of {len(missing)})")
        except BaseException:                           # a lesson that failed, Ctrl-C: those that wait are not begun
            pool.shutdown(cancel_futures=True)
            raise
    for path, place in places.items():
        _keep_newest(place, f"{path.stem}-*")
    _keep_newest(cache() / "outputs" / base, "*")
    return {path.stem: _read(place) for path, place in places.items()}


def _keep_newest(used: Path, like: str) -> None:
    """Say that a folder was used; of those beside it that are called `like` this, delete all but the KEPT used last."""
    with contextlib.suppress(FileNotFoundError):        # nothing was kept; or another build has deleted some too
        os.utime(used)
        for old in sorted(used.parent.glob(like), key=lambda folder: folder.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def cores() -> int:
    """How many processes may run side by side."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_apart(lesson: Path, place: Path) -> None:
    """Run a lesson in a process of its own, on one core; its folder appears when it is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f"{lesson.stem}-") as folder:
        one = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg",
               "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
        done = subprocess.run([sys.executable, "-m", __name__, str(lesson), folder], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env=os.environ | one, encoding="utf-8")
        if done.returncode:
            raise LessonFailed(f"{lesson.stem} stopped with an error\n{done.stderr[-2000:]}")
        Path(folder, "whole").mkdir()
        for path in [*_made_in(Path(folder)), Path(folder, FILE)]:
            path.rename(Path(folder, "whole", path.name))
        with contextlib.suppress(OSError):              # another build was faster
            Path(folder, "whole").rename(place)


def run(path: Path, folder: Path) -> None:
    """Run a lesson here; write what it printed, and its figures, to a folder.

    Raises:
        whatever the lesson raises.
    """
    from nblayers.learn import session
    lesson = script.read(path)
    running, texts = session.Session(lesson), {}
    os.chdir(folder)
    with running.as_main():
        for step in lesson.steps():
            if step.kind == "code":
                with contextlib.redirect_stdout(io.StringIO()) as printed:
                    running.execute(step.nodes)
                texts[step.line] = printed.getvalue()
    for path in _made_in(tools.OUT):
        path.rename(Path(path.name))
    Path(FILE).write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")


def _made_in(folder: Path) -> list[Path]:
    """Figures, and pages of the microscope."""
    return [*folder.glob("*.png"), *folder.glob("*.html")]


def _read(place: Path) -> Outputs:
    texts = json.loads((place / FILE).read_text(encoding="utf-8"))
    return Outputs({int(line): text for line, text in texts.items()}, place)


if __name__ == "__main__":
    run(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
