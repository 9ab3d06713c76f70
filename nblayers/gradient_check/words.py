"""Places and numbers in words."""
import math
from collections.abc import Iterable

NO_PATTERN = "wrong in no pattern known"


def ranges(places: Iterable[int]) -> str:
    """{0, 1, 2, 5} as "0-2, 5"."""
    runs: list[list[int]] = []
    for place in sorted(places):
        if runs and runs[-1][1] == place - 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def simple(size: float) -> str:
    """A positive number as it is written where it comes from: "2/3", "1/sqrt(2)"; empty for one of few digits, or no such."""
    for q in range(3, 13):
        p = round(size * q)
        if 0 < p <= 12 and abs(size * q - p) <= 1e-6 * p and math.gcd(p, q) == 1 and 10_000 % q:
            return f"{p}/{q}"
    for n in (2, 3, 5, 6, 7, 8, 10, 11, 12):
        if abs(size * n ** 0.5 - 1) <= 1e-6 or abs(size - n ** 0.5) <= 1e-6 * size:
            return f"{'1/' if size < 1 else ''}sqrt({n})"
    return ""


def times(factor: float, is_explained: bool = False) -> str:
    """A factor as what it makes of a number: "the sign is flipped", "twice as large as it should be", "2/3 (0.6667) times …".

    Arguments:
        is_explained: it is said where the factor comes from, so that its digits are enough.
    """
    named = {2.0: "twice as large as it should be", 0.5: "half as large as it should be"}
    size = abs(factor)
    exact = next((text for value, text in named.items() if abs(size - value) <= 1e-6 * value), "")
    texts = ["the sign is flipped"] if factor < 0 else []
    if abs(size - 1) > 5e-7:
        the_size = "the size is " if texts and not exact else ""
        form = "" if is_explained else simple(size)
        digits = f"{form} ({size:.7g})" if form else f"{size:.7g}"
        texts.append(exact or f"{the_size}{digits} times what it should be")
    return " and ".join(texts)
