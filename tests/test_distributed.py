"""Several processes train one model. What needs MPI runs under `mpirun` in tests/distributed_worker.py, few runs with many
checks each: starting one costs seconds."""
import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import distributed_worker as worker
import numpy as np
import pexpect
import pytest

import nblayers
from nblayers import layers, sharing
from nblayers.distributed import DataParallel, simulate
from nblayers.distributed.group import Group
from nblayers.models import Sequential
from nblayers.models.data import ArrayBatches, PartOfBatch
from nblayers.models.saving.archive import Archive

MPIRUN = shutil.which("mpirun", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
LIMITS = {"float64": 1e-12, "float32": 1e-6}
needs_mpi = pytest.mark.skipif(MPIRUN is None, reason="there is no mpirun: pip install 'nblayers[mpi]'")


def command(ranks, *arguments):
    return [MPIRUN, "--allow-run-as-root", "--oversubscribe", "-n", str(ranks), sys.executable, "-W", "ignore",
            str(Path(__file__).parent / "distributed_worker.py"), *map(str, arguments)]


def environment():
    one = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, **one, "PYTHONPATH": path}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What 4 ranks have found, and 2 that went on from the backup that these left: by their number the reports of all ranks."""
    if MPIRUN is None:
        pytest.skip("there is no mpirun: pip install 'nblayers[mpi]'")
    directory, found = tmp_path_factory.mktemp("distributed"), {}
    for ranks, what in ((4, "stop"), (2, "agree")):
        out = directory / f"{ranks}.json"
        done = subprocess.run(command(ranks, what, out, directory), env=environment(), capture_output=True, text=True,
                              timeout=300)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        found[ranks] = json.loads(out.read_text())
        assert found[ranks]["size"] == ranks
    return found


@pytest.mark.parametrize("ranks, name, dtype", [(ranks, *run) for ranks, runs in worker.RUNS.items() for run in runs])
def test_reaches_the_weights_of_one_process(ranks, name, dtype, reports):
    found = reports[ranks]["reports"][0][f"{name}, {dtype}"]
    assert found["weights"] <= LIMITS[dtype], found
    assert found["history"] <= LIMITS[dtype], found
    assert found["same"] and found["moved"] > 1e-3, found


@pytest.mark.parametrize("ranks", [2, 4])
def test_callbacks_of_the_first_rank_steer_all(ranks, reports):
    first, *others = (report["callbacks"] for report in reports[ranks]["reports"])
    assert first["weights"] <= 1e-12 and first["same"] and first["heard"] <= 1e-12
    assert first["epochs"][0] == first["epochs"][1] < 12
    assert first["rates"][0] == first["rates"][1] != 0.05
    for other in others:
        assert other == {"rates": first["rates"][:1], "epochs": first["epochs"][:1], "heard": []}


@pytest.mark.parametrize("ranks", [2, 4])
def test_data_from_files_and_generators(ranks, reports):
    found = reports[ranks]["reports"]
    one_by_one = 0.01 * 2 + (1 - 0.02) * 0.01 * 2           # two steps of SGD towards 1
    for report in found:
        assert report["large"] == pytest.approx(one_by_one, rel=1e-5)
        assert report["evaluated"] == pytest.approx((1 - one_by_one)**2, rel=1e-5)
        assert report["generator"] <= 1e-12


@pytest.mark.parametrize("ranks", [2, 4])
def test_what_cannot_be_shared_is_refused(ranks, reports):
    for report in reports[ranks]["reports"]:
        assert "expected arrays, or a model that is built" in report["refusals"]["not built"]
        assert "compares samples of the batch" in report["refusals"]["mixes"]
        assert "expected stateful=False" in report["refusals"]["stateful"]
        assert "13 samples in batches of 5, shuffle=True in rank 0 and x and y of 12" in report["refusals"]["other data"]


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("optimizer", ["two", "scaled"])
def test_optimizers_in_one_and_layers_that_a_callback_lets_be_trained(ranks, optimizer, reports):
    found = [report[optimizer] for report in reports[ranks]["reports"]]
    assert all(each["same"] for each in found) and found[0]["weights"] <= 1e-12, found


def test_a_backup_goes_on_with_another_number_of_ranks(reports):
    """4 ranks stopped after the fifth step, 2 went on: as one that was never stopped, dropout masks too."""
    stopped, resumed = (reports[ranks]["reports"][0]["resumed"] for ranks in (4, 2))
    nblayers.set_device("reference")
    alone, history = worker.trained("dropped", "float64", None, epochs=4)
    whole = [np.asarray(w) for w in resumed["weights"]]
    assert worker.apart(whole, alone.get_weights()) <= 1e-12 < worker.apart(map(np.asarray, stopped["weights"]), whole)
    assert resumed["loss"] == pytest.approx(history["loss"][-len(resumed["loss"]):], rel=1e-12)
    assert stopped["same"] and resumed["same"] and len(resumed["loss"]) == 3


@needs_mpi
@pytest.mark.parametrize("how, said", [
    ("raise", "rank 1 of 2 failed with RuntimeError: no more milk; all ranks end"),
    ("hang", "rank 0 of 2 failed with TimeoutError: rank 1 of 2 did not come: waited 5 s for"),
    ("leave", "rank 1 of 2 left the program, while rank 0 waits for"),
    ("end", "the ranks wait for each other, rank 0 for a sum over the whole batch, rank 1 for the first"),
    ("die", "signal 9")])
def test_a_rank_that_fails_ends_all(how, said, tmp_path):
    """With one message, and the last backup whole."""
    process = subprocess.Popen(command(2, how, "-", tmp_path), env=environment(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        out, errors = process.communicate(timeout=120)
    finally:
        process.terminate()                             # mpirun then ends what it has started
    assert process.returncode != 0
    ours = [line for line in errors.splitlines() if line.startswith("nblayers.distributed: ")]
    assert len(ours) == (how != "die"), out + errors            # of a process that was killed mpirun speaks
    assert said in (ours[0] if ours else errors), out + errors
    assert_the_backup_is_whole(tmp_path)


def assert_the_backup_is_whole(tmp_path):
    with open(tmp_path / "backup" / "latest.zip", "rb") as file:
        state = json.loads(Archive(file).text("training.json"))
    assert state["course"]["batch"] >= 7


@needs_mpi
def test_ctrl_c_ends_all(tmp_path):
    """mpirun hands on nothing of what a process says then, and kills it after half a second: it speaks to the terminal."""
    [program, *arguments] = command(2, "interrupt", "-", tmp_path)
    process = pexpect.spawn(program, arguments, env=environment(), timeout=120, encoding="utf-8", codec_errors="replace")
    process.expect("running")
    process.sendintr()
    process.expect(pexpect.EOF)
    process.close()
    assert process.before.count("nblayers.distributed: ") == 1, process.before
    assert "rank 0 of 2 was interrupted (SIGTERM: Ctrl-C, or another process died); all ranks end" in process.before
    assert process.exitstatus != 0
    assert_the_backup_is_whole(tmp_path)


def test_nothing_of_mpi_is_imported_without_distribute():
    program = ("import sys, numpy as np, nblayers; from nblayers import layers, models; import nblayers.distributed as d;"
               "nblayers.set_device('reference'); d.simulate(1, 2, 1, 1);"
               "m = models.Sequential([layers.Input((2,)), layers.Dense(1)]); m.compile('sgd', 'mse');"
               "m.fit(np.ones((4, 2)), np.ones(4), verbose=0); assert 'mpi4py' not in sys.modules")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_extra_is_named_where_mpi4py_is_missing(monkeypatch):
    from nblayers.distributed.talk import connected
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    connected.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'nblayers\[mpi\]'"):
        DataParallel(Sequential([layers.Input((2,)), layers.Dense(1)]))
    connected.cache_clear()


class Silent:
    """A talk of one process with itself."""

    rank, size, timeout = 0, 1, 1.0

    def begin_sum(self, array):
        return None

    def add(self, array):
        return np.array(array, float)

    def from_first(self, value, doing):
        return value

    def to_first(self, value, doing):
        return [value]

    def of_one_thread(self, who):
        return nullcontext()

    def nudge(self, requests):
        pass

    def wait(self, requests, doing):
        pass


def group_of_one(size=1, rank=0):
    """One of so many processes, which hears nothing of the others."""
    talk = Silent()
    talk.size, talk.rank = size, rank
    return Group(talk, 256)


@pytest.mark.parametrize("make", [worker.dense, worker.normalised])
def test_the_shared_loop_of_one_process_is_the_usual_one(make, monkeypatch):
    """The same numbers to the last bit."""
    nblayers.set_device("reference")
    results = []
    monkeypatch.setattr(DataParallel, "group", property(lambda self: group_of_one()))
    for distribute in (None, True):
        nblayers.utils.set_random_seed(0)
        model = make()
        model.compile("adam", worker.sparse(), metrics=["accuracy"])
        history = model.fit(worker.X, worker.CLASSES, batch_size=4, epochs=3, verbose=0, validation_split=0.3,
                            distribute=distribute)
        results.append((model.get_weights(), history.history))
    assert all(np.array_equal(a, b) for a, b in zip(results[0][0], results[1][0], strict=True))
    assert results[0][1] == results[1][1]


def test_batches_of_other_sizes_in_other_processes_are_told_of(monkeypatch):
    """7 samples, and 8 in the second process: had are the first 4 of them, and the last 4."""
    nblayers.set_device("reference")
    model = worker.dense()
    model.compile("sgd", worker.sparse())
    group = group_of_one(2)
    model.fit(worker.X[:7], worker.CLASSES[:7], verbose=0)
    other = group_of_one(2, 1)
    for process, samples in ((group, 7), (other, 8)):
        with process.computing((worker.X[:samples], worker.CLASSES[:samples], None)):
            pass
    sums = model._objective.sums()
    monkeypatch.setattr(group.talk, "to_first", lambda own, doing: [own, (other._samples, sums)], raising=False)
    with pytest.raises(ValueError, match=r"batches of the same sizes in all processes, .* 7 in rank 0, 8 in rank 1"):
        group.collect(model._objective)


@pytest.mark.parametrize("batch, ranks", [(7, 3), (6, 3), (2, 4), (1, 1)])
def test_parts_are_even_and_whole(batch, ranks):
    parts = []
    for rank in range(ranks):
        parts.append(group_of_one(ranks, rank).rows_of()(batch))
    covered = [sample for start, count in parts for sample in range(start, start + count)]
    assert covered == list(range(batch))
    assert max(count for _, count in parts) - min(count for _, count in parts) <= 1


@pytest.mark.parametrize("shuffle", [True, False, "batch"])
def test_only_the_part_is_cut_out(shuffle):
    x = np.arange(20.0).reshape(10, 2)
    nblayers.utils.set_random_seed(3)
    whole = list(ArrayBatches(x, x[:, 0], None, 4, shuffle, "test"))
    parts = []
    for rank in range(3):
        nblayers.utils.set_random_seed(3)
        parts.append(list(ArrayBatches(x, x[:, 0], None, 4, shuffle, "test", None, group_of_one(3, rank).rows_of())))
    for batch, of_batch in zip(whole, zip(*parts, strict=True), strict=True):
        assert all(isinstance(part, PartOfBatch) and part.batch == len(batch[0]) for part in of_batch)
        assert np.array_equal(np.concatenate([part.x[:part.samples] for part in of_batch]), batch[0])
        assert np.array_equal(np.concatenate([part.y[:part.samples] for part in of_batch]), batch[1])
        assert all(len(part.x) == max(part.samples, 1) for part in of_batch)


def test_masks_are_those_of_the_samples():
    """Three parts of a batch get together what the batch gets, and nothing twice."""
    x = np.ones((7, 40))
    nblayers.set_device("reference")
    whole = layers.Dropout(0.5, seed=1).forward(x, training=True)
    parts = []
    for start, count in ((0, 3), (3, 2), (5, 2)):
        with sharing.computing(sharing.Part(start, count, 7, np.array)):
            parts.append(layers.Dropout(0.5, seed=1).forward(x[:count], training=True))
    assert np.array_equal(np.concatenate(parts), whole) and len(np.unique(whole, axis=0)) == 7
    with sharing.computing(sharing.Part(3, 2, 7, np.array)):
        shared = layers.Dropout(0.5, noise_shape=(1, 40), seed=1).forward(x[:2], training=True)
    assert np.array_equal(shared[0], layers.Dropout(0.5, noise_shape=(1, 40), seed=1).forward(x, training=True)[0])


def test_simulate_follows_its_formulas():
    found = simulate(1e6, 8, 1e-5, 1e8, forward=0.01, backward=0.03, bucket_bytes=1e6)
    assert [row.ranks for row in found.of("ring")] == [1, 2, 4, 8]
    ring, tree = found.of("ring")[-1], found.of("tree")[-1]
    assert ring.seconds == pytest.approx(2 * 7 * (1e-5 + 1e6 / 8 / 1e8)) and ring.sent == pytest.approx(2 * 7 / 8 * 1e6)
    assert tree.seconds == pytest.approx(2 * 3 * (1e-5 + 1e6 / 1e8)) and tree.sent == pytest.approx(3e6)
    assert ring.waited == pytest.approx(ring.seconds)           # one bucket is ready when the backward is done
    overlapped = simulate(1e6, [8], 1e-5, 1e8, forward=0.01, backward=0.03, bucket_bytes=1e5).of("ring")[0]
    assert 0 < overlapped.waited < ring.waited / 2 and overlapped.efficiency > ring.efficiency
    assert overlapped.efficiency == pytest.approx(0.04 / (0.04 + overlapped.waited))
    assert found.of("ring")[0].seconds == found.of("ring")[0].waited == 0 and found.of("tree")[0].efficiency == 1


def test_small_gradients_want_the_tree_and_large_ones_the_ring():
    small, large = simulate(1e3, 1024, 1e-5, 1e9), simulate(1e9, 1024, 1e-5, 1e9)
    assert small.of("tree")[-1].seconds < small.of("ring")[-1].seconds
    assert large.of("ring")[-1].seconds < large.of("tree")[-1].seconds
    assert str(large).count("\n") == 22 and "1024" in str(large)


def test_the_picture_of_a_simulation(tmp_path):
    figure = simulate(1e6, 64, 1e-5, 1e9, backward=0.1).plot(tmp_path / "ranks.png")
    assert (tmp_path / "ranks.png").stat().st_size > 1000 and len(figure.axes) == 2


@pytest.mark.parametrize("arguments, message", [
    ((1, 0, 1, 1), "ranks"), ((-1, 2, 1, 1), "bytes"), ((1, 2, -1, 1), "latency"), ((1, 2, 1, 0), "bandwidth"),
    ((1, [2, 0.5], 1, 1), "ranks")])
def test_simulate_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate(*arguments)


@pytest.mark.parametrize("options, error", [
    ({"timeout": 0}, ValueError), ({"bucket_bytes": 0}, ValueError), ({"model": 3}, TypeError)])
def test_data_parallel_refuses(options, error):
    with pytest.raises(error, match="DataParallel"):
        DataParallel(**options)


def test_a_wrapped_model_is_the_model(monkeypatch):
    monkeypatch.setattr("nblayers.distributed.data_parallel.connected", Silent)         # no MPI in the process of the tests
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    wrapped = DataParallel(model)
    wrapped.compile("sgd", "mse")
    wrapped.trainable = False
    assert not model.trainable and wrapped.layers == model.layers and wrapped.compiled
    assert np.array_equal(wrapped(np.ones((1, 2))), model(np.ones((1, 2))))
    with pytest.raises(NotImplementedError, match="train_on_batch is not shared"):
        wrapped.train_on_batch(np.ones((1, 2)), np.ones(1))
    with pytest.raises(AttributeError):
        wrapped.no_such_thing()


def test_distribute_is_a_flag_or_settings():
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="expected distribute to be True, False or a DataParallel, got 4"):
        model.fit(np.ones((4, 2)), np.ones(4), distribute=4)
    with pytest.raises(ValueError, match="settings alone"):
        DataParallel().fit(np.ones((4, 2)))
