"""Checks of the exercises of lesson 09."""
import numpy as np

from nblayers.layers import GRU
from nblayers.learn.exercises import Answer, Wrong, expect_close, for_each_size, returned


def exercise_1(answer: Answer) -> None:
    """One step back, on paper

    h, da_z, da_r, du and dh_prev for one unit that resets after, at the last step: z = 0.75, r = 0.5, h_{t-1} = -1, x_h = 0.5,
    U_h = 4, b'_h = 3, U_z = U_r = 0, dh = 4.
    """
    answer.on_paper("h", -0.75, [
        "First h~ = tanh(x_h + r (U_h h_{t-1} + b'_h)), then h = z h_{t-1} + (1 - z) h~.",
        "U_h h_{t-1} + b'_h = -1, and r makes -0.5 of it."], {
        "that is the document's (1 - z) h_{t-1} + z h~; Keras' z says how much stays": -0.25,
        "with h~ = 0 only the part of h_{t-1} counts": 0,
        "that is reset before, where h~ = tanh(x_h + U_h r h_{t-1}) and there is no b'": -0.75 + 0.25 * np.tanh(-1.5)}, 1e-3)
    answer.on_paper("da_z", -0.75, [
        "First dz = dh (h_{t-1} - h~), then the slope of a sigmoid.",
        "dz = -4, and the slope is z (1 - z)."], {
        "the sign is the document's: there z is the part of h~": 0.75,
        "that is dz; the slope z (1 - z) is missing": -4,
        "that is with the slope of tanh; a gate's is z (1 - z)": -4 * (1 - 0.75 ** 2)})
    answer.on_paper("da_r", -0.25, [
        "r is a factor of u inside the tanh: dr = da_h u, with u = U_h h_{t-1} + b'_h. Then the slope of a sigmoid.",
        "da_h = dh (1 - z) (1 - h~²) = 1, and u = -1."], {
        "either the slope r (1 - r) is missing, or something else stands for u, which is U_h h_{t-1} + b'_h = -1": -1,
        "h~ got 1 - z = 0.25 of dh, not z": -0.75})
    answer.on_paper("du", 0.5, [
        "Inside the tanh stands r u: du = da_h r.",
        "da_h = dh (1 - z) (1 - h~²) = 1."], {
        "that is da_h; r is missing": 1,
        "h~ got 1 - z = 0.25 of dh, not z": 1.5,
        "h~'s share of dh, 1 - z, is missing": 2,
        "that is reset before: du = U_h da_h": 4})
    answer.on_paper("dh_prev", 5, [
        "h_{t-1} is heard straight, with the factor z, and in u, with the factor U_h (U_z and U_r are 0). Add the two.",
        "The straight way brings dh z = 3."], {
        "the straight way is missing, dh z": 2,
        "the way by u is missing, U_h du": 3,
        "by u it is U_h du, not du": 3.5,
        "by u it is U_h du, and du has the factor r": 7,
        "the straight way is dh z, not dh (1 - z)": 3,
        "that is the document's, with z and 1 - z changed": 1 + 4 * 1.5})


def exercise_2(answer: Answer) -> None:
    """One step back, in code

    gru_step_backward(dh, z, r, u, h_tilde, h_prev, U, after): returns da, dh_prev. All but U (units, 3 units) and `after` are
    vectors of one number for each unit; dh holds dy_t and the carry; da is of x W + b, in Keras' order z, r, h~. `after` says
    where r acts, and so what u is.
    """
    for after in (True, False):
        for_each_size(answer, lambda units, after=after: _check_step(answer, after, units), [(1,), (3,)])


def _check_step(answer: Answer, after: bool, units: int) -> None:
    rng = np.random.default_rng(9)
    dh, h_prev, b = rng.normal(size=(3, units)).round(2)
    z, r = (1 / (1 + np.exp(-rng.normal(size=(2, units))))).round(2)
    h_tilde, U = np.tanh(rng.normal(size=units)).round(2), rng.normal(size=(units, 3 * units)).round(2)
    U_z, U_r, U_h = np.split(U, 3, axis=1)
    u = h_prev @ U_h + b if after else r * h_prev
    result = answer.function("gru_step_backward")(dh, z, r, u, h_tilde, h_prev, U, after)
    returned(result, "gru_step_backward", "da", "dh_prev")

    def gates(h_part=1 - z, sign=1.0, of_reset=None, slope=1 - h_tilde ** 2):
        da_h = dh * h_part * slope
        dr = of_reset if of_reset is not None else da_h * u if after else (U_h @ da_h) * h_prev
        return [sign * dh * (h_prev - h_tilde) * z * (1 - z), dr * r * (1 - r), da_h]

    a_z, a_r, a_h = right = gates()
    way, other = ("reset after", "before") if after else ("reset before", "after")
    expect_close(result[0], np.concatenate(right), f"da ({way})", {
        "h = (1 - z) h_{t-1} + z h~ is the document's; in Keras z is the part of h_{t-1}": np.concatenate(gates(z, -1.0)),
        "dh~ is dh times 1 - z, not z": np.concatenate(gates(z)),
        "dh~ is dh times 1 - z": np.concatenate(gates(np.ones(units))),
        "dz has the wrong sign": np.concatenate([-a_z, a_r, a_h]),
        "dz is dh times h_{t-1} - h~, not h_{t-1}": np.concatenate([dh * h_prev * z * (1 - z), a_r, a_h]),
        "the slope of h~, 1 - h~², is missing": np.concatenate(gates(slope=np.ones(units))),
        f"dr is that of a reset {other}": np.concatenate(gates(of_reset=(U_h @ a_h) * h_prev if after else a_h * u)),
        "before, r was multiplied by h_{t-1}, not by u, which is r h_{t-1} already": np.concatenate(
            gates(of_reset=(U_h @ a_h) * u)),
        "after, du = da_h r belongs to the product; da_h itself is what x W gets": np.concatenate([a_z, a_r, a_h * r]),
        "the order is r, z, h~; Keras' is z, r, h~": np.concatenate([a_r, a_z, a_h]),
        "those are dz, dr and dh~, without the slopes": np.concatenate(
            [dh * (h_prev - h_tilde), a_r / (r * (1 - r)), dh * (1 - z)])}, blocks=("z", "r", "h~"))
    straight, by_z, by_r = dh * z, U_z @ a_z, U_r @ a_r
    by_u = U_h @ (a_h * r) if after else (U_h @ a_h) * r
    wrong_way = (U_h @ a_h) * r if after else U_h @ (a_h * r)
    expect_close(result[1], straight + by_z + by_r + by_u, f"dh_prev ({way})", {
        "the straight way is dropped: dh z": by_z + by_r + by_u,
        "the straight way is dh z, not dh (1 - z)": dh * (1 - z) + by_z + by_r + by_u,
        "the straight way is dh z, not all of dh": dh + by_z + by_r + by_u,
        "the way by z is missing, U_z da_z": straight + by_r + by_u,
        "the way by r is missing, U_r da_r": straight + by_z + by_u,
        "the way by u is missing": straight + by_z + by_r,
        "r is missing on the way by u": straight + by_z + by_r + U_h @ a_h,
        f"the way by u is that of a reset {other}": straight + by_z + by_r + wrong_way,
        "the products are with the transposes of U's blocks": straight + U_z.T @ a_z + U_r.T @ a_r + (
            U_h.T @ (a_h * r) if after else (U_h.T @ a_h) * r)})


def exercise_3(answer: Answer) -> None:
    """The bug that leaves dx right

    fixed_weight_gradients(da_h, r, u, h_prev): returns dU_h (units, units) and, of both biases in h~, db_h and db_after
    (units,), for a reset after. The arguments are (T, units).
    """
    da_h, r, u, h_prev = np.random.default_rng(10).uniform(0.1, 0.9, (4, 5, 3))
    result = answer.function("fixed_weight_gradients")(da_h, r, u, h_prev)
    returned(result, "fixed_weight_gradients", "dU_h", "db_h", "db_after")
    du = da_h * r
    expect_close(result[0], h_prev.T @ du, "dU_h", {
        "r is missing: what the product with U_h gave was multiplied by it": h_prev.T @ da_h,
        "that is for a reset before: r on the side of h_{t-1}": (r * h_prev).T @ da_h,
        "u is made with U_h; what U_h was multiplied with is h_{t-1}": u.T @ du})
    expect_close(result[1], da_h.sum(axis=0), "db_h", {
        "b_h stands outside the reset, beside x W_h: it gets da_h whole": du.sum(axis=0)})
    expect_close(result[2], du.sum(axis=0), "db_after", {
        "b'_h stands inside the reset, so r is missing": da_h.sum(axis=0),
        "dr is da_h u; this is du, which is da_h r": (da_h * u).sum(axis=0)})


def exercise_4(answer: Answer) -> None:
    """A switch

    W (2, 3), U (1, 3) and b (2, 3) of a GRU(1) that from a (1, 0) on stays above 0.9 and from a (0, 1) on below -0.9.
    """
    weights = [answer.array("W", (2, 3)), answer.array("U", (1, 3)), answer.array("b", (2, 3))]
    fault = _fault_of_switch(weights)
    if fault and not _fault_of_switch([np.multiply([-1, 1, 1], weight) for weight in weights]):
        raise Wrong(f"{fault}; with the signs of z's columns changed it is right: Keras' z near 1 keeps")
    if fault:
        raise Wrong(fault)


def _fault_of_switch(weights: list[np.ndarray]) -> str:
    marks = {3: 0, 5: 1, 6: 0, 206: 1, 406: 0, 407: 0, 408: 1, 500: 0}
    inputs = np.zeros((1, 600, 2))
    for t, which in marks.items():
        inputs[0, t, which] = 1
    switch = GRU(1, return_sequences=True, dtype="float64").to("reference")
    switch.build(inputs.shape)
    switch.set_weights(weights)
    h = switch.forward(inputs)[0, :, 0]
    last = None
    for t in range(600):
        last = t if t in marks else last
        if last is None:
            continue
        on = marks[last] == 0
        if (h[t] if on else -h[t]) <= 0.9:
            mark, bound = ("(1, 0)", "above 0.9") if on else ("(0, 1)", "below -0.9")
            when = f"at a {mark} itself" if t == last else f"{t - last} steps after a {mark}"
            why = "z should be near 0 there, and h~ near ±1" if t == last else "z should be nearer to 1, or h~ repeat what h is"
            return f"{when} the state is {h[t]:.3f}, not {bound}: {why}"
    return ""
