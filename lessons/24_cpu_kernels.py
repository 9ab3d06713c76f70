# %% [markdown]
# # 24 · From seven loops to the speed of the machine: the CPU kernels
#
# *About 30 minutes.* One convolution in seven ways. The numbers are the same, to the last digit; only the order of the work
# changes, and with it the speed, some hundred times. You measure what each step brings, and see why.
#
# ## A question first
# Seven nested loops, compiled to machine code, do nothing but multiply and add. How near do they come to what a core can do:
# all, a half, a tenth, a hundredth? And how many numbers must be read for each multiply-add: two, one, a tenth? Write it down.

# %%
import inspect
import re
import timeit
from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import numpy as np
from numba import get_num_threads, njit, prange

from kernels.cpu import _team, _tile, convolution
from nblayers.layers import Conv2D, Dense, GlobalAveragePooling2D, MaxPooling2D
from nblayers.learn.tools import check_derivative, save_figure, show_source

# %% [markdown]
# ## One and two: seven loops, in Python and compiled
# $$y_{nijf} = \sum_{k,l,c} x_{n,i+k,j+l,c} \, w_{klcf} \tag{001.07.Conv2D}$$
# With the channels that the document leaves out, without bias. Seven letters, seven loops, in which order? Any gives this sum;
# here one weight after the other is multiplied with all that it ever lies on. Python looks up types in each turn, makes objects
# and throws them away (it gets a corner of the numbers); the same function compiled does not. All numbers are small and whole,
# so no sum is ever rounded: all ways must agree exactly. A multiply-add counts as two operations.

# %%
def seven_loops(x, w, y):
    y[:] = 0
    for f in range(w.shape[3]):
        for c in range(w.shape[2]):
            for k in range(w.shape[0]):
                for l in range(w.shape[1]):
                    for n in range(y.shape[0]):
                        for i in range(y.shape[1]):
                            for j in range(y.shape[2]):
                                y[n, i, j, f] += x[n, i + k, j + l, c] * w[k, l, c, f]


def fastest(run, times=10):                             # of some runs: it shows what goes undisturbed
    return min(timeit.repeat(run, number=1, repeat=times + 1)[1:])      # without the first, which compiles


def measure(step, convolve, *arguments, times=10):
    y = np.full(right.shape, np.nan, "f4")              # what nobody writes shall be seen
    rates[step] = GFLOP / fastest(lambda: convolve(*arguments, y), times)
    print(f"{step}: {rates[step]:.3g} Gflop/s")
    assert np.array_equal(y, right)


rng, rates, GFLOP, y = np.random.default_rng(0), {}, 0.198180864, np.empty((1, 3, 3, 8))
x, w = rng.integers(-3, 4, (1, 18, 44, 64)).astype("f4"), rng.integers(-3, 4, (3, 3, 64, 256)).astype("f4")
right = sum(x[:, k:k + 16, l:l + 42] @ w[k, l] for k in range(3) for l in range(3))     # (1, 16, 42, 256)
rates["1 Python"] = 2 * y.size * 3 * 3 * 4 / 1e9 / fastest(lambda: seven_loops(x[:, :5, :5, :4], w[:, :, :4, :8], y))
print(f"1 Python: {rates['1 Python']:.2g} Gflop/s")
measure("2 compiled", njit(seven_loops), x, w, times=2)
assert 2 * right.size * 3 * 3 * 64 / 1e9 == GFLOP and rates["2 compiled"] > 3 * rates["1 Python"]

# %% [markdown]
# ## Three: memory in its order
# Memory comes in *lines* of 64 bytes, 16 numbers. The innermost loop went from point to point, 64 channels further in $x$, 256
# in $y$: of each line it used one number. So: points outside, channels inside, in $w$ too. Each sum now waits for itself: `s`
# must be ready, some four ticks of the clock, before more is added, and in another order it would be rounded otherwise.

# %%
@njit
def channels_inside(x, w, y):                           # w (3, 3, 256, 64)
    for n, i, j, f in np.ndindex(y.shape):
        s = np.float32(0)
        for k in range(w.shape[0]):
            for l in range(w.shape[1]):
                for c in range(w.shape[3]):
                    s += x[n, i + k, j + l, c] * w[k, l, f, c]
        y[n, i, j, f] = s


turned, one, large = np.ascontiguousarray(w.swapaxes(2, 3)), np.float32(1), np.float32(1e8)
measure("3 memory in order", channels_inside, x, turned, times=3)
assert x.strides[2:] == (256, 4) and right.strides[2:] == (1024, 4) and one + large - large == 0 != large - large + one

# %% [markdown]
# ## Four: vectors
# Sums of different filters need not wait for each other. With $f$ inside, all lies in order and one $x$ meets 256 weights.
# LLVM, which compiles for Numba, now takes 4, 8 or 16 at a time: a *vector*, in a register of 16, 32 or 64 bytes. In machine
# code `ps` means packed single precision (`ss` a single number), `fmadd` multiply and add, rounded once: `contract` allows it.

# %%
@njit(fastmath={"contract"})
def filters_inside(x, w, y):
    y[:] = 0
    for n, i, j in np.ndindex(y.shape[:3]):
        for k, l in np.ndindex(w.shape[:2]):
            for c in range(w.shape[2]):
                for f in range(w.shape[3]):
                    y[n, i, j, f] += x[n, i + k, j + l, c] * w[k, l, c, f]


measure("4 vectors", filters_inside, x, w)
found = re.findall(r"\b(?:v?mulps|vfmadd\d+ps|fml?a\s+v|fmul\s+v).*", "".join(filters_inside.inspect_asm().values()))
assert found and rates["4 vectors"] > rates["3 memory in order"]
print("in its machine code:", found[0])

# %% [markdown]
# ## Five: a tile in registers
# Each multiply-add still takes two loads ($w$, $y$) and a store; in a tick a core can do two multiply-adds, but only two loads
# and a store. So keep $y$ in registers until its sum is done, and use several times what was loaded: $R$ points times $V$
# vectors of filters take $V + R$ loads for $R V$ multiply-adds, and $R V + V + 1$ registers. AVX-512 has 32, AVX2 16: hence 14
# or 6 points times 2 vectors. Python has no word for a register: the tile is written in LLVM's language. It reads each row of a
# window, a *run* of numbers, where it lies. Read the machine code, too: LLVM went to each point by an addition, waiting for the
# one before, until we wrote an address as a register plus 1, 2, 4 or 8 times another. Masks cost time, too.

# %%
def tiles_of(rows):
    tile = _tile._make_tiles([rows], _tile.WIDE)
    @njit(nogil=True)
    def tiles(x, w, panel, w_k, first, last, y):        # in w: `panel` to the next WIDTH columns, `w_k` to the next row
        (_, H, W, C), (_, OH, OW, F) = x.shape, y.shape
        x1, y1, K = x.reshape(-1), y.reshape(-1), H - OH + 1
        for line in range(first, last):
            for p in range(F // WIDTH):
                for j in range(0, OW, rows):
                    at, to = (line % OH * W + j) * C, (line % OH * OW + j) * F + p * WIDTH
                    tile(rows, x1, at, C, 1, W * C, w, p * panel, w_k, K * C * w_k, K, K * C, y1, 0, 0, y1, to, F, WIDTH, False)
    return tiles


ROWS, V, WIDTH, CORES = _tile.HEIGHTS[0], _tile.WIDE, _tile.WIDE * _tile.VECTOR // 4, get_num_threads()
for R in _tile.HEIGHTS:
    print(f"{R:2} points: {R * V + V + 1:2} registers; a multiply-add of vectors takes {(V + R) / (V * R):.2f} loads, "
          f"one of numbers {(WIDTH + R) / (WIDTH * R):.2f} numbers")
assert ROWS * V + V + 1 <= (32 if _tile.VECTOR == 64 else 16) < (ROWS + 1) * V + V + 1 and WIDTH + ROWS < 0.3 * WIDTH * ROWS
tiles = tiles_of(ROWS)
measure("5 tiles of 1 point", tiles_of(1), x, w.reshape(-1), WIDTH, 256, 0, 16)
measure(f"5 tiles of {ROWS} points", tiles, x, w.reshape(-1), WIDTH, 256, 0, 16)

# %% [markdown]
# ## Six and seven: packing, and all cores
# For one group of points after the other a tile reads the same columns of $w$: 576 rows, 1024 bytes apart. They lie on 144
# pages of memory, of which a core knows some 60 by heart; and as an address decides where in the cache its line may stand, they
# compete for 8 of 64 places. So *pack* the weights (once for all pictures): those of a tile one behind the other. Then let each
# core take some lines of the picture. No output belongs to two, so nobody waits. Wake them once, not for each line.

# %%
@njit(parallel=True)
def all_cores(x, w, panel, w_k, y):
    for s in prange(CORES):
        tiles(x, w, panel, w_k, s * y.shape[1] // CORES, (s + 1) * y.shape[1] // CORES, y)


packed = w.reshape(576, -1, WIDTH).swapaxes(0, 1).ravel()
places = [{(k * step + byte) // 64 % 64 for k in range(576) for byte in range(4 * WIDTH)} for step in (1024, 4 * WIDTH)]
assert 576 * 1024 == 144 * 4096 and 576 * 4 * WIDTH <= 18 * 4096 and len(places[0]) <= 8 and len(places[1]) == 64
measure("6 packed weights", tiles, x, packed, 576 * WIDTH, WIDTH, 0, 16)
measure("7 all cores", all_cores, x, packed, 576 * WIDTH, WIDTH)

# %% [markdown]
# ## Backward, and the same in the library
# $$dw_{klcf} = \sum_{n,i,j} x_{n,i+k,j+l,c} \, dy_{nijf}$$
# $dx$ is our walk with turned weights. But to $dw$ *every* point adds. If two threads do `dw += …` at once, both may read
# before either writes, and a share is lost: a **race**, which comes and goes. The cure: for each thread a `dw`, then their sum.
#
# The library's kernel gives the same numbers, its layer our gradient; the lines printed first are your steps. It does more:
# edges, strides, groups; padding, copied into a scratch in the cache; 3 × 3 windows in a quarter of the steps (`_winograd.py`).

# %%
u, v, dy = (rng.integers(-3, 4, shape).astype(float) for shape in ((1, 4, 4, 2), (3, 3, 2, 3), (1, 2, 2, 3)))
share = [sum(u[0, i:i + 3, j:j + 3, :, None] * dy[0, i, j] for j in range(2)) for i in range(2)]    # thread i has line i
raced, dw, y = [np.zeros_like(v) + part for part in share][-1], share[0] + share[1], np.empty_like(dy)  # both have read 0
assert np.array_equal(raced, share[1]) and np.any(raced != dw)
check_derivative("dw", dw, lambda v: (seven_loops(u, v, y), np.sum(dy * y))[1], v)
window, b = ((1, 1, 1), (0, 0, 0), (1, 1, 1), 1, True), np.zeros(256, "f4")     # strides, padding, dilation, groups, winograd
measure("the library", lambda y: convolution.convolve(x[:, None], w[None], b, *window, y[:, None]))
layer = Conv2D(3, 3)
layer.forward(u)                                        # makes its weights, and keeps u
layer.set_weights([v, np.zeros(3)])
check_derivative("dx", layer.backward(dy), lambda u: (seven_loops(u, v, y), np.sum(dy * y))[1], u)
assert np.array_equal(layer.kernel.grad, dw)
for step, module, text in (("4", _tile, "VectorType(self.num"), ("5", _tile, "HEIGHTS ="), ("5", _tile, "fmul(x, w"),
                           ("6", convolution, "share(pack"), ("7", _team, "prange("), ("race", _team, "add_to(total")):
    number, line = next((n, line) for n, line in enumerate(inspect.getsource(module).split("\n"), 1) if text in line)
    print(f"{step}: {module.__name__}, line {number}: {line.strip()}")
cpu = "convolution:_correlate_segments", "_team:_sum_on_team", "_tile:_write_tile", "_tile:_sum_over_runs"
show_source("kernels.reference.convolution:convolve", *(f"kernels.cpu.{name}" for name in cpu))

# %% [markdown]
# ## A real task, and a picture: where does a training step's time go?
# Each number must be read at least once, each result written. Who does few operations a byte waits for memory, however good the
# kernel: pooling compares three times for five numbers, a depthwise 3 × 3 window does 18 operations for two. Their roof slopes:
# *bandwidth × operations a byte*; above it is whom the cache helps. The flat roof is what tiles reach with all they need beside
# the core; above it is only Winograd. The points: the layers of document 001's classifier (section 8), forward and backward.

# %%
def on_cores(run, *arrays):
    with ThreadPoolExecutor(len(arrays[0])) as pool:
        return fastest(lambda: list(pool.map(run, *arrays)))


def limit_of(cores):
    arrays = (np.ones((cores, *shape), "f4") for shape in ((1, 3, ROWS + 2, 16), (144 * WIDTH,), (1, 1, ROWS, WIDTH)))
    return cores * 8e-6 * ROWS * WIDTH * 144 / on_cores(lambda x, w, y: tiles(x, w, 0, WIDTH, 0, 4000, y), *arrays)


core, limit = limit_of(1), limit_of(CORES)
bandwidth = 0.268435456 / on_cores(np.copyto, *np.ones((2, CORES, 2 ** 25 // CORES), "f4"))     # 2 · 128 MiB read and written
print(f"limits: {core:.0f} Gflop/s one core, {limit:.0f} all; {bandwidth:.1f} GB/s. Step 2: 1/{core / rates['2 compiled']:.0f}")
assert rates["2 compiled"] < core / 3 and 3 / (5 * 4) == 0.15 and 18 / (2 * 4) == 2.25           # operations a byte
fig, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
left.barh([f"{step}: {rate:.3g}" for step, rate in rates.items()], list(rates.values()), color=["C0"] * 8 + ["C2"])
left.vlines([core, limit], -0.5, 8.5, color="black", ls=["--", "-"])
left.set(xscale="log", xlabel="Gflop/s", xlim=(min(rates.values()) / 2, 2 * max(limit, *rates.values())), ylim=(8.6, -0.6),
         title=f"limits: one core {core:.0f} (dashed), all {limit:.0f}")
right.loglog([0.05, limit / bandwidth, 500], [0.05 * bandwidth, limit, limit], color="black")
y = rng.normal(size=(32, 64, 64, 3)).astype("f4")
for layer in (Conv2D(32, (3, 3), activation="relu", padding="same"), MaxPooling2D(), Conv2D(64, (3, 3), activation="relu",
              padding="same"), MaxPooling2D(), GlobalAveragePooling2D(), Dense(10, activation="softmax")):
    x, y = y, layer.forward(y, training=True)
    seconds = fastest(lambda: layer.backward(layer.forward(x, training=True)))                  # noqa: B023
    gflop = (6 * y.size / y.shape[-1] * layer.weights[0].value.size if layer.weights else x.size) / 1e9     # forward, dx and dw
    gbyte = 8 * (x.size + y.size) / 1e9                                                         # x, y, dy, dx
    print(f"{layer.name:26}{1e3 * seconds:6.2f} ms {gflop / seconds:7.1f} Gflop/s {gbyte / seconds:7.1f} GB/s")
    right.plot(gflop / gbyte, gflop / seconds, "o", label=layer.name)
right.set(xlabel="operations for each byte", ylabel="Gflop/s")
fig.legend(loc="outside right upper")
save_figure(fig, "24_steps_and_roofs")

# %% [markdown]
# ## Exercises
# Write your answers into a file and run `nblayers check cpu_kernels my_answer.py`.
# 1. On paper: a tile of 6 points times 4 vectors of 16 numbers. Set `registers` that it needs, `loads` for each multiply-add of
#    vectors, `intensity` (operations for each byte read), and `most`: how many points times *one* vector 16 registers allow.
# 2. A loop to fill in: `tiled(x, w)`, a convolution of a sequence, x (W, C), w (K, C, F), in plain @njit, four outputs at a
#    time: each number of w that is read serves four sums. W - K + 1 need not be a multiple of four. Return y.
# 3. A bug: this passes the tests on two threads. Write it right as `fixed_threads(x, w, threads, rows)`.
# 4. An experiment: measure `tiles_of` each of HEIGHTS as `limit_of` does, on one core. Set `rates` (a dictionary: height to
#    Gflop/s) and `enough`, the lowest one with four fifths of the best rate. How many sums are that at a time?
# ```python
# def threads_and_tiles(x, w, threads, rows):
#     y, share = np.full((len(x) - len(w) + 1, w.shape[2]), np.nan), (len(x) - len(w) + 1) // threads
#     for s in range(threads):                                              # in a kernel: prange
#         for j in range(s * share, (s + 1) * share, rows):
#             height = min(rows, (s + 1) * share - j)
#             y[j:j + height] = sum(x[j + k:j + k + height] @ w[k] for k in range(len(w)))
#     return y
# ```
