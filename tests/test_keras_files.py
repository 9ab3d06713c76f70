"""Files of Keras open here, and ours open in Keras: every layer, and the options that its configuration has."""
import numpy as np
import pytest
from configurations import of_generator, start_afresh
from configurations.drawing import GENERATORS
from helpers import assert_same, flat, keras_vjp, random_like

from nblayers import layers
from nblayers.models import Model, load_model

COUNT = 1
WITHOUT = {"layers.InputLayer", "layers.Lambda", "layers.Linear"}      # in each model; by its bytecode; not Keras'
LAYERS = [name for name in GENERATORS if name.startswith("layers.") and not name.endswith("Cell") and name not in WITHOUT
          and "Cells" not in name]


def symbols(inputs):
    """An Input for each array, in their structure."""
    if isinstance(inputs, list):
        return [symbols(each) for each in inputs]
    dtype = {"U": "string", "i": "int64", "f": "float32", "b": "bool"}[inputs.dtype.kind]
    return layers.Input(batch_shape=inputs.shape, dtype=dtype)


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


def compare(ours, theirs, what):
    """Outputs, and gradients of inputs and weights, to the last digits of float32."""
    outputs, _, inputs, weights = ours
    near = {"rtol": 1e-5, "atol": 1e-5}
    assert_same([np.asarray(y) for y in flat(theirs[0])], outputs, f"output, {what}", **near)
    if inputs is not None and theirs[1] is not None:
        assert_same(theirs[1], inputs, f"input gradient, {what}", **near)
        assert_same(theirs[2], weights, f"weight gradient, {what}", **near)


@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("name", LAYERS)
def test_there_and_back(name, number, tmp_path):
    import keras
    drawn = of_generator(name, number)
    start_afresh(number)
    layer, inputs = drawn.make(), drawn.setup.inputs
    model = in_a_model(layer.astype("float32"), inputs, np.random.default_rng(number))
    given = [np.array(x, "f") if x.dtype.kind == "f" else x for x in flat(inputs)]
    ours = result(model, given)
    model.save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    assert_same(theirs.get_weights(), model.get_weights(), "weight")
    compare(ours, result_in_keras(theirs, given, ours[1]), "in Keras")
    theirs.save(tmp_path / "theirs.keras")
    again = load_model(tmp_path / "theirs.keras")
    assert_same(again.get_weights(), model.get_weights(), "weight that came back")
    back = result(again, given)
    compare(ours, (back[0], back[2], back[3]), "back here")
