"""The lessons' data: what is shipped with them, and what is made from a seed. Nothing is downloaded."""
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


# lesson 08
def read_text(arguments: Sequence[str]) -> str:
    """Python's own help as prose, or the file of `--text FILE`; small letters, at most 300,000 characters.

    Raises:
        SystemExit: another option, no such file, or a text of less than 5000 characters.
    """
    if arguments and "ipykernel" not in sys.modules:
        if arguments[0] != "--text" or len(arguments) != 2:
            raise SystemExit(f"the only option of this lesson is --text FILE, but it was given {' '.join(arguments)!r}")
        return _own_text(Path(arguments[1]))
    from pydoc_data.topics import topics
    paragraphs = [" ".join(paragraph.split()) for topic in topics.values() for paragraph in topic.split("\n\n")]
    return "\n".join(filter(_is_prose, paragraphs))[:300_000].lower()


def _own_text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SystemExit(f"--text: {path} cannot be read: {error.strerror}") from None
    if len(text) < 5000:
        raise SystemExit(f"--text: expected 5000 characters or more, got {len(text)}")
    return text[:300_000].lower()


def _is_prose(paragraph: str) -> bool:
    """Letters and spaces for the most part: neither a table nor a program."""
    return sum(c.isalpha() or c == " " for c in paragraph) > 0.9 * len(paragraph)


def numbers_and_marks() -> np.ndarray:
    """50 numbers between -1 and 1, each with a mark that is 1 at three steps and 0 elsewhere; (1, 50, 2)."""
    numbers = np.random.default_rng(0).uniform(-1, 1, 50)
    marks = np.isin(np.arange(50), [4, 18, 37])
    return np.stack([numbers, marks], axis=1)[None]


def write_texts(model: Any, start: np.ndarray, chars: np.ndarray, temperatures: Sequence[float], count: int = 300) -> list[str]:
    """Let a model write `count` characters after `start`, at each temperature, side by side.

    Arguments:
        model: gives (texts, steps, characters) probabilities of the next character for (texts, steps) numbers.
        start: the numbers of the characters with which each text begins.
        chars: the characters by number.
        temperatures: what the logarithms of the probabilities are divided by.
    """
    rng = np.random.default_rng(0)
    texts = np.tile(start, (len(temperatures), 1))
    for _ in range(count):
        p = model.predict(texts[:, -len(start):], verbose=0)[:, -1].astype(np.float64)
        p = np.exp(np.log(np.maximum(p, 1e-30)) / np.array(temperatures)[:, None])
        drawn = [rng.choice(len(chars), p=row / row.sum()) for row in p]
        texts = np.column_stack([texts, drawn])
    return [textwrap.fill("".join(chars[text]), 80) for text in texts]
