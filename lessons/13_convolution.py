# %% [markdown]
# # 13 · Convolution in one, two and three dimensions
#
# *About 40 minutes.* A Dense layer has a weight for each pair of an input and an
# output. A convolution looks through a small **window**. It has one weight for each
# place in the window, and uses the same ones wherever the window stands. You derive its
# backward on five numbers. Then you write it once for sequences, pictures and films,
# and it learns to read handwritten digits.
#
# ## A question first
#
# A picture has 28 × 28 points. A window of 3 × 3 points goes over it. Around the
# picture stand zeros, so that there are 28 × 28 outputs too. (Leave the bias out.)

# %%
import numpy as np

from lessons.data import digits
from lessons.figures import draw_digit_task, draw_feature_maps, draw_receptive_fields
from nblayers import trace
from nblayers.layers import (
    Conv1D,
    Conv2D,
    Conv3D,
    Dense,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    MaxPooling2D,
)
from nblayers.learn.tools import check_derivative, save_figure, save_page, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %%
# ? guess: a Dense layer from 784 points to 784 outputs has 614,656 weights. And the
# ? convolution?
weights_of_window = 9
# ? guess: of how many products is the gradient of the window's middle weight the sum?
products = 784
# ? guess: how many outputs does the point in a corner of the picture reach?
reached_by_corner = 4

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$). A sample is a row of five numbers. The window has three
# weights, $K = 3$. There is one bias.

# %%
x = np.array([[1.0, 2.0, 0.0, -1.0, 3.0],
              [0.0, 1.0, -2.0, 2.0, 1.0]])      # (N, T): T = 5 places
W = np.array([3.0, 2.0, -1.0])                  # (K,): K = 3 taps
b = 1.0

# %% [markdown]
# ## A picture: the window slides
#
# We lay the window on the first three numbers. Each is multiplied by the weight that
# lies on it, and all is added up. That is the first output. Then the window moves on by
# one.
#
# ```text
# x          x_0     x_1     x_2     x_3     x_4
#
# y_0        W_0     W_1     W_2
# y_1                W_0     W_1     W_2
# y_2                        W_0     W_1     W_2
# ```
#
# Three letters, and each keeps its meaning in this lesson:
#
# - $i$ is a **place of the window**. Each gives one output, $y_i$.
# - $k$ is a **tap**: a place *in* the window. Each has one weight, $W_k$.
# - $m$ is a **place of the input**, $x_m$. Tap $k$ of window $i$ lies on $m = i + k$.

# %%
for i in range(3):
    print(f"window {i} lies on the inputs", [i + k for k in range(3)])

# %% [markdown]
# ## Forward
#
# Five places have room for $5 - 3 + 1 = 3$ windows of three. Output $i$ of sample $n$:
#
# $$y_{ni} = \sum_k x_{n,i+k} W_k + b \tag{001.07.Conv1D}$$
#
# An activation may follow. It was lesson 03, and there is none here.

# %%
# ? y_0: output 0 of both samples, (N,); the window lies on x[:, 0:3]
y_0 = x[:, 0:3] @ W + b
print("y_0 =", y_0.tolist())
assert y_0[0] == 1 * 3 + 2 * 2 + 0 * -1 + 1

y = np.zeros((2, 3))                            # (N, places)
# ? [y] all of them: for i in range(3), fill y[:, i]
for i in range(3):
    y[:, i] = x[:, i:i + 3] @ W + b
print("y =", y.tolist())

# %% [markdown]
# In mathematics this sum is called a **correlation**. A mathematician's convolution
# reads one of the two backwards. All libraries of networks compute the correlation and
# call it a convolution. The weights are learned, so it makes no difference to them.

# %%
for n in range(2):
    assert np.array_equal(y[n], np.correlate(x[n], W) + b)
    assert np.array_equal(y[n], np.convolve(x[n], W[::-1], "valid") + b)

# %% [markdown]
# ## Backward: the bias
#
# The layers above tell each output how the loss grows with it, $dy_{ni}$. So for us the
# loss is a sum of products:
#
# $$L = \sum_n \sum_i dy_{ni} \, y_{ni}$$
#
# Ask as in lesson 02: **in which outputs does it occur, and with what factor?** The
# bias occurs in all outputs of all samples. Its factor is 1.

# %%
dy = np.array([[1.0, -1.0, 2.0],
               [-1.0, 2.0, -1.0]])              # (N, places)


def loss(x, W, b):
    y = np.zeros((2, 3))
    for i in range(3):
        y[:, i] = x[:, i:i + 3] @ W + b
    return np.sum(dy * y)


# ? db, one number
db = dy.sum()
check_derivative("db", db, lambda b: loss(x, W, b), b)

# %% [markdown]
# ## Backward: a weight stands in every output
#
# Look at the picture again. $W_0$ stands in **all** outputs: in $y_0$ beside $x_0$, in
# $y_1$ beside $x_1$, in $y_2$ beside $x_2$. And so in each sample.

# %%
# ? dW_0, one number, of both samples: from dy and what W_0 stands beside
dW_0 = np.sum(dy * x[:, 0:3])
print("dW_0 =", dW_0)
check_derivative("dW_0", dW_0, lambda w: loss(x, np.array([w, W[1], W[2]]), b), W[0])

# %% [markdown]
# In general tap $k$ of window $i$ lies on $x_{i+k}$.

# %%
dW = np.zeros(3)                                # (K,)
# ? [dW] for k in range(3), fill dW[k]
for k in range(3):
    dW[k] = np.sum(dy * x[:, k:k + 3])
check_derivative("dW", dW, lambda W: loss(x, W, b), W)

# %% [markdown]
# $$dW_k = \sum_n \sum_i dy_{ni} \, x_{n,i+k}$$
#
# That is a sum of $N$ × *places* products. It is a correlation again: a window of the
# numbers $dy$ slides over $x$.

# %%
slides = sum(np.correlate(x[n], dy[n]) for n in range(2))
assert np.array_equal(dW, slides)

# %% [markdown]
# ## Backward: an input lies under several windows
#
# Now a column of the picture. All three windows lie on $x_2$: window 0 with $W_2$,
# window 1 with $W_1$, window 2 with $W_0$.

# %%
# ? dx_at_2, what arrives at place 2 of both samples, (N,)
dx_at_2 = dy[:, 0] * W[2] + dy[:, 1] * W[1] + dy[:, 2] * W[0]
print("dx_at_2 =", dx_at_2.tolist())


def loss_with_x_at_2(x_2):
    moved = x.copy()
    moved[:, 2] = x_2
    return loss(moved, W, b)


check_derivative("dx_at_2", dx_at_2, loss_with_x_at_2, x[:, 2])

# %% [markdown]
# In general window $i$ lies on $x_m$ with tap $k = m - i$, if there is such a tap.
#
# In code it is easier from the other side. Each $dy_i$ goes back to **all the places
# that its window lies on**. Windows overlap, so what arrives is added up.

# %%
dx = np.zeros_like(x)                           # (N, T)
# ? [dx] for i in range(3) and k in range(3): what dy[:, i] sends to place i + k
for i in range(3):
    for k in range(3):
        dx[:, i + k] += dy[:, i] * W[k]
print("dx =", dx.tolist())
check_derivative("dx", dx, lambda x: loss(x, W, b), x)
assert np.array_equal(dx[:, 2], dx_at_2)

# %% [markdown]
# $$dx_{nm} = \sum_{i + k = m} dy_{ni} \, W_k$$
#
# This one **is** the mathematician's convolution. With $k = m - i$ one of the two is
# read backwards:

# %%
for n in range(2):
    assert np.array_equal(dx[n], np.convolve(dy[n], W))

# %% [markdown]
# ## Backward: the same as a Dense layer
#
# A convolution is a Dense layer with a special matrix $A$: $y = x A + b$. Each column
# is the same window, one place further down. Elsewhere it is 0.

# %%
A = np.array([[3.0, 0.0, 0.0],
              [2.0, 3.0, 0.0],
              [-1.0, 2.0, 3.0],
              [0.0, -1.0, 2.0],
              [0.0, 0.0, -1.0]])                # (T, places)
assert np.array_equal(y, x @ A + b)
# ? dx_dense: dx again, as lesson 02 has it
dx_dense = dy @ A.T
assert np.array_equal(dx_dense, dx)

# %% [markdown]
# Lesson 02 has a gradient for $A$ too. But in $A$ the number $W_0$ stands three times,
# on a diagonal. **A weight that is used three times gets the sum of three gradients.**

# %%
dA = x.T @ dy                                   # (T, places)
for k in range(3):
    assert dW[k] == dA[k, 0] + dA[k + 1, 1] + dA[k + 2, 2]

# %% [markdown]
# (Remember $A^\top$: lesson 15 makes a layer of it.)
#
# ## Channels and filters
#
# A place may hold several numbers, its **channels** $c$. In a picture they are red,
# green and blue. The window has a weight for each tap and channel. And there may be
# several windows, the **filters** $f$. Each has weights and a bias of its own, and
# gives an output of its own.
#
# Now $x$ is (N, T, C), $W$ is (K, C, F), $b$ is (F,) and $y$ is (N, places, F). Ours
# has three taps, two channels and two filters.

# %%
rng = np.random.default_rng(0)


def whole_numbers(*shape):
    return rng.integers(-3, 4, shape).astype(float)


x = whole_numbers(2, 7, 2)                      # (N, T, C)
W = whole_numbers(3, 2, 2)                      # (K, C, F)
b = whole_numbers(2)                            # (F,)

# %% [markdown]
# Look at one tap. It takes $C$ numbers of each sample in, and gives $F$ out. That is
# **a Dense layer at each tap**, with the matrix $W_k$. The window adds them up:
#
# $$y_i = \sum_k x_{i+k} W_k + b$$

# %%
seen = x[:, 0:3]                                # (N, K, C): what window 0 sees
# ? [window] one window, as a function: def window(seen, W, b), which gives (N, F)
def window(seen, W, b):
    y_i = np.zeros((len(seen), len(b))) + b
    for k in range(len(W)):
        y_i += seen[:, k] @ W[k]
    return y_i


print("y_0 =", window(seen, W, b).tolist())

# %% [markdown]
# ## Backward: one window
#
# So backward is that of lesson 02 too, once for each tap.

# %%
# ? [window_backward] def window_backward(seen, W, dy_i), with dy_i (N, F). Return
# ? dseen (N, K, C), dW (K, C, F), db (F,)
def window_backward(seen, W, dy_i):
    dseen = np.zeros_like(seen)
    dW = np.zeros_like(W)
    for k in range(len(W)):
        dseen[:, k] = dy_i @ W[k].T
        dW[k] = seen[:, k].T @ dy_i
    return dseen, dW, dy_i.sum(axis=0)


dy_i = whole_numbers(2, 2)                      # (N, F)
dseen, dW, db = window_backward(seen, W, dy_i)
check_derivative("dseen", dseen, lambda s: np.sum(dy_i * window(s, W, b)), seen)
check_derivative("dW", dW, lambda W: np.sum(dy_i * window(seen, W, b)), W)
check_derivative("db", db, lambda b: np.sum(dy_i * window(seen, W, b)), b)

# %% [markdown]
# $$dW_k = x_{i+k}^\top \, dy_i \qquad dx_{i+k} = dy_i \, W_k^\top
#   \qquad db = \sum_n dy_{ni}$$
#
# ## Backward: all windows, with a stride
#
# The window may move on by more than one place. How far is its **stride** $s$. Window
# $i$ then begins at $i \cdot s$. What is left over at the end is seen by no window.

# %%
stride = 2
# ? places: how many windows of 3 have room in 7 places, with that stride?
places = (7 - 3) // stride + 1
assert [i * stride for i in range(places)] == [0, 2, 4]


def convolve_1d(x, W, b):
    outputs = []
    for i in range(places):
        seen = x[:, i * stride:i * stride + 3]
        outputs.append(window(seen, W, b))
    return np.stack(outputs, axis=1)            # (N, places, F)


# %% [markdown]
# The walk back: each window gives three gradients. All windows have the same weights,
# and windows overlap. So all three are added up.

# %%
dy = whole_numbers(2, places, 2)                # (N, places, F)
dx = np.zeros_like(x)
dW = np.zeros_like(W)
db = np.zeros_like(b)
# ? [dx, dW, db] for i in range(places): call window_backward, and add
for i in range(places):
    begin = i * stride
    dseen, dW_i, db_i = window_backward(x[:, begin:begin + 3], W, dy[:, i])
    dx[:, begin:begin + 3] += dseen
    dW += dW_i
    db += db_i
check_derivative("dx", dx, lambda x: np.sum(dy * convolve_1d(x, W, b)), x)
check_derivative("dW", dW, lambda W: np.sum(dy * convolve_1d(x, W, b)), W)
check_derivative("db", db, lambda b: np.sum(dy * convolve_1d(x, W, b)), b)

# %% [markdown]
# ## Padding and dilation
#
# **Padding** puts zeros around the input. Keras has three kinds:
#
# - `valid` puts none.
# - `same` puts as many as it takes for $T / s$ outputs, rounded up. An odd zero goes
#   behind.
# - `causal` puts all of them in front. So no output sees what comes later.
#
# **Dilation** lets the taps lie apart: not on 0, 1, 2 but on 0, $d$, $2d$. The window
# is wider and has no more weights.
#
# We call $p$ the number of zeros **in front**. Then tap $k$ of window $i$ lies on
#
# $$m = i \cdot s + k \cdot d - p \tag{002.Convolution}$$
#
# Here is a causal window of 3 taps, with stride 1 and dilation 2. Its last tap lies on
# $m = i$: on the present.

# %%
stride, dilation = 1, 2
# ? before: how many zeros stand in front? The last of the 3 taps has to lie on m = i
before = (3 - 1) * dilation
# ? seen_by_3: the three places under window 3, from the formula for m
seen_by_3 = 3 * stride + np.arange(3) * dilation - before
print("window 3 sees", seen_by_3.tolist())
assert seen_by_3[-1] == 3
print("window 0 sees", (np.arange(3) * dilation - before).tolist())

# %% [markdown]
# Window 0 lies on the places −4, −2 and 0. Two of them are zeros of the padding. A tap
# on a zero adds nothing forwards. Backwards its weight gets nothing there, for it was
# multiplied by 0. And there is no input to give something to. So we may **leave such a
# tap out**.
#
# ## Two and three dimensions
#
# A picture has rows $i$ and columns $j$, and a window of rows $u$ and columns $v$:
#
# $$y_{ij} = \sum_{u,v} x_{i+u,j+v} \, W_{uv} + b \tag{001.07.Conv2D}$$
#
# A film has one more letter of each kind:
#
# $$y_{ijl} = \sum_{u,v,w} x_{i+u,j+v,l+w} \, W_{uvw} + b \tag{001.07.Conv3D}$$
#
# More letters, and no new idea. So we write one letter for all of them: let
# $i$, $k$ and $m$ be tuples of one, two or three numbers. Then $m = i s + k d - p$
# stands as it is, and so does all else. `paths` gives every window $i$ with every tap
# $k$, and the place $m$ on which it lies, if that is on the input.

# %%
def paths(outputs, taps, inputs, stride, dilation, before):
    for i in np.ndindex(outputs):
        for k in np.ndindex(taps):
            m = np.array(i) * stride + np.array(k) * dilation - before
            if np.all(m >= 0) and np.all(m < inputs):
                yield i, k, tuple(m.tolist())


print("an image of 2 × 2, one window of 2 × 2:")
for i, k, m in paths((1, 1), (2, 2), (2, 2), 1, 1, 0):
    print(f"window {i}, tap {k} lies on {m}")

# %% [markdown]
# Here is forward. `x[:, *m]` is place $m$ of all samples, (N, C). `geometry` holds the
# stride, the dilation and the zeros in front.

# %%
def convolve(x, W, b, outputs, geometry):
    y = np.zeros((len(x), *outputs, len(b))) + b
    for i, k, m in paths(outputs, W.shape[:-2], x.shape[1:-1], *geometry):
        y[:, *i] += x[:, *m] @ W[k]
    return y


# %% [markdown]
# ## Backward: all dimensions
#
# The same paths back. On each of them stands a Dense layer, from place $m$ to window
# $i$: `x[:, *m]` is (N, C), `W[k]` and `dW[k]` are (C, F), `dy[:, *i]` is (N, F). Many
# paths have the same $W_k$, and many begin at the same $x_m$.

# %%
# ? [convolve_backward] def convolve_backward(x, W, dy, geometry). Walk over
# ? paths(dy.shape[1:-1], W.shape[:-2], x.shape[1:-1], *geometry). Return dx, dW, db
def convolve_backward(x, W, dy, geometry):
    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    for i, k, m in paths(dy.shape[1:-1], W.shape[:-2], x.shape[1:-1], *geometry):
        dW[k] += x[:, *m].T @ dy[:, *i]
        dx[:, *m] += dy[:, *i] @ W[k].T
    db = dy.reshape(-1, dy.shape[-1]).sum(axis=0)
    return dx, dW, db


# %% [markdown]
# $$db = \sum_n \sum_i dy_{ni} \qquad dW_k = \sum_i x_m^\top \, dy_i
#   \qquad dx_m = \sum_{i, k} dy_i \, W_k^\top$$
#
# ## Backward: does it hold for all three?
#
# A film, a picture and a sequence. In the library you name the layer,
# and it finds its sizes. Here we write them down: the shape of x, of W and of dy, and
# the geometry (stride, dilation, zeros in front).

# %%
film = Conv3D(1, 2, dtype="float64")
film_sizes = (2, 3, 3, 2, 2), (2, 2, 2, 2, 1), (2, 2, 2, 1, 1), (1, 1, 0)

picture = Conv2D(2, 3, strides=2, padding="same", dtype="float64")
picture_sizes = (2, 5, 4, 2), (3, 3, 2, 2), (2, 3, 2, 2), (2, 1, (1, 0))

sequence = Conv1D(2, 3, dilation_rate=2, padding="causal", dtype="float64")
sequence_sizes = (2, 6, 1), (3, 1, 2), (2, 6, 2), (1, 2, 4)


def compare(x_shape, W_shape, dy_shape, geometry):
    x = whole_numbers(*x_shape)
    W = whole_numbers(*W_shape)
    b = whole_numbers(W_shape[-1])
    dy = whole_numbers(*dy_shape)
    dx, dW, db = convolve_backward(x, W, dy, geometry)

    def loss(x, W, b):
        return np.sum(dy * convolve(x, W, b, dy_shape[1:-1], geometry))

    check_derivative("dx", dx, lambda x: loss(x, W, b), x)
    check_derivative("dW", dW, lambda W: loss(x, W, b), W)
    check_derivative("db", db, lambda b: loss(x, W, b), b)


compare(*film_sizes)
compare(*picture_sizes)
compare(*sequence_sizes)

# %% [markdown]
# ## The same in the library
#
# The three layers give our numbers, to the last digit.

# %%
def same_as_layer(layer, x_shape, W_shape, dy_shape, geometry):
    x = whole_numbers(*x_shape)
    W = whole_numbers(*W_shape)
    b = whole_numbers(W_shape[-1])
    dy = whole_numbers(*dy_shape)
    layer.build(x.shape)
    layer.set_weights([W, b])
    y = convolve(x, W, b, dy_shape[1:-1], geometry)
    dx, dW, db = convolve_backward(x, W, dy, geometry)
    assert np.array_equal(layer.forward(x), y)
    assert np.array_equal(layer.backward(dy), dx)
    assert np.array_equal(layer.kernel.grad, dW)
    assert np.array_equal(layer.bias.grad, db)


same_as_layer(film, *film_sizes)
same_as_layer(picture, *picture_sizes)
same_as_layer(sequence, *sequence_sizes)

# %% [markdown]
# One kernel serves all three. A picture is a film of one image, and a sequence is such
# a picture, one point high.
#
# In the library's room for reading, one window is a function too. Compare the three
# lines with your `window` and `window_backward`. They have no loop over $k$: `einsum`
# sums over all taps under the window (d, h, w) and all channels c at once. (The axis g
# is for lesson 15. Here it has one place.)

# %%
show_source("kernels.reference.convolution:window",
            "kernels.reference.convolution:window_to_image",
            "kernels.reference.convolution:window_to_weights")

# %% [markdown]
# Who wants to see the compiled kernel or the one for a GPU types
# `show_source("kernels.cpu.convolution:_correlate_segments")` or
# `show_source("kernels.cuda.convolution:_direct_weight_gradient")`.
#
# ## Watch it
#
# Watch on a page where the window lies, and where its gradient goes back to. Open it in
# a browser; the right arrow takes a step. (`nblayers microscope convolution` opens one
# of a trained layer.)
#
# In step 4 (`y`) the third of six windows is outlined, in the input and in the output.
# In step 13 (`dW`) it meets its $dy$, and its products are added to those of the
# windows before. In step 20 (`dx`) the $dy$ goes back to the points under the same
# window. The outlines overlap. Go from step 18 (`dx`) to step 23 (`dx`): how many
# windows reach the point in row 1, column 2?

# %%
with trace() as seen:
    picture.to("reference").forward(whole_numbers(*picture_sizes[0]))
    picture.backward(whole_numbers(*picture_sizes[2]))
save_page(seen, "13_microscope")
assert seen.find("y", phase="forward")[-1].shape == picture_sizes[2]
assert seen.find("dx")[-1].shape == picture_sizes[0]
# Four: the first two in its rows, times two in its columns. Ones count them.
counting = Conv2D(1, 3, strides=2, padding="same", kernel_initializer="ones")
counting.forward(np.ones((1, 5, 4, 1)))
assert counting.backward(np.ones((1, 3, 2, 1)))[0, 1, 2, 0] == 4

# %% [markdown]
# ## Counting: the answers
#
# And now the question of the beginning. A window of nine ones goes over a picture of
# ones. All $dy$ are 1 too. Then each gradient counts its own terms.

# %%
layer = Conv2D(1, 3, padding="same", kernel_initializer="ones", dtype="float64")
ones = np.ones((1, 28, 28, 1))
layer.forward(ones)
dx = layer.backward(ones)
dW = layer.kernel.grad[:, :, 0, 0]
print("terms of each dW:", dW.tolist())
print("outputs that the points in the first row reach:", dx[0, 0, :4, 0])
assert layer.kernel.value.size == weights_of_window
assert 784 * 784 == 614_656
assert dW[1, 1] == products
assert dW[0, 0] == 27 * 27                      # a row and a column lie on zeros
assert dx[0, 0, 0, 0] == reached_by_corner
assert dx[0, 14, 14, 0] == 9

# %% [markdown]
# ## A picture: what one output sees
#
# The **receptive field** of an output is all that it sees: the inputs that its gradient
# reaches. One layer of 3 × 3 sees 3 × 3 points. The next layer sees one more on each
# side.

# %%
# ? guess: seven layers of 3 × 3 stand one behind the other. One output sees a square;
# ? how many points wide?
width = 15


def receptive_field(settings):
    """dx of one output in the middle; with weights of 1 it counts the paths."""
    layers = [Conv2D(1, 3, kernel_initializer="ones", **how) for how in settings]
    model = Sequential([Input((31, 31, 1)), *layers])
    dy = np.zeros_like(model.forward(np.ones((1, 31, 31, 1))))
    middle = dy.shape[1] // 2
    dy[0, middle, middle] = 1
    return model.backward(dy)[0, 5:26, 5:26, 0]


# %% [markdown]
# Wide windows need not be so many. Dilations of 1, 2, 4 or strides of 2 see as much
# with three layers. Each layer adds $(K - 1) \cdot d$ points, times all strides before
# it.

# %%
fields = {
    "3 layers": receptive_field([{}] * 3),
    "7 layers": receptive_field([{}] * 7),
    "3 layers, dilation 1, 2, 4": receptive_field(
        [{"dilation_rate": 1}, {"dilation_rate": 2}, {"dilation_rate": 4}]),
    "3 layers, stride 2, 2, 2": receptive_field([{"strides": 2}] * 3),
}
widths = [int(np.count_nonzero(field) ** 0.5) for field in fields.values()]
print("so many points wide:", dict(zip(fields, widths, strict=True)))
assert widths == [7, width, 15, 15]
save_figure(draw_receptive_fields(fields), "13_receptive_field")

# %% [markdown]
# The last two see alike. But dilation keeps an output for every place, and three
# strides of 2 keep one of 64. In the deep stack most paths lead to the middle (dark).
#
# ## A real task: handwritten digits
#
# 1,797 digits of 8 × 8 points. We hold back 497 of them. The model is the small image
# classifier of many texts. (Pooling is lesson 14: it keeps the largest of 2 × 2 points.
# At the end each filter is asked for its mean.) The **baseline** is two Dense layers,
# with about as many weights.

# %%
images, kinds = digits()
order = np.random.default_rng(0).permutation(len(images))
images = images[order].reshape(-1, 8, 8, 1) / 16
kinds = kinds[order]
new, truth = images[:497], kinds[:497]
learned, labels = images[497:], kinds[497:]


def train(*layers):
    model = Sequential([Input((8, 8, 1)), *layers, Dense(10, activation="softmax")])
    rate = Adam(lambda step: 0.01 if step < 300 else 0.001)
    model.compile(rate, "sparse_categorical_crossentropy", metrics=["accuracy"])
    run = model.fit(learned, labels, batch_size=64, epochs=20, verbose=0,
                    validation_data=(new, truth))
    print(f"{model.count_params()} weights")
    return model, run.history["val_accuracy"]


# %%
set_random_seed(0)
convolution, curve = train(
    Conv2D(32, (3, 3), activation="relu", padding="same"),
    MaxPooling2D((2, 2)),
    Conv2D(64, (3, 3), activation="relu", padding="same"),
    MaxPooling2D((2, 2)),
    GlobalAveragePooling2D())
dense, dense_curve = train(Flatten(), Dense(260, activation="relu"))
print(f"right: convolution {curve[-1]:.1%}, Dense {dense_curve[-1]:.1%}")
assert curve[-1] >= 0.97

# %% [markdown]
# ## The digits move
#
# Both are good. Now all new digits move one point to the left. No model has seen that.

# %%
# ? guess: of 100 moved digits, how many does Dense still read rightly?
dense_of_100 = 47


def share_right(model, pictures):
    answers = model.predict(pictures, verbose=0).argmax(axis=1)
    return np.mean(answers == truth)


moved = np.roll(new, -1, axis=2)
right, dense_right = share_right(convolution, moved), share_right(dense, moved)
print(f"moved by a point: convolution {right:.0%}, Dense {dense_right:.0%} are right")
assert abs(100 * dense_right - dense_of_100) < 15
assert right > dense_right + 0.2

# %% [markdown]
# A filter gives the same answer wherever its stroke stands: the **feature map** (the
# outputs of one filter) moves with the picture. Dense has to learn each place anew. Why
# does the convolution lose something too? Pooling has a grid of 2 × 2, and that does
# not move.
#
# Below, some that it got wrong. Then six windows of the first layer with their maps of
# a 0 and a 7. Some find edges, others strokes.

# %%
answers = convolution.predict(new, verbose=0).argmax(axis=1)
curves = {"convolution": curve, "Dense": dense_curve}
save_figure(draw_digit_task(curves, new[..., 0], truth, answers), "13_digits")

two = new[[np.argmax(truth == 0), np.argmax(truth == 7)]]
maps = convolution.layers[0].forward(two)
windows = convolution.layers[0].kernel.value[:, :, 0]
save_figure(draw_feature_maps(windows, two[..., 0], maps), "13_feature_maps")

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check convolution my_answer.py`.
#
# 1. On paper: $x = (2, 0, 1, -1)$, a window $W = (1, 3)$, no bias, and
#    $dy = (1, -1, 2)$. Set `y`, `dW` and `dx`.
# 2. **A whole backward**, with a batch: `conv1d_backward(x, W, dy, stride)`. x is
#    (N, T, C), W (K, C, F), dy (N, places, F). There is no padding. Return
#    `dx, dW, db`.
# 3. A bug: this input gradient *gathers* what comes to each place. It is right only if
#    the window looks the same upside down. Write it right as
#    `fixed_input_gradient(dy, W)`: stride 1, no padding, dy (N, P, Q, F), W
#    (K, K, C, F), dx (N, P + K − 1, Q + K − 1, C).
# 4. An experiment: layers `Conv1D(1, 3, padding="causal", dilation_rate=d)` with
#    d = 1, 2, 4, 8, … stand one behind the other. How many does it take until an output
#    sees 1000 steps? Set `layers`.
#
# ```python
# def input_gradient(dy, W):
#     edge = len(W) - 1
#     dy = np.pad(dy, [(0, 0), (edge, edge), (edge, edge), (0, 0)])
#     rows, columns = dy.shape[1] - edge, dy.shape[2] - edge
#     dx = np.zeros((len(dy), rows, columns, W.shape[2]))
#     for u in range(len(W)):
#         for v in range(len(W)):
#             dx += dy[:, u:u + rows, v:v + columns] @ W[u, v].T
#     return dx
# ```
