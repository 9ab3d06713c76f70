"""SimpleRNN, LSTM, their cells and RNN: against Keras, PyTorch, each other, and finite differences."""
import inspect
import itertools
from functools import partial

import numpy as np
import pytest
from helpers import agrees_with_keras, assert_same, copy_weights, numeric_gradient

import kernels
import nblayers
from nblayers import layers
from nblayers.layers import GRU, LSTM, RNN, Layer, LSTMCell, SimpleRNN, SimpleRNNCell

B, T, D, H = 3, 5, 2, 4
MASKS = {
    "no mask": None,
    "right padding": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]],
    "left padding": [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]],
    "holes": [[1, 0, 1, 0, 1], [0, 1, 1, 0, 0], [1, 1, 0, 1, 1]],
    "a row of padding": [[0, 0, 0, 0, 0], [1, 0, 1, 1, 1], [1, 1, 1, 1, 0]],
}


def mask_of(kind):
    return None if MASKS[kind] is None else np.array(MASKS[kind], bool)


def sequences(rng, dtype="float64"):
    return rng.normal(size=(B, T, D)).astype(dtype)


def states_of(layer_class, rng, batch=B):
    return [rng.normal(size=(batch, H)) for _ in range(2 if layer_class is LSTM else 1)]


def keras_class(layer_class):
    import keras
    return getattr(keras.layers, layer_class.__name__)


def in_double_precision(theirs):
    """The Keras layer with a tanh that keeps float64: Keras' own casts it to float32 on JAX."""
    import jax.numpy as jnp
    import keras
    if theirs.cell.activation is keras.activations.tanh:
        theirs.cell.activation = jnp.tanh
    return theirs


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM])
@pytest.mark.parametrize("activation", ["tanh", "softsign"])
def test_layers_in_three_rooms(rng, layer_class, activation):
    x, mask, dy = sequences(rng)[:, :3], mask_of("holes")[:, :3], rng.normal(size=(B, 3, H))
    layer = layer_class(H, activation, return_sequences=True, go_backwards=True, dtype="float64")
    results = {}
    for room in kernels.ROOMS:
        layer.to(room)
        layer(x, mask=mask)
        layer.zero_grad()
        results[room] = [layer(x, mask=mask), layer.backward(dy), *(p.grad.copy() for p in layer.weights)]
        assert_same(results[room], results["reference"], room, rtol=1e-10, atol=1e-12)


KERAS = [
    (SimpleRNN, {}, "no mask", False),
    (SimpleRNN, dict(return_sequences=True), "holes", False),
    (SimpleRNN, dict(return_sequences=True, return_state=True, go_backwards=True), "holes", True),
    (SimpleRNN, dict(return_state=True, activation="relu"), "left padding", True),
    (SimpleRNN, dict(activation="sigmoid", use_bias=False, go_backwards=True), "right padding", False),
    (SimpleRNN, dict(activation=None, return_sequences=True), "a row of padding", True),
    (SimpleRNN, dict(activation="elu", return_sequences=True, go_backwards=True), "holes", True),
    (SimpleRNN, dict(activation="softmax"), "right padding", True),
    (SimpleRNN, dict(zero_output_for_mask=True, return_sequences=True), "holes", False),
    (SimpleRNN, dict(zero_output_for_mask=True), "right padding", True),
    (SimpleRNN, dict(unroll=True, return_sequences=True), "no mask", True),
    (LSTM, {}, "no mask", False),
    (LSTM, dict(return_sequences=True), "holes", False),
    (LSTM, dict(return_state=True), "left padding", True),
    (LSTM, dict(return_sequences=True, return_state=True, go_backwards=True), "holes", True),
    (LSTM, dict(return_sequences=True, go_backwards=True), "no mask", False),
    (LSTM, dict(go_backwards=True, return_state=True), "right padding", False),
    (LSTM, dict(return_sequences=True, return_state=True, use_bias=False), "a row of padding", True),
    (LSTM, dict(zero_output_for_mask=True, return_sequences=True, go_backwards=True), "holes", True),
    (LSTM, dict(zero_output_for_mask=True, return_state=True), "right padding", True),
    (LSTM, dict(activation="relu", recurrent_activation="hard_sigmoid", return_sequences=True), "holes", True),
    (LSTM, dict(activation="softmax", recurrent_activation=None, go_backwards=True), "left padding", False),
    (LSTM, dict(activation="elu", zero_output_for_mask=True, return_sequences=True, return_state=True), "holes", True),
    (LSTM, dict(activation="gelu", zero_output_for_mask=True), "right padding", False),
]


@pytest.mark.parametrize(("layer_class", "options", "mask", "initial"), KERAS)
def test_values_and_gradients_are_keras(rng, x64, layer_class, options, mask, initial):
    arguments = {"mask": mask_of(mask)} if mask_of(mask) is not None else {}
    if initial:
        arguments["initial_state"] = states_of(layer_class, rng)
    ours = layer_class(H, dtype="float64", **options)
    theirs = in_double_precision(keras_class(layer_class)(H, dtype="float64", **options))
    agrees_with_keras(ours, theirs, sequences(rng), **arguments)


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM])
def test_float32_is_keras_too_and_stays_float32(rng, layer_class):
    ours = layer_class(H, return_sequences=True)
    agrees_with_keras(ours, keras_class(layer_class)(H, return_sequences=True), sequences(rng, "float32"))
    y = ours(sequences(rng, "float32"))
    assert {a.dtype.name for a in (y, ours.backward(y), *(p.grad for p in ours.weights))} == {"float32"}


@pytest.mark.parametrize("cell", [SimpleRNNCell, LSTMCell])
@pytest.mark.parametrize("zero", [False, True])
def test_rnn_over_a_cell_is_keras(rng, x64, cell, zero):
    import keras
    options = dict(return_sequences=True, return_state=True, go_backwards=True, zero_output_for_mask=zero, dtype="float64")
    ours = RNN(cell(H, dtype="float64"), **options)
    theirs = in_double_precision(keras.layers.RNN(keras_class(cell)(H, dtype="float64"), **options))
    agrees_with_keras(ours, theirs, sequences(rng), mask=mask_of("holes"),
                      initial_state=[rng.normal(size=(B, H)) for _ in ours.state_size])


@pytest.mark.parametrize(("layer_class", "options"), [
    (layer, options) for layer in (SimpleRNN, LSTM)
    for options in (dict(dropout=0.4), dict(recurrent_dropout=0.4), dict(dropout=0.3, recurrent_dropout=0.4),
                    dict(dropout=1.0), dict(recurrent_dropout=1.0))
])
def test_dropout_is_keras_given_the_same_masks(rng, x64, monkeypatch, layer_class, options):
    import keras
    ours = layer_class(H, dtype="float64", return_sequences=True, seed=3, **options)
    theirs = in_double_precision(keras_class(layer_class)(H, dtype="float64", return_sequences=True, **options))
    x, mask = sequences(rng), mask_of("holes")
    theirs(x)
    drawn = {}
    draw, theirs_masks = ours.cell.dropout_masks, {"x": "get_dropout_mask", "h": "get_recurrent_dropout_mask"}

    def remember(*arguments):
        drawn["x"], drawn["h"] = draw(*arguments)
        return drawn["x"], drawn["h"]

    def masks_of(name, keras_mask):
        def masks(step):
            if drawn[name] is None:
                return keras_mask(step)
            found = [keras.ops.convert_to_tensor(m) for m in drawn[name]]
            return found if hasattr(theirs.cell, "dropout_mask_count") else found[0]
        return masks

    monkeypatch.setattr(ours.cell, "dropout_masks", remember)
    for name, method in theirs_masks.items():
        monkeypatch.setattr(theirs.cell, method, masks_of(name, getattr(theirs.cell, method)))
    agrees_with_keras(ours, theirs, x, mask=mask, training=True)
    if layer_class is SimpleRNN or 1.0 not in options.values():
        assert any(masks is not None and (masks == 0).any() for masks in drawn.values())


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM, RNN, SimpleRNNCell, LSTMCell])
def test_arguments_are_keras(layer_class):
    def arguments(function):
        found = [(p.name, p.default) for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        return [argument for argument in found if argument[0] != "implementation"]      # Keras takes it among its **kwargs
    assert arguments(layer_class.__init__) == arguments(keras_class(layer_class).__init__)
    if "Cell" not in layer_class.__name__:
        assert arguments(layer_class.forward) == arguments(keras_class(layer_class).call)


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM])
def test_config_goes_to_keras_and_back(rng, layer_class):
    options = dict(activation="relu", use_bias=False, kernel_initializer="he_normal", recurrent_regularizer="l2",
                   dropout=0.1, recurrent_dropout=0.2, return_sequences=True, return_state=True,
                   go_backwards=True, stateful=True, unroll=True, zero_output_for_mask=True, name="r", trainable=False,
                   dtype="float64")
    if layer_class is LSTM:                                 # Keras' SimpleRNN forgets this argument
        options["activity_regularizer"] = {"module": "keras.regularizers", "class_name": "L1", "config": {"l1": 0.25},
                                           "registered_name": None}
    ours, theirs = layer_class(H, **options), keras_class(layer_class)(H, **options)
    forgotten = {"seed"} if layer_class is SimpleRNN else set()         # by Keras, though its layer takes one
    assert ours.get_config().keys() - forgotten == theirs.get_config().keys()
    assert layer_class.from_config(theirs.get_config()).get_config() == ours.get_config()
    assert keras_class(layer_class).from_config(ours.get_config()).get_config() == theirs.get_config()
    assert layer_class(3).get_config().keys() - forgotten == keras_class(layer_class)(3).get_config().keys()


@pytest.mark.parametrize("cell", [SimpleRNNCell, LSTMCell])
def test_config_of_a_cell_and_of_an_rnn_goes_to_keras_and_back(cell):
    import keras
    keras_cell = keras_class(cell)
    config = cell(H, activation="elu", seed=4, name="c").get_config()
    theirs = keras_cell(H, activation="elu", seed=4, name="c").get_config()
    assert config == cell.from_config(theirs).get_config() and config.keys() == theirs.keys()
    assert keras_cell.from_config(config).get_config() == theirs
    ours = RNN(cell(H, name="c"), return_sequences=True, name="r")
    keras_layer = keras.layers.RNN(keras_cell(H, name="c"), return_sequences=True, name="r")
    assert ours.get_config() == RNN.from_config(keras_layer.get_config()).get_config()
    assert keras.layers.RNN.from_config(ours.get_config()).cell.units == H
    assert ours.get_config().keys() == keras_layer.get_config().keys()


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM])
@pytest.mark.parametrize(("return_sequences", "return_state"), list(itertools.product([False, True], repeat=2)))
def test_shapes_and_masks_that_go_on_are_keras(layer_class, return_sequences, return_state):
    options = dict(return_sequences=return_sequences, return_state=return_state)
    ours, theirs = layer_class(H, **options), keras_class(layer_class)(H, **options)
    shapes = theirs.compute_output_shape((None, 7, 2))
    assert ours.compute_output_shape((None, 7, 2)) == (list(shapes) if return_state else shapes)
    mask = np.ones((2, 7), bool)
    assert_same(ours.compute_mask(None, mask), theirs.compute_mask(None, mask))
    assert ours.supports_masking


def test_initial_weights():
    layer = LSTM(H, bias_initializer="ones", recurrent_regularizer="l2", kernel_constraint="non_neg")
    layer.build((None, None, D))
    np.testing.assert_array_equal(layer.cell.bias.value, 1)
    np.testing.assert_allclose(layer.cell.recurrent_kernel.value @ layer.cell.recurrent_kernel.value.T, np.eye(H), atol=1e-5)
    assert [p.path for p in layer.weights] == [f"lstm/lstm_cell/{n}" for n in ("kernel", "recurrent_kernel", "bias")]
    assert [p.regularizer is None for p in layer.weights] == [True, False, True]
    assert [p.constraint is None for p in layer.weights] == [False, True, True]
    assert len(layer.losses) == 1
    for unit_forget_bias in (True, False):
        layer = LSTM(H, unit_forget_bias=unit_forget_bias)
        layer.build((None, None, D))
        np.testing.assert_array_equal(layer.cell.bias.value.reshape(4, H)[:, 0], [0, unit_forget_bias, 0, 0])
    assert len(LSTM(H, trainable=False).trainable_weights) == 0


@pytest.mark.parametrize(("layer_class", "options"), [
    (SimpleRNN, dict(activation="tanh")), (SimpleRNN, dict(activation="relu")), (LSTM, {}), (LSTM, dict(use_bias=False)),
])
def test_values_and_gradients_are_pytorchs(rng, layer_class, options):
    import torch
    ours = layer_class(H, return_sequences=True, return_state=True, dtype="float64", **options)
    x, states = sequences(rng), states_of(layer_class, rng)
    ours.build(x.shape)
    bias = options.get("use_bias", True)
    if layer_class is LSTM:
        theirs = torch.nn.LSTM(D, H, batch_first=True, bias=bias, dtype=torch.float64)
    else:
        theirs = torch.nn.RNN(D, H, batch_first=True, nonlinearity=options["activation"], dtype=torch.float64)
    with torch.no_grad():
        theirs.weight_ih_l0[:] = torch.tensor(ours.cell.kernel.value.T)         # the same gates in the same order: i, f, g, o
        theirs.weight_hh_l0[:] = torch.tensor(ours.cell.recurrent_kernel.value.T)
        if bias:
            ours.cell.bias.value[:] = rng.normal(size=ours.cell.bias.shape)
            theirs.bias_ih_l0[:] = torch.tensor(ours.cell.bias.value / 4)       # two biases that are added
            theirs.bias_hh_l0[:] = torch.tensor(ours.cell.bias.value * 3 / 4)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, *states)]
    hidden = tuple(s[None] for s in tensors[1:])
    y, last = theirs(tensors[0], hidden if layer_class is LSTM else hidden[0])
    last = last if layer_class is LSTM else (last,)
    outputs = ours(x, initial_state=states)
    assert_same(outputs, [y.detach(), *(s[0].detach() for s in last)], rtol=1e-12, atol=1e-12)
    dy = [rng.normal(size=o.shape) for o in outputs]
    sum((a * torch.tensor(d)).sum() for a, d in zip([y, *(s[0] for s in last)], dy, strict=True)).backward()
    assert_same(ours.backward(dy), [t.grad for t in tensors], rtol=1e-10, atol=1e-12)
    gradients = [theirs.weight_ih_l0.grad.T, theirs.weight_hh_l0.grad.T] + ([theirs.bias_ih_l0.grad] if bias else [])
    assert_same([p.grad for p in ours.weights], gradients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("layer_class", "cell_class"), [(SimpleRNN, SimpleRNNCell), (LSTM, LSTMCell)])
@pytest.mark.parametrize("mask", MASKS)
def test_fused_layer_is_an_rnn_over_its_cell(rng, layer_class, cell_class, mask):
    x, states = sequences(rng), states_of(layer_class, rng)
    names = ("return_sequences", "return_state", "go_backwards", "zero_output_for_mask")
    for flags in itertools.product([False, True], repeat=4):
        options = dict(zip(names, flags, strict=True), dtype="float64")
        fused, walked = layer_class(H, **options), RNN(cell_class(H, dtype="float64"), **options)
        call = dict(mask=mask_of(mask), initial_state=states)
        outputs = fused(x, **call)
        assert isinstance(fused.cache, layer_class.Cache)
        walked.build(x.shape)
        copy_weights(fused, walked)
        assert_same(walked(x, **call), outputs, f"output {options}", rtol=1e-12, atol=1e-13)
        dy = [rng.normal(size=y.shape) for y in outputs] if fused.return_state else rng.normal(size=outputs.shape)
        assert_same(walked.backward(dy), fused.backward(dy), f"input gradient {options}", rtol=1e-10, atol=1e-12)
        assert_same([p.grad for p in walked.weights], [p.grad for p in fused.weights], f"weight gradient {options}",
                    rtol=1e-10, atol=1e-12)


def test_cache_holds_the_symbols_of_the_formula(rng):
    layer = LSTM(H, dtype="float64")
    x = sequences(rng)
    y = layer(x)
    cache = layer.cache
    sigmoid = lambda a: 1 / (1 + np.exp(-a))                                            # noqa: E731
    h_prev = np.concatenate([cache.h0[:, None], cache.h[:, :-1]], axis=1)
    c_prev = np.concatenate([cache.c0[:, None], cache.c[:, :-1]], axis=1)
    W, U, b = layer.get_weights()
    z_i, z_f, z_c, z_o = np.split(x @ W + h_prev @ U + b, 4, axis=-1)
    symbols = {"i": sigmoid(z_i), "f": sigmoid(z_f), "c_tilde": np.tanh(z_c), "o": sigmoid(z_o),
               "c": cache.f * c_prev + cache.i * cache.c_tilde, "h": cache.o * np.tanh(cache.c)}
    for name, value in symbols.items():
        np.testing.assert_allclose(getattr(cache, name), value, rtol=1e-12, err_msg=name)
    assert all(np.shares_memory(gate, cache.gates) for gate in (cache.i, cache.f, cache.c_tilde, cache.o))
    np.testing.assert_array_equal(y, cache.h[:, -1])


def test_masked_steps_may_hold_anything(rng):
    for layer_class in (SimpleRNN, LSTM):
        x, mask = sequences(rng), mask_of("holes")
        layer = layer_class(H, dtype="float64", return_sequences=True)
        dy = rng.normal(size=(B, T, H))
        expected = layer(x, mask=mask), layer.backward(dy)[mask]
        x[~mask] = 1e30
        y, dx = layer(x, mask=mask), layer.backward(dy)
        assert_same([y, dx[mask]], list(expected), rtol=1e-12)
        np.testing.assert_array_equal(dx[~mask], 0)


GRADCHECK = [
    {}, dict(return_sequences=True), dict(return_state=True), dict(return_sequences=True, return_state=True, go_backwards=True),
    dict(use_bias=False, go_backwards=True), dict(zero_output_for_mask=True, return_sequences=True),
    dict(activation="softsign", return_sequences=True), dict(dropout=0.3), dict(recurrent_dropout=0.3, dropout=0.2),
    dict(recurrent_dropout=0.3, return_sequences=True, go_backwards=True),
    dict(activity_regularizer="l2", return_sequences=True),
]


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM])
@pytest.mark.parametrize("options", GRADCHECK, ids=str)
def test_gradients_are_finite_differences(rng, layer_class, options):
    layer = layer_class(3, **options)
    states = [s[:2, :3] for s in states_of(layer_class, rng)]
    nblayers.gradcheck(layer, sequences(rng)[:2, :4], initial_state=states, mask=mask_of("holes")[:2, :4], training=True)


@pytest.mark.parametrize("activation", ["linear", "tanh", "sigmoid", "relu"])
def test_gradients_of_the_fused_activations(rng, activation):
    layer = SimpleRNN(3, activation=activation, return_sequences=True)
    nblayers.gradcheck(layer, sequences(rng), mask=mask_of("left padding"))
    assert isinstance(layer._thread.cache, SimpleRNN.Cache | None)


@pytest.mark.parametrize("cell", [SimpleRNNCell(3, activation="gelu"), LSTMCell(3, recurrent_activation="hard_sigmoid"),
                                  LSTMCell(3, recurrent_dropout=0.4, dropout=0.2)], ids=["simple", "lstm", "dropout"])
def test_gradients_of_a_cell_alone(rng, cell):
    """backward((dout, [dstates])), the states' gradients included."""
    cell.astype("float64")
    x, states = rng.normal(size=(B, D)), [rng.normal(size=(B, 3)) for _ in range(2 if isinstance(cell, LSTMCell) else 1)]
    out, new = cell.forward(x, states, training=True)
    dout, dnew = rng.normal(size=out.shape), [rng.normal(size=s.shape) for s in new]
    dx, dstates = cell.backward((dout, dnew))
    gradients = [p.grad.copy() for p in cell.weights]

    def loss():
        out, new = cell.forward(x, states, training=True)               # the masks stay until they are reset
        return (out * dout).sum() + sum((s * d).sum() for s, d in zip(new, dnew, strict=True))
    for value, gradient in zip([x, *states, *(p.value for p in cell.weights)], [dx, *dstates, *gradients], strict=True):
        np.testing.assert_allclose(gradient, numeric_gradient(loss, value), rtol=1e-6, atol=1e-8)


def test_dropout_masks(rng):
    x = np.ones((2, 50, 40), "float32")
    layer = LSTM(H, dropout=0.25, seed=1)
    layer(x)
    np.testing.assert_array_equal(layer.cache.x, x)                                                 # not in inference
    layer(x, training=True)
    first = layer.cache.dropout_mask
    assert first.shape == (2, 40) and set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    np.testing.assert_array_equal(layer.cache.x, np.broadcast_to(first[:, None], x.shape))          # the same at every step
    layer(x, training=True)
    assert (layer.cache.dropout_mask != first).any()                                                # another in every call
    again = LSTM(H, dropout=0.25, seed=1)
    again(x, training=True)
    np.testing.assert_array_equal(again.cache.dropout_mask, first)                                  # the seed fixes them
    layer = LSTM(H, recurrent_dropout=0.5, dropout=0.25)
    layer(x, training=True)
    masks = [step.masks for step in layer.cache.steps]
    assert masks[0][0].shape == (4, 2, 40) and masks[0][1].shape == (4, 2, H)
    assert all(m[0] is masks[0][0] and m[1] is masks[0][1] for m in masks)
    layer(x, training=True)
    assert (layer.cache.steps[0].masks[1] != masks[0][1]).any()
    layer(x)
    assert isinstance(layer.cache, LSTM.Cache)


@pytest.mark.parametrize("make", [lambda **k: SimpleRNN(H, **k), lambda **k: LSTM(H, **k), lambda **k: RNN(LSTMCell(H), **k)],
                         ids=["SimpleRNN", "LSTM", "RNN"])
def test_two_stateful_calls_are_one_long_one(rng, make):
    x = sequences(rng, "float32")
    layer = make(stateful=True, return_sequences=True)
    output = layer(x[:, :2])
    first = output.copy()
    output[...] = 7                                                 # the state is not the output that we may change
    second = layer(x[:, 2:])
    layer.reset_state()
    whole = layer(x)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-6)
    assert (layer(x) != whole).any()
    assert all(not any(p.value is s for p in layer.weights) for s in layer.states)
    with pytest.raises(ValueError, match=rf"{layer.described}: expected a batch of 3 sequences.*got 2"):
        layer(x[:2])
    layer.reset_state()
    assert layer.states is None
    np.testing.assert_array_equal(layer(x), whole)
    assert isinstance(layer.backward(np.ones_like(whole)), np.ndarray)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [SimpleRNN, LSTM, GRU, partial(GRU, reset_after=False)],
                         ids=["SimpleRNN", "LSTM", "GRU", "GRU before"])
def test_one_sequence_step_by_step(rng, make, dtype):
    x = sequences(rng, dtype)
    layer = make(H, stateful=True, return_sequences=True, dtype=dtype)
    whole = layer(x)                                                # several sequences read packed weights
    layer.reset_state()
    for t in range(x.shape[1]):
        step = layer(x[:1, t:t + 1])                                # one sequence reads them where they lie
        np.testing.assert_allclose(step[0, 0], whole[0, t], rtol=0, atol=1e-6 if dtype == "float32" else 1e-14)
    layer.states = [np.zeros((1, H + 1), dtype)] * len(layer.states)
    with pytest.raises(ValueError, match=rf"{layer.described}: expected initial states of shapes"):
        layer(x[:1, :1])
    layer.states = [np.zeros((1, H))] * len(layer.states)           # of float64: these become the layer's
    np.testing.assert_allclose(layer(x[:1, :1])[0, 0], whole[0, 0], rtol=0, atol=1e-6 if dtype == "float32" else 1e-14)


def test_initial_state_begins_a_stateful_sequence(rng):
    x, states = sequences(rng), states_of(LSTM, rng)
    layer, plain = LSTM(H, stateful=True, dtype="float64"), LSTM(H, dtype="float64", return_state=True)
    layer(x)
    plain.build(x.shape)
    copy_weights(layer, plain)
    y, *last = plain(x, initial_state=states)
    np.testing.assert_array_equal(layer(x, initial_state=states), y)
    assert_same(layer.states, last)


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM])
def test_ways_to_give_the_initial_state(rng, layer_class):
    x, states = sequences(rng), states_of(layer_class, rng)
    layer = layer_class(H, dtype="float64")
    by_keyword = layer(x, initial_state=states), *layer.backward(np.ones((B, H)))
    for call in (lambda: layer([x, *states]), lambda: layer(x, states), lambda: layer(x, initial_state=tuple(states)),
                 lambda: layer([x, *states], mask=[None, *(None for _ in states)])):
        assert_same([call(), *layer.backward(np.ones((B, H)))], list(by_keyword))
    if layer_class is SimpleRNN:
        assert_same([layer(x, initial_state=states[0]), *layer.backward(np.ones((B, H)))], list(by_keyword))
    layer(x)
    assert isinstance(layer.backward(np.ones((B, H))), np.ndarray)


class MinimalCell(Layer):
    """A user's cell with a weight, nothing declared beyond state_size, and a tuple for a cache."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")
        self.recurrent_kernel = self.add_weight((self.units, self.units), name="recurrent_kernel")

    def forward(self, x, states):
        (h,) = states
        self.cache = x, h
        y = x @ self.kernel.value + h @ self.recurrent_kernel.value
        return y, [y]

    def backward(self, gradients):
        dy, (dh,) = gradients
        x, h = self.cache
        dy = dy + dh
        self.kernel.grad += x.T @ dy
        self.recurrent_kernel.grad += h.T @ dy
        return dy @ self.kernel.value.T, [dy @ self.recurrent_kernel.value.T]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Sum(Layer):
    """The cell in RNN's docstring; it has nothing to remember."""

    state_size = 3

    def forward(self, x, states):
        return x + states[0], [x + states[0]]

    def backward(self, gradients):
        dy, (dh,) = gradients
        return dy + dh, [dy + dh]


class TwoSizesCell(Layer):
    """States of two sizes, an output of a third, and states that do not begin at zero."""

    state_size = (2, 3)
    output_size = 5

    def get_initial_state(self, batch_size):
        return [np.ones((batch_size, 2)), np.full((batch_size, 3), 2.0)]

    def forward(self, x, states):
        a, b = states
        return np.concatenate([a, b], axis=1) * x[:, :1], [a + x[:, :2], b * x[:, :1]]

    def backward(self, gradients):
        raise NotImplementedError


@pytest.mark.parametrize("options", [{}, dict(return_sequences=True, return_state=True), dict(go_backwards=True)], ids=str)
@pytest.mark.parametrize("mask", ["no mask", "holes"])
def test_a_cell_of_ones_own(rng, options, mask):
    nblayers.gradcheck(RNN(MinimalCell(3), **options), sequences(rng), mask=mask_of(mask))
    linear = SimpleRNN(3, activation=None, use_bias=False, **options)
    own = RNN(MinimalCell(3), **options)
    x = sequences(rng, "float32")
    own.build(x.shape)
    linear.build(x.shape)
    copy_weights(own, linear)
    assert_same(own(x, mask=mask_of(mask)), linear(x, mask=mask_of(mask)), rtol=1e-5, atol=1e-6)
    assert own.count_params() == 3 * (D + 3)
    shape = own.compute_output_shape((None, T, D))
    assert shape == linear.compute_output_shape((None, T, D))
    config = own.get_config()
    assert RNN.from_config(config, custom_objects={"MinimalCell": MinimalCell}).get_config() == config


def test_the_simplest_cell(rng):
    layer = RNN(Sum())
    x = rng.normal(size=(B, T, 3))
    np.testing.assert_allclose(layer(x), x.sum(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(layer.backward(np.ones((B, 3))), 1)
    nblayers.gradcheck(layer, x)


def test_a_cell_with_states_of_several_sizes(rng):
    layer = RNN(TwoSizesCell(), return_sequences=True, return_state=True)
    x, mask = sequences(rng, "float32"), mask_of("holes")
    y, a, b = layer(x)
    assert [v.shape for v in (y, a, b)] == layer.compute_output_shape(x.shape) == [(B, T, 5), (B, 2), (B, 3)]
    np.testing.assert_allclose(a, 1 + x.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(b, 2 * np.prod(x[..., :1], axis=1) * np.ones(3), rtol=1e-5)
    with pytest.raises(ValueError, match=r"RNN 'rnn': a masked step outputs the first state.*\(3, 5\), got \(3, 2\)"):
        layer(x, mask=mask)
    layer.zero_output_for_mask = True
    np.testing.assert_array_equal(layer(x, mask=mask)[0][~mask], 0)


def test_what_is_no_cell_is_refused():
    class Stateless(Layer):
        pass

    class Forgetful(Layer):
        state_size = 2
        returned = None

        def forward(self, x, states):
            return self.returned

    with pytest.raises(TypeError, match=r"RNN 'rnn': expected a cell, a layer with state_size.*got 3"):
        RNN(3)
    with pytest.raises(TypeError, match=r"expected a cell.*got <Stateless"):
        RNN(Stateless())
    h, cell = np.ones((2, 2)), Forgetful()
    layer = RNN(cell, name="r")
    for cell.returned in (h, (h, h), (h, [h, h]), [h]):
        with pytest.raises(ValueError, match=r"RNN 'r': expected Forgetful 'forgetful' to return \(output, list of 1.*got"):
            layer(np.ones((2, 3, 4)))


def test_parameter_counts_of_document_003():
    counts = []
    for layer, features in [(SimpleRNN(32, activation="relu", input_shape=(10, 1)), 1), (SimpleRNN(32, activation="relu"), 32),
                            (LSTM(32, activation="tanh", input_shape=(10, 1)), 1), (LSTM(32, activation="tanh"), 16)]:
        layer.build((None, 10, features))
        counts.append(layer.count_params())
    assert counts == [1088, 2080, 4352, 6272]


def test_the_four_output_shapes_of_document_003(rng):
    x = rng.random((100, 10, 1))
    assert LSTM(32, activation="tanh")(x).shape == (100, 32)
    assert LSTM(32, activation="tanh", return_sequences=True)(x).shape == (100, 10, 32)
    output, h, c = LSTM(32, activation="tanh", return_state=True)(x)
    assert output.shape == h.shape == c.shape == (100, 32)
    np.testing.assert_array_equal(output, h)
    output, h, c = LSTM(32, activation="tanh", return_sequences=True, return_state=True)(x)
    assert output.shape == (100, 10, 32) and h.shape == c.shape == (100, 32)
    np.testing.assert_array_equal(output[:, -1], h)
    output, h = SimpleRNN(32, return_state=True)(x)
    assert output.shape == h.shape == (100, 32)


@pytest.mark.parametrize("make", [lambda: SimpleRNN(H), lambda: LSTM(H), lambda: LSTM(H, activation="relu"),
                                  lambda: RNN(MinimalCell(H))], ids=["SimpleRNN", "LSTM", "relu", "own cell"])
def test_two_training_steps(rng, make):
    layer, x, target = make(), sequences(rng, "float32"), rng.normal(size=(B, H)).astype("float32")
    losses = []
    for _ in range(3):
        y = layer(x, training=True)
        losses.append(((y - target) ** 2).sum())
        layer.zero_grad()
        layer.backward(2 * (y - target))
        for p in layer.trainable_weights:
            p.value -= 0.001 * p.grad
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM])
def test_gradients_are_added_and_inputs_left_alone(rng, layer_class):
    layer = layer_class(H, return_sequences=True, return_state=True, go_backwards=True, zero_output_for_mask=True)
    x, states, mask = sequences(rng, "float32"), [s.astype("float32") for s in states_of(layer_class, rng)], mask_of("holes")
    outputs = layer(x, initial_state=states, mask=mask)
    dy = [np.ones_like(y) for y in outputs]
    given = [x, *states, mask, *dy]
    kept = [a.copy() for a in given]
    dx = layer.backward(dy)
    once = [p.grad.copy() for p in layer.weights]
    assert_same(layer.backward(dy), dx)
    assert_same([p.grad for p in layer.weights], [2 * g for g in once], rtol=1e-5, atol=1e-5)
    assert_same(given, kept)
    without = layer.backward([dy[0], *(None for _ in states)])
    assert_same(without, layer.backward([dy[0], *(np.zeros_like(s) for s in states)]))


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM])
@pytest.mark.parametrize("options", [{}, dict(activation="elu")], ids=str)
@pytest.mark.parametrize(("batch", "time"), [(1, 5), (3, 1), (1, 1)])
def test_batch_of_one_and_one_step(rng, layer_class, options, batch, time):
    layer = layer_class(H, return_sequences=True, dtype="float64", **options)
    x = sequences(rng)
    whole = layer(x)
    np.testing.assert_allclose(layer(x[:batch, :time]), whole[:batch, :time], rtol=1e-12)
    assert layer.backward(np.ones((batch, time, H))).shape == (batch, time, D)


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM])
def test_non_contiguous_input(rng, layer_class):
    layer = layer_class(H, return_sequences=True, dtype="float64")
    x, dy = sequences(rng), rng.normal(size=(B, T, H))
    y, dx = layer(x), layer.backward(dy)
    strange = np.asfortranarray(x)[::-1][::-1]
    mask = np.ones((T, B), bool).T
    np.testing.assert_array_equal(layer(strange, mask=mask), y)
    np.testing.assert_array_equal(layer.backward(np.asfortranarray(dy)), dx)


def test_a_record_can_be_handed_back(rng):
    layer = LSTM(H, dtype="float64")
    first, second = sequences(rng), sequences(rng)
    layer(first)
    record = layer.cache
    expected = layer.backward(np.ones((B, H)))
    layer(second)
    layer.cache = record
    np.testing.assert_array_equal(layer.backward(np.ones((B, H))), expected)


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM])
def test_bad_input_is_named(rng, layer_class):
    layer = layer_class(H, name="r")
    x, states = sequences(rng), states_of(layer_class, rng)
    who = f"{layer_class.__name__} 'r'"
    with pytest.raises(ValueError, match=f"{who}: expected an input of 3 axes, got 2"):
        layer(x[0])
    assert not layer.built
    with pytest.raises(RuntimeError, match=f"{who}: backward needs a forward first"):
        layer.backward(x)
    layer(x)
    for call, message in [
        (lambda: layer(x[0]), "expected an input of 3 axes, got 2"),
        (lambda: layer(x[..., :1]), "expected size 2 on axis 2 of the input, got 1"),
        (lambda: layer(x[:, :0]), r"expected at least one time step on axis 1, got an input of shape \(3, 0, 2\)"),
        (lambda: layer(x[:0]), "expected at least one sample"),
        (lambda: layer(x, mask=np.ones((3, 4), bool)), r"expected a mask of shape \(3, 5\), got \(3, 4\)"),
        (lambda: layer(x, mask=np.ones((3, 5, 1), bool)), r"expected a mask of shape \(3, 5\), got \(3, 5, 1\)"),
        (lambda: layer(x, initial_state=[s[:2] for s in states]), r"initial states of shapes \[\(3, 4\).*got \[\(2, 4\)"),
        (lambda: layer(x, initial_state=[s[:, :3] for s in states]), r"initial states of shapes \[\(3, 4\).*got \[\(3, 3\)"),
        (lambda: layer(x, initial_state=[*states, states[0]]), "expected initial states of shapes"),
        (lambda: layer(x, initial_state=[states[0][0]] * len(states)), r"expected initial states of shapes.*got \[\(4,\)"),
        (lambda: layer([x, *states], initial_state=states), "in the list of inputs or as initial_state, got both"),
        (lambda: layer.backward(np.ones((B, T, H))), r"backward expected dy of shape \(3, 4\)"),
        (lambda: layer.set_weights([np.ones((D, H))]), "weight arrays"),
    ]:
        with pytest.raises(ValueError, match=f"{who}: {message}" if "axes" in message else f"{who}: .*{message}"):
            call()


@pytest.mark.parametrize("layer_class", [SimpleRNN, LSTM, SimpleRNNCell, LSTMCell])
def test_bad_arguments_are_named(layer_class):
    who = layer_class.__name__
    for arguments, message in [
        (dict(units=0), rf"{who}.*: expected a positive integer as units, got 0"),
        (dict(units=2.5), rf"{who}.*: expected a positive integer as units, got 2.5"),
        (dict(units=2, dropout=1.5), r"expected dropout in .0, 1., got 1.5"),
        (dict(units=2, recurrent_dropout=-1), r"expected recurrent_dropout in .0, 1., got -1"),
    ]:
        with pytest.raises(ValueError, match=message):
            layer_class(**arguments)
    with pytest.raises(TypeError, match=rf"{who}.*: unknown argument 'unitz'"):
        layer_class(2, unitz=3)
    with pytest.raises(ValueError, match="tanhh"):
        layer_class(2, activation="tanhh")
    with pytest.raises(ValueError, match="use_cudnn"):
        LSTM(2, use_cudnn="yes")
    with pytest.raises(ValueError, match="expected a known number of features"):
        layer_class(2).build((None, None, None) if "Cell" not in who else (None, None))


@pytest.mark.parametrize("cell", [SimpleRNNCell(H, name="c"), LSTMCell(H, name="c")])
def test_bad_input_of_a_cell_is_named(cell):
    count = len(cell.get_initial_state(3))
    for states in ([np.ones((B, 3))] * count, [np.ones((B, H))] * (count + 1), np.ones((B, H))):
        with pytest.raises(ValueError, match=r"Cell 'c': expected states of shapes \[\(3, 4\)"):
            cell.forward(np.ones((B, D)), states)
    with pytest.raises(ValueError, match=r"Cell 'c': expected size 2 on axis 1 of the input, got 3"):
        cell.forward(np.ones((B, 3)), cell.get_initial_state(B))


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU, layers.LSTMCell, layers.GRUCell])
def test_implementation_is_0_1_or_2(make):
    for implementation in (0, 1, 2):
        make(2, implementation=implementation)
    with pytest.raises(ValueError, match=f"{make.__name__} 'a': expected implementation to be 0, 1 or 2, got 7"):
        make(2, implementation=7, name="a")
