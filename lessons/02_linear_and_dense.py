# %% [markdown]
# # 02 · Linear and Dense: one formula, two ways to write its weights
#
# *About 35 minutes.* Every output is a weighted sum of every input. Keras calls that
# layer `Dense`, PyTorch `Linear`. Nearly all other layers hold one inside. You derive
# its backward term by term, and read it again in the library.
#
# ## A question first
#
# A Dense layer takes 64 numbers in and gives 4 out, for a **batch** (a group that is
# computed together) of 32 samples. What is the shape of the gradient of its weights?
# Of how many products is each of its elements the sum? Think before you go on.

# %%
import numpy as np

from lessons.data import strokes
from lessons.figures import draw_strokes
from nblayers.layers import Dense, EinsumDense, Identity, Lambda, Linear
from nblayers.learn.tools import check_derivative, save_figure, show_source

# ? guess: each element of dW is a sum of how many products, for that batch?
products = 32

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$) of three inputs each; two outputs. A sample is a **row** of $x$.
# A weight $W_{io}$ leads from input $i$ to output $o$.

# %%
x = np.array([[1.0, 2.0, 3.0],
              [2.0, -1.0, 1.0]])        # (N, in)
W = np.array([[1.0, 2.0],
              [0.0, 1.0],
              [-1.0, 0.0]])             # (in, out): one column for each output
b = np.array([0.5, -1.0])               # (out,): the bias, added to every sample

# %% [markdown]
# ```text
#     x (N, in) ───┐
#     W (in, out) ─┼──▶ y (N, out) ──▶ L, one number
#     b (out,) ────┘
# ```
#
# ## Forward
#
# Output $o$ of sample $n$ is the sum over all inputs $i$:
#
# $$y_{no} = \sum_i x_{ni} W_{io} + b_o$$
#
# Take sample 0, which is (1, 2, 3), and output 0, whose weights are (1, 0, −1).

# %%
# ? y00: output 0 of sample 0, as a number; do it on paper
y00 = -1.5

y = np.zeros((2, 2))                    # (N, out)
for n in range(2):
    for o in range(2):
        y[n, o] = sum(x[n, i] * W[i, o] for i in range(3)) + b[o]
print("y =", y.tolist())
assert y[0, 0] == y00 == 1 * 1 + 2 * 0 + 3 * -1 + 0.5

# %% [markdown]
# "Row of one times column of the other, summed" is what a matrix product does. So all
# of it is one line, with $b$ added to every row:
#
# $$y = x W + b \tag{001.06.Dense}$$
#
# (Many texts write $W x + b$. For them a sample stands upright, as a column. Keras
# keeps samples in rows, so that a batch is a matrix.)

# %%
# ? y_matrix: the same y, as a matrix product
y_matrix = x @ W + b
assert np.array_equal(y_matrix, y)

# %% [markdown]
# ## A loss, and how it grows with y
#
# Backward begins at the end. We want outputs near a target $t$. Take half the squared
# distance as the loss:
#
# $$L = \frac{1}{2} \sum_n \sum_o (y_{no} - t_{no})^2$$
#
# $dy$ is short for $\partial L / \partial y$: how fast the loss grows with each output.
# It has the shape of $y$. (The half is there to cancel the 2 of the square.)

# %%
t = np.array([[-1.0, 2.0],
              [2.0, 4.0]])              # (N, out)


def loss(x, W, b):
    return 0.5 * np.sum((x @ W + b - t) ** 2)


# ? dy, from y and t
dy = y - t
check_derivative("dy", dy, lambda y: 0.5 * np.sum((y - t) ** 2), y)
print("L =", loss(x, W, b), "  dy =", dy.tolist())
assert loss(x, W, b) == 2.75

# %% [markdown]
# ## Backward: b stands in every row
#
# For each weight ask: **in which outputs does it occur, and with what factor?** $b_o$
# occurs in output $o$ of *every* sample, with factor 1. The chain rule adds up all ways
# by which it reaches the loss:
#
# $$\frac{\partial L}{\partial b_o}
#   = \sum_n dy_{no} \frac{\partial y_{no}}{\partial b_o}$$

# %%
# ? db, of shape (out,)
db = dy.sum(axis=0)
check_derivative("db", db, lambda b: loss(x, W, b), b)
print("db =", db)

# %% [markdown]
# $$\frac{\partial L}{\partial b_o} = \sum_n dy_{no} \cdot 1$$
#
# ## Backward: W, a sum over the batch
#
# $W_{io}$ occurs in output $o$ of every sample $n$. There it is multiplied by $x_{ni}$.
# The chain rule once more:
#
# $$\frac{\partial L}{\partial W_{io}}
#   = \sum_n dy_{no} \frac{\partial y_{no}}{\partial W_{io}}$$
#
# Take one term of this sum: what sample $n$ alone says to $W$. That is a matrix of the
# shape of $W$. Fill in one for each sample.

# %%
outer = np.zeros((2, 3, 2))             # one (in, out) matrix for each sample
# ? [outer] for n in range(2), fill outer[n] from x[n], (in,), and dy[n], (out,)
for n in range(2):
    outer[n] = np.outer(x[n], dy[n])
print("sample 0 gives", outer[0].tolist())

# %% [markdown]
# $$\frac{\partial L}{\partial W_{io}} = \sum_n x_{ni} \, dy_{no}$$
#
# One sample gives every input times every $dy$: an **outer product**. The batch adds
# them up. Now without a loop. A sum over $n$ in the formula is a matrix product over
# the batch axis. So the axis $n$ must stand in the middle, and one of the two is
# transposed.

# %%
# ? dW, of shape (in, out), as a matrix product of x and dy
dW = x.T @ dy
check_derivative("dW", dW, lambda W: loss(x, W, b), W)
print("dW =", dW.tolist())
assert np.array_equal(dW, outer[0] + outer[1])

# %% [markdown]
# So $dW$ has the shape of $W$, and each of its elements is a sum of as many products as
# there are samples. For the layer of the question, with nothing but ones:

# %%
wide_x, wide_dy = np.ones((32, 64)), np.ones((32, 4))
wide_dW = wide_x.T @ wide_dy
assert wide_dW.shape == (64, 4) and (wide_dW == products).all()

# ? guess: every sample stands twice in the batch; dW becomes how many times as large?
growth = 2.0
x_twice, dy_twice = np.vstack([x, x]), np.vstack([dy, dy])
assert np.array_equal(x_twice.T @ dy_twice, growth * dW)

# %% [markdown]
# ## Backward: x, a sum over the outputs
#
# The layer before wants to know its own $dy$. That is our $dx$. Input $x_{ni}$ occurs
# in all outputs of its *own* sample, each time with the weight $W_{io}$. Which axis is
# summed over this time? It is the one in the middle.

# %%
# ? dx, of shape (N, in), as a matrix product of dy and W
dx = dy @ W.T
check_derivative("dx", dx, lambda x: loss(x, W, b), x)
print("dx =", dx.tolist())

# %% [markdown]
# $$\frac{\partial L}{\partial x_{ni}} = \sum_o dy_{no} W_{io}$$
#
# The three lines once more. They are worth knowing by heart:
#
# $$dW = x^\top dy \qquad dx = dy \, W^\top \qquad db_o = \sum_n dy_{no}$$
#
# The shapes are a good guide to what is transposed, but no proof: when in = out, both
# ways fit. The numerical derivative is the proof.
#
# ## The same weights, standing up: Linear
#
# PyTorch keeps the same numbers with one **row** for each output, shape (out, in):
#
# $$y = x W^\top + b \tag{002.Linear}$$
#
# The `weight` of a Linear is the transpose of the `kernel` of a Dense. That, and an
# `activation` that Dense may apply to $y$ (lesson 03), is all the difference.

# %%
weight = W.T.copy()                     # (out, in)
assert np.array_equal(x @ weight.T + b, y)

# ? dweight: the gradient of that weight, of shape (out, in)
dweight = dy.T @ x
check_derivative("dweight", dweight, lambda weight: loss(x, weight.T, b), weight)

# ? dx_linear: dx again, from dy and weight
dx_linear = dy @ weight
assert np.array_equal(dx_linear, dx) and np.array_equal(dweight, dW.T)

# %% [markdown]
# ## The same in the library
#
# Both layers on our numbers give ours, to the last digit.

# %%
dense = Dense(2, dtype="float64")
dense.build(x.shape)
dense.set_weights([W, b])
assert np.array_equal(dense.forward(x), y)
assert np.array_equal(dense.backward(dy), dx)
assert np.array_equal(dense.kernel.grad, dW) and np.array_equal(dense.bias.grad, db)

linear = Linear(3, 2, dtype="float64")
linear.set_weights([weight, b])
assert np.array_equal(linear.forward(x), y)
assert np.array_equal(linear.backward(dy), dx)
assert np.array_equal(linear.weight.grad, dweight)

# %% [markdown]
# `backward` *adds* into `grad`. Called twice, it doubles the gradient, like a batch in
# which every sample stands twice. So training has to clear the gradients at every step.

# %%
dense.backward(dy)
assert np.array_equal(dense.kernel.grad, 2 * dW)
dense.zero_grad()
assert not dense.kernel.grad.any()

# %% [markdown]
# Here is that backward, with the part that it shares with `Linear`, then its two
# **reference** kernels: the plain NumPy functions that do the work. Point at $x$ in
# $dW$, at the sum over $n$ in $db$, and at each transpose.

# %%
show_source(Dense.backward, Dense._affine_backward,
            "kernels.reference.matmul:matmul", "kernels.reference.core:bias_backward")

# %% [markdown]
# Whoever wants to see the compiled kernel or the one for a GPU types, at the prompt or
# in a cell: `show_source("kernels.cpu.core:_bias_rows")` or
# `show_source("kernels.cuda.matmul:_tiled")`. Lessons 24 and 25 take them apart.

# %% [markdown]
# ## Any axes: EinsumDense
#
# Often $x$ has more axes than two: a sample is a sequence of $T$ steps, say. Or an
# output shall have two axes. `np.einsum` writes such sums with a letter for each axis.
# **A letter that does not stand behind the arrow is summed over.** Our $x W$ is
# `np.einsum("ni,io->no", x, W)`: the sum runs over `i`.
#
# Keras' `EinsumDense` is a Dense layer with such an equation:
#
# $$y = \text{einsum}(\text{equation}, x, W) + b \tag{001.06.EinsumDense}$$
#
# (Many texts leave out $W$.) Here each step of a sequence makes two vectors of two
# numbers: `"nti,iho->ntho"`. Lesson 19 needs this for the heads of attention.

# %%
assert np.array_equal(np.einsum("ni,io->no", x, W), x @ W)

x_steps = np.stack([x, 2 * x, -x], axis=1)              # (N, T, in), T = 3
W_heads = np.stack([W, 1 - W], axis=1)                  # (in, 2, out)
y_heads = np.einsum("nti,iho->ntho", x_steps, W_heads)  # (N, T, 2, out)
assert np.array_equal(y_heads[:, 0, 0], x @ W)
assert np.array_equal(y_heads[:, 1, 1], 2 * x @ (1 - W))
dy_heads = np.arange(24.0).reshape(2, 3, 2, 2) - 12     # as y_heads


def loss_heads(x, W):
    return np.sum(dy_heads * np.einsum("nti,iho->ntho", x, W))


# %% [markdown]
# Backward needs no new thought, only other letters. $dW$ is a sum of products of $x$
# and $dy$, and its own letters stand behind the arrow. What is summed over then?

# %%
# ? dW_heads, (in, 2, out): an einsum of x_steps and dy_heads
dW_heads = np.einsum("nti,ntho->iho", x_steps, dy_heads)
check_derivative("dW", dW_heads, lambda W: loss_heads(x_steps, W), W_heads)
# ? dx_steps, (N, T, in): an einsum of dy_heads and W_heads
dx_steps = np.einsum("ntho,iho->nti", dy_heads, W_heads)
check_derivative("dx", dx_steps, lambda x: loss_heads(x, W_heads), x_steps)

# %% [markdown]
# ```text
# y       nti,iho -> ntho
# dW      nti,ntho -> iho
# dx      ntho,iho -> nti
# ```
#
# The three equations are one, **with its parts exchanged**. Samples and steps are not
# in $W$, so $dW$ sums over both. With `"ni,io->no"` they are $x^\top dy$ and
# $dy \, W^\top$.

# %%
assert np.array_equal(np.einsum("ni,no->io", x, dy), dW)
assert np.array_equal(np.einsum("no,io->ni", dy, W), dx)
heads = EinsumDense("nti,iho->ntho", (3, 2, 2), dtype="float64")
heads.build(x_steps.shape)
heads.set_weights([W_heads])                            # no bias unless asked for
assert np.allclose(heads.forward(x_steps), y_heads, rtol=1e-15)
assert np.allclose(heads.backward(dy_heads), dx_steps, rtol=1e-14)
assert np.allclose(heads.kernel.grad, dW_heads, rtol=1e-14)

# %% [markdown]
# ## Layers without weights: Identity and Lambda
#
# `Identity` holds a place: what comes in goes out, forward and backward.
#
# $$y = x \tag{001.06.Identity}$$
#
# `Lambda` makes a layer of any function.
#
# $$y = f(x) \tag{001.06.Lambda}$$
#
# Keras differentiates $f$ for you. Here nobody does: you hand over its gradient, as a
# function of $x$ and $dy$. Take an $f$ that takes off from each row its mean. An input
# reaches the outputs by two ways: its own, and the mean, where each input has the share
# $1/3$.

# %%
def centre(x):
    return x - x.mean(axis=1, keepdims=True)


dy_centred = np.array([[3.0, 0.0, 0.0],
                       [1.0, 1.0, -2.0]])               # (N, in)
# ? dx_centred, the gradient by x, from dy_centred
dx_centred = dy_centred - dy_centred.mean(axis=1, keepdims=True)
check_derivative("dx", dx_centred, lambda x: np.sum(dy_centred * centre(x)), x)
assert dx_centred.tolist() == [[2, -1, -1], [1, 1, -2]]

# %% [markdown]
# $$dx_{ni} = dy_{ni} - \frac{1}{3} \sum_j dy_{nj}$$
#
# Backward centres too. With `gradient="numeric"` the layer measures instead, as
# `check_derivative` does. That is slow, and good for a first try.

# %%
by_hand = Lambda(centre, gradient=lambda x, dy: centre(dy), dtype="float64")
measured = Lambda(centre, gradient="numeric", dtype="float64")
for layer in (by_hand, measured):
    assert np.array_equal(layer.forward(x), centre(x))
    assert np.allclose(layer.backward(dy_centred), dx_centred, atol=1e-8)
same = Identity(dtype="float64")
assert np.array_equal(same.forward(x), x)
assert np.array_equal(same.backward(dy_centred), dy_centred)

# %% [markdown]
# ## A picture: what the first gradient looks like
#
# Pictures of 8 × 8 points, each with one noisy stroke: lying, standing, rising or
# falling. A picture is a row of 64 inputs, and there are four outputs, one for each
# kind. The target is 1 for the right kind and 0 for the others.
#
# We begin with $W = 0$ and $b = 0$. Then all outputs are 0, so $dy = 0 - t$.

# %%
rng = np.random.default_rng(0)
pictures, target = strokes(2000, rng)   # (2000, 64), (2000, 4)
model = Dense(4, kernel_initializer="zeros")
error = model.forward(pictures) - target
assert np.array_equal(error, -target)

model.backward(error)
first = -model.kernel.grad.copy()       # (64, 4): the direction of the first step
assert np.allclose(first, pictures.T @ target, rtol=1e-4, atol=1e-3)

# %% [markdown]
# A step of learning goes *against* the gradient, so it adds a little of
# $-dW = x^\top t$. That is, for each kind, **the sum of its pictures**. The very first
# step of learning paints the average stroke into the weights.
#
# ## A real task: tell the strokes apart
#
# 300 steps of **gradient descent**: each weight goes a little way against its gradient.
# The loss is the mean of the squared errors. Then we try 500 new pictures. The largest
# output names the kind. The **baseline** is to guess: that is right for one in four.

# %%
history = []
for _ in range(300):
    error = model.forward(pictures) - target
    history.append((error ** 2).mean())
    model.zero_grad()
    model.backward(error / len(pictures))
    for parameter in model.trainable_weights:
        parameter.value -= 0.1 * parameter.grad

# ? guess: how many of 100 new pictures will it name rightly?
right_of_100 = 75
new, truth = strokes(500, rng)
answers, kinds = model.forward(new).argmax(axis=1), truth.argmax(axis=1)
share = (answers == kinds).mean()
print(f"error {history[0]:.3f} to {history[-1]:.3f}; {share:.0%} of 500 are right")
assert abs(100 * share - right_of_100) < 3 and history[-1] < 0.6 * history[0]

confusion = np.zeros((4, 4), dtype=int)
np.add.at(confusion, (kinds, answers), 1)
print("of each kind (row), how often it was taken for which (column):", confusion,
      sep="\n")
save_figure(draw_strokes(first, model.kernel.value, history, confusion), "02_strokes")

# %% [markdown]
# One weight for each point cannot say "a stroke, wherever it lies". What the model gets
# wrong is mostly where kinds share their points. Layers that look at neighbourhoods can
# do better (lesson 13).
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 02 my_answer.py`.
#
# 1. On paper, for a **Linear** layer: $x = (2, -1)$; $W$, of shape (out, in), has the
#    rows $(1, 3)$, $(0, 2)$, $(-1, 1)$; $dy = (1, 0, 2)$. Set `dW` (3 × 2) and `dx`
#    (2 numbers).
# 2. A whole backward: `dense_backward(x, W, dy)` for a Dense and a batch, W of shape
#    (in, out). Return `dx, dW, db`.
# 3. A bug: the function below, for *Linear*, runs without complaint whenever $W$ is
#    square. Find what is wrong, and write it right as
#    `fixed_linear_backward(x, W, dy)`.
# 4. An experiment: `X = np.random.default_rng(0).normal(size=(100, 3)) * [1, 2, 3]`,
#    `t = X @ [1, -1, 0.5]`, and 200 steps `W -= eta * X.T @ (X @ W - t) / 100` from
#    `W = 0`. Up to which `eta` does that converge? Set `largest_rate` (5 % will do).
#    What does it have to do with the largest eigenvalue of `X.T @ X / 100`?
#
# ```python
# def linear_backward(x, W, dy):
#     return dy @ W.T, dy.T @ x, dy.sum(axis=0)
# ```
