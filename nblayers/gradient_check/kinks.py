"""Where there is no derivative, the gradient must still be one of those on the two sides.

At a kink (relu at 0) any number between the slopes to the left and to the right is a subgradient. At a tie (two equal numbers
in a maximum) each of the tied elements may have any share, but together they pass on what goes out: moved together, they make
no kink.
"""
from itertools import combinations
from typing import Any

import numpy as np

from nblayers.gradient_check.report import Index, TensorReport


def judge(check: Any, tensor: Any, report: TensorReport) -> None:
    """Hold the gradient at kinks against the slopes on both sides.

    Not where several layers follow one another: there the slopes of one kink go through those of another.
    """
    if len(check.subject.layers) > 1 or not report.kinks:
        return
    outside = [index for index in report.kinks if not _is_between(check, tensor, index)]
    if outside:
        index = outside[0]
        low, high = sides(check, tensor, index)
        report.add("kink", f"at a kink the gradient is not between the slopes on both sides: at {list(index)} it is "
                           f"{float(tensor.gradient[index]):.6g}, the slopes are {low:.6g} and {high:.6g}")
        return
    for group in tied(check, tensor, report.kinks):
        if text := _sum_is_wrong(check, [(tensor, index) for index in group]):
            report.add("tie", f"equal numbers, one of which wins (a tie): moved together the elements {_listed(group)} {text}")
            return


def judge_pairs(check: Any) -> None:
    """The same for equal numbers at one place of two inputs, as in a maximum of the two."""
    reports = {report.name: report for report in check.report.tensors}
    inputs = [t for t in check.tensors() if not t.is_weight and t.name in reports and reports[t.name].kinks
              and reports[t.name].passed]
    if len(check.subject.layers) > 1:
        return
    for a, b in combinations(inputs, 2):
        if a.values.shape != b.values.shape:
            continue
        for index in reports[a.name].kinks[:32]:
            if index not in reports[b.name].kinks or a.values[index] != b.values[index]:
                continue
            if text := _sum_is_wrong(check, [(a, index), (b, index)]):
                reports[a.name].add("tie", f"equal numbers in {a.name} and {b.name}, one of which wins (a tie): moved "
                                           f"together at {list(index)} they {text}")
                return


def sides(check: Any, tensor: Any, index: Index, times: float = 1e-2) -> tuple[float, float]:
    """The lowest and the highest number that the slopes on both sides of each output element allow."""
    step = check.step_at(tensor, index) * times
    more, less = check.moved(step, (tensor, index)), check.moved(-step, (tensor, index))
    low = high = 0.0
    for k, y in enumerate(check.y):
        dy = check.dy[k] if k < check.outputs else 1.0
        right, left = dy * (more[k] - y) / step, dy * (y - less[k]) / step
        low, high = low + float(np.minimum(right, left).sum()), high + float(np.maximum(right, left).sum())
    return low, high


def _is_between(check: Any, tensor: Any, index: Index) -> bool:
    low, high = sides(check, tensor, index)
    value = float(tensor.gradient[index])
    slack = 1e-5 * max(abs(low), abs(high), abs(value)) + 1e-6
    finer = max(map(abs, sides(check, tensor, index, 1e-3)))
    grows = finer > 3 * max(abs(low), abs(high)) + 1e-6                     # a jump, or no derivative at all
    jumps = grows or not np.isfinite(low + high) or high - low > 1e4 * (1 + abs(value))
    is_known = value == 0 and check.subject.layer.zero_at_kinks
    return jumps or is_known or low - slack <= value <= high + slack


def tied(check: Any, tensor: Any, kinks: list[Index]) -> list[list[Index]]:
    """Groups of equal elements that have an output element in common."""
    by_value: dict[float, list[Index]] = {}
    for index in kinks[:64]:
        by_value.setdefault(float(tensor.values[index]), []).append(index)
    groups = []
    for members in by_value.values():
        if len(members) < 2:
            continue
        touched = {index: _touched(check, tensor, index) for index in members}
        while members:
            group, grown = [members.pop(0)], True
            while grown:
                joined = [i for i in members if any(bool((touched[i] & touched[j]).any()) for j in group)]
                grown = bool(joined)
                group += joined
                members = [i for i in members if i not in joined]
            if len(group) > 1:
                groups.append(group)
    return groups


def _touched(check: Any, tensor: Any, index: Index) -> np.ndarray:
    step = check.step_at(tensor, index)
    moved = [check.moved(sign * step, (tensor, index)) for sign in (1, -1)]
    return np.concatenate([np.ravel((a != y) | (b != y)) for y, a, b in zip(check.y, *moved, strict=True)])


def _sum_is_wrong(check: Any, group: list[tuple[Any, Index]]) -> str:
    """What the group's gradients add up to, where that is not the slope with all of it moved at once; empty if it is."""
    slopes = check.slopes_together(group, max(check.step_at(tensor, index) for tensor, index in group))
    smooth = slopes.gap <= 1e-3 * (abs(slopes.right) + abs(slopes.left)) + 10 * slopes.noise
    slope, together = slopes.central, sum(float(tensor.gradient[index]) for tensor, index in group)
    if not smooth or abs(together - slope) <= 1e-5 * max(abs(together), abs(slope)) + 1e-8 + slopes.noise:
        return ""
    return f"have the slope {slope:.6g}, but their gradients add up to {together:.6g}"


def _listed(group: list[Index]) -> str:
    return ", ".join(str(list(index)) for index in group[:4]) + (", …" if len(group) > 4 else "")
