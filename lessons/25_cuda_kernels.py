# %% [markdown]
# # 25 · The same on a GPU: the CUDA kernels
#
# *About 45 minutes.* It needs no extra: without a GPU it runs in Numba's simulator. If
# there is one, `pip install 'nblayers[cuda]'` makes it run there.
#
# Lesson 24 made one core fast, then all of them. A GPU has thousands of slow ones. You
# write its **kernels**: the functions that all its threads run at once.
#
# ## A question first
#
# In one kernel neighbouring threads read numbers of a row, side by side; in another one
# numbers of a column. Both do the same additions. How many times as long does the
# slower one wait for memory?

# %%
# ? guess: how many times as long?
times_as_long = 8
# ? guess: how many threads can an H100, a large GPU of 2022, hold at once?
threads_of_a_gpu = 132 * 2048

# %% [markdown]
# ## A GPU, or a simulator of one
#
# The **simulator** runs each thread of the GPU as a thread of Python, on NumPy's
# arrays. It computes the same numbers, very slowly. So our arrays are tiny, and our
# blocks too: 8 threads where a GPU would have 128. The kernels are written for a true
# GPU: they run there as they stand.
#
# The simulator is switched on before Numba's `cuda` is imported, if there is no GPU:

# %%
import numpy as np

from nblayers.learn.tools import (
    check_derivative,
    gpu_or_simulator,
    save_figure,
    show_source,
)

print("these kernels run", gpu_or_simulator())

# %%
from numba import float32, njit

from kernels import get
from kernels.cuda._compat import SIMULATED, cuda
from lessons.data import gpu_speeds, quarter_digits
from lessons.figures import draw_race, draw_sectors_and_roof
from nblayers.layers import Dense

THREADS, TILE = (8, 4) if SIMULATED else (128, 16)
rng = np.random.default_rng(0)

# %% [markdown]
# ## Threads, blocks, a grid
#
# A **kernel** is one function for all **threads**. Each asks for its number, and takes
# the numbers of the arrays that are its own. Threads come in **blocks** of one size;
# the blocks of a launch are its **grid**.
#
# - `cuda.threadIdx.x` is the thread's number in its block.
# - `cuda.blockIdx.x` is the block's number, `cuda.blockDim.x` how many threads it has.
# - `cuda.grid(1)` is the thread's number in all:
#   `cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x`.
#
# A kernel returns nothing. It writes into an array that the caller made. It is launched
# as `kernel[blocks, threads](…)`.

# %%
x = rng.normal(size=20).astype("f4")            # f4 is float32
# ? blocks of THREADS threads, at least one thread for each number of x
blocks = (x.size + THREADS - 1) // THREADS
print(blocks, "blocks of", THREADS, "threads for", x.size, "numbers")

# %% [markdown]
# $$y = \max(x, 0) \tag{001.02.relu}$$
#
# There are more threads than numbers. Who has none must do nothing: on a GPU nobody
# stops a thread that writes beyond the end.

# %%
# ? [relu_one] @cuda.jit, then def relu_one(x, y): thread number i makes y[i] of x[i],
# ? if there is one. float32(0) is the zero
@cuda.jit
def relu_one(x, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = x[i] if x[i] > float32(0) else float32(0)


y = np.full(x.size, np.nan, "f4")               # what nobody writes shall be seen
relu_one[blocks, THREADS](x, y)
print(y)
assert np.array_equal(y, np.maximum(x, 0))

# %% [markdown]
# ## Fewer threads than numbers
#
# One grid for any size is handier. Each thread takes number $i$, then the one a whole
# grid further, and so on: a **grid-stride loop**. `cuda.gridsize(1)` is the number of
# all threads.

# %%
# ? [relu] def relu(x, y) for any grid: a loop that begins at the thread's own number,
# ? with steps of the grid's size
@cuda.jit
def relu(x, y):
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[i] = x[i] if x[i] > float32(0) else float32(0)


y[:] = np.nan
relu[1, THREADS](x, y)
assert np.array_equal(y, np.maximum(x, 0))
show_source("kernels.cuda.activation:_softplus")

# %% [markdown]
# The library's kernels of activations all have this loop. `number(0)` there is our
# `float32(0)`, for whatever type $x$ has.
#
# ## Why not a bare 0.5?
#
# In Python `0.5` is a number of eight bytes, a `float64`. Numba keeps to that. So what
# does a thread compute with when it multiplies a `float32` by it?

# %%
halved = njit(lambda number: number * 0.5)
with_type = njit(lambda number: number * float32(0.5))
halved(float32(1)), with_type(float32(1))
# ? guess: float32 or float64, what does halved return?
type_of_halved = str(halved.nopython_signatures[0].return_type)
assert with_type.nopython_signatures[0].return_type == float32

# %% [markdown]
# It is **double precision**. An H100 does 67 Tflop/s (67 · 10¹² operations a second)
# with `float32`, 34 with `float64`. A GPU for games, such as an RTX 4090, does 1/64 of
# its speed with `float64`. One bare `0.5` is enough to get there, and every number
# stays right. The tests of the library read the machine code of each kernel for that.
#
# ## What a warp fetches
#
# 32 threads go in step: a **warp**. What they read in one step comes from memory
# together, in pieces of 32 bytes, called **sectors**. A sector comes whole or not at
# all. Count them: that is what the memory's time goes by.

# %%
lane = np.arange(32)                            # the threads of a warp
along_a_row = 4 * lane                          # addresses in bytes: side by side
down_a_column = 4 * 1000 * lane                 # in an array with 1000 columns


# ? [transactions] def transactions(addresses): how many sectors of 32 bytes hold the
# ? numbers at these addresses? (np.unique helps)
def transactions(addresses):
    return len(np.unique(addresses // 32))


along, down = transactions(along_a_row), transactions(down_a_column)
print(along, "sectors along a row,", down, "down a column")
assert down / along == 8

# %% [markdown]
# That answers the first question: 8 times. Of each 32 bytes, 28 are fetched in vain. So
# **neighbouring threads should read neighbouring numbers**. It is called *coalesced*.
# Mind that it is the other way round than on a CPU: there *one* thread reads
# neighbours.
#
# ## Forward: a product, a thread an output
#
# $$y_{nj} = \sum_k x_{nk} \, W_{kj} + b_j \tag{001.06.Dense}$$
#
# Samples are rows. Here they are $N = 6$, with $K = 10$ inputs and $J = 7$ outputs. All
# numbers are multiples of a quarter, so that no order of adding rounds.

# %%
N, K, J = 6, 10, 7
x = rng.integers(-3, 4, (N, K)).astype("f4") / 4
W = rng.integers(-3, 4, (K, J)).astype("f4") / 4
b = rng.integers(-3, 4, J).astype("f4") / 4


# ? [product] def product(x, W, b, y): a grid-stride loop over the y.size numbers of y.
# ? Number i is in row i // J and in column i % J: neighbours have neighbouring columns
@cuda.jit
def product(x, W, b, y):
    K, J = W.shape
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        n, j = i // J, i % J
        total = b[j]
        for k in range(K):
            total += x[n, k] * W[k, j]
        y[n, j] = total


y = np.full((N, J), np.nan, "f4")
product[2, THREADS](x, W, b, y)
assert np.array_equal(y, x @ W + b)

# %% [markdown]
# Neighbouring threads read neighbouring numbers of $W$, and all of them the same one of
# $x$. That is coalesced. But how often is each number fetched?

# %%
# ? reads, of both x and W in the whole product: each output reads all that it needs
reads = 2 * N * J * K
assert reads == 840 and x.size + W.size == 130

# %% [markdown]
# ## Tiles in shared memory
#
# A block has some memory that all its threads share, on the chip: **shared memory**. So
# a block of TILE × TILE threads makes a tile of $y$. Step by step along $k$ it fetches
# a tile of $x$ and one of $W$, a number for each thread, and then all use all of it.
#
# `cuda.syncthreads()` is a **barrier**: nobody goes on before all of the block are
# there. It is needed twice a step. Nobody may read a tile before it is whole, and
# nobody may overwrite it before all have read it. A kernel of tiles begins like this:
# ```python
# @cuda.jit
# def tiled(x, W, b, y):
#     x_tile = cuda.shared.array((TILE, TILE), float32)
#     W_tile = cuda.shared.array((TILE, TILE), float32)
#     u, v = cuda.threadIdx.x, cuda.threadIdx.y        # column and row in the tile
#     j, n = cuda.blockIdx.x * TILE + u, cuda.blockIdx.y * TILE + v
#     (N, K), J = x.shape, W.shape[1]
#     total = b[j] if j < J else float32(0)
# ```

# %%
# ? [tiled] the whole kernel: begin as above, then for k0 in range(0, K, TILE): fetch,
# ? barrier, add TILE products, barrier. Outside of x and W stand zeros. Then y[n, j]
@cuda.jit
def tiled(x, W, b, y):
    x_tile = cuda.shared.array((TILE, TILE), float32)
    W_tile = cuda.shared.array((TILE, TILE), float32)
    u, v = cuda.threadIdx.x, cuda.threadIdx.y           # column and row in the tile
    j, n = cuda.blockIdx.x * TILE + u, cuda.blockIdx.y * TILE + v
    (N, K), J = x.shape, W.shape[1]
    total = b[j] if j < J else float32(0)
    for k0 in range(0, K, TILE):
        x_tile[v, u] = x[n, k0 + u] if n < N and k0 + u < K else float32(0)
        W_tile[v, u] = W[k0 + v, j] if k0 + v < K and j < J else float32(0)
        cuda.syncthreads()
        for k in range(TILE):
            total += x_tile[v, k] * W_tile[k, u]
        cuda.syncthreads()
    if n < N and j < J:
        y[n, j] = total


grid = (J + TILE - 1) // TILE, (N + TILE - 1) // TILE   # blocks along j, along n
y_tiled = np.full((N, J), np.nan, "f4")
tiled[grid, (TILE, TILE)](x, W, b, y_tiled)
assert np.array_equal(y_tiled, y)

# %% [markdown]
# Each number that a block has fetched serves TILE threads.

# %%
# ? reads_by_tiles, from memory, by tiles of 16, where x, W and y are 1024 × 1024
reads_by_tiles = 2 * 1024**3 / 16
print(f"{2 * 1024**3:.2e} reads become {reads_by_tiles:.2e}")

# %% [markdown]
# ## Banks, and a padded column
#
# A **word** is a number of four bytes. Shared memory has 32 **banks**: its word $i$
# lies in bank $i$ % 32. In one step each bank hands out one word, to all threads that
# want it. If a warp wants different words of one bank, it takes as many steps: a
# **conflict**.

# %%
# ? [ways] def ways(words): the steps that a warp takes to read these numbers of shared
# ? memory, the most *different* ones of one bank. (np.unique, np.bincount help)
def ways(words):
    return np.bincount(np.unique(words) % 32).max()


row, column = lane, 32 * lane                   # of a tile of 32 × 32 numbers
print(ways(row), "step for a row,", ways(column), "for a column")
# ? padded, the words of a column if each row of the tile has one number more
padded = 33 * lane
assert (ways(row), ways(column), ways(padded)) == (1, 32, 1)

# %% [markdown]
# A column that nobody uses, and all conflicts are gone. You will see it in the library,
# where a tile is written by columns.
#
# ## A sum, and a race
#
# Many threads, one sum. Each does `total[0] += x[i]`. That is three things: read, add,
# write. A warp goes in step: all its threads read before any of them writes. A barrier
# makes the simulator do the same.

# %%
@cuda.jit
def racing_sum(x, total):
    i = cuda.threadIdx.x
    old = total[0]
    cuda.syncthreads()                          # all have read 0 before anyone writes
    total[0] = old + x[i]


eight = np.arange(1, 9, dtype="f4")
total = np.zeros(1, "f4")
racing_sum[1, 8](eight, total)
print(total[0], "instead of", eight.sum())
assert total[0] in eight                        # one share is left: who wrote last

# %% [markdown]
# `cuda.atomic.add(array, place, number)` reads, adds and writes as *one* thing: an
# **atomic** operation. Nobody comes between. Those for one place wait for each other.

# %%
# ? [atomic_sum] def atomic_sum(x, total): a grid-stride loop that adds to total[0]. Let
# ? each thread add up its own numbers first: one atomic a thread
@cuda.jit
def atomic_sum(x, total):
    own = float32(0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        own += x[i]
    cuda.atomic.add(total, 0, own)


numbers = rng.integers(-9, 10, 100).astype("f4")
total = np.zeros(1, "f4")
atomic_sum[2, THREADS](numbers, total)
assert total[0] == numbers.sum()

# %% [markdown]
# ## A sum, by a tree
#
# In a block nobody need queue. Each thread puts its share into shared memory. Then the
# first half of the threads add what the second half has; then a half of the half, until
# thread 0 has all. Eight shares take three steps, 128 take seven.
#
# `@cuda.jit(device=True)` is a function that kernels call. It *can* return something.

# %%
# ? [block_sum] @cuda.jit(device=True), def block_sum(own, shared): every thread returns
# ? the sum of all THREADS threads' own; shared has THREADS places. Mind the barriers
@cuda.jit(device=True)
def block_sum(own, shared):
    t = cuda.threadIdx.x
    shared[t] = own
    cuda.syncthreads()
    step = THREADS // 2
    while step > 0:
        if t < step:
            shared[t] += shared[t + step]
        cuda.syncthreads()
        step //= 2
    total = shared[0]
    cuda.syncthreads()                          # all have read it before the next sum
    return total


@cuda.jit
def tree_sum(x, total):
    shared = cuda.shared.array(THREADS, float32)
    own = float32(0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        own += x[i]
    block_total = block_sum(own, shared)
    if cuda.threadIdx.x == 0:
        cuda.atomic.add(total, 0, block_total)  # one atomic for each block


total = np.zeros(1, "f4")
tree_sum[2, THREADS](numbers, total)
assert total[0] == numbers.sum()

# %% [markdown]
# Blocks cannot wait for each other: they may run one after the other. So the blocks'
# sums meet in an atomic, or in a second launch.
#
# ## Softmax: a block a row
#
# $$p_{nj} = \frac{e^{y_{nj} - m_n}}{\sum_i e^{y_{ni} - m_n}} \tag{001.02.softmax}$$
#
# $m_n$ is the row's maximum. A block takes a row, and its threads stride along it. The
# library finds $m_n$ with a tree, too; to be short, here it is given.

# %%
import math

highest = y.max(axis=1)                         # m, (N,)


# ? [softmax] def softmax(y, m, p): block n makes row n of p. First each thread's own
# ? e^(y - m) are added, then block_sum, then it writes. math.exp knows float32
@cuda.jit
def softmax(y, m, p):
    shared = cuda.shared.array(THREADS, float32)
    n = cuda.blockIdx.x
    own = float32(0)
    for j in range(cuda.threadIdx.x, y.shape[1], THREADS):
        own += math.exp(y[n, j] - m[n])
    total = block_sum(own, shared)
    for j in range(cuda.threadIdx.x, y.shape[1], THREADS):
        p[n, j] = math.exp(y[n, j] - m[n]) / total


p = np.full((N, J), np.nan, "f4")
softmax[N, THREADS](y, highest, p)
assert np.allclose(p.sum(axis=1), 1)

# %% [markdown]
# ## Backward: through softmax
#
# `dp` says how the loss grows with $p$, so for us $L = \sum dp \odot p$. Each $y_{nj}$
# moves all of its row. Lesson 04 had the derivative:
#
# $$dy_{nj} = p_{nj} \, (dp_{nj} - \sum_i dp_{ni} \, p_{ni})$$

# %%
dp = rng.normal(size=(N, J)).astype("f4")


def loss_of_y(y):
    e = np.exp(y - y.max(axis=1, keepdims=True))
    return np.sum(dp * e / e.sum(axis=1, keepdims=True))


# ? [softmax_backward] def softmax_backward(dp, p, dy): a block a row, block_sum for the
# ? sum
@cuda.jit
def softmax_backward(dp, p, dy):
    shared = cuda.shared.array(THREADS, float32)
    n = cuda.blockIdx.x
    own = float32(0)
    for j in range(cuda.threadIdx.x, p.shape[1], THREADS):
        own += dp[n, j] * p[n, j]
    total = block_sum(own, shared)
    for j in range(cuda.threadIdx.x, p.shape[1], THREADS):
        dy[n, j] = p[n, j] * (dp[n, j] - total)


dy = np.full((N, J), np.nan, "f4")
softmax_backward[N, THREADS](dp, p, dy)
check_derivative("dy", dy, loss_of_y, y, tolerance=1e-5)

# %% [markdown]
# ## Backward: what arrives at W
#
# $W_{kj}$ stands in output $j$ of every sample, beside $x_{nk}$: $dW = x^T dy$. It is a
# product again, and one of its matrices is read the other way. A thread an output:

# %%
def loss(x, W, b):
    return np.sum(dy * (x @ W + b))


# ? [weight_gradient] def weight_gradient(x, dy, dW): a grid-stride loop over dW.size
# ? numbers, each a sum over the samples n
@cuda.jit
def weight_gradient(x, dy, dW):
    J = dW.shape[1]
    for i in range(cuda.grid(1), dW.size, cuda.gridsize(1)):
        k, j = i // J, i % J
        total = float32(0)
        for n in range(x.shape[0]):
            total += x[n, k] * dy[n, j]
        dW[k, j] = total


dW = np.full((K, J), np.nan, "f4")
weight_gradient[2, THREADS](x, dy, dW)
check_derivative("dW", dW, lambda W: loss(x, W, b), W, tolerance=1e-5)

# %% [markdown]
# No race: each thread has a weight of its own, and walks through all samples.
#
# ## Backward: what arrives at b, and a race again
#
# $b_j$ stands in output $j$ of every sample: $db_j = \sum_n dy_{nj}$, the sum of a
# column. A thread a *number* of dy would race for the same $db_j$. So a thread a
# *column*.

# %%
# ? [bias_gradient] def bias_gradient(dy, db): a thread a column, a grid-stride loop
@cuda.jit
def bias_gradient(dy, db):
    for j in range(cuda.grid(1), dy.shape[1], cuda.gridsize(1)):
        total = float32(0)
        for n in range(dy.shape[0]):
            total += dy[n, j]
        db[j] = total


db = np.full(J, np.nan, "f4")
bias_gradient[1, THREADS](dy, db)
check_derivative("db", db, lambda b: loss(x, W, b), b, tolerance=1e-5)

# %% [markdown]
# A column! Is that not the slow order? No: one *thread* goes down, but neighbouring
# threads have neighbouring columns, so a *warp* reads along the rows.
#
# ## Backward: what arrives at x
#
# $dx_{nk} = \sum_j dy_{nj} \, W_{kj}$, that is $dx = dy \, W^T$. Now let a warp have 32
# neighbours $k$. In one step of the sum it reads $W_{kj}$ for them, with the same $j$.

# %%
# ? sectors that the warp fetches in this one step, where W has J = 7 columns
sectors = transactions(4 * J * lane)
assert sectors == 28                            # and 32 from 8 columns on

# %% [markdown]
# So a thread an output is slow here. The library fetches a tile *along the rows* of W
# and writes it into shared memory *by columns*: turned round. There the padded column
# helps.
#
# ## The same in the library

# %%
layer = Dense(J, activation="softmax")
layer.build(x.shape)
layer.set_weights([W, b])
assert np.allclose(layer.forward(x, training=True), p, atol=1e-6)
dx = layer.backward(dp)
assert np.allclose(layer.kernel.grad, dW, atol=1e-5)
assert np.allclose(layer.bias.grad, db, atol=1e-5)

again = np.zeros((N, K), "f4")
get("cuda").matmul._launch(dy, W, False, True, False, again)
assert np.allclose(again, dx, atol=1e-5)
show_source("kernels.reference.matmul:matmul", "kernels.cuda.matmul:_tiled")

# %% [markdown]
# The layer computed with the CPU's kernels, `again` is the library's kernel for a GPU.
# The rest on request: `show_source("kernels.cuda._lanes:lane_sum")`, your `block_sum`,
# and `show_source("kernels.cuda.activation:_softmax_backward")`.
#
# ## How many blocks at once?
#
# An H100 has 132 **multiprocessors**. Each holds 2048 threads at most, and has 65536
# registers and 228 KB of shared memory for all blocks that it holds. While one warp
# waits for memory, another one computes. So the more threads it holds, the better it
# hides the waiting. The part of 2048 that is held is the **occupancy**.

# %%
threads_a_block, registers_a_thread = 256, 64
# ? held, blocks at once on one multiprocessor, if these are all that limits
held = min(2048 // threads_a_block, 65536 // (threads_a_block * registers_a_thread))
occupancy = held * threads_a_block / 2048
print(f"{held} blocks, occupancy {occupancy:.0%}")

# %% [markdown]
# ## The roof
#
# Lesson 24 had it: $\min(limit, bandwidth \cdot intensity)$. A multiprocessor of an
# H100 does 128 multiply-adds in a tick, at 1.98 GHz; memory gives 3350 GB/s. (An H200
# is the same with 4800.) The numbers are from NVIDIA's data sheets and its white paper
# on the H100, 2022, of the model SXM5; products of matrices in tensor cores are left
# out.

# %%
# ? limit, in Gflop/s, of all 132 multiprocessors
limit = 132 * 128 * 2 * 1.98
bandwidth = 3350.0                              # GB/s
# ? relu_roof, in Gflop/s: one operation for a number of 4 bytes read and one written
relu_roof = min(limit, bandwidth / 8)
# ? tile_roof, in Gflop/s: a tile of 16 × 16 threads fetches two numbers a thread, and
# ? does 16 multiply-adds a thread with them
tile_roof = min(limit, bandwidth * 2 * 16 / (2 * 4))
print(f"limit {limit:.0f}, relu {relu_roof:.0f}, a product by tiles {tile_roof:.0f}")

# %% [markdown]
# A tile of 16 is not enough for the limit. NVIDIA's own library (cuBLAS) has tiles of
# 128, each thread with 8 × 8 sums in registers: lesson 24's tile inside of this one.
#
# ## A step of an RNN waits for its launch
#
# A **launch** costs some microseconds, 5 say, whatever the kernel does. An LSTM with
# $H = 128$ units and 32 samples does 4 million operations a step: less than 0.1 µs at
# the limit. Written with ten kernels a step (products, sums, gates), it waits nearly
# always.

# %%
steps, launches_a_step, seconds_a_launch = 100, 10, 5e-6
# ? waiting, seconds for the launches of the whole sequence
waiting = steps * launches_a_step * seconds_a_launch
working = steps * 2 * 32 * 128 * 4 * 128 / (limit * 1e9)
print(f"{waiting * 1e3:.1f} ms for launches, {working * 1e3:.3f} ms at the limit")

# %% [markdown]
# So the library walks through all steps in *one* launch. A block takes a sequence, a
# thread a unit. $h_t$ must be whole before the next step reads it: a barrier. For a
# SimpleRNN, with $a$ (N, T, H) the part of the inputs:
#
# $$h_t = \tanh(a_t + h_{t-1} U) \tag{001.09.SimpleRNN}$$

# %%
a = rng.normal(size=(2, 3, 4)).astype("f4")     # (N, T, H)
U = rng.normal(size=(4, 4)).astype("f4")


# ? [walk] def walk(a, U, h): block n walks through sequence n, threads stride over the
# ? units j. h is (N, T, H); before the first step the state is zero
@cuda.jit
def walk(a, U, h):
    n = cuda.blockIdx.x
    T, H = h.shape[1], h.shape[2]
    for t in range(T):
        for j in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            total = a[n, t, j]
            if t > 0:
                for k in range(H):
                    total += h[n, t - 1, k] * U[k, j]
            h[n, t, j] = math.tanh(total)
        cuda.syncthreads()


h = np.full(a.shape, np.nan, "f4")
walk[2, 4](a, U, h)
h_2 = np.tanh(a[:, 2] + np.tanh(a[:, 1] + np.tanh(a[:, 0]) @ U) @ U)
assert np.allclose(h[:, 2], h_2, atol=1e-6)
show_source("kernels.cuda.recurrent:_simple_rnn_forward")

# %% [markdown]
# ## A picture: sectors, and the roof
#
# Left: the sectors of a warp, by how far its threads read apart, and the steps for the
# same in shared memory. Right: the kernels of this lesson under the roof of an H100.

# %%
apart = np.arange(1, 34)
fetched = [transactions(4 * s * lane) for s in apart]
conflicts = [ways(s * lane) for s in apart]
kernels = {"relu": 1 / 8, "product, a thread an output": 2 / 8,
           "tiles of 16": 16 * 2 / 8, "tiles of 128 (cuBLAS)": 128 * 2 / 8}
sectors_and_steps = apart, fetched, conflicts
figure = draw_sectors_and_roof(*sectors_and_steps, kernels, limit, bandwidth)
save_figure(figure, "25_sectors_and_roof")

# %% [markdown]
# ## A real task: digits, with your own kernels
#
# A classifier of handwritten digits, each shrunk to 4 × 4 points. Its product, dW and
# db are your kernels. (Softmax, a block a row, would take the simulator too long.)
#
# First all is right. Then four blocks take four samples each for dW, and add their sums
# to it without an atomic. Of such a race one share is left: that of the block that
# wrote last.

# %%
images, labels, new, truth = quarter_digits()   # (M, 16), (M,): to learn from, and new
BATCH, STEPS = 16, 60


def train(heard):                               # which samples dW hears
    W, b = np.zeros((16, 10), "f4"), np.zeros(10, "f4")
    y, dW, db = np.zeros((BATCH, 10), "f4"), np.zeros_like(W), np.zeros_like(b)
    losses = []
    for s in range(STEPS):
        x, label = (part[s * BATCH:(s + 1) * BATCH] for part in (images, labels))
        product[2, THREADS](x, W, b, y)
        p = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
        losses.append(-np.log(p[range(BATCH), label]).mean())
        dy = (p - np.eye(10)[label]).astype("f4") / BATCH       # lesson 04
        weight_gradient[2, THREADS](x[heard], dy[heard], dW)
        bias_gradient[1, THREADS](dy, db)
        W -= 2 * dW
        b -= 2 * db
    return losses, (new @ W + b).argmax(axis=1)


# %%
outcomes = {"right": train(slice(None)), "with a race in dW": train(slice(-4, None))}
for name, (losses, told) in outcomes.items():
    print(f"{name:18} loss {np.mean(losses[-10:]):.2f},",
          f"{np.mean(told == truth):.0%} right")
baseline = np.bincount(truth).max() / len(truth)
print(f"always the same digit: {baseline:.0%}")
save_figure(draw_race(outcomes, new, truth, baseline), "25_digits_and_a_race")
right, raced = (np.mean(told == truth) for _, told in outcomes.values())
assert right > raced > baseline

# %% [markdown]
# With the race it learns, too: only slower, and nothing ever stops. That is what makes
# races hard to find. The numerical derivative finds it at once.
#
# ## On a true GPU
#
# The speed of your kernels, where there is a GPU, and what the roof allows an H100.

# %%
if SIMULATED:
    print("no GPU: the simulator's speed says nothing")
else:
    speeds = gpu_speeds(relu, product, tiled, TILE, limit, bandwidth)
    for name, (rate, roof) in speeds.items():
        print(f"{name:28}{rate:10.0f} Gflop/s, the roof of an H100 {roof:10.0f}")
print(f"threads at once: {threads_of_a_gpu}; columns: {times_as_long} times as long")

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check cuda_kernels my_answer.py`.
# Begin the file with `from nblayers.learn.tools import gpu_or_simulator`, then call
# `gpu_or_simulator()`, then `from numba import cuda, float32`.
#
# 1. On paper: `sectors` that a warp fetches which reads every third `float32`. `steps`
#    that a warp takes to read every sixth number of shared memory. `blocks` of 128
#    threads for 1000 numbers. `reads`: how often tiles of 16 fetch each number of $x$
#    in a product with $y$ of 64 columns.
# 2. A whole backward, as kernels: `dense_backward(x, W, y, dy)` of a dense layer with
#    ReLU, $y = \max(x W + b, 0)$, where `y` is its output. x is (N, K), W (K, J), y and
#    dy (N, J), all `float32`. Return dx, dW, db. All sums are your kernels' work.
# 3. A kernel to write: `transposed(x)` returns the transpose of x (N, K). Both arrays
#    are read and written along their rows, by way of a tile with a padded column.
#    Launch it as `[grid, (TILE, TILE)]`, with a TILE of your own that is at most 8. The
#    shape of shared memory is fixed: `PADDED = TILE + 1` stands outside of the kernel.
# 4. A bug: `column_sums` passes its tests, with 3, 8 and 16 columns. Write it right as
#    `fixed_column_sums(x)`.
# 5. An experiment: read shared memory with every stride from 1 to 64. Set `by_stride`,
#    a dictionary from stride to steps for a warp, by `ways`. Set `free`, the set of
#    strides without a conflict. What do they have in common? Does a tile of 32 × 36
#    read well?
# ```python
# def column_sums(x):
#     @cuda.jit
#     def add_columns(x, total):
#         j = cuda.grid(1)
#         if j < x.shape[1]:
#             own = float32(0)
#             for n in range(x.shape[0]):
#                 own += x[n, j]
#             total[j] = own
#
#     total = np.zeros(x.shape[1], "f4")
#     add_columns[max(1, x.shape[1] // 8), 8](x, total)
#     return total
# ```
