# %% [markdown]
# # 20 · Reshaping and merging: models that branch
#
# *About 40 minutes.* So far a network was a chain. Now it forks, and its branches meet
# again: by a sum, a product, a maximum, side by side. Such layers have no weights, and
# each backward is one line. It is easily the wrong one. You write them all. With them
# you build the block that made networks of hundreds of layers possible.
#
# ## A question first
#
# A chain of thirty layers stands there, and each halves the gradient on its way back.

# %%
import numpy as np

from lessons.data import digits
from lessons.figures import draw_digit_task, draw_shortcuts, gradient_by_depth
from nblayers.layers import (
    Activation,
    Add,
    Average,
    Concatenate,
    Conv2D,
    Cropping1D,
    Dense,
    Dot,
    Flatten,
    Input,
    Maximum,
    Minimum,
    Multiply,
    Permute,
    RepeatVector,
    Reshape,
    Subtract,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
)
from nblayers.learn.graph import computation, show_graph
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Model
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %%
# ? guess: how many powers of ten of the gradient are lost in these thirty layers?
powers_lost = 9
# ? guess: x passes ten blocks, each with a shortcut around it. How many ways lead from
# ? the first input to the last output?
ways = 1024
# ? guess: y is the larger of two numbers, and they are equal; dy is 1. What does the
# ? first one get?
share_of_tie = 0.5

# %% [markdown]
# ## Numbers for paper
#
# Two inputs of two samples ($N = 2$) and three features. We call them $x_1$ and $x_2$,
# in code `x1` and `x2`. The layers above send $dy$.

# %%
x1 = np.array([[1.0, 2.0, 3.0],
               [0.0, -1.0, 4.0]])               # (N, 3)
x2 = np.array([[3.0, 2.0, 0.5],
               [-2.0, 1.0, 2.0]])               # (N, 3)
dy = np.array([[1.0, 4.0, -1.0],
               [2.0, 0.5, -3.0]])               # (N, 3)

# %% [markdown]
# ## A picture: a fork and a meeting
#
# This is a **residual block**. At the left $x$ forks: it goes through two layers, and
# past them, on a **shortcut**. At the right both meet in a sum.

# %%
show_graph(computation("residual"))

# %% [markdown]
# Two rules are all there is to branches:
#
# - Where ways **meet**, ask for each of them as in lesson 02: with what factor does it
#   stand in $y$? That, times $dy$, is what it gets.
# - Where a way **forks**, what comes back on the branches is **added up**.
#
# ## Sum, difference, mean
#
# $$Add(x_1, x_2, \ldots, x_n) = \sum_{i=1}^n x_i \tag{001.15.Add}$$
# $$Subtract(x_1, x_2) = x_1 - x_2 \tag{001.15.Subtract}$$
# $$Average(x_1, x_2, \ldots, x_n) = \frac{1}{n} \sum_{i=1}^n x_i \tag{001.15.Average}$$
#
# In a sum each factor is 1, so each input gets $dy$ as it is. The other two are yours.

# %%
dx1_sum, dx2_sum = dy, dy
check_derivative("dx1", dx1_sum, lambda x1: np.sum(dy * (x1 + x2)), x1)
# ? dx2_difference, from y = x1 - x2
dx2_difference = -dy
check_derivative("dx2", dx2_difference, lambda x2: np.sum(dy * (x1 - x2)), x2)
# ? dx1_mean, from y = (x1 + x2) / 2
dx1_mean = dy / 2
check_derivative("dx1", dx1_mean, lambda x1: np.sum(dy * (x1 + x2) / 2), x1)

# %% [markdown]
# ## Product
#
# $$Multiply(x_1, x_2, \ldots, x_n) = x_1 \cdot x_2 \cdot \ldots \cdot x_n
#   \tag{001.15.Multiply}$$
#
# With two factors it is the gate of an LSTM: each gets $dy$ times the other one. And
# with three? (Do not write $y / x_1$: where $x_1$ is 0 that is not a number.)

# %%
x3 = np.array([[2.0, -1.0, 1.0],
               [3.0, 2.0, -1.0]])               # (N, 3)
# ? dx1_product, from y = x1 x2 x3
dx1_product = dy * x2 * x3
check_derivative("dx1", dx1_product, lambda x1: np.sum(dy * x1 * x2 * x3), x1)

# %% [markdown]
# Each gets $dy$ times **all** others.
#
# ## Maximum, and what a tie does
#
# $$Maximum(x_1, x_2, \ldots, x_n) = \max(x_1, x_2, \ldots, x_n) \tag{001.15.Maximum}$$
# $$Minimum(x_1, x_2, \ldots, x_n) = \min(x_1, x_2, \ldots, x_n) \tag{001.15.Minimum}$$
#
# At each place the larger number goes on. A small change of the other changes nothing.
#
# In our numbers there is a **tie**: sample 0, feature 1, where both are 2. There the
# maximum has a kink, and no slope. From above it is 1, from below 0. Keras (on JAX)
# takes the middle: both get **half**. Max pooling does not (lesson 14).

# %%
# ? dx1_max, from y = max(x1, x2); in a tie it gets half
dx1_max = dy * (x1 > x2) + dy / 2 * (x1 == x2)
print("dx1 =", dx1_max.tolist())
check_derivative("dx1", dx1_max, lambda x1: np.sum(dy * np.maximum(x1, x2)), x1)
assert dx1_max[0, 1] == dy[0, 1] * share_of_tie

# %% [markdown]
# Where there is no tie, the winner has got all of $dy$, and the loser 0. In the tie the
# central difference says half too: it goes one step up and one step down. More than two
# inputs are merged two at a time. So of three equal ones the first two get a quarter
# each, and the third gets a half. If a tie were passed to both in full, more would go
# back than came in.
#
# ## Side by side
#
# $$Concatenate(x_1, x_2, \ldots, x_n, axis) \tag{001.15.Concatenate}$$
#
# It lays arrays side by side along one axis. (All other axes must be equal.) Nothing is
# computed: each number moves to one place. So each gradient moves back.

# %%
joined = np.concatenate([x1, x2], axis=1)       # (N, 6)
dy_joined = np.arange(12.0).reshape(2, 6)       # (N, 6)
# ? dx1_joined, dx2_joined: cut dy_joined, (N, 3) each
dx1_joined, dx2_joined = dy_joined[:, :3], dy_joined[:, 3:]
check_derivative("dx2", dx2_joined,
                 lambda x2: np.sum(dy_joined * np.concatenate([x1, x2], 1)), x2)

# %% [markdown]
# ## Dot
#
# The product of two vectors in each sample, one number: how alike are they?
#
# $$Dot(x_1, x_2, axes) = \sum_i x_{1,i} \cdot x_{2,i} \tag{001.15.Dot}$$
#
# (With `axes=1`. For arrays of more axes it is a matrix product in each sample. Keras
# calls the axes by number, and the batch axis is 0.)

# %%
dy_dot = np.array([[2.0], [-1.0]])              # (N, 1)
# ? dx1_dot, from y = the sum over i of x1 x2, (N, 3)
dx1_dot = dy_dot * x2
check_derivative("dx1", dx1_dot,
                 lambda x1: np.sum(dy_dot * (x1 * x2).sum(axis=1, keepdims=True)), x1)

# %% [markdown]
# ## Broadcasting, and its sum
#
# The inputs need not be of one size. Where one has the size 1, it is spread over the
# size of the other: NumPy calls it **broadcasting**. An example: an image has channels,
# and a gate says how much of each channel goes on, at all places alike.
#
# A number that is spread has forked: it is used at all these places.

# %%
rng = np.random.default_rng(0)
image, dy_image = rng.normal(size=(2, 2, 4, 5, 3))      # (N, rows, columns, C) each
gate = rng.uniform(size=(2, 1, 1, 3))           # (N, 1, 1, C)
# ? dgate, from y = image · gate, (N, 1, 1, C)
dgate = (dy_image * image).sum(axis=(1, 2), keepdims=True)
check_derivative("dgate", dgate, lambda gate: np.sum(dy_image * image * gate), gate)

# %% [markdown]
# **The gradient is the sum over the axes on which a number was spread.** The bias of a
# Dense layer was the first such sum you met: it is spread over the batch.
# (An input with fewer axes gets new ones **behind the batch axis** in Keras. NumPy puts
# them in front.)
#
# ## Reshape, Flatten, Permute
#
# $$Reshape(x) = x \tag{001.14.Reshape}$$
# $$Flatten(x) = reshape(x, (-1)) \tag{001.14.Flatten}$$
# $$Permute(x, pattern) \tag{001.14.Permute}$$
#
# The first two change the shape only: all numbers stay, in their order. (The batch axis
# stays too. The formulas leave that out.) The way back is the old shape.
#
# **Permute** changes the order of the axes. `dims=(3, 1, 2)` says: first what was axis
# 3, then 1, then 2, counted from 1, without the batch axis. The way back is not the
# same permutation again. It is the **inverse** one: what went from 3 to 1 goes from 1
# to 3.

# %%
order = (0, 3, 1, 2)                            # in NumPy's words, with the batch axis
turned = image.transpose(order)                 # (N, C, rows, columns)
dy_turned = rng.normal(size=turned.shape)
# ? dx_turned, of the shape of image (np.argsort(order) is the inverse of an order)
dx_turned = dy_turned.transpose(np.argsort(order))
check_derivative("dx", dx_turned,
                 lambda x: np.sum(dy_turned * x.transpose(order)), image)

# %% [markdown]
# ## Padding, cropping, repeating
#
# Padding puts zeros around, on one, two or three axes. Cropping cuts off.
#
# $$ZeroPadding1D(x, padding) \tag{001.14.ZeroPadding1D}$$
# $$ZeroPadding2D(x, padding) \tag{001.14.ZeroPadding2D}$$
# $$ZeroPadding3D(x, padding) \tag{001.14.ZeroPadding3D}$$
# $$Cropping1D(x, cropping) \tag{001.14.Cropping1D}$$
# $$Cropping2D(x, cropping) \tag{001.14.Cropping2D}$$
# $$Cropping3D(x, cropping) \tag{001.14.Cropping3D}$$
#
# Ask as always: where has each number of the input gone? Which ones have gone nowhere?

# %%
series = rng.normal(size=(2, 5, 3))             # (N, T, C)
padded = np.pad(series, [(0, 0), (2, 1), (0, 0)])       # 2 zeros in front, 1 behind
dy_padded = rng.normal(size=padded.shape)       # (N, 8, C)
# ? dx_padded, of the shape of series
dx_padded = dy_padded[:, 2:-1]
check_derivative("dx of padding", dx_padded, lambda x: np.sum(
    dy_padded * np.pad(x, [(0, 0), (2, 1), (0, 0)])), series)

dy_cropped = rng.normal(size=(2, 2, 3))         # from y = series[:, 1:3]
dx_cropped = np.zeros(series.shape)
# ? [dx_cropped] fill it: what arrives at series, if y = series[:, 1:3]
dx_cropped[:, 1:3] = dy_cropped
check_derivative("dx of cropping", dx_cropped,
                 lambda x: np.sum(dy_cropped * x[:, 1:3]), series)

# %% [markdown]
# Each is the other's backward. The zeros around are no part of the input: their
# gradient is dropped. What was cut off has changed nothing, so it gets 0.
#
# **RepeatVector** makes a series of one vector, the same at each step. One becomes
# many.
#
# $$RepeatVector(x, n) = repeat(x, n) \tag{001.14.RepeatVector}$$

# %%
dy_repeated = rng.normal(size=(2, 4, 3))        # (N, n, features)
# ? dx_repeated, (N, features), from y = x1 at each of the 4 steps
dx_repeated = dy_repeated.sum(axis=1)
check_derivative("dx of repeating", dx_repeated,
                 lambda x: np.sum(dy_repeated * x[:, None]), x1)

# %% [markdown]
# ## Up-sampling
#
# An image becomes larger. By default each point is **repeated**, in all directions.
#
# $$UpSampling1D(x, size) \tag{001.14.UpSampling1D}$$
# $$UpSampling2D(x, size) \tag{001.14.UpSampling2D}$$
# $$UpSampling3D(x, size) \tag{001.14.UpSampling3D}$$
#
# With size 2 a point becomes a block of 2 × 2 points: it is used four times. A
# `reshape` that gives each block two axes of its own makes one line of the way back.

# %%
small = rng.normal(size=(2, 3, 4))              # (N, rows, columns)
large = small.repeat(2, axis=1).repeat(2, axis=2)       # (N, 6, 8)
dy_large = rng.normal(size=large.shape)
# ? dx_small, of the shape of small, from dy_large
dx_small = dy_large.reshape(2, 3, 2, 4, 2).sum(axis=(2, 4))
check_derivative("dx", dx_small, lambda x: np.sum(
    dy_large * x.repeat(2, axis=1).repeat(2, axis=2)), small)

# %% [markdown]
# With `interpolation="bilinear"` a new point is a weighted mean of its neighbours. Then
# $y = A x$ along each axis, with a matrix of weights. For three points and size 2 it is
# the one below.

# %%
A = np.array([[1.00, 0.00, 0.00],
              [0.75, 0.25, 0.00],
              [0.25, 0.75, 0.00],
              [0.00, 0.75, 0.25],
              [0.00, 0.25, 0.75],
              [0.00, 0.00, 1.00]])              # (6, 3)
line = rng.normal(size=(3, 2))                  # 3 points, 2 channels
dy_line = rng.normal(size=(6, 2))
# ? dx_line, from y = A x
dx_line = A.T @ dy_line
check_derivative("dx", dx_line, lambda x: np.sum(dy_line * (A @ x)), line)

# %% [markdown]
# Whatever the weights are, the way back is the transpose.
#
# ## A residual block, by hand
#
# Now the block of the picture, with $f = relu(x W) V$:
#
# $$y = x + f(x)$$

# %%
x = x1                                          # (N, 3)
W = rng.normal(size=(3, 4))
V = rng.normal(size=(4, 3))


def block(x, W, V):
    return x + np.maximum(x @ W, 0) @ V


a = x @ W                                       # (N, 4)
h = np.maximum(a, 0)
y = x + h @ V                                   # (N, 3)

# %% [markdown]
# Back. The sum sends $dy$ both ways. The one branch goes on through $V$, the relu and
# $W$. At the fork the two are added.

# %%
show_graph(computation("residual"),
           lit=["df -> dh", "dh -> da", "da -> dx", "dy -> dx"])
# ? dV, from f = h V, (4, 3)
dV = h.T @ dy
check_derivative("dV", dV, lambda V: np.sum(dy * block(x, W, V)), V)
# ? da, what arrives at a = x W, (N, 4): through V and the relu
da = (dy @ V.T) * (a > 0)
check_derivative("da", da, lambda a: np.sum(dy * (x + np.maximum(a, 0) @ V)), a)
# ? dx, by both ways, (N, 3)
dx = dy + da @ W.T
check_derivative("dx", dx, lambda x: np.sum(dy * block(x, W, V)), x)

# %% [markdown]
# $dx = dy + \ldots$ Whatever the two layers do to the gradient, **all of $dy$ arrives
# as well**. That is the whole secret. At each of ten blocks a way may go through the
# layers or past them. So there are $2^{10}$ ways, and one of them goes past them all.

# %%
assert ways == 2 ** 10
print(f"thirty times a half: {0.5 ** 30:.1e}")
assert int(-np.log10(0.5 ** 30)) == powers_lost

# %% [markdown]
# ## The same in the library
#
# A merging layer is given a list, and its backward returns one.

# %%
def same(layer, inputs, dy, *expected):
    """The layer's gradients are ours; None: we have not worked it out."""
    layer.to("reference").forward(inputs)
    gradients = layer.backward(dy)
    for got, ours in zip(gradients, expected, strict=True):
        assert ours is None or np.allclose(got, ours, rtol=0, atol=1e-14)


double = {"dtype": "float64"}
same(Add(**double), [x1, x2], dy, dy, dy)
same(Subtract(**double), [x1, x2], dy, dy, dx2_difference)
same(Average(**double), [x1, x2], dy, dx1_mean, dx1_mean)
same(Multiply(**double), [x1, x2, x3], dy, dx1_product, None, None)
same(Maximum(**double), [x1, x2], dy, dx1_max, dy - dx1_max)
same(Minimum(**double), [x1, x2], dy, dy - dx1_max, dx1_max)
same(Concatenate(**double), [x1, x2], dy_joined, dx1_joined, dx2_joined)
same(Dot(axes=1, **double), [x1, x2], dy_dot, dx1_dot, None)
same(Multiply(**double), [image, gate], dy_image, None, dgate)

# %% [markdown]
# ## In the library: the layers that move numbers
#
# Those of one input return one array. (For a list of one we write `[...]`.)

# %%
def same_one(layer, x, dy, expected):
    layer.to("reference").forward(x)
    assert np.allclose(layer.backward(dy), expected, rtol=0, atol=1e-14)


same_one(Permute((3, 1, 2), **double), image, dy_turned, dx_turned)
same_one(Reshape((5, 12), **double), image, dy_image.reshape(2, 5, 12), dy_image)
same_one(Flatten(**double), image, dy_image.reshape(2, 60), dy_image)
same_one(ZeroPadding1D((2, 1), **double), series, dy_padded, dx_padded)
same_one(Cropping1D((1, 2), **double), series, dy_cropped, dx_cropped)
same_one(RepeatVector(4, **double), x1, dy_repeated, dx_repeated)
up = UpSampling2D(2, **double)
same_one(up, small[..., None], dy_large[..., None], dx_small[..., None])
assert np.array_equal(UpSampling1D(2, **double).forward(series), series.repeat(2, 1))
bilinear = UpSampling2D((2, 1), interpolation="bilinear", **double)
same_one(bilinear, line[None, :, None], dy_line[None, :, None], dx_line[None, :, None])

# %% [markdown]
# In the library's room for reading the tie stands in one line, and broadcasting's sum
# in two:

# %%
show_source("kernels.reference.merging:extremum_backward",
            "kernels.reference.merging:sum_spread")

# %% [markdown]
# ## A picture: what a shortcut does to the gradient
#
# Thirty layers of 32 units with relu, with and without shortcuts. The loss sends a
# random gradient in at the top. How large is what arrives at each layer? We draw it for
# weights with the right spread, and for those with half of it.

# %%
sizes = {}
for name, spread, shortcut in (("chain, right spread", 1.0, False),
                               ("chain, half the spread", 0.5, False),
                               ("shortcuts, right spread", 1.0, True),
                               ("shortcuts, half the spread", 0.5, True)):
    sizes[name] = gradient_by_depth(spread, shortcut)
    print(f"{name}: {sizes[name][0]:.1e} of the gradient arrives at the first layer")
assert sizes["chain, half the spread"][0] < 1e-7
assert sizes["shortcuts, half the spread"][0] > 1
save_figure(draw_shortcuts(sizes), "20_shortcuts")

# %% [markdown]
# Half the spread is half the gradient, at each layer: there are the nine powers of ten.
# The shortcuts have the opposite trouble. Each block adds something, so it grows.
# Normalisation (lesson 17) keeps that in check, and large networks have both.
#
# ## A real task: a deep network reads digits
#
# 1,797 digits of 8 × 8 points, 497 held back. The network has 17 convolutions of 12
# filters, one behind the other. The **baseline** is the same network without shortcuts.
# `Input` is a place where data will come in, and calling a layer on it draws the graph:
# Keras calls that the **functional** way.

# %%
images, kinds = digits()
order = np.random.default_rng(0).permutation(len(images))
images = images[order].reshape(-1, 8, 8, 1) / 16
kinds = kinds[order]
new, truth = images[:497], kinds[:497]


def convolution(x, activation=None):
    return Conv2D(12, 3, padding="same", activation=activation)(x)


def make_model(blocks, shortcuts):
    set_random_seed(0)
    picture = Input((8, 8, 1))
    x = convolution(picture, "relu")
    for _ in range(blocks):
        f = convolution(convolution(x, "relu"))
        x = Activation("relu")(Add()([x, f]) if shortcuts else f)
    answer = Dense(10, activation="softmax")(Flatten()(x))
    return Model(picture, answer)


# %% [markdown]
# ## The task: with shortcuts and without

# %%
curves = {}
for name, shortcuts in (("chain", False), ("shortcuts", True)):
    model = make_model(8, shortcuts)
    model.compile(Adam(0.002), "sparse_categorical_crossentropy", metrics=["accuracy"])
    run = model.fit(images[497:], kinds[497:], batch_size=32, epochs=6, verbose=0,
                    validation_data=(new, truth))
    curves[name] = run.history["val_accuracy"]
    print(f"{name}: {curves[name][-1]:.1%} of the new digits are right")
answers = model.predict(new, verbose=0).argmax(axis=1)
save_figure(draw_digit_task(curves, new[..., 0], truth, answers, "the network with "
                            "shortcuts", lowest=0), "20_digits")
assert curves["shortcuts"][-1] > 0.93
assert curves["chain"][-1] < 0.2

# %% [markdown]
# The chain does not even begin: it stays at chance, one in ten. It could be done, with
# a smaller rate and much patience. (Try `Adam(0.001)`.) The shortcuts need none.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 20 my_answer.py`.
#
# 1. On paper: $x = 3$ forks. $y = \max(x, 2x - 3) + x \cdot x$, and $dy = 1$. Set
#    `dx_max`, what comes back through the maximum, `dx_product`, and `dx`, all of it.
# 2. **A whole backward**, with a batch: a highway block. A gate chooses between a layer
#    and the shortcut: $y = g \odot h + (1 - g) \odot x$ with $g = \sigma(x W_g)$,
#    $h = \tanh(x W_h)$. Write `highway_backward(dy, x, W_g, W_h)`, x is (N, C). Return
#    `dx, dW_g, dW_h`.
# 3. A bug, seen in the wild: with two axes it is right, with three it is not. Write it
#    right as `fixed_permute_backward(dy, dims)`. `dims` is Keras', counted from 1,
#    without the batch axis.
# 4. An experiment: how many blocks with shortcuts does it take until a million ways
#    lead through? Set `blocks`.
#
# ```python
# def permute_backward(dy, dims):
#     return dy.transpose(0, *dims)
# ```
