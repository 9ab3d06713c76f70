"""Checks of the exercises of lesson 14."""
import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close


def exercise_1(answer: Answer) -> None:
    """Windows that overlap, on paper

    dx_max and dx_mean (5 numbers each) for x = (3, 1, 3, 2, 5), windows of three, stride 1, and dy = (1, 2, -1).
    """
    answer.on_paper("dx_max", [1, 0, 2, 0, -1], [
        "Find the largest of each window, at a tie the first. It gets the dy of its window; from several windows it adds up.",
        "The windows are (3, 1, 3), (1, 3, 2) and (3, 2, 5)."], {
        "in the first window x_1 and x_3 tie; all of dy_1 goes to the first": [0, 0, 3, 0, -1],
        "in the first window x_1 and x_3 tie, and you have shared; here all of it goes to the first": [0.5, 0, 2.5, 0, -1],
        "in the first window x_1 and x_3 tie, and both have got all of dy_1: that is more than came in": [1, 0, 3, 0, -1],
        "those are the maxima's places counted; each gets the dy of its window": [1, 0, 1, 0, 1]})
    answer.on_paper("dx_mean", np.array([1, 3, 2, 1, -1]) / 3, [
        "Each window sends a third of its dy to each of its numbers. What arrives at one place adds up.",
        "Place 2 lies in all three windows."], {
        "each window sends a third of its dy to each of its numbers; yours sends all of it": [1, 3, 2, 1, -1],
        "where windows overlap, the last one has overwritten the others; they add up": np.array([1, 2, -1, -1, -1]) / 3,
        "where windows overlap, only the first one counts; they add up": np.array([1, 1, 1, 2, -1]) / 3})


def exercise_2(answer: Answer) -> None:
    """The backward of MaxPooling2D

    max_pool_backward(x, dy, p, s): returns dx (H, W, C) for x (H, W, C), dy (H', W', C), windows p × p and stride s, without
    padding; a tie goes to the first in reading order.
    """
    rng = np.random.default_rng(14)
    backward = answer.function("max_pool_backward")
    for H, W, p, s, what in ((4, 6, 2, 2, ""), (5, 7, 3, 2, " where windows overlap"), (7, 5, 2, 3, " with gaps between them")):
        x, dy = rng.permutation(H * W * 3).reshape(H, W, 3) * 1.0, rng.normal(size=((H - p) // s + 1, (W - p) // s + 1, 3))
        expect_close(backward(x, dy, p, s), _backward(x, dy, p, s), "dx" + what, {
            "the winner of several windows has only the last one's gradient; they add up": _backward(x, dy, p, s, add=False),
            "the channels do not win together: each has its own winner": _backward(x, dy, p, s, together=True),
            "window (i, j) is taken to begin at i, j; with a stride it begins at i s, j s": _backward(x, dy, p, 1)})
    x, dy = rng.integers(0, 2, (4, 6, 3)) * 1.0, rng.normal(size=(2, 3, 3))
    expect_close(backward(x, dy, 2, 2), _backward(x, dy, 2, 2), "dx where numbers tie", {
        "the last of those that tie has got it; it goes to the first in reading order": _backward(x, dy, 2, 2, last=True),
        "each of those that tie has got all of dy": _to_all(x, dy),
        "those that tie have shared; all of it goes to the first": _to_all(x, dy, share=True)})


def exercise_3(answer: Answer) -> None:
    """The bug that random numbers hide

    fixed_max_backward(x, y, dy, p): returns dx (T,) for x (T,), its maxima y (T / p,) and dy (T / p,); windows side by side.
    """
    fixed = answer.function("fixed_max_backward")
    for x, p in (([1, 4, 2, 0, 3, 5], 2), ([2, 2, 0, 1, 1, 1, 0, 0, 0], 3)):
        x = np.array(x, float)
        y, dy = x.reshape(-1, p).max(axis=1), np.arange(1.0, len(x) // p + 1)
        first, tied = np.zeros_like(x), (x.reshape(-1, p) == y[:, None]) * 1.0
        first[np.arange(len(y)) * p + x.reshape(-1, p).argmax(axis=1)] = dy
        last = np.zeros_like(first.reshape(-1, p))
        last[np.arange(len(y)), p - 1 - x.reshape(-1, p)[:, ::-1].argmax(axis=1)] = dy
        expect_close(fixed(x.copy(), y.copy(), dy.copy(), p), first, f"dx for x = {x.astype(int).tolist()}", {} if p == 2 else {
            "at a tie each of the winners still gets all of dy: more goes out than came in": (tied * dy[:, None]).ravel(),
            "at a tie the winners share; that is a subgradient too, but here the first gets all": (
                tied * (dy / tied.sum(axis=1))[:, None]).ravel(),
            "at a tie it goes to the last; it should go to the first": last.ravel()})


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


def _backward(x: np.ndarray, dy: np.ndarray, p: int, s: int, add: bool = True, together: bool = False,
              last: bool = False) -> np.ndarray:
    """dx, or what it becomes by a mistake."""
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        window = x[i * s:i * s + p, j * s:j * s + p]
        values = window.sum(axis=2) if together else window[:, :, c]
        place = values.size - 1 - values.ravel()[::-1].argmax() if last else values.argmax()
        m = i * s + place // values.shape[1], j * s + place % values.shape[1], c
        dx[m] = add * dx[m] + dy[i, j, c]
    return dx


def _to_all(x: np.ndarray, dy: np.ndarray, share: bool = False) -> np.ndarray:
    """dx of windows of 2 × 2 where all that tie get dy, or a share of it."""
    spread = np.kron(dy.transpose(2, 0, 1), np.ones((2, 2))).transpose(1, 2, 0)
    blocks = x.reshape(2, 2, 3, 2, 3)
    tied = blocks == blocks.max(axis=(1, 3), keepdims=True)
    part = tied / tied.sum(axis=(1, 3), keepdims=True) if share else tied
    return part.reshape(x.shape) * spread
