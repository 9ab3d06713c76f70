"""Draw docs/stepper.svg: a learner's turn in the LSTM lesson, as the stepper shows it.

    python tools/picture_of_the_stepper.py [FILE.svg]

The dialogue is a real one: the lesson runs up to the turn, and what is typed here is judged.
"""
import contextlib
import io
import os
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from nblayers.learn import catalogue, script
from nblayers.learn.asking import AskingStepper
from nblayers.learn.session import Session

LESSON, NAME = "lstm", "dC"
TYPED = ["dC_next + dh * o", "dC_next + dh * o * (1 - np.tanh(C) ** 2)"]
WIDTH = 100
THEME = TerminalTheme((22, 24, 35), (214, 218, 230), [
    (40, 42, 54), (255, 110, 110), (110, 231, 160), (250, 200, 110), (130, 170, 255), (225, 140, 255), (100, 215, 225),
    (200, 205, 220)], [
    (120, 125, 145), (255, 130, 130), (130, 245, 180), (255, 215, 130), (150, 185, 255), (235, 160, 255), (130, 230, 240),
    (245, 247, 255)])


def main() -> None:
    os.environ |= {"COLUMNS": str(WIDTH), "TERM": "xterm-256color", "COLORTERM": "truecolor", "MPLBACKEND": "agg"}
    os.environ.pop("NO_COLOR", None)
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "docs" / "stepper.svg"
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, color_system="truecolor",
                      highlight=False)
    answers = iter(TYPED)

    def ask(prompt: str) -> str:
        answer = next(answers, None)
        console.print(f"[dim]{prompt}[/]" + (f"[bold white]{answer}[/]" if answer is not None else "▌"))
        if answer is None:
            raise EOFError
        return answer

    stepper = AskingStepper(Session(script.read(catalogue.find(LESSON))), console, ask)
    with stepper.session.as_main(), contextlib.redirect_stdout(Printed(console)):
        run_up_to(stepper)
        console.export_text()                           # forgets what has been shown
        with contextlib.suppress(EOFError):
            while not stepper.over:
                stepper.next() if stepper.turn is None else stepper.obey(ask(stepper.prompt()))
    output.parent.mkdir(exist_ok=True)
    output.write_text(drawn(console), encoding="utf-8")
    print(f"wrote {output}")


class Printed(io.StringIO):
    """Where the lesson's prints go: to the console, which is said to be a terminal with colours."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.console.print(Text.from_ansi(text), end="\n" if text.endswith("\n") else "", no_wrap=True)
        return len(text)


def run_up_to(stepper: AskingStepper) -> None:
    """Run the lesson to the last text before the turn."""
    session = stepper.session
    turn = next(i for i, step in enumerate(session.steps) if step.question is not None and NAME in step.question.judged)
    text = max(i for i, step in enumerate(session.steps[:turn]) if step.kind == "text")
    while session.position < text:
        session.next()


def drawn(console: Console) -> str:
    """The picture, with the fonts that are there: nothing is fetched when somebody looks at it."""
    svg = console.export_svg(title=f"nblayers learn {LESSON}", theme=THEME, unique_id="stepper")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: Fira Code, monospace", "font-family: DejaVu Sans Mono, Menlo, Consolas, monospace")
    return svg.replace("font-family: arial", "font-family: DejaVu Sans, arial, sans-serif")


if __name__ == "__main__":
    main()
