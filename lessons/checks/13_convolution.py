"""Checks of the exercises of lesson 13."""
import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close, for_each_size, returned


def exercise_1(answer: Answer) -> None:
    """A window slides, on paper

    y, dw and dx for x = (2, 0, 1, -1), the window w = (1, 3), no bias, no padding, and dy = (1, -1, 2).
    """
    answer.on_paper("y", [2, 3, -2], [
        "Lay w over x: y_0 = w_0 x_0 + w_1 x_1, then one place further for each output.",
        "y_0 = 1 · 2 + 3 · 0."], {
        "the window is turned round, as a mathematician's convolution has it; here w_0 lies on x_i, w_1 on x_{i+1}": [6, 1, 2],
        "at the last one the window hangs over the end; without padding it has three places": [2, 3, -2, -1]})
    answer.on_paper("dw", [4, -3], [
        "w_0 stands in every output, beside x_i: dw_0 is the sum of all dy_i x_i. And dw_1?",
        "dw_1 is the sum of all dy_i x_{i+1}."], {
        "it should begin with dw_0": [-3, 4],
        "only the last output counts in it; a weight stands in every output, so its gradient is a sum": [2, -2],
        "only the first output counts in it; a weight stands in every output, so its gradient is a sum": [2, 0]})
    answer.on_paper("dx", [1, 2, -1, 6], [
        "Output i sends w_0 dy_i to x_i and w_1 dy_i to x_{i+1}. What arrives at one place adds up.",
        "Output 0 sends (1, 3) to the places 0 and 1, output 1 sends (-1, -3) to the places 1 and 2."], {
        "where two windows lie on a place, the later one has overwritten the earlier; they add up": [1, -1, 2, 6],
        "where two windows lie on a place, only the earlier one counts; they add up": [1, 3, -3, 6],
        "the window is turned round: output i has sent w_0 dy_i to x_i, w_1 dy_i to x_{i+1}": [3, -2, 5, 2]})


def exercise_2(answer: Answer) -> None:
    """The backward of Conv1D

    conv1d_backward(x, w, dy, s): returns dx, dw, db for one sequence x (T, C), w (K, C, F), dy (T', F) and stride s, without
    padding.
    """
    rng = np.random.default_rng(13)
    backward = answer.function("conv1d_backward")

    def compare(steps: int, s: int, C: int, F: int) -> None:
        x, w, dy = (rng.normal(size=size).round(2) for size in ((steps, C), (3, C, F), ((steps - 3) // s + 1, F)))
        result = backward(x, w, dy, s)
        returned(result, "conv1d_backward", "dx", "dw", "db")
        (dx, dw), where = _backward(x, w, dy, s), "" if s == 1 else f" with stride {s}"
        turned = "the taps are counted backwards: tap k of output i lies on i s + k"
        no_stride = "output i is taken to look at i and the places after it; with a stride it begins at i s"
        expect_close(result[0], dx, "dx" + where, {
            "where windows overlap, the last one has overwritten the others; they add up": _backward(x, w, dy, s, add=False)[0],
            turned: _backward(x, w[::-1], dy, s)[0],
            no_stride: _backward(x, w, dy, 1)[0]})
        expect_close(result[1], dw, "dw" + where, {
            "only the last place counts in it; a weight stands in every output": _backward(x, w, dy, s, add=False)[1],
            turned: dw[::-1],
            no_stride: _backward(x, w, dy, 1)[1],
            "channels and filters have changed places; dw has the shape of w, (K, C, F)": dw.swapaxes(1, 2)})
        expect_close(result[2], dy.sum(axis=0), "db" + where, {
            "it is a mean over the places; b stands in every output, so its gradient is the sum": dy.mean(axis=0),
            "only the last place counts in it; b stands in every output": dy[-1]})

    for_each_size(answer, compare, [(4, 1, 1, 1), (6, 1, 2, 4)])
    for_each_size(answer, compare, [(5, 2, 1, 1), (8, 2, 2, 4)])                # at the end of 8 a place is in no window
    for_each_size(answer, compare, [(7, 4, 1, 1), (9, 4, 2, 4)])


def exercise_3(answer: Answer) -> None:
    """The bug that symmetric windows hide

    fixed_input_gradient(dy, w): returns dx (H, W, C) for dy (H', W', F) and w (K, K, C, F); stride 1, no padding.
    """
    rng = np.random.default_rng(14)
    dy, w = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 3, 2, 5))

    def gather(w: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(dy, ((2, 2), (2, 2), (0, 0))), (3, 3), (0, 1))
        return np.einsum("ijfkl,klcf->ijc", windows, w)

    expect_close(answer.function("fixed_input_gradient")(dy, w), gather(w[::-1, ::-1]), "dx", {
        "the window still lies as it does in forward. What comes to m is the sum of dy_{m-k} w_k: where dy is read forwards, "
        "the taps count backwards, along both axes": gather(w),
        "the taps count backwards along the columns only; it takes both axes": gather(w[:, ::-1]),
        "the taps count backwards along the rows only; it takes both axes": gather(w[::-1]),
        "the window is transposed; it should be turned by half a turn": gather(w.swapaxes(0, 1)),
        "the window is turned by a quarter; it should be half a turn": gather(np.rot90(w)),
        "the window is turned by a quarter; it should be half a turn ": gather(np.rot90(w, -1))})


def exercise_4(answer: Answer) -> None:
    """Layers that see a thousand steps

    layers: how many Conv1D(1, 3, padding="causal", dilation_rate=d) with d = 1, 2, 4, 8, … let an output see 1000 steps.
    """
    layers = float(answer.array("layers", ()))
    if layers == 500:
        raise Wrong("that is right without dilation: each layer then adds two steps. Here layer n adds 2 · 2^(n-1)")
    if layers != int(layers) or layers < 1:
        raise Wrong(f"{layers:g} is no number of layers")
    if layers != 9:
        sees = f"{2 ** (int(layers) + 1) - 1}" if layers < 50 else "very many"
        raise Wrong(f"with {layers:g} layers an output sees {sees} steps" + ("; fewer will do" if layers > 9 else ""))


def _backward(x: np.ndarray, w: np.ndarray, dy: np.ndarray, s: int, add: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """dx and dw; without `add`, by assignment."""
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(len(dy)):
        for k in range(len(w)):
            dx[i * s + k] = add * dx[i * s + k] + w[k] @ dy[i]
            dw[k] = add * dw[k] + np.outer(x[i * s + k], dy[i])
    return dx, dw
