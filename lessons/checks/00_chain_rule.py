"""Checks of lesson 00: its turns and its exercises."""
import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from nblayers.learn.exercises import Answer, Wrong, as_array, expect_close

Known = dict[str, float]


# Forward

def turn_a(lesson: SimpleNamespace) -> Known:
    x, w = lesson.x, lesson.w
    return {"x and w are multiplied, not added": x + w,
            "b comes later: it is added to a": x * w + lesson.b,
            "that is x to the power of w; a product is x * w": x ** w}


def turn_y(lesson: SimpleNamespace) -> Known:
    a, b = lesson.a, lesson.b
    return {"a and b are added, not multiplied": a * b,
            "b is added, not taken off (it is negative already)": a - b,
            "the target is taken off later": a + b - lesson.t}


def turn_e(lesson: SimpleNamespace) -> Known:
    y, t = lesson.y, lesson.t
    return {"the sign is wrong: e is y minus t": t - y,
            "that is the loss already; e is what is squared": (y - t) ** 2,
            "t is taken off, not added": y + t}


# Backward

def turn_de(lesson: SimpleNamespace) -> Known:
    e = lesson.e
    return {"the factor 2 is missing: the slope of e² is 2e": e,
            "that is the loss; the slope of e² is 2e": e ** 2,
            "the sign is wrong: the slope of e² is 2e, which is negative where e is": -2 * e,
            "2 is the slope of 2e; that of e² is 2e": 2.0,
            "the slope of e² is 2e, not e / 2": e / 2,
            "nothing is left of dL: that is 1; it should be multiplied by the local slope": lesson.dL}


def turn_dy(lesson: SimpleNamespace) -> Known:
    de = lesson.de
    return {"the sign is wrong: e = y - t grows with y": -de,
            "that is the local slope; it should be multiplied by de, which comes from above": 1.0,
            "the local slope is 1, not y": de * lesson.y,
            "the local slope is 1, not e": de * lesson.e}


def turn_dt(lesson: SimpleNamespace) -> Known:
    de = lesson.de
    return {"the sign is wrong: e = y - t falls when t grows, so the slope is -1": de,
            "that is the local slope; it should be multiplied by de, which comes from above": -1.0,
            "the local slope is -1, not t": de * lesson.t,
            "the local slope is -1, not -t": -de * lesson.t}


def turn_db(lesson: SimpleNamespace) -> Known:
    dy = lesson.dy
    return {"that is the local slope; it should be multiplied by dy, which comes from above": 1.0,
            "b is added, not multiplied: its local slope is 1, not b": dy * lesson.b,
            "the slope of a sum is 1 for each input; a belongs to a product": dy * lesson.a,
            "the sign is wrong: y grows with b": -dy,
            "each input of a sum gets all of what comes from above, not a half": dy / 2}


def turn_dw(lesson: SimpleNamespace) -> Known:
    x, w, da = lesson.x, lesson.w, lesson.da
    return {"the local slope is the other input, x, not w itself": da * w,
            "that is the local slope; it should be multiplied by da, which comes from above": x,
            "that is da; the local slope x is missing": da,
            "the sign is wrong": -da * x,
            "the local slope is x, not 1 / x": da / x,
            "the local slope is x alone, not the whole product": da * x * w}


def turn_dx(lesson: SimpleNamespace) -> Known:
    x, w, da = lesson.x, lesson.w, lesson.da
    return {"the local slope is the other input, w, not x itself": da * x,
            "that is the local slope; it should be multiplied by da, which comes from above": w,
            "that is da; the local slope w is missing": da,
            "the sign is wrong": -da * w,
            "the local slope is w alone, not the whole product": da * x * w}


def turn_du(lesson: SimpleNamespace) -> Known:
    u, dm, dv = lesson.u, lesson.dm, lesson.dv
    return {"the way straight into the sum is missing, dv * 1": 2 * dm * u,
            "one way through the product is missing: u is both of its inputs": dm * u + dv,
            "the ways through the product are missing": dv,
            "what comes back from the uses is added, not multiplied": dm * u * dm * u * dv,
            "that is the mean of the three ways; it should be their sum": (2 * dm * u + dv) / 3,
            "the straight way has the local slope 1, not u": 3 * dm * u,
            "that is v; du is how fast it grows": lesson.v}


# The sigmoid

def turn_dr(lesson: SimpleNamespace) -> Known:
    r, ds = lesson.r, lesson.ds
    return {"the sign is wrong: 1 / r falls when r grows": ds / r ** 2,
            "the square is missing: the slope of 1 / r is -1 / r²": -ds / r,
            "that is 1 / r itself; its slope is -1 / r²": ds / r,
            "the slope of 1 / r is -1 / r², not -r²": -ds * r ** 2,
            "that is the logarithm; the slope of 1 / r is -1 / r²": ds * np.log(r)}


def turn_dq(lesson: SimpleNamespace) -> Known:
    dr, q = lesson.dr, lesson.q
    return {"the sign is wrong: r = 1 + q grows with q": -dr,
            "that is the local slope; it should be multiplied by dr, which comes from above": 1.0,
            "the local slope of 1 + q is 1, not q": dr * q,
            "the 1 in 1 + q is a constant; it does not come into the slope": dr * (1 + q)}


def turn_dp(lesson: SimpleNamespace) -> Known:
    dq, q, p = lesson.dq, lesson.q, lesson.p
    return {"the local slope is missing: that of exp(p) is exp(p), which is q": dq,
            "that is the local slope; it should be multiplied by dq, which comes from above": q,
            "the slope of exp(p) is exp(p), not p": dq * p,
            "the slope of exp(p) is exp(p), not p exp(p)": dq * p * q,
            "q is exp(p) already; it is applied twice": dq * np.exp(q),
            "the sign of p = -z comes with the next node": -dq * q}


def turn_dz(lesson: SimpleNamespace) -> Known:
    dp = lesson.dp
    return {"the sign is missing: p = -z falls when z grows, so the slope is -1": dp,
            "that is the local slope; it should be multiplied by dp, which comes from above": -1.0,
            "the slope of -z is -1, not -z": -dp * lesson.z,
            "the slope of -z is -1, not z": dp * lesson.z}


def turn_slope(lesson: SimpleNamespace) -> Known:
    s = lesson.s
    return {"that is the slope of tanh; the sigmoid's is s (1 - s)": 1 - s ** 2,
            "the factor s is missing": 1 - s,
            "the factor 1 - s is missing": s,
            "the sign is wrong: it is s (1 - s)": s * (s - 1),
            "it is s (1 - s), with one s before it": s ** 2 * (1 - s),
            "it is s (1 - s), not s (1 + s)": s * (1 + s)}


# The walk

def turn_walk_back(lesson: SimpleNamespace, given: Callable[[SimpleNamespace], list[float]]) -> None:
    _check_walk(given)


def _walk(graph: SimpleNamespace, mistake: str = "") -> list[float]:
    """The gradients of all nodes, or what they become by a mistake."""
    count = len(graph.values)
    gradients = [1.0 if mistake == "all one" else 0.0] * count
    gradients[0 if mistake == "first" else -1] = 0.0 if mistake == "no start" else 1.0
    for node in range(count) if mistake == "forwards" else reversed(range(count)):
        for i, slope in graph.edges[node]:
            new = {"no slope": gradients[node], "no above": slope, "value": gradients[node] * graph.values[i],
                   "added": gradients[node] + slope}.get(mistake, gradients[node] * slope)
            gradients[i] = new if mistake == "overwrites" else gradients[i] + new
    return gradients


WALK = {
    "overwrites": "what comes back from one use overwrites what came from another: use `+=`, a value gets the sum of its uses",
    "no slope": "the local slope is missing: what comes from above is multiplied by it",
    "no above": "those are sums of local slopes; each has to be multiplied by the gradient of its node, which comes from above",
    "value": "it is multiplied by the value of the input; it should be the local slope, the second of each pair",
    "added": "what comes from above is multiplied by the local slope, not added to it",
    "forwards": "only the last node was reached when it had a gradient: walk over all, from the last to the first (`reversed`)",
    "no start": "all gradients are 0; the last node begins with 1.0",
    "first": "the 1.0 stands at the first node; it is the last node that begins with it",
    "all one": "all gradients begin with 1.0; only the last does, the others begin with 0.0"}


def _check_walk(walk: Callable[[SimpleNamespace], list[float]]) -> None:
    """A walk over a chain, and over (x w + x)² where x is used twice.

    Raises:
        Wrong: the gradients are not right.
    """
    # values 2, 3; 2 · 3 = 6; 6 + 2 = 8; 8² = 64
    graph = SimpleNamespace(values=[2.0, 3.0, 6.0, 8.0, 64.0],
                            edges=[(), (), ((0, 3.0), (1, 2.0)), ((2, 1.0), (0, 1.0)), ((3, 16.0),)])
    chain = SimpleNamespace(values=[2.0, 4.0, 16.0], edges=[(), ((0, 4.0),), ((1, 8.0),)])
    for which, shape in ((chain, "a chain of three nodes"), (graph, "(x w + x)², where x is used twice")):
        got = walk(which)
        array = as_array(got, "what walk_back returns")
        if array.shape != (len(which.values),):
            came = f"{len(array)} numbers" if array.ndim == 1 else "one number" if array.ndim == 0 else f"shape {array.shape}"
            raise Wrong(f"a walk returns a list of one number for each node, here {len(which.values)}; this one gives {came}")
        expect_close(array, _walk(which), f"the gradients of {shape}",
                     {sentence: _walk(which, mistake) for mistake, sentence in WALK.items()})


# Exercises

def exercise_1(answer: Answer) -> None:
    """Back through a graph, on paper

    dc, dw and dx for a = x w, c = a + x, L = c², with x = 1 and w = 2.
    """
    answer.on_paper("dc", 6, [
        "L = c², and its slope at c is 2c. How large is c?",
        "a = 2 and c = 3."], {
        "that is the loss; its slope is 2c": 9, "the factor 2 is missing: the slope of c² is 2c": 3,
        "c is a + x: is the x missing?": 4})
    answer.on_paper("dw", 6, [
        "Go back edge by edge: dc, then da, then w by the local slope of a = x w.",
        "da = dc, and the local slope of x w for w is x."], {
        "the local slope of x w for w is x, not w": 12,
        "that is the local slope alone; it is multiplied by what comes from above": 1})
    answer.on_paper("dx", 18, [
        "x goes into two places: into a = x w and straight into c. What comes back by both is added.",
        "By the product comes da w, straight comes dc."], {
        "x is used twice; the way straight into c is missing": 12,
        "x is used twice; the way through the product is missing": 6,
        "the two ways are added, not multiplied": 72,
        "those are the local slopes alone; they are multiplied by what comes from above": 3})


def exercise_2(answer: Answer) -> None:
    """The whole backward of a neuron

    neuron_backward(x, w, b, t): returns dx (N,), dw, db, for x and t (N,), numbers w and b, s = σ(x w + b) and L = Σ (s - t)².
    """
    x, t, w, b = np.array([0.5, -1.0, 2.0]), np.array([1.0, 0.0, 0.0]), 0.7, -0.2
    result = answer.function("neuron_backward")(x, w, b, t)
    if not isinstance(result, (tuple, list)) or len(result) != 3:
        raise Wrong("neuron_backward should return three things: dx, dw, db")
    s = 1 / (1 + np.exp(-(x * w + b)))
    slopes = {"": s * (1 - s), "the slope of the sigmoid, s (1 - s), is missing": np.ones(3),
              "the slope of the sigmoid is s (1 - s), not 1 - s²": 1 - s ** 2,
              "the slope of the sigmoid is s (1 - s); its factor s is missing": 1 - s,
              "the slope of the sigmoid is s (1 - s); its factor 1 - s is missing": s}
    dz = {sentence: 2 * (s - t) * slope for sentence, slope in slopes.items()}
    dz["the factor 2 is missing: the slope of a square is twice the difference"] = dz[""] / 2
    dz["the sign is wrong: L grows with s where s is larger than t"] = -dz[""]
    dz["it is a mean over the samples; L is their sum"] = dz[""] / 3
    right = dz.pop("")
    expect_close(result[0], right * w, "dx", {sentence: wrong * w for sentence, wrong in dz.items()} | {
        "that is dz; between z and x stands w": right,
        "the local slope of x w for x is w, not x": right * x,
        "each sample has an x of its own: there is no sum in dx": np.sum(right * w)})
    missing = "the sum over the samples is missing: all of them use it"
    expect_close(result[1], np.sum(right * x), "dw", {sentence: np.sum(wrong * x) for sentence, wrong in dz.items()} | {
        missing: right * x, "the local slope of x w for w is x, not w": np.sum(right * w),
        "the local slope x is missing": np.sum(right)})
    expect_close(result[2], np.sum(right), "db", {sentence: np.sum(wrong) for sentence, wrong in dz.items()} | {
        missing: right, "the local slope of z = x w + b for b is 1, not x": np.sum(right * x)})


def exercise_3(answer: Answer) -> None:
    """The bug in the walk

    The function walk_back at the end of the lesson has a bug. Write it right as
    fixed_walk_back(graph): returns a list, the gradient of each node.
    """
    _check_walk(answer.function("fixed_walk_back"))


def exercise_4(answer: Answer) -> None:
    """Where the sigmoid is flat

    flat_z: the z > 0 at which the slope of the sigmoid is a hundredth of the slope at 0.
    """
    z = float(answer.array("flat_z", ()))
    if z < 0:
        raise Wrong("that may be right for -z, but the positive z is asked for")
    s = 1 / (1 + math.exp(-min(z, 700.0)))
    part = 4 * s * (1 - s)
    if abs(s * (1 - s) - 0.01) < 2e-4:
        raise Wrong(f"at z = {z:g} the slope is 0.01; the slope at 0 is 0.25, so a hundredth of that is asked for")
    if abs(part - 0.01) > 1e-4:
        raise Wrong(f"at z = {z:g} the slope is {part:.3g} of that at 0, and not 0.01")
