"""What the benchmarks find, as data: one JSON file, from which tables and pictures are drawn.

    {"machine": {...},
     "comparisons": {name: {"title", "target", "counted", "cases": {case: {"seconds", "work", "unit", "limits"}}}},
     "tables": {name: {"title", "columns", "rows", "notes"}}}

`seconds` holds for each contender, the first of which is ours, a number for each round. `work` is how much a case computes
(unit "Gflop") or moves ("GB") at least, `limits` what the machine could do of that in a second, in each round.
"""
import json
import operator
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

PACKAGES = ("numpy", "numba", "torch", "jax", "keras", "tensorflow-cpu")
Results = dict[str, Any]


def load(path: Path) -> Results:
    """The results of a file; empty ones if there is no such file."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {"machine": {}, "comparisons": {}, "tables": {}, **found}


def keep(path: Path | None, kind: str, name: str | None, value: Any) -> None:
    """Put one result in its place in the file: a comparison or a table by its name, the machine without one."""
    if path is None:
        return
    results = load(path)
    if name is None:
        results[kind] = value
    else:
        results[kind][name] = value
    save(path, results)


def save(path: Path, results: Results) -> None:
    """Write the file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def sort(path: Path, names: Sequence[str]) -> None:
    """Bring the results of a file into the order of these names."""
    results = load(path)
    for kind in ("comparisons", "tables"):
        results[kind] = {name: results[kind][name] for name in names if name in results[kind]}
    save(path, results)


def machine() -> dict[str, Any]:
    """What the results depend on beside the code."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"date": date.today().isoformat(), "cpu": cpu(), "cores": cores, "system": platform.system(), "commit": commit(),
            "versions": {"Python": platform.python_version(), **versions()}}


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


class Ratio(NamedTuple):
    """How many times faster ours is than the fastest other: the median of the rounds, the lowest and the highest."""

    fastest: str
    median: float
    lowest: float
    highest: float


def ratio(case: dict[str, Any]) -> Ratio:
    """Of one case. The fastest other is the one with the lowest median of the rounds' ratios."""
    ours, *others = case["seconds"].values()
    found = [Ratio(name, statistics.median(rounds), min(rounds), max(rounds))
             for name, times in zip(list(case["seconds"])[1:], others, strict=True)
             for rounds in [list(map(operator.truediv, times, ours))]]
    return min(found, key=lambda each: each.median)


def milliseconds(case: dict[str, Any], contender: str | None = None) -> float:
    """The median of a contender's rounds; ours if no other is named."""
    return 1e3 * statistics.median(case["seconds"][contender or next(iter(case["seconds"]))])


def rate(case: dict[str, Any]) -> float:
    """How much ours computes or moves in a second, in units of 1e9."""
    return case["work"] / milliseconds(case) / 1e6


def share(case: dict[str, Any]) -> float | None:
    """How much ours computes or moves, as a part of what the machine can: the median of the rounds."""
    if not case.get("limits"):
        return None
    ours = next(iter(case["seconds"].values()))
    return statistics.median(case["work"] / seconds / limit for seconds, limit in zip(ours, case["limits"], strict=True))


def all_ratios(comparison: dict[str, Any]) -> dict[str, float]:
    return {name: ratio(case).median for name, case in comparison["cases"].items()}


def mean(comparison: dict[str, Any]) -> float:
    return statistics.geometric_mean(all_ratios(comparison).values())


def counted(results: Results) -> dict[str, dict[str, Any]]:
    """The comparisons with others; where ours is compared with ours, no ratio counts."""
    return {name: each for name, each in results["comparisons"].items() if each["counted"] and each["cases"]}


def text_of_comparison(comparison: dict[str, Any]) -> str:
    """The table that a benchmark prints."""
    cases = comparison["cases"]
    width = max(map(len, cases)) + 2
    names = list(dict.fromkeys(name for case in cases.values() for name in case["seconds"]))
    lines = [f"{comparison['title']}: milliseconds, and how many times faster {names[0]} is than the fastest other "
             f"(lowest to highest; wanted: {comparison['target']:g})",
             " " * width + "".join(f"{name:>18}" for name in names) + f"{'ratio':>9}{'':16}{'of the limit':>30}"]
    lines += [line(name.ljust(width), names, case, comparison["target"]) for name, case in cases.items()]
    if len(cases) > 1:
        lines.append(f"geometric mean of the ratios: {mean(comparison):.2f}")
    return "\n".join(lines + failures(comparison))


def failures(comparison: dict[str, Any]) -> list[str]:
    """A sentence for each contender that could not run a case."""
    return [f"{who} failed at {case}: {why}" for case, numbers in comparison["cases"].items()
            for who, why in numbers.get("failed", {}).items()]


def line(name: str, contenders: list[str], case: dict[str, Any], target: float) -> str:
    found = ratio(case)
    times = "".join(f"{milliseconds(case, each):18.3f}" if each in case["seconds"] else f"{'':18}" for each in contenders)
    part = share(case)
    done = f"{rate(case):9.0f} {case['unit']}/s, {100 * part:3.0f} %" if part is not None else ""
    between = f"({found.lowest:.2f} to {found.highest:.2f})"
    return f"{name}{times}{found.median:9.2f}  {between:16}{done:>28}{'' if found.median >= target else '   below'}"


def text_of_table(table: dict[str, Any]) -> str:
    """The table of a benchmark that is no comparison, its columns aligned."""
    rows = [table["columns"], *table["rows"]]
    widths = [max(len(str(row[k])) for row in rows) for k in range(len(table["columns"]))]
    lines = ["  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([table["title"], *lines, *table.get("notes", [])])
