"""Time contenders side by side: in processes of their own, in short turns, so that a busy machine slows them alike.

A benchmark file calls `compare(...)` with functions that make the cases of each contender. Run without arguments it starts
itself anew for every contender, lets them take turns at each case, and prints the medians and the ratio: how many times faster
ours is, in the median of the rounds.
"""
import argparse
import json
import operator
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

THREADS = "2"
REST = 0.1                  # seconds between turns, in which the other's idle threads fall asleep
MARK = "=> "
Cases = dict[str, Callable[[], object]]


def environment(**more: str) -> dict[str, str]:
    """The variables of a contender's process: as many threads as cores, no chatter."""
    limits = {name: THREADS for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    return {**os.environ, **limits, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", **more}


def median_seconds(run: Callable[[], object], seconds: float = 0.4, fewest: int = 3, most: int = 200) -> float:
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
    parser.add_argument("--only", default="", help="the cases whose names hold this text")
    arguments = parser.parse_args()
    if arguments.contender:
        _take_turns(contenders[arguments.contender]())
        return
    processes = {name: _start(name, (variables or {}).get(name, {})) for name in contenders}
    cases = [json.loads(_answer(process)) for process in processes.values()]
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in contenders}
    for case in (case for case in cases[0] if arguments.only in case):
        for _ in range(arguments.rounds):
            for name, process in processes.items():
                time.sleep(REST)
                print(case, file=process.stdin, flush=True)
                seconds[name].setdefault(case, []).append(float(_answer(process)))
    for process in processes.values():
        process.communicate()
    _print_table(title, seconds, target, work or {})


def _start(contender: str, more: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, sys.argv[0], "--contender", contender], env=environment(**more),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _take_turns(cases: Cases) -> None:
    """A contender's process: tell the names of its cases, then time those that are asked for."""
    print(MARK, json.dumps(list(cases)), flush=True)
    for line in sys.stdin:
        print(MARK, median_seconds(cases[line.strip()]), flush=True)


def _answer(process: subprocess.Popen[str]) -> str:
    """What comes next behind the mark; libraries print, too."""
    for line in process.stdout or ():
        if line.startswith(MARK):
            return line.removeprefix(MARK)
    raise RuntimeError(f"a contender ended without an answer; to see why: {shlex.join(process.args)}")      # type: ignore[arg-type]


def _print_table(title: str, seconds: dict[str, dict[str, list[float]]], target: float,
                 work: dict[str, tuple[float, str]]) -> None:
    ours, *others = seconds
    print(f"{title}: milliseconds, and how many times faster {ours} is than the fastest other (wanted: {target})")
    width = max(map(len, seconds[ours])) + 2
    print(" " * width + "".join(f"{name:>18}" for name in seconds) + f"{'ratio':>9}")
    ratios = {case: min(statistics.median(map(operator.truediv, seconds[name][case], mine)) for name in others)
              for case, mine in seconds[ours].items()}
    for case, mine in seconds[ours].items():
        row = "".join(f"{statistics.median(seconds[name][case]) * 1e3:18.3f}" for name in seconds)
        amount, unit = work.get(case, (0, ""))
        speed = f"{amount / statistics.median(mine) / 1e9:9.0f} {unit}/s" if unit else ""
        print(f"{case:<{width}}{row}{ratios[case]:9.2f}{speed}{'' if ratios[case] >= target else '   below'}")
    if len(ratios) > 1:
        print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios.values()):.2f}")
