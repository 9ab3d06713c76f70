"""Run every benchmark, and write one page and one picture: how many times as fast nblayers is, case by case.

    python benchmarks/all.py                            everything, to benchmarks/out: benchmarks.json, .md, .svg
    python benchmarks/all.py --quick                    one short round of each
    python benchmarks/all.py --only fit --only layers   these benchmarks; the others' results stay as they are
    python benchmarks/all.py --from results.json        draw again without measuring
    python benchmarks/all.py --output docs --readme README.md       what this repository shows

What an interrupted run has measured is kept and drawn.
"""
import argparse
import subprocess
import sys
from pathlib import Path

import report
import results

HERE = Path(__file__).parent
COMPARISONS = ("layers", "convolution", "recurrent", "conv_lstm", "attention", "matmul", "fit", "predict", "sequence_losses",
               "preprocessing", "packed", "overhead")
TABLES = ("growth", "speedup", "threads", "memory")
TEXTS = ("start",)                                      # what they print is the result
BENCHMARKS = COMPARISONS + TABLES + TEXTS
HELPERS = ("all", "alternate", "limits", "others", "report", "results")


def main() -> int:
    arguments = parsed()
    found, failed = arguments.output / "benchmarks.json", []
    if arguments.drawn_from:
        report.write(results.load(arguments.drawn_from), arguments.output, arguments.readme)
        return 0
    try:
        results.keep(found, "machine", "", {})
        for name in arguments.only or BENCHMARKS:
            print(f"\n== {name}", flush=True)
            if run(name, found, arguments):
                failed.append(name)
    except KeyboardInterrupt:
        failed.append("interrupted")
    if results.counted(results.load(found)):
        report.write(results.load(found), arguments.output, arguments.readme)
        print(f"\n{report.summary(results.load(found))}\n\n{arguments.output / 'benchmarks.md'}, .svg, .json")
    if failed:
        print("not complete:", ", ".join(failed))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
