# %% [markdown]
# # 02 · Linear and Dense: one formula, two ways to write its weights
#
# *About 25 minutes.* Every output is a weighted sum of every input. PyTorch calls that layer `Linear`, Keras `Dense`; nearly
# all other layers hold one inside. You derive its backward term by term, and read it again in the library.
#
# ## A question first
#
# A `Dense` layer takes 64 numbers in and gives 4 out, for a batch of 32 samples. What is the shape of the gradient of its
# weights, and of how many products is each of its elements the sum? If every sample stood in the batch twice, what would
# become of that gradient? Write down your guesses.

# %%
import matplotlib.pyplot as plt
import numpy as np

from nblayers.layers import Dense, Linear
from nblayers.learn.tools import check_derivative, save_figure, show_source

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$) of three inputs each; two outputs. A sample is a **row** of $x$. Compute one output by hand now.

# %%
x = np.array([[1.0, 2.0, 3.0],
              [2.0, -1.0, 1.0]])            # (N, in)
W = np.array([[1.0, 0.0, -1.0],
              [2.0, 1.0, 0.0]])             # (out, in): one row for each output
b = np.array([0.5, -1.0])                   # (out,)

# %% [markdown]
# ## Forward, one number at a time
#
# Output $o$ of sample $n$ is the sum over all inputs $i$; written with matrices it is what document 002 prints:
#
# $$y_{no} = \sum_i x_{ni} W_{oi} + b_o$$
#
# $$y = x W^\top + b \tag{002.Linear}$$

# %%
y = np.zeros((2, 2))                        # (N, out)
for n in range(2):
    for o in range(2):
        y[n, o] = sum(x[n, i] * W[o, i] for i in range(3)) + b[o]
print("y =", y.tolist())
assert y[0, 0] == 1 * 1 + 2 * 0 + 3 * -1 + 0.5 == -1.5
assert np.array_equal(y, x @ W.T + b)       # b is added to every row

# %% [markdown]
# ## The same weights, lying down: Dense
#
# Document 001 writes a dense layer as $W x + b$, for a sample that stands upright as a column. Keras keeps samples in rows and
# therefore multiplies from the right, with weights of shape (in, out):
#
# $$y = x W + b \tag{001.06.Dense}$$
#
# So the `kernel` of a Keras `Dense` is the transpose of the `weight` of a PyTorch `Linear`. That, and an `activation` that
# Dense may apply to $y$, is all the difference.

# %%
kernel = W.T.copy()                         # (in, out)
assert kernel.shape == (3, 2) and np.array_equal(x @ kernel + b, y)

# %% [markdown]
# ## A loss, and how it grows with y
#
# Backward begins at the end. Take half the squared distance to a target $t$; by each output its derivative is a difference:
#
# $$L = \frac{1}{2} \sum_n \sum_o (y_{no} - t_{no})^2 \qquad dy_{no} = \frac{\partial L}{\partial y_{no}} = y_{no} - t_{no}$$

# %%
t = np.array([[-1.0, 2.0], [2.0, 4.0]])


def loss(x, W, b):
    return 0.5 * np.sum((x @ W.T + b - t) ** 2)


dy = y - t                                  # (N, out)
print("L =", loss(x, W, b), "  dy =", dy.tolist())
check_derivative("dy", dy, lambda y: 0.5 * np.sum((y - t) ** 2), y)

# %% [markdown]
# ## Backward: b stands in every row
#
# For each weight ask: **in which outputs does it occur, and with what factor?** $b_o$ occurs in output $o$ of *every* sample,
# with factor 1. The chain rule adds up all the ways by which it reaches the loss:
#
# $$\frac{\partial L}{\partial b_o} = \sum_n dy_{no} \underbrace{\frac{\partial y_{no}}{\partial b_o}}_{1} = \sum_n dy_{no}$$

# %%
db = dy.sum(axis=0)                         # (out,), the shape of b
print("db =", db)
check_derivative("db", db, lambda b: loss(x, W, b), b)

# %% [markdown]
# ## Backward: W, a sum over the batch
#
# $W_{oi}$ occurs in output $o$ of every sample $n$, there multiplied by $x_{ni}$:
#
# $$\frac{\partial L}{\partial W_{oi}} = \sum_n dy_{no} \underbrace{\frac{\partial y_{no}}{\partial W_{oi}}}_{x_{ni}}
#   = \sum_n dy_{no} \, x_{ni} \qquad \text{that is} \qquad dW = dy^\top x$$
#
# One sample contributes the outer product of its error and its input; the batch adds them up. A sum over $n$ in the formula is
# a matrix product over the batch axis in the code.

# %%
dW = np.zeros_like(W)                       # (out, in), the shape of W
for n in range(2):
    print(f"sample {n} contributes", np.outer(dy[n], x[n]).tolist())
    dW += np.outer(dy[n], x[n])
print("dW =", dW.tolist())
assert np.array_equal(dW, dy.T @ x)
assert np.array_equal(np.vstack([dy, dy]).T @ np.vstack([x, x]), 2 * dW)        # every sample twice
check_derivative("dW", dW, lambda W: loss(x, W, b), W)

# %% [markdown]
# ## Backward: x, a sum over the outputs
#
# The layer before wants to know its own $dy$: that is our $dx$. Input $x_{ni}$ occurs in all outputs of its *own* sample, each
# time with the weight $W_{oi}$:
#
# $$\frac{\partial L}{\partial x_{ni}} = \sum_o dy_{no} W_{oi} \qquad \text{that is} \qquad dx = dy \, W$$
#
# For Dense, with its kernel lying down, the same sums read $dW = x^\top dy$ and $dx = dy \, W^\top$. The shapes are a good
# guide to which of them is transposed, but no proof: when in = out, both fit. The numerical derivative is the proof.

# %%
dx = dy @ W                                 # (N, in), the shape of x
print("dx =", dx.tolist())
check_derivative("dx", dx, lambda x: loss(x, W, b), x)
assert np.array_equal(dy @ kernel.T, dx) and np.array_equal(x.T @ dy, dW.T)

# %% [markdown]
# ## The same in the library
#
# Both layers on our numbers give ours to the last digit. `backward` *adds* into `grad`: called twice, it doubles the gradient,
# as a batch does in which every sample stands twice (unless the loss is a mean, which divides by $N$). So training has to
# clear the gradients at every step.

# %%
linear, dense = Linear(3, 2, dtype="float64"), Dense(2, dtype="float64")
linear.set_weights([W, b])
dense.build(x.shape)
dense.set_weights([kernel, b])
for layer, weight_gradient in ((linear, dW), (dense, dW.T)):
    assert np.array_equal(layer.forward(x), y) and np.array_equal(layer.backward(dy), dx)
    weight, bias = layer.trainable_weights
    assert np.array_equal(weight.grad, weight_gradient) and np.array_equal(bias.grad, db)
    layer.backward(dy)
    assert np.array_equal(weight.grad, 2 * weight_gradient)

wide = Dense(4)
wide.forward(np.ones((32, 64)))
wide.backward(np.ones((32, 4)))
assert wide.kernel.grad.shape == (64, 4) and (wide.kernel.grad == 32).all()     # 32 products of 1 and 1

# %% [markdown]
# Here is that backward, then its two kernels: the product and the bias, for reading (reference), compiled by `@njit` (cpu), and
# on the GPU (cuda). Point at $x_{ni}$ in $dW$, at the sum over $n$ in $db$, and at each transpose. (Lesson 24 takes the
# compiled product apart.)

# %%
show_source(Linear.backward, Dense.backward, "kernels.reference.matmul:matmul", "kernels.reference.core:bias_backward",
            "kernels.cpu.core:_bias_rows", "kernels.cuda.core:_bias_backward", "kernels.cuda.matmul:_tiled")

# %% [markdown]
# ## A picture: what the first gradient looks like
#
# Pictures of 8 × 8 points, each with one noisy stroke: lying, standing, rising or falling. The target is 1 for the right kind
# and 0 for the others. At $W = 0$ all outputs are 0, so $dy = -t$ and $-dW = x^\top t$ is, for each kind, **the sum of its
# pictures**. The very first step of learning paints the average stroke into the weights.

# %%
rng = np.random.default_rng(0)


def strokes(count):
    pictures, kinds = rng.normal(scale=0.3, size=(count, 8, 8)), rng.integers(4, size=count)
    along = np.arange(5)
    for picture, kind in zip(pictures, kinds, strict=True):
        row, column = rng.integers(3, size=2)
        rows = row + [2 + 0 * along, along, 4 - along, along][kind]
        columns = column + [along, 2 + 0 * along, along, along][kind]
        picture[rows, columns] += 1
    return pictures.reshape(count, 64), np.eye(4)[kinds]


pictures, target = strokes(2000)
model = Dense(4, kernel_initializer="zeros")
model.backward(model.forward(pictures) - target)
first = -model.kernel.grad.copy()           # (64, 4)
assert np.allclose(first, pictures.T @ target, rtol=1e-4, atol=1e-3)

# %% [markdown]
# ## A real task: tell the strokes apart
#
# 300 steps of gradient descent on the mean squared error, then 500 new pictures. The largest output names the kind.

# %%
history = []
for _ in range(300):
    error = model.forward(pictures) - target
    history.append((error ** 2).mean())
    model.zero_grad()
    model.backward(error / len(pictures))
    for weight in model.trainable_weights:
        weight.value -= 0.1 * weight.grad

new, truth = strokes(500)
answers, kinds = model.forward(new).argmax(axis=1), truth.argmax(axis=1)
confusion = np.array([[np.sum((kinds == k) & (answers == a)) for a in range(4)] for k in range(4)])
print(f"error {history[0]:.3f} to {history[-1]:.3f}; of 500 new pictures {(answers == kinds).mean():.0%} are right")
print("of each kind (row), how often it was taken for which (column):", *confusion.tolist(), sep="\n")
assert history[-1] < 0.6 * history[0] and (answers == kinds).mean() > 0.7

fig, axes = plt.subplots(2, 5, figsize=(9, 4), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
for k, kind in enumerate(["lying", "standing", "rising", "falling"]):
    axes[0, k].imshow(first[:, k].reshape(8, 8), cmap="gray")
    axes[1, k].imshow(model.kernel.value[:, k].reshape(8, 8), cmap="RdBu")
    axes[0, k].set(title=kind, ylabel="first gradient" if k == 0 else "")
    axes[1, k].set(ylabel="weights (blue: +)" if k == 0 else "")
axes[0, 4].plot(history)
axes[0, 4].set(title="error by step", xticks=[0, 300], yticks=[0, 0.25])
axes[1, 4].imshow(confusion)
axes[1, 4].set(title="mistaken for", ylabel="kind")
save_figure(fig, "02_strokes")

# %% [markdown]
# One weight for each point cannot say "a stroke, wherever it lies": what the model gets wrong is mostly where kinds share their
# points. Layers that look at neighbourhoods can (lesson 13).
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 02 my_answer.py`.
#
# 1. On paper, for a Linear layer: $x = (2, -1)$, $W$ has the rows $(1, 3)$, $(0, 2)$, $(-1, 1)$, and $dy = (1, 0, 2)$.
#    Set `dW` (3 × 2) and `dx` (2 numbers).
# 2. A backward to fill in: `dense_backward(x, W, dy)` for Dense, W of shape (in, out). Return `dx, dW, db`.
# 3. A bug: the function below, for *Linear*, runs without complaint whenever $W$ is square. Find what is wrong, and write it
#    right as `fixed_linear_backward(x, W, dy)`.
# 4. An experiment: `X = np.random.default_rng(0).normal(size=(100, 3)) * [1, 2, 3]`, `t = X @ [1, -1, 0.5]`, and 200 steps
#    `W -= eta * X.T @ (X @ W - t) / 100` from `W = 0`. Up to which `eta` does that converge? Set `largest_rate` (5 % will do).
#    What does it have to do with the largest eigenvalue of `X.T @ X / 100`?
#
# ```python
# def linear_backward(x, W, dy):
#     return dy @ W.T, dy.T @ x, dy.sum(axis=0)
# ```
