# %% [markdown]
# # Lesson 26c · Translation: dates in many spellings, by attention
#
# *About 40 minutes.* `friday, 7 march 1921` and `the 7th of march, 1921` are to become
# `1921-03-07`. One network reads, the **encoder**. Another one writes, the **decoder**,
# and at each character it looks at what was read. You write the lines between the two,
# forward and backward. Then you train the whole, and cut it into two models that can
# translate what nobody has translated before. Other languages go the same way
# (004.App.Translation); dates take seconds, and we can tell which are right.
#
# ## A question first
#
# In training, the decoder is told the right character before each one that it writes.
# So a mistake does no further harm. Suppose that then 98 % of the characters are right.

# %%
import numpy as np

from lessons.data import SPELLINGS, spelled_dates
from lessons.figures import draw_translations, draw_where_it_looks
from nblayers.layers import (
    LSTM,
    Attention,
    Concatenate,
    Dense,
    Embedding,
    Input,
    Masking,
)
from nblayers.learn.graph import computation, show_graph
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Model
from nblayers.optimizers import Adam
from nblayers.utils import pad_sequences, set_random_seed

# %%
# ? guess: a date has ten characters, each right with 98 %. Mistakes fall by chance.
# ? How many percent of the dates are right as a whole?
percent_whole = 82
# ? guess: an encoder with 48 units reads 20 characters. It hands on its last h and C.
# ? How many numbers is that? (Not counting what attention looks at.)
handed_on = 96

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$). The encoder has read three characters ($S = 3$), and has a
# state for each: `h`. The second text has two characters. The third step is padding,
# and says so in the mask. The decoder writes two characters ($T = 2$). Before each it
# has a state too: `q`. Both have two units ($H = 2$).

# %%
N, T, S, H, K = 2, 2, 3, 2, 3
h = np.array([[[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]],
              [[0.0, 1.0], [2.0, 0.0], [3.0, 3.0]]])    # (N, S, H)
mask = np.array([[True, True, True],
                 [True, True, False]])                  # (N, S), True where it has read
q = np.array([[[1.0, 0.0], [0.0, 2.0]],
              [[1.0, 1.0], [-1.0, 0.5]]])               # (N, T, H)

# %% [markdown]
# There are three characters ($K = 3$). A Dense layer makes a score for each of them.
# The right ones are numbered in `y`.

# %%
W = np.array([[1.0, 0.0, -1.0],
              [0.0, 1.0, 0.5],
              [0.5, -1.0, 0.0],
              [0.0, 0.5, 1.0]])                 # (2H, K)
b = np.array([0.0, 0.1, -0.1])                  # (K,)
y = np.array([[0, 2],
              [1, 0]])                          # (N, T)
onehot = np.eye(K)[y]                           # (N, T, K)

# %% [markdown]
# ## A picture of the computation
#
# It is the attention of lesson 19. Here the keys and the values are the same thing: $k$
# and $v$ are both `h`. A state of the encoder is found by what it is, and it is the
# answer as well.

# %%
show_graph(computation("attention"))

# %% [markdown]
# ## Forward: look at what was read
#
# Each `q` is compared with each `h`. The product of the two is their score. Many texts
# divide it by a root; Keras' `Attention` does not, and neither do we. (The capital $Q$,
# $K$ and $V$ are all queries, keys and values.)
#
# $$Attention(Q, K, V) = softmax \left( \frac{Q K^\top}{\sqrt{d_k}} \right) V
#   \tag{001.13.Attention}$$

# %%
# ? s, the scores: how well each h fits each q, (N, T, S)
s = q @ h.swapaxes(1, 2)
print("s =", s.tolist())

# %% [markdown]
# Then a softmax over the characters that were read. Padding must get no weight at all.
# The mask is (N, S), and it is the same for all that is written: `mask[:, None]`.

# %%
def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# ? p, the weights, (N, T, S): -1e9 stands where the mask is False, then softmax
p = softmax(np.where(mask[:, None], s, -1e9))
print("p =", p.round(3).tolist())
# ? c, the context: the mean of the states with these weights, (N, T, H)
c = p @ h
print("c =", c.round(3).tolist())
assert np.allclose(p.sum(axis=-1), 1) and not p[1, :, 2].any()

# %% [markdown]
# $$p_{ij} = \frac{e^{s_{ij}}}{\sum_j e^{s_{ij}}} \qquad c_i = \sum_j p_{ij} h_j$$
#
# ## Forward: the next character
#
# What the decoder knows by itself, $q$, and what it has seen, $c$, are put side by
# side. Dense and softmax make probabilities of it. The loss is the mean cross-entropy
# of **all** characters, N times T.
#
# $$u = [q, c] \qquad z = u W + b \qquad
#   L = -\frac{1}{N T} \sum_{n, t} \log \hat{y}_{n t, right}$$

# %%
u = np.concatenate([q, c], axis=2)              # (N, T, 2H)
z = u @ W + b                                   # (N, T, K)
y_hat = softmax(z)
# ? loss, the mean cross-entropy, from y_hat and onehot, both (N, T, K)
loss = -np.log(np.sum(onehot * y_hat, axis=2)).mean()
print("loss =", loss.round(4))


def loss_of_z(z):
    return -np.log(np.sum(onehot * softmax(z), axis=2)).mean()


def loss_of(q, h):
    c = softmax(np.where(mask[:, None], q @ h.swapaxes(1, 2), -1e9)) @ h
    return loss_of_z(np.concatenate([q, c], axis=2) @ W + b)


assert np.isclose(loss, loss_of(q, h))

# %% [markdown]
# ## Backward: from the loss to the context
#
# Softmax and cross-entropy together you know from lesson 04. Mind the mean. And $c$ is
# the second half of $u$.

# %%
# ? dz, of the mean over all characters, (N, T, K)
dz = (y_hat - onehot) / (N * T)
check_derivative("dz", dz, loss_of_z, z)
du = dz @ W.T                                   # (N, T, 2H)
# ? dc, what arrives at the context, (N, T, H)
dc = du[..., H:]
check_derivative("dc", dc,
                 lambda c: loss_of_z(np.concatenate([q, c], axis=2) @ W + b), c)

# %% [markdown]
# ## Backward: through the attention
#
# First to the weights, by $c = p h$. Then through the softmax, to the scores.

# %%
show_graph(computation("attention"), lit="dp -> ds")
dp = dc @ h.swapaxes(1, 2)                      # (N, T, S)
# ? ds, from p and dp, (N, T, S)
ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
check_derivative("ds", ds, lambda s: np.sum(
    dc * (softmax(np.where(mask[:, None], s, -1e9)) @ h)), s)
assert not ds[1, :, 2].any()                    # padding: nothing arrives

# %% [markdown]
# ## Backward: everything is used twice
#
# `q` stands in two places: in the score, and in $u$ itself. `h` stands in two places as
# well: in the score as a key, in the context as a value. What arrives is added up.

# %%
# ? dq, all that arrives at the decoder's states, (N, T, H)
dq = du[..., :H] + ds @ h
check_derivative("dq", dq, lambda q: loss_of(q, h), q)
# ? dh, all that arrives at the encoder's states, (N, S, H)
dh = p.swapaxes(1, 2) @ dc + ds.swapaxes(1, 2) @ q
check_derivative("dh", dh, lambda h: loss_of(q, h), h)

# %% [markdown]
# $$dq = du_{left} + ds \, h \qquad dh = p^\top dc + ds^\top q$$
#
# See what this does. Without attention a gradient comes to the first characters by the
# last state alone, back through the whole text. With it, $dh$ comes to **each**
# character directly: from each character that looked at it.
#
# ## The same in the library
#
# Keras' `Attention` is given `[query, value]`, and takes the values for keys as well.
# So its backward gives what arrives at them in both ways.

# %%
layer = Attention(dtype="float64").to("reference")
assert np.allclose(layer.forward([q, h], mask=[None, mask]), c, rtol=0, atol=1e-14)
dq_by_score, dh_theirs = layer.backward(dc)
assert np.allclose(du[..., :H] + dq_by_score, dq, rtol=0, atol=1e-14)
assert np.allclose(dh_theirs, dh, rtol=0, atol=1e-14)
show_source("kernels.reference.attention:attention_block_backward")

# %% [markdown]
# (There $L$ is the logarithm of the softmax's sum; lesson 19 says why.)
#
# ## Data: dates in ten spellings

# %%
rng = np.random.default_rng(0)
texts, days, kinds = spelled_dates(rng, 2000)
for text, day in zip(texts[:6], days[:6], strict=True):
    print(f"{text:32}{day}")
READS = "_ ,-./0123456789abcdefghijklmnopqrstuvwxyz"
WRITES = "0123456789-^"


def as_numbers(lines, alphabet):
    numbers = [[alphabet.index(letter) for letter in line] for line in lines]
    return pad_sequences(numbers, padding="post")


x = as_numbers(texts, READS)                    # (2000, longest), padded with 0
days_in_numbers = as_numbers(days, WRITES)      # (2000, 10)
assert len(SPELLINGS) == 10 and days_in_numbers.shape == (2000, 10)

# %% [markdown]
# ## Data: what the decoder is told
#
# In training the decoder reads the **right** date, one character late: before it writes
# character $t$, it is told character $t - 1$. Before the first there is none, so it is
# told `^`. This is **teacher forcing**. On paper:

# %%
START = WRITES.index("^")                       # 11
y = as_numbers(["1921", "2084"], WRITES)        # (2, 4)
# ? told, what the decoder is told before each character of y, (2, 4). Use START
told = np.insert(y[:, :-1], 0, START, axis=1)
print("right:", y.tolist(), " told:", told.tolist())
assert told.shape == y.shape

# %% [markdown]
# What if it is not shifted? Then the network is told the very character that it has to
# write. It learns to copy, and its training looks perfect. Alone it can do nothing.
#
# ## A real task: one model to train
#
# The layers first. Each is made once, and will stand in several models. `mask_zero`
# says that 0 is padding. With `zero_output_for_mask` the encoder's states are 0 there.
#
# `attends=False` is the **baseline**: the same without attention. That is what many
# texts print as the first encoder-decoder (004.Program.Seq2Seq).

# %%
UNITS = 48


def make_layers():
    set_random_seed(0)
    return {"reads": Embedding(len(READS), 16, mask_zero=True),
            "encoder": LSTM(UNITS, return_sequences=True, return_state=True,
                            zero_output_for_mask=True),
            "hears": Embedding(len(WRITES), 16),
            "decoder": LSTM(UNITS, return_sequences=True, return_state=True),
            "attention": Attention(),
            "answer": Dense(len(WRITES), activation="softmax")}


def write_one(layers, told, states, keys):
    q, *states = layers["decoder"](layers["hears"](told), initial_state=states)
    if keys is None:
        return layers["answer"](q), states
    c = layers["attention"]([q, keys])
    return layers["answer"](Concatenate()([q, c])), states


# %% [markdown]
# The encoder hands its last `h` and `C` to the decoder, which begins with them. The
# mask goes along with `keys` by itself.

# %%
def training_model(layers, attends):
    read, told = Input((None,), dtype="int32"), Input((None,), dtype="int32")
    keys, *states = layers["encoder"](layers["reads"](read))
    probabilities, _ = write_one(layers, told, states, keys if attends else None)
    model = Model([read, told], probabilities)
    model.compile(Adam(0.01, global_clipnorm=1.0), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])
    return model


# %% [markdown]
# ## A real task: two models to write with
#
# Later nobody knows the right characters. The decoder is told the one that it wrote
# itself, and it goes step by step. So the whole is cut in two:
#
# - the **encoder model**: from the text to `h`, `C` and the keys; it runs once;
# - the **decoder model**: from one character, `h`, `C` and the keys to the
#   probabilities and the *new* `h` and `C`; it runs ten times.
#
# They have no weights of their own: the layers are those that were trained. Only the
# mask is lost on the way, because an `Input` has none. The keys are 0 at padding, and
# `Masking` makes a mask of that again.

# %%
def writing_models(layers, attends):
    read, told = Input((None,), dtype="int32"), Input((None,), dtype="int32")
    keys, *states = layers["encoder"](layers["reads"](read))
    more = [keys] if attends else []
    encoder = Model(read, [*states, *more])
    given = [Input((UNITS,)), Input((UNITS,))]
    keys = Input((None, UNITS))
    masked = Masking()(keys) if attends else None
    probabilities, states = write_one(layers, told, given, masked)
    more = [keys] if attends else []
    return encoder, Model([told, *given, *more], [probabilities, *states])


# %% [markdown]
# ## A real task: translate
#
# Now yours: the loop. `encoder.predict(x, verbose=0)` gives a list: `h`, `C`, and the
# keys if there are any. `decoder.predict([told, h, C, …], verbose=0)` gives a list too:
# probabilities (N, 1, characters), `h`, `C`. Choose the most probable character, and
# tell it in the next step.

# %%
# ? [translate] def translate(encoder, decoder, x, steps): return what was written,
# ? (N, steps). The first told is START, (N, 1)
def translate(encoder, decoder, x, steps):
    h, C, *keys = encoder.predict(x, verbose=0)
    told = np.full((len(x), 1), START)
    written = []
    for _ in range(steps):
        probabilities, h, C = decoder.predict([told, h, C, *keys], verbose=0)
        told = probabilities.argmax(axis=2)
        written.append(told)
    return np.concatenate(written, axis=1)


# %% [markdown]
# ## A real task: what counts
#
# A date with one wrong digit is a wrong date. So we count dates that are right **as a
# whole**. On paper first, five years of four characters:

# %%
truth = as_numbers(["1921", "2084", "1999", "1970", "2001"], WRITES)
written = as_numbers(["1921", "2085", "1998", "1970", "2011"], WRITES)
# ? whole, the share of the dates without any mistake, from written and truth
whole = np.all(written == truth, axis=1).mean()
print(f"characters {np.mean(written == truth):.2f}, whole dates {whole:.2f}")
assert round(100 * 0.98 ** 10) == percent_whole and handed_on == 2 * UNITS

# %% [markdown]
# ## A real task: training
#
# 1600 dates to learn from, 400 for the exam. Both networks get the same. `told` is the
# right date, shifted, as above.

# %%
old, new = slice(0, 1600), slice(1600, None)
truth = days_in_numbers[new]
told = np.insert(days_in_numbers[:, :-1], 0, START, axis=1)
models, history, right = {}, {}, {}
for name, attends in (("no attention", False), ("attention", True)):
    layers = make_layers()
    model = training_model(layers, attends)
    run = model.fit([x[old], told[old]], days_in_numbers[old], batch_size=40, epochs=8,
                    validation_data=([x[new], told[new]], truth), verbose=0)
    history[name] = run.history["val_accuracy"]
    written = translate(*writing_models(layers, attends), x[new], 10)
    right[name] = np.all(written == truth, axis=1)
    print(f"{name}: told, {history[name][-1]:.1%} of the characters are right; "
          f"alone, {right[name].mean():.0%} of the dates")
    models[name] = layers, model, written
assert right["attention"].mean() > right["no attention"].mean() + 0.2
assert right["no attention"].mean() < history["no attention"][-1] ** 10

# %% [markdown]
# Take the first share to the power of ten, as in the question. The baseline does worse
# than that: alone, a mistake leads to more of them.
#
# ## What it got wrong
#
# Left how they learned, right how each spelling fares. Below are some wrong dates.

# %%
by_kind = {name: np.array([right[name][kinds[new] == k].mean() for k in range(10)])
           for name in right}
examples = [texts[int(np.argmax(kinds == k))] for k in range(10)]
save_figure(draw_translations(history, by_kind, examples), "26c_translations")
layers, model, written = models["attention"]
lines = ["".join(WRITES[number] for number in row) for row in written]
for n in np.flatnonzero(~right["attention"])[:6]:
    print(f"{texts[1600 + n]:32}{lines[n]}, not {days[1600 + n]}")
wrong = (written != truth).mean(axis=0)         # (10,)
print("wrong, by character:", *(f"{share:.1%}" for share in wrong))
assert wrong[8:].mean() > wrong[5:7].mean()

# %% [markdown]
# The day is wrong more often than the month. Is it `2` or `20`? The encoder reads from
# left to right, so its state at the `2` does not know yet what follows. (The states of
# a bidirectional one would; lesson 11.)

# %% [markdown]
# ## A picture: where it looks
#
# A fourth model of the same layers gives the weights $p$ alone. For three dates of the
# exam: a row for each character that it writes, a column for each that it read.

# %%
read, heard = Input((None,), dtype="int32"), Input((None,), dtype="int32")
keys, *states = layers["encoder"](layers["reads"](read))
q, *_ = layers["decoder"](layers["hears"](heard), initial_state=states)
_, weights = layers["attention"]([q, keys], return_attention_scores=True)
looks = Model([read, heard], weights)
shown = [1600 + int(np.argmax(kinds[new] == k)) for k in (0, 5, 8)]
p = looks.predict([x[shown], told[shown]], verbose=0)           # (3, 10, longest)
year_ends = [len(texts[n]) - 1 for n in shown]  # these three end with the year
assert np.mean([p[k, 3, end] for k, end in enumerate(year_ends)]) > 0.5
save_figure(draw_where_it_looks(p, [texts[n] for n in shown],
                                [lines[n - 1600] for n in shown]), "26c_looks")

# %% [markdown]
# Nobody has told it what stands where. Yet when it writes the last digit of the year it
# looks at the last digit of the year, wherever that is. At a `-` it may look about:
# there is nothing to know.
#
# A state holds its own character *and* what came before. So for the first digit of a
# year it may look at the second one.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 26c my_answer.py`.
#
# 1. On paper: one sample, two units. The encoder's states are $(2, 1)$ and $(0, 1)$,
#    the decoder's is $q = (0, 1)$, and $dc = (4, 0)$. Set `p`, `c` and `ds` (2 numbers
#    each), and `dh` (a row for each state, both ways added).
# 2. **A whole backward**, with batch axis and mask: `look_backward(dz, q, h, mask, W)`,
#    from the logits $z = [q, c] W + b$ to all that made them, for any N, T, S, H, K. It
#    runs forward first. Return `dq, dh, dW, db`.
# 3. A bug: `write` below begins well and then loses the thread. Write it right as
#    `fixed_write(decoder, h, C, start, steps)`. `decoder(told, h, C)` gives the
#    probabilities (N, K), the new `h` and the new `C`; `start` is (N,). Return what was
#    written, (N, steps).
# 4. An experiment: mistakes fall by chance, and a date has ten characters. Which share
#    of the characters must be right, so that 99 % of the dates are? Set `share`, to
#    four places.
#
# ```python
# def write(decoder, h, C, start, steps):
#     told, written = start, []
#     for _ in range(steps):
#         probabilities, _, _ = decoder(told, h, C)
#         told = probabilities.argmax(axis=1)
#         written.append(told)
#     return np.stack(written, axis=1)
# ```
