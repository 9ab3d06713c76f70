"""What the site adds to Sphinx: words of the glossary as links where a lesson first uses them."""
import re
from functools import cache
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from nblayers.learn.site import glossary

NO_LINKS = (nodes.title, nodes.reference, nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.term,
            addnodes.pending_xref, nodes.raw)


@cache
def _pattern() -> re.Pattern[str]:
    longest_first = sorted(glossary.terms(), key=len, reverse=True)
    return re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, longest_first)) + r")(s?)(?![\w-])")


class LinkTerms(SphinxTransform):
    """The first use of each term in a lesson leads to the glossary."""

    default_priority = 880

    def apply(self, **kwargs: Any) -> None:
        if not self.env.docname.startswith("lessons/") or self.env.docname == "lessons/index":
            return
        seen: set[str] = set()
        for text in list(self.document.findall(nodes.Text)):
            if isinstance(text.parent, NO_LINKS) or _is_within(text, NO_LINKS):
                continue
            parts = _parts(text.astext(), seen)
            if len(parts) > 1:
                text.parent.replace(text, parts)


def _is_within(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    parent = node.parent
    while parent is not None and not isinstance(parent, nodes.document):
        if isinstance(parent, kinds):
            return True
        parent = parent.parent
    return False


def _parts(text: str, seen: set[str]) -> list[nodes.Node]:
    """A text with its first uses of terms as references."""
    parts: list[nodes.Node] = []
    end = 0
    for found in _pattern().finditer(text):
        if found[1] in seen:
            continue
        seen.add(found[1])
        target = addnodes.pending_xref("", nodes.inline("", found[0], classes=["xref", "std", "std-term"]), refdomain="std",
                                       reftype="term", reftarget=found[1], refexplicit=True, refwarn=True)
        parts += [nodes.Text(text[end:found.start()]), target]
        end = found.end()
    return [*parts, nodes.Text(text[end:])]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(LinkTerms)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "version": "1"}
