"""What a learner has done: one small JSON file in the user's state folder, written after every step.

Nothing here ever stops a lesson. A folder that cannot be written, or a file that is damaged, is said once, on stderr.

    {"version": 1, "last": "08_lstm", "lessons": {"08_lstm": {
        "digest": "…", "steps": 120,                the lesson's text when the places below were taken
        "at": [14, "Forward", 3],                   steps that have been run; the section, and how many of its steps
        "furthest": [40, "Backward", 2],
        "done": false, "slow": {"12": 31.5},        seconds of each step that took more than one
        "turns": ["Backward: dC"], "turn_count": 9, written by the learner, and how many there are
        "guesses": {"lost": [12, 0]},               each guess, and after how many steps it was held against the truth
        "exercises": ["1 · On paper"], "exercise_count": 4}}}
"""
import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nblayers.learn import catalogue
from nblayers.learn.script import Script, Step
from nblayers.learn.session import Session

VERSION = 1
SLOW = 1.0                              # seconds: a step that takes longer is remembered
_said: set[str] = set()


@dataclass(frozen=True)
class Place:
    """A place in a lesson: `position` steps have been run; the last of them is step number `offset` of its section."""

    position: int = 0
    section: str = ""
    offset: int = 0


@dataclass
class Lesson:
    """What has been done in one lesson."""

    digest: str = ""
    steps: int = 0
    at: Place = Place()
    furthest: Place = Place()
    done: bool = False
    slow: dict[int, float] = field(default_factory=dict)
    turns: list[str] = field(default_factory=list)
    turn_count: int = 0
    exercises: list[str] = field(default_factory=list)
    exercise_count: int = 0
    guesses: dict[str, tuple[Any, int]] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether it was left before its end."""
        return 0 < self.at.position < self.steps

    def seconds(self, position: int) -> float:
        """How long the slow ones of the first `position` steps took."""
        return sum(seconds for step, seconds in self.slow.items() if step < position)


def folder() -> Path:
    """Where progress is kept: $NBLAYERS_STATE, else nblayers in $XDG_STATE_HOME, else ~/.local/state/nblayers."""
    own = os.environ.get("NBLAYERS_STATE")
    if own:
        return Path(own)
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):                        # as its specification says
        state = os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(state, "nblayers")


def file() -> Path:
    """The file that progress is kept in."""
    return folder() / "progress.json"


def read(path: Path) -> Lesson:
    """What has been done in the lesson `path`; all zero if nothing is known."""
    return _lesson(_load()["lessons"].get(path.stem, {}))


def last() -> str | None:
    """The stem of the lesson that was stepped through last, as "08_lstm"."""
    found = _load()["last"]
    return found if isinstance(found, str) else None


def turn_written(path: Path, name: str, count: int = 0) -> None:
    """Remember that the learner wrote the turn `name` of the lesson `path` themselves; `count` turns are in it."""
    def add(lesson: Lesson) -> None:
        lesson.turns = sorted({*lesson.turns, name})
        lesson.turn_count = count or lesson.turn_count
    _update(path, add)


def guess_kept(path: Path, name: str, guess: Any, told: int = 0) -> None:
    """Remember what the learner guessed for `name`; `told` steps had been run when it was held against the truth, or 0."""
    plain = guess.tolist() if hasattr(guess, "tolist") else guess
    if not isinstance(plain, (bool, int, float, str)):
        plain = str(plain)
    _update(path, lambda lesson: lesson.guesses.update({name: (plain, told)}))


def exercises_right(path: Path, right: Iterable[str], count: int) -> None:
    """Remember the exercises that a check found right, by their titles; `count` exercises are in the lesson."""
    def add(lesson: Lesson) -> None:
        lesson.exercises = sorted({*lesson.exercises, *right})
        lesson.exercise_count = count
    _update(path, add)


def digest(script: Script) -> str:
    """A short name for the lesson's text."""
    return hashlib.sha256(script.source.encode()).hexdigest()[:16]


def place(steps: Sequence[Step], position: int) -> Place:
    """The place after `position` of the lesson's `steps`."""
    if position == 0:
        return Place()
    section = steps[position - 1].section
    first = next(i for i, step in enumerate(steps) if step.section == section)
    return Place(position, section, position - first)


def find(steps: Sequence[Step], old: Place) -> int:
    """Where a place of an earlier text of the lesson is in `steps`: before its section; 0 if there is no such section."""
    return next((i for i, step in enumerate(steps) if old.section and step.section == old.section), 0)


def position(script: Script, steps: Sequence[Step], lesson: Lesson) -> int:
    """How many of the script's `steps` to run before the learner goes on."""
    if lesson.digest == digest(script) and lesson.steps == len(steps):
        return min(lesson.at.position, len(steps))
    return find(steps, lesson.at)


class Followed(Session):
    """A session whose place is remembered after every step. Only lessons of the course are; other scripts are not."""

    def __init__(self, script: Script, arguments: Sequence[str] = ()) -> None:
        super().__init__(script, arguments)
        self._digest = digest(script)
        self.quiet = False              # True while steps are run again, which is no new place

    def next(self) -> Step | None:
        number, start = self.own_position(), time.perf_counter()
        step = super().next()
        seconds = time.perf_counter() - start
        if step is not None:
            self.keep({number: seconds} if seconds > SLOW and self.is_own(step) else {})
        return step

    def next_with(self, own: Mapping[str, Any]) -> Step | None:
        step = super().next_with(own)
        if step is not None and step.is_turn and step.question is not None:
            count = sum(own.is_turn for own in self.own)
            turn_written(self.script.path, f"{step.section}: {', '.join(step.question.judged)}", count)
        return step

    def skip(self) -> Step | None:
        step = super().skip()
        self.keep()
        return step

    def back(self, position: int | None = None) -> list[str]:
        lost = super().back(position)
        self.keep()
        return lost

    def seconds_of(self, step: Step) -> float | None:
        known = read(self.script.path)
        if not self.is_own(step) or known.digest != self._digest:
            return None
        return known.slow.get(step.number, 0.0 if step.number < known.furthest.position else None)

    def keep(self, slow: dict[int, float] | None = None) -> None:
        """Write down where the learner is."""
        if self.quiet:
            return
        here = place(self.own, self.own_position())

        def set_place(lesson: Lesson) -> None:
            if (lesson.digest, lesson.steps) != (self._digest, len(self.own)):
                lesson.furthest = place(self.own, find(self.own, lesson.furthest))
                lesson.slow = {}
            lesson.digest, lesson.steps, lesson.at = self._digest, len(self.own), here
            lesson.furthest = max(lesson.furthest, here, key=lambda place: place.position)
            lesson.slow.update(slow or {})
            lesson.done = lesson.done or here.position == len(self.own)
        _update(self.script.path, set_place, last=True)


def _update(path: Path, change: Callable[[Lesson], None], last: bool = False) -> None:
    """Read the file, let `change` work on the lesson's entry, write the file."""
    if path.resolve().parent != catalogue.HOME:
        return
    state = _load()
    lesson = _lesson(state["lessons"].get(path.stem, {}))
    change(lesson)
    state["lessons"][path.stem] = _entry(lesson)
    if last:
        state["last"] = path.stem
    _save(state)


def _load() -> dict[str, Any]:
    empty: dict[str, Any] = {"version": VERSION, "last": None, "lessons": {}}
    try:
        text = file().read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return empty
    except (OSError, UnicodeDecodeError) as error:
        _say(f"your progress cannot be read: {file()}: {error.strerror if isinstance(error, OSError) else error}")
        return empty
    try:
        state = json.loads(text)
        for entry in state["lessons"].values():
            _lesson(entry)
        return empty | state
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        _set_aside()
        return empty


def _set_aside() -> None:
    """Keep a damaged file under another name, so that nothing of it is lost by the next write."""
    aside = file().with_suffix(".damaged")
    with contextlib.suppress(OSError):
        os.replace(file(), aside)
    _say(f"the file of your progress is damaged; it now lies in {aside}, and a new one is begun")


def _save(state: dict[str, Any]) -> None:
    """Write the file whole or not at all."""
    name = None
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder(), prefix=".progress-", delete=False) as new:
            name = new.name
            json.dump(state, new, ensure_ascii=False, indent=1)
        os.replace(name, file())
    except OSError as error:
        _say(f"your progress is not kept: {folder()}: {error.strerror}")
        if name is not None:
            with contextlib.suppress(OSError):
                os.unlink(name)


def _lesson(entry: dict[str, Any]) -> Lesson:
    """An entry of the file.

    Raises:
        ValueError, TypeError, AttributeError: it is not what this module writes.
    """
    return Lesson(str(entry.get("digest", "")), int(entry.get("steps", 0)), _place(entry.get("at", [0, "", 0])),
                  _place(entry.get("furthest", [0, "", 0])), bool(entry.get("done", False)),
                  {int(step): float(seconds) for step, seconds in entry.get("slow", {}).items()},
                  [str(name) for name in entry.get("turns", [])], int(entry.get("turn_count", 0)),
                  [str(title) for title in entry.get("exercises", [])], int(entry.get("exercise_count", 0)),
                  {str(name): (guess, int(told)) for name, (guess, told) in entry.get("guesses", {}).items()})


def _place(values: list[Any]) -> Place:
    position, section, offset = values
    return Place(int(position), str(section), int(offset))


def _entry(lesson: Lesson) -> dict[str, Any]:
    return {"digest": lesson.digest, "steps": lesson.steps,
            "at": [lesson.at.position, lesson.at.section, lesson.at.offset],
            "furthest": [lesson.furthest.position, lesson.furthest.section, lesson.furthest.offset],
            "done": lesson.done, "slow": {str(step): round(seconds, 1) for step, seconds in lesson.slow.items()},
            "turns": lesson.turns, "turn_count": lesson.turn_count,
            "exercises": lesson.exercises, "exercise_count": lesson.exercise_count,
            "guesses": {name: list(kept) for name, kept in lesson.guesses.items()}}


def _say(what: str) -> None:
    """One line on stderr, the first time that it is said."""
    if what not in _said:
        _said.add(what)
        print(f"nblayers: {what}", file=sys.stderr)
