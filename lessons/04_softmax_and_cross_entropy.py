# %% [markdown]
# # 04 · Softmax and cross-entropy: the long way, and collapsed
#
# *About 35 minutes.* A classifier ends in one number for each class, its **logits**.
# Softmax makes probabilities of them. **Cross-entropy** says how surprised these are by
# the truth. Their backward is a matrix that nobody wants to build, until most of it
# cancels. You go the long way once, so that you know what the short one leaves out.
#
# ## A question first
#
# A network is sure and wrong: its two logits are $(1000, 0)$, and the right class is
# the second. What does softmax give if you type in its formula as it is printed? And
# however wrong a network is: how large can an element of the gradient by its logits
# become?

# %%
import numpy as np

from lessons.data import three_spirals
from lessons.figures import draw_pull, draw_spirals
from nblayers.layers import Activation, Dense, Softmax
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import CategoricalCrossentropy, SparseCategoricalCrossentropy
from nblayers.models import Sequential
from nblayers.utils import set_random_seed

# ? guess: what is the largest size of an element of the gradient by the logits?
largest = 1.0

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$), three classes ($K = 3$). The logits $z$ are logarithms, so that
# $e^z$ is simple.
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}} \tag{001.02.softmax}$$
#
# Each sample has its own sum. All $p$ of a sample are positive, and together they are
# 1.

# %%
z = np.log([[4.0, 2.0, 2.0],
            [1.0, 1.0, 2.0]])           # (N, K)
# ? p, as the formula is printed: one sum for each row
p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
print("p =", p.round(4).tolist())
assert np.allclose(p, [[1 / 2, 1 / 4, 1 / 4], [1 / 4, 1 / 4, 1 / 2]])

# %% [markdown]
# ```text
#    z ──softmax──▶ p ──cross-entropy──▶ L, one number
#                                ▲
#                                t, the truth
#    dz ◀────────── dp ◀─────────┘
# ```
#
# ## Large logits
#
# As printed, the formula breaks for $z = 1000$: $e^{1000}$ is infinite, and
# $\infty / \infty$ is not a number. (In float32 it breaks at 89.) But a number $c$
# taken off all logits of a sample cancels:
#
# $$\frac{e^{z_i - c}}{\sum_j e^{z_j - c}}
#   = \frac{e^{-c} e^{z_i}}{e^{-c} \sum_j e^{z_j}} = p_i$$
#
# Take $c = \max_j z_j$. Then the largest exponent is 0, and nothing can overflow. Every
# serious softmax does this.

# %%
large = np.array([[1000.0, 0.0]])
with np.errstate(over="ignore", invalid="ignore"):
    printed = np.exp(large) / np.exp(large).sum(axis=1, keepdims=True)
    print("as printed:", printed)
    assert np.isnan(printed[0, 0])
    assert np.isfinite(np.exp(np.float32(88))) and np.isinf(np.exp(np.float32(89)))


# ? [softmax] def softmax(z), for rows of any size; take off each row's maximum first
def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


print("safe:", softmax(large))
assert np.allclose(softmax(z), p) and np.allclose(softmax(z + 500), p)
assert np.array_equal(softmax(large), [[1, 0]])

# %% [markdown]
# ## Cross-entropy
#
# The target $t$ is 1 for the right class and 0 elsewhere. The loss is the surprise at
# what happened: minus the logarithm of the probability that it had. What was certain
# ($p = 1$) is no surprise: $-\ln 1 = 0$.
#
# $$L = -\sum_n \sum_i t_{ni} \ln p_{ni}$$

# %%
t = np.array([[0.0, 1.0, 0.0],
              [0.0, 0.0, 1.0]])         # (N, K)
# ? L, as a number: the first sample's right class has p = 1/4, the second's 1/2
L = np.log(4) + np.log(2)
assert np.isclose(L, -(t * np.log(p)).sum())

# %% [markdown]
# Where $p$ has become 0, $\ln p$ is infinite: a sure and wrong network would break the
# loss. Written out, the logarithm of softmax has no such trouble. That is why
# `log_softmax` is a function of its own:
#
# $$\ln p_i = \ln \frac{e^{z_i}}{\sum_j e^{z_j}}
#   = z_i - c - \ln \sum_j e^{z_j - c} \tag{001.02.log\_softmax}$$
#
# (Many texts print the middle of this line. Compute the right side.)

# %%
# ? [log_softmax] def log_softmax(z), for rows, safe for logits of 1000
def log_softmax(z):
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


assert np.isclose(-(t * log_softmax(z)).sum(), L)       # 001.02.log_softmax
surprise = -log_softmax(large)[0, 1]
print("the network of the question is surprised by", surprise)
assert surprise == 1000

# %% [markdown]
# ## Backward, the long way: through the loss
#
# Each $p_{ni}$ occurs once in $L$, as $-t_{ni} \ln p_{ni}$. The derivative of $\ln p$
# is $1 / p$.

# %%
# ? dp, from t and p
dp = -t / p
check_derivative("dp", dp, lambda p: -(t * np.log(p)).sum(), p)
print("dp =", (dp + 0).tolist())
assert np.allclose(dp, [[0, -4, 0], [0, 0, -2]])

# %% [markdown]
# ## Backward, the long way: through softmax
#
# Here every $p_i$ of a sample depends on **every** logit of that sample, since all of
# them stand in the sum. Call the sum $S = \sum_j e^{z_j}$. Its derivative by $z_j$ is
# $e^{z_j}$. By the rule for quotients:
#
# $$\frac{\partial p_i}{\partial z_j} = \begin{cases}
#   \frac{e^{z_i} S - e^{z_i} e^{z_i}}{S^2} = p_i (1 - p_i) & i = j \\
#   \frac{0 - e^{z_i} e^{z_j}}{S^2} = -p_i p_j & i \neq j \end{cases}$$
#
# Both in one: $p_i (\delta_{ij} - p_j)$, where $\delta_{ij}$ is 1 if $i = j$, else 0.
# All of them together are a matrix (K, K), the **Jacobian** $J$. Row $i$ is about
# $p_i$.

# %%
p_first = p[0]                          # the first sample alone: (1/2, 1/4, 1/4)
# ? J, the Jacobian of the first sample (np.diag and np.outer help)
J = np.diag(p_first) - np.outer(p_first, p_first)
print("16 J =", (16 * J).round(10).tolist())
assert np.allclose(16 * J, [[4, -2, -2], [-2, 3, -1], [-2, -1, 3]])
for i in range(3):
    check_derivative(f"row {i} of J", J[i], lambda v, i=i: softmax(v[None])[0, i], z[0])
assert np.allclose(J.sum(axis=0), 0)

# %% [markdown]
# Each column adds up to 0: if a logit grows, what one class gains the others lose.
#
# A logit collects from all probabilities of its sample:
# $dz_j = \sum_i dp_i \frac{\partial p_i}{\partial z_j}$.

# %%
# ? dz_first: dz of the first sample, from dp[0] and J
dz_first = dp[0] @ J
check_derivative("dz", dz_first, lambda v: -t[0] @ log_softmax(v[None])[0], z[0])
assert np.allclose(dz_first, [1 / 2, -3 / 4, 1 / 4])

# %% [markdown]
# ## Without the matrix
#
# $J$ has $K^2$ elements, for every sample. It need not be built. Put its formula into
# the sum:
#
# $$dz_j = \sum_i dp_i \, p_i (\delta_{ij} - p_j)$$
#
# The $\delta_{ij}$ picks one term out of the sum. In the rest, $p_j$ does not depend on
# $i$.

# %%
# ? dz of all samples, from p and dp, without J
dz = p * (dp - (dp * p).sum(axis=1, keepdims=True))
check_derivative("dz", dz, lambda z: -(t * log_softmax(z)).sum(), z)
assert np.allclose(dz[0], dz_first)

# %% [markdown]
# $$dz_j = p_j \left( dp_j - \sum_i dp_i \, p_i \right)$$
#
# One sum for each sample. This is the backward of a softmax whose $dp$ comes from
# anywhere. Attention has one (lesson 19).
#
# ## Collapsed
#
# Where $dp$ does come from cross-entropy, $dp_i \, p_i = -t_i$: the probability
# cancels. And $\sum_i t_i = 1$. So
#
# $$dz_j = p_j \, dp_j - p_j \sum_i dp_i \, p_i = -t_j + p_j \sum_i t_i$$

# %%
# ? dz_short: what is left, from p and t
dz_short = p - t
check_derivative("dz", dz_short, lambda z: -(t * log_softmax(z)).sum(), z)
assert np.allclose(dz_short, dz)

# %% [markdown]
# The gradient is **what was said minus what was true**. Both lie between 0 and 1, so no
# element can be larger than 1, however wrong the network is.
#
# And the short way is not only shorter. Where $p_i$ has become 0, the long one computes
# $0 \cdot \infty$.

# %%
truth = np.array([[0.0, 1.0]])
said = softmax(large)
with np.errstate(divide="ignore", invalid="ignore"):
    long_dp = -truth / said
    print("the long way:", said * (long_dp - (long_dp * said).sum(axis=1)))
    assert np.isnan(long_dp * said).any()
print("collapsed:", said - truth)
assert np.abs(said - truth).max() == largest

# %% [markdown]
# ## Temperature
#
# Programs that write text draw the next letter from softmax. They divide the logits by
# a **temperature** $T$ first. Cold ($T < 1$) exaggerates the differences, heat levels
# them.

# %%
for T in (0.2, 0.5, 1.0, 1.2):
    print(f"T = {T}: p of the first sample =", softmax(z / T)[0].round(3))
T = 0.5
p_cold = softmax(z / T)                 # p squared, brought to the sum 1
assert np.allclose(p_cold[0], np.array([4, 1, 1]) / 6)
assert np.allclose(softmax(z / 100), 1 / 3, atol=0.01)

# ? dz_cold: the gradient by z (not by z / T), from p_cold, t and T
dz_cold = (p_cold - t) / T
check_derivative("dz", dz_cold, lambda z: -(t * log_softmax(z / T)).sum(), z)

# %% [markdown]
# ## The same in the library
#
# The softmax layer gives our numbers, in two **rooms**. A room is a place where a layer
# can compute: "reference" has code to read, "cpu" the same compiled, and fast. The loss
# gives our numbers too, if it is told that it gets **logits**.

# %%
for room in ("reference", "cpu"):
    layer = Activation("softmax", dtype="float64").to(room)
    assert np.allclose(layer.forward(z), p, rtol=1e-15)
    assert np.allclose(layer.backward(dp), dz, rtol=1e-14)

from_logits = CategoricalCrossentropy(from_logits=True, reduction="sum")
value, gradient = from_logits.value_and_gradient(t, z)
assert np.isclose(value, L, rtol=1e-15) and np.allclose(gradient, dz_short, rtol=1e-15)

# %% [markdown]
# If it is given probabilities, it does as Keras: it moves every $p$ below $10^{-7}$ up
# to that number. Then the loss cannot be more than $-\ln 10^{-7} = 16.1$. But beyond it
# the gradient is **0**: a network that is sure and wrong learns nothing. So prefer
# `from_logits=True`.

# %%
value, gradient = from_logits.value_and_gradient(truth, large)
print(f"from logits: loss {value:.4g}, gradient {gradient[0]}")
assert value == 1000 and np.array_equal(gradient, [[1, -1]])

from_chances = CategoricalCrossentropy(reduction="sum")
value, gradient = from_chances.value_and_gradient(truth, softmax(large))
print(f"from probabilities: loss {value:.4g}, gradient {gradient[0] + 0}")
assert np.isclose(value, 16.118, rtol=1e-4) and not gradient.any()

show_source("kernels.reference.activation:softmax",
            "kernels.reference.activation:softmax_backward")

# %% [markdown]
# (There $x$ is what we call $z$, and $y$ is our $p$. The compiled kernel:
# `show_source("kernels.cpu.activation:softmax_backward")`, and for a GPU
# `show_source("kernels.cuda.activation:_softmax_backward")`.)

# %% [markdown]
# ## Softmax as a layer, with a mask
#
# In Keras there is also a layer. It is the same formula, and it takes a **mask**: which
# numbers of a row count at all. (Attention needs that: lesson 19.)
#
# $$\text{Softmax}(x_i) = \frac{e^{x_i}}{\sum_j e^{x_j}} \tag{001.16.Softmax}$$
#
# A number that does not count gets the logit $-10^9$. Then its $e^z$ is 0, and the
# others share the 1.

# %%
mask = np.array([[True, True, False],
                 [True, True, True]])   # (N, K)


def masked_softmax(z):
    return softmax(np.where(mask, z, -1e9))


p_masked = masked_softmax(z)
print("p_masked =", p_masked.round(4).tolist())
assert np.allclose(p_masked, [[2 / 3, 1 / 3, 0], [1 / 4, 1 / 4, 1 / 2]])

# %% [markdown]
# Now any $dp$ comes back. What does a masked logit hear? Is a new
# formula needed?

# %%
dp_any = np.array([[3.0, 0.0, 9.0],
                   [1.0, 2.0, 3.0]])    # (N, K)
# ? dz_masked, from p_masked and dp_any
dz_masked = p_masked * (dp_any - (dp_any * p_masked).sum(axis=1, keepdims=True))
check_derivative("dz", dz_masked, lambda z: np.sum(dp_any * masked_softmax(z)), z)
assert np.allclose(dz_masked[0], [2 / 3, -2 / 3, 0])
assert dz_masked[0, 2] == 0

# %% [markdown]
# $p = 0$ does it all: it stands in front, and in the sum. The $-10^9$ is a constant, so
# nothing passes it. Only a row of which **nothing** counts needs care: all its logits
# are $-10^9$, and softmax would give $1/3$ to each. Keras' layer sets masked numbers to
# 0 at the end.

# %%
masked = Softmax(dtype="float64")
assert np.allclose(masked.forward(z, mask=mask), p_masked, rtol=1e-14)
assert np.allclose(masked.backward(dp_any), dz_masked, rtol=1e-14)

nothing = np.zeros_like(mask)
assert np.allclose(softmax(np.where(nothing, z, -1e9)), 1 / 3)
assert not masked.forward(z, mask=nothing).any()
assert not masked.backward(dp_any).any()

# %% [markdown]
# ## A picture: who still pulls when you are wrong?
#
# Two classes. The right one has the logit $s$, the other has 0. Far to the left the
# network is sure and wrong. We compare cross-entropy with the squared error behind a
# softmax, whose $dp = 2 (p - t)$ must pass the flat softmax.

# %%
s = np.linspace(-8, 8, 161)
chances = softmax(np.stack([s, 0 * s], axis=1))         # (161, 2)
dp_squared = 2 * (chances - [1, 0])
inner = (dp_squared * chances).sum(axis=1, keepdims=True)
pull = {"cross-entropy": (chances - [1, 0])[:, 0],
        "squared error": (chances * (dp_squared - inner))[:, 0]}
for name, gradient in pull.items():
    print(f"{name}: gradient {gradient[0]:.4f} at s = -8")
save_figure(draw_pull(s, pull), "04_pull")
assert pull["cross-entropy"][0] < -0.999 and abs(pull["squared error"][0]) < 0.002

# %% [markdown]
# ## A real task: three spirals
#
# 600 points on three noisy arms. The network has two layers of 32 units and a last one
# of three, which gives logits. The **baseline** is that last layer alone: it can only
# draw straight lines. Then 600 new points.

# %%
points, arm = three_spirals(1200, np.random.default_rng(0))
known, new = points[:600], points[600:]


def train(hidden):
    """What a network with this many hidden layers says of the new points: (600, 3)."""
    set_random_seed(0)
    layers = [Dense(32, activation="tanh") for _ in range(hidden)]
    model = Sequential([*layers, Dense(3)])
    model.compile("adam", SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(known, arm[:600], epochs=100, verbose=0).history["loss"]
    return history, softmax(model.predict(new, verbose=0))


_, said_by_lines = train(0)
history, said = train(2)
right_lines = (said_by_lines.argmax(axis=1) == arm[600:]).mean()
right = said.argmax(axis=1) == arm[600:]
print(f"straight lines: {right_lines:.0%} right; the network: {right.mean():.0%}")
assert right.mean() > 0.85 > right_lines + 0.2

# %% [markdown]
# Where the arms run into each other it must be wrong sometimes. It should then at least
# not be *sure*. How high is the probability of its own answer?

# %%
trust = said.max(axis=1)
print(f"mean trust where it is right: {trust[right].mean():.2f},"
      f" where it is wrong: {trust[~right].mean():.2f}")
save_figure(draw_spirals(new, arm[600:], right, trust, history), "04_spirals")
assert trust[~right].mean() < trust[right].mean() - 0.1

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check 04 my_answer.py`.
#
# 1. On paper: logits $(\ln 3, 0)$, the right class is the second. Set `L` and `dx`, the
#    gradient by the logits.
# 2. A whole backward: `log_softmax_backward(x, dy)`, for rows of logits $x$ (N, K) and
#    $dy$, the gradient by their log-softmax. Return $dx$. (Its Jacobian is
#    $\delta_{ij} - p_j$.)
# 3. A bug, seen in the wild: the function below treats softmax like a sigmoid. Write it
#    right as `fixed_softmax_backward(p, dp)`, for rows.
# 4. An experiment: logits $(2, 1, 0, -1)$. At which temperature has the first class
#    probability 0.9? Set `temperature`.
#
# ```python
# def softmax_backward(p, dp):
#     return dp * p * (1 - p)
# ```
