# %% [markdown]
# # 14 · Pooling, and what a tie does
#
# *About 40 minutes.* A convolution says *what is where*. Often one asks for less: **is
# it there at all?** **Pooling** keeps one number of each window: the largest, or the
# mean. It has no weights. So its backward has one question only: which inputs get the
# gradient of an output? You write the answer for rows of numbers, for windows that
# overlap, and for pictures. Then two numbers of a window are equal. There our witness,
# the numerical derivative, fails for the first time.
#
# ## A question first
#
# A picture has 8 × 8 points. Windows of 2 × 2 lie side by side on it. Each window gives
# one number. A gradient of 1 comes back into each of these numbers.

# %%
import numpy as np

from lessons.data import chirps, digits
from lessons.figures import draw_chirps, draw_where_it_lands
from nblayers import layers, nn, trace
from nblayers.learn.tools import (
    check_derivative,
    numerical_derivative,
    save_figure,
    save_page,
    show_source,
)
from nblayers.losses import BinaryCrossentropy
from nblayers.metrics import BinaryAccuracy
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %%
# ? guess: each window gives its mean. How many of the 64 points get a gradient?
reached_by_mean = 64
# ? guess: each window gives its maximum. How many of the 64 points get a gradient?
reached_by_max = 16
# ? guess: again the maximum, but all 64 points are black (0). How many get a gradient?
reached_in_black = 16

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$), six steps ($T = 6$), one number each. A sample is a row. The
# windows hold $p = 2$ numbers and lie side by side: three windows in a row. `dy` is
# what the layers above tell each output: how the loss grows with it.
#
# ```
#  x     [ 1   4 ] [ 2   0 ] [ 3   5 ]        sample 0
#            │         │         │
#            ▼         ▼         ▼
#  y_max     4         2         5
# ```
#
# With several channels (lesson 13) each channel is pooled alone. So one is enough here.

# %%
N, T, p = 2, 6, 2
x = np.array([[1.0, 4.0, 2.0, 0.0, 3.0, 5.0],
              [0.0, -1.0, -3.0, -2.0, 6.0, 2.0]])               # (N, T)
dy = np.array([[1.0, 3.0, -1.0],
               [2.0, 0.5, -2.0]])                               # (N, 3)
windows = x.reshape(N, 3, p)                    # (N, window, place in the window)
print("the windows of sample 0:", windows[0].tolist())

# %% [markdown]
# ## Forward: the largest, or the mean
#
# Many texts let window $i$ begin at every $i$:
#
# $$\text{output}[i] = \max(x[i:i+pool\_size]) \tag{001.08.MaxPooling1D}$$
# $$\text{output}[i] = \frac{1}{pool\_size} \sum_{k=0}^{pool\_size-1} x[i+k]
#   \tag{001.08.AveragePooling1D}$$
#
# In Keras and PyTorch window $i$ begins at $i \cdot s$. This $s$ is the **stride**. If
# nobody gives one, it is $p$, the size of the window. Then windows lie side by side, as
# ours do.
#
# Besides the maximum we ask **who** it is: the *place* of the winner in its window. The
# first place is 0.

# %%
# ? y_max, the largest number of each window, (N, 3); windows is (N, 3, p)
y_max = windows.max(axis=2)                     # (N, 3)
print("y_max =", y_max.tolist())
# ? winner, the place of the largest in its window: 0 or 1
winner = windows.argmax(axis=2)                 # (N, 3)
print("winner =", winner.tolist())
# ? y_mean, the mean of each window
y_mean = windows.mean(axis=2)                   # (N, 3)
print("y_mean =", y_mean.tolist())
assert y_max[0].tolist() == [4, 2, 5]
assert y_mean[0].tolist() == [2.5, 1, 4]

# %% [markdown]
# ## Backward: the mean tells everyone
#
# The question of lesson 02 again: **in which output does a number stand, and with what
# factor?** Each $x$ stands in the mean of its own window, and in no other. There all
# $p$ numbers have the same factor.

# %%
def loss_of_mean(x):
    return np.sum(dy * x.reshape(N, 3, p).mean(axis=2))


# ? dx_mean, (N, T), from dy (N, 3); np.repeat(a, p, axis=1) writes each column p times
dx_mean = np.repeat(dy / p, p, axis=1)          # (N, T)
print("dx_mean of sample 0 =", dx_mean[0].tolist())
check_derivative("dx_mean", dx_mean, loss_of_mean, x)

# %% [markdown]
# $$dx_{ip+k} = \frac{dy_i}{p} \qquad \text{for all } k < p$$
#
# ## Backward: the maximum tells the winner
#
# Move the largest number of a window a little. The maximum moves as much: the factor
# is 1. Move another one a little. The maximum stays: the factor is 0.
#
# First the factors. `winner[:, :, None]` has shape (N, 3, 1). NumPy can compare it with
# the places `np.arange(p)`.

# %%
def loss_of_max(x):
    return np.sum(dy * x.reshape(N, 3, p).max(axis=2))


# ? won, (N, 3, p): True at the place of the winner of each window, False elsewhere
won = np.arange(p) == winner[:, :, None]        # (N, 3, p)
print("won, sample 0:", won[0].tolist())
# ? dx_max, (N, T), from won and dy
dx_max = np.where(won, dy[:, :, None], 0).reshape(N, T)
print("dx_max of sample 0 =", dx_max[0].tolist())
check_derivative("dx_max", dx_max, loss_of_max, x)

# %% [markdown]
# With $k^*_i$, the place of the winner of window $i$:
#
# $$dx_{ip+k^*_i} = dy_i \qquad \text{all others get } 0$$
#
# Two things to keep. The backward of the maximum did not need $x$. It needed to know
# **who won**: one small integer for each window. And in both cases as much goes out as
# came in:

# %%
assert np.allclose(dx_mean.sum(axis=1), dy.sum(axis=1))
assert np.allclose(dx_max.sum(axis=1), dy.sum(axis=1))

# %% [markdown]
# ## Windows that overlap
#
# Now $p = 3$ and $s = 2$: window $i$ begins at step $i \cdot s$. The windows overlap by
# one step. Here are seven steps:
#
# ```
#  step          0   1   2   3   4   5   6
#  x_long        1   4   6   0   5   2   3        sample 0
#  window 0     [          ]
#  window 1             [          ]
#  window 2                     [          ]
# ```

# %%
p, s, T = 3, 2, 7
x_long = np.array([[1.0, 4.0, 6.0, 0.0, 5.0, 2.0, 3.0],
                   [-1.0, -3.0, -2.0, 0.0, 2.0, 1.0, 7.0]])     # (N, T)


def cut(x):
    return np.stack([x[:, i * s:i * s + p] for i in range(3)], axis=1)


winner = cut(x_long).argmax(axis=2)             # (N, 3), the place in the window
print("winner =", winner.tolist())
# ? step, (N, 3): on which step does the winner of each window lie?
step = np.arange(3) * s + winner
print("step =", step.tolist())

# %% [markdown]
# In sample 0 step 2 wins **twice**: in window 0 and in window 1. A value that is used
# twice gets the sum of what comes back from its uses (lesson 00).

# %%
dx_long = np.zeros((N, T))
# ? [dx_long] for n in range(N), for i in range(3): window i tells its winner, with step
for n in range(N):
    for i in range(3):
        dx_long[n, step[n, i]] += dy[n, i]
print("dx_long of sample 0 =", dx_long[0].tolist())
check_derivative("dx_long", dx_long, lambda x: np.sum(dy * cut(x).max(axis=2)), x_long)

# %% [markdown]
# So it is `+=`:
#
# $$dx_{is+k^*_i} \gets dx_{is+k^*_i} + dy_i$$
#
# And the mean. Now each window tells all of its $p$ steps, as above. Where two windows
# overlap, both arrive.

# %%
dx_long_mean = np.zeros((N, T))
# ? [dx_long_mean] for i in range(3): window i tells all of its steps, from i s on
for i in range(3):
    dx_long_mean[:, i * s:i * s + p] += dy[:, i:i + 1] / p
check_derivative("dx_long_mean", dx_long_mean,
                 lambda x: np.sum(dy * cut(x).mean(axis=2)), x_long)

# %% [markdown]
# ## Backward: as a function
#
# The maximum once more, for any number of samples, windows and steps. It is not given
# $x$: it needs the winners only.

# %%
# ? [max_backward] def max_backward(dy, winner, s, T): dy and winner are (N, windows),
# ? winner is the place in the window, s the stride. Return dx (N, T)
def max_backward(dy, winner, s, T):
    dx = np.zeros((len(dy), T))
    for n in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            dx[n, i * s + winner[n, i]] += dy[n, i]
    return dx


assert np.array_equal(max_backward(dy, winner, 2, 7), dx_long)
assert np.array_equal(max_backward(dy, windows.argmax(axis=2), 2, 6), dx_max)

# %% [markdown]
# ## What a tie does
#
# Until now no two numbers of a window were equal. If two are the largest, they **tie**.
# Take one window of three numbers, all 2. Which derivative has its maximum? Ask the
# witness. It raises one number by $\varepsilon$, then lowers it by $\varepsilon$, and
# divides the difference of the two maxima by $2 \varepsilon$.

# %%
tie = np.array([2.0, 2.0, 2.0])
# ? guess: what does the witness say for each of the three numbers?
witness_says = 0.5

# %%
witness = numerical_derivative(np.max, tie)
print("the witness says", witness)
assert np.allclose(witness, witness_says)
together = numerical_derivative(lambda move: np.max(tie + move), 0.0)
print("all three raised together:", together)
assert np.isclose(witness.sum(), 1.5)
assert np.isclose(together, 1)

# %% [markdown]
# Raise one number: the maximum rises as much, the slope is 1. Lower it: the maximum
# stays, for the two others are still 2. The slope is 0. **There is no derivative
# here.** The witness takes the mean of both slopes, and that is ½. Three times ½ is
# 1.5. But raise all three together, and the maximum rises once: 1, not 1.5. So the
# witness is wrong.
#
# ## What may be asked at a tie
#
# A gradient $g$ is a promise. It says how large the maximum will be after a move $v$.
# We ask that it never promises **too much**, for any move:
#
# $$\max(x + v) \ge \max(x) + \sum_k g_k v_k$$
#
# Such a $g$ is called a *subgradient*. Let us try a thousand moves.

# %%
moves = np.random.default_rng(0).normal(size=(1000, 3))
reached = np.max(tie + moves, axis=1)           # (1000,), what the maximum becomes
g = witness
# ? promised, (1000,): what g promises for each move, the right side above
promised = np.max(tie) + moves @ g
kept_by_witness = np.mean(reached >= promised - 1e-12)
print(f"the witness keeps {kept_by_witness:.0%} of its promises")
assert kept_by_witness < 1

# %%
rules = {"all to the first": [1, 0, 0],
         "shared evenly": [1 / 3, 1 / 3, 1 / 3],
         "each gets all": [1, 1, 1]}
kept = {}
for name, g in rules.items():
    promised = np.max(tie) + moves @ g
    kept[name] = np.mean(reached >= promised - 1e-12)
    print(f"{name:16} keeps {kept[name]:.0%} of its promises")
assert kept["all to the first"] == kept["shared evenly"] == 1
assert kept["each gets all"] < 1

# %% [markdown]
# All those are right that share out exactly 1 and give nobody a negative part. So there
# is a choice. PyTorch's `max_pool2d` and Keras (on JAX) give all to the **first** of
# the window, and so do we. It costs nothing: one place has to be kept anyhow. NumPy's
# `argmax` names the first, too.
#
# (A maximum over whole axes, `amax`, shares evenly in both. Keras' *global* pooling is
# made of that. Ours stays with the first.)
#
# ## The bug that random numbers hide
#
# "Each gets all" is a bug that many have written: `dx = (x == y) * dy`. If you wrote
# `won = windows == y_max[:, :, None]` above, it was right, since nothing tied there.
# All tests with random numbers pass, for random numbers do not tie. Real pictures do:

# %%
# ? guess: handwritten digits of 8 × 8 points, cut into windows of 2 × 2: what part of
# ? the windows is tied? A number from 0 to 1
part_tied = 0.41

# %%
images, labels = digits()
cuts = images.reshape(-1, 4, 2, 4, 2).swapaxes(2, 3)
fours = cuts.reshape(-1, 4)                     # (windows, 4), the points of a window
most = fours.max(axis=1, keepdims=True)         # (windows, 1)
# ? tied, (windows,): True where more than one of the four points reaches the maximum
tied = np.sum(fours == most, axis=1) > 1
print(f"{tied.mean():.0%} of the windows are tied, "
      f"{np.mean(most == 0):.0%} are all black")
assert abs(tied.mean() - part_tied) < 0.01

# %% [markdown]
# In an all black window the bug sends $dy$ to four points: four times what came in.

# %%
black = np.zeros((1, 4))
by_the_bug = (black == black.max(axis=1, keepdims=True)) * 1.0
print("of a gradient of 1 the bug makes", by_the_bug.tolist())
assert by_the_bug.sum() == 4

# %% [markdown]
# ## Edges
#
# With `same` padding windows hang over the edge, as in lesson 13. Now there are three
# steps, windows of three, and the stride is 1. Window $i$ holds the steps $i - 1$, $i$
# and $i + 1$, as far as they exist. Many texts put zeros outside. But all our numbers
# are negative, and a zero would *win*. So what has to stand outside, for a maximum?

# %%
x_edge = np.array([[-1.0, -2.0, -4.0],
                   [-5.0, -3.0, -2.0]])         # (N, 3)


def cut_same(x, outside):
    wide = np.pad(x, ((0, 0), (1, 1)), constant_values=outside)
    return np.stack([wide[:, i:i + 3] for i in range(3)], axis=1)


# ? y_edge, (N, 3): the maxima. cut_same(x_edge, outside) gives the windows, (N, 3, 3)
y_edge = cut_same(x_edge, -np.inf).max(axis=2)
print("y_edge =", y_edge.tolist())
assert y_edge.tolist() == [[-1, -1, -2], [-3, -2, -2]]

# %% [markdown]
# The mean is that of the steps which a window really has: `count` of them.

# %%
count = np.array([2, 3, 2])                     # real steps in windows 0, 1, 2
dx_edge = np.zeros((N, 3))


def loss_at_edge(x):
    return np.sum(dy * np.nanmean(cut_same(x, np.nan), axis=2))


# ? [dx_edge] of the means: for i in range(3), window i tells its real steps
for i in range(3):
    begin = max(i - 1, 0)
    dx_edge[:, begin:i + 2] += dy[:, i:i + 1] / count[i]
check_derivative("dx_edge", dx_edge, loss_at_edge, x_edge)

# %% [markdown]
# Window $i$ has sent $dy_i / count_i$ to each of its real steps.
#
# PyTorch counts the zeros outside, unless one says `count_include_pad=False`. The mean
# of ones is then not 1 at the edge:

# %%
ones = np.ones((1, 4, 1))
keras_mean = layers.AveragePooling1D(3, 1, "same").forward(ones).ravel()
torch_mean = nn.AvgPool1d(3, 1, padding=1).forward(ones.swapaxes(1, 2)).ravel()
print("Keras:", keras_mean, " PyTorch:", torch_mean.round(2))
assert np.allclose(keras_mean, 1)
assert np.allclose(torch_mean, [2 / 3, 1, 1, 2 / 3])

# %% [markdown]
# ## Pictures
#
# A window now has rows and columns:
#
# $$\text{output}[i,j] = \max(x[i:i+pool\_size, j:j+pool\_size])
#   \tag{001.08.MaxPooling2D}$$
# $$\text{output}[i,j] = \frac{1}{pool\_size^2} \sum_{k=0}^{pool\_size-1}
#   \sum_{l=0}^{pool\_size-1} x[i+k,j+l] \tag{001.08.AveragePooling2D}$$
#
# (Many texts forget the square.) Volumes have a third axis: (001.08.MaxPooling3D),
# (001.08.AveragePooling3D).
#
# We take two pictures of 4 × 4 points and windows of 2 × 2, side by side. `blocks` has
# the four points of each window in **reading order**: the upper row first. So a winner
# is a number from 0 to 3. Its row and its column in the window are to be found.

# %%
p = 2
pictures = np.random.default_rng(3).permutation(np.arange(32.0)).reshape(N, 4, 4)
print(pictures[0])


def cut_2d(x):
    cuts = x.reshape(N, 2, p, 2, p).swapaxes(2, 3)
    return cuts.reshape(N, 2, 2, p * p)         # (N, window row, window column, place)


blocks = cut_2d(pictures)
winner = blocks.argmax(axis=3)                  # (N, 2, 2)
print("winner of picture 0:", winner[0].tolist())
# ? row and column of each winner in its window, both (N, 2, 2), from winner and p
row, column = winner // p, winner % p
print("row:", row[0].tolist(), "column:", column[0].tolist())

# %%
dy_2d = np.array([[[1.0, -1.0], [2.0, 0.5]],
                  [[3.0, 1.0], [-2.0, 4.0]]])   # (N, 2, 2)
dx_2d = np.zeros((N, 4, 4))
# ? [dx_2d] for n, i, j in np.ndindex(N, 2, 2): window (i, j) tells its winner
for n, i, j in np.ndindex(N, 2, 2):
    at_row = i * p + row[n, i, j]
    at_column = j * p + column[n, i, j]
    dx_2d[n, at_row, at_column] += dy_2d[n, i, j]
check_derivative("dx_2d", dx_2d,
                 lambda x: np.sum(dy_2d * cut_2d(x).max(axis=3)), pictures)

# %% [markdown]
# ## Global pooling: one window
#
# *Global* pooling has one window, as large as the picture. Each channel gives one
# number. Where a thing is, is then forgotten.
#
# $$\text{output} = \max(x) \tag{001.08.GlobalMaxPooling2D}$$
# $$\text{output} = \frac{1}{H \cdot W} \sum_{i=0}^{H-1} \sum_{j=0}^{W-1} x[i,j]
#   \tag{001.08.GlobalAveragePooling2D}$$
#
# $H$ and $W$ are the height and width of the picture. For sequences and volumes see
# (001.08.GlobalMaxPooling1D), (001.08.GlobalMaxPooling3D),
# (001.08.GlobalAveragePooling3D) and (001.08.GlobalAveragePooling1D). The last one
# leaves out the steps that a mask hides (lesson 10).

# %%
dy_global = np.array([8.0, -16.0])              # (N,), one number a picture
# ? dx_global, (N, 4, 4): of the global mean, y = pictures.mean(axis=(1, 2))
dx_global = np.ones((N, 4, 4)) * dy_global[:, None, None] / 16
check_derivative("dx_global", dx_global,
                 lambda x: np.sum(dy_global * x.mean(axis=(1, 2))), pictures)

# %% [markdown]
# ## The same in the library
#
# The layers on our numbers. They want a last axis for the channels. One implementation
# serves sequences, pictures, volumes and global pooling.

# %%
cases = [(layers.MaxPooling1D(2, dtype="float64"), x, dy, dx_max),
         (layers.AveragePooling1D(2, dtype="float64"), x, dy, dx_mean),
         (layers.MaxPooling1D(3, 2, dtype="float64"), x_long, dy, dx_long),
         (layers.AveragePooling1D(3, 2, dtype="float64"), x_long, dy, dx_long_mean),
         (layers.AveragePooling1D(3, 1, "same", dtype="float64"), x_edge, dy, dx_edge),
         (layers.MaxPooling2D(2, dtype="float64"), pictures, dy_2d, dx_2d),
         (layers.GlobalAveragePooling2D(dtype="float64"), pictures, dy_global,
          dx_global)]
for room in ("reference", "cpu"):
    for layer, given, arriving, expected in cases:
        layer.to(room)
        layer.forward(given[..., None])
        got = layer.backward(arriving[..., None])[..., 0]
        assert np.allclose(got, expected, rtol=1e-15, atol=1e-15)

# %% [markdown]
# In the library's room for reading it is a function too. Compare it with your
# `max_backward`. Find in both: the place of the winner, and the `+=`. In the forward,
# find what lets the first win: `>`, not `>=`.

# %%
show_source("kernels.reference.pooling:max_pool_gradient",
            "kernels.reference.pooling:max_pool")

# %% [markdown]
# The fast rooms turn the backward round. Each *point* asks the windows that lie over
# it. So no two threads write to one place. In the stepper type
# `show_source("kernels.cpu.pooling:_max_gradient_rows")`, or
# `show_source("kernels.cuda.pooling:_max_pool_gradient")`.
#
# ## Watch it
#
# Watch on a page who wins under each window, and what the winner is sent. Open it in a
# browser; the right arrow takes a step. (`nblayers microscope max_pooling` opens one of
# a trained network.)
#
# In step 2 (`y`) four numbers lie under the first window, and the page writes their
# maximum. In step 7 (`dx`) the gradient of that window goes to the place of the winner
# alone. Go on to step 10 (`dx`), the last. How many of the 16 numbers of a picture have
# got a gradient, and how many would, if a mean took the place of the maximum?

# %%
pool = layers.MaxPooling2D(2, dtype="float64").to("reference")
with trace() as seen:
    pool.forward(pictures[..., None])
    pool.backward(dy_2d[..., None])
save_page(seen, "14_microscope")
assert np.allclose(seen.find("dx")[-1].value[..., 0], dx_2d, rtol=0, atol=1e-15)
# Four, one of each window; by a mean all 16.
assert np.count_nonzero(seen.find("dx")[-1].value, axis=(1, 2, 3)).tolist() == [4, 4]
averaging = layers.AveragePooling2D(2)
averaging.forward(pictures[..., None])
assert np.count_nonzero(averaging.backward(dy_2d[..., None])[0]) == 16

# %% [markdown]
# ## A picture: where the gradient lands
#
# A 1 is sent into every output. Where does it land, in a digit and in a black picture?

# %%
two = np.stack([images[0], np.zeros((8, 8))])[..., None]        # a digit, and black


def landed(layer):
    y = layer.forward(two)
    return layer.backward(np.ones_like(y))[..., 0]


largest = landed(layers.MaxPooling2D(2))
mean = landed(layers.AveragePooling2D(2))
assert np.count_nonzero(mean[0]) == reached_by_mean
assert np.count_nonzero(largest[0]) == reached_by_max
assert np.count_nonzero(largest[1]) == reached_in_black
assert np.all(largest[1][::2, ::2] == 1)        # the first of each window

# %%
overlapping = landed(layers.MaxPooling2D(3, 1))[0]
shown = {"maximum, 2 × 2": largest[0],
         "maximum, 2 × 2, of a black picture": largest[1],
         "maximum, 3 × 3, stride 1": overlapping,
         "mean, 3 × 3, stride 2": landed(layers.AveragePooling2D(3, 2))[0],
         "global maximum": landed(layers.GlobalMaxPooling2D())[0]}
save_figure(draw_where_it_lands(two[0, ..., 0], shown), "14_where_it_lands")
assert overlapping.sum() == 36
assert np.count_nonzero(shown["global maximum"]) == 1

# %% [markdown]
# The maxima of 2 × 2 tell 16 of 64 points. They lie on the stroke where there is one.
# Where all is black they are the first of each window: a grid that the picture does not
# have. (Behind a relu such zeros do no harm: its slope is 0 there.) Windows that
# overlap agree on fewer winners, each of up to nine windows. The means tell everyone, a
# little each.
#
# ## A real task: is it there?
#
# A signal has a hundred steps of noise. Somewhere in it, for sixteen steps, is a tone
# that rises or falls: a *chirp*. Which of the two? Where it is, does not matter.
#
# A convolution of eight windows looks for it. Then one number of each window's output
# is kept. One Dense unit decides: its logit is positive for a tone that rises. We
# compare three ways: keep the maximum, keep the mean, or keep all places (no pooling).
# The **baseline** always says the kind that is more frequent.

# %%
rng = np.random.default_rng(0)
seen, kind, _ = chirps(1000, rng)               # (1000, 100, 1), and 0 or 1
new, truth, time = chirps(1000, rng)            # time (1000, 16): the chirp's steps


def build(tail):
    set_random_seed(0)
    model = Sequential([layers.Input((100, 1)),
                        layers.Conv1D(8, 16, activation="relu"),
                        tail,
                        layers.Dense(1)])        # one logit
    model.compile(Adam(0.01), BinaryCrossentropy(from_logits=True),
                  metrics=[BinaryAccuracy(threshold=0)])
    return model


models = {"maximum": build(layers.GlobalMaxPooling1D()),
          "mean": build(layers.GlobalAveragePooling1D()),
          "all places": build(layers.Flatten())}

# %% [markdown]
# ## The task: training

# %%
curves = {}
for name, model in models.items():
    run = model.fit(seen, kind, batch_size=50, epochs=8, verbose=0,
                    validation_data=(new, truth))
    curves[name] = run.history["val_binary_accuracy"]
    print(f"{name}: {model.count_params()} weights, {curves[name][-1]:.1%} right")
baseline = max(truth.mean(), 1 - truth.mean())
print(f"baseline: {baseline:.1%} right")
assert curves["maximum"][-1] > 0.95
assert max(curves["mean"][-1], curves["all places"][-1]) < 0.8

# %% [markdown]
# The maximum hears the loudest step of each window and nothing else. The mean adds the
# noise of all the other steps. After eight epochs it has hardly learned anything. (It
# does with more.) The Dense layer over all places has to learn the chirp anew at each
# place.
#
# ## The task: who was heard?
#
# The gradient of the answer by the input says which steps had a say. Its absolute value
# is `heard`, (1000, 100). `on_chirp` is the part of it that lies on the chirp,
# (1000, 16).

# %%
def hear(model):
    answer = model.forward(new)
    dx = model.backward(np.ones_like(answer))
    return answer[:, 0], np.abs(dx[..., 0])


answer, heard = hear(models["maximum"])
on_chirp = np.take_along_axis(heard, time, axis=1)
# ? part, (1000,): of each signal, the sum of on_chirp as a part of all that was heard
part = on_chirp.sum(axis=1) / heard.sum(axis=1)
right = (answer > 0) == truth
print(f"maximum: {part.mean():.0%} of the gradient is on the chirp")
print(f"where it is wrong: {part[~right].mean():.0%}")
assert part.mean() > 0.7
assert part[~right].mean() < part[right].mean()

# %%
for name in ("mean", "all places"):
    _, others = hear(models[name])
    there = np.take_along_axis(others, time, axis=1).sum() / others.sum()
    print(f"{name}: {there:.0%} of the gradient is on the chirp")
    assert there < 0.4
example = np.flatnonzero(right)[0]
save_figure(draw_chirps(curves, baseline, new[example, :, 0], heard[example],
                        time[example]), "14_chirps")

# %% [markdown]
# Where the maximum is wrong, less of its gradient lies on the chirp: the noise was
# louder somewhere else.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check pooling my_answer.py`.
#
# 1. On paper: $x = (3, 1, 3, 2, 5)$, windows of three, stride 1, $dy = (1, 2, -1)$. A
#    tie goes to the first. Set `dx_max` and `dx_mean`, five numbers each.
# 2. A whole backward: `max_pool_backward(x, dy, p, s)` for pictures, x (N, H, W, C),
#    dy (N, H', W', C). Windows p × p, stride s, no padding. Return `dx`. Windows may
#    overlap. Each channel has its own winners. A tie goes to the first.
# 3. A bug: the backward below passes every gradient check with random numbers. Write it
#    right as `fixed_max_backward(x, y, dy, p)`. x is (N, T), y are the maxima and dy
#    their gradient, both (N, T / p). A tie goes to the first.
# 4. An experiment: a long sequence of random numbers goes through
#    `MaxPooling1D(3, strides=1)`. What part of the numbers gets no gradient at all? Set
#    `silent`, to a hundredth. (Can you say why?)
#
# ```python
# def max_backward(x, y, dy, p):
#     return (x == np.repeat(y, p, axis=1)) * np.repeat(dy, p, axis=1)
# ```
