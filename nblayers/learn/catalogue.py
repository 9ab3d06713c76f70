"""Which lessons there are, and which one a learner means."""
import difflib
import re
from pathlib import Path

import nblayers

HOME = Path(nblayers.__file__).resolve().parents[1] / "lessons"
COURSE = {                              # at most 38 letters each: they stand in one line with what is done
    "00": "The chain rule on a graph", "01": "Finite differences: checking gradients", "02": "Linear and Dense",
    "03": "Activations and their slopes", "04": "Softmax and cross-entropy", "05": "Loss, optimiser, training by hand",
    "06": "SimpleRNN: back through time", "07": "How gradients vanish and explode", "08": "LSTM",
    "09": "GRU, and the contest of the cells", "10": "Sequences: masks, packing, states",
    "11": "Bidirectional, stacked, distributed", "12": "Embedding", "13": "Convolution in 1, 2 and 3 dimensions",
    "14": "Pooling, and what a tie does", "15": "Depthwise, separable, transposed", "16": "ConvLSTM",
    "17": "Normalisation", "18": "Dropout, regularisers, constraints", "19": "Attention", "20": "Reshaping and merging",
    "21": "Initialisers", "22": "Preprocessing", "23": "Your own layer, and checking it",
    "24": "CPU kernels: loops at full speed", "25": "CUDA kernels: the same on a GPU",
    "26a": "Program: the sunspots, forecast", "26b": "Program: a text that writes itself",
    "26c": "Program: dates translated, attention", "26d": "Program: words tagged with a CRF",
    "26e": "Program: speech sounds, with CTC", "26f": "Program: anomalies, an autoencoder",
    "26g": "Program: a tune goes on", "26h": "Program: moving shapes, ConvLSTM",
    "27": "Open a real model and step into it", "28": "Data-parallel: many machines"}


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
