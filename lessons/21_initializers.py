# %% [markdown]
# # 21 · Initialisers: what weights begin with
#
# *About 35 minutes.* Before a network has learnt anything, somebody must choose its
# weights. All zero? Then it never learns. Random? Then how large? If they are a little
# too large, the numbers explode from layer to layer. If they are a little too small,
# they vanish. You derive the right size here, and the reason for each of the names
# Glorot, He, LeCun and Orthogonal.
#
# ## A question first
#
# A network has 100 hidden units. All its weights begin with 0.5.

# %%
import math

import numpy as np

from lessons.data import digits
from lessons.figures import draw_depth, draw_initialized, draw_through_time
from nblayers.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
    compute_fans,
)
from nblayers.layers import Dense
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import SparseCategoricalCrossentropy
from nblayers.models import Sequential
from nblayers.optimizers import SGD
from nblayers.utils import set_random_seed

# ? guess: after 1000 steps of training, how many different hidden units are there?
different_units = 1
# ? guess: another network has 20 layers of 100 units and no activation. Its weights are
# ? drawn from N(0, 1). By how many powers of ten do the numbers grow on their way?
powers_of_ten = 20

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$) of two numbers, two hidden units ($H = 2$) and one output. There
# is no bias.
#
# $$a = x W \qquad h = \tanh(a) \qquad y = h v$$
#
# ```text
#    x ──W──▶ a ──tanh──▶ h ──v──▶ y ──▶ L
#
#    dx ◀──── da ◀─────── dh ◀──── dy ◀──┘
#        │                     │
#        ▼                     ▼
#        dW                    dv
# ```
#
# The simplest beginnings: all weights are the same number $c$.
#
# $$W = 0 \tag{001.03.Zeros}$$
# $$W = 1 \tag{001.03.Ones}$$
# $$W = c \tag{001.03.Constant}$$

# %%
x = np.array([[3.0, 4.0],
              [0.0, 2.0]])              # (N, in)
target = np.array([[1.0],
                   [-1.0]])             # (N, 1)
W = np.full((2, 2), 0.1)                # (in, H)
v = np.full((2, 1), 0.5)                # (H, 1)
h = np.tanh(x @ W)                      # (N, H)
y = h @ v                               # (N, 1)
print("h =", h.round(3).tolist())
assert np.array_equal(h[:, 0], h[:, 1])

# %% [markdown]
# ## Symmetry
#
# Both units compute the same. Do they also learn the same? Go back, by lessons 02 and
# 03. The loss is half the squared distance to the target.

# %%
dy = y - target                         # (N, 1)
dh = dy @ v.T                           # (N, H)
# ? da, from dh and h; the slope of tanh is 1 - h²
da = dh * (1 - h ** 2)                  # (N, H)
# ? dW, from x and da
dW = x.T @ da                           # (in, H)
print("dW =", dW.round(3).tolist())


def loss(W):
    return 0.5 * np.sum((np.tanh(x @ W) @ v - target) ** 2)


check_derivative("dW", dW, loss, W)
assert np.array_equal(dW[:, 0], dW[:, 1])

# %% [markdown]
# The columns of $dW$ are equal. So after a step the units are equal again, and so on
# for ever. The network might as well have one unit. This is called **symmetry**, and
# only something random can break it.

# %%
def train(W, v, steps=1000, eta=0.01):
    for _ in range(steps):
        h = np.tanh(x @ W)
        dy = h @ v - target
        da = dy @ v.T * (1 - h ** 2)
        W = W - eta * x.T @ da
        v = v - eta * h.T @ dy
    return W, v


W_hundred, _ = train(np.full((2, 100), 0.5), np.full((100, 1), 0.5))
units = np.unique(W_hundred.round(8), axis=1).shape[1]
print("different units after 1000 steps:", units)
assert units == different_units

W_zero, v_zero = train(np.zeros((2, 2)), np.zeros((2, 1)))
assert not W_zero.any() and not v_zero.any()

# %% [markdown]
# With zeros it is even worse. $h = 0$, so $dv = 0$. And $v = 0$, so $dh = 0$ and
# $dW = 0$. Nothing moves at all.
#
# For some weights equal numbers are right. A bias may begin with 0: the units differ
# by their $W$ already. A factor, as in normalisation, begins with 1. An LSTM's forget
# gate begins with the bias 1.
#
# ## Random, but how wide?
#
# A random number has a mean and a **variance**: the mean squared distance from the
# mean. The root of the variance is the standard deviation $\sigma$. All weights here
# have the mean 0. Then the variance is the mean of their squares.
#
# $$W \sim \mathcal{N}(0, \sigma^2) \tag{001.03.RandomNormal}$$
# $$W \sim U(-l, l) \tag{001.03.RandomUniform}$$
#
# In $\mathcal{N}(0, \cdot)$ the second number is the *variance*. The argument of
# `RandomNormal(stddev=…)` and of NumPy's `normal(0, …)` is its root. Many bugs come
# from that. For the uniform one the mean of the squares is an integral:
#
# $$\text{Var}(W) = \frac{1}{2 l} \int_{-l}^{l} w^2 \, dw = \frac{l^2}{3}$$

# %%
var = 0.04
# ? limit, that of a uniform distribution with the variance var
limit = np.sqrt(3 * var)
draws = np.random.default_rng(0).uniform(-limit, limit, 1_000_000)
print(f"limit {limit:.4f}; the variance of a million draws: {draws.var():.4f}")
assert np.isclose(draws.var(), var, rtol=0.01)

# %% [markdown]
# ## The variance of a layer's output
#
# Let the weights be drawn anew again and again, for the same $x$. How far does a
# pre-activation spread? It is a sum of independent random numbers:
#
# $$a_{nj} = \sum_i x_{ni} W_{ij}$$
#
# Variances of independent numbers add up. And a factor comes out squared: for a fixed
# number $c$, $\text{Var}(c W) = c^2 \, \text{Var}(W)$. Here the $W_{ij}$ are random,
# and the $x_{ni}$ are factors.

# %%
# ? var_a, a column (N, 1): the variance of the pre-activations of each sample
var_a = (x ** 2).sum(axis=1, keepdims=True) * var       # (N, 1)
print("var_a =", var_a.tolist())
many = np.random.default_rng(0).normal(0, np.sqrt(var), (2, 100_000))
measured = (x @ many).var(axis=1, keepdims=True)
print("measured in 100,000 draws:", measured.round(3).tolist())
assert np.allclose(measured, var_a, rtol=0.02)
assert np.allclose(var_a, [[1], [0.16]])

# %% [markdown]
# $$\text{Var}(a_{nj}) = \sum_i x_{ni}^2 \, \text{Var}(W)$$
#
# Write the sum as a mean: with $n_{in}$ inputs it is $n_{in}$ times the mean of $x^2$.
#
# $$\text{Var}(a) = n_{in} \, \text{Var}(W) \; \text{mean}(x^2)$$
#
# So **each layer multiplies the mean square by** $n_{in} \, \text{Var}(W)$. With 100
# inputs and $\mathcal{N}(0, 1)$ that is 100. The size, its root, becomes 10 times as
# large, in each of 20 layers.

# %%
rng = np.random.default_rng(0)
deep = rng.normal(size=(50, 100))
for _ in range(20):
    deep = deep @ rng.normal(size=(100, 100))
print(f"the size after 20 layers: {np.sqrt(np.mean(deep ** 2)):.1e}")
assert round(math.log10(np.sqrt(np.mean(deep ** 2)))) == powers_of_ten

deep = rng.normal(size=(50, 100))
for _ in range(20):
    deep = deep @ (0.05 * rng.normal(size=(100, 100)))
print(f"with sigma = 0.05: {np.sqrt(np.mean(deep ** 2)):.1e}")
assert np.sqrt(np.mean(deep ** 2)) < 1e-5

# %% [markdown]
# To keep the size, choose $\text{Var}(W) = 1 / n_{in}$. This is **LeCun**'s
# initialisation:
#
# $$W \sim \mathcal{N}(0, \frac{1}{n_{in}}) \tag{001.03.LecunNormal}$$
# $$W \sim U(-\sqrt{\frac{3}{n_{in}}}, \sqrt{\frac{3}{n_{in}}})
#   \tag{001.03.LecunUniform}$$
#
# ## The variance of the gradient
#
# Now the way back. We take our small network once more, with other weights. The
# gradient of an input:

# %%
W = np.array([[0.1, 0.2],
              [-0.3, 0.1]])             # (in, H)
h = np.tanh(x @ W)                      # (N, H)
dh = (h @ v - target) @ v.T             # (N, H)
da = dh * (1 - h ** 2)                  # (N, H)
# ? dx, from da and W
dx = da @ W.T                           # (N, in)


def loss_by_x(x):
    return 0.5 * np.sum((np.tanh(x @ W) @ v - target) ** 2)


check_derivative("dx", dx, loss_by_x, x)

# %% [markdown]
# Here the sum runs over the $n_{out}$ units, $dx_{ni} = \sum_j da_{nj} W_{ij}$. The
# same thought once more, with another sum.

# %%
wide = np.random.default_rng(1).normal(size=(500, 200))         # da of 200 units
# ? var_dx, a number: the expected variance of dx for n_out = 200 and Var(W) = var
var_dx = 200 * var * np.mean(wide ** 2)
draws = np.random.default_rng(2).normal(0, np.sqrt(var), (50, 200))     # W (50, 200)
measured = (wide @ draws.T).var()
print(f"var_dx = {var_dx:.2f}, measured {measured:.2f}")
assert np.isclose(measured, var_dx, rtol=0.05)

# %% [markdown]
# $$\text{Var}(dx) = n_{out} \, \text{Var}(W) \; \text{mean}(da^2)$$
#
# ## Glorot: a compromise
#
# Forward asks for $\text{Var}(W) = 1 / n_{in}$, backward for $1 / n_{out}$. Both at
# once is possible only if the layer is as wide as its input. Glorot and Bengio (2010)
# divide 1 by the mean of the two widths. There is a normal and a uniform one.

# %%
n_in, n_out = 40, 360
# ? var_glorot
var_glorot = 2 / (n_in + n_out)
# ? limit_glorot, that of the uniform distribution
limit_glorot = np.sqrt(6 / (n_in + n_out))
assert np.isclose(limit_glorot ** 2 / 3, var_glorot)
print(f"forward times {n_in * var_glorot:.2g}, backward {n_out * var_glorot:.2g}")
assert np.allclose([n_in * var_glorot, n_out * var_glorot], [0.2, 1.8])

# %% [markdown]
# $$W \sim \mathcal{N}(0, \frac{2}{n_{in} + n_{out}}) \tag{001.03.GlorotNormal}$$
# $$W \sim U(-l, l), \quad l = \sqrt{\frac{6}{n_{in} + n_{out}}}
#   \tag{001.03.GlorotUniform}$$
#
# The uniform one is what Dense begins with in Keras and here. Near 0, tanh has slope 1
# and changes little. So Glorot suits it. ReLU is another matter.
#
# ## He: for ReLU
#
# ReLU makes half of the numbers 0. If $a$ is as often negative as positive, half of the
# squares are lost. (The mean of $h$ is not 0 any more. That is why we count with the
# mean square and not with the variance.)

# %%
a_many = np.random.default_rng(0).normal(0, 3, 1_000_000)
# ? square, the expected mean of relu(a)² for a of standard deviation 3
square = 3 ** 2 / 2
print(f"expected {square}, measured {np.mean(np.maximum(a_many, 0) ** 2):.3f}")
assert np.isclose(np.mean(np.maximum(a_many, 0) ** 2), square, rtol=0.01)

# ? var_he: Var(W) for a ReLU layer of 40 inputs that keeps the mean square
var_he = 2 / n_in
assert var_he == 0.05

# %% [markdown]
# $$\text{mean}(h^2) = \frac{1}{2} \text{Var}(a)$$
#
# $$W \sim \mathcal{N}(0, \frac{2}{n_{in}}) \tag{001.03.HeNormal}$$
# $$W \sim U(-\sqrt{\frac{6}{n_{in}}}, \sqrt{\frac{6}{n_{in}}})
#   \tag{001.03.HeUniform}$$
#
# A factor of 2 looks small. After 20 layers it is $2^{20}$, a million.
#
# ## Truncated: where the 0.8796 comes from
#
# A normal distribution draws a very large weight now and then. To avoid that,
# libraries draw again what lies further than two deviations from the mean:
#
# $$W \sim \text{trunc} \mathcal{N}(0, \sigma^2) \tag{001.03.TruncatedNormal}$$
#
# But that makes the distribution narrower. How much? Take $\sigma = 1$, and $\varphi$
# for the density of the normal distribution. The part that is kept is
# $p = \int_{-2}^{2} \varphi(z) dz = 0.9545$. The variance of what is kept is
# $\frac{1}{p} \int_{-2}^{2} z^2 \varphi(z) dz$. Since $\varphi'(z) = -z \varphi(z)$,
# integrate by parts:
#
# $$\int_{-2}^{2} z \cdot z \varphi \, dz = -2 \varphi(2) - 2 \varphi(-2) + p
#   = p - 4 \varphi(2)$$

# %%
p = math.erf(2 / math.sqrt(2))
density = math.exp(-2) / math.sqrt(2 * math.pi)         # at z = 2, and at -2
# ? deviation, the standard deviation of what is kept, from p and density
deviation = math.sqrt(1 - 4 * density / p)
print(f"p = {p:.4f}, deviation = {deviation:.6f}")
z = np.random.default_rng(0).normal(size=1_000_000)
assert np.isclose(z[np.abs(z) <= 2].std(), deviation, rtol=0.01)
assert np.isclose(deviation, 0.87962566)

# %% [markdown]
# So `TruncatedNormal(stddev=1)` gives weights of deviation 0.88. But `GlorotNormal`,
# `HeNormal` and `LecunNormal` are to have their variance. They are truncated too, so
# they draw with $\sigma / 0.8796$. Many texts leave both out.
#
# ## All of them in one
#
# All these have the form $\text{Var}(W) = \text{scale} / n$. Keras has one class for
# that, with three arguments:
#
# $$\text{Var}(W) = \frac{\text{scale}}{n}, \quad
#   n = n_{in}, n_{out}, \frac{n_{in} + n_{out}}{2} \tag{001.03.VarianceScaling}$$
#
# ```text
#              scale   mode      distribution
#    LeCun       1     fan_in
#    Glorot      1     fan_avg   truncated_normal or uniform
#    He          2     fan_in
# ```
#
# A **fan** counts the terms of a sum. An output of a convolution sums over its whole
# window and all channels in it. So does a gradient of its input, over all filters.

# %%
kernel_shape = (3, 3, 16, 32)           # window 3 × 3, 16 channels in, 32 filters
# ? fans, the two numbers n_in and n_out of this kernel, as an array
fans = np.array([3 * 3 * 16, 3 * 3 * 32])
assert compute_fans(kernel_shape) == tuple(fans)

# %% [markdown]
# ## Orthogonal: lengths that stay
#
# So far lengths are kept *on average*. A recurrent layer multiplies by the **same**
# matrix in each step. There the average does not help: some directions grow, others
# shrink, in every step again. In an **orthogonal** matrix $Q$ the columns have length 1
# and stand at right angles:
#
# $$Q^\top Q = I \tag{001.03.Orthogonal}$$
#
# For a square matrix $Q Q^\top = I$ too. So a row keeps its length, on its way forward
# and on its way back:
#
# $$|h Q|^2 = h Q Q^\top h^\top = h h^\top = |h|^2$$
#
# How to find one at random? Draw any matrix $A$ and straighten its columns, one after
# the other. (This is the Gram-Schmidt process.) Here on paper:

# %%
A = np.array([[3.0, 1.0],
              [4.0, 3.0]])
# ? q_1, the first column of A, brought to length 1
q_1 = A[:, 0] / np.linalg.norm(A[:, 0])
print("q_1 =", q_1.tolist())
# ? rest, what is left of the second column if its part along q_1 is taken off
rest = A[:, 1] - (q_1 @ A[:, 1]) * q_1
q_2 = rest / np.linalg.norm(rest)
print("q_2 =", q_2.round(10).tolist())
assert np.allclose(q_1, [0.6, 0.8]) and np.allclose(q_2, [-0.8, 0.6])
Q = np.stack([q_1, q_2], axis=1)
assert np.allclose(Q.T @ Q, np.eye(2))

# %% [markdown]
# In other words: $A = Q R$, where $R$ has zeros below its diagonal. This is the **QR**
# decomposition. `np.linalg.qr` gives it, but it may turn the signs of columns. (Our
# way has a positive diagonal in $R$.) To be like ours, multiply each column by the
# sign of its diagonal element. With the signs put right, each orthogonal matrix is
# equally likely. (Some texts say SVD. Keras takes QR.)

# %%
q, r = np.linalg.qr(A)
# ? Q_signed: q with the signs put right, by np.sign(np.diag(r))
Q_signed = q * np.sign(np.diag(r))
assert np.allclose(Q_signed, Q)

dh_next = np.array([[1.0, 2.0],
                    [0.5, 0.0]])        # (N, H), a gradient that comes back by h Q
# ? dh_prev: one step back through h Q
dh_prev = dh_next @ Q.T                 # (N, H)
lengths = np.linalg.norm(dh_prev, axis=1)
print("lengths before and after:", np.linalg.norm(dh_next, axis=1), lengths)
assert np.allclose(lengths, np.linalg.norm(dh_next, axis=1))

# %% [markdown]
# The simplest orthogonal matrix of all changes nothing:
#
# $$W = I \tag{001.03.IdentityInitializer}$$
#
# ## A picture: a hundred steps back
#
# A gradient of length 1 goes back through 100 steps with the same matrix (32, 32).

# %%
lengths = {}
candidates = {"RandomNormal, variance 1/n": RandomNormal(0, 32 ** -0.5, seed=1),
              "the same, 10 % larger": RandomNormal(0, 1.1 * 32 ** -0.5, seed=1),
              "Orthogonal": Orthogonal(seed=1),
              "Identity": Identity()}
for name, initializer in candidates.items():
    U = initializer((32, 32), "float64")
    d = np.full(32, 32 ** -0.5)         # of length 1
    lengths[name] = [np.linalg.norm(d)]
    for _ in range(100):
        d = d @ U.T
        lengths[name].append(np.linalg.norm(d))
    print(f"{name}: after 100 steps {lengths[name][-1]:.3g}")
save_figure(draw_through_time(lengths), "21_through_time")
assert np.allclose(lengths["Orthogonal"], 1) and np.allclose(lengths["Identity"], 1)
normal, larger = list(lengths.values())[:2]
assert np.allclose(larger[-1] / normal[-1], 1.1 ** 100)

# %% [markdown]
# Ten per cent more in each step is a factor of 14,000 after a hundred. That is why the
# recurrent weights of SimpleRNN, GRU and LSTM begin orthogonal. (In a SimpleRNN the
# slope of tanh makes gradients smaller still: lesson 07.)
#
# ## The same in the library
#
# With a seed, the library draws as NumPy does. So our formulas can be compared with it
# to the last digit.

# %%
same = np.random.default_rng(5).uniform(-limit_glorot, limit_glorot, (40, 360))
given = GlorotUniform(seed=5)((40, 360), "float64")
assert np.allclose(given, same, rtol=1e-15)

q, r = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))
given = Orthogonal(seed=5)((4, 4), "float64")
assert np.allclose(given, q * np.sign(np.diag(r)), rtol=1e-15)

for room in ("reference", "cpu"):
    layer = Dense(2, activation="tanh", use_bias=False, dtype="float64").to(room)
    layer.build(x.shape)
    layer.set_weights([W])
    assert np.allclose(layer.forward(x), h, rtol=1e-15)
    assert np.allclose(layer.backward(dh), dx, rtol=1e-14)
    assert np.allclose(layer.kernel.grad, x.T @ da, rtol=1e-14)

# %% [markdown]
# And the variances of all of them, for a matrix (40, 360). What is expected, and what
# 100 matrices have:

# %%
expected = {Zeros(): 0, Ones(): 0, Constant(3): 0,
            RandomNormal(stddev=0.2): 0.04, RandomUniform(-0.3, 0.3): 0.03,
            TruncatedNormal(stddev=0.2): 0.04 * deviation ** 2,
            LecunNormal(): 1 / n_in, LecunUniform(): 1 / n_in,
            GlorotNormal(): var_glorot, GlorotUniform(): var_glorot,
            HeNormal(): var_he, HeUniform(): var_he,
            VarianceScaling(3, "fan_out"): 3 / n_out}
set_random_seed(0)
for initializer, variance in expected.items():
    found = np.var([initializer((n_in, n_out)) for _ in range(100)])
    print(f"{type(initializer).__name__:16} {variance:.5f}, measured {found:.5f}")
    assert np.isclose(found, variance, rtol=0.01)

show_source(VarianceScaling.draw, Orthogonal.draw)

# %% [markdown]
# ## A picture: thirty layers there and back
#
# 30 layers of 100 units. Forward we measure the mean square of $h$ after each layer,
# backward that of $dh$.

# %%
def there_and_back(initializer, relu):
    rng = np.random.default_rng(0)
    h, d = rng.normal(size=(2, 200, 100))
    forward, backward, kept = [np.mean(h ** 2)], [np.mean(d ** 2)], []
    for _ in range(30):
        W = initializer((100, 100), "float64")
        a = h @ W
        h = np.maximum(a, 0) if relu else np.tanh(a)
        slope = a > 0 if relu else 1 - h ** 2
        kept.append((W, slope))
        forward.append(np.mean(h ** 2))
    for W, slope in reversed(kept):
        d = (d * slope) @ W.T
        backward.append(np.mean(d ** 2))
    return forward, backward[::-1]


set_random_seed(0)
sizes = {"tanh, Glorot": there_and_back(GlorotNormal(), False),
         "ReLU, Glorot": there_and_back(GlorotNormal(), True),
         "ReLU, He": there_and_back(HeNormal(), True),
         "ReLU, RandomNormal(0.05)": there_and_back(RandomNormal(stddev=0.05), True),
         "ReLU, RandomNormal(0.2)": there_and_back(RandomNormal(stddev=0.2), True)}
save_figure(draw_depth(sizes), "21_depth")
assert 0.1 < sizes["ReLU, He"][0][-1] < 10
assert sizes["ReLU, Glorot"][0][-1] < 1e-6 < 1e-3 < sizes["tanh, Glorot"][0][-1]

# %% [markdown]
# On the logarithmic scale the lines are nearly straight: the same factor in each layer.
# For ReLU only He stays near 1. Tanh loses a little, most of it in the first layers: it
# presses large numbers together.
#
# ## A real task: twenty layers
#
# Digits of 8 × 8 points, 1200 to learn and 597 for the examination. The network has 20
# hidden ReLU layers of 64 units. Only the initialiser changes. The **baseline** is the
# last layer alone. For such an easy task 20 layers are too many. We only ask that they
# do no harm. (Gradients are clipped, lesson 07, so that no single step spoils the
# comparison.)

# %%
images, labels = digits()
points = ((images - images.mean()) / images.std()).reshape(-1, 64).astype(np.float32)
mixed = np.random.default_rng(0).permutation(len(points))
points, labels = points[mixed], labels[mixed]


def examine(initializer, hidden=20):
    set_random_seed(0)
    layers = [Dense(64, "relu", kernel_initializer=initializer) for _ in range(hidden)]
    model = Sequential([*layers, Dense(10)])
    optimizer = SGD(0.03, global_clipnorm=1.0)
    model.compile(optimizer, SparseCategoricalCrossentropy(from_logits=True))
    fitted = model.fit(points[:1200], labels[:1200], epochs=20, verbose=0)
    return fitted.history["loss"], model.predict(points[1200:], verbose=0).argmax(1)


# %% [markdown]
# ## The contest
#
# An orthogonal matrix keeps lengths, and then ReLU takes half of the squares. So for
# ReLU multiply it by $\sqrt{2}$: its `gain`.

# %%
contest = {"one layer": examine(GlorotUniform(), hidden=0)}
contest["zeros"] = examine(Zeros())
contest["RandomNormal(0.05)"] = examine(RandomNormal(stddev=0.05))
contest["Glorot"] = examine(GlorotUniform())
contest["He"] = examine(HeNormal())
contest["Orthogonal(√2)"] = examine(Orthogonal(gain=2 ** 0.5))
truth = labels[1200:]
right = {name: (told == truth).mean() for name, (_, told) in contest.items()}
for name, share in right.items():
    print(f"{name:20} {share:.0%} right, loss at the end {contest[name][0][-1]:.2f}")
assert max(right["zeros"], right["RandomNormal(0.05)"]) < 0.2
assert right["Glorot"] + 0.3 < min(right["He"], right["Orthogonal(√2)"])

# %% [markdown]
# Zeros never move, and small weights hardly do. All that these two can learn is the
# bias of the last layer: they say the same digit always. He and Orthogonal learn. (The
# single layer is better still: more layers are not better by themselves.) Which digits
# do the networks take for which?

# %%
confusions = {}
for name in ("Glorot", "He", "Orthogonal(√2)"):
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (truth, contest[name][1]), 1)
    confusions[name] = counts
    wrong = counts * (1 - np.eye(10, dtype=int))
    of, taken = np.unravel_index(wrong.argmax(), wrong.shape)
    print(f"{name}: most often {of} is taken for {taken}, {wrong.max()} times")
losses = {name: history for name, (history, _) in contest.items()}
save_figure(draw_initialized(losses, right, confusions), "21_digits")
assert len(np.unique(contest["zeros"][1])) == 1

# %% [markdown]
# Glorot's network is not broken, only late: after 20 epochs its loss has begun to
# fall. With more epochs it would learn. A bad beginning costs time. In a network that
# is deep enough, nothing is learnt at all.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 21 my_answer.py`.
#
# 1. On paper: a Dense layer from 50 inputs to 150 units. Set `var_glorot`, and `limit`,
#    the limit of GlorotUniform. And a Conv2D kernel of shape (5, 5, 4, 8) for ReLU: set
#    `var_he`.
# 2. A whole backward: `network_backward(x, W_1, W_2, W_3, dz)`, for
#    $z = \text{relu}(\text{relu}(x W_1) W_2) W_3$ without biases, with samples as rows.
#    Return `dx, dW_1, dW_2, dW_3`.
# 3. A bug, seen in the wild: with the function below, a deep ReLU network is silent.
#    Write it right as `fixed_he_normal(rng, n_in, n_out)`.
# 4. An experiment: the activation ELU, $a$ for $a > 0$ and $e^a - 1$ else. The inputs
#    have mean square 1. With `VarianceScaling(scale, "fan_in")`, which `scale` makes
#    the mean square of ELU's output 1 again? Set `scale`.
#
# ```python
# def he_normal(rng, n_in, n_out):
#     return rng.normal(0, 2 / n_in, (n_in, n_out))
# ```
