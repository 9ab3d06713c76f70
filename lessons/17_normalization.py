# %% [markdown]
# # 17 · Normalisation: batch, layer, group, unit and spectral
#
# *About 45 minutes.* A deep network multiplies many times, so what goes through it
# grows or dies. A **normalisation** sets it right in between: it takes off the mean and
# divides by the spread. Its backward is feared, for the mean and the spread depend on
# all the numbers too. You write it term by term, for batch norm. Then most of it
# collapses to one line. And that one line is the backward of layer, group and unit norm
# as well: only the axis changes.
#
# ## A question first
#
# A batch normalisation layer is in training. Its gradient by the inputs is $dx$.

# %%
import numpy as np

from lessons.data import digits
from lessons.figures import draw_digit_mistakes, draw_starts, draw_who_hears_whom
from nblayers import trace
from nblayers.initializers import RandomNormal
from nblayers.layers import (
    Activation,
    BatchNormalization,
    Dense,
    GroupNormalization,
    LayerNormalization,
    SpectralNormalization,
    UnitNormalization,
)
from nblayers.learn.graph import computation, show_graph
from nblayers.learn.tools import check_derivative, save_figure, save_page, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %%
# ? guess: what is the sum of dx over the samples of the batch?
sum_of_dx = 0.0
# ? guess: all inputs are multiplied by 1000. By what is the output multiplied?
times = 1.0
# ? guess: a batch of one sample, in training; beta is 0. What comes out?
alone = 0.0

# %% [markdown]
# ## Numbers for paper
#
# Four samples ($N = 4$) of two features ($C = 2$). Two samples are too few here: one
# is always above the mean, the other as far below. So they become $1$ and $-1$,
# whatever they were.

# %%
x = np.array([[1.0, 4.0],
              [3.0, 0.0],
              [5.0, 0.0],
              [7.0, 4.0]])                      # (N, C)
gamma = np.array([2.0, 1.0])                    # (C,): learned
beta = np.array([0.0, 1.0])                     # (C,): learned
eps = 1e-3                                      # ε, so that nothing is divided by 0
N, C = x.shape

# %% [markdown]
# ## A picture of the computation
#
# Look how often $x$ forks. It goes into the mean, into the difference from it, and from
# there into the **variance** $\sigma^2$: the mean square of the differences. Each fork
# is a sum in the backward.

# %%
show_graph(computation("batch_norm"))

# %% [markdown]
# ## Forward: mean and variance
#
# Both are taken of each feature **over the batch**. There are $C$ of each.
#
# $$\mu = \frac{1}{N} \sum_n x_n \qquad
#   \sigma^2 = \frac{1}{N} \sum_n (x_n - \mu)^2$$

# %%
# ? mean, of each feature over the samples, (C,)
mean = x.mean(axis=0)
print("mean =", mean.tolist())
centred = x - mean                              # (N, C)
# ? var, of each feature over the samples, from centred, (C,)
var = (centred ** 2).mean(axis=0)
print("var =", var.tolist())
assert np.array_equal(mean, [4, 2]) and np.array_equal(var, [5, 4])

# %% [markdown]
# ## Forward: normalised, then scaled
#
# The differences are divided by their spread. We call that $\hat{x}$. Then each feature
# is given a scale $\gamma$ and a shift $\beta$ of its own, which are learned:
#
# $$\hat{x} = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \qquad
#   y = \gamma \hat{x} + \beta$$
#
# Many texts write both in one:
#
# $$BN(x) = \gamma \left( \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \right) + \beta
#   \tag{001.11.BatchNormalization}$$
#
# In Keras $\epsilon$ is $10^{-3}$, and it stands under the root.

# %%
std = np.sqrt(var + eps)                        # (C,)
# ? x_hat, from centred and std
x_hat = centred / std                           # (N, C)
print("x_hat =", x_hat.round(3).tolist())
y = gamma * x_hat + beta                        # (N, C)
print("y =", y.round(3).tolist())
assert np.allclose(x_hat.mean(axis=0), 0)
assert np.allclose(x_hat.var(axis=0), 1, atol=1e-3)

# %% [markdown]
# ## Backward: scale and shift
#
# The layers above say how the loss grows with $y$: that is $dy$. $\beta$ and $\gamma$
# stand in every sample. The factor beside $\beta$ is 1. That beside $\gamma$ is
# $\hat{x}$.

# %%
dy = np.array([[1.0, 0.0],
               [-2.0, -1.0],
               [0.0, 2.0],
               [2.0, 4.0]])                     # (N, C)


def batch_norm(x, gamma, beta):
    centred = x - x.mean(axis=0)
    x_hat = centred / np.sqrt((centred ** 2).mean(axis=0) + eps)
    return gamma * x_hat + beta


def loss(x=x, gamma=gamma, beta=beta):
    return np.sum(dy * batch_norm(x, gamma, beta))


# ? dbeta, from y = gamma x_hat + beta, (C,)
dbeta = dy.sum(axis=0)
check_derivative("dbeta", dbeta, lambda beta: loss(beta=beta), beta)
# ? dgamma, from y = gamma x_hat + beta, (C,)
dgamma = (dy * x_hat).sum(axis=0)
check_derivative("dgamma", dgamma, lambda gamma: loss(gamma=gamma), gamma)
# ? dx_hat, from y = gamma x_hat + beta, (N, C)
dx_hat = dy * gamma
check_derivative("dx_hat", dx_hat,
                 lambda x_hat: np.sum(dy * (gamma * x_hat + beta)), x_hat)

# %% [markdown]
# ## Backward: the variance
#
# $\hat{x} = (x - \mu) (\sigma^2 + \epsilon)^{-1/2}$. The derivative of $z^{-1/2}$ is
# $-\frac{1}{2} z^{-3/2}$. And one variance serves all samples, so it collects from all.

# %%
show_graph(computation("batch_norm"), lit="dx_hat -> dvar")
# ? dvar, from x_hat = centred (var + eps)^(-1/2), (C,)
dvar = (dx_hat * centred).sum(axis=0) * -0.5 * (var + eps) ** -1.5
check_derivative("dvar", dvar,
                 lambda var: np.sum(dx_hat * centred / np.sqrt(var + eps)), var)

# %% [markdown]
# $$d\sigma^2 = \sum_n d\hat{x}_n (x_n - \mu) \cdot
#   \left( -\frac{1}{2} \right) (\sigma^2 + \epsilon)^{-3/2}$$
#
# ## Backward: the mean
#
# $\mu$ is taken off in $x - \mu$, in every sample. From there it goes two ways: into
# $\hat{x}$, and into the variance. The second way has the factor
# $\frac{2}{N} \sum_n (x_n - \mu)$. But differences from a mean add up to 0. So the
# second way brings nothing. Leave it out.

# %%
show_graph(computation("batch_norm"), lit=["dcentred -> dmean", "dx_hat -> dcentred"])
assert np.allclose(centred.sum(axis=0), 0)
# ? dmean, all that arrives at the mean, (C,)
dmean = -(dx_hat / std).sum(axis=0)


def loss_by_mean(mean):
    centred = x - mean
    var = (centred ** 2).mean(axis=0)
    return np.sum(dx_hat * centred / np.sqrt(var + eps))


check_derivative("dmean", dmean, loss_by_mean, mean)

# %% [markdown]
# $$d\mu = -\sum_n \frac{d\hat{x}_n}{\sqrt{\sigma^2 + \epsilon}}$$
#
# ## Backward: the inputs
#
# A number $x_n$ goes three ways. Straight into $\hat{x}_n$, with the factor
# $1 / \sqrt{\sigma^2 + \epsilon}$. Into the variance, with $2 (x_n - \mu) / N$. Into
# the mean, with $1 / N$. The chain rule adds all three.

# %%
show_graph(computation("batch_norm"), lit=["dx_hat -> dcentred", "dvar -> dcentred",
                                           "dcentred -> dx", "dmean -> dx"])
# ? dx, by three ways: from dx_hat, dvar and dmean, (N, C)
dx = dx_hat / std + dvar * 2 * centred / N + dmean / N
print("dx =", dx.round(4).tolist())
check_derivative("dx", dx, lambda x: loss(x), x)

# %% [markdown]
# $$dx_n = \frac{d\hat{x}_n}{\sqrt{\sigma^2 + \epsilon}}
#   + d\sigma^2 \, \frac{2 (x_n - \mu)}{N} + \frac{d\mu}{N}$$
#
# And now two of the questions:

# %%
print("sum of dx:", dx.sum(axis=0))
assert np.allclose(dx.sum(axis=0), sum_of_dx, atol=1e-12)
grown = (1000 * centred) / np.sqrt(1e6 * var + eps)
assert np.allclose(grown, times * x_hat, atol=1e-3)

# %% [markdown]
# If all inputs of a feature rise by 1, nothing changes: the mean takes it off. So the
# gradients add up to 0. If all are stretched, nothing changes either:
# $\sum_n dx_n (x_n - \mu)$ is 0 too, but for $\epsilon$.
#
# ## Collapsed
#
# The formula of $dx$ has three terms. Put the formulas of $d\sigma^2$ and $d\mu$ into
# it, and use $x - \mu = \hat{x} \sqrt{\sigma^2 + \epsilon}$. In the middle term the
# powers of $\sigma^2 + \epsilon$ come to $-1/2$, as in the others. So all three are
# divided by `std`, and in two of them a mean over the samples stands. Work it out on
# paper.

# %%
# ? dx_short, the one line: from dx_hat, x_hat and std
dx_short = (dx_hat - dx_hat.mean(axis=0)
            - x_hat * (dx_hat * x_hat).mean(axis=0)) / std
check_derivative("dx", dx_short, lambda x: loss(x), x)
assert np.allclose(dx_short, dx)

# %% [markdown]
# $$dx = \frac{1}{\sqrt{\sigma^2 + \epsilon}} \left( d\hat{x}
#   - \frac{1}{N} \sum_n d\hat{x}_n
#   - \hat{x} \, \frac{1}{N} \sum_n d\hat{x}_n \hat{x}_n \right)$$
#
# Read it like this. Of what arrives, take off **its mean**. Then take off its part
# **along $\hat{x}$**. Divide by the spread.
#
# ## Training and inference
#
# When training is over, the network is used. That is called **inference**. There one
# sample may come alone, without a batch. In training it would be its own mean, and
# nothing would be left of it:

# %%
assert np.array_equal(batch_norm(x[:1], 1, 0), [[alone, alone]])

# %% [markdown]
# So the layer keeps a **moving mean** and a **moving variance**. In training each batch
# changes them a little, by the **momentum** $m$ (in Keras 0.99):
#
# $$\mu_{moving} \leftarrow m \, \mu_{moving} + (1 - m) \, \mu$$
#
# The moving mean begins with 0, the moving variance with 1. Here they have seen some
# batches. No gradient goes through them.

# %%
momentum = 0.99
moving_mean = np.array([3.0, 1.0])              # (C,), so far
moving_var = np.array([2.0, 3.0])               # (C,), so far
moving_var = momentum * moving_var + (1 - momentum) * var
# ? moving_mean, after this batch
moving_mean = momentum * moving_mean + (1 - momentum) * mean
print("moving mean:", moving_mean.tolist(), " moving variance:", moving_var.tolist())

# %% [markdown]
# In inference these two stand in the place of $\mu$ and $\sigma^2$. They are constants
# there. So only the straight way is left. A layer that is frozen
# (`layer.trainable = False`) works like that too, also inside `fit`.

# %%
y_used = gamma * (x - moving_mean) / np.sqrt(moving_var + eps) + beta


def loss_in_use(x):
    return np.sum(dy * (gamma * (x - moving_mean) / np.sqrt(moving_var + eps) + beta))


# ? dx_used, the gradient by x of the layer in inference
dx_used = dy * gamma / np.sqrt(moving_var + eps)
check_derivative("dx in inference", dx_used, loss_in_use, x)

# %% [markdown]
# ## Layer norm: the same along the other axis
#
# Batch norm needs a batch, and a new sample changes what becomes of the others. **Layer
# normalisation** takes mean and variance of each sample, **over its features**. There
# are $N$ of each. Training and inference are one.
#
# $$LN(x) = \gamma \left( \frac{x - mean(x)}{\sqrt{var(x) + \epsilon}} \right) + \beta
#   \tag{001.11.LayerNormalization}$$
#
# $\gamma$ and $\beta$ still have one number for each feature. In $dx$ there is a trap.
# The means now run over the features, and each has another $\gamma$. So $\gamma$ comes
# **first**, in $d\hat{x}$.

# %%
x = np.array([[1.0, 2.0, 3.0, 6.0],
              [0.0, 4.0, -2.0, 2.0]])           # (N, C): two samples will do
gamma = np.array([1.0, 2.0, -1.0, 0.5])         # (C,)
dy = np.array([[1.0, 0.0, -1.0, 2.0],
               [0.0, 2.0, 1.0, -1.0]])          # (N, C)
N, C = x.shape


def normalized(x, axis):
    centred = x - x.mean(axis=axis, keepdims=True)
    std = np.sqrt((centred ** 2).mean(axis=axis, keepdims=True) + eps)
    return centred / std, std


x_hat, std = normalized(x, axis=1)              # (N, C), (N, 1)
# ? dx_layer: dx of the layer norm y = gamma x_hat, in one line
dx_layer = (dy * gamma - (dy * gamma).mean(axis=1, keepdims=True)
            - x_hat * (dy * gamma * x_hat).mean(axis=1, keepdims=True)) / std
check_derivative("dx of layer norm", dx_layer,
                 lambda x: np.sum(dy * gamma * normalized(x, 1)[0]), x)

# %% [markdown]
# ## One backward for all
#
# Nothing in it depends on which axis it is. Write it for any `axis`, which may be
# several: `(0, 1, 2)` for batch norm on images (N, rows, columns, C).

# %%
# ? [normalized_backward] def normalized_backward(dx_hat, x_hat, std, axis): return dx
def normalized_backward(dx_hat, x_hat, std, axis):
    shift = dx_hat.mean(axis=axis, keepdims=True)
    along = (dx_hat * x_hat).mean(axis=axis, keepdims=True)
    return (dx_hat - shift - x_hat * along) / std


assert np.allclose(normalized_backward(dy * gamma, x_hat, std, 1), dx_layer)

# %% [markdown]
# ## Group norm: between the two
#
# The features lie side by side in **groups**. Each sample has one mean and one variance
# for each group, over all its places too. One group is a layer norm. As many groups as
# features is called instance norm.
#
# $$GN(x) = \frac{x - mean(x, axis)}{\sqrt{var(x, axis) + \epsilon}} \cdot \gamma
#   + \beta \tag{001.11.GroupNormalization}$$
#
# It is a `reshape`, and then the same again. We take six features now. The groups are
# features 0 to 2 and features 3 to 5.

# %%
x = np.array([[1.0, 2.0, 6.0, 0.0, 4.0, 2.0],
              [3.0, 1.0, -4.0, -2.0, 1.0, 4.0]])                # (N, C)
gamma = np.array([1.0, 2.0, -1.0, 0.5, 1.0, -2.0])              # (C,)
dy = np.array([[1.0, 0.0, -1.0, 2.0, 0.0, 3.0],
               [0.0, 2.0, 1.0, -1.0, 1.0, 0.0]])                # (N, C)
N, C = x.shape
groups = 2
x_grouped = x.reshape(N, groups, C // groups)   # (N, groups, features of a group)
x_hat, std = normalized(x_grouped, axis=2)
print("x_hat =", x_hat.round(3).tolist())
dx_hat = (dy * gamma).reshape(x_grouped.shape)
# ? dx_group, of the shape of x: call normalized_backward, then reshape
dx_group = normalized_backward(dx_hat, x_hat, std, 2).reshape(x.shape)
print("dx_group =", dx_group.round(3).tolist())


def group_loss(x):
    x_hat, _ = normalized(x.reshape(x_grouped.shape), 2)
    return np.sum(dy * gamma * x_hat.reshape(x.shape))


check_derivative("dx of group norm", dx_group, group_loss, x)

# %% [markdown]
# Why three features in a group? With two of them, as with two samples at the beginning,
# all $\hat{x}$ would be 1 or −1, but for $\epsilon$. Next to nothing would come back.
#
# ## Unit norm and RMS: without the mean
#
# Some take no mean off, so one term of the backward falls away. The **root mean
# square** is $rms = \sqrt{mean(x^2) + \epsilon}$. Most large language models take it:
# $\hat{x} = x / rms$.

# %%
rms = np.sqrt((x ** 2).mean(axis=1, keepdims=True) + eps)       # (N, 1)
x_hat = x / rms
# ? dx_rms, from dy, x_hat and rms: what is left of the one line, if no mean is taken
# ? off? (There is no gamma here.)
dx_rms = (dy - x_hat * (dy * x_hat).mean(axis=1, keepdims=True)) / rms


def rms_loss(x):
    return np.sum(dy * x / np.sqrt((x ** 2).mean(axis=1, keepdims=True) + eps))


check_derivative("dx of rms", dx_rms, rms_loss, x)

# %% [markdown]
# **Unit normalisation** makes each sample a vector of length 1. Only directions are
# left. There is a sum in the place of the mean, and no $\epsilon$.
#
# $$UN(x) = \frac{x}{\|x\|_2} \tag{001.11.UnitNormalization}$$

# %%
length = np.sqrt((x ** 2).sum(axis=1, keepdims=True))           # (N, 1)
y = x / length
# ? dx_unit, from dy, y and length
dx_unit = (dy - y * (dy * y).sum(axis=1, keepdims=True)) / length


def unit_loss(x):
    return np.sum(dy * x / np.sqrt((x ** 2).sum(axis=1, keepdims=True)))


check_derivative("dx of unit norm", dx_unit, unit_loss, x)
assert np.allclose((dx_unit * y).sum(axis=1), 0)

# %% [markdown]
# The last line says: the gradient is at a right angle to $y$. Along $y$ nothing can be
# gained, since the length is thrown away.
#
# ## Spectral norm: it is the weights that are normalised
#
# How many times as long can a matrix make a vector? At most as many as its largest
# **singular value** says. Divide $W$ by it, and the layer makes no vector longer.
#
# $$SpectralNorm = \frac{W}{\sigma(W)} \tag{001.10.SpectralNormalization}$$
#
# Many texts call it $\sigma(W)$. Here $\sigma^2$ is the variance already, so we call it
# $s$. **Power iteration** finds it. Begin with any $u$ (one number for each output). Go
# through $W$ and back, and make it length 1 each time. What is stretched most wins.
#
# $$v = \frac{W u}{\|W u\|} \qquad u = \frac{W^\top v}{\|W^\top v\|}
#   \qquad s = v^\top W u$$

# %%
W = np.array([[1.0, 2.0],
              [-1.0, 0.5],
              [0.0, 1.0]])                      # (in, out)
u = np.array([1.0, 0.0])                        # (out,)
for _ in range(20):
    v = W @ u
    v = v / np.linalg.norm(v)                   # (in,)
    u = W.T @ v
    u = u / np.linalg.norm(u)                   # (out,)
# ? s, one number, from v, W and u
s = v @ W @ u
print("s =", s)
assert np.isclose(s, np.linalg.svd(W)[1].max())

# %% [markdown]
# Keras does one iteration a step (`power_iterations=1`), and keeps $u$ for the next
# one. In the backward $v$ and $u$ count as constants. Then $s$ is a sum of products,
# and the factor beside $W_{ij}$ is $v_i u_j$. Let $\bar{W} = W / s$, and $d\bar{W}$
# what arrives there. $W$ goes two ways: straight, and through $s$.

# %%
W_bar = W / s
dW_bar = np.array([[1.0, 0.0], [2.0, -1.0], [0.0, 1.0]])
# ? ds, one number, from W_bar = W / s
ds = -np.sum(dW_bar * W_bar) / s
check_derivative("ds", ds, lambda s: np.sum(dW_bar * W / s), s)
# ? dW, by both ways (np.outer helps)
dW = dW_bar / s + ds * np.outer(v, u)
check_derivative("dW", dW, lambda W: np.sum(dW_bar * W / (v @ W @ u)), W)

# %% [markdown]
# $$ds = -\frac{1}{s} \sum_{ij} d\bar{W}_{ij} \bar{W}_{ij} \qquad
#   dW = \frac{d\bar{W}}{s} + ds \, v u^\top$$
#
# (Constants or not, it makes no difference in the end: where $v$ and $u$ are best, a
# small change of theirs does not change $s$.)
#
# ## The same in the library
#
# First unit norm, and a Dense layer whose weights are normalised. Its inputs are the
# rows of a unit matrix, so its outputs are $\bar{W}$ itself.

# %%
unit = UnitNormalization(dtype="float64").to("reference")
assert np.allclose(unit.forward(x), y, rtol=1e-14)
assert np.allclose(unit.backward(dy), dx_unit, rtol=0, atol=1e-14)

dense = Dense(2, use_bias=False)
spectral = SpectralNormalization(dense, power_iterations=20, dtype="float64")
spectral.to("reference").build((3, 3))
spectral.set_weights([W, [[1.0, 0.0]]])         # and the u that it begins with
assert np.allclose(spectral.forward(np.eye(3), training=True), W_bar)
spectral.backward(dW_bar)
assert np.allclose(dense.kernel.grad, dW)

# %% [markdown]
# ## In the library: one backward, three layers
#
# Now three layers on the same images, each with a $\gamma$ and a $\beta$ of ours. Our
# two functions give what they give. Only `axis` differs.

# %%
rng = np.random.default_rng(0)
images, dy = rng.normal(size=(2, 3, 4, 5, 6))   # (N, rows, columns, C) each
gamma, beta = rng.normal(size=(2, 6))


def same_as_ours(layer, axis):
    layer.to("reference").build(images.shape)
    layer.gamma.value[:] = gamma
    layer.beta.value[:] = beta
    x_hat, std = normalized(images, axis)
    dx = normalized_backward(dy * gamma, x_hat, std, axis)
    assert np.allclose(layer.forward(images, training=True), gamma * x_hat + beta)
    assert np.allclose(layer.backward(dy), dx, rtol=0, atol=1e-13)
    assert np.allclose(layer.gamma.grad, (dy * x_hat).sum(axis=(0, 1, 2)))
    assert np.allclose(layer.beta.grad, dy.sum(axis=(0, 1, 2)))


batch_layer = BatchNormalization(dtype="float64")
same_as_ours(batch_layer, (0, 1, 2))
same_as_ours(LayerNormalization(dtype="float64"), 3)
same_as_ours(GroupNormalization(groups=6, dtype="float64"), (1, 2))
assert np.allclose(batch_layer.moving_mean.value, 0.01 * images.mean(axis=(0, 1, 2)))

# %% [markdown]
# In the library's room for reading, one set of numbers back is a function too. It has
# the name of yours. Compare them. Its `rstd` is $1 / \sqrt{\sigma^2 + \epsilon}$, and
# `(x - mean) * rstd` is $\hat{x}$.

# %%
show_source("kernels.reference.normalization:normalize_row_backward")

# %% [markdown]
# (With `centred=False` it is what Keras calls `rms_scaling`. There no mean is taken off
# $x$, but the variance is still that about the mean: not quite our RMS.)

# %% [markdown]
# ## Watch it
#
# Watch a few of the numbers on a page: which mean and variance they share, and what
# comes back through both. Open it in a browser; the right arrow takes a step.
# (`nblayers microscope batch_norm` opens one of a trained network.)
#
# A column is a feature here, a row a place of a picture. Step 2 (`mean`) and step 3
# (`variance`) have one number for each column. In step 16 (`dx`) the table has two
# lines: what comes straight from $y$, and what comes through mean and variance, which
# all rows of the column share. Below it open "these numbers as a table", and add up a
# column by eye. What is its sum, and why?

# %%
with trace() as seen:
    batch_layer.forward(images[:, :1, :2], training=True)
    batch_layer.backward(dy[:, :1, :2])
save_page(seen, "17_microscope")
mean = images[:, :1, :2].mean(axis=(0, 1, 2))
assert np.allclose(seen.find("mean")[0].value, mean, rtol=0, atol=1e-14)
# 0: the same number added to a whole column changes no output.
assert np.allclose(seen.find("dx")[-1].value.sum(axis=(0, 1, 2)), 0, atol=1e-13)

# %% [markdown]
# ## A picture: who hears whom
#
# Four samples of six places and eight features. One number of the output asks: on which
# inputs do I depend? Its $dx$ answers.

# %%
small = rng.normal(size=(4, 6, 8))              # (N, places, C)
layers = {"batch norm": BatchNormalization(),
          "layer norm": LayerNormalization(),
          "group norm, 4 groups": GroupNormalization(4),
          "unit norm": UnitNormalization()}
heard = {}
for name, layer in layers.items():
    one = np.zeros(small.shape)
    one[1, 2, 3] = 1                            # sample 1, place 2, feature 3
    layer.forward(small, training=True)
    heard[name] = np.abs(layer.backward(one))
    print(f"{name}: hears {np.count_nonzero(heard[name])} of {small.size} numbers")
assert np.count_nonzero(heard["batch norm"]) == 4 * 6       # one feature
assert np.count_nonzero(heard["layer norm"]) == 8           # one place
assert np.count_nonzero(heard["group norm, 4 groups"]) == 6 * 2
save_figure(draw_who_hears_whom(heard), "17_who_hears_whom")

# %% [markdown]
# ## A real task: six layers, badly begun
#
# 1,797 digits of 8 × 8 points. We hold back 497 of them. The network has six hidden
# layers of 32 units, with relu. Its first weights are drawn at random. Their spread is
# right (1), or up to ten times too small or too large. Lesson 21 says how to choose it.
# Here it is chosen badly, on purpose. The **baseline** is the network
# without normalisation.

# %%
pictures, kinds = digits()
order = np.random.default_rng(0).permutation(len(pictures))
pictures = pictures[order].reshape(-1, 64) / 16
kinds = kinds[order]
ways = {"none": list,
        "batch norm": lambda: [BatchNormalization(momentum=0.9)],
        "layer norm": lambda: [LayerNormalization()]}


def hidden(spread, way):
    """A layer of 32 units, normalised before its relu."""
    first = RandomNormal(stddev=spread * np.sqrt(2 / 32))
    return [Dense(32, kernel_initializer=first), *ways[way](), Activation("relu")]


def train(spread, way):
    """What the trained network says of the new digits."""
    set_random_seed(0)
    layers = [layer for _ in range(6) for layer in hidden(spread, way)]
    model = Sequential([*layers, Dense(10, activation="softmax")])
    model.compile(Adam(0.005), "sparse_categorical_crossentropy")
    model.fit(pictures[497:], kinds[497:], batch_size=50, epochs=12, verbose=0)
    return model.predict(pictures[:497], verbose=0).argmax(axis=1)


# %% [markdown]
# ## The task: what helps a bad start?
#
# Why the momentum of 0.9? There are only 312 batches. With 0.99, of the 1 with which a
# moving variance begins so much would still be in it:

# %%
left = 0.99 ** (12 * 26)
print(f"{left:.0%}")
assert 0.04 < left < 0.05

# %% [markdown]
# That is little, unless the true variance is 0.01. Then the network is another one in
# use than in training. A moving average that lags behind is what goes wrong most often
# with batch norm.

# %%
spreads = [0.1, 0.3, 1.0, 3.0, 10.0]
truth = kinds[:497]
right = {}
for way in ways:
    answers = [train(spread, way) for spread in spreads]
    right[way] = [np.mean(answer == truth) for answer in answers]
    print(f"{way}: right by spread", [f"{share:.0%}" for share in right[way]])
assert min(right["layer norm"]) > 0.8 and min(right["batch norm"]) > 0.8
assert right["none"][0] < 0.2 and right["none"][4] < 0.2
save_figure(draw_starts(spreads, right), "17_starts")

# %% [markdown]
# Without normalisation the signal dies on the way, or it explodes. With it, each layer
# begins anew at a spread of 1. Begun well, the plain network is as good as the others:
# they do not make it cleverer, only easier to train.
#
# What does the last one get wrong, layer norm with weights ten times too large?

# %%
wrong = answers[4] != truth
shown = pictures[:497][wrong], truth[wrong], answers[4][wrong]
save_figure(draw_digit_mistakes(*shown), "17_mistakes")

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check 17 my_answer.py`.
#
# 1. On paper: one feature, four samples $x = (0, 0, 2, 2)$, $\epsilon = 0$,
#    $\gamma = 2$, and $dy = (4, 0, 0, 0)$. Set `x_hat`, `dgamma` and `dx`.
# 2. **A whole backward**, with a batch:
#    `group_norm_backward(dy, x, gamma, groups, eps)`. x and dy are (N, places, C). A
#    group is its features at all places of a sample. It runs forward first. Return
#    `dx, dgamma, dbeta`.
# 3. A bug, seen in the wild: this layer norm passes its test as long as $\gamma$ is 1.
#    Write it right as `fixed_layer_norm_backward(dy, x, gamma, eps)`. It returns dx
#    (N, C).
# 4. An experiment: a moving mean begins with 0. The mean of each batch is 1. With
#    momentum 0.99, after how many batches does it reach 0.9? Set `batches`.
#
# ```python
# def layer_norm_backward(dy, x, gamma, eps):
#     centred = x - x.mean(axis=1, keepdims=True)
#     std = np.sqrt((centred ** 2).mean(axis=1, keepdims=True) + eps)
#     x_hat = centred / std
#     shift = dy.mean(axis=1, keepdims=True)
#     along = (dy * x_hat).mean(axis=1, keepdims=True)
#     return gamma * (dy - shift - x_hat * along) / std
# ```
