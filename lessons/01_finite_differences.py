# %% [markdown]
# # 01 · Finite differences: what a gradient is, and how to check one
#
# *About 25 minutes.* A network learns by asking of each of its numbers: if this one
# grew a little, how fast would the loss grow? That rate is the **gradient**. In this
# library every gradient is written by hand. So every one needs a witness who has not
# read the derivation. The witness is the oldest idea of calculus: change the number,
# and look.
#
# ## A question first
#
# You estimate the slope of $e^x$ at $x = 1$ by $(e^{1+h} - e^1)/h$. The computer keeps
# 16 digits. Which $h$ comes closest: $10^{-2}$, $10^{-8}$ or $10^{-15}$?

# %%
from functools import partial

import numpy as np

import nblayers
from lessons.data import tide
from lessons.figures import draw_error_against_h, draw_tide
from nblayers.gradient_check import numeric
from nblayers.layers import Dense, Layer
from nblayers.learn.tools import (
    check_derivative,
    numerical_derivative,
    save_figure,
    show_source,
)

# ? guess: which of the three: 1e-2, 1e-8 or 1e-15?
best_of_three = 1e-8

# %% [markdown]
# ## Numbers for paper
#
# Take $f(x) = x^2$ at $x = 3$, where the slope is 6, and $h = 0.1$. There are two ways:
#
# $$F(h) = \frac{f(x + h) - f(x)}{h} \tag{one-sided}$$
#
# $$D(h) = \frac{f(x + h) - f(x - h)}{2h} \tag{central}$$

# %%
# ? F, for f(x) = x² at 3 with h = 0.1; do it on paper
F = 6.1
# ? D, for the same
D = 6.0

# %% [markdown]
# $F$ is $2x + h$: too large by $h$. In $D$ the two errors cancel. Now as functions, for
# any $f$:

# %%
def one_sided(f, x, h):
    return (f(x + h) - f(x)) / h


# ? [central] def central(f, x, h)
def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


assert np.isclose(one_sided(np.square, 3.0, 0.1), F)
assert np.isclose(central(np.square, 3.0, 0.1), D)

# %% [markdown]
# ## Many numbers at once
#
# A loss depends on many weights. Its gradient has one slope for each. So it has **the
# shape of the weights**. We write $dw$ for it:
#
# $$dw_i = \frac{\partial L}{\partial w_i}
#   \approx \frac{L(w + h e_i) - L(w - h e_i)}{2h}$$
#
# Here $e_i$ is 1 at place $i$ and 0 elsewhere: one weight is moved, all others wait.

# %%
def loss(w):
    return w[0] ** 2 * w[1]


w = np.array([1.0, 2.0])
# ? dw_exact: the gradient of w0² w1 at w = (1, 2), by school calculus
dw_exact = np.array([4.0, 1.0])

# %% [markdown]
# The loop below is all that there is to finite differences. `np.eye(2)` has the two
# $e_i$ as its rows.

# %%
h = 1e-5
dw = np.zeros(2)
# ? [dw] fill dw: a loop over i and e of enumerate(np.eye(2)), with loss, w and h
for i, e in enumerate(np.eye(2)):
    dw[i] = (loss(w + h * e) - loss(w - h * e)) / (2 * h)
print("dw =", dw)
assert np.allclose(dw, dw_exact)
assert np.allclose(dw, numerical_derivative(loss, w))   # the same loop, for all lessons

# %% [markdown]
# ## What is left out
#
# Taylor's series says how wrong each way is, for an $h$ that is not zero:
#
# $$F(h) = f'(x) + \frac{h}{2} f''(x) + \dots$$
#
# $$D(h) = f'(x) + \frac{h^2}{6} f'''(x) + \dots$$

# %%
def error(way, h, dtype=np.float64):
    """How far off the slope of e^x at 1 is, as a share of it."""
    return abs(float(way(np.exp, dtype(1), dtype(h))) / np.e - 1)


# ? guess: h is halved; by what is the error of the one-sided difference divided?
one_sided_gain = 2
assert np.isclose(error(one_sided, 0.02) / error(one_sided, 0.01), one_sided_gain, 0.05)

# ? guess: and the error of the central difference?
central_gain = 4
assert np.isclose(error(central, 0.02) / error(central, 0.01), central_gain, 0.05)

# %% [markdown]
# ## What is lost
#
# So make $h$ tiny? A computer keeps a number to a share $\epsilon$ of its size only:
# $2.2 \cdot 10^{-16}$ in float64, $1.2 \cdot 10^{-7}$ in float32. Take two nearly equal
# numbers from each other, and little but that rounding is left. Divided by $h$ it is an
# error of about $\epsilon |f| / h$. It *grows* as $h$ shrinks. Somewhere the two errors
# meet.

# %%
for number, epsilon in ((np.float64, 2.2e-16), (np.float32, 1.2e-7)):
    assert np.isclose(np.finfo(number).eps, epsilon, rtol=0.02, atol=0)
for h in (1e-2, 1e-5, 1e-8, 1e-15):
    print(f"h = {h:.0e}: one-sided is off by {error(one_sided, h):.0e},"
          f" central by {error(central, h):.0e}")
assert error(one_sided, best_of_three) < 1e-7
assert error(one_sided, 1e-8) < error(one_sided, 1e-2) < error(one_sided, 1e-15)

# %% [markdown]
# ## A picture: the valley between two errors
#
# Each way has its own best $h$: near $\sqrt{\epsilon}$ for the one-sided difference,
# near $\sqrt[3]{\epsilon}$ for the central one. The central way gets ten digits right,
# the one-sided eight.

# %%
steps = np.logspace(-15, 0, 61)
curves, best = {}, {}
for way in (one_sided, central):
    for dtype in (np.float64, np.float32):
        name = f"{way.__name__}, {dtype.__name__}"
        curves[name] = [error(way, h, dtype) for h in steps]
        best[name] = steps[np.argmin(curves[name])]
        print(f"{name:19} best h = {best[name]:.0e}")
save_figure(draw_error_against_h(steps, curves), "01_error_against_h")

assert error(central, 1e-5) < 1e-10
assert 1e-9 < best["one_sided, float64"] < 1e-7
assert 1e-6 < best["central, float64"] < 1e-4
assert min(curves["central, float32"]) > 1e-7

# %% [markdown]
# Hence two rules for checking gradients: **central differences, and float64**. In
# float32 a right backward and a slightly wrong one look alike. That is why every layer
# here can run in `dtype="float64"` from end to end.
#
# ## A kink has no slope
#
# $$\text{relu}(x) = \max(0, x) \tag{001.02.relu}$$
#
# Its slope is 0 on the left and 1 on the right. At 0 it has none: it has a **kink**.
# The central difference answers all the same.

# %%
relu = partial(np.maximum, 0)
# ? guess: what does the central difference of relu give at 0?
at_kink = 0.5
assert np.isclose(central(relu, 0, 1e-3), at_kink)
assert np.isclose(central(relu, 0, 1e-5), at_kink)

# %% [markdown]
# But look at the slope to the right, $F(h)$, and the one to the left, $F(-h)$. Where
# $f$ is smooth they come together as $h$ shrinks. Across a kink they stay apart. So a
# good checker tells a kink from a mistake.

# %%
for place, h, gap in ((0, 1e-3, 1), (0, 1e-5, 1), (3e-4, 1e-3, 0.7), (3e-4, 1e-5, 0)):
    right, left = one_sided(relu, place, h), one_sided(relu, place, -h)
    print(f"x = {place:.4f}, h = {h:.0e}: right {right:.2f}, left {left + 0:.2f}")
    assert np.isclose(right - left, gap)

# %% [markdown]
# ## A layer, and a bug planted in it
#
# A layer gives many numbers. What is *its* gradient? Behind it follows some loss $L$,
# and `backward` is told how fast $L$ grows with each output:
# $dy = \partial L / \partial y$, of the shape of $y$. To check, draw $dy$ at random and
# let $L = \sum_n \sum_d dy_{nd} \, y_{nd}$. Then $L$ is a number, and all the above
# applies.
#
# Here is a layer of our own, for a batch of $N$ samples, one a row:
#
# $$y_{nd} = s_d \tanh(x_{nd})$$
#
# Lesson 03 derives the slope $\tanh'(x) = 1 - \tanh^2(x)$. One line of `backward` is
# wrong. Can you see which?

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
x = rng.normal(size=(2, 3))             # (N, D)
report = nblayers.gradcheck(ScaledTanh(), x, raise_error=False)
print(report)
assert not report

# %% [markdown]
# ## The bug found
#
# One of two gradients is wrong. Read in the report which. Then write what `backward`
# should compute, with these numbers:

# %%
scale = np.array([1.0, 2.0, 0.5])       # (D,)
cache = np.tanh(x)                      # (N, D)
dy = rng.normal(size=(2, 3))            # (N, D)
# ? dscale, from dy and cache: scale d occurs in every sample, times cache
dscale = (dy * cache).sum(axis=0)
check_derivative("dscale", dscale, lambda scale: np.sum(dy * scale * cache), scale)

# ? dx, from dy, scale and cache
dx = dy * scale * (1 - cache ** 2)
check_derivative("dx", dx, lambda x: np.sum(dy * scale * np.tanh(x)), x)

# %% [markdown]
# So the wrong line was that of $dx$: the square is missing. With it:

# %%
class Mended(ScaledTanh):
    def backward(self, dy):
        self.scale.grad += (dy * self.cache).sum(axis=0)
        return dy * self.scale.value * (1 - self.cache ** 2)


assert [tensor.passed for tensor in report.tensors] == [False, True]
print(nblayers.gradcheck(Mended(), x))  # would raise an error if anything were wrong

# %% [markdown]
# ## The same in the library
#
# `nblayers.gradcheck` does this for any layer: in float64, with a random $dy$, for all
# inputs and weights. Here it checks a `Dense` layer, the subject of the next lesson.

# %%
print(nblayers.gradcheck(Dense(4, activation="tanh"), x))
show_source("nblayers.learn.tools:numerical_derivative")

# %% [markdown]
# That is your loop, for arrays of any shape. The checker itself takes finer and finer
# $h$, until the slopes are those of a smooth function. In the code of this library a
# number in brackets, as (4), points to an equation at the head of the same file. So
# here is the head of the file first.

# %%
print(numeric.__doc__)
show_source("nblayers.gradient_check.numeric:derivative")

# %% [markdown]
# ## Learning without any backward
#
# With a gradient one can learn already: walk against it. The length of the step is told
# by the **learning rate** $\eta$ (eta).
#
# $$w \gets w - \eta \, \frac{\partial L}{\partial w} \tag{001.01.add\_weight}$$

# %%
eta = 0.1
# ? w_next: where one step leads from w = (1, 2), with the dw from above
w_next = w - eta * dw
print(f"loss {loss(w):.2f} before the step, {loss(w_next):.2f} behind it")
assert loss(w_next) < loss(w)

# %% [markdown]
# ## A real task: a tide
#
# Noisy heights of the sea, twelve a day for four days. We look for four
# numbers, the height $w_0$, the period $w_1$, the shift $w_2$ and the middle $w_3$ in
# $w_0 \sin(2 \pi t / w_1 + w_2) + w_3$. The loss is the mean of the squared distances.
# The **baseline** is a sea that stands still at its mean.

# %%
t, heights = tide(rng)                  # hours, and metres


def model(w, t):
    return w[0] * np.sin(2 * np.pi * t / w[1] + w[2]) + w[3]


def misfit(w):
    return np.mean((model(w, t) - heights) ** 2)


def fit(start, steps=2000, eta=0.02):
    """Gradient descent from `start`; returns where it ends, and the loss on the way."""
    w, history = np.array(start), []
    for _ in range(steps):
        w = w - eta * numerical_derivative(misfit, w)
        history.append(misfit(w))
    return w, history


found, history = fit([1.0, 12.0, 0.0, 0.0])
lost, lost_history = fit([1.0, 9.0, 0.0, 0.0])
still = np.mean((heights - heights.mean()) ** 2)
print(f"a sea that stands still: {still:.3f}")
print(f"begun at 12 h: {found.round(2)}, loss {history[-1]:.3f}")
print(f"begun at  9 h: {lost.round(2)}, loss {lost_history[-1]:.3f}")
print("the truth:     [ 1.5  12.4   0.6   3. ]")

times = np.linspace(0, 94, 500)
save_figure(draw_tide(t, heights, times, {
    "begun at 12 h": (model(found, times), history),
    "begun at 9 h": (model(lost, times), lost_history)}), "01_tide")
assert np.allclose(found, [1.5, 12.4, 0.6, 3.0], atol=0.2) and history[-1] < 0.06
assert lost_history[-1] > 10 * history[-1] and lost_history[-1] > 0.8 * still

# %% [markdown]
# A gradient only knows the slope underfoot. Begun at a period of 9 hours, the fit ends
# in a hollow from which every way is up. It is hardly better there than a sea that
# stands still.
#
# And mind the price: two losses for each weight at each step. A million weights would
# need two million forward passes for *one* gradient. A backward pass gives it for about
# the price of two. Finite differences stay on as the witness.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 01 my_answer.py`.
#
# 1. On paper: what does the central difference of $x^3$ give at $x = 2$ with $h = 0.1$?
#    Set `central_of_cube`.
# 2. A whole backward: $y = x\,\sigma(x)$, called `silu` (001.02.silu), with
#    $\sigma(x) = 1/(1 + e^{-x})$ and $\sigma' = \sigma (1 - \sigma)$. Write
#    `silu_backward(x, dy)` for a batch; return $dx$.
# 3. A bug: every slope that the function below finds is half of what it should be.
#    Write it right, as `fixed_derivative(f, x, h)`, and mind what it leaves behind in
#    `x`.
# 4. An experiment: central differences of $\sin$ at $x = 100$ in float32. Which power
#    of ten is the best $h$? Set `best_h`.
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
