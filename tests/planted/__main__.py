"""python -m tests.planted [NAME …]: which planted faults the gradient checker catches and names.

A name is that of a family, of a right layer or of one fault ("softmax-3"); all of them without one. The whole report is
printed of what is not caught, not named, or of which something untrue is said; with --all of every fault. The test suite runs
a third of them (tests/test_planted_faults.py).
"""
import argparse
import time
import warnings
from collections import Counter

import numpy as np

from nblayers import gradcheck
from tests import planted


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--all", action="store_true", help="print every report")
    parser.add_argument("--quiet", action="store_true", help="print no report")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    np.seterr(all="ignore")
    check_rights(arguments.names)
    check_faults(arguments)


def wanted(names: list[str], family: str, layer: str, fault: str = "") -> bool:
    return not names or any(name in (family, layer, fault) for name in names)


def check_rights(names: list[str]) -> None:
    for name, right in planted.rights().items():
        if not wanted(names, right.layer.__module__.split(".")[-1], name):
            continue
        report = gradcheck(right.layer(), *right.inputs(np.random.default_rng(0)), raise_error=False, **right.options)
        if not report:
            print(f"FALSE ALARM of the right layer {name}\n{report}\n")


def check_faults(arguments: argparse.Namespace) -> None:
    totals, slowest = Counter(), []
    for case in planted.planted():
        family = case.right.layer.__module__.split(".")[-1]
        if not wanted(arguments.names, family, case.fault.layer, case.name):
            continue
        verdict, report, seconds = judged(case)
        slowest.append((seconds, case.name))
        totals[verdict] += 1
        totals[family, verdict] += 1
        if arguments.all or verdict != "named":
            show(case, verdict, report, arguments.quiet)
    print_totals(totals)
    for seconds, name in sorted(slowest, reverse=True)[:5]:
        print(f"    {seconds:5.2f} s  {name}")


def judged(case: planted.Planted) -> tuple[str, object, float]:
    """named, untrue, unnamed, missed or failed; the report, or the error that came instead; seconds."""
    start = time.perf_counter()
    try:
        report = gradcheck(case.wrong(), *case.inputs(np.random.default_rng(0)), raise_error=False, **case.options)
        if report:
            verdict = "missed"
        elif case.missing(report):
            verdict = "unnamed"
        else:
            verdict = "untrue" if case.untrue(report) else "named"
    except Exception as error:
        verdict, report = "failed", f"{type(error).__name__}: {error}"
    return verdict, report, time.perf_counter() - start


def show(case: planted.Planted, verdict: str, report: object, quiet: bool) -> None:
    fault = case.fault
    print(f"{verdict.upper():8} {case.name}: {fault.old!r} -> {fault.new!r}")
    if quiet:
        return
    for old, new in fault.more:
        print(f"{'':9}{old!r} -> {new!r}")
    if hasattr(report, "findings"):
        for expect in case.missing(report):
            print(f"    expected: {' or '.join(expect.kinds)}, tensor {expect.tensor!r}, words {expect.words}")
        print(f"    untrue: {case.untrue(report)}")
        for finding in report.findings:
            print(f"    [{finding.kind}] {finding.tensor}: {finding.text}")
    print("    | " + str(report).replace("\n", "\n    | ") + "\n")


def print_totals(totals: Counter) -> None:
    verdicts = "named", "untrue", "unnamed", "missed", "failed"
    families = sorted({key[0] for key in totals if isinstance(key, tuple)})
    print(f"{'':16}" + "".join(f"{verdict:>9}" for verdict in verdicts))
    for family in families:
        print(f"{family:16}" + "".join(f"{totals[family, verdict]:9}" for verdict in verdicts))
    print(f"{'all':16}" + "".join(f"{totals[verdict]:9}" for verdict in verdicts))
    count = sum(totals[verdict] for verdict in verdicts)
    if count:
        caught, named = count - totals["missed"] - totals["failed"], totals["named"]
        print(f"{count} faults; caught {caught}; named without an untrue word {named} ({named / count:.1%})")


if __name__ == "__main__":
    main()
