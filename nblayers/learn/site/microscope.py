"""The microscope's pages, embedded."""
from collections.abc import Collection
from pathlib import Path

from nblayers.learn.microscope.examples import example
from nblayers.learn.microscope.page import page as html, save

FOLDER = "microscope"                   # of its pages, among the files that are taken as they are
LESSONS = {"simple_rnn": "06", "lstm": "08", "gru": "09", "gru_reset_before": "09", "bidirectional": "11", "convolution": "13",
           "max_pooling": "14", "batch_norm": "17", "attention": "19"}           # the number of the lesson of each example


def pages(folder: Path, run: Collection[str]) -> list[tuple[str, str, str]]:
    """Train the examples of the lessons that were run, by number, and write their pages to a folder.

    Returns:
        For each its title, its name and what it shows.
    """
    found = []
    for name in (name for name, number in LESSONS.items() if number in run):
        shown = example(name)
        save("nblayers docs", html(shown.view()), folder / f"{name}.html")
        found.append((name.replace("_", " "), name, f"{shown.title}."))
    return found


def embedded(name: str, title: str, up: str = "") -> str:
    """A page of the microscope in another page, which lies as deep in the site as `up` says ("../")."""
    address = f"{up}_static/{FOLDER}/{name}.html"
    return (f'<a href="{address}">On a page of its own</a>\n\n'
            f'<iframe class="microscope" src="{address}" title="{title}" loading="lazy"></iframe>')


def page(found: list[tuple[str, str, str]]) -> str:
    """The page that embeds them."""
    out = ["# Microscope", "A forward pass, then the gradients coming back, one operation after the other: formula, numbers, "
           "and what each gradient is the sum of. Arrow keys step. Each is a small network that was trained for a few seconds."]
    out += [f"## {title}\n\n{words} {embedded(name, title)}" for title, name, words in found]
    return "\n\n".join(out) + "\n"
