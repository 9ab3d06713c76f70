"""Formulas as MathML, which a browser sets without any script."""
import functools
import html
import re

STYLE = re.compile(r'\sstyle="[^"]*"')       # the pages' content policy knows none
PREFIX = '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline">'


@functools.cache
def mathml(formula: str) -> str:
    """A formula in LaTeX as MathML; one that cannot be read stands as it is written."""
    try:
        from latex2mathml.converter import convert
    except ImportError:
        raise ImportError("the microscope sets formulas with latex2mathml: pip install latex2mathml") from None
    try:
        found = STYLE.sub("", str(convert(formula))).replace(PREFIX, "<math>")
        return found.replace(r"\_", "_")            # in a name of several words
    except Exception:                   # of many kinds: the formula may be anyone's
        return f"<math><mtext>{html.escape(formula)}</mtext></math>"
