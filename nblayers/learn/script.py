"""A lesson is a plain script in percent format: cells that open with `# %%` or `# %% [markdown]`."""
import ast
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nblayers.learn import catalogue

MARKER = re.compile(r"# %%(?P<rest>.*)")
QUESTION = re.compile(r"# \?(?: |$)")                      # a comment that withholds the statement right below it: a turn
ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
HEADER = re.compile(r"\A# ---\n.*?^# ---\n", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """Text or code between two markers; `line` is the file's line (from 1) on which `source` begins."""

    kind: str                       # "text" or "code"
    source: str
    line: int
    nodes: tuple[ast.stmt, ...] = ()


@dataclass(frozen=True)
class Question:
    """What a learner is asked before a statement is shown.

    Attributes:
        text: the question, without the names in brackets and without "guess:".
        judged: the names whose values are compared with the lesson's.
        is_guess: whether the answer is kept, and held against the truth later.
    """

    text: str
    judged: tuple[str, ...]
    is_guess: bool = False


@dataclass(frozen=True)
class Step:
    """What one press of Enter runs or shows: a text cell, a statement, or a few imports or asserts in a row."""

    kind: str                       # "text" or "code"
    source: str
    line: int
    nodes: tuple[ast.stmt, ...] = ()
    section: str = ""               # the heading under which it stands
    loop: tuple[int, ...] = ()      # the lines of the loops and functions that were stepped into, and what they have come to
    turn: str = ""                  # "turn 3 of 24"
    question: Question | None = None        # the learner is to write this step
    depth: int = 0                  # how many functions were stepped into
    number: int = 0                 # how many of the lesson's own steps stand before it, or before that of which it is a part

    @property
    def is_turn(self) -> bool:
        """Whether the learner is to write this step; a guess is none."""
        return self.question is not None and not self.question.is_guess

    @property
    def is_set_up(self) -> bool:
        """Whether this is imports, perhaps with the lesson's options."""
        return bool(self.nodes) and isinstance(self.nodes[0], (ast.Import, ast.ImportFrom))

    @property
    def can_be_entered(self) -> bool:
        """Whether this is a `for` loop whose turns can be run one statement at a time."""
        return len(self.nodes) == 1 and isinstance(self.nodes[0], ast.For) and _is_plain(self.nodes[0])


@dataclass(frozen=True)
class Script:
    """A lesson read from its file."""

    path: Path
    source: str
    cells: tuple[Cell, ...]

    @property
    def title(self) -> str:
        """The first heading, without a leading number."""
        heading = next((heading for cell in self.cells if cell.kind == "text" for _, heading in headings(cell.source)), "")
        return re.sub(r"^(Lesson )?\d+[a-z]?\s*[·:.–-]?\s*", "", heading) or self.path.stem

    @property
    def minutes(self) -> int | None:
        """How long it takes, as its first text says ("25 minutes")."""
        first = next((cell.source for cell in self.cells if cell.kind == "text"), "")
        found = re.search(r"(\d+) minutes", first)
        return int(found[1]) if found else None

    @property
    def takes_options(self) -> bool:
        """Whether the lesson reads the command line."""
        return bool(re.search(r"\bsys\.argv\b|\bargparse\b", self.source))

    def steps(self) -> list[Step]:
        """The lesson as steps, in order."""
        found: list[Step] = []
        section = ""
        for cell in self.cells:
            if cell.kind == "text":
                for _, section in headings(cell.source):        # noqa: B007  the last heading of the cell stays
                    pass
                found.append(Step("text", cell.source, cell.line, section=section))
            else:
                found += [replace(step, section=section) for step in statements(cell)]
        return [replace(step, number=i) for i, step in enumerate(found)]


def read(path: Path) -> Script:
    """Read the lesson in `path`.

    Raises:
        SyntaxError: the file is not Python.
    """
    return parse(path.read_text(encoding="utf-8"), path)


def parse(source: str, path: Path = Path("lesson.py")) -> Script:
    """Read a lesson from its text; `path` names it in error messages.

    Raises:
        SyntaxError: the text is not Python.
    """
    source = source.replace("\r\n", "\n")
    nodes = ast.parse(source, str(path)).body
    lines = source.split("\n")
    header = HEADER.match(source)
    start = header[0].count("\n") if header else 0
    inside = {line for node in nodes for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)}
    marks = [(i, match["rest"]) for i, line in enumerate(lines)
             if i >= start and i + 1 not in inside and (match := MARKER.match(line))]
    bounds = [(start, "")] if not marks or marks[0][0] > start else []
    cells = []
    for (at, rest), after in zip(bounds + marks, [i for i, _ in (bounds + marks)[1:]] + [len(lines)], strict=True):
        first = at if (at, rest) in bounds else at + 1
        body = lines[first:after]
        if "[markdown]" in rest or "[md]" in rest:
            text = "\n".join(re.sub("^# ?", "", line) for line in body)
            cells.append(Cell("text", text.strip("\n").rstrip(), first + 1))
        elif any(line.strip() for line in body):
            own = tuple(node for node in nodes if first < node.lineno <= after)
            cells.append(Cell("code", "\n".join(body).strip("\n"), first + 1 + _blank(body), own))
    return Script(path, source, tuple(cells))


def headings(text: str) -> Iterator[tuple[int, str]]:
    """The Markdown headings of a text: level and words. Code blocks are passed over."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for match in re.finditer(r"^(#+) +(.+?)\s*$", prose, re.MULTILINE):
        yield len(match[1]), match[2]


def statements(cell: Cell) -> Iterator[Step]:
    """The steps of a code cell: statements with the comments above them; imports in a row, and asserts, are one step.

    A statement under a marked comment is a step of its own; the comments above it are its question.
    """
    lines = cell.source.split("\n")
    count = _count_set_up(cell.nodes)
    groups: list[list[ast.stmt]] = [list(cell.nodes[:count])] if count else []
    for node in cell.nodes[count:]:
        alike = groups and _group(groups[-1][-1]) == _group(node) != "" and not (
            _is_marked(node, cell) or _is_marked(groups[-1][0], cell))
        if alike or (groups and groups[-1][-1].end_lineno == node.lineno):
            groups[-1].append(node)
        else:
            groups.append([node])
    begin = 0
    for group in groups:
        end = (group[-1].end_lineno or group[-1].lineno) - cell.line + 1
        if group is groups[-1]:
            end = len(lines)
        begin += _blank(lines[begin:end])
        question = None
        if _is_marked(group[0], cell):
            top = _first_line(group[0]) - cell.line
            question = _question(lines[begin:top], group)
            begin = top
        yield Step("code", "\n".join(lines[begin:end]).rstrip(), cell.line + begin, tuple(group), question=question)
        begin = end


def _first_line(node: ast.stmt) -> int:
    """The line on which a statement begins, with its decorators."""
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def _is_marked(node: ast.stmt, cell: Cell) -> bool:
    above = _first_line(node) - cell.line - 1
    return above >= 0 and bool(QUESTION.match(cell.source.split("\n")[above]))


def _question(comments: list[str], nodes: Sequence[ast.stmt]) -> Question:
    """The question in the comment lines above a statement."""
    lines = [re.sub(r"^\s*# ?(\? ?)?", "", line).rstrip() for line in comments if line.strip()]
    text = " ".join(lines)
    named = re.match(r"\[([\w\s,]+)\]\s*", text)
    names = re.findall(r"\w+", named[1]) if named else targets(nodes)
    text = text[named.end():] if named else text
    guess = re.match(r"guess:\s*", text)
    return Question(text[guess.end():] if guess else text, tuple(names), guess is not None)


def targets(nodes: Sequence[ast.stmt]) -> list[str]:
    """The names that statements assign to, in order: `a, b = …`, `x += …`, `x[0] = …`, `def f`; not those inside blocks."""
    found: list[str] = []
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.append(node.name)
        waiting = [*getattr(node, "targets", []), getattr(node, "target", None)] if isinstance(node, ASSIGNMENTS) else []
        while waiting:
            part = waiting.pop(0)
            if isinstance(part, ast.Name):
                found.append(part.id)
            elif isinstance(part, (ast.Tuple, ast.List)):
                waiting = [*part.elts, *waiting]
            elif isinstance(part, (ast.Subscript, ast.Starred)):
                waiting.insert(0, part.value)
    return list(dict.fromkeys(found))


def names_read(nodes: Iterable[ast.AST]) -> set[str]:
    """The variables that statements read from outside, without the arguments and the variables of their own functions."""
    found: set[str] = set()
    for node in nodes:
        stored = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        own = stored if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else set()
        found |= set(_names_loaded(node, own))
    return found


def _names_loaded(node: ast.AST, own: set[str]) -> Iterator[str]:
    """The names that are read in it and are none of `own`; the arguments of a function count within its body alone."""
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id not in own:
        yield node.target.id
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load) and node.id not in own:
            yield node.id
    elif isinstance(node, (ast.FunctionDef, ast.Lambda)):
        given = {part.arg for part in ast.walk(node.args) if isinstance(part, ast.arg)}
        yield from _names_loaded(node.args, own)
        body = node.body if isinstance(node.body, list) else [node.body]
        for part in [*body, *getattr(node, "decorator_list", [])]:
            yield from _names_loaded(part, own | given)
    else:
        for part in ast.iter_child_nodes(node):
            yield from _names_loaded(part, own)


def names_written_first(nodes: Iterable[ast.AST]) -> set[str]:
    """The variables that statements bind before they read them: what these held before does not matter."""
    written: set[str] = set()
    read: set[str] = set()

    def follow(node: ast.AST) -> None:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            read.update(names_read([node]) - written)
            written.update({node.name} - read if not isinstance(node, ast.Lambda) else ())
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                read.update({node.id} - written)
            else:
                written.update({node.id} - read)
        else:
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                read.update({node.target.id} - written)
            for part in sorted(ast.iter_child_nodes(node), key=_turn_of(node)):
                follow(part)

    for node in nodes:
        follow(node)
    return written


def _turn_of(node: ast.AST) -> Callable[[ast.AST], int]:
    """The order in which Python takes the parts of `node`: values, then what they are bound to, then a body."""
    first = [getattr(node, name, None) for name in ("value", "iter", "generators")]
    flat = [part for item in first for part in (item if isinstance(item, list) else [item])]
    body = [part for name in ("body", "orelse") for part in _as_list(getattr(node, name, None))]
    return lambda part: 0 if part in flat else 2 if part in body else 1


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def check_names(script: Script) -> dict[int, str]:
    """The names of the turns by their step's line: "do", "dC", and for the second turn of a name "dC_2"; none for guesses."""
    count: Counter[str] = Counter()
    found = {}
    for step in script.steps():
        if step.is_turn and step.question is not None and step.question.judged:
            name = step.question.judged[0]
            count[name] += 1
            found[step.line] = name if count[name] == 1 else f"{name}_{count[name]}"
    return found


def wrong_markers(script: Script) -> list[str]:
    """What is wrong with the questions of a lesson, each in a line; empty if nothing is."""
    known = {step.line - 1: step for step in script.steps() if step.question is not None}
    wrong = [f"line {line + 1}: the question judges no names; say them first, in brackets"
             for line, step in known.items() if step.question is not None and not step.question.judged]
    for cell in script.cells:
        lines = cell.source.split("\n") if cell.kind == "code" else []
        marks = [i for i, text in enumerate(lines) if QUESTION.match(text.strip())]
        wrong += [f"line {cell.line + i}: a question stands right above a statement at the top level of its cell"
                  for i in marks if i + 1 not in marks and cell.line + i not in known]
    return wrong


def _count_set_up(nodes: Sequence[ast.stmt]) -> int:
    """How many statements at the top are imports, or read the lesson's options from `sys.argv`; 0 without an import."""
    made: set[str] = {"argv", "argparse", "set_printoptions"}
    for i, node in enumerate(nodes):
        names = {part.id if isinstance(part, ast.Name) else part.attr for part in ast.walk(node)
                 if isinstance(part, (ast.Name, ast.Attribute))}
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        if i == 0 or not names & made or isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            return i
        made |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    return len(nodes)


def _group(node: ast.stmt) -> str:
    return "import" if isinstance(node, (ast.Import, ast.ImportFrom)) else "assert" if isinstance(node, ast.Assert) else ""


def _blank(lines: list[str]) -> int:
    """How many blank lines stand at the top."""
    return next((i for i, line in enumerate(lines) if line.strip()), 0)


def _is_plain(loop: ast.For) -> bool:
    """No `break`, `continue` or `else` of its own, which single statements could not obey."""
    waiting: list[ast.AST] = list(loop.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Break, ast.Continue)):
            return False
        if not isinstance(node, (ast.For, ast.While, ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
    return not loop.orelse


def turns(step: Step, count: int, lesson: str) -> list[Step]:
    """The steps of a `for` loop of `count` turns, unrolled; turn i takes its item from the list `__items__`.

    Arguments:
        step: a step that `can_be_entered`.
        count: how many turns the loop has.
        lesson: the lesson's source.
    """
    loop = step.nodes[0]
    assert isinstance(loop, ast.For)
    lines = lesson.split("\n")
    inner = Cell("code", "\n".join(lines[loop.body[0].lineno - 1:loop.end_lineno]), loop.body[0].lineno, tuple(loop.body))
    head = "\n".join(lines[loop.lineno - 1:loop.body[0].lineno - 1]) if loop.body[0].lineno > loop.lineno else ""
    unrolled = []
    for i in range(count):
        item = ast.parse(f"__items_{loop.lineno}__[{i}]", mode="eval").body
        bind = ast.fix_missing_locations(ast.copy_location(ast.Assign([loop.target], item), loop))
        for k, part in enumerate(statements(inner)):
            nodes = (bind, *part.nodes) if k == 0 else part.nodes
            source = f"{head}\n{part.source}" if k == 0 and head else part.source
            unrolled.append(Step("code", source, loop.lineno if k == 0 and head else part.line, nodes, step.section,
                                 (*step.loop, loop.lineno), f"turn {i + 1} of {count}", depth=step.depth,
                                 number=step.number))
    return unrolled


def body_of(function: ast.FunctionDef, step: Step, lesson: str) -> tuple[str, list[Step]]:
    """A function stepped into at `step`: its first line and docstring, and the steps of its body."""
    lines = lesson.split("\n")
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        body = [ast.copy_location(ast.Pass(), function.body[0])]
    first = _first_line(body[0])
    while first > function.lineno + 1 and lines[first - 2].lstrip().startswith("#"):
        first -= 1
    one_line = first == function.lineno
    head = "\n".join(lines[function.lineno - 1:first if one_line else first - 1]).rstrip()
    inner = Cell("code", "\n".join(lines[first - 1:function.end_lineno]), first, tuple(body))
    loop = (*step.loop, -function.lineno)
    return head, [replace(part, section=step.section, depth=step.depth + 1, loop=loop, number=step.number)
                  for part in statements(inner)]


def notebook(script: Script) -> dict[str, Any]:
    """The lesson as a Jupyter notebook (nbformat 4.5); a turn is a cell to fill in, its check, and the answer folded."""
    pieces: list[tuple[str, str]] = []
    for cell in script.cells:
        if cell.kind == "text":
            pieces.append(("markdown", cell.source))
            continue
        for steps in runs(cell):
            if steps[0].question is None:
                pieces.append(("code", joined(steps)))
            else:
                pieces += _turn_cells(script, steps[0])
    _tell_guesses(pieces)
    if any(kind == "code" and re.search(r"^(check_turn|keep_guess)\(", source, re.MULTILINE) for kind, source in pieces):
        first = next(i for i, (kind, _) in enumerate(pieces) if kind == "code")
        pieces.insert(first, ("code", "from nblayers.learn.cells import begin_turn, check_turn, keep_guess, tell_guess"))
    cells: list[dict[str, Any]] = []
    for i, (kind, source) in enumerate(pieces):
        common = {"id": f"cell-{i + 1:03d}", "metadata": {}, "source": source.splitlines(keepends=True)}
        more: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
        cells.append({"cell_type": kind, **common, **more})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
            "nbformat": 4, "nbformat_minor": 5}


def lesson_id(script: Script) -> str:
    """By what `catalogue.find` knows the lesson: its number, or the path of a script that is none of ours."""
    number = catalogue.number_of(script.path)
    return number if number and script.path.parent.name == "lessons" else str(script.path)


def _tell_guesses(pieces: list[tuple[str, str]]) -> None:
    """After the first code that mentions what was guessed, a cell that holds the guess against it."""
    for i in reversed(range(len(pieces))):
        kept = re.match(r"keep_guess\((.+), '(\w+)', guess\)$", pieces[i][1])
        for j in range(i + 1, len(pieces)) if kept else ():
            kind, source = pieces[j]
            if kept and kind == "code" and kept[2] in names_read(ast.parse(source).body):
                pieces.insert(j + 1, ("code", f"tell_guess({kept[1]}, {kept[2]!r})"))
                break


def runs(cell: Cell) -> list[list[Step]]:
    """The steps of a code cell, cut at its turns and guesses: each of these is a run of its own."""
    return [list(group) for _, group in itertools.groupby(statements(cell), lambda step: step.question and step.line)]


def joined(steps: Sequence[Step]) -> str:
    """The source of steps in a row, with the blank lines between them."""
    code, end = "", 0
    for step in steps:
        code += ("\n" * (step.line - end) if code else "") + step.source
        end = step.line + step.source.count("\n")
    return code


def _turn_cells(script: Script, step: Step) -> Iterator[tuple[str, str]]:
    """The question, the cell to fill in, its check, and the answer, folded."""
    question, lesson = step.question, lesson_id(script)
    assert question is not None
    text = question.text
    if question.is_guess:
        name = question.judged[0]
        yield "markdown", f"**A guess.** {text}"
        yield "code", "guess = ..."
        yield "code", f"keep_guess({lesson!r}, {name!r}, guess)"
        return
    name = check_names(script)[step.line]
    yield "markdown", f"**Your turn.** {text}"
    yield "code", _to_fill_in(step, lesson, name)
    yield "code", f"check_turn({lesson!r}, {name!r}, {', '.join(question.judged)})"
    yield "markdown", f"<details><summary>The lesson's line</summary>\n\n```python\n{step.source}\n```\n\n</details>"


def _to_fill_in(step: Step, lesson: str, name: str) -> str:
    assert step.question is not None
    judged, node = step.question.judged, step.nodes[0]
    if set(judged) & names_read(step.nodes) and not isinstance(node, ast.FunctionDef):
        begin = f"begin_turn({lesson!r}, {name!r})       # each run begins with what was there before"
        return f"{begin}\n# {', '.join(judged)}:\n..."
    heads = []
    if isinstance(node, ast.FunctionDef):
        heads = [f"# def {node.name}({ast.unparse(node.args)}):"]
    return "\n".join([*heads, *(f"{key} = ..." for key in judged)])


def notebook_text(script: Script) -> str:
    """The notebook as the text of an .ipynb file."""
    return json.dumps(notebook(script), indent=1, ensure_ascii=False) + "\n"
