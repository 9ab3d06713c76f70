"""The stepper that asks: at a step with a question the learner writes the line before it is shown."""
import ast
import codeop
import contextlib
import io
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from nblayers.learn import progress, terminal, turns
from nblayers.learn.script import Step
from nblayers.learn.session import LessonError, Session
from nblayers.learn.turns import Turn, Typed, Verdict

HELP = """\
It is your turn: type the value (an expression), the assignment, or several
lines. A line begins right after the "> ", also after "... >": indent a block
yourself, with four spaces. An empty line ends it.
A wrong answer changes nothing. You are told what is wrong with it; from the
second one on you are told more.

EXPRESSION    your answer, where one name is asked for
NAME          look at it: dh, C.shape; p EXPRESSION looks at any expression
NAME = …      a helper of your own: it stays at hand
Enter twice   show the lesson's line and go on; skip does the same

"""
HINT = "Try something: a wrong answer is told what is wrong with it, the second one more. Enter twice shows the lesson's line."
LOOKS = {"print", "help", "dir", "type", "check_derivative", "show_source"}     # calls that answer no question


class AskingStepper(terminal.Stepper):
    """A stepper with the learner's turns. Arguments as for `terminal.Stepper`."""

    def __init__(self, session: Session, console: Console | None = None, ask: Callable[[str], str] = input) -> None:
        super().__init__(session, console, ask)
        self.turn: Turn | None = None
        self.about_to_show = False                      # Enter on nothing was pressed once
        self.written: set[int] = set()                  # lines of the steps that the learner wrote
        self.was_asked = False
        self.guesses: dict[str, Any] = {}
        self.told: dict[str, int] = {}                  # guesses held against the truth, and the position at which

    @property
    def is_open(self) -> bool:
        """Whether a question waits for its answer."""
        return self.turn is not None and self.session.upcoming is self.turn.step

    def run(self) -> None:
        self.remember_guesses()
        super().run()

    def remember_guesses(self) -> None:
        """Take up the guesses of an earlier run whose lines have been run again."""
        session = self.session
        if not isinstance(session, progress.Followed):
            return
        for name, (guess, told) in progress.read(session.script.path).guesses.items():
            if name in self.asked_guesses():
                self.guesses[name] = guess
                self.told |= {name: told} if told else {}

    def keep_guess(self, name: str) -> None:
        """Write a guess down, and when it was told."""
        if isinstance(self.session, progress.Followed):
            progress.guess_kept(self.session.script.path, name, self.guesses[name], self.told.get(name, 0))

    def prompt(self) -> str:
        if not self.is_open or self.turn is None:
            return super().prompt()
        return "your guess > " if self.turn.question.is_guess else "your turn > "

    def ready(self) -> None:
        """Ask the question of the step that comes next."""
        step = self.session.upcoming
        if step is not None and step.question is not None and not self.is_open and not self.over:
            self.open()

    def next(self) -> None:
        with self.paged():
            if self.session.upcoming is None or self.session.upcoming.question is None or self.is_open:
                super().next()
            self.ready()

    def open(self) -> None:
        """Ask the upcoming question."""
        self.turn, self.about_to_show, self.was_asked = Turn(self.session), False, True
        question = self.turn.question
        what = "a guess" if question.is_guess else "your turn"
        parts: list[RenderableType] = [
            Rule(f"{what} · step {self.where_it_stands()}", align="left", style="magenta"),
            Text(question.text, style="bold")]
        if not question.is_guess:
            if found := self.turn.at_hand():
                at_hand = Text(overflow="fold").join([Text("at hand  ", "dim"), *at_hand_texts(found)])
                parts.append(Padding(terminal.Glued(at_hand), (0, 0, 0, 2)))
            asked = Text("   ".join(f"{name} = ?" for name in question.judged), style="green")
            if len(question.judged) > 1:
                which = "both" if len(question.judged) == 2 else f"all {len(question.judged)}"
                asked.append(f"   ({which} are judged)", "dim")
            parts.append(Padding(asked, (0, 0, 0, 2)))
        enter = "go on without" if question.is_guess else "see the lesson's line"
        parts.append(Text(f"Enter twice: {enter} · b: back · ?: help\n", "dim"))
        self.console.print(Group(*parts))               # at once, so that a page does not cut it

    def obey(self, line: str) -> None:
        if not self.is_open:
            super().obey(line)
            return
        word, _, rest = line.partition(" ")
        is_command = line in self.commands and (line in ("", "b", "q") or line not in self.session.namespace)
        if is_command and self.commands[line] == self.next:
            self.nothing()
        elif is_command or (word in ("p", "go", "all") and rest.strip() and rest.strip()[0] not in "=+-*/("):
            super().obey(line)
        elif line in ("hint", "hints") and line not in self.session.namespace:
            self.console.print(Text(HINT, style="magenta"))
        else:
            self.take(self.read_on(line))

    def nothing(self) -> None:
        """Enter without an answer: the second time the line is shown and run."""
        assert self.turn is not None
        if not self.about_to_show:
            self.about_to_show = True
            self.console.print("[dim]Once more Enter " + ("goes on without a guess." if self.turn.question.is_guess else
                                                          "shows the line and goes on.") + "[/]")
        elif self.turn.question.is_guess:
            self.go_on_silently()
        else:
            super().next()

    def skip(self) -> None:
        if not self.is_open:
            super().skip()
            return
        self.about_to_show = True
        self.nothing()

    def enter(self) -> None:
        step = self.session.upcoming
        if step is not None and step.question is not None:
            self.console.print("[yellow]this step is yours to write[/]; Enter twice shows it")
        else:
            super().enter()

    def read_on(self, first: str) -> str:
        """The lines that belong together: to the end of a block, or until all that is asked for is assigned."""
        turn = self.turn
        if turn is None or not self.is_open:
            return super().read_on(first)
        return self.read_until(first, lambda text: is_complete(text, turn))

    def take(self, text: str) -> None:
        """Look at what was typed, or judge it."""
        assert self.turn is not None
        if not text:
            return
        self.about_to_show = False
        if self.turn.question.is_guess:
            self.take_guess(text)
            return
        if is_experiment(text, self.turn):
            self.look(text)
            return
        try:
            verdict = self.turn.answer(text)
        except LessonError as error:
            self.report(error)
            return
        except KeyboardInterrupt:
            self.console.print("\n[yellow]Interrupted: nothing has changed.[/]")
            return
        if verdict.state == "right":
            with self.paged():
                self.accept(text, verdict)
        elif verdict.state == "wrong" and Typed(text).is_a_look:
            self.look(text)
            if verdict.message.startswith(tuple(f"{name}: " for name in self.turn.question.judged)):
                self.console.print(Text(f"(As an answer it is wrong. {verdict.message})", style="yellow"))
        else:
            style = "red" if verdict.state == "error" else "yellow"
            message = verdict.message if self.turn.was_wrong else verdict.first
            self.turn.was_wrong |= verdict.state == "wrong"
            self.console.print(Text.assemble(("✗ ", "bold " + style), (message, style)))

    def accept(self, text: str, verdict: Verdict) -> None:
        """Go on with the learner's values; show the lesson's line where it is another one, and check the derivative."""
        turn = self.turn
        assert turn is not None
        checks, same = turn.checks(), is_same(text, turn.step)
        self.console.print("[bold green]✓ Right.[/]" + ("" if same else " [dim]The lesson writes:[/]"))
        if not same:
            self.console.print(terminal.source_code(turn.step))
        if not self.run_step(verdict):
            return
        self.written.add(turn.step.line)
        table = terminal.values([change for change in self.session.changed if change.name in turn.question.judged], self.wide)
        if table is not None:
            self.console.print(table)
        self.after(turn.step)
        for _ in checks:
            if not self.advance():
                return
        if not checks:
            self.console.print()
        self.sum_up()

    def run_step(self, verdict: Verdict | None) -> bool:
        assert self.turn is not None
        try:
            self.turn.go_on(verdict)
        except LessonError as error:
            self.report(error)
            return False
        except KeyboardInterrupt:
            self.console.print("\n[yellow]Interrupted: nothing has changed.[/]")
            return False
        return True

    def take_guess(self, text: str) -> None:
        assert self.turn is not None
        verdict = self.turn.guess(text)
        if verdict.state == "error":
            self.console.print(Text(verdict.message, style="red"))
            return
        self.guesses.update(verdict.own)
        for name in verdict.own:
            self.told.pop(name, None)
            self.keep_guess(name)
        kept = ", ".join(map(str, verdict.own.values()))
        self.console.print(Text(f"Kept: {kept}. The lesson comes back to it.", style="dim"))
        self.go_on_silently()

    def go_on_silently(self) -> None:
        """Run the line that holds the truth without showing it."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.run_step(None)
        self.console.print()

    def advance(self) -> bool:
        step = self.session.upcoming
        done = super().advance()
        if done and step is not None:
            self.after(step)
            self.sum_up()
        return done

    def after(self, step: Step) -> None:
        """Hold guesses against the truth once a step mentions them; tell the truth where none was made."""
        names = {part.id for node in step.nodes for part in ast.walk(node) if isinstance(part, ast.Name)}
        if step.question is not None and step.question.is_guess:
            names -= {*step.question.judged}
        at = self.session.position
        for name in sorted(names & self.asked_guesses() & self.session.namespace.keys()):
            if self.told.get(name, at) >= at:
                self.told[name] = at
                self.tell(name, self.session.namespace[name])

    def asked_guesses(self) -> set[str]:
        """The names of all guesses that were asked for so far."""
        asked = (step.question for step in self.session.steps[:self.session.position])
        return {question.judged[0] for question in asked if question is not None and question.is_guess}

    def tell(self, name: str, truth: Any) -> None:
        if name not in self.guesses:
            told = f"of which you made no guess, is {turns.number(truth)}."
            self.console.print(Text.assemble((f"{name}, ", "magenta"), told))
            return
        self.keep_guess(name)
        found = turns.held_against(self.guesses[name], truth)
        self.console.print(Text.assemble(("Your guess ", "magenta"), (f"for {name}: {self.guesses[name]}. ", ""),
                                         f"It is {turns.number(truth)}: ", (found, "bold"), "."))

    def sum_up(self) -> None:
        """At the end of the lesson: how many of its turns the learner wrote."""
        if self.session.upcoming is None and self.was_asked:
            lines = {step.line for step in self.session.own if step.is_turn}
            if lines:
                self.console.print(f"[bold magenta]You wrote {len(self.written & lines)} of {len(lines)}.[/]")

    def where(self, lost: list[str]) -> None:
        step = self.session.upcoming
        self.turn = None
        if step is None or step.question is None:
            super().where(lost)
            return
        what = "the guess" if step.question.is_guess else "your turn"
        self.console.print(f"[yellow]Back before {what}[/] (step {self.session.own_position() + 1}):")
        if lost:
            self.console.print(f"[dim]not taken back: {', '.join(lost)}[/]")

    def go_to(self, number: int) -> None:
        self.turn = None
        super().go_to(number)

    def run_unseen(self, position: int) -> bool:
        """As in a stepper without turns; say which turns were passed over, and how to go back to them."""
        start = self.session.position
        done = super().run_unseen(position)
        passed = [step.number + 1 for step in self.session.steps[start:self.session.position] if step.is_turn]
        if passed:
            how_many, them = ("one of your turns", "it") if len(passed) == 1 else (
                f"{len(passed)} of your turns", "the first of them")
            self.console.print(f"[yellow]That passed over {how_many}.[/] go {passed[0]} goes back to {them}.\n")
        return done

    def help(self) -> None:
        with self.paged():
            if self.is_open:
                self.console.print(Text(HELP.rstrip() + "\n", style="magenta"))
            super().help()


def at_hand_texts(found: list[tuple[str, Any]]) -> list[Text]:
    """Each variable in words, its name in bold; no line breaks inside of one."""
    texts = []
    for name, value in found:
        text = Text(turns.variable_in_words(name, value).replace(" ", terminal.GLUE), "bold" if callable(value) else "dim")
        text.stylize("not dim bold", 0, len(name))
        texts.append(text.append("   "))
    return texts


def is_complete(text: str, turn: Turn) -> bool:
    """Whether no more lines are waited for. An empty line ends a block, and whatever is not all there yet."""
    ended = text.endswith("\n")
    try:
        if codeop.compile_command(text + "\n", turns.TYPED, "exec") is None:
            return False
        typed = Typed(text)
    except (SyntaxError, ValueError, OverflowError):
        return True
    if ended or not typed.nodes:
        return True
    if isinstance(typed.nodes[-1], turns.BLOCKS):
        return False
    assigned = typed.assigned() & set(turn.question.judged)
    if typed.expression is not None or not assigned:
        return True
    wants_block = any(isinstance(node, turns.BLOCKS) for node in turn.step.nodes)
    return len(assigned) == len(turn.question.judged) and (typed.has_a_block or not wants_block)


def is_experiment(text: str, turn: Turn) -> bool:
    """Whether what was typed is no answer: it assigns none of the names asked for, or is one value where several are."""
    try:
        typed = Typed(text)
    except (SyntaxError, ValueError):
        return False
    node = typed.expression
    if node is None:
        return not typed.assigned() & set(turn.question.judged)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LOOKS:
        return True
    count = len(turn.question.judged)
    return count > 1 and not (isinstance(node, ast.Tuple) and len(node.elts) == count)


def is_same(text: str, step: Step) -> bool:
    """Whether the learner's line is the lesson's, but for spaces and comments."""
    typed = Typed(text)
    ways = turns.bind(typed.expression, step) if typed.expression is not None else [typed.nodes]
    own = [ast.dump(node) for node in step.nodes]
    return any([ast.dump(node) for node in nodes] == own for nodes in ways)
