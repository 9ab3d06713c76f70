# %% [markdown]
# # 14 · Pooling, and what a tie does
#
# *About 25 minutes.* Behind a convolution one often asks less than "what is where": **is it there at all?** Pooling keeps one
# number of each window, the largest or the mean, and has nothing to learn. Its backward is two lines. But what is the
# derivative of a maximum that several numbers reach? You will see the numerical derivative, our witness, fail for once.
#
# ## A question first
# A picture of 8 × 8 points is pooled by windows of 2 × 2, which do not overlap. How many of its points get a gradient if the
# windows keep their maximum? How many if they keep their mean? And if the picture is all black, so that the four points of
# every window are equal? Write down your guesses.

# %%
import matplotlib.pyplot as plt
import numpy as np

from lessons import data
from nblayers import layers, nn
from nblayers.learn.tools import check_derivative, numerical_derivative, save_figure, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %% [markdown]
# ## Numbers for paper, and forward
# Six numbers, windows of two. The document's windows begin at every $i$:
# $$\text{output}[i] = \max(x[i:i+pool\_size]) \tag{001.08.MaxPooling1D}$$
# $$\text{output}[i] = \frac{1}{pool\_size} \sum_{j=0}^{pool\_size-1} x[i+j] \tag{001.08.AveragePooling1D}$$
# Keras' window $i$ begins at $i \cdot s$. The stride $s$ is the pool size where nobody gives one: the windows lie side by side.

# %%
x, dy, p = np.array([1.0, 4.0, 2.0, 0.0, 3.0, 5.0]), np.array([1.0, -1.0, 2.0]), 2


def pool(x, reduce, p=p, s=p):
    return np.array([reduce(x[i:i + p]) for i in range(0, len(x) - p + 1, s)])


assert np.array_equal(pool(x, np.max), [4, 2, 5]) and np.array_equal(pool(x, np.mean), [2.5, 1, 4])

# %% [markdown]
# ## Backward: to the winner, or to everyone
# The old question: **in which output does $x_m$ occur, and with what factor?** In the mean of its window, with factor $1/p$.
# In its maximum with factor 1 if it is the largest: move it a little, and $y_i$ moves as much. Otherwise with 0: move it a
# little, and $y_i$ stays. With $k^*_i$ the place of the winner in window $i$:
# $$dx_{is+k^*_i} += dy_i \qquad\qquad dx_{is+k} += \frac{dy_i}{p} \quad \text{for all } k < p$$
# So forward has to remember who won, one small number for each window, and nothing else: not $x$.

# %%
winner = pool(x, np.argmax)
dx_max, dx_mean = np.zeros(6), np.zeros(6)
for i in range(3):
    dx_max[i * p + winner[i]] += dy[i]                  # from (001.08.MaxPooling1D)
    dx_mean[i * p:i * p + p] += dy[i] / p               # from (001.08.AveragePooling1D)
print("maxima", pool(x, np.max), "means", pool(x, np.mean), "dx of the maxima", dx_max, "of the means", dx_mean)
check_derivative("dx of the maxima", dx_max, lambda x: dy @ pool(x, np.max), x)
check_derivative("dx of the means", dx_mean, lambda x: dy @ pool(x, np.mean), x)

# %% [markdown]
# ## What a tie does
# Three numbers, all 2. Raise one by $h$, and the maximum rises by $h$; lower it, and nothing happens: slope 1 to the right,
# 0 to the left. **There is no derivative here.** The witness takes the mean of both and says ½ for each. That is 1.5 in all;
# but raise the three together, and the maximum rises by $h$, once. What can still be asked of a $g$ is that it never promises
# too much, whatever the step $v$:
# $$\max(x + v) \ge \max(x) + g \cdot v$$
# Such a $g$ is called a *subgradient*. At a tie, all are right that share out exactly 1 and give no one a negative part.

# %%
tie, rng = np.array([2.0, 2.0, 2.0]), np.random.default_rng(0)
witness = numerical_derivative(np.max, tie)
assert np.allclose(witness, 0.5) and np.isclose(numerical_derivative(lambda h: (tie + h).max(), 0.0), 1)
steps = rng.normal(size=(1000, 3))
rules = {"all to the first": [1, 0, 0], "shared evenly": [1 / 3] * 3, "the witness": witness, "each gets all": [1, 1, 1]}
for name, g in rules.items():
    kept = np.mean((tie + steps).max(axis=1) >= 2 + steps @ g - 1e-12)
    print(f"{name:16} {np.round(g, 2)} keeps its promise at {kept:.0%} of the steps")
    assert (kept == 1) == (sum(g) < 1.01)

# %% [markdown]
# So there is a choice. PyTorch's `max_pool2d` and Keras (on JAX) give all to the **first** of the window, in reading order; so
# do we. It costs nothing: a position has to be kept anyhow, a count of the winners would come on top. (A plain maximum over
# axes, `amax`, shares evenly in both. Keras' *global* pooling is made of that; ours stays with the first.) The last row is a
# bug that many have written: `dx = (x == y) * dy`. Every tie makes the gradient larger than it is. And ties are not rare:

# %%
digits, kinds = data.digits()
fours = digits.reshape(-1, 4, 2, 4, 2).swapaxes(2, 3).reshape(-1, 4)            # the four points of each window
tied, black = (fours == fours.max(axis=1, keepdims=True)).sum(axis=1) > 1, fours.max(axis=1) == 0
print(f"handwritten digits: {tied.mean():.0%} of the windows of 2 × 2 are tied, {black.mean():.0%} all black")
assert 0.3 < tied.mean() < 0.5

# %% [markdown]
# ## More dimensions, overlap, edges
# $$\text{output}[i,j] = \max(x[i:i+pool\_size, j:j+pool\_size]) \tag{001.08.MaxPooling2D}$$
# $$\text{output}[i,j] = \frac{1}{pool\_size} \sum_{m=0}^{pool\_size-1} \sum_{n=0}^{pool\_size-1} x[i+m,j+n]
#   \tag{001.08.AveragePooling2D}$$
# A third letter makes (001.08.MaxPooling3D) and (001.08.AveragePooling3D) of them. The mean of a square window has to be
# divided by $pool\_size^2$, though, of a cube by $pool\_size^3$. Where windows **overlap**, a point can win several times
# and collects from all: `+=`. With `same` padding windows hang over the edge, as in lesson 13. Document 002 adds zeros there.
# But a zero would *win* where all numbers are negative: for a maximum the padding is $-\infty$. And the mean is that of the
# points which a window really has.

# %%
def cells(i, size, s, p, shape):
    """The points of window i that lie in the picture, in reading order; p is the padding in front."""
    places = (tuple(np.array(i) * s + k - p) for k in np.ndindex(*size))
    return [m for m in places if all(0 <= place < n for place, n in zip(m, shape, strict=True))]


def pool_any(x, reduce, size, s, p, out):
    return np.array([reduce([x[m] for m in cells(i, size, s, p, x.shape)]) for i in np.ndindex(*out)]).reshape(out)


def pool_backward(x, dy, maximum, size, s, p):
    dx = np.zeros_like(x)
    for i in np.ndindex(*dy.shape):
        window = cells(i, size, s, p, x.shape)
        if maximum:
            dx[window[np.argmax([x[m] for m in window])]] += dy[i]      # argmax: the first of those that tie
        else:
            for m in window:
                dx[m] += dy[i] / len(window)
    return dx


def example(layer, reduce, shape, s, p, out):
    x, dy = rng.permutation(np.prod(shape)).reshape(shape) - 20.0, rng.integers(-3, 4, out).astype(float)
    dx = pool_backward(x, dy, reduce is np.max, layer.pool_size, s, p)
    check_derivative(f"{layer.name}: dx", dx, lambda x: np.sum(dy * pool_any(x, reduce, layer.pool_size, s, p, out)), x)
    return layer, x, dy, pool_any(x, reduce, layer.pool_size, s, p, out), dx


examples = [example(layers.MaxPooling2D(3, 2, "same", dtype="float64"), np.max, (5, 6), 2, (1, 0), (3, 3)),
            example(layers.AveragePooling2D(3, 2, "same", dtype="float64"), np.mean, (5, 6), 2, (1, 0), (3, 3)),
            example(layers.MaxPooling3D(2, strides=1, dtype="float64"), np.max, (3, 3, 2), 1, 0, (2, 2, 1))]
ones = np.ones((1, 4, 1))
print("means of ones, `same`:", layers.AveragePooling1D(3, 1, "same").forward(ones).ravel(), " in PyTorch, whose zeros count:",
      nn.AvgPool1d(3, 1, padding=1).forward(ones.swapaxes(1, 2)).ravel().round(2))

# %% [markdown]
# ## The same in the library
# The layers give our numbers. One implementation serves sequences, pictures and volumes, and **global** pooling as well: it is
# pooling with one window as large as the picture, in each channel on its own.
# $$\text{output} = \max(x) \tag{001.08.GlobalMaxPooling2D}$$
# $$\text{output} = \frac{1}{H \cdot W} \sum_{i=0}^{H-1} \sum_{j=0}^{W-1} x[i,j] \tag{001.08.GlobalAveragePooling2D}$$
# (The others: (001.08.GlobalMaxPooling1D), (001.08.GlobalAveragePooling1D), which leaves out the steps that a mask hides,
# (001.08.GlobalMaxPooling3D) and (001.08.GlobalAveragePooling3D).) In the sources, find the line that lets the first win. The
# fast rooms turn backward round: each point asks the windows that lie over it, so that no two threads write to one place.

# %%
for layer, x, dy, y, dx in examples:
    assert np.allclose(layer.forward(x[None, ..., None])[0, ..., 0], y, rtol=1e-15)
    assert np.allclose(layer.backward(dy[None, ..., None])[0, ..., 0], dx, rtol=1e-15, atol=1e-15)
show_source("nblayers.layers.pooling.maximum:Maximum", "kernels.reference.pooling:max_pool",
            "kernels.reference.pooling:max_pool_gradient", "kernels.reference.pooling:_cells", "kernels.cpu.pooling:_max_rows",
            "kernels.cpu.pooling:_max_gradient_rows", "kernels.cuda.pooling:_max_pool_gradient")
picture = np.stack([digits[0].reshape(8, 8), np.zeros((8, 8))])[..., None]


def landed(layer, x=picture):
    """Where a gradient of 1 at every output lands."""
    return layer.backward(np.ones_like(layer.forward(x)))[..., 0]


largest, mean = landed(layers.MaxPooling2D(2)), landed(layers.AveragePooling2D(2))
assert np.all(np.count_nonzero(largest, axis=(1, 2)) == 16) and np.all(mean == 0.25)            # of 64: the answers
assert np.array_equal(largest[1].nonzero(), np.indices((4, 4)).reshape(2, 16) * 2)      # black: the first point of each window

# %% [markdown]
# ## A picture: where max-pooling's gradient lands
# 1 is sent into every output. The maxima send it to single points, 16 of 64: to the stroke, and where all is black to the first
# of every window, a grid that the picture does not have. (Behind a relu such zeros do no harm: its slope is 0 there.) Windows
# of 3 × 3 that overlap agree on fewer winners, each of up to nine windows. The means send it everywhere, thinly.

# %%
shown = {"maximum, 2 × 2": largest[0], "the same of a black picture": largest[1],
         "maximum, 3 × 3, stride 1": landed(layers.MaxPooling2D(3, 1))[0],
         "mean, 3 × 3, stride 2": landed(layers.AveragePooling2D(3, 2))[0],
         "global maximum": landed(layers.GlobalMaxPooling2D())[0]}
assert shown["maximum, 3 × 3, stride 1"].sum() == 36 and np.count_nonzero(shown["global maximum"]) == 1
fig, axes = plt.subplots(1, 6, figsize=(15, 2.9), layout="constrained", subplot_kw={"xticks": [], "yticks": []})
axes[0].imshow(picture[0], cmap="gray")
for ax, (title, values) in zip(axes[1:], shown.items(), strict=True):
    ax.imshow(values, cmap="magma_r", vmin=0, vmax=1.5 * values.max())
    ax.set_title(title)
    for row, column in np.argwhere(values):
        ax.text(column, row, f"{values[row, column]:.2g}", ha="center", va="center", fontsize=6)
save_figure(fig, "14_where_it_lands")

# %% [markdown]
# ## A real task: is it there?
# A hundred steps of noise, and somewhere in them, for sixteen steps, a chirp: rising or falling? Where, does not matter. Eight
# windows look for it; then comes a pooling over all steps, and one Dense unit. The maximum hears the loudest step of each
# window and nothing of the rest. The mean drowns it in the noise of all the others (and learns, but slowly). A Dense layer
# over all places has to learn the chirp anew at each of them.

# %%
rise = np.sin(8 * np.pi * np.linspace(0, 1, 16) ** 2) * np.hanning(16)


def signals(count):
    kind, begin = rng.integers(2, size=count), rng.integers(84, size=count)
    x, time = rng.normal(size=(count, 100, 1)), begin[:, None] + np.arange(16)
    x[np.arange(count)[:, None], time, 0] += 3 * np.where(kind[:, None], rise, rise[::-1])
    return x.astype("float32"), kind, time


x, kind, _ = signals(1000)
new, truth, time = signals(1000)
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.3), layout="constrained")
tails = {"maximum": layers.GlobalMaxPooling1D(), "mean": layers.GlobalAveragePooling1D(), "all places": layers.Flatten()}
for name, tail in tails.items():
    set_random_seed(0)
    model = Sequential([layers.Input((100, 1)), layers.Conv1D(8, 16, activation="relu"), tail,
                        layers.Dense(1, activation="sigmoid")])
    model.compile(Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    curve = model.fit(x, kind, batch_size=50, epochs=12, verbose=0, validation_data=(new, truth)).history["val_accuracy"]
    guess = model.forward(new)
    heard = np.abs(model.backward(np.ones_like(guess))[..., 0])                 # what each step has to do with the answer
    part, correct = np.take_along_axis(heard, time, axis=1).sum(axis=1) / heard.sum(axis=1), (guess[:, 0] > 0.5) == truth
    print(f"{name}: {model.count_params()} weights, {curve[-1]:.1%} right; {part.mean():.0%} of the gradient is on the chirp")
    assert (curve[-1] > 0.95 and part.mean() > 0.7) if name == "maximum" else (curve[-1] < 0.8 and part.mean() < 0.4)
    left.plot(range(1, 13), curve, label=name)
    if name == "maximum":
        print(f"    where it is wrong, {part[~correct].mean():.0%}: the noise has been louder than the chirp")
        n = np.flatnonzero(correct)[0]
        right.plot(new[n, :, 0], color="0.6", label="a signal")
        right.fill_between(range(100), -4, 4 * heard[n] / heard[n].max() - 4, label="where the gradient lands")
        right.axvspan(time[n, 0], time[n, -1], alpha=0.2, label="the chirp")
left.set(xlabel="epoch", ylabel="new signals that are right")
for ax in (left, right):
    ax.legend(fontsize=8)
save_figure(fig, "14_chirps")

# %% [markdown]
# ## Exercises
# Write your answers into a file and run `nblayers check pooling my_answer.py`.
# 1. On paper: $x = (3, 1, 3, 2, 5)$, windows of three, stride 1, $dy = (1, 2, -1)$. Set `dx_max` and `dx_mean`.
# 2. A backward to fill in: `max_pool_backward(x, dy, p, s)` for pictures with channels, x (H, W, C), dy (H', W', C), windows
#    p × p, stride s, no padding: return `dx`. Windows may overlap; a tie goes to the first.
# 3. A bug: the backward below passes every gradient check, for random numbers do not tie. Write it right as
#    `fixed_max_backward(x, y, dy, p)`, x (T,), y (T / p,) the maxima: a tie goes to the first.
# 4. An experiment: a long sequence of random numbers goes through `MaxPooling1D(3, strides=1)`. To what part of them does no
#    gradient come at all? Set `silent`, to a hundredth. (Can you say why?)
# ```python
# def max_backward(x, y, dy, p):
#     return (x == np.repeat(y, p)) * np.repeat(dy, p)
# ```
