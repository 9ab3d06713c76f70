"""Kernels of recurrent sequences: the three rooms against each other, packed against padded, and finite differences."""
from typing import NamedTuple

import numpy as np
import pytest
from helpers import TOLERANCE, assert_same, filled_with_nan, numeric_gradient, rooms_agree

import kernels
from nblayers.devices import array_module, to_numpy


class Layout(NamedTuple):
    """Where the steps of B sequences lie, as the kernels take it."""

    first: np.ndarray
    rows: np.ndarray
    apart: int

    @property
    def B(self):
        return int(self.rows[0])

    @property
    def N(self):
        return int(self.rows.sum())


def padded(B, T):
    return Layout(np.arange(T), np.full(T, B), T)


def packed(*lengths):
    rows = np.array([sum(length > t for length in lengths) for t in range(max(lengths))])
    return Layout(np.cumsum(rows) - rows, rows, 1)


LAYOUTS = {"padded 1 1": padded(1, 1), "padded 2 3": padded(2, 3), "packed 1": packed(1), "packed 4 2 2 1": packed(4, 2, 2, 1)}
# nine units: more than the simulator's threads
CASES = pytest.mark.parametrize(("layout", "H", "go_backwards", "holes", "every", "dtype"), [
    ("padded 1 1", 1, False, False, True, "float32"), ("padded 2 3", 9, True, True, False, "float64"),
    ("packed 1", 9, True, False, False, "float64"), ("packed 4 2 2 1", 9, False, True, True, "float32"),
    ("packed 4 2 2 1", 3, True, True, True, "float64"), ("packed 4 2 2 1", 1, True, False, False, "float64"),
])


def values_of(rng, dtype):
    """Random arrays by their shape."""
    return lambda *shape: rng.normal(size=shape).astype(dtype)


def mask_of(rng, layout, holes):
    return rng.random(layout.N) > 0.4 if holes else np.ones(layout.N, bool)


def gates_in_rooms(function, gates, inputs, shapes, mask, meaningless):
    """Run a forward that writes its gates over its first input in every room: the results agree.

    At masked steps the first few, so many as are `meaningless` there, need only hold numbers.
    """
    results = {}
    for room in kernels.ROOMS:
        xp = array_module(room)
        own = [xp.array(a) if isinstance(a, np.ndarray) else a for a in (gates, *inputs)]
        outputs = [xp.array(filled_with_nan(shape, gates.dtype)) for shape in shapes]
        getattr(kernels.get(room).recurrent, function)(*own, *outputs)
        results[room] = [to_numpy(value) for value in (own[0], *outputs)]
        assert all(np.isfinite(value).all() for value in results[room]), f"{room}: not every element was written"
    compared = {room: [a[mask] for a in values[:meaningless]] + values[meaningless:] for room, values in results.items()}
    for room, values in compared.items():
        assert_same(values, compared["reference"], room, rtol=TOLERANCE[gates.dtype.name], atol=TOLERANCE[gates.dtype.name])
    return results["reference"]


@CASES
@pytest.mark.parametrize("activation", range(4), ids=["linear", "tanh", "sigmoid", "relu"])
def test_simple_rnn_in_three_rooms(rng, layout, H, go_backwards, holes, every, dtype, activation):
    layout, normal = LAYOUTS[layout], values_of(rng, dtype)
    N, B, mask = layout.N, layout.B, mask_of(rng, layout, holes)
    W_h, steps = normal(H, H), (mask, *layout, go_backwards)
    (h,) = rooms_agree("recurrent", "simple_rnn_forward", [normal(N, H), W_h, normal(B, H), *steps, activation], [(N, H)])
    dy = normal(N if every else 0, H)
    rooms_agree("recurrent", "simple_rnn_backward", [dy, W_h, h, *steps, activation], [normal(B, H), (N, H)])


@CASES
def test_lstm_in_three_rooms(rng, layout, H, go_backwards, holes, every, dtype):
    layout, normal = LAYOUTS[layout], values_of(rng, dtype)
    N, B, mask = layout.N, layout.B, mask_of(rng, layout, holes)
    U, h0, c0, steps = normal(H, 4 * H), normal(B, H), normal(B, H), (mask, *layout, go_backwards)
    gates, c, _ = gates_in_rooms("lstm_forward", normal(N, 4 * H), [U, h0, c0, *steps], [(N, H), (N, H)], mask, 1)
    gates[~mask] = np.nan                                           # nobody reads them
    dy = normal(N if every else 0, H)
    rooms_agree("recurrent", "lstm_backward", [dy, U, gates, c0, c, *steps], [normal(B, H), normal(B, H), (N, 4 * H)])


@CASES
@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_in_three_rooms(rng, layout, H, go_backwards, holes, every, dtype, reset_after):
    layout, normal = LAYOUTS[layout], values_of(rng, dtype)
    N, B, mask = layout.N, layout.B, mask_of(rng, layout, holes)
    U, h0, steps = normal(H, 3 * H), normal(B, H), (mask, *layout, go_backwards, reset_after)
    b_h = normal(3 * H) if reset_after else filled_with_nan(3 * H, dtype)
    gates, inner, h = gates_in_rooms("gru_forward", normal(N, 3 * H), [U, b_h, h0, *steps], [(N, H), (N, H)], mask, 2)
    gates[~mask] = inner[~mask] = np.nan
    dy = normal(N if every else 0, H)
    rooms_agree("recurrent", "gru_backward", [dy, U, gates, inner, h0, h, *steps], [normal(B, H), (N, 3 * H), (N, H)])


KINDS = {"simple": 1, "lstm": 4, "gru, reset after": 3, "gru, reset before": 3}         # and how many gates they have


class Walked(NamedTuple):
    states: list                # h, or h and c, of every step
    da: list                    # da, or da and dinner
    dstates: list               # of the initial states


def operands(rng, kind, B, N, H):
    """weights, initial states, the input's shares, dy and the gradients of the last states."""
    gates, states = KINDS[kind], 2 if kind == "lstm" else 1
    weights = [rng.normal(size=(H, gates * H))] + ([rng.normal(size=3 * H)] if kind.startswith("gru") else [])
    return (weights, [rng.normal(size=(B, H)) for _ in range(states)], rng.normal(size=(N, gates * H)),
            rng.normal(size=(N, H)), [rng.normal(size=(B, H)) for _ in range(states)])


def walked(room, kind, layout, mask, go_backwards, weights, states, shares, dy, dstates):
    """Forward and backward of one kind of layer in a room."""
    recurrent, xp = kernels.get(room).recurrent, array_module(room)
    on_device = lambda arrays: [xp.array(a) if isinstance(a, np.ndarray) else a for a in arrays]        # noqa: E731
    steps, weights, states, dstates = map(on_device, ((mask, *layout, go_backwards), weights, states, dstates))
    gates, dy = on_device((shares, dy))
    h, c, inner, dinner = (xp.full(dy.shape, np.nan) for _ in range(4))
    da = xp.full(gates.shape, np.nan)
    if kind == "simple":
        recurrent.simple_rnn_forward(gates, *weights, *states, *steps, 1, h)
        recurrent.simple_rnn_backward(dy, *weights, h, *steps, 1, *dstates, da)
    elif kind == "lstm":
        recurrent.lstm_forward(gates, *weights, *states, *steps, c, h)
        recurrent.lstm_backward(dy, *weights, gates, states[1], c, *steps, *dstates, da)
    else:
        reset_after = kind == "gru, reset after"
        recurrent.gru_forward(gates, *weights, *states, *steps, reset_after, inner, h)
        recurrent.gru_backward(dy, weights[0], gates, inner, *states, h, *steps, reset_after, *dstates, da, dinner)
    to_host = lambda arrays: [to_numpy(a) for a in arrays]                                              # noqa: E731
    return Walked(to_host([h, c] if kind == "lstm" else [h]), to_host([da, dinner] if kind.startswith("gru") else [da]),
                  to_host(dstates))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("go_backwards", [False, True])
def test_packed_is_padded_with_a_mask(rng, device, kind, go_backwards):
    lengths, T, H = (4, 2, 2, 1), 5, 3                              # the padded batch has a step more than anyone needs
    B, short = len(lengths), packed(*lengths)
    mask = np.arange(T) < np.array(lengths)[:, None]                # (B, T)
    b, t = np.nonzero(mask)
    real, row = b * T + t, short.first[t] + b                       # where each real step lies in the one and in the other
    real = real[np.argsort(row)]
    weights, states, shares, dy, dstates = operands(rng, kind, B, B * T, H)
    dy[~mask.ravel()] = 0
    expected = walked(device, kind, padded(B, T), mask.ravel(), go_backwards, weights, states, shares, dy, dstates)
    got = walked(device, kind, short, np.ones(short.N, bool), go_backwards, weights, states, shares[real], dy[real], dstates)
    close = dict(rtol=1e-12, atol=1e-14)
    assert_same(got.states, [a[real] for a in expected.states], "states", **close)
    assert_same(got.da, [a[real] for a in expected.da], "gradients of the shares", **close)
    assert_same(got.dstates, expected.dstates, "gradients of the initial states", **close)
    assert all((a[~mask.ravel()] == 0).all() for a in expected.da)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("go_backwards", [False, True])
def test_gradients_of_packed_sequences_with_holes(rng, kind, go_backwards):
    """Finite differences of the reference, with which the other rooms agree."""
    layout, H = packed(4, 3, 1), 2
    mask = np.array([1, 1, 1, 0, 1, 1, 0, 1], bool)
    weights, states, shares, dy, dstates = operands(rng, kind, layout.B, layout.N, H)
    lengths = (layout.rows > np.arange(layout.B)[:, None]).sum(axis=1)
    ends = layout.first[0 * lengths if go_backwards else lengths - 1] + np.arange(layout.B)

    def run():
        return walked("reference", kind, layout, mask, go_backwards, weights, states, shares, dy, dstates)

    def loss():
        hs = run().states
        return (hs[0] * dy).sum() + sum((a[ends] * d).sum() for a, d in zip(hs, dstates, strict=True))
    result = run()
    checked = [(shares, result.da[0]), *zip(states, result.dstates, strict=True)]
    if kind == "gru, reset after":
        da, dinner = result.da
        checked.append((weights[1], np.concatenate([da[:, :2 * H], dinner], axis=1).sum(axis=0)))
    for value, gradient in checked:
        np.testing.assert_allclose(gradient, numeric_gradient(loss, value), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ["simple", "lstm", "gru", "gru_reset_before"])
def test_a_step_and_its_backward(rng, kind):
    """The equations of one step, on plain arrays: finite differences by all that it reads."""
    N, H, room = 3, 2, kernels.get("reference").recurrent
    gates = {"simple": 1, "lstm": 4}.get(kind, 3)
    shares, U, b = rng.normal(size=(N, gates * H)), rng.normal(size=(H, gates * H)), rng.normal(size=gates * H)
    h_prev, c_prev, dh, dc_next = rng.normal(size=(4, N, H))

    def step():
        if kind == "simple":
            return [room.simple_rnn_step(shares, h_prev, U, 1)]
        if kind == "lstm":
            return room.lstm_step(shares + h_prev @ U, c_prev)
        return room.gru_step(shares, h_prev, U, b) if kind == "gru" else room.gru_step_reset_before(shares, h_prev, U)

    def loss():
        values = step()
        return (values[-1] * dh).sum() + ((values[-2] * dc_next).sum() if kind == "lstm" else 0)

    values = step()
    if kind == "simple":
        da, dh_prev = room.simple_rnn_step_backward(dh, values[0], U, 1)
        checked = [(shares, da), (h_prev, dh_prev), (U, h_prev.T @ da)]
    elif kind == "lstm":
        da, dc_prev = room.lstm_step_backward(dh, dc_next, *values[:5], c_prev)
        checked = [(shares, da), (h_prev, da @ U.T), (c_prev, dc_prev), (U, h_prev.T @ da)]
    elif kind == "gru":
        da, du, dh_prev = room.gru_step_backward(dh, *values[:4], h_prev, U)
        by_u = np.concatenate([da[:, :2 * H], du], axis=1)
        checked = [(shares, da), (h_prev, dh_prev), (b, by_u.sum(axis=0)), (U, h_prev.T @ by_u)]
    else:
        da, dh_prev = room.gru_step_reset_before_backward(dh, *values[:3], h_prev, U)
        read = [h_prev.T @ da[:, :2 * H], values[3].T @ da[:, 2 * H:]]
        checked = [(shares, da), (h_prev, dh_prev), (U, np.concatenate(read, axis=1))]
    for value, gradient in checked:
        np.testing.assert_allclose(gradient, numeric_gradient(loss, value), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", range(4))
def test_a_simple_step_with_every_activation(rng, activation):
    room = kernels.get("reference").recurrent
    z, h_prev, dh = rng.normal(size=(3, 4, 3))
    U = rng.normal(size=(3, 3))
    da, _ = room.simple_rnn_step_backward(dh, room.simple_rnn_step(z, h_prev, U, activation), U, activation)
    numeric = numeric_gradient(lambda: (room.simple_rnn_step(z, h_prev, U, activation) * dh).sum(), z)
    np.testing.assert_allclose(da, numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_without_steps_keeps_its_state(rng, device, kind):
    weights, states, shares, dy, dstates = operands(rng, kind, 3, 3, 2)
    layout = Layout(np.array([0, 2]), np.array([2, 1]), 1)          # three sequences with 2, 1 and 0 steps
    result = walked(device, kind, layout, np.ones(3, bool), False, weights, states, shares, dy, dstates)
    assert_same([d[2] for d in result.dstates], [d[2] for d in dstates])
    assert all(np.isfinite(a).all() for a in (*result.states, *result.da))


@pytest.mark.parametrize("kind", ["lstm", "gru, reset after", "gru, reset before"])
def test_saturated_gates_stay_finite(device, kind):
    gates = KINDS[kind]
    shares = np.array([[-2000.0, 2000, 3000, -3000], [1e4, -1e4, -1e4, 1e4]])[:, :gates].copy()
    weights = [np.zeros((1, gates)), np.zeros(3)][:1 if kind == "lstm" else 2]
    states, dstates = [[np.full((2, 1), value) for _ in range(2 if kind == "lstm" else 1)] for value in (0.5, 1.0)]
    result = walked(device, kind, padded(2, 1), np.ones(2, bool), False, weights, states, shares, np.zeros((2, 1)), dstates)
    expected = [[0, np.tanh(-1)], [0.5, -1]] if kind == "lstm" else [[1, 0.5]]
    assert_same([a[:, 0] for a in result.states], [np.array(a) for a in expected], atol=1e-300)
    assert all(np.isfinite(a).all() for a in (*result.da, *result.dstates))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["padded 2 3", "packed 4 2 2 1"])
def test_threads_that_share_the_sequences(rng, monkeypatch, kind, layout):
    layout = LAYOUTS[layout]
    given = operands(rng, kind, layout.B, layout.N, 3)
    mask = mask_of(rng, layout, True)
    alone = walked("cpu", kind, layout, mask, True, *given)
    monkeypatch.setattr(kernels.get("cpu").recurrent, "PARALLEL_FROM", 1)
    shared = walked("cpu", kind, layout, mask, True, *given)
    for got, expected in zip(shared, alone, strict=True):
        assert_same(got, expected, rtol=1e-12)
