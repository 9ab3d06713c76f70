"""The gallery: every picture of the lessons, and those of the documentation where it is there."""
import shutil
from collections.abc import Sequence
from pathlib import Path

from nblayers.learn import catalogue
from nblayers.learn.site.docstrings import escaped
from nblayers.learn.site.lessons import Figure

DOCUMENTS = {"stepper.svg": "A learner’s turn in the LSTM lesson, on a terminal",
             "benchmarks.svg": "How many times as fast as the fastest of PyTorch, JAX and TensorFlow"}


def page(figures: Sequence[Figure], folder: Path) -> str:
    """The page; pictures of the documentation are copied to `folder`/figures."""
    out = ["---\nlayout: simple\ncontent_max_width: 80rem\n---\n\n# Gallery",
           "What the lessons draw: the numbers that a table hides. Each picture leads to its lesson."]
    if not figures:
        out.append("*These pages were built without running the lessons, so their pictures are not here.*")
    docs = catalogue.HOME.parent / "docs"
    for name, words in DOCUMENTS.items():
        if (docs / name).exists():
            shutil.copyfile(docs / name, folder / "figures" / name)
            figures = [*figures, Figure("index.md", "nblayers", docs / name, words)]
    tiles = [f":::{{container}} tile\n[![{escaped(figure.words)}](/figures/{figure.file.name})](/{figure.page})\n\n"
             f"{escaped(figure.words)}. [{escaped(figure.title)}](/{figure.page})\n:::" for figure in figures]
    out += ["::::{container} gallery\n" + "\n\n".join(tiles) + "\n::::"] if tiles else []
    return "\n\n".join(out) + "\n"
