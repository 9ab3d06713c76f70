"""What the commands `start`, `check`, `train` and `break` do with a layer of the workshop."""
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from nblayers.learn import workshop
from nblayers.learn.saying import fail, write_new
from nblayers.learn.workshop import Piece
from nblayers.learn.workshop.bugs import Bug


def start(piece: Piece, output: Path, force: bool) -> int:
    """Write the file to begin with."""
    if not write_new(output, piece.template(), force):
        return 2
    _say(f"wrote {output}: {piece.class_name}, its forward written, its backward yours",
         f"1. Open it, read the forward, and write backward where it raises NotImplementedError. {_lesson(piece)}",
         f"2. nblayers check {piece.name} {output}    as often as you like; the smallest case comes first",
         f"3. nblayers train {piece.name} {output}    when all is right")
    return 0


def check(piece: Piece, path: Path, hints: int = 0) -> int:
    """Check a file, and print the report of the first case that fails; with hints the equations, then the lines too."""
    from nblayers.learn.workshop import checking
    verdicts = []
    for verdict in checking.check(piece, path):
        verdicts.append(verdict)
        if verdict.state == "missing":
            _not_written(piece, path, verdict.sentence)
            _hint(piece, path, hints)
            return 1
        mark = "✓" if verdict.state == "right" else "✗"
        _say(f"{mark} {verdict.title}" + (f": {verdict.sentence}" if verdict.sentence else ""))
        if verdict.prints and len(verdicts) == 1:
            _say("    it printed:", *("    | " + line for line in verdict.prints.rstrip().split("\n")[:20]))
    wrong = [verdict for verdict in verdicts if verdict.state != "right"]
    if wrong:
        _say("", f"{len(verdicts) - len(wrong)} of {len(verdicts)} right.")
        if wrong[0].report:
            _say(f"The first that is wrong, {wrong[0].title}, in the gradient checker's words:", "",
                 *("    " + line for line in wrong[0].report.split("\n")))
        if piece.planted(path.read_text(encoding="utf-8")) is None:
            _hint(piece, path, hints)
        return 1
    _say("", f"All {len(verdicts)} right: this backward is the gradient of its forward, and the library's layer agrees.")
    if piece.planted(path.read_text(encoding="utf-8")) is not None:
        _say(f"The bug is found and gone. What had been planted: nblayers break {piece.name} --answer {path}")
    else:
        _say(f"Now let it learn: nblayers train {piece.name} {path}", f"The workshop's own lines: {piece.path}")
    return 0


def _hint(piece: Piece, path: Path, hints: int) -> None:
    """The equations of backward, or their lines too; and how to get more."""
    command = f"nblayers check {piece.name} {path} --hint"
    if not hints:
        _say("", f"The equations, if you are stuck: {command}")
        return
    _say("", "The equations:" if hints == 1 else "The equations, and the workshop's lines:")
    for equation, lines in piece.hints():
        _say("  " + equation)
        if hints > 1:
            print("\n".join(lines))
    if hints == 1:
        _say("", f"The lines too: {command} --hint")


def train(piece: Piece, path: Path, steps: int | None) -> int:
    """Train the layer of a file beside the library's."""
    from nblayers.learn.workshop import checking, training
    task = piece.task
    steps = steps or task.steps
    try:
        layer_class = checking.load(piece, str(path))
        _say(f"{piece.class_name} of {path} and the library's layer learn the same: {task.about}.",
             f"{steps} batches of {task.batch_size}, the same first weights, in float64. Ctrl-C stops it.")
        run = training.train(piece, layer_class, steps, _Progress(steps))
    except Exception as error:
        return _does_not_run(piece, path, error)
    training.draw_curves(run, piece.class_name, f"{path.stem}_curve", task.ylabel)
    _say("")
    if run.parts_at is None:
        _say(f"Your curve lies on the library's: over {steps} batches the losses differ by "
             f"{run.largest_difference:.0e} at most.")
    else:
        _say(f"The curves are two: from batch {run.parts_at} on the losses differ, at most by {run.largest_difference:.2g}.",
             f"At the end {_end(run.mine):.3f}, the library's {_end(run.library):.3f} ({task.ylabel}).")
    _say("", *task.results(run.model), "")
    if run.parts_at is not None:
        _say(f"nblayers check {piece.name} {path} says where its gradients are wrong, "
             f"nblayers break {piece.name} --look {path} how large they are.")
        return 1
    wrong = next((verdict for verdict in checking.check(piece, path) if verdict.state != "right"), None)
    if wrong is not None:
        _say(f"And yet a bug is left, which these batches do not show: {wrong.title}.",
             f"nblayers check {piece.name} {path} says more. A curve alone proves nothing.")
        return 1
    _say(piece.done)
    return 0


def plant(piece: Piece, output: Path, force: bool, number: int | None, own: Path | None = None) -> int:
    """Write a layer with one bug in it: a copy of the file `own`, or the workshop's layer."""
    count = len(piece.bugs)
    if number is not None and not 1 <= number <= count:
        return fail(f"--bug: expected a number from 1 to {count}, got {number}")
    if own is not None and own.resolve() == output.resolve():
        return fail(f"{own} stays as it is: name another file with -o for the copy with the bug")
    source = own.read_text(encoding="utf-8") if own is not None else None
    fitting = piece.bugs_for(source) if source is not None else []
    fits = number in fitting if number is not None else bool(fitting)
    chosen = number or workshop.any_bug(piece, fitting)
    if not write_new(output, piece.broken(chosen, source if fits else None), force):
        return 2
    if fits:
        _say(f"wrote {output}: a copy of {own} with one bug, as real repositories have had it. {own} stays as it is.")
    else:
        if own is not None:
            _say(f"{own} writes its lines in another way than the bug changes: it is planted into the workshop's layer.")
        _say(f"wrote {output}, a new file: the workshop's {piece.class_name} with its whole backward and one bug, as real "
             "repositories have had it. No file of yours has changed.")
    if number is not None:
        _say(f"It is bug {number} of {count}; the same number gives the same bug again. Without --bug it is any of them.")
    _say("It runs. Find the bug by",
         f"    nblayers check {piece.name} {output}           what the gradient checker says",
         f"    nblayers break {piece.name} --look {output}    how large its gradients are, beside the library's",
         f"    nblayers train {piece.name} {output}           whether it learns all the same",
         f"Change the file until check is content. What it was: nblayers break {piece.name} --answer {output}")
    return 0


def look(piece: Piece, path: Path) -> int:
    """Print and draw the norms of a layer's gradients beside the library's."""
    from nblayers.learn.workshop import checking, looking
    try:
        sizes, mine, theirs = looking.norms(piece, checking.load(piece, str(path)))
    except Exception as error:
        return _does_not_run(piece, path, error)
    _say("Norms of the gradients, one batch, the same weights:", "", f"    {'':14}{'this layer':>12}{'library':>12}")
    for name, (one, other) in sizes.items():
        _say(_row("d" + name, one, other))
    if piece.is_recurrent:
        _say("", "Of x, step by step; only the last step has a loss, all before it came back through time:", "")
        for t in sorted({*range(len(mine) - 1, -1, -4), len(mine) - 2, 0}, reverse=True):
            _say(_row(f"dx, step {t + 1}", mine[t], theirs[t]))
        _say("", "That the library's norms fall, too, is no bug: at each step back a gradient is multiplied by slopes and "
             "gates below 1 (lesson 07). A bug shows where the columns part: <-")
    _say("")
    looking.draw_norms(piece, mine, theirs, f"{path.stem}_norms")
    return 0


def answer(piece: Piece, path: Path, sure: bool) -> int:
    """Tell which bug was planted, after asking."""
    number = piece.planted(path.read_text(encoding="utf-8"))
    if number is None:
        return fail(f"{path} holds no planted bug: its last line, `# planted: …`, is missing")
    if not sure:
        try:
            sure = input("Tell what it is? Sure? [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            print()
    if not sure:
        _say("Not told.")
        return 1
    bug: Bug = piece.bugs[number - 1]
    _say(f"Bug {number} of {len(piece.bugs)}: {bug.what}.")
    for old, new in bug.edits:
        _say("", "    planted  " + new.strip(), "    right    " + old.strip())
    _say("", bug.learns)
    return 0


class _Progress:
    """One line that is written over and over on a terminal; elsewhere ten lines."""

    def __init__(self, steps: int) -> None:
        self.steps, self.start, self.shown, self.on_terminal = steps, time.perf_counter(), 0.0, sys.stdout.isatty()

    def __call__(self, done: int, mine: float, library: float) -> None:
        now, last = time.perf_counter(), done == self.steps
        due = now - self.shown > 0.2 if self.on_terminal else done % max(1, self.steps // 10) == 0
        if not (due or last):
            return
        self.shown = now
        passed = now - self.start
        left = passed / done * (self.steps - done)
        line = f"{done:5d} / {self.steps}   loss {mine:.4f}   library {library:.4f}   {passed:.0f} s"
        line += f", about {left:.0f} s more" if not last else ""
        if self.on_terminal:
            print(f"\r{line:78}", end="\n" if last else "", flush=True)
        else:
            print(line, flush=True)


def _row(name: str, mine: float, theirs: float) -> str:
    mark = "" if abs(mine - theirs) <= 1e-6 * max(abs(theirs), 1e-9) else "   <-"
    return f"    {name:14}{mine:12.4g}{theirs:12.4g}{mark}"


def _end(losses: Any) -> float:
    return float(losses[-max(1, len(losses) // 20):].mean())


def _lesson(piece: Piece) -> str:
    number, _, name = piece.lesson.partition("_")
    return f"Lesson {number} derives it: nblayers learn {name}."


def _does_not_run(piece: Piece, path: Path, error: Exception) -> int:
    """Say why a file gives no layer that runs; the exit code."""
    from nblayers.learn.exercises import described
    from nblayers.learn.workshop import checking
    if isinstance(error, checking.CannotUse):
        return fail(str(error))
    if isinstance(error, NotImplementedError):
        return _not_written(piece, path, str(error))
    return fail(f"{path} does not run: {described(error, str(path))}")


def _not_written(piece: Piece, path: Path, sentence: str) -> int:
    _say(f"· {path}: {sentence}", *textwrap.wrap(
        f"Its backward is still to write. The hints stand in the file, above the line that raises. {_lesson(piece)}", 100))
    return 1


def _say(*lines: str) -> None:
    """Print lines, those that are too long for the terminal broken between words."""
    from nblayers.learn.checking import say, width
    for line in "\n".join(lines).split("\n"):
        indent = line[:len(line) - len(line.lstrip())]
        say(*(textwrap.wrap(line, width() - 1, subsequent_indent=indent + "  ", break_long_words=False,
                            break_on_hyphens=False) or [""]))
