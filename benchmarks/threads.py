"""How many calls of `predict` on small batches 1, 2 and 4 threads get done together, on one model or on one each.

The kernels of each call compute with one thread (NUMBA_NUM_THREADS=1). What is wanted: more threads do not get less done.
"""
import os
import statistics
import threading
import time
from collections.abc import Callable

os.environ["NUMBA_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from alternate import alone, options, show

from nblayers.layers import LSTM, Conv2D, Dense, Flatten, Input, MaxPooling2D
from nblayers.models import Sequential

THREADS = (1, 2, 4)
TITLE = "predict: calls in a second, and in parentheses how many times as many as one thread's"
CASES: dict[str, tuple[Callable[[], Sequential], tuple[int, ...]]] = {
    "Dense 64, 64, 10": (lambda: Sequential([Input((32,)), Dense(64, "relu"), Dense(64, "relu"), Dense(10)]), (8, 32)),
    "LSTM 16": (lambda: Sequential([Input((20, 8)), LSTM(16), Dense(1)]), (8, 20, 8)),
    "Conv2D 8": (lambda: Sequential([Input((16, 16, 3)), Conv2D(8, 3), MaxPooling2D(2), Flatten(), Dense(10)]), (4, 16, 16, 3)),
}


def rate(models: list[Sequential], x: np.ndarray, seconds: float) -> float:
    """Calls in a second of as many threads as models."""
    counts, done = [0] * len(models), threading.Event()

    def work(k: int) -> None:
        while not done.is_set():
            models[k].predict(x, verbose=0)
            counts[k] += 1

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(models))]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    done.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


def main() -> None:
    arguments = options(TITLE, rounds=9).parse_args()
    rows = []
    for name, (make, shape) in CASES.items():
        own, x = [make() for _ in range(max(THREADS))], np.ones(shape, "float32")
        for model in own:
            model.predict(x, verbose=0)
        for kind, models in (("one model", own[:1] * max(THREADS)), ("a model each", own)):
            with alone(arguments.lock):
                rounds = [[rate(models[:count], x, arguments.seconds) for count in THREADS] for _ in range(arguments.rounds)]
            ratios = [statistics.median(row[k] / row[0] for row in rounds) for k in range(len(THREADS))]
            rows.append([name, kind, *(f"{statistics.median(row[k] for row in rounds):.0f} ({ratios[k]:.2f})"
                                       for k in range(len(THREADS)))])
    show(TITLE, ["model", "", *(f"{count} threads" if count > 1 else "1 thread" for count in THREADS)], rows, arguments.json)


if __name__ == "__main__":
    main()
