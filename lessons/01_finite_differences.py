# %% [markdown]
# # 01 · Finite differences: what a gradient is, and how to check one
#
# *About 25 minutes.* A network learns by asking of each of its numbers: if this one grew a little, how fast would the loss
# grow? That rate is the **gradient**. In this library every gradient is written by hand, so every one needs a witness who has
# not read the derivation. The witness is the oldest idea of calculus: change the number, and look.
#
# ## A question first
#
# You estimate the slope of $e^x$ at $x = 1$ by $(e^{1+h} - e^1)/h$, in double precision (16 digits). Which $h$ comes
# closest: $10^{-2}$, $10^{-8}$ or $10^{-15}$? And how many digits will be right? Write down your guess.

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np

import nblayers
from nblayers.layers import Dense, Layer
from nblayers.learn.tools import numerical_derivative, save_figure, show_source

# %% [markdown]
# ## Numbers for paper
#
# Take $f(x) = x^2$ at $x = 3$, where the slope is 6, and $h = 0.1$. Do it on paper before you go on. There are two ways:
#
# $$F(h) = \frac{f(x + h) - f(x)}{h} \tag{one-sided}$$
#
# $$D(h) = \frac{f(x + h) - f(x - h)}{2h} \tag{central}$$

# %%
def one_sided(f, x, h):
    return (f(x + h) - f(x)) / h


def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


F, D = one_sided(np.square, 3.0, 0.1), central(np.square, 3.0, 0.1)
print(f"one-sided: {F:.3f}   central: {D:.3f}")
assert np.isclose(F, 6.1) and np.isclose(D, 6.0)        # 2x + h, too large by h; and 2x, where two errors cancel

# %% [markdown]
# ## Many numbers at once
#
# A loss depends on many weights. Its gradient has one slope for each, and therefore **the shape of the weights**:
#
# $$\frac{\partial L}{\partial w_i} \approx \frac{L(w + h e_i) - L(w - h e_i)}{2h}$$
#
# where $e_i$ is 1 at place $i$ and 0 elsewhere: one weight is moved, all others wait. On paper: for $L(w) = w_1^2 w_2$ at
# $w = (1, 2)$ the gradient is $(2 w_1 w_2, w_1^2) = (4, 1)$. The loop below is all that there is to it.

# %%
def loss(w):
    return w[0] ** 2 * w[1]


w, h = np.array([1.0, 2.0]), 1e-5
dw = np.empty_like(w)
for i, e in enumerate(np.eye(2)):
    dw[i] = (loss(w + h * e) - loss(w - h * e)) / (2 * h)
print("dw =", dw)
assert np.allclose(dw, [4, 1]) and np.allclose(dw, numerical_derivative(loss, w))     # the same, for later lessons

# %% [markdown]
# ## What is left out, and what is lost
#
# Taylor's series says how wrong each way is for an $h$ that is not zero:
#
# $$F(h) = f'(x) + \frac{h}{2} f''(x) + \dots \qquad D(h) = f'(x) + \frac{h^2}{6} f'''(x) + \dots$$
#
# Halve $h$: the first error halves, the second is divided by four. So make $h$ tiny? A computer keeps $f$ to a relative
# precision $\epsilon$ only ($2.2 \cdot 10^{-16}$ in float64, $1.2 \cdot 10^{-7}$ in float32), and subtracting two nearly equal
# numbers leaves little but that rounding. Divided by $h$ it is an error of about $\epsilon |f| / h$, which *grows* as $h$
# shrinks. Somewhere the two errors meet.

# %%
def error(way, h, dtype=np.float64):
    return abs(float(way(np.exp, dtype(1), dtype(h))) / np.e - 1)


assert np.allclose([np.finfo(np.float64).eps, np.finfo(np.float32).eps], [2.2e-16, 1.2e-7], rtol=0.02, atol=0)
assert 1.9 < error(one_sided, 0.02) / error(one_sided, 0.01) < 2.1
assert 3.9 < error(central, 0.02) / error(central, 0.01) < 4.1
for h in (1e-2, 1e-5, 1e-8, 1e-15):
    print(f"h = {h:.0e}: one-sided is off by {error(one_sided, h):.0e}, central by {error(central, h):.0e}")

# %% [markdown]
# ## A picture: the valley between two errors
#
# Each way has its own best $h$: near $\sqrt{\epsilon}$ for the one-sided difference, near $\sqrt[3]{\epsilon}$ for the central
# one. So of the three in the question $10^{-8}$ is best, with some eight digits right. The central way gets ten.

# %%
steps = np.logspace(-15, 0, 61)
curves = {(way, dtype): [error(way, h, dtype) for h in steps]
          for way in (one_sided, central) for dtype in (np.float64, np.float32)}
fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for (way, dtype), errors in curves.items():
    ax.loglog(steps, np.maximum(errors, 1e-13), label=f"{way.__name__}, {dtype.__name__}")
ax.set(xlabel="h", ylabel="relative error", title="slope of exp at 1")
ax.legend()
save_figure(fig, "01_error_against_h")

best = {key: steps[np.argmin(errors)] for key, errors in curves.items()}
print(*(f"{way.__name__}, {dtype.__name__}: best h = {h:.0e}" for (way, dtype), h in best.items()), sep="\n")
assert error(one_sided, 1e-8) < 1e-7 and error(central, 1e-5) < 1e-10
assert error(one_sided, 1e-8) < error(one_sided, 1e-2) < error(one_sided, 1e-15)
assert 1e-9 < best[one_sided, np.float64] < 1e-7 and 1e-6 < best[central, np.float64] < 1e-4
assert min(curves[central, np.float32]) > 1e-7 and error(central, 1e-5, np.float32) > 1e-4

# %% [markdown]
# Hence two rules for checking gradients: **central differences, and float64**. In float32 a right backward and a slightly wrong
# one look alike. That is why every layer here can run in `dtype="float64"` from end to end.
#
# ## A kink has no slope
#
# `relu` (001.02.relu) is $f(x) = \max(0, x)$: slope 0 on the left, 1 on the right, none at 0. The central difference answers
# all the same, with something in between. But look at the slopes to the right, $F(h)$, and to the left, $F(-h)$: where $f$ is
# smooth they come together as $h$ shrinks, across a kink they stay apart. So a good checker tells a kink from a mistake.

# %%
relu = partial(np.maximum, 0)
for place, h, slope, gap in ((0, 1e-3, 0.5, 1), (0, 1e-5, 0.5, 1), (3e-4, 1e-3, 0.65, 0.7), (3e-4, 1e-5, 1, 0)):
    D, right, left = central(relu, place, h), one_sided(relu, place, h), one_sided(relu, place, -h)
    print(f"x = {place:.4f}, h = {h:.0e}: central {D:.2f}, right {right:.2f}, left {left + 0:.2f}")
    assert np.allclose([D, right - left], [slope, gap])

# %% [markdown]
# ## A layer, and a bug planted in it
#
# A layer is no number, so what is *its* gradient? Behind it follows some loss $L$, and `backward` is told how fast $L$ grows
# with each output: $dy = \partial L / \partial y$ (we write $dy$ for the derivative of $L$ by $y$, of the shape of $y$). To
# check, choose $dy$ at random and let $L = \sum_n \sum_d dy_{nd}\, y_{nd}$. Then $L$ is a number, and all the above applies.
#
# Here is a layer of our own, $y_{nd} = s_d \tanh(x_{nd})$, with $\tanh'(x) = 1 - \tanh^2(x)$. One line of `backward` is wrong.

# %%
class ScaledTanh(Layer):
    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")

    def forward(self, x):
        self.cache = np.tanh(x)
        return self.scale.value * self.cache

    def backward(self, dy):
        self.scale.grad += (dy * self.cache).sum(axis=0)
        return dy * self.scale.value * (1 - self.cache)


rng = np.random.default_rng(0)
x = rng.normal(size=(2, 3))
report = nblayers.gradcheck(ScaledTanh(), x, raise_error=False)
print(report)
assert not report and [t.passed for t in report.tensors] == [False, True]       # the input's is wrong, the weight's right

# %% [markdown]
# The gradient of `scale` is right, so the cache is; that of `x` is wrong, so its line is: `1 - self.cache ** 2`. Mended:

# %%
class Mended(ScaledTanh):
    def backward(self, dy):
        self.scale.grad += (dy * self.cache).sum(axis=0)
        return dy * self.scale.value * (1 - self.cache ** 2)


print(nblayers.gradcheck(Mended(), x))                  # would raise an error if anything were wrong

# %% [markdown]
# ## The same in the library
#
# `nblayers.gradcheck` does this for any layer: in float64, with a random $dy$, for all inputs and weights. Here it checks a
# `Dense` layer (001.06.Dense), the subject of the next lesson. Then follows the function with which it takes a derivative:
# find our central difference in it, and the finer and finer $h$. (The first kernels to look at come in lesson 02.)

# %%
print(nblayers.gradcheck(Dense(4, activation="tanh"), x))
show_source("nblayers.gradient_check.numeric:derivative")

# %% [markdown]
# ## A real task: learning without any backward
#
# With a gradient one can learn already: walk against it, in steps of the learning rate $\eta$,
#
# $$w \gets w - \eta \frac{\partial L}{\partial w} \tag{001.01.add\_weight}$$
#
# (the document prints this as the formula of `add_weight`, which only *makes* the weight). We fit a tide to noisy
# heights, $a \sin(2 \pi t / p + c) + m$: four unknowns, twelve readings a day for four days.

# %%
t = np.arange(48) * 2.0                                             # hours
heights = 1.5 * np.sin(2 * np.pi * t / 12.4 + 0.6) + 3.0 + rng.normal(scale=0.2, size=t.size)


def misfit(w):
    return np.mean((w[0] * np.sin(2 * np.pi * t / w[1] + w[2]) + w[3] - heights) ** 2)


def fit(w, steps=2000, eta=0.02):
    w, history = np.array(w), []
    for _ in range(steps):
        w -= eta * numerical_derivative(misfit, w)                  # (001.01.add_weight)
        history.append(misfit(w))
    return w, history


found, history = fit([1.0, 12.0, 0.0, 0.0])
lost, lost_history = fit([1.0, 9.0, 0.0, 0.0])
print(f"begun at 12 h: {found.round(2)}, mean square error {history[-1]:.3f} (true: 1.5, 12.4, 0.6, 3)")
print(f"begun at  9 h: {lost.round(2)}, mean square error {lost_history[-1]:.3f}")
assert np.allclose(found, [1.5, 12.4, 0.6, 3.0], atol=0.2) and history[-1] < 0.06
assert lost_history[-1] > 10 * history[-1]                          # what it got wrong

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.semilogy(np.transpose([history, lost_history]), label=["from p = 12", "from p = 9"])
ax.set(xlabel="step", ylabel="mean square error", title="fitting a tide")
ax.legend()
save_figure(fig, "01_tide")

# %% [markdown]
# A gradient only knows the slope underfoot: begun at a period of 9 hours, the fit ends in a hollow from which every way is up.
# And mind the price: two losses for each weight at each step. A million weights would need two million forward passes for
# *one* gradient; a backward pass gives it for about the price of two. Finite differences stay on as the witness.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 01 my_answer.py`.
#
# 1. On paper: what does the central difference of $x^3$ give at $x = 2$ with $h = 0.1$? Set `central_of_cube`.
# 2. A backward to fill in: $y = x\,\sigma(x)$, called `silu` (001.02.silu), with $\sigma(x) = 1/(1 + e^{-x})$. Write
#    `silu_backward(x, dy)`, which returns $dx$.
# 3. A bug: every slope that the function below finds is half of what it should be. Write it right, as
#    `fixed_derivative(f, x, h)`, and mind what it leaves behind in `x`.
# 4. An experiment: central differences of $\sin$ at $x = 100$ in float32. Which power of ten is the best $h$? Set `best_h`.
#
# ```python
# def derivative(f, x, h):
#     df = np.zeros_like(x)
#     for i in range(len(x)):
#         x[i] += h
#         above = f(x)
#         x[i] -= h
#         below = f(x)
#         df[i] = (above - below) / (2 * h)
#     return df
# ```
