"""Time contenders side by side: in processes of their own, in short turns, so that a busy machine slows them alike.

A benchmark file calls `compare(...)` with functions that make the cases of each contender. Run without arguments it starts
itself anew for every contender, lets them take turns at each case, and prints the medians and the ratio: how many times faster
ours is, in the median of the rounds. With `--json FILE` it keeps all times in that file.
"""
import argparse
import contextlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import results

THREADS = "2"
REST = 0.1                  # seconds between turns, in which the other's idle threads fall asleep
MARK = "=> "
Cases = dict[str, Callable[[], object]]
Makers = dict[str, Callable[[], Cases]]


def environment(**more: str) -> dict[str, str]:
    """The variables of a contender's process: as many threads as cores, no chatter."""
    limits = {name: THREADS for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    return {**os.environ, **limits, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "TORCHINDUCTOR_COMPILE_THREADS": "1",
            **more}


def median_seconds(run: Callable[[], object], seconds: float = 0.4, fewest: int = 3, most: int = 200) -> float:
    """The median time of `run` over about `seconds`, after two runs that are not counted (one of what takes longer)."""
    begin = time.perf_counter()
    run()
    if time.perf_counter() - begin < seconds:
        run()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < fewest or (time.perf_counter() - begin < seconds and len(times) < most):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def options(title: str, rounds: int = 5) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each contender has its turn")
    parser.add_argument("--seconds", type=float, default=0.4, help="how long a turn takes, about")
    parser.add_argument("--only", default="", help="the cases whose names hold this text")
    parser.add_argument("--json", type=Path, help="keep the results in this file, beside those of other benchmarks")
    parser.add_argument("--lock", type=Path, help="hold this file's lock while a case is timed: who shares the machine waits")
    return parser


@contextlib.contextmanager
def alone(lock: Path | None) -> Iterator[None]:
    """While nobody else holds the lock; at once if there is none."""
    if lock is None:
        yield
        return
    import fcntl
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def compare(title: str, contenders: Makers, target: float, rounds: int = 5, variables: dict[str, dict[str, str]] | None = None,
            work: dict[str, tuple[float, str]] | None = None, counted: bool = True) -> None:
    """Time all cases of all contenders, the first of which is ours, print a table, and keep the times (`--json`).

    Arguments:
        title: what is timed.
        contenders: for each name the function that makes its cases (a contender may lack some of ours).
        target: the ratio that we want to reach in every case.
        rounds: how often each contender has its turn.
        variables: environment variables of single contenders.
        work: for some cases how much is done and its unit, (2e9, "Gflop") or (4e6, "GB"), to say which part of what the machine
            can do we do.
        counted: False where no other library is compared with: the ratios stay out of the mean over all benchmarks.
    """
    parser = options(title, rounds)
    parser.add_argument("--contender", choices=contenders)
    arguments = parser.parse_args()
    if arguments.contender:
        take_turns(contenders[arguments.contender]())
    comparison = {"title": title, "target": target, "counted": counted, "cases": {}}
    name = Path(sys.argv[0]).stem
    if arguments.only and arguments.json:
        comparison["cases"] = results.load(arguments.json)["comparisons"].get(name, comparison)["cases"]
    for case, found in timed(list(contenders), variables or {}, work or {}, arguments):
        comparison["cases"][case] = found
        results.keep(arguments.json, "comparisons", name, comparison)
    print(results.text_of_comparison(comparison))


def show(title: str, columns: list[str], rows: list[list[str]], file: Path | None, notes: tuple[str, ...] = ()) -> None:
    """Print a table of a benchmark that is no comparison with others, and keep it."""
    table = {"title": title, "columns": columns, "rows": rows, "notes": list(notes)}
    results.keep(file, "tables", Path(sys.argv[0]).stem, table)
    print(results.text_of_table(table))


def timed(contenders: list[str], variables: dict[str, dict[str, str]], work: dict[str, tuple[float, str]],
          arguments: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each case with its times, as soon as it is done."""
    with alone(arguments.lock):
        processes = {name: _start([sys.argv[0], "--contender", name], variables.get(name, {})) for name in contenders}
        cases = {name: json.loads(_answer(process)) for name, process in processes.items()}
        if work:
            limits = processes["limits"] = _start([str(Path(__file__).with_name("limits.py")), "--turns"], {})
    for case in (case for case in cases[contenders[0]] if arguments.only in case):
        turns = [name for name in contenders if case in cases[name]]
        amount, unit = work.get(case, (0, ""))
        rounds, found = [], []
        with alone(arguments.lock):
            for _ in range(arguments.rounds):
                request = {"case": case, "seconds": arguments.seconds}
                rounds.append({name: _ask(processes[name], request) for name in turns})
                found += [_ask(limits, unit)] if unit else []
        yield case, _case(turns, rounds) | ({"work": amount, "unit": unit, "limits": found} if unit else {})
    for process in processes.values():
        process.communicate()


def _case(turns: list[str], rounds: list[dict[str, float | str]]) -> dict[str, Any]:
    """The seconds of each contender, and what the others say who failed; that ours fails, or all others, is an error."""
    failed = {name: str(row[name]) for row in rounds for name in turns if isinstance(row[name], str)}
    if turns[0] in failed or len(failed) == len(turns) - 1:
        raise RuntimeError(f"nothing to compare: {failed or 'no other contender has the case'}")
    seconds = {name: [row[name] for row in rounds] for name in turns if name not in failed}
    return {"seconds": seconds} | ({"failed": failed} if failed else {})


def _start(command: list[str], more: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *command], env=environment(**more), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)


def take_turns(cases: Cases) -> NoReturn:
    """A contender's process: tell the names of its cases, then time those that are asked for."""
    answer(list(cases))
    for request in map(json.loads, sys.stdin):
        try:
            answer(median_seconds(cases[request["case"]], request["seconds"]))
        except Exception as error:
            answer(f"{type(error).__name__}: {error}")
    sys.exit()


def answer(value: Any) -> None:
    """To the process that asks."""
    print(MARK, json.dumps(value), flush=True)


def _ask(process: subprocess.Popen[str], request: Any) -> float | str:
    time.sleep(REST)
    print(json.dumps(request), file=process.stdin, flush=True)
    return json.loads(_answer(process))


def _answer(process: subprocess.Popen[str]) -> str:
    """What comes next behind the mark; libraries print, too."""
    for line in process.stdout or ():
        if line.startswith(MARK):
            return line.removeprefix(MARK)
    raise RuntimeError(f"a contender ended without an answer; to see why: {shlex.join(process.args)}")      # type: ignore[arg-type]
