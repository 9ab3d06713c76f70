# %% [markdown]
# # 15 · Depthwise, separable, transposed: three turns of one convolution
#
# *About 40 minutes.* A convolution does two things at once: it looks around, and it
# mixes channels. Done one after the other they cost a fraction. And a convolution run
# backwards makes pictures larger. You write the forward and the backward of all three.
# Then a network cuts discs out of pictures.
#
# ## A question first
#
# A window of 3 × 3 goes from 64 channels to 64 filters. We leave biases out.
#
# Then the other way round. Windows of 3 × 3 are *laid down* on a picture. Each begins
# two points after the one before. So they overlap.

# %%
import numpy as np

from lessons.data import scenes
from lessons.figures import draw_checkerboards, draw_discs
from nblayers import layers
from nblayers.layers import Conv1D, Conv2D, Conv2DTranspose, Input, MaxPooling2D
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %%
# ? guess: how many weights has the convolution from 64 channels to 64 filters?
weights_together = 36_864
# ? guess: now first each channel is looked at by itself, with a 3 × 3 window of its
# ? own. Then the channels are mixed, point by point. How many weights are that?
weights_apart = 4_672
# ? guess: and how many of the laid windows lie on one point, at most?
most_windows = 4

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$) of four places ($T = 4$) with two channels ($C = 2$). The window
# has two taps ($K = 2$). The letters are those of lesson 13:
#
# - $i$ is a place of the window. Three windows have room.
# - $k$ is a tap. Tap $k$ of window $i$ lies on the place $m = i + k$.
# - $c$ is a channel.

# %%
x = np.array([[[1.0, 0.0], [2.0, 1.0], [0.0, -1.0], [-1.0, 2.0]],
              [[0.0, 1.0], [1.0, -1.0], [2.0, 0.0], [1.0, 3.0]]])      # (N, T, C)
W = np.array([[[1.0, 0.0], [1.0, 2.0]],
              [[-1.0, 1.0], [0.0, 1.0]]])                              # (K, C, M)

# %% [markdown]
# ## Depthwise, forward: one channel
#
# In lesson 13 each filter saw all channels. Here **each channel has windows of its
# own**, and sees nothing of the other channels. It has $M$ of them. (In Keras $M$ is
# `depth_multiplier`. Ours is 2.) So `W[:, c]` is (K, M): the windows of channel $c$.
#
# Under window 0, channel 0 holds $K$ numbers of each sample, `x[:, 0:2, 0]`. They give
# $M$ outputs. That is a Dense layer.

# %%
# ? one_channel: window 0 of channel 0, both samples, (N, M)
one_channel = x[:, 0:2, 0] @ W[:, 0]
print("one_channel =", one_channel.tolist())
assert one_channel[0].tolist() == [1 * 1 + 2 * -1, 1 * 0 + 2 * 1]

# %% [markdown]
# ## Depthwise, forward: all windows
#
# There is no sum over the channels. Output $j$ of channel $c$ is
#
# $$h_{n,i,cM+j} = \sum_k x_{n,i+k,c} W_{k,c,j} \tag{001.07.DepthwiseConv1D}$$
#
# (Many texts print the formula of Conv1D and add the word *depthwise*. They mean this
# one. With pairs for $i$ and $k$ it is 001.07.DepthwiseConv2D.)

# %%
h_apart = np.zeros((2, 3, 2, 2))                # (N, places, C, M)
# ? [h_apart] for i in range(3) and c in range(2), fill h_apart[:, i, c]
for i in range(3):
    for c in range(2):
        h_apart[:, i, c] = x[:, i:i + 2, c] @ W[:, c]
print("h_apart of sample 0:", h_apart[0].tolist())
assert np.array_equal(h_apart[:, 0, 0], one_channel)

# %% [markdown]
# The layer after this one knows only channels. So the last two axes become one, of
# $C M$ channels. Mind their order. The $M$ outputs of **one channel lie side by side**:
# number $j$ of channel $c$ stands at $cM + j$.

# %%
h = h_apart.reshape(2, 3, 4)                    # (N, places, C M)
for c in range(2):
    for j in range(2):
        assert np.array_equal(h[:, :, c * 2 + j], h_apart[:, :, c, j])


def depthwise(x, W):
    K, C, M = W.shape
    places = x.shape[1] - K + 1
    h_apart = np.zeros((len(x), places, C, M))
    for i in range(places):
        for c in range(C):
            h_apart[:, i, c] = x[:, i:i + K, c] @ W[:, c]
    return h_apart.reshape(len(x), places, C * M)


assert np.array_equal(depthwise(x, W), h)

# %% [markdown]
# ## Depthwise, backward: back into channels
#
# The layers above tell us $dh$, how the loss grows with each output. So for us
#
# $$L = \sum_n \sum_i \sum_e dh_{nie} \, h_{nie}$$
#
# where $e = cM + j$. First undo what forward did last: one axis becomes two again.

# %%
dh = np.array([[[1.0, -1.0, 0.0, 2.0], [0.0, 1.0, 1.0, -1.0], [2.0, 0.0, -2.0, 1.0]],
               [[0.0, 1.0, 2.0, 0.0], [-1.0, 0.0, 1.0, 1.0], [1.0, 2.0, 0.0, -1.0]]])
# ? dh_apart: dh with the axes (N, places, C, M)
dh_apart = dh.reshape(2, 3, 2, 2)
assert dh_apart[0, 0, 1, 1] == dh[0, 0, 1 * 2 + 1]

# %% [markdown]
# ## Depthwise, backward: the windows
#
# In which outputs does $W_{kcj}$ stand, and with what factor? In output $j$ of its own
# channel, under all windows, in all samples. It stands beside $x_{n,i+k,c}$.
#
# One window of one channel is a Dense layer, from $K$ numbers to $M$. Lesson 02 has its
# gradient.

# %%
dW = np.zeros_like(W)                           # (K, C, M)
# ? [dW] for i in range(3) and c in range(2): what they add to dW[:, c]
for i in range(3):
    for c in range(2):
        dW[:, c] += x[:, i:i + 2, c].T @ dh_apart[:, i, c]
check_derivative("dW", dW, lambda W: np.sum(dh * depthwise(x, W)), W)

# %% [markdown]
# $$dW_{kcj} = \sum_n \sum_i x_{n,i+k,c} \, dh_{n,i,cM+j}$$
#
# ## Depthwise, backward: the input
#
# $x_{nmc}$ stands in the $M$ outputs of its own channel, under each window that lies on
# it. For one window and one channel that is a Dense layer again. Windows overlap, so
# what arrives is added up.

# %%
dx = np.zeros_like(x)                           # (N, T, C)
# ? [dx] for i in range(3) and c in range(2): what they add to dx[:, i:i + 2, c]
for i in range(3):
    for c in range(2):
        dx[:, i:i + 2, c] += dh_apart[:, i, c] @ W[:, c].T
check_derivative("dx", dx, lambda x: np.sum(dh * depthwise(x, W)), x)

# %% [markdown]
# $$dx_{nmc} = \sum_{i + k = m} \sum_j dh_{n,i,cM+j} \, W_{kcj}$$
#
# ## Depthwise, backward: as a function
#
# Now for any sizes. Put the three steps together.

# %%
# ? [depthwise_backward] def depthwise_backward(x, W, dh), with x (N, T, C),
# ? W (K, C, M) and dh (N, places, C M). Return dx, dW
def depthwise_backward(x, W, dh):
    K, C, M = W.shape
    dh_apart = dh.reshape(*dh.shape[:2], C, M)
    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    for i in range(dh.shape[1]):
        for c in range(C):
            dW[:, c] += x[:, i:i + K, c].T @ dh_apart[:, i, c]
            dx[:, i:i + K, c] += dh_apart[:, i, c] @ W[:, c].T
    return dx, dW


assert np.array_equal(depthwise_backward(x, W, dh)[0], dx)
assert np.array_equal(depthwise_backward(x, W, dh)[1], dW)

# %% [markdown]
# ## Separable: depthwise, then pointwise
#
# The depthwise stage looks around. It has not mixed the channels. So a second stage
# mixes them: at each place a Dense layer, with the same weights at all places. That is
# a convolution whose window is one point wide, and so it is called **pointwise**. Its
# weights are $V$, (C M, F), for $F$ filters.
#
# $$y_{nif} = \sum_e h_{nie} V_{ef} + b_f \tag{001.07.SeparableConv1D}$$
#
# (With pairs for $i$ it is 001.07.SeparableConv2D.) We leave the bias out. Its gradient
# is a sum over samples and places, as in lesson 13.

# %%
V = np.array([[1.0, 0.0, 2.0],
              [0.0, 1.0, -1.0],
              [2.0, 1.0, 0.0],
              [-1.0, 0.0, 1.0]])                # (C M, F)
# ? y, (N, places, F), from h and V
y = h @ V
print("y of sample 0:", y[0].tolist())
assert y[0, 0, 0] == h[0, 0, 0] + 2 * h[0, 0, 2] - h[0, 0, 3]

# %% [markdown]
# ## Separable, backward
#
# From above comes $dy$, (N, places, F). Backward goes through the second stage first.
# $V$ is used by all samples **and** at all places.

# %%
dy = np.array([[[1.0, 0.0, -1.0], [2.0, 1.0, 0.0], [0.0, -1.0, 1.0]],
               [[0.0, 2.0, 1.0], [-1.0, 0.0, 1.0], [1.0, 1.0, -2.0]]])
# ? dV, (C M, F): the sum over samples and places
dV = np.einsum("nie,nif->ef", h, dy)
check_derivative("dV", dV, lambda V: np.sum(dy * (h @ V)), V)
# ? dh, (N, places, C M): what goes on to the depthwise stage
dh = dy @ V.T
check_derivative("dh", dh, lambda h: np.sum(dy * (h @ V)), h)

# %% [markdown]
# $$dV = \sum_n \sum_i h_{ni}^\top \, dy_{ni} \qquad dh = dy \, V^\top$$
#
# The rest is written already. It is your `depthwise_backward`, with this $dh$.

# %%
dx, dW = depthwise_backward(x, W, dh)
check_derivative("dW", dW, lambda W: np.sum(dy * (depthwise(x, W) @ V)), W)
check_derivative("dx", dx, lambda x: np.sum(dy * (depthwise(x, W) @ V)), x)

# %% [markdown]
# ## Separable: what it cannot say
#
# Both stages together are an ordinary convolution. From channel $c$ to filter $f$ there
# are $M$ ways, one for each $j$. On each way a number is multiplied twice, by a weight
# of $W$ and by one of $V$. What is the window `together`, (K, C, F)?

# %%
together = np.zeros((2, 2, 3))                  # (K, C, F)
# ? [together] for c in range(2), fill together[:, c], (K, F). The rows of V that belong
# ? to channel c are V[2 * c:2 * c + 2]
for c in range(2):
    together[:, c] = W[:, c] @ V[2 * c:2 * c + 2]
ordinary = Conv1D(3, 2, use_bias=False, dtype="float64")
ordinary.build(x.shape)
ordinary.set_weights([together])
assert np.array_equal(ordinary.forward(x), y)

# %% [markdown]
# $$\text{together}_{kcf} = \sum_j W_{kcj} V_{cM+j,f}$$
#
# The other way round it is not true. Not every window is such a product: with $M = 1$
# all filters see a channel through the same window. But count the weights ($K \times K$
# windows, $M = 1$). Together they are $K^2 C F$. Apart they are $K^2 C + C F$.

# %%
count_together = 9 * 64 * 64
count_apart = 9 * 64 + 64 * 64
print(f"together {count_together} weights, apart {count_apart}")
assert count_together == weights_together
assert count_apart == weights_apart
assert round(count_together / count_apart, 1) == 7.9

# %% [markdown]
# ## Transposed: every input lays down a window
#
# In lesson 13 a convolution was $y = x A$, and its input gradient was $dy \, A^\top$.
# A **transposed convolution** is that gradient, used as a forward: $y = x A^\top$.
#
# Three letters keep their meaning: $i$ is a place of the window, $k$ a tap, and $m$ the
# place on which it lies, in the longer row. What is given is new. Now $x_i$ belongs to
# the window, and $y_m$ to the longer row.
#
# ```text
# y          y_0     y_1     y_2     y_3     y_4     y_5     y_6
#
# x_0 lays   W_0     W_1     W_2
# x_1 lays                   W_0     W_1     W_2
# x_2 lays                                   W_0     W_1     W_2
# ```
#
# Each input lays down the window, times itself. The next one begins $s$ places further
# on. Here the **stride** $s$ is 2. Where windows overlap, what they lay adds up.

# %%
x = np.array([[1.0, 2.0, -1.0],
              [0.0, -2.0, 3.0]])                # (N, T): T = 3
W = np.array([1.0, 3.0, 2.0])                   # (K,): K = 3
stride = 2
# ? length: how long is y? T windows of K taps, with that stride
length = (3 - 1) * stride + 3
assert length == 7

# %% [markdown]
# ## Transposed, forward
#
# $$y_{nm} = \sum_{i s + k = m} x_{ni} W_k + b \tag{001.07.Conv1DTranspose}$$
#
# (Many texts print the sum of Conv1D and add the word *transposed*. They mean this
# one.) We leave the bias out again.

# %%
y = np.zeros((2, 7))                            # (N, length)
# ? [y] for i in range(3): what x[:, i] lays down, from place 2 * i on
for i in range(3):
    y[:, 2 * i:2 * i + 3] += x[:, i, None] * W
print("y =", y.tolist())
assert y[0, 2] == 1 * 2 + 2 * 1                 # from x_0 by W_2, from x_1 by W_0

# %% [markdown]
# As a matrix: in each **column** of $A$ stands the window of an ordinary convolution
# with stride 2, from seven places to three.

# %%
A = np.array([[1.0, 0.0, 0.0],
              [3.0, 0.0, 0.0],
              [2.0, 1.0, 0.0],
              [0.0, 3.0, 0.0],
              [0.0, 2.0, 1.0],
              [0.0, 0.0, 3.0],
              [0.0, 0.0, 2.0]])                 # (length, T)
# ? y_dense: y again, from x and A
y_dense = x @ A.T
assert np.array_equal(y_dense, y)


def transposed(x, W):
    y = np.zeros((2, 7))
    for i in range(3):
        y[:, 2 * i:2 * i + 3] += x[:, i, None] * W
    return y


# %% [markdown]
# ## Transposed, backward: the input
#
# $x_i$ stands in $K$ outputs, on which its window lies: those from place $i s$ on.
# Beside it stands $W_k$.

# %%
dy = np.array([[1.0, -1.0, 0.0, 2.0, 1.0, -2.0, 1.0],
               [0.0, 1.0, 2.0, -1.0, 0.0, 1.0, -3.0]])         # (N, length)
dx = np.zeros_like(x)                           # (N, T)
# ? [dx] for i in range(3), fill dx[:, i]
for i in range(3):
    dx[:, i] = dy[:, 2 * i:2 * i + 3] @ W
check_derivative("dx", dx, lambda x: np.sum(dy * transposed(x, W)), x)
assert np.array_equal(dx, dy @ A)               # the transpose of the transpose

# %% [markdown]
# $$dx_{ni} = \sum_k dy_{n,is+k} W_k$$
#
# That **is an ordinary convolution** of $dy$, with the stride.
#
# ## Transposed, backward: the window
#
# Each input of each sample has laid down $W_k$, times itself, at $m = i s + k$.

# %%
dW = np.zeros_like(W)                           # (K,)
# ? [dW] for i in range(3): what x[:, i] adds to dW
for i in range(3):
    dW += x[:, i] @ dy[:, 2 * i:2 * i + 3]
check_derivative("dW", dW, lambda W: np.sum(dy * transposed(x, W)), W)

# %% [markdown]
# $$dW_k = \sum_n \sum_i x_{ni} \, dy_{n,is+k}$$
#
# Compare lesson 13: there the input stood at $i s + k$ and the gradient at $i$. They
# have changed places.
#
# A bias stands in every output, so $db$ is the sum of all $dy$. With channels each tap
# is a Dense layer again. Keras keeps the weights of a transposed convolution as (K, F,
# C): **filters before channels**. Then $y_m$ is given $x_i W_k^\top$. That is an
# exercise. With pairs and triples for $i$, $k$ and $m$ the same formula is
# 001.07.Conv2DTranspose and 001.07.Conv3DTranspose.
#
# ## The same in the library
#
# Do the layers give our numbers? `run` sets a layer's weights, and calls its forward
# and its backward.

# %%
def run(layer, x, dy, *weights):
    layer.build(x.shape)
    layer.set_weights(list(weights))
    y = layer.forward(x)
    dx = layer.backward(dy)
    return y, dx, *[weight.grad for weight in layer.trainable_weights]


exact = {"use_bias": False, "dtype": "float64"}
layer = layers.Conv1DTranspose(1, 3, strides=2, **exact)
found = run(layer, x[..., None], dy[..., None], W[:, None, None])
for theirs, ours in zip(found, (y, dx, dW), strict=True):
    assert np.array_equal(theirs.ravel(), ours.ravel())

# %% [markdown]
# ## The same in the library: groups
#
# A depthwise layer is an ordinary one with as many `groups` as channels: a group of
# filters sees a group of channels, here one.

# %%
rng = np.random.default_rng(0)


def whole_numbers(*shape):
    return rng.integers(-3, 4, shape).astype(float)


x, W, V = whole_numbers(2, 5, 3), whole_numbers(2, 3, 2), whole_numbers(6, 4)
dh, dy = whole_numbers(2, 4, 6), whole_numbers(2, 4, 4)
h = depthwise(x, W)
depth = run(layers.DepthwiseConv1D(2, depth_multiplier=2, **exact), x, dh, W)
groups = run(Conv1D(6, 2, groups=3, **exact), x, dh, W.reshape(2, 1, 6))
for theirs, grouped, ours in zip(depth, groups, (h, *depthwise_backward(x, W, dh)),
                                 strict=True):
    assert np.array_equal(theirs, ours)
    assert np.array_equal(grouped.ravel(), ours.ravel())

# %%
layer = layers.SeparableConv1D(4, 2, depth_multiplier=2, **exact)
y, dx, dW, dV = run(layer, x, dy, W, V[None])
assert np.array_equal(y, h @ V)
assert np.array_equal(dx, depthwise_backward(x, W, dy @ V.T)[0])
assert np.array_equal(dW, depthwise_backward(x, W, dy @ V.T)[1])
assert np.array_equal(dV[0], np.einsum("nie,nif->ef", h, dy))

# %% [markdown]
# ## The same in the library: there and back change places
#
# A transposed layer takes the weights of a convolution as they stand. Then its forward
# is the other's backward, and its backward is the other's forward. The gradient of the
# weights is the same. In one, two and three dimensions:

# %%
def change_places(Convolution, Transposed, large, small):
    image, result = whole_numbers(2, *large, 2), whole_numbers(2, *small, 4)
    W = whole_numbers(*[3] * len(large), 2, 4)
    there = Convolution(4, 3, strides=2, padding="same", **exact)
    y, dx, dW = run(there, image, result, W)
    back = Transposed(2, 3, strides=2, padding="same", **exact)
    their_y, their_dx, their_dW = run(back, result, image, W)
    assert np.array_equal(their_y, dx)
    assert np.array_equal(their_dx, y)
    assert np.array_equal(their_dW, dW)


change_places(Conv1D, layers.Conv1DTranspose, [6], [3])
change_places(Conv2D, Conv2DTranspose, [6, 6], [3, 3])
change_places(layers.Conv3D, layers.Conv3DTranspose, [6, 6, 6], [3, 3, 3])

# %% [markdown]
# With `same` padding $T$ places become $T s$. (An ordinary stride of 2 makes 3 places
# of 5, and 3 of 6. `output_padding` says which of them is meant on the way back.)
#
# So ten layers need three kernels: a convolution, its input gradient, its weight
# gradient. Here is the reference kernel, then the backward of a transposed layer, then
# that of a separable one.

# %%
show_source("kernels.reference.convolution:convolve_transposed",
            "nblayers.layers.convolution.sliding:convolve_transposed_backward",
            layers.SeparableConv2D._convolve_backward)

# %% [markdown]
# ## A picture: the checkerboard
#
# Lay down windows of three ones, with stride 2. How many lie on each place? Our $A$
# knows: in row $m$ it has a number for each window that lies on $m$.

# %%
# ? counts, (length,): how many windows lie on each place; from A
counts = (A != 0).sum(axis=1)
print("windows on each place:", counts.tolist())
# ? on_points, (length, length): the same for windows of 3 × 3 in a picture
on_points = np.outer(counts, counts)
print(on_points)
assert on_points.max() == most_windows

# %% [markdown]
# One, two or four: a **checkerboard**. Where the size of the window is a multiple of
# the stride, all points get the same number, but for the edge. Weights can make up for
# it: (½, 1, ½) interpolates. A network can learn that. But it does not begin so.

# %%
def enlarge(window):
    """A picture of ones, 8 × 8, made larger with stride 2."""
    layer = Conv2DTranspose(1, len(window), strides=2, use_bias=False)
    layer.build((1, 8, 8, 1))
    layer.set_weights([np.outer(window, window)[:, :, None, None]])
    return layer.forward(np.ones((1, 8, 8, 1)))[0, :, :, 0]


boards = {"2 × 2": enlarge([1, 1]), "3 × 3": enlarge([1, 1, 1]),
          "4 × 4": enlarge([1] * 4), "5 × 5": enlarge([1] * 5),
          "3 × 3, (½, 1, ½)": enlarge([0.5, 1, 0.5])}
inside = {name: np.unique(board[4:-4, 4:-4]).tolist()
          for name, board in boards.items()}
print("away from the edge:", inside)
assert list(inside.values()) == [[1], [1, 2, 4], [4], [4, 6, 9], [1]]
save_figure(draw_checkerboards(boards), "15_checkerboard")

# %% [markdown]
# The gradient of an ordinary convolution with stride 2 has the same pattern. It sends
# to some points of its picture four times as much as to others.
#
# ## A real task: cut out the discs
#
# Each picture has 32 × 32 points, a disc and a square, and noise. The network is asked
# of each point: is it on the disc? That is **segmentation**. Two poolings make the
# picture a quarter as wide. Two transposed convolutions make it as wide again.
#
# Many texts print this network without `strides=2`. Then it does not.

# %%
rng = np.random.default_rng(0)
pictures, masks = scenes(400, rng)
new, truth = scenes(100, rng)


def segmentation(stride):
    settings = {"activation": "relu", "padding": "same"}
    return Sequential([
        Input((32, 32, 3)),
        Conv2D(16, (3, 3), **settings),
        Conv2D(16, (3, 3), **settings),
        MaxPooling2D((2, 2)),
        Conv2D(32, (3, 3), **settings),
        Conv2D(32, (3, 3), **settings),
        MaxPooling2D((2, 2)),
        Conv2DTranspose(16, (3, 3), stride, **settings),
        Conv2DTranspose(8, (3, 3), stride, **settings),
        Conv2D(1, (1, 1), activation="sigmoid")])


print("with stride 1:", segmentation(1).output_shape)
print("with stride 2:", segmentation(2).output_shape)
assert segmentation(1).output_shape[1:] == (8, 8, 1)
assert segmentation(2).output_shape[1:] == (32, 32, 1)

# %% [markdown]
# ## The task: how good is an answer?
#
# The **baseline** says "no disc" of every point.

# %%
# ? guess: of 100 points, at how many is the baseline right?
baseline_of_100 = 86
baseline = 1 - truth.mean()
print(f"baseline: {baseline:.1%} of the points are right")
assert round(100 * baseline) == baseline_of_100

# %% [markdown]
# Most points are no disc. So the part of right points says little. We ask for the
# **overlap** instead. Take all points that are disc in the answer, in the truth, or in
# both. What part of them is in both?
#
# For the four points below, one is in both, and three are in at least one.

# %%
answered = np.array([True, True, False, False])
drawn = np.array([True, False, True, False])
# ? [overlap] def overlap(answered, drawn), for arrays of any shape; one number
def overlap(answered, drawn):
    in_both = answered & drawn
    in_any = answered | drawn
    return in_both.sum() / in_any.sum()


assert overlap(answered, drawn) == 1 / 3
assert overlap(np.zeros_like(truth, dtype=bool), truth == 1) == 0   # the baseline's

# %% [markdown]
# ## The task: training

# %%
set_random_seed(0)
model = segmentation(2)
model.compile(Adam(0.005), loss="binary_crossentropy", metrics=["accuracy"])
model.fit(pictures, masks, batch_size=16, verbose=0)
early = model.predict(new, verbose=0)
later = model.fit(pictures, masks, batch_size=16, epochs=14, verbose=0,
                  validation_data=(new, truth))
answer = model.predict(new, verbose=0)

# %% [markdown]
# And how good is it? A point is at an **edge** if the 3 × 3 points around it are not
# all alike.

# %%
found = answer > 0.5
part = overlap(found, truth == 1)
wrong = found != truth
print(f"{1 - wrong.mean():.1%} of the points are right, overlap {part:.2f}")
assert 1 - wrong.mean() > baseline + 0.05
assert part > 0.6

around = layers.AveragePooling2D(3, strides=1, padding="same").forward(truth)
edge = (around > 0) & (around < 1)
at_edges = wrong[edge].sum() / wrong.sum()
print(f"{edge.mean():.0%} of the points are at an edge")
print(f"{at_edges:.0%} of the wrong points are")
assert at_edges > 2 * edge.mean()
save_figure(draw_discs(later.history["val_accuracy"], baseline, new, truth, early,
                       answer), "15_discs")

# %% [markdown]
# After one epoch the answers show the pattern of the windows. It goes away. At the end
# the network errs where shapes overlap, and at edges.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check transposed my_answer.py`.
#
# 1. On paper: the numbers of weights of `SeparableConv2D(128, 3)` and `Conv2D(128, 3)`
#    on 64 channels, without biases. Set `separable` and `ordinary`. And a transposed
#    convolution with stride 2, $x = (2, -1, 1)$, $W = (1, 3, -1)$. Set `y`.
# 2. A whole backward: `transposed_backward(x, W, dy, s)`, with stride $s$. x is
#    (N, T, C), W is (K, F, C), and dy is (N, (T - 1) s + K, F). Return `dx, dW, db`.
# 3. A bug: the backward below is right if `depth_multiplier` is 1. Write it right as
#    `fixed_depthwise_backward(x, W, dh)`. x is (N, T, C), W is (K, C, M), dh is
#    (N, places, C M).
# 4. An experiment: lay windows of ones over a long row of ones, by `Conv1DTranspose`
#    with stride 3. Which of the sizes 1 to 9 cover it evenly, but for the ends? Set
#    `even`, a list.
#
# ```python
# def depthwise_backward(x, W, dh):
#     K, C, M = W.shape
#     dh_apart = dh.reshape(*dh.shape[:2], M, C)
#     dx = np.zeros_like(x)
#     dW = np.zeros_like(W)
#     for i in range(dh.shape[1]):
#         for c in range(C):
#             dW[:, c] += x[:, i:i + K, c].T @ dh_apart[:, i, :, c]
#             dx[:, i:i + K, c] += dh_apart[:, i, :, c] @ W[:, c].T
#     return dx, dW
# ```
