"""Callbacks that write what a training gives: CSVLogger, TensorBoard; TerminateOnNaN with an error, RemoteMonitor."""
import csv
import math
import warnings

import numpy as np
import pytest
from helpers import assert_same

from nblayers import callbacks
from nblayers.layers import Dense, Input
from nblayers.models import Sequential

X = np.random.default_rng(0).normal(size=(10, 4)).astype("f")
Y = np.random.default_rng(1).normal(size=(10, 3)).astype("f")


def small():
    model = Sequential([Input((4,)), Dense(3, name="d")], name="m")
    model.compile("sgd", "mse", metrics=["mae"])
    return model


HISTORIES = [[{"loss": 1.0, "acc": np.float32(0.5)}, {"loss": 0.5, "acc": 0.25, "val_loss": 3.0}, {"acc": 1}],
             [{"loss": 1.0, "val_loss": 2.5, "v": np.array([1, 2.5]), "l": [1, 2], "s": "a,b", "z": np.array(3.0)},
              {"loss": math.nan}], [{}, {"a": 1}]]


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("before", [None, "", "epoch,loss\n0,1\n"])
@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_files_are_those_of_keras(history, before, append, separator, tmp_path):
    import keras
    written = []
    for module in (keras.callbacks, callbacks):
        path = tmp_path / module.__name__
        if before is not None:
            path.write_text(before)
        logger = module.CSVLogger(path, separator, append)
        for _ in range(2):                              # fit may be called again
            logger.on_train_begin()
            for epoch, logs in enumerate(history):
                logger.on_epoch_end(epoch, logs)
            logger.on_train_end()
        written.append(path.read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_an_error_leaves_whole_files(kind, tmp_path):
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 5:
                raise kind

    board = callbacks.TensorBoard(tmp_path / "logs", histogram_freq=1)
    with pytest.raises(kind):
        small().fit(X, Y, batch_size=5, epochs=9, verbose=0,
                    callbacks=[callbacks.CSVLogger(tmp_path / "a.csv"), board, Stop()])
    with open(tmp_path / "a.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]
    assert not board._files and [step for step, _ in events(tmp_path / "logs" / "train")["epoch_loss"]] == [0, 1]


@pytest.mark.parametrize("arguments, message", [
    (("",), "expected filename to be a path, got ''"), ((5,), "filename to be a path, got 5"),
    (("a", ", "), "separator to be one character"), (("a", "\n"), "separator to be one character"),
    (("a", 5), "separator to be a string"), (("a", ",", 2), "append to be True or False")])
def test_errors_of_csv_logger(arguments, message):
    with pytest.raises(ValueError, match=f"CSVLogger: .*{message}"):
        callbacks.CSVLogger(*arguments)


def events(directory):
    """{tag: [(step, value)]} of the files in a directory; their checksums are looked at."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.util.tensor_util import make_ndarray
    found = {}
    for path in sorted(directory.iterdir()):
        for record in RawEventFileLoader(str(path)).Load():
            event = Event.FromString(record)
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, make_ndarray(value.tensor)))
    return found


def test_tensorboard_has_what_the_history_has(tmp_path):
    model = small()
    board = callbacks.TensorBoard(tmp_path, update_freq=2, write_steps_per_second=True)
    history = model.fit(X, Y, batch_size=2, epochs=3, validation_data=(X, Y), verbose=0, callbacks=[board]).history
    train, validation = events(tmp_path / "train"), events(tmp_path / "validation")
    for name in ("loss", "mae"):
        assert [step for step, _ in train[f"epoch_{name}"]] == [0, 1, 2]
        assert_same([float(v) for _, v in train[f"epoch_{name}"]], history[name], rtol=1e-6)
        assert_same([float(v) for _, v in validation[f"epoch_{name}"]], history[f"val_{name}"], rtol=1e-6)
        assert [step for step, _ in validation[f"evaluation_{name}_vs_iterations"]] == [5, 10, 15]
        assert [step for step, _ in train[f"batch_{name}"]] == [2, 4, 6, 8, 10, 12, 14]
    assert {float(v) for _, v in train["epoch_learning_rate"]} == {np.float32(0.01)}
    assert all(v > 0 for tag in ("epoch_steps_per_second", "batch_steps_per_second") for _, v in train[tag])
    model.evaluate(X, Y, verbose=0, callbacks=[board])
    assert not board._files and len(events(tmp_path / "validation")["evaluation_loss_vs_iterations"]) == 4


def test_tensorboard_has_the_tags_of_keras(tmp_path):
    import keras
    pytest.importorskip("tensorflow")
    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d")])
    theirs.compile("sgd", "mse", metrics=["mae"])
    tags = []
    for model, module in ((theirs, keras.callbacks), (small(), callbacks)):
        board = module.TensorBoard(tmp_path / module.__name__, write_graph=False, update_freq="batch",
                                   write_steps_per_second=True)
        model.fit(X, Y, batch_size=5, epochs=2, validation_data=(X, Y), verbose=0, callbacks=[board])
        tags.append({(place, tag, tuple(step for step, _ in values)) for place in ("train", "validation")
                     for tag, values in events(tmp_path / module.__name__ / place).items()})
    assert tags[0] == tags[1]


def test_histograms_of_weights_and_gradients(tmp_path):
    model = small()
    model.layers[0].trainable = True
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[callbacks.TensorBoard(tmp_path, histogram_freq=2, write_images=True)])
    train = events(tmp_path / "train")
    kernel = model.layers[0].weights[0]
    for tag, array in ((f"{kernel.path}/histogram", kernel.value), (f"{kernel.path}/gradient_histogram", kernel.grad)):
        assert [step for step, _ in train[tag]] == [0, 2]
        left, right, counts = train[tag][-1][1].T
        assert_same([left[0], right[-1], counts.sum()], [array.min(), array.max(), array.size], rtol=1e-6)
        assert_same(counts, np.histogram(array, 30)[0].astype(float))
    (_, (width, height, *pictures)), *_ = train[f"{kernel.path}/image"]
    assert (width, height, len(pictures)) == (b"4", b"3", 1) and pictures[0].startswith(b"\x89PNG")


@pytest.mark.parametrize("value, counts", [([], {0}), ([2.0, 2.0, math.nan], {0, 2}), ([math.inf, math.nan], {0})])
def test_histograms_of_little(value, counts):
    from nblayers.callbacks.tensorboard import _histogram
    histogram = _histogram(np.array(value))
    assert histogram.shape == (30, 3) and set(histogram[:, 2]) == counts


def test_errors_of_tensorboard(tmp_path, monkeypatch):
    for arguments, message in (({"log_dir": ""}, "log_dir to be a path"), ({"histogram_freq": -1}, "histogram_freq"),
                               ({"update_freq": 0}, "positive integer as update_freq"),
                               ({"update_freq": "step"}, "update_freq"),
                               ({"profile_batch": (1, 2)}, "profile_batch 0, as there is no profiler"),
                               ({"embeddings_freq": 1}, "embeddings_freq 0"), ({"write_images": 2}, "write_images to be True")):
        with pytest.raises(ValueError, match=f"TensorBoard: .*{message}"):
            callbacks.TensorBoard(**arguments)
    with pytest.warns(UserWarning, match="TensorBoard: the graph of the model is left out"):
        callbacks.TensorBoard(write_graph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        board = callbacks.TensorBoard(tmp_path / "none")
    monkeypatch.setitem(__import__("sys").modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(ImportError, match=r"TensorBoard: its files need the package tensorboard: pip install 'nblayers\["):
        small().fit(X, Y, verbose=0, callbacks=[board])


def test_files_of_epochs_alone_cost_the_steps_nothing(tmp_path):
    of_epochs = [callbacks.TensorBoard(tmp_path), callbacks.CSVLogger(tmp_path / "a")]
    assert not callbacks.CallbackList(of_epochs).watches_train_batches
    assert callbacks.CallbackList([callbacks.TensorBoard(tmp_path, update_freq=5)]).watches_train_batches


def test_terminate_on_nan_with_an_error():
    class Ended(callbacks.Callback):
        ended = False

        def on_train_end(self, logs=None):
            self.ended = True

    model, y, watch = small(), Y.copy(), Ended()
    y[4] = np.nan
    with pytest.raises(RuntimeError, match="TerminateOnNaN: expected a finite loss, got nan in batch 2"):
        model.fit(X, y, batch_size=2, shuffle=False, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True), watch])
    assert not watch.ended and model.history.epoch == []
    with pytest.raises(ValueError, match="TerminateOnNaN: expected raise_error to be True or False, got 'yes'"):
        callbacks.TerminateOnNaN("yes")


def test_remote_monitor_says_that_it_is_not_here():
    with pytest.raises(NotImplementedError, match=r"RemoteMonitor: nblayers sends nothing .* http://localhost:9000/publish"):
        callbacks.RemoteMonitor()
