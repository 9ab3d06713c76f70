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
               "preprocessing", "packed", "overhead", "streaming")
TABLES = ("growth", "speedup", "threads", "memory")
TEXTS = {                                               # what they print is the result
    "start": "How long a user waits.",
    "distributed": "Training on several processes of this machine, beside what the simulation says.",
}
BENCHMARKS = (*COMPARISONS, *TABLES, *TEXTS)
HELPERS = ("all", "alternate", "limits", "others", "report", "results")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="a benchmark; may be given several times")
    parser.add_argument("--rounds", type=int, help="how often each contender has its turn")
    parser.add_argument("--quick", action="store_true", help="one round of short turns")
    parser.add_argument("--from", type=Path, dest="drawn_from", metavar="FILE", help="draw these results, measure nothing")
    parser.add_argument("--output", type=Path, default=HERE / "out", metavar="FOLDER", help="where all of it goes")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="put the short table between its marks in this file, too")
    parser.add_argument("--lock", type=Path, metavar="FILE", help="hold this file's lock while a case is timed")
    return parser.parse_args()


def main() -> int:
    arguments = parsed()
    file = arguments.drawn_from or arguments.output / "benchmarks.json"
    failed = [] if arguments.drawn_from else measure(file, arguments)
    found = results.load(file)
    if results.counted(found):
        report.write(found, arguments.output, arguments.readme)
        print(f"\n{report.summary(found)}\n\nin {arguments.output}: benchmarks.md, benchmarks.svg")
    if failed:
        print("not complete:", ", ".join(failed))
    return bool(failed)


def measure(file: Path, arguments: argparse.Namespace) -> list[str]:
    """Run the benchmarks, which keep their results in the file; the names of those that failed."""
    results.keep(file, "machine", None, results.machine())
    failed = []
    for name in arguments.only or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        try:
            if not run(name, file, arguments):
                failed.append(name)
        except KeyboardInterrupt:
            failed.append(f"interrupted in {name}")
            break
    results.sort(file, BENCHMARKS)
    return failed


def run(name: str, file: Path, arguments: argparse.Namespace) -> bool:
    """Run one benchmark; whether it came to its end."""
    command = [sys.executable, str(HERE / f"{name}.py")]
    if name in TEXTS:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        print(done.stdout)
        lines = [[line] for line in done.stdout.splitlines()]
        results.keep(file, "tables", name, {"title": TEXTS[name], "columns": [""], "rows": lines})
    else:
        done = subprocess.run([*command, "--json", str(file), *passed_on(arguments)])
    return done.returncode == 0


def passed_on(arguments: argparse.Namespace) -> list[str]:
    """The options that each benchmark understands."""
    short = ["--rounds", "1", "--seconds", "0.1"] if arguments.quick else []
    rounds = ["--rounds", str(arguments.rounds)] if arguments.rounds else []
    return [*short, *rounds, *(["--lock", str(arguments.lock)] if arguments.lock else [])]


if __name__ == "__main__":
    sys.exit(main())
