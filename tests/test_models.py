"""Sequential and Model: construction, the training loop beside Keras', options, errors, interrupts."""
import io
import re
import signal
import sys
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import assert_same, copy_weights

import nblayers
from nblayers import callbacks, gradcheck, losses, metrics, optimizers, regularizers
from nblayers.layers import LSTM, Dense, Dropout, Embedding, Flatten, Input, Layer, SimpleRNN
from nblayers.models import Model, Sequential
from nblayers.models.interrupts import Interrupts

OURS = SimpleNamespace(layers=nblayers.layers, Model=Model, Sequential=Sequential, Input=Input, optimizers=optimizers,
                       losses=losses, metrics=metrics)


def theirs_of(case):
    import keras
    return case(keras)


def data(n=70, shape=(4,), seed=0):
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype("f")


def small(units=3, **compiled):
    model = Sequential([Input((4,)), Dense(units)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return model


class Add(Layer):
    """Stands in for Keras' layer of that name until there is one here."""

    def forward(self, inputs):
        self.cache = len(inputs)
        return sum(inputs)

    def backward(self, dy):
        return [dy] * self.cache

    def compute_output_shape(self, input_shape):
        return input_shape[0]


# each case: (model, compile arguments, fit arguments); the same code makes it here and there

def regression(k):
    model = k.Sequential([k.layers.Dense(8, activation="tanh", kernel_regularizer="l2", input_shape=(4,)),
                          k.layers.Dense(1, kernel_regularizer="l1")])
    return model, dict(optimizer=k.optimizers.SGD(0.1, momentum=0.9), loss="mse", metrics=["mae", "mse"]), dict(
        x=data(), y=data(shape=(), seed=1), validation_split=0.3)


def lstm_binary(k):
    model = k.Sequential([k.Input((6, 2)), k.layers.LSTM(5), k.layers.Dense(1, activation="sigmoid")])
    rng = np.random.default_rng(1)
    return model, dict(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"]), dict(
        x=data(shape=(6, 2)), y=rng.integers(0, 2, (70, 1)), validation_data=(data(9, (6, 2), 2), rng.integers(0, 2, (9, 1))))


def class_weights(k):
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3, activation="softmax")])
    return model, dict(optimizer=k.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy",
                       weighted_metrics=["accuracy"]), dict(
        x=data(), y=np.random.default_rng(1).integers(0, 3, 70), class_weight={0: 3.0, 2: 0.5})


def sample_weights(k):
    model = k.Sequential([k.Input((4,)), k.layers.Dense(3, activation="softmax", activity_regularizer="l2")])
    y = np.eye(3, dtype="f")[np.random.default_rng(1).integers(0, 3, 70)]
    weights = np.random.default_rng(2).uniform(0, 2, 70).astype("f")
    return model, dict(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["acc"], weighted_metrics=["mse"],
                       loss_weights=0.5), dict(x=data(), y=y, sample_weight=weights, validation_split=0.2, batch_size=16)


def masked_tokens(k):
    """A mask that reaches the loss: padded steps count neither there nor in the metrics.

    (In `fit` on JAX, Keras loses the mask before the metrics; in its evaluate and on other backends it does not.)
    """
    model = k.Sequential([k.layers.Embedding(7, 4, mask_zero=True), k.layers.LSTM(5, return_sequences=True),
                          k.layers.Dense(3, activation="softmax")])
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 6, 40)
    x = rng.integers(1, 7, (40, 5)) * (np.arange(5) < lengths[:, None])
    return model, dict(optimizer=k.optimizers.SGD(0.5), loss="sparse_categorical_crossentropy", metrics=["accuracy"],
                       weighted_metrics=["sparse_categorical_crossentropy"]), dict(
        x=x, y=rng.integers(0, 3, (40, 5)), sample_weight=rng.uniform(0, 2, (40, 5)).astype("f"), validation_split=0.25)


def two_inputs(k):
    """Two inputs, a shared layer, two outputs with losses of their own."""
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = k.layers.Dense(5, activation="tanh", kernel_regularizer="l2")
    total = Add() if k is OURS else k.layers.Add()
    h = total([shared(a), shared(b)])
    model = k.Model([a, b], [k.layers.Dense(2, name="p")(h), k.layers.Dense(3, name="q", activation="softmax")(h)])
    return model, dict(optimizer=k.optimizers.SGD(0.1), loss={"p": "mse", "q": "sparse_categorical_crossentropy"},
                       loss_weights={"p": 0.3, "q": 2.0}, metrics={"p": ["mae"], "q": ["accuracy"]}), dict(
        x=[data(), data(seed=3)], y=[data(shape=(2,), seed=1), np.random.default_rng(1).integers(0, 3, 70)],
        validation_split=0.2)


def encoder_decoder(k):
    """Document 004's sequence to sequence model: states handed over, teacher forcing."""
    x, z = k.Input((5,)), k.Input((4,))
    _, h, c = k.layers.LSTM(6, return_state=True)(k.layers.Embedding(8, 3)(x))
    y, _, _ = k.layers.LSTM(6, return_sequences=True, return_state=True)(k.layers.Embedding(9, 3)(z), initial_state=[h, c])
    model = k.Model([x, z], k.layers.Dense(9, activation="softmax")(y))
    rng = np.random.default_rng(1)
    return model, dict(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"]), dict(
        x=[rng.integers(0, 8, (40, 5)), rng.integers(0, 9, (40, 4))], y=np.eye(9)[rng.integers(0, 9, (40, 4))], batch_size=20)


CASES = [regression, lstm_binary, class_weights, sample_weights, masked_tokens, two_inputs, encoder_decoder]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_training_is_keras_training(case):
    ours, compiled, fitted = case(OURS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                 # Keras on input_shape
        theirs, compiled_there, fitted_there = theirs_of(case)
    x, y = fitted["x"], fitted["y"]
    first = [a[:2] for a in x] if isinstance(x, list) else x[:2]
    ours(first), theirs(first)
    copy_weights(theirs, ours)
    ours.compile(**compiled)
    theirs.compile(**compiled_there)
    settings = dict(epochs=3, shuffle=False, verbose=0)
    here, there = ours.fit(**fitted, **settings), theirs.fit(**fitted_there, **settings)
    assert list(here.history) == list(there.history)
    assert here.epoch == there.epoch and here.params == there.params
    for name, values in there.history.items():
        if case is masked_tokens and name != "loss" and not name.startswith("val_"):
            continue
        np.testing.assert_allclose(here.history[name], values, rtol=5e-4, atol=1e-5, err_msg=name)
    assert_same(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-3, atol=1e-4)
    weighted = {name: fitted[name] for name in ("sample_weight",) if name in fitted}
    np.testing.assert_allclose(ours.evaluate(x, y, verbose=0, **weighted), theirs.evaluate(x, y, verbose=0, **weighted),
                               rtol=5e-4, atol=1e-5)


@pytest.mark.parametrize("make", [
    lambda: Sequential([Dense(3, input_shape=(4,)), Dense(2)]),
    lambda: Sequential([Dense(3, input_dim=4), Dense(2)]),
    lambda: Sequential([Input((4,)), Dense(3), Dense(2)]),
    lambda: Sequential([Sequential([Dense(3, input_shape=(4,))]), Dense(2)]),
    lambda: _added(Input(shape=(4,)), Dense(3), Dense(2))])
def test_weights_are_made_once_the_input_is_known(make):
    model = make()
    assert model.built and model.input_shape == (None, 4) and model.output_shape == (None, 2)
    assert [p.shape for p in model.weights] == [(4, 3), (3,), (3, 2), (2,)] and model.count_params() == 23
    assert model.inputs[0].shape == (None, 4) and model.outputs[0].shape == (None, 2)
    assert "input" not in "".join(layer.name for layer in model.layers)


def _added(*layers):
    model = Sequential()
    for layer in layers:
        model.add(layer)
    return model


def test_weights_are_made_by_build_or_by_the_first_data():
    model = Sequential([Dense(3), Dense(2)])
    assert not model.built and model.weights == []
    with pytest.raises(ValueError, match="Sequential 'sequential': its inputs and outputs are not known yet"):
        _ = model.input_shape
    model.build((None, 4))
    assert model.count_params() == 23
    model.build((7, 4))                                     # the same again is no error
    with pytest.raises(ValueError, match=r"for which it is built, got \(None, 5\)"):
        model.build((None, 5))
    other = Sequential([Dense(3), Dense(2)])
    assert other(np.ones((5, 4))).shape == (5, 2) and other.input_shape == (None, 4)


def test_add_and_pop():
    model = Sequential([Input((4,)), Dense(3)])
    kernel = model.layers[0].kernel
    model.add(Dense(2, name="top"))
    assert model.output_shape == (None, 2) and model.layers[0].kernel is kernel
    assert model.pop().name == "top" and model.output_shape == (None, 3)
    model.pop()
    assert model.layers == [] and not model.built
    with pytest.raises(ValueError, match="no layer to take off"):
        model.pop()


def test_a_layer_that_does_not_fit_leaves_the_model_as_it_was():
    model = Sequential()
    with pytest.raises(ValueError, match="3 axes, got 2"):
        model.add(LSTM(2, input_shape=(4,)))
    model.add(Dense(3, input_shape=(4,)))
    with pytest.raises(ValueError, match="3 axes, got 2"):
        model.add(LSTM(2))
    model.add(Dense(2))
    assert [type(layer) for layer in model.layers] == [Dense, Dense] and model.output_shape == (None, 2)
    other = Sequential([Dense(3), LSTM(2)])
    with pytest.raises(ValueError, match="3 axes, got 2"):
        other.build((None, 4))
    assert len(other.layers) == 2 and not other.built


def test_a_declared_batch_size_is_kept():
    assert Sequential([LSTM(2, batch_input_shape=(8, 5, 3), stateful=True)]).input_shape == (8, 5, 3)


@pytest.mark.parametrize("add, message", [
    (lambda m: m.add("dense"), "expected a layer, got str"),
    (lambda m: m.add(Dense(2, name="first")), "second layer named 'first'"),
    (lambda m: m.add(Input((4,))), "an Input can only stand first"),
    (lambda m: m.add(LSTM(2, name="r")), "LSTM 'r'.*3 axes, got 2"),
    (lambda m: Sequential([LSTM(2, input_shape=(4,))]), "LSTM 'lstm'.*3 axes, got 2"),
    (lambda m: Sequential(name="s").build((None, 2)), "Sequential 's': a model without layers"),
    (lambda m: Sequential(name="s")(np.ones((1, 2))), "Sequential 's': a model without layers"),
    (lambda m: Sequential([Dense(1)], name="s").build(None), "expected an input shape, got None")])
def test_construction_errors(add, message):
    model = Sequential([Input((4,)), Dense(3, name="first")], name="m")
    with pytest.raises(ValueError, match=message):
        add(model)
    assert len(model.layers) == 1 and model.output_shape == (None, 3)


def test_a_layer_may_stand_twice_in_the_stack():
    shared = Dense(4, activation="tanh")
    model = Sequential([Input((4,)), shared, Dense(4), shared])
    assert len(model.layers) == 3 and len(model.weights) == 4
    assert gradcheck(model, data(2)).passed
    again = Sequential.from_config(model.get_config())
    assert again.layers[0] is again.layers[2] and len(again.weights) == 4 and again.get_config() == model.get_config()


def test_a_layer_that_stands_twice_is_trained_as_in_keras(rng):
    import keras
    ours, theirs = (model([entry((4,)), layer, layer]) for model, entry, layer in (
        (Sequential, Input, Dense(4, activation="tanh", kernel_regularizer="l2")),
        (keras.Sequential, keras.layers.Input, keras.layers.Dense(4, activation="tanh", kernel_regularizer="l2"))))
    x, y = rng.normal(size=(8, 4)).astype("f"), rng.normal(size=(8, 4)).astype("f")
    theirs.set_weights(ours.get_weights())
    ours.compile(optimizers.Adam(0.1), "mse")
    theirs.compile(keras.optimizers.Adam(0.1), "mse")
    for model in (ours, theirs):
        model.fit(x, y, epochs=3, batch_size=4, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert ours.evaluate(x, y, verbose=0) == pytest.approx(theirs.evaluate(x, y, verbose=0), rel=1e-4)


def test_get_layer():
    model = Sequential([Input((4,)), Dense(3, name="a"), Dense(2, name="b")], name="m")
    assert model.get_layer("b") is model.get_layer(index=1) is model.get_layer(index=-1) is model.layers[1]
    for arguments, message in [(dict(name="c"), r"no layer 'c'; the layers are \['a', 'b'\]"), ({}, "got neither"),
                               (dict(index=2), "below 2, got 2"), (dict(name="a", index=0), "got both")]:
        with pytest.raises(ValueError, match=message):
            model.get_layer(**arguments)


def test_names():
    assert [Sequential().name, Sequential().name, Sequential(name="mine").name] == ["sequential", "sequential_1", "mine"]
    x = Input((2,))
    assert Model(x, Dense(1)(x)).name == "functional"


def test_nested_models_are_layers(rng):
    inner = Sequential([Dense(5, activation="tanh"), Dense(3)])
    x = Input((4,))
    middle = Model(x, [inner(x), Dense(2)(inner(x))])
    y = Input((4,))
    outer = Model(y, Dense(1)(middle(y)[1]))
    report = gradcheck(outer, rng.normal(size=(3, 4)))
    assert report.passed, report
    outer.compile("adam", "mse")
    first, *_, last = outer.fit(data(), data(shape=(1,), seed=1), epochs=40, verbose=0).history["loss"]
    assert last < first


def test_gradients_of_a_sequential_model_on_every_device(device, rng):
    model = Sequential([Input((3,)), Dense(2, activation="tanh"), Dense(1)]).to(device)
    report = gradcheck(model, rng.normal(size=(2, 3)))
    assert report.passed, report


def test_training_is_the_same_on_every_device():
    results = []
    for device in ("reference", "cpu", "cuda"):
        nblayers.random.set_seed(0)
        model = Sequential([Embedding(4, 2, mask_zero=True), LSTM(2, return_sequences=True), Dense(1)]).to(device)
        model.compile("adam", "mse", metrics=["mae"], weighted_metrics=["mse"])
        x = np.array([[1, 2, 0], [3, 0, 0], [1, 1, 1]])
        history = model.fit(x, np.ones((3, 3, 1)), epochs=2, batch_size=2, verbose=0, sample_weight=np.array([1.0, 2.0, 3.0]))
        results.append([*history.history.values(), model.predict(x, verbose=0)])
    assert_same(results[1], results[0], rtol=1e-4)
    assert_same(results[2], results[0], rtol=1e-4)


def test_recurrent_stack_has_the_gradient(rng):
    model = Sequential([Embedding(5, 3, mask_zero=True), LSTM(3, return_sequences=True), SimpleRNN(2), Dense(1)])
    report = gradcheck(model, np.array([[1, 2, 0], [3, 0, 0]]))
    assert report.passed, report


def test_trainable_and_recompiling():
    model = Sequential([Input((4,)), Dense(3), Dense(2)])
    model.layers[0].trainable = False
    assert len(model.trainable_weights) == len(model.non_trainable_weights) == 2
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(data(), data(shape=(2,)), verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False, False, True, True]
    assert Sequential([Input((4,)), Dense(3)], trainable=False).trainable_weights == []
    x = Input((2,))
    assert Model(x, Dense(1)(x), trainable=False).trainable_weights == []


def test_a_model_of_ones_own(rng):
    class Residual(Model):
        def __init__(self):
            super().__init__(name="residual")
            self.hidden, self.top, self.dropout = Dense(4, activation="tanh"), Dense(1), Dropout(0.1)

        def forward(self, x, training=False):
            return self.top.forward(x + self.dropout.forward(self.hidden.forward(x), training=training))

        def backward(self, dy):
            ds = self.top.backward(dy)
            return ds + self.hidden.backward(self.dropout.backward(ds))

    model = Residual()
    model.compile("adam", "mse", metrics=["mae"])
    history = model.fit(data(), data(shape=(1,), seed=1), epochs=3, verbose=0, validation_split=0.2)
    assert set(history.history) == {"loss", "mae", "val_loss", "val_mae"}
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "dropout"] and len(model.weights) == 4
    assert model.predict(data(5), verbose=0).shape == (5, 1)
    report = gradcheck(model, rng.normal(size=(3, 4)))
    assert report.passed, report


def test_a_model_without_anything_says_what_to_do():
    class Empty(Model):
        pass

    with pytest.raises(NotImplementedError, match="write forward and backward"):
        Empty()(np.ones((1, 2)))


def test_fit_learns():
    x = data(200)
    y = (x[:, :1] > x[:, 1:2]).astype("f")
    model = Sequential([Input((4,)), Dense(8, activation="relu"), Dense(1, activation="sigmoid")])
    model.compile(optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    assert model.fit(x, y, epochs=30, verbose=0).history["accuracy"][-1] > 0.9


def test_the_logged_loss_is_the_mean_over_samples_of_each_steps_loss():
    model = small(1, optimizer=optimizers.SGD(0.0))
    x, y = data(10), data(10, (1,), 1)
    logged = model.fit(x, y, batch_size=4, verbose=0).history["loss"][0]
    assert logged == pytest.approx(float(((model(x) - y) ** 2).mean()), rel=1e-5)


def test_shuffling_takes_every_sample_once(monkeypatch):
    seen = []

    class Spy(Layer):
        def forward(self, x):
            self.cache = ()
            seen.append(x[:, 0].copy())
            return x

        def backward(self, dy):
            return dy

    model = Sequential([Input((1,)), Spy(), Dense(1)])
    model.compile(optimizers.SGD(0.0), "mse")
    seen.clear()
    x = np.arange(10, dtype="f")[:, None]
    nblayers.random.set_seed(3)
    model.fit(x, x, batch_size=4, epochs=2, verbose=0)
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert [len(batch) for batch in seen] == [4, 4, 2, 4, 4, 2]
    assert sorted(first) == sorted(second) == list(range(10)) and list(first) != list(second)
    seen.clear()
    nblayers.random.set_seed(3)
    model.fit(x, x, batch_size=4, epochs=1, verbose=0)
    assert list(np.concatenate(seen)) == list(first)
    seen.clear()
    model.fit(x, x, batch_size=4, verbose=0, shuffle="batch")
    assert sorted(tuple(batch) for batch in seen) == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
    seen.clear()
    model.fit(x, x, batch_size=4, verbose=0, shuffle=False, validation_split=0.2)
    assert [list(batch) for batch in seen] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]      # the last is the validation


@pytest.mark.parametrize("epochs, initial, expected", [(3, 0, [0, 1, 2]), (5, 3, [3, 4]), (2, 2, [])])
def test_epochs(epochs, initial, expected):
    assert small().fit(data(), data(shape=(3,)), epochs=epochs, initial_epoch=initial, verbose=0).epoch == expected


@pytest.mark.parametrize("frequency, expected", [(1, 4), (2, 2), ([1, 4], 2)])
def test_validation_freq(frequency, expected):
    history = small().fit(data(), data(shape=(3,)), epochs=4, validation_split=0.5, validation_freq=frequency, verbose=0)
    assert len(history.history["val_loss"]) == expected and len(history.history["loss"]) == 4


def test_steps_per_epoch_on_arrays():
    steps = []
    count = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    model = small()
    model.fit(data(8), data(8, (3,)), epochs=4, batch_size=2, steps_per_epoch=2, verbose=0, callbacks=[count])
    assert steps == [0, 1] * 4
    steps.clear()
    model.fit(data(8), data(8, (3,)), steps_per_epoch=4, verbose=0, callbacks=[count])      # the batch size follows
    assert steps == [0, 1, 2, 3]
    steps.clear()
    with pytest.warns(UserWarning, match="ran out after 4 of 5"):
        model.fit(data(8), data(8, (3,)), batch_size=2, steps_per_epoch=5, verbose=0, callbacks=[count])


def batches(n=4):
    for i in range(n):
        yield data(5, seed=i), data(5, (3,), seed=i)


class Batches:
    """What Keras calls a Sequence."""

    ended = 0

    def __len__(self):
        return 3

    def __getitem__(self, i):
        return data(5, seed=i), data(5, (3,), seed=i)

    def on_epoch_end(self):
        self.ended += 1


def test_generators_and_sequences():
    model = small(metrics=["mae"])
    history = model.fit(batches(), verbose=0)
    assert history.params["steps"] is None and len(history.history["loss"]) == 1
    assert model.fit(batches(6), epochs=3, steps_per_epoch=2, verbose=0).epoch == [0, 1, 2]
    with pytest.warns(UserWarning, match="ran out after 1 of 2"):
        assert model.fit(batches(3), epochs=3, steps_per_epoch=2, verbose=0).epoch == [0, 1]
    sequence = Batches()
    history = model.fit(sequence, epochs=2, verbose=0, validation_data=Batches(), class_weight={0: 2.0})
    assert sequence.ended == 2 and history.params["steps"] == 3 and "val_mae" in history.history
    assert model.evaluate(Batches(), verbose=0) == pytest.approx(model.evaluate(list_of_pairs(), verbose=0))
    assert model.predict(Batches(), verbose=0).shape == (15, 3)
    assert model.predict((x for x, _ in batches()), verbose=0).shape == (20, 3)
    weighted = ((x, y, np.zeros(5)) for x, y in batches())
    assert model.evaluate(weighted, verbose=0)[0] == 0


def list_of_pairs():
    class Iterable:
        def __iter__(self):
            return batches(3)
    return Iterable()


@pytest.mark.parametrize("how", ["sample_weight", "class_weight"])
def test_weights_of_zero_leave_samples_out(how):
    x, y = data(40), np.random.default_rng(1).integers(0, 2, 40)
    results = []
    for kept in (False, True):
        nblayers.random.set_seed(0)
        model = Sequential([Input((4,)), Dense(2, activation="softmax", kernel_initializer="zeros")])
        model.compile(optimizers.SGD(1.0), losses.SparseCategoricalCrossentropy(reduction="sum"))
        weights = {"sample_weight": (y == 1).astype("f")} if how == "sample_weight" else {"class_weight": {0: 0.0}}
        chosen = (x[y == 1], y[y == 1], {}) if kept else (x, y, weights)
        model.fit(*chosen[:2], **chosen[2], batch_size=40, verbose=0)
        results.append(model.get_weights())
    assert_same(results[0], results[1], rtol=1e-5, atol=1e-6)


def test_inputs_of_other_kinds():
    model = small()
    x, y = data(8), data(8, (3,))
    expected = model.evaluate(x, y, verbose=0)
    for other in (x.astype("float64"), x.tolist(), [x], np.asfortranarray(x), (x,)):
        assert model.evaluate(other, y.tolist(), verbose=0) == pytest.approx(expected, rel=1e-5)
    torch = pytest.importorskip("torch")
    assert model.evaluate(torch.tensor(x), torch.tensor(y), verbose=0) == pytest.approx(expected, rel=1e-5)
    one_hot = np.eye(4, dtype=bool)
    assert model.predict(one_hot, verbose=0).dtype == np.float32


def test_float64_models_see_all_digits():
    model = Sequential([Input((4,)), Dense(3, dtype="float64")])
    x = np.random.default_rng(0).normal(size=(5, 4))
    assert_same(model.predict(x, verbose=0), x @ model.weights[0].value, rtol=1e-14)


def test_nothing_that_is_passed_is_changed():
    x, y, w = data(20).astype("float64"), data(20, (3,)), np.ones(20)
    kept = [a.copy() for a in (x, y, w)]
    model = small(metrics=["mae"])
    prediction = model.predict(x, verbose=0)
    prediction[:] = 7
    model.fit(x, y, sample_weight=w, epochs=2, verbose=0, validation_split=0.2)
    assert_same([x, y, w], kept)
    identity = Sequential([Input((4,)), Flatten()])
    identity.predict(x32 := data(3), verbose=0)[:] = 0
    assert x32.any()


def test_train_test_and_predict_on_batch():
    model = small(metrics=["mae"], optimizer=optimizers.SGD(0.0))
    x, y = data(50), data(50, (3,))
    expected = model.evaluate(x, y, verbose=0)
    assert model.train_on_batch(x, y) == pytest.approx(expected, rel=1e-5)
    assert model.test_on_batch(x, y) == pytest.approx(expected, rel=1e-5)
    assert list(model.train_on_batch(x, y, return_dict=True)) == ["loss", "mae"]
    assert isinstance(small().train_on_batch(x, y, sample_weight=np.ones(50)), float)
    assert_same(model.predict_on_batch(x), model.predict(x, verbose=0), rtol=1e-6)
    changed = small()
    before = changed.get_weights()
    changed.train_on_batch(x, y)
    assert not np.array_equal(changed.get_weights()[0], before[0])


def test_evaluate_returns_a_number_a_list_or_a_dictionary():
    x, y = data(), data(shape=(3,))
    assert isinstance(small().evaluate(x, y, verbose=0), float)
    model = small(metrics=["mae", metrics.MeanSquaredError(name="second")])
    values = model.evaluate(x, y, verbose=0)
    assert model.metrics_names == ["loss", "mae", "second"]
    assert model.evaluate(x, y, verbose=0, return_dict=True) == dict(zip(model.metrics_names, values, strict=True))


def test_metrics_of_one_name_are_numbered():
    model = small(metrics=["mae", metrics.MeanAbsoluteError(name="mae")], weighted_metrics=["mae"])
    logs = model.evaluate(data(), data(shape=(3,)), verbose=0, return_dict=True)
    assert list(logs) == ["loss", "mae", "mae_1", "weighted_mae"]


def test_names_of_several_outputs():
    model, compiled, fitted = two_inputs(OURS)
    model.compile(**compiled)
    x, (p, q) = fitted["x"], fitted["y"]
    logs = model.evaluate(dict(zip("ab", x, strict=True)), {"q": q, "p": p}, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "p_loss", "p_mae", "q_accuracy", "q_loss"]
    assert logs["loss"] == pytest.approx(0.3 * logs["p_loss"] + 2 * logs["q_loss"] + sum(model.losses), rel=1e-5)
    assert model.metrics_names == ["loss", "p_loss", "q_loss", "p_mae", "q_accuracy"]
    assert [a.shape for a in model.predict(x, verbose=0)] == [(70, 2), (70, 3)]
    model.compile("sgd", ["mse", None])                     # an output without a loss needs no target
    assert list(model.evaluate(x, [p], verbose=0, return_dict=True)) == ["loss"]
    model.fit(x, {"p": p}, verbose=0)
    model.compile("sgd", "mse", metrics=["mae", None], loss_weights=[1, 0])
    assert list(model.fit(x, [p, np.eye(3)[q]], verbose=0).history) == ["loss", "p_loss", "p_mae", "q_loss"]


@pytest.mark.parametrize("name, y, kind", [
    ("crossentropy", np.zeros(5), "BinaryCrossentropy"), ("ce", np.eye(3)[[0, 1, 2, 0, 1]], "CategoricalCrossentropy"),
    ("crossentropy", np.zeros((5, 1)), "SparseCategoricalCrossentropy")])
def test_cross_entropy_by_shape(name, y, kind):
    units = 1 if kind.startswith("Binary") else 3
    model = Sequential([Input((4,)), Dense(units, activation="sigmoid")])
    model.compile("sgd", name)
    model.evaluate(data(5), y, verbose=0)
    assert type(model._objective.outputs[0].loss).__name__ == kind


def test_regularizers_and_add_loss_are_part_of_the_loss():
    class Extra(Layer):
        def forward(self, x):
            self.cache = ()
            self.add_loss(0.25)
            return x

        def backward(self, dy):
            return dy

    model = Sequential([Input((4,)), Dense(3, kernel_regularizer=regularizers.L2(0.1)), Extra()])
    model.compile(optimizers.SGD(0.1), "mse")
    x = data(8)
    y = model.predict(x, verbose=0)
    penalty = 0.1 * float((model.weights[0].value ** 2).sum())
    assert model.evaluate(x, y, verbose=0) == pytest.approx(penalty + 0.25, rel=1e-5)
    kernel = model.weights[0].numpy()
    assert model.train_on_batch(x, y) == pytest.approx(penalty + 0.25, rel=1e-5)
    assert_same(model.weights[0].numpy(), kernel - 0.1 * 0.2 * kernel, rtol=1e-4)
    model.compile(optimizers.SGD(0.1), None)                # no loss but these
    assert model.train_on_batch(x, y) == pytest.approx(sum(model.losses), rel=1e-1)


def test_stop_training_from_a_callback():
    model = small()

    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    batch_ends = []
    history = model.fit(data(), data(shape=(3,)), epochs=5, batch_size=10, verbose=0, callbacks=[
        Stop(), callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batch_ends.append(batch))])
    assert batch_ends == [0, 1] and history.epoch == [0]


X, Y = data(10), data(10, (3,))


@pytest.mark.parametrize("call, message", [
    (lambda m: m.fit(X, Y[:5]), "expected the same number of samples in all arrays, got x 10, y 5"),
    (lambda m: m.fit(X, Y, sample_weight=np.ones(3)), "x 10, y 10, sample_weight 3"),
    (lambda m: m.fit(X[:0], Y[:0]), "at least one sample"),
    (lambda m: m.predict(X[:0]), "at least one sample"),
    (lambda m: m.fit(None, Y), "expected data x, got None"),
    (lambda m: m.fit(X), "expected targets y for output 'dense', got None"),
    (lambda m: m.fit(X, 3.0), "expected y with a batch axis"),
    (lambda m: m.fit(X, Y[:, :2]), r"\(10, 3\), got \(10, 2\)"),
    (lambda m: m.fit(X, [Y, Y]), "expected one array y for output 'dense', got 2"),
    (lambda m: m.fit([X, X], Y), "expected 1 input, got 2"),
    (lambda m: m.fit(X[:, :3], Y), "size 4 on axis -1.*got 3"),
    (lambda m: m.fit(X, Y, validation_split=1.0), r"validation_split in \[0, 1\), got 1.0"),
    (lambda m: m.fit(X, Y, validation_split=-0.1), r"validation_split in \[0, 1\), got -0.1"),
    (lambda m: m.fit(X[:1], Y[:1], validation_split=0.5), "1 samples are too few"),
    (lambda m: m.fit(X, Y, validation_data=(X, Y, None, None)), "validation_data.*got 4"),
    (lambda m: m.fit(X, Y, validation_freq="2"), "validation_freq"),
    (lambda m: m.fit(X, Y, batch_size=-1), "expected a positive integer as batch_size, got -1"),
    (lambda m: m.fit(X, Y, sample_weight=np.ones(10), class_weight={0: 1.0}), "class_weight or sample_weight, got both"),
    (lambda m: m.fit(X, np.ones((10, 3, 3)), class_weight={0: 1.0}), r"class_weight needs one output.*\(10, 3, 3\)"),
    (lambda m: m.fit(batches(), Y), "x gives batches, so y belongs into them"),
    (lambda m: m.fit(batches(), validation_split=0.1), "validation_split needs arrays"),
    (lambda m: m.fit(iter([])), "at least one batch, got none"),
    (lambda m: m.predict(iter([])), "at least one batch, got none"),
    (lambda m: m.fit(X, Y, epochs=2, validation_data=batches()), "evaluate expected at least one batch.*validation_steps"),
    (lambda m: m.fit(iter([(X, Y, Y, Y)])), "batches of .*got one of 4"),
    (lambda m: m.fit(X, Y, verbose=3), "verbose"),
    (lambda m: m.compile("nonsense"), "optimizer: unknown optimizer 'nonsense'"),
    (lambda m: m.compile("sgd", "nonsense"), "loss: unknown loss 'nonsense'"),
    (lambda m: m.compile("sgd", "mse", metrics=["nonsense"]), "metrics: unknown metric 'nonsense'"),
    (lambda m: m.compile("sgd", "mse", metrics="mae"), "metrics as a list or a dictionary, got 'mae'"),
    (lambda m: _compiled(loss=["mse", "mae"]).fit(X, Y), "expected loss for 1 outputs, got 2"),
    (lambda m: _compiled(loss=None).fit(X, Y), "fit needs a loss"),
])
def test_fit_errors(call, message):
    model = small()
    model._layers[1].name = "dense"
    with pytest.raises(ValueError, match=message):
        call(model)


def _compiled(**arguments):
    return small(**arguments)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_methods_that_need_compile(method):
    model = Sequential([Input((4,)), Dense(3)], name="m")
    with pytest.raises(ValueError, match=f"Sequential 'm': call compile.* before {method}"):
        getattr(model, method)(X, Y)


def test_errors_name_the_model_and_the_output():
    model, compiled, fitted = two_inputs(OURS)
    model.compile(**compiled)
    x, (p, q) = fitted["x"], fitted["y"]
    with pytest.raises(ValueError, match=r"Model 'functional', output 'p': .*MeanSquaredError"):
        model.fit(x, [p[:, :1], q], verbose=0)
    with pytest.raises(ValueError, match=r"expected y for the outputs \['p', 'q'\], got \['p', 'r'\]"):
        model.fit(x, {"p": p, "r": q}, verbose=0)
    with pytest.raises(ValueError, match="expected y for 2 outputs, got 1"):
        model.fit(x, p, verbose=0)
    model.compile("sgd", {"p": "mse", "other": "mse"})
    with pytest.raises(ValueError, match=r"loss names \['other'\], expected names of outputs: \['p', 'q'\]"):
        model.fit(x, [p, q], verbose=0)


def test_nan_in_the_targets_of_a_cross_entropy():
    model = Sequential([Input((4,)), Dense(1, activation="sigmoid")], name="m")
    model.compile("sgd", "binary_crossentropy")
    y = np.ones((10, 1))
    y[3] = np.nan
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"Sequential 'm': BinaryCrossentropy.*NaN"):
        model.fit(X, y, verbose=0)
    assert_same(model.get_weights(), before)


def test_an_interrupt_in_an_update_leaves_it_whole():
    class Interrupted(optimizers.SGD):
        """Ctrl-C after the first parameter of the fifth step."""
        updates = 0

        def update(self, *arguments):
            super().update(*arguments)
            self.updates += 1
            if self.updates == 9:
                signal.raise_signal(signal.SIGINT)

    runs = []
    for optimizer, epochs in ((Interrupted(0.1), 10), (optimizers.SGD(0.1), 2)):
        nblayers.random.set_seed(0)
        model = Sequential([Input((4,)), Dense(3, kernel_initializer="ones")])
        model.compile(optimizer, "mse")
        if epochs == 10:
            with pytest.raises(KeyboardInterrupt):
                model.fit(X, Y, batch_size=5, epochs=epochs, shuffle=False, verbose=0)
            assert model.history.epoch == [0, 1] and len(model.history.history["loss"]) == 2
        else:
            model.fit(X, Y, batch_size=5, epochs=epochs, shuffle=False, verbose=0)
            model.train_on_batch(X[:5], Y[:5])              # the fifth step, whole
        runs.append(model.get_weights())
    assert_same(runs[0], runs[1])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupted_model_can_be_used_again(capsys):
    model = small()

    def interrupt(batch, logs):
        if batch == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=2, callbacks=[callbacks.LambdaCallback(on_train_batch_end=interrupt)], verbose=0)
    assert model.history.epoch == []
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"]).all()


def test_an_interrupt_ends_the_open_progress_line(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    with pytest.raises(KeyboardInterrupt):
        small().fit(X, Y, batch_size=2, callbacks=[
            callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batch and signal.raise_signal(signal.SIGINT))])
    assert screen.getvalue().endswith("\n")


def test_training_outside_the_main_thread():
    model, results = small(), []
    thread = threading.Thread(target=lambda: results.append(model.fit(X, Y, verbose=0)))
    thread.start()
    thread.join()
    assert len(results) == 1


def test_interrupts_keep_other_handlers():
    caught = []
    own = lambda number, frame: caught.append(number)       # noqa: E731
    previous = signal.signal(signal.SIGINT, own)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            assert len(caught) == 1
            interrupts.hold()
            signal.raise_signal(signal.SIGINT)
            assert len(caught) == 1
            interrupts.release()
            assert len(caught) == 2
            interrupts.hold()
            signal.raise_signal(signal.SIGINT)
        assert len(caught) == 3 and signal.getsignal(signal.SIGINT) is own
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with Interrupts():
            signal.raise_signal(signal.SIGINT)
        assert len(caught) == 3 and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)


def test_a_failing_update_lets_go_of_the_interrupts():
    class Failing(optimizers.SGD):
        def update(self, *arguments):
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        small(optimizer=Failing()).fit(X, Y, verbose=0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_line_for_each_epoch_in_a_log(capsys):
    small(metrics=["mae"]).fit(X, Y, epochs=2, validation_split=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2" and lines[2] == "Epoch 2/2" and len(lines) == 4
    number = r"\d+\.\d{4}(e[+-]\d+)?"
    assert re.fullmatch(rf"1/1 - \d+s - \d+(us|ms|s)/step - loss: {number} - mae: {number} - val_loss: {number} "
                        rf"- val_mae: {number}", lines[1])


def test_the_bar_in_a_log_is_printed_once_and_plain(capsys):
    model = small()
    model.fit(X, Y, batch_size=2, verbose=1)
    model.evaluate(X, Y, batch_size=2, verbose=1)
    model.predict(X, batch_size=2, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(re.match(r"5/5 ━{20} \d+s \d+(us|ms|s)/step", line) for line in lines)
    assert " - loss: " in lines[0] and " - loss: " in lines[1] and " - " not in lines[2]


def test_the_bar_on_a_terminal_moves(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr("nblayers.models.progress.Progbar.due", property(lambda self: True))
    small().fit(X, Y, batch_size=4, epochs=2)
    text = screen.getvalue()
    assert "\x1b[32m" in text and text.count("\r") == 8     # three steps and the end, twice
    last = plain(text).split("\r")[-1]
    assert re.match(r"3/3 ━{20} \d+s \d+(us|ms|s)/step - loss: ", last) and last.endswith("\n")


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_silence(method, capsys):
    model = small()
    model.predict(X, verbose=0) if method == "predict" else getattr(model, method)(X, Y, verbose=0)
    assert capsys.readouterr() == ("", "")


SUMMARY = """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ lstm (LSTM)                     │ (None, 32)             │         4,352 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ (None, 1)              │            33 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 4,385 (17.13 KB)
 Trainable params: 4,385 (17.13 KB)
 Non-trainable params: 0 (0.00 B)
"""


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_summary(capsys, wide):
    model = Sequential([LSTM(32, input_shape=(10, 1)), Dense(1, activation="sigmoid")])
    model.summary()
    assert capsys.readouterr().out == SUMMARY
    lines = []
    model.summary(print_fn=lines.append)
    assert "".join(lines).strip() == SUMMARY.strip() and capsys.readouterr().out == ""
    model.summary(line_length=60, show_trainable=True)
    text = capsys.readouterr().out
    assert "Train" in text and max(map(len, text.splitlines())) == 60
    model.compile("adam", "mse")
    model.fit(np.ones((2, 10, 1)), np.ones((2, 1)), verbose=0)
    model.summary()
    assert " Optimizer params: 8,772 (34.27 KB)\n" in capsys.readouterr().out


def test_summary_of_what_is_not_built_or_nested(capsys, wide):
    Sequential([Dense(3, name="a")]).summary()
    assert re.search(r"a \(Dense\) +│ \? +│ +0 \(unbuilt\)", capsys.readouterr().out)
    inner = Sequential([Dense(3, name="x", input_shape=(4,))], name="inner")
    Sequential([inner, Dense(1)]).summary(expand_nested=True)
    text = capsys.readouterr().out
    assert re.search(r"inner \(Sequential\) +│ \(None, 3\) +│ +15", text) and "   └ x (Dense)" in text


def test_summary_is_keras_summary_of_a_graph(capsys, wide):
    import keras
    texts = []
    for k in (OURS, keras):
        a, b = k.Input((5,), name="a"), k.Input((5,), name="b")
        shared = k.layers.Dense(2, name="shared")
        inner = k.Sequential([k.Input((2,)), k.layers.Dense(2, name="first"), k.layers.Dense(2, name="second")], name="inner")
        _, h, c = k.layers.LSTM(2, return_state=True, name="lstm")(k.layers.Embedding(5, 2, name="table")(a))
        total = (Add if k is OURS else k.layers.Add)(name="add")
        y = total([shared(a), shared(b), inner(h), c])
        k.Model([a, b], [y, h], name="graph").summary(expand_nested=True, show_trainable=True)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_summary_layer_range(capsys, wide):
    model = Sequential([Input((2,)), *(Dense(2, name=name) for name in "abcd")])
    model.summary(layer_range=["b", "c"])
    text = capsys.readouterr().out
    assert "b (Dense)" in text and "c (Dense)" in text and "a (Dense)" not in text and "d (Dense)" not in text
    for wrong, message in ((["x", "y"], "names no layers"), (["a"], "two names")):
        with pytest.raises(ValueError, match=message):
            model.summary(layer_range=wrong)
    with pytest.raises(ValueError, match="at least 4 characters"):
        model.summary(line_length=8)


def test_encoder_and_decoder_of_document_004():
    """Trained together, then used apart, a token at a time."""
    encoder_inputs = Input(shape=(20,))
    _, state_h, state_c = LSTM(8, return_state=True)(Embedding(30, 4)(encoder_inputs))
    encoder_states = [state_h, state_c]
    decoder_inputs = Input(shape=(20,))
    decoder_embedding = Embedding(30, 4)(decoder_inputs)
    decoder_lstm = LSTM(8, return_sequences=True, return_state=True)
    decoder_outputs, _, _ = decoder_lstm(decoder_embedding, initial_state=encoder_states)
    decoder_dense = Dense(30, activation="softmax")
    decoder_outputs = decoder_dense(decoder_outputs)
    model = Model([encoder_inputs, decoder_inputs], decoder_outputs)
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    ids = np.random.default_rng(0).integers(0, 30, (3, 16, 20))
    model.fit([ids[0], ids[1]], np.eye(30)[ids[2]], verbose=0)

    encoder_model = Model(encoder_inputs, encoder_states)
    states_inputs = [Input(shape=(8,)), Input(shape=(8,))]
    outputs, state_h, state_c = decoder_lstm(decoder_embedding, initial_state=states_inputs)
    decoder_model = Model([decoder_inputs, *states_inputs], [decoder_dense(outputs), state_h, state_c])
    states = encoder_model.predict(ids[0][:1], verbose=0)
    target = np.full((1, 1), float(ids[1][0, 0]))
    stepwise = []
    for t in range(3):
        target[0, 0] = ids[1][0, t]
        tokens, h, c = decoder_model.predict([target, *states], verbose=0)
        states = [h, c]
        stepwise.append(tokens[0, -1])
    whole = model.predict([ids[0][:1], ids[1][:1]], verbose=0)
    assert_same(np.array(stepwise), whole[0, :3], rtol=1e-4, atol=1e-6)
