# %% [markdown]
# # 15 · Depthwise, separable, transposed: three turns of one convolution
#
# *About 30 minutes.* A convolution does two things at once: it looks around, and it mixes channels. Done one after the other
# they cost a fraction. And a convolution run backwards makes pictures larger. Nothing of this needs a new kernel; you show it
# line by line, and then let a network cut discs out of pictures.
#
# ## A question first
# A window of 3 × 3 from 64 channels to 64: how many weights are that? And how many, if first every channel is looked at by
# itself, and then the channels are mixed point by point? Then, the other way: windows of 3 × 3 are laid over a picture, each
# two points from the next. How many windows lie on a point: the same number everywhere? Write down your guesses.

# %%
import matplotlib.pyplot as plt
import numpy as np

from nblayers import layers
from nblayers.layers import AveragePooling2D, Conv2D, Conv2DTranspose, Input, MaxPooling2D
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %% [markdown]
# ## Numbers for paper, and depthwise forward
# Four steps of two channels. In lesson 13 each filter saw all channels. Here **each channel has windows of its own**, $M$ of
# them (`depth_multiplier`), and there is no sum over $c$. (The document prints Conv1D's formula and the word *depthwise*.)
# $$y[i, c M + j] = \sum_k x[i + k, c] \, w[k, c, j] \tag{001.07.DepthwiseConv1D}$$
# Mind the place of the result: the $M$ outputs of one channel lie side by side. Strides, padding and the bias are as before,
# and for two dimensions (001.07.DepthwiseConv2D) $i$ and $k$ are pairs.

# %%
def depthwise(x, w):
    y = np.zeros((len(x) - len(w) + 1, x.shape[1], w.shape[2]))
    for i in range(len(y)):
        for k in range(len(w)):
            y[i] += x[i + k][:, None] * w[k]            # (001.07.DepthwiseConv1D): (C, 1) times (C, M)
    return y.reshape(len(y), -1)


x = np.array([[1.0, 0.0], [2.0, 1.0], [0.0, -1.0], [-1.0, 2.0]])                        # (T, C)
w = np.array([[[1.0, 0.0], [1.0, 2.0]], [[-1.0, 1.0], [0.0, 1.0]]])                     # (K, C, M)
h = depthwise(x, w)
assert h[0].tolist() == [1 * 1 + 2 * -1, 1 * 0 + 2 * 1, 0 * 1 + 1 * 0, 0 * 2 + 1 * 1]

# %% [markdown]
# ## Depthwise, backward
# $w[k, c, j]$ stands in one output channel, at all places; $x[m, c]$ in the $M$ of its own, under several windows:
# $$dw[k, c, j] = \sum_i x[i + k, c] \, dy[i, c M + j]$$
# $$dx[m, c] = \sum_k \sum_j dy[m - k, c M + j] \, w[k, c, j]$$

# %%
def depthwise_backward(x, w, dy):
    dx, dw, dy = np.zeros_like(x), np.zeros_like(w), dy.reshape(len(dy), *w.shape[1:])  # (T', C, M)
    for i in range(len(dy)):
        for k in range(len(w)):
            dw[k] += x[i + k][:, None] * dy[i]
            dx[i + k] += (dy[i] * w[k]).sum(axis=1)     # the sum over j
    return dx, dw


dh = np.array([[1.0, -1.0, 0.0, 2.0], [0.0, 1.0, 1.0, -1.0], [2.0, 0.0, -2.0, 1.0]])    # (T', C M)
dx, dw = depthwise_backward(x, w, dh)
check_derivative("dw", dw, lambda w: np.sum(dh * depthwise(x, w)), w)
check_derivative("dx", dx, lambda x: np.sum(dh * depthwise(x, w)), x)

# %% [markdown]
# ## Separable is depthwise, then pointwise
# What looks around has not mixed. So a second stage mixes: at each place a Dense layer, that is, a window of one point. From
# the outputs $h$ of the first it makes (in two dimensions: 001.07.SeparableConv2D; the document has one formula for both
# stages)
# $$y[i, f] = \sum_e h[i, e] \, v[e, f] + b[f] \tag{001.07.SeparableConv1D}$$
# Backward is lesson 02, $dv = h^\top dy$ and $dh = dy \, v^\top$, and then what we have. Together the stages are an ordinary
# convolution whose weights are a product, $\sum_j w[k, c, j] \, v[c M + j, f]$. It can say less than one with free weights,
# but count the weights, and so the products at each place ($K \times K$ windows, $M = 1$): $K^2 C F$ against $K^2 C + C F$.

# %%
v, dy = np.array([[1.0, 0, 2], [0, 1, -1], [2, 1, 0], [-1, 0, 1]]), np.array([[1.0, 0, -1], [2, 1, 0], [0, -1, 1]])
dv, dh = h.T @ dy, dy @ v.T
dx, dw = depthwise_backward(x, w, dh)
check_derivative("dv", dv, lambda v: np.sum(dy * (h @ v)), v)
check_derivative("dw", dw, lambda w: np.sum(dy * (depthwise(x, w) @ v)), w)
check_derivative("dx", dx, lambda x: np.sum(dy * (depthwise(x, w) @ v)), x)
product = np.einsum("kcj,cjf->kcf", w, v.reshape(2, 2, 3))
assert np.allclose(h @ v, [sum(x[i + k] @ product[k] for k in range(2)) for i in range(3)])
free, apart = 9 * 64 * 64, 9 * 64 + 64 * 64
print(f"3 × 3, 64 channels to 64: {free} weights, separable {apart}, {free / apart:.1f} times fewer")
separable = x, w, v, h, dy, dx, dw, dv

# %% [markdown]
# ## Transposed, forward: every input lays down a window
# In lesson 13 a convolution was $y = A x$, a row of $A$ for each place of the window, and its input gradient $A^\top dy$. A
# transposed convolution **is** that gradient, used as a forward: $y = A^\top x$. Each input lays the window, times itself,
# into the output, $s$ places after the one before; where windows overlap they add up.
# $$y[m] = \sum_{i s + k = m} x[i] \, w[k] + b \tag{001.07.Conv1DTranspose}$$
# (The document prints the sum of Conv1D again. With stride 1 the right one is $\sum_j x[i - j] \, w[j]$.) The output is
# $(n - 1) s + K$ long: for making larger it takes a stride. `same` cuts that down to $n s$. And (001.07.Conv2DTranspose,
# 001.07.Conv3DTranspose) are the same with pairs and triples.

# %%
def transposed(x, w, s=2):
    y = np.zeros((len(x) - 1) * s + len(w))
    for i in range(len(x)):
        y[i * s:i * s + len(w)] += x[i] * w             # (001.07.Conv1DTranspose), for all k at once
    return y


x, w = np.array([1.0, 2.0, -1.0]), np.array([1.0, 3.0, 2.0])
y = transposed(x, w)
A = np.array([[1, 3, 2, 0, 0, 0, 0], [0, 0, 1, 3, 2, 0, 0], [0, 0, 0, 0, 1, 3, 2]])     # a convolution of stride 2
print("y =", y)
assert np.array_equal(y, A.T @ x) and y[2] == 1 * 2 + 2 * 1 and np.array_equal(transposed(x, w, s=1), np.convolve(x, w))

# %% [markdown]
# ## Transposed, backward: a convolution
# The transpose of the transpose: $dx = A \, dy$, an ordinary convolution of stride $s$. And where a weight of a convolution
# meets its input and the gradient of its output, here these have changed places. The bias is at every place, as ever.
# $$dx[i] = \sum_k dy[i s + k] \, w[k] \qquad dw[k] = \sum_i dy[i s + k] \, x[i]$$

# %%
dy = np.array([1.0, -1.0, 0.0, 2.0, 1.0, -2.0, 1.0])
dx, dw = np.zeros(3), np.zeros(3)
for i in range(3):
    dx[i] = dy[2 * i:2 * i + 3] @ w
    dw += dy[2 * i:2 * i + 3] * x[i]
check_derivative("dx", dx, lambda x: dy @ transposed(x, w), x)
check_derivative("dw", dw, lambda w: dy @ transposed(x, w), w)
assert np.array_equal(dx, A @ dy)

# %% [markdown]
# ## The same in the library
# The layers give our numbers. A depthwise one is a Conv with as many `groups` as channels, its weights the same memory. A
# transposed one takes a convolution's weights as they stand; forward and backward change places, in one, two and three
# dimensions, and the weights' gradient is the same. (A stride of 2 makes 3 points of 5 or 6; `output_padding` says which is
# meant on the way back.) So ten layers need three kernels. Note: output $m$ gets only those taps with $m - k = i s$.

# %%
def gives(expected, name, x, weights, dy, *arguments, **settings):
    layer = getattr(layers, name)(*arguments, use_bias=False, dtype="float64", **settings)
    layer.build((1, *x.shape))
    layer.set_weights(weights)
    results = [layer.forward(x[None])[0], layer.backward(dy[None])[0], *(weight.grad for weight in layer.trainable_weights)]
    for theirs, ours in zip(results, expected or results, strict=True):
        assert np.allclose(np.ravel(theirs), np.ravel(ours), rtol=0, atol=1e-13), name
    return results


gives((y, dx, dw), "Conv1DTranspose", x[:, None], [w[:, None, None]], dy[:, None], 1, 3, strides=2)
x, w, v, h, dy, dx, dw, dv = separable
gives((h @ v, dx, dw, dv), "SeparableConv1D", x, [w, v[None]], dy, 3, 2, depth_multiplier=2)
gives((h, *depthwise_backward(x, w, h)), "DepthwiseConv1D", x, [w], h, 2, depth_multiplier=2)
gives((h, *depthwise_backward(x, w, h)), "Conv1D", x, [w.reshape(2, 1, 4)], h, 4, 2, groups=2)
rng, halve = np.random.default_rng(0), {"strides": 2, "padding": "same"}
for D in (1, 2, 3):
    x, dy, w = rng.normal(size=(*[6] * D, 2)), rng.normal(size=(*[3] * D, 4)), rng.normal(size=(*[3] * D, 2, 4))
    y, dx, dw = gives(None, f"Conv{D}D", x, [w], dy, 4, 3, **halve)
    gives((dx, y, dw), f"Conv{D}DTranspose", dy, [w], x, 2, 3, **halve)
show_source("nblayers.layers.convolution.sliding:convolve_transposed_backward", layers.SeparableConv2D._convolve_backward,
            "kernels.reference.convolution:convolve_transposed", "kernels.cpu.convolution:_transposed",
            "kernels.cuda.convolution:_direct_transposed")

# %% [markdown]
# ## A picture: the checkerboard
# A grey picture, enlarged with stride 2 by windows of ones: how many windows lie on each point? With 3 × 3 one, two or four,
# the answer to the question. With 2 × 2 or 4 × 4 it is even, as always where the size is a multiple of the stride. Weights
# can make up for it: (½, 1, ½) interpolates. A network can learn that, but does not begin so. The gradient of a convolution
# with stride 2 has the same pattern: some points of its picture are heard four times as loud as others.

# %%
cases = {"2 × 2": ([1] * 2, [1]), "3 × 3": ([1] * 3, [1, 2, 4]), "4 × 4": ([1] * 4, [4]), "5 × 5": ([1] * 5, [4, 6, 9]),
         "(½, 1, ½)": ([0.5, 1, 0.5], [1])}
fig, axes = plt.subplots(1, 5, figsize=(11, 2.7), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
for ax, (title, (window, inside)) in zip(axes, cases.items(), strict=True):
    layer = Conv2DTranspose(1, len(window), strides=2)
    layer.build((1, 8, 8, 1))
    layer.kernel.value[:, :, 0, 0] = np.outer(window, window)
    y = layer.forward(np.ones((1, 8, 8, 1)))[0, :, :, 0]
    assert np.unique(y[4:-4, 4:-4]).tolist() == inside
    ax.imshow(y, cmap="gray", vmin=0, vmax=y.max())
    ax.set_title(title)
save_figure(fig, "15_checkerboard")

# %% [markdown]
# ## A real task: cut out the discs
# The segmentation program of document 001, section 7: two poolings make a picture a quarter as wide, two transposed
# convolutions make it as wide again. As printed they do not: without `strides=2` a picture of 128 × 128 gets a mask of 32 ×
# 32. Ours are 32 × 32, with a quarter of the filters. Asked of each point: disc, or not? Who always says no is right at 86 of
# 100. The network begins like that, with a checkerboard, and errs at the end where shapes overlap.

# %%
def scenes(count):
    pictures = rng.uniform(0, 0.3, (count, 1, 1, 3)) + rng.normal(scale=0.05, size=(count, 32, 32, 3))
    masks = np.zeros((count, 32, 32, 1))
    for picture, mask in zip(pictures, masks, strict=True):
        for disc in rng.permutation(2):                 # the second one lies on top
            away, r = np.abs(np.moveaxis(np.mgrid[:32, :32], 0, -1) - rng.uniform(5, 27, 2)), rng.uniform(5, 9)
            inside = (away ** 2).sum(axis=-1) < r * r if disc else away.max(axis=-1) < 0.85 * r
            picture[inside], mask[inside] = rng.uniform(0.3, 1, 3), disc
    return pictures, masks


def segmentation(strides):
    relu = {"activation": "relu", "padding": "same"}
    return Sequential([Input((32, 32, 3)), Conv2D(16, (3, 3), **relu), Conv2D(16, (3, 3), **relu), MaxPooling2D((2, 2)),
                       Conv2D(32, (3, 3), **relu), Conv2D(32, (3, 3), **relu), MaxPooling2D((2, 2)),
                       Conv2DTranspose(16, (3, 3), strides, **relu), Conv2DTranspose(8, (3, 3), strides, **relu),
                       Conv2D(1, (1, 1), activation="sigmoid", padding="same")])


set_random_seed(0)
(pictures, masks), (new, truth), model = scenes(600), scenes(200), segmentation(2)
print("the mask as printed:", segmentation(1).output_shape, " with strides:", model.output_shape)
model.compile(Adam(0.005), loss="binary_crossentropy", metrics=["accuracy"])
model.fit(pictures, masks, batch_size=32, verbose=0)
early = model.predict(new, verbose=0)
history = model.fit(pictures, masks, batch_size=32, epochs=29, verbose=0, validation_data=(new, truth)).history
answer = model.predict(new, verbose=0)
found, mean = answer > 0.5, AveragePooling2D(3, strides=1, padding="same").forward(truth)
wrong, edge, overlap = found != truth, (mean > 0) & (mean < 1), (found * truth).sum() / np.maximum(found, truth).sum()
print(f"{1 - wrong.mean():.1%} of the points are right, overlap with the truth {overlap:.2f}; at edges lie {edge.mean():.0%} "
      f"of the points, but {wrong[edge].sum() / wrong.sum():.0%} of the wrong ones")
assert overlap > 0.6 and round(1 - truth.mean(), 2) == 0.86
worst = np.argsort(-wrong.sum(axis=(1, 2, 3)))[:6]
rows = [np.hstack(np.broadcast_to(images[worst], (6, 32, 32, 3))) for images in (new, truth, 3 * early, answer)]
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", width_ratios=(2, 3))
left.plot(range(2, 31), history["val_accuracy"])
left.set(xlabel="epoch", ylabel="points of new pictures that are right")
right.imshow(np.vstack(rows).clip(0, 1))
right.set(xticks=[], yticks=range(16, 128, 32), yticklabels=["picture", "truth", "after 1 epoch", "after 30 epochs"])
save_figure(fig, "15_discs")

# %% [markdown]
# ## Exercises
# Write your answers into a file and run `nblayers check transposed my_answer.py`.
# 1. On paper: the weights of `SeparableConv2D(128, 3)` and `Conv2D(128, 3)` on 64 channels, without biases: set their numbers
#    `separable` and `ordinary`. And a transposed convolution with stride 2, $x = (2, -1, 1)$, $w = (1, 3, -1)$: set `y`.
# 2. A backward to fill in: `transposed_backward(x, w, dy, s)`, x (T, C), w (K, F, C), dy ((T - 1) s + K, F): return
#    `dx, dw, db`.
# 3. A bug: this backward passes with `depth_multiplier` 1. Write it right as `fixed_depthwise_backward(x, w, dy)`.
# 4. An experiment: lay windows of ones over a long row of ones, by `Conv1DTranspose` with stride 3. Which of the sizes 1 to 9
#    cover it evenly, but for the ends? Set `even`, a list.
# ```python
# def depthwise_backward(x, w, dy):
#     K, C, M = w.shape
#     dx, dw, dy = np.zeros_like(x), np.zeros_like(w), dy.reshape(len(dy), M, C)
#     for i, k in np.ndindex(len(dy), K):
#         dw[k] += x[i + k][:, None] * dy[i].T
#         dx[i + k] += (w[k] * dy[i].T).sum(axis=1)
#     return dx, dw
# ```
