# %% [markdown]
# # Lesson 26d · Program: words tagged with a CRF
#
# *About 35 minutes.* Each word of a sentence is to get a **tag**: is it a name, a
# street, a month? A softmax at each word decides for each word alone. But tags stand in
# an order: after a first name comes a last name. A **conditional random field** (CRF)
# learns how well a tag follows another, and judges the whole sequence. You write its
# forward walk, its gradient, and the search for the best sequence. Then it sorts the
# words of an old card index.
#
# ## A question first
#
# A card has up to eight words, and there are eight tags.

# %%
from itertools import product

import numpy as np

from lessons.data import CARD_TAGS, cards
from lessons.figures import draw_tagging
from nblayers.layers import CRF, LSTM, Bidirectional, Dense, Embedding, Input
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Model
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %%
# ? guess: how many sequences of eight tags are there for eight words?
all_sequences = 16777216
# ? guess: a tagger has 90 % of the words right. How many percent of the cards with six
# ? words have no mistake at all, if each word is a matter of its own?
percent_of_cards = 53

# %% [markdown]
# ## Numbers for paper
#
# Two sentences ($N = 2$) of three words ($T = 3$), and two tags ($U = 2$). The layer
# before the CRF says how well a tag fits a word, whatever stands beside it: the
# **emissions** $x$. The CRF has three arrays of weights. $A_{ij}$ says how well tag $j$
# follows tag $i$: the **transitions**. $b_j$ and $e_j$ say how well a tag begins a
# sentence, and ends one. The right tags are $y$.

# %%
N, T, U = 2, 3, 2
x = np.array([[[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]],
              [[0.0, 1.0], [1.0, 0.0], [1.0, -1.0]]])   # (N, T, U)
A = np.array([[-1.0, 1.0],
              [1.5, -0.5]])                     # (U, U), from row to column
b = np.array([-0.5, 0.5])                       # (U,)
e = np.array([0.5, -0.5])                       # (U,)
y = np.array([[0, 1, 1],
              [0, 1, 0]])                       # (N, T)

# %% [markdown]
# ## A picture of the computation
#
# ```
#          step 0          step 1          step 2
#
#  b_0 ──→ tag 0 ──A_00──→ tag 0 ──A_00──→ tag 0 ──→ e_0
#                ╲       ╱       ╲       ╱
#                    ╳               ╳        falling: A_01, rising: A_10
#                ╱       ╲       ╱       ╲
#  b_1 ──→ tag 1 ──A_11──→ tag 1 ──A_11──→ tag 1 ──→ e_1
# ```
#
# A sequence of tags is a way from left to right. It collects $x_t(j)$ at each tag that
# it visits, and $A_{ij}$ on each arrow.
#
# ## Forward: the score of one sequence
#
# All that a way collects is its **score**. The emissions mostly come from an LSTM that
# reads both ways; programs call the two together BiLSTM-CRF.
#
# $$s(y) = b_{y_0} + \sum_t x_t(y_t) + \sum_{t > 0} A_{y_{t-1} y_t} + e_{y_{T-1}}
#   \tag{004.App.NER}$$

# %%
n, t = np.arange(N)[:, None], np.arange(T)
fits = x[n, t, y].sum(axis=1)                   # (N,)
# ? follows, the sum of the transitions of each sentence's tags y, (N,)
follows = A[y[:, :-1], y[:, 1:]].sum(axis=1)
s = b[y[:, 0]] + fits + follows + e[y[:, -1]]   # (N,)
print("scores of the right tags:", s)
assert s[0] == -0.5 + (1 + 1 + 0) + (1 - 0.5) - 0.5

# %% [markdown]
# ## Forward: all sequences, one by one
#
# The probability of a sequence is a softmax over **all** sequences (001.02.softmax):
#
# $$p(y) = \frac{e^{s(y)}}{Z} \qquad Z = \sum_{y'} e^{s(y')}$$
#
# Here are eight of them. We can try each. $\log Z$ is the logarithm of a sum of
# exponentials. `np.logaddexp.reduce` gives it without a large number on the way.

# %%
def score(x, y, A, b, e):
    n, t = np.arange(len(y))[:, None], np.arange(y.shape[1])
    follows = A[y[:, :-1], y[:, 1:]].sum(axis=1)
    return b[y[:, 0]] + x[n, t, y].sum(axis=1) + follows + e[y[:, -1]]


sequences = np.array(list(product(range(U), repeat=T)))         # (8, T)
scores = np.array([score(x, np.tile(each, (N, 1)), A, b, e)
                   for each in sequences])      # (8, N)
log_z_of_all = np.logaddexp.reduce(scores, axis=0)              # (N,)
print("log Z =", log_z_of_all.round(3))
assert np.allclose(np.exp(scores - log_z_of_all).sum(axis=0), 1)
assert all_sequences == 8 ** 8

# %% [markdown]
# ## Forward: all sequences at once
#
# Eight words and eight tags have 16,777,216 sequences. But many of them share their
# beginning. So go step by step. $\alpha_t(j)$ is the logarithm of a sum: over all ways
# that end at step $t$ with tag $j$.
#
# $$\alpha_0(j) = b_j + x_0(j)$$
# $$\alpha_t(j) = x_t(j) + \log \sum_i e^{\alpha_{t-1}(i) + A_{ij}}$$
# $$\log Z = \log \sum_j e^{\alpha_{T-1}(j) + e_j}$$
#
# `alpha_0[:, :, None] + A` is (N, U, U): from tag $i$ (axis 1) to tag $j$ (axis 2).

# %%
alpha_0 = b + x[:, 0]                           # (N, U)
# ? alpha_1, (N, U), by np.logaddexp.reduce
alpha_1 = x[:, 1] + np.logaddexp.reduce(alpha_0[:, :, None] + A, axis=1)
alpha_2 = x[:, 2] + np.logaddexp.reduce(alpha_1[:, :, None] + A, axis=1)
# ? log_z, (N,), from alpha_2
log_z = np.logaddexp.reduce(alpha_2 + e, axis=1)
print("log Z =", log_z.round(3))
assert np.allclose(log_z, log_z_of_all)

# %% [markdown]
# A step costs $U^2$ sums. That is all: eight words and eight tags need $7 \cdot 64$ of
# them. Now as a function of all steps, and the loss: minus the logarithm of the right
# sequence's probability, the mean over the sentences.
#
# $$L = \frac{1}{N} \sum_n (\log Z_n - s(y_n))$$

# %%
def forward(x, A, b, e):
    alpha = np.zeros_like(x)
    alpha[:, 0] = b + x[:, 0]
    for t in range(1, x.shape[1]):
        ways = alpha[:, t - 1, :, None] + A
        alpha[:, t] = x[:, t] + np.logaddexp.reduce(ways, axis=1)
    return alpha, np.logaddexp.reduce(alpha[:, -1] + e, axis=1)


def loss(x=x, A=A, b=b, e=e):
    return np.mean(forward(x, A, b, e)[1] - score(x, y, A, b, e))


alpha, log_z = forward(x, A, b, e)              # (N, T, U), (N,)
print(f"L = {loss():.3f}")
assert np.allclose(alpha[:, 2], alpha_2)

# %% [markdown]
# ## Backward: the last step
#
# First $\log Z$ alone. Its gradient by $\alpha_t(j)$ is called $\mu_t(j)$. Lesson 04
# has shown it: the slope of log-sum-exp is a softmax. So $\mu_t(j)$ is a probability:
# that the sequence has tag $j$ at step $t$.
#
# $$\mu_{T-1}(j) = e^{\alpha_{T-1}(j) + e_j - \log Z}$$

# %%
# ? mu_2, the gradient of log Z by alpha_2, (N, U)
mu_2 = np.exp(alpha_2 + e - log_z[:, None])
print("mu_2 =", mu_2.round(3).tolist())
check_derivative("mu_2", mu_2, lambda a: np.logaddexp.reduce(a + e, axis=1).sum(),
                 alpha_2)
assert np.allclose(mu_2.sum(axis=1), 1)

# %% [markdown]
# ## Backward: one step back
#
# Into $\alpha_2(j)$ lead the ways from each tag $i$ before. What arrives at $j$ is
# shared among them, again by a softmax. It runs over $i$. The share of $i$, times
# $\mu_2(j)$, is the probability that $i$ and $j$ stand side by side.
#
# $$\mu_t(i, j) = \mu_t(j) \, e^{\alpha_{t-1}(i) + A_{ij} - r_t(j)}
#   \qquad r_t(j) = \log \sum_i e^{\alpha_{t-1}(i) + A_{ij}}$$
# $$\mu_{t-1}(i) = \sum_j \mu_t(i, j)$$

# %%
ways_2 = alpha_1[:, :, None] + A                # (N, U, U)
r_2 = np.logaddexp.reduce(ways_2, axis=1)       # (N, U)


def from_ways(ways):
    alpha_2 = x[:, 2] + np.logaddexp.reduce(ways, axis=1)
    return np.logaddexp.reduce(alpha_2 + e, axis=1).sum()


# ? pairs_2, the gradient of log Z by ways_2, (N, U, U), from mu_2, ways_2 and r_2
pairs_2 = mu_2[:, None] * np.exp(ways_2 - r_2[:, None])
check_derivative("pairs_2", pairs_2, from_ways, ways_2)
# ? mu_1, the gradient by alpha_1, (N, U)
mu_1 = pairs_2.sum(axis=2)
check_derivative("mu_1", mu_1, lambda a: from_ways(a[:, :, None] + A), alpha_1)

# %% [markdown]
# ## Backward: the walk
#
# From the last step to the first. `pairs[:, t]` joins the steps $t$ and $t + 1$.

# %%
mu = np.zeros((N, T, U))
mu[:, -1] = mu_2
pairs = np.zeros((N, T - 1, U, U))
# ? [mu, pairs] the walk back, for t in reversed(range(T - 1)): fill pairs[:, t], then
# ? mu[:, t]
for t in reversed(range(T - 1)):
    ways = alpha[:, t, :, None] + A
    r = np.logaddexp.reduce(ways, axis=1)
    pairs[:, t] = mu[:, t + 1, None] * np.exp(ways - r[:, None])
    mu[:, t] = pairs[:, t].sum(axis=2)
print("mu of the first sentence:", *mu[0].round(2))
check_derivative("mu", mu, lambda x: forward(x, A, b, e)[1].sum(), x)
check_derivative("pairs", pairs.sum(axis=(0, 1)),
                 lambda A: forward(x, A, b, e)[1].sum(), A)

# %% [markdown]
# ## Backward: minus the truth
#
# $s(y)$ is a plain sum: each weight counts as often as the right sequence uses it. So
# the gradient of the loss is, as in lesson 04, *probability minus truth*. $[\ldots]$ is
# 1 where it holds, and 0 elsewhere.
#
# $$dx_t(j) = \frac{1}{N} (\mu_t(j) - [y_t = j])$$
# $$dA_{ij} = \frac{1}{N} \sum_n \sum_{t > 0} (\mu_t(i, j) - [y_{t-1} = i, y_t = j])$$

# %%
truth = np.eye(U)[y]                            # (N, T, U), 1 at the right tag
used = np.zeros((U, U))
np.add.at(used, (y[:, :-1], y[:, 1:]), 1)       # how often y goes from i to j
# ? dx, the gradient of the loss by the emissions, (N, T, U)
dx = (mu - truth) / N
check_derivative("dx", dx, lambda x: loss(x=x), x)
# ? dA, from pairs and used, (U, U)
dA = (pairs.sum(axis=(0, 1)) - used) / N
check_derivative("dA", dA, lambda A: loss(A=A), A)
# ? db, (U,): b stands beside x at the first step
db = dx[:, 0].sum(axis=0)
check_derivative("db", db, lambda b: loss(b=b), b)
de = dx[:, -1].sum(axis=0)
check_derivative("de", de, lambda e: loss(e=e), e)

# %% [markdown]
# ## The best sequence
#
# A trained tagger is to say which sequence is the best. The walk is the same with the
# largest in place of the sum (this is the **Viterbi** search). Each tag remembers from
# where it was reached best.

# %%
ways = alpha_0[:, :, None] + A                  # (N, U, U); alpha_0 has one way to each
# ? source_1, (N, U): for each tag of step 1 the tag before it from where the best way
# ? comes
source_1 = ways.argmax(axis=1)
# ? best_1, (N, U): the score of the best way to each tag of step 1
best_1 = x[:, 1] + ways.max(axis=1)
print("source_1 =", source_1.tolist(), " best_1 =", best_1.tolist())

# %% [markdown]
# At the end take the best tag, with $e$. Then follow the sources back.

# %%
# ? [decode] def decode(x, A, b, e): the tags of the best sequences, (N, T)
def decode(x, A, b, e):
    best, sources = b + x[:, 0], []
    for t in range(1, x.shape[1]):
        ways = best[:, :, None] + A
        sources.append(ways.argmax(axis=1))
        best = x[:, t] + ways.max(axis=1)
    tags = [(best + e).argmax(axis=1)]
    for source in reversed(sources):
        tags.insert(0, source[np.arange(len(x)), tags[0]])
    return np.stack(tags, axis=1)


told = decode(x, A, b, e)
print("best sequences:      ", told.tolist())
print("best tag of each step:", mu.argmax(axis=2).tolist())
assert np.array_equal(told, sequences[scores.argmax(axis=0)])
assert told[0].tolist() == [0, 1, 0]
assert mu[0].argmax(axis=1).tolist() == [1, 1, 0]

# %% [markdown]
# Look at the first sentence. Tag 1 is the likelier one at step 0, and at step 1 too.
# But both together are not likely: $A_{11}$ is low. Who takes the best tag of each step
# gets a sequence that nobody means.
#
# ## The same in the library

# %%
crf = CRF(U, dtype="float64")
crf.build(x.shape)
crf.set_weights([A, b, e])
for room in ("reference", "cpu"):
    crf.to(room).zero_grad()
    value, dy = crf.loss.value_and_gradient(y, crf.forward(x))
    assert np.isclose(value, loss(), rtol=0, atol=1e-14)
    assert np.allclose(crf.backward(dy), dx, rtol=0, atol=1e-14)
    for weight, gradient in zip(crf.weights, (dA, db, de), strict=True):
        assert np.allclose(weight.grad, gradient, rtol=0, atol=1e-14)
    assert np.array_equal(crf.decode(x), told)
    assert np.allclose(crf.marginals(x), mu, rtol=0, atol=1e-14)

# %% [markdown]
# In the library's room for reading your lines stand as steps of one sentence. It takes
# the largest number out of each $\alpha_t$, so that no digits are lost in a long one.

# %%
show_source(decode, "kernels.reference.crf:reach_step",
            "kernels.reference.crf:backward_step", "kernels.reference.crf:best_step")

# %% [markdown]
# The same compiled: `show_source("kernels.cpu.crf:_step_backward")`, and on a GPU:
# `show_source("kernels.cuda.crf:_step_backward")`.
#
# ## A real task: an old card index
#
# Somebody has typed cards without commas: a name, an address, a city, a date, in any
# order, and some are missing. `Lincoln` may be a first name, a last name, a street or a
# city. `5` may be a house, a day, a month or a year. In a date the month may stand in
# front of the day. And each card is filled up with 0.

# %%
words, tags, vocabulary = cards(1100, np.random.default_rng(0))
real = words > 0                                # (1100, 8)
for card in range(2):
    print(*(f"{vocabulary[word]} ({CARD_TAGS[tag]})"
            for word, tag in zip(words[card], tags[card], strict=True) if word))
train, new = slice(600), slice(600, None)
asked = tags[new]
percent = 100 * 0.9 ** 6
assert round(percent) == percent_of_cards

# %% [markdown]
# A card with one wrong word goes into the wrong box. So we count whole cards.

# %%
# ? [cards_right] def cards_right(told, truth, real): the part of the cards whose real
# ? words all have the right tag; all three are (cards, 8)
def cards_right(told, truth, real):
    return np.mean(np.all((told == truth) | ~real, axis=1))


# %% [markdown]
# The baseline asks nobody: each word gets the tag that it had most often.

# %%
counts = np.zeros((len(vocabulary), 8))
np.add.at(counts, (words[train], tags[train]), real[train])
answers = {"most frequent": counts.argmax(axis=1)[words[new]]}
print(f"{cards_right(answers['most frequent'], asked, real[new]):.0%} of the cards")

# %% [markdown]
# ## A real task: three taggers
#
# One has a softmax at each word. One has a CRF, on the same network. The third has no
# LSTM: its emissions know the word alone, as the baseline does.

# %%
def train_tagger(with_lstm, with_crf):
    set_random_seed(0)
    inputs = Input((None,), dtype="int32")
    h = Embedding(len(vocabulary), 16, mask_zero=True)(inputs)
    if with_lstm:
        h = Bidirectional(LSTM(8, return_sequences=True))(h)
    crf = CRF(8)
    last = Dense(8, activation=None if with_crf else "softmax")(h)
    model = Model(inputs, crf(last) if with_crf else last)
    model.compile(Adam(0.02),
                  crf.loss if with_crf else "sparse_categorical_crossentropy")
    model.fit(words[train], tags[train], batch_size=32, epochs=10, verbose=0)
    given = model.predict(words[new], verbose=0)        # (500, 8, 8)
    return crf, crf.decode(given, real[new]) if with_crf else given.argmax(axis=2)


_, answers["LSTM, softmax"] = train_tagger(True, False)
_, answers["words, CRF"] = train_tagger(False, True)
tagger, answers["LSTM, CRF"] = train_tagger(True, True)

# %% [markdown]
# ## A real task: what they got wrong
#
# Beside the part of the words and of the cards we count cards that cannot be: two tags
# side by side that never were in training.

# %%
def side_by_side(tags, real):
    return tags[:, :-1][real[:, 1:]], tags[:, 1:][real[:, 1:]]


known = np.zeros((8, 8), bool)
known[side_by_side(tags[train], real[train])] = True
results = {}
for name, told in answers.items():
    never = ~known[told[:, :-1], told[:, 1:]] & real[new][:, 1:]
    results[name] = (np.mean((told == asked)[real[new]]),
                     cards_right(told, asked, real[new]), never.any(axis=1).mean())
    print("{:13} words {:.0%}  cards {:.0%}  cannot be {:.0%}".format(
        name, *results[name]))
of_cards = {name: result[1] for name, result in results.items()}
assert of_cards["most frequent"] < 0.1
assert of_cards["words, CRF"] > 0.4
assert of_cards["LSTM, CRF"] > of_cards["LSTM, softmax"] + 0.08
assert results["LSTM, CRF"][2] < results["LSTM, softmax"][2]

# %% [markdown]
# The words alone with a CRF know no more of a word than the baseline does. All the rest
# comes from 80 numbers: how well a tag follows another, begins and ends. And with the
# same LSTM the CRF has a few more **words** right, and many more **cards**.

# %%
wrong = ((answers["LSTM, CRF"] != asked) & real[new]).any(axis=1)
for card in np.flatnonzero(wrong)[:4]:
    rows = words[new][card], answers["LSTM, CRF"][card], asked[card]
    print("wrong:", *(vocabulary[word] if told == right else
                      f"{vocabulary[word]} ({CARD_TAGS[told]}, not {CARD_TAGS[right]})"
                      for word, told, right in zip(*rows, strict=True) if word))

# %% [markdown]
# In `3 4 21` nobody can know which is the day: no tagger can be right there but by
# chance.
#
# ## A picture: what follows what
#
# Left the learnt transitions, `A[i, j]`, from row to column. Right the counts above.

# %%
transitions = tagger.get_weights()[0]           # (8, 8)
save_figure(draw_tagging(transitions, CARD_TAGS, results), "26d_tagging")
first, last, month = (CARD_TAGS.index(tag) for tag in ("first", "last", "month"))
assert transitions[first, last] > transitions[first, first]
assert transitions[first, last] > transitions[first, month]

# %% [markdown]
# You can read the cards' grammar in it: a blue field is a pair that goes together.
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 26d my_answer.py`.
#
# 1. On paper: two steps, two tags, $x = 0$, $b = e = 0$, and $e^A$ is 1, 3 in its first
#    row, and 2, 1 in its second. Set `Z`, the probability `p` of the tags $(0, 1)$, and
#    `mu_0`, the probabilities of the two tags at step 0 (2 numbers).
# 2. The whole gradient: `crf_gradient(x, A, b, e, y)` with the shapes of this lesson
#    and any N, T, U. Return `dx, dA, db, de` of the mean loss.
# 3. A bug: the function below finds the best score, but not always the best sequence.
#    Write it right as `fixed_best_tags(x, A, b, e)`, for one sentence, x (T, U). It
#    returns (T,) tags.
# 4. An experiment: without logarithms. Let all weights be 0, so $Z = 8^T$ for eight
#    tags. How long may a sentence be before $Z$ is infinite? Set `longest`, the largest
#    T for which `np.float64(8) ** T` is finite, and `longest_32` for `np.float32(8)`.
#
# ```python
# def best_tags(x, A, b, e):
#     best, sources = b + x[0], []
#     for t in range(1, len(x)):
#         ways = best[:, None] + A
#         sources.append(ways.argmax(axis=1))
#         best = x[t] + ways.max(axis=0)
#     tags = [(best + e).argmax()]
#     for source in reversed(sources):
#         tags.insert(0, source[tags[0]])
#     return np.array(tags)
# ```
