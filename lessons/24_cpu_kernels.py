# %% [markdown]
# # 24 · From seven loops to the speed of the machine: the CPU kernels
#
# *About 45 minutes.* One convolution, in seven ways. The numbers are the same to the
# last digit. Only the order of the work changes, and with it the speed: some hundred
# times. You write the loops, and measure what each step brings.
#
# ## A question first
#
# Seven nested loops, compiled to machine code. They do nothing but multiply and add.
# What part of a core's speed do they reach? All, a half, a tenth, a hundredth? Write
# it down. And two more guesses:

# %%
import re

import numpy as np
from numba import get_num_threads, njit, prange

from kernels.cpu import _tile, convolution
from lessons.data import Speed, classifier_layers, copy_speed
from lessons.figures import draw_steps_and_roofs
from nblayers.layers import Conv2D
from nblayers.learn.tools import check_derivative, save_figure, show_source

# %%
# ? guess: y += x * w, in a loop. How many numbers are read for each multiply-add?
numbers_read = 3
# ? guess: and in the best kernel, which has 14 points of 32 filters at once?
numbers_read_by_a_tile = (14 + 32) / (14 * 32)

# %% [markdown]
# ## One: seven loops, in Python
#
# Two pictures ($n$) of 4 × 4 points ($i$, $j$) with two channels ($c$). A window of
# 3 × 3 points ($k$, $l$), three filters ($f$). No padding and no bias.
#
# $$y_{nijf} = \sum_{k,l,c} x_{n,i+k,j+l,c} \, w_{klcf} \tag{001.07.Conv2D}$$
#
# Seven letters, seven loops. Many texts leave out the channels $c$. All numbers here
# are small and whole, so no sum is rounded: all ways must agree exactly.

# %%
rng = np.random.default_rng(0)
x = rng.integers(-3, 4, (2, 4, 4, 2)).astype(float)             # (N, height, width, C)
w = rng.integers(-3, 4, (3, 3, 2, 3)).astype(float)             # (K, K, C, F)
shape = (2, 2, 2, 3)                                            # y: (N, OH, OW, F)


# ? [seven_loops] seven loops that fill y: def seven_loops(x, w, shape). In any order.
# ? Begin with y = np.zeros(shape, x.dtype), and return y
def seven_loops(x, w, shape):
    y = np.zeros(shape, x.dtype)
    for f in range(w.shape[3]):
        for c in range(w.shape[2]):
            for k in range(w.shape[0]):
                for l in range(w.shape[1]):
                    for n in range(y.shape[0]):
                        for i in range(y.shape[1]):
                            for j in range(y.shape[2]):
                                y[n, i, j, f] += x[n, i + k, j + l, c] * w[k, l, c, f]
    return y


y = seven_loops(x, w, shape)
print(y[0, 0])
assert np.array_equal(y[0, 0, 0], np.einsum("klc,klcf->f", x[0, :3, :3], w))

# %% [markdown]
# ## How fast is that?
#
# A multiply-add counts as two **operations**. A speed is operations by seconds, in
# Gflop/s: $10^9$ operations of floating point numbers in a second.
#
# Now the true size: one picture, 16 × 42 points, 64 channels, 256 filters.

# %%
x_large = rng.integers(-3, 4, (1, 18, 44, 64)).astype("f4")
w_large = rng.integers(-3, 4, (3, 3, 64, 256)).astype("f4")
right = np.zeros((1, 16, 42, 256), "f4")
for k, l in np.ndindex(3, 3):
    right += x_large[:, k:k + 16, l:l + 42] @ w_large[k, l]
# ? operations, of the whole large convolution; right is its y, w_large its w
operations = 2 * right.size * 3 * 3 * 64
print(f"{operations / 1e9:.3f} · 10⁹ operations")

# %% [markdown]
# Other programs run on your machine, too. Then all is slower, and a measured speed says
# little. So **beside each step we measure the limit**: a small kernel that keeps all it
# needs in registers, the fastest that this core can do now. `speed` runs the two in
# turns and tells what *part* of the limit the step reaches. The limit is measured early
# and late. If the two differ by more than a tenth, the machine is too busy, and `speed`
# says so: measure again.
#
# Python gets a small corner of the numbers. It looks up types in each turn, makes
# objects and throws them away.

# %%
CORES = get_num_threads()
speed = Speed(CORES)
steps = {}


def measure(step, convolve, *arguments, cores=1, times=7):
    steps[step] = speed.of(lambda: convolve(*arguments), operations, cores, times)
    print(f"{step}: {steps[step]}")
    assert np.array_equal(convolve(*arguments), right)


steps["1 Python"] = speed.of(lambda: seven_loops(x, w, shape), 2 * y.size * 3 * 3 * 2)
print("1 Python:", steps["1 Python"])

# %% [markdown]
# ## Two: compiled
#
# Numba makes machine code of the same function: no types to look up, no objects.

# %%
measure("2 compiled", njit(seven_loops), x_large, w_large, right.shape, times=2)
assert steps["2 compiled"].rate > 3 * steps["1 Python"].rate
assert steps["2 compiled"].part < 1 / 3

# %% [markdown]
# That answers the first question: less than a hundredth, on many machines. Why?
#
# ## Three: memory in its order
#
# Memory comes in **lines** of 64 bytes: 16 numbers of four bytes. Our innermost loop
# goes from point to point, that is from `x[n, i, j, c]` to `x[n, i, j + 1, c]`.

# %%
# ? bytes_apart, from one number of x_large to that of the next point, same channel
bytes_apart = 64 * 4
assert bytes_apart == x_large.strides[2] == 256

# %% [markdown]
# So of each line it uses one number, and fetches 16. The cure: points outside, channels
# inside, in the weights too. For that, $c$ comes last in them: `w_turned` (K, K, F, C).
# Then the innermost loop reads both side by side, and the sum waits in a variable `s`.

# %%
w_turned = np.ascontiguousarray(w_large.swapaxes(2, 3))         # (K, K, F, C)


# ? [channels_inside] the loops with c innermost: def channels_inside(x, w, shape),
# ? where w is (K, K, F, C). Add up in s = x.dtype.type(0), then write y once. Return y
def channels_inside(x, w, shape):
    y = np.zeros(shape, x.dtype)
    for n, i, j, f in np.ndindex(shape):
        s = x.dtype.type(0)
        for k in range(w.shape[0]):
            for l in range(w.shape[1]):
                for c in range(w.shape[3]):
                    s += x[n, i + k, j + l, c] * w[k, l, f, c]
        y[n, i, j, f] = s
    return y


measure("3 memory in order", njit(channels_inside), x_large, w_turned, right.shape,
        times=3)

# %% [markdown]
# ## Four: vectors
#
# Now each sum waits for itself. `s` must be ready, some four ticks of the clock, before
# more is added. The compiler may not add in another order: the sum would be rounded
# otherwise.

# %%
one, large = np.float32(1), np.float32(1e8)
assert one + large - large == 0
assert large - large + one == 1

# %% [markdown]
# But sums of *different* filters need not wait for each other. So put $f$ inside. One
# number of $x$ meets all filters of $w_{klc}$, and these lie side by side, as in $y$.
#
# Then the compiler takes 4, 8 or 16 numbers at a time: a **vector**. It lies in a
# register of 16, 32 or 64 bytes. The weights are (K, K, C, F) again.

# %%
# ? [filters_inside] the loops with f innermost: def filters_inside(x, w, shape), where
# ? w is (K, K, C, F). Add to y itself, n, i, j outside. Return y
def filters_inside(x, w, shape):
    y = np.zeros(shape, x.dtype)
    for n, i, j in np.ndindex(shape[:3]):
        for k in range(w.shape[0]):
            for l in range(w.shape[1]):
                for c in range(w.shape[2]):
                    for f in range(w.shape[3]):
                        y[n, i, j, f] += x[n, i + k, j + l, c] * w[k, l, c, f]
    return y


vectors = njit(filters_inside, fastmath={"contract"})           # see below
measure("4 vectors", vectors, x_large, w_large, right.shape)

# %% [markdown]
# In machine code `ps` means *packed single precision*, a vector; `ss` is a single
# number. `fmadd` multiplies and adds, and rounds once: `contract` allows it.

# %%
packed_code = r"\b(?:v?mulps|vfmadd\d+ps|fml?a\s+v|fmul\s+v).*"
found = re.findall(packed_code, "".join(vectors.inspect_asm().values()))
print("in its machine code:", *found[:1])

# %% [markdown]
# ## Five: a tile in registers
#
# Each multiply-add of vectors still loads $w$ and $y$, and stores $y$. In one tick many
# cores can do two multiply-adds, but only two loads and one store. So:
#
# 1. Keep $y$ in registers until its sum is done.
# 2. Use what was loaded several times. A vector of weights serves several *points*.
#
# Such a **tile** has $R$ points times $V$ vectors of filters. Begin with two points,
# $j$ and $j + 1$. Here a row of NumPy stands for a vector.

# %%
# ? [two_points] def two_points(x, w, n, i, j): return y[n, i, j] and y[n, i, j + 1],
# ? each of all filters. Read each row w[k, l, c] once; it serves both sums
def two_points(x, w, n, i, j):
    s_0 = np.zeros(w.shape[3])
    s_1 = np.zeros(w.shape[3])
    for k, l, c in np.ndindex(w.shape[:3]):
        weights = w[k, l, c]
        s_0 += x[n, i + k, j + l, c] * weights
        s_1 += x[n, i + k, j + 1 + l, c] * weights
    return s_0, s_1


for n, i in np.ndindex(2, 2):
    assert np.array_equal(two_points(x, w, n, i, 0), y[n, i])

# %% [markdown]
# How high may a tile be? It needs a register for each sum, one for each vector of
# weights, and one for the number of $x$. AVX-512 has 32 registers, AVX2 has 16.

# %%
R, V = 14, 2                                    # 14 points times 2 vectors
# ? registers, for R points times V vectors
registers = R * V + V + 1
# ? loads, how many of them for each multiply-add of vectors
loads = (V + R) / (V * R)
print(f"{registers} registers, {loads:.2f} loads")
assert registers == 31                          # of 32: one more point would not fit
assert 6 * V + V + 1 == 15                      # of 16: with AVX2, 6 points

# %% [markdown]
# ## Five: the library's tile
#
# Python has no word for a register. So the library writes its tile in LLVM's language.
# It is told where things lie: where to begin, and how far it is to the next. Here is a
# call, with each of these named. A **panel** is the weights of one tile's columns.

# %%
def make_tile(rows):
    tile = _tile._make_tiles([rows], _tile.WIDE)

    @njit(nogil=True)
    def one_tile(x, x_at, w, w_at, w_next, y, y_at, sizes):
        W, C, K, F = sizes
        tile(rows,                              # so many points
             x, x_at,                           # x: where the first window begins,
             C, 1, W * C,                       # to the next point, channel, row
             w, w_at,                           # w: where the panel begins,
             w_next, K * C * w_next,            # to the next channel, row
             K, K * C,                          # rows of a window, numbers in each
             y, 0, 0,                           # what to add to: nothing
             y, y_at, F,                        # y: where to write, to the next point
             WIDTH, False)                      # so many filters; do not add
    return one_tile


ROWS = _tile.HEIGHTS[0]
WIDTH = _tile.WIDE * _tile.VECTOR // 4          # filters of a tile
print(f"your machine: {ROWS} points times {_tile.WIDE} vectors, {WIDTH} filters")

# %% [markdown]
# ## Five: the loops around the tile
#
# Three of them: lines of the picture, panels, groups of points. `panel` is how
# far it is from panel to panel. The width, 42, is a multiple of 14, 6 and 1.

# %%
def make_walk(rows):
    one_tile = make_tile(rows)

    @njit(nogil=True)
    def walk(x, w, panel, w_next, first, last, y):
        (_, H, W, C), (_, OH, OW, F) = x.shape, y.shape
        sizes = (W, C, H - OH + 1, F)
        for i in range(first, last):
            for p in range(F // WIDTH):
                for j in range(0, OW, rows):
                    x_at = (i * W + j) * C
                    y_at = (i * OW + j) * F + p * WIDTH
                    one_tile(x.reshape(-1), x_at, w, p * panel, w_next,
                             y.reshape(-1), y_at, sizes)
    return walk


def into_y(kernel):
    y = np.full(right.shape, np.nan, "f4")      # what nobody writes shall be seen

    def convolve(*arguments):
        kernel(*arguments, y)
        return y
    return convolve


flat = w_large.reshape(-1)                      # to the next panel WIDTH, channel 256
walk = make_walk(ROWS)
lines = 0, 16                                   # first, last
measure("5 tiles of 1 point", into_y(make_walk(1)), x_large, flat, WIDTH, 256, *lines)
measure(f"5 tiles of {ROWS} points", into_y(walk), x_large, flat, WIDTH, 256, *lines)
assert steps[f"5 tiles of {ROWS} points"].part > 3 * steps["2 compiled"].part

# %% [markdown]
# ## Six: packed weights
#
# A tile reads WIDTH columns of $w$: 576 rows, 1024 bytes apart. Rows so far apart cost
# time. They lie on 144 **pages** of memory, and a core knows only some 60 by heart.
# And an address decides where in the cache its line may stand: these compete for a few
# places. So **pack** the weights: the rows of a panel one behind the other, then the
# next panel. Once for all pictures.
#
# First on paper: $w$ is (3, 4), a panel is two columns.

# %%
assert 576 * 1024 == 144 * 4096                 # a page has 4096 bytes
w_small = np.arange(12).reshape(3, 4)
print(w_small)
# ? w_packed, of w_small: one row of 12 numbers, first all rows of columns 0 and 1
w_packed = w_small.reshape(3, 2, 2).swapaxes(0, 1).ravel()
print(w_packed)
packed = w_large.reshape(576, -1, WIDTH).swapaxes(0, 1).ravel()
panel = 576 * WIDTH                             # numbers of a panel
measure("6 packed weights", into_y(walk), x_large, packed, panel, WIDTH, *lines)

# %% [markdown]
# ## Seven: all cores
#
# Each core takes some lines of the picture. No output belongs to two, so nobody waits.
# But 16 lines for 3 cores: who takes what is left over?

# %%
# ? [share] the lines of core s: def share(s, cores, lines). Return first and last, as
# ? for range(first, last). Each line to one core; shares differ by one line at most
def share(s, cores, lines):
    return s * lines // cores, (s + 1) * lines // cores


print([share(s, 3, 16) for s in range(3)])

# %%
share_compiled = njit(share)


@njit(parallel=True)
def all_cores(x, w, panel, w_next, y):
    for s in prange(CORES):
        first, last = share_compiled(s, CORES, y.shape[1])
        walk(x, w, panel, w_next, first, last, y)


measure("7 all cores", into_y(all_cores), x_large, packed, panel, WIDTH, cores=CORES)

# %% [markdown]
# ## Backward: what arrives at the weights
#
# The numbers for paper again. `dy` says how the loss grows with $y$, so for us
# $L = \sum dy \odot y$. Each weight of filter $f$ stands in every output of that
# filter: of all samples $n$, at all points $i$, $j$. Look at the formula of $y$. What
# does it stand beside?
#
# Let thread 0 have sample 0, and thread 1 have sample 1.

# %%
dy = rng.integers(-3, 4, y.shape).astype(float)                 # (N, OH, OW, F)


def loss(x, w):
    return np.sum(dy * seven_loops(x, w, shape))


dw_0 = np.zeros(w.shape)
# ? [dw_0] the share of sample 0: for k, l in np.ndindex(3, 3): dw_0[k, l] = …, (C, F)
for k, l in np.ndindex(3, 3):
    dw_0[k, l] = np.einsum("ijc,ijf->cf", x[0, k:k + 2, l:l + 2], dy[0])
dw_1 = np.zeros(w.shape)
for k, l in np.ndindex(3, 3):
    dw_1[k, l] = np.einsum("ijc,ijf->cf", x[1, k:k + 2, l:l + 2], dy[1])

# %% [markdown]
# $$dw_{klcf} = \sum_{n,i,j} x_{n,i+k,j+l,c} \, dy_{nijf}$$
#
# ## Backward: a race
#
# If both threads do `dw += share` at once, both may read `dw` before either writes.
# Then one share is lost. That is a **race**: it comes and goes, and no test finds it
# for sure. Here both have read 0; thread 1 writes last.

# %%
read_by_0 = np.zeros(w.shape)
read_by_1 = np.zeros(w.shape)                   # before thread 0 has written
raced = read_by_0 + dw_0                        # thread 0 writes
raced = read_by_1 + dw_1                        # thread 1 writes over it
# ? dw, without a race: each thread has a dw of its own, dw_0 and dw_1
dw = dw_0 + dw_1
check_derivative("dw", dw, lambda w: loss(x, w), w)
assert np.any(raced != dw)

# %% [markdown]
# ## Backward: what arrives at x
#
# A point of $x$ stands in the outputs of all filters, beside $w_{klcf}$. And it lies in
# several windows, so its shares are added up.

# %%
dx = np.zeros(x.shape)
# ? [dx] for k, l in np.ndindex(3, 3): add to dx[:, k:k + 2, l:l + 2] what comes by
# ? w[k, l], which is (C, F)
for k, l in np.ndindex(3, 3):
    dx[:, k:k + 2, l:l + 2] += dy @ w[k, l].T
check_derivative("dx", dx, lambda x: loss(x, w), x)

# %% [markdown]
# $$dx_{n,i+k,j+l,c} \mathrel{+}= \sum_f dy_{nijf} \, w_{klcf}$$
#
# Threads that take whole samples never meet here: no race.
#
# ## The same in the library
#
# The kernel on the large numbers, the layer on the small ones. The kernel does more:
# edges, strides, groups, padding, and 3 × 3 windows with fewer products (Winograd).

# %%
window = ((1, 1, 1), (0, 0, 0), (1, 1, 1), 1, True)     # stride, pad, dilation, groups
no_bias = np.zeros(256, "f4")
measure("the library", into_y(lambda y: convolution.convolve(
    x_large[:, None], w_large[None], no_bias, *window, y[:, None])), cores=CORES)
layer = Conv2D(3, 3, dtype="float64")
layer.build(x.shape)
layer.set_weights([w, np.zeros(3)])
assert np.allclose(layer.forward(x), y, rtol=0, atol=1e-12)
assert np.allclose(layer.backward(dy), dx, rtol=0, atol=1e-12)
assert np.allclose(layer.kernel.grad, dw, rtol=0, atol=1e-12)

# %% [markdown]
# The reference kernel adds a window at a time. The tile in LLVM's language has your
# `two_points`, for any $R$ and $V$: look for `products`.

# %%
show_source("kernels.reference.convolution:convolve", "kernels.cpu._tile:_write_tile")

# %% [markdown]
# The rest on request: `show_source("kernels.cpu._tile:_sum_over_runs")`, and
# `show_source("kernels.cpu._team:sum_of_shares")` for the sum without a race.
#
# ## A roof of two slopes
#
# Each number must be read at least once, each result written. Who does few operations
# for a byte waits for memory, however good the kernel. The **intensity** is operations
# by bytes. Memory gives `bandwidth` GB/s, and the cores do `limit` Gflop/s at most.

# %%
limit, bandwidth = 100.0, 20.0                  # Gflop/s and GB/s, made up
# ? intensity, of a depthwise 3 × 3 window: for each output 9 multiply-adds, one number
# ? of 4 bytes read and one written
intensity = 2 * 9 / (2 * 4)
assert intensity == 2.25
# ? roof, the highest speed: neither the cores nor memory may do more than they can
roof = min(limit, bandwidth * intensity)
assert roof == 45                               # Gflop/s: memory is what it waits for

# %% [markdown]
# The speed can be no higher than
#
# $$\min(limit, \; bandwidth \cdot intensity)$$
#
# ## A real task, and a picture: where does a training step's time go?
#
# A small classifier of pictures, forward and backward, layer by layer. The limit is
# measured beside each of them. The baseline is the roof: who lies on it cannot be
# faster. Points above the slope are helped by the cache; they read some numbers there.

# %%
layers = classifier_layers(speed)               # {name: (intensity, measured)}
bandwidth = copy_speed(CORES)
for name, (intensity, measured) in layers.items():
    print(f"{name:26}{intensity:8.2f} operations a byte  {measured}")
ridge = max(found.limit for _, found in layers.values()) / bandwidth
print(f"bandwidth {bandwidth:.1f} GB/s; the roof is flat from {ridge:.1f} a byte on")
save_figure(draw_steps_and_roofs(steps, layers, ridge), "24_steps_and_roofs")
best = steps[f"5 tiles of {ROWS} points"].part / steps["2 compiled"].part
print(f"numbers read: {numbers_read} and {numbers_read_by_a_tile:.2f}. ×{best:.0f}")

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check cpu_kernels my_answer.py`.
#
# 1. On paper: a tile of 6 points times 4 vectors of 16 numbers. Set `registers` that it
#    needs and `loads` for each multiply-add of vectors. Set `intensity`, operations for
#    each byte read, and `most`: how many points times *one* vector 16 registers allow.
# 2. A whole backward: `threaded_backward(x, w, dy, threads)` of a Conv1D without
#    padding. x (N, T, C), w (K, C, F), dy (N, T - K + 1, F). Each thread takes its
#    share of the samples and has a dw and a db of its own; there may be more threads
#    than samples. Return dx, dw, db.
# 3. Loops to write: `tiled(x, w)`, a convolution of a sequence, x (W, C), w (K, C, F),
#    in plain @njit. Four outputs at a time: each number of w that is read serves four
#    sums. W - K + 1 need not be a multiple of four. Return y.
# 4. A bug: this passes the tests on two threads. Write it right as
#    `fixed_threads(x, w, threads, rows)`.
# 5. An experiment: measure a tile of each of `_tile.HEIGHTS`, on one core. Set `rates`,
#    a dictionary from height to Gflop/s. Set `enough`, the lowest height with four
#    fifths of the best rate. How many sums are that at a time?
# ```python
# def threads_and_tiles(x, w, threads, rows):
#     y = np.full((len(x) - len(w) + 1, w.shape[2]), np.nan)
#     share = len(y) // threads
#     for s in range(threads):                          # in a kernel: prange
#         for j in range(s * share, (s + 1) * share, rows):
#             height = min(rows, (s + 1) * share - j)
#             y[j:j + height] = sum(x[j + k:j + k + height] @ w[k]
#                                   for k in range(len(w)))
#     return y
# ```
