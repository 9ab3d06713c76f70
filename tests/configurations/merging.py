"""Several inputs made one."""
from .drawing import Draw, Setup, call, makes


def alike(draw: Draw, count: int, low: int = 1, high: int = 3) -> list[tuple[int, ...]]:
    """Shapes that are spread to one: an axis may be 1 in some of them."""
    shape = draw.shape(low, high)
    return [tuple(1 if axis and draw.chance(0.15) else n for axis, n in enumerate(shape)) for _ in range(count)]


@makes(*(f"layers.{name}" for name in ("Add", "Average", "Subtract", "Multiply", "Maximum", "Minimum")))
def merging(draw: Draw, name: str) -> Setup:
    shapes = alike(draw, 2 if name.endswith("Subtract") else draw.integer(2, 3))
    masks = {"mask": [draw.mask(*shape[:-1]) for shape in shapes]} if name.endswith("imum") and draw.chance(0.3) else {}
    return Setup(call(name, **draw.penalty()), [[draw.numbers(*shape) for shape in shapes]], masks)


@makes("layers.Concatenate")
def concatenating(draw: Draw, name: str) -> Setup:
    shape = draw.shape(1, 3)
    axis = draw.integer(1, len(shape) - 1)
    shapes = [(*shape[:axis], draw.size(), *shape[axis + 1:]) for _ in range(draw.integer(2, 3))]
    return Setup(call(name, draw.one([axis, axis - len(shape)])), [[draw.numbers(*each) for each in shapes]])


DOTS = [("ab", "ab", 1), ("abc", "ac", -1), ("ab", "acb", (1, 2)), ("abc", "adb", (1, 2)), ("abc", "abd", 1),
        ("abc", "adc", (2, 2)), ("abcd", "aec", (2, -1)), ("abcd", "aebf", (1, 2))]


@makes("layers.Dot")
def dotting(draw: Draw, name: str) -> Setup:
    first, second, axes = draw.one(DOTS)
    sizes = {letter: draw.size() for letter in "abcdef"}
    x = [draw.normal(*(sizes[letter] for letter in shape)) for shape in (first, second)]
    return Setup(call(name, axes, **draw.flags("normalize")), [x])
