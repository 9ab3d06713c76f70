"""How costs grow: forward and backward when batch, time, units, channels… are doubled in turn, beside what theory says.

The exponent is the slope of log(seconds) over log(size), fitted to all sizes; the theory's is that of the counted work at the
same sizes (an LSTM of D inputs and H units costs H (D + H), whose exponent in H is between 1 and 2). A mark stands where they
differ by more than 0.2. The exponent of the last doubling alone says where it goes.
"""
import math
import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from alternate import alone, median_seconds, options, show

Sizes = dict[str, int]
TITLE = "how seconds grow when a size is doubled (forward and backward, float32): exponents"
DIFFERENT = 0.2
NOTES = (
    "Below the theory: what does not grow (calls, threads that wake, weights that are packed once) weighs at the small sizes; "
    "the last doubling is mostly nearer.",
    "Above it: the larger arrays leave the caches (an image of MaxPooling2D is 128 MiB at the end).",
)


class Layer(NamedTuple):
    """A layer, the sizes from which the doubling starts, how it is made, the shape of its input, and what it costs."""

    name: str
    sizes: Sizes
    make: Callable[[Any, Sizes], Any]
    shape: Callable[[Sizes], tuple[int, ...]]
    work: Callable[[Sizes], float]
    inputs: int = 1
    doublings: int = 3


def sequence(name: str, gates: int) -> Layer:
    return Layer(name, {"batch": 32, "time": 50, "inputs": 64, "units": 64},
                 lambda layers, n: getattr(layers, name)(n["units"], return_sequences=True),
                 lambda n: (n["batch"], n["time"], n["inputs"]),
                 lambda n: n["batch"] * n["time"] * gates * n["units"] * (n["inputs"] + n["units"]))


def image(n: Sizes) -> tuple[int, ...]:
    return n["batch"], n["side"], n["side"], n["channels"]


LAYERS = [
    Layer("Dense", {"batch": 128, "inputs": 512, "units": 512}, lambda layers, n: layers.Dense(n["units"]),
          lambda n: (n["batch"], n["inputs"]), lambda n: n["batch"] * n["inputs"] * n["units"]),
    Layer("Conv2D", {"batch": 8, "side": 32, "channels": 32, "filters": 32},
          lambda layers, n: layers.Conv2D(n["filters"], 3, padding="same"), image,
          lambda n: math.prod(image(n)) * n["filters"]),
    Layer("DepthwiseConv2D", {"batch": 16, "side": 32, "channels": 32},
          lambda layers, n: layers.DepthwiseConv2D(3, padding="same"), image, lambda n: math.prod(image(n))),
    Layer("MaxPooling2D", {"batch": 16, "side": 32, "channels": 32}, lambda layers, n: layers.MaxPooling2D(2), image,
          lambda n: math.prod(image(n))),
    sequence("SimpleRNN", 1), sequence("LSTM", 4), sequence("GRU", 3),
    Layer("MultiHeadAttention", {"batch": 8, "time": 64, "channels": 128},
          lambda layers, n: layers.MultiHeadAttention(4, n["channels"] // 4), lambda n: (n["batch"], n["time"], n["channels"]),
          lambda n: n["batch"] * n["time"] * n["channels"] * (4 * n["channels"] + 2 * n["time"]), inputs=2),
    Layer("LayerNormalization", {"batch": 32, "time": 64, "channels": 128}, lambda layers, n: layers.LayerNormalization(),
          lambda n: (n["batch"], n["time"], n["channels"]), lambda n: n["batch"] * n["time"] * n["channels"]),
    Layer("BatchNormalization", {"batch": 16, "side": 16, "channels": 64}, lambda layers, n: layers.BatchNormalization(), image,
          lambda n: math.prod(image(n))),
]


def doubled(layer: Layer, which: str) -> list[Sizes]:
    return [layer.sizes | {which: layer.sizes[which] << k} for k in range(layer.doublings + 1)]


def step(layer: Layer, sizes: Sizes) -> Callable[[], object]:
    from nblayers import layers
    made, rng = layer.make(layers, sizes), np.random.default_rng(0)
    x = [rng.normal(size=layer.shape(sizes)).astype("f4")] * layer.inputs
    dy = rng.normal(size=made(*x).shape).astype("f4")

    def run() -> None:
        made(*x, training=True)
        made.zero_grad()
        made.backward(dy)
    return run


def exponent(sizes: list[float], costs: list[float]) -> float:
    """The slope of a straight line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def milliseconds(layer: Layer, cases: list[Sizes], rounds: int, seconds: float) -> list[float]:
    """Medians of some rounds, in each of which every size has its turn."""
    runs = [step(layer, sizes) for sizes in cases]
    times = [[median_seconds(run, seconds) for run in runs] for _ in range(rounds)]
    return [1e3 * statistics.median(column) for column in zip(*times, strict=True)]


def grown(layer: Layer, rounds: int, seconds: float) -> Iterator[list[str]]:
    """A row for each size that is doubled."""
    for which in layer.sizes:
        cases = doubled(layer, which)
        sizes, costs = [float(n[which]) for n in cases], milliseconds(layer, cases, rounds, seconds)
        theory, found = exponent(sizes, list(map(layer.work, cases))), exponent(sizes, costs)
        yield [layer.name, which, f"{sizes[0]:.0f} to {sizes[-1]:.0f}", f"{costs[0]:.2f} to {costs[-1]:.2f}", f"{theory:.2f}",
               f"{found:.2f}", f"{math.log2(costs[-1] / costs[-2]):.2f}", "differs" if abs(found - theory) > DIFFERENT else ""]


def main() -> None:
    arguments = options(TITLE, rounds=3).parse_args()
    rows: list[list[str]] = []
    for layer in LAYERS:
        if arguments.only in layer.name:
            with alone(arguments.lock):
                rows += grown(layer, arguments.rounds, arguments.seconds / 4)
    others = [", ".join(f"{which} {size}" for which, size in layer.sizes.items()) for layer in LAYERS]
    show(TITLE, ["layer", "size", "from, to", "milliseconds", "theory", "measured", "last doubling", ""], rows, arguments.json,
         ("The other sizes stay at their first value: "
          + "; ".join(f"{layer.name} {text}" for layer, text in zip(LAYERS, others, strict=True)) + ".", *NOTES))


if __name__ == "__main__":
    main()
