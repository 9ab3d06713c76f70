# %% [markdown]
# # 10 · Sequences in practice: masks, padding, packing, and states that are handed on
#
# *About 30 minutes.* Sentences are of unequal length, an array is not. So short ones are filled up, and nothing may hear of it:
# no state, no loss, no attention. You write what a mask does, leave padding out altogether (packing), and hand states on.
#
# ## A question first
# A recurrent layer without a bias reads one number, and then two zeros that fill up the array. Is zero nothing: will its state
# still be what it was? And of an array of 32 sentences of 1 to 100 words, how much is padding? Write down your guesses.

# %%
from calendar import month_name
from datetime import date, timedelta

import matplotlib.pyplot as plt
import numpy as np

from nblayers.initializers import RandomNormal
from nblayers.layers import GRU, LSTM, Dense, Embedding, Input, Masking, SimpleRNN
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import MeanSquaredError
from nblayers.models import Model
from nblayers.optimizers import Adam
from nblayers.utils import pack_padded_sequence, pad_packed_sequence, pad_sequences, set_random_seed

# %% [markdown]
# ## Numbers for paper, and forward
# A sequence of one number, and one of three with a 0 in it that is real; so we fill up with 9. (Unless told otherwise,
# `pad_sequences` fills up in front.) A mask $m_t$, 1 at real steps and 0 at padding, takes the new state or leaves the old one:
# $$h_t = f(W_x x_t + W_h h_{t-1} + b_h) \tag{002.HiddenState}$$
# $$\text{masked:} \quad h_t = m_t f(W_x x_t + W_h h_{t-1} + b_h) + (1 - m_t) h_{t-1}$$

# %%
x = pad_sequences([[2.0], [1.0, 0.0, -1.0]], padding="post", value=9.0, dtype="float64")[..., None]     # (B, T, in)
lengths, mask = np.array([1, 3]), np.arange(3) < [[1], [3]]             # (B,), (B, T)
W_x, W_h, b_h, h_0 = np.array([[1.0, 0.5]]), np.array([[0.5, 1.0], [-1.0, 0.0]]), np.zeros(2), np.zeros((2, 2))


def forward(x=x, W_x=W_x, W_h=W_h, b_h=b_h, h_0=h_0, mask=mask):        # a sample is a row, and the weights are transposed
    h = [h_0]
    for t in range(x.shape[1]):
        new = np.tanh(x[:, t] @ W_x + h[-1] @ W_h + b_h)                # (002.HiddenState)
        h.append(np.where(mask[:, t, None], new, h[-1]))
    return np.stack(h[1:], axis=1)                                      # (B, T, units)


h, heard = forward(), forward(np.where(mask[..., None], x, 0.0), mask=np.ones((2, 3), bool))
print("the short one, masked:", *h[0].round(2), "  zeros heard:", *heard[0].round(2))
assert np.array_equal(h[0, 2], np.tanh([2, 1])) and np.abs(heard[0, 2] - h[0, 2]).max() > 0.5

# %% [markdown]
# ## Backward: past a masked step
# (Zero is not nothing, the first answer: the state goes on through $W_h$ without any input.) Both terms hand the gradient on to
# the state before, but one of them is 0. So at padding it **passes as it is**, and no weight and no input hears of it:
# $$da_t = m_t \, dh_t \odot (1 - h_t^2) \qquad dh_{t-1} = m_t \, W_h^\top da_t + (1 - m_t) \, dh_t$$

# %%
dh_T = np.array([[1.0, 0.0], [0.0, 1.0]])                               # the loss is the sum of dh_T times the last states
da, dh = np.zeros((2, 3, 2)), dh_T
for t in (2, 1, 0):
    real = mask[:, t, None]
    da[:, t] = np.where(real, dh * (1 - h[:, t] ** 2), 0)               # from (002.HiddenState)
    dh = np.where(real, da[:, t] @ W_h.T, dh)                           # the carry: through the step, or past it
    check_derivative(f"dh_{t}", dh, lambda s, t=t: np.sum(dh_T * forward(x[:, t:], h_0=s, mask=mask[:, t:])[:, -1]),
                     h[:, t - 1] if t else h_0)
h_prev, dx = np.concatenate([h_0[:, None], h[:, :-1]], axis=1), da @ W_x.T
gradients = np.einsum("bti,btj->ij", x, da), np.einsum("bti,btj->ij", h_prev, da), da.sum(axis=(0, 1)), dx
for name, gradient, value in zip(("W_x", "W_h", "b_h", "x"), gradients, (W_x, W_h, b_h, x), strict=True):
    check_derivative("d" + name, gradient, lambda v, name=name: np.sum(dh_T * forward(**{name: v})[:, -1]), value)
assert not dx[~mask].any()

# %% [markdown]
# ## A mean over time, and attention
# A loss at every step (002.Loss) is a mean over the *real* ones, $\sum m_t \ell_t / \sum m_t$. Attention is a mean with weights
# that are learnt; at padding $e = -\infty$ **before** the softmax divides, and so $a = 0$:
# $$e = \tanh(x W + b) \quad a = \mathrm{softmax}_t(e) \quad output = \sum_t a_t x_t \tag{004.Attention}$$
# Its $x$ are the states. With $dy$ the gradient of the output and $s = x W + b$ ($b$ has an entry for each step):
# $$da_t = x_t \cdot dy \quad de = a \odot \Big(da - \sum_t a_t \, da_t\Big) \quad db = ds = de \odot (1 - e^2)$$
# $$dW = \sum_t ds_t \, x_t \qquad dx_t = a_t \, dy + ds_t \, W$$

# %%
def attention(s, x=h):
    a = np.where(mask, np.exp(np.tanh(s)), 0)
    a /= a.sum(axis=1, keepdims=True)
    return a, np.sum(dy * np.sum(a[..., None] * x, axis=1))


dy, W, b = dh_T, np.array([1.0, -1.0]), np.array([0.0, 0.5, 0.0])
e, (a, _) = np.tanh(h @ W + b), attention(h @ W + b)
da = np.sum(h * dy[:, None], axis=2)
check_derivative("da", da, lambda a: np.sum(dy * np.sum(a[..., None] * h, axis=1)), a)
de = a * (da - np.sum(a * da, axis=1, keepdims=True))
check_derivative("de", de, lambda e: attention(np.arctanh(e))[1], e)
ds = de * (1 - e ** 2)
check_derivative("ds", ds, lambda s: attention(s)[1], h @ W + b)
check_derivative("dW", np.einsum("bt,bti->i", ds, h), lambda W: attention(h @ W + b)[1], W)
check_derivative("dx", a[..., None] * dy[:, None] + ds[..., None] * W, lambda x: attention(x @ W + b, x)[1], h)
assert a[0, 0] == 1 and MeanSquaredError()(x, 0 * x, None, mask) == (4 + 1 + 0 + 1) / 4     # the squares of the real ones

# %% [markdown]
# ## Packing: no padding at all
# Sort the sequences, longest first, and lay down everyone's step 1, then step 2 of those that have one (004.Masking). At every
# step the first so many states move, the others lie where they stopped. That needs no mask, and does no work for padding, which
# with 32 sentences of 1 to 100 words is about half of all, the second answer.

# %%
order = np.argsort(-lengths)
batch_sizes = [int(np.sum(lengths > t)) for t in range(3)]
data = np.concatenate([x[order[:n], t] for t, n in enumerate(batch_sizes)])     # (all steps, in)
state, at = h_0[order], 0
for n in batch_sizes:
    state[:n] = np.tanh(data[at:at + n] @ W_x + state[:n] @ W_h + b_h)
    at += n
assert batch_sizes == [2, 1, 1] and data[:, 0].tolist() == [1, 2, 0, -1] and np.array_equal(state[np.argsort(order)], h[:, -1])
assert 0.47 < 1 - 50.5 / np.sum(1 - (np.arange(100) / 100) ** 32) < 0.49    # mean length over mean longest length

# %% [markdown]
# ## States that are handed on
# A layer gives the last $h_t$, all of them, its states (003.ReturnSequences): many-to-one (002.ManyToOne), one-to-many from a
# state (002.OneToMany). Cut a sequence in two, hand on the states, and nothing changes; back go $dh$ and $dC$, or else this is
# *truncated* backpropagation. A second part with weights of its own is a decoder (002.ManyToMany). Weights: $(x+h)h + h$
# (003.Params.RNN), $4[(x+h)h + h]$ (003.Params.LSTM), $3[(x+h)h + h]$ (003.Params.GRU; Keras adds $3h$: it has two biases).

# %%
for kind, weights in ((SimpleRNN, 33 * 32 + 32), (LSTM, 4 * (33 * 32 + 32)), (GRU, 3 * (33 * 32 + 2 * 32))):
    layer = kind(32, return_sequences=True, return_state=True)
    print(f"{kind.__name__} returns sequences and states:", *map(np.shape, layer.forward(np.zeros((100, 10, 1)))))
    assert layer.count_params() == weights
lstm = LSTM(2, return_sequences=True, return_state=True, dtype="float64")
whole, *_ = lstm.forward(h)
d_whole = lstm.backward([whole, h_0, h_0])              # dy = y: the loss is half the squares of all outputs
y1, *states = lstm.forward(h[:, :1])
record, (y2, *_) = lstm.cache, lstm.forward(h[:, 1:], initial_state=states)
dx2, *dstates = lstm.backward([y2, h_0, h_0])
lstm.cache = record
assert np.allclose(np.hstack([y1, y2]), whole) and np.allclose(np.hstack([lstm.backward([y1, *dstates]), dx2]), d_whole)

# %% [markdown]
# ## The same in the library
# `Masking` (001.06.Masking) takes a step for padding if all its numbers are `mask_value`: with 0 it would swallow our real one.
# In the kernels find both terms of the masked step, and where a packed step lies.

# %%
rnn = SimpleRNN(2, dtype="float64")
rnn.build(x.shape)
rnn.set_weights([W_x, W_h, b_h])
assert np.array_equal(Masking(9.0).compute_mask(x), mask) and not Masking(0.0).compute_mask(x)[1, 1]
packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
assert np.array_equal(packed.data, data) and list(packed.batch_sizes) == batch_sizes
for room in ("reference", "cpu"):
    rnn.to(room).zero_grad()
    assert np.allclose(rnn.forward(x, mask=mask), h[:, -1], rtol=0, atol=1e-15)
    assert np.allclose(rnn.backward(dh_T), dx, rtol=0, atol=1e-15)
    assert np.allclose(rnn.trainable_weights[1].grad, gradients[1], rtol=0, atol=1e-15)
    assert np.allclose(rnn.forward(packed), h[:, -1], rtol=0, atol=1e-15)
    assert np.allclose(pad_packed_sequence(rnn.backward(dh_T), batch_first=True)[0], dx, rtol=0, atol=1e-15)
show_source(Masking.backward, pack_padded_sequence, "kernels.reference.recurrent:simple_rnn_backward",
            *("kernels.cpu.recurrent:" + name for name in ("_simple_rnn_backward", "_zero_masked", "_keep_real")),
            "kernels.reference.recurrent:_walk", "kernels.cuda.recurrent:_simple_rnn_backward")

# %% [markdown]
# ## A picture: what a mask does
# Above the states of eight units over time, below how much of a gradient by the last ones arrives at every input. Behind the
# sequence, zeros change the state, and most of the gradient ends in them. In front of it they do no harm while the bias is 0,
# but it will not stay 0. With a mask both are as if there were none.

# %%
set_random_seed(0)
rng, layer = np.random.default_rng(0), SimpleRNN(8, return_sequences=True)
sequence = rng.normal(size=(8, 4))
last = layer.forward(sequence[None])[:, -1]
cases = {"as it is": (0, 0, False), "12 zeros behind": (0, 12, False), "the same, masked": (0, 12, True),
         "12 zeros in front": (12, 0, False), "the same, masked ": (12, 0, True)}
fig, axes = plt.subplots(2, 5, figsize=(14, 4), layout="constrained", sharex="col", sharey="row", width_ratios=[2, 5, 5, 5, 5])
for (title, (front, behind, masked)), (top, bottom) in zip(cases.items(), axes.T, strict=True):
    real = np.pad(np.ones((1, 8), bool), [(0, 0), (front, behind)])
    states = layer.forward(np.pad(sequence, [(front, behind), (0, 0)])[None], mask=real if masked else None)
    assert np.allclose(states[:, -1], last, atol=1e-6) != (title == "12 zeros behind")
    top.imshow(states[0].T, cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="none")
    top.set(title=title, ylabel="unit")
    bottom.bar(range(real.size), np.linalg.norm(layer.backward(np.eye(real.size)[-1][None, :, None] + 0 * states)[0], axis=1))
    bottom.set(xlabel="t", ylabel="gradient")
save_figure(fig, "10_mask")

# %% [markdown]
# ## A real task: reading dates
# "Encoder-Decoder LSTM" of document 004 (004.Program.Seq2Seq): `7 March 1921`, `March 7, 1921` and `7.3.1921` become
# `1921-03-07`. The encoder's states begin the decoder, which in training is told the character before each (^ at first), and
# later its own. Ten are always enough, so no end is marked. A character's number is its `ord`; padding, 0, stands behind.

# %%
def dates(count):
    days = [date(1900, 1, 1) + timedelta(days) for days in rng.integers(73000, size=count).tolist()]
    forms = rng.choice(["{0} {1} {2}", "{1} {0}, {2}", "{0}.{3}.{2}"], count)
    texts = [form.format(day.day, month_name[day.month], day.year, day.month) for form, day in zip(forms, days, strict=True)]
    return pad_sequences([list(map(ord, t)) for t in texts], padding="post"), np.array([list(map(ord, str(d))) for d in days])


def translate(read, masked):
    _, *states = encoder.forward(table.forward(read), mask=read != 0 if masked else None)
    written = np.full((len(read), 1), ord("^"))
    for _ in range(10):
        y, *states = decoder.forward(own_table.forward(written[:, -1:]), initial_state=states)
        written = np.hstack([written, dense.forward(y).argmax(axis=2)])
    return written[:, 1:]


text, truth = dates(3500)
before = np.insert(truth[:, :-1], 0, ord("^"), axis=1)
(fig, (left, right)), right_dates = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained"), []
for name, masked in (("no mask", False), ("masked", True)):
    set_random_seed(0)
    table, own_table = (Embedding(128, 32, RandomNormal(0, 1), mask_zero=zero) for zero in (masked, False))
    encoder, decoder = LSTM(64, return_state=True), LSTM(64, return_sequences=True, return_state=True)
    inputs, dense = [Input((None,), dtype="int32"), Input((None,), dtype="int32")], Dense(128, activation="softmax")
    y, *_ = decoder(own_table(inputs[1]), initial_state=encoder(table(inputs[0]))[1:])
    model = Model(inputs, dense(y))
    model.compile(Adam(0.01, global_clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit([text, before], truth, batch_size=50, epochs=12, verbose=0, validation_split=1 / 7).history
    wrong, wider = (translate(np.pad(text[3000:], [(0, 0), (0, more)]), masked) != truth[3000:] for more in (0, 9))
    right_dates += [1 - wrong.any(axis=1).mean(), 1 - wider.any(axis=1).mean()]
    print("{}: {:.0%} of the dates are right, {:.0%} with nine more zeros behind them".format(name, *right_dates[-2:]))
    left.plot(range(1, 13), history["val_accuracy"], label=name)
    right.plot(wrong.mean(axis=0), "o-", label=name)
assert right_dates[2] > right_dates[0] + 0.1 and abs(right_dates[2] - right_dates[3]) < 0.01
for n in 3000 + np.flatnonzero(wrong.any(axis=1))[:4]:
    print("wrong:", *("".join(map(chr, row[row > 0])) for row in (text[n], translate(text[n:n + 1], True)[0])))
left.set(xlabel="epoch", ylabel="characters that are right")
right.set(xticks=range(10), xticklabels="YYYY-MM-DD", ylabel="part that is wrong")
left.legend()
save_figure(fig, "10_dates")

# %% [markdown]
# ## Exercises
# Write your answers into a file and run `nblayers check 10 my_answer.py`.
# 1. On paper: one unit, $h_t = x_t + h_{t-1} / 2$, $h_0 = 0$, $x = (4, 9, 2)$, of which the 9 is padding, $\mathcal{L} = h_3$:
#    set `h_3` and `dx`. And for losses $(1, 8, 2)$ at these steps `mean_loss`.
# 2. A backward to fill in: `packed_backward(h, batch_sizes, W_h, dh_T)` for tanh, h (all steps, units), dh_T (B, units) by the
#    last states, longest sequence first. Return `da` (all steps, units) and `dh_0` (B, units).
# 3. A bug: the walk below is right when padding stands in front. Write it right as `fixed_walk(h, mask, W_h, dh)`.
# 4. An experiment: 32,000 sentences of 1 to 100 words, in batches of 32. What part of the arrays is padding, and what if they
#    are sorted by length before they are cut into batches? Set `shuffled` and `sorted_first`.
# ```python
# def walk(h, mask, W_h, dh):             # h (B, T, units), dh (B, units) by the last states
#     da = np.zeros_like(h)
#     for t in reversed(range(h.shape[1])):
#         da[:, t] = mask[:, t, None] * dh * (1 - h[:, t] ** 2)
#         dh = da[:, t] @ W_h.T
#     return da
# ```
