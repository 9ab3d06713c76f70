# %% [markdown]
# # Lesson 26b · Text: a model that writes, cold or warm
#
# *About 35 minutes.* A model reads a text, character by character, and says each time
# what may come next. Take one of these, add it, and ask again: it writes
# (004.Program.Text). You count what a text can be told by without any network, and
# measure in bits what the network knows beyond that. And you write the **temperature**,
# which makes it repeat itself or talk nonsense, with its gradient: so the best
# temperature need not be guessed.
#
# ## A question first
#
# With the logarithm to base 2 a loss is counted in **bits** a character. One bit less
# means: half as many characters to choose from.

# %%
from textwrap import fill

import numpy as np

from lessons.data import draw_characters, read_text
from lessons.figures import draw_writing
from nblayers.layers import LSTM, Dense, Embedding, Input
from nblayers.learn.graph import show_graph, unrolled
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import SparseCategoricalCrossentropy
from nblayers.models import Model
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

text = read_text([])[:120_000]                  # Python's own help

# %%
# ? guess: 64 characters are all equally likely. How many bits is that?
bits_of_64 = 6
# ? guess: a model says 80 % for one character and 20 % for another. At a temperature of
# ? 1/2, how many percent has the first?
percent_when_cold = 94

# %% [markdown]
# ## Numbers for paper
#
# A text of eleven characters, five different ones ($K = 5$). Each gets a number.

# %%
letters, code = np.unique(list("abracadabra"), return_inverse=True)
K = len(letters)
print(*letters, " code =", code.tolist())

# %% [markdown]
# ## Data: windows
#
# The network reads windows of $T$ characters, and is asked at **each** of them for the
# next one. So a window has $T + 1$ characters. The next window begins where the last
# one was asked to the end. Here $T = 4$, and there are two.

# %%
T = 4
starts = np.arange(0, len(code) - T, T)         # (N,)
windows = code[starts[:, None] + np.arange(T + 1)]              # (N, T + 1)
print("windows =", windows.tolist())
# ? [read, asked] both (N, T): what it reads, and the next character of each
read, asked = windows[:, :-1], windows[:, 1:]
for line_read, line_asked in zip(letters[read], letters[asked], strict=True):
    print("".join(line_read), "→", "".join(line_asked))

# %% [markdown]
# ## A baseline: pairs
#
# What can be said without a network? First, how frequent each character is: its
# **share** (a *unigram*). Better: count what follows what (a *bigram*). Row: the
# character that is there. Column: the one that came next.

# %%
share = np.bincount(code) / len(code)           # (K,)
print("share =", share.round(2).tolist())
pairs = np.zeros((K, K))
# ? [pairs] count in it how often k follows j: row j, column k. A pair may come twice
for t in range(len(code) - 1):
    pairs[code[t], code[t + 1]] += 1
print(pairs.astype(int))
assert pairs.sum() == len(code) - 1

# %% [markdown]
# A pair that was never seen is not impossible. So we add one to each count $c_{jk}$,
# before a row is divided by its sum. Otherwise one new pair would make the loss
# infinite.
#
# $$p_{jk} = \frac{c_{jk} + 1}{\sum_k c_{jk} + K}$$

# %%
# ? p_next, (K, K): what comes after each character, with one added to each count
p_next = (pairs + 1) / (pairs.sum(axis=1, keepdims=True) + K)
print(p_next.round(2))
assert np.allclose(p_next.sum(axis=1), 1)

# %% [markdown]
# How good is a table of probabilities? It is asked at each character for the next one.
# What counts is the probability it gave to the one that really came.
#
# $$bits = -\frac{1}{n} \sum_t \log_2 p_{x_t, x_{t+1}}$$

# %%
# ? bits, of p_next on this text, a mean over all its pairs
bits = -np.log2(p_next[code[:-1], code[1:]]).mean()
print(f"bits: {bits:.2f}; all equally likely: {np.log2(K):.2f}")
assert np.isclose(np.log2(64), bits_of_64)

# %% [markdown]
# ## A picture of the computation
#
# An LSTM has what a table of pairs has not: a state, in which all that was read before
# may be heard. A Dense layer makes $K$ scores $z$ of each $h$.

# %%
show_graph(unrolled("lstm", 3))

# %% [markdown]
# ## Forward: temperature
#
# A softmax makes probabilities of the scores:
#
# $$f(x_i) = \frac{e^{x_i}}{\sum_j e^{x_j}} \tag{001.02.softmax}$$
#
# To write, the scores are first divided by a **temperature** $\tau$ ("tau"):
#
# $$p_k = \frac{e^{z_k / \tau}}{\sum_j e^{z_j / \tau}}$$
#
# Below 1 the likely ones get likelier. Above 1 all become more alike. At two places
# ($N = 2$) there are three characters ($K = 3$):

# %%
N, K, tau = 2, 3, 4.0
z = np.array([[2.0, 1.0, 0.0],
              [0.0, 1.0, 3.0]])                 # (N, K)
y = np.array([1, 2])                            # (N,), the characters that came
onehot = np.eye(K)[y]                           # (N, K)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# ? p, the probabilities at temperature tau, (N, K)
p = softmax(z / tau)
print("p =", p.round(3).tolist())

# %% [markdown]
# A model that ends in a softmax gives probabilities, and no scores. That does no harm.
# Their logarithms are scores as well: they differ from $z$ by one number in each row,
# and a softmax does not see that. Many programs do it so.

# %%
assert np.allclose(softmax(np.log(softmax(z)) / tau), p)
cold = softmax(np.log([0.8, 0.2]) / 0.5)
print("80 % at temperature 1/2:", cold.round(3).tolist())
assert round(100 * cold[0]) == percent_when_cold

# %% [markdown]
# ## Forward: draw
#
# Now one character is drawn, each with its probability. Lay the probabilities end to
# end: `np.cumsum(p, axis=1)` are the places where they end, from 0 to 1. Throw a number
# between 0 and 1, and see on whose part it falls. Count the ends that lie *below* the
# number: so many characters lie before the one that is drawn.

# %%
thrown = np.array([0.6, 0.1])                   # (N,)
print("ends:", np.cumsum(p, axis=1).round(3).tolist(), " thrown:", thrown.tolist())
# ? drawn, the number of each row's character, (N,)
drawn = (np.cumsum(p, axis=1) < thrown[:, None]).sum(axis=1)
print("drawn:", drawn.tolist())

# %% [markdown]
# ## Backward: the scores
#
# The loss is the mean cross-entropy of the characters that came. With $s = z / \tau$,
# $ds$ is what you know from lesson 04, and one step more leads to $z$.

# %%
def loss(z, tau):
    return -np.log(np.sum(onehot * softmax(z / tau), axis=1)).mean()


# ? dz, by the scores, (N, K). Mind the mean, and the temperature
dz = (p - onehot) / N / tau
check_derivative("dz", dz, lambda z: loss(z, tau), z)

# %% [markdown]
# ## Backward: the temperature
#
# There is one $\tau$ for all scores. In $s = z / \tau$ its slope is $-z / \tau^2$.

# %%
ds = (p - onehot) / N                           # by s = z / tau
# ? dtau, a single number, from ds, z and tau
dtau = -np.sum(ds * z) / tau ** 2
print("dtau =", dtau.round(4))
check_derivative("dtau", dtau, lambda tau: loss(z, tau), tau)

# %% [markdown]
# $$ds = \frac{p - \text{onehot}}{N} \qquad dz = \frac{ds}{\tau} \qquad
#   d\tau = -\frac{1}{\tau^2} \sum_n \sum_k ds_{nk} \, z_{nk}$$
#
# So the temperature can be *learned*, on text that the network has not read. You will
# see which one it wants.
#
# ## The same in the library
#
# The loss takes scores (`from_logits`) and gives its gradient, which is our $ds$.

# %%
cross_entropy = SparseCategoricalCrossentropy(from_logits=True)
value, gradient = cross_entropy.value_and_gradient(y, z / tau)
assert np.isclose(value, loss(z, tau), rtol=1e-6)
assert np.allclose(gradient / tau, dz, atol=1e-7)
show_source("kernels.reference.activation:softmax_backward")

# %% [markdown]
# ## A real task: the text
#
# The last tenth is kept for the exam. All that is counted or learned comes from the
# rest.

# %%
letters, code = np.unique(list(text), return_inverse=True)
K, T = len(letters), 40
print(f"{len(code)} characters, {K} different ones")
exam_at = len(code) * 9 // 10
old, new = code[:exam_at], code[exam_at:]


def cut(code):
    starts = np.arange(0, len(code) - T, T)
    windows = code[starts[:, None] + np.arange(T + 1)]
    return windows[:, :-1], windows[:, 1:]


share = (np.bincount(old, minlength=K) + 1) / (len(old) + K)
pairs = np.zeros((K, K))                        # now all at once, by np.add.at
np.add.at(pairs, (old[:-1], old[1:]), 1)
p_next = (pairs + 1) / (pairs.sum(axis=1, keepdims=True) + K)
baselines = {"shares": -np.log2(share[new]).mean(),
             "pairs": -np.log2(p_next[new[:-1], new[1:]]).mean()}
print({name: round(float(bits), 2) for name, bits in baselines.items()})

# %% [markdown]
# ## A real task: training
#
# One model, to train, reads 40 characters at once. Another one, to write, reads one
# character and is given the states of the step before. Both are made of the same
# layers.

# %%
UNITS = 80
set_random_seed(0)
table = Embedding(K, 32)
lstm = LSTM(UNITS, return_sequences=True, return_state=True)
dense = Dense(K, activation="softmax")
characters, h, C = Input((None,), dtype="int32"), Input((UNITS,)), Input((UNITS,))
y, *_ = lstm(table(characters))
model = Model(characters, dense(y))
y, *states = lstm(table(characters), initial_state=[h, C])
writer = Model([characters, h, C], [dense(y), *states])

model.compile(Adam(0.01), "sparse_categorical_crossentropy")
run = model.fit(*cut(old), batch_size=32, epochs=5, validation_data=cut(new), verbose=0)
curve = np.array(run.history["val_loss"]) / np.log(2)
print("bits on the exam, by epoch:", curve.round(2).tolist())
assert curve[-1] < baselines["pairs"] - 0.4 < baselines["shares"] - 0.4

# %% [markdown]
# Is one character at a time the same as 40 at once? If the states are handed on, yes.

# %%
line = cut(new)[0][:1]                          # (1, 40)
at_once = model.predict(line, verbose=0)
h = C = np.zeros((1, UNITS))
for t in range(T):
    p, h, C = writer.predict([line[:, t:t + 1], h, C], verbose=0)
    assert np.allclose(p[:, 0], at_once[:, t], atol=1e-5)

# %% [markdown]
# ## A real task: the best temperature
#
# Half of the exam is for finding $\tau$: down its gradient, with your two lines. The
# other half tells whether it helps.

# %%
of_exam, asked = model.predict(cut(new)[0], verbose=0), cut(new)[1]
z, y = np.log(of_exam.reshape(-1, K).astype(float)), asked.ravel()
half = len(y) // 2


def bits_at(tau, z, y):
    return -np.log2(softmax(z / tau)[np.arange(len(y)), y]).mean()


tau = 1.5
for _ in range(12):
    ds = (softmax(z[:half] / tau) - np.eye(K)[y[:half]]) / half
    tau -= 0.5 * (-np.sum(ds * z[:half]) / tau ** 2)
print(f"found: tau = {tau:.2f}")
for value in (0.5, 1.0, tau, 1.5):
    print(f"tau {value:.2f}: {bits_at(value, z[half:], y[half:]):.3f} bits")
assert 0.7 < tau < 1.3
assert abs(bits_at(tau, z[half:], y[half:]) - bits_at(1.0, z[half:], y[half:])) < 0.1

# %% [markdown]
# It ends near 1, and the other half hardly cares. That is no accident: the network was
# trained with the temperature 1, and has found the size of its scores by itself. So to
# *predict*, leave it at 1. To *write*, you may want something else.
#
# ## A real task: writing
#
# Eight texts for each temperature, side by side. `draw_characters` is your line with a
# new number thrown for each row.

# %%
def write(start, tau, count):
    rng = np.random.default_rng(0)
    h = C = np.zeros((len(start), UNITS))
    heard, written = start, []
    for _ in range(count):
        p, h, C = writer.predict([heard, h, C], verbose=0)
        heard = draw_characters(softmax(np.log(p[:, -1]) / tau), rng)[:, None]
        written.append(heard)
    return np.concatenate(written, axis=1)


taus = (0.2, 0.5, 0.8, 1.0, 1.3)
start = cut(new)[0][:8]                         # (8, 40)
written = {tau: write(start, tau, 250) for tau in taus}
for tau in taus:
    print(f"\n----- temperature {tau}\n{fill(''.join(letters[written[tau][0]]), 80)}")

# %% [markdown]
# ## What it got wrong
#
# Is a word that it wrote a word of the text? Only whole ones of three letters or more
# count. And how many **different** ones are among 100 words?

# %%
def words_of(lines):
    rows = ["".join(c if c.isalpha() else " " for c in letters[line]) for line in lines]
    return [word for row in rows for word in row.split()[1:-1] if len(word) > 2]


known = set(words_of(old[None]))
real, different, invented = {}, {}, {}
for tau in taus:
    words = words_of(written[tau])
    real[tau] = np.mean([word in known for word in words])
    different[tau] = len(set(words[:100])) / len(words[:100])
    invented[tau] = [word for word in words if word not in known]
    print(f"{tau}: {real[tau]:.0%} real words, {different[tau]:.0%} different;",
          "invented:", *invented[tau][:6])
assert real[0.2] > real[0.5] > real[1.0] > real[1.3]
assert different[0.2] < different[1.0]

# %% [markdown]
# Cold, it writes real words, and always the same ones. Warm, it has more to say, and
# makes words up. There is no temperature at which it writes well: 40 characters and 80
# units do not make a sentence. A larger model needs less cold to spell rightly.

# %% [markdown]
# ## A picture: bits
#
# Beside the curves, a line of the exam: what each of its characters has cost.

# %%
cost = -np.log2(of_exam[np.arange(len(asked))[:, None], np.arange(T), asked])
shown = 4
save_figure(draw_writing(curve, baselines, real, different,
                         letters[asked[shown]], cost[shown]), "26b_text")
begins = letters[cut(new)[0]] == " "            # the next one begins a word
print(f"where a word begins: {cost[begins].mean():.2f} bits; "
      f"elsewhere: {cost[~begins].mean():.2f}")
assert cost[begins].mean() > 1.5 * cost[~begins].mean()

# %% [markdown]
# The first letter of a word costs much more than the others: there is a choice. At the
# end of a word often only one letter is possible. What a table of pairs cannot know,
# the state knows: which word it is in.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 26b my_answer.py`.
#
# 1. On paper: the text `aabaa`, with $a = 0$ and $b = 1$. Set `pairs` and `p_next`
#    (2 × 2, with one added). And a model says 0.9 and 0.1: set `warm`, the two
#    probabilities at the temperature 2.
# 2. **A whole backward**, with batch and steps: `head_backward(h, asked, W, b, tau)`,
#    of the mean cross-entropy over all N T characters of softmax((h W + b) / tau). h is
#    (N, T, H), asked (N, T) are numbers. It runs forward first. Return `dh, dW, db,
#    dtau`.
# 3. A bug, seen in the wild: `warmed` below hardly ever writes a word. Write it right
#    as `fixed_warmed(p, tau)`, for probabilities p (N, K).
# 4. An experiment: a model says 0.8 and 0.2. At which temperature does it say 0.6 and
#    0.4? Set `tau`, to two places.
#
# ```python
# def warmed(p, tau):
#     e = np.exp(p / tau)
#     return e / e.sum(axis=1, keepdims=True)
# ```
