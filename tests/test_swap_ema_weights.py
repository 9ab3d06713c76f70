"""SwapEMAWeights: what evaluations, predictions and files see, against Keras over two epochs; errors and interrupts."""
import _thread

import keras
import numpy as np
import pytest

import nblayers
from nblayers.callbacks import BackupAndRestore, Callback, LambdaCallback, OrbaxCheckpoint, SwapEMAWeights
from nblayers.models import load_model


def a_model(library, use_ema=True, wrapped=False):
    model = library.Sequential([library.Input((3,)), library.layers.Dense(4, "tanh"), library.layers.BatchNormalization(),
                                library.layers.Dense(1)])
    model.set_weights([np.linspace(-1, 1, w.size, dtype="float32").reshape(w.shape) ** (2 if w.ndim == 1 else 1)
                       for w in model.get_weights()])
    optimizer = library.optimizers.SGD(0.1, momentum=0.5, use_ema=use_ema, ema_momentum=0.6)
    if wrapped:
        optimizer = library.optimizers.LossScaleOptimizer(optimizer)
    model.compile(optimizer, "mse")
    return model


@pytest.fixture
def data(rng):
    return rng.normal(size=(12, 3)).astype("float32"), rng.normal(size=(12, 1)).astype("float32")


def recorder(library, seen, saves):
    """A callback of that library: the weights at each of its hooks, and a file written in an evaluation."""
    class Recorder(library.callbacks.Callback):
        def note(self, name):
            state = [np.array(np.asarray(variable)) for variable in self.model.optimizer.variables]
            seen.append((name, self.model.get_weights(), state))

        def on_epoch_begin(self, epoch, logs=None):
            self.note("epoch begin")

        def on_test_batch_end(self, batch, logs=None):
            self.note("test")
            self.model.save(saves)

        def on_test_end(self, logs=None):
            self.note("test end")

        def on_epoch_end(self, epoch, logs=None):
            self.note("epoch end")

        def on_predict_batch_end(self, batch, logs=None):
            self.note("predict")
    return Recorder()


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_two_epochs_are_keras(swap_on_epoch, wrapped, data, tmp_path):
    x, y = data
    models, seen, logs = [], [], []
    for library in (nblayers, keras):
        model = a_model(library, wrapped=wrapped)
        seen.append([])
        swap = library.callbacks.SwapEMAWeights(swap_on_epoch)
        callbacks = [swap, recorder(library, seen[-1], tmp_path / f"{library.__name__}.keras")]
        history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, validation_data=(x, y), callbacks=callbacks)
        logs.append(history.history)
        model.evaluate(x, y, verbose=0, callbacks=callbacks)
        model.predict(x, verbose=0, callbacks=callbacks)
        models.append(model)
    assert [name for name, *_ in seen[0]] == [name for name, *_ in seen[1]]
    for (_, weights, state), (_, weights_there, state_there) in zip(*seen, strict=True):
        assert_same(weights, weights_there)
        if seen[0][0][2] is not state:              # before the first step the optimizer here has no state
            assert_same(state, state_there)
    by_name = {name: weights for name, weights, _ in seen[0][:6]}
    assert np.abs(by_name["test"][0] - by_name["test end"][0]).max() > 1e-3
    assert np.array_equal(by_name["epoch end"][0], by_name["test"][0]) == swap_on_epoch
    for name in logs[1]:
        assert_same(logs[0][name], logs[1][name])
    assert_same(models[0].get_weights(), models[1].get_weights())
    files = [load_model(tmp_path / "nblayers.keras"), keras.models.load_model(tmp_path / "nblayers.keras"),
             load_model(tmp_path / "keras.keras")]
    for read in files:
        assert_same(read.get_weights(), files[0].get_weights())
        assert_same([np.asarray(v) for v in read.optimizer.variables], [np.asarray(v) for v in files[0].optimizer.variables])


def test_prediction_and_evaluation_put_the_weights_back(data):
    """After any number of them; with a copy of the callback inside, too."""
    x, y = data
    model = a_model(nblayers)
    for _ in range(3):
        model.train_on_batch(x, y)
    before = model.get_weights()
    averages = model.predict(x, verbose=0, callbacks=SwapEMAWeights())
    assert np.abs(averages - model.predict(x, verbose=0)).max() > 1e-3
    inside = LambdaCallback(on_test_batch_end=lambda batch, logs: np.testing.assert_array_equal(
        model.predict(x, verbose=0, callbacks=SwapEMAWeights()), averages))
    model.evaluate(x, y, verbose=0, callbacks=[SwapEMAWeights(), inside])
    assert_all_equal(model, before)


def assert_all_equal(model, weights):
    for w, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(w, other)


def test_a_model_without_steps_has_its_weights_as_averages(data):
    x, y = data
    model = a_model(nblayers)
    assert model.evaluate(x, y, verbose=0, callbacks=SwapEMAWeights()) == model.evaluate(x, y, verbose=0)


def test_a_training_stopped_early_ends_with_the_averages(data):
    x, y = data
    models = [a_model(nblayers), a_model(nblayers)]
    stop = LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(models[0], "stop_training", epoch == 1))
    models[0].fit(x, y, epochs=5, verbose=0, shuffle=False, callbacks=[SwapEMAWeights(True), stop])
    models[1].fit(x, y, epochs=2, verbose=0, shuffle=False)
    assert_all_equal(models[0], models[1].get_weights())


class Fails(Callback):
    """Fails, or is interrupted, at a hook."""

    def __init__(self, hook, interrupt):
        super().__init__()
        setattr(self, hook, self.fail)
        self.interrupt = interrupt

    def fail(self, *args, **kwargs):
        if self.interrupt:
            _thread.interrupt_main()
            for _ in range(1000):
                pass
        raise OSError("no place left")


@pytest.mark.parametrize("interrupt", [False, True])
@pytest.mark.parametrize("method, hook, swap_on_epoch", [
    ("fit", "on_test_begin", False), ("fit", "on_test_batch_end", True), ("fit", "on_epoch_end", True),
    ("evaluate", "on_test_batch_end", False), ("predict", "on_predict_end", False)])
def test_errors_and_interrupts_leave_the_weights(method, hook, swap_on_epoch, interrupt, data):
    x, y = data
    models = [a_model(nblayers), a_model(nblayers)]
    for model in models:
        model.train_on_batch(x, y)
        model.train_on_batch(x, y)
    arguments = {"fit": (x, y), "evaluate": (x, y), "predict": (x,)}[method]
    options = {"validation_data": (x, y), "shuffle": False, "epochs": 2} if method == "fit" else {}
    with pytest.raises(KeyboardInterrupt if interrupt else OSError):
        getattr(models[0], method)(*arguments, verbose=0, callbacks=[SwapEMAWeights(swap_on_epoch), Fails(hook, interrupt)],
                                   **options)
    if method == "fit":
        models[1].train_on_batch(x, y)
    assert_all_equal(models[0], models[1].get_weights())
    for model in models:
        model.train_on_batch(x, y)
    assert_all_equal(models[0], models[1].get_weights())
    for state, other in zip(*(model.optimizer.variables for model in models), strict=True):
        np.testing.assert_array_equal(state, other)


def test_a_backup_of_swapped_weights_goes_on(data, tmp_path):
    x, y = data

    def callbacks(fail):
        last = LambdaCallback(on_epoch_begin=lambda epoch, logs: 1 / (epoch - (2 if fail else -1)))
        return [SwapEMAWeights(True), BackupAndRestore(tmp_path / "backup"), last]
    whole, broken, resumed = (a_model(nblayers) for _ in range(3))
    whole.fit(x, y, 4, 4, verbose=0, shuffle=False)
    with pytest.raises(ZeroDivisionError):
        broken.fit(x, y, 4, 4, verbose=0, shuffle=False, callbacks=callbacks(True))
    resumed.fit(x, y, 4, 4, verbose=0, shuffle=False, callbacks=callbacks(False))
    assert_all_equal(resumed, whole.get_weights())


def test_an_error_after_the_last_epoch_leaves_the_averages(data):
    x, y = data
    models = [a_model(nblayers), a_model(nblayers)]
    with pytest.raises(OSError, match="no place left"):
        models[0].fit(x, y, verbose=0, callbacks=[SwapEMAWeights(True), Fails("on_epoch_end", False)], shuffle=False)
    models[1].fit(x, y, verbose=0, shuffle=False)
    assert_all_equal(models[0], models[1].get_weights())


def test_a_step_on_averages_is_an_error(data):
    x, y = data
    model = a_model(nblayers)
    model.train_on_batch(x, y)
    step = LambdaCallback(on_test_batch_end=lambda batch, logs: model.train_on_batch(x, y))
    with pytest.raises(RuntimeError, match=r"SGD 'sgd\w*': a step was asked for while the averages are in the values' place"):
        model.evaluate(x, y, verbose=0, callbacks=[SwapEMAWeights(), step])


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_an_optimizer_without_averages(method, data):
    x, y = data
    model = a_model(nblayers, use_ema=False)
    with pytest.raises(ValueError, match=r"SwapEMAWeights: expected an optimizer with use_ema=True, got SGD 'sgd"):
        getattr(model, method)(x, *(() if method == "predict" else (y,)), verbose=0, callbacks=SwapEMAWeights())
    with pytest.raises(ValueError, match="SwapEMAWeights: expected swap_on_epoch to be True or False, got 'no'"):
        SwapEMAWeights("no")


def test_orbax_checkpoint_says_what_to_use():
    with pytest.raises(NotImplementedError, match=r"OrbaxCheckpoint: nblayers writes no .* BackupAndRestore"):
        OrbaxCheckpoint("directory")
