"""A training that was stopped goes on as if it had not been, to the last bit."""
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from helpers import assert_same

from nblayers import optimizers, random
from nblayers.callbacks import BackupAndRestore, LambdaCallback
from nblayers.layers import LSTM, BatchNormalization, Dense, Dropout, Input
from nblayers.models import Sequential
from nblayers.models.saving.contents import arrays_of, seed_states_of
from nblayers.utils import timeseries_dataset_from_array

X, Y = np.random.default_rng(3).normal(size=(10, 4, 3)).astype("f"), np.random.default_rng(4).normal(size=(10, 1)).astype("f")


def made(optimizer="adam", stateful=False):
    first = Input(batch_shape=(2 if stateful else None, 4, 3))
    model = Sequential([first, LSTM(4, stateful=stateful, dropout=0.2, recurrent_dropout=0.1), BatchNormalization(),
                        Dropout(0.3), Dense(1)])
    model.compile(optimizer() if callable(optimizer) else optimizer, "mse", metrics=["mae"])
    return model


class Stop(Exception):
    pass


def stop_at(epoch, batch):
    """A callback that stops the training after this batch."""
    now = []

    def after(b, logs):
        if now[-1] == epoch and b == batch:
            raise Stop
    return LambdaCallback(on_epoch_begin=lambda e, logs: now.append(e), on_train_batch_end=after)


def everything(model):
    return arrays_of(model), seed_states_of(model)


def same(a, b):
    assert a[0].keys() == b[0].keys() and a[1] == b[1]
    assert_same(list(a[0].values()), list(b[0].values()), rtol=0)


def in_turn(make, data, stops, directory, save_freq, epochs=3, **fit):
    """Train anew in one go; then with stops, in a new model and from other random numbers each time."""
    random.set_seed(1)
    unbroken = make()
    history = unbroken.fit(*data(), epochs=epochs, verbose=0, **fit).history
    random.set_seed(1)
    model = make()
    for number, stop in enumerate(stops):
        backup = BackupAndRestore(directory, save_freq)
        with pytest.raises(Stop):
            model.fit(*data(), epochs=epochs, verbose=0, callbacks=[backup, stop_at(*stop)], **fit)
        random.set_seed(100 + number)
        model = make()
    last = model.fit(*data(), epochs=epochs, verbose=0, callbacks=[BackupAndRestore(directory, save_freq)], **fit).history
    same(everything(model), everything(unbroken))
    assert {name: values[-1] for name, values in last.items()} == {name: values[-1] for name, values in history.items()}
    assert not directory.exists()


RMSPROP = lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True)                                     # noqa: E731
SCHEDULED = lambda: optimizers.SGD(lambda step: 0.1 / (1 + step), momentum=0.9, nesterov=True)              # noqa: E731


@pytest.mark.parametrize(("optimizer", "save_freq", "stops"), [
    ("adam", "epoch", [(1, 2)]), ("adam", 1, [(0, 1), (1, 0), (1, 3)]), ("adam", 5, [(2, 4)]), (RMSPROP, 2, [(1, 2)]),
    (SCHEDULED, 3, [(0, 3), (2, 1)])])
def test_stopped_and_resumed_equals_unbroken(optimizer, save_freq, stops, tmp_path):
    in_turn(lambda: made(optimizer), lambda: (X, Y), stops, tmp_path / "backup", save_freq, batch_size=2, shuffle=True,
            validation_data=(X[:3], Y[:3]))


@pytest.mark.parametrize("stops", [[(0, 1)], [(1, 1)]])
def test_epochs_that_are_parts_of_a_pass(stops, tmp_path):
    in_turn(made, lambda: (X, Y), stops, tmp_path / "backup", 1, epochs=4, batch_size=2, steps_per_epoch=3)


def test_batches_from_elsewhere(tmp_path):
    def windows():
        return (timeseries_dataset_from_array(X[:, 0], Y, 4, batch_size=2, shuffle=True, seed=7),)

    in_turn(made, windows, [(1, 1)], tmp_path / "backup", 1)

    def stream():
        return ((X[i:i + 2], Y[i:i + 2]) for _ in range(3) for i in range(0, 10, 2))

    in_turn(made, lambda: (stream(),), [(1, 1)], tmp_path / "backup", 1, steps_per_epoch=5)


def test_states_of_stateful_layers(tmp_path):
    in_turn(lambda: made(stateful=True), lambda: (X, Y), [(1, 2)], tmp_path / "backup", 1, batch_size=2)


PROGRAM = """
import os, signal, sys
import numpy as np
from nblayers import random
from nblayers.callbacks import BackupAndRestore, LambdaCallback
from nblayers.models.saving.contents import arrays_of
sys.path.insert(0, {tests!r})
from test_resuming import X, Y, made
random.set_seed(int(sys.argv[1]))
model, seen = made(), []
def after(batch, logs):
    seen.append(batch)
    if len(seen) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
backup = [BackupAndRestore({backup!r}, 2)] if sys.argv[3] == "backup" else []
model.fit(X, Y, batch_size=2, epochs=3, verbose=0, callbacks=[*backup, LambdaCallback(on_train_batch_end=after)])
np.savez(sys.argv[4], **arrays_of(model))
"""


def test_a_killed_process_goes_on(tmp_path):
    program = PROGRAM.format(tests=os.path.dirname(__file__), backup=str(tmp_path / "backup"))

    def run(seed, kill_after, backup, result):
        return subprocess.run([sys.executable, "-c", program, str(seed), str(kill_after), backup, tmp_path / result]).returncode

    assert run(1, 0, "none", "unbroken.npz") == 0
    assert run(1, 7, "backup", "killed.npz") == -signal.SIGKILL
    assert run(9, 0, "backup", "resumed.npz") == 0
    with np.load(tmp_path / "unbroken.npz") as unbroken, np.load(tmp_path / "resumed.npz") as resumed:
        assert_same([resumed[name] for name in unbroken.files], [unbroken[name] for name in unbroken.files], rtol=0)


def test_the_backup_before_the_last(tmp_path):
    model = made()
    with pytest.raises(Stop):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[BackupAndRestore(tmp_path, double_checkpoint=True), stop_at(2, 0)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.zip", "previous.zip"]
    (tmp_path / "latest.zip").write_bytes(b"PK")
    again = made()
    assert len(again.fit(X, Y, epochs=3, verbose=0, callbacks=[BackupAndRestore(tmp_path)]).epoch) == 2


def test_errors(tmp_path):
    for arguments in [("",), (3,), (tmp_path, "never"), (tmp_path, 0), (tmp_path, True)]:
        with pytest.raises(ValueError, match="BackupAndRestore: expected"):
            BackupAndRestore(*arguments)
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="expected a model that is built"):
        model.fit(np.ones((2, 3)), np.ones((2, 1)), verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    (tmp_path / "latest.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"BackupAndRestore: .*latest\.zip"):
        made().fit(X, Y, verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    kept = BackupAndRestore(tmp_path / "kept", delete_checkpoint=False)
    made().fit(X, Y, epochs=2, verbose=0, callbacks=[kept])
    assert len(made().fit(X, Y, epochs=2, verbose=0, callbacks=[BackupAndRestore(tmp_path / "kept")]).epoch) == 0
