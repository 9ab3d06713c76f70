"""TimeDistributed: against Keras, the layer called step by step, and finite differences."""
import inspect

import numpy as np
import pytest
from helpers import agrees_with_keras, assert_same, copy_weights, exact_tanh, random_like

import kernels
import nblayers
from nblayers import layers
from nblayers.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Identity,
    Layer,
    LSTMCell,
    MaxPooling2D,
    SimpleRNN,
    TimeDistributed,
)
from nblayers.models import Input, Model, Sequential, load_model

B, T = 2, 3


class Statistics(Layer):
    """A user's layer with statistics, as BatchNormalization has: it takes off the batch's mean, later the one remembered."""

    def build(self, input_shape):
        self.mean = self.add_weight((input_shape[-1],), "zeros", trainable=False, name="mean")
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")

    def forward(self, x, training=False):
        mean = x.mean(axis=0) if training else self.mean.value
        if training:
            self.mean.value += 0.5 * (mean - self.mean.value)
        self.cache = x - mean, training
        return (x - mean) * self.scale.value

    def backward(self, dy):
        centred, training = self.cache
        self.scale.grad += (dy * centred).sum(axis=0)
        dx = dy * self.scale.value
        return dx - dx.mean(axis=0) if training else dx


class Taking(Layer):
    """A user's layer that takes a mask and training, returns views, and keeps a tuple."""

    def forward(self, x, training=False, mask=None):
        self.cache = x.shape, mask, training
        return x[..., ::2]

    def backward(self, dy):
        dx = np.zeros(self.cache[0])
        dx[..., ::2] = dy
        return dx


def small_model(module):
    return module.Sequential([module.layers.Conv1D(3, 2, dtype="float64"), module.layers.Flatten(dtype="float64"),
                              module.layers.Dense(2, activation="softsign", dtype="float64")])


WRAPPED = {
    "Dense": (lambda m: m.layers.Dense(4, activation="softsign", dtype="float64"), (5,)),
    "Dense on more axes": (lambda m: m.layers.Dense(4, dtype="float64"), (2, 5)),
    "Conv2D": (lambda m: m.layers.Conv2D(2, 2, strides=2, padding="same", activation="sigmoid", dtype="float64"), (3, 4, 2)),
    "MaxPooling2D": (lambda m: m.layers.MaxPooling2D(dtype="float64"), (4, 4, 2)),
    "Flatten": (lambda m: m.layers.Flatten(dtype="float64"), (3, 2)),
    "LSTM": (lambda m: m.layers.LSTM(3, dtype="float64"), (4, 2)),
    "GRU, sequences": (lambda m: m.layers.GRU(3, return_sequences=True, go_backwards=True, dtype="float64"), (4, 2)),
    "Bidirectional": (lambda m: m.layers.Bidirectional(m.layers.SimpleRNN(3, dtype="float64"), dtype="float64"), (4, 2)),
    "TimeDistributed": (lambda m: m.layers.TimeDistributed(m.layers.Dense(3, dtype="float64"), dtype="float64"), (4, 2)),
    "a model": (small_model, (4, 2)),
}


@pytest.mark.parametrize("kind", ["Dense", "Conv2D", "LSTM", "a model"])
def test_values_and_gradients_are_keras(rng, x64, kind):
    import keras
    make, shape = WRAPPED[kind]
    theirs = exact_tanh(keras.layers.TimeDistributed(make(keras), dtype="float64"))
    ours = TimeDistributed(make(nblayers_as_keras), dtype="float64")
    ours.astype("float64")
    agrees_with_keras(ours, theirs, rng.normal(size=(B, T, *shape)))


class nblayers_as_keras:
    layers, Sequential = layers, Sequential


@pytest.mark.parametrize("kind", ["GRU, sequences", "Bidirectional"])
def test_a_mask_of_more_axes_goes_to_the_layer_as_in_keras(rng, x64, kind):
    import keras
    make, shape = WRAPPED[kind]
    ours = TimeDistributed(make(nblayers_as_keras), dtype="float64")
    theirs = exact_tanh(keras.layers.TimeDistributed(make(keras), dtype="float64"))
    mask = rng.random((B, T, shape[0])) > 0.4
    agrees_with_keras(ours, theirs, rng.normal(size=(B, T, *shape)), mask=mask)


def test_embedding_is_keras(rng):
    import keras
    ids = rng.integers(0, 5, (B, T, 4))
    agrees_with_keras(TimeDistributed(Embedding(5, 3)), keras.layers.TimeDistributed(keras.layers.Embedding(5, 3)), ids)
    large = np.array([[[2**24 + 1]]])
    with pytest.raises(ValueError, match="got 16777217"):
        TimeDistributed(Embedding(5, 3))(large)
    assert TimeDistributed(Identity())(ids).dtype == ids.dtype


@pytest.mark.parametrize("kind", WRAPPED)
def test_gradients_are_finite_differences(rng, kind):
    make, shape = WRAPPED[kind]
    nblayers.gradcheck(TimeDistributed(make(nblayers_as_keras)), rng.normal(size=(B, T, *shape)))


@pytest.mark.parametrize(("layer", "shape"), [
    (Dropout(0.4, seed=1), (5,)), (LSTM(2, dropout=0.3, recurrent_dropout=0.2, seed=2), (4, 2)), (Taking(), (5,)),
    (Dense(3, activity_regularizer="l2", kernel_regularizer="l1"), (5,)), (RNN([LSTMCell(2), LSTMCell(3)]), (4, 2)),
    (Statistics(), (5,)), (Sequential([Dense(3, activity_regularizer="l2"), Statistics()]), (5,)),
], ids=lambda value: getattr(value, "name", str(value)))
def test_gradients_in_training(rng, layer, shape):
    nblayers.gradcheck(TimeDistributed(layer, activity_regularizer="l1"), rng.normal(size=(B, T, *shape)), training=True)
    nblayers.gradcheck(TimeDistributed(layer), rng.normal(size=(B, 1, *shape)), training=True)


@pytest.mark.parametrize("kind", WRAPPED)
def test_every_step_on_its_own(rng, kind):
    make, shape = WRAPPED[kind]
    layer = TimeDistributed(make(nblayers_as_keras))
    layer.astype("float64")
    x = rng.normal(size=(B, T, *shape))
    y = layer(x)
    dy = rng.normal(size=y.shape)
    dx = layer.backward(dy)
    once = [p.grad.copy() for p in layer.weights]
    layer.zero_grad()
    for t in range(T):
        np.testing.assert_allclose(layer.layer(x[:, t]), y[:, t], rtol=1e-12)
        np.testing.assert_allclose(layer.layer.backward(dy[:, t]), dx[:, t], rtol=1e-11, atol=1e-13)
    assert_same([p.grad for p in layer.weights], once, rtol=1e-10, atol=1e-12)


def test_the_layer_is_called_once(rng, monkeypatch):
    layer, calls = TimeDistributed(Dense(2)), []
    forward = layer.layer.forward
    monkeypatch.setattr(layer.layer, "forward", lambda x, **options: calls.append(x) or forward(x, **options))
    x = rng.normal(size=(B, T, 4)).astype("float32")
    layer(x)
    assert [c.shape for c in calls] == [(B * T, 4)] and np.shares_memory(calls[0], x)


def test_statistics_are_those_of_each_step(rng):
    """As Keras, which calls the layer step by step: its weights that are not trained change T times."""
    inner, layer, x = Statistics(), TimeDistributed(Statistics()), rng.normal(size=(B, T, 4))
    expected = np.stack([inner(x[:, t], training=True) for t in range(T)], axis=1)
    np.testing.assert_array_equal(layer(x, training=True), expected)
    np.testing.assert_array_equal(layer.layer.mean.value, inner.mean.value)
    whole = layer(x)
    assert len(layer.cache.calls) == 1
    np.testing.assert_array_equal(layer(x.repeat(2, axis=0), training=False)[::2], whole)


def test_statistics_are_keras(rng):
    import keras

    class KerasStatistics(keras.layers.Layer):
        def build(self, input_shape):
            self.mean = self.add_weight(shape=(4,), initializer="zeros", trainable=False)

        def call(self, x, training=False):
            self.mean.assign(self.mean + 0.5 * (x.mean(axis=0) - self.mean))
            return x - x.mean(axis=0)

    ours, theirs = TimeDistributed(Statistics()), keras.layers.TimeDistributed(KerasStatistics())
    x = rng.normal(size=(B, T, 4)).astype("float32")
    assert_same(ours(x, training=True), theirs(x, training=True), rtol=1e-5, atol=1e-6)
    assert_same(ours.get_weights()[1:], theirs.get_weights(), rtol=1e-5, atol=1e-6)


def test_a_stateful_layer_goes_on_from_step_to_step(rng):
    layer, x = TimeDistributed(SimpleRNN(3, stateful=True)), rng.normal(size=(B, T, 4, 2)).astype("float32")
    y, plain = layer(x), SimpleRNN(3, return_sequences=True)
    plain.build((B, T * 4, 2))
    copy_weights(layer, plain)
    np.testing.assert_allclose(y, plain(x.reshape(B, T * 4, 2))[:, 3::4], rtol=1e-5, atol=1e-6)
    assert layer.layer.states[0].shape == (B, 3)
    assert layer.backward(y).shape == x.shape


def test_masks(rng):
    layer, x = TimeDistributed(Taking()), rng.normal(size=(B, T, 4))
    mask = rng.random((B, T)) > 0.5
    layer(x, mask=mask, training=True)
    shape, given, training = layer.layer.cache
    assert shape == (B * T, 4) and training is True
    np.testing.assert_array_equal(given, mask.reshape(-1))
    layer(x, mask=np.stack([mask] * 4, axis=2))
    assert layer.layer.cache[1].shape == (B * T, 4)
    dense = TimeDistributed(Dense(2))
    np.testing.assert_array_equal(dense(x, mask=mask), dense(x))


MASKING_STEPS = {
    "LSTM": lambda m: m.layers.LSTM(3), "GRU": lambda m: m.layers.GRU(3, return_sequences=True),
    "RNN": lambda m: m.layers.RNN(m.layers.LSTMCell(3)), "Bidirectional": lambda m: m.layers.Bidirectional(m.layers.LSTM(3)),
    "GlobalAveragePooling1D": lambda m: m.layers.GlobalAveragePooling1D(), "Conv1D": lambda m: m.layers.Conv1D(3, 2),
    "a model": lambda m: m.Sequential([m.layers.Dense(3), m.layers.SimpleRNN(2)]),
    "TimeDistributed": lambda m: m.layers.TimeDistributed(m.layers.Dense(3)),
}


@pytest.mark.parametrize("kind", MASKING_STEPS)
def test_a_mask_of_the_outer_steps_passes_by(rng, kind):
    """It says nothing about the steps inside a sample. Keras hands it to the layer, which then fails."""
    import keras
    ours, theirs = (m.TimeDistributed(MASKING_STEPS[kind](outer))
                    for m, outer in ((layers, nblayers_as_keras), (keras.layers, keras)))
    x, mask = rng.normal(size=(B, T, 4, 5)).astype("float32"), np.array([[1, 0, 1], [0, 0, 0]], bool)
    agrees_with_keras(ours, theirs, x)
    y, dx = ours(x), ours.backward(ours(x))
    assert_same([ours(x, mask=mask), ours.backward(y)], [y, dx])
    assert ours.compute_mask(x, mask) is mask


def test_a_mask_of_the_outer_steps_goes_on_in_a_model(rng):
    class Pages(Layer):
        """(B, T, 4) -> (B, T, 2, 2), its mask (B, T)."""
        supports_masking = True

        def forward(self, x):
            self.cache = x.shape
            return x.reshape(*x.shape[:2], 2, 2)

        def backward(self, dy):
            return dy.reshape(self.cache)

    inputs = Input((T, 4))
    inner, last = TimeDistributed(LSTM(3)), LSTM(2)
    model = Model(inputs, last(inner(Pages()(layers.Masking()(inputs)))))
    x = rng.normal(size=(B, T, 4)).astype("float32")
    x[0, 1] = x[1, 1:] = 0
    expected = last(inner(x.reshape(B, T, 2, 2)), mask=(x != 0).any(axis=-1))
    np.testing.assert_array_equal(model(x), expected)


def test_masks_that_go_on(rng):
    import keras
    ours, theirs = TimeDistributed(Dense(2)), keras.layers.TimeDistributed(keras.layers.Dense(2))
    mask = rng.random((B, T)) > 0.5
    assert ours.supports_masking and ours.compute_mask(None, None) is None
    assert_same(ours.compute_mask(None, mask), theirs.compute_mask(None, mask))
    words = rng.random((B, T, 4)) > 0.7
    assert_same(ours.compute_mask(None, words), theirs.compute_mask(None, words))
    assert_same(TimeDistributed(LSTM(2, return_sequences=True)).compute_mask(None, words), words)
    for reducing in (LSTM(2), Conv1D(2, 2)):                        # Keras leaves the mask as it is; its RNN takes any() of it
        assert_same(TimeDistributed(reducing).compute_mask(rng.normal(size=(B, T, 4, 2)), words), words.any(axis=2))


def test_texts_of_sentences_of_words_are_keras(rng):
    """Masks on two levels: words within sentences, sentences within texts."""
    import keras
    ids = np.array([[[1, 2, 0], [3, 0, 0], [0, 0, 0]], [[4, 4, 1], [2, 0, 0], [1, 1, 0]]])
    ours, theirs = (m.Sequential([m.layers.Embedding(5, 4, mask_zero=True), m.layers.TimeDistributed(m.layers.SimpleRNN(3)),
                                  m.layers.SimpleRNN(2)]) for m in (nblayers_as_keras, keras))
    for model in (ours, theirs):
        model.build((None, 3, 3))
    copy_weights(ours, theirs)
    assert_same(ours(ids), theirs(ids), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("inner", [lambda: Dense(3, activation="sigmoid"), lambda: LSTM(3)], ids=["Dense", "LSTM"])
def test_three_rooms_agree(rng, inner):
    layer, results, dy = TimeDistributed(inner(), dtype="float64"), {}, None
    layer.astype("float64")
    x = rng.normal(size=(B, T, 2, 2))
    for room in kernels.ROOMS:
        layer.to(room)
        assert layer.layer.device == room
        y = layer(x)
        dy = random_like(y, rng) if dy is None else dy
        layer.zero_grad()
        results[room] = [y, layer.backward(dy), [p.grad.copy() for p in layer.weights]]
        assert_same(results[room], results["reference"], room, rtol=1e-10, atol=1e-12)


def test_arguments_are_keras():
    import keras
    ours, theirs = (list(inspect.signature(f).parameters)
                    for f in (TimeDistributed.forward, keras.layers.TimeDistributed.call))
    assert ours == theirs
    assert list(inspect.signature(TimeDistributed.__init__).parameters) == ["self", "layer", "kwargs"]


def test_weights_shapes_and_configuration_are_keras(rng):
    import keras
    ours = TimeDistributed(Conv2D(2, 2, name="c"), name="t")
    theirs = keras.layers.TimeDistributed(keras.layers.Conv2D(2, 2, name="c"), name="t")
    assert ours.get_config().keys() == theirs.get_config().keys()
    assert TimeDistributed.from_config(theirs.get_config()).get_config() == ours.get_config()
    assert keras.layers.TimeDistributed.from_config(ours.get_config()).get_config() == theirs.get_config()
    for each in (ours, theirs):
        each.build((None, T, 4, 4, 3))
        assert each.compute_output_shape((None, T, 4, 4, 3)) == (None, T, 3, 3, 2)
        assert each.compute_output_shape((5, None, None, 4, 3)) == (5, None, None, 3, 2)
    assert [p.path for p in ours.weights] == [v.path for v in theirs.weights] == ["t/c/kernel", "t/c/bias"]
    assert ours.sublayers == [ours.layer] and ours.count_params() == theirs.count_params()
    own = TimeDistributed(Taking())
    assert TimeDistributed.from_config(own.get_config(), {"Taking": Taking}).get_config() == own.get_config()
    with pytest.raises(ValueError, match="Taking"):
        TimeDistributed.from_config(own.get_config())
    built = Dense(3)
    built(rng.normal(size=(B, 4)))
    kept = built.kernel.value.copy()
    wrapper = TimeDistributed(built)
    wrapper(rng.normal(size=(B, T, 4)))
    np.testing.assert_array_equal(built.kernel.value, kept)
    assert wrapper.layer is built and built.kernel.path == "dense/kernel"


def test_in_models(rng, tmp_path):
    """Document 003's many-to-many model; a film; a layer that is called twice."""
    model = Sequential([TimeDistributed(Dense(16, activation="relu"), input_shape=(10, 8)), LSTM(4, return_sequences=True),
                        TimeDistributed(Dense(1))])
    assert model.output_shape == (None, 10, 1) and model.layers[0].count_params() == 144
    model.compile("adam", "mse")
    x, y = rng.normal(size=(4, 10, 8)).astype("float32"), rng.normal(size=(4, 10, 1))
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "t.keras")
    assert_same(load_model(tmp_path / "t.keras").predict(x, verbose=0), model.predict(x, verbose=0))

    pictures = Sequential([Conv2D(2, 2, activation="relu"), MaxPooling2D(2), Flatten()])
    film = Sequential([Input((T, 5, 5, 1)), TimeDistributed(pictures), GRU(3)])
    nblayers.gradcheck(film, rng.normal(size=(B, T, 5, 5, 1)))
    assert film.output_shape == (None, 3) and len(film.weights) == 5

    inputs, shared = Input((None, 4)), TimeDistributed(Dense(4, activation="sigmoid"))
    nblayers.gradcheck(Model(inputs, shared(shared(inputs))), rng.normal(size=(B, T, 4)))
    both = Bidirectional(LSTM(2, return_sequences=True))
    nblayers.gradcheck(Model(inputs, TimeDistributed(Dense(2))(both(inputs))), rng.normal(size=(B, T, 4)))


def test_the_first_layer_of_a_model_gives_no_input_gradient(rng):
    layer = TimeDistributed(Dense(3))
    y = layer(rng.normal(size=(B, T, 4)))
    layer.input_gradient = False
    assert layer.backward(y) is None and layer.layer.input_gradient
    assert (layer.layer.kernel.grad != 0).any()


def test_two_training_steps(rng):
    layer, x = TimeDistributed(Dense(2, activation="tanh")), rng.normal(size=(B, T, 4)).astype("float32")
    target, losses = rng.normal(size=(B, T, 2)).astype("float32"), []
    for _ in range(3):
        y = layer(x, training=True)
        losses.append(((y - target) ** 2).sum())
        layer.zero_grad()
        layer.backward(2 * (y - target))
        for p in layer.trainable_weights:
            p.value -= 0.01 * p.grad
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize("inner", [lambda: Dense(3), lambda: Statistics(), lambda: LSTM(3, return_sequences=True)],
                         ids=["Dense", "Statistics", "LSTM"])
def test_batch_of_one_non_contiguous_input_and_dtype(rng, inner):
    layer, x = TimeDistributed(inner()), rng.normal(size=(B, T, 4, 3)).astype("float32")
    if isinstance(layer.layer, Statistics):
        x = x[..., 0]
    y = layer(x, training=True)
    layer.set_weights([w * 0 + 1 for w in layer.get_weights()])
    y = layer(x)
    dy = random_like(y, rng)
    dx = layer.backward(dy)
    assert {a.dtype.name for a in (y, dx, *(p.grad for p in layer.weights))} == {"float32"}
    given = [np.asfortranarray(x)[::-1][::-1], np.asfortranarray(dy)]
    kept = [a.copy() for a in given]
    assert_same([layer(given[0]), layer.backward(given[1])], [y, dx])
    assert_same(given, kept)
    np.testing.assert_allclose(layer(x[:1, :1]), y[:1, :1], rtol=1e-5)
    assert layer.backward(dy[:1, :1]).shape == x[:1, :1].shape
    layer.astype("float64")
    assert layer(x).dtype == layer.backward(dy).dtype == "float64"


def test_records_can_be_handed_back(rng):
    layer = TimeDistributed(Taking())
    layer(rng.normal(size=(B, T, 4)))
    record, dy = layer.cache, np.ones((B, T, 2))
    expected = layer.backward(dy)
    layer(rng.normal(size=(B, T, 6)))
    layer.cache = record
    assert_same(layer.backward(dy), expected)


def test_trainable_and_losses(rng):
    layer = TimeDistributed(Dense(3, kernel_regularizer="l2"), activity_regularizer="l1")
    layer(rng.normal(size=(B, T, 4)))
    assert len(layer.losses) == 2 and len(layer.trainable_weights) == 2
    layer.trainable = False
    assert layer.trainable_weights == [] and not layer.layer.trainable
    by_step = TimeDistributed(Sequential([Statistics(), Dense(3, activity_regularizer="l2")]))
    x = rng.normal(size=(B, T, 4))
    by_step(x, training=True)
    assert len(by_step.losses) == T and by_step.layer.losses == []
    by_step(x)
    assert len(by_step.losses) == 1


def test_bad_input_is_named(rng):
    with pytest.raises(ValueError, match=r"TimeDistributed '.*': expected a layer, got 3"):
        TimeDistributed(3)
    layer = TimeDistributed(Dense(3, name="d"), name="t")
    x = rng.normal(size=(B, T, 4))
    with pytest.raises(RuntimeError, match="TimeDistributed 't': backward needs a forward first"):
        layer.backward(x)
    states = TimeDistributed(LSTM(3, return_state=True), name="t")
    for call, message in [
        (lambda: layer(x[0]), "expected an input of at least 3 axes, got 2"),
        (lambda: layer.build((None, 4)), r"expected an input of at least 3 axes, got shape \(None, 4\)"),
        (lambda: layer.compute_output_shape((None, 4)), "expected an input of at least 3 axes"),
        (lambda: layer(x[:, :0]), r"expected at least one time step on axis 1, got an input of shape \(2, 0, 4\)"),
        (lambda: layer(x[:0]), "expected at least one sample"),
        (lambda: layer([x, x]), "expected one input, got a list of 2"),
        (lambda: layer(x, mask=np.ones((B, 2), bool)), r"expected a mask of shape \(2, 3\), or of more axes.*got \(2, 2\)"),
        (lambda: layer(x, mask=np.ones(B, bool)), r"expected a mask of shape \(2, 3\), or of more axes.*got \(2,\)"),
        (lambda: states(x[..., None]), "expected LSTM 'lstm' to return one array, with an output for each of 6 samples, got"),
        (lambda: states.compute_output_shape((B, T, 4, 1)), "expected LSTM 'lstm' to return one array, got 3"),
        (lambda: (layer(x), layer.backward(x)), r"backward expected dy of shape \(2, 3, 3\)"),
    ]:
        with pytest.raises(ValueError, match=f"TimeDistributed 't': {message}"):
            call()
    with pytest.raises(ValueError, match="Dense 'd': expected size 4 on axis -1 of the input, got 5"):
        layer(rng.normal(size=(B, T, 5)))
    with pytest.raises(ValueError, match=r"LSTM 'lstm': expected a mask of shape \(6, 4\), got \(6, 2\)"):
        states(rng.normal(size=(B, T, 4, 1)), mask=np.ones((B, T, 2), bool))
