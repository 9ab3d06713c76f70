# %% [markdown]
# # 04 · Softmax and cross-entropy: the long way, and collapsed
#
# *About 25 minutes.* A classifier ends in one number for each class, its **logits**. Softmax makes probabilities of them, and
# cross-entropy says how surprised these are by the truth. Their backward is a matrix that nobody wants to build, until most
# of it cancels. You go the long way once, so that you know what the short one leaves out.
#
# ## A question first
#
# A network is sure and wrong: its two logits are $(1000, 0)$, and the right class is the second. What do softmax and loss give
# if you type in the formulas as they are printed? And however wrong a network is: how large can an element of the gradient by
# its logits become? Write down your guesses.

# %%
import matplotlib.pyplot as plt
import numpy as np

from nblayers.layers import Activation, Dense
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import CategoricalCrossentropy, SparseCategoricalCrossentropy
from nblayers.models import Sequential
from nblayers.utils import set_random_seed

# %% [markdown]
# ## Three logits for paper
#
# $$p_i = \frac{e^{x_i}}{\sum_j e^{x_j}} \tag{001.02.softmax}$$
#
# Positive, and their sum is 1. With $x = (\ln 4, \ln 2, \ln 2)$ it can be done in the head: $e^x = (4, 2, 2)$, the sum is 8.

# %%
x = np.log([4.0, 2.0, 2.0])                 # (K,): one sample, three classes
p = np.exp(x) / np.exp(x).sum()
print("p =", p.round(4))
assert np.allclose(p, [1 / 2, 1 / 4, 1 / 4])

# %% [markdown]
# ## Large logits
#
# As printed, the formula breaks for $x = 1000$: $e^{1000}$ is infinite, and $\infty / \infty$ is not a number. (In float32 it
# breaks at 89.) But a number $c$ taken from all logits cancels:
#
# $$\frac{e^{x_i - c}}{\sum_j e^{x_j - c}} = \frac{e^{-c} e^{x_i}}{e^{-c} \sum_j e^{x_j}} = p_i$$
#
# Take $c = \max_j x_j$: the largest exponent is then 0, and nothing can overflow. Every serious softmax does this.

# %%
def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


large = np.array([1000.0, 0.0])
with np.errstate(over="ignore", invalid="ignore"):
    print("as printed:", np.exp(large) / np.exp(large).sum(), "  with c = max x:", softmax(large))
    assert np.isnan(np.exp(large) / np.exp(large).sum()).any()
    assert np.isfinite(np.exp(np.float32(88))) and np.isinf(np.exp(np.float32(89)))
assert np.allclose(softmax(x), p) and np.allclose(softmax(x + 500), p) and np.array_equal(softmax(large), [1, 0])

# %% [markdown]
# ## Cross-entropy, and the logarithm of softmax
#
# The target $t$ is 1 for the right class and 0 elsewhere. The loss is the surprise at what happened, $-\ln$ of its probability:
#
# $$L = -\sum_i t_i \ln p_i$$
#
# For our $p$ and the second class, $L = -\ln \frac{1}{4} = 1.386$. The document takes the logarithm of the fraction. That
# breaks again, at $\ln 0$; written out it does not, which is why `log_softmax` is a function of its own:
#
# $$\ln p_i = \ln \frac{e^{x_i}}{\sum_j e^{x_j}} = x_i - c - \ln \sum_j e^{x_j - c} \tag{001.02.log\_softmax}$$

# %%
def log_softmax(x):
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


t = np.array([0.0, 1.0, 0.0])
L = -(t * log_softmax(x)).sum()
print("L =", L.round(4), "  and for the network of the question:", -log_softmax(large)[1])
assert np.isclose(L, np.log(4)) and -log_softmax(large)[1] == 1000

# %% [markdown]
# ## Backward, the long way
#
# First through the loss: $p_i$ occurs once, so $dp_i = -t_i / p_i$. Then through softmax. Each $p_i$ depends on **every**
# logit, as all stand in the sum below. With $S = \sum_j e^{x_j}$ the quotient rule gives
#
# $$\frac{\partial p_i}{\partial x_j} = \begin{cases} \frac{e^{x_i} S - e^{x_i} e^{x_i}}{S^2} = p_i (1 - p_i) & i = j \\
#   \frac{0 - e^{x_i} e^{x_j}}{S^2} = -p_i p_j & i \neq j \end{cases}$$
#
# both in one: $\frac{\partial p_i}{\partial x_j} = p_i (\delta_{ij} - p_j)$, where $\delta_{ij}$ is 1 if $i = j$, else 0.
# That matrix is the **Jacobian** $J$. A logit collects from all probabilities:
# $dx_j = \sum_i dp_i \frac{\partial p_i}{\partial x_j}$.

# %%
dp = -t / p
check_derivative("dp", dp, lambda p: -(t * np.log(p)).sum(), p)

J = np.diag(p) - np.outer(p, p)             # (K, K)
print("16 J =", (16 * J).round(10).tolist())
assert np.allclose(16 * J, [[4, -2, -2], [-2, 3, -1], [-2, -1, 3]]) and np.allclose(J.sum(axis=0), 0)
for i in range(3):
    check_derivative(f"row {i} of J", J[i], lambda x, i=i: softmax(x)[i], x)

dx = dp @ J
print("dp =", dp + 0, "  dx =", dx.round(4))
check_derivative("dx", dx, lambda x: -(t * log_softmax(x)).sum(), x)

# %% [markdown]
# ## Without the matrix
#
# $J$ has $K^2$ elements, for every sample. It need not be built: put its formula into the sum,
#
# $$dx_j = \sum_i dp_i \, p_i (\delta_{ij} - p_j) = p_j \left( dp_j - \sum_i dp_i \, p_i \right)$$
#
# One sum for each sample, $2K$ products. This is the backward of a softmax whose $dp$ comes from anywhere: attention has one.

# %%
def softmax_backward(dp, p):
    return p * (dp - (dp * p).sum(axis=-1, keepdims=True))


assert np.allclose(softmax_backward(dp, p), dx)

# %% [markdown]
# ## Collapsed
#
# Where $dp$ does come from cross-entropy, $dp_i \, p_i = -t_i$: the probability cancels. With $\sum_i t_i = 1$,
#
# $$dx_j = p_j \, dp_j - p_j \sum_i dp_i \, p_i = -t_j + p_j \sum_i t_i = p_j - t_j$$
#
# The gradient is **what was said minus what was true**. No element of it can exceed 1, however wrong the network: the answer to
# the second question. And the short way is not only shorter. Where $p_i$ has become 0 the long one computes $0 \cdot \infty$.

# %%
print("p - t =", (p - t).round(4))
assert np.allclose(p - t, dx) and np.allclose(p - t, [1 / 2, -3 / 4, 1 / 4])
truth = np.array([0.0, 1.0])
with np.errstate(divide="ignore", invalid="ignore"):
    print("sure and wrong: long way", softmax_backward(-truth / softmax(large), softmax(large)),
          " collapsed", softmax(large) - truth)
assert np.array_equal(softmax(large) - truth, [1, -1])

# %% [markdown]
# ## Temperature
#
# Document 004 draws text from softmax at temperatures $T$ of 0.2, 0.5, 1.0 and 1.2: it divides the logits by $T$ first. Cold
# exaggerates the differences, heat levels them. By the chain rule the gradient is divided by $T$ too: $dx = (p - t) / T$.

# %%
for T in (0.2, 0.5, 1.0, 1.2):
    print(f"T = {T}: p =", softmax(x / T).round(3))
    check_derivative("    dx", (softmax(x / T) - t) / T, lambda x, T=T: -(t * log_softmax(x / T)).sum(), x)
assert np.allclose(softmax(x / 0.2), np.array([32, 1, 1]) / 34)     # p to the power of 1/T, brought to the sum 1
assert np.allclose(softmax(x / 100), 1 / 3, atol=0.01)

# %% [markdown]
# ## The same in the library
#
# The softmax layer gives our numbers, and so does the loss, if it is told that it gets **logits**. Given probabilities, it does
# as Keras (on JAX): it clips them to $10^{-7}$ and more. Then its value stops at $-\ln 10^{-7} = 16.1$, and beyond it the
# gradient is **zero**: a network that is sure and wrong learns nothing. Prefer `from_logits=True`.

# %%
for room in ("reference", "cpu"):
    layer = Activation("softmax", dtype="float64").to(room)
    assert np.allclose(layer.forward(x[None])[0], p, rtol=1e-15)
    assert np.allclose(layer.backward(dp[None])[0], dx, rtol=1e-14)
value, gradient = CategoricalCrossentropy(from_logits=True).value_and_gradient(t[None], x[None])
assert np.isclose(value, L, rtol=1e-15) and np.allclose(gradient[0], p - t, rtol=1e-15)

for from_logits, given in ((True, large), (False, softmax(large))):
    value, gradient = CategoricalCrossentropy(from_logits).value_and_gradient(truth[None], given[None])
    print(f"from_logits={from_logits}: loss {value:.4g}, gradient {gradient[0] + 0}")
    assert np.isclose(value, 1000 if from_logits else 16.118, rtol=1e-4)
    assert np.array_equal(gradient[0], [1, -1] if from_logits else [0, 0])
show_source("kernels.reference.activation:softmax_backward", "kernels.cpu.activation:softmax_backward",
            "kernels.cuda.activation:_softmax_backward", CategoricalCrossentropy.backward)

# %% [markdown]
# ## A picture: who still pulls when you are wrong?
#
# Two classes, the right one with logit $z$, the other with 0. Far to the left the network is sure and wrong. Squared error
# behind a softmax hardly pulls there (its $dp$ must pass the flat softmax); cross-entropy pulls with full force.

# %%
z = np.linspace(-8, 8, 161)
P = softmax(np.stack([z, 0 * z], axis=1))
pull = {"cross-entropy": P[:, 0] - 1, "squared error": softmax_backward(2 * (P - [1, 0]), P)[:, 0]}
fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for name, gradient in pull.items():
    ax.plot(z, gradient, label=name)
    print(f"{name}: gradient {gradient[0]:.4f} at z = -8")
ax.set(xlabel="z, the logit of the right class", ylabel="dz")
ax.legend()
save_figure(fig, "04_pull")
assert pull["cross-entropy"][0] < -0.999 and abs(pull["squared error"][0]) < 0.002

# %% [markdown]
# ## A real task: three spirals
#
# 600 points on three noisy arms; a network with two layers of 32 units and a last one of 3, which gives logits. Where the
# arms run into each other it must be wrong sometimes; with cross-entropy it should then at least not be *sure*.

# %%
set_random_seed(0)
rng = np.random.default_rng(0)
arm = np.arange(600) % 3
radius = rng.uniform(0.1, 1, 600)
angle = 4 * radius + arm * 2 * np.pi / 3 + rng.normal(scale=0.35, size=600)
points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
model = Sequential([Dense(32, activation="tanh"), Dense(32, activation="tanh"), Dense(3)])
model.compile(optimizer="adam", loss=SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
history = model.fit(points, arm, epochs=100, verbose=0).history
chances = softmax(model.predict(points, verbose=0))
wrong = np.flatnonzero(chances.argmax(axis=1) != arm)
print(f"loss {history['loss'][0]:.2f} to {history['loss'][-1]:.2f}; {len(wrong)} of 600 points are wrong")
trust = chances.max(axis=1)
print(f"mean probability of its answers: {trust.mean():.2f}, of the wrong ones: {trust[wrong].mean():.2f}")
assert history["loss"][-1] < 0.5 * history["loss"][0] and len(wrong) < 60 and trust[wrong].mean() < trust.mean()

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(history["loss"])
left.set(xlabel="epoch", ylabel="cross-entropy")
right.scatter(*points.T, c=arm, s=6)
right.plot(*points[wrong].T, "rx", label="wrong")
right.legend()
save_figure(fig, "04_spirals")

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check 04 my_answer.py`.
#
# 1. On paper: logits $(\ln 3, 0)$, the right class is the second. Set `L` and `dx`.
# 2. A backward to fill in: `log_softmax_backward(x, dy)`, for rows of logits $x$ (N, K) and $dy$, the gradient by their
#    log-softmax. Return $dx$. (Its Jacobian is $\delta_{ij} - p_j$.)
# 3. A bug, seen in the wild: the function below treats softmax like a sigmoid. Write it right as
#    `fixed_softmax_backward(p, dp)`, for rows.
# 4. An experiment: logits $(2, 1, 0, -1)$. At which temperature has the first class probability 0.9? Set `temperature`.
#
# ```python
# def softmax_backward(p, dp):
#     return dp * p * (1 - p)
# ```
