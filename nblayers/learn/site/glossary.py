"""The glossary: the words of the trade, and the lessons that explain them."""
import re
from functools import cache
from pathlib import Path

from nblayers.learn import catalogue

FILE = Path(__file__).with_name("glossary.md")
LESSON = re.compile(r"\[(\d\d[a-z]?)\]$", re.MULTILINE)


def page() -> str:
    """The glossary, with links to the lessons."""
    paths = {catalogue.number_of(path): path.stem for path in catalogue.lessons()}
    return LESSON.sub(lambda found: f"[Lesson {found[1]}](/lessons/{paths[found[1]]}.ipynb)", FILE.read_text(encoding="utf-8"))


@cache
def terms() -> tuple[str, ...]:
    """The words that are explained."""
    body = FILE.read_text(encoding="utf-8").partition("```{glossary}\n")[2].partition("\n```")[0]
    return tuple(line for line in body.split("\n") if line and not line.startswith(" "))
