"""Simulated CUDA threads as greenlets compute what Numba's simulator computes, and hide no race."""
import os
import threading

import cuda_in_greenlets
import numpy as np
import pytest
from numba import cuda
from numba.cuda.simulator import kernel, kernelapi

pytestmark = pytest.mark.skipif(os.environ["NUMBA_ENABLE_CUDASIM"] == "0", reason="of the simulator")
THREADS = 8


@pytest.fixture(params=["greenlets", "threads"])
def simulator(request, monkeypatch):
    """Ours, then Numba's."""
    ours = request.param == "greenlets"
    numbas, = cuda_in_greenlets.Block.__bases__
    monkeypatch.setattr(kernel, "BlockManager", cuda_in_greenlets.Block if ours else numbas)
    monkeypatch.setattr(kernel, "BlockThread", cuda_in_greenlets.CudaThread if ours else cuda_in_greenlets.NumbaThread)
    monkeypatch.setattr(kernelapi, "threading", cuda_in_greenlets.CURRENT if ours else threading)


@cuda.jit
def places(out):
    i, j = cuda.grid(2)
    if i < out.shape[0] and j < out.shape[1]:
        out[i, j, 0], out[i, j, 1], out[i, j, 2] = cuda.threadIdx.x, cuda.blockIdx.y, cuda.laneid


@cuda.jit
def sums(x, total, counts):
    shared = cuda.shared.array(THREADS, np.float64)
    t = cuda.threadIdx.x
    shared[t] = x[cuda.grid(1)]
    cuda.syncthreads()
    step = THREADS // 2
    while step:
        if t < step:
            shared[t] += shared[t + step]
        cuda.syncthreads()
        step //= 2
    positive = cuda.syncthreads_count(x[cuda.grid(1)] > 0)
    if t == 0:
        cuda.atomic.add(total, 0, shared[0])
        counts[cuda.blockIdx.x] = positive


@cuda.jit
def neighbours(x, y, wait):
    """Each takes its right neighbour's number, which may be read only after the barrier, to its own place."""
    shared = cuda.shared.array(THREADS, np.float64)
    t = cuda.threadIdx.x
    shared[t] = 0.0
    cuda.syncthreads()
    shared[t] = x[t]
    if wait:
        cuda.syncthreads()
    y[t] = shared[t - 1]


@cuda.jit
def some_leave(x):
    if cuda.threadIdx.x < 3:
        return
    cuda.syncthreads()
    x[cuda.threadIdx.x] = 1.0


@cuda.jit
def fails():
    if cuda.grid(1) == 5:
        raise ValueError("five")
    cuda.syncthreads()


def test_places(simulator):
    out = np.full((5, 3, 3), -1.0)
    places[(3, 2), (2, 2)](out)
    i, j = np.indices((5, 3))
    np.testing.assert_array_equal(out, np.stack([i % 2, j // 2, i % 2 + 2 * (j % 2)], axis=-1))


def test_sums_with_barriers_and_atomics(simulator, rng):
    x, total, counts = rng.normal(size=24), np.zeros(1), np.zeros(3)
    sums[3, THREADS](x, total, counts)
    np.testing.assert_allclose(total[0], x.sum())
    np.testing.assert_array_equal(counts, (x > 0).reshape(3, 8).sum(axis=1))


def test_threads_may_end_before_a_barrier(simulator):
    x = np.zeros(6)
    some_leave[1, 6](x)
    assert x.tolist() == [0, 0, 0, 1, 1, 1]


def test_an_error_says_where(simulator):
    with pytest.raises(ValueError, match=r"tid=\[1, 0, 0\] ctaid=\[1, 0, 0\]: five"):
        fails[2, 4]()
    y = np.zeros(6)
    some_leave[1, 6](y)                                  # and the next kernel runs
    assert y.sum() == 3


@pytest.mark.parametrize("simulator", ["greenlets"], indirect=True)
def test_a_missing_barrier_shows_each_time(simulator):
    x = np.arange(1.0, THREADS + 1)
    for wait, right in ((True, True), (False, False)):
        y = np.zeros(THREADS)
        neighbours[1, THREADS](x, y, wait)
        assert (y == np.roll(x, 1)).all() == right, wait
