"""Checks of lesson 14: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from nblayers.learn.exercises import Answer, Wrong, as_array, expect_close, for_each_size

Known = dict[str, np.ndarray]


# Forward

def turn_y_max(lesson: SimpleNamespace) -> Known:
    windows = lesson.windows
    return {"that is the largest of each place, over the windows; the places in a window are axis 2": windows.max(axis=1),
            "that is the largest of each sample; each window gives one: axis 2": windows.max(axis=(1, 2)),
            "that is the mean; the maximum is asked for": windows.mean(axis=2),
            "that is the smallest; the maximum is asked for": windows.min(axis=2),
            "that is the place of the largest (argmax); the number itself is asked for": windows.argmax(axis=2)}


def turn_winner(lesson: SimpleNamespace) -> Known:
    windows = lesson.windows
    return {"that is the largest number itself; its place is asked for, argmax": lesson.y_max,
            "that is the place of the smallest": windows.argmin(axis=2),
            "places are counted from 0, as indices in NumPy": lesson.winner + 1,
            "that is the step in the row; the place in the window is asked for, from 0 again in each window":
                lesson.winner + np.arange(3) * lesson.p,
            "that goes over the windows; the places in a window are axis 2": windows.argmax(axis=1)}


def turn_y_mean(lesson: SimpleNamespace) -> Known:
    windows = lesson.windows
    return {"that is the sum; a mean is divided by p": windows.sum(axis=2),
            "that is the mean of each sample; each window gives one: axis 2": windows.mean(axis=(1, 2)),
            "that is the mean of each place, over the windows; the places in a window are axis 2": windows.mean(axis=1),
            "that is the maximum": windows.max(axis=2)}


# Backward, windows side by side

def turn_dx_mean(lesson: SimpleNamespace) -> Known:
    dy, p = lesson.dy, lesson.p
    return {"the factor 1 / p is missing: each number is only a part of its mean": np.repeat(dy, p, axis=1),
            "it has the right numbers in the wrong order: all numbers of a window stand side by side (np.repeat, not np.tile)":
                np.tile(dy / p, (1, p)),
            "that is divided by the number of windows; a window has p numbers": np.repeat(dy / 3, p, axis=1),
            "that is divided by all numbers of the row; a window has p numbers": np.repeat(dy / lesson.T, p, axis=1),
            "that tells only the first number of each window; all p numbers stand in the mean":
                np.stack([dy / p, 0 * dy], axis=2).reshape(lesson.x.shape),
            "there is one number for each window still; all p numbers of a window get it (np.repeat)": dy / p,
            "that is multiplied by x; in a mean the factor of x is 1 / p": np.repeat(dy / p, p, axis=1) * lesson.x}


def turn_won(lesson: SimpleNamespace) -> Known:
    won = lesson.won
    return {"that is turned round: it is True for those that lose": ~won,
            "that is True for all; only one place of each window wins": np.ones_like(won),
            "that has the winner's number at its place; True, or 1, is asked for": won * lesson.windows,
            "that has dy at the winner's place already; here True, or 1, is asked for": won * lesson.dy[:, :, None]}


def turn_dx_max(lesson: SimpleNamespace) -> Known:
    won, dy, shape = lesson.won, lesson.dy[:, :, None], lesson.x.shape
    return {"those are the factors; each is still to be multiplied by the dy of its window": won.reshape(shape),
            "that tells all numbers of the window; only the winner moves the maximum": np.repeat(lesson.dy, lesson.p, axis=1),
            "that tells those that lose": (~won * dy).reshape(shape),
            "that is divided by p, as for a mean; the winner gets all of dy": (won * dy / lesson.p).reshape(shape),
            "that is multiplied by x; the factor is 1 for the winner": (won * dy * lesson.windows).reshape(shape),
            "the numbers are right, but they still lie window by window; reshape them to (N, T)": won * dy}


# Backward, windows that overlap

def turn_step(lesson: SimpleNamespace) -> Known:
    winner, s, p = lesson.winner, lesson.s, lesson.p
    begins = np.arange(3)
    return {"that is the place in the window still; window i begins at step i s": winner,
            "window i begins at step i s, not at step i": begins + winner,
            "window i begins at step i s, not i p: they overlap": begins * p + winner,
            "that is where the windows begin; the place of the winner is to be added": begins * s + 0 * winner,
            "the begin of the window is multiplied by s, not the place of the winner": begins + winner * s,
            "that is s times the place too; only the number of the window is multiplied by s": (begins + winner) * s}


def turn_dx_long(lesson: SimpleNamespace) -> Known:
    dy, step, T = lesson.dy, lesson.step, lesson.T
    rows = np.arange(len(dy))[:, None]
    counted, shared, transposed = (np.zeros((len(dy), T)) for _ in range(3))
    np.add.at(counted, (rows, step), 1)
    np.add.at(shared, (rows, step), dy / lesson.p)
    np.add.at(transposed, (rows, lesson.winner), dy)
    first = counted * 0
    for i in reversed(range(3)):
        first[rows[:, 0], step[:, i]] = dy[:, i]
    return {OVERWRITTEN: _place(dy, step, T, add=False),
            "a step that wins twice has the gradient of the first window only; they add up: `+=`": first,
            "that counts how often each step has won; each time it gets the dy of the window": counted,
            "that is divided by p, as for a mean; the winner gets all of dy": shared,
            "the winner lies on step[n, i], not on winner[n, i], which is its place in the window": transposed}


OVERWRITTEN = ("a step that wins twice has the gradient of the last window only; they add up: `+=` in a loop "
               "(dx[rows, steps] += … of NumPy adds once, too)")


def turn_dx_long_mean(lesson: SimpleNamespace) -> Known:
    dy, p, s = lesson.dy, lesson.p, lesson.s
    return {"where windows overlap, the last one has overwritten the other; they add up: `+=`":
                _spread(dy / p, p, s, add=False),
            "the factor 1 / p is missing": _spread(dy, p, s),
            "that is divided by s; a window has p numbers": _spread(dy / s, p, s),
            "window i begins at step i s, not at step i": _spread(dy / p, p, 1),
            "window i has p steps, not s: i s to i s + p - 1": _spread(dy / p, s, s)}


def turn_max_backward(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    rng = np.random.default_rng(14)
    for N, count, s, p in ((1, 2, 2, 2), (1, 2, 1, 3), (3, 4, 2, 5), (2, 3, 3, 2)):
        T = (count - 1) * s + p + 1                     # the last step is in no window
        dy, winner = rng.normal(size=(N, count)), rng.integers(p, size=(N, count))
        copies = dy.copy(), winner.copy()
        result = given(*copies, s, T)
        if not (np.array_equal(dy, copies[0]) and np.array_equal(winner, copies[1])):
            raise Wrong("it changes what it is given; whoever called it still needs it. Make a new array")
        if result is None:
            raise Wrong("it returns nothing; dx is to be returned")
        places = np.arange(count) * s + winner
        expect_close(as_array(result, "dx", (N, T)), _place(dy, places, T), "dx", {
            OVERWRITTEN: _place(dy, places, T, add=False),
            "window i begins at step i s, not at step i": _place(dy, np.arange(count) + winner, T),
            "that is the place in the window; window i begins at step i s": _place(dy, winner, T),
            "only the first sample is told; there is a loop over n missing": np.eye(N)[:, :1] * _place(dy, places, T)},
            axes=("sample", "step"))


# A tie

def turn_promised(lesson: SimpleNamespace) -> Known:
    moves, g, x = lesson.moves, lesson.g, lesson.tie
    return {"max(x) is missing: the promise begins at the maximum before the move": moves @ g,
            "that is what becomes of the maximum; what g promises is asked for": lesson.reached,
            "the move goes the other way: it is max(x) plus g times the move": np.max(x) - moves @ g,
            "that is max(x) plus the sum of the move; each number is to be multiplied by its g": np.max(x) + moves.sum(axis=1)}


def turn_tied(lesson: SimpleNamespace) -> Known:
    reach = np.sum(lesson.fours == lesson.most, axis=1)
    return {"that is turned round: it is True where one point alone is the largest": ~lesson.tied,
            "one point always reaches the maximum; a tie has more than one": reach >= 1,
            "that counts those that reach the maximum; a tie is where it is more than 1": reach,
            "a tie of two is meant too; more than one, not more than two": reach > 2,
            "only windows are meant in which all four are equal; two are enough": reach == 4,
            "that is where all is black; other windows tie too": lesson.most[:, 0] == 0}


# Edges, pictures, global

def turn_y_edge(lesson: SimpleNamespace) -> Known:
    x, cut = lesson.x_edge, lesson.cut_same
    return {"a zero wins at the edges: all real numbers are negative; what stands outside must never win":
                cut(x, 0).max(axis=2),
            "those are the means": np.nanmean(cut(x, np.nan), axis=2),
            "+∞ wins always; what stands outside must never win": cut(x, np.inf).max(axis=2),
            "nan goes through a maximum; take a number that is smaller than all others": cut(x, np.nan).max(axis=2)}


def turn_dx_edge(lesson: SimpleNamespace) -> Known:
    dy, count = lesson.dy, lesson.count
    begins = [slice(0, 2), slice(0, 3), slice(1, 3)]
    behind = [slice(-1, 2), slice(0, 3), slice(1, 4)]
    return {"each window is divided by 3; the outer ones have two real steps": _edges(dy / 3, begins),
            "it is not divided by the number of real steps, count[i]": _edges(dy, begins),
            "window 0 is lost: x[:, -1:2] begins at the last step, and is empty; begin at max(i - 1, 0)":
                _edges(dy / count, behind),
            "where windows overlap, the last one has overwritten the others; they add up: `+=`":
                _edges(dy / count, begins, add=False),
            "window i begins at step i - 1, not at step i": _edges(dy / count, [slice(i, i + 3) for i in range(3)]),
            "the step's own count is taken, but it is that of the window: dy_i / count_i": _edges(dy, begins) / count}


def turn_row(lesson: SimpleNamespace) -> dict[str, Known]:
    winner, p = lesson.winner, lesson.p
    return {"row": {"that is the column: in reading order the rest by p is the column": winner % p,
                    "that is winner / p with its fraction; whole rows are counted: //": winner / p,
                    "the window has p columns; divide by p, not by its p · p points": winner // (p * p)},
            "column": {"that is the row: in reading order the whole part by p is the row": winner // p,
                       "that is the place still; the rows above it are to be taken off: % p": winner}}


def turn_dx_2d(lesson: SimpleNamespace) -> Known:
    dy, p, row, column, shape = lesson.dy_2d, lesson.p, lesson.row, lesson.column, lesson.pictures.shape
    rows, columns = np.arange(2)[:, None] * p, np.arange(2) * p

    def at(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        dx = np.zeros(shape)
        np.add.at(dx, (np.arange(shape[0])[:, None, None], y, x), dy)
        return dx

    whole = np.repeat(np.repeat(dy, p, axis=1), p, axis=2)
    return {"window (i, j) begins at row i p and column j p, not at i and j": at(rows // p + row, columns // p + column),
            "that is the place in the window; window (i, j) begins at row i p and column j p": at(row, column),
            "row and column in the window have changed places": at(rows + column, columns + row),
            "i and j have changed places: i counts the windows downwards": at(columns + row, rows + column),
            "each window tells its first point; it should tell its winner": at(rows + 0 * row, columns + 0 * column),
            "each window tells all of its points; it should tell its winner": whole,
            "that is the gradient of a mean; the winner gets all, the others nothing": whole / p ** 2}


def turn_dx_global(lesson: SimpleNamespace) -> Known:
    dy, ones = lesson.dy_global[:, None, None], np.ones(lesson.pictures.shape)
    return {"it is not divided by the number of points, H · W": ones * dy,
            "that is divided by the height alone; a picture has H · W points": ones * dy / 4,
            "that is divided by the points of both pictures; each has a mean of its own": ones * dy / 32,
            "that tells the largest point only, as for a maximum":
                dy * (lesson.pictures == lesson.pictures.max(axis=(1, 2), keepdims=True)),
            "that is the mean over the samples too; each picture gets its own dy": ones * dy.mean() / 16}


def turn_part(lesson: SimpleNamespace) -> Known:
    on_chirp, heard = lesson.on_chirp, lesson.heard
    return {"that is the sum on the chirp; it is to be divided by the sum of all that was heard": on_chirp.sum(axis=1),
            "that is divided by what all signals together have heard; each has a sum of its own: axis 1":
                on_chirp.sum(axis=1) / heard.sum(),
            "those are means, not sums: the chirp has 16 steps, the signal 100": on_chirp.mean(axis=1) / heard.mean(axis=1),
            "that is one number for all signals together; each has a part of its own: axis 1":
                np.array(on_chirp.sum() / heard.sum()),
            "that is the part that is NOT on the chirp": 1 - on_chirp.sum(axis=1) / heard.sum(axis=1)}


def _place(dy: np.ndarray, steps: np.ndarray, T: int, add: bool = True) -> np.ndarray:
    """dx (N, T) of winners at `steps` (N, windows)."""
    dx = np.zeros((len(dy), T))
    for n, i in np.ndindex(*dy.shape):
        dx[n, steps[n, i]] = add * dx[n, steps[n, i]] + dy[n, i]
    return dx


def _spread(sent: np.ndarray, p: int, s: int, add: bool = True) -> np.ndarray:
    """dx (N, 7): window i sends to p steps from i s on."""
    dx = np.zeros((len(sent), 7))
    for i in range(sent.shape[1]):
        dx[:, i * s:i * s + p] = add * dx[:, i * s:i * s + p] + sent[:, i:i + 1]
    return dx


def _edges(sent: np.ndarray, steps: list[slice], add: bool = True) -> np.ndarray:
    """dx (N, 3): window i sends to its steps."""
    dx = np.zeros((len(sent), 3))
    for i, at in enumerate(steps):
        dx[:, at] = add * dx[:, at] + sent[:, i:i + 1]
    return dx


# Exercises

def exercise_1(answer: Answer) -> None:
    """Windows that overlap, on paper

    dx_max and dx_mean (5 numbers each) for x = (3, 1, 3, 2, 5), windows of three, stride 1, and dy = (1, 2, -1).
    """
    answer.on_paper("dx_max", [1, 0, 2, 0, -1], [
        "Find the largest of each window, at a tie the first. It gets the dy of its window; from several windows it adds up.",
        "The windows are (3, 1, 3), (1, 3, 2) and (3, 2, 5)."], {
        "in the first window two numbers tie; all of its dy goes to the first of them": [0, 0, 3, 0, -1],
        "in the first window two numbers tie, and you have shared; here all of it goes to the first": [0.5, 0, 2.5, 0, -1],
        "in the first window two numbers tie, and both have got all of its dy: that is more than came in": [1, 0, 3, 0, -1],
        "those are the maxima's places counted; each gets the dy of its window": [1, 0, 1, 0, 1]})
    answer.on_paper("dx_mean", np.array([1, 3, 2, 1, -1]) / 3, [
        "Each window sends a third of its dy to each of its numbers. What arrives at one place adds up.",
        "The number in the middle lies in all three windows."], {
        "each window sends a third of its dy to each of its numbers; yours sends all of it": [1, 3, 2, 1, -1],
        "where windows overlap, the last one has overwritten the others; they add up": np.array([1, 2, -1, -1, -1]) / 3,
        "where windows overlap, only the first one counts; they add up": np.array([1, 1, 1, 2, -1]) / 3})


def exercise_2(answer: Answer) -> None:
    """The whole backward of MaxPooling2D

    max_pool_backward(x, dy, p, s): returns dx (N, H, W, C) for x (N, H, W, C), dy (N, H', W', C), windows p × p and stride s,
    without padding; a tie goes to the first in reading order.
    """
    rng = np.random.default_rng(14)
    backward = answer.function("max_pool_backward")
    axes = ("sample", "row", "column", "channel")

    def compare(N: int, H: int, W: int, C: int, p: int, s: int, where: str) -> None:
        x = rng.permutation(N * H * W * C).reshape(N, H, W, C) * 1.0
        dy = rng.normal(size=(N, (H - p) // s + 1, (W - p) // s + 1, C)).round(2)
        expect_close(backward(x, dy, p, s), _backward(x, dy, p, s), "dx" + where, {
            "the winner of several windows has only the last one's gradient; they add up": _backward(x, dy, p, s, "overwrites"),
            "the channels do not win together: each has its own winner": _backward(x, dy, p, s, "channels together"),
            "the samples do not win together: each has its own winner": _backward(x, dy, p, s, "samples together"),
            "window (i, j) is taken to begin at i, j; with a stride it begins at i s, j s": _backward(x, dy, p, 1),
            "the winner is found, but its window begins at i s, j s, not at i, j": _backward(x, dy, p, s, "no stride"),
            "the first sample's winners are taken for all samples": _backward(x, dy, p, s, "first sample"),
            "row and column of the winner have changed places": _backward(x, dy, p, s, "turned"),
            "only the first sample is told": _backward(x, dy, p, s) * (np.arange(N) == 0)[:, None, None, None],
            "it is divided by the number of samples; a mean is the loss's affair": _backward(x, dy, p, s) / N}, axes=axes)

    for_each_size(answer, compare, [(1, 2, 2, 1, 2, 2, ""), (2, 4, 6, 3, 2, 2, "")])
    overlap, gaps = " where windows overlap", " with gaps between the windows"
    for_each_size(answer, compare, [(1, 3, 4, 1, 2, 1, overlap), (2, 5, 7, 3, 3, 2, overlap)])
    for_each_size(answer, compare, [(1, 5, 5, 1, 2, 3, gaps), (2, 8, 5, 3, 2, 3, gaps)])
    x, dy = rng.integers(0, 2, (2, 4, 6, 3)) * 1.0, rng.normal(size=(2, 2, 3, 3)).round(2)
    expect_close(backward(x, dy, 2, 2), _backward(x, dy, 2, 2), "dx where numbers tie", {
        "the last of those that tie has got it; it goes to the first in reading order": _backward(x, dy, 2, 2, "last"),
        "each of those that tie has got all of dy": _to_all(x, dy),
        "those that tie have shared; all of it goes to the first": _to_all(x, dy, share=True)}, axes=axes)


def exercise_3(answer: Answer) -> None:
    """The bug that random numbers hide

    The function max_backward at the end of the lesson has a bug. Write it right as
    fixed_max_backward(x, y, dy, p): returns dx (N, T) for x (N, T), its maxima y (N, T / p) and dy (N, T / p); windows side
    by side.
    """
    fixed = answer.function("fixed_max_backward")
    for rows, p in (([[1, 4, 2, 0, 3, 5], [6, 2, 0, 3, 1, 4]], 2), ([[2, 2, 0, 1, 1, 1], [0, 0, 0, 3, 1, 3]], 3)):
        x = np.array(rows, float)
        windows = x.reshape(len(x), -1, p)
        y = windows.max(axis=2)
        dy = np.arange(1.0, y.size + 1).reshape(y.shape)
        tied = (windows == y[:, :, None]) * 1.0
        first, last = np.arange(p) == windows.argmax(axis=2)[..., None], np.arange(p) == (
            p - 1 - windows[..., ::-1].argmax(axis=2))[..., None]

        def given(part: np.ndarray, dy: np.ndarray = dy, shape: tuple[int, ...] = x.shape) -> np.ndarray:
            return (part * dy[..., None]).reshape(shape)

        expect_close(fixed(x.copy(), y.copy(), dy.copy(), p), given(first), f"dx for x = {rows}", {} if p == 2 else {
            "at a tie each of the winners still gets all of dy: more goes out than came in": given(tied),
            "at a tie the winners share; that is a subgradient too, but here the first gets all":
                given(tied / tied.sum(axis=2, keepdims=True)),
            "at a tie it goes to the last; it should go to the first": given(last)}, axes=("sample", "step"))


def exercise_4(answer: Answer) -> None:
    """Numbers that no gradient comes to

    silent: the part of a long random sequence that wins none of its windows in MaxPooling1D(3, strides=1).
    """
    silent = float(answer.array("silent", ()))
    if abs(silent - 2 / 3) < 0.01:
        raise Wrong("that is right for windows side by side, where one of three wins; these overlap: each has three chances")
    if abs(silent - 8 / 27) < 0.01:
        raise Wrong("you have taken the three windows of a number as independent; they share numbers. Let a layer tell you")
    if not abs(silent - 0.5) < 0.015:
        raise Wrong(f"it is not {silent:g}. Send 1 into every output, and count the zeros in dx")


def _backward(x: np.ndarray, dy: np.ndarray, p: int, s: int, mistake: str = "") -> np.ndarray:
    """dx (N, H, W, C), or what it becomes by a mistake."""
    dx = np.zeros_like(x)
    for n, i, j, c in np.ndindex(*dy.shape):
        window = x[:, i * s:i * s + p, j * s:j * s + p]
        values = {"channels together": window[n].sum(axis=2), "samples together": window[..., c].sum(axis=0),
                  "first sample": window[0, ..., c]}.get(
            mistake, window[n, ..., c])
        place = values.size - 1 - values.ravel()[::-1].argmax() if mistake == "last" else values.argmax()
        row, column = divmod(int(place), p)
        if mistake == "turned":
            row, column = column, row
        begin = 1 if mistake == "no stride" else s
        at = n, i * begin + row, j * begin + column, c
        dx[at] = (mistake != "overwrites") * dx[at] + dy[n, i, j, c]
    return dx


def _to_all(x: np.ndarray, dy: np.ndarray, share: bool = False) -> np.ndarray:
    """dx of windows of 2 × 2 where all that tie get dy, or a share of it."""
    blocks = x.reshape(len(x), dy.shape[1], 2, dy.shape[2], 2, -1)
    tied = blocks == blocks.max(axis=(2, 4), keepdims=True)
    part = tied / tied.sum(axis=(2, 4), keepdims=True) if share else tied
    return (part * dy[:, :, None, :, None]).reshape(x.shape)
