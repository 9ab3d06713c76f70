"""How much faster a layer's forward and backward are with 2 threads and with 4 than with 1.

More threads than cores show what it costs when a machine is shared: nothing, at best.
"""
import argparse
import statistics

import convolution
import layers
import recurrent
from alternate import Cases, options, show, take_turns, timed

THREADS = ("1", "2", "4")
TITLE = "threads: how many times faster than with one (median of the rounds), forward and backward"
NAMES = (
    "Dense 1024->1024, batch 64", "relu (64, 65536)", "Softmax (512, 1000)", "LayerNormalization (64, 128, 512)",
    "MultiHeadAttention 8x32 (16, 128, 256)", "Conv2D (32, 28, 28, 1)->32 k3", "Conv2D (16, 56, 56, 64)->64 k3",
    "DepthwiseConv2D (32, 32, 32, 64)", "MaxPooling2D (32, 64, 64, 32)", "SimpleRNN (32, 10, 1, 32)", "LSTM (32, 60, 1, 50)",
    "LSTM (64, 100, 64, 128)", "GRU (64, 100, 64, 128)",
)


def ours() -> Cases:
    made = layers.ours() | convolution.ours() | recurrent.ours()
    return {name: made[name] for name in NAMES}


def main() -> None:
    parser = options(TITLE, rounds=5)
    parser.add_argument("--contender", choices=THREADS)
    arguments = parser.parse_args()
    if arguments.contender:
        take_turns(ours())
    show(TITLE, ["", "ms, 1 thread", "2 threads", "4 threads"], list(rows(arguments)), arguments.json)


def rows(arguments: argparse.Namespace):
    variables = {count: {"NUMBA_NUM_THREADS": count} for count in THREADS}
    for case, found in timed(list(THREADS), variables, {}, arguments):
        one, *more = found["seconds"].values()
        gains = (statistics.median(a / b for a, b in zip(one, each, strict=True)) for each in more)
        yield [case, f"{1e3 * statistics.median(one):.2f}", *(f"{gain:.2f}" for gain in gains)]


if __name__ == "__main__":
    main()
