"""How a value is told in a few lines: what it is, its shape, its numbers."""
import inspect
import re
import types
from typing import Any

import numpy as np

MOST_SHOWN = 80                         # elements of an array that are printed in full


def describe(value: Any, wide: int = 80) -> tuple[str, str]:
    """What `value` is ("float64 (2, 3)") and its content, in lines of about `wide` columns. Never raises."""
    try:
        return _kind(value), _content(value, max(wide, 20))
    except Exception as error:                              # a broken __repr__ is no reason to stop a lesson
        return type(value).__name__, f"(cannot be shown: {type(error).__name__}: {error})"


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    if is_parameter(value):
        return f"Parameter {value.path}, {value.dtype} {value.shape}"
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def _content(value: Any, wide: int) -> str:
    if isinstance(value, np.ndarray):
        return _array(value, wide)
    if is_parameter(value):
        return _array(value.numpy(), wide)
    if isinstance(value, np.generic):
        return str(value)
    if isinstance(value, (list, tuple)) and len(value) > 1 and all(isinstance(item, (float, np.number)) for item in value):
        return _array(np.array(value), wide)
    if isinstance(value, (list, tuple)) and any(isinstance(item, np.ndarray) for item in value):
        return _arrays(enumerate(value), wide)
    if isinstance(value, dict) and any(isinstance(item, np.ndarray) for item in value.values()):
        return _arrays(value.items(), wide)
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return _arrays(((name, getattr(value, name, None)) for name in value.__dataclass_fields__), wide)
    if isinstance(value, types.FunctionType):
        return f"{value.__name__}{inspect.signature(value)}"
    return _shortened(re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(value)), 4 * wide)


def _array(value: np.ndarray, wide: int) -> str:
    options: dict[str, Any] = {"max_line_width": wide, "threshold": MOST_SHOWN, "edgeitems": 2}
    if np.get_printoptions()["precision"] == 8:             # the lesson has not chosen its own
        options["precision"] = 4
    text = np.array2string(value, **options)
    if value.size > MOST_SHOWN and value.dtype.kind in "iuf":
        finite = value[np.isfinite(value)]
        text += f"\nfrom {finite.min():.4g} to {finite.max():.4g}, mean {finite.mean():.4g}" if finite.size else ""
        text += f", {value.size - finite.size} not finite" if finite.size < value.size else ""
    return text


def _arrays(items: Any, wide: int) -> str:
    """One line for each named value: arrays by shape, small ones with their numbers."""
    lines = []
    for name, item in items:
        kind, content = describe(item, wide)
        content = " ".join(content.split())
        lines.append(f"{name}: " + (kind if isinstance(item, np.ndarray) and item.size > 12 else f"{kind}  {content}"))
        if len(lines) == 20:
            lines.append("…")
            break
    return "\n".join(_shortened(line, wide) for line in lines)


def is_parameter(value: Any) -> bool:
    """Whether `value` is a layer's `Parameter` (or one like it)."""
    return all(hasattr(type(value), name) for name in ("numpy", "assign", "zero_grad", "grad"))


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most - 2].rstrip() + " …"
