"""ConvLSTM1D, ConvLSTM2D, ConvLSTM3D: kernels, against Keras, a walk over their cell, and finite differences."""
import inspect
import itertools

import numpy as np
import pytest
from helpers import agrees_with_keras, assert_same, copy_weights, filled_with_nan, rooms_agree

import kernels
import nblayers
from nblayers import config
from nblayers.layers import RNN, Conv2D, ConvLSTM1D, ConvLSTM2D, ConvLSTM3D

B, T, C, F = 2, 3, 2, 3
PLACES = {ConvLSTM1D: (5,), ConvLSTM2D: (5, 4), ConvLSTM3D: (4, 3, 5)}
LAYERS = list(PLACES)
MASKS = {
    "no mask": None,
    "right padding": [[1, 1, 0], [1, 1, 1]],
    "left padding": [[0, 1, 1], [1, 1, 1]],
    "holes": [[1, 0, 1], [0, 1, 0]],
    "a row of padding": [[0, 0, 0], [1, 0, 1]],
}


def mask_of(kind):
    return None if MASKS[kind] is None else np.array(MASKS[kind], bool)


def sequences(rng, layer_class=ConvLSTM2D, dtype="float64", channels_first=False):
    places = PLACES[layer_class]
    return rng.normal(size=(B, T, C, *places) if channels_first else (B, T, *places, C)).astype(dtype)


def states_of(layer, x, rng):
    if not layer.built:
        layer.build(x.shape)
    return [rng.normal(size=state.shape) for state in layer.get_initial_state(len(x))]


def keras_layer(layer_class, *arguments, **options):
    """The Keras layer, told masks as it understands them, with a tanh that keeps float64: its own casts to float32 on JAX."""
    import jax.numpy as jnp
    import keras
    theirs = getattr(keras.layers, layer_class.__name__)

    class Masked(theirs):
        def call(self, sequences, initial_state=None, mask=None, training=False):
            if mask is not None:                # Keras broadcasts (B, 1) against images, from the right
                mask = jnp.reshape(mask, (*mask.shape, *[1] * (len(sequences.shape) - 2)))
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)

    layer = Masked(*arguments, **options)
    if layer.cell.activation is keras.activations.tanh and layer.dtype == "float64":
        layer.cell.activation = jnp.tanh
    return layer


KERNEL_CASES = [
    # batch, time, places, taps, filters, go_backwards, masked, every, dtype
    (1, 1, (1, 1, 1), (1, 1, 1), 1, False, False, True, "float64"),
    (2, 3, (1, 1, 3), (1, 1, 3), 3, False, True, True, "float32"),
    (1, 2, (1, 3, 2), (1, 2, 3), 2, True, True, False, "float64"),
    (2, 2, (2, 1, 2), (2, 3, 1), 1, True, False, True, "float64"),
    (3, 2, (1, 2, 2), (1, 3, 3), 5, False, True, False, "float64"),
]


@pytest.mark.parametrize(("b", "t", "places", "taps", "f", "go_backwards", "masked", "every", "dtype"), KERNEL_CASES)
def test_kernels_in_three_rooms(rng, b, t, places, taps, f, go_backwards, masked, every, dtype):
    def normal(*shape):
        return rng.normal(size=shape).astype(dtype)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    mask = rng.random((b, t)) > 0.4 if masked else np.ones((b, t), bool)
    z, U, h0, c0 = normal(b, t, *places, 4 * f), normal(*taps, f, 4 * f), normal(b, *places, f), normal(b, *places, f)
    results, states = {}, (b, t, *places, f)
    for room in kernels.ROOMS:
        gates, c, h = z.copy(), filled_with_nan(states, dtype), filled_with_nan(states, dtype)
        kernels.get(room).conv_lstm.conv_lstm_forward(gates, U, h0, c0, mask, go_backwards, True, c, h)
        results[room] = [gates[mask], c, h]                 # the gates of masked steps mean nothing
        assert_same(results[room], results["reference"], room, rtol=tolerance, atol=tolerance)
    assert not np.isnan(results["cpu"][1]).any()
    rooms_agree("conv_lstm", "conv_lstm_backward",
                [normal(b, t if every else 0, *places, f), U, gates, c0, c, mask, go_backwards, True],
                [normal(b, *places, f), normal(b, *places, f), (b, t, *places, 4 * f)], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize(("places", "filters", "kernel_size", "dtype"), [
    ((9, 7), 5, 3, "float64"), ((12, 13), 16, 3, "float64"), ((40, 30), 16, 3, "float32"), ((6, 5), 1, (2, 1), "float64"),
], ids=["tile", "winograd", "blocks", "few"])
def test_every_way_of_the_cpu_is_a_walk_over_the_cell(rng, monkeypatch, threads, places, filters, kernel_size, dtype):
    """Alone, each thread with sequences of its own (2 for 3), all on one sequence (4 for 3)."""
    monkeypatch.setattr(kernels.get("cpu").conv_lstm, "threads_for", lambda work, share: threads)
    x = rng.normal(size=(3, 2, *places, 2)).astype(dtype)
    layer = ConvLSTM2D(filters, kernel_size, return_sequences=True, dtype=dtype)
    walked = ConvLSTM2D(filters, kernel_size, return_sequences=True, dtype=dtype)
    states, mask = states_of(layer, x, rng), np.array([[1, 1], [0, 1], [1, 0]], bool)
    walked.build(x.shape)
    walked.fused = False
    copy_weights(layer, walked)
    dy, results = rng.normal(size=(3, 2, *states[0].shape[1:])), []
    for one in (layer, walked):
        results.append([one(x, initial_state=states, mask=mask), *one.backward(dy), *(p.grad for p in one.weights)])
    assert isinstance(layer.cache, ConvLSTM2D.Cache) and isinstance(walked.cache, RNN.Cache)
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=(2e-5 if dtype == "float32" else 1e-11) * abs(b).max())


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_what_is_not_finite_stays_in_its_windows(rng, monkeypatch, threads):
    """Of a pixel that is NaN the second step's windows see their neighbours' and no more, with Winograd's way and without."""
    monkeypatch.setattr(kernels.get("cpu").conv_lstm, "threads_for", lambda work, share: threads)
    layer, x = ConvLSTM2D(16, 3, padding="same", return_sequences=True), rng.normal(size=(3, 3, 12, 13, 2)).astype("f4")
    x[1, 0, 5, 6, 0] = np.nan
    results, dy = [], rng.normal(size=(3, 3, 12, 13, 16)).astype("f4")
    for winograd in (True, False):
        monkeypatch.setattr(config, "winograd", lambda value=winograd: value)
        layer.zero_grad()
        results.append([layer(x), layer.backward(dy)])
    for ours, plain in zip(*results, strict=True):
        assert np.array_equal(np.isnan(ours), np.isnan(plain))
        np.testing.assert_allclose(ours, plain, rtol=1e-3, atol=1e-4)
    assert [np.isnan(results[0][0][1, t, :, :, 0]).sum() for t in range(3)] == [9, 25, 49]


def test_saturated_gates_stay_finite(device):
    z = np.array([[-2000.0, 2000, 3000, -3000], [1e4, -1e4, -1e4, 1e4]]).reshape(2, 1, 1, 1, 1, 4)
    U, zeros = np.zeros((1, 1, 1, 1, 4)), np.zeros((2, 1, 1, 1, 1))
    c, h = filled_with_nan((2, 1, 1, 1, 1, 1)), filled_with_nan((2, 1, 1, 1, 1, 1))
    kernels.get(device).conv_lstm.conv_lstm_forward(z, U, zeros, zeros, np.ones((2, 1), bool), False, True, c, h)
    np.testing.assert_allclose(z.reshape(2, 4), [[0, 1, 1, 0], [1, 0, -1, 1]], atol=1e-300)
    np.testing.assert_allclose(c.reshape(2), [0, -1], atol=1e-300)


KERAS = [
    (ConvLSTM1D, {}, "no mask", False),
    (ConvLSTM1D, dict(return_sequences=True, return_state=True, go_backwards=True, padding="same", strides=2), "holes", True),
    (ConvLSTM1D, dict(kernel_size=2, dilation_rate=2, use_bias=False, return_state=True), "left padding", False),
    (ConvLSTM2D, {}, "no mask", True),
    (ConvLSTM2D, dict(return_sequences=True), "holes", False),
    (ConvLSTM2D, dict(return_sequences=True, return_state=True, go_backwards=True), "a row of padding", True),
    (ConvLSTM2D, dict(kernel_size=(3, 2), strides=(2, 1), padding="same", go_backwards=True), "right padding", False),
    (ConvLSTM2D, dict(kernel_size=(1, 3), strides=(1, 2), return_state=True), "left padding", True),
    (ConvLSTM2D, dict(dilation_rate=(2, 1), padding="same", return_sequences=True), "no mask", False),
    (ConvLSTM2D, dict(zero_output_for_mask=True, return_sequences=True, go_backwards=True), "holes", True),
    (ConvLSTM2D, dict(zero_output_for_mask=True, return_state=True), "right padding", True),
    (ConvLSTM2D, dict(activation="relu", recurrent_activation="hard_sigmoid", return_sequences=True), "holes", True),
    (ConvLSTM2D, dict(activation="softmax", recurrent_activation=None, go_backwards=True), "left padding", False),
    (ConvLSTM2D, dict(unroll=True, return_sequences=True), "no mask", True),
    (ConvLSTM3D, dict(return_sequences=True), "no mask", False),
    (ConvLSTM3D, dict(kernel_size=(1, 2, 3), strides=(2, 1, 1), padding="same", return_state=True), "holes", True),
]


@pytest.mark.parametrize(("layer_class", "options", "mask", "initial"), KERAS)
def test_values_and_gradients_are_keras(rng, x64, layer_class, options, mask, initial):
    options = {"kernel_size": 3, "dtype": "float64", **options}
    ours, x = layer_class(F, **options), sequences(rng, layer_class)
    arguments = {"mask": mask_of(mask)} if mask_of(mask) is not None else {}
    if initial:
        arguments["initial_state"] = states_of(ours, x, rng)
    agrees_with_keras(ours, keras_layer(layer_class, F, **options), x, **arguments)


@pytest.mark.parametrize("options", [
    {}, dict(return_sequences=True, return_state=True, go_backwards=True), dict(activation="softmax"),
    dict(dropout=0.3, recurrent_dropout=0.4), dict(padding="same", dropout=0.3)], ids=str)
@pytest.mark.parametrize("layer_class", LAYERS)
def test_channels_first_is_the_same(rng, layer_class, options):
    """Keras cannot convolve channels_first on this CPU; softmax runs along the last axis, whatever it holds."""
    last = layer_class(F, 2, dtype="float64", seed=1, **options)
    first = layer_class(F, 2, dtype="float64", seed=1, data_format="channels_first", **options)
    if options.get("activation") == "softmax":
        last.cell.activation = along_channels(-1)
        first.cell.activation = along_channels(1)
    x = sequences(rng, layer_class)
    states = states_of(last, x, rng)
    first.build(np.moveaxis(x, -1, 2).shape)
    copy_weights(last, first)
    y = last(x, initial_state=states, mask=mask_of("holes"), training=True)
    y = y if last.return_state else [y]
    dy = [rng.normal(size=value.shape) for value in y]
    gradients = last.backward(dy if last.return_state else dy[0])

    def turned(values):
        return [np.moveaxis(v, -1, 2 if v.ndim == x.ndim else 1) for v in values]
    got = first(np.moveaxis(x, -1, 2), initial_state=turned(states), mask=mask_of("holes"), training=True)
    assert_same(got, turned(y), "output", rtol=1e-12, atol=1e-13)
    assert_same(first.backward(turned(dy) if last.return_state else turned(dy)[0]), turned(gradients), "gradient", rtol=1e-10,
                atol=1e-12)
    assert_same([p.grad for p in first.weights], [p.grad for p in last.weights], "weight gradient", rtol=1e-10, atol=1e-12)
    assert first.compute_output_shape(np.moveaxis(x, -1, 2).shape) == nested_shapes(got)


def along_channels(axis):
    def squash(x):
        return x / (1 + np.abs(x).sum(axis, keepdims=True))

    def gradient(x, dy):
        total = 1 + np.abs(x).sum(axis, keepdims=True)
        return dy / total - np.sign(x) * (dy * x).sum(axis, keepdims=True) / total ** 2
    squash.gradient = gradient
    return squash


def nested_shapes(values):
    return [value.shape for value in values] if isinstance(values, list) else values.shape


@pytest.mark.parametrize("options", [{}, dict(activation="relu", dropout=0.2)], ids=str)
def test_float32_stays_float32(rng, options):
    options = dict(return_sequences=True, seed=1, **options)
    single, double = ConvLSTM2D(F, 3, **options), ConvLSTM2D(F, 3, dtype="float64", **options)
    x, results = sequences(rng, dtype="float32"), []
    double.build(x.shape)
    single.build(x.shape)
    copy_weights(single, double)
    for layer in (single, double):
        y = layer(x, training=True)
        results.append([y, layer.backward(np.ones_like(y)), *(p.grad for p in layer.weights)])
    assert {a.dtype.name for a in results[0]} == {"float32"}
    assert_same(*results, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [dict(dropout=0.4), dict(recurrent_dropout=0.4), dict(dropout=0.3, recurrent_dropout=0.4),
                                     dict(dropout=1.0, recurrent_dropout=1.0)])
def test_dropout_is_keras_given_the_same_masks(rng, x64, monkeypatch, options):
    import keras
    ours = ConvLSTM2D(F, 3, return_sequences=True, dtype="float64", seed=3, **options)
    theirs = keras_layer(ConvLSTM2D, F, 3, return_sequences=True, dtype="float64", **options)
    x = sequences(rng)
    theirs(x)
    drawn, draw = {}, ours.cell.dropout_masks

    def remember(*arguments):
        drawn["x"], drawn["h"] = draw(*arguments)
        return drawn["x"], drawn["h"]

    def masks_of(name):                         # ours (B, 1, H, W, 4, channels), theirs four of (B, H, W, channels)
        return lambda step: None if drawn[name] is None else [keras.ops.convert_to_tensor(drawn[name][:, 0, :, :, gate])
                                                              for gate in range(4)]
    monkeypatch.setattr(ours.cell, "dropout_masks", remember)
    if 1.0 not in options.values():
        monkeypatch.setattr(theirs.cell, "get_dropout_mask", masks_of("x"))
        monkeypatch.setattr(theirs.cell, "get_recurrent_dropout_mask", masks_of("h"))
    agrees_with_keras(ours, theirs, x, mask=mask_of("holes"), training=True)
    assert [name for name in ("x", "h") if drawn[name] is not None] == [
        name for name, rate in (("x", "dropout"), ("h", "recurrent_dropout")) if 0 < options.get(rate, 0) < 1]


def test_dropout_masks(rng):
    x = np.ones((2, 4, 20, 20, 3), "float32")
    layer = ConvLSTM2D(F, 3, dropout=0.25, seed=1)
    layer(x)
    np.testing.assert_array_equal(layer.cache.x[:, :, 0], x)                                        # not in inference
    layer(x, training=True)
    first = layer.cache.dropout_mask
    assert first.shape == (2, 1, 20, 20, 4, 3) and set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((first == 0).mean() - 0.25) < 0.03
    assert all((first[..., gate, :] != first[..., 0, :]).any() for gate in (1, 2, 3))               # each gate has its own
    assert (layer.cache.x == first.reshape(2, 1, 1, 20, 20, 12)).all()                              # the same at every step
    layer(x, training=True)
    assert (layer.cache.dropout_mask != first).any()                                                # another in every call
    again = ConvLSTM2D(F, 3, dropout=0.25, seed=1)
    again(x, training=True)
    np.testing.assert_array_equal(again.cache.dropout_mask, first)


GRADCHECK = [
    (ConvLSTM2D, {}), (ConvLSTM2D, dict(return_sequences=True)), (ConvLSTM2D, dict(return_state=True)),
    (ConvLSTM2D, dict(return_sequences=True, return_state=True, go_backwards=True)),
    (ConvLSTM2D, dict(use_bias=False, go_backwards=True)), (ConvLSTM2D, dict(zero_output_for_mask=True, return_sequences=True)),
    (ConvLSTM2D, dict(zero_output_for_mask=True)), (ConvLSTM2D, dict(activation="softsign", return_sequences=True)),
    (ConvLSTM2D, dict(recurrent_activation="softsign", data_format="channels_first")),
    (ConvLSTM2D, dict(dropout=0.3)), (ConvLSTM2D, dict(recurrent_dropout=0.3, dropout=0.2)),
    (ConvLSTM2D, dict(recurrent_dropout=0.3, return_sequences=True, go_backwards=True)),
    (ConvLSTM2D, dict(activity_regularizer="l2", return_sequences=True)),
    (ConvLSTM2D, dict(padding="same", strides=2)), (ConvLSTM2D, dict(dilation_rate=(2, 1), padding="same")),
    (ConvLSTM2D, dict(data_format="channels_first", return_sequences=True, dropout=0.2)),
    (ConvLSTM1D, dict(strides=2, return_sequences=True, go_backwards=True)), (ConvLSTM3D, dict(return_state=True)),
]


@pytest.mark.parametrize(("layer_class", "options"), GRADCHECK, ids=str)
def test_gradients_are_finite_differences(rng, layer_class, options):
    layer = layer_class(2, 2, dtype="float64", **options)
    x = sequences(rng, layer_class, channels_first=options.get("data_format") == "channels_first")
    states = states_of(layer, x, rng)
    nblayers.gradcheck(layer, x, initial_state=states, mask=mask_of("holes"), training=True)


def test_gradients_without_initial_states(rng):
    for go_backwards in (False, True):
        nblayers.gradcheck(ConvLSTM2D(2, 2, return_sequences=True, go_backwards=go_backwards), sequences(rng))


@pytest.mark.parametrize("mask", MASKS)
def test_fused_layer_is_an_rnn_over_its_cell(rng, mask):
    names = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask")
    x = sequences(rng)
    for flags in itertools.product([False, True], repeat=4):
        options = dict(zip(names, flags, strict=True), dtype="float64")
        fused, walked = ConvLSTM2D(F, 3, **options), ConvLSTM2D(F, 3, **options)
        walked.fused = False
        call = dict(mask=mask_of(mask), initial_state=states_of(fused, x, rng))
        outputs = fused(x, **call)
        walked.build(x.shape)
        copy_weights(fused, walked)
        assert_same(walked(x, **call), outputs, f"output {options}", rtol=1e-12, atol=1e-13)
        assert isinstance(fused.cache, ConvLSTM2D.Cache) and isinstance(walked.cache, RNN.Cache)
        dy = [rng.normal(size=y.shape) for y in outputs] if fused.return_state else rng.normal(size=outputs.shape)
        assert_same(walked.backward(dy), fused.backward(dy), f"input gradient {options}", rtol=1e-10, atol=1e-12)
        assert_same([p.grad for p in walked.weights], [p.grad for p in fused.weights], f"weight gradient {options}",
                    rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "softsign"])
def test_layers_in_three_rooms(rng, activation):
    x, mask = rng.normal(size=(2, 2, 3, 2, 2)), np.array([[1, 1], [0, 1]], bool)
    layer = ConvLSTM2D(2, 2, activation=activation, padding="same", return_sequences=True, go_backwards=True, dropout=0.2,
                       dtype="float64")
    layer.build(x.shape)
    dy, results = rng.normal(size=(2, 2, 3, 2, 2)), {}
    for room in kernels.ROOMS:
        layer.to(room)
        layer.cell.seed_generator.generator = np.random.default_rng(0)
        layer.zero_grad()
        results[room] = [layer(x, mask=mask, training=True), layer.backward(dy), *(p.grad.copy() for p in layer.weights)]
        assert_same(results[room], results["reference"], room, rtol=1e-10, atol=1e-12)


def test_a_kernel_of_one_place_is_an_lstm_at_every_place(rng):
    from nblayers.layers import LSTM
    conv, dense = ConvLSTM2D(F, 1, return_sequences=True, dtype="float64"), LSTM(F, return_sequences=True, dtype="float64")
    x = sequences(rng)
    rows = np.moveaxis(x, 1, 3).reshape(-1, T, C)
    y = conv(x)
    dense.build(rows.shape)
    dense.set_weights([w.reshape(w.shape[-2:] if w.ndim > 1 else -1) for w in conv.get_weights()])
    np.testing.assert_allclose(np.moveaxis(y, 1, 3).reshape(-1, T, F), dense(rows), rtol=1e-12, atol=1e-14)


def test_cache_holds_the_symbols_of_the_formula(rng):
    layer = ConvLSTM2D(F, 3, padding="same", dtype="float64")
    x = sequences(rng)
    y = layer(x)
    cache = layer.cache
    convolution = Conv2D(4 * F, 3, padding="same", use_bias=False, dtype="float64")
    W, U, b = layer.get_weights()
    i, f, c_tilde, o = np.split(cache.gates[:, -1, 0], 4, axis=-1)
    h_prev, c_prev = cache.h[:, -2, 0], cache.c[:, -2, 0]
    convolution.build(h_prev.shape)
    convolution.set_weights([U])
    a = convolution(h_prev) + b
    convolution = Conv2D(4 * F, 3, padding="same", use_bias=False, dtype="float64")
    convolution.build(x[:, -1].shape)
    convolution.set_weights([W])
    a_i, a_f, a_c, a_o = np.split(a + convolution(x[:, -1]), 4, axis=-1)
    for gate, expected in ((i, sigmoid(a_i)), (f, sigmoid(a_f)), (c_tilde, np.tanh(a_c)), (o, sigmoid(a_o)),
                           (cache.c[:, -1, 0], f * c_prev + i * c_tilde), (y, o * np.tanh(cache.c[:, -1, 0]))):
        np.testing.assert_allclose(gate, expected, rtol=1e-10, atol=1e-13)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def test_masked_steps_may_hold_anything(rng):
    x, mask = sequences(rng), mask_of("holes")
    layer = ConvLSTM2D(F, 2, dtype="float64", return_sequences=True)
    y = layer(x, mask=mask)
    dy = rng.normal(size=y.shape)
    expected = [y, layer.backward(dy)[mask]]
    x[~mask] = 1e30
    y, dx = layer(x, mask=mask), layer.backward(dy)
    assert_same([y, dx[mask]], expected, rtol=1e-12)
    np.testing.assert_array_equal(dx[~mask], 0)


def test_bidirectional_walks_both_ways(rng):
    from nblayers.layers import Bidirectional
    options = dict(return_sequences=True, dtype="float64")
    both = Bidirectional(ConvLSTM2D(F, 2, **options), dtype="float64")
    x, mask = sequences(rng), mask_of("left padding")
    y = both(x, mask=mask)
    forwards, backwards = ConvLSTM2D(F, 2, **options), ConvLSTM2D(F, 2, go_backwards=True, **options)
    for layer, weights in ((forwards, both.get_weights()[:3]), (backwards, both.get_weights()[3:])):
        layer.build(x.shape)
        layer.set_weights(weights)
        layer.zero_output_for_mask = True
    np.testing.assert_allclose(y[..., :F], forwards(x, mask=mask), rtol=1e-12)
    np.testing.assert_allclose(y[..., F:], backwards(x, mask=mask)[:, ::-1], rtol=1e-12)
    dy = rng.normal(size=y.shape)
    expected = forwards.backward(dy[..., :F]) + backwards.backward(dy[:, ::-1, ..., F:])
    np.testing.assert_allclose(both.backward(dy), expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_arguments_are_keras(layer_class):
    import keras
    theirs = getattr(keras.layers, layer_class.__name__)

    def arguments(function):
        return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]
    assert arguments(layer_class.__init__) == arguments(theirs.__init__)
    assert arguments(layer_class.forward) == arguments(theirs.call)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_config_goes_to_keras_and_back(layer_class):
    import keras
    keras_class = getattr(keras.layers, layer_class.__name__)
    penalty = {"module": "keras.regularizers", "class_name": "L1", "config": {"l1": 0.25}, "registered_name": None}
    options = dict(filters=F, kernel_size=2, padding="same", data_format="channels_first", dilation_rate=2, activation="relu",
                   recurrent_activation="hard_sigmoid", use_bias=False, kernel_initializer="he_normal", unit_forget_bias=False,
                   recurrent_regularizer="l2", activity_regularizer=penalty, bias_constraint="non_neg", dropout=0.1,
                   recurrent_dropout=0.2, seed=4, return_sequences=True, return_state=True, go_backwards=True, stateful=True,
                   unroll=True, zero_output_for_mask=True, name="r", trainable=False, dtype="float64")
    ours, theirs = layer_class(**options), keras_class(**options)
    assert ours.get_config().keys() == theirs.get_config().keys()
    assert layer_class.from_config(theirs.get_config()).get_config() == ours.get_config()
    assert keras_class.from_config(ours.get_config()).get_config() == theirs.get_config()
    assert layer_class(1, 1).get_config().keys() == keras_class(1, 1).get_config().keys()
    assert layer_class.from_config(keras_class(1, 1).get_config()).strides == (1,) * layer_class.rank


@pytest.mark.parametrize("layer_class", LAYERS)
@pytest.mark.parametrize("options", [{}, dict(padding="same", strides=2), dict(data_format="channels_first")], ids=str)
def test_shapes_and_masks_that_go_on_are_keras(rng, layer_class, options):
    import keras
    shape = (None, 7, *(8, 9, 10)[:layer_class.rank], 6)
    for return_sequences, return_state in itertools.product([False, True], repeat=2):
        arguments = dict(return_sequences=return_sequences, return_state=return_state, **options)
        ours, theirs = layer_class(F, 3, **arguments), getattr(keras.layers, layer_class.__name__)(F, 3, **arguments)
        shapes = theirs.compute_output_shape(shape)
        assert ours.compute_output_shape(shape) == (list(shapes) if return_state else shapes)
        mask = np.ones((2, 7), bool)
        assert_same(ours.compute_mask(None, mask), theirs.compute_mask(None, mask))
    x = rng.normal(size=(1, 2, *shape[2:]))
    y = ours(x)
    assert nested_shapes(y) == ours.compute_output_shape(x.shape)
    assert ours.supports_masking


def test_places_of_unknown_size_go_through_compute_output_shape():
    assert ConvLSTM2D(F, 3, padding="same").compute_output_shape((None, None, None, 8, 2)) == (None, None, 8, F)


def test_initial_weights():
    layer = ConvLSTM2D(F, 3, recurrent_regularizer="l2", kernel_constraint="non_neg")
    layer.build((None, None, 5, 4, C))
    names = ("kernel", "recurrent_kernel", "bias")
    assert [p.path for p in layer.weights] == [f"conv_lstm2d/conv_lstm_cell/{name}" for name in names]
    assert [p.shape for p in layer.weights] == [(3, 3, C, 4 * F), (3, 3, F, 4 * F), (4 * F,)]
    U = layer.cell.recurrent_kernel.value.reshape(-1, 4 * F)
    np.testing.assert_allclose(U.T @ U, np.eye(4 * F), atol=1e-5)
    assert [p.regularizer is None for p in layer.weights] == [True, False, True]
    assert [p.constraint is None for p in layer.weights] == [False, True, True]
    assert len(layer.losses) == 1
    for options, bias in (({}, [0, 1, 0, 0]), (dict(unit_forget_bias=False), [0, 0, 0, 0]),
                          (dict(bias_initializer="ones"), [1, 1, 1, 1])):
        layer = ConvLSTM1D(F, 3, **options)
        layer.build((None, None, 5, C))
        np.testing.assert_array_equal(layer.cell.bias.value.reshape(4, F), np.outer(bias, np.ones(F)))
    assert len(ConvLSTM1D(F, 3, trainable=False).trainable_weights) == 0
    assert len(ConvLSTM1D(F, 3, use_bias=False).weights) == 0


def test_stateful_goes_on_where_it_ended(rng):
    x = sequences(rng)
    whole, parts = ConvLSTM2D(F, 2, dtype="float64"), ConvLSTM2D(F, 2, dtype="float64", stateful=True)
    expected = whole(x)
    parts.build(x.shape)
    copy_weights(whole, parts)
    for _ in range(2):
        parts(x[:, :1])
        np.testing.assert_allclose(parts(x[:, 1:]), expected, rtol=1e-12)
        parts.reset_state()
    parts(x)
    with pytest.raises(ValueError, match="expected a batch of 2 sequences, as in the call before"):
        parts(x[:1])


def test_two_training_steps():
    from nblayers import models
    rng = np.random.default_rng(0)
    model = models.Sequential([ConvLSTM2D(4, 3, padding="same", return_sequences=True), ConvLSTM2D(1, 3, padding="same")])
    x = rng.normal(size=(4, 3, 6, 6, 1)).astype("f4")
    model.compile(optimizer="adam", loss="mse")
    before = model.evaluate(x, x[:, -1] / 4, verbose=0)
    weights = model.get_weights()
    model.fit(x, x[:, -1] / 4, epochs=2, batch_size=4, verbose=0)
    assert all((a != b).any() for a, b in zip(weights, model.get_weights(), strict=True))
    assert model.evaluate(x, x[:, -1] / 4, verbose=0) < before


@pytest.mark.parametrize("layer_class", LAYERS)
def test_batch_of_one_and_non_contiguous_input(rng, layer_class):
    x = sequences(rng, layer_class)
    layer = layer_class(F, 2, return_sequences=True, dtype="float64")
    y = layer(x)
    dy = rng.normal(size=y.shape)
    dx = layer.backward(dy)
    np.testing.assert_allclose(layer(x[:1]), y[:1], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.backward(dy[:1]), dx[:1], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(layer(np.asfortranarray(x)[::-1][::-1], mask=np.ones((T, B), bool).T), y)
    np.testing.assert_array_equal(layer.backward(np.asfortranarray(dy)), dx)


def test_inputs_and_gradients_are_left_alone_and_records_can_be_handed_back(rng):
    layer = ConvLSTM2D(F, 2, return_sequences=True, return_state=True, dtype="float64")
    x, other = sequences(rng), sequences(rng)
    states = states_of(layer, x, rng)
    outputs = layer(x, initial_state=states)
    record, dy = layer.cache, [rng.normal(size=y.shape) for y in outputs]
    kept = [value.copy() for value in (x, *states, *dy)]
    expected = layer.backward(dy)
    assert_same([x, *states, *dy], kept)
    layer(other, initial_state=states)
    layer.cache = record
    assert_same(layer.backward(dy), expected)


def test_nobody_needs_the_input_gradient(rng):
    layer = ConvLSTM2D(F, 2, dtype="float64")
    y = layer(sequences(rng))
    layer.backward(y)
    gradients = [p.grad.copy() for p in layer.weights]
    layer.zero_grad()
    layer.input_gradient = False
    assert layer.backward(y) is None
    assert_same([p.grad for p in layer.weights], gradients)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_bad_input_is_named(rng, layer_class):
    who, x = f"{layer_class.__name__} 'r'", sequences(rng, layer_class)
    layer = layer_class(F, 3, name="r")
    with pytest.raises(ValueError, match=f"{who}: expected an input of {x.ndim} axes, got {x.ndim - 1}"):
        layer(x[0])
    with pytest.raises(ValueError, match=f"{who}: expected inputs large enough for a state of one place or more on each axis"):
        layer(x[:, :, :2])
    assert not layer.built
    with pytest.raises(RuntimeError, match=f"{who}: backward needs a forward first"):
        layer.backward(x)
    y = layer(x)
    for call, message in [
        (lambda: layer(x[..., :1]), f"expected size 2 on axis {x.ndim - 1} of the input, got 1"),
        (lambda: layer(x[:, :, :4] if x.shape[2] == 5 else x[:, :, :3]), r"expected size \d on axis 2 of the input"),
        (lambda: layer(x[:, :0]), "expected at least one time step on axis 1"),
        (lambda: layer(x[:0]), "expected at least one sample"),
        (lambda: layer(x, mask=np.ones((2, 4), bool)), r"expected a mask of shape \(2, 3\), got \(2, 4\)"),
        (lambda: layer(x, initial_state=[y[:1], y[:1]]), "expected initial states of shapes"),
        (lambda: layer(x, initial_state=[y]), "expected initial states of shapes"),
        (lambda: layer.backward(x), "backward expected dy of shape"),
    ]:
        with pytest.raises(ValueError, match=f"{who}: {message}"):
            call()


def test_unknown_sizes_are_refused():
    for shape in ((None, 3, None, 4, 2), (None, 3, 5, 4, None)):
        with pytest.raises(ValueError, match="ConvLSTM2D 'r': expected inputs whose sizes are all known"):
            ConvLSTM2D(F, 3, name="r").build(shape)


@pytest.mark.parametrize("layer_class", LAYERS)
def test_bad_arguments_are_named(layer_class):
    who, rank = f"{layer_class.__name__} 'r'", layer_class.rank
    for arguments, message in [
        (dict(filters=0), "expected a positive integer as filters, got 0"),
        (dict(filters=2.5), "expected a positive integer as filters, got 2.5"),
        (dict(kernel_size=0), "expected a positive integer.* as kernel_size, got 0"),
        (dict(kernel_size=(1,) * (rank + 1)), "expected a positive integer.* as kernel_size"),
        (dict(strides=0), "expected a positive integer.* as strides, got 0"),
        (dict(dilation_rate=-1), "expected a positive integer.* as dilation_rate, got -1"),
        (dict(strides=2, dilation_rate=2), "expected strides or dilation_rate of one"),
        (dict(padding="causal"), "expected padding 'valid' or 'same', got 'causal'"),
        (dict(data_format="last"), "expected data_format 'channels_last' or 'channels_first', got 'last'"),
        (dict(dropout=1.5), "expected dropout in .0, 1., got 1.5"),
        (dict(recurrent_dropout=-1), "expected recurrent_dropout in .0, 1., got -1"),
        (dict(dtype="int32"), "expected dtype 'float32' or 'float64'"),
    ]:
        with pytest.raises(ValueError, match=f"{who}: {message}"):
            layer_class(**{"filters": 2, "kernel_size": 2, "name": "r", **arguments})
    with pytest.raises(TypeError, match=f"{who}: unknown argument 'filterz'"):
        layer_class(2, 2, name="r", filterz=3)
    with pytest.raises(ValueError, match="tanhh"):
        layer_class(2, 2, activation="tanhh")


def test_bad_states_of_a_cell_are_named(rng):
    layer = ConvLSTM2D(F, 2, name="r")
    x = sequences(rng)
    states = states_of(layer, x, rng)
    for wrong in (states[:1], [states[0][:1], states[1]], states[0]):
        with pytest.raises(ValueError, match="ConvLSTM2D 'r': expected states of shapes"):
            layer.cell.forward(x[:, 0], wrong)
