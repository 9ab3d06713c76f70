"""Where batches come from: memory-mapped arrays, workers, tf.data, and threads that prepare the next one."""
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from helpers import assert_same

import nblayers
from nblayers import callbacks
from nblayers.layers import Dense, Input
from nblayers.models import Sequential, data
from nblayers.models.ahead import by_workers, one_ahead
from nblayers.models.mapped import mapping_of
from nblayers.utils import PyDataset, set_random_seed

X = np.random.default_rng(0).normal(size=(12, 4))
Y = np.random.default_rng(1).normal(size=(12, 3)).astype("f")
THREADS = "nblayers-batches"


def small():
    model = Sequential([Input((4,)), Dense(3, kernel_initializer="ones")], name="m")
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def results(x, y=None, **options):
    """History, evaluation, prediction and weights."""
    model = small()
    set_random_seed(3)
    history = model.fit(x, y, verbose=0, epochs=3, **options).history
    plain = {name: value for name, value in options.items() if name == "batch_size"}
    return [np.array(list(history.values())), np.array(model.evaluate(x, y, verbose=0, **plain)),
            model.predict(x, verbose=0, **plain), *model.get_weights()]


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREADS)]


@pytest.fixture
def mapped(tmp_path):
    def on_disk(array, mode="r"):
        np.save(tmp_path / "a.npy", array)
        return np.load(tmp_path / "a.npy", mmap_mode=mode)
    return on_disk


@pytest.mark.parametrize("always_ahead", [False, True])
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"shuffle": "batch"}, {"batch_size": 5}, {"validation_split": 0.3},
                                     {"steps_per_epoch": 3, "batch_size": 2}], ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
def test_mapped_arrays_train_as_arrays(mapped, options, dtype, always_ahead, monkeypatch):
    x = (X * 9).astype(dtype)
    expected = results(x, Y, **{"batch_size": 4, **options})
    if always_ahead:
        monkeypatch.setattr(data, "_WORTH_A_THREAD", 0)
    assert_same(results(mapped(x), Y, **{"batch_size": 4, **options}), expected)
    assert_same(results(x, Y, **{"batch_size": 4, **options}), expected)
    assert not threads()


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_views_of_mapped_arrays_are_mapped(mapped, mode):
    array = mapped(X, mode)
    for view in (array, array[2:], np.asarray(array), array.T, array.view(np.ndarray)[::2]):
        assert mapping_of(view) is not None
    assert mapping_of(X) is None and mapping_of(np.array(array)) is None and mapping_of(array + 1) is None
    assert_same(results(array[2:], Y[2:], batch_size=4), results(X[2:], Y[2:], batch_size=4))


def test_changes_in_memory_are_kept(mapped, monkeypatch):
    monkeypatch.setattr("nblayers.models.mapped.READ_AT_MOST", 0)
    array = mapped(X, "c")
    array[:] = -X
    assert_same(results(array, Y, batch_size=4), results(-X, Y, batch_size=4))
    written = mapped(X, "r+")
    written[:] = -X
    assert_same(results(written, Y, batch_size=4), results(-X, Y, batch_size=4))
    assert_same(np.array(written), -X)


MEMORY = """
import sys
import numpy as np
from nblayers.layers import Dense, Input
from nblayers.models import Sequential

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024

x = np.memmap(sys.argv[1], sys.argv[2], "r", shape=(1024, 2**20 // np.dtype(sys.argv[2]).itemsize))
y = np.zeros((1024, 1), "f")
model = Sequential([Input(x.shape[1:]), Dense(1)])
model.compile("sgd", "mse")
model.fit(x[:16], y[:16], batch_size=8, verbose=0)
before = peak()
model.fit(x, y, batch_size=8, verbose=0, validation_split=0.1)
print(peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads the peak of memory from Linux")
def test_a_large_file_is_never_in_memory(tmp_path):
    """1 GiB (with nothing in it, so it takes no room on the disk) is read, of which 128 MiB may stay."""
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2**30)
    done = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path / "large"), "float64"], capture_output=True, text=True,
                          cwd=os.path.dirname(os.path.dirname(nblayers.__file__)))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 250           # MiB


# one ahead

def test_one_batch_is_made_while_the_last_is_used():
    made = []

    def source():
        for i in range(4):
            made.append(i)
            yield i

    batches = one_ahead(source())
    assert not made                         # nothing before it is asked for
    for i, batch in enumerate(batches):
        assert batch == i
        wait_for(lambda: len(made) == min(i + 2, 4))     # noqa: B023
    assert not threads()


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_errors_come_in_their_place():
    def source():
        yield 1
        yield 2
        raise OSError("no disk")

    batches = one_ahead(source())
    assert [next(batches), next(batches)] == [1, 2]
    with pytest.raises(OSError, match="no disk"):
        next(batches)
    assert not threads()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_an_interrupt_leaves_no_thread(kind, monkeypatch):
    monkeypatch.setattr(data, "_WORTH_A_THREAD", 0)

    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert threads()
            raise kind

    with pytest.raises(kind) as caught:                         # holds the frames of fit
        small().fit(X, Y, batch_size=4, verbose=0, callbacks=[Stop()])
    assert not threads() and caught


def test_small_and_ordered_batches_are_made_where_they_are_used(monkeypatch):
    seen = []
    watch = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(len(threads())))
    small().fit(X, Y, batch_size=4, verbose=0, callbacks=[watch])
    monkeypatch.setattr(data, "_WORTH_A_THREAD", 0)
    small().fit(X, Y, batch_size=4, verbose=0, shuffle=False, callbacks=[watch])
    small().fit(((X, Y) for _ in range(3)), verbose=0, callbacks=[watch])
    assert set(seen) == {0}
    small().fit(X, Y, batch_size=4, verbose=0, callbacks=[watch])
    assert max(seen) == 1


# workers

class Pairs(PyDataset):
    """Four batches of three; says who made them, and how far the epochs are."""

    def __init__(self, **options):
        super().__init__(**options)
        self.epochs, self.made_by = 0, set()

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 0:
            time.sleep(0.02)                # the first comes last
        self.made_by.add((os.getpid(), threading.current_thread().name))
        part = slice(3 * index, 3 * index + 3)
        return X[part] + self.epochs, Y[part]

    def on_epoch_end(self):
        self.epochs += 1


WORKERS = [{}, {"workers": 0}, {"workers": 3}, {"workers": 2, "max_queue_size": 0}, {"workers": 2, "max_queue_size": 1},
           {"workers": 2, "use_multiprocessing": True}, {"workers": 1, "use_multiprocessing": True}]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("options", WORKERS, ids=str)
@pytest.mark.filterwarnings("ignore:.*fork")
def test_workers_give_the_batches_in_their_order(options, shuffle):
    expected, given = Pairs(), Pairs(**options)
    assert_same(results(given, shuffle=shuffle), results(expected, shuffle=shuffle))
    assert given.epochs == expected.epochs == 5
    if options.get("use_multiprocessing"):
        assert not given.made_by
    else:
        in_threads = any(name.startswith(THREADS) for _, name in given.made_by)
        assert in_threads == (options.get("workers", 1) > 1)
    assert not threads()


def test_a_sequence_of_keras_is_trained_as_keras_trains_it():
    import keras

    class Theirs(keras.utils.PyDataset):
        __len__, __getitem__ = Pairs.__len__, Pairs.__getitem__
        epochs, made_by = 0, set()

    class Ours(Pairs):
        def on_epoch_end(self):
            """Keras calls it once more, when it builds the model."""

    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer="ones")])
    theirs.compile("sgd", "mse", metrics=["mae"])
    history = theirs.fit(Theirs(), verbose=0, epochs=3, shuffle=False).history
    for ours in (Theirs(), Theirs(workers=2), Ours(), Ours(workers=2)):
        model = small()
        mine = model.fit(ours, verbose=0, epochs=3, shuffle=False).history
        assert_same([mine["loss"], mine["mae"]], [history["loss"], history["mae"]], rtol=1e-5)


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.filterwarnings("ignore:.*fork")
def test_errors_of_workers_come_in_their_place(processes):
    batches = by_workers(Broken(), range(9), 2, processes, 4)
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="batch 3"):
        next(batches)
    assert not threads()


class Broken:
    def __getitem__(self, index):
        if index == 3:
            raise ValueError("batch 3")
        return index


def test_no_more_is_made_than_was_asked_for():
    made = []

    class Counted:
        def __getitem__(self, index):
            made.append(index)
            return index

    batches = by_workers(Counted(), iter(range(100)), 2, False, 3)
    next(batches)
    wait_for(lambda: len(made) == 4)
    batches.close()
    assert len(made) == 4 and not threads()


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_without_end(workers):
    class Endless(PyDataset):
        num_batches = None

        def __getitem__(self, index):
            return np.full((2, 4), index, "f"), np.zeros((2, 3), "f")

    model, seen = small(), []
    watch = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    model.fit(Endless(workers), steps_per_epoch=3, epochs=2, verbose=0, callbacks=[watch])
    assert seen == [0, 1] and model.predict(Endless(workers), steps=5, verbose=0).shape == (10, 3) and not threads()
    with pytest.raises(ValueError, match=r"Sequential 'm': expected steps_per_epoch for a Endless whose num_batches is None"):
        model.fit(Endless(), verbose=0)


def test_errors_of_py_datasets():
    with pytest.raises(ValueError, match="Pairs: expected workers to be an integer of at least 0, got -1"):
        Pairs(workers=-1)
    with pytest.raises(ValueError, match="Pairs: expected use_multiprocessing to be True or False, got 'no'"):
        Pairs(use_multiprocessing="no")
    with pytest.raises(NotImplementedError, match="PyDataset: __getitem__ is not written"):
        PyDataset()[0]
    with pytest.raises(NotImplementedError, match="PyDataset: neither __len__ nor num_batches is written"):
        PyDataset().num_batches         # noqa: B018
    assert nblayers.utils.Sequence is PyDataset


def test_a_dataset_of_tensorflow():
    tf = pytest.importorskip("tensorflow")
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    assert_same(results(batches, shuffle=False, validation_data=batches),
                results(X, Y, shuffle=False, batch_size=4, validation_data=(X, Y)), rtol=1e-6)
    endless = batches.repeat()
    assert small().predict(endless.map(lambda x, y: x), steps=4, verbose=0).shape == (16, 3)


def test_tables_of_polars_and_pandas():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    expected = results(X, Y, batch_size=4)
    for module in (pd, pl):
        x, y = (module.DataFrame({f"c{i}": column for i, column in enumerate(array.T)}) for array in (X, Y))
        assert_same(results(x, y, batch_size=4), expected)
