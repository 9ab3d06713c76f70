# %% [markdown]
# # 13 · Convolution in one, two and three dimensions
#
# *About 30 minutes.* A Dense layer has a weight for each pair of an input and an output. A convolution looks through a small
# window, and uses the **same few weights wherever the window stands**. You derive its backward on five numbers, then write it
# once for sequences, pictures and films, and teach it to read handwritten digits.
#
# ## A question first
# A picture of 28 × 28 points goes through a window of 3 × 3 and keeps its size. How many weights are that, and how many would
# a Dense layer need? Of how many products is the gradient of the window's middle weight the sum? How many outputs does a
# point in the picture's corner reach, how many one in its middle? Write down your guesses.

# %%
import matplotlib.pyplot as plt
import numpy as np

from lessons import data
from nblayers.layers import Conv1D, Conv2D, Conv3D, Dense, Flatten, GlobalAveragePooling2D, Input, MaxPooling2D
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %% [markdown]
# ## Numbers for paper, and forward: a window slides
# Five numbers in a row, a window of three weights. Lay it on the first three numbers, multiply each with the weight on it,
# add up; then move it on by one. (The layers above tell output $i$ its $dy_i$: $\mathcal{L} = \sum_i dy_i \, y_i$.)
# $$\text{output}[i] = \text{activation}(\sum_j (x[i+j] \cdot w[j]) + b) \tag{001.07.Conv1D}$$
# In five numbers a window of three has $5 - 3 + 1 = 3$ places. (Activations were lesson 03; there is none here.) A
# mathematician's convolution reads one of the two backwards, $\sum_j x[i-j] \, w[j]$; ours is called a *correlation*. All
# libraries of networks compute the correlation and say convolution: to weights that are learned it is the same.

# %%
x, w, b, dy = np.array([1.0, 2.0, 0.0, -1.0, 3.0]), np.array([1.0, 2.0, -1.0]), 1.0, np.array([1.0, -1.0, 2.0])


def forward(x=x, w=w, b=b):
    y = np.zeros(len(x) - len(w) + 1)
    for i in range(len(y)):
        for j in range(len(w)):
            y[i] += x[i + j] * w[j]                     # (001.07.Conv1D)
    return y + b


y = forward()
assert y[0] == 1 * 1 + 2 * 2 + 0 * -1 + 1 == 6
assert np.array_equal(y, np.correlate(x, w) + b) and np.array_equal(y, np.convolve(x, w[::-1], "valid") + b)

# %% [markdown]
# ## Backward: a weight stands in every output
# As in lesson 02: **in which outputs does it occur, and with what factor?** $w_j$ occurs in *all* outputs, in output $i$ with
# factor $x_{i+j}$. The bias occurs in all of them too, with factor 1.
# $$dw_j = \sum_i dy_i \, x_{i+j} \qquad db = \sum_i dy_i$$
# Read the first once more: a window of the numbers $dy$ slides over $x$. It is a correlation again.

# %%
dw, db = np.zeros(3), dy.sum()
for j in range(3):
    dw[j] = dy @ x[j:j + 3]                             # the sum over i
assert np.array_equal(dw, np.correlate(x, dy))
check_derivative("dw", dw, lambda w: dy @ forward(w=w), w)
check_derivative("db", db, lambda b: dy @ forward(b=b), b)

# %% [markdown]
# ## Backward: an input stands under several windows
# $x_m$ occurs in those outputs $i$ for which $i + j = m$ with some $j$ of the window, there with factor $w_j$:
# $$dx_m = \sum_j dy_{m-j} \, w_j$$
# In code, each $dy_i$ goes back to all the places that its window lay on. `+=`, for windows overlap. And look at the sign in
# $m - j$: this one **is** the mathematician's convolution. In other words: $y = A x + b$, where every row of $A$ is the same
# window, one place further on. Then $dx = A^\top dy$. Remember that transpose for lesson 15.

# %%
dx = np.zeros(5)
for i in range(3):
    dx[i:i + 3] += dy[i] * w                            # m = i + j, for all j at once
print("y =", y, " dw =", dw, " db =", db, " dx =", dx)
check_derivative("dx", dx, lambda x: dy @ forward(x=x), x)
A = np.array([[1, 2, -1, 0, 0], [0, 1, 2, -1, 0], [0, 0, 1, 2, -1]])
assert np.array_equal(dx, np.convolve(dy, w)) and np.array_equal(y, A @ x + b) and np.array_equal(dx, A.T @ dy)

# %% [markdown]
# ## Channels, filters, strides, padding: all dimensions at once
# $$y_{ij} = f(\sum_{m,n} x_{i+m,j+n} \, w_{mn} + b) \tag{001.07.Conv2D}$$
# $$y_{ijk} = f(\sum_{m,n,p} x_{i+m,j+n,k+p} \, w_{mnp} + b) \tag{001.07.Conv3D}$$
# More letters, no new idea: let $i$, $k$ and $m$ be *places* from now on, of one, two or three coordinates. But something is
# left out. A place has several **channels** $c$ (red, green, blue), with a weight for each, and there are several windows,
# the **filters** $f$. The window moves by a **stride** $s$, its taps $k$ may lie $d$ apart (**dilation**), and $p$ zeros are
# put in front of the picture (**padding**). Keras' `valid` adds none; `same` makes the output as long as the input (divided
# by the stride, rounded up), odd zero *behind*; `causal` adds in front only, so that no output sees what comes later.
# $$y[i,f] = b[f] + \sum_{k,c} x[m,c] \, w[k,c,f] \qquad m = i s + k d - p \tag{002.Convolution}$$
# That is $k \cdot k \cdot c_{in}$ weights per filter. And at each tap, the sum over $c$ is a Dense layer: so backward is that
# of lesson 02, summed over the same walk. A tap on the padding has multiplied a zero; it gets nothing and gives nothing.

# %%
def walk(x, w, out, s, d, p):
    for i in np.ndindex(*out):                          # all places of the output
        for k in np.ndindex(w.shape[:-2]):              # all taps of the window
            m = tuple(np.array(i) * s + np.array(k) * d - p)
            if all(0 <= place < size for place, size in zip(m, x.shape[:-1], strict=True)):
                yield i, k, m


def convolve(x, w, b, out, s, d, p):
    y = np.zeros((*out, len(b))) + b
    for i, k, m in walk(x, w, out, s, d, p):
        y[i] += x[m] @ w[k]                             # (002.Convolution)
    return y


def convolve_backward(x, w, dy, out, s, d, p):
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), dy.reshape(-1, dy.shape[-1]).sum(axis=0)
    for i, k, m in walk(x, w, out, s, d, p):
        dw[k] += np.outer(x[m], dy[i])                  # dW of Dense, summed over all places
        dx[m] += w[k] @ dy[i]                           # dx of Dense, summed over the taps that lie on m
    return dx, dw, db


def example(layer, shape, *geometry):
    draw = [shape, (*layer.kernel_size, shape[-1], layer.filters), layer.filters, (*geometry[0], layer.filters)]
    x, w, b, dy = (rng.integers(-3, 4, size).astype(float) for size in draw)
    dx, dw, db = convolve_backward(x, w, dy, *geometry)
    check_derivative(f"{layer.name}: dx", dx, lambda x: np.sum(dy * convolve(x, w, b, *geometry)), x)
    check_derivative(f"{layer.name}: dw", dw, lambda w: np.sum(dy * convolve(x, w, b, *geometry)), w)
    check_derivative(f"{layer.name}: db", db, lambda b: np.sum(dy * convolve(x, w, b, *geometry)), b)
    return layer, x, w, b, dy, convolve(x, w, b, *geometry), dx, dw, db


rng = np.random.default_rng(0)
examples = [example(Conv3D(1, 2, dtype="float64"), (3, 3, 2, 2), (2, 2, 1), 1, 1, 0),  # out, stride, dilation, zeros in front
            example(Conv2D(2, 3, strides=2, padding="same", dtype="float64"), (5, 4, 2), (3, 2), 2, 1, (1, 0)),
            example(Conv1D(2, 3, dilation_rate=2, padding="causal", dtype="float64"), (6, 1), (6,), 1, 2, 4)]

# %% [markdown]
# ## The same in the library
# The layers give our numbers exactly. One kernel serves them all, for **a sequence is a film of one picture, one point
# high**: with sizes of one in front, the sums over the further coordinates have one term. Seven loops, then: the sample,
# three coordinates of $i$, three of $k$. In each room find $m = is + kd - p$, and the two lines of our backward. (Lesson 24
# takes the compiled one apart.) Last, a layer of nine ones goes over a picture of ones: the answers to the question.

# %%
for layer, x, w, b, dy, y, *gradients in examples:
    layer.build((1, *x.shape))
    layer.set_weights([w, b])
    results = layer.forward(x[None])[0], layer.backward(dy[None])[0], layer.kernel.grad, layer.bias.grad
    assert all(np.array_equal(theirs, ours) for theirs, ours in zip(results, (y, *gradients), strict=True))
assert np.array_equal(convolve(x[None, None], w[None, None], b, (1, 1, 6), 1, (1, 1, 2), (0, 0, 4))[0, 0], y)  # 1D in 3D
show_source("nblayers.layers.convolution.sliding:convolve_backward", "kernels.reference.convolution:convolve",
            "kernels.reference.convolution:convolve_transposed", "kernels.reference.convolution:convolve_weight_gradient",
            "kernels.reference.convolution:_paths", "kernels.cpu.convolution:_correlate_segments",
            "kernels.cuda.convolution:_direct_transposed", "kernels.cuda.convolution:_direct_weight_gradient")
layer = Conv2D(1, 3, padding="same", kernel_initializer="ones")
dx = layer.backward(np.ones_like(layer.forward(np.ones((1, 28, 28, 1)))))[0, :, :, 0]
print("products in each dw:", *layer.kernel.grad[:, :, 0, 0].tolist(), " outputs that the first points reach:", dx[0, :4])
assert layer.kernel.value.size == 9 and 784 * 784 == 614_656 and dx[0, 0] == 4 and dx[14, 14] == 9
assert layer.kernel.grad[1, 1, 0, 0] == 28 * 28 and layer.kernel.grad[0, 0, 0, 0] == 27 * 27    # a row and a column fall off

# %% [markdown]
# ## A picture: what one output sees
# Its **receptive field**: all that its gradient reaches. Put 1 into one output and look at $dx$. Behind layers of windows $k$
# it is $1 + \sum (k - 1) d S$ wide, $S$ the product of the strides before: 7 × 7 for three layers of 3 × 3. For 15 × 15 it
# takes seven, or three that widen, by dilations of 1, 2, 4 or a stride of 2 each. These two see alike, but dilation keeps an
# output at every place, strides one of 64. In the deep stack nearly all paths lead to the middle (dark).

# %%
def receptive_field(*settings):
    model = Sequential([Input((31, 31, 1))] + [Conv2D(1, 3, kernel_initializer="ones", **setting) for setting in settings])
    dy = np.zeros_like(model.forward(np.ones((1, 31, 31, 1))))
    dy[0, dy.shape[1] // 2, dy.shape[2] // 2] = 1
    return model.backward(dy)[0, 5:26, 5:26, 0]         # where all weights are 1: the number of paths


stacks = {"three layers": [{}] * 3, "seven layers": [{}] * 7, "dilation 1, 2, 4": [{"dilation_rate": d} for d in (1, 2, 4)],
          "stride 2, 2, 2": [{"strides": 2}] * 3}
fields = [receptive_field(*settings) for settings in stacks.values()]
assert [np.count_nonzero(field) for field in fields] == [7 * 7] + [15 * 15] * 3 and np.array_equal(fields[2], fields[3])
fig, axes = plt.subplots(1, 4, figsize=(11, 3.1), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
for ax, title, field in zip(axes, stacks, fields, strict=True):
    ax.imshow(np.where(field > 0, field, np.nan), cmap="viridis_r", vmin=0)
    ax.set_title(title)
save_figure(fig, "13_receptive_field")

# %% [markdown]
# ## A real task: handwritten digits
# The image classifier of document 001, section 8, as printed but for the size: 1797 real digits of 8 × 8 points, 497 of them
# held out. (Pooling, lesson 14, keeps the largest of 2 × 2 points, and at the end the mean of each filter.) Beside it Dense
# layers with as many weights. Then the new digits move a point to the left, which neither has seen. Guess what happens.

# %%
set_random_seed(0)
digits, kinds = data.digits()
digits, order = digits.reshape(-1, 8, 8, 1) / 16, rng.permutation(len(digits))
digits, kinds, new, truth = digits[order[497:]], kinds[order[497:]], digits[order[:497]], kinds[order[:497]]


def train(*layers):
    model = Sequential([Input((8, 8, 1)), *layers, Dense(10, activation="softmax")])
    model.compile(Adam(lambda step: 0.01 if step < 300 else 0.001), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(digits, kinds, batch_size=64, epochs=20, verbose=0, validation_data=(new, truth)).history
    guesses, moved = (model.predict(pictures, verbose=0).argmax(axis=1) for pictures in (new, np.roll(new, -1, axis=2)))
    right = np.mean(guesses == truth), np.mean(moved == truth)
    print(f"{model.count_params()} weights: {right[0]:.1%} of the new digits are right, moved by a point {right[1]:.1%}")
    return model, history["val_accuracy"], guesses, right


model, curve, guesses, right = train(
    Conv2D(filters=32, kernel_size=(3, 3), activation="relu", padding="same"), MaxPooling2D(pool_size=(2, 2)),
    Conv2D(filters=64, kernel_size=(3, 3), activation="relu", padding="same"), MaxPooling2D(pool_size=(2, 2)),
    GlobalAveragePooling2D())
_, dense_curve, _, dense_right = train(Flatten(), Dense(260, activation="relu"))
assert right[0] >= 0.97 and right[1] > dense_right[1] + 0.2

# %% [markdown]
# A feature map moves along with its picture, only the pooling's grid does not; Dense has to learn each place anew. Below, what
# it got wrong (truth → answer), and six windows of the first layer (blue: +) with their maps of two digits: edges, strokes.

# %%
wrong = np.flatnonzero(guesses != truth)[:8]
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained", width_ratios=(2, 3))
left.plot(range(1, 21), np.transpose([curve, dense_curve]), label=["convolution", "Dense"])
left.set(xlabel="epoch", ylabel="new digits that are right", ylim=(0.8, 1), xticks=range(0, 21, 5))
left.legend()
right.imshow(np.hstack(np.pad(new[wrong, :, :, 0], ((0, 0), (1, 1), (1, 1)))), cmap="gray")
right.set(yticks=[], xticks=10 * np.arange(len(wrong)) + 4.5, xticklabels=[f"{truth[k]} → {guesses[k]}" for k in wrong])
save_figure(fig, "13_digits")
windows, two = model.layers[0].kernel.value[:, :, 0], new[[np.argmax(truth == 0), np.argmax(truth == 7)]]
maps, limit = model.layers[0].forward(two), np.abs(windows).max()
fig, axes = plt.subplots(3, 7, figsize=(10, 4.4), layout="constrained", subplot_kw=dict(xticks=[], yticks=[], frame_on=False))
for row, pictures, digit in zip(axes, (windows, *maps), (np.ones((8, 8)), *two), strict=True):
    row[0].imshow(digit, cmap="gray", vmin=0, vmax=1)
    for ax, f in zip(row[1:], np.argsort(-maps.std(axis=(0, 1, 2))), strict=False):
        ax.imshow(pictures[:, :, f], **({"cmap": "RdBu", "vmin": -limit, "vmax": limit} if pictures is windows else {}))
save_figure(fig, "13_feature_maps")

# %% [markdown]
# ## Exercises
# Write your answers into a file and run `nblayers check convolution my_answer.py`.
# 1. On paper: $x = (2, 0, 1, -1)$, a window $w = (1, 3)$, no bias, and $dy = (1, -1, 2)$. Set `y`, `dw` and `dx`.
# 2. A backward to fill in: `conv1d_backward(x, w, dy, s)`, x (T, C), w (K, C, F), dy (T', F), stride s: return `dx, dw, db`.
# 3. A bug: this input gradient *gathers* what comes to each place, and passes for every window that half a turn leaves as it
#    was. Write it right as `fixed_input_gradient(dy, w)`: stride 1, no padding, dy (H', W', F), w (K, K, C, F), dx (H, W, C).
# 4. An experiment: how many `Conv1D(1, 3, padding="causal", dilation_rate=d)` with d = 1, 2, 4, 8, … one behind the other
#    does it take until an output sees 1000 steps? Set `layers`.
# ```python
# def input_gradient(dy, w):
#     K, dy = len(w), np.pad(dy, ((len(w) - 1,) * 2, (len(w) - 1,) * 2, (0, 0)))
#     windows = np.lib.stride_tricks.sliding_window_view(dy, (K, K), (0, 1))   # (H, W, F, K, K)
#     return np.einsum("ijfkl,klcf->ijc", windows, w)
# ```
