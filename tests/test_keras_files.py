"""Files of Keras open here, and ours open in Keras: every layer, and the options that its configuration has."""
import numpy as np
import pytest
from configurations import of_generator, start_afresh
from configurations.drawing import GENERATORS
from helpers import assert_same, flat, keras_vjp, random_like

from nblayers import layers, optimizers
from nblayers.models import Model, Sequential, load_model

NUMBERS = {"layers.GroupQueryAttention": 1, "layers.RandomCrop": 2}     # of configurations that Keras takes too
WITHOUT = {"layers.InputLayer", "layers.Lambda", "layers.Linear", "layers.CRF"}     # in each model; by its bytecode; not Keras'
LAYERS = [name for name in GENERATORS if name.startswith("layers.") and not name.endswith("Cell") and name not in WITHOUT
          and "Cells" not in name]


def symbols(inputs):
    """An Input for each array, in their structure."""
    if isinstance(inputs, list):
        return [symbols(each) for each in inputs]
    dtype = {"U": "string", "i": "int64", "f": "float32", "b": "bool"}[inputs.dtype.kind]
    return layers.Input(batch_shape=inputs.shape, dtype=dtype)


def ordinary(inputs, rng):
    """Inputs without ties, at which a gradient is anybody's choice."""
    if isinstance(inputs, list):
        return [ordinary(each, rng) for each in inputs]
    return rng.normal(size=inputs.shape) if inputs.dtype.kind == "f" else inputs


def in_a_model(layer, inputs, rng):
    """A model of one layer, with weights that are no initializer's."""
    given = symbols(inputs)
    model = Model(flat(given), layer(*given))
    model.set_weights([random_like(w, rng) * 0.3 + 0.5 if w.dtype.kind == "f" else w for w in model.get_weights()])
    return model


def result(model, given):
    """Outputs and gradients of one of our models."""
    outputs = model(given, training=False)
    if any(y.dtype.kind != "f" for y in flat(outputs)):
        return outputs, None, None, None
    dy = random_like(outputs, np.random.default_rng(1))
    model.zero_grad()
    inputs = model.backward(dy)
    return outputs, dy, inputs, [parameter.grad for parameter in model.trainable_weights]


def result_in_keras(model, given, dy):
    if any(x.dtype.kind == "U" for x in given):                 # Keras' functional models refuse strings on JAX
        given = tf_strings(given)
        return model.layers[-1](given if len(given) > 1 else given[0]), None, None
    return keras_vjp(model, given, dy, training=False) if dy is not None else (model(given, training=False), None, None)


def tf_strings(arrays):
    import tensorflow
    return [tensorflow.constant(array) for array in arrays]


def compare(ours, theirs, what, penalised=False):
    """Outputs, and gradients of inputs and weights, to the last digits of float32.

    Of layers that are `penalised` for their outputs Keras has the penalty in the loss, and not in this gradient.
    """
    outputs, _, inputs, weights = ours
    near = {"rtol": 1e-5, "atol": 1e-5}
    assert_same([np.asarray(y) for y in flat(theirs[0])], outputs, f"output, {what}", **near)
    if inputs is not None and theirs[1] is not None and not penalised:
        assert_same(theirs[1], inputs, f"input gradient, {what}", **near)
        assert_same(theirs[2], weights, f"weight gradient, {what}", **near)


@pytest.mark.parametrize("name", LAYERS)
def test_there_and_back(name, tmp_path):
    import keras
    number = NUMBERS.get(name, 0)
    drawn = of_generator(name, number)
    start_afresh(number)
    layer, inputs = drawn.make(), ordinary(drawn.setup.inputs, np.random.default_rng(number))
    model = in_a_model(layer.astype("float32"), inputs, np.random.default_rng(number))
    given = [np.array(x, "f") if x.dtype.kind == "f" else x for x in flat(inputs)]
    ours = result(model, given)
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    assert_same(theirs.get_weights(), model.get_weights(), "weight")
    compare(ours, result_in_keras(theirs, given, ours[1]), "in Keras", "ctivity" in drawn.setup.layer)
    theirs.save(tmp_path / "theirs.keras")
    again = load_model(tmp_path / "theirs.keras")
    assert_same(again.get_weights(), model.get_weights(), "weight that came back")
    back = result(again, given)
    compare(ours, (back[0], back[2], back[3]), "back here")


def data(model, rng):
    return rng.normal(size=(4, *model.input_shape[1:])).astype("f"), rng.normal(size=(4, 2)).astype("f")


@pytest.mark.parametrize("optimizer", [
    {"class_name": "SGD", "config": {"learning_rate": 0.1, "momentum": 0.9}}, {"class_name": "SGD", "config": {}},
    {"class_name": "RMSprop", "config": {"momentum": 0.3, "centered": True}},
    {"class_name": "Adam", "config": {"amsgrad": True, "clipnorm": 1.0}}], ids=lambda o: f"{o['class_name']}{len(o['config'])}")
@pytest.mark.parametrize("of_weights", [False, True])
def test_the_optimizer_goes_on_in_the_other_library(optimizer, of_weights, tmp_path, rng):
    import keras
    model = Sequential([layers.Input((3,)), layers.Dense(4, activation="tanh"), layers.BatchNormalization(), layers.Dense(2)])
    model.compile(optimizers.get(optimizer), "mse", metrics=["mae"])
    x, y = data(model, rng)
    model.fit(x, y, epochs=2, verbose=0, shuffle=False)
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    if of_weights:
        model.save_weights(tmp_path / "ours.weights.h5")
        theirs.load_weights(tmp_path / "ours.weights.h5")
    assert int(theirs.optimizer.iterations) == 2
    assert_same([np.asarray(v) for v in theirs.optimizer.variables], model.optimizer.variables, "optimizer", rtol=1e-6)
    theirs.fit(x, y, verbose=0, shuffle=False)
    model.fit(x, y, verbose=0, shuffle=False)
    assert_same(theirs.get_weights(), model.get_weights(), "trained in Keras", rtol=1e-4, atol=1e-5)
    theirs.save(tmp_path / "theirs.keras")
    again = load_model(tmp_path / "theirs.keras")
    if of_weights:
        theirs.save_weights(tmp_path / "theirs.weights.h5")
        again.load_weights(tmp_path / "theirs.weights.h5")
    assert_same(again.optimizer.variables, [np.asarray(v) for v in theirs.optimizer.variables], "optimizer, back", rtol=1e-7)
    theirs.fit(x, y, verbose=0, shuffle=False)
    again.fit(x, y, verbose=0, shuffle=False)
    assert_same(again.get_weights(), theirs.get_weights(), "trained here", rtol=1e-4, atol=1e-5)


def test_vocabularies_and_statistics(tmp_path):
    words, ids = np.array([["red", "blue"], ["blue", "green"]]), np.array([[7, 3], [3, 9]])
    made = [(layers.StringLookup(), words), (layers.IntegerLookup(output_mode="tf_idf"), ids),
            (layers.TextVectorization(output_mode="tf_idf"), words[:, :1]), (layers.TextVectorization(), words[:, :1]),
            (layers.Normalization(), ids.astype("f"))]
    import keras
    for number, (layer, x) in enumerate(made):
        layer.adapt(x)
        model = Model(given := symbols(x), layer(given))
        model.save(tmp_path / f"{number}.keras")
        theirs = keras.models.load_model(tmp_path / f"{number}.keras")
        expected = model(x)
        assert_same(np.asarray(theirs.layers[-1](*(tf_strings([x]) if x.dtype.kind == "U" else [x]))), expected, rtol=1e-6)
        theirs.save(tmp_path / f"{number}k.keras")
        assert_same(load_model(tmp_path / f"{number}k.keras")(x), expected)
        assert_same(load_model(tmp_path / f"{number}.keras")(x), expected)


def test_dropout_of_a_functional_model_of_keras_drops(tmp_path):
    import keras
    x = keras.Input((50,))
    keras.Model(x, keras.layers.RandomFlip()(keras.layers.Reshape((5, 5, 2))(keras.layers.Dropout(0.5)(x)))).save(
        tmp_path / "theirs.keras")
    model, ones = load_model(tmp_path / "theirs.keras"), np.ones((2, 50), "f")
    assert (model(ones, training=True) == 0).any() and (model(ones) == 1).all()


def test_a_model_of_ones_own_lies_where_keras_looks_for_it(tmp_path):
    import keras

    def build(base, room):
        class Own(base):
            def __init__(self):
                super().__init__()
                self.zebra, self._hidden = room.Dense(2), room.Dense(3)
                self.blocks = [[room.Dense(3), room.Dense(3)], {"a": room.Dense(3)}]
                self.alpha = room.Dense(3)

            def call(self, x):
                x = self._hidden(self.alpha(x))
                for block in (*self.blocks[0], self.blocks[1]["a"]):
                    x = block(x)
                return self.zebra(x)
        return Own()

    ours, theirs, x = build(Model, layers), build(keras.Model, keras.layers), np.ones((2, 4), "f")
    ours(x), theirs(x)
    ours.save_weights(tmp_path / "own.weights.h5")
    theirs.load_weights(tmp_path / "own.weights.h5")
    assert_same(np.asarray(theirs(x)), ours(x), rtol=1e-5)
    theirs.save_weights(tmp_path / "own.weights.h5")
    ours.load_weights(tmp_path / "own.weights.h5")


def nested_in_keras(keras):
    wide, narrow = keras.layers.Input((5,)), keras.layers.Input((4,))
    inner = keras.Model(narrow, keras.layers.Dense(3)(narrow))
    return keras.Model(wide, inner(keras.layers.Dense(4)(wide)))


def masked_in_keras(keras):
    """Keras writes each step of the masks as an operation of the graph."""
    first, second = keras.layers.Input((4,), dtype="int32"), keras.layers.Input((3,), dtype="int32")
    words = keras.layers.Embedding(5, 2, mask_zero=True)
    a, b = words(first), keras.layers.Masking(0.25)(words(second))
    attended = keras.layers.Attention()([a, b])
    return keras.Model([first, second], keras.layers.LSTM(2)(keras.layers.Concatenate(axis=1)([attended, b])))


@pytest.mark.parametrize("make", [nested_in_keras, masked_in_keras])
def test_functional_models_of_keras(make, tmp_path, rng):
    import keras
    theirs = make(keras)
    theirs.save(tmp_path / "theirs.keras")
    model = load_model(tmp_path / "theirs.keras")
    given = [rng.integers(0, 3, (2, *x.shape[1:])).astype(x.dtype) for x in theirs.inputs]
    ours = result(model, given if len(given) > 1 else given[0])
    compare(ours, keras_vjp(theirs, given, ours[1], training=False), "of Keras' file")
    model.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras")
    assert_same(again.get_weights(), theirs.get_weights(), "weight", rtol=0)
    assert_same(np.asarray(again(given)), ours[0], "output in Keras", rtol=1e-5, atol=1e-6)
