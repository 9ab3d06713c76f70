# %% [markdown]
# # 06 · SimpleRNN: backpropagation through time
#
# *About 35 minutes.* A **recurrent** layer reads a sequence step by step. It keeps a
# **hidden state**: a few numbers that go from one step to the next. Its backward walks
# the same way back. You write that walk here, one term at a time.
#
# ## A question first
#
# A sequence has three steps: 0, 1 and 2. Each step leaves a state, $h_0$, $h_1$, $h_2$,
# and each state has a loss of its own. The total is the sum of the three losses.
#
# A step makes its state from two things: its input, and the state before. The state
# before is multiplied by a matrix $U$. It is the same $U$ in all three steps.

# %%
import numpy as np

from lessons.data import binary_sums, steps_since_decided
from lessons.figures import draw_adding, draw_paths
from nblayers import trace
from nblayers.layers import Dense, SimpleRNN, SimpleRNNCell
from nblayers.learn.tools import check_derivative, save_figure, save_page, show_source
from nblayers.losses import BinaryCrossentropy
from nblayers.utils import set_random_seed

# %%
# ? guess: on how many of the three losses does the first state, h_0, have an influence?
losses_reached = 3
# ? guess: U stands in each of the three steps. From these three places, how many paths
# ? lead to a loss, all counted together?
paths_of_U = 6

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$), three steps ($T = 3$) of one number each, and two units
# ($H = 2$). A sample is a row. `x[:, t]` is step $t$ of both samples.
#
# `h_start` is the state before the first step. A layer mostly begins with zeros. Ours
# are not zeros, so that we can see what becomes of them.

# %%
x = np.array([[[1.0], [0.0], [-1.0]],
              [[0.0], [1.0], [1.0]]])           # (N, T, in)
h_start = np.array([[0.0, 1.0],
                    [-1.0, 0.0]])               # (N, H)
W = np.array([[1.0, 0.5]])                      # (in, H)
U = np.array([[0.5, 1.0],
              [-1.0, 0.0]])                     # (H, H)
b = np.array([-0.5, 0.5])                       # (H,)
target = np.array([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]],
                   [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]])       # (N, T, H)

# %% [markdown]
# ## Forward: one step, then all
#
# ```
#               L_0            L_1            L_2
#                ↑              ↑              ↑
# h_start ──U─→ h_0  ───U──→   h_1  ───U──→   h_2
#                ↑              ↑              ↑
#                W              W              W
#                ↑              ↑              ↑
#               x_0            x_1            x_2
# ```
#
# A step computes two things. First the **pre-activation** $a_t$: the input times $W$,
# the state before times $U$, and the bias. **All steps have the same weights.**
#
# $$a_t = x_t W + h_{t-1} U + b$$
#
# Then the state. The $\tanh$ keeps it between $-1$ and $1$:
#
# $$h_t = \tanh(a_t) \tag{001.09.SimpleRNN}$$

# %%
# ? a_0, the pre-activation of step 0 of both samples; the state before is h_start
a_0 = x[:, 0] @ W + h_start @ U + b             # (N, H)
print("a_0 =", a_0.tolist())
assert a_0.tolist() == [[-0.5, 1.0], [-1.0, -0.5]]
# ? h_0, the state that step 0 leaves
h_0 = np.tanh(a_0)                              # (N, H)
print("h_0 =", h_0.round(3).tolist())

# %% [markdown]
# Now as a function, and then all three steps. `h[:, t]` is to hold the state that step
# $t$ leaves. After a step, that state is the state before for the next one.

# %%
def step(x_t, h_prev):
    a_t = x_t @ W + h_prev @ U + b
    return np.tanh(a_t)


h = np.zeros((2, 3, 2))                         # (N, T, H)
h_prev = h_start
# ? [h] the walk forwards: for t in range(3), fill h[:, t] by calling step
for t in range(3):
    h_prev = step(x[:, t], h_prev)
    h[:, t] = h_prev
print("h of sample 0 =", h[0].round(3).tolist())
assert np.array_equal(h[:, 0], h_0)

# %% [markdown]
# ## The loss of a sequence
#
# For the loss of a step take half the squared distance to its target. The total:
#
# $$L = \sum_t L_t \tag{002.Loss}$$
# $$L_t = \frac{1}{2} \sum_n \sum_i (h_{tni} - \text{target}_{tni})^2$$
#
# We call $dy_t$ what the loss of step $t$ **alone** sends into $h_t$. In most models a
# Dense layer stands between the state and the loss. Then $dy_t$ is the $dx$ of that
# layer, and lesson 02 says how to find it. All the rest stays as it is here.

# %%
# ? dy, for all steps at once: the derivative of L_t by h_t
dy = h - target                                 # (N, T, H)
print("dy of sample 0 =", dy[0].round(3).tolist())
check_derivative("dy", dy, lambda y: 0.5 * np.sum((y - target) ** 2), h)

# %% [markdown]
# That `check_derivative` moved each number of $h$ and held all others still. In the
# network they do not hold still: when $h_0$ moves, $h_1$ and $h_2$ move too. So we ask
# again. `losses_from(t, h_t)` puts a state at step $t$ and **runs on** from there.

# %%
def losses_from(t, h_t):
    losses = [0.5 * np.sum((h_t - target[:, t]) ** 2)]
    for later in range(t + 1, 3):
        h_t = step(x[:, later], h_t)
        losses.append(0.5 * np.sum((h_t - target[:, later]) ** 2))
    return np.array(losses)


def loss_from(t, h_t):
    return losses_from(t, h_t).sum()


moved = losses_from(0, h[:, 0] + 0.01) != losses_from(0, h[:, 0])
print("which losses move with h_0:", moved)
assert moved.sum() == losses_reached

# %% [markdown]
# From its place in step 0, $U$ reaches three losses: those of step 0, 1 and 2. From its
# place in step 1 it reaches two, from step 2 one. Nobody lists these paths one by one.
# The walk back adds them up on its way.

# %%
assert paths_of_U == 3 + 2 + 1

# %% [markdown]
# ## Backward: the last step, and one step back
#
# We call $dh_t$ the **whole** gradient that arrives at $h_t$: by its own loss, and by
# all that follows. Begin at the end, where nothing follows:
#
# ```
#               L_0            L_1            L_2
#                                              ║
#                                              ▼
# h_start ───── h_0  ───────   h_1  ───────   h_2
# ```

# %%
# ? dh_2, all that arrives at the last state; dy[:, t] is dy of step t
dh_2 = dy[:, 2]                                 # (N, H); 002.BPTT.dh_T
check_derivative("dh_2", dh_2, lambda h_t: loss_from(2, h_t), h[:, 2])

# %% [markdown]
# $$dh_2 = \frac{\partial L}{\partial h_2} = dy_2 \tag{002.BPTT.dh\_T}$$
#
# Now through the $\tanh$, from $h_2 = \tanh(a_2)$ to $a_2$. The slope of $\tanh$ is
# $1 - \tanh^2(a)$. And $\tanh(a_2)$ is there already: it is $h_2$.

# %%
# ? da_2, through h_2 = tanh(a_2); write it with h[:, 2], which is h_2
da_2 = dh_2 * (1 - h[:, 2] ** 2)                # (N, H)
a_2 = x[:, 2] @ W + h[:, 1] @ U + b
check_derivative("da_2", da_2, lambda a: np.sum(dh_2 * np.tanh(a)), a_2)

# %% [markdown]
# Now back in time, from step 2 to step 1:
#
# ```
#               L_0            L_1            L_2
#
# h_start ───── h_0  ───────   h_1  ◀══U══    h_2
# ```
#
# In $a_2 = x_2 W + h_1 U + b$ the state $h_1$ is multiplied by $U$, as an input of a
# Dense layer is by its kernel. So lesson 02 knows the way back. We call what comes back
# from the step after $dh_{\text{next}}$. (Many call it the *carry* of the walk.)

# %%
# ? dh_next: what da_2 sends back into h_1
dh_next = da_2 @ U.T                            # (N, H)

# %% [markdown]
# The state $h_1$ is used **twice**: by its own loss, and by step 2. A value that is
# used twice gets the sum of what comes back from its uses (lesson 00).
#
# ```
#               L_0            L_1            L_2
#                               ║
#                               ▼
# h_start ───── h_0  ───────   h_1  ◀══U══    h_2
# ```

# %%
# ? dh_1, all that arrives at h_1
dh_1 = dy[:, 1] + dh_next                       # (N, H)
check_derivative("dh_1", dh_1, lambda h_t: loss_from(1, h_t), h[:, 1])

# %% [markdown]
# Many texts write only one of the two terms: the **chain** from the last loss back
# through all states.
#
# $$\frac{\partial L_2}{\partial h_2} \frac{\partial h_2}{\partial h_1}
#   \frac{\partial h_1}{\partial h_0} \tag{002.BPTT.chain}$$
#
# That is the way of *one* loss. Its part up to $h_1$ is our $dh_{\text{next}}$: what
# the last loss alone sends there. The gradient is the sum over all losses.

# %%
def last_loss_from_1(h_t):
    return losses_from(1, h_t)[-1]


check_derivative("the chain alone", dh_next, last_loss_from_1, h[:, 1])
assert not np.allclose(dh_next, dh_1)
assert not np.allclose(dy[:, 1], dh_1)

# %% [markdown]
# ## Backward: the walk
#
# What arrives at $h_1$ holds the losses 1 **and** 2. So one product with $U^\top$ takes
# both on to $h_0$. The same three lines for each step, from the last to the first: that
# is all of **backpropagation through time** (BPTT). After the last step comes nothing,
# so there $dh_{\text{next}} = 0$.

# %%
dh = np.zeros_like(h)                           # (N, T, H)
da = np.zeros_like(h)                           # (N, T, H)
dh_next = np.zeros((2, 2))                      # (N, H)
# ? [dh, da] the walk back: for t = 2, 1, 0, fill dh[:, t] and da[:, t]
for t in reversed(range(3)):
    dh[:, t] = dy[:, t] + dh_next
    da[:, t] = dh[:, t] * (1 - h[:, t] ** 2)
    dh_next = da[:, t] @ U.T
for t in range(3):
    check_derivative(f"dh_{t}", dh[:, t], lambda h_t, t=t: loss_from(t, h_t), h[:, t])

# %% [markdown]
# As formulas. The sign $\odot$ is a product number by number, `*` in NumPy.
#
# $$dh_t = dy_t + da_{t+1} U^\top \qquad da_t = dh_t \odot (1 - h_t^2)$$
#
# ## Backward: what goes in
#
# To judge the gradients of the weights we run the whole forward with one thing changed.

# %%
def forward(x, h_start, W, U, b):
    N, T, _ = x.shape
    h = np.zeros((N, T, len(U)))
    h_prev = h_start
    for t in range(T):
        h_prev = np.tanh(x[:, t] @ W + h_prev @ U + b)
        h[:, t] = h_prev
    return h


def loss(x=x, h_start=h_start, W=W, U=U, b=b):
    return 0.5 * np.sum((forward(x, h_start, W, U, b) - target) ** 2)


# ? dh_start: what comes back into the state before the first step
dh_start = da[:, 0] @ U.T                       # (N, H)
check_derivative("dh_start", dh_start, lambda v: loss(h_start=v), h_start)
# ? dx, for all steps at once: x_t stands in a_t, and nowhere else
dx = da @ W.T                                   # (N, T, in)
check_derivative("dx", dx, lambda v: loss(x=v), x)

# %% [markdown]
# ## Backward: the weights
#
# The weights stand in **every** step, so their gradients are sums over time. In each
# step they are what lesson 02 found for a Dense layer, a sum over the batch.
#
# What $U$ multiplies is the state **before**. For step 0 that is `h_start`. So we put
# the states before each step into one array.

# %%
h_before = np.concatenate([h_start[:, None], h[:, :-1]], axis=1)        # (N, T, H)
assert np.array_equal(h_before[:, 0], h_start)
assert np.array_equal(h_before[:, 2], h[:, 1])

dW = np.zeros_like(W)                           # (in, H)
# ? [dW] add up over t what each step says to W
for t in range(3):
    dW += x[:, t].T @ da[:, t]
check_derivative("dW", dW, lambda v: loss(W=v), W)

dU = np.zeros_like(U)                           # (H, H)
# ? [dU] the same for U, with h_before
for t in range(3):
    dU += h_before[:, t].T @ da[:, t]
check_derivative("dU", dU, lambda v: loss(U=v), U)

# ? db: b is added in every step of every sample
db = da.sum(axis=(0, 1))                        # (H,)
check_derivative("db", db, lambda v: loss(b=v), b)

# %% [markdown]
# $$dW = \sum_t x_t^\top da_t \qquad dU = \sum_t h_{t-1}^\top da_t
#   \qquad db = \sum_t \sum_n da_{tn}$$
#
# ## The same in the library
#
# `SimpleRNN` is the layer in Keras, and here. With `return_sequences=True` it gives the
# state of every step. It takes $dy$ and gives $dx$ and the gradient of the state
# before. (PyTorch has two biases where Keras has one. They are added, so both get our
# $db$.)

# %%
rnn = SimpleRNN(2, return_sequences=True, dtype="float64")
rnn.build(x.shape)
rnn.set_weights([W, U, b])
for room in ("reference", "cpu"):
    rnn.to(room).zero_grad()
    assert np.allclose(rnn.forward(x, initial_state=h_start), h, rtol=1e-14, atol=1e-15)
    given = rnn.backward(dy)
    assert np.allclose(given[0], dx, rtol=1e-14, atol=1e-15)
    assert np.allclose(given[1], dh_start, rtol=1e-14, atol=1e-15)
    for weight, gradient in zip(rnn.trainable_weights, (dW, dU, db), strict=True):
        assert np.allclose(weight.grad, gradient, rtol=1e-14, atol=1e-15)

# %% [markdown]
# Here are your lines as a function, and under them the step of the library's reference
# kernel. Find in both: what comes back, the slope, the product with $U^\top$. (The same
# compiled and on a GPU: `show_source("kernels.cpu.recurrent:_simple_rnn_backward")` and
# `show_source("kernels.cuda.recurrent:_simple_rnn_backward")`.)

# %%
def walk_back(dy, h, U):
    da = np.zeros_like(h)
    dh_next = np.zeros_like(h[:, 0])
    for t in reversed(range(h.shape[1])):
        dh_t = dy[:, t] + dh_next
        da[:, t] = dh_t * (1 - h[:, t] ** 2)
        dh_next = da[:, t] @ U.T
    return da


assert np.array_equal(walk_back(dy, h, U), da)
show_source(walk_back, "kernels.reference.recurrent:simple_rnn_step_backward")

# %% [markdown]
# ## Watch it
#
# The whole walk is on a page, one operation a step, first forward, then backward. Open
# the page in a browser; the right arrow takes a step. (`nblayers microscope simple_rnn`
# opens one of a trained layer.)
#
# Go to step 13 (`dh[1]`). The state was used twice, so two gradients arrive, and the
# table adds them up: one by `y`, one by the `h` of the step after. Click the number
# above `dh_next`: it was computed in step 12 (`dh_prev[2]`), by the product with
# $U^\top$. The walk ends with step 18 (`dh_prev[0]`), and there is no step before.
# Where on the page do you meet these numbers again?

# %%
with trace() as seen:
    rnn.to("reference").forward(x, initial_state=h_start)
    rnn.backward(dy)
save_page(seen, "06_microscope")
for t in range(3):
    assert np.allclose(seen.find("da", t=t)[0].value, da[:, t], rtol=0, atol=1e-15)
# In step 24 (`dx[1]`): they are the gradient of the initial state, our dh_start.
assert np.array_equal(seen.find("dx[1]")[0].value, seen.find("dh_prev", t=0)[0].value)

# %% [markdown]
# ## One step of it: the cell
#
# Keras has the step alone, too, as a **cell**. It is our `step` of the beginning:
#
# $$h_t = \tanh(x_t W + h_{t-1} U + b) \tag{001.09.SimpleRNNCell}$$
#
# It gives the state twice: as its output, and in the list of states for the next step.
# So its backward is given two things, $dy_t$ and the list of what comes back, and it
# adds them up. Here is step 1.

# %%
cell = SimpleRNNCell(2, dtype="float64")
cell.build((2, 1))
cell.set_weights([W, U, b])
output, states = cell.forward(x[:, 1], [h[:, 0]])
assert np.allclose(output, h[:, 1], rtol=1e-14)
assert np.array_equal(states[0], output)
from_step_2 = da[:, 2] @ U.T
dx_1, (from_step_1,) = cell.backward([dy[:, 1], [from_step_2]])
assert np.allclose(dx_1, dx[:, 1], rtol=1e-14)
assert np.allclose(from_step_1, da[:, 1] @ U.T, rtol=1e-14)

# %% [markdown]
# ## An output behind each state
#
# Mostly the loss does not look at the state, but at an output that is made of it. Many
# texts count this to the layer and call it $y_t$. We call it $o_t$. $g$ is an
# activation:
#
# $$o_t = g(h_t W_y + b_y) \tag{002.Output}$$
#
# Other texts take no $g$, and call our $W$ and $U$ $W_{hx}$ and $W_{hh}$:
#
# $$h_t = \tanh(x_t W_{hx} + h_{t-1} W_{hh} + b_h), \;
#   o_t = h_t W_{yh} + b_y \tag{004.RNN}$$
#
# Keras' SimpleRNN gives only $h_t$. The output is a Dense layer behind it, **the same
# at each step**. We take one output ($O = 1$) and a sigmoid. `do` is how fast a loss
# grows with each $o$.

# %%
W_y = np.array([[1.0], [-2.0]])                 # (H, O)
b_y = np.array([0.5])                           # (O,)
do = np.array([[[8.0], [0.0], [-4.0]],
               [[0.0], [4.0], [8.0]]])          # (N, T, O)


def outputs(h, W_y=W_y):
    return 1 / (1 + np.exp(-(h @ W_y + b_y)))


o = outputs(h)
da_y = do * o * (1 - o)                         # (N, T, O): before g
# ? dh_own, (N, T, H), from da_y: what its own output sends into each state
dh_own = da_y @ W_y.T
check_derivative("dh, its own", dh_own, lambda h: np.sum(do * outputs(h)), h)
# ? dW_y, (H, O), from h and da_y, all steps and samples: a loop over t, or einsum
dW_y = np.einsum("nth,nto->ho", h, da_y)
check_derivative("dW_y", dW_y, lambda v: np.sum(do * outputs(h, v)), W_y)

# %% [markdown]
# $$dW_y = \sum_t h_t^\top da_{y,t}$$
#
# ## From the outputs back through time
#
# So `dh_own` takes the place of $dy$, and nothing else changes. Many texts stop there:
#
# $$\frac{\partial L}{\partial h_t} = \frac{\partial L}{\partial o_t}
#   \frac{\partial o_t}{\partial h_t} \tag{002.BPTT.dh\_T}$$
#
# That is right for the **last** state alone. Before it, what comes back from the step
# after is added. Your walk does it:

# %%
def loss_by_outputs(U):
    return np.sum(do * outputs(forward(x, h_start, W, U, b)))


da_all = walk_back(dh_own, h, U)
dU_all = np.einsum("nti,ntj->ij", h_before, da_all)     # your sum over t
check_derivative("dU", dU_all, loss_by_outputs, U)
da_own = dh_own * (1 - h ** 2)                  # as if the formula held at each state
assert np.allclose(da_own[:, 2], da_all[:, 2])
assert not np.allclose(da_own[:, :2], da_all[:, :2])

dense = Dense(1, activation="sigmoid", dtype="float64")
dense.build(h.shape)
dense.set_weights([W_y, b_y])
rnn.zero_grad()
assert np.allclose(dense.forward(rnn.forward(x, initial_state=h_start)), o, rtol=1e-14)
rnn.backward(dense.backward(do))
assert np.allclose(dense.kernel.grad, dW_y, rtol=1e-13)
assert np.allclose(rnn.trainable_weights[1].grad, dU_all, rtol=1e-13)

# %% [markdown]
# ## A picture: which loss is heard at which state?
#
# A new network of ten units reads twenty steps. We let one loss $s$ speak at a time. It
# sends a gradient of length 1 into its own state. How long is the gradient that arrives
# at state $t$?

# %%
set_random_seed(0)
layer = SimpleRNN(10, return_sequences=True, dtype="float64")
states = layer.forward(0.5 * np.random.default_rng(0).normal(size=(1, 20, 3)))[0]
U_10 = layer.trainable_weights[1].value
arriving = np.full((20, 20), np.nan)            # [s, t]: of loss s, at state t
for s in range(20):
    d = np.full(10, 10 ** -0.5)                 # of length 1
    for t in reversed(range(s + 1)):
        arriving[s, t] = np.linalg.norm(d)
        d = (d * (1 - states[t] ** 2)) @ U_10.T
save_figure(draw_paths(arriving), "06_paths")
assert np.allclose(np.diag(arriving), 1) and arriving[19, 0] < 0.2

# %% [markdown]
# Each row is one loss, each column one state. On the diagonal a loss meets its own
# state: there the length is 1. To the right of it there is nothing: no loss reaches a
# later state. To the left the colours fade. Of the gradient of the last loss, less than
# a fifth arrives at the first state. Lesson 07 asks why.
#
# ## A real task: adding
#
# Two binary numbers come in digit by digit, the ones first. The network is to say their
# sum, digit by digit. On paper you sometimes *keep a one* for the next digit. After
# 1 + 1 you keep a one. After 0 + 0 you keep none. After 0 + 1 nothing changes: you keep
# a one if you had kept one before. Nobody tells the network these rules. It practises
# on 8 digits, and the examination has 32.
#
# We train twice with your walk. The second time the walk is given zeros for $U$. Then
# nothing comes back from the step after: the term of this lesson is missing. The rule
# of learning is the same for both, with $\eta = 0.5$:
#
# $$w \gets w - \eta \frac{\partial L}{\partial w} \tag{002.Update}$$

# %%
def learn(through_time, steps=600, eta=0.5):
    set_random_seed(1)
    rng = np.random.default_rng(1)
    dense = Dense(1)
    rnn = SimpleRNN(8)
    rnn.build((100, 8, 2))
    W, U, b = (weight.value for weight in rnn.trainable_weights)
    h_start, history = np.zeros((100, 8)), []
    for _ in range(steps):
        x, total = binary_sums(rng, 100, 8)
        h = forward(x, h_start, W, U, b)
        value, dlogits = cross_entropy.value_and_gradient(total, dense.forward(h))
        history.append(value)
        U_back = U if through_time else 0 * U
        da = walk_back(dense.backward(dlogits), h, U_back)
        h_before = np.concatenate([h_start[:, None], h[:, :-1]], axis=1)
        W -= eta * np.einsum("nti,ntj->ij", x, da)
        U -= eta * np.einsum("nti,ntj->ij", h_before, da)
        b -= eta * da.sum(axis=(0, 1))
        for weight in dense.trainable_weights:
            weight.value -= eta * weight.grad
            weight.zero_grad()
    return (W, U, b), dense, history


cross_entropy = BinaryCrossentropy(from_logits=True)
trained = {"through time": learn(True), "term missing": learn(False)}

# %% [markdown]
# The einsums are your sums over time and batch in one line each.
#
# ## The examination
#
# The baseline adds each pair of digits and never keeps a one.
#
# Not all digits are equally hard. The last 1 + 1 or 0 + 0 decided whether a one is
# kept. We call the steps since then the **age** of that decision. It is $-1$ where
# nothing has been decided yet.

# %%
x, total = binary_sums(np.random.default_rng(2), 1000, 32)
age = steps_since_decided(x)
wrong = {"never keeps a one": x.sum(axis=2) % 2 != total[..., 0]}
for name, (weights, dense, _) in trained.items():
    logits = dense.forward(forward(x, np.zeros((1000, 8)), *weights))
    wrong[name] = (logits > 0)[..., 0] != total[..., 0]
right, by_age = {}, {}
for name, is_wrong in wrong.items():
    right[name] = 1 - is_wrong.any(axis=1).mean()
    by_age[name] = [is_wrong[age == k].mean() for k in range(7)]
    print(f"{name:17} of 1000 sums {right[name]:.1%} are right")
    print(" " * 17, f"of all digits {is_wrong.mean():.0%} are wrong, by age:",
          *np.round(by_age[name], 2))
histories = {name: history for name, (_, _, history) in trained.items()}
save_figure(draw_adding(histories, by_age), "06_adding")
assert right["through time"] > 0.95
assert right["term missing"] < 0.5
assert max(by_age["term missing"][:2]) < 0.2
assert min(by_age["term missing"][2:]) > 0.4

# %% [markdown]
# The second network remembers a decision for a step or two. Of older ones it knows
# nothing: half of its digits are wrong, as if it guessed. Why? Whether a state has kept
# the right thing shows only later, in the losses of later steps. Those must come back
# to it, through time. (With luck in its first weights the second network can succeed
# all the same: try other seeds.)
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 06 my_answer.py`.
#
# 1. On paper: one sample, one unit, no $\tanh$: $h_t = x_t + u h_{t-1}$ with $u = 0.5$,
#    $x = (4, 2, 0)$, the state before the first step is 0, and $L = h_0 + h_1 + h_2$.
#    Set `dh` (3 numbers) and `du`.
# 2. The whole backward: `rnn_backward(x, h_start, h, W, U, dy)`, with the shapes of
#    this lesson and any N, T, H. Return `dx, dh_start, dW, dU, db`.
# 3. A bug: `walk` below passes every test with $T = 1$. Write it right as
#    `fixed_walk(h, U, dy)`, which returns `da`.
# 4. An experiment: a `SimpleRNN(1, activation="linear")` with recurrent weight $u$
#    reads 50 steps. Only the last step has a loss. Its gradient walks back to the state
#    before the first step. How large must $u$ be, so that a hundredth of it is left
#    there? Set `smallest_u`.
#
# ```python
# def walk(h, U, dy):
#     da, dh_next = np.zeros_like(h), np.zeros_like(h[:, 0])
#     for t in reversed(range(h.shape[1])):
#         da[:, t] = dy[:, t] * (1 - h[:, t] ** 2) + dh_next
#         dh_next = da[:, t] @ U.T
#     return da
# ```
