# %% [markdown]
# # 12 · Embedding: a table whose rows learn
#
# *About 30 minutes.* A network computes with numbers, a text is made of words. An
# **embedding** gives each word a row of a table: a few numbers, which are learnt like
# all weights. Its forward is copying. Its backward is one sum, and a famous line of
# NumPy gets it wrong.
#
# ## A question first
#
# Words get numbers, their **ids**: 1, 2, 3 and so on. Why not give these ids to a Dense
# layer as they are? And another question, about NumPy alone.

# %%
import numpy as np

from lessons.data import words_and_neighbours
from lessons.figures import draw_rows_moved, draw_words
from nblayers.layers import Dense, Embedding, Flatten, GlobalAveragePooling1D, Masking
from nblayers.learn.tools import check_derivative, save_figure, show_source
from nblayers.losses import SparseCategoricalCrossentropy
from nblayers.models import Sequential
from nblayers.optimizers import Adam
from nblayers.utils import set_random_seed

# ? guess: counts = np.zeros(4), then counts[[2, 2, 2]] += 1. What is counts[2] now?
counted = 1

# %% [markdown]
# An id is a name, not an amount. To a Dense layer it is an amount: word 4 would count
# twice as much as word 2, and word 3 would lie between them. Ids do not mean that.
#
# ## Numbers for paper
#
# Two texts ($N = 2$) of at most three words ($T = 3$). There are four words. Id 0 is
# none of them: it fills up the text that is too short (**padding**). So the table $E$
# has five rows ($V = 5$). Each row is a vector of two numbers ($D = 2$).
#
# ```text
#    id   word       row of E
#     0   (padding)   9   9
#     1   no          3   0         text 0:   no  means  no
#     2   means       0   3         text 1:   yes  no   (padding)
#     3   yes         1   4
#     4   maybe       5   5
# ```

# %%
ids = np.array([[1, 2, 1],
                [3, 1, 0]])             # (N, T)
E = np.array([[9.0, 9.0],
              [3.0, 0.0],
              [0.0, 3.0],
              [1.0, 4.0],
              [5.0, 5.0]])              # (V, D)
V, D = E.shape
target = np.array([[1.0, 1.0],
                   [2.0, 0.0]])         # (N, D)

# ? guess: into how many of the five rows will a gradient come, if padding is left out?
rows_with_gradient = 3

# %% [markdown]
# ## Forward: look up
#
# Each id is replaced by its row. From (N, T) the shape becomes (N, T, D).
#
# $$y_{nt} = E_{i_{nt}} \tag{001.06.Embedding}$$

# %%
# ? y, the rows of all ids at once; NumPy can take an array as index
y = E[ids]                              # (N, T, D)
print("y of text 0 =", y[0].tolist())
assert y[0].tolist() == [[3, 0], [0, 3], [3, 0]] and y.shape == (2, 3, 2)

# %% [markdown]
# ## The same as a product
#
# How does one differentiate "look up"? Write it as something that we know. A
# **one-hot** vector has as many numbers as there are ids: a 1 at its id, 0 elsewhere.
#
# ```text
#    id 2, as one-hot:    0  0  1  0  0
# ```
#
# Multiplied by a matrix, it picks out one row. So a look-up is a Dense layer without a
# bias, behind one-hot vectors. $E$ is its kernel:
#
# $$y_{nt} = \sum_v o_{ntv} E_v \tag{002.Embedding}$$

# %%
# ? onehot, a row of V numbers for each id (rows of np.eye(V) are one-hot)
onehot = np.eye(V)[ids]                 # (N, T, V)
print("one-hot of text 1 =", onehot[1].astype(int).tolist())
# ? y_product, from onehot and E
y_product = onehot @ E                  # (N, T, D)
assert np.array_equal(y_product, y)

# %% [markdown]
# The product is for thinking. With 20,000 words, each vector would have one 1 and
# 19,999 zeros, and nearly all of the work would be multiplying by 0.
#
# ## What comes behind: the mean of a text
#
# The simplest way to make one vector of a text: take the mean of its words. Padding is
# no word. So a **mask** says which steps are real.
#
# $$s_n = \frac{1}{k_n} \sum_t m_{nt} \, y_{nt} \qquad k_n = \sum_t m_{nt}$$

# %%
# ? m, the mask: 1.0 at a word and 0.0 at padding
m = (ids != 0).astype(float)            # (N, T)
k = m.sum(axis=1, keepdims=True)        # (N, 1), the number of real words
# ? s, the mean of the real words of each text, from y, m and k
s = (y * m[:, :, None]).sum(axis=1) / k         # (N, D)
print("s =", s.tolist())
assert s.tolist() == [[2, 1], [2, 2]]

# %% [markdown]
# For the loss take half the squared distance to a target.
#
# $$L = \frac{1}{2} \sum_n \sum_d (s_{nd} - \text{target}_{nd})^2$$
#
# The whole computation, and its way back:
#
# ```text
#    ids ──▶ look up ──▶ y ──▶ mean of real words ──▶ s ──▶ L
#               ▲                       ▲
#               E                       m
#
#    dE ◀── add into rows ◀── dy ◀───────────── ds ◀────────┘
# ```

# %%
def loss(E):
    y = E[ids]
    s = (y * m[:, :, None]).sum(axis=1) / k
    return 0.5 * np.sum((s - target) ** 2)


print("L =", loss(E))
assert loss(E) == 2.5

# %% [markdown]
# ## Backward: through the loss and the mean

# %%
# ? ds, the gradient by s
ds = s - target                         # (N, D)
check_derivative("ds", ds, lambda s: 0.5 * np.sum((s - target) ** 2), s)

# %% [markdown]
# Each real word of text $n$ stands in $s_n$ once, divided by $k_n$. Padding does not
# stand in it.

# %%
# ? dy, from ds, m and k; the new axis of ds is [:, None], that of k is [:, :, None]
dy = m[:, :, None] * ds[:, None] / k[:, :, None]        # (N, T, D)
print("3 dy of text 0 =", (3 * dy[0]).round(10).tolist())
print("dy of text 1 =", dy[1].tolist())


def loss_of_words(y):
    s = (y * m[:, :, None]).sum(axis=1) / k
    return 0.5 * np.sum((s - target) ** 2)


check_derivative("dy", dy, loss_of_words, y)

# %% [markdown]
# ## Backward: through the product
#
# In $y = o E$ the table is the kernel of a Dense layer. Lesson 02 knows its gradient.
# It sums over all samples, and here over all steps too. Put the two axes into one for
# that: (N T, V) and (N T, D).

# %%
# ? dE_product, from onehot.reshape(-1, V) and dy.reshape(-1, D)
dE_product = onehot.reshape(-1, V).T @ dy.reshape(-1, D)        # (V, D)
print("dE =", dE_product.round(3).tolist())
check_derivative("dE", dE_product, loss, E)
assert np.allclose(dE_product[1], [2 / 3, 1]) and not dE_product[4].any()

# %% [markdown]
# $$dE = \sum_n \sum_t o_{nt}^\top \, dy_{nt}$$
#
# ## Backward: without the product
#
# A one-hot vector is nearly all zeros, so most of that product is too. Word 1 stands at
# three places, twice in text 0 and once in text 1. This is again the rule of lesson 00:
# what is used in several places gets the sum of what comes back. So no product is
# needed. Begin with zeros and walk over all places.

# %%
dE = np.zeros_like(E)                   # (V, D)
# ? [dE] walk over n in range(2) and t in range(3): add dy[n, t] into the right row
for n in range(2):
    for t in range(3):
        dE[ids[n, t]] += dy[n, t]
check_derivative("dE", dE, loss, E)
assert np.allclose(dE, dE_product)
assert np.count_nonzero(dE.any(axis=1)) == rows_with_gradient

# %% [markdown]
# Row $v$ of $dE$ has collected $dy$ from **each place where word $v$ stands**:
#
# $$dE_v = \sum_{n, t : \, i_{nt} = v} dy_{nt}$$
#
# The sum is over all places $(n, t)$ whose id is $v$.
#
# ## The trap
#
# Two loops are slow, so many write one line: `dE[ids] += dy`. It looks right. It runs.
# It is wrong as soon as a word stands twice in a batch.

# %%
counts = np.zeros(4)
counts[[2, 2, 2]] += 1
print("counts =", counts)
assert counts[2] == counted

trapped = np.zeros_like(E)
trapped[ids] += dy
print("row 1 of dE:", dE[1].round(3), " by the trap:", trapped[1].round(3))
assert np.array_equal(trapped[1], dy[1, 1])

# %% [markdown]
# NumPy reads the line as `dE[ids] = dE[ids] + dy`. First it takes all rows out, then
# adds, then puts all of them back. Three places write into row 1, and the last one
# wins. The right tool is `np.add.at(array, index, what)`: it adds one after the other.
#
# A network with the wrong line learns all the same, only worse. It hears a frequent
# word as rarely as a rare one. Nothing crashes, and no curve looks broken. That is why
# one checks gradients.

# %%
# ? [embedding_backward] def embedding_backward(ids, dy, V): dE, for ids of any shape
def embedding_backward(ids, dy, V):
    dE = np.zeros((V, dy.shape[-1]))
    np.add.at(dE, ids, dy)
    return dE


assert np.array_equal(embedding_backward(ids, dy, V), dE)

# %% [markdown]
# What about a gradient for the ids? There is none. A derivative asks what happens if
# its variable moves *a little*, and between word 1 and word 2 there is no word. The
# backward of an embedding ends there. So an Embedding is always the first layer.
#
# ## Most rows hear nothing
#
# Only words that occur in a batch get a gradient. Take 20,000 words and a batch of 32
# texts with 100 words each: at most 3200 rows of $dE$ are not 0. Such a gradient is
# called **sparse**.

# %%
# ? part, of the 20000 rows: how large can the part with a gradient be?
part = 32 * 100 / 20000
print(f"at most {part:.0%} of the rows move")
assert part == 0.16

eta = 0.1
touched = np.unique(ids)                # each id once: 0, 1, 2, 3
E_sparse = E.copy()
# ? [E_sparse] a step of gradient descent that reads and writes the touched rows only
E_sparse[touched] -= eta * dE[touched]
assert np.allclose(E_sparse, E - eta * dE)

# %% [markdown]
# With plain gradient descent nothing is lost by that. With **momentum** it is
# different. There a row has a velocity $u$, and goes on moving after its word has gone:
#
# $$u \gets 0.9 \, u + dE \qquad E \gets E - \eta \, u$$

# %%
# ? guess: word 1 occurs in the first of three batches only. With momentum, in how many
# ? of the three steps does its row move?
steps_moved = 3

row, velocity, path = 3.0, 0.0, [3.0]
for gradient in (1.0, 0.0, 0.0):
    velocity = 0.9 * velocity + gradient
    row -= eta * velocity
    path.append(row)
print("the row's first number:", np.round(path, 3))
assert np.count_nonzero(np.diff(path)) == steps_moved

# %% [markdown]
# Adam does the same. So where a table is very large, one often takes an optimiser that
# leaves rows without a gradient alone, and calls it *lazy* or *sparse*. Keras and this
# library move all rows.
#
# ## The same in the library
#
# `Embedding(V, D)` is our table. It gives our numbers in the reference and in the
# compiled kernels.

# %%
for room in ("reference", "cpu"):
    layer = Embedding(V, D, weights=E, dtype="float64").to(room)
    assert np.array_equal(layer.forward(ids), y)
    assert layer.backward(dy) is None   # no gradient for ids
    assert np.allclose(layer.embeddings.grad, dE, rtol=1e-15)

dense = Dense(D, use_bias=False, dtype="float64")
dense.build((None, None, V))
dense.set_weights([E])
assert np.array_equal(dense.forward(onehot), y)
dense.backward(dy)
assert np.allclose(dense.kernel.grad, dE, rtol=1e-15)

# %% [markdown]
# And the mask: with `mask_zero=True` the layer tells the next ones where padding is.
# It does not change the vectors. A layer behind it that knows masks leaves these steps
# out, as `GlobalAveragePooling1D` does in its mean.

# %%
layer = Embedding(V, D, weights=E, mask_zero=True, dtype="float64")
assert np.array_equal(layer.compute_mask(ids), m)
pooled = GlobalAveragePooling1D(dtype="float64")
assert np.allclose(pooled.forward(layer.forward(ids), mask=layer.compute_mask(ids)), s)

masking = Masking(0.0)
assert masking.compute_mask(layer.forward(ids)).all()

layer.backward(np.ones((2, 3, D)))
print("gradient of row 0, if something comes back there:", layer.embeddings.grad[0])
assert layer.embeddings.grad[0].tolist() == [1, 1]

# %% [markdown]
# Two mistakes are common here. Some texts put a `Masking(0)` behind the Embedding. It
# looks for *vectors* of zeros, not for id 0. The row of id 0 is $(9, 9)$, so it finds
# none. And `mask_zero` does not protect row 0: if a layer behind it ignores the mask,
# the row of padding is trained like any other.
#
# Your function beside the reference kernel's:

# %%
show_source(embedding_backward, "kernels.reference.core:embedding_backward")

# %% [markdown]
# (The compiled kernel: `show_source("kernels.cpu.core:embedding_backward")`. On a GPU
# thousands of threads add into the rows at once, and there the trap waits again: see
# `show_source("kernels.cuda.core:embedding_backward")`.)
#
# ## A real task: the missing word
#
# Python's own help, about 44,000 words. We keep the 499 most frequent ones. All others
# share id 0, which here is a real word: "some rare one". Two words stand before a gap
# and two behind it. Which word was taken out?
#
# The last tenth of the text is for the examination.

# %%
vocabulary, around, missing = words_and_neighbours(500)
cut = int(0.9 * len(missing))
print(f"{len(missing)} gaps; the first words are", *vocabulary[1:9])
i = 1000
print("an example:", *[vocabulary[j] for j in around[i, :2]], "____",
      *[vocabulary[j] for j in around[i, 2:]], " missing:", vocabulary[missing[i]])

# %% [markdown]
# Two **baselines**. The first always says the most frequent word. The second counts
# pairs: it says what came most often after the word before the gap.

# %%
frequent = np.bincount(missing[:cut]).argmax()
pairs = np.zeros((500, 500))
np.add.at(pairs, (around[:cut, 1], missing[:cut]), 1)
truth = missing[cut:]
right = {"the most frequent word": (truth == frequent).mean(),
         "pairs": (truth == pairs[around[cut:, 1]].argmax(axis=1)).mean()}

# %% [markdown]
# ## A picture: who moves how often?
#
# Before we train: 100 batches of 128 gaps. In how many of them does each row get a
# gradient?

# %%
order = np.random.default_rng(0).permutation(cut)[:100 * 128].reshape(100, 128)
moved = np.zeros(500)
for batch in order:
    moved[np.unique(around[batch])] += 1
save_figure(draw_rows_moved(moved), "12_rows")
print("rows that move in each of 100 batches:", np.count_nonzero(moved == 100))
print("rows that move in less than 30:", np.count_nonzero(moved < 30))
assert moved[:10].min() >= 99 and np.count_nonzero(moved < 30) > 200

# %% [markdown]
# ## The network
#
# The network looks up the four words, puts their vectors side by side, and has one
# Dense layer to 500 logits. Each word has 16 numbers.

# %%
set_random_seed(0)
model = Sequential([Embedding(500, 16), Flatten(), Dense(500)])
model.compile(Adam(0.003), SparseCategoricalCrossentropy(from_logits=True))
model.fit(around[:cut], missing[:cut], epochs=5, batch_size=128, verbose=0)
told = model.predict(around[cut:], verbose=0).argmax(axis=1)
right["the network"] = (truth == told).mean()
for name, share in right.items():
    print(f"{name:22} {share:.1%} of the gaps filled")
assert right["the network"] > right["pairs"] + 0.02 > right["the most frequent word"]

# %% [markdown]
# Into most gaps it puts another word than the author. Which word does it say too
# often, and which ones does it miss?

# %%
for word in ("the", "a", "must", "list"):
    number = vocabulary.index(word)
    asked = truth == number
    instead = np.bincount(told[asked & (told != truth)], minlength=500).argmax()
    print(f"{word}: {(told[asked] == number).mean():.0%} found;"
          f" most often taken for {vocabulary[instead]}")
often, seldom = (truth <= 10), (truth > 100)
found = [(told == truth)[kind].mean() for kind in (often, seldom)]
print(f"the ten most frequent: {found[0]:.0%} found; those after 100: {found[1]:.0%}")
assert found[0] > 2 * found[1]

# %% [markdown]
# The rare words are hard: their rows have heard little. (The picture has shown it.)
#
# ## What the rows have learnt
#
# Nobody told the network what a word means. But words that fit into the same gaps have
# got similar rows. The **cosine** says how far two vectors point in the same direction,
# 1 at most.

# %%
table = model.get_weights()[0]                          # (500, 16)
unit = table / np.linalg.norm(table, axis=1, keepdims=True)
cosines = unit @ unit.T
for word in ("must", "is", "a", "if"):
    nearest = np.argsort(-cosines[vocabulary.index(word)])[1:6]
    print(f"{word}:", *[vocabulary[j] for j in nearest])
verbs = [vocabulary.index(w) for w in ("must", "may", "can", "should", "will")]
among = (cosines[np.ix_(verbs, verbs)].sum() - 5) / 20
print(f"mean cosine among must, may, can, should, will: {among:.2f}"
      f"; of all pairs: {cosines.mean():.2f}")
assert among > cosines.mean() + 0.3

# %% [markdown]
# Sixteen numbers cannot be drawn. The **singular value decomposition** (SVD) turns the
# table so that its first two columns show as much of the differences as two can.

# %%
shown = np.arange(1, 71)                                # the 70 most frequent words
rows = unit[shown] - unit[shown].mean(axis=0)
left, sizes, _ = np.linalg.svd(rows, full_matrices=False)
points = left[:, :2] * sizes[:2]                        # (70, 2)
share = (sizes[:2] ** 2).sum() / (sizes ** 2).sum()
print(f"two of sixteen directions show {share:.0%} of the differences")
save_figure(draw_words(points, [vocabulary[j] for j in shown]), "12_words")
assert share > 2 / 16

# %% [markdown]
# ## Exercises
#
# Write your answers into a file and run `nblayers check 12 my_answer.py`.
#
# 1. On paper: one text with the ids $(2, 0, 2)$ and a table of three rows with one
#    number each. What comes back to the three places is $dy = (1, 5, 3)$. Set `dE`,
#    the gradient of the three rows.
# 2. A whole backward: `text_backward(ids, E, W, dz)` of $z = s W + b$, where $s$ is the
#    mean of the real words of each text. `ids` is (N, T) with 0 for padding, `E` is
#    (V, D), `W` (D, C), `dz` (N, C). Return `dE, dW, db`. Each text has at least one
#    word.
# 3. A bug, seen in the wild: the function below is right for some batches. Write it
#    right as `fixed_embedding_backward(ids, dy, V)`.
# 4. An experiment: 5000 words. The word of rank $r$ has a probability in proportion to
#    $1/r$ ($r$ from 1 to 5000). Each batch draws 320 words. After how many batches has
#    half of the rows been moved once at least? Set `batches`.
#
# ```python
# def embedding_backward(ids, dy, V):
#     dE = np.zeros((V, dy.shape[-1]))
#     dE[ids] += dy
#     return dE
# ```
