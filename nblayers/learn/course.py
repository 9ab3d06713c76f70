"""The course: the path of lessons, what is done of it, and going on where one left off."""
import contextlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nblayers.learn import catalogue, latex, progress, script
from nblayers.learn.catalogue import COURSE
from nblayers.learn.session import LessonError
from nblayers.learn.terminal import LONG, LessonText, Stepper

NARROW = 100                                                # columns below which what is done is told in short


@dataclass(frozen=True)
class Entry:
    """One lesson of the course; `path` is None while it is to come."""

    number: str
    title: str
    path: Path | None = None
    minutes: int | None = None
    done: progress.Lesson = field(default_factory=progress.Lesson)
    position: int = 0                                       # steps that run before the learner goes on
    steps: int = 0

    @property
    def begun(self) -> bool:
        return self.done.begun

    def state(self) -> str:
        """What is done, in words."""
        done = self.done
        words = ["done"] if done.done else []
        if self.begun:
            words.append(f"step {self.position + 1} of {self.steps}")
        if done.turns:
            words.append(f"{len(done.turns)}{f' of {done.turn_count}' if done.turn_count else ''} turns")
        if done.exercises:
            words.append(f"{len(done.exercises)} of {done.exercise_count} exercises")
        return " · ".join(words)

    def state_in_short(self) -> str:
        """The same for a narrow window; the mark before the lesson says that it is done."""
        state = re.sub(r"(\d+) of (\d+)", r"\1/\2", self.state())
        return state.removeprefix("done · ").replace(" exercises", " ex.")


def course() -> list[Entry]:
    """The lessons of the path in their order, and what is done of each."""
    files = {catalogue.number_of(path): path for path in catalogue.lessons()}
    return [_entry(number, title, files.get(number)) for number, title in COURSE.items()]


def _entry(number: str, title: str, path: Path | None) -> Entry:
    if path is None:
        return Entry(number, title)
    lesson, done = script.read(path), progress.read(path)
    if not done.begun:
        return Entry(number, title, path, lesson.minutes, done)
    steps = lesson.steps()
    return Entry(number, title, path, lesson.minutes, done, progress.position(lesson, steps, done), len(steps))


def upcoming(entries: list[Entry], last: str | None) -> Entry | None:
    """Where to go on: the lesson that was left before its end, else the first after it that is not done."""
    there = [entry for entry in entries if entry.path is not None]
    at = next((i for i, entry in enumerate(there) if entry.path is not None and entry.path.stem == last), -1)
    if at >= 0 and there[at].begun:
        return there[at]
    order = there[at + 1:] + there[:at + 1]
    return next((entry for entry in order if not entry.done.done), None)


def show(entries: list[Entry], console: Console) -> None:
    """Print the path: ✓ done, ▸ begun, dim what is to come, which a low window leaves out."""
    if console.is_terminal and console.height < len(entries) + 3:
        entries = [entry for entry in entries if entry.path is not None]
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="green")
    for entry in entries:
        mark = Text("✓", "green") if entry.done.done else Text("▸", "bold cyan") if entry.begun else Text(" ")
        title = Text(entry.title, "dim" if entry.path is None else "bold" if entry.begun else "")
        title.truncate(max(20, console.width - 38), overflow="ellipsis")
        minutes = f"{entry.minutes} min" if entry.minutes else ""
        number = Text(entry.number, "dim" if entry.path is None else "")
        done = entry.state_in_short() if console.width < NARROW else entry.state()
        state = Text("to come", "dim") if entry.path is None else Text(done)
        table.add_row(mark, number, title, Text(minutes, "dim"), state)
    console.print(table)


def question(entry: Entry | None) -> str:
    """What is asked under the path."""
    if entry is None:
        return "All of it is done. A lesson's number or name · q: leave > "
    how = f"go on with {entry.number} at step {entry.position + 1}" if entry.begun else f"begin {entry.number}"
    return f"Enter: {how} · or a lesson's number or name · q: leave > "


def walk(step_through: Callable[[Path, bool], bool], console: Console, ask: Callable[[str], str] = input) -> None:
    """Show the path and step through lessons until the learner leaves.

    Arguments:
        step_through: steps through a lesson, told whether to go on where it was left without asking; returns
            whether its end was reached.
        console, ask: the dialogue.
    """
    while True:
        entries = course()
        show(entries, console)
        entry = upcoming(entries, progress.last())
        chosen = _choose(entry, console, ask)
        if chosen is None or not step_through(chosen, entry is not None and chosen == entry.path):
            return
        console.print()


def _choose(entry: Entry | None, console: Console, ask: Callable[[str], str]) -> Path | None:
    """The lesson that the learner asks for; None to leave."""
    while True:
        try:
            answer = ask("\n" + question(entry)).strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return None
        if answer in ("q", "quit", "exit"):
            return None
        if not answer and entry is not None:
            return entry.path
        try:
            if answer:
                return catalogue.find(answer)
        except catalogue.UnknownLesson as error:
            console.print(Text(str(error).partition("\n")[0], "yellow"))


def go_on(stepper: Stepper, lesson: script.Script, sure: bool) -> bool:
    """Bring the stepper to where the lesson was left, by running the steps before it without showing them.

    Returns False if the learner would rather leave.

    Arguments:
        stepper: at the lesson's start, on a `progress.Followed` session.
        lesson: what it steps through.
        sure: the learner has asked for it; otherwise they are asked.
    """
    done, session, console = progress.read(lesson.path), stepper.session, stepper.console
    position = progress.position(lesson, session.own, done) if done.begun else 0
    if not position:
        return True
    heading = latex.in_sentence(done.at.section)
    changed = "" if progress.digest(lesson) == done.digest else " It has been edited since."
    where = f"You left this lesson at step {position + 1} of {len(session.own)}, in the section “{heading}”.{changed}"
    console.print(Text(where, "bold"))
    seconds = done.seconds(position)
    wait = f" That takes {seconds:.0f} seconds: some of them train." if seconds >= LONG else ""
    console.print(Text(f"Steps 1 to {position} run again first, without being shown.{wait}", "dim"))
    if wait or not sure:
        answer = _answer(stepper.ask, console)
        if answer in ("s", "start", "q", "quit"):
            return answer in ("s", "start")
    assert isinstance(session, progress.Followed)
    session.quiet = True
    try:
        with session.as_main(), contextlib.redirect_stdout(io.StringIO()):
            while session.position < position:
                session.next()
    except KeyboardInterrupt:
        console.print(f"\n[yellow]Interrupted before step {session.position + 1}: from there you go on.[/]")
    except LessonError as error:
        console.print(Text(f"{error}: from there you go on.", "yellow"))
    session.quiet = False
    session.changed, session.value = [], None
    session.keep()
    upcoming = session.upcoming
    if upcoming is not None and upcoming.kind == "code":
        text = next((step.source for step in reversed(session.steps[:session.position]) if step.kind == "text"), "")
        console.print(LessonText(text))
        console.print()
    return True


def _answer(ask: Callable[[str], str], console: Console) -> str:
    try:
        return ask("Enter: go on there · s: from the lesson's start · q: leave > ").strip().lower()
    except (EOFError, KeyboardInterrupt):
        console.print()
        return "q"
