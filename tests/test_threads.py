"""Several threads at one model: each gets what it would get alone."""
import copy
import os
import resource
import sys
import threading
import time

import numpy as np
import pytest

import kernels
import nblayers
from nblayers import config, initializers
from nblayers.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Bidirectional,
    ConvLSTM1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    Lambda,
    Layer,
    LSTMCell,
    Masking,
    SimpleRNN,
    SimpleRNNCell,
    TimeDistributed,
    base,
)
from nblayers.layers.base import auto_name
from nblayers.models import Model, Sequential, load_model
from nblayers.nn import LSTM as TorchLSTM
from nblayers.regularizers import L2


@pytest.fixture(autouse=True)
def switch_often():
    """Let the interpreter go from thread to thread every few lines."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def in_threads(*functions):
    """Run all at once, each in a thread of its own; their results, or the first error."""
    results, errors = [None] * len(functions), []
    start = threading.Barrier(len(functions))

    def run(k):
        try:
            start.wait()
            results[k] = functions[k]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


class Elman(Layer):
    """A cell of one's own, whose cache is a tuple."""

    state_size = 6

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], 6), name="W")
        self.U = self.add_weight((6, 6), name="U")

    def forward(self, x, states):
        h = np.tanh(x @ self.W.value + states[0] @ self.U.value)
        self.cache = x, states[0], h
        return h, [h]

    def backward(self, gradients):
        dout, (dh,) = gradients
        x, h_prev, h = self.cache
        da = (dout + dh) * (1 - h * h)
        self.W.grad += x.T @ da
        self.U.grad += h_prev.T @ da
        return da @ self.W.value.T, [da @ self.U.value.T]


def shared_twice():
    x, dense = Input((7, 4)), Dense(4, activity_regularizer=L2(0.1))
    return Model(x, dense(dense(x)))


MODELS = {
    "bidirectional": lambda: [Bidirectional(LSTM(5, return_sequences=True)), Flatten()],
    "bidirectional rnn": lambda: [Bidirectional(RNN(Elman(), return_sequences=True))],
    "time distributed": lambda: [TimeDistributed(Dense(3)), Flatten()],
    "time distributed lstm": lambda: [Lambda(lambda x: x[:, :, None]), TimeDistributed(LSTM(3))],
    "own cell": lambda: [RNN(Elman())],
    "cells": lambda: [RNN([LSTMCell(4), SimpleRNNCell(3)])],
    "masked": lambda: [Masking(), GRU(4, return_sequences=True), SimpleRNN(3)],
    "convolutional": lambda: [Lambda(lambda x: x[..., None]), ConvLSTM1D(2, 2)],
    "stacked": lambda: [Sequential([Dense(5, "relu"), Dropout(0.5)]), Activation("softmax")],
    "shared": shared_twice,
}


@pytest.mark.parametrize("name", MODELS)
def test_one_model_in_three_threads(name, rng):
    made = MODELS[name]()
    model = made if isinstance(made, Model) else Sequential(made)
    inputs = [rng.normal(size=(3, 7, 4)).astype("float32"), rng.normal(size=(2, 7, 4)), rng.integers(1, 5, (5, 7, 4), "uint8")]
    alone = [model.predict(x, verbose=0) for x in inputs]
    outputs = in_threads(*[lambda x=x: [model.predict(x, verbose=0) for _ in range(12)] for x in inputs])
    for expected, given in zip(alone, outputs, strict=True):
        for y in given:
            np.testing.assert_array_equal(y, expected)


def test_dtypes_of_one_thread_do_not_reach_the_kernel_of_another(rng):
    layer = Dense(32)
    inputs = [rng.normal(size=(4, 16)).astype("float32"), rng.integers(0, 255, (4, 16), "uint8"), np.ones((2, 16), bool)]
    alone = [layer(x) for x in inputs]
    outputs = in_threads(*[lambda x=x: [layer(x) for _ in range(200)] for x in inputs])
    for expected, given in zip(alone, outputs, strict=True):
        assert all(np.array_equal(y, expected) for y in given)


def test_a_forward_in_one_thread_leaves_the_record_of_another(rng):
    layer, x = Dense(3, activation="tanh", activity_regularizer=L2(1.0)), rng.normal(size=(4, 5))
    y = layer(x, training=True)
    losses = layer.losses
    in_threads(lambda: layer(np.ones((2, 5))))
    assert layer.cache.x.shape == (4, 5) and layer.losses == losses
    layer.backward(np.ones_like(y))
    with pytest.raises(RuntimeError, match=r"Dense 'dense'.*backward needs a forward first \(in this thread"):
        in_threads(lambda: layer.backward(np.ones_like(y)))


def test_each_thread_has_its_own_input_gradient(rng):
    layer, x = Dense(3), rng.normal(size=(4, 5))
    layer(x)
    layer.input_gradient = False
    assert in_threads(lambda: layer.input_gradient) == [True]
    assert layer.backward(np.ones((4, 3))) is None


def test_a_copy_of_a_layer_begins_afresh(rng):
    layer = Dense(3)
    layer(rng.normal(size=(4, 5)))
    with pytest.raises(RuntimeError, match="backward needs a forward first"):
        copy.deepcopy(layer).backward(np.ones((4, 3)))
    layer.backward(np.ones((4, 3)))


def test_several_threads_build_a_new_layer_once(rng):
    class Slow(Layer):
        built_times = 0

        def build(self, input_shape):
            self.built_times += 1
            self.inner = Dense(2)
            self.inner.build(input_shape)

        def forward(self, x):
            return self.inner.forward(x)

    for make in (lambda: Slow(), lambda: Sequential([Dense(2), Dense(3)]), lambda: Bidirectional(GRU(2)), lambda: RNN(Elman())):
        layer = make()
        x = rng.normal(size=(2, 3, 4) if isinstance(layer, (Bidirectional, RNN)) else (2, 4))
        outputs = in_threads(*[lambda layer=layer, x=x: layer.forward(x)] * 4)
        assert all(np.array_equal(y, layer.forward(x)) for y in outputs)
        assert getattr(layer, "built_times", 1) == 1
        assert len({weight.path for weight in layer.weights}) == len(layer.weights)


def small_classifier(seed):
    nblayers.utils.set_random_seed(seed)
    model = Sequential([Input((6,), dtype="int32"), Embedding(9, 4, mask_zero=True),
                        GRU(5, dropout=0.2, recurrent_dropout=0.2, seed=1), Dense(4, activity_regularizer=L2(0.01)),
                        Dropout(0.3, seed=2), Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_predict_beside_fit_changes_nothing_in_it(rng):
    x, y = rng.integers(1, 9, (40, 6)), rng.integers(0, 3, 40)
    alone = small_classifier(3)
    expected = alone.fit(x, y, epochs=4, batch_size=8, shuffle=False, verbose=0).history

    model, done = small_classifier(3), threading.Event()

    def fit():
        try:
            return model.fit(x, y, epochs=4, batch_size=8, shuffle=False, verbose=0).history
        finally:
            done.set()

    def predict():
        shapes = set()
        while not done.is_set():
            shapes.add(model.predict(x[:5], verbose=0).shape)
            shapes.add(model(x[:2]).shape)
        return shapes

    history, shapes, _ = in_threads(fit, predict, predict)
    assert history == expected and shapes <= {(5, 3), (2, 3)}
    for weight, other in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_the_parts_of_a_model_that_another_thread_adds_to():
    model, done = small_classifier(3), threading.Event()

    def look():
        try:
            return [(len(model.weights), len(copy.deepcopy(model).layers)) for _ in range(100)]
        finally:
            done.set()

    def add():
        while not done.is_set():
            for k in range(500):
                setattr(model, f"attribute_{k}", k)
            for k in range(500):
                delattr(model, f"attribute_{k}")

    seen, _ = in_threads(look, add)
    assert len(set(seen)) == 1


def test_pytorchs_layers_too(rng):
    layer = TorchLSTM(4, 3, num_layers=2, bidirectional=True)
    inputs = [rng.normal(size=(5, n, 4)) for n in (1, 2, 3)]
    alone = [layer(x)[0] for x in inputs]
    outputs = in_threads(*[lambda x=x: [layer(x)[0] for _ in range(10)] for x in inputs])
    for expected, given in zip(alone, outputs, strict=True):
        assert all(np.array_equal(y, expected) for y in given)


def test_a_device_of_one_thread_is_not_anothers():
    inside, made = threading.Event(), threading.Event()

    def with_device():
        with nblayers.device("reference"):
            inside.set()
            assert made.wait(10)
            return Dense(2).device, nblayers.get_device()

    def without():
        assert inside.wait(10)
        devices = Dense(2).device, nblayers.get_device()
        made.set()
        return devices

    assert in_threads(with_device, without) == [("reference", "reference"), ("cpu", "cpu")]


def test_settings_of_the_main_thread_are_everybodys_and_those_of_another_its_own():
    def values():
        return nblayers.get_device(), config.floatx(), config.epsilon(), config.image_data_format()

    def set_all():
        nblayers.set_device("cpu")
        config.set_floatx("float32")
        config.set_epsilon(1e-3)
        config.set_image_data_format("channels_last")
        return values()

    nblayers.set_device("reference")
    config.set_floatx("float64")
    config.set_epsilon(1e-5)
    config.set_image_data_format("channels_first")
    ours, own = ("reference", "float64", 1e-5, "channels_first"), ("cpu", "float32", 1e-3, "channels_last")
    assert in_threads(values, set_all) == [ours, own]
    assert in_threads(values) == [ours] and values() == ours


def test_set_device_within_a_with_block_counts_there_and_after_it():
    with nblayers.device("cuda"):
        with nblayers.device("cpu"):
            nblayers.set_device("reference")
            assert nblayers.get_device() == "reference"
        assert nblayers.get_device() == "cuda"
    assert nblayers.get_device() == "reference"


def test_names_are_given_once():
    names = in_threads(*[lambda: [auto_name("Layer") for _ in range(300)]] * 4)
    assert len({name for some in names for name in some}) == 1200


def test_two_threads_save_to_one_path(tmp_path, rng):
    models = [Sequential([Input((4,)), Dense(50, kernel_initializer=initializers.Constant(k))]) for k in (1, 2)]
    path, weights = tmp_path / "model.keras", tmp_path / "model.npz"

    def save(model):
        for _ in range(10):
            model.save(path)
            model.save_weights(weights)

    in_threads(*[lambda model=model: save(model) for model in models * 2])
    assert np.unique(load_model(path).layers[0].get_weights()[0]).item() in (1, 2)
    models[0].load_weights(weights)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.keras", "model.npz"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_threads_that_it_has_not(rng):
    model = Sequential([Input((3,)), Dense(2)])
    model.compile("sgd", "mse")
    taken, forked = threading.Event(), threading.Event()

    def hold():
        with model._runs.lock, base._building, base._naming:
            taken.set()
            forked.wait(60)

    def fork():
        taken.wait(60)
        child = os.fork()
        if child == 0:
            Dense(2).forward(np.ones((1, 3)))
            model.train_on_batch(np.ones((4, 3)), np.ones((4, 2)))
            os._exit(7)
        _, status = os.waitpid(child, 0)
        forked.set()
        return os.waitstatus_to_exitcode(status)

    assert in_threads(hold, fork) == [None, 7]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_does_not_stop_a_thread_that_builds_layers():
    done = threading.Event()

    def build():
        count = 0
        while not done.is_set():
            LSTM(64).build((None, 5, 16))
            count += 1
        return count

    def fork():
        for _ in range(20):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
        LSTM(4).build((None, 5, 3))
        done.set()

    count, _ = in_threads(build, fork)
    assert count


def test_a_large_kernel_lets_other_threads_run_python(monkeypatch):
    matmul, looks, ended = kernels.get("cpu").matmul, [], []
    monkeypatch.setattr(matmul, "threads_for", lambda work, share: 1)
    a, c = np.ones((1500, 1500)), np.empty((1500, 1500))
    matmul.matmul(a[:10], a, False, False, False, c[:10])       # compiled

    def multiply():
        while len(looks) < 100:
            pass
        begin = time.perf_counter()
        matmul.matmul(a, a, False, False, False, c)
        ended.append(True)
        return time.perf_counter() - begin

    def look():
        while not ended:
            looks.append(time.perf_counter())

    took, _ = in_threads(multiply, look)
    assert np.diff(looks).max() < took / 2                # what another thread waited for at most


@pytest.mark.skipif(not hasattr(resource, "RUSAGE_THREAD"), reason="this system does not count a thread's switches")
def test_small_kernels_do_not_hand_the_gil_over():
    model, x = small_classifier(3), np.ones((5, 6), int)
    model.predict(x, verbose=0)
    sys.setswitchinterval(0.1)

    def predict():
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        for _ in range(500):
            model.predict(x, verbose=0)
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before

    assert sum(in_threads(predict, predict)) < 200          # it was several for each call
