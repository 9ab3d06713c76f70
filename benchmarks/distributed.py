"""One training on 1, 2 and 4 processes of this machine, beside what `nblayers.distributed.simulate` says of it.

    python benchmarks/distributed.py            # starts mpirun itself; a few minutes

First the machine is measured: the sums of a small and of a large array over the processes give the latency and the bandwidth
that `simulate` is told. Then steps of a training are timed: each process by itself, all at the same time, with nothing to sum;
with the sum in one bucket (nothing can overlap); and in several. What `simulate` says is the first plus what it lets wait.

What it can show: what a sum costs, how much of it the backward hides, and what one more process costs. What it cannot: that
more processes are faster. On two hyperthreads of one core, two share its arithmetic, and four take turns; their messages go
through memory, not over a network, and the cores that compute copy and add them up: `simulate`, for which that costs no time of
theirs, says too little here. A process that waits takes time from one that computes, too.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["NUMBA_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from nblayers.distributed import DataParallel, simulate
from nblayers.distributed.talk import connected
from nblayers.layers import Dense, Input
from nblayers.models import Sequential
from nblayers.optimizers import SGD
from nblayers.utils import set_random_seed

RANKS = (1, 2, 4)
UNITS, LAYERS, SAMPLES = 512, 6, 64     # 6 MB of gradients; samples of each process
SMALL, LARGE = 8, 2**22                 # bytes that are summed to measure the machine
ROUNDS, STEPS = 3, 10


def seconds_of_sum(size: int, rounds: int) -> float:
    """The median time of a sum of so many bytes over all processes."""
    talk, array, times = connected(), np.ones(max(size // 4, 1), np.float32), []
    for _ in range(rounds):
        talk.add([0.0])                                 # all begin together
        begin = time.perf_counter()
        talk.wait([talk.begin_sum(array)], "a benchmark")
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def model_of(units: int, layers: int) -> Sequential:
    set_random_seed(0)
    model = Sequential([Input((units,)), *(Dense(units, "tanh") for _ in range(layers)), Dense(1)])
    model.compile(SGD(1e-6), "mse")                     # that no number grows too large
    return model


def seconds_of_step(bucket_bytes: int | None) -> float:
    """The median time of a training step, every process with the same number of samples; None: each trains by itself."""
    batch = SAMPLES * (connected().size if bucket_bytes else 1)
    x = np.ones((batch * STEPS, UNITS), np.float32)
    model, settings = model_of(UNITS, LAYERS), DataParallel(bucket_bytes=bucket_bytes) if bucket_bytes else False

    def fitted(epochs: int) -> float:
        begin = time.perf_counter()
        model.fit(x, x[:, 0], batch_size=batch, epochs=epochs, verbose=0, shuffle=False, distribute=settings)
        return time.perf_counter() - begin

    fitted(1)
    connected().add([0.0])                              # all begin together
    return statistics.median((fitted(2) - fitted(1)) / STEPS for _ in range(ROUNDS))        # without how a fit begins


def shares_of_step() -> tuple[float, float]:
    """Seconds of a forward, and of a backward, of one process's samples."""
    model, x = model_of(UNITS, LAYERS), np.ones((SAMPLES, UNITS), np.float32)
    forward, backward = [], []
    for _ in range(STEPS):
        begin = time.perf_counter()
        y = model.forward(x, training=True)
        middle = time.perf_counter()
        model.backward(np.ones_like(y))
        forward.append(middle - begin)
        backward.append(time.perf_counter() - middle)
    return statistics.median(forward), statistics.median(backward)


def measure(out: str) -> None:
    """What each number of processes runs."""
    sizes = (seconds_of_sum(SMALL, 200), seconds_of_sum(LARGE, 30))
    gradients = sum(weight.value.nbytes for weight in model_of(UNITS, LAYERS).weights)
    found = {"sums": sizes, "gradients": gradients, "shares": shares_of_step(),
             "nothing": seconds_of_step(None), "one": seconds_of_step(2**40), "several": seconds_of_step(2**20)}
    if connected().rank == 0:
        Path(out).write_text(json.dumps(found))


def machine(seconds: tuple[float, float], ranks: int) -> tuple[float, float]:
    """Latency and bandwidth with which the ring's formula gives the times of the two sums."""
    small, large = seconds
    latency = small / (2 * (ranks - 1))
    return latency, 2 * (ranks - 1) / ranks * LARGE / max(large - small, 1e-9)


def main() -> None:
    mpirun = shutil.which("mpirun", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if mpirun is None:
        raise SystemExit("there is no mpirun: pip install 'nblayers[mpi]'")
    print(f"{os.cpu_count()} hyperthreads; {LAYERS} Dense layers of {UNITS} units, {SAMPLES} samples a process")
    print(f"{'ranks':>6} {'8 B us':>8} {'4 MB ms':>8} {'step: no sum ms':>16} {'one bucket ms':>14} {'buckets ms':>11} "
          f"{'simulate: one ms':>17} {'buckets ms':>11}")
    for ranks in RANKS:
        out = Path(f"/tmp/distributed-{os.getpid()}-{ranks}.json")
        subprocess.run([mpirun, "--allow-run-as-root", "--oversubscribe", "-n", str(ranks), sys.executable, __file__,
                        str(out)], check=True, timeout=900)
        found = json.loads(out.read_text())
        out.unlink()
        told = [found["nothing"] + waited(found, ranks, bucket_bytes) for bucket_bytes in (2**40, 2**20)]
        print(f"{ranks:>6} {found['sums'][0] * 1e6:>8.1f} {found['sums'][1] * 1e3:>8.2f} {found['nothing'] * 1e3:>16.2f} "
              f"{found['one'] * 1e3:>14.2f} {found['several'] * 1e3:>11.2f} {told[0] * 1e3:>17.2f} {told[1] * 1e3:>11.2f}")


def waited(found: dict, ranks: int, bucket_bytes: int) -> float:
    """Seconds of a step in which, as `simulate` says, the sum is waited for."""
    if ranks == 1:
        return 0.0
    latency, bandwidth = machine(found["sums"], ranks)
    forward, backward = found["shares"]
    rows = simulate(found["gradients"], [ranks], latency, bandwidth, forward, backward, bucket_bytes)
    return rows.of("ring")[0].waited


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
