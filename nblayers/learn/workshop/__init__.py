"""Layers that a learner writes: `nblayers start`, `check`, `train` and `break`.

lessons/workshop/NAME.py holds all there is to one of them. Up to the line `# %% the workshop` it is the learner's file, its
backward written. What begins with `# > ` in there are the hints that the learner is given in the place of the lines around
them: questions, and numbers of equations; lines that end in `# given` are given. What begins with `# >> ` are the equations of
the lines below it: `check --hint` tells them, and `check --hint --hint` the lines too. Below that line stands what the workshop
needs to know:

    LESSON      the stem of the lesson that teaches it
    LAYER       the class
    PARTS       what lies side by side in the columns of its weights, or ()
    CASES       what `check` tries, the smallest first
    TASK        what `train` trains
    DONE        what the learner is told when that has worked
    BUGS        what `break` may plant
    library     the library's layer with the options of one of the learner's
    random_weights      given a generator and a layer, numbers for its weights, where not any will do
"""
import importlib.util
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from nblayers.learn import catalogue
from nblayers.learn.workshop.bugs import Bug
from nblayers.learn.workshop.cases import Case

HOME = catalogue.HOME / "workshop"
_END = "\n\n\n# %% the workshop\n"
_GIVEN = "  # given"


class UnknownPiece(LookupError):
    """No layer of the workshop goes by that name; the text says which there are."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Piece:
    """One layer of the workshop."""

    name: str
    path: Path
    module: ModuleType

    @property
    def class_name(self) -> str:
        return str(self.module.LAYER.__name__)

    @property
    def lesson(self) -> str:
        return str(self.module.LESSON)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.module.PARTS)

    @property
    def cases(self) -> Sequence[Case]:
        return self.module.CASES

    @property
    def bugs(self) -> Sequence[Bug]:
        return self.module.BUGS

    @property
    def task(self) -> Any:
        return self.module.TASK

    @property
    def done(self) -> str:
        return " ".join(self.module.DONE.split())

    @property
    def library(self) -> Callable[[Any], Any]:
        return self.module.library

    @property
    def is_recurrent(self) -> bool:
        return hasattr(self.module, "at_each_step")

    @property
    def has_random_weights(self) -> bool:
        return hasattr(self.module, "random_weights")

    def weights(self, rng: Any, layer: Any) -> list[Any]:
        """Numbers for all weights of a layer, to try it with."""
        if self.has_random_weights:
            return self.module.random_weights(rng, layer)
        return [rng.normal(size=weight.shape) for weight in layer.weights]

    def solution(self) -> str:
        """The learner's file with its backward written."""
        lines = _learners_part(self.path).split("\n")
        return "\n".join(line.removesuffix(_GIVEN) for line in lines if not line.lstrip().startswith(("# > ", "# >> ")))

    def template(self) -> str:
        """The learner's file with hints in the place of its backward."""
        before, start, body = _learners_part(self.path).partition("    def backward(self, dy):\n")
        signature, *lines = body.rstrip("\n").split("\n")
        kept = [line.removesuffix(_GIVEN) for line in lines if line.endswith(_GIVEN)]
        hints = [line.replace("# > ", "# ", 1) for line in lines if line.lstrip().startswith("# > ")]
        missing = f'        raise NotImplementedError("{self.class_name}: its backward is not written yet")'
        return before + start + "\n".join([signature, *kept, *hints, missing]) + "\n"

    def hints(self) -> list[tuple[str, list[str]]]:
        """The equations of backward, one by one, each with the lines that compute it."""
        body = _learners_part(self.path).partition("    def backward(self, dy):\n")[2].rstrip("\n").split("\n")
        found: list[tuple[str, list[str]]] = []
        for line in body:
            if line.lstrip().startswith("# >> "):
                found.append((line.lstrip().removeprefix("# >> "), []))
            elif found:
                found[-1][1].append(line)
        return found

    def broken(self, number: int, source: str | None = None) -> str:
        """A source, by default the solution, with bug `number`, from 1, and a mark in the last line that tells which one it is.

        Raises:
            ValueError: the source has other lines than those that the bug changes.
        """
        source = self.solution() if source is None else re.sub(r"\n*^# planted: \w+\n", "\n", source, flags=re.MULTILINE)
        return self.bugs[number - 1].planted(source) + f"\n# planted: {_mark(self.name, number)}\n"

    def bugs_for(self, source: str) -> list[int]:
        """The numbers of the bugs whose lines stand in a source."""
        return [k + 1 for k, bug in enumerate(self.bugs) if all(source.count(old) == 1 for old, _ in bug.edits)]

    def planted(self, text: str) -> int | None:
        """Which bug was planted into a file; None if none was."""
        marks = re.findall(r"^# planted: (\w+)", text, re.MULTILINE)
        return next((k for k in range(1, len(self.bugs) + 1) if marks and marks[-1] == _mark(self.name, k)), None)


def names() -> list[str]:
    """The layers that one may write, in the order of their lessons."""
    return sorted((path.stem for path in HOME.glob("*.py") if not path.stem.startswith("_")), key=lambda n: find(n).lesson)


def find(name: str) -> Piece:
    """The layer of this name.

    Raises:
        UnknownPiece: there is none.
    """
    wanted = name.strip().lower().replace("-", "_")
    if not wanted.isidentifier() or not (HOME / f"{wanted}.py").is_file():
        raise UnknownPiece(f"there is no layer {name!r} to write; there are {', '.join(names())}")
    return _load(wanted)


@lru_cache
def _load(wanted: str) -> Piece:
    path = HOME / f"{wanted}.py"
    spec = importlib.util.spec_from_file_location(f"nblayers_workshop_{wanted}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Piece(wanted, path, module)


def made_here(text: str) -> Piece | None:
    """The layer of the workshop that a file defines, told by the name of its class; None if it defines none."""
    classes = set(re.findall(r"^class\s+(My\w+)\s*\(", text, re.MULTILINE))
    return next((piece for piece in map(find, names()) if piece.class_name in classes), None) if classes else None


def any_bug(piece: Piece, among: Sequence[int] = ()) -> int:
    """The number of one of the bugs, by chance; of those in `among` if there are some."""
    return random.SystemRandom().choice(list(among) or range(1, len(piece.bugs) + 1))


def _learners_part(path: Path) -> str:
    text, mark, _ = path.read_text(encoding="utf-8").partition(_END)
    assert mark, f"{path} should hold the line `# %% the workshop` after two empty ones"
    return text + "\n"


def _mark(name: str, number: int) -> str:
    """A word that tells the program which bug it is, and the learner nothing."""
    return f"{random.Random(f'nblayers {name} {number}').getrandbits(40):010x}"
