# %% [markdown]
# # 11 · Bidirectional, stacked, TimeDistributed: building with recurrent layers
#
# *About 40 minutes.* One recurrent layer walks one way, once. Two can walk towards each
# other. One can stand on another. And a layer that knows nothing of time can be set at
# every step. Each of the three does one thing to a gradient: it is **divided**,
# **handed down**, or **summed**. You write all three. Then a network puts the missing
# vowels back into a text: from the left alone, and from both sides.
#
# ## A question first
#
# `Bidirectional(LSTM(64, return_sequences=True))` reads 30 characters. One half of it
# walks from the first character, the other half from the last one. Many programs then
# take the last output, `out[:, -1, :]`. The half that walks from the first character
# has seen all 30 there.
#
# And three SimpleRNNs stand one on another. They read 50 steps. A **path** goes from a
# state to the same layer's next state, or up to the next layer's state.

# %%
import numpy as np

from lessons.data import missing_vowels, with_capitals
from lessons.figures import draw_halves, draw_vowels, influence
from nblayers import trace
from nblayers.layers import (
    GRU,
    RNN,
    Bidirectional,
    Dense,
    Embedding,
    SimpleRNN,
    SimpleRNNCell,
    TimeDistributed,
)
from nblayers.learn.tools import check_derivative, save_figure, save_page, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %%
# ? guess: in that last output, how many characters has the other half seen?
seen_by_other_half = 1
# ? guess: how many paths lead from the first state of the lowest layer to the last
# ? state of the uppermost one?
paths_through_stack = 1275

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$), three steps ($T = 3$) of one number each, two units ($H = 2$).
# A sample is a row. Three SimpleRNNs: one walks `there`, from step 0 to step 2. One
# walks `back`, from step 2 to step 0. One stands above both, `up`. Each has weights of
# its own, and each begins with zeros. A Dense makes one number a step, `out`.

# %%
N, T, H = 2, 3, 2
x = np.array([[[1.0], [0.0], [-1.0]],
              [[0.5], [2.0], [1.0]]])           # (N, T, in)
W_there = np.array([[1.0, -0.5]])               # (in, H)
U_there = np.array([[0.5, 1.0], [-0.5, 0.0]])   # (H, H)
b_there = np.array([0.0, 0.5])                  # (H,)
W_back = np.array([[0.5, 1.0]])
U_back = np.array([[-1.0, 0.5], [0.0, 0.5]])
b_back = np.array([0.5, -0.5])
W_up = np.array([[1.0, -0.5], [0.5, 1.0], [-1.0, 0.5], [0.0, 1.0]])     # (2H, H)
U_up = np.array([[0.5, -1.0], [1.0, 0.0]])
b_up = np.array([0.0, 0.5])
W_out = np.array([[1.0], [-1.0]])               # (H, 1)
b_out = np.array([0.5])                         # (1,)

# %% [markdown]
# ## A picture of the layers
#
# Time goes to the right. Up goes from layer to layer. Only `back` walks to the left.
#
# ```
#          o_0          o_1          o_2     the same Dense at every step
#           ↑            ↑            ↑
# up       h_0 ───────→ h_1 ───────→ h_2
#           ↑            ↑            ↑
#          y_0          y_1          y_2     both halves of a step, joined
#           ↑            ↑            ↑
# back      ○ ←───────── ○ ←───────── ○      these two are the halves;
# there     ○ ─────────→ ○ ─────────→ ○      both read x_t, both go into y_t
#           ↑            ↑            ↑
#          x_0          x_1          x_2
# ```
#
# ## Forward: there
#
# The step is that of lesson 06, and so is the walk.
#
# $$h_t = \tanh(x_t W + h_{t-1} U + b) \tag{001.09.SimpleRNN}$$

# %%
def step(x_t, h_prev, W, U, b):
    a_t = x_t @ W + h_prev @ U + b
    return np.tanh(a_t)


def forward(x, W, U, b):
    h = np.zeros((len(x), x.shape[1], len(U)))  # (N, T, H)
    h_prev = np.zeros((len(x), len(U)))
    for t in range(x.shape[1]):
        h_prev = step(x[:, t], h_prev, W, U, b)
        h[:, t] = h_prev
    return h


h_there = forward(x, W_there, U_there, b_there)
print("h_there of sample 0 =", h_there[0].round(3).tolist())
assert np.allclose(h_there[0, 0], np.tanh([1, 0]))

# %% [markdown]
# ## Forward: and back
#
# The other layer reads the sequence from its end. `x[:, ::-1]` is $x$ turned round in
# time. But its states then come out in the order of *its* walk: the first one belongs
# to $x_2$. So they are turned round once more. Then row $t$ of both halves belongs to
# the same $x_t$.

# %%
# ? h_back, by `forward` and the weights W_back, U_back, b_back; row t belongs to x_t
h_back = forward(x[:, ::-1], W_back, U_back, b_back)[:, ::-1]           # (N, T, H)
print("h_back of sample 0 =", h_back[0].round(3).tolist())
assert np.allclose(h_back[0, 2], np.tanh([0, -1.5]))

# %% [markdown]
# The outputs are joined: at each step first the units of `there`, then those of `back`.
# In Keras this is `merge_mode="concat"`.
#
# $$y_t = [h^{there}_t, h^{back}_t] \tag{004.Bidirectional}$$

# %%
# ? y, both halves side by side at each step
y = np.concatenate([h_there, h_back], axis=2)   # (N, T, 2H)
print("y of sample 0 =", y[0].round(2).tolist())

# %% [markdown]
# Without `return_sequences` each half gives the state where *its own* walk ends: there
# it has read everything. We call that `last`. The upper layer here needs all steps, so
# we only look at it.

# %%
# ? last, both halves side by side: from each the state that has read all steps
last = np.concatenate([h_there[:, 2], h_back[:, 0]], axis=1)            # (N, 2H)
assert not np.allclose(last, y[:, -1])

# %% [markdown]
# ## Forward: the layer above, and the Dense
#
# The upper layer reads the *sequence* that the lower ones leave. So all layers of a
# **stack** but the uppermost need `return_sequences=True`. Let $k$ be the number of the
# layer. Each reads what the one below has made:
#
# $$h^k_t = \tanh(h^{k-1}_t W^k + h^k_{t-1} U^k + b^k) \tag{004.Stacked}$$
#
# The Dense has the same weights at every step. Setting a layer at every step is called
# **TimeDistributed**:
#
# $$o_t = h_t W_{out} + b_{out} \tag{001.09.TimeDistributed}$$
#
# (A Dense works on the last axis, so it would do that alone. The wrapper is for other
# layers. One that looks at pictures can be set at every picture of a film.)

# %%
h = forward(y, W_up, U_up, b_up)                # (N, T, H)
o = h @ W_out + b_out                           # (N, T, 1)
print("o =", o[..., 0].round(3).tolist())
assert np.allclose(o[0, 1], h[0, 1, 0] - h[0, 1, 1] + 0.5)

# %% [markdown]
# ## Backward: the same layer at every step
#
# The loss tells each output how it grows: `do`. So for us it is $L = \sum do \, o$,
# over all samples and steps.
#
# $W_{out}$ stands in every step, as it stands in every sample. So its gradient is a sum
# over both. For this layer, $T$ steps of $N$ sequences *are* a batch of $N T$ samples.

# %%
do = np.array([[[1.0], [-1.0], [2.0]],
               [[0.5], [1.0], [-1.0]]])         # (N, T, 1)
dW_out = np.zeros_like(W_out)                   # (H, 1)
# ? [dW_out] add up over t what each step says to W_out
for t in range(T):
    dW_out += h[:, t].T @ do[:, t]
check_derivative("dW_out", dW_out, lambda W: np.sum(do * (h @ W + b_out)), W_out)
# ? db_out: b_out is added at every step of every sample
db_out = do.sum(axis=(0, 1))                    # (1,)
check_derivative("db_out", db_out, lambda b: np.sum(do * (h @ W_out + b)), b_out)

# %% [markdown]
# $$dW_{out} = \sum_t h_t^\top do_t \qquad db_{out} = \sum_t \sum_n do_{tn}$$
#
# What the Dense sends down to the state of its step, we call `dh_above`: it comes from
# above. All steps at once, for each is on its own here.

# %%
# ? dh_above, what the Dense sends into h, for all steps at once
dh_above = do @ W_out.T                         # (N, T, H)
check_derivative("dh_above", dh_above, lambda h: np.sum(do * (h @ W_out + b_out)), h)

# %% [markdown]
# ## Backward: from above and from later
#
# Layers and steps are a grid. A state is used in two places: by the layer above, and by
# the step after. Its gradient is the sum of what comes back from both.
#
# ```
#          o_0          o_1          o_2
#                        ║            ║
#                        ▼            ▼
# up       h_0 ──────── h_1 ◀════════ h_2
# ```
#
# From above comes `dh_above`, from later `dh_next`, as in lesson 06. One step back
# knows nothing of layers: it is the same function for each.

# %%
def step_backward(dh, h, U):
    da = dh * (1 - h ** 2)
    dh_prev = da @ U.T
    return da, dh_prev


da_2, dh_next = step_backward(dh_above[:, 2], h[:, 2], U_up)
# ? dh_1, all that arrives at h_1 of the upper layer: from above, and from later
dh_1 = dh_above[:, 1] + dh_next                 # (N, H)


def loss_from_1(h_1):
    h_2 = step(y[:, 2], h_1, W_up, U_up, b_up)
    return np.sum(dh_above[:, 1] * h_1) + np.sum(dh_above[:, 2] * h_2)


check_derivative("dh_1", dh_1, loss_from_1, h[:, 1])

# %% [markdown]
# For layer $k$, with $k + 1$ above it, that is
#
# $$dh^k_t = da^{k+1}_t (W^{k+1})^\top + da^k_{t+1} (U^k)^\top$$
#
# Now the whole walk of the upper layer, as a function: all layers will need it. It is
# given what comes from above at each step, the states, and `U`. It returns da of all
# steps, (N, T, H).

# %%
# ? [walk_back] def walk_back(dh_above, h, U): from the last step to the first, by
# ? step_backward
def walk_back(dh_above, h, U):
    da = np.zeros_like(h)
    dh_next = np.zeros_like(h[:, 0])
    for t in reversed(range(h.shape[1])):
        dh = dh_above[:, t] + dh_next
        da[:, t], dh_next = step_backward(dh, h[:, t], U)
    return da


# %% [markdown]
# ## Backward: handed down
#
# The upper layer reads $y_t$ as an input. What it sends back to its input is what comes
# from above for the layers below. In a stack one layer's `dx` is handed down to the
# next.

# %%
def loss_above(y, W=W_up, U=U_up, b=b_up):
    return np.sum(do * (forward(y, W, U, b) @ W_out + b_out))


da_up = walk_back(dh_above, h, U_up)            # (N, T, H)
# ? dy, what the upper layer hands down, for all steps at once
dy = da_up @ W_up.T                             # (N, T, 2H)
check_derivative("dy", dy, loss_above, y)

# %% [markdown]
# The gradients of its weights are the sums of lesson 06. We shall need them for three
# layers, so they are a function. `h_before` holds the state before each step.

# %%
def weight_gradients(x, h_before, da):
    dW = np.einsum("nti,ntj->ij", x, da)
    dU = np.einsum("nti,ntj->ij", h_before, da)
    db = da.sum(axis=(0, 1))
    return dW, dU, db


start = np.zeros((N, 1, H))
h_before = np.concatenate([start, h[:, :-1]], axis=1)
dW_up, dU_up, db_up = weight_gradients(y, h_before, da_up)
check_derivative("dW_up", dW_up, lambda W: loss_above(y, W=W), W_up)
check_derivative("dU_up", dU_up, lambda U: loss_above(y, U=U), U_up)

# %% [markdown]
# ## Backward: divided
#
# $y_t$ is two things side by side. Joining changes no number. So going back, each half
# takes the columns that are its own:
#
# $$[dh^{there}_t, dh^{back}_t] = dy_t$$

# %%
# ? dy_there, dy_back: each half's own columns of dy
dy_there, dy_back = dy[:, :, :H], dy[:, :, H:]  # (N, T, H) each


def loss_by_halves(h_there, h_back):
    return loss_above(np.concatenate([h_there, h_back], axis=2))


check_derivative("dy_there", dy_there, lambda h: loss_by_halves(h, h_back), h_there)
check_derivative("dy_back", dy_back, lambda h: loss_by_halves(h_there, h), h_back)

# %% [markdown]
# ## Backward: the way there, and the way back
#
# The half that walks there is an ordinary layer. Its way back goes from step 2 to 0.
#
# The other half has walked from step 2 to 0, so its way back goes from step 0 to 2.
#
# ```
#          y_0          y_1          y_2
#           ║            ║            ║
#           ▼            ▼            ▼
# back      ○ ═════════▶ ○ ═════════▶ ○
# there     ○ ◀═════════ ○ ◀═════════ ○
#           ║            ║            ║
#           ▼            ▼            ▼
#          x_0          x_1          x_2
# ```
#
# Our `walk_back` wants arrays in the order of the walk. So everything that goes in is
# turned round, and what comes out is turned round too.

# %%
da_there = walk_back(dy_there, h_there, U_there)
# ? da_back, by walk_back; row t is to belong to x_t again
da_back = walk_back(dy_back[:, ::-1], h_back[:, ::-1], U_back)[:, ::-1]


def from_end(x, W=W_back, U=U_back, b=b_back):
    return forward(x[:, ::-1], W, U, b)[:, ::-1]


def loss_by_shift(a_shift):
    turned = np.zeros((N, T, H))
    h_later = np.zeros((N, H))
    for t in (2, 1, 0):
        h_later = step(x[:, t], h_later, W_back, U_back, b_back + a_shift[:, t])
        turned[:, t] = h_later
    return loss_by_halves(h_there, turned)


check_derivative("da_back", da_back, loss_by_shift, np.zeros((N, T, H)))

# %% [markdown]
# `loss_by_shift` adds a little to each $a_t$ of this half. It walks from the end
# without turning anything: a second witness.
#
# ## Backward: the weights of the way back
#
# $U$ is multiplied by the state *before* in the order of the walk. At the last step
# this half begins, with zeros. From there it comes to the others.

# %%
# ? h_before_back: with which state this half came to each step; zeros are in `start`
h_before_back = np.concatenate([h_back[:, 1:], start], axis=1)          # (N, T, H)
dW_back, dU_back, db_back = weight_gradients(x, h_before_back, da_back)


def loss_by_back(W=W_back, U=U_back, b=b_back):
    return loss_by_halves(h_there, from_end(x, W, U, b))


check_derivative("dW_back", dW_back, lambda W: loss_by_back(W=W), W_back)
check_derivative("dU_back", dU_back, lambda U: loss_by_back(U=U), U_back)
check_derivative("db_back", db_back, lambda b: loss_by_back(b=b), b_back)

# %% [markdown]
# $$dU^{back} = \sum_t (h^{back}_{t+1})^\top da^{back}_t$$
#
# The same for the half that walks there. For it the state before is that of $t - 1$.

# %%
h_before_there = np.concatenate([start, h_there[:, :-1]], axis=1)
dW_there, dU_there, db_there = weight_gradients(x, h_before_there, da_there)
check_derivative("dU_there", dU_there, lambda U: loss_by_halves(
    forward(x, W_there, U, b_there), h_back), U_there)

# %% [markdown]
# ## Backward: the input
#
# Both halves read $x_t$. A value that is used twice gets the sum.

# %%
# ? dx, for all steps at once
dx = da_there @ W_there.T + da_back @ W_back.T  # (N, T, in)


def loss_by_x(x):
    return loss_by_halves(forward(x, W_there, U_there, b_there), from_end(x))


check_derivative("dx", dx, loss_by_x, x)

# %% [markdown]
# ## Other ways to join
#
# Keras has three more ways to join the halves into one array: `sum`, `ave` (the
# average) and `mul` (the product). There $y_t$ is as wide as one half. (With `None`
# both halves are returned, and nothing is joined.) Let `d_joined` be what comes from
# above. A sum sends it to both halves as it is. The other two are yours.

# %%
d_joined = np.array([[[1.0, 0.0], [0.0, -1.0], [1.0, 2.0]],
                     [[0.5, -1.0], [2.0, 0.0], [-1.0, 1.0]]])           # (N, T, H)
# ? d_ave: what the average, (h_there + h_back) / 2, sends into h_there
d_ave = d_joined / 2
check_derivative("ave", d_ave, lambda h: np.sum(d_joined * (h + h_back) / 2), h_there)
# ? d_mul: what the product, h_there * h_back, sends into h_there
d_mul = d_joined * h_back
check_derivative("mul", d_mul, lambda h: np.sum(d_joined * h * h_back), h_there)

# %% [markdown]
# ## How many paths?
#
# Leave out the $\tanh$ and let every weight be 1. Then each path sends back exactly 1,
# and the gradient of a state **counts the paths** from it to the loss. The loss looks
# at the last state of the uppermost of three layers only. So that state has 1 path. Any
# other has those of the state above it and those of the state after it.
#
# `paths[k, t]` is to hold the number for layer $k$ (0 is the lowest) and step $t$. The
# extra row and column stay 0: above the top and after the end there is nothing.

# %%
paths = np.zeros((4, 51), int)
paths[2, 50] = 1                                # sends one path into state [2, 49]
# ? [paths] for k in (2, 1, 0), for t in reversed(range(50)): fill paths[k, t]
for k in (2, 1, 0):
    for t in reversed(range(50)):
        paths[k, t] = paths[k + 1, t] + paths[k, t + 1]
print("paths from the last five steps of each layer:", paths[:3, 45:50].tolist())

# %% [markdown]
# This is the formula of the grid with numbers in place of gradients. In the lowest
# layer the first state has $51 \cdot 50 / 2$ paths: 49 times right and twice up, in any
# order.

# %%
assert paths[0, 0] == paths_through_stack == 51 * 50 // 2

# %% [markdown]
# ## The same in the library
#
# Our whole network in four lines. All results are ours: the outputs, `dx`, and the
# gradients of eleven weights.

# %%
options = {"return_sequences": True, "dtype": "float64"}
ours = [dW_there, dU_there, db_there, dW_back, dU_back, db_back, dW_up, dU_up, db_up,
        dW_out, db_out]
for room in ("reference", "cpu"):
    model = Sequential([Bidirectional(SimpleRNN(H, **options), dtype="float64"),
                        SimpleRNN(H, **options),
                        TimeDistributed(Dense(1, dtype="float64"), dtype="float64")])
    model.to(room)
    model.build(x.shape)
    model.set_weights([W_there, U_there, b_there, W_back, U_back, b_back,
                       W_up, U_up, b_up, W_out, b_out])
    assert np.allclose(model.forward(x), o, rtol=0, atol=1e-14)
    assert np.allclose(model.backward(do), dx, rtol=0, atol=1e-14)
    for weight, expected in zip(model.trainable_weights, ours, strict=True):
        assert np.allclose(weight.grad, expected, rtol=0, atol=1e-14)

# %% [markdown]
# Beside your lines, one step of the reference kernel: forward and back. It knows
# neither direction nor layers. And `_walk`, which says in what order the steps are
# walked. With `go_backwards` it is turned round, and nothing else.

# %%
show_source(step, "kernels.reference.recurrent:simple_rnn_step",
            step_backward, "kernels.reference.recurrent:simple_rnn_step_backward",
            "kernels.reference.recurrent:_walk")

# %% [markdown]
# Above the kernels stand the layers. Find in them: what is divided, what is summed, and
# how steps become samples of a batch.

# %%
show_source(Bidirectional.backward, Bidirectional._merge_backward,
            TimeDistributed.backward)

# %% [markdown]
# In the stepper type `show_source("kernels.cpu.recurrent:_simple_rnn_backward")` or
# `show_source("kernels.cuda.recurrent:_simple_rnn_backward")` for the compiled kernel
# and that of a GPU.
#
# ## Watch it
#
# Watch both ways on a page, and how their gradients come back. Open it in a browser;
# the right arrow takes a step. (`nblayers microscope bidirectional` opens one of a
# trained layer.)
#
# Step 4 (`a[0]`) begins the way from the first step to the last, step 13 (`a[2]`) the
# other one. Look at the arrows between the time steps: those of the two layers point in
# opposite directions. What comes back from both is added in step 90 (`dx`). Step 61
# (`dh[2]`) begins the walk back through the one layer, step 76 (`dh[0]`) that through
# the other. Why does this one begin at step 0?

# %%
with trace() as seen:
    model.to("reference").forward(x)
    model.backward(do)
save_page(seen, "11_microscope")
assert np.allclose(seen.find("dx", layer=model.name)[-1].value, dx, rtol=0, atol=1e-14)
# The backward layer computed step 0 last, and a gradient begins where the walk ended.
both = seen.find("dx_f")[0].value + seen.find("dx_b")[0].value
assert np.allclose(both, dx, rtol=0, atol=1e-14)

# %% [markdown]
# ## Two ways to stack
#
# Layer on layer: each reads the whole sequence before the next one begins. Or one `RNN`
# over a list of cells (001.09.StackedRNNCells): each step goes through all layers
# before the next step begins. The grid is the same, and so are the numbers. But only
# the first way can give whole sequences to a kernel. Again all weights are 1, without
# $\tanh$.

# %%
linear = {"activation": None, "dtype": "float64"}
layers = [SimpleRNN(1, return_sequences=True, **linear) for _ in range(3)]
cells = [SimpleRNNCell(1, **linear) for _ in range(3)]
at_the_end = np.zeros((1, 50, 1))
at_the_end[0, 49] = 1
for stack in (Sequential(layers), RNN(cells, **options)):
    stack.build((1, 50, 1))
    stack.set_weights([np.ones((1, 1)), np.ones((1, 1)), np.zeros(1)] * 3)
    stack.forward(np.ones((1, 50, 1)))
    arriving = stack.backward(at_the_end)       # (1, 50, 1), at the inputs
    assert np.array_equal(arriving[0, :, 0], paths[0, :50])

# %% [markdown]
# ## A picture: what each half knows
#
# A Bidirectional GRU of 16 units each way reads 30 steps. How much does output $t$ know
# of input $s$? We send a gradient into output $t$ of one half, and look how much of it
# arrives at each input. Then the same with a second such layer on the first.

# %%
set_random_seed(0)
inputs = np.random.default_rng(0).normal(size=(1, 30, 4))
one = Bidirectional(GRU(16, return_sequences=True)).to("reference")
upper = Bidirectional(GRU(16, return_sequences=True))
two = Sequential([one, upper]).to("reference")
there = slice(0, 16)
back = slice(16, 32)
heat = {"the half that walks there": influence(one, inputs, there),
        "the half that walks back": influence(one, inputs, back),
        "half of a second layer": influence(two, inputs, there)}
save_figure(draw_halves(heat), "11_halves")

# %% [markdown]
# The half that walks there knows nothing of what comes later. The half that walks back
# knows nothing of what came before. On a second layer each half knows all.
#
# And the last output, the question: one half has seen 30 steps. The other has just
# begun its walk. It has seen **one**. What ends its walk stands in the *first* output.

# %%
knows_there, knows_back, knows_all = (values > 0 for values in heat.values())
assert knows_there[29].sum() == 30
assert knows_back[29].sum() == seen_by_other_half
assert knows_back[0].sum() == 30
assert knows_all.all()

# %% [markdown]
# ## A real task: which vowel was it?
#
# From a text, Python's own help, all vowels are taken out: `th*s *s wh*t *s l*ft`. The
# network is to put them back. Each step has a label, as when names are marked in a text
# (004.App.NER). A consonant has none: its weight in the loss is 0.
#
# `given` is the text with gaps, `vowel` the right vowel at each step, `asked` says
# where there is a gap. The last tenth of the text is for the examination. The baseline
# always says *e*.

# %%
given, vowel, asked = missing_vowels(lines=1400)        # (1400, 60) each
at_start = asked & (np.roll(given, 1, axis=1) == 0)     # a gap where a word begins
at_start[:, 0] = False
exam = slice(-140, None)
baseline = np.mean(vowel[exam][asked[exam]] == 1)       # a, e, i, o, u are 0 to 4
print(f"always e: {baseline:.0%} are right")

# %% [markdown]
# Three networks: one way, both ways, and two such layers in a stack. The first has 48
# units. The others have 24 in each half, so all states are 48 numbers wide.

# %%
def network(kind):
    set_random_seed(0)
    layers = [GRU(48, return_sequences=True)]
    if kind != "one way":
        layers = [Bidirectional(GRU(24, return_sequences=True))]
    if kind == "both ways, twice":
        layers.append(Bidirectional(GRU(24, return_sequences=True)))
    model = Sequential([Embedding(28, 16), *layers,
                        TimeDistributed(Dense(5, activation="softmax"))])
    model.compile(Adam(0.01), "sparse_categorical_crossentropy",
                  weighted_metrics=["accuracy"])
    return model


# %% [markdown]
# ## The examination
#
# In the lines that are shown, wrong vowels are capitals. Note the number of weights:
# the second network has fewer than the first.

# %%
curves, right, right_at_start, weights = {}, {}, {}, {}
for kind in ("one way", "both ways", "both ways, twice"):
    model = network(kind)
    trained = model.fit(given[:-140], vowel[:-140], sample_weight=asked[:-140],
                        batch_size=32, epochs=6, verbose=0,
                        validation_data=(given[exam], vowel[exam], asked[exam]))
    curves[kind] = trained.history["val_accuracy"]
    weights[kind] = model.count_params()
    told = model.predict(given[exam], verbose=0).argmax(axis=2)
    is_right = told == vowel[exam]
    right[kind] = is_right[asked[exam]].mean()
    right_at_start[kind] = is_right[at_start[exam]].mean()
    print(f"{kind}, {weights[kind]} weights: {right[kind]:.0%} are right,",
          f"where a word begins {right_at_start[kind]:.0%}")
    for line in with_capitals(given[exam], told, vowel[exam])[:2]:
        print("   ", line)
save_figure(draw_vowels(curves, right, right_at_start, baseline), "11_vowels")
assert weights["both ways"] < weights["one way"]
assert right["one way"] > baseline + 0.05
assert right["both ways"] > right["one way"] + 0.05
assert right_at_start["both ways"] > right_at_start["one way"] + 0.15

# %% [markdown]
# What follows says as much of a vowel as what went before. It helps most where a word
# begins: there the network that goes one way has seen nothing of the word.
#
# But not every task may look ahead. Who writes a text does not know what comes next.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 11 my_answer.py`.
#
# 1. On paper: one sample, one unit in each half, no $\tanh$: each adds to $x_t$ half
#    the state before, in the order of its walk, and begins with 0. $x = (4, 2, 8)$. Set
#    `y` (3, 2), joined. For a gradient of 1 at both numbers of $y_0$ and 0 elsewhere
#    set `dx` (3 numbers). And `paths`: how many lead from the first state of the lowest
#    layer to the last state of a stack of 4 layers that reads 4 steps?
# 2. **A whole backward**: that of this lesson, without the Dense and the biases, for
#    any N, T and H: `network_backward` with the arguments `dh_above`, `x`, `h_there`,
#    `h_back`, `h`, `W_there`, `U_there`, `W_back`, `U_back`, `W_up`, `U_up`, in this
#    order. Return `dx, dW_there, dU_there, dW_back, dU_back, dW_up, dU_up`.
# 3. A bug: the function below passes every test with $T = 1$. `there` and `back` are
#    the backward functions of both layers. They take and return arrays (N, T, …) in the
#    order of their walk. Write it right as
#    `fixed_bidirectional_backward(there, back, dy)`.
# 4. An experiment: three `SimpleRNN(1, activation=None)`, one on another, kernels 1,
#    recurrent weights 0.85, read 60 steps. The loss looks at the last output. In one
#    layer the gradient fades from the last step on. In three, how many steps before the
#    last is it largest? Set `steps`.
#
# ```python
# def bidirectional_backward(there, back, dy):
#     half = dy.shape[2] // 2
#     dx_there = there(dy[:, :, :half])
#     dx_back = back(dy[:, ::-1, half:])
#     return dx_there + dx_back
# ```
