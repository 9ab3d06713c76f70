"""The microscope's pages, embedded. This is the one place where the site knows of them."""
import importlib
import importlib.util
from pathlib import Path

MODULE = "nblayers.learn.microscope"


def pages(folder: Path) -> list[tuple[str, str, str]]:
    """Write the microscope's pages to a folder; for each its title, its file and what it shows. None while it is not there."""
    if importlib.util.find_spec(MODULE) is None:
        return []
    module = importlib.import_module(MODULE)
    make = getattr(module, "site_pages", None)
    return list(make(folder)) if make else []


def page(found: list[tuple[str, str, str]]) -> str:
    """The page that embeds them."""
    out = ["# Microscope", "A forward pass, then the gradients coming back, one operation after the other: formula, numbers, "
           "and what each gradient is the sum of. Arrow keys step."]
    for title, file, words in found:
        address = f"microscope/{file}"
        out.append(f"## {title}\n\n{words} <a href=\"{address}\">On a page of its own</a>\n\n"
                   f'<iframe class="microscope" src="{address}" title="{title}" loading="lazy"></iframe>')
    return "\n\n".join(out) + "\n"
