"""Checks of lesson 20: its turns and its exercises."""
from types import SimpleNamespace

import numpy as np

from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size

Known = dict[str, np.ndarray]


# Merging

def turn_dx2_difference(lesson: SimpleNamespace) -> Known:
    dy = lesson.dy
    return {"the sign is missing: x2 is taken off": dy,
            "x1 is no part of it: the factor beside x2 is -1": -dy * lesson.x1,
            "nothing is halved: y = x1 - x2": -dy / 2}


def turn_dx1_mean(lesson: SimpleNamespace) -> Known:
    dy = lesson.dy
    return {"the factor 1/2 of the mean is missing": dy,
            "it is divided twice": dy / 4,
            "that is dy times the mean; the factor beside x1 is 1/2": dy * (lesson.x1 + lesson.x2) / 2}


def turn_dx1_product(lesson: SimpleNamespace) -> Known:
    dy, x1, x2, x3 = lesson.dy, lesson.x1, lesson.x2, lesson.x3
    return {"x3 is missing: it is dy times both others": dy * x2,
            "x2 is missing: it is dy times both others": dy * x3,
            "x1 is no part of its own gradient": dy * x1 * x2 * x3,
            "the others are multiplied, not added": dy * (x2 + x3),
            "dy is missing": x2 * x3}


def turn_dx1_max(lesson: SimpleNamespace) -> Known:
    dy, x1, x2 = lesson.dy, lesson.x1, lesson.x2
    return {"in a tie both get half; here x1 gets nothing": dy * (x1 > x2),
            "in a tie both get half; here x1 gets all": dy * (x1 >= x2),
            "those are x2's: it is the larger one that gets dy": dy * (x2 > x1) + dy / 2 * (x1 == x2),
            "a maximum is no mean: the loser gets nothing": dy / 2,
            "that is dy times the maximum; its slope is 1 or 0": dy * np.maximum(x1, x2)}


def turn_dx1_joined(lesson: SimpleNamespace) -> dict[str, Known]:
    dy = lesson.dy_joined
    first, second = dy[:, :3], dy[:, 3:]
    return {"dx1_joined": {"the two have changed places: x1 stands in front": second,
                           "that takes every other column; the arrays lie side by side": dy[:, ::2],
                           "all arrives at both; cut it": dy},
            "dx2_joined": {"that is x1's part": first,
                           "that takes every other column; the arrays lie side by side": dy[:, 1::2],
                           "nothing is added up: each number has one place": first + second}}


def turn_dx1_dot(lesson: SimpleNamespace) -> Known:
    dy, x1, x2 = lesson.dy_dot, lesson.x1, lesson.x2
    return {"beside x1 stands x2": dy * x1,
            "x2 is missing": np.broadcast_to(dy, x1.shape),
            "that is y times dy, one number a sample; each feature has a factor of its own":
                np.broadcast_to(dy * (x1 * x2).sum(axis=1, keepdims=True), x1.shape),
            "that is added up over the features; dx1 has the shape of x1": (dy * x2).sum(axis=1, keepdims=True),
            "dy is missing": x2}


def turn_dgate(lesson: SimpleNamespace) -> Known:
    whole = lesson.dy_image * lesson.image
    return {"the sum is missing: the gate was used at all places": whole,
            "that is a mean; what arrives is added up": whole.mean(axis=(1, 2), keepdims=True),
            "that is right but for its shape: the axes of size 1 are gone (keepdims=True)": whole.sum(axis=(1, 2)),
            "the samples are added up too; each has a gate of its own": np.broadcast_to(
                whole.sum(axis=(0, 1, 2), keepdims=True), lesson.gate.shape),
            "beside the gate stands the image; it is missing": lesson.dy_image.sum(axis=(1, 2), keepdims=True),
            "that is with the gate; beside it stands the image":
            (lesson.dy_image * lesson.gate).sum(axis=(1, 2), keepdims=True),
            "the sum runs over the columns alone": whole.sum(axis=2, keepdims=True)}


# Moving

def turn_dx_turned(lesson: SimpleNamespace) -> Known:
    dy, shape = lesson.dy_turned, lesson.image.shape
    return {"that is the same order again; the way back is its inverse": dy.transpose(lesson.order),
            "that has the shape, but the axes were not moved: a reshape counts on": dy.reshape(shape),
            "nothing is moved back yet": dy,
            "two axes have changed places: rows and columns": dy.transpose(0, 3, 2, 1)}


def turn_dx_padded(lesson: SimpleNamespace) -> Known:
    dy = lesson.dy_padded
    return {"the zeros lie in front and behind: 2 and 1; that cuts all off at the front": dy[:, 3:],
            "the zeros lie in front and behind: 2 and 1; that cuts all off behind": dy[:, :-3],
            "the two have changed places: 2 zeros stand in front": dy[:, 1:-2],
            "what arrives at the zeros has nobody to go to: cut it off": dy}


def turn_dx_cropped(lesson: SimpleNamespace) -> Known:
    dy, none = lesson.dy_cropped, np.zeros(lesson.series.shape)
    at_start, at_end = none.copy(), none.copy()
    at_start[:, :2], at_end[:, 3:] = dy, dy
    return {"nothing arrives; it belongs to steps 1 and 2": none,
            "that is at the steps 0 and 1; y was series[:, 1:3]": at_start,
            "that is at the last two steps; y was series[:, 1:3]": at_end}


def turn_dx_repeated(lesson: SimpleNamespace) -> Known:
    dy = lesson.dy_repeated
    return {"that is one step; the vector stands in all of them": dy[:, 0],
            "that is a mean; what arrives is added up": dy.mean(axis=1),
            "the sum is missing": dy,
            "that is added up over the features; it should be over the steps": dy.sum(axis=2)}


def turn_dx_small(lesson: SimpleNamespace) -> Known:
    dy = lesson.dy_large
    blocks = dy.reshape(2, 3, 2, 4, 2)
    return {"that is one point of each block; all four came from it": dy[:, ::2, ::2],
            "that is a mean; what arrives is added up": blocks.mean(axis=(2, 4)),
            "that adds up points that lie apart: a block's two rows and two columns are axes of size 2 *behind* the small ones":
                dy.reshape(2, 2, 3, 2, 4).sum(axis=(1, 3)),
            "the columns of a block are added up, its rows are not": dy.reshape(2, 6, 4, 2).sum(axis=3)[:, ::2]}


def turn_dx_line(lesson: SimpleNamespace) -> Known:
    dy, A = lesson.dy_line, lesson.A
    return {"that is the mean of what lies over each point, without the weights": dy.reshape(3, 2, 2).mean(axis=1),
            "that is a sum of what lies over each point, without the weights of A": dy.reshape(3, 2, 2).sum(axis=1),
            "the weights of a row of A sum to 1, not those of a column; do not divide": A.T @ dy / A.sum(axis=0)[:, None]}


# The block

def turn_dV(lesson: SimpleNamespace) -> Known:
    dy, h = lesson.dy, lesson.h
    return {"that is with a; V is multiplied by h, after the relu": lesson.a.T @ dy,
            "that is with y, without the relu's": (h - lesson.a).T @ dy,
            "that is a mean over the samples; it should be a sum": h.T @ dy / 2}


def turn_da(lesson: SimpleNamespace) -> Known:
    dy, V, a = lesson.dy, lesson.V, lesson.a
    return {"that is dh; the slope of the relu is missing": dy @ V.T,
            "the relu is on the wrong side: its slope is 1 where a is positive": (dy @ V.T) * (a <= 0),
            "that is with the relu's value; its slope is 1 or 0": (dy @ V.T) * np.maximum(a, 0),
            "V is left out, with W in its place": (dy @ lesson.W) * (a > 0)}


def turn_dx(lesson: SimpleNamespace) -> Known:
    dy, da, W = lesson.dy, lesson.da, lesson.W
    return {"the shortcut is missing: dy arrives as well": da @ W.T,
            "that is the shortcut alone": dy,
            "at a fork the ways are added, not averaged": (dy + da @ W.T) / 2,
            "the shortcut is not multiplied": dy * (da @ W.T),
            "the branch goes back through W only from da, not from dh": dy + (dy @ lesson.V.T) @ W.T}


# Exercises

def exercise_1(answer: Answer) -> None:
    """A fork, on paper

    dx_max, dx_product and dx, for x = 3, y = max(x, 2x - 3) + x · x and dy = 1.
    """
    answer.on_paper("dx_max", 1.5, ["What are the two numbers at x = 3? It is a tie: each gets half.",
                                    "x stands in the one with the factor 1, in the other with the factor 2."], {
        "that is as if the first one had won": 1,
        "that is as if the second one had won": 2,
        "that passes the tie to both in full": 3,
        "that is one half; x arrives from both of them": 0.5})
    answer.on_paper("dx_product", 6, ["x is both factors: it gets dy times the other one, twice"], {
        "x is both factors; what comes from the two is added up": 3,
        "that is the product itself": 9})
    answer.on_paper("dx", 7.5, ["at a fork what comes back is added up"], {
        "that is the product alone": 6, "that is their product; add": 9, "that is the mean; add": 3.75})


def _highway(dy: np.ndarray, x: np.ndarray, W_g: np.ndarray, W_h: np.ndarray) -> tuple[mistakes.Values, mistakes.Mistakes]:
    g, h = (1 + np.tanh(x @ W_g / 2)) / 2, np.tanh(x @ W_h)

    def values(dg: np.ndarray = dy * (h - x), dh: np.ndarray = dy * g, slope_g: np.ndarray = g * (1 - g),
               slope_h: np.ndarray = 1 - h ** 2, past: np.ndarray = dy * (1 - g)) -> mistakes.Values:
        da_g, da_h = dg * slope_g, dh * slope_h
        return {"dx": past + da_g @ W_g.T + da_h @ W_h.T, "dW_g": x.T @ da_g, "dW_h": x.T @ da_h}
    right = values()
    ways = {"shortcut, (1 - g) x": dy * (1 - g), "gate": (dy * (h - x) * g * (1 - g)) @ W_g.T,
            "layer h": (dy * g * (1 - h ** 2)) @ W_h.T}
    wrong: mistakes.Mistakes = {f"the way through the {name} is missing": {"dx": right["dx"] - way}
                                for name, way in ways.items()}
    wrong |= {
        "the gate stands in (1 - g) x too: dg = dy (h - x)": values(dg=dy * h),
        "the sign of x is wrong in dg: it stands in (1 - g) x": values(dg=dy * (h + x)),
        "the gate is missing from dh": values(dh=dy),
        "h is let in by g, the shortcut by 1 - g; in dh they have changed places": values(dh=dy * (1 - g)),
        "h is let in by g, the shortcut by 1 - g; on the shortcut it is g": values(past=dy * g),
        "the shortcut has a gate too, 1 - g": values(past=dy),
        "the slope of the sigmoid, g (1 - g), is missing": values(slope_g=np.ones_like(g)),
        "the slope of the tanh, 1 - h², is missing": values(slope_h=np.ones_like(h)),
        "the slope of the tanh is 1 - h², not 1 - h": values(slope_h=1 - h),
        "it is divided by the number of samples; it is a sum over them": {"dW_g": right["dW_g"] / len(x),
                                                                          "dW_h": right["dW_h"] / len(x)}}
    return right, wrong


def exercise_2(answer: Answer) -> None:
    """A whole backward, with a batch: a highway block

    highway_backward(dy, x, W_g, W_h): dx (N, C), dW_g and dW_h (C, C), of y = g h + (1 - g) x, g = sigmoid(x W_g),
    h = tanh(x W_h).
    """
    def check(N: int, C: int) -> None:
        rng = np.random.default_rng(N)
        (dy, x), (W_g, W_h) = rng.normal(size=(2, N, C)), rng.normal(size=(2, C, C))
        right, wrong = _highway(dy, x, W_g, W_h)
        result = answer.function("highway_backward")(dy, x, W_g, W_h)
        expect_all(result, right, wrong, ("dx", "dW_g", "dW_h"), "highway_backward", {"dx": ("sample", "feature")},
                   order=("dW_h", "dW_g", "dx"))
    for_each_size(answer, check, [(1, 1), (2, 2), (3, 4)])


def exercise_3(answer: Answer) -> None:
    """The way back of a permutation

    The function permute_backward at the end of the lesson has a bug. Write it right as fixed_permute_backward(dy, dims): it
    returns dx, for an x whose axes were put in the order (0, *dims).
    """
    function = answer.function("fixed_permute_backward")
    for dims in ((2, 1), (2, 3, 1), (3, 1, 2), (4, 1, 3, 2)):
        x = np.random.default_rng(len(dims)).normal(size=(2, 3, 4, 5, 6)[:len(dims) + 1])
        dy = x.transpose(0, *dims)
        expect_close(function(dy.copy(), dims), x, f"dx for dims={dims}", {
            "the axes go on in the same order; the way back is its inverse: what went from 3 to 1 goes from 1 to 3":
                dy.transpose(0, *dims),
            "it has the shape, but the axes were not moved": dy.reshape(x.shape),
            "the order is turned round; its inverse is another thing": dy.transpose(0, *reversed(range(1, x.ndim)))})


def exercise_4(answer: Answer) -> None:
    """A million ways

    blocks: the smallest number of blocks through which a million ways lead.
    """
    blocks = float(answer.array("blocks", ()))
    if blocks != 20:
        raise Wrong(f"through {blocks:g} blocks lead {2.0 ** blocks:,.0f} ways")
