"""The command `nblayers`: list lessons, step through them, check exercises, write notebooks and pages, compile
ahead."""
import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nblayers import __version__
from nblayers.gradient_check import command as gradcheck
from nblayers.learn.saying import fail, write_new

if TYPE_CHECKING:
    from nblayers.learn.script import Script


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (those of the process by default); returns the exit code."""
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    if given.command == "check" and given.answer is None and len(rest) == 1 and not rest[0].startswith("-"):
        given.answer = Path(rest.pop())                 # after an option: argparse has given up looking for it
    if rest and given.command != "learn":
        parser.error(f"unknown argument {' '.join(rest)}")
    if given.command is None:
        parser.print_help()
        return 2
    try:
        return int(given.run(given, rest))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:                             # `nblayers lessons | head`
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nblayers", description="Learn to write a backward pass: lessons for the layers.",
                                     allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"nblayers {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add_name(command: argparse.ArgumentParser, **optional: Any) -> None:
        command.add_argument("name", metavar="NAME", **optional,
                             help="a lesson by number (8), name (lstm) or part of its name; or the path of a script")

    lessons = commands.add_parser("lessons", help="list the lessons")
    lessons.set_defaults(run=_lessons)

    learn = commands.add_parser("learn", help="step through a lesson; without a name, go on along the path", allow_abbrev=False,
                                description="Step through a lesson on a terminal. Without one, or with --no-pause, run "
                                            "straight through. Further options (--text FILE) go to the lesson. Without a "
                                            "name: the path, what is done of it, and on from where you left off.")
    add_name(learn, nargs="?")
    learn.add_argument("--no-pause", action="store_true", help="run straight through")
    learn.set_defaults(run=_learn)

    check = commands.add_parser("check", help="check your answers to a lesson's exercises, or a layer of yours",
                                allow_abbrev=False)
    add_name(check)
    check.add_argument("answer", nargs="?", type=Path, metavar="my_answer.py", help="your file; without it, what to define")
    check.add_argument("--hint", action="count", default=0, help="one hint more for what is wrong; give it twice for two")
    check.add_argument("--answer", dest="answer_too", action="store_true", help="show the numbers of exercises on paper")
    check.add_argument("--inputs", action="store_true", help="print all inputs with which a function of yours went wrong")
    check.add_argument("--seconds", type=float, metavar="S", help="how long each exercise may take")
    check.set_defaults(run=_check)

    _add_workshop(commands)
    gradcheck.add(commands)

    formula = commands.add_parser("formula", help="what a tag beside a formula stands for, and where it is computed",
                                  allow_abbrev=False)
    formula.add_argument("id", metavar="ID", help="as 004.LSTM.f")
    formula.set_defaults(run=_formula)

    formulas = commands.add_parser("formulas", help="list the formulas", allow_abbrev=False)
    formulas.add_argument("word", nargs="?", default="", metavar="WORD", help="those with this word in them")
    formulas.set_defaults(run=_formulas)

    notebook = commands.add_parser("notebook", help="write a lesson as a Jupyter notebook", allow_abbrev=False)
    add_name(notebook)
    notebook.add_argument("-o", "--output", type=Path, metavar="FILE", help="by default NN_name.ipynb in the current directory")
    notebook.add_argument("--force", action="store_true", help="overwrite a file that is there")
    notebook.set_defaults(run=_notebook)

    microscope = commands.add_parser("microscope", help="watch a forward and a backward, step by step, in a browser",
                                     allow_abbrev=False,
                                     description="Train a small layer in a few seconds and open a page that steps through its "
                                                 "forward and its backward; with two names two of them side by side.")
    microscope.add_argument("names", nargs="+", metavar="NAME", help="a layer, as lstm; a name that is unknown lists them")
    microscope.add_argument("--text", type=Path, metavar="FILE", help="what a recurrent layer learns to write")
    microscope.add_argument("-o", "--output", type=Path, metavar="FILE",
                            help="by default microscope_NAME.html in the current directory, which is overwritten")
    microscope.add_argument("--force", action="store_true", help="overwrite a file that is there")
    microscope.add_argument("--no-browser", action="store_true", help="only write the page")
    microscope.set_defaults(run=_microscope)

    docs = commands.add_parser("docs", help="the course as pages: build them if need be, and open them", allow_abbrev=False,
                               description="Build the lessons, the reference and the formulas as pages that can be read "
                                           "without a network, and open them in the browser.")
    docs.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="by default one in the user's cache folder")
    docs.add_argument("--no-browser", action="store_true", help="build only")
    docs.add_argument("--no-outputs", action="store_true",
                      help="do not run the lessons (minutes, the first time): leave out what they print and draw")
    docs.set_defaults(run=_docs)

    warm_up = commands.add_parser("warm-up", help="compile kernels ahead", allow_abbrev=False,
                                  description="Compile the kernels of layers ahead, on all cores, so that no program "
                                              "has to wait for them later.")
    warm_up.add_argument("names", nargs="*", metavar="LAYER", help="by default all layers")
    warm_up.set_defaults(run=_warm_up)
    return parser


def _add_workshop(commands: Any) -> None:
    """The commands with which a learner writes a layer."""
    def add(name: str, text: str, run: Any) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.add_argument("name", metavar="NAME", help="a layer, as lstm; a name that is unknown lists them")
        command.set_defaults(run=run)
        return command

    def add_output(command: argparse.ArgumentParser, default: str) -> None:
        command.add_argument("-o", "--output", type=Path, metavar="FILE", help=f"by default {default} in the current directory")
        command.add_argument("--force", action="store_true", help="overwrite a file that is there")

    start = add("start", "begin a layer of your own: its forward is written, its backward is yours", _start)
    add_output(start, "my_NAME.py")
    train = add("train", "train a layer of yours beside the library's", _train)
    train.add_argument("file", type=Path, metavar="my_NAME.py")
    train.add_argument("--steps", type=int, metavar="N", help="batches to train on")
    plant = add("break", "write a new file with a layer that has a bug, for you to find", _break)
    add_output(plant, "broken_NAME.py")
    plant.add_argument("file", nargs="?", type=Path, metavar="my_NAME.py",
                       help="a right layer of yours: the bug goes into a copy of it; by default into the workshop's layer")
    plant.add_argument("--bug", type=int, metavar="N", help="which one; by default any")
    plant.add_argument("--look", type=Path, metavar="FILE", help="instead: show how large the gradients of this file are")
    plant.add_argument("--answer", type=Path, metavar="FILE", help="instead: tell which bug this file has")
    plant.add_argument("--yes", action="store_true", help="with --answer: do not ask first")


def _lessons(given: argparse.Namespace, rest: list[str]) -> int:
    import shutil
    import textwrap

    from nblayers.learn import catalogue, latex, script
    found = [(path, script.read(path)) for path in catalogue.lessons()]
    if not found:
        return fail(f"no lessons in {catalogue.HOME}")
    names = max(len(catalogue.name_of(path)) for path, _ in found)
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1000
    for path, lesson in found:
        minutes = f"{lesson.minutes} min" if lesson.minutes else ""
        first = f"{catalogue.number_of(path):4}{catalogue.name_of(path):{names}}  {minutes:>6}  "
        indent = " " * (len(first) if wide - len(first) >= 30 else 4)
        line = first + latex.in_sentence(lesson.title)
        print(textwrap.fill(line, wide, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))
    print("\nnblayers learn NAME steps through one of them.")
    return 0


def _learn(given: argparse.Namespace, rest: list[str]) -> int:
    if given.name is None and rest and not rest[0].startswith("-"):
        given.name = rest.pop(0)                        # Python 3.11 takes no name after an option
    if given.name is None:
        return _walk(rest)
    path = _find(given.name)
    if path is None:
        return 2
    lesson = _read(path)
    if lesson is None:
        return 2
    options = rest[1:] if rest[:1] == ["--"] else rest
    if options and not lesson.takes_options:
        return fail(f"lesson {path.stem} takes no options, but was given {' '.join(options)}")

    if not given.no_pause and _on_terminal():
        _step_through(lesson, options)
        return 0
    from nblayers.learn import session, terminal
    try:
        terminal.run_through(lesson, options)
    except session.LessonError as error:
        sys.stdout.flush()
        terminal.print_traceback(error, str(path))
        return 1
    return 0


def _walk(rest: list[str]) -> int:
    """`nblayers learn` without a name."""
    if rest:
        return fail(f"which lesson are the options {' '.join(rest)} for?")
    from nblayers.learn import course, terminal
    if not _on_terminal():
        course.show(course.course(), terminal.new_console())
        return 0

    def step_through(path: Path, sure: bool) -> bool:
        lesson = _read(path)
        return lesson is not None and _step_through(lesson, [], sure)
    course.walk(step_through, terminal.new_console())
    return 0


def _read(path: Path) -> "Script | None":
    from nblayers.learn import script
    try:
        return script.read(path)
    except SyntaxError as error:
        fail(f"{path}, line {error.lineno}: {error.msg}")
        return None


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _step_through(lesson: "Script", options: list[str], sure: bool = False) -> bool:
    """A dialogue about a lesson; True if its end was reached. `sure` goes on where it was left without asking."""
    from nblayers.learn import asking, course, progress
    stepper = asking.AskingStepper(progress.Followed(lesson, options))
    if not course.go_on(stepper, lesson, sure):
        return False
    _edit_lines(stepper.session.namespace)
    stepper.run()
    return stepper.session.upcoming is None


def _edit_lines(namespace: dict[str, Any]) -> None:
    """Arrow keys, history and completion of the lesson's names at the prompt, where Python has readline."""
    try:
        import readline
    except ImportError:
        return
    import rlcompleter
    readline.set_completer(rlcompleter.Completer(namespace).complete)
    readline.parse_and_bind("tab: complete")


def _check(given: argparse.Namespace, rest: list[str]) -> int:
    if given.answer is not None and given.answer.is_file():
        from nblayers.learn import workshop
        piece = workshop.made_here(given.answer.read_text(encoding="utf-8", errors="replace"))
        if piece is not None:                           # a layer that `nblayers start` began, not answers to exercises
            return _check_layer(piece, given)
    path = _find(given.name)
    if path is None:
        return 2
    from nblayers.learn import checking, exercises
    if not exercises.checks(path):
        return fail(f"lesson {path.stem} has no exercises that are checked")
    if given.answer is None:
        checking.tell_exercises(path, given.name)
        return 0
    if not given.answer.is_file():
        return fail(f"there is no file {given.answer}")
    wishes = checking.Wishes(given.hint, given.answer_too, given.inputs, given.seconds)
    return checking.report(path, given.answer, wishes, f"nblayers check {given.name} {given.answer}")


def _check_layer(piece: Any, given: argparse.Namespace) -> int:
    from nblayers.learn.workshop import commands
    if given.name.lower().replace("-", "_") != piece.name:
        lesson = _find(given.name)
        if lesson is None or lesson.stem != piece.lesson:
            return fail(f"{given.answer} defines {piece.class_name}: nblayers check {piece.name} {given.answer}")
    return commands.check(piece, given.answer, given.hint)


def _start(given: argparse.Namespace, rest: list[str]) -> int:
    piece = _piece(given.name)
    if piece is None:
        return 2
    from nblayers.learn.workshop import commands
    return commands.start(piece, given.output or Path(f"my_{piece.name}.py"), given.force)


def _train(given: argparse.Namespace, rest: list[str]) -> int:
    for library in ("OPENBLAS", "MKL"):          # read once, when NumPy is imported; so small a product has no use for
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")    # a second thread, and waits for it on a busy machine
    piece = _piece(given.name, given.file)
    if piece is None:
        return 2
    if given.steps is not None and given.steps < 1:
        return fail(f"--steps: expected 1 or more, got {given.steps}")
    from nblayers.learn.workshop import commands
    return commands.train(piece, given.file, given.steps)


def _break(given: argparse.Namespace, rest: list[str]) -> int:
    file = given.look or given.answer or given.file
    piece = _piece(given.name, file)
    if piece is None:
        return 2
    from nblayers.learn.workshop import commands
    if given.look is not None:
        return commands.look(piece, file)
    if given.answer is not None:
        return commands.answer(piece, file, given.yes)
    return commands.plant(piece, given.output or Path(f"broken_{piece.name}.py"), given.force, given.bug, given.file)


def _piece(name: str, file: Path | None = None) -> Any:
    """The layer of the workshop, which `file` must define; None after saying why not."""
    from nblayers.learn import workshop
    try:
        piece = workshop.find(name)
    except workshop.UnknownPiece as error:
        fail(str(error))
        return None
    if file is None:
        return piece
    if not file.is_file():
        fail(f"there is no file {file}")
        return None
    made = workshop.made_here(file.read_text(encoding="utf-8", errors="replace"))
    if made is not piece:
        fail(f"{file} should define a class {piece.class_name}" + (f", but defines {made.class_name}" if made else ""))
        return None
    return piece


def _formula(given: argparse.Namespace, rest: list[str]) -> int:
    from nblayers.learn import formulas, terminal
    try:
        formula = formulas.find(given.id)
    except formulas.UnknownFormula as error:
        return fail(str(error))
    terminal.new_console().print(formulas.page(formula))
    return 0


def _formulas(given: argparse.Namespace, rest: list[str]) -> int:
    from nblayers.learn import formulas, terminal
    found = formulas.matching(given.word)
    if not found:
        return fail(f"no formula has {given.word!r} in its identifier, name, text, layers or lessons")
    console = terminal.new_console()
    console.print(formulas.table(found, console.width))
    console.print("\n[dim]nblayers formula ID shows one of them, and where it is computed.[/]")
    return 0


def _notebook(given: argparse.Namespace, rest: list[str]) -> int:
    path = _find(given.name)
    if path is None:
        return 2
    from nblayers.learn import script
    output = given.output or Path(f"{path.stem}.ipynb")
    if not write_new(output, script.notebook_text(script.read(path)), given.force):
        return 2
    print(f"wrote {output}\n"
          f"Open it: jupyter lab {output}    (pip install jupyterlab, into the same Python as nblayers), or with VS Code")
    return 0


def _microscope(given: argparse.Namespace, rest: list[str]) -> int:
    from nblayers.learn.microscope import command
    return command.run(given.names, given.text, given.output, given.force, not given.no_browser)


def _docs(given: argparse.Namespace, rest: list[str]) -> int:
    import webbrowser

    from nblayers.learn import catalogue
    from nblayers.learn.site import builder, outputs
    output = (given.output or outputs.cache() / "html").resolve()
    run = [] if given.no_outputs else catalogue.lessons()
    if not builder.is_built(output, run):
        try:
            builder.build(output, run, lambda text: print(text, flush=True))
        except (builder.SiteError, outputs.LessonFailed) as error:
            return fail(str(error))
    page = output / "index.html"
    print(f"the pages begin at {page}")
    if not given.no_browser and not webbrowser.open(page.as_uri()):
        return fail(f"no browser was found: open {page} in one")
    return 0


def _warm_up(given: argparse.Namespace, rest: list[str]) -> int:
    import multiprocessing
    import time
    from concurrent.futures import ProcessPoolExecutor, as_completed

    from nblayers import warm_up
    try:
        jobs = warm_up.jobs(given.names)
    except warm_up.UnknownLayer as error:
        return fail(str(error))
    place = warm_up.place()
    if place is None:
        return fail("NUMBA_DISABLE_JIT is set, so nothing is compiled" if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0" else
                     "no directory for compiled kernels can be written; name one in NUMBA_CACHE_DIR")
    start, total = time.perf_counter(), 0
    cores = min(len(jobs), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    print(f"compiling for {', '.join(jobs.values())}: this may take minutes", flush=True)
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), _end_at_interrupt) as pool:
        running = {pool.submit(warm_up.run, job): job for job in jobs}
        for done in as_completed(running):
            count, seconds = done.result()
            total += count
            what = f"{count:3d} kernels compiled in {seconds:.0f} s" if count else "all there"
            print(f"{jobs[running[done]]:16} {what}", flush=True)
    print(f"{total} kernels compiled in {time.perf_counter() - start:.0f} s; they are kept in {place}")
    return 0


def _end_at_interrupt() -> None:
    """In a process that compiles ahead: nothing is lost, and the command itself says what happened."""
    import signal
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _find(name: str) -> Path | None:
    from nblayers.learn import catalogue
    try:
        return catalogue.find(name)
    except catalogue.UnknownLesson as error:
        fail(str(error))
        return None


if __name__ == "__main__":
    sys.exit(main())
