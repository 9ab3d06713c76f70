"""Checks of the exercises of lesson 07."""
import numpy as np

from nblayers.learn.exercises import Answer, Wrong, as_array, expect_close


def exercise_1(answer: Answer) -> None:
    """A chain and a clip, on paper

    dh_0 for one unit, h_1 = 0, h_2 = 0.6, h_3 = 0.8, weight 2.5, dh_3 = 1; and (8, 6) and (0, 24) clipped to 2.6:
    by_value, by_norm, by_global_norm, each (2, 2).
    """
    expect_close(answer.array("dh_0", ()), 3.6, "dh_0", {
        "the slopes of tanh are missing: 1, 0.64 and 0.36": 15.625,
        "those are the slopes alone; each step multiplies by the weight too": 0.2304,
        "that is dh_1; one more link leads to h_0": 1.44,
        "the weight counts once only; it stands in each of the three links": 0.576,
        "the slope is 1 - h², not h": 0.0,
        "the slope is 1 - h², not 1 - h": 1.25}, tolerance=1e-3)
    by_value, by_norm = [[2.6, 2.6], [0, 2.6]], [[2.08, 1.56], [0, 2.6]]
    by_global_norm, unclipped = [[0.8, 0.6], [0, 2.4]], [[8, 6], [0, 24]]
    kinds = {"that is by value": by_value, "that is each by its own norm": by_norm, "nothing is clipped": unclipped,
             "that is by the norm of both together": by_global_norm}
    others = {want: {sentence: value for sentence, value in kinds.items() if value is not right}
              for want, right in (("value", by_value), ("norm", by_norm), ("global", by_global_norm))}
    expect_close(answer.array("by_value"), by_value, "by_value", others["value"], tolerance=1e-3)
    expect_close(answer.array("by_norm"), by_norm, "by_norm", others["norm"], tolerance=1e-3)
    expect_close(answer.array("by_global_norm"), by_global_norm, "by_global_norm", others["global"] | {
        "the norm of both together is the root of the sum of squares, 26, not the sum of the norms":
            np.multiply(unclipped, 2.6 / 34),
        "the factor is bound / norm, with the norm, not its square": np.multiply(unclipped, 2.6 / 676)}, tolerance=1e-3)


def exercise_2(answer: Answer) -> None:
    """Back through time, each step's part apart

    through_time(h_0, h, W_h, dh_T): returns dh (T + 1, units), the gradient by h_0 to h_T, and parts (T, units, units), what
    each step adds to the gradient by W_h. h_t = tanh(W_h h_{t-1} + …), h (T, units) holds h_1 to h_T, vectors stand upright.
    """
    rng = np.random.default_rng(7)
    h_0, W_h, dh_T, h = rng.uniform(-1, 1, 3), rng.normal(size=(3, 3)), rng.normal(size=3), rng.uniform(-0.9, 0.9, (4, 3))
    result = answer.function("through_time")(h_0, h, W_h, dh_T)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Wrong("through_time should return two arrays: dh and parts")
    before, slope = np.array([h_0, *h[:-1]]), 1 - h ** 2

    def walk(link: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        dh = [dh_T]
        for s in slopes[::-1]:
            dh.insert(0, link @ (s * dh[0]))
        return np.array(dh)

    dh = walk(W_h.T, slope)
    expect_close(result[0], dh, "dh", {
        "going back multiplies by the transpose of W_h": walk(W_h, slope),
        "the slope of tanh, 1 - h_t², is missing": walk(W_h.T, np.ones_like(slope)),
        "the slope comes first on the way back, then the product with W_hᵀ": _slope_last(W_h, slope, dh_T),
        "on the way from h_t to h_{t-1} stands the slope at h_t, not at h_{t-1}": walk(W_h.T, 1 - before ** 2),
        "the order is reversed: it should begin with dh_0": dh[::-1],
        "dh_0 is missing: there are T + 1 states": dh[1:],
        "dh_T is missing: there are T + 1 states": dh[:-1]})
    parts = np.einsum("ti,tj->tij", dh[1:] * slope, before)
    expect_close(result[1], parts, "parts", {
        "they are made with h_t; W_h is multiplied by the state before, h_{t-1}": np.einsum("ti,tj->tij", dh[1:] * slope, h),
        "the first step is made with the last state: h[t - 1] is h[-1] there, but should be h_0":
            np.einsum("ti,tj->tij", dh[1:] * slope, np.roll(h, 1, axis=0)),
        "the slope is missing: a part is da_t h_{t-1}ᵀ with da_t = dh_t (1 - h_t²)": np.einsum("ti,tj->tij", dh[1:], before),
        "each part is the transpose of what it should be": parts.transpose(0, 2, 1),
        "the order is reversed: the part of the first step comes first": parts[::-1],
        "that is the gradient by W_h already, their sum; the parts are asked for": parts.sum(axis=0),
        "they add up on the way: each should be its own step's part alone": np.cumsum(parts[::-1], axis=0)[::-1],
        "da_t is made with dh_{t-1}; it should be dh_t": np.einsum("ti,tj->tij", dh[:-1] * slope, before)})


def _slope_last(W_h: np.ndarray, slope: np.ndarray, dh_T: np.ndarray) -> np.ndarray:
    dh = [dh_T]
    for s in slope[::-1]:
        dh.insert(0, s * (W_h.T @ dh[0]))
    return np.array(dh)


def exercise_3(answer: Answer) -> None:
    """The bug in the clip

    fixed_clip(gradients, bound): returns a list of arrays, all shortened by one factor if together they are longer than bound.
    """
    clip = answer.function("fixed_clip")
    long = [np.array([[3.0, 0.0], [0.0, 2.0]]), np.array([6.0]), np.zeros(3)]       # of length 7
    short = [gradient / 10 for gradient in long]
    _compare(clip(long, 3.5), [gradient / 2 for gradient in long], "of length 7, clipped to 3.5", {
        "that is still by the sum of the norms; the norm of all together is the root of the sum of their squares":
            [gradient * 3.5 / (np.sqrt(13) + 6) for gradient in long],
        "the factor is bound / norm, but the norm is missing its root": [gradient * 3.5 / 49 for gradient in long],
        "each is shortened by its own norm; there should be one factor for all":
            [gradient * min(1, 3.5 / max(float(np.linalg.norm(gradient)), 1e-9)) for gradient in long],
        "each number is clipped by itself, which is clipping by value": [gradient.clip(-3.5, 3.5) for gradient in long],
        "nothing is shortened": long})
    _compare(clip(short, 3.5), short, "of length 0.7, clipped to 3.5", {
        "what is short enough should stay as it is; it has been lengthened": [gradient / 2 for gradient in long]})
    _compare(clip([np.zeros(2)], 1.0), [np.zeros(2)], "that are all 0, clipped to 1", {})


def _compare(got: object, want: list[np.ndarray], which: str, mistakes: dict[str, list[np.ndarray]]) -> None:
    if not isinstance(got, (list, tuple)) or len(got) != len(want):
        raise Wrong(f"fixed_clip should return a list of as many arrays as it is given, {len(want)}")
    for k, (gradient, right) in enumerate(zip(got, want, strict=True)):
        as_array(gradient, f"gradient {k}", right.shape)
    flat = {sentence: np.concatenate([np.ravel(g) for g in wrong]) for sentence, wrong in mistakes.items()}
    expect_close(np.concatenate([np.ravel(g) for g in got]), np.concatenate([np.ravel(g) for g in want]),
                 f"gradients {which}", flat)


def exercise_4(answer: Answer) -> None:
    """The edge

    sigma: of 100 × 100 independent numbers with which a gradient neither vanishes nor explodes over many steps, to a tenth.
    """
    sigma = float(answer.array("sigma", ()))
    if 0.045 <= sigma <= 0.055:
        raise Wrong(f"with {sigma:g} the largest singular value is 1: no gradient grows, but the largest eigenvalue is half "
                    "that, and it is the eigenvalues that decide in the long run")
    if abs(sigma - 0.01) < 1e-3:
        raise Wrong(f"{sigma:g} is 1/n, or the variance 1/n; σ is its root")
    if not 0.09 <= sigma <= 0.11:
        raise Wrong(f"with {sigma:g} the largest eigenvalue is about {10 * sigma:.2g}: after 50 steps there is "
                    f"{(10 * sigma) ** 50:.0e} of 1" if 0 < sigma < 1e5 else f"sigma should be positive, not {sigma:g}")
