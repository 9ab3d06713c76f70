# %% [markdown]
# # 28 · Data-parallel: one gradient from many machines
#
# *About 35 minutes.* A batch can be cut up. Each machine takes its part, goes forward
# and backward, and has a gradient. The gradients are added, and all machines take the
# same step. That is **data-parallel** training. It is one sum a step, and easy to get
# wrong: a mean of means is not the mean, and batch norm looks across the cut. You
# write what each machine must send, so that a hundred machines do what one would do.
#
# ## A question first
#
# Two machines share a batch of four samples. The first has one of them, and the mean
# gradient of its part is 4. The second has three, and its mean gradient is 0.

# %%
import numpy as np

from lessons.data import digits_of_machines
from lessons.figures import draw_machines
from nblayers.distributed import simulate
from nblayers.layers import BatchNormalization, Dense, Input
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import MeanSquaredError, SparseCategoricalCrossentropy
from nblayers.models import Sequential
from nblayers.utils import set_random_seed

# ? guess: what is the mean gradient of the whole batch?
of_all = 1.0
# ? guess: a gradient has n numbers. How many does each of 1000 machines have to send?
times_n = 2

# %% [markdown]
# ## Numbers for paper
#
# Four samples ($N = 4$) with two features. The network is a product, $p = x w$, and the
# loss is the mean square of the errors $e = p - t$.

# %%
x = np.array([[1.0, 0.0],
              [2.0, 1.0],
              [0.0, 2.0],
              [1.0, 1.0]])                      # (N, in)
t = np.array([0.0, 2.0, 5.0, 3.0])              # (N,)
w = np.array([1.0, 2.0])                        # (in,)
N = len(x)

# %% [markdown]
# ## A picture of the computation
#
# Two machines, 0 and 1. Both have all of $w$. Each has its own rows of $x$ and $t$.
#
# ```text
#    x_0 ──▶ p_0 ──▶ e_0 ──▶ dw_0 ──┐
#                                   + ──▶ dw ──▶ the same step on both
#    x_1 ──▶ p_1 ──▶ e_1 ──▶ dw_1 ──┘
# ```
#
# All but the plus is what you know. The plus is the only place where they talk.
#
# ## One machine: what is to come out
#
# $$L = \frac{1}{N} \sum_n e_n^2$$

# %%
e = x @ w - t                                   # (N,)
L = np.mean(e ** 2)
print("e =", e.tolist(), " L =", L)
# ? dw, of the whole batch, from e, x and N
dw = 2 / N * e @ x                              # (in,)
print("dw =", dw.tolist())
check_derivative("dw", dw, lambda w: np.mean((x @ w - t) ** 2), w)

# %% [markdown]
# ## Two machines, two samples each
#
# Each machine knows its part only. So it takes the mean over its part.

# %%
first, second = slice(0, 2), slice(2, 4)
# ? dw_0, the gradient of the mean over the first two samples
dw_0 = np.mean(2 * e[first, None] * x[first], axis=0)
dw_1 = np.mean(2 * e[second, None] * x[second], axis=0)
print("dw_0 =", dw_0.tolist(), " dw_1 =", dw_1.tolist())
assert np.allclose((dw_0 + dw_1) / 2, dw)

# %% [markdown]
# The mean of the two means is the mean of all. So far, so good. It is luck: both parts
# have the same size.
#
# ## Uneven parts
#
# Now machine 0 has one sample, machine 1 has three. That happens all the time: the last
# batch of an epoch is rarely a multiple of the machines.

# %%
first, second = slice(0, 1), slice(1, 4)
dw_0 = np.mean(2 * e[first, None] * x[first], axis=0)
dw_1 = np.mean(2 * e[second, None] * x[second], axis=0)
mean_of_means = (dw_0 + dw_1) / 2
print("mean of means:", mean_of_means.round(3).tolist(), " wanted:", dw.tolist())
assert not np.allclose(mean_of_means, dw)
assert of_all == (1 * 4 + 3 * 0) / 4

# %% [markdown]
# The lonely sample counts as much as three others together. What is the right way to
# put $dw_0$ and $dw_1$ together? Write the whole sum, and cut it:
#
# $$dw = \frac{1}{N} \sum_n dw_n = \sum_r \frac{n_r}{N}
#   \left( \frac{1}{n_r} \sum_{n \in r} dw_n \right)$$
#
# Each mean enters by its **share** of the batch, $n_r / N$.

# %%
# ? dw_shared, from dw_0 and dw_1, with 1 and 3 samples
dw_shared = 1 / 4 * dw_0 + 3 / 4 * dw_1
print("by their shares:", dw_shared.tolist())
assert np.allclose(dw_shared, dw)

# %% [markdown]
# A machine without any sample has the share 0. It sends zeros. It must still come to
# the sum: the others wait for it.
#
# ## Not all samples count: masks and weights
#
# A mask $m$ says which samples count. The loss divides by how many do:
#
# $$L = \frac{\sum_n m_n e_n^2}{\sum_n m_n}$$
#
# Sample 0 is padding now. Both machines have two samples again.

# %%
m = np.array([0.0, 1.0, 1.0, 1.0])              # (N,)
dw_m = 2 / m.sum() * (m * e) @ x                # on one machine
first, second = slice(0, 2), slice(2, 4)
# ? summand_0: what machine 0 must give, so that the plain sum of both is dw_m
summand_0 = 2 / m.sum() * (m * e)[first] @ x[first]
summand_1 = 2 / m.sum() * (m * e)[second] @ x[second]
print("summands:", summand_0.round(3).tolist(), summand_1.round(3).tolist())
assert np.allclose(summand_0 + summand_1, dw_m)

# %% [markdown]
# Machine 0 has one sample that counts, machine 1 has two. By shares of *samples* they
# would be equal, and that would be wrong. The share of what **counts** is right. No
# machine knows $\sum m$ by itself. So there is a first, tiny sum before the backward:
# one number from each.
#
# ## The sum itself: a ring
#
# How do many machines add up? One could collect everything. But that one gets $p$
# gradients, and waits. In a **ring** each talks to its neighbour only. The gradient is
# cut into $p$ pieces. In each round a machine passes one piece on, and the neighbour
# adds its own.

# %%
p = 4
pieces = [10.0 ** r * np.arange(1, p + 1) for r in range(p)]    # of machine r
wanted = sum(pieces)
for k in range(p - 1):
    passed = [pieces[r][(r - k) % p] for r in range(p)]
    for r in range(p):
        pieces[(r + 1) % p][(r - k) % p] += passed[r]
for r in range(p):
    print(f"machine {r}:", pieces[r].tolist())
    whole = (r + 1) % p
    assert pieces[r][whole] == wanted[whole]

# %% [markdown]
# Look at the largest number of each machine. After $p - 1$ rounds each has one piece
# that is whole. In $p - 1$ more rounds the whole pieces go round, and all have
# everything.

# %%
# ? sent: how many times the whole gradient does a machine send, in all these rounds?
sent = 2 * (p - 1) / p
print("4 machines:", sent, " 1000 machines:", 2 * 999 / 1000)
assert round(2 * 999 / 1000) == times_n

# %% [markdown]
# It is nearly 2, however many they are. That is why it works. But the rounds grow with
# $p$, and each begins with a delay, the **latency**. For small gradients a tree of few
# rounds is faster.
#
# ## Batch norm looks across the cut
#
# So far each sample went its way alone, and only $dw$ was a sum. Batch norm (lesson 17)
# mixes the samples in forward:
#
# $$BN(x) = \gamma \left( \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \right) + \beta
#   \tag{001.11.BatchNormalization}$$
#
# $\mu$ and $\sigma^2$ are of the batch. Of which batch? One feature, two machines:

# %%
h_0, h_1 = np.array([1.0, 3.0]), np.array([5.0, 11.0])
h = np.concatenate([h_0, h_1])
mu_0, mu_1 = h_0.mean(), h_1.mean()
var_0, var_1 = h_0.var(), h_1.var()
# ? mu, of all four, from mu_0 and mu_1
mu = (mu_0 + mu_1) / 2
print("means:", mu_0, mu_1, " of all:", mu)
print("variances:", var_0, var_1, " of all:", h.var())
assert mu == h.mean()

# %% [markdown]
# The mean of the variances is 5. The variance of all is 14. What is missing? The
# machines stand apart from each other: that is variance too.
#
# $$\sigma^2 = \sum_r \frac{n_r}{N} \left( \sigma_r^2 + (\mu_r - \mu)^2 \right)$$

# %%
# ? var, of all four, from var_0, var_1, mu_0, mu_1 and mu
var = (var_0 + (mu_0 - mu) ** 2 + var_1 + (mu_1 - mu) ** 2) / 2
print("variance of all:", var)
assert var == h.var() == 14

eps = 1e-3
alone = (h_0 - mu_0) / np.sqrt(var_0 + eps)
together = (h_0 - mu) / np.sqrt(var + eps)
print("machine 0 by itself:", alone.round(2), " in the whole batch:", together.round(2))
assert np.allclose(alone, [-1, 1], atol=1e-3) and (together < 0).all()

# %% [markdown]
# Two ways to live with it. Each machine normalises its part: fast, but another network
# than on one machine, and with two samples a machine a bad one. Or the machines add up
# their sums in forward: `BatchNormalization(synchronized=True)`. Then backward has a
# sum across the cut too.
#
# ## Backward of the synchronised one
#
# Lesson 17 has it in one line. The two means are over the batch, so over **all**
# machines:
#
# $$dh = \frac{1}{\sigma} \left( d\hat{h} - \frac{1}{N} \sum d\hat{h}
#   - \hat{h} \, \frac{1}{N} \sum d\hat{h} \, \hat{h} \right)$$

# %%
std = np.sqrt(var + eps)
h_hat = (h - mu) / std                          # (N,): machine 0 has the first two
dh_hat = np.array([1.0, -2.0, 0.5, 2.0])        # (N,)
s_0 = np.array([dh_hat[:2].sum(), (dh_hat * h_hat)[:2].sum()])
s_1 = np.array([dh_hat[2:].sum(), (dh_hat * h_hat)[2:].sum()])
# ? s, the two sums over all machines, from s_0 and s_1
s = s_0 + s_1
# ? dh_0, of the samples of machine 0, from dh_hat, h_hat, s, N and std
dh_0 = (dh_hat[:2] - s[0] / N - h_hat[:2] * s[1] / N) / std
print("dh_0 =", dh_0.round(4).tolist())


def loss_by_h_0(h_0):
    h = np.concatenate([h_0, h_1])
    return np.sum(dh_hat * (h - h.mean()) / np.sqrt(h.var() + eps))


check_derivative("dh_0", dh_0, loss_by_h_0, h_0)

# %% [markdown]
# Machine 0 hears of the errors of machine 1. And that is all: two numbers for each
# feature.
#
# ## The same in the library
#
# One line in a program, and `mpirun -n 4 python train.py`:
#
# ```text
#    model.fit(x, y, batch_size=256, distribute=True)
# ```
#
# Here is one process, so we play the machines ourselves: a `Dense` on each part.

# %%
layer = Dense(1, use_bias=False, dtype="float64")
layer.build((None, 2))
layer.set_weights([w[:, None]])
loss = MeanSquaredError()
total = np.zeros((2, 1))
for part in (slice(0, 1), slice(1, 4)):
    layer.zero_grad()
    dp = loss.gradient(t[part, None], layer.forward(x[part]))
    layer.backward(dp)
    total += len(x[part]) / N * layer.kernel.grad
assert np.allclose(total[:, 0], dw)

norm = BatchNormalization(synchronized=True, dtype="float64")
given = norm.forward(h[:, None], training=True)
assert np.allclose(given[:2, 0], together)
assert np.allclose(norm.backward(dh_hat[:, None])[:2, 0], dh_0)

# %% [markdown]
# The library sends a gradient as soon as it is whole. The last layer's is whole first,
# while the layers before it still work. So most of the sum is hidden. Several weights
# go in one message, a bucket, as each message costs its latency:

# %%
show_source("nblayers.distributed.buckets:Bucket")

# %% [markdown]
# ## A picture: how far it goes
#
# A network of 25 million weights: 100 MB of gradients. Forward takes 30 ms, backward
# 60 ms, whatever the number of machines: each gets as many samples as before. Messages
# take 5 µs and 10 GB a second.

# %%
far = simulate(bytes=100e6, ranks=1024, latency=5e-6, bandwidth=10e9,
               forward=0.03, backward=0.06, bucket_bytes=25e6)
print(far)
ring, tree = far.of("ring")[-1], far.of("tree")[-1]
assert ring.sent < 2 * 100e6 < tree.sent
assert ring.efficiency > 0.8 > 0.5 > tree.efficiency
save_figure(far.plot(), "28_ranks")

# %% [markdown]
# The ring hides nearly all of its sum behind the backward. The tree sends the whole
# gradient in each of its rounds, and that takes longer than the backward. But each
# bucket pays for the rounds of the ring anew. With 20 buckets instead of these four,
# 1024 machines would wait for 168 ms. The last exercise is about that.
#
# ## A real task: a clinic with many patients and three with few
#
# Four machines read digits. The first has plenty of all kinds. The others have one
# sample in a batch each, and only eights. Nobody may send the pictures, only gradients.
# The **baseline** is the machine with plenty, alone.

# %%
parts, new, truth = digits_of_machines()


def trained(weigh):
    """A network after 300 steps; weigh(n, N) is by what a machine's mean enters."""
    set_random_seed(0)
    model = Sequential([Input((64,)), Dense(32, "relu", dtype="float64"),
                        Dense(10, dtype="float64")])
    loss = SparseCategoricalCrossentropy(from_logits=True)
    for step in parts:
        N = sum(len(labels) for _, labels in step)
        sums = [np.zeros(weight.shape) for weight in model.weights]
        for images, labels in step:
            z = model.forward(images, training=True)
            for weight in model.weights:
                weight.zero_grad()
            model.backward(loss.gradient(labels, z))
            for dW, weight in zip(sums, model.weights, strict=True):
                dW += weigh(len(labels), N) * weight.grad
        for dW, weight in zip(sums, model.weights, strict=True):
            weight.value = weight.value - 0.2 * dW
    return model


# %% [markdown]
# ## The three of them

# %%
models = {"alone": trained(lambda n, N: 1.0 * (n > 1)),
          "mean of means": trained(lambda n, N: 1 / 4),
          "by shares": trained(lambda n, N: n / N)}
told = {name: model.predict(new, verbose=0).argmax(axis=1)
        for name, model in models.items()}
right = {name: (answer == truth).mean() for name, answer in told.items()}
eights = {name: (answer == 8).mean() for name, answer in told.items()}
for name in models:
    print(f"{name:14} {right[name]:.1%} right, {eights[name]:.1%} called an eight")
print(f"{'':14} in truth {(truth == 8).mean():.1%} are eights")
assert right["by shares"] > right["mean of means"]
assert eights["mean of means"] > eights["by shares"] > 0.08
save_figure(draw_machines(right, eights, (truth == 8).mean()), "28_machines")

# %% [markdown]
# By the mean of means three samples get three quarters of the say, and they all say
# *eight*. What it gets wrong shows it: one digit in four is called an eight. Nothing
# raises an error, and the loss goes down. Only the counts tell.
#
# ## What stays different
#
# Numbers in a computer are rounded, and a sum in another order is rounded otherwise.
# So four machines agree with a single one to twelve digits or so, not to the last. An
# optimiser can make that large: Adam divides by the size of the gradient, so a gradient
# that *should* be 0 and is $10^{-17}$ becomes a step of full length.

# %%
from_the_left, from_the_right = (0.1 + 0.2) + 0.3, 0.1 + (0.2 + 0.3)
print("0.1 + 0.2 + 0.3 =", from_the_left, "or", from_the_right)
assert from_the_left != from_the_right

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check 28 my_answer.py`.
#
# 1. On paper: machine 0 has 2 samples and the mean gradient $(6, 0)$, machine 1 has 6
#    and $(2, 4)$. Set `dw`. And for batch norm: the same machines have the means 1
#    and 5 and the variances 2 and 4. Set `mu` and `var` of the whole batch.
# 2. A whole backward: `synchronised_backward(dys, hs, gamma, eps)` of batch norm over
#    several machines. `dys` and `hs` are lists with an array $(n_r, C)$ of each; the
#    $n_r$ differ. Return the list of the `dhs`, and `dgamma` and `dbeta` of all.
# 3. A bug, seen in the wild: each of the `gradients` is that of a machine's mean over
#    the steps that its mask leaves. The function below is to give that of the whole
#    batch. Write it right as `fixed_gradient(gradients, masks)`.
# 4. An experiment: 25 MB of gradients, 16 machines in a ring, a latency of 50 µs, 1 GB
#    a second, a backward of 50 ms. Into how many buckets, of 1, 2, 4, … 1024, should
#    the gradients go, so that the least is waited for? Set `best_buckets`.
#
# ```python
# def whole_gradient(gradients, masks):
#     counts = [len(mask) for mask in masks]
#     return sum(n * dw for n, dw in zip(counts, gradients)) / sum(counts)
# ```
