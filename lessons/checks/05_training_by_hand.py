"""Checks of the turns and exercises of lesson 05."""
from collections.abc import Callable

import numpy as np

from nblayers.learn.exercises import Answer, Wrong, as_array, expect_close
from nblayers.learn.mistakes import softmax

Mistakes = dict[str, np.ndarray]
RANDOM = np.random.default_rng(5)
W, G1, G2, G3 = RANDOM.normal(size=(4, 3))


def turn_mse(lesson) -> Mistakes:
    return {"that is the sum of the squares; a mean divides it by all N D = 4 numbers": np.array(9.0),
            "that is half of the sum: a mean divides it by all N D = 4 numbers": np.array(4.5),
            "it is half as large as it should be: no half stands in this loss": np.array(4.5 / 4),
            "that is the mean of the errors' sizes; here they are squared": np.array(1.25)}


def turn_dy(lesson) -> Mistakes:
    error = lesson.y - lesson.t
    return {"that is the gradient of the sum; the mean divides by N D = 4": 2 * error,
            "the 2 of the square is missing": error / 4,
            "it is twice as large as it should be: the square brings a 2, the mean divides by all N D = 4 numbers": error,
            "the sign is turned: the loss grows where y is above t": -error / 2,
            "that is the square, not its derivative": error ** 2 / 4}


def turn_dlogits(lesson) -> Mistakes:
    difference = lesson.p - lesson.classes
    return {"the mean over the samples is missing: divide by N = 2": difference,
            "the sign is turned: it is p - t": -difference / 2,
            "it is divided by all N · 3 numbers; the loss is a mean over the samples only": difference / 6,
            "that is the gradient by p, not by the logits": -lesson.classes / lesson.p / 2,
            "the target has not been taken off": lesson.p / 2}


def turn_w_sgd(lesson) -> Mistakes:
    w, g, eta = lesson.w, lesson.g, lesson.eta
    return {"that goes up: a step goes *against* the gradient": w + eta * g,
            "the learning rate is missing": w - g,
            "that is the step alone; take it off w": -eta * g,
            "that moves every weight by eta; plain steps are as long as the gradient": w - eta * np.sign(g)}


def turn_u(lesson) -> Mistakes:
    u, g, eta, mu = lesson.u_first, lesson.g, lesson.eta, lesson.mu
    return {"the push has the wrong sign: it goes against the gradient": mu * u + eta * g,
            "mu keeps the old velocity only; the push is not made smaller": mu * (u - eta * g),
            "that is the push alone, or a running mean; momentum adds the whole push to mu u_first": -eta * g,
            "all of the old velocity is kept; only a part mu of it should be": u - eta * g,
            "the learning rate is missing from the push": mu * u - g}


def turn_w_momentum(lesson) -> Mistakes:
    w, u = lesson.w_first, lesson.u
    return {"u has its sign already: add it": w - u,
            "that starts at w, not at w_first": lesson.w + u,
            "eta is in u already": w + lesson.eta * u,
            "that is Nesterov's step": w + lesson.mu * u - lesson.eta * lesson.g}


def turn_v(lesson) -> Mistakes:
    g, rho = lesson.g, lesson.rho
    return {"g is not squared": (1 - rho) * g,
            "the new part should be 1 - rho of the whole, or it is no mean": g ** 2,
            "rho and 1 - rho are exchanged": rho * g ** 2,
            "1 - rho stands outside the square": ((1 - rho) * g) ** 2}


def turn_w_rms(lesson) -> Mistakes:
    w, g, v, eta = lesson.w, lesson.g, lesson.v, lesson.eta
    return {"that divides by v; it should be by its root": w - eta * g / v,
            "that goes up: a step goes *against* the gradient": w + eta * g / np.sqrt(v + lesson.epsilon),
            "g is missing: v has forgotten its sign": w - eta / np.sqrt(v + lesson.epsilon),
            "that multiplies by the root; divide": w - eta * g * np.sqrt(v),
            "the learning rate is missing": w - g / np.sqrt(v + lesson.epsilon)}


def turn_m(lesson) -> Mistakes:
    g = lesson.g
    return {"the new part should be 1 - beta1 of the whole": g,
            "beta1 and 1 - beta1 are exchanged": 0.9 * g,
            "m is a mean of g; the square belongs to v": 0.1 * g ** 2,
            "that is with beta2, which belongs to v": 0.001 * g}


def turn_v_adam(lesson) -> Mistakes:
    g = lesson.g
    return {"g is not squared": 0.001 * g,
            "that is with beta1, which belongs to m": 0.1 * g ** 2,
            "the new part should be 1 - beta2 of the whole": g ** 2,
            "beta2 and 1 - beta2 are exchanged": 0.999 * g ** 2}


def turn_m_hat(lesson) -> Mistakes:
    m = lesson.m
    return {"that multiplies; m is too small, so divide": m * 0.1,
            "that divides by beta1^k; the share of what m has seen is 1 - beta1^k": m / 0.9,
            "that is with beta2, which belongs to v": m / 0.001,
            "the correction is missing": m}


def turn_v_hat(lesson) -> Mistakes:
    v = lesson.v_adam
    return {"that multiplies; v is too small, so divide": v * 0.001,
            "that divides by beta2^k; the share of what v has seen is 1 - beta2^k": v / 0.999,
            "that is with beta1, which belongs to m": v / 0.1,
            "the correction is missing": v}


def turn_w_adam(lesson) -> Mistakes:
    w, eta, m, v = lesson.w, lesson.eta, lesson.m_hat, lesson.v_hat
    return {"that goes up: a step goes *against* the gradient": w + eta * m / np.sqrt(v),
            "that divides by v_hat; it should be by its root": w - eta * m / v,
            "that is with m and v as they are; take m_hat and v_hat": w - eta * lesson.m / np.sqrt(lesson.v_adam),
            "the root is taken of m_hat's part too; divide m_hat by the root of v_hat": w - eta * np.sqrt(np.abs(m) / v),
            "the learning rate is missing": w - m / np.sqrt(v)}


def turn_alpha(lesson) -> Mistakes:
    eta, b1, b2 = lesson.eta, 0.9, 0.999
    return {"the root is missing: v stands under a root, so its share does too": np.array(eta * (1 - b2) / (1 - b1)),
            "that is upside down: v's share goes above the line, m's below": np.array(eta * (1 - b1) / np.sqrt(1 - b2)),
            "beta1 and beta2 are exchanged": np.array(eta * np.sqrt(1 - b1) / (1 - b2)),
            "the share of v is missing": np.array(eta / (1 - b1))}


def turn_adam_step(lesson, given: Callable) -> None:
    def run(step: Callable) -> list[np.ndarray]:
        w, m, v, places = W.copy(), np.zeros(3), np.zeros(3), []
        for k, g in enumerate((G1, G2, G3), 1):
            result = step(w.copy(), g.copy(), m.copy(), v.copy(), k, 0.1)
            if not isinstance(result, (tuple, list)) or len(result) != 3:
                raise Wrong("adam_step should return three arrays: w, m, v")
            w, m, v = (as_array(value, name, (3,)) for value, name in zip(result, "wmv", strict=True))
            places.append(w)
        return places

    _judge_adam(run, given, lesson.adam_step)
    m, v = G2, G3 ** 2 + 1
    for name, ours, theirs, old in zip("mv", given(W.copy(), G1.copy(), m.copy(), v.copy(), 3, 0.1)[1:],
                                       lesson.adam_step(W, G1, m, v, 3, 0.1)[1:], (m, v), strict=True):
        share = theirs - old * (0.9 if name == "m" else 0.999)
        known = {"all of the old one is kept: only a part beta of it should be": old + share}
        expect_close(ours, theirs, f"the new {name}", known, tolerance=1e-6)


def _judge_adam(run: Callable, given: Callable, right: Callable) -> None:
    got, want = run(given), run(right)
    known = {"there is no bias correction": _adam(first=0, second=0),
             "the correction of v is missing": _adam(second=0),
             "the correction of m is missing": _adam(first=0),
             "the root of v is missing": _adam(root=False),
             "that goes up: a step goes *against* the gradient": _adam(sign=1),
             "it keeps nothing: m and v begin anew at every step": _adam(forget=True),
             "beta1 and beta2 are exchanged in the correction": _adam(exchange=True),
             "the corrected m and v are kept; the correction is for the step alone": _adam(keep=True)}
    for number, (ours, theirs) in enumerate(zip(got, want, strict=True), 1):
        expect_close(ours, theirs, f"w after step {number}",
                     {sentence: run(step)[number - 1] for sentence, step in known.items()}, tolerance=1e-5)


def _adam(first: int = 1, second: int = 1, root: bool = True, sign: int = -1, forget: bool = False,
          exchange: bool = False, keep: bool = False) -> Callable:
    """An Adam with one mistake."""
    def step(w, g, m, v, k, eta):
        if forget:
            m, v = 0 * m, 0 * v
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g ** 2
        shares = 1 - 0.9 ** k, 1 - 0.999 ** k
        if exchange:
            shares = shares[::-1]
        m_hat, v_hat = m / shares[0] ** first, v / shares[1] ** second
        change = eta * m_hat / ((np.sqrt(v_hat) if root else v_hat) + 1e-7)
        return w + sign * change, m_hat if keep else m, v_hat if keep else v
    return step


def turn_dz(lesson) -> Mistakes:
    difference = softmax(lesson.z) - lesson.target
    return {"the mean over the samples is missing: divide by N = 2": difference,
            "the sign is turned: it is p - t": -difference / 2,
            "the softmax is missing: z are logits": (lesson.z - lesson.target) / 2}


def turn_dW2(lesson) -> Mistakes:
    h, dz = lesson.h, lesson.dz
    return {"that is its transpose": dz.T @ h,
            "the batch is divided by twice; dz has the 1/N already": h.T @ dz / 2,
            "it is h that enters the second layer, not a": lesson.a.T @ dz,
            "h is not transposed: the sum must run over the samples": h @ dz}


def turn_db2(lesson) -> Mistakes:
    dz = lesson.dz
    return {"the batch is divided by twice; dz has the 1/N already": dz.mean(axis=0),
            "that sums over the classes; sum over the samples": dz.sum(axis=1)}


def turn_dh(lesson) -> Mistakes:
    dz, W2 = lesson.dz, lesson.W2
    return {"W2 is not transposed: forward takes h @ W2": dz @ W2,
            "that is da already; the slope of relu comes next": (dz @ W2.T) * (lesson.a > 0),
            "that is W2 @ dz, right for samples in columns": W2 @ dz,
            "the product is the wrong way round: samples are rows, so dz comes first": W2.T @ dz}


def turn_da(lesson) -> Mistakes:
    a, dh = lesson.a, lesson.dh
    return {"the slope of relu is missing": dh,
            "the slope of relu is 1 or 0, not max(0, a)": dh * np.maximum(a, 0),
            "the slope of relu is 1 or 0, not a": dh * a,
            "it is a that decides, not dh": np.maximum(dh, 0),
            "the side is turned": dh * (a <= 0)}


def turn_dW1(lesson) -> Mistakes:
    x, da = lesson.x, lesson.da
    return {"that is its transpose; dW1 has the shape of W1": da.T @ x,
            "the slope of relu is missing: take da, not dh": x.T @ lesson.dh,
            "the batch is divided by twice; dz has the 1/N already": x.T @ da / 2}


def turn_db1(lesson) -> Mistakes:
    return {"the slope of relu is missing: take da, not dh": lesson.dh.sum(axis=0),
            "the batch is divided by twice; dz has the 1/N already": lesson.da.mean(axis=0),
            "that sums over the units; sum over the samples": lesson.da.sum(axis=1)}


def turn_gradients(lesson, given: Callable) -> None:
    rng = np.random.default_rng(7)
    x, target = rng.normal(size=(5, 3)), np.eye(2)[rng.integers(2, size=5)]
    weights = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=(4, 2)), rng.normal(size=2)
    result = given(x, target, *weights)
    if not isinstance(result, (tuple, list)) or len(result) != 2 or len(result[1]) != 4:
        raise Wrong("gradients should return two things: the loss, and a tuple of dW1, db1, dW2, db2")
    loss, right = lesson.gradients(x, target, *weights)
    expect_close(result[0], loss, "the loss", {"the mean over the samples is missing": 5 * loss})
    h = np.maximum(x @ weights[0] + weights[1], 0)
    da = (softmax(h @ weights[2] + weights[3]) - target) / 5 @ weights[2].T
    for n in (2, 3, 0, 1):                              # from the end, as one computes
        name = ("dW1", "db1", "dW2", "db2")[n]
        expect_close(result[1][n], right[n], f"{name} of a batch of 5", {
            "the mean over the samples is missing: divide by len(x)": 5 * right[n],
            "it is divided by 2; this batch has 5 samples, so divide by len(x)": 2.5 * right[n],
            "the batch is divided by twice": right[n] / 5,
            "the slope of relu is missing": {0: x.T @ da, 1: da.sum(axis=0)}.get(n, 0 * right[n])})


def exercise_1(answer: Answer) -> None:
    """Three first steps, on paper

    w_sgd, w_adam after one step and w_momentum after two, for w = 2, g = -3, eta = 0.1, mu = 0.9.
    """
    answer.on_paper("w_sgd", 2.3, [
        "A step goes against the gradient: w - eta g.",
        "eta g = -0.3."], {
        "the step goes against the gradient: w - eta g, and g is negative": 1.7,
        "the learning rate is missing": 5})
    answer.on_paper("w_adam", 2.1, [
        "At the first step the corrected means are g and g²: what is g / √g²?",
        "The step is eta, against the sign of g."], {
        "that is plain SGD; Adam's first step is eta times the sign of g": 2.3,
        "the step goes against the gradient, and g is negative": 1.9,
        "the bias correction is missing": 2 + 0.1 * 0.3 / np.sqrt(0.009)}, tolerance=1e-4)
    answer.on_paper("w_momentum", 2.87, [
        "v = mu v - eta g, then w = w + v: twice, with the same g. The first v is 0.3.",
        "The second v is 0.9 · 0.3 + 0.3."], {
        "that is after two plain steps; 0.9 of the first velocity is kept": 2.6,
        "that is after the first step": 2.3,
        "that is w plus the second velocity; the first step has been taken already": 2.57,
        "that is Nesterov's": 2.3 + 0.9 * 0.57 + 0.3})


def exercise_2(answer: Answer) -> None:
    """A whole backward, with a batch

    network_gradients(x, t, W1, b1, W2, b2): the loss and the list of dW1, db1, dW2, db2; tanh, then the mean squared error.
    """
    rng = np.random.default_rng(6)
    x, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    weights = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=(4, 2)), rng.normal(size=2)
    result = answer.function("network_gradients")(x, t, *weights)
    if not isinstance(result, (tuple, list)) or len(result) != 2 or len(result[1]) != 4:
        raise Wrong("network_gradients should return two things: the loss, and the list of dW1, db1, dW2, db2")
    loss, right = _network(x, t, *weights)
    expect_close(result[0], loss, "the loss", {
        "that is the sum of the squares, not their mean": loss * 10,
        "that divides by the batch only; the mean is over all N D numbers": loss * 2,
        "the mean squared error has no half": loss / 2})
    known = {"the mean is missing: the gradient is that of the sum": [10 * grad for grad in right],
             "that divides by the batch only; the mean is over all N D numbers": [2 * grad for grad in right],
             "the 2 of the square is missing": [grad / 2 for grad in right],
             "the batch is divided by twice": [grad / 5 for grad in right],
             "the slope of tanh is missing": _network(x, t, *weights, slope=lambda h: 1)[1],
             "that has the slope of a sigmoid": _network(x, t, *weights, slope=lambda h: h * (1 - h))[1],
             "tanh is taken once more; h is the output already, the slope 1 - h²":
                 _network(x, t, *weights, slope=lambda h: 1 - np.tanh(h) ** 2)[1]}
    order = (2, 3, 0, 1)                                # from the end, as one computes
    for n in order:
        name = ("dW1", "db1", "dW2", "db2")[n]
        expect_close(result[1][n], right[n], name, {sentence: wrong[n] for sentence, wrong in known.items()})


def _network(x, t, W1, b1, W2, b2, slope=lambda h: 1 - h ** 2):
    h = np.tanh(x @ W1 + b1)
    y = h @ W2 + b2
    dy = 2 * (y - t) / y.size
    da = dy @ W2.T * slope(h)
    return np.mean((y - t) ** 2), [x.T @ da, da.sum(axis=0), h.T @ dy, dy.sum(axis=0)]


def exercise_3(answer: Answer) -> None:
    """An Adam that slows down

    The function adam at the end of the lesson has a bug. Write it right as
    fixed_adam(w, g, m, v, k, eta): the new w, m, v after step k.
    """
    fixed = answer.function("fixed_adam")

    def run(step: Callable) -> list[np.ndarray]:
        w, m, v, places = W.copy(), np.zeros(3), np.zeros(3), []
        for k, g in enumerate((G1, G2, G3), 1):
            result = step(w, g, m, v, k, 0.1)
            if not isinstance(result, (tuple, list)) or len(result) != 3:
                raise Wrong("fixed_adam should return three arrays: w, m, v")
            w, m, v = (as_array(value, name, (3,)) for value, name in zip(result, "wmv", strict=True))
            places.append(w)
        return places

    _judge_adam(run, fixed, _adam())


def exercise_4(answer: Answer) -> None:
    """The best learning rate of a valley

    best_eta: with which the loss ½ (w0² + 9 w1²), from (-4, 1), is below 1e-9 soonest (3 % will do).
    """
    eta = float(answer.array("best_eta", ()))
    if eta >= 2 / 9:
        raise Wrong(f"with {eta:g} it never comes there: 2/9 is the limit")
    if abs(eta - 1 / 9) < 0.001:
        raise Wrong("1/9 leads to the bottom across in one step, but along it creeps")
    if abs(eta - 0.2) > 0.03 * 0.2:
        where = "along, where a step is short" if eta < 0.2 else "across, where it jumps from wall to wall"
        raise Wrong(f"with {eta:g} the slow direction is {where}; the best rate makes both equally slow")
