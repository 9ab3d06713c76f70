"""Check many configurations, and print what the checker has to say against any."""
import argparse
import math
import time
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import nblayers

from . import Configuration, configuration, is_right, of_generator


class Outcome(NamedTuple):
    """What became of a configuration: how long it took, and what was said against it, if anything."""

    configuration: Configuration
    seconds: float
    trouble: str


def tried(tested: Configuration) -> Outcome:
    """Check one configuration; an error counts as trouble too."""
    start = time.perf_counter()
    try:
        report = tested.check()
        trouble = "" if is_right(report) else str(report)
    except Exception as error:
        trouble = f"{type(error).__name__}: {error}"
    return Outcome(tested, time.perf_counter() - start, trouble)


def outcomes(first: int, count: int, only: str, seconds: float) -> Iterator[Outcome]:
    """One after the other, until the time is over."""
    end = time.perf_counter() + seconds
    for number in range(first, first + count):
        if time.perf_counter() > end:
            break
        yield tried(of_generator(only, number) if only else configuration(number))


def show(outcome: Outcome) -> None:
    tested = outcome.configuration
    print(f"--- {tested.number} {tested.name}\n{outcome.trouble}\n{tested.code()}\n", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.configurations", description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after so many")
    parser.add_argument("--only", default="", help="one generator, such as layers.LSTM")
    parser.add_argument("--device", default="cpu", help="the room of kernels")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    times: list[tuple[float, str]] = []
    wrong = 0
    with nblayers.device(given.device):
        for outcome in outcomes(given.first, given.count, given.only, given.seconds):
            tested = outcome.configuration
            times.append((outcome.seconds, f"{tested.number} {tested.setup.layer}"))
            if outcome.trouble:
                wrong += 1
                show(outcome)
    print(f"{len(times)} configurations from {given.first} on, {wrong} with trouble, {sum(time for time, _ in times):.0f} s")
    for seconds, what in sorted(times)[:-6:-1]:
        print(f"{seconds:6.1f} s  {what}")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
