"""Checks of the exercises of lesson 24."""
from collections.abc import Callable
from typing import Any

import numpy as np

from nblayers.learn.exercises import Answer, Wrong, as_array, expect_close

FILE_SECONDS, SECONDS = 300, 120               # kernels are compiled


def exercise_1(answer: Answer) -> None:
    """A tile on paper

    registers, loads and intensity of a tile of 6 points times 4 vectors of 16 numbers, and most: how many points times one
    vector 16 registers allow.
    """
    answer.on_paper("registers", 29, [
        "Count the sums, the vectors of weights, and what holds a point's number.",
        "There are 6 · 4 sums."], {
        "those of the sums alone; the vectors of weights and the point's number take some too": 24,
        "the vectors of weights are left out": 25,
        "the register of the point's number is left out": 28,
        "one for each point's number: they come one after the other and take one register in all": 34})
    answer.on_paper("loads", 10 / 24, [
        "How many loads and how many multiply-adds has one turn of the inner loop?",
        "It loads 4 vectors of weights and 6 numbers of points."], {
        "that is how many loads there are in all; divide by the multiply-adds": 10,
        "that is multiply-adds for each load; it is asked the other way round": 2.4,
        "the numbers of the points are loaded too": 4 / 24,
        "the weights are loaded too": 6 / 24,
        "a multiply-add of vectors is one, not one for each of its numbers": 10 / 384}, tolerance=2e-3)
    answer.on_paper("intensity", 768 / 280, [
        "Operations by bytes: a multiply-add is two operations, a number has four bytes, 4 vectors hold 64 numbers.",
        "It reads 6 + 64 numbers for 6 · 64 multiply-adds."], {
        "a multiply-add is two operations": 384 / 280,
        "that is for each number; a number has four bytes": 768 / 70,
        "of the points single numbers are read, not vectors": 768 / 640,
        "that is for each byte of the weights; the points are read too": 768 / 256}, tolerance=2e-3)
    answer.on_paper("most", 14, [
        "Which registers are needed besides those of the sums?",
        "One for the weights, one for the point's number."], {
        "with two vectors; it is asked for one": 6,
        "there is no register left for the weights and the point's number": 16,
        "both the vector of weights and the point's number take a register": 15})


def exercise_2(answer: Answer) -> None:
    """Four outputs at a time

    tiled(x, w): returns y (W - K + 1, F) for x (W, C) and w (K, C, F); each number of w that is read serves four outputs.
    """
    rng = np.random.default_rng(24)
    for outputs in (8, 10, 3):
        x, w = rng.normal(size=(outputs + 2, 2)), rng.normal(size=(3, 2, 5))
        got = as_array(answer.function("tiled")(x, w), "y", (outputs, 5))
        right = sum(x[k:k + outputs] @ w[k] for k in range(3))
        wrong = np.flatnonzero(~np.isclose(got, right).all(axis=1))
        if outputs % 4 and wrong.size and wrong[0] >= outputs // 4 * 4:
            raise Wrong(f"y: of {outputs} outputs the last {wrong.size} are wrong: those that no full tile holds")
        expect_close(got, right, f"y, for {outputs} outputs")
    x, w = rng.normal(size=(10, 2)), rng.normal(size=(3, 2, 5))
    read = _numbers_read(getattr(answer.value("tiled"), "py_func", answer.value("tiled")), x, w)
    if read > 2 * w.size:
        raise Wrong(f"{read} numbers of w are read for {8 * w.size} multiply-adds; as each serves four outputs, "
                    f"{2 * w.size} should do: read it once, into a variable")


def exercise_3(answer: Answer) -> None:
    """The bug that needs three threads

    fixed_threads(x, w, threads, rows): returns all of y (W - K + 1, F) for x (W, C) and w (K, C, F).
    """
    rng = np.random.default_rng(25)
    for outputs, threads, rows in ((12, 2, 4), (10, 3, 4), (11, 2, 14), (2, 3, 4)):
        x, w = rng.normal(size=(outputs + 2, 2)), rng.normal(size=(3, 2, 5))
        got = as_array(answer.function("fixed_threads")(x, w, threads, rows), "y", (outputs, 5))
        missing = np.flatnonzero(np.isnan(got).any(axis=1))
        where = f"{outputs} outputs, {threads} threads and tiles of {rows}"
        if missing.size and missing[0] == outputs // threads * threads:
            raise Wrong(f"with {where}, nobody writes output {', '.join(map(str, missing))}: {outputs} // {threads} for each "
                        "leaves some over")
        if missing.size:
            raise Wrong(f"with {where}, nobody writes output {', '.join(map(str, missing))}: a share's last tile may be lower")
        expect_close(got, sum(x[k:k + outputs] @ w[k] for k in range(3)), f"y, with {where}")


def exercise_4(answer: Answer) -> None:
    """From which height on a tile is fast

    rates: Gflop/s of a tile of each height on one core, {height: rate}; enough: the lowest one with four fifths of the best.
    """
    from kernels.cpu._tile import HEIGHTS
    rates = answer.value("rates")
    if not isinstance(rates, dict) or sorted(rates) != sorted(HEIGHTS):
        raise Wrong(f"rates should be a dictionary with a rate for each of the heights {', '.join(map(str, HEIGHTS))}")
    values = as_array([rates[height] for height in HEIGHTS], "the rates", (len(HEIGHTS),))
    if not (values > 0).all():
        raise Wrong("a rate is not positive")
    if values.max() > 1e6:
        raise Wrong(f"{values.max():.3g} Gflop/s is more than any core can: divide by 1e9")
    if values.max() < 0.5:
        raise Wrong(f"the best rate is {values.max():.3g} Gflop/s; the machine can do far more: operations by seconds, by 1e9")
    if rates[max(HEIGHTS)] < rates[1]:
        raise Wrong("a single row comes out faster than the highest tile: was the picture's width, and what is counted, "
                    "made for each height anew?")
    right = min(height for height in HEIGHTS if rates[height] >= 0.8 * values.max())
    if answer.array("enough", ()) != right:
        raise Wrong(f"enough: by your rates it is another height; four fifths of the best are {0.8 * values.max():.3g} Gflop/s")


def _numbers_read(function: Callable[..., Any], x: np.ndarray, w: np.ndarray) -> int:
    """How many numbers of w the function takes out of it."""
    counted = w.view(_Counted)
    counted.taken = [0]
    Answer({"tiled": function}).function("tiled")(x, counted)
    return counted.taken[0]


class _Counted(np.ndarray):
    """An array that counts what is taken out of it."""

    taken: list[int]

    def __array_finalize__(self, source: Any) -> None:
        self.taken = getattr(source, "taken", [0])

    def __getitem__(self, index: Any) -> Any:
        found = self.view(np.ndarray)[index]
        self.taken[0] += np.size(found)
        return found
