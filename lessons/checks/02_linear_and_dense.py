"""Checks of the turns and exercises of lesson 02."""
import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close

Mistakes = dict[str, np.ndarray]


def turn_y00(lesson) -> Mistakes:
    return {"the bias 0.5 is missing": np.array(-2.0),
            "that takes the first row of W; the weights of output 0 are its first column": np.array(5.5),
            "that takes all weights as positive": np.array(4.5)}


def turn_y_matrix(lesson) -> Mistakes:
    x, W, b = lesson.x, lesson.W, lesson.b
    return {"the bias is missing": x @ W,
            "b is added along the wrong axis: every *row* gets all of b": x @ W + b[:, None],
            "b is taken off, not added": x @ W - b}


def turn_dy(lesson) -> Mistakes:
    error = lesson.y - lesson.t
    return {"the sign is turned: the loss grows where y is above t": -error,
            "the 2 of the square cancels with the half in front": 2 * error,
            "that is the squared error, not its derivative": error ** 2,
            "it is divided by the batch size; this loss is a sum, not a mean": error / 2}


def turn_db(lesson) -> Mistakes:
    dy = lesson.dy
    return {"that is a mean over the batch; b stands in every row, so the rows are added up": dy.mean(axis=0),
            "that sums over the outputs; each output has a bias of its own, so sum over the samples": dy.sum(axis=1),
            "that sums over everything; each output has a bias of its own": np.array(dy.sum()),
            "that is dy; b is one row for all samples, so the rows are added up": dy}


def turn_outer(lesson) -> Mistakes:
    x, dy, right = lesson.x, lesson.dy, lesson.outer
    return {"that is made with y; what comes back is dy": x[:, :, None] * lesson.y[:, None],
            "both hold the sum over the batch; here each sample has a matrix of its own": np.stack([x.T @ dy] * len(x)),
            "the last sample alone is filled in": right * (np.arange(len(x)) == len(x) - 1)[:, None, None],
            "it is divided by the batch size; this loss is a sum over the samples": right / len(x)}


def turn_dW(lesson) -> Mistakes:
    x, dy = lesson.x, lesson.dy
    return {"that is its transpose, right for a Linear; here W is (in, out), and dW has its shape": dy.T @ x,
            "it is divided by the batch size; this loss is a sum over the samples": x.T @ dy / len(x),
            "that is made with y; what comes back is dy": x.T @ lesson.y,
            "the last sample only; the batch adds them up": np.outer(x[-1], dy[-1])}


def turn_dx(lesson) -> Mistakes:
    dy, W = lesson.dy, lesson.W
    return {"that is its transpose; dx has the shape of x": W @ dy.T,
            "that is made with y; what comes back is dy": lesson.y @ W.T,
            "that adds up the samples; each keeps its own dx": (dy @ W.T).sum(axis=0)}


def turn_dweight(lesson) -> Mistakes:
    x, dy = lesson.x, lesson.dy
    return {"that is the gradient of the Dense kernel (in, out); this weight is (out, in)": x.T @ dy,
            "it is divided by the batch size; this loss is a sum over the samples": dy.T @ x / len(x)}


def turn_dx_linear(lesson) -> Mistakes:
    return {"that is its transpose; dx has the shape of x": (lesson.dy @ lesson.weight).T,
            "that is y, not dy, sent back": lesson.y @ lesson.weight}


def turn_dW_heads(lesson) -> Mistakes:
    x, dy = lesson.x_steps, lesson.dy_heads
    right = lesson.dW_heads
    return {"the steps are not summed over: W has no letter t": np.einsum("nti,ntho->tiho", x, dy),
            "the samples are not summed over: W has no letter n": np.einsum("nti,ntho->niho", x, dy),
            "the letters behind the arrow are in the wrong order: W is (in, 2, out), iho": right.swapaxes(0, 1),
            "the two axes h and o are exchanged: W is (in, 2, out), iho": right.swapaxes(1, 2),
            "that is made with y; what comes back is dy": np.einsum("nti,ntho->iho", x, lesson.y_heads),
            "it is divided by the batch size; this loss is a sum over the samples": right / len(x)}


def turn_dx_steps(lesson) -> Mistakes:
    W, dy = lesson.W_heads, lesson.dy_heads
    return {"that is made with y; what comes back is dy": np.einsum("ntho,iho->nti", lesson.y_heads, W),
            "the two vectors h are not summed over: x has no letter h": np.einsum("ntho,iho->nthi", dy, W),
            "the axes h and o of W are exchanged: W is iho": np.einsum("ntho,ioh->nti", dy, W),
            "that adds up the samples; each keeps its own dx": np.einsum("ntho,iho->ti", dy, W),
            "that adds up the steps; each keeps its own dx": np.einsum("ntho,iho->ni", dy, W)}


def turn_dx_centred(lesson) -> Mistakes:
    dy = lesson.dy_centred
    return {"the way by the mean is missing: each input has a share in the mean of its row": dy,
            "the way by the mean is there, but not the input's own": -dy.mean(axis=1, keepdims=True) + 0 * dy,
            "that sums the row and does not divide: the share of an input in the mean is 1/3":
                dy - dy.sum(axis=1, keepdims=True),
            "the mean is that of the row, not of the batch": dy - dy.mean(axis=0),
            "the sign of the second way is turned: the mean is taken off": dy + dy.mean(axis=1, keepdims=True),
            "that is f itself at x; what comes back is dy": lesson.centre(lesson.x)}


def _numbers(features: int, units: int):
    rng = np.random.default_rng(2)
    return rng.normal(size=(4, features)), rng.normal(size=(features, units)), rng.normal(size=(4, units))


def _three(result: object, name: str) -> tuple:
    if not isinstance(result, (tuple, list)) or len(result) != 3:
        raise Wrong(f"{name} should return three arrays, dx, dW, db")
    return tuple(result)


def exercise_1(answer: Answer) -> None:
    """A Linear layer's gradients, on paper

    dW (3 × 2) and dx (2 numbers) for x = (2, -1), W with the rows (1, 3), (0, 2), (-1, 1), and dy = (1, 0, 2).
    """
    x, W, dy = np.array([2, -1]), np.array([[1, 3], [0, 2], [-1, 1]]), np.array([1, 0, 2])
    dW = np.outer(dy, x)
    answer.on_paper("dW", dW, [
        "y_j = Σ_i W_ji x_i + b_j: W_ji stands beside x_i, and dy_j arrives there. So dW_ji = dy_j x_i.",
        "The first row is dy_1 x."], {
        "that is the gradient of a Dense kernel (in, out); a Linear's weight is (out, in)": dW.T})
    answer.on_paper("dx", dy @ W, [
        "x_i goes into every y_j by W_ji: dx_i is the sum of all dy_j W_ji.", "dx = dy W, a row times a matrix."], {
        "that is W x, the forward; dx is dy W": W @ x})


def exercise_2(answer: Answer) -> None:
    """The backward of Dense

    dense_backward(x, W, dy): returns dx, dW, db, for x (N, in), W (in, out), dy (N, out).
    """
    x, W, dy = _numbers(3, 5)
    dx, dW, db = _three(answer.function("dense_backward")(x, W, dy), "dense_backward")
    _check(dx, dW, db, (dy @ W.T, x.T @ dy, dy.sum(axis=0)), len(x))


def exercise_3(answer: Answer) -> None:
    """The bug that square weights hide

    The function linear_backward at the end of the lesson has a bug. Write it right as
    fixed_linear_backward(x, W, dy): returns dx, dW, db for a *Linear* layer, W (out, in).
    """
    backward = answer.function("fixed_linear_backward")
    x, W, dy = _numbers(3, 3)
    dx, dW, db = _three(backward(x, W, dy), "fixed_linear_backward")
    expect_close(dx, dy @ W, "dx", {"dy Wᵀ is right for Dense, whose kernel is (in, out); here W is (out, in)": dy @ W.T})
    _check(dx, dW, db, (dy @ W, dy.T @ x, dy.sum(axis=0)), len(x))
    x, W, dy = _numbers(3, 5)
    _check(*_three(backward(x, W.T.copy(), dy), "fixed_linear_backward"), (dy @ W.T, dy.T @ x, dy.sum(axis=0)), len(x))


def exercise_4(answer: Answer) -> None:
    """The largest learning rate

    largest_rate: up to which eta the 200 steps converge (5 % will do).
    """
    rate = float(answer.array("largest_rate", ()))
    X = np.random.default_rng(0).normal(size=(100, 3)) * [1, 2, 3]
    limit = 2 / np.linalg.eigvalsh(X.T @ X / 100).max()
    if abs(rate - limit / 2) < 0.05 * limit / 2:
        raise Wrong(f"{rate:g} is 1/λ, where a step jumps right into the valley's middle; it may jump as far again")
    if rate < 0.95 * limit:
        raise Wrong(f"with eta = {rate:g} it still converges, and with a little more too")
    if rate > 1.05 * limit:
        raise Wrong(f"with eta = {rate:g} each step jumps further up the other side of the valley: it diverges")


def _check(dx, dW, db, right, samples: int) -> None:
    expect_close(dx, right[0], "dx")
    expect_close(dW, right[1], "dW", {
        "that is its transpose: dW has the shape of W": right[1].T,
        "it is divided by the batch size; the layer sums over the batch, a mean is the loss's affair": right[1] / samples})
    expect_close(db, right[2], "db", {
        "it is a mean over the batch; b stands in every row, so its gradient is the sum": right[2] / samples})
