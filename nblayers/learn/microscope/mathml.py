"""Formulas as MathML, which a browser sets without any script."""
import functools
import html
import re
from xml.etree import ElementTree

STYLE = re.compile(r'\sstyle="[^"]*"')       # the pages' content policy knows none
PREFIX = '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline">'
TEXT = re.compile(r"\\text\w*\{[^}]*\}")
AMPERSAND = re.compile(r"&(?!#\w+;|\w+;)")
ADDRESSES = {"href", "src", "xlink:href"}


@functools.cache
def mathml(formula: str) -> str:
    """A formula in LaTeX as MathML; one that cannot be read stands as it is written.

    Whoever wrote the formula: in what comes back there is no element but MathML's, nothing that runs and no address.
    """
    try:
        from latex2mathml.converter import convert
    except ImportError:
        raise ImportError("the microscope sets formulas with latex2mathml: pip install latex2mathml") from None
    try:
        escaped = TEXT.sub(lambda text: html.escape(text[0], quote=False), formula)       # latex2mathml does not
        found = STYLE.sub("", str(convert(escaped))).replace(PREFIX, "<math>")
        found = AMPERSAND.sub("&amp;", found).replace(r"\_", "_")         # in a name of several words
        if all(map(_is_harmless, ElementTree.fromstring(found).iter())):
            return found
    except Exception:                   # of many kinds: the formula may be anyone's
        pass
    return f"<math><mtext>{html.escape(formula)}</mtext></math>"


def _is_harmless(element: ElementTree.Element) -> bool:
    return element.tag.startswith("m") and not any(name in ADDRESSES or name.startswith("on") for name in element.attrib)
