# %% [markdown]
# # 08 · LSTM: a memory with gates, and its backward term by term
#
# *About 40 minutes.* A SimpleRNN makes its whole state anew at every step. An LSTM has
# a second state, the **cell** $C_t$. Three **gates** decide about it: what of it is
# kept, what is added, what is shown. A gate is a number between 0 and 1, and something
# is multiplied by it. You write all gradients of an LSTM. Then it learns to write: from
# Python's own help, or from a text of yours (`nblayers learn lstm --text FILE`).
#
# ## A question first
#
# A gradient goes back from cell to cell. On this direct way it is multiplied at each
# step by the **forget gate**, and by nothing else. With small inputs that gate is
# $\sigma(b_f)$, where $b_f$ is its bias. And $\sigma(0) = 0.5$, $\sigma(1) = 0.73$.

# %%
import sys

import numpy as np

from lessons.data import numbers_and_marks, read_text, write_texts
from lessons.figures import draw_gates, draw_loss, gradient_norms
from nblayers import trace
from nblayers.layers import LSTM, Dense, Embedding, SimpleRNN
from nblayers.learn.graph import cell, show_graph
from nblayers.learn.tools import check_derivative, save_figure, save_page, show_source
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

text = read_text(sys.argv[1:])                  # Python's help, or that of --text FILE

# %%
# ? guess: the bias is 0. By how many powers of ten does a gradient shrink in 50 steps?
powers_lost = 15
# ? guess: which bias leaves about a hundredth of it after 50 steps?
bias_for_a_hundredth = 2.34

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$), three steps ($T = 3$) of one number each, two units ($H = 2$).
# A sample is a row. `x[:, t]` is step $t$ of both samples.
#
# An LSTM computes four things from $x_t$ and $h_{t-1}$, so it has four matrices $W$ and
# four $U$. Their columns lie side by side, in Keras' order: $i$, $f$, $\tilde{C}$, $o$.
# (You read $\tilde{C}$ as "C tilde". In code it is `C_tilde`.) As in Keras, the bias of
# $f$ begins with 1.

# %%
N, T, H = 2, 3, 2
x = np.array([[[1.0], [0.0], [-1.0]],
              [[0.0], [1.0], [1.0]]])           # (N, T, in)
#              i           f         C_tilde       o
W = np.array([[0.5, 0.0, 0.0, -0.5, 1.0, -0.5, 0.0, 0.5]])      # (in, 4H)
U = np.array([[0.0, 0.5, 0.5, 0.0, 0.5, 1.0, -0.5, 0.0],
              [0.5, 0.0, 0.0, 0.5, -1.0, 0.5, 0.0, -0.5]])      # (H, 4H)
b = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])          # (4H,)
h_start = np.array([[0.0, 0.0], [1.0, -1.0]])   # (N, H), before the first step
C_start = np.array([[1.0, -1.0], [0.0, 2.0]])   # (N, H), before the first step

# %% [markdown]
# ## A picture of one step
#
# Two things come from the step before: $h_{t-1}$ and $C_{t-1}$. Two go on to the step
# after. The upper line is the cell. It runs through: a product and a sum, nothing else.
# In code the step before is `h_prev` and `C_prev`.

# %%
show_graph(cell("lstm"))

# %% [markdown]
# ## Forward: one product for four things
#
# The **pre-activation** $a_t$ is what goes into the sigmoids and the tanh. Many texts
# write one product for each gate, as $W_f \cdot [h_{t-1}, x_t]$, where $h$ and $x$ are
# joined. With $W$ and $U$ apart it is the same sum:
#
# $$a_t = x_t W + h_{t-1} U + b$$

# %%
h_prev = h_start
C_prev = C_start
# ? a, the pre-activations of the first step, x[:, 0], of both samples
a = x[:, 0] @ W + h_prev @ U + b                # (N, 4H)
a_i, a_f, a_C, a_o = np.split(a, 4, axis=1)     # (N, H) each

# %% [markdown]
# ## Forward: three gates, and what may be added
#
# Each gate is a sigmoid. $\tilde{C}_t$ is what may be added to the cell. It is a tanh,
# so it may be negative. (Many texts call it the *candidate*.)
#
# $$i_t = \sigma(W_i \cdot [h_{t-1}, x_t] + b_i) \tag{004.LSTM.i}$$
# $$f_t = \sigma(W_f \cdot [h_{t-1}, x_t] + b_f) \tag{004.LSTM.f}$$
# $$\tilde{C}_t = \tanh(W_C \cdot [h_{t-1}, x_t] + b_C) \tag{004.LSTM.C~}$$
# $$o_t = \sigma(W_o \cdot [h_{t-1}, x_t] + b_o) \tag{004.LSTM.o}$$

# %%
def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2             # 1 / (1 + exp(-a)), without overflow


i = sigmoid(a_i)                                # (004.LSTM.i)
print("i, the input gate:", i.round(3).tolist())
f = sigmoid(a_f)                                # (004.LSTM.f)
print("f, the forget gate:", f.round(3).tolist())
C_tilde = np.tanh(a_C)                          # (004.LSTM.C~)
print("C_tilde:", C_tilde.round(3).tolist())
o = sigmoid(a_o)                                # (004.LSTM.o)
print("o, the output gate:", o.round(3).tolist())

# %% [markdown]
# ## Forward: the cell and the state
#
# The cell keeps $f$ of what it was. It takes in $i$ of $\tilde{C}$. ($\odot$ is the
# product of elements, `*` in NumPy.)
#
# $$C_t = f_t \odot C_{t-1} + i_t \odot \tilde{C}_t \tag{004.LSTM.C}$$
#
# The state $h_t$ is what the cell shows: its tanh, times the output gate.
#
# $$h_t = o_t \odot \tanh(C_t)$$

# %%
# ? C, the new cell (004.LSTM.C)
C = f * C_prev + i * C_tilde                    # (N, H)
print("C =", C.round(3).tolist())
# ? h, the new state, from o and C
h = o * np.tanh(C)                              # (N, H)
print("h =", h.round(3).tolist())
assert np.isclose(C[0, 0], sigmoid(1.0) * 1 + sigmoid(0.5) * np.tanh(1.0))

# %% [markdown]
# ## Forward: one step as a function, and the walk
#
# Here are your lines again, as a function. The walk calls it three times. It keeps the
# values of each step, since the backward needs them.

# %%
def lstm_step(a, C_prev):
    a_i, a_f, a_C, a_o = np.split(a, 4, axis=1)
    i = sigmoid(a_i)
    f = sigmoid(a_f)
    C_tilde = np.tanh(a_C)
    o = sigmoid(a_o)
    C = f * C_prev + i * C_tilde
    h = o * np.tanh(C)
    return i, f, C_tilde, o, C, h


# %% [markdown]
# A step may be **masked** for a sample: there is nothing to read, and both states stay
# as they are. For now all steps are real. We shall need `mask` at the end.

# %%
def forward(x, W, U, b, h_prev, C_prev, mask):
    steps = []
    for t in range(x.shape[1]):
        a = x[:, t] @ W + h_prev @ U + b
        i, f, C_tilde, o, C, h = lstm_step(a, C_prev)
        C = np.where(mask[:, t, None], C, C_prev)
        h = np.where(mask[:, t, None], h, h_prev)
        steps.append((h_prev, C_prev, i, f, C_tilde, o, C, h))
        h_prev, C_prev = h, C
    return steps


all_real = np.ones((N, T), bool)
steps = forward(x, W, U, b, h_start, C_start, all_real)
for t in range(T):
    print(f"step {t}, h =", steps[t][-1].round(3).tolist())
assert np.array_equal(steps[0][-1], h)

# %% [markdown]
# ## Backward: what arrives at h
#
# The layers above tell each step $t$ how the loss grows with $h_t$. We call that
# $dy_t$. And suppose that our three steps are the first part of a long text. The part
# that follows sends something back too: `dh_later` to the last $h$, `dC_later` to the
# last $C$. (Where nothing follows, both are 0.)
#
# So for us the loss is a sum of products: each $h_t$ with its $dy_t$, the last $h$ with
# `dh_later`, the last $C$ with `dC_later`.
#
# `loss_from(t, h_prev, C_prev)` is the loss of step $t$ and all later ones. It runs
# forward again from these two states. The numerical derivative needs it.

# %%
dy = np.array([[[1.0, 0.0], [0.0, -1.0], [1.0, 2.0]],
               [[0.5, -1.0], [2.0, 0.0], [-1.0, 1.0]]])         # (N, T, H)
dh_later = np.array([[0.5, -1.0], [1.0, 0.5]])  # (N, H)
dC_later = np.array([[-0.5, 1.0], [0.5, -2.0]])                 # (N, H)


def loss(x, W, U, b, h_prev, C_prev, dy, mask):
    steps = forward(x, W, U, b, h_prev, C_prev, mask)
    *_, C_last, h_last = steps[-1]
    later = np.sum(dh_later * h_last) + np.sum(dC_later * C_last)
    return later + sum(np.sum(dy[:, t] * steps[t][-1]) for t in range(len(steps)))


def loss_from(t, h_prev, C_prev, b=b):
    return loss(x[:, t:], W, U, b, h_prev, C_prev, dy[:, t:], all_real[:, t:])


# %% [markdown]
# We begin at the last step, $t = 2$. Two things come back to a step from what follows:
# `dh_next` for $h_t$, and `dC_next` for $C_t$. The state $h_t$ is used twice: by its
# own loss, and by what follows. A value that is used twice gets the sum (lesson 00).

# %%
h_prev, C_prev, i, f, C_tilde, o, C, h = steps[2]               # the last step
dh_next = dh_later
dC_next = dC_later
# ? dh, all that arrives at h of the last step
dh = dy[:, 2] + dh_next                         # (N, H)

# %% [markdown]
# $$dh_t = dy_t + dh_{next}$$
#
# ## Backward: what h is made of
#
# $h = o \odot \tanh(C)$ is a product. **Each factor is given $dh$ times the other
# factor.**

# %%
show_graph(cell("lstm"), lit="dh -> do")
# ? do, from h = o tanh(C)
do = dh * np.tanh(C)                            # (N, H)
check_derivative("do", do, lambda o: np.sum(dh * (o * np.tanh(C))), o)

# %% [markdown]
# $$do_t = dh_t \odot \tanh(C_t)$$
#
# $C$ stands inside the tanh, whose slope is $\tanh' = 1 - \tanh^2$. And $C$ goes two
# ways: to $h$, and to the next step. What comes back on the second way is `dC_next`.
# The chain rule adds the two.

# %%
show_graph(cell("lstm"), lit=["dC_next -> dC", "dh -> dC"])
# ? dC, all that arrives at C: from the next step, and through h = o tanh(C)
dC = dC_next + dh * o * (1 - np.tanh(C) ** 2)   # (N, H)
check_derivative("dC", dC,
                 lambda C: np.sum(dh * (o * np.tanh(C))) + np.sum(dC_next * C), C)

# %% [markdown]
# $$dC_t = dC_{next} + dh_t \odot o_t \odot (1 - \tanh^2(C_t))$$
#
# ## Backward: what C is made of
#
# $C_t = f_t \odot C_{t-1} + i_t \odot \tilde{C}_t$ is a sum of two products. Four
# factors, four gradients. Again each factor is given $dC$ times the other one. Write
# all four. Their formulas come afterwards.

# %%
show_graph(cell("lstm"),
           lit=["dC -> df", "dC -> di", "dC -> dC_tilde", "dC -> dC_prev"])


def loss_by_C(C):                               # of the last step
    return np.sum(dh * (o * np.tanh(C))) + np.sum(dC_next * C)


# ? df, from C = f C_prev + i C_tilde
df = dC * C_prev
check_derivative("df", df, lambda f: loss_by_C(f * C_prev + i * C_tilde), f)
# ? di, from C = f C_prev + i C_tilde
di = dC * C_tilde
check_derivative("di", di, lambda i: loss_by_C(f * C_prev + i * C_tilde), i)
# ? dC_tilde, from C = f C_prev + i C_tilde
dC_tilde = dC * i
check_derivative("dC_tilde", dC_tilde, lambda c: loss_by_C(f * C_prev + i * c), C_tilde)
# ? dC_prev, from C = f C_prev + i C_tilde
dC_prev = dC * f
check_derivative("dC_prev", dC_prev, lambda c: loss_from(2, h_prev, c), C_prev)

# %% [markdown]
# $$df_t = dC_t \odot C_{t-1} \qquad di_t = dC_t \odot \tilde{C}_t$$
# $$d\tilde{C}_t = dC_t \odot i_t \qquad dC_{t-1} = dC_t \odot f_t$$
#
# The last one is why an LSTM remembers. From cell to cell there is no matrix and no
# slope. There is only a gate, and a gate can be 1.
#
# ## Backward: the pre-activations
#
# Now through the sigmoids. The slope of a sigmoid follows from its own value (lesson
# 03):
#
# $$\sigma(a) = \frac{1}{1 + e^{-a}} \qquad
#   \sigma'(a) = \frac{e^{-a}}{(1 + e^{-a})^2} = \sigma(a) \, (1 - \sigma(a))$$
#
# (The last step: $1 - \sigma(a)$ is $e^{-a} / (1 + e^{-a})$.) Write all four. One is no
# sigmoid.

# %%
show_graph(cell("lstm"), lit=["df -> da", "di -> da", "dC_tilde -> da", "do -> da"])
a = x[:, 2] @ W + h_prev @ U + b                # of the last step
a_i, a_f, a_C, a_o = np.split(a, 4, axis=1)
# ? da_i, through i = sigmoid(a_i)
da_i = di * i * (1 - i)
check_derivative("da_i", da_i, lambda a: np.sum(di * sigmoid(a)), a_i)
# ? da_f, through f = sigmoid(a_f)
da_f = df * f * (1 - f)
check_derivative("da_f", da_f, lambda a: np.sum(df * sigmoid(a)), a_f)
# ? da_C, through C_tilde = tanh(a_C)
da_C = dC_tilde * (1 - C_tilde ** 2)
check_derivative("da_C", da_C, lambda a: np.sum(dC_tilde * np.tanh(a)), a_C)
# ? da_o, through o = sigmoid(a_o)
da_o = do * o * (1 - o)
check_derivative("da_o", da_o, lambda a: np.sum(do * sigmoid(a)), a_o)

# %% [markdown]
# Side by side they are one array, in the order of the columns of $W$ and $U$. And they
# agree with the loss itself:

# %%
def loss_by_a(a):
    *_, C, h = lstm_step(a, C_prev)
    return np.sum(dh * h) + np.sum(dC_next * C)


da_last = np.concatenate([da_i, da_f, da_C, da_o], axis=1)      # (N, 4H)
check_derivative("da", da_last, loss_by_a, a)

# %% [markdown]
# ## Backward: the state before
#
# $h_{t-1}$ stands in $a = x W + h_{t-1} U + b$, as an input of a Dense layer does
# (lesson 02). All four parts of $a$ read it, so four things come back and are added up.
# As they lie side by side in `da_last` and in $U$, that is one product.

# %%
show_graph(cell("lstm"), lit="da -> dh_prev")
# ? dh_prev, what the last step sends back to h_prev; its da is da_last
dh_prev = da_last @ U.T                         # (N, H)
check_derivative("dh_prev", dh_prev, lambda h: loss_from(2, h, C_prev), h_prev)

# %% [markdown]
# $$dh_{t-1} = da_i U_i^\top + da_f U_f^\top + da_C U_C^\top + da_o U_o^\top
#   = da \, U^\top$$
#
# ## Backward: the step before
#
# One step back, to $t = 1$. What the last step calls `dh_prev`, this one calls
# `dh_next`. It is the same array, seen from the other side. So with `dC_prev`.

# %%
dh_next = dh_prev
dC_next = dC_prev
h_prev, C_prev, i, f, C_tilde, o, C, h = steps[1]
# ? dh of step 1: what its own loss says, and what comes back from the step after
dh = dy[:, 1] + dh_next
check_derivative("dh of step 1", dh,
                 lambda h: np.sum(dy[:, 1] * h) + loss_from(2, h, C), h)
# ? dC of step 1: what comes back from the step after, and what comes through h
dC = dC_next + dh * o * (1 - np.tanh(C) ** 2)
check_derivative("dC of step 1", dC,
                 lambda C: np.sum(dh * (o * np.tanh(C))) + np.sum(dC_next * C), C)

# %% [markdown]
# A test with one step only, and nothing after it, cannot see whether you add `dh_next`
# and `dC_next`: there they are 0. Many wrong LSTMs have passed such a test.
#
# The whole of **backpropagation through time** (BPTT) is in two formulas. One for each
# state, and each adds what comes from later to what comes from here:
#
# $$dh_t = dy_t + da_{t+1} \, U^\top$$
# $$dC_t = dC_{t+1} \odot f_{t+1} + dh_t \odot o_t \odot (1 - \tanh^2(C_t))$$
#
# ## Backward: one step as a function
#
# You have written all its lines but one: the `concatenate` was given. Now put them
# together.

# %%
# ? [lstm_step_backward] one step back: def lstm_step_backward(dh, dC_next, i, f,
# ? C_tilde, o, C, C_prev). Return da, (N, 4H) in the order of the gates, and dC_prev
def lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev):
    do = dh * np.tanh(C)
    dC = dC_next + dh * o * (1 - np.tanh(C) ** 2)
    df = dC * C_prev
    di = dC * C_tilde
    dC_tilde = dC * i
    dC_prev = dC * f
    da_i = di * i * (1 - i)
    da_f = df * f * (1 - f)
    da_C = dC_tilde * (1 - C_tilde ** 2)
    da_o = do * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_C, da_o], axis=1)
    return da, dC_prev


da_1, dC_prev = lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev)
check_derivative("dC_prev", dC_prev, lambda c: loss_from(1, h_prev, c), C_prev)
check_derivative("dh_prev", da_1 @ U.T, lambda h: loss_from(1, h, C_prev), h_prev)

# %% [markdown]
# ## Backward: the walk
#
# From the last step to the first. At each step: add up what arrives at $h$, call the
# function, and make what goes on to the step before. `da` keeps $da_t$ of all steps.
#
# The values of step `t` are in `steps[t]`: h_prev, C_prev, i, f, C_tilde, o, C, h.

# %%
da = np.zeros((N, T, 4 * H))
dh_next = dh_later
dC_next = dC_later
# ? [da, dh_next, dC_next] the walk back: for t in reversed(range(T)). Fill da[:, t]
for t in reversed(range(T)):
    h_prev, C_prev, i, f, C_tilde, o, C, h = steps[t]
    dh = dy[:, t] + dh_next
    da[:, t], dC_next = lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev)
    dh_next = da[:, t] @ U.T
check_derivative("dh_start", dh_next, lambda h: loss_from(0, h, C_start), h_start)
check_derivative("dC_start", dC_next, lambda c: loss_from(0, h_start, c), C_start)
assert np.allclose(da[:, 2], da_last)

# %% [markdown]
# After the walk, `dh_next` and `dC_next` are what arrives at the states that all began
# with. We give them names of their own.
#
# ## Backward: the weights
#
# Every step uses the same $W$, $U$ and $b$. So their gradients are sums over the steps,
# and over the samples, as in lesson 02.

# %%
dh_start = dh_next
dC_start = dC_next
h_before = np.stack([step[0] for step in steps], axis=1)        # (N, T, H), each h_prev


def whole_loss(x=x, W=W, U=U, b=b):
    return loss(x, W, U, b, h_start, C_start, dy, all_real)


# ? dW, the sum over all steps; x is (N, T, in), da is (N, T, 4H)
dW = sum(x[:, t].T @ da[:, t] for t in range(T))
check_derivative("dW", dW, lambda W: whole_loss(W=W), W)
# ? dU; h_before holds h_prev of each step, (N, T, H)
dU = sum(h_before[:, t].T @ da[:, t] for t in range(T))
check_derivative("dU", dU, lambda U: whole_loss(U=U), U)
# ? db, from (N, T, 4H) to (4H,)
db = da.sum(axis=(0, 1))
check_derivative("db", db, lambda b: whole_loss(b=b), b)
# ? dx, of all steps at once, (N, T, in): for the layer below
dx = da @ W.T
check_derivative("dx", dx, lambda x: whole_loss(x=x), x)

# %% [markdown]
# $$dW = \sum_t x_t^\top da_t \qquad dU = \sum_t h_{t-1}^\top da_t
#   \qquad db = \sum_t \sum_n da_{tn}$$
#
# ## Masks: a step that is not there
#
# Sequences of a batch differ in length. The short ones are filled up, and a **mask**
# says which steps are real (lesson 10). At a masked step the forward computes nothing:
# $h_t = h_{t-1}$ and $C_t = C_{t-1}$. So the backward computes nothing either. Whatever
# arrives goes on to the step before **as it is**, and the weights hear nothing.
#
# Let step 1 be masked for the second sample, and for it alone.

# %%
mask = np.array([[True, True, True],
                 [True, False, True]])          # (N, T)
masked = forward(x, W, U, b, h_start, C_start, mask)
h_prev, C_prev, i, f, C_tilde, o, C, h = masked[2]
dh = dy[:, 2] + dh_later
da_2, dC_next = lstm_step_backward(dh, dC_later, i, f, C_tilde, o, C, C_prev)
dh_next = da_2 @ U.T

# %% [markdown]
# That was the last step, which is real for both. Now step 1. First all of it as if it
# were real; then `real` says where that is to be used.

# %%
h_prev, C_prev, i, f, C_tilde, o, C, h = masked[1]
dh = dy[:, 1] + dh_next
da_1, dC_prev = lstm_step_backward(dh, dC_next, i, f, C_tilde, o, C, C_prev)
real = mask[:, 1, None]                         # (N, 1)


def masked_loss(h_prev, C_prev):
    return loss(x[:, 1:], W, U, b, h_prev, C_prev, dy[:, 1:], mask[:, 1:])


# ? da_1, with the mask: np.where(real, …, …)
da_1 = np.where(real, da_1, 0)
# ? dC_prev, with the mask: what goes on to C_prev
dC_prev = np.where(real, dC_prev, dC_next)
check_derivative("dC_prev", dC_prev, lambda c: masked_loss(h_prev, c), C_prev)
# ? dh_prev, with the mask: what goes on to h_prev
dh_prev = np.where(real, da_1 @ U.T, dh)
check_derivative("dh_prev", dh_prev, lambda h: masked_loss(h, C_prev), h_prev)

# %% [markdown]
# Note the `dh`: it is $dy_t$ and `dh_next`. A masked step may have a $dy_t$, as it has
# an $h_t$. It goes on to the step that made this $h$.
#
# ## The same in the library
#
# Of the layer many texts print one line. You have seen all that stands behind it:
#
# $$h_t = \text{LSTM}(x_t, h_{t-1}, C_{t-1}) \tag{001.09.LSTM}$$
#
# The layer on the same numbers, and its backward. With `return_state` it gives its last
# $h$ and $C$ too, and takes their gradients. All that it gives is ours.

# %%
lstm = LSTM(H, return_sequences=True, return_state=True, dtype="float64")
lstm.to("reference")
lstm.build(x.shape)
assert np.array_equal(lstm.get_weights()[2], b)      # it begins with our b
lstm.set_weights([W, U, b])
y, *last = lstm.forward(x, initial_state=[h_start, C_start])
theirs = [*lstm.backward([dy, dh_later, dC_later]),
          *(weight.grad for weight in lstm.trainable_weights)]
ours = [dx, dh_start, dC_start, dW, dU, db]
for got, expected in zip(theirs, ours, strict=True):
    assert np.allclose(got, expected, rtol=0, atol=1e-14)
assert np.allclose(y[:, 2], steps[2][-1], rtol=0, atol=1e-15)
assert np.allclose(last, [steps[2][-1], steps[2][-2]], rtol=0, atol=1e-15)

# %% [markdown]
# In the library's room for reading, one step back is a function too. Compare it with
# yours, line by line. It knows nothing of masks and of the order of steps: the walk
# around it does.

# %%
show_source("kernels.reference.recurrent:lstm_step_backward")

# %%
show_source("kernels.reference.recurrent:lstm_backward",
            "kernels.reference.recurrent:_walk_back")

# %% [markdown]
# The same lines stand in the compiled room and in that of the GPU. In the stepper type
# `show_source("kernels.cpu._lstm:lstm_slopes")`, or
# `show_source("kernels.cuda.recurrent:_lstm_backward")`.
#
# ## Watch it
#
# Gates, states and all their gradients are on a page, one operation a step, with what
# each gradient is the sum of. (The pre-activations $a$ have no step forward: the gates
# begin with them.) Open it in a browser; the right arrow takes a step. (`nblayers
# microscope lstm` opens one of a trained layer, `--text FILE` of your text.)
#
# Go to step 40 (`dc[1]`), at sample 0, unit 0. In the picture two thin dashed edges
# lead to the cell, as two gradients meet in it: one along the cells, one through $h$.
# The table shows both numbers. They are almost equal, with opposite signs, and nearly
# nothing is left. What goes on along the cells is in step 44 (`dc_prev[1]`). By which
# gate is it multiplied there, and how large is the gate?

# %%
with trace() as seen:
    lstm.forward(x, initial_state=[h_start, C_start])
    lstm.backward([dy, dh_later, dC_later])
save_page(seen, "08_microscope")
[dC_seen] = seen.find("dC", t=1)
later, here = dC_seen.parts
print("dC at t = 1, its norm:", dC_seen.said())
assert (later.by, here.by) == ("c of the step after", "h")
assert np.allclose(later.value + here.value, dC_seen.value, rtol=0, atol=1e-15)
# By the forget gate, 0.77: most of it goes on.
kept = seen.find("f", t=1)[0].value
assert np.array_equal(seen.find("dc_prev", t=1)[0].value, dC_seen.value * kept)
assert abs(dC_seen.value[0, 0]) < 0.01 * abs(later.value[0, 0])
assert round(kept[0, 0], 2) == 0.77

# %% [markdown]
# ## A picture: what gates are for
#
# A **latch** remembers one number until it is told to take another. Here is an LSTM of
# one unit whose weights we set by hand. It reads a number, and a mark that is mostly 0.
# At a mark, $i$ opens and $f$ closes: the number is taken in. Otherwise $f$ is open and
# $i$ closed: the cell holds what it has.

# %%
inputs = numbers_and_marks()                    # (1, 50, 2)
latch = LSTM(1, return_sequences=True).to("reference")
latch.build(inputs.shape)
#                   i      f  C_tilde  o
latch.set_weights([[[0.0, 0.0, 3.0, 0.0],       # from the number
                    [12.0, -12.0, 0.0, 0.0]],   # from the mark
                   np.zeros((1, 4)),            # from the state: nothing
                   [-6.0, 6.0, 0.0, 6.0]])      # b: keep, unless there is a mark
shown = latch.forward(inputs)
taken = inputs[0, :, 1] == 1
held = latch.cache.c[0, taken, 0]               # the cell at each mark
assert np.allclose(held, np.tanh(3 * inputs[0, taken, 0]), atol=0.02)

# %% [markdown]
# And now the question. The loss looks at $h$ of step 50 only. How much of its gradient
# arrives at the input of each step? Four new layers of 32 units answer.

# %%
set_random_seed(0)
noise = np.random.default_rng(0).normal(size=(1, 50, 32))
norms = {"SimpleRNN": gradient_norms(SimpleRNN(32), noise)}
for forget_bias in (0, 1, 4):
    layer = LSTM(32)
    layer.build(noise.shape)
    layer.trainable_weights[2].value[32:64] = forget_bias
    norms[f"LSTM, forget bias {forget_bias}"] = gradient_norms(layer, noise)
save_figure(draw_gates(inputs, latch.cache, shown, norms), "08_gates")

# %%
left = sigmoid(0.0) ** 50
print(f"by the cell alone, with bias 0: {left:.1e} is left")
assert round(-np.log10(left)) == powers_lost
assert round(sigmoid(bias_for_a_hundredth) ** 50, 3) == 0.01

# %% [markdown]
# ## A real task: writing
#
# An LSTM reads 40 characters. Which is the next one? A network that can answer this can
# write: add its answer to the text, and ask again. This is Text Generation
# (004.Program.Text), with two changes. Each character comes in as a row of numbers that
# are learned (an Embedding, lesson 12), not as a one among zeros. And each of the 40
# steps is asked for its next character, not only the last one.
#
# First the text becomes numbers, one for each character.

# %%
chars, code = np.unique(list(text), return_inverse=True)
print(f"{len(text)} characters, {len(chars)} different ones")
windows = np.lib.stride_tricks.sliding_window_view(code, 41)[::40]
read = windows[:, :-1]                          # (windows, 40): what it reads
asked = windows[:, 1:]                          # (windows, 40): each one's next

# %% [markdown]
# First a **baseline**, without reading. Suppose we only know how frequent each
# character is: character $k$ has the share $p_k$ of the text. We always give it the
# probability $p_k$. Then the cross-entropy is the **entropy** of the shares:
#
# $$-\sum_k p_k \log_2 p_k$$
#
# With the logarithm to base 2 a loss is counted in **bits**. A loss of $L$ with the
# natural logarithm is $L / \ln 2$ bits. Two to the power of the bits is the
# **perplexity**. A perplexity of 20 means: we are as unsure as between 20 characters
# that are all equally likely.

# %%
share = np.bincount(code) / len(code)
entropy = -np.sum(share * np.log2(share))
print(f"without reading: {entropy:.2f} bits, perplexity {2 ** entropy:.1f}")

# %% [markdown]
# Now it learns. `validation_split` keeps the last tenth of the text for the exam.

# %%
model = Sequential([Embedding(len(chars), 32),
                    LSTM(128, return_sequences=True),
                    Dense(len(chars), activation="softmax")])
model.compile(Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
epochs = min(65_000 // len(windows), 40)        # under a minute, also for a short text
trained = model.fit(read, asked, batch_size=128, epochs=epochs, validation_split=0.1,
                    verbose=2)

# %%
bits = np.array(trained.history["loss"]) / np.log(2)
exam_bits = np.array(trained.history["val_loss"]) / np.log(2)
print(f"unread text: {exam_bits[-1]:.2f} bits, perplexity {2 ** exam_bits[-1]:.1f}")
assert exam_bits[-1] < entropy
save_figure(draw_loss(bits, exam_bits, entropy), "08_loss")

# %% [markdown]
# Let it write. The next character is drawn at random, with the probabilities that the
# model gives. A **temperature** changes them first: their logarithms are divided by it.
# At a low temperature the model repeats what is surest. At a high one it makes spelling
# mistakes.

# %%
temperatures = (0.2, 0.5, 1.0, 1.2)
texts = write_texts(model, read[-1], chars, temperatures)
for temperature, written in zip(temperatures, texts, strict=True):
    print(f"\n----- temperature {temperature}\n{written}")

# %% [markdown]
# At a low temperature most words are right. The sentences are not: 40 characters are
# all that it ever saw at once. Some names look like Python's, and Python has no such
# name.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check lstm my_answer.py`.
#
# 1. On paper: one sample, one unit, $f = i = o = 0.5$, $\tilde{C} = 1$, $C_{t-1} = -1$,
#    $dh = 4$, the last step. Set `C`, `dC`, `df`, `da_f` and `dC_prev`.
# 2. **A whole backward**, with batch axis and mask:
#    `lstm_backward(dy, x, mask, W, U, b, h_start, C_start)`. It runs forward first, to
#    have the gates. `mask` is (N, T), True at real steps. Return
#    `dx, dW, dU, db, dh_start, dC_start`.
# 3. A bug: with `cell_walk` below an LSTM learns, but it remembers badly. Write it
#    right as `fixed_cell_walk(dh, o, f, C)`. All four are (N, T, H). Return dC of all
#    steps.
# 4. An experiment: with small inputs, which forget bias leaves a tenth of the gradient
#    after 100 steps in the cell? Set `bias`.
#
# ```python
# def cell_walk(dh, o, f, C):
#     dC = np.zeros_like(C)
#     for t in reversed(range(C.shape[1])):
#         dC[:, t] = dh[:, t] * o[:, t] * (1 - np.tanh(C[:, t]) ** 2)
#         dC_next = dC[:, t] * f[:, t]
#     return dC
# ```
