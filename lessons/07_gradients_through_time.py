# %% [markdown]
# # 07 · Gradients through time: how they vanish and explode, and what helps
#
# *About 30 minutes.* In lesson 06 a gradient walked back from step to step. Here you
# measure what is left of it after many steps. Two simple cures follow: how the weights
# begin, and clipping.
#
# ## A question first
#
# Suppose that each step back multiplies a gradient by 0.5. After 50 steps little is
# left. And suppose that the steps multiply by a matrix instead, whose eigenvalues are
# all 0.5.

# %%
import numpy as np

from lessons.data import blank_after, digits
from lessons.figures import draw_clipping, draw_memory, draw_norms
from nblayers import trace
from nblayers.initializers import GlorotUniform, Identity, Orthogonal, RandomNormal
from nblayers.layers import Dense, SimpleRNN
from nblayers.learn.tools import check_derivative, save_figure, save_page, show_source
from nblayers.models import Sequential
from nblayers.optimizers import (
    SGD,
    Adam,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
)
from nblayers.parameter import Parameter
from nblayers.utils import set_random_seed

# %%
# ? guess: 0.5 to the power of 50: about how many powers of ten are lost? (To a
# ? hundredth they are 2, to a thousandth 3.)
powers_lost = 15
# ? guess: can a gradient grow on its way through that matrix? True or False
can_grow = True

# %% [markdown]
# ## Numbers for paper
#
# Again two samples ($N = 2$) of three steps ($T = 3$) with one number each, and two
# units ($H = 2$). The matrix $R$ turns a row and keeps its length. $U$ is half of it.
# The bias is 0, so we leave it out.

# %%
x = np.array([[[1.0], [0.0], [-1.0]],
              [[0.0], [1.0], [1.0]]])           # (N, T, in)
h_start = np.array([[0.5, -0.5],
                    [0.5, 0.5]])                # (N, H)
W = np.array([[1.0, 0.5]])                      # (in, H)
R = np.array([[0.6, 0.8],
              [-0.8, 0.6]])                     # (H, H)
U = 0.5 * R                                     # (H, H)

# %% [markdown]
# ## Forward, and one loss at the end
#
# The step is that of lesson 06:
#
# $$h_t = \tanh(x_t W + h_{t-1} U) \tag{001.09.SimpleRNN}$$
#
# `last_state(h_t, t, U)` puts a state at step $t$ and runs on to the end.

# %%
def last_state(h_t, t, U):
    for later in range(t + 1, 3):
        h_t = np.tanh(x[:, later] @ W + h_t @ U)
    return h_t


h = np.zeros((2, 3, 2))                         # (N, T, H)
h_prev = h_start
for t in range(3):
    h_prev = np.tanh(x[:, t] @ W + h_prev @ U)
    h[:, t] = h_prev
print("h of sample 0 =", h[0].round(3).tolist())
assert np.array_equal(last_state(h_start, -1, U), h[:, 2])

# %% [markdown]
# There is one loss, at the end. All we need of it is what it sends into the last state:
# $dh_2$. Numbers of our choice will do. Then $L$ is the sum of $dh_2 \odot h_2$.

# %%
dh_2 = np.array([[1.0, 0.0],
                 [0.0, 1.0]])                   # (N, H)


def loss_from(h_t, t, U=U):
    return np.sum(dh_2 * last_state(h_t, t, U))


# %% [markdown]
# ## Backward: a link, and the chain
#
# ```
#             h_start ◀═══ h_0 ◀═══ h_1 ◀═══ h_2 ◀─── L
# ```
#
# No other loss comes in. So what arrives at a state is what the step after sends back:
# first the slope of $\tanh$, then $U^\top$. We call that one **link**.

# %%
# ? dh_1, one link back from dh_2
dh_1 = (dh_2 * (1 - h[:, 2] ** 2)) @ U.T        # (N, H)
check_derivative("dh_1", dh_1, lambda h_t: loss_from(h_t, 1), h[:, 1])

# %% [markdown]
# $$dh_{t-1} = (dh_t \odot (1 - h_t^2)) \, U^\top$$
#
# All links together are the chain of lesson 06:
#
# $$\frac{\partial L}{\partial h_2} \frac{\partial h_2}{\partial h_1}
#   \frac{\partial h_1}{\partial h_0} \tag{002.BPTT.chain}$$

# %%
dh = np.zeros_like(h)                           # (N, T, H)
dh[:, 2] = dh_2
# ? [dh] the chain: fill dh[:, 1], then dh[:, 0]
for t in (1, 0):
    dh[:, t] = (dh[:, t + 1] * (1 - h[:, t + 1] ** 2)) @ U.T
check_derivative("dh_0", dh[:, 0], lambda h_t: loss_from(h_t, 0), h[:, 0])
lengths = np.linalg.norm(dh[0], axis=1)
print("sample 0: dh_0, dh_1 and dh_2 have the lengths", lengths.round(3))
assert lengths[0] < 0.2 * lengths[2]

# %% [markdown]
# ## Backward: what each step says to U
#
# The gradient of $U$ is a sum over the steps. Does it vanish too? Look at the **part**
# of each step alone. It is what changing $U$ *in that step only* would do.
#
# $$dU = \sum_t \text{part}_t$$

# %%
da = dh * (1 - h ** 2)                          # (N, T, H)
h_before = np.concatenate([h_start[:, None], h[:, :-1]], axis=1)        # (N, T, H)
# ? parts (T, H, H): the part of each step, in the order of the steps
parts = np.stack([h_before[:, t].T @ da[:, t] for t in range(3)])


def loss_of_each(U_of_step):
    h_t = h_start
    for t in range(3):
        h_t = np.tanh(x[:, t] @ W + h_t @ U_of_step[t])
    return np.sum(dh_2 * h_t)


check_derivative("parts", parts, loss_of_each, np.stack([U, U, U]))
check_derivative("dU", parts.sum(axis=0), lambda v: loss_from(h_start, -1, v), U)
said = np.linalg.norm(parts, axis=(1, 2))
print("lengths of the parts of step 0, 1 and 2:", said.round(3))
assert said[0] < said[1] < said[2]

# %% [markdown]
# $$\text{part}_t = h_{t-1}^\top da_t \qquad da_t = dh_t \odot (1 - h_t^2)$$
#
# The sum does not vanish. But the last steps make most of it: what was long ago has
# almost no say in what is learnt. **That** is what is meant by vanishing gradients.
#
# ## How long can a gradient get?
#
# Take a network whose states are all 0. Then all slopes are 1, and a link is the matrix
# alone. With $U = r R$ each link multiplies the length by $r$, since $R$ keeps it.

# %%
r = np.array([0.5, 0.9, 1.0, 1.1])
# ? left: of a gradient of length 1, how much is left after 50 links, for each r?
left = r ** 50
for rate, remains in zip(r, left, strict=True):
    gradient = np.array([[1.0, 0.0]]) @ np.linalg.matrix_power(rate * R.T, 50)
    print(f"r = {rate}: {remains:.3g} is left")
    assert np.isclose(np.linalg.norm(gradient), remains)
assert int(-np.log10(left[0])) == powers_lost
assert round(left[1], 3) == 0.005 and round(left[3]) == 117

# %% [markdown]
# Below 1 a gradient **vanishes**, above 1 it **explodes**. The slopes of $\tanh$ are at
# most 1. They make it shorter still.
#
# A matrix that is no rotation has two measures. Its largest **singular value** $s$ says
# how much *one* link can stretch a row. Its largest **eigenvalue** $|\lambda|$ decides
# what happens in the long run.
#
# $$\|dh_{t-1}\| \leq s \cdot \max(1 - h_t^2) \cdot \|dh_t\|$$

# %%
A = np.array([[0.5, 4.0],
              [0.0, 0.5]])
assert np.linalg.eigvals(A).tolist() == [0.5, 0.5]
# ? s, the largest singular value of A; np.linalg.svd(A) gives three things
s = np.linalg.svd(A)[1].max()
print(f"one link through A stretches by at most {s:.2f}")

gradient = np.array([[0.0, 1.0]])
lengths = [1.0]
for _ in range(15):
    gradient = gradient @ A.T
    lengths.append(np.linalg.norm(gradient))
print("length after 0 to 15 links:", *np.round(lengths, 2))
assert (max(lengths) > 1) == can_grow
assert 4 < lengths[1] <= s < 4.1 and lengths[15] < 0.01

# %% [markdown]
# It grows fourfold, and then it dies out.
#
# ## A cure: how the weights begin
#
# A new layer has random weights. For $n$ rows and $n$ columns of independent numbers
# with standard deviation $\sigma$, the largest $|\lambda|$ is about $\sigma \sqrt{n}$
# and the largest $s$ about twice that. Keras draws most kernels evenly from
# $-\text{limit}$ to $\text{limit}$, with $n_{in}$ rows and $n_{out}$ columns:
#
# $$\text{limit} = \sqrt{\frac{6}{n_{in} + n_{out}}} \tag{001.03.GlorotUniform}$$
#
# The standard deviation of such numbers is $\text{limit} / \sqrt{3}$.

# %%
n = 100
# ? limit, for a kernel of n rows and n columns
limit = np.sqrt(6 / (n + n))
# ? largest: what largest eigenvalue do we expect of such a kernel?
largest = limit / np.sqrt(3) * np.sqrt(n)
print("limit", round(limit, 3), "and the largest eigenvalue about", round(largest, 2))
assert np.isclose(largest, 1)

# %% [markdown]
# That is at the edge. But Keras begins the *recurrent* kernel in another way: with an
# orthogonal matrix (001.03.Orthogonal). Like $R$ it keeps every length, so its singular
# values are all 1. Compare them. The gradient has length 1, and all slopes are 1:

# %%
set_random_seed(0)
draws = {"normal, 0.05": RandomNormal(), "glorot": GlorotUniform(),
         "identity": Identity(), "orthogonal": Orthogonal(),
         "orthogonal, gain 1.5": Orthogonal(1.5)}
after = {}
for name, draw in draws.items():
    U_n = draw((n, n), dtype="float64")
    eigenvalue = np.abs(np.linalg.eigvals(U_n)).max()
    s = np.linalg.svd(U_n)[1].max()
    gradient = np.full((1, n), 0.1) @ np.linalg.matrix_power(U_n.T, 50)
    after[name] = np.linalg.norm(gradient)
    print(f"{name:20} |λ| {eigenvalue:.2f}, s {s:.2f}, after 50: {after[name]:.1e}")
assert np.isclose(after["orthogonal"], 1) and np.isclose(after["identity"], 1)
assert after["normal, 0.05"] < 1e-12 and after["orthogonal, gain 1.5"] > 1e8

# %% [markdown]
# ## A cure against explosions: clipping
#
# After the walk back, and before the weights move, gradients that are too long are made
# shorter. Let $g$ be a gradient and $c$ the bound (004.Clipping). There are three ways:
#
# - **by value**: each number by itself, to stay between $-c$ and $c$.
# - **by norm**: each weight's gradient by itself, to the length $c$ if it is longer.
#   Its direction stays.
# - **by global norm**: all gradients by one factor, made of their length together,
#   which is $\sqrt{\|g_1\|^2 + \|g_2\|^2}$. The direction of the whole step stays.
#
# $$\text{by norm:} \quad g \cdot \min(1, \frac{c}{\|g\|}) \tag{004.Clipping}$$
#
# Two weights have the gradients $(3, -4)$ and $(0, 12)$. The bound is 2.6.

# %%
g = np.array([[3.0, -4.0],
              [0.0, 12.0]])                     # one row for each weight
c = 2.6
# ? by_value: each number by itself
by_value = np.clip(g, -c, c)
# ? by_norm: each row by itself; their lengths, 5 and 12, are both too long
by_norm = g * (c / np.linalg.norm(g, axis=1, keepdims=True))
# ? by_global_norm: one factor for both rows
by_global_norm = g * (c / np.linalg.norm(g))
print("by value", by_value.tolist(), " by norm", by_norm.round(2).tolist())
print("by global norm", by_global_norm.round(2).tolist())
assert np.isclose(np.linalg.norm(g), 13) and np.allclose(by_global_norm, g / 5)

# %% [markdown]
# Keras calls the third one `global_clipnorm`, its `clipnorm` is the second. PyTorch's
# `clip_grad_norm_` is the third.
#
# ## The same in the library
#
# The layer on our numbers gives ours. So do its three clips.

# %%
rnn = SimpleRNN(2, dtype="float64")
rnn.build(x.shape)
rnn.set_weights([W, U, np.zeros(2)])
for room in ("reference", "cpu"):
    rnn.to(room).zero_grad()
    assert np.allclose(rnn.forward(x, initial_state=h_start), h[:, 2], rtol=1e-14)
    dh_start = rnn.backward(dh_2)[1]
    assert np.allclose(dh_start, da[:, 0] @ U.T, rtol=1e-14, atol=1e-15)
    dU = rnn.trainable_weights[1].grad
    assert np.allclose(dU, parts.sum(axis=0), rtol=1e-14, atol=1e-15)

ours = ((clip_by_value, by_value), (clip_by_norm, by_norm),
        (clip_by_global_norm, by_global_norm))
for clip, expected in ours:
    weights = [Parameter(np.zeros(2)), Parameter(np.zeros(2))]
    for weight, gradient in zip(weights, g, strict=True):
        weight.grad[:] = gradient
    clip(weights, c)
    assert np.allclose([weight.grad for weight in weights], expected)

# %% [markdown]
# Find the link in the reference kernel, the one factor in the clip, and in the
# initialiser how a random matrix is made orthogonal. (Some texts do that by an SVD.
# Keras takes a QR, as here.)

# %%
show_source("kernels.reference.recurrent:simple_rnn_step_backward",
            clip_by_global_norm, Orthogonal.draw)

# %% [markdown]
# ## Watch it
#
# Watch it on a page: forward, then backward. Open it in a browser; the right arrow
# takes a step. (`nblayers microscope simple_rnn` opens one of a trained layer.)
#
# The loss looks at the last state only, so all that arrives earlier comes back through
# time. Follow it from step 12 (`dh_prev[2]`) over step 15 (`dh_prev[1]`) to step 18
# (`dh_prev[0]`). Between two of them lie a slope, as in step 14 (`da[1]`), and a
# product with $U^\top$. Look at sample 0, unit 0. At which time step does the slope
# take almost nothing away, and why there?

# %%
with trace() as seen:
    rnn.to("reference").forward(x, initial_state=h_start)
    rnn.backward(dh_2)
save_page(seen, "07_microscope")
assert np.allclose(seen.find("dh", t=2)[0].value, dh_2, rtol=0, atol=1e-15)
assert np.allclose(seen.find("da", t=0)[0].value, da[:, 0], rtol=0, atol=1e-15)
# At t = 1: there the state is nearest 0, and 1 - h² nearest 1.
slopes = [1 - seen.find("h", t=t)[0].value[0, 0] ** 2 for t in range(3)]
assert np.argmax(slopes) == 1 and slopes[1] > 0.99

# %% [markdown]
# ## A picture: the length of a gradient over time
#
# New networks of 32 units read a digit row by row: 8 steps. Then come 40 blank steps. A
# gradient of length 1 walks back from the last state. How much of it arrives? The
# recurrent kernels are orthogonal matrices, times a **gain**.

# %%
beginnings = {"gain 1": Orthogonal(), "gain 0.8": Orthogonal(0.8),
              "gain 0.7": Orthogonal(0.7), "gain 1.5": Orthogonal(1.5)}


def new_layer(beginning, return_sequences=False):
    set_random_seed(1)
    layer = SimpleRNN(32, recurrent_initializer=beginnings[beginning],
                      return_sequences=return_sequences)
    layer.build((None, 48, 8))
    return layer


images, labels = digits()
order = np.random.default_rng(0).permutation(len(images))
images, labels = images[order] / 16, labels[order]
seen = blank_after(images, 40)                  # (N, 48, 8)
norms = {}
for name in beginnings:
    layer = new_layer(name, return_sequences=True)
    states = layer.forward(seen[:100])
    U_32 = layer.trainable_weights[1].value
    d = np.full((100, 32), 32 ** -0.5)
    norms[name] = np.ones(48)
    for t in range(46, -1, -1):
        d = (d * (1 - states[:, t + 1] ** 2)) @ U_32.T
        norms[name][t] = np.linalg.norm(d, axis=1).mean()
    print(f"{name:8} at the last row of the digit: {norms[name][7]:.1e}")
save_figure(draw_norms(norms), "07_norms")
assert norms["gain 0.7"][7] < 1e-5 and 0.1 < norms["gain 1"][7] < 1
assert 1 < norms["gain 1.5"][7] < 1.5 ** 40 / 1000

# %% [markdown]
# The axis counts in powers of ten. A straight line is a constant factor for each step.
# With gain 1.5 the explosion stays small: large states have small slopes, and those
# hold it back.
#
# ## A real task: which digit was it?
#
# After the 40 blank steps the network is asked which digit it has read. Does the
# picture tell in advance which networks can learn that? One in ten is right by chance.

# %%
def learn(beginning, optimizer):
    model = Sequential([new_layer(beginning), Dense(10, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    run = model.fit(seen[:1400], labels[:1400], batch_size=50, epochs=20, verbose=0,
                    validation_data=(seen[1400:], labels[1400:]))
    return model, run.history


new, truth = images[1400:], labels[1400:]
history, by_blank = {}, {}
for name in beginnings:
    model, run = learn(name, Adam(0.001, global_clipnorm=1.0))
    history[name] = run["val_accuracy"]
    answers = [model.forward(blank_after(new, k)).argmax(axis=1) for k in range(30, 51)]
    by_blank[name] = [np.mean(answer == truth) for answer in answers]
    print(f"{name:8} of {len(new)} new digits {by_blank[name][10]:.0%} are right,",
          f"one blank step later {by_blank[name][11]:.0%}")
save_figure(draw_memory(history, by_blank), "07_memory")
assert by_blank["gain 1"][10] > by_blank["gain 0.8"][10] + 0.2 > 0.4
assert by_blank["gain 0.7"][10] < 0.3
assert by_blank["gain 1"][11] < by_blank["gain 1"][10] - 0.2

# %% [markdown]
# Where nothing arrives, nothing is learnt: gain 0.7 stays near chance. And see what the
# best one gets wrong. Asked one step too late, it does not know any more. At every step
# the orthogonal matrix keeps the length of the state, but *turns* it. The Dense layer
# has learnt to read the state as it is turned at the step of the question, and no other
# way. A layer that keeps things where they are comes in lesson 08.
#
# Last, clipping. Plain gradient descent with long steps, with and without it:

# %%
descent = {}
for name, bound in (("not clipped", None), ("clipped to 1", 1.0)):
    _, descent[name] = learn("gain 1", SGD(0.1, global_clipnorm=bound))
    print(f"{name:12} {descent[name]['val_accuracy'][-1]:.0%} of new digits are right")
losses = {name: run["loss"] for name, run in descent.items()}
save_figure(draw_clipping(losses), "07_clipping")
assert descent["clipped to 1"]["loss"][-1] < descent["not clipped"]["loss"][-1] - 0.5

# %% [markdown]
# One long step drove the units to where $\tanh$ is flat. There the slopes are near 0
# and nothing comes back any more: an explosion that ends in vanishing.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 07 my_answer.py`.
#
# 1. On paper: one sample, one unit, $u = 2.5$, the states $h_0 = 0$, $h_1 = 0.6$,
#    $h_2 = 0.8$, and $dh_2 = 1$. What arrives at the state before the first step? Set
#    `dh_start`. And two gradients, $(8, 6)$ and $(0, 24)$, are clipped to 2.6: set
#    `by_value`, `by_norm`, `by_global_norm`, each (2, 2).
# 2. The whole backward: `through_time(h_start, h, U, dh_last)` for a batch, with one
#    loss at the end. Return `dh` (N, T, H), `dh_start` (N, H) and `parts` (T, H, H).
# 3. A bug: the clip below shortens too much. Write it right as
#    `fixed_clip(gradients, bound)`: it takes a list of arrays and returns one.
# 4. An experiment: draw 100 × 100 independent normal numbers of deviation `sigma`. With
#    which `sigma` does a gradient neither vanish nor explode, if all slopes are 1?
#
# ```python
# def clip(gradients, bound):
#     norm = sum(np.linalg.norm(g) for g in gradients)
#     return [g * min(1, bound / norm) for g in gradients]
# ```
