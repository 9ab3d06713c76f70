"""Checks of lesson 23: its turns and its exercises."""
from collections.abc import Callable
from math import comb
from types import SimpleNamespace
from typing import Any

import numpy as np

from nblayers import gradcheck
from nblayers.layers import Layer
from nblayers.learn import mistakes
from nblayers.learn.differences import shape_in_words
from nblayers.learn.exercises import Answer, Wrong, as_array, described, expect_all, expect_close, for_each_size

Known = dict[str, np.ndarray]


# Prototypes

def turn_y(lesson: SimpleNamespace) -> Known:
    s, e = lesson.s, lesson.e
    return {"the sign is wrong: the nearest one should be the largest number": -lesson.y,
            "the half is missing": 2 * lesson.y,
            "s is missing: each square counts as far as it is sure": -0.5 * (e ** 2).sum(axis=2),
            "the square is missing": -0.5 * (s[:, None] * e).sum(axis=2),
            "s is squared too; it stands before the square": -0.5 * ((s[:, None] * e) ** 2).sum(axis=2),
            "it is a mean; the squares are added up": lesson.y / 2,
            "that is not summed yet: over d, the last axis": -0.5 * s[:, None] * e ** 2,
            "that is the sum over the prototypes; it runs over d, the last axis": -0.5 * (s[:, None] * e ** 2).sum(axis=1)}


def turn_de(lesson: SimpleNamespace) -> Known:
    s, e, dy = lesson.s[:, None], lesson.e, lesson.dy[:, :, None]
    return {"the minus is missing": dy * s * e,
            "the 2 of the square and the half make 1": -0.5 * dy * s * e,
            "the half of the formula is gone: the square brings a 2": -2 * dy * s * e,
            "e is missing: the slope of e² is 2 e": -dy * s * np.ones_like(e),
            "s is missing": -dy * e,
            "dy is missing: the slope is multiplied by what comes from above": -s * np.ones_like(dy) * e,
            "the square is still there; its slope is 2 e": -dy * s * e ** 2}


def turn_dx(lesson: SimpleNamespace) -> Known:
    de = lesson.de
    return {"the minus belongs to c; e = x - c": -de.sum(axis=1),
            "that is the sum over the samples; x has no index k": de.sum(axis=0),
            "it is a mean over the prototypes; the ways are added up": de.mean(axis=1),
            "that is the first prototype alone; x stands in the e of all": de[:, 0],
            "that is the sum over d; x has no index k": de.sum(axis=2)}


def turn_dc(lesson: SimpleNamespace) -> Known:
    de = lesson.de
    return {"a minus is missing: e = x - c": de.sum(axis=0),
            "it is a mean over the samples; it is a sum": -de.mean(axis=0),
            "that is the sum over the prototypes; c has no index n": -de.sum(axis=1),
            "that is the first sample alone": -de[0],
            "that is the second sample alone": -de[1]}


def turn_ds(lesson: SimpleNamespace) -> Known:
    s, e, dy = lesson.s, lesson.e, lesson.dy[:, :, None]
    right = lesson.ds
    return {"the minus is missing": -right,
            "the half stays: s has no square": 2 * right,
            "dy is missing": -0.5 * (e ** 2).sum(axis=1),
            "s itself is not in its own gradient: y is linear in s": s * right,
            "the square is missing": -0.5 * (dy * e).sum(axis=1),
            "it is a mean over the prototypes; the ways are added up": right / 3,
            "that is not summed yet: s has no index k": -0.5 * dy * e ** 2}


def turn_backward(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    rng = np.random.default_rng(23)
    x, s, c, dy, old = (rng.normal(size=shape) for shape in ((3, 4), (3, 4), (2, 4), (3, 2), (2, 4)))
    layer = lesson.Distances(2, dtype="float64")
    layer.build(x.shape, s.shape)
    layer.set_weights([c])
    layer.forward(x, s)
    kept = layer.cache
    layer.c.grad = old
    result = given(layer, dy)
    if layer.cache is not kept or not np.array_equal(kept[1], x[:, None] - c) or not np.array_equal(kept[0], s):
        raise Wrong("it changes the cache; backward only reads it")
    if not isinstance(result, (list, tuple)) or len(result) != 2:
        raise Wrong("it should return a list of two arrays, [dx, ds]: one for each input")
    e = x[:, None] - c
    de = -dy[:, :, None] * s[:, None] * e
    dx, dc, ds = de.sum(axis=1), -de.sum(axis=0), -0.5 * (dy[:, :, None] * e ** 2).sum(axis=1)
    expect_close(result[0], dx, "dx", {"dx and ds have changed places": ds,
                                       "a sign is wrong: dx is the sum of de over k, with de = -dy s e": -dx})
    expect_close(result[1], ds, "ds", {"a sign is wrong: y has a minus": -ds, "the half is missing": 2 * ds})
    grad = np.array(layer.c.grad)
    if np.array_equal(grad, old):
        raise Wrong("nothing is added to layer.c.grad")
    expect_close(grad - old, dc, "what is added to layer.c.grad", {
        "it replaces what was there: add with `+=`": dc - old,
        "it should be the gradient of c: e = x - c, so a minus stands before the sum of de": -dc})


def turn_dpenalty(lesson: SimpleNamespace) -> Known:
    lam, c = lesson.lam, lesson.c
    return {"the 2 of the square is missing": lam * c, "lambda is missing": 2 * c,
            "that is the penalty of each; its slope is 2 lambda c": lam * c ** 2,
            "the sign is wrong: this loss grows with c": -2 * lam * c,
            "that is the penalty itself, one number": lam * np.sum(c ** 2)}


def turn_c_next(lesson: SimpleNamespace) -> Known:
    c, dc, penalty, alpha = lesson.c, lesson.dc, lesson.dpenalty, lesson.alpha
    return {"a step goes against the gradient": c + alpha * (dc + penalty),
            "the penalty's part is missing": c - alpha * dc,
            "the data's part is missing": c - alpha * penalty,
            "the penalty's gradient is added, not taken off": c - alpha * (dc - penalty),
            "alpha is missing": c - (dc + penalty),
            "alpha stands before both parts": c - alpha * dc - penalty,
            "that is the step alone": -alpha * (dc + penalty)}


# The stranger's layer

def _attempt(lesson: SimpleNamespace) -> Any:
    """A stranger's layer with small inputs, its states all computed by the formula."""
    rng = np.random.default_rng(230)
    layer = lesson.Stranger(3, 2)
    layer.b = rng.normal(size=2)
    layer.x = rng.normal(size=(2, 4, 3))
    layer.h = np.zeros((2, 4, 2))
    return layer


def _formula(layer: Any, t: int, before: np.ndarray) -> np.ndarray:
    return np.tanh(layer.x[:, t] @ layer.W + before @ layer.U + layer.b)


def turn_step(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    layer, zero = _attempt(lesson), np.zeros((2, 2))
    for t in range(4):
        before = layer.h[:, t - 1] if t else zero
        right = _formula(layer, t, before)
        got = given(layer, t)
        a = layer.x[:, t] @ layer.W + before @ layer.U + layer.b
        wrong = {"that is the stranger's: self.h[:, t] is still zero here; the state before has the index t - 1":
                 _formula(layer, t, zero)} if t else {}
        expect_close(got, right, f"what step({t}) returns", wrong | {
            "the tanh is missing": a, "the bias is missing": np.tanh(a - layer.b),
            "the input's part is missing": np.tanh(a - layer.x[:, t] @ layer.W)})
        layer.h[:, t] = right


def turn_db_found(lesson: SimpleNamespace) -> Known:
    da = lesson.da_all
    return {"that would be right; `=` keeps only what came last": da.sum(axis=(0, 1)),
            "the walk goes backwards in time, so the step that comes last is t = 0": da[:, -1].sum(axis=0),
            "it is summed over the samples: sum(axis=0)": da[:, 0],
            "that is sample 0 alone; `collect` sums over the samples": da[0, 0],
            "that is the sum over the steps; `collect` sums over the samples of one step": da[0].sum(axis=0)}


def turn_db_right(lesson: SimpleNamespace) -> Known:
    da = lesson.da_all
    return {"that is what the stranger has: one step alone": da[:, 0].sum(axis=0),
            "the sum over the steps is missing": da.sum(axis=0), "the sum over the samples is missing": da.sum(axis=1),
            "it is divided by the samples; the bias' gradient is a sum": da.sum(axis=(0, 1)) / 2,
            "it is divided by the steps; the bias' gradient is a sum": da.sum(axis=(0, 1)) / 4,
            "it is a mean; the bias' gradient is a sum": da.mean(axis=(0, 1))}


def _collected(lesson: SimpleNamespace, given: Callable[..., Any]) -> tuple[dict[str, np.ndarray], Any, np.ndarray]:
    """What the gradients hold after a walk, the layer, and all da."""
    layer = _attempt(lesson)
    for t in range(4):
        layer.h[:, t] = _formula(layer, t, layer.h[:, t - 1])
    da = np.random.default_rng(231).normal(size=(2, 4, 2))
    layer.dW, layer.dU, layer.db = np.zeros((3, 2)), np.zeros((2, 2)), np.zeros(2)
    for t in reversed(range(4)):
        try:
            given(layer, t, da[:, t])
        except Wrong as wrong:
            if "returns nothing" not in str(wrong):     # as it should
                raise
    return {"dW": layer.dW, "dU": layer.dU, "db": layer.db}, layer, da


def _expect_weights(got: dict[str, np.ndarray], layer: Any, da: np.ndarray) -> None:
    expect_close(got["db"], da.sum(axis=(0, 1)), "db", {
        "it still holds one step alone: `=` replaces, `+=` adds": da[:, 0].sum(axis=0),
        "it is a mean over the samples; take their sum": da.mean(axis=0).sum(axis=0)})
    expect_close(got["dW"], np.einsum("nti,nth->ih", layer.x, da), "dW", {
        "it holds one step alone; that line was right": layer.x[:, 0].T @ da[:, 0]})


def turn_collect(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    got, layer, da = _collected(lesson, given)
    _expect_weights(got, layer, da)
    if np.allclose(got["dU"], np.einsum("nti,nth->ih", layer.h[:, :-1], da[:, 1:])):
        raise Wrong("dU is mended too. Leave its line as the stranger wrote it for now: the next report shows how well it is "
                    "found alone")
    around = np.einsum("nti,nth->ih", np.roll(layer.h, 1, axis=1), da)
    expect_close(got["dU"], around, "dU, which is to be left as it was,", {
        "nothing is added to it": np.zeros((2, 2))})


def turn_collect_2(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    got, layer, da = _collected(lesson, given)
    _expect_weights(got, layer, da)
    h, around = layer.h, np.einsum("nti,nth->ih", np.roll(layer.h, 1, axis=1), da)
    expect_close(got["dU"], np.einsum("nti,nth->ih", h[:, :-1], da[:, 1:]), "dU", {
        "at t = 0 the last state still comes in: nothing is to be added there": around,
        "it is made with h_t; U is multiplied by the state before": np.einsum("nti,nth->ih", h, da),
        "that leaves out t = 0 and makes the others with h_t; U is multiplied by the state before":
            np.einsum("nti,nth->ih", h[:, 1:], da[:, 1:]),
        "the step t = 1 is missing too; only t = 0 is to be left out": np.einsum("nti,nth->ih", h[:, 1:-1], da[:, 2:])})


# The Jacobian

def turn_J(lesson: SimpleNamespace) -> Known:
    p = lesson.p
    return {"that is the stranger's, the diagonal alone": np.diag(p * (1 - p)),
            "the diagonal is p - p²": -np.outer(p, p),
            "the sign of the part beside the diagonal is wrong: if one grows, the others shrink": np.diag(p) + np.outer(p, p),
            "beside the diagonal stands -p_o p_i": np.diag(p),
            "p - p² stands on the diagonal; elsewhere it is -p_o p_i": np.diag(p) - np.outer(p, np.ones(4)),
            "it is turned round": np.outer(p, p) - np.diag(p)}


def turn_dx_of_ones(lesson: SimpleNamespace) -> Known:
    p = lesson.p
    return {"that is the stranger's, p (1 - p), by elements": (p * (1 - p))[None],
            "the sum of the outputs is always 1; how fast does it grow?": np.ones((1, 4)),
            "that is p itself; the sum of all p does not change": p[None]}


def turn_slope_at_zero(lesson: SimpleNamespace) -> Known:
    return {"that is the slope at the left": np.array(0.0), "that is the slope at the right": np.array(1.0),
            "only one side is counted, and divided by the whole way": np.array(0.25),
            "that is the difference; divide it by the way, two tiny steps": np.array(1e-5)}


# Exercises

def exercise_1(answer: Answer) -> None:
    """Prototypes on paper

    dc (2 × 2) and ds (2 numbers) for x = (1, 2), s = (1, 2), the prototypes (0, 0) and (2, 1), and dy = (2, 1).
    """
    answer.on_paper("dc", [[2, 8], [-1, 2]], ["First e = x - c for each prototype, then de = -dy s e.",
                                              "The gradient of c is -de: there is one sample only."], {
        "the sign is wrong; e = x - c, so c gets -de": [[-2, -8], [1, -2]],
        "s is missing": [[2, 4], [-1, 1]],
        "dy is missing": [[1, 4], [-1, 2]],
        "the slope of -½ s e² is -s e, without a half": [[1, 4], [-0.5, 1]],
        "the rows are the prototypes; yours are the columns": [[2, -1], [8, 2]]})
    answer.on_paper("ds", [-1.5, -4.5], ["s stands before the square: its slope is -½ e².",
                                         "Both prototypes send something; it is added up."], {
        "the half is missing": [-3, -9], "the sign is wrong: y has a minus": [1.5, 4.5],
        "dy is missing": [-1, -2.5], "s itself is not in its own gradient": [-1.5, -9],
        "the square is missing": [-0.5, -2.5], "that is the first prototype alone": [-1, -4],
        "that is the second prototype alone": [-0.5, -0.5]})


def exercise_2(answer: Answer) -> None:
    """A whole layer, with two inputs

    A class Bilinear(Layer), made by Bilinear(units), with a weight self.W (I, M, units). forward(x, z), x (N, I) and z (N, M),
    gives y (N, units), and backward(dy) returns [dx, dz].
    """
    kind = answer.value("Bilinear")
    if not (isinstance(kind, type) and issubclass(kind, Layer)):
        raise Wrong("Bilinear should be a class made from Layer: `class Bilinear(Layer):`")

    def run(what: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            if "build() missing" in str(error) or "build() got" in str(error):
                raise Wrong("build takes a shape for each input: `def build(self, x_shape, z_shape):`") from error
            raise Wrong(f"{what} raised {described(error, answer._path)}") from error

    def compare(N: int, sizes: tuple[int, int, int]) -> None:
        rng = np.random.default_rng(23)
        I, M, K = sizes
        x, z, W, dy = (rng.normal(size=shape) for shape in ((N, I), (N, M), sizes, (N, K)))
        layer = run("Bilinear(units)", lambda: kind(K))
        run("astype", lambda: layer.astype("float64"))
        run("forward(x, z)", lambda: layer.forward(x, z))
        parameter = getattr(layer, "W", None)
        if parameter is None or not any(parameter is own for own in layer.weights):
            raise Wrong("self.W should be a weight: in build, `self.W = self.add_weight((I, M, K))`")
        if parameter.shape != sizes:
            raise Wrong(f"for x {x.shape}, z {z.shape} and {K} units W should {shape_in_words(sizes, 'have', 'be')}, but it "
                        f"{shape_in_words(parameter.shape, 'has', 'is')}")
        parameter.value = W
        y = run("forward(x, z)", lambda: layer.forward(x, z))
        expect_close(y, np.einsum("ni,imk,nm->nk", x, W, z), "y", {"z is missing": np.einsum("ni,imk->nk", x, W)})
        result = run("backward(dy)", lambda: layer.backward(dy.copy()))
        if not isinstance(result, (list, tuple)) or len(result) != 2:
            raise Wrong("backward should return a list of two arrays, [dx, dz]")
        if not np.any(parameter.grad):
            raise Wrong("backward adds nothing to self.W.grad")
        right = {"dx": np.einsum("nk,imk,nm->ni", dy, W, z), "dz": np.einsum("nk,imk,ni->nm", dy, W, x),
                 "dW": np.einsum("ni,nm,nk->imk", x, z, dy)}
        wrong: mistakes.Mistakes = {
            "it is divided by N; it is a sum over the samples": {"dW": right["dW"] / N},
            "that is the first sample alone; it is a sum over the samples": {"dW": np.einsum("i,m,k->imk", x[0], z[0], dy[0])},
            "that is the last sample alone; it is a sum over the samples":
                {"dW": np.einsum("i,m,k->imk", x[-1], z[-1], dy[-1])},
            "z is missing; y is linear in x, with the factor W z": {"dx": np.einsum("nk,imk->ni", dy, W)},
            "x is missing; y is linear in z, with the factor x W": {"dz": np.einsum("nk,imk->nm", dy, W)},
            "z is missing; its factor is x z": {"dW": np.repeat(np.einsum("ni,nk->ik", x, dy)[:, None], M, axis=1)},
            "x is missing; its factor is x z": {"dW": np.repeat(np.einsum("nm,nk->mk", z, dy)[None], I, axis=0)}}
        for name in right:                              # for one sample some of them are right
            wrong = {sentence: numbers for sentence, numbers in wrong.items()
                     if name not in numbers or not mistakes.same(numbers[name], right[name])}
        expect_all((*result, np.array(parameter.grad)), right, wrong, ("dx", "dz", "dW"), "backward")
        report = run("the check", lambda: gradcheck(layer, x, z, raise_error=False))
        if not report:
            raise Wrong(f"the gradient checker says: {report.findings[0].text}")

    for_each_size(answer, compare, [(1, (2, 3, 1)), (2, (3, 2, 4)), (4, (2, 3, 5))])


def exercise_3(answer: Answer) -> None:
    """The branch that spoils the other

    The function residual_backward at the end of the lesson has a bug. Write it right as
    fixed_residual_backward(x, W, dy): returns dx, dW for y = x + relu(x W).
    """
    rng = np.random.default_rng(24)
    x, W, dy = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), rng.normal(size=(3, 4))
    slope = x @ W > 0
    da = dy * slope
    right = {"dx": dy + da @ W.T, "dW": x.T @ da}
    result = answer.function("fixed_residual_backward")(x, W, dy)
    expect_all(result, right, {
        "the shortcut still loses what relu stops: `da` and `dy` are one array": {"dx": da + da @ W.T},
        "the shortcut is missing: y = x + …": {"dx": da @ W.T},
        "the slope of relu is missing": {"dx": dy + dy @ W.T, "dW": x.T @ dy}}, ("dx", "dW"), "fixed_residual_backward")


def exercise_4(answer: Answer) -> None:
    """What a sample of elements misses

    found: the share of checks that find one wrong column of 100 with 200 of 10,000 elements. needed: how many elements find it
    in 99 of 100 checks. (A few per cent more or less will do.)
    """
    found = float(answer.array("found", ()))
    right = 1 - comb(9900, 200) / comb(10000, 200)
    if abs(found - (1 - right)) < 0.03:
        raise Wrong("found: that is the share of checks that miss it", recognised=True)
    if abs(found - 100 * right) < 3:
        raise Wrong("found: a share is from 0 to 1", recognised=True)
    if abs(found - 0.02) < 0.003:
        raise Wrong("found: that is the share of elements that are compared; one of 100 wrong ones among them is enough",
                    recognised=True)
    if abs(found - right) > 0.03:
        raise Wrong(f"found is not {found:g}. A check misses the fault if all 200 elements lie in the other 99 columns")
    needed = float(as_array(answer.value("needed"), "needed", ()))
    exact = next(count for count in range(1, 10001) if 1 - comb(9900, count) / comb(10000, count) >= 0.99)
    if abs(needed - exact) > 0.06 * exact:
        raise Wrong(f"needed: with {needed:g} elements it is found in {'more' if needed > exact else 'fewer'} than 99 of 100 "
                    "checks")
