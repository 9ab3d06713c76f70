"""Which lessons there are, and which one a learner means."""
import difflib
import re
from collections.abc import Iterator
from pathlib import Path

import nblayers

HOME = Path(nblayers.__file__).resolve().parents[1] / "lessons"
_TITLES = (                             # at most 38 letters each: they stand in one line with what is done
    "The chain rule on a graph", "Finite differences: checking gradients", "Linear and Dense",
    "Activations and their slopes", "Softmax and cross-entropy", "Loss, optimiser, training by hand",
    "SimpleRNN: back through time", "How gradients vanish and explode", "LSTM", "GRU, and the contest of the cells",
    "Sequences: masks, packing, states", "Bidirectional, stacked, distributed", "Embedding",
    "Convolution in 1, 2 and 3 dimensions", "Pooling, and what a tie does", "Depthwise, separable, transposed", "ConvLSTM",
    "Normalisation", "Dropout, regularisers, constraints", "Attention", "Reshaping and merging", "Initialisers",
    "Preprocessing", "Your own layer, and checking it", "CPU kernels: loops at full speed", "CUDA kernels: the same on a GPU",
    ("Program: the sunspots, forecast", "Program: a text that writes itself", "Program: dates translated, attention",
     "Program: words tagged with a CRF", "Program: speech sounds, with CTC", "Program: anomalies, an autoencoder",
     "Program: a tune goes on", "Program: moving shapes, ConvLSTM"),
    "Open a real model and step into it")


def _numbered() -> Iterator[tuple[str, str]]:
    for number, title in enumerate(_TITLES):
        if isinstance(title, str):
            yield f"{number:02d}", title
        else:
            yield from ((f"{number:02d}{letter}", part) for letter, part in zip("abcdefgh", title, strict=True))


COURSE = dict(_numbered())              # the title by the number: "00" … "26a", "26b" … "27"


class UnknownLesson(LookupError):
    """No lesson, or more than one, goes by that name; the text says which there are."""

    def __str__(self) -> str:
        return str(self.args[0])


def lessons() -> list[Path]:
    """The lessons' files in their order: NN_name.py, or NNa_name.py, NNb_name.py … where a lesson has several."""
    return sorted(path for path in HOME.glob("*_*.py") if number_of(path))


def number_of(path: Path) -> str:
    """The number of a lesson, "08" or "26a"; "" for another script."""
    number = re.match(r"\d\d[a-z]?(?=_)", path.stem)
    return number[0] if number else ""


def name_of(path: Path) -> str:
    """The name without the number: "lstm" for 08_lstm.py."""
    number = number_of(path)
    return path.stem.removeprefix(f"{number}_") if number else path.stem


def find(name: str) -> Path:
    """The lesson with this number ("8", "08", "26a"), name, file name or unambiguous part of a name; or the path of a script.

    Raises:
        UnknownLesson: none, or more than one.
    """
    if name.endswith(".py") and Path(name).is_file():
        return Path(name)
    files = lessons()
    wanted = name.strip().lower().removesuffix(".py").replace("-", "_").replace(" ", "_")
    if match := re.fullmatch(r"(\d+)([a-z]?)", wanted):
        wanted = f"{int(match[1]):02d}{match[2]}"
        found = [path for path in files if wanted in (number_of(path), number_of(path)[:2])]
    else:
        found = ([path for path in files if wanted in (path.stem.lower(), name_of(path).lower())]
                 or [path for path in files if wanted and wanted in path.stem.lower()])
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownLesson(f"more than one lesson is meant by {name!r}: {', '.join(path.stem for path in found)}")
    there = {number_of(path) for path in files}
    for number, title in COURSE.items():
        named = number.startswith(wanted) or (len(wanted) > 3 and wanted in title.lower().replace(" ", "_"))
        if named and wanted and number not in there:
            raise UnknownLesson(f"lesson {number} is to come: {title}")
    close = difflib.get_close_matches(wanted, [name_of(path) for path in files], 1, 0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise UnknownLesson(f"there is no lesson {name!r}{hint}\nThere are: {', '.join(path.stem for path in files)}")
