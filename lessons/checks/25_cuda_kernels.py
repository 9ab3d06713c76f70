"""Checks of lesson 25: its turns and its exercises.

In the simulator they also watch what a kernel does: barriers, atomics, launches, which numbers neighbouring threads touch.
"""
import contextlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from nblayers.learn.exercises import Answer, Kernel, Wrong, as_array, expect_all, expect_close, for_each_size
from nblayers.learn.tools import gpu_or_simulator

gpu_or_simulator()                              # before numba.cuda is imported, here or in the learner's file

from numba import float32

from kernels.cuda._compat import SIMULATED, cuda

FILE_SECONDS, SECONDS = 300, 120                # the simulator makes a thread of Python for each of a kernel's
Known = dict[str, Any]


# What a kernel does

class Seen:
    """What was seen of the kernels that ran meanwhile; empty on a GPU.

    Attributes:
        launches: how many there were.
        atomics: how often a thread added atomically.
        barriers: for each thread, how often it came to one.
        touched: by "read" or "written" and the array's shape, for each thread the places in their order.
    """

    def __init__(self) -> None:
        self.launches = self.atomics = 0
        self.barriers: Counter[Any] = Counter()
        self.touched: dict[Any, dict[Any, list[int]]] = defaultdict(lambda: defaultdict(list))


@contextlib.contextmanager
def seen() -> Iterator[Seen]:
    """Watch the kernels that run inside."""
    what = Seen()
    if not SIMULATED:
        yield what
        return
    from numba.cuda.simulator import kernel, kernelapi
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
    barrier, add, call = kernel.BlockThread.syncthreads, kernelapi.FakeCUDAAtomic.add, kernel.FakeCUDAKernel.__call__
    get, put = FakeCUDAArray.__getitem__, FakeCUDAArray.__setitem__

    def here() -> Any:
        thread = kernelapi.threading.current_thread()       # whatever the simulator takes for one
        block, own = thread.blockIdx, thread.threadIdx
        return (block.x, block.y), (own.x, own.y)

    def note(kind: str, array: Any, index: Any) -> None:
        places = index if isinstance(index, tuple) else (index,)
        if hasattr(kernelapi.threading.current_thread(), "threadIdx") and len(places) == array._ary.ndim:
            place = int(np.ravel_multi_index(tuple(int(i) for i in places), array._ary.shape, mode="wrap"))
            what.touched[kind, array._ary.shape][here()].append(place)

    def counted_barrier(self: Any) -> None:
        what.barriers[here()] += 1
        barrier(self)

    def counted_add(self: Any, array: Any, index: Any, value: Any) -> Any:
        what.atomics += 1
        return add(self, array, index, value)

    def noted_get(self: Any, index: Any) -> Any:
        note("read", self, index)
        return get(self, index)

    def noted_put(self: Any, index: Any, value: Any) -> Any:
        note("written", self, index)
        return put(self, index, value)

    def counted_call(self: Any, *arguments: Any) -> Any:
        what.launches += not (self._device or kernel._kernel_context)
        return call(self, *arguments)

    with (mock.patch.object(kernel.BlockThread, "syncthreads", counted_barrier),
          mock.patch.object(kernelapi.FakeCUDAAtomic, "add", counted_add),
          mock.patch.object(FakeCUDAArray, "__getitem__", noted_get),
          mock.patch.object(FakeCUDAArray, "__setitem__", noted_put),
          mock.patch.object(kernel.FakeCUDAKernel, "__call__", counted_call)):
        yield what


def _made(kernel: Kernel, launch: tuple[Any, Any], inputs: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> np.ndarray:
    """What a kernel writes into an array of `shape`, its last argument; NaN where it writes nothing."""
    out = np.full(shape, np.nan, "f4")
    try:
        kernel[launch](*(array.copy() for array in inputs), out)
    except Wrong as wrong:
        if "out of bounds" in str(wrong):
            raise Wrong(f"{kernel.name}: a thread goes beyond an array; on a GPU nobody would tell. ({wrong})") from None
        raise
    return out


def _expect_barriers(what: Seen, least: int, why: str) -> None:
    """Every thread should come to a barrier so often."""
    if not SIMULATED:
        return
    counts = set(what.barriers.values())
    if len(counts) > 1:
        raise Wrong(f"some threads come to {min(counts)} barriers, others to {max(counts)}: on a GPU these would wait for "
                    "ever. A barrier stands where all threads come by, outside of an `if`")
    count = max(counts, default=0)
    if count < least:
        raise Wrong(f"a thread comes to {count} barrier{'s' if count != 1 else ''}; {least} are needed{why}")


def _numbers(*shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(25)
    return tuple(rng.normal(size=shape).astype("f4") for shape in shapes)


def _expect(got: np.ndarray, right: np.ndarray, name: str, mistakes: Known | None = None, axes: tuple[str, ...] = ()) -> None:
    expect_close(got, right, name, mistakes, tolerance=1e-4, axes=axes)


# The first kernels

def turn_blocks(lesson: SimpleNamespace) -> Known:
    size, threads = lesson.x.size, lesson.THREADS
    return {"that leaves the last numbers without a thread: round up": size // threads,
            "those are the threads; a block has THREADS of them": size,
            "that is exact, but a grid has whole blocks: round up": size / threads,
            "one more than needed where the size is a multiple; add THREADS - 1 before you divide": size // threads + 2}


def turn_relu_one(lesson: SimpleNamespace, given: Kernel) -> None:
    x, = _numbers((20,))
    _expect_relu(given, x, -(-20 // lesson.THREADS), lesson.THREADS)


def turn_relu(lesson: SimpleNamespace, given: Kernel) -> None:
    x, = _numbers((20,))
    for blocks in (5, 2, 1):
        _expect_relu(given, x, blocks, lesson.THREADS)


def _expect_relu(given: Kernel, x: np.ndarray, blocks: int, threads: int) -> None:
    y, where = _made(given, (blocks, threads), (x,), x.shape), f"with {blocks} block{'s' * (blocks > 1)} of {threads} threads"
    missing = np.flatnonzero(np.isnan(y))
    if missing.size and blocks * threads < x.size and missing[0] == blocks * threads:
        raise Wrong(f"{where}, nobody writes y[{missing[0]}] and what follows: a thread takes one number and ends. It goes on "
                    "by the size of the grid, cuda.gridsize(1)")
    if missing.size and missing[0] == threads:
        raise Wrong(f"{where}, nobody writes y[{missing[0]}]: cuda.threadIdx.x counts in a block, cuda.grid(1) through all")
    if missing.size:
        raise Wrong(f"{where}, nobody writes y[{missing[0]}]")
    _expect(y, np.maximum(x, 0), "y", {
        "that is the minimum: what is above zero stays": np.minimum(x, 0), "that is x itself": x,
        "that is |x|: below zero stands 0": np.abs(x)})


# What a warp fetches

def turn_transactions(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    cases = {"neighbours": 4 * np.arange(32), "every second number": 8 * np.arange(32), "one number for all": 0 * np.arange(32),
             "neighbours that begin 16 bytes further": 16 + 4 * np.arange(32), "down a column": 4000 * np.arange(32)}
    for name, addresses in cases.items():
        got, right = as_array(given(addresses.copy()), "what transactions returns", ()), len(np.unique(addresses // 32))
        if got == right:
            continue
        if got == len(np.unique(addresses)):
            raise Wrong(f"for {name} that is how many numbers there are; count the sectors of 32 bytes that they lie in")
        if got == len(np.unique(addresses // 4 // 32)) or got == len(np.unique(addresses // 128)):
            raise Wrong(f"for {name} those are pieces of 32 numbers; a sector has 32 bytes, and the addresses are in bytes")
        raise Wrong(f"for {name} there are {right} sectors, but transactions gives {got:g}")


def turn_ways(lesson: SimpleNamespace, given: Callable[..., Any]) -> None:
    cases = {"a row": np.arange(32), "a column of 32 × 32": 32 * np.arange(32), "every second word": 2 * np.arange(32),
             "one word for all": 0 * np.arange(32) + 5, "a padded column": 33 * np.arange(32)}
    for name, words in cases.items():
        got, right = as_array(given(words.copy()), "what ways returns", ()), np.bincount(np.unique(words) % 32).max()
        if got == right:
            continue
        if got == len(np.unique(words % 32)):
            raise Wrong(f"for {name} those are the banks that are used; asked are the most different words of one bank")
        if got == np.bincount(words % 32).max():
            raise Wrong(f"for {name}: those who want the same word get it in one step; count *different* words")
        raise Wrong(f"for {name} a warp takes {right} step{'s' * bool(right > 1)}, but ways gives {got:g}")


def turn_padded(lesson: SimpleNamespace) -> Known:
    lane = lesson.lane
    return {"that is the column as it was: its rows now have 33 numbers": 32 * lane,
            "that is a row; down a column it goes 33 words at a time": lane,
            "the rows become longer, not the tile higher": 31 * lane, "one number more, for a row: 32 + 1": 34 * lane}


def turn_sectors(lesson: SimpleNamespace) -> Known:
    return {"those are the sectors of neighbours; from k to k + 1 it is a whole row of W": 4,
            "the addresses are in bytes, and a number has four": len(np.unique(lesson.J * lesson.lane // 32)),
            "that is a sector for each; at 28 bytes apart, some of them share one": 32}


# Products

def turn_product(lesson: SimpleNamespace, given: Kernel) -> None:
    x, W, b = _numbers((5, 6), (6, 7), (7,))
    for blocks in (6, 2):
        y = _made(given, (blocks, lesson.THREADS), (x, W, b), (5, 7))
        if np.isnan(y).any():
            n, j = map(int, np.argwhere(np.isnan(y))[0])
            raise Wrong(f"with {blocks} blocks nobody writes y[{n}, {j}]: the loop runs over all y.size numbers, by the grid's "
                        "size; number i is in row i // J and column i % J")
        _expect(y, x @ W + b, "y", _product_mistakes(x, W, b), ("sample", "output"))
    with seen() as what:
        _made(given, (1, lesson.THREADS), (x, W, b), (5, 7))
    _expect_neighbours(what, "read", W.shape, "W", "let neighbouring threads have neighbouring columns j")


def _product_mistakes(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> Known:
    last = x[:, -1:] * W[-1:]
    return {"the bias is missing": x @ W, "the bias is added at each k: begin the sum with it": x @ W + len(W) * b,
            "only the last k is left: add with `+=`": last, "only the last k is left, and the bias: add with `+=`": last + b,
            "the last k is left out": x[:, :-1] @ W[:-1] + b}


def turn_reads(lesson: SimpleNamespace) -> Known:
    N, K, J = lesson.N, lesson.K, lesson.J
    return {"an output reads K numbers of x, and K of W: both count": N * J * K,
            "that is each number once; each of the N J outputs reads all that it needs": N * K + K * J,
            "those are the operations of one output; there are N J": 2 * K}


def turn_tiled(lesson: SimpleNamespace, given: Kernel) -> None:
    TILE = lesson.TILE
    for N, K, J in ((TILE, 2 * TILE, 2 * TILE), (TILE + 2, TILE + 1, TILE + 3)):
        x, W, b = _numbers((N, K), (K, J), (J,))
        grid = -(-J // TILE), -(-N // TILE)
        with seen() as what:
            y = _made(given, (grid, (TILE, TILE)), (x, W, b), (N, J))
        steps = -(-K // TILE)
        why = f" for {steps} tiles: nobody may read one before it is whole, nor overwrite it before all have read it"
        wrong = ~np.isclose(y, x @ W + b, rtol=1e-4, atol=1e-4)
        if wrong.any():
            _expect_barriers(what, 2 * steps, why)
        if wrong.any() and N % TILE:
            n, j = map(int, np.argwhere(wrong)[0])
            what_is_wrong = "nobody writes" if np.isnan(y[n, j]) else "wrong is"
            raise Wrong(f"whole tiles are right, but of a product of ({N}, {K}) and ({K}, {J}) {what_is_wrong} y[{n}, {j}]: "
                        "outside of x and W zeros stand in the tiles, and nobody leaves before the last barrier")
        _expect(y, x @ W + b, "y", {
            **_product_mistakes(x, W, b), "only the first tile along k is added": x[:, :TILE] @ W[:TILE] + b,
            "only the last tile along k is added": x[:, -TILE:] @ W[-TILE:] + b}, ("sample", "output"))
        _expect_barriers(what, 2 * steps, why)
        read = sum(map(len, what.touched["read", x.shape].values()))
        if SIMULATED and read > N * K * grid[0]:
            raise Wrong(f"{read} numbers of x are read; {grid[0]} blocks along j should read each of {N * K} once; "
                        "a thread fetches one number of a tile, and all read it from there")


def turn_reads_by_tiles(lesson: SimpleNamespace) -> Known:
    return {"both x and W are read": lesson.reads_by_tiles / 2,
            "that is without tiles; each number that is fetched serves 16 threads": lesson.reads_by_tiles * 16,
            "a number serves the 16 threads of a row or of a column of the tile, not all 256": lesson.reads_by_tiles / 16}


# Sums

def turn_atomic_sum(lesson: SimpleNamespace, given: Kernel) -> None:
    x, = _numbers((41,))
    for blocks in (1, 2):
        total = np.zeros(1, "f4")
        with seen() as what:
            given[blocks, lesson.THREADS](x, total)
        if "atomic" not in given.compiled.py_func.__code__.co_names:
            raise Wrong("here it may come out right, by luck: `total[0] +=` is a race. Use cuda.atomic.add(total, 0, …)")
        lane = x[:lesson.THREADS * blocks]
        _expect(total, x.sum(keepdims=True), "total", {
            "each block adds up all numbers: begin at cuda.grid(1), go on by cuda.gridsize(1)": blocks * x.sum(keepdims=True),
            "only the first number of each thread is added": lane.sum(keepdims=True)})
    if what.atomics > 2 * lesson.THREADS:
        raise Wrong(f"total is right, but {what.atomics} atomics wait for each other; let each thread add up its own numbers "
                    f"first, then there are {2 * lesson.THREADS}")


def turn_block_sum(lesson: SimpleNamespace, given: Kernel) -> None:
    threads, block_sum = lesson.THREADS, given.compiled

    @cuda.jit
    def all_sums(x: Any, y: Any) -> None:
        shared = cuda.shared.array(threads, float32)
        t = cuda.threadIdx.x
        y[0, t] = block_sum(x[0, t], shared)
        y[1, t] = block_sum(x[1, t], shared)

    x, = _numbers((2, threads))
    with seen() as what:
        y = _made(Kernel(given.name, all_sums, given.path), (1, threads), (x,), x.shape)
    right, steps = np.repeat(x.sum(axis=1, keepdims=True), threads, axis=1), int(math.log2(threads))
    why = (f" for two sums: one when all have written, one after each of the {steps} steps, and one when all have read "
           "shared[0], since the next sum overwrites it")
    if not np.allclose(y, right, atol=1e-4):
        _expect_barriers(what, 2 * (steps + 2), why)            # without them the numbers are of chance
        if np.allclose(y[:, 0], right[:, 0], atol=1e-4):
            raise Wrong("thread 0 has the sum, but others return something else: all return shared[0], after a barrier")
    _expect(y, right, "the sum", {
        "that is each thread's own share": x,
        "the first half of the shares alone": np.repeat(x[:, :threads // 2].sum(1)[:, None], threads, 1)})
    _expect_barriers(what, 2 * (steps + 2), why)


# Rows

def turn_softmax(lesson: SimpleNamespace, given: Kernel) -> None:
    y, = _numbers((3, 11))
    for shift in (0, 200):
        shifted = y + np.float32(shift)
        m = shifted.max(axis=1)
        with np.errstate(all="ignore"):
            p = _made(given, (len(y), lesson.THREADS), (shifted, m), y.shape)
        e = np.exp(shifted - m[:, None])
        if shift and not np.isfinite(p).all():
            raise Wrong("right for small numbers; with y of 200, e^y is more than float32 holds: take m off first")
        missing = np.isnan(p).all(axis=0)
        if missing[lesson.THREADS:].all() and missing.any():
            raise Wrong("a thread writes one number of its row and ends: it goes on by THREADS")
        _expect(p, e / e.sum(axis=1, keepdims=True), "p", {
            "it is not divided by the sum": e, "the sum runs over all rows": e / e.sum(),
            "the sum runs down the columns": e / e.sum(axis=0),
            "each thread divides by its own sum: block_sum makes one of all": e / _own_sums(e, lesson.THREADS)},
            ("sample", "output"))


def _own_sums(e: np.ndarray, threads: int) -> np.ndarray:
    """For each number of each row, the sum over those that the same thread has."""
    sums = np.zeros_like(e)
    for t in range(min(threads, e.shape[1])):
        sums[:, t::threads] = e[:, t::threads].sum(axis=1, keepdims=True)
    return sums


def turn_softmax_backward(lesson: SimpleNamespace, given: Kernel) -> None:
    dp, logits = _numbers((3, 11), (3, 11))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    dy = _made(given, (len(p), lesson.THREADS), (dp, p), p.shape)
    total = (dp * p).sum(axis=1, keepdims=True)
    _expect(dy, p * (dp - total), "dy", {
        "the sum over the row is missing": p * dp, "the factor p is missing": dp - total,
        "the sum is added; it is taken off": p * (dp + total), "in the sum the factor p is missing":
        p * (dp - dp.sum(axis=1, keepdims=True)), "p is in front of the sum too": p * dp - total,
        "each thread takes off its own sum: block_sum makes one of all": p * (dp - _own_sums(dp * p, lesson.THREADS))},
        ("sample", "output"))


# Gradients

def turn_weight_gradient(lesson: SimpleNamespace, given: Kernel) -> None:
    x, dy = _numbers((5, 3), (5, 4))
    for blocks in (3, 1):
        dW = _made(given, (blocks, lesson.THREADS), (x, dy), (3, 4))
        if np.isnan(dW).any():
            k, j = map(int, np.argwhere(np.isnan(dW))[0])
            raise Wrong(f"with {blocks} block{'s' * (blocks > 1)} nobody writes dW[{k}, {j}]: the loop runs over all dW.size "
                        "numbers, by the grid's size; number i is in row i // J and column i % J")
        _expect(dW, x.T @ dy, "dW", {
            "only the last sample is heard: add with `+=`": x[-1:].T @ dy[-1:], "only the first sample is heard":
            x[:1].T @ dy[:1], "it is a mean; a weight stands in every sample's output, so it is the sum": x.T @ dy / len(x)},
            ("input", "output"))


def turn_bias_gradient(lesson: SimpleNamespace, given: Kernel) -> None:
    dy, = _numbers((5, 11))
    with seen() as what:
        db = _made(given, (1, lesson.THREADS), (dy,), (11,))
    missing = np.flatnonzero(np.isnan(db))
    if missing.size:
        raise Wrong(f"nobody writes db[{missing[0]}]: with fewer threads than columns, each goes on by cuda.gridsize(1)")
    if (np.abs(db - dy) < 1e-6).any(axis=0).all() and len(set(np.abs(db - dy).argmin(axis=0))) > 1:
        raise Wrong("in each column one sample alone is heard, this one or that: a race. Let a thread walk down a column")
    _expect(db, dy.sum(axis=0), "db", {
        "only the last sample is heard: add with `+=`": dy[-1], "only the first sample is heard": dy[0],
        "it is a mean; b is in every sample's output, so it is the sum": dy.mean(axis=0)}, ("output",))
    _expect_neighbours(what, "read", dy.shape, "dy", "a thread a column")


# On paper

def turn_held(lesson: SimpleNamespace) -> Known:
    return {"so many have room for their threads; but their registers do not fit": 8,
            "so many registers there are for 64 each, but in threads; a block has 256": 1024,
            "the registers of a thread are counted, but not those of all 256": 1,
            "both must fit: the lower of the two counts, not the sum": 12}


def turn_limit(lesson: SimpleNamespace) -> Known:
    right = lesson.limit
    return {"a multiply-add counts as two operations": right / 2, "that is one multiprocessor; there are 132": right / 132,
            "the clock is left out: so many operations in a tick, at 1.98 · 10⁹ ticks a second": right / 1.98,
            "that is in Tflop/s": right / 1e3, "that is operations a second; a Gflop/s is 10⁹ of them": right * 1e9}


def turn_relu_roof(lesson: SimpleNamespace) -> Known:
    right = lesson.relu_roof
    return {"that is the limit; memory does not bring the numbers so fast": lesson.limit,
            "that is memory's speed in GB/s: times operations for each byte": lesson.bandwidth,
            "a number is read and one is written: 8 bytes for one operation": right * 2,
            "that is for each number; a number has four bytes": right * 4,
            "bytes for each operation: it is the other way round": lesson.bandwidth * 8}


def turn_tile_roof(lesson: SimpleNamespace) -> Known:
    right = lesson.tile_roof
    return {"a multiply-add is two operations": right / 2, "two numbers are fetched, one of x and one of W": right * 2,
            "that is for each number; a number has four bytes": min(lesson.limit, right * 4),
            "a thread fetches two numbers for 16 multiply-adds: that is without tiles": right / 16,
            "that is the limit; memory does not bring the numbers so fast": lesson.limit}


def turn_waiting(lesson: SimpleNamespace) -> Known:
    right = lesson.waiting
    return {"that is one step; the sequence has 100": right / lesson.steps,
            "each step has ten launches": right / lesson.launches_a_step,
            "that is in milliseconds": right * 1e3, "that is how many launches; times the seconds of one": right / 5e-6}


# The walk

def turn_walk(lesson: SimpleNamespace, given: Kernel) -> None:
    for H, threads in ((4, 4), (5, 2)):
        a, U = _numbers((2, 3, H), (H, H))
        with seen() as what:
            h = _made(given, (2, threads), (a, U), a.shape)
        missing = np.argwhere(np.isnan(h))
        if missing.size and threads < H and (missing[:, 2] >= threads).all():
            raise Wrong(f"with {H} units and {threads} threads nobody makes unit {threads}: threads stride over the units, by "
                        "cuda.blockDim.x")
        if missing.size and missing[0][0]:
            raise Wrong("nobody makes the second sequence: block n has sequence n")
        why = " in three steps: h_t must be whole before a thread reads it in the next one"
        right = _walked(a, U)
        if not np.allclose(h, right, atol=1e-4):
            _expect_barriers(what, 2, why)
        expect_close(h, right, "h", {
            "nothing comes from the step before": np.tanh(a), "tanh is missing": _walked(a, U, activation=lambda z: z),
            "U is turned round: unit j hears unit k by U[k, j]": _walked(a, U.T),
            "each unit hears itself alone: sum over all units k": _walked(a, np.diag(np.diag(U)))},
            tolerance=1e-4, axes=("sequence", "step", "unit"))
        _expect_barriers(what, 2, why)


def _walked(a: np.ndarray, U: np.ndarray, activation: Callable[[np.ndarray], np.ndarray] = np.tanh) -> np.ndarray:
    h, state = np.zeros_like(a), np.zeros_like(a[:, 0])
    for t in range(a.shape[1]):
        h[:, t] = state = activation(a[:, t] + state @ U)
    return h


def _expect_neighbours(what: Seen, kind: str, shape: tuple[int, ...], name: str, cure: str) -> None:
    """Neighbouring threads of a block should touch neighbouring numbers of the array of this shape, for the most part."""
    threads, apart = what.touched[kind, shape], []
    for (block, (u, v)), places in threads.items():
        beside = threads.get((block, (u + 1, v)), [])
        apart += [second - first for first, second in zip(places, beside, strict=False)]
    if apart and np.mean(np.array(apart) == 1) < 0.5:
        common = abs(Counter(apart).most_common(1)[0][0])
        how = (f"from one thread to the next, what is {kind} of {name} lies {common} places apart" if common else
               f"neighbouring threads have the same number of {name}")
        raise Wrong(f"the numbers are right, but not the order: {how}; {cure}")


# Exercises

def exercise_1(answer: Answer) -> None:
    """Counting on paper

    sectors of a warp that reads every third float32; steps for every sixth word of shared memory; blocks of 128 threads for
    1000 numbers; reads: how often tiles of 16 fetch each number of x for a y of 64 columns.
    """
    answer.on_paper("sectors", 12, [
        "How many bytes lie from the first number to the end of the last one?",
        "The numbers have four bytes and are three apart; of each sector something is used."], {
        "those are the sectors of neighbours": 4, "so far apart are the numbers in bytes, not the sectors that are fetched": 96,
        "two or three of these numbers share a sector": 32})
    answer.on_paper("steps", 2, [
        "In which banks do the words 0, 6, 12, … lie? When does one come again?",
        "6 · 16 = 96 is a multiple of 32: after 16 threads it begins anew."], {
        "which banks are there twice? 6 and 32 have a divisor in common": 1,
        "it is not the stride; how many threads meet in one bank?": 6, "so many banks are used": 16})
    answer.on_paper("blocks", 8, [
        "Each number needs a thread, and there are only whole blocks.",
        "Round up."], {
        "the last 104 numbers have no thread: round up": 7, "only whole blocks can be launched": 1000 / 128})
    answer.on_paper("reads", 4, [
        "Every tile of y fetches the rows of x that it needs.",
        "How many tiles of y lie side by side, in 64 columns?"], {
        "that is without tiles: each column reads it once": 64, "so many threads does it serve each time": 16,
        "once for each tile of y in its row": 1})


def exercise_2(answer: Answer) -> None:
    """A whole backward, as kernels

    dense_backward(x, W, y, dy): dx, dW, db of a dense layer with ReLU, by kernels of your own. y is its output; x is (N, K),
    W (K, J), y and dy (N, J), float32.
    """
    def check(N: int, K: int, J: int) -> None:
        x, W, b, dy = _numbers((N, K), (K, J), (J,), (N, J))
        y = np.maximum(x @ W + b, 0)
        with seen() as what:
            result = answer.function("dense_backward")(x, W, y, dy)
        right, wrong = _dense(x, W, dy * (y > 0)), _dense_mistakes(x, W, y, dy)
        axes = {"dx": ("sample", "input"), "dW": ("input", "output"), "db": ("output",)}
        expect_all(result, right, wrong, ("dx", "dW", "db"), "dense_backward", axes, order=("db", "dW", "dx"),
                   tolerance=1e-4)
        if SIMULATED and not what.launches:
            raise Wrong("the gradients are right, but no kernel was launched: they should be made by kernels of your own")
    for_each_size(answer, check, [(1, 1, 1), (2, 3, 2), (3, 5, 11)])


def _dense(x: np.ndarray, W: np.ndarray, da: np.ndarray) -> dict[str, np.ndarray]:
    return {"dx": da @ W.T, "dW": x.T @ da, "db": da.sum(axis=0)}


def _dense_mistakes(x: np.ndarray, W: np.ndarray, y: np.ndarray, dy: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    da = dy * (y > 0)
    right, last = _dense(x, W, da), _dense(x[-1:], W, da[-1:])
    mean = {name: value / len(x) for name, value in right.items() if name != "dx"}
    return {"the slope of ReLU is missing: dy counts only where y is above 0": _dense(x, W, dy),
            "dy is multiplied by y; the slope of ReLU is 1 or 0": _dense(x, W, dy * y),
            "one sample alone is heard, the last one: the sum runs over all": {n: last[n] for n in ("dW", "db")},
            "it is a mean over the samples; it should be the sum": mean,
            "only the last output is heard: add with `+=`": {"dx": da[:, -1:] @ W[:, -1:].T},
            "what comes from the block that wrote last is left: a race": {"db": da[-1]}}


def exercise_3(answer: Answer) -> None:
    """A transpose by tiles

    transposed(x): the transpose of x (N, K) float32, by one kernel of yours that is launched as [grid, (TILE, TILE)], with a
    TILE of at most 8. Both arrays are read and written along their rows, by way of shared memory.
    """
    for shape in ((3, 5), (8, 8), (13, 6)):
        x, = _numbers(shape)
        with seen() as what:
            got = answer.function("transposed")(x)
        expect_close(got, x.T, f"the transpose of {shape}", {"that is x itself": x}, tolerance=1e-5)
        if not SIMULATED:
            continue
        if not what.launches:
            raise Wrong("the transpose is right, but no kernel was launched")
        if shape[0] == shape[1]:                        # of x and of the result: they cannot be told apart
            continue
        _expect_neighbours(what, "read", x.shape, "x", "read along the rows, into a tile")
        _expect_neighbours(what, "written", x.T.shape, "the result", "write along its rows, and read the tile by columns")
        _expect_barriers(what, 1, ": the tile must be whole before anyone reads it")


def exercise_4(answer: Answer) -> None:
    """The bug that needs ten columns

    The function column_sums at the end of the lesson has a bug. Write it right as fixed_column_sums(x): returns the sum of
    each column of x (N, J) float32, (J,).
    """
    for J in (8, 3, 10, 17, 1):
        x, = _numbers((4, J))
        got = as_array(answer.function("fixed_column_sums")(x), "the sums", (J,))
        missing = np.flatnonzero((got == 0) | np.isnan(got))
        if missing.size:
            raise Wrong(f"with {J} columns nobody sums column{'s' * (missing.size > 1)} {', '.join(map(str, missing))}: the "
                        "grid has fewer threads than there are columns")
        expect_close(got, x.sum(axis=0), f"the sums of {J} columns", {
            "those are the means": x.mean(axis=0)}, tolerance=1e-4)


def exercise_5(answer: Answer) -> None:
    """Strides without a conflict

    by_stride: the steps of a warp for each stride from 1 to 64 in shared memory, {stride: steps}; free: the set of strides
    without a conflict.
    """
    by_stride, free = answer.value("by_stride"), answer.value("free")
    if not isinstance(by_stride, dict) or sorted(by_stride) != list(range(1, 65)):
        raise Wrong("by_stride should be a dictionary with an entry for each stride from 1 to 64")
    got = as_array([by_stride[s] for s in range(1, 65)], "the steps", (64,))
    right = np.gcd(np.arange(1, 65), 32)
    wrong = np.flatnonzero(got != right)
    if wrong.size:
        raise Wrong(f"by_stride: with stride {wrong[0] + 1} a warp does not take {got[wrong[0]]:g} steps; its words are "
                    f"{wrong[0] + 1} * np.arange(32)")
    if set(free) != {s for s in range(1, 65) if by_stride[s] == 1}:
        raise Wrong("free: by your own by_stride these are not all the strides with one step, or some with more")
