# %% [markdown]
# # Lesson 26e · Program: speech sounds, with CTC
#
# *About 35 minutes.* Somebody says three vowels. The microphone gives thirty steps.
# Which steps belong to which vowel? Nobody has written that down, and nobody wants to.
# **Connectionist temporal classification** (CTC) needs no such list: it adds up all
# ways in which the steps may belong to the vowels. You write the two walks, forward and
# backward, the gradient, and the way from steps back to vowels. Then a network learns
# to hear vowels of voices that it does not know.
#
# ## A question first
#
# At each step the network names one class: a vowel, or the **blank**, which means
# nothing new. Then repeats are merged, and blanks are taken out. So `aa-b` (the blank
# is `-`) reads as `ab`, and `a-ab` reads as `aab`.

# %%
from itertools import product

import numpy as np

from lessons.data import SPEECH_VOWELS, utterances
from lessons.figures import draw_speech
from nblayers.devices import device
from nblayers.layers import LSTM, Bidirectional, Dense, Input, Masking
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import CTC
from nblayers.models import Model
from nblayers.optimizers import Adam
from nblayers.utils import ctc_decode, set_random_seed

# %%
# ? guess: a path names one class at each step. How many paths of three steps read as
# ? `ab`?
paths_of_ab = 5
# ? guess: and how many of three steps read as `aa`?
paths_of_aa = 1

# %% [markdown]
# ## Numbers for paper
#
# Two samples ($N = 2$) of three steps ($T = 3$), and three classes ($C = 3$): 0 is the
# blank, 1 is `a`, 2 is `b`. The network gives logits $x$. A softmax makes probabilities
# of them at each step (lesson 04). The first sample is to read as `ab`, the second as
# `aa`.

# %%
N, T, C = 2, 3, 3
x = np.array([[[0.0, 1.0, 0.5], [1.0, 0.0, 0.0], [0.0, -0.5, 1.0]],
              [[0.5, 1.0, 0.0], [0.0, 0.5, -1.0], [0.0, 1.0, 0.5]]])    # (N, T, C)
labels = np.array([[1, 2], [1, 1]])             # (N, L)
log_p = x - np.logaddexp.reduce(x, axis=2, keepdims=True)
p = np.exp(log_p)                               # (N, T, C)
print("p of the first sample:", *p[0].round(2))

# %% [markdown]
# ## From a path to its reading
#
# Merge first, then take out the blanks. So a class counts where it differs from the one
# before it, and is not 0. The first step has none before it. (`np.diff` with
# `prepend=-1` gives the differences, as if a -1 stood in front.)

# %%
# ? [read] def read(path): the labels that an array of classes (T,) reads as; the blank
# ? is 0
def read(path):
    is_new = np.diff(path, prepend=-1) != 0
    return path[is_new & (path != 0)]


assert read(np.array([1, 1, 0, 2])).tolist() == [1, 2]
assert read(np.array([1, 0, 1, 2])).tolist() == [1, 1, 2]
paths = np.array(list(product(range(C), repeat=T)))             # (27, T)
readings = [read(path).tolist() for path in paths]
assert readings.count([1, 2]) == paths_of_ab
assert readings.count([1, 1]) == paths_of_aa

# %% [markdown]
# Between two equal labels there must be a blank. So `aa` needs three steps.
#
# The probability of a path is the product over its steps. That of the labels $l$ is the
# sum over all paths that read as $l$. Here are 27 paths; we can try each.
#
# $$p(l) = \sum_{paths \to l} \prod_t p_t(path_t) \tag{004.App.CTC}$$

# %%
of_paths = np.exp(log_p[:, np.arange(T), paths].sum(axis=2))    # (N, 27)
log_l_of_all = np.zeros(N)
for n in range(N):
    fits = [reading == labels[n].tolist() for reading in readings]
    log_l_of_all[n] = np.log(of_paths[n, fits].sum())
print("log p(l) =", log_l_of_all.round(3))
assert np.allclose(of_paths.sum(axis=1), 1)

# %% [markdown]
# ## States
#
# A path walks through the labels, with a blank before, between and behind them. These
# $S = 2 L + 1$ **states** are called $l'$: for `ab` they are `- a - b -`.

# %%
S = 2 * labels.shape[1] + 1
states = np.zeros((N, S), int)                  # 0 is the blank
# ? [states] put the labels into every second state, beginning with state 1
states[:, 1::2] = labels
print("states:", *states)

# %% [markdown]
# ## A picture of the computation
#
# ```
# ab:   - ──→ a ──→ - ──→ b ──→ -         each state leads to itself, too
#             ╰───────────╯
#                 jump
#
# aa:   - ──→ a ──→ - ──→ a ──→ -         no jump
#
#       ↑     ↑           ↑     ↑
#      a path begins     a path ends
#      in one of these   in one of these
# ```
#
# From a state a step leads to the same state or to the next one. It may also jump over
# a blank, from `a` to `b`. But not between two equal labels: `aa` without a blank would
# be read as `a`. A path begins in state 0 or 1, and ends in one of the last two.

# %%
may_jump = np.zeros((N, S), bool)               # may a step jump into state s?
# ? [may_jump] set it for the labels from the second on (the states 3, 5, …)
may_jump[:, 3::2] = labels[:, 1:] != labels[:, :-1]
print("may_jump:", *may_jump.astype(int))
assert may_jump[0, 3] and not may_jump[1, 3]

# %% [markdown]
# ## Forward: alpha
#
# $\alpha_t(s)$ is the logarithm of a sum: over all ways that are in state $s$ at step
# $t$, with their emissions so far. Three sums at most, for each state:
#
# $$\alpha_t(s) = \log p_t(l'_s) + \log (e^{\alpha_{t-1}(s)} + e^{\alpha_{t-1}(s-1)}
#   + jump_s \, e^{\alpha_{t-1}(s-2)})$$
#
# Where there is no way, $\alpha$ should be $\log 0 = -\infty$. We take $-100$: its
# exponential is $10^{-44}$, so nobody sees it in a sum. `ahead(a, k)` moves each
# state's number $k$ states on.

# %%
NEVER = -100.0


def ahead(a, k):
    moved = np.full_like(a, NEVER)
    moved[:, k:] = a[:, :-k]
    return moved


log_p_s = np.take_along_axis(log_p, states[:, None], axis=2)    # (N, T, S)
alpha_0 = np.full((N, S), NEVER)
alpha_0[:, :2] = log_p_s[:, 0, :2]              # the first two states
stays_or_steps = np.logaddexp(alpha_0, ahead(alpha_0, 1))       # (N, S)
jumps = np.where(may_jump, ahead(alpha_0, 2), NEVER)            # (N, S)
# ? alpha_1, (N, S), from stays_or_steps, jumps and log_p_s
alpha_1 = log_p_s[:, 1] + np.logaddexp(stays_or_steps, jumps)
print("e^alpha_1 =", *np.exp(alpha_1).round(3))

# %% [markdown]
# ## Forward: all steps
#
# Now as a function. At the end the last two states count:
#
# $$\log p(l) = \log (e^{\alpha_{T-1}(S-1)} + e^{\alpha_{T-1}(S-2)})$$

# %%
def forward(log_p_s):
    alpha = np.full_like(log_p_s, NEVER)
    alpha[:, 0, :2] = log_p_s[:, 0, :2]
    for t in range(1, log_p_s.shape[1]):
        before = alpha[:, t - 1]
        ways = np.logaddexp(before, ahead(before, 1))
        jumps = np.where(may_jump, ahead(before, 2), NEVER)
        alpha[:, t] = log_p_s[:, t] + np.logaddexp(ways, jumps)
    return alpha


alpha = forward(log_p_s)                        # (N, T, S)
assert np.allclose(alpha[:, 1], alpha_1)
# ? log_l, log p(l) of each sample, (N,)
log_l = np.logaddexp(alpha[:, -1, -1], alpha[:, -1, -2])
print("log p(l) =", log_l.round(3))
assert np.allclose(log_l, log_l_of_all)

# %% [markdown]
# The loss is $-\log p(l)$, the mean over the samples. A step costs $3 S$ sums. The
# number of paths does not matter any more.
#
# ## Backward: beta
#
# The same walk from the end. $\beta_t(s)$ sums over all ways **from** state $s$ at step
# $t$ to the end, without the emission of step $t$ itself: that one is in $\alpha_t$.
#
# $$\beta_{T-1}(s) = 0 \; \text{in the last two states}$$
# $$\beta_t(s) = \log (e^{g(s)} + e^{g(s+1)} + jump_{s+2} \, e^{g(s+2)})
#   \qquad g(s) = \beta_{t+1}(s) + \log p_{t+1}(l'_s)$$
#
# `back(a, k)` moves each state's number $k$ states back.

# %%
def back(a, k):
    return ahead(a[:, ::-1], k)[:, ::-1]


beta_2 = np.full((N, S), NEVER)
beta_2[:, -2:] = 0
g = beta_2 + log_p_s[:, 2]                      # (N, S)
# ? beta_1, (N, S), from g: stay, step, or jump (by back, may_jump and NEVER); mind
# ? that may_jump belongs to the state that the jump leads INTO
beta_1 = np.logaddexp(np.logaddexp(g, back(g, 1)),
                      back(np.where(may_jump, g, NEVER), 2))
print("e^beta_1 =", *np.exp(beta_1).round(3))

# %% [markdown]
# Now the walk over all steps.

# %%
beta = np.full((N, T, S), NEVER)
beta[:, -1, -2:] = 0
# ? [beta] the walk back, for t in reversed(range(T - 1)): fill beta[:, t]
for t in reversed(range(T - 1)):
    g = beta[:, t + 1] + log_p_s[:, t + 1]
    stays_or_steps = np.logaddexp(g, back(g, 1))
    jumps = back(np.where(may_jump, g, NEVER), 2)
    beta[:, t] = np.logaddexp(stays_or_steps, jumps)
assert np.allclose(beta[:, 1], beta_1)
first = alpha[:, 0] + beta[:, 0]                # all ways, by their first state
assert np.allclose(np.logaddexp.reduce(first, axis=1), log_l)

# %% [markdown]
# ## Backward: where are we at step t?
#
# $\alpha_t(s) + \beta_t(s)$ is the logarithm of a sum over all paths that pass state
# $s$ at step $t$. Divide by all paths. That is a probability: of state $s$ at step $t$,
# if the labels are $l$.
#
# $$\gamma_t(s) = e^{\alpha_t(s) + \beta_t(s) - \log p(l)}$$

# %%
# ? gamma, (N, T, S)
gamma = np.exp(alpha + beta - log_l[:, None, None])
print("gamma of the first sample:", *gamma[0].round(2), sep="\n   ")
assert np.allclose(gamma.sum(axis=2), 1)


def log_l_of(log_p_s):
    return np.logaddexp.reduce(forward(log_p_s)[:, -1, -2:], axis=1)


check_derivative("gamma", gamma, lambda v: log_l_of(v).sum(), log_p_s)

# %% [markdown]
# So $\gamma$ **is** the gradient of $\log p(l)$ by the emissions of the states. Several
# states have the same class: add them up.
#
# $$\gamma_t(k) = \sum_{s: l'_s = k} \gamma_t(s)$$

# %%
is_class = np.eye(C)[states]                    # (N, S, C), 1 at the state's class
# ? heard, (N, T, C): gamma by class, from gamma and is_class
heard = gamma @ is_class
print("heard of the first sample:", *heard[0].round(2))

# %% [markdown]
# ## Backward: through the softmax
#
# The gradient of $-\log p(l)$ by $\log p_t(k)$ is $-\gamma_t(k)$. Then comes the
# softmax. Lesson 04 has shown how it collapses. There the truth was a single 1 at each
# step. Here it is $\gamma_t$, which sums to 1 as well.
#
# $$dx_t(k) = \frac{1}{N} (p_t(k) - \gamma_t(k))$$

# %%
def loss(x):
    log_p = x - np.logaddexp.reduce(x, axis=2, keepdims=True)
    return -log_l_of(np.take_along_axis(log_p, states[:, None], axis=2)).mean()


# ? dx, the gradient of the loss by the logits, (N, T, C)
dx = (p - heard) / N
check_derivative("dx", dx, loss, x)
print("dx of the first sample:", *dx[0].round(2))

# %% [markdown]
# So CTC makes its own truth: from what the network thinks now, and from the labels. It
# pulls the network there, and asks again.
#
# ## The same in the library

# %%
ctc = CTC()
for room in ("reference", "cpu"):
    with device(room):
        value, dy = ctc.value_and_gradient(labels, x)
    assert np.isclose(value, loss(x), rtol=0, atol=1e-14)
    assert np.allclose(dy, dx, rtol=0, atol=1e-14)

# %% [markdown]
# In the library's room for reading $\gamma$ is walked back itself, without $\beta$.
# What arrives at a state is shared among the states before it.

# %%
show_source(forward, "kernels.reference.ctc:reach_step",
            "kernels.reference.ctc:backward_step")

# %% [markdown]
# The same compiled: `show_source("kernels.cpu.ctc:_step_backward")`, and on a GPU:
# `show_source("kernels.cuda.ctc:_step_backward")`.
#
# ## From logits to labels
#
# After training there are no labels. What has the network heard? The **greedy** way:
# take the likeliest class of each step, then read.

# %%
# ? [decode] def decode(x): a list of readings, one for each sample of x (N, T, C)
def decode(x):
    return [read(path) for path in x.argmax(axis=2)]


print("heard:", [reading.tolist() for reading in decode(x)])
given, _ = ctc_decode(x, [T, T])                # (1, N, T), -1 behind the labels
for reading, row in zip(decode(x), given[0], strict=True):
    assert np.array_equal(reading, row[row >= 0])
given, scores = ctc_decode(x, [T, T], strategy="beam_search", beam_width=27)
chances = [of_paths[0, [other == reading for other in readings]].sum()
           for reading in readings]
best = readings[int(np.argmax(chances))]
print("the likeliest reading of the first sample:", best)
assert given[0, 0][given[0, 0] >= 0].tolist() == best

# %% [markdown]
# The likeliest path need not have the likeliest reading: a reading has many paths. Beam
# search adds them up. Where a network is sure of each step, both agree.
#
# ## A real task: vowels
#
# A vowel has two **formants**: bands of frequencies in which it is loud. For an `i`
# they lie near 270 and 2290 Hz. In a shorter throat all of them are higher, so an `o`
# of one voice may look like an `a` of another. Ours are generated: each step has the
# loudness of twelve bands. A voice says two to four vowels. Each takes two to seven
# steps, and they glide into each other. Some have a pause between them.

# %%
sounds, vowels = utterances(600, np.random.default_rng(0))
steps = (sounds != 0).any(axis=2).sum(axis=1)   # (600,)
counts = (vowels > 0).sum(axis=1)               # (600,)
print(f"sounds {sounds.shape}, vowels {vowels.shape}, {steps.mean():.0f} steps each")
train, new = slice(300), slice(300, None)

# %% [markdown]
# How wrong is a reading? Count the fewest labels to put in, take out or change until it
# is right: the **edit distance**. `costs[j]` is the distance of what was read so far to
# the first $j$ labels of the truth.

# %%
# ? [distance] def distance(said, truth): the edit distance of two sequences
def distance(said, truth):
    costs = list(range(len(truth) + 1))
    for i, label in enumerate(said):
        before, costs = costs, [i + 1]
        for j, right in enumerate(truth):
            change = before[j] + (label != right)
            costs.append(min(change, before[j + 1] + 1, costs[j] + 1))
    return costs[-1]


def judge(classes):
    """The error rate, the part of sounds without an error, and all distances."""
    errors = np.array([distance(read(row[:length]), truth[:count]) for
                       row, length, truth, count in
                       zip(classes, steps[new], vowels[new], counts[new], strict=True)])
    return errors.sum() / counts[new].sum(), np.mean(errors == 0), errors


# %% [markdown]
# ## A real task: two baselines
#
# Without CTC somebody has to say which steps are which vowel. The simplest way: cut
# each sound into equal parts, one for each vowel. Then take the mean sound of each
# vowel, and call each step by the nearest mean. A quiet step is a blank.

# %%
parts = np.zeros(sounds.shape[:2], int)         # (600, longest)
for row, sound, count, length in zip(parts, vowels, counts, steps, strict=True):
    row[:length] = sound[np.arange(length) * count // length]
means = np.array([sounds[train][parts[train] == k].mean(axis=0) for k in range(1, 6)])
away = ((sounds[new, :, None] - means) ** 2).sum(axis=3)        # (300, longest, 5)
is_quiet = sounds[new].sum(axis=2) < 2
answers = {"equal parts, nearest mean": np.where(is_quiet, 0, away.argmin(axis=2) + 1)}

# %% [markdown]
# The second baseline is a network that learns these equal parts, with a softmax and the
# cross-entropy at each step. For it, too, a quiet step is a blank. Then comes the same
# network with CTC. Nobody tells it what quiet means.

# %%
def train_network(loss, last, target):
    set_random_seed(0)
    inputs = Input((None, 12))
    h = Bidirectional(LSTM(16, return_sequences=True))(Masking()(inputs))
    model = Model(inputs, Dense(6, activation=last)(h))
    model.compile(Adam(0.01), loss)
    model.fit(sounds[train], target[train], batch_size=20, epochs=20, verbose=0)
    return model.predict(sounds[new], verbose=0)        # (300, longest, 6)


taught = train_network("sparse_categorical_crossentropy", "softmax", parts)
answers["equal parts, LSTM"] = np.where(is_quiet, 0, taught.argmax(axis=2))
logits = train_network(CTC(), None, vowels)
answers["CTC, LSTM"] = logits.argmax(axis=2)

# %% [markdown]
# ## A real task: what they got wrong

# %%
results = {}
for name, classes in answers.items():
    *results[name], errors = judge(classes)
    print("{:26} {:.0%} of the vowels wrong, {:.0%} of the sounds right".format(
        name, *results[name]))
assert results["CTC, LSTM"][0] < 0.2
assert results["CTC, LSTM"][0] < 0.8 * results["equal parts, LSTM"][0]
assert results["CTC, LSTM"][0] < 0.5 * results["equal parts, nearest mean"][0]
assert results["CTC, LSTM"][1] > 0.6
for n in np.flatnonzero(errors)[:5]:
    said = read(answers["CTC, LSTM"][n][:steps[new][n]])
    print("wrong:", *(SPEECH_VOWELS[k] for k in said), " for ",
          *(SPEECH_VOWELS[k] for k in vowels[new][n] if k))

# %% [markdown]
# The network with CTC was told less than the other: no step has a label. But what it
# was told is true.
#
# ## A picture: what the network says at each step
#
# Above a sound, its bands from low to high. In the middle the probabilities of the
# network with CTC: the blank is dotted. Below what the loss would have liked to hear,
# $\gamma_t(k)$.

# %%
n = int(np.argmax(steps[new] * (errors == 0)))  # the longest one without an error
length, truth = steps[new][n], vowels[new][n]
one = logits[n:n + 1, :length].astype(float)
said = np.exp(one - np.logaddexp.reduce(one, axis=2, keepdims=True))[0]
wanted = said - CTC().gradient(truth[None], one)[0]     # from dx = p - gamma
assert np.allclose(wanted.sum(axis=1), 1)
save_figure(draw_speech(sounds[new][n, :length], said, wanted, SPEECH_VOWELS, results),
            "26e_speech")

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check 26e my_answer.py`.
#
# 1. On paper: two steps, the classes blank and `a`. The probabilities are (1/2, 1/2) at
#    step 0 and (1/4, 3/4) at step 1. The labels are `a`. Set `p_l`, and `gamma_0`, the
#    probabilities of blank and `a` at step 0 if the labels are `a`. And `dx_0` (2
#    numbers), for $N = 1$.
# 2. The whole backward: `ctc_gradient(x, labels)` for logits x (N, T, C) and labels
#    (N, L) from 1 to C - 1, all N rows of them full. Return `losses, dx`: $-\log p(l)$
#    of each sample, (N,), and the gradient of their mean.
# 3. A bug: the function below reads most paths right. Write it right as
#    `fixed_merge(path)`.
# 4. An experiment: how many paths of ten steps read as `ab`, and how many as `aa`? Set
#    `paths_ab` and `paths_aa`. (With $\log p = 0$ everywhere $\alpha$ counts them.)
#
# ```python
# def merge(path):
#     path = path[path != 0]
#     is_new = np.diff(path, prepend=-1) != 0
#     return path[is_new]
# ```
