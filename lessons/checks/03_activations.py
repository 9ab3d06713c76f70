"""Checks of the turns and exercises of lesson 03."""
import numpy as np

from nblayers.learn.exercises import Answer, Wrong, expect_close

Mistakes = dict[str, np.ndarray]


def turn_y(lesson) -> Mistakes:
    a = lesson.a
    return {"the sign of the exponent is turned: that is σ(-a)": 1 / (1 + np.exp(a)),
            "that is e^(-a) alone; the sigmoid is 1 / (1 + e^(-a))": np.exp(-a),
            "that is tanh a": np.tanh(a)}


def turn_slope_sigmoid(lesson) -> Mistakes:
    y = lesson.y
    return {"that is the slope of tanh, 1 - y²; the sigmoid's is y (1 - y)": 1 - y ** 2,
            "a factor is missing: σ' has two, σ and 1 - σ": 1 - y,
            "that is y alone; the second factor, 1 - y, is missing": y,
            "the sign is wrong: a sigmoid only rises": -y * (1 - y),
            "that takes the sigmoid of y once more; y is the output already":
                1 / (1 + np.exp(-y)) * (1 - 1 / (1 + np.exp(-y)))}


def turn_da(lesson) -> Mistakes:
    return {"that is the slope; dy is missing": lesson.slope_sigmoid,
            "that is dy; the slope is missing": lesson.dy,
            "that is a matrix product; an activation looks at each element for itself, so use *":
                lesson.dy @ lesson.slope_sigmoid}


def turn_slope_tanh(lesson) -> Mistakes:
    y = lesson.y_tanh
    return {"that is the sigmoid's slope, y (1 - y); tanh has 1 - y²": y * (1 - y),
            "the square is missing: 1 - y²": 1 - y,
            "that takes tanh of y once more; y_tanh is the output already": 1 - np.tanh(y) ** 2,
            "that is 1 - a²; square the output, not the input": 1 - lesson.a ** 2}


def turn_da_relu(lesson) -> Mistakes:
    a, dy = lesson.a, lesson.dy
    return {"the side is turned: right of 0 the slope is 1, left of it 0": dy * (a < 0),
            "that is the forward, max(0, a), times dy; the slope is 0 or 1": dy * np.maximum(a, 0),
            "that cuts dy at 0; it is a that decides what comes through": np.maximum(dy, 0),
            "that is the slope alone; dy is missing": (a > 0) * 1.0}


def turn_dW(lesson) -> Mistakes:
    x, dy, slope = lesson.x, lesson.dy, lesson.before > 0
    return {"the slope of relu is missing: dy must pass it before it reaches W": x.T @ dy,
            "xᵀ and the rest are in the wrong order: x is (N, in), and dW must be (in, H)": (dy * slope).T @ x,
            "x is not transposed: the sum must run over the samples": x @ (dy * slope),
            "that is dx: da Wᵀ": (dy * slope) @ lesson.W.T}


def turn_da_leaky(lesson) -> Mistakes:
    a, dy, alpha = lesson.a, lesson.dy, lesson.alpha
    return {"that is relu; on the left a leaky relu lets alpha through": dy * (a > 0),
            "the sides are exchanged: alpha belongs to the left": dy * np.where(a >= 0, alpha, 1),
            "that is dy times the forward; the slope on the left is alpha, not alpha a": dy * np.where(a >= 0, a, alpha * a),
            "the sign of dy decided; it is a that does": np.where(dy >= 0, dy, alpha * dy)}


def turn_slope_elu(lesson) -> Mistakes:
    y = lesson.y_elu
    return {"that is y on the left; e^a is y + 1": np.where(y > 0, 1, y),
            "that is e^y; y is the output already, and e^a is y + 1": np.where(y > 0, 1, np.exp(y)),
            "on the right the slope is 1, not y": np.where(y > 0, y, y + 1),
            "that is y + 1 on both sides; on the right the slope is 1": y + 1}


def turn_slope_softplus(lesson) -> Mistakes:
    y = lesson.y
    return {"that is 1 - σ: e^(-a) has the wrong sign": 1 - y,
            "the inner slope e^a is missing": 1 / (1 + np.exp(lesson.a)) ** 2,
            "that is the slope of the sigmoid; the slope of softplus is the sigmoid itself": y * (1 - y),
            "that is softplus itself, not its slope": np.log1p(np.exp(lesson.a))}


def turn_slope_silu(lesson) -> Mistakes:
    a, y = lesson.a, lesson.y
    return {"the second term is missing: a occurs twice in a σ(a)": y,
            "the first term is missing: a occurs twice in a σ(a)": a * y * (1 - y),
            "the factor a is missing from the second term": y + y * (1 - y),
            "that has the slope of tanh, 1 - y²; here y is a sigmoid": y + a * (1 - y ** 2)}


def turn_slope_gelu(lesson) -> Mistakes:
    a, Phi, phi = lesson.a, lesson.Phi, lesson.phi
    return {"the second term is missing: a occurs twice in a Φ(a)": Phi,
            "the first term is missing: a occurs twice in a Φ(a)": a * phi,
            "the factor a is missing from the second term": Phi + phi,
            "Φ is no sigmoid: its slope is the bell curve phi": Phi + a * Phi * (1 - Phi)}


def turn_slope_hard(lesson) -> Mistakes:
    a = lesson.a_wide
    return {"0.2 was the slope in Keras 2; relu6(a + 3) / 6 rises by 1 on a width of 6": np.where(np.abs(a) < 3, 0.2, 0),
            "the factor 1/6 is missing: relu6 itself has the slope 1": np.where(np.abs(a) < 3, 1, 0),
            "those are the kinks of relu6, 0 and 6; they are moved by 3: a + 3 lies between 0 and 6":
                np.where((a > 0) & (a < 6), 1 / 6, 0),
            "beyond -3 and 3 it is flat: the slope is 0 there": np.full_like(a, 1 / 6),
            "that is the slope of a real sigmoid, y (1 - y); this one is made of straight pieces":
                lesson.y_hard * (1 - lesson.y_hard),
            "that is the hard sigmoid itself, not its slope": lesson.y_hard}


def turn_slope_hard_silu(lesson) -> Mistakes:
    a, y, slope = lesson.a_wide, lesson.y_hard, lesson.slope_hard
    return {"the second term is missing: a occurs twice": y,
            "the first term is missing: a occurs twice": a * slope,
            "the factor a is missing from the second term": y + slope,
            "that is the hard silu itself, not its slope": a * y}


def turn_slope_softsign(lesson) -> Mistakes:
    a, y = lesson.a_wide, lesson.y_softsign
    return {"the square is missing: the slope is 1 / (1 + |a|)²": 1 - np.abs(y),
            "that is the slope of tanh, 1 - y²; here it is (1 - |y|)²": 1 - y ** 2,
            "the bars are missing: left of 0, y is negative, and 1 - y is not 1 / (1 + |a|)": (1 - y) ** 2,
            "y is the output already; 1 / (1 + |a|) is 1 - |y|": 1 / (1 + np.abs(y)) ** 2,
            "softsign rises on both sides, so its slope has no sign": np.sign(a) * (1 - np.abs(y)) ** 2}


def turn_slope_mish(lesson) -> Mistakes:
    a, t, y = lesson.a, lesson.t, lesson.y
    return {"the second term is missing: a occurs twice": t,
            "the first term is missing: a occurs twice": a * (1 - t ** 2) * y,
            "the slope of softplus, which is the sigmoid y, is missing from the second term": t + a * (1 - t ** 2),
            "the slope of tanh, 1 - t², is missing from the second term": t + a * y,
            "the factor a is missing from the second term": t + (1 - t ** 2) * y,
            "that has y (1 - y); the slope of softplus is the sigmoid itself": t + a * (1 - t ** 2) * y * (1 - y)}


def turn_slope_layer(lesson) -> Mistakes:
    a, s, theta, top = lesson.a_wide, lesson.s, lesson.theta, lesson.max_value
    return {"above max_value the output stands still: the slope is 0 there": np.where(a > theta, 1, s),
            "at or below theta the slope is s, not 0": np.where(a > theta, a < top, 0),
            "the sides are exchanged: s belongs to the left": np.where(a > theta, s, 1),
            "that is the forward on the left; its slope is s": np.where(a > theta, a < top, s * (a - theta)),
            "that is the forward, not its slope": np.where(a > theta, np.minimum(a, top), s * (a - theta))}


def turn_dalphas(lesson) -> Mistakes:
    a, dy = lesson.before, lesson.dy
    left = np.where(a > 0, 0, a)
    return {"alpha stands in every sample: the sum over the batch is missing": dy * left,
            "it is a mean over the batch; alpha stands in every sample, so they are added up": np.mean(dy * left, axis=0),
            "alpha stands only where a is not above 0; the others have no part in it": np.sum(dy * a, axis=0),
            "alpha is multiplied by a: the factor a is missing": np.sum(dy * (a <= 0), axis=0),
            "that sums over the units; each has a slope of its own, so sum over the samples": np.sum(dy * left, axis=1),
            "that sums over everything; each unit has a slope of its own": np.array(np.sum(dy * left)),
            "the side is turned: alpha stands on the left": np.sum(dy * np.where(a > 0, a, 0), axis=0)}


def turn_powers(lesson) -> Mistakes:
    def walk(order, slope_too: bool = True, turned: bool = True) -> np.ndarray:
        dh, powers = lesson.dh, np.full(21, np.log10(np.abs(lesson.dh).mean()))
        for n in order:
            da = dh * lesson.slopes[n] if slope_too else dh
            dh = da @ (lesson.weights[n].T if turned else lesson.weights[n])
            powers[n] = np.log10(np.abs(dh).mean())
        return powers

    back = list(reversed(range(20)))
    last = walk(back)[20]
    return {"the walk runs forward; it must begin at the last layer": walk(range(20)),
            "the slope is missing: dh must become da before it passes W": walk(back, slope_too=False),
            "W is not transposed: forward takes h @ W, so backward takes da @ W.T": walk(back, turned=False),
            "layer 0 has been left out: the walk goes down to n = 0": np.append(0, walk(back)[1:]),
            "that is the mean itself; take log10 of it": np.append(10 ** walk(back)[:20], last)}


def exercise_1(answer: Answer) -> None:
    """Two slopes, on paper

    da_sigmoid for y = 0.2 and dy = 5; da_tanh for y = 0.5 and dy = 4.
    """
    answer.on_paper("da_sigmoid", 0.8, [
        "The slope of a sigmoid by its own value is y (1 - y); multiply it by what comes back.",
        "y (1 - y) = 0.2 · 0.8."], {
        "that is the slope, y (1 - y); dy is missing": 0.16,
        "that is with the slope of tanh": 4.8,
        "a factor is missing: the slope is y (1 - y)": 4.0,
        "that is dy times y; the factor 1 - y is missing": 1.0})
    answer.on_paper("da_tanh", 3, [
        "The slope of tanh by its own value is 1 - y²; multiply it by what comes back.",
        "1 - y² = 1 - 0.25."], {
        "that is with the slope of a sigmoid": 1,
        "the square is missing: the slope is 1 - y²": 2,
        "that is the slope, 1 - y²; dy is missing": 0.75})


def exercise_2(answer: Answer) -> None:
    """The backward of a stack

    stack_backward(x, weights, dy): dx and the list of the dW, for layers h = tanh(h W), x (N, H), each W (H, H), dy (N, H).
    """
    rng = np.random.default_rng(3)
    x, dy = rng.normal(size=(2, 3, 4))
    weights = list(rng.normal(scale=0.6, size=(3, 4, 4)))
    result = answer.function("stack_backward")(x, weights, dy)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Wrong("stack_backward should return two things: dx and the list of the dW")
    dx, dWs = result
    if not isinstance(dWs, (list, tuple)) or len(dWs) != 3:
        raise Wrong("the second thing should be a list with a dW for each of the weights")
    right, grads, _ = _stack(x, weights, dy)
    expect_close(dx, right, "dx", {
        "the slope 1 - h² is missing": _stack(x, weights, dy, lambda h: np.ones_like(h))[0],
        "that has the slope of a sigmoid, h (1 - h)": _stack(x, weights, dy, lambda h: h * (1 - h))[0],
        "the slope takes tanh of h once more; h is the output already":
            _stack(x, weights, dy, lambda h: 1 - np.tanh(h) ** 2)[0],
        "that is da of the first layer; it has still to pass W": _stack(x, weights, dy)[2]})
    if all(np.allclose(got, want) for got, want in zip(dWs, reversed(grads), strict=True)):
        raise Wrong("the dW stand in the order of the walk, last first; return them in the order of `weights`")
    for k, (got, want) in enumerate(zip(dWs, grads, strict=True)):
        expect_close(got, want, f"dW of layer {k}", {
            "it is a mean over the batch; it should be the sum": want / len(x),
            "it is the transpose of what it should be: h_before.T @ da": want.T})


def _stack(x, weights, dy, slope=lambda h: 1 - h ** 2):
    hs = [x]
    for W in weights:
        hs.append(np.tanh(hs[-1] @ W))
    dh, grads = dy, []
    for W, before, h in zip(weights[::-1], hs[-2::-1], hs[::-1], strict=False):
        da = dh * slope(h)
        grads.insert(0, before.T @ da)
        dh = da @ W.T
    return dh, grads, da


def exercise_3(answer: Answer) -> None:
    """An output taken for an input

    The function elu_backward at the end of the lesson has a bug. Write it right as
    fixed_elu_backward(y, dy, alpha): da of elu, told by its output y.
    """
    rng = np.random.default_rng(4)
    a, dy = rng.normal(size=(2, 3, 4))
    for alpha in (1.0, 0.5):
        y = np.where(a > 0, a, alpha * np.expm1(a))
        expect_close(answer.function("fixed_elu_backward")(y, dy, alpha), dy * np.where(a > 0, 1, alpha * np.exp(a)), "da", {
            "that still takes e to the power of y; y is the output, and alpha e^a is y + alpha":
                dy * np.where(y > 0, 1, alpha * np.exp(y)),
            "that is right for alpha = 1 only: on the left the slope is y + alpha": dy * np.where(y > 0, 1, y + 1),
            "on the left the slope is y + alpha, not y": dy * np.where(y > 0, 1, y),
            "dy is missing": np.where(y > 0, 1, y + alpha)})


def exercise_4(answer: Answer) -> None:
    """The gain that keeps a gradient's size

    gain: g for 20 layers of 256 units with a leaky relu of slope 0.5, weights of variance g² / 256 (5 % will do).
    """
    gain, right = float(answer.array("gain", ())), np.sqrt(2 / 1.25)
    known = {"that is for relu, which passes on nothing on the left": np.sqrt(2),
             "1 is right without activations": 1.0,
             "that is the square of g": 1.6,
             "that would make up for the mean slope, 0.75; what counts is the mean of its square": 4 / 3}
    for sentence, wrong in known.items():
        if abs(gain - wrong) < 0.005:
            raise Wrong(f"{gain:g}: {sentence}")
    if abs(gain - right) > 0.05 * right:
        turn = "shrinks" if gain < right else "grows"
        raise Wrong(f"with g = {gain:g} the gradient {turn} by a factor of {gain / right:.2f} in each layer")
