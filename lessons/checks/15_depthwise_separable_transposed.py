"""Checks of the exercises of lesson 15."""
import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close, for_each_size, returned


def exercise_1(answer: Answer) -> None:
    """Weights counted, windows laid, on paper

    separable and ordinary: the numbers of weights of SeparableConv2D(128, 3) and Conv2D(128, 3) on 64 channels, without biases.
    y: the transposed convolution of x = (2, -1, 1) by w = (1, 3, -1) with stride 2.
    """
    answer.on_paper("separable", 8768, [
        "Two stages: a window of 3 × 3 for each channel, then a weight for each pair of a channel and a filter.",
        "The depthwise stage has 9 · 64 weights."], {
        "that is the depthwise stage alone; then each of 64 channels meets each of 128 filters": 576,
        "that is the pointwise stage alone; before it each of 64 channels has a window of its own": 8192,
        "a depthwise stage has a window for each channel, not for each filter": 9 * 128 + 8192,
        "that is the ordinary one": 73728,
        "there are no biases here": 8768 + 128})
    answer.on_paper("ordinary", 73728, [
        "Each filter has a window of 3 × 3 for each channel.",
        "One filter has 9 · 64 weights."], {
        "a filter has a window for each of the 64 channels": 9 * 128,
        "there are no biases here": 73728 + 128})
    answer.on_paper("y", [2, 6, -3, -3, 2, 3, -1], [
        "Input i lays x_i w down from place 2 i on. What lies on one place adds up.",
        "Input 0 lays (2, 6, -2) on the places 0 to 2, input 1 (-1, -3, 1) on the places 2 to 4."], {
        "that is with stride 1": np.convolve([2, -1, 1], [1, 3, -1]),
        "where two windows overlap, the later one has overwritten the earlier; they add up": [2, 6, -1, -3, 1, 3, -1],
        "the window is turned round: each input lays it down as it is": [-2, 6, 3, -3, -2, 3, 1]})


def exercise_2(answer: Answer) -> None:
    """The backward of Conv1DTranspose

    transposed_backward(x, w, dy, s): returns dx, dw, db for one sequence x (T, C), w (K, F, C), dy ((T - 1) s + K, F).
    """
    rng = np.random.default_rng(15)
    backward = answer.function("transposed_backward")

    def compare(s: int, C: int, F: int) -> None:
        x, w, dy = (rng.normal(size=size).round(2) for size in ((4, C), (3, F, C), (3 * s + 3, F)))
        result = backward(x, w, dy, s)
        returned(result, "transposed_backward", "dx", "dw", "db")
        windows, where = np.stack([dy[i * s:i * s + 3] for i in range(4)]), "" if s == 1 else f" with stride {s}"
        shifted = np.stack([dy[i:i + 3] for i in range(4)])
        no_stride = "input i is taken to have laid its window at i; with a stride that is i s"
        turned = "the taps are counted backwards: input i has laid tap k at i s + k"
        dw = np.einsum("ikf,ic->kfc", windows, x)
        expect_close(result[0], np.einsum("ikf,kfc->ic", windows, w), "dx" + where, {
            no_stride: np.einsum("ikf,kfc->ic", shifted, w),
            turned: np.einsum("ikf,kfc->ic", windows, w[::-1]),
            "only the last tap counts in it; an input has sent something by each tap": windows[:, 2] @ w[2]})
        expect_close(result[1], dw, "dw" + where, {
            no_stride: np.einsum("ikf,ic->kfc", shifted, x),
            turned: dw[::-1],
            "only the last input counts in it; each has used the same window": np.einsum("kf,c->kfc", windows[3], x[3]),
            "channels and filters have changed places; dw has the shape of w, (K, F, C)": dw.swapaxes(1, 2)})
        expect_close(result[2], dy.sum(axis=0), "db" + where, {
            "it is a mean; b stands in every output, so its gradient is the sum": dy.mean(axis=0)})

    for s in (1, 2, 4):
        for_each_size(answer, compare, [(s, 1, 1), (s, 2, 5)])


def exercise_3(answer: Answer) -> None:
    """The bug that a depth multiplier of 1 hides

    fixed_depthwise_backward(x, w, dy): returns dx, dw for x (T, C), w (K, C, M), dy (T', C M); stride 1, no padding.
    """
    rng = np.random.default_rng(16)
    x, w, dy = rng.normal(size=(5, 3)), rng.normal(size=(2, 3, 2)), rng.normal(size=(4, 6))
    result = answer.function("fixed_depthwise_backward")(x, w, dy)
    returned(result, "fixed_depthwise_backward", "dx", "dw")
    order = ("the outputs lie in the other order: those of one channel are side by side, number j of channel c is c M + j, "
             "but here it is taken for j C + c")
    other, right = dy.reshape(4, 2, 3).swapaxes(1, 2), dy.reshape(4, 3, 2)
    for name, got, want, mistaken in zip(("dx", "dw"), result, _depthwise(x, w, right), _depthwise(x, w, other), strict=True):
        expect_close(got, want, name, {order: mistaken})


def exercise_4(answer: Answer) -> None:
    """Windows that cover evenly

    even: the sizes from 1 to 9 of a window of ones that cover a row of ones evenly, laid down with stride 3 (but for the ends).
    """
    sizes = sorted(set(np.ravel(answer.array("even")).tolist()))
    for size in sizes:
        if size not in range(1, 10):
            raise Wrong(f"{size:g} is no size from 1 to 9")
        if size < 3:
            raise Wrong(f"windows of {size:g} leave gaps when each begins 3 places after the one before")
        if size % 3:
            covered = sorted({-(-int(size - place) // 3) for place in range(3)})
            raise Wrong(f"with windows of {size:g} some places lie under {covered[0]} and some under {covered[-1]}")
    for size in (3, 6, 9):
        if size not in sizes:
            raise Wrong(f"a size is missing: one with which every place lies under {size // 3}")


def _depthwise(x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dx and dw for dy (T', C, M)."""
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, k in np.ndindex(len(dy), len(w)):
        dx[i + k] += (dy[i] * w[k]).sum(axis=1)
        dw[k] += x[i + k][:, None] * dy[i]
    return dx, dw
