"""Lessons in a terminal, on rich: one step at a time (`Stepper`), or straight through (`run_through`)."""
import ast
import codeop
import contextlib
import io
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markdown import Heading, Markdown
from rich.padding import Padding
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from nblayers.compiling import LINE
from nblayers.learn import latex, pager
from nblayers.learn.graph import Graph
from nblayers.learn.script import Script, Step
from nblayers.learn.session import CannotGo, Change, LessonError, Session
from nblayers.learn.tools import closer
from nblayers.learn.training import trains
from nblayers.learn.turns import BLOCKS
from nblayers.learn.values import describe, is_parameter, is_shortened

MOST_SET_UP = 3                         # lines of imports that are shown as they are
LONG = 5.0                              # seconds: before a step that took longer the learner is asked
WIDEST_TEXT = 96                        # columns: longer lines of prose are hard to read
GLUE = "\ue000"                         # stands for a space inside a formula or a comment, at which no line may break
MOST_GLUED = 40                         # columns of a comment that is kept in one piece
MOST_INDENT = 12                        # columns before a line that goes on
MOST_NAMED = 4                          # names that are told in one sentence
TO_TYPE = 10                            # columns behind a prompt that are left free for a command
BEGIN, END = "\u2061", "\u2062"         # around a formula in a sentence; they take no column
MATHS = Style(color="cyan")
HELP = """\
Enter         run the next step
b             go back one step, exactly
EXPRESSION    look at it: x, dW - dW_numeric, layer.cache, x.shape
STATEMENT     an experiment: x[0] = 5 and then Enter; b takes it back too. The
              lesson goes on with what you changed
p EXPRESSION  look at a variable whose name is a command: p b
all NAME      show an array or a table whole
list          show the code of the last step again; of imports, all of it
into          step into the `for` loop that comes next, or into a function of
              the lesson that the next step calls
out           run to the end of that loop or function
go N          to step N of the lesson, back or on, without showing those before
              it; your turns among them are passed over. (All of a loop that was
              stepped into has the loop's number.) Or to the section with this
              word in its heading
steps         list the sections
c             run on to the end; asks before a training
skip          leave out a step that fails: it is not run. At a turn of yours:
              show the lesson's line, run it and go on, as Enter twice does
q             quit (also Ctrl-D)
"""


def new_console() -> Console:
    """A console on stdout that prints any character somehow, whatever the encoding."""
    with contextlib.suppress(AttributeError, ValueError):
        sys.stdout.reconfigure(errors="replace")        # type: ignore[union-attr]
    return Console(highlight=False, soft_wrap=False)


class _Heading(Heading):
    """A heading at the left; underlined where there is no bold."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text
        if not console.is_terminal:
            yield Text(("═" if self.tag == "h1" else "─") * min(self.text.cell_len, options.max_width))


class LessonText:
    """Markdown with maths, for a terminal."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = min(options.max_width, WIDEST_TEXT)
        plain = not console.is_terminal
        maths = False
        for segment in console.render(Group(*self._parts(wide, plain)), options.update(width=wide)):
            for part in re.split(f"([{BEGIN}{END}])", segment.text):
                if part in (BEGIN, END):
                    maths = part == BEGIN
                else:
                    style = (segment.style or Style()) + MATHS if maths else segment.style
                    yield Segment(part.replace(GLUE, " "), style, segment.control)

    def _parts(self, wide: int, plain: bool) -> Iterator[RenderableType]:
        pieces = split_maths(self.source)
        for i, (kind, piece) in enumerate(pieces):
            if kind == "maths":
                yield formula(piece, wide, plain)
            elif piece.strip():
                yield _Markdown(piece, code_theme="ansi_dark", hyperlinks=False)
                if i + 1 < len(pieces):
                    yield ""


class _Markdown(Markdown):
    elements = {**Markdown.elements, "heading_open": _Heading}      # noqa: RUF012  as in rich


def split_maths(source: str) -> list[tuple[str, str]]:
    """The text cut at its displayed formulas: ("text", Markdown) and ("maths", LaTeX); inline formulas become Unicode."""
    pieces: list[tuple[str, str]] = []
    text = ""
    for part in re.split(r"(^```.*?^```|`[^`\n]+`|\$\$.+?\$\$)", source, flags=re.DOTALL | re.MULTILINE):
        if part.startswith("$$"):
            pieces += [("text", text), ("maths", part[2:-2].strip())]
            text = ""
        elif part.startswith("`"):
            text += part
        else:
            text += re.sub(r"(?<!\\)\$(.+?)(?<!\\)\$", lambda found: _in_sentence(found[1]), part, flags=re.DOTALL)
    return [*pieces, ("text", text)]


def _in_sentence(tex: str) -> str:
    """An inline formula as Markdown that comes out as it is, in one piece unless it is long."""
    text = latex.inline(" ".join(tex.split()))
    text = re.sub(r"([\\`*_{}\[\]<>()#+.!|~-])", r"\\\1", text)
    return BEGIN + (text.replace(" ", GLUE) if len(text) <= 40 else text) + END


def formula(tex: str, wide: int, plain: bool) -> RenderableType:
    """A displayed formula, with the identifier of its source at its right."""
    text, tag = latex.display(tex, wide - 8)
    parts: list[RenderableType] = [Text(text, style="bold", no_wrap=True, overflow="ignore")]
    if tag:
        taken = max(map(latex.width, text.split("\n"))) + len(tag) + 5
        if taken > wide - 8:
            text, _ = latex.display(tex, wide - 8 - len(tag) - 5)
            parts = [Text(text, style="bold", no_wrap=True, overflow="ignore")]
        parts.append(Text(f"({tag})", style="not bold dim", no_wrap=True))
    line = Table.grid(padding=(0, 3), expand=False)
    for _ in parts:
        line.add_column(vertical="middle", no_wrap=True)
    line.add_row(*parts)
    if plain:
        return Padding(line, (0, 0, 1, 4))
    return Padding(Panel(line, border_style="cyan", expand=False, padding=(0, 2)), (0, 0, 1, 0))


def source_code(step: Step) -> RenderableType:
    """A step's code with its line numbers; long imports and options are folded."""
    if is_folded(step):
        lines = step.source.count("\n") + 1
        options = " and options" if not isinstance(step.nodes[-1], (ast.Import, ast.ImportFrom)) else ""
        return Text(f"{step.line:4d}  imports{options}, {lines} lines; list shows them", style="dim")
    return whole_code(step)


def is_folded(step: Step) -> bool:
    """Whether a step is set-up that is only named, not shown."""
    return step.is_set_up and step.source.count("\n") >= MOST_SET_UP


def whole_code(step: Step) -> RenderableType:
    return Code(step.source, step.line)


class Code:
    """Python with its line numbers. A line that is too long is not broken inside a comment, or inside its brackets."""

    def __init__(self, source: str, line: int) -> None:
        self.source, self.line = source, line

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        source = closer(self.source, options.max_width - 6)
        source = re.sub(r"#.*", lambda found: _glued(found[0]), source)
        yield from Glued(Syntax(source, "python", line_numbers=True, start_line=self.line, theme="ansi_dark",
                                word_wrap=True, background_color="default")).__rich_console__(console, options)


class Glued:
    """Something in which no line breaks at a `GLUE`, which is shown as a space."""

    def __init__(self, inner: RenderableType) -> None:
        self.inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.inner, options):
            yield Segment(segment.text.replace(GLUE, " "), segment.style, segment.control)


def _glued(comment: str) -> str:
    """A comment at whose spaces no line may break: at none of them in a short one, at those in brackets in a long one."""
    if len(comment) <= MOST_GLUED:
        return comment.replace(" ", GLUE)
    return re.sub(r"\([^()]*\)", lambda found: found[0].replace(" ", GLUE), comment)


def values(changes: list[Change], wide: int) -> RenderableType | None:
    """A table of what a step changed; objects that changed inside are only named."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold green", no_wrap=True)
    table.add_column()
    changes = [change for change in changes if not _is_noise(change.value)]
    named = [change for change in changes if change.in_place and not _has_shown_content(change.value)]
    shown = [change for change in changes if change not in named]
    room = wide - 7 - max((len(change.name) for change in shown), default=0)
    for change in shown:
        kind, content = describe(change.value, room)
        if "\n" in content or len(content) + len(kind) + 2 > room:
            table.add_row(change.name, Group(Text(kind, "dim"), Text(content)))
        else:
            table.add_row(change.name, Text.assemble((kind, "dim"), "  ", content))
    inside = [change.name for change in named if type(change.value).__name__ not in ("Generator", "RandomState")]
    parts: list[RenderableType] = [table] if shown else []
    if inside:
        parts.append(Text.assemble(("changed inside: ", "dim"), (", ".join(inside), "green")))
    return Padding(Group(*parts), (0, 0, 0, 5)) if parts else None


def _is_noise(value: Any) -> bool:
    """Modules, functions, classes and graphs: the source line has said all there is to say."""
    return isinstance(value, (type(sys), type, Graph)) or (callable(value) and hasattr(value, "__name__"))


def _is_drawing(value: Any) -> bool:
    """What matplotlib returns when something is drawn: lines, texts, a legend, or lists of them."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(_is_drawing, value))
    return type(value).__module__.split(".")[0] == "matplotlib"


def _has_shown_content(value: Any) -> bool:
    return isinstance(value, (list, dict, set, tuple, bytearray, np.ndarray)) or is_parameter(value)


class Stepper:
    """A dialogue about one session.

    Arguments:
        session: the lesson.
        console: where to print.
        ask: reads a line after showing a prompt; raises EOFError at the end of input.
    """

    def __init__(self, session: Session, console: Console | None = None, ask: Callable[[str], str] = input) -> None:
        self.session = session
        self.console = console or new_console()
        self.ask = ask
        self.over = False
        self.warned = False                             # that a command's name is a variable's too
        self.told_of_all = False                        # how to see the whole of an array
        self.commands: dict[str, Callable[[], None]] = {
            "": self.next, "n": self.next, "next": self.next, "b": self.back, "back": self.back, "c": self.run_on,
            "i": self.enter, "into": self.enter, "o": self.leave, "out": self.leave, "skip": self.skip,
            "list": self.list_code, "p": self.list_code,
            "steps": self.list_sections, "?": self.help, "h": self.help, "help": self.help, "q": self.quit, "quit": self.quit,
            "exit": self.quit}

    def run(self) -> None:
        """Talk until the learner leaves."""
        LINE.heeds_verbose = False                      # nothing else says why a step takes so long
        with self.session.as_main():
            self.console.print(f"[bold]{len(self.session.own)} steps.[/] Enter runs the next one, b goes back, "
                               "? shows what else there is.\n")
            self.next()
            while not self.over:
                self.ready()
                try:
                    line = self.ask(self.prompt()).strip()
                except (EOFError, KeyboardInterrupt):
                    self.console.print()
                    return
                except ValueError:                      # stdin was closed: somebody typed exit()
                    return
                if not line:
                    self.wipe_prompt()
                self.obey(line)

    def ready(self) -> None:
        """Called before each prompt."""

    def prompt(self) -> str:
        """What Enter does, and as many other commands as fit into a line with what is typed."""
        entry = self.session.entry
        enter = f"step {self.where_it_stands()}" if self.session.upcoming is not None else "leave"
        others = ["b: back", *([f"into: {entry}"] if entry else []), "?: help"]
        while len(others) > 1 and len(" · ".join([f"Enter: {enter}", *others])) > self.console.width - TO_TYPE:
            del others[0]
        return " · ".join([f"Enter: {enter}", *others]) + " > "

    def where_it_stands(self) -> str:
        """The number of the step that comes next, of how many: that which `go` takes, and which the path shows.

        All that a loop or a function is unrolled into has the number of the step that was stepped into. What tells its
        statements apart stands behind it: "14 of 22 in forward, turn 2 of 3".
        """
        session, step = self.session, self.session.upcoming
        inside = f" in {session.frames[-1].name}" if session.frames else ""
        turn = f", {step.turn}" if step is not None and step.turn else ""
        return f"{session.own_position() + 1} of {len(session.own)}{inside}{turn}"

    def wipe_prompt(self) -> None:
        """Take the answered prompt off the screen, so that the steps read as one page."""
        if self.console.is_terminal and not self.console.is_dumb_terminal and self.ask is input:
            self.console.file.write("\x1b[1A\x1b[2K")
            self.console.file.flush()

    def obey(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "go" and rest.strip() and rest.strip()[0] != "=":
            return self.go(rest.strip())
        if word == "p" and rest.strip():
            return self.look(rest.strip())
        if word == "all" and rest.strip() and rest.strip()[0] not in "=(":
            return self.look(rest.strip(), whole=True)
        known = line in self.session.here
        if line in self.commands and not (known and line not in ("b", "q")):
            self.commands[line]()
            if known and not self.warned:
                self.console.print(f"[dim]({line} is also a variable of the lesson: [/]p {line}[dim] looks at it)[/]")
                self.warned = True
        else:
            self.look(self.read_on(line))

    def read_on(self, first: str) -> str:
        """What was typed, with the lines that follow if it begins a block; an empty line ends that."""
        return self.read_until(first, is_whole)

    def read_until(self, first: str, is_complete: Callable[[str], bool]) -> str:
        """Ask for more lines until they are complete; nothing if the learner gives up."""
        lines = [first]
        while not is_complete("\n".join(lines)):
            try:
                lines.append(self.ask(f"{'... > ':>{min(len(self.prompt()), MOST_INDENT)}}").rstrip())
            except (EOFError, KeyboardInterrupt):
                self.console.print()
                return ""
        return "\n".join(lines).rstrip()

    def next(self) -> None:
        """Show the upcoming step, run it, show what it did."""
        if self.session.upcoming is None:
            self.quit()
            return
        with self.paged():
            went = self.advance()
        if went and self.session.upcoming is None:
            self.console.print("[bold]The end of the lesson.[/] Look at anything, b goes back, Enter leaves.")

    def advance(self) -> bool:
        """Run one step; False if it failed."""
        step = self.session.upcoming
        assert step is not None
        if step.kind == "text":
            if self.session.position:
                self.console.rule(style="dim")
            self.console.print(LessonText(step.source))
            self.console.print()
        else:
            self.console.print(source_code(step))
            if step.turn:
                self.console.print(f"[dim]     {step.turn}[/]")
        try:
            self.session.next()
        except LessonError as error:
            self.report(error)
            return False
        except KeyboardInterrupt:
            self.interrupted(step)
            return False
        if self.session.returned:
            self.console.print(f"[dim]     {self.session.returned} returns[/]")
        if self.session.value is not None and not _is_drawing(self.session.value):
            self.show(self.session.value)
        if not is_folded(step):
            self.show_changes()
        if step.nodes and all(isinstance(node, ast.Assert) for node in step.nodes):
            self.console.print("     [green]✓[/]")
        if step.kind == "code":
            self.console.print()
        return True

    def paged(self) -> contextlib.AbstractContextManager[None]:
        """What is printed inside stops after each screenful, on a terminal with somebody at it."""
        is_paged = isinstance(sys.stdout, pager.Pager)
        if is_paged or self.ask is not input or not self.console.is_terminal or self.console.is_dumb_terminal:
            return contextlib.nullcontext()
        return pager.paged(self.console.height, self.console.width, self.ask)

    def show_changes(self) -> None:
        """Show what the last step or experiment changed; say once how to see a long array whole."""
        changed = self.session.changed
        table = values(changed, self.wide)
        if table is None:
            return
        self.console.print(table)
        if self.told_of_all:
            return
        long = next((change.name for change in changed if isinstance(change.value, np.ndarray)
                     and is_shortened(change.value, self.wide)), None)
        if long:
            self.console.print(f"[dim]     (all {long} shows it whole)[/]")
            self.told_of_all = True

    @property
    def wide(self) -> int:
        return min(self.console.width, 120)

    def interrupted(self, step: Step) -> None:
        self.console.print(f"\n[yellow]Interrupted: nothing has changed.[/] Enter runs line {step.line} again.")

    def report(self, error: LessonError) -> None:
        found = error.error
        self.console.print(Text.assemble((f"Line {error.line} of the lesson stopped with ", "red"),
                                         (f"{type(found).__name__}: {found}", "bold red")))
        self.tell_what_was_left_out(found)
        self.tell_experiments()
        self.console.print("[dim]The state is the one before this step. Look at anything; Enter tries it again, "
                           "skip leaves it out, b goes back.[/]")

    def tell_what_was_left_out(self, error: BaseException) -> None:
        """After a NameError: the line that would have made the name, if it was skipped."""
        name = getattr(error, "name", None) if isinstance(error, NameError) else None
        missing = self.session.missing(name) if name else None
        if missing is not None:
            line = ast.unparse(missing).split("\n")[0]
            self.console.print(Text(f"{name} is made by line {missing.lineno}, which was left out: {line}", style="yellow"))

    def tell_experiments(self) -> None:
        """Say which of the lesson's variables the learner has changed, and how to take that back."""
        made = self.session.experiments
        if not made:
            return
        names = _named(dict.fromkeys(name for experiment in made for name in experiment.names))
        first = made[0]
        line, number = first.text.partition("\n")[0], self.session.own_position(first.position)
        self.console.print(Text(f"You have changed {names} since step {number} (with {line!r}): that may be why. "
                                f"go {number} goes back to that step, and the lesson has its own numbers again.",
                                style="yellow"))

    def back(self) -> None:
        try:
            lost = self.session.back()
        except CannotGo as reason:
            self.console.print(f"[yellow]{reason}[/]")
            return
        self.where(lost)

    def where(self, lost: list[str]) -> None:
        """Say where the lesson stands after going back."""
        step = self.session.upcoming
        assert step is not None
        what = "this text" if step.kind == "text" else f"line {step.line}"
        self.console.print(f"[yellow]Back before {what}[/] (step {self.session.own_position() + 1}). Enter runs it again:")
        first, _, more = step.source.partition("\n")
        self.console.print(Text(f"  {first}{' …' if more else ''}", style="dim"))
        if lost:
            self.console.print(f"[dim]not taken back: {', '.join(lost)}[/]")

    def look(self, text: str, whole: bool = False) -> None:
        if text:
            with self.paged():
                self._look(text, whole)

    def _look(self, text: str, whole: bool) -> None:
        before = len(self.session.experiments)
        try:
            value = self.session.look(text)
        except KeyboardInterrupt:
            self.console.print("[yellow]interrupted[/]")
            return
        except SystemExit:
            self.quit()
            return
        except BaseException as error:
            what = error.msg if isinstance(error, SyntaxError) else error       # without the name of no file
            self.console.print(Text(f"{type(error).__name__}: {what}", style="red"))
            self.tell_what_was_left_out(error)
            if len(self.session.experiments) > before:
                self.tell_experiment()
            return
        if value is not None:
            self.show(value, whole)
        elif not self.session.changed:
            self.console.print("[dim]None[/]" if _is_expression(text) else "[dim]nothing has changed[/]")
        self.show_changes()
        if len(self.session.experiments) > before:
            self.tell_experiment()

    def tell_experiment(self) -> None:
        """Say that what was typed has changed the lesson's variables."""
        experiment = self.session.experiments[-1]
        its = "its" if len(experiment.names) == 1 else "their"
        self.console.print(Text(f"     {_named(experiment.names)} changed: the lesson goes on with {its} new value. "
                                f"go {self.session.own_position(experiment.position)} takes that back.", style="dim"))

    def show(self, value: Any, whole: bool = False) -> None:
        kind, content = describe(value, self.wide - 8, whole)
        if "\n" in content or len(kind) + len(content) > self.wide - 12:
            self.console.print(Padding(Group(Text(kind, "dim"), Text(content)), (0, 0, 0, 5)))
        else:
            self.console.print(Text.assemble("     ", (kind, "dim"), "  ", content))

    def run_on(self) -> None:
        """Run all that is left, or up to a step that fails, or to a training that is not wanted."""
        asked = False
        while (step := self.session.upcoming) is not None:
            if not asked and self.may_take_long(step):
                if not self.agrees(step):
                    return
                asked = True
            if not self.advance():
                return
        self.console.print("[bold]The end of the lesson.[/] Look at anything, b goes back, Enter leaves.")

    def may_take_long(self, step: Step) -> bool:
        """Whether to ask before a step: it took long the last time, or it was never run and trains a model."""
        seconds = self.session.seconds_of(step)
        return seconds >= LONG if seconds is not None else trains(step, self.session.here)

    def agrees(self, step: Step) -> bool:
        """Whether the learner wants to run a step that may take long."""
        seconds = self.session.seconds_of(step)
        what = "trains, or runs a long loop" if seconds is None else f"took {seconds:.0f} seconds the last time"
        self.console.print(f"[yellow]Line {step.line} {what}.[/] Ctrl-C stops it.")
        try:
            answer = self.ask("Enter: run it, and all later ones · any word: stop here > ")
        except (EOFError, KeyboardInterrupt):
            self.console.print()
            return False
        return not answer.strip()

    def go(self, where: str) -> None:
        if where.isdigit():
            self.go_to(int(where))
            return
        starts = [i for i, step in enumerate(self.session.steps)
                  if step.kind == "text" and where.lower() in step.section.lower()]
        if starts:
            self.go_to(self.session.own_position(starts[0]) + 1)
        else:
            self.console.print(f"[yellow]no section's heading holds {where!r}[/]; steps lists them")

    def go_to(self, number: int) -> None:
        """Run steps unseen, or undo them, and show the step of the lesson with this number."""
        count = len(self.session.own)
        if number > count:
            self.console.print(f"[yellow]this lesson has {count} steps[/]; c runs to the end")
            return
        position = self.session.place_of(max(number - 1, 0))
        if position < self.session.position:
            try:
                lost = self.session.back(position)
            except CannotGo as reason:
                self.console.print(f"[yellow]{reason}[/]")
                return
            if lost:
                self.console.print(f"[dim]not taken back: {', '.join(lost)}[/]")
        elif not self.run_unseen(position):
            return
        if number and self.session.upcoming is not None:
            self.next()

    def run_unseen(self, position: int) -> bool:
        """Run steps without showing anything until `position` have been run; False if one fails or is not wanted."""
        start, asked = self.session.position, False
        while self.session.position < position and (step := self.session.upcoming) is not None:
            if not asked and self.may_take_long(step):
                if not self.agrees(step):
                    return False
                asked = True
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    self.session.next()
            except (LessonError, KeyboardInterrupt) as error:
                self.console.print(source_code(step))
                self.report(error) if isinstance(error, LessonError) else self.interrupted(step)
                return False
        ran = self.session.position - start
        if ran:
            self.console.print(f"[dim]ran {ran} step{'s' if ran > 1 else ''}[/]\n")
        return True

    def enter(self) -> None:
        """Step into the upcoming loop, or the first call of one of the lesson's own functions."""
        with self.paged():
            self._enter()

    def _enter(self) -> None:
        step = self.session.upcoming
        try:
            if step is not None and step.nodes and isinstance(step.nodes[0], ast.For):
                count = self.session.enter_loop()
                self.console.print(f"[dim]{count} turns, statement by statement; out runs to the end of the loop[/]")
            else:
                name, head = self.session.enter_function()
                self.show_call(name, head)
        except CannotGo as reason:
            self.console.print(f"[yellow]{reason}[/]")
        except LessonError as error:
            self.report(error)
        else:
            self.next()

    def show_call(self, name: str, head: str) -> None:
        """Show the first lines of a function that was stepped into, and its arguments."""
        line = self.session.upcoming.line - head.count("\n") - 1 if self.session.upcoming else 1
        self.console.print(f"[dim]into {name}, statement by statement; out runs to its end[/]")
        self.console.print(whole_code(Step("code", head, line)))
        self.show_changes()
        self.console.print()

    def leave(self) -> None:
        """Run on to the end of the innermost loop or function that was stepped into."""
        session = self.session
        inside = session.upcoming.loop if session.upcoming is not None else ()
        if not inside:
            self.console.print("[yellow]this is not inside a loop or a function that was stepped into[/]")
            return
        with self.paged():
            while session.upcoming is not None and session.upcoming.loop[:len(inside)] == inside:
                if not self.advance():
                    return

    def skip(self) -> None:
        step = self.session.skip()
        if step is None:
            return
        left_out = self.session.left_out[self.session.position - 1]
        lines = [node.lineno for node in left_out] if step.is_set_up else [step.line]
        what = f"line {lines[0]}" if len(lines) == 1 else f"lines {', '.join(map(str, lines))}" if lines else "nothing"
        self.console.print(f"[yellow]left out {what}[/]")

    def list_code(self) -> None:
        """Show the code of the last step again, folded imports whole."""
        step = next((step for step in reversed(self.session.steps[:self.session.position]) if step.kind == "code"), None)
        if step is None:
            self.console.print("[yellow]no code has been run yet[/]")
            return
        with self.paged():
            self.console.print(whole_code(step))

    def list_sections(self) -> None:
        section = None
        starts = [i for i, step in enumerate(self.session.steps[:self.session.position]) if step.kind == "text"]
        here = self.session.steps[starts[-1]].section if starts else None
        for i, step in enumerate(self.session.steps):
            if step.kind == "text" and step.section != section:
                section = step.section
                mark = "▸" if section == here else " "
                self.console.print(Text(f"{mark}{self.session.own_position(i) + 1:4d}  {latex.in_sentence(section)}"))

    def help(self) -> None:
        with self.paged():
            self.console.print(Text(HELP.rstrip()))

    def quit(self) -> None:
        self.over = True


def _named(names: Iterable[str]) -> str:
    """Some names in a sentence: "x", "x and y", "a, b, c, d and 2 more"."""
    known = list(names)
    if len(known) > MOST_NAMED:
        known = [*known[:MOST_NAMED], f"{len(known) - MOST_NAMED} more"]
    return " and ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known)


def is_whole(text: str) -> bool:
    """Whether no more lines are waited for: none that a bracket needs, and a block of several lines ends with an empty one."""
    try:
        if codeop.compile_command(text + "\n" * text.endswith("\n"), "<typed>", "exec") is None:
            return False
        nodes = ast.parse(text).body
    except (SyntaxError, ValueError, OverflowError):
        return True
    return text.endswith("\n") or "\n" not in text or not isinstance(nodes[-1], BLOCKS)


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def run_through(script: Script, arguments: list[str], console: Console | None = None) -> None:
    """Run a lesson without stopping: its text, what it prints, and the values of expressions at the end of a cell.

    Raises:
        LessonError: the lesson failed.
    """
    console = console or new_console()
    session = Session(script, arguments)
    with session.as_main():
        for cell in script.cells:
            if cell.kind == "text":
                with console.capture() as text:
                    console.print(LessonText(cell.source))
                lines = "\n".join(line.rstrip() for line in text.get().split("\n"))
                console.file.write(re.sub(r"\n{3,}", "\n\n", lines).rstrip("\n") + "\n\n")
                continue
            try:
                value = session.execute(cell.nodes)
            except Exception as error:
                step = Step("code", cell.source, cell.line, cell.nodes)
                raise LessonError(step, error, str(script.path)) from error
            if value is not None:
                console.print(Text(describe(value, min(console.width, WIDEST_TEXT))[1]))
            console.print()


def print_traceback(error: LessonError, path: str) -> None:
    """The traceback of a lesson's error on stderr, from the lesson's own line downwards."""
    trace = error.error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    traceback.print_exception(error.error.with_traceback(trace or error.error.__traceback__))
