"""Bidirectional: against Keras, PyTorch, its two layers by hand, and finite differences."""
import inspect
import itertools
import re

import numpy as np
import pytest
from helpers import agrees_with_keras, assert_same, copy_weights, exact_tanh, random_like

import kernels
import nblayers
from nblayers import layers
from nblayers.layers import GRU, LSTM, RNN, Bidirectional, Dense, Layer, LSTMCell, Masking, SimpleRNN, SimpleRNNCell
from nblayers.models import Input, Model, Sequential, load_model
from nblayers.utils import pack_padded_sequence, pad_packed_sequence

B, T, D, H = 3, 5, 2, 4
HOLES = np.array([[1, 0, 1, 0, 1], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
RIGHT = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], bool)
MODES = ["concat", "sum", "mul", "ave", None]


def sequences(rng, dtype="float64"):
    return rng.normal(size=(B, T, D)).astype(dtype)


def random_states(layer, rng, batch=B):
    return random_like([*layer.forward_layer.get_initial_state(batch), *layer.backward_layer.get_initial_state(batch)], rng)


class OwnCell(Layer):
    """A user's cell, registered nowhere."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")

    def forward(self, x, states):
        self.cache = x, states[0]
        y = x @ self.kernel.value + np.sin(states[0])
        return y, [y]

    def backward(self, gradients):
        dy, (dh,) = gradients
        x, h = self.cache
        dy = dy + dh
        self.kernel.grad += x.T @ dy
        return dy @ self.kernel.value.T, [np.cos(h) * dy]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class OwnLayer(Layer):
    """A user's recurrent layer that is no RNN: the running mean of the sequence."""

    def __init__(self, go_backwards=False, return_sequences=False, **kwargs):
        super().__init__(**kwargs)
        self.go_backwards, self.return_sequences = go_backwards, return_sequences
        self.return_state = self.stateful = False

    def forward(self, x):
        x = x[:, ::-1] if self.go_backwards else x
        self.cache = np.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]
        y = x.cumsum(axis=1) / self.cache
        return y if self.return_sequences else y[:, -1]

    def backward(self, dy):
        if not self.return_sequences:
            dy = np.concatenate([np.zeros((len(dy), len(self.cache) - 1, dy.shape[1])), dy[:, None]], axis=1)
        dx = (dy / self.cache)[:, ::-1].cumsum(axis=1)
        return dx if self.go_backwards else dx[:, ::-1]

    def get_config(self):
        return {**super().get_config(), "go_backwards": self.go_backwards, "return_sequences": self.return_sequences}


def make(kind, module=layers, dtype="float64", merge_mode="concat", **options):
    if kind == "stack":
        cells = [module.SimpleRNNCell(3, activation="sigmoid", dtype=dtype), module.LSTMCell(H, dtype=dtype)]
        layer = module.RNN(module.StackedRNNCells(cells, dtype=dtype), dtype=dtype, **options)
    else:
        layer = getattr(module, kind)(H, dtype=dtype, **options)
    return module.Bidirectional(layer, merge_mode=merge_mode, dtype=dtype)


KERAS = [
    ("LSTM", dict(), None, False),
    ("LSTM", dict(return_sequences=True), HOLES, False),
    ("LSTM", dict(return_sequences=True, return_state=True), HOLES, True),
    ("LSTM", dict(return_state=True, merge_mode="sum"), RIGHT, True),
    ("LSTM", dict(return_sequences=True, return_state=True, merge_mode=None), RIGHT, False),
    ("LSTM", dict(zero_output_for_mask=True), RIGHT, False),
    ("GRU", dict(return_sequences=True, merge_mode="mul"), RIGHT, True),
    ("GRU", dict(return_state=True, merge_mode=None), None, False),
    ("SimpleRNN", dict(return_sequences=True, merge_mode="ave"), HOLES, False),
    ("SimpleRNN", dict(activation="elu", return_sequences=True, merge_mode="sum"), HOLES, True),
    ("SimpleRNN", dict(merge_mode="mul"), HOLES, True),
    ("stack", dict(return_sequences=True), RIGHT, True),
]


@pytest.mark.parametrize(("kind", "options", "mask", "initial"), KERAS)
def test_values_and_gradients_are_keras(rng, x64, kind, options, mask, initial):
    import keras
    ours, theirs = make(kind, **options), exact_tanh(make(kind, keras.layers, **options))
    arguments = {} if mask is None else {"mask": mask}
    if initial:
        arguments["initial_state"] = random_states(ours, rng)
    agrees_with_keras(ours, theirs, sequences(rng), **arguments)


def test_ones_own_backward_layer_is_keras(rng, x64):
    import keras
    both = []
    for module in (layers, keras.layers):
        options = dict(return_sequences=True, return_state=True, dtype="float64")
        ahead = module.SimpleRNN(3, go_backwards=True, **options)           # "forward" from the end, "backward" from the start
        both.append(module.Bidirectional(ahead, backward_layer=module.LSTM(H, **options), dtype="float64"))
    ours, theirs = both[0], exact_tanh(both[1])
    agrees_with_keras(ours, theirs, sequences(rng), mask=HOLES)
    assert [shape[-1] for shape in ours.compute_output_shape((B, T, D))] == [3 + H, 3, H, H]


def test_values_and_gradients_are_pytorchs(rng):
    import torch
    ours = Bidirectional(LSTM(H, return_sequences=True, return_state=True, dtype="float64"), dtype="float64")
    x = sequences(rng)
    ours.build(x.shape)
    theirs = torch.nn.LSTM(D, H, batch_first=True, bidirectional=True, dtype=torch.float64)
    pairs = [(ours.forward_layer.cell, ""), (ours.backward_layer.cell, "_reverse")]
    for cell, way in pairs:
        with torch.no_grad():
            getattr(theirs, f"weight_ih_l0{way}")[:] = torch.tensor(cell.kernel.value.T)
            getattr(theirs, f"weight_hh_l0{way}")[:] = torch.tensor(cell.recurrent_kernel.value.T)
            cell.bias.value[:] = rng.normal(size=cell.bias.shape)
            getattr(theirs, f"bias_ih_l0{way}")[:] = torch.tensor(cell.bias.value)
            getattr(theirs, f"bias_hh_l0{way}")[:] = 0
    states = random_states(ours, rng)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, *states)]
    hidden = tuple(torch.stack(tensors[k::2]) for k in (1, 2))
    y, (h, c) = theirs(tensors[0], hidden)
    outputs, expected = ours(x, initial_state=states), [y, h[0], c[0], h[1], c[1]]
    assert_same(outputs, [e.detach() for e in expected], rtol=1e-12, atol=1e-12)
    dy = random_like(outputs, rng)
    sum((a * torch.tensor(d)).sum() for a, d in zip(expected, dy, strict=True)).backward()
    assert_same(ours.backward(dy), [t.grad for t in tensors], rtol=1e-10, atol=1e-12)
    gradients = [getattr(theirs, f"{name}_l0{way}").grad for _, way in pairs for name in ("weight_ih", "weight_hh", "bias_ih")]
    assert_same([p.grad for p in ours.weights], [np.asarray(g).T for g in gradients], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("merge_mode", MODES)
@pytest.mark.parametrize(("return_sequences", "return_state"), list(itertools.product([False, True], repeat=2)))
def test_gradients_are_finite_differences(rng, merge_mode, return_sequences, return_state):
    options = dict(return_sequences=return_sequences, return_state=return_state)
    x = sequences(rng)
    for inner in (SimpleRNN(3, **options), SimpleRNN(3, activation="softsign", **options)):
        layer = Bidirectional(inner, merge_mode=merge_mode)
        nblayers.gradcheck(layer, x)
        nblayers.gradcheck(layer, x, mask=HOLES, initial_state=random_states(layer, rng))


@pytest.mark.parametrize("options", [
    dict(dropout=0.3), dict(recurrent_dropout=0.3, dropout=0.2, return_sequences=True), dict(activation="gelu"),
    dict(activity_regularizer="l2", return_sequences=True), dict(use_bias=False, return_sequences=True, return_state=True),
], ids=str)
@pytest.mark.parametrize("layer_class", [LSTM, GRU])
def test_gradients_with_the_options_of_the_layers(rng, layer_class, options):
    layer = Bidirectional(layer_class(2, **options), activity_regularizer="l1" if "activation" in options else None)
    nblayers.gradcheck(layer, sequences(rng), mask=RIGHT, initial_state=random_states(layer, rng), training=True)


@pytest.mark.parametrize("merge_mode", MODES)
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("make_layer", [
    lambda **k: RNN(OwnCell(3), **k), lambda **k: RNN([OwnCell(3), LSTMCell(2)], **k), OwnLayer,
], ids=["cell", "stack", "layer"])
def test_layers_and_cells_of_ones_own(rng, make_layer, return_sequences, merge_mode):
    layer, x = Bidirectional(make_layer(return_sequences=return_sequences), merge_mode=merge_mode), sequences(rng) * 0.5
    nblayers.gradcheck(layer, x)
    shape = layer.compute_output_shape(x.shape)
    assert shape == ([y.shape for y in layer(x)] if merge_mode is None else layer(x).shape)
    config = layer.get_config()
    own = {"OwnCell": OwnCell, "OwnLayer": OwnLayer}
    assert Bidirectional.from_config(config, custom_objects=own).get_config() == config


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN", "stack"])
@pytest.mark.parametrize("mask", [None, HOLES])
def test_both_layers_by_hand(rng, kind, mask):
    """What the docstring says, layer by layer; the layers themselves stay as they were."""
    x = sequences(rng)
    layer = make(kind, return_sequences=True)
    y = layer(x, mask=mask)
    ahead, back = layer.forward_layer, layer.backward_layer
    expected = np.concatenate([ahead(x, mask=mask), back(x, mask=mask)[:, ::-1]], axis=-1)
    np.testing.assert_array_equal(y, expected)
    dy = rng.normal(size=y.shape)
    dx = layer.backward(dy)
    ahead(x, mask=mask)
    back(x, mask=mask)
    assert_same(dx, ahead.backward(dy[..., :H]) + back.backward(dy[:, ::-1, H:]), rtol=1e-12, atol=1e-14)


def test_masked_steps_may_hold_anything(rng):
    layer = Bidirectional(LSTM(H, return_sequences=True, dtype="float64"), dtype="float64")
    x, dy = sequences(rng), rng.normal(size=(B, T, 2 * H))
    expected, dx = layer(x, mask=HOLES), layer.backward(dy)
    x[~HOLES] = 1e30
    assert_same([layer(x, mask=HOLES), layer.backward(dy)[HOLES]], [expected, dx[HOLES]], rtol=1e-12)
    np.testing.assert_array_equal(expected[~HOLES], 0)
    np.testing.assert_array_equal(dx[~HOLES], 0)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("merge_mode", ["concat", "mul", None])
@pytest.mark.parametrize(("return_sequences", "return_state"), [(True, True), (False, False)])
def test_packed_sequences(rng, kind, merge_mode, return_sequences, return_state):
    """The same numbers as a padded batch with its mask, in any order of the batch."""
    layer = make(kind, merge_mode=merge_mode, return_sequences=return_sequences, return_state=return_state)
    x, order = sequences(rng), [2, 0, 1]
    x, mask = x[order], RIGHT[order]
    states = random_states(layer, rng)
    packed = pack_padded_sequence(x, mask.sum(axis=1), batch_first=True, enforce_sorted=False)
    count = 2 if merge_mode is None else 1

    def padded(y):
        return pad_packed_sequence(y, batch_first=True)[0] if hasattr(y, "batch_sizes") else y
    expected = layer(x, initial_state=states, mask=mask)
    dy = random_like(expected, rng)
    dx = layer.backward(dy)
    gradients = [p.grad.copy() for p in layer.weights]
    layer.zero_grad()
    outputs = layer(packed, initial_state=states)
    listed = outputs if isinstance(outputs, list) else [outputs]
    assert_same([padded(y) for y in listed], expected, rtol=1e-12, atol=1e-13)
    if return_sequences:
        repacked = [pack_padded_sequence(d, mask.sum(axis=1), True, False) for d in dy[:count]]
        dy = [*repacked, *dy[count:]]
    dpacked = layer.backward(dy)
    assert_same([padded(dpacked[0]), *dpacked[1:]], dx, rtol=1e-10, atol=1e-12)
    assert_same([p.grad for p in layer.weights], gradients, rtol=1e-10, atol=1e-12)
    if return_sequences and merge_mode:
        with pytest.raises(ValueError, match="backward expected a PackedSequence, as forward gave, got ndarray"):
            layer.backward([np.ones((B, T, 2 * H)), None, None, *[None] * (len(states) - 2)])
        assert_same(layer.backward(None)[0].data, 0 * packed.data)


def test_packed_sequences_and_a_penalty(rng):
    packed = pack_padded_sequence(sequences(rng), RIGHT.sum(axis=1), batch_first=True)
    with pytest.raises(ValueError, match=r"Bidirectional 'b': expected an array, got a packed batch, for an activity_regul"):
        Bidirectional(LSTM(3, return_sequences=True), activity_regularizer="l2", name="b")(packed)


def test_packed_sequences_the_other_way_round(rng):
    options = dict(return_sequences=True, dtype="float64")
    layer = Bidirectional(SimpleRNN(3, go_backwards=True, **options), backward_layer=SimpleRNN(2, **options), dtype="float64")
    x = sequences(rng)
    packed = pack_padded_sequence(x, RIGHT.sum(axis=1), batch_first=True)
    y = layer(packed)
    y_f, y_b = layer.forward_layer(packed), layer.backward_layer(packed)
    assert_same(y.data, np.concatenate([y_f.data, y_b.data], axis=1))


@pytest.mark.parametrize("kind", ["LSTM", "stack"])
def test_three_rooms_agree(rng, kind):
    layer = make(kind, return_sequences=True, return_state=True)
    x, dy, results = sequences(rng)[:, :3], None, {}
    for room in kernels.ROOMS:
        layer.to(room)
        assert layer.forward_layer.device == layer.backward_layer.cell.device == room
        y = layer(x, mask=HOLES[:, :3])
        dy = random_like(y, rng) if dy is None else dy
        layer.zero_grad()
        results[room] = [y, layer.backward(dy), [p.grad.copy() for p in layer.weights]]
        assert_same(results[room], results["reference"], room, rtol=1e-10, atol=1e-12)


def test_arguments_are_keras():
    import keras
    for ours, theirs in ((Bidirectional.__init__, keras.layers.Bidirectional.__init__),
                         (Bidirectional.forward, keras.layers.Bidirectional.call)):
        ours, theirs = ([(p.name, p.default or None) for p in inspect.signature(f).parameters.values()] for f in (ours, theirs))
        assert ours == theirs                                       # training: None there, False here


def test_weights_are_keras_in_name_order_and_shape(rng):
    import keras
    ours = Bidirectional(LSTM(H, name="a", return_sequences=True))
    theirs = keras.layers.Bidirectional(keras.layers.LSTM(H, name="a", return_sequences=True))
    x = sequences(rng, "float32")
    ours(x)
    theirs.build(x.shape)
    assert [p.path for p in ours.weights] == [re.sub(r"_\d+", "", v.path) for v in theirs.weights] == [
        f"bidirectional/{way}_a/lstm_cell/{name}" for way in ("forward", "backward")
        for name in ("kernel", "recurrent_kernel", "bias")]
    copy_weights(theirs, ours)
    assert_same(ours.get_weights(), theirs.get_weights())
    assert ours.sublayers == [ours.forward_layer, ours.backward_layer]
    assert ours.count_params() == theirs.count_params() == 2 * LSTM(H)(x).shape[-1] * 4 * (D + H + 1)
    first = ours.get_weights()
    assert (first[0] != first[3]).any()                             # weights of its own
    again = Bidirectional(LSTM(H, return_sequences=True), weights=first)
    assert_same(again(x), ours(x))
    with pytest.raises(ValueError, match="expected 6 weight arrays, got 3"):
        Bidirectional(LSTM(H), weights=first[:3])(x)


def test_the_layer_given_is_not_touched(rng):
    given = LSTM(H, return_sequences=True, name="mine", dropout=0.5)
    given(sequences(rng))
    layer = Bidirectional(given)
    layer(sequences(rng))
    assert given.name == "mine" and given.go_backwards is given.zero_output_for_mask is False
    assert layer.forward_layer is not given and layer.forward_layer.name == "forward_mine"
    assert (layer.forward_layer.cell.kernel.value != given.cell.kernel.value).any()
    assert layer.backward_layer.name == "backward_mine" and layer.backward_layer.go_backwards
    assert layer.forward_layer.zero_output_for_mask and layer.backward_layer.zero_output_for_mask
    own = LSTM(3, go_backwards=True)
    assert Bidirectional(LSTM(3, zero_output_for_mask=True), backward_layer=own).backward_layer is own
    assert Bidirectional(LSTM(3, zero_output_for_mask=True)).forward_layer.zero_output_for_mask is False
    layer(sequences(rng), training=True)
    masks = [each.cache.dropout_mask for each in (layer.forward_layer, layer.backward_layer)]
    assert all(mask is not None for mask in masks)


@pytest.mark.parametrize("options", [
    dict(merge_mode="ave"), dict(merge_mode=None, name="b", trainable=False), dict(backward=True, dtype="float64")], ids=str)
def test_config_goes_to_keras_and_back(options):
    import keras
    made = []
    for module in (layers, keras.layers):
        chosen = dict(options)
        if chosen.pop("backward", False):
            chosen["backward_layer"] = module.SimpleRNN(H, "relu", go_backwards=True, return_sequences=True, name="s")
        made.append(module.Bidirectional(module.LSTM(H, recurrent_regularizer="l2", return_sequences=True, name="r"), **chosen))
    ours, theirs = made
    theirs.name = ours.name
    assert ours.get_config().keys() == theirs.get_config().keys()
    assert Bidirectional.from_config(theirs.get_config()).get_config() == ours.get_config()
    assert keras.layers.Bidirectional.from_config(ours.get_config()).get_config() == theirs.get_config()
    without = {key: value for key, value in ours.get_config().items() if key != "backward_layer"}
    assert Bidirectional.from_config(without).backward_layer.go_backwards


@pytest.mark.parametrize("merge_mode", MODES)
@pytest.mark.parametrize(("return_sequences", "return_state"), list(itertools.product([False, True], repeat=2)))
def test_shapes_and_masks_that_go_on_are_keras(merge_mode, return_sequences, return_state):
    import keras
    options = dict(return_sequences=return_sequences, return_state=return_state)
    ours = Bidirectional(LSTM(H, **options), merge_mode=merge_mode)
    theirs = keras.layers.Bidirectional(keras.layers.LSTM(H, **options), merge_mode=merge_mode)
    shapes = theirs.compute_output_shape((None, 7, 2))
    assert ours.compute_output_shape((None, 7, 2)) == (list(shapes) if return_state or merge_mode is None else shapes)
    mask = np.ones((2, 7), bool)
    made, expected = ours.compute_mask(None, mask), theirs.compute_mask(None, mask)
    made = made[0] if return_state and merge_mode else made         # Keras leaves the states out of the list
    assert_same(made, expected)
    assert ours.supports_masking


def test_two_stateful_calls_are_one_long_one(rng):
    x = sequences(rng, "float32")
    layer = Bidirectional(LSTM(H, stateful=True, return_state=True))
    assert layer.stateful and layer.states is None
    first, *_ = layer(x)
    states = layer.states
    assert [s.shape for s in states] == [(B, H)] * 4
    second, *last = layer(x)
    assert (first != second).any()
    layer.reset_state()
    assert layer.states is None
    np.testing.assert_array_equal(layer(x)[0], first)
    layer.reset_state()
    assert_same(layer(x, initial_state=states), [second, *last])
    with pytest.raises(ValueError, match=r"expected a batch of 3 sequences.*got 2"):
        layer(x[:2])


def test_ways_to_give_the_initial_state(rng):
    layer = Bidirectional(LSTM(H, dtype="float64"), dtype="float64")
    x, states, dy = sequences(rng), random_states(layer, rng), rng.normal(size=(B, 2 * H))
    by_keyword = [layer(x, initial_state=states), layer.backward(dy)]
    assert len(by_keyword[1]) == 5
    for call in (lambda: layer([x, *states]), lambda: layer(x, states), lambda: layer(x, initial_state=tuple(states))):
        assert_same([call(), layer.backward(dy)], by_keyword)
    layer(x)
    assert isinstance(layer.backward(dy), np.ndarray)


def test_in_models(rng, tmp_path):
    """Document 004's model, and an encoder that hands its states on."""
    model = Sequential([Bidirectional(LSTM(4, return_sequences=True), input_shape=(T, D)), Bidirectional(LSTM(3)), Dense(1)])
    assert [layer.name for layer in model.layers] == ["bidirectional", "bidirectional_1", "dense"]
    assert model.output_shape == (None, 1) and model.layers[0].weights[0].shape == (D, 16)
    model.compile("adam", "mse")
    x, y = sequences(rng, "float32"), rng.normal(size=(B, 1))
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "b.keras")
    assert_same(load_model(tmp_path / "b.keras").predict(x, verbose=0), model.predict(x, verbose=0))

    inputs, others = Input((None, D)), Input((4, 3))
    _, *states = Bidirectional(SimpleRNN(3, return_state=True))(inputs)
    decoded = Bidirectional(SimpleRNN(3, return_sequences=True), merge_mode="sum")(others, initial_state=states)
    y_f, y_b = Bidirectional(SimpleRNN(2), merge_mode=None)(decoded)
    model = Model([inputs, others], [Dense(1)(y_f), y_b])
    nblayers.gradcheck(model, [rng.normal(size=(2, T, D)), rng.normal(size=(2, 4, 3))])
    shared = Bidirectional(SimpleRNN(D, return_sequences=True), merge_mode="mul")
    nblayers.gradcheck(Model(inputs, shared(shared(inputs))), sequences(rng))


def test_the_mask_of_a_model_reaches_both_layers(rng):
    inputs = Input((T, D))
    layer = Bidirectional(LSTM(3, return_sequences=True))
    model = Model(inputs, Bidirectional(LSTM(2))(layer(Masking()(inputs))))
    x = sequences(rng, "float32")
    x[~RIGHT] = 0
    y = model(x)
    copy = Bidirectional(LSTM(2))
    copy.build((B, T, 6))
    copy_weights(model.layers[-1], copy)
    np.testing.assert_array_equal(y, copy(layer(x, mask=RIGHT), mask=RIGHT))


def test_the_first_layer_of_a_model_gives_no_input_gradient(rng):
    layer = Bidirectional(LSTM(3))
    y = layer(sequences(rng))
    layer.input_gradient = False
    assert layer.backward(np.ones_like(y)) is None
    assert layer.forward_layer.input_gradient and layer.backward_layer.input_gradient
    layer(sequences(rng), initial_state=random_states(layer, rng))
    dx, *dstates = layer.backward(np.ones_like(y))
    assert dx is None and [d.shape for d in dstates] == [(B, 3)] * 4


@pytest.mark.parametrize("make_layer", [lambda: LSTM(2), lambda: RNN(SimpleRNNCell(2)), lambda: RNN(OwnCell(2))],
                         ids=["LSTM", "RNN", "own cell"])
def test_two_training_steps(rng, make_layer):
    layer, x = Bidirectional(make_layer()), sequences(rng, "float32") * np.float32(0.5)
    target, losses = rng.normal(size=(B, 4)).astype("float32"), []
    for _ in range(3):
        y = layer(x, training=True)
        losses.append(((y - target) ** 2).sum())
        layer.zero_grad()
        layer.backward(2 * (y - target))
        for p in layer.trainable_weights:
            p.value -= 0.001 * p.grad
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize("merge_mode", MODES)
def test_batch_of_one_non_contiguous_input_and_dtype(rng, merge_mode):
    layer, x = Bidirectional(GRU(H, return_sequences=True), merge_mode=merge_mode), sequences(rng, "float32")
    y = layer(x)
    dy = random_like(y, rng)
    dx = layer.backward(dy)
    assert {a.dtype.name for a in (*(y if merge_mode is None else [y]), dx, *(p.grad for p in layer.weights))} == {"float32"}
    given = [np.asfortranarray(x)[::-1][::-1], *(np.asfortranarray(d) for d in (dy if merge_mode is None else [dy]))]
    kept = [a.copy() for a in given]
    assert_same(layer(given[0]), y)
    assert_same(layer.backward(given[1:] if merge_mode is None else given[1]), dx)
    assert_same(given, kept)
    one = layer(x[:1, :1])
    assert layer.backward(one).shape == (1, 1, D)
    assert_same(layer.backward(one), layer.backward(one))
    double = Bidirectional(LSTM(3, dtype="float64"), merge_mode="sum", dtype="float64")
    assert double(x).dtype == double.backward(np.ones((B, 3))).dtype == "float64"


def test_records_can_be_handed_back(rng):
    layer = Bidirectional(RNN(OwnCell(3)))
    layer(sequences(rng))
    record, dy = layer.cache, np.ones((B, 6))
    expected = layer.backward(dy)
    layer(sequences(rng))
    layer.cache = record
    np.testing.assert_array_equal(layer.backward(dy), expected)


def test_trainable_and_losses(rng):
    layer = Bidirectional(LSTM(3, kernel_regularizer="l2", activity_regularizer="l1"), activity_regularizer="l2")
    layer(sequences(rng))
    assert len(layer.losses) == 5 and len(layer.trainable_weights) == 6
    layer.trainable = False
    assert layer.trainable_weights == [] and not layer.backward_layer.cell.trainable
    assert Bidirectional(LSTM(3), trainable=False).trainable_weights == []


def test_what_is_no_pair_of_layers_is_refused():
    options = dict(go_backwards=True)
    for build, message in [
        (lambda: Bidirectional(3), "expected layer to be a recurrent layer, with go_backwards, return_sequences.*got 3"),
        (lambda: Bidirectional(Dense(3)), "expected layer to be a recurrent layer.*got <Dense"),
        (lambda: Bidirectional(LSTM(3), backward_layer=Dense(3)), "expected backward_layer to be a recurrent layer.*<Dense"),
        (lambda: Bidirectional(LSTM(3), merge_mode="max"), r"expected merge_mode to be one of \('concat', .*got 'max'"),
        (lambda: Bidirectional(LSTM(3, **options)), "expected layers that go opposite ways, got go_backwards=True in both"),
        (lambda: Bidirectional(LSTM(3), backward_layer=LSTM(3)), "expected layers that go opposite ways.*False in both"),
        *[(lambda name=name: Bidirectional(LSTM(3), backward_layer=LSTM(3, **options, **{name: True})),
           f"expected the same {name} in both layers, got False in layer and True in backward_layer")
          for name in ("return_sequences", "return_state", "stateful")],
    ]:
        with pytest.raises(ValueError, match=f"Bidirectional '.*': {message}"):
            build()
    with pytest.raises(TypeError, match=r"Bidirectional '.*': unknown argument 'merge'"):
        Bidirectional(LSTM(3), merge="sum")


def test_bad_input_is_named(rng):
    layer, x = Bidirectional(LSTM(3), name="b"), sequences(rng)
    with pytest.raises(ValueError, match="Bidirectional 'b': expected an input of 3 axes, got 2"):
        layer(x[0])
    with pytest.raises(RuntimeError, match="Bidirectional 'b': backward needs a forward first"):
        layer.backward(x)
    layer(x)
    states = random_states(layer, rng)
    for call, message in [
        (lambda: layer(x[..., :1]), "'b': expected size 2 on axis 2 of the input, got 1"),
        (lambda: layer(x[:0]), "'b': expected at least one sample"),
        (lambda: layer(x[:, :0]), "'forward_lstm': expected at least one time step on axis 1"),
        (lambda: layer(x, mask=np.ones((B, 4), bool)), r"'forward_lstm': expected a mask of shape \(3, 5\), got \(3, 4\)"),
        (lambda: layer(x, initial_state=states[:3]), "'b': expected an even number of initial states.*got 3"),
        (lambda: layer(x, initial_state=states[0]), "'b': expected an even number of initial states.*got 1"),
        (lambda: layer(x, initial_state=states[:2]), r"'forward_lstm': expected initial states of shapes \[\(3, 3\), \(3"),
        (lambda: layer(x, initial_state=[*states[:3], states[3][:1]]), "'backward_lstm': expected initial states of shapes"),
        (lambda: layer([x, *states], initial_state=states), "'b': expected initial states in the list of inputs or as"),
        (lambda: layer.backward(np.ones((B, 3))), r"'b': backward expected dy of shape \(3, 6\)"),
        (lambda: Bidirectional(LSTM(3), merge_mode=None, name="n").backward(x), "backward needs a forward"),
    ]:
        with pytest.raises((ValueError, RuntimeError), match=message):
            call()
    both = Bidirectional(LSTM(3), merge_mode=None, name="n")
    y, _ = both(x)
    with pytest.raises(ValueError, match="'n': backward expected a list of 2 gradients, as forward gave 2 outputs, got one"):
        both.backward(y)
