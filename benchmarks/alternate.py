"""Time contenders side by side: in processes of their own, in turns, so that a busy machine slows them alike.

A benchmark file calls `compare(...)` with functions that make the cases of each contender. Run without arguments it starts
itself anew for every contender in every round, collects the medians, and prints the ratio: how many times faster ours is.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

THREADS = "2"
Cases = dict[str, Callable[[], object]]


def environment(**more: str) -> dict[str, str]:
    """The variables of a contender's process: as many threads as cores, no chatter."""
    limits = {name: THREADS for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    return {**os.environ, **limits, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", **more}


def median_seconds(run: Callable[[], object], seconds: float = 1.0, fewest: int = 5, most: int = 200) -> float:
    """The median time of `run` over about `seconds`, after two runs that are not counted."""
    run(), run()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < fewest or (time.perf_counter() - begin < seconds and len(times) < most):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def compare(title: str, contenders: dict[str, Callable[[], Cases]], target: float, rounds: int = 5,
            variables: dict[str, dict[str, str]] | None = None, work: dict[str, tuple[float, str]] | None = None) -> None:
    """Time all cases of all contenders, the first of which is ours, and print a table.

    Arguments:
        title: what is timed.
        contenders: for each name the function that makes its cases (the same names of cases for all).
        target: the ratio that we want to reach in every case.
        rounds: how often each contender has its turn.
        variables: environment variables of single contenders.
        work: for some cases how much is done and its unit, (2e9, "Gflop") or (4e6, "GB"), to print what we do in a second.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--contender", choices=contenders)
    parser.add_argument("--rounds", type=int, default=rounds)
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps({case: median_seconds(run) for case, run in contenders[arguments.contender]().items()}))
        return
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in contenders}
    for _ in range(arguments.rounds):
        for name in contenders:
            command = [sys.executable, sys.argv[0], "--contender", name]
            output = subprocess.run(command, env=environment(**(variables or {}).get(name, {})), check=True,
                                    capture_output=True, text=True).stdout
            for case, value in json.loads(output.splitlines()[-1]).items():
                seconds[name].setdefault(case, []).append(value)
    medians = {name: {case: statistics.median(v) for case, v in cases.items()} for name, cases in seconds.items()}
    _print_table(title, medians, target, work or {})


def _print_table(title: str, medians: dict[str, dict[str, float]], target: float, work: dict[str, tuple[float, str]]) -> None:
    ours, *others = medians
    print(f"{title}: milliseconds, and how many times faster {ours} is than the fastest other (wanted: {target})")
    width = max(map(len, medians[ours])) + 2
    print(" " * width + "".join(f"{name:>18}" for name in medians) + f"{'ratio':>9}")
    ratios = {case: min(medians[name][case] for name in others) / mine for case, mine in medians[ours].items()}
    for case, mine in medians[ours].items():
        row = "".join(f"{medians[name][case] * 1e3:18.3f}" for name in medians)
        amount, unit = work.get(case, (0, ""))
        speed = f"{amount / mine / 1e9:9.0f} {unit}/s" if unit else ""
        print(f"{case:<{width}}{row}{ratios[case]:9.2f}{speed}{'' if ratios[case] >= target else '   below'}")
    if len(ratios) > 1:
        print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios.values()):.2f}")
