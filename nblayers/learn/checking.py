"""The command `nblayers check NAME my_answer.py`: what is told of an answer, and how."""
import inspect
import shutil
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from nblayers.learn import exercises, progress

MARKS = {"right": "✓", "wrong": "✗", "missing": "·"}
INPUTS_SHOWN = 320                      # characters of inputs that are shown without being asked for
PRINTS_SHOWN = 8                        # lines of what an answer prints


@dataclass(frozen=True)
class Wishes:
    """What the learner asks for besides the verdicts.

    Attributes:
        hints: how many hints more than the first.
        answer: whether the numbers of exercises on paper may be shown.
        inputs: whether the inputs of a call that went wrong are shown however long they are.
        seconds: how long each exercise may take; None: what the lesson allows.
    """

    hints: int = 0
    answer: bool = False
    inputs: bool = False
    seconds: float | None = None


def tell_exercises(lesson: Path, name: str) -> None:
    """Print what there is to define."""
    for title, function in exercises.checks(lesson).items():
        about = (inspect.getdoc(function) or "").partition("\n")[2].strip()
        say(title, *_wrapped(" ".join(about.split())), "")
    say(f"Write what is asked for into a file and run: nblayers check {name} my_answer.py")


def report(lesson: Path, answer: Path, wishes: Wishes, command: str) -> int:
    """Check an answer and print the verdicts; returns the exit code, 0 if something is right and nothing wrong.

    Arguments:
        lesson, answer: the lesson, and the learner's file.
        wishes: what else to show.
        command: what the learner typed, to be repeated where an option helps.
    """
    results: list[exercises.Result] = []
    try:
        for result in exercises.check(lesson, answer, wishes.seconds):
            results.append(result)
            _tell(result, wishes)
    except exercises.DoesNotRun as error:
        say(*_wrapped(f"{answer} does not run: {error}", ""))
        _tell_prints({"your file printed": error.prints})
        return 1
    progress.exercises_right(lesson, [result.title for result in results if result.state == "right"], len(results))
    right = sum(result.state == "right" for result in results)
    _tell_prints({"your file printed": results[0].file_prints} | {
        f"exercise {result.title.split()[0]} printed": result.prints for result in results})
    say("", f"{right} of {len(results)} right." + (" Well done." if right == len(results) else ""))
    if right == len(results) and exercises.solutions(lesson).is_file():
        say("The lesson's own solutions, to compare:", f"    {exercises.solutions(lesson)}")
    say(*_options(results, wishes, command))
    return 0 if right and not any(result.state == "wrong" for result in results) else 1


def _tell(result: exercises.Result, wishes: Wishes) -> None:
    say(f"{MARKS[result.state]} {result.title}", *(_wrapped(result.message) if result.message else []))
    for hint in result.hints[:wishes.hints]:
        say(*_wrapped(f"hint: {hint}"))
    if wishes.answer and result.answer:
        say(*_wrapped(f"answer: {result.answer}"))
    if result.state == "wrong" and result.inputs is not None:
        lines = result.inputs.code()
        if wishes.inputs or sum(map(len, lines)) <= INPUTS_SHOWN:
            say("    This was the call, to paste:", *_packed(lines))
        else:
            say(*_wrapped(f"This was the call: {result.inputs.shapes()}"))


def _packed(lines: list[str]) -> list[str]:
    """Assignments side by side where they fit, at the left edge, so that they can be pasted."""
    packed: list[str] = []
    for line in lines:
        joined = f"{packed[-1]}; {line}" if packed else line
        packed[-1:] = [joined] if packed and len(joined) <= width() and line is not lines[-1] else [*packed[-1:], line]
    return packed


def _options(results: list[exercises.Result], wishes: Wishes, command: str) -> list[str]:
    """The options that would tell more, in a line or two."""
    wrong = [result for result in results if result.state == "wrong"]
    lines = []
    if any(len(result.hints) > wishes.hints for result in wrong):
        lines.append(f"One hint more: {command}{' --hint' * (wishes.hints + 1)}")
    elif any(result.answer for result in wrong) and not wishes.answer:
        lines.append(f"The numbers, if you give up: {command} --answer")
    elif wrong and wishes.hints:
        lines.append("There are no more hints than these.")
    if not wishes.inputs and any(result.inputs is not None and sum(map(len, result.inputs.code())) > INPUTS_SHOWN
                                 for result in wrong):
        lines.append(f"The inputs with which it went wrong: {command} --inputs")
    return lines


def _tell_prints(prints: dict[str, str]) -> None:
    """What the learner's code has printed, after the verdicts and shortened."""
    for who, text in prints.items():
        lines = [line[:width() - 5] + "…" if len(line) > width() - 4 else line for line in text.rstrip().splitlines()]
        if not text.strip():
            continue
        left_out = len(lines) - PRINTS_SHOWN
        head = f"{who} ({left_out} lines before these):" if left_out > 0 else f"{who}:"
        say("", head, *(f"  | {line}" for line in lines[-PRINTS_SHOWN:]))


def width() -> int:
    """Columns to write into: the terminal's; much, where no one reads it there."""
    return min(shutil.get_terminal_size((80, 24)).columns, 110) if sys.stdout.isatty() else 1000


def _wrapped(text: str, indent: str = "    ") -> list[str]:
    return textwrap.wrap(text, width() - 1, initial_indent=indent, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False)


def say(*lines: str) -> None:
    """Print characters that the output's encoding does not know as question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        print(line.encode(encoding, "replace").decode(encoding), flush=True)
