# %% [markdown]
# # 10 · Sequences in practice: masks, padding, packing, and states that are handed on
#
# *About 45 minutes.* Sentences differ in length. The rows of an array do not. So short
# sentences are filled up with **padding**. Nothing may hear of it: no state, no loss,
# no weight. You write what a mask does, and its backward. Then you leave padding out
# (packing). At the end you hand states on, from an encoder to a decoder.
#
# ## A question first
#
# A recurrent layer without a bias reads one number. Then it reads two zeros that fill
# up the array. Is zero nothing?

# %%
import numpy as np

from lessons.data import dates
from lessons.figures import draw_dates, draw_mask, masked_runs
from nblayers import trace
from nblayers.initializers import RandomNormal
from nblayers.layers import GRU, LSTM, Dense, Embedding, Input, Masking, SimpleRNN
from nblayers.learn.tools import check_derivative, save_figure, save_page, show_source
from nblayers.losses import MeanSquaredError
from nblayers.models import Model
from nblayers.optimizers import Adam
from nblayers.utils import (
    pack_padded_sequence,
    pad_packed_sequence,
    pad_sequences,
    set_random_seed,
)

# %%
# ? guess: how many of the two zeros change the state?
zeros_heard = 2
# ? guess: an array holds 32 sentences of 1 to 100 words. It is as wide as the longest
# ? one. How many percent of it are padding?
percent_padding = 48

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$) and two units ($H = 2$). The first sample has one step, the
# second has three ($T = 3$). One of its numbers is a 0 that is real. So we fill up with
# 9, at the end (`padding="post"`). Without that word Keras fills up at the front.

# %%
x = pad_sequences([[2.0], [1.0, 0.0, -1.0]],
                  padding="post", value=9.0, dtype="float64")
x = x[..., None]                                # (N, T, in)
print("x =", x[..., 0].tolist())
N, T, H = 2, 3, 2
lengths = np.array([1, 3])                      # (N,)
W = np.array([[1.0, 0.5]])                      # (in, H)
U = np.array([[0.5, 1.0],
              [-1.0, 0.0]])                     # (H, H)
b = np.array([0.5, -0.5])                       # (H,)
h_start = np.array([[0.0, 0.0],
                    [-1.0, 1.0]])               # (N, H), before the first step

# %% [markdown]
# A **mask** says which steps are real: `mask[n, t]` is True if $t$ is smaller than the
# length of sample $n$.

# %%
# ? mask, True at real steps, from lengths, T and np.arange
mask = np.arange(T) < lengths[:, None]          # (N, T)
print("mask =", mask.tolist())

# %% [markdown]
# ## Forward: a step that is not there
#
# ```
#                 step 0       step 1       step 2
#                  real        masked       masked
#
# h_start ──U──→    h_0  ─────→  h_1  ─────→  h_2
#                    ↑          as it is     as it is
#                    W
#                    ↑
#                   x_0           9            9
# ```
#
# A real step is that of lesson 06. Many texts write it with columns and $W_x$, $W_h$;
# we have rows, $W$ and $U$.
#
# $$h_t = f(W_x x_t + W_h h_{t-1} + b_h) \tag{002.HiddenState}$$
#
# A masked step computes nothing: $h_t = h_{t-1}$. With $m_t = 1$ at a real step and
# $m_t = 0$ at a masked one, both are one formula:
#
# $$a_t = x_t W + h_{t-1} U + b$$
# $$h_t = m_t \odot \tanh(a_t) + (1 - m_t) \odot h_{t-1}$$

# %%
h_0 = np.tanh(x[:, 0] @ W + h_start @ U + b)    # (N, H), real for both samples
print("h_0 =", h_0.round(3).tolist())
new = np.tanh(x[:, 1] @ W + h_0 @ U + b)        # (N, H), if step 1 were real for both
real = mask[:, 1, None]                         # (N, 1)
# ? h_1, by np.where(real, …, …): the new state, or the one before
h_1 = np.where(real, new, h_0)                  # (N, H)
print("h_1 =", h_1.round(3).tolist())
assert np.array_equal(h_1[0], h_0[0])
assert np.array_equal(h_1[1], new[1])

# %% [markdown]
# Now as a function of all steps. `h[:, t]` is the state after step $t$. So `h[:, -1]`
# is the last state of **every** sample, of the short ones too.

# %%
def forward(x, W, U, b, h_start, mask):
    h = np.zeros((len(x), x.shape[1], len(U)))
    h_prev = h_start
    for t in range(x.shape[1]):
        new = np.tanh(x[:, t] @ W + h_prev @ U + b)
        h_prev = np.where(mask[:, t, None], new, h_prev)
        h[:, t] = h_prev
    return h


h = forward(x, W, U, b, h_start, mask)          # (N, T, H)
print("masked:      ", *h[0].round(2))
zeros = np.where(mask[..., None], x, 0.0)
heard = forward(zeros, W, U, b, h_start, np.ones((N, T), bool))
print("zeros heard: ", *heard[0].round(2))
assert np.array_equal(h[0, 2], np.tanh([2.5, 0.5]))
changes = np.abs(np.diff(heard[0], axis=0)).max(axis=1)
assert np.sum(changes > 0.1) == zeros_heard

# %% [markdown]
# Zero is not nothing. The state goes on through $U$, $b$ and the tanh, without input.
# So each of the two zeros has changed it.
#
# ## Backward: the last step
#
# As in lesson 06, $dy_t$ is what the loss sends into $h_t$. A masked step has a state,
# so it may have a $dy_t$ too. The loss is
#
# $$L = \sum_t \sum_n \sum_j dy_{tnj} \, h_{tnj}$$
#
# `loss_from(t, h_prev)` is the loss of step $t$ and all later ones, from the state
# before. We begin at the last step. It is real for the second sample alone.

# %%
dy = np.array([[[0.0, 1.0], [0.5, 0.0], [1.0, -1.0]],
               [[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]]])          # (N, T, H)


def loss(x=x, W=W, U=U, b=b, h_start=h_start):
    return np.sum(dy * forward(x, W, U, b, h_start, mask))


def loss_from(t, h_prev):
    return np.sum(dy[:, t:] * forward(x[:, t:], W, U, b, h_prev, mask[:, t:]))


real = mask[:, 2, None]                         # (N, 1)
dh_2 = dy[:, 2]                                 # (N, H), nothing comes after
a_2 = x[:, 2] @ W + h[:, 1] @ U + b
# ? da_2, with the mask: the slope of tanh at a real step, and what at a masked one?
da_2 = np.where(real, dh_2 * (1 - h[:, 2] ** 2), 0)             # (N, H)
print("da_2 =", da_2.round(3).tolist())
check_derivative("da_2", da_2,
                 lambda a: np.sum(dh_2 * np.where(real, np.tanh(a), h[:, 1])), a_2)

# %% [markdown]
# At a masked step $a_t$ has no influence, so $da_t = 0$ there. And what does the step
# before get? At a real step $h_{t-1}$ stands in $a_t$, and the way back is $U^\top$. At
# a masked step $h_t$ **is** $h_{t-1}$.

# %%
# ? dh_next, what the last step sends back into h_1, with np.where
dh_next = np.where(real, da_2 @ U.T, dh_2)      # (N, H)
print("dh_next =", dh_next.round(3).tolist())
check_derivative("dh_next", dh_next, lambda h: loss_from(2, h), h[:, 1])
# ? dh_1, all that arrives at h_1: from its own loss, and from step 2
dh_1 = dy[:, 1] + dh_next
check_derivative("dh_1", dh_1,
                 lambda h: np.sum(dy[:, 1] * h) + loss_from(2, h), h[:, 1])

# %% [markdown]
# ## Backward: the walk, past masked steps
#
# Your three lines are those of every step. So put them into a walk from the last step
# to the first. In front of it nothing has come back yet: $dh_{next} = 0$.

# %%
da = np.zeros((N, T, H))
dh_next = np.zeros((N, H))
# ? [da, dh_next] the walk back: for t in reversed(range(T)). Fill da[:, t]; after the
# ? walk dh_next is what arrives at h_start
for t in reversed(range(T)):
    real = mask[:, t, None]
    dh = dy[:, t] + dh_next
    da[:, t] = np.where(real, dh * (1 - h[:, t] ** 2), 0)
    dh_next = np.where(real, da[:, t] @ U.T, dh)
check_derivative("dh_start", dh_next, lambda h: loss(h_start=h), h_start)
assert np.allclose(da[:, 2], da_2)

# %% [markdown]
# $$da_t = m_t \odot dh_t \odot (1 - h_t^2)$$
# $$dh_{next} = m_t \odot da_t \, U^\top + (1 - m_t) \odot dh_t$$
#
# The gradient passes a masked step **as it is**.
#
# ## Backward: the weights hear nothing of padding
#
# The sums are those of lesson 06. A mask is not needed any more: at a masked step
# $da_t$ is 0, so it adds nothing.

# %%
dh_start = dh_next
h_before = np.concatenate([h_start[:, None], h[:, :-1]], axis=1)        # (N, T, H)
dW = sum(x[:, t].T @ da[:, t] for t in range(T))
check_derivative("dW", dW, lambda W: loss(W=W), W)
# ? dU, the sum over all steps; h_before holds the state before each, (N, T, H)
dU = sum(h_before[:, t].T @ da[:, t] for t in range(T))
check_derivative("dU", dU, lambda U: loss(U=U), U)
db = da.sum(axis=(0, 1))
check_derivative("db", db, lambda b: loss(b=b), b)
# ? dx, of all steps at once, (N, T, in)
dx = da @ W.T
check_derivative("dx", dx, lambda x: loss(x=x), x)
print("dx =", dx[..., 0].round(3).tolist())
assert not dx[~mask].any()

# %% [markdown]
# ## A loss at every step: the mean of the real ones
#
# If every step has a loss of its own, padding must not count. Neither in the sum nor in
# the number that it is divided by. Let `losses` be half the squared distance of each
# step to a target of 0. Many texts add up the steps:
#
# $$L = \sum_t L_t \tag{002.Loss}$$
#
# Keras takes the mean, and so do we. With a mask it is the mean of the real steps:
#
# $$L = \frac{\sum_n \sum_t m_{nt} \, L_{nt}}{\sum_n \sum_t m_{nt}}$$

# %%
losses = 0.5 * np.sum(h ** 2, axis=2)           # (N, T)
# ? mean_loss, the mean of losses over the real steps
mean_loss = np.sum(mask * losses) / np.sum(mask)
print("mean_loss =", round(mean_loss, 3))
assert mask.sum() == 4
# ? dh_own, (N, T, H): the gradient of mean_loss by h, each state taken for itself
dh_own = mask[..., None] * h / mask.sum()


def mean_of(h):
    return np.sum(mask * 0.5 * np.sum(h ** 2, axis=2)) / np.sum(mask)


check_derivative("dh_own", dh_own, mean_of, h)
assert MeanSquaredError()(x, 0 * x, None, mask) == (4 + 1 + 0 + 1) / 4

# %% [markdown]
# The last line is the library's loss. It takes the mask as its fourth argument. It has
# added the squares of the real numbers, and divided by 4, not by 6.
#
# ## Attention: forward
#
# Attention is a mean over time with weights that are learnt. Every state gets a
# **score** $e_t$, a single number. The softmax over the steps makes weights of the
# scores. Many texts call them $a$; for us $a$ is a pre-activation, so they are
# $\alpha$.
#
# $$e = \tanh(x W + b), \; a = \mathrm{softmax}_t(e), \; output = \sum_t a_t x_t
#   \tag{004.Attention}$$
#
# Here its $x$ are our states, its $W$ is a vector $v$, its $b$ has a number for each
# step and is called $k$:
#
# $$s_t = h_t \cdot v + k_t \qquad e_t = \tanh(s_t)$$
# $$\alpha_t = \frac{m_t \exp(e_t)}{\sum_j m_j \exp(e_j)} \qquad
#   c = \sum_t \alpha_t \, h_t$$
#
# The mask comes **before** the division. Else the weights of the real steps do not add
# up to 1.

# %%
v = np.array([1.0, -1.0])                       # (H,)
k = np.array([0.0, 0.5, 0.0])                   # (T,)
s = h @ v + k                                   # (N, T)
e = np.tanh(s)                                  # (N, T)
powers = np.exp(e)                              # (N, T)
# ? alpha, (N, T): powers of the real steps, divided so that each sample adds up to 1
alpha = mask * powers / np.sum(mask * powers, axis=1, keepdims=True)
print("alpha =", alpha.round(3).tolist())
c = np.sum(alpha[..., None] * h, axis=1)        # (N, H), the context
assert alpha[0].tolist() == [1, 0, 0]
assert np.allclose(alpha.sum(axis=1), 1)

# %% [markdown]
# ## Attention: backward
#
# `dc` is what the loss sends into $c$. Go back one line at a time. The softmax you know
# from lesson 04. There is no mask to think of: where $\alpha_t = 0$, its slope is 0.

# %%
dc = np.array([[1.0, 0.0], [0.0, 1.0]])         # (N, H)


def attention(s, h=h):
    powers = mask * np.exp(np.tanh(s))
    alpha = powers / np.sum(powers, axis=1, keepdims=True)
    return np.sum(dc * np.sum(alpha[..., None] * h, axis=1))


# ? dalpha, (N, T), from c = sum over t of alpha_t h_t
dalpha = np.sum(h * dc[:, None], axis=2)
check_derivative("dalpha", dalpha,
                 lambda w: np.sum(dc * np.sum(w[..., None] * h, axis=1)), alpha)
# ? de, (N, T), back through the softmax over the steps
de = alpha * (dalpha - np.sum(alpha * dalpha, axis=1, keepdims=True))
check_derivative("de", de, lambda e: attention(np.arctanh(e)), e)
# ? ds, (N, T), from e = tanh(s)
ds = de * (1 - e ** 2)
check_derivative("ds", ds, attention, s)
dv = np.einsum("nt,nth->h", ds, h)              # v stands beside every state
check_derivative("dv", dv, lambda v: attention(h @ v + k), v)
# ? dh_all, (N, T, H): h_t stands in c beside alpha_t, and in s_t beside v
dh_all = alpha[..., None] * dc[:, None] + ds[..., None] * v
check_derivative("dh_all", dh_all, lambda h: attention(h @ v + k, h), h)

# %% [markdown]
# $$d\alpha_t = h_t \cdot dc \qquad
#   de_t = \alpha_t \Big(d\alpha_t - \sum_j \alpha_j \, d\alpha_j\Big)$$
# $$ds_t = de_t (1 - e_t^2) \qquad dh_t = \alpha_t \, dc + ds_t \, v$$
#
# ## Packing: no padding at all
#
# There is another way (004.Masking). Sort the samples, the longest first. Lay down
# everyone's step 0, then step 1 of all samples that have one, and so on. The array has
# a row for each real step, and no padding. `batch_sizes[t]` says how many samples have
# a step $t$.

# %%
order = np.argsort(-lengths)                    # the longest first
# ? batch_sizes, a list of T numbers: how many samples have a step t?
batch_sizes = [int(np.sum(lengths > t)) for t in range(T)]
print("order =", order, " batch_sizes =", batch_sizes)
parts = [x[order[:n], t] for t, n in enumerate(batch_sizes)]
data = np.concatenate(parts)                    # (all steps, in)
print("data =", data[:, 0].tolist())
assert data[:, 0].tolist() == [1, 2, 0, -1]

# %% [markdown]
# Forward: at step $t$ the first `batch_sizes[t]` states move. The others lie where they
# stopped. No mask is needed, and no work is done for padding.

# %%
state = h_start[order].copy()                   # (N, H)
h_packed = np.zeros((len(data), H))             # (all steps, H)
at = 0
# ? [state, h_packed] walk over batch_sizes: the rows of a step are at : at + n
for n in batch_sizes:
    rows = slice(at, at + n)
    state[:n] = np.tanh(data[rows] @ W + state[:n] @ U + b)
    h_packed[rows] = state[:n]
    at += n
assert np.array_equal(state[np.argsort(order)], h[:, -1])

# %% [markdown]
# ## Packing: backward
#
# The same walk from the end. Let the loss look at the **last** states alone: many steps
# go in, one thing comes out (002.ManyToOne). Each sample's gradient waits in
# `dh_packed`, until the walk comes to the sample's last step.

# %%
d_last = np.array([[1.0, -1.0], [0.5, 2.0]])    # (N, H), in the order of `order`
dh_packed = d_last.copy()                       # (N, H)
da_packed = np.zeros_like(h_packed)             # (all steps, H)
end = len(data)
# ? [da_packed, dh_packed] walk over batch_sizes[::-1]; a step's rows are end - n : end
for n in batch_sizes[::-1]:
    rows = slice(end - n, end)
    da_packed[rows] = dh_packed[:n] * (1 - h_packed[rows] ** 2)
    dh_packed[:n] = da_packed[rows] @ U.T
    end -= n


def last_loss(h_start):
    h = forward(x[order], W, U, b, h_start, mask[order])
    return np.sum(d_last * h[:, -1])


check_derivative("dh_packed", dh_packed, last_loss, h_start[order])

# %% [markdown]
# ## Packing: how much is saved?
#
# The mean of 1 to 100 is 50.5. The longest of 32 lengths is at most $j$ with a chance
# of $(j / 100)^{32}$. The mean width of the arrays is a sum: over all $j$, the chance
# to be wider than $j$.

# %%
at_most = (np.arange(100) / 100) ** 32
mean_width = np.sum(1 - at_most)
padding = 1 - 50.5 / mean_width
print(f"the arrays are {mean_width:.1f} wide, {padding:.1%} of it is padding")
assert round(100 * padding) == percent_padding

# %% [markdown]
# ## States that are handed on
#
# Cut a long sequence in two. The first part ends with a state. The second part begins
# with it. Then nothing changes: the states are the same.
#
# Back it is the same, the other way round. The second part gives the gradient of the
# state that it began with. That state is the **last** one of the first part. So it is
# added to the last `dy` of the first part.

# %%
def backward(x, h_start, h, W, U, dy, mask):
    da = np.zeros_like(h)
    dh_next = np.zeros_like(h_start)
    for t in reversed(range(h.shape[1])):
        real = mask[:, t, None]
        dh = dy[:, t] + dh_next
        da[:, t] = np.where(real, dh * (1 - h[:, t] ** 2), 0)
        dh_next = np.where(real, da[:, t] @ U.T, dh)
    return da, dh_next


first = forward(x[:, :2], W, U, b, h_start, mask[:, :2])
second = forward(x[:, 2:], W, U, b, first[:, -1], mask[:, 2:])
assert np.array_equal(np.concatenate([first, second], axis=1), h)
_, handed = backward(x[:, 2:], first[:, -1], second, W, U, dy[:, 2:], mask[:, 2:])
dy_first = dy[:, :2].copy()
# ? [dy_first] add what the second part hands back, `handed` (N, H), where it belongs
dy_first[:, -1] += handed
_, dh_begin = backward(x[:, :2], h_start, first, W, U, dy_first, mask[:, :2])
assert np.allclose(dh_begin, dh_start)

# %% [markdown]
# Often nobody hands it back: the states go on to the next part, the gradient does not.
# This is **truncated** backpropagation. It is cheaper, and no part learns what a later
# one needed.
#
# ## Encoder and decoder
#
# Let the second part have weights of its own. Then the first is an **encoder**: it
# reads, and only its last state is used. The second is a **decoder**: it begins with
# that state, and every step of it has an output (002.ManyToMany).
#
# ```
# x_0 → x_1 → x_2              encoder: W, U
#              │  the last state
#              ▼
#             g_0 → g_1        decoder: W_dec, U_dec
#              ↓     ↓
#             L_0   L_1
# ```
#
# The states of the decoder are $g_0$ and $g_1$. (Without an encoder, from a state
# alone, it is one-to-many, 002.OneToMany.)

# %%
x_dec = np.array([[[1.0], [0.5]], [[-1.0], [2.0]]])             # (N, 2, in)
W_dec = np.array([[0.5, -1.0]])                 # (in, H)
U_dec = np.array([[1.0, 0.5], [0.0, -0.5]])     # (H, H)
dg = np.array([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 1.0], [2.0, 0.0]]])    # (N, 2, H)
all_real = np.ones((N, 2), bool)
g = forward(x_dec, W_dec, U_dec, b, h[:, -1], all_real)         # (N, 2, H)
_, dh_mid = backward(x_dec, h[:, -1], g, W_dec, U_dec, dg, all_real)
# ? dy_enc, (N, T, H): what arrives at each state of the encoder; dh_mid (N, H) is what
# ? the decoder sends back into the state that it began with
dy_enc = np.concatenate([np.zeros((N, T - 1, H)), dh_mid[:, None]], axis=1)
da_enc, _ = backward(x, h_start, h, W, U, dy_enc, mask)


def decoder_loss(x):
    last = forward(x, W, U, b, h_start, mask)[:, -1]
    return np.sum(dg * forward(x_dec, W_dec, U_dec, b, last, all_real))


check_derivative("dx", da_enc @ W.T, decoder_loss, x)
print("da of the short sample:", *da_enc[0].round(3))

# %% [markdown]
# The short sample ends at step 0. What the decoder sends back arrives at step 2, and
# passes two masked steps as it is. Then step 0 hears it.
#
# ## What a layer gives
#
# A layer of Keras gives its last $h$, or all of them with `return_sequences`. With
# `return_state` it adds its states (003.ReturnSequences): an LSTM has two.
#
# And how many weights has it, for $I$ inputs and $H$ units? In a SimpleRNN $W$, $U$ and
# $b$ make
#
# $$(I + H) H + H \tag{003.Params.RNN}$$
#
# An LSTM has all three for each of its four pre-activations (lesson 08).

# %%
rnn_weights = (1 + 32) * 32 + 32
# ? lstm_weights, for 1 input and 32 units
lstm_weights = 4 * ((1 + 32) * 32 + 32)
gru_weights = 3 * ((1 + 32) * 32 + 32) + 3 * 32
counts = {SimpleRNN: rnn_weights, LSTM: lstm_weights, GRU: gru_weights}
for kind, count in counts.items():
    layer = kind(32, return_sequences=True, return_state=True)
    given = layer.forward(np.zeros((100, 10, 1)))
    print(f"{kind.__name__:9} gives", *map(np.shape, given))
    assert given[0].shape == (100, 10, 32)
    assert len(given) == 1 + (2 if kind is LSTM else 1)
    assert layer.count_params() == count

# %% [markdown]
# $$4 [(I + H) H + H] \tag{003.Params.LSTM}$$
# $$3 [(I + H) H + H] \tag{003.Params.GRU}$$
#
# (A GRU of Keras has $3H$ more: it has two biases, see lesson 09.)
#
# ## The same in the library
#
# `Masking` takes a step for padding if all its numbers are `mask_value`
# (001.06.Masking). With 0 it would swallow our real 0.

# %%
assert np.array_equal(Masking(9.0).compute_mask(x), mask)
assert not Masking(0.0).compute_mask(x)[1, 1]
rnn = SimpleRNN(2, return_sequences=True, dtype="float64")
rnn.build(x.shape)
rnn.set_weights([W, U, b])
for room in ("reference", "cpu"):
    rnn.to(room).zero_grad()
    y = rnn.forward(x, mask=mask, initial_state=h_start)
    assert np.allclose(y, h, rtol=0, atol=1e-14)
    given = rnn.backward(dy)
    assert np.allclose(given[0], dx, rtol=0, atol=1e-14)
    assert np.allclose(given[1], dh_start, rtol=0, atol=1e-14)
    for weight, gradient in zip(rnn.trainable_weights, (dW, dU, db), strict=True):
        assert np.allclose(weight.grad, gradient, rtol=0, atol=1e-14)

# %% [markdown]
# ## Watch it
#
# Watch on a page how the walk goes past the masked steps. Open it in a browser; the
# right arrow takes a step. (`nblayers microscope simple_rnn` opens one of a trained
# layer.)
#
# Step 5 (`h[1]`) is masked for sample 0, and the page says so: a state is computed of
# the padding, a 9, and thrown away. So step 6 (`a[2]`) begins with the same state as
# step 4 (`a[1]`). Now back. Step 12 (`dh_prev[2]`) is thrown away, too. In step 13
# (`dh[1]`), where does the 1 come from that arrives by the `h` of the step after? And
# what is different if you choose sample 1 in the bar above?

# %%
with trace() as seen:
    rnn.to("reference").forward(x, mask=mask, initial_state=h_start)
    rnn.backward(dy)
save_page(seen, "10_microscope")
assert np.allclose(seen.find("dx[0]")[0].value, dx, rtol=0, atol=1e-14)
# From step 10 (`dh[2]`): a masked step sends what arrives on as it is. Of sample 1 all
# three steps are real: there the number is that of step 12.
arrives = seen.find("dh", t=1)[0].parts[1].value
assert np.array_equal(arrives[0], seen.find("dh", t=2)[0].value[0])
assert np.array_equal(arrives[1], seen.find("dh_prev", t=2)[0].value[1])

# %% [markdown]
# ## The same in the library, packed
#
# The layer takes a packed sequence as well; its backward gives one back.

# %%
packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
assert np.array_equal(packed.data, data)
assert list(packed.batch_sizes) == batch_sizes
last_rnn = SimpleRNN(2, dtype="float64")
last_rnn.build(x.shape)
last_rnn.set_weights([W, U, b])
last = last_rnn.forward(packed, initial_state=h_start)
assert np.allclose(last, h[:, -1], rtol=0, atol=1e-14)
dx_packed, dh_first = last_rnn.backward(d_last[np.argsort(order)])
assert np.allclose(dx_packed.data, da_packed @ W.T, rtol=0, atol=1e-14)
assert np.allclose(dh_first[order], dh_packed, rtol=0, atol=1e-14)
dx_padded, _ = pad_packed_sequence(dx_packed, batch_first=True)
assert dx_padded.shape == x.shape

# %% [markdown]
# In the library's room for reading, one step knows nothing of masks. The walk around it
# does. One walk serves padded and packed arrays, and every kind of cell: `at` are the
# rows of a step. Find in it your two `np.where`.

# %%
show_source(backward, "kernels.reference.recurrent:simple_rnn_step_backward",
            "kernels.reference.recurrent:_walk_back")

# %% [markdown]
# The steps of the other cells are walked by the same function. In the stepper type
# `show_source("kernels.reference.recurrent:lstm_step_backward")`, or
# `show_source("kernels.reference.recurrent:gru_step_backward")`. The same compiled and
# on a GPU: `show_source("kernels.cpu.recurrent:_simple_rnn_backward")` and
# `show_source("kernels.cuda.recurrent:_simple_rnn_backward")`.
#
# ## A picture: what a mask does
#
# A new network of eight units reads eight steps. Then we add twelve zeros, behind or in
# front, with and without a mask. Above are the states over time. Below is how much of a
# gradient at the last state arrives at each input.

# %%
runs = masked_runs()
save_figure(draw_mask(runs), "10_mask")
last_states = {name: states[-1] for name, (states, _, _) in runs.items()}
for name, last in last_states.items():
    same = np.allclose(last, last_states["as it is"], atol=1e-6)
    assert same != (name == "12 zeros behind")

# %% [markdown]
# Zeros behind the sequence change the state, and most of the gradient ends in them.
# Zeros in front do no harm **while the bias is 0**. It will not stay 0. With a mask
# both are as if there were no zeros.
#
# ## A real task: reading dates
#
# `7 March 1921`, `March 7, 1921` and `7.3.1921` are to become `1921-03-07`
# (004.Program.Seq2Seq). An encoder reads the characters. A decoder writes ten. A
# character's number is its `ord`. Padding is 0 and stands behind.
#
# In training the decoder is told the **right** character before each one; before the
# first it is told `^`. This is called *teacher forcing*.

# %%
rng = np.random.default_rng(0)
text, truth = dates(rng, 3500)                  # (3500, 18), (3500, 10)
assert text.shape == (3500, 18)
before = np.insert(truth[:, :-1], 0, ord("^"), axis=1)


def train(masked):
    set_random_seed(0)
    inputs = [Input((None,), dtype="int32"), Input((None,), dtype="int32")]
    table = Embedding(128, 32, RandomNormal(0, 1), mask_zero=masked)
    table_dec = Embedding(128, 32, RandomNormal(0, 1))
    encoder = LSTM(64, return_state=True)
    decoder = LSTM(64, return_sequences=True, return_state=True)
    dense = Dense(128, activation="softmax")
    _, *states = encoder(table(inputs[0]))
    y, *_ = decoder(table_dec(inputs[1]), initial_state=states)
    model = Model(inputs, dense(y))
    model.compile(Adam(0.01, global_clipnorm=1.0), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])
    trained = model.fit([text, before], truth, batch_size=50, epochs=12, verbose=0,
                        validation_split=1 / 7)
    return (table, encoder, table_dec, decoder, dense), trained.history["val_accuracy"]


# %% [markdown]
# ## A real task: writing dates
#
# Later there is nobody to tell the right character. The decoder is told the one that it
# wrote itself. Its states are handed on from character to character.

# %%
def translate(layers, read, masked):
    table, encoder, table_dec, decoder, dense = layers
    mask = read != 0 if masked else None
    _, *states = encoder.forward(table.forward(read), mask=mask)
    character = np.full((len(read), 1), ord("^"))
    written = []
    for _ in range(10):
        y, *states = decoder.forward(table_dec.forward(character), initial_state=states)
        character = dense.forward(y).argmax(axis=2)
        written.append(character)
    return np.concatenate(written, axis=1)


wrong, history, right = {}, {}, {}
for name, masked in (("no mask", False), ("masked", True)):
    layers, history[name] = train(masked)
    for more in (0, 9):
        wider = np.pad(text[3000:], [(0, 0), (0, more)])
        is_wrong = translate(layers, wider, masked) != truth[3000:]
        right[name, more] = 1 - is_wrong.any(axis=1).mean()
        print(f"{name:7} {more} more zeros: {right[name, more]:.0%} of the dates right")
        wrong.setdefault(name, is_wrong)

# %% [markdown]
# ## A real task: what it got wrong
#
# The baseline is the same network without a mask. It has to carry what it read through
# all the zeros.

# %%
by_character = {name: is_wrong.mean(axis=0) for name, is_wrong in wrong.items()}
save_figure(draw_dates(history, by_character), "10_dates")
written = translate(layers, text[3000:], True)
for n in np.flatnonzero(wrong["masked"].any(axis=1))[:4]:
    read = "".join(map(chr, text[3000 + n][text[3000 + n] > 0]))
    print("wrong:", read, "→", "".join(map(chr, written[n])))
assert right["masked", 0] > right["no mask", 0] + 0.1
assert abs(right["masked", 9] - right["masked", 0]) < 0.01
assert by_character["no mask"].argmax() == 9    # the second digit of the day

# %% [markdown]
# With the mask nine more zeros change nothing: no step hears them. Without it the day
# is lost most often. In two of the three forms the day stands in front: it has the
# longest way to the end, and the zeros come on top.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 10 my_answer.py`.
#
# 1. On paper: one sample, one unit, no tanh: $h_t = x_t + h_{t-1} / 2$, the state
#    before the first step is 0, $x = (4, 9, 2)$, and the 9 is padding. The loss is the
#    last state. Set `h_2` and `dx` (3 numbers). And for losses $(1, 8, 2)$ at the three
#    steps set `mean_loss`.
# 2. The whole backward with a mask: `masked_backward(x, mask, h_start, h, W, U, dy)`,
#    with the shapes of this lesson and any N, T, H. `mask` may be False anywhere.
#    Return `dx, dh_start, dW, dU, db`.
# 3. A bug: the walk below is right when padding stands in front. Write it right as
#    `fixed_walk(h, mask, U, d_last)`. It returns `da`, (N, T, H).
# 4. An experiment: 32,000 sentences of 1 to 100 words, in batches of 32. What part of
#    the arrays is padding? And what part if the sentences are sorted by length before
#    they are cut into batches? Set `shuffled` and `sorted_first`.
#
# ```python
# def walk(h, mask, U, d_last):           # d_last (N, H), by the last states
#     da = np.zeros_like(h)
#     dh = d_last
#     for t in reversed(range(h.shape[1])):
#         da[:, t] = mask[:, t, None] * dh * (1 - h[:, t] ** 2)
#         dh = da[:, t] @ U.T
#     return da
# ```
