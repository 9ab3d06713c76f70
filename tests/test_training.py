"""The training loop where it is used hard: nested runs, threads, data that end, signals, frozen layers, lost output."""
import _thread
import copy
import io
import itertools
import pickle
import re
import signal
import sys
import threading
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from helpers import assert_same

from nblayers import callbacks, metrics, optimizers
from nblayers.callbacks import Callback, EarlyStopping, LambdaCallback, ModelCheckpoint
from nblayers.layers import Dense, Dropout, Flatten, Input, Layer
from nblayers.models import Model, Sequential
from nblayers.models.interrupts import Interrupts

X = np.random.default_rng(0).normal(size=(12, 4)).astype("f")
Y = np.random.default_rng(1).normal(size=(12, 3)).astype("f")
QUIET = {"verbose": 0}


def small(optimizer=None, **compiled):
    model = Sequential([Input((4,)), Dense(3, kernel_initializer="ones")])
    model.compile(optimizer or optimizers.SGD(0.0), "mse", **{"metrics": ["mae"], **compiled})
    return model


def generator(n, size=2):
    for i in range(n):
        yield X[i * size:(i + 1) * size], Y[i * size:(i + 1) * size]


class Batches:
    """A Sequence that writes down what it is asked for."""

    def __init__(self, n=3):
        self.n, self.log = n, ""

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        self.log += str(i)
        return X[2 * i:2 * i + 2], Y[2 * i:2 * i + 2]

    def on_epoch_begin(self):
        self.log += "("

    def on_epoch_end(self):
        self.log += ")"


class Again:
    """Batches that can be read again, but not asked for by number."""

    def __iter__(self):
        return generator(6)


@pytest.mark.parametrize("data, size", [((X, Y), 2), ((X, Y, np.ones(12)), 2), (Batches(6), None), (Again(), None)])
def test_every_validation_begins_at_the_first_batch(data, size):
    history = small().fit(X, Y, epochs=4, validation_data=data, validation_steps=2, validation_batch_size=size, **QUIET)
    expected = small().evaluate(X[:4], Y[:4], **QUIET)
    assert history.history["val_loss"] == pytest.approx([expected[0]] * 4) and len(set(history.history["val_mae"])) == 1


def test_validation_on_a_generator_goes_on():
    history = small().fit(X, Y, epochs=3, validation_data=generator(6), validation_steps=2, **QUIET)
    expected = [small().evaluate(X[i:i + 4], Y[i:i + 4], **QUIET)[0] for i in (0, 4, 8)]
    assert history.history["val_loss"] == pytest.approx(expected)


@pytest.mark.parametrize("call, log", [
    (lambda m, b: m.fit(b, epochs=2, shuffle=False, **QUIET), "(012)(012)"),
    (lambda m, b: m.fit(b, epochs=3, shuffle=False, steps_per_epoch=1, **QUIET), "(0)(1)(2)"),
    (lambda m, b: m.fit(X, Y, epochs=2, validation_data=b, **QUIET), "(012)(012)"),
    (lambda m, b: m.fit(X, Y, epochs=2, validation_data=b, validation_steps=2, **QUIET), "(01)(01)"),
    (lambda m, b: m.fit(b, epochs=3, shuffle=False, callbacks=[Stop(1)], **QUIET), "(01)"),
    (lambda m, b: m.evaluate(b, **QUIET), "(012)"),
    (lambda m, b: m.evaluate(b, steps=2, **QUIET), "(01)"),
    (lambda m, b: m.predict(b, **QUIET), "(012)"),
    (lambda m, b: m.predict(b, steps=1, **QUIET), "(0)")])
def test_a_sequence_is_told_of_every_epoch(call, log):
    batches = Batches()
    call(small(), batches)
    assert batches.log == log


class Stop(Callback):
    def __init__(self, last):
        super().__init__()
        self.last = last

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == self.last


@pytest.mark.parametrize("call, message", [
    (lambda m: m.fit(generator(4), epochs=3, **QUIET), "ran out after 1 of 3 epochs"),
    (lambda m: m.fit(generator(4), epochs=3, steps_per_epoch=2, **QUIET), "ran out after 2 of 3 epochs"),
    (lambda m: m.fit(generator(4), epochs=4, initial_epoch=2, **QUIET), "ran out after 1 of 2 epochs"),
    (lambda m: m.fit(generator(3), epochs=1, steps_per_epoch=5, **QUIET), r"after 3 of 5 batches \(steps_per_epoch=5\)"),
    (lambda m: m.fit(X, Y, validation_data=generator(1), validation_steps=2, **QUIET), r"1 of 2 batches \(validation_steps=2"),
    (lambda m: m.evaluate(generator(3), steps=5, **QUIET), r"after 3 of 5 batches \(steps=5\)"),
    (lambda m: m.predict(generator(3), steps=5, **QUIET), r"after 3 of 5 batches \(steps=5\)"),
    (lambda m: m.predict(X, steps=5, batch_size=4, **QUIET), r"after 3 of 5 batches \(steps=5\)")])
def test_data_that_run_out_are_told_of(call, message):
    with pytest.warns(UserWarning, match=message):
        call(small())


@pytest.mark.parametrize("call", [
    lambda m: m.fit(generator(4), **QUIET), lambda m: m.fit(generator(4), epochs=2, steps_per_epoch=2, **QUIET),
    lambda m: m.fit(Again(), epochs=2, **QUIET), lambda m: m.evaluate(generator(3), steps=3, **QUIET)])
def test_data_that_suffice_are_not(call):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(small())


def reusing(buffer, n=3):
    for i in range(n):
        buffer[...] = i
        yield buffer


@pytest.mark.parametrize("layers", [[Flatten()], [Dropout(0.5)], [Dropout(0.5), Flatten()]])
def test_predictions_of_a_reused_buffer(layers):
    model, seen = Sequential([Input((2, 2)), *layers]), []
    keep = LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(logs["outputs"]))
    y = model.predict(reusing(np.zeros((2, 2, 2), "f")), callbacks=[keep], **QUIET)
    assert [float(row.mean()) for row in y] == [0, 0, 1, 1, 2, 2]
    assert [float(batch.mean()) for batch in seen] == [0, 1, 2]
    x = np.ones((2, 2, 2), "f")
    for predicted in (model.predict(x, **QUIET), model.predict_on_batch(x)):
        assert not np.shares_memory(predicted, x)


def test_predictions_of_several_outputs_of_a_reused_buffer():
    x = Input((2,))
    model = Model(x, {"same": Dropout(0.5)(x), "sum": Dense(1, kernel_initializer="ones")(x)})
    y = model.predict(reusing(np.zeros((1, 2), "f")), **QUIET)
    assert y["same"].tolist() == [[0, 0], [1, 1], [2, 2]] and y["sum"].tolist() == [[0], [2], [4]]


class Own(metrics.Metric):
    """A metric with an array that it changes in place, and one within it."""

    def __init__(self):
        super().__init__(name="own")
        self.sums, self.inner = np.zeros(2), metrics.Mean()

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.sums += [np.abs(y_true - y_pred).sum(), y_true.size]
        self.inner.update_state(np.abs(y_true - y_pred))

    def result(self):
        assert self.inner.result() == pytest.approx(self.sums[0] / self.sums[1], rel=1e-5)
        return self.sums[0] / self.sums[1]

    def reset_state(self):
        self.sums[...] = 0
        self.inner.reset_state()


class Nested(Callback):
    """Calls something in every hook of a training."""

    def __init__(self, call):
        super().__init__()
        for name in ("on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end",
                     "on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"):
            setattr(self, name, lambda *args, **kwargs: call(self.model))


NESTED = {
    "evaluate": lambda m: m.evaluate(100 * X[:4], Y[:4], **QUIET), "test_on_batch": lambda m: m.test_on_batch(100 * X, Y),
    "train_on_batch": lambda m: m.train_on_batch(100 * X, Y), "predict": lambda m: m.predict(100 * X, **QUIET),
    "predict_on_batch": lambda m: m.predict_on_batch(X)}


@pytest.mark.parametrize("nested", NESTED)
def test_what_a_callback_runs_leaves_the_epochs_numbers_alone(nested):
    arguments = {"weighted_metrics": [metrics.MeanSquaredError()]}
    results, alone = [], NESTED[nested](small(metrics=[Own(), "mae"], **arguments))
    for extra in ([], [Nested(lambda m: assert_same(NESTED[nested](m), alone, rtol=1e-5))]):
        own = Own()
        model = small(metrics=[own, "mae"], **arguments)
        history = model.fit(X, Y, batch_size=5, epochs=2, shuffle=False, validation_data=(X, 2 * Y), callbacks=extra, **QUIET)
        assert model.history is history and own.result() == pytest.approx(history.history["val_own"][-1])
        results.append((history.history, model.evaluate(X, Y, callbacks=extra and [Nested(lambda m: m.evaluate(X, Y, **QUIET))],
                                                        **QUIET)))
    assert results[0] == results[1]
    assert len(results[0][0]["loss"]) == 2 and results[0][0]["own"] == pytest.approx(results[0][0]["mae"])


@pytest.mark.parametrize("nested", ["fit", "compile"])
def test_what_cannot_work_inside_fit_is_an_error(nested):
    calls = {"fit": lambda m: m.fit(X, Y, **QUIET), "compile": lambda m: m.compile("adam", "mae")}
    model = small()
    refused = []

    def try_it(model):
        with pytest.raises(RuntimeError, match=f"Sequential .*: {nested} cannot be called from a callback of its own fit"):
            calls[nested](model)
        refused.append(model.history)

    history = model.fit(X, Y, epochs=2, validation_data=(X, Y), callbacks=[Nested(try_it)], **QUIET)
    assert len(refused) > 5 and set(refused) == {history} and len(history.history["loss"]) == 2
    calls[nested](model)                                    # afterwards it can be


def test_fit_and_compile_in_a_callback_of_evaluate():
    model = small()
    expected = model.evaluate(X, Y, batch_size=4, **QUIET)

    def nested(batch, logs):
        other.fit(X, Y, **QUIET) if batch == 1 else other.compile(optimizers.SGD(0.0), "mae")

    other = small()
    found = other.evaluate(X, Y, batch_size=4, callbacks=[LambdaCallback(on_test_batch_end=nested)], **QUIET)
    assert found == pytest.approx(expected)


def test_one_metric_object_in_two_models():
    shared = metrics.MeanAbsoluteError()
    first, second = small(metrics=[shared]), small(metrics=[shared])
    run = LambdaCallback(on_train_batch_end=lambda batch, logs: second.evaluate(X, 100 * Y, **QUIET))
    history = first.fit(X, Y, batch_size=4, callbacks=[run], **QUIET)
    assert history.history["mean_absolute_error"][0] == pytest.approx(small().evaluate(X, Y, **QUIET)[1])
    assert shared.result() == history.history["mean_absolute_error"][0]


def test_a_metric_object_that_was_used_before_starts_afresh():
    shared = metrics.MeanAbsoluteError()
    small(metrics=[shared]).evaluate(X, 100 * Y, **QUIET)
    fresh = metrics.MeanAbsoluteError()
    assert small(metrics=[shared]).evaluate(X, Y, **QUIET) == small(metrics=[fresh]).evaluate(X, Y, **QUIET)


def test_functions_and_layers_in_metrics_are_not_copied():
    class Counter:
        calls = 0

        def count(self, y_true, y_pred):
            self.calls += 1
            return np.abs(y_true - y_pred).mean(axis=-1)

    class OfModel(Own):
        def __init__(self, model):
            super().__init__()
            self.model = model

    counter, model = Counter(), small()
    held = OfModel(model)
    model.compile(optimizers.SGD(0.0), "mse", metrics=[counter.count, held])
    models = []
    held.__class__.reset_state = lambda self: (models.append(self.model), Own.reset_state(self))
    model.fit(X, Y, callbacks=[LambdaCallback(on_train_batch_end=lambda b, logs: model.evaluate(X, Y, **QUIET))], **QUIET)
    assert counter.calls == 2 and set(models) == {model}


def test_a_metric_that_cannot_be_copied():
    metric = Own()
    metric.lock = threading.Lock()
    model = small(metrics=[metric])
    model.fit(X, Y, **QUIET)                                # as long as it need not be
    nested = LambdaCallback(on_epoch_end=lambda epoch, logs: model.evaluate(X, Y, **QUIET))
    with pytest.raises(TypeError, match=r"Sequential .*needs copies of the metrics.*cannot be copied: .*lock"):
        model.fit(X, Y, callbacks=[nested], **QUIET)
    assert model.evaluate(X, Y, **QUIET)[1] == pytest.approx(metric.result())


def test_a_call_is_stopped_and_no_other():
    model, counts = small(), []

    def outer(batch, logs):
        if batch == 0:
            counts.append(batches_of(model.evaluate, stop_at=2))
            assert not model.stop_evaluating
            counts.append(batches_of(model.predict, stop_at=1))

    def batches_of(method, stop_at=None, *others):
        seen = []
        hook, flag, data = (("on_test_batch_end", "stop_evaluating", (X, Y)) if method == model.evaluate else
                            ("on_predict_batch_end", "stop_predicting", (X,)))

        def stop(batch, logs):
            seen.append(batch)
            if batch + 1 == stop_at:
                setattr(model, flag, True)
        method(*data, batch_size=2, callbacks=[LambdaCallback(**{hook: stop}), *others], **QUIET)
        return len(seen)

    counts.append(batches_of(model.evaluate, None, LambdaCallback(on_test_batch_end=outer)))
    assert counts == [2, 1, 6] and batches_of(model.evaluate) == 6
    ends = []
    history = model.fit(X, Y, epochs=2, validation_data=(X, Y), validation_batch_size=2, callbacks=[LambdaCallback(
        on_test_batch_end=lambda b, logs: (ends.append(b), setattr(model, "stop_evaluating", b == 1)))], **QUIET)
    assert ends == [0, 1] * 2 and history.epoch == [0, 1]


def together(*calls):
    """Run each call in a thread of its own, all at once; their results."""
    results, barrier = [None] * len(calls), threading.Barrier(len(calls))

    def run(i, call):
        barrier.wait()
        try:
            results[i] = call()
        except BaseException as error:
            results[i] = error
    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def test_threads_evaluate_and_fit_one_model():
    model = small(metrics=[Own(), "mae"])
    model.fit(X, Y, **QUIET)
    sets = [(X, Y), (X, 3 * Y), (2 * X, Y)]
    alone = [model.evaluate(x, y, batch_size=2, **QUIET) for x, y in sets]
    fitted = model.fit(X, Y, epochs=20, batch_size=2, shuffle=False, **QUIET).history

    def evaluate(x, y):
        return lambda: [model.evaluate(x, y, batch_size=2, **QUIET) for _ in range(20)]
    *found, history = together(*(evaluate(*pair) for pair in sets),
                               lambda: model.fit(X, Y, epochs=20, batch_size=2, shuffle=False, **QUIET).history)
    assert history == fitted
    for results, expected in zip(found, alone, strict=True):
        assert results == [expected] * 20


def test_training_steps_of_several_threads_are_whole():
    model = small(optimizers.SGD(0.001))
    model.train_on_batch(X, Y)
    together(*[lambda: [model.train_on_batch(X, Y) for _ in range(30)]] * 3)
    assert model.optimizer.iterations == 91
    other = small(optimizers.SGD(0.001))
    for _ in range(91):
        other.train_on_batch(X, Y)
    assert_same(model.get_weights(), other.get_weights())


def test_fit_beside_fit_is_an_error_and_another_thread_may_stop_it():
    model, begun = small(), threading.Event()
    thread = threading.Thread(target=lambda: model.fit(X, Y, epochs=10**6, callbacks=[
        LambdaCallback(on_epoch_end=lambda epoch, logs: begun.set())], **QUIET))
    thread.start()
    assert begun.wait(60)
    history = model.history
    for call in (lambda: model.fit(X, Y, **QUIET), lambda: model.compile("sgd", "mse")):
        with pytest.raises(RuntimeError, match="cannot be called while another thread fits it"):
            call()
    assert model.history is history and thread.is_alive()
    model.stop_training = True
    thread.join(60)
    assert not thread.is_alive()


def test_copies_made_inside_fit_are_free():
    model, copies = small(), []

    def keep(batch, logs):
        copies.append(copy.deepcopy(model))
        pickle.loads(pickle.dumps([model._runs, model._parts, model._objective]))
    model.fit(X, Y, callbacks=[LambdaCallback(on_train_batch_end=keep)], **QUIET)
    assert len(copies[0].fit(X, Y, **QUIET).epoch) == 1
    assert model._objective._filled.keys().isdisjoint(copies[0]._objective._filled)


def test_a_frozen_layer_is_left_alone_everywhere():
    def changed(call):
        before = model.get_weights()
        call()
        return [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]

    calls = [lambda: model.fit(X, Y, **QUIET), lambda: model.train_on_batch(X, Y)]
    model = Sequential([Input((4,)), Dense(3), Dense(3)])
    model.compile("adam", "mse")
    for first in calls:
        for second in calls:
            for freeze in (lambda on: setattr(model.layers[0], "trainable", on),
                           lambda on: [setattr(p, "trainable", on) for p in model.layers[0].weights]):
                assert all(changed(first))
                freeze(False)
                assert changed(second) == [False, False, True, True]
                freeze(True)
                assert all(changed(second))


def test_layers_frozen_by_a_callback_are_frozen_from_then_on():
    model, weights = Sequential([Input((4,)), Dense(3)]), []
    model.compile("sgd", "mse")

    def freeze(batch, logs):
        weights.append(model.get_weights())
        model.layers[0].trainable = batch < 2
    model.fit(X, Y, batch_size=2, callbacks=[LambdaCallback(on_train_batch_end=freeze)], **QUIET)
    moved = [not np.array_equal(a[0], b[0]) for a, b in itertools.pairwise(weights)]
    assert moved == [True, True, False, False, False]


class Tower(Model):
    """Layers in a list, which may grow."""

    def __init__(self):
        super().__init__(name="tower")
        self.blocks = [Dense(3)]
        self.extra = None

    def forward(self, x, training=False):
        for block in self.blocks:
            x = block.forward(x)
        return x if self.extra is None else self.extra.forward(x)

    def backward(self, dy):
        dy = dy if self.extra is None else self.extra.backward(dy)
        for block in reversed(self.blocks):
            dy = block.backward(dy)
        return dy


@pytest.mark.parametrize("grow", [
    lambda m, layer: m.blocks.append(layer), lambda m, layer: setattr(m, "blocks", [*m.blocks, layer]),
    lambda m, layer: setattr(m, "extra", layer)])
@pytest.mark.parametrize("train", [lambda m: m.train_on_batch(X, Y), lambda m: m.fit(X, Y, **QUIET)])
def test_a_layer_added_later_is_trained(grow, train):
    model = Tower()
    model.compile("sgd", "mse")
    for _ in range(3):
        train(model)
        layer = Dense(3)
        grow(model, layer)
        layer.build((None, 3))
        before = layer.get_weights()[0]
        train(model)
        assert not np.array_equal(before, layer.get_weights()[0])


def test_a_layer_that_is_first_called_later_is_trained():
    model = Tower()
    model.compile("sgd", "mse")

    def grow(batch, logs):
        if batch == 1:
            model.blocks.append(Dense(3))
    kernels = []
    model.fit(X, Y, batch_size=2, callbacks=[
        LambdaCallback(on_train_batch_end=grow),
        LambdaCallback(on_train_batch_end=lambda b, logs: b > 1 and kernels.append(model.blocks[1].get_weights()[0]))], **QUIET)
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(kernels)) and len(kernels) == 4


def test_penalties_of_a_frozen_layer_count_nowhere():
    model = Sequential([Input((4,)), Dense(3, kernel_regularizer="l2")])
    model.compile(optimizers.SGD(0.0), "mse")
    ways = [lambda: model.evaluate(X, Y, **QUIET), lambda: model.test_on_batch(X, Y), lambda: model.train_on_batch(X, Y),
            lambda: model.fit(X, Y, **QUIET).history["loss"][0]]
    free = [way() for way in ways]
    model.layers[0].trainable = False
    frozen = [way() for way in ways]
    assert free == pytest.approx([free[0]] * 4, rel=1e-5) and frozen == pytest.approx([frozen[0]] * 4, rel=1e-5)
    assert frozen[0] < free[0]


def test_many_layers_are_added_in_linear_time():
    def calls(n):
        """How many functions run, and generators go on, while n layers are added and taken away."""
        model, layers, count = Sequential([Input((2,))]), [Flatten() for _ in range(n)], itertools.count()
        sys.setprofile(lambda *event: next(count))
        try:
            for layer in layers:
                model.add(layer)
            for _ in range(n):
                model.pop()
        finally:
            sys.setprofile(None)
        return next(count)
    calls(10)
    assert calls(1600) < 5 * calls(400)


def test_a_stack_that_changes_is_the_present_one():
    model = Sequential([Input((4,)), Dense(3)])
    copied = copy.deepcopy(model)
    model.add(Dense(2))
    assert model.predict(X, **QUIET).shape == (12, 2) and copied.predict(X, **QUIET).shape == (12, 3)
    model.pop()
    assert model.predict(X, **QUIET).shape == (12, 3) and len(model.inputs) == len(model.outputs) == 1
    model.layers[0].name = "renamed"
    model.add(Dense(2, name="renamed"))
    with pytest.raises(ValueError, match="2 layers named 'renamed'"):
        model.predict(X, **QUIET)


class Alarm(Exception):
    pass


@contextmanager
def handler(number, function):
    previous = signal.signal(number, function)
    try:
        yield
    finally:
        signal.signal(number, previous)


def raising(number, frame):
    raise Alarm


class Signalled(optimizers.Adam):
    """A signal arrives between the parameters of a step."""

    def __init__(self, send, step):
        super().__init__(0.1)
        self.send, self.left = send, 2 * step - 1

    def update(self, *arguments):
        super().update(*arguments)
        self.left -= 1
        if self.left == 0:
            self.send()


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGRTMIN + 1])
@pytest.mark.parametrize("when", ["before", "in a callback", "in a generator"])
def test_no_signal_tears_a_step_apart(number, when):
    model = small(Signalled(lambda: signal.raise_signal(number), 5))

    def install(*_, **logs):
        signal.signal(number, raising)

    def batches():
        while True:
            install()
            yield X[:4], Y[:4]

    with handler(number, raising if when == "before" else signal.getsignal(number)):
        extra = [LambdaCallback(on_train_batch_begin=install)] if when == "in a callback" else []
        data = (batches(),) if when == "in a generator" else (X[:4], Y[:4])
        with pytest.raises(Alarm):
            model.fit(*data, epochs=10, steps_per_epoch=1, callbacks=extra, **QUIET)
        assert signal.getsignal(number) is raising
    other = small(optimizers.Adam(0.1))
    for _ in range(5):
        other.train_on_batch(X[:4], Y[:4])
    assert model.optimizer.iterations == 5
    assert_same(model.get_weights(), other.get_weights(), rtol=1e-6)
    for ours, theirs in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        assert_same(ours, theirs, rtol=1e-6)


def test_interrupt_main_waits_for_the_step():
    model = small(Signalled(_thread.interrupt_main, 1))
    with pytest.raises(KeyboardInterrupt):
        model.train_on_batch(X, Y)
    assert model.optimizer.iterations == 1


def test_every_signal_that_came_is_handled_once_with_its_frame():
    got = []
    with handler(signal.SIGUSR1, lambda number, frame: got.append((number, frame.f_code.co_name))), \
         handler(signal.SIGUSR2, raising):
        with pytest.raises(Alarm), Interrupts() as interrupts:
            interrupts.hold()
            for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1):
                signal.raise_signal(number)
            assert got == []
            interrupts.release()
        name = "test_every_signal_that_came_is_handled_once_with_its_frame"
        assert got == [(signal.SIGUSR1, name)] * 2


def test_what_came_last_is_handled_though_the_first_handler_raises():
    got = []
    with handler(signal.SIGUSR1, raising), handler(signal.SIGUSR2, lambda number, frame: got.append(number)):
        with pytest.raises(Alarm), Interrupts() as interrupts:
            interrupts.hold()
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGUSR2)
        assert got == [signal.SIGUSR2]


def test_handlers_changed_meanwhile_stay_as_they_were_set():
    calls = []
    with handler(signal.SIGUSR1, lambda *_: calls.append("first")):
        with Interrupts() as interrupts:
            previous = signal.getsignal(signal.SIGUSR1)

            def chained(number, frame):
                calls.append("second")
                previous(number, frame)
            signal.signal(signal.SIGUSR1, chained)
            interrupts.look()
            interrupts.hold()
            signal.raise_signal(signal.SIGUSR1)
            assert calls == []
            interrupts.release()
            assert calls == ["second", "first"]
        assert signal.getsignal(signal.SIGUSR1) is chained
        signal.raise_signal(signal.SIGUSR1)
        assert calls == ["second", "first"] * 2


class Averaging(Layer):
    """Keeps a running mean of its inputs, as normalisation does."""

    def build(self, input_shape):
        self.mean = self.add_weight((input_shape[-1],), "zeros", trainable=False, name="mean")

    def forward(self, x, training=False):
        if training:
            self.mean.value[...] = 0.9 * self.mean.value + 0.1 * x.mean(axis=0)
        self.cache = x
        return x

    def backward(self, dy):
        return dy


def test_statistics_belong_to_the_step():
    class Failing(Layer):
        calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls == 4:
                signal.raise_signal(signal.SIGALRM)
            self.cache = x
            return x

        def backward(self, dy):
            return dy

    expected = Sequential([Input((4,)), Averaging(), Dense(3, kernel_initializer="ones")])
    model = Sequential([Input((4,)), Averaging(), Dense(3, kernel_initializer="ones"), Failing()])
    model.layers[-1].calls = 0
    for one in (expected, model):
        one.compile("sgd", "mse")
    expected.fit(X, Y, batch_size=4, shuffle=False, **QUIET)
    with handler(signal.SIGALRM, raising), pytest.raises(Alarm):
        model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, **QUIET)
    assert_same(model.get_weights(), expected.get_weights())


class Broken(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def isatty(self):
        return True

    def write(self, text):
        raise self.error


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


class Deaf:
    """An object that can only be written to."""

    def write(self, text):
        return len(text)


@pytest.mark.parametrize("make", [lambda: None, closed, lambda: Broken(BrokenPipeError()), lambda: Broken(ValueError("lost")),
                                  lambda: Broken(OSError(5, "lost")), Deaf, object])
@pytest.mark.parametrize("verbose", ["auto", 1, 2])
def test_a_lost_stdout_does_not_end_a_training(make, verbose, monkeypatch, tmp_path):
    model = small()
    told = [EarlyStopping("loss", min_delta=0.1, verbose=1, restore_best_weights=True),
            ModelCheckpoint(tmp_path / "m.npz", save_weights_only=True, verbose=1)]
    monkeypatch.setattr(sys, "stdout", make())
    history = model.fit(X, Y, epochs=3, verbose=verbose, callbacks=told)
    model.fit(X, np.full_like(Y, np.nan), verbose=verbose, callbacks=[callbacks.TerminateOnNaN()])
    model.evaluate(X, Y, verbose=verbose)
    model.predict(X, verbose=verbose)
    model.summary()
    assert history.epoch == [0, 1]


def test_an_alarm_while_something_is_printed_is_not_passed_over(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken(TimeoutError()))
    with pytest.raises(TimeoutError):
        small().fit(X, Y, epochs=2)


def test_a_nested_progress_line_has_a_line_of_its_own(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr("nblayers.models.progress.Progbar.due", property(lambda self: True))
    model = small()
    nested = LambdaCallback(on_train_batch_end=lambda batch, logs: batch == 1 and model.evaluate(X, Y, verbose=1))
    model.fit(X, Y, batch_size=4, callbacks=[callbacks.ProgbarLogger(), nested])
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line.split("\r")[-1]) for line in screen.getvalue().split("\n")]
    assert [line[:3] for line in lines] == ["2/3", "1/1", "3/3", ""]
