# %% [markdown]
# # 03 · Activations and their slopes
#
# *About 45 minutes, without the exercises.* Two Dense layers in a row are one Dense
# layer: a weighted sum of weighted sums is a weighted sum. So a network bends its
# numbers between the layers. The function that bends them is called an **activation**.
# Its slope decides how much of the gradient comes through. You derive each slope, and
# you see what a slope near 0 does to a deep network.
#
# ## A question first
#
# The **sigmoid** is $\sigma(a) = 1 / (1 + e^{-a})$, an S-shaped curve from 0 to 1.
# How steep is it at its steepest place? And if a gradient passes 20 layers with a
# sigmoid each: how much of it is left? Think of a number for each before you go on.

# %%
import numpy as np

from lessons.data import two_moons
from lessons.figures import draw_moons, draw_slopes, draw_through_layers
from nblayers import activations
from nblayers.layers import ELU, Activation, Dense, LeakyReLU, PReLU, ReLU
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import BinaryCrossentropy
from nblayers.models import Sequential
from nblayers.optimizers import SGD
from nblayers.utils import set_random_seed

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$), two units ($H = 2$). What a unit computes before it is bent
# is called its **pre-activation**, here $a$. Each element is bent for itself. No
# element looks at another one. In Keras the layer that does it is `Activation`:
#
# $$y = f(a) \tag{001.06.Activation}$$
#
# The numbers are logarithms, so that $e^a$ is 3, 1/2, 1/3 and 2. You need no
# calculator.

# %%
a = np.log([[3.0, 1 / 2],
            [1 / 3, 2.0]])              # (N, H)
dy = np.array([[16.0, 9.0],
               [16.0, -9.0]])           # (N, H): how fast the loss grows with each y
assert np.allclose(np.exp(-a), [[1 / 3, 2], [3, 1 / 2]])

# %% [markdown]
# ```text
#            forward                              backward
#
#   x ──· W + b──▶ a ──f──▶ y ──▶ … L     dx ◀──· Wᵀ── da ◀──· f'(a)── dy ◀── … L
# ```
#
# An activation has one arrow in and one arrow out. So the chain rule has one factor:
#
# $$da = \frac{\partial L}{\partial a} = dy \cdot f'(a)$$
#
# $f'$ is the slope of $f$. All of this lesson is about that factor.
#
# ## Sigmoid: forward and slope
#
# $$\sigma(a) = \frac{1}{1 + e^{-a}} \tag{001.02.sigmoid}$$

# %%
# ? y, the sigmoid of a
y = 1 / (1 + np.exp(-a))
print("y =", y.round(4).tolist())
assert np.allclose(y, [[3 / 4, 1 / 3], [1 / 4, 2 / 3]])

# %% [markdown]
# Now its slope. Call the denominator $D = 1 + e^{-a}$. The derivative of $e^{-a}$ is
# $-e^{-a}$, so $D' = -e^{-a}$. The rule for a quotient $1 / D$ says:
#
# $$\sigma' = -\frac{D'}{D^2} = \frac{e^{-a}}{D^2}
#   = \frac{1}{D} \cdot \frac{e^{-a}}{D}$$
#
# The first factor is $\sigma$. In the second, $e^{-a}$ is $D - 1$. So both can be said
# with the output $y = \sigma(a)$ alone.

# %%
# ? the slope of the sigmoid, from y alone
slope_sigmoid = y * (1 - y)
check_derivative("slope", slope_sigmoid, lambda a: np.sum(1 / (1 + np.exp(-a))), a)
print("slope =", slope_sigmoid.round(4).tolist())
assert np.allclose(slope_sigmoid, [[3 / 16, 2 / 9], [3 / 16, 2 / 9]])

# %% [markdown]
# The second factor is $(D - 1)/D = 1 - 1/D = 1 - \sigma$, so together
#
# $$\sigma'(a) = \sigma(a) \, (1 - \sigma(a))$$
#
# The slope is told by the **output alone**: who has kept $y$ does not need $a$. That
# saves memory. Gates of an LSTM use this line too (lesson 08).
#
# And the backward is one product. (The check below takes $L = \sum dy \cdot y$, as
# lesson 01 did: then $L$ grows by $dy$ with each $y$.)

# %%
# ? da, from dy and the slope
da = dy * slope_sigmoid
check_derivative("da", da, lambda a: np.sum(dy / (1 + np.exp(-a))), a)
assert np.allclose(da, [[3, 2], [3, -2]])

# %% [markdown]
# How steep can it be? $y (1 - y)$ is a parabola in $y$, 0 at $y = 0$ and at $y = 1$.

# %%
# ? guess: what is the largest slope that a sigmoid has anywhere?
steepest = 0.25
middle = 1 / (1 + np.exp(-0.0))
assert middle == 0.5 and middle * (1 - middle) == steepest

# %% [markdown]
# It stands in the middle, at $a = 0$. So a sigmoid passes on **a quarter of the
# gradient at most**. Far from the middle it passes on nearly nothing. There the unit
# is said to be **saturated**: it is full, and hardly feels its input any more.

# %%
full = 1 / (1 + np.exp(-10.0))
print(f"at a = 10: y = {full:.6f}, slope {full * (1 - full):.1e}")
assert np.isclose(full * (1 - full), 4.5e-5, rtol=0.01)

# %% [markdown]
# ## Tanh
#
# $$\tanh a = \frac{e^a - e^{-a}}{e^a + e^{-a}} \tag{001.02.tanh}$$
#
# The same S, from −1 to 1. Call the numerator $P$ and the denominator $Q$. Then
# $P' = e^a + e^{-a} = Q$ and $Q' = e^a - e^{-a} = P$. The quotient rule:
#
# $$\tanh' = \frac{P' Q - P Q'}{Q^2} = \frac{Q^2 - P^2}{Q^2}$$
#
# And $P / Q$ is the output. So again the output alone tells it.

# %%
y_tanh = np.tanh(a)
print("tanh a =", y_tanh.round(4).tolist())
assert np.allclose(y_tanh, [[0.8, -0.6], [-0.8, 0.6]])

# ? the slope of tanh, from y_tanh alone
slope_tanh = 1 - y_tanh ** 2
check_derivative("slope", slope_tanh, lambda a: np.tanh(a).sum(), a)
assert np.allclose(slope_tanh, [[0.36, 0.64], [0.36, 0.64]])

# %% [markdown]
# $$\tanh' a = 1 - \tanh^2 a$$
#
# At $a = 0$ the slope is 1, four times that of the sigmoid. In fact the two are one
# curve: $\tanh a = 2 \sigma(2a) - 1$. Tanh is a sigmoid, twice as high and squeezed to
# half the width. Twice and twice makes four.

# %%
assert np.allclose(y_tanh, 2 / (1 + np.exp(-2 * a)) - 1)

# %% [markdown]
# ## Relu, and a kink
#
# $$\text{relu}(a) = \max(0, a) \tag{001.02.relu}$$
#
# To the right of 0 it is $a$ itself: slope 1, nothing is lost. To the left it is 0:
# slope 0, nothing comes through. At 0 it has a **kink**, no slope at all (lesson 01).
# There one takes 0, as Keras does.

# %%
# ? da of relu, from dy and a
da_relu = dy * (a > 0)
check_derivative("da", da_relu, lambda a: np.sum(dy * np.maximum(a, 0)), a)
assert da_relu.tolist() == [[16, 0], [0, -9]]
assert activations.relu.gradient(np.zeros(1), np.ones(1)) == 0

# %% [markdown]
# ## A dead unit
#
# Slope 0 has a price. Let a unit be below 0 **for every sample**. Then all its $da$ are
# 0, so are the gradients of its weights and its bias, and no step of learning will ever
# change it. It is called **dead**. Below, the first unit has lost its way: its bias
# is −9.

# %%
x = np.array([[1.0, 2.0],
              [3.0, -1.0]])             # (N, in)
W = np.array([[1.0, 1.0],
              [2.0, -1.0]])             # (in, H)
b = np.array([-9.0, 0.0])
before = x @ W + b
assert before.tolist() == [[-4, -1], [-8, 4]]

# ? dW, for relu behind x @ W + b: dy passes the slope first, then W as in lesson 02
dW = x.T @ (dy * (before > 0))
check_derivative("dW", dW, lambda W: np.sum(dy * np.maximum(x @ W + b, 0)), W)
print("dW =", dW.tolist())
assert np.array_equal(dW[:, 0], [0, 0]) and dW[:, 1].any()

# %% [markdown]
# ## Relatives of relu
#
# **Leaky relu** lets a little through on the left, $\alpha a$ with a small $\alpha$. A
# unit that is below 0 everywhere can come back.
#
# $$f(a) = a \text{ if } a > 0 \text{ else } \alpha a \tag{001.02.leaky\_relu}$$
#
# At 0 Keras takes the slope of the right side, 1. Its $\alpha$ is 0.2.

# %%
alpha = 0.2                             # 001.02.leaky_relu
# ? da of leaky relu, from dy, a and alpha
da_leaky = dy * np.where(a >= 0, 1, alpha)
check_derivative("da", da_leaky, lambda a: np.sum(dy * np.where(a >= 0, a, 0.2 * a)), a)
assert np.allclose(da_leaky, [[16, 1.8], [3.2, -9]])

# %% [markdown]
# **Elu** bends towards $-\alpha$ on the left, and its slope runs smoothly into the
# 1 of the right side (for $\alpha = 1$, which we take).
#
# $$f(a) = a \text{ if } a > 0 \text{ else } \alpha (e^a - 1) \tag{001.02.elu}$$
#
# Take the slope of the left side. It too can be said with the output alone.

# %%
y_elu = np.where(a > 0, a, np.exp(a) - 1)
# ? the slope of elu, from y_elu alone (alpha is 1)
slope_elu = np.where(y_elu > 0, 1, y_elu + 1)
check_derivative("slope", slope_elu,
                 lambda a: np.where(a > 0, a, np.exp(a) - 1).sum(), a)
assert np.allclose(slope_elu, [[1, 1 / 2], [1 / 3, 1]])

# %% [markdown]
# On the left $f' = \alpha e^a = f + \alpha$.
#
# ## Smooth ones: softplus, silu, gelu
#
# **Softplus** is a relu with a round corner. Use the chain rule: the outer slope, that
# of the logarithm, times the inner one.
#
# $$f(a) = \ln(1 + e^a) \tag{001.02.softplus}$$

# %%
# ? the slope of softplus; multiply above and below by exp(-a), and you know it
slope_softplus = 1 / (1 + np.exp(-a))
check_derivative("slope", slope_softplus, lambda a: np.log1p(np.exp(a)).sum(), a)
assert np.allclose(slope_softplus, y)

# %% [markdown]
# $$f'(a) = \frac{e^a}{1 + e^a} = \sigma(a)$$
#
# **Silu**, also called **swish**, is the input times its own sigmoid. The input occurs
# twice, so the product rule has two terms.
#
# $$f(a) = a \, \sigma(a) \tag{001.02.silu}$$

# %%
# ? the slope of silu, with y for the sigmoid of a
slope_silu = y + a * y * (1 - y)
check_derivative("slope", slope_silu, lambda a: np.sum(a / (1 + np.exp(-a))), a)

# %% [markdown]
# $$f'(a) = \sigma(a) + a \, \sigma(a) \, (1 - \sigma(a))$$
#
# **Gelu** has $\Phi$ in place of $\sigma$: $\Phi(a)$ is the chance that a number drawn
# from the normal distribution is below $a$. Its slope is the bell curve
# $\varphi(a) = e^{-a^2 / 2} / \sqrt{2 \pi}$.
#
# $$f(a) = a \, \Phi(a) \tag{001.02.gelu}$$
#
# (Many texts print an approximation of $\Phi$ by tanh. Keras computes $\Phi$ itself
# unless told `approximate=True`. The two differ by less than 0.001.)

# %%
Phi = activations.gelu(a) / a
phi = np.exp(-a ** 2 / 2) / np.sqrt(2 * np.pi)
# ? the slope of gelu, from a, Phi and phi
slope_gelu = Phi + a * phi
check_derivative("slope", slope_gelu, lambda a: activations.gelu(a).sum(), a)
line = np.linspace(-6, 6, 241)
exact, approximate = activations.gelu(line), activations.gelu(line, approximate=True)
assert np.abs(exact - approximate).max() < 0.001

# %% [markdown]
# ## Straight pieces: relu6, hard sigmoid, hard silu
#
# Other numbers for these, since their kinks lie further out. The plainest first:
# **linear** is no bend at all. What you get if you name no activation is this one. Its
# slope is 1.
#
# $$f(a) = a \tag{001.02.linear}$$
#
# **Relu6** stops at 6. Its slope is 1 between 0 and 6, and 0 outside.
#
# $$f(a) = \min(\max(0, a), 6) \tag{001.02.relu6}$$

# %%
a_wide = np.array([[-4.0, -1.0],
                   [2.0, 7.0]])         # (N, H)


def relu6(a):
    return np.minimum(np.maximum(0, a), 6)


assert relu6(a_wide).tolist() == [[0, 0], [2, 6]]
assert activations.linear(a_wide) is a_wide

# %% [markdown]
# **Hard sigmoid** is a sigmoid of three straight pieces: cheap, for small machines.
# Many texts print $\max(0, \min(1, 0.2 a + 0.5))$. That was Keras 2. Right for Keras 3,
# and for PyTorch:
#
# $$f(a) = \text{relu6}(a + 3) / 6 \tag{001.02.hard\_sigmoid}$$

# %%
y_hard = relu6(a_wide + 3) / 6
assert np.allclose(y_hard, [[0, 1 / 3], [5 / 6, 1]])    # 001.02.hard_sigmoid

# ? the slope of the hard sigmoid, from a_wide
slope_hard = np.where(np.abs(a_wide) < 3, 1 / 6, 0)
check_derivative("slope", slope_hard, lambda a: np.sum(relu6(a + 3) / 6), a_wide)
assert np.allclose(activations.hard_sigmoid(a_wide), y_hard)
assert not np.allclose(np.clip(0.2 * a_wide + 0.5, 0, 1), y_hard)

# %% [markdown]
# **Hard silu** is the input times its own hard sigmoid. The input occurs twice:
#
# $$f(a) = a \cdot \text{relu6}(a + 3) / 6 \tag{001.02.hard\_silu}$$

# %%
# ? the slope of hard silu, from a_wide, y_hard and slope_hard
slope_hard_silu = y_hard + a_wide * slope_hard          # 001.02.hard_silu
check_derivative("slope", slope_hard_silu,
                 lambda a: np.sum(a * relu6(a + 3) / 6), a_wide)
assert np.allclose(slope_hard_silu, [[0, 1 / 6], [7 / 6, 1]])

# %% [markdown]
# ## Four more: exponential, softsign, mish, selu
#
# The **exponential** is its own slope: the output is kept, and nothing is computed.
#
# $$f(a) = e^a \tag{001.02.exponential}$$
#
# **Softsign** goes from −1 to 1 as tanh does, but slowly: far out its slope falls as
# $1 / a^2$, not as $e^{-2a}$.
#
# $$f(a) = \frac{a}{1 + |a|} \tag{001.02.softsign}$$
#
# For $a > 0$ the rule for quotients gives $\frac{(1 + a) - a}{(1 + a)^2}$. The other
# side is its mirror image. And $1 - |y|$ is $\frac{1}{1 + |a|}$.

# %%
y_exponential = np.exp(a)
check_derivative("slope", y_exponential, lambda a: np.exp(a).sum(), a)

y_softsign = a_wide / (1 + np.abs(a_wide))
# ? the slope of softsign, from y_softsign alone
slope_softsign = (1 - np.abs(y_softsign)) ** 2
check_derivative("slope", slope_softsign, lambda a: np.sum(a / (1 + np.abs(a))), a_wide)
assert np.allclose(slope_softsign, [[1 / 25, 1 / 4], [1 / 9, 1 / 64]])

# %% [markdown]
# $$f'(a) = \frac{1}{(1 + |a|)^2} = (1 - |y|)^2$$
#
# **Mish** is the input times the tanh of its softplus. You know all its parts. Call the
# tanh $t$; it is a fraction for our numbers.
#
# $$f(a) = a \tanh(\ln(1 + e^a)) \tag{001.02.mish}$$

# %%
t = np.tanh(np.log1p(np.exp(a)))
assert np.allclose(t, [[15 / 17, 5 / 13], [7 / 25, 4 / 5]])

# ? the slope of mish, from a, t and y (the sigmoid of a)
slope_mish = t + a * (1 - t ** 2) * y
check_derivative("slope", slope_mish,
                 lambda a: np.sum(a * np.tanh(np.log1p(np.exp(a)))), a)

# %% [markdown]
# $$f'(a) = t + a \, (1 - t^2) \, \sigma(a)$$
#
# The product rule, and in its second term the chain rule: the slope of tanh, then that
# of softplus.
#
# **Selu** is an elu times $\lambda$. Its slope is $\lambda$ on the right. On the left
# it is $\lambda \alpha e^a = y + \lambda \alpha$. The two numbers are chosen so that
# inputs of mean 0 and variance 1 keep both.
#
# $$f(a) = \lambda \cdot (a \text{ if } a > 0 \text{ else } \alpha (e^a - 1))
#   \tag{001.02.selu}$$

# %%
scale, alpha_selu = 1.0507009873554805, 1.6732632423543772
y_selu = activations.selu(a)
slope_selu = np.where(a > 0, scale, y_selu + scale * alpha_selu)
check_derivative("slope", slope_selu, lambda a: activations.selu(a).sum(), a)

drawn = activations.selu(np.random.default_rng(4).normal(size=1_000_000))
print(f"behind selu: mean {drawn.mean():.3f}, variance {drawn.var():.3f}")
assert abs(drawn.mean()) < 0.01 and abs(drawn.var() - 1) < 0.01

# %% [markdown]
# ## As layers, with settings
#
# Keras has some of these as layers. `LeakyReLU` and `ELU` are as above. But the layer's
# $\alpha$, called `negative_slope`, is 0.3; that of the function is 0.2.
#
# $$\text{LeakyReLU}(a) = a \text{ if } a > 0 \text{ else } \alpha a
#   \tag{001.16.LeakyReLU}$$
# $$\text{ELU}(a) = a \text{ if } a > 0 \text{ else } \alpha (e^a - 1)
#   \tag{001.16.ELU}$$

# %%
leaky = LeakyReLU(dtype="float64")
assert np.allclose(leaky.forward(a), np.where(a >= 0, a, 0.3 * a))
assert np.allclose(leaky.backward(dy), dy * np.where(a >= 0, 1, 0.3))
elu = ELU(dtype="float64")
assert np.allclose(elu.forward(a), y_elu)
assert np.allclose(elu.backward(dy), dy * slope_elu)

# %% [markdown]
# `ReLU` is more than its formula says.
#
# $$\text{ReLU}(a) = \max(0, a) \tag{001.16.ReLU}$$
#
# It has a threshold $\theta$. Above it, the output is $a$, but at most `max_value`. At
# or below it, the output is $s \, (a - \theta)$ with $s$ = `negative_slope`. We take
# $\theta = 1$, `max_value` 6 and $s = 1/8$.

# %%
s, theta, max_value = 1 / 8, 1, 6
# ? the slope of that layer at a_wide: one number for each of the three pieces
slope_layer = np.where(a_wide > theta, a_wide < max_value, s)
layer = ReLU(max_value, negative_slope=s, threshold=theta, dtype="float64")
assert np.allclose(layer.forward(a_wide), [[-5 / 8, -1 / 4], [2, 6]])
assert np.array_equal(layer.backward(dy), dy * slope_layer)
assert slope_layer.tolist() == [[1 / 8, 1 / 8], [1, 0]]

# %% [markdown]
# The threshold moves the place of the kink and leaves the slopes as they are. (At
# $\theta$ the output even jumps, from 0 to 1. No slope tells of that.)
#
# ## A slope that is learned: PReLU
#
# `PReLU` makes a weight of the slope on the left: each unit has its own $\alpha_h$, and
# it begins with 0, as a plain relu.
#
# $$\text{PReLU}(a) = a \text{ if } a > 0 \text{ else } \alpha a \tag{001.16.PReLU}$$
#
# So it has two gradients, that by $a$ and that by $\alpha$. Take the units of before,
# of which the first is dead. Ask as for a bias: where does $\alpha_h$ stand, and what
# is it multiplied by?

# %%
alphas = np.zeros(2)                    # (H,)


def prelu(a, alphas):
    return np.where(a > 0, a, alphas * a)


# ? dalphas, (H,), from dy and before, which is (N, H)
dalphas = np.sum(dy * np.where(before > 0, 0, before), axis=0)
check_derivative("dalphas", dalphas, lambda v: np.sum(dy * prelu(before, v)), alphas)
assert dalphas.tolist() == [16 * -4 + 16 * -8, 9 * -1]

# %% [markdown]
# $$d\alpha_h = \sum_n dy_{nh} \, a_{nh} \quad \text{(where } a_{nh} \le 0)$$
#
# The dead unit is the one that is told most. One step against that gradient opens its
# left side, and then its weights are told something too:

# %%
learned = PReLU(dtype="float64")
learned.forward(before)
da_dead = learned.backward(dy)
assert np.array_equal(learned.alpha.grad, dalphas)
alphas = alphas - 0.001 * dalphas
learned.set_weights([alphas])
learned.forward(before)
da_open = learned.backward(dy)
print("da of the dead unit:", da_dead[:, 0], " after the step:", da_open[:, 0])
assert np.array_equal(da_dead[:, 0], [0, 0])
assert np.allclose(da_open[:, 0], 16 * 0.192)

# %% [markdown]
# ## The same in the library
#
# Each function of `nblayers.activations` has its `gradient` beside it. In the
# **reference** kernels (plain NumPy) they are our lines, to the last digit. There the
# pre-activation is called `x`; `y` is kept from the forward.

# %%
ours = {"sigmoid": dy * y * (1 - y), "tanh": dy * (1 - y_tanh ** 2),
        "relu": da_relu, "leaky_relu": da_leaky}
for name, expected in ours.items():
    layer = Activation(name, dtype="float64").to("reference")
    layer.forward(a)
    assert np.allclose(layer.backward(dy), expected, rtol=1e-14, atol=0)
show_source("kernels.reference.activation:sigmoid_backward",
            "kernels.reference.activation:tanh_backward",
            "kernels.reference.activation:elu_backward",
            "kernels.reference.activation:silu_backward")

# %% [markdown]
# Find in each line the slope that you have derived. `x` occurs in only two of them:
# elu asks on which side it stands, and silu needs it for its sigmoid.
#
# All that the library has, with slopes: look for those that pass on more than 1, and
# for those whose slope is 0 somewhere.

# %%
names = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu",
         "selu", "mish", "softsign", "hard_sigmoid")
curves = {}
for name in names:
    f = getattr(activations, name)
    curves[name] = f(line), f.gradient(line, np.ones_like(line))
    print(f"{name:12} slope from {curves[name][1].min():5.2f}"
          f" to {curves[name][1].max():.2f}")
assert curves["silu"][1].min() < 0 and curves["silu"][1].max() > 1
assert curves["sigmoid"][1].max() == 0.25 and curves["tanh"][1].max() == 1

save_figure(draw_slopes(line, {name: curves[name] for name in names[:8]}), "03_slopes")

# %% [markdown]
# ## 20 layers deep
#
# 100 samples pass 20 layers of 64 units. Weights are drawn so that, without
# activations, numbers would keep their size: with variance $1/64$, one over the number
# of inputs. First forward. We keep the slope of each layer.

# %%
rng = np.random.default_rng(0)
weights = [rng.normal(scale=np.sqrt(1 / 64), size=(64, 64)) for _ in range(20)]
h = rng.normal(size=(100, 64))          # (N, H)
slopes = []
for W in weights:
    h = 1 / (1 + np.exp(-(h @ W)))
    slopes.append(h * (1 - h))
dh = rng.normal(size=h.shape)           # what comes back into the last layer
powers = np.zeros(21)                   # the size of dh before layer n, log10
powers[20] = np.log10(np.abs(dh).mean())

# %% [markdown]
# The walk back takes the layers from last to first. In each, $dh$ becomes $da$ by the
# slope, and $da$ becomes the $dh$ of the layer before by the weights:
#
# $$da = dh \odot \sigma'(a) \qquad dh_\text{before} = da \, W^\top$$
#
# ($\odot$ multiplies element by element.)

# %%
# ? guess: how many powers of ten will the gradient lose behind 20 sigmoids?
powers_lost = 12.6

# ? [powers] the walk back: a loop over n = 19, 18, … 0, with slopes[n] and weights[n]
# ? in each, make dh that before layer n, and set powers[n] to log10 of its mean |dh|
for n in reversed(range(20)):
    da = dh * slopes[n]
    dh = da @ weights[n].T
    powers[n] = np.log10(np.abs(dh).mean())

print("powers of ten before layer 0, 5, 10, 15, 20:", powers[::5].round(1))
assert abs(powers[20] - powers[0] - powers_lost) < 0.1
assert (np.diff(powers) > np.log10(4 / 1.04)).all()

# %% [markdown]
# Each layer took away three quarters and more, since $4^{20} \approx 10^{12}$. The
# first layers of such a network do not learn.
#
# ## A picture: the same walk through other activations

# %%
def sizes_through(name, gain):
    """The mean |dh| behind 0, 1, … 20 layers, with weights `gain` times as large."""
    f = getattr(activations, name)
    h, kept = np.random.default_rng(1).normal(size=(100, 64)), []
    for W in weights:
        kept.append(h @ (gain * W))
        h = f(kept[-1])
    dh = np.random.default_rng(2).normal(size=h.shape)
    found = [np.abs(dh).mean()]
    for a, W in zip(reversed(kept), reversed(weights), strict=True):
        dh = f.gradient(a, dh) @ (gain * W.T)
        found.append(np.abs(dh).mean())
    return np.array(found) / found[0]


root2 = np.sqrt(2)
through = {"sigmoid": sizes_through("sigmoid", 1),
           "tanh": sizes_through("tanh", 1),
           "relu": sizes_through("relu", 1),
           "relu, W · √2": sizes_through("relu", root2),
           "gelu, W · √2": sizes_through("gelu", root2)}
for name, left in through.items():
    print(f"{name:13} {left[-1]:.1e} of the gradient is left")
assert through["sigmoid"][-1] < 1e-12 and 0.1 < through["relu, W · √2"][-1] < 10
assert 1e-4 < through["relu"][-1] < 1e-2 and 0.01 < through["tanh"][-1] < 1
save_figure(draw_through_layers(through), "03_through_layers")

# %% [markdown]
# Relu passes on 1 or 0, for about half of the units each. So half of the *squares* is
# lost in every layer: $2^{-20/2}$ is a thousandth. Weights $\sqrt 2$ times as large
# make up for it. That is **He initialisation**, in Keras `he_normal` (lesson 21).
#
# ## A real task: two moons, ten layers deep
#
# Two half circles of points, one hooked into the other, with noise. Three networks of
# ten layers with 16 units each, by activation; then the **baseline**, one Dense layer,
# which can only draw a straight line. What is right is counted on 600 new points.
# (Weights begin with numbers drawn by chance. A **seed**, in `set_random_seed`, makes
# the chance the same each time.)

# %%
points, kind = two_moons(1200, 0.2, np.random.default_rng(3))
target = kind[:, None].astype(float)


def train(name, initializer, depth):
    """A network, its right answers on new points, and where it is wrong."""
    set_random_seed(0)
    hidden = [Dense(16, activation=name, kernel_initializer=initializer)
              for _ in range(depth)]
    model = Sequential([*hidden, Dense(1)])
    model.compile(optimizer=SGD(0.05), loss=BinaryCrossentropy(from_logits=True))
    model.fit(points[:600], target[:600], epochs=60, batch_size=30, verbose=0)
    answers = model.predict(points[600:], verbose=0)[:, 0] > 0
    return model, answers == kind[600:]


models = {"baseline: a line": train(None, "glorot_uniform", 0),
          "sigmoid": train("sigmoid", "glorot_uniform", 10),
          "tanh": train("tanh", "glorot_uniform", 10),
          "relu": train("relu", "he_normal", 10)}
right = {name: found.mean() for name, (_, found) in models.items()}
for name, share in right.items():
    print(f"{name:17} {share:.1%} of 600 new points are right")
assert right["sigmoid"] < 0.6 and 0.8 < right["baseline: a line"] < 0.92
assert min(right["tanh"], right["relu"]) > 0.92
save_figure(draw_moons(models, points[600:], kind[600:]), "03_moons")

# %% [markdown]
# Ten sigmoids give the same answer everywhere, so half of it is right: **worse than
# one straight line**. What tanh and relu get wrong lies where the noise has mixed the
# moons. No network can know better there.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 03 my_answer.py`.
#
# 1. On paper. A sigmoid has given $y = 0.2$, and $dy = 5$ comes back: set `da_sigmoid`.
#    A tanh has given $y = 0.5$, and $dy = 4$: set `da_tanh`.
# 2. A whole backward: a stack of layers $h \gets \tanh(h W)$, as in the walk above.
#    Write `stack_backward(x, weights, dy)` for a batch x (N, H) and a list of weights.
#    Return $dx$ and the list of the $dW$, in the order of `weights`. (Run forward first
#    and keep what you need.)
# 3. A bug, below: an elu whose backward is told $y$ and takes it for $a$. Write it
#    right, as `fixed_elu_backward(y, dy, alpha)`.
# 4. An experiment: 20 layers of 256 units with `leaky_relu` of slope 0.5 on the left,
#    weights drawn with variance $g^2 / 256$. For which $g$ does the gradient keep its
#    size? Set `gain` (5 % will do). What would theory say?
#
# ```python
# def elu_backward(y, dy, alpha):
#     return dy * np.where(y > 0, 1, alpha * np.exp(y))
# ```
