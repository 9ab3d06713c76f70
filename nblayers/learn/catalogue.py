"""Which lessons there are, and which one a learner means."""
import difflib
from pathlib import Path

import nblayers

HOME = Path(nblayers.__file__).resolve().parents[1] / "lessons"
COURSE = (                              # at most 38 letters each: they stand in one line with what is done
    "The chain rule on a graph", "Finite differences: checking gradients", "Linear and Dense",
    "Activations and their slopes", "Softmax and cross-entropy", "Loss, optimiser, training by hand",
    "SimpleRNN: back through time", "How gradients vanish and explode", "LSTM", "GRU, and the contest of the cells",
    "Sequences: masks, packing, states", "Bidirectional, stacked, distributed", "Embedding",
    "Convolution in 1, 2 and 3 dimensions", "Pooling, and what a tie does", "Depthwise, separable, transposed", "ConvLSTM",
    "Normalisation", "Dropout, regularisers, constraints", "Attention", "Reshaping and merging", "Initialisers",
    "Preprocessing", "Your own layer, and checking it", "CPU kernels: loops at full speed", "CUDA kernels: the same on a GPU",
    "Programs: text, translation, music", "Open a real model and step into it")


class UnknownLesson(LookupError):
    """No lesson, or more than one, goes by that name; the text says which there are."""

    def __str__(self) -> str:
        return str(self.args[0])


def lessons() -> list[Path]:
    """The lessons' files in their order: NN_name.py."""
    return sorted(HOME.glob("[0-9][0-9]_*.py"))


def name_of(path: Path) -> str:
    """The name without the number: "lstm" for 08_lstm.py."""
    return path.stem.partition("_")[2] if path.stem[:2].isdigit() else path.stem


def find(name: str) -> Path:
    """The lesson with this number ("8", "08"), name, file name or unambiguous part of a name; or the path of a script.

    Raises:
        UnknownLesson: none, or more than one.
    """
    if name.endswith(".py") and Path(name).is_file():
        return Path(name)
    files = lessons()
    wanted = name.strip().lower().removesuffix(".py").replace("-", "_").replace(" ", "_")
    if wanted.isdecimal():
        wanted = str(int(wanted))
        found = [path for path in files if int(path.stem[:2]) == int(wanted)]
    else:
        found = ([path for path in files if wanted in (path.stem.lower(), name_of(path).lower())]
                 or [path for path in files if wanted and wanted in path.stem.lower()])
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownLesson(f"more than one lesson is meant by {name!r}: {', '.join(path.stem for path in found)}")
    numbers = {int(path.stem[:2]) for path in files}
    for number, title in enumerate(COURSE):
        named = wanted == str(number) or (len(wanted) > 3 and wanted in title.lower().replace(" ", "_"))
        if named and number not in numbers:
            raise UnknownLesson(f"lesson {number:02d} is to come: {title}")
    close = difflib.get_close_matches(wanted, [name_of(path) for path in files], 1, 0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise UnknownLesson(f"there is no lesson {name!r}{hint}\nThere are: {', '.join(path.stem for path in files)}")
