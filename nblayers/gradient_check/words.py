"""Places and numbers in words."""
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


def times(factor: float) -> str:
    """A factor as what it makes of a number: "the sign is flipped", "twice as large as it should be"."""
    named = {2.0: "twice as large as it should be", 0.5: "half as large as it should be"}
    size = abs(factor)
    exact = next((text for value, text in named.items() if abs(size - value) <= 1e-6 * value), "")
    texts = ["the sign is flipped"] if factor < 0 else []
    if abs(size - 1) > 5e-7:
        the_size = "the size is " if texts and not exact else ""
        texts.append(exact or f"{the_size}{size:.7g} times what it should be")
    return " and ".join(texts)
