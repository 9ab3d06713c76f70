# %% [markdown]
# # Lesson 26g · A tune goes on: one note is two things
#
# *About 35 minutes.* A note has a pitch and a length. So the network has two inputs and
# two answers at each step. You write how two tables of vectors, two losses and their
# gradients come together. Then it hears a minuet and goes on with it (004.App.Music),
# beside a chain that knows the last note only. And then it is asked for bars that it
# has never heard.
#
# ## A question first
#
# The minuet has two parts, A and B, and each is played twice: A A B B. The network
# hears A A B. Then it is asked for the second B, note by note. It is told each right
# note afterwards.

# %%
import numpy as np

from lessons.data import minuet
from lessons.figures import draw_tunes
from nblayers.layers import LSTM, Concatenate, Dense, Embedding, Input
from nblayers.learn.graph import cell, show_graph
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.models import Model
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# %%
# ? guess: who predicts more of the second B, "network" or "chain"?
knows_it = "network"
# ? guess: both have heard A, A and the first half of B. Who loses fewer bits on the
# ? second half, which they have never heard, "network" or "chain"?
better_on_new = "chain"

# %% [markdown]
# ## Numbers for paper: pitch and time
#
# The tune is typed in as figures. Here is its first bar. Pitches are numbered like the
# keys of a piano, black ones included: 69 is the A of 440 Hz. Lengths are in eighths.

# %%
pitches = np.array([74, 67, 69, 71, 72])        # D G A B C
lengths = np.array([2, 1, 1, 1, 1])

# %% [markdown]
# Twelve keys to the right the frequency is twice as large, and each key makes it larger
# by the same factor:
#
# $$f = 440 \cdot 2^{(m - 69) / 12}$$

# %%
# ? frequency, of each of the pitches, in Hz
frequency = 440 * 2 ** ((pitches - 69) / 12)
print("Hz:", frequency.round(1).tolist())
# ? begins, when each note begins, in eighths: the first one at 0
begins = np.cumsum(lengths) - lengths
print("begins:", begins.tolist())
assert frequency[2] == 440 and begins[-1] + lengths[-1] == 6

# %% [markdown]
# ## Forward: two tables, side by side
#
# For the network pitches and lengths are *kinds*, numbered from 0. Each kind has a row
# of numbers that is learned (an Embedding, lesson 12): a table `E` for the pitches, a
# table `F` for the lengths. A note is both rows, side by side.
#
# $$Concatenate(x_1, x_2, \ldots, x_n, axis) \tag{001.15.Concatenate}$$
#
# Two tunes ($N = 2$) of three notes ($T = 3$), with four pitches and two lengths:

# %%
N, T = 2, 3
pitch = np.array([[0, 2, 2],
                  [3, 0, 2]])                   # (N, T)
length = np.array([[1, 0, 0],
                   [0, 1, 0]])                  # (N, T)
E = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5], [2.0, -1.0]])        # (4, 2)
F = np.array([[0.5], [-0.5]])                   # (2, 1)
# ? x, the notes, (N, T, 3): rows of E, then rows of F
x = np.concatenate([E[pitch], F[length]], axis=2)
print("x of the first tune:", x[0].tolist())

# %% [markdown]
# ## A picture of the computation
#
# An LSTM reads the notes. Of each step it makes an $h$, from which both answers are
# made.

# %%
show_graph(cell("lstm"))

# %% [markdown]
# ## Forward: two answers, one loss
#
# Two Dense layers read the same $h$: one says the next pitch, the other one the next
# length. (We leave out their biases.) The two cross-entropies are added. The
# probability of a note is the product of both, and so the logarithms add up.
#
# $$z = h V \qquad r = h R \qquad
#   L = -\frac{1}{N T} \sum_{n, t} (\log p_{right} + \log q_{right})$$

# %%
h = np.array([[[1.0, 0.0], [0.5, -1.0], [0.0, 0.5]],
              [[-1.0, 1.0], [0.0, 2.0], [1.0, 1.0]]])           # (N, T, 2)
V = np.array([[1.0, 0.0, -1.0, 0.5],
              [0.0, 1.0, 0.5, -0.5]])           # (2, 4), to pitches
R = np.array([[1.0, -1.0],
              [0.5, 0.0]])                      # (2, 2), to lengths
next_pitch = np.eye(4)[[[2, 2, 1], [0, 2, 3]]]  # (N, T, 4), 1 at the right one
next_length = np.eye(2)[[[0, 0, 1], [1, 0, 0]]]                 # (N, T, 2)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


z, r = h @ V, h @ R
p, q = softmax(z), softmax(r)                   # of pitches, of lengths
of_note = np.sum(next_pitch * p, axis=2) * np.sum(next_length * q, axis=2)
# ? loss, the mean over all notes, from of_note (N, T): probabilities of the right notes
loss = -np.log(of_note).mean()
print("loss =", loss.round(4))


def loss_of(h):
    p, q = softmax(h @ V), softmax(h @ R)
    return -np.mean(np.log(np.sum(next_pitch * p, axis=2))
                    + np.log(np.sum(next_length * q, axis=2)))


assert np.isclose(loss, loss_of(h))

# %% [markdown]
# ## Backward: two losses, one state
#
# Each answer has a gradient of its own; lesson 04 has the line. Both come to the same
# $h$.

# %%
# ? dz, by the scores of the pitches, (N, T, 4)
dz = (p - next_pitch) / (N * T)
check_derivative("dz", dz, lambda z: -np.mean(
    np.log(np.sum(next_pitch * softmax(z), axis=2))), z)
dr = (q - next_length) / (N * T)                # (N, T, 2)
# ? dh, all that arrives at the state, (N, T, 2)
dh = dz @ V.T + dr @ R.T
check_derivative("dh", dh, loss_of, h)

# %% [markdown]
# $$dh = dz \, V^\top + dr \, R^\top$$
#
# Then it goes back through the LSTM. You have written that in lesson 08. What comes out
# at its lower end is `dx`.
#
# ## Backward: two tables
#
# `x` was put together of two parts, and `dx` falls into the same parts. Pitch 2 stands
# in it three times, and its row gets the sum of all three.

# %%
dx = np.arange(18.0).reshape(N, T, 3)           # (N, T, 3), whatever arrives
dE = np.zeros_like(E)
# ? [dE] (4, 2): add each row of dx, its part for E, to the row of its pitch
for row, k in zip(dx.reshape(-1, 3), pitch.ravel(), strict=True):
    dE[k] += row[:2]
print("dE =", dE.tolist())
check_derivative("dE", dE, lambda E: np.sum(
    dx * np.concatenate([E[pitch], F[length]], axis=2)), E)
assert not dE[1].any()                          # pitch 1 does not occur

# %% [markdown]
# ## A baseline: a chain
#
# What comes after a note, if one knows this note only? Count it. That is a **Markov
# chain**. Here `note` is one number for a pitch and a length together.
#
# A tune is short, so most pairs are never seen. We mix in the shares of the notes, as
# if each note had been followed once more, by a note drawn at random:
#
# $$p_{jk} = \frac{c_{jk} + share_k}{\sum_k c_{jk} + 1}$$

# %%
note = 2 * pitch + length                       # (N, T), from 0 to 7
counts = np.zeros((8, 8))
np.add.at(counts, (note[:, :-1], note[:, 1:]), 1)
share = np.bincount(note.ravel(), minlength=8) / note.size
# ? chain, (8, 8): what comes after each note, from counts and share
chain = (counts + share) / (counts.sum(axis=1, keepdims=True) + 1)
print(chain.round(2))
assert np.allclose(chain.sum(axis=1), 1)

# %% [markdown]
# ## What counts
#
# A note is right if pitch **and** length are. On paper, five notes, pitch and length:

# %%
said = np.array([[74, 2], [67, 1], [69, 2], [72, 1], [72, 2]])
truth = np.array([[74, 2], [67, 1], [69, 1], [71, 1], [72, 1]])
# ? right, the share of the notes that are right, from said and truth, (5, 2) each
right = np.all(said == truth, axis=1).mean()
print("right:", right)

# %% [markdown]
# ## The same in the library
#
# The layers on the same numbers: the tables, and the two answers.

# %%
table = Embedding(4, 2, dtype="float64").to("reference")
table.build(pitch.shape)
table.set_weights([E])
assert np.array_equal(table.forward(pitch), x[..., :2])
table.backward(dx[..., :2])
assert np.array_equal(table.weights[0].grad, dE)
arriving = 0
for weights, gradient in ((V, dz), (R, dr)):
    dense = Dense(weights.shape[1], use_bias=False, dtype="float64").to("reference")
    dense.build(h.shape)
    dense.set_weights([weights])
    dense.forward(h)
    arriving = arriving + dense.backward(gradient)
assert np.allclose(arriving, dh, rtol=0, atol=1e-15)
show_source("kernels.reference.core:embedding_backward")

# %% [markdown]
# A `Model` with two outputs does the sum by itself. `compile` is given a loss for each
# of them, and adds them up.
#
# ## A real task: the minuet
#
# Christian Petzold wrote it before 1725. We have its upper voice, 32 bars.

# %%
A, B = minuet()                                 # (notes, 2) each: pitch, length
assert A[:, 1].sum() == B[:, 1].sum() == 16 * 6
NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
print("A begins:", *(f"{NAMES[m % 12]}{m // 12 - 1}" for m in A[:9, 0]))
PITCHES, LENGTHS = (np.unique(column) for column in np.concatenate([A, B]).T)
print(f"{len(A)} and {len(B)} notes, {len(PITCHES)} pitches, lengths {LENGTHS}")
P, M, T = len(PITCHES), len(LENGTHS), 32


def kinds(notes):
    return np.stack([np.searchsorted(PITCHES, notes[:, 0]),
                     np.searchsorted(LENGTHS, notes[:, 1])], axis=1)


# %% [markdown]
# ## A real task: training
#
# It reads windows of 32 notes, and is asked at each of them for the next one. A window
# begins at every third note; the last window ends where the tune ends.

# %%
def train(heard):
    set_random_seed(0)
    pitch, length = Input((None,), dtype="int32"), Input((None,), dtype="int32")
    x = Concatenate()([Embedding(P, 16)(pitch), Embedding(M, 4)(length)])
    h = LSTM(48, return_sequences=True)(x)
    answers = [Dense(P, activation="softmax")(h), Dense(M, activation="softmax")(h)]
    model = Model([pitch, length], answers)
    model.compile(Adam(0.01, global_clipnorm=1.0),
                  ["sparse_categorical_crossentropy"] * 2)
    starts = np.arange(len(heard) - T - 1, -1, -3)
    windows = kinds(heard)[starts[:, None] + np.arange(T + 1)]  # (windows, T + 1, 2)
    model.fit([windows[:, :-1, 0], windows[:, :-1, 1]],
              [windows[:, 1:, 0], windows[:, 1:, 1]],
              batch_size=16, epochs=60, verbose=0)
    return model


def make_chain(heard):
    note = kinds(heard) @ [M, 1]
    counts = np.zeros((P * M, P * M))
    np.add.at(counts, (note[:-1], note[1:]), 1)
    share = (np.bincount(note, minlength=P * M) + 1) / (len(note) + P * M)
    return (counts + share) / (counts.sum(axis=1, keepdims=True) + 1)


# %% [markdown]
# ## A real task: the exam
#
# For each note of the exam both are told all that was played before. The probabilities
# of all notes, (notes, P, M), are compared with what came.

# %%
def ask(model, heard, asked):
    tune = kinds(np.concatenate([heard, asked]))
    at = np.arange(len(heard), len(tune))
    read = tune[at[:, None] + np.arange(-T, 0)]                 # (notes, T, 2)
    p, q = model.predict([read[..., 0], read[..., 1]], verbose=0)
    return p[:, -1, :, None] * q[:, -1, None, :]


def ask_chain(chain, heard, asked):
    before = np.concatenate([heard[-1:], asked[:-1]])
    return chain[kinds(before) @ [M, 1]].reshape(-1, P, M)


def grade(of_notes, asked):
    of_truth = of_notes[(np.arange(len(asked)), *kinds(asked).T)]
    likeliest = of_notes.reshape(len(asked), -1).argmax(axis=1)
    return likeliest == kinds(asked) @ [M, 1], -np.log2(of_truth)


# %%
HALF = 32                                       # notes: the first eight bars of B
tasks = {"the second B": (np.concatenate([A, A, B]), B),
         "bars never heard": (np.concatenate([A, A, B[:HALF]]), B[HALF:])}
bits, shares, models = {}, {}, {}
for task, (heard, asked) in tasks.items():
    models[task] = train(heard), make_chain(heard)
    answers = {"network": ask(models[task][0], heard, asked),
               "chain": ask_chain(models[task][1], heard, asked)}
    graded = {name: grade(of_notes, asked) for name, of_notes in answers.items()}
    shares[task] = {name: right.mean() for name, (right, _) in graded.items()}
    bits[task] = {name: cost.mean() for name, (_, cost) in graded.items()}
    for name in answers:
        print(f"{task}, {name}: {shares[task][name]:.0%} of the notes right, "
              f"{bits[task][name]:.1f} bits a note")

# %% [markdown]
# ## What it got wrong

# %%
by_heart, new = shares["the second B"], bits["bars never heard"]
assert max(by_heart, key=by_heart.get) == knows_it
assert min(new, key=new.get) == better_on_new
assert by_heart["network"] > by_heart["chain"] + 0.3
model, chain = models["bars never heard"]
heard, asked = tasks["bars never heard"]
of_notes = ask(model, heard, asked).reshape(len(asked), -1)
for k in range(6):
    most = of_notes[k].argmax()
    print(f"note {k}: {of_notes[k, most]:.0%} for {PITCHES[most // M]}, "
          f"{LENGTHS[most % M]} long; it is {asked[k, 0]}, {asked[k, 1]} long")
print(f"{model.count_params()} weights, {len(heard)} notes heard")
assert of_notes.max(axis=1).mean() > 0.5

# %% [markdown]
# What it has heard, it knows by heart. But in bars that it has never heard it is worse
# than the chain. It is not only wrong, it is *sure*, and that costs many bits. It has
# not learned how tunes go, it has learned this one. With far more weights than notes
# that is what to expect. To learn how tunes go it would have to hear thousands of them.
#
# ## A picture: how it goes on
#
# Now nobody tells the right notes any more: each goes on from its own. They are given
# the first ten notes of B. The likeliest note is taken each time.

# %%
def go_on(model, notes, count):
    for _ in range(count):
        read = kinds(notes[-T:])[None]                          # (1, T, 2)
        p, q = model.predict([read[..., 0], read[..., 1]], verbose=0)
        note = PITCHES[p[0, -1].argmax()], LENGTHS[q[0, -1].argmax()]
        notes = np.concatenate([notes, [note]])
    return notes


def chain_goes_on(chain, notes, count):
    for _ in range(count):
        k = chain[kinds(notes[-1:])[0] @ [M, 1]].argmax()
        notes = np.concatenate([notes, [[PITCHES[k // M], LENGTHS[k % M]]]])
    return notes


GIVEN = 10
model, chain = models["the second B"]
heard = tasks["the second B"][0]
begun = np.concatenate([heard, B[:GIVEN]])
played = {"B": B,
          "the network goes on": go_on(model, begun, len(B) - GIVEN)[len(heard):],
          "the chain goes on": chain_goes_on(chain, begun, len(B) - GIVEN)[len(heard):]}
save_figure(draw_tunes(played, GIVEN, bits), "26g_tune")
for name, tune in played.items():
    same = np.all(tune == B, axis=1)[GIVEN:].mean()
    print(f"{name}: {same:.0%} of the notes")
    assert (same > 0.7) == (name != "the chain goes on")

# %% [markdown]
# The network plays it from memory. The chain falls into a hole: after that G, G is the
# likeliest note, and so on for ever. Drawing by chance would help it out (lesson 26b).
#
# ## Exercises
#
# Write your answers into a file and run `nblayers check 26g my_answer.py`.
#
# 1. On paper: set `frequencies`, of the pitches 57 and 81. Four notes have the lengths
#    2, 1, 1, 2: set `begins`. The right pitch has the probability 1/4, and the right
#    length 1/2: set `bits`, of this note.
# 2. **A whole backward**, with batch and steps: `notes_backward(pitch, length, E, F, W,
#    V, R, next_pitch, next_length)`. The notes are $x = [E_{pitch}, F_{length}]$, then
#    $h = \tanh(x W)$, $z = h V$, $r = h R$, and the loss is that of this lesson.
#    `next_pitch` and `next_length` are numbers, (N, T). Return `dE, dF, dW, dV, dR`.
# 3. A bug: `play` below repeats itself, whatever is learned. Write it right as
#    `fixed_play(predict, notes, count, T)`. `predict(window)` takes (T, 2) and gives
#    the next note, (2,). Return all notes, those given too.
# 4. An experiment: take the whole minuet, A A B B, from `lessons.data.minuet`. In what
#    share of the places has the note *only one* note that ever follows it? Set
#    `sure_by_one`. And after which share of the pairs of notes there is only one? Set
#    `sure_by_two`. (Count places: all notes that have one note, or two, before them.)
#
# ```python
# def play(predict, notes, count, T):
#     for _ in range(count):
#         notes = np.concatenate([notes, [predict(notes[:T])]])
#     return notes
# ```
