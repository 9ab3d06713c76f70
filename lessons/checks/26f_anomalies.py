"""Checks of lesson 26f: its turns and its exercises."""
from types import SimpleNamespace

import numpy as np

from lessons.data import scans
from nblayers.learn import mistakes
from nblayers.learn.exercises import Answer, Wrong, expect_all, expect_close, for_each_size

Known = dict[str, np.ndarray]


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


# Forward

def turn_code(lesson: SimpleNamespace) -> Known:
    a = lesson.x @ lesson.W
    return {"the bias b is missing": a,
            "b is taken off; it is added": a - lesson.b,
            "the code has no activation here; only y has a sigmoid": _sigmoid(a + lesson.b),
            "the code has no activation here; no ReLU": np.maximum(a + lesson.b, 0),
            "that is made with V, which draws; the code is made with W": lesson.x @ lesson.V.T + lesson.b}


def turn_y(lesson: SimpleNamespace) -> Known:
    z = lesson.z
    return {"that is z; the sigmoid is missing": z,
            "the sign is wrong: it is exp(-z)": _sigmoid(-z),
            "that is a tanh; ink is a number from 0 to 1: the sigmoid": np.tanh(z),
            "that is the slope of the sigmoid; asked is the sigmoid itself": _sigmoid(z) * _sigmoid(-z),
            "that is cut off at 0 and 1; the sigmoid is smooth": np.clip(z, 0, 1),
            "the 1 in front of exp(-z) is missing": np.exp(z)}


def turn_errors(lesson: SimpleNamespace) -> Known:
    off = lesson.y - lesson.x
    return {"that is the mean over all pictures; each picture has an error of its own: axis=1": np.mean(off ** 2),
            "the mean is over the pictures; it should be over the points, axis=1": np.mean(off ** 2, axis=0),
            "that is the sum over the points; the error is the mean": np.sum(off ** 2, axis=1),
            "the differences are not squared": np.mean(np.abs(off), axis=1),
            "differences of different signs cancel: square them first": np.mean(off, axis=1) ** 2,
            "that is the root of the error": np.sqrt(np.mean(off ** 2, axis=1)),
            "that is one for each point; the error of a picture is the mean of them": off ** 2}


# Backward

def turn_dy(lesson: SimpleNamespace) -> Known:
    off, N, D = lesson.y - lesson.x, lesson.N, lesson.D
    return {"the square's 2 is missing": off / (N * D),
            "it is divided by the number of pictures alone; L is the mean over their points too: N D": 2 * off / N,
            "it is divided by the number of points alone; L is the mean over the pictures too: N D": 2 * off / D,
            "the division is missing; L is a mean over N D squares": 2 * off,
            "the sign is wrong: what is drawn too dark should become lighter": -2 * off / (N * D)}


def turn_dz(lesson: SimpleNamespace) -> Known:
    dy, y, z = lesson.dy, lesson.y, lesson.z
    return {"the slope of the sigmoid is missing": dy,
            "that is the slope of a tanh; that of a sigmoid is y (1 - y)": dy * (1 - y ** 2),
            "the second factor of the slope is missing: y (1 - y)": dy * y,
            "the first factor of the slope is missing: y (1 - y)": dy * (1 - y),
            "the slope is made with z; it is y (1 - y)": dy * z * (1 - z),
            "the sigmoid is taken once more; y is sigmoid(z) already": dy * _sigmoid(y) * _sigmoid(-y),
            "dy is missing": y * (1 - y)}


def turn_dV(lesson: SimpleNamespace) -> Known:
    code, dy, dz = lesson.code, lesson.dy, lesson.dz
    return {"that is made with dy; V stands in z, so it gets dz": code.T @ dy,
            "it is the transpose of what it should be: as large as V, (1, D)": dz.T @ code,
            "that is made with x; z is made of the code": lesson.x.T @ dz,
            "it is divided by N; the mean is in dz already": code.T @ dz / lesson.N,
            "the code is missing": dz.sum(axis=0, keepdims=True),
            "the sum over the pictures is missing: a product of matrices, with code transposed": code * dz}


def turn_dcode(lesson: SimpleNamespace) -> Known:
    dy, dz = lesson.dy, lesson.dz
    return {"that is made with dy; what comes back has gone through the sigmoid: dz": dy @ lesson.V.T,
            "that goes back by W; from z to the code it is V": dz @ lesson.W,
            "V is missing": dz.sum(axis=1, keepdims=True),
            "dz is missing": np.full_like(lesson.code, lesson.V.sum()),
            "it is a mean over the points; the code stands in all of them: the sum": dz @ lesson.V.T / lesson.D}


def turn_dW(lesson: SimpleNamespace) -> Known:
    x, dcode = lesson.x, lesson.dcode
    return {"that is made with y; the code is made of x": lesson.y.T @ dcode,
            "it is the transpose of what it should be: as large as W, (D, 1)": dcode.T @ x,
            "it is divided by N; the mean is in dcode already": x.T @ dcode / lesson.N,
            "x is missing": np.full_like(lesson.W, dcode.sum()),
            "that is made with dz; W stands in the code, so it gets dcode": x.T @ lesson.dz,
            "the sum over the pictures is missing: a product of matrices, with x transposed": x * dcode}


def turn_dx(lesson: SimpleNamespace) -> Known:
    way_in, dy = lesson.dcode @ lesson.W.T, lesson.dy
    return {"that is the way in alone; x is also what y is compared with": way_in,
            "that is the comparison alone; x also goes in, through W": -dy,
            "the sign of the comparison is wrong: in y - x, x has a minus": way_in + dy,
            "the way in has the wrong sign": -way_in - dy,
            "two ways are added, not multiplied": -way_in * dy,
            "the comparison has its gradient dy by y, not dz": way_in - lesson.dz}


# The threshold, and how good it is

def turn_threshold(lesson: SimpleNamespace) -> Known:
    errors, share = lesson.errors_good, lesson.share
    return {"above it lie all but a share; a share should: the part 1 - share lies below": np.quantile(errors, share),
            "above the largest one nothing lies; a share should": errors.max(),
            "that is the mean; how many lie above it is left to chance": errors.mean(),
            "that is the median: half of the good ones lie above it": np.median(errors),
            "that is the share of the largest error, not of the pictures": (1 - share) * errors.max(),
            "that is the mean and two deviations; asked is the quantile": errors.mean() + 2 * errors.std()}


def turn_called(lesson: SimpleNamespace) -> Known:
    return {"those are the ones below; suspect is what lies above the threshold": lesson.errors_new < lesson.threshold,
            "that is the truth, which nobody knows yet; compare the errors with the threshold": lesson.damaged,
            "those are the errors; compare them with the threshold": lesson.errors_new,
            "that calls all pictures damaged": np.ones(8, bool)}


def turn_precision(lesson: SimpleNamespace) -> Known:
    called, damaged = lesson.called, lesson.damaged
    hits = np.sum(called & damaged)
    return {"that is the recall; for the precision divide by those that were called damaged": hits / damaged.sum(),
            "that is the share of right answers": np.mean(called == damaged),
            "divide by those that were called damaged, not by all": hits / len(called),
            "that is the share of false alarms": 1 - hits / called.sum(),
            "that is a number of pictures; divide by those that were called damaged": hits,
            "all that were called are counted, the false alarms too": called.sum() / damaged.sum()}


def turn_recall(lesson: SimpleNamespace) -> Known:
    called, damaged = lesson.called, lesson.damaged
    hits = np.sum(called & damaged)
    return {"that is the precision; for the recall divide by those that are damaged": hits / called.sum(),
            "that is the share of right answers": np.mean(called == damaged),
            "divide by those that are damaged, not by all": hits / len(called),
            "that is the share of those that were missed": 1 - hits / damaged.sum(),
            "that is a number of pictures; divide by those that are damaged": hits,
            "all that were called are counted, the false alarms too": called.sum() / damaged.sum()}


# Exercises

def exercise_1(answer: Answer) -> None:
    """Threshold and slope, on paper

    precision and recall, for errors from 1 to 10, of which those with 4, 8, 9, 10 are damaged, and a threshold of 5.5; dx
    (2 numbers) of L = (y_0 - x_0)² + (y_1 - x_1)², for x = (1, 1), code = x_0 + 2 x_1 and y = (code, 0).
    """
    answer.on_paper("precision", 0.6, ["How many lie above the threshold, and how many of these are damaged?",
                                       "Five lie above it."], {
        "that is the recall": 0.75, "that is the share of false alarms": 0.4, "that is the share of right answers": 0.7,
        "divide by those that were called damaged, not by all": 0.3})
    answer.on_paper("recall", 0.75, ["How many are damaged, and how many of these lie above the threshold?",
                                     "Four are damaged."], {
        "that is the precision": 0.6, "that is the share of those that were missed": 0.25,
        "that is the share of right answers": 0.7, "divide by those that are damaged, not by all": 0.3})
    answer.on_paper("dx", [0, 10], ["First y, then dy = 2 (y - x), then the two ways to x, one of them with a minus.",
                                    "y = (3, 0), dy = (4, -2)."], {
        "that is the way in alone; x is also what y is compared with": [4, 8],
        "that is the comparison alone; x also goes in": [-4, 2],
        "the sign of the comparison is wrong": [8, 6],
        "the squares' 2 is missing": [0, 5]})


def exercise_2(answer: Answer) -> None:
    """A whole backward, with a batch axis

    autoencoder_backward(x, W, b, V, c): runs forward and then backward, and returns dW, db, dV, dc, dx of the mean of all
    (y - x)², for code = max(0, x W + b) and y = σ(code V + c). x (N, D), W (D, K), b (K,), V (K, D), c (D,).
    """
    names = ("dW", "db", "dV", "dc", "dx")

    def check(N: int, D: int, K: int) -> None:
        rng = np.random.default_rng(100 * N + D)
        x, W, b, V, c = (rng.normal(size=size) for size in ((N, D), (D, K), (K,), (K, D), (D,)))
        result = answer.function("autoencoder_backward")(x, W, b, V, c)
        a = x @ W + b
        code = np.maximum(a, 0)
        y = _sigmoid(code @ V + c)

        def compute(mistake: str) -> mistakes.Values:
            factor = {"no 2": 1 / (N * D), "by N": 2 / N, "no mean": 2.0, "sign": -2 / (N * D)}.get(mistake, 2 / (N * D))
            dy = factor * (y - x)
            slope = {"no sigmoid": np.ones_like(y), "as tanh": 1 - y ** 2}.get(mistake, y * (1 - y))
            dz = dy * slope
            da = dz @ V.T * (1 if mistake == "no relu" else a > 0)
            dx = {"way in": da @ W.T, "dx sign": da @ W.T + dy, "compared": -dy}.get(mistake, da @ W.T - dy)
            dV = {"a for code": a.T @ dz}.get(mistake, code.T @ dz)
            return {"dW": x.T @ da, "db": da.sum(axis=0), "dV": dV, "dc": dz.sum(axis=0), "dx": dx}
        right = compute("")
        wrong = mistakes.spoiled(right, compute, {
            "no relu": "the slope of ReLU is missing: where a is negative, nothing comes back",
            "no sigmoid": "the slope of the sigmoid, y (1 - y), is missing",
            "as tanh": "that is the slope of a tanh; that of a sigmoid is y (1 - y)",
            "no 2": "the square's 2 is missing from dy",
            "by N": "dy is divided by N alone; L is the mean over N D squares",
            "no mean": "the division by N D is missing from dy",
            "sign": "the sign of dy is wrong: it is y - x",
            "way in": "dx is the way in alone; x is also what y is compared with",
            "compared": "dx is the comparison alone; x also goes in, through W",
            "dx sign": "in dx the sign of the comparison is wrong: in y - x, x has a minus",
            "a for code": "dV is made with a; z is made of the code, after the ReLU"})
        expect_all(result, right, wrong, names, "autoencoder_backward", {"dx": ("picture", "point")},
                   order=("dc", "dV", "db", "dW", "dx"))
    for_each_size(answer, check, [(1, 2, 1), (2, 3, 2), (4, 5, 3)])


def exercise_3(answer: Answer) -> None:
    """Alarms on every day

    The function calls at the end of the lesson has a bug. Write it right as
    fixed_calls(errors_good, errors_new, share): returns for each new scan whether it is called damaged, (new,), if a share of
    the good ones may be called so by mistake.
    """
    rng = np.random.default_rng(27)
    share, good = 0.1, rng.exponential(size=60)
    new = np.concatenate([rng.exponential(size=10), 4 + rng.exponential(size=15)])
    result = answer.function("fixed_calls")(good, new, share)
    both = np.concatenate([good, new])
    expect_close(result, new > np.quantile(good, 1 - share), "called", mistakes.distinct({
        "the threshold still comes from the new scans: a share of them lies above it, whatever they are":
            new > np.quantile(new, 1 - share),
        "the new scans have a share in the threshold; it should come from the good ones alone":
            new > np.quantile(both, 1 - share),
        "nearly all good scans lie above that threshold; a share should": new > np.quantile(good, share),
        "those are the scans below the threshold": new < np.quantile(good, 1 - share),
        "only what is worse than all good scans is called; a share of them may be": new > good.max(),
        "nothing is called": new > new.max()}, new > np.quantile(good, 1 - share)), axes=("scan",))


def exercise_4(answer: Answer) -> None:
    """Is a network needed?

    straight: the recall, if the scans are squeezed into 8 numbers along straight lines (the mean of `old` and the 8 best
    directions of np.linalg.svd), with the threshold that one in twenty of the `whole` scans lies above.
    """
    got = float(answer.array("straight", ()))
    data = scans()

    def found(count: int, centred: bool = True, of_new: bool = False) -> tuple[float, float]:
        mean = data.old.mean(axis=0) * centred
        best = np.linalg.svd(data.old - mean, full_matrices=False)[2][:count]
        whole, new = (np.mean((part - mean - (part - mean) @ best.T @ best) ** 2, axis=1) for part in (data.whole, data.new))
        called = new > np.quantile(new if of_new else whole, 0.95)
        hits = np.sum(called & data.is_damaged)
        return float(hits / 100), float(hits / called.sum())
    right, precision = found(8)
    if abs(got - right) < 0.015:
        return
    wrong = {"that is the precision": precision, "a recall is a number from 0 to 1": 100 * right,
             "that is the mean alone; the 8 directions are missing": found(0)[0],
             "that is the part of the damaged ones that is missed": 1 - right,
             "the mean was not taken off": found(8, centred=False)[0],
             "the threshold comes from the new scans; take the whole ones": found(8, of_new=True)[0]}
    for sentence, value in wrong.items():
        if abs(value - right) > 0.015 and abs(got - value) < 0.004:
            raise Wrong(f"straight: {sentence}", recognised=True)
    raise Wrong(f"straight is not {got:g}. Rows of Vᵀ are directions; a scan x becomes (x - mean) @ best.T @ best + mean")
