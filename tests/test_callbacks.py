"""Callbacks: which hooks are called with what, and what each of Keras' callbacks does."""
import re
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import assert_same

from nblayers import callbacks, optimizers
from nblayers.callbacks import (
    Callback,
    CallbackList,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from nblayers.layers import Dense, Input
from nblayers.models import Sequential, load_model
from nblayers.models.progress import Progbar, resolve_verbose

X = np.random.default_rng(0).normal(size=(6, 4)).astype("f")
Y = np.random.default_rng(1).normal(size=(6, 3)).astype("f")


def small(optimizer=None, **compiled):
    model = Sequential([Input((4,)), Dense(3)])
    model.compile(optimizer or optimizers.SGD(0.1), "mse", metrics=["mae"], **compiled)
    return model


class Recorder(Callback):
    """Writes down every hook that is called, with its arguments."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            def hook(*args, **kwargs):
                self.calls.append((name, *args, *kwargs.values()))
            return hook
        return super().__getattribute__(name)

    def names(self):
        return [name for name, *_ in self.calls]


def test_hooks_of_fit():
    recorder = Recorder()
    model = small()
    model.fit(X, Y, batch_size=3, validation_data=(X[:2], Y[:2]), callbacks=[recorder], verbose=0)
    batch = ["on_train_batch_begin", "on_train_batch_end"]
    assert recorder.names() == ["on_train_begin", "on_epoch_begin", *batch, *batch, "on_test_begin", "on_test_batch_begin",
                                "on_test_batch_end", "on_test_end", "on_epoch_end", "on_train_end"]
    assert recorder.model is model and recorder.params == {"verbose": 0, "epochs": 1, "steps": 2}
    calls = {name: arguments for name, *arguments in recorder.calls}
    assert calls["on_train_batch_end"][0] == 1 and list(calls["on_train_batch_end"][1]) == ["loss", "mae"]
    assert list(calls["on_test_end"][0]) == ["loss", "mae"]
    assert list(calls["on_epoch_end"][1]) == ["loss", "mae", "val_loss", "val_mae"] == list(calls["on_train_end"][0])
    assert all(type(value) is float for value in calls["on_epoch_end"][1].values())


def test_logs_of_batches_are_running_means():
    recorder = Recorder()
    model = small(optimizers.SGD(0.0))
    model.fit(X, Y, batch_size=3, shuffle=False, callbacks=recorder, verbose=0)
    first, second = (arguments[1]["loss"] for name, *arguments in recorder.calls if name == "on_train_batch_end")
    parts = [model.evaluate(X[i:i + 3], Y[i:i + 3], verbose=0)[0] for i in (0, 3)]
    assert (first, second) == pytest.approx((parts[0], np.mean(parts)), rel=1e-5)


def test_hooks_of_evaluate_and_predict():
    recorder = Recorder()
    model = small()
    model.evaluate(X, Y, batch_size=6, callbacks=[recorder], verbose=0)
    model.predict(X, batch_size=6, callbacks=[recorder], verbose=0)
    assert recorder.names() == ["on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end",
                                "on_predict_begin", "on_predict_batch_begin", "on_predict_batch_end", "on_predict_end"]
    assert recorder.calls[6][2]["outputs"].shape == (6, 3)


def test_hooks_are_called_as_keras_calls_them():
    import keras
    recorders = []
    for base, make in ((Callback, small), (keras.callbacks.Callback, _keras_small)):
        class Own(base):
            def __init__(self):
                super().__init__()
                self.seen = []

            def on_epoch_begin(self, epoch, logs=None):
                self.seen.append(("epoch begin", epoch, logs))

            def on_batch_end(self, batch, logs=None):
                self.seen.append(("batch end", batch, sorted(logs)))

            def on_epoch_end(self, epoch, logs=None):
                self.seen.append(("epoch end", epoch, list(logs)))

        own = Own()
        make().fit(X, Y, batch_size=4, epochs=2, validation_split=0.5, callbacks=[own], verbose=0)
        recorders.append(own)
    assert recorders[0].seen == recorders[1].seen


def _keras_small():
    import keras
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def test_a_callback_list_calls_only_what_is_overridden():
    made = []
    CallbackList([Callback(), History()]).on_train_batch_end(0, lambda: made.append(1))
    assert made == []
    own = LambdaCallback(on_batch_end=lambda batch, logs: made.append(logs))
    listed = CallbackList([[own], ()])
    listed.on_train_batch_end(0, lambda: {"loss": 1.0})
    assert made == [{"loss": 1.0}]
    listed.append(LambdaCallback(on_train_begin=made.append))
    listed.on_train_begin()
    assert made[-1] == {}


def test_callback_lists_add_what_is_missing_once():
    history, progress = History(), ProgbarLogger()
    listed = CallbackList([history, progress], add_history=True, add_progbar=True)
    assert listed.callbacks == [history, progress]
    assert [type(c) for c in CallbackList(None, add_history=True, add_progbar=True).callbacks] == [History, ProgbarLogger]


def test_history_is_the_models_and_the_one_returned():
    model = small()
    own = History()
    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=[own])
    assert history is own is model.history and history.epoch == [0, 1]
    assert {name: len(values) for name, values in history.history.items()} == {"loss": 2, "mae": 2}


def test_any_object_with_the_hooks_will_do():
    class Duck:
        def set_model(self, model):
            self.model = model

        def set_params(self, params):
            self.params = params

        def on_epoch_end(self, epoch, logs=None):
            self.last = epoch

    duck = Duck()
    small().fit(X, Y, epochs=3, verbose=0, callbacks=[duck])
    assert duck.last == 2


class Script:
    """A model whose epochs give these values; its one weight is the number of the epoch."""

    def __init__(self, values, name="val_loss"):
        self.values, self.name = values, name
        self.weight, self.stop_training, self.metrics = -1, False, []

    def get_weights(self):
        return self.weight

    def set_weights(self, weight):
        self.weight = weight

    def run(self, callback):
        callback.set_model(self)
        callback.on_train_begin()
        for epoch, value in enumerate(self.values):
            self.weight = epoch
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, {self.name: value})
            if self.stop_training:
                break
        callback.on_train_end()
        return epoch


@pytest.mark.parametrize("values, arguments, stops", [
    ([3, 2, 1, 2, 3], {}, 3),
    ([3, 2, 1, 2, 0], dict(patience=2), 4),
    ([3, 2, 1, 2, 2, 2], dict(patience=2), 4),
    ([1, 2, 3, 2], dict(mode="max"), 3),
    ([3, 2.5, 2.4, 2.3], dict(min_delta=0.2), 2),
    ([3, 2.5, 2.4, 2.3], dict(min_delta=-0.2), 2),
    ([5, 4, 3, 2], dict(baseline=1, patience=2), 3),
    ([5, 4, 0.5, 0.4], dict(baseline=1, patience=2), 3),
    ([1, 2, 3, 2, 3], dict(start_from_epoch=2), 4),
    ([1, 1], {}, 1),
    ([1, np.nan, np.nan], dict(patience=2), 2),
    ([np.nan, np.nan, np.nan, 1], dict(patience=2), 2),     # the first epoch is not waited for, whatever it gave
    ([np.inf, np.inf, 1], {}, 1),
    ([np.inf, 3, -np.inf, 2], dict(mode="min"), 3)])
def test_early_stopping_stops_where_keras_does(values, arguments, stops):
    import keras
    assert Script(values).run(EarlyStopping(**arguments)) == stops
    theirs = keras.callbacks.EarlyStopping(**arguments)
    assert Script(values).run(theirs) == stops


@pytest.mark.parametrize("values, arguments, best", [
    ([3, 1, 2, 3], dict(patience=2), 1),
    ([3, 2, 1], dict(patience=5), 2),                       # also where it did not stop
    ([5, 4, 6, 7], dict(patience=3, baseline=1), 1),        # also where nothing beat the baseline
    ([1, 5, 4, 6], dict(patience=1, start_from_epoch=1), 2)])
def test_early_stopping_restores_the_best_weights(values, arguments, best, capsys):
    import keras
    for callback in (EarlyStopping(restore_best_weights=True, verbose=1, **arguments),
                     keras.callbacks.EarlyStopping(restore_best_weights=True, verbose=1, **arguments)):
        script = Script(values)
        script.run(callback)
        assert script.weight == best and callback.best_epoch == best
    ours, theirs = np.array_split(capsys.readouterr().out.splitlines(), 2)
    assert list(ours) == list(theirs) and f"best epoch: {best + 1}." in ours[-1]


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize("values, arguments, best, stops", [
    ([NAN, 5, 4, 6, 7], dict(patience=2), 2, 4),
    ([NAN, NAN, 5, 4, NAN, 3], dict(patience=3), 5, 5),
    ([NAN, 4, 5, 3, 2], dict(mode="max", patience=1), 2, 3),
    ([NAN, -INF, 1, 2], dict(mode="max", patience=2), 3, 3),
    ([NAN, INF, 2, 1], dict(patience=2), 3, 3),
    ([5, NAN, 4, NAN, NAN], dict(patience=2), 2, 4),
    ([5, 4, NAN, 6], dict(patience=2), 1, 3),
    ([NAN, 5, 4.9, 4.8], dict(min_delta=0.5, patience=2), 1, 3),
    ([9, NAN, 5, 6], dict(start_from_epoch=1), 2, 3)])
def test_a_nan_is_beaten_by_every_number(values, arguments, best, stops, tmp_path):
    script = Script(values)
    callback = EarlyStopping(restore_best_weights=True, **arguments)
    assert script.run(callback) == stops
    assert script.weight == callback.best_epoch == best and callback.best == values[best]


@pytest.mark.parametrize("values, arguments, saved", [
    ([NAN, 5, 4, 6, 7], {}, [0, 1, 2]), ([NAN, NAN, 5, NAN, 4], {}, [0, 2, 4]), ([NAN, 4, 5, 3], dict(mode="max"), [0, 1, 2])])
def test_checkpoints_after_a_nan(values, arguments, saved, tmp_path):
    class Saves(Script):
        def save(self, path):
            found.append(self.weight)

    found = []
    Saves(values).run(ModelCheckpoint(tmp_path / "m.keras", save_best_only=True, **arguments))
    assert found == saved


def test_early_stopping_ends_a_training():
    model = small(optimizers.SGD(3.0))                      # diverges
    history = model.fit(X, Y, epochs=50, validation_split=0.5, verbose=0,
                        callbacks=[EarlyStopping(patience=2, restore_best_weights=True)])
    losses = history.history["val_loss"]
    assert len(losses) == np.argmin(losses) + 3
    assert model.evaluate(X[3:], Y[3:], verbose=0)[0] == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.parametrize("monitor, direction", [
    ("val_loss", "min"), ("a_loss", "min"), ("mae", "min"), ("val_accuracy", "max"), ("acc", "max")])
def test_direction_from_the_name(monitor, direction):
    callback = EarlyStopping(monitor)
    assert callback.improves(1.0 if direction == "min" else 3.0, 2.0) and not callback.improves(2.0, 2.0)


def test_direction_errors():
    with pytest.raises(ValueError, match=r"cannot tell whether 'wobble'.*mode='max' or mode='min'"):
        Script([1], "wobble").run(EarlyStopping("wobble"))
    with pytest.warns(UserWarning, match="expected mode to be 'auto', 'min' or 'max', got 'down'"):
        EarlyStopping(mode="down")


def test_early_stopping_without_its_quantity_warns():
    with pytest.warns(UserWarning, match="no 'val_loss' in the logs, which have loss, mae"):
        assert small().fit(X, Y, epochs=2, verbose=0, callbacks=[EarlyStopping()]).epoch == [0, 1]


def test_checkpoints_of_every_epoch(tmp_path, capsys):
    model = small()
    path = tmp_path / "new" / "{epoch:02d}-{val_loss:.2f}.keras"
    history = model.fit(X, Y, epochs=2, validation_split=0.5, verbose=0, callbacks=[ModelCheckpoint(path, verbose=1)])
    losses = history.history["val_loss"]
    files = sorted((tmp_path / "new").iterdir())
    assert [file.name for file in files] == [f"{i + 1:02d}-{loss:.2f}.keras" for i, loss in enumerate(losses)]
    assert load_model(files[-1]).evaluate(X[3:], Y[3:], verbose=0)[0] == pytest.approx(losses[-1], rel=1e-5)
    assert f"Epoch 1: saving model to {files[0]}" in capsys.readouterr().out


def test_checkpoints_of_the_best(tmp_path, capsys):
    class Saves(Script):
        saved = ()

        def save_weights(self, path):
            self.saved += ((path, self.weight),)

    path = str(tmp_path / "best.weights.npz")
    script = Saves([3, 2, 4, 1])
    script.run(ModelCheckpoint(path, save_best_only=True, save_weights_only=True, verbose=1))
    assert script.saved == ((path, 0), (path, 1), (path, 3))
    out = capsys.readouterr().out
    assert "val_loss improved from None to 3.00000" in out and "val_loss did not improve from 2.00000" in out
    script = Saves([3, 2, 4, 1])
    script.run(ModelCheckpoint(path, save_best_only=True, save_weights_only=True, initial_value_threshold=1.5))
    assert script.saved == ((path, 3),)
    script = Saves([3, 2, 4, 1], "score")
    script.run(ModelCheckpoint(path, "score", save_best_only=True, save_weights_only=True, mode="max"))
    assert script.saved == ((path, 0), (path, 2))


def test_checkpoints_of_batches(tmp_path):
    model = small()
    model.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[
        ModelCheckpoint(tmp_path / "{epoch}-{batch}-{loss:.1f}.weights.npz", save_weights_only=True, save_freq=2)])
    assert sorted(file.name[:3] for file in tmp_path.iterdir()) == ["1-2", "2-1", "2-3"]


def test_saved_weights_are_those_of_the_epoch(tmp_path):
    model = small()
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "w.npz", save_weights_only=True)])
    expected = model.get_weights()
    model.fit(X, Y, epochs=1, verbose=0)
    model.load_weights(tmp_path / "w.npz")
    assert_same(model.get_weights(), expected)


@pytest.mark.parametrize("arguments, message", [
    (dict(filepath="m.txt"), "models that ends in .keras, got 'm.txt'"),
    (dict(filepath="m.keras", save_weights_only=True), "weights that ends in .npz or .h5 or .safetensors, got 'm.keras'"),
    (dict(filepath="m.keras", save_freq="batch"), "'epoch' or a number of batches, got 'batch'"),
    (dict(filepath="m.keras", save_freq=0), "got 0")])
def test_checkpoint_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        ModelCheckpoint(**arguments)


def test_a_filepath_with_an_unknown_name(tmp_path):
    with pytest.raises(KeyError, match="names 'val_loss', which is not among"):
        small().fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "{val_loss}.keras")])


def test_a_checkpoint_without_its_quantity_warns_and_saves(tmp_path):
    with pytest.warns(UserWarning, match="no 'val_loss' in the logs; saving anyway"):
        small().fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)])
    assert (tmp_path / "m.keras").exists()


def test_lambda_callback_has_every_hook():
    seen = []

    def note(name):
        return lambda *args, **kwargs: seen.append(name)

    hooks = [name for name in vars(Callback) if name.startswith("on_") and name not in ("on_batch_begin", "on_batch_end")]
    callback = LambdaCallback(**{name: note(name) for name in hooks})
    model = small()
    model.fit(X, Y, validation_split=0.5, verbose=0, callbacks=[callback])
    model.predict(X, verbose=0, callbacks=[callback])
    assert set(seen) == set(hooks)


@pytest.mark.parametrize("arguments, message", [
    (dict(on_epoch_ende=print), "no hook 'on_epoch_ende'"),
    (dict(on_epoch_end=3), "expected a function for on_epoch_end, got 3")])
def test_lambda_callback_errors(arguments, message):
    with pytest.raises(TypeError, match=message):
        LambdaCallback(**arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_terminate_on_nan(value, capsys):
    model = small()
    y = Y.copy()
    y[4] = value
    history = model.fit(X, y, batch_size=2, epochs=3, shuffle=False, verbose=0, callbacks=[TerminateOnNaN()])
    assert history.epoch == [0] and "Batch 2: Invalid loss, terminating training" in capsys.readouterr().out


def test_module_exports_keras_names():
    import keras
    assert set(callbacks.__all__) - set(dir(keras.callbacks)) == {"WeightHistory"}


@pytest.mark.parametrize("verbose, expected", [("auto", 2), (0, 0), (1, 1), (2, 2), (True, 1)])
def test_verbose(verbose, expected):
    assert resolve_verbose(verbose) == expected


def test_verbose_error():
    for make, who in ((resolve_verbose, "Progbar"), (lambda v: callbacks.EarlyStopping(verbose=v), "EarlyStopping"),
                      (lambda v: callbacks.ModelCheckpoint("a.keras", verbose=v), "ModelCheckpoint")):
        with pytest.raises(ValueError, match=f"{who}: expected verbose to be 'auto', 0, 1 or 2, got 'loud'"):
            make("loud")


@pytest.mark.parametrize("value, text", [(0.5, "0.5000"), (1234.5678, "1234.5678"), (0.0005, "5.0000e-04"), (-2.0, "-2.0000"),
                                         (float("nan"), "nan")])
def test_numbers_in_the_line(value, text, capsys):
    Progbar(1, verbose=2).update(1, [("loss", value)])
    assert capsys.readouterr().out.endswith(f" - loss: {text}\n")


def test_times_in_the_line(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr("nblayers.models.progress.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("nblayers.models.progress.is_dynamic", lambda: True)
    bar = Progbar(10_000)
    for step, now, shown in [(1, 5.0, "13:53:15"), (2, 6.0, "2:46:38"), (9000, 5405.0, "10:00"), (9999, 9999.0, "0s")]:
        clock[0] = now
        bar.update(step)
        text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
        assert f" {shown} " in text, text
    clock[0] = 10_000.0
    bar.update(10_000)
    assert re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).strip() == f"10000/10000 {'━' * 20} 10000s 1000ms/step"


def test_a_line_of_unknown_length(monkeypatch, capsys):
    monkeypatch.setattr("nblayers.models.progress.is_dynamic", lambda: True)
    bar = Progbar(None, interval=0)
    bar.update(3, [("loss", 1.0)])
    assert "      3/Unknown" in capsys.readouterr().out
    bar.add(2)
    bar.update(bar.seen, finalize=True)
    assert capsys.readouterr().out.endswith("\n")


def test_a_shorter_line_covers_a_longer_one(monkeypatch, capsys):
    monkeypatch.setattr("nblayers.models.progress.is_dynamic", lambda: True)
    bar = Progbar(3, interval=0)
    bar.update(1, [("loss", 123456.0)])
    bar.update(2, [("loss", 1.0)])
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in capsys.readouterr().out.split("\r")[1:]]
    assert len(lines[1]) >= len(lines[0].rstrip())


def screen(text, columns):
    """What a terminal of so many columns shows of it, row by row."""
    rows, row, column = [[]], 0, 0
    for escape, number, character in re.findall(r"(\x1b\[(\d*)[Am])|([^\x1b])", text):
        if escape.endswith("A"):
            row = max(row - int(number), 0)
        elif character == "\r":
            column = 0
        elif character and (character == "\n" or column == columns):
            row, column = row + 1, 0
        if character and character not in "\r\n":
            rows += [[] for _ in range(row + 1 - len(rows))]
            rows[row] += [" "] * (column + 1 - len(rows[row]))
            rows[row][column] = character
            column += 1
    return ["".join(row) for row in rows]


@pytest.mark.parametrize("columns", [20, 33, 38, 60, 200])
def test_a_line_longer_than_the_terminal_is_printed_over(columns, monkeypatch, capsys):
    """All of its rows, whether it grows or shrinks."""
    monkeypatch.setattr("nblayers.models.progress.is_dynamic", lambda: True)
    monkeypatch.setattr("nblayers.models.progress._columns", lambda: columns)
    bar = Progbar(4, interval=0)
    for step, values in enumerate([[1.0], [123456.0, 1e6, 3.0], [1.0, 2.0], [1.0] * 6], 1):
        bar.update(step, [(f"loss_{number}", value) for number, value in enumerate(values)])
    shown = screen(capsys.readouterr().out.lstrip("\n"), columns)           # a line that an earlier test left open is ended
    assert re.fullmatch(r"4/4 ━{20} 0s \S+/step" + "".join(rf" - loss_{n}: 1.0000" for n in range(6)), "".join(shown).strip())
    assert all(len(row) == columns for row in shown[:-1])


def test_an_encoding_without_the_bars_character(monkeypatch):
    import io
    import sys
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    Progbar(1).update(1)
    sys.stdout.flush()
    assert b"1/1 ====================" in raw.getvalue()


LOSSES = [1.0, 0.9, 0.95, 0.9, 0.89995, 0.7, 0.8, 0.8, 0.8, 0.6, 0.65, 0.65, 0.65, 0.65, 0.65, 0.65]


def told(make, module, monitor="val_loss", rate=0.5):
    """The logs and learning rates of epochs with these losses, for one of our callbacks or of Keras'."""
    optimizer = module.optimizers.SGD(rate)
    callback = make(module.callbacks)
    callback.set_model(SimpleNamespace(optimizer=optimizer, metrics=[]))
    callback.on_train_begin()
    history = []
    for epoch, loss in enumerate(LOSSES):
        callback.on_epoch_begin(epoch)
        logs = {monitor: loss}
        callback.on_epoch_end(epoch, logs)
        history.append((logs["learning_rate"], float(np.asarray(optimizer.learning_rate))))
    return history


@pytest.mark.parametrize("make", [
    lambda of: of.ReduceLROnPlateau(patience=2), lambda of: of.ReduceLROnPlateau(patience=0, factor=0.5),
    lambda of: of.ReduceLROnPlateau(patience=1, factor=0.5, cooldown=2),
    lambda of: of.ReduceLROnPlateau(patience=1, min_lr=0.02),
    lambda of: of.ReduceLROnPlateau(patience=2, min_delta=0.3), lambda of: of.ReduceLROnPlateau(patience=3, mode="max"),
    lambda of: of.LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch % 2 else rate),
    lambda of: of.LearningRateScheduler(lambda epoch: 1.0 / (epoch + 1)),
])
def test_learning_rates_are_those_of_keras(make):
    import keras

    import nblayers
    np.testing.assert_allclose(told(make, nblayers), told(make, keras), rtol=1e-6)


def test_learning_rates_in_a_history(capsys):
    model = small(optimizers.SGD(0.5))
    halving = LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
    plateau = ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=1e9, verbose=1)
    history = model.fit(X, Y, epochs=3, callbacks=[halving, plateau], verbose=0).history
    np.testing.assert_allclose(history["learning_rate"], [0.25, 0.125, 0.00625])
    assert model.optimizer.learning_rate == pytest.approx(0.000625)
    lines = capsys.readouterr().out.splitlines()
    assert "Epoch 1: LearningRateScheduler setting learning rate to 0.25." in lines
    assert "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.0125." in lines


def test_callbacks_that_cannot_set_the_learning_rate():
    model = small(optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)))
    for callback in (LearningRateScheduler(lambda epoch, rate: 0.5), ReduceLROnPlateau("loss", patience=0, min_delta=1e9)):
        with pytest.raises(TypeError, match="SGD 'sgd': its learning_rate is a schedule, ExponentialDecay, and cannot be set"):
            model.fit(X, Y, epochs=2, callbacks=[callback], verbose=0)
    with pytest.raises(ValueError, match="LearningRateScheduler: expected what the schedule gives to be a finite"):
        small().fit(X, Y, callbacks=[LearningRateScheduler(lambda epoch: "a")], verbose=0)
    with pytest.raises(ValueError, match="LearningRateScheduler: expected schedule to be a function, got 0"):
        LearningRateScheduler(0)
    with pytest.warns(UserWarning, match="ReduceLROnPlateau: no 'val_loss' in the logs, which have loss, learning_rate"):
        callback = ReduceLROnPlateau()
        callback.set_model(model)
        callback.on_epoch_end(0, {"loss": 1.0})


def test_fit_ends_with_the_averages():
    plain, averaging = small(optimizers.SGD(0.1)), small(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    averaging.set_weights(plain.get_weights())
    values = []
    record = LambdaCallback(on_train_batch_end=lambda batch, logs: values.append(plain.get_weights()))
    plain.fit(X, Y, batch_size=2, shuffle=False, callbacks=[record], verbose=0)
    averaging.fit(X, Y, batch_size=2, shuffle=False, verbose=0)
    first, second, third = values
    expected = [0.25 * a + 0.25 * b + 0.5 * c for a, b, c in zip(first, second, third, strict=True)]
    assert_same(averaging.get_weights(), expected, rtol=1e-5)
    averaging.fit(X, Y, epochs=0, verbose=0)
    assert_same(averaging.get_weights(), expected, rtol=1e-5)
