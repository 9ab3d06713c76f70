"""Tables and the picture of what the benchmarks found, drawn from the results alone."""
import io
import re
import statistics
import textwrap
from pathlib import Path
from typing import Any

import results
from results import Results

WANTED_MEAN, WANTED_MEANS = 1.6, {"fit": 2.2}           # geometric means: of all cases, and of those of one benchmark
BEGIN, END = "<!-- the short table of benchmarks/all.py -->", "<!-- its end -->"
PAPER, INK, PALE, BETTER, WORSE = "#fcfcfa", "#24292f", "#6e7781", "#2f6fb0", "#c4532d"


def write(found: Results, folder: Path, readme: Path | None = None) -> None:
    """The page and its two pictures in the folder, and the short table between its marks in the README."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.md").write_text(markdown(found), encoding="utf-8")
    (folder / "benchmarks.svg").write_text(svg(overview(found)), encoding="utf-8")
    (folder / "benchmark_cases.svg").write_text(svg(picture(found)), encoding="utf-8")
    if readme:
        text = readme.read_text(encoding="utf-8")
        marked = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.S)
        if not marked.search(text):
            raise ValueError(f"{readme}: expected the lines {BEGIN} and {END}, between which the short table goes")
        readme.write_text(marked.sub(lambda _: f"{BEGIN}\n{short_table(found)}\n{END}", text), encoding="utf-8")


def spoken(name: str) -> str:
    """The name of a benchmark."""
    return name.replace("_", " ").replace("conv lstm", "ConvLSTM")


def ratios(found: Results) -> dict[tuple[str, str], float]:
    """Of all cases that count, by benchmark and case."""
    return {(name, case): ratio for name, comparison in results.counted(found).items()
            for case, ratio in results.all_ratios(comparison).items()}


def table(columns: list[str], rows: list[list[str]], right: int = 1) -> str:
    """Of Markdown, the columns aligned to the right but for the first ones."""
    rules = ["---" if k < right else "---:" for k in range(len(columns))]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in [columns, rules, *rows])


def short_table(found: Results) -> str:
    """A row for each benchmark that compares with others."""
    rows = []
    for name, comparison in results.counted(found).items():
        each = results.all_ratios(comparison)
        lowest = min(each, key=lambda case: each[case])
        rows.append([spoken(name), str(len(each)), f"{results.mean(comparison):.2f}", f"{each[lowest]:.2f}, {lowest}"])
    rows.append(["**all**", f"**{len(ratios(found))}**", f"**{overall(found):.2f}**", ""])
    return table(["how many times as fast as the fastest other", "cases", "geometric mean", "lowest"], rows)


def overall(found: Results) -> float:
    return statistics.geometric_mean(ratios(found).values())


def summary(found: Results) -> str:
    """The mean over all cases, and the cases and means that are lower than wanted."""
    lines = [f"{len(ratios(found))} cases, geometric mean {overall(found):.2f} (wanted: {WANTED_MEAN:g})"]
    for name, comparison in results.counted(found).items():
        if name in WANTED_MEANS:
            lines.append(f"{spoken(name)}: geometric mean {results.mean(comparison):.2f} (wanted: {WANTED_MEANS[name]:g})")
    for name, comparison in found["comparisons"].items():
        low = sorted((ratio, case) for case, ratio in results.all_ratios(comparison).items() if ratio < comparison["target"])
        if low:
            lines.append(f"{spoken(name)}, lower than {comparison['target']:.2f}: "
                         + "; ".join(f"{case} {ratio:.2f}" for ratio, case in low))
    return "\n".join(lines)


def limits(found: Results) -> dict[str, float]:
    """The most that the machine was seen to do in a second, by unit."""
    most: dict[str, float] = {}
    for comparison in found["comparisons"].values():
        for case in comparison["cases"].values():
            if case.get("limits"):
                most[case["unit"]] = max(most.get(case["unit"], 0), *case["limits"])
    return most


def setting(found: Results) -> str:
    """The machine in a sentence."""
    machine = found["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine.get("versions", {}).items())
    most = " and ".join(f"{amount / 1e9:.0f} {unit}/s" for unit, amount in limits(found).items())
    return (f"{machine.get('cpu', 'CPU')}, {machine.get('cores', '?')} cores, {most or 'limits not measured'} at most; "
            f"{machine.get('date', 'no date')}; {versions or 'no versions'}; commit {machine.get('commit') or 'unknown'}.")


INTRODUCTION = """\
# Benchmarks

`python benchmarks/all.py` measures all of this and draws it; `python benchmarks/NAME.py` measures one. The numbers are
milliseconds of one step (forward and backward of a layer, an epoch of `fit`…): medians of rounds, in which all contenders, each
in a process of its own, have a turn. The ratio says how many times as fast nblayers is as the fastest other (whose time is
slanted): the median of the rounds and, behind it, the lowest and the highest. The last column is the part of what the machine
can do at most, measured in the same rounds: of its floating-point operations (Gflop; Winograd's way needs fewer than are
counted here), or of the speed at which it copies memory (GB; arrays that stay in a cache go faster than that).
"""


CAPTION = """\
Each case: how many times as fast, which other is the fastest, and on the right the part of the machine's limit. The dashed line
is the geometric mean of all cases.
"""


def markdown(found: Results) -> str:
    """The page with everything."""
    parts = [INTRODUCTION, setting(found) + "\n", short_table(found) + "\n",
             "```text\n" + summary(found) + "\n```\n", CAPTION, "![A bar for each case](benchmark_cases.svg)\n"]
    for name, comparison in found["comparisons"].items():
        parts.append(section(name, comparison))
    for name, each in found["tables"].items():
        parts.append(f"## {spoken(name)}\n\n{each['title']}\n\n{table(each['columns'], each['rows'])}\n")
        parts += [note + "\n" for note in each.get("notes", [])]
    return "\n".join(parts)


def section(name: str, comparison: dict[str, Any]) -> str:
    """The table of one comparison."""
    contenders = list(dict.fromkeys(each for case in comparison["cases"].values() for each in case["seconds"]))
    rows = []
    for case, numbers in comparison["cases"].items():
        found, part = results.ratio(numbers), results.share(numbers)
        times = [f"{results.milliseconds(numbers, each):.3g}" if each in numbers["seconds"] else "" for each in contenders]
        times = [f"*{text}*" if each == found.fastest else text for each, text in zip(contenders, times, strict=True)]
        rows.append([case, *times, f"**{found.median:.2f}**", f"{found.lowest:.2f} to {found.highest:.2f}",
                     "" if part is None else f"{100 * part:.0f} % of {numbers['unit']}/s"])
    target = f"{comparison['title'][0].upper()}{comparison['title'][1:]}. Wanted: {comparison['target']:.2f}."
    columns = ["", *contenders, "ratio", "of the rounds", "of the limit"]
    return "\n\n".join([f"## {spoken(name)}", target, table(columns, rows), *results.failures(comparison)]) + "\n"


WIDTH, LEFT, ACROSS = 4.9, 2.0, 2.15                   # inches: of a picture, of its names, of its axis
LINE, GAP, HEAD = 0.125, 0.055, 0.32                    # inches: a line of a name, between two cases, the head of a benchmark
LONGEST = 34                                            # letters of a line


def picture(found: Results) -> Any:
    """A bar for each case, from the line of equal speed to its ratio, and beside it the part of the machine's limit."""
    families = results.counted(found)
    lines = {case: wrapped(case) for each in families.values() for case in each["cases"]}
    heights = {case: len(lines[case]) * LINE + GAP for case in lines}
    rows = sum(heights[case] for each in families.values() for case in each["cases"])
    figure, axes = canvas(found, rows + len(families) * HEAD)
    y = 0.0
    for name, comparison in families.items():
        heading(axes, y + HEAD * 0.6, name, comparison)
        y += HEAD
        for case, numbers in comparison["cases"].items():
            bar(axes, y + heights[case] / 2, "\n".join(lines[case]), numbers)
            y += heights[case]
    scale(axes, found, room=2.6)
    share(axes, 0.02, "of the limit")
    return figure


def overview(found: Results) -> Any:
    """A row for each benchmark, with a dot for each case and a line at their mean."""
    families = results.counted(found)
    figure, axes = canvas(found, HEAD * (len(families) + 0.5))
    for y, (name, comparison) in enumerate(families.items(), 1):
        heading(axes, y * HEAD, name, comparison)
        each = list(results.all_ratios(comparison).values())
        colours = [BETTER if ratio >= 1 else WORSE for ratio in each]
        axes.scatter(each, [y * HEAD] * len(each), s=20, c=colours, alpha=0.65, linewidths=0, zorder=3)
        axes.vlines(results.mean(comparison), y * HEAD - 0.1, y * HEAD + 0.1, color=INK, linewidth=1.2, zorder=4)
    scale(axes, found)
    return figure


def wrapped(name: str) -> list[str]:
    """In lines, shapes kept whole."""
    return textwrap.wrap(re.sub(r", (?=\d)", ",\N{NO-BREAK SPACE}", name), LONGEST)


def canvas(found: Results, inches: float) -> tuple[Any, Any]:
    """A figure whose axes are so high, and count inches from their top."""
    from matplotlib.figure import Figure
    height = inches + 0.8
    figure = Figure(figsize=(WIDTH, height), facecolor=PAPER)
    axes = figure.add_axes((LEFT / WIDTH, 0.3 / height, ACROSS / WIDTH, inches / height), facecolor=PAPER)
    axes.set_ylim(inches, 0)
    title = f"How many times as fast as the fastest other: {len(ratios(found))} cases"
    figure.text(0.02, 1 - 0.18 / height, title, color=INK, fontsize=8.5, weight="bold", va="center")
    return figure, axes


def heading(axes: Any, y: float, name: str, comparison: dict[str, Any]) -> None:
    across = axes.get_yaxis_transform()
    look = {"transform": across, "color": INK, "fontsize": 7.5, "weight": "bold", "va": "center"}
    axes.text((0.08 - LEFT) / ACROSS, y, spoken(name), **look)
    axes.text(-0.03, y, f"{results.mean(comparison):.2f}", ha="right", **look)


def bar(axes: Any, y: float, label: str, numbers: dict[str, Any]) -> None:
    across, found, part = axes.get_yaxis_transform(), results.ratio(numbers), results.share(numbers)
    axes.barh(y, found.median - 1, left=1, height=LINE * 0.9, color=BETTER if found.median >= 1 else WORSE, zorder=2)
    axes.text(-0.03, y, label, transform=across, color=INK, fontsize=6.5, va="center", ha="right", linespacing=1.1)
    axes.annotate(f"{found.median:.2f} {found.fastest.removeprefix('keras-')}", (max(found.median, 1), y), (3, 0), color=INK,
                  textcoords="offset points", fontsize=6.2, va="center", zorder=4, bbox={"color": PAPER, "pad": 0.4})
    if part is not None:
        share(axes, y, f"{100 * part:.0f} %")


def share(axes: Any, y: float, text: str) -> None:
    axes.text(1.3, y, text, transform=axes.get_yaxis_transform(), color=PALE, fontsize=6.5, va="center", ha="right")


def scale(axes: Any, found: Results, room: float = 1.2) -> None:
    """The logarithmic axis, with room for words behind the longest bar, and the lines of equal speed and of the mean."""
    every = ratios(found).values()
    axes.set_xscale("log")
    axes.set_xlim(min(0.5, min(every) / 1.1), max(every) * room)
    axes.axvline(1, color=INK, linewidth=0.9, zorder=3)
    axes.axvline(overall(found), color=PALE, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.text(-0.03, 0.02, "mean", transform=axes.get_yaxis_transform(), color=PALE, fontsize=6.5, va="center", ha="right")
    axes.annotate(f"mean {overall(found):.2f}", (overall(found), 0), (3, 0), textcoords="offset points", color=PALE,
                  fontsize=6.5, va="center")
    lowest, highest = axes.get_xlim()
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128) if lowest <= tick <= highest]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.tick_params(axis="x", colors=INK, labelsize=6.5, length=2)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(PALE)


def svg(figure: Any) -> str:
    """The picture as text that is the same for the same results."""
    import matplotlib
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "benchmarks", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", facecolor=PAPER, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
