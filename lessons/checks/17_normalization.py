"""Checks of lesson 17: its turns and its exercises."""
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size

Known = dict[str, np.ndarray]
Axis = int | tuple[int, ...]


def _normalized(x: np.ndarray, axis: Axis, eps: float) -> tuple[np.ndarray, np.ndarray]:
    centred = x - x.mean(axis=axis, keepdims=True)
    std = np.sqrt((centred ** 2).mean(axis=axis, keepdims=True) + eps)
    return centred / std, std


def _one_line(dx_hat: np.ndarray, x_hat: np.ndarray, std: np.ndarray, axis: Axis, sums: bool = False,
              without: str = "") -> np.ndarray:
    """dx in one line; with sums in the place of means, or without a part of it."""
    total = np.sum if sums else np.mean
    shift = 0 if without == "shift" else total(dx_hat, axis=axis, keepdims=True)
    along = 0 if without == "along" else total(dx_hat * x_hat, axis=axis, keepdims=True)
    return (dx_hat - shift - x_hat * along) / (1 if without == "std" else std)


def _wrong_line(dx_hat: np.ndarray, x_hat: np.ndarray, std: np.ndarray, axis: Axis) -> Known:
    along = (dx_hat * x_hat).mean(axis=axis, keepdims=True)
    shift = dx_hat.mean(axis=axis, keepdims=True)
    return {"that is as if mean and spread were constants; both depend on x": dx_hat / std,
            "the mean of dx_hat is not taken off: that is the way through the mean": _one_line(dx_hat, x_hat, std, axis,
                                                                                             without="shift"),
            "the part along x_hat is not taken off: that is the way through the variance": _one_line(
                dx_hat, x_hat, std, axis, without="along"),
            "it is not divided by std": _one_line(dx_hat, x_hat, std, axis, without="std"),
            "those are sums; both have to be means": _one_line(dx_hat, x_hat, std, axis, sums=True),
            "the mean of dx_hat · x_hat still has to be multiplied by x_hat": (dx_hat - shift - along) / std,
            "the part along x_hat is added; it is taken off": (dx_hat - shift + x_hat * along) / std,
            "the mean is added; it is taken off": (dx_hat + shift - x_hat * along) / std}


# Forward

def turn_mean(lesson: SimpleNamespace) -> Known:
    x = lesson.x
    return {"that is the sum; divide it by the number of samples": x.sum(axis=0),
            "that is the mean of each sample over its features; batch norm takes it of each feature, over the samples":
                x.mean(axis=1),
            "that is one mean of all numbers; each feature has its own": x.mean()}


def turn_var(lesson: SimpleNamespace) -> Known:
    c, N = lesson.centred, lesson.N
    return {"that is with N - 1; a normalisation divides by N": (c ** 2).sum(axis=0) / (N - 1),
            "that is the sum; the variance is the mean of the squares": (c ** 2).sum(axis=0),
            "that is its root, the spread": np.sqrt((c ** 2).mean(axis=0)),
            "those are the squares of x; take the differences from the mean": (lesson.x ** 2).mean(axis=0),
            "the differences are not squared; their mean is 0": c.mean(axis=0),
            "that runs over the features; it should run over the samples": (c ** 2).mean(axis=1)}


def turn_x_hat(lesson: SimpleNamespace) -> Known:
    c, var = lesson.centred, lesson.var
    return {"that is divided by the variance; divide by its root, std": c / (var + lesson.eps),
            "the mean is not taken off: centred / std": lesson.x / lesson.std,
            "that is y already; gamma comes later": lesson.gamma * lesson.x_hat,
            "it is multiplied by std; divide": c * lesson.std}


# Backward of batch norm

def turn_dbeta(lesson: SimpleNamespace) -> Known:
    dy = lesson.dy
    return {"that is a mean; beta is added in every sample, and a loss is a sum over them": dy.mean(axis=0),
            "that is summed over the features; beta has one number for each": dy.sum(axis=1),
            "the sum over the samples is missing": dy,
            "gamma is not on the way from y to beta": (dy * lesson.gamma).sum(axis=0)}


def turn_dgamma(lesson: SimpleNamespace) -> Known:
    dy, x_hat = lesson.dy, lesson.x_hat
    return {"that is with x; gamma is multiplied by x_hat": (dy * lesson.x).sum(axis=0),
            "that is with centred; gamma is multiplied by x_hat": (dy * lesson.centred).sum(axis=0),
            "that is dbeta; beside gamma stands x_hat": dy.sum(axis=0),
            "that is a mean; it should be a sum over the samples": (dy * x_hat).mean(axis=0),
            "the sum over the samples is missing": dy * x_hat,
            "gamma is no part of its own gradient": (dy * lesson.gamma * x_hat).sum(axis=0)}


def turn_dx_hat(lesson: SimpleNamespace) -> Known:
    dy, gamma, std = lesson.dy, lesson.gamma, lesson.std
    return {"gamma is missing: y = gamma x_hat + beta": dy,
            "gamma is the factor; here it divides": dy / gamma,
            "that is on the way to x already; the spread comes later": dy * gamma / std}


def turn_dvar(lesson: SimpleNamespace) -> Known:
    d, c, var, eps = lesson.dx_hat, lesson.centred, lesson.var, lesson.eps
    right = lesson.dvar
    return {"the sign is wrong: a larger variance makes x_hat smaller": -right,
            "the factor 1/2 of the power -1/2 is missing": 2 * right,
            "the power is -3/2, one less than -1/2": (d * c).sum(axis=0) * -0.5 * (var + eps) ** -0.5,
            "that is the gradient by std; the variance is its square": -(d * c).sum(axis=0) / (var + eps),
            "that is with x_hat in the place of centred": (d * lesson.x_hat).sum(axis=0) * -0.5 * (var + eps) ** -1.5,
            "the sum over the samples is missing: one variance serves them all": d * c * -0.5 * (var + eps) ** -1.5,
            "that is a mean; what arrives is added up": right / lesson.N,
            "that is with dy; what arrives at x_hat is dx_hat": right / lesson.gamma}


def turn_dmean(lesson: SimpleNamespace) -> Known:
    d, std = lesson.dx_hat, lesson.std
    return {"the sign is wrong: the mean is taken off": -lesson.dmean,
            "it is not divided by std": -d.sum(axis=0),
            "that is a mean; the mean is taken off in every sample, so what arrives is added up": lesson.dmean / lesson.N,
            "the sum over the samples is missing": -d / std,
            "that is with dy; what arrives at x_hat is dx_hat": lesson.dmean / lesson.gamma}


def turn_dx(lesson: SimpleNamespace) -> Known:
    d, std, c, N, dvar, dmean = (getattr(lesson, name) for name in ("dx_hat", "std", "centred", "N", "dvar", "dmean"))
    return {"that is the straight way alone; x goes into the mean and the variance too": d / std,
            "the way through the variance is missing": d / std + dmean / N,
            "the way through the mean is missing": d / std + dvar * 2 * c / N,
            "the mean is a sum divided by N, so what goes back through it is dmean / N": d / std + dvar * 2 * c / N + dmean,
            "the variance is a mean too: its way has the factor 1 / N": d / std + dvar * 2 * c + dmean / N,
            "the 2 of the square is missing on the way through the variance": d / std + dvar * c / N + dmean / N,
            "on the straight way it is divided by std": d + dvar * 2 * c / N + dmean / N,
            "on the way through the variance stands x - mean, not x": d / std + dvar * 2 * lesson.x / N + dmean / N}


def turn_dx_short(lesson: SimpleNamespace) -> Known:
    return _wrong_line(lesson.dx_hat, lesson.x_hat, lesson.std, 0) | {
        "that is made with dy; gamma is missing": lesson.dx / lesson.gamma}


def turn_moving_mean(lesson: SimpleNamespace) -> Known:
    m, old, mean = lesson.momentum, lesson.moving_mean / 1, lesson.mean
    old = (old - (1 - m) * mean) / m                    # under the judged name stands what is right
    return {"the two have changed places: of the old one 0.99 is kept": (1 - m) * old + m * mean,
            "that is the mean of this batch alone": mean,
            "that is the variance's": m * old + (1 - m) * lesson.var}


def turn_dx_used(lesson: SimpleNamespace) -> Known:
    dy, gamma, root = lesson.dy, lesson.gamma, np.sqrt(lesson.moving_var + lesson.eps)
    x_hat = (lesson.x - lesson.moving_mean) / root
    return {"that is divided by the spread of the batch; in use the moving variance stands there": dy * gamma / lesson.std,
            "gamma is missing": dy / root,
            "it is divided by the variance; divide by its root": dy * gamma / root ** 2,
            "the moving statistics are constants: nothing goes through mean and variance":
            _one_line(dy * gamma, x_hat, root, 0),
            "that is the gradient in training": lesson.dx}


# The others

def turn_dx_layer(lesson: SimpleNamespace) -> Known:
    dy, gamma, x_hat, std = lesson.dy, lesson.gamma, lesson.x_hat, lesson.std
    return {"gamma comes too late: each feature has another one, so it must stand inside the means over them":
            gamma * _one_line(dy, x_hat, std, 1),
            "gamma is missing": _one_line(dy, x_hat, std, 1),
            "the means run over the samples; in a layer norm they run over the features (axis=1)":
            _one_line(dy * gamma, x_hat, std, 0)} | _wrong_line(dy * gamma, x_hat, std, 1)


def turn_normalized_backward(lesson: SimpleNamespace, given: Callable) -> None:
    for shape, axis in (((4, 3), 0), ((3, 4), 1), ((2, 3, 4), (0, 1)), ((2, 3, 4, 2), (1, 3))):
        rng = np.random.default_rng(len(shape))
        x, dx_hat = rng.normal(size=(2, *shape))
        x_hat, std = _normalized(x, axis, 1e-3)
        name = f"dx with axis={axis}"
        expect_close(given(dx_hat.copy(), x_hat.copy(), std.copy(), axis), _one_line(dx_hat, x_hat, std, axis), name,
                     _wrong_line(dx_hat, x_hat, std, axis))


def turn_dx_group(lesson: SimpleNamespace) -> Known:
    dx_hat, x_hat, std, shape = lesson.dx_hat, lesson.x_hat, lesson.std, lesson.x.shape
    whole, spread = _normalized(lesson.x, 1, lesson.eps)
    return {"that has the shape of the groups; shape it back to that of x": lesson.dx_group.reshape(dx_hat.shape),
            "the means run over the groups (axis 1); they run within each group (axis 2)": _one_line(
                dx_hat, x_hat, std, 1).reshape(shape),
            "that is the layer norm's, one group of all features": _one_line(lesson.dy * lesson.gamma, whole, spread, 1),
            "that is without gamma; call it with dx_hat": _one_line(
                lesson.dy.reshape(dx_hat.shape), x_hat, std, 2).reshape(shape)}


def turn_dx_rms(lesson: SimpleNamespace) -> Known:
    dy, x_hat, rms = lesson.dy, lesson.x_hat, lesson.rms
    along = (dy * x_hat).mean(axis=1, keepdims=True)
    return {"no mean has been taken off in forward, so none is taken off here": _one_line(dy, x_hat, rms, 1),
            "that is as if rms were a constant; it depends on x": dy / rms,
            "it is not divided by rms": dy - x_hat * along,
            "that is a sum; rms is made of a mean": (dy - x_hat * (dy * x_hat).sum(axis=1, keepdims=True)) / rms,
            "the part along x_hat is added; it is taken off": (dy + x_hat * along) / rms,
            "that is with x; the part that is taken off lies along x_hat": (dy - lesson.x * along) / rms}


def turn_dx_unit(lesson: SimpleNamespace) -> Known:
    dy, y, length = lesson.dy, lesson.y, lesson.length
    along = (dy * y).sum(axis=1, keepdims=True)
    return {"the length is the root of a sum, so it is a sum here, not a mean":
            (dy - y * (dy * y).mean(axis=1, keepdims=True)) / length,
            "that is as if the length were a constant; it depends on x": dy / length,
            "it is not divided by the length": dy - y * along,
            "the part along y is added; it is taken off": (dy + y * along) / length,
            "it is divided by the length twice": (dy - y * along) / length ** 2,
            "that is with x in the place of y": (dy - lesson.x * along) / length}


def turn_sigma(lesson: SimpleNamespace) -> Known:
    W, u, v = lesson.W, lesson.u, lesson.v
    return {"that is its square": (v @ W @ u) ** 2,
            "that is the length of the whole matrix, not of what it makes of u": np.linalg.norm(W),
            "that is the vector W u; v is still missing": W @ u,
            "that is the smallest singular value": np.linalg.svd(W)[1].min()}


def turn_dsigma(lesson: SimpleNamespace) -> Known:
    d, W_bar, sigma = lesson.dW_bar, lesson.W_bar, lesson.sigma
    return {"the sign is wrong: a larger sigma makes W_bar smaller": -lesson.dsigma,
            "a sigma is missing: the derivative of W / sigma is -W / sigma², which is -W_bar / sigma": -np.sum(d * W_bar),
            "the sum is missing: one sigma serves all elements": -d * W_bar / sigma}


def turn_dW(lesson: SimpleNamespace) -> Known:
    d, sigma, dsigma, v, u = lesson.dW_bar, lesson.sigma, lesson.dsigma, lesson.v, lesson.u
    return {"that is as if sigma were a constant; W goes through it too": d / sigma,
            "the straight way is missing": dsigma * np.outer(v, u),
            "the straight way is divided by sigma": d + dsigma * np.outer(v, u),
            "dsigma has its sign already; add": d / sigma - dsigma * np.outer(v, u),
            "u and v have changed places; W is (in, out), v belongs to in": d.T / sigma + dsigma * np.outer(u, v)}


# Exercises

def exercise_1(answer: Answer) -> None:
    """A batch norm, on paper

    x_hat (4 numbers), dgamma and dx (4 numbers) for x = (0, 0, 2, 2), ε = 0, γ = 2 and dy = (4, 0, 0, 0).
    """
    answer.on_paper("x_hat", [-1, -1, 1, 1], ["The mean is 1. What is the mean square of the differences from it?"], {
        "that is y; gamma comes after x_hat": [-2, -2, 2, 2],
        "the mean is not taken off": [0, 0, 2, 2]})
    answer.on_paper("dgamma", -4, ["the sum over the samples of dy times x_hat"], {
        "that is dbeta; beside gamma stands x_hat": 4,
        "that is a mean; it should be a sum": -1,
        "gamma is no part of its own gradient": -8})
    answer.on_paper("dx", [4, -4, 0, 0], [
        "dx_hat is dy times gamma. Take off its mean, then x_hat times the mean of dx_hat · x_hat.",
        "The mean of dx_hat is 2."], {
        "that is without gamma": [2, -2, 0, 0],
        "that is dx_hat; mean and variance depend on x too": [8, 0, 0, 0],
        "the part along x_hat is not taken off yet": [6, -2, -2, -2],
        "the mean is not taken off": [6, -2, 2, 2]})


def _group_norm(dy: np.ndarray, x: np.ndarray, gamma: np.ndarray, groups: int, eps: float
                ) -> tuple[mistakes.Values, mistakes.Mistakes]:
    N, places, C = x.shape
    split = (N, places, groups, C // groups)
    axes = (1, 3)
    x_hat, std = _normalized(x.reshape(split), axes, eps)
    dx_hat, flat = (dy * gamma).reshape(split), x_hat.reshape(x.shape)

    def values(dx: np.ndarray) -> mistakes.Values:
        return {"dx": dx.reshape(x.shape)}
    right = values(_one_line(dx_hat, x_hat, std, axes)) | {"dgamma": (dy * flat).sum(axis=(0, 1)), "dbeta": dy.sum(axis=(0, 1))}
    wrong = {sentence: values(dx) for sentence, dx in _wrong_line(dx_hat, x_hat, std, axes).items()}
    wrong |= {
        "gamma comes too late: it must stand inside the means, for the features of a group have different ones":
            values(gamma * _one_line(dy.reshape(split), x_hat, std, axes).reshape(x.shape)),
        "gamma is missing": values(_one_line(dy.reshape(split), x_hat, std, axes)),
        "that is with x; gamma is multiplied by x_hat": {"dgamma": (dy * x).sum(axis=(0, 1))},
        "it is divided by the number of samples; it is a sum over them": {"dgamma": right["dgamma"] / N,
                                                                          "dbeta": right["dbeta"] / N},
        "it is summed over the samples and not over the places": {"dgamma": (dy * flat).sum(axis=0), "dbeta": dy.sum(axis=0)}}
    for axis, what in (((3,), "each place is normalised alone; a group has all places of its sample"),
                       ((0, 1, 3), "the samples of a batch are put together; each has its own groups"),
                       ((1,), "each feature is normalised alone; a group has several")):
        other, spread = _normalized(x.reshape(split), axis, eps)
        wrong[what] = values(_one_line(dx_hat, other, spread, axis)) | {
            "dgamma": (dy * other.reshape(x.shape)).sum(axis=(0, 1)), "dbeta": right["dbeta"]}
    across = x.reshape(N, places, C // groups, groups)
    other, spread = _normalized(across, (1, 2), eps)
    wrong["the features of a group lie side by side; here every other one is taken"] = values(_one_line(
        (dy * gamma).reshape(across.shape), other, spread, (1, 2))) | {
        "dgamma": (dy * other.reshape(x.shape)).sum(axis=(0, 1)), "dbeta": right["dbeta"]}
    return right, wrong


def exercise_2(answer: Answer) -> None:
    """A whole backward, with a batch

    group_norm_backward(dy, x, gamma, groups, eps): dx (N, places, C), dgamma (C,), dbeta (C,). A group is so many features
    side by side, at all places of one sample.
    """
    def check(N: int, places: int, C: int, groups: int) -> None:
        rng = np.random.default_rng(N + C)
        dy, x, gamma = rng.normal(size=(N, places, C)), rng.normal(size=(N, places, C)) + 1, rng.normal(size=C)
        right, wrong = _group_norm(dy, x, gamma, groups, 1e-3)
        result = answer.function("group_norm_backward")(dy, x, gamma, groups, 1e-3)
        expect_all(result, right, wrong, ("dx", "dgamma", "dbeta"), "group_norm_backward",
                   {"dx": ("sample", "place", "feature")}, order=("dbeta", "dgamma", "dx"))
    for_each_size(answer, check, [(1, 1, 4, 1), (2, 3, 4, 2), (3, 2, 6, 2)])


def exercise_3(answer: Answer) -> None:
    """Right as long as gamma is 1

    The function layer_norm_backward at the end of the lesson has a bug. Write it right as
    fixed_layer_norm_backward(dy, x, gamma, eps): it returns dx (N, C).
    """
    rng = np.random.default_rng(6)
    dy, x, gamma = rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), rng.normal(size=5)
    x_hat, std = _normalized(x, 1, 1e-3)
    expect_close(answer.function("fixed_layer_norm_backward")(dy, x, gamma, 1e-3), _one_line(dy * gamma, x_hat, std, 1), "dx", {
        "gamma still comes after the means; each feature has another one, so it belongs inside them":
            gamma * _one_line(dy, x_hat, std, 1),
        "gamma is gone": _one_line(dy, x_hat, std, 1)} | _wrong_line(dy * gamma, x_hat, std, 1), axes=("sample", "feature"))


def exercise_4(answer: Answer) -> None:
    """How long a moving mean lags behind

    batches: after how many of them a moving mean that begins with 0 is 0.9, where each batch's mean is 1 and the momentum 0.99.
    """
    batches = float(answer.array("batches", ()))
    reached = 1 - 0.99 ** batches
    if not 229 <= batches <= 230:
        raise Wrong(f"after {batches:g} batches it has reached {reached:.3f}")
