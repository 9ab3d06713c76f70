"""What is wrong with numbers, in a sentence: known mistakes first, then what the gradient checker would say."""
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nblayers.gradient_check import diagnosis


def difference(got: Any, want: Any, name: str, mistakes: Mapping[str, Any] | None = None, tolerance: float = 1e-6,
               floor: float | None = None, sizes: Mapping[str, int] | None = None,
               place: Callable[[tuple[int, ...]], str] | None = None) -> str:
    """The sentence; empty if the numbers agree.

    Arguments:
        got, want: numbers of any kind, somebody's and the right ones.
        name: what they are called.
        mistakes: what is wrong, in a sentence, and the numbers that such a mistake gives.
        tolerance: relative.
        floor: absolute; by default the tolerance. One for all of an array, so that a zero need not be exact.
        sizes: {"the batch size": 2}, by which one may have divided.
        place: what to say of an element behind its index, such as " (sample 0, step 2)".
    """
    right = np.asarray(want, dtype=np.float64)
    try:
        array = np.asarray(got, dtype=np.float64)
    except (TypeError, ValueError):
        return f"{name} should be numbers, but it is {_short(got)}"
    floor = tolerance if floor is None else floor
    if close(array, right, tolerance, floor):
        return ""
    for sentence, wrong in (mistakes or {}).items():
        if close(array, np.asarray(wrong, dtype=np.float64), tolerance, floor):
            return f"{name}: {sentence}"
    if array.shape != right.shape:
        hint = _of_shape(array.shape, right.shape)
        shapes = f"{name} should {shape_in_words(right.shape, 'have', 'be')}, but it {shape_in_words(array.shape, 'has', 'is')}"
        return f"{shapes}: {hint}" if hint else shapes
    if not np.isfinite(array).all():
        return f"{name} holds NaN or infinity"
    return _numbers(array, right, name, tolerance, floor, dict(sizes or {}), place)


def _of_shape(shape: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """What may have led to another shape. Shapes alone prove nothing, so mostly it is a question."""
    if shape == expected[::-1]:
        return "transposed"
    if shape and shape == expected[1:]:
        return f"its first axis is missing. Is that one of {expected[0]} alone, or a sum over all of them?"
    if shape and shape[1:] == expected:
        return "it has one axis more in front. Is a sum over it missing?"
    return ""


def _numbers(got: np.ndarray, want: np.ndarray, name: str, tolerance: float, floor: float, sizes: dict[str, int],
             place: Callable[[tuple[int, ...]], str] | None) -> str:
    """The pattern if there is one, and the worst element."""
    error = np.abs(got - want)
    wrong = error > floor + tolerance * np.abs(want)
    worst = tuple(map(int, np.unravel_index(np.argmax(error), error.shape)))
    where = f"{name}[{', '.join(map(str, worst))}]" if want.ndim else name
    where += place(worst) if place and want.ndim else ""
    pattern = diagnosis.explain_numbers(got, want, wrong, sizes, tolerance)
    if wrong.sum() == 1 and "(" not in pattern:
        pattern = ""                                    # the worst element says all of it
    worst_entry = f"{where} is {got[worst]:.6g}, but should be {want[worst]:.6g}"
    return f"{name} is not right: {pattern}. {worst_entry}" if pattern else worst_entry


def close(a: np.ndarray, b: np.ndarray, tolerance: float, floor: float) -> bool:
    """Whether two arrays have one shape and the same numbers, but for a relative `tolerance` and an absolute `floor`."""
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=tolerance, atol=floor, equal_nan=True))


def shape_in_words(shape: tuple[int, ...], have: str, be: str) -> str:
    """ "have shape (2, 3)", "be a single number": a shape in a sentence with the verbs `have` and `be`."""
    return f"{have} shape {shape}" if shape else f"{be} a single number"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"
