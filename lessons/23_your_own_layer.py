# %% [markdown]
# # 23 · Your own layer, and checking it
#
# *About 45 minutes.* You have the formula of a layer that no library has. You write it,
# its backward too, and have it checked. Then you take a **stranger's layer** with three
# faults, from the first report to the last one, and mend it yourself.
#
# ## A question first
#
# The stranger's layer reads a handwritten digit row by row. Its first fault is mended,
# but two of its four gradients are still wrong. Now a network is trained with it.

# %%
import tempfile
from pathlib import Path

import numpy as np

from lessons.data import row_by_row
from lessons.figures import draw_mending, draw_row_by_row
from nblayers import gradcheck
from nblayers.cli import main
from nblayers.gradient_check import (
    assert_gradients,
    gradcheck_function,
    gradcheck_object,
    gradcheck_pair,
)
from nblayers.layers import Input, Layer, SimpleRNN
from nblayers.learn.tools import (
    check_derivative,
    numerical_derivative,
    save_figure,
    show_source,
)
from nblayers.optimizers import SGD
from nblayers.regularizers import L2

# ? guess: how many of 100 new digits does it name rightly?
right_of_100 = 95

# %% [markdown]
# ## Numbers for paper
#
# Our own layer keeps a few **prototypes** $c_k$: points that stand for kinds of things.
# It says how near a sample $x_n$ is to each of them. With each number of $x$ comes
# another one, $s$, which tells **how sure** it is, from 0 to 1. What is not sure shall
# not count. So the layer has two inputs.
#
# Two samples ($N = 2$) of two numbers ($D = 2$), and three prototypes ($K = 3$):

# %%
x = np.array([[1.0, 0.0],
              [2.0, 2.0]])              # (N, D)
s = np.array([[1.0, 0.5],
              [1.0, 0.0]])              # (N, D): the last one is not known
c = np.array([[0.0, 0.0],
              [2.0, 1.0],
              [1.0, 3.0]])              # (K, D)

# %% [markdown]
# ```text
#    x (N, D) ──┐
#               ├─▶ e (N, K, D) ──┐
#    c (K, D) ──┘                 ├──▶ y (N, K) ──▶ L
#    s (N, D) ────────────────────┘
#
#    dx, dc ◀────── de ◀──────────┬─── dy
#    ds ◀─────────────────────────┘
# ```
#
# ## Forward
#
# $e$ is the way from each prototype to each sample. Its squares are added up, each as
# far as it is sure. The minus makes the nearest prototype the largest number.
#
# $$e_{nkd} = x_{nd} - c_{kd}$$
# $$y_{nk} = -\frac{1}{2} \sum_d s_{nd} \, e_{nkd}^2$$

# %%
e = x[:, None] - c                      # (N, K, D): x (N, 1, D) beside c (K, D)
# ? y, of shape (N, K), from s and e
y = -0.5 * (s[:, None] * e ** 2).sum(axis=2)
print("y =", y.tolist())
assert y.tolist() == [[-0.5, -0.75, -2.25], [-2.0, 0.0, -0.5]]

# %% [markdown]
# ## Backward: what has an index less is a sum
#
# $dy$ comes from above. We take any numbers. The slope of $-\frac{1}{2} s e^2$ by $e$
# is $-s e$.

# %%
dy = np.array([[1.0, -2.0, 0.5],
               [3.0, 1.0, -1.0]])       # (N, K)


def loss(x, s, c):
    return np.sum(dy * (-0.5 * (s[:, None] * (x[:, None] - c) ** 2).sum(axis=2)))


def loss_by_e(e):
    return np.sum(dy * (-0.5 * (s[:, None] * e ** 2).sum(axis=2)))


# ? de, of shape (N, K, D)
de = -dy[:, :, None] * s[:, None] * e
check_derivative("de", de, loss_by_e, e)

# %% [markdown]
# $$de_{nkd} = -dy_{nk} \, s_{nd} \, e_{nkd}$$
#
# Now $x_{nd}$ stands in $e_{nkd}$ of *every* prototype $k$, so its ways are added up
# over $k$. And $c_{kd}$ stands in every sample, with a minus.

# %%
# ? dx, of shape (N, D), from de
dx = de.sum(axis=1)
check_derivative("dx", dx, lambda x: loss(x, s, c), x)
# ? dc, of shape (K, D), from de
dc = -de.sum(axis=0)
check_derivative("dc", dc, lambda c: loss(x, s, c), c)
# ? ds, of shape (N, D), from dy and e
ds = -0.5 * (dy[:, :, None] * e ** 2).sum(axis=1)
check_derivative("ds", ds, lambda s: loss(x, s, c), s)
print("dx =", dx.tolist(), "  ds =", ds.tolist())

# %% [markdown]
# $$dx_{nd} = \sum_k de_{nkd} \qquad dc_{kd} = -\sum_n de_{nkd}$$
# $$ds_{nd} = -\frac{1}{2} \sum_k dy_{nk} \, e_{nkd}^2$$
#
# That is always the first thing to ask: **which index has the gradient not?** Over that
# one there is a sum. (For the second number of sample 1, $s = 0$. So its $dx$ is 0. Its
# $ds$ is not: to be a little surer of it would change $y$.)
#
# ## As a layer
#
# A class of your own has three methods:
#
# * `build` is called once, when the shapes of the inputs are known. There `add_weight`
#   makes a weight: its `value`, and a `grad` of the same shape, full of zeros. If there
#   are several inputs, it takes a shape for each, by forward's names: for `x` and `s`
#   these are `x_shape` and `s_shape`.
# * `forward` takes arrays and returns one. What backward will need goes into `cache`.
# * `backward` takes $dy$. It **adds** to each weight's `grad`, and it returns the
#   gradients of the inputs: one array, or a list if there are several inputs.

# %%
class Distances(Layer):
    def __init__(self, prototypes, **kwargs):       # kwargs: name, dtype, …
        super().__init__(**kwargs)
        self.prototypes = prototypes

    def build(self, x_shape, s_shape):              # one shape for each input
        shape = (self.prototypes, x_shape[-1])      # (K, D)
        self.c = self.add_weight(shape, "glorot_uniform", name="c")

    def forward(self, x, s):
        e = x[:, None] - self.c.value               # (N, K, D)
        self.cache = s, e
        return -0.5 * (s[:, None] * e ** 2).sum(axis=2)


# %% [markdown]
# `cache` may be any object. It belongs to *one* forward, and `forward` replaces it each
# time. (Whoever calls a layer twice, as a model with shared layers does, keeps both and
# puts each back before its backward.) So never keep such things in other attributes.
#
# Backward is yours. It is a method, and `layer` is what is mostly called `self`. Begin
# with `s, e = layer.cache`. The weight's gradient is `layer.c.grad`.

# %%
# ? [backward] a function of layer and dy: adds to layer.c.grad, returns [dx, ds]
def backward(layer, dy):
    s, e = layer.cache
    de = -dy[:, :, None] * s[:, None] * e
    layer.c.grad -= de.sum(axis=0)
    ds = -0.5 * (dy[:, :, None] * e ** 2).sum(axis=1)
    return [de.sum(axis=1), ds]


class Prototypes(Distances):
    backward = backward                 # the function becomes the class' method


# %% [markdown]
# ## Is it right?
#
# `gradcheck` compares with numerical derivatives (lesson 01). It takes float64, draws a
# $dy$ at random, and looks at every input and every weight. It also calls the layer
# twice, with other numbers, and watches whether anything is changed that should not be.

# %%
rng = np.random.default_rng(0)
many_x, sure = rng.normal(size=(3, 4)), rng.uniform(size=(3, 4))
print(gradcheck(Prototypes(5), many_x, sure))       # raises an error if it is wrong

# %% [markdown]
# It is as good a layer as those of the library. Models infer its output shape: they
# try it with zeros. It computes in float32, unless one asks for float64.

# %%
layer = Prototypes(3, dtype="float64")
layer.build(x.shape, s.shape)
layer.set_weights([c])
assert np.array_equal(layer(x, s), y)
assert np.array_equal(layer.backward(dy), [dx, ds])
assert np.array_equal(layer.c.grad, dc)

assert Prototypes(7)(Input((4,)), Input((4,))).shape == (None, 7)   # of a model
assert Prototypes(7)(many_x, sure).dtype == np.float32

# %% [markdown]
# The first layer of a model need not return $dx$: nobody asks for it. If that saves
# much work, begin `backward` with the weights and then say
#
# ```python
# if not self.input_gradient:
#     return None
# ```
#
# ## A loss of its own
#
# A layer may add something to the loss by itself. Say that prototypes shall not go far:
#
# $$L \gets L + \lambda \sum_{k,d} c_{kd}^2 \tag{001.01.add\_loss}$$
#
# `add_loss` takes a *number*. It cannot know where the number came from. So **the
# gradient of it is your affair**: backward adds it to `c.grad`. ($\lambda$ is a small
# number that you choose.)

# %%
lam = 0.25
# ? dpenalty, of shape (K, D): the gradient of that penalty, from lam and c
dpenalty = 2 * lam * c
check_derivative("dpenalty", dpenalty, lambda c: lam * np.sum(c ** 2), c)


# %%
class Forgetful(Prototypes):
    def forward(self, x, s):
        y = super().forward(x, s)
        self.add_loss(lam * np.sum(self.c.value ** 2))      # 001.01.add_loss
        return y


print(gradcheck(Forgetful(5), many_x, sure, raise_error=False))

# %% [markdown]
# The checker counts `losses` too, and it has seen what is missing. With one line more:

# %%
class Penalised(Forgetful):
    def backward(self, dy):
        self.c.grad += 2 * lam * self.c.value
        return super().backward(dy)


assert not gradcheck(Forgetful(5), many_x, sure, raise_error=False)
assert_gradients(Penalised(5), many_x, sure)

# %% [markdown]
# ## One step
#
# What `add_weight` makes is there to be trained. In the plainest case this is a step
# against the gradient:
#
# $$W \gets W - \alpha \, \nabla W \tag{001.01.add\_weight}$$
#
# Here $W$ is $c$, and $\nabla W$, its gradient, has two parts: the data's and the
# penalty's.

# %%
alpha = 0.1
# ? c_next: c after one step, from dc, dpenalty and alpha
c_next = c - alpha * (dc + dpenalty)    # 001.01.add_weight

layer = Penalised(3, dtype="float64")
layer.build(x.shape, s.shape)
layer.set_weights([c])
layer.forward(x, s)
layer.backward(dy)
SGD(alpha).step(layer.trainable_weights)
assert np.allclose(layer.c.value, c_next, rtol=1e-15)

# %% [markdown]
# For a penalty of the weights alone there is a shorter way: a **regularizer**. It knows
# its own gradient, and the optimiser adds it. Then `grad` holds the data's part alone,
# and backward has no line for it. The step is the same.

# %%
class Regularised(Prototypes):
    def build(self, x_shape, s_shape):
        shape = (self.prototypes, x_shape[-1])
        self.c = self.add_weight(shape, "zeros", regularizer=L2(lam), name="c")


layer = Regularised(3, dtype="float64")
layer.build(x.shape, s.shape)
layer.set_weights([c])
layer.forward(x, s)
layer.backward(dy)
assert np.array_equal(layer.c.grad, dc) and layer.losses == [lam * np.sum(c ** 2)]
SGD(alpha).step(layer.trainable_weights)
assert np.allclose(layer.c.value, c_next, rtol=1e-15)

# %% [markdown]
# ## A stranger's layer
#
# Somebody has published this class. It is plain NumPy, with `W` and `dW` side by side.
# Its description says:
#
# $$h_t = \tanh(x_t W + h_{t-1} U + b), \qquad h_{-1} = 0$$
#
# The output is $h_t$ of all steps. You know that layer from lesson 06. **There are
# three faults in it.** Read it once, as one reads somebody else's code. Then go on.

# %%
class Stranger:
    def __init__(self, inputs, units):
        rng = np.random.default_rng(0)
        self.W = rng.normal(0, inputs ** -0.5, (inputs, units))
        self.U = rng.normal(0, units ** -0.5, (units, units))
        self.b = np.zeros(units)

    def forward(self, x):
        self.x, self.h = x, np.zeros((*x.shape[:2], len(self.b)))   # h (N, T, H)
        for t in range(x.shape[1]):
            self.h[:, t] = self.step(t)
        return self.h

    def step(self, t):
        return np.tanh(self.x[:, t] @ self.W + self.h[:, t] @ self.U + self.b)

    def backward(self, dy):
        self.dW, self.dU, self.db = (np.zeros_like(w) for w in (self.W, self.U, self.b))
        dx, dh_next = np.zeros_like(self.x), 0
        for t in reversed(range(self.x.shape[1])):
            da = (dy[:, t] + dh_next) * (1 - self.h[:, t] ** 2)
            self.collect(t, da)
            dx[:, t], dh_next = da @ self.W.T, da @ self.U.T
        return dx

    def collect(self, t, da):
        self.dW += self.x[:, t].T @ da
        self.dU += self.h[:, t - 1].T @ da
        self.db = da.sum(axis=0)


# %% [markdown]
# ## The first report
#
# It is no `Layer`. `gradcheck_object` takes any object. `params` says where the weights
# and their gradients are. (Without it, usual names as these are found.) Let all sizes
# be different numbers: then a shape tells what it is. Here $N = 2$, $T = 4$, three
# inputs and $H = 5$ units.

# %%
sequences = np.random.default_rng(0).normal(size=(2, 4, 3))     # (N, T, in)


def examine(kind, x=sequences):
    names = {"W": "dW", "U": "dU", "b": "db"}
    return gradcheck_object(kind(3, 5), x, params=names, raise_error=False)


first = examine(Stranger)
print(first)

# %% [markdown]
# Read it slowly. Each tensor that has a gradient is a line, and those that are wrong
# say in the lines below what is known about it.
#
# * **analytic** is what backward says, **numeric** what forward does. The worst element
#   is given. The *relative error* is their difference as a share of the larger one.
#   Where it is about 1 or above, nothing fits. At 1e-9, all fits.
# * What follows has been *tried out*: the checker has computed the layer with fewer
#   time steps, with one output alone, and so on. You can do that too. With a single
#   time step, $x$, $W$ and $b$ are right. So look at what goes from step to step.
# * The numeric gradient of $U$ is zero everywhere: **you may change $U$ as you like,
#   the output stays.** Is that what the description says?
#
# A checker compares two things, forward and backward. It cannot know which of them is
# wrong. You know, because you have the formula.

# %%
def tensors(report):
    return {tensor.name.split("/")[-1]: tensor for tensor in report.tensors}


one_step = tensors(examine(Stranger, sequences[:, :1]))
assert [name for name, tensor in one_step.items() if not tensor.passed] == ["U"]
assert tensors(first)["U"].numeric == 0 != tensors(first)["U"].analytic
other = Stranger(3, 5)
kept = other.forward(sequences)
other.U = other.U + 1
assert np.array_equal(other.forward(sequences), kept)       # U is not used at all

# %% [markdown]
# ## The first fault
#
# So the fault is in the *forward*, and backward is innocent. Look at `step`. When it is
# called, `self.h[:, t]` is still full of zeros.
#
# Write `step` as it should be. In the class it is a method: `self` comes first.

# %%
# ? [step] the mended method: returns h_t, by the formula
def step(self, t):
    return np.tanh(self.x[:, t] @ self.W + self.h[:, t - 1] @ self.U + self.b)


class MendedOnce(Stranger):
    step = step


second = examine(MendedOnce)
print(second)

# %% [markdown]
# For $t = 0$ that reads `h[:, -1]`, the *last* state. In forward it is zero still, as
# the last step has not been computed. It is right, by good luck. Remember it.
#
# ## The second report
#
# Always **one fault, then another run**. Half of the first report was an echo of the
# one fault: $x$ and $W$ are right now. What a report says of the rest is much sharper
# when less is wrong.
#
# $x$ is right, so the walk back through time is right too: all that arrives at $x$ has
# come along it. Wrong are only the lines that make $dU$ and $db$. Take $b$ first. Here
# are all $da$ of a run, in the order of time:

# %%
da_all = np.random.default_rng(1).normal(size=(2, 4, 5)).round(1)       # (N, T, H)
found = MendedOnce(3, 5)
found.forward(sequences)
found.db = np.zeros(5)
for t in reversed(range(4)):
    found.dW, found.dU = np.zeros((3, 5)), np.zeros((5, 5))
    found.collect(t, da_all[:, t])
# ? db_found: what the stranger's db holds after that walk, from da_all
db_found = da_all[:, 0].sum(axis=0)
assert np.array_equal(found.db, db_found)
# ? db_right: what it should hold, from da_all
db_right = da_all.sum(axis=(0, 1))

# %% [markdown]
# ## The second fault
#
# The bias is the same at every step, so its gradient is a sum over the steps. Write
# `collect` with that mended, and leave $dU$ as it is: one fault at a time. It has four
# lines, `def collect(self, t, da):` and what `dW`, `dU` and `db` get.

# %%
# ? [collect] the method with the line of db mended
def collect(self, t, da):
    self.dW += self.x[:, t].T @ da
    self.dU += self.h[:, t - 1].T @ da
    self.db += da.sum(axis=0)


class MendedTwice(MendedOnce):
    collect = collect


third = examine(MendedTwice)
print(third)

# %% [markdown]
# ## The third report
#
# Only $U$ is left. Make the problem smaller: with the first time step alone, its
# gradient should be zero, and it is not.

# %%
alone = tensors(examine(MendedTwice, sequences[:, :1]))["U"]
print(f"one step: numeric {alone.numeric}, analytic {alone.analytic:.3g}")
assert alone.numeric == 0 != alone.analytic

# %% [markdown]
# Why zero? At the first step nothing comes from before: $h_{-1} = 0$. The gradient of
# $U$ is $\sum_t h_{t-1}^\top da_t$, and its term for $t = 0$ is zero. What does Python
# read at `self.h[:, t - 1]` for $t = 0$? In backward, the last state *is* computed.

# %%
# ? [collect] the method once more, with the line of dU mended too
def collect(self, t, da):
    self.dW += self.x[:, t].T @ da
    if t > 0:
        self.dU += self.h[:, t - 1].T @ da
    self.db += da.sum(axis=0)


class Mended(MendedTwice):
    collect = collect


last = examine(Mended)
print(last)
assert last and not (first or second or third)

# %% [markdown]
# ## The same in the library
#
# The mended layer is a `SimpleRNN`. It passes the check, so forward and backward fit
# together. That they are *this* formula is another question. For it there are numbers
# from elsewhere: from paper, or from a layer that others have tested.

# %%
mine = Mended(3, 5)
mine.b = np.linspace(-1, 1, 5)
theirs = SimpleRNN(5, return_sequences=True, dtype="float64").to("reference")
theirs.build(sequences.shape)
theirs.set_weights([mine.W, mine.U, mine.b])
assert np.allclose(mine.forward(sequences), theirs.forward(sequences), rtol=1e-14)
dh = np.random.default_rng(2).normal(size=(2, 4, 5))
assert np.allclose(mine.backward(dh), theirs.backward(dh), rtol=1e-12)
for ours, weight in zip((mine.dW, mine.dU, mine.db), theirs.weights, strict=True):
    assert np.allclose(ours, weight.grad, rtol=1e-12)
show_source("kernels.reference.recurrent:simple_rnn_step",
            "kernels.reference.recurrent:simple_rnn_step_backward")

# %% [markdown]
# ## A picture: four reports
#
# A report has all its numbers. `tensor.errors` holds the relative error of each
# element. (`print(report.heat_map())` draws them in the terminal, and
# `report.to_html("page.html")` on a page.)

# %%
reports = {"as found": first, "one mended": second, "two mended": third, "all": last}
print(second.heat_map())
save_figure(draw_mending(reports), "23_mending")
assert tensors(first)["W"].errors.shape == (3, 5)

# %% [markdown]
# From one row to the next a fault goes, and with it all that it had spoilt elsewhere.
#
# ## Where does it come from? The Jacobian
#
# Here is a softmax in another style, that of a famous course: two functions. Forward
# returns its output and a cache. `gradcheck_pair` takes them. (For a function and its
# gradient there is `gradcheck_function`.)

# %%
def softmax(x):
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p, p                         # the output, and the cache


def softmax_backward(dp, p):
    return dp * p * (1 - p)


print(gradcheck_pair(softmax, softmax_backward, many_x, raise_error=False))

# %% [markdown]
# How can it know such a thing? It sends a $dy$ back that is 1 at a single output $o$
# and 0 elsewhere. What arrives at input $i$ is one number: the share that this input
# has in that output. All of them in a table are the **Jacobian**:
#
# $$J_{oi} = \frac{\partial p_o}{\partial x_i}$$
#
# For softmax (lesson 04) it is $p_i - p_i^2$ where $o = i$, and $-p_o p_i$ elsewhere.

# %%
logits = np.log([[4.0, 2.0, 1.0, 1.0]])
p = softmax(logits)[0][0]               # (4,)
print("p =", p)
# ? J, of shape (4, 4), from p; np.diag(p) is a matrix with p on its diagonal
J = np.diag(p) - np.outer(p, p)
check_derivative("row 0 of J", J[0], lambda row: softmax(row[None])[0][0, 0], logits[0])

theirs_J = np.concatenate([softmax_backward(unit[None], p[None]) for unit in np.eye(4)])
print("J, and what their backward makes of it:", J, theirs_J, sep="\n")
assert np.allclose(np.diag(J), np.diag(theirs_J)) and np.count_nonzero(theirs_J) == 4

# %% [markdown]
# Each number on the diagonal is right, and all others are missing. The Jacobian says
# it at a glance: *treated as elementwise*. Other faults have other faces: rows that are
# moved, a column that is missing, one factor in each row.
#
# ## Ones for dy are a bad choice
#
# Some checks take $dy = 1$ for all outputs: the loss is the sum of the outputs. For a
# softmax this sum is 1, whatever $x$ is.

# %%
# ? dx_of_ones, of shape (1, 4): the true dx of these logits for a dy of ones
dx_of_ones = np.zeros((1, 4))
check_derivative("dx", dx_of_ones, lambda x: softmax(x)[0].sum(), logits)


def lazy_backward(dp, p):
    return np.zeros_like(p)             # as wrong as can be


# ? guess: with a dy of ones, does lazy_backward agree with the numerical derivative?
agrees = True
of_the_sum = numerical_derivative(lambda x: softmax(x)[0].sum(), many_x)
got = lazy_backward(np.ones((3, 4)), softmax(many_x)[0])
assert np.allclose(got, of_the_sum, atol=1e-9) == agrees
assert not gradcheck_pair(softmax, lazy_backward, many_x, raise_error=False)

# %% [markdown]
# So the checker draws $dy$ at random. For the same reason it does not check at zeros or
# ones: there a forgotten factor does not show. Your own inputs should be like that too:
# any numbers, all sizes different, some negative.
#
# ## Corners
#
# ReLU has no slope at 0. What does a numerical derivative say there? It goes a
# tiny step to the right and one to the left.

# %%
# ? slope_at_zero: the central difference of relu at 0, as a number
slope_at_zero = 0.5


def relu(x):
    return np.maximum(x, 0)


tiny = 1e-5
assert (relu(tiny) - relu(-tiny)) / (2 * tiny) == slope_at_zero


def relu_gradient(at_zero):
    return lambda x, dy: dy * np.where(x == 0, at_zero, x > 0)


corner = np.array([[0.0, 1.5, -2.0]])
verdicts = {at_zero: bool(gradcheck_function(relu, relu_gradient(at_zero), corner,
                                             raise_error=False))
            for at_zero in (0.0, 0.5, 1.0, 2.0)}
print("the slope given at 0, and whether it passes:", verdicts)
assert verdicts == {0.0: True, 0.5: True, 1.0: True, 2.0: False}

# %% [markdown]
# Neither 0 nor 1 is wrong: the true slopes are 0 at the left and 1 at the right, and
# anything between them is accepted. Twice the slope is not. It is the same where two
# numbers are equal in a maximum (a **tie**, lesson 14).
#
# ## What a checker cannot do
#
# **It takes the forward for the truth.** If both are wrong in the same way, it passes.
# The stranger's layer, with a backward that forgets $U$ as its forward does:

# %%
class WrongTwice(Stranger):
    def backward(self, dy):
        da = dy * (1 - self.h ** 2)
        self.dW = np.einsum("nti,nth->ih", self.x, da)
        self.dU, self.db = np.zeros_like(self.U), da.sum(axis=(0, 1))
        return da @ self.W.T


assert examine(WrongTwice)              # passes, and is no recurrent layer at all

# %% [markdown]
# So test the forward by itself, with numbers from paper.
#
# **It needs float64.** In float32 a number near 1 moves in steps of about 1e-7. With
# a step of $10^{-5}$ hardly two digits of a slope are left (lesson 01). The checker
# computes your layer in float64. A line that makes float32 of it is reported.
#
# **Near zero a relative error means little.** If both numbers are 1e-12, they may
# differ by half. Below `atol` the difference itself is looked at.
#
# **It sees one place at a time.** A fault that shows only for long sequences, a full
# batch, or `training=True` needs a check with those.
#
# ## What else it watches
#
# A backward may be right and still do harm. Three of the usual ways, in our own layer:

# %%
class InPlace(Prototypes):
    def backward(self, dy):
        dx, ds = super().backward(dy)
        dy *= 2                         # changes the array of whoever called
        return [dx, ds]


class Replaces(Prototypes):
    def backward(self, dy):
        self.c.zero_grad()              # forgets what was there already
        return super().backward(dy)


class Stale(Prototypes):
    def forward(self, x, s):
        y = super().forward(x, s)
        if not hasattr(self, "kept"):
            self.kept = self.cache      # of the first call, and kept for ever
        self.cache = self.kept
        return y


watched = {kind: gradcheck(kind(5), many_x, sure, raise_error=False)
           for kind in (InPlace, Replaces, Stale)}
for report in watched.values():
    print(*report.problems, sep="\n")
assert not any(watched.values())

# %% [markdown]
# * In a network with a shortcut two layers get the same $dy$. If one changes it, the
#   other gets wrong numbers. With `dy = 2 * dy` it would be a new array.
# * A weight that is used twice has two gradients. They have to be added.
# * A stale cache is right in the first step of training, and in a check that calls
#   forward only once. So the checker calls it with other numbers in between.
#
# In each of these all numbers of the first call are right. And there is one law that
# every backward obeys: it is **linear in** $dy$. Twice the $dy$ gives twice the
# gradient. A backward that clips, rounds, or does not use $dy$ fails there.
#
# ## Every day
#
# `gradcheck` raises an error, so a line of it is a test. In pytest there is a fixture
# of that name, and options such as `--gradcheck-html DIR`:
#
# ```python
# def test_prototypes(gradcheck):
#     gradcheck(Prototypes(5), x, s)
# ```
#
# And for a file there is a command. For this lesson we write such a file ourselves.

# %%
source = """
import numpy as np

class Cube:
    def forward(self, x):
        self.x = x
        return x ** 3

    def backward(self, dy):
        return dy * 2 * self.x ** 2
"""
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "my_layers.py")
    file.write_text(source, encoding="utf-8")
    code = main(["gradcheck", f"{file}:Cube", "--shape", "2,3"])
assert code == 1                        # 0 all right, 1 a wrong gradient, 2 no check

# %% [markdown]
# ## A real task: row by row
#
# A digit of 8 × 8 points is read like a text: eight steps of eight numbers. After the
# last row the state has to know the digit. 1200 digits to learn, 597 new ones. The
# **baseline** is the layer as it was found: it forgets each row as soon as it has seen
# the next.

# %%
kinds = {"as found": Stranger, "one mended": MendedOnce, "two mended": MendedTwice,
         "all mended": Mended}
outcomes = {name: row_by_row(kind(8, 32)) for name, kind in kinds.items()}
shares = {name: outcome.right.mean() for name, outcome in outcomes.items()}
for name, outcome in outcomes.items():
    print(f"{name:12} loss {outcome.losses[-1]:.2f}, {shares[name]:.0%} of 597 right")
save_figure(draw_row_by_row(outcomes), "23_rows")
assert abs(100 * shares["one mended"] - right_of_100) < 3
assert shares["as found"] < 0.4 < 0.9 < shares["all mended"]

# %% [markdown]
# The fault in the forward shows. The two in the backward hardly do: with $dU$ and
# $db$ wrong the loss comes down a little more slowly, with jumps, and nearly as many
# digits are right. **That a network learns is no proof that its gradients are right.**
# With another task they would cost more, and nobody would know why.
#
# Even the mended layer takes some digits for others. The picture shows a few.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 23 my_answer.py`.
#
# 1. On paper, for a layer of prototypes: $x = (1, 2)$, $s = (1, 2)$, the prototypes
#    $(0, 0)$ and $(2, 1)$, and $dy = (2, 1)$. Set `dc` (2 × 2) and `ds` (2 numbers).
# 2. A whole layer: a class `Bilinear(Layer)`, made by `Bilinear(units)`, with one
#    weight $W$ of shape (I, M, K), called `self.W`. For two inputs, $x$ (N, I) and $z$
#    (N, M), it gives $y_{nk} = \sum_i \sum_m x_{ni} W_{imk} z_{nm}$. K is `units`.
# 3. A bug, for a branch with a shortcut, $y = x + \text{relu}(x W)$. Write it right as
#    `fixed_residual_backward(x, W, dy)`.
# 4. An experiment: one of 100 columns of a matrix of 10,000 gradients is wrong. A
#    checker compares only some of them, drawn at random, each at most once. In which
#    share of checks does it find the fault with 200 elements? Set `found`, from 0 to 1.
#    And how many must it compare to find it in 99 of 100 checks? Set `needed`.
#
# ```python
# def residual_backward(x, W, dy):
#     a = x @ W
#     da = dy
#     da[a <= 0] = 0
#     return dy + da @ W.T, x.T @ da
# ```
