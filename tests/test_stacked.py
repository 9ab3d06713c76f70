"""StackedRNNCells, and RNN over any cell: against Keras, layers on top of one another, and finite differences."""
import inspect
import re

import numpy as np
import pytest
from helpers import agrees_with_keras, assert_same, copy_weights, exact_tanh, flat, numeric_gradient, random_like

import kernels
import nblayers
from nblayers import layers
from nblayers.layers import LSTM, RNN, Dense, GRUCell, Layer, LSTMCell, SimpleRNN, SimpleRNNCell, StackedRNNCells
from nblayers.layers.recurrent.states import mapped
from nblayers.models import Input, Model, Sequential, load_model

B, T, D = 3, 5, 2
HOLES = np.array([[1, 0, 1, 0, 1], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
STACKS = {
    "LSTM": [("LSTMCell", dict(units=3))] * 2,
    "three kinds": [("SimpleRNNCell", dict(units=2, activation="sigmoid")), ("GRUCell", dict(units=4)),
                    ("LSTMCell", dict(units=3, use_bias=False))],
}


def cells(kind, module=layers, **options):
    return [getattr(module, name)(**arguments, **options) for name, arguments in STACKS[kind]]


def sequences(rng, dtype="float64"):
    return rng.normal(size=(B, T, D)).astype(dtype)


def random_states(layer, rng):
    return random_like(layer.get_initial_state(B), rng)


class OwnCell(Layer):
    """A user's cell: one state of the size of the input, nothing declared beyond state_size, and a tuple for a cache."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")

    def forward(self, x, states):
        (h,) = states
        self.cache = x, h
        y = x @ self.kernel.value + np.sin(h)
        return y, (y,)                                              # states in a tuple

    def backward(self, gradients):
        dy, (dh,) = gradients
        x, h = self.cache
        dy = dy + dh
        self.kernel.grad += x.T @ dy
        return dy @ self.kernel.value.T, [np.cos(h) * dy]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class TwoSizesCell(Layer):
    """Two states whose sizes stand in a tuple, the first of which is the output; they do not begin at zero."""

    state_size = (2, 3)

    def get_initial_state(self, batch_size):
        return np.ones((batch_size, 2)), np.full((batch_size, 3), 2.0)

    def forward(self, x, states):
        a, b = states
        self.cache = x, a, b
        return x * a, [x * a, b + x[:, :1]]

    def backward(self, gradients):
        dy, (da, db) = gradients
        x, a, _ = self.cache
        dx = (dy + da) * a
        dx[:, 0] += db.sum(axis=1)
        return dx, [(dy + da) * x, db]


class ImageCell(Layer):
    """A state of three axes, as a ConvLSTM cell has, and an output of two."""

    output_size = (2, 3)

    def __init__(self):
        super().__init__()
        self.state_size = [(2, 3, 1)]

    def forward(self, x, states):
        (h,) = states
        new = h * 0.5 + x
        return new[..., 0] ** 2, [self._keep(new)]

    def _keep(self, new):
        self.cache = (new,)
        return new

    def backward(self, gradients):
        dy, (dh,) = gradients
        dnew = dh + 2 * self.cache[0] * dy[..., None]
        return dnew, [0.5 * dnew]


KERAS = [
    ("LSTM", {}, False, False),
    ("LSTM", dict(return_sequences=True, return_state=True), True, True),
    ("three kinds", dict(return_sequences=True), True, False),
    ("three kinds", dict(return_state=True, go_backwards=True), True, True),
    ("three kinds", dict(return_sequences=True, go_backwards=True, zero_output_for_mask=True), True, True),
    ("three kinds", dict(zero_output_for_mask=True), True, False),
]


@pytest.mark.parametrize(("kind", "options", "masked", "initial"), KERAS)
def test_values_and_gradients_are_keras(rng, x64, kind, options, masked, initial):
    import keras
    ours = RNN(cells(kind, dtype="float64"), dtype="float64", **options)
    theirs = keras.layers.RNN(keras.layers.StackedRNNCells(cells(kind, keras.layers, dtype="float64"), dtype="float64"),
                              dtype="float64", **options)
    arguments = {"mask": HOLES} if masked else {}
    if initial:
        arguments["initial_state"] = random_states(ours, rng)
    agrees_with_keras(ours, exact_tanh(theirs), sequences(rng), **arguments)


GRADCHECK = [
    {}, dict(return_sequences=True), dict(return_state=True), dict(return_sequences=True, return_state=True, go_backwards=True),
    dict(zero_output_for_mask=True), dict(zero_output_for_mask=True, return_sequences=True, return_state=True),
    dict(activity_regularizer="l2", return_sequences=True),
]


@pytest.mark.parametrize("options", GRADCHECK, ids=str)
def test_gradients_are_finite_differences(rng, options):
    layer = RNN([SimpleRNNCell(2), LSTMCell(3)], **options)
    nblayers.gradcheck(layer, sequences(rng), mask=HOLES, initial_state=random_states(layer, rng))
    nblayers.gradcheck(layer, sequences(rng))


def test_gradients_with_dropout(rng):
    layer = RNN([LSTMCell(2, dropout=0.3, seed=1), SimpleRNNCell(3, recurrent_dropout=0.4, dropout=0.2, seed=2)],
                return_sequences=True)
    nblayers.gradcheck(layer, sequences(rng), mask=HOLES, training=True)


def test_gradients_of_a_stack_alone(rng):
    """backward((dy, dstates)), the states' gradients included."""
    cell = StackedRNNCells([SimpleRNNCell(2, dtype="float64"), LSTMCell(3, dtype="float64")], dtype="float64")
    x, states = rng.normal(size=(B, D)), random_like(cell.get_initial_state(B), rng)
    y, new = cell.forward(x, states)
    dy, dnew = random_like((y, new), rng)
    dx, dstates = cell.backward((dy, dnew))
    gradients = [p.grad.copy() for p in cell.weights]

    def loss():
        y, new = cell.forward(x, states)
        return sum((a * d).sum() for a, d in zip(flat([y, new]), flat([dy, dnew]), strict=True))
    for value, gradient in zip(flat([x, states, [p.value for p in cell.weights]]), flat([dx, dstates, gradients]), strict=True):
        np.testing.assert_allclose(gradient, numeric_gradient(loss, value), rtol=1e-6, atol=1e-8)


def test_a_stack_is_one_layer_on_the_other(rng):
    x, mask = sequences(rng, "float32"), HOLES
    stack = RNN([SimpleRNNCell(4), LSTMCell(3)], return_sequences=True, return_state=True)
    first, second = SimpleRNN(4, return_sequences=True, return_state=True), LSTM(3, return_sequences=True, return_state=True)
    y, of_first, of_second = stack(x, mask=mask)
    for layer, cell, features in ((first, stack.cell.cells[0], D), (second, stack.cell.cells[1], 4)):
        layer.build((B, T, features))
        copy_weights(cell, layer)
    between, *states = first(x, mask=mask)
    expected, *more_states = second(between, mask=mask)
    assert_same([y, of_first, of_second], [expected, states, more_states], rtol=1e-5, atol=1e-6)
    dy = rng.normal(size=y.shape)
    dx = first.backward([second.backward([dy, None, None]), None])
    assert_same(stack.backward([dy, None, None]), dx, rtol=1e-5, atol=1e-6)
    assert_same([p.grad for p in stack.weights], [p.grad for p in (*first.weights, *second.weights)], rtol=1e-4, atol=1e-5)


def test_three_rooms_agree(rng):
    layer = RNN(cells("three kinds"), return_sequences=True, return_state=True)
    layer.astype("float64")
    x, dy, results = sequences(rng)[:, :3], None, {}
    for room in kernels.ROOMS:
        layer.to(room)
        assert [cell.device for cell in layer.cell.cells] == [room] * 3
        y = layer(x, mask=HOLES[:, :3])
        dy = random_like(y, rng) if dy is None else dy
        layer.zero_grad()
        results[room] = [y, layer.backward(dy), [p.grad.copy() for p in layer.weights]]
        assert_same(results[room], results["reference"], room, rtol=1e-10, atol=1e-12)


def test_arguments_sizes_and_states_are_keras():
    import keras
    for method in ("__init__", "get_initial_state"):
        ours, theirs = (list(inspect.signature(getattr(c, method)).parameters)
                        for c in (StackedRNNCells, keras.layers.StackedRNNCells))
        assert ours == theirs
    for kind in STACKS:
        ours, theirs = StackedRNNCells(cells(kind)), keras.layers.StackedRNNCells(cells(kind, keras.layers))
        assert ours.state_size == theirs.state_size and ours.output_size == theirs.output_size
        assert_same(ours.get_initial_state(4), theirs.get_initial_state(4))
    assert StackedRNNCells([LSTMCell(8), LSTMCell(4)]).state_size == [[8, 8], [4, 4]]


def test_weights_are_keras_in_name_order_and_shape():
    import keras
    ours, theirs = RNN(cells("three kinds")), keras.layers.RNN(cells("three kinds", keras.layers))
    ours.build((None, None, D))
    theirs.build((None, None, D))
    assert [p.path for p in ours.weights] == [re.sub(r"_\d+", "", v.path) for v in theirs.weights]     # Keras has counted on
    copy_weights(theirs, ours)
    assert_same(ours.get_weights(), theirs.get_weights())
    assert ours.sublayers == [ours.cell] and ours.cell.sublayers == ours.cell.cells
    assert ours.count_params() == theirs.count_params()


@pytest.mark.parametrize("kind", STACKS)
def test_shapes_and_masks_that_go_on_are_keras(kind):
    import keras
    for options in ({}, dict(return_state=True), dict(return_sequences=True), dict(return_sequences=True, return_state=True)):
        ours, theirs = RNN(cells(kind), **options), keras.layers.RNN(cells(kind, keras.layers), **options)

        def shapes(values):
            return [values] if isinstance(values, tuple) and not isinstance(values[-1], (tuple, list)) else [
                shape for value in values for shape in shapes(value)]
        assert shapes(ours.compute_output_shape((None, 7, 2))) == shapes(theirs.compute_output_shape((None, 7, 2)))
        mask = np.ones((2, 7), bool)
        assert_same(ours.compute_mask(None, mask), theirs.compute_mask(None, mask))


def test_structure_of_the_states(rng):
    layer = RNN(cells("three kinds"), return_state=True)
    _, *states = layer(sequences(rng))
    assert mapped(np.shape, states) == layer.compute_output_shape((B, T, D))[1:] == [
        [(B, 2)], [(B, 4)], [(B, 3), (B, 3)]]


def test_config_goes_to_keras_and_back():
    import keras
    ours = RNN([LSTMCell(3, name="a"), SimpleRNNCell(2, activation="relu", name="b")], return_sequences=True, name="r")
    theirs = keras.layers.RNN([keras.layers.LSTMCell(3, name="a"), keras.layers.SimpleRNNCell(2, activation="relu", name="b")],
                              return_sequences=True, name="r")
    theirs.cell.name = ours.cell.name
    assert ours.get_config().keys() == theirs.get_config().keys()
    assert ours.cell.get_config().keys() == theirs.cell.get_config().keys()
    assert RNN.from_config(theirs.get_config()).get_config() == ours.get_config()
    back = keras.layers.RNN.from_config(ours.get_config())
    assert back.get_config() == theirs.get_config() and back.cell.cells[1].units == 2
    assert StackedRNNCells.from_config(ours.cell.get_config()).get_config() == ours.cell.get_config()


@pytest.mark.parametrize("name", ["SimpleRNNCell", "LSTMCell", "GRUCell"])
def test_a_cell_twice_shares_its_weights(name, rng):
    import keras
    shared, theirs = getattr(layers, name)(D), getattr(keras.layers, name)(D)
    ours = RNN([shared, shared, SimpleRNNCell(3)])
    other = keras.layers.RNN([theirs, theirs, keras.layers.SimpleRNNCell(3)])
    agrees_with_keras(ours, other, sequences(rng, "float32"))
    assert len(ours.weights) == 6 and ours.count_params() == other.count_params()
    nblayers.gradcheck(ours, sequences(rng))
    cell = GRUCell(D, dropout=0.3, recurrent_dropout=0.2, seed=3)
    nblayers.gradcheck(RNN([cell, cell]), sequences(rng), training=True)


def test_a_cell_twice_is_one_again_after_from_config(rng):
    """Keras makes two of it, but writes the same `shared_object_id` into its files."""
    import keras
    cell = LSTMCell(D, name="same")
    layer = RNN([cell, LSTMCell(D, name="same"), cell])
    config = layer.get_config()
    again = RNN.from_config(config)
    first, second, third = again.cell.cells
    assert first is third and first is not second and again.get_config() == config
    x = sequences(rng, "float32")
    layer(x)
    again.build(x.shape)
    copy_weights(layer, again)
    np.testing.assert_array_equal(again(x), layer(x))
    assert len(keras.layers.RNN.from_config(config).cell.cells) == 3
    both = nblayers.layers.Bidirectional(layer)
    both(x)
    assert len(both.weights) == 12


def test_config_of_ones_own_cells(rng):
    layer = RNN([OwnCell(3), LSTMCell(2)])
    config = layer.get_config()
    again = RNN.from_config(config, custom_objects={"OwnCell": OwnCell})
    assert again.get_config() == config and isinstance(again.cell.cells[0], OwnCell)
    with pytest.raises(ValueError, match="OwnCell"):
        RNN.from_config(config)


def test_dropout_masks_are_those_of_one_sequence(rng):
    stack = [LSTMCell(4, dropout=0.5, seed=1), LSTMCell(6, recurrent_dropout=0.5, seed=2)]
    layer, x = RNN(stack), rng.normal(size=(8, T, 20))
    layer(x, training=True)
    steps = layer.cache.steps
    for k, which in ((0, 0), (1, 1)):
        masks = [step.steps[k].masks[which] for step in steps]
        assert all(mask is masks[0] for mask in masks) and (masks[0] == 0).any()
    layer(x, training=True)
    for k, which in ((0, 0), (1, 1)):
        assert (layer.cache.steps[0].steps[k].masks[which] != steps[0].steps[k].masks[which]).any()
    layer(x)
    assert layer.cache.steps[0].steps[0].masks == (None, None)
    for cell in stack:
        cell._thread.masks = "something"
    layer.cell.reset_dropout_mask()
    assert [cell._thread.masks for cell in stack] == [None, None]


def test_two_stateful_calls_are_one_long_one(rng):
    x = sequences(rng, "float32")
    layer = RNN([SimpleRNNCell(4), LSTMCell(3)], stateful=True, return_sequences=True)
    first, second = layer(x[:, :2]), layer(x[:, 2:])
    layer.reset_state()
    whole = layer(x)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-5, atol=1e-6)
    assert mapped(np.shape, layer.states) == [[(B, 4)], [(B, 3), (B, 3)]]
    with pytest.raises(ValueError, match=r"expected a batch of 3 sequences.*got 2"):
        layer(x[:2])
    layer.reset_state()
    np.testing.assert_array_equal(layer(x), whole)


@pytest.mark.parametrize("mask", [None, HOLES])
def test_cells_of_ones_own_in_a_stack(rng, mask):
    layer = RNN([OwnCell(3), LSTMCell(2), OwnCell(2)], return_sequences=True, return_state=True)
    x = sequences(rng) * 0.5
    nblayers.gradcheck(layer, x, mask=mask)
    nblayers.gradcheck(layer, x, mask=mask, initial_state=random_states(layer, rng))
    assert layer.state_size == [3, [2, 2], 2]
    assert mapped(np.shape, layer(x)[1:]) == layer.compute_output_shape(x.shape)[1:] == [
        [(B, 3)], [(B, 2), (B, 2)], [(B, 2)]]


@pytest.mark.parametrize("mask", [None, HOLES])
def test_sizes_in_a_tuple_are_those_of_several_states(rng, mask):
    layer = RNN([TwoSizesCell(), TwoSizesCell()], return_sequences=True, return_state=True)
    x = sequences(rng)
    assert layer.state_size == [[2, 3], [2, 3]] and layer.cell.output_size == 2
    y, first, second = layer(x)
    assert mapped(np.shape, [y, first, second]) == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(first[1], 2 + x[..., :1].sum(axis=1) * np.ones(3), rtol=1e-5)
    nblayers.gradcheck(layer, x, mask=mask)


@pytest.mark.parametrize("make", [ImageCell, lambda: [ImageCell()]], ids=["alone", "stacked"])
@pytest.mark.parametrize("options", [{}, dict(return_sequences=True, return_state=True, go_backwards=True)], ids=str)
def test_states_of_more_axes(rng, make, options):
    layer, x = RNN(make(), **options), rng.normal(size=(2, 4, 2, 3, 1))
    outputs = layer(x)
    shape = (2, 4, 2, 3) if options else (2, 2, 3)
    assert flat(mapped(np.shape, outputs if options else [outputs]))[:len(shape)] == list(shape)
    if options:
        states = [(2, 2, 3, 1)] if not isinstance(layer.cell, StackedRNNCells) else [[(2, 2, 3, 1)]]
        assert mapped(np.shape, outputs) == layer.compute_output_shape(x.shape) == [shape, *states]
    nblayers.gradcheck(layer, x, initial_state=random_like(layer.get_initial_state(2), rng))
    layer.zero_output_for_mask = True
    nblayers.gradcheck(layer, x, mask=np.array([[1, 0, 1, 1], [0, 1, 1, 0]], bool))
    layer.zero_output_for_mask = False
    with pytest.raises(ValueError, match=r"a masked step outputs the first state.*\(2, 2, 3\), got \(2, 2, 3, 1\)"):
        layer(x, mask=np.ones((2, 4), bool))


def test_ways_to_give_the_initial_state(rng):
    layer = RNN([SimpleRNNCell(4), LSTMCell(3)], dtype="float64")
    layer.astype("float64")
    x, states = sequences(rng), random_states(layer, rng)
    dy = rng.normal(size=(B, 3))
    by_keyword = [layer(x, initial_state=states), layer.backward(dy)]
    for call in (lambda: layer([x, *states]), lambda: layer(x, states), lambda: layer(x, initial_state=tuple(states)),
                 lambda: layer(x, initial_state=mapped(np.asfortranarray, states))):
        assert_same([call(), layer.backward(dy)], by_keyword)
    assert mapped(np.shape, layer.backward(dy)) == [(B, T, D), [(B, 4)], [(B, 3), (B, 3)]]
    layer(x)
    assert isinstance(layer.backward(dy), np.ndarray)


def test_none_stands_for_the_gradients_of_a_list_of_states(rng):
    layer = RNN([SimpleRNNCell(4), LSTMCell(3)], return_state=True)
    y, *states = layer(sequences(rng))
    dy = np.ones_like(y)
    assert_same(layer.backward([dy, None, None]), layer.backward([dy, *mapped(np.zeros_like, states)]))
    assert_same(layer.backward([dy, [None], [None, None]]), layer.backward([dy, None, None]))


def test_encoder_and_decoder(rng):
    """Nested states go from layer to layer of a functional model, values and gradients."""
    x, z = Input((T, D)), Input((4, D))
    _, *states = RNN([SimpleRNNCell(4), LSTMCell(3)], return_state=True)(x)
    assert [[s.shape for s in each] for each in states] == [[(None, 4)], [(None, 3), (None, 3)]]
    decoded = RNN([SimpleRNNCell(4), LSTMCell(3)], return_sequences=True)(z, initial_state=states)
    model = Model([x, z], Dense(2)(decoded))
    nblayers.gradcheck(model, [rng.normal(size=(2, T, D)), rng.normal(size=(2, 4, D))])
    assert model.output_shape == (None, 4, 2)


def test_a_model_trains_and_is_saved(rng, tmp_path):
    model = Sequential([RNN([LSTMCell(4), GRUCell(3)], return_sequences=True, input_shape=(T, D)), Dense(1)])
    model.compile("adam", "mse")
    x, y = sequences(rng, "float32"), rng.normal(size=(B, T, 1))
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "stack.keras")
    assert_same(load_model(tmp_path / "stack.keras").predict(x, verbose=0), model.predict(x, verbose=0))


def test_two_training_steps(rng):
    layer, x, target = RNN([LSTMCell(4), OwnCell(3)]), sequences(rng, "float32"), rng.normal(size=(B, 3)).astype("float32")
    losses = []
    for _ in range(3):
        y = layer(x, training=True)
        losses.append(((y - target) ** 2).sum())
        layer.zero_grad()
        layer.backward(2 * (y - target))
        for p in layer.trainable_weights:
            p.value -= 0.001 * p.grad
    assert losses[2] < losses[1] < losses[0]


def test_batch_of_one_non_contiguous_input_and_dtype(rng):
    layer = RNN([SimpleRNNCell(4), LSTMCell(3)], return_sequences=True)
    x, dy = sequences(rng, "float32"), rng.normal(size=(B, T, 3)).astype("float32")
    y, dx = layer(x), layer.backward(dy)
    assert {a.dtype.name for a in (y, dx, *(p.grad for p in layer.weights))} == {"float32"}
    given = [np.asfortranarray(x)[::-1][::-1], np.asfortranarray(dy)]
    kept = [a.copy() for a in given]
    np.testing.assert_array_equal(layer(given[0]), y)
    np.testing.assert_array_equal(layer.backward(given[1]), dx)
    assert_same(given, kept)
    np.testing.assert_allclose(layer(x[:1, :1]), y[:1, :1], rtol=1e-5)
    assert layer.backward(dy[:1, :1]).shape == (1, 1, D)
    double = RNN([LSTMCell(3)], dtype="float64")
    assert double(x).dtype == double.cell.dtype == "float64"


def test_trainable_and_losses():
    layer = RNN([SimpleRNNCell(4, kernel_regularizer="l2"), LSTMCell(3, bias_regularizer="l1")])
    layer.build((None, T, D))
    assert len(layer.losses) == 2 and len(layer.trainable_weights) == 6
    layer.cell.cells[0].trainable = False
    assert len(layer.losses) == 1 and len(layer.trainable_weights) == 3
    layer.trainable = False
    assert layer.trainable_weights == [] and not layer.cell.cells[1].trainable


def test_records_can_be_handed_back(rng):
    layer = RNN([OwnCell(3), LSTMCell(2)])
    layer(sequences(rng))
    record, dy = layer.cache, np.ones((B, 2))
    expected = layer.backward(dy)
    layer(sequences(rng))
    layer.cache = record
    np.testing.assert_array_equal(layer.backward(dy), expected)


def test_what_is_no_stack_is_refused(rng):
    class Stateless(Layer):
        pass

    for bad, message in [([], "expected at least one cell"), ([Stateless()], "expected cells.*got <Stateless"),
                         ([LSTMCell(2), 3], "expected cells, layers with state_size.*got 3")]:
        with pytest.raises(ValueError, match=f"StackedRNNCells '.*': {message}"):
            StackedRNNCells(bad)
        with pytest.raises(ValueError, match=f"StackedRNNCells '.*': {message}"):
            RNN(bad)
    with pytest.raises(TypeError, match="unknown argument 'cels'"):
        StackedRNNCells([LSTMCell(2)], cels=3)


def test_bad_states_are_named(rng):
    stack = StackedRNNCells([LSTMCell(3), SimpleRNNCell(2)], name="s")
    x, h = np.ones((B, D)), np.ones((B, 3))
    with pytest.raises(RuntimeError, match="StackedRNNCells 's': backward needs a forward first"):
        stack.backward((x, [[h, h], [h]]))
    for states, got in (([[h, h]], "1"), (h, "one array")):
        with pytest.raises(ValueError, match=f"StackedRNNCells 's': expected a list of states for each of 2 cells, got {got}"):
            stack.forward(x, states)
    layer = RNN(stack, name="r")
    states = layer.get_initial_state(B)
    layer(sequences(rng))
    for bad in (states[:1], [*states, states[0]], [states[0][:1], states[1]], [states[0], states[1][0]],
                [[s[:, :1] for s in states[0]], states[1]], states[0]):
        with pytest.raises(ValueError, match=r"RNN 'r': expected initial states of shapes \[\[\(3, 3\), \(3, 3\)\], \[\(3, 2"):
            layer(sequences(rng), initial_state=bad)
    with pytest.raises(ValueError, match="RNN 'r': backward expected dy of shape"):
        layer.backward(np.ones((B, 3)))


def test_a_cell_that_returns_something_else_is_named():
    class Forgetful(Layer):
        state_size = 2

        def forward(self, x, states):
            return self.returned

    cell, h = Forgetful(name="f"), np.ones((2, 2), "float32")
    for layer, who in ((RNN([LSTMCell(2), cell]), "StackedRNNCells"), (RNN(cell), "RNN")):
        for cell.returned in (h, (h, h), (h, [h, h]), [h], (h, [h[:, :1]])):
            with pytest.raises(ValueError, match=rf"{who} '.*': expected Forgetful 'f' to return \(output, list of 1 states of "
                                                 rf"shapes \[\(2, 2\)\]\), got shapes"):
                layer(np.ones((2, 3, 4)))
