# %% [markdown]
# # 06 · SimpleRNN: backpropagation through time
#
# *About 30 minutes.* A recurrent layer reads a sequence step by step and keeps a **hidden state** from one step to the next.
# Its backward walks the same way back. Document 002 derives it, and leaves out one term. You will find it where the numbers
# disagree.
#
# ## A question first
#
# A sequence has three steps, a hidden state $h_t$ at each, and a loss at each; the total is their sum. Along how many paths
# does $h_1$ reach the total? And the weights $W_h$, which make each state out of the one before? Write down your guesses.

# %%
import matplotlib.pyplot as plt
import numpy as np

from nblayers.layers import Dense, SimpleRNN
from nblayers.learn.tools import check_derivative, numerical_derivative, save_figure, show_source
from nblayers.losses import BinaryCrossentropy
from nblayers.utils import set_random_seed

# %% [markdown]
# ## Numbers for paper
#
# A sequence of three steps with one number each, and two units. Vectors stand upright as in the document, so a weight has a row
# for each output. Python counts from 0: `x[0]` is $x_1$. With `push` we shall add a little to the states.

# %%
x = np.array([[1.0], [0.0], [-1.0]])        # (T, in)
target = np.array([[1.0], [0.0], [0.5]])    # (T, out)
W_x = np.array([[1.0], [0.5]])              # (units, in)
W_h = np.array([[0.5, -1.0], [1.0, 0.0]])   # (units, units)
W_y = np.array([[1.0, -1.0]])               # (out, units)
b_h, b_y, h_0, no_push = np.zeros(2), np.zeros(1), np.zeros(2), np.zeros((3, 2))

# %% [markdown]
# ## Forward
#
# A state is made of the new input and the state before, with **the same weights at every step**; an output is made of its
# state. As document 004 does (004.RNN) we take $f = \tanh$ and leave out $g$; for the losses, half the squared errors.
#
# $$h_t = f(W_x x_t + W_h h_{t-1} + b_h) \tag{002.HiddenState}$$
# $$y_t = g(W_y h_t + b_y) \tag{002.Output}$$
# $$\mathcal{L} = \sum_{t=1}^{T} \ell(y_t, \hat{y}_t) \tag{002.Loss}$$
# ($\hat{y}$ is the truth here; elsewhere it is mostly the output. We call it `target`.) A push on $h_2$ while the network runs
# asks: were $h_2$ larger, **and all that follows from it**, what would become of $\mathcal{L}$?

# %%
def forward(x=x, W_x=W_x, W_h=W_h, b_h=b_h, W_y=W_y, b_y=b_y, h_0=h_0, push=no_push):
    h, y, h_prev = np.zeros((3, 2)), np.zeros((3, 1)), h_0
    for t in range(3):
        h[t] = np.tanh(W_x @ x[t] + W_h @ h_prev + b_h) + push[t]  # (002.HiddenState)
        y[t] = W_y @ h[t] + b_y                             # (002.Output)
        h_prev = h[t]
    return h, y, 0.5 * ((y - target) ** 2).sum(axis=1)


def loss(**changed):
    return forward(**changed)[2].sum()          # (002.Loss)


h, y, losses = forward()
print("h =", h.round(3).tolist(), " y =", y[:, 0].round(3), " losses =", losses.round(3))
assert np.allclose(h[0], np.tanh([1, 0.5])) and np.allclose(y[0], np.tanh(1) - np.tanh(0.5))

# %% [markdown]
# ## Backward: the outputs and the last state
#
# $W_y$ and $b_y$ stand in every step, so their gradients are sums over the steps, as they were over the batch in lesson 02:
# $$dy_t = y_t - \hat{y}_t \qquad dW_y = \sum_t dy_t \, h_t^\top \qquad db_y = \sum_t dy_t$$
# The last state $h_3$ is used once, for $y_3$. So its gradient is (the document's $\times$ hides the transpose)
# $$\frac{\partial \mathcal{L}}{\partial h_t} = \frac{\partial \mathcal{L}}{\partial y_t} \frac{\partial y_t}{\partial h_t}
#   = W_y^\top dy_t \tag{002.BPTT.dh\_T}$$
# The witness pushes each state in turn and looks at $\mathcal{L}$. It agrees for $t = 3$, and only there:

# %%
dy = y - target                         # (T, out)
dW_y, db_y = dy.T @ h, dy.sum(axis=0)
check_derivative("dW_y", dW_y, lambda W: loss(W_y=W), W_y)
own = dy @ W_y                          # (T, units), rows W_yᵀ dy_t
witness = numerical_derivative(lambda push: loss(push=push), no_push)
print("002.BPTT.dh_T:       ", *own.round(3) + 0.0)
print("numerical derivative:", *witness.round(3))
assert [np.allclose(own[t], witness[t]) for t in range(3)] == [False, False, True]

# %% [markdown]
# ## The term that the document leaves out
#
# For the earlier states it follows a chain from the last output back through the states:
# $$\frac{\partial \mathcal{L}}{\partial y_t} \frac{\partial y_t}{\partial h_t} \frac{\partial h_t}{\partial h_{t-1}} \cdots
#   \frac{\partial h_1}{\partial h_0} \tag{002.BPTT.chain}$$
# One link of it: $h_3 = \tanh(a_3)$ with $a_3 = W_h h_2 + \dots$, and $\tanh' = 1 - \tanh^2$. So to go back one step, multiply
# by the slope $1 - h_3^2$, then by $W_h^\top$. For $h_2$ this is wrong too. But ask the witness about each loss alone:

# %%
chain = W_h.T @ ((1 - h[2] ** 2) * own[2])  # from y_3 by h_3 to h_2
alone = [numerical_derivative(lambda push, s=s: forward(push=push)[2][s], no_push)[1] for s in range(3)]
print("dh_2: by the chain", chain.round(3), " witness", witness[1].round(3), " each loss alone", *np.round(alone, 3))
assert np.allclose(alone, [[0, 0], own[1], chain]) and np.allclose(own[1] + chain, witness[1])

# %% [markdown]
# The chain is the way of *one* loss. $h_2$ has two, by $y_2$ and by $h_3$ to $y_3$, and the gradient is their **sum**; $h_1$
# has three: the first answer. Nobody lists them all. What arrives at $h_{t+1}$ holds all later losses already, and one product
# hands them on to $h_t$. That is backpropagation through time: one walk back, with a **carry** from step to step:
# $$dh_t = \underbrace{W_y^\top dy_t}_{\text{its own loss}} + \underbrace{W_h^\top da_{t+1}}_{\text{all later losses}}
#   \qquad da_t = dh_t \odot (1 - h_t^2)$$

# %%
dh, da, carry = np.zeros((3, 2)), np.zeros((3, 2)), np.zeros(2)
for t in reversed(range(3)):
    dh[t] = own[t] + carry              # from (002.Output), and step t+1
    da[t] = dh[t] * (1 - h[t] ** 2)     # from (002.HiddenState), its tanh
    carry = W_h.T @ da[t]               # from (002.HiddenState), its h_{t-1}
check_derivative("dh", dh, lambda push: loss(push=push), no_push)
check_derivative("dh_0", carry, lambda h: loss(h_0=h), h_0)

# %% [markdown]
# ## Backward: the weights, a sum over time
#
# $W_h$ stands in every step, there multiplied by the state before. All its places add up (the document does not say so):
# $$dW_x = \sum_t da_t \, x_t^\top \qquad dW_h = \sum_t da_t \, h_{t-1}^\top \qquad db_h = \sum_t da_t$$
# From its place in step 1 it reaches 3 losses, in step 2 two, in step 3 one: 6 paths, the second answer. An input stands in one
# place, $dx_t = W_x^\top da_t$. Were there `=` for `+=` below, only step 3 would count; a test with $T = 1$ would not notice.

# %%
dW_x, dW_h, db_h = np.zeros_like(W_x), np.zeros_like(W_h), np.zeros_like(b_h)
for t in range(3):
    dW_x += np.outer(da[t], x[t])
    dW_h += np.outer(da[t], h[t - 1] if t else h_0)
    db_h += da[t]
dx = da @ W_x
for name, gradient, value in (("W_x", dW_x, W_x), ("W_h", dW_h, W_h), ("b_h", db_h, b_h), ("b_y", db_y, b_y), ("x", dx, x)):
    check_derivative("d" + name, gradient, lambda v, name=name: loss(**{name: v}), value)

# %% [markdown]
# ## The same in the library
#
# Keras' `SimpleRNN` has no $y_t$: with `return_sequences=True` it gives all $h_t$, and a `Dense` makes the outputs. A sample is
# a row there, so the weights are our transposes. (PyTorch splits $b_h$ into two biases that are added.) Then follows its walk
# in the three rooms. Find the carry, the slope, and the product with $W_h^\top$ in each. The sums over time stand apart, in
# `_after_the_loop`: one product for all steps.

# %%
rnn, dense = SimpleRNN(2, return_sequences=True, dtype="float64"), Dense(1, dtype="float64")
dense(rnn(x[None]))                         # builds both
rnn.set_weights([W_x.T, W_h.T, b_h])
dense.set_weights([W_y.T, b_y])
for room in ("reference", "cpu"):
    rnn.to(room).zero_grad()
    assert np.allclose(dense.forward(rnn.forward(x[None]))[0], y, rtol=1e-14, atol=1e-14)
    assert np.allclose(rnn.backward(dense.backward(dy[None]))[0], dx, rtol=1e-14, atol=1e-14)
    for weight, gradient in zip(rnn.trainable_weights, (dW_x.T, dW_h.T, db_h), strict=True):
        assert np.allclose(weight.grad, gradient, rtol=1e-14, atol=1e-14)
show_source("kernels.reference.recurrent:simple_rnn_backward", "kernels.cpu.recurrent:_simple_rnn_backward",
            "kernels.cuda.recurrent:_simple_rnn_backward", SimpleRNN._after_the_loop)

# %% [markdown]
# ## A picture: which loss is heard at which state?
#
# Twenty steps, ten units. Row $s$, column $t$: how much of loss $s$ arrives at state $t$. The diagonal is (002.BPTT.dh_T), the
# bottom row (002.BPTT.chain); the truth adds up each column. No loss reaches a later state: above the diagonal there is
# nothing. And to the left the colours fade. If every step back multiplied by 0.9, half a percent would be left after 50: lesson
# 07.

# %%
set_random_seed(0)
rng, layer, arriving = np.random.default_rng(0), SimpleRNN(10, return_sequences=True), np.full((20, 20), np.nan)
h = layer.forward(0.5 * rng.normal(size=(1, 20, 3)))[0]
for s in range(20):
    d = np.ones(10)                     # what loss s sends into its own state
    for t in reversed(range(s + 1)):
        arriving[s, t] = np.linalg.norm(d)
        d = layer.trainable_weights[1].value @ (d * (1 - h[t] ** 2))
assert arriving[19, 0] < 0.2 * arriving[19, 19] and round(0.9 ** 50, 3) == 0.005
fig, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
fig.colorbar(ax.imshow(arriving, extent=(0.5, 20.5, 20.5, 0.5)), label="how much of loss s arrives at state t")
ax.set(xlabel="t, the state", ylabel="s, the loss", xticks=[1, 5, 10, 15, 20], yticks=[1, 5, 10, 15, 20])
save_figure(fig, "06_paths")

# %% [markdown]
# ## A real task: adding
#
# Two binary numbers come in digit by digit, the ones first; out comes their sum. As on paper, one must remember whether to
# carry a one: 0 + 0 and 1 + 1 decide that, 0 + 1 hands on what was decided before. Nobody tells the network. It learns with
# sums of 8 digits and is examined with 32. A second network learns without the term of this lesson, so that nothing comes back
# from later losses. (With luck in its first weights it can succeed all the same: try other seeds.) Both learn by
# $$w \gets w - \eta \partial\mathcal{L}/\partial w \quad b \gets b - \eta \partial\mathcal{L}/\partial b \tag{002.Update}$$

# %%
def sums(count, digits):
    a, b = rng.integers(2 ** digits, size=(2, count, 1))
    a, b, total = (number >> np.arange(digits) & 1 for number in (a, b, a + b))
    return np.stack([a, b], axis=2), total[..., None]


def learn(through_time, eta=0.5, seed=1):
    set_random_seed(seed)
    rnn, dense, history = SimpleRNN(8, return_sequences=True), Dense(1), []
    for _ in range(600):
        x, total = sums(100, 8)
        value, dlogits = BinaryCrossentropy(from_logits=True).value_and_gradient(total, dense.forward(rnn.forward(x)))
        history.append(value)
        U, kept = rnn.trainable_weights[1].value, rnn.trainable_weights[1].value.copy()
        U *= through_time               # W_h = 0 on the way back: no carry
        rnn.backward(dense.backward(dlogits))
        U[...] = kept
        for weight in rnn.trainable_weights + dense.trainable_weights:
            weight.value -= eta * weight.grad   # (002.Update)
            weight.zero_grad()
    return rnn, dense, history


x, total = sums(1000, 32)
decided = np.maximum.accumulate(np.where(x[..., 0] == x[..., 1], np.arange(32), -1), axis=1)
age = np.arange(31) - decided[:, :-1]   # steps since the carry into digits 1 to 31 was decided
fig, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for name, through_time in (("through time", True), ("term dropped", False)):
    rnn, dense, history = learn(through_time)
    wrong = ((dense.forward(rnn.forward(x)) > 0) != total)[:, 1:, 0]
    by_age, right = np.array([wrong[age == k].mean() for k in range(7)]), 1 - wrong.any(axis=1).mean()
    print(f"{name}: {right:.1%} of 1000 sums are right; wrong digits by age of the carry:", by_age.round(2))
    assert right > 0.95 if through_time else right < 0.5 and by_age[3] > 2 * by_age[0]
    axes[0].semilogy(history, label=name)
    axes[1].plot(by_age, "o-", label=name)
axes[0].set(xlabel="step", ylabel="cross-entropy")
axes[1].set(xlabel="steps since the carry was decided", ylabel="part of the digits that is wrong")
axes[1].legend()
save_figure(fig, "06_adding")

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check 06 my_answer.py`.
#
# 1. On paper: one unit, no $\tanh$, $h_t = x_t + w h_{t-1}$ with $w = 0.5$, $h_0 = 0$, $x = (4, 2, 0)$, and
#    $\mathcal{L} = h_1 + h_2 + h_3$. Set `dh` (3 numbers) and `dw`.
# 2. A backward to fill in: `rnn_backward(x, h_0, h, W_x, W_h, own)` for one sequence and tanh; `own` (T, units) is what each
#    step's own loss sends into $h_t$. Return `dx, dW_x, dW_h, db_h, dh_0`.
# 3. A bug: the walk below passes every test with $T = 1$. Write it right as `fixed_walk(h, W_h, own)`, which returns `da`.
# 4. An experiment: a `SimpleRNN(1, activation="linear")` with recurrent weight $w$ reads 50 steps. How large must $w$ be for a
#    hundredth of the gradient by $h_{50}$ to arrive at $h_0$? Set `smallest_w`.
#
# ```python
# def walk(h, W_h, own):
#     da, carry = np.zeros_like(h), np.zeros(len(W_h))
#     for t in reversed(range(len(h))):
#         da[t] = own[t] * (1 - h[t] ** 2) + carry
#         carry = W_h.T @ da[t]
#     return da
# ```
